//! The drop box: files that come in over a protocol for programs that speak nothing else, and the client for it.
//! Both ends are machines of their own, beside a server or alone; neither knows of ticks, people or chunks.
//!
//! # The protocol
//!
//! ```text
//! C>S  8 bytes: size of the file, unsigned, big endian; then the file's name, UTF-8, no length, no terminator
//! S>C  the 8 bytes `go ahead`, nothing else
//! C>S  exactly `size` bytes, then the client closes
//! ```
//!
//! One file a connection. A client that brings the five bytes `hello` as `a.txt`:
//!
//! ```text
//! C>S  00 00 00 00 00 00 00 05  61 2e 74 78 74        . . . . . . . . a . t x t
//!      (nothing for a tenth of a second)
//! S>C  67 6f 20 61 68 65 61 64                        g o   a h e a d
//! C>S  68 65 6c 6c 6f                                 h e l l o
//! S>C  (the end, when the file is on disk)
//! ```
//!
//! - **Where a header ends.** The name has no length and no end, so a header is over when its sender has said nothing for
//!   [`HEADER_QUIET`](crate::proto::limits::HEADER_QUIET), or
//!   [`HEADER_QUIET_PIECES`](crate::proto::limits::HEADER_QUIET_PIECES) once the name has come in pieces, and there are 9 bytes at least. It may come in any pieces; it is
//!   read for [`HEADER_TIMEOUT`](crate::proto::limits::HEADER_TIMEOUT) at most, silence before it included, and has
//!   [`HEADER_NAME_BYTES_MAX`](crate::proto::limits::HEADER_NAME_BYTES_MAX) bytes of name at most. The client's end ends
//!   it at once: a file without bytes is then stored, any other is refused. A client that pauses in
//!   the middle of its name and goes on before `go ahead` is refused, and nothing of it is kept. One that goes on after it
//!   cannot be told from one that begins its file: a header should be sent in one piece.
//! - **Names.** What comes behind the last `/` or `\`, and behind a drive (`C:`). It has to be UTF-8 without a zero byte, and
//!   neither empty nor `.` nor `..`. Characters that are not seen, or that change how others are read, become `_`
//!   ([`proto::text`](crate::proto::text)); what is too long is cut in front of its ending. A file whose name is
//!   taken gets a number (`a.txt.1`): nothing is ever overwritten.
//! - **`go ahead`** is said when room for the whole file is set aside, in the quota and on the disk. Of a file without bytes
//!   nothing more has to come.
//! - **Refusals.** Before `go ahead` a refusal is an orderly end of the connection without a word; the server's log says
//!   why ([`Refusal`]). Nothing of the file is kept, and nothing need be sent.
//! - **Failures.** A file that was begun and cannot be stored, because its client stops, ends, or the disk does
//!   ([`Failure`]), ends with a reset, and nothing of it is kept.
//! - **Success.** The server ends the connection, orderly, when the file is whole, on disk, and under its name. So an end that
//!   comes after the last byte was sent is a receipt, also if the client has ended its own half before. If the server
//!   dies, its clients see a reset, not an end. A client may leave without the receipt, and then knows nothing.
//! - **More than announced** is thrown away, and logged; the file is kept as it was announced. What came before the
//!   server's end turns it into a reset: who sends too much may have lost the end of its header, and must not take what is
//!   stored for what it meant.
//!
//! | what a client sees | what it knows |
//! |---|---|
//! | an end before `go ahead` | refused; nothing is stored |
//! | an end after its last byte | stored, on disk |
//! | a reset, or an end before its last byte | not stored, but if it came after the last byte the receipt may have been lost, or too much was sent |
//!
//! # The receiver
//!
//! A client is in one of five states: its header comes, the folder is counted (only when there seems to be no room), the disk
//! makes the file, bytes come, the disk finishes the file. A silent client costs some tens of bytes; one that
//! sends has no buffer here either, for its bytes go from the driver's to the disk. When all places are taken, the client
//! that has waited longest without a whole header makes room for a new one; a client that has begun a file never does.
//!
//! Bytes are counted once at the start, and then by what is stored. Before somebody is refused for the quota they
//! are counted again: operators empty such folders.

mod dropbox;
mod header;
mod names;
mod uploader;

pub use dropbox::{DropBox, DropBoxConfig, DropBoxStatus, Failure, Refusal};
pub use uploader::{UploadConfig, UploadFile, UploadState, UploadStatus, UploadTrouble, Uploader};

/// What a receiver says when it has room for the file.
const GO_AHEAD: &[u8] = b"go ahead";
