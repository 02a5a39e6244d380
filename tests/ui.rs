//! The view, mounted in a real browser and used as a person uses it.
#![cfg(all(target_arch = "wasm32", feature = "page"))]
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use std::any::Any;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use hitl_labeler::domain::correction::Role;
use hitl_labeler::domain::ident::RecordId;
use hitl_labeler::domain::item::{Aside, AsideReason, Content, Item, ItemKey};
use hitl_labeler::domain::label::{Label, LabelId, LabelSet};
use hitl_labeler::domain::outbox::Hold;
use hitl_labeler::domain::prediction::{Activation, Confidence, Prediction, ScoreScale, Temperature};
use hitl_labeler::domain::progress::Progress as Counts;
use hitl_labeler::domain::session::{DeliveryView, Notice, Phase, Question, Why};
use hitl_labeler::domain::value::Value;
use hitl_labeler::page::desk::{Broken, Desk, Opening, Order, Panel, Trouble};
use hitl_labeler::page::keys::{Deed, KeyMap};
use hitl_labeler::page::text::ENGLISH;
use hitl_labeler::page::ui::aside::SetAside;
use hitl_labeler::page::ui::choices::Choices;
use hitl_labeler::page::ui::labeler::Labeler;
use hitl_labeler::page::ui::progress::Progress;
use leptos::mount::mount_to;
use leptos::prelude::*;
use leptos::web_sys::{self, Element, HtmlElement, HtmlInputElement};
use wasm_bindgen::JsCast;
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};

wasm_bindgen_test_configure!(run_in_browser);

// ---------------------------------------------------------------- what a person sees and does

struct Screen {
    root: HtmlElement,
    _mounted: Box<dyn Any>,
}

impl Screen {
    fn of(view: impl FnOnce() -> AnyView + 'static) -> Self {
        let root: HtmlElement = document().create_element("div").unwrap().unchecked_into();
        document().body().unwrap().append_child(&root).unwrap();
        let mounted = Box::new(mount_to(root.clone(), view));
        Self { root, _mounted: mounted }
    }

    fn all(&self, selector: &str) -> Vec<HtmlElement> {
        let found = self.root.query_selector_all(selector).unwrap();
        (0..found.length()).map(|i| found.item(i).unwrap().unchecked_into()).collect()
    }

    fn button(&self, name: &str) -> HtmlElement {
        let named = |button: &HtmlElement| {
            visible(button)
                && (text_of(button) == name || button.get_attribute("aria-label").as_deref() == Some(name))
        };
        let found = self.all("button").into_iter().find(named);
        found.unwrap_or_else(|| panic!("no button {name:?} in {}", text_of(&self.root)))
    }

    fn field(&self, name: &str) -> HtmlInputElement {
        let named = |field: &HtmlElement| field.get_attribute("aria-label").as_deref() == Some(name);
        self.all("input")
            .into_iter()
            .find(named)
            .unwrap_or_else(|| panic!("no field {name:?}"))
            .unchecked_into()
    }

    #[track_caller]
    fn expect(&self, text: &str) {
        assert!(text_of(&self.root).contains(text), "{text:?} is not in {:?}", text_of(&self.root));
    }

    fn said(&self) -> String {
        self.all(".said[role=status]").iter().map(|said| said.text_content().unwrap_or_default()).collect()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.root.remove();
    }
}

fn visible(element: &Element) -> bool {
    element.closest("[hidden]").unwrap().is_none()
}

/// The text that is not hidden, without the keys.
fn text_of(element: &Element) -> String {
    let copy: Element = element.clone_node_with_deep(true).unwrap().unchecked_into();
    let hidden = copy.query_selector_all("[hidden], kbd").unwrap();
    (0..hidden.length()).for_each(|i| hidden.item(i).unwrap().unchecked_into::<Element>().remove());
    copy.text_content().unwrap_or_default().trim().to_owned()
}

fn event(kind: &str) -> web_sys::Event {
    let init = web_sys::EventInit::new();
    init.set_bubbles(true);
    web_sys::Event::new_with_event_init_dict(kind, &init).unwrap()
}

fn write(field: &HtmlInputElement, text: &str) {
    field.focus().unwrap();
    field.set_value(text);
    field.dispatch_event(&event("input")).unwrap();
}

fn press(element: &Element, key: &str) {
    press_by_code(element, key, 0);
}

