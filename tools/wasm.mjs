// Reads Wasm files section by section, for the tools that make them smaller.

/** A section's number in the format. */
export const SECTION = { custom: 0, import: 2, export: 7, code: 10 };
/** Bytes before the first section: "\0asm" and the version. */
export const HEADER = 8;

/** A cursor over a Wasm file. */
export class Reader {
  constructor(bytes, at = 0) {
    this.bytes = bytes;
    this.at = at;
  }

  byte() {
    return this.bytes[this.at++];
  }

  /** An unsigned LEB128 number. */
  number() {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = this.byte();
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
    }
  }

  text() {
    const size = this.number();
    this.at += size;
    return this.bytes.toString("utf8", this.at - size, this.at);
  }

  /** A limit of a table or a memory: flags, the least, the most. */
  skipLimits() {
    const flags = this.number();
    this.number();
    if (flags & 1) this.number();
  }

  /** What an import is: gives its kind, 0 for a function, and goes behind its type. */
  skipImport() {
    const kind = this.byte();
    if (kind === 0) this.number();
    else if (kind === 1) {
      this.byte();
      this.skipLimits();
    } else if (kind === 2) this.skipLimits();
    else if (kind === 3) this.at += 2;
    else throw new Error(`found an import of kind ${kind}, expected a function, table, memory or global`);
    return kind;
  }
}

/** @returns {Uint8Array} the unsigned LEB128 form of `value` */
export function leb128(value) {
  const bytes = [];
  for (; value >= 128; value = Math.floor(value / 128)) bytes.push((value % 128) + 128);
  return Uint8Array.of(...bytes, value);
}

/** @returns {{id: number, start: number, content: number, end: number}[]} every section of a file, in its order */
export function sections(bytes) {
  if (bytes.toString("latin1", 0, 4) !== "\0asm") throw new Error("found a file of another kind, expected a Wasm file");
  const found = [];
  for (const reader = new Reader(bytes, HEADER); reader.at < bytes.length; ) {
    const start = reader.at;
    const id = reader.byte();
    const size = reader.number();
    found.push({ id, start, content: reader.at, end: reader.at + size });
    reader.at += size;
  }
  return found;
}

/** A section with this content. */
export function section(id, parts) {
  const body = Buffer.concat(parts);
  return Buffer.concat([Uint8Array.of(id), leb128(body.length), body]);
}
