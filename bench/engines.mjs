// One page with the engines of one comparison, and the interleaving that makes ratios fair.
import { MODELS } from './models.mjs';
import { median, quantile } from './stats.mjs';

/** The largest difference of an output from the peer's that still counts as the same, absolute or relative. */
const SAME = 1e-3;

/** Pictures that an engine is fed in turn. */
const DISTINCT = 16;

/** Loads `pages/engines.html` from `origin` and opens `engines` (name -> {kind, ...options}). */
export async function openEngines(context, origin, model, engines) {
  const page = await context.newPage();
  const facts = {};
  try {
    await page.goto(`${origin}/pages/engines.html`);
    await page.waitForFunction(() => globalThis.bench);
    for (const [name, { kind, ...options }] of Object.entries(engines)) {
      const folder = `/models/${MODELS[model].folder}`;
      const spec = { ...MODELS[model], distinct: DISTINCT, folder, model: `${folder}/model.onnx`, dist: '/dist', ...options };
      facts[name] = await page.evaluate(([n, k, o]) => bench.open(n, k, o), [name, kind, spec]);
    }
  } catch (error) {
    await page.close();
    throw error;
  }
  return {
    facts,
    call: (name, what, message) => page.evaluate(([n, w, m]) => bench.call(n, w, m), [name, what, message]),
    close: async () => {
      await page.evaluate(() => bench.close());
      await page.close();
    },
  };
}

/** The largest difference between two engines over `count` inputs; throws when they do not agree. */
export async function compareOutputs(engines, ours, peer, count = 4) {
  const largest = (values) => values.indexOf(Math.max(...values));
  let worst = 0;
  for (let index = 0; index < count; index++) {
    const a = (await engines.call(ours, 'output', { index })).output;
    const b = (await engines.call(peer, 'output', { index })).output;
    if (a.length !== b.length) throw new Error(`outputs differ in length: ${a.length} and ${b.length}`);
    const difference = Math.max(...a.map((x, i) => Math.abs(x - b[i]) / Math.max(1, Math.abs(b[i]))));
    if (!(difference <= SAME)) throw new Error(`outputs differ by ${difference} on input ${index}`);
    if (largest(a) !== largest(b)) throw new Error(`the first class differs on input ${index}`);
    worst = Math.max(worst, difference);
  }
  return worst;
}

/**
 * Runs `measure(name) -> milliseconds` until the median of five in a row is within 3 % of that of the five
 * before: the engine's Wasm has then reached its optimising compiler. At most `limit` times an engine.
 */
export async function warmUp(measure, names, limit = 25) {
  for (const name of names) {
    const seen = [];
    while (seen.length < limit) {
      seen.push(await measure(name));
      if (seen.length < 10) continue;
      const now = median(seen.slice(-5));
      const before = median(seen.slice(-10, -5));
      if (Math.abs(now - before) <= 0.03 * before) break;
    }
  }
}

/**
 * `rounds` rounds of ABBA: ours, peer, peer, ours. Answers the medians of both and the median of the rounds'
 * ratios (peer's time over ours: above 1, we are faster), with the lowest and the quartiles.
 */
export async function interleave(measure, ours, peer, rounds) {
  const [a, b, ratios] = [[], [], []];
  for (let round = 0; round < rounds; round++) {
    const first = await measure(ours);
    const second = await measure(peer);
    const third = await measure(peer);
    const fourth = await measure(ours);
    a.push(first, fourth);
    b.push(second, third);
    ratios.push((second + third) / (first + fourth));
  }
  const spread = [Math.min(...ratios), quantile(ratios, 0.25), quantile(ratios, 0.75)];
  return { ours: median(a), peer: median(b), ratio: median(ratios), spread: spread.map((x) => Number(x.toFixed(3))) };
}
