// Holds the engines of one page, each in a dedicated worker of its own, and passes the calls of
// the harness on to them. Nothing is timed here but whole queues, which span several workers.

const engines = new Map();

class Engine {
  constructor(url) {
    this.worker = new Worker(url, { type: 'module' });
    this.waiting = [];
    this.worker.onmessage = ({ data }) => {
      const { resolve, reject } = this.waiting.shift();
      if (data.error) reject(new Error(data.error));
      else resolve(data);
    };
    this.worker.onerror = (event) => {
      for (const { reject } of this.waiting.splice(0)) reject(new Error(`worker: ${event.message}`));
    };
  }

  call(message) {
    return new Promise((resolve, reject) => {
      this.waiting.push({ resolve, reject });
      this.worker.postMessage(message);
    });
  }
}

/** Starts the worker `url` under `name` and loads its model. */
async function open(name, url, options) {
  const engine = new Engine(url);
  engines.set(name, engine);
  return engine.call({ do: 'load', ...options });
}

/** One call to the engine `name`. */
const call = (name, message) => engines.get(name).call(message);

/** Ends every worker. */
function close() {
  for (const engine of engines.values()) engine.worker.terminate();
  engines.clear();
}

globalThis.bench = { open, call, close };
