// Presets in a browser: they come from beside the element, and what they ask for reaches a server as it should.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { readFile } from "node:fs/promises";
import { afterEach, beforeEach, test } from "node:test";
import { runInNewContext } from "node:vm";
import { Labeler, until } from "./labeler.mjs";
import { context, server } from "./place.mjs";
import { backend, stand } from "./stand.mjs";

let other;
beforeEach(async () => (other = await stand()));
afterEach(() => other.close());

/** A page that delivers so, two items before the person; `token`: what its authorize gives. */
function open(delivery, { token, ...options } = {}) {
  server.route("/items.json", ["a", "b"].map((id, i) => ({ id, numbers: [1], meta: { task_id: i + 1 } })));
  server.route("/config.json", { labels: ["yes", "no"], items: "/items.json", delivery: { retry: { base_ms: 100 }, ...delivery } });
  const script = `<script>document.querySelector("hitl-labeler").authorize = async () => ${JSON.stringify(token)};</script>`;
  const body = `<hitl-labeler config="/config.json"></hitl-labeler>${token ? script : ""}`;
  return Labeler.open(context, server.host("/", body), options);
}

/** Answers like a server of another origin; `answer(request, body)` gives [status, type, text] or more headers. */
function elsewhere(path, answer, { preflight } = {}) {
  const seen = [];
  other.route(path, (request, response, body) => {
    const cors = { "access-control-allow-origin": "*" };
    if (request.method === "OPTIONS") {
      seen.push({ method: "OPTIONS" });
      response.writeHead(preflight ? 204 : 405, preflight ? { ...cors, "access-control-allow-headers": preflight, "access-control-allow-methods": "*" } : {});
      return response.end();
    }
    seen.push({ method: request.method, headers: request.headers, body });
    const [status, type, text, more] = answer(request, body, seen);
    response.writeHead(status, { ...cors, "content-type": type, ...more });
    response.end(text);
  });
  return seen;
}

test("the script of the documentation for a Google sheet names what it has, and keeps no formula", async () => {
  const page = await readFile(new URL("../../docs/backends.md", import.meta.url), "utf8");
  const script = page.match(/```js\n(function doPost[^]*?)```/)[1];
  const rows = [];
  // What Google gives, as far as the script asks for it.
  const google = {
    LockService: { getScriptLock: () => ({ waitLock() {}, releaseLock() {} }) },
    SpreadsheetApp: {
      getActive: () => ({ getSheetByName: () => ({ getRange: () => ({ getValues: () => rows.map(([id]) => [id]) }), appendRow: (row) => rows.push(row) }) }),
      flush() {},
    },
    ContentService: { MimeType: { JSON: "json" }, createTextOutput: (text) => ({ text, setMimeType() { return this; } }) },
  };
  const doPost = runInNewContext(`${script}; doPost`, google);
  const record = { id: "1", item_id: "=HYPERLINK(1)", kind: "correction", answer: { label: "cat" }, answered_at: "2026-01-01T00:00:00Z" };
  const post = (records) => JSON.parse(doPost({ postData: { contents: JSON.stringify(records) } }).text).results;
  assert.deepEqual(post([record]), [{ id: "1", status: "stored" }]);
  assert.deepEqual(post([record, { ...record, id: "2" }]).map(({ status }) => status), ["duplicate", "stored"]);
  assert.deepEqual(rows.map(([id, item]) => [id, item]), [["1", "'=HYPERLINK(1)"], ["2", "'=HYPERLINK(1)"]]);
});

test("a preset's name is enough, and its parameters are told when they lack", async () => {
  const kept = backend(server, "/records");
  const labeler = await open({ preset: "collector", params: { url: "/" } });
  await labeler.focus();
  await labeler.answer("1");
  await labeler.waitForDelivered(1);
  assert.equal(kept.kept.size, 1);

  const lacking = await open({ preset: "rabbitmq", params: { url: "/", exchange: "x" } });
  const { lines } = await lacking.problems();
  assert.match(lines, /`delivery\.params\.routing_key`: found nothing, expected the routing key/);
  const unknown = await open({ preset: "colector", params: { url: "/" } });
  assert.match((await unknown.problems()).lines, /`delivery\.preset`: found "colector", which cannot be had: the server answered 404/);
});

test("a preset of one's own is fetched from beside the configuration", async () => {
  const kept = backend(server, "/elsewhere/pets");
  const delivery = { url: "{params.to}/{params.list}" };
  server.route("/presets/own.json", { schema: "hitl-labeler/preset/1", params: { list: "the list" }, delivery: { ...delivery, params: { to: "/elsewhere" } } });
  const labeler = await open({ preset: "presets/own.json", params: { list: "pets" } });
  await labeler.focus();
  await labeler.answer("1");
  await labeler.waitForDelivered(1);
  assert.equal(kept.kept.size, 1);
});

