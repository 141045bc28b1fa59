//! Bounds of the drop box, and of those who upload to one.

use std::time::Duration;

use crate::proto::limits::LINKS_MAX;

/// A header ends where its sender has been quiet for so long. A lost segment of it comes again within that time on a short
/// path (the kernel waits 200 ms), and the price is that each file takes as much longer.
pub const HEADER_QUIET: Duration = Duration::from_millis(250);
/// Bytes before the name in a header: the size.
pub const HEADER_SIZE_BYTES: usize = 8;
/// Longest name in a header, with all the folders that a client may put before it: the longest path that Linux has.
pub const HEADER_NAME_BYTES_MAX: usize = 4096;
/// Longest name that a file is stored under: what every file system stores, less an ending of [`numbered_name`] or
/// [`temp_name`].
///
/// [`numbered_name`]: crate::proto::machine::numbered_name
/// [`temp_name`]: crate::proto::machine::temp_name
pub const STORED_NAME_BYTES_MAX: usize = 230;
/// Names that are tried for a file whose own is taken (`name.1`, `name.2`, ...) before giving up.
pub const FRESH_TRIES_MAX: u32 = 10_000;
/// How long a client may say nothing before its header: minutes, for a person may be choosing the file.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(600);
/// Unfinished files that nobody has written to for so long were left by a receiver that died.
pub const UPLOAD_LEFT_AGE: Duration = Duration::from_secs(24 * 3600);
/// Most bytes of all files of a drop box together, unless an operator says otherwise: a disk of today has that.
pub const UPLOAD_QUOTA_BYTES: u64 = 100_000_000_000;
/// Clients at once, unless an operator says otherwise.
pub const UPLOAD_CLIENTS: usize = 1000;
/// The same of one address: half of them, so that one host cannot keep out all others.
pub const UPLOAD_CLIENTS_PER_ADDRESS: usize = 500;
/// Most that an operator may say: half of the links of a driver, for the other half is the mesh's.
pub const UPLOAD_CLIENTS_MAX: usize = LINKS_MAX / 2;
/// How long an upload may stand still, unless an operator says otherwise: a path that was cut is mended by then, or is not soon.
pub const UPLOAD_STALL_TIMEOUT: Duration = Duration::from_secs(60);
/// How often the one who offers uploads to others looks whether they are still there: one that is offered stays open, and so keeps
/// its room on the disk when an operator removes it.
pub const PRESENTED_LOOK_PERIOD: Duration = Duration::from_secs(30);
