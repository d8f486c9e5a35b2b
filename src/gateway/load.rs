//! Reads what the configuration points at: policies, password hashes, certificates.
//!
//! Everything that is wrong is noted, so that one run of `sesgate check` shows all of it.

mod candidate;
mod exposed;
mod identities;
mod silent;
mod users;
mod x_ses;

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use zeroize::Zeroizing;

pub(super) use self::candidate::{CandidatePolicies, watched};
use self::identities::ConfiguredIdentities;
use super::documents::documents;
use crate::authorize::Authorizer;
use crate::clock;
use crate::config::{self, Config, Document, Level, Placed, Problem};
use crate::identities::Account;
use crate::inventory::{self, Snapshot};
use crate::login::{Guard, Principals};
use crate::policy::lint::{Attached, Rule, Severity, grouped, lint};
use crate::policy::{Effect, Policy, PolicyKind};
use crate::principals::{
    PolicyFileError, PolicyFiles, Principal, StoredPassword, User, hash_password,
};
use crate::redact::Redaction;
use crate::rules::Rules;
use crate::tls::{Made, Tls, TlsError};

/// The shortest key of hashes, in bytes.
const LEAST_KEY: usize = 16;

/// What decisions are made from, beside the users and what SES says.
#[derive(Debug, Clone)]
pub(super) struct DecisionInputs {
    /// Whether it is in the sandbox is for SES to say where it is not known.
    account: Account,
    listed: ConfiguredIdentities,
    service_control_policies: Vec<Vec<Arc<Policy>>>,
    /// What is tried beside all this.
    candidate: Option<Arc<CandidatePolicies>>,
}

impl DecisionInputs {
    /// Returns what decides about messages of these users, with what SES says now.
    pub(super) fn rules(&self, principals: Arc<Principals>, snapshot: Option<&Snapshot>) -> Rules {
        let candidate = self.candidate.as_ref().and_then(|it| it.candidate(snapshot));
        Rules { authorizer: self.authorizer(snapshot), principals, candidate }
    }

    /// What is tried beside it, with what is wrong with that.
    pub(super) fn candidate(&self) -> Option<&Arc<CandidatePolicies>> {
        self.candidate.as_ref()
    }

    /// Returns who decides, with what SES says now.
    pub(super) fn authorizer(&self, snapshot: Option<&Snapshot>) -> Authorizer {
        // Where nobody is asked, the configuration's silence means that it is none.
        let said = snapshot.map_or(Some(false), |snapshot| {
            snapshot.account.as_ref().map(|state| !state.production_access)
        });
        let sandbox = self.account.sandbox.or(said);
        let mut identities = self.listed.identities(snapshot);
        if sandbox.is_none() && self.listed.is_from_ses() {
            identities = identities.unread(
                "whether the account is in the sandbox is not known: the role needs \
                 ses:GetAccount, or write `sandbox` in `[account]`",
            );
        }
        let account = Account { sandbox, ..self.account.clone() };
        Authorizer::new(account, identities, self.service_control_policies.clone())
    }
}

/// What the configuration points at, read and checked.
#[derive(Debug)]
pub struct Parts {
    pub(super) basis: DecisionInputs,
    pub(super) users: Vec<User>,
    /// TLS of each listener, in the order of the configuration.
    pub(super) tls: Vec<Option<Tls>>,
    /// What a later reading takes over.
    pub(super) kept: Carried,
    /// Makes hashes of addresses with the operator's key.
    pub(super) address_hash: Option<Redaction>,
}

impl Parts {
    /// Takes what decides about messages and logins, which `guard` guards.
    #[must_use]
    pub fn into_rules(self, guard: Arc<Guard>) -> Rules {
        self.basis.rules(Arc::new(Principals::behind(guard, self.users)), None)
    }

    /// What is wrong with the policies that are to be tried beside those in force, so that none of them
    /// is, and what of them is tried for nobody.
    #[must_use]
    pub fn candidate_problems(&self) -> Vec<Problem> {
        let candidate = self.basis.candidate.as_ref();
        let problems = candidate.map(|it| it.problems.iter().chain(&it.unmatched).cloned());
        problems.into_iter().flatten().collect()
    }

