// Bad input and faults: each says what is wrong and what mends it, and never stops the rest or loses an answer.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { dist } from "./browser.mjs";
import { Labeler, until } from "./labeler.mjs";
import { context, server } from "./place.mjs";
import { png } from "./png.mjs";
import { backend } from "./stand.mjs";

const MODEL = "/hitl/models/fashion-cnn/model.json";

const fashion = async (count) => {
  const lines = (await readFile(join(dist, "demo/data/fashion/items.jsonl"), "utf8")).split("\n").slice(0, count);
  return lines.map((line) => JSON.parse(line));
};
const open = (config, options) => {
  server.route("/config.json", config);
  return Labeler.open(context, server.host("/", `<hitl-labeler config="/config.json"></hitl-labeler>`), options);
};
/** Items without a model, answered yes (1), no (2) or perhaps (3). */
const manual = (ids, config = {}) => {
  server.route("/items.json", ids.map((id) => ({ id, numbers: [1, 2] })));
  return { labels: ["yes", "no", "perhaps"], items: "/items.json", ...config };
};
const ids = (count) => Array.from({ length: count }, (_, i) => `item-${i}`);
/** Every record is at the backend, and each of them came in the end exactly once into its store. */
function arrivedOnce(kept, items) {
  const records = [...kept.values()].map(([first]) => first);
  assert.deepEqual(records.map(({ item_id }) => item_id).sort(), [...items].sort());
  for (const copies of kept.values()) for (const copy of copies) assert.deepEqual(copy, copies[0], "what comes again is the same");
}

// ---------------------------------------------------------------- model

const fixture = (name) => readFile(fileURLToPath(new URL(`../fixtures/model-${name}.onnx`, import.meta.url)));
/** The manifest of a small model of tests/fixtures, which reads two numbers and scores three labels. */
const small = (bytes, edit = {}) => ({
  schema: "hitl-labeler/model/1",
  name: "small",
  version: "1.0.0",
  file: "small.onnx",
  sha256: createHash("sha256").update(bytes).digest("hex"),
  bytes: bytes.length,
  input: { kind: "numbers", columns: ["a", "b"] },
  outputs: { scores: { as: "logits", activation: "softmax" } },
  labels: ["one", "two", "three"],
  ...edit,
});

const html = Buffer.from("<!doctype html><title>Not found</title>".repeat(20));
const MODELS = [
  ["is missing", async () => [undefined, small(await fixture("good"))], [/small\.onnx/, /404/]],
  ["has another digest", async () => [await fixture("good"), small(await fixture("good"), { sha256: "ab".repeat(32) })], [/sha256/, /abab/, /changed|another/]],
  ["was cut off", async () => [(await fixture("good")).subarray(0, 100), small(await fixture("good"))], [/100 bytes/, /211/, /cut off/]],
  ["is a web page", async () => [html, small(html)], [/found .*(HTML|page)/i, /expected an ONNX model/]],
  ["has operators that the engine lacks", async () => [await fixture("unsupported"), small(await fixture("unsupported"))], [/StringNormalizer/, /ZipMap/]],
  ["has another number of labels", async () => [await fixture("good"), small(await fixture("good"), { labels: ["one", "two"], outputs: { scores: { name: "scores", as: "logits", activation: "softmax" } } })], [/`labels`: found 2 labels, expected 3/]],
  ["answers what is not finite", async () => [await fixture("nan"), small(await fixture("nan"))], [/not finite/, /mean, std/]],
  ["is said to have 200 MB", async () => [await fixture("good"), small(await fixture("good"), { bytes: 200_000_000 })], [/200|190/, /model\.max_bytes/]],
  ["has a manifest with a slip of the pen", async () => [await fixture("good"), { ...small(await fixture("good")), lables: [] }], [/`lables`: found an unknown key/, /did you mean `labels`/]],
];

