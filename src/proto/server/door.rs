//! Who is let in at all, before anything is said: how many links there may be, and how many from one address. Knows
//! nothing of what they say.

use std::net::IpAddr;
use std::time::Duration;

use crate::proto::gcra::Gcra;
use crate::proto::limits::{
    GREET_TIMEOUT, LINKS_FOR_OPERATORS, LINKS_MAX, TURNED_AWAY_LINES_BURST, TURNED_AWAY_LINES_PERIOD,
};
use crate::proto::machine::Places;
use crate::proto::server::status::Limit;
use crate::proto::time::Mono;

/// Lines about those who were turned away.
const TOLD: Gcra = Gcra::new(TURNED_AWAY_LINES_BURST, TURNED_AWAY_LINES_PERIOD);

/// What an operator sets about links.
#[derive(Clone, Copy, Debug)]
pub struct DoorConfig {
    /// Links at once; [`LINKS_FOR_OPERATORS`] more from the server's own host.
    pub links_max: usize,
    /// Of these from one address, as [`Places`] counts it; [`LINKS_FOR_OPERATORS`] more if that is the server's own host.
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
    inside: Places,
    /// Until when those lines would have lasted at the steady rate.
    told_until: Mono,
    /// Such lines that were not logged since the last one that was.
    untold: u64,
}

impl Door {
    pub(super) fn new(config: DoorConfig) -> Door {
        Door { config, ..Door::default() }
    }

    /// Some more may come who are near, on the server's own host.
    ///
    /// # Errors
    /// If it is full, and nothing has changed.
    pub(super) fn enter(&mut self, ip: IpAddr, is_near: bool) -> Result<(), Limit> {
        let kept = if is_near { LINKS_FOR_OPERATORS } else { 0 };
        if self.inside.total() >= self.config.links_max + kept {
            return Err(Limit::Links);
        }
        if self.inside.of_address(ip) >= self.config.links_per_address_max + kept {
            return Err(Limit::LinksPerAddress);
        }
        self.inside.take(ip);
        Ok(())
    }

    pub(super) fn leave(&mut self, ip: IpAddr) {
        self.inside.give_back(ip);
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
        self.inside.check_invariants(remotes);
        assert!(self.inside.total() <= self.config.links_max + LINKS_FOR_OPERATORS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn far(door: &mut Door, from: &str) -> Result<(), Limit> {
        door.enter(ip(from), false)
    }

    #[test]
    fn a_door_counts_by_address_and_in_all() {
        let config = DoorConfig { links_max: 3, links_per_address_max: 2, ..DoorConfig::default() };
        let mut door = Door::new(config);
        assert_eq!(far(&mut door, "10.0.0.1"), Ok(()));
        assert_eq!(far(&mut door, "10.0.0.1"), Ok(()));
        assert_eq!(far(&mut door, "10.0.0.1"), Err(Limit::LinksPerAddress));
        assert_eq!(far(&mut door, "fd00::1:0:0:0:1"), Ok(()));
        assert_eq!(far(&mut door, "10.0.0.3"), Err(Limit::Links));
        door.check_invariants(["10.0.0.1", "10.0.0.1", "fd00::1:0:0:0:1"].into_iter().map(ip));
        door.leave(ip("10.0.0.1"));
        assert_eq!(far(&mut door, "fd00::1:9:9:9:9"), Ok(()));
        door.leave(ip("10.0.0.1"));
        assert_eq!(far(&mut door, "fd00::1:8:8:8:8"), Err(Limit::LinksPerAddress));
    }

    /// Whether all places are taken, or those of the server's own host.
    #[test]
    fn places_are_kept_for_operators() {
        for (links_max, links_per_address_max, host) in [(3, 3, "10.0.0.2"), (9, 3, "::1"), (3, 9, "::1")] {
            let config = DoorConfig { links_max, links_per_address_max, ..DoorConfig::default() };
            let mut door = Door::new(config);
            assert!((0..3).all(|_| door.enter(ip(host), false).is_ok()));
            assert!(door.enter(ip(host), false).is_err());
            assert!((0..LINKS_FOR_OPERATORS).all(|_| door.enter(ip("::1"), true).is_ok()));
            assert!(door.enter(ip("::1"), true).is_err());
        }
    }

    #[test]
    fn few_lines_are_logged_about_many() {
        let mut door = Door::default();
        let told = (0..1000).filter(|_| door.may_tell(Mono(5)).is_some()).count() as u64;
        assert_eq!(told, TURNED_AWAY_LINES_BURST);
        assert_eq!(door.may_tell(Mono(5) + TURNED_AWAY_LINES_PERIOD), Some(1000 - told));
    }
}