fn press_by_code(element: &Element, key: &str, code: u32) {
    let init = web_sys::KeyboardEventInit::new();
    init.set_key(key);
    init.set_key_code(code);
    init.set_bubbles(true);
    init.set_cancelable(true);
    let event = web_sys::KeyboardEvent::new_with_keyboard_event_init_dict("keydown", &init).unwrap();
    element.dispatch_event(&event).unwrap();
}

fn has_focus(element: &Element) -> bool {
    document().active_element().as_ref() == Some(element)
}

async fn painted() {
    for _ in 0..2 {
        let next = js_sys::Promise::new(&mut |resolve, _| {
            window().request_animation_frame(&resolve).unwrap();
        });
        wasm_bindgen_futures::JsFuture::from(next).await.unwrap();
    }
}

// ---------------------------------------------------------------- what they see it of

fn labels(names: &[&str]) -> LabelSet {
    LabelSet::new(names.iter().map(|name| Label { id: (*name).into(), name: (*name).into() }).collect())
        .unwrap()
}

fn row(id: &str) -> Item {
    Item { id: id.into(), content: Content::Numbers([16.4, 3.0].into()), meta: Arc::new(Value::Null) }
}

fn question(serial: u64) -> Question {
    Question {
        serial,
        key: ItemKey(0),
        item: row("row-7"),
        role: Role::Deferred,
        why: Why::NotSure { confidence: Confidence::new(0.897), threshold: 0.9 },
        suggestion: None,
        present: None,
        flagged: false,
        note: None,
        skips: 0,
    }
}

type Log<T> = Rc<RefCell<Vec<T>>>;

/// The whole element at a question about clothes, with all that it tells the session.
fn at_a_question() -> (Screen, Desk, Log<Notice>, Log<Order>) {
    let (notices, orders): (Log<Notice>, Log<Order>) = Default::default();
    let (tell, order) = (Rc::clone(&notices), Rc::clone(&orders));
    let made = Rc::new(RefCell::new(None));
    let make = Rc::clone(&made);
    let screen = Screen::of(move || {
        let desk =
            Desk::new(move |n| tell.borrow_mut().push(n), move |o| order.borrow_mut().push(o), |_| None);
        desk.labels.set(labels(&["Coat", "Shirt", "Bag"]));
        desk.keys.set(KeyMap::standard(3));
        desk.columns.set(["warmth".into(), "length".into()].into());
        desk.task.set("What is it?".into());
        desk.opening.set(Opening::Open);
        desk.phase.set(Phase::Asking);
        desk.question.set(Some(question(1)));
        *make.borrow_mut() = Some(desk);
        provide_context(desk);
        view! { <Labeler words=&ENGLISH /> }.into_any()
    });
    let desk = made.borrow_mut().take().unwrap();
    (screen, desk, notices, orders)
}

fn answers(notices: &Log<Notice>) -> Vec<LabelId> {
    let answered = |notice: &Notice| match notice {
        Notice::Answered(label) => Some(*label),
        _ => None,
    };
    notices.borrow().iter().filter_map(answered).collect()
}

// ---------------------------------------------------------------- one question

#[wasm_bindgen_test]
fn a_question_shows_the_item_the_task_and_why_it_is_asked() {
    let (screen, ..) = at_a_question();
    screen.expect("What is it?");
    screen.expect("warmth16.4");
    // 0.897 must not read as the 90 % that were asked for.
    screen.expect("The model is not sure enough: 89%, where 90% is asked for.");
}

#[wasm_bindgen_test]
async fn a_press_answers_and_the_same_button_serves_the_next_question() {
    let (screen, desk, notices, _) = at_a_question();
    let shirt = screen.button("Shirt");
    shirt.focus().unwrap();
    shirt.click();
    assert_eq!(answers(&notices), [LabelId(1)]);
    desk.question.set(Some(question(2)));
    painted().await;
    assert!(shirt.is_connected());
    assert_eq!(document().active_element().as_ref(), Some(shirt.as_ref()));
}

#[wasm_bindgen_test]
async fn what_the_model_thinks_is_nowhere_until_it_is_to_be_seen() {
    let (screen, desk, ..) = at_a_question();
    let shares = || screen.all(".choice__share").iter().map(|share| text_of(share)).collect::<String>();
    assert_eq!(shares(), "");
    let said =
        Prediction::from_scores(&[0.0, 3.0, -9.0], ScoreScale::Logits, Activation::Softmax, Temperature::ONE);
    desk.question.update(|question| question.as_mut().unwrap().suggestion = said);
    painted().await;
    assert_eq!(shares(), "4%95%");
}

