//! What a server has come to. Only counts.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::SocketAddr;

use crate::proto::wire::ErrorCode;

/// What the server has come to, for people and tests.
#[derive(Clone, Debug, Default)]
pub struct ServerStatus {
    /// Where it listens, with real ports.
    pub listening: Vec<SocketAddr>,
    /// An address where it cannot.
    pub listen_failed: Option<(SocketAddr, ErrorKind)>,
    /// Members that ever joined; one that comes back with its key counts once.
    pub members_joined: u64,
    /// Ticks received.
    pub ticks: u64,
    /// Answers sent.
    pub tocks: u64,
    /// Ticks left unanswered, because the member's socket was full.
    pub blocked: u64,
    /// Ticks that came in one read with an earlier one.
    pub coalesced: u64,
    /// Lines that were answered with an error.
    pub errors: u64,
    errors_by_code: BTreeMap<ErrorCode, u64>,
    limits: [u64; Limit::ALL.len()],
    /// Tables that were given up or lack rows.
    pub tables_failed: u64,
    /// Guests that ever said `HELLO`; one that comes back with its key counts once.
    pub guests_greeted: u64,
    /// `REGISTER` lines that were granted.
    pub files_registered: u64,
    /// `REGISTER` lines that were refused.
    pub files_refused: u64,
    /// Members that began to fetch a file.
    pub downloads: u64,
    /// Links that were closed because their lines about files came too fast.
    pub links_too_fast: u64,
    /// Attempts to log in that failed: wrong passwords, and blocked names.
    pub logins_failed: u64,
    /// Changes that the store did not make, and looks into it that failed.
    pub store_failures: u64,
    /// Times that the accounts were read because an operator asked for it.
    pub reloads: u64,
    /// The same, when they could not be read.
    pub reloads_failed: u64,
    /// Chunks that were reported to have failed their hashes.
    pub chunks_reported: u64,
}

/// A limit of links at which somebody was turned away. Logged and counted by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Limit {
    /// All links that the server takes.
    Links,
    /// The same from one address.
    LinksPerAddress,
    /// The time to say who one is.
    Greet,
    /// The time that somebody who talks may issue no command.
    Idle,
    /// The time that a member whose run is on may say nothing.
    Silence,
}

impl Limit {
    /// Each of them, in the order of their numbers, and its name among the figures.
    pub const ALL: [(Limit, &str); 5] = [
        (Limit::Links, "links"),
        (Limit::LinksPerAddress, "links_per_address"),
        (Limit::Greet, "greet"),
        (Limit::Idle, "idle"),
        (Limit::Silence, "silence"),
    ];

    /// Its name among the figures.
    pub fn as_str(self) -> &'static str {
        Limit::ALL[self as usize].1
    }
}

impl ServerStatus {
    /// How many lines were answered with that error.
    pub fn errors_of(&self, code: ErrorCode) -> u64 {
        self.errors_by_code.get(&code).copied().unwrap_or(0)
    }

    /// How often somebody was turned away at that limit.
    pub fn hits(&self, limit: Limit) -> u64 {
        self.limits[limit as usize]
    }

    pub(super) fn count_error(&mut self, code: ErrorCode) {
        self.errors += 1;
        *self.errors_by_code.entry(code).or_default() += 1;
    }

    pub(super) fn hit(&mut self, limit: Limit) {
        self.limits[limit as usize] += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_limits_are_places_in_the_list() {
        assert!(Limit::ALL.iter().enumerate().all(|(place, (limit, _))| *limit as usize == place));
    }
}
