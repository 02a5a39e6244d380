//! The policy as it is written: label names stand for labels that only the manifest knows.

use std::sync::Arc;

use serde_json::Value as Json;

use crate::domain::label::{LabelId, LabelSet};
use crate::domain::policy::{Bound, Condition, MOST_CONDITIONS, MetaTest, NOTHING, Policy};
use crate::domain::promise::{Looks, Target};
use crate::domain::session::TargetRules;
use crate::reader::{Node, Problem, Problems};
use crate::wire::correction::from_json;
use crate::wire::manifest::optional;

/// The largest whole number that JavaScript and every JSON reader keep exactly.
pub(super) const MAX_SEED: i64 = (1 << 53) - 1;

/// A label by its id, with the place where it is named.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Named {
    pub(super) id: Arc<str>,
    path: String,
}

impl Named {
    pub(super) fn new(id: &str, path: &str) -> Self {
        Self { id: id.into(), path: path.to_owned() }
    }

    /// The label, or a problem that lists what there is.
    pub(super) fn find(&self, labels: &LabelSet, problems: &mut Vec<Problem>) -> Option<LabelId> {
        let found = labels.find(&self.id);
        if found.is_none() {
            let ids: Vec<_> = labels.iter().take(12).map(|(_, label)| &*label.id).collect();
            let more =
                if labels.len() > ids.len() { format!(", … ({} in all)", labels.len()) } else { "".into() };
            problems.push(Problem {
                path: self.path.clone(),
                found: format!("the label {:?}", self.id.chars().take(60).collect::<String>()),
                expected: format!("the id of a label: {}{more}", ids.join(", ")),
            });
        }
        found
    }
}

/// A policy with label names.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct WrittenPolicy {
    pub(super) accept_at: Option<f32>,
    per_label: Vec<(Named, f32)>,
    defer_when: Option<Written>,
    audit_when: Option<Written>,
    pub(super) target: Option<TargetRules>,
}

/// A condition with label names.
#[derive(Clone, Debug, PartialEq)]
enum Written {
    Any(Vec<Written>),
    All(Vec<Written>),
    LabelIn(Vec<Named>),
    Plain(Condition),
}

impl WrittenPolicy {
    /// The policy for these labels.
    pub(super) fn resolve(&self, labels: &LabelSet) -> Result<Policy, Problems> {
        let mut problems = Vec::new();
        let accept_at_label = self
            .per_label
            .iter()
            .filter_map(|(label, threshold)| Some((label.find(labels, &mut problems)?, *threshold)))
            .collect();
        let mut condition =
            |written: &Option<Written>| written.as_ref().map(|w| w.resolve(labels, &mut problems));
        let (defer_when, audit_when) = (condition(&self.defer_when), condition(&self.audit_when));
        // Under a target nothing is accepted before the promise is earned.
        let standard = if self.target.is_some() { NOTHING } else { Policy::default().accept_at };
        let accept_at = self.accept_at.unwrap_or(standard);
        let blind = self.target.as_ref().map(|target| target.sampling(false));
        match problems.is_empty() {
            true => Ok(Policy { accept_at, accept_at_label, defer_when, audit_when, blind }),
            false => Err(Problems(problems)),
        }
    }
}

impl Written {
    fn resolve(&self, labels: &LabelSet, problems: &mut Vec<Problem>) -> Condition {
        let mut each = |parts: &[Written]| parts.iter().map(|part| part.resolve(labels, problems)).collect();
        match self {
            Written::Any(parts) => Condition::Any(each(parts)),
            Written::All(parts) => Condition::All(each(parts)),
            Written::LabelIn(names) => {
                Condition::LabelIn(names.iter().filter_map(|name| name.find(labels, problems)).collect())
            }
            Written::Plain(condition) => condition.clone(),
        }
    }

    fn count(&self) -> usize {
        match self {
            Written::Any(parts) | Written::All(parts) => 1 + parts.iter().map(Written::count).sum::<usize>(),
            _ => 1,
        }
    }
}

