//! Bounds of what the helper does for the disk, and of log files, each with its unit and its reason.

use std::time::Duration;

/// Finished files of one file system from which on all of it is synced at once, not each file: the
/// one costs a few milliseconds, and besides waits for what others have written; each of the
/// others costs half as much.
pub const SWEEP_FILES_MIN: usize = 8;
/// Files that are brought to disk together, so that those in front do not wait for ever more.
pub const FINISH_BATCH_MAX: usize = 1024;
/// Bytes of an old log file that are compressed before the helper looks at what else waits: a millisecond's worth.
pub const LOG_PACK_SLICE_BYTES: usize = 64 << 10;
/// How soon a rotation of the log that failed is tried again, and told again: it costs a few calls each time.
pub const LOG_RETRY: Duration = Duration::from_secs(60);
/// Longest line of a log, its line end included: what a pipe takes whole or not at all (`PIPE_BUF`). A longer one is cut.
pub const LOG_LINE_BYTES_MAX: usize = 4096;
/// Smallest size at which a log file is followed by a new one: a line or more fits into each.
pub const LOG_BYTES_MIN: u64 = LOG_LINE_BYTES_MAX as u64;
/// Old log files that can be kept: their names are moved on one by one at each rotation, by the helper.
pub const LOG_KEEP_MAX: usize = 1000;
