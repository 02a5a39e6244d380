// The element as a guest on somebody's page: it minds its own keys, gives back what it took, and works from anywhere.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { dist, serve } from "./browser.mjs";
import { Labeler, until } from "./labeler.mjs";
import { context, server } from "./place.mjs";
import { backend, stand } from "./stand.mjs";

const MODEL = "/hitl/models/fashion-cnn/model.json";

const fashion = async (count) =>
  (await readFile(join(dist, "demo/data/fashion/items.jsonl"), "utf8")).split("\n").slice(0, count).join("\n");
const rows = (count, name = "item") => Array.from({ length: count }, (_, i) => ({ id: `${name}-${i}`, numbers: [i] }));
/** An element that asks about `count` rows, with this configuration beside. */
function manual(count, config = {}, body = (element) => element) {
  server.route("/items.json", rows(count));
  server.route("/config.json", { labels: ["yes", "no", "perhaps"], items: "/items.json", ...config });
  return server.host("/", body(`<hitl-labeler config="/config.json"></hitl-labeler>`));
}
/** Waits until whatever a key press could have set off is over: two frames and a task. */
const settle = (page) =>
  page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done)))));
/** Presses a key and tells whether an answer came of it. */
async function answers(labeler, key) {
  const before = (await labeler.progress()).answered;
  await labeler.press(key);
  await settle(labeler.page);
  return (await labeler.progress()).answered > before;
}
/** What goes wrong in the page from now on: a list that grows. */
function errorsOf(page) {
  const errors = [];
  page.on("pageerror", (error) => errors.push(error.message));
  page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
  return errors;
}
/** Whether the keyboard's focus is on something inside the element's shadow root. */
const focusInside = (labeler) => labeler.run((element) => element.shadowRoot.activeElement !== null);

// ---------------------------------------------------------------- neighbours

test("two elements on one page do not disturb each other", async () => {
  const one = backend(server, "/one");
  const two = backend(server, "/two");
  server.route("/a.json", rows(5, "a"));
  server.route("/b.json", rows(5, "b"));
  const element = (id, endpoint) => `<hitl-labeler id="${id}" config="/${id}-config.json" endpoint="${endpoint}"></hitl-labeler>`;
  server.route("/a-config.json", { labels: ["yes", "no"], items: "/a.json" });
  server.route("/b-config.json", { labels: ["left", "right"], items: "/b.json" });
  const a = await Labeler.open(context, server.host("/", element("a", "/one") + element("b", "/two")), { selector: "#a" });
  const b = new Labeler(a.page, "#b");
  await Promise.all([a.asked(), b.asked()]);
  await a.focus();
  const inA = [await a.answer("1"), await a.answer("2")];
  assert.equal((await b.progress()).answered, 0);
  await b.focus();
  await a.page.mouse.move(0, 0);
  const inB = [await b.answer("1")];
  assert.equal((await a.progress()).answered, 2);
  await a.waitForDelivered(2);
  await b.waitForDelivered(1);
  const arrived = ({ kept }) => [...kept.values()].map(([{ item_id }]) => item_id).sort();
  assert.deepEqual([arrived(one), arrived(two)], [inA.sort(), inB]);
  const labels = ({ kept }) => [...kept.values()].map(([{ answer }]) => answer.label).sort();
  assert.deepEqual([labels(one), labels(two)], [["no", "yes"], ["left"]]);
  const ids = await a.page.evaluate(() => heard.filter(([name]) => name === "hitl-corrected").map(([, , id]) => id));
  assert.deepEqual(ids, ["a", "a", "b"], "each tells of its own");
  await a.run((element) => element.remove());
  await b.focus();
  await b.answer("2");
});

