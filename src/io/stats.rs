//! What the reactor counts about itself. Decides nothing.

use std::collections::BTreeMap;

use crate::io::spread::Spread;
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
    /// Links that were closed without waiting for the other side's end, because `LINGERING_MAX` lingered already.
    pub hurried: u64,
    /// Times that accepting paused because descriptors or memory had run out.
    pub accept_pauses: u64,
    /// Times that it paused because everybody who came was sent away at once, or too many of them lingered.
    pub refusal_pauses: u64,
    /// Reads whose time of arrival the kernel had noted.
    pub stamped: u64,
    /// Links that machines closed, by reason.
    pub closes: BTreeMap<CloseReason, u64>,
    /// Links that went down, by reason.
    pub downs: BTreeMap<DownReason, u64>,
    /// How long turns took, without their waits, in nanoseconds.
    pub turn: Spread,
    /// How late the deadlines of machines were served, in nanoseconds.
    pub late: Spread,
}

impl Stats {
    pub(super) fn count_turn(&mut self, turn_ns: u64) {
        self.turns += 1;
        self.turn.count(turn_ns);
    }
}
