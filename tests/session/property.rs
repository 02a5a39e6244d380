//! Whatever happens in whatever order: no panic, the counts add up, nobody is asked twice, everything is
//! settled in the end, and the export says what the person said.

use std::collections::HashMap;

use hitl_labeler::domain::correction::Role;
use hitl_labeler::domain::item::AsideReason;
use hitl_labeler::domain::policy::Sampling;
use hitl_labeler::domain::queue;
use hitl_labeler::domain::session::{LearningRules, Notice, Phase, Rules, TargetRules};
use proptest::prelude::*;

use crate::world::{Fate, World, accept_at, all_audited, item, rules};

/// Something that happens; numbers choose among what is there.
#[derive(Clone, Debug)]
enum Event {
    Arrive(u8),
    Duplicate(u8),
    Fate(u8, u8),
    Press(bool),
    Skip,
    Undo,
    Open(u8),
    Close,
    Review(u8, bool),
    Policy(u8),
    Pause(bool),
    Attention(bool),
    WorkerLost(u8),
    NoModel,
    OtherModel,
    LearnerLost,
    Store(bool),
    Server(bool),
    Reload,
    Pass(u16),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => any::<u8>().prop_map(Event::Arrive),
        1 => any::<u8>().prop_map(Event::Duplicate),
        8 => (any::<u8>(), any::<u8>()).prop_map(|(at, fate)| Event::Fate(at, fate)),
        8 => any::<bool>().prop_map(Event::Press),
        2 => Just(Event::Skip),
        4 => Just(Event::Undo),
        2 => any::<u8>().prop_map(Event::Open),
        1 => Just(Event::Close),
        2 => (any::<u8>(), any::<bool>()).prop_map(|(at, dog)| Event::Review(at, dog)),
        1 => any::<u8>().prop_map(Event::Policy),
        1 => any::<bool>().prop_map(Event::Pause),
        1 => any::<bool>().prop_map(Event::Attention),
        1 => any::<u8>().prop_map(Event::WorkerLost),
        1 => Just(Event::NoModel),
        1 => Just(Event::OtherModel),
        1 => Just(Event::LearnerLost),
        1 => any::<bool>().prop_map(Event::Store),
        1 => any::<bool>().prop_map(Event::Server),
        1 => Just(Event::Reload),
        2 => any::<u16>().prop_map(Event::Pass),
    ]
}

/// What the person said, as a plain history.
#[derive(Default)]
struct Said {
    answers: HashMap<String, Vec<&'static str>>,
    steps: Vec<Option<String>>,
}

impl Said {
    fn label(dog: bool) -> &'static str {
        if dog { "dog" } else { "cat" }
    }

    fn answer(&mut self, id: &str, dog: bool) {
        self.answers.entry(id.to_string()).or_default().push(Self::label(dog));
        self.steps.push(Some(id.to_string()));
    }

    fn undo(&mut self) {
        if let Some(Some(id)) = self.steps.pop() {
            self.answers.get_mut(&id).unwrap().pop();
        }
    }

    fn present(&self, id: &str) -> Option<&'static str> {
        self.answers.get(id).and_then(|answers| answers.last().copied())
    }
}

fn happen(world: &mut World, said: &mut Said, arrived: &mut u32, event: Event) {
    let some = |at: u8, arrived: u32| (arrived > 0).then(|| format!("i{}", u32::from(at) % arrived));
    match event {
        Event::Arrive(n) => {
            for _ in 0..=n % 4 {
                world.arrive(&format!("i{arrived}"));
                *arrived += 1;
            }
        }
        Event::Duplicate(at) => {
            if let Some(id) = some(at, *arrived) {
                world.notice(Notice::Arrived(vec![Ok(item(&id))]));
            }
        }
        Event::Fate(at, fate) => {
            if let Some(id) = some(at, *arrived) {
                world.fate_of(&id, fate_from(fate));
            }
        }
        Event::Press(dog) => {
            let Some(question) = world.session.question() else { return };
            said.answer(&question.item.id, dog);
            world.press(Said::label(dog));
        }
        Event::Skip => {
            let steps = world.session.undo_depth();
            world.skip();
            if world.session.undo_depth() > steps {
                said.steps.push(None);
            }
        }
        Event::Undo => {
            said.undo();
            world.undo();
        }
        Event::Open(at) => {
            if let Some(id) = some(at, *arrived) {
                world.open(&id);
            }
        }
        Event::Close => {
            world.notice(Notice::Closed);
        }
        Event::Review(at, dog) => {
            if let Some(id) = some(at, *arrived) {
                said.answer(&id, dog);
                world.review(&id, Said::label(dog));
            }
        }
        Event::Policy(n) => {
            let policy = if n % 4 == 0 { all_audited() } else { accept_at(f32::from(n) / 255.0) };
            world.policy(policy);
        }
        Event::Pause(started) => {
            world.notice(if started { Notice::Started } else { Notice::Paused });
        }
        Event::Attention(visible) => {
            world.notice(Notice::Attention(visible));
        }
        Event::WorkerLost(n) => {
            world.loses_worker(usize::from(n));
        }
        Event::NoModel => {
            world.notice(Notice::WithoutModel);
        }
        Event::OtherModel => {
            if world.session.has_model() {
                world.takes_model(&format!("{}", world.now.0));
            }
        }
        Event::LearnerLost => {
            world.loses_learner();
        }
        Event::Store(answers) => {
            world.store_answers = answers;
            if answers {
                world.store_answers();
            }
        }
        Event::Server(answers) => {
            world.server_answers = answers;
            if answers {
                world.server_answers();
            }
        }
        Event::Reload => {
            // What the store has not acknowledged may be lost; then nobody could say what is to be expected.
            world.store_answers().reload();
            // Skips are of one visit.
            said.steps.retain(Option::is_some);
        }
        Event::Pass(ms) => {
            world.pass(i64::from(ms));
        }
    }
}

