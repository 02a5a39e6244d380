// <hitl-labeler>: the element's face. It owns addresses and lifecycle; everything else is Rust.
// Importing this file registers nothing (see define.js) and touches no DOM, so that servers can import it.

const ATTRIBUTES = ["model", "items", "endpoint", "accept-at", "annotator", "lang", "config"];

// Each address in full, with its name as a literal: a bundler takes along only what it sees written so.
const pageGlue = () => new URL("./page.js", import.meta.url).href;
const WORKERS = {
  relaxed: () => ({
    glue: new URL("./worker_relaxed.js", import.meta.url).href,
    wasm: new URL("./worker_relaxed_bg.wasm", import.meta.url).href,
  }),
  plain: () => ({
    glue: new URL("./worker.js", import.meta.url).href,
    wasm: new URL("./worker_bg.wasm", import.meta.url).href,
  }),
};

let page; // the page's Wasm, once for all elements
let workerModule; // the workers' Wasm, compiled once for all workers

function loadPage() {
  page ??= import(/* webpackIgnore: true */ /* @vite-ignore */ pageGlue()).then(async (page) => {
    await page.default({ module_or_path: fetch(new URL("./page_bg.wasm", import.meta.url)) });
    return page;
  });
  page.catch(() => (page = undefined));
  return page;
}

// A module of one relaxed instruction: browsers without relaxed SIMD refuse it.
const RELAXED_PROBE = new Uint8Array([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 15, 1, 13, 0, 65, 1, 253, 15, 65, 2, 253, 15,
  253, 128, 2, 11,
]);

/** What a worker is started with; see worker-loader.js. */
async function compiled({ glue, wasm }) {
  const response = await fetch(wasm);
  if (!response.ok) throw new Error(`${wasm}: the server answered ${response.status}`);
  const bytes = response.clone();
  // A server that sends the wrong media type cannot stream.
  const streamed = WebAssembly.compileStreaming(response);
  return { glue, module: await streamed.catch(async () => WebAssembly.compile(await bytes.arrayBuffer())) };
}

function loadWorker() {
  workerModule ??= (async () => {
    try {
      return await compiled(WebAssembly.validate(RELAXED_PROBE) ? WORKERS.relaxed() : WORKERS.plain());
    } catch {
      return compiled(WORKERS.plain());
    }
  })();
  workerModule.catch(() => (workerModule = undefined));
  return workerModule;
}

/** Browsers refuse workers of another origin (a CDN); a local one that imports it is allowed. */
function spawnShim() {
  // Vite would write so small a file into the script as a data: address, which policies forbid to import.
  const loader = new URL("./worker-loader.js?no-inline", import.meta.url).href;
  const shim = new Blob([`import ${JSON.stringify(loader)};`], { type: "text/javascript" });
  const url = URL.createObjectURL(shim);
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
  return new Worker(url, { type: "module" });
}

function spawnWorker() {
  let worker;
  try {
    // Not left to the browser to say: Firefox tells of another origin by an event only, when it is too late.
    // By a file's address: import.meta.url alone is, with webpack, a path on the machine that built the page.
    const isOurs = new URL(pageGlue()).origin === globalThis.origin;
    worker = isOurs ? new Worker(new URL("./worker-loader.js", import.meta.url), { type: "module" }) : spawnShim();
  } catch {
    worker = spawnShim();
  }
  loadWorker().then(
    (loaded) => worker.postMessage(loaded),
    (why) => worker.dispatchEvent(new ErrorEvent("error", { message: String(why) })),
  );
  return worker;
}

/** A number as an attribute or a host page writes it; undefined: none from `least` to `most`. */
const number = (value, least, most) => {
  const blank = typeof value === "string" ? value.trim() === "" : typeof value !== "number";
  return !blank && value >= least && value <= most ? Number(value) : undefined;
};
const threshold = (value) => number(value, 0, 1);
/** Whether a host page says that there is no number; some frameworks write an empty text for that. */
const isNone = (value) => value === null || value === undefined || value === "";

