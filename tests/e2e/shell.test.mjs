// What a host page and its framework do with the element: set its properties over and over, call it too early or too
// late, give items that can be read once only, put two of them on one page.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { dist } from "./browser.mjs";
import { Labeler, until } from "./labeler.mjs";
import { context, server } from "./place.mjs";
import { backend, stand } from "./stand.mjs";

const rows = (count, name = "item") => Array.from({ length: count }, (_, i) => ({ id: `${name}-${i}`, numbers: [i] }));
const ELEMENT = '<hitl-labeler config="/config.json"></hitl-labeler>';

/** An element that has a task, and no items yet. */
function open(config = {}) {
  server.route("/config.json", { labels: ["yes", "no"], ...config });
  return Labeler.open(context, server.host("/", ELEMENT));
}
/** A page that has the element's script, and no element yet. */
async function empty() {
  server.route("/config.json", { labels: ["yes", "no"], autostart: false });
  const labeler = await Labeler.open(context, server.host("/", ""), { mounted: false });
  await labeler.page.evaluate(() => customElements.whenDefined("hitl-labeler").then(() => {}));
  return labeler;
}
/** Waits for so many items, of which none came twice. */
async function arrived(labeler, count) {
  await until(async () => (await labeler.progress())?.arrived >= count, `${count} items`);
  await settle(labeler);
  const { arrived, aside } = await labeler.progress();
  assert.deepEqual({ arrived, aside }, { arrived: count, aside: 0 });
}
/** Waits until whatever was set off is over: two frames and a task. */
const settle = ({ page }) =>
  page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done)))));
let visitors = 0;
/** Has the element start anew, as a page does once it knows who answers. */
const logIn = (labeler) => labeler.run((element, who) => element.setAttribute("annotator", who), `visitor ${(visitors += 1)}`);
const starts = async (labeler) => (await labeler.heard("hitl-ready")).length;

// ---------------------------------------------------------------- what is set again

test("a framework that sets every property at each event starts nothing anew", async () => {
  const labeler = await open();
  await labeler.run((element, items) => {
    globalThis.draw = () => {
      element.config = { labels: ["yes", "no"], question: "Is it?" };
      element.items = items;
    };
    for (const name of ["ready", "deferred", "corrected"]) element.addEventListener(`hitl-${name}`, draw);
    draw();
  }, rows(3));
  await labeler.asked();
  await labeler.focus();
  const before = await starts(labeler);
  await labeler.answer("1");
  await labeler.page.evaluate(() => draw());
  await settle(labeler);
  assert.equal(await starts(labeler), before);
  assert.ok(before <= 2, `${before} starts`);
  // And nothing is nothing, by whatever name.
  const other = await open();
  await until(async () => (await starts(other)) > 0, "it has started");
  const once = await starts(other);
  await other.run((element) => {
    element.config = undefined;
    element.config = null;
    element.items = null;
  });
  await settle(other);
  assert.equal(await starts(other), once);
  // What a framework writes for the attribute is the attribute.
  server.route("/others.json", rows(2, "other"));
  await other.run((element) => (element.items = "/others.json"));
  await other.asked(({ item }) => item.startsWith("other"));
});

test("a configuration that was changed in place counts when it is set, and one that is none is told", async () => {
  const labeler = await open();
  const first = () => labeler.part(".choice__name").first().textContent();
  await labeler.run((element, items) => {
    globalThis.config = { labels: ["ja", "nein"] };
    element.config = config;
    element.items = items;
  }, rows(2));
  await labeler.asked();
  assert.equal(await first(), "ja");
  await labeler.run((element) => {
    config.labels = ["oui", "non"];
    element.config = config;
  });
  await until(async () => (await first()) === "oui", "the other answers");
  // It is compared with what is on the page, not with what was set.
  await labeler.run((element) => {
    config.labels = ["si", "no"];
    element.setAttribute("annotator", "ada");
  });
  await until(async () => (await first()) === "si", "what was changed in place, by another start");
  await labeler.run((element) => void (element.config = { labels: ["oui", "non"] }));
  await until(async () => (await first()) === "oui", "the answers before");
  await labeler.run((element) => {
    config.itself = config;
    element.config = config;
  });
  await until(async () => (await labeler.heard("hitl-error")).some(({ code }) => code === "configuration"), "it is told");
});

