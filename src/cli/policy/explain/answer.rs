//! What the relay would say, and every request behind it, for people and for machines.

use std::collections::BTreeMap;
use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use serde_json::{Value, json};

use super::super::asker::Asker;
use super::asking::Asking;
use crate::redact::{printable, printable_json};

/// Statements that are no near miss and still shown, the nearest ones.
const OTHERS: usize = 5;

/// What the relay would say.
#[derive(Default)]
pub(super) struct Answer {
    pub(super) allowed: bool,
    /// What refuses the message, and why where the reply does not say.
    pub(super) reply: Option<String>,
    pub(super) reason: Option<String>,
    /// Addresses that no known identity covers, though SES wants one verified.
    pub(super) uncovered: Vec<String>,
    pub(super) requests: Vec<Asking>,
    /// How many more requests there are.
    pub(super) more: usize,
}

/// What there is to say beside the answer.
pub(super) struct Remarks<'a> {
    pub(super) asker: &'a Asker,
    /// What the command line left open.
    pub(super) assumed: &'a [String],
    /// Mistakes for which the relay would not start.
    pub(super) problems: &'a [String],
    /// What the running relay may know beyond what counted here.
    pub(super) unknown: &'a [&'static str],
}

impl Answer {
    pub(super) fn print_json(&self, remarks: &Remarks<'_>) -> io::Result<()> {
        let requests = self.requests.iter().map(Asking::to_json);
        let answer = json!({
            "allowed": self.allowed,
            "reply": self.reply,
            "reason": self.reason,
            "uncovered": self.uncovered,
            "client": remarks.asker.to_json(),
            "assumed": remarks.assumed,
            "unknown": remarks.unknown,
            "problems": remarks.problems,
            "requests": requests.collect::<Vec<_>>(),
            "requests_not_explained": self.more,
        });
        writeln!(io::stdout(), "{}", printable_json(&format!("{answer:#}")))
    }

    pub(super) fn print_text(&self, remarks: &Remarks<'_>) -> io::Result<()> {
        let mut out = anstream::stdout().lock();
        let styles = Styles::new();
        let Styles { good, bad, weak } = styles;
        match (self.allowed, &self.reply) {
            (true, _) => writeln!(out, "{good}allowed{good:#}")?,
            (false, reply) => {
                let reply = printable(reply.as_deref().unwrap_or_default());
                writeln!(out, "{bad}refused{bad:#} {reply}")?;
            }
        }
        if let Some(reason) = &self.reason {
            writeln!(out, "because {}", printable(reason))?;
        }
        for address in &self.uncovered {
            writeln!(
                out,
                "{bad}not verified{bad:#} as far as is known here: no identity covers `{}`, and SES refuses \
                 it until it or its domain is verified",
                printable(address)
            )?;
        }
        for line in remarks.asker.lines() {
            writeln!(out, "{}", printable(&line))?;
        }
        for assumed in remarks.assumed {
            writeln!(out, "assumed: {}", printable(assumed))?;
        }
        for unknown in remarks.unknown {
            writeln!(out, "not known here: {unknown}")?;
        }
        if !remarks.problems.is_empty() {
            writeln!(
                out,
                "{bad}the relay would not start{bad:#} with this configuration; what could be read \
                 of it counted:"
            )?;
            for problem in remarks.problems {
                writeln!(out, "  {weak}{}{weak:#}", printable(problem))?;
            }
        }
        let all = self.requests.len();
        let mut shown = vec![false; all];
        for (at, request) in self.requests.iter().enumerate() {
            if shown.get(at) != Some(&false) {
                continue;
            }
            writeln!(out)?;
            // What is the same of several resources is told once.
            for (number, other) in self.requests.iter().enumerate().skip(at) {
                if number == at || request.is_like(other) {
                    if let Some(shown) = shown.get_mut(number) {
                        *shown = true;
                    }
                    let resource = printable(&other.resource);
                    writeln!(out, "request {} of {all}: {resource}", number + 1)?;
                    for why in &other.why {
                        writeln!(out, "  {weak}asked because{weak:#} {}", printable(why))?;
                    }
                }
            }
            request.print(&mut out, styles)?;
        }
        if self.more > 0 {
            writeln!(out, "\nand {} more requests, which end as these do", self.more)?;
        }
        Ok(())
    }
}

#[derive(Clone, Copy)]
struct Styles {
    good: Style,
    bad: Style,
    weak: Style,
}

impl Styles {
    fn new() -> Self {
        let bold = |color: AnsiColor| Style::new().fg_color(Some(color.into())).bold();
        Self {
            good: bold(AnsiColor::Green),
            bad: bold(AnsiColor::Red),
            weak: Style::new().dimmed(),
        }
    }
}

impl Asking {
    fn to_json(&self) -> Value {
        json!({
            "resource": self.resource,
            "why": self.why,
            "decision": self.verdict.decision,
            "statement": self.verdict.statement,
            "spelling": self.verdict.spelling,
            "refused_by": self.refused_by,
            "context": self.context,
            "statements": self.statements.iter().map(super::asking::Line::to_json).collect::<Vec<_>>(),
        })
    }

    fn print(&self, out: &mut impl Write, styles: Styles) -> io::Result<()> {
        let Styles { good, bad, weak } = styles;
        self.print_context(out, weak)?;
        let style = if self.allowed { good } else { bad };
        let settled = match &self.verdict.statement {
            Some(statement) if self.allowed => statement.clone(),
            Some(statement) => format!("{statement}, of {}", self.refused_by.join(" and of ")),
            None if self.refused_by.is_empty() => "no statement allows it".to_owned(),
            None => format!("no statement of {} allows it", self.refused_by.join(" nor of ")),
        };
        writeln!(out, "  {style}{}{style:#}: {}", self.verdict.decision, printable(&settled))?;
        if let Some(spelling) = &self.verdict.spelling {
            writeln!(out, "    by a spelling: {}", printable(spelling))?;
        }
        if self.allowed {
            return Ok(());
        }
        // A Deny that does not apply is no near miss, nor is an Allow of a layer that allows anyway.
        let mut shown: Vec<_> = self.statements.iter().filter(|line| line.matters).collect();
        shown.sort_by_key(|line| line.distance);
        let (near, far) = shown.split_at_checked(OTHERS).unwrap_or((&shown, &[]));
        let mut layers = Vec::new();
        for line in near {
            // The nearest of each layer is told in whole.
            let is_nearest = !layers.contains(&line.layer);
            layers.push(line.layer);
            line.print(out, weak, is_nearest || line.applies)?;
        }
        if !far.is_empty() {
            writeln!(out, "  {weak}and {} statements that are further away{weak:#}", far.len())?;
        }
        Ok(())
    }

    fn print_context(&self, out: &mut impl Write, weak: Style) -> io::Result<()> {
        let of_mail: BTreeMap<_, _> =
            self.context.iter().filter(|(key, _)| key.starts_with("ses:")).collect();
        for (key, values) in of_mail {
            let (key, values) = (printable(key), values.join(", "));
            writeln!(out, "  {weak}{key}{weak:#} {}", printable(&values))?;
        }
        Ok(())
    }
}
