//! The one place that knows the order of things: a [`Notice`] in, [`Command`]s out, time as an argument.
//!
//! ```text
//! Arrived ──► dispatcher ──► Command::Worker ──► Predicted ──► policy ─┬─ accept ──► Tell(Accepted)
//!                                                                     └─ defer, audit ──► queue ──► question()
//! Answered ──► Command::Commit ──► Committed ──► outbox ──► Command::Deliver ──► Replied ──► Tell(Delivered)
//! ```

mod asking;
mod catching;
mod delivering;
mod intake;
mod learning;
mod promise;
mod view;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::correction::{Correction, ModelName, PredictionShown, Role};
use super::dispatch::{DispatchRules, Dispatcher, Order, Ticket, WorkerId};
use super::ident::{BatchId, Chance, RecordId, Timestamp, hash};
use super::item::{Aside, AsideReason, Failed, Item, ItemKey};
use super::label::{Label, LabelId, LabelSet};
use super::outbox::{Batch, DeliveryRules, Errand, Outbox, Reply};
use super::policy::{Condition, Decision, Outcome, Policy, Reason};
use super::prediction::{Activation, Prediction, ScoreScale, Temperature};
use super::progress::{Coverage, Pace, Progress};
use super::queue::{Queue, Strategy};
use super::sorted::{Keys, Sorted};

use catching::CatchingUp;
use learning::Learning;
use promise::Promise;

pub use learning::{Learned, LearningRules, Study};
pub use promise::{PromiseView, TargetRules};
pub use view::{Accepted, Answered, DeliveryView, Phase, Question, Why};

/// How the model's scores are to be read, and its name for the records.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelSpec {
    /// For the records.
    pub name: ModelName,
    /// What the scores are.
    pub scale: ScoreScale,
    /// How they become probabilities.
    pub activation: Activation,
    /// Calibration that the manifest states.
    pub temperature: Temperature,
    /// It gives features only: nothing can be predicted before there are answers.
    pub from_nothing: bool,
}

impl ModelSpec {
    /// What the model says, from its raw scores in label order.
    ///
    /// # Errors
    /// There is no score, or one that is not finite.
    pub fn read(&self, scores: &[f32]) -> Result<Prediction, Failed> {
        Prediction::from_scores(scores, self.scale, self.activation, self.temperature)
            .ok_or_else(|| Failed::Unpredictable("the model's numbers are not finite".into()))
    }
}

/// Everything that is settled before the first item.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The answers that there are.
    pub labels: LabelSet,
    /// The model; without one the person is asked about everything.
    pub model: Option<ModelSpec>,
    /// When the model may settle an item alone.
    pub policy: Policy,
    /// A promise in place of the policy's threshold.
    pub target: Option<TargetRules>,
    /// Whether answers make the model better. Without, the learner hears of records all the same, for the figures.
    pub learning: Option<LearningRules>,
    /// What is worth asking about first.
    pub strategy: Strategy,
    /// Share of questions in random order, 0 to 1.
    pub random_share: f64,
    /// Chooses the random order.
    pub seed: u64,
    /// Whether the person sees the prediction for deferred items; audits are always blind.
    pub prediction_shown: PredictionShown,
    /// Who answers, if the page says.
    pub annotator: Option<Arc<str>>,
    /// Name of this visit.
    pub session: Arc<str>,
    /// How to deliver; `None` keeps everything in the browser.
    pub delivery: Option<DeliveryRules>,
    /// Whether what the model settles is recorded and delivered, too.
    pub deliver_accepted: bool,
    /// How work is handed to workers.
    pub dispatch: DispatchRules,
}

/// What the store held when the session began, or when this tab became the one that sends.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    /// Records that the server does not have yet, in batches or not.
    pub waiting: Vec<RecordId>,
    /// Batches that were frozen.
    pub batches: Vec<Batch>,
    /// Records that the server does not want.
    pub refused: Vec<(RecordId, Arc<str>)>,
    /// Records that the server does not want and that the person has given up.
    pub discarded: Vec<RecordId>,
    /// How many the server has.
    pub sent: usize,
    /// Records that are in memory only: an element that was there before left them.
    pub volatile: Vec<RecordId>,
}

