// Troubles of the browser's store, one after the other: is anything lost in silence, is the person warned within 2 s,
// can what is not safe be downloaded?
import { setTimeout as sleep } from "node:timers/promises";
import { figure, say } from "../../../bench/report.mjs";
import { until } from "../../e2e/labeler.mjs";
import { start } from "../chromium.mjs";
import { NONE, world } from "../storm.mjs";
import { hitl } from "../subjects.mjs";
import { makeTrouble } from "../trouble.mjs";
import { folder } from "./drain.mjs";

const WARNED_MS = 2000;

/** Troubles that are made by script: words, and what makeTrouble is given. */
const MADE = [
  ["no IndexedDB", { call: "factory", how: "undefined" }],
  ["IndexedDB is forbidden", { call: "factory", how: "throw", name: "SecurityError" }],
  ...["SecurityError", "InvalidStateError", "UnknownError"].map((name) => [`open throws ${name}`, { call: "open", how: "throw", name }]),
  ...["UnknownError", "InvalidStateError", "QuotaExceededError", "AbortError", "VersionError", "NotFoundError"].map((name) => [`open fails with ${name}`, { call: "open", how: "error", name }]),
  ["open never answers", { call: "open", how: "hang" }],
  ["open is blocked by another tab", { call: "open", how: "blocked" }],
  ["open takes 1 s", { call: "open", how: "slow", ms: 1000 }],
  ["open takes 4 s", { call: "open", how: "slow", ms: 4000 }],
  ...["InvalidStateError", "NotFoundError", "UnknownError"].flatMap((name) => [0, 2].map((skip) => [`no transaction can be begun (${name}) after ${skip} good ones`, { call: "write", how: "throw", name, skip }])),
  ...["InvalidStateError", "UnknownError"].map((name) => [`one transaction cannot be begun (${name})`, { call: "write", how: "throw", name, skip: 2, times: 1 }]),
  ...["QuotaExceededError", "DataCloneError", "UnknownError"].flatMap((name) => [0, 2].map((skip) => [`every put throws ${name} after ${skip} good writes`, { call: "write", how: "put", name, skip }])),
  ...["", "QuotaExceededError", "UnknownError", "AbortError"].flatMap((name) => [
    [`every transaction is aborted (${name || "no reason"})`, { call: "write", how: "abort", name }],
    [`transactions are aborted from the third on (${name || "no reason"})`, { call: "write", how: "abort", name, skip: 2 }],
    [`the third transaction is aborted (${name || "no reason"})`, { call: "write", how: "abort", name, skip: 2, times: 1 }],
  ]),
  ...[0, 2].map((skip) => [`no transaction ends, after ${skip} good ones`, { call: "write", how: "hang", skip }]),
  ...[0, 2].map((skip) => [`every transaction takes 3 s, after ${skip} quick ones`, { call: "write", how: "slow", ms: 3000, skip }]),
  ["every transaction takes 1 s", { call: "write", how: "slow", ms: 1000 }],
  ...[0, 2].map((skip) => [`the browser closes the database once, after ${skip} writes`, { call: "write", how: "close", skip, times: 1 }]),
  ["the browser closes the database again and again", { call: "write", how: "close", skip: 1 }],
  ["nothing can be read at the start", { call: "read", how: "abort", name: "UnknownError" }],
  ["reading throws from the start", { call: "read", how: "throw", name: "InvalidStateError" }],
  ["nothing can be read after the start", { call: "read", how: "abort", name: "UnknownError", skip: 4 }],
  ["reading never ends", { call: "read", how: "hang" }],
];

/** Troubles that are real: `before` prepares, `during` strikes after two answers, `between` between two visits. */
const REAL = [
  ["the quota is used up from the start", { before: (_, cdp, origin) => quota(cdp, origin), writes: true }],
  ["the quota is used up after two answers", { during: (_, cdp, origin) => quota(cdp, origin) }],
  ["a newer version has used the store", { before: (page, _, origin, name) => blank(page, origin, (name) => openDatabase(name, 7), name) }],
  ["a newer version opens the store in another tab", { during: (page, _, origin, name) => beside(page, origin, name, 7) }],
  ["the database has no tables", { before: (page, _, origin, name) => blank(page, origin, (name) => openDatabase(name, 1), name) }],
  ["another tab deletes the database", { during: (page, _, origin, name) => beside(page, origin, name, 0) }],
  ["the browser clears the site's data while the page is open", { during: (_, cdp, origin) => clear(cdp, origin) }],
  ["the browser has cleared the store since the last visit", { between: (_, cdp, origin) => clear(cdp, origin) }],
  ["a sandboxed frame of no origin", { sandbox: true }],
  ["a private window", {}],
];