pub(super) fn policy(node: &Node<'_>) -> Option<WrittenPolicy> {
    let fields = node.object(&["accept_at", "per_label", "defer_when", "audit_when", "target"])?;
    let accept_at = optional(&fields, "accept_at", |node| share(&node));
    let per_label = optional(&fields, "per_label", |node| {
        let each: Vec<_> = node
            .open_object()?
            .each()
            .map(|(label, node)| Some((Named::new(label, node.path()), share(&node)?)))
            .collect();
        each.into_iter().collect::<Option<Vec<_>>>()
    });
    let defer_when = optional(&fields, "defer_when", |node| condition(&node));
    let audit_when = optional(&fields, "audit_when", |node| condition(&node));
    let target = optional(&fields, "target", |node| target(&node));
    for other in ["accept_at", "per_label", "audit_when"] {
        // One or the other finds the threshold and the checks.
        if fields.optional("target").is_some()
            && let Some(node) = fields.optional(other)
        {
            let _: Option<()> = node.report(
                format!("{other} beside target"),
                "one of them: a target finds thresholds and checks by itself",
            );
        }
    }
    let (defer_when, audit_when) = (defer_when?, audit_when?);
    let count: usize = defer_when.iter().chain(&audit_when).map(Written::count).sum();
    // One place of the domain's sixty-four is the threshold's.
    let most = MOST_CONDITIONS - 1;
    if count > most {
        let expected = format!("at most {most} in defer_when and audit_when together");
        return node.report(format!("{count} conditions"), expected);
    }
    Some(WrittenPolicy {
        accept_at: accept_at?,
        per_label: per_label?.unwrap_or_default(),
        defer_when,
        audit_when,
        target: target?,
    })
}

/// At which moments a promise holds, as it is written.
const LOOKS: [(&str, Looks); 2] = [("fixed", Looks::Fixed), ("any", Looks::Any)];

/// `0.95`, or an object of accuracy and how it is checked.
fn target(node: &Node<'_>) -> Option<TargetRules> {
    let accuracy = |node: &Node<'_>| node.number(0.5..=0.999);
    if node.value().is_number() {
        return Some(TargetRules::usual(accuracy(node)?));
    }
    if !node.value().is_object() {
        return node.wrong("a number from 0.5 to 0.999, or an object with such an accuracy");
    }
    let fields =
        node.object(&["accuracy", "confidence", "audits", "monitor", "seed", "per_label", "looks"])?;
    let accuracy = fields.required("accuracy").and_then(|node| accuracy(&node));
    let mut rules = TargetRules::usual(accuracy.unwrap_or(Target::default().accuracy));
    fields.fill("confidence", &mut rules.target.confidence, |node| node.number(0.5..=0.999));
    fields.fill("audits", &mut rules.audit_share, |node| node.number(0.01..=1.0));
    rules.monitor_share = rules.monitor_share.min(rules.audit_share);
    if let Some(node) = fields.optional("monitor") {
        rules.monitor_share = node.number(0.0..=rules.audit_share).unwrap_or(rules.monitor_share);
    }
    fields.fill("seed", &mut rules.seed, seed);
    fields.fill("per_label", &mut rules.per_label, |node| node.boolean());
    fields.fill("looks", &mut rules.looks, |node| node.choice(&LOOKS));
    accuracy.map(|_| rules)
}

const CONDITIONS: [&str; 11] = [
    "any",
    "all",
    "confidence_below",
    "confidence_at_least",
    "margin_below",
    "margin_at_least",
    "entropy_below",
    "entropy_at_least",
    "label_in",
    "meta",
    "sample",
];

