//! The domain's [`Correction`] and its [`Record`]: one becomes the other without loss.

use std::sync::Arc;

use serde_json::Value as Json;

use super::moment::Moment;
use super::record::{self, Record};
use crate::domain::correction::{Correction, Kind, ModelName, PredictionSaid, PredictionShown, Role};
use crate::domain::decimal::shortest;
use crate::domain::ident::{RecordId, Timestamp};
use crate::domain::policy::{Outcome, Reason};
use crate::domain::value::Value;
use crate::reader::decimal;

macro_rules! same_words {
    ($ours:ident, $to:ident, $from:ident: $($variant:ident = $theirs:ident),+) => {
        fn $to(ours: $ours) -> record::$ours {
            match ours { $($ours::$variant => record::$ours::$theirs),+ }
        }
        pub(super) fn $from(theirs: record::$ours) -> $ours {
            match theirs { $(record::$ours::$theirs => $ours::$variant),+ }
        }
    };
}
same_words!(Kind, to_kind, from_kind: Correction = Correction, Accepted = Accepted, Undo = Undo);
same_words!(Role, to_role, from_role: Deferred = Deferred, Audit = Audit, Review = Review, Manual = Manual);
same_words!(PredictionShown, to_shown, from_shown: Hidden = Hidden, Shown = Shown, After = After);

/// The record of a correction.
#[must_use]
pub fn to_record(correction: &Correction) -> Record {
    let (outcome, reasons) = correction.policy.clone().unwrap_or((Outcome::Defer, Vec::new()));
    Record {
        schema: record::Schema,
        id: correction.id.0,
        item_id: correction.item_id.to_string(),
        kind: to_kind(correction.kind),
        role: to_role(correction.role),
        answer: correction.answer.as_ref().map(|label| record::Answer { label: label.to_string() }),
        supersedes: correction.supersedes.map(|id| id.0),
        prediction: correction.prediction.as_ref().map(to_prediction),
        policy: record::Policy {
            decision: match outcome {
                Outcome::Accept => record::Decision::Accept,
                Outcome::Defer => record::Decision::Defer,
                Outcome::Audit => record::Decision::Audit,
            },
            reasons: reasons.into_iter().map(to_reason).collect(),
        },
        prediction_shown: to_shown(correction.prediction_shown),
        annotator: correction.annotator.as_ref().map(ToString::to_string),
        session: correction.session.to_string(),
        shown_at: correction.shown_at.map(to_moment),
        answered_at: to_moment(correction.answered_at),
        seconds: correction.shown_at.map(|_| correction.seconds),
        skipped_before: correction.skipped_before,
        flagged: correction.flagged,
        note: correction.note.as_ref().map(ToString::to_string),
        meta: match &*correction.meta {
            Value::Null => None,
            meta => Some(to_json(meta)),
        },
    }
}

/// The correction of a record.
#[must_use]
pub fn from_record(record: &Record) -> Correction {
    let outcome = match record.policy.decision {
        record::Decision::Accept => Outcome::Accept,
        record::Decision::Defer => Outcome::Defer,
        record::Decision::Audit => Outcome::Audit,
    };
    let reasons: Vec<_> = record.policy.reasons.iter().map(from_reason).collect();
    // An undo decides nothing; it is written as a deferral without reasons.
    let decided = !(record.kind == record::Kind::Undo && reasons.is_empty());
    Correction {
        id: RecordId(record.id),
        item_id: record.item_id.as_str().into(),
        kind: from_kind(record.kind),
        role: from_role(record.role),
        answer: record.answer.as_ref().map(|answer| answer.label.as_str().into()),
        supersedes: record.supersedes.map(RecordId),
        prediction: record.prediction.as_ref().map(from_prediction),
        policy: decided.then_some((outcome, reasons)),
        prediction_shown: from_shown(record.prediction_shown),
        annotator: record.annotator.as_deref().map(Arc::from),
        session: record.session.as_str().into(),
        shown_at: record.shown_at.map(from_moment),
        answered_at: from_moment(record.answered_at),
        seconds: record.seconds.unwrap_or(0.0),
        skipped_before: record.skipped_before,
        flagged: record.flagged,
        note: record.note.as_deref().map(Arc::from),
        meta: Arc::new(record.meta.as_ref().map_or(Value::Null, from_json)),
    }
}

pub(super) fn to_moment(at: Timestamp) -> Moment {
    Moment::from_epoch_ms(u64::try_from(at.0).unwrap_or(0))
}

