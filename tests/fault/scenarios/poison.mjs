// One record in a hundred that the backend refuses together with its whole batch: is it found, named, and cheap?
import { figure, say } from "../../../bench/report.mjs";
import { chance } from "../chance.mjs";
import { start } from "../chromium.mjs";
import { NONE, drained, ready, world } from "../storm.mjs";
import { hitl } from "../subjects.mjs";

const BATCH = 50;

export async function poison({ records = 1000, first_seed: seed = 1 }) {
  const draws = chance(seed);
  // One in each hundred, at a place of its own: a batch of 50 holds one or none.
  const bad = new Set();
  for (let at = 0; at + 100 <= records; at += 100) bad.add(`item-${at + draws.whole(0, BATCH - 1)}`);
  const place = await world({ seed, share: 0 });
  let browser = null;
  try {
    const subject = hitl({ items: records, project: "poison", delivery: { batch_size: BATCH } });
    const address = subject.serve(place.server, new URL("records", place.faults.url).href, 1)(0);
    // Nothing goes out before everything waits, so that the batches are full.
    place.faults.state.answer = () => ({ status: 503, body: {} });
    browser = await start(place.profile);
    const tab = await browser.tab(address);
    await ready(tab);
    while (place.heard.length < records) await tab.press(draws.one(["1", "2", "3"]));
    const before = place.faults.history.length;
    place.faults.state.answer = ({ records }) =>
      records.some((record) => bad.has(record.item_id)) && {
        fault: "poison",
        status: 422,
        body: { error: { code: "unprocessable", message: "a record breaks a rule of this database" } },
      };
    const ms = await drained([tab], 300_000);
    const requests = place.faults.history.slice(before).filter(({ fault }) => fault !== "scripted");
    const items = new Map(place.heard.map(({ record }) => [record.id, record.item_id]));
    const arrived = new Set((await place.arrived()).map(({ item_id }) => item_id));
    const named = (await tab.run(() => globalThis.refused)).map(({ id, why }) => ({ item: items.get(id), why }));
    // As a person reads them: the list in the pane.
    const listed = await tab.run(async () => {
      const root = document.querySelector("hitl-labeler").shadowRoot;
      root.querySelector(".tab--delivery").click();
      await new Promise((resolve) => setTimeout(resolve, 500));
      return [...root.querySelectorAll(".row__name")].map((row) => row.textContent);
    });
    const good = [...items.values()].filter((item) => !bad.has(item));
    const more = { records, poison: bad.size, batch: BATCH, requests: requests.length, seconds: ms === null ? null : ms / 1000 };
    say(`poison: ${requests.length} requests for ${records} records, ${bad.size} of them poison`);
    figure({ metric: "poison/good_not_delivered", value: good.filter((item) => !arrived.has(item)).length + (ms === null ? 1 : 0), unit: "count", target: NONE, more });
    figure({ metric: "poison/good_refused", value: named.filter(({ item }) => !bad.has(item)).length, unit: "count", target: NONE });
    figure({
      metric: "poison/poison_not_named",
      value: [...bad].filter((item) => !named.some((record) => record.item === item && record.why) || !listed.includes(item)).length,
      unit: "count",
      target: NONE,
    });
    const needed = Math.ceil(records / BATCH);
    figure({
      metric: "poison/extra_requests_for_one",
      value: (requests.length - needed) / bad.size,
      unit: "requests",
      target: { of: "value", at_most: 7 },
      more: { most_by_bisection: 2 * Math.ceil(Math.log2(BATCH)) },
    });
  } finally {
    await browser?.kill();
    await place.close();
  }
}
