//! The order of questions: most doubtful first, with a share of random ones.

use std::collections::{BTreeSet, HashMap, VecDeque};

use super::ident::draw;
use super::item::ItemKey;
use super::prediction::Prediction;

/// How much the model doubts an item, 0 to 1; waits in this order, greatest first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Doubt(pub f32);

/// What makes an item worth asking about (uncertainty sampling: Settles, *Active Learning*, 2012).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// The best two labels are nearly as likely (breaking ties).
    #[default]
    Margin,
    /// The best label is not likely.
    LeastConfidence,
    /// The probabilities are spread over many labels.
    Entropy,
    /// By lot.
    Random,
    /// First those that differ most from what was answered (core-set: Sener and Savarese 2018), then by margin.
    Diverse,
}

impl Strategy {
    /// How much an item is worth asking about, by what the model says of it.
    #[must_use]
    pub fn doubt(self, prediction: &Prediction, seed: u64, id: &str) -> Doubt {
        Doubt(match self {
            Strategy::Margin | Strategy::Diverse => 1.0 - prediction.margin,
            Strategy::LeastConfidence => 1.0 - prediction.confidence.get(),
            Strategy::Entropy => prediction.entropy,
            #[allow(clippy::cast_possible_truncation)]
            Strategy::Random => draw(seed, id) as f32,
        })
    }
}

/// Items that wait for the person.
///
/// Every k-th place that a fixed draw chooses goes to a random item, so that the answers are not only
/// about the border cases and confident mistakes can be seen at all. Skipped items come when nothing else
/// waits, in the order in which they were skipped. All operations are logarithmic.
#[derive(Clone, Debug)]
pub struct Queue {
    /// Share of random questions, 0 to 1.
    random_share: f64,
    seed: u64,
    given: u64,
    by_doubt: BTreeSet<(u32, ItemKey)>,
    by_draw: BTreeSet<(u64, ItemKey)>,
    places: HashMap<ItemKey, (u32, u64)>,
    skipped: VecDeque<ItemKey>,
}

impl Queue {
    /// An empty queue; `random_share` of the questions are drawn at random under `seed`.
    #[must_use]
    pub fn new(random_share: f64, seed: u64) -> Self {
        Self {
            random_share,
            seed,
            given: 0,
            by_doubt: BTreeSet::new(),
            by_draw: BTreeSet::new(),
            places: HashMap::new(),
            skipped: VecDeque::new(),
        }
    }

    /// How many wait, skipped ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len() + self.skipped.len()
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Puts an item in its place; one that waits already is moved there.
    pub fn put(&mut self, item: ItemKey, id: &str, doubt: Doubt) {
        self.remove(item);
        // Non-negative floats order as their bits do; inverted, the greatest doubt comes first.
        let doubt = u32::MAX - doubt.0.clamp(0.0, 1.0).to_bits();
        let place = draw(self.seed, id).to_bits();
        self.by_doubt.insert((doubt, item));
        self.by_draw.insert((place, item));
        self.places.insert(item, (doubt, place));
    }

    /// Puts an item behind everything else.
    pub fn put_last(&mut self, item: ItemKey) {
        self.remove(item);
        self.skipped.push_back(item);
    }

    /// Whether an item waits behind everything else.
    #[must_use]
    pub fn is_last(&self, item: ItemKey) -> bool {
        self.skipped.contains(&item)
    }

    /// Takes an item out; `false` if it did not wait.
    pub fn remove(&mut self, item: ItemKey) -> bool {
        if let Some((doubt, place)) = self.places.remove(&item) {
            self.by_doubt.remove(&(doubt, item));
            self.by_draw.remove(&(place, item));
            return true;
        }
        let at = self.skipped.iter().position(|skipped| *skipped == item);
        at.is_some_and(|at| self.skipped.remove(at).is_some())
    }

    /// Takes out the next item to ask about.
    pub fn take_next(&mut self) -> Option<ItemKey> {
        let random = draw(self.seed, &self.given.to_string()) < self.random_share;
        let first = if random { self.by_draw.first().map(|(_, item)| *item) } else { None };
        let item = first.or_else(|| self.by_doubt.first().map(|(_, item)| *item));
        match item {
            Some(item) => {
                self.remove(item);
                self.given += 1;
                Some(item)
            }
            None => self.skipped.pop_front(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(random_share: f64) -> Queue {
        let mut queue = Queue::new(random_share, 1);
        for i in 0..100_u32 {
            #[allow(clippy::cast_precision_loss)]
            queue.put(ItemKey(i), &format!("item-{i}"), Doubt(i as f32 / 100.0));
        }
        queue
    }

    fn drained(mut queue: Queue) -> Vec<u32> {
        std::iter::from_fn(|| queue.take_next().map(|item| item.0)).collect()
    }

    #[test]
    fn the_most_doubtful_comes_first() {
        assert_eq!(drained(filled(0.0)), (0..100).rev().collect::<Vec<_>>());
    }

    #[test]
    fn a_share_is_random_and_every_item_comes_once() {
        let mut order = drained(filled(0.3));
        let out_of_order = order.windows(2).filter(|pair| pair[0] < pair[1]).count();
        assert!((10..50).contains(&out_of_order), "{out_of_order}");
        assert_eq!(order, drained(filled(0.3)), "the same seed gives the same order");
        order.sort_unstable();
        assert_eq!(order, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn what_was_skipped_comes_at_the_end() {
        let mut queue = filled(0.0);
        let skipped = queue.take_next().unwrap_or(ItemKey(0));
        queue.put_last(skipped);
        assert_eq!(queue.len(), 100);
        assert_eq!(drained(queue).last(), Some(&skipped.0));
    }

    #[test]
    fn a_new_doubt_moves_an_item_and_removal_forgets_it() {
        let mut queue = filled(0.0);
        queue.put(ItemKey(3), "item-3", Doubt(1.0));
        assert_eq!(queue.take_next(), Some(ItemKey(3)));
        assert!(queue.remove(ItemKey(99)) && !queue.remove(ItemKey(99)));
        assert_eq!(queue.take_next(), Some(ItemKey(98)));
        assert_eq!(queue.len(), 97);
    }
}
