//! The work list in PostgreSQL: rows are locked while they are looked at, and whoever else asks passes them by.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use deadpool_postgres::Transaction;

use super::postgres::{Postgres, Trouble, again, broken_off, folded, read_row};
use super::{Outcome, StoreError};
use crate::collector::work::{Candidate, Entry, Handed, Loaded, Wanted, WorkCounts, share};
use crate::wire::moment::Moment;

/// Whether the annotator has not answered the item `i`, or has taken the answer back. The questions are counts and not
/// `NOT EXISTS`, which the planner may turn into a join with all records, where a few are looked up by their item.
macro_rules! unanswered {
    ($annotator:literal) => {
        concat!(
            "(SELECT count(*) FROM hitl_records r WHERE left(r.item_id, 300) = left(i.id, 300) AND r.item_id = i.id
    AND r.annotator = ",
            $annotator,
            " AND r.kind = 'correction' AND (SELECT count(*) FROM hitl_records u
      WHERE left(u.item_id, 300) = left(i.id, 300) AND u.item_id = i.id AND u.kind = 'undo' AND u.supersedes = r.id) = 0) = 0"
        )
    };
}

/// Items that had so many answers when they were last looked at, and that the annotator neither holds nor has
/// answered; `$locked` says whether they are locked.
macro_rules! waiting {
    ($locked:literal) => {
        concat!(
            "
SELECT i.seq, i.id, i.item FROM hitl_items i WHERE i.answers = $1 AND i.seq > $2
  AND (SELECT count(*) FROM hitl_leases l WHERE l.item = i.seq AND l.annotator = $3 AND l.until > now()) = 0
  AND (SELECT count(*) FROM hitl_leases l WHERE l.item = i.seq AND l.until > now()) < $4
  AND ",
            unanswered!("$3"),
            "
ORDER BY i.seq LIMIT $5 ",
            $locked
        )
    };
}

/// What the annotator holds, and whether they have still to answer it. A lease that a record is just ending is locked by that
/// record and passed by, and those that are found stay until they are renewed: a record that comes in between ends the
/// renewed one.
const HELD: &str = concat!(
    "SELECT i.seq, i.item, ",
    unanswered!("$1"),
    " FROM hitl_leases l JOIN hitl_items i ON i.seq = l.item
     WHERE l.annotator = $1 AND l.until > now() ORDER BY i.seq LIMIT $2 FOR UPDATE OF l SKIP LOCKED"
);

/// How often somebody who found nothing looks again because others were looking at what there is.
const LOOKS: u32 = 40;

/// The records of some items, looked up item by item (`OFFSET 0` keeps the planner from joining all records).
const RECORDS: &str = "
SELECT r.* FROM unnest($1::text[]) AS w(id) CROSS JOIN LATERAL (
    SELECT item_id, id::text, kind, role, answered_at, annotator, supersedes::text, NULL::text FROM hitl_records
    WHERE left(item_id, 300) = left(w.id, 300) AND item_id = w.id ORDER BY seq OFFSET 0
) AS r";

impl Postgres {
    pub(super) async fn load(&self, items: Vec<Entry>, only: bool) -> Result<Loaded, StoreError> {
        self.changing(again(|| async {
            let mut client = self.client().await?;
            load(client.transaction().await?, &items, only).await
        }))
        .await
    }

    pub(super) async fn hand_out(&self, wanted: Wanted) -> Result<Handed, StoreError> {
        self.changing(self.hand_out_now(wanted)).await
    }

    async fn hand_out_now(&self, wanted: Wanted) -> Result<Handed, StoreError> {
        let mut looks = 1;
        loop {
            let found = {
                let mut client = self.client().await?;
                let change = client.transaction().await?;
                hand_out(change, &wanted).await
            };
            match found {
                // "Nothing" is said only of what is not there: all that is left may have been before others just
                // now. Nobody waits while they hold a lock or a connection.
                Ok((_, true)) if looks < LOOKS => {}
                // Another request was in the way; nothing was done.
                Err(Trouble::Database(why)) if looks < LOOKS && broken_off(&why) => {}
                Ok((handed, _)) => return Ok(handed),
                Err(why) => return Err(why.into()),
            }
            tokio::time::sleep(Duration::from_millis(5 + 7 * u64::from(looks % 8))).await;
            looks += 1;
        }
    }

