//! How much is read from one link at once, so that a machine is done with it soon. Reads nothing itself.

use crate::proto::limits::{READ_BUDGET_BYTES, READ_BUDGET_BYTES_FIRST, READ_BUDGET_BYTES_MIN, VISIT_TIME};
use crate::proto::time::ns;

/// Bytes that may be read at once. Short lines may cost a machine a thousand times what as many bytes of a file do, so it is learned.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReadBudget(u32);

impl ReadBudget {
    /// For a link of which nothing is known.
    pub(super) fn new() -> ReadBudget {
        ReadBudget(READ_BUDGET_BYTES_FIRST as u32)
    }

    pub(super) fn bytes(self) -> usize {
        self.0 as usize
    }

    /// The machine took so long with what was read: the next time it is as much as should take [`VISIT_TIME`], within a factor of
    /// two or so.
    pub(super) fn note(&mut self, bytes: usize, took_ns: u64) {
        if took_ns > ns(VISIT_TIME) {
            self.0 = (bytes / 2).max(READ_BUDGET_BYTES_MIN) as u32;
        } else if bytes == self.bytes() && took_ns < ns(VISIT_TIME) / 2 {
            self.0 = (2 * bytes).min(READ_BUDGET_BYTES) as u32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is read at once in the end, of a link whose bytes take so long each.
    fn settled(ns_per_byte: f64) -> usize {
        let mut budget = ReadBudget::new();
        for _ in 0..20 {
            let bytes = budget.bytes();
            budget.note(bytes, (bytes as f64 * ns_per_byte) as u64);
        }
        budget.bytes()
    }

    #[test]
    fn it_follows_what_a_machine_takes() {
        assert_eq!(settled(0.1), READ_BUDGET_BYTES, "a file");
        let questions = settled(500.0);
        assert!((READ_BUDGET_BYTES_MIN..=400).contains(&questions), "{questions}");
        assert_eq!(settled(1e6), READ_BUDGET_BYTES_MIN);
        let mut budget = ReadBudget::new();
        (0..100).for_each(|_| budget.note(80, 1000));
        assert_eq!(budget.bytes(), READ_BUDGET_BYTES_FIRST, "who never fills it needs no more");
    }
}
