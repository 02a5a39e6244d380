// Answers that say 2xx and have failed all the same: none may count as delivery.
import { setTimeout as sleep } from "node:timers/promises";
import { failed, figure } from "../../../bench/report.mjs";
import { chance } from "../chance.mjs";
import { start } from "../chromium.mjs";
import { analyse } from "../analyse.mjs";
import { NONE, drained, hammer, ready, world } from "../storm.mjs";
import { hitl } from "../subjects.mjs";
import { folder } from "./drain.mjs";

/** What backends, gateways and hotels answer with a 2xx when they have stored nothing; each gets the ids that it was sent. */
const LIES = {
  "captive portal": () => ({ type: "text/html", body: "<!doctype html><title>Log in</title>" }),
  "captive portal as JSON": () => ({ body: "<html><head><title>Log in</title></head></html>" }),
  "nothing at all": () => ({ status: 204, body: "" }),
  "an empty body": () => ({ body: "" }),
  "ok": () => ({ type: "text/plain", body: "ok" }),
  "an empty object": () => ({ body: {} }),
  "accepted for later": () => ({ status: 202, body: { accepted: true, job: 17 } }),
  "no results": () => ({ body: { stored: 0, results: [] } }),
  "results that failed": (ids) => ({ body: { results: ids.map((id) => ({ id, status: "error", error: "disk is full" })) } }),
  "results of others": (ids) => ({ body: { results: ids.map((id) => ({ id: id.replace(/.{4}$/, "0000"), status: "stored" })) } }),
  "results without a word": (ids) => ({ body: { results: ids.map((id) => ({ id })) } }),
  "numbers for words": (ids) => ({ body: { results: ids.map((id) => ({ id, status: 500 })) } }),
  "another spelling": (ids) => ({ body: { results: ids.map((id) => ({ id, status: "not stored" })) } }),
  "cut off": (ids) => ({ body: JSON.stringify({ results: ids.map((id) => ({ id, status: "stored" })) }).slice(0, -9) }),
  "Elasticsearch bulk": (ids) => ({ body: { took: 3, errors: true, items: ids.map((id) => ({ create: { _id: id, status: 429, error: { type: "es_rejected_execution_exception" } } })) } }),
  "Kafka REST v3": () => ({ body: { error_code: 40403, message: "This server does not host this topic-partition." } }),
  "RabbitMQ": () => ({ body: { routed: false } }),
  "OTLP": (ids) => ({ body: { partialSuccess: { rejectedLogRecords: String(ids.length), errorMessage: "quota" } } }),
  "GraphQL": () => ({ body: { data: null, errors: [{ message: "permission denied" }] } }),
  "Argilla": () => ({ body: { items: [], error: { code: "record_not_found" } } }),
};

export async function falseSuccess({ records: answers = 1000, first_seed: seed = 1 }) {
  const pages = 20;
  const kinds = Object.entries(LIES);
  const draws = chance(seed);
  const place = await world({ seed, share: 0 });
  let browser = null;
  try {
    browser = await start(place.profile);
    let lying = true;
    const told = {};
    let count = 0;
    place.faults.state.answer = ({ entry }) => {
      if (!lying) return null;
      const [name, lie] = kinds[count++ % kinds.length];
      told[name] = (told[name] ?? 0) + 1;
      return { fault: name, status: 200, ...lie(entry.ids) };
    };
    const tabs = await Promise.all(
      Array.from({ length: pages }, async (_, number) => {
        // Each page its own project: as many senders, each with a back-off of its own.
        const subject = hitl({ items: 20, project: `false-${number}` });
        const tab = await browser.tab(subject.serve(folder(place.server, `false-${number}`), new URL("records", place.faults.url).href, 1)(0));
        await ready(tab);
        await tab.run(() => {
          globalThis.delivered = [];
          addEventListener("hitl-delivered", ({ detail }) => globalThis.delivered.push(...detail.ids));
        });
        let presses = 0;
        await hammer(tab, draws.branch(number), () => presses++ >= 6);
        return tab;
      }),
    );
    const patience = Date.now() + 240_000;
    while (count < answers && Date.now() < patience) await sleep(50);
    lying = false;
    // Before a true answer can come: every request that is under way was counted as a lie or comes later.
    const taken = await Promise.all(tabs.map((tab) => tab.run(() => globalThis.delivered)));
    const truth = new Set(place.faults.history.flatMap(({ committed }) => committed));
    const wrongly = taken.flat().filter((id) => !truth.has(id)).length;
    const ms = await drained(tabs, 60_000);
    const found = analyse(place.saved(), await place.arrived());
    if (count < answers) failed({ metric: "false_success/answers", reason: `only ${count} of ${answers} were asked for in time` });
    figure({
      metric: "false_success/taken_as_sent",
      value: wrongly,
      unit: "count",
      target: NONE,
      more: { answers: count, kinds: told, records: found.shown, pages },
    });
    figure({ metric: "false_success/lost", value: found.lost.length + (ms === null ? 1 : 0), unit: "count", target: NONE, more: { shown: found.shown, arrived: found.arrived } });
  } finally {
    await browser?.kill();
    await place.close();
  }
}
