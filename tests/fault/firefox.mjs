// Firefox ESR with a profile of its own on the disk, driven by WebDriver BiDi: playwright-core cannot drive Debian's.
import { spawn } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";

// No page of Firefox's own, no talk to its makers, no question after a crash, no slowed-down windows.
const PREFERENCES = {
  "app.normandy.enabled": false,
  "app.update.disabledForTesting": true,
  "browser.aboutwelcome.enabled": false,
  "browser.safebrowsing.downloads.enabled": false,
  "browser.safebrowsing.malware.enabled": false,
  "browser.sessionstore.resume_from_crash": false,
  "browser.startup.page": 0,
  "browser.tabs.remote.autostart": true,
  "datareporting.policy.dataSubmissionEnabled": false,
  "dom.ipc.processPrelaunch.enabled": false,
  "dom.min_background_timeout_value": 4,
  "dom.timeout.enable_budget_timer_max_throttling": false,
  "network.captive-portal-service.enabled": false,
  "network.connectivity-service.enabled": false,
  "services.settings.server": "data:,#remote-settings-dummy/v1",
  "toolkit.startup.max_resumed_crashes": -1,
  "toolkit.telemetry.enabled": false,
};
const KEYS = { Backspace: "\ue003" };

/** Starts Firefox on `profile`; `FIREFOX` names another binary than Debian's ESR. */
export async function start(profile) {
  const { WebSocket } = await import("ws");
  const lines = Object.entries(PREFERENCES).map(([name, value]) => `user_pref(${JSON.stringify(name)}, ${JSON.stringify(value)});`);
  await writeFile(join(profile, "user.js"), `${lines.join("\n")}\n`);
  const program = process.env.FIREFOX ?? "/usr/bin/firefox-esr";
  const child = spawn(program, ["--headless", "--no-remote", "--profile", profile, "--remote-debugging-port", "0"], {
    detached: true,
    stdio: ["ignore", "ignore", "pipe"],
    env: { ...process.env, MOZ_CRASHREPORTER_DISABLE: "1" },
  });
  const over = new Promise((resolve) => child.once("exit", resolve));
  const address = await new Promise((resolve, reject) => {
    let said = "";
    child.stderr.on("data", (bytes) => {
      said = (said + bytes).slice(-4000);
      const found = said.match(/WebDriver BiDi listening on (ws:\S+)/);
      if (found) resolve(found[1]);
    });
    child.once("exit", (code) => reject(new Error(`Firefox ended (${code}) before it could be driven: ${said}`)));
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
    const bidi = await connect(new WebSocket(`${address}/session`));
    const { capabilities } = await bidi("session.new", { capabilities: {} });
    const { contexts } = await bidi("browsingContext.getTree", { maxDepth: 0 });
    let spare = contexts[0]?.context;
    return {
      version: `Firefox ${capabilities.browserVersion}`,
      async tab(url) {
        // Windows, not tabs: Firefox lets a tab behind another one sleep.
        const context = spare ?? (await bidi("browsingContext.create", { type: "window" })).context;
        spare = null;
        await bidi("browsingContext.navigate", { context, url, wait: "none" });
        return {
          press(key) {
            const value = KEYS[key] ?? key;
            const actions = [{ type: "keyDown", value }, { type: "keyUp", value }];
            return bidi("input.performActions", { context, actions: [{ type: "key", id: "keyboard", actions }] });
          },
          async run(deed, argument) {
            const functionDeclaration = `async (argument) => JSON.stringify(await (${deed})(JSON.parse(argument)) ?? null)`;
            const args = [{ type: "string", value: JSON.stringify(argument ?? null) }];
            const said = await bidi("script.callFunction", { functionDeclaration, arguments: args, target: { context }, awaitPromise: true });
            if (said.type === "exception") throw new Error(said.exceptionDetails.text);
            return JSON.parse(said.result.value);
          },
          close: () => bidi("browsingContext.close", { context }),
        };
      },
      kill,
    };
  } catch (why) {
    await kill();
    throw why;
  }
}

/** A function that sends a BiDi command and gives its result; rejects everything once the browser is gone. */
async function connect(socket) {
  const asked = new Map();
  let number = 0;
  let gone = null;
  await new Promise((resolve, reject) => {
    socket.once("open", resolve);
    socket.once("error", reject);
  });
  const end = () => {
    gone = new Error("Firefox is gone");
    for (const { reject } of asked.values()) reject(gone);
    asked.clear();
  };
  socket.on("close", end);
  socket.on("error", end);
  socket.on("message", (data) => {
    const { id, type, result, error, message } = JSON.parse(data);
    const call = asked.get(id);
    if (!call) return;
    asked.delete(id);
    if (type === "error") call.reject(new Error(`${error}: ${message}`));
    else call.resolve(result);
  });
  return (method, params) =>
    new Promise((resolve, reject) => {
      if (gone) return reject(gone);
      number += 1;
      asked.set(number, { resolve, reject });
      socket.send(JSON.stringify({ id: number, method, params }));
    });
}
