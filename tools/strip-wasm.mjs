// Drops the custom sections of Wasm files in place: the function names above all, a sixth of the Worker,
// which no browser needs. `strip = true` in Cargo.toml would do it too early, since wasm-bindgen
// reads one of them. node tools/strip-wasm.mjs FILE…
import { readFileSync, writeFileSync } from "node:fs";
import { HEADER, SECTION, sections } from "./wasm.mjs";

for (const file of process.argv.slice(2)) {
  const bytes = readFileSync(file);
  const kept = sections(bytes).filter(({ id }) => id !== SECTION.custom);
  writeFileSync(file, Buffer.concat([bytes.subarray(0, HEADER), ...kept.map(({ start, end }) => bytes.subarray(start, end))]));
}
