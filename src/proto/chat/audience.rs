//! Those who are online, without those who should not be told, or not be seen. Walks, and changes nothing.

use std::collections::btree_map;

use crate::proto::chat::{Chat, Id};
use crate::proto::ids::{LinkId, Name};

/// Where somebody who is online is found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seat {
    pub(super) id: Id,
    pub(super) link: LinkId,
}

/// Names and links, in the order of the names.
#[derive(Clone, Debug)]
pub struct Audience<'a> {
    seats: btree_map::Range<'a, Name, Seat>,
    without: Id,
    /// In order.
    skipped: Vec<Id>,
    chat: &'a Chat,
}

impl Chat {
    /// Everybody online behind `after`, but one and those who are skipped.
    pub(super) fn audience(&self, without: Id, skipped: Vec<Id>, after: Option<Name>) -> Audience<'_> {
        use std::ops::Bound;
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        Audience { seats: self.online.range((from, Bound::Unbounded)), without, skipped, chat: self }
    }
}

impl Audience<'_> {
    /// Those who are online and skipped.
    pub fn untold(&self) -> impl Iterator<Item = LinkId> {
        self.skipped.iter().filter_map(|id| Some(self.chat.person(*id).session()?.link()))
    }
}

impl Iterator for Audience<'_> {
    type Item = (Name, LinkId);

    fn next(&mut self) -> Option<(Name, LinkId)> {
        let is_in = |seat: &Seat| seat.id != self.without && self.skipped.binary_search(&seat.id).is_err();
        self.seats.find(|(_, seat)| is_in(seat)).map(|(name, seat)| (*name, seat.link))
    }
}
