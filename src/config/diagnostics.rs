//! What a configuration is read from, as one run of places: the text of a file, and behind it one
//! place for each variable and each flag. So a value knows where it came from, whatever that is.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;

use toml_span::Span;

use super::path::{self, ReadSetting, SettingValue, Step};
use super::place::{Label, OriginKind, Place, Problem, one_line, problem};

/// What is read, and what was found wrong in it so far.
pub(super) struct Source<'t> {
    file: Option<&'t Path>,
    text: &'t str,
    /// Where each line begins: places are many in a large file.
    lines: Vec<usize>,
    labels: RefCell<Vec<Label>>,
    /// Lists of which variables or flags number the entries.
    numbered: RefCell<BTreeSet<&'static str>>,
    discovers: bool,
    problems: RefCell<Vec<Problem>>,
    settings: RefCell<Vec<ReadSetting>>,
}

impl<'t> Source<'t> {
    pub(super) fn new(file: Option<&'t Path>, text: &'t str) -> Self {
        Self {
            file,
            text,
            lines: [0].into_iter().chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect(),
            labels: RefCell::default(),
            numbered: RefCell::default(),
            discovers: false,
            problems: RefCell::default(),
            settings: RefCell::default(),
        }
    }

    /// A source without values, from which every setting is read, those of lists included.
    pub(super) fn discovering() -> Self {
        Self { discovers: true, ..Self::new(None, "") }
    }

    pub(super) fn discovers(&self) -> bool {
        self.discovers
    }

    pub(super) fn file(&self) -> Option<&'t Path> {
        self.file
    }

    pub(super) fn labels(&self) -> Vec<Label> {
        self.labels.borrow().clone()
    }

    pub(super) fn take_read(&self) -> Vec<ReadSetting> {
        self.settings.take()
    }

    pub(super) fn into_problems(self) -> Vec<Problem> {
        let mut problems = self.problems.into_inner();
        problems.sort();
        problems.dedup();
        problems
    }

    /// How many problems were noted.
    pub(super) fn noted(&self) -> usize {
        self.problems.borrow().len()
    }

    /// Forgets the problems behind so many.
    pub(super) fn forget(&self, behind: usize) {
        self.problems.borrow_mut().truncate(behind);
    }

    /// Gives what says a value a place of its own.
    pub(super) fn say(&self, label: Label) -> Span {
        let mut labels = self.labels.borrow_mut();
        let start = self.text.len() + 1 + labels.len();
        labels.push(label);
        Span::new(start, start + 1)
    }

    /// Remembers that the entries of a list were numbered.
    pub(super) fn number(&self, list: &'static str) {
        self.numbered.borrow_mut().insert(list);
    }

    /// Returns the variable of a setting, by the short name unless the others are numbered.
    pub(super) fn variable(&self, path: &[Step]) -> String {
        match path.first() {
            Some(Step::Key(list)) if self.numbered.borrow().contains(list) => path::variable(path),
            _ => path::shortest(path),
        }
    }

    /// Returns the name under which lines of a text that a setting holds are reported.
    pub(super) fn name_of_text(&self, place: Place, path: &[Step]) -> String {
        let labels = self.labels.borrow();
        match (place.label.checked_sub(1).and_then(|at| labels.get(at)), self.file) {
            (Some(Label { by: OriginKind::Variable, name }), _) => format!("${name}"),
            (None, Some(file)) => format!("{}#{}", file.display(), path::key(path)),
            _ => path::key(path),
        }
    }

    /// Which variable or flag a place belongs to, counted from 1; 0 is the file.
    fn label(&self, span: Span) -> usize {
        span.start.saturating_sub(self.text.len())
    }

    /// Whether a value came from a variable or a flag, so that it is a text whatever is wanted.
    pub(super) fn is_override(&self, span: Span) -> bool {
        self.label(span) > 0
    }

    /// Whether what is missing at this place should be given as a variable.
    pub(super) fn expects_variables(&self, span: Span) -> bool {
        match self.label(span).checked_sub(1) {
            Some(at) => {
                let labels = self.labels.borrow();
                labels.get(at).is_some_and(|label| label.by != OriginKind::Flag)
            }
            // A section that the file does not have, beside variables that say others.
            None if span.end == 0 => {
                let labels = self.labels.borrow();
                self.file.is_none() || labels.iter().any(|label| label.by == OriginKind::Variable)
            }
            None => self.file.is_none(),
        }
    }

    pub(super) fn place(&self, span: Span) -> Place {
        let label = self.label(span);
        if label > 0 {
            return Place { label, ..Place::default() };
        }
        let line = self.lines.partition_point(|start| *start <= span.start);
        let start = line.checked_sub(1).and_then(|at| self.lines.get(at)).copied().unwrap_or(0);
        let before = self.text.get(start..span.start).unwrap_or_default();
        // A byte order mark is nothing that an editor counts.
        let before = before.strip_prefix('\u{feff}').unwrap_or(before);
        Place { label, line, column: before.chars().count() + 1 }
    }

    pub(super) fn report(&self, span: Span, message: impl Into<String>) {
        self.report_at(self.place(span), message);
    }

    pub(super) fn report_at(&self, place: Place, message: impl Into<String>) {
        let problem = problem(self.file, &self.labels.borrow(), place, message.into());
        self.problems.borrow_mut().push(problem);
    }

    /// Notes a problem of a variable or a flag that says nothing which could be read.
    pub(super) fn report_about(&self, name: &str, message: impl Into<String>) {
        self.problems.borrow_mut().push(Problem {
            file: one_line(name),
            place: None,
            message: one_line(&message.into()),
        });
    }

    pub(super) fn record(&self, setting: ReadSetting) {
        self.settings.borrow_mut().push(setting);
    }

    /// Corrects what was recorded of the setting that was read last.
    pub(super) fn amend_last(&self, value: SettingValue) {
        if let Some(last) = self.settings.borrow_mut().last_mut() {
            last.value = value;
        }
    }
}
