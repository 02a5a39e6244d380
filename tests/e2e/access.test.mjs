// The element for those who use no mouse, or do not see it: the focus is never lost, and what happens is said.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { dist } from "./browser.mjs";
import { Labeler, until } from "./labeler.mjs";
import { context, server } from "./place.mjs";
import { backend } from "./stand.mjs";

const rows = (count) => Array.from({ length: count }, (_, i) => ({ id: `item-${i}`, numbers: [i] }));
/** A page that asks about `items` (rows, or lines of a file), without a model. */
function manual(items, config = {}, body = (element) => element) {
  const file = typeof items === "string" ? "/items.jsonl" : "/items.json";
  server.route(file, items);
  server.route("/config.json", { labels: ["yes", "no", "perhaps"], items: file, ...config });
  return server.host("/", body(`<hitl-labeler config="/config.json"></hitl-labeler>`));
}
const pictures = async (count) =>
  (await readFile(join(dist, "demo/data/fashion/items.jsonl"), "utf8")).split("\n").slice(0, count).join("\n");
/** The element at a question, with the focus in it and the pointer away from it. */
async function asked(url) {
  const labeler = await Labeler.open(context, url);
  await labeler.asked();
  await labeler.page.mouse.move(0, 0);
  await labeler.focus();
  return labeler;
}
/** Waits until whatever a key press could have set off is over: two frames and a task. */
const settle = (page) =>
  page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done)))));
/** Name or text of what has the focus inside the element; null if nothing has. */
const focused = (labeler) =>
  labeler.run((element) => {
    const at = element.shadowRoot.activeElement;
    return at && (at.getAttribute("aria-label") ?? at.innerText.trim().split("\n")[0]);
  });
/** Goes to a button as Tab would, and presses it by the keyboard. */
async function press(labeler, css, options) {
  await labeler.part(css, options).focus();
  await labeler.press("Enter");
  await settle(labeler.page);
}
/** Fails unless the focus is inside after that, and single keys act. */
async function keysAct(labeler, after) {
  await until(async () => (await focused(labeler)) !== null, `the focus is inside after ${after}`, 2_000);
  await labeler.press("?");
  await labeler.part("dialog.help[open]").waitFor({ timeout: 2_000 });
  await labeler.press("Escape");
  await labeler.part("dialog.help[open]").waitFor({ state: "detached", timeout: 2_000 });
}
/** What the first live line says, once it `fits`. */
const says = (labeler, fits) =>
  until(async () => fits.test(await labeler.part(".said[role=status]").first().textContent()), `${fits} is said`, 5_000);

// ---------------------------------------------------------------- the focus

test("undo, skip and flag keep the focus when they have nothing more to do", async () => {
  const labeler = await asked(manual(rows(2)));
  await labeler.answer("1");
  await press(labeler, ".tool", { hasText: "Undo" });
  assert.match(await focused(labeler), /^Undo/);
  assert.equal(await labeler.button("Undo").getAttribute("aria-disabled"), "true");
  await labeler.press("Enter");
  await keysAct(labeler, "an undo of nothing");
  for (const tool of ["Skip", "Flag"]) {
    await labeler.run((element) => element.start());
    await labeler.asked();
    await labeler.part(".tool", { hasText: tool }).focus();
    await labeler.run((element) => element.pause());
    await until(async () => (await labeler.button(tool).getAttribute("aria-disabled")) === "true", "no question");
    await labeler.press("Enter");
    await keysAct(labeler, `${tool} without a question`);
  }
  await labeler.run((element) => element.start());
  await labeler.asked();
  assert.equal(await labeler.button("Flag").getAttribute("aria-pressed"), "false", "what is idle does nothing");
});

test("the picture can be enlarged to the end and back by the keyboard, about its middle in either direction of text", async () => {
  const labeler = await asked(manual(await pictures(3), {}, (element) => `<div dir="rtl">${element}</div>`));
  await labeler.press("z");
  const room = labeler.part(".zoom__room");
  await room.waitFor();
  const larger = '.zoom [aria-label="Larger"]';
  await press(labeler, larger);
  await press(labeler, larger);
  const [left, middle] = await room.evaluate((room) => [room.scrollLeft, (room.scrollWidth - room.clientWidth) / 2]);
  assert.ok(middle > 0 && Math.abs(left - middle) <= 4, `${left} is not ${middle}`);
  for (let i = 0; i < 5; i++) await press(labeler, larger);
  assert.equal(await labeler.part(".zoom__level").textContent(), "800%");
  assert.equal(await focused(labeler), "Larger");
  await labeler.answer("1");
  // A note is written with the picture out of the way.
  await labeler.press("n");
  await until(async () => (await focused(labeler)) === "Note", "the field has the focus");
  assert.equal(await labeler.part("dialog[open]").count(), 0);
});

