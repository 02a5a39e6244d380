// Answers by the thousand, two tabs, a browser that is killed, a server that fails in every way: what is lost?
import { failed, figure, say } from "../../../bench/report.mjs";
import { NONE, storm } from "../storm.mjs";
import { hitl } from "../subjects.mjs";

export async function stormScenario({ records = 10_000, kills = 50, share = 30, seeds = 20, firefox_seeds: firefoxSeeds = 5, first_seed: first = 1, browser }) {
  const plan = [
    ["chromium", seeds],
    ["firefox", firefoxSeeds],
  ].filter(([name]) => !browser || browser === name);
  for (const [name, count] of plan) {
    const runs = [];
    for (let seed = first; seed < first + count; seed++) {
      try {
        // An undo is a record, too, and an item may be answered in both tabs: there are always items enough.
        const run = await storm({ subject: hitl({ items: records + 500 }), seed, records, kills, share: share / 100, browser: name, say });
        runs.push({ seed, ...run });
        report(`storm/${name}/seed_${seed}`, [runs.at(-1)]);
      } catch (why) {
        failed({ metric: `storm/${name}/seed_${seed}`, reason: why });
      }
    }
    if (runs.length) report(`storm/${name}`, runs);
  }
}

/** One line a target; conditions and weather stand beside the first. */
function report(metric, runs) {
  const sum = (key) => runs.reduce((total, run) => total + (Array.isArray(run[key]) ? run[key].length : run[key]), 0);
  const seeds = runs.map(({ seed }) => seed);
  const faults = {};
  for (const run of runs) for (const [fault, count] of Object.entries(run.faults)) faults[fault] = (faults[fault] ?? 0) + count;
  const more = {
    seeds,
    browser: runs[0].version,
    shown: sum("shown"),
    arrived: sum("arrived"),
    kills: sum("kills"),
    attempts: sum("attempts"),
    faulty: Number((runs.reduce((total, { faulty, attempts }) => total + faulty * attempts, 0) / sum("attempts")).toFixed(3)),
    faults,
    sent_again: sum("again"),
    seconds: Math.round(sum("seconds")),
    seconds_starting: Math.round(sum("startSeconds")),
    seconds_pressing: Math.round(sum("pressedSeconds")),
  };
  figure({ metric: `${metric}/lost`, value: sum("lost"), unit: "count", target: NONE, more });
  figure({ metric: `${metric}/altered`, value: sum("altered"), unit: "count", target: NONE });
  figure({ metric: `${metric}/doubled`, value: sum("doubled"), unit: "count", target: NONE });
  figure({ metric: `${metric}/inversions`, value: sum("inversions"), unit: "count", target: NONE, more: { pairs: runs.flatMap(({ inversions }) => inversions).slice(0, 5) } });
  figure({ metric: `${metric}/stuck`, value: runs.filter(({ stuck }) => stuck).length, unit: "count", target: NONE });
  const slowest = Math.max(...runs.map(({ drainMs }) => drainMs ?? Infinity));
  figure({ metric: `${metric}/drain_slowest`, value: Number.isFinite(slowest) ? slowest / 1000 : null, unit: "s" });
}