const quota = async (cdp, origin) => {
  await cdp.send("Storage.overrideQuotaForOrigin", { origin, quotaSize: 1 });
};
const clear = (cdp, origin) => cdp.send("Storage.clearDataForOrigin", { origin, storageTypes: "indexeddb" });
/** Runs `deed(name)` on an empty page of the origin. */
async function blank(page, origin, deed, name) {
  const other = await page.context().newPage();
  await other.goto(`${origin}/empty`);
  await other.evaluate(HELP);
  await other.evaluate(deed, name);
  await other.close();
}
/** Another tab opens the database in another version (0: deletes it), and stays. */
async function beside(page, origin, name, version) {
  const other = await page.context().newPage();
  await other.goto(`${origin}/empty`);
  await other.evaluate(HELP);
  await other.evaluate(([name, version]) => (version ? openDatabase(name, version) : deleteDatabase(name)), [name, version]);
}
const HELP = `
  globalThis.settled = (request) => new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(void (globalThis.kept = request.result));
    request.onerror = () => reject(request.error);
  });
  globalThis.openDatabase = (name, version) => settled(indexedDB.open(name, version));
  globalThis.deleteDatabase = (name) => settled(indexedDB.deleteDatabase(name));`;

export async function storage({ runs = MADE.length + REAL.length, skip = 0 }) {
  const place = await world({ share: 0, headers: { "access-control-allow-origin": "*" } });
  const held = new Set();
  place.faults.state.answer = ({ request }) => (held.has(new URL(request.url, place.faults.url).searchParams.get("run")) ? { status: 503, body: {} } : null);
  place.server.route("/empty", (_, response) => response.writeHead(200, { "content-type": "text/html" }).end("<!doctype html><title>empty</title>"));
  const cases = [...MADE.map(([words, made]) => [words, { made }]), ...REAL].slice(skip, skip + runs);
  const found = [];
  let browser = null;
  try {
    browser = await start(place.profile);
    let next = 0;
    const work = async () => {
      while (next < cases.length) {
        const number = next++;
        const [words, trouble] = cases[number];
        let outcome;
        try {
          outcome = await one({ browser, place, held, run: `case-${number}`, trouble });
        } catch (why) {
          outcome = { broken: String(why?.message ?? why).split("\n")[0] };
        }
        found.push({ words, ...outcome });
        say(`${words}: ${JSON.stringify(outcome)}`);
      }
    };
    await Promise.all([work(), work()]);
  } finally {
    await browser?.kill();
    await place.close();
  }
  const names = (list) => list.map(({ words, broken }) => (broken ? `${words}: ${broken}` : words)).slice(0, 40);
  const count = (metric, list) => figure({ metric: `storage/${metric}`, value: list.length, unit: "count", target: NONE, more: { of: found.length, cases: names(list) } });
  count("lost_in_silence", found.filter(({ broken, silent }) => broken || silent > 0));
  count("not_warned_within_2_s", found.filter(({ broken, unsafe, warnedMs }) => !broken && unsafe && !(warnedMs <= WARNED_MS)));
  count("no_download_offered", found.filter(({ broken, unsafe, offered }) => !broken && unsafe && !offered));
  count("shown_as_saved_and_lost", found.filter(({ broken, lost }) => !broken && lost > 0));
}

