//! The cycle: answers teach, what was taken back is unlearned, checks earn the promise.

use hitl_labeler::domain::correction::{Kind, Role};
use hitl_labeler::domain::dispatch::DispatchRules;
use hitl_labeler::domain::learning::learner::{Learner, LearnerRules, Use};
use hitl_labeler::domain::policy::{Condition, NOTHING, Outcome, Policy, Sampling};
use hitl_labeler::domain::promise::{Looks, Target, Verdict};
use hitl_labeler::domain::session::{
    Command, Learned, LearningRules, Milestone, Notice, Rules, Study, TargetRules, Why,
};

use crate::world::{Fate, World, accept_at, rules};

fn learning() -> Rules {
    Rules {
        learning: Some(LearningRules { hold_out: Sampling { share: 0.0, seed: 1 } }),
        policy: accept_at(0.97),
        ..rules()
    }
}

fn target(accuracy: f64) -> Rules {
    Rules {
        target: Some(TargetRules {
            target: Target { accuracy, confidence: 0.9 },
            audit_share: 0.5,
            monitor_share: 0.25,
            seed: 2,
            per_label: false,
            looks: Looks::Fixed,
        }),
        ..learning()
    }
}

/// Items between which the model wavers: it leans to cat from the first to the last, ever less.
fn wavering(world: &mut World, count: u32) {
    let lean = |i: u32| 0.70 - 0.2 * f64::from(i) as f32 / count as f32;
    world.arrive_all((0..count).map(|i| (format!("w{i}"), lean(i))));
}

fn confidences(world: &World) -> Vec<(String, u32)> {
    let keys = (0..).map(hitl_labeler::domain::item::ItemKey);
    let items = keys.map_while(|key| Some((key, world.session.item(key)?)));
    let said = items.filter_map(|(key, item)| {
        let said = world.session.prediction(key)?;
        Some((format!("{} {} {}", item.id, said.label, said.head_version > 0), said.confidence.to_bits()))
    });
    said.collect()
}

#[test]
fn answers_teach_the_model_what_the_person_need_not_be_asked_any_more() {
    let mut world = World::new(learning());
    wavering(&mut world, 60);
    assert_eq!(world.session.progress().accepted, 0, "the model is sure of none");
    while world.session.question().is_some() {
        world.press("cat");
    }
    let progress = world.session.progress();
    assert!(progress.accepted > 20, "{progress:?}");
    world.check_counts();
    let lesson = world.session.lesson().expect("it has learned");
    assert_eq!((lesson.trained, lesson.held_out), (progress.answered, 0));
    assert!(world.told.contains(&Milestone::Progressed));
}

#[test]
fn an_undone_answer_is_asked_again_as_it_was_asked_not_as_the_model_learned_from_it() {
    let mut world = World::new(learning());
    wavering(&mut world, 10);
    let asked = world.asked();
    world.press("dog");
    let first = world.last_record();
    world.undo();
    assert_eq!((world.asked().item.id.clone(), world.asked().why), (asked.item.id, asked.why));
    world.press("dog");
    let again = world.last_record();
    assert_eq!(again.prediction, first.prediction, "its own answer is none of the model's");
    assert_eq!(again.policy, first.policy);
}

#[test]
fn what_was_settled_comes_back_when_the_model_doubts_it_later() {
    let mut world = World::new(learning());
    world.arrive("sure").scored(0.975, 0.025).expect_no_question();
    assert_eq!(world.accepted(), ["sure"]);
    world.arrive_all((0..10).map(|i| (format!("w{i}"), 0.96)));
    world.press("dog").press("dog");
    assert!(world.accepted().is_empty(), "the person says that such are dogs");
    world.open("sure");
    assert_eq!((world.asked().why, world.asked().role), (Why::SecondLook, Role::Deferred));
    world.check_counts();
}

#[test]
fn an_answer_that_was_taken_back_was_never_given() {
    let mut once = World::new(learning());
    wavering(&mut once, 40);
    for n in 0..9 {
        once.press(if n % 2 == 0 { "cat" } else { "dog" });
    }
    let before = (confidences(&once), once.accepted(), once.session.progress());
    for label in ["dog", "cat", "dog"] {
        once.press(label);
    }
    assert_ne!(confidences(&once), before.0);
    once.undo().undo().undo();
    assert_eq!((confidences(&once), once.accepted(), once.session.progress()), before);
}

