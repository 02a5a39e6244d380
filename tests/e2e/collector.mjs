// The collector as it is, with a folder of its own; COLLECTOR names another binary.
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { start } from "../fault/group.mjs";
import { dist } from "./browser.mjs";

function binary() {
  const cache = process.env.HITL_CACHE ?? join(homedir(), ".cache/hitl-labeler");
  const folders = [join(cache, "native"), process.env.CARGO_TARGET_DIR, fileURLToPath(new URL("../../target", import.meta.url))];
  const profiles = ["release", "collector-release", "quick", "debug"];
  const places = folders.filter(Boolean).flatMap((folder) => profiles.map((profile) => join(folder, profile, "collector")));
  const found = [process.env.COLLECTOR, ...places].find((place) => place && existsSync(place));
  if (!found) throw new Error("no collector is built: cargo build --features collector --bin collector");
  return found;
}

/** Starts it on a free port, serving dist/ and taking records from pages of these origins, too. */
export async function collect({ origins = [] } = {}) {
  const data = await mkdtemp(join(tmpdir(), "hitl-e2e-"));
  const { child, over, signal, kill } = start(binary(), ["--data", data, "--dir", dist, "--port", "0", ...origins.flatMap((origin) => ["--allow-origin", origin])], { stdio: ["ignore", "pipe", "inherit"] });
  const url = await new Promise((resolve, reject) => {
    let said = "";
    child.stdout.on("data", (bytes) => {
      said += bytes;
      const address = said.match(/http:\/\/\S+/);
      if (address) resolve(address[0]);
    });
    child.once("exit", (code) => reject(new Error(`the collector ended (${code}) before it said its address: ${said}`)));
    child.once("error", reject);
  });
  return {
    url,
    /** The records as they lie in SQLite, in the order of arrival. */
    inSqlite() {
      const script =
        "import json, sqlite3, sys\n" +
        "print(json.dumps([json.loads(r[0]) for r in sqlite3.connect(sys.argv[1]).execute('select record from records order by seq')]))";
      const rows = execFileSync("python3", ["-c", script, join(data, "records.sqlite")], { maxBuffer: 1 << 26 });
      return JSON.parse(rows);
    },
    async export(query = "format=jsonl&what=all") {
      return (await fetch(new URL(`export?${query}`, url))).text();
    },
    async close() {
      signal("SIGTERM");
      await over;
      await kill();
      await rm(data, { recursive: true, force: true });
    },
  };
}
