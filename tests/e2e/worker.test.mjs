// The built Workers as such, spoken to as the page does: kernels, onnxruntime's answers, and every fault by its code.
import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { dist, launch, serve } from "./browser.mjs";
import { chunk, png } from "./png.mjs";

const relaxed = process.env.RELAXED !== "0";
const names = relaxed ? ["worker", "worker_relaxed"] : ["worker"];
const LIMIT = 64_000_000;

let browser, server, page;
before(async () => {
  [browser, server] = await Promise.all([launch(), serve()]);
  page = await browser.newPage();
  // A document of this origin in which nothing of ours runs.
  await page.goto(`${server.url}package.json`);
  await page.evaluate(() => {
    /** A worker that says what it says one by one. */
    globalThis.start = async (name) => {
      const url = (file) => new URL(file, document.baseURI).href;
      const module = await WebAssembly.compileStreaming(fetch(url(`${name}_bg.wasm`)));
      const worker = new Worker(url("worker-loader.js"), { type: "module" });
      const said = [];
      let wake = () => {};
      worker.onmessage = ({ data }) => (said.push(data), wake());
      worker.onerror = (event) => (said.push({ head: { type: "error", message: event.message } }), wake());
      const hear = async () => {
        while (!said.length) await new Promise((resolve) => (wake = resolve));
        return said.shift();
      };
      const say = (head, parts = [], transfer = []) => worker.postMessage({ head, parts }, transfer);
      worker.postMessage({ module, glue: url(`${name}.js`) });
      const ready = await hear();
      if (ready.head.type !== "ready") throw new Error(`${name}: ${ready.head.message}`);
      return { hear, say, ready, stop: () => worker.terminate() };
    };
    /** Loads a model of `models/`, its manifest changed by `edit`. */
    globalThis.load = async (worker, model, edit = {}, pixelLimit = 64_000_000) => {
      const folder = new URL(`models/${model}/`, document.baseURI);
      const manifest = { ...(await (await fetch(new URL("model.json", folder))).json()), ...edit };
      const file = await (await fetch(new URL(manifest.file, folder))).arrayBuffer();
      worker.say({ type: "load", manifest: JSON.stringify(manifest), pixelLimit }, [file], [file]);
      return (await worker.hear()).head;
    };
    /** Predicts items given as [source, part]; rows are plain lists. */
    globalThis.predict = async (worker, items, features = false) => {
      const [sources, parts] = [items.map(([source]) => source), items.map(([, part]) => part ?? null)];
      worker.say({ type: "predict", ticket: 7, items: sources, features }, parts);
      const { head, parts: rows } = await worker.hear();
      return { ...head, scores: rows?.[0] && [...rows[0]], features: rows?.[1] && [...rows[1]] };
    };
    globalThis.pixels = async (url) => {
      const bitmap = await createImageBitmap(await (await fetch(url)).blob());
      const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
      context.drawImage(bitmap, 0, 0);
      return context.getImageData(0, 0, bitmap.width, bitmap.height);
    };
  });
});
after(async () => {
  await browser?.close();
  await server?.close();
});

const golden = async (model) => JSON.parse(await readFile(join(dist, `models/${model}/golden/golden.json`), "utf8")).items;

function softmax(logits) {
  const greatest = Math.max(...logits);
  const powers = logits.map((z) => Math.exp(z - greatest));
  const sum = powers.reduce((a, b) => a + b);
  return powers.map((p) => p / sum);
}

/** Rows of scores against the golden items: probabilities within 1e-4. */
function holds(scores, items, what) {
  const width = items[0].probabilities.length;
  assert.equal(scores.length, width * items.length, what);
  items.forEach((item, i) => {
    softmax(scores.slice(i * width, (i + 1) * width)).forEach((p, k) => {
      const off = Math.abs(p - item.probabilities[k]);
      assert.ok(off <= 1e-4, `${what}, ${item.id}: label ${k} is off by ${off}`);
    });
  });
}

