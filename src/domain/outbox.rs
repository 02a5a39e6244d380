//! At-least-once delivery as a state machine: nothing leaves before the server says that it has it.
//!
//! A record is *waiting*, then part of a *batch*; the batch is frozen (members and idempotency key are
//! stored before the first attempt), so that every retry repeats exactly the same request. Only the
//! server's answer moves a record on: to *sent*, or to *refused* with the reason. A batch that the server
//! refuses as a whole is cut in two until the guilty record stands alone. One request is under way at a time.
//!
//! **Order.** Records of one item reach the server in order of creation, whatever the server does with a
//! request: a batch holds one record of an item at most, and none goes into a batch while an earlier one of
//! its item is in another. Items do not wait for each other: a record that the server leaves unmentioned holds
//! up its own item only, and many of them take every other request at most. What is refused leaves this order;
//! sent again by the person, it goes before the records of its item that still wait and after those that are
//! sent. That is why backends reckon with sets and not with the order of arrival (`docs/backend.md`).
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
    /// Most bytes of records in one request; a record that is larger goes alone.
    pub batch_bytes: usize,
    /// Back-off of the first retry, milliseconds.
    pub retry_base_ms: i64,
    /// Longest back-off, milliseconds.
    pub retry_cap_ms: i64,
    /// How long failure after failure is borne before sending waits for the person, milliseconds; `None`: for
    /// ever. A new visit begins anew.
    pub retry_for_ms: Option<i64>,
}

impl Default for DeliveryRules {
    fn default() -> Self {
        Self {
            batch_most: 50,
            batch_bytes: 512 << 10,
            retry_base_ms: 1_000,
            // Also how long a server that is back waits for its records at most.
            retry_cap_ms: 30_000,
            retry_for_ms: None,
        }
    }
}

/// The longest that anything waits by itself, whatever a server wishes or a clock says.
const LONGEST_MS: i64 = 86_400_000;

/// How many waiting records are looked at for one batch, as a multiple of its size: those of one item go one by
/// one, and a long row of them must not be gone through for each.
const LOOK: usize = 20;

/// What the outbox has to know of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parcel {
    /// Whose order it keeps: [`hash`](super::ident::hash) of the item's id. Two items with one hash wait for
    /// each other, and that is all.
    pub item: u64,
    /// Its size in a request, bytes.
    pub bytes: usize,
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
    /// It wants this one again later, with its reason: it is busy, and not at odds with the record.
    Later(Arc<str>),
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
        /// `Retry-After`, milliseconds; at most a day is granted.
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
    /// Store durably that these refused records are not to be sent any more. The records themselves stay.
    Discard(Vec<RecordId>),
}

/// Why nothing is being sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hold {
    /// The browser has no network.
    Offline,
    /// Another tab sends.
    OtherTab,
    /// After a failure.
    RetryAt {
        /// When it is tried again.
        at: Timestamp,
        /// Since when it has been failing, in this visit.
        since: Timestamp,
        /// What failed.
        why: Arc<str>,
    },
    /// The server wants other credentials; goes on by [`Outbox::resume`].
    Unauthorized(Arc<str>),
    /// The endpoint is wrong; goes on by [`Outbox::resume`].
    WrongAddress(Arc<str>),
    /// It has failed for as long as [`DeliveryRules::retry_for_ms`]; goes on by [`Outbox::resume`] or when a
    /// network comes back.
    GaveUp {
        /// Since when it has been failing.
        since: Timestamp,
        /// What failed last.
        why: Arc<str>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Under {
    Freezing,
    Ready,
    Sending,
}

/// A failure that has not been made good.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Failing {
    since: Timestamp,
    why: Arc<str>,
}

#[derive(Clone, Debug)]
struct Live {
    batch: Batch,
    under: Under,
    /// The server answers and leaves these records out: they wait for themselves, not for the server.
    left_out: Option<Failing>,
    /// They were left out, in this visit or perhaps in an earlier one: others get their turn between such batches.
    behind: bool,
}

/// The search for the record for which a batch was refused: half of it is sent, the other half waits.
///
/// If the server takes all of the first half, the culprit is in the second, which need not be sent to learn
/// that; if it refuses the first half, nothing is known of the second, and its records wait like all others.
/// So one culprit among n costs about log₂ n requests, half of what sending both halves at each cut does.
/// Not stored: after a crash the second half simply waits.
#[derive(Clone, Debug)]
struct Search {
    /// The batch that is tried.
    tried: BatchId,
    /// The others of the refused batch.
    rest: Vec<RecordId>,
}

