//! The contract between the driver and the view: signals out, deeds in.
//!
//! The driver writes every signal here except those under *the view's own*; the view reads them and does
//! something only by [`Desk::notice`] and [`Desk::order`]. Only the root component takes the desk from the
//! context; the leaves get signals and callbacks.

use std::sync::Arc;

use leptos::prelude::*;

use super::keys::KeyMap;
use super::text::{ENGLISH, Words};
use crate::domain::correction::{PredictionShown, Role};
use crate::domain::diagnosis::Cause;
use crate::domain::ident::RecordId;
use crate::domain::item::{Aside, ImageSource, ItemKey};
use crate::domain::label::{LabelId, LabelSet};
use crate::domain::learning::learner::Lesson;
use crate::domain::progress::Progress;
use crate::domain::session::{Accepted, Answered, DeliveryView, Notice, Phase, PromiseView, Question};

/// How far the start is.
#[derive(Clone, Debug, PartialEq)]
pub enum Opening {
    /// Configuration, manifest and store are being read.
    Starting,
    /// The model is on its way; `total` is what the manifest says, bytes.
    Downloading {
        /// Bytes so far.
        received: u64,
        /// Bytes in all.
        total: u64,
    },
    /// The workers compile the model and try it on a probe.
    Preparing,
    /// Ready: the [`Phase`] says the rest.
    Open,
    /// Cannot start: what is wrong, one problem a line, in words that say what to do.
    Broken {
        /// Which part: the configuration, the model or the items.
        what: Broken,
        /// The problems.
        problems: Vec<String>,
    },
}

/// What is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// The element's attributes or configuration: only the page's author can mend it.
    Configuration,
    /// The model: the person may go on without it ([`Notice::WithoutModel`]) or try again ([`Order::Retry`]).
    Model,
    /// The items' source: the person may try again, or add files.
    Items,
}

/// Trouble that does not stop the work, shown as a banner until it is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The browser's store does not work: labels stay in memory until they are delivered or downloaded.
    NoStore(Arc<str>),
    /// The browser has thrown the store away, and so many records with it.
    Emptied(usize),
    /// Records have waited here for more than a day.
    Old,
    /// A token is wanted, and the page has given none that the server takes.
    NoToken,
    /// Items stopped coming: the connection broke off, or a line is wrong.
    ItemsBrokeOff(Arc<str>),
    /// No worker could be brought up; everything goes to the person.
    NoWorkers,
    /// The learner is lost: the model stays as good as it is.
    NoLearner,
}

/// A format to take everything home in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Download {
    /// One record a line.
    JsonLines,
    /// A table.
    Csv,
    /// Records that the server refused, as JSON Lines.
    Refused,
    /// The improved model, ONNX.
    Model,
    /// The manifest of the improved model.
    Manifest,
    /// What was learned alone, JSON.
    Head,
}

/// Something that only the driver can do.
#[derive(Clone, Debug)]
pub enum Order {
    /// Start again after [`Opening::Broken`].
    Retry,
    /// Give the person a file.
    Download(Download),
    /// Ask the page for a token.
    LogIn,
    /// Find out what stands in the way of delivery; the answer is in [`Desk::connection`].
    TestConnection,
    /// Take in files that were dropped or picked.
    AddFiles(web_sys::FileList),
    /// The picture asked about has this width and height in pixels, or cannot be shown.
    Seen(Option<(u32, u32)>),
    /// Use these keys, and remember them in this browser.
    UseKeys(KeyMap),
    /// Move over to the newer model.
    TakeNewer,
    /// Add an answer of this name.
    AddLabel(Arc<str>),
    /// Give the person a chart as a file of this name and text.
    Save(Arc<str>, Arc<str>),
}

/// What covers the card.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Panel {
    /// Nothing.
    #[default]
    None,
    /// What the model settled.
    Review,
    /// Items that were set aside.
    Aside,
    /// Where the records are, and those that the server refused.
    Delivery,
    /// How the cycle goes.
    Cycle,
}

