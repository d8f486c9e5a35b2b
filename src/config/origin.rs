//! Where a configuration is read from: a file, environment variables, flags.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::path::PREFIX;
use super::place::{Label, OriginKind, Place, Problem, one_line, problem};

/// The variable that names the file, as `--config` does.
pub(super) const CONFIG: &str = "SESGATE_CONFIG";
/// The file that is read when none is named.
pub(super) const DEFAULT_FILE: &str = "config/sesgate.toml";
/// Where the region comes from when nothing else says it, the first first.
pub(super) const REGION: [&str; 2] = ["AWS_REGION", "AWS_DEFAULT_REGION"];

/// Where a configuration is read from.
///
/// A flag is over an environment variable, and that is over the file.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Sources {
    file: Option<PathBuf>,
    /// Whether nobody named the file: it lay where the command was run.
    is_default_file: bool,
    /// Whether no file is wanted, whatever there is.
    without: bool,
    environment: Vec<(OsString, OsString)>,
    set: Vec<String>,
    /// A folder of policies that are tried in place of those in force.
    candidate: Option<PathBuf>,
}

impl Sources {
    /// Chooses the sources.
    ///
    /// The file is the one that is `named`, else that of `SESGATE_CONFIG`, else `config/sesgate.toml`;
    /// this one may be missing when variables or flags say something. `set` are settings such as
    /// `log.level=debug`.
    #[must_use]
    pub fn new(
        named: Option<PathBuf>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        set: Vec<String>,
    ) -> Self {
        let is_wanted =
            |name: &OsStr| is_ours(&name.to_string_lossy()) || REGION.iter().any(|it| name == *it);
        let environment = environment.into_iter().filter(|(name, _)| is_wanted(name));
        let mut environment: Vec<_> = environment.collect();
        environment.sort();
        let mut sources = Self { environment, set, ..Self::default() };
        sources.file = named.or_else(|| sources.variable(CONFIG).map(PathBuf::from));
        if sources.file.is_none() {
            let default = PathBuf::from(DEFAULT_FILE);
            sources.is_default_file = default.exists();
            sources.file = (sources.is_default_file || !sources.has_overrides()).then_some(default);
        }
        sources
    }

    /// Variables and flags without a file, whatever there is.
    #[must_use]
    pub fn without_file(
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        set: Vec<String>,
    ) -> Self {
        Self { file: None, without: true, ..Self::new(Some(PathBuf::new()), environment, set) }
    }

    /// One file alone.
    #[must_use]
    pub fn of_file(file: &Path) -> Self {
        Self { file: Some(file.to_owned()), ..Self::default() }
    }

    /// The same with a folder of policies that are tried in place of those in force.
    #[must_use]
    pub fn with_candidate(self, folder: Option<PathBuf>) -> Self {
        Self { candidate: folder, ..self }
    }

    /// The folder of policies that are tried, if there is one.
    #[must_use]
    pub fn candidate(&self) -> Option<&Path> {
        self.candidate.as_deref()
    }

    /// The file, if there is one.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Returns what to add to a command so that it reads the same: ` --config FILE`, ` --no-config`, or
    /// nothing.
    #[must_use]
    pub fn option(&self) -> String {
        match self.file() {
            Some(file) => format!(" --config {}", file.display()),
            None if self.without => " --no-config".to_owned(),
            None => String::new(),
        }
    }

    /// The region that the environment says for every program of AWS: the variable, and its value.
    pub(super) fn region(&self) -> Option<(&'static str, String)> {
        REGION.iter().find_map(|name| {
            let value = self.variable(name)?.to_str()?;
            (!value.is_empty()).then(|| (*name, value.to_owned()))
        })
    }

    pub(super) fn set(&self) -> &[String] {
        &self.set
    }

    pub(super) fn variable(&self, wanted: &str) -> Option<&OsStr> {
        let found = self.environment.iter().find(|(name, _)| name == wanted);
        found.map(|(_, value)| value.as_os_str())
    }

    fn has_overrides(&self) -> bool {
        !self.set.is_empty() || self.settings().next().is_some()
    }

    /// The variables that must be settings: those of Kubernetes and the name of the file left out.
    pub(super) fn settings(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        let all =
            self.environment.iter().map(|(name, value)| (name.as_os_str(), value.as_os_str()));
        let names: BTreeSet<&OsStr> = all.clone().map(|(name, _)| name).collect();
        all.filter(move |(name, _)| {
            let name = name.to_string_lossy();
            is_ours(&name) && name != CONFIG && !is_service_link(&name, &names)
        })
    }
}

