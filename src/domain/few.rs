//! A map of a few entries: a list that is searched. A tree or a hash table would cost the page some
//! kilobytes of code for each type, and is no faster for a dozen.

/// A map of a few entries, in the order in which they came.
#[derive(Clone, Debug)]
pub struct Few<K, V>(Vec<(K, V)>);

impl<K, V> Default for Few<K, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: Copy + PartialEq, V> Few<K, V> {
    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn at(&self, key: K) -> Option<usize> {
        self.0.iter().position(|(known, _)| *known == key)
    }

    /// The value of `key`.
    #[must_use]
    pub fn get(&self, key: K) -> Option<&V> {
        self.at(key).map(|at| &self.0[at].1)
    }

    /// The value of `key`, to be changed.
    pub fn get_mut(&mut self, key: K) -> Option<&mut V> {
        self.at(key).map(|at| &mut self.0[at].1)
    }

    /// Gives `key` this value, in place of the one that it had.
    pub fn insert(&mut self, key: K, value: V) {
        match self.at(key) {
            Some(at) => self.0[at].1 = value,
            None => self.0.push((key, value)),
        }
    }

    /// Takes `key` out.
    pub fn remove(&mut self, key: K) -> Option<V> {
        self.at(key).map(|at| self.0.remove(at).1)
    }

    /// Takes everything out.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Every entry.
    pub fn iter(&self) -> impl Iterator<Item = (K, &V)> {
        self.0.iter().map(|(key, value)| (*key, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_one_value() {
        let mut few = Few::default();
        few.insert(1, "a");
        few.insert(2, "b");
        few.insert(1, "c");
        assert_eq!(few.iter().collect::<Vec<_>>(), [(1, &"c"), (2, &"b")]);
        assert_eq!((few.remove(1), few.remove(1), few.len()), (Some("c"), None, 1));
        if let Some(value) = few.get_mut(2) {
            *value = "d";
        }
        assert_eq!(few.get(2), Some(&"d"));
        few.clear();
        assert!(few.is_empty());
    }
}