#[wasm_bindgen_test]
async fn the_next_question_is_announced() {
    let (screen, desk, ..) = at_a_question();
    desk.progress.set(Counts { waiting: 1200, ..Counts::default() });
    desk.question.set(Some(question(2)));
    painted().await;
    assert!(screen.said().starts_with("Item row-7: What is it?"), "{}", screen.said());
    assert!(screen.said().contains("1,200 waiting"), "{}", screen.said());
}

#[wasm_bindgen_test]
async fn a_question_that_is_marked_or_written_of_is_not_announced_anew() {
    let (screen, desk, ..) = at_a_question();
    painted().await;
    let said = screen.said();
    desk.progress.set(Counts { waiting: 1200, ..Counts::default() });
    let note = Some("sole is missing".into());
    desk.question.set(Some(Question { flagged: true, note, ..question(1) }));
    painted().await;
    assert_eq!(screen.said(), said);
}

#[wasm_bindgen_test]
async fn the_end_and_what_stops_the_work_are_announced() {
    let (screen, desk, ..) = at_a_question();
    desk.progress.set(Counts { arrived: 5, answered: 5, ..Counts::default() });
    desk.question.set(None);
    desk.phase.set(Phase::Finished);
    painted().await;
    assert_eq!(screen.said(), "All 5 items are settled");
    desk.opening.set(Opening::Broken { what: Broken::Items, problems: Vec::new() });
    painted().await;
    assert_eq!(screen.said(), "The items cannot be read");
    desk.opening.set(Opening::Open);
    desk.phase.set(Phase::Asking);
    desk.question.set(Some(question(2)));
    painted().await;
    assert!(screen.said().starts_with("Item row-7"), "{}", screen.said());
}

#[wasm_bindgen_test]
async fn trouble_with_delivery_is_announced_and_good_news_is_not() {
    let (screen, desk, ..) = at_a_question();
    let before = screen.said();
    desk.delivery.set(DeliveryView { to_server: true, records: 1, sent: 1, ..DeliveryView::default() });
    painted().await;
    assert_eq!(screen.said(), before);
    desk.delivery.set(DeliveryView {
        to_server: true,
        records: 3,
        sent: 1,
        refused: 2,
        ..DeliveryView::default()
    });
    painted().await;
    assert!(screen.said().contains("Refused 2"), "{}", screen.said());
    let away = |waiting| {
        let hold = Some(Hold::WrongAddress("404".into()));
        DeliveryView { to_server: true, records: waiting, waiting, hold, ..DeliveryView::default() }
    };
    desk.delivery.set(away(1));
    painted().await;
    let said = screen.said();
    assert!(said.contains("404"), "{said}");
    desk.delivery.set(away(2));
    painted().await;
    assert_eq!(screen.said(), said, "one more answer is no news of the obstacle");
}

#[wasm_bindgen_test]
async fn when_the_question_goes_the_focus_goes_to_what_comes() {
    let (screen, desk, ..) = at_a_question();
    screen.button("Bag").focus().unwrap();
    desk.phase.set(Phase::Finished);
    painted().await;
    painted().await;
    assert_eq!(document().active_element().unwrap().tag_name(), "H2");
}

#[wasm_bindgen_test]
async fn the_focus_is_not_taken_from_the_host_page() {
    let (_screen, desk, ..) = at_a_question();
    let theirs: HtmlInputElement = document().create_element("input").unwrap().unchecked_into();
    document().body().unwrap().append_child(&theirs).unwrap();
    theirs.focus().unwrap();
    desk.phase.set(Phase::Finished);
    painted().await;
    painted().await;
    assert_eq!(document().active_element().as_ref(), Some(theirs.as_ref()));
    theirs.remove();
}

#[wasm_bindgen_test]
async fn a_note_is_told_when_the_field_is_left_and_gone_with_the_question() {
    let (screen, desk, notices, _) = at_a_question();
    let field = screen.field("Note");
    write(&field, "sole is missing");
    field.dispatch_event(&event("change")).unwrap();
    assert!(matches!(&notices.borrow()[..], [Notice::Noted(text)] if &**text == "sole is missing"));
    press_by_code(&field, "Enter", 229);
    assert!(has_focus(&field), "the Enter that ends a composition is the input method's, as Safari says it");
    press(&field, "Enter");
    assert_eq!(document().active_element().unwrap().tag_name(), "H2", "the keys act again");
    desk.question.set(Some(question(2)));
    painted().await;
    assert_eq!(field.value(), "");
}

