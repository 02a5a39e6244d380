// RabbitMQ's management API (Debian). A queue keeps what it was sent twice; consumers know it by message_id.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmod, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { folder, freePort, prove, run, told } from "./driver.mjs";

const HEADERS = { authorization: `Basic ${btoa("guest:guest")}`, "content-type": "application/json" };

const proof = prove("rabbitmq", async () => {
  const place = await folder();
  const [amqp, management, distribution, epmd] = [await freePort(), await freePort(), await freePort(), await freePort()];
  const url = `http://127.0.0.1:${management}`;
  await writeFile(join(place, "plugins"), "[rabbitmq_management].");
  await writeFile(join(place, "rabbitmq.conf"), [
    `listeners.tcp.default = 127.0.0.1:${amqp}`,
    `management.tcp.port = ${management}`,
    "management.tcp.ip = 127.0.0.1",
    "management.cors.allow_origins.1 = *",
  ].join("\n"));
  const env = {
    HOME: place,
    RABBITMQ_CONFIG_FILE: join(place, "rabbitmq.conf"),
    RABBITMQ_ENABLED_PLUGINS_FILE: join(place, "plugins"),
    RABBITMQ_MNESIA_BASE: join(place, "mnesia"),
    RABBITMQ_LOG_BASE: join(place, "log"),
    RABBITMQ_PID_FILE: join(place, "pid"),
    RABBITMQ_NODENAME: `hitl${process.pid}@localhost`,
    RABBITMQ_DIST_PORT: String(distribution),
    // A port mapper of its own, which ends with the server.
    ERL_EPMD_PORT: String(epmd),
    ERL_EPMD_ADDRESS: "127.0.0.1",
  };
  const program = "/usr/lib/rabbitmq/bin/rabbitmq-server";
  // Root hands over to the package's user: Erlang's cookie has to belong to who runs it.
  const root = process.getuid() === 0;
  if (root) {
    await chmod(place, 0o755);
    execFileSync("chown", ["-R", "rabbitmq:rabbitmq", place]);
  }
  const args = ["--reuid=rabbitmq", "--regid=rabbitmq", "--clear-groups", program];
  await run(root ? "setpriv" : program, root ? args : [], { url, env, cwd: place });
  const call = async (path, method = "GET", body) => {
    const answer = await fetch(`${url}/api${path}`, { method, headers: HEADERS, body: body && JSON.stringify(body) });
    return answer.status === 204 || answer.status === 201 ? null : answer.json();
  };
  await call("/queues/%2F/labels", "PUT", { durable: true });
  return {
    url,
    call,
    params: (url) => ({ url }),
    token: "guest:guest",
    wrong: "guest:wrong",
    has: async () => {
      const messages = await call("/queues/%2F/labels/get", "POST", { count: 1000, ackmode: "ack_requeue_true", encoding: "auto" });
      return messages.map(({ payload, properties }) => {
        assert.deepEqual([properties.message_id, properties.delivery_mode], [JSON.parse(payload).id, 2]);
        return told(JSON.parse(payload));
      });
    },
    again: [200, /"routed":true/],
    copies: 2,
  };
});

test("rabbitmq: a message that no queue took is not taken for delivered, and goes once there is a queue", async () => {
  const { labeler, close } = await proof.open(undefined, { params: { routing_key: "later" } });
  const from = proof.proxy.posts.length;
  await labeler.answer("1");
  await proof.until(() => proof.proxy.posts.length >= from + 2, "tried twice");
  assert.match(proof.proxy.posts.at(-1).answer, /"routed":false/);
  const { delivered, undelivered } = await labeler.progress();
  assert.deepEqual([delivered, undelivered], [0, 1]);
  await proof.backend.call("/queues/%2F/later", "PUT", { durable: true });
  await labeler.waitForDelivered(1);
  const [message] = await proof.backend.call("/queues/%2F/later/get", "POST", { count: 10, ackmode: "ack_requeue_true", encoding: "auto" });
  assert.deepEqual(told(JSON.parse(message.payload)), (await labeler.records()).map(told)[0]);
  await close();
});
