//! The world around a session: a clock that only moves when told, a model, a store and a server that do
//! what the story says.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use hitl_labeler::domain::correction::{Correction, Kind, ModelName};
use hitl_labeler::domain::dispatch::{DispatchRules, Order, Ticket, WorkerId};
use hitl_labeler::domain::ident::{BatchId, RecordId, Timestamp};
use hitl_labeler::domain::item::{Aside, AsideReason, Content, Failed, Item, ItemKey};
use hitl_labeler::domain::label::{Label, LabelId, LabelSet};
use hitl_labeler::domain::learning::head::FitRules;
use hitl_labeler::domain::learning::learner::{Learner, LearnerRules};
use hitl_labeler::domain::outbox::{Batch, DeliveryRules, Errand, Reply, Verdict};
use hitl_labeler::domain::policy::{Condition, Policy};
use hitl_labeler::domain::prediction::{Activation, ScoreScale, Temperature};
use hitl_labeler::domain::queue::Strategy;
use hitl_labeler::domain::session::{
    Accepted, Command, Kept, Learned, Milestone, ModelSpec, Notice, Phase, Question, Rules, Session, Study,
};
use hitl_labeler::domain::value::Value;
use hitl_labeler::wire::correction::to_record;
use hitl_labeler::wire::current::current_records;

/// What the model does with an item.
#[derive(Clone, Debug)]
pub enum Fate {
    Scores(Vec<f32>),
    Unreadable(AsideReason),
    KillsTheWorker,
}

/// What the store and the other tabs can see of it.
#[derive(Clone, Debug, Default)]
pub struct Store {
    pub records: Vec<Correction>,
    pub batches: BTreeMap<BatchId, Batch>,
    pub sent: BTreeSet<RecordId>,
    pub refused: BTreeMap<RecordId, Arc<str>>,
    pub discarded: BTreeSet<RecordId>,
}

impl Store {
    pub fn kept(&self) -> Kept {
        let open = |id: &RecordId| {
            !self.sent.contains(id) && !self.refused.contains_key(id) && !self.discarded.contains(id)
        };
        Kept {
            waiting: self.records.iter().map(|record| record.id).filter(open).collect(),
            batches: self.batches.values().cloned().collect(),
            refused: self.refused.iter().map(|(id, why)| (*id, why.clone())).collect(),
            discarded: self.discarded.iter().copied().collect(),
            sent: self.sent.len(),
            volatile: Vec::new(),
        }
    }
}

pub struct World {
    pub rules: Rules,
    pub session: Session,
    pub now: Timestamp,
    pub store: Store,
    pub store_works: bool,
    pub store_answers: bool,
    pub server_answers: bool,
    pub server_refuses: BTreeSet<Arc<str>>,
    pub server: Vec<Correction>,
    pub requests: Vec<Batch>,
    pub told: Vec<Milestone>,
    pub continued: usize,
    pub starts: usize,
    visits: u64,
    fates: HashMap<Arc<str>, Fate>,
    source: Vec<Item>,
    ended: bool,
    in_flight: Vec<(WorkerId, Ticket, Vec<ItemKey>)>,
    unanswered_commits: Vec<Vec<Correction>>,
    unanswered_requests: Vec<Batch>,
    inbox: VecDeque<Notice>,
    /// Learns at once when it is told to; its features are the scores.
    pub learner: Option<Learner>,
}

pub const START: Timestamp = Timestamp(1_800_000_000_000);

pub fn labels() -> LabelSet {
    let label = |id: &str| Label { id: id.into(), name: id.to_uppercase().into() };
    LabelSet::new(vec![label("cat"), label("dog")]).unwrap()
}

pub fn model() -> ModelSpec {
    ModelSpec {
        name: ModelName { name: "pets".into(), version: "1".into(), sha256: "ab".repeat(32).into() },
        scale: ScoreScale::Probabilities,
        activation: Activation::Softmax,
        temperature: Temperature::ONE,
        from_nothing: false,
    }
}

pub fn learner() -> Learner {
    Learner::new(learner_rules())
}

pub fn learner_rules() -> LearnerRules {
    LearnerRules {
        labels: 2,
        scores: true,
        features: 2,
        scale: model().scale,
        activation: model().activation,
        temperature: Temperature::ONE,
        prior: None,
        fit: FitRules::beside_a_model(),
        memory_bytes: 1 << 20,
    }
}

