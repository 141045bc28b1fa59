//! Bounds of the drop box, and of those who upload to one.

use std::time::Duration;

/// A header ends where its sender has been quiet for so long. A lost segment of it comes again within that time on a short
/// path (the kernel waits 200 ms), and the price is that each file takes as much longer.
pub const HEADER_QUIET: Duration = Duration::from_millis(250);
/// Bytes before the name in a header: the size.
pub const HEADER_SIZE_BYTES: usize = 8;
/// Longest name in a header, with all the folders that a client may put before it: the longest path that Linux has.
pub const HEADER_NAME_BYTES_MAX: usize = 4096;
/// Longest name that a file is stored under: what every file system stores, less a number, or the ending of an unfinished
/// one.
pub const STORED_NAME_BYTES_MAX: usize = 230;
/// Names that are tried for a file whose own is taken (`name.1`, `name.2`, ...) before giving up.
pub const FRESH_TRIES_MAX: u32 = 10_000;
/// How long a client may say nothing before its header: minutes, for a person may be choosing the file.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(600);
/// Unfinished files that nobody has written to for so long were left by a receiver that died.
pub const UPLOAD_LEFT_AGE: Duration = Duration::from_secs(24 * 3600);