#[wasm_bindgen_test]
async fn a_tool_that_has_nothing_more_to_do_keeps_the_focus() {
    let (screen, desk, notices, _) = at_a_question();
    desk.undo_depth.set(1);
    painted().await;
    let undo = screen.button("Undo");
    undo.focus().unwrap();
    undo.click();
    desk.undo_depth.set(0);
    painted().await;
    assert!(has_focus(&undo));
    assert_eq!(undo.get_attribute("aria-disabled").as_deref(), Some("true"));
    undo.click();
    assert!(matches!(notices.borrow()[..], [Notice::Undone]), "and does nothing");
}

#[wasm_bindgen_test]
async fn a_button_that_goes_leaves_the_focus_on_the_heading() {
    let (screen, desk, ..) = at_a_question();
    desk.troubles.set(vec![Trouble::Old]);
    painted().await;
    screen.button("Download").focus().unwrap();
    desk.troubles.set(Vec::new());
    painted().await;
    painted().await;
    assert_eq!(document().active_element().unwrap().tag_name(), "H2");
}

#[wasm_bindgen_test]
async fn the_list_of_keys_opens_above_the_view_and_leaves_it_as_it_was() {
    let (screen, desk, ..) = at_a_question();
    desk.asides.set(vec![Aside { id: "row-9".into(), item: None, reason: AsideReason::NotAnImage }]);
    desk.panel.set(Panel::Aside);
    painted().await;
    let heading = screen.all("h2[tabindex]")[0].clone();
    heading.focus().unwrap();
    desk.help.set(true);
    painted().await;
    assert_eq!(screen.all("dialog[open]").len(), 1);
    screen.expect("row-9");
    desk.help.set(false);
    painted().await;
    assert!(screen.all("dialog[open]").is_empty() && has_focus(&heading));
}

#[wasm_bindgen_test]
async fn the_question_before_giving_up_has_the_focus_and_gives_it_back() {
    let (screen, desk, ..) = at_a_question();
    desk.panel.set(Panel::Delivery);
    desk.refused.set(vec![(RecordId(uuid::Uuid::from_u128(7)), "row-9".into(), "too long".into())]);
    painted().await;
    screen.button("Delete").click();
    painted().await;
    let keep = screen.button("Keep");
    assert!(has_focus(&keep));
    keep.click();
    painted().await;
    assert_eq!(text_of(&document().active_element().unwrap()), "Refused by the server");
}

#[wasm_bindgen_test]
async fn the_key_that_finds_a_label_can_be_switched_off_and_given_away() {
    let (screen, desk, ..) = at_a_question();
    let names: Vec<String> = (0..30).map(|i| format!("label {i}")).collect();
    desk.labels.set(labels(&names.iter().map(String::as_str).collect::<Vec<_>>()));
    painted().await;
    let field = screen.field("Find among 30 labels");
    let heading = screen.all("h2[tabindex]")[0].clone();
    let finds = || {
        heading.focus().unwrap();
        press(&heading, "/");
        has_focus(&field)
    };
    assert!(finds());
    desk.keys.update(|keys| keys.enabled = false);
    assert!(!finds());
    desk.keys.set(KeyMap::standard(3));
    desk.keys.update(|keys| keys.bind(Deed::Skip, "/").unwrap());
    assert!(!finds());
}

// ---------------------------------------------------------------- states

#[wasm_bindgen_test]
async fn a_broken_model_says_what_is_wrong_and_offers_ways_out() {
    let (screen, desk, notices, orders) = at_a_question();
    let problems = vec!["labels: found 10, expected 12".to_owned()];
    desk.phase.set(Phase::Paused);
    desk.opening.set(Opening::Broken { what: Broken::Model, problems });
    painted().await;
    screen.expect("labels: found 10, expected 12");
    screen.button("Go on without the model").click();
    screen.button("Try again").click();
    assert!(matches!(notices.borrow()[..], [Notice::WithoutModel]));
    assert!(matches!(orders.borrow()[..], [Order::Retry]));
}

#[wasm_bindgen_test]
async fn an_item_opened_from_a_list_leads_back_to_the_list() {
    let (screen, desk, notices, _) = at_a_question();
    desk.asides.set(vec![Aside {
        id: "row-9".into(),
        item: Some(ItemKey(9)),
        reason: AsideReason::NotAnImage,
    }]);
    screen.all("[role=tab]")[2].click();
    painted().await;
    screen.button("Label by hand").click();
    assert!(matches!(notices.borrow()[..], [Notice::Opened(ItemKey(9))]));
    desk.question.set(Some(Question { why: Why::SetAside(AsideReason::NotAnImage), ..question(2) }));
    painted().await;
    screen.expect("What is it?");
    desk.question.set(Some(question(3)));
    painted().await;
    screen.expect("row-9");
}

