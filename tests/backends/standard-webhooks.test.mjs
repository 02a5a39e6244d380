// Standard Webhooks: a receiver that takes what the standard's own library (npm standardwebhooks) verifies.
import { createServer } from "node:http";
import { Webhook, WebhookVerificationError } from "standardwebhooks";
import { prove, told } from "./driver.mjs";

const secret = (text) => `whsec_${Buffer.from(text).toString("base64")}`;

prove("standard-webhooks", async () => {
  const token = secret("twenty-four bytes or more");
  const hook = new Webhook(token);
  const kept = new Map();
  const server = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    try {
      const { data } = hook.verify(Buffer.concat(chunks).toString(), request.headers);
      if (data.answer?.label === "zebra") return response.writeHead(422, { "content-type": "application/json" }).end('{"error":"no zebras here"}');
      // What the standard asks of receivers: an id is worked on once.
      kept.set(request.headers["webhook-id"], data);
      response.writeHead(204).end();
    } catch (problem) {
      response.writeHead(problem instanceof WebhookVerificationError ? 401 : 400, { "content-type": "text/plain" }).end(problem.message);
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    cors: true,
    params: (url) => ({ url }),
    token,
    wrong: secret("another secret altogether"),
    has: async () => [...kept.values()].map(told),
    again: [204, /^$/],
    odd: { words: "no zebras here" },
    close: () => new Promise((resolve) => server.close(resolve)),
  };
});
