// The one form in which a measured figure leaves the benchmark: a JSON object a line on stdout.
import { significant } from './stats.mjs';

let missed = 0;

/** Progress for the person who waits: never on stdout. */
export const say = (text) => process.stderr.write(`${text}\n`);

/**
 * Prints one figure.
 *
 * `target` is null or `{ of: 'value' | 'ratio', at_least | at_most | above: number }`; `ratio` is
 * always "how many times better than the peer" (above 1: we are better). `more` holds the
 * conditions of the run (items, rounds, spread).
 */
export function figure({ metric, value, unit, peer = null, peer_value = null, ratio = null, target = null, more = {} }) {
  let ok = null;
  let wanted = null;
  if (target) {
    const found = target.of === 'ratio' ? ratio : value;
    if (target.at_least !== undefined) {
      wanted = `${target.of} >= ${target.at_least}`;
      ok = found >= target.at_least;
    } else if (target.at_most !== undefined) {
      wanted = `${target.of} <= ${target.at_most}`;
      ok = found <= target.at_most;
    } else {
      wanted = `${target.of} > ${target.above}`;
      ok = found > target.above;
    }
    if (!ok) missed += 1;
  }
  const round = (x) => (typeof x === 'number' ? significant(x) : x);
  const exact = unit === 'bytes' || unit === 'count';
  process.stdout.write(`${JSON.stringify({
    metric,
    value: exact ? value : round(value),
    unit,
    peer,
    peer_value: exact ? peer_value : round(peer_value),
    ratio: round(ratio),
    target: wanted,
    ok,
    ...more,
  })}\n`);
}

/** A target that could not be measured is a missed target: it is printed with the reason. */
export function failed({ metric, unit = null, peer = null, reason: error }) {
  const reason = String(error?.message ?? error).split('\n')[0];
  missed += 1;
  process.stdout.write(`${JSON.stringify({
    metric, value: null, unit, peer, peer_value: null, ratio: null, target: null, ok: false, reason,
  })}\n`);
}

/** How many targets were missed so far. */
export const missedTargets = () => missed;
