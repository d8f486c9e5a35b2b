//! What cases reach of the policies that stand in files: statements, and the operands of conditions.
//!
//! A statement is reached by a request that it applies to. An operand is reached by a request with a
//! value that is this operand, when all else in its statement fits: so it is the operand that decides.
//! Policies that are written in a case are part of the case, and not counted.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jsonc_parser::ast::Value;
use jsonc_parser::common::Ranged;

use super::files::plain;
use super::json::{self, Mistake, one_or_list};
use crate::config::Config;
use crate::gateway;
use crate::policy::{
    Condition, Effect, Layers, Outcome, Part, Policy, PolicyKind, Request, Statement, explain,
};

/// What was reached so far.
#[derive(Debug, Default)]
pub(super) struct Coverage {
    files: Vec<File>,
    /// The file of each policy that was read; it is held, so that its address stays its own.
    read: HashMap<*const Policy, (usize, Arc<Policy>)>,
    /// Files of configurations by kind and the name that policies have there.
    configured: HashMap<(PolicyKind, String), usize>,
}

/// A policy in a file.
#[derive(Debug)]
struct File {
    /// As it was named first.
    name: String,
    real: PathBuf,
    kind: PolicyKind,
    statements: Vec<Covered>,
}

#[derive(Debug)]
struct Covered {
    reached: Target,
    effect: Effect,
    /// The operands of each condition.
    conditions: Vec<Vec<Operand>>,
}

#[derive(Debug)]
struct Operand {
    reached: Target,
    /// Holds for a request with a value that is the operand.
    alone: Condition,
}

/// A part of a policy, and whether a case reached it.
#[derive(Debug)]
struct Target {
    line: usize,
    column: usize,
    what: String,
    is: bool,
}

/// What was reached of all files, and how much was asked for.
#[derive(Debug)]
pub(super) struct Reached {
    pub(super) files: Vec<Counted>,
    least: u8,
}

impl Reached {
    pub(super) fn new(coverage: &Coverage, least: u8) -> Self {
        Self { files: coverage.count(), least }
    }

    fn counts(&self) -> (usize, usize) {
        let sum = |count: fn(&Counted) -> usize| self.files.iter().map(count).sum();
        (sum(|file| file.reached), sum(|file| file.all))
    }

    /// Returns what was reached, in percent; without any policy in a file there is nothing to miss.
    pub(super) fn percent(&self) -> f64 {
        match self.counts() {
            (_, 0) => 100.0,
            #[expect(clippy::cast_precision_loss, reason = "policies are small")]
            (reached, all) => 100.0 * reached as f64 / all as f64,
        }
    }

    /// The files that have a part in too little being reached.
    pub(super) fn failures(&self) -> impl Iterator<Item = &Counted> {
        let is_enough = self.is_enough();
        self.files.iter().filter(move |file| !is_enough && !file.missed.is_empty())
    }

    pub(super) fn is_enough(&self) -> bool {
        let (reached, all) = self.counts();
        100 * reached >= usize::from(self.least) * all
    }
}

impl fmt::Display for Reached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (reached, all) = self.counts();
        // What is not all of it is not shown as such.
        let percent = (self.percent() * 10.0).floor() / 10.0;
        write!(f, "coverage {percent:.1} %: {reached} of {all} statements and operands")?;
        if self.is_enough() { Ok(()) } else { write!(f, ", less than {} %", self.least) }
    }
}

/// What was reached of one file.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) file: String,
    pub(super) reached: usize,
    pub(super) all: usize,
    /// What was not, a line each, with its place.
    pub(super) missed: Vec<String>,
}

impl Coverage {
    /// Adds a policy of a case that was read from a file.
    pub(super) fn add(&mut self, policy: &Arc<Policy>, path: &Path, text: &str) {
        let at = self.file(policy, path, text);
        self.read.insert(Arc::as_ptr(policy), (at, Arc::clone(policy)));
    }

    /// Adds all policies of a configuration that stand in files.
    pub(super) fn add_configured(&mut self, config: &Config) {
        for used in gateway::documents(config) {
            let document = &used.document.value;
            let Some(path) = document.file() else { continue };
            let Ok(text) = document.read() else { continue };
            let name = document.to_string();
            let Ok(policy) = Policy::parse(used.kind, &name, &text) else { continue };
            let at = self.file(&policy, path, &text);
            self.configured.insert((used.kind, name), at);
        }
    }

