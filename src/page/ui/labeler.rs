//! The root component: takes the desk from the context, hands signals and callbacks to the leaves.

use std::sync::Arc;

use leptos::html::Div;
use leptos::prelude::*;
use leptos::{ev, web_sys};
use wasm_bindgen::JsCast;

use crate::domain::item::{Content, ImageSource, ItemKey};
use crate::domain::label::LabelId;
use crate::domain::session::{Notice, Phase, PromiseView, Question, Why};
use crate::page::desk::{Broken, Desk, Download, Opening, Order, Panel, Trouble};
use crate::page::keys::{Deed, KeyTaken, is_foreign};
use crate::page::text::{ENGLISH, Words, fill};

use super::aside::SetAside;
use super::banner::{Banner, Warning, Way};
use super::card::Card;
use super::cycle::{Cycle, promise_short};
use super::delivery::{Delivery, Form, Standing, obstacle, standing};
use super::figures::count;
use super::focus::{focus, keep_focus};
use super::help::{Binding, Help};
use super::lean::{callback, derived, lazy, pressed};
use super::progress::Progress;
use super::reason::reason;
use super::refused::{Refused, RefusedRecord};
use super::review::{PAGE, Review};
use super::states::{Empty, Failed, Finished, Loading, Paused, Reading, Step, empty, failed, finished};
use super::tabs::{Pane, Tabs};
use super::tools::{ToolKeys, Tools};
use super::zoom::Zoom;

/// What the body shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scene {
    Loading,
    Broken(Broken),
    Paused,
    Empty,
    Reading,
    Asking,
    Finished,
    Review,
    Aside,
    Cycle,
    Delivery,
}

impl Scene {
    fn of(opening: &Opening, phase: Phase, panel: Panel) -> Self {
        match (panel, opening, phase) {
            (Panel::Review, ..) => Scene::Review,
            (Panel::Aside, ..) => Scene::Aside,
            (Panel::Cycle, ..) => Scene::Cycle,
            (Panel::Delivery, ..) => Scene::Delivery,
            (_, Opening::Broken { what, .. }, _) => Scene::Broken(*what),
            (_, Opening::Open, Phase::Paused) => Scene::Paused,
            (_, Opening::Open, Phase::Empty) => Scene::Empty,
            // Nothing waits for the model when there is a question already.
            (_, _, Phase::Asking) => Scene::Asking,
            (_, Opening::Open, Phase::Predicting) => Scene::Reading,
            (_, Opening::Open, Phase::Finished) => Scene::Finished,
            _ => Scene::Loading,
        }
    }

    /// Whether it is about a question or the lack of one; else it is a pane that needs no tools.
    fn has_tools(self) -> bool {
        !matches!(self, Scene::Review | Scene::Aside | Scene::Cycle | Scene::Delivery)
    }
}

