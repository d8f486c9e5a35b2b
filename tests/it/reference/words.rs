//! Words to choose from, and the choice.

use std::collections::BTreeMap;
use std::sync::LazyLock;

/// The lists of `words.json`. What occurs twice in a list is chosen twice as often.
static WORDS: LazyLock<BTreeMap<String, Vec<String>>> =
    LazyLock::new(|| serde_json::from_str(include_str!("words.json")).unwrap());

pub(super) fn words(list: &str) -> &'static [String] {
    WORDS.get(list).unwrap_or_else(|| panic!("words.json has no `{list}`"))
}

/// Names of the lists for one family of operators.
pub(super) struct Family {
    pub(super) operands: &'static str,
    pub(super) bad_operands: &'static str,
    pub(super) values: &'static str,
    pub(super) bad_values: &'static str,
}

pub(super) fn family(base: &str) -> Family {
    let [operands, bad_operands, values, bad_values] = match base {
        "Bool" | "Null" => ["flags", "bad_flags", "flags", "texts"],
        "BinaryEquals" => ["bytes", "no_bytes", "bytes", "no_bytes"],
        "IpAddress" | "NotIpAddress" => ["networks", "no_networks", "addresses", "no_addresses"],
        _ if base.starts_with("Numeric") => ["numbers", "no_numbers", "numbers", "no_numbers"],
        _ if base.starts_with("Date") => ["dates", "no_dates", "dates", "no_dates"],
        _ if base.starts_with("Arn") => ["arn_patterns", "bad_arn_patterns", "arns", "no_arns"],
        _ => ["patterns", "bad_patterns", "texts", "texts"],
    };
    Family { operands, bad_operands, values, bad_values }
}

/// A stream of numbers: SplitMix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }

    pub(super) fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }

    pub(super) fn of<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())].clone()
    }

    /// A word of a list.
    pub(super) fn word(&mut self, list: &str) -> String {
        self.of(words(list))
    }

    /// Up to four words of a list, put together.
    pub(super) fn concatenation(&mut self, list: &str) -> String {
        (0..self.below(5)).map(|_| self.word(list)).collect()
    }
}
