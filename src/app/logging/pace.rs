//! How fast records that others can cause may be logged: whoever comes and goes a thousand times a second must not push out
//! of the log what an operator looks for. Writes nothing.

use crate::proto::gcra::Gcra;
use crate::proto::limits::{LOG_LINE_PAUSE, LOG_LINES_BURST};
use crate::proto::time::{Mono, Wall, ns};

const RATE: Gcra = Gcra::new(LOG_LINES_BURST, LOG_LINE_PAUSE);

pub(super) struct Pace {
    paid_until: Mono,
    left_out: u64,
}

impl Pace {
    pub(super) const fn new() -> Pace {
        Pace { paid_until: Mono(0), left_out: 0 }
    }

    /// Whether one more may be logged, and if so, how many were left out since the last one.
    pub(super) fn admit(&mut self, at: Wall) -> Option<u64> {
        // A record has only the time of day. If that was set back, nothing would pass until it is as late again: so no more than
        // a burst is ever owed.
        let now = Mono(at.0);
        let burst_ns = ns(LOG_LINE_PAUSE) * LOG_LINES_BURST;
        self.paid_until = self.paid_until.min(Mono(now.0.saturating_add(burst_ns)));
        if !RATE.take(&mut self.paid_until, 1, now) {
            self.left_out += 1;
            return None;
        }
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
