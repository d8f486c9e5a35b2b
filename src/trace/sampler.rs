//! Which transactions are recorded.

use super::TraceId;

/// Decides by the app's word, else by the share of traces that is wanted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampler {
    /// Whether the app's decision is followed where the message carries one.
    pub parent_based: bool,
    /// The share of the other traces, from 0 to 1.
    pub ratio: f64,
}

/// Follows the app, and records everything else.
impl Default for Sampler {
    fn default() -> Self {
        Self { parent_based: true, ratio: 1.0 }
    }
}

impl Sampler {
    /// Whether a trace is recorded; `parent` is what the app decided.
    #[must_use]
    pub fn records(&self, id: TraceId, parent: Option<bool>) -> bool {
        match parent {
            Some(sampled) if self.parent_based => sampled,
            _ => self.chooses(id),
        }
    }

    /// The same traces are chosen wherever the ratio is the same: by the lower half of the id, as
    /// the libraries of OpenTelemetry do it.
    fn chooses(&self, id: TraceId) -> bool {
        if self.ratio >= 1.0 {
            return true;
        }
        let lower = id.last_chunk().map_or(0, |lower| u64::from_be_bytes(*lower)) >> 1;
        // 2^63 and below fit into the 53 bits of precision closely enough.
        #[expect(clippy::cast_precision_loss, reason = "a share of all ids, not an exact number")]
        let share = lower as f64 / (1_u64 << 63) as f64;
        share < self.ratio
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_app_decides_else_the_ratio() {
        let low = [0; 16];
        let high = [0xff; 16];
        for (parent_based, ratio, id, parent, records) in [
            (true, 1.0, high, None, true),
            (true, 1.0, high, Some(false), false),
            (true, 0.0, low, Some(true), true),
            (true, 0.0, low, None, false),
            (true, 0.5, low, None, true),
            (true, 0.5, high, None, false),
            (false, 1.0, high, Some(false), true),
            (false, 0.0, low, Some(true), false),
        ] {
            let sampler = Sampler { parent_based, ratio };
            assert_eq!(sampler.records(id, parent), records, "{sampler:?} {id:?} {parent:?}");
        }
    }
}