/// The whole element.
#[component]
pub fn Labeler(#[prop(default = &ENGLISH)] words: &'static Words) -> AnyView {
    let desk = expect_context::<Desk>();
    let scene = Memo::new(move |_| {
        desk.opening.with(|opening| Scene::of(opening, desk.phase.get(), desk.panel.get()))
    });
    let frame = NodeRef::<Div>::new();
    let over = RwSignal::new(false);
    let asking = Memo::new(move |_| scene.get() == Scene::Asking);
    follow_reviews(desk);

    let inside = lazy(move || {
        let scene = scene.get();
        keep_focus(frame);
        show(scene, desk, words, frame)
    });
    // With the warnings and the state of delivery go buttons that may have the focus.
    let warnings = derived(move || {
        keep_focus(frame);
        warnings(desk, words)
    });
    let delivery = derived(move || {
        keep_focus(frame);
        said_of_delivery(desk, words)
    });
    let said = Memo::new(move |before: Option<&Said>| said_of_scene(scene.get(), before, desk, words));
    view! {
        <div node_ref=frame part="root" class="frame" lang=words.locale class:keys-off=derived(move || desk.keys.with(|keys| !keys.enabled))
            on:keydown=pressed(move |event| find_label(&event, desk, frame))
            on:dragover=move |event| if has_files(&event) { event.prevent_default(); over.set(true); }
            on:dragleave=move |event| if has_left(&event) { over.set(false) }
            on:drop=move |event| { over.set(false); take_files(&event, desk); }>
            <Tabs words pane=derived(move || pane(desk.panel.get())) counts=desk.progress delivery=desk.delivery cycle=desk.has_model
                slips=derived(move || desk.slips.get())
                on_pane=callback(move |to| { leave(desk); desk.panel.set(panel(to)); }) />
            <Progress words counts=desk.progress seconds_per_answer=desk.pace
                promise=derived(move || desk.promise.with(|p| p.as_ref().map(|p| promise_short(p, words)).unwrap_or_default()))
                evidence=derived(move || desk.promise.with(|p| p.as_ref().map_or(0.0, PromiseView::share))) />
            <Banner words warnings on_way=callback(move |way| match way {
                Way::Newer => desk.order(Order::TakeNewer),
                Way::LogIn => desk.order(Order::LogIn),
                Way::Download | Way::None => desk.order(Order::Download(Download::JsonLines)),
            }) />
            <div id="body" class="body" role="tabpanel" aria-label=words.labeler>{inside}</div>
            {lazy(move || scene.get().has_tools().then(|| tools(desk, words, asking.into(), frame)))}
            <p class="over" hidden=derived(move || !over.get())>{words.let_go}</p>
            <p class="said" role="status">{derived(move || said.get().unwrap_or_default().1)}</p>
            <p class="said" role="status">{delivery}</p>
            <p class="said" role="status">{derived(move || said_of_promise(desk, words))}</p>
            {zoom(desk, words)}
            {help(desk, words)}
        </div>
    }
    .into_any()
}

fn show(scene: Scene, desk: Desk, words: &'static Words, frame: NodeRef<Div>) -> AnyView {
    let address = callback(move |source: ImageSource| desk.image_url(&source));
    let on_files = callback(move |files| desk.order(Order::AddFiles(files)));
    let to = move |panel: Panel| callback(move |()| desk.panel.set(panel));
    let download = move |what: Download| callback(move |()| desk.order(Order::Download(what)));
    let open = move |from: Panel| callback(move |key: ItemKey| open_item(desk, from, key));
    match scene {
        Scene::Loading => view! { <Loading words step=derived(move || desk.opening.with(step)) /> }.into_any(),
        Scene::Broken(what) => {
            let problems = move || match desk.opening.get() {
                Opening::Broken { problems, .. } => problems,
                _ => Vec::new(),
            };
            // The labels are the manifest's: where that could not be had, nothing can be asked.
            let any = desk.labels.with_untracked(|labels| !labels.is_empty());
            let without = any.then(|| callback(move |()| desk.notice(Notice::WithoutModel)));
            view! {
                <Failed words what problems=derived(problems) on_retry=callback(move |()| desk.order(Order::Retry))
                    on_without=without on_files />
            }
            .into_any()
        }
        Scene::Paused => view! { <Paused words on_start=callback(move |()| desk.notice(Notice::Started)) /> }.into_any(),
        Scene::Empty => {
            let pictures = derived(move || desk.columns.with(|columns| columns.is_empty()));
            view! { <Empty words pictures on_files /> }.into_any()
        }
        Scene::Reading => view! { <Reading words counts=desk.progress /> }.into_any(),
        Scene::Asking => card(desk, words, address),
        Scene::Finished => view! {
            <Finished words counts=desk.progress delivery=desk.delivery on_review=to(Panel::Review) on_download=download(Download::JsonLines) />
        }
        .into_any(),
        Scene::Review => {
            desk.review_at.set((desk.review.with_untracked(|page| page.offset), PAGE));
            view! {
                <Review words labels=desk.labels address items=derived(move || desk.review.with(|page| page.items.clone()))
                    offset=derived(move || desk.review.with(|page| page.offset))
                    total=derived(move || desk.progress.with(|counts| counts.accepted))
                    on_page=callback(move |offset| desk.review_at.set((offset, PAGE))) on_open=open(Panel::Review) />
            }
            .into_any()
        }
        Scene::Cycle => cycle(desk, words),
        Scene::Aside => view! { <SetAside words items=desk.asides on_open=open(Panel::Aside) /> }.into_any(),
        Scene::Delivery => {
            let on_download = callback(move |form| {
                desk.order(Order::Download(match form {
                    Form::JsonLines => Download::JsonLines,
                    Form::Csv => Download::Csv,
                    Form::Refused => Download::Refused,
                }));
            });
            let records = move || {
                keep_focus(frame);
                let record = |(id, item, why): &(_, Arc<str>, Arc<str>)| RefusedRecord { id: *id, item: item.clone(), why: why.clone() };
                desk.refused.with(|refused| refused.iter().map(record).collect())
            };
            view! {
                <Delivery words delivery=desk.delivery persisted=desk.persisted
                    connection=desk.connection
                    on_send=callback(move |()| desk.notice(Notice::ResumeDelivery))
                    on_test=callback(move |()| desk.order(Order::TestConnection)) on_download>
                    <Refused words records=derived(records) frame on_retry=callback(move |ids| desk.notice(Notice::RetryRefused(ids)))
                        on_delete=callback(move |ids| desk.notice(Notice::DiscardRefused(ids))) on_download />
                </Delivery>
            }
            .into_any()
        }
    }
}

