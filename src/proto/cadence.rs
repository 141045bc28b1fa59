//! The grid of a run: which tick is due when, and what became of each. Takes the time as an
//! argument; never sends a tick and never asks for a timer.
//!
//! Slot `n` is due at `start + n * interval` and stays open until slot `n + 1` is due. Each slot is
//! either taken, once, while it is open, or skipped, once, when it is gone. A loop that overslept
//! thus finds one slot to take, not a burst; and as every due time comes from the grid, never from
//! the time of the last tick, lateness does not add up.

use std::time::Duration;

use crate::proto::time::{Mono, ns};

/// The grid of one run, and how far it has come.
#[derive(Clone, Debug)]
pub struct Cadence {
    start: Mono,
    interval_ns: u64,
    ticks: u64,
    /// The first slot that is neither taken nor skipped.
    next: u64,
    taken: u64,
    /// Skipped slots that were told of, by a [`Slot`] or by [`Cadence::finish`].
    told: u64,
}

/// A slot that was taken: one tick is to be sent for it, now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Number of the slot, from 0; the tick has the same one.
    pub seq: u64,
    /// Nanoseconds from when the slot was due; always less than the interval.
    pub lateness_ns: u64,
    /// Slots just before this one that were gone before anybody looked.
    pub skipped: u64,
}

impl Cadence {
    /// A grid of `ticks` slots, the first due at `start`. An interval of zero counts as one
    /// nanosecond; slots that would lie beyond the end of [`Mono`] (584 years) do not exist.
    pub fn new(start: Mono, interval: Duration, ticks: u64) -> Cadence {
        let interval_ns = ns(interval).max(1);
        let ticks = ticks.min((u64::MAX - start.0) / interval_ns);
        Cadence { start, interval_ns, ticks, next: 0, taken: 0, told: 0 }
    }

    /// The first point of the grid `base + phase + k * interval`, `k` from 0, that is not before
    /// `earliest`. Saturates at the end of [`Mono`].
    pub fn first_after(base: Mono, phase: Duration, interval: Duration, earliest: Mono) -> Mono {
        let origin = base + phase;
        let periods = earliest.since_ns(origin).div_ceil(ns(interval).max(1));
        Mono(origin.0.saturating_add(periods.saturating_mul(ns(interval).max(1))))
    }

    /// When the next slot is due, also if that is past; `None` when no slot is left.
    pub fn due_at(&self) -> Option<Mono> {
        (self.next < self.ticks).then(|| self.due(self.next))
    }

    /// Takes the slot that is open at `now` and skips those that are gone. `None` if it is taken
    /// already, or not due, or if the grid has ended; in the last case the slots that were left
    /// are skipped, and [`Cadence::finish`] tells how many. Afterwards [`Cadence::due_at`] is `None`
    /// or later than `now`.
    pub fn take(&mut self, now: Mono) -> Option<Slot> {
        let open = self.open_at(now)?;
        if open < self.next {
            return None;
        }
        if open >= self.ticks {
            self.next = self.ticks;
            return None;
        }
        self.next = open;
        let skipped = self.tell_skipped();
        self.next = open + 1;
        self.taken += 1;
        Some(Slot { seq: open, lateness_ns: now.since_ns(self.due(open)), skipped })
    }

    /// Skips what is due by `now` and was not taken, an open slot too, and returns the number of
    /// skipped slots that no [`Slot`] and no earlier call told of. For the end of the grid, and
    /// for a run that is [`cut`](Cadence::cut) short.
    pub fn finish(&mut self, now: Mono) -> u64 {
        let due = self.open_at(now).map_or(0, |open| open.saturating_add(1));
        self.next = self.next.max(due.min(self.ticks));
        self.tell_skipped()
    }

    /// Ends the grid: slots that were neither taken nor skipped do not exist any more.
    pub fn cut(&mut self) {
        self.ticks = self.next;
    }

    /// When the last slot is gone: `start + ticks * interval`.
    pub fn end(&self) -> Mono {
        self.due(self.ticks)
    }

    /// Whether a tick with that lateness counts as late: more than half an interval.
    pub fn is_late(&self, lateness_ns: u64) -> bool {
        lateness_ns > self.interval_ns / 2
    }

