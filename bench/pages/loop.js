// The message loop that every engine worker shares: load, compare, time. An engine gives
// `load(options)` and `run(Float32Array) -> Float32Array` (or a promise of it).
import { picture } from './inputs.js';

/** Serves the harness with `engine`. */
export function serve(engine) {
  let inputs = [];

  const handlers = {
    async load(options) {
      const bytes = new Uint8Array(await (await fetch(options.model)).arrayBuffer());
      inputs = Array.from({ length: options.distinct ?? 8 }, (_, i) => picture(options.shape, 7 + i));
      const start = performance.now();
      const facts = await engine.load(bytes, options);
      return { ...facts, load_ms: performance.now() - start };
    },

    // The whole output for one input, to be compared before anything is timed.
    async output({ index }) {
      return { output: Array.from(await engine.run(inputs[index % inputs.length])) };
    },

    // One input after the other for at least `ms` milliseconds: the clock is read between batches
    // of runs, because without cross-origin isolation its grain is 0.1 ms.
    async time({ ms, batch = 1 }) {
      let runs = 0;
      const start = performance.now();
      let now = start;
      do {
        for (let i = 0; i < batch; i++, runs++) {
          const answer = engine.run(inputs[runs % inputs.length]);
          if (answer instanceof Promise) await answer;
        }
        now = performance.now();
      } while (now - start < ms);
      return { ms: (now - start) / runs, runs };
    },

    // `items` items in a row.
    async queue({ items }) {
      const start = performance.now();
      for (let i = 0; i < items; i++) {
        const answer = engine.run(inputs[i % inputs.length]);
        if (answer instanceof Promise) await answer;
      }
      return { ms: performance.now() - start, items };
    },
    ...engine.handlers,
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
}
