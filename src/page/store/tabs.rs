//! Other elements of the same project, in this tab or another: what they hear.

use std::cell::RefCell;
use std::sync::Arc;

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
    /// The server refused these to it, with its reasons.
    Refused(Vec<(RecordId, Arc<str>)>),
    /// The person wants these refused ones sent once more.
    Retried(Vec<RecordId>),
    /// The person gave these refused ones up.
    Discarded(Vec<RecordId>),
}

const COMMITTED: &str = "committed";
const SENT: &str = "sent";
const REFUSED: &str = "refused";
const RETRIED: &str = "retried";
const DISCARDED: &str = "discarded";

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
        self.post_ids(SENT, records);
    }

    /// Tells the others what the server does not want.
    pub fn refused(&self, refused: &[(RecordId, Arc<str>)]) {
        // A line each.
        let lines: Vec<_> = refused
            .iter()
            .map(|(id, why)| [&*id.to_string(), " ", &why.replace('\n', " ")].concat())
            .collect();
        self.post(REFUSED, lines.iter().map(String::as_str));
    }

    /// Tells the others what the person wants sent once more: one of them may be the one that sends.
    pub fn retried(&self, records: &[RecordId]) {
        self.post_ids(RETRIED, records);
    }

    /// Tells the others what the person gave up.
    pub fn discarded(&self, records: &[RecordId]) {
        self.post_ids(DISCARDED, records);
    }

    fn post_ids(&self, what: &str, records: &[RecordId]) {
        let ids: Vec<_> = records.iter().map(ToString::to_string).collect();
        self.post(what, ids.iter().map(String::as_str));
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
    let ids = |lines: std::str::Lines<'_>| lines.filter_map(|line| line.parse().ok()).collect();
    match what {
        COMMITTED => {
            let records = lines.filter_map(|line| Record::parse(line).ok());
            Some(OtherTab::Committed(records.map(|record| from_record(&record)).collect()))
        }
        SENT => Some(OtherTab::Sent(ids(lines))),
        RETRIED => Some(OtherTab::Retried(ids(lines))),
        DISCARDED => Some(OtherTab::Discarded(ids(lines))),
        REFUSED => {
            let refused = lines.filter_map(|line| {
                let (id, why) = line.split_once(' ')?;
                Some((id.parse().ok()?, why.into()))
            });
            Some(OtherTab::Refused(refused.collect()))
        }
        _ => None,
    }
}
