// The main job: the model labels, a person is asked when it is unsure, and the answers arrive.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { dist } from "./browser.mjs";
import { collect } from "./collector.mjs";
import { Labeler, until } from "./labeler.mjs";
import { context, server } from "./place.mjs";
import { backend } from "./stand.mjs";

const manifest = async (model) => JSON.parse(await readFile(join(dist, `models/${model}/model.json`), "utf8"));
const fashion = async () => {
  const lines = (await readFile(join(dist, "demo/data/fashion/items.jsonl"), "utf8")).trim().split("\n");
  return lines.map((line) => JSON.parse(line));
};
/** So many of the demo's pictures behind a page that asks about all that is below 0.9. */
async function clothing(count, attributes = "") {
  server.route("/items.jsonl", (await fashion()).slice(0, count).map((item) => JSON.stringify(item)).join("\n"));
  return server.host("/", `<hitl-labeler model="/hitl/models/fashion-cnn/model.json" items="/items.jsonl" ${attributes}></hitl-labeler>`);
}
/** Items without a model, answered yes (1), no (2) or perhaps (3). */
function manual(ids, config = {}) {
  server.route("/items.json", ids.map((id) => ({ id, numbers: [1, 2] })));
  server.route("/config.json", { labels: ["yes", "no", "perhaps"], items: "/items.json", ...config });
  return server.host("/", `<hitl-labeler config="/config.json"></hitl-labeler>`);
}

test("the demo predicts what onnxruntime does, and a person's 100 key presses arrive in SQLite once each", async (t) => {
  const collector = await collect();
  t.after(() => collector.close());
  const labeler = await Labeler.open(context, collector.url);
  await labeler.page.evaluate(() => {
    globalThis.presses = 0;
    addEventListener("keydown", () => presses++, true);
  });
  await labeler.waitForPredictions(1000);

  await t.test("thresholds settle as many items as the reference says", async () => {
    const { predicted, settled } = await labeler.run((element) => element.coverage([0.5, 0.9, 0.95]));
    assert.equal(predicted, 1000);
    [979, 730, 652].forEach((expected, i) => assert.ok(Math.abs(settled[i] - expected) <= 2, `${settled} are not 979, 730, 652`));
    const { accepted, waiting } = await labeler.progress();
    assert.equal(accepted, settled[1], "what is above the threshold is accepted");
    assert.equal(waiting, 1000 - accepted, "the rest waits for the person");
  });

  await t.test("another threshold counts at once", async () => {
    const accepted = async (at) => {
      await labeler.run((element, at) => void (element.acceptAt = at), at);
      return (await labeler.progress()).accepted;
    };
    const [least, usual, most] = [await accepted(0.5), await accepted(0.9), await accepted(0.95)];
    [979, 730, 652].forEach((expected, i) => assert.ok(Math.abs([least, usual, most][i] - expected) <= 2, `${[least, usual, most]}`));
    assert.equal(await accepted(0.9), usual);
  });

  await t.test("probabilities are the reference's within 1e-4", async () => {
    const bytes = await readFile(join(dist, "models/fashion-cnn/golden/probabilities.bin"));
    const golden = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
    const labels = (await manifest("fashion-cnn")).labels.map(({ id }) => id);
    const said = (await labeler.heard("hitl-predicted")).flatMap(({ items }) => items);
    assert.equal(new Set(said.map(({ item_id }) => item_id)).size, 1000);
    assert.equal(said.length, 1000, "each item is told once");
    for (const { item_id, label, confidence, top } of said) {
      const row = golden.slice(10 * Number(item_id.slice(8)), 10 * Number(item_id.slice(8)) + 10);
      assert.ok(top.length >= 3, `${item_id} has its top labels`);
      for (const { label, p } of top) {
        const off = Math.abs(p - row[labels.indexOf(label)]);
        assert.ok(off <= 1e-4, `${item_id}, ${label}: off by ${off}`);
      }
      assert.ok(Math.abs(confidence - Math.max(...row)) <= 1e-4, item_id);
      assert.ok(row[labels.indexOf(label)] >= Math.max(...row) - 1e-4, `${item_id}: ${label}`);
    }
  });

  await t.test("100 key presses are 100 records, the same everywhere", async () => {
    const labels = (await manifest("fashion-cnn")).labels.map(({ id }) => id);
    await labeler.focus();
    const given = new Map();
    for (let i = 0; i < 100; i++) {
      const digit = i % 10;
      given.set(await labeler.answer(String(digit)), labels[(digit + 9) % 10]);
    }
    assert.equal(await labeler.page.evaluate(() => presses), 100);
    assert.equal(given.size, 100, "100 different items were asked");
    await labeler.waitForDelivered(100);
    const stored = collector.inSqlite();
    assert.equal(stored.length, 100);
    assert.equal(new Set(stored.map(({ id }) => id)).size, 100);
    assert.deepEqual(new Map(stored.map(({ item_id, answer }) => [item_id, answer.label])), given);
    for (const record of stored) {
      assert.deepEqual([record.kind, record.role, record.prediction_shown], ["correction", "deferred", "hidden"]);
      assert.ok(record.prediction.confidence < 0.9, `${record.item_id} was deferred for its confidence`);
    }
    const exported = (await collector.export()).trim().split("\n").map((line) => JSON.parse(line));
    assert.deepEqual(exported, stored);
    const own = (await labeler.records()).filter(({ kind }) => kind === "correction");
    const byId = (a, b) => (a.id < b.id ? -1 : 1);
    assert.deepEqual(own.sort(byId), stored.sort(byId));
    assert.equal((await labeler.heard("hitl-corrected")).length, 100);
    assert.equal((await labeler.heard("hitl-delivered")).flatMap(({ ids }) => ids).length, 100);
    assert.equal(await labeler.delivery(), "Sent");
  });
});

