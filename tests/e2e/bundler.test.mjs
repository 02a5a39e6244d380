// The package in the hands of a bundler: an app of two lines, built by Vite, asks its first question with a model.
import assert from "node:assert/strict";
import { mkdir, mkdtemp, readFile, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { build } from "vite";
import { dist } from "./browser.mjs";
import { Labeler } from "./labeler.mjs";
import { context, server } from "./place.mjs";
import { stand } from "./stand.mjs";

const PAGE = `<!doctype html><html lang="en"><title>app</title><link rel="icon" href="data:,">
  <hitl-labeler model="/hitl/models/fashion-cnn/model.json" items="/items.jsonl" accept-at="1"></hitl-labeler>
  <script type="module" src="/main.js"></script></html>`;
const SCRIPT = `import "hitl-labeler";
document.title = "it is there";`;

/** Builds the app for files that will lie at `base`; gives the page, and the other files by their path. */
async function built(base) {
  const folder = await mkdtemp(join(tmpdir(), "hitl-bundler-"));
  try {
    await mkdir(join(folder, "node_modules"));
    await symlink(dist, join(folder, "node_modules/hitl-labeler"));
    await writeFile(join(folder, "index.html"), PAGE);
    await writeFile(join(folder, "main.js"), SCRIPT);
    await build({ root: folder, base, configFile: false, logLevel: "error", build: { reportCompressedSize: false } });
    const assets = new Map();
    for (const name of await readdir(join(folder, "dist/assets"))) {
      assets.set(`/assets/${name}`, await readFile(join(folder, "dist/assets", name)));
    }
    return { page: await readFile(join(folder, "dist/index.html"), "utf8"), assets };
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Opens the app, whose files `files` gives, and waits for its first question. */
async function asks(base, files) {
  const { page, assets } = await built(base);
  for (const [path, bytes] of assets) files.route(path, bytes);
  server.route("/index.html", page);
  const lines = (await readFile(join(dist, "demo/data/fashion/items.jsonl"), "utf8")).split("\n").slice(0, 3);
  server.route("/items.jsonl", lines.join("\n"));
  const labeler = await Labeler.open(context, `${server.url}index.html`);
  await labeler.waitForPredictions(3);
  await labeler.asked();
  assert.equal(await labeler.page.title(), "it is there");
  assert.equal((await labeler.run((element) => element.coverage([0]))).predicted, 3, "by the model");
  assert.ok(await labeler.run((element) => element.shadowRoot.querySelector("link").sheet), "it is styled");
  assert.deepEqual(await labeler.heard("hitl-error"), []);
  const unbuilt = server.asked.filter((path) => path.startsWith("/hitl/") && !path.startsWith("/hitl/models/"));
  assert.deepEqual(unbuilt, [], "everything is the build's own");
}

test("an app that Vite has built asks its first question with a model", async () => {
  await asks("/", server);
  assert.ok(server.asked.some((path) => /^\/assets\/page_bg-.*\.wasm$/.test(path)));
});

test("so does one whose files come from another origin", async () => {
  const files = await stand({ headers: { "access-control-allow-origin": "*" } });
  try {
    await asks(files.url, files);
    assert.ok(!server.asked.some((path) => path.startsWith("/assets/")));
  } finally {
    await files.close();
  }
});
