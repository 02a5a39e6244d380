//! The order of questions: most doubtful first, with a share of random ones.

use std::collections::VecDeque;

use super::ident::draw;
use super::item::ItemKey;
use super::prediction::Prediction;
use super::sorted::{Keys, Sorted};

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
/// Places that a fixed draw chooses go to a random item, so that the answers are not only about the border
/// cases and confident mistakes can be seen at all; others go to a blind check, again in random order, so
/// that neither its place nor its time tells what the model thinks of it. Skipped items come when nothing
/// else waits, in the order in which they were skipped. All operations are logarithmic.
#[derive(Clone, Debug)]
pub struct Queue {
    /// Share of random questions, 0 to 1.
    random_share: f64,
    /// Share of questions that are blind checks, as long as there are any, 0 to 1; `None`: as they are among
    /// what waits.
    check_share: Option<f64>,
    seed: u64,
    given: u64,
    by_doubt: Keys<(u64, ItemKey)>,
    by_draw: Keys<(u64, ItemKey)>,
    checks: Keys<(u64, ItemKey)>,
    /// By doubt and draw, or as a check by draw alone.
    places: Sorted<ItemKey, (Option<u64>, u64)>,
    skipped: VecDeque<ItemKey>,
}

impl Queue {
    /// An empty queue; `random_share` of the questions are drawn at random under `seed`.
    #[must_use]
    pub fn new(random_share: f64, seed: u64) -> Self {
        Self {
            random_share,
            check_share: None,
            seed,
            given: 0,
            by_doubt: Keys::default(),
            by_draw: Keys::default(),
            checks: Keys::default(),
            places: Sorted::default(),
            skipped: VecDeque::new(),
        }
    }

    /// How many blind checks wait.
    #[must_use]
    pub fn checks(&self) -> usize {
        self.checks.len()
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

    /// From now on, this share of the questions are blind checks, 0 to 1, as long as any wait; without one, as
    /// many as there are among what waits.
    pub fn set_check_share(&mut self, share: Option<f64>) {
        self.check_share = share;
    }

    /// Puts a blind check in its place.
    pub fn put_check(&mut self, item: ItemKey, id: &str) {
        self.remove(item);
        let place = draw(self.seed, id).to_bits();
        self.checks.insert((place, item));
        self.places.insert(item, (None, place));
    }

    /// Puts an item in its place; one that waits already is moved there.
    pub fn put(&mut self, item: ItemKey, id: &str, doubt: Doubt) {
        self.remove(item);
        // Non-negative floats order as their bits do; inverted, the greatest doubt comes first.
        let doubt = u64::from(u32::MAX - doubt.0.clamp(0.0, 1.0).to_bits());
        let place = draw(self.seed, id).to_bits();
        self.by_doubt.insert((doubt, item));
        self.by_draw.insert((place, item));
        self.places.insert(item, (Some(doubt), place));
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
        match self.places.remove(item) {
            Some((Some(doubt), place)) => {
                self.by_doubt.remove((doubt, item));
                self.by_draw.remove((place, item));
                return true;
            }
            Some((None, place)) => return self.checks.remove((place, item)),
            None => {}
        }
        let at = self.skipped.iter().position(|skipped| *skipped == item);
        at.is_some_and(|at| self.skipped.remove(at).is_some())
    }

    /// Takes out the next item to ask about.
    pub fn take_next(&mut self) -> Option<ItemKey> {
        let lot = draw(self.seed, &self.given.to_string());
        #[allow(clippy::cast_precision_loss)]
        let among = self.checks.len() as f64 / self.places.len().max(1) as f64;
        // What the checks leave of the places is shared out anew.
        let taken = if self.checks.is_empty() { 0.0 } else { self.check_share.unwrap_or(among) };
        let check = self.checks.first().map(|(_, item)| item).filter(|_| lot < taken);
        let random = lot - taken < self.random_share * (1.0 - taken);
        let first = if random { self.by_draw.first().map(|(_, item)| item) } else { None };
        let item = check.or(first).or_else(|| self.by_doubt.first().map(|(_, item)| item));
        match item.or_else(|| self.checks.first().map(|(_, item)| item)) {
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
    fn checks_come_in_random_order_at_their_share_and_all_in_the_end() {
        let mut queue = filled(0.1);
        (100..140_u32).for_each(|i| queue.put_check(ItemKey(i), &format!("check-{i}")));
        queue.set_check_share(Some(0.5));
        let order = drained(queue);
        assert_eq!(order.len(), 140);
        let early: Vec<_> = order[..60].iter().filter(|key| **key >= 100).collect();
        assert!((20..=40).contains(&early.len()), "{}", early.len());
        assert!(early.windows(2).any(|pair| pair[0] > pair[1]), "in random order");
        let mut none = filled(0.0);
        none.put_check(ItemKey(100), "check");
        none.set_check_share(Some(0.0));
        assert_eq!(drained(none).last(), Some(&100));
    }

    #[test]
    fn a_check_that_becomes_a_question_is_asked_once() {
        let mut queue = filled(0.0);
        queue.put_check(ItemKey(5), "item-5");
        queue.put(ItemKey(5), "item-5", Doubt(1.0));
        assert_eq!(queue.len(), 100);
        assert_eq!(queue.take_next(), Some(ItemKey(5)));
        assert_eq!(drained(queue).len(), 99);
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