#[test]
fn a_model_that_taught_itself_nothing_says_what_it_said() {
    let mut world = World::new(learning());
    wavering(&mut world, 10);
    let before = confidences(&world);
    world.press("dog").undo();
    assert_eq!(confidences(&world), before, "to the bit, and as the model as it came");
}

#[test]
fn after_a_reload_it_knows_what_it_knew() {
    let mut world = World::new(learning());
    wavering(&mut world, 40);
    for n in 0..12 {
        world.pass(1_000).press(if n % 3 == 0 { "dog" } else { "cat" });
    }
    let numbers = |world: &World| confidences(world).into_iter().map(|(_, bits)| bits).collect::<Vec<_>>();
    let (before, accepted) = (numbers(&world), world.accepted());
    world.reload();
    assert_eq!((numbers(&world), world.accepted()), (before, accepted));
}

#[test]
fn the_question_on_screen_stays_what_it_was_while_the_model_learns() {
    let mut world = World::new(Rules {
        prediction_shown: hitl_labeler::domain::correction::PredictionShown::Shown,
        ..learning()
    });
    wavering(&mut world, 20);
    let keep = world.session.item(hitl_labeler::domain::item::ItemKey(0)).unwrap().id.to_string();
    world.press("cat");
    let asked = world.asked();
    // Another tab's answers change the head while the question is looked at.
    world.review(&keep, "cat");
    assert_eq!(world.asked().suggestion, asked.suggestion);
    let said = asked.suggestion.unwrap();
    world.press("dog");
    let record = world.last_record();
    assert_eq!(record.prediction.unwrap().confidence.to_bits(), said.confidence.get().to_bits());
}

#[test]
fn an_answer_that_is_given_again_is_learned_again_also_beyond_the_memory() {
    let mut world = World::new(learning());
    let small = LearnerRules { memory_bytes: 100, ..crate::world::learner_rules() };
    world.learner = Some(Learner::new(small));
    wavering(&mut world, 10);
    let trained = |world: &World| world.session.lesson().map(|lesson| lesson.trained);
    world.open("w9").press("dog").model_works();
    assert_eq!(trained(&world), Some(1), "its item was read again");
    world.undo();
    assert_eq!(trained(&world), Some(0));
    world.press("dog").model_works();
    assert_eq!(trained(&world), Some(1));
}

#[test]
fn a_lesson_is_taken_over_to_its_end_before_the_next_one_comes() {
    let mut world = World::new(learning());
    wavering(&mut world, 9_000);
    let learn = |commands: &[Command]| commands.contains(&Command::Study(Study::Learn));
    assert!(learn(&world.notice_alone(Notice::Answered(World::label("dog")))));
    let learner = world.learner.as_mut().unwrap();
    learner.answer(hitl_labeler::domain::item::ItemKey(0), Some(Use::Train(World::label("dog"))));
    let lesson = learner.learn();
    let predictions = learner.predictions().map(|(key, said)| (key, Some(said))).collect();
    let learned = Learned { lesson, predictions, slips: Vec::new(), lacks: Vec::new(), spread: Vec::new() };
    world.notice_alone(Notice::Learned(Box::new(learned)));
    let mut commands = world.notice_alone(Notice::Answered(World::label("cat")));
    while !learn(&commands) {
        assert!(commands.contains(&Command::Continue), "{commands:?}");
        commands = world.notice_alone(Notice::Tick);
    }
    let version = |key| world.session.prediction(key).map(|said| said.head_version);
    let open = (0..9_000).map(hitl_labeler::domain::item::ItemKey);
    assert_eq!(open.filter(|key| version(*key) != Some(1)).count(), 0, "what it said of each is known");
}

/// Two hundred items, of which the model may settle most after a few answers or checks.
fn settled(rules: Rules) -> World {
    let mut world = World::new(Rules { deliver_accepted: true, ..rules });
    world.arrive_all((0..200).map(|i| (format!("s{i}"), 0.96 - i as f32 / 2000.0)));
    if world.session.promise().is_some() {
        check(&mut world, 30, |_| true);
    } else {
        world.press("cat").press("cat");
    }
    world
}

