// "Test connection" on real servers that are set up wrongly, each in a way that people do set servers up wrongly.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer, request as httpRequest } from "node:http";
import { createServer as createSecureServer } from "node:https";
import { createServer as createSocket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { launch } from "./browser.mjs";
import { collect } from "./collector.mjs";
import { Labeler } from "./labeler.mjs";
import { stand } from "./stand.mjs";

let browser, server, tls;
const closing = [];
before(async () => {
  [browser, server] = await Promise.all([launch(), stand()]);
  const folder = await mkdtemp(join(tmpdir(), "hitl-tls-"));
  const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")];
  const options = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-keyout", key, "-out", cert];
  execFileSync("openssl", options, { stdio: "ignore" });
  tls = { key: await readFile(key), cert: await readFile(cert) };
  await rm(folder, { recursive: true });
});
after(async () => {
  await browser?.close();
  await Promise.all([server?.close(), ...closing.map((close) => close())]);
});

/** Starts a server of another origin than the page's; gives its address. */
async function listen(made, scheme = "http", host = "127.0.0.1") {
  made.on("clientError", (_, socket) => socket.destroy());
  made.on("tlsClientError", () => {});
  await new Promise((resolve) => made.listen(0, "127.0.0.1", resolve));
  closing.push(() => new Promise((resolve) => {
    made.close(resolve);
    made.closeAllConnections?.();
  }));
  return `${scheme}://${host}:${made.address().port}/records`;
}
const HEADERS = "content-type, idempotency-key, authorization, x-team";
/** A backend that takes JSON from everywhere, but for what `odd` changes: `allow` (headers), `origin`, `preflight`, `post`, `bare` (answers without CORS). */
function other(odd = {}) {
  return createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += chunk;
    const origin = odd.origin === undefined ? request.headers.origin : odd.origin;
    const cors = origin ? { "access-control-allow-origin": origin, "access-control-allow-methods": "POST" } : {};
    if (request.method === "OPTIONS") {
      if (odd.preflight) return odd.preflight(request, response);
      return response.writeHead(204, { ...cors, "access-control-allow-headers": odd.allow ?? HEADERS }).end();
    }
    const answers = odd.bare ? {} : cors;
    if (odd.post) return odd.post(request, response, answers);
    response.writeHead(isJson(body) ? 200 : 400, { ...answers, "content-type": "application/json" }).end("{}");
  });
}
const isJson = (text) => {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
};
const status = (code, headers = {}, body = "{}") => (_, response) =>
  response.writeHead(code, { "content-type": "application/json", ...headers }).end(body);
/** An address of the page's own origin. */
const own = (path, answer) => {
  server.route(path, answer);
  return path;
};
const page = "<!doctype html><title>Home</title><h1>Welcome</h1>";
const TOKEN = { authorization: { header: "Authorization", value: "Token {token}" } };

