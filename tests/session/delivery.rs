//! From the answer to the server: stores that fail, servers that refuse, a second tab.

use std::sync::Arc;

use hitl_labeler::domain::correction::Kind;
use hitl_labeler::domain::ident::Timestamp;
use hitl_labeler::domain::outbox::{Hold, Reply};
use hitl_labeler::domain::session::{Milestone, Notice, Rules};

use crate::world::{Fate, World, rules};

fn asked_about(ids: &[&str]) -> World {
    let mut world = World::new(rules());
    world.arrive_all(ids.iter().map(|id| ((*id).to_string(), 0.51)));
    world
}

#[test]
fn what_the_server_refuses_to_another_tab_is_listed_here_and_can_be_sent_or_given_up_here() {
    let mut world = World::new(rules());
    world.notice(Notice::LeadLost).arrive("a").scored(0.51, 0.49).press("cat");
    world.arrive("b").scored(0.51, 0.49).press("cat");
    let ids: Vec<_> = world.store.records.iter().map(|record| record.id).collect();
    let why: Arc<str> = "no such project".into();
    world.notice(Notice::RefusedElsewhere(ids.iter().map(|id| (*id, why.clone())).collect()));
    let view = |world: &World| world.session.delivery(world.now);
    assert_eq!((view(&world).refused, view(&world).waiting), (2, 0));
    world.notice(Notice::RetryRefused(vec![ids[0]]));
    assert_eq!((view(&world).refused, view(&world).waiting), (1, 1));
    world.notice(Notice::SentElsewhere(vec![ids[0]])).notice(Notice::DiscardedElsewhere(vec![ids[1]]));
    assert_eq!((view(&world).refused, view(&world).waiting, view(&world).sent), (0, 0, 1));
}

#[test]
fn nothing_is_shown_as_saved_or_sent_before_it_is_kept() {
    let mut world = asked_about(&["a"]);
    world.store_answers = false;
    world.press("cat");
    let view = world.session.delivery(world.now);
    assert_eq!((view.unsaved, view.waiting, view.sent), (1, 0, 0));
    assert!(!world.told.iter().any(|m| matches!(m, Milestone::Corrected(..))));
    world.store_answers().wait();
    let view = world.session.delivery(world.now);
    assert_eq!((view.unsaved, view.volatile, view.waiting, view.sent), (0, 0, 0, 1));
    let id = world.last_record().id;
    assert!(world.told.contains(&Milestone::Corrected(id, true)));
    assert!(world.told.contains(&Milestone::Delivered(vec![id])));
}

#[test]
fn labels_stay_in_memory_and_are_delivered_when_the_store_does_not_work() {
    let mut world = asked_about(&["a"]);
    (world.store_works, world.server_answers) = (false, false);
    world.press("cat");
    let view = world.session.delivery(world.now);
    assert_eq!((view.records, view.unsaved, view.volatile), (1, 0, 1));
    assert!(world.told.iter().any(|m| matches!(m, Milestone::Corrected(_, false))));
    assert_eq!(world.exported()["a"], "cat", "the download has it");
    // This tab becomes the one that sends, with a store that knows nothing.
    world.notice(Notice::Leading(Default::default()));
    world.server_answers().wait();
    assert_eq!(world.server.len(), 1, "once, although it was sent twice");
    assert_eq!(world.session.delivery(world.now).volatile, 0, "the server has it");
}

#[test]
fn a_reload_between_the_key_press_and_the_delivery_loses_nothing_and_doubles_nothing() {
    let mut world = asked_about(&["a", "b"]);
    world.server_answers = false;
    world.press("cat").press("dog");
    let first = world.requests[0].clone();
    world.reload();
    assert_eq!(world.requests.last().unwrap().id, first.id, "the same request under the same key");
    assert_eq!(world.requests.last().unwrap().records, first.records);
    world.server_answers().wait();
    assert_eq!(world.server.len(), 2);
    assert_eq!(World::current(&world.server), world.exported());
}

#[test]
fn refused_records_are_told_with_their_reason_and_can_be_sent_again() {
    let mut world = asked_about(&["a", "b"]);
    world.server_refuses.insert("a".into());
    world.press("cat").press("dog").wait();
    let refused: Vec<_> = world.session.refused().collect();
    assert_eq!(refused.len(), 1);
    assert_eq!(&*refused[0].1, "unknown item");
    assert!(world.told.contains(&Milestone::Refused(vec![refused[0].0])));
    assert_eq!((world.server.len(), world.session.delivery(world.now).refused), (1, 1));
    world.reload();
    assert_eq!(world.session.delivery(world.now).refused, 1, "also after a reload");
    world.server_refuses.clear();
    world.notice(Notice::RetryRefused(vec![refused[0].0])).wait();
    assert_eq!((world.server.len(), world.session.delivery(world.now).refused), (2, 0));
}

