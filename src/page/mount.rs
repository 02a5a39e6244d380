//! Puts the view into the element and gives everything back when the element goes.

use std::cell::RefCell;
use std::rc::Rc;

use gloo::events::EventListener;
use js_sys::{Array, Function, JSON, Promise, Reflect};
use leptos::mount::{UnmountHandle, mount_to};
use leptos::prelude::*;
use leptos::tachys::view::any_view::AnyViewState;
use serde_json::Value;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::future_to_promise;
use web_sys::{AbortController, HtmlElement};

use super::desk::{Download, Panel};
use super::driver::{Driver, Given, thresholds};
use super::keyboard::Keyboard;
use super::settings::Settings;
use super::text::words;
use super::ui::labeler::Labeler;
use super::{download, events};
use crate::domain::session::Notice;

/// A mounted element; dropping it gives back workers, listeners, timers, requests and the view.
pub struct Mounted {
    driver: Rc<Driver>,
    view: RefCell<Option<UnmountHandle<AnyViewState>>>,
    _keyboard: Keyboard,
    _listeners: Vec<EventListener>,
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // What is still to run in it is not to: its signals go at once, its effects a moment later.
        self.driver.owner.pause();
        self.view.take();
        self.driver.leave();
        self.driver.stop();
        self.driver.take_back_theme();
    }
}

/// Mounts the view into `root`, which stands in the shadow root of `host`.
///
/// `options` is an object of `authorize` (asks the page for a token), `config` (object or undefined),
/// `configUrl` (absolute, or undefined),
/// `attributes` (an object of texts), `items`, `added` (an array, ours to add to), `spawnWorker`, `project`, `base`
/// (absolute) and `presets` (absolute, of the folder).
///
/// # Errors
/// `options` lacks `spawnWorker`, or there is no document: the caller is not a page.
pub fn mount(root: HtmlElement, host: HtmlElement, options: &JsValue) -> Result<Mounted, JsValue> {
    let option = |name: &str| Reflect::get(options, &JsValue::from_str(name)).unwrap_or_default();
    let document =
        host.owner_document().ok_or_else(|| js_sys::Error::new("the element is in no document"))?;
    let spawn_worker: Function =
        option("spawnWorker").dyn_into().map_err(|_| js_sys::Error::new("spawnWorker is not a function"))?;
    let attributes = pairs(&option("attributes"));
    let written = from_js(&option("config"));
    let words = words(&language(&document, &attributes, &written));
    let given = Given {
        settings: Rc::new(Settings {
            file: option("configUrl").as_string(),
            property: written,
            attributes,
            base: option("base").as_string().unwrap_or_default(),
            presets: option("presets").as_string().unwrap_or_default(),
        }),
        items: option("items"),
        added: option("added").dyn_into().unwrap_or_default(),
        authorize: option("authorize").dyn_into().unwrap_or_else(|_| Function::new_no_args("")),
        spawn_worker,
        project: option("project").as_string().unwrap_or_default(),
    };
    let abort = AbortController::new()?;
    let driver = Driver::new(host.clone(), given, abort);
    let desk = driver.desk;
    desk.words.set_value(words);
    let view = driver.owner.with(|| {
        mount_to(root, move || {
            provide_context(desk);
            view! { <Labeler words /> }.into_any()
        })
    });
    let refreshing = Rc::downgrade(&driver);
    // The lists are filled only while somebody looks at them.
    driver.owner.with(|| {
        Effect::new(move |_| {
            desk.panel.track();
            desk.review_at.track();
            let Some(driver) = refreshing.upgrade() else { return };
            driver.refresh();
            if desk.panel.get_untracked() == Panel::Cycle {
                driver.figures_now();
            }
        });
    });
    let listeners = listeners(&document, &driver);
    let keyboard = Keyboard::new(&document, &host, desk);
    driver.start();
    Ok(Mounted { driver, view: RefCell::new(Some(view)), _keyboard: keyboard, _listeners: listeners })
}

fn listeners(document: &web_sys::Document, driver: &Rc<Driver>) -> Vec<EventListener> {
    let desk = driver.desk;
    let page = document.clone();
    let hiding = Rc::downgrade(driver);
    let hide = move |hidden| hiding.upgrade().iter().for_each(|driver| driver.hide(hidden));
    let hide_for_good = hide.clone();
    let looked_at = move || {
        desk.notice(Notice::Attention(!page.hidden()));
        hide(page.hidden());
    };
    // It may have been opened in the background.
    looked_at();
    let mut all = vec![EventListener::new(document, "visibilitychange", move |_| looked_at())];
    if let Some(window) = web_sys::window() {
        all.push(EventListener::new(&window, "pagehide", move |_| hide_for_good(true)));
        for (kind, online) in [("online", true), ("offline", false)] {
            all.push(EventListener::new(&window, kind, move |_| desk.notice(Notice::Online(online))));
        }
        if !window.navigator().on_line() {
            desk.notice(Notice::Online(false));
        }
    }
    all
}