for (const [what, make, says] of MODELS) {
  test(`a model that ${what} is named with its mend, and one can go on without it`, async () => {
    const [file, manifest] = await make();
    server.route("/small.json", manifest);
    if (file) server.route("/small.onnx", file);
    const labeler = await open({ ...manual(["a", "b"]), labels: undefined, model: "/small.json" });
    const { title, lines } = await labeler.problems();
    assert.equal(title, "This model cannot be used");
    for (const words of says) assert.match(lines, words);
    const told = (await labeler.heard("hitl-error")).filter(({ code }) => code === "model");
    assert.equal(told.length, 1, "the host page is told once");
    assert.equal(told[0].message.split("\n")[0].slice(0, 40), lines.split("\n")[0].slice(0, 40));
    // A manifest that cannot be read names no labels to go on with.
    if (manifest.lables) return;
    await labeler.button("Go on without the model").click();
    await labeler.asked();
    await labeler.focus();
    const item = await labeler.answer("1");
    const [record] = await labeler.records();
    assert.deepEqual([record.item_id, record.role, record.answer.label], [item, "manual", "one"]);
  });
}

test("a manifest that is missing says so, and trying again takes what is there by then", async () => {
  const labeler = await open({ ...manual(["a"]), labels: undefined, model: "/small.json" });
  const { lines } = await labeler.problems();
  assert.match(lines, /small\.json.*404/s);
  const bytes = await fixture("good");
  server.route("/small.json", small(bytes, { outputs: { scores: { name: "scores", as: "logits", activation: "softmax" } } }));
  server.route("/small.onnx", bytes);
  await labeler.button("Try again").click();
  await labeler.waitForPredictions(1);
  assert.equal((await labeler.heard("hitl-predicted")).length, 1);
});

// ---------------------------------------------------------------- items

test("each item that cannot be read is set aside with its reason, and the rest is labelled", async () => {
  const [good, other] = await fashion(2);
  const png = Buffer.from("89504e470d0a1a0a0000000d494844520000ea600000ea600800000000", "hex");
  server.route("/bomb.png", png);
  server.route("/text.png", "this is no picture");
  const lines = [
    JSON.stringify(good),
    JSON.stringify({ id: "gone", image: "/gone.png" }),
    JSON.stringify({ id: "text", image: "/text.png" }),
    JSON.stringify({ id: "bomb", image: "/bomb.png" }),
    JSON.stringify({ id: "row", numbers: [1, 2, 3] }),
    JSON.stringify({ ...other, id: good.id }),
    '{"id": "broken", "image": ',
    JSON.stringify({ id: "slip", imgae: "/a.png" }),
    JSON.stringify({ id: "nowhere", image: "http://localhost:9/a.png" }),
    JSON.stringify(other),
  ];
  server.route("/items.jsonl", lines.join("\n"));
  const labeler = await open({ model: MODEL, items: "/items.jsonl", policy: { accept_at: 1 } });
  await labeler.waitForPredictions(2);
  await until(async () => (await labeler.progress()).aside === 8, "eight set aside");
  await labeler.show("Set aside");
  await labeler.part(".row").nth(7).waitFor();
  const rows = await labeler.rows();
  const why = Object.fromEntries(rows);
  assert.match(why.gone, /404/);
  assert.match(why.text, /not a picture/);
  assert.match(why.bomb, /60,000 × 60,000 pixels .* limit of 64,000,000/);
  assert.match(why.row, /reads pictures/);
  assert.match(why[good.id], /same id/);
  assert.match(why.slip, /imgae.*did you mean `image`/s);
  assert.match(why.nowhere, /could not be fetched/);
  const broken = rows.find(([name]) => /line 7/.test(name) || name === "broken");
  assert.ok(broken, `the broken line is named: ${rows.map(([name]) => name)}`);
  const told = (await labeler.heard("hitl-error")).filter(({ code }) => code === "item");
  assert.equal(told.length, 8, "the host page is told of each");
  await labeler.show("Questions");
  await labeler.asked();
  await labeler.focus();
  const answered = [await labeler.answer("1"), await labeler.answer("1")];
  assert.deepEqual(answered.sort(), [good.id, other.id].sort());
});

