// The product's learner in its worker, told what the page tells it (src/wire/worker.rs).
import { generator } from './inputs.js';
import { OurWorker } from './ours.js';

const LABELS = 10;

/** Items a message to the learner. */
const MESSAGE = 100;

/** A share of answers like the page's is kept from training, each to stand for so many. */
const HELD_OUT_FOR = 4;

/** A blob a label in `width` dimensions, what comes below zero cut off, as in the last layer of a trunk. */
function rows({ width, count, noise, seed }) {
  const random = generator(seed);
  // Uniform numbers of deviation 1.
  const spread = () => (random() - 0.5) * Math.sqrt(12);
  const middles = Array.from({ length: LABELS }, () => Float32Array.from({ length: width }, spread));
  const labels = Array.from({ length: count }, () => Math.floor(random() * LABELS));
  const features = new Float32Array(count * width);
  for (let at = 0; at < count; at++) {
    const middle = middles[labels[at]];
    for (let n = 0; n < width; n++) features[at * width + n] = Math.max(0, middle[n] + noise * spread());
  }
  // A model that is right now and then.
  const scores = Float32Array.from({ length: count * LABELS }, (_, at) => (labels[Math.floor(at / LABELS)] === at % LABELS ? 1 : 0) + spread());
  return { width, count, labels, features, scores };
}

class Learner {
  async load({ dist, model, scores, ...data }) {
    this.data = rows(data);
    this.scores = scores;
    this.manifest = await (await fetch(`${model}/model.json`)).text();
    this.worker = new OurWorker(dist, await WebAssembly.compileStreaming(fetch(`${dist}/worker_bg.wasm`)));
    await this.worker.heard;
  }

  /** Starts anew with every row of the data; the answers come one by one. */
  async begin() {
    const { width, count, features, scores } = this.data;
    const rules = { labels: LABELS, manifest: this.manifest, temperature: 1, features: width, memoryMb: 256, diverse: false };
    await this.worker.ask({ type: 'study', ...rules }, [null, null]);
    for (let from = 0; from < count; from += MESSAGE) {
      const to = Math.min(count, from + MESSAGE);
      const items = Array.from({ length: to - from }, (_, at) => from + at);
      const parts = [
        this.scores ? scores.slice(from * LABELS, to * LABELS) : new Float32Array(),
        features.slice(from * width, to * width),
      ];
      await this.worker.ask({ type: 'take', ticket: 0, items }, parts, parts.map((part) => part.buffer));
    }
    this.answered = 0;
  }

  /** Answers the next `count` items, each in a task of its own as a person does; `held`: they judge the head and do not teach it. */
  async answer({ count, held = false }) {
    for (const end = this.answered + count; this.answered < end; this.answered++) {
      const record = `01890a5d-ac96-774b-bcce-${this.answered.toString(16).padStart(12, '0')}`;
      const head = { type: 'answer', item: this.answered, label: this.data.labels[this.answered], holdOut: held ? HELD_OUT_FOR : 0, record };
      this.worker.worker.postMessage({ head, parts: [] });
      await new Promise((resolve) => setTimeout(resolve));
    }
  }

  /** One refit: what the learner says that it took, and what the page waited for it. */
  async learn() {
    const start = performance.now();
    const { head, parts } = await this.worker.ask({ type: 'learn' }, []);
    return {
      refit_ms: head.ms[0], rescore_ms: head.ms[1], message_ms: performance.now() - start,
      trained: head.trained, held_out: head.heldOut, changed: parts[0].length,
    };
  }

  close() {
    this.worker.worker.terminate();
  }
}

const learner = new Learner();
const tasks = [];
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) tasks.push({ at: entry.startTime, ms: entry.duration });
}).observe({ type: 'longtask' });

/** One call to the learner; `tasks`: this page's long tasks. */
globalThis.bench = { call: (what, message) => learner[what](message ?? {}), tasks };
