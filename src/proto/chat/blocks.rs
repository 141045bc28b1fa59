//! Who wants nothing of whom. Keeps pairs, in both orders; knows no names and no rules.

use std::collections::BTreeSet;

use crate::proto::chat::Id;

/// All blocks.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    /// Who blocks, and whom.
    by: BTreeSet<(Id, Id)>,
    /// The same pairs, turned around.
    of: BTreeSet<(Id, Id)>,
}

impl Blocks {
    pub(super) fn has(&self, user: Id, other: Id) -> bool {
        self.by.contains(&(user, other))
    }

    /// False if it is so already.
    pub(super) fn add(&mut self, user: Id, other: Id) -> bool {
        self.of.insert((other, user));
        self.by.insert((user, other))
    }

    /// False if it is not so.
    pub(super) fn remove(&mut self, user: Id, other: Id) -> bool {
        self.of.remove(&(other, user));
        self.by.remove(&(user, other))
    }

    /// Somebody is gone for good.
    pub(super) fn forget(&mut self, id: Id) {
        for other in self.blocked_by(id) {
            self.remove(id, other);
        }
        for other in self.blockers_of(id) {
            self.remove(other, id);
        }
    }

    /// Whom this one blocks, in order.
    pub(super) fn blocked_by(&self, id: Id) -> Vec<Id> {
        seconds(&self.by, id).collect()
    }

    /// Who blocks this one, in order.
    pub(super) fn blockers_of(&self, id: Id) -> Vec<Id> {
        seconds(&self.of, id).collect()
    }

    /// Whether anybody blocks this one, or is blocked by it.
    pub(super) fn has_any(&self, id: Id) -> bool {
        seconds(&self.by, id).next().is_some() || seconds(&self.of, id).next().is_some()
    }

    pub(super) fn count_by(&self, id: Id) -> usize {
        seconds(&self.by, id).count()
    }

    pub(super) fn len(&self) -> usize {
        self.by.len()
    }

    /// Panics if the two orders contradict each other, or a pair is nobody's.
    pub(super) fn check_invariants(&self, is_there: impl Fn(Id) -> bool) {
        assert_eq!(self.by.len(), self.of.len());
        for (user, other) in &self.by {
            assert!(user != other && self.of.contains(&(*other, *user)));
            assert!(is_there(*user) && is_there(*other));
        }
    }
}

/// What `first` is paired with, in order.
pub(super) fn seconds(pairs: &BTreeSet<(Id, Id)>, first: Id) -> impl Iterator<Item = Id> {
    pairs.range((first, Id(0))..=(first, Id(u32::MAX))).map(|(_, second)| *second)
}
