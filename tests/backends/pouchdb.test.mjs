// PouchDB Server (npm), which speaks CouchDB's HTTP.
import assert from "node:assert/strict";
import { folder, freePort, npm, prove, run, told } from "./driver.mjs";

const ADMIN = "ada:secret";
const AUTHORIZATION = { authorization: `Basic ${btoa(ADMIN)}`, "content-type": "application/json" };

prove("couchdb", async () => {
  const [place, port] = [await folder(), await freePort()];
  const url = `http://127.0.0.1:${port}`;
  await run(npm("pouchdb-server"), ["--in-memory", "--host", "127.0.0.1", "--port", String(port)], { url, cwd: place });
  const call = async (path, method = "GET", body) => {
    const answer = await fetch(`${url}${path}`, { method, headers: AUTHORIZATION, body: body && JSON.stringify(body) });
    return answer.json();
  };
  // Everybody is an admin until there is one.
  await fetch(`${url}/_config/admins/ada`, { method: "PUT", body: '"secret"', headers: { "content-type": "application/json" } });
  assert.deepEqual(await call("/labels", "PUT"), { ok: true });
  // Only who is logged in may write, and nobody a zebra.
  const validate = `function (doc, old, user) {
    if (!user.name) throw { unauthorized: "log in first" };
    if (doc.record && doc.record.answer && doc.record.answer.label === "zebra") throw { forbidden: "no zebras here" };
  }`;
  await call("/labels/_design/check", "PUT", { validate_doc_update: validate });
  return {
    url,
    params: (url) => ({ url: `${url}/labels` }),
    token: ADMIN,
    wrong: "ada:wrong",
    has: async () => {
      const { rows } = await call("/labels/_all_docs?include_docs=true");
      return rows.filter(({ id }) => !id.startsWith("_")).map(({ doc }) => told(doc.record));
    },
    again: [201, /"conflict"/],
    odd: { words: "no zebras here" },
  };
});
