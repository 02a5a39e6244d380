// One page with the engines of one comparison, and the interleaving that makes ratios fair.
import { median, quantile } from './stats.mjs';
import { MODELS } from './models.mjs';

/** The largest difference of any output value that still counts as "the same answer". */
const SAME = 1e-3;

/** Loads `pages/engines.html` from `origin` and opens `engines` (name -> {url, ...options}). */
export async function openEngines(context, origin, model, engines) {
  const page = await context.newPage();
  const facts = {};
  try {
    await page.goto(`${origin}/pages/engines.html`);
    await page.waitForFunction(() => globalThis.bench);
    for (const [name, { url, ...options }] of Object.entries(engines)) {
      const spec = { ...MODELS[model], name: model, ...options };
      facts[name] = await page.evaluate(([n, u, o]) => bench.open(n, u, o), [name, url, spec]);
    }
  } catch (error) {
    await page.close();
    throw error;
  }
  return {
    facts,
    call: (name, message) => page.evaluate(([n, m]) => bench.call(n, m), [name, message]),
    close: async () => {
      await page.evaluate(() => bench.close());
      await page.close();
    },
  };
}

/** Throws when the two engines differ on any of `count` inputs: nothing is timed then. */
export async function compareOutputs(engines, ours, peer, count = 4) {
  const largest = (values) => values.indexOf(Math.max(...values));
  let worst = 0;
  for (let index = 0; index < count; index++) {
    const a = (await engines.call(ours, { do: 'output', index })).output;
    const b = (await engines.call(peer, { do: 'output', index })).output;
    if (a.length !== b.length) throw new Error(`outputs differ in length: ${a.length} and ${b.length}`);
    if (largest(a) !== largest(b)) throw new Error(`the first class differs on input ${index}`);
    worst = Math.max(worst, ...a.map((x, i) => Math.abs(x - b[i])));
    if (!(worst <= SAME)) throw new Error(`outputs differ by ${worst} on input ${index}`);
  }
  return worst;
}

/**
 * Runs `measure(name) -> milliseconds` until the median of five in a row stays within 3 % of the
 * five before them: the engine's Wasm has then reached its optimising compiler. At most `limit` times.
 */
export async function warmUp(measure, names, limit = 40) {
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
 * `rounds` rounds of ABBA: ours, peer, peer, ours. Answers the medians of both and the median of
 * the rounds' ratios (peer's time over ours: above 1, we are faster) with its quartiles.
 */
export async function interleave(measure, ours, peer, rounds) {
  const a = [];
  const b = [];
  const ratios = [];
  for (let round = 0; round < rounds; round++) {
    const first = await measure(ours);
    const second = await measure(peer);
    const third = await measure(peer);
    const fourth = await measure(ours);
    a.push(first, fourth);
    b.push(second, third);
    ratios.push((second + third) / (first + fourth));
  }
  return {
    ours: median(a),
    peer: median(b),
    ratio: median(ratios),
    spread: [Math.min(...ratios), quantile(ratios, 0.25), quantile(ratios, 0.75)].map((x) => Number(x.toFixed(3))),
  };
}
