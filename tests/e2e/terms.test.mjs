// What the configuration and the host page ask for, and that it holds: rules, predictions shown, keys, theme, and calls
// that come early.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { dist } from "./browser.mjs";
import { Labeler, until } from "./labeler.mjs";
import { context, server } from "./place.mjs";

const MODEL = "/hitl/models/fashion-cnn/model.json";
const fashion = async (count) => (await readFile(join(dist, "demo/data/fashion/items.jsonl"), "utf8")).split("\n").slice(0, count).map((line) => JSON.parse(line));
const rows = (count) => Array.from({ length: count }, (_, i) => ({ id: `item-${i}`, numbers: [i] }));
const ELEMENT = '<hitl-labeler config="/config.json"></hitl-labeler>';

/** A page with this configuration; `items` are the first of the clothing set or a list. */
async function open({ items = 60, ...config }, options) {
  server.route("/items.json", Array.isArray(items) ? items : await fashion(items));
  server.route("/config.json", { items: "/items.json", ...config });
  return Labeler.open(context, server.host("/", ELEMENT), options);
}

// ---------------------------------------------------------------- rules

test("a threshold of a label's own and a rule over meta decide, and the record says why", async () => {
  const items = (await fashion(100)).map((item, i) => ({ ...item, meta: { source: i < 10 ? "new camera" : "old camera" } }));
  const labeler = await open({
    model: MODEL,
    items,
    policy: { accept_at: 0.6, per_label: { bag: 1 }, defer_when: { meta: { path: "source", equals: "new camera" } } },
    learning: false,
  });
  await labeler.waitForPredictions(100);
  const said = (await labeler.heard("hitl-predicted")).flatMap(({ items }) => items);
  const settled = new Set((await labeler.heard("hitl-accepted")).flatMap(({ items }) => items.map(({ item_id }) => item_id)));
  const news = new Set(items.slice(0, 10).map(({ id }) => id));
  for (const { item_id, label, confidence } of said) {
    const sure = confidence >= (label === "bag" ? 1 : 0.6) && !news.has(item_id);
    assert.equal(settled.has(item_id), sure, `${item_id}: ${label} ${confidence}`);
  }
  assert.ok(said.some(({ label, confidence }) => label === "bag" && confidence >= 0.6), "there is a bag to hold back");
  const { reason } = await labeler.asked(({ item }) => news.has(item));
  assert.ok(reason.length > 0);
  await labeler.focus();
  const item = await labeler.answer("1");
  const [record] = await labeler.records().then((all) => all.filter(({ item_id, kind }) => item_id === item && kind === "correction"));
  assert.deepEqual([record.role, record.policy.decision], ["deferred", "defer"]);
  assert.ok(record.policy.reasons.some(({ rule, result }) => rule.includes("meta") && result), JSON.stringify(record.policy.reasons));
});

test("the page hears of each item again that a new threshold moves", async () => {
  const labeler = await open({ model: MODEL, policy: { accept_at: 0.5 }, items: 200, learning: false });
  await labeler.waitForPredictions(200);
  const ids = async (name) => (await labeler.heard(name)).flatMap(({ items }) => items.map(({ item_id }) => item_id));
  await until(async () => (await ids("hitl-accepted")).length === 200 - (await labeler.progress()).waiting, "all are told");
  const [settled, left] = [await ids("hitl-accepted"), await ids("hitl-deferred")];
  await labeler.run((element) => (element.acceptAt = 0.99));
  const { accepted } = await until(async () => {
    const progress = await labeler.progress();
    const told = (await ids("hitl-deferred")).length - left.length;
    return told > 0 && told === settled.length - progress.accepted && progress;
  }, "what is not settled any more is told");
  assert.ok(accepted < settled.length);
  const moved = (await ids("hitl-deferred")).slice(left.length);
  assert.ok(moved.every((id) => settled.includes(id)));
  await labeler.run((element) => (element.acceptAt = 0.5));
  await until(async () => (await ids("hitl-accepted")).length === settled.length + moved.length, "and what is settled again");
});

// ---------------------------------------------------------------- predictions shown