/** A configuration as a text, to be compared; undefined: it is not JSON, which the configuration's reader tells. */
const written = (config) => {
  try {
    return JSON.stringify(config ?? null);
  } catch {
    return undefined;
  }
};

/** The address in a section of a configuration, in its short form or its long one. */
const addressIn = (section) => {
  const address = section?.url ?? section;
  return typeof address === "string" ? address : "";
};

/**
 * Items that can be read once only (a generator, a stream), made so that they can be read again: the element does, each
 * time that it starts anew. What came is kept; whoever reads gets that first and then goes on, several at once as well.
 */
class Replay {
  #items;
  #source; // the open iterator or reader
  #steps = []; // of an async source promises, else functions: an error is told again, too

  /** `items`, or what stands in for them. */
  static of(items) {
    if (typeof items?.getReader === "function") return new Replay(items, Symbol.asyncIterator);
    const symbol = [Symbol.asyncIterator, Symbol.iterator].find((symbol) => typeof items?.[symbol] === "function");
    // Iterator and iterable in one. Others are not opened to find out: that may have a price.
    const isOnce = symbol && typeof items.next === "function" && items[symbol]() === items;
    return isOnce ? new Replay(items, symbol) : items;
  }

  constructor(items, symbol) {
    this.#items = items;
    const step = symbol === Symbol.asyncIterator ? (at) => this.#promised(at) : (at) => this.#given(at);
    // Without `return`: who stops reading must not end it for the next.
    this[symbol] = () => {
      let at = 0;
      return { next: () => step(at++) };
    };
  }

  #pull() {
    this.#source ??= this.#items.getReader?.() ?? this.#items;
    return this.#source === this.#items ? this.#source.next() : this.#source.read();
  }

  #promised(at) {
    if (!this.#steps[at]) {
      this.#steps[at] = (async () => this.#pull())();
      this.#steps[at].catch(() => {}); // whoever reads hears of it; one that was stopped need not
    }
    return this.#steps[at];
  }

  #given(at) {
    if (!this.#steps[at]) {
      try {
        const step = this.#pull();
        this.#steps[at] = () => step;
      } catch (why) {
        this.#steps[at] = () => {
          throw why;
        };
      }
    }
    return this.#steps[at]();
  }

  /** Nobody reads it any more: lets the source clean up, as `break` in a `for` loop does. */
  async close() {
    const source = this.#source;
    try {
      await (source === this.#items ? source.return?.() : source?.cancel());
    } catch {
      // It was the page's, and has been told if it matters.
    }
  }
}

const Base = globalThis.HTMLElement ?? class {};

export class HitlLabeler extends Base {
  static observedAttributes = ATTRIBUTES;

  #root;
  #mounted;
  #config;
  #written = written(); // the configuration as it was when it was set or mounted: its owner may change it in place
  #items; // as they were set
  #wrote; // the attribute's text, if it came by the property
  #source; // the same, to be read as often as it takes
  #added = []; // what came besides (addItems, dropped files), shared with Rust: a restart reads it again
  #running; // as start() or pause() said it last; undefined: as configured
  #target; // asked for in place of the configured one; null: the threshold
  #authorize;
  #pending = []; // calls made before the Wasm was there
  #failure; // why it never will be
  #generation = 0;
  #scheduled = false;
  #stale = false; // changed while it was in no page

