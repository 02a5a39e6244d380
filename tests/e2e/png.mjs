// PNG files to the bit as a test wants them: no encoder makes damaged ones.
import { deflateSync } from "node:zlib";

const SIGNATURE = Buffer.from("89504e470d0a1a0a", "hex");
const SAMPLES = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 };

function crc(bytes) {
  let sum = ~0;
  for (const byte of bytes) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit++) sum = (sum >>> 1) ^ (sum & 1 ? 0xedb88320 : 0);
  }
  return ~sum >>> 0;
}

/** One chunk, its checksum right. */
export function chunk(kind, content) {
  const named = Buffer.concat([Buffer.from(kind, "latin1"), content]);
  const around = Buffer.alloc(8);
  around.writeUInt32BE(content.length, 0);
  around.writeUInt32BE(crc(named), 4);
  return Buffer.concat([around.subarray(0, 4), named, around.subarray(4)]);
}

/**
 * A picture whose filtered bytes are `byte(x, y)`: any bytes are a picture. Rows take turns with the five filters
 * unless `filter` names one; `colours` is the standard's colour type; `before` are chunks before the pixels.
 */
export function png({ width, height, depth = 8, colours, byte, filter, before = [], window = 15 }) {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([depth, colours], 8);
  const length = Math.ceil((width * SAMPLES[colours] * depth) / 8);
  const rows = Array.from({ length: height }, (_, y) =>
    Buffer.from([filter ?? y % 5, ...Array.from({ length }, (_, x) => byte(x, y))]),
  );
  const pixels = deflateSync(Buffer.concat(rows), { windowBits: window });
  return Buffer.concat([SIGNATURE, chunk("IHDR", header), ...before, chunk("IDAT", pixels), chunk("IEND", Buffer.alloc(0))]);
}