#[test]
fn without_its_learner_the_model_settles_nothing_more() {
    for rules in [Rules { policy: accept_at(0.9), ..learning() }, target(0.9)] {
        let mut world = settled(rules);
        let accepted = world.accepted();
        assert!(accepted.len() > 50);
        world.loses_learner();
        assert_eq!(world.accepted(), accepted, "what was settled by the head that was checked stays");
        world.arrive("late").scored(0.999, 0.001);
        assert_eq!(world.accepted(), accepted, "of the model's own word nothing is known");
        world.open("late");
        assert_eq!(world.asked().why, Why::NotSureOrCheck);
        world.check_counts();
    }
}

#[test]
fn a_learner_that_never_came_up_leaves_the_model_to_earn_the_target_itself() {
    let mut world = World::new(target(0.9));
    world.loses_learner();
    world.arrive_all((0..200).map(|i| (format!("s{i}"), 0.96 - i as f32 / 2000.0)));
    check(&mut world, 30, |_| true);
    assert!(world.session.promise().unwrap().is_earned(), "{:?}", world.session.promise());
    assert!(world.session.progress().accepted > 50);
    world.check_counts();
}

#[test]
fn what_was_settled_stays_when_the_next_model_cannot_be_started() {
    for rules in [Rules { policy: accept_at(0.9), ..learning() }, target(0.9)] {
        let mut world = settled(rules);
        world.wait();
        let (accepted, current) = (world.accepted(), World::current(&world.server));
        assert!(accepted.len() > 50);
        world.forget_fates();
        world.takes_model("2").notice(Notice::WithoutModel).wait();
        assert_eq!(world.accepted(), accepted);
        assert_eq!(World::current(&world.server), current, "no accept was taken back");
        world.check_counts();
        // A threshold of the page's still says which of them hold.
        world.policy(accept_at(NOTHING)).wait();
        assert!(world.accepted().is_empty());
        world.check_counts();
    }
}

#[test]
fn the_record_of_what_waits_for_the_next_model_names_the_rules_that_are_in_force() {
    let mut world = World::new(Rules { policy: accept_at(0.9), ..learning() });
    world.arrive("answered").scored(0.5, 0.5).press("cat");
    world.arrive("a").scored(0.95, 0.05);
    world.forget_fates();
    world.takes_model("2").policy(accept_at(0.99)).review("a", "dog");
    let (outcome, reasons) = world.last_record().policy.unwrap();
    assert_eq!(outcome, Outcome::Accept, "it was settled until then");
    assert_eq!((reasons[0].says.as_str(), reasons[0].held), ("confidence at least 0.99", false));
}

#[test]
fn what_the_next_model_settles_is_its_own_to_earn() {
    // Without learning: it would learn that it is wrong.
    let mut world = World::new(Rules { deliver_accepted: true, learning: None, ..target(0.9) });
    world.arrive_all((0..200).map(|i| (format!("s{i}"), 0.96 - i as f32 / 2000.0))).ends();
    check(&mut world, 30, |_| true);
    assert!(world.session.promise().unwrap().is_earned());
    let settled = world.accepted().len();
    // It says the contrary of everything, as surely.
    world.forget_fates();
    world.takes_model("2");
    assert_eq!((world.session.promise().unwrap().is_earned(), world.accepted().len()), (false, settled));
    for i in 0..200 {
        let cat = 0.96 - i as f32 / 2000.0;
        world.fate_of(&format!("s{i}"), crate::world::Fate::Scores(vec![1.0 - cat, cat]));
        let promise = world.session.promise().unwrap();
        assert!(!promise.is_earned() && !promise.lost, "{promise:?}");
    }
    assert_eq!(world.session.progress().accepted, 0);
    world.wait().check_counts();
    assert!(!World::current(&world.server).values().any(|label| label == "dog"));
}

#[test]
fn a_reload_takes_nothing_back_of_what_the_answers_had_earned() {
    for lots in [1, 5] {
        let mut promised = World::new(Rules { deliver_accepted: true, ..target(0.9) });
        promised.arrive_all((0..200).map(|i| (format!("s{i}"), 0.96 - i as f32 / 2000.0)));
        check(&mut promised, 30, |_| true);
        let mut learned = World::new(Rules { deliver_accepted: true, ..learning() });
        wavering(&mut learned, 60);
        for _ in 0..20 {
            learned.pass(1_000).press("cat");
        }
        for world in [&mut promised, &mut learned] {
            let (records, accepted) = (world.store.records.len(), world.accepted());
            assert!(accepted.len() > 10, "{:?}", world.session.progress());
            let promise = world.session.promise();
            world.reload_in(lots).wait();
            assert_eq!(world.accepted(), accepted);
            assert_eq!(world.store.records.len(), records, "no record tells of anything new");
            assert_eq!(
                world.session.promise().map(|promise| promise.verdict),
                promise.map(|promise| promise.verdict)
            );
            world.check_counts();
        }
    }
}

