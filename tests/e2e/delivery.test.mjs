// The page's side of delivery: tokens, what a closing page still sends, who sends, storage troubles, the end.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { Labeler, until } from "./labeler.mjs";
import { context, server } from "./place.mjs";
import { backend, stand } from "./stand.mjs";

const RETRY = { base_ms: 100, cap_ms: 1000 };
/** A page of `count` items without a model; `script` runs before the element starts. */
function host(count, config, script = "", on = server) {
  on.route("/items.json", Array.from({ length: count }, (_, i) => ({ id: `item-${i}`, numbers: [1, 2] })));
  on.route("/config.json", { labels: ["yes", "no"], items: "/items.json", ...config });
  return on.host("/", `<script>${script}</script><hitl-labeler config="/config.json"></hitl-labeler>`);
}
async function answer(labeler, count) {
  await labeler.asked();
  await labeler.focus();
  const items = [];
  for (let i = 0; i < count; i++) items.push(await labeler.answer("1"));
  return items;
}
/** The page in a browser that offers it no store. */
async function inMemory(url) {
  const page = await context.newPage();
  await page.addInitScript(() => Object.defineProperty(globalThis, "indexedDB", { value: undefined }));
  await page.goto(url);
  return new Labeler(page);
}
const banner = (labeler, hasText) => labeler.part(".banner", { hasText });
const warned = (labeler, hasText) => banner(labeler, hasText).waitFor({ timeout: 2_000 });

// ---------------------------------------------------------------- the token

const SECRET = /s3cr3t/;
/** A backend that takes the token `good` alone, and says why not with the token in its words, as some do. */
function guarded(good) {
  const kept = new Map();
  const state = { good, seen: [], kept };
  server.route("/records", (request, response, body) => {
    const token = request.headers.authorization ?? "";
    state.seen.push(token);
    const json = (status, value) => {
      response.writeHead(status, { "content-type": "application/json" });
      response.end(JSON.stringify(value));
    };
    if (token !== `Token ${state.good}`) return json(401, { error: { message: `no such token: ${token}` } });
    const records = JSON.parse(body);
    if (state.echo) return json(400, { error: { message: `cannot store this for ${token}` } });
    json(200, {
      results: records.map((record) => {
        kept.set(record.id, record);
        return { id: record.id, status: "stored" };
      }),
    });
  });
  return state;
}
const AUTHORIZED = { url: "/records", retry: RETRY, authorization: { header: "Authorization", value: "Token {token}" } };
const GIVES = `globalThis.asked = []; globalThis.tokens = []; globalThis.before = Date.now();
  addEventListener("DOMContentLoaded", () => {
    document.querySelector("hitl-labeler").authorize = async (wish) => {
      asked.push({ ...wish, at: Date.now() });
      return globalThis.give(asked.length);
    };
  });`;
/** Everything where a secret might come to rest. */
const traces = (labeler) =>
  labeler.run(async (element) => {
    // The host page's own script has it, of course.
    document.querySelectorAll("script").forEach((script) => script.remove());
    const found = [element.outerHTML, element.shadowRoot.innerHTML, document.documentElement.outerHTML, location.href];
    found.push(JSON.stringify(heard), JSON.stringify({ ...localStorage }), JSON.stringify({ ...sessionStorage }), document.cookie);
    for (const format of ["jsonl", "csv"]) found.push(await (await element.download(format, { save: false })).text());
    found.push(JSON.stringify(element.config ?? null), JSON.stringify(element.progress));
    for (const { name } of await indexedDB.databases()) {
      const db = await new Promise((done) => (indexedDB.open(name).onsuccess = ({ target }) => done(target.result)));
      for (const table of db.objectStoreNames) {
        const rows = db.transaction(table).objectStore(table).getAll();
        found.push(await new Promise((done) => (rows.onsuccess = () => done(JSON.stringify(rows.result)))));
      }
      db.close();
    }
    return found.join("\n");
  });

