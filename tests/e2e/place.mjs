// Where a test takes place: Chromium for the file, a context and a stand for each test. Live bindings: they are the
// test's own while it runs.
import { after, afterEach, before, beforeEach } from "node:test";
import { launch } from "./browser.mjs";
import { stand } from "./stand.mjs";

export let browser, context, server;
before(async () => (browser = await launch()));
after(() => browser?.close());
beforeEach(async () => {
  [context, server] = await Promise.all([browser.newContext(), stand()]);
});
afterEach(async () => {
  await context.close();
  await server.close();
});
