//! The server's accounts of one member's ticks, and whether they keep to the agreed rate.

use std::time::Duration;

use crate::proto::limits::{BURST_TICKS, TICK_SILENCE_TIMEOUT};
use crate::proto::time::{Mono, ns};

/// What the server counts of one member.
#[derive(Clone, Copy, Debug)]
pub struct Answerer {
    interval_ns: u64,
    /// When the next tick is expected, if they come exactly as agreed.
    expected: Mono,
    /// Ticks received, in this membership and those that it resumed.
    pub received: u64,
    /// Answers sent.
    pub sent: u64,
    /// Ticks left unanswered, because the socket was full.
    pub blocked: u64,
    /// Ticks that came in one read with an earlier one.
    pub coalesced: u64,
}

impl Answerer {
    /// The accounts of a member that joins.
    pub fn new(joined: Mono, interval: Duration) -> Answerer {
        let interval_ns = ns(interval).max(1);
        Answerer { interval_ns, expected: joined, received: 0, sent: 0, blocked: 0, coalesced: 0 }
    }

    /// The accounts go on over a new link.
    pub fn resume(&mut self, now: Mono, interval: Duration) {
        self.interval_ns = ns(interval).max(1);
        self.expected = now;
    }

    /// Counts a tick, unless ticks come faster than agreed, with 5 % for the member's clock. A path
    /// that stalls and then delivers everything at once is no offence; what was not sent for
    /// longer than a silent member is kept is not saved up. (The generic cell rate algorithm, ITU-T I.371.)
    pub fn admit(&mut self, now: Mono) -> bool {
        let saved = Mono(now.0.saturating_sub(ns(TICK_SILENCE_TIMEOUT)));
        let expected = Mono(self.expected.max(saved).0 + self.interval_ns * 20 / 21);
        if expected.since_ns(now) > BURST_TICKS * self.interval_ns {
            return false;
        }
        self.expected = expected;
        self.received += 1;
        true
    }
}