    /// Takes what decides about messages without asking SES: by what the relay kept of its answers,
    /// else by the configuration alone.
    #[must_use]
    pub fn into_explainer(self, config: &Config, now: SystemTime) -> Explainer {
        let kept = inventory::kept(&super::inventory_settings(config), now);
        let mut unknown = Vec::new();
        if config.identities.from_ses && kept.is_none() {
            unknown.push(
                "what SES says of identities (configuration sets, tags, policies), of which nothing is \
                 kept in `cache`: those of the configuration count alone",
            );
        }
        let asks = matches!(config.upstream, config::Upstream::Ses(_))
            && (config.identities.from_ses || config.rate.ask_ses);
        let account = kept.as_ref().and_then(|snapshot| snapshot.account.as_ref());
        if asks && config.account.sandbox.is_none() && account.is_none() {
            unknown.push("whether the account is in the sandbox: taken as no");
        }
        let mut basis = self.basis;
        if kept.is_none() {
            basis.listed.without_ses();
        }
        if account.is_none() {
            basis.account.sandbox.get_or_insert(false);
        }
        let authorizer = basis.authorizer(kept.as_ref());
        let users = self.users.into_iter().map(|user| user.principal).collect();
        Explainer { authorizer, users, unknown }
    }
}

/// What decides about messages, as far as it is known without SES.
#[derive(Debug)]
pub struct Explainer {
    /// Decides.
    pub authorizer: Authorizer,
    /// The users, in the order of the configuration.
    pub users: Vec<Principal>,
    /// What the relay knows beyond it, a line each.
    pub unknown: Vec<&'static str>,
}

/// What was made of the configuration and is the same after a reload.
#[derive(Debug, Clone, Default)]
pub(super) struct Carried {
    /// The certificate for listeners without one of their own.
    pub(super) made: Option<Made>,
    /// The hashes of passwords in clear, by user. Another hash of the same password would end every
    /// connection that logged in with it.
    hashes: HashMap<String, StoredPassword>,
}

impl Carried {
    fn stored(&mut self, user: &str, clear: &Zeroizing<String>) -> io::Result<StoredPassword> {
        if let Some(stored) = self.hashes.get(user).filter(|stored| stored.verify(clear)) {
            return Ok(stored.clone());
        }
        let hash = hash_password(clear).map_err(io::Error::other)?;
        let stored = StoredPassword::parse(&hash).map_err(io::Error::other)?;
        self.hashes.insert(user.to_owned(), stored.clone());
        Ok(stored)
    }
}

/// What reading came to.
#[derive(Debug)]
pub struct Loaded {
    /// The parts; to be used only when there are no problems.
    pub parts: Parts,
    /// What is wrong.
    pub problems: Vec<Problem>,
    /// What works and may not be meant.
    pub warnings: Vec<Problem>,
}

struct Loader<'c> {
    kept: Carried,
    config: &'c Config,
    files: PolicyFiles,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
}

/// Reads everything that a configuration points at.
#[must_use]
pub fn load(config: &Config) -> Loaded {
    load_again(config, Carried::default())
}

/// Reads everything anew; what was made at start-up stays.
pub(super) fn load_again(config: &Config, kept: Carried) -> Loaded {
    let files = PolicyFiles::default();
    let (problems, warnings) = (Vec::new(), Vec::new());
    let mut loader = Loader { kept, config, files, problems, warnings };
    let scps = config.service_control_policies.iter().map(|level| loader.level(level)).collect();
    let mut parts = Parts {
        basis: DecisionInputs {
            account: config.account.clone(),
            listed: loader.listed(),
            service_control_policies: scps,
            candidate: None,
        },
        users: config.users.iter().map(|user| loader.user(user)).collect(),
        tls: loader.tls(),
        kept: std::mem::take(&mut loader.kept),
        address_hash: loader.keyed(),
    };
    // Those of a group without users are read too, for the mistakes in them.
    for group in &config.groups {
        loader.policies(PolicyKind::Identity, &group.policies);
    }
    loader.lint();
    parts.basis.candidate = loader.candidate(&parts).map(Arc::new);
    loader.unknown_identities(&parts);
    loader.warnings.extend(exposed::warnings(config));
    loader.silent(&parts);
    if let Some(found) = config.origin.found_file(&config.account.region) {
        loader.warnings.push(config.origin.problem_of_all(found));
    }
    loader.problems.sort();
    loader.problems.dedup();
    Loaded { parts, problems: loader.problems, warnings: loader.warnings }
}

