//! What of a refused command anybody may see.

use super::super::command::Verb;
use super::super::reply::Reply;
use super::{Session, Step};

/// Longest path that is shown, in characters: the longest one (RFC 5321 section 4.5.3.1.3).
const PATH: usize = 256;

/// A command that was refused, without what may be a secret: its verb, and of MAIL and RCPT the path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The verb, or that it is none that is known.
    pub verb: &'static str,
    /// The path as the client wrote it, without `<` and `>`.
    pub path: Option<String>,
}

impl Said {
    pub(super) fn new(verb: Verb, arguments: Option<&str>) -> Self {
        let has_path = matches!(verb, Verb::Mail | Verb::Rcpt);
        let path = arguments.filter(|_| has_path).and_then(path);
        Self { verb: verb.name().unwrap_or("a command that is not known"), path }
    }
}

/// What stands behind `FROM:` or `TO:`, up to its end.
fn path(arguments: &str) -> Option<String> {
    let (_, rest) = arguments.split_once(':')?;
    let rest = rest.trim_start_matches(' ');
    let path = match rest.strip_prefix('<') {
        Some(inner) => inner.split_once('>').map_or(inner, |(path, _)| path),
        None => rest.split_once(' ').map_or(rest, |(path, _)| path),
    };
    Some(path.chars().take(PATH).collect())
}

impl Session {
    /// Takes the command that the reply told last by [`Self::next_step`] refuses for good, if it refuses
    /// one. A login whose credentials are wrong is left to whoever found that out.
    pub fn take_refused(&mut self) -> Option<Said> {
        self.refused.take()
    }

    /// Remembers a command if what was answered to it refuses it.
    pub(super) fn remember(&mut self, verb: Verb, arguments: Option<&str>) {
        let refuses = |reply: &Reply| reply.code() >= 500;
        let is_refused = self.steps.iter().any(|step| match step {
            Step::Reply(reply) | Step::Close(Some(reply)) => refuses(reply),
            _ => false,
        });
        self.refused = is_refused.then(|| Said::new(verb, arguments));
    }
}