test("the page is asked for a token once before the first request, and again each time it expires", async () => {
  const state = guarded("s3cr3t-0");
  const url = host(30, { delivery: AUTHORIZED }, `${GIVES} globalThis.give = (n) => "s3cr3t-" + (n - 1);`);
  const labeler = await Labeler.open(context, url);
  const said = [];
  labeler.page.on("console", (message) => said.push(message.text()));
  assert.deepEqual(await labeler.page.evaluate(() => asked.length), 0, "not before there is something to send");
  await answer(labeler, 2);
  await labeler.waitForDelivered(2);
  assert.deepEqual(state.seen[0], "Token s3cr3t-0", "nothing was sent without it");
  for (let n = 1; n <= 20; n++) {
    state.good = `s3cr3t-${n}`;
    await answer(labeler, 1);
    await labeler.waitForDelivered(2 + n);
  }
  const asked = await labeler.page.evaluate(() => asked);
  assert.deepEqual(asked.map(({ reason, status }) => [reason, status]), [["start", undefined], ...Array(20).fill(["expired", 401])]);
  assert.equal(state.kept.size, 22);
  assert.equal((await labeler.progress()).refused, 0);
  const left = await traces(labeler);
  assert.match(left, /item-0/, "the places that were searched do hold the records");
  assert.doesNotMatch(left, SECRET);
  assert.doesNotMatch(said.join("\n"), SECRET);
});

test("a server that repeats the token in its words does not bring it into the store, the events or the page", async () => {
  const state = guarded("s3cr3t-0");
  state.echo = true;
  const url = host(3, { delivery: AUTHORIZED }, `${GIVES} globalThis.give = () => "s3cr3t-0";`);
  const labeler = await Labeler.open(context, url);
  await answer(labeler, 1);
  await until(async () => (await labeler.progress()).refused === 1, "refused");
  await labeler.show("delivery");
  await labeler.part(".row__why").filter({ hasText: "cannot store this for Token …" }).waitFor();
  assert.doesNotMatch(await traces(labeler), SECRET);
});

test("a token that is refused at once makes a pause, not a loop; the person can log in again", async () => {
  const state = guarded("s3cr3t-good");
  const url = host(5, { delivery: AUTHORIZED }, `${GIVES} globalThis.give = () => globalThis.now ?? "s3cr3t-bad";`);
  const labeler = await Labeler.open(context, url);
  const items = await answer(labeler, 1);
  await labeler.part(".banner").filter({ hasText: "Sending waits for a log-in." }).waitFor();
  await new Promise((done) => setTimeout(done, 1_500));
  assert.equal(state.seen.length, 1, "one request by the bad token");
  assert.equal((await labeler.page.evaluate(() => asked)).length, 1);
  assert.equal(await labeler.delivery(), "On hold");
  state.good = "s3cr3t-good";
  await labeler.page.evaluate(() => (globalThis.now = "s3cr3t-good"));
  const pressed = Date.now();
  await labeler.button("Log in again").click();
  await labeler.waitForDelivered(1);
  assert.ok(Date.now() - pressed <= 2_000, `went on after ${Date.now() - pressed} ms`);
  assert.deepEqual((await labeler.page.evaluate(() => asked)).map(({ reason }) => reason), ["start", "person"]);
  await labeler.part(".banner").waitFor({ state: "detached" });
  assert.deepEqual([...state.kept.values()].map(({ item_id }) => item_id), items);
});

for (const [what, give] of [
  ["refuses", "Promise.reject(new Error('no'))"],
  ["gives nothing", "undefined"],
  ["gives what no header can hold", "'a\\nb'"],
  ["throws", "(() => { throw new Error('no') })()"],
]) {
  test(`a page whose authorize ${what} pauses delivery in words, and loses nothing`, async () => {
    const state = guarded("s3cr3t-0");
    const labeler = await Labeler.open(context, host(3, { delivery: AUTHORIZED }, `${GIVES} globalThis.give = () => ${give};`));
    await answer(labeler, 1);
    await labeler.button("Log in again").waitFor();
    assert.equal(state.seen.length, 0, "nothing was sent");
    assert.equal((await labeler.heard("hitl-error")).filter(({ code }) => code === "authorize").length, 1);
    const { undelivered, refused } = await labeler.progress();
    assert.deepEqual([undelivered, refused], [1, 0]);
    await labeler.run((element) => (element.authorize = () => "s3cr3t-0"));
    await labeler.waitForDelivered(1);
  });
}

