// The cycle: answers make the model better, checks earn the promise, and what was learned leaves the page.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "node:test";
import { dist } from "./browser.mjs";
import { Labeler, until } from "./labeler.mjs";
import { browser, context, server } from "./place.mjs";

const json = async (path) => JSON.parse(await readFile(join(dist, path), "utf8"));
const manifest = () => json("models/fashion-cnn/model.json");
/** The true label of each picture, by its place among the labels. */
const truth = async () => {
  const [ids, { labels }] = [await json("models/fashion-cnn/golden/truth.json"), await manifest()];
  return ids.map((id) => labels.findIndex((label) => label.id === id));
};
const lines = async (count) =>
  (await readFile(join(dist, "demo/data/fashion/items.jsonl"), "utf8")).trim().split("\n").slice(0, count).join("\n");

/** A page over so many of the demo's pictures. */
async function clothing(count, config) {
  server.route("/items.jsonl", await lines(count));
  server.route("/config.json", { model: "/hitl/models/fashion-cnn/model.json", items: "/items.jsonl", ...config });
  return server.host("/", `<hitl-labeler config="/config.json"></hitl-labeler>`);
}

const number = (item) => Number(item.slice(8));
const key = (label) => String((label + 1) % 10);

/** Answers so many questions truly, as fast as the page takes them. */
async function work(labeler, answers, labels) {
  await labeler.focus();
  for (let i = 0; i < answers; i++) {
    const question = await labeler.asked();
    await labeler.answer(key(labels[number(question.item)]));
  }
}

const figures = (labeler, holds, what) =>
  until(async () => {
    const figures = await labeler.run((element) => element.figures);
    return figures && holds(figures) ? figures : null;
  }, what);

test("true answers behind another camera make the model right more often, and it shows", async () => {
  const labels = await truth();
  server.route("/items.jsonl", await lines(1000));
  const url = server.host("/", `<hitl-labeler id="it" autostart></hitl-labeler><script type="module">
    async function* otherCamera() {
      const canvas = new OffscreenCanvas(28, 28).getContext("2d", { willReadFrequently: true });
      canvas.filter = "brightness(0.6)";
      canvas.setTransform(-1, 0, 0, 1, 28, 0);
      for (const line of (await (await fetch("/items.jsonl")).text()).trim().split("\\n")) {
        const { id, image } = JSON.parse(line);
        canvas.drawImage(await createImageBitmap(await (await fetch(image)).blob()), 0, 0);
        yield { id, image: canvas.getImageData(0, 0, 28, 28) };
      }
    }
    it.config = { model: "/hitl/models/fashion-cnn/model.json", policy: { accept_at: 0.9 } };
    it.items = otherCamera();
  </script>`);
  const labeler = await Labeler.open(context, url);
  await labeler.waitForPredictions(1000);
  const ids = (await manifest()).labels.map(({ id }) => id);
  // Of everything that nobody has answered: what each threshold settles is right more or less by the luck of the draw.
  const right = async () => {
    await labeler.run((element) => (element.acceptAt = 0));
    const { accepted } = await until(async () => {
      const progress = await labeler.progress();
      return progress.waiting <= 1 && progress;
    }, "all but the question is settled");
    const settled = (await labeler.records()).filter(({ kind }) => kind === "accepted");
    assert.equal(settled.length, accepted);
    await labeler.run((element) => (element.acceptAt = 0.9));
    await until(async () => (await labeler.progress()).waiting > 100, "the usual threshold counts again");
    return new Map(settled.map(({ item_id, answer }) => [item_id, ids.indexOf(answer.label) === labels[number(item_id)]]));
  };
  const before = await right();
  await work(labeler, 120, labels);
  const said = await figures(labeler, (f) => f.answered === 120 && f.lesson?.trained === 120, "the lesson of 120 answers");
  // The same items before and after: those that were asked were the hard ones.
  const after = await right();
  const share = (of) => [...after.keys()].filter((item) => of.get(item)).length / after.size;
  assert.ok(share(after) > share(before) + 0.02, `${share(after)} of the rest is right after 120 answers, ${share(before)} before`);
  assert.ok(said.lesson.head_version > 0);
  assert.ok(said.settled_per_minute > 0 && said.seconds_per_answer > 0);
  // The pane shows the same.
  await labeler.show("Learning");
  await until(async () => (await labeler.part(".chart img").count()) >= 2, "charts");
  const texts = await labeler.part(".chart img").evaluateAll((images) => images.map((image) => [image.naturalWidth > 0, image.alt.length]));
  assert.ok(texts.every(([drawn, words]) => drawn && words > 20), JSON.stringify(texts));
});

