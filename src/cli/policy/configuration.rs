//! The configuration that messages of cases are decided under: a file of the relay, or the same
//! sections and keys as JSON in the case.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use jsonc_parser::ast::{Object, Value};
use jsonc_parser::common::Ranged;

use super::super::read_all;
use super::asker::is_enough;
use super::json::{self, Mistake};
use crate::authorize::Authorizer;
use crate::config::{Config, Document, Problem, Sources};
use crate::gateway;
use crate::principals::Principal;

/// The account of a case that names none.
const ACCOUNT: &str = "123456789012";
/// The keys whose values are policies, which JSON has as they are.
const DOCUMENTS: [&str; 3] = ["policies", "boundary", "service_control_policies"];
/// The name that a policy has until its text is put in its place.
const PLACE: &str = "document:";

/// What decides about messages, as the relay would have it.
#[derive(Debug)]
pub(super) struct Configuration {
    pub(super) config: Config,
    pub(super) authorizer: Authorizer,
    pub(super) users: Vec<Principal>,
    /// Whether listeners say who their clients are; without any the case does.
    pub(super) has_listeners: bool,
    /// What the relay may know beyond what is known here.
    pub(super) unknown: Vec<&'static str>,
    /// What is wrong with it.
    pub(super) problems: Vec<Problem>,
}

impl Configuration {
    /// Reads what the relay would. With mistakes in it something may be decided by it all the same:
    /// [`Configuration::is_enough`].
    ///
    /// # Errors
    /// What is wrong with it, when nothing can be decided by it.
    pub(super) fn read(sources: &Sources) -> Result<Self, Vec<Problem>> {
        match read_all(sources) {
            (Some((config, loaded)), problems) => Ok(Self::new(config, loaded, true, problems)),
            (None, problems) => Err(problems),
        }
    }

    /// Reads a file of the relay.
    pub(super) fn of_file(path: &Path, named: &Value<'_>) -> Result<Self, Mistake> {
        let sources = Sources::new(Some(path.to_owned()), std::env::vars_os(), Vec::new());
        Self::read(&sources).map_err(|problems| Mistake::of(named, told(&problems)))
    }

    /// Reads what a case says itself, or nothing; paths are relative to the file of cases.
    pub(super) fn of_case(
        file: &Path,
        written: Option<(&Value<'_>, &str)>,
        user: &str,
    ) -> Result<Self, Mistake> {
        let mut toml = Toml::default();
        let section = match written {
            Some((value, text)) => {
                let object = json::object(value, "`config`", &SECTIONS)?;
                toml.sections(object, text)?;
                Some(object)
            }
            None => None,
        };
        let has = |name: &str| section.is_some_and(|it| json::member(it, name).is_some());
        if !has("account") {
            toml.out.push_str("account = {id = \"");
            toml.out.push_str(ACCOUNT);
            toml.out.push_str("\"}\n");
        }
        if !has("upstream") {
            toml.out.push_str("upstream = {kind = \"outbox\", directory = \"outbox\"}\n");
        }
        let name =
            serde_json::Value::from(section.and_then(first_user).unwrap_or(user)).to_string();
        if !has("users") {
            toml.out.push_str(&format!("users = [{{name = {name}}}]\n"));
        }
        if !has("listeners") {
            toml.out.push_str(&format!(
                "listeners = [{{address = \"127.0.0.1:2525\", tls = \"off\", user = {name}}}]\n"
            ));
        }
        let (config, problems) = Config::parse(file, &toml.out);
        let is_here = |problem: &Problem| problem.file == file.display().to_string();
        let at = |problem: &Problem| {
            let place = match is_here(problem) {
                true => problem.place.and_then(|place| toml.place(place)),
                false => toml.documents.iter().find(|it| it.name == problem.file).map(|it| it.at),
            };
            place.or(written.map(|(value, _)| value.range().start)).unwrap_or(0)
        };
        let (Some(mut config), None) = (config, problems.first()) else {
            let problem = problems.first();
            let what = problem.map(|it| it.message.clone()).unwrap_or_default();
            return Err(Mistake::new(problem.map_or(0, at), format!("`config`: {what}")));
        };
        toml.put_documents(&mut config);
        let loaded = gateway::load(&config);
        if let Some(problem) = loaded.problems.first() {
            let shown = match is_here(problem) {
                true => problem.message.clone(),
                false => problem.to_string(),
            };
            return Err(Mistake::new(at(problem), format!("`config`: {shown}")));
        }
        Ok(Self::new(config, loaded, has("listeners"), Vec::new()))
    }

    fn new(
        config: Config,
        loaded: gateway::Loaded,
        has_listeners: bool,
        problems: Vec<Problem>,
    ) -> Self {
        #[expect(clippy::disallowed_methods, reason = "how old what SES said may be")]
        let now = SystemTime::now();
        let explainer = loaded.parts.into_explainer(&config, now);
        let (authorizer, users) = (explainer.authorizer, explainer.users);
        Self { config, authorizer, users, has_listeners, unknown: explainer.unknown, problems }
    }

    /// Says what of a user's mail cannot be decided: that mistakes concern it. Where its identity
    /// policies are `replaced`, those do not count.
    pub(super) fn is_enough(&self, principal: &Principal, replaced: bool) -> Result<(), String> {
        if is_enough(&self.config, principal, replaced) {
            Ok(())
        } else {
            Err(told(&self.problems))
        }
    }
}

/// The name of the first user of a configuration.
fn first_user<'v>(config: &'v Object<'_>) -> Option<&'v str> {
    let first = json::member(config, "users")?.as_array()?.elements.first()?.as_object()?;
    json::member(first, "name")?.as_string_lit().map(|name| name.value.as_ref())
}

/// The first of several problems, and where the others are told.
fn told(problems: &[Problem]) -> String {
    let first = problems.first().map(ToString::to_string).unwrap_or_default();
    match problems.len() {
        0 | 1 => first,
        more => format!("{first}; and {} more, which `sesgate check` lists", more - 1),
    }
}

/// The sections that decide about messages.
const SECTIONS: [&str; 6] = ["account", "identities", "listeners", "users", "groups", "upstream"];

/// A configuration on its way from JSON to TOML, which the relay reads.
#[derive(Default)]
struct Toml {
    out: String,
    /// Where a part begins here, and in the JSON.
    marks: Vec<(usize, usize)>,
    documents: Vec<Written>,
}

/// A policy as it stands in the JSON.
struct Written {
    /// What lines of it are told by.
    name: String,
    at: usize,
    text: String,
}

impl Toml {
    fn sections(&mut self, object: &Object<'_>, text: &str) -> Result<(), Mistake> {
        for member in &object.properties {
            let name = member.name.as_str();
            self.out.push_str(name);
            self.out.push_str(" = ");
            match (&member.value, name) {
                (Value::Object(account), "account") if json::member(account, "id").is_none() => {
                    self.out.push_str(&format!("{{id = \"{ACCOUNT}\""));
                    self.members(account, text, ", ")?;
                    self.out.push('}');
                }
                (value, _) => self.value(value, text, false)?,
            }
            self.out.push('\n');
        }
        Ok(())
    }

