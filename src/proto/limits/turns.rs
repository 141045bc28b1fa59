//! Bounds of one turn of the loop and of its helper, and what it expects of clocks and processors.

use std::time::Duration;

use crate::proto::limits::{BULK_BYTES, READ_BUDGET_BYTES, READ_BUDGET_BYTES_FIRST, READ_BUDGET_BYTES_MIN};

/// Events taken from the kernel at once; what is more comes with the next turn.
pub const EVENTS_MAX: usize = 1024;
/// Answers given in a row, so that a machine that asks again after each one stops nobody.
pub const ANSWER_BUDGET: usize = 4096;
/// Work after which a turn sends what it has and looks at the timers, although sockets still wait.
pub const SLICE_MAX: Duration = Duration::from_micros(500);
/// The same once a deadline has passed: deadlines that come as fast as turns do not starve reads.
pub const SLICE_MIN: Duration = Duration::from_micros(50);
/// Connections accepted from one listener in one visit: a fraction of a millisecond of work, so that a storm of them keeps
/// nobody waiting, and still thousands a second.
pub const ACCEPT_BUDGET: usize = 8;
/// How long accepting pauses when descriptors have run out.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// How long accepting pauses when everybody who was accepted in one visit was sent away at once, or when
/// [`LINGERING_MAX`](crate::proto::limits::LINGERING_MAX) that were sent away linger: 1600 a second are told why, and ticks have the
/// rest of the processor.
pub const REFUSAL_PAUSE: Duration = Duration::from_millis(5);
/// Time that a machine should take with what is read from one link at once. Lines may cost much more than their bytes say: four
/// thousand short questions fit into [`READ_BUDGET_BYTES`] several times over.
pub const VISIT_TIME: Duration = Duration::from_micros(200);
/// Links that are flushed until the clock is looked at: some ten microseconds.
pub const FLUSHES_UNTIMED: usize = 8;
/// How much earlier a long sleep ends than its deadline: longer than almost every way from a sleeping
/// processor to us (99 % in 110 µs where this was measured), short against an interval.
pub const WAKE_AHEAD: Duration = Duration::from_micros(150);
/// Slice of a processor that the loop asks the kernel for, where it can: the shortest that there is. A tick that is due
/// while others compute does not wait for a usual one of theirs to end, which is 3 ms.
pub const LOOP_SLICE: Duration = Duration::from_micros(100);
/// A longer time between two readings of the monotonic clock means that the loop was held up
/// between them, and the wall clock's reading may be as far off: a step that never was.
pub const CLOCK_GAP_NS_MAX: u64 = 20_000;
/// How often the clocks are read before the closest pair has to do.
pub const CLOCK_TRIES: u32 = 4;
/// A kernel's time stamp that is older, or later than now, is of another clock setting.
pub const STAMP_AGE_NS_MAX: u64 = 1_000_000_000;
/// Deleted files that the helper closes in one turn, and what they may have on the disk together until one is the last of
/// them: a few milliseconds' worth, but one alone may take longer (80 ms for 1 GiB).
pub const LET_GO_FILES_MAX: usize = 64;
/// See [`LET_GO_FILES_MAX`].
pub const LET_GO_BYTES_MAX: u64 = 32 << 20;
/// Deleted files that wait for that, with a descriptor and their room on the disk each, before fresh ones wait for them.
pub const LET_GO_WAITING_MAX: usize = 4 * LET_GO_FILES_MAX;
/// How often is looked whether links have let go of deleted files: often against how long a link takes for a range, and so
/// seldom that thousands of them cost the loop nothing.
pub const LET_GO_LOOK_PERIOD: Duration = Duration::from_millis(100);
/// Files that waited so and are opened in one turn of the loop: each takes it about 0.1 ms.
pub const POSTPONED_OPENS_A_TURN: usize = 4;

const _: () = {
    assert!(READ_BUDGET_BYTES_MIN <= READ_BUDGET_BYTES_FIRST && READ_BUDGET_BYTES_FIRST <= READ_BUDGET_BYTES);
    assert!(BULK_BYTES <= READ_BUDGET_BYTES);
};