pub(super) fn from_moment(moment: Moment) -> Timestamp {
    Timestamp(i64::try_from(moment.epoch_ms()).unwrap_or(i64::MAX))
}

fn to_reason(reason: Reason) -> record::Reason {
    record::Reason { rule: reason.rule, says: reason.says, result: reason.held }
}

fn from_reason(reason: &record::Reason) -> Reason {
    Reason { rule: reason.rule.clone(), says: reason.says.clone(), held: reason.result }
}

/// The shortest decimal of the f32, so that 0.9 is written as 0.9 and not as 0.8999999761581421.
fn widened(p: f32) -> f64 {
    decimal(&shortest(p)).unwrap_or(f64::from(p))
}

#[allow(clippy::cast_possible_truncation)]
fn narrowed(p: f64) -> f32 {
    p as f32
}

fn to_prediction(said: &PredictionSaid) -> record::Prediction {
    record::Prediction {
        label: said.label.to_string(),
        confidence: widened(said.confidence),
        confidence_raw: widened(said.confidence_raw),
        margin: widened(said.margin),
        entropy: widened(said.entropy),
        top: said
            .top
            .iter()
            .map(|(label, p)| record::Candidate { label: label.to_string(), p: widened(*p) })
            .collect(),
        model: record::ModelName {
            name: said.model.name.to_string(),
            version: said.model.version.to_string(),
            sha256: said.model.sha256.to_string(),
        },
        head_version: (said.head_version > 0).then(|| said.head_version.to_string()),
    }
}

fn from_prediction(said: &record::Prediction) -> PredictionSaid {
    PredictionSaid {
        label: said.label.as_str().into(),
        confidence: narrowed(said.confidence),
        confidence_raw: narrowed(said.confidence_raw),
        margin: narrowed(said.margin),
        entropy: narrowed(said.entropy),
        top: said.top.iter().map(|each| (each.label.as_str().into(), narrowed(each.p))).collect(),
        model: ModelName {
            name: said.model.name.as_str().into(),
            version: said.model.version.as_str().into(),
            sha256: said.model.sha256.as_str().into(),
        },
        head_version: said.head_version.as_ref().and_then(|version| version.parse().ok()).unwrap_or(0),
    }
}

/// A free-form value as JSON.
#[must_use]
pub fn to_json(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Boolean(b) => Json::Bool(*b),
        Value::Integer(n) => serde_json::Number::from_i128(*n).map_or(Json::Null, Json::Number),
        Value::Number(n) => Json::from(*n),
        Value::Text(text) => Json::from(text.as_str()),
        Value::List(values) => values.iter().map(to_json).collect(),
        Value::Object(fields) => {
            // Put in one by one: `collect` brings a sort along.
            let mut object = serde_json::Map::new();
            object.extend(fields.iter().map(|(key, value)| (key.clone(), to_json(value))));
            Json::Object(object)
        }
    }
}

/// JSON as a free-form value.
#[must_use]
pub fn from_json(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(b) => Value::Boolean(*b),
        Json::Number(n) => {
            n.as_i128().map_or_else(|| Value::Number(n.as_f64().unwrap_or(0.0)), Value::Integer)
        }
        Json::String(text) => Value::Text(text.clone()),
        Json::Array(values) => Value::List(values.iter().map(from_json).collect()),
        Json::Object(fields) => {
            Value::Object(fields.iter().map(|(key, value)| (key.clone(), from_json(value))).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_golden_record_survives_the_way_through_the_domain() {
        let mut seen = 0;
        for entry in std::fs::read_dir("tests/fixtures").unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if !name.starts_with("record.v1.") || !name.ends_with(".json") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let record = Record::parse(&text).unwrap();
            let back = to_record(&from_record(&record));
            assert_eq!(from_record(&back), from_record(&record), "{name}");
            seen += 1;
        }
        assert!(seen > 0, "there are golden records");
    }

    #[test]
    fn long_numbers_come_back_as_they_were() {
        for text in
            ["9223372036854775807", "9223372036854775808", "18446744073709551615", "-9223372036854775808"]
        {
            let json: Json = serde_json::from_str(text).unwrap();
            assert_eq!(to_json(&from_json(&json)).to_string(), text);
        }
    }

    #[test]
    fn confidences_are_written_short() {
        assert_eq!(widened(0.9).to_string(), "0.9");
        assert_eq!(narrowed(widened(0.123_456_79)), 0.123_456_79);
    }
}
