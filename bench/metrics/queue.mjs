// Items per second of a queue: our pool of workers against one onnxruntime-web session.
//
// Ours is the way of the product, from pixels: messages to the pool, preprocessing in the worker,
// scores back. The peer gets finished tensors and no message in between: what it would need for
// pixels and messages is left out, in its favour.
import { compareOutputs, interleave, openEngines, warmUp } from '../engines.mjs';
import { MODELS } from '../models.mjs';
import { failed, figure, say } from '../report.mjs';

/** One figure a model; `isolated` compares with two threads on a cross-origin-isolated page. */
export async function queue({ context, plain, isolated, models, rounds, ort, ours, items: asked }, coi = false) {
  for (const model of models) {
    const items = Math.min(asked ?? Infinity, MODELS[model].queue);
    const metric = `queue/${model}/${coi ? 'peer_2_threads_isolated' : 'peer_default'}`;
    say(`${metric} (${items} items a slot) …`);
    try {
      const engines = await openEngines(context, coi ? isolated : plain, model, {
        ours: { url: ours.pool, ...ours.options(model), workers: 2 },
        peer: { url: '/pages/peer.js', model: `/models/${model}.onnx`, threads: coi ? 2 : 'default' },
      });
      try {
        const worst = await compareOutputs(engines, 'ours', 'peer', 2);
        const measure = async (name) => (await engines.call(name, { do: 'queue', items })).ms;
        const short = async (name) => (await engines.call(name, { do: 'queue', items: Math.ceil(items / 20) })).ms;
        await warmUp(short, ['ours', 'peer']);
        const result = await interleave(measure, 'ours', 'peer', rounds);
        const target = coi ? { of: 'ratio', above: 1 }
          : MODELS[model].queueTarget && { of: 'ratio', at_least: MODELS[model].queueTarget };
        figure({
          metric,
          value: (items * 1000) / result.ours,
          unit: 'items/s',
          peer: `${ort}, wasm, ${engines.facts.peer.threads ?? 1} thread(s)`,
          peer_value: (items * 1000) / result.peer,
          ratio: result.ratio,
          target,
          more: { items, workers: 2, rounds, spread: result.spread, largest_output_difference: worst },
        });
      } finally {
        await engines.close();
      }
    } catch (error) {
      failed({ metric, unit: 'items/s', peer: ort, reason: String(error.message ?? error) });
    }
  }
}
