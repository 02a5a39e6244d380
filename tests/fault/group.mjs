// Programs as process groups of their own: a browser or a server ends with all that it has started, at the latest with this
// process.
import { spawn } from "node:child_process";

/** A browser that has not said its address by then does not come up; on a machine that is busy with much else it happens. */
const START_MS = 60_000;

// Whoever stops this process stops its groups, too: it is by leaving orderly that it hears of its end.
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(1));

/**
 * Starts `program` as a group; `options` as `spawn` has them.
 * @returns `{ child, over, signal, kill }`: `over` is settled once it has ended or could not be started, `signal(name)` goes to
 *   all of its processes, `kill()` is SIGKILL and waits for the end: none has a last word.
 */
export function start(program, args, options = {}) {
  const child = spawn(program, args, { ...options, detached: true });
  const over = new Promise((resolve) => child.once("exit", resolve).once("error", resolve));
  const signal = (name) => {
    try {
      process.kill(-child.pid, name);
    } catch {
      // Gone already.
    }
  };
  const end = () => signal("SIGKILL");
  process.once("exit", end);
  const kill = async () => {
    end();
    process.removeListener("exit", end);
    await over;
  };
  return { child, over, signal, kill };
}

/**
 * Starts `program` and waits until it says what `sign` matches on stderr.
 * @returns {Promise<{address: string, kill: () => Promise<void>}>} `address`: the first group of `sign`; `kill` as above.
 */
export async function group(program, args, sign, env = {}) {
  const { child, kill } = start(program, args, { stdio: ["ignore", "ignore", "pipe"], env: { ...process.env, ...env } });
  let timer;
  try {
    const address = await new Promise((resolve, reject) => {
      let said = "";
      child.stderr.on("data", (bytes) => {
        said = (said + bytes).slice(-4000);
        const found = said.match(sign);
        if (found) resolve(found[1]);
      });
      child.once("exit", (code) => reject(new Error(`${program} ended (${code}) before it could be driven: ${said}`)));
      timer = setTimeout(() => reject(new Error(`${program} did not come up in ${START_MS} ms: ${said}`)), START_MS);
      child.once("error", reject);
    });
    return { address, kill };
  } catch (why) {
    await kill();
    throw why;
  } finally {
    clearTimeout(timer);
  }
}