// ---------------------------------------------------------------- a page that goes

test("a request that is under way when the page is closed arrives", async () => {
  const state = backend(server, "/records", () => "slow");
  server.route("/slow", (request, response, body) => {
    state.requests.push(body);
    setTimeout(() => {
      for (const record of JSON.parse(body)) state.kept.set(record.id, record);
      response.writeHead(200, { "content-type": "application/json" }).end("{}");
    }, 400);
  });
  const labeler = await Labeler.open(context, host(3, { delivery: { url: "/slow", retry: RETRY } }));
  await answer(labeler, 1);
  await until(() => state.requests.length === 1, "it is on its way");
  await labeler.page.close();
  await until(() => state.kept.size === 1, "the server has it", 3_000);
});

test("what waits out a failure is tried once more when the page is hidden, and stays until it is named", async () => {
  const state = backend(server, "/records", () => 503);
  const labeler = await Labeler.open(context, host(3, { delivery: { url: "/records", retry: { base_ms: 60_000, cap_ms: 60_000 } } }));
  await answer(labeler, 1);
  await until(() => state.requests.length === 1, "one attempt");
  const hide = () =>
    labeler.page.evaluate(() => {
      Object.defineProperty(document, "hidden", { value: true, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    });
  await until(async () => (await labeler.delivery()) === "On hold", "it waits");
  await hide();
  await until(() => state.requests.length === 2, "tried once more", 2_000);
  assert.deepEqual(state.requests[1].ids, state.requests[0].ids);
  assert.equal(state.requests[1].key, state.requests[0].key);
  assert.equal((await labeler.progress()).undelivered, 1);
  state.behave = () => "well";
  await until(async () => (await labeler.delivery()) === "On hold", "it waits again");
  await hide();
  await labeler.waitForDelivered(1);
});

// ---------------------------------------------------------------- who sends

test("without Web Locks one of two tabs sends, and the other takes over when it goes", async () => {
  await context.addInitScript(() => Object.defineProperty(Navigator.prototype, "locks", { value: undefined }));
  const state = backend(server, "/records");
  const first = await Labeler.open(context, host(12, { delivery: { url: "/records", retry: RETRY } }));
  await answer(first, 1);
  await first.waitForDelivered(1);
  const second = await Labeler.open(context, server.url);
  await answer(second, 3);
  await second.waitForDelivered(4);
  await first.page.bringToFront();
  await answer(first, 2);
  await first.waitForDelivered(6);
  assert.equal(state.kept.size, 6);
  for (const copies of state.kept.values()) assert.equal(copies.length, 1, "sent once");
  // The sender goes: by its own word, or when its lease has run out.
  await first.page.close();
  await answer(second, 1);
  await second.waitForDelivered(7);
  for (const copies of state.kept.values()) assert.equal(copies.length, 1, "sent once");
});

// ---------------------------------------------------------------- storage troubles

const save = async (labeler, button = labeler.part(".banner button").first()) => {
  const [file] = await Promise.all([labeler.page.waitForEvent("download"), button.click()]);
  return (await readFile(await file.path(), "utf8")).trim().split("\n").map((line) => JSON.parse(line));
};

test("a store that never opens is told within two seconds, with a download", async () => {
  await context.addInitScript(() => (IDBFactory.prototype.open = () => ({})));
  const url = host(3, {});
  const page = await context.newPage();
  await page.goto(url);
  const labeler = new Labeler(page);
  await labeler.part(".frame").waitFor();
  await warned(labeler, "Answers are not saved here.");
  const items = await answer(labeler, 1);
  assert.deepEqual((await save(labeler)).map(({ item_id }) => item_id), items);
});

/** Each writing transaction of the page goes through `deed` and is not committed early, until `real` is put back. */
const meddle = (labeler, deed) =>
  labeler.page.evaluate(`{
    const real = (globalThis.real = IDBDatabase.prototype.transaction);
    IDBDatabase.prototype.transaction = function (...all) {
      const transaction = real.apply(this, all);
      if (all[1] === "readwrite") {
        transaction.commit = () => {};
        (${deed})(transaction);
      }
      return transaction;
    };
  }`);

test("a store that hangs, then works, is told within two seconds, and the warning goes", async () => {
  const labeler = await Labeler.open(context, host(4, {}));
  await labeler.asked();
  await meddle(labeler, (transaction) => {
    const store = transaction.objectStore("settings");
    const end = Date.now() + 3_000;
    (function again() {
      if (Date.now() < end) store.get("x").onsuccess = again;
    })();
  });
  await labeler.focus();
  await labeler.press("1");
  await warned(labeler, "Answers are not saved here.");
  await labeler.part(".banner").waitFor({ state: "detached" });
  const [{ durable }] = await labeler.heard("hitl-corrected");
  assert.equal(durable, true);
});

test("a disk that is full is told at once; what failed is stored by itself once there is room", async () => {
  const labeler = await Labeler.open(context, host(4, {}));
  await labeler.asked();
  await meddle(labeler, (transaction) => queueMicrotask(() => transaction.abort()));
  const items = await answer(labeler, 2);
  await warned(labeler, "Answers are not saved here.");
  assert.equal(await labeler.delivery(), "Unsaved");
  assert.deepEqual((await save(labeler)).map(({ item_id }) => item_id), items);
  assert.equal((await labeler.heard("hitl-error")).filter(({ code }) => code === "store").length, 1);
  await labeler.page.evaluate(() => (IDBDatabase.prototype.transaction = globalThis.real));
  await labeler.part(".banner").waitFor({ state: "detached", timeout: 10_000 });
  assert.equal(await labeler.delivery(), "Saved");
  await labeler.page.reload();
  await until(async () => (await labeler.progress())?.answered === 2, "both are there after a reload");
});

test("in a sandboxed frame, which has no store, the person is told within two seconds", async () => {
  // A frame of no origin may read nothing that does not say so.
  const open = await stand({ headers: { "access-control-allow-origin": "*" } });
  try {
    const url = host(3, {}, "", open);
    const outer = open.host("/outer", `<iframe sandbox="allow-scripts allow-downloads" src="${url}" width="800" height="600"></iframe>`);
    const page = await context.newPage();
    await page.goto(outer);
    const frame = page.frameLocator("iframe");
    await frame.locator("hitl-labeler .frame").waitFor();
    await frame.locator(".banner").filter({ hasText: "Answers are not saved here." }).waitFor({ timeout: 2_000 });
  } finally {
    await open.close();
  }
});

test("a store that the browser has thrown away is noticed on the next visit", async () => {
  backend(server, "/records", () => 503);
  const labeler = await Labeler.open(context, host(5, { delivery: { url: "/records", retry: RETRY } }));
  await answer(labeler, 3);
  await until(async () => (await labeler.progress()).unsaved === 0, "on disk");
  await labeler.page.close();
  const page = await context.newPage();
  server.route("/empty.html", "<title>empty</title>");
  await page.goto(new URL("/empty.html", server.url).href);
  await page.evaluate(async () => {
    for (const { name } of await indexedDB.databases()) await new Promise((done) => (indexedDB.deleteDatabase(name).onsuccess = done));
  });
  const again = await Labeler.open(context, server.url);
  await banner(again, "Answers from last time are gone.").waitFor();
  assert.match(await again.part(".banner").first().textContent(), /3 answers with it that had not been sent/);
  assert.match((await again.heard("hitl-error")).find(({ code }) => code === "store").message, /3 records/);
});

test("what has waited for more than a day is worth a word, with a download", async () => {
  backend(server, "/records", () => 503);
  const labeler = await Labeler.open(context, host(5, { delivery: { url: "/records", retry: RETRY } }));
  const items = await answer(labeler, 1);
  assert.equal(await labeler.part(".banner").count(), 0);
  await labeler.page.addInitScript(() => {
    const real = Date.now;
    Date.now = () => real() + 25 * 3_600_000;
  });
  await labeler.page.reload();
  await warned(labeler, "Answers have waited here for more than a day.");
  assert.deepEqual((await save(labeler)).map(({ item_id }) => item_id), items);
});

test("a store that is cleared under the page is filled again from memory", async () => {
  const state = backend(server, "/records", () => 503);
  const labeler = await Labeler.open(context, host(6, { delivery: { url: "/records", retry: RETRY } }));
  const items = await answer(labeler, 2);
  await until(async () => (await labeler.progress()).unsaved === 0, "on disk");
  await labeler.page.evaluate(async () => {
    for (const { name } of await indexedDB.databases()) await new Promise((done) => (indexedDB.deleteDatabase(name).onsuccess = done));
  });
  items.push(...(await answer(labeler, 1)));
  await until(async () => (await labeler.progress()).unsaved === 0, "on disk again");
  await labeler.page.reload();
  state.behave = () => "well";
  await labeler.waitForDelivered(3);
  assert.deepEqual([...state.kept.values()].map(([{ item_id }]) => item_id).sort(), items.sort());
});

test("a store that is cleared while nobody answers is filled again from memory, too", async () => {
  const state = backend(server, "/records", () => 503);
  const labeler = await Labeler.open(context, host(6, { delivery: { url: "/records", retry: RETRY } }));
  const items = await answer(labeler, 2);
  await until(async () => (await labeler.progress()).unsaved === 0, "on disk");
  const stored = () =>
    labeler.page.evaluate(async () => {
      const counts = (await indexedDB.databases()).map(
        ({ name }) =>
          new Promise((done) => {
            const open = indexedDB.open(name);
            open.onsuccess = () => {
              const all = open.result.objectStoreNames.contains("records") ? open.result.transaction("records").objectStore("records").count() : null;
              open.result.close();
              if (all) all.onsuccess = () => done(all.result);
              else done(0);
            };
          }),
      );
      return (await Promise.all(counts)).reduce((sum, count) => sum + count, 0);
    });
  assert.equal(await stored(), 2);
  await labeler.page.evaluate(async () => {
    for (const { name } of await indexedDB.databases()) await new Promise((done) => (indexedDB.deleteDatabase(name).onsuccess = done));
  });
  await until(async () => (await stored()) === 2, "both are on disk again");
  await labeler.page.reload();
  state.behave = () => "well";
  await labeler.waitForDelivered(2);
  assert.deepEqual([...state.kept.values()].map(([{ item_id }]) => item_id).sort(), items.sort());
});

test("answers in memory outlive a change of the annotator, and are delivered under the one who gave them", async () => {
  const state = backend(server, "/records", () => 503);
  const labeler = await inMemory(host(4, { delivery: { url: "/records", retry: RETRY } }));
  const items = await answer(labeler, 2);
  await labeler.run((element) => element.setAttribute("annotator", "ada"));
  await until(async () => (await labeler.progress())?.answered === 2, "both answers are known to the new start");
  assert.equal((await labeler.progress()).unsaved ?? 0, 0);
  await warned(labeler, "Answers are not saved here.");
  items.push(...(await answer(labeler, 1)));
  state.behave = () => "well";
  await labeler.waitForDelivered(3);
  // By item: records of different items do not wait for each other.
  const annotators = new Map([...state.kept.values()].map(([{ item_id, annotator }]) => [item_id, annotator]));
  assert.deepEqual(items.map((item) => annotators.get(item)), [null, null, "ada"]);
  assert.equal(state.kept.size, 3);
});

test("who takes over keeps the order of what a closed tab stored and told nobody", async () => {
  const arrived = [];
  const failed = new Set();
  let away = true;
  server.route("/records", (request, response, body) => {
    if (away) return response.writeHead(503).end();
    const results = JSON.parse(body).map((record) => {
      // Each record fails by itself once.
      if (!failed.has(record.id)) {
        failed.add(record.id);
        return { id: record.id, status: "error" };
      }
      arrived.push(record);
      return { id: record.id, status: "stored" };
    });
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ results }));
  });
  const url = host(3, { delivery: { url: "/records", batch_size: 2, retry: { base_ms: 100, cap_ms: 1000 } } });
  const page = await context.newPage();
  await page.addInitScript(() => (BroadcastChannel.prototype.postMessage = () => {}));
  await page.goto(url);
  const first = new Labeler(page);
  await first.asked();
  const second = await Labeler.open(context, url);
  await second.asked();
  await page.bringToFront();
  await answer(first, 1);
  await first.press("Backspace");
  await until(async () => (await first.progress()).answered === 0, "it was taken back");
  await first.answer("2");
  await until(async () => (await first.progress()).unsaved === 0, "all are on disk");
  await page.close();
  away = false;
  await second.waitForDelivered(3);
  const ids = arrived.map(({ id }) => id);
  assert.equal(new Set(arrived.map(({ item_id }) => item_id)).size, 1);
  assert.deepEqual(ids, ids.toSorted());
  assert.deepEqual(arrived.map(({ kind }) => kind), ["correction", "undo", "correction"]);
});