#[test]
fn a_reload_while_refused_records_are_sent_again_counts_them_once() {
    let mut world = asked_about(&["a"]);
    world.server_refuses.insert("a".into());
    world.press("cat").wait();
    let refused = world.last_record().id;
    world.server_answers = false;
    world.notice(Notice::RetryRefused(vec![refused])).reload();
    let view = world.session.delivery(world.now);
    assert_eq!((view.waiting, view.refused), (1, 0), "it is on its way, not refused");
    world.server_refuses.clear();
    world.server_answers().wait();
    let view = world.session.delivery(world.now);
    assert_eq!((view.waiting, view.refused, view.sent), (0, 0, 1));
}

#[test]
fn a_refused_record_that_is_given_up_is_listed_no_more_and_stays_an_answer() {
    let mut world = asked_about(&["a", "b"]);
    world.server_refuses.extend(["a".into(), "b".into()]);
    world.press("cat").press("dog").wait();
    let refused: Vec<_> = world.session.refused().map(|(id, _)| id).collect();
    world.notice(Notice::DiscardRefused(vec![refused[0]]));
    assert_eq!(world.session.refused().map(|(id, _)| id).collect::<Vec<_>>(), [refused[1]]);
    world.reload();
    let view = world.session.delivery(world.now);
    assert_eq!((view.refused, view.waiting, view.records), (1, 0, 2), "also after a reload");
    world.server_refuses.clear();
    world.notice(Notice::RetryRefused(refused)).wait();
    assert_eq!(world.server.len(), 1, "only the other one is sent");
    assert_eq!(world.exported()["a"], "cat");
}

#[test]
fn what_one_tab_gave_up_another_one_that_takes_over_does_not_send() {
    let mut first = asked_about(&["a"]);
    first.server_answers = false;
    first.press("cat");
    let mut second = World::asleep(Rules { session: "second".into(), ..rules() });
    second.store = first.store.clone();
    let kept = second.store.kept();
    second.notice(Notice::Restored(second.store.records.clone(), kept)).notice(Notice::Started);
    first.server_refuses.insert("a".into());
    first.server_answers().wait();
    let refused: Vec<_> = first.session.refused().map(|(id, _)| id).collect();
    first.notice(Notice::DiscardRefused(refused));
    // The first one is closed.
    second.store = first.store.clone();
    let kept = second.store.kept();
    second.notice(Notice::Leading(kept)).wait();
    assert!(second.requests.is_empty());
    assert_eq!(second.session.delivery(second.now).waiting, 0);
}

#[test]
fn answers_of_one_item_do_not_share_a_request() {
    let mut world = asked_about(&["a", "b"]);
    world.notice(Notice::Online(false)).press("cat").undo().press("dog").press("cat");
    world.notice(Notice::Online(true)).wait();
    let sizes: Vec<_> = world.requests.iter().map(|batch| batch.records.len()).collect();
    assert_eq!(sizes, [2, 1, 1], "the first of each item, then what became of it");
    assert_eq!(World::current(&world.server), world.exported());
}

#[test]
fn a_tab_that_lost_the_lead_sends_nothing_until_it_has_it_again() {
    let mut world = asked_about(&["a", "b"]);
    world.notice(Notice::LeadLost).press("cat");
    assert!(world.requests.is_empty());
    assert_eq!(world.session.delivery(world.now).hold, Some(Hold::OtherTab));
    let kept = world.store.kept();
    world.notice(Notice::Leading(kept)).wait();
    assert_eq!(world.server.len(), 1);
}

#[test]
fn wrong_credentials_lose_nothing_and_new_ones_go_on() {
    let mut world = asked_about(&["a", "b"]);
    world.server_answers = false;
    world.press("cat").server_says(Reply::Unauthorized("401".into())).press("dog").pass(10_000_000);
    let view = world.session.delivery(world.now);
    assert_eq!((view.hold, view.waiting), (Some(Hold::Unauthorized("401".into())), 2));
    assert_eq!(world.requests.len(), 1);
    world.server_answers().notice(Notice::ResumeDelivery).wait();
    assert_eq!(world.server.len(), 2);
}

#[test]
fn offline_holds_and_online_goes_on_at_once() {
    let mut world = asked_about(&["a"]);
    world.notice(Notice::Online(false)).press("cat").pass(60_000);
    assert_eq!(world.session.delivery(world.now).hold, Some(Hold::Offline));
    assert!(world.requests.is_empty());
    world.notice(Notice::Online(true));
    assert_eq!(world.server.len(), 1);
}

