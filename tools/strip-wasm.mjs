// Drops the custom sections of Wasm files in place: the function names above all, a sixth of the Worker,
// which no browser needs. `strip = true` in Cargo.toml would do it too early, since wasm-bindgen
// reads one of them. node tools/strip-wasm.mjs FILE…
import { readFileSync, writeFileSync } from "node:fs";

const HEADER = 8; // "\0asm" and the version
const CUSTOM = 0;

/** @returns {[value: number, next: number]} the unsigned LEB128 number at `at` and where it ends */
function leb128(bytes, at) {
  let value = 0;
  for (let factor = 1; ; factor *= 128) {
    const byte = bytes[at++];
    value += (byte & 0x7f) * factor;
    if (byte < 0x80) return [value, at];
  }
}

for (const file of process.argv.slice(2)) {
  const bytes = readFileSync(file);
  if (bytes.toString("latin1", 0, 4) !== "\0asm") throw new Error(`${file} is not a Wasm file`);
  const kept = [bytes.subarray(0, HEADER)];
  for (let at = HEADER; at < bytes.length; ) {
    const [size, content] = leb128(bytes, at + 1);
    if (bytes[at] !== CUSTOM) kept.push(bytes.subarray(at, content + size));
    at = content + size;
  }
  writeFileSync(file, Buffer.concat(kept));
}