test("what was delivered from memory is not sent again when the annotator changes", async () => {
  const state = backend(server, "/records");
  const labeler = await inMemory(host(4, { delivery: { url: "/records", retry: RETRY } }));
  await answer(labeler, 2);
  await labeler.waitForDelivered(2);
  const before = state.requests.length;
  await labeler.run((element) => element.setAttribute("annotator", "ada"));
  await until(async () => (await labeler.progress())?.answered === 2, "both answers are known to the new start");
  await answer(labeler, 1);
  await labeler.waitForDelivered(3);
  assert.equal(state.requests.length, before + 1);
  assert.ok([...state.kept.values()].every((times) => times.length === 1));
});

test("a record that nobody has any more is listed as refused, and holds up no other", async () => {
  const state = backend(server, "/records", () => 503);
  const first = await Labeler.open(context, host(4, { delivery: { url: "/records", retry: RETRY } }));
  const items = await answer(first, 2);
  // The row of the log is lost, the one that says that it waits is not.
  await first.page.evaluate(async () => {
    const [{ name }] = await indexedDB.databases();
    const db = await new Promise((done) => (indexedDB.open(name).onsuccess = ({ target }) => done(target.result)));
    const rows = db.transaction("records", "readwrite").objectStore("records");
    await new Promise((done) => (rows.openCursor().onsuccess = ({ target }) => (target.result.delete().onsuccess = done)));
    db.close();
  });
  await first.page.close();
  const labeler = await Labeler.open(context, server.url);
  await until(async () => (await labeler.progress())?.refused === 1, "it is listed");
  state.behave = () => "well";
  await until(() => state.kept.size === 1, "the other one arrived");
  assert.ok(items.includes([...state.kept.values()][0][0].item_id));
  await labeler.part(".tab--delivery").click();
  await labeler.part(".row__why", { hasText: "lost it before it was sent" }).waitFor();
});