fn condition(node: &Node<'_>) -> Option<Written> {
    let (key, value) = one_of(node, &CONDITIONS)?;
    let plain = |condition| Some(Written::Plain(condition));
    match key {
        "any" => parts(&value).map(Written::Any),
        "all" => parts(&value).map(Written::All),
        "confidence_below" => plain(Condition::Confidence(Bound::Below(share(&value)?))),
        "confidence_at_least" => plain(Condition::Confidence(Bound::AtLeast(share(&value)?))),
        "margin_below" => plain(Condition::Margin(Bound::Below(share(&value)?))),
        "margin_at_least" => plain(Condition::Margin(Bound::AtLeast(share(&value)?))),
        "entropy_below" => plain(Condition::Entropy(Bound::Below(share(&value)?))),
        "entropy_at_least" => plain(Condition::Entropy(Bound::AtLeast(share(&value)?))),
        "label_in" => {
            let names = value.filled("labels")?;
            let names: Vec<_> =
                names.iter().map(|node| Some(Named::new(node.name()?, node.path()))).collect();
            Some(Written::LabelIn(names.into_iter().collect::<Option<_>>()?))
        }
        "meta" => meta(&value).and_then(plain),
        _ => sample(&value).and_then(plain),
    }
}

/// The one field of an object that must have exactly one of these.
fn one_of<'a>(node: &Node<'a>, known: &[&str]) -> Option<(&'a str, Node<'a>)> {
    let fields = node.object(known)?;
    let mut given = fields.each().filter(|(key, _)| known.contains(key));
    match (given.next(), given.next()) {
        (Some(only), None) => Some(only),
        // The unknown key is reported already.
        (None, _) if fields.each().next().is_some() => None,
        (None, _) => node.report("an empty object", format!("one of {}", known.join(", "))),
        (Some((a, _)), Some((b, _))) => node.report(
            format!("{a} beside {b}"),
            "one of them (`any` and `all` take a list of objects with one each)",
        ),
    }
}

fn parts(node: &Node<'_>) -> Option<Vec<Written>> {
    let parts: Vec<_> = node.filled("conditions")?.iter().map(condition).collect();
    parts.into_iter().collect()
}

fn meta(node: &Node<'_>) -> Option<Condition> {
    const TESTS: [&str; 5] = ["exists", "in", "equals", "below", "at_least"];
    let fields = node.object(&["path", "exists", "in", "equals", "below", "at_least"])?;
    let path = fields.required("path").and_then(|node| Some(node.name()?.to_owned()));
    let given: Vec<_> = fields.each().filter(|(key, _)| TESTS.contains(key)).collect();
    let [(key, value)] = given.as_slice() else {
        return node.report(
            if given.is_empty() { "no test".to_owned() } else { format!("{} tests", given.len()) },
            format!("one of {} beside path", TESTS.join(", ")),
        );
    };
    let any_number = f64::MIN..=f64::MAX;
    let test = match *key {
        "exists" => {
            value.boolean().and_then(|is| is.then_some(MetaTest::Exists).or_else(|| value.wrong("true")))
        }
        "in" => {
            let values: Vec<_> = value.filled("values")?.iter().map(scalar).collect();
            values.into_iter().collect::<Option<_>>().map(MetaTest::In)
        }
        "equals" => scalar(value).map(|value| MetaTest::In(vec![value])),
        "below" => value.number(any_number).map(MetaTest::Below),
        _ => value.number(any_number).map(MetaTest::AtLeast),
    };
    Some(Condition::Meta { path: path?, test: test? })
}

fn scalar(node: &Node<'_>) -> Option<crate::domain::value::Value> {
    match node.value() {
        Json::String(_) | Json::Number(_) | Json::Bool(_) => Some(from_json(node.value())),
        _ => node.wrong("a text, a number, true or false"),
    }
}

fn sample(node: &Node<'_>) -> Option<Condition> {
    let fields = node.object(&["percent", "seed"])?;
    let percent = fields.required("percent").and_then(|node| node.number(0.0..=100.0));
    let seed = optional(&fields, "seed", |node| seed(&node));
    Some(Condition::Sample { percent: percent?, seed: seed?.unwrap_or_default() })
}

pub(super) fn seed(node: &Node<'_>) -> Option<u64> {
    node.integer(0..=MAX_SEED).map(i64::unsigned_abs)
}

/// A number from 0 to 1.
fn share(node: &Node<'_>) -> Option<f32> {
    #[allow(clippy::cast_possible_truncation)]
    node.number(0.0..=1.0).map(|share| share as f32)
}