/// Everything that is on its way to the server.
#[derive(Clone, Debug)]
pub struct Outbox {
    rules: DeliveryRules,
    leader: bool,
    online: bool,
    stopped: Option<Hold>,
    /// Of the whole server; an answer that says something of a record makes it good.
    failing: Option<Failing>,
    /// Requests in a row that came to nothing.
    failures: u32,
    /// After a failure nothing is sent before this moment.
    pause: Timestamp,
    /// The latest moment that was told.
    seen: Timestamp,
    /// Every record that the server does not have: waiting, in a batch or refused.
    parcels: Sorted<RecordId, Parcel>,
    waiting: Keys<RecordId>,
    batches: VecDeque<Live>,
    /// The last request was of a batch that is [`behind`](Live::behind).
    others_turn: bool,
    search: Option<Search>,
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
            failing: None,
            failures: 0,
            pause: Timestamp::default(),
            seen: Timestamp::default(),
            parcels: Sorted::default(),
            waiting: Keys::default(),
            batches: VecDeque::new(),
            others_turn: false,
            search: None,
            refused: Sorted::default(),
            sent: 0,
        }
    }

    /// Takes over what the store holds: replaces everything that was known. `about` knows the records. Gives back
    /// the batches of more records than today's rules allow: their records wait, to go in smaller ones.
    pub fn restore(
        &mut self,
        waiting: impl IntoIterator<Item = RecordId>,
        batches: impl IntoIterator<Item = Batch>,
        refused: impl IntoIterator<Item = (RecordId, Arc<str>)>,
        sent: usize,
        about: impl Fn(RecordId) -> Parcel,
    ) -> Vec<BatchId> {
        // Filled one by one, here and elsewhere: `collect` brings a sort along for each type.
        self.parcels.clear();
        self.refused.clear();
        for (record, why) in refused {
            self.parcels.insert(record, about(record));
            self.refused.insert(record, why);
        }
        self.waiting.clear();
        for record in waiting {
            self.parcels.insert(record, about(record));
            self.waiting.insert(record);
        }
        self.batches.clear();
        self.search = None;
        (self.failures, self.pause) = (0, Timestamp::default());
        let mut too_large = Vec::new();
        for batch in batches {
            if batch.records.len() > self.rules.batch_most.max(1) {
                too_large.push(batch.id);
                for record in batch.records {
                    self.parcels.insert(record, about(record));
                    self.waiting.insert(record);
                    self.refused.remove(record);
                }
                continue;
            }
            for record in &batch.records {
                self.parcels.insert(*record, about(*record));
                self.waiting.remove(*record);
                // What was refused and is being tried again is on its way.
                self.refused.remove(*record);
            }
            // Which of them failed with the server and which was left out by it is not stored: all wait.
            self.failures = self.failures.max(batch.attempts);
            self.pause = self.pause.max(batch.not_before);
            let first = batch.records.first();
            let at = self.batches.partition_point(|other| other.batch.records.first() < first);
            let behind = batch.attempts > 0;
            self.batches.insert(at, Live { batch, under: Under::Ready, left_out: None, behind });
        }
        self.sent = sent;
        too_large
    }

    /// Records that are on their way, in batches or not, oldest first.
    pub fn undelivered(&self) -> impl Iterator<Item = RecordId> {
        self.parcels.keys().filter(|id| !self.refused.contains_key(*id))
    }

    /// The oldest of them, found without going through all that is refused.
    #[must_use]
    pub fn oldest(&self) -> Option<RecordId> {
        let ours = |id: &RecordId| self.parcels.contains_key(*id) && !self.refused.contains_key(*id);
        let in_batches = self.batches.iter().flat_map(|live| live.batch.records.iter().copied());
        self.waiting.iter().find(ours).into_iter().chain(in_batches.filter(ours)).min()
    }

    /// Adds a record that is stored durably.
    pub fn add(&mut self, record: RecordId, parcel: Parcel) {
        if self.parcels.insert(record, parcel).is_none() {
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
            self.hurry();
            self.stopped.take_if(|hold| matches!(hold, Hold::GaveUp { .. }));
        }
        self.online = online;
    }

    /// Goes on after [`Hold::Unauthorized`], [`Hold::WrongAddress`] or [`Hold::GaveUp`], and skips a back-off
    /// that is under way.
    pub fn resume(&mut self) {
        self.stopped = None;
        self.hurry();
    }

    fn hurry(&mut self) {
        self.pause = Timestamp::default();
        self.failing = None;
        for live in &mut self.batches {
            live.batch.not_before = Timestamp::default();
        }
    }

    /// The batch is stored.
    pub fn frozen(&mut self, id: BatchId) {
        // Only once for each time that it is to be stored: a request that is under way stays so.
        let live = self.batches.iter_mut().find(|live| live.batch.id == id && live.under == Under::Freezing);
        if let Some(live) = live {
            live.under = Under::Ready;
        }
    }

    /// Sends refused records once more, all or some; says which.
    pub fn retry_refused(&mut self, records: &[RecordId]) -> Vec<RecordId> {
        let again: Vec<_> = records.iter().copied().filter(|id| self.refused.remove(*id).is_some()).collect();
        self.waiting.extend(again.iter().copied());
        again
    }

    /// Gives up sending refused records, all or some: they are not listed any more. `None`: none was refused.
    pub fn discard_refused(&mut self, records: &[RecordId]) -> Option<Errand> {
        let mut gone = Vec::new();
        for record in records {
            if self.refused.remove(*record).is_some() {
                self.parcels.remove(*record);
                gone.push(*record);
            }
        }
        (!gone.is_empty()).then_some(Errand::Discard(gone))
    }

    /// The server answered an attempt.
    ///
    /// What it says of records holds whenever it comes; a failure counts only while the request is under way.
    pub fn replied(
        &mut self,
        id: BatchId,
        reply: Reply,
        chance: &mut Chance,
        now: Timestamp,
    ) -> Option<Errand> {
        self.clock(now);
        let at = self.batches.iter().position(|live| live.batch.id == id)?;
        match reply {
            Reply::Verdicts(verdicts) => {
                let live = self.batches.remove(at)?;
                Some(self.settle(live, verdicts, chance, now))
            }
            Reply::RefusedWhole(why) => {
                let live = self.batches.remove(at)?;
                Some(self.bisect(live.batch, &why, chance, now))
            }
            _ if self.batches[at].under != Under::Sending => None,
            Reply::TryLater { why, after_ms } => {
                let until = self.failed(&why, after_ms, chance, now);
                self.put_off(at, until)
            }
            Reply::Unauthorized(why) => {
                self.stopped = Some(Hold::Unauthorized(why));
                self.put_off(at, now)
            }
            Reply::WrongAddress(why) => {
                self.stopped = Some(Hold::WrongAddress(why));
                self.put_off(at, now)
            }
        }
    }

    /// The server as a whole failed: until when everything waits.
    fn failed(
        &mut self,
        why: &Arc<str>,
        after_ms: Option<i64>,
        chance: &mut Chance,
        now: Timestamp,
    ) -> Timestamp {
        self.failures += 1;
        // A server may wish for more time, not for less: `Retry-After: 0` is no call to hammer it.
        let backoff = self.backoff(self.failures, chance);
        let until = now.plus(after_ms.map_or(backoff, |wish| wish.max(backoff)).min(LONGEST_MS));
        self.pause = self.pause.max(until);
        let since = self.failing.take().map_or(now, |failing| failing.since);
        self.failing = Some(Failing { since, why: why.clone() });
        if self.too_long(since, now) {
            self.stopped = Some(Hold::GaveUp { since, why: why.clone() });
        }
        self.pause
    }

    fn too_long(&self, since: Timestamp, now: Timestamp) -> bool {
        self.rules.retry_for_ms.is_some_and(|most| now.since(since) >= most)
    }

    fn works(&mut self) {
        (self.failures, self.failing) = (0, None);
        self.stopped.take_if(|hold| matches!(hold, Hold::GaveUp { .. }));
    }

    fn put_off(&mut self, at: usize, until: Timestamp) -> Option<Errand> {
        let live = self.batches.get_mut(at)?;
        live.under = Under::Freezing;
        live.batch.not_before = until;
        Some(Errand::Freeze(live.batch.clone()))
    }

    fn settle(
        &mut self,
        live: Live,
        verdicts: Vec<(RecordId, Verdict)>,
        chance: &mut Chance,
        now: Timestamp,
    ) -> Errand {
        let Live { batch, left_out, .. } = live;
        let search = self.search.take_if(|search| search.tried == batch.id);
        let mut unheard = Keys::<RecordId>::default();
        unheard.extend(batch.records.iter().copied());
        let (mut sent, mut refused) = (Vec::new(), Vec::new());
        let mut why = None;
        for (record, verdict) in verdicts {
            match verdict {
                Verdict::Later(words) if unheard.contains(record) => why = Some(words),
                Verdict::Stored if unheard.remove(record) => sent.push(record),
                Verdict::Refused(words) if unheard.remove(record) => refused.push((record, words)),
                _ => {}
            }
        }
        let heard = sent.len() + refused.len();
        if heard > 0 {
            self.works();
        }
        let mut remaining = Vec::new();
        // Another batch may have settled it where two tabs sent at once.
        let ours = |id: &RecordId| self.parcels.contains_key(*id) && !self.refused.contains_key(*id);
        let unheard: Vec<_> = unheard.iter().filter(ours).collect();
        if !unheard.is_empty() {
            let why = why.unwrap_or_else(|| "the server did not say that it has every record".into());
            let since = left_out.as_ref().map_or(now, |failing| failing.since);
            if left_out.is_some() && self.too_long(since, now) {
                // The server does answer; there is nothing to wait for.
                refused.extend(unheard.iter().map(|id| (*id, why.clone())));
            } else {
                // Another membership is another request and needs another key.
                let same = unheard.len() == batch.records.len();
                let attempts = if same { batch.attempts } else { 0 };
                let mut not_before = now.plus(self.backoff(attempts, chance));
                if heard == 0 && left_out.is_none() {
                    // An answer that says nothing of anything is a failure of the server.
                    not_before = not_before.max(self.failed(&why, None, chance, now));
                }
                let id = if same { batch.id } else { chance.batch_id(now) };
                let records = unheard;
                let batch = Batch { id, records, attempts, not_before };
                remaining.push(batch.clone());
                self.put_back(batch, Some(Failing { since, why }));
            }
        }
        for record in &sent {
            self.has(*record);
        }
        for (record, why) in &refused {
            self.refuse(*record, why);
        }
        if let Some(search) = search
            && sent.len() == batch.records.len()
        {
            remaining.extend(self.cut(&search.rest, chance, now));
        }
        Errand::Settle { batch: batch.id, sent, refused, remaining }
    }

    fn has(&mut self, record: RecordId) {
        // Counted once, also where two tabs sent it.
        self.sent += usize::from(self.parcels.remove(record).is_some());
        self.waiting.remove(record);
        self.refused.remove(record);
    }

    fn refuse(&mut self, record: RecordId, why: &Arc<str>) {
        self.waiting.remove(record);
        if self.parcels.contains_key(record) {
            self.refused.insert(record, why.clone());
        }
    }

    fn bisect(&mut self, batch: Batch, why: &Arc<str>, chance: &mut Chance, now: Timestamp) -> Errand {
        self.works();
        let mut refused = Vec::new();
        let mut remaining = None;
        if let [record] = batch.records[..] {
            self.refuse(record, why);
            refused.push((record, why.clone()));
        } else {
            // Another tab may have settled some where two sent at once.
            let mut still = batch.records.clone();
            still.retain(|id| self.parcels.contains_key(*id) && !self.refused.contains_key(*id));
            self.waiting.extend(still.iter().copied());
            if still.len() == batch.records.len() {
                remaining = self.cut(&still, chance, now);
            }
        }
        let remaining = remaining.into_iter().collect();
        Errand::Settle { batch: batch.id, sent: Vec::new(), refused, remaining }
    }

    /// The first half of `records`, which wait and one of which the server does not want, as a batch. `None` if
    /// some of them are in another batch by now, or an earlier record of their items waits: then all wait.
    fn cut(&mut self, records: &[RecordId], chance: &mut Chance, now: Timestamp) -> Option<Batch> {
        let mut busy = Keys::default();
        self.note_items(self.batches.len(), &mut busy);
        // Both in order of creation: one walk meets each of `records` after all that waits before it.
        let (last, mut unmet) = (*records.last()?, records);
        for id in self.waiting.iter().take_while(|id| *id <= last) {
            let item = self.item(&id);
            if unmet.first() == Some(&id) {
                if busy.contains(item?) {
                    return None;
                }
                unmet = &unmet[1..];
            } else {
                busy.extend(item);
            }
        }
        if !unmet.is_empty() {
            return None;
        }
        // One alone is sent, too: only then the server says what is wrong with it.
        let (first, rest) = records.split_at((records.len() / 2).max(1));
        let id = chance.batch_id(now);
        for record in first {
            self.waiting.remove(*record);
        }
        if !rest.is_empty() {
            self.search = Some(Search { tried: id, rest: rest.to_vec() });
        }
        let batch = Batch { id, records: first.to_vec(), attempts: 0, not_before: Timestamp::default() };
        self.put_back(batch.clone(), None);
        Some(batch)
    }

    fn put_back(&mut self, batch: Batch, left_out: Option<Failing>) {
        // Not sent before it is stored: [`Outbox::frozen`] follows the settlement.
        let behind = left_out.is_some();
        self.batches.push_front(Live { batch, under: Under::Freezing, left_out, behind });
    }

    /// Full jitter: uniform in 0 to min(cap, base · 2^n) (Brooker, *Exponential Backoff And Jitter*, AWS
    /// Architecture Blog, 2015), but never under a tenth of the base, so that a dead server is not hammered.
    fn backoff(&self, attempts: u32, chance: &mut Chance) -> i64 {
        let doubled = self.rules.retry_base_ms.saturating_mul(1 << attempts.saturating_sub(1).min(30));
        #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
        let drawn = (chance.unit() * doubled.min(self.rules.retry_cap_ms) as f64) as i64;
        drawn.max(self.rules.retry_base_ms / 10)
    }

    /// Keeps waits as long as they were meant when the clock is set back, and bounded when a stored moment
    /// comes from a clock that was wrong.
    fn clock(&mut self, now: Timestamp) {
        let back = self.seen.since(now);
        self.seen = now;
        let longest = now.plus(LONGEST_MS);
        let mend = |moment: &mut Timestamp| {
            *moment = moment.plus(-back);
            if *moment > longest {
                *moment = Timestamp::default();
            }
        };
        mend(&mut self.pause);
        self.batches.iter_mut().for_each(|live| mend(&mut live.batch.not_before));
        self.failing.iter_mut().for_each(|failing| mend(&mut failing.since));
        for failing in self.batches.iter_mut().filter_map(|live| live.left_out.as_mut()) {
            mend(&mut failing.since);
        }
    }

    /// What is to be done now, if anything. Calling it twice without news yields nothing new.
    pub fn errand(&mut self, chance: &mut Chance, now: Timestamp) -> Option<Errand> {
        self.clock(now);
        let under = |under| self.batches.iter().any(|live| live.under == under);
        if !self.free() || self.pause > now || under(Under::Sending) {
            return None;
        }
        // Many records that a server wants later would keep it busy with themselves: between two batches of them
        // goes another, or what waits.
        let mut due = self.due(Some(!self.others_turn));
        if !self.others_turn {
            due = due.or_else(|| self.due(None));
        }
        let records = if due.is_none() { self.next_records() } else { Vec::new() };
        let others = self.batches.iter().any(|live| live.under == Under::Freezing && !live.behind);
        if self.others_turn && !others && records.is_empty() {
            due = due.or_else(|| self.due(None));
        }
        if let Some(at) = due {
            let live = &mut self.batches[at];
            live.under = Under::Sending;
            live.batch.attempts += 1;
            self.others_turn = live.behind;
            return Some(Errand::Send(live.batch.clone()));
        }
        if under(Under::Freezing) || records.is_empty() {
            return None;
        }
        for record in &records {
            self.waiting.remove(*record);
        }
        let id = chance.batch_id(now);
        let batch = Batch { id, records, attempts: 0, not_before: Timestamp::default() };
        let live = Live { batch: batch.clone(), under: Under::Freezing, left_out: None, behind: false };
        self.batches.push_back(live);
        Some(Errand::Freeze(batch))
    }

    fn free(&self) -> bool {
        self.leader && self.online && self.stopped.is_none()
    }

    /// The first batch whose time has come and whose items no earlier batch holds. (That one does happens only
    /// where two tabs made batches at once.) `behind`: only of those that are [`behind`](Live::behind), or only of the
    /// others.
    fn due(&self, behind: Option<bool>) -> Option<usize> {
        (0..self.batches.len()).find(|&at| {
            let live = &self.batches[at];
            live.under == Under::Ready
                && behind.is_none_or(|behind| live.behind == behind)
                && live.batch.not_before <= self.seen
                && {
                    let mut earlier = Keys::default();
                    self.note_items(at, &mut earlier);
                    !live
                        .batch
                        .records
                        .iter()
                        .filter_map(|id| self.item(id))
                        .any(|item| earlier.contains(item))
                }
        })
    }

    fn item(&self, record: &RecordId) -> Option<u64> {
        self.parcels.get(*record).map(|parcel| parcel.item)
    }

    /// The items of the first `count` batches.
    fn note_items(&self, count: usize, items: &mut Keys<u64>) {
        for live in self.batches.range(..count) {
            items.extend(live.batch.records.iter().filter_map(|id| self.item(id)));
        }
    }

    /// What goes into the next batch: the oldest records that wait, one of an item, none of an item that is
    /// in a batch.
    fn next_records(&self) -> Vec<RecordId> {
        let most = self.rules.batch_most.max(1);
        let (mut records, mut bytes, mut busy) = (Vec::new(), 0, Keys::default());
        self.note_items(self.batches.len(), &mut busy);
        for record in self.waiting.iter().take(most.saturating_mul(LOOK)) {
            let Some(parcel) = self.parcels.get(record) else { continue };
            if !busy.insert(parcel.item) {
                continue;
            }
            bytes += parcel.bytes;
            if records.len() == most || (bytes > self.rules.batch_bytes && !records.is_empty()) {
                break;
            }
            records.push(record);
        }
        records
    }

    /// When [`Outbox::errand`] should be asked again, if time alone changes the answer. To be asked after it.
    #[must_use]
    pub fn wake_at(&self) -> Option<Timestamp> {
        let under_way = self.batches.iter().any(|live| live.under != Under::Ready);
        if self.free() && !under_way { self.next_at() } else { None }
    }

    fn next_at(&self) -> Option<Timestamp> {
        if self.waiting() == 0 {
            return None;
        }
        if self.pause > self.seen {
            return Some(self.pause);
        }
        // What was due and is still here waits for one of the others.
        self.batches.iter().map(|live| live.batch.not_before).filter(|at| *at > self.seen).min()
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
        let busy = |live: &Live| live.under != Under::Ready && live.batch.not_before <= now;
        if self.batches.iter().any(|live| live.under == Under::Sending || (busy(live) && self.pause <= now)) {
            return None;
        }
        let at = self.next_at().filter(|at| *at > now)?;
        let mut left_out = self.batches.iter().filter(|live| live.batch.not_before == at);
        let failing = self.failing.clone().filter(|_| self.pause > now);
        let failing = failing.or_else(|| left_out.find_map(|live| live.left_out.clone()));
        let Failing { since, why } = failing
            .unwrap_or_else(|| Failing { since: now, why: "an attempt of an earlier visit failed".into() });
        Some(Hold::RetryAt { at, since, why })
    }

    /// Records that the server does not have yet, without those that it refused.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.parcels.len() - self.refused.len()
    }

    /// Records in a request that is under way.
    #[must_use]
    pub fn sending(&self) -> usize {
        let sending = self.batches.iter().filter(|live| live.under == Under::Sending);
        sending.map(|live| live.batch.records.len()).sum()
    }

    /// Records that the server has.
    #[must_use]
    pub fn sent(&self) -> usize {
        self.sent
    }

    /// Records that another tab has delivered.
    pub fn sent_elsewhere(&mut self, records: &[RecordId]) {
        for record in records {
            self.has(*record);
        }
        if !self.leader {
            // Only a picture of the store, which is read again before this tab sends. What is left stays whole:
            // a batch never changes, also where this tab has sent it before it lost the lead.
            let parcels = &self.parcels;
            self.batches.retain(|live| live.batch.records.iter().any(|id| parcels.contains_key(*id)));
        }
    }

    /// Records that the server refused to another tab, with its reason. Who sends knows better itself.
    pub fn refused_elsewhere(&mut self, refused: Vec<(RecordId, Arc<str>)>) {
        if self.leader {
            return;
        }
        for (record, why) in refused {
            if self.parcels.contains_key(record) {
                self.waiting.remove(record);
                self.refused.insert(record, why);
            }
        }
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
            Hold::RetryAt { why, .. } | Hold::GaveUp { why, .. } => f.write_str(why),
            Hold::Unauthorized(why) => write!(f, "the server wants other credentials ({why})"),
            Hold::WrongAddress(why) => write!(f, "the address or the format is wrong ({why})"),
        }
    }
}
