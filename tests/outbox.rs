//! The outbox as a state machine against a store, a network, a server, a clock, crashes and a second tab,
//! with a plain model of what must hold.
//!
//! A normal run takes over 10^5 steps; `PROPTEST_CASES` makes it more (400 steps a case on average).
#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use hitl_labeler::domain::ident::{BatchId, Chance, RecordId, Timestamp};
use hitl_labeler::domain::outbox::{Batch, DeliveryRules, Errand, Hold, Outbox, Reply, Verdict};
use proptest::prelude::*;

const START: Timestamp = Timestamp(1_800_000_000_000);
const ITEMS: u8 = 5;
const RULES: DeliveryRules = DeliveryRules { batch_most: 7, retry_base_ms: 1_000, retry_cap_ms: 60_000 };

/// What happens next; numbers choose among what is there.
#[derive(Clone, Copy, Debug)]
enum Step {
    Record { item: u8, poison: bool },
    Errand { tab: bool },
    StoreWrites,
    Serve(Weather),
    ReplyArrives,
    Crash { tab: bool, writes_done: u8 },
    Time(u32),
    Online(bool),
    Resume,
    RetryRefused,
    WholeRefusals(bool),
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug)]
enum Weather {
    Fine,
    Lost,
    AnswerLost,
    /// The server dies after some records.
    Partly(u8),
    /// It takes all and speaks of some only, and of strangers.
    Mumbles(u8),
    Busy(Option<u16>),
    Unauthorized,
    NotFound,
}

fn step() -> impl Strategy<Value = Step> {
    let weather = prop_oneof![
        6 => Just(Weather::Fine),
        1 => Just(Weather::Lost),
        1 => Just(Weather::AnswerLost),
        1 => any::<u8>().prop_map(Weather::Partly),
        1 => any::<u8>().prop_map(Weather::Mumbles),
        1 => any::<Option<u16>>().prop_map(Weather::Busy),
        1 => prop_oneof![Just(Weather::Unauthorized), Just(Weather::NotFound)],
    ];
    prop_oneof![
        6 => (0..ITEMS, prop::bool::weighted(0.1)).prop_map(|(item, poison)| Step::Record { item, poison }),
        10 => prop::bool::weighted(0.2).prop_map(|tab| Step::Errand { tab }),
        8 => Just(Step::StoreWrites),
        8 => weather.prop_map(Step::Serve),
        8 => Just(Step::ReplyArrives),
        1 => (any::<bool>(), any::<u8>()).prop_map(|(tab, writes_done)| Step::Crash { tab, writes_done }),
        6 => (1_u32..90_000).prop_map(Step::Time),
        1 => prop::bool::weighted(0.7).prop_map(Step::Online),
        2 => Just(Step::Resume),
        1 => Just(Step::RetryRefused),
        1 => any::<bool>().prop_map(Step::WholeRefusals),
    ]
}

struct Tab {
    outbox: Outbox,
    chance: Chance,
    /// Writes that the store has not done yet.
    writes: VecDeque<Errand>,
    /// Grows with each crash: replies to a dead page reach nobody.
    life: u64,
}

struct Request {
    tab: usize,
    life: u64,
    batch: Batch,
    reply: Option<Reply>,
}

struct Sim {
    now: Timestamp,
    lives: u64,
    ids: Chance,
    tabs: [Tab; 2],
    leader: usize,
    online: bool,
    // The store.
    records: BTreeMap<RecordId, u8>,
    sent: BTreeSet<RecordId>,
    refused: BTreeMap<RecordId, Arc<str>>,
    batches: BTreeMap<BatchId, Batch>,
    // The network and the server.
    requests: Vec<Request>,
    members_by_key: HashMap<BatchId, Vec<RecordId>>,
    server: Vec<RecordId>,
    whole_refusals: bool,
    poison: BTreeSet<RecordId>,
}

fn tab(life: u64) -> Tab {
    Tab { outbox: Outbox::new(RULES), chance: Chance::new([life, 5]), writes: VecDeque::new(), life }
}