test("a prediction that is shown can be taken over with one key, and the record says that it was shown", async () => {
  const labeler = await open({ model: MODEL, policy: { accept_at: 1 }, predictions: "shown" });
  await labeler.waitForPredictions(60);
  const { item } = await labeler.asked();
  const shares = () => labeler.part(".choice").evaluateAll((all) => all.map((one) => [parseFloat(one.querySelector(".choice__share").textContent) || 0, one.querySelector(".choice__name").textContent]));
  const [share, name] = (await until(async () => (await shares()).some(([share]) => share > 0) && shares(), "shares are shown")).toSorted(([a], [b]) => b - a)[0];
  await labeler.focus();
  assert.equal(await labeler.answer("Enter"), item);
  const [record] = await labeler.records();
  assert.deepEqual([record.item_id, record.prediction_shown, record.answer.label], [item, "shown", record.prediction.label]);
  const { labels } = JSON.parse(await readFile(join(dist, "models/fashion-cnn/model.json"), "utf8"));
  const written = labels.map((label) => (typeof label === "string" ? { id: label, name: label } : { name: label.id, ...label }));
  assert.equal(written.find(({ id }) => id === record.answer.label).name, name, "the one with the longest bar");
  assert.ok(Math.abs(share / 100 - record.prediction.confidence) < 0.01);
});

test("a prediction that is shown after the answer is hidden before it", async () => {
  const labeler = await open({ model: MODEL, policy: { accept_at: 1 }, predictions: "after" });
  await labeler.waitForPredictions(60);
  await labeler.asked();
  assert.deepEqual((await labeler.part(".choice__share").allTextContents()).filter(Boolean), []);
  await labeler.focus();
  await labeler.press("Enter");
  assert.equal((await labeler.progress()).answered, 0, "there is nothing to take over");
  const item = await labeler.answer("1");
  await labeler.part(".last").filter({ hasText: "The model" }).waitFor();
  const record = (await labeler.records()).find(({ item_id }) => item_id === item);
  assert.equal(record.prediction_shown, "after");
});

// ---------------------------------------------------------------- calls that come early

test("what the page calls before the configuration was read holds: start(), pause(), undo()", async () => {
  const slow = (config) => (_, response) => {
    response.writeHead(200, { "content-type": "application/json" });
    setTimeout(() => response.end(JSON.stringify({ labels: ["yes", "no"], items: "/items.json", ...config })), 300);
  };
  server.route("/items.json", rows(3));
  server.route("/idle.json", slow({ autostart: false }));
  server.route("/eager.json", slow({}));
  const page = (config, call) =>
    server.host("/", `<hitl-labeler config="/${config}.json"></hitl-labeler>
      <script type="module">await customElements.whenDefined("hitl-labeler"); document.querySelector("hitl-labeler").${call}();</script>`);
  const started = await Labeler.open(context, page("idle", "start"));
  await started.asked();
  await started.focus();
  await started.answer("1");
  await started.page.close();
  const halted = await Labeler.open(context, page("eager", "pause"));
  await halted.part(".state").filter({ hasText: "Go on" }).waitFor();
  assert.equal((await halted.progress()).arrived, 3);
  await halted.page.close();
  const undone = await Labeler.open(context, page("idle", "undo"));
  await until(async () => (await undone.records().catch(() => [])).some(({ kind }) => kind === "undo"), "the last answer of the last visit is taken back");
});

test("a page that starts halted offers to go on once the model is there", async () => {
  const labeler = await open({ model: MODEL, items: 20, autostart: false, policy: { accept_at: 1 } });
  await labeler.button("Go on").click();
  await labeler.waitForPredictions(20);
  await labeler.asked();
});

test("what earlier visits left can be downloaded though today's model is missing, and flush() says that nothing is delivered", async () => {
  const first = await open({ labels: ["yes", "no"], items: rows(3), project: "kept" });
  await first.asked();
  await first.focus();
  const item = await first.answer("1");
  await until(async () => (await first.progress()).unsaved === 0, "it is stored");
  await first.page.close();
  const labeler = await open({ model: "/gone/model.json", items: rows(3), project: "kept" });
  await labeler.problems();
  assert.deepEqual((await labeler.records()).map(({ item_id }) => item_id), [item]);
  const why = await labeler.run((element) => element.flush().then(() => "resolved", (why) => why.message));
  assert.match(why, /flush: .*gone\/model\.json.*404/s);
});

