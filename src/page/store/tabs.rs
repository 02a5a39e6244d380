//! Other elements of the same project, in this tab or another: what they hear, and who of them sends.

use std::cell::RefCell;

use js_sys::{Function, Object, Promise, Reflect};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{AbortController, BroadcastChannel, MessageEvent};

use crate::domain::correction::Correction;
use crate::domain::ident::RecordId;
use crate::wire::correction::from_record;
use crate::wire::record::Record;

/// What another element of the project did.
#[derive(Clone, Debug, PartialEq)]
pub enum OtherTab {
    /// It stored these.
    Committed(Vec<Correction>),
    /// It delivered these.
    Sent(Vec<RecordId>),
}

const COMMITTED: &str = "committed";
const SENT: &str = "sent";

/// The project's channel; dropping it ends the listening.
pub struct Channel {
    channel: BroadcastChannel,
    listener: RefCell<Option<Listener>>,
}

type Listener = Closure<dyn FnMut(MessageEvent)>;

impl Channel {
    /// `None` where the browser has none.
    pub fn open(name: &str) -> Option<Self> {
        Some(Self { channel: BroadcastChannel::new(name).ok()?, listener: RefCell::default() })
    }

    /// Tells the others of records, each as its JSON line.
    pub fn committed<'a>(&self, lines: impl Iterator<Item = &'a str>) {
        self.post(COMMITTED, lines);
    }

    /// Tells the others what the server has.
    pub fn sent(&self, records: &[RecordId]) {
        let ids: Vec<_> = records.iter().map(ToString::to_string).collect();
        self.post(SENT, ids.iter().map(String::as_str));
    }

    fn post<'a>(&self, what: &str, lines: impl Iterator<Item = &'a str>) {
        let mut text = what.to_owned();
        for line in lines {
            text.push('\n');
            text.push_str(line);
        }
        if text.len() > what.len() {
            // Fails only on a closed channel, and what nobody hears is read from the store later.
            let _ = self.channel.post_message(&JsValue::from_str(&text));
        }
    }

    /// Calls `hear` for everything that others tell; takes the place of an earlier listener.
    pub fn listen(&self, hear: impl Fn(OtherTab) + 'static) {
        let listener = Listener::new(move |event: MessageEvent| {
            if let Some(news) = event.data().as_string().and_then(|text| understood(&text)) {
                hear(news);
            }
        });
        self.channel.set_onmessage(Some(listener.as_ref().unchecked_ref()));
        self.listener.replace(Some(listener));
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.channel.set_onmessage(None);
        self.channel.close();
    }
}

/// Another version of this page may be open in the other tab: what it says and we cannot read is left out.
fn understood(text: &str) -> Option<OtherTab> {
    let (what, lines) = text.split_once('\n')?;
    let lines = lines.lines();
    match what {
        COMMITTED => {
            let records = lines.filter_map(|line| Record::parse(line).ok());
            Some(OtherTab::Committed(records.map(|record| from_record(&record)).collect()))
        }
        SENT => Some(OtherTab::Sent(lines.filter_map(|line| line.parse().ok()).collect())),
        _ => None,
    }
}

#[wasm_bindgen]
extern "C" {
    type LockManager;

    #[wasm_bindgen(method, catch)]
    fn request(
        this: &LockManager,
        name: &str,
        options: &Object,
        granted: &Function,
    ) -> Result<EndOfLock, JsValue>;

    /// The promise of `request`: settled when the lock is given back or refused.
    type EndOfLock;

    #[wasm_bindgen(method)]
    fn then(this: &EndOfLock, done: &Function, failed: &Function) -> JsValue;
}

/// The right to send, for as long as this lives.
#[must_use]
pub struct Lead {
    _claim: Option<Claim>,
}

/// A lock that is held or waited for; dropping it gives up either.
struct Claim {
    release: Function,
    wait: AbortController,
    _granted: Closure<dyn FnMut() -> Promise>,
}

impl Drop for Claim {
    fn drop(&mut self) {
        let _ = self.release.call0(&JsValue::NULL);
        self.wait.abort();
    }
}

impl Lead {
    /// Where there is nobody to share with.
    pub fn alone() -> Self {
        Self { _claim: None }
    }

    /// Resolves when the lock is ours. Where there are no locks (insecure context, opaque origin) it
    /// resolves at once: two senders cost requests, but the records' ids make doubles harmless.
    pub async fn take(name: &str) -> Self {
        let locks = web_sys::window()
            .and_then(|window| Reflect::get(&window.navigator(), &"locks".into()).ok())
            .filter(JsValue::is_object);
        let (Some(locks), Ok(wait)) = (locks, AbortController::new()) else { return Self::alone() };
        let mut resolve = None;
        let held = Promise::new(&mut |done, _| resolve = Some(done));
        let Some(release) = resolve.take() else { return Self::alone() };
        let ours = Promise::new(&mut |done, _| resolve = Some(done));
        let Some(is_ours) = resolve else { return Self::alone() };

        let granted = Closure::<dyn FnMut() -> Promise>::new({
            let is_ours = is_ours.clone();
            move || {
                let _ = is_ours.call0(&JsValue::NULL);
                held.clone()
            }
        });
        let options = Object::new();
        let _ = Reflect::set(&options, &"signal".into(), &wait.signal());
        let asked =
            locks.unchecked_ref::<LockManager>().request(name, &options, granted.as_ref().unchecked_ref());
        let Ok(end) = asked else { return Self::alone() };
        // Also when the browser refuses: then there is no lock to be had at all.
        end.then(&is_ours, &is_ours);
        let claim = Claim { release, wait, _granted: granted };
        let _ = JsFuture::from(ours).await;
        Self { _claim: Some(claim) }
    }
}
