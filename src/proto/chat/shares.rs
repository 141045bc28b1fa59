//! How much of a mailbox one sender has filled, since it was last empty or the server began: so nobody fills all of it.
//! Counts what waits in the store; knows no rules.

use std::collections::BTreeMap;

use crate::proto::chat::Id;
use crate::proto::ids::Name;
use crate::proto::limits::{MAIL_BYTES_PER_SENDER_MAX, MAIL_PER_SENDER_MAX};

/// By recipient and sender. Senders by their names, as their mail stays when their accounts are gone.
#[derive(Debug, Default)]
pub(super) struct Shares(BTreeMap<(Id, Name), Share>);

#[derive(Clone, Copy, Debug, Default)]
struct Share {
    count: u32,
    bytes: u32,
}

impl Shares {
    /// Whether a sender may leave so much more.
    pub(super) fn has_room(&self, to: Id, from: &Name, bytes: u32) -> bool {
        let share = self.0.get(&(to, *from)).copied().unwrap_or_default();
        share.count < MAIL_PER_SENDER_MAX && share.bytes + bytes <= MAIL_BYTES_PER_SENDER_MAX
    }

    pub(super) fn add(&mut self, to: Id, from: &Name, bytes: u32) {
        let share = self.0.entry((to, *from)).or_default();
        share.count = share.count.saturating_add(1);
        share.bytes = share.bytes.saturating_add(bytes);
    }

    /// One was read back, or was never kept.
    pub(super) fn take(&mut self, to: Id, from: &Name, bytes: u32) {
        let Some(share) = self.0.get_mut(&(to, *from)) else { return };
        share.count -= 1;
        share.bytes = share.bytes.saturating_sub(bytes);
        if share.count == 0 {
            self.0.remove(&(to, *from));
        }
    }

    /// All was read back, or the recipient is gone for good.
    pub(super) fn clear(&mut self, to: Id) {
        let first = (to, Name::from_number(0));
        let next = |shares: &Self| shares.0.range(first..).next().map(|(key, _)| *key);
        while let Some(key) = next(self).filter(|(id, _)| *id == to) {
            self.0.remove(&key);
        }
    }

    /// Panics if something is counted of which nothing is left.
    pub(super) fn check_invariants(&self, is_there: impl Fn(Id) -> bool) {
        assert!(self.0.iter().all(|((to, _), share)| share.count > 0 && is_there(*to)));
    }
}