    /// Slots that were gone before they could be taken, those at the end of the grid included.
    fn skipped(&self) -> u64 {
        self.next - self.taken
    }

    fn tell_skipped(&mut self) -> u64 {
        let untold = self.skipped() - self.told;
        self.told += untold;
        untold
    }

    /// `seq` is at most `ticks`, which [`Cadence::new`] keeps below an overflow.
    fn due(&self, seq: u64) -> Mono {
        Mono(self.start.0 + seq * self.interval_ns)
    }

    /// The slot that is open at `now`, on a grid without end; `None` before the first is due.
    fn open_at(&self, now: Mono) -> Option<u64> {
        (now >= self.start).then(|| now.since_ns(self.start) / self.interval_ns)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: u64 = 1_000_000;
    const INTERVAL: Duration = Duration::from_millis(10);

    fn grid(ticks: u64) -> Cadence {
        Cadence::new(Mono(100 * MS), INTERVAL, ticks)
    }

    #[test]
    fn a_punctual_loop_takes_every_slot() {
        let mut grid = grid(3);
        assert_eq!(grid.end(), Mono(130 * MS));
        assert_eq!(grid.take(Mono(100 * MS - 1)), None);
        for seq in 0..3 {
            let due = grid.due_at().unwrap();
            assert_eq!(due, Mono((100 + 10 * seq) * MS));
            assert_eq!(grid.take(due), Some(Slot { seq, lateness_ns: 0, skipped: 0 }));
            assert_eq!(grid.take(due), None, "one slot is taken once");
        }
        assert_eq!(grid.due_at(), None);
        assert_eq!(grid.take(grid.end()), None);
        assert_eq!((grid.finish(grid.end()), grid.taken, grid.ticks), (0, 3, 3));
    }

    #[test]
    fn what_was_overslept_is_skipped_and_not_sent_late() {
        let mut grid = grid(10);
        assert_eq!(grid.take(Mono(137 * MS)), Some(Slot { seq: 3, lateness_ns: 7 * MS, skipped: 3 }));
        assert_eq!(grid.due_at(), Some(Mono(140 * MS)));
        assert_eq!(grid.take(Mono(140 * MS)), Some(Slot { seq: 4, lateness_ns: 0, skipped: 0 }));
        assert_eq!((grid.taken, grid.skipped(), grid.next), (2, 3, 5));
    }

    #[test]
    fn slots_at_the_end_are_accounted_for() {
        let mut grid = grid(10);
        grid.take(Mono(100 * MS)).unwrap();
        let last_moment = Mono(grid.end().0 - 1);
        let mut other = grid.clone();
        assert_eq!(other.take(last_moment), Some(Slot { seq: 9, lateness_ns: 10 * MS - 1, skipped: 8 }));
        assert_eq!(grid.take(grid.end()), None);
        assert_eq!(grid.due_at(), None, "nothing is left to wait for");
        assert_eq!((grid.finish(grid.end()), grid.taken, grid.ticks), (9, 1, 10));
    }

    #[test]
    fn a_run_cut_short_counts_what_was_due() {
        let mut early = grid(10);
        assert_eq!(early.finish(Mono(0)), 0);
        early.cut();
        assert_eq!((early.ticks, early.due_at()), (0, None));
        let mut middle = grid(10);
        middle.take(Mono(100 * MS)).unwrap();
        assert_eq!(middle.finish(Mono(120 * MS)), 2, "slot 2 is due at that very moment");
        middle.cut();
        assert_eq!((middle.ticks, middle.skipped(), middle.next), (3, 2, 3));
        assert_eq!((middle.due_at(), middle.end()), (None, Mono(130 * MS)));
        assert_eq!(middle.take(Mono(130 * MS)), None);
        assert_eq!(middle.finish(Mono(900 * MS)), 0, "nothing is told twice");
    }

    #[test]
    fn asking_what_was_skipped_does_not_end_the_grid() {
        let mut grid = grid(10);
        grid.take(Mono(100 * MS)).unwrap();
        assert_eq!(grid.finish(Mono(105 * MS)), 0);
        assert_eq!(grid.take(Mono(110 * MS)), Some(Slot { seq: 1, lateness_ns: 0, skipped: 0 }));
        assert_eq!(grid.finish(Mono(133 * MS)), 2, "the open slot is given up");
        assert_eq!(grid.take(Mono(137 * MS)), None);
        assert_eq!(grid.take(Mono(150 * MS)), Some(Slot { seq: 5, lateness_ns: 0, skipped: 1 }));
    }

    #[test]
    fn late_is_more_than_half_an_interval() {
        let grid = grid(1);
        assert!(!grid.is_late(5 * MS));
        assert!(grid.is_late(5 * MS + 1));
    }

    #[test]
    fn a_late_comer_finds_its_first_slot() {
        let first = |earliest| {
            Cadence::first_after(Mono(100), Duration::from_nanos(3), Duration::from_nanos(10), Mono(earliest))
        };
        for (earliest, expected) in [(0, 103), (103, 103), (104, 113), (113, 113), (114, 123)] {
            assert_eq!(first(earliest), Mono(expected));
        }
        assert_eq!(first(u64::MAX), Mono(u64::MAX));
    }

    #[test]
    fn absurd_grids_do_not_overflow() {
        let mut grid = Cadence::new(Mono(u64::MAX - 25), Duration::from_nanos(10), u64::MAX);
        assert_eq!(grid.ticks, 2);
        assert_eq!(grid.take(Mono(u64::MAX)), None);
        assert_eq!(grid.finish(Mono(u64::MAX)), 2);
        assert_eq!(Cadence::new(Mono(5), Duration::ZERO, 7).end(), Mono(12));
    }

    proptest! {
        #[test]
        fn the_accounts_close(
            start in 0..1_000_u64,
            interval in 1..50_u64,
            ticks in 0..60_u64,
            naps in prop::collection::vec(0..120_u64, 0..60),
            cut in any::<bool>(),
        ) {
            let mut grid = Cadence::new(Mono(start), Duration::from_nanos(interval), ticks);
            let (mut now, mut skipped, mut last) = (Mono(0), 0, None);
            for nap in naps {
                now = Mono(now.0 + nap);
                let due = grid.due_at();
                if let Some(slot) = grid.take(now) {
                    prop_assert!(due.unwrap() <= now, "never early");
                    prop_assert!(last.is_none_or(|last| slot.seq > last), "never twice");
                    prop_assert!(slot.seq < ticks && slot.lateness_ns < interval);
                    prop_assert_eq!(start + slot.seq * interval + slot.lateness_ns, now.0);
                    last = Some(slot.seq);
                    skipped += slot.skipped;
                    prop_assert_eq!(grid.skipped(), skipped);
                } else {
                    prop_assert!(due.is_none_or(|due| due > now || now >= grid.end()));
                }
                prop_assert!(grid.due_at().is_none_or(|due| due > now));
                prop_assert_eq!(grid.taken + grid.skipped(), grid.next);
                prop_assert!(grid.next <= grid.ticks && grid.ticks == ticks);
            }
            let end = if cut { now } else { Mono(now.0.max(grid.end().0)) };
            skipped += grid.finish(end);
            grid.cut();
            prop_assert_eq!(grid.taken + skipped, grid.ticks, "each slot is told of once");
            let due_by_then = if end.0 < start { 0 } else { (end.0 - start) / interval + 1 };
            prop_assert_eq!(grid.ticks, ticks.min(due_by_then));
            prop_assert_eq!((grid.finish(end), grid.next), (0, grid.ticks));
        }

        #[test]
        fn the_first_slot_is_the_first(base in 0..500_u64, phase in 0..90_u64, interval in 1..90_u64, earliest in 0..900_u64) {
            let (phase_of, interval_of) = (Duration::from_nanos(phase), Duration::from_nanos(interval));
            let first = Cadence::first_after(Mono(base), phase_of, interval_of, Mono(earliest)).0;
            prop_assert!(first >= earliest && (first - base - phase).is_multiple_of(interval));
            prop_assert!(first == base + phase || first - interval < earliest);
        }
    }
}
