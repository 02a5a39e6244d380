// CloudEvents: a receiver that takes what the project's own SDK (npm cloudevents) reads and finds valid.
import { createServer } from "node:http";
import { CloudEvent, HTTP } from "cloudevents";
import { prove, told } from "./driver.mjs";

for (const preset of ["cloudevents", "cloudevents-batch"]) {
  prove(preset, async () => {
    const kept = new Map();
    const server = createServer(async (request, response) => {
      const chunks = [];
      for await (const chunk of request) chunks.push(chunk);
      try {
        const read = [HTTP.toEvent({ headers: request.headers, body: Buffer.concat(chunks).toString() })].flat();
        const events = read.map((event) => new CloudEvent(event));
        if (!events.every((event) => event.validate())) throw new Error("an event is not valid");
        if (events.some(({ data }) => data.answer?.label === "zebra")) throw new Error("no zebras here");
        for (const event of events) kept.set(`${event.source} ${event.id}`, event);
        response.writeHead(202).end();
      } catch (problem) {
        response.writeHead(400, { "content-type": "application/json" }).end(JSON.stringify({ error: problem.message }));
      }
    });
    await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
    return {
      url: `http://127.0.0.1:${server.address().port}`,
      cors: true,
      params: (url) => ({ url }),
      has: async () => [...kept.values()].map(({ data }) => told(data)),
      again: [202, /^$/],
      odd: { words: "no zebras here" },
      close: () => new Promise((resolve) => server.close(resolve)),
    };
  });
}
