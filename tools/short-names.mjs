// Gives the names between a Wasm file and its glue their shortest form, in both files. wasm-bindgen ends each
// with a hash of 16 digits, which no compression makes smaller: 4 kB of the page's download as Wasm and as
// much in its JavaScript. What host code may name (mount, the methods of classes) is called through the glue,
// so that nothing but these two files knows the names. It is done once, on what wasm-bindgen made.
// node tools/short-names.mjs GLUE.js GLUE_bg.wasm
import { readFileSync, writeFileSync } from "node:fs";

const SECTION = { import: 2, export: 7 };
const OURS = /^(?:__wbg_|__wbindgen_|__externref_|wasm_bindgen__)\w+$/;
const DIGITS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

const [glueFile, wasmFile] = process.argv.slice(2);
if (!wasmFile) throw new Error("found no names of two files, expected: node tools/short-names.mjs GLUE.js GLUE_bg.wasm");
let glue = readFileSync(glueFile, "utf8");
const bytes = readFileSync(wasmFile);
if (bytes.toString("latin1", 0, 4) !== "\0asm") throw new Error(`${wasmFile} is not a Wasm file`);

let at = 8; // behind "\0asm" and the version

function number() {
  let value = 0;
  for (let factor = 1; ; factor *= 128) {
    const byte = bytes[at++];
    value += (byte & 0x7f) * factor;
    if (byte < 0x80) return value;
  }
}

function leb128(value) {
  const out = [];
  for (; value >= 128; value = Math.floor(value / 128)) out.push((value % 128) + 128);
  return Uint8Array.from([...out, value]);
}

function text() {
  const size = number();
  at += size;
  return bytes.toString("utf8", at - size, at);
}

const named = (name) => Buffer.concat([leb128(Buffer.byteLength(name)), Buffer.from(name)]);

/** A limit of a table or a memory: flags, the least, the most. */
function limits() {
  const flags = number();
  number();
  if (flags & 1) number();
}

/** Behind what an import is: a function's type, a table, a memory, a global. */
function skipImport() {
  const kind = bytes[at++];
  if (kind === 0) number();
  else if (kind === 1) {
    at++;
    limits();
  } else if (kind === 2) limits();
  else if (kind === 3) at += 2;
  else throw new Error(`${wasmFile}: found an import of kind ${kind}, expected a function, table, memory or global`);
}

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

const out = [bytes.subarray(0, 8)];
while (at < bytes.length) {
  const start = at;
  const id = bytes[at++];
  const size = number();
  const end = at + size;
  if (id !== SECTION.import && id !== SECTION.export) {
    out.push(bytes.subarray(start, end));
    at = end;
    continue;
  }
  const parts = [];
  const count = number();
  parts.push(leb128(count));
  for (let i = 0; i < count; i++) {
    if (id === SECTION.import) parts.push(named(text()));
    parts.push(named(shortened(text())));
    const rest = at;
    if (id === SECTION.import) skipImport();
    else {
      at++;
      number();
    }
    parts.push(bytes.subarray(rest, at));
  }
  if (at !== end) throw new Error(`${wasmFile}: section ${id} ends at ${at}, expected ${end}`);
  const body = Buffer.concat(parts);
  out.push(Uint8Array.of(id), leb128(body.length), body);
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