impl Sim {
    fn new() -> Self {
        let mut tabs = [tab(1), tab(2)];
        tabs[0].outbox.lead(true);
        Self {
            now: START,
            lives: 2,
            ids: Chance::new([3, 3]),
            tabs,
            leader: 0,
            online: true,
            records: BTreeMap::new(),
            sent: BTreeSet::new(),
            refused: BTreeMap::new(),
            batches: BTreeMap::new(),
            requests: Vec::new(),
            members_by_key: HashMap::new(),
            server: Vec::new(),
            whole_refusals: false,
            poison: BTreeSet::new(),
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Record { item, poison } => {
                let id = self.ids.record_id(self.now);
                self.records.insert(id, item);
                if poison {
                    self.poison.insert(id);
                }
                self.tabs.iter_mut().for_each(|tab| tab.outbox.add(id));
            }
            Step::Errand { tab } => self.errand(usize::from(tab)),
            Step::StoreWrites => self.store_writes(self.leader),
            Step::Serve(weather) => self.serve(weather),
            Step::ReplyArrives => self.reply_arrives(),
            Step::Crash { tab, writes_done } => self.crash(usize::from(tab), usize::from(writes_done % 3)),
            Step::Time(ms) => self.now = self.now.plus(i64::from(ms)),
            Step::Online(online) => {
                self.online = online;
                self.tabs.iter_mut().for_each(|tab| tab.outbox.online(online));
            }
            Step::Resume => self.tabs[self.leader].outbox.resume(),
            Step::RetryRefused => {
                let all: Vec<_> = self.refused.keys().copied().collect();
                self.tabs[self.leader].outbox.retry_refused(&all);
            }
            Step::WholeRefusals(whole) => self.whole_refusals = whole,
        }
        self.check();
    }

    fn errand(&mut self, at: usize) {
        let tab = &mut self.tabs[at];
        let Some(errand) = tab.outbox.errand(&mut tab.chance, self.now) else { return };
        assert_eq!(at, self.leader, "only the leader has errands");
        assert!(self.online, "nothing is begun without a network");
        match errand {
            Errand::Send(batch) => {
                let frozen = self.batches.get(&batch.id).expect("stored before it is sent");
                assert_eq!(frozen.records, batch.records, "what is sent is what was stored");
                assert!(batch.records.len() <= RULES.batch_most);
                assert!(batch.not_before <= self.now, "not before its time");
                let life = tab.life;
                let alive = self.requests.iter().any(|r| r.life == life);
                assert!(!alive, "one request at a time");
                self.requests.push(Request { tab: at, life, batch, reply: None });
            }
            write => tab.writes.push_back(write),
        }
        assert!(
            self.tabs[at].outbox.errand(&mut self.tabs[at].chance.clone(), self.now).is_none(),
            "no news, no errand"
        );
    }

    /// The store does the oldest write, all of it or nothing, and says so.
    fn store_writes(&mut self, at: usize) {
        let Some(write) = self.tabs[at].writes.pop_front() else { return };
        for frozen in self.write(write) {
            self.tabs[at].outbox.frozen(frozen);
        }
    }

    fn write(&mut self, errand: Errand) -> Vec<BatchId> {
        match errand {
            Errand::Freeze(batch) => {
                let id = batch.id;
                self.batches.insert(id, batch);
                vec![id]
            }
            Errand::Settle { batch, sent, refused, remaining } => {
                self.batches.remove(&batch).expect("it was stored");
                for id in &sent {
                    assert!(self.server.contains(id), "called sent, and the server does not have it");
                    self.refused.remove(id);
                }
                self.tabs[1 - self.leader].outbox.sent_elsewhere(&sent);
                self.sent.extend(sent);
                self.refused.extend(refused);
                remaining
                    .into_iter()
                    .map(|batch| {
                        let id = batch.id;
                        self.batches.insert(id, batch);
                        id
                    })
                    .collect()
            }
            Errand::Send(_) => unreachable!(),
        }
    }