    pub(super) async fn work(&self) -> Result<WorkCounts, StoreError> {
        let client = self.client().await?;
        let count = "SELECT (SELECT count(*) FROM hitl_items), (SELECT count(*) FROM hitl_leases WHERE until > now())";
        let row = again(|| async { client.query_one(count, &[]).await }).await?;
        let number = |column| row.get::<_, i64>(column).unsigned_abs();
        Ok(WorkCounts { items: number(0), leases: number(1) })
    }
}

/// Puts `items` on the list; with `only` it holds nothing else afterwards.
async fn load(change: Transaction<'_>, items: &[Entry], only: bool) -> Result<Loaded, Trouble> {
    // One list at a time, and nobody at work on it: two that change rows at once would wait for each other's in a
    // circle. The leases first, as hand-outs meet them.
    change.batch_execute("LOCK TABLE hitl_leases, hitl_items IN EXCLUSIVE MODE").await?;
    let ids: Vec<String> = items.iter().map(|item| folded(&item.id)).collect();
    let jsons: Vec<&str> = items.iter().map(|item| item.json.as_str()).collect();
    let mut loaded = Loaded::default();
    if only {
        loaded.removed = change.execute("DELETE FROM hitl_items WHERE NOT id = ANY($1)", &[&ids]).await?;
    }
    let insert = "
        WITH body AS MATERIALIZED (
            SELECT nextval('hitl_arrival') AS seq, b.* FROM unnest($1::text[], $2::text[]) AS b(id, item)
        )
        INSERT INTO hitl_items (seq, id, item) SELECT seq, id, item FROM body ORDER BY seq
        ON CONFLICT (id) DO NOTHING RETURNING id";
    let new = change.query(insert, &[&ids, &jsons]).await?;
    // Of an item that comes twice the first is stored.
    let mut new: HashSet<String> = new.iter().map(|row| row.get(0)).collect();
    let stored: Vec<bool> = ids.iter().map(|id| new.remove(id)).collect();
    let known: Vec<&String> =
        ids.iter().zip(&stored).filter(|(_, stored)| !**stored).map(|(id, _)| id).collect();
    let mut there: HashMap<String, String> = HashMap::new();
    if !known.is_empty() {
        let rows = change.query("SELECT id, item FROM hitl_items WHERE id = ANY($1)", &[&known]).await?;
        there = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    }
    for ((id, json), stored) in ids.iter().zip(&jsons).zip(stored) {
        loaded.outcomes.push(match there.get(id) {
            _ if stored => Outcome::Stored,
            Some(there) if there == json => Outcome::Duplicate,
            Some(_) if only => Outcome::Stored,
            _ => Outcome::Conflict,
        });
    }
    if only {
        let replace = "
            UPDATE hitl_items i SET item = b.item FROM unnest($1::text[], $2::text[]) AS b(id, item)
            WHERE i.id = b.id AND i.item <> b.item";
        change.execute(replace, &[&ids, &jsons]).await?;
    }
    change.commit().await?;
    Ok(loaded)
}

/// What is handed out, and whether there is something that others were looking at although nothing was found.
async fn hand_out(change: Transaction<'_>, wanted: &Wanted) -> Result<(Handed, bool), Trouble> {
    let annotator = folded(&wanted.annotator);
    // One request of an annotator at a time, so that two of their tabs get the same items and not twice as many.
    change.execute("SELECT pg_advisory_xact_lock(hashtext('hitl ' || $1))", &[&annotator]).await?;
    // The rows of leases that are over, as far as nobody else is at it.
    change
        .execute(
            "DELETE FROM hitl_leases WHERE (item, annotator) IN (SELECT item, annotator FROM hitl_leases
               WHERE until <= now() ORDER BY until LIMIT 1000 FOR UPDATE SKIP LOCKED)",
            &[],
        )
        .await?;
    let count = i64::from(wanted.count);
    let held = change.query(HELD, &[&annotator, &count]).await?;
    // An item can be leased while its record arrives: such a lease is over, too.
    let (held, over): (Vec<_>, Vec<_>) = held.iter().partition(|row| row.get::<_, bool>(2));
    if !over.is_empty() {
        let over: Vec<i64> = over.iter().map(|row| row.get(0)).collect();
        let end = "DELETE FROM hitl_leases WHERE item = ANY($1) AND annotator = $2";
        change.execute(end, &[&over, &annotator]).await?;
    }
    let mut given: Vec<(i64, String)> = held.iter().map(|row| (row.get(0), row.get(1))).collect();
    let again = given.len();
    choose(&change, wanted, &annotator, &mut given).await?;
    let more = given.is_empty() && waits(&change, wanted, &annotator).await?;
    let seqs: Vec<i64> = given.iter().map(|(seq, _)| *seq).collect();
    let until = change
        .query_one(
            "WITH until AS (SELECT now() + make_interval(secs => $3) AS at), given AS (
               INSERT INTO hitl_leases (item, annotator, until) SELECT item, $2, at FROM unnest($1::bigint[]) AS g(item), until
               ORDER BY item ON CONFLICT (item, annotator) DO UPDATE SET until = excluded.until)
             SELECT floor(extract(epoch FROM at) * 1000)::bigint FROM until",
            &[&seqs, &annotator, &f64::from(wanted.lease)],
        )
        .await?;
    let until = Moment::from_epoch_ms(until.get::<_, i64>(0).unsigned_abs());
    change.commit().await?;
    Ok((Handed { items: given.into_iter().map(|(_, item)| item).collect(), again, until }, more))
}