for (const name of names) {
  test(`${name} chooses the SIMD kernels`, async () => {
    const { head } = await page.evaluate(async (name) => {
      const worker = await start(name);
      worker.stop();
      return worker.ready;
    }, name);
    assert.equal(head.type, "ready");
    assert.equal(head.relaxed, name === "worker_relaxed");
    assert.ok(head.kernels.length >= 5);
    for (const { purpose, name: kernel } of head.kernels) assert.match(kernel, /wasm/, `${purpose}: ${kernel} is not for Wasm`);
  });

  test(`${name} says what onnxruntime says of pictures, from every source`, async () => {
    const items = await golden("fashion-cnn");
    const said = await page.evaluate(
      async ([name, urls]) => {
        const worker = await start(name);
        const loaded = await load(worker, "fashion-cnn");
        const from = {
          url: urls.map((url) => [{ from: "url", url }]),
          blob: await Promise.all(urls.map(async (url) => [{ from: "blob" }, await (await fetch(url)).blob()])),
          pixels: await Promise.all(urls.map(async (url) => [{ from: "pixels" }, await pixels(url)])),
        };
        const said = {};
        for (const [source, items] of Object.entries(from)) said[source] = await predict(worker, items, true);
        worker.stop();
        return { loaded, said };
      },
      [name, items.map(({ image }) => image)],
    );
    assert.deepEqual([said.loaded.type, said.loaded.labels, said.loaded.features], ["loaded", 10, 64]);
    for (const [source, reply] of Object.entries(said.said)) {
      assert.deepEqual(reply.faults, [], source);
      holds(reply.scores, items, source);
      assert.equal(reply.features.length, 64 * items.length);
    }
  });

  test(`${name} says what onnxruntime says of rows and of photos`, async () => {
    const [rows, photos] = [await golden("weather-mlp"), await golden("efficientnet-lite0")];
    const said = await page.evaluate(
      async ([name, rows, photos]) => {
        const worker = await start(name);
        await load(worker, "weather-mlp");
        const weather = await predict(worker, rows.map((row) => [{ from: "numbers" }, new Float32Array(row)]));
        await load(worker, "efficientnet-lite0");
        const urls = photos.map((image) => new URL(`models/efficientnet-lite0/golden/${image}`, document.baseURI).href);
        const photo = await predict(worker, urls.map((url) => [{ from: "url", url }]));
        worker.stop();
        return { weather, photo };
      },
      [name, rows.map(({ numbers }) => numbers), photos.map(({ image }) => image)],
    );
    holds(said.weather.scores, rows, "weather");
    holds(said.photo.scores, photos, "photos");
  });
}

/** Pictures of every kind that the worker decodes itself, of kinds that it leaves to the browser, and damaged ones. */
function pictures() {
  const size = { width: 28, height: 28 };
  const noise = (x, y) => Math.imul(x * 31 + y * 57 + 11, 2654435761) >>> 24;
  const smooth = (x, y) => (x > 14 ? 2 : noise(x, y) & 7);
  const palette = (entries) => chunk("PLTE", Buffer.from(Array.from({ length: 3 * entries }, (_, n) => (n * 83 + 17) & 255)));
  const files = {};
  for (const depth of [1, 2, 4, 8]) {
    files[`grey, ${depth} bits`] = png({ ...size, depth, colours: 0, byte: noise });
    files[`palette, ${depth} bits`] = png({ ...size, depth, colours: 3, byte: noise, filter: 0, before: [palette(1 << depth)] });
  }
  files.colours = png({ ...size, colours: 2, byte: noise });
  files["smooth colours"] = png({ ...size, colours: 2, byte: smooth, window: 9 });
  const opaque = (samples) => (x, y) => (x % samples === samples - 1 ? 255 : noise(x, y));
  files["opaque grey"] = png({ ...size, colours: 4, byte: opaque(2), filter: 0 });
  files["opaque colours"] = png({ ...size, colours: 6, byte: opaque(4), filter: 0 });
  files["another size"] = png({ width: 61, height: 40, colours: 2, byte: noise });
  files["larger than what is decoded in place"] = png({ width: 300, height: 20, colours: 2, byte: smooth });
  files["16 bits"] = png({ ...size, depth: 16, colours: 2, byte: noise });
  files.transparent = png({ ...size, colours: 6, byte: noise });
  files["a transparent colour"] = png({ ...size, colours: 0, byte: smooth, before: [chunk("tRNS", Buffer.from([0, 2]))] });
  const gamma = Buffer.from([0, 0, 0x27, 0x10]);
  files["another gamma"] = png({ ...size, colours: 2, byte: noise, before: [chunk("gAMA", gamma)] });
  files["sRGB"] = png({ ...size, colours: 2, byte: noise, before: [chunk("sRGB", Buffer.from([1]))] });
  files["a palette too small"] = png({ ...size, colours: 3, byte: noise, filter: 0, before: [palette(16)] });
  files["a palette missing"] = png({ ...size, colours: 3, byte: noise, filter: 0 });
  files["a filter that is none"] = png({ ...size, colours: 0, byte: noise, filter: 7 });
  const whole = files.colours;
  const damaged = (change) => {
    const file = Buffer.from(whole);
    change(file);
    return file;
  };
  files["a wrong checksum of the header"] = damaged((file) => (file[30] ^= 1));
  files["a wrong checksum of the pixels"] = damaged((file) => (file[file.length - 14] ^= 1));
  files["wrong pixels"] = damaged((file) => (file[200] ^= 4));
  files["cut off in the header"] = whole.subarray(0, 20);
  files["cut off before the pixels"] = whole.subarray(0, 33);
  files["cut off in the pixels"] = whole.subarray(0, 700);
  files["cut off before its end"] = whole.subarray(0, whole.length - 12);
  files["something behind its end"] = Buffer.concat([whole, Buffer.from("more")]);
  return files;
}