test("what is taken back was never learned", async () => {
  const labels = await truth();
  const labeler = await Labeler.open(context, await clothing(300, { learning: { hold_out: 0 } }));
  await labeler.waitForPredictions(300);
  await work(labeler, 10, labels);
  await figures(labeler, (f) => f.lesson?.trained === 10, "ten answers learned");
  const head = () => labeler.download("head");
  const before = await head();
  await work(labeler, 5, labels);
  await figures(labeler, (f) => f.lesson?.trained === 15, "fifteen answers learned");
  assert.notEqual(await head(), before);
  for (let i = 0; i < 5; i++) await labeler.run((element) => element.undo());
  await figures(labeler, (f) => f.lesson?.trained === 10 && f.answered === 10, "five answers unlearned");
  assert.equal(await head(), before, "the same head to the last bit");
});

test("under a promise nothing is settled before the checks bear it out, and a check is not to be told from a question", async () => {
  const labels = await truth();
  const labeler = await Labeler.open(context, await clothing(1000, { policy: { target: { accuracy: 0.9, audits: 0.5 } } }));
  await labeler.waitForPredictions(1000);
  assert.equal((await labeler.progress()).accepted, 0);
  const html = [];
  await labeler.focus();
  let earned = false;
  for (let i = 0; i < 150 && !earned; i++) {
    const question = await labeler.asked();
    if (i < 20) html.push(await labeler.run((element) => element.shadowRoot.querySelector(".ask__reason").textContent));
    await labeler.answer(key(labels[number(question.item)]));
    const said = await labeler.run((element) => element.figures);
    earned = said?.promise?.earned;
    if (!earned) assert.equal((await labeler.progress()).accepted, 0, "nothing before it is earned");
  }
  assert.ok(earned, "150 answers earn 90 %");
  assert.equal(new Set(html).size, 1, "one reason for all");
  const records = await labeler.records();
  const audits = records.filter(({ role }) => role === "audit");
  // The last answer is learned from a moment after it.
  const isLearned = ({ promise, lesson }) => promise?.earned && lesson?.held_out === audits.length;
  const said = await figures(labeler, isLearned, "earned, and no check is trained on");
  assert.ok(said.promise.bound >= 0.9 && said.promise.threshold > 0);
  assert.ok((await labeler.progress()).accepted > 100);
  assert.ok(audits.length > 10 && audits.every(({ prediction_shown }) => prediction_shown === "hidden"));
});

