//! The person's side: questions, answers, second thoughts, review.

use hitl_labeler::domain::correction::{Kind, PredictionShown, Role};
use hitl_labeler::domain::ident::RecordId;
use hitl_labeler::domain::item::AsideReason;
use hitl_labeler::domain::session::{Notice, Phase, Question, Rules, Why};

use crate::world::{Fate, World, accept_at, all_audited, item, rules};

#[test]
fn the_model_settles_what_it_is_sure_of_and_the_person_is_asked_about_the_rest() {
    let mut world = World::new(rules());
    world.arrive("sure").scored(0.97, 0.03).expect_no_question();
    world.arrive("unsure").scored(0.51, 0.49).expect_question("unsure");
    world.check_counts();
    assert_eq!(world.accepted(), ["sure"]);
    assert!(world.store.records.is_empty(), "nobody answered and accepts are not to be delivered");
    let question = world.asked();
    assert_eq!((question.role, question.suggestion, question.present), (Role::Deferred, None, None));
    assert!(matches!(question.why, Why::NotSure { threshold, .. } if threshold == 0.9));
}

#[test]
fn one_key_answers_and_brings_the_next_question() {
    let mut world = World::new(rules());
    world.arrive("a").scored(0.51, 0.49).arrive("b").scored(0.6, 0.4).ends();
    world.expect_question("a").press("dog").expect_question("b").press("cat").expect_finished();
    let answers: Vec<_> = world.store.records.iter().map(|r| (&*r.item_id, r.answer.as_deref())).collect();
    assert_eq!(answers, [("a", Some("dog")), ("b", Some("cat"))]);
    assert_eq!(world.session.progress().confirmed, 1, "cat is what the model had said of b");
    assert_eq!(world.times_done(), 1);
}

#[test]
fn an_answer_that_is_no_label_answers_nothing() {
    let mut world = World::new(rules());
    world.arrive("a").scored(0.51, 0.49);
    world.notice(Notice::Answered(hitl_labeler::domain::label::LabelId(7))).expect_question("a");
    assert!(world.store.records.is_empty());
}

/// What tells one question from another before it is answered, the item itself apart.
fn looks(question: &Question) -> String {
    let Question { why, suggestion, present, flagged, note, skips, .. } = question;
    format!("{why:?} {suggestion:?} {present:?} {flagged} {note:?} {skips}")
}

#[test]
fn an_audit_looks_like_any_other_question() {
    for shown in [PredictionShown::Hidden, PredictionShown::After] {
        let mut world = World::new(Rules { policy: all_audited(), prediction_shown: shown, ..rules() });
        world.arrive("audited").scored(0.97, 0.03).expect_question("audited");
        let audit = world.asked();
        world.press("dog");
        assert_eq!(world.session.last_answer().unwrap().prediction, None, "not even afterwards");
        assert_eq!(world.last_record().role, Role::Audit);
        world.arrive("deferred").scored(0.51, 0.49).expect_question("deferred");
        assert_eq!(looks(&audit), looks(&world.asked()));
        world.press("dog");
        assert_eq!(world.last_record().role, Role::Deferred);
    }
}

#[test]
fn where_predictions_are_shown_a_check_is_not_known_by_showing_none() {
    let shown = PredictionShown::Shown;
    let mut world = World::new(Rules { policy: all_audited(), prediction_shown: shown, ..rules() });
    world.arrive("audited").scored(0.97, 0.03).expect_question("audited");
    let audit = world.asked();
    world.press("cat");
    assert_eq!(world.last_record().prediction_shown, PredictionShown::Hidden);
    world.arrive("deferred").scored(0.51, 0.49).expect_question("deferred");
    assert_eq!(looks(&audit), looks(&world.asked()));
    world.press("cat");
    assert_eq!(world.last_record().prediction_shown, PredictionShown::After, "what was really done");
    assert!(world.session.last_answer().unwrap().prediction.is_some());
    // Without checks nobody is to be kept in the dark.
    world.policy(accept_at(0.9)).arrive("seen").scored(0.51, 0.49);
    assert!(world.asked().suggestion.is_some());
}