/// Adds items that wait to `given` until it is full.
async fn choose(
    change: &Transaction<'_>,
    wanted: &Wanted,
    annotator: &str,
    given: &mut Vec<(i64, String)>,
) -> Result<(), Trouble> {
    let waiting = change.prepare_cached(waiting!("FOR UPDATE OF i SKIP LOCKED")).await?;
    // Items that have most of their answers come first, then those that stand first on the list.
    for answers in (0..wanted.answers).rev() {
        let (level, room) = (i32::try_from(answers).unwrap_or(i32::MAX), i64::from(wanted.answers - answers));
        let mut after = 0_i64;
        while given.len() < wanted.count as usize {
            // No more are locked than may be given, so that others find some.
            let missing = i64::from(wanted.count) - given.len() as i64;
            let step = change.query(&waiting, &[&level, &after, &annotator, &room, &missing]).await?;
            let Some(last) = step.last() else { break };
            after = last.get(0);
            let mut candidates = candidates(change, &step).await?;
            for row in &step {
                let (seq, id): (i64, String) = (row.get(0), row.get(1));
                let candidate = candidates.remove(&id).unwrap_or_default();
                let (found, fits) = share(&candidate, &wanted.annotator, wanted.answers);
                if found != answers {
                    let found = i32::try_from(found).unwrap_or(i32::MAX);
                    change
                        .execute("UPDATE hitl_items SET answers = $1 WHERE seq = $2", &[&found, &seq])
                        .await?;
                }
                if fits {
                    given.push((seq, row.get(2)));
                }
            }
        }
    }
    Ok(())
}

/// Whether an item waits for the annotator, locked or not.
async fn waits(change: &Transaction<'_>, wanted: &Wanted, annotator: &str) -> Result<bool, Trouble> {
    let waiting = change.prepare_cached(waiting!("")).await?;
    for answers in 0..wanted.answers {
        let (level, room) = (i32::try_from(answers).unwrap_or(i32::MAX), i64::from(wanted.answers - answers));
        if !change.query(&waiting, &[&level, &0_i64, &annotator, &room, &1_i64]).await?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What is known of items by their ids, now that they are locked: the statement that chose them may have seen an
/// older state.
async fn candidates(
    change: &Transaction<'_>,
    step: &[tokio_postgres::Row],
) -> Result<HashMap<String, Candidate>, Trouble> {
    let ids: Vec<String> = step.iter().map(|row| row.get(1)).collect();
    let mut found: HashMap<String, Candidate> = HashMap::new();
    let seqs: Vec<i64> = step.iter().map(|row| row.get(0)).collect();
    let holders = "
        SELECT i.id, count(*) FROM hitl_leases l JOIN hitl_items i ON i.seq = l.item
        WHERE l.item = ANY($1) AND l.until > now() GROUP BY i.id";
    for row in change.query(holders, &[&seqs]).await? {
        let holders = usize::try_from(row.get::<_, i64>(1)).unwrap_or(usize::MAX);
        found.entry(row.get(0)).or_default().holders = holders;
    }
    // After the leases: a record that arrives between the two is counted twice, so that the item waits for the next
    // who asks; the other way round it would not be counted at all.
    for row in change.query(RECORDS, &[&ids]).await? {
        let standing = read_row(&row)?.standing;
        found.entry(row.get(0)).or_default().records.push(standing);
    }
    Ok(found)
}
