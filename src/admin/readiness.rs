//! Whether the relay takes mail, and if not, why.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

/// Whether the relay takes mail; shared with those who know.
///
/// It is ready when it serves and nothing stands against it. What stands against it is kept here as
/// others find it out, so that asking is cheap and calls nobody.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    serves: bool,
    obstacles: BTreeMap<&'static str, String>,
}

impl Readiness {
    /// Says whether listeners take connections now.
    pub fn set(&self, serves: bool) {
        self.0.lock().serves = serves;
    }

    /// Says that nothing of this kind stands against taking mail, or what does.
    pub fn found(&self, kind: &'static str, obstacle: Option<String>) {
        let obstacles = &mut self.0.lock().obstacles;
        match obstacle {
            Some(obstacle) => drop(obstacles.insert(kind, obstacle)),
            None => drop(obstacles.remove(kind)),
        }
    }

    /// Returns whether mail is taken now.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let state = self.0.lock();
        state.serves && state.obstacles.is_empty()
    }

    /// Returns what stands against it: a line for each, and none when it is ready.
    #[must_use]
    pub fn obstacles(&self) -> Vec<String> {
        let state = self.0.lock();
        let serves = (!state.serves).then(|| "not taking connections".to_owned());
        let found = state.obstacles.iter().map(|(kind, obstacle)| format!("{kind}: {obstacle}"));
        serves.into_iter().chain(found).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_ready_when_it_serves_and_nothing_stands_against_it() {
        let readiness = Readiness::default();
        assert_eq!(readiness.obstacles(), ["not taking connections"]);
        readiness.set(true);
        assert!(readiness.is_ready());
        readiness.found("credentials", Some("none".to_owned()));
        readiness.found("credentials", Some("expired".to_owned()));
        assert!(!readiness.is_ready());
        assert_eq!(readiness.obstacles(), ["credentials: expired"]);
        readiness.found("credentials", None);
        assert!(readiness.is_ready());
    }
}
