//! Which key does what: one press answers.

use web_sys::KeyboardEvent;

use super::text::lower;
use crate::domain::label::{LabelId, LabelSet};

/// What a key can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Deed {
    /// Answers with a label.
    Answer(LabelId),
    /// Answers with the label that the model suggests, if that is shown.
    AnswerSuggested,
    /// Takes back the last step.
    Undo,
    /// Puts the question off to the end.
    Skip,
    /// Marks the question, or takes the mark back.
    Flag,
    /// Goes to the remark field.
    Note,
    /// Shows the picture large, or not any more.
    Zoom,
    /// Shows the keys, or not any more.
    Help,
    /// Leaves whatever is open.
    Close,
}

/// Keys for the deeds, as `KeyboardEvent.key` names them, letters in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyMap {
    /// Whether single keys act at all (WCAG 2.1.4: they can be switched off).
    pub enabled: bool,
    bindings: Vec<(Deed, String)>,
}

/// Why a key cannot be given to a deed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyTaken {
    /// Another deed has it.
    #[error("the key is in use")]
    By(Deed),
}

/// Whether an input method has the key; Safari says so of the Enter that ends a composition by its code alone.
#[must_use]
pub fn composing(event: &KeyboardEvent) -> bool {
    event.is_composing() || event.key_code() == 229
}

/// Whether the press belongs to an input method or, with another key, to the browser.
#[must_use]
pub fn is_foreign(event: &KeyboardEvent) -> bool {
    composing(event) || event.ctrl_key() || event.meta_key() || event.alt_key()
}

/// Keys that labels get in turn: digits, then the letters that no other deed has, in reading order.
const LABEL_KEYS: &str = "1234567890qwertyuiopadghjklxcvbm";

impl KeyMap {
    /// The keys as they come, for so many labels; labels beyond the keys have none.
    #[must_use]
    pub fn standard(labels: usize) -> Self {
        let fixed = [
            (Deed::AnswerSuggested, "Enter"),
            (Deed::Undo, "Backspace"),
            (Deed::Skip, "s"),
            (Deed::Flag, "f"),
            (Deed::Note, "n"),
            (Deed::Zoom, "z"),
            (Deed::Help, "?"),
            (Deed::Close, "Escape"),
        ];
        #[allow(clippy::cast_possible_truncation)]
        let labels = (0..labels).zip(LABEL_KEYS.chars());
        #[allow(clippy::cast_possible_truncation)]
        let labels = labels.map(|(i, key)| (Deed::Answer(LabelId(i as u16)), key.to_string()));
        let fixed = fixed.into_iter().map(|(deed, key)| (deed, key.to_owned()));
        Self { enabled: true, bindings: labels.chain(fixed).collect() }
    }

    /// The key of a deed.
    #[must_use]
    pub fn key(&self, deed: Deed) -> Option<&str> {
        self.bindings.iter().find(|(own, _)| *own == deed).map(|(_, key)| key.as_str())
    }

    /// The deed of a key.
    #[must_use]
    pub fn deed(&self, key: &str) -> Option<Deed> {
        let key = if key.chars().count() == 1 { lower(key) } else { key.to_owned() };
        self.bindings.iter().find(|(_, own)| *own == key).map(|(deed, _)| *deed)
    }

    /// Gives `key` to `deed`, in place of the one it has.
    ///
    /// # Errors
    /// [`KeyTaken`] when another deed has the key.
    pub fn bind(&mut self, deed: Deed, key: &str) -> Result<(), KeyTaken> {
        match self.deed(key) {
            Some(other) if other != deed => Err(KeyTaken::By(other)),
            _ => {
                let key = if key.chars().count() == 1 { lower(key) } else { key.to_owned() };
                self.bindings.retain(|(own, _)| *own != deed);
                self.bindings.push((deed, key));
                Ok(())
            }
        }
    }
}

impl Deed {
    /// Under which name its key is kept: a label's own, wherever it stands in the list of another day.
    fn name(self, labels: &LabelSet) -> String {
        match self {
            Deed::Answer(label) => {
                labels.get(label).map_or_else(String::new, |label| ["label ", &label.id].concat())
            }
            Deed::AnswerSuggested => "accept".into(),
            Deed::Undo => "undo".into(),
            Deed::Skip => "skip".into(),
            Deed::Flag => "flag".into(),
            Deed::Note => "note".into(),
            Deed::Zoom => "zoom".into(),
            Deed::Help => "help".into(),
            Deed::Close => "close".into(),
        }
    }
}

/// What the person chose, kept in this browser between visits.
impl KeyMap {
    /// What differs from the `usual` keys, as a text for [`KeyMap::apply`].
    #[must_use]
    pub fn to_text(&self, usual: &Self, labels: &LabelSet) -> String {
        let mut text = String::new();
        if self.enabled != usual.enabled {
            text.push_str(if self.enabled { "on" } else { "off" });
        }
        for (deed, key) in &self.bindings {
            if usual.key(*deed) != Some(key) {
                text.extend(["\n", &deed.name(labels), "\t", key]);
            }
        }
        text
    }

