// The component as a visitor meets it: time to the first question, from key to next item, long tasks, memory.
import { launch } from '../chromium.mjs';
import { failed, figure, say } from '../report.mjs';
import { serve } from '../server.mjs';
import { median, quantile } from '../stats.mjs';

const PATIENCE_MS = 120_000;

/** Items that wait while keys are pressed. */
const WAITING = 100_000;

/** Key presses that are timed. */
const PRESSES = 200;

/** Items of one run of the memory figure. */
const MEMORY_ITEMS = 10_000;

const PAGE = `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>The component under measurement</title>
<style>body { margin: 0 } hitl-labeler { display: block; height: 100vh }</style>
<script type="module" src="/dist/define.js"></script>
<script type="module" src="/pages/product.js"></script></html>`;

/** Watches a page from its first moment; everything is kept in `globalThis.watch`. */
function watchPage() {
  const watch = { question: null, keys: [], longTasks: [], memories: [] };
  globalThis.watch = watch;
  let pressed = null;
  const picture = () => {
    const image = document.querySelector('hitl-labeler')?.shadowRoot?.querySelector('.stage__frame img');
    return image?.complete && image.naturalWidth > 0 ? image.alt : null;
  };
  // A message posted in a frame is handled after that frame was painted.
  const painted = (then) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => then(performance.now());
    port2.postMessage(null);
  };
  const frame = () => {
    const shown = picture();
    if (shown && watch.question === null) {
      watch.question = 0;
      painted((now) => { watch.question = now; });
    }
    if (pressed && shown && shown !== pressed.shown) {
      const { at } = pressed;
      pressed = null;
      painted((now) => watch.keys.push(now - at));
    }
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
  addEventListener('keydown', (event) => { pressed = { at: event.timeStamp, shown: picture() }; }, true);
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) watch.longTasks.push({ at: entry.startTime, ms: entry.duration });
  }).observe({ type: 'longtask', buffered: true });
  // The memory of the page's Wasm is not part of the JavaScript heap.
  for (const name of ['instantiate', 'instantiateStreaming']) {
    const original = WebAssembly[name];
    WebAssembly[name] = async (...args) => {
      const result = await original.apply(WebAssembly, args);
      const memory = (result.instance ?? result).exports?.memory;
      if (memory) watch.memories.push(memory);
      return result;
    };
  }
}

/** Runs `visit(page)` in a Chromium of its own: fresh profile, nothing cached, nothing compiled. */
async function fresh(visit) {
  const chromium = await launch();
  try {
    const page = await chromium.context.newPage();
    page.setDefaultTimeout(PATIENCE_MS);
    await page.addInitScript(watchPage);
    return await visit(page);
  } finally {
    await chromium.close();
  }
}

async function coldStart(origin, runs) {
  const metric = 'cold_navigation_to_first_question';
  say(`${metric} …`);
  try {
    const times = [];
    for (let run = 0; run < runs; run++) {
      times.push(await fresh(async (page) => {
        await page.goto(`${origin}/dist/index.html`);
        await page.waitForFunction(() => globalThis.watch.question > 0);
        return page.evaluate(() => globalThis.watch.question);
      }));
    }
    figure({
      metric, value: median(times), unit: 'ms', target: { of: 'value', at_most: 1500 },
      more: { page: 'demo', runs, slowest: Math.round(Math.max(...times)) },
    });
  } catch (error) {
    failed({ metric, unit: 'ms', reason: error });
  }
}

async function keys(origin) {
  say(`key to next item painted, ${WAITING} items waiting …`);
  try {
    const seen = await fresh(async (page) => {
      await page.goto(`${origin}/product.html`);
      await page.waitForFunction(() => globalThis.label);
      await page.evaluate((items) => globalThis.label(items), WAITING);
      await page.waitForFunction(() => globalThis.watch.question > 0);
      // Keys act while the pointer is in the element.
      await page.mouse.move(640, 400);
      const from = await page.evaluate(() => performance.now());
      const before = await page.evaluate(() => document.querySelector('hitl-labeler').progress);
      for (let press = 0; press < PRESSES; press++) {
        await page.keyboard.press(String(1 + (press % 9)));
        await page.waitForFunction((n) => globalThis.watch.keys.length >= n, press + 1, { polling: 20 });
        await page.waitForTimeout(100);
      }
      const after = await page.evaluate(() => document.querySelector('hitl-labeler').progress);
      const { keys: times, longTasks } = await page.evaluate(() => ({ keys: watch.keys, longTasks: watch.longTasks }));
      return { times, before, after, tasks: longTasks.filter((task) => task.at >= from) };
    });
    const { times, before, after, tasks } = seen;
    if (after.answered - before.answered !== PRESSES) {
      throw new Error(`${PRESSES} presses gave ${after.answered - before.answered} answers`);
    }
    if (after.predicting === 0) throw new Error('the workers had nothing left to do');
    const more = { presses: PRESSES, arrived: after.arrived, predicting: after.predicting };
    figure({ metric: 'key_to_next_item_painted/p50', value: quantile(times, 0.5), unit: 'ms', more });
    figure({
      metric: 'key_to_next_item_painted/p95', value: quantile(times, 0.95), unit: 'ms',
      target: { of: 'value', at_most: 50 }, more,
    });
    figure({
      metric: 'long_tasks_while_labelling', value: tasks.length, unit: 'count',
      target: { of: 'value', at_most: 0 },
      more: { over_ms: 50, longest_ms: Math.round(Math.max(0, ...tasks.map((task) => task.ms))) },
    });
  } catch (error) {
    failed({ metric: 'key_to_next_item_painted', unit: 'ms', reason: error });
  }
}

async function memory(origin) {
  const metric = `heap_growth_over_${MEMORY_ITEMS}_items`;
  say(`${metric} …`);
  try {
    const heaps = await fresh(async (page) => {
      const session = await page.context().newCDPSession(page);
      await page.goto(`${origin}/product.html`);
      await page.waitForFunction(() => globalThis.label);
      const heaps = [];
      for (let run = 0; run < 2; run++) {
        await page.evaluate((items) => globalThis.label(items), MEMORY_ITEMS);
        await page.waitForFunction((items) => {
          const progress = document.querySelector('hitl-labeler').progress;
          return progress?.arrived === items && progress.predicting === 0;
        }, MEMORY_ITEMS, { polling: 200 });
        await session.send('HeapProfiler.collectGarbage');
        const { usedSize } = await session.send('Runtime.getHeapUsage');
        const wasm = await page.evaluate(() => watch.memories.reduce((sum, memory) => sum + memory.buffer.byteLength, 0));
        heaps.push({ javascript: usedSize, wasm, all: usedSize + wasm });
      }
      return heaps;
    });
    const growth = heaps[1].all / heaps[0].all - 1;
    figure({
      metric, value: 100 * growth, unit: '%', target: { of: 'value', at_most: 10 },
      more: { first_run_bytes: heaps[0], second_run_bytes: heaps[1] },
    });
  } catch (error) {
    failed({ metric, unit: '%', reason: error });
  }
}

/** Every figure of the built page in `dist`. */
export async function product({ mounts }) {
  const made = new Map([['/product.html', { type: 'text/html; charset=utf-8', body: PAGE }]]);
  const server = await serve({ mounts, made });
  try {
    await coldStart(server.origin, 5);
    await keys(server.origin);
    await memory(server.origin);
  } finally {
    await server.close();
  }
}
