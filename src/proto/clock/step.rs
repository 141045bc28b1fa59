//! Finds steps of the wall clock, by comparing it with the monotonic one. Never tells who set it
//! and does not correct anything.

use crate::proto::limits::CLOCK_STEP_MIN;
use crate::proto::time::{Now, ns};

/// How fast a clock may be slewed without that being a step, parts per million: twice the 500 ppm
/// that the kernel allows a time daemon.
const SLEW_PPM: u64 = 1000;
const MILLION: u64 = 1_000_000;

/// Compares each reading of both clocks with the one before.
///
/// A step smaller than [`CLOCK_STEP_MIN`] is not told from slewing. Waking from suspend is a step
/// where the monotonic clock stands still meanwhile, as it does on Linux.
#[derive(Clone, Debug, Default)]
pub struct StepWatch {
    last: Option<Now>,
}

impl StepWatch {
    /// Without a reading to compare with.
    pub fn new() -> StepWatch {
        StepWatch::default()
    }

    /// Takes a reading. Returns by how many nanoseconds the wall clock was set since the last one
    /// (positive: forward, saturating at 292 years), if by more than [`CLOCK_STEP_MIN`] and what
    /// slewing can explain.
    pub fn observe(&mut self, now: Now) -> Option<i64> {
        let last = self.last.replace(now)?;
        let mono_ns = now.mono.since_ns(last.mono);
        let wall_ns = i128::from(now.wall.0) - i128::from(last.wall.0);
        let step_ns = wall_ns - i128::from(mono_ns);
        let slack_ns = ns(CLOCK_STEP_MIN)
            .saturating_add(mono_ns / MILLION * SLEW_PPM + mono_ns % MILLION * SLEW_PPM / MILLION);
        let saturated = i64::try_from(step_ns).unwrap_or(if step_ns < 0 { i64::MIN } else { i64::MAX });
        (step_ns.unsigned_abs() > u128::from(slack_ns)).then_some(saturated)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::proto::time::{Mono, SECOND_NS, Wall};

    const MS: u64 = 1_000_000;
    const NOON: u64 = 1_795_262_400 * SECOND_NS;

    fn at(mono: u64, wall: u64) -> Now {
        Now { mono: Mono(mono), wall: Wall(wall) }
    }

    #[test]
    fn clocks_that_run_together_have_no_step() {
        let mut watch = StepWatch::new();
        for turn in 0..1000 {
            assert_eq!(watch.observe(at(turn * 10 * MS, NOON + turn * 10 * MS)), None);
        }
    }

    #[test]
    fn a_step_is_told_once_with_its_size() {
        let mut watch = StepWatch::new();
        watch.observe(at(0, NOON));
        assert_eq!(watch.observe(at(10 * MS, NOON + 40 * MS)), Some(30 * MS as i64));
        assert_eq!(watch.observe(at(20 * MS, NOON + 50 * MS)), None);
        assert_eq!(watch.observe(at(30 * MS, NOON - SECOND_NS)), Some(-((SECOND_NS + 60 * MS) as i64)));
        assert_eq!(watch.observe(at(40 * MS, NOON - SECOND_NS + 10 * MS)), None);
    }

    #[test]
    fn the_threshold_is_a_millisecond_and_what_slewing_can_do() {
        let limit = MS + 10;
        let observe = |wall| {
            let mut watch = StepWatch::new();
            watch.observe(at(0, NOON));
            watch.observe(at(10_000, wall))
        };
        assert_eq!(observe(NOON + 10_000 + limit), None);
        assert_eq!(observe(NOON + 10_000 + limit + 1), Some(limit as i64 + 1));
        assert_eq!(observe(NOON + 10_000 - limit), None);
        assert_eq!(observe(NOON + 10_000 - limit - 1), Some(-(limit as i64) - 1));
    }

    #[test]
    fn absurd_readings_are_survived() {
        let mut watch = StepWatch::new();
        watch.observe(at(0, 0));
        assert_eq!(watch.observe(at(1, u64::MAX)), Some(i64::MAX));
        assert_eq!(watch.observe(at(u64::MAX, 0)), Some(i64::MIN));
        assert_eq!(watch.observe(at(0, 0)), None);
    }

    proptest! {
        #[test]
        fn slewing_is_no_step(ppm in -900_i64..900, turns in prop::collection::vec(0..5 * SECOND_NS, 1..40)) {
            let mut watch = StepWatch::new();
            let (mut mono, mut wall) = (0_u64, NOON);
            watch.observe(at(mono, wall));
            for elapsed in turns {
                mono += elapsed;
                wall = (wall + elapsed).checked_add_signed(elapsed as i64 / 1_000_000 * ppm).unwrap();
                prop_assert_eq!(watch.observe(at(mono, wall)), None);
            }
        }

        #[test]
        fn a_real_step_is_found(step in 20 * MS..400 * SECOND_NS, back: bool, elapsed in 0..SECOND_NS) {
            let mut watch = StepWatch::new();
            watch.observe(at(5, NOON));
            let step = if back { -(step as i64) } else { step as i64 };
            let wall = (NOON + elapsed).checked_add_signed(step).unwrap();
            prop_assert_eq!(watch.observe(at(5 + elapsed, wall)), Some(step));
        }
    }
}
