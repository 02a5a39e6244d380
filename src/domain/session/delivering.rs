//! From a kept record to the server's answer.

use super::{Command, Kept, Milestone, Session};
use crate::domain::correction::{Correction, Kind};
use crate::domain::ident::{BatchId, RecordId, Timestamp, hash};
use crate::domain::outbox::{Errand, Parcel, Reply};
use crate::domain::sorted::{Keys, Sorted};

/// What the outbox has to know of a record. One that the log does not have (a version to come wrote it) keeps
/// no order with any other.
pub(super) fn parcel(log: &Sorted<RecordId, Correction>, id: RecordId) -> Parcel {
    match log.get(id) {
        Some(record) => Parcel { item: hash(0, &record.item_id), bytes: record.bytes() },
        None => Parcel { item: id.0.as_u64_pair().1, bytes: 0 },
    }
}

impl Session {
    pub(super) fn committed(&mut self, ids: Vec<RecordId>, durable: bool) {
        for id in ids {
            if durable {
                self.volatile.remove(id);
            }
            if !self.uncommitted.remove(id) {
                continue;
            }
            if !durable {
                self.volatile.insert(id);
            }
            self.hand_to_outbox(id);
            if self.log.get(id).is_some_and(|record| record.kind != Kind::Accepted) {
                self.command(Command::Tell(Milestone::Corrected(id, durable)));
            }
        }
    }

    pub(super) fn hand_to_outbox(&mut self, id: RecordId) {
        if let Some(outbox) = &mut self.outbox {
            outbox.add(id, parcel(&self.log, id));
        }
    }

    pub(super) fn leading(&mut self, kept: Kept) {
        let Some(outbox) = &mut self.outbox else { return };
        // What was stored after the store was read, and what no store holds, is known to this tab only. A record
        // that another tab delivered without our hearing of it goes once more: the server knows it by its id.
        let known: Vec<_> = outbox.undelivered().chain(self.volatile.iter()).collect();
        let about = |id| parcel(&self.log, id);
        let too_large = outbox.restore(kept.waiting, kept.batches, kept.refused, kept.sent, about);
        let mut discarded = Keys::default();
        discarded.extend(kept.discarded);
        let wanted = known.into_iter().filter(|id| !discarded.contains(*id));
        wanted.for_each(|id| outbox.add(id, about(id)));
        outbox.lead(true);
        for batch in too_large {
            let (sent, refused, remaining) = (Vec::new(), Vec::new(), Vec::new());
            self.command(Command::Deliver(Errand::Settle { batch, sent, refused, remaining }));
        }
    }

    pub(super) fn replied(&mut self, batch: BatchId, reply: Reply, now: Timestamp) {
        let Some(outbox) = &mut self.outbox else { return };
        let Some(errand) = outbox.replied(batch, reply, &mut self.chance, now) else { return };
        if let Errand::Settle { sent, refused, .. } = &errand {
            let (sent, refused): (Vec<_>, Vec<_>) =
                (sent.clone(), refused.iter().map(|(id, _)| *id).collect());
            sent.iter().for_each(|id| {
                self.volatile.remove(*id);
            });
            self.command(Command::Deliver(errand));
            if !sent.is_empty() {
                self.command(Command::Tell(Milestone::Delivered(sent)));
            }
            if !refused.is_empty() {
                self.command(Command::Tell(Milestone::Refused(refused)));
            }
        } else {
            self.command(Command::Deliver(errand));
        }
    }

    pub(super) fn retry_refused(&mut self, records: &[RecordId]) {
        if let Some(outbox) = &mut self.outbox {
            outbox.retry_refused(records);
        }
    }

    pub(super) fn discard_refused(&mut self, records: &[RecordId]) {
        let errand = self.outbox.as_mut().and_then(|outbox| outbox.discard_refused(records));
        errand.into_iter().for_each(|errand| self.command(Command::Deliver(errand)));
    }

    pub(super) fn run_errands(&mut self, now: Timestamp) {
        while let Some(errand) = self.outbox.as_mut().and_then(|outbox| outbox.errand(&mut self.chance, now))
        {
            self.command(Command::Deliver(errand));
        }
    }
}