test("where it is narrow, a note takes the tools' place until its last button is left, and everything fits", async () => {
  const labeler = await asked(manual(rows(3)));
  await labeler.page.setViewportSize({ width: 320, height: 900 });
  const [frame, keys] = await Promise.all([labeler.part(".frame").boundingBox(), labeler.part(".tool--end").boundingBox()]);
  assert.ok(keys.x >= frame.x && keys.x + keys.width <= frame.x + frame.width, "the list of keys is not cut off");
  assert.ok(keys.y + keys.height <= frame.y + frame.height, "nor below");
  await labeler.press("n");
  await until(async () => (await focused(labeler)) === "Note", "the field has the focus");
  await labeler.page.keyboard.type("torn");
  await labeler.press("Tab");
  await settle(labeler.page);
  assert.equal(await focused(labeler), "Done");
  await labeler.press("Enter");
  await keysAct(labeler, "a note");
  assert.ok(await labeler.button("Skip").isVisible(), "the tools are back");
  await labeler.answer("1");
  assert.equal((await labeler.records())[0].note, "torn");
});

test("banners, obstacles and refused records go without taking the focus along", async () => {
  const state = backend(server, "/records", () => 404);
  const labeler = await asked(manual(rows(9), { delivery: { url: "/records", retry: { base_ms: 100, cap_ms: 1000 } } }));
  await labeler.answer("1");
  await labeler.show("delivery");
  const send = labeler.button("Send now");
  await send.waitFor({ timeout: 5_000 });
  state.behave = () => "well";
  await press(labeler, "button", { hasText: "Send now" });
  await send.waitFor({ state: "hidden" });
  await keysAct(labeler, "sending");

  state.behave = () => "refuse";
  await labeler.show("Questions");
  await labeler.focus();
  await labeler.answer("1");
  await labeler.answer("1");
  await until(async () => (await labeler.progress()).refused === 2, "both are refused");
  await labeler.show("delivery");
  await labeler.part(".row").nth(1).waitFor();
  await press(labeler, ".row:first-child button", { hasText: "Delete" });
  assert.equal(await focused(labeler), "Keep", "the question has the focus, at the harmless answer");
  await labeler.press("Enter");
  await keysAct(labeler, "keeping it");
  await press(labeler, ".row:first-child button", { hasText: "Delete" });
  await press(labeler, ".sure button", { hasText: "Give up" });
  await until(async () => (await labeler.progress()).refused === 1, "one less");
  await keysAct(labeler, "giving it up");
  state.behave = () => "well";
  await press(labeler, "button", { hasText: "Try all again" });
  await labeler.part(".row").waitFor({ state: "detached" });
  await keysAct(labeler, "sending all again");
});

test("the list of keys opens above any view, and leaves view and focus as they were", async () => {
  const labeler = await asked(manual(rows(3)));
  for (const view of ["Accepted", "Set aside", "delivery"]) {
    await labeler.show(view);
    const heading = labeler.part(".pane h2");
    await heading.focus();
    const name = await focused(labeler);
    await labeler.press("?");
    await labeler.part("dialog.help[open]").waitFor();
    assert.equal(await labeler.part(".pane").count(), 1, `${view} is still there`);
    await labeler.press("Escape");
    await labeler.part("dialog.help[open]").waitFor({ state: "detached" });
    assert.equal(await focused(labeler), name);
  }
  await labeler.press("Escape");
  await labeler.asked();
  await until(async () => (await labeler.part(".card").count()) === 1, "one more Escape leaves the view");
});

// ---------------------------------------------------------------- keys

test("a key is asked for in words that are read out, and only one that can answer is taken", async () => {
  const labeler = await asked(manual(rows(3)));
  await labeler.press("?");
  const row = labeler.part('.binding button[aria-label*=" Skip,"]');
  const said = labeler.part(".help .trouble");
  await row.focus();
  await labeler.press("Enter");
  await settle(labeler.page);
  assert.equal(await said.textContent(), "press a key");
  for (const key of ["CapsLock", "NumLock", "Control+k", "Alt+k", "Meta+k"]) await labeler.press(key);
  await row.evaluate((row) => {
    for (const key of ["AltGraph", "Dead", "Process", "Unidentified"]) {
      row.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, composed: true, cancelable: true }));
    }
  });
  await settle(labeler.page);
  assert.equal(await said.textContent(), "press a key", "it still waits");
  await labeler.press("k");
  await until(async () => /now K$/.test(await row.getAttribute("aria-label")), "the key is K");
  assert.equal(await said.textContent(), "");
  assert.match(await focused(labeler), / Skip, now K$/, "the focus is where it was");
});

