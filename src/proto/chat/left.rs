//! Who was online and is not any more, by when they left. Guests are remembered up to a bound, the oldest is
//! forgotten first.

use std::collections::{BTreeMap, BTreeSet};

use crate::proto::ids::Name;
use crate::proto::limits::GUESTS_GONE_MAX;
use crate::proto::time::Mono;

/// Those who have left since the server's start.
#[derive(Debug, Default)]
pub(super) struct Left {
    by_time: BTreeSet<(Mono, Name)>,
    guests: BTreeMap<Name, Mono>,
    guests_by_time: BTreeSet<(Mono, Name)>,
}

impl Left {
    pub(super) fn add_user(&mut self, name: Name, at: Mono) {
        self.by_time.insert((at, name));
    }

    pub(super) fn remove_user(&mut self, name: &Name, at: Mono) {
        self.by_time.remove(&(at, *name));
    }

    pub(super) fn add_guest(&mut self, name: Name, at: Mono) {
        self.guests.insert(name, at);
        self.guests_by_time.insert((at, name));
        self.by_time.insert((at, name));
        if self.guests.len() > GUESTS_GONE_MAX {
            let (_, oldest) = *self.guests_by_time.first().expect("one was just added");
            self.remove_guest(&oldest);
        }
    }

    pub(super) fn remove_guest(&mut self, name: &Name) {
        if let Some(at) = self.guests.remove(name) {
            self.guests_by_time.remove(&(at, *name));
            self.by_time.remove(&(at, *name));
        }
    }

    pub(super) fn has_guest(&self, name: &Name) -> bool {
        self.guests.contains_key(name)
    }

    /// When a guest left, if that is remembered.
    pub(super) fn guest_left(&self, name: &Name) -> Option<Mono> {
        self.guests.get(name).copied()
    }

    /// Who left at `from` or later, the last one first; only those before `before`, if it is given.
    pub(super) fn since(
        &self,
        from: Mono,
        before: Option<(Mono, Name)>,
    ) -> impl Iterator<Item = (Mono, Name)> {
        // The range is taken from its end; an end before `from` is no range at all.
        let end = before.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        let upto = self.by_time.range((std::ops::Bound::Unbounded, end));
        upto.rev().copied().take_while(move |(at, _)| *at >= from)
    }

    pub(super) fn len(&self) -> usize {
        self.by_time.len()
    }

    pub(super) fn guests(&self) -> impl Iterator<Item = &Name> {
        self.guests.keys()
    }

    /// Panics if the orders contradict each other.
    pub(super) fn check_invariants(&self) {
        assert!(self.guests.len() == self.guests_by_time.len() && self.guests.len() <= GUESTS_GONE_MAX);
        for (name, at) in &self.guests {
            assert!(self.guests_by_time.contains(&(*at, *name)) && self.by_time.contains(&(*at, *name)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_guest_is_forgotten_and_no_user_ever() {
        let mut left = Left::default();
        let name = |number: usize| format!("g{number}").parse::<Name>().unwrap();
        left.add_user("alice".parse().unwrap(), Mono(0));
        for number in 0..GUESTS_GONE_MAX + 2 {
            left.add_guest(name(number), Mono(number as u64 + 1));
        }
        left.check_invariants();
        assert!(!left.has_guest(&name(1)) && left.has_guest(&name(2)));
        assert_eq!(left.len(), GUESTS_GONE_MAX + 1);
        let last = left.since(Mono(0), None).last().unwrap();
        assert_eq!(last, (Mono(0), "alice".parse().unwrap()));
        left.remove_guest(&name(2));
        left.remove_user(&last.1, last.0);
        assert_eq!(left.since(Mono(0), None).count(), GUESTS_GONE_MAX - 1);
    }
}
