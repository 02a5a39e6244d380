// A browser as a process group of its own: driven by the address that it says, killed as a whole.
import { spawn } from "node:child_process";

/** A browser that has not said its address by then does not come up; on a machine that is busy with much else it happens. */
const START_MS = 60_000;

/**
 * Starts `program` and waits until it says what `sign` matches on stderr.
 * @returns {Promise<{address: string, kill: () => Promise<void>}>} `address`: the first group of `sign`; `kill` is SIGKILL for
 *   all of its processes: none has a last word. They also end with this process.
 */
export async function group(program, args, sign, env = {}) {
  const child = spawn(program, args, { detached: true, stdio: ["ignore", "ignore", "pipe"], env: { ...process.env, ...env } });
  const over = new Promise((resolve) => child.once("exit", resolve));
  const end = () => {
    try {
      process.kill(-child.pid, "SIGKILL");
    } catch {
      // Gone already.
    }
  };
  process.once("exit", end);
  const kill = async () => {
    end();
    process.removeListener("exit", end);
    await over;
  };
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
    if (child.pid) await kill();
    throw why;
  } finally {
    clearTimeout(timer);
  }
}