/// Something that happened outside; nothing else changes a session.
#[derive(Clone, Debug)]
pub enum Notice {
    /// The store was read: every record, oldest first, and the state of delivery.
    Restored(Vec<Correction>, Kept),
    /// Items came in, or lines that are none.
    Arrived(Vec<Result<Item, Aside>>),
    /// No more items will come.
    SourceEnded,
    /// More items may come (after [`Notice::SourceEnded`], when files are added).
    SourceOpened,
    /// Predict and ask from now on.
    Started,
    /// Hand out no more work and ask nothing.
    Paused,
    /// A worker has loaded the model.
    WorkerReady(WorkerId),
    /// A worker is gone or does not answer.
    WorkerLost(WorkerId),
    /// A worker answered, and the learner is asked what it makes of that; [`Notice::Predicted`] follows.
    Returned(WorkerId, Ticket),
    /// A worker answered: what the model says, nothing as long as a model that starts from nothing has too few
    /// answers, or why there is no prediction.
    Predicted {
        /// Which worker.
        worker: WorkerId,
        /// To what.
        ticket: Ticket,
        /// Per item.
        results: Vec<(ItemKey, Result<Option<Prediction>, Failed>)>,
    },
    /// The learner has refitted.
    Learned(Box<Learned>),
    /// The learner is gone and will not come back.
    LearnerLost,
    /// The person added an answer to those that there are.
    LabelAdded(Label),
    /// A newer model takes over: everything is predicted again, the old predictions hold until then.
    ModelChanged(ModelSpec),
    /// The model cannot be used, or shall not be: the person is asked about everything.
    WithoutModel,
    /// The person answered the question on screen.
    Answered(LabelId),
    /// The person wants to decide later.
    Skipped,
    /// The person takes back the last step.
    Undone,
    /// The person marks the question on screen, or takes the mark back.
    Flagged(bool),
    /// The person wrote a remark on the question on screen.
    Noted(Arc<str>),
    /// The person wants to look at this item: one that was settled, or set aside.
    Opened(ItemKey),
    /// The picture asked about cannot be shown, for this reason.
    Unseen(AsideReason),
    /// The person is done looking without an answer.
    Closed,
    /// The person answered in the review without opening the item.
    Reviewed(ItemKey, LabelId),
    /// Records are in the store (`durable`) or, since the store does not work, in memory only; again with `durable`
    /// once the store works after all.
    Committed(Vec<RecordId>, bool),
    /// A batch is in the store.
    Frozen(BatchId),
    /// The server answered, or not.
    Replied(BatchId, Reply),
    /// This tab may send; with what the store holds, since another tab may have sent before.
    Leading(Kept),
    /// The browser has a network, or not.
    Online(bool),
    /// Go on delivering: there are new credentials, or the person asks for a try now.
    ResumeDelivery,
    /// This tab may not send any more: another one took the lead.
    LeadLost,
    /// Send refused records once more.
    RetryRefused(Vec<RecordId>),
    /// The server refused these to another tab, for these reasons.
    RefusedElsewhere(Vec<(RecordId, Arc<str>)>),
    /// The person gave these up in another tab.
    DiscardedElsewhere(Vec<RecordId>),
    /// Do not try to send these refused records any more; the records themselves stay.
    DiscardRefused(Vec<RecordId>),
    /// Another tab recorded something.
    Elsewhere(Vec<Correction>),
    /// Another tab delivered something.
    SentElsewhere(Vec<RecordId>),
    /// The page is visible to the person, or not.
    Attention(bool),
    /// Decide anew by this policy.
    PolicyChanged(Policy),
    /// Decide anew by this target, or by the policy's threshold again.
    TargetChanged(Option<TargetRules>),
    /// Time went by.
    Tick,
}

impl Notice {
    /// Whether the person did this, and is likely to do more.
    fn is_of_the_person(&self) -> bool {
        use Notice::{Answered, Closed, Opened, Reviewed, Skipped, Undone};
        matches!(self, Answered(_) | Skipped | Undone | Reviewed(..) | Opened(_) | Closed)
    }
}

/// What the shell is to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// About a worker.
    Worker(Order),
    /// Store these durably, then say [`Notice::Committed`].
    Commit(Vec<Correction>),
    /// About delivery.
    Deliver(Errand),
    /// About the learner.
    Study(Study),
    /// Tell the host page.
    Tell(Milestone),
    /// Come back with a [`Notice::Tick`] as soon as the browser has painted: work is left.
    Continue,
}

