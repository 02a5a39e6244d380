// What is put through the storm: our element, and two usual ways to send answers from a page, for comparison.
// Each is a host page that tells the driver of every record that it has shown as saved, and has in `subject`:
// `ready()`, `focus()`, `left()` (records that the server does not have yet, as far as the page knows) and, if it likes,
// `look()` (what is to be seen, for messages).
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";

/** Tells the driver, in order, what was shown as saved; a page that dies with something to tell has not told it. */
const TELL = `
  const told = [];
  let telling = false;
  async function tell(record, durable = true) {
    told.push({ record, durable, at: Date.now() });
    if (telling) return;
    telling = true;
    while (told.length) {
      const some = told.splice(0);
      try { await fetch("/noted", { method: "POST", body: JSON.stringify(some) }); }
      catch { told.unshift(...some); await new Promise((resolve) => setTimeout(resolve, 50)); }
    }
    telling = false;
  }`;

/** Delivery as quick as the configuration allows: a storm of minutes is to see as many attempts as days at work. */
export const QUICK = { batch_size: 10, timeout_ms: 1000, retry: { base_ms: 100, cap_ms: 1000 } };

/** Our element without a model: everything is asked of the person. */
export function hitl({ items, prefix = "item", delivery = {}, project = "storm", config = {}, body = "" }) {
  return {
    name: "hitl-labeler",
    serve(server, endpoint, tabs) {
      server.route("/items.json", Array.from({ length: items }, (_, i) => ({ id: `${prefix}-${i}`, numbers: [i % 7, i % 11] })));
      for (let tab = 0; tab < tabs; tab++) {
        server.route(`/config-${tab}.json`, {
          labels: ["yes", "no", "perhaps"],
          // Relative, so that a folder can be a server of its own.
          items: "items.json",
          project,
          delivery: { url: endpoint, ...QUICK, ...delivery },
          ...config,
        });
        const head = `<script>${TELL}
          addEventListener("hitl-corrected", ({ detail }) => tell(detail.record, detail.durable));
          globalThis.refused = [];
          addEventListener("hitl-error", ({ detail }) => { if (detail.code === "refused") refused.push(...detail.records); });
          const element = () => document.querySelector("hitl-labeler");
          globalThis.subject = {
            ready: () => !!element()?.progress && !!element().shadowRoot.querySelector(".card h2[tabindex], h2[tabindex]"),
            focus: () => element().shadowRoot.querySelector("h2[tabindex]").focus(),
            look: () => ({ ...element().progress, focus: document.activeElement?.tagName, inner: element().shadowRoot.activeElement?.outerHTML.slice(0, 80),
              text: element().shadowRoot.querySelector("div")?.innerText.slice(0, 300), seen: document.visibilityState }),
            left: () => (({ unsaved, undelivered, answered, refused }) => ({ unsaved, undelivered, answered, refused }))(element().progress),
          };</script>`;
        // Both tabs ask in the same order: they often answer one item side by side, the hardest case for its order.
        server.host(`/tab-${tab}`, `<hitl-labeler config="config-${tab}.json"></hitl-labeler>${body}`, { head });
      }
      return (tab) => new URL(`tab-${tab}`, server.url).href;
    },
  };
}

/** A record as the collector takes it, made by a page of the compared kinds at each press of 1 to 3. */
const ASK = (tab) => `
  const session = crypto.randomUUID();
  // A UUIDv7: 48 bits of time, the rest at random.
  function uuid7() {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    let ms = Date.now();
    for (let i = 5; i >= 0; i--) { bytes[i] = ms % 256; ms = Math.floor(ms / 256); }
    bytes[6] = 0x70 | (bytes[6] & 15);
    bytes[8] = 0x80 | (bytes[8] & 63);
    const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
  }
  function answered(label) {
    const number = Number(localStorage.getItem("next-${tab}") ?? 0);
    localStorage.setItem("next-${tab}", number + 1);
    document.querySelector("h1").textContent = "item " + (number + 1);
    return { schema: "hitl-labeler/record/1", id: uuid7(), item_id: "item-${tab}-" + number, kind: "correction", role: "manual",
      answer: { label }, policy: { decision: "defer", reasons: [] }, prediction_shown: "hidden", session,
      answered_at: new Date().toISOString(), skipped_before: 0, flagged: false };
  }
  addEventListener("keydown", ({ key }) => { if ("123".includes(key)) take(answered(["yes", "no", "perhaps"][key - 1])); });`;

