// Datasette 1.0 alpha (PyPI) with its write API.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { folder, freePort, prove, python, run } from "./driver.mjs";

const SECRET = "of this test only";
const TABLE = `create table labels (id text primary key, item_id text, kind text, label text check (label <> 'zebra'),
  annotator text, answered_at text, record text)`;

prove("datasette", async () => {
  const [place, port] = [await folder(), await freePort()];
  const url = `http://127.0.0.1:${port}`;
  const database = join(place, "labels.db");
  execFileSync("python3", ["-c", "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute(sys.argv[2])", database, TABLE]);
  const datasette = python("datasette", "datasette-moto");
  // --root lets the user of that name write.
  await run(datasette, [database, "--port", String(port), "--cors", "--root"], { url, env: { DATASETTE_SECRET: SECRET } });
  const token = execFileSync(datasette, ["create-token", "root", "--secret", SECRET]).toString().trim();
  return {
    url,
    params: (url) => ({ url: `${url}/labels` }),
    token,
    wrong: "dstok_wrong",
    has: async () => {
      const { rows } = await (await fetch(`${url}/labels/labels.json?_shape=objects&_size=1000`, { headers: { authorization: `Bearer ${token}` } })).json();
      for (const row of rows) assert.equal(JSON.parse(row.record).id, row.id);
      return rows.map(({ id, item_id, label }) => ({ id, item: item_id, label }));
    },
    again: [200, /"ok": ?true/],
    odd: { words: "CHECK constraint failed" },
  };
});
