//! Bounds of the drop box, and of those who upload to one.

use std::time::Duration;

use crate::proto::limits::{CHUNKS_MAX, COMMAND_PAUSE, LINKS_MAX, WRITE_BUDGET_BYTES};

/// A header ends where its sender has been quiet for so long: each file takes as much longer. Almost all headers come in one
/// segment, or the size in one and the name in another, and then nothing more will come.
pub const HEADER_QUIET: Duration = Duration::from_millis(100);
/// The same when its name has come in pieces already: a piece that was lost comes again within that time on a short path, for
/// the kernel waits 200 ms.
pub const HEADER_QUIET_PIECES: Duration = Duration::from_millis(250);
/// Bytes before the name in a header: the size.
pub const HEADER_SIZE_BYTES: usize = 8;
/// Longest name in a header, with all the folders that a client may put before it: the longest path that Linux has.
pub const HEADER_NAME_BYTES_MAX: usize = 4096;
/// Longest name that a file is stored under: what every file system stores, less a number, or the ending of an unfinished
/// one.
pub const STORED_NAME_BYTES_MAX: usize = 230;
/// Names that are tried for a file whose own is taken (`name.1`, `name.2`, ...) before giving up.
pub const FRESH_TRIES_MAX: u32 = 10_000;
/// How long such a name is refused without another look at all of them, which takes the helper some ten milliseconds: an operator
/// who makes room need not wait longer.
pub const FULL_NAME_PAUSE: Duration = Duration::from_secs(1);
/// Names that are known to be full in that time. Each has ten thousand files in the folder, so there are never many.
pub const FULL_NAMES_MAX: usize = 64;
/// How long a client may say nothing before its header: minutes, for a person may be choosing the file.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(600);
/// Unfinished files that nobody has written to for so long were left by a receiver that died.
pub const UPLOAD_LEFT_AGE: Duration = Duration::from_secs(24 * 3600);
/// Most bytes of all files of a drop box together, unless an operator says otherwise: a disk of today has that.
pub const UPLOAD_QUOTA_BYTES: u64 = 100_000_000_000;
/// What a file counts at least in that: a block of the usual file systems, which it takes with its name and inode however short
/// it is. Otherwise files without bytes could fill a folder without end.
pub const COUNTED_BYTES_MIN: u64 = 4096;
/// Clients at once, unless an operator says otherwise.
pub const UPLOAD_CLIENTS: usize = 1000;
/// The same of one address: half of them, so that one host cannot keep out all others.
pub const UPLOAD_CLIENTS_PER_ADDRESS: usize = 500;
/// Most that an operator may say: each may have a file open beside its link, so half of the links of a driver take as many
/// descriptors as all of them. What is left for the mesh, [`SERVER_LINKS_MAX`](crate::proto::limits::SERVER_LINKS_MAX) says.
pub const UPLOAD_CLIENTS_MAX: usize = LINKS_MAX / 2;
/// How long an upload may stand still, unless an operator says otherwise: a path that was cut is mended by then, or is not soon.
pub const UPLOAD_STALL_TIMEOUT: Duration = Duration::from_secs(60);
/// Bytes of its file that a client has to bring in that time, or all that is left: a byte now and then would hold a place and
/// room for ever. The same that our sender expects of a receiver, see [`UPLOAD_SLICE_BYTES`].
pub const UPLOAD_RATE_BYTES: u64 = UPLOAD_SLICE_BYTES;
/// How often the one who offers uploads to others looks whether they are still there: one that is offered stays open, and so keeps
/// its room on the disk when an operator removes it.
pub const PRESENTED_LOOK_PERIOD: Duration = Duration::from_secs(30);
/// Files that it takes in at once: less than a millisecond of everybody else's time.
pub const PRESENTED_SLICE: usize = 100;
/// Between two such slices: all of a full folder are in after a tenth of a second.
pub const PRESENTED_SLICE_PAUSE: Duration = Duration::from_millis(1);
/// Files that it takes back at once, and that the server hears of at once: closing them and telling costs both some milliseconds.
pub const WITHDRAWN_SLICE: usize = 50;
/// Between two such slices. So half of what a link may say in the long run is left: `WITHDRAW` counts twice.
pub const WITHDRAWN_PAUSE: Duration = Duration::from_millis(100);
/// Files that are gone, and of which it gives up at once what it knows: a fraction of a millisecond of everybody else's time.
pub const PRESENTED_FORGOTTEN_SLICE: usize = 200;
/// Of more files that are gone at one look, the log has one line for all.
pub const GONE_LINES_MAX: usize = 10;
/// Chunks of files that it knows no more, or that never were, that one link may ask it for in a row: a file may be forgotten or
/// replaced while all of its chunks are being asked for.
pub const GONE_GETS_BURST: u64 = CHUNKS_MAX;
/// And then one each: to refuse one costs as much as to read the line.
pub const GONE_GETS_PAUSE: Duration = Duration::from_millis(1);
/// Files of which it knows something, for each that it may offer: those that are gone count until the server knows that too, and a
/// folder may be emptied and filled again before.
pub const PRESENTED_KNOWN_PER_OFFERED: usize = 2;
/// Longest ending of a name, its dot included, that stays when the name is cut: `.jpg`, `.torrent`.
pub const ENDING_BYTES_MAX: usize = 16;
/// Between two counts of what is in the folder: an operator who makes room need not wait longer, and a folder of a
/// hundred thousand files takes the helper less than half of it.
pub const SURVEY_PAUSE: Duration = Duration::from_secs(1);
/// A timer that fires so much too late was held up with everything else, so bytes may have come that nobody has read yet.
pub const HEADER_LATE: Duration = Duration::from_millis(20);
/// Names that are tried for an unfinished file: one that is taken was left by an earlier life, so the next is free.
pub const UPLOAD_OPEN_TRIES_MAX: u32 = 8;
/// Longest name in the log that a client gave its file, in characters. What the file is stored as is there in full.
pub const UPLOAD_SHOWN_CHARS_MAX: usize = 120;
/// Lines in the log about the same trouble with one address within [`TROUBLE_LINES_PERIOD`]: enough to see a pattern.
pub const TROUBLE_LINES_MAX: u32 = 10;
/// See [`TROUBLE_LINES_MAX`].
pub const TROUBLE_LINES_PERIOD: Duration = Duration::from_secs(60);
/// Pairs of address and trouble that are told apart in that time; what is beyond it is counted and not logged.
pub const TROUBLE_SOURCES_MAX: usize = 128;
/// Files that one `tickmesh upload` brings: each is a status in memory and a line at the end.
pub const UPLOAD_FILES_MAX: usize = 100_000;
/// Of these at once: a descriptor and a connection each. More than a few only wait for each other.
pub const UPLOAD_JOBS_MAX: usize = 100;
/// Longest name of a file that is uploaded: what every file system stores.
pub const UPLOAD_NAME_BYTES_MAX: usize = 255;
/// A file goes out in slices, and the next one when the kernel has taken the last: that is what progress is seen by. Two turns'
/// worth, so that a link that is as fast as the loop is never idle, and one that moves 9 kB a second never looks stuck.
pub const UPLOAD_SLICE_BYTES: u64 = 2 * WRITE_BUDGET_BYTES as u64;
/// How long a sender waits for the other end's end before it says its own: most receivers end first, and some only then.
pub const UPLOAD_END_PATIENCE: Duration = Duration::from_secs(2);
/// Bytes of a wrong answer that are shown: enough for the first line of what it may be.
pub const UPLOAD_ANSWER_SHOWN_MAX: usize = 64;
/// Shortest and longest time that a user may set for a receiver that neither takes nor says anything. Less than a
/// second would make failures of pauses.
pub const UPLOAD_TIMEOUT_MIN: Duration = Duration::from_secs(1);
/// See [`UPLOAD_TIMEOUT_MIN`].
pub const UPLOAD_TIMEOUT_MAX: Duration = Duration::from_secs(24 * 3600);

const _: () = {
    let withdrawn_ns = WITHDRAWN_PAUSE.as_nanos() / WITHDRAWN_SLICE as u128;
    assert!(withdrawn_ns >= 2 * 2 * COMMAND_PAUSE.as_nanos());
    // What every file system stores, less `.01234567.temp` or the longest number.
    assert!(STORED_NAME_BYTES_MAX + 14 <= 255 && FRESH_TRIES_MAX <= 10_000);
    assert!(ENDING_BYTES_MAX < STORED_NAME_BYTES_MAX / 2);
    assert!(HEADER_LATE.as_millis() * 2 < HEADER_QUIET.as_millis());
    assert!(HEADER_QUIET.as_millis() < HEADER_QUIET_PIECES.as_millis());
    // Otherwise nobody would say when it is gone, see `Input::Blocked`.
    assert!(UPLOAD_SLICE_BYTES > WRITE_BUDGET_BYTES as u64);
    assert!(UPLOAD_NAME_BYTES_MAX <= HEADER_NAME_BYTES_MAX);
};