#[test]
fn audits_have_no_place_of_their_own_in_the_order() {
    let mut world = World::new(Rules { policy: all_audited(), ..rules() });
    world.arrive("first").scored(0.5, 0.5);
    world.arrive_all(
        (0..200).map(|i| (format!("i{i}"), if i % 2 == 0 { 0.95 } else { 0.505 + i as f32 / 500.0 })),
    );
    let mut roles = Vec::new();
    while world.session.question().is_some() {
        roles.push(world.asked().role);
        world.press("cat");
    }
    let audits = |part: &[Role]| part.iter().filter(|role| **role == Role::Audit).count();
    assert!(audits(&roles[..67]) > 10 && audits(&roles[134..]) > 10, "{roles:?}");
}

#[test]
fn the_most_doubtful_comes_first_and_nothing_moves_on_screen() {
    let mut world = World::new(rules());
    world.arrive("easy").scored(0.8, 0.2).expect_question("easy");
    let (serial, shown) = (world.asked().serial, world.asked());
    world.arrive("hard").scored(0.5, 0.5).arrive("middle").scored(0.6, 0.4);
    world.expect_question("easy");
    assert_eq!((world.asked().serial, world.asked()), (serial, shown));
    world.arrive("hardest").scored(0.5, 0.5);
    // What stood ready when the others came is the next one; then it goes by doubt.
    world.press("cat").expect_question("hard").press("cat").expect_question("hardest");
    world.press("cat").expect_question("middle");
}

#[test]
fn a_share_of_the_questions_is_random() {
    let mut world = World::new(Rules { random_share: 0.3, ..rules() });
    world.arrive_all((0..200).map(|i| (format!("i{i}"), 0.5 + i as f32 / 1000.0)));
    let mut keys = Vec::new();
    while world.session.question().is_some() {
        keys.push(world.asked().key.0);
        world.press("cat");
    }
    let jumps = keys.windows(2).filter(|pair| pair[0] > pair[1]).count();
    assert!((20..120).contains(&jumps), "{jumps}");
    keys.sort_unstable();
    assert_eq!(keys, (0..200).collect::<Vec<_>>(), "each once");
}

#[test]
fn what_is_skipped_comes_at_the_end() {
    let mut world = World::new(rules());
    world.arrive_all([("a".into(), 0.5), ("b".into(), 0.55), ("c".into(), 0.6)]);
    world.expect_question("a").skip().expect_question("b").press("cat").expect_question("c");
    world.arrive("d").scored(0.7, 0.3).press("cat");
    world.expect_question("a");
    assert_eq!(world.asked().skips, 1);
    world.press("dog");
    assert_eq!(world.last_record().skipped_before, 1);
    world.expect_question("d");
}

#[test]
fn what_is_skipped_stays_at_the_end_when_the_policy_changes() {
    let mut world = World::new(rules());
    world.arrive_all((0..6).map(|i| (format!("i{i}"), 0.5 + i as f32 / 50.0)));
    world.expect_question("i0").skip().expect_question("i1").policy(accept_at(0.8));
    for id in ["i1", "i2", "i3", "i4", "i5"] {
        world.expect_question(id).press("cat");
    }
    world.expect_question("i0");
}

#[test]
fn sixty_steps_can_be_undone_also_after_a_reload() {
    let mut world = World::new(rules());
    world.arrive_all((0..60).map(|i| (format!("i{i}"), 0.5 + i as f32 / 1000.0))).ends();
    let mut asked = Vec::new();
    for n in 0..60 {
        asked.push(world.asked().item.id.to_string());
        world.pass(1_000).press(if n % 2 == 0 { "cat" } else { "dog" });
    }
    world.expect_finished().reload().expect_finished();
    assert_eq!(world.session.undo_depth(), 60);
    for id in asked.iter().rev() {
        world.pass(100).undo().expect_question(id);
        world.check_counts();
    }
    assert_eq!(world.session.progress().waiting, 60);
    assert!(world.exported().is_empty(), "every answer is taken back");
    world.undo();
    assert_eq!(world.session.undo_depth(), 0);
}