test("without a model a picture that cannot be shown, or is too large, is set aside, and the next one is asked about", async () => {
  const [good, other] = await fashion(2);
  server.route("/text.png", "this is no picture");
  server.route("/large.png", png({ width: 300, height: 200, colours: 0, byte: (x, y) => x ^ y }));
  server.route("/items.json", [{ id: "gone", image: "/gone.png" }, { id: "text", image: "/text.png" }, good, { id: "large", image: "/large.png" }, other]);
  const labeler = await open({ labels: ["yes", "no"], items: { url: "/items.json", pixel_limit: 50_000 } });
  await labeler.asked(({ item }) => item === good.id);
  await labeler.focus();
  await labeler.answer("1");
  await labeler.asked(({ item }) => item === other.id);
  assert.equal((await labeler.progress()).aside, 3);
  await labeler.show("Set aside");
  await labeler.part(".row").nth(2).waitFor();
  const why = Object.fromEntries(await labeler.rows());
  assert.match(why.gone, /cannot be shown/);
  assert.match(why.text, /cannot be shown/);
  assert.match(why.large, /300 × 200 pixels .* limit of 50,000/);
  // One that was set aside can be answered all the same.
  await labeler.part(".row button").last().click();
  await labeler.asked(({ item }) => item === "large");
  await labeler.focus();
  await labeler.press("1");
  await until(async () => (await labeler.progress()).aside === 2, "it is answered");
});

test("rows with the wrong number of columns or what is no number are set aside", async () => {
  const items = [
    { id: "good", numbers: [1, 0, 12.8, 5, 4.7, 0.017, 0.99] },
    { id: "short", numbers: [1, 2, 3] },
    { id: "text", numbers: [1, 0, "12.8", 5, 4.7, 0.017, 0.99] },
  ];
  server.route("/items.json", items);
  const labeler = await open({ model: "/hitl/models/weather-mlp/model.json", items: "/items.json", policy: { accept_at: 1 } });
  await until(async () => (await labeler.progress())?.aside === 2, "two set aside");
  await labeler.show("Set aside");
  await labeler.part(".row").nth(1).waitFor();
  const why = Object.fromEntries(await labeler.rows());
  assert.match(why.short, /3 numbers, where the model reads 7/);
  assert.match(why.text, /numbers\[2\].*"12\.8".*a .*number/);
  await labeler.waitForPredictions(1);
  await labeler.show("Questions");
  assert.equal((await labeler.asked()).item, "good");
});

test("a limit on pixels holds as it is configured", async () => {
  server.route("/items.json", await fashion(1));
  const labeler = await open({ model: MODEL, items: { url: "/items.json", pixel_limit: 700 } });
  await until(async () => (await labeler.progress())?.aside === 1, "one set aside");
  await labeler.show("Set aside");
  assert.match((await labeler.rows())[0][1], /28 × 28 pixels .* limit of 700/);
});

for (const [what, answer, words] of [
  ["are not there", undefined, /404/],
  ["are a web page", "<!doctype html><title>Home</title>", /HTML page/],
  ["are one object over several lines", '{\n"items": [\n{"id": 1}\n]\n}', /one JSON object/],
]) {
  test(`items that ${what} are told with the mend, and files can be given instead`, async () => {
    if (answer) server.route("/items.jsonl", answer);
    const labeler = await open({ labels: ["yes", "no"], items: "/items.jsonl" });
    const { title, lines } = await labeler.problems();
    assert.equal(title, "The items cannot be read");
    assert.match(lines, words);
    assert.equal((await labeler.heard("hitl-error")).filter(({ code }) => code === "items").length, 1);
    const file = { name: "mine.jsonl", mimeType: "application/x-ndjson", buffer: Buffer.from('{"id":"mine","numbers":[1]}\n') };
    await labeler.part("input[type=file]").setInputFiles(file);
    assert.equal((await labeler.asked()).item, "mine");
  });
}

