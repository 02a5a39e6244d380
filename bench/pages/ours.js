// The product's own workers, driven as the page drives them (src/wire/worker.rs): messages of several
// items, at most two of them under way in each worker.
import { imageDatas } from './inputs.js';

const IN_FLIGHT = 2;

/** A worker that says nothing for so long is taken for dead. */
const PATIENCE_MS = 60_000;

/** One worker of the build in `base`. */
export class OurWorker {
  constructor(base, module) {
    this.worker = new Worker(`${base}/worker-loader.js`, { type: 'module' });
    this.waiting = [];
    this.heard = this.answer();
    this.worker.onmessage = ({ data: { head, parts } }) => {
      if (head.type === 'fatal') this.fail(new Error(head.message));
      else if (head.type === 'rejected') this.fail(new Error(head.faults.map((fault) => fault.message).join('; ')));
      else this.waiting.shift().resolve({ head, parts });
    };
    this.worker.onerror = (event) => this.fail(new Error(`worker: ${event.message}`));
    this.worker.postMessage({ module, glue: new URL(`${base}/worker.js`, location).href });
  }

  fail(error) {
    for (const { reject } of this.waiting.splice(0)) reject(error);
  }

  answer() {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.fail(new Error('the worker does not answer')), PATIENCE_MS);
      const settled = (settle) => (result) => {
        clearTimeout(timer);
        settle(result);
      };
      this.waiting.push({ resolve: settled(resolve), reject: settled(reject) });
    });
  }

  ask(head, parts, transfer = []) {
    const answer = this.answer();
    this.worker.postMessage({ head, parts }, transfer);
    return answer;
  }

  async predict(parts, from) {
    const items = parts.map(() => ({ from }));
    const { head, parts: answers } = await this.ask({ type: 'predict', ticket: 0, items, features: false }, parts);
    if (head.faults.length > 0) throw new Error(`an item failed: ${JSON.stringify(head.faults[0])}`);
    return { ...head, scores: answers[0] };
  }
}

/** `count` workers with one compiled module and the same model. */
export class Ours {
  async load(options) {
    this.options = options;
    const module = await WebAssembly.compileStreaming(fetch(`${options.dist}/worker_bg.wasm`));
    this.workers = Array.from({ length: options.workers }, () => new OurWorker(options.dist, module));
    const ready = (await Promise.all(this.workers.map((worker) => worker.heard)))[0].head;
    const manifest = await (await fetch(`${options.folder}/model.json`)).text();
    const model = await (await fetch(`${options.folder}/model.onnx`)).arrayBuffer();
    const loaded = await Promise.all(
      this.workers.map((worker) => worker.ask({ type: 'load', manifest, pixelLimit: 64_000_000 }, [model])),
    );
    const { msParse, msOptimise, msProbe, labels } = loaded[0].head;
    this.labels = labels;
    this.items = imageDatas(options, options.distinct);
    this.from = 'pixels';
    if (options.as === 'png') {
      this.items = await Promise.all(this.items.map(png));
      this.from = 'blob';
    }
    return { load_ms: msParse + msOptimise + msProbe, kernels: ready.kernels, relaxed: ready.relaxed };
  }

  batch(from, length) {
    return Array.from({ length }, (_, i) => this.items[(from + i) % this.items.length]);
  }

  async output({ index }) {
    return { output: Array.from((await this.workers[0].predict(this.batch(index, 1), this.from)).scores) };
  }

  // What the first worker itself needs for an item, its preparation from pixels included; `message_ms` is
  // what the page waits for it, in messages of `batch` items.
  async time({ ms, batch }) {
    let runs = 0;
    let inside = 0;
    const start = performance.now();
    do {
      const { msInfer } = await this.workers[0].predict(this.batch(runs, batch), this.from);
      inside += msInfer;
      runs += batch;
    } while (performance.now() - start < ms);
    return { ms: inside / runs, message_ms: (performance.now() - start) / runs };
  }

  async queue({ items }) {
    let next = 0;
    let rows = 0;
    const feed = async (worker) => {
      while (next < items) {
        const from = next;
        next = Math.min(items, next + this.options.batch);
        const { scores } = await worker.predict(this.batch(from, next - from), this.from);
        rows += scores.length / this.labels;
      }
    };
    const start = performance.now();
    await Promise.all(this.workers.flatMap((worker) => Array.from({ length: IN_FLIGHT }, () => feed(worker))));
    const ms = performance.now() - start;
    if (rows !== items) throw new Error(`${items} items went in, ${rows} rows came out`);
    return { ms };
  }

  close() {
    for (const { worker } of this.workers) worker.terminate();
  }
}

/** A picture as a PNG file. */
async function png(image) {
  const canvas = new OffscreenCanvas(image.width, image.height);
  canvas.getContext('2d').putImageData(image, 0, 0);
  return canvas.convertToBlob({ type: 'image/png' });
}