    fn serve(&mut self, weather: Weather) {
        let Some(at) = self.requests.iter().position(|request| request.reply.is_none()) else { return };
        let batch = self.requests[at].batch.clone();
        let later = |why: &str, after_ms| Reply::TryLater { why: why.into(), after_ms };
        let members = match weather {
            Weather::Lost => None,
            Weather::Partly(n) => Some(usize::from(n) % batch.records.len()),
            Weather::Busy(_) | Weather::Unauthorized | Weather::NotFound => None,
            _ => Some(batch.records.len()),
        };
        if !matches!(weather, Weather::Lost) {
            let known = self.members_by_key.entry(batch.id).or_insert_with(|| batch.records.clone());
            assert_eq!(*known, batch.records, "one key, one request");
        }
        let poisoned = batch.records.iter().any(|id| self.poison.contains(id));
        let reply = match (weather, members) {
            (Weather::Busy(after), _) => later("503", after.map(i64::from)),
            (Weather::Unauthorized, _) => Reply::Unauthorized("401".into()),
            (Weather::NotFound, _) => Reply::WrongAddress("404".into()),
            (_, None) => later("network", None),
            (Weather::Fine, _) if self.whole_refusals && poisoned => Reply::RefusedWhole("422".into()),
            (_, Some(_)) if self.whole_refusals && poisoned => later("500", None),
            (_, Some(count)) => {
                let verdicts = self.store_on_server(&batch.records[..count]);
                match weather {
                    Weather::Fine => Reply::Verdicts(verdicts),
                    Weather::Mumbles(n) => {
                        let stranger = (self.ids.record_id(self.now), Verdict::Stored);
                        let kept = verdicts.into_iter().enumerate().filter(|(i, _)| n >> (i % 8) & 1 == 1);
                        Reply::Verdicts(kept.map(|(_, verdict)| verdict).chain([stranger]).collect())
                    }
                    _ => later("the answer was lost", None),
                }
            }
        };
        self.requests[at].reply = Some(reply);
    }

    fn store_on_server(&mut self, records: &[RecordId]) -> Vec<(RecordId, Verdict)> {
        let mut verdicts = Vec::new();
        for id in records {
            if self.poison.contains(id) {
                verdicts.push((*id, Verdict::Refused("poison".into())));
                continue;
            }
            if !self.server.contains(id) {
                let item = self.records[id];
                let earlier = self.server.iter().filter(|known| self.records[known] == item);
                assert!(
                    earlier.max().is_none_or(|last| last < id),
                    "the order of an item's records inverted"
                );
                self.server.push(*id);
            }
            verdicts.push((*id, Verdict::Stored));
        }
        verdicts
    }

    fn reply_arrives(&mut self) {
        let Some(at) = self.requests.iter().position(|request| request.reply.is_some()) else { return };
        let request = self.requests.remove(at);
        let tab = &mut self.tabs[request.tab];
        if tab.life != request.life {
            return;
        }
        let reply = request.reply.unwrap();
        if let Some(errand) = tab.outbox.replied(request.batch.id, reply.clone(), &mut tab.chance, self.now) {
            tab.writes.push_back(errand);
        }
        let again = tab.outbox.clone().replied(request.batch.id, reply, &mut tab.chance.clone(), self.now);
        assert!(!matches!(again, Some(Errand::Send(_))));
    }

    /// The page is gone in the midst of it: some of its writes were done, nothing else is left.
    fn crash(&mut self, at: usize, writes_done: usize) {
        for _ in 0..writes_done {
            self.store_writes(at);
        }
        self.lives += 1;
        self.tabs[at] = tab(self.lives);
        self.tabs[at].outbox.online(self.online);
        self.restore(at);
        if at == self.leader {
            // Its lock goes to the other one, which reads the store anew.
            self.leader = 1 - at;
            self.restore(self.leader);
            self.tabs[self.leader].outbox.lead(true);
        }
    }

    fn restore(&mut self, at: usize) {
        let waiting =
            self.records.keys().filter(|id| !self.sent.contains(id) && !self.refused.contains_key(id));
        let outbox = &mut self.tabs[at].outbox;
        let refused = self.refused.iter().map(|(id, why)| (*id, why.clone()));
        outbox.restore(waiting.copied(), self.batches.values().cloned(), refused, self.sent.len());
    }

