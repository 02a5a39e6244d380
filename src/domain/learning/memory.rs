//! What the model gave for each item, kept small: a refit or a new head does not run the model again.

use std::collections::BTreeMap;

use super::super::item::ItemKey;

/// Rows a slab: memory grows by slabs, and what is kept is never copied to grow.
const SLAB_ROWS: usize = 256;

/// Rows of scores and features in contiguous slabs, up to a budget.
///
/// Features are 16-bit whole numbers with one f32 scale a row: an error of at most 1/65,534 of the row's
/// greatest number, so that a model written out with the head agrees with the page to 10⁻⁴ in probability (half
/// floats err up to thirty times more). Scores are kept as they are: a model without a head predicts the same bits.
///
/// What does not fit into the budget is not kept unless it must be. An item without a row keeps the prediction
/// that it has; it is not scored again by later heads.
#[derive(Debug)]
pub struct Memory {
    scores: usize,
    features: usize,
    budget: usize,
    rows: BTreeMap<ItemKey, Place>,
    /// Rows that are kept beyond the budget, because they must be.
    extra: usize,
    free: Vec<u32>,
    slabs: Vec<Slab>,
    stamp: u32,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    row: u32,
    /// Grows with each change, so that what was computed from a row can be known to be stale.
    stamp: u32,
    /// Kept because it must be, not because it fitted.
    extra: bool,
}

#[derive(Debug)]
struct Slab {
    scores: Vec<f32>,
    features: Vec<i16>,
    scale: Vec<f32>,
}

/// What is kept of one item.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row<'a> {
    /// The model's scores as it gave them.
    pub scores: &'a [f32],
    features: &'a [i16],
    scale: f32,
}

impl Row<'_> {
    /// The features, each within 1/65,534 of the greatest one's size, in place of what `into` held.
    pub fn features(&self, into: &mut Vec<f32>) {
        into.clear();
        into.extend(self.features.iter().map(|q| f32::from(*q) * self.scale));
    }
}

impl Memory {
    /// Room for rows of this many scores and features, `budget` bytes of them.
    #[must_use]
    pub fn new(scores: usize, features: usize, budget: usize) -> Self {
        Self {
            scores,
            features,
            budget,
            rows: BTreeMap::new(),
            extra: 0,
            free: Vec::new(),
            slabs: Vec::new(),
            stamp: 0,
        }
    }

    /// Bytes that one row takes, its place in the index included.
    #[must_use]
    pub fn row_bytes(&self) -> usize {
        self.scores * 4 + self.features * 2 + 4 + 16
    }

    /// Bytes that the kept rows take.
    #[must_use]
    pub fn used(&self) -> usize {
        self.rows.len() * self.row_bytes()
    }

    /// How many rows are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether none is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Keeps a row in place of the one that the item had. A new one that does not fit into the budget is kept
    /// only if it `must` be. Whether it is kept now. What must be kept takes no room from what comes later: whether
    /// another row fits does not depend on which items were answered.
    ///
    /// Numbers are finite; `scores` and `features` are of the memory's widths.
    pub fn keep(&mut self, key: ItemKey, scores: &[f32], features: &[f32], must: bool) -> bool {
        debug_assert!(scores.len() == self.scores && features.len() == self.features);
        let known = self.rows.get(&key).copied();
        let fits = (self.rows.len() - self.extra + 1) * self.row_bytes() <= self.budget;
        if known.is_none() && !must && !fits {
            return false;
        }
        let extra = known.map_or(!fits, |place| place.extra);
        self.extra += usize::from(known.is_none() && extra);
        let row = known.map_or_else(|| self.room(), |place| place.row);
        let (slab, at) = (row as usize / SLAB_ROWS, row as usize % SLAB_ROWS);
        let (width, features_width) = (self.scores, self.features);
        let slab = &mut self.slabs[slab];
        let (quantised, scale) = quantise(features);
        let own_scores = &mut slab.scores[at * width..(at + 1) * width];
        let own_features = &mut slab.features[at * features_width..(at + 1) * features_width];
        let same = known.is_some()
            && slab.scale[at].to_bits() == scale.to_bits()
            && own_features == quantised
            && own_scores.iter().zip(scores).all(|(a, b)| a.to_bits() == b.to_bits());
        if !same {
            own_scores.copy_from_slice(scores);
            own_features.copy_from_slice(&quantised);
            slab.scale[at] = scale;
            self.stamp += 1;
            self.rows.insert(key, Place { row, stamp: self.stamp, extra });
        }
        true
    }

    fn room(&mut self) -> u32 {
        if let Some(row) = self.free.pop() {
            return row;
        }
        let first = self.slabs.len() * SLAB_ROWS;
        self.slabs.push(Slab {
            scores: vec![0.0; SLAB_ROWS * self.scores],
            features: vec![0; SLAB_ROWS * self.features],
            scale: vec![0.0; SLAB_ROWS],
        });
        #[allow(clippy::cast_possible_truncation)]
        let rows = first as u32..(first + SLAB_ROWS) as u32;
        self.free.extend(rows.rev());
        self.free.pop().unwrap_or_default()
    }

    /// Says that a row need not be kept any more: it goes if it would not have been kept without that.
    pub fn release(&mut self, key: ItemKey) {
        if self.rows.get(&key).is_some_and(|place| place.extra)
            && let Some(place) = self.rows.remove(&key)
        {
            self.extra -= 1;
            self.free.push(place.row);
        }
    }