#[wasm_bindgen_test]
async fn a_key_that_is_taken_is_refused_in_words() {
    let (screen, _, _, orders) = at_a_question();
    screen.button("Keys").click();
    painted().await;
    let change = screen.button("Change the key for Skip, now S");
    change.focus().unwrap();
    change.click();
    painted().await;
    let said = || text_of(&screen.all("dialog [role=status].trouble")[0]);
    assert_eq!(said(), "press a key");
    for key in ["AltGraph", "CapsLock", "Dead", "Unidentified"] {
        press(&change, key);
    }
    painted().await;
    assert_eq!(said(), "press a key", "no key that could answer");
    press(&change, "1");
    painted().await;
    screen.expect("That key already belongs to Coat.");
    change.click();
    press(&change, "k");
    assert!(matches!(&orders.borrow()[..], [Order::UseKeys(keys)] if keys.key(Deed::Skip) == Some("k")));
}

// ---------------------------------------------------------------- leaves

#[wasm_bindgen_test]
async fn among_many_labels_writing_and_enter_answer() {
    let names = (0..1000).map(|i| format!("label {i}")).chain(["shoe shop".into(), "running shoe".into()]);
    let names: Vec<String> = names.collect();
    let set = labels(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let given: Log<LabelId> = Rc::default();
    let give = Rc::clone(&given);
    let screen = Screen::of(move || {
        let give = StoredValue::new_local(move |label| give.borrow_mut().push(label));
        let on_answer = Callback::new(move |label| give.with_value(|give| give(label)));
        let (field, none) = (NodeRef::new(), Signal::stored(None));
        view! {
            <Choices words=&ENGLISH labels=Signal::stored(set) keys=Signal::stored([].into()) suggestion=none present=Signal::stored(None) on_answer field />
        }
        .into_any()
    });
    let field = screen.field("Find among 1,002 labels");
    write(&field, "Shoe");
    painted().await;
    let found: Vec<_> = screen.all("[role=option]").iter().map(|option| text_of(option)).collect();
    assert_eq!(found, ["shoe shop", "running shoe"]);
    press(&field, "ArrowDown");
    press(&field, "Enter");
    painted().await;
    assert_eq!(*given.borrow(), [LabelId(1001)]);
    assert_eq!(field.value(), "");
    assert_eq!(text_of(&screen.all("[role=option]")[0]), "running shoe", "the last one used stands first");
}

#[wasm_bindgen_test]
fn progress_counts_and_estimates() {
    let counts = Counts { arrived: 1000, accepted: 730, answered: 70, waiting: 200, ..Counts::default() };
    let screen = Screen::of(move || {
        view! {
            <Progress words=&ENGLISH counts=Signal::stored(counts) seconds_per_answer=Signal::stored(Some(3.0))
                promise=Signal::stored("95% right: 7 checks to go".to_owned()) evidence=Signal::stored(0.8) />
        }
        .into_any()
    });
    for text in [
        "730 by the model, 73%",
        "70 by you",
        "200 waiting",
        "20 a minute, about 10 minutes left",
        "95% right: 7 checks to go",
    ] {
        screen.expect(text);
    }
}

#[wasm_bindgen_test]
async fn markup_in_labels_and_items_never_becomes_markup() {
    let bad = "<img src=x onerror=alert(1)><b>bold</b>";
    let (screen, desk, ..) = at_a_question();
    desk.labels.set(labels(&[bad, "Shirt", "Bag"]));
    desk.task.set(bad.into());
    desk.columns.set([bad.into(), "length".into()].into());
    let why = Why::Unpredictable(bad.into());
    desk.question.set(Some(Question { item: row(bad), why, note: Some(bad.into()), ..question(2) }));
    painted().await;
    let list = Screen::of(move || {
        let aside = Aside { id: bad.into(), item: None, reason: AsideReason::Malformed(bad.into()) };
        view! { <SetAside words=&ENGLISH items=Signal::stored(vec![aside]) on_open=Callback::new(|_| ()) /> }
            .into_any()
    });
    for place in [&screen, &list] {
        place.expect(bad);
        assert!(place.all("[onerror], [src=x]").is_empty());
    }
    for shown in [".choice__name", ".ask__question", ".numbers th"] {
        let texts: Vec<_> =
            screen.all(shown).iter().map(|at| (text_of(at), at.child_element_count())).collect();
        assert!(texts.contains(&(bad.to_owned(), 0)), "{shown}: {texts:?}");
    }
}