#[test]
fn a_source_that_never_ends_and_brings_nothing_known_is_settled_all_the_same() {
    let mut world = World::new(learning());
    wavering(&mut world, 60);
    for _ in 0..10 {
        world.pass(1_000).press("cat");
    }
    world.forgets_its_items().reload();
    world.arrive_all((0..50).map(|i| (format!("new{i}"), 0.99)));
    assert!(world.accepted().is_empty(), "those that were answered may still come");
    world.wait();
    assert!(world.accepted().len() > 10, "{:?}", world.session.progress());
}

#[test]
fn no_part_of_the_earlier_checks_earns_the_promise_while_the_rest_is_still_read() {
    for looks in [Looks::Fixed, Looks::Any] {
        let mut world = World::new(Rules { learning: None, ..target_with(|rules| rules.looks = looks) });
        // It errs in what comes last, and is surest there.
        world.arrive_all((0..400).map(|i| (format!("s{i}"), if i < 200 { 0.9 } else { 0.95 })));
        for _ in 0..160 {
            let errs = world.asked().role == Role::Audit && world.asked().key.0 >= 200;
            world.pass(500).press(if errs { "dog" } else { "cat" });
        }
        assert_eq!(world.session.progress().accepted, 0, "{:?}", world.session.promise());
        world.ends().reload();
        let accepted = world.told.iter().find(|told| matches!(told, Milestone::Accepted(_)));
        assert_eq!(accepted, None, "a part of the checks is no random sample");
    }
}

#[test]
fn checks_that_are_yet_to_be_read_are_not_shown_as_errors() {
    for looks in [Looks::Fixed, Looks::Any] {
        let mut world = World::new(Rules { learning: None, ..target_with(|rules| rules.looks = looks) });
        world.arrive_all((0..200).map(|i| (format!("s{i}"), 0.96 - i as f32 / 2000.0)));
        check(&mut world, 31, |_| true);
        world.forget_fates();
        world.takes_model("2");
        let verdict = world.session.promise().unwrap().verdict;
        assert_eq!(verdict, Verdict::NotYet { audits: 0, errors: 0, needed: 31 });
    }
}

#[test]
fn a_target_takes_the_place_of_the_configured_checks_and_gives_it_back() {
    let configured = crate::world::all_audited();
    let mut world = World::new(Rules { policy: configured.clone(), ..learning() });
    world.arrive_all((0..50).map(|i| (format!("s{i}"), 0.95)));
    world.notice(Notice::TargetChanged(target(0.9).target));
    assert_eq!(world.session.policy().audit_when, None);
    world.notice(Notice::TargetChanged(target(0.8).target)).notice(Notice::TargetChanged(None));
    assert_eq!(world.session.policy().audit_when, configured.audit_when);
    world.policy(configured);
    assert_eq!(world.session.progress().accepted, 0);
    world.check_counts();
}

#[test]
fn what_is_held_out_is_asked_by_lot_whatever_is_asked_first() {
    use hitl_labeler::domain::queue::Strategy::{Diverse, Margin};
    let asked = [Margin, Diverse].map(|strategy| {
        let learning = Some(LearningRules { hold_out: Sampling { share: 1.0, seed: 1 } });
        let mut world =
            World::new(Rules { strategy, learning, policy: crate::world::all_audited(), ..rules() });
        wavering(&mut world, 30);
        let mut asked = Vec::new();
        while let Some(question) = world.session.question() {
            asked.push(question.item.id.to_string());
            world.press("cat");
        }
        asked
    });
    assert_eq!(asked[0], asked[1]);
}

