//! Many patterns against one value: the operands of a condition, the entries of `Resource`.
//!
//! Senders choose how many values there are, operators how many patterns, and each pair would have to
//! be compared. Instead, each pattern names one text that every match of it holds, and one pass over
//! the value finds which of these texts occur; only their patterns are compared.

use std::cmp::Reverse;
use std::collections::HashMap;

use aho_corasick::{AhoCorasick, AhoCorasickKind};

use super::budget::StepBudget;
use super::pattern::{Pattern, Piece};
use super::request::Context;
use super::text;
use super::variable::Template;

/// With fewer patterns a search for their texts takes longer than trying each.
const INDEXED: usize = 6;

/// Patterns of which any may match.
#[derive(Debug, Clone, Default)]
pub(super) struct PatternSet {
    /// Patterns without wildcards; sorted.
    texts: Vec<Box<str>>,
    wild: Vec<Pattern<'static>>,
    /// Patterns with variables, which are known only with a request.
    variable: Vec<Template>,
    index: Option<Index>,
    /// Those without variables, folded; none where they are the same.
    folded: Option<Box<PatternSet>>,
}

/// Which of the patterns with wildcards may match a value.
#[derive(Debug, Clone)]
struct Index {
    search: AhoCorasick,
    /// For each text that is searched for, the patterns that need it.
    needed_by: Vec<Vec<usize>>,
    /// Patterns of wildcards alone.
    textless: Vec<usize>,
}

impl PatternSet {
    /// Adds a pattern.
    pub(super) fn push(&mut self, template: Template) {
        self.index = None;
        match template {
            variable @ Template::Variable(_) => self.variable.push(variable),
            Template::Fixed(pattern) => match pattern.pieces() {
                [] | [Piece::Text(_)] => {
                    let text = pattern.text();
                    if let Err(at) = self.place(text) {
                        self.texts.insert(at, text.into());
                    }
                }
                _ => self.wild.push(pattern),
            },
        }
    }

    /// Prepares for many values, when all patterns are there.
    pub(super) fn build_index(&mut self) {
        if self.wild.len() >= INDEXED {
            self.index = Index::new(&self.wild);
        }
    }

    /// Prepares for [`PatternSet::matches_folded`], when all patterns are there.
    pub(super) fn build_folded(&mut self) {
        let is_folded = |text: &str| text::fold(text) == text;
        let wild = self.wild.iter().flat_map(Pattern::texts);
        if self.texts.iter().map(AsRef::as_ref).chain(wild).all(is_folded) {
            return;
        }
        let mut folded = PatternSet::default();
        for text in &self.texts {
            let mut pattern = Pattern::default();
            pattern.push(Piece::Text(text::fold(text).into_owned().into()));
            folded.push(Template::Fixed(pattern));
        }
        for pattern in &self.wild {
            folded.push(Template::Fixed(pattern.folded()));
        }
        folded.build_index();
        self.folded = Some(Box::new(folded));
    }

    /// Tells whether folding may change what matches a folded value.
    pub(super) fn has_case(&self) -> bool {
        self.folded.is_some() || !self.variable.is_empty()
    }

    fn place(&self, text: &str) -> Result<usize, usize> {
        self.texts.binary_search_by(|known| known.as_ref().cmp(text))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.texts.is_empty() && self.wild.is_empty() && self.variable.is_empty()
    }

    /// The context keys whose values the patterns hold.
    pub(super) fn variables(&self) -> impl Iterator<Item = &str> {
        self.variable.iter().flat_map(Template::variables)
    }

    /// Tells whether a pattern matches the whole of `value`. One whose variable has no value does not.
    pub(super) fn matches(&self, value: &str, context: &Context<'_>, budget: &StepBudget) -> bool {
        self.fixed_match(value, budget)
            || self.variable_match(context, budget, |pattern| pattern.matches(value, budget))
    }