#[test]
fn a_server_that_wants_a_retry_at_once_is_not_hammered() {
    let mut world = asked_about(&["a"]);
    world.server_answers = false;
    world.press("cat");
    let first = world.now;
    for _ in 0..20 {
        world.server_says(Reply::TryLater { why: "503".into(), after_ms: Some(0) }).wait();
    }
    assert!(world.now.since(first) > 20 * 100, "{} ms for 20 requests", world.now.since(first));
    let at = world.now;
    world.server_says(Reply::TryLater { why: "429".into(), after_ms: Some(7_200_000) }).wait();
    assert!(world.now.since(at) >= 7_200_000, "a longer wish is granted");
}

#[test]
fn without_an_endpoint_everything_stays_in_the_browser() {
    let mut world = World::new(Rules { delivery: None, ..rules() });
    world.arrive("a").scored(0.51, 0.49).press("cat").wait();
    let view = world.session.delivery(world.now);
    assert_eq!((view.to_server, view.records, view.unsaved), (false, 1, 0));
    assert!(world.requests.is_empty());
}

/// Two tabs of one page: the first sends, both see what the other does.
struct Tabs {
    first: World,
    second: World,
    told: (usize, usize),
    sent: usize,
}

impl Tabs {
    fn new(rules: Rules) -> Self {
        let first = World::new(rules.clone());
        let mut second = World::asleep(Rules { session: "second".into(), ..rules });
        second.session = hitl_labeler::domain::session::Session::new(second.rules.clone(), [7, 8]);
        second.notice(Notice::Started);
        Self { first, second, told: (0, 0), sent: 0 }
    }

    fn both(&mut self, each: impl Fn(&mut World)) -> &mut Self {
        each(&mut self.first);
        each(&mut self.second);
        self.talk()
    }

    /// Each hears what the other recorded and delivered since.
    fn talk(&mut self) -> &mut Self {
        let of_first: Vec<_> = self.first.store.records[self.told.0..].to_vec();
        let of_second: Vec<_> = self.second.store.records[self.told.1..].to_vec();
        self.told = (self.first.store.records.len(), self.second.store.records.len());
        self.second.notice(Notice::Elsewhere(of_first));
        self.first.notice(Notice::Elsewhere(of_second)).wait();
        let sent: Vec<_> = self.first.store.sent.iter().copied().collect();
        self.sent = sent.len();
        self.second.notice(Notice::SentElsewhere(sent));
        self.first.check_counts();
        self.second.check_counts();
        self
    }
}

#[test]
fn what_one_tab_answers_the_other_does_not_ask_and_only_one_sends() {
    let mut tabs = Tabs::new(rules());
    tabs.both(|tab| {
        tab.arrive_all([("a".into(), 0.5), ("b".into(), 0.55), ("c".into(), 0.6)]).ends();
    });
    tabs.first.expect_question("a");
    tabs.second.expect_question("a").press("dog");
    tabs.talk();
    tabs.first.expect_question("b").press("cat");
    tabs.talk();
    tabs.second.expect_question("c").press("cat");
    tabs.talk();
    tabs.first.expect_finished();
    tabs.second.expect_finished();
    assert!(tabs.second.requests.is_empty(), "the second tab does not send");
    assert_eq!(tabs.first.server.len(), 3);
    for tab in [&mut tabs.first, &mut tabs.second] {
        let view = tab.session.delivery(tab.now);
        assert_eq!((view.records, view.waiting, view.sent), (3, 0, 3));
        assert_eq!(tab.exported(), World::current(&tab.session.everything(Timestamp(0))));
    }
    assert_eq!(tabs.first.exported(), tabs.second.exported());
}

#[test]
fn what_one_tab_undoes_is_asked_in_the_other_too() {
    let mut tabs = Tabs::new(rules());
    tabs.both(|tab| {
        tab.arrive("a").scored(0.51, 0.49).ends();
    });
    tabs.first.press("cat");
    tabs.talk();
    tabs.second.expect_finished();
    tabs.first.undo();
    tabs.talk();
    tabs.second.expect_question("a").press("dog");
    tabs.talk();
    tabs.first.expect_finished();
    assert_eq!(World::current(&tabs.first.server)["a"], "dog");
}

#[test]
fn an_undo_does_not_take_back_what_the_other_tab_answered_since() {
    let mut tabs = Tabs::new(rules());
    tabs.both(|tab| {
        tab.arrive("a").scored(0.51, 0.49).ends();
    });
    tabs.first.press("cat");
    tabs.talk();
    tabs.first.now = tabs.first.now.plus(1_000);
    tabs.second.now = tabs.first.now;
    tabs.second.open("a").press("dog");
    tabs.talk();
    tabs.first.undo();
    tabs.talk();
    tabs.first.expect_finished();
    tabs.second.expect_finished();
    assert_eq!(tabs.first.exported()["a"], "dog");
    assert_eq!(World::current(&tabs.first.server)["a"], "dog");
}