test("items that are not there are told also when the model is well", async () => {
  const labeler = await open({ model: MODEL, items: "/items.jsonl" });
  await until(async () => (await labeler.heard("hitl-ready")).length === 1, "the model is ready");
  const { title, lines } = await labeler.problems();
  assert.equal(title, "The items cannot be read");
  assert.match(lines, /404/);
  await labeler.run((element, items) => element.addItems(items), await fashion(3));
  await labeler.waitForPredictions(3);
  await until(async () => (await labeler.part(".problem").count()) === 0, "items of the host page end the error");
});

test("a list that breaks off keeps what came before and says where", async () => {
  server.route("/items.json", '[{"id":"a","numbers":[1]},{"id":"b","numbers":[2]},{"id":"c","num');
  const labeler = await open({ labels: ["yes", "no"], items: "/items.json" });
  await labeler.part(".banner", { hasText: "Items have stopped coming" }).waitFor();
  assert.match(await labeler.part(".banner").textContent(), /after item 2/);
  await labeler.asked();
  assert.equal((await labeler.progress()).waiting, 2);
});

// ---------------------------------------------------------------- configuration

for (const [what, config, words] of [
  ["an unknown key", { labels: ["yes", "no"], itmes: "/items.json" }, /`itmes`: found an unknown key.*did you mean `items`/],
  ["a wrong type", { labels: ["yes", "no"], workers: "two" }, /`workers`: found "two", expected a whole number from 1 to 16/],
  ["a value out of range", { labels: ["yes", "no"], policy: { accept_at: 90 } }, /`policy\.accept_at`: found 90, expected a number from 0 to 1/],
  ["what is no JSON", "labels: yes, no", /not JSON|expected/],
  ["no file at all", undefined, /config\.json.*404/],
]) {
  test(`a configuration with ${what} is told to page and person with path and mend`, async () => {
    if (config) server.route("/config.json", config);
    const labeler = await Labeler.open(context, server.host("/", `<hitl-labeler config="/config.json"></hitl-labeler>`));
    const { title, lines } = await labeler.problems();
    assert.equal(title, "The configuration is wrong");
    assert.match(lines, words);
    const told = await until(async () => (await labeler.heard("hitl-error")).find(({ code }) => code === "configuration"), "hitl-error", 5000);
    assert.match(told.message, words);
    // Mended on the server, it starts without a reload.
    server.route("/items.json", [{ id: "a", numbers: [1] }]);
    server.route("/config.json", { labels: ["yes", "no"], items: "/items.json" });
    await labeler.button("Try again").click();
    assert.equal((await labeler.asked()).item, "a");
  });
}

// ---------------------------------------------------------------- server

const RETRY = { base_ms: 100, cap_ms: 1000 };
/** Answers so many questions by "1" and gives the items' ids. */
async function answerAll(labeler, count) {
  await labeler.asked();
  await labeler.focus();
  const items = [];
  for (let i = 0; i < count; i++) items.push(await labeler.answer("1"));
  return items;
}

for (const [what, bad] of [
  ["answers 500", 500],
  ["answers 503", 503],
  ["hangs", "hang"],
  ["answers with a web page", "html"],
  ["takes records and breaks off before it says so", "unheard"],
]) {
  test(`a server that ${what} and is well again has every record once`, async () => {
    const { requests, kept } = backend(server, "/records", (number) => (number < 2 ? bad : "well"));
    const labeler = await open(manual(ids(4), { delivery: { url: "/records", timeout_ms: 1000, retry: RETRY } }));
    const items = await answerAll(labeler, 3);
    await labeler.waitForDelivered(3);
    arrivedOnce(kept, items);
    assert.ok(requests.length > 2 && requests[0].how === bad, "the fault did happen");
    assert.ok(requests.every(({ key }) => key), "every request bears an Idempotency-Key");
    const [first, again] = requests;
    assert.deepEqual(again.ids, first.ids, "a batch stays the same when it is sent again");
    assert.equal(again.key, first.key, "under the same key");
  });
}