impl Loader<'_> {
    fn note<T>(&mut self, at: &Placed<T>, message: String) {
        let problem = self.problem(at, message);
        self.problems.push(problem);
    }

    fn problem<T>(&self, at: &Placed<T>, message: String) -> Problem {
        self.config.origin.problem(at.place, message)
    }

    fn policies(&mut self, kind: PolicyKind, documents: &[Placed<Document>]) -> Vec<Arc<Policy>> {
        documents.iter().filter_map(|document| self.policy(kind, document)).collect()
    }

    /// The service control policies of one level.
    fn level(&mut self, level: &Level) -> Vec<Arc<Policy>> {
        let policies = self.policies(PolicyKind::ServiceControl, &level.value);
        let mut statements = policies.iter().flat_map(|policy| policy.statements());
        let is_whole = policies.len() == level.value.len();
        if is_whole && !statements.any(|statement| statement.effect() == Effect::Allow) {
            let message = "this level of service control policies allows nothing, so that no mail \
                           may be sent; write the policies of a level as one list, \
                           `[[\"FullAWSAccess.json\", \"deny.json\"]]`";
            self.warn(level, message);
        }
        policies
    }

    fn policy(&mut self, kind: PolicyKind, document: &Placed<Document>) -> Option<Arc<Policy>> {
        let read = match &document.value {
            Document::File(file) => self.files.read(kind, file),
            Document::Text { name, text } => {
                Policy::parse(kind, name, text).map(Arc::new).map_err(PolicyFileError::from)
            }
        };
        match read {
            Ok(policy) => return Some(policy),
            Err(PolicyFileError::Unreadable(error)) => {
                self.note(document, format!("`{}` cannot be read: {error}", document.value));
            }
            Err(PolicyFileError::Refused(errors)) => {
                self.problems.extend(errors.iter().map(|error| Problem {
                    file: document.value.to_string(),
                    place: Some((error.line(), error.column())),
                    message: match error.statement() {
                        Some(statement) => {
                            format!("statement {statement}: {}", error.problem())
                        }
                        None => error.problem().to_owned(),
                    },
                }));
            }
        }
        None
    }

    /// Notes what the linter warns of, once a document and what it is attached to.
    fn lint(&mut self) {
        let allowed = self.allowed();
        let now = clock::time_of_day();
        let mut linted = HashSet::new();
        let mut told = HashSet::new();
        for used in documents(self.config) {
            let (document, name) = (&used.document.value, used.document.value.to_string());
            let identity = used.identity.as_deref();
            let Ok(text) = document.read() else { continue };
            if !linted.insert((used.kind, used.identity.clone(), name.clone()))
                // Its mistakes were noted.
                || Policy::parse(used.kind, &name, &text).is_err()
            {
                continue;
            }
            let mut findings = lint(Attached { kind: used.kind, identity }, &name, &text, now);
            findings.retain(|finding| {
                finding.severity() != Severity::Suggestion && !allowed.contains(&finding.code())
            });
            for group in grouped(&findings) {
                let others = match group.others.is_empty() {
                    true => String::new(),
                    false => format!(" ({group})"),
                };
                let first = group.first;
                let warning = Problem {
                    file: name.clone(),
                    place: Some((first.line(), first.column())),
                    message: format!(
                        "{}[{}]: {}; {}{others}",
                        // What it calls an error keeps nothing from starting.
                        match first.severity() {
                            Severity::Error => Severity::Warning,
                            other => other,
                        },
                        first.code(),
                        first.message(),
                        first.fix(),
                    ),
                };
                if told.insert(warning.to_string()) {
                    self.warnings.push(warning);
                }
            }
        }
    }

    /// The codes of findings that are left out; those that do not exist are noted.
    fn allowed(&mut self) -> Vec<&'static str> {
        let mut allowed = Vec::new();
        for code in &self.config.lint.allow {
            match Rule::to_allow(&code.value) {
                Ok(rule) => allowed.push(rule.code),
                Err(message) => self.note(code, message),
            }
        }
        allowed
    }

    /// The key of the hashes of addresses: a line of text, so that hashes can be made by hand.
    fn keyed(&mut self) -> Option<Redaction> {
        let file = self.config.log.hash_key.as_ref()?;
        let name = file.value.display();
        let mut text = match std::fs::read_to_string(&file.value).map(Zeroizing::new) {
            Ok(text) => text,
            Err(error) => {
                self.note(file, format!("`{name}` cannot be read: {error}"));
                return None;
            }
        };
        let length = text.trim_end_matches(['\r', '\n']).len();
        text.truncate(length);
        if text.len() < LEAST_KEY || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            let message = format!(
                "`{name}` must be one line of {LEAST_KEY} or more characters without blanks; \
                 `openssl rand -hex 32` makes one"
            );
            self.note(file, message);
            return None;
        }
        Some(Redaction::keyed(text.as_bytes()))
    }

    fn tls(&mut self) -> Vec<Option<Tls>> {
        let config = self.config;
        config.listeners.iter().map(|listener| self.tls_of(listener)).collect()
    }

    fn tls_of(&mut self, listener: &config::Listener) -> Option<Tls> {
        if listener.auth_in_clear && !listener.proxies.is_empty() {
            let message = "`auth_in_clear` counts for the address of the balancer: with \
                           `proxy_protocol` passwords may have come in clear from anywhere";
            self.warn(&listener.address, message);
        }
        if listener.tls == config::ListenerTls::Off {
            return None;
        }
        let Some(config::Certificate { chain, key }) = &listener.certificate else {
            return self.made(listener);
        };
        match Tls::from_files(&chain.value, &key.value) {
            Ok(tls) => return Some(tls),
            Err(TlsError::Key(message)) => self.note(key, message),
            Err(error) => {
                let look = error.look().map(|look| format!("; {look}")).unwrap_or_default();
                self.note(chain, format!("{error}{look}"));
            }
        }
        None
    }

    /// The certificate for listeners without one of their own.
    fn made(&mut self, listener: &config::Listener) -> Option<Tls> {
        let server = &self.config.server;
        let directory = server.certificate_directory.as_ref();
        if self.kept.made.is_none() {
            let made = match directory {
                Some(directory) => Made::kept_in(&directory.value, &server.hostname),
                None => Made::new(&server.hostname),
            };
            match (made, directory) {
                (Ok(made), _) => self.kept.made = Some(made),
                (Err(error), Some(directory)) => self.note(directory, error.to_string()),
                (Err(error), None) => self.note(&listener.address, error.to_string()),
            }
        }
        let tls = self.kept.made.as_ref().map(|made| made.tls.clone())?;
        if !listener.address.value.ip().is_loopback() {
            let who = match directory {
                Some(directory) => format!(
                    "sesgate made the certificate, so that clients refuse it unless they are told \
                     to trust `{}`",
                    Made::file(&directory.value).display()
                ),
                None => "the certificate is made at start-up, so that clients cannot check it"
                    .to_owned(),
            };
            self.warn(&listener.address, format!("{who}; set `certificate` and `key`"));
        }
        Some(tls)
    }

    fn warn<T>(&mut self, at: &Placed<T>, message: impl Into<String>) {
        let warning = self.problem(at, message.into());
        self.warnings.push(warning);
    }
}