/// The element's language by attribute or property, else the document's.
fn language(document: &web_sys::Document, attributes: &[(String, String)], written: &Value) -> String {
    let own = attributes.iter().find(|(name, _)| name == "lang").map(|(_, tag)| tag.clone());
    let own = own.or_else(|| written.get("lang")?.as_str().map(str::to_owned));
    let of_document = || document.document_element().and_then(|root| root.get_attribute("lang"));
    own.or_else(of_document).unwrap_or_default()
}

fn from_js(value: &JsValue) -> Value {
    if value.is_undefined() || value.is_null() {
        return Value::Null;
    }
    let text = JSON::stringify(value).ok().and_then(|text| JsValue::from(text).as_string());
    text.and_then(|text| serde_json::from_slice(text.as_bytes()).ok())
        .unwrap_or_else(|| Value::from("not JSON"))
}

fn pairs(object: &JsValue) -> Vec<(String, String)> {
    let Some(object) = object.dyn_ref::<js_sys::Object>() else { return Vec::new() };
    let entries = js_sys::Object::entries(object);
    let each = entries.iter().filter_map(|pair| {
        let pair: Array = pair.dyn_into().ok()?;
        Some((pair.get(0).as_string()?, pair.get(1).as_string()?))
    });
    each.collect()
}

impl Mounted {
    /// Predicts and asks from now on.
    pub fn start(&self) {
        self.driver.set_running(true);
    }

    /// Hands out no more work and asks nothing; delivery goes on.
    pub fn pause(&self) {
        self.driver.set_running(false);
    }

    /// As `start`, `pause` or the person said it last; `undefined`: nobody has, and the configuration counts.
    #[must_use]
    pub fn running(&self) -> Option<bool> {
        self.driver.was_set_running()
    }

    /// Takes back the person's last step.
    pub fn undo(&self) {
        self.driver.notice(Notice::Undone);
    }

    /// Resolves once every record is stored and, if there is a server, there; rejects in words if that will not be.
    pub fn flush(&self) -> Promise {
        let driver = self.driver.clone();
        Promise::new(&mut |resolve, reject| driver.when_delivered(resolve, reject))
    }

    /// Resolves with where the page is to go once everything is delivered (`{url, fields}`, null if nothing is
    /// configured); rejects in words if something is refused or cannot be sent.
    pub fn finish(&self) -> Promise {
        let driver = self.driver.clone();
        Promise::new(&mut |resolve, reject| driver.finish(resolve, reject))
    }

    /// The page has set another function that gives tokens.
    pub fn authorize_changed(&self) {
        self.driver.authorize_changed();
    }

    /// Every record as a Blob, saved as a file too if `save`; once what earlier visits left has been read.
    ///
    /// Rejects if it cannot be, or the browser refuses, for want of memory.
    pub fn download(&self, csv: bool, save: bool) -> Promise {
        let driver = self.driver.clone();
        future_to_promise(async move {
            let file = driver.file_once_read(if csv { Download::Csv } else { Download::JsonLines }).await;
            let (name, kind, text) =
                file.map_err(|why| js_sys::Error::new(&["download: ", &why].concat()))?;
            if save {
                download::save(&name, kind, &text);
            }
            download::blob(kind, &text).map(JsValue::from)
        })
    }

    /// What was learned, as a Blob, saved as a file too if `save`: `"model"`, `"manifest"` or `"head"`.
    pub fn download_learned(&self, what: &str, save: bool) -> Promise {
        let (what, name) = match what {
            "model" => (Download::Model, "model.onnx"),
            "manifest" => (Download::Manifest, "model.json"),
            _ => (Download::Head, "head.json"),
        };
        let driver = self.driver.clone();
        Promise::new(&mut |resolve, reject| {
            let given = Closure::once_into_js(move |blob: web_sys::Blob| {
                if save {
                    download::save_blob(name, &blob);
                }
                // A promise that is settled already takes no harm.
                let _ = resolve.call1(&JsValue::NULL, &blob);
            });
            driver.give_out(what, given.unchecked_into(), reject);
        })
    }

    /// Promises this accuracy from now on; `None`: the threshold counts again.
    pub fn set_target(&self, accuracy: Option<f64>) {
        self.driver.set_target(accuracy);
    }

    /// Moves over to the newer model, if one was found.
    pub fn take_newer(&self) {
        self.driver.take_newer();
    }

    /// Every figure of the cycle, as reckoned last.
    #[must_use]
    pub fn figures(&self) -> JsValue {
        events::to_js(&self.driver.figures())
    }

    /// Takes in more items.
    pub fn add_items(&self, items: JsValue) {
        self.driver.add_items(items);
    }

    /// Changes the least confidence at which the model settles an item alone.
    pub fn accept_at(&self, threshold: f32) {
        self.driver.accept_at(threshold);
    }

    /// Counts.
    #[must_use]
    pub fn progress(&self) -> JsValue {
        events::to_js(&self.driver.progress())
    }

    /// How many items each of `at` would settle.
    #[must_use]
    pub fn coverage(&self, at: &Array) -> JsValue {
        events::to_js(&self.driver.coverage(&thresholds(at)))
    }

    /// The kernels that the workers chose, for reports of faults and speed.
    #[must_use]
    pub fn kernels(&self) -> JsValue {
        events::to_js(&self.driver.kernels())
    }
}
