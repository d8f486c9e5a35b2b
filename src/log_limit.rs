//! Lines that would flood the log: the first is written, the others are counted until some time has
//! passed, and the next line says how many there were.

use std::time::Duration;

use tokio::time::Instant;

/// The limit of one kind of line.
#[derive(Debug)]
pub struct LogLimit {
    gap: Duration,
    last: Option<Instant>,
    suppressed: u64,
}

impl LogLimit {
    /// Allows a line each `gap`.
    #[must_use]
    pub const fn new(gap: Duration) -> Self {
        Self { gap, last: None, suppressed: 0 }
    }

    /// Returns, where a line may be written now, how many were not since the last that was.
    pub fn allow(&mut self, now: Instant) -> Option<u64> {
        if self.last.is_some_and(|last| now.saturating_duration_since(last) < self.gap) {
            self.suppressed = self.suppressed.saturating_add(1);
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_a_line_every_ten_seconds() {
        let mut limit = LogLimit::new(Duration::from_secs(10));
        let start = crate::clock::now();
        let allowed: Vec<_> = (0..201)
            .filter_map(|at| limit.allow(start + Duration::from_millis(100) * at))
            .collect();
        assert_eq!(allowed, [0, 99, 99]);
    }
}