    fn members(
        &mut self,
        object: &Object<'_>,
        text: &str,
        mut separator: &str,
    ) -> Result<(), Mistake> {
        for member in &object.properties {
            self.out.push_str(separator);
            separator = ", ";
            let name = member.name.as_str();
            self.marks.push((self.out.len(), member.name.range().start));
            self.string(name);
            self.out.push_str(" = ");
            self.value(&member.value, text, DOCUMENTS.contains(&name))?;
        }
        Ok(())
    }

    fn value(&mut self, value: &Value<'_>, text: &str, is_policy: bool) -> Result<(), Mistake> {
        self.marks.push((self.out.len(), value.range().start));
        match value {
            Value::Object(_) if is_policy => {
                self.string(&format!("{PLACE}{}", self.documents.len()));
                let name = format!("policy {} of `config`", self.documents.len() + 1);
                let (at, text) = (value.range().start, json::written(value, text).to_owned());
                self.documents.push(Written { name, at, text });
            }
            Value::Object(object) => {
                self.out.push('{');
                self.members(object, text, "")?;
                self.out.push('}');
            }
            Value::Array(array) => {
                self.out.push('[');
                for (at, element) in array.elements.iter().enumerate() {
                    self.out.push_str(if at == 0 { "" } else { ", " });
                    self.value(element, text, is_policy)?;
                }
                self.out.push(']');
            }
            Value::StringLit(string) => self.string(&string.value),
            Value::NumberLit(number) => self.out.push_str(number.value),
            Value::BooleanLit(boolean) => {
                self.out.push_str(if boolean.value { "true" } else { "false" });
            }
            Value::NullKeyword(_) => {
                return Err(Mistake::of(value, "`null` in `config`; leave the key out"));
            }
        }
        Ok(())
    }

    /// A string of JSON is one of TOML, but for DEL, which TOML takes escaped alone.
    fn string(&mut self, text: &str) {
        let quoted = serde_json::Value::from(text).to_string();
        self.out.push_str(&quoted.replace('\u{7f}', "\\u007F"));
    }

    /// Where in the JSON stands what is at a line and a column of the TOML.
    fn place(&self, (line, column): (usize, usize)) -> Option<usize> {
        let lines: usize = self.out.split_inclusive('\n').take(line - 1).map(str::len).sum();
        let rest = self.out.get(lines..)?;
        let at = lines + rest.chars().take(column - 1).map(char::len_utf8).sum::<usize>();
        self.marks.iter().rev().find(|(here, _)| *here <= at).map(|(_, there)| *there)
    }

    /// Puts the policies of the JSON where files were named for them.
    fn put_documents(&self, config: &mut Config) {
        for document in config.documents_mut() {
            let name = document.value.file().and_then(Path::file_name).and_then(|it| it.to_str());
            let number = name.and_then(|name| name.strip_prefix(PLACE)?.parse::<usize>().ok());
            if let Some(it) = number.and_then(|number| self.documents.get(number)) {
                let (name, text) = (it.name.clone(), it.text.clone());
                document.value = Document::Text { name, text };
            }
        }
    }
}

/// What tells one configuration of a run from another.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    File(PathBuf),
    /// The file of cases, the place in it, and the user.
    Case(PathBuf, usize, String),
}
