//! How fast one user may talk: a burst, then steadily; who goes on faster is held back, then refused.
//! Remembers one time for each user and counts nothing.

use crate::proto::gcra::Gcra;
use crate::proto::limits::{MESSAGE_PERIOD, MESSAGES_BURST, MESSAGES_SLOWED_MAX};
use crate::proto::time::Mono;

/// What a user may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Messages that go at once.
    pub steady: Gcra,
    /// Messages that are held back before any is refused.
    pub slowed_max: u32,
}

/// When something may be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Now.
    Now,
    /// Not before that time; it is paid for, do not ask again.
    At(Mono),
    /// Not at all. From that time on one message would be taken again, if nothing else is sent.
    Refused {
        /// See above.
        until: Mono,
    },
}

impl Default for Rate {
    fn default() -> Rate {
        Rate { steady: Gcra::new(u64::from(MESSAGES_BURST), MESSAGE_PERIOD), slowed_max: MESSAGES_SLOWED_MAX }
    }
}

impl Rate {
    /// Asks for `cost` messages; `paid_until` is when all that was taken before has had its time.
    pub(super) fn take(&self, paid_until: &mut Mono, cost: u32, now: Mono) -> Pace {
        let slowed_ns = self.steady.period_ns.saturating_mul(u64::from(self.slowed_max));
        let due = self.steady.due(*paid_until, u64::from(cost), now);
        if due.since_ns(now) > slowed_ns {
            return Pace::Refused { until: Mono(due.0.saturating_sub(slowed_ns)) };
        }
        self.steady.charge(paid_until, u64::from(cost), now);
        if due <= now { Pace::Now } else { Pace::At(due) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { steady: Gcra { burst: 3, period_ns: 100 }, slowed_max: 2 };

    #[test]
    fn a_burst_goes_then_some_are_held_back_then_they_are_refused() {
        let mut paid = Mono(0);
        let mut take = |now: u64| RATE.take(&mut paid, 1, Mono(now));
        assert_eq!([take(1000), take(1000), take(1000)], [Pace::Now; 3]);
        assert_eq!([take(1000), take(1010)], [Pace::At(Mono(1100)), Pace::At(Mono(1200))]);
        assert_eq!(take(1050), Pace::Refused { until: Mono(1100) });
        assert_eq!(take(1099), Pace::Refused { until: Mono(1100) }, "a refusal costs nothing");
        assert_eq!(take(1100), Pace::At(Mono(1300)));
        assert_eq!([take(9000), take(9000), take(9000)], [Pace::Now; 3], "idle time saves up one burst");
        assert_eq!(take(9000), Pace::At(Mono(9100)));
    }

    #[test]
    fn a_steady_talker_is_never_held_back_and_nothing_gets_ahead_of_the_rate() {
        let mut paid = Mono(0);
        for message in 0..1000 {
            assert_eq!(RATE.take(&mut paid, 1, Mono(message * 100)), Pace::Now);
        }
        let (mut paid, mut done, mut last) = (Mono(0), 0, Mono(0));
        for now in 0..10_000 {
            let at = match RATE.take(&mut paid, 1, Mono(now)) {
                Pace::Now => Mono(now),
                Pace::At(at) => at,
                Pace::Refused { .. } => continue,
            };
            assert!(at >= last, "held back in order");
            (done, last) = (done + 1, at);
        }
        assert_eq!(done, 3 + 2 + 99);
    }

    #[test]
    fn what_costs_more_than_a_burst_is_not_free_and_nothing_overflows() {
        let mut paid = Mono(0);
        assert_eq!(RATE.take(&mut paid, 4, Mono(0)), Pace::At(Mono(100)));
        assert!(matches!(RATE.take(&mut paid, u32::MAX, Mono(0)), Pace::Refused { .. }));
        let slow = Rate { steady: Gcra { burst: u64::MAX, period_ns: u64::MAX }, slowed_max: u32::MAX };
        assert_eq!(slow.take(&mut Mono(u64::MAX), u32::MAX, Mono(u64::MAX)), Pace::Now);
    }
}
