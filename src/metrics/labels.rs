//! Labels, and the bound on how many values of them there are.

use std::borrow::Cow;
use std::sync::atomic::{AtomicUsize, Ordering};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

/// One label with its value.
pub(super) type Label = (&'static str, Cow<'static, str>);

/// The labels of one series.
pub(super) type Labels<const N: usize> = [Label; N];

/// What stands for all values beyond a bound.
pub(super) const OTHER: &str = "other";

/// Returns a label with a value that is known at run time only.
pub(super) fn label(name: &'static str, value: &str) -> Label {
    (name, value.to_owned().into())
}

/// Counters whose last label comes from outside.
#[derive(Debug)]
pub(super) struct Bounded<const N: usize> {
    pub(super) family: Family<Labels<N>, Counter>,
    series: AtomicUsize,
    most: usize,
}

impl<const N: usize> Bounded<N> {
    /// Allows `most` series, give or take those that begin at the same moment.
    pub(super) fn new(most: usize) -> Self {
        Self { family: Family::default(), series: AtomicUsize::new(0), most }
    }

    /// Counts one. Beyond the bound the last label of what is new is [`OTHER`].
    pub(super) fn count(&self, mut labels: Labels<N>) {
        if let Some(known) = self.family.get(&labels) {
            known.inc();
            return;
        }
        if self.series.load(Ordering::Relaxed) >= self.most {
            if let Some((_, value)) = labels.last_mut() {
                *value = OTHER.into();
            }
        } else {
            self.series.fetch_add(1, Ordering::Relaxed);
        }
        self.family.get_or_create(&labels).inc();
    }
}
