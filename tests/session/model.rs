//! The model's side: none, lost, failing, and a policy that changes while people work.

use hitl_labeler::domain::correction::{Kind, Role};
use hitl_labeler::domain::item::{AsideReason, ItemKey};
use hitl_labeler::domain::policy::{Bound, Condition, Outcome};
use hitl_labeler::domain::session::{Command, Milestone, Notice, Phase, Rules, Why};

use crate::world::{Fate, World, accept_at, all_audited, item, rules};

#[test]
fn without_a_model_everything_goes_to_the_person_in_order() {
    let mut world = World::new(Rules { model: None, ..rules() });
    assert_eq!(world.told, [Milestone::Ready]);
    world.arrive("a").arrive("b").arrive("c").ends();
    for id in ["a", "b", "c"] {
        world.expect_question(id);
        assert_eq!((world.asked().role, world.asked().why), (Role::Manual, Why::NoModel));
        world.press("cat");
    }
    world.expect_finished();
    assert!(world.store.records.iter().all(|r| r.prediction.is_none() && r.role == Role::Manual));
    assert_eq!(world.starts, 0, "no worker is started for nothing");
}

#[test]
fn when_the_model_is_lost_in_the_middle_nothing_is() {
    let mut world = World::new(rules());
    world.arrive("seen").scored(0.51, 0.49).arrive("settled").scored(0.97, 0.03);
    world.arrive("unseen").arrive("later").ends().notice(Notice::WithoutModel);
    assert!(!world.session.has_model());
    world.check_counts();
    world.expect_question("seen").press("cat");
    let said = world.last_record().prediction.unwrap();
    assert_eq!(&*said.model.name, "pets", "the record says which model had said it");
    for _ in 0..2 {
        assert_eq!(world.asked().role, Role::Manual);
        world.press("dog");
    }
    world.expect_finished();
    assert_eq!(world.accepted(), ["settled"]);
    assert_eq!(world.exported().len(), 4);
    assert_eq!(world.told.iter().filter(|m| **m == Milestone::Ready).count(), 1);
}

#[test]
fn an_item_over_which_a_worker_dies_twice_is_asked_as_one_that_could_not_be_predicted() {
    let mut world = World::new(rules());
    world.arrive("bomb").arrive("good").fated(Fate::Scores(vec![0.97, 0.03])).ends();
    assert_eq!(world.session.phase(), Phase::Predicting);
    // Only now is known what the first one does.
    world.notice(Notice::Tick);
    world.fate_of("bomb", Fate::KillsTheWorker);
    world.expect_question("bomb");
    assert!(matches!(world.asked().why, Why::Unpredictable(_)));
    assert_eq!(world.accepted(), ["good"]);
    assert_eq!(world.starts, 3, "the first worker and one for each death");
    world.press("dog").expect_finished();
    assert_eq!((world.last_record().role, world.last_record().prediction), (Role::Manual, None));
}

#[test]
fn what_one_model_failed_on_and_another_reads_is_an_item_like_any_other() {
    let mut world = World::new(Rules { policy: all_audited(), ..rules() });
    world.arrive("a").fated(Fate::KillsTheWorker).expect_question("a");
    world.notice(Notice::Closed).arrive("b").scored(0.5, 0.5).skip();
    world.fate_of("a", Fate::Scores(vec![0.97, 0.03])).takes_model("2").press("cat");
    world.open("a").press("cat");
    let record = world.store.records.iter().find(|record| &*record.item_id == "a").unwrap();
    assert_eq!((record.role, record.prediction.is_some()), (Role::Audit, true));
}

#[test]
fn what_the_model_before_had_said_is_recorded_as_its_word() {
    let version = |world: &World| world.last_record().prediction.map(|said| said.model.version.to_string());
    let mut world = World::new(rules());
    world.arrive_all([("a".into(), 0.51), ("b".into(), 0.55), ("c".into(), 0.6)]);
    world.forget_fates();
    world.takes_model("2").expect_question("a").press("cat");
    assert_eq!(version(&world).as_deref(), Some("1"), "it was asked on that one's word");
    world.fate_of("c", Fate::Scores(vec![0.6, 0.4])).fate_of("b", Fate::Scores(vec![f32::NAN, 0.0]));
    world.fate_of("a", Fate::Scores(vec![0.9, 0.1])).wait();
    world.open("c").press("cat");
    assert_eq!(version(&world).as_deref(), Some("2"));
    world.open("b").press("cat");
    assert_eq!(version(&world), None, "the new one has no word for it");
    assert_eq!(world.last_record().role, Role::Manual);
}