#[test]
fn an_undo_takes_back_nothing_of_another_annotator() {
    let mut world = World::new(rules());
    world.arrive("a").scored(0.51, 0.49).press("cat").ends();
    world.rules.annotator = Some("ben".into());
    world.reload().undo().expect_finished();
    assert_eq!((world.session.undo_depth(), world.exported()["a"].as_str()), (0, "cat"));
    world.rules.annotator = Some("ann".into());
    world.reload().undo().expect_question("a");
}

#[test]
fn what_is_looked_at_while_it_stops_holding_is_asked_once_it_is_left() {
    for other in [None, Some("b")] {
        let mut world = World::new(Rules { deliver_accepted: true, ..rules() });
        world.arrive("a").scored(0.95, 0.05).arrive("b").scored(0.999, 0.001).open("a");
        world.policy(accept_at(0.99)).expect_question("a");
        assert_eq!(world.asked().why, Why::Review, "nothing moves on screen");
        match other {
            Some(other) => world.open(other),
            None => world.notice(Notice::Closed),
        };
        assert_eq!((world.accepted(), world.session.progress().waiting), (vec!["b".to_string()], 1));
        world.notice(Notice::Closed).expect_question("a").wait();
        assert!(!World::current(&world.server).contains_key("a"));
        world.check_counts();
    }
}

#[test]
fn a_question_that_the_model_would_settle_by_now_is_settled_when_it_is_put_off() {
    let mut world = World::new(rules());
    world.arrive_all([("a".into(), 0.8), ("b".into(), 0.85), ("c".into(), 0.86)]);
    world.expect_question("a").policy(accept_at(0.82)).expect_question("a").skip().expect_question("a");
    world.policy(accept_at(0.7)).expect_question("a").skip().expect_no_question();
    assert_eq!(world.accepted().len(), 3);
    world.check_counts();
}

#[test]
fn counts_are_the_same_after_a_reload() {
    let mut world = World::new(rules());
    world.arrive("a").scored(0.6, 0.4).press("cat");
    world.arrive("b").scored(0.6, 0.4).press("dog");
    world.arrive("c").scored(0.97, 0.03).review("c", "dog").ends();
    let before = world.session.progress();
    assert_eq!((before.answered, before.confirmed, before.reviewed), (3, 1, 1));
    world.reload();
    assert_eq!(world.session.progress(), before);
}

/// The accept of an earlier visit stood under the answer: taking the answer back must not revive it, since the
/// person is asked now.
#[test]
fn what_waits_for_the_person_is_not_exported_as_settled() {
    let mut world = World::new(Rules { deliver_accepted: true, ..rules() });
    world.arrive("a").scored(0.97, 0.03).expect_no_question();
    assert_eq!(world.exported().len(), 1);
    world.forget_fates();
    world.reload().open("a").press("dog").undo().expect_question("a").scored(0.97, 0.03);
    assert!(world.exported().is_empty(), "{:?}", world.exported());
    world.check_counts();
    world.press("dog");
    assert_eq!(World::current(&world.server), world.exported());
}

#[test]
fn an_answer_of_an_earlier_visit_can_be_undone_before_its_item_is_there() {
    let mut world = World::new(rules());
    world.arrive("a").scored(0.51, 0.49).press("cat");
    let kept = world.store.kept();
    let mut later = World::asleep(rules());
    later.store = world.store.clone();
    later.notice(Notice::Restored(world.store.records.clone(), kept)).notice(Notice::Started).undo();
    later.arrive("a").scored(0.51, 0.49).expect_question("a");
    assert_eq!(later.kinds(), [Kind::Correction, Kind::Undo]);
}

