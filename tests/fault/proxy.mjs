// A server between a page and its backend that fails by seed in every way that backends and networks do, and
// keeps a history of what it forwarded, what the backend committed and what the page was told.
import { createServer } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { chance } from "./chance.mjs";
import { forward } from "./forward.mjs";

/** The ways to fail; each is as likely as the others. `committed`: the backend has the records all the same. */
export const FAULTS = [
  "refuse", // the port is closed for a while: connections are refused
  "reset-before", // the request is read, and the connection reset before the backend hears of it
  "reset-after", // the backend commits, and the connection is reset before its answer: what makes doubles
  "500", // 500, 502, 503 or 504; for 504 the backend may have committed
  "429", // without Retry-After
  "429-after", // with Retry-After, readable
  "429-hidden", // with Retry-After that CORS does not let the page read
  "slow", // no answer within the page's patience, before or after the commit
  "truncated", // the backend commits, its answer is cut off: by the connection, or as if that were all
  "partial", // 200; a part of the records is named as failed, by an unknown word, or not at all
  "portal", // 200 with the HTML of a captive portal
  "preflight", // the preflight is refused
];

/**
 * Starts the proxy in front of `upstream` (an address ending in "/").
 *
 * `share` of the attempts fail while `state.faulty` (true, false, or a function of the request); `kinds` may name fewer faults. `patience` is the page's timeout,
 * in ms. `state.answer({ request, records, entry })` may take an attempt over: it gives `{ fault, status, body, type }` or nothing.
 * @returns {Promise<object>} with `url`, `state`, `history` (one entry an attempt: `{ at, fault, ids, key, forwarded,
 *   committed, status, authorization }`).
 */