/// How the cycle goes, in figures.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    /// Items settled for a minute of the person's time.
    pub per_minute: Option<f64>,
    /// Median seconds an answer.
    pub seconds_per_answer: Option<f64>,
    /// Blind checks of what the model would have settled.
    pub checked: usize,
    /// Share of them in which it was right.
    pub accuracy: Option<f64>,
    /// The interval around that, at 90 %.
    pub interval: (f64, f64),
    /// How often person and model agree: why the person was asked, whether the prediction was seen, answers, and
    /// those that agree.
    pub agreement: Vec<(Role, PredictionShown, usize, usize)>,
}

/// A chart as the worker drew it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChartView {
    /// What a file of it is called.
    pub name: Arc<str>,
    /// What it shows.
    pub title: Arc<str>,
    /// The same in words and numbers.
    pub description: Arc<str>,
    /// An SVG file.
    pub svg: Arc<str>,
    /// Its numbers.
    pub csv: Arc<str>,
}

/// An answer that may be a slip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlipView {
    /// Of which item.
    pub key: ItemKey,
    /// The page's name for it.
    pub item: Arc<str>,
    /// What was answered.
    pub given: LabelId,
    /// What the model would say.
    pub suggested: LabelId,
}

/// A page of what the model settled.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReviewPage {
    /// First item, counted from the least sure.
    pub offset: usize,
    /// The items.
    pub items: Vec<Accepted>,
}

/// A record that the server refused: its id, its item's id, and the server's reason.
pub type Refused = (RecordId, Arc<str>, Arc<str>);

/// Signals of one element; copies share them.
#[derive(Clone, Copy)]
pub struct Desk {
    /// How far the start is.
    pub opening: RwSignal<Opening>,
    /// What the page shows as a whole.
    pub phase: RwSignal<Phase>,
    /// The question of the task, from the configuration or the manifest: "What is on the picture?"
    pub task: RwSignal<Arc<str>>,
    /// The answers that there are.
    pub labels: RwSignal<LabelSet>,
    /// Names of the columns, for items that are numbers.
    pub columns: RwSignal<Arc<[Arc<str>]>>,
    /// Whether a model predicts.
    pub has_model: RwSignal<bool>,
    /// The question on screen.
    pub question: RwSignal<Option<Question>>,
    /// The picture that comes next, to be decoded ahead.
    pub next_image: RwSignal<Option<ImageSource>>,
    /// The last answer, until it is undone.
    pub last_answer: RwSignal<Option<Answered>>,
    /// How many steps can be taken back.
    pub undo_depth: RwSignal<usize>,
    /// Where every item stands.
    pub progress: RwSignal<Progress>,
    /// Median seconds an answer.
    pub pace: RwSignal<Option<f64>>,
    /// Where the records are.
    pub delivery: RwSignal<DeliveryView>,
    /// What [`Order::TestConnection`] has found, `Some(None)` while it looks; `None`: nobody has asked.
    pub connection: RwSignal<Option<Option<Cause>>>,
    /// Whether the browser has promised to keep the store.
    pub persisted: RwSignal<Option<bool>>,
    /// Records that the server refused, with its reason. Filled while [`Panel::Delivery`] is open.
    pub refused: RwSignal<Vec<Refused>>,
    /// Items that were set aside. Filled while [`Panel::Aside`] is open, at most 1,000.
    pub asides: RwSignal<Vec<Aside>>,
    /// What the model settled, as far as [`Desk::review_at`] asks. Filled while [`Panel::Review`] is open.
    pub review: RwSignal<ReviewPage>,
    /// The last refit, once there was one.
    pub lesson: RwSignal<Option<Lesson>>,
    /// Where the promise stands, if there is a target.
    pub promise: RwSignal<Option<PromiseView>>,
    /// Whether answers make the model better.
    pub learns: RwSignal<bool>,
    /// Whether the person may add answers.
    pub open_labels: RwSignal<bool>,
    /// How many answers may be slips.
    pub slips: RwSignal<usize>,
    /// How the cycle goes, in figures.
    pub figures: RwSignal<Figures>,
    /// The same drawn. Filled while [`Panel::Cycle`] is open.
    pub charts: RwSignal<Vec<ChartView>>,
    /// The answers that may be slips. Filled while [`Panel::Cycle`] is open.
    pub slip_list: RwSignal<Vec<SlipView>>,
    /// The version of a newer model that is there.
    pub newer: RwSignal<Option<Arc<str>>>,
    /// Trouble that does not stop the work.
    pub troubles: RwSignal<Vec<Trouble>>,
    /// Which key does what.
    pub keys: RwSignal<KeyMap>,
    /// The same before the person changed anything.
    pub usual_keys: RwSignal<KeyMap>,