const peerPage = (server, tab, script) =>
  server.route(`/tab-${tab}`, (_, response) => {
    response.writeHead(200, { "content-type": "text/html; charset=utf-8" });
    response.end(`<!doctype html><link rel="icon" href="data:,"><h1 tabindex="0">item</h1><script>${TELL}${script}</script>`);
  });

/** What most pages do: show the next question, send in the background, three more tries a while apart. */
export function plain() {
  return {
    name: "fetch, 3 retries",
    serve(server, endpoint, tabs) {
      for (let tab = 0; tab < tabs; tab++) {
        peerPage(server, tab, `${ASK(tab)}
          let left = 0;
          async function take(record) {
            tell(record);
            left += 1;
            for (let attempt = 0; attempt < 4; attempt++) {
              if (attempt) await new Promise((resolve) => setTimeout(resolve, 250 * 2 ** attempt));
              try {
                const response = await fetch(${JSON.stringify(endpoint)}, { method: "POST", headers: { "content-type": "application/json" },
                  body: JSON.stringify(record), signal: AbortSignal.timeout(1000) });
                if (response.ok) break;
              } catch {}
            }
            left -= 1;
          }
          globalThis.subject = { ready: () => true, focus: () => document.querySelector("h1").focus(), left: () => ({ unsaved: 0, undelivered: left }) };`);
      }
      return (tab) => new URL(`tab-${tab}`, server.url).href;
    },
  };
}

/**
 * Workbox background sync at its most careful: every record goes into its queue (IndexedDB) first and is shown as saved
 * once it is there; the queue is replayed by Workbox's own `replayRequests`, every half second instead of at the
 * browser's leisure.
 */
export function workbox() {
  const require = createRequire(import.meta.url);
  const version = require("workbox-background-sync/package.json").version;
  const file = async (name) => readFile(require.resolve(`${name}/build/${name}.prod.js`), "utf8");
  return {
    name: `workbox-background-sync ${version}`,
    async serve(server, endpoint, tabs) {
      const worker = `
        ${await file("workbox-core")}
        ${await file("workbox-background-sync")}
        const queue = new workbox.backgroundSync.Queue("records", { forceSyncFallback: true });
        let replaying = false;
        addEventListener("install", () => skipWaiting());
        addEventListener("activate", (event) => event.waitUntil(clients.claim()));
        addEventListener("message", (event) => event.waitUntil((async () => {
          const { record, size } = event.data;
          if (record) {
            await queue.pushRequest({ request: new Request(${JSON.stringify(endpoint)}, { method: "POST",
              headers: { "content-type": "application/json" }, body: JSON.stringify(record) }) });
            return event.ports[0].postMessage("saved");
          }
          if (size) return event.ports[0].postMessage((await queue.size()) + (replaying ? 1 : 0));
          if (replaying) return;
          replaying = true;
          try { await queue.replayRequests(); } catch {} finally { replaying = false; }
        })()));`;
      server.route("/worker.js", (_, response) => {
        response.writeHead(200, { "content-type": "text/javascript" });
        response.end(worker);
      });
      for (let tab = 0; tab < tabs; tab++) {
        peerPage(server, tab, `${ASK(tab)}
          let worker = null;
          const registered = navigator.serviceWorker.register("/worker.js").then(() => navigator.serviceWorker.ready);
          registered.then((registration) => { worker = registration.active; setInterval(() => worker.postMessage({}), 500); });
          const ask = (what) => new Promise((resolve) => {
            const { port1, port2 } = new MessageChannel();
            port1.onmessage = ({ data }) => resolve(data);
            worker.postMessage(what, [port2]);
          });
          async function take(record) { await ask({ record }); tell(record); }
          globalThis.subject = { ready: () => worker !== null, focus: () => document.querySelector("h1").focus(),
            left: async () => ({ unsaved: 0, undelivered: await ask({ size: true }) }) };`);
      }
      return (tab) => new URL(`tab-${tab}`, server.url).href;
    },
  };
}
