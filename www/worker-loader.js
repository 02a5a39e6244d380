// Starts a worker: `new Worker(new URL("./worker-loader.js", import.meta.url), {type: "module"})`, then post
//   {module: WebAssembly.Module, glue: string}
// once. `module` was compiled by the page, for all workers together; `glue` is the address of the JavaScript
// that belongs to it (worker.js or worker_relaxed.js). From its first message on, {head: {type: "ready", …}},
// the worker speaks as src/wire/worker.rs says; before that it hears nothing.
addEventListener(
  "message",
  async ({ data: { module, glue } }) => {
    try {
      const { initSync } = await import(/* webpackIgnore: true */ /* @vite-ignore */ glue);
      initSync({ module });
    } catch (why) {
      postMessage({ head: { type: "fatal", message: `the worker did not start: ${why}` }, parts: [] });
    }
  },
  { once: true },
);