/// What the host page is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Milestone {
    /// The first worker has the model, or there is none to wait for.
    Ready,
    /// These items have a prediction.
    Predicted(Vec<ItemKey>),
    /// The model settled these: for the first time or again, after a refit for example.
    Accepted(Vec<ItemKey>),
    /// These wait for the person, from now on or again.
    Deferred(Vec<ItemKey>),
    /// A record is kept; `false` if in memory only.
    Corrected(RecordId, bool),
    /// The server has these.
    Delivered(Vec<RecordId>),
    /// The server does not want these.
    Refused(Vec<RecordId>),
    /// This item was set aside.
    SetAside(Aside),
    /// No worker could be brought up.
    WorkersFailed,
    /// A refit changed the figures of the cycle, perhaps the promise; a record that is told changes them, too.
    Progressed,
    /// Nothing is left to predict or to ask.
    Done,
}

/// Where an item stands.
#[derive(Clone, Debug, PartialEq)]
enum Stage {
    /// No prediction yet.
    Predicting,
    /// Waits for the person, or is on screen.
    Waiting,
    /// The model settled it.
    Accepted,
    /// The person answered.
    Answered,
    /// Set aside.
    Aside,
}

#[derive(Clone, Debug)]
struct Entry {
    item: Item,
    stage: Stage,
    prediction: Option<Prediction>,
    decision: Option<Decision>,
    /// Why there is no prediction although there is a model.
    unpredictable: Option<Arc<str>>,
    /// The record that is in force, if any.
    record: Option<RecordId>,
    answer: Option<LabelId>,
    /// What was predicted when the person was asked, as long as that answer stands.
    asked_with: Option<Prediction>,
    skips: u32,
    policy: u32,
    /// When the model settled it.
    since: Timestamp,
    /// It was settled, and a newer head doubts it.
    second_look: bool,
    /// Read, and not decided until the answers of earlier visits have had their say.
    held: bool,
}

/// What the policy says of an item, in words.
type Ruling = (Outcome, Vec<Reason>);

/// The question on screen.
#[derive(Clone, Debug)]
struct Asked {
    item: ItemKey,
    role: Role,
    shown: PredictionShown,
    /// As it was when the question was put: a policy that changes does not change what was asked.
    why: Why,
    ruling: Option<Ruling>,
    /// As it was when the question was put: a refit changes neither what is shown nor what is recorded.
    prediction: Option<Prediction>,
    serial: u64,
    shown_at: Timestamp,
    away_ms: i64,
    away_since: Option<Timestamp>,
    flagged: bool,
    note: Option<Arc<str>>,
}

/// A step that the person can take back.
#[derive(Clone, Debug)]
enum Step {
    Answered(RecordId),
    Skipped(ItemKey),
}

/// Records in force for items that have not arrived (again) yet, by item id.
#[derive(Clone, Debug, Default)]
struct Remembered {
    record: Option<RecordId>,
    /// Accepts that no other names and that are not in force here: another tab's, or this one's beside it. Without
    /// this one they would be.
    beside: Vec<RecordId>,
    /// Answered in an earlier visit, and not among today's items so far.
    unseen: bool,
}

/// One person, one model, one stream of items.
#[derive(Debug)]
pub struct Session {
    rules: Rules,
    /// Of the models that made the predictions, the present one last, also when it is lost. A model that lost its
    /// learner has another place from then on.
    models: Vec<ModelName>,
    /// Only what this one says may be settled.
    trusted: u16,
    catching: CatchingUp,
    /// Items with an answer that the model has not read since.
    awaited: Keys<ItemKey>,
    /// How many of the answers of earlier visits are of items that have not come yet.
    unseen: usize,
    /// Whether those are still waited for.
    patient: bool,
    /// When it was first set going.
    began: Option<Timestamp>,
    chance: Chance,
    running: bool,
    visible: bool,
    /// From how many sources more items may come.
    sources: usize,
    told_ready: bool,
    told_done: bool,
    entries: Vec<Entry>,
    keys: HashMap<Arc<str>, ItemKey>,
    asides: Vec<Aside>,
    dispatcher: Dispatcher,
    queue: Queue,
    coverage: Coverage,
    progress: Progress,
    pace: Pace,
    asked: Option<Asked>,
    /// What comes next is settled early, so that its picture is there when it is needed.
    deck: VecDeque<ItemKey>,
    /// Marks and remarks on questions that were taken off the screen without an answer.
    drafts: Sorted<ItemKey, (bool, Option<Arc<str>>)>,
    serial: u64,
    last_answer: Option<Answered>,
    steps: Vec<Step>,
    log: Sorted<RecordId, Correction>,
    remembered: HashMap<Arc<str>, Remembered>,
    /// Some item has accepts beside the one in force.
    beside: bool,
    uncommitted: Keys<RecordId>,
    volatile: Keys<RecordId>,
    outbox: Option<Outbox>,
    learning: Option<Learning>,
    /// Whether the learner is there to hear of records: beside every model, for the figures.
    heard: bool,
    promise: Option<Promise>,
    /// The configured checks, while a target has its own.
    own_checks: Option<Condition>,
    policy_version: u32,
    /// Entries before this one are decided by the present policy.
    redecided: usize,
    unsent_accepts: Vec<Correction>,
    /// What the host page is to be told of decisions, once all that follows from a notice is done.
    settled_now: Vec<ItemKey>,
    deferred_now: Vec<ItemKey>,
    commands: VecDeque<Command>,
}

