// What a browser downloads of a file whose server compresses as well as it can.
import { promisify } from "node:util";
import { brotliCompress, constants } from "node:zlib";

const compressed = promisify(brotliCompress);

/** Bytes after `brotli -q 11`; several at a time use several cores. */
export async function brotliSize(bytes) {
  const params = {
    [constants.BROTLI_PARAM_QUALITY]: 11,
    [constants.BROTLI_PARAM_LGWIN]: 24, // what the brotli program takes by default
    [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length,
  };
  return (await compressed(bytes, { params })).length;
}