pub fn rules() -> Rules {
    Rules {
        labels: labels(),
        model: Some(model()),
        policy: Policy::default(),
        target: None,
        learning: None,
        strategy: Strategy::default(),
        random_share: 0.0,
        seed: 7,
        prediction_shown: Default::default(),
        annotator: Some("ann".into()),
        session: "visit".into(),
        delivery: Some(DeliveryRules::default()),
        deliver_accepted: false,
        dispatch: DispatchRules { workers: 1, ..DispatchRules::default() },
    }
}

pub fn accept_at(threshold: f32) -> Policy {
    Policy { accept_at: threshold, ..Policy::default() }
}

/// Everything that would be accepted is checked.
pub fn all_audited() -> Policy {
    Policy { audit_when: Some(Condition::Sample { percent: 100.0, seed: 0 }), ..Policy::default() }
}

pub fn item(id: &str) -> Item {
    Item { id: id.into(), content: Content::Numbers([0.0].into()), meta: Value::Null.into() }
}

impl World {
    pub fn new(rules: Rules) -> Self {
        let mut world = Self::asleep(rules);
        world.notice(Notice::Leading(Kept::default()));
        world.notice(Notice::Started);
        world
    }

    /// Before anybody pressed start, and without the right to send.
    pub fn asleep(rules: Rules) -> Self {
        let rules_learn = rules.learning.is_some();
        Self {
            session: Session::new(rules.clone(), [1, 2]),
            rules,
            now: START,
            store: Store::default(),
            store_works: true,
            store_answers: true,
            server_answers: true,
            server_refuses: BTreeSet::new(),
            server: Vec::new(),
            requests: Vec::new(),
            told: Vec::new(),
            continued: 0,
            starts: 0,
            visits: 1,
            fates: HashMap::new(),
            source: Vec::new(),
            ended: false,
            in_flight: Vec::new(),
            unanswered_commits: Vec::new(),
            unanswered_requests: Vec::new(),
            inbox: VecDeque::new(),
            learner: rules_learn.then(learner),
        }
    }

    // ---- what happens --------------------------------------------------------------------------

    pub fn notice(&mut self, notice: Notice) -> &mut Self {
        self.inbox.push_back(notice);
        while let Some(notice) = self.inbox.pop_front() {
            self.session.notice(notice, self.now);
            while let Some(command) = self.session.next_command() {
                self.obey(command);
            }
        }
        self
    }

    /// Gives one notice and leaves what it asks for undone: how much work is in one go.
    pub fn notice_alone(&mut self, notice: Notice) -> Vec<Command> {
        self.session.notice(notice, self.now);
        std::iter::from_fn(|| self.session.next_command()).collect()
    }

    pub fn arrive(&mut self, id: &str) -> &mut Self {
        self.arrive_item(item(id))
    }

    pub fn arrive_item(&mut self, item: Item) -> &mut Self {
        self.source.push(item.clone());
        self.notice(Notice::Arrived(vec![Ok(item)]))
    }

    /// What the model says of the item that arrived last: cat, dog.
    pub fn scored(&mut self, cat: f32, dog: f32) -> &mut Self {
        self.fated(Fate::Scores(vec![cat, dog]))
    }

    pub fn fated(&mut self, fate: Fate) -> &mut Self {
        let id = self.source.last().unwrap().id.clone();
        self.fates.insert(id, fate);
        self.model_works()
    }

    /// What the model does with this item from now on.
    pub fn fate_of(&mut self, id: &str, fate: Fate) -> &mut Self {
        self.fates.insert(id.into(), fate);
        self.model_works()
    }

    pub fn forget_fates(&mut self) {
        self.fates.clear();
    }

    /// The worker answers everything that is out without a word about any item.
    pub fn forgets_results(&mut self) -> &mut Self {
        for (worker, ticket, _) in std::mem::take(&mut self.in_flight) {
            self.notice(Notice::Predicted { worker, ticket, results: Vec::new() });
        }
        self
    }

    pub fn loses_worker(&mut self, which: usize) -> &mut Self {
        if self.in_flight.is_empty() {
            return self;
        }
        let dead = self.in_flight[which % self.in_flight.len()].0;
        self.in_flight.retain(|(worker, ..)| *worker != dead);
        self.notice(Notice::WorkerLost(dead)).model_works()
    }