fn cycle(desk: Desk, words: &'static Words) -> AnyView {
    view! {
        <Cycle words labels=desk.labels counts=desk.progress figures=desk.figures charts=desk.charts slips=desk.slip_list lesson=desk.lesson promise=desk.promise learns=desk.learns
            on_open=callback(move |key| open_item(desk, Panel::Cycle, key))
            on_save=callback(move |(name, text): (String, String)| desk.order(Order::Save(name.into(), text.into())))
            on_download=callback(move |what| desk.order(Order::Download(what))) />
    }
    .into_any()
}

fn card(desk: Desk, words: &'static Words, address: Callback<ImageSource, Option<String>>) -> AnyView {
    let caps = move || {
        let count = desk.labels.with(|labels| labels.len());
        #[allow(clippy::cast_possible_truncation)]
        desk.keys.with(|keys| {
            (0..count)
                .map(|i| keys.key(Deed::Answer(LabelId(i as u16))).unwrap_or_default().into())
                .collect::<Arc<[Arc<str>]>>()
        })
    };
    let reason = move || {
        desk.question.with(|q| {
            q.as_ref().map(|q| desk.labels.with(|labels| reason(q, labels, words))).unwrap_or_default()
        })
    };
    let task = move || match desk.task.get() {
        task if task.is_empty() => words.ask.into(),
        task => task,
    };
    view! {
        <Card words address question=desk.question next=desk.next_image labels=desk.labels columns=desk.columns keys=Memo::new(move |_| caps())
            task=derived(task) reason=derived(reason) last=desk.last_answer
            looking=derived(move || desk.question.with(|q| q.as_ref().is_some_and(is_looked_at)))
            on_answer=callback(move |label| desk.notice(Notice::Answered(label)))
            on_back=callback(move |()| desk.notice(Notice::Closed))
            open=desk.open_labels on_add=callback(move |name: String| desk.order(Order::AddLabel(name.into())))
            on_seen=callback(move |size| desk.order(Order::Seen(size)))
            on_enlarge=callback(move |()| desk.zoomed.set(true)) />
    }
    .into_any()
}

