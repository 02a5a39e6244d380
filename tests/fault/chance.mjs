// Random numbers from a seed: the same seed gives the same faults, keys and moments of death.

/** Mulberry32 (Tommy Ettinger): 32 bits of state are plenty for a run's few thousand draws. */
export function chance(seed) {
  let state = seed >>> 0;
  const unit = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  return {
    /** In 0 to 1, without 1. */
    unit,
    /** A whole number from `low` to `high`, both included. */
    whole: (low, high) => low + Math.floor(unit() * (high - low + 1)),
    /** One of a list. */
    one: (list) => list[Math.floor(unit() * list.length)],
    /** A chance of its own for another purpose: draws there do not move the draws here. */
    branch: (number) => chance(Math.imul(seed + 1, 0x9e3779b1) + number),
  };
}
