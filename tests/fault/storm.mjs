// Answers by the thousand while the server fails and the whole browser is killed again and again.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { collect } from "../e2e/collector.mjs";
import { until } from "../e2e/labeler.mjs";
import { stand } from "../e2e/stand.mjs";
import { analyse, weather } from "./analyse.mjs";
import { chance } from "./chance.mjs";
import * as chromium from "./chromium.mjs";
import * as firefox from "./firefox.mjs";
import { proxy } from "./proxy.mjs";

export const BROWSERS = { chromium, firefox };

/** The target of what may not happen once. */
export const NONE = { of: "value", at_most: 0 };

/** A page's server, the collector behind the fault proxy, and what the page has shown as saved: one run's world. */
export async function world({ seed = 1, share = 0.3, patience = 1000, headers = {}, ...more } = {}) {
  const server = await stand({ headers });
  const origin = new URL(server.url).origin;
  const collector = await collect({ origins: [origin] });
  const faults = await proxy(collector.url, { seed, share, patience, ...more });
  const profile = await mkdtemp(join(tmpdir(), "hitl-fault-"));
  const heard = [];
  server.route("/noted", (_, response, body) => {
    heard.push(...JSON.parse(body));
    response.writeHead(204).end();
  });
  return {
    server,
    collector,
    faults,
    profile,
    heard,
    /** Records that were shown as saved on this device. */
    saved: () => heard.filter(({ durable }) => durable),
    arrived: async () => (await collector.export()).split("\n").filter(Boolean).map((line) => JSON.parse(line)),
    async close() {
      await faults.close();
      await collector.close();
      await server.close();
      await rm(profile, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

/** Waits until the page of a tab can be answered, and gives its element the keyboard's focus. */
export async function ready(tab, patience = 60_000) {
  await until(() => tab.run(() => !!globalThis.subject?.ready()).catch(stillThere), "a question", patience);
  await tab.run(() => globalThis.subject.focus());
}

/** While a page is being replaced there is nothing to ask; anything else that fails is for the caller. */
function stillThere(why) {
  if (/Execution context|no such frame|navigat|subject/i.test(String(why))) return false;
  throw why;
}

/** Presses keys of a tab one after the other until `over()`, or until the browser is gone: three answers, now and then one is taken back. */
export async function hammer(tab, draws, over, pause = 0) {
  while (!over()) {
    await tab.press(draws.unit() < 0.04 ? "Backspace" : draws.one(["1", "2", "3"]));
    if (pause) await sleep(pause);
  }
}

/** Waits until no tab has anything left; gives the time in ms, or null when `patience` ms did not do. */
export async function drained(tabs, patience) {
  const began = Date.now();
  for (;;) {
    const left = await Promise.all(tabs.map((tab) => tab.run(() => globalThis.subject.left())));
    if (left.every(({ unsaved, undelivered }) => unsaved === 0 && undelivered === 0)) return Date.now() - began;
    if (Date.now() - began > patience) return null;
    await sleep(50);
  }
}

/** What `promise` gives, unless it takes longer than `ms`: a browser that does not answer is an error of the run, with a name. */
function within(ms, what, promise) {
  let timer;
  const late = new Promise((_, reject) => (timer = setTimeout(() => reject(new Error(`no answer in ${ms} ms: ${what}`)), ms)));
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** A browser on this profile; one that does not come up is no matter of delivery: it is tried again, thrice. */
async function started(browser, profile, say) {
  for (let attempt = 1; ; attempt++) {
    try {
      return await BROWSERS[browser].start(profile);
    } catch (why) {
      say(`${browser}, attempt ${attempt}: ${String(why.message).slice(0, 300)}`);
      if (attempt === 3) throw why;
    }
  }
}

/** Fails when nothing is shown as saved for long although keys are pressed, and says how the pages look. */
async function watch(heard, over, tabs, patience = 30_000) {
  let [count, since] = [heard.length, Date.now()];
  while (!over()) {
    await sleep(200);
    if (heard.length !== count) [count, since] = [heard.length, Date.now()];
    if (Date.now() - since < patience) continue;
    const look = (tab) => tab.run(() => globalThis.subject.look?.() ?? document.body.innerText).catch(String);
    const looks = await Promise.race([Promise.all(tabs.map(look)), sleep(5000).then(() => "no answer from the pages")]);
    throw new Error(`no answer was kept for ${patience} ms after ${count}: ${JSON.stringify(looks)}`);
  }
  // The presses that are under way end by themselves.
  return new Promise(() => {});
}

/**
 * One storm; gives `analyse`'s lists and how the run went.
 *
 * `subject`: see subjects.mjs. `records`: how many are to be shown as saved. `kills`: how often the browser's process
 * group is killed, at moments drawn by `seed`; every fifth of them while the pages are still starting.
 */
export async function storm({ subject, seed, records, kills, share = 0.3, tabs = 2, browser = "chromium", pause = 0, calm = 120_000, say = () => {} }) {
  const began = Date.now();
  const draws = chance(seed);
  const place = await world({ seed, share });
  const address = await subject.serve(place.server, new URL("records", place.faults.url).href, tabs);
  // Where the deaths are: after so many records and a moment more, or so many ms after the start.
  const marks = Array.from({ length: kills }, () => draws.whole(0, Math.floor(records * 0.98))).sort((a, b) => a - b);
  const deaths = marks.map((mark) => (draws.unit() < 0.2 ? { ms: draws.whole(0, 2000) } : { mark, ms: draws.whole(0, 400) }));
  let alive = null;
  let version = null;
  let startMs = 0;
  let pressedMs = 0;
  try {
    for (let life = 0; life <= kills; life++) {
      const death = deaths[life];
      const born = Date.now();
      alive = await started(browser, place.profile, say);
      version = alive.version;
      let dying = false;
      const over = () => dying || place.heard.length >= records;
      const work = (async () => {
        const open = await within(60_000, "opening the tabs", Promise.all(Array.from({ length: tabs }, (_, tab) => alive.tab(address(tab)))));
        await within(60_000, "a question in each tab", Promise.all(open.map((tab) => ready(tab))));
        startMs += Date.now() - born;
        const pressing = Date.now();
        const stalled = watch(place.heard, over, open);
        try {
          await Promise.race([stalled, Promise.all(open.map((tab, at) => hammer(tab, draws.branch(life * tabs + at), over, pause)))]);
        } finally {
          pressedMs += Date.now() - pressing;
        }
        return open;
      })();
      if (death) {
        // What fails while the browser dies is what is being tried; what fails before is an error of the run.
        const failed = work.then(() => null, (why) => (dying ? null : why));
        const waiting = (async () => {
          if (death.mark === undefined) return;
          while (place.heard.length < death.mark) await sleep(2);
        })();
        await Promise.race([waiting, failed.then((why) => why && Promise.reject(why))]);
        await sleep(death.ms);
        dying = true;
        await alive.kill();
        // A tab that was being opened never answers once its browser is gone.
        await Promise.race([failed, sleep(2000)]);
        say(`${subject.name}, seed ${seed}: killed ${life + 1}/${kills}, ${place.heard.length} records shown`);
        continue;
      }
      const open = await work;
      const calmAt = Date.now();
      place.faults.state.faulty = false;
      const drainMs = await drained(open, calm);
      const left = await Promise.all(open.map((tab) => tab.run(() => globalThis.subject.left())));
      await alive.kill();
      alive = null;
      const arrived = await place.arrived();
      const found = analyse(place.saved(), arrived);
      return {
        ...found,
        stuck: drainMs === null,
        left,
        drainMs,
        version,
        kills,
        seconds: (Date.now() - began) / 1000,
        startSeconds: startMs / 1000,
        pressedSeconds: pressedMs / 1000,
        ...weather(place.faults.history, calmAt),
      };
    }
  } finally {
    await alive?.kill();
    await place.close();
  }
}
