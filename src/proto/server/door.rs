//! Who is let in at all, before anything is said: how many links there may be, and how many from one address. Knows
//! nothing of what they say.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use crate::proto::gcra::Gcra;
use crate::proto::limits::{
    GREET_TIMEOUT, LINKS_FOR_OPERATORS, LINKS_MAX, TURNED_AWAY_LINES_BURST, TURNED_AWAY_LINES_PERIOD,
};
use crate::proto::server::status::Limit;
use crate::proto::time::Mono;

/// Lines about those who were turned away.
const TOLD: Gcra = Gcra::new(TURNED_AWAY_LINES_BURST, TURNED_AWAY_LINES_PERIOD);

/// What an operator sets about links.
#[derive(Clone, Copy, Debug)]
pub struct DoorConfig {
    /// Links at once; a few more from the server's own host.
    pub links_max: usize,
    /// The same from one address; of IPv6, from one network of 64 bits, for a host may have all of it.
    pub links_per_address_max: usize,
    /// How long a link may take to join, to greet or to log in.
    pub greet_timeout: Duration,
}

/// As many as the driver takes: for tests, and where nobody has said anything.
impl Default for DoorConfig {
    fn default() -> DoorConfig {
        DoorConfig { links_max: LINKS_MAX, links_per_address_max: LINKS_MAX, greet_timeout: GREET_TIMEOUT }
    }
}

/// Who is inside, by address.
#[derive(Debug, Default)]
pub(super) struct Door {
    pub(super) config: DoorConfig,
    inside: BTreeMap<IpAddr, usize>,
    total: usize,
    /// Until when those lines would have lasted at the steady rate.
    told_until: Mono,
    /// Such lines that were not logged since the last one that was.
    untold: u64,
}

impl Door {
    pub(super) fn new(config: DoorConfig) -> Door {
        Door { config, ..Door::default() }
    }

    /// # Errors
    /// If it is full, and nothing has changed.
    pub(super) fn enter(&mut self, ip: IpAddr) -> Result<(), Limit> {
        let place = whose(ip);
        let here = self.inside.get(&place).copied().unwrap_or(0);
        let kept = if ip.is_loopback() { LINKS_FOR_OPERATORS } else { 0 };
        if self.total >= self.config.links_max + kept {
            return Err(Limit::Links);
        }
        if here >= self.config.links_per_address_max {
            return Err(Limit::LinksPerAddress);
        }
        self.inside.insert(place, here + 1);
        self.total += 1;
        Ok(())
    }

    pub(super) fn leave(&mut self, ip: IpAddr) {
        let place = whose(ip);
        match self.inside.get_mut(&place) {
            Some(1) => drop(self.inside.remove(&place)),
            Some(here) => *here -= 1,
            None => unreachable!("it has entered"),
        }
        self.total -= 1;
    }

    /// Whether one more line may be logged about somebody who was turned away, and how many were not since the last: whoever
    /// comes again and again must not fill the log.
    pub(super) fn may_tell(&mut self, now: Mono) -> Option<u64> {
        if !TOLD.take(&mut self.told_until, 1, now) {
            self.untold += 1;
            return None;
        }
        Some(std::mem::take(&mut self.untold))
    }

    pub(super) fn check_invariants(&self, remotes: impl Iterator<Item = IpAddr>) {
        let mut inside = BTreeMap::new();
        for ip in remotes {
            *inside.entry(whose(ip)).or_insert(0) += 1;
        }
        assert_eq!(self.inside, inside);
        assert_eq!(self.total, inside.values().sum::<usize>());
        assert!(self.total <= self.config.links_max + LINKS_FOR_OPERATORS);
    }
}

/// What counts as one address.
fn whose(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V6(ip) if !ip.is_loopback() => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into(),
        ip => ip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_door_counts_by_address_and_in_all() {
        let config = DoorConfig { links_max: 3, links_per_address_max: 2, ..DoorConfig::default() };
        let mut door = Door::new(config);
        assert_eq!(door.enter(ip("10.0.0.1")), Ok(()));
        assert_eq!(door.enter(ip("10.0.0.1")), Ok(()));
        assert_eq!(door.enter(ip("10.0.0.1")), Err(Limit::LinksPerAddress));
        assert_eq!(door.enter(ip("10.0.0.2")), Ok(()));
        assert_eq!(door.enter(ip("10.0.0.3")), Err(Limit::Links));
        assert_eq!(door.enter(ip("::1")), Ok(()), "an operator");
        door.leave(ip("::1"));
        door.check_invariants(["10.0.0.1", "10.0.0.1", "10.0.0.2"].into_iter().map(ip));
        door.leave(ip("10.0.0.1"));
        assert_eq!(door.enter(ip("10.0.0.3")), Ok(()));
    }

    #[test]
    fn a_network_of_a_host_counts_as_one_address() {
        let config = DoorConfig { links_per_address_max: 1, ..DoorConfig::default() };
        let mut door = Door::new(config);
        assert_eq!(door.enter(ip("fd00::1:0:0:0:1")), Ok(()));
        assert_eq!(door.enter(ip("fd00::1:9:9:9:9")), Err(Limit::LinksPerAddress));
        assert_eq!(door.enter(ip("fd00::2:0:0:0:1")), Ok(()));
        assert_eq!(door.enter(ip("::1")), Ok(()));
    }

    #[test]
    fn few_lines_are_logged_about_many() {
        let mut door = Door::default();
        let told = (0..1000).filter(|_| door.may_tell(Mono(5)).is_some()).count() as u64;
        assert_eq!(told, TURNED_AWAY_LINES_BURST);
        assert_eq!(door.may_tell(Mono(5) + TURNED_AWAY_LINES_PERIOD), Some(1000 - told));
    }
}