  constructor() {
    super();
    const shadow = this.attachShadow({ mode: "open" });
    const style = document.createElement("link");
    style.rel = "stylesheet";
    style.href = new URL("./labeler.css", import.meta.url).href;
    this.#root = document.createElement("div");
    // What stands between the tags is shown until the view is there, and on browsers without Wasm.
    shadow.append(style, this.#root, document.createElement("slot"));
  }

  connectedCallback() {
    // Properties set before the element was defined; one that is wrong does not keep the others from being taken over.
    for (const name of ["config", "items", "authorize", "acceptAt", "target"]) {
      if (Object.hasOwn(this, name)) {
        const value = this[name];
        delete this[name];
        try {
          this[name] = value;
        } catch (why) {
          globalThis.reportError?.(why);
        }
      }
    }
    // One that was moved within its page is still mounted, and goes on.
    if (!this.#mounted || this.#stale) this.#restart();
  }

  adoptedCallback() {
    this.#restart(); // its keys and addresses are another document's now
  }

  disconnectedCallback() {
    // Moving the element within the page disconnects and connects it in one go: nothing is lost by waiting.
    queueMicrotask(() => {
      if (this.isConnected) return;
      this.#recall();
      this.#unmount();
      this.#giveUp("the element was removed before it had started");
    });
  }

  attributeChangedCallback(name, before, now) {
    if (before === now) return;
    if (name === "accept-at") this.#target = undefined;
    if (name === "accept-at" && this.#mounted && threshold(now) !== undefined) {
      this.#mounted.acceptAt(threshold(now));
    } else {
      this.#restart();
    }
  }

  /** The whole configuration as an object; attributes are written over it. One that says the same changes nothing. */
  get config() {
    return this.#config;
  }
  set config(value) {
    const text = written(value);
    const isNew = text === undefined || text !== this.#written;
    this.#config = value;
    this.#written = text;
    if (isNew) this.#restart();
  }

  /** Items: an array, an iterable or an async iterable of {id, image | numbers, meta?}. Others are another task. */
  get items() {
    return this.#items;
  }
  set items(value) {
    // Frameworks write an attribute's text here, and an empty one for none.
    const address = typeof value === "string" ? value : "";
    const items = typeof value === "string" ? undefined : (value ?? undefined);
    const isNew = items !== this.#items;
    this.#items = items;
    if (isNew) {
      const before = [this.#source, ...this.#added];
      this.#source = Replay.of(items);
      this.#added = [];
      this.#restart();
      // After the restart: what still reads would take the end of the source for the end of the items.
      queueMicrotask(() => before.forEach((items) => items instanceof Replay && items.close()));
    }
    if (address) this.setAttribute("items", address);
    // What the host page itself has written there stays.
    else if (this.#wrote === this.getAttribute("items")) this.removeAttribute("items");
    this.#wrote = address || undefined;
  }

  /** Gives a token: `async ({reason, status}) => "…"`. Called when one is needed; what it gives stays in memory. */
  get authorize() {
    return this.#authorize;
  }
  set authorize(value) {
    if (value !== undefined && value !== null && typeof value !== "function") {
      // Not what was found: a token that is set by mistake is to stand in no log.
      throw new TypeError("authorize: found no function, expected one that returns a token (a text) or a promise of one");
    }
    this.#authorize = value ?? undefined;
    this.#mounted?.authorizeChanged();
  }

  /** The least confidence at which the model settles an item alone; changes at once. */
  get acceptAt() {
    const at = this.coverage([])?.accept_at;
    return typeof at === "number" ? Number(at.toPrecision(7)) : at; // what was set, not the nearest of 32 bits
  }
  set acceptAt(value) {
    if (isNone(value)) return this.removeAttribute("accept-at");
    const least = threshold(value);
    if (least === undefined) throw new RangeError(`acceptAt: found ${value}, expected a number from 0 to 1, or null`);
    this.#target = undefined;
    this.setAttribute("accept-at", String(least));
    // The attribute says nothing new if it was this value before a target came.
    this.#mounted?.acceptAt(least);
  }

  /** The accuracy that is promised of what the model settles alone, 0.5 to 0.999; null: the threshold counts; undefined: as configured. */
  get target() {
    const figures = this.figures;
    return (figures ? figures.promise?.target : this.#target) ?? null;
  }
  set target(value) {
    if (value === undefined || value === "") {
      const wished = this.#target !== undefined;
      this.#target = undefined;
      if (wished) this.#restart();
      return;
    }
    const target = value === null ? null : number(value, 0.5, 0.999);
    if (target === undefined) throw new RangeError(`target: found ${value}, expected a number from 0.5 to 0.999, or null`);
    this.#target = target;
    this.#mounted?.setTarget(target ?? undefined);
  }

  /** Every figure of the cycle, as `hitl-progress` told it last, with promise and lesson as they stand; null before the start. */
  get figures() {
    return this.#mounted?.figures() ?? null;
  }

  /** Where every item stands, and where the records are; null before the start. */
  get progress() {
    return this.#mounted?.progress() ?? null;
  }

  /** The kernels that the workers chose; empty before the first worker is up. */
  get kernels() {
    return this.#mounted?.kernels() ?? [];
  }

  /** How many items each threshold of `at` would settle. */
  coverage(at = Array.from({ length: 51 }, (_, i) => 0.5 + i / 100)) {
    return this.#mounted?.coverage(at) ?? null;
  }

  start() {
    this.#run(true);
  }
  pause() {
    this.#run(false);
  }
  undo() {
    this.#tell((mounted) => mounted.undo());
  }
  addItems(items) {
    const source = Replay.of(items);
    // Whoever is mounted later reads all that stands there.
    if (this.#mounted && !this.#scheduled) this.#mounted.addItems(source);
    else this.#added.push(source);
  }
  /** Moves over to the newer model that `hitl-model` told of. */
  takeNewer() {
    this.#tell((mounted) => mounted.takeNewer());
  }
  async flush() {
    await this.#ask("flush", (mounted) => mounted.flush());
  }
  /** Waits until everything is delivered, then goes where `delivery.finish` says; rejects in words if that cannot be. */
  async finish() {
    const to = await this.#ask("finish", (mounted) => mounted.finish());
    if (!to) return;
    if (!to.fields) return void location.assign(to.url);
    const form = document.createElement("form");
    Object.assign(form, { method: "post", action: to.url, hidden: true });
    for (const [name, value] of to.fields) {
      form.append(Object.assign(document.createElement("input"), { type: "hidden", name, value }));
    }
    document.body.append(form);
    HTMLFormElement.prototype.submit.call(form); // a field may be called "submit"
  }
  async download(format = "jsonl", { save = true } = {}) {
    if (["model", "manifest", "head"].includes(format)) {
      return this.#ask("download", (mounted) => mounted.downloadLearned(format, save));
    }
    if (format !== "jsonl" && format !== "csv") {
      const expected = '"jsonl", "csv", "model", "manifest" or "head"';
      throw new RangeError(`download: found ${JSON.stringify(format)}, expected ${expected}`);
    }
    return this.#ask("download", (mounted) => mounted.download(format === "csv", save));
  }

  /** Predicts and asks, or not, from now on and after each restart. */
  #run(running) {
    this.#running = running;
    // One that is about to be mounted anew hears of it then.
    if (!this.#scheduled) this.#resume();
  }

  /** Before it is mounted anew: the person may have halted it, or set it going, too. */
  #recall() {
    if (this.#mounted) this.#running = this.#mounted.running();
  }

  #resume() {
    if (this.#running !== undefined) this.#mounted?.[this.#running ? "start" : "pause"]();
  }

  /** Has it done now, or as soon as there is somebody to do it, however long that takes. */
  #tell(deed) {
    if (this.#mounted) deed(this.#mounted);
    else this.#pending.push({ run: deed });
  }

  /** Has it done and gives what comes of it; rejects, in words, where nobody will do it. */
  async #ask(what, deed) {
    if (this.#mounted) return deed(this.#mounted);
    const why = this.isConnected ? this.#failure : "the element is not in the page";
    if (why) throw new Error(`${what}: ${why}`);
    return new Promise((resolve, reject) => {
      const run = (mounted) => resolve((async () => deed(mounted))());
      this.#pending.push({ run, giveUp: (why) => reject(new Error(`${what}: ${why}`)) });
    });
  }

  /** Tells those who wait for an answer that none will come. What was only told waits for the next start. */
  #giveUp(why) {
    const pending = this.#pending;
    this.#pending = pending.filter(({ giveUp }) => !giveUp);
    for (const { giveUp } of pending) giveUp?.(why);
  }

  /** Mounts anew; several changes in one go count once. */
  #restart() {
    this.#stale = !this.isConnected;
    if (this.#stale || this.#scheduled) return;
    this.#scheduled = true;
    this.#failure = undefined;
    this.#recall();
    queueMicrotask(() => {
      this.#scheduled = false;
      this.#unmount();
      if (this.isConnected) this.#mount();
    });
  }

  async #mount() {
    const generation = ++this.#generation;
    if (this.hasAttribute("model") || this.hasAttribute("config") || this.#config?.model) {
      loadWorker().catch(() => {}); // compiles while the page's own Wasm does; failures are told by the workers
    }
    let wasm;
    try {
      wasm = await loadPage();
    } catch (why) {
      const hint = "Are page.js and page_bg.wasm beside element.js, and does the page's Content-Security-Policy allow 'wasm-unsafe-eval'?";
      return this.#failed(generation, `${why?.message ?? why}. ${hint}`);
    }
    // Removed, or changed again, while the Wasm was on its way.
    if (generation !== this.#generation || !this.isConnected) return;
    const attributes = {};
    for (const name of ATTRIBUTES) {
      if (name !== "config" && this.hasAttribute(name)) attributes[name] = this.getAttribute(name);
    }
    const base = this.ownerDocument.baseURI;
    const config = this.getAttribute("config")?.trim();
    let configUrl;
    try {
      configUrl = config ? new URL(config, base).href : undefined;
    } catch {
      return this.#failed(generation, `the attribute config: found "${config}", expected an address.`);
    }
    this.#root.replaceChildren();
    this.shadowRoot.querySelector("slot").hidden = true;
    this.#written = written(this.#config);
    this.#mounted = wasm.mount(this.#root, this, {
      config: this.#config,
      configUrl,
      attributes,
      items: this.#source,
      added: this.#added,
      authorize: (wish) => this.#authorize?.(wish),
      spawnWorker,
      base,
      // Beside the glue, wherever that is: no bundler takes a folder along, but one can be put there.
      presets: pageGlue().replace(/[^/]*$/, "presets/"),
      project: this.#project(attributes, config),
    });
    if (this.#target !== undefined) this.#mounted.setTarget(this.#target ?? undefined);
    this.#resume();
    for (const { run } of this.#pending.splice(0)) run(this.#mounted);
  }

  /** The store's name where the configuration has none: whatever tells this page's tasks apart. */
  #project(attributes, file) {
    const said = (attribute, section) => attributes[attribute] || addressIn(this.#config?.[section]);
    const [model, items, endpoint] = [said("model", "model"), said("items", "items"), said("endpoint", "delivery")];
    const name = `${location.pathname}${this.id ? `#${this.id}` : ""} ${model} ${items}${file ? ` ${file}` : ""}`;
    // Only there: elsewhere an endpoint that moves must not leave answers behind.
    return this.id || model || items || file || !endpoint ? name : `${name} > ${endpoint}`;
  }

  #failed(generation, why) {
    if (generation !== this.#generation) return;
    const message = `hitl-labeler could not start: ${why}`;
    this.#failure = message;
    this.#giveUp(message);
    const line = document.createElement("p");
    line.setAttribute("role", "alert");
    line.textContent = message;
    this.#root.replaceChildren(line);
    this.dispatchEvent(
      new CustomEvent("hitl-error", { bubbles: true, composed: true, detail: { code: "start", message } }),
    );
  }

  #unmount() {
    this.#generation++;
    this.#mounted?.free();
    this.#mounted = undefined;
  }
}
