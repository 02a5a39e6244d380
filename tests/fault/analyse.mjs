// What came of a run, from its history: nothing here was noted as good or bad while it ran.

/** A JSON value as one text: keys in order, nulls left out, as the record format has it. */
const canonical = (value) =>
  JSON.stringify(value, (_, inner) =>
    inner && typeof inner === "object" && !Array.isArray(inner)
      ? Object.fromEntries(Object.keys(inner).sort().filter((key) => inner[key] !== null).map((key) => [key, inner[key]]))
      : inner,
  );

/**
 * Compares what was shown as saved with what is at the collector.
 *
 * `shown`: `{ record, at }` as the page showed them, `at` in ms since 1970. `arrived`: the collector's records in the
 * order of arrival. Gives lists: `lost` (shown, not there), `altered` (there with other content), `doubled` (ids that
 * are there more than once) and `inversions` (pairs of ids of one item, the second of which came before the first).
 *
 * What "before" means where two tabs race: a record came before another one of its item if both were made in one visit
 * of one tab, in this order, or if it had been shown as saved before the other was made (the real-time order of
 * linearizability: Herlihy and Wing, 1990). Of two that were made side by side neither came first.
 */
export function analyse(shown, arrived) {
  const there = new Map();
  const doubled = [];
  for (const record of arrived) {
    if (there.has(record.id)) doubled.push(record.id);
    else there.set(record.id, record);
  }
  const savedAt = new Map();
  const lost = [];
  const altered = [];
  for (const { record, at } of shown) {
    if (savedAt.has(record.id)) continue;
    savedAt.set(record.id, at);
    if (!there.has(record.id)) lost.push(record.id);
    else if (canonical(there.get(record.id)) !== canonical(record)) altered.push(record.id);
  }
  const inversions = [];
  const items = new Map();
  for (const record of there.values()) {
    const earlier = items.get(record.item_id) ?? items.set(record.item_id, []).get(record.item_id);
    for (const other of earlier) if (cameBefore(record, other, savedAt)) inversions.push([other.id, record.id]);
    earlier.push(record);
  }
  return { shown: savedAt.size, arrived: there.size, lost, altered, doubled, inversions };
}

function cameBefore(one, other, savedAt) {
  if (one.session === other.session) return one.id < other.id;
  return savedAt.get(one.id) < Date.parse(other.answered_at);
}

/** How the attempts of a proxy's history went: `attempts`, `faulty` (share), and how often each fault came. */
export function weather(history, until = Infinity) {
  const attempts = history.filter(({ at }) => at <= until);
  const faults = {};
  for (const { fault } of attempts) if (fault) faults[fault] = (faults[fault] ?? 0) + 1;
  const faulty = attempts.filter(({ fault }) => fault).length;
  const committed = attempts.flatMap((attempt) => attempt.committed);
  return {
    attempts: attempts.length,
    faulty: attempts.length ? faulty / attempts.length : 0,
    faults,
    // Records that the backend was sent again after it had them: what its idempotency had to catch.
    again: committed.length - new Set(committed).size,
  };
}