#[test]
fn an_answer_after_the_clock_was_set_back_is_the_newer_one_all_the_same() {
    let mut world = World::new(rules());
    world.arrive("a").scored(0.51, 0.49).press("cat");
    let first = world.last_record();
    world.now = world.now.plus(-3_600_000);
    world.reload().undo().press("dog");
    let ids: Vec<_> = world.store.records.iter().map(|record| record.id).collect();
    assert!(ids.is_sorted() && ids[0] == first.id, "{ids:?}");
    assert_eq!(world.reload().exported()["a"], "dog");
    // And another tab, whose clock is right.
    let mut other = World::new(rules());
    other.arrive("b").scored(0.51, 0.49);
    let heard = world.last_record();
    other.now = other.now.plus(-7_200_000);
    other.notice(Notice::Elsewhere(vec![heard.clone()])).press("cat");
    assert!(other.last_record().id > heard.id);
}

#[test]
fn an_undone_answer_is_asked_again_with_its_mark_and_remark() {
    let mut world = World::new(rules());
    world.arrive("a").scored(0.51, 0.49);
    world.notice(Notice::Flagged(true)).notice(Notice::Noted("tail only".into())).press("cat");
    let first = world.last_record();
    assert_eq!((first.flagged, first.note.as_deref()), (true, Some("tail only")));
    world.undo().expect_question("a");
    assert!(world.asked().flagged && world.asked().note.as_deref() == Some("tail only"));
    let tombstone = world.last_record();
    assert_eq!(
        (tombstone.kind, tombstone.answer.clone(), tombstone.supersedes),
        (Kind::Undo, None, Some(first.id))
    );
    world.press("dog");
    assert_eq!(world.exported()["a"], "dog");
}

#[test]
fn a_skip_can_be_undone() {
    let mut world = World::new(rules());
    world.arrive_all([("a".into(), 0.5), ("b".into(), 0.55), ("c".into(), 0.6)]);
    world.expect_question("a").skip().expect_question("b").undo().expect_question("a");
    assert_eq!(world.asked().skips, 0);
    world.press("cat").expect_question("b").press("cat").expect_question("c");
    assert!(world.store.records.iter().all(|record| record.skipped_before == 0));
}

#[test]
fn mark_and_remark_come_back_with_a_skipped_question() {
    let mut world = World::new(rules());
    world.arrive_all([("a".into(), 0.5), ("b".into(), 0.55)]).expect_question("a");
    world.notice(Notice::Flagged(true)).notice(Notice::Noted("tail only".into())).skip().expect_question("b");
    let asked = |world: &World| (world.asked().flagged, world.asked().note.clone());
    assert_eq!(asked(&world), (false, None));
    world.undo().expect_question("a");
    assert_eq!(asked(&world), (true, Some("tail only".into())));
    world.skip().expect_question("b").press("cat").expect_question("a");
    assert_eq!(asked(&world), (true, Some("tail only".into())));
    world.press("cat");
    let record = world.store.records.last().unwrap();
    assert_eq!((record.flagged, record.note.as_deref()), (true, Some("tail only")));
}

#[test]
fn the_skip_of_the_only_question_can_be_undone_though_it_is_on_screen_again() {
    let mut world = World::new(rules());
    world.arrive("a").scored(0.5, 0.5).skip().expect_question("a").undo().expect_question("a");
    assert_eq!((world.asked().skips, world.session.undo_depth()), (0, 0));
}

#[test]
fn an_undo_while_the_record_is_on_its_way_loses_neither() {
    let mut world = World::new(rules());
    world.server_answers = false;
    world.arrive("a").scored(0.51, 0.49).press("cat").undo().expect_question("a");
    assert_eq!(world.session.delivery(world.now).sending, 1);
    world.server_answers().wait();
    assert_eq!(world.server.iter().map(|r| r.kind).collect::<Vec<_>>(), [Kind::Correction, Kind::Undo]);
    assert!(World::current(&world.server).is_empty());
}

#[test]
fn an_undo_before_the_record_is_stored_loses_neither() {
    let mut world = World::new(rules());
    world.store_answers = false;
    world.arrive("a").scored(0.51, 0.49).press("cat").undo().expect_question("a");
    assert_eq!(world.session.delivery(world.now).unsaved, 2);
    assert!(world.requests.is_empty(), "nothing is sent before it is kept");
    world.store_answers().wait();
    assert_eq!(world.kinds(), [Kind::Correction, Kind::Undo]);
    assert_eq!(world.server.len(), 2);
}

