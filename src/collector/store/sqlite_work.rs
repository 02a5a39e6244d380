//! The work list in SQLite: each step is one transaction of the one thread that writes.

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::Outcome;
use super::sqlite::read_row;
use crate::collector::work::{Candidate, Entry, Handed, Loaded, Wanted, WorkCounts, share};
use crate::wire::moment::Moment;
use crate::wire::record::{Kind, Record};

/// A record was stored: its annotator's lease ends (of one without an annotator, every lease on the item), and a
/// link to another record lets its item be counted again: an undo and a replacement may leave fewer answers.
pub(super) fn arrived(db: &Connection, record: &Record) -> rusqlite::Result<()> {
    if record.kind == Kind::Correction {
        db.prepare_cached(
            "DELETE FROM leases WHERE (annotator = ?1 OR ?1 IS NULL) AND item = (SELECT seq FROM items WHERE id = ?2)",
        )?
        .execute(params![record.annotator, record.item_id])?;
    }
    if record.supersedes.is_some() {
        db.prepare_cached("UPDATE items SET answers = 0 WHERE id = ?")?.execute([&record.item_id])?;
    }
    Ok(())
}

pub(super) fn load(db: &mut Connection, items: &[Entry], only: bool) -> rusqlite::Result<Loaded> {
    let change = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut loaded = Loaded::default();
    if only {
        change.execute_batch("CREATE TEMP TABLE kept (id TEXT PRIMARY KEY) WITHOUT ROWID")?;
        for item in items {
            change.prepare_cached("INSERT OR IGNORE INTO temp.kept VALUES (?)")?.execute([&item.id])?;
        }
        let removed = change.execute("DELETE FROM items WHERE id NOT IN (SELECT id FROM temp.kept)", ())?;
        change.execute_batch("DROP TABLE temp.kept")?;
        loaded.removed = u64::try_from(removed).unwrap_or(0);
    }
    for item in items {
        let new = change
            .prepare_cached("INSERT INTO items (id, item) VALUES (?, ?) ON CONFLICT (id) DO NOTHING")?
            .execute([&item.id, &item.json])?;
        let there: Option<String> = match new {
            1 => None,
            _ => change
                .prepare_cached("SELECT item FROM items WHERE id = ?")?
                .query_row([&item.id], |row| row.get(0))
                .optional()?,
        };
        loaded.outcomes.push(match there {
            None => Outcome::Stored,
            Some(json) if json == item.json => Outcome::Duplicate,
            Some(_) if only => {
                change.execute("UPDATE items SET item = ? WHERE id = ?", [&item.json, &item.id])?;
                Outcome::Stored
            }
            Some(_) => Outcome::Conflict,
        });
    }
    change.commit()?;
    Ok(loaded)
}

pub(super) fn hand_out(db: &mut Connection, wanted: &Wanted, now: i64) -> rusqlite::Result<Handed> {
    let change = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    change.prepare_cached("DELETE FROM leases WHERE until <= ?")?.execute([now])?;
    let mut given: Vec<(i64, String)> = change
        .prepare_cached(
            "SELECT i.seq, i.item FROM leases l JOIN items i ON i.seq = l.item WHERE l.annotator = ?
             ORDER BY i.seq LIMIT ?",
        )?
        .query_map(params![wanted.annotator, wanted.count], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let again = given.len();
    // Items that have most of their answers come first, then those that stand first on the list.
    for answers in (0..wanted.answers).rev() {
        let mut after = 0;
        while given.len() < wanted.count as usize {
            let missing = i64::from(wanted.count) - given.len() as i64;
            let step = waiting(&change, wanted, answers, after, missing)?;
            let Some(last) = step.last() else { break };
            after = last.seq;
            for Waiting { seq, id, item, holders } in step {
                let candidate = Candidate { records: records(&change, &id)?, holders };
                let (found, fits) = share(&candidate, &wanted.annotator, wanted.answers);
                if found != answers {
                    change
                        .prepare_cached("UPDATE items SET answers = ? WHERE seq = ?")?
                        .execute(params![found, seq])?;
                }
                if fits {
                    given.push((seq, item));
                }
            }
        }
    }
    let until = now + 1_000 * i64::from(wanted.lease);
    for (seq, _) in &given {
        change
            .prepare_cached(
                "INSERT INTO leases (item, annotator, until) VALUES (?, ?, ?)
                 ON CONFLICT (item, annotator) DO UPDATE SET until = excluded.until",
            )?
            .execute(params![seq, wanted.annotator, until])?;
    }
    change.commit()?;
    let items = given.into_iter().map(|(_, item)| item).collect();
    Ok(Handed { items, again, until: Moment::from_epoch_ms(until.unsigned_abs()) })
}

/// An item that may be handed out.
struct Waiting {
    seq: i64,
    id: String,
    item: String,
    /// How many hold it.
    holders: usize,
}

/// At most `most` items behind `after` that had so many answers when they were last looked at, and that the annotator
/// neither holds nor has answered.
fn waiting(
    change: &Transaction<'_>,
    wanted: &Wanted,
    answers: u32,
    after: i64,
    most: i64,
) -> rusqlite::Result<Vec<Waiting>> {
    let read = |row: &rusqlite::Row<'_>| {
        let holders = usize::try_from(row.get::<_, i64>(3)?).unwrap_or(usize::MAX);
        Ok(Waiting { seq: row.get(0)?, id: row.get(1)?, item: row.get(2)?, holders })
    };
    change
        .prepare_cached(
            "SELECT i.seq, i.id, i.item, (SELECT count(*) FROM leases l WHERE l.item = i.seq) AS holders FROM items i
             WHERE i.answers = ?1 AND i.seq > ?2
               AND NOT EXISTS (SELECT 1 FROM leases l WHERE l.item = i.seq AND l.annotator = ?3)
               AND holders < ?4
               AND NOT EXISTS (SELECT 1 FROM records r WHERE r.item_id = i.id AND r.annotator = ?3
                 AND r.kind = 'correction' AND NOT EXISTS (SELECT 1 FROM records u
                   WHERE u.item_id = i.id AND u.kind = 'undo' AND u.supersedes = r.id))
             ORDER BY i.seq LIMIT ?5",
        )?
        .query_map(params![answers, after, wanted.annotator, wanted.answers - answers, most], read)?
        .collect()
}

fn records(change: &Transaction<'_>, id: &str) -> rusqlite::Result<Vec<crate::wire::current::Standing>> {
    change
        .prepare_cached(
            "SELECT item_id, id, kind, role, answered_at, annotator, supersedes, NULL FROM records
             WHERE item_id = ? ORDER BY seq",
        )?
        .query_map([id], |row| read_row(row).map(|row| row.standing))?
        .collect()
}

pub(super) fn counts(db: &Connection, now: i64) -> rusqlite::Result<WorkCounts> {
    let count = |sql: &str| db.query_row(sql, [now], |row| row.get::<_, i64>(0)).map(i64::unsigned_abs);
    Ok(WorkCounts {
        items: count("SELECT count(*) FROM items WHERE ? >= 0")?,
        leases: count("SELECT count(*) FROM leases WHERE until > ?")?,
    })
}