#[test]
fn what_the_model_before_had_settled_holds_until_the_new_one_has_read_it() {
    let mut world = World::new(Rules { deliver_accepted: true, ..rules() });
    world.arrive_all([("on-screen".into(), 0.5), ("a".into(), 0.95), ("b".into(), 0.95)]);
    world.arrive_all([("c".into(), 0.95), ("d".into(), 0.8)]);
    world.forget_fates();
    world.takes_model("2").policy(accept_at(0.7));
    assert_eq!(world.accepted().len(), 3, "by the model before nothing more is settled");
    world.fate_of("a", Fate::Scores(vec![0.95, 0.05])).fate_of("b", Fate::Scores(vec![f32::NAN, 0.0]));
    world.fate_of("c", Fate::KillsTheWorker).fate_of("d", Fate::Scores(vec![0.8, 0.2]));
    world.fate_of("on-screen", Fate::Scores(vec![0.5, 0.5])).wait();
    assert_eq!(world.accepted(), ["d", "a"]);
    let current = World::current(&world.server);
    assert_eq!(current.keys().collect::<Vec<_>>(), ["a", "d"], "nor does what it has no word for");
    world.check_counts();
}

#[test]
fn numbers_that_are_none_are_no_prediction() {
    let mut world = World::new(rules());
    world.arrive("nan").scored(f32::NAN, 0.5).expect_question("nan");
    assert!(matches!(world.asked().why, Why::Unpredictable(_)));
    world.check_counts();
}

#[test]
fn a_reply_that_leaves_an_item_out_leaves_nobody_behind() {
    let mut world = World::new(rules());
    world.arrive("a").ends();
    world.forgets_results().wait();
    world.expect_question("a").press("cat").expect_finished();
}

#[test]
fn what_was_answered_stays_answered_whatever_becomes_of_its_prediction() {
    let mut world = World::new(rules());
    world.arrive("a").scored(0.51, 0.49).press("cat").ends();
    world.forget_fates();
    world.reload().expect_finished();
    world.fate_of("a", Fate::Unreadable(AsideReason::NotAnImage));
    world.expect_finished();
    world.check_counts();
    assert_eq!(world.exported()["a"], "cat");
    world.reload();
    world.told.clear();
    world.fate_of("a", Fate::KillsTheWorker);
    world.expect_finished();
    assert!(!world.told.iter().any(|m| matches!(m, Milestone::Deferred(_))), "{:?}", world.told);
}

#[test]
fn a_policy_that_changes_over_100_000_items_works_in_slices_and_leaves_the_screen_alone() {
    const ITEMS: u32 = 100_000;
    let mut world = World::new(rules());
    world.arrive("on-screen").scored(0.7, 0.3);
    world.arrive_all((1..ITEMS).map(|i| (format!("i{i}"), 0.5 + i as f32 / (2.0 * ITEMS as f32))));
    let on_screen = world.asked();
    let version = |world: &World, policy: &str| {
        (0..ITEMS).map(ItemKey).filter(|k| world.session.decision(*k).unwrap().1[0].says == policy).count()
    };
    assert_eq!(version(&world, "confidence at least 0.9"), ITEMS as usize);
    let settled = world.session.progress().accepted;
    let mut rounds = 0;
    let mut commands = world.notice_alone(Notice::PolicyChanged(accept_at(0.6)));
    let mut before = settled;
    loop {
        rounds += 1;
        let after = world.session.progress().accepted;
        assert!(after - before <= 4_096, "{} items in one go", after - before);
        before = after;
        assert_eq!(world.asked(), on_screen, "nothing moves under the person's hand");
        if !commands.contains(&Command::Continue) {
            break;
        }
        commands = world.notice_alone(Notice::Tick);
    }
    assert!(rounds >= 25, "{rounds}");
    let expected = world.session.coverage().at_least(0.6);
    // The one on screen would be settled by now, and stays until it is answered.
    assert_eq!(world.session.progress().accepted, expected - 1);
    world.check_counts();
}

#[test]
fn an_answer_in_the_midst_of_a_change_records_the_policy_by_which_it_was_asked() {
    let mut world = World::new(Rules {
        policy: hitl_labeler::domain::policy::Policy {
            defer_when: Some(Condition::Margin(Bound::Below(0.1))),
            ..accept_at(0.5)
        },
        ..rules()
    });
    world.arrive_all((0..9_000).map(|i| (format!("i{i}"), 0.9)));
    world.arrive("asked").scored(0.52, 0.48).expect_question("asked");
    let why = world.asked().why;
    assert_eq!(why, Why::Rule(vec!["margin below 0.1".into()]));
    world.notice_alone(Notice::PolicyChanged(accept_at(0.6)));
    assert_eq!(world.asked().why, why);
    let label = World::label("cat");
    let commands = world.notice_alone(Notice::Answered(label));
    let record = commands.iter().find_map(|c| match c {
        Command::Commit(records) => records.first().cloned(),
        _ => None,
    });
    let (outcome, reasons) = record.unwrap().policy.unwrap();
    assert_eq!(outcome, Outcome::Defer);
    let held: Vec<_> = reasons.iter().map(|r| (r.rule.as_str(), r.held)).collect();
    assert_eq!(held, [("accept_at", true), ("defer_when.margin_below", true)]);
}

