// Gives the names between a Wasm file and its glue their shortest form, in both files. wasm-bindgen ends each
// with a hash of 16 digits, which no compression makes smaller: 4 kB of the page's download as Wasm and as
// much in its JavaScript. What host code may name (mount, the methods of classes) is called through the glue,
// so that nothing but these two files knows the names. It is done once, on what wasm-bindgen made.
// node tools/short-names.mjs GLUE.js GLUE_bg.wasm
import { readFileSync, writeFileSync } from "node:fs";
import { HEADER, leb128, Reader, section, SECTION, sections } from "./wasm.mjs";

const OURS = /^(?:__wbg_|__wbindgen_|__externref_|wasm_bindgen__)\w+$/;
const DIGITS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

const [glueFile, wasmFile] = process.argv.slice(2);
if (!wasmFile) throw new Error("found no names of two files, expected: node tools/short-names.mjs GLUE.js GLUE_bg.wasm");
let glue = readFileSync(glueFile, "utf8");
const bytes = readFileSync(wasmFile);

const named = (name) => Buffer.concat([leb128(Buffer.byteLength(name)), Buffer.from(name)]);

const short = new Map();

/** The short form of a name; what is not wasm-bindgen's own stays. */
function shortened(name) {
  if (!OURS.test(name)) return name;
  let given = short.get(name);
  if (given === undefined) {
    given = "_";
    for (let n = short.size; ; n = Math.floor(n / DIGITS.length) - 1) {
      given += DIGITS[n % DIGITS.length];
      if (n < DIGITS.length) break;
    }
    short.set(name, given);
  }
  return given;
}

const out = [bytes.subarray(0, HEADER)];
for (const { id, start, content, end } of sections(bytes)) {
  if (id !== SECTION.import && id !== SECTION.export) {
    out.push(bytes.subarray(start, end));
    continue;
  }
  const reader = new Reader(bytes, content);
  const count = reader.number();
  const parts = [leb128(count)];
  for (let i = 0; i < count; i++) {
    if (id === SECTION.import) parts.push(named(reader.text()));
    parts.push(named(shortened(reader.text())));
    const rest = reader.at;
    if (id === SECTION.import) reader.skipImport();
    else {
      reader.byte();
      reader.number();
    }
    parts.push(bytes.subarray(rest, reader.at));
  }
  if (reader.at !== end) throw new Error(`${wasmFile}: section ${id} ends at ${reader.at}, expected ${end}`);
  out.push(section(id, parts));
}

// They must not be words of the glue already.
const taken = new Set(short.values());
for (const [word] of glue.matchAll(/\b_[a-zA-Z]{1,3}\b/g)) {
  if (taken.has(word)) throw new Error(`${glueFile}: found the name ${word}, expected glue fresh from wasm-bindgen`);
}

const found = new Set();
glue = glue.replace(/\b(?:__wbg_|__wbindgen_|__externref_|wasm_bindgen__)\w+/g, (name) => {
  const given = short.get(name);
  if (given !== undefined) found.add(name);
  return given ?? name;
});
for (const name of short.keys()) {
  if (!found.has(name) && !/^__externref_table|^__wbindgen_/.test(name)) {
    throw new Error(`${glueFile}: found no ${name}, expected the glue that belongs to ${wasmFile}`);
  }
}
writeFileSync(wasmFile, Buffer.concat(out));
writeFileSync(glueFile, glue);
