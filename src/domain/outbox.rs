//! At-least-once delivery as a state machine: nothing leaves before the server says that it has it.
//!
//! A record is *waiting*, then part of a *batch*; the batch is frozen (members and idempotency key are
//! stored before the first attempt), so that every retry repeats exactly the same request. Only the
//! server's answer moves a record on: to *sent*, or to *refused* with the reason. A batch that the server
//! refuses as a whole is cut in two until the guilty record stands alone. One batch is under way at a
//! time, in order of creation, which keeps the order of each item's records.
//!
//! Other browser queues remove an entry before it is sent and take any 2xx for success (Workbox, Sentry):
//! a crash between loses it. Here a crash repeats the request with the same key and the same ids.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use super::ident::{BatchId, Chance, RecordId, Timestamp};
use super::sorted::{Keys, Sorted};

/// How to deliver.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DeliveryRules {
    /// Most records in one request.
    pub batch_most: usize,
    /// Back-off of the first retry, milliseconds.
    pub retry_base_ms: i64,
    /// Longest back-off, milliseconds.
    pub retry_cap_ms: i64,
}

impl Default for DeliveryRules {
    fn default() -> Self {
        Self { batch_most: 50, retry_base_ms: 1_000, retry_cap_ms: 300_000 }
    }
}

/// Records that travel together, now and at every retry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Also the idempotency key.
    pub id: BatchId,
    /// In order of creation; never empty.
    pub records: Vec<RecordId>,
    /// Attempts so far.
    pub attempts: u32,
    /// Not before this moment.
    pub not_before: Timestamp,
}

/// What the server said of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It has it, now or from before.
    Stored,
    /// It does not want it, with its reason.
    Refused(Arc<str>),
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The server answered for each record; one that it did not mention is tried again.
    Verdicts(Vec<(RecordId, Verdict)>),
    /// The server refused the request as a whole for what is in it (400, 413, 422 …).
    RefusedWhole(Arc<str>),
    /// No answer, or one that promises better luck later (network, 429, 5xx …), perhaps with a wish when.
    TryLater {
        /// In words.
        why: Arc<str>,
        /// `Retry-After`, milliseconds.
        after_ms: Option<i64>,
    },
    /// The server wants other credentials (401, 403): nothing is lost, everything waits.
    Unauthorized(Arc<str>),
    /// The endpoint is wrong or gone (404, 410 …): nothing is lost, everything waits.
    WrongAddress(Arc<str>),
}

/// What the shell is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Errand {
    /// Store the batch durably, then say [`Outbox::frozen`].
    Freeze(Batch),
    /// Send the batch, then say [`Outbox::replied`].
    Send(Batch),
    /// Store durably that this batch is over: what was sent, what was refused and why, and the batches
    /// that take its place.
    Settle {
        /// Which batch is over.
        batch: BatchId,
        /// Records that the server has.
        sent: Vec<RecordId>,
        /// Records that it does not want.
        refused: Vec<(RecordId, Arc<str>)>,
        /// What is left of it, frozen anew.
        remaining: Vec<Batch>,
    },
}

