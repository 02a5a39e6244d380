// Chromium with a profile of its own on the disk, as a process group that can be killed at any moment.
import { spawn } from "node:child_process";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { chromium } from "../e2e/browser.mjs";

const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--disable-dev-shm-usage",
  "--no-first-run",
  "--no-default-browser-check",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--disable-breakpad",
  "--disable-background-timer-throttling",
  "--disable-renderer-backgrounding",
  "--disable-backgrounding-occluded-windows",
  "--remote-debugging-port=0",
];

/** Starts Chromium on `profile`; `CHROMIUM` names another binary than Debian's. */
export async function start(profile, { flags = [] } = {}) {
  // What the last life left behind names a port that nobody listens to any more.
  await rm(join(profile, "DevToolsActivePort"), { force: true });
  const program = process.env.CHROMIUM ?? "/usr/bin/chromium";
  const child = spawn(program, [...FLAGS, ...flags, `--user-data-dir=${profile}`, "about:blank"], {
    detached: true,
    stdio: ["ignore", "ignore", "pipe"],
  });
  const over = new Promise((resolve) => child.once("exit", resolve));
  const address = await new Promise((resolve, reject) => {
    let said = "";
    child.stderr.on("data", (bytes) => {
      said = (said + bytes).slice(-4000);
      const found = said.match(/DevTools listening on (ws:\S+)/);
      if (found) resolve(found[1]);
    });
    child.once("exit", (code) => reject(new Error(`Chromium ended (${code}) before it could be driven: ${said}`)));
    child.once("error", reject);
  });
  const kill = async () => {
    try {
      process.kill(-child.pid, "SIGKILL");
    } catch {
      // Gone already.
    }
    await over;
  };
  try {
    const browser = await chromium.connectOverCDP(address);
    const [context] = browser.contexts();
    return {
      context,
      /** A private window: a store of its own that ends with it. */
      newContext: () => browser.newContext(),
      version: `Chromium ${browser.version()}`,
      async tab(url) {
        const page = await context.newPage();
        await page.goto(url, { waitUntil: "commit" });
        return {
          page,
          press: (key) => page.keyboard.press(key),
          run: (deed, argument) => page.evaluate(deed, argument),
          close: () => page.close(),
        };
      },
      /** SIGKILL for the whole process group: no process of the browser has a last word. */
      async kill() {
        await kill();
        // It only notices that the other end is gone.
        await Promise.race([browser.close().catch(() => {}), new Promise((resolve) => setTimeout(resolve, 5000).unref())]);
      },
    };
  } catch (why) {
    await kill();
    throw why;
  }
}