    /// The view's own: what covers the card.
    pub panel: RwSignal<Panel>,
    /// The view's own: first item and count of the review that it wants.
    pub review_at: RwSignal<(usize, usize)>,
    /// The view's own: the picture is shown large.
    pub zoomed: RwSignal<bool>,
    /// The view's own: the list of keys is open, above whatever panel there is.
    pub help: RwSignal<bool>,
    /// The view's own: grows when the remark field is to get the focus.
    pub note_wanted: RwSignal<u32>,

    /// The language of the view.
    pub words: StoredValue<&'static Words>,

    notice: StoredValue<Box<dyn Fn(Notice)>, LocalStorage>,
    order: StoredValue<Box<dyn Fn(Order)>, LocalStorage>,
    image_url: StoredValue<Box<dyn Fn(u32) -> Option<String>>, LocalStorage>,
}

impl Desk {
    /// A desk whose deeds go to these functions; `image_url` gives an address for a picture held by the page.
    pub fn new(
        notice: impl Fn(Notice) + 'static,
        order: impl Fn(Order) + 'static,
        image_url: impl Fn(u32) -> Option<String> + 'static,
    ) -> Self {
        Self {
            opening: RwSignal::new(Opening::Starting),
            phase: RwSignal::new(Phase::Paused),
            task: RwSignal::new("".into()),
            labels: RwSignal::new(LabelSet::default()),
            columns: RwSignal::new([].into()),
            has_model: RwSignal::new(false),
            question: RwSignal::new(None),
            next_image: RwSignal::new(None),
            last_answer: RwSignal::new(None),
            undo_depth: RwSignal::new(0),
            progress: RwSignal::new(Progress::default()),
            pace: RwSignal::new(None),
            delivery: RwSignal::new(DeliveryView::default()),
            connection: RwSignal::new(None),
            persisted: RwSignal::new(None),
            refused: RwSignal::new(Vec::new()),
            asides: RwSignal::new(Vec::new()),
            review: RwSignal::new(ReviewPage::default()),
            lesson: RwSignal::new(None),
            promise: RwSignal::new(None),
            learns: RwSignal::new(false),
            open_labels: RwSignal::new(false),
            slips: RwSignal::new(0),
            figures: RwSignal::new(Figures::default()),
            charts: RwSignal::new(Vec::new()),
            slip_list: RwSignal::new(Vec::new()),
            newer: RwSignal::new(None),
            troubles: RwSignal::new(Vec::new()),
            keys: RwSignal::new(KeyMap::standard(0)),
            usual_keys: RwSignal::new(KeyMap::standard(0)),
            panel: RwSignal::new(Panel::None),
            review_at: RwSignal::new((0, 0)),
            zoomed: RwSignal::new(false),
            help: RwSignal::new(false),
            note_wanted: RwSignal::new(0),
            words: StoredValue::new(&ENGLISH),
            notice: StoredValue::new_local(Box::new(notice)),
            order: StoredValue::new_local(Box::new(order)),
            image_url: StoredValue::new_local(Box::new(image_url)),
        }
    }

    /// Tells the session what the person did.
    pub fn notice(&self, notice: Notice) {
        // The element may be gone.
        let _ = self.notice.try_with_value(|tell| tell(notice));
    }

    /// Has the driver do something.
    pub fn order(&self, order: Order) {
        self.order.with_value(|tell| tell(order));
    }

    /// An address that an `<img>` can show.
    #[must_use]
    pub fn image_url(&self, source: &ImageSource) -> Option<String> {
        match source {
            ImageSource::Url(url) => Some(url.to_string()),
            ImageSource::Held(number) => self.image_url.with_value(|url| url(*number)),
        }
    }
}
