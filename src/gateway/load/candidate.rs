//! Candidates: policies that are tried beside those in force and decide nothing (decision 26).
//!
//! They are read like those in force, with the files of `policies_candidate` and `serve --candidate` in
//! their place. One that cannot be read leaves out all of them, and stops nothing.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::documents::{By, documents};
use super::{DecisionInputs, Loader, Parts};
use crate::config::{Config, Document, Problem};
use crate::inventory::Snapshot;
use crate::policy::PolicyKind;
use crate::principals::Principal;
use crate::rules::Candidate;

/// What is tried.
#[derive(Debug, Default)]
pub(in crate::gateway) struct CandidatePolicies {
    /// What decides in place of what is in force; none where it is the same.
    basis: Option<DecisionInputs>,
    users: HashMap<String, Arc<Principal>>,
    /// What is wrong, so that nothing is tried.
    pub(in crate::gateway) problems: Vec<Problem>,
    /// Files that stand for no policy.
    pub(in crate::gateway) unmatched: Vec<Problem>,
}

impl CandidatePolicies {
    /// Returns what is tried, with what SES says now.
    pub(super) fn candidate(&self, snapshot: Option<&Snapshot>) -> Option<Candidate> {
        if !self.problems.is_empty() || self.users.is_empty() {
            return None;
        }
        let authorizer = self.basis.as_ref().map(|basis| basis.authorizer(snapshot));
        Some(Candidate { authorizer, users: self.users.clone() })
    }

    /// The names of the users for whom something is tried.
    pub(in crate::gateway) fn users(&self) -> Vec<&str> {
        let mut users: Vec<_> = self.users.keys().map(String::as_str).collect();
        users.sort_unstable();
        users
    }

    /// Logs what is tried, or why nothing is.
    pub(in crate::gateway) fn tell(&self) {
        for problem in &self.problems {
            tracing::error!("{problem}");
        }
        for warning in &self.unmatched {
            tracing::warn!("{warning}");
        }
        if self.problems.is_empty() {
            tracing::info!(
                users = self.users().join(","),
                "candidate policies are tried beside those in force, and decide nothing",
            );
        } else {
            tracing::error!(
                problems = self.problems.len(),
                "candidate policies cannot be read, and none is tried; mail is decided by those in \
                 force. `sesgate check` lists the mistakes too",
            );
        }
    }
}

impl Loader<'_> {
    /// Reads what is to be tried; none when nothing is.
    pub(super) fn candidate(&mut self, parts: &Parts) -> Option<CandidatePolicies> {
        let (config, mut found) = replaced(self.config)?;
        let mut loader = Loader {
            kept: super::Carried::default(),
            config: &config,
            files: std::mem::take(&mut self.files),
            problems: std::mem::take(&mut found.problems),
            warnings: Vec::new(),
        };
        let (new, old) = (documents(&config), documents(self.config));
        let is_changed = |counts: &dyn Fn(By<'_>) -> bool| {
            let [new, old] = [&new, &old].map(|all| {
                all.iter().filter(|used| counts(used.by)).map(|used| &used.document.value)
            });
            new.ne(old)
        };
        if is_changed(&|by| by == By::All) {
            let levels = config.service_control_policies.iter();
            let levels =
                levels.map(|level| loader.policies(PolicyKind::ServiceControl, &level.value));
            found.basis = Some(DecisionInputs {
                service_control_policies: levels.collect(),
                listed: loader.listed(),
                candidate: None,
                ..parts.basis.clone()
            });
        }
        for (user, read) in config.users.iter().zip(&parts.users) {
            if is_changed(&|by| by.counts_for(user)) {
                let principal = Principal {
                    policies: loader.identity_policies(user),
                    boundary: loader.boundary(user),
                    ..read.principal.clone()
                };
                found.users.insert(principal.name.clone(), Arc::new(principal));
            }
        }
        self.files = loader.files;
        found.problems = loader.problems;
        found.problems.sort();
        found.problems.dedup();
        Some(found)
    }
}

/// Returns the configuration with what is to be tried in the place of what is in force; none where
/// nothing is.
fn replaced(config: &Config) -> Option<(Config, CandidatePolicies)> {
    let mut new = config.clone();
    let mut is_any = false;
    let users = new.users.iter_mut().map(|it| (&mut it.policies, it.policies_candidate.take()));
    let groups = new.groups.iter_mut().map(|it| (&mut it.policies, it.policies_candidate.take()));
    for (policies, candidate) in users.chain(groups) {
        if let Some(candidate) = candidate {
            *policies = candidate;
            is_any = true;
        }
    }
    let mut found = CandidatePolicies::default();
    let Some(folder) = config.origin.sources().candidate() else {
        return is_any.then_some((new, found));
    };
    let problem = |file: &Path, message: String| Problem {
        file: file.display().to_string(),
        place: None,
        message,
    };
    let own = config.origin.file().and_then(Path::parent).unwrap_or(Path::new(""));
    let mut files = Vec::new();
    if let Err(error) = walk(folder, &mut Vec::new(), &mut files, &mut Vec::new()) {
        found.problems.push(problem(folder, format!("cannot be read: {error}")));
    }
    // The same file, however the configuration writes it.
    let in_force = |file: &PathBuf| own.join(file.strip_prefix(folder).ok()?).canonicalize().ok();
    let tried: HashMap<_, _> = files.iter().filter_map(|it| Some((in_force(it)?, it))).collect();
    let mut used = HashSet::new();
    for document in new.documents_mut() {
        let there = document.value.file().and_then(|file| file.canonicalize().ok());
        if let Some(file) = there.and_then(|there| tried.get(&there)) {
            document.value = Document::File((*file).clone());
            used.insert(*file);
        }
    }
    let own = if own.as_os_str().is_empty() { Path::new(".") } else { own }.display();
    let strays = files.iter().filter(|file| !used.contains(file)).map(|file| {
        let message = format!(
            "stands for no policy of the configuration: `--candidate` tries a file in place of the one \
             with the same path from `{own}`"
        );
        problem(file, message)
    });
    found.unmatched = strays.collect();
    found.unmatched.sort();
    Some((new, found))
}

/// Returns every file whose change is a reason to read the configuration again, and every folder in
/// which one may appear.
pub(in crate::gateway) fn watched(config: &Config) -> Vec<PathBuf> {
    let mut watched = config.files();
    if let Some(folder) = config.origin.sources().candidate() {
        let mut folders = Vec::new();
        // What cannot be read is told when it is read.
        let _ = walk(folder, &mut Vec::new(), &mut watched, &mut folders);
        watched.extend(folders);
    }
    watched
}

/// Finds all files of a folder and the folders in it, itself included; what is hidden is passed over.
/// `above` are the folders around it, to which a link may lead back.
fn walk(
    folder: &Path,
    above: &mut Vec<PathBuf>,
    files: &mut Vec<PathBuf>,
    folders: &mut Vec<PathBuf>,
) -> io::Result<()> {
    folders.push(folder.to_owned());
    let itself = folder.canonicalize()?;
    if above.contains(&itself) {
        return Ok(());
    }
    above.push(itself);
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".")) {
            continue;
        }
        // Kubernetes has links in the place of files and folders.
        if path.is_dir() {
            walk(&path, above, files, folders)?;
        } else {
            files.push(path);
        }
    }
    above.pop();
    Ok(())
}
