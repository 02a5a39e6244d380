// What every server's test shares: starting it, the built element with the preset's block of docs/backends.md in
// Chromium, and the questions that are put to each of them.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:http";
import { createServer as createSocket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { launch } from "../e2e/browser.mjs";
import { Labeler, until } from "../e2e/labeler.mjs";
import { stand } from "../e2e/stand.mjs";
import { forward } from "../fault/forward.mjs";
import { start as group } from "../fault/group.mjs";

/** The `delivery` that docs/backends.md gives to copy for a preset. */
export async function block(preset) {
  const page = await readFile(new URL("../../docs/backends.md", import.meta.url), "utf8");
  const section = page.split(/^### /m).find((text) => text.startsWith(`${preset}\n`));
  return JSON.parse(section.match(/^```json\n(.*?)^```/ms)[1]).delivery;
}

/** A program that a package of the registries brought: `python("datasette", "datasette-moto")`, `npm("json-server")`. */
export function python(program, environment) {
  return installed(join(process.env.BACKENDS ?? "", environment, "bin", program));
}
export function npm(program) {
  return installed(fileURLToPath(new URL(`node_modules/.bin/${program}`, import.meta.url)));
}
function installed(path) {
  if (!existsSync(path)) throw new Error(`${path} is not installed: make test-backends`);
  return path;
}

export function freePort() {
  return new Promise((resolve) => {
    const socket = createSocket().listen(0, "127.0.0.1", () => {
      const { port } = socket.address();
      socket.close(() => resolve(port));
    });
  });
}

/** What is done when the tests are over or their set-up has failed, the last first. */
const leftovers = [];
export const afterwards = (deed) => leftovers.push(deed);

/** A folder that goes with the tests. */
export async function folder() {
  const place = await mkdtemp(join(tmpdir(), "hitl-backend-"));
  afterwards(() => rm(place, { recursive: true, force: true }));
  return place;
}

/** Runs a program until the tests are over; done once `url` answers anything. */
export async function run(command, args, { url, env = {}, cwd, patience = 240_000 }) {
  const { child, over, signal, kill } = group(command, args, { cwd, env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });
  afterwards(async () => {
    signal("SIGTERM");
    await Promise.race([over, sleep(10_000, null, { ref: false })]);
    await kill();
  });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (bytes) => (said = (said + bytes).slice(-4_000)));
  let ended = false;
  over.then(() => (ended = true));
  try {
    await until(async () => {
      if (ended) throw new Error(`${command} ended before it answered`);
      return fetch(url).then(() => true, () => false);
    }, `${command} answers`, patience);
  } catch (problem) {
    throw new Error(`${problem.message}; it said: ${said}`);
  }
}

/**
 * Stands before a real server: passes everything on, notes it, and loses answers on demand (`lose` of them: the server has
 * done its work, the page hears nothing). With `cors` it adds the headers that a server without any lacks.
 */
async function front(target, { cors = false } = {}) {
  const state = { posts: [], lose: 0 };
  const server = createServer(async (request, response) => {
    const allow = cors && { "access-control-allow-origin": "*", "access-control-allow-methods": "*", "access-control-allow-headers": request.headers["access-control-request-headers"] ?? "*" };
    if (cors && request.method === "OPTIONS") return response.writeHead(204, allow).end();
    try {
      const chunks = [];
      for await (const chunk of request) chunks.push(chunk);
      const { status, headers, body } = await forward(target, request, Buffer.concat(chunks));
      if (request.method !== "OPTIONS") {
        state.posts.push({ status, answer: body.toString() });
        if (state.lose > 0) {
          state.lose -= 1;
          return response.destroy();
        }
      }
      response.writeHead(status, { ...headers, ...allow }).end(body);
    } catch {
      // The page or the server has gone in the middle of it.
      response.destroy();
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  server.unref();
  state.url = `http://127.0.0.1:${server.address().port}`;
  state.close = () => new Promise((resolve) => {
    server.close(resolve);
    server.closeAllConnections();
  });
  return state;
}

/** What a record says, in the form in which a server's `has` gives it; an undo has no label. */
export const told = ({ id, item_id, answer }) => ({ id, item: item_id, label: answer?.label ?? null });

/**
 * Puts a preset before the server that `start` gives:
 * - `url`: its address; `params(front's url)`: for the preset, over those of the block
 * - `has()`: what it holds by its own API, `{ id, item, label }` each, `label` null for an undo
 * - `token`, `wrong`: what authorize gives; `again`: [status, words] of its answer to a record that it has
 * - `copies`: how often it then has the record, `meta(n)`: of item n, `cors`: it sends none, `delivery`: beside the block,
 *   `own(record)`: what `has` should give of it, unless it is `told`
 * - `odd`: `{ delivery?, words }`: makes the server refuse what is labelled "zebra", and its words for it
 */
export function prove(preset, start) {
  let browser, server, backend, proxy;
  before(async () => {
    const settled = await Promise.allSettled([launch(), stand(), start()]);
    [browser, server, backend] = settled.map(({ value }) => value);
    if (server) afterwards(server.close);
    if (browser) afterwards(() => browser.close());
    for (const { reason } of settled) if (reason) throw reason;
    proxy = await front(backend.url, { cors: backend.cors });
    afterwards(proxy.close);
  });
  after(async () => {
    const problems = [];
    while (leftovers.length) await leftovers.pop()().catch((problem) => problems.push(problem));
    if (problems.length) throw problems[0];
  });

  let pages = 0;
  /** A page of its own store with four items, whose authorize gives `tokens` one after the other, then the last. */
  async function open(tokens = [backend.token], more = {}) {
    pages += 1;
    const items = [1, 2, 3, 4].map((n) => ({ id: `page${pages}-item${n}`, numbers: [n], meta: backend.meta?.(n) ?? null }));
    server.route("/items.json", items);
    const copied = { ...(await block(preset)), ...backend.delivery };
    const delivery = { ...copied, ...more, params: { ...copied.params, ...backend.params?.(proxy.url), ...more.params }, retry: { base_ms: 200 } };
    server.route("/config.json", { labels: ["cat", "dog", "zebra"], items: "/items.json", delivery });
    const script = `<script>
      const tokens = ${JSON.stringify(tokens)};
      document.querySelector("hitl-labeler").authorize = async () => (tokens.length > 1 ? tokens.shift() : tokens[0]);
    </script>`;
    const context = await browser.newContext();
    const url = server.host("/", `<hitl-labeler config="/config.json"></hitl-labeler>${backend.token ? script : ""}`);
    const labeler = await Labeler.open(context, url);
    await labeler.focus();
    return { labeler, close: () => context.close() };
  }
  const sorted = (records) => [...records].sort((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0));
  /** What the server has of what this page recorded. */
  const compare = async (labeler, but = () => true) => {
    const [own, there] = [(await labeler.records()).map(backend.own ?? told).filter(but), await backend.has()];
    const ids = new Set(own.map(({ id }) => id));
    assert.deepEqual(sorted(there.filter(({ id }) => ids.has(id))), sorted(own));
    return own;
  };

  test(`${preset}: each label arrives once, under its item, and so does an undo`, async () => {
    const { labeler, close } = await open();
    for (const key of ["1", "2", "1"]) await labeler.answer(key);
    await labeler.waitForDelivered(3);
    await labeler.press("Backspace");
    await labeler.waitForDelivered(4);
    const own = await compare(labeler);
    assert.deepEqual(own.map(({ label }) => label), ["cat", "dog", "cat", null]);
    assert.equal((await labeler.progress()).refused, 0);
    await close();
  });

  test(`${preset}: a record whose answer was lost is sent again, and ${preset === "rabbitmq" ? "known by its id" : "not doubled"}`, async () => {
    const { labeler, close } = await open();
    const from = proxy.posts.length;
    proxy.lose = 1;
    await labeler.answer("2");
    await labeler.waitForDelivered(1);
    const sent = proxy.posts.slice(from);
    assert.equal(sent.length, 2);
    assert.equal(sent[1].status, backend.again[0], sent[1].answer);
    assert.match(sent[1].answer, backend.again[1]);
    const [{ id }] = await labeler.records();
    const there = (await backend.has()).filter((record) => record.id === id);
    assert.deepEqual(there.map(({ label }) => label), Array(backend.copies ?? 1).fill("dog"));
    assert.equal((await labeler.progress()).refused, 0);
    await close();
  });

  test(`${preset}: with a wrong token it pauses, and goes on with the right one`, async (t) => {
    if (!backend.wrong) return t.skip("the server asks for none");
    const { labeler, close } = await open([backend.wrong, backend.token]);
    const from = proxy.posts.length;
    await labeler.answer("1");
    await labeler.part(".banner").filter({ hasText: "Sending waits for a log-in." }).waitFor();
    assert.deepEqual(proxy.posts.slice(from).map(({ status }) => status), [401]);
    assert.equal((await labeler.progress()).undelivered, 1);
    await labeler.button("Log in again").click();
    await labeler.waitForDelivered(1);
    await compare(labeler);
    await close();
  });

  test(`${preset}: what it does not take is refused in its words, and the rest goes`, async (t) => {
    if (!backend.odd) return t.skip("the server takes every record");
    const { labeler, close } = await open([backend.token], backend.odd.delivery);
    await labeler.answer("3");
    await labeler.answer("1");
    await until(async () => {
      const { refused, delivered } = await labeler.progress();
      return refused === 1 && delivered === 1;
    }, "one refused, one delivered");
    await labeler.show("delivery");
    await labeler.part(".row__why").first().waitFor();
    const whys = await labeler.part(".row__why").allInnerTexts();
    assert.ok(whys.some((why) => why.includes(backend.odd.words)), `the words shown: ${whys.join("; ")}`);
    await compare(labeler, ({ label }) => label !== "zebra");
    await close();
  });

  return { open, until, get backend() { return backend; }, get proxy() { return proxy; } };
}
