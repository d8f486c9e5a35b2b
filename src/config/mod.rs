//! The configuration: a TOML file, environment variables and flags to checked values (decisions 16
//! to 18).
//!
//! Reading notes every problem at once, each with its place, and still gives a [`Config`], so that
//! what the values point at (policies, hashes, certificates) can be checked in the same run. The
//! files behind the values are read by the parts that use them, but for secrets that a variable
//! names a file of. `config/sesgate.toml` is the reference of every key with its default,
//! `config/README.md` says how file and environment go together.

mod catalogue;
mod diagnostics;
mod document;
mod identities;
mod inferred;
mod listeners;
mod organization;
mod origin;
mod overrides;
mod path;
mod place;
mod print;
mod reader;
mod schema;
mod toml_text;
mod users;
mod values;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use toml_span::value::{Table, ValueInner};

use diagnostics::Source;
pub use document::{Document, Secret};
pub use origin::{Origin, Sources};
pub use place::{Place, Placed, Problem};
pub use print::Settings;
use reader::Reader;
pub use values::{
    Certificate, ClientNetwork, DecisionLog, Delegated, Group, Identities, Identity, Level, Limits,
    Lint, Listener, ListenerTls, Log, LogAddresses, LogFormat, Otlp, Password, Rate, Server, Ses,
    Upstream, User, XSes,
};

use crate::identities::Account;

/// Everything the operator configured, with defaults filled in.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where it was read from.
    pub origin: Origin,
    /// The process as a whole.
    pub server: Server,
    /// The AWS account that mail is sent from. Whether it is in the sandbox is for SES to say where
    /// nothing is said here (decision 9).
    pub account: Account,
    /// Service control policies, by level from the root to the account. Every level must allow.
    pub service_control_policies: Vec<Level>,
    /// The SES identities of the account (decision 9).
    pub identities: Identities,
    /// Where mail is taken.
    pub listeners: Vec<Listener>,
    /// Where health is served; none turns it off.
    pub admin: Option<SocketAddr>,
    /// The SHA-256 of the token that allows a reload over HTTP.
    pub admin_token: Option<[u8; 32]>,
    /// Names by which its pages are requested, besides the host name.
    pub admin_hosts: Vec<String>,
    /// Who may log in.
    pub users: Vec<User>,
    /// Policies that several users share.
    pub groups: Vec<Group>,
    /// How fast mail goes to the upstream.
    pub rate: Rate,
    /// Where permitted mail goes.
    pub upstream: Upstream,
    /// How long a client waits for the answer to its content, at most 55 s (decision 15).
    pub answer: Duration,
    /// Bounds on what clients may use.
    pub limits: Limits,
    /// How the log looks.
    pub log: Log,
    /// What the linter of policies says.
    pub lint: Lint,
    /// Where records of decisions go beside the log.
    pub decision_log: DecisionLog,
    /// What is exported to an OpenTelemetry collector.
    pub otlp: Otlp,
}

/// Returns the dotted key of every setting that a variable can say, with the names of its variables;
/// `<n>` is the number of an entry of a list, from 0.
#[must_use]
pub fn variables() -> Vec<(String, Vec<String>)> {
    let all = catalogue::all().iter();
    all.map(|setting| (setting.key(), catalogue::spellings(setting))).collect()
}

impl Config {
    /// Reads the sources and notes everything that is wrong with them.
    ///
    /// A file that cannot be read or is not TOML gives no configuration.
    #[must_use]
    pub fn read(sources: &Sources) -> (Option<Config>, Vec<Problem>) {
        let (config, _, problems) = Self::read_settings(sources);
        (config, problems)
    }

    /// Reads the sources as `read` does, and gives the settings as they can be shown as well, also
    /// those that are understood of a file that cannot be read.
    #[must_use]
    pub fn read_settings(sources: &Sources) -> (Option<Config>, Settings, Vec<Problem>) {
        let Some(file) = sources.file() else { return Self::of(sources, Ok("")) };
        let text = std::fs::read_to_string(file);
        let text = text.as_deref().map_err(|error| {
            format!(
                "cannot be read: {error}; name another with `--config`, or say all of it with \
                 environment variables"
            )
        });
        Self::of(sources, text)
    }

    /// Reads the text of a file and nothing else; paths in it are relative to `file`.
    #[must_use]
    pub fn parse(file: &Path, text: &str) -> (Option<Config>, Vec<Problem>) {
        let (config, _, problems) = Self::of(&Sources::of_file(file), Ok(text));
        (config, problems)
    }