test("Apps Script gets its records without a preflight, and its answer comes by way of a redirect", async () => {
  const results = [];
  const seen = elsewhere("/exec", (_, body) => {
    for (const { id } of JSON.parse(body)) results.push({ id, status: "stored" });
    return [302, "text/html", "moved", { location: `${other.url}echo` }];
  });
  elsewhere("/echo", () => [200, "application/json", JSON.stringify({ results })]);
  const labeler = await open({ preset: "apps-script", params: { url: `${other.url}exec` } });
  await labeler.focus();
  await labeler.answer("1");
  await labeler.waitForDelivered(1);
  assert.deepEqual(seen.map(({ method }) => method), ["POST"]);
  assert.match(seen[0].headers["content-type"], /^text\/plain/);
});

test("a redirect that nobody allowed stops delivery with words, and nothing is lost", async () => {
  const kept = backend(server, "/there");
  server.route("/here", (_, response) => response.writeHead(307, { location: "/there" }).end());
  const labeler = await open({ url: "/here" });
  await labeler.focus();
  await labeler.answer("1");
  await labeler.show("delivery");
  await until(async () => /sends the request on to another address/.test(await labeler.part(".frame").innerText()), "the words");
  assert.equal(kept.kept.size, 0);
  assert.equal((await labeler.progress()).undelivered, 1);
});

test("a redirect that is followed and makes a GET of the POST is no delivery, and the address it leads to is told", async () => {
  const methods = [];
  server.route("/old", (_, response) => response.writeHead(301, { location: "/new?key=s3cret" }).end());
  server.route("/new", (request, response) => {
    methods.push(request.method);
    response.writeHead(200, { "content-type": "application/json" }).end("[]");
  });
  const labeler = await open({ preset: "json", params: { url: "/old" }, redirect: "follow" });
  await labeler.focus();
  await labeler.answer("1");
  await labeler.show("delivery");
  const words = () => labeler.part(".frame").innerText();
  await until(async () => /sent on to http\S*\/new, whose answer does not name the records/.test(await words()), "the words");
  assert.doesNotMatch(await words(), /s3cret/);
  assert.deepEqual(methods, ["GET"]);
  assert.equal((await labeler.progress()).undelivered, 1);
});

test("what says 200 and failed is sent again until it did not", async () => {
  const seen = elsewhere("/records", (_, body, all) => {
    const posts = all.filter(({ method }) => method === "POST").length;
    return posts < 3 ? [200, "application/json", '{"error":"database is locked"}'] : [200, "application/json", '{"id":1}'];
  }, { preflight: "*" });
  const labeler = await open({ preset: "json", params: { url: `${other.url}records` } });
  await labeler.focus();
  await labeler.answer("1");
  await labeler.waitForDelivered(1);
  const posts = seen.filter(({ method }) => method === "POST");
  assert.equal(posts.length, 3);
  assert.deepEqual([...new Set(posts.map(({ body, headers }) => body + headers["idempotency-key"]))].length, 1, "the same each time");
});

test("a webhook's signature is right", async () => {
  const secret = Buffer.from("a secret of twenty-four b");
  const signed = [];
  elsewhere("/hook", ({ headers }, body) => {
    const text = `${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`;
    const expected = `v1,${createHmac("sha256", secret).update(text).digest("base64")}`;
    signed.push([headers["webhook-signature"], expected]);
    return headers["webhook-signature"] === expected ? [204, "text/plain", ""] : [400, "text/plain", "no"];
  }, { preflight: "content-type, webhook-id, webhook-timestamp, webhook-signature" });
  const token = `whsec_${secret.toString("base64")}`;
  const labeler = await open({ preset: "standard-webhooks", params: { url: `${other.url}hook` } }, { token });
  await labeler.focus();
  await labeler.answer("1");
  await labeler.waitForDelivered(1);
  for (const [given, expected] of signed) assert.equal(given, expected);
  assert.ok(signed.length >= 1);
});

test("Label Studio gets an annotation at the item's task, and a cancelled one for an undo", async () => {
  const known = new Set();
  const answer = ({ headers }, body) => {
    if (headers.authorization !== "Bearer t") return [401, "application/json", '{"detail":"no"}'];
    const { unique_id } = JSON.parse(body);
    if (known.has(unique_id)) return [409, "application/json", '{"detail":"Annotation with this unique id already exists"}'];
    known.add(unique_id);
    return [201, "application/json", '{"id":1}'];
  };
  const allowed = { preflight: "authorization, content-type" };
  const seen = [1, 2].map((task) => elsewhere(`/api/tasks/${task}/annotations/`, answer, allowed));
  const labeler = await open({ preset: "label-studio", params: { url: other.url } }, { token: "t" });
  await labeler.focus();
  const item = await labeler.answer("1");
  await labeler.press("Backspace");
  await labeler.waitForDelivered(2);
  const bodies = seen[item === "a" ? 0 : 1].filter(({ method }) => method === "POST").map(({ body }) => JSON.parse(body));
  assert.deepEqual(bodies.map(({ was_cancelled }) => was_cancelled), [false, true]);
  assert.deepEqual(bodies[0].result[0].value, { choices: ["yes"] });
});