    /// Takes over the keys of a text; what does not fit the deeds of today stays as it is.
    pub fn apply(&mut self, text: &str, labels: &LabelSet) {
        let mut lines = text.split('\n');
        match lines.next() {
            Some("on") => self.enabled = true,
            Some("off") => self.enabled = false,
            _ => {}
        }
        let wanted: Vec<(&str, &str)> = lines.filter_map(|line| line.split_once('\t')).collect();
        let deeds: Vec<_> = self.bindings.iter().map(|(deed, _)| *deed).collect();
        let wanted: Vec<_> = deeds
            .into_iter()
            .filter_map(|deed| {
                let name = deed.name(labels);
                wanted.iter().find(|(own, _)| *own == name).map(|(_, key)| (deed, *key))
            })
            .collect();
        for (deed, _) in &wanted {
            self.unbind(*deed);
        }
        let standard = std::mem::take(&mut self.bindings);
        for (deed, key) in wanted {
            // A text that somebody mangled cannot give one key to two deeds.
            let _ = self.bind(deed, key);
        }
        for (deed, key) in standard {
            let _ = self.bind(deed, &key);
        }
    }

    /// Gives labels that were added their standard keys, as far as these are free.
    pub fn grow(&mut self, labels: usize) {
        let standard = Self::standard(labels);
        for (deed, key) in standard.bindings {
            if matches!(deed, Deed::Answer(_)) && self.key(deed).is_none() {
                // Without a free key it is answered by pointer, and can be given a key in the list of keys.
                let _ = self.bind(deed, &key);
            }
        }
    }

    /// Takes the key from a deed.
    pub fn unbind(&mut self, deed: Deed) {
        self.bindings.retain(|(own, _)| *own != deed);
    }
}

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::domain::label::Label;

    #[test]
    fn no_key_has_two_meanings() {
        let keys = KeyMap::standard(32);
        let mut all: Vec<_> = keys.bindings.iter().map(|(_, key)| key).collect();
        all.sort();
        let count = all.len();
        all.dedup();
        assert_eq!(all.len(), count);
        assert_eq!(keys.deed("1"), Some(Deed::Answer(LabelId(0))));
        assert_eq!(keys.deed("S"), Some(Deed::Skip));
    }

    fn labels(ids: &[&str]) -> LabelSet {
        let label = |id: &&str| Label { id: (*id).into(), name: (*id).into() };
        LabelSet::new(ids.iter().map(label).collect()).unwrap_or_default()
    }

    #[test]
    fn chosen_keys_survive_a_visit() {
        let usual = KeyMap::standard(3);
        let mut chosen = usual.clone();
        chosen.enabled = false;
        assert_eq!(chosen.bind(Deed::Skip, " "), Ok(()));
        let text = chosen.to_text(&usual, &labels(&["a", "b", "c"]));
        let mut later = KeyMap::standard(4);
        later.apply(&text, &labels(&["a", "b", "c", "d"]));
        assert!(!later.enabled);
        assert_eq!((later.key(Deed::Skip), later.deed("s")), (Some(" "), None));
        assert_eq!(later.key(Deed::Answer(LabelId(3))), Some("4"), "a label that came since has its own");
    }

    #[test]
    fn a_chosen_key_stays_with_its_label_when_the_list_is_put_in_another_order() {
        let usual = KeyMap::standard(2);
        let mut chosen = usual.clone();
        assert_eq!(chosen.bind(Deed::Answer(LabelId(0)), "y"), Ok(()));
        let text = chosen.to_text(&usual, &labels(&["yes", "no"]));
        let mut later = KeyMap::standard(2);
        later.apply(&text, &labels(&["no", "yes"]));
        assert_eq!(later.deed("y"), Some(Deed::Answer(LabelId(1))));
    }

    #[test]
    fn what_the_person_left_alone_stays_as_the_page_has_it() {
        let usual = KeyMap::standard(2);
        let mut chosen = usual.clone();
        chosen.enabled = false;
        let text = chosen.to_text(&usual, &labels(&["yes", "no"]));
        let mut arrows = KeyMap::standard(2);
        assert_eq!(arrows.bind(Deed::Answer(LabelId(0)), "ArrowRight"), Ok(()));
        arrows.apply(&text, &labels(&["yes", "no"]));
        assert_eq!((arrows.enabled, arrows.key(Deed::Answer(LabelId(0)))), (false, Some("ArrowRight")));
        assert_eq!(usual.to_text(&usual, &labels(&["yes", "no"])), "");
    }

    #[test]
    fn a_key_can_be_moved_but_not_taken_away_from_another() {
        let mut keys = KeyMap::standard(10);
        assert_eq!(keys.bind(Deed::Skip, "1"), Err(KeyTaken::By(Deed::Answer(LabelId(0)))));
        assert_eq!(keys.bind(Deed::Skip, " "), Ok(()));
        assert_eq!((keys.deed(" "), keys.deed("s")), (Some(Deed::Skip), None));
    }
}
