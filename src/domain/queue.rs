//! The order of questions: most doubtful first, with a share of random ones.

use std::collections::VecDeque;

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

/// Where an item stands in the queue.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Place {
    #[default]
    Out,
    Question(Doubt),
    Check,
    Last,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    place: Place,
    /// Its number in the random order; counts for questions and checks only.
    lot: u64,
}

impl Slot {
    /// Where a question stands, the most doubtful first.
    fn by_doubt(&self) -> Option<u64> {
        match self.place {
            // Non-negative floats order as their bits do; inverted, the greatest doubt comes first.
            Place::Question(doubt) => Some((u32::MAX - doubt.0.clamp(0.0, 1.0).to_bits()).into()),
            _ => None,
        }
    }
}

/// Items that wait for the person.
///
/// Places that a fixed draw chooses go to a random item, so that the answers are not only about the border
/// cases and confident mistakes can be seen at all; others go to a blind check, again in random order, so
/// that neither its place nor its time tells what the model thinks of it. Skipped items come when nothing
/// else waits, in the order in which they were skipped.
///
/// After each answer a new head moves everything that waits, and one question is taken. So moving an item is a
/// single write, and taking the next one looks at all of them: 100,000 in some tenths of a millisecond, where
/// keeping them in order took most of the page's time.
#[derive(Clone, Debug)]
pub struct Queue {
    /// Share of random questions, 0 to 1.
    random_share: f64,
    /// Share of questions that are blind checks, as long as there are any, 0 to 1; `None`: as they are among
    /// what waits.
    check_share: Option<f64>,
    seed: u64,
    given: u64,
    /// By the item's position.
    slots: Vec<Slot>,
    questions: usize,
    checks: usize,
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
            slots: Vec::new(),
            questions: 0,
            checks: 0,
            skipped: VecDeque::new(),
        }
    }

    /// Goes on with the draws behind the first `given` of them.
    pub fn go_on_from(&mut self, given: u64) {
        self.given = given;
    }

    /// How many blind checks wait.
    #[must_use]
    pub fn checks(&self) -> usize {
        self.checks
    }

    /// How many wait, skipped ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.questions + self.checks + self.skipped.len()
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
        self.place(item, id, Place::Check);
    }

    /// Puts an item in its place; one that waits already is moved there.
    pub fn put(&mut self, item: ItemKey, id: &str, doubt: Doubt) {
        self.place(item, id, Place::Question(doubt));
    }

    /// Puts an item behind everything else.
    pub fn put_last(&mut self, item: ItemKey) {
        self.remove(item);
        self.slot(item).place = Place::Last;
        self.skipped.push_back(item);
    }

    /// Whether an item waits behind everything else.
    #[must_use]
    pub fn is_last(&self, item: ItemKey) -> bool {
        self.slots.get(item.0 as usize).is_some_and(|slot| slot.place == Place::Last)
    }

    /// Takes an item out; `false` if it did not wait.
    pub fn remove(&mut self, item: ItemKey) -> bool {
        let Some(slot) = self.slots.get_mut(item.0 as usize) else { return false };
        match std::mem::take(&mut slot.place) {
            Place::Out => return false,
            Place::Question(_) => self.questions -= 1,
            Place::Check => self.checks -= 1,
            Place::Last => self.skipped.retain(|skipped| *skipped != item),
        }
        true
    }

    /// Takes out the next item to ask about.
    pub fn take_next(&mut self) -> Option<ItemKey> {
        let lot = draw(self.seed, &self.given.to_string());
        #[allow(clippy::cast_precision_loss)]
        let among = self.checks as f64 / (self.questions + self.checks).max(1) as f64;
        // What the checks leave of the places is shared out anew.
        let taken = if self.checks == 0 { 0.0 } else { self.check_share.unwrap_or(among) };
        let check = self.questions == 0 || (self.checks > 0 && lot < taken);
        let random = lot - taken < self.random_share * (1.0 - taken);
        let by_lot = |slot: &Slot| {
            let asked =
                if check { slot.place == Place::Check } else { matches!(slot.place, Place::Question(_)) };
            asked.then_some(slot.lot)
        };
        let next = if check || random { self.first(by_lot) } else { self.first(Slot::by_doubt) };
        // Skipped ones are no draw.
        self.given += u64::from(next.is_some());
        let item = next.or_else(|| self.skipped.front().copied())?;
        self.remove(item);
        Some(item)
    }

    fn place(&mut self, item: ItemKey, id: &str, place: Place) {
        let fresh = match self.slot(item).place {
            Place::Out | Place::Last => Some(draw(self.seed, id).to_bits()),
            Place::Question(_) | Place::Check => None,
        };
        self.remove(item);
        match place {
            Place::Check => self.checks += 1,
            _ => self.questions += 1,
        }
        let slot = self.slot(item);
        slot.place = place;
        slot.lot = fresh.unwrap_or(slot.lot);
    }

    fn slot(&mut self, item: ItemKey) -> &mut Slot {
        let at = item.0 as usize;
        if at >= self.slots.len() {
            self.slots.resize(at + 1, Slot::default());
        }
        &mut self.slots[at]
    }

    /// The item of the lowest rank; of several, the one that came first.
    fn first(&self, rank: impl Fn(&Slot) -> Option<u64>) -> Option<ItemKey> {
        let ranks = self.slots.iter().zip(0..).filter_map(|(slot, key)| Some((rank(slot)?, key)));
        ranks.min().map(|(_, key)| ItemKey(key))
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