    fn of(
        sources: &Sources,
        text: Result<&str, String>,
    ) -> (Option<Config>, Settings, Vec<Problem>) {
        let readable = text.as_ref().map_or("", |text| *text);
        let source = Source::new(sources.file(), readable);
        let file = match text {
            Ok(text) => table(&source, text),
            Err(problem) => {
                let name = sources.file().unwrap_or(Path::new(""));
                source.report_about(&name.display().to_string(), problem);
                None
            }
        };
        let is_readable = file.is_some();
        let mut root = file.unwrap_or_default();
        let overlay = overrides::overlay(&source, sources, &mut root);
        inferred::fill(&source, sources, &overlay, &mut root);
        let origin = Origin {
            sources: Arc::new(sources.clone()),
            labels: source.labels().into(),
            secrets: overlay.secrets,
        };
        let noted = source.noted();
        let config = schema::config(origin.clone(), Reader::root(&source, root));
        if !is_readable {
            // Everything that the file says would be reported as missing.
            source.forget(noted);
        }
        let settings = Settings { settings: source.take_read(), origin };
        (is_readable.then_some(config), settings, source.into_problems())
    }

    /// Returns every policy that is in force, to put another in its place.
    pub fn documents_mut(&mut self) -> impl Iterator<Item = &mut Placed<Document>> {
        let users = self.users.iter_mut();
        let users = users.flat_map(|user| user.policies.iter_mut().chain(&mut user.boundary));
        let groups = self.groups.iter_mut().flat_map(|group| &mut group.policies);
        let known = self.identities.known.iter_mut().flat_map(|identity| &mut identity.policies);
        let delegated = self.identities.delegated.iter_mut();
        let delegated = delegated.flat_map(|identity| &mut identity.policies);
        let levels = &mut self.service_control_policies;
        let scps = levels.iter_mut().flat_map(|level| &mut level.value);
        users.chain(groups).chain(known).chain(delegated).chain(scps)
    }

    /// Whether a file is one of [`Config::secret_files`].
    #[must_use]
    pub fn is_secret(&self, file: &Path) -> bool {
        self.secret_files().iter().any(|(secret, _)| *secret == file)
    }

    /// Returns the files that are nobody else's business, each with a problem of what names it, to be
    /// filled in: private keys, the key of hashes, and secrets that variables name.
    #[must_use]
    pub fn secret_files(&self) -> Vec<(&Path, Problem)> {
        let certificates = self.listeners.iter().flat_map(|listener| &listener.certificate);
        let keys = certificates.map(|it| &it.key).chain(&self.log.hash_key);
        let placed =
            keys.map(|file| (file.value.as_path(), self.origin.problem(file.place, String::new())));
        let named = self.origin.secrets.iter().map(|(name, file)| {
            let problem = Problem { file: name.clone(), place: None, message: String::new() };
            (file.as_path(), problem)
        });
        placed.chain(named).collect()
    }

    /// Returns every file that the configuration is made of, itself first.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        let users = self.users.iter().flat_map(|user| user.policies.iter().chain(&user.boundary));
        let groups = self.groups.iter().flat_map(|group| &group.policies);
        let tried = self.users.iter().filter_map(|user| user.policies_candidate.as_ref());
        let tried = tried.chain(self.groups.iter().filter_map(|it| it.policies_candidate.as_ref()));
        let known = self.identities.known.iter().flat_map(|identity| &identity.policies);
        let delegated = self.identities.delegated.iter().flat_map(|identity| &identity.policies);
        let scps = self.service_control_policies.iter().flat_map(|level| &level.value);
        let policies =
            users.chain(groups).chain(known).chain(delegated).chain(scps).chain(tried.flatten());
        let certificates = self.listeners.iter().flat_map(|listener| &listener.certificate);
        let certificates = certificates.flat_map(|it| [&it.chain.value, &it.key.value]);
        let policies = policies.filter_map(|document| document.value.file());
        let secrets = self.origin.secrets.iter().map(|(_, file)| file.as_path());
        let own = self.origin.file().into_iter().chain(secrets);
        let all = own.chain(policies).chain(certificates.map(PathBuf::as_path));
        let mut files: Vec<_> = all.map(Path::to_owned).collect();
        let mut seen = std::collections::HashSet::new();
        files.retain(|file| seen.insert(file.clone()));
        files
    }
}

/// Parses the text of the file.
fn table<'t>(source: &Source<'t>, text: &'t str) -> Option<Table<'t>> {
    match toml_span::parse(text) {
        Ok(mut value) => match value.take() {
            ValueInner::Table(table) => Some(table),
            _ => Some(Table::new()),
        },
        Err(error) => {
            source.report(error.span, error.to_string());
            None
        }
    }
}