test("an element that is removed gives back its workers and its keys; one that is moved keeps everything", async () => {
  server.route("/items.jsonl", await fashion(200));
  const element = `<hitl-labeler model="${MODEL}" items="/items.jsonl"></hitl-labeler>`;
  const labeler = await Labeler.open(context, server.host("/", `<div id="here">${element}</div><main id="there"></main>`));
  const { page } = labeler;
  const started = [];
  page.on("worker", (worker) => started.push(worker));
  await labeler.waitForPredictions(200);
  const workers = page.workers().length;
  assert.ok(workers >= 1);
  await labeler.focus();
  await labeler.answer("1");
  const before = [await labeler.progress(), await labeler.question()];
  const startedBefore = started.length;

  await labeler.run((element) => document.querySelector("#there").append(element));
  await settle(page);
  assert.equal(await page.locator("#there hitl-labeler").count(), 1);
  const { seconds_per_answer: _, ...counts } = await labeler.progress();
  const { seconds_per_answer: __, ...countsBefore } = before[0];
  assert.deepEqual(counts, countsBefore);
  assert.deepEqual(await labeler.question(), before[1]);
  assert.equal(started.length, startedBefore, "no worker was started anew");
  await labeler.focus();
  await labeler.answer("2");

  await page.evaluate(() => {
    globalThis.removed = document.querySelector("hitl-labeler");
    removed.remove();
  });
  await until(() => page.workers().length === 0, "every worker is gone");
  assert.equal(await page.evaluate(() => removed.progress), null);
  const spare = await page.evaluate(() => removed.shadowRoot.querySelector(".frame"));
  assert.equal(spare, null, "the view is gone, too");
  // A key that a listener left behind takes for its own is not the page's any more.
  const taken = await page.evaluate(() => {
    removed.dispatchEvent(new PointerEvent("pointerenter"));
    const key = new KeyboardEvent("keydown", { key: "1", bubbles: true, cancelable: true });
    return !document.body.dispatchEvent(key);
  });
  assert.equal(taken, false);

  // Put back, it goes on where it was.
  await page.evaluate(() => document.querySelector("#here").append(removed));
  await until(async () => (await labeler.progress())?.answered === 2, "both answers are there again");
});

test("elements that come and go leave no memory, no listeners and no nodes behind", async () => {
  server.route("/items.jsonl", await fashion(50));
  const labeler = await Labeler.open(context, server.host("/", `<hitl-labeler model="${MODEL}" items="/items.jsonl"></hitl-labeler>`));
  const { page } = labeler;
  const session = await page.context().newCDPSession(page);
  const counted = async () => {
    await page.evaluate(() => document.querySelector("hitl-labeler").remove());
    await until(() => page.workers().length === 0, "every worker is gone");
    await settle(page);
    // What Wasm held is let go after one collection, and collected by the next.
    for (let i = 0; i < 3; i++) {
      await session.send("HeapProfiler.collectGarbage");
      await new Promise((done) => setTimeout(done, 100));
    }
    return session.send("Memory.getDOMCounters");
  };
  const again = async (times) => {
    for (let i = 0; i < times; i++) {
      await page.evaluate((model) => {
        const element = document.createElement("hitl-labeler");
        element.setAttribute("model", model);
        element.setAttribute("items", "/items.jsonl");
        document.querySelector("hitl-labeler")?.remove();
        document.body.append(element);
      }, MODEL);
      await labeler.waitForPredictions(50);
      await labeler.asked();
    }
    return counted();
  };
  await labeler.waitForPredictions(50);
  await counted();
  const few = await again(2);
  const more = await again(6);
  assert.ok(more.nodes <= few.nodes + 20, `nodes: ${few.nodes}, then ${more.nodes}`);
  assert.ok(more.jsEventListeners <= few.jsEventListeners + 5, `listeners: ${few.jsEventListeners}, then ${more.jsEventListeners}`);
});

test("an element that is removed by the page as soon as it is done leaves no error behind", async () => {
  const labeler = await Labeler.open(context, manual(2));
  const errors = errorsOf(labeler.page);
  await labeler.asked();
  await labeler.run((element) => element.addEventListener("hitl-done", () => element.remove()));
  // By the mouse, so that the focus is on what goes.
  for (let i = 0; i < 2; i++) {
    const before = (await labeler.question()).item;
    await labeler.button("yes").click();
    if (i === 0) await until(async () => (await labeler.question()).item !== before, "the next question");
  }
  await until(() => labeler.page.evaluate(() => !document.querySelector("hitl-labeler")), "it is gone");
  await settle(labeler.page);
  assert.deepEqual(errors, []);
  // The page's Wasm still works.
  await labeler.page.evaluate(() => {
    const again = document.createElement("hitl-labeler");
    again.setAttribute("config", "/config.json");
    document.body.append(again);
  });
  await until(async () => (await labeler.progress())?.answered === 2, "another element goes on");
});