test("an empty text or undefined for the target means none, as for the threshold", async () => {
  const labeler = await empty();
  const said = await labeler.page.evaluate(() => {
    const element = document.createElement("hitl-labeler");
    const set = (value) => {
      try {
        element.target = 0.95;
        element.target = value;
        return element.target;
      } catch (why) {
        return why.message;
      }
    };
    return [undefined, null, "", "0.9", 95, "much"].map(set);
  });
  const words = (found) => `target: found ${found}, expected a number from 0.5 to 0.999, or null`;
  assert.deepEqual(said, [null, null, null, 0.9, words(95), words("much")]);
});

test("the configured target stands until the page gives it up, and comes back when the page says nothing of it", async () => {
  const items = (await readFile(join(dist, "demo/data/fashion/items.jsonl"), "utf8")).split("\n").slice(0, 5);
  server.route("/items.jsonl", items.join("\n"));
  const labeler = await open({ labels: undefined, model: "/hitl/models/fashion-cnn/model.json", items: "/items.jsonl", policy: { target: 0.95 } });
  await labeler.waitForPredictions(5);
  const target = (value) => labeler.run((element, value) => void (element.target = value[0]), [value]);
  const now = () => labeler.run((element) => element.target);
  const before = await starts(labeler);
  for (const nothing of [undefined, ""]) {
    await target(nothing);
    await settle(labeler);
    assert.deepEqual([await now(), await starts(labeler)], [0.95, before]);
  }
  await target(null);
  await until(async () => (await now()) === null, "given up");
  await labeler.run((element) => void (element.target = undefined));
  await until(async () => (await now()) === 0.95, "as configured");
});

test("an address takes the place of an array, and nothing takes the place of an address", async () => {
  const labeler = await open();
  server.route("/others.json", rows(2, "other"));
  await labeler.run((element, items) => void (element.items = items), rows(3));
  await arrived(labeler, 3);
  await labeler.run((element) => void (element.items = "/others.json"));
  await arrived(labeler, 2);
  for (const nothing of ["", undefined]) {
    await labeler.run((element, [nothing]) => void (element.items = nothing), [nothing]);
    await until(async () => (await labeler.progress())?.arrived === 0, "no items");
    assert.equal(await labeler.run((element) => element.getAttribute("items")), null);
    await labeler.run((element) => void (element.items = "/others.json"));
    await arrived(labeler, 2);
  }
  // What the host page wrote itself is its own.
  await labeler.run((element) => element.setAttribute("items", "/others.json#own"));
  await labeler.run((element) => void (element.items = null));
  await arrived(labeler, 2);
});

test("what is set while the element is moved counts where it has come to", async () => {
  const labeler = await open();
  await labeler.run((element, items) => void (element.items = items), rows(3));
  await arrived(labeler, 3);
  await labeler.run((element, items) => {
    const { parentNode } = element;
    element.remove();
    element.items = items;
    parentNode.append(element);
  }, rows(2, "other"));
  await arrived(labeler, 2);
});

test("what the person has halted or set going stays so when the element starts anew", async () => {
  server.route("/items.json", rows(2));
  const labeler = await open({ items: "/items.json" });
  await labeler.asked();
  await labeler.run((element) => element.pause());
  await labeler.part(".state .button").click();
  await labeler.asked();
  const before = await starts(labeler);
  await logIn(labeler);
  await until(async () => (await starts(labeler)) > before, "it has started anew");
  await labeler.asked();
});

// ---------------------------------------------------------------- items that can be read once

test("items that can be read once only are all there when the element has started anew", async () => {
  const labeler = await open();
  for (const kind of ["generator", "async generator", "stream"]) {
    await labeler.run((element, [kind, items]) => {
      const make = {
        generator: () => (function* () { yield* items; })(),
        "async generator": () => (async function* () { yield* items; })(),
        stream: () => new ReadableStream({ start: (to) => (items.forEach((item) => to.enqueue(item)), to.close()) }),
      };
      globalThis.given = make[kind]();
      element.items = given;
    }, [kind, rows(3, kind)]);
    await arrived(labeler, 3);
    await logIn(labeler);
    await arrived(labeler, 3);
    assert.ok((await labeler.asked()).item.startsWith(`${kind}-`), kind);
    assert.ok(await labeler.run((element) => element.items === given), "the property is what was set");
  }
});

