//! Reads the documents to lint, and finds out what each is attached to.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use jsonc_parser::ast::Value;

use super::super::super::problems;
use super::super::files::{self, Found};
use super::super::json as places;
use super::{Arguments, ERRORS};
use crate::config::{Config, Sources};
use crate::gateway;
use crate::policy::PolicyKind;
use crate::policy::lint::{Attached, Finding, Rule, lint};

/// A document with what was found in it.
pub(in crate::cli::policy) struct Document {
    pub(in crate::cli::policy) path: PathBuf,
    pub(in crate::cli::policy) text: String,
    pub(in crate::cli::policy) findings: Vec<Finding>,
}

/// What a policy is attached to, where a configuration says it.
struct Use {
    kind: PolicyKind,
    identity: Option<String>,
}

/// Looks at documents one after the other.
pub(super) struct Linter<'a> {
    arguments: &'a Arguments,
    config: Option<Config>,
    /// The codes of findings that are left out.
    codes: Vec<&'static str>,
    now: SystemTime,
    pub(super) documents: Vec<Document>,
    /// What cannot be read, and why.
    pub(super) unread: Vec<(PathBuf, String)>,
    /// How many findings were left out.
    pub(super) allowed: usize,
}

impl<'a> Linter<'a> {
    /// Reads the configuration, if there is one; without it, the exit status.
    pub(super) fn new(arguments: &'a Arguments) -> Result<Self, ExitCode> {
        #[expect(clippy::disallowed_methods, reason = "decides which times in policies are over")]
        let now = SystemTime::now();
        let mut codes = arguments.allow.clone();
        let mut config = None;
        if let Some(file) = &arguments.config {
            let sources = Sources::new(Some(file.clone()), std::env::vars_os(), Vec::new());
            let (read, problems) = Config::read(&sources);
            let Some(read) = read else {
                problems::print(&problems, problems::Severity::Mistake);
                return Err(ExitCode::from(ERRORS));
            };
            for code in &read.lint.allow {
                match Rule::to_allow(&code.value) {
                    Ok(rule) => codes.push(rule.code),
                    Err(message) => {
                        let problem = read.origin.problem(code.place, message);
                        problems::print(&[problem], problems::Severity::Mistake);
                        return Err(ExitCode::from(ERRORS));
                    }
                }
            }
            config = Some(read);
        }
        let (documents, unread) = (Vec::new(), Vec::new());
        Ok(Self { arguments, config, codes, now, documents, unread, allowed: 0 })
    }

    /// Reads the files of the command line, or without any the policies of the configuration.
    pub(super) fn read(&mut self) {
        if self.arguments.files.is_empty() {
            return self.read_configured();
        }
        for path in &self.arguments.files {
            let mut problems = Vec::new();
            let (files, is_folder) = match files::find(path, &mut problems) {
                Found::File(file) => (vec![file], false),
                Found::Folder(files) => (files, true),
            };
            self.unread.extend(problems);
            for file in files {
                match read(&file) {
                    Ok(text) if is_folder && is_of_cases(&text) => {}
                    Ok(text) => {
                        let uses = self.uses(&file);
                        self.lint(file, text, &uses);
                    }
                    Err(error) => self.unread.push((file, error.to_string())),
                }
            }
        }
    }

    fn read_configured(&mut self) {
        let Some(config) = self.config.take() else { return };
        let mut seen: Vec<String> = Vec::new();
        let used = gateway::documents(&config);
        for it in &used {
            let document = &it.document.value;
            let name = document.to_string();
            if seen.contains(&name) {
                continue;
            }
            let same = used.iter().filter(|other| other.document.value.to_string() == name);
            let uses: Vec<_> = same.map(Use::of).collect();
            let path = document.file().map_or_else(|| PathBuf::from(&name), Path::to_owned);
            match document.read() {
                Ok(text) => self.lint(path, text, &uses),
                Err(error) => self.unread.push((path, error.to_string())),
            }
            seen.push(name);
        }
    }

    /// What the configuration attaches a file to; without a word of it, what the command line says.
    fn uses(&self, file: &Path) -> Vec<Use> {
        let real = |file: &Path| std::fs::canonicalize(file).ok();
        let wanted = real(file);
        let is_it = |used: &gateway::Used<'_>| {
            let file = used.document.value.file();
            wanted.is_some() && file.and_then(real) == wanted
        };
        let used = self.config.iter().flat_map(gateway::documents);
        let uses: Vec<_> = used.filter(is_it).map(|used| Use::of(&used)).collect();
        match uses.is_empty() {
            true => vec![Use { kind: self.arguments.kind.into(), identity: None }],
            false => uses,
        }
    }

    /// Looks at a document as each of its uses has it.
    fn lint(&mut self, path: PathBuf, text: String, uses: &[Use]) {
        let name = path.display().to_string();
        let mut findings: Vec<Finding> = Vec::new();
        for it in uses {
            let attached = Attached { kind: it.kind, identity: it.identity.as_deref() };
            for finding in lint(attached, &name, &text, self.now) {
                if !findings.contains(&finding) {
                    findings.push(finding);
                }
            }
        }
        findings.sort_by_key(|finding| (finding.line(), finding.column()));
        let all = findings.len();
        findings.retain(|finding| !self.codes.contains(&finding.code()));
        self.allowed += all - findings.len();
        self.documents.push(Document { path, text, findings });
    }
}

impl Use {
    fn of(used: &gateway::Used<'_>) -> Self {
        Self { kind: used.kind, identity: used.identity.clone() }
    }
}

/// Tells whether a text is a file of cases, as `sesgate policy test` plays them.
fn is_of_cases(text: &str) -> bool {
    match places::parse(text) {
        Ok(Value::Array(_)) => true,
        Ok(Value::Object(object)) => places::member(&object, "cases").is_some(),
        _ => false,
    }
}

fn read(file: &Path) -> io::Result<String> {
    if file.as_os_str() == "-" {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text)?;
        return Ok(text);
    }
    std::fs::read_to_string(file)
}