/// Values may be secrets: names alone are shown.
impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.environment.iter().map(|(name, _)| name).collect();
        f.debug_struct("Sources")
            .field("file", &self.file)
            .field("environment", &names)
            .finish_non_exhaustive()
    }
}

/// Where a configuration was read from, and the words for each place of it.
#[derive(Debug, Clone, Default)]
pub struct Origin {
    pub(super) sources: Arc<Sources>,
    pub(super) labels: Arc<[Label]>,
    /// Variables with the files that they name because secrets are in them.
    pub(super) secrets: Vec<(String, PathBuf)>,
}

impl Origin {
    /// What to read again.
    #[must_use]
    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    /// The file, if there is one.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.sources.file()
    }

    /// Returns a problem with what stands at a place.
    #[must_use]
    pub fn problem(&self, place: Place, message: String) -> Problem {
        problem(self.file(), &self.labels, place, message)
    }

    /// Returns a problem with the configuration as a whole.
    #[must_use]
    pub fn problem_of_all(&self, message: String) -> Problem {
        Problem { file: self.to_string(), place: None, message: one_line(&message) }
    }

    /// Returns the file and the line of a place, or the variable or flag that it is.
    #[must_use]
    pub fn at(&self, place: Place) -> String {
        let problem = self.problem(place, String::new());
        match problem.place {
            Some((line, _)) => format!("{}:{line}", problem.file),
            None => problem.file,
        }
    }

    /// Returns what to add to a command so that it reads the same: ` --config FILE`, or nothing.
    #[must_use]
    pub fn option(&self) -> String {
        self.sources.option()
    }

    /// Returns what to know of a file that nobody named: that it is read beside variables and flags, and
    /// that the region in force, where that one is of the file, is not the one of the environment.
    #[must_use]
    pub fn found_file(&self, region: &str) -> Option<String> {
        self.file().filter(|_| self.sources.is_default_file)?;
        let beaten = self.sources.region().filter(|(_, other)| other != region);
        if beaten.is_none() && self.overrides().next().is_none() {
            return None;
        }
        let beaten = beaten.map(|(name, other)| {
            format!(", and the region is `{region}`, not `{other}` of {name}")
        });
        Some(format!(
            "is read as well, since it lies where sesgate was started{}; `--no-config` leaves it out, \
             `--config FILE` names another",
            beaten.unwrap_or_default()
        ))
    }

    /// Returns the names of the variables and flags whose values are in use.
    pub fn overrides(&self) -> impl Iterator<Item = &str> {
        let overrides = self.labels.iter().filter(|label| label.by != OriginKind::Default);
        overrides.map(|label| label.name.as_str())
    }
}

/// The file, or the environment where there is none.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.file() {
            Some(file) => file.display().fmt(f),
            None => f.write_str("environment"),
        }
    }
}

/// Whether a variable is meant for this program, however its letters are written.
fn is_ours(name: &str) -> bool {
    name.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
}

/// Whether Kubernetes set the variable, because of a Service whose name begins with `sesgate`: it
/// gives each container `<NAME>_SERVICE_HOST`, `<NAME>_SERVICE_PORT`, `<NAME>_PORT` and more
/// (Kubernetes, Services, environment variables).
fn is_service_link(name: &str, names: &BTreeSet<&OsStr>) -> bool {
    let is_service = |service: &str| {
        ["_SERVICE_HOST", "_SERVICE_PORT"]
            .iter()
            .all(|ending| names.contains(OsStr::new(&format!("{service}{ending}"))))
    };
    let words = |text: &str| {
        text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
    };
    let service_port = |name: &str| {
        name.match_indices("_SERVICE_PORT_").any(|(at, found)| {
            let (service, port) = name.split_at_checked(at).unwrap_or_default();
            let port = port.strip_prefix(found).unwrap_or_default();
            !port.is_empty() && words(port) && is_service(service)
        })
    };
    let port = |name: &str| {
        name.match_indices("_PORT_").any(|(at, found)| {
            let (service, port) = name.split_at_checked(at).unwrap_or_default();
            let mut parts = port.strip_prefix(found).unwrap_or_default().split('_');
            let is_number = parts.next().is_some_and(|it| it.parse::<u16>().is_ok());
            let is_protocol = matches!(parts.next(), Some("TCP" | "UDP" | "SCTP"));
            let is_detail = matches!(parts.next(), None | Some("PROTO" | "PORT" | "ADDR"));
            is_number && is_protocol && is_detail && parts.next().is_none() && is_service(service)
        })
    };
    ["_SERVICE_HOST", "_SERVICE_PORT", "_PORT"]
        .iter()
        .any(|ending| name.strip_suffix(ending).is_some_and(is_service))
        || service_port(name)
        || port(name)
}
