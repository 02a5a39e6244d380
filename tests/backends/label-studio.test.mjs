// Label Studio (PyPI) with SQLite: a project, a task for each item, a personal access token.
import assert from "node:assert/strict";
import { folder, freePort, prove, python, run } from "./driver.mjs";

const CONFIG = `<View><Text name="photo" value="$text"/><Choices name="animal" toName="photo">
  <Choice value="cat"/><Choice value="dog"/></Choices></View>`;
const EMAIL = "ada@example.org";
const PASSWORD = "secret-pass-1";

/** The personal access token of the person, made in a session of theirs. */
async function personalToken(url) {
  const jar = new Map();
  const call = async (path, { headers = {}, ...options } = {}) => {
    const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join("; ");
    const answer = await fetch(url + path, { redirect: "manual", headers: { cookie, referer: url, ...headers }, ...options });
    for (const given of answer.headers.getSetCookie()) {
      const [, name, value] = given.match(/^([^=]+)=([^;]*)/);
      jar.set(name, value);
    }
    return answer;
  };
  const form = await (await call("/user/login/")).text();
  const csrf = form.match(/csrfmiddlewaretoken" value="([^"]+)"/)[1];
  const login = await call("/user/login/", { method: "POST", body: new URLSearchParams({ csrfmiddlewaretoken: csrf, email: EMAIL, password: PASSWORD }) });
  assert.equal(login.status, 302);
  const made = await call("/api/token/", { method: "POST", headers: { "x-csrftoken": jar.get("csrftoken") } });
  assert.equal(made.status, 201, await made.clone().text());
  return (await made.json()).token;
}

/** An access token as docs/backends.md says: a refresh of the personal one. It lasts for minutes. */
async function accessToken(url, personal) {
  const refresh = { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ refresh: personal }) };
  const refreshed = await (await fetch(`${url}/api/token/refresh/`, refresh)).json();
  assert.ok(refreshed.access, `an access token: ${JSON.stringify(refreshed)}`);
  return refreshed.access;
}

prove("label-studio", async () => {
  const [place, port] = [await folder(), await freePort()];
  const url = `http://127.0.0.1:${port}`;
  const args = ["start", "--no-browser", "--internal-host", "127.0.0.1", "--port", String(port), "--username", EMAIL, "--password", PASSWORD, "--data-dir", place];
  const env = { LABEL_STUDIO_BASE_DATA_DIR: place, LATEST_VERSION_CHECK: "false", COLLECT_ANALYTICS: "false" };
  await run(python("label-studio", "label-studio"), args, { url, env, cwd: place, patience: 400_000 });
  const personal = await personalToken(url);
  const token = await accessToken(url, personal);
  const call = async (path, body) => {
    const headers = { authorization: `Bearer ${await accessToken(url, personal)}`, "content-type": "application/json" };
    const answer = await fetch(`${url}/api${path}`, { method: body ? "POST" : "GET", headers, body: body && JSON.stringify(body) });
    assert.ok(answer.ok, `${path}: ${answer.status} ${await answer.clone().text()}`);
    return answer.json();
  };
  const project = await call("/projects/", { title: "pets", label_config: CONFIG });
  const { task_ids: tasks } = await call(`/projects/${project.id}/import?return_task_ids=1`, ["a", "b", "c", "d"].map((text) => ({ data: { text } })));
  const meta = (n) => ({ task_id: tasks[n - 1] });
  return {
    url,
    token,
    wrong: "no.such.token",
    meta,
    params: (url) => ({ url, from_name: "animal", to_name: "photo" }),
    // Its export: the annotations that the API lists are without their unique_id.
    has: async () => {
      const exported = await call(`/projects/${project.id}/export?exportType=JSON&download_all_tasks=true`);
      return exported.flatMap(({ annotations }) => annotations).map(({ unique_id, task, was_cancelled, result }) => {
        assert.equal(was_cancelled, result.length === 0);
        return { id: unique_id, item: task, label: result[0]?.value.choices[0] ?? null };
      });
    },
    own: ({ id, item_id, answer }) => ({ id, item: meta(Number(item_id.slice(-1))).task_id, label: answer?.label ?? null }),
    again: [409, /unique id already exists/],
    // The task of what is labelled "zebra" is unknown to the project; the cat of this test is its second item.
    odd: {
      delivery: { url: "{params.url}/api/tasks/{record.answer.label|map:params.tasks}/annotations/", params: { tasks: { zebra: 999_999, cat: tasks[1] } } },
      words: "No Task matches",
    },
  };
});
