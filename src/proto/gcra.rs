//! So many at once, then so many a second: whether one more comes too fast. Remembers nothing: who asks keeps one time
//! for each that is counted, until when all that was taken so far would have lasted at the steady rate.
//!
//! This is the generic cell rate algorithm (ITU-T I.371, annex A) in its form with one theoretical arrival time, in
//! whole nanoseconds. That time is called `paid_until`; it begins as 0, or later where a part of the burst is taken from
//! the beginning.

use std::time::Duration;

use crate::proto::time::{Mono, ns};

/// How many may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gcra {
    /// At once after a long silence; at least 1.
    pub burst: u64,
    /// Time until one more, in ns.
    pub period_ns: u64,
}

impl Gcra {
    /// `burst` at once, then one each `period`.
    pub const fn new(burst: u64, period: Duration) -> Gcra {
        Gcra { burst, period_ns: ns(period) }
    }

    /// When `cost` more are no faster than agreed: not after `now` if that is so now. Takes nothing.
    pub fn due(&self, paid_until: Mono, cost: u64, now: Mono) -> Mono {
        Mono(self.paid(paid_until, cost, now).0.saturating_sub(self.lasts_ns(self.burst)))
    }

    /// Takes `cost` more, if they are due.
    #[must_use]
    pub fn take(&self, paid_until: &mut Mono, cost: u64, now: Mono) -> bool {
        let is_due = self.due(*paid_until, cost, now) <= now;
        if is_due {
            self.charge(paid_until, cost, now);
        }
        is_due
    }

    /// Takes `cost` more, due or not.
    pub fn charge(&self, paid_until: &mut Mono, cost: u64, now: Mono) {
        *paid_until = self.paid(*paid_until, cost, now);
    }

    /// Gives back what was taken.
    pub fn refund(&self, paid_until: &mut Mono, cost: u64) {
        paid_until.0 = paid_until.0.saturating_sub(self.lasts_ns(cost));
    }

    fn paid(&self, paid_until: Mono, cost: u64, now: Mono) -> Mono {
        Mono(paid_until.max(now).0.saturating_add(self.lasts_ns(cost)))
    }

    fn lasts_ns(&self, cost: u64) -> u64 {
        self.period_ns.saturating_mul(cost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Gcra = Gcra::new(3, Duration::from_nanos(100));

    #[test]
    fn a_burst_then_steadily() {
        let mut paid_until = Mono(0);
        let mut take = |now: u64| RATE.take(&mut paid_until, 1, Mono(now));
        assert_eq!([1000, 1000, 1000, 1000].map(&mut take), [true, true, true, false]);
        assert_eq!([1099, 1100, 1100, 1199, 1200].map(&mut take), [false, true, false, false, true]);
        assert_eq!(
            [9000, 9000, 9000, 9000].map(&mut take),
            [true, true, true, false],
            "one burst is saved up"
        );
    }

    #[test]
    fn nothing_gets_ahead_of_the_rate_and_who_keeps_to_it_is_never_late() {
        let (mut paid_until, mut taken) = (Mono(0), 0);
        for now in 0..10_000 {
            let due = RATE.due(paid_until, 1, Mono(now));
            let is_taken = RATE.take(&mut paid_until, 1, Mono(now));
            assert_eq!(is_taken, due <= Mono(now));
            taken += u64::from(is_taken);
        }
        assert_eq!(taken, RATE.burst + 99);
        let mut paid_until = Mono(0);
        assert!((0..1000).all(|turn| RATE.take(&mut paid_until, 1, Mono(turn * 100))));
    }

    #[test]
    fn what_is_charged_counts_and_what_is_given_back_does_not() {
        let (mut paid_until, now) = (Mono(0), Mono(5000));
        RATE.charge(&mut paid_until, 10, now);
        assert_eq!(RATE.due(paid_until, 1, now), Mono(5800), "seven too many, and one more");
        assert_eq!(RATE.due(paid_until, 0, now), Mono(5700));
        assert!(!RATE.take(&mut paid_until, 1, now), "and that costs nothing:");
        RATE.refund(&mut paid_until, 8);
        assert!(RATE.take(&mut paid_until, 1, now) && !RATE.take(&mut paid_until, 1, now));
    }

    #[test]
    fn nothing_overflows() {
        let mut paid_until = Mono(0);
        RATE.charge(&mut paid_until, u64::MAX, Mono(1));
        assert_eq!(paid_until, Mono(u64::MAX));
        assert!(!RATE.take(&mut paid_until, u64::MAX, Mono(1)));
        RATE.refund(&mut paid_until, u64::MAX);
        assert_eq!(paid_until, Mono(0));
        let slow = Gcra { burst: u64::MAX, period_ns: u64::MAX };
        assert!(slow.take(&mut Mono(u64::MAX), u64::MAX, Mono(u64::MAX)));
    }
}
