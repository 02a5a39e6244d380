// A server that a test sets up as it needs it: dist/ under /hitl/, host pages, items, models, and a backend
// whose behaviour the test chooses.
import { readFile, stat } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { dist } from "./browser.mjs";

const TYPES = {
  ".css": "text/css",
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".json": "application/json",
  ".jsonl": "application/x-ndjson",
  ".jpg": "image/jpeg",
  ".png": "image/png",
  ".svg": "image/svg+xml",
  ".wasm": "application/wasm",
};

/**
 * Starts a server of one test.
 *
 * `route(path, what)`: what is a text, bytes, a plain value (sent as JSON) or a function (request, response, body).
 * `host(path, body)`: a host page with the element's script and this body.
 * `types` changes media types by extension; `headers` go with every answer.
 * @returns {Promise<object>} with `url` (of the root, ending in "/") and `asked`, every path that was requested.
 */
export async function stand({ types = {}, headers = {} } = {}) {
  const routes = new Map();
  const asked = [];
  const send = (response, what, kind) => {
    response.writeHead(200, { "content-type": kind, ...headers });
    response.end(what);
  };
  const server = createServer(async (request, response) => {
    const path = decodeURIComponent(new URL(request.url, "http://localhost").pathname);
    asked.push(path);
    const chunks = [];
    // A page that goes away in the middle of a request is part of the tests.
    try {
      for await (const chunk of request) chunks.push(chunk);
    } catch {
      return;
    }
    const kind = types[extname(path)] ?? TYPES[extname(path)] ?? "application/octet-stream";
    if (routes.has(path)) {
      const what = routes.get(path);
      if (typeof what === "function") return what(request, response, Buffer.concat(chunks).toString());
      if (typeof what === "string" || Buffer.isBuffer(what)) return send(response, what, kind);
      return send(response, JSON.stringify(what), "application/json");
    }
    const file = path.startsWith("/hitl/") ? normalize(join(dist, path.slice(6))) : null;
    const found = file?.startsWith(normalize(dist)) && (await stat(file).catch(() => null));
    if (found?.isFile()) return send(response, await readFile(file), kind);
    response.writeHead(404, headers).end();
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  // A test that is left out by its name never closes its server: that must not keep the run from ending.
  server.unref();
  const url = `http://localhost:${server.address().port}/`;
  return {
    url,
    asked,
    route: (path, what) => routes.set(path, what),
    host(path, body, { script = "/hitl/define.js", head = "" } = {}) {
      const html = `<!doctype html><html lang="en"><meta charset="utf-8"><link rel="icon" href="data:,">
        <title>host page</title>${head}
        <script type="module" src="${script}"></script><body>${body}</body></html>`;
      routes.set(path, (_, response) => send(response, html, TYPES[".html"]));
      return new URL(path, url).href;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(resolve);
        server.closeAllConnections();
      }),
  };
}

/**
 * A backend at `path` of a stand that keeps what it is sent and behaves as the test says.
 *
 * `behave(request number, records)` gives one of: "well", "hang", "unheard" (keeps the records, then breaks the
 * connection off), "mute" (200 that names nothing), "html", "refuse" (every record, with a reason), or a status.
 */
export function backend(stand, path = "/records", behave = () => "well") {
  const kept = new Map();
  const requests = [];
  const state = { behave, kept, requests, hung: [] };
  stand.route(path, (request, response, body) => {
    const records = body ? [JSON.parse(body)].flat() : [];
    const how = state.behave(requests.length, records);
    requests.push({ how, ids: records.map(({ id }) => id), key: request.headers["idempotency-key"], headers: request.headers });
    const json = (status, value) => {
      response.writeHead(status, { "content-type": "application/json" });
      response.end(JSON.stringify(value));
    };
    const keep = () =>
      records.map((record) => {
        const known = kept.has(record.id);
        kept.set(record.id, [...(kept.get(record.id) ?? []), record]);
        return { id: record.id, status: known ? "duplicate" : "stored" };
      });
    switch (how) {
      case "well":
        return json(200, { results: keep() });
      case "unheard":
        keep();
        return response.destroy();
      case "mute":
        return json(200, { ok: true });
      case "html":
        response.writeHead(200, { "content-type": "text/html" });
        return response.end("<!doctype html><title>Log in</title><h1>Hotel network</h1>");
      case "refuse":
        return json(200, {
          results: records.map(({ id }) => ({
            id,
            status: "refused",
            problems: [{ path: "answer.label", found: "a label", expected: "another" }],
          })),
        });
      case "hang":
        return state.hung.push(response);
      default:
        return json(how, { error: { code: "test", message: `the test answers ${how}` } });
    }
  });
  return state;
}
