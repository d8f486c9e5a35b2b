//! Played cases as JUnit XML, in the form that CI systems read: a suite a file, a test a case.

use std::io::{self, Write};
use std::time::Duration;

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};

use super::cases::Played;
use super::coverage::{Counted, Reached};
use crate::redact::printable;

/// A file of cases and what came of it.
#[derive(Debug)]
pub(super) struct Suite {
    /// The file, as the operator named it.
    pub(super) file: String,
    /// Its cases in their order, or why it could not be played.
    pub(super) played: Result<Vec<Played>, String>,
}

impl Suite {
    /// The cases that were played.
    pub(super) fn cases(&self) -> &[Played] {
        self.played.as_deref().unwrap_or_default()
    }

    /// How many of them failed.
    pub(super) fn failures(&self) -> usize {
        self.cases().iter().filter(|case| case.result.is_err()).count()
    }

    fn errors(&self) -> usize {
        usize::from(self.played.is_err())
    }

    fn tests(&self) -> usize {
        self.cases().len() + self.errors()
    }

    fn took(&self) -> Duration {
        self.cases().iter().map(|case| case.took).sum()
    }
}

/// Writes the report of a command.
///
/// # Errors
/// When it cannot be written.
pub(super) fn write(
    command: &str,
    suites: &[Suite],
    coverage: Option<&Reached>,
    out: &mut impl Write,
) -> io::Result<()> {
    let mut xml = Writer::new_with_indent(&mut *out, b' ', 2);
    xml.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let sum = |count: fn(&Suite) -> usize| suites.iter().map(count).sum::<usize>();
    let files = coverage.map_or(0, |it| it.files.len());
    let missing = coverage.map_or(0, |it| it.failures().count());
    xml.create_element("testsuites")
        .with_attributes([
            ("name", command),
            ("tests", &(sum(Suite::tests) + files).to_string()),
            ("failures", &(sum(Suite::failures) + missing).to_string()),
            ("errors", &sum(Suite::errors).to_string()),
            ("time", &seconds(suites.iter().map(Suite::took).sum())),
        ])
        .write_inner_content(|xml| {
            suites.iter().try_for_each(|suite| write_suite(suite, xml))?;
            coverage.map_or(Ok(()), |coverage| write_coverage(coverage, xml))
        })?;
    writeln!(out)
}

fn write_suite<W: Write>(suite: &Suite, xml: &mut Writer<W>) -> io::Result<()> {
    let file = allowed(&suite.file);
    xml.create_element("testsuite")
        .with_attributes([
            ("name", file.as_str()),
            ("tests", &suite.tests().to_string()),
            ("failures", &suite.failures().to_string()),
            ("errors", &suite.errors().to_string()),
            ("skipped", "0"),
            ("time", &seconds(suite.took())),
            ("file", &file),
        ])
        .write_inner_content(|xml| match &suite.played {
            Ok(cases) => cases.iter().try_for_each(|case| write_case(case, &file, xml)),
            Err(problem) => write_problem(problem, &file, xml),
        })?;
    Ok(())
}

fn write_case<W: Write>(case: &Played, file: &str, xml: &mut Writer<W>) -> io::Result<()> {
    let element = xml.create_element("testcase").with_attributes([
        ("classname", file),
        ("name", &allowed(&case.name)),
        ("file", file),
        ("line", &case.line.to_string()),
        ("time", &seconds(case.took)),
    ]);
    let Err(failure) = &case.result else {
        element.write_empty()?;
        return Ok(());
    };
    let (name, line) = (allowed(&case.name), case.line);
    let (expected, got) = (allowed(&failure.expected), allowed(&failure.got));
    let message = format!("expected {expected}, got {got}");
    let text = format!("{file}:{line}: {name}\nexpected {expected}\ngot      {got}");
    element.write_inner_content(|xml| {
        xml.create_element("failure")
            .with_attributes([("message", message.as_str()), ("type", "decision")])
            .write_text_content(BytesText::new(&text))?;
        Ok(())
    })?;
    Ok(())
}

/// A file that could not be played: a test that is in error, so that no reader passes it over.
fn write_problem<W: Write>(problem: &str, file: &str, xml: &mut Writer<W>) -> io::Result<()> {
    let problem = allowed(problem);
    xml.create_element("testcase")
        .with_attributes([
            ("classname", file),
            ("name", "the file can be read"),
            ("file", file),
            ("time", &seconds(Duration::ZERO)),
        ])
        .write_inner_content(|xml| {
            xml.create_element("error")
                .with_attributes([("message", problem.as_str()), ("type", "file")])
                .write_text_content(BytesText::new(&problem))?;
            Ok(())
        })?;
    Ok(())
}

/// What cases reach of the policies: a test a file, which fails when that is too little in all.
fn write_coverage<W: Write>(coverage: &Reached, xml: &mut Writer<W>) -> io::Result<()> {
    let (tests, failures) = (coverage.files.len(), coverage.failures().count());
    xml.create_element("testsuite")
        .with_attributes([
            ("name", "coverage"),
            ("tests", tests.to_string().as_str()),
            ("failures", &failures.to_string()),
            ("errors", "0"),
            ("skipped", "0"),
            ("time", &seconds(Duration::ZERO)),
        ])
        .write_inner_content(|xml| {
            coverage.files.iter().try_for_each(|file| write_covered(file, coverage, xml))
        })?;
    Ok(())
}

fn write_covered<W: Write>(
    file: &Counted,
    coverage: &Reached,
    xml: &mut Writer<W>,
) -> io::Result<()> {
    let name = allowed(&file.file);
    let element = xml.create_element("testcase").with_attributes([
        ("classname", "coverage"),
        ("name", name.as_str()),
        ("file", &name),
        ("time", &seconds(Duration::ZERO)),
    ]);
    if file.missed.is_empty() {
        element.write_empty()?;
        return Ok(());
    }
    let lines: Vec<_> = file.missed.iter().map(|line| allowed(line)).collect();
    let (text, message) = (lines.join("\n"), coverage.to_string());
    element.write_inner_content(|xml| {
        let text = BytesText::new(&text);
        if coverage.is_enough() {
            xml.create_element("system-out").write_text_content(text)?;
        } else {
            xml.create_element("failure")
                .with_attributes([("message", message.as_str()), ("type", "coverage")])
                .write_text_content(text)?;
        }
        Ok(())
    })?;
    Ok(())
}

fn seconds(time: Duration) -> String {
    format!("{:.6}", time.as_secs_f64())
}

/// One line for people, as the text format has it, without the two characters besides that XML 1.0 cannot
/// hold even escaped.
fn allowed(text: &str) -> String {
    printable(text).replace(['\u{FFFE}', '\u{FFFF}'], "\u{FFFD}")
}
