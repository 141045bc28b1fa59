//! One node's two clocks as functions of the world's time: offset, drift, steps, and when a
//! deadline falls due. Never decides who is woken.

use crate::proto::time::{Mono, Now, SECOND_NS, Wall};

/// Straight lines from an anchor: both clocks run at `1 + drift_ppb / 1e9`.
#[derive(Clone, Debug)]
pub(super) struct Clock {
    anchor_ns: u64,
    mono_ns: u64,
    wall_ns: u64,
    drift_ppb: i64,
}

/// Beyond half a second a second it is no drift any more, and the arithmetic has its room.
const DRIFT_PPB_MAX: u64 = SECOND_NS / 2;

impl Clock {
    pub(super) fn new(mono_ns: u64, wall_ns: u64, drift_ppb: i64) -> Clock {
        assert!(drift_ppb.unsigned_abs() <= DRIFT_PPB_MAX, "a drift of {drift_ppb} ppb");
        Clock { anchor_ns: 0, mono_ns, wall_ns, drift_ppb }
    }

    /// Both clocks at the world's time `at_ns`.
    pub(super) fn now(&self, at_ns: u64) -> Now {
        let passed_ns = scale(at_ns.saturating_sub(self.anchor_ns), self.drift_ppb);
        Now { mono: Mono(self.mono_ns + passed_ns), wall: Wall(self.wall_ns + passed_ns) }
    }

    /// The first time of the world at which the monotonic clock shows `deadline` or more.
    pub(super) fn when(&self, deadline: Mono) -> u64 {
        let ahead_ns = deadline.0.saturating_sub(self.mono_ns);
        self.anchor_ns.saturating_add(unscale(ahead_ns, self.drift_ppb))
    }

    pub(super) fn step_wall(&mut self, step_ns: i64) {
        self.wall_ns = self.wall_ns.saturating_add_signed(step_ns);
    }

    /// From `at_ns` on the clocks run at another rate; neither jumps.
    pub(super) fn set_drift(&mut self, at_ns: u64, drift_ppb: i64) {
        let now = self.now(at_ns);
        *self = Clock { anchor_ns: at_ns, ..Clock::new(now.mono.0, now.wall.0, drift_ppb) };
    }
}

/// `ns * (1 + ppb / 1e9)`, rounded down.
fn scale(ns: u64, ppb: i64) -> u64 {
    ns.saturating_add_signed(floor_ratio(ns, ppb, SECOND_NS as i64))
}

/// The least `e` with `scale(e) >= ns`.
fn unscale(ns: u64, ppb: i64) -> u64 {
    ns.saturating_add_signed(-floor_ratio(ns, ppb, SECOND_NS as i64 + ppb))
}

/// `ns * ppb / whole`, rounded down. 64 bits are enough for hours, and much faster than 128.
fn floor_ratio(ns: u64, ppb: i64, whole: i64) -> i64 {
    if ppb == 0 {
        return 0;
    }
    match i64::try_from(ns).ok().and_then(|ns| ns.checked_mul(ppb)) {
        Some(product) => product.div_euclid(whole),
        None => {
            let ratio = (i128::from(ns) * i128::from(ppb)).div_euclid(i128::from(whole));
            ratio.clamp(i128::from(-i64::MAX), i128::from(i64::MAX)) as i64
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_never_early_and_never_a_nanosecond_late() {
        for drift_ppb in [0, 1, -1, 50_000, -50_000, 333_333_333, -499_999_999] {
            let clock = Clock::new(1_000, 0, drift_ppb);
            for ahead_ns in [0, 1, 2, 3, 999_999_999, 10_000_000, SECOND_NS * 300, SECOND_NS * 3600 * 24 * 30]
            {
                let deadline = Mono(1_000 + ahead_ns);
                let at_ns = clock.when(deadline);
                assert!(clock.now(at_ns).mono >= deadline, "{drift_ppb} {ahead_ns}");
                assert!(at_ns == 0 || clock.now(at_ns - 1).mono < deadline, "{drift_ppb} {ahead_ns}");
            }
        }
    }

    #[test]
    fn drift_moves_both_clocks() {
        let clock = Clock::new(0, 5 * SECOND_NS, 50_000);
        let now = clock.now(100 * SECOND_NS);
        assert_eq!(now.mono, Mono(100 * SECOND_NS + 5_000_000));
        assert_eq!(now.wall, Wall(105 * SECOND_NS + 5_000_000));
        let slow = Clock::new(0, 0, -50_000);
        assert_eq!(slow.now(100 * SECOND_NS).mono, Mono(100 * SECOND_NS - 5_000_000));
        assert_eq!(slow.now(1).mono, Mono(0));
    }

    #[test]
    fn steps_move_the_wall_and_a_new_drift_moves_nothing_at_once() {
        let mut clock = Clock::new(0, SECOND_NS, 0);
        clock.step_wall(-500);
        assert_eq!(clock.now(10), Now { mono: Mono(10), wall: Wall(SECOND_NS - 490) });
        clock.set_drift(SECOND_NS, 1_000_000);
        assert_eq!(clock.now(SECOND_NS).mono, Mono(SECOND_NS));
        assert_eq!(clock.now(2 * SECOND_NS).mono, Mono(2 * SECOND_NS + 1_000_000));
        assert_eq!(clock.when(Mono(2 * SECOND_NS + 1_000_000)), 2 * SECOND_NS);
    }
}