test("an attribute that changes together with a step back leaves no error behind", async () => {
  const labeler = await Labeler.open(context, manual(4));
  const errors = errorsOf(labeler.page);
  await labeler.asked();
  await labeler.focus();
  await labeler.answer("1");
  await labeler.run((element) => {
    element.setAttribute("annotator", "ada");
    element.undo();
  });
  await until(async () => (await labeler.progress())?.answered === 0, "it was taken back");
  await settle(labeler.page);
  assert.deepEqual(errors, []);
});

test("an element that is removed while it starts does nothing more and complains of nothing", async () => {
  let begin;
  const begun = new Promise((resolve) => (begin = resolve));
  server.route("/slow.json", () => begin());
  server.route("/items.json", rows(3));
  const element = `<hitl-labeler model="/slow.json" items="/items.json"></hitl-labeler>`;
  const labeler = await Labeler.open(context, server.host("/", element));
  await begun;
  await until(() => labeler.page.workers().length > 0, "workers are being prepared");
  await labeler.run((element) => {
    globalThis.complaints = [];
    element.addEventListener("hitl-error", ({ detail }) => complaints.push(detail.message));
    element.remove();
  });
  await until(() => labeler.page.workers().length === 0, "every worker is gone");
  await settle(labeler.page);
  assert.deepEqual(await labeler.page.evaluate(() => complaints), []);
  // Changing it while it starts counts once, too.
  await labeler.page.evaluate((items) => {
    const element = document.createElement("hitl-labeler");
    document.body.append(element);
    element.config = { labels: ["a", "b"] };
    element.config = { labels: ["yes", "no"] };
    element.items = items;
  }, rows(3));
  await labeler.asked();
  assert.equal(await labeler.part(".choice__name").first().textContent(), "yes");
  assert.deepEqual(await labeler.heard("hitl-error"), []);
});

// ---------------------------------------------------------------- keys

test("keys act only while the element has the focus or the pointer, and never in the host page's inputs", async () => {
  const url = manual(20, {}, (element) => `<input id="own"><div id="rich" contenteditable>text</div><button id="other">b</button><p id="away">away</p>${element}`);
  const labeler = await Labeler.open(context, url);
  const { page } = labeler;
  await labeler.asked();
  await page.mouse.move(1, 1);
  assert.equal(await answers(labeler, "1"), false, "neither focus nor pointer");
  await labeler.part(".ask__question").hover();
  assert.equal(await answers(labeler, "1"), true, "the pointer is in it");
  await page.locator("#own").focus();
  assert.equal(await answers(labeler, "1"), false, "a host input has the focus");
  assert.equal(await page.locator("#own").inputValue(), "1", "and gets what is typed");
  await page.locator("#rich").focus();
  assert.equal(await answers(labeler, "1"), false, "a host text has the focus");
  await page.locator("#other").focus();
  assert.equal(await answers(labeler, "1"), false, "a host button has the focus");
  await labeler.focus();
  await page.mouse.move(1, 1);
  assert.equal(await answers(labeler, "1"), true, "the focus is in it");
  assert.equal(await answers(labeler, "Control+1"), false, "the browser's own keys stay the browser's");
  assert.equal(await answers(labeler, "9"), false, "a key without a meaning has none");
});

test("a key that is held down answers once", async () => {
  const labeler = await Labeler.open(context, manual(20));
  await labeler.asked();
  await labeler.focus();
  for (let i = 0; i < 5; i++) await labeler.page.keyboard.down("1");
  await labeler.page.keyboard.up("1");
  await settle(labeler.page);
  assert.equal((await labeler.progress()).answered, 1);
});

test("keys can be remapped in the configuration", async () => {
  const keys = { labels: { yes: "ArrowRight", no: "s" }, undo: "u" };
  const labeler = await Labeler.open(context, manual(20, { keys }));
  await labeler.asked();
  await labeler.focus();
  const first = await labeler.answer("ArrowRight");
  const second = await labeler.answer("s");
  await labeler.press("u");
  await labeler.asked(({ item }) => item === second);
  assert.equal(await answers(labeler, "Backspace"), false);
  assert.equal((await labeler.progress()).answered, 1, "the usual key of undo has lost its meaning");
  const [record] = (await labeler.records()).filter(({ item_id }) => item_id === first);
  assert.equal(record.answer.label, "yes");
});