    fn file(&mut self, policy: &Policy, path: &Path, text: &str) -> usize {
        let real = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let is_it = |file: &File| file.real == real && file.kind == policy.kind();
        self.files.iter().position(is_it).unwrap_or_else(|| {
            let name = plain(path).display().to_string();
            let statements = policy.statements().iter().zip(places(text));
            let statements = statements.map(|(it, places)| Covered::new(it, places)).collect();
            self.files.push(File { name, real, kind: policy.kind(), statements });
            self.files.len() - 1
        })
    }

    /// Notes what a request reaches.
    pub(super) fn observe<'a>(&mut self, layers: &Layers<'a>, request: &Request<'a>) {
        for explained in explain(layers, request) {
            let policy = explained.policy;
            let read = self.read.get(&std::ptr::from_ref(policy)).map(|(at, _)| at);
            let named = || self.configured.get(&(policy.kind(), policy.name().to_owned()));
            let file = read.or_else(named).and_then(|at| self.files.get_mut(*at));
            let Some(statement) =
                file.and_then(|file| file.statements.get_mut(explained.statement.index()))
            else {
                continue;
            };
            statement.reached.is |= matches!(explained.outcome, Outcome::Applies(_));
            let failing = explained.mismatches().count();
            let conditions =
                explained.checks.iter().filter(|it| matches!(it.part, Part::Condition(_)));
            for (check, operands) in conditions.zip(&mut statement.conditions) {
                if failing > usize::from(!check.holds) {
                    continue;
                }
                for operand in operands.iter_mut().filter(|operand| !operand.reached.is) {
                    operand.reached.is = operand.alone.holds(request.context, statement.effect);
                }
            }
        }
    }

    /// Counts what was reached, by file.
    pub(super) fn count(&self) -> Vec<Counted> {
        let files = self.files.iter().map(|file| {
            let mut counted = Counted { file: file.name.clone(), ..Counted::default() };
            for part in file.statements.iter().flat_map(Covered::parts) {
                counted.all += 1;
                if part.is {
                    counted.reached += 1;
                } else {
                    let Target { line, column, what, .. } = part;
                    counted.missed.push(format!("{}:{line}:{column}: {what}", file.name));
                }
            }
            counted
        });
        let mut files: Vec<_> = files.collect();
        files.sort_by(|one, other| one.file.cmp(&other.file));
        files
    }
}

impl Covered {
    fn new(statement: &Statement, places: Vec<Vec<(usize, usize)>>) -> Self {
        let name = match statement.sid() {
            Some(sid) => format!("statement `{sid}`"),
            None => format!("statement {}", statement.index() + 1),
        };
        let conditions = statement.conditions().iter().zip(places).map(|(condition, places)| {
            let (operator, key) = (condition.operator(), condition.key());
            let operands = condition.each_operand().into_iter().zip(condition.operands());
            let operands = operands.zip(places).map(|((alone, text), (line, column))| {
                let what = format!("no case reaches `{text}` of `{operator}` on `{key}` ({name})");
                Operand { reached: Target { line, column, what, is: false }, alone }
            });
            operands.collect()
        });
        let what = format!("no case reaches {name}");
        let (line, column) = (statement.line(), statement.column());
        Self {
            reached: Target { line, column, what, is: false },
            effect: statement.effect(),
            conditions: conditions.collect(),
        }
    }

    fn parts(&self) -> impl Iterator<Item = &Target> {
        let operands = self.conditions.iter().flatten().map(|operand| &operand.reached);
        std::iter::once(&self.reached).chain(operands)
    }
}

/// Where the operands of each condition of each statement stand, in the order in which a policy has
/// them.
fn places(text: &str) -> Vec<Vec<Vec<(usize, usize)>>> {
    let Ok(Value::Object(document)) = json::parse(text) else { return Vec::new() };
    let statements = json::member(&document, "Statement").map_or(&[][..], one_or_list);
    let of_statement = |statement: &Value<'_>| {
        let Value::Object(statement) = statement else { return Vec::new() };
        let Some(Value::Object(block)) = json::member(statement, "Condition") else {
            return Vec::new();
        };
        let keys = block.properties.iter().filter_map(|operator| operator.value.as_object());
        let operands = keys.flat_map(|keys| &keys.properties).map(|key| one_or_list(&key.value));
        let place = |operand: &Value<'_>| Mistake::new(operand.range().start, "").place(text);
        operands.map(|operands| operands.iter().map(place).collect()).collect()
    };
    statements.iter().map(of_statement).collect()
}
