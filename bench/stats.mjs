// Order statistics of small samples.

/** The q-quantile (0..1) of numbers, linearly interpolated. */
export function quantile(values, q) {
  const sorted = [...values].sort((a, b) => a - b);
  if (sorted.length === 0) return NaN;
  const at = (sorted.length - 1) * q;
  const low = Math.floor(at);
  const high = Math.ceil(at);
  return sorted[low] + (sorted[high] - sorted[low]) * (at - low);
}

/** The median of numbers. */
export const median = (values) => quantile(values, 0.5);

/** `x` with `digits` significant digits, as a number. */
export const significant = (x, digits = 4) => Number(x.toPrecision(digits));