#[test]
fn a_sample_drawn_under_the_seed_of_the_order_does_not_come_before_all_other_checks() {
    let sample = Condition::Sample { percent: 10.0, seed: 7 };
    let policy = Policy { audit_when: Some(sample), ..accept_at(0.9) };
    let learning = Some(LearningRules { hold_out: Sampling { share: 0.1, seed: 7 } });
    let mut world = World::new(Rules { learning, policy, seed: 7, ..rules() });
    // Without a learner, so that nothing moves.
    world.learner = None;
    world.arrive_all((0..800).map(|i| (format!("i{i}"), if i % 2 == 0 { 0.95 } else { 0.6 })));
    let mut checks = Vec::new();
    while let Some(question) = world.session.question() {
        let label = if question.role == Role::Audit { "dog" } else { "cat" };
        checks.push((question.role, question.key));
        world.press(label);
    }
    let audits: Vec<_> = (0..checks.len()).filter(|at| checks[*at].0 == Role::Audit).collect();
    // Their lots are those of all: the checks do not come in the order of their draws.
    let draw = |at: &usize| hitl_labeler::domain::ident::draw(7, &format!("i{}", checks[*at].1.0));
    let ascending = audits.windows(2).filter(|pair| draw(&pair[0]) < draw(&pair[1])).count();
    assert!(audits.len() > 20 && ascending * 4 < audits.len() * 3, "{ascending} of {}", audits.len());
}

#[test]
fn short_visits_bring_checks_and_questions_as_long_ones_do() {
    let mut world = World::new(Rules { learning: None, ..target(0.9) });
    world.arrive_all((0..100).map(|i| (format!("s{i}"), 0.8 - i as f32 / 1000.0)));
    let mut roles = Vec::new();
    for _ in 0..10 {
        // The first two are chosen before everything is there.
        world.press("cat").press("cat");
        roles.push(world.asked().role);
        world.press("cat").reload();
    }
    let checks = roles.iter().filter(|role| **role == Role::Audit).count();
    assert!((1..=9).contains(&checks), "{roles:?}");
}

/// Answers all checks as `right` says, everything else as cat; until `checks` are answered.
fn check(world: &mut World, checks: usize, right: impl Fn(usize) -> bool) {
    let mut answered = 0;
    while answered < checks {
        let question = world.asked();
        world.pass(500);
        if question.role == Role::Audit {
            let label = world.session.prediction(question.key).unwrap().label;
            let other = if &*label == "cat" { "dog" } else { "cat" };
            let said = if right(answered) { label.to_string() } else { other.to_string() };
            answered += 1;
            world.press(&said);
        } else {
            world.press("cat");
        }
    }
}

#[test]
fn under_a_target_nothing_is_settled_before_the_checks_allow_it() {
    let mut world = World::new(target(0.9));
    world.arrive_all((0..200).map(|i| (format!("s{i}"), 0.96 - i as f32 / 2000.0)));
    assert_eq!((world.session.progress().accepted, world.session.policy().accept_at), (0, NOTHING));
    check(&mut world, 10, |_| true);
    let promise = world.session.promise().unwrap();
    assert_eq!(promise.answered, 10);
    let Verdict::NotYet { errors: 0, needed, .. } = promise.verdict else { panic!("{promise:?}") };
    assert_eq!(needed, 12, "22 checks without an error show 90 %");
    assert_eq!(world.session.progress().accepted, 0);
    check(&mut world, 14, |_| true);
    let promise = world.session.promise().unwrap();
    assert!(matches!(promise.verdict, Verdict::Earned { errors: 0, .. }), "{promise:?}");
    assert!(world.session.progress().accepted > 50, "{:?}", world.session.progress());
    world.check_counts();
}

fn target_with(change: impl Fn(&mut TargetRules)) -> Rules {
    let mut rules = target(0.9);
    rules.target.iter_mut().for_each(change);
    rules
}

#[test]
fn a_promise_for_all_moments_is_earned_at_a_look_and_asks_for_more_checks() {
    // Without learning, so that the confidences stay what they are between two looks.
    let mut world = World::new(Rules { learning: None, ..target_with(|rules| rules.looks = Looks::Any) });
    world.arrive_all((0..200).map(|i| (format!("s{i}"), 0.96 - i as f32 / 2000.0)));
    check(&mut world, 30, |_| true);
    let promise = world.session.promise().unwrap();
    assert_eq!(promise.looks, Looks::Any);
    assert_eq!(promise.verdict, Verdict::NotYet { audits: 30, errors: 0, needed: 1 });
    check(&mut world, 1, |_| true);
    assert!(world.session.promise().unwrap().is_earned() && world.session.progress().accepted > 50);
    let earned = world.session.promise().unwrap().verdict;
    check(&mut world, 4, |n| n != 1);
    // Too few for the monitor to say anything, and the next look is at 62.
    assert_eq!(world.session.promise().unwrap().verdict, earned);
    world.check_counts();
}

