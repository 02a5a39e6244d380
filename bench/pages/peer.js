// onnxruntime-web in a dedicated worker: the wasm execution provider, every graph optimisation, only the
// compared output fetched, the input tensors made before the clock starts.
import * as ort from '/ort/ort.wasm.bundle.min.mjs';
import { tensors } from './inputs.js';

let session;
let options;
let inputs;

async function run(data) {
  const feeds = { [options.input]: new ort.Tensor('float32', data, options.shape) };
  return (await session.run(feeds, [options.output]))[options.output].data;
}

const handlers = {
  async load(asked) {
    options = asked;
    inputs = tensors(options, options.distinct);
    ort.env.wasm.wasmPaths = '/ort/';
    if (asked.threads !== 'default') ort.env.wasm.numThreads = asked.threads;
    const bytes = new Uint8Array(await (await fetch(asked.model)).arrayBuffer());
    const start = performance.now();
    session = await ort.InferenceSession.create(bytes, { executionProviders: ['wasm'], graphOptimizationLevel: 'all' });
    return { threads: ort.env.wasm.numThreads, isolated: self.crossOriginIsolated, load_ms: performance.now() - start };
  },

  async output({ index }) {
    return { output: Array.from(await run(inputs[index % inputs.length])) };
  },

  // One input after the other for at least `ms` milliseconds; the clock is read once for every batch of
  // runs, because without cross-origin isolation its grain is 0.1 ms.
  async time({ ms, batch }) {
    let runs = 0;
    const start = performance.now();
    let now = start;
    do {
      for (let i = 0; i < batch; i++, runs++) await run(inputs[runs % inputs.length]);
      now = performance.now();
    } while (now - start < ms);
    return { ms: (now - start) / runs };
  },

  async queue({ items }) {
    const start = performance.now();
    for (let i = 0; i < items; i++) await run(inputs[i % inputs.length]);
    return { ms: performance.now() - start };
  },
};

// One call at a time, in the order of arrival.
let last = Promise.resolve();
self.onmessage = ({ data }) => {
  last = last.then(async () => {
    try {
      self.postMessage(await handlers[data.do](data));
    } catch (error) {
      self.postMessage({ error: `${data.do}: ${error?.stack ?? error}` });
    }
  });
};
