// Empties functions of Wasm files in place: what a Worker carries but never calls, because tract registers
// it in tables that the linker has to keep. A function is chosen by the crate in its name, so this comes
// before the names are dropped. An emptied one would trap, and the page would replace the Worker; it cannot
// come to that: see the reasons below. node tools/snip-wasm.mjs FILE…
import { readFileSync, writeFileSync } from "node:fs";
import { leb128, Reader, section, SECTION, sections } from "./wasm.mjs";

const NEVER_CALLED = [
  // Operators DFT and STFT, which are no part of image or table models: src/infer/engine/screen.rs refuses them.
  { crate: "rustfft", least: 300 },
  // tract's own model format; models are read from ONNX.
  { crate: "tract_nnef", least: 100 },
  // Parameters of transformations that are asked for by name, in JSON.
  { crate: "erased_serde", least: 100 },
];

// Entries of those tables are made when the module starts, whatever they lead to.
const STARTS = /ctor|__wasm/i;

const UNREACHABLE = Uint8Array.of(3, 0, 0x00, 0x0b); // size, no locals, unreachable, end

/** How many functions are imported: they come first in the numbering. */
function importedFunctions(bytes, section) {
  if (!section) return 0;
  const reader = new Reader(bytes, section.content);
  let functions = 0;
  for (let count = reader.number(); count > 0; count--) {
    reader.text();
    reader.text();
    if (reader.skipImport() === 0) functions++;
  }
  return functions;
}

/** Names by function number, from the `name` section. */
function functionNames(bytes, all) {
  for (const { content, end } of all.filter(({ id }) => id === SECTION.custom)) {
    const reader = new Reader(bytes, content);
    if (reader.text() !== "name") continue;
    while (reader.at < end) {
      const kind = reader.byte();
      const size = reader.number();
      const next = reader.at + size;
      if (kind === 1) {
        const names = new Map();
        for (let count = reader.number(); count > 0; count--) names.set(reader.number(), reader.text());
        return names;
      }
      reader.at = next;
    }
  }
  throw new Error("no function names: run this before strip-wasm.mjs");
}

for (const file of process.argv.slice(2)) {
  const bytes = readFileSync(file);
  const all = sections(bytes);
  const names = functionNames(bytes, all);
  const first = importedFunctions(bytes, all.find(({ id }) => id === SECTION.import));
  const code = all.find(({ id }) => id === SECTION.code);
  const reader = new Reader(bytes, code.content);
  const count = reader.number();
  const bodies = [leb128(count)];
  const emptied = new Map(NEVER_CALLED.map(({ crate }) => [crate, 0]));
  for (let index = 0; index < count; index++) {
    const start = reader.at;
    const size = reader.number();
    reader.at += size;
    const name = names.get(first + index) ?? "";
    const crate = STARTS.test(name) ? undefined : NEVER_CALLED.find(({ crate }) => name.includes(crate))?.crate;
    if (crate) emptied.set(crate, emptied.get(crate) + 1);
    bodies.push(crate ? UNREACHABLE : bytes.subarray(start, reader.at));
  }
  for (const { crate, least } of NEVER_CALLED) {
    if (emptied.get(crate) < least) {
      throw new Error(`${file}: ${emptied.get(crate)} functions of ${crate} instead of ${least} or more; has it left the build?`);
    }
  }
  writeFileSync(file, Buffer.concat([bytes.subarray(0, code.start), section(SECTION.code, bodies), bytes.subarray(code.end)]));
}