test("an answer that names no record counts for nothing, and the person reads how to mend it", async () => {
  const state = backend(server, "/records", () => "mute");
  const labeler = await open(manual(ids(2), { delivery: { url: "/records", retry: RETRY } }));
  const items = await answerAll(labeler, 1);
  await until(() => state.requests.length >= 2, "it is sent again");
  await labeler.show("delivery");
  await labeler.part(".obstacle", { hasText: "delivery.confirm" }).waitFor();
  const { delivered, undelivered } = await labeler.progress();
  assert.deepEqual([delivered, undelivered], [0, 1]);
  assert.deepEqual(await labeler.heard("hitl-delivered"), []);
  state.behave = () => "well";
  await labeler.waitForDelivered(1);
  arrivedOnce(state.kept, items);
});

test("a server that answers by status alone will do where the configuration says so", async () => {
  const state = backend(server, "/records", (number) => (number ? "mute" : "html"));
  const labeler = await open(manual(ids(2), { delivery: { url: "/records", confirm: "status", retry: RETRY } }));
  await answerAll(labeler, 1);
  await labeler.waitForDelivered(1);
  assert.ok(state.requests.length >= 2, "a web page is no answer even then");
});

test("a refused record is shown with the server's reason, and goes when it is tried again", async () => {
  const state = backend(server, "/records", () => "refuse");
  const labeler = await open(manual(ids(2), { delivery: { url: "/records", retry: RETRY } }));
  const items = await answerAll(labeler, 1);
  await until(async () => (await labeler.progress()).refused === 1, "one refused");
  assert.equal(await labeler.delivery(), "Refused");
  const [told] = (await labeler.heard("hitl-error")).filter(({ code }) => code === "refused");
  assert.match(told.records[0].why, /answer\.label: found a label, expected another/);
  await labeler.show("delivery");
  await labeler.part(".row").first().waitFor();
  assert.deepEqual(await labeler.rows(), [[items[0], "answer.label: found a label, expected another"]]);
  state.behave = () => "well";
  await labeler.button("Try all again").click();
  await labeler.waitForDelivered(1);
  arrivedOnce(state.kept, items);
});

test("a network that goes in mid-batch loses nothing, and delivery goes on by itself when it is back", async () => {
  const state = backend(server, "/records", (number) => (number === 0 ? "hang" : "well"));
  const labeler = await open(manual(ids(12), { delivery: { url: "/records", batch_size: 3, retry: RETRY } }));
  const items = await answerAll(labeler, 4);
  await until(() => state.hung.length === 1, "a batch is on its way");
  await context.setOffline(true);
  await until(async () => (await labeler.delivery()) === "Offline", "the person sees that there is no network");
  items.push(...(await answerAll(labeler, 6)));
  assert.equal((await labeler.progress()).undelivered, 10);
  // The connection is cut, too.
  state.hung.forEach((response) => response.destroy());
  await context.setOffline(false);
  await labeler.waitForDelivered(10);
  arrivedOnce(state.kept, items);
  assert.equal(await labeler.delivery(), "Sent");
});

// ---------------------------------------------------------------- browser

test("a reload between key press and delivery loses nothing", async () => {
  const state = backend(server, "/records", () => "hang");
  const labeler = await open(manual(ids(5), { delivery: { url: "/records", retry: RETRY } }));
  const items = await answerAll(labeler, 2);
  await until(async () => (await labeler.progress()).unsaved === 0, "on disk");
  assert.equal(state.kept.size, 0);
  state.behave = () => "well";
  await labeler.page.reload();
  await labeler.waitForDelivered(2);
  arrivedOnce(state.kept, items);
  const { answered, waiting } = await labeler.progress();
  assert.deepEqual([answered, waiting], [2, 3], "what was answered is not asked again");
});