test("a picture file is to the bit what the browser makes of it, and unreadable where the browser cannot read it", async () => {
  const files = pictures();
  const said = await page.evaluate(async (files) => {
    const worker = await start("worker");
    await load(worker, "fashion-cnn");
    const urls = files.map((file) => `data:image/png;base64,${file}`);
    const blobs = await Promise.all(urls.map(async (url) => (await fetch(url)).blob()));
    const browsers = blobs.map(async (blob) => {
      try {
        const bitmap = await createImageBitmap(blob, { colorSpaceConversion: "none" });
        const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
        context.fillStyle = "#fff";
        context.fillRect(0, 0, bitmap.width, bitmap.height);
        context.drawImage(bitmap, 0, 0);
        return context.getImageData(0, 0, bitmap.width, bitmap.height);
      } catch {
        return null;
      }
    });
    const pixels = await Promise.all(browsers);
    const readable = pixels.map((pixels) => pixels !== null);
    const good = (items) => items.filter((_, at) => readable[at]);
    const asked = {
      browser: await predict(worker, good(pixels.map((pixels) => [{ from: "pixels" }, pixels])), true),
      blob: await predict(worker, blobs.map((blob) => [{ from: "blob" }, blob]), true),
      url: await predict(worker, urls.map((url) => [{ from: "url", url }]), true),
    };
    worker.stop();
    return { readable, ...asked };
  }, Object.values(files).map((file) => file.toString("base64")));
  const names = Object.keys(files);
  const unreadable = names.filter((_, at) => !said.readable[at]);
  // The oracle is no empty one: some of each kind.
  assert.ok(unreadable.includes("cut off in the header") && !unreadable.includes("colours"), `${unreadable}`);
  assert.deepEqual(said.browser.faults, []);
  for (const from of ["blob", "url"]) {
    const faults = said[from].faults.map(({ at, why }) => [names[at], why.code]);
    assert.deepEqual(faults, unreadable.map((name) => [name, "notAnImage"]), from);
    names.filter((_, at) => said.readable[at]).forEach((name, row) => {
      for (const [what, width] of [["scores", 10], ["features", 64]]) {
        const of = (source) => said[source][what].slice(row * width, (row + 1) * width);
        assert.deepEqual(of(from), of("browser"), `${name}, from ${from}: ${what}`);
      }
    });
  }
});