const CASES = [
  ["works, same origin", "none", () => own("/a", status(400))],
  ["works, another origin", "none", () => listen(other())],
  ["works, answers 422 to what is no record", "none", () => own("/b", status(422))],
  ["works, by status alone", "none", () => ({ url: own("/c", status(200)), confirm: "status" })],
  ["the collector without --allow-origin", "origin", async () => {
    const collector = await collect();
    closing.push(() => collector.close());
    return new URL("records", collector.url).href;
  }],
  ["401", "unauthorized", () => own("/401", status(401))],
  ["401 of another origin", "unauthorized", () => listen(other({ post: (q, r, cors) => status(401, cors)(q, r) }))],
  ["403", "forbidden", () => own("/403", status(403))],
  ["404", "not-found", () => own("/404", status(404))],
  ["410", "not-found", () => own("/410", status(410))],
  ["405", "wrong-method", () => own("/405", status(405))],
  ["501", "wrong-method", () => own("/501", status(501))],
  ["415", "wrong-type", () => own("/415", status(415))],
  ["429", "too-many", () => own("/429", status(429))],
  ["500", "server-fails", () => own("/500", status(500))],
  ["503", "server-fails", () => own("/503", status(503))],
  ["a single-page host says 200 to everything", "web-page", () => own("/spa", status(200, { "content-type": "text/html" }, page))],
  ["a portal that calls its page JSON", "web-page", () => own("/portal", status(200, {}, page))],
  ["a 200 that names nothing", "not-confirmed", () => own("/ok", status(200, {}, '{"ok":true}'))],
  ["a 200 without a body", "not-confirmed", () => own("/empty", status(200, {}, ""))],
  ["a 204", "not-confirmed", () => own("/204", (_, response) => response.writeHead(204).end())],
  ["a redirection to a log-in", "redirect", () => own("/302", status(302, { location: "/login" }))],
  ["a redirection from http to https", "redirect", () => own("/301", status(301, { location: "https://localhost/records" }))],
  ["a redirection of another origin", "redirect", () => listen(other({ post: (q, r, cors) => status(307, { ...cors, location: "/v2/records" })(q, r) }))],
  ["no answer", "timed-out", () => ({ url: own("/hang", () => {}), timeout_ms: 1000 })],
  ["no answer of another origin", "timed-out", async () => ({ url: await listen(other({ post: () => {} })), timeout_ms: 1000 })],
  ["no CORS at all", "origin", () => listen(other({ origin: null, preflight: status(404) }))],
  ["CORS for another page", "origin", () => listen(other({ origin: "https://elsewhere.example" }))],
  ["CORS in the preflight alone", "origin", () => listen(other({ bare: true }))],
  ["a preflight without Idempotency-Key", "headers", () => listen(other({ allow: "content-type" }))],
  ["a preflight without Content-Type", "headers", () => listen(other({ allow: "idempotency-key" }))],
  ["a preflight without a header of one's own", "headers", async () => ({ url: await listen(other({ allow: "content-type, idempotency-key" })), headers: { "X-Team": "blue" } })],
  ["a preflight without Authorization", "headers", async () => ({ url: await listen(other({ allow: "content-type, idempotency-key" })), ...TOKEN, give: "'abcdef'" })],
  ["a preflight that asks for a log-in", "preflight", () => listen(other({ preflight: status(401, { "access-control-allow-origin": "*" }) }))],
  ["a preflight that is not routed", "preflight", () => listen(other({ preflight: status(405, { "access-control-allow-origin": "*" }) }))],
  ["a preflight that is redirected", "preflight", () => listen(other({ preflight: status(302, { location: "/login" }) }))],
  ["a method that CORS does not allow", "method-not-allowed", async () => ({ url: await listen(other()), method: "PATCH" })],
  ["cookies with CORS for everybody", "credentials", async () => ({ url: await listen(other({ origin: "*" })), credentials: "include" })],
  ["a closed port", "unreachable", async () => {
    const made = createSocket();
    const url = await listen(made);
    await closing.pop()();
    return url;
  }],
  ["a name that nobody has", "unreachable", () => "http://no-such-host.invalid/records"],
  ["a port that breaks off", "unreachable", () => listen(createSocket((socket) => socket.resetAndDestroy()))],
  ["a certificate that nobody signed", "unreachable", () => listen(createSecureServer(tls, status(400)), "https", "localhost")],
  ["https to a server of http", "tls", async () => (await listen(other())).replace("http:", "https:")],
  ["http to a server of https", "tls", async () => ({ url: await listen(createSecureServer(tls, status(400)), "http", "localhost"), trusting: true })],
  ["http from a page of https", "mixed", async () => {
    const target = new URL(server.url).port;
    const forward = createSecureServer(tls, (request, response) => {
      const { method, url, headers } = request;
      const on = httpRequest({ port: target, host: "127.0.0.1", method, path: url, headers }, (answer) => {
        response.writeHead(answer.statusCode, answer.headers);
        answer.pipe(response);
      });
      request.pipe(on);
    });
    const at = new URL("/", await listen(forward, "https", "localhost")).href;
    return { url: "http://backend.example/records", trusting: true, at };
  }],
  ["a policy of the page", "page-policy", async () => ({ url: await listen(other()), head: `<meta http-equiv="Content-Security-Policy" content="connect-src 'self'">` })],
  ["a page that gives no token", "no-token", () => ({ url: own("/t", status(400)), ...TOKEN })],
  ["no network", "offline", async () => ({ url: await listen(other()), offline: true })],
  ["an address of what items lack", "lacks", () => ({ url: "/tasks/{record.meta.task}/labels" })],
  ["a form, which every body fills", "somebody", () => ({ url: own("/form", status(200)), format: "form", body: { label: "{record.answer.label}" } })],
];

