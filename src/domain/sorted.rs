//! Ordered sets and maps over keys that are numbers underneath. The standard library's trees are compiled
//! anew for every type of key and value, some kilobytes each in the page's download; these all share one.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use super::ident::RecordId;
use super::item::ItemKey;

/// A key that is a number underneath, of the same order.
pub trait Key: Copy {
    /// The number. Invariant: `a < b` exactly if `a.number() < b.number()`.
    fn number(self) -> u128;
    /// The key of a number that [`Key::number`] gave.
    fn of(number: u128) -> Self;
}

impl Key for ItemKey {
    fn number(self) -> u128 {
        self.0.into()
    }
    #[allow(clippy::cast_possible_truncation)]
    fn of(number: u128) -> Self {
        Self(number as u32)
    }
}

impl Key for RecordId {
    fn number(self) -> u128 {
        self.0.as_u128()
    }
    fn of(number: u128) -> Self {
        Self(uuid::Uuid::from_u128(number))
    }
}

impl Key for u64 {
    fn number(self) -> u128 {
        self.into()
    }
    #[allow(clippy::cast_possible_truncation)]
    fn of(number: u128) -> Self {
        number as Self
    }
}

/// The tree beneath: a number, and where its value stands.
type Tree = BTreeMap<u128, u32>;

/// A set in the order of its keys; every operation is logarithmic.
#[derive(Clone, Debug)]
pub struct Keys<K>(Tree, PhantomData<K>);

impl<K> Default for Keys<K> {
    fn default() -> Self {
        Self(Tree::new(), PhantomData)
    }
}

impl<K: Key> Keys<K> {
    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `key` is in it.
    #[must_use]
    pub fn contains(&self, key: K) -> bool {
        self.0.contains_key(&key.number())
    }

    /// Puts `key` in; `false` if it was there.
    pub fn insert(&mut self, key: K) -> bool {
        self.0.insert(key.number(), 0).is_none()
    }

    /// Takes `key` out; `false` if it was not there.
    pub fn remove(&mut self, key: K) -> bool {
        self.0.remove(&key.number()).is_some()
    }

    /// The first key.
    #[must_use]
    pub fn first(&self) -> Option<K> {
        self.iter().next()
    }

    /// Every key, in order.
    pub fn iter(&self) -> impl Iterator<Item = K> {
        self.0.keys().map(|number| K::of(*number))
    }

    /// Takes everything out.
    pub fn clear(&mut self) {
        self.0 = Tree::new();
    }
}

impl<K: Key> Extend<K> for Keys<K> {
    fn extend<I: IntoIterator<Item = K>>(&mut self, keys: I) {
        for key in keys {
            self.insert(key);
        }
    }
}

/// A map in the order of its keys; every operation is logarithmic.
#[derive(Clone, Debug)]
pub struct Sorted<K, V> {
    places: Tree,
    /// What stands at each place.
    values: Vec<Option<V>>,
    /// Places whose value was taken out.
    free: Vec<u32>,
    of: PhantomData<K>,
}

impl<K, V> Default for Sorted<K, V> {
    fn default() -> Self {
        Self { places: Tree::new(), values: Vec::new(), free: Vec::new(), of: PhantomData }
    }
}

impl<K: Key, V> Sorted<K, V> {
    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Whether `key` has a value.
    #[must_use]
    pub fn contains_key(&self, key: K) -> bool {
        self.places.contains_key(&key.number())
    }

    /// The value of `key`.
    #[must_use]
    pub fn get(&self, key: K) -> Option<&V> {
        self.places.get(&key.number()).and_then(|place| self.at(*place))
    }

    fn at(&self, place: u32) -> Option<&V> {
        self.values.get(place as usize)?.as_ref()
    }

    /// Gives `key` this value; returns the one that it had.
    ///
    /// # Panics
    /// There are more than `u32::MAX` entries.
    #[allow(clippy::cast_possible_truncation)]
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let number = key.number();
        let known = self.places.get(&number).copied();
        let place = known.or_else(|| self.free.pop()).unwrap_or(self.values.len() as u32);
        if known.is_none() {
            self.places.insert(number, place);
        }
        if place as usize == self.values.len() {
            assert!(place < u32::MAX, "a map of 2^32 entries");
            self.values.push(None);
        }
        self.values[place as usize].replace(value)
    }

    /// Takes `key` out; returns its value.
    pub fn remove(&mut self, key: K) -> Option<V> {
        let place = self.places.remove(&key.number())?;
        self.free.push(place);
        self.values[place as usize].take()
    }

    /// Every key, in order.
    pub fn keys(&self) -> impl Iterator<Item = K> {
        self.places.keys().map(|number| K::of(*number))
    }

    /// Every value, in the order of the keys.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.places.values().filter_map(|place| self.at(*place))
    }

    /// Every entry, in the order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (K, &V)> {
        self.keys().zip(self.values())
    }

    /// Takes everything out.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

impl<K: Key, V> Extend<(K, V)> for Sorted<K, V> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        for (key, value) in entries {
            self.insert(key, value);
        }
    }
}

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_map_and_a_set_are_as_the_standard_library_has_them(
            steps in prop::collection::vec((any::<bool>(), 0..20_u32, any::<u16>()), 0..200)
        ) {
            let (mut map, mut set) = (Sorted::default(), Keys::default());
            let (mut known_map, mut known_set) = (BTreeMap::new(), BTreeSet::new());
            for (put, key, value) in steps {
                let (key, place) = (ItemKey(key), u64::from(value) << 48 | u64::from(key));
                if put {
                    prop_assert_eq!(map.insert(key, value), known_map.insert(key, value));
                    prop_assert_eq!(set.insert(place), known_set.insert(place));
                } else {
                    prop_assert_eq!(map.remove(key), known_map.remove(&key));
                    prop_assert_eq!(set.remove(place), known_set.remove(&place));
                }
                prop_assert_eq!(map.get(key), known_map.get(&key));
                prop_assert_eq!(set.contains(place), known_set.contains(&place));
            }
            prop_assert!(map.iter().eq(known_map.iter().map(|(key, value)| (*key, value))));
            prop_assert_eq!((map.len(), set.len()), (known_map.len(), known_set.len()));
            prop_assert!(set.iter().eq(known_set.iter().copied()));
            prop_assert_eq!(set.first(), known_set.first().copied());
        }
    }

    #[test]
    fn record_ids_keep_their_order_and_their_bytes() {
        let ids = ["00000000-0000-7000-8000-0000000000ff", "01890a5d-ac96-774b-bcce-b302099a8057"];
        let ids = ids.map(|id| RecordId(uuid::Uuid::try_parse(id).unwrap_or_default()));
        let mut keys = Keys::default();
        keys.extend([ids[1], ids[0]]);
        assert_eq!(keys.iter().collect::<Vec<_>>(), ids);
    }
}
