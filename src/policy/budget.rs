//! How much work an evaluation may take.
//!
//! What a client writes decides how often policies are asked, and what about. The work is counted, not
//! timed, so that the same message and policies always come to the same end.

use std::cell::Cell;

/// A budget of steps; one takes about a nanosecond on a current processor.
///
/// When it is used up, whatever was found out is void: who asked must not act on it.
#[derive(Debug)]
pub struct StepBudget {
    left: Cell<u64>,
}

impl StepBudget {
    /// Returns a budget of that many steps.
    #[must_use]
    pub fn of(steps: u64) -> Self {
        Self { left: Cell::new(steps) }
    }

    /// Returns a budget for questions of the operator's own, which nobody else waits for.
    #[must_use]
    pub fn unbounded() -> Self {
        Self::of(u64::MAX)
    }

    /// Tells whether there was more to do than the budget had steps.
    #[must_use]
    pub fn is_used_up(&self) -> bool {
        self.left.get() == 0
    }

    /// Takes steps from the budget.
    pub fn spend(&self, steps: usize) {
        self.left.set(self.left.get().saturating_sub(steps as u64));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_up_stays_so() {
        let budget = StepBudget::of(3);
        budget.spend(2);
        assert!(!budget.is_used_up());
        budget.spend(5);
        assert!(budget.is_used_up());
        budget.spend(0);
        assert!(budget.is_used_up());
    }
}