test("an authorize that never answers is told, and can be asked once more", async () => {
  const state = guarded("second");
  const page = await context.newPage();
  await page.addInitScript(() => {
    const real = setTimeout;
    globalThis.told = [];
    addEventListener("hitl-error", ({ detail }) => told.push(detail.message));
    // A minute passes in half a second.
    globalThis.setTimeout = (call, ms, ...rest) => real(call, ms === 60_000 ? 500 : ms, ...rest);
  });
  await page.goto(host(2, { delivery: AUTHORIZED }, `${GIVES} globalThis.give = (n) => (n === 1 ? new Promise(() => {}) : "second");`));
  const labeler = new Labeler(page);
  await answer(labeler, 1);
  await banner(labeler, "Sending waits for a log-in.").waitFor();
  assert.match(await page.evaluate(() => told.at(-1)), /has not answered for a minute/);
  await banner(labeler, "Sending waits for a log-in.").locator("button").click();
  await labeler.waitForDelivered(1);
  assert.equal(state.kept.size, 1);
});

test("flush() rejects where the server refused records, and says how many", async () => {
  const state = backend(server, "/records", () => "refuse");
  const labeler = await Labeler.open(context, host(3, { delivery: { url: "/records", retry: RETRY } }));
  await answer(labeler, 1);
  const flush = () => labeler.run((element) => element.flush().then(() => "resolved", (why) => why.message));
  assert.match(await flush(), /flush: the server refused 1 records; try them again, or delete them/);
  state.behave = () => "well";
  await labeler.show("delivery");
  await labeler.part(".row .button", { hasText: "Try again" }).first().click();
  assert.equal(await flush(), "resolved");
});