/** Answers four questions amid the trouble while the server is away, then visits again without it. */
async function one({ browser, place, held, run, trouble }) {
  const context = await browser.newContext();
  const origin = new URL(place.server.url).origin;
  const name = `hitl-labeler:${run}`;
  try {
    held.add(run);
    const subject = hitl({ items: 12, project: run, config: { annotator: run } });
    const inside = folder(place.server, run);
    const address = subject.serve(inside, new URL(`records?run=${run}`, place.faults.url).href, 1)(0);
    let page = await context.newPage();
    let cdp = await context.newCDPSession(page);
    let struck = null;
    if (trouble.before) await trouble.before(page, cdp, origin, name);
    // Where the trouble is real and there from the start, it begins when the page asks for its store, or writes into it.
    const made = trouble.made ?? (trouble.before || trouble.sandbox ? { call: trouble.writes ? "write" : "open", how: "nothing" } : null);
    if (made) await page.addInitScript(makeTrouble, made);
    const frameAddress = new URL(`${run}/frame`, place.server.url).href;
    if (trouble.sandbox) {
      place.server.host(`/${run}/frame`, `<iframe sandbox="allow-scripts allow-downloads" src="${address}" style="width:900px;height:700px"></iframe>`);
    }
    await page.goto(trouble.sandbox ? frameAddress : address);
    const view = () => (trouble.sandbox ? page.frames().find((frame) => frame.url() === address) : page);
    // What a person sees: asked every few ms, so that the times are those of the page.
    await view().evaluate(WATCH);
    const look = () => view().evaluate(() => globalThis.look());
    const asked = await until(async () => (await look()).ready, "a question", 15_000).then(() => true, () => false);
    if (!asked) {
      // A store that holds up the start: there is no answer to lose, but the person has to be told.
      const { warnedAt, troubleAt, button, says } = await look();
      const warnedMs = warnedAt === null ? null : warnedAt - troubleAt;
      return { answers: 0, unsafe: true, loose: 0, warnedMs, offered: button, lost: 0, silent: 0, says };
    }
    await view().evaluate(() => globalThis.subject.focus());
    const seenAt = Date.now();
    for (let press = 0; press < 4; press++) {
      if (press === 2 && trouble.during) {
        await trouble.during(page, cdp, origin, name);
        struck = Date.now();
      }
      await page.keyboard.press(String(1 + (press % 3)));
      await sleep(250);
    }
    // Its time to be warned, and a little more.
    await sleep(WARNED_MS + 400);
    const seen = await look();
    const at = struck ?? seen.troubleAt ?? seenAt;
    const answers = seen.told.length;
    const loose = seen.answered - seen.told.filter(({ durable }) => durable).length;
    const warnedMs = seen.warnedAt === null ? null : Math.max(0, seen.warnedAt - at);
    const downloaded = await view().evaluate(async () => {
      const blob = await document.querySelector("hitl-labeler").download("jsonl", { save: false });
      return (await blob.text()).split("\n").filter(Boolean).map((line) => JSON.parse(line).id);
    });
    const inFile = seen.told.every(({ id }) => downloaded.includes(id)) && downloaded.length >= seen.answered;
    let unsafe = loose > 0;
    let offered = seen.button && inFile;
    let warned = warnedMs;
    // A second visit, without the trouble, and with the server well again.
    await page.close();
    if (trouble.between) {
      const other = await context.newPage();
      cdp = await context.newCDPSession(other);
      await trouble.between(other, cdp, origin, name);
      await other.close();
    }
    held.delete(run);
    page = await context.newPage();
    if (!trouble.sandbox) {
      if (trouble.before || trouble.during) {
        cdp = await context.newCDPSession(page);
        await cdp.send("Storage.overrideQuotaForOrigin", { origin });
      }
      if (trouble.between) await page.addInitScript(makeTrouble, { call: "open", how: "nothing" });
      await page.goto(address);
      await page.evaluate(WATCH);
      const again = () => page.evaluate(() => globalThis.look());
      await until(async () => (await again()).ready, "a question at the second visit", 15_000).catch(() => {});
      await until(async () => (await again()).undelivered === 0, "delivery at the second visit", 15_000).catch(() => {});
      await sleep(trouble.between ? WARNED_MS : 200);
      if (trouble.between) {
        const now = await again();
        unsafe = true;
        warned = now.warnedAt === null ? null : now.warnedAt - now.troubleAt;
        // What is gone cannot be downloaded any more; while it waited, it could.
        offered = inFile;
      }
    }
    const arrived = (await place.arrived()).filter(({ annotator }) => annotator === run);
    const there = new Set(arrived.map(({ id }) => id));
    // Whatever was answered counts, also what the page never got to speak of.
    const missing = Math.max(seen.answered - arrived.length, 0);
    const lost = seen.told.filter(({ id, durable }) => durable && !there.has(id)).length;
    const wasWarned = warned !== null;
    // What another tab or the browser itself takes away cannot be kept, but it can be told.
    const taken = trouble.between || trouble.during;
    const silent = wasWarned ? (taken ? 0 : lost) : Math.max(missing, lost);
    return { answers, unsafe, loose, warnedMs: warned, offered, lost: taken ? 0 : lost, silent, says: seen.says };
  } finally {
    await context.close().catch(() => {});
  }
}

/** In the page: when a warning was first to be seen, and what there is now. */
const WATCH = `(() => {
  if (globalThis.look) return;
  const element = () => document.querySelector("hitl-labeler");
  const root = () => element()?.shadowRoot;
  const state = { warnedAt: null, says: null, button: false, told: [] };
  addEventListener("hitl-corrected", ({ detail }) => state.told.push({ id: detail.record.id, durable: detail.durable }));
  const glance = () => {
    const banners = [...(root()?.querySelectorAll(".banner") ?? [])].filter((banner) => banner.textContent.trim() && banner.getClientRects().length);
    if (banners.length) {
      state.warnedAt ??= Date.now();
      state.says = banners.map((banner) => banner.textContent.trim()).join(" | ").slice(0, 160);
      state.button = banners.some((banner) => banner.querySelector("button"));
    }
  };
  setInterval(glance, 20);
  globalThis.look = () => {
    glance();
    const progress = element()?.progress;
    return { ...state, ready: !!globalThis.subject?.ready(), answered: progress?.answered ?? 0, undelivered: progress?.undelivered ?? null,
      unsaved: progress?.unsaved ?? null, troubleAt: globalThis.trouble?.at ?? null };
  };
})()`;