test("an item that is on its way when the element starts anew is not lost, and its source is ended for other items only", async () => {
  const labeler = await open();
  await labeler.run((element, [first, second, third]) => {
    globalThis.ended = 0;
    const steps = [first, new Promise((come) => (globalThis.come = () => come(second))), third];
    element.items = {
      next: async () => (steps.length ? { done: false, value: await steps.shift() } : new Promise(() => {})),
      return: async () => ({ done: Boolean((ended += 1)) }),
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }, rows(3));
  await arrived(labeler, 1);
  await logIn(labeler);
  await arrived(labeler, 1);
  await labeler.page.evaluate(() => come());
  await arrived(labeler, 3);
  await labeler.run(async (element) => {
    const { parentNode } = element;
    element.remove();
    await new Promise((done) => setTimeout(done));
    parentNode.append(element);
  });
  await arrived(labeler, 3);
  assert.equal(await labeler.page.evaluate(() => ended), 0);
  await labeler.run((element, items) => void (element.items = items), rows(2, "other"));
  await arrived(labeler, 2);
  assert.equal(await labeler.page.evaluate(() => ended), 1);
  assert.deepEqual(await labeler.heard("hitl-error"), []);
});

test("a source that fails is told of at each start, with the items that came before", async () => {
  const labeler = await open();
  const told = async () => (await labeler.heard("hitl-error")).filter(({ message }) => /out of film/.test(message)).length;
  let errors = 0;
  for (const kind of ["generator", "async generator"]) {
    await labeler.run((element, [kind, items]) => {
      const fail = () => {
        throw new Error("out of film");
      };
      const make = {
        generator: () => (function* () { yield* items; fail(); })(),
        "async generator": () => (async function* () { yield* items; fail(); })(),
      };
      element.items = make[kind]();
    }, [kind, rows(2, kind)]);
    for (const start of ["first", "second"]) {
      errors += 1;
      await until(async () => (await told()) === errors, `the ${start} start with the ${kind} tells it`);
      await arrived(labeler, 2);
      if (start === "first") await logIn(labeler);
    }
  }
});

test("a source that fails beside others is told of, and keeps nobody from the others' items", async () => {
  const labeler = await open();
  await labeler.run((element, items) => void (element.items = items), rows(3));
  await arrived(labeler, 3);
  const broken = async () => (await labeler.heard("hitl-error")).filter(({ code }) => code === "items").length;
  await labeler.run((element) => element.addItems((async function* () { throw new Error("out of film"); })()));
  await until(async () => (await broken()) === 1, "it is told");
  await logIn(labeler);
  await until(async () => (await broken()) === 2, "it is told again");
  await arrived(labeler, 3);
  assert.equal((await labeler.asked()).item, "item-0", "the list's own come first");
});

test("what was added and dropped stays when the element starts anew, and goes with other items", async () => {
  const labeler = await open();
  await labeler.run((element, [items, added]) => {
    element.items = items;
    element.addItems((function* () { yield* added; })());
  }, [rows(2), rows(2, "added")]);
  await arrived(labeler, 4);
  await labeler.run((element, items) => element.addItems(items), rows(1, "later"));
  await arrived(labeler, 5);
  await labeler.part(".frame").evaluate((frame) => {
    const dataTransfer = new DataTransfer();
    dataTransfer.items.add(new File(['{"id":"dropped","numbers":[1]}\n'], "mine.jsonl"));
    for (const kind of ["dragenter", "dragover", "drop"]) {
      frame.dispatchEvent(new DragEvent(kind, { bubbles: true, composed: true, cancelable: true, dataTransfer }));
    }
  });
  await arrived(labeler, 6);
  await logIn(labeler);
  await arrived(labeler, 6);
  // Also what comes while it starts.
  await labeler.run(async (element, items) => {
    element.setAttribute("annotator", "ada");
    await new Promise((done) => setTimeout(done));
    element.addItems(items);
  }, rows(1, "meanwhile"));
  await arrived(labeler, 7);
  await labeler.run((element, items) => void (element.items = items), rows(1, "other"));
  await arrived(labeler, 1);
});

// ---------------------------------------------------------------- calls that come too early or too late

test("what is asked of an element that is not in the page is refused in words, what it is told waits", async () => {
  const labeler = await empty();
  const said = await labeler.page.evaluate((items) => {
    globalThis.element = document.createElement("hitl-labeler");
    element.setAttribute("config", "/config.json");
    element.start();
    element.addItems(items);
    return Promise.all(["flush", "finish", "download"].map((name) => element[name]().then(() => "done", (why) => why.message)));
  }, rows(2));
  assert.deepEqual(said, ["flush", "finish", "download"].map((name) => `${name}: the element is not in the page`));
  await labeler.page.evaluate(() => document.body.append(element));
  await labeler.asked();
  await arrived(labeler, 2);
  // The log-in of a page that starts by hand: both in one go.
  await labeler.run((element) => {
    element.setAttribute("annotator", "ada");
    element.start();
  });
  await labeler.asked();
  // And it stays started.
  const before = await starts(labeler);
  await labeler.run((element) => element.setAttribute("annotator", "eve"));
  await until(async () => (await starts(labeler)) > before, "it has started anew");
  await labeler.asked();
  await labeler.page.evaluate(() => element.remove());
  assert.match(await labeler.page.evaluate(() => element.flush().catch((why) => why.message)), /not in the page/);
});

test("a download that is asked for at once waits for what earlier visits left", async () => {
  server.route("/items.json", rows(2));
  const labeler = await open({ items: "/items.json" });
  await labeler.asked();
  await labeler.focus();
  await labeler.answer("1");
  await until(async () => (await labeler.progress()).unsaved === 0, "it is stored");
  const lines = await labeler.run(async (element) => {
    const again = document.createElement("hitl-labeler");
    again.setAttribute("config", "/config.json");
    element.replaceWith(again);
    return (await (await again.download("jsonl", { save: false })).text()).split("\n").filter(Boolean).length;
  });
  assert.equal(lines, 1);
});

test("a field of the page that takes the focus after an answer keeps it, and what is typed there answers nothing", async () => {
  server.route("/items.json", rows(6));
  backend(server, "/records");
  const labeler = await open({ items: "/items.json", delivery: { url: "/records" } });
  await labeler.run((element) => {
    const field = document.createElement("input");
    document.body.append(field);
    element.addEventListener("hitl-corrected", () => setTimeout(() => field.focus()));
  });
  await labeler.asked();
  await labeler.focus();
  for (let answers = 1; answers <= 3; answers++) {
    await labeler.press("1");
    await labeler.waitForDelivered(answers);
    await settle(labeler);
    assert.equal(await labeler.page.evaluate(() => document.activeElement.localName), "input");
    await labeler.press("2");
    await settle(labeler);
    assert.equal((await labeler.progress()).answered, answers);
    await labeler.focus();
  }
});

test("an element that is removed before its Wasm came answers whoever waits", async () => {
  server.route("/hitl/page_bg.wasm", () => {});
  const labeler = await empty();
  const said = await labeler.page.evaluate(async () => {
    const element = document.createElement("hitl-labeler");
    element.setAttribute("config", "/config.json");
    document.body.append(element);
    const waiting = ["flush", "finish", "download"].map((name) => element[name]().then(() => "done", (why) => why.message));
    await new Promise((done) => setTimeout(done));
    element.remove();
    return Promise.all(waiting);
  });
  for (const words of said) assert.match(words, /^(flush|finish|download): the element was removed before it had started$/);
});

test("an element whose Wasm does not come tells whoever waits, and leaves no rejection that nobody handles", async () => {
  server.route("/hitl/page_bg.wasm", (_, response) => response.writeHead(404).end());
  const labeler = await empty();
  const said = await labeler.page.evaluate(async () => {
    globalThis.unhandled = [];
    addEventListener("unhandledrejection", ({ reason }) => unhandled.push(String(reason)));
    const element = document.createElement("hitl-labeler");
    element.setAttribute("config", "/config.json");
    document.body.append(element);
    element.start();
    element.undo();
    element.addItems([]);
    const before = await element.flush().catch((why) => why.message);
    return [before, await element.download("csv").catch((why) => why.message)];
  });
  assert.match(said[0], /^flush: hitl-labeler could not start: .*page_bg\.wasm/);
  assert.match(said[1], /^download: hitl-labeler could not start: /);
  await settle(labeler);
  assert.deepEqual(await labeler.page.evaluate(() => unhandled), []);
  assert.deepEqual((await labeler.heard("hitl-error")).map(({ code }) => code), ["start"]);
});

// ---------------------------------------------------------------- where it lies, and where it keeps

test("from another origin no worker is started by its own address, of which Firefox would tell too late", async () => {
  const files = await stand({ headers: { "access-control-allow-origin": "*" } });
  try {
    const lines = (await readFile(join(dist, "demo/data/fashion/items.jsonl"), "utf8")).split("\n").slice(0, 5);
    server.route("/items.jsonl", lines.join("\n"));
    // Firefox: no exception, and an error later.
    const script = `<script>
      const Native = Worker;
      globalThis.Worker = function (url, options) {
        return new Native(String(url).startsWith("blob:") ? url : "/nowhere.js", options);
      };
      Worker.prototype = Native.prototype;
    </script>`;
    const element = `<hitl-labeler model="${files.url}hitl/models/fashion-cnn/model.json" items="/items.jsonl"></hitl-labeler>`;
    const url = server.host("/", element, { script: `${files.url}hitl/define.js`, head: script });
    const labeler = await Labeler.open(context, url);
    await labeler.waitForPredictions(5);
    assert.equal((await labeler.run((element) => element.coverage([0]))).predicted, 5, "by the model");
  } finally {
    await files.close();
  }
});

test("two elements that only their endpoints tell apart deliver each to its own", async () => {
  const kept = ["/one", "/two"].map((path) => backend(server, path).kept);
  const script = `<script type="module">
    for (const element of document.querySelectorAll("hitl-labeler")) {
      element.config = { labels: ["yes", "no"], delivery: { url: element.className } };
      element.items = [{ id: "of " + element.className, numbers: [1] }];
    }
  </script>`;
  const body = `<hitl-labeler class="/one"></hitl-labeler><hitl-labeler class="/two"></hitl-labeler>${script}`;
  const one = await Labeler.open(context, server.host("/", body), { selector: "hitl-labeler:first-child" });
  const two = new Labeler(one.page, "hitl-labeler:nth-child(2)");
  for (const labeler of [one, two]) {
    await labeler.asked();
    await labeler.button("yes").click();
    await labeler.waitForDelivered(1);
  }
  assert.deepEqual(kept.map((kept) => [...kept.values()].map(([{ item_id }]) => item_id)), [["of /one"], ["of /two"]]);
});

test("the store is named by what tells the page's tasks apart, by attributes as ever", async () => {
  const manifest = JSON.parse(await readFile(join(dist, "models/fashion-cnn/model.json"), "utf8"));
  for (const path of ["/m.json", "/n.json"]) server.route(path, manifest);
  server.route("/items.json", rows(1));
  server.route("/config.json", { labels: ["yes", "no"] });
  const LABELS = { labels: ["yes", "no"] };
  const elements = [
    ['model="/m.json" items="/items.json" endpoint="/records"', null, "/ /m.json /items.json"],
    ['config="/config.json"', null, "/   /config.json"],
    ['id="it" config="/config.json"', null, "/#it   /config.json"],
    ['annotator="ada"', { model: "/n.json", items: { url: "/items.json" }, workers: 1 }, "/ /n.json /items.json"],
    ['items="/items.json"', { ...LABELS, items: "/other.json", delivery: { url: "/records" } }, "/  /items.json"],
    ['endpoint="/one"', { ...LABELS, delivery: { url: "/records" } }, "/   > /one"],
    ["", { ...LABELS, delivery: { url: "/two" } }, "/   > /two"],
    ["", LABELS, "/  "],
  ];
  const script = `<script type="module">
    const configs = ${JSON.stringify(elements.map(([, config]) => config))};
    for (const [i, element] of document.querySelectorAll("hitl-labeler").entries()) element.config = configs[i];
  </script>`;
  const body = elements.map(([attributes]) => `<hitl-labeler ${attributes}></hitl-labeler>`).join("");
  const { page } = await Labeler.open(context, server.host("/", body + script), { mounted: false });
  const wanted = elements.map(([, , name]) => `hitl-labeler:${name}`).sort();
  const names = () => page.evaluate(async () => (await indexedDB.databases()).map(({ name }) => name));
  await until(async () => (await names()).length >= wanted.length, "all stores");
  assert.deepEqual((await names()).sort(), wanted);
});
