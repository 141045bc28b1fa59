//! The server's accounts of one member's ticks, and whether they keep to the agreed rate.

use std::time::Duration;

use crate::proto::gcra::Gcra;
use crate::proto::limits::{BURST_TICKS, TICK_SILENCE_TIMEOUT};
use crate::proto::time::{Mono, ns};

/// What the server counts of one member.
#[derive(Clone, Copy, Debug)]
pub struct Answerer {
    rate: Gcra,
    /// See [`Gcra`].
    paid_until: Mono,
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
        let (rate, paid_until) = (rate(interval), Mono(0));
        let mut new = Answerer { rate, paid_until, received: 0, sent: 0, blocked: 0, coalesced: 0 };
        new.resume(joined, interval);
        new
    }

    /// The accounts go on over a new link.
    pub fn resume(&mut self, now: Mono, interval: Duration) {
        self.rate = rate(interval);
        // Most of the burst is for a path that has stalled, and on a new link nothing can have waited yet.
        self.paid_until = now + TICK_SILENCE_TIMEOUT;
    }

    /// Counts a tick, unless ticks come faster than agreed.
    pub fn admit(&mut self, now: Mono) -> bool {
        let is_admitted = self.rate.take(&mut self.paid_until, 1, now);
        self.received += u64::from(is_admitted);
        is_admitted
    }
}

/// With 5 % for the member's clock. A path that stalls and then delivers everything at once is no offence; what was not sent
/// for longer than a silent member is kept is not saved up.
fn rate(interval: Duration) -> Gcra {
    let interval_ns = ns(interval).max(1);
    let period_ns = (interval_ns * 20 / 21).max(1);
    Gcra { burst: (ns(TICK_SILENCE_TIMEOUT) + BURST_TICKS * interval_ns) / period_ns, period_ns }
}
