// What durability costs: from the key to the record on disk, and from the key to the next question on the screen.
import { setTimeout as sleep } from "node:timers/promises";
import { figure } from "../../../bench/report.mjs";
import { quantile } from "../../../bench/stats.mjs";
import { chance } from "../chance.mjs";
import { start } from "../chromium.mjs";
import { ready, world } from "../storm.mjs";
import { hitl } from "../subjects.mjs";

/** Notes for each key: when the next question was painted, when the record was kept; and how each transaction was asked for. */
const WATCH = `<script>
  const watch = { painted: [], kept: [], modes: {} };
  globalThis.watch = watch;
  const begin = IDBDatabase.prototype.transaction;
  IDBDatabase.prototype.transaction = function (tables, mode, options) {
    if (mode === "readwrite") watch.modes[options?.durability ?? "default"] = (watch.modes[options?.durability ?? "default"] ?? 0) + 1;
    return begin.call(this, tables, mode, options);
  };
  let pressed = null;
  const said = () => element()?.shadowRoot?.querySelector(".said[role=status]")?.textContent ?? "";
  const frame = () => {
    if (pressed && !pressed.shown && said() !== pressed.said) {
      const { at } = pressed;
      pressed.shown = true;
      // A message posted in a frame is handled after that frame was painted.
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => watch.painted.push(performance.now() - at);
      port2.postMessage(null);
    }
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
  addEventListener("keydown", (event) => (pressed = { at: event.timeStamp, said: said(), shown: false }), true);
  addEventListener("hitl-corrected", ({ detail }) => detail.durable && watch.kept.push(performance.now() - pressed.at));
</script>`;

export async function cost({ records: presses = 300, first_seed: seed = 1 }) {
  for (const durability of ["strict", "relaxed"]) {
    const place = await world({ seed, share: 0 });
    let browser = null;
    try {
      const subject = hitl({ items: presses + 500, project: "cost", delivery: durability === "strict" ? {} : { durability }, body: WATCH });
      const address = subject.serve(place.server, new URL("records", place.faults.url).href, 1)(0);
      browser = await start(place.profile);
      const tab = await browser.tab(address);
      await ready(tab);
      const draws = chance(seed);
      for (let press = 1; press <= presses; press++) {
        await tab.press(draws.one(["1", "2", "3"]));
        for (let wait = 0; wait < 250; wait++) {
          const { painted, kept } = await tab.run(() => ({ painted: watch.painted.length, kept: watch.kept.length }));
          if (painted >= press && kept >= press) break;
          await sleep(20);
        }
        await sleep(40);
      }
      const { painted, kept, modes } = await tab.run(() => globalThis.watch);
      if (painted.length !== presses || kept.length !== presses) throw new Error(`${presses} presses: ${painted.length} painted, ${kept.length} kept`);
      const others = Object.keys(modes).filter((mode) => mode !== durability);
      if (others.length) throw new Error(`the transactions were asked for as ${JSON.stringify(modes)}, not as ${durability}`);
      const more = { presses, p50: Number(quantile(kept, 0.5).toFixed(1)), modes };
      figure({ metric: `cost/${durability}/key_to_kept_p95`, value: quantile(kept, 0.95), unit: "ms", more });
      figure({
        metric: `cost/${durability}/key_to_paint_p95`,
        value: quantile(painted, 0.95),
        unit: "ms",
        target: { of: "value", at_most: 50 },
        more: { presses, p50: Number(quantile(painted, 0.5).toFixed(1)) },
      });
    } finally {
      await browser?.kill();
      await place.close();
    }
  }
}
