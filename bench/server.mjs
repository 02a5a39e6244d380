// Two static servers on localhost over the same folders: one sends no special header (the way the
// component is meant to be served), one makes its pages cross-origin isolated (the way that
// onnxruntime-web needs for its threads).
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, normalize, join } from 'node:path';

const TYPES = {
  '.css': 'text/css', '.csv': 'text/csv', '.gif': 'image/gif', '.html': 'text/html; charset=utf-8',
  '.jpg': 'image/jpeg', '.js': 'text/javascript', '.json': 'application/json',
  '.jsonl': 'application/jsonl', '.mjs': 'text/javascript', '.onnx': 'application/octet-stream',
  '.png': 'image/png', '.svg': 'image/svg+xml', '.wasm': 'application/wasm',
};

/**
 * Serves `mounts` (`[prefix, folder]`, first match wins) and `made` (path -> {type, body}).
 * With `isolated`, every answer carries COOP and COEP. Answers the origin and a `close` function.
 */
export async function serve({ mounts, made = new Map(), isolated = false }) {
  const server = createServer(async (request, response) => {
    const path = decodeURIComponent(new URL(request.url, 'http://localhost').pathname);
    const headers = { 'cache-control': 'no-store' };
    if (isolated) {
      headers['cross-origin-opener-policy'] = 'same-origin';
      headers['cross-origin-embedder-policy'] = 'require-corp';
      headers['cross-origin-resource-policy'] = 'same-origin';
    }
    if (request.method === 'POST') {
      // Deliveries of the page under test: read and accepted, one answer for each record.
      await acceptRecords(request, response, headers);
      return;
    }
    const ready = made.get(path);
    if (ready) {
      const body = typeof ready.body === 'function' ? ready.body() : ready.body;
      response.writeHead(200, { ...headers, 'content-type': ready.type, 'content-length': Buffer.byteLength(body) });
      response.end(body);
      return;
    }
    const mount = mounts.find(([prefix]) => path.startsWith(prefix));
    const inside = mount && normalize(`/${path.slice(mount[0].length)}`);
    let file = mount && join(mount[1], inside);
    try {
      if (!file) throw new Error('no such mount');
      if ((await stat(file)).isDirectory()) file = join(file, 'index.html');
      const { size } = await stat(file);
      response.writeHead(200, {
        ...headers,
        'content-type': TYPES[extname(file)] ?? 'application/octet-stream',
        'content-length': size,
      });
      createReadStream(file).pipe(response);
    } catch {
      response.writeHead(404, headers);
      response.end(`not found: ${path}`);
    }
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    origin: `http://127.0.0.1:${server.address().port}`,
    close: () => new Promise((resolve) => { server.close(resolve); server.closeAllConnections(); }),
  };
}

async function acceptRecords(request, response, headers) {
  const parts = [];
  for await (const part of request) parts.push(part);
  const text = Buffer.concat(parts).toString('utf8');
  let records;
  try {
    const body = JSON.parse(text);
    records = Array.isArray(body) ? body : [body];
  } catch {
    records = text.split('\n').filter(Boolean).map((line) => JSON.parse(line));
  }
  response.writeHead(200, { ...headers, 'content-type': 'application/json' });
  response.end(JSON.stringify({ results: records.map((record) => ({ id: record.id, status: 'stored' })) }));
}