test("keys that are switched off do nothing but the help, and the person can switch them on for good", async () => {
  const labeler = await Labeler.open(context, manual(20, { keys: { enabled: false } }));
  await labeler.asked();
  await labeler.focus();
  assert.equal(await answers(labeler, "1"), false);
  await labeler.part(".choice").first().click();
  await until(async () => (await labeler.progress()).answered === 1, "a click answers all the same");
  await labeler.press("?");
  await labeler.part("dialog[open] input[type=checkbox]").click();
  await labeler.press("Escape");
  await until(async () => (await labeler.part("dialog[open]").count()) === 0, "the help is closed");
  await labeler.focus();
  await labeler.answer("1");
  await labeler.page.reload();
  await until(async () => (await labeler.progress())?.answered === 2, "the answers are there again");
  await labeler.asked();
  await labeler.focus();
  await labeler.answer("1");
});

test("the keyboard's focus is never lost, whatever is answered, taken back, skipped or opened", async () => {
  const labeler = await Labeler.open(context, manual(4));
  await labeler.asked();
  await labeler.focus();
  const steps = [
    ["an answer by key", () => labeler.answer("1")],
    ["undo", () => labeler.press("Backspace")],
    ["skip", () => labeler.press("s")],
    ["a click on an answer", () => labeler.part(".choice").first().click()],
    ["a click on undo", () => labeler.button("Undo").click()],
    ["a note", async () => {
      await labeler.press("n");
      await until(() => labeler.run((element) => element.shadowRoot.activeElement?.matches(".field")), "the note has the focus");
      await labeler.press("Escape");
    }],
    ["the set-aside list", () => labeler.show("Set aside")],
    ["the questions again", () => labeler.show("Questions")],
    ["the help", () => labeler.press("?")],
    ["leaving the help", () => labeler.press("Escape")],
  ];
  for (const [what, step] of steps) {
    await step();
    await settle(labeler.page);
    assert.ok(await focusInside(labeler), `the focus is gone after ${what}`);
  }
  await labeler.focus();
  while ((await labeler.progress()).waiting) {
    await labeler.answer("1");
    await until(() => focusInside(labeler), "the focus stays");
  }
  await labeler.part(".state h2", { hasText: "settled" }).waitFor();
  await until(() => focusInside(labeler), "the last answer leaves the focus on what comes then");
  await labeler.press("Backspace");
  await labeler.asked();
  await until(() => focusInside(labeler), "and undo works from there");
});

test("nothing moves for those who want no motion", async () => {
  const moving = (labeler) =>
    labeler.run((element) =>
      [...element.shadowRoot.querySelectorAll("*")]
        .flatMap((one) => [one, "::before", "::after"].map((pseudo) => getComputedStyle(one, typeof pseudo === "string" ? pseudo : null)))
        .flatMap((style) => [...style.transitionDuration.split(","), ...style.animationDuration.split(",")])
        .filter((time) => parseFloat(time) * (time.trim().endsWith("ms") ? 1 : 1000) > 1).length,
    );
  const labeler = await Labeler.open(context, manual(4));
  await labeler.asked();
  assert.ok((await moving(labeler)) > 0, "something moves for the others, so that this test can fail");
  await labeler.page.emulateMedia({ reducedMotion: "reduce" });
  await until(async () => (await moving(labeler)) === 0, "all is still", 5000);
});

// ---------------------------------------------------------------- amounts

test("of 100,000 items that stream in, the first question comes before the rest, and keys stay quick meanwhile", async () => {
  const COUNT = 100_000;
  const line = (i) => JSON.stringify({ id: `row-${i}`, numbers: [i % 2, (i % 17) / 2, (i % 31) - 2, (i % 23) - 6, (i % 9) / 2, Math.sin(i), Math.cos(i)] });
  let rest;
  server.route("/items.jsonl", (_, response) => {
    response.writeHead(200, { "content-type": "application/x-ndjson" });
    for (let i = 0; i < 500; i++) response.write(`${line(i)}\n`);
    // The rest comes when the test says so: after the first question.
    rest = () => {
      let text = "";
      for (let i = 500; i < COUNT; i++) text += `${line(i)}\n`;
      response.end(text);
    };
  });
  const url = server.host("/", `<hitl-labeler model="/hitl/models/weather-mlp/model.json" items="/items.jsonl" accept-at="0.8"></hitl-labeler>`);
  const labeler = await Labeler.open(context, url);
  await labeler.asked();
  assert.ok((await labeler.progress()).arrived <= 500);
  await labeler.focus();
  rest();
  await until(async () => (await labeler.progress()).arrived > 500, "the rest is coming");
  // From key press to the next question in the document, as the page itself sees it.
  await labeler.run((element) => {
    globalThis.delays = [];
    const said = element.shadowRoot.querySelector(".said[role=status]");
    addEventListener("keydown", () => {
      const pressed = performance.now();
      const observer = new MutationObserver(() => (delays.push(performance.now() - pressed), observer.disconnect()));
      observer.observe(said, { childList: true, characterData: true, subtree: true });
    }, true);
  });
  const meanwhile = [];
  for (let i = 0; i < 20; i++) {
    meanwhile.push((await labeler.progress()).arrived < COUNT || (await labeler.progress()).predicting > 0);
    await labeler.answer(String(1 + (i % 5)));
  }
  assert.ok(meanwhile.filter(Boolean).length >= 5, "the keys were pressed while items came or were read");
  const delays = await until(async () => {
    const delays = await labeler.page.evaluate(() => delays);
    return delays.length === 20 && delays;
  }, "each press brought a question");
  const middle = delays.toSorted((a, b) => a - b)[10];
  // A benchmark measures the figure; this one only notices when a press waits for all the items.
  assert.ok(middle < 250, `half of the presses took more than ${middle} ms`);
  await until(async () => (await labeler.progress()).arrived === COUNT, "all items have come");
});