#[test]
fn what_two_tabs_have_both_settled_is_withdrawn_with_both() {
    let mut tabs = Tabs::new(Rules { deliver_accepted: true, ..rules() });
    tabs.first.arrive("a").scored(0.95, 0.05);
    tabs.second.arrive("a").scored(0.95, 0.05);
    tabs.talk();
    assert_eq!(tabs.first.server.len(), 2, "each has told of it, and neither of the other's");
    tabs.first.policy(crate::world::accept_at(0.99));
    tabs.talk();
    assert!(World::current(&tabs.first.server).is_empty(), "the person is asked: nothing holds until then");
    tabs.first.expect_question("a").press("dog").undo();
    tabs.talk();
    assert!(World::current(&tabs.first.server).is_empty());
}

#[test]
fn what_two_tabs_have_settled_anew_is_withdrawn_once() {
    let mut tabs = Tabs::new(Rules { deliver_accepted: true, ..rules() });
    tabs.first.arrive("a").scored(0.95, 0.05);
    tabs.talk();
    for tab in [&mut tabs.first, &mut tabs.second] {
        tab.forget_fates();
        tab.takes_model("2");
    }
    tabs.second.arrive("a");
    tabs.both(|tab| {
        tab.fate_of("a", Fate::Scores(vec![0.04, 0.96]));
    });
    tabs.both(|tab| {
        tab.policy(crate::world::accept_at(0.99));
    });
    assert!(World::current(&tabs.first.server).is_empty(), "the person is asked");
    let withdrawn: Vec<_> = tabs.first.store.records.iter().filter(|r| r.kind == Kind::Undo).collect();
    let each: std::collections::BTreeSet<_> = withdrawn.iter().map(|undo| undo.supersedes).collect();
    assert_eq!(withdrawn.len(), each.len(), "{withdrawn:?}");
}

#[test]
fn the_model_of_another_tab_does_not_overrule_the_person_in_this_one() {
    let mut tabs = Tabs::new(Rules { deliver_accepted: true, ..rules() });
    tabs.first.arrive("a").scored(0.95, 0.05).ends().review("a", "dog").expect_finished();
    tabs.second.arrive("a").scored(0.95, 0.05).ends().expect_finished();
    tabs.talk();
    tabs.first.expect_finished();
    assert_eq!(tabs.first.session.progress().answered, 1, "the answer stands");
    assert_eq!(tabs.first.exported()["a"], "dog");
    assert_eq!(World::current(&tabs.first.server)["a"], "dog");
    tabs.first.reload().expect_finished();
    assert_eq!(tabs.first.session.progress().answered, 1);
}

#[test]
fn the_tab_that_takes_over_goes_on_with_the_request_that_was_under_way() {
    let mut first = asked_about(&["a", "b"]);
    first.server_answers = false;
    first.press("cat").press("dog");
    let under_way = first.requests[0].clone();
    let mut second = World::asleep(Rules { session: "second".into(), ..rules() });
    second.store = first.store.clone();
    let kept = second.store.kept();
    second.notice(Notice::Restored(second.store.records.clone(), kept)).notice(Notice::Started);
    assert_eq!(second.session.delivery(second.now).hold, Some(Hold::OtherTab));
    // The first one is closed; its lock goes to the second.
    let kept = second.store.kept();
    second.notice(Notice::Leading(kept)).wait();
    assert_eq!((second.requests[0].id, &second.requests[0].records), (under_way.id, &under_way.records));
    assert_eq!(second.server.len(), 2);
}

#[test]
fn a_tab_that_only_watches_sees_what_the_other_delivers_of_a_frozen_batch() {
    let mut first = asked_about(&["a"]);
    first.server_answers = false;
    first.press("cat");
    let mut second = World::asleep(Rules { session: "second".into(), ..rules() });
    second.store = first.store.clone();
    let kept = second.store.kept();
    second.notice(Notice::Restored(second.store.records.clone(), kept));
    first.server_answers().wait();
    second.notice(Notice::SentElsewhere(first.store.sent.iter().copied().collect()));
    let view = second.session.delivery(second.now);
    assert_eq!((view.waiting, view.sent, view.hold), (0, 1, None));
}

#[test]
fn records_carry_who_when_and_where() {
    let mut world = asked_about(&["a"]);
    let shown = world.now;
    world.pass(1_500).press("dog");
    let record = world.last_record();
    assert_eq!((record.kind, record.annotator.as_deref()), (Kind::Correction, Some("ann")));
    assert_eq!((record.shown_at, record.answered_at), (Some(shown), shown.plus(1_500)));
    let name: Arc<str> = "visit".into();
    assert_eq!((record.session, record.seconds), (name, 1.5));
}
