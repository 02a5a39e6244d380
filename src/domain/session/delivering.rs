//! From a kept record to the server's answer.

use super::{Command, Kept, Milestone, Session};
use crate::domain::correction::Kind;
use crate::domain::ident::{BatchId, RecordId, Timestamp};
use crate::domain::outbox::{Errand, Reply};

impl Session {
    pub(super) fn committed(&mut self, ids: Vec<RecordId>, durable: bool) {
        for id in ids {
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
            outbox.add(id);
        }
    }

    pub(super) fn leading(&mut self, kept: Kept) {
        let Some(outbox) = &mut self.outbox else { return };
        // What was stored after the store was read, and what no store holds, is known to this tab only. A record
        // that another tab delivered without our hearing of it goes once more: the server knows it by its id.
        let known: Vec<_> = outbox.unbatched().chain(self.volatile.iter()).collect();
        outbox.restore(kept.waiting, kept.batches, kept.refused, kept.sent);
        known.into_iter().for_each(|id| outbox.add(id));
        outbox.lead(true);
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

    pub(super) fn run_errands(&mut self, now: Timestamp) {
        while let Some(errand) = self.outbox.as_mut().and_then(|outbox| outbox.errand(&mut self.chance, now))
        {
            self.command(Command::Deliver(errand));
        }
    }
}