impl Session {
    /// A session that does nothing before [`Notice::Started`]; `seed` are 128 random bits.
    #[must_use]
    pub fn new(mut rules: Rules, seed: [u64; 2]) -> Self {
        // Other draws than those of a sample under the same seed: its items would all come first, or last.
        rules.seed = hash(rules.seed, "queue");
        Self {
            chance: Chance::new(seed),
            models: vec![rules.model.as_ref().map(|model| model.name.clone()).unwrap_or_default()],
            trusted: 0,
            catching: CatchingUp::Done,
            awaited: Keys::default(),
            unseen: 0,
            patient: true,
            began: None,
            running: false,
            visible: true,
            sources: 1,
            told_ready: false,
            told_done: false,
            entries: Vec::new(),
            keys: HashMap::new(),
            asides: Vec::new(),
            dispatcher: Dispatcher::new(rules.dispatch),
            queue: Queue::new(rules.random_share, rules.seed),
            coverage: Coverage::default(),
            progress: Progress { more_coming: true, ..Progress::default() },
            pace: Pace::default(),
            asked: None,
            deck: VecDeque::new(),
            drafts: Sorted::default(),
            serial: 0,
            last_answer: None,
            steps: Vec::new(),
            log: Sorted::default(),
            remembered: HashMap::new(),
            beside: false,
            uncommitted: Keys::default(),
            volatile: Keys::default(),
            outbox: rules.delivery.map(Outbox::new),
            learning: rules.learning.filter(|_| rules.model.is_some()).map(Learning::new),
            heard: rules.model.is_some(),
            promise: rules.target.clone().filter(|_| rules.model.is_some()).map(Promise::new),
            own_checks: None,
            policy_version: 0,
            redecided: 0,
            unsent_accepts: Vec::new(),
            settled_now: Vec::new(),
            deferred_now: Vec::new(),
            commands: VecDeque::new(),
            rules,
        }
    }