fn tools(desk: Desk, words: &'static Words, asking: Signal<bool>, frame: NodeRef<Div>) -> AnyView {
    let cap = move |deed: Deed| desk.keys.with(|keys| keys.key(deed).unwrap_or_default().to_owned());
    let keys = move || ToolKeys {
        undo: cap(Deed::Undo),
        skip: cap(Deed::Skip),
        flag: cap(Deed::Flag),
        note: cap(Deed::Note),
        help: cap(Deed::Help),
    };
    let note = Memo::new(move |_| {
        // The serial makes an unwritten remark of the question before go away, too.
        desk.question.with(|q| {
            q.as_ref().map(|q| (q.serial, q.note.as_ref().map_or_else(String::new, ToString::to_string)))
        })
    });
    view! {
        <Tools words asking keys=Memo::new(move |_| keys()) can_undo=derived(move || desk.undo_depth.get() > 0)
            flagged=derived(move || desk.question.with(|q| q.as_ref().is_some_and(|q| q.flagged)))
            note=derived(move || note.get().unwrap_or_default().1) wanted=desk.note_wanted frame
            on_undo=callback(move |()| desk.notice(Notice::Undone))
            on_skip=callback(move |()| desk.notice(Notice::Skipped))
            on_flag=callback(move |flagged| desk.notice(Notice::Flagged(flagged)))
            on_note=callback(move |note: String| desk.notice(Notice::Noted(note.into())))
            on_help=callback(move |()| desk.help.set(true)) />
    }
    .into_any()
}

fn zoom(desk: Desk, words: &'static Words) -> AnyView {
    let picture = Memo::new(move |_| {
        let question = desk.zoomed.get().then(|| desk.question.get()).flatten()?;
        match &question.item.content {
            Content::Image(source) => Some((question.item.id.clone(), desk.image_url(source)?)),
            Content::Numbers(_) => None,
        }
    });
    // A row of numbers cannot be enlarged, and the wish must not wait for the next picture.
    Effect::new(move |_| {
        if desk.zoomed.get() && picture.with(Option::is_none) {
            desk.zoomed.set(false);
        }
    });
    view! { <Zoom words picture on_close=callback(move |()| desk.zoomed.set(false)) /> }.into_any()
}

const TOOLS: [Deed; 7] =
    [Deed::AnswerSuggested, Deed::Undo, Deed::Skip, Deed::Flag, Deed::Note, Deed::Zoom, Deed::Help];

/// The deed at a place of the list of keys: labels that have a key first, then the tools.
fn deeds(desk: Desk) -> Vec<Deed> {
    let labels = desk.labels.with(|labels| labels.iter().map(|(id, _)| Deed::Answer(id)).collect::<Vec<_>>());
    let bound = labels.into_iter().filter(|deed| desk.keys.with(|keys| keys.key(*deed).is_some()));
    bound.chain(TOOLS).collect()
}

fn deed_name(desk: Desk, deed: Deed, words: &'static Words) -> Arc<str> {
    match deed {
        Deed::Answer(id) => {
            desk.labels.with(|labels| labels.get(id).map_or_else(|| "".into(), |label| label.name.clone()))
        }
        Deed::AnswerSuggested => words.take_suggestion.into(),
        Deed::Undo => words.undo.into(),
        Deed::Skip => words.skip.into(),
        Deed::Flag => words.flag.into(),
        Deed::Note => words.note.into(),
        Deed::Zoom => words.enlarge.into(),
        Deed::Help => words.keys.into(),
        Deed::Close => words.close.into(),
    }
}

fn help(desk: Desk, words: &'static Words) -> AnyView {
    let binding = move |deed: Deed| Binding {
        name: deed_name(desk, deed, words),
        key: desk.keys.with(|keys| keys.key(deed).unwrap_or_default().into()),
    };
    let bindings = move || deeds(desk).into_iter().map(binding).collect::<Vec<_>>();
    let change = move |(place, key): (usize, String)| {
        let deed = *untrack(|| deeds(desk)).get(place)?;
        let mut keys = desk.keys.get_untracked();
        match keys.bind(deed, &key) {
            Ok(()) => {
                desk.order(Order::UseKeys(keys));
                None
            }
            Err(KeyTaken::By(other)) => {
                Some(fill(words.key_taken, &[("name", &untrack(|| deed_name(desk, other, words)))]))
            }
        }
    };
    let enable = move |enabled: bool| {
        let mut keys = desk.keys.get_untracked();
        keys.enabled = enabled;
        desk.order(Order::UseKeys(keys));
    };
    let reset = move |()| {
        desk.order(Order::UseKeys(desk.usual_keys.get_untracked()));
    };
    view! {
        <Help words open=desk.help bindings=derived(bindings)
            enabled=derived(move || desk.keys.with(|keys| keys.enabled))
            on_close=callback(move |()| desk.help.set(false))
            on_enable=callback(enable) on_change=callback(change) on_reset=callback(reset) />
    }
    .into_any()
}

