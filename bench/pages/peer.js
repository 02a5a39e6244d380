// onnxruntime-web behind the common loop: the wasm execution provider, every graph optimisation,
// only the compared output fetched.
import * as ort from '/ort/ort.wasm.bundle.min.mjs';
import { serve } from './loop.js';

let session;
let options;

serve({
  async load(bytes, asked) {
    options = asked;
    ort.env.wasm.wasmPaths = '/ort/';
    if (asked.threads !== 'default') ort.env.wasm.numThreads = asked.threads;
    session = await ort.InferenceSession.create(bytes, {
      executionProviders: ['wasm'], graphOptimizationLevel: 'all',
    });
    return { threads: ort.env.wasm.numThreads, isolated: self.crossOriginIsolated };
  },

  async run(data) {
    const feeds = { [options.input]: new ort.Tensor('float32', data, options.shape) };
    const answers = await session.run(feeds, [options.output]);
    return answers[options.output].data;
  },
});