    /// Many items at once, each with its scores.
    pub fn arrive_all(&mut self, items: impl IntoIterator<Item = (String, f32)>) -> &mut Self {
        let mut arrived = Vec::new();
        for (id, cat) in items {
            self.fates.insert(id.as_str().into(), Fate::Scores(vec![cat, 1.0 - cat]));
            self.source.push(item(&id));
            arrived.push(Ok(item(&id)));
        }
        self.notice(Notice::Arrived(arrived)).model_works()
    }

    pub fn aside_line(&mut self, reason: &str) -> &mut Self {
        let aside = Aside { id: "line 3".into(), item: None, reason: AsideReason::Malformed(reason.into()) };
        self.notice(Notice::Arrived(vec![Err(aside)]))
    }

    pub fn ends(&mut self) -> &mut Self {
        self.ended = true;
        self.notice(Notice::SourceEnded)
    }

    pub fn press(&mut self, label: &str) -> &mut Self {
        self.notice(Notice::Answered(labels().find(label).unwrap()))
    }

    pub fn skip(&mut self) -> &mut Self {
        self.notice(Notice::Skipped)
    }

    pub fn undo(&mut self) -> &mut Self {
        self.notice(Notice::Undone)
    }

    pub fn open(&mut self, id: &str) -> &mut Self {
        let key = self.key(id);
        self.notice(Notice::Opened(key))
    }

    pub fn review(&mut self, id: &str, label: &str) -> &mut Self {
        let (key, label) = (self.key(id), labels().find(label).unwrap());
        self.notice(Notice::Reviewed(key, label))
    }

    pub fn policy(&mut self, policy: Policy) -> &mut Self {
        self.rules.policy = policy.clone();
        self.notice(Notice::PolicyChanged(policy))
    }

    pub fn pass(&mut self, ms: i64) -> &mut Self {
        self.now = self.now.plus(ms);
        self.notice(Notice::Tick)
    }

    /// Lets time pass until nothing more is waited for.
    pub fn wait(&mut self) -> &mut Self {
        for _ in 0..200 {
            match self.session.wake_at() {
                Some(at) if at > self.now => {
                    self.now = at;
                    self.notice(Notice::Tick);
                }
                _ => return self,
            }
        }
        self
    }

    /// The learner dies.
    pub fn loses_learner(&mut self) -> &mut Self {
        self.learner = None;
        self.notice(Notice::LearnerLost)
    }

    /// Another version of the model takes over, with a learner that knows nothing.
    pub fn takes_model(&mut self, version: &str) -> &mut Self {
        let mut other = model();
        other.name.version = version.into();
        self.rules.model = Some(other.clone());
        self.learner = self.session.learns().then(learner);
        self.notice(Notice::ModelChanged(other)).model_works()
    }

    /// The page is closed and opened again: only the store is left; the same items come.
    pub fn reload(&mut self) -> &mut Self {
        self.reload_in(1)
    }

    /// None of the items so far comes again, and nobody says that no more come.
    pub fn forgets_its_items(&mut self) -> &mut Self {
        self.source.clear();
        self.ended = false;
        self
    }

    /// The same, with the items in so many lots, each read by the model before the next one comes.
    pub fn reload_in(&mut self, lots: usize) -> &mut Self {
        self.visits += 1;
        self.session = Session::new(self.rules.clone(), [self.visits, 99]);
        self.learner = self.session.learns().then(learner);
        self.in_flight.clear();
        self.unanswered_commits.clear();
        self.unanswered_requests.clear();
        self.told.clear();
        self.now = self.now.plus(5_000);
        let kept = self.store.kept();
        self.notice(Notice::Restored(self.store.records.clone(), kept.clone()));
        self.notice(Notice::Leading(kept));
        self.notice(Notice::Started);
        for lot in self.source.clone().chunks(self.source.len().div_ceil(lots).max(1)) {
            self.notice(Notice::Arrived(lot.iter().cloned().map(Ok).collect())).model_works();
        }
        if self.ended {
            self.notice(Notice::SourceEnded);
        }
        self
    }

    /// The store does now what it was asked to.
    pub fn store_answers(&mut self) -> &mut Self {
        self.store_answers = true;
        for records in std::mem::take(&mut self.unanswered_commits) {
            let notice = self.commit(records);
            self.notice(notice);
        }
        self
    }

