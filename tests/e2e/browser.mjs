// What every end-to-end test needs: dist/ behind a plain file server, and Chromium to look at it.
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

export { chromium };

/** The build under test; DIST names another folder than the project's own. */
export const dist = process.env.DIST ? join(process.env.DIST, "/") : fileURLToPath(new URL("../../dist/", import.meta.url));

const types = {
  ".css": "text/css",
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".json": "application/json",
  ".png": "image/png",
  ".wasm": "application/wasm",
};

/**
 * Serves `root` under `base` ("/" or "/some/path/") and nothing else, with no header but the type.
 * @returns {Promise<{url: string, asked: string[], close: () => Promise<void>}>} `asked`: every path that was requested.
 */
export async function serve({ root = dist, base = "/" } = {}) {
  const asked = [];
  const server = createServer(async (request, response) => {
    const path = decodeURIComponent(new URL(request.url, "http://localhost").pathname);
    asked.push(path);
    let file = path.startsWith(base) ? normalize(join(root, path.slice(base.length))) : null;
    if (file?.endsWith("/")) file += "index.html";
    const found = file?.startsWith(normalize(root)) && (await stat(file).catch(() => null));
    if (!found?.isFile()) {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, { "content-type": types[extname(file)] ?? "application/octet-stream" });
    createReadStream(file).pipe(response);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://localhost:${server.address().port}${base}`,
    asked,
    close: () =>
      new Promise((resolve) => {
        server.close(resolve);
        server.closeAllConnections();
      }),
  };
}

/**
 * Headless Chromium with a fresh profile; CHROMIUM names another binary than Debian's. One that does not come up (it has
 * crashed at its start) is no matter of the tests: it is started again, thrice at most.
 */
export async function launch(attempts = 3) {
  try {
    return await chromium.launch(OPTIONS);
  } catch (why) {
    console.error(`Chromium did not start: ${String(why.message).slice(0, 2_000)}`);
    if (attempts === 1) throw why;
    return launch(attempts - 1);
  }
}

const OPTIONS = {
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    // The address bar's own pages, one process a window: a third of all the work, for nothing that is tested here.
    "--disable-features=WebUIOmniboxPopup,WebUIOmniboxAimPopup",
  ],
};