    /// Tells whether a pattern matches the whole of a folded value once it is folded as well.
    ///
    /// [`PatternSet::build_folded`] must have been called.
    pub(super) fn matches_folded(
        &self,
        value: &str,
        context: &Context<'_>,
        budget: &StepBudget,
    ) -> bool {
        let fixed = self.folded.as_deref().unwrap_or(self);
        fixed.fixed_match(value, budget)
            || self.variable_match(context, budget, |pattern| {
                budget.spend(100 + pattern.texts().map(text::folding).sum::<usize>());
                !budget.is_used_up() && pattern.folded().matches(value, budget)
            })
    }

    fn fixed_match(&self, value: &str, budget: &StepBudget) -> bool {
        budget.spend(10);
        if self.place(value).is_ok() {
            return true;
        }
        match &self.index {
            Some(index) => index.matches(&self.wild, value, budget),
            None => self.wild.iter().any(|pattern| pattern.matches(value, budget)),
        }
    }

    fn variable_match(
        &self,
        context: &Context<'_>,
        budget: &StepBudget,
        matches: impl Fn(&Pattern<'_>) -> bool,
    ) -> bool {
        let mut variable = self.variable.iter().take_while(|_| !budget.is_used_up());
        variable.any(|template| {
            // It is made anew for each value.
            budget.spend(100);
            template.with(context, &matches).unwrap_or(false)
        })
    }
}

impl Index {
    /// `None` when the search cannot be built, which takes more patterns than a policy holds.
    fn new(patterns: &[Pattern<'static>]) -> Option<Self> {
        let mut uses: HashMap<&str, usize> = HashMap::new();
        for text in patterns.iter().flat_map(Pattern::texts) {
            *uses.entry(text).or_default() += 1;
        }
        let mut needed_by: HashMap<&str, Vec<usize>> = HashMap::new();
        let mut textless = Vec::new();
        for (at, pattern) in patterns.iter().enumerate() {
            // The text that is the least shared tells the most, a long one more than a short one.
            let rank = |text: &&str| (uses.get(text).copied(), Reverse(text.len()));
            match pattern.texts().min_by_key(rank) {
                Some(text) => needed_by.entry(text).or_default().push(at),
                None => textless.push(at),
            }
        }
        let (texts, needed_by): (Vec<_>, Vec<_>) = needed_by.into_iter().unzip();
        let search =
            AhoCorasick::builder().kind(Some(AhoCorasickKind::ContiguousNFA)).build(&texts).ok()?;
        Some(Self { search, needed_by, textless })
    }

    fn matches(&self, patterns: &[Pattern<'static>], value: &str, budget: &StepBudget) -> bool {
        let matches =
            |at: &usize| patterns.get(*at).is_some_and(|pattern| pattern.matches(value, budget));
        budget.spend(2 * value.len());
        let mut tried = vec![];
        for found in self.search.find_overlapping_iter(value) {
            let text = found.pattern();
            if budget.is_used_up() {
                return false;
            }
            budget.spend(2 + tried.len());
            // A value may hold a text a hundred times.
            if tried.contains(&text) {
                continue;
            }
            tried.push(text);
            if self.needed_by.get(text.as_usize()).is_some_and(|of| of.iter().any(matches)) {
                return true;
            }
        }
        self.textless.iter().any(matches)
    }
}

#[cfg(test)]
mod tests {
    use super::super::variable::Syntax;
    use super::*;

    fn set(patterns: &[&str]) -> PatternSet {
        let syntax = Syntax { variables: true, wildcards: true };
        let mut set = PatternSet::default();
        patterns.iter().for_each(|text| set.push(Template::parse(text, syntax).unwrap()));
        set.build_index();
        set
    }

    /// Patterns that nothing below matches, so that there is an index.
    const OTHERS: [&str; 8] =
        ["*@0.test", "*@1.test", "*@2.test", "x*", "y*z", "*ab*ab*", "q?", "*?*@"];

    #[test]
    fn an_index_finds_what_each_pattern_alone_matches() {
        let patterns = [
            "a",
            "",
            "*",
            "?",
            "a*",
            "*a",
            "*a*",
            "a*a",
            "*@example.com",
            "*a*@example.com",
            "*b*@example.com",
            "??",
            "*aa*aa*",
            "ä*",
            "*\u{1f600}*",
            "?\u{1f600}",
        ];
        let values = [
            "",
            "a",
            "b",
            "aa",
            "aaa",
            "aaaa",
            "ab",
            "ba",
            "a@example.com",
            "b@example.com",
            "aaaaaaaaaaaaaaaaaaaaaaaa",
            "ä",
            "ää",
            "\u{1f600}",
            "a\u{1f600}",
            "c@0.test",
        ];
        let (budget, nothing) = (StepBudget::unbounded(), Context::new());
        for pattern in patterns {
            let alone = set(&[pattern]);
            let with_others: Vec<&str> = OTHERS.into_iter().chain([pattern]).collect();
            let (among, others) = (set(&with_others), set(&OTHERS));
            assert!(among.index.is_some() && alone.index.is_none());
            for value in values {
                assert_eq!(
                    among.matches(value, &nothing, &budget),
                    alone.matches(value, &nothing, &budget)
                        || others.matches(value, &nothing, &budget),
                    "{pattern} {value}"
                );
            }
        }
    }

    #[test]
    fn a_folded_set_finds_what_its_patterns_match_in_any_case() {
        let (budget, nothing) = (StepBudget::unbounded(), Context::new());
        let patterns = ["A*B", "*CEO*", "Straße", "ΟΣ*", "small", "?É", "*@Example.COM"];
        let others: Vec<String> = (0..8).map(|at| format!("*X{at}Y")).collect();
        for pattern in patterns {
            let mut alone = set(&[pattern]);
            alone.build_folded();
            assert_eq!(alone.has_case(), pattern != "small");
            let all: Vec<&str> = others.iter().map(String::as_str).chain([pattern]).collect();
            let mut among = set(&all);
            among.build_folded();
            for (value, matched_by) in [
                ("ab", "A*B"),
                ("the ceo", "*CEO*"),
                ("strasse", "Straße"),
                ("οσα", "ΟΣ*"),
                ("small", "small"),
                ("xé", "?É"),
                ("a@example.com", "*@Example.COM"),
                ("x", ""),
            ] {
                let wanted = matched_by == pattern;
                assert_eq!(
                    alone.matches_folded(value, &nothing, &budget),
                    wanted,
                    "{pattern} {value}"
                );
                assert_eq!(
                    among.matches_folded(value, &nothing, &budget),
                    wanted,
                    "{pattern} {value}"
                );
            }
        }
    }

    #[test]
    fn a_value_that_holds_a_text_often_is_compared_once() {
        let many: Vec<String> = (0..100).map(|at| format!("*a*{at}x")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let budget = StepBudget::of(1_000_000);
        assert!(!set(&many).matches(&"a".repeat(300), &Context::new(), &budget));
        assert!(!budget.is_used_up());
    }

    #[test]
    fn folding_what_a_variable_stands_for_is_paid_for() {
        let set = set(&["${ses:FromDisplayName}"]);
        for (value, is_dear) in [("\u{c9}".repeat(5_000), true), ("E".repeat(5_000), false)] {
            let mut context = Context::new();
            context.set("ses:FromDisplayName", value);
            let budget = StepBudget::of(100_000);
            assert!(!set.matches_folded("x", &context, &budget));
            assert_eq!(budget.is_used_up(), is_dear);
        }
    }

    #[test]
    fn a_used_up_budget_ends_the_comparison() {
        let budget = StepBudget::of(1_000);
        let pattern = format!("{}b", "*a".repeat(400));
        assert!(!set(&[&pattern]).matches(&"a".repeat(10_000), &Context::new(), &budget));
        assert!(budget.is_used_up());
    }
}