#[test]
fn reasons_are_those_of_the_present_policy_also_before_its_slice_has_come() {
    let mut world = World::new(rules());
    world.arrive_all((0..9_000).map(|i| (format!("i{i}"), 0.95)));
    let mut policy = all_audited();
    policy.defer_when = Some(Condition::Confidence(Bound::Below(0.1)));
    world.notice_alone(Notice::PolicyChanged(policy));
    let (outcome, reasons) = world.session.decision(ItemKey(8_999)).unwrap();
    let held: Vec<_> = reasons.iter().map(|r| r.held).collect();
    assert_eq!((outcome, held), (Outcome::Audit, vec![true, false, true]));
}

#[test]
fn a_policy_that_changes_puts_what_waits_in_the_models_hands_and_back() {
    let mut world = World::new(rules());
    world.arrive_all((0..10).map(|i| (format!("i{i}"), 0.6 + i as f32 / 100.0))).ends();
    world.expect_question("i0").policy(accept_at(0.65)).expect_question("i0").press("cat");
    world.check_counts();
    assert_eq!(world.session.progress().accepted, 5);
    for id in ["i1", "i2", "i3", "i4"] {
        world.expect_question(id).press("cat");
    }
    world.expect_finished().policy(accept_at(0.9)).expect_question("i5");
    assert_eq!(world.session.progress().waiting, 5);
}

#[test]
fn accepts_that_are_delivered_are_withdrawn_when_they_no_longer_hold() {
    let mut world = World::new(Rules { deliver_accepted: true, ..rules() });
    world.arrive("a").scored(0.95, 0.05).ends().expect_finished();
    assert_eq!(world.kinds(), [Kind::Accepted]);
    assert_eq!(World::current(&world.server)["a"], "cat");
    world.policy(accept_at(0.99)).expect_question("a").wait();
    assert_eq!(world.kinds(), [Kind::Accepted, Kind::Undo]);
    assert!(World::current(&world.server).is_empty(), "the person is asked: nothing holds until then");
    world.press("dog").wait();
    assert_eq!(World::current(&world.server)["a"], "dog");
}

#[test]
fn accepts_are_not_recorded_twice_after_a_reload() {
    let mut world = World::new(Rules { deliver_accepted: true, ..rules() });
    world.arrive_all((0..20).map(|i| (format!("i{i}"), 0.95))).ends();
    assert_eq!(world.store.records.len(), 20);
    world.reload().reload().expect_finished();
    assert_eq!(world.store.records.len(), 20);
    assert_eq!(world.server.len(), 20);
    assert_eq!(world.session.progress().accepted, 20);
}

#[test]
fn an_accept_of_an_earlier_visit_is_withdrawn_when_todays_policy_asks_and_not_given_away() {
    let mut world = World::new(Rules { deliver_accepted: true, ..rules() });
    world.arrive("a").scored(0.95, 0.05).ends();
    world.rules.policy = accept_at(0.99);
    world.reload().expect_question("a").wait();
    assert_eq!(world.asked().present, None, "the question does not show the answer");
    assert_eq!(world.kinds(), [Kind::Accepted, Kind::Undo]);
    assert!(World::current(&world.server).is_empty());
}

#[test]
fn another_model_that_agrees_is_recorded_and_withdrawn_with_the_first() {
    let mut world = World::new(Rules { deliver_accepted: true, ..rules() });
    world.arrive("a").scored(0.95, 0.05).ends();
    world.rules.model.as_mut().unwrap().name.version = "2".into();
    world.reload().expect_finished();
    assert_eq!(world.kinds(), [Kind::Accepted, Kind::Accepted]);
    world.policy(accept_at(0.99)).expect_question("a").wait();
    assert!(World::current(&world.server).is_empty(), "the older accept does not come back to life");
}

#[test]
fn a_corrected_accept_that_is_undone_is_the_models_again() {
    let mut world = World::new(Rules { deliver_accepted: true, ..rules() });
    world.arrive("a").scored(0.95, 0.05).ends().review("a", "dog").wait();
    assert_eq!(World::current(&world.server)["a"], "dog");
    world.undo().wait().expect_finished();
    assert_eq!(World::current(&world.server)["a"], "cat");
    assert_eq!(world.exported(), World::current(&world.server));
    assert_eq!(world.kinds(), [Kind::Accepted, Kind::Correction, Kind::Undo]);
}

#[test]
fn items_that_come_while_a_new_policy_is_still_at_work_are_decided_by_it() {
    let mut world = World::new(rules());
    world.arrive_all((0..9_000).map(|i| (format!("i{i}"), 0.95)));
    world.notice_alone(Notice::PolicyChanged(accept_at(0.99)));
    world.arrive_item(item("late")).scored(0.97, 0.03).pass(1);
    assert_eq!(world.session.progress().accepted, 0);
    assert_eq!(world.session.progress().waiting, 9_001);
    world.check_counts();
}