test("the cause is named in nearly all of fifty wrong set-ups", { timeout: 600_000 }, async (t) => {
  const wrong = [];
  for (const [number, [what, expected, make]] of CASES.entries()) {
    const made = await make();
    const { at, trusting, offline, head, give, ...delivery } = typeof made === "string" ? { url: made } : made;
    const context = await browser.newContext({ ignoreHTTPSErrors: Boolean(trusting) });
    const config = { labels: ["yes", "no"], project: `case ${number}`, delivery };
    const script = `<script>addEventListener("DOMContentLoaded", () => {
      const element = document.querySelector("hitl-labeler");
      element.config = ${JSON.stringify(config)};
      ${give ? `element.authorize = () => ${give};` : ""}
    })</script>`;
    server.route("/items.json", [{ id: "a", numbers: [1] }]);
    let url = server.host("/", `${script}<hitl-labeler items="/items.json"></hitl-labeler>`, { head });
    if (at?.startsWith("https:")) url = at;
    const labeler = await Labeler.open(context, url);
    await labeler.asked();
    await labeler.show("delivery");
    if (offline) await context.setOffline(true);
    await labeler.button("Test connection").click();
    const said = labeler.part('[data-cause]:not([data-cause=""])');
    await said.waitFor();
    const found = await said.getAttribute("data-cause");
    const words = (await said.textContent()).trim();
    t.diagnostic(`${found === expected ? "right" : "WRONG"} ${what}: ${found}: ${words}`);
    if (found !== expected) wrong.push(`${what}: ${found}, not ${expected}`);
    assert.ok(words.length > 20, "the cause is said in words");
    await context.close();
  }
  t.diagnostic(`${CASES.length - wrong.length} of ${CASES.length}`);
  // Five of a hundred may be wrong: what a browser tells a page is little, and changes.
  assert.ok(wrong.length <= CASES.length * 0.05, wrong.join("\n"));
});

test("what signs an address goes nowhere in clear text when https fails", async () => {
  const seen = [];
  const made = createServer((request, response) => {
    seen.push(request.url);
    response.writeHead(200).end();
  });
  const url = `${(await listen(made)).replace("http:", "https:")}?sig=s3cret`;
  const context = await browser.newContext();
  server.route("/items.json", [{ id: "a", numbers: [1] }]);
  server.route("/config.json", { labels: ["yes", "no"], items: "/items.json", delivery: { url } });
  const labeler = await Labeler.open(context, server.host("/", '<hitl-labeler config="/config.json"></hitl-labeler>'));
  await labeler.asked();
  await labeler.show("delivery");
  await labeler.button("Test connection").click();
  await labeler.part('[data-cause="tls"]').waitFor();
  assert.deepEqual([...new Set(seen)], ["/"]);
  await context.close();
});

test("a redirect that is followed to something else is named as one", async () => {
  const context = await browser.newContext();
  server.route("/items.json", [{ id: "a", numbers: [1] }]);
  server.route("/slash", (_, response) => response.writeHead(301, { location: "/slash/" }).end());
  server.route("/slash/", (request, response) => response.writeHead(request.method === "POST" ? 400 : 405).end("{}"));
  server.route("/config.json", { labels: ["yes", "no"], items: "/items.json", delivery: { url: "/slash", redirect: "follow" } });
  const labeler = await Labeler.open(context, server.host("/", '<hitl-labeler config="/config.json"></hitl-labeler>'));
  await labeler.asked();
  await labeler.show("delivery");
  await labeler.button("Test connection").click();
  await labeler.part('[data-cause="redirect"]').waitFor();
  await context.close();
});

test("a test of the connection leaves nothing at the collector, and nothing in the browser", async () => {
  const collector = await collect();
  closing.push(() => collector.close());
  const context = await browser.newContext();
  server.route("/items.json", [{ id: "a", numbers: [1] }]);
  const posted = [];
  server.route("/records", async (request, response, body) => {
    posted.push(body);
    const { origin, ...headers } = request.headers;
    const answer = await fetch(new URL("records", collector.url), { method: "POST", body, headers: { "content-type": headers["content-type"] } });
    response.writeHead(answer.status, { "content-type": "application/json" }).end(await answer.text());
  });
  server.route("/config.json", { labels: ["yes", "no"], items: "/items.json", delivery: { url: "/records" } });
  const labeler = await Labeler.open(context, server.host("/", '<hitl-labeler config="/config.json"></hitl-labeler>'));
  await labeler.asked();
  await labeler.show("delivery");
  await labeler.button("Test connection").click();
  await labeler.part('[data-cause="none"]').waitFor();
  assert.equal(posted.length, 1);
  assert.deepEqual(collector.inSqlite(), []);
  assert.equal((await labeler.progress()).records, 0);
  await context.close();
});