test("every figure can be reckoned again from the export", async () => {
  const labels = await truth();
  const labeler = await Labeler.open(context, await clothing(400, { policy: { accept_at: 0.8, audit_when: { sample: { percent: 10 } } } }));
  await labeler.waitForPredictions(400);
  await work(labeler, 40, labels);
  await labeler.run((element) => element.undo());
  const said = await figures(labeler, (f) => f.answered === 39, "39 answers in the figures");
  const records = await labeler.records();
  const gone = new Set(records.filter(({ kind }) => kind === "undo").map(({ supersedes }) => supersedes));
  const replaced = new Set(records.filter(({ id, kind }) => kind === "correction" && !gone.has(id)).map(({ supersedes }) => supersedes));
  const answers = records.filter(({ id, kind }) => kind === "correction" && !gone.has(id) && !replaced.has(id));
  const accepts = records.filter(({ kind }) => kind === "accepted");
  assert.equal(said.answered, answers.length);
  assert.equal(said.by_model, accepts.length);
  const seconds = answers.reduce((sum, { seconds }) => sum + seconds, 0);
  const near = (a, b, what) => assert.ok(Math.abs(a - b) < 1e-6 * Math.max(1, Math.abs(b)), `${what}: ${a} is not ${b}`);
  near(said.seconds, seconds, "seconds");
  near(said.settled_per_minute, (60 * (answers.length + accepts.length)) / seconds, "items a minute");
  near(said.share_by_model, accepts.length / (accepts.length + answers.length + said.waiting), "share");
  const sorted = answers.map(({ seconds }) => seconds).toSorted((a, b) => a - b);
  near(said.seconds_per_answer, sorted.length % 2 ? sorted[(sorted.length - 1) / 2] : (sorted[sorted.length / 2 - 1] + sorted[sorted.length / 2]) / 2, "median");
  const audits = answers.filter(({ role, prediction }) => role === "audit" && prediction);
  const right = ({ answer, prediction }) => answer.label === prediction.label;
  const would = audits.filter(({ policy }) => policy.decision === "audit" && policy.reasons.some(({ rule, result }) => rule === "accept_at" && result));
  assert.deepEqual([said.accepted.n, said.accepted.right], [would.length, would.filter(right).length]);
  const judged = answers.filter(({ prediction }) => prediction);
  assert.deepEqual([said.confusion.all.n, said.confusion.all.right], [judged.length, judged.filter(right).length]);
  for (const role of ["deferred", "audit", "review", "manual"]) {
    assert.equal(said.roles[role], answers.filter((record) => record.role === role).length, role);
  }
  for (const scale of ["raw", "calibrated"]) {
    const field = scale === "raw" ? "confidence_raw" : "confidence";
    const bins = Array.from({ length: 15 }, () => []);
    for (const audit of audits) bins[Math.min(14, Math.max(0, Math.ceil(audit.prediction[field] * 15 - 1e-9) - 1))].push(audit);
    assert.deepEqual(said.reliability[scale].bins.map(({ n }) => n), bins.map(({ length }) => length), scale);
  }
  const byConfidence = audits.toSorted((a, b) => b.prediction.confidence - a.prediction.confidence);
  for (const [confidence, coverage, accuracy] of said.risk_coverage) {
    const taken = byConfidence.filter(({ prediction }) => Math.fround(prediction.confidence) >= Math.fround(confidence));
    near(coverage, taken.length / audits.length, "coverage");
    near(accuracy, taken.filter(right).length / taken.length, "accuracy");
  }
  const counts = said.confusion.counts.reduce((sum, n) => sum + n, 0);
  assert.equal(counts, judged.length);
});

test("a model that does not learn has its figures all the same", async () => {
  const labels = await truth();
  const config = { learning: false, policy: { accept_at: 0.8, audit_when: { sample: { percent: 50 } } } };
  const labeler = await Labeler.open(context, await clothing(200, config));
  await labeler.waitForPredictions(200);
  await work(labeler, 30, labels);
  const said = await figures(labeler, (f) => f.answered === 30, "30 answers in the figures");
  assert.equal(said.lesson, null);
  const checks = (await labeler.records()).filter(({ role }) => role === "audit");
  assert.ok(checks.length > 0 && said.accepted.n === checks.length, `${said.accepted.n} of ${checks.length} checks`);
  await labeler.show("Learning");
  await until(async () => (await labeler.part(".chart img").count()) >= 2, "charts");
  assert.equal(await labeler.run((element) => element.download("model").then(() => "a model", (why) => why.message)),
    "nothing is learned here: it takes a model, and `learning` not false");
  // And again after a reload, from what was kept.
  await labeler.page.reload();
  await figures(labeler, (f) => f.answered === 30, "the same 30 answers");
});

test("the improved model runs in onnxruntime and says there what it says here", { skip: !process.env.ONNX_PYTHON && "no Python with onnxruntime" }, async (t) => {
  const labels = await truth();
  const labeler = await Labeler.open(context, await clothing(200));
  await labeler.waitForPredictions(200);
  await work(labeler, 30, labels);
  await figures(labeler, (f) => f.lesson?.trained + f.lesson?.held_out === 30, "thirty answers learned");
  const folder = await mkdtemp(join(tmpdir(), "hitl-"));
  t.after(() => rm(folder, { recursive: true }));
  const bytes = await labeler.run(async (element) => {
    const blob = await element.download("model", { save: false });
    return Array.from(new Uint8Array(await blob.arrayBuffer()));
  });
  await writeFile(join(folder, "model.onnx"), Buffer.from(bytes));
  const improved = JSON.parse(await labeler.download("manifest"));
  await writeFile(join(folder, "model.json"), JSON.stringify(improved));
  assert.match(improved.version, /\+head\.\d+$/);
  // What the page says now of what it settled, by the head in force.
  const records = (await labeler.records()).filter(({ kind }) => kind === "accepted");
  const ids = improved.labels.map((label) => label.id ?? label);
  const items = Object.fromEntries((await lines(200)).split("\n").map((line) => [JSON.parse(line).id, JSON.parse(line).image]));
  const expected = records.slice(-60).map(({ item_id, prediction }) => ({
    id: item_id,
    png: items[item_id].split(",")[1],
    top: prediction.top.map(({ label, p }) => [ids.indexOf(label), p]),
  }));
  assert.ok(expected.length >= 30);
  await writeFile(join(folder, "said.json"), JSON.stringify(expected));
  const script = fileURLToPath(new URL("check_model.py", import.meta.url));
  const printed = execFileSync(process.env.ONNX_PYTHON, [script, folder], { encoding: "utf8" });
  const { items: checked, largest } = JSON.parse(printed);
  assert.equal(checked, expected.length);
  assert.ok(largest <= 1e-4, `onnxruntime differs by ${largest}`);
});