export async function proxy(upstream, { seed = 1, share = 0.3, kinds = FAULTS, patience = 1000 } = {}) {
  const draws = chance(seed);
  const later = kinds.filter((kind) => kind !== "preflight");
  // Of all attempts `share` are to fail: those that pass the preflight fail so much more often.
  const atPreflight = kinds.includes("preflight") ? share / kinds.length : 0;
  const afterwards = later.length ? (share - atPreflight) / (1 - atPreflight) : 0;
  const state = { faulty: true, answer: null };
  const failing = (request) => (typeof state.faulty === "function" ? state.faulty(request) : state.faulty);
  const history = [];
  let open = true;

  const cors = (request, more = {}) => ({
    "access-control-allow-origin": request.headers.origin ?? "*",
    vary: "origin",
    // Each attempt is a connection of its own: browsers silently repeat a request whose kept connection breaks.
    connection: "close",
    ...more,
  });
  const json = (request, response, status, value, more) => {
    response.writeHead(status, cors(request, { "content-type": "application/json", ...more }));
    response.end(JSON.stringify(value));
  };
  const pass = (request, response, { status, headers, body }) => {
    const kept = { ...headers, connection: "close", "content-length": String(body.length) };
    // Browsers would ask once in ten minutes: here every attempt has its preflight.
    if (request.method === "OPTIONS") kept["access-control-max-age"] = "0";
    response.writeHead(status, kept);
    response.end(body);
  };
  /** Closes the port for a while; what is under way goes on. */
  const outage = async (ms) => {
    if (!server.listening) return;
    server.close();
    await sleep(ms);
    if (open) server.listen(port, "127.0.0.1");
  };

  const attempt = async (request, response, body) => {
    const records = parsed(body);
    const entry = {
      at: Date.now(),
      fault: null,
      ids: records.map(({ id }) => id),
      key: request.headers["idempotency-key"] ?? null,
      authorization: request.headers.authorization ?? null,
      forwarded: false,
      committed: [],
      status: null,
    };
    history.push(entry);
    const send = async (bytes = body) => {
      entry.forwarded = true;
      const answer = await forward(upstream, request, bytes);
      for (const { id, status } of parsed(answer.body).flatMap((said) => said?.results ?? []))
        if (status === "stored" || status === "duplicate") entry.committed.push(id);
      return answer;
    };
    const told = (status) => (entry.status = status);
    const special = state.answer?.({ request, records, entry });
    if (special) {
      entry.fault = special.fault ?? "scripted";
      const { body: text = "", type = "application/json" } = special;
      response.writeHead(told(special.status), cors(request, { "content-type": type }));
      return response.end(typeof text === "string" ? text : JSON.stringify(text));
    }
    const fault = failing(request) && draws.unit() < afterwards ? draws.one(later) : null;
    entry.fault = fault;
    switch (fault) {
      case null: {
        const answer = await send();
        told(answer.status);
        return pass(request, response, answer);
      }
      case "refuse":
        request.socket.resetAndDestroy();
        return outage(draws.whole(50, 400));
      case "reset-before":
        return request.socket.resetAndDestroy();
      case "reset-after":
        await send();
        return request.socket.resetAndDestroy();
      case "500": {
        const status = draws.one([500, 502, 503, 504]);
        if (status === 504 && draws.unit() < 0.5) await send();
        return draws.unit() < 0.5
          ? json(request, response, told(status), { error: { code: "broken", message: "by the fault proxy" } })
          : response.writeHead(told(status), { connection: "close" }).end("<h1>Bad gateway</h1>");
      }
      case "429":
        return json(request, response, told(429), { error: { code: "too_many", message: "by the fault proxy" } });
      case "429-after":
        return json(request, response, told(429), {}, { "retry-after": draws.one(["0", "1"]), "access-control-expose-headers": "retry-after" });
      case "429-hidden":
        return json(request, response, told(429), {}, { "retry-after": "1" });
      case "slow": {
        const answer = draws.unit() < 0.5 ? await send() : null;
        await sleep(patience + draws.whole(200, 800));
        if (!answer || response.destroyed) return response.destroy();
        return pass(request, response, answer);
      }
      case "truncated": {
        const answer = await send();
        told(answer.status);
        const cut = answer.body.subarray(0, draws.whole(0, Math.max(0, answer.body.length - 2)));
        if (draws.unit() < 0.5) return pass(request, response, { ...answer, body: cut });
        response.writeHead(answer.status, { ...answer.headers, connection: "close", "content-length": String(answer.body.length) });
        response.write(cut);
        await sleep(5);
        return request.socket.destroy();
      }
      case "partial": {
        const taken = records.filter(() => draws.unit() < 0.5);
        const answer = taken.length ? await send(JSON.stringify(taken)) : { status: 200, body: Buffer.from("{}") };
        const results = parsed(answer.body).flatMap((said) => said?.results ?? []);
        for (const { id } of records) {
          if (taken.some((record) => record.id === id)) continue;
          const how = draws.whole(0, 3);
          if (how === 0) results.push({ id, status: "error", message: "shard is not available" });
          if (how === 1) results.push({ id, status: 503 });
          if (how === 2) results.push({ id });
        }
        return json(request, response, told(200), { took: 3, errors: true, results });
      }
      case "portal":
        response.writeHead(told(200), cors(request, { "content-type": draws.one(["text/html", "application/json"]) }));
        return response.end("<!doctype html><title>Welcome</title><h1>Log in to this network</h1>");
    }
  };

  const server = createServer(async (request, response) => {
    request.on("error", () => {});
    response.on("error", () => {});
    try {
      const chunks = [];
      for await (const chunk of request) chunks.push(chunk);
      const body = Buffer.concat(chunks);
      if (request.method === "OPTIONS") {
        if (failing(request) && draws.unit() < atPreflight) {
          history.push({ at: Date.now(), fault: "preflight", ids: [], key: null, authorization: null, forwarded: false, committed: [], status: 403 });
          return response.writeHead(403, { connection: "close" }).end();
        }
        return pass(request, response, await forward(upstream, request, body));
      }
      await attempt(request, response, body);
    } catch {
      // A browser that was killed in the middle of its request, or a backend that is going down.
      response.destroy();
    }
  });
  server.on("error", () => {});
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  return {
    url: `http://localhost:${port}/`,
    state,
    history,
    close: () => {
      open = false;
      server.closeAllConnections();
      return new Promise((resolve) => (server.listening ? server.close(resolve) : resolve()));
    },
  };
}

/** The JSON of a body as a list; none if it is not JSON. */
function parsed(body) {
  try {
    return [JSON.parse(body)].flat();
  } catch {
    return [];
  }
}