#[test]
fn the_promises_of_single_labels_are_all_told() {
    let mut world = World::new(target_with(|rules| rules.per_label = true));
    world.arrive_all((0..400).map(|i| (format!("s{i}"), 0.96 - i as f32 / 4000.0)));
    check(&mut world, 20, |_| true);
    let groups = world.session.promise().unwrap().groups;
    assert!(matches!(groups[..], [(None, Verdict::NotYet { audits: 20, .. })]), "{groups:?}");
    check(&mut world, 60, |_| true);
    let promise = world.session.promise().unwrap();
    assert!(
        matches!(
            promise.groups[..],
            [(Some(cat), Verdict::Earned { errors: 0, .. }), (None, Verdict::NotYet { audits: 0, .. })]
                if cat == World::label("cat")
        ),
        "{promise:?}"
    );
    assert!(promise.is_earned());
}

#[test]
fn a_promise_that_further_checks_do_not_bear_out_is_given_up() {
    let mut world = World::new(target(0.9));
    world.arrive_all((0..400).map(|i| (format!("s{i}"), 0.96 - i as f32 / 4000.0)));
    check(&mut world, 30, |_| true);
    assert!(world.session.progress().accepted > 100 && !world.session.promise().unwrap().lost);
    check(&mut world, 20, |n| n % 2 == 0);
    let promise = world.session.promise().unwrap();
    assert!(promise.lost && matches!(promise.verdict, Verdict::NotYet { .. }), "{promise:?}");
    assert_eq!(world.session.progress().accepted, 0, "what was settled is the person's again");
    world.check_counts();
}

#[test]
fn when_the_items_change_what_was_known_before_does_not_count_any_more() {
    let mut world = World::new(Rules { learning: None, ..target(0.9) });
    world.arrive_all((0..1_000).map(|i| (format!("s{i}"), 0.96 - i as f32 / 10_000.0)));
    check(&mut world, 120, |_| true);
    assert!(world.session.promise().unwrap().is_earned());
    let mut checks = 0;
    while world.session.promise().unwrap().alarms == 0 {
        check(&mut world, 1, |_| checks % 3 == 0);
        checks += 1;
        assert!(checks < 40, "{:?}", world.session.promise());
    }
    let promise = world.session.promise().unwrap();
    assert!(
        promise.lost && !promise.is_earned(),
        "good checks of another time outweigh nothing: {promise:?}"
    );
    assert_eq!(world.session.progress().accepted, 0);
    world.check_counts();
}

#[test]
fn a_check_taken_back_earns_nothing() {
    let mut world = World::new(target(0.9));
    world.arrive_all((0..200).map(|i| (format!("s{i}"), 0.96 - i as f32 / 2000.0)));
    check(&mut world, 21, |_| true);
    let before = world.session.promise().unwrap();
    assert!(!before.is_earned());
    check(&mut world, 1, |_| true);
    assert!(world.session.promise().unwrap().is_earned());
    world.undo();
    let after = world.session.promise().unwrap();
    assert_eq!((after.verdict, after.answered), (before.verdict, before.answered));
    assert_eq!(world.session.progress().accepted, 0);
}

#[test]
fn checks_are_never_trained_on() {
    let mut world = World::new(target(0.9));
    world.arrive_all((0..60).map(|i| (format!("s{i}"), 0.9)));
    check(&mut world, 12, |_| true);
    let lesson = world.session.lesson().unwrap();
    let records = &world.store.records;
    let audits = records.iter().filter(|r| r.kind == Kind::Correction && r.role == Role::Audit).count();
    assert_eq!((lesson.held_out, lesson.trained), (audits, records.len() - audits));
}

#[test]
fn a_check_tells_neither_by_its_reason_nor_by_a_suggestion_that_it_is_one() {
    let mut world = World::new(target(0.9));
    world.arrive_all((0..60).map(|i| (format!("s{i}"), 0.9)));
    let mut seen = Vec::new();
    for _ in 0..20 {
        let question = world.asked();
        assert_eq!((question.why, question.suggestion), (Why::NotSureOrCheck, None));
        seen.push(question.role);
        world.press("cat");
    }
    assert!(seen.contains(&Role::Audit) && seen.contains(&Role::Deferred), "{seen:?}");
}

