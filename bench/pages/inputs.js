// The inputs, made the same way in every worker so that no engine sees another's numbers.

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
 * One smooth picture with a little noise, values in [0, 1], NCHW, as a Float32Array.
 *
 * Smooth, because white noise would drive a trained network into one corner of its classes.
 */
export function picture(shape, seed) {
  const [, channels, height, width] = shape;
  const random = generator(seed);
  const data = new Float32Array(channels * height * width);
  for (let c = 0; c < channels; c++) {
    const [fx, fy, px, py] = [1 + 4 * random(), 1 + 4 * random(), 6.3 * random(), 6.3 * random()];
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const wave = Math.sin((fx * 6.3 * x) / width + px) * Math.cos((fy * 6.3 * y) / height + py);
        data[(c * height + y) * width + x] = Math.min(1, Math.max(0, 0.5 + 0.45 * wave + 0.1 * (random() - 0.5)));
      }
    }
  }
  return data;
}
