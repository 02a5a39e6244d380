// A token that expires again and again: nothing may be lost or refused, and work goes on as soon as there is a new one.
import { setTimeout as sleep } from "node:timers/promises";
import { figure } from "../../../bench/report.mjs";
import { chance } from "../chance.mjs";
import { start } from "../chromium.mjs";
import { analyse } from "../analyse.mjs";
import { NONE, drained, ready, world } from "../storm.mjs";
import { hitl } from "../subjects.mjs";

/** The host page's side: it fetches a token when the element asks for one, and notes when it had it. */
const AUTHORIZE = `<script>
  globalThis.tokens = [];
  document.querySelector("hitl-labeler").authorize = async ({ reason }) => {
    const response = await fetch("/token", { method: "POST" });
    const token = await response.text();
    tokens.push({ token, reason, at: Date.now() });
    return token;
  };</script>`;

export async function token({ runs: expiries = 20, first_seed: seed = 1 }) {
  const draws = chance(seed);
  const place = await world({ seed, share: 0 });
  let browser = null;
  try {
    const delivery = { authorization: { header: "Authorization", value: "Bearer {token}" } };
    const subject = hitl({ items: 50_000, project: "token", delivery, body: AUTHORIZE });
    const address = subject.serve(place.server, new URL("records", place.faults.url).href, 1)(0);
    let current = null;
    let number = 0;
    place.server.route("/token", async (_, response) => {
      // Whoever gives tokens takes a moment, too.
      await sleep(draws.whole(20, 300));
      current = `token-${seed}-${(number += 1)}`;
      response.writeHead(200, { "content-type": "text/plain" });
      response.end(current);
    });
    let unauthorized = 0;
    place.faults.state.answer = ({ entry }) => {
      if (current !== null && entry.authorization === `Bearer ${current}`) return null;
      unauthorized += 1;
      return { fault: "expired", status: draws.one([401, 401, 401, 403]), body: { error: { code: "unauthorized", message: "the token has expired" } } };
    };
    browser = await start(place.profile);
    const tab = await browser.tab(address);
    await ready(tab);
    let over = false;
    const pressing = (async () => {
      while (!over) {
        await tab.press(draws.one(["1", "2", "3"]));
        await sleep(15);
      }
    })();
    const good = () => place.faults.history.filter(({ fault, committed }) => fault === null && committed.length).length;
    let expired = 0;
    const patience = Date.now() + 10_000 + expiries * 6000;
    while (expired < expiries && Date.now() < patience) {
      const before = good();
      while (good() < before + 3 && Date.now() < patience) await sleep(10);
      if (good() < before + 3) break;
      current = null;
      expired += 1;
    }
    while (current === null && Date.now() < patience + 3000) await sleep(10);
    over = true;
    await pressing;
    const ms = await drained([tab], 30_000);
    const tokens = await tab.run(() => globalThis.tokens);
    const found = analyse(place.saved(), await place.arrived());
    const { refused } = await tab.run(() => globalThis.subject.left());
    // From the moment that the page had the token to the first request that bears it.
    const gaps = tokens.map(({ token, at }) => {
      const first = place.faults.history.find(({ authorization }) => authorization === `Bearer ${token}`);
      return first ? Math.max(0, first.at - at) : Infinity;
    });
    const slowest = Math.max(...gaps);
    const more = { expiries: expired, tokens: tokens.length, unauthorized, shown: found.shown, arrived: found.arrived, seconds_to_drain: ms === null ? null : ms / 1000 };
    figure({ metric: "token/expiries", value: expired, unit: "count", target: { of: "value", at_least: expiries }, more });
    figure({ metric: "token/lost", value: found.lost.length, unit: "count", target: NONE });
    figure({ metric: "token/refused", value: refused, unit: "count", target: NONE });
    figure({ metric: "token/slowest_to_go_on", value: Number.isFinite(slowest) ? slowest / 1000 : null, unit: "s", target: { of: "value", at_most: Number.isFinite(slowest) ? 2 : -1 } });
  } finally {
    await browser?.kill();
    await place.close();
  }
}
