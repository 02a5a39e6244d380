//! Which key does what: one press answers.

use crate::domain::label::LabelId;

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
        let key = if key.chars().count() == 1 { key.to_lowercase() } else { key.to_owned() };
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
                let key = if key.chars().count() == 1 { key.to_lowercase() } else { key.to_owned() };
                self.bindings.retain(|(own, _)| *own != deed);
                self.bindings.push((deed, key));
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn a_key_can_be_moved_but_not_taken_away_from_another() {
        let mut keys = KeyMap::standard(10);
        assert_eq!(keys.bind(Deed::Skip, "1"), Err(KeyTaken::By(Deed::Answer(LabelId(0)))));
        assert_eq!(keys.bind(Deed::Skip, " "), Ok(()));
        assert_eq!((keys.deed(" "), keys.deed("s")), (Some(Deed::Skip), None));
    }
}