/// Why nothing is being sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hold {
    /// The browser has no network.
    Offline,
    /// Another tab sends.
    OtherTab,
    /// After a failure: until when and why.
    RetryAt(Timestamp, Arc<str>),
    /// The server wants other credentials; goes on by [`Outbox::resume`].
    Unauthorized(Arc<str>),
    /// The endpoint is wrong; goes on by [`Outbox::resume`].
    WrongAddress(Arc<str>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Under {
    Freezing,
    Ready,
    Sending,
}

/// Everything that is on its way to the server.
#[derive(Clone, Debug)]
pub struct Outbox {
    rules: DeliveryRules,
    leader: bool,
    online: bool,
    stopped: Option<Hold>,
    last_failure: Option<Arc<str>>,
    waiting: Keys<RecordId>,
    batches: VecDeque<(Batch, Under)>,
    refused: Sorted<RecordId, Arc<str>>,
    sent: usize,
}

impl Outbox {
    /// An empty outbox that sends nothing before it is [`lead`](Self::lead)er.
    #[must_use]
    pub fn new(rules: DeliveryRules) -> Self {
        Self {
            rules,
            leader: false,
            online: true,
            stopped: None,
            last_failure: None,
            waiting: Keys::default(),
            batches: VecDeque::new(),
            refused: Sorted::default(),
            sent: 0,
        }
    }

    /// Takes over what the store holds: replaces everything that was known.
    pub fn restore(
        &mut self,
        waiting: impl IntoIterator<Item = RecordId>,
        batches: impl IntoIterator<Item = Batch>,
        refused: impl IntoIterator<Item = (RecordId, Arc<str>)>,
        sent: usize,
    ) {
        self.batches.clear();
        for batch in batches {
            let at = self.batches.partition_point(|(other, _)| other.records.first() < batch.records.first());
            self.batches.insert(at, (batch, Under::Ready));
        }
        // Filled one by one, here and elsewhere: `collect` brings a sort along for each type.
        self.waiting.clear();
        self.waiting.extend(waiting);
        for (batch, _) in &self.batches {
            for record in &batch.records {
                self.waiting.remove(*record);
            }
        }
        self.refused.clear();
        self.refused.extend(refused);
        // What was refused and is being tried again is on its way.
        for record in self.batches.iter().flat_map(|(batch, _)| &batch.records) {
            self.refused.remove(*record);
        }
        self.sent = sent;
    }

    /// Records that wait outside any batch.
    pub fn unbatched(&self) -> impl Iterator<Item = RecordId> {
        self.waiting.iter()
    }

    /// Adds a record that is stored durably.
    pub fn add(&mut self, record: RecordId) {
        let known = self.batches.iter().any(|(batch, _)| batch.records.contains(&record));
        if !known && !self.refused.contains_key(record) {
            self.waiting.insert(record);
        }
    }

    /// Whether this tab is the one that sends.
    pub fn lead(&mut self, leader: bool) {
        self.leader = leader;
    }

    /// Whether the browser has a network.
    pub fn online(&mut self, online: bool) {
        if online && !self.online {
            // What failed for want of a network need not wait out its back-off.
            for (batch, _) in &mut self.batches {
                batch.not_before = Timestamp::default();
            }
        }
        self.online = online;
    }

    /// Goes on after [`Hold::Unauthorized`] or [`Hold::WrongAddress`], and skips a back-off that is under way.
    pub fn resume(&mut self) {
        self.stopped = None;
        for (batch, _) in &mut self.batches {
            batch.not_before = Timestamp::default();
        }
    }

    /// The batch is stored.
    pub fn frozen(&mut self, id: BatchId) {
        if let Some((_, under)) = self.batches.iter_mut().find(|(batch, _)| batch.id == id) {
            *under = Under::Ready;
        }
    }

    /// Sends refused records once more, all or some.
    pub fn retry_refused(&mut self, records: &[RecordId]) -> Vec<RecordId> {
        let again: Vec<_> = records.iter().copied().filter(|id| self.refused.remove(*id).is_some()).collect();
        self.waiting.extend(again.iter().copied());
        again
    }

    /// The server answered an attempt.
    pub fn replied(
        &mut self,
        id: BatchId,
        reply: Reply,
        chance: &mut Chance,
        now: Timestamp,
    ) -> Option<Errand> {
        let at = self.batches.iter().position(|(batch, _)| batch.id == id)?;
        match reply {
            Reply::TryLater { why, after_ms } => {
                // A server may wish for more time, not for less: `Retry-After: 0` is no call to hammer it.
                let backoff = self.backoff(self.batches[at].0.attempts, chance);
                self.put_off(at, now.plus(after_ms.map_or(backoff, |wish| wish.max(backoff))), why)
            }
            Reply::Unauthorized(why) => {
                self.stopped = Some(Hold::Unauthorized(why.clone()));
                self.put_off(at, now, why)
            }
            Reply::WrongAddress(why) => {
                self.stopped = Some(Hold::WrongAddress(why.clone()));
                self.put_off(at, now, why)
            }
            Reply::Verdicts(verdicts) => {
                let (batch, _) = self.batches.remove(at)?;
                Some(self.settle(batch, verdicts, chance, now))
            }
            Reply::RefusedWhole(why) => {
                let (batch, _) = self.batches.remove(at)?;
                Some(self.bisect(batch, &why, chance, now))
            }
        }
    }

    fn put_off(&mut self, at: usize, until: Timestamp, why: Arc<str>) -> Option<Errand> {
        let (batch, under) = self.batches.get_mut(at)?;
        *under = Under::Freezing;
        batch.not_before = until;
        self.last_failure = Some(why);
        Some(Errand::Freeze(batch.clone()))
    }

    fn settle(
        &mut self,
        batch: Batch,
        verdicts: Vec<(RecordId, Verdict)>,
        chance: &mut Chance,
        now: Timestamp,
    ) -> Errand {
        let mut unheard = Keys::<RecordId>::default();
        unheard.extend(batch.records.iter().copied());
        let (mut sent, mut refused) = (Vec::new(), Vec::new());
        for (record, verdict) in verdicts {
            if !unheard.remove(record) {
                continue;
            }
            match verdict {
                Verdict::Stored => sent.push(record),
                Verdict::Refused(why) => refused.push((record, why)),
            }
        }
        self.sent += sent.len();
        self.refused.extend(refused.iter().cloned());
        let heard = sent.len() + refused.len();
        let unheard: Vec<_> = unheard.iter().collect();
        let mut remaining = Vec::new();
        if unheard.is_empty() {
            self.last_failure = None;
        } else {
            let why: Arc<str> = "the server did not say that it has every record".into();
            // Another membership is another request and needs another key.
            let id = if heard == 0 { batch.id } else { chance.batch_id(now) };
            let attempts = if heard == 0 { batch.attempts } else { 0 };
            let not_before = now.plus(self.backoff(attempts, chance));
            remaining.push(Batch { id, records: unheard, attempts, not_before });
            self.last_failure = Some(why);
        }
        self.put_back(&remaining);
        Errand::Settle { batch: batch.id, sent, refused, remaining }
    }

    fn bisect(&mut self, batch: Batch, why: &Arc<str>, chance: &mut Chance, now: Timestamp) -> Errand {
        if let [record] = batch.records[..] {
            self.refused.insert(record, why.clone());
            let refused = vec![(record, why.clone())];
            return Errand::Settle { batch: batch.id, sent: Vec::new(), refused, remaining: Vec::new() };
        }
        let (first, second) = batch.records.split_at(batch.records.len() / 2);
        let remaining: Vec<_> = [first, second]
            .into_iter()
            .map(|half| Batch {
                id: chance.batch_id(now),
                records: half.to_vec(),
                attempts: 0,
                not_before: Timestamp::default(),
            })
            .collect();
        self.put_back(&remaining);
        Errand::Settle { batch: batch.id, sent: Vec::new(), refused: Vec::new(), remaining }
    }

    fn put_back(&mut self, remaining: &[Batch]) {
        // Not sent before they are stored: [`Outbox::frozen`] follows the settlement.
        for batch in remaining.iter().rev() {
            self.batches.push_front((batch.clone(), Under::Freezing));
        }
    }

    /// Full jitter: uniform in 0 to min(cap, base · 2^n) (Brooker, *Exponential Backoff And Jitter*, AWS
    /// Architecture Blog, 2015), but never under a tenth of the base, so that a dead server is not hammered.
    fn backoff(&self, attempts: u32, chance: &mut Chance) -> i64 {
        let doubled = self.rules.retry_base_ms.saturating_mul(1 << attempts.saturating_sub(1).min(30));
        #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
        let drawn = (chance.unit() * doubled.min(self.rules.retry_cap_ms) as f64) as i64;
        drawn.max(self.rules.retry_base_ms / 10)
    }

    /// What is to be done now, if anything. Calling it twice without news yields nothing new.
    pub fn errand(&mut self, chance: &mut Chance, now: Timestamp) -> Option<Errand> {
        if !self.leader || !self.online || self.stopped.is_some() {
            return None;
        }
        if self.batches.is_empty() && !self.waiting.is_empty() {
            let records: Vec<_> = self.waiting.iter().take(self.rules.batch_most.max(1)).collect();
            for record in &records {
                self.waiting.remove(*record);
            }
            let batch =
                Batch { id: chance.batch_id(now), records, attempts: 0, not_before: Timestamp::default() };
            self.batches.push_back((batch.clone(), Under::Freezing));
            return Some(Errand::Freeze(batch));
        }
        let (batch, under) = self.batches.front_mut()?;
        if *under == Under::Ready && batch.not_before <= now {
            *under = Under::Sending;
            batch.attempts += 1;
            return Some(Errand::Send(batch.clone()));
        }
        None
    }

    /// When [`Outbox::errand`] should be asked again, if time alone changes the answer.
    #[must_use]
    pub fn wake_at(&self) -> Option<Timestamp> {
        let (batch, under) = self.batches.front()?;
        let waits = *under == Under::Ready && self.leader && self.online && self.stopped.is_none();
        waits.then_some(batch.not_before)
    }

    /// Why nothing is being sent although something waits.
    #[must_use]
    pub fn hold(&self, now: Timestamp) -> Option<Hold> {
        if self.waiting() == 0 {
            return None;
        }
        if !self.online {
            return Some(Hold::Offline);
        }
        if self.stopped.is_some() {
            return self.stopped.clone();
        }
        if !self.leader {
            return Some(Hold::OtherTab);
        }
        let (batch, _) = self.batches.front()?;
        let why = self.last_failure.clone()?;
        (batch.not_before > now).then_some(Hold::RetryAt(batch.not_before, why))
    }

    /// Records that the server does not have yet.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len() + self.batches.iter().map(|(batch, _)| batch.records.len()).sum::<usize>()
    }

    /// Records in a request that is under way.
    #[must_use]
    pub fn sending(&self) -> usize {
        self.batches.iter().filter(|(_, under)| *under == Under::Sending).map(|(b, _)| b.records.len()).sum()
    }

    /// Records that the server has.
    #[must_use]
    pub fn sent(&self) -> usize {
        self.sent
    }

    /// Records that another tab has delivered.
    pub fn sent_elsewhere(&mut self, records: &[RecordId]) {
        let before = self.waiting();
        for record in records {
            self.waiting.remove(*record);
            if !self.leader {
                // Only a picture of the store, which is read again before this tab sends.
                self.batches.iter_mut().for_each(|(batch, _)| batch.records.retain(|own| own != record));
            }
        }
        self.batches.retain(|(batch, _)| !batch.records.is_empty());
        self.sent += before - self.waiting();
    }

    /// Records that the server does not want, with its reason.
    #[must_use]
    pub fn refused(&self) -> &Sorted<RecordId, Arc<str>> {
        &self.refused
    }
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Hold::Offline => f.write_str("offline"),
            Hold::OtherTab => f.write_str("another tab sends"),
            Hold::RetryAt(_, why) | Hold::Unauthorized(why) | Hold::WrongAddress(why) => f.write_str(why),
        }
    }
}
