// The inputs, made the same way wherever they are needed: as 8-bit pictures, because that is what a page
// has, and as the tensor of exactly these pictures for an engine that eats tensors.

/** A 32-bit generator (mulberry32): uniform numbers in [0, 1). */
export function generator(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/**
 * One smooth picture with a little noise as bytes [channels, height, width].
 *
 * Smooth, because white noise drives a trained network into one corner of its classes.
 */
function picture([, channels, height, width], seed) {
  const random = generator(seed);
  const bytes = new Uint8Array(channels * height * width);
  for (let c = 0; c < channels; c++) {
    const [fx, fy, px, py] = [1 + 4 * random(), 1 + 4 * random(), 6.3 * random(), 6.3 * random()];
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const wave = Math.sin((fx * 6.3 * x) / width + px) * Math.cos((fy * 6.3 * y) / height + py);
        bytes[(c * height + y) * width + x] = Math.round(255 * Math.min(1, Math.max(0, 0.5 + 0.45 * wave + 0.1 * (random() - 0.5))));
      }
    }
  }
  return bytes;
}

/** `count` pictures as ImageData of the model's size. */
export function imageDatas({ shape }, count) {
  const [, channels, height, width] = shape;
  return Array.from({ length: count }, (_, i) => {
    const bytes = picture(shape, 7 + i);
    const image = new ImageData(width, height);
    for (let at = 0; at < width * height; at++) {
      for (let c = 0; c < 3; c++) image.data[at * 4 + c] = bytes[(c % channels) * width * height + at];
      image.data[at * 4 + 3] = 255;
    }
    return image;
  });
}

/** The same pictures as tensors: `(byte / 255 - mean) / std`. */
export function tensors({ shape, mean, std }, count) {
  return Array.from({ length: count }, (_, i) => Float32Array.from(picture(shape, 7 + i), (byte) => (byte / 255 - mean) / std));
}