    /// Takes in what happened at `now`.
    pub fn notice(&mut self, notice: Notice, now: Timestamp) {
        if notice.is_of_the_person() {
            self.dispatcher.at_work(now);
        }
        match notice {
            Notice::Restored(records, kept) => self.restored(records, kept),
            Notice::Arrived(items) => self.arrived(items, now),
            Notice::SourceEnded => self.sources = self.sources.saturating_sub(1),
            Notice::SourceOpened => self.sources += 1,
            Notice::Started => self.run(true, now),
            Notice::Paused => self.run(false, now),
            Notice::WorkerReady(worker) => {
                self.dispatcher.ready(worker);
                self.tell_ready();
            }
            Notice::WorkerLost(worker) => self.worker_lost(worker, now),
            Notice::Returned(worker, ticket) => self.dispatcher.returned(worker, ticket, now),
            Notice::Predicted { worker, ticket, results } => self.predicted(worker, ticket, results, now),
            Notice::Learned(learned) => self.learned(*learned),
            Notice::LearnerLost => self.learner_lost(),
            Notice::LabelAdded(label) => self.label_added(label),
            Notice::ModelChanged(model) => self.model_changed(model, now),
            Notice::WithoutModel => self.without_model(now),
            Notice::Answered(label) => self.answered(label, now),
            Notice::Skipped => self.skipped(now),
            Notice::Undone => self.undone(now),
            Notice::Flagged(flagged) => self.asked.iter_mut().for_each(|asked| asked.flagged = flagged),
            Notice::Noted(note) => {
                let note = (!note.trim().is_empty()).then_some(note);
                self.asked.iter_mut().for_each(|asked| asked.note.clone_from(&note));
            }
            Notice::Opened(item) => self.opened(item, now),
            Notice::Unseen(reason) => self.unseen(reason),
            Notice::Closed => self.put_back(now),
            Notice::Reviewed(item, label) => self.reviewed(item, label, now),
            Notice::Committed(ids, durable) => self.committed(ids, durable),
            Notice::Frozen(batch) => self.outbox.iter_mut().for_each(|outbox| outbox.frozen(batch)),
            Notice::Replied(batch, reply) => self.replied(batch, reply, now),
            Notice::Leading(kept) => self.leading(kept),
            Notice::Online(online) => self.outbox.iter_mut().for_each(|outbox| outbox.online(online)),
            Notice::ResumeDelivery => self.outbox.iter_mut().for_each(Outbox::resume),
            Notice::LeadLost => self.outbox.iter_mut().for_each(|outbox| outbox.lead(false)),
            Notice::RetryRefused(records) => self.retry_refused(&records),
            Notice::DiscardRefused(records) => self.discard_refused(&records),
            Notice::Elsewhere(records) => self.elsewhere(records, now),
            Notice::SentElsewhere(records) => {
                self.outbox.iter_mut().for_each(|outbox| outbox.sent_elsewhere(&records));
            }
            Notice::RefusedElsewhere(refused) => {
                if let Some(outbox) = &mut self.outbox {
                    outbox.refused_elsewhere(refused);
                }
            }
            Notice::DiscardedElsewhere(records) => {
                // It is stored there.
                self.outbox.iter_mut().for_each(|outbox| drop(outbox.discard_refused(&records)));
            }
            Notice::Attention(visible) => self.attention(visible, now),
            Notice::PolicyChanged(policy) => self.policy_changed(policy),
            Notice::TargetChanged(rules) => self.target_changed(rules),
            Notice::Tick => {}
        }
        self.go_on(now);
    }

    /// The next thing to do, until there is none.
    pub fn next_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// When a [`Notice::Tick`] is wanted at the latest.
    #[must_use]
    pub fn wake_at(&self) -> Option<Timestamp> {
        let delivery = self.outbox.as_ref().and_then(Outbox::wake_at);
        let patience = self.patience_ends_at();
        self.dispatcher.wake_at().into_iter().chain(delivery).chain(patience).min()
    }

    /// Everything that follows from a notice without another one.
    fn go_on(&mut self, now: Timestamp) {
        for worker in self.dispatcher.overdue(now) {
            self.command(Command::Worker(Order::Stop(worker)));
            self.worker_lost(worker, now);
        }
        self.catch_up(now);
        self.keep_promise();
        self.rescore(now);
        // Once everything is rescored, what was held is decided.
        self.catch_up(now);
        self.keep_promise();
        self.redecide(now);
        self.tell_decisions();
        self.flush_accepts();
        self.learn();
        if self.progress.waiting == 0 {
            self.dispatcher.at_rest();
        }
        for order in self.dispatcher.orders(now) {
            self.command(Command::Worker(order));
        }
        self.ask(now);
        self.run_errands(now);
        self.tell_done();
    }

    fn run(&mut self, running: bool, now: Timestamp) {
        self.running = running;
        if running {
            self.began.get_or_insert(now);
        }
        self.look(now);
        self.dispatcher.run(running && self.rules.model.is_some(), now);
        if running && self.rules.model.is_none() {
            self.tell_ready();
        }
    }

    fn tell_ready(&mut self) {
        if !std::mem::replace(&mut self.told_ready, true) {
            self.command(Command::Tell(Milestone::Ready));
        }
    }

    fn tell_done(&mut self) {
        if self.open() {
            self.told_done = false;
        } else if self.phase() == Phase::Finished && !self.told_done {
            self.told_done = true;
            self.command(Command::Tell(Milestone::Done));
        }
    }

    /// Whether something is left to predict, to decide anew or to ask, now or later.
    fn open(&self) -> bool {
        let undecided =
            self.redecided < self.entries.len() || self.learning.as_ref().is_some_and(Learning::rescoring);
        self.sources > 0 || undecided || self.progress.predicting > 0 || self.progress.waiting > 0
    }

    fn command(&mut self, command: Command) {
        self.commands.push_back(command);
    }

    fn entry(&self, item: ItemKey) -> Option<&Entry> {
        self.entries.get(item.0 as usize)
    }

    fn entry_mut(&mut self, item: ItemKey) -> Option<&mut Entry> {
        self.entries.get_mut(item.0 as usize)
    }
}