test("an answer is taken back by one key, also after a reload, and the undo is delivered", async () => {
  const server2 = backend(server);
  const url = manual(["a", "b", "c"], { delivery: { url: "/records" } });
  const labeler = await Labeler.open(context, url);
  await labeler.asked();
  await labeler.focus();
  const first = await labeler.answer("1");
  const second = await labeler.answer("2");
  await labeler.press("Backspace");
  await labeler.asked(({ item }) => item === second);
  assert.equal((await labeler.progress()).answered, 1);
  await labeler.waitForDelivered(3);

  await labeler.page.reload();
  await until(async () => (await labeler.progress())?.answered === 1, "the answer is there after the reload");
  await labeler.asked();
  await labeler.focus();
  await labeler.press("Backspace");
  await labeler.asked(({ item }) => item === first);
  await labeler.waitForDelivered(4);
  const records = [...server2.kept.values()].map(([record]) => record);
  const undone = records.filter(({ kind }) => kind === "undo").map(({ supersedes, answer }) => [supersedes, answer]);
  const answers = records.filter(({ kind }) => kind === "correction").map(({ id }) => [id, null]);
  assert.deepEqual(undone.sort(), answers.sort(), "each undo names the answer that it takes back");
});

test("fifty steps and more can be taken back", async () => {
  const ids = Array.from({ length: 60 }, (_, i) => `item-${i}`);
  const labeler = await Labeler.open(context, manual(ids));
  await labeler.asked();
  await labeler.focus();
  const order = [];
  for (let i = 0; i < 55; i++) order.push(await labeler.answer("1"));
  while (order.length) {
    await labeler.press("Backspace");
    const last = order.pop();
    await labeler.asked(({ item }) => item === last);
  }
  assert.equal((await labeler.progress()).answered, 0);
});

test("a skipped question comes back at the end, and its record says so", async () => {
  const labeler = await Labeler.open(context, manual(["a", "b", "c", "d"]));
  const skipped = (await labeler.asked()).item;
  await labeler.focus();
  await labeler.press("s");
  await labeler.asked(({ item }) => item !== skipped);
  for (let i = 0; i < 3; i++) assert.notEqual(await labeler.answer("1"), skipped);
  assert.equal(await labeler.answer("2"), skipped, "it is the last one");
  const record = (await labeler.records()).find(({ item_id }) => item_id === skipped);
  assert.equal(record.skipped_before, 1);
  await labeler.part(".state h2", { hasText: "All 4 items" }).waitFor();
  assert.deepEqual((await labeler.heard("hitl-done")).at(-1), { arrived: 4, accepted: 0, answered: 4, aside: 0 });
});

test("a flag and a note go with the answer; digits in the note answer nothing", async () => {
  const labeler = await Labeler.open(context, manual(["a", "b", "c"]));
  await labeler.asked();
  await labeler.focus();
  await labeler.press("f");
  await until(() => labeler.button("Flag").getAttribute("aria-pressed").then((on) => on === "true"), "the flag is up");
  await labeler.press("n");
  await until(() => labeler.run((element) => element.shadowRoot.activeElement?.matches(".field")), "the note has the focus");
  await labeler.page.keyboard.type("is it 1 or 2?");
  await labeler.press("Enter");
  assert.equal((await labeler.progress()).answered, 0);
  const noted = await labeler.answer("3");
  const plain = await labeler.answer("1");
  const records = new Map((await labeler.records()).map((record) => [record.item_id, record]));
  assert.deepEqual([records.get(noted).flagged, records.get(noted).note], [true, "is it 1 or 2?"]);
  assert.deepEqual([records.get(plain).flagged, records.get(plain).note ?? null], [false, null], "the next one begins anew");
});