test("the field that finds a label is reached by its key, unless keys are off or the key is another's", async () => {
  const labels = Array.from({ length: 30 }, (_, i) => `label ${i}`);
  const cases = [
    [{}, true],
    [{ enabled: false }, false],
    [{ flag: "/" }, false],
  ];
  for (const [keys, finds] of cases) {
    const labeler = await asked(manual(rows(2), { labels, keys }));
    await labeler.press("/");
    await settle(labeler.page);
    assert.equal(/^Find among/.test(await focused(labeler)), finds, JSON.stringify(keys));
    assert.equal(await labeler.button("Flag").getAttribute("aria-pressed"), String(keys.flag === "/"));
    await labeler.page.close();
  }
});

// ---------------------------------------------------------------- what is said and shown

test("the end, a pause, an empty element and a broken one are announced", async () => {
  const labeler = await asked(manual(rows(2)));
  await labeler.run((element) => element.pause());
  await says(labeler, /^Paused$/);
  await labeler.run((element) => element.start());
  await says(labeler, /^Item item-/);
  await labeler.answer("1");
  await labeler.press("1");
  await says(labeler, /^All 2 items are settled$/);
  server.route("/empty.json", { labels: ["yes", "no"] });
  const empty = await Labeler.open(context, server.host("/empty", '<hitl-labeler config="/empty.json"></hitl-labeler>'));
  await says(empty, /^Drop /);
  server.route("/broken.json", { labels: 5 });
  const broken = await Labeler.open(context, server.host("/broken", '<hitl-labeler config="/broken.json"></hitl-labeler>'));
  await says(broken, /^The configuration is wrong$/);
});

test("a file that is dragged across and away leaves nothing over the question", async () => {
  const labeler = await asked(manual(rows(2), {}, (element) => `${element}<p id="outside">outside</p>`));
  const over = labeler.part(".over");
  const drag = (css, kind, to) =>
    labeler.part(css).first().evaluate(
      (at, [kind, to]) => {
        const dataTransfer = new DataTransfer();
        dataTransfer.items.add(new File(["x"], "x.png", { type: "image/png" }));
        const relatedTarget = to && (at.getRootNode().querySelector(to) ?? document.querySelector(to));
        at.dispatchEvent(new DragEvent(kind, { bubbles: true, composed: true, cancelable: true, dataTransfer, relatedTarget }));
        return new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
      },
      [kind, to],
    );
  await drag(".card", "dragover");
  assert.ok(await over.isVisible(), "it says what will happen");
  await drag(".card", "dragleave", ".ask__question");
  assert.ok(await over.isVisible(), "from one part to another");
  await drag(".card", "dragleave", "#outside");
  assert.ok(!(await over.isVisible()), "out to the page");
  await drag(".card", "dragover");
  await drag(".card", "dragleave", null);
  assert.ok(!(await over.isVisible()), "out of the window");
});

test("another page of what the model settled begins at its top, and the last one keeps the focus on its button", async () => {
  const line = (i) => JSON.stringify({ id: `row-${i}`, numbers: [i % 2, (i % 17) / 2, (i % 31) - 2, (i % 23) - 6, (i % 9) / 2, Math.sin(i), Math.cos(i)] });
  server.route("/items.jsonl", Array.from({ length: 130 }, (_, i) => line(i)).join("\n"));
  const element = '<hitl-labeler model="/hitl/models/weather-mlp/model.json" items="/items.jsonl" accept-at="0"></hitl-labeler>';
  const labeler = await Labeler.open(context, server.host("/", element));
  await labeler.waitForPredictions(130);
  await labeler.show("Accepted");
  const list = labeler.part(".pane__scroll");
  const range = (text) => labeler.part(".pane__foot [role=status]", { hasText: text }).waitFor();
  await range("1–60 of 130");
  await list.evaluate((list) => (list.scrollTop = 400));
  assert.ok((await list.evaluate((list) => list.scrollTop)) > 0, "it can be scrolled");
  await press(labeler, ".pane__foot .tool", { hasText: "Next" });
  await range("61–120 of 130");
  assert.equal(await list.evaluate((list) => list.scrollTop), 0);
  await labeler.press("Enter");
  await range("121–130 of 130");
  await labeler.press("Enter");
  await settle(labeler.page);
  assert.equal(await focused(labeler), "Next");
  await range("121–130 of 130");
});