fn pane(panel: Panel) -> Pane {
    match panel {
        Panel::Review => Pane::Accepted,
        Panel::Aside => Pane::SetAside,
        Panel::Cycle => Pane::Cycle,
        Panel::Delivery => Pane::Delivery,
        Panel::None => Pane::Questions,
    }
}

fn panel(pane: Pane) -> Panel {
    match pane {
        Pane::Accepted => Panel::Review,
        Pane::SetAside => Panel::Aside,
        Pane::Cycle => Panel::Cycle,
        Pane::Delivery => Panel::Delivery,
        Pane::Questions => Panel::None,
    }
}

#[allow(clippy::cast_precision_loss)]
fn step(opening: &Opening) -> Step {
    match opening {
        Opening::Downloading { received, total } => Step::Fetch(*received as f64, *total as f64),
        Opening::Starting | Opening::Broken { .. } => Step::Start,
        Opening::Preparing | Opening::Open => Step::Prepare,
    }
}

fn warnings(desk: Desk, words: &Words) -> Vec<Warning> {
    let mut all = desk.troubles.with(|all| all.iter().map(|t| warning(t, words)).collect::<Vec<_>>());
    if let Some(version) = desk.newer.get() {
        all.push(Warning {
            words: fill(words.newer_model, &[("version", &version)]).into(),
            more: words.newer_model_hint.into(),
            way: Way::Newer,
        });
    }
    all
}

fn warning(trouble: &Trouble, words: &Words) -> Warning {
    let (said, more, way) = match trouble {
        Trouble::NoStore(why) => {
            (words.unsaved, fill(words.unsaved_until, &[("why", why)]).into(), Way::Download)
        }
        Trouble::Emptied(n) => {
            (words.emptied, words.counted(words.emptied_hint, *n, &count(*n, words)).into(), Way::None)
        }
        Trouble::Old => (words.old, words.old_hint.into(), Way::Download),
        Trouble::NoToken => (words.no_token, words.no_token_hint.into(), Way::LogIn),
        Trouble::ItemsBrokeOff(why) => (words.items_broke_off, why.clone(), Way::None),
        Trouble::NoWorkers => (words.no_workers, words.doubt_no_model.into(), Way::None),
        Trouble::NoLearner => (words.no_learner, words.no_learner_hint.into(), Way::None),
    };
    Warning { words: said.into(), more, way }
}

/// Whether the question is about an item that was opened from a list.
fn is_looked_at(question: &Question) -> bool {
    matches!(question.why, Why::Review | Why::SetAside(_))
}

#[derive(Clone, Copy)]
struct Opened(StoredValue<Option<(Panel, bool)>>);

/// Opens an item of a list as the question on screen.
fn open_item(desk: Desk, from: Panel, key: ItemKey) {
    if let Some(opened) = use_context::<Opened>() {
        opened.0.set_value(Some((from, false)));
    }
    desk.panel.set(Panel::None);
    desk.notice(Notice::Opened(key));
}

/// Goes back to the list once an item that was opened from it is answered or left.
fn follow_reviews(desk: Desk) {
    let opened = Opened(StoredValue::new(None));
    provide_context(opened);
    Effect::new(move |_| {
        let looking = desk.question.with(|question| question.as_ref().is_some_and(is_looked_at));
        match opened.0.get_value() {
            Some((from, false)) if looking => opened.0.set_value(Some((from, true))),
            Some((from, true)) if !looking => {
                opened.0.set_value(None);
                desk.panel.set(from);
            }
            _ => {}
        }
    });
}

