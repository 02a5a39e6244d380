//! What the host page is told: one `hitl-*` event a milestone, with a typed `detail` (`www/element.d.ts`).

use serde_json::{Value, json};
use wasm_bindgen::JsValue;
use web_sys::{CustomEvent, CustomEventInit, EventTarget};

use crate::domain::item::ItemKey;
use crate::domain::policy::{Outcome, Reason};
use crate::domain::session::{Milestone, Session};
use crate::wire::correction::to_record;
use crate::wire::record::Record;

/// What the host page is told of a milestone at once: the event's name and its detail.
#[must_use]
pub fn told(milestone: &Milestone, session: &Session) -> Option<(&'static str, Value)> {
    Some(match milestone {
        Milestone::Progressed => return None,
        Milestone::Ready => ("hitl-ready", json!({ "model": session.has_model() })),
        Milestone::Predicted(items) => ("hitl-predicted", predictions(items, session)),
        Milestone::Accepted(items) => ("hitl-accepted", predictions(items, session)),
        Milestone::Deferred(items) => ("hitl-deferred", deferrals(items, session)),
        Milestone::Corrected(id, durable) => {
            let record = session.record(*id).map(|correction| to_json(&to_record(correction)));
            ("hitl-corrected", json!({ "record": record, "durable": durable }))
        }
        Milestone::Delivered(ids) => {
            let ids: Vec<_> = ids.iter().map(ToString::to_string).collect();
            ("hitl-delivered", json!({ "ids": ids }))
        }
        Milestone::Refused(ids) => {
            let why = |id| session.refusal(id).map(ToString::to_string);
            let problems: Vec<_> =
                ids.iter().map(|id| json!({ "id": id.to_string(), "why": why(*id) })).collect();
            (
                "hitl-error",
                json!({ "code": "refused", "message": "the server refused records", "records": problems }),
            )
        }
        Milestone::SetAside(aside) => {
            let message = aside.reason.to_string();
            ("hitl-error", json!({ "code": "item", "message": message, "item_id": &*aside.id }))
        }
        Milestone::WorkersFailed => (
            "hitl-error",
            json!({ "code": "workers", "message": "no worker could be brought up; everything goes to the person" }),
        ),
        Milestone::Done => {
            let progress = session.progress();
            let counts = json!({ "arrived": progress.arrived, "accepted": progress.accepted,
                "answered": progress.answered, "aside": progress.aside });
            ("hitl-done", counts)
        }
    })
}

fn to_json(record: &Record) -> Value {
    // By way of its line: a second serialiser for this alone would be a great part of this module.
    serde_json::from_slice(record.to_string().as_bytes()).unwrap_or_default()
}

fn predictions(items: &[ItemKey], session: &Session) -> Value {
    let each = items.iter().filter_map(|key| {
        let (item, said) = (session.item(*key)?, session.prediction(*key)?);
        let top: Vec<_> = said.top.iter().map(|(label, p)| json!({ "label": &**label, "p": p })).collect();
        Some(
            json!({ "item_id": &*item.id, "label": &*said.label, "confidence": said.confidence, "top": top }),
        )
    });
    json!({ "items": each.collect::<Vec<_>>() })
}

fn deferrals(items: &[ItemKey], session: &Session) -> Value {
    let each = items.iter().filter_map(|key| {
        let item = session.item(*key)?;
        let (outcome, reasons) = session.decision(*key).unwrap_or((Outcome::Defer, Vec::new()));
        // Not told apart here, or a page that shows its events would unblind the check.
        let blind = session.policy().has_audits();
        let reasons = if blind || outcome == Outcome::Audit { Vec::new() } else { reasons };
        let reasons: Vec<_> = reasons.into_iter().map(reason).collect();
        Some(json!({ "item_id": &*item.id, "reasons": reasons }))
    });
    json!({ "items": each.collect::<Vec<_>>() })
}

fn reason(reason: Reason) -> Value {
    json!({ "rule": reason.rule, "says": reason.says, "result": reason.held })
}

/// Tells it: the event bubbles and leaves the shadow root.
pub fn dispatch(host: &EventTarget, name: &str, detail: &Value) {
    let init = CustomEventInit::new();
    init.set_bubbles(true);
    init.set_composed(true);
    init.set_detail(&to_js(detail));
    if let Ok(event) = CustomEvent::new_with_event_init_dict(name, &init) {
        let _ = host.dispatch_event(&event);
    }
}

/// JSON as plain JavaScript objects.
#[must_use]
pub fn to_js(value: &Value) -> JsValue {
    js_sys::JSON::parse(&serde_json::to_string(value).unwrap_or_default()).unwrap_or(JsValue::NULL)
}
