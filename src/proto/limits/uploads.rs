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
/// Longest ending of a name, its dot included, that stays when the name is cut: `.jpg`, `.torrent`.
pub const ENDING_BYTES_MAX: usize = 16;
/// Between two counts of what is in the folder: an operator who makes room need not wait longer, and a folder of a
/// hundred thousand files takes the helper less than half of it.
pub const SURVEY_PAUSE: Duration = Duration::from_secs(1);
/// A timer that fires so much too late was held up with everything else, so bytes may have come that nobody has read yet.
pub const HEADER_LATE: Duration = Duration::from_millis(20);
/// Names that are tried for an unfinished file: one that is taken was left by an earlier life, so the next is free.
pub const UPLOAD_OPEN_TRIES_MAX: u32 = 8;
/// Longest name of a file, or of what a client called so, in the log, in characters.
pub const UPLOAD_SHOWN_CHARS_MAX: usize = 120;
/// Lines in the log about the same trouble with one address within [`TROUBLE_LINES_PERIOD`]: enough to see a pattern.
pub const TROUBLE_LINES_MAX: u32 = 10;
/// See [`TROUBLE_LINES_MAX`].
pub const TROUBLE_LINES_PERIOD: Duration = Duration::from_secs(60);
/// Pairs of address and trouble that are told apart in that time; what is beyond it is counted and not logged.
pub const TROUBLE_SOURCES_MAX: usize = 128;

const _: () = {
    // What every file system stores, less `.01234567.temp` or the longest number.
    assert!(STORED_NAME_BYTES_MAX + 14 <= 255 && FRESH_TRIES_MAX <= 10_000);
    assert!(ENDING_BYTES_MAX < STORED_NAME_BYTES_MAX / 2);
    assert!(HEADER_LATE.as_millis() * 2 < HEADER_QUIET.as_millis());
};
