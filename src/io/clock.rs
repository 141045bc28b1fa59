//! Reads both clocks, together. The only place of the program that does.

use nix::time::{ClockId, clock_gettime};

use crate::proto::limits::{CLOCK_GAP_NS_MAX, CLOCK_TRIES};
use crate::proto::time::{Mono, Now, SECOND_NS, Wall};

/// Both clocks, the monotonic one counted from when this was made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    start_ns: u64,
}

impl Clock {
    pub(super) fn new() -> Clock {
        Clock { start_ns: read_ns(ClockId::CLOCK_MONOTONIC) }
    }

    /// The monotonic clock alone.
    pub(super) fn mono(&self) -> Mono {
        Mono(read_ns(ClockId::CLOCK_MONOTONIC) - self.start_ns)
    }

    /// Both clocks, read so close together that a step of the wall clock is one.
    pub(super) fn now(&self) -> Now {
        let (mut now, mut gap_ns) = self.sample();
        for _ in 1..CLOCK_TRIES {
            if gap_ns <= CLOCK_GAP_NS_MAX {
                break;
            }
            let (next, next_gap_ns) = self.sample();
            if next_gap_ns < gap_ns {
                (now, gap_ns) = (next, next_gap_ns);
            }
        }
        now
    }

    /// The same instant as the operating system counts it on `CLOCK_MONOTONIC`, in nanoseconds.
    pub(super) fn system_ns(&self, mono: Mono) -> u64 {
        self.start_ns.saturating_add(mono.0)
    }

    fn sample(&self) -> (Now, u64) {
        let before = self.mono();
        let wall = Wall(read_ns(ClockId::CLOCK_REALTIME));
        let gap_ns = self.mono().since_ns(before);
        (Now { mono: Mono(before.0 + gap_ns / 2), wall }, gap_ns)
    }
}

/// Both clocks, for who has no reactor: a record of the log. The monotonic one is counted from the start of the host, so it is
/// not to be compared with that of a reactor.
pub fn host_now() -> Now {
    Now { mono: Mono(read_ns(ClockId::CLOCK_MONOTONIC)), wall: Wall(read_ns(ClockId::CLOCK_REALTIME)) }
}

fn read_ns(clock: ClockId) -> u64 {
    let time = clock_gettime(clock).expect("every Linux has both clocks");
    let (seconds, rest_ns) = (time.tv_sec(), time.tv_nsec());
    // A wall clock before 1970 is taken for 1970.
    u64::try_from(seconds).unwrap_or(0) * SECOND_NS + u64::try_from(rest_ns).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn monotonic_time_starts_near_zero_and_never_goes_back() {
        let clock = Clock::new();
        let mut last = clock.now();
        assert!(last.mono.0 < 60 * SECOND_NS);
        for _ in 0..10_000 {
            let now = clock.now();
            assert!(now.mono >= last.mono);
            last = now;
        }
        assert!(clock.mono() >= last.mono);
        assert!(last.wall.0 > 1_600_000_000 * SECOND_NS);
    }

    #[test]
    fn the_two_clocks_go_together() {
        let clock = Clock::new();
        let (first, second) = (clock.now(), clock.now());
        let mono_ns = second.mono.since_ns(first.mono);
        let wall_ns = second.wall.0.abs_diff(first.wall.0);
        assert!(mono_ns.abs_diff(wall_ns) < SECOND_NS);
    }
}
