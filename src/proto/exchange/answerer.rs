//! The server's accounts of one member's ticks, and whether they keep to the agreed rate.

use std::time::Duration;

use crate::proto::limits::BURST_TICKS;
use crate::proto::time::{Mono, ns};

/// What the server counts of one member.
#[derive(Clone, Copy, Debug)]
pub struct Answerer {
    joined: Mono,
    interval_ns: u64,
    /// Ticks received, in this membership and those that it resumed.
    pub received: u64,
    /// Answers sent.
    pub sent: u64,
    /// Ticks left unanswered, because the socket was full.
    pub blocked: u64,
    /// Ticks that came in one read with an earlier one.
    pub coalesced: u64,
    received_before: u64,
}

impl Answerer {
    /// The accounts of a member that joins.
    pub fn new(joined: Mono, interval: Duration) -> Answerer {
        let interval_ns = ns(interval).max(1);
        Answerer { joined, interval_ns, received: 0, sent: 0, blocked: 0, coalesced: 0, received_before: 0 }
    }

    /// The accounts go on over a new link.
    pub fn resume(&mut self, now: Mono, interval: Duration) {
        let counts = *self;
        *self = Answerer { received_before: counts.received, ..counts };
        self.joined = now;
        self.interval_ns = ns(interval).max(1);
    }

    /// Counts a tick; false if ticks come faster than agreed. The bound is on the whole time since
    /// joining, with 5 % for the member's clock, so a path that stalls and then delivers
    /// everything at once is no offence.
    pub fn admit(&mut self, now: Mono) -> bool {
        self.received += 1;
        let due = now.since_ns(self.joined) / self.interval_ns;
        self.received - self.received_before <= due + due / 20 + BURST_TICKS
    }
}
