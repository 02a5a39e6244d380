// The storm of `make fault` in small: answers in two tabs, a server that fails, a browser that is killed.
import assert from "node:assert/strict";
import { readdir, stat, truncate } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { chance } from "../fault/chance.mjs";
import { start } from "../fault/chromium.mjs";
import { hammer, ready, storm, world } from "../fault/storm.mjs";
import { hitl } from "../fault/subjects.mjs";
import { until } from "./labeler.mjs";

for (const seed of [1, 2]) {
  test(`500 answers, 5 kills of the browser and 30 % faulty answers: nothing shown as saved is lost, doubled or out of order (seed ${seed})`, async () => {
    const run = await storm({ subject: hitl({ items: 800, delivery: { batch_size: 3 } }), seed, records: 500, kills: 5, pause: 15 });
    const { lost, altered, doubled, inversions, stuck, left } = run;
    assert.deepEqual({ lost, altered, doubled, inversions }, { lost: [], altered: [], doubled: [], inversions: [] });
    assert.ok(!stuck, `what was left after the faults had ended: ${JSON.stringify(left)}`);
    // The storm was one. How many attempts fall into it is up to the machine: a fast one is through in seconds.
    assert.ok(run.shown >= 500 && run.kills === 5 && run.attempts >= 1, JSON.stringify(run));
    assert.ok(Object.keys(run.faults).length >= 1, `faults: ${JSON.stringify(run.faults)}`);
  });
}

// Chromium appends to the log of its last life, also behind a record that its death cut off, and at the start after that
// throws the whole store away (google/leveldb, issue 1287), unless a new log was begun meanwhile.
test("a browser that was killed in the middle of a write throws nothing away at its second start", async (t) => {
  const place = await world({ share: 1, kinds: ["refuse"] });
  t.after(() => place.close());
  const address = hitl({ items: 500 }).serve(place.server, new URL("records", place.faults.url).href, 1)(0);
  const log = async () => {
    const root = join(place.profile, "Default/IndexedDB");
    const store = join(root, (await readdir(root)).find((name) => name.endsWith(".leveldb")));
    const logs = (await readdir(store)).filter((name) => /^\d+\.log$/.test(name)).toSorted();
    return join(store, logs.at(-1));
  };
  /** Gives so many answers in a browser, and kills it once `over` holds; what waited for delivery at start and end. */
  const life = async (answers, over = () => true) => {
    const browser = await start(place.profile);
    try {
      const tab = await browser.tab(address);
      await ready(tab);
      const left = async () => (await tab.run(() => globalThis.subject.left())).undelivered;
      const [began, heard] = [await left(), place.heard.length];
      await hammer(tab, chance(answers), () => place.heard.length >= heard + answers, 20);
      await until(over, "a new log", 30_000);
      return [began, await left()];
    } finally {
      await browser.kill();
    }
  };
  await life(20);
  const torn = await log();
  await truncate(torn, (await stat(torn)).size - 100);
  const [, kept] = await life(10, async () => (await log()) !== torn);
  assert.ok(kept >= 29, `${kept} of 30 answers`);
  const [there] = await life(1);
  assert.ok(there >= kept, `${there} answers wait after the second start, ${kept} before it`);
  assert.ok(place.saved().length >= 31);
});