fn fate_from(n: u8) -> Fate {
    match n {
        0..=8 => Fate::KillsTheWorker,
        9..=20 => Fate::Unreadable(AsideReason::NotAnImage),
        21..=24 => Fate::Scores(vec![f32::NAN, 0.0]),
        n => Fate::Scores(vec![f32::from(n) / 255.0, 1.0 - f32::from(n) / 255.0]),
    }
}

fn check(world: &mut World, said: &Said) {
    world.check_counts();
    world.check_told();
    let exported = world.exported();
    for (id, label) in &exported {
        if let Some(said) = said.present(id) {
            assert_eq!(label, said, "of {id}");
        }
    }
    for id in said.answers.keys() {
        if let Some(said) = said.present(id) {
            assert_eq!(exported.get(id).map(String::as_str), Some(said), "{id} was answered");
        }
    }
    let progress = world.session.progress();
    // An accept that an earlier visit recorded holds until today's prediction decides anew.
    let undecided =
        |id: &&String| said.present(id).is_none() && world.session.decision(world.key(id)).is_none();
    let recalled = exported.keys().filter(undecided).count();
    assert_eq!(exported.len() - recalled, progress.accepted + progress.answered, "{exported:?} {progress:?}");
    if let Some(question) = world.session.question() {
        let answered = said.present(&question.item.id).is_some();
        assert_eq!(answered, question.present.is_some() && question.role == Role::Review && answered);
        if question.role == Role::Audit {
            assert_eq!((question.suggestion, question.present), (None, None));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens(
        events in proptest::collection::vec(event(), 1..120),
        model in prop::bool::weighted(0.85),
        deliver_accepted in any::<bool>(),
        workers in 1_usize..4,
        learns in any::<bool>(),
        promises in prop::bool::weighted(0.3),
        diverse in any::<bool>(),
    ) {
        let mut rules = Rules { deliver_accepted, random_share: 0.2, ..rules() };
        rules.learning = learns.then_some(LearningRules { hold_out: Sampling { share: 0.2, seed: 1 } });
        rules.target = promises.then(|| TargetRules { audit_share: 0.6, ..TargetRules::usual(0.5) });
        if diverse {
            rules.strategy = queue::Strategy::Diverse;
        }
        rules.dispatch.workers = workers;
        if !model {
            rules.model = None;
        }
        let mut world = World::new(rules);
        let (mut said, mut arrived) = (Said::default(), 0);
        for event in events {
            happen(&mut world, &mut said, &mut arrived, event);
            check(&mut world, &said);
        }

        // All faults end: the model says something of everything, and the person answers what is asked.
        world.notice(Notice::Started).notice(Notice::Attention(true)).notice(Notice::Closed);
        world.store_answers().server_answers();
        for i in 0..arrived {
            world.fate_of(&format!("i{i}"), Fate::Scores(vec![0.75, 0.25]));
        }
        world.ends();
        for _ in 0..=2 * arrived {
            let Some(question) = world.session.question() else { break };
            prop_assert!(question.role == Role::Review || said.present(&question.item.id).is_none(), "asked twice");
            said.answer(&question.item.id, true);
            world.press("dog");
            check(&mut world, &said);
        }
        world.wait();
        let progress = world.session.progress();
        prop_assert_eq!(progress.settled() + progress.aside, progress.arrived, "{:?}", progress);
        let end = if arrived == 0 && progress.arrived == 0 { Phase::Empty } else { Phase::Finished };
        prop_assert_eq!(world.session.phase(), end);
        let view = world.session.delivery(world.now);
        prop_assert_eq!((view.waiting, view.unsaved, view.volatile, view.refused), (0, 0, 0, 0));
        prop_assert_eq!(world.server.len(), world.store.records.len());
        if deliver_accepted {
            prop_assert_eq!(World::current(&world.server), world.exported());
        }

        // What the same answers teach again is no news. The first time the model may say what it did not say before.
        let mut settled = (0, Vec::new());
        for _ in 0..2 {
            settled = (world.store.records.len(), world.accepted());
            world.reload().wait();
        }
        let waits = world.session.progress().waiting;
        prop_assert!(
            waits > 0 || (world.store.records.len(), world.accepted()) == settled,
            "{:?} in place of {:?}", (world.store.records.len(), world.accepted()), settled
        );
    }
}
