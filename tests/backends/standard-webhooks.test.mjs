// Standard Webhooks: a receiver that takes what the standard's own library (npm standardwebhooks) verifies.
import { Webhook, WebhookVerificationError } from "standardwebhooks";
import { stand } from "../e2e/stand.mjs";
import { afterwards, prove, told } from "./driver.mjs";

const secret = (text) => `whsec_${Buffer.from(text).toString("base64")}`;

prove("standard-webhooks", async () => {
  const token = secret("twenty-four bytes or more");
  const hook = new Webhook(token);
  const kept = new Map();
  const server = await stand();
  afterwards(server.close);
  server.route("/", (request, response, body) => {
    try {
      const { data } = hook.verify(body, request.headers);
      if (data.answer?.label === "zebra") return response.writeHead(422, { "content-type": "application/json" }).end('{"error":"no zebras here"}');
      // What the standard asks of receivers: an id is worked on once.
      kept.set(request.headers["webhook-id"], data);
      response.writeHead(204).end();
    } catch (problem) {
      response.writeHead(problem instanceof WebhookVerificationError ? 401 : 400, { "content-type": "text/plain" }).end(problem.message);
    }
  });
  return {
    url: server.url,
    cors: true,
    params: (url) => ({ url }),
    token,
    wrong: secret("another secret altogether"),
    has: async () => [...kept.values()].map(told),
    again: [204, /^$/],
    odd: { words: "no zebras here" },
  };
});