test("flush() rejects where answers are in memory only", async () => {
  const labeler = await inMemory(host(3, {}));
  await answer(labeler, 1);
  const said = await labeler.run((element) => element.flush().then(() => "resolved", (why) => why.message));
  assert.match(said, /flush: 1 records are in this page's memory only.*download them/);
});

test("items that the host page adds before the store has been read are known from the last visit", async () => {
  backend(server, "/records");
  const script = `<script>
    const element = document.querySelector("hitl-labeler");
    element.config = { labels: ["yes", "no"], delivery: { url: "/records" } };
    customElements.whenDefined("hitl-labeler").then(() => element.addItems([1, 2, 3].map((n) => ({ id: "added-" + n, numbers: [n] }))));
  </script>`;
  const labeler = await Labeler.open(context, server.host("/", `<hitl-labeler></hitl-labeler>${script}`));
  await answer(labeler, 2);
  await labeler.waitForDelivered(2);
  await labeler.page.reload();
  await until(async () => (await labeler.progress())?.answered === 2, "both are answered");
  assert.equal((await labeler.progress()).waiting, 1);
});

test("flush() waits for what the last visit left here, also when it is asked before the store has been read", async () => {
  const state = backend(server, "/records", () => 503);
  const labeler = await Labeler.open(context, host(5, { delivery: { url: "/records", retry: RETRY } }));
  await answer(labeler, 2);
  await until(async () => (await labeler.progress()).unsaved === 0, "on disk");
  await labeler.page.addInitScript(() =>
    addEventListener("DOMContentLoaded", () => {
      const element = document.querySelector("hitl-labeler");
      element.target = 0.9;
      element.flush().then(() => (globalThis.flushed = true));
    }),
  );
  await labeler.page.reload();
  await until(async () => (await labeler.progress())?.undelivered === 2, "both wait");
  assert.equal(await labeler.page.evaluate(() => globalThis.flushed), undefined);
  state.behave = () => "well";
  await labeler.waitForDelivered(2);
  await until(() => labeler.page.evaluate(() => globalThis.flushed), "flush resolves");
});

test("the pane says whether the browser has promised to keep the store", async () => {
  for (const [promise, words] of [[true, /has promised to keep/], [false, /has not promised to keep/]]) {
    const page = await context.newPage();
    await page.addInitScript((promise) => (StorageManager.prototype.persist = async () => promise), promise);
    await page.goto(host(4, { project: `persist ${promise}` }));
    const labeler = new Labeler(page);
    await answer(labeler, 1);
    await labeler.show("delivery");
    await labeler.part(".kept").filter({ hasText: words }).waitFor();
    await page.close();
  }
});

// ---------------------------------------------------------------- refused records

test("refused records are given up only after a question, and stay in the download", async () => {
  const state = backend(server, "/records", () => "refuse");
  const labeler = await Labeler.open(context, host(5, { delivery: { url: "/records", retry: RETRY } }));
  const items = await answer(labeler, 3);
  await until(async () => (await labeler.progress()).refused === 3, "all refused");
  await labeler.show("delivery");
  await labeler.part(".row").nth(2).waitFor();
  await labeler.part(".row").first().getByRole("button", { name: "Delete" }).click();
  const question = labeler.part("[role=alertdialog]");
  await question.filter({ hasText: "Give up 1 answer?" }).waitFor();
  await question.getByRole("button", { name: "Keep" }).click();
  assert.equal((await labeler.progress()).refused, 3);
  await labeler.part(".row").first().getByRole("button", { name: "Delete" }).click();
  await question.getByRole("button", { name: "Give up" }).click();
  await until(async () => (await labeler.progress()).refused === 2, "one less");
  const refused = await save(labeler, labeler.button("Download these"));
  assert.equal(refused.length, 2, "only those that are refused");
  await labeler.page.reload();
  await until(async () => (await labeler.progress())?.refused === 2, "the same after a reload");
  assert.deepEqual((await labeler.records()).map(({ item_id }) => item_id).sort(), items.sort(), "no record is gone");
  assert.equal(state.kept.size, 0);
});

// ---------------------------------------------------------------- the end

test("finish goes where the configuration says, once everything is delivered", async () => {
  const state = backend(server, "/records");
  server.route("/done.html", "<!doctype html><title>done</title>");
  const delivery = { url: "/records", retry: RETRY, params: { code: "C0DE" }, finish: { redirect: `${server.url}done.html?cc={params.code}` } };
  const labeler = await Labeler.open(context, host(3, { delivery }));
  await answer(labeler, 2);
  await labeler.run((element) => void element.finish());
  await labeler.page.waitForURL(/\/done\.html\?cc=C0DE$/);
  assert.equal(state.kept.size, 2);
});

test("finish posts the form of a crowd's platform, whose address is among those that are allowed", async () => {
  backend(server, "/records");
  let posted;
  server.route("/mturk/externalSubmit", (request, response, body) => {
    posted = body;
    response.writeHead(200, { "content-type": "text/html" }).end("<title>thanks</title>");
  });
  const origin = server.url.slice(0, -1);
  const finish = {
    form: { action: "{query.turkSubmitTo}/mturk/externalSubmit", fields: { assignmentId: "{query.assignmentId}", labels: "{delivered}" } },
    allow: [origin],
  };
  const url = host(3, { delivery: { url: "/records", retry: RETRY, finish } });
  const at = (to) => `${url}?assignmentId=A1&turkSubmitTo=${encodeURIComponent(to)}`;
  const bad = await Labeler.open(context, at("https://evil.example"));
  const says = await bad.run((element) => element.finish().then(() => "went", (why) => why.message));
  assert.match(says, /evil\.example.*expected one of/);
  await bad.page.close();
  const labeler = await Labeler.open(context, at(origin));
  await answer(labeler, 1);
  await labeler.run((element) => void element.finish());
  await labeler.page.waitForURL(/externalSubmit/);
  assert.equal(posted, "assignmentId=A1&labels=1");
});

test("finish that is asked twice, or whose element goes, says so in place of never ending", async () => {
  const state = backend(server, "/records", () => 503);
  const delivery = { url: "/records", retry: RETRY, finish: { redirect: `${server.url}done` } };
  const labeler = await Labeler.open(context, host(3, { delivery }));
  await answer(labeler, 1);
  await until(() => state.requests.length > 0, "it is tried");
  const said = await labeler.run(async (element) => {
    const ends = [element.finish(), element.finish()].map((end) => end.then(() => "went", (why) => why.message));
    const first = await ends[0];
    element.remove();
    return [first, await ends[1]];
  });
  assert.match(said[0], /asked for once more/);
  assert.match(said[1], /was removed/);
});

test("finish says why it cannot be when something is refused or cannot be sent", async () => {
  const state = backend(server, "/records", () => "refuse");
  const delivery = { url: "/records", retry: RETRY, finish: { redirect: `${server.url}done` } };
  const labeler = await Labeler.open(context, host(3, { delivery }));
  await answer(labeler, 1);
  await until(async () => (await labeler.progress()).refused === 1, "refused");
  const finish = () => labeler.run((element) => element.finish().then(() => "went", (why) => why.message));
  assert.match(await finish(), /the server refused 1 records/);
  state.behave = () => 404;
  await answer(labeler, 1);
  await labeler.show("delivery");
  await labeler.button("Try all again").click();
  await until(async () => (await labeler.delivery()) === "On hold", "held");
  assert.match(await finish(), /not delivered yet.*404/);
  assert.equal(new URL(labeler.page.url()).pathname, "/");
});
