//! Who may come in: places in all and of each address. A place is kept until the client is gone and the disk is done
//! with its file, so that places bound open files too.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use crate::proto::machine::counted_address;

/// Places that are taken.
#[derive(Debug, Default)]
pub(super) struct Places {
    total: usize,
    of_address: BTreeMap<IpAddr, usize>,
}

impl Places {
    pub(super) fn total(&self) -> usize {
        self.total
    }

    pub(super) fn of_address(&self, of: SocketAddr) -> usize {
        self.of_address.get(&counted_address(of.ip())).copied().unwrap_or_default()
    }

    pub(super) fn take(&mut self, by: SocketAddr) {
        self.total += 1;
        *self.of_address.entry(counted_address(by.ip())).or_default() += 1;
    }

    pub(super) fn give_back(&mut self, by: SocketAddr) {
        self.total -= 1;
        let ip = counted_address(by.ip());
        let left = self.of_address.get_mut(&ip).expect("who gives back has a place");
        *left -= 1;
        if *left == 0 {
            self.of_address.remove(&ip);
        }
    }

    pub(super) fn check_invariants(&self, held_by: impl Iterator<Item = SocketAddr>) {
        let mut held = Places::default();
        held_by.for_each(|by| held.take(by));
        assert_eq!((held.total, held.of_address), (self.total, self.of_address.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_by_address_and_forgotten_with_the_last() {
        let [a, b, again] =
            ["[fd00::1:0:0:0:1]:1", "10.0.0.2:1", "[fd00::1:9:9:9:9]:2"].map(|at| at.parse().unwrap());
        let mut places = Places::default();
        [a, b, again].into_iter().for_each(|by| places.take(by));
        assert_eq!((places.total(), places.of_address(a), places.of_address(b)), (3, 2, 1));
        places.check_invariants([b, a, a].into_iter());
        [a, a, b].into_iter().for_each(|by| places.give_back(by));
        assert_eq!((places.total(), places.of_address(a), places.of_address.len()), (0, 0, 0));
    }
}
