//! Whose turn it is: round robin between groups, and between groups within groups.

use std::collections::VecDeque;

/// What waits, grouped by a path of keys, widest group first.
pub(super) struct RoundRobin<K, T> {
    groups: VecDeque<(K, RoundRobin<K, T>)>,
    waiting: VecDeque<T>,
    len: usize,
}

impl<K: PartialEq + Copy, T> RoundRobin<K, T> {
    pub(super) fn new() -> Self {
        Self { groups: VecDeque::new(), waiting: VecDeque::new(), len: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// How many wait in a group.
    pub(super) fn len_of(&self, path: &[K]) -> usize {
        match path.split_first() {
            None => self.len,
            Some((first, rest)) => {
                let group = self.groups.iter().find(|(key, _)| key == first);
                group.map_or(0, |(_, group)| group.len_of(rest))
            }
        }
    }

    /// Puts one in line. A group that was empty comes after all others, once.
    pub(super) fn push(&mut self, path: &[K], item: T) {
        self.len += 1;
        match path.split_first() {
            None => self.waiting.push_back(item),
            Some((first, rest)) => match self.groups.iter_mut().find(|(key, _)| key == first) {
                Some((_, group)) => group.push(rest, item),
                None => {
                    let mut group = Self::new();
                    group.push(rest, item);
                    self.groups.push_back((*first, group));
                }
            },
        }
    }

    /// The next in turn.
    pub(super) fn pop(&mut self) -> Option<T> {
        let item = match self.groups.pop_front() {
            None => self.waiting.pop_front(),
            Some((key, mut group)) => {
                let item = group.pop();
                if group.len > 0 {
                    self.groups.push_back((key, group));
                }
                item
            }
        }?;
        self.len -= 1;
        Some(item)
    }

    /// Takes out the youngest of the largest group; among equals that of `newcomer`.
    pub(super) fn push_out(&mut self, newcomer: &[K]) -> Option<T> {
        let (first, rest) = match newcomer.split_first() {
            Some((first, rest)) => (Some(first), rest),
            None => (None, newcomer),
        };
        let largest = self
            .groups
            .iter()
            .enumerate()
            .max_by_key(|(_, (key, group))| (group.len, Some(key) == first))
            .map(|(at, _)| at);
        let item = match largest.and_then(|at| self.groups.get_mut(at)) {
            None => self.waiting.pop_back(),
            Some((key, group)) => group.push_out(if Some(&*key) == first { rest } else { &[] }),
        }?;
        self.groups.retain(|(_, group)| group.len > 0);
        self.len -= 1;
        Some(item)
    }

    /// Leaves out what need not wait any more.
    pub(super) fn retain(&mut self, keep: &impl Fn(&T) -> bool) {
        self.waiting.retain(keep);
        for (_, group) in &mut self.groups {
            group.retain(keep);
        }
        self.groups.retain(|(_, group)| group.len > 0);
        self.len =
            self.waiting.len() + self.groups.iter().map(|(_, group)| group.len).sum::<usize>();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(waiting: &[&str]) -> RoundRobin<char, String> {
        let mut turns = RoundRobin::new();
        for name in waiting {
            turns.push(&path(name), (*name).to_owned());
        }
        turns
    }

    /// The first two letters name the groups.
    fn path(name: &str) -> Vec<char> {
        name.chars().take(2).collect()
    }

    fn all(mut turns: RoundRobin<char, String>) -> Vec<String> {
        let all: Vec<_> = std::iter::from_fn(|| turns.pop()).collect();
        assert_eq!(turns.len(), 0);
        all
    }

    #[test]
    fn groups_take_turns() {
        let cases: &[(&[&str], &[&str])] = &[
            (&[], &[]),
            (&["aa1", "aa2", "aa3", "ba1"], &["aa1", "ba1", "aa2", "aa3"]),
            (&["aa1", "ab1", "ac1", "ba1"], &["aa1", "ba1", "ab1", "ac1"]),
            (&["aa1", "aa2", "ab1", "ba1", "ba2"], &["aa1", "ba1", "ab1", "ba2", "aa2"]),
        ];
        for (waiting, expected) in cases {
            assert_eq!(all(turns(waiting)), *expected);
        }
    }

    #[test]
    fn the_youngest_of_the_largest_group_is_pushed_out() {
        let cases: &[(&[&str], &str)] = &[
            (&["aa1", "aa2", "ba1"], "aa2"),
            (&["ba1", "aa1", "aa2"], "aa2"),
            (&["aa1", "ab1", "ab2", "ba1", "ba2"], "ab2"),
            (&["aa1", "ba1"], "ba1"),
            (&["ba1", "aa1"], "aa1"),
            (&["aa1", "ba1", "ab1"], "ab1"),
        ];
        for (waiting, expected) in cases {
            let mut turns = turns(waiting);
            let newcomer = path(waiting.last().unwrap());
            assert_eq!(turns.push_out(&newcomer).unwrap(), *expected, "{waiting:?}");
            assert_eq!(turns.len(), waiting.len() - 1);
            assert_eq!(all(turns).len(), waiting.len() - 1);
        }
    }

    #[test]
    fn groups_are_counted_and_thinned_out() {
        let mut turns = turns(&["aa1", "aa2", "ab1", "ba1"]);
        let lens = |turns: &RoundRobin<_, _>| {
            ["a", "aa", "ab", "b", "c"].map(|name| turns.len_of(&path(name)))
        };
        assert_eq!(lens(&turns), [3, 2, 1, 1, 0]);
        turns.retain(&|name: &String| name.ends_with('1') && name != "ab1");
        assert_eq!(lens(&turns), [1, 1, 0, 1, 0]);
        assert_eq!(turns.len(), 2);
        assert_eq!(all(turns), ["aa1", "ba1"]);
    }
}