// ---------------------------------------------------------------- places

test("the demo works under a sub-path of a plain static server, and asks nobody else", async () => {
  const base = "/some/where/deep/";
  const plain = await serve({ base });
  try {
    const labeler = await Labeler.open(context, plain.url);
    await labeler.waitForPredictions(1000);
    await labeler.asked();
    await labeler.focus();
    await labeler.answer("1");
    await until(async () => (await labeler.delivery()) === "Saved", "the answer stays in the browser");
    const outside = plain.asked.filter((path) => !path.startsWith(base) && path !== "/favicon.ico");
    assert.deepEqual(outside, []);
  } finally {
    await plain.close();
  }
});

test("a server that gives Wasm a wrong media type will do", async () => {
  const wrong = await stand({ types: { ".wasm": "application/octet-stream" } });
  try {
    wrong.route("/items.jsonl", await fashion(20));
    const url = wrong.host("/", `<hitl-labeler model="${MODEL}" items="/items.jsonl"></hitl-labeler>`);
    const labeler = await Labeler.open(context, url);
    await labeler.waitForPredictions(20);
    assert.deepEqual(await labeler.heard("hitl-error"), []);
    assert.equal((await labeler.run((element) => element.coverage([0]))).predicted, 20);
  } finally {
    await wrong.close();
  }
});

test("the element's files may come from another origin", async () => {
  const files = await stand({ headers: { "access-control-allow-origin": "*" } });
  try {
    server.route("/items.jsonl", await fashion(20));
    const element = `<hitl-labeler model="${files.url}hitl/models/fashion-cnn/model.json" items="/items.jsonl"></hitl-labeler>`;
    const labeler = await Labeler.open(context, server.host("/", element, { script: `${files.url}hitl/define.js` }));
    await labeler.waitForPredictions(20);
    assert.equal((await labeler.run((element) => element.coverage([0]))).predicted, 20);
    assert.ok(labeler.page.workers().length >= 1);
    assert.ok(!server.asked.some((path) => path.startsWith("/hitl/")), "nothing of the element came from the page's own server");
  } finally {
    await files.close();
  }
});

const SHORT = "script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'";
const LONG = `default-src 'none'; ${SHORT}; style-src 'self'; img-src 'self' blob: data:; connect-src 'self' data:`;
for (const [which, policy] of [["short", SHORT], ["long", LONG]]) test(`the ${which} Content-Security-Policy of the README is enough`, async () => {
  server.route("/items.jsonl", await fashion(20));
  const head = `<meta http-equiv="Content-Security-Policy" content="${policy}">`;
  const element = `<hitl-labeler model="${MODEL}" items="/items.jsonl"></hitl-labeler>`;
  const labeler = await Labeler.open(context, server.host("/", element, { head }));
  await labeler.waitForPredictions(20);
  assert.equal((await labeler.run((element) => element.coverage([0]))).predicted, 20);
  const blocked = await labeler.page.evaluate(async () => {
    const script = document.createElement("script");
    script.textContent = "globalThis.evil = true";
    document.head.append(script);
    return globalThis.evil === undefined;
  });
  assert.ok(blocked, "the policy does hold on this page");
});
