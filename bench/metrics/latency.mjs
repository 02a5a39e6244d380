// Milliseconds for one item, from a Float32Array to the scores, in one dedicated worker.
import { compareOutputs, interleave, openEngines, warmUp } from '../engines.mjs';
import { MODELS } from '../models.mjs';
import { failed, figure, say } from '../report.mjs';

/** Long enough that the clock's grain and one interruption by the system do not decide a slot. */
const SLOT_MS = 400;

/** One figure a model and thread setting of the peer. */
export async function latency({ context, plain, models, rounds, ort, ours }) {
  for (const model of models) {
    for (const threads of [1, 'default']) {
      const metric = `latency/${model}/peer_${threads === 1 ? '1_thread' : 'default'}`;
      say(`${metric} …`);
      try {
        const engines = await openEngines(context, plain, model, {
          ours: { url: ours.engine, ...ours.options(model) },
          peer: { url: '/pages/peer.js', model: `/models/${model}.onnx`, threads },
        });
        try {
          const worst = await compareOutputs(engines, 'ours', 'peer');
          const measure = async (name) => (await engines.call(name, { do: 'time', ms: SLOT_MS })).ms;
          await warmUp(measure, ['ours', 'peer']);
          const result = await interleave(measure, 'ours', 'peer', rounds);
          figure({
            metric,
            value: result.ours,
            unit: 'ms',
            peer: `${ort}, wasm, ${engines.facts.peer.threads ?? 1} thread`,
            peer_value: result.peer,
            ratio: result.ratio,
            target: { of: 'ratio', at_least: MODELS[model].latency },
            more: { rounds, spread: result.spread, largest_output_difference: worst },
          });
        } finally {
          await engines.close();
        }
      } catch (error) {
        failed({ metric, unit: 'ms', peer: ort, reason: String(error.message ?? error) });
      }
    }
  }
}
