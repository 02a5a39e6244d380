// Troubles of the browser's store, made on purpose: runs in the page before any script of it.

/**
 * Makes calls of IndexedDB fail. `trouble`: `call` ("factory", "open", "write", "read"), `how` (see below), `name`
 * (of the exception), `ms`, `skip` (so many such calls go well first), `times` (so many fail, then all is well again).
 * `how: "nothing"` leaves a trouble to the browser itself. `globalThis.trouble.at` is when the first such call was made, in
 * ms since 1970.
 */
export function makeTrouble({ call, how, name = "UnknownError", ms = 0, skip = 0, times = 1e9 }) {
  const state = { at: null, calls: 0 };
  globalThis.trouble = state;
  const ours = (database) => String(database).startsWith("hitl-labeler:");
  const due = () => {
    state.calls += 1;
    if (state.calls <= skip || state.calls > skip + times) return false;
    state.at ??= Date.now();
    return true;
  };
  const exception = () => new DOMException("made by the test", name);
  /** A request or transaction that does what it is told, or nothing. */
  class Puppet extends EventTarget {
    constructor(...kinds) {
      super();
      for (const kind of kinds) this.addEventListener(kind, (event) => this[`on${kind}`]?.(event));
      this.error = null;
    }
    get result() {
      throw new DOMException("no result yet", "InvalidStateError");
    }
    abort() {}
    commit() {}
    objectStore() {
      const request = () => new Puppet("success", "error");
      return { put: request, delete: request, get: request, getAll: request, getAllKeys: request, count: request };
    }
  }
  if (call === "factory") {
    state.at = Date.now();
    const get = how === "throw" ? () => { throw exception(); } : () => undefined;
    return Object.defineProperty(globalThis, "indexedDB", { configurable: true, get });
  }
  if (call === "open") {
    const open = IDBFactory.prototype.open;
    IDBFactory.prototype.open = function (database, ...more) {
      if (!ours(database) || !due() || how === "nothing") return open.call(this, database, ...more);
      if (how === "throw") throw exception();
      if (how === "slow") {
        const real = open.call(this, database, ...more);
        const set = (handler) => real.addEventListener("success", (event) => setTimeout(() => handler?.(event), ms));
        Object.defineProperty(real, "onsuccess", { set });
        return real;
      }
      const request = new Puppet("error", "blocked", "success");
      if (how !== "hang") {
        request.error = how === "blocked" ? null : exception();
        setTimeout(() => request.dispatchEvent(new Event(how === "blocked" ? "blocked" : "error")));
      }
      return request;
    };
    return null;
  }
  const begin = IDBDatabase.prototype.transaction;
  IDBDatabase.prototype.transaction = function (tables, mode = "readonly", options) {
    const real = () => begin.call(this, tables, mode, options);
    const concerns = ours(this.name) && (call === "read" ? mode === "readonly" : mode === "readwrite");
    if (!concerns || !due() || how === "nothing") return real();
    switch (how) {
      case "throw":
        throw exception();
      case "hang":
        return new Puppet("complete", "abort", "error");
      case "close": {
        // As browsers do when site data is cleared or the disk fails: closed, then told.
        this.close();
        setTimeout(() => this.dispatchEvent(new Event("close")));
        return real();
      }
      case "slow": {
        const transaction = real();
        const set = (handler) => transaction.addEventListener("complete", (event) => setTimeout(() => handler?.(event), ms));
        Object.defineProperty(transaction, "oncomplete", { set });
        return transaction;
      }
      case "put": {
        const transaction = real();
        const stores = transaction.objectStore.bind(transaction);
        transaction.objectStore = (table) => {
          const store = stores(table);
          store.put = () => { throw exception(); };
          return store;
        };
        return transaction;
      }
      case "abort": {
        const transaction = real();
        if (name) Object.defineProperty(transaction, "error", { get: exception });
        transaction.commit = () => transaction.abort();
        return transaction;
      }
      default:
        throw new Error(`unknown trouble ${how}`);
    }
  };
  return null;
}