#[test]
fn another_answer_takes_the_place_of_the_first_and_an_undo_brings_it_back() {
    let mut world = World::new(rules());
    world.arrive("a").scored(0.51, 0.49).press("cat").ends();
    let first: RecordId = world.last_record().id;
    world.open("a").expect_question("a");
    assert_eq!((world.asked().role, world.asked().present), (Role::Review, Some(World::label("cat"))));
    world.press("dog");
    assert_eq!(world.last_record().supersedes, Some(first));
    assert_eq!(world.exported()["a"], "dog");
    world.undo().expect_finished();
    assert_eq!(world.exported()["a"], "cat");
    world.undo().expect_question("a");
    assert!(world.exported().is_empty());
}

#[test]
fn what_the_model_settled_can_be_looked_at_corrected_and_left_again() {
    let mut world = World::new(rules());
    world.arrive("a").scored(0.97, 0.03).arrive("b").scored(0.95, 0.05).ends().expect_finished();
    assert_eq!(world.accepted(), ["b", "a"], "least sure first");
    world.open("a").expect_question("a");
    assert_eq!(world.asked().why, Why::Review);
    assert_eq!(world.asked().present, Some(World::label("cat")));
    world.notice(Notice::Closed).expect_finished();
    assert!(world.store.records.is_empty());
    world.review("a", "dog");
    assert_eq!(world.accepted(), ["b"]);
    assert_eq!((world.last_record().role, world.last_record().shown_at), (Role::Review, None));
    assert_eq!(world.exported()["a"], "dog");
    world.undo().expect_finished();
    assert_eq!(world.accepted(), ["b", "a"]);
    assert_eq!(world.exported()["a"], "cat");
}

#[test]
fn what_was_decided_of_a_settled_item_while_it_was_looked_at_holds_however_it_is_left() {
    for leave in [Notice::Closed, Notice::Skipped] {
        let mut world = World::new(rules());
        world.arrive("a").scored(0.95, 0.05).ends().open("a").policy(crate::world::accept_at(0.99));
        assert_eq!(world.accepted(), ["a"], "nothing moves under the person's hand");
        world.notice(leave).expect_question("a");
        assert!(world.accepted().is_empty());
        world.check_counts();
    }
}

#[test]
fn undo_of_a_review_whose_item_is_being_looked_at_again_leaves_no_ghost() {
    let mut world = World::new(rules());
    world.arrive("a").scored(0.97, 0.03).review("a", "dog").ends().open("a").expect_question("a").undo();
    world.notice(Notice::Closed).expect_finished();
    assert_eq!(world.accepted(), ["a"]);
    world.check_counts();
}

#[test]
fn an_item_that_is_set_aside_can_be_labelled_by_hand_and_put_aside_again() {
    let mut world = World::new(rules());
    world.arrive("broken").fated(Fate::Unreadable(AsideReason::NotFound(404))).expect_no_question();
    world.aside_line("expected an object").arrive("good").scored(0.97, 0.03).ends().expect_finished();
    let aside: Vec<_> = world.session.asides().map(|a| (a.id.to_string(), a.item.is_some())).collect();
    assert_eq!(aside, [("broken".to_string(), true), ("line 3".to_string(), false)]);
    world.check_counts();
    world.open("broken").expect_question("broken");
    let set_aside = Why::SetAside(AsideReason::NotFound(404));
    assert_eq!((world.asked().role, world.asked().why), (Role::Manual, set_aside.clone()));
    world.press("dog").expect_finished();
    assert_eq!((world.last_record().role, world.session.asides().count()), (Role::Manual, 1));
    assert_eq!(world.exported()["broken"], "dog");
    world.undo().expect_question("broken");
    assert_eq!(world.asked().why, set_aside);
    world.check_counts();
    world.notice(Notice::Closed).expect_finished();
    assert_eq!(world.session.asides().count(), 2, "as it was before");
}