    pub fn server_answers(&mut self) -> &mut Self {
        self.server_answers = true;
        for batch in std::mem::take(&mut self.unanswered_requests) {
            let notice = self.serve(&batch);
            self.notice(notice);
        }
        self
    }

    /// The server answers the request that is out in this way.
    pub fn server_says(&mut self, reply: Reply) -> &mut Self {
        let batch = self.unanswered_requests.remove(0);
        self.notice(Notice::Replied(batch.id, reply))
    }

    pub fn model_works(&mut self) -> &mut Self {
        loop {
            let known = |(_, _, items): &(_, _, Vec<ItemKey>)| {
                items
                    .iter()
                    .all(|key| self.session.item(*key).is_some_and(|i| self.fates.contains_key(&i.id)))
            };
            let Some(at) = self.in_flight.iter().position(known) else { return self };
            let (worker, ticket, items) = self.in_flight.remove(at);
            let fates: Vec<_> = items
                .into_iter()
                .map(|key| (key, self.fates[&self.session.item(key).unwrap().id].clone()))
                .collect();
            if fates.iter().any(|(_, fate)| matches!(fate, Fate::KillsTheWorker)) {
                self.in_flight.retain(|(dead, ..)| *dead != worker);
                self.notice(Notice::WorkerLost(worker));
                continue;
            }
            let mut result = |key, fate| match fate {
                Fate::Unreadable(reason) => Err(Failed::Unreadable(reason)),
                Fate::Scores(scores) => match &mut self.learner {
                    Some(learner) => Ok(learner.take(key, &scores, &scores)),
                    None => model().read(&scores).map(Some),
                },
                Fate::KillsTheWorker => unreachable!(),
            };
            let results = fates.into_iter().map(|(key, fate)| (key, result(key, fate))).collect();
            self.notice(Notice::Predicted { worker, ticket, results });
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Worker(Order::Start(worker)) => {
                self.starts += 1;
                self.inbox.push_back(Notice::WorkerReady(worker));
            }
            Command::Worker(Order::Predict { worker, ticket, items }) => {
                self.in_flight.push((worker, ticket, items));
            }
            Command::Worker(Order::Stop(worker)) => self.in_flight.retain(|(dead, ..)| *dead != worker),
            Command::Commit(records) if self.store_answers => {
                let notice = self.commit(records);
                self.inbox.push_back(notice);
            }
            Command::Commit(records) => self.unanswered_commits.push(records),
            Command::Deliver(Errand::Freeze(batch)) => {
                self.inbox.push_back(Notice::Frozen(batch.id));
                self.store.batches.insert(batch.id, batch);
            }
            Command::Deliver(Errand::Send(batch)) => {
                self.requests.push(batch.clone());
                if self.server_answers {
                    let notice = self.serve(&batch);
                    self.inbox.push_back(notice);
                } else {
                    self.unanswered_requests.push(batch);
                }
            }
            Command::Deliver(Errand::Settle { batch, sent, refused, remaining }) => {
                self.store.batches.remove(&batch);
                self.store.sent.extend(sent);
                self.store.refused.extend(refused);
                for batch in remaining {
                    self.inbox.push_back(Notice::Frozen(batch.id));
                    self.store.batches.insert(batch.id, batch);
                }
            }
            Command::Deliver(Errand::Discard(records)) => {
                for id in records {
                    self.store.refused.remove(&id);
                    self.store.discarded.insert(id);
                }
            }
            Command::Study(study) => self.study(study),
            Command::Tell(milestone) => self.told.push(milestone),
            Command::Continue => {
                self.continued += 1;
                self.inbox.push_back(Notice::Tick);
            }
        }
    }

    fn study(&mut self, study: Study) {
        let Some(learner) = &mut self.learner else { return };
        match study {
            Study::Answer(item, used) => learner.answer(item, used.map(|(used, _)| used)),
            Study::Labels(count) => learner.add_labels(count),
            Study::Record(_) => {}
            Study::Learn => {
                let lesson = learner.learn();
                let predictions = learner.predictions().map(|(key, said)| (key, Some(said))).collect();
                let keys: Vec<_> = learner.predictions().map(|(key, _)| key).collect();
                let spread = if self.rules.strategy == Strategy::Diverse {
                    learner.spread(&keys, 5)
                } else {
                    Vec::new()
                };
                let (slips, lacks) = (learner.slips(), learner.lacks());
                let learned = Learned { lesson, predictions, slips, lacks, spread };
                self.inbox.push_back(Notice::Learned(Box::new(learned)));
            }
        }
    }

