// CloudEvents: a receiver that takes what the project's own SDK (npm cloudevents) reads and finds valid.
import { CloudEvent, HTTP } from "cloudevents";
import { stand } from "../e2e/stand.mjs";
import { afterwards, prove, told } from "./driver.mjs";

for (const preset of ["cloudevents", "cloudevents-batch"]) {
  prove(preset, async () => {
    const kept = new Map();
    const server = await stand();
    afterwards(server.close);
    server.route("/", (request, response, body) => {
      try {
        const events = [HTTP.toEvent({ headers: request.headers, body })].flat().map((event) => new CloudEvent(event));
        if (!events.every((event) => event.validate())) throw new Error("an event is not valid");
        if (events.some(({ data }) => data.answer?.label === "zebra")) throw new Error("no zebras here");
        for (const event of events) kept.set(`${event.source} ${event.id}`, event);
        response.writeHead(202).end();
      } catch (problem) {
        response.writeHead(400, { "content-type": "application/json" }).end(JSON.stringify({ error: problem.message }));
      }
    });
    return {
      url: server.url,
      cors: true,
      params: (url) => ({ url }),
      has: async () => [...kept.values()].map(({ data }) => told(data)),
      again: [202, /^$/],
      odd: { words: "no zebras here" },
    };
  });
}