test("another visitor starts from the head that one left behind", async () => {
  const labels = await truth();
  const first = await Labeler.open(context, await clothing(300, { learning: { hold_out: 0 } }));
  await first.waitForPredictions(300);
  await work(first, 20, labels);
  await figures(first, (f) => f.lesson?.trained === 20, "twenty answers learned");
  const head = await first.download("head");
  const settled = (await first.progress()).accepted;
  const parsed = JSON.parse(head);
  assert.deepEqual([parsed.schema, parsed.answers, parsed.model.sha256], ["hitl-labeler/head/1", 20, (await manifest()).sha256]);
  server.route("/head.json", head);
  const other = await browser.newContext();
  try {
    const model = { url: "/hitl/models/fashion-cnn/model.json", head: "/head.json" };
    const second = await Labeler.open(other, await clothing(300, { model }));
    await second.waitForPredictions(300);
    const { accepted } = await second.progress();
    assert.ok(accepted >= settled, `${accepted} settled at once, ${settled} by the first visitor after 20 answers`);
  } finally {
    await other.close();
  }
});

test("a head of another model is refused with the mend", async () => {
  server.route("/head.json", { schema: "hitl-labeler/head/1", model: { name: "x", version: "1", sha256: "0".repeat(64) }, kind: "linear", labels: [], answers: 1, temperature: 1, bias: [], weights: [] });
  const model = { url: "/hitl/models/fashion-cnn/model.json", head: "/head.json" };
  const labeler = await Labeler.open(context, await clothing(10, { model }));
  const { lines } = await labeler.problems();
  assert.match(lines, /head.*model\.sha256.*a head fits its own model only/s);
});

test("a newer model is offered, and taken over without losing an answer", async () => {
  const labels = await truth();
  const card = await manifest();
  const bytes = await readFile(join(dist, "models/fashion-cnn/model.onnx"));
  server.route("/old.json", { ...card, file: "/hitl/models/fashion-cnn/model.onnx", updates: "/new.json" });
  server.route("/new.json", { ...card, file: "/hitl/models/fashion-cnn/model.onnx" });
  const labeler = await Labeler.open(context, await clothing(100, { model: "/old.json" }));
  await labeler.waitForPredictions(100);
  await work(labeler, 5, labels);
  assert.equal(await labeler.button("Use it").count(), 0, "the same model is no news");
  // The same graph with one more byte of documentation is another file.
  const newer = Buffer.concat([bytes, Buffer.from([0x32, 0x01, 0x78])]);
  const { createHash } = await import("node:crypto");
  server.route("/newer.onnx", newer);
  const sha256 = createHash("sha256").update(newer).digest("hex");
  server.route("/new.json", { ...card, version: "2.0.0", file: "/newer.onnx", bytes: newer.length, sha256 });
  await labeler.page.reload();
  await labeler.waitForPredictions(100);
  await until(async () => (await labeler.button("Use it").count()) === 1, "the offer");
  await labeler.button("Use it").click();
  await until(async () => (await labeler.button("Use it").count()) === 0, "the offer is taken");
  await work(labeler, 3, labels);
  await until(async () => {
    const last = (await labeler.records()).filter(({ kind }) => kind === "correction").at(-1);
    return last.prediction?.model.version === "2.0.0";
  }, "the newer model's predictions").catch(() => {});
  await work(labeler, 1, labels);
  const records = (await labeler.records()).filter(({ kind }) => kind === "correction");
  assert.equal(records.length, 9, "no answer is lost");
  assert.equal(records.at(-1).prediction.model.version, "2.0.0");
});