    fn commit(&mut self, records: Vec<Correction>) -> Notice {
        let ids = records.iter().map(|record| record.id).collect();
        if self.store_works {
            self.store.records.extend(records);
        }
        Notice::Committed(ids, self.store_works)
    }

    fn serve(&mut self, batch: &Batch) -> Notice {
        let mut verdicts = Vec::new();
        for id in &batch.records {
            let record = self.session.record(*id).expect("only what the session knows is sent").clone();
            if self.server_refuses.contains(&record.item_id) {
                verdicts.push((*id, Verdict::Refused("unknown item".into())));
                continue;
            }
            if !self.server.iter().any(|known| known.id == *id) {
                self.server.push(record);
            }
            verdicts.push((*id, Verdict::Stored));
        }
        Notice::Replied(batch.id, Reply::Verdicts(verdicts))
    }

    // ---- what is seen --------------------------------------------------------------------------

    pub fn key(&self, id: &str) -> ItemKey {
        let keys = (0..).map(ItemKey);
        keys.map_while(|key| Some((key, self.session.item(key)?)))
            .find(|(_, item)| &*item.id == id)
            .unwrap_or_else(|| panic!("{id} has not arrived"))
            .0
    }

    pub fn asked(&self) -> Question {
        self.session.question().expect("a question is on screen")
    }

    #[track_caller]
    pub fn expect_question(&mut self, id: &str) -> &mut Self {
        assert_eq!(self.session.question().map(|q| q.item.id.to_string()).as_deref(), Some(id));
        self
    }

    #[track_caller]
    pub fn expect_no_question(&mut self) -> &mut Self {
        assert_eq!(self.session.question().map(|q| q.item.id.to_string()), None);
        self
    }

    #[track_caller]
    pub fn expect_finished(&mut self) -> &mut Self {
        assert_eq!(self.session.phase(), Phase::Finished, "{:?}", self.session.progress());
        self
    }

    pub fn last_record(&self) -> Correction {
        self.store.records.last().expect("something was recorded").clone()
    }

    pub fn kinds(&self) -> Vec<Kind> {
        self.store.records.iter().map(|record| record.kind).collect()
    }

    pub fn times_done(&self) -> usize {
        self.told.iter().filter(|milestone| **milestone == Milestone::Done).count()
    }

    pub fn accepted(&self) -> Vec<String> {
        self.session.accepted(0, usize::MAX).into_iter().map(|a| a.item.id.to_string()).collect()
    }

    /// The current labels of these records, by the rule that every backend follows.
    pub fn current(records: &[Correction]) -> BTreeMap<String, String> {
        let records: Vec<_> = records.iter().map(to_record).collect();
        current_records(&records)
            .into_iter()
            .map(|record| (record.item_id.clone(), record.answer.as_ref().unwrap().label.clone()))
            .collect()
    }

    /// The current labels of the export.
    pub fn exported(&mut self) -> BTreeMap<String, String> {
        Self::current(&self.session.everything(self.now))
    }

    /// The parts of the progress add up.
    #[track_caller]
    pub fn check_counts(&self) {
        let p = self.session.progress();
        assert_eq!(p.predicting + p.waiting + p.accepted + p.answered + p.aside, p.arrived, "{p:?}");
        assert!(p.confirmed <= p.answered && p.reviewed <= p.answered, "{p:?}");
        assert_eq!(self.session.accepted(0, usize::MAX).len(), p.accepted, "{p:?}");
    }

    /// What the page was told last of an item is what has become of it.
    pub fn check_told(&self) {
        let mut told = BTreeMap::new();
        for milestone in &self.told {
            match milestone {
                Milestone::Accepted(keys) => told.extend(keys.iter().map(|key| (*key, true))),
                Milestone::Deferred(keys) => told.extend(keys.iter().map(|key| (*key, false))),
                _ => {}
            }
        }
        for Accepted { key, .. } in self.session.accepted(0, usize::MAX) {
            assert_eq!(told.get(&key), Some(&true), "the page was told that {key:?} is the person's");
        }
    }

    pub fn label(id: &str) -> LabelId {
        labels().find(id).unwrap()
    }
}
