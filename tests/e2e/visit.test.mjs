// What a person does besides answering: looking closely, dropping files, trying the demo; and what a host page does.
import assert from "node:assert/strict";
import { readFile, readdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { test } from "node:test";
import { dist, serve } from "./browser.mjs";
import { Labeler, until } from "./labeler.mjs";
import { context, server } from "./place.mjs";

const MODEL = "/hitl/models/fashion-cnn/model.json";
const fashion = async (count) => (await readFile(join(dist, "demo/data/fashion/items.jsonl"), "utf8")).split("\n").slice(0, count).join("\n");
async function clothing(count, attributes = "") {
  server.route("/items.jsonl", await fashion(count));
  return server.host("/", `<hitl-labeler model="${MODEL}" items="/items.jsonl" ${attributes}></hitl-labeler>`);
}

test("a picture can be looked at closely, step by step, and the keys go on behind it", async () => {
  const labeler = await Labeler.open(context, await clothing(20, 'accept-at="1"'));
  const { item } = await labeler.asked();
  await labeler.focus();
  const shown = () => labeler.part("dialog.zoom").evaluate((dialog) => dialog.open);
  assert.equal(await shown(), false);
  await labeler.press("z");
  await until(shown, "the picture alone");
  const room = labeler.part(".zoom__room");
  const level = labeler.part(".zoom__level");
  assert.equal(await level.textContent(), "100%");
  const width = () => labeler.part(".zoom__room img").evaluate((picture) => picture.getBoundingClientRect().width);
  const before = await width();
  await labeler.part('.zoom [aria-label="Larger"]').click();
  await labeler.part('.zoom [aria-label="Larger"]').click();
  assert.equal(await level.textContent(), "200%");
  await until(async () => (await width()) > before * 1.5, "it is larger");
  assert.ok(await room.evaluate((room) => room.scrollWidth >= room.clientWidth));
  const picture = () => labeler.part(".zoom__room img").getAttribute("src");
  const looked = await picture();
  assert.equal(await labeler.answer("1"), item);
  assert.equal(await shown(), true, "the next one is looked at closely, too");
  assert.notEqual(await picture(), looked);
  await labeler.press("Backspace");
  await labeler.asked((question) => question.item === item);
  await labeler.press("Escape");
  await until(async () => !(await shown()), "closed");
  assert.equal((await labeler.question()).item, item, "the question is the same");
  await labeler.answer("1");
});

test("pictures of the visitor's own are predicted", async () => {
  const labeler = await Labeler.open(context, server.host("/", '<hitl-labeler model="/hitl/models/efficientnet-lite0/model.json"></hitl-labeler>'));
  await labeler.part(".state input[type=file]").first().waitFor({ state: "attached" });
  const folder = join(dist, "demo/data/photos");
  const names = (await readdir(folder, { recursive: true })).filter((name) => name.endsWith(".jpg")).slice(0, 2);
  assert.equal(names.length, 2);
  await labeler.part(".state input[type=file]").first().setInputFiles(names.map((name) => join(folder, name)));
  const { arrived, aside } = await labeler.waitForPredictions(2);
  assert.deepEqual([arrived, aside], [2, 0]);
  const said = (await labeler.heard("hitl-predicted")).flatMap(({ items }) => items);
  assert.deepEqual(said.map(({ item_id }) => item_id).toSorted(), names.map((name) => basename(name)).toSorted());
});

test("pictures that are dropped on the element are asked about", async () => {
  server.route("/config.json", { labels: ["yes", "no"] });
  const labeler = await Labeler.open(context, server.host("/", '<hitl-labeler config="/config.json"></hitl-labeler>'));
  const png = [...(await readFile(join(dist, "demo/data/fashion", "../fashion/items.jsonl"), "utf8")).matchAll(/"image":"data:image\/png;base64,([^"]+)"/g)].slice(0, 2).map(([, text]) => text);
  await labeler.part(".frame").evaluate((frame, pictures) => {
    const data = new DataTransfer();
    for (const [i, text] of pictures.entries()) {
      const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
      data.items.add(new File([bytes], `dropped-${i}.png`, { type: "image/png" }));
    }
    for (const kind of ["dragenter", "dragover", "drop"]) {
      frame.dispatchEvent(new DragEvent(kind, { bubbles: true, composed: true, cancelable: true, dataTransfer: data }));
    }
  }, png);
  const asked = [(await labeler.asked()).item];
  await labeler.focus();
  await labeler.answer("1");
  asked.push((await labeler.question()).item);
  assert.deepEqual(asked.toSorted(), ["dropped-0.png", "dropped-1.png"]);
});

test("the host page hears what was settled and what was left to the person, each item once", async () => {
  const labeler = await Labeler.open(context, await clothing(200));
  await labeler.waitForPredictions(200);
  const all = async (name) => (await labeler.heard(name)).flatMap(({ items }) => items);
  const { accepted, waiting } = await until(async () => {
    const progress = await labeler.progress();
    const told = (await all("hitl-accepted")).length + (await all("hitl-deferred")).length;
    return told === 200 && progress;
  }, "all are told");
  const [settled, left, predicted] = [await all("hitl-accepted"), await all("hitl-deferred"), await all("hitl-predicted")];
  assert.deepEqual([settled.length, left.length, predicted.length], [accepted, waiting, 200]);
  const ids = new Set([...settled, ...left].map(({ item_id }) => item_id));
  assert.equal(ids.size, 200);
  for (const { label, confidence, top } of settled) {
    assert.ok(confidence >= 0.9 && top[0].label === label && Math.abs(top[0].p - confidence) < 1e-6);
  }
  for (const { reasons } of left) assert.ok(reasons.length && reasons.every(({ rule, says, result }) => rule && says && typeof result === "boolean"));
});

test("with autostart off nothing is asked before start(), and pause() takes the question away", async () => {
  server.route("/items.json", Array.from({ length: 5 }, (_, i) => ({ id: `item-${i}`, numbers: [i] })));
  server.route("/config.json", { labels: ["yes", "no"], items: "/items.json", autostart: false });
  const labeler = await Labeler.open(context, server.host("/", '<hitl-labeler config="/config.json"></hitl-labeler>'));
  await until(async () => (await labeler.progress())?.arrived === 5, "the items are there");
  assert.equal((await labeler.question())?.item ?? null, null);
  await labeler.run((element) => element.start());
  await labeler.asked();
  await labeler.focus();
  await labeler.answer("1");
  await labeler.run((element) => element.pause());
  await until(async () => !(await labeler.question())?.item, "nothing is asked");
  await labeler.press("1");
  assert.equal((await labeler.progress()).answered, 1);
  await labeler.run((element) => element.start());
  await labeler.asked();
});

test("while the model is on its way the page says how much of it is there", async () => {
  const bytes = await readFile(join(dist, "models/fashion-cnn/model.onnx"));
  let rest;
  server.route("/slow/model.json", { ...JSON.parse(await readFile(join(dist, "models/fashion-cnn/model.json"), "utf8")) });
  server.route("/slow/model.onnx", (_, response) => {
    response.writeHead(200, { "content-type": "application/octet-stream", "content-length": bytes.length });
    response.write(bytes.subarray(0, bytes.length / 2));
    rest = () => response.end(bytes.subarray(bytes.length / 2));
  });
  server.route("/items.jsonl", await fashion(20));
  const labeler = await Labeler.open(context, server.host("/", '<hitl-labeler model="/slow/model.json" items="/items.jsonl"></hitl-labeler>'), { mounted: false });
  const bar = labeler.part("progress, [role=progressbar]").first();
  await bar.waitFor();
  const share = () => bar.evaluate((bar) => (bar.position ?? bar.getAttribute("aria-valuenow") / 100));
  await until(async () => Math.abs((await share()) - 0.5) < 0.1, "half of it is there");
  rest();
  await labeler.waitForPredictions(20);
});

test("the demo's other sets come, and the slider says what each threshold would settle", async (t) => {
  const demo = await serve(dist);
  t.after(() => demo.close());
  const labeler = await Labeler.open(context, demo.url);
  const { page } = labeler;
  const number = async (id) => Number((await page.locator(`#${id}`).textContent()).replace(/\D/g, "") || NaN);
  await page.locator("input[name=set][value=weather]").check({ force: true });
  await labeler.asked();
  const all = (await readFile(join(dist, "demo/data/weather/items.jsonl"), "utf8")).trim().split("\n").length;
  await labeler.waitForPredictions(all);
  const slide = async (to) => {
    await page.locator("#threshold").fill(String(to));
    return until(async () => {
      const now = [await number("model"), await number("person")];
      return now[0] + now[1] === all && now;
    }, `what ${to} settles`);
  };
  const [lax, strict] = [await slide(0.5), await slide(0.99)];
  assert.ok(lax[0] > strict[0] && lax[1] < strict[1], `${lax} at 0.5, ${strict} at 0.99`);
  assert.equal((await labeler.progress()).accepted, strict[0]);
  await page.locator("input[name=set][value=photos]").check({ force: true });
  await page.locator("#use-samples").click();
  await labeler.waitForPredictions(9);
  const { arrived, aside } = await labeler.progress();
  assert.deepEqual([arrived, aside], [9, 0]);
});