test("a model without a head starts from nothing, with the person's own words", async () => {
  const labels = await truth();
  const card = await manifest();
  server.route("/model.json", {
    ...card,
    file: "/hitl/models/fashion-cnn/model.onnx",
    outputs: { features: { name: "features" } },
    labels: [{ id: "shoe", name: "Shoe" }, { id: "trousers", name: "Trousers" }],
  });
  const labeler = await Labeler.open(context, await clothing(120, { model: "/model.json", open_labels: true, policy: { accept_at: 0.8 }, learning: { hold_out: 0 } }));
  await labeler.waitForPredictions(120);
  assert.equal((await labeler.progress()).waiting, 120, "it knows nothing yet");
  await labeler.part(".add input").fill("Something else");
  await labeler.part(".add button").click();
  await until(async () => (await labeler.part(".choice").count()) === 3, "a third answer");
  await labeler.focus();
  const kind = (item) => ({ 5: "1", 7: "1", 9: "1", 1: "2" })[labels[number(item)]] ?? "3";
  const asked = new Set();
  let answers = 0;
  // It settles the rest as soon as it can, and comes back to what it doubts later.
  while (answers < 25 && (await labeler.progress()).waiting > 0) {
    const question = await labeler.asked();
    assert.ok(!asked.has(question.item), `${question.item} is asked a second time`);
    asked.add(question.item);
    await labeler.press(kind(question.item));
    answers++;
    await figures(labeler, (f) => f.lesson?.trained === answers, `${answers} answers learned`);
  }
  const { accepted } = await labeler.progress();
  assert.ok(answers >= 10 && accepted > 20, `${accepted} of 120 are settled after ${answers} answers`);
  const right = (await labeler.records()).filter(({ kind }) => kind === "accepted");
  const names = { shoe: "1", trousers: "2", "Something else": "3" };
  const correct = right.filter(({ item_id, answer }) => names[answer.label] === kind(item_id)).length;
  assert.ok(correct / right.length > 0.85, `${correct} of ${right.length} are right`);
});

test("a target that the host page sets outlives a new configuration, until a threshold is set", async () => {
  const labeler = await Labeler.open(context, await clothing(40, { policy: { target: { accuracy: 0.9, seed: 7 } } }));
  const target = () => labeler.run((element) => element.figures?.promise?.target ?? null);
  await labeler.asked();
  assert.equal(await target(), 0.9);
  await labeler.run((element) => void (element.target = 0.95));
  assert.equal(await target(), 0.95);
  // Out of the document for a while.
  await labeler.run(async (element) => {
    const { parentNode } = element;
    element.remove();
    await new Promise((resolve) => setTimeout(resolve, 50));
    parentNode.append(element);
  });
  await until(async () => (await target()) === 0.95, "the target is in force once more");
  // Set before there is a session to do it.
  await labeler.run((element) => {
    element.config = { annotator: "ada" };
    element.target = 0.97;
  });
  await until(async () => (await target()) === 0.97, "the target is in force under another configuration");
  await labeler.run((element) => void (element.acceptAt = 0.8));
  assert.equal(await target(), null);
  // The attribute now stands beside the configured target: the threshold was the last word.
  await labeler.run((element) => void (element.config = { annotator: "eve" }));
  await labeler.asked();
  await until(async () => (await labeler.run((element) => element.acceptAt)) === 0.8, "the threshold is in force");
  assert.equal(await target(), null);
  // A framework that clears the property or the attribute means none, not the threshold 0.
  for (const none of [null, "", undefined]) {
    await labeler.run((element) => void (element.acceptAt = 0.7));
    await labeler.run((element, none) => void (element.acceptAt = none), none);
    assert.equal(await labeler.run((element) => element.hasAttribute("accept-at")), false);
    await until(async () => (await target()) === 0.9, "the configuration counts again");
  }
  const wrong = await labeler.run((element) => {
    try {
      element.acceptAt = 90;
    } catch (why) {
      return why.message;
    }
  });
  assert.match(wrong, /acceptAt: found 90, expected a number from 0 to 1, or null/);
  assert.deepEqual(await labeler.heard("hitl-error"), []);
});