test("a tab that is closed delivers when the page is opened again", async () => {
  const state = backend(server, "/records", () => 503);
  const labeler = await open(manual(ids(5), { delivery: { url: "/records", retry: RETRY } }));
  const items = await answerAll(labeler, 3);
  await until(async () => (await labeler.progress()).unsaved === 0, "on disk");
  await labeler.page.close();
  state.behave = () => "well";
  const again = await Labeler.open(context, server.url);
  await again.waitForDelivered(3);
  arrivedOnce(state.kept, items);
  assert.ok(!items.includes((await again.asked()).item), "what was answered is not asked again");
});

test("without IndexedDB a banner says so, labels stay in memory and can be downloaded and delivered", async () => {
  const state = backend(server, "/records", () => "well");
  await context.addInitScript(() => Object.defineProperty(globalThis, "indexedDB", { value: undefined }));
  const labeler = await open(manual(ids(4), { delivery: { url: "/records", retry: RETRY } }));
  await labeler.part(".banner", { hasText: "Answers are not saved here." }).waitFor();
  const items = await answerAll(labeler, 2);
  const told = await labeler.heard("hitl-corrected");
  assert.deepEqual(told.map(({ durable }) => durable), [false, false]);
  const [file] = await Promise.all([labeler.page.waitForEvent("download"), labeler.part(".banner button").click()]);
  const records = (await readFile(await file.path(), "utf8")).trim().split("\n").map((line) => JSON.parse(line));
  assert.deepEqual(records.map(({ item_id }) => item_id).sort(), items.sort());
  await labeler.waitForDelivered(2);
  arrivedOnce(state.kept, items);
});

test("a second tab shows the first one's answers and sends nothing twice", async () => {
  const state = backend(server, "/records");
  const first = await open(manual(ids(8), { delivery: { url: "/records", retry: RETRY } }));
  const second = await Labeler.open(context, server.url);
  await second.asked();
  await first.page.bringToFront();
  const items = await answerAll(first, 3);
  await until(async () => (await second.progress()).answered === 3, "the second tab knows of the answers");
  await second.page.bringToFront();
  items.push(...(await answerAll(second, 2)));
  assert.equal(new Set(items).size, 5, "nothing is asked in both tabs once it is answered");
  await first.waitForDelivered(5);
  await second.waitForDelivered(5);
  arrivedOnce(state.kept, items);
  for (const copies of state.kept.values()) assert.equal(copies.length, 1, "sent once");
  // The tab that sent goes away: the other takes over.
  await first.page.close();
  items.push(...(await answerAll(second, 1)));
  await second.waitForDelivered(6);
  arrivedOnce(state.kept, items);
});

test("markup in items, labels, question and answers of the server stays text", async () => {
  const markup = (n) => `<img src=x${n} onerror="globalThis.fired=${n}"><b>bold</b>`;
  const state = backend(server, "/records", () => "refuse");
  server.route("/items.json", [
    { id: markup(1), numbers: [1], meta: { text: markup(2) } },
    { id: markup(1), numbers: [1] },
    { id: "other", numbers: [2] },
  ]);
  const labels = [{ id: markup(3), name: markup(4) }, { id: "no", name: markup(5) }];
  const labeler = await open({ labels, question: markup(6), items: "/items.json", annotator: markup(7), delivery: { url: "/records" } });
  await labeler.part(".choice").first().waitFor();
  assert.equal(await labeler.part(".choice__name").first().textContent(), markup(4));
  assert.equal(await labeler.part(".ask__question").textContent(), markup(6));
  await labeler.focus();
  await labeler.press("1");
  await until(async () => (await labeler.progress()).refused === 1, "refused");
  await labeler.show("delivery");
  await labeler.part(".row").first().waitFor();
  await labeler.show("Set aside");
  await until(async () => (await labeler.rows())[0]?.[0] === markup(1), "the set-aside item's id as text");
  await labeler.show("Questions");
  await labeler.press("?");
  await labeler.part("dialog[open]").first().waitFor();
  const found = await labeler.run((element) => element.shadowRoot.querySelectorAll("img[src^=x], b b, h2 b, bdi b").length);
  assert.equal(found, 0);
  assert.equal(await labeler.page.evaluate(() => globalThis.fired), undefined);
  const [record] = await labeler.records();
  assert.equal(record.answer.label, markup(3));
});

