//! What the reactor counts about itself. Decides nothing.

use std::collections::BTreeMap;

use crate::proto::machine::{CloseReason, DownReason};

/// Counters of one reactor, since it was made.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// Passes of the loop.
    pub turns: u64,
    /// Passes that had to wait for something to happen.
    pub wakeups: u64,
    /// Events that the kernel reported.
    pub events: u64,
    /// Calls that read from a link.
    pub reads: u64,
    /// Calls that wrote bytes or a piece of a file to a link.
    pub writes: u64,
    /// Bytes read from links.
    pub bytes_in: u64,
    /// Bytes written to links, those of files included.
    pub bytes_out: u64,
    /// Connections accepted.
    pub accepts: u64,
    /// Connections that succeeded by our own dialing.
    pub dials: u64,
    /// Dials that failed.
    pub dials_failed: u64,
    /// Connections refused because there were `LINKS_MAX` links already.
    pub refused: u64,
    /// Times that accepting paused because descriptors or memory had run out.
    pub accept_pauses: u64,
    /// Reads whose time of arrival the kernel had noted.
    pub stamped: u64,
    /// Links that machines closed, by reason.
    pub closes: BTreeMap<CloseReason, u64>,
    /// Links that went down, by reason.
    pub downs: BTreeMap<DownReason, u64>,
    /// Longest turn, without its wait, in nanoseconds.
    pub turn_ns_max: u64,
    /// Turns by the binary logarithm of their length in nanoseconds: place `n` counts those of
    /// at least `2^n` and less than `2^(n+1)`; the last place has all that were longer.
    pub turn_ns_log2: [u64; 32],
}

impl Stats {
    pub(super) fn count_turn(&mut self, turn_ns: u64) {
        self.turns += 1;
        self.turn_ns_max = self.turn_ns_max.max(turn_ns);
        let place = turn_ns.max(1).ilog2() as usize;
        self.turn_ns_log2[place.min(self.turn_ns_log2.len() - 1)] += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_turn_has_a_place() {
        let mut stats = Stats::default();
        for turn_ns in [0, 1, 2, 3, 1023, 1024, u64::MAX] {
            stats.count_turn(turn_ns);
        }
        assert_eq!(stats.turn_ns_log2.iter().sum::<u64>(), stats.turns);
        assert_eq!((stats.turn_ns_log2[0], stats.turn_ns_log2[1]), (2, 2));
        assert_eq!((stats.turn_ns_log2[9], stats.turn_ns_log2[10], stats.turn_ns_log2[31]), (1, 1, 1));
        assert_eq!(stats.turn_ns_max, u64::MAX);
    }
}