test("a file that is gone is unreachable, and those that were read with it are there", async () => {
  const items = await golden("fashion-cnn");
  const folder = await mkdtemp(join(tmpdir(), "hitl-labeler-e2e-"));
  try {
    const paths = ["first.png", "gone.png", "last.png"].map((name) => join(folder, name));
    const picture = Buffer.from(await (await fetch(items[0].image)).arrayBuffer());
    await page.evaluate(() => document.body.insertAdjacentHTML("beforeend", "<input type=file id=picked multiple>"));
    // A gone file has no size any more, unless it was asked for that before.
    for (const known of [false, true]) {
      for (const path of paths) await writeFile(path, picture);
      await page.setInputFiles("#picked", paths);
      if (known) await page.evaluate(() => [...document.querySelector("#picked").files].map(({ size }) => size));
      await rm(paths[1]);
      const said = await page.evaluate(async () => {
        const worker = await start("worker");
        await load(worker, "fashion-cnn");
        const files = [...document.querySelector("#picked").files];
        const said = await predict(worker, files.map((file) => [{ from: "blob" }, file]));
        worker.stop();
        return said;
      });
      assert.deepEqual(said.faults, [{ at: 1, why: { code: "unreachable" } }], `size known: ${known}`);
      holds(said.scores, [items[0], items[0]], "the others");
    }
    await page.evaluate(() => document.querySelector("#picked").remove());
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("an item that cannot be read has its reason, and the others have their rows", async () => {
  const items = await golden("fashion-cnn");
  // The header of a PNG of 60,000 × 60,000 pixels.
  const bomb = Buffer.from("89504e470d0a1a0a0000000d494844520000ea600000ea600800000000", "hex").toString("base64");
  const { head, said, small } = await page.evaluate(
    async ([good, bomb]) => {
      const worker = await start("worker");
      await load(worker, "fashion-cnn");
      const url = (file) => ({ from: "url", url: new URL(file, document.baseURI).href });
      const said = await predict(worker, [
        [{ from: "url", url: good }],
        [url("no-such-picture.png")],
        [{ from: "url", url: "http://localhost:9/unreachable.png" }],
        [url("package.json")],
        [{ from: "url", url: `data:image/png;base64,${bomb}` }],
        [{ from: "numbers" }, new Float32Array(3)],
        [{ from: "pixels" }, null],
        [{ from: "url", url: good }],
      ]);
      await load(worker, "fashion-cnn", {}, 700);
      const small = await predict(worker, [[{ from: "url", url: good }]]);
      worker.stop();
      return { head: worker.ready.head, said, small };
    },
    [items[0].image, bomb],
  );
  assert.equal(head.type, "ready");
  assert.deepEqual([said.ticket, said.count], [7, 8]);
  assert.deepEqual(said.faults, [
    { at: 1, why: { code: "notFound", status: 404 } },
    { at: 2, why: { code: "unreachable" } },
    { at: 3, why: { code: "notAnImage" } },
    { at: 4, why: { code: "tooManyPixels", width: 60_000, height: 60_000, limit: LIMIT } },
    { at: 5, why: { code: "wrongKind", expected: "pictures" } },
    { at: 6, why: { code: "unpredictable", message: "the message holds no Pixels" } },
  ]);
  holds(said.scores, [items[0], items[0]], "the good ones");
  assert.deepEqual(small.faults, [{ at: 0, why: { code: "tooManyPixels", width: 28, height: 28, limit: 700 } }]);
});

test("a model that cannot be used is refused with its reasons, and the worker lives on", async () => {
  const replies = await page.evaluate(async () => {
    const worker = await start("worker");
    const replies = [
      await load(worker, "fashion-cnn", { sha256: "00".repeat(32) }),
      await load(worker, "fashion-cnn", { labels: ["one", "two"] }),
      await load(worker, "fashion-cnn", { bytes: -1, lables: [] }),
    ];
    const without = await predict(worker, [[{ from: "numbers" }, new Float32Array(3)]]);
    replies.push(without.faults[0].why, await load(worker, "fashion-cnn"));
    worker.stop();
    return replies;
  });
  const [digest, labels, manifest, without, right] = replies;
  assert.deepEqual([digest.type, digest.faults[0].code, digest.faults[0].path], ["rejected", "wrong-digest", "sha256"]);
  assert.equal(labels.faults[0].code, "wrong-label-count");
  assert.deepEqual(manifest.faults.map(({ code, path }) => [code, path]), [["manifest", "lables"], ["manifest", "bytes"]]);
  assert.deepEqual(without, { code: "unpredictable", message: "no model is loaded" });
  assert.equal(right.type, "loaded");
});

test("a message or a glue that cannot be read is fatal, in words", async () => {
  const said = await page.evaluate(async () => {
    const worker = await start("worker");
    worker.say({ type: "dance" });
    const dance = (await worker.hear()).head;
    worker.stop();
    const lost = new Worker(new URL("worker-loader.js", document.baseURI), { type: "module" });
    const heard = new Promise((resolve) => (lost.onmessage = ({ data }) => resolve(data.head)));
    lost.postMessage({ module: null, glue: new URL("no-such-glue.js", document.baseURI).href });
    return [dance, await heard];
  });
  assert.match(said[0].message, /cannot read a message of the page.*dance/s);
  assert.match(said[1].message, /the worker did not start/);
  assert.deepEqual(said.map(({ type }) => type), ["fatal", "fatal"]);
});
