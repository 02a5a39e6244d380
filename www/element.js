// <hitl-labeler>: the element's face. It owns addresses and lifecycle; everything else is Rust.
// Importing this file registers nothing (see define.js) and touches no DOM, so that servers can import it.

const ATTRIBUTES = ["model", "items", "endpoint", "accept-at", "annotator", "lang", "config"];
const here = (name) => new URL(name, import.meta.url).href;

let page; // the page's Wasm, once for all elements
let workerModule; // the workers' Wasm, compiled once for all workers

function loadPage() {
  page ??= import(here("./page.js")).then(async (page) => {
    await page.default({ module_or_path: fetch(here("./page_bg.wasm")) });
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

async function compiled(name) {
  const response = await fetch(here(`./${name}_bg.wasm`));
  if (!response.ok) throw new Error(`${name}_bg.wasm: the server answered ${response.status}`);
  const bytes = response.clone();
  // A server that sends the wrong media type cannot stream.
  return WebAssembly.compileStreaming(response).catch(async () => WebAssembly.compile(await bytes.arrayBuffer()));
}

function loadWorker() {
  workerModule ??= (async () => {
    const name = WebAssembly.validate(RELAXED_PROBE) ? "worker_relaxed" : "worker";
    try {
      return { module: await compiled(name), glue: here(`./${name}.js`) };
    } catch {
      return { module: await compiled("worker"), glue: here("./worker.js") };
    }
  })();
  workerModule.catch(() => (workerModule = undefined));
  return workerModule;
}

function spawnWorker() {
  let worker;
  try {
    worker = new Worker(new URL("./worker-loader.js", import.meta.url), { type: "module" });
  } catch {
    // Browsers refuse workers of another origin (a CDN): a local one that imports it is allowed.
    const shim = new Blob([`import ${JSON.stringify(here("./worker-loader.js"))};`], { type: "text/javascript" });
    const url = URL.createObjectURL(shim);
    worker = new Worker(url, { type: "module" });
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
  }
  loadWorker().then(
    (loaded) => worker.postMessage(loaded),
    (why) => worker.dispatchEvent(new ErrorEvent("error", { message: String(why) })),
  );
  return worker;
}

/** A threshold as an attribute or a host page writes it; undefined: none. */
const threshold = (value) => {
  const blank = typeof value === "string" ? value.trim() === "" : typeof value !== "number";
  return !blank && value >= 0 && value <= 1 ? Number(value) : undefined;
};

const Base = globalThis.HTMLElement ?? class {};

export class HitlLabeler extends Base {
  static observedAttributes = ATTRIBUTES;

  #root;
  #mounted;
  #config;
  #items;
  #target; // asked for in place of the configured one; null: the threshold
  #authorize;
  #pending; // calls made before the Wasm was there
  #generation = 0;
  #scheduled = false;

  constructor() {
    super();
    const shadow = this.attachShadow({ mode: "open" });
    const style = document.createElement("link");
    style.rel = "stylesheet";
    style.href = here("./labeler.css");
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
    if (!this.#mounted) this.#restart();
  }

  adoptedCallback() {
    this.#restart(); // its keys and addresses are another document's now
  }

  disconnectedCallback() {
    // Moving the element within the page disconnects and connects it in one go: nothing is lost by waiting.
    queueMicrotask(() => this.isConnected || this.#unmount());
  }

  attributeChangedCallback(name, before, now) {
    if (before === now) return;
    if (name === "accept-at") this.#target = undefined;
    if (!this.isConnected) return;
    if (name === "accept-at" && this.#mounted && threshold(now) !== undefined) {
      this.#mounted.acceptAt(threshold(now));
    } else {
      this.#restart();
    }
  }

  /** The whole configuration as an object; attributes are written over it. */
  get config() {
    return this.#config;
  }
  set config(value) {
    this.#config = value;
    this.#restart();
  }

  /** Items: an array, an iterable or an async iterable of {id, image | numbers, meta?}. */
  get items() {
    return this.#items;
  }
  set items(value) {
    this.#items = value;
    this.#restart();
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
    return this.coverage([])?.accept_at;
  }
  set acceptAt(value) {
    if (value === null || value === undefined || value === "") return this.removeAttribute("accept-at");
    const number = threshold(value);
    if (number === undefined) throw new RangeError(`acceptAt: found ${value}, expected a number from 0 to 1, or null`);
    this.#target = undefined;
    this.setAttribute("accept-at", String(number));
    // The attribute says nothing new if it was this value before a target came.
    this.#mounted?.acceptAt(number);
  }

  /** The accuracy that is promised of what the model settles alone, 0.5 to 0.999; null: the threshold counts. */
  get target() {
    const figures = this.figures;
    return (figures ? figures.promise?.target : this.#target) ?? null;
  }
  set target(value) {
    if (value !== null && !(value >= 0.5 && value <= 0.999)) {
      throw new RangeError(`target: found ${value}, expected a number from 0.5 to 0.999, or null`);
    }
    this.#target = value;
    this.#mounted?.setTarget(value ?? undefined);
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
    this.#call((mounted) => mounted.start());
  }
  pause() {
    this.#call((mounted) => mounted.pause());
  }
  undo() {
    this.#call((mounted) => mounted.undo());
  }
  addItems(items) {
    this.#call((mounted) => mounted.addItems(items));
  }
  /** Moves over to the newer model that `hitl-model` told of. */
  takeNewer() {
    this.#call((mounted) => mounted.takeNewer());
  }
  flush() {
    return this.#call((mounted) => mounted.flush());
  }
  /** Waits until everything is delivered, then goes where `delivery.finish` says; rejects in words if that cannot be. */
  async finish() {
    const to = await this.#call((mounted) => mounted.finish());
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
  download(format = "jsonl", { save = true } = {}) {
    if (["model", "manifest", "head"].includes(format)) return this.#call((mounted) => mounted.downloadLearned(format, save));
    if (format !== "jsonl" && format !== "csv") {
      const expected = '"jsonl", "csv", "model", "manifest" or "head"';
      return Promise.reject(new RangeError(`download: found ${JSON.stringify(format)}, expected ${expected}`));
    }
    return this.#call((mounted) => mounted.download(format === "csv", save));
  }

  #call(deed) {
    if (this.#mounted) return Promise.resolve(deed(this.#mounted));
    return new Promise((resolve, reject) => {
      const run = (mounted) => {
        try {
          resolve(deed(mounted));
        } catch (why) {
          reject(why);
        }
      };
      (this.#pending ??= []).push({ run, reject });
    });
  }

  /** Mounts anew; several changes in one go count once. */
  #restart() {
    if (!this.isConnected || this.#scheduled) return;
    this.#scheduled = true;
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
    this.#mounted = wasm.mount(this.#root, this, {
      config: this.#config,
      configUrl,
      attributes,
      items: this.#items,
      authorize: (wish) => this.#authorize?.(wish),
      spawnWorker,
      base,
      presets: here("./presets/"),
      project: location.pathname + (this.id ? `#${this.id}` : "") + ` ${attributes.model ?? ""} ${attributes.items ?? ""}${config ? ` ${config}` : ""}`,
    });
    if (this.#target !== undefined) this.#mounted.setTarget(this.#target ?? undefined);
    for (const { run } of this.#pending?.splice(0) ?? []) run(this.#mounted);
  }

  #failed(generation, why) {
    if (generation !== this.#generation) return;
    const message = `hitl-labeler could not start: ${why}`;
    for (const { reject } of this.#pending?.splice(0) ?? []) reject(new Error(message));
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