#[test]
fn a_threshold_again_in_place_of_a_target() {
    let mut world = World::new(target(0.9));
    world.arrive_all((0..50).map(|i| (format!("s{i}"), 0.9)));
    assert_eq!(world.session.progress().accepted, 0);
    world.notice(Notice::TargetChanged(None)).policy(accept_at(0.85));
    assert_eq!(world.session.promise(), None);
    assert!(world.session.progress().accepted >= 49, "{:?}", world.session.progress());
    world.check_counts();
}

#[test]
fn whatever_is_asked_first_is_asked_once() {
    let strategy = hitl_labeler::domain::queue::Strategy::Diverse;
    let mut world = World::new(Rules { strategy, policy: accept_at(1.0), ..learning() });
    wavering(&mut world, 40);
    let mut asked = Vec::new();
    while let Some(question) = world.session.question() {
        assert_eq!(question.role, Role::Deferred, "{} a second time", question.item.id);
        asked.push(question.item.id.to_string());
        world.press(if asked.len() % 2 == 0 { "cat" } else { "dog" });
    }
    asked.sort();
    asked.dedup();
    assert_eq!(asked.len(), 40);
}

#[test]
fn confirming_what_the_model_got_wrong_does_not_earn_the_promise() {
    let mut world = World::new(target(0.9));
    world.arrive_all((0..200).map(|i| (format!("s{i}"), 0.96 - i as f32 / 2000.0)));
    check(&mut world, 40, |n| n % 5 != 0);
    let before = world.session.promise().unwrap();
    assert!(!before.is_earned(), "{before:?}");
    let lesson = *world.session.lesson().unwrap();
    let wrong: Vec<_> = world
        .store
        .records
        .iter()
        .filter(|record| {
            record.role == Role::Audit
                && record.prediction.as_ref().is_some_and(|said| Some(&said.label) != record.answer.as_ref())
        })
        .cloned()
        .collect();
    assert_eq!(wrong.len(), 8);
    for record in wrong {
        world.review(&record.item_id, record.answer.as_deref().unwrap());
    }
    let after = world.session.promise().unwrap();
    assert_eq!((after.verdict, after.answered), (before.verdict, before.answered));
    assert_eq!(world.session.lesson().unwrap().held_out, lesson.held_out, "a check stays one");
    assert!(world.session.slips().all(|(key, ..)| {
        let id = &world.session.item(key).unwrap().id;
        !world.store.records.iter().any(|r| r.item_id == *id && r.role == Role::Audit)
    }));
}

#[test]
fn a_promise_survives_a_reload_also_without_learning() {
    let mut world = World::new(Rules { learning: None, ..target(0.9) });
    world.arrive_all((0..200).map(|i| (format!("s{i}"), 0.96 - i as f32 / 2000.0)));
    check(&mut world, 30, |_| true);
    let before = world.session.promise().unwrap();
    assert!(before.is_earned());
    world.reload();
    let after = world.session.promise().unwrap();
    assert_eq!((after.verdict, after.answered), (before.verdict, before.answered));
    assert!(world.session.progress().accepted > 50);
}

#[test]
fn a_target_set_later_keeps_its_checks_from_training_as_one_set_at_first() {
    let mut later = World::new(Rules { target: None, ..target(0.9) });
    later.notice(Notice::TargetChanged(target(0.9).target));
    let mut first = World::new(target(0.9));
    for world in [&mut later, &mut first] {
        world.arrive_all((0..100).map(|i| (format!("s{i}"), 0.9)));
        check(world, 12, |_| true);
    }
    let of = |world: &World| world.session.lesson().map(|lesson| (lesson.trained, lesson.held_out));
    assert_eq!(of(&later), of(&first));
}

#[test]
fn what_the_new_model_has_no_word_for_is_settled_no_more_also_while_earlier_answers_are_read() {
    let mut world = World::new(Rules {
        dispatch: DispatchRules { workers: 1, batch_most: 1, ..DispatchRules::default() },
        ..learning()
    });
    world.arrive("answered").scored(0.5, 0.5).press("cat");
    world.arrive_all((0..20).map(|i| (format!("s{i}"), 0.99)));
    world.forget_fates();
    world.takes_model("2");
    for i in 0..20 {
        world.fate_of(&format!("s{i}"), Fate::Scores(vec![f32::NAN, 0.0]));
    }
    assert!(world.accepted().len() < 20, "some of them it has read before the one that was answered");
    world.check_counts();
    world.fate_of("answered", Fate::Scores(vec![0.5, 0.5])).wait();
    assert!(world.accepted().is_empty());
    world.check_counts();
}
