// Holds the engines of one page, each in dedicated workers of its own, and passes the harness's calls on.
import { Ours } from './ours.js';

const engines = new Map();

/** onnxruntime-web in its worker. */
class Peer {
  constructor() {
    this.worker = new Worker('peer.js', { type: 'module' });
    this.waiting = [];
    this.worker.onmessage = ({ data }) => {
      const { resolve, reject } = this.waiting.shift();
      if (data.error) reject(new Error(data.error));
      else resolve(data);
    };
    this.worker.onerror = (event) => {
      for (const { reject } of this.waiting.splice(0)) reject(new Error(`worker: ${event.message}`));
    };
    for (const name of ['load', 'output', 'time', 'queue']) {
      this[name] = (message) => new Promise((resolve, reject) => {
        this.waiting.push({ resolve, reject });
        this.worker.postMessage({ do: name, ...message });
      });
    }
  }

  close() {
    this.worker.terminate();
  }
}

/** Starts an engine of a kind under `name` and loads its model. */
async function open(name, kind, options) {
  const engine = kind === 'ours' ? new Ours() : new Peer();
  engines.set(name, engine);
  return engine.load(options);
}

/** One call to the engine `name`. */
const call = (name, what, message) => engines.get(name)[what](message ?? {});

/** Ends every worker. */
function close() {
  for (const engine of engines.values()) engine.close();
  engines.clear();
}

globalThis.bench = { open, call, close };