    fn check(&self) {
        for id in &self.sent {
            assert!(self.server.contains(id), "nothing leaves before the server has it");
            assert!(!self.refused.contains_key(id), "sent and refused");
        }
        let once: BTreeSet<_> = self.server.iter().collect();
        assert_eq!(once.len(), self.server.len(), "each record once");
        let leader = &self.tabs[self.leader];
        let outbox = &leader.outbox;
        let known = outbox.waiting() + outbox.refused().len() + outbox.sent();
        assert_eq!(known, self.records.len(), "every record is somewhere, and in one place only");
        assert!(outbox.sending() <= outbox.waiting());
        if leader.writes.is_empty() {
            assert_eq!(outbox.sent(), self.sent.len());
        }
        assert_eq!(self.tabs[1 - self.leader].outbox.sending(), 0);
    }

    /// No more faults: how many requests it takes until nothing waits.
    fn calm(&mut self) -> usize {
        self.take(Step::Online(true));
        self.take(Step::Resume);
        let mut requests = 0;
        for _ in 0..20_000 {
            let before = self.requests.len();
            self.take(Step::Errand { tab: self.leader == 1 });
            requests += self.requests.len() - before;
            while !self.tabs[self.leader].writes.is_empty() {
                self.take(Step::StoreWrites);
            }
            while !self.requests.is_empty() {
                self.take(Step::Serve(Weather::Fine));
                self.take(Step::ReplyArrives);
            }
            if self.tabs[self.leader].outbox.waiting() == 0 && self.tabs[self.leader].writes.is_empty() {
                return requests;
            }
            // What was unauthorised may still have been on its way when the faults ended.
            if matches!(
                self.tabs[self.leader].outbox.hold(self.now),
                Some(Hold::Unauthorized(_) | Hold::WrongAddress(_))
            ) {
                self.take(Step::Resume);
            }
            if let Some(at) = self.tabs[self.leader].outbox.wake_at().filter(|at| *at > self.now) {
                assert!(at.since(self.now) <= RULES.retry_cap_ms.max(i64::from(u16::MAX)), "waits too long");
                self.now = at;
            }
        }
        panic!("something is stuck: {:?}", self.tabs[self.leader].outbox);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost_doubled_inverted_or_stuck(steps in proptest::collection::vec(step(), 300..500)) {
        let mut sim = Sim::new();
        for step in steps {
            sim.take(step);
        }
        sim.calm();
        let on_server: BTreeSet<_> = sim.server.iter().copied().collect();
        let good: BTreeSet<_> = sim.records.keys().copied().filter(|id| !sim.poison.contains(id)).collect();
        prop_assert_eq!(&on_server, &good, "the server has each good record, once");
        prop_assert_eq!(&sim.sent, &good);
        let refused: BTreeSet<_> = sim.refused.keys().copied().collect();
        prop_assert_eq!(refused, sim.poison, "each poisoned record ended in refused");
        prop_assert!(sim.batches.is_empty(), "nothing is left behind in the store");
    }
}

/// Delivers `count` records with poison at these places to a server that refuses requests as a whole:
/// how many requests were refused and how many there were, and which records.
fn deliver(count: usize, poison: &[usize]) -> (usize, usize, Vec<usize>) {
    let mut chance = Chance::new([1, 1]);
    let mut outbox = Outbox::new(DeliveryRules { batch_most: 50, ..RULES });
    outbox.lead(true);
    let ids: Vec<_> = (0..count).map(|_| chance.record_id(START)).collect();
    ids.iter().for_each(|id| outbox.add(*id));
    let (mut refused, mut requests) = (0, 0);
    while let Some(errand) = outbox.errand(&mut chance, START) {
        match errand {
            Errand::Freeze(batch) => outbox.frozen(batch.id),
            Errand::Settle { .. } => unreachable!(),
            Errand::Send(batch) => {
                requests += 1;
                let bad = batch.records.iter().any(|id| poison.iter().any(|at| ids[*at] == *id));
                refused += usize::from(bad);
                let stored = |id: &RecordId| (*id, Verdict::Stored);
                let reply = match bad {
                    true => Reply::RefusedWhole("422".into()),
                    false => Reply::Verdicts(batch.records.iter().map(stored).collect()),
                };
                let settled = outbox.replied(batch.id, reply, &mut chance, START);
                if let Some(Errand::Settle { remaining, .. }) = settled {
                    remaining.iter().for_each(|batch| outbox.frozen(batch.id));
                }
            }
        }
    }
    assert_eq!(outbox.sent() + outbox.refused().len(), count, "nothing is left");
    (
        refused,
        requests,
        outbox.refused().keys().map(|id| ids.iter().position(|i| *i == id).unwrap()).collect(),
    )
}

#[test]
fn one_poisoned_record_in_a_batch_of_fifty_is_found_with_at_most_seven_refusals() {
    for at in 0..50 {
        let (refused, requests, found) = deliver(50, &[at]);
        assert_eq!(found, [at]);
        // The whole, and one half of each of the six cuts; the other halves go through.
        assert!(refused <= 7 && requests <= 13, "{refused} of {requests} with poison at {at}");
    }
}

#[test]
fn poison_does_not_hold_up_the_rest() {
    let (_, _, found) = deliver(200, &[0, 49, 50, 51, 120]);
    assert_eq!(found, [0, 49, 50, 51, 120]);
    assert_eq!(deliver(3, &[0, 1, 2]).2, [0, 1, 2]);
}

#[test]
fn a_request_that_was_under_way_in_a_crash_is_repeated_with_its_key_and_its_members() {
    let mut sim = Sim::new();
    for item in 0..3 {
        sim.take(Step::Record { item, poison: false });
    }
    for step in [Step::Errand { tab: false }, Step::StoreWrites, Step::Errand { tab: false }] {
        sim.take(step);
    }
    let first = sim.requests[0].batch.clone();
    sim.take(Step::Serve(Weather::AnswerLost));
    // More comes, and the page dies before it hears the answer.
    sim.take(Step::Record { item: 4, poison: false });
    sim.take(Step::Crash { tab: false, writes_done: 0 });
    sim.take(Step::Errand { tab: true });
    let second = &sim.requests.last().unwrap().batch;
    assert_eq!((second.id, &second.records), (first.id, &first.records));
    sim.calm();
    assert_eq!(sim.server.len(), 4);
}

#[test]
fn back_off_grows_with_full_jitter_up_to_its_cap_and_never_hammers() {
    let mut waits: Vec<Vec<i64>> = vec![Vec::new(); 12];
    for seed in 0..300 {
        let mut chance = Chance::new([seed, 9]);
        let mut outbox = Outbox::new(RULES);
        outbox.lead(true);
        outbox.add(chance.record_id(START));
        let mut now = START;
        let Some(Errand::Freeze(batch)) = outbox.errand(&mut chance, now) else {
            panic!("nothing to freeze")
        };
        outbox.frozen(batch.id);
        for wait in &mut waits {
            assert!(matches!(outbox.errand(&mut chance, now), Some(Errand::Send(_))));
            let reply = Reply::TryLater { why: "503".into(), after_ms: None };
            outbox.replied(batch.id, reply, &mut chance, now);
            outbox.frozen(batch.id);
            let until = outbox.wake_at().unwrap();
            wait.push(until.since(now));
            assert!(outbox.errand(&mut chance, until.plus(-1)).is_none());
            now = until;
        }
    }
    for (attempt, waits) in waits.iter().enumerate() {
        let most = (RULES.retry_base_ms << attempt.min(20)).min(RULES.retry_cap_ms);
        let (least, greatest) = (*waits.iter().min().unwrap(), *waits.iter().max().unwrap());
        assert!(least >= RULES.retry_base_ms / 10 && greatest <= most, "{least}..{greatest} of {most}");
        assert!(greatest > most / 10 * 9 && least < most / 4, "the whole range is used: {least}..{greatest}");
    }
}