// ---------------------------------------------------------------- keys, theme, room

test("a key that the person chose stays with its label in another order, and the usual keys are the page's", async () => {
  const keys = { labels: { yes: "ArrowRight", no: "ArrowLeft" } };
  const labeler = await open({ labels: ["yes", "no"], items: rows(9), keys });
  await labeler.asked();
  await labeler.focus();
  const change = async (name, key) => {
    await labeler.press("?");
    await labeler.part("dialog[open]").first().waitFor();
    await labeler.part(`dialog[open] [aria-label*="${name}"]`).first().click();
    await labeler.press(key);
    await until(async () => (await labeler.part("dialog[open] kbd").allTextContents()).some((text) => text.toLowerCase() === key), `${key} is shown`);
    await labeler.press("Escape");
    await until(async () => (await labeler.part("dialog[open]").count()) === 0, "the help is closed");
    await labeler.focus();
  };
  await change("yes", "y");
  const by = async (key) => {
    const item = await labeler.answer(key);
    return (await labeler.records()).find(({ item_id }) => item_id === item).answer.label;
  };
  assert.deepEqual([await by("y"), await by("ArrowLeft")], ["yes", "no"]);
  server.route("/config.json", { labels: ["no", "yes"], items: "/items.json", keys });
  await labeler.page.reload();
  await until(async () => (await labeler.progress())?.answered === 2, "the answers are there again");
  await labeler.asked();
  await labeler.focus();
  assert.deepEqual([await by("y"), await by("ArrowLeft")], ["yes", "no"]);
  await labeler.press("?");
  await labeler.button("usual keys").click();
  await labeler.press("Escape");
  await until(async () => (await labeler.part("dialog[open]").count()) === 0, "the help is closed");
  await labeler.focus();
  assert.equal(await by("ArrowRight"), "yes");
});

test("a theme of the configuration goes with the configuration", async () => {
  const labeler = await Labeler.open(context, server.host("/", "<hitl-labeler></hitl-labeler>"), { mounted: false });
  const tone = () => labeler.run((element) => getComputedStyle(element).colorScheme);
  await labeler.run((element) => (element.config = { labels: ["yes", "no"], theme: "dark" }));
  await until(async () => (await tone()) === "dark", "dark");
  await labeler.run((element) => (element.config = { labels: ["yes", "no"] }));
  await until(async () => (await tone()) !== "dark" && labeler.run((element) => !element.hasAttribute("theme")), "as the system has it");
});

for (const scheme of ["light", "dark"]) {
  test(`at 360 pixels nothing is cut off, in each view and the system's ${scheme} colours`, async () => {
    const labeler = await open({ model: MODEL, items: [...(await fashion(40)), { id: "broken", image: "/nowhere.png" }], policy: { accept_at: 0.9 } });
    await labeler.page.emulateMedia({ colorScheme: scheme });
    await labeler.page.setViewportSize({ width: 360, height: 700 });
    await labeler.waitForPredictions(41);
    await labeler.asked();
    const fits = (view) => async () => {
      const wide = await labeler.run((element) =>
        [...element.shadowRoot.querySelectorAll(".frame, .body, .foot, .card, .pane, .pane__head")]
          .filter((part) => part.scrollWidth > part.clientWidth + 1)
          .map((part) => `${part.className}: ${part.scrollWidth} > ${part.clientWidth}`),
      );
      assert.deepEqual(wide, [], view);
    };
    for (const view of ["Questions", "Accepted", "Set aside", "delivery"]) {
      await labeler.show(view);
      await fits(view)();
    }
    const dark = await labeler.run((element) => {
      const canvas = new OffscreenCanvas(1, 1).getContext("2d");
      canvas.fillStyle = getComputedStyle(element.shadowRoot.querySelector(".frame")).backgroundColor;
      canvas.fillRect(0, 0, 1, 1);
      const [r, g, b] = canvas.getImageData(0, 0, 1, 1).data;
      return r + g + b < 3 * 128;
    });
    assert.equal(dark, scheme === "dark");
  });
}
