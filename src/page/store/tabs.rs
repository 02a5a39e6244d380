//! Other elements of the same project, in this tab or another: what they hear.

use std::cell::RefCell;

use wasm_bindgen::prelude::*;
use web_sys::{BroadcastChannel, MessageEvent};

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
