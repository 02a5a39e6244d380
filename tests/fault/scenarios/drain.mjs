// When the faults end: how long do 10,000 records take, and does any of 500 short runs stay stuck?
import { setTimeout as sleep } from "node:timers/promises";
import { failed, figure, say } from "../../../bench/report.mjs";
import { analyse } from "../analyse.mjs";
import { chance } from "../chance.mjs";
import { start } from "../chromium.mjs";
import { NONE, drained, hammer, ready, world } from "../storm.mjs";
import { hitl } from "../subjects.mjs";

export async function drain({ records = 10_000, runs = 500, first_seed: seed = 1 }) {
  await backlog(records, seed, "quick_backoff", {});
  // As the element comes, with a back-off of up to half a minute: what a long outage costs at its end.
  await backlog(records, seed, "default_backoff", { retry: undefined, timeout_ms: undefined });
  if (runs) await shortRuns(runs, seed);
}

/** All answers are given while the server fails whatever it is asked; then it is well. */
async function backlog(records, seed, name, delivery) {
  const place = await world({ seed, share: 1, kinds: ["refuse", "reset-before", "500", "429", "portal"] });
  let browser = null;
  try {
    const subject = hitl({ items: records + 500, project: `drain-${name}`, delivery: { batch_size: 50, ...delivery } });
    const address = subject.serve(place.server, new URL("records", place.faults.url).href, 2);
    browser = await start(place.profile);
    const tabs = await Promise.all([browser.tab(address(0)), browser.tab(address(1))]);
    await Promise.all(tabs.map((tab) => ready(tab)));
    const began = Date.now();
    const draws = chance(seed);
    await Promise.all(tabs.map((tab, at) => hammer(tab, draws.branch(at), () => place.heard.length >= records)));
    const pressed = (Date.now() - began) / 1000;
    say(`drain: ${place.heard.length} records wait after ${Math.round(pressed)} s, the faults end`);
    const waiting = await tabs[0].run(() => globalThis.subject.left().undelivered);
    const attempts = place.faults.history.length;
    place.faults.state.faulty = false;
    const ended = Date.now();
    const ms = await drained(tabs, 420_000);
    const first = place.faults.history.slice(attempts).find(({ fault }) => !fault);
    const found = analyse(place.saved(), await place.arrived());
    const more = {
      waiting,
      batch: 50,
      seconds_of_faults: pressed,
      answers_per_second: Number((place.heard.length / pressed).toFixed(1)),
      seconds_to_first_attempt: first ? (first.at - ended) / 1000 : null,
      requests: place.faults.history.length - attempts,
    };
    if (ms === null) failed({ metric: `drain/${name}`, unit: "s", reason: "not drained in 420 s" });
    else figure({ metric: `drain/${name}`, value: ms / 1000, unit: "s", target: { of: "value", at_most: 60 }, more });
    figure({ metric: `drain/${name}/lost`, value: found.lost.length, unit: "count", target: NONE, more: { shown: found.shown, arrived: found.arrived } });
  } finally {
    await browser?.kill();
    await place.close();
  }
}

/** Each run: a project of its own, two tabs, half of the attempts fail, one tab is closed in the middle and opened again. */
async function shortRuns(runs, seed) {
  const place = await world({ seed, share: 0.5 });
  const calm = new Set();
  // A run is known by its address: its faults end when it has pressed its keys.
  place.faults.state.faulty = (request) => !calm.has(new URL(request.url, place.faults.url).searchParams.get("run"));
  let browser = null;
  const stuck = [];
  const slow = [];
  try {
    browser = await start(place.profile);
    let next = 0;
    const one = async (number) => {
      const run = `run-${number}`;
      const draws = chance(seed * 1000 + number);
      const subject = hitl({ items: 40, prefix: run, project: run });
      const url = new URL(`records?run=${run}`, place.faults.url).href;
      const address = subject.serve(folder(place.server, run), url, 2);
      const tabs = await Promise.all([browser.tab(address(0)), browser.tab(address(1))]);
      await Promise.all(tabs.map((tab) => ready(tab)));
      const some = async (tab) => {
        let presses = draws.whole(4, 10);
        await hammer(tab, draws, () => presses-- <= 0, draws.whole(0, 30));
      };
      await Promise.all(tabs.map(some));
      const closed = draws.whole(0, 1);
      await tabs[closed].close();
      await sleep(draws.whole(0, 200));
      tabs[closed] = await browser.tab(address(closed));
      await ready(tabs[closed]);
      await Promise.all(tabs.map(some));
      calm.add(run);
      const ms = await drained(tabs, 30_000);
      if (ms === null) stuck.push({ run, left: await Promise.all(tabs.map((tab) => tab.run(() => globalThis.subject.left()))) });
      else slow.push(ms);
      await Promise.all(tabs.map((tab) => tab.close()));
    };
    await Promise.all(
      Array.from({ length: 3 }, async () => {
        while (next < runs) {
          const number = next++;
          await one(number);
          if (number % 50 === 49) say(`short runs: ${number + 1} of ${runs}`);
        }
      }),
    );
    const found = analyse(place.saved(), await place.arrived());
    slow.sort((a, b) => a - b);
    const more = { runs, shown: found.shown, arrived: found.arrived, attempts: place.faults.history.length, slowest_s: slow.length ? slow.at(-1) / 1000 : null, stuck_runs: stuck.slice(0, 3) };
    figure({ metric: "drain/short_runs_stuck", value: stuck.length, unit: "count", target: NONE, more });
    figure({ metric: "drain/short_runs_lost", value: found.lost.length, unit: "count", target: NONE });
    figure({ metric: "drain/short_runs_inversions", value: found.inversions.length, unit: "count", target: NONE, more: { pairs: found.inversions.slice(0, 5) } });
  } finally {
    await browser?.kill();
    await place.close();
  }
}

/** A server's folder as a server of its own, so that runs beside each other do not share their files. */
export function folder(server, name) {
  return {
    url: new URL(`${name}/`, server.url).href,
    route: (path, what) => server.route(`/${name}${path}`, what),
    host: (path, body, options) => server.host(`/${name}${path}`, body, options),
  };
}
