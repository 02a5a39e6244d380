// Passing a request on: what servers between a page and its backend do.
import { request as ask } from "node:http";

/**
 * Sends `request` with this body (text or bytes) to the server at `upstream`, on a connection of its own.
 * @returns {Promise<{status: number, headers: object, body: Buffer}>} its answer; rejects if there is none or it breaks off.
 */
export function forward(upstream, request, body) {
  return new Promise((resolve, reject) => {
    // Uncompressed: who passes it on reads it, too.
    const { "transfer-encoding": _, "accept-encoding": __, ...given } = request.headers;
    const headers = { ...given, host: new URL(upstream).host, connection: "close", "content-length": String(Buffer.byteLength(body)) };
    const sent = ask(new URL(request.url, upstream), { method: request.method, headers, agent: false }, async (got) => {
      try {
        const chunks = [];
        for await (const chunk of got) chunks.push(chunk);
        const { "transfer-encoding": _, ...headers } = got.headers;
        resolve({ status: got.statusCode, headers, body: Buffer.concat(chunks) });
      } catch (why) {
        reject(why);
      }
    });
    sent.on("error", reject);
    sent.end(body);
  });
}
