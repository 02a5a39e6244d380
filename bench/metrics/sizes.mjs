// Bytes on the wire: brotli at quality 11 (Node's zlib) of every file that a visitor downloads.
import { readFile, readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { brotliSize } from '../../tools/brotli.mjs';
import { failed, figure, say } from '../report.mjs';

async function total(files) {
  let bytes = 0;
  for (const file of files) bytes += await brotliSize(await readFile(file));
  return bytes;
}

async function filesOf(folder, matches) {
  const found = [];
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath ?? entry.path, entry.name);
    if (entry.isFile() && matches(path)) found.push(path);
  }
  return found;
}

const isWorker = (name) => name.startsWith('worker');

/** Page Wasm, worker Wasm and JavaScript of `dist`, the engine beside onnxruntime-web's files. */
export async function sizes({ dist, ortFolder, ort }) {
  say('sizes (brotli -q 11; takes a minute) …');
  try {
    const wasm = await filesOf(dist, (path) => path.endsWith('.wasm'));
    const script = await filesOf(dist, (path) => path.endsWith('.js') || path.endsWith('.mjs'));
    const workers = wasm.filter((path) => isWorker(basename(path)));
    const pages = wasm.filter((path) => !isWorker(basename(path)));
    if (workers.length === 0 || pages.length === 0) throw new Error(`${dist} holds no worker or no page Wasm`);
    const peerWasm = await total([join(ortFolder, 'ort-wasm-simd-threaded.wasm')]);
    const peerScript = await total(['ort.wasm.min.mjs', 'ort-wasm-simd-threaded.mjs'].map((name) => join(ortFolder, name)));

    figure({
      metric: 'size/page_wasm', value: await total(pages), unit: 'bytes',
      target: { of: 'value', at_most: 200_000 }, more: { files: pages.map((path) => basename(path)) },
    });
    // A browser loads one of the worker's binaries, so each one has to keep the limit.
    for (const path of workers) {
      const size = await total([path]);
      figure({
        metric: `size/worker_wasm/${basename(path)}`, value: size, unit: 'bytes', peer: ort, peer_value: peerWasm,
        ratio: peerWasm / size, target: { of: 'value', at_most: 1_500_000 },
      });
    }
    const scripts = await total(script);
    figure({
      metric: 'size/javascript', value: scripts, unit: 'bytes', peer: ort, peer_value: peerScript,
      ratio: peerScript / scripts, more: { files: script.map((path) => basename(path)) },
    });
  } catch (error) {
    failed({ metric: 'size', unit: 'bytes', peer: ort, reason: error });
  }
}
