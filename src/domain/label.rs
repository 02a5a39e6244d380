//! The closed set of answers.

use std::collections::HashMap;
use std::sync::Arc;

/// Position of a label in its [`LabelSet`], which is also its position in the model's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LabelId(pub u16);

/// One possible answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// What records say; stable across renamings.
    pub id: Arc<str>,
    /// What the person reads.
    pub name: Arc<str>,
}

/// Why a list of labels is not a label set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LabelSetError {
    /// Two labels bear one id: records could not tell them apart.
    #[error("the label id {0:?} stands twice; give each label an id of its own")]
    Duplicate(Arc<str>),
    /// More labels than a [`LabelId`] can number.
    #[error("{0} labels are more than the 65,535 that a label set can hold")]
    TooMany(usize),
}

/// All possible answers, in the model's order. Invariant: ids are unique.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelSet {
    labels: Arc<[Label]>,
    by_id: Arc<HashMap<Arc<str>, LabelId>>,
}

impl LabelSet {
    /// A set from labels in the model's order.
    ///
    /// # Errors
    /// [`LabelSetError`] when two ids are equal or there are too many.
    pub fn new(labels: Vec<Label>) -> Result<Self, LabelSetError> {
        let mut by_id = HashMap::with_capacity(labels.len());
        for (i, label) in labels.iter().enumerate() {
            let id = u16::try_from(i).map(LabelId).map_err(|_| LabelSetError::TooMany(labels.len()))?;
            if by_id.insert(label.id.clone(), id).is_some() {
                return Err(LabelSetError::Duplicate(label.id.clone()));
            }
        }
        Ok(Self { labels: labels.into(), by_id: Arc::new(by_id) })
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// All labels with their position.
    pub fn iter(&self) -> impl Iterator<Item = (LabelId, &Label)> {
        #[allow(clippy::cast_possible_truncation)]
        self.labels.iter().enumerate().map(|(i, label)| (LabelId(i as u16), label))
    }

    /// The label at a position.
    #[must_use]
    pub fn get(&self, id: LabelId) -> Option<&Label> {
        self.labels.get(usize::from(id.0))
    }

    /// The position of the label that records call `id`.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<LabelId> {
        self.by_id.get(id).copied()
    }
}
