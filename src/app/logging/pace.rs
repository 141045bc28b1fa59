//! How fast records that others can cause may be logged: whoever comes and goes a thousand times a second must not push out
//! of the log what an operator looks for. Writes nothing.

use crate::proto::limits::{LOG_LINE_PAUSE, LOG_LINES_BURST};
use crate::proto::time::{Wall, ns};

/// The generic cell rate algorithm (ITU-T I.371).
pub(super) struct Pace {
    /// Until when the records so far would have lasted at the steady rate.
    until: Wall,
    left_out: u64,
}

impl Pace {
    pub(super) const fn new() -> Pace {
        Pace { until: Wall(0), left_out: 0 }
    }

    /// Whether one more may be logged, and if so, how many were left out since the last one.
    pub(super) fn admit(&mut self, at: Wall) -> Option<u64> {
        let burst_ns = ns(LOG_LINE_PAUSE) * LOG_LINES_BURST;
        // A clock that was set back would let nothing pass until it is as late again.
        self.until = Wall(self.until.0.clamp(at.0, at.0.saturating_add(burst_ns)));
        let until = self.until.0.saturating_add(ns(LOG_LINE_PAUSE));
        if until.saturating_sub(at.0) > burst_ns {
            self.left_out += 1;
            return None;
        }
        self.until = Wall(until);
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_and_what_was_left_out_is_known() {
        let (mut pace, at) = (Pace::new(), Wall(1_000_000_000_000_000));
        let admitted = (0..3 * LOG_LINES_BURST).filter(|_| pace.admit(at).is_some()).count() as u64;
        assert_eq!(admitted, LOG_LINES_BURST);
        let later = Wall(at.0 + ns(LOG_LINE_PAUSE));
        assert_eq!(pace.admit(later), Some(2 * LOG_LINES_BURST));
        assert_eq!(pace.admit(later), None);
        // A clock that is set back stops the log for no longer than a burst.
        let earlier = Wall(at.0 / 2);
        assert_eq!(pace.admit(earlier), None);
        assert!(pace.admit(Wall(earlier.0 + 2 * ns(LOG_LINE_PAUSE))).is_some());
    }
}