#[test]
fn a_second_item_of_the_same_id_is_set_aside_and_disturbs_nothing() {
    let mut world = World::new(rules());
    world.arrive("a").scored(0.51, 0.49).notice(Notice::Arrived(vec![Ok(item("a"))])).ends();
    world.check_counts();
    let aside = world.session.asides().next().unwrap();
    assert_eq!((aside.item, aside.reason.clone()), (None, AsideReason::DuplicateId));
    world.expect_question("a").press("cat").expect_finished();
}

#[test]
fn seconds_count_only_what_the_person_could_see() {
    let mut world = World::new(rules());
    world.arrive("a").scored(0.51, 0.49).pass(2_000);
    world.notice(Notice::Attention(false)).pass(60_000).notice(Notice::Attention(true)).pass(1_000);
    world.notice(Notice::Paused).expect_no_question().pass(30_000).notice(Notice::Started).pass(500);
    world.press("cat");
    assert_eq!(world.last_record().seconds, 3.5);
    // The next one is put while nobody looks.
    world.notice(Notice::Attention(false)).arrive("b").scored(0.51, 0.49).pass(9_000);
    world.notice(Notice::Attention(true)).pass(750).press("cat");
    assert_eq!(world.last_record().seconds, 0.75);
    world.arrive("c").scored(0.51, 0.49);
    world.now = world.now.plus(-3_600_000);
    world.press("cat");
    assert_eq!(world.last_record().seconds, 0.0, "a clock that is set back makes no negative time");
}

#[test]
fn done_is_told_once_and_again_only_after_there_was_something_to_do() {
    let mut world = World::new(rules());
    world.arrive("a").scored(0.51, 0.49).arrive("b").scored(0.97, 0.03).ends().press("cat");
    assert_eq!(world.times_done(), 1);
    world.pass(1_000).notice(Notice::Paused).notice(Notice::Started);
    world.open("b").notice(Notice::Closed).expect_finished();
    assert_eq!(world.times_done(), 1, "nothing was open in between");
    world.undo();
    assert_eq!(world.times_done(), 1);
    world.press("dog");
    assert_eq!(world.times_done(), 2);
    world.notice(Notice::SourceOpened).arrive("c").scored(0.97, 0.03).notice(Notice::SourceEnded);
    assert_eq!(world.times_done(), 3);
}

#[test]
fn while_one_of_two_sources_goes_on_nothing_is_done() {
    let mut world = World::new(rules());
    world.notice(Notice::SourceOpened).arrive("one").scored(0.97, 0.03).notice(Notice::SourceEnded);
    assert_eq!(world.times_done(), 0, "the list that it began with still comes");
    world.ends();
    assert_eq!(world.times_done(), 1);
}

#[test]
fn without_items_the_page_is_empty_and_not_done() {
    let mut world = World::new(rules());
    world.ends();
    assert_eq!((world.session.phase(), world.times_done()), (Phase::Empty, 0));
}

#[test]
fn a_pause_asks_nothing_and_goes_on_where_it_was() {
    let mut world = World::new(rules());
    world.arrive("a").scored(0.51, 0.49).notice(Notice::Paused).expect_no_question();
    assert_eq!(world.session.phase(), Phase::Paused);
    world.press("cat").skip();
    assert!(world.store.records.is_empty(), "what cannot be seen cannot be answered");
    world.notice(Notice::Started).expect_question("a");
    assert_eq!(world.asked().skips, 0);
}

#[test]
fn an_item_that_is_opened_before_its_prediction_comes_is_not_forgotten() {
    let mut world = World::new(rules());
    world.arrive("a").open("a").expect_question("a").scored(0.51, 0.49).expect_question("a");
    world.notice(Notice::Closed).expect_question("a").ends();
    world.check_counts();
    world.press("cat").expect_finished();
}

#[test]
fn the_pace_is_that_of_the_answers() {
    let mut world = World::new(rules());
    world.arrive_all((0..3).map(|i| (format!("i{i}"), 0.5)));
    for ms in [1_000, 3_000, 900_000] {
        world.pass(ms).press("cat");
    }
    assert_eq!(world.session.seconds_per_answer(), Some(3.0));
    world.reload();
    assert_eq!(world.session.seconds_per_answer(), Some(3.0));
}
