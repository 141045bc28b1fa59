//! How far two clocks are apart, from the four times of an exchange, and how wrong that can be.
//! Never judges which of the two is right.
//!
//! Offset and delay are those of NTP's on-wire protocol, RFC 5905, section 8. The delay is the time
//! that both ways took together; how it is shared between them cannot be known. If one way took
//! all of it and the other nothing, the offset is wrong by half of the delay, and never by more:
//! chrony's reason for the same bound (its FAQ, "How accurate is my system clock?"; `root_delay / 2`
//! in `chronyc tracking`). It holds as long as sending is never stamped late and receiving never
//! early, and it says nothing about drift since the exchange. The exchange with the smallest delay
//! has the smallest bound, so that one is kept.

use crate::proto::time::Wall;

/// The four times of one exchange.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exchange {
    /// Sent, by our clock.
    pub t1: Wall,
    /// Received there, by the other clock.
    pub t2: Wall,
    /// Sent there, by the other clock.
    pub t3: Wall,
    /// Received back, by our clock.
    pub t4: Wall,
}

impl Exchange {
    /// By how much the other clock is ahead of ours, nanoseconds: `((t2 - t1) + (t3 - t4)) / 2`,
    /// rounded down.
    fn offset_ns(&self) -> i128 {
        (difference_ns(self.t2, self.t1) + difference_ns(self.t3, self.t4)).div_euclid(2)
    }

    /// What both ways took together, nanoseconds: `(t4 - t1) - (t3 - t2)`. Negative if a clock was
    /// set during the exchange.
    fn delay_ns(&self) -> i128 {
        difference_ns(self.t4, self.t1) - difference_ns(self.t3, self.t2)
    }
}

/// By how much the other clock is ahead of ours: the truth is within `offset_ns ± bound_ns`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offset {
    /// Nanoseconds; negative if the other clock is behind.
    pub offset_ns: i64,
    /// Nanoseconds: half of the delay, rounded up.
    pub bound_ns: u64,
    /// When that was so, by our clock: the end of the exchange.
    pub at: Wall,
}

/// The best offset that was seen since the start, or since the last [`OffsetEstimate::reset`].
#[derive(Clone, Debug, Default)]
pub struct OffsetEstimate {
    best: Option<Offset>,
}

impl OffsetEstimate {
    /// Without an estimate.
    pub fn new() -> OffsetEstimate {
        OffsetEstimate::default()
    }

    /// Takes an exchange; of two with the same bound, the later one stays. An exchange with a
    /// clock that went back between its stamps, a negative delay or an offset beyond 292 years is
    /// refused.
    pub fn update(&mut self, exchange: &Exchange) {
        let Some(new) = measured(exchange) else { return };
        if self.best.is_none_or(|best| new.bound_ns <= best.bound_ns) {
            self.best = Some(new);
        }
    }

    /// The offset with the smallest bound, if any exchange was taken.
    pub fn estimate(&self) -> Option<Offset> {
        self.best
    }

    /// Forgets the estimate, as one of the clocks was set.
    pub fn reset(&mut self) {
        self.best = None;
    }
}

fn measured(exchange: &Exchange) -> Option<Offset> {
    let Exchange { t1, t2, t3, t4 } = *exchange;
    if t4 < t1 || t3 < t2 {
        return None;
    }
    let delay_ns = u64::try_from(exchange.delay_ns()).ok()?;
    let offset_ns = i64::try_from(exchange.offset_ns()).ok()?;
    Some(Offset { offset_ns, bound_ns: delay_ns.div_ceil(2), at: t4 })
}

fn difference_ns(a: Wall, b: Wall) -> i128 {
    i128::from(a.0) - i128::from(b.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn exchange(t1: u64, t2: u64, t3: u64, t4: u64) -> Exchange {
        Exchange { t1: Wall(t1), t2: Wall(t2), t3: Wall(t3), t4: Wall(t4) }
    }

    #[test]
    fn the_sums_of_the_rfc() {
        let ahead = exchange(1000, 1600, 1700, 1300);
        assert_eq!((ahead.offset_ns(), ahead.delay_ns()), (500, 200));
        let behind = exchange(1600, 1200, 1210, 1701);
        assert_eq!((behind.offset_ns(), behind.delay_ns()), (-446, 91));
    }

    #[test]
    fn the_quickest_exchange_is_kept() {
        let mut estimate = OffsetEstimate::new();
        assert_eq!(estimate.estimate(), None);
        estimate.update(&exchange(1000, 1600, 1700, 1300));
        estimate.update(&exchange(2000, 2900, 2910, 2810));
        let kept = Offset { offset_ns: 500, bound_ns: 100, at: Wall(1300) };
        assert_eq!(estimate.estimate(), Some(kept), "800 ns is slower than 200 ns");
        estimate.update(&exchange(3000, 3600, 3700, 3299));
        let quicker = Offset { offset_ns: 500, bound_ns: 100, at: Wall(3299) };
        assert_eq!(estimate.estimate(), Some(quicker), "199 ns, half of it rounded up");
    }

    #[test]
    fn a_step_is_refused_and_a_reset_forgets() {
        let mut estimate = OffsetEstimate::new();
        for stepped in [
            exchange(1000, 1600, 1700, 1050),
            exchange(1000, 1600, 1700, 990),
            exchange(1000, 1600, 1500, 1300),
            exchange(1000, 1600, 1500, 995),
            exchange(0, u64::MAX, u64::MAX, 0),
        ] {
            estimate.update(&stepped);
            assert_eq!(estimate.estimate(), None, "{stepped:?}");
        }
        estimate.update(&exchange(1000, 1600, 1700, 1300));
        assert!(estimate.estimate().is_some());
        estimate.reset();
        assert_eq!(estimate.estimate(), None);
    }

    proptest! {
        #[test]
        fn the_truth_lies_within_the_bound(
            truth in -2_000_000_000_000_i64..2_000_000_000_000,
            exchanges in prop::collection::vec((0..5_000_000_u64, 0..1_000_000_u64, 0..5_000_000_u64), 1..20),
        ) {
            let mut estimate = OffsetEstimate::new();
            let mut t1 = 1_795_229_580_000_000_000_u64;
            let mut quickest = u64::MAX;
            for (there, pause, back) in exchanges {
                let t2 = (t1 + there).checked_add_signed(truth).unwrap();
                let taken = exchange(t1, t2, t2 + pause, t1 + there + pause + back);
                prop_assert_eq!(taken.delay_ns(), i128::from(there + back));
                estimate.update(&taken);
                quickest = quickest.min(there + back);
                let found = estimate.estimate().unwrap();
                prop_assert!(found.offset_ns.abs_diff(truth) <= found.bound_ns);
                prop_assert_eq!(found.bound_ns, quickest.div_ceil(2));
                t1 += 10_000_000;
            }
        }

        #[test]
        fn any_stamps_are_survived(t1: u64, t2: u64, t3: u64, t4: u64) {
            let any = exchange(t1, t2, t3, t4);
            let mut estimate = OffsetEstimate::new();
            estimate.update(&any);
            prop_assert!(estimate.estimate().is_none_or(|found| found.at == Wall(t4)));
        }
    }
}