    /// The row of an item.
    #[must_use]
    pub fn get(&self, key: ItemKey) -> Option<Row<'_>> {
        self.rows.get(&key).map(|place| self.at(place.row))
    }

    /// Grows whenever the row of an item becomes another one.
    pub(super) fn stamp(&self, key: ItemKey) -> Option<u32> {
        self.rows.get(&key).map(|place| place.stamp)
    }

    fn at(&self, row: u32) -> Row<'_> {
        let (slab, at) = (&self.slabs[row as usize / SLAB_ROWS], row as usize % SLAB_ROWS);
        Row {
            scores: &slab.scores[at * self.scores..(at + 1) * self.scores],
            features: &slab.features[at * self.features..(at + 1) * self.features],
            scale: slab.scale[at],
        }
    }

    /// Every row, in order of the items' keys.
    pub fn iter(&self) -> impl Iterator<Item = (ItemKey, Row<'_>)> {
        self.rows.iter().map(|(key, place)| (*key, self.at(place.row)))
    }
}

/// Whole numbers and the scale that takes them back.
fn quantise(features: &[f32]) -> (Vec<i16>, f32) {
    let greatest = features.iter().fold(0.0_f32, |most, f| most.max(f.abs()));
    let scale = greatest / f32::from(i16::MAX);
    if !scale.is_normal() {
        return (vec![0; features.len()], 0.0);
    }
    #[allow(clippy::cast_possible_truncation)]
    let whole = |f: &f32| (f / scale).round() as i16;
    (features.iter().map(whole).collect(), scale)
}

/// The features as they would come back from the memory, in place of what `into` held.
pub(super) fn as_kept(features: &[f32], into: &mut Vec<f32>) {
    let (quantised, scale) = quantise(features);
    Row { scores: &[], features: &quantised, scale }.features(into);
}

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    const A: ItemKey = ItemKey(3);
    const B: ItemKey = ItemKey(1);

    #[test]
    fn what_is_over_the_budget_is_not_kept_unless_it_must_be() {
        let row = Memory::new(2, 3, 0).row_bytes();
        let mut memory = Memory::new(2, 3, row);
        assert!(memory.keep(A, &[1.0, 2.0], &[0.5, 0.0, -1.0], false));
        assert!(!memory.keep(B, &[1.0, 2.0], &[0.5, 0.0, -1.0], false));
        assert!(memory.keep(B, &[3.0, 4.0], &[0.5, 0.0, -1.0], true));
        assert_eq!(memory.used(), 2 * row);
        assert_eq!(memory.iter().map(|(key, _)| key).collect::<Vec<_>>(), [B, A], "in order of the keys");
        memory.release(B);
        assert_eq!((memory.get(B), memory.len()), (None, 1));
        memory.release(A);
        assert_eq!(memory.len(), 1, "what the budget allows stays");
    }

    #[test]
    fn what_must_be_kept_for_a_while_leaves_no_trace() {
        let row = Memory::new(1, 1, 0).row_bytes();
        let mut memory = Memory::new(1, 1, 2 * row);
        memory.keep(A, &[1.0], &[1.0], false);
        memory.keep(ItemKey(7), &[1.0], &[1.0], false);
        memory.keep(B, &[1.0], &[1.0], true);
        // Kept since it fitted, whatever was answered meanwhile and taken back.
        memory.release(A);
        memory.release(B);
        assert_eq!(memory.iter().map(|(key, _)| key).collect::<Vec<_>>(), [A, ItemKey(7)]);
    }

    #[test]
    fn a_row_that_comes_again_is_no_change_and_one_that_differs_is() {
        let mut memory = Memory::new(0, 2, 1000);
        memory.keep(A, &[], &[1.0, 0.25], false);
        let first = memory.stamp(A);
        memory.keep(A, &[], &[1.0, 0.25], false);
        assert_eq!(memory.stamp(A), first);
        memory.keep(A, &[], &[1.0, 0.5], false);
        assert!(memory.stamp(A) > first);
    }

    #[test]
    fn many_rows_keep_apart() {
        let mut memory = Memory::new(1, 2, usize::MAX);
        for i in 0..1000_u16 {
            memory.keep(ItemKey(u32::from(i)), &[f32::from(i)], &[f32::from(i), 1.0], false);
        }
        let mut features = Vec::new();
        for i in 0..1000_u16 {
            let row = memory.get(ItemKey(u32::from(i))).unwrap();
            row.features(&mut features);
            assert_eq!(row.scores, [f32::from(i)]);
            assert!((features[0] - f32::from(i)).abs() < 1e-3);
        }
    }

    proptest! {
        #[test]
        fn features_come_back_within_a_65534th_of_the_greatest(
            features in prop::collection::vec(-1e6_f32..1e6, 1..50),
        ) {
            let mut back = Vec::new();
            as_kept(&features, &mut back);
            let greatest = features.iter().fold(0.0_f32, |most, f| most.max(f.abs()));
            for (f, b) in features.iter().zip(&back) {
                // A little more for the rounding of f32 itself.
                prop_assert!((f - b).abs() <= greatest / 65_534.0 * 1.01, "{f} became {b}");
            }
        }
    }
}
