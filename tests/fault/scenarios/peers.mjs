// The same storm on two usual ways to send answers from a page, beside ours: a table of what each loses.
import { failed, figure, say } from "../../../bench/report.mjs";
import { storm } from "../storm.mjs";
import { hitl, plain, workbox } from "../subjects.mjs";

export async function peers({ records = 1000, kills = 10, share = 30, seeds = 1, first_seed: first = 1 }) {
  const subjects = [() => hitl({ items: records + 500 }), workbox, plain];
  const rows = [];
  for (const make of subjects) {
    const row = { name: make().name, shown: 0, lost: 0, doubled: 0, inversions: 0, stuck: 0, runs: 0 };
    for (let seed = first; seed < first + seeds; seed++) {
      try {
        // The keys at an even pace: a queue that sends records one by one falls behind in the rush of the storm.
        const run = await storm({ subject: make(), seed, records, kills, share: share / 100, pause: 20, calm: 300_000, say });
        row.shown += run.shown;
        row.lost += run.lost.length;
        row.doubled += run.doubled.length;
        row.inversions += run.inversions.length;
        row.stuck += run.stuck ? 1 : 0;
        row.runs += 1;
      } catch (why) {
        failed({ metric: "peers/lost", peer: row.name, reason: why });
      }
    }
    rows.push(row);
  }
  say("\n| | shown as saved | lost | lost % | doubled | out of order | stuck runs |\n|---|---|---|---|---|---|---|");
  for (const { name, shown, lost, doubled, inversions, stuck, runs } of rows)
    if (runs) say(`| ${name} | ${shown} | ${lost} | ${((100 * lost) / shown).toFixed(1)} | ${doubled} | ${inversions} | ${stuck} of ${runs} |`);
  const [ours, ...others] = rows;
  for (const { name, shown, lost, runs } of others) {
    if (!runs || !ours.runs) continue;
    figure({
      metric: "peers/lost",
      value: ours.lost,
      unit: "count",
      peer: name,
      peer_value: lost,
      target: { of: "value", at_most: 0 },
      more: { shown: ours.shown, peer_shown: shown, seeds: runs, kills, records },
    });
  }
}