/// Another tab was chosen: what was opened from a list is closed, and does not come back to the list.
fn leave(desk: Desk) {
    if let Some(opened) = use_context::<Opened>() {
        opened.0.set_value(None);
    }
    if desk.question.with_untracked(|question| question.as_ref().is_some_and(is_looked_at)) {
        desk.notice(Notice::Closed);
    }
}

/// `/` goes to the field that finds a label, if there is one, nothing is being written and the key means nothing else.
fn find_label(event: &ev::KeyboardEvent, desk: Desk, frame: NodeRef<Div>) {
    let writing = event.composed_path().get(0).dyn_ref::<web_sys::HtmlInputElement>().is_some();
    let free = desk.keys.with_untracked(|keys| keys.enabled && keys.deed("/").is_none());
    if event.key() == "/" && free && !writing && !is_foreign(event) && focus(frame, "[role=combobox]") {
        event.prevent_default();
    }
}

/// What is said, and of which question; 0: of the lack of one.
type Said = Option<(u64, String)>;

fn said_of_scene(scene: Scene, before: Option<&Said>, desk: Desk, words: &Words) -> Said {
    let title = match scene {
        Scene::Broken(what) => failed(what, words).0,
        Scene::Paused => words.paused,
        Scene::Empty => empty(desk.columns.with(|columns| columns.is_empty()), words),
        Scene::Finished => return Some((0, desk.progress.with(|counts| finished(counts, words)))),
        _ => return said_of_question(before, desk, words),
    };
    Some((0, title.to_owned()))
}

fn said_of_question(before: Option<&Said>, desk: Desk, words: &Words) -> Said {
    desk.question.with(|question| {
        let question = question.as_ref()?;
        // A mark or a note makes it no other question, to be read out anew.
        let same = before.cloned().flatten().filter(|(serial, _)| *serial == question.serial);
        if same.is_some() {
            return same;
        }
        let reason = desk.labels.with(|labels| reason(question, labels, words));
        let waiting = count(desk.progress.with_untracked(|counts| counts.waiting), words);
        let task = desk.task.get();
        let task = if task.is_empty() { words.ask } else { &task };
        let said = fill(
            words.say_question,
            &[("item", &question.item.id), ("question", task), ("reason", &reason), ("n", &waiting)],
        );
        Some((question.serial, said))
    })
}

fn said_of_promise(desk: Desk, words: &'static Words) -> &'static str {
    // Said when it changes, not with each check.
    match desk.promise.with(|p| p.as_ref().map(|p| (p.is_earned(), p.lost))) {
        Some((true, _)) => words.said_earned,
        Some((false, true)) => words.said_broken,
        _ => "",
    }
}

fn said_of_delivery(desk: Desk, words: &'static Words) -> String {
    desk.delivery.with(|view| {
        let (state, n) = standing(view);
        if !state.is_trouble() {
            return String::new();
        }
        // A number that grows with each answer would have the sentence read out anew each time.
        let number = if state == Standing::Refused { count(n, words) } else { String::new() };
        let obstacle = obstacle(view, words).unwrap_or_default();
        format!("{} {number} {obstacle}", state.word(words))
    })
}

/// Whether what is dragged has left the element, and not only gone from one part of it to another.
fn has_left(event: &ev::DragEvent) -> bool {
    let node = |target: Option<web_sys::EventTarget>| target.map(JsCast::unchecked_into::<web_sys::Node>);
    let to = node(event.related_target());
    node(event.current_target()).is_none_or(|frame| !frame.contains(to.as_ref()))
}

fn has_files(event: &ev::DragEvent) -> bool {
    event.data_transfer().is_some_and(|data| data.types().includes(&"Files".into(), 0))
}

fn take_files(event: &ev::DragEvent, desk: Desk) {
    if !has_files(event) {
        return;
    }
    event.prevent_default();
    if let Some(files) = event.data_transfer().and_then(|data| data.files()) {
        desk.order(Order::AddFiles(files));
    }
}