test("an item over which the workers hang is given to the person, and the others are predicted", async () => {
  const [good, other] = await fashion(2);
  // A picture whose answer never ends.
  server.route("/endless.png", (_, response) => {
    response.writeHead(200, { "content-type": "image/png" });
    response.write(Buffer.from("89504e470d0a1a0a", "hex"));
  });
  server.route("/items.json", [good, { id: "endless", image: "/endless.png" }, other]);
  const labeler = await open({ model: MODEL, items: "/items.json", policy: { accept_at: 0.2 }, item_deadline_ms: 500, workers: 1 });
  const question = await labeler.asked(({ item }) => item === "endless");
  assert.match(question.reason, /The model could not read this one/);
  await labeler.waitForPredictions(3);
  assert.deepEqual([(await labeler.progress()).accepted, (await labeler.progress()).waiting], [2, 1]);
  assert.equal(server.asked.filter((path) => path === "/endless.png").length >= 2, true, "it was tried once more");
  await labeler.focus();
  await labeler.answer("2");
  const record = (await labeler.records()).find(({ item_id }) => item_id === "endless");
  assert.deepEqual([record.answer.label, record.prediction ?? null], ["trouser", null]);
});

// The first one predicts (the last one learns). Only one goes: an item is tried twice, not thrice.
const ENDS = {
  "dies without a word": () => globalThis.made[0].terminate(),
  // As after a panic: what it says last is that it cannot go on.
  "says that it cannot go on": () => globalThis.made[0].postMessage({ head: { type: "dance" }, parts: [] }),
};
for (const [how, end] of Object.entries(ENDS)) test(`a worker that ${how} is replaced, and every item has its prediction`, async () => {
  const lines = (await fashion(300)).map((item) => JSON.stringify(item));
  let rest;
  server.route("/items.jsonl", (_, response) => {
    response.writeHead(200, { "content-type": "application/x-ndjson" });
    response.write(`${lines.slice(0, 20).join("\n")}\n`);
    rest = () => response.end(lines.slice(20).join("\n"));
  });
  await context.addInitScript(() => {
    globalThis.made = [];
    globalThis.Worker = class extends Worker {
      constructor(...given) {
        super(...given);
        made.push(this);
      }
    };
  });
  const labeler = await open({ model: MODEL, items: "/items.jsonl", policy: { accept_at: 1 }, item_deadline_ms: 300, workers: 2 });
  await labeler.waitForPredictions(20);
  const made = () => labeler.page.evaluate(() => globalThis.made.length);
  const before = await made();
  await labeler.page.evaluate(end);
  rest();
  await labeler.waitForPredictions(300);
  assert.ok((await made()) > before, "another took its place");
  assert.equal((await labeler.run((element) => element.coverage([0]))).predicted, 300);
  const { accepted, waiting } = await labeler.progress();
  assert.equal(accepted + waiting, 300);
});

test("a page whose worker's Wasm is missing says so and goes on without the model", async () => {
  await context.route(/worker(_relaxed)?_bg\.wasm/, (route) => route.fulfill({ status: 404 }));
  server.route("/items.json", await fashion(2));
  const labeler = await open({ model: MODEL, items: "/items.json" });
  await labeler.part(".banner", { hasText: "The model does not run in this browser" }).waitFor();
  await labeler.asked();
  assert.equal((await labeler.heard("hitl-error")).filter(({ code }) => code === "workers").length, 1);
  await labeler.focus();
  await labeler.answer("1");
});

test("a page whose own Wasm is missing says so", async () => {
  await context.route(/page_bg\.wasm/, (route) => route.fulfill({ status: 404 }));
  const labeler = await open(manual(["a"]), { mounted: false });
  const line = labeler.part("[role=alert]");
  await line.waitFor();
  assert.match(await line.textContent(), /could not start.*page_bg\.wasm/);
  assert.equal((await labeler.heard("hitl-error")).filter(({ code }) => code === "start").length, 1);
});
