// The built dist/ as such: it is whole, it works from any path of any server, it asks nobody else.
import assert from "node:assert/strict";
import { access, readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { dist, launch, serve } from "./browser.mjs";
import { Reader, SECTION, sections } from "../../tools/wasm.mjs";

let browser;
before(async () => (browser = await launch()));
after(() => browser?.close());

const read = async (path) => JSON.parse(await readFile(join(dist, path), "utf8"));
const relaxed = process.env.RELAXED !== "0";
const workers = relaxed ? ["worker", "worker_relaxed"] : ["worker"];

test("page and workers start from a sub-path of a server that sends no special headers", async () => {
  const server = await serve({ base: "/some/where/deep/" });
  const page = await browser.newPage();
  const strangers = [];
  page.on("request", (request) => {
    const url = request.url();
    if (url.startsWith("http") && !url.startsWith(server.url)) strangers.push(url);
  });
  await page.goto(`${server.url}index.html`);
  // As element.js does it: compile once, hand the module to the glue.
  const start = (name) =>
    page.evaluate(async (name) => {
      const { default: init } = await import(new URL(`./${name}.js`, document.baseURI));
      await init({ module_or_path: await WebAssembly.compileStreaming(fetch(`./${name}_bg.wasm`)) });
      return "up";
    }, name);
  // The same inside a Worker, whose glue is imported by its whole address.
  const startWorker = (name) =>
    page.evaluate(async (name) => {
      const glue = new URL(`./${name}.js`, document.baseURI);
      const code = `
        import init from "${glue}";
        const module_or_path = await WebAssembly.compileStreaming(fetch("${glue.href.replace(/\.js$/, "_bg.wasm")}"));
        await init({ module_or_path });
        postMessage("up");`;
      const blob = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
      const worker = new Worker(blob, { type: "module" });
      return new Promise((resolve, reject) => {
        worker.onmessage = () => resolve("up");
        worker.onerror = (event) => reject(new Error(event.message || `${glue} did not load`));
      });
    }, name);
  assert.equal(await start("page"), "up");
  for (const name of workers) assert.equal(await startWorker(name), "up", name);
  assert.deepEqual(strangers, [], "no request leaves the place that serves dist/");
  await page.close();
  await server.close();
});

/** Names of a Wasm file's custom sections; read by hand, since Node refuses to compile relaxed SIMD. */
const customSections = (bytes) =>
  sections(bytes).filter(({ id }) => id === SECTION.custom).map(({ content }) => new Reader(bytes, content).text());

test("no Wasm file carries a name section", async () => {
  for (const name of ["page", ...workers]) {
    const bytes = await readFile(join(dist, `${name}_bg.wasm`));
    assert.equal(bytes.toString("latin1", 0, 4), "\0asm", name);
    assert.ok(!customSections(bytes).includes("name"), name);
  }
});

test("the npm package has the crate's version and every file that it names", async () => {
  const manifest = await read("package.json");
  const crate = await readFile(new URL("../../Cargo.toml", import.meta.url), "utf8");
  assert.equal(manifest.version, crate.match(/^version = "(.+)"/m)[1]);
  const named = [manifest.types, ...Object.values(manifest.exports["."])];
  for (const file of named) await assert.doesNotReject(access(join(dist, file)), `${file} is in dist/`);
});
