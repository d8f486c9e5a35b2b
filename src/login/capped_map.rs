//! A map that never holds more than it may: the least useful entry goes first.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

/// A map of at most `max` entries. Of the lightest, the one that was put in first has to go.
pub(super) struct CappedMap<K, V> {
    max: usize,
    entries: HashMap<K, (V, Rank)>,
    order: BTreeMap<Rank, K>,
    next: u64,
}

/// Weight first, then age.
type Rank = (u32, u64);

impl<K: Copy + Eq + Hash, V> CappedMap<K, V> {
    pub(super) fn new(max: usize) -> Self {
        Self { max, entries: HashMap::new(), order: BTreeMap::new(), next: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key).map(|(value, _)| value)
    }

    pub(super) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.entries.get_mut(key).map(|(value, _)| value)
    }

    /// Puts an entry in, as the youngest of its weight.
    pub(super) fn insert(&mut self, key: K, value: V, weight: u32) {
        self.remove(&key);
        while self.entries.len() >= self.max {
            let Some((_, least)) = self.order.pop_first() else { return };
            self.entries.remove(&least);
        }
        let rank = (weight, self.next);
        self.next += 1;
        self.entries.insert(key, (value, rank));
        self.order.insert(rank, key);
    }

    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        let (value, rank) = self.entries.remove(key)?;
        self.order.remove(&rank);
        Some(value)
    }

    pub(super) fn retain(&mut self, keep: impl Fn(&V) -> bool) {
        let order = &mut self.order;
        self.entries.retain(|_, (value, rank)| {
            let kept = keep(value);
            if !kept {
                order.remove(rank);
            }
            kept
        });
        if self.entries.len() < self.entries.capacity() / 4 {
            self.entries.shrink_to_fit();
        }
    }

    pub(super) fn clear(&mut self) {
        self.entries = HashMap::new();
        self.order.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(map: &CappedMap<u8, ()>) -> Vec<u8> {
        assert_eq!(map.entries.len(), map.order.len());
        map.order.values().copied().collect()
    }

    #[test]
    fn the_lightest_goes_first_and_of_those_the_oldest() {
        let mut map = CappedMap::new(3);
        for (key, weight) in [(1, 5), (2, 1), (3, 1)] {
            map.insert(key, (), weight);
        }
        map.insert(4, (), 1);
        assert_eq!(keys(&map), [3, 4, 1]);
        map.insert(3, (), 1);
        map.insert(5, (), 9);
        assert_eq!(keys(&map), [3, 1, 5], "put in again is young again");
        map.retain(|()| false);
        assert!(keys(&map).is_empty());
    }

    #[test]
    fn a_map_without_room_holds_nothing() {
        let mut map = CappedMap::new(0);
        map.insert(1, (), 1);
        assert_eq!(map.len(), 0);
    }
}
