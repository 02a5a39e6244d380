// json-server 0.17 (npm). It doubles nothing as long as records have an id of their own: a known one is a 500.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { folder, freePort, npm, prove, run, told } from "./driver.mjs";

prove("json-server", async () => {
  const [place, port] = [await folder(), await freePort()];
  await writeFile(join(place, "db.json"), '{"records":[]}');
  const url = `http://127.0.0.1:${port}`;
  await run(npm("json-server"), ["--host", "127.0.0.1", "--port", String(port), join(place, "db.json")], { url });
  return {
    url,
    params: (url) => ({ url: `${url}/records` }),
    has: async () => (await (await fetch(`${url}/records`)).json()).map(told),
    again: [500, /duplicate id/],
  };
});