test("what the model accepted can be looked through and corrected", async () => {
  const server2 = backend(server);
  const labeler = await Labeler.open(context, await clothing(100, 'endpoint="/records"'));
  const { accepted } = await labeler.waitForPredictions(100);
  await labeler.show("Accepted");
  const tiles = labeler.part(".tile");
  await until(async () => (await tiles.count()) === Math.min(60, accepted), "a page of tiles");
  const item = await tiles.first().getAttribute("title");
  const shares = await labeler.part(".tile__share").evaluateAll((all) => all.map((one) => parseFloat(one.textContent)));
  assert.deepEqual(shares, shares.toSorted((a, b) => a - b), "the least sure stand first");
  await tiles.first().click();
  const question = await labeler.asked((question) => question.item === item);
  assert.match(question.reason, /^The model settled it as .+, \d+(\.\d)?%\./);
  await labeler.press("9");
  await tiles.first().waitFor();
  await until(async () => (await labeler.progress()).answered === 1, "the answer counts");
  await labeler.waitForDelivered(1);
  const [[record]] = server2.kept.values();
  assert.deepEqual([record.item_id, record.kind, record.role], [item, "correction", "review"]);
  assert.equal(record.answer.label, "bag");
  assert.ok(record.prediction.confidence >= 0.9);
  assert.equal(record.policy.decision, "accept");
});

test("what the model settled is delivered, too, if delivery.accepted says so", async () => {
  const server2 = backend(server);
  server.route("/items.jsonl", (await fashion()).slice(0, 60).map((item) => JSON.stringify(item)).join("\n"));
  const config = { model: "/hitl/models/fashion-cnn/model.json", items: "/items.jsonl", delivery: { url: "/records", accepted: true } };
  server.route("/config.json", config);
  const labeler = await Labeler.open(context, server.host("/", `<hitl-labeler config="/config.json"></hitl-labeler>`));
  const { accepted } = await labeler.waitForPredictions(60);
  await labeler.waitForDelivered(accepted);
  const records = [...server2.kept.values()].map(([record]) => record);
  assert.equal(records.length, accepted);
  for (const { kind, answer, prediction } of records) {
    assert.deepEqual([kind, answer.label], ["accepted", prediction.label]);
  }
});

test("an item that was set aside says why and can be labelled by hand", async () => {
  const [good] = await fashion();
  server.route("/items.json", [good, { id: "gone", image: "/no-such-picture.png" }, { ...good }]);
  const url = server.host("/", `<hitl-labeler model="/hitl/models/fashion-cnn/model.json" items="/items.json"></hitl-labeler>`);
  const labeler = await Labeler.open(context, url);
  await until(async () => (await labeler.progress())?.aside === 2, "two set aside");
  await labeler.show("Set aside");
  await labeler.part(".row").nth(1).waitFor();
  assert.deepEqual(new Map(await labeler.rows()), new Map([
    ["gone", "The server answers 404 for this picture."],
    [good.id, "An earlier item has the same id."],
  ]));
  assert.equal(await labeler.button("Label by hand").count(), 1, "a duplicate has nothing to label");
  await labeler.button("Label by hand").click();
  await labeler.asked(({ item }) => item === "gone");
  await labeler.press("1");
  await until(async () => (await labeler.progress()).answered === 1, "the answer counts");
  const record = (await labeler.records()).find(({ item_id }) => item_id === "gone");
  assert.deepEqual([record.role, record.answer.label, record.prediction ?? null], ["manual", "t-shirt-top", null]);
});

test("answers are downloaded as JSON Lines and as CSV", async () => {
  const hostile = "=1+1, \"quoted\"\nsecond line";
  const labeler = await Labeler.open(context, manual(["a", "b", hostile]));
  await labeler.asked();
  await labeler.focus();
  const given = {};
  for (const [key, label] of [["1", "yes"], ["2", "no"], ["3", "perhaps"]]) given[await labeler.answer(key)] = label;
  await labeler.show("delivery");
  const download = async (name) => {
    const [file] = await Promise.all([labeler.page.waitForEvent("download"), labeler.button(name).click()]);
    return [file.suggestedFilename(), await file.path()];
  };
  const [jsonName, json] = await download("Download JSON Lines");
  assert.match(jsonName, /\.jsonl$/);
  const records = (await readFile(json, "utf8")).trim().split("\n").map((line) => JSON.parse(line));
  assert.deepEqual(Object.fromEntries(records.map(({ item_id, answer }) => [item_id, answer.label])), given);
  const [csvName, csv] = await download("Download CSV");
  assert.match(csvName, /\.csv$/);
  // As docs/backend.md tells people to read it.
  const script =
    "import csv, json, sys\n" +
    "rows = [{k: v[1:] if v.startswith(\"'\") else v for k, v in row.items()} for row in csv.DictReader(open(sys.argv[1], encoding='utf-8-sig', newline=''))]\n" +
    "print(json.dumps(rows))";
  const rows = JSON.parse(execFileSync("python3", ["-c", script, csv]));
  const column = Object.keys(rows[0]).find((name) => /label/.test(name));
  assert.deepEqual(Object.fromEntries(rows.map((row) => [row.item_id, row[column]])), given);
  assert.ok((await readFile(csv, "utf8")).includes("'=1+1"), "a formula is defused");
});
