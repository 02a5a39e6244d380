// Milliseconds for one item in one dedicated worker: the peer's from the finished tensor to its output, ours
// from the pixels to the scores, so that our preparation of the tensor counts against us.
import { compareOutputs, interleave, openEngines, warmUp } from '../engines.mjs';
import { MODELS } from '../models.mjs';
import { failed, figure, say } from '../report.mjs';

/** Long enough that neither the clock's grain nor one interruption by the system decides a slot. */
const SLOT_MS = 400;

/** One figure a model and thread setting of the peer. */
export async function latency({ context, origins, models, rounds, ort }) {
  for (const model of models) {
    for (const threads of [1, 'default']) {
      const metric = `latency/${model}/peer_${threads === 1 ? '1_thread' : 'default'}`;
      say(`${metric} …`);
      try {
        const engines = await openEngines(context, origins.plain, model, {
          ours: { kind: 'ours', workers: 1 },
          peer: { kind: 'peer', threads },
        });
        try {
          const worst = await compareOutputs(engines, 'ours', 'peer');
          const { batch } = MODELS[model];
          const message = [];
          const measure = async (name) => {
            const slot = await engines.call(name, 'time', { ms: SLOT_MS, batch });
            if (slot.message_ms) message.push(slot.message_ms);
            return slot.ms;
          };
          await warmUp(measure, ['ours', 'peer']);
          message.length = 0;
          const result = await interleave(measure, 'ours', 'peer', rounds);
          figure({
            metric,
            value: result.ours,
            unit: 'ms',
            peer: `${ort}, wasm, ${engines.facts.peer.threads ?? 1} thread`,
            peer_value: result.peer,
            ratio: result.ratio,
            target: { of: 'ratio', at_least: MODELS[model].latency },
            more: {
              rounds, spread: result.spread, output_difference: worst,
              ours_with_messages_ms: Number((message.reduce((a, b) => a + b, 0) / message.length).toPrecision(4)),
              ours_load_ms: Math.round(engines.facts.ours.load_ms), peer_load_ms: Math.round(engines.facts.peer.load_ms),
            },
          });
        } finally {
          await engines.close();
        }
      } catch (error) {
        failed({ metric, unit: 'ms', peer: ort, reason: error });
      }
    }
  }
}
