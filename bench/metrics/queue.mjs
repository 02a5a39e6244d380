// Items per second of a queue: our pool of workers against one onnxruntime-web session in a worker.
//
// Ours is the way of the product, from pixels: messages to the pool, preparation in the worker, scores back.
// The peer gets finished tensors and no message in between: what it would need for those is left out, in its
// favour.
import { compareOutputs, interleave, openEngines, warmUp } from '../engines.mjs';
import { MODELS, QUEUE } from '../models.mjs';
import { failed, figure, say } from '../report.mjs';

/** One figure a model; `isolated`: against two threads on a cross-origin-isolated page. */
export async function queue({ context, origins, models, rounds, ort, items }, { isolated }) {
  for (const model of models) {
    const count = items ?? QUEUE;
    const metric = `queue_${count}/${model}/${isolated ? 'peer_2_threads_isolated' : 'peer_default'}`;
    say(`${metric} …`);
    try {
      const engines = await openEngines(context, isolated ? origins.isolated : origins.plain, model, {
        ours: { kind: 'ours', workers: 2 },
        peer: { kind: 'peer', threads: isolated ? 2 : 'default' },
      });
      try {
        const { threads = 1, isolated: was } = engines.facts.peer;
        if (was !== isolated) throw new Error(`the page is ${was ? '' : 'not '}cross-origin isolated`);
        const worst = await compareOutputs(engines, 'ours', 'peer', 2);
        const run = (number) => async (name) => (await engines.call(name, 'queue', { items: number })).ms;
        await warmUp(run(Math.ceil(count / 20)), ['ours', 'peer'], 20);
        const result = await interleave(run(count), 'ours', 'peer', rounds);
        const wanted = MODELS[model].queueTarget;
        figure({
          metric,
          value: (count * 1000) / result.ours,
          unit: 'items/s',
          peer: `${ort}, wasm, ${threads} thread${threads === 1 ? '' : 's'}`,
          peer_value: (count * 1000) / result.peer,
          ratio: result.ratio,
          target: isolated ? { of: 'ratio', above: 1 } : wanted && { of: 'ratio', at_least: wanted },
          more: { items: count, workers: 2, rounds, spread: result.spread, output_difference: worst },
        });
      } finally {
        await engines.close();
      }
    } catch (error) {
      failed({ metric, unit: 'items/s', peer: ort, reason: error });
    }
  }
}

/** Items per second of fashion_cnn in our pool: from PNG files and from pixels, all in memory. */
export async function images({ context, origins, rounds }) {
  for (const [as, target] of [['png', 1000], ['pixels', 3000]]) {
    const metric = `items_per_second/fashion_cnn/${as}`;
    say(`${metric} …`);
    try {
      const engines = await openEngines(context, origins.plain, 'fashion_cnn', { ours: { kind: 'ours', workers: 2, as } });
      try {
        const run = async (name) => (await engines.call(name, 'queue', { items: QUEUE })).ms;
        await warmUp(run, ['ours']);
        const times = [];
        for (let round = 0; round < 2 * rounds; round++) times.push(await run('ours'));
        times.sort((a, b) => a - b);
        figure({
          metric,
          value: (QUEUE * 1000) / times[Math.floor(times.length / 2)],
          unit: 'items/s',
          target: { of: 'value', at_least: target },
          more: { items: QUEUE, workers: 2, rounds: times.length, slowest: Math.round((QUEUE * 1000) / times.at(-1)) },
        });
      } finally {
        await engines.close();
      }
    } catch (error) {
      failed({ metric, unit: 'items/s', reason: error });
    }
  }
}
