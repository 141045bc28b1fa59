//! Places that are taken, in all and of each address. Holds the numbers; whoever gives places decides how many there are.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::proto::machine::counted_address;

/// Places that are taken, by [`counted_address`].
#[derive(Debug, Default)]
pub struct Places {
    total: usize,
    of_address: BTreeMap<IpAddr, usize>,
}

impl Places {
    /// How many, in all.
    pub fn total(&self) -> usize {
        self.total
    }

    /// How many by hosts that count as that one.
    pub fn of_address(&self, of: IpAddr) -> usize {
        self.of_address.get(&counted_address(of)).copied().unwrap_or_default()
    }

    /// One more.
    pub fn take(&mut self, by: IpAddr) {
        self.total += 1;
        *self.of_address.entry(counted_address(by)).or_default() += 1;
    }

    /// One less.
    ///
    /// # Panics
    /// If that address has none.
    pub fn give_back(&mut self, by: IpAddr) {
        self.total -= 1;
        let ip = counted_address(by);
        let left = self.of_address.get_mut(&ip).expect("who gives back has a place");
        *left -= 1;
        if *left == 0 {
            self.of_address.remove(&ip);
        }
    }

    /// Asserts that they are taken by these.
    pub fn check_invariants(&self, held_by: impl Iterator<Item = IpAddr>) {
        let mut held = Places::default();
        held_by.for_each(|by| held.take(by));
        assert_eq!((held.total, &held.of_address), (self.total, &self.of_address));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_by_address_and_forgotten_with_the_last() {
        let [a, b, again] = ["fd00::1:0:0:0:1", "10.0.0.2", "fd00::1:9:9:9:9"].map(|at| at.parse().unwrap());
        let mut places = Places::default();
        [a, b, again].into_iter().for_each(|by| places.take(by));
        assert_eq!((places.total(), places.of_address(a), places.of_address(b)), (3, 2, 1));
        places.check_invariants([b, a, a].into_iter());
        [a, a, b].into_iter().for_each(|by| places.give_back(by));
        assert_eq!((places.total(), places.of_address(a), places.of_address.len()), (0, 0, 0));
    }
}
