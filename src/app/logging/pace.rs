//! How fast records that others can cause may be logged: whoever comes and goes a thousand times a second must not push out
//! of the log what an operator looks for. Counts what it leaves out, and says when to tell of it. Writes nothing.

use crate::proto::gcra::Gcra;
use crate::proto::limits::{LOG_LEFT_OUT_PERIOD, LOG_LINE_PAUSE, LOG_LINES_BURST};
use crate::proto::time::{Mono, ns};

const RATE: Gcra = Gcra::new(LOG_LINES_BURST, LOG_LINE_PAUSE);

pub(super) struct Pace {
    paid_until: Mono,
    /// Records that nobody was told of yet.
    left_out: u64,
    /// When somebody was told last.
    told_at: Option<Mono>,
}

impl Pace {
    pub(super) const fn new() -> Pace {
        Pace { paid_until: Mono(0), left_out: 0, told_at: None }
    }

    /// Whether one more may be logged. One that may not is counted.
    pub(super) fn admit(&mut self, now: Mono) -> bool {
        let is_due = RATE.take(&mut self.paid_until, 1, now);
        self.left_out += u64::from(!is_due);
        is_due
    }

    /// How many were left out and not told of yet.
    pub(super) fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Whether to tell of them: a flood's own lines would be as many otherwise.
    pub(super) fn is_due(&self, now: Mono) -> bool {
        let is_time = self.told_at.is_none_or(|at| now.since_ns(at) >= ns(LOG_LEFT_OUT_PERIOD));
        self.left_out > 0 && is_time
    }

    /// All of them were told of.
    pub(super) fn on_told(&mut self, now: Mono) {
        (self.left_out, self.told_at) = (0, Some(now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_and_what_was_left_out_is_known() {
        let (mut pace, at) = (Pace::new(), Mono(1_000_000_000_000_000));
        let admitted = (0..3 * LOG_LINES_BURST).filter(|_| pace.admit(at)).count() as u64;
        assert_eq!((admitted, pace.left_out()), (LOG_LINES_BURST, 2 * LOG_LINES_BURST));
        let later = at + LOG_LINE_PAUSE;
        assert!(pace.admit(later) && !pace.admit(later));
        assert_eq!(pace.left_out(), 2 * LOG_LINES_BURST + 1);
    }

    #[test]
    fn it_is_told_of_at_once_and_then_now_and_again() {
        let (mut pace, mut now, mut told) = (Pace::new(), Mono(5), Vec::new());
        assert!(!pace.is_due(now), "nothing was left out");
        let end = now + 10 * LOG_LEFT_OUT_PERIOD;
        (0..LOG_LINES_BURST).for_each(|_| assert!(pace.admit(now)));
        while now < end {
            now = now + LOG_LINE_PAUSE;
            // Twice as fast as it may be.
            assert!(pace.admit(now) && !pace.admit(now));
            if pace.is_due(now) {
                told.push(pace.left_out());
                pace.on_told(now);
            }
        }
        assert_eq!((told.len(), told[0]), (10, 1));
        assert!(told[1..].iter().all(|left_out| *left_out == told[1]), "{told:?}");
    }
}
