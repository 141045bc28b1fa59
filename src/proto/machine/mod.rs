//! The border between decisions and the operating system: what a machine is told ([`Input`]),
//! what it wants done ([`Effect`]), and the two traits that join them. Holds no logic.
//!
//! # Contract
//! - A driver calls [`Machine::handle_input`] and [`Machine::handle_timeout`] with times that never
//!   go back in [`Now::mono`]; [`Now::wall`] may step.
//! - A machine calls [`Os::perform`] while it handles something. The driver carries the effect out
//!   at once or queues it, and **never** calls back into the machine from there: what an effect
//!   leads to arrives as a later input. The order of a machine's effects is kept.
//! - After `handle_timeout(now)`, `poll_timeout()` is `None` or later than `now.mono`.
//! - An effect on a link or file that is gone does nothing; the machine has been told, or will be.
//! - [`Effect::Store`] and [`Effect::Load`] are carried out in their order, and answered later, in that order.
//! - [`Effect::Finish`], [`Effect::Hash`], [`Effect::Read`], [`Effect::Survey`], and an [`Effect::Open`] that sets room
//!   aside take their time: their answers come later than those of what was asked for after them, and in any order among
//!   themselves, but for a `Survey` and a `Finish`: what was told to be finished before its answer is counted, what is
//!   told after it is not.
//! - After `handle_input`, `poll_timeout()` may already be due; the driver then fires it next.
//! - The first input is [`Input::Start`]. After [`Effect::Exit`] there are no more; what is still
//!   queued on links goes out, unless they are held, and files are released.
//! - Machines of one driver live and end together: when one exits, the others get
//!   [`Input::Shutdown`].

mod address;
mod figures;
mod folder;
mod holes;
mod link_map;
mod names;
mod places;
mod secret;
mod store;
mod why;

use std::any::Any;
use std::fmt;
use std::io::ErrorKind;
use std::net::SocketAddr;

use crate::proto::ids::{DialId, FileId, LinkId};
use crate::proto::limits::SALT_BYTES;
use crate::proto::time::{Mono, Now, Wall};

pub use address::counted_address;
pub use figures::{DriverFigures, Quantiles, Tell};
pub use folder::{FolderFile, Stamp, counted_bytes};
pub use holes::Holes;
pub use link_map::LinkMap;
pub use names::{aside_name, is_temp_name, numbered_name, shortened_name, temp_name};
pub use places::Places;
pub use secret::Secret;
pub use store::{Change, KeptFile, Load, Login, Mail, Row};
pub use why::Why;

/// The target of log records that only an operator causes: what was asked for, and how a life ended. However many records
/// others cause, these are not left out of the log.
pub const OPERATOR: &str = "operator";

/// A pure state machine: a server, the peers of a process, or anything else that a driver runs.
pub trait Machine: Any {
    /// Something happened.
    fn handle_input(&mut self, input: Input<'_>, now: Now, os: &mut dyn Os);
    /// Fires every timer that is due at `now`.
    fn handle_timeout(&mut self, now: Now, os: &mut dyn Os);
    /// When [`Machine::handle_timeout`] is to be called next.
    fn poll_timeout(&self) -> Option<Mono>;
    /// It can take more of what is typed now; what comes from a pipe is left there until then.
    fn wants_typed(&self) -> bool {
        false
    }
    /// What it has come to, in figures, for another machine of its driver that has asked for [`Effect::Measure`].
    fn tell_figures(&self, _tell: Tell<'_>) {}
    /// Panics if the machine's own state contradicts itself. Drivers for tests call it after each step.
    fn check_invariants(&self) {}
}

/// What a machine hands its effects to: a driver, or a list in a test.
pub trait Os {
    /// Takes one effect.
    fn perform(&mut self, effect: Effect<'_>);
}

/// Something that happened.
#[allow(missing_docs)] // each variant's sentence names its fields
#[derive(Debug)]
pub enum Input<'a> {
    /// The driver runs; comes once, before anything else.
    Start,
    /// [`Effect::Listen`] succeeded; `addr` has the real port.
    Listening { addr: SocketAddr },
    /// [`Effect::Listen`] failed.
    ListenFailed { addr: SocketAddr, error: ErrorKind },
    /// A link is up.
    LinkUp { link: LinkId, origin: Origin, local: SocketAddr, remote: SocketAddr },
    /// [`Effect::Dial`] failed; `ResourceBusy` if there are [`LINKS_MAX`](crate::proto::limits::LINKS_MAX) links.
    DialFailed { dial: DialId, error: ErrorKind },
    /// Bytes came in; `at` is when, as close to the kernel as can be had.
    Received { link: LinkId, bytes: &'a [u8], at: Wall },
    /// Something that was sent, bytes or a range, still waits: the socket is full, or a turn had too much to write.
    /// Always comes for a range of more than [`WRITE_BUDGET_BYTES`](crate::proto::limits::WRITE_BUDGET_BYTES).
    Blocked { link: LinkId },
    /// Everything that was sent has been given to the kernel; only ever follows [`Input::Blocked`].
    Drained { link: LinkId },
    /// The other side sends no more over a link that this machine holds ([`Effect::Hold`]). Comes once.
    Ended { link: LinkId },
    /// The link is gone, and not because this machine closed it. After [`DownReason::Eof`] and
    /// [`DownReason::Unread`], what was sent before still goes out.
    LinkDown { link: LinkId, reason: DownReason },
    /// [`Effect::Open`] or [`Effect::SetAside`] succeeded. `bytes` is how long the file is, and `moved` the
    /// name that an older one was given.
    FileReady { file: FileId, bytes: u64, moved: Option<&'a str> },
    /// One [`Effect::Append`] is whole in the kernel's hands; each one is answered, in order.
    Appended { file: FileId },
    /// [`Effect::Finish`] succeeded: the file is on disk under its name. `moved` as above; of an
    /// [`OpenMode::Fresh`] it is the name that the file has got.
    Finished { file: FileId, moved: Option<&'a str> },
    /// [`Effect::Hash`] succeeded; `offset` says which.
    Hashed { file: FileId, offset: u64, hash: blake3::Hash },
    /// [`Effect::Read`] succeeded; `offset` says which.
    Read { file: FileId, offset: u64, bytes: &'a [u8] },
    /// An effect on the file failed, and left it as it was before that effect. `offset` is that of
    /// the effect, 0 if it has none. A `WriteAt` may have written a part of its bytes. `QuotaExceeded`
    /// if descriptors have run out; so it is with `ListenFailed` and `DialFailed`.
    FileFailed { file: FileId, op: FileOp, offset: u64, error: ErrorKind },
    /// The changes of an [`Effect::Store`] are made, and a killed process does not take them back.
    Stored { batch: u64 },
    /// None of them is made: `ResourceBusy` if another program kept the store to itself for too long,
    /// `StorageFull`, or what else the disk says; `NotFound` if this machine has no store.
    StoreFailed { batch: u64, error: ErrorKind },
    /// Something that an [`Effect::Load`] asked for.
    Row { row: Row<'a> },
    /// That was all. `version` is that of a book, else 0.
    Loaded { load: Load, version: u64 },
    /// Nothing, or no more of it, can be read; as `StoreFailed`, and `InvalidData` if what is there makes no sense.
    LoadFailed { load: Load, error: ErrorKind },
    /// An [`Effect::Derive`] is done.
    Derived { job: u64, key: Secret<[u8; 32]> },
    /// An [`Effect::Survey`] is done: bytes of the plain files in the machine's folder, each as [`counted_bytes`] has it;
    /// the first of them, in the order of their names, if they were asked for; and how many old unfinished ones were deleted. Of
    /// unfinished ones of [`OpenMode::Fresh`] only those count that no machine with that folder has open, with all that they have
    /// of the disk.
    Surveyed { bytes: u64, files: &'a [FolderFile], removed: u64 },
    /// The folder cannot be read.
    SurveyFailed { error: ErrorKind },
    /// Another machine of this driver has a file for us, see [`Effect::Present`]. `stamp`: what it was then.
    Presented { path: &'a str, stamp: Stamp },
    /// An [`Effect::Measure`] is done: how the driver stands, and its other machines, by their
    /// [`Machine::tell_figures`].
    Measured { driver: &'a DriverFigures, others: &'a [(String, u64)] },
    /// A user has typed, or a script says: commands, each ended by a line feed, in any pieces.
    /// No bytes at all: the terminal has another size, or is ours again.
    Typed { bytes: &'a [u8] },
    /// No more will come from there.
    TypedEnd,
    /// Whoever runs the program has changed something outside: read it again (SIGHUP). Told to
    /// every machine of a server's process, and to no other.
    Reload,
    /// Whoever runs the program wants to know how things stand: write it to the log (SIGUSR1). Told to the
    /// same machines.
    Report,
    /// End soon and orderly. Nobody listens for this machine any more: who dials is refused.
    Shutdown,
}

/// How a link came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The other side connected to a listener of ours.
    Accepted,
    /// We asked for it with [`Effect::Dial`].
    Dialed(DialId),
}

/// Something that a machine wants done.
#[allow(missing_docs)] // each variant's sentence names its fields
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect<'a> {
    /// Accept connections at `addr`. Answer: `Listening` or `ListenFailed`.
    Listen { addr: SocketAddr },
    /// Connect to `addr`, within [`DIAL_TIMEOUT`](crate::proto::limits::DIAL_TIMEOUT). Answer: `LinkUp` or `DialFailed`.
    /// Cannot be taken back: close the link when it is up.
    Dial { dial: DialId, addr: SocketAddr },
    /// Send bytes, behind everything that was sent before. They are written once at the end of the
    /// turn; if that is too much, of a later one, and [`Input::Blocked`] says so.
    Send { link: LinkId, bytes: &'a [u8] },
    /// Send a part of an open file, in pieces, as the socket takes them. If the file is not open or
    /// turns out to be shorter, the link goes down: what was announced cannot be kept.
    SendFile { link: LinkId, file: FileId, offset: u64, len: u64 },
    /// Send what is queued, then close; bounded by [`LINGER_TIMEOUT`](crate::proto::limits::LINGER_TIMEOUT).
    /// The link is gone for the machine at once. When [`LINGERING_MAX`](crate::proto::limits::LINGERING_MAX) wait for the other
    /// side's end, one that is `Refused`, `Silent`, `Replaced`, has `Misbehaved` or said `Farewell`, or is held and `Done`, is not
    /// waited for: if it has sent something that nobody has read, it may see a reset.
    Close { link: LinkId, reason: CloseReason },
    /// Hold the link until this machine closes it: the other side's end is told as [`Input::Ended`] and does not end
    /// the link, and if this process dies before, or the machine exits, the other side sees an error. So an
    /// orderly end says that all is done. Answer: none.
    Hold { link: LinkId },
    /// No more will be sent: when all that is queued has gone, the other side is told so. What it sends is still
    /// read, until its own end.
    Shut { link: LinkId },
    /// What comes in stays with the kernels until [`Effect::ResumeReading`], so that the other side has to stop, too. Its end
    /// may be told only then. Answer: none.
    PauseReading { link: LinkId },
    /// Goes on reading. Answer: none.
    ResumeReading { link: LinkId },
    /// Close at once, so that the other side sees an error and cannot take it for an orderly end. Nothing that is
    /// queued is sent.
    Reset { link: LinkId, reason: CloseReason },
    /// Open a file at a path relative to the machine's folder, as [`OpenMode`] has it. If the name
    /// `aside` is taken, those of [`aside_name`] are tried. Answer: `FileReady` or `FileFailed`; the
    /// latter with `InvalidInput` if the path would lead out of the folder, and `ResourceBusy` if
    /// somebody else is writing that file.
    Open { file: FileId, path: &'a str, mode: OpenMode, aside: &'a str },
    /// Rename what is at `path`, a file or a whole folder, to `aside` or a name of [`aside_name`], so
    /// that only new things are found there. Nothing is open as `file` afterwards. Answer:
    /// `FileReady`, with `moved` if there was something, or `FileFailed`.
    SetAside { file: FileId, path: &'a str, aside: &'a str },
    /// Write at the end of the file, all or nothing. Answer: `Appended` or `FileFailed`.
    Append { file: FileId, bytes: &'a [u8] },
    /// Write at a place of the file. Answer: none, or `FileFailed`; then the file cannot be finished
    /// until the same bytes were written after all.
    WriteAt { file: FileId, offset: u64, bytes: &'a [u8] },
    /// Bring the file to disk, and a partial under its name. It stays open, for reading only, from
    /// now on. Answer: `Finished` or `FileFailed`; the latter also if bytes are missing because a
    /// `WriteAt` has failed, and after it the file can be written again. A second one before the
    /// answer does nothing. It fails with `NotFound` if another file has its name by then, and with
    /// `InvalidData` if somebody else has cut or lengthened a file of [`OpenMode::Resume`].
    Finish { file: FileId },
    /// Hash a range of the file, as it is by then. Answer: `Hashed` or `FileFailed`; the latter with
    /// `UnexpectedEof` if the file is shorter, and with `ResourceBusy` if
    /// [`DISK_JOBS_MAX`](crate::proto::limits::DISK_JOBS_MAX) of the machine's hashes and reads are under way.
    Hash { file: FileId, offset: u64, len: u64 },
    /// Read a range of the file, of at most
    /// [`CHUNK_READ_BYTES_MAX`](crate::proto::limits::CHUNK_READ_BYTES_MAX). Answer: `Read` or
    /// `FileFailed`, as with `Hash`; `InvalidInput` if it is longer.
    Read { file: FileId, offset: u64, len: u64 },
    /// Close the file. One that was not finished is deleted if it was opened with [`OpenMode::Partial`] or
    /// [`OpenMode::Fresh`], and one of [`OpenMode::Resume`] if it is empty. Ranges that are queued are still sent, and a `Finish` that is under way
    /// is carried through and answered; hashes and reads are given up without an answer.
    Release { file: FileId },
    /// Count what is in the machine's folder itself, and delete files of [`OpenMode::Fresh`] that were left unfinished
    /// and not written for [`UPLOAD_LEFT_AGE`](crate::proto::limits::UPLOAD_LEFT_AGE). `files_max`: most files to be told.
    /// A folder that is not there is empty. Answer, in its turn among those of `Finish`: `Surveyed` or `SurveyFailed`.
    Survey { files_max: usize },
    /// A file of the machine's folder is whole: the other machines of the driver hear of it. `stamp`: what it was in a
    /// survey; without that it is looked at. Answer: none.
    Present { path: &'a str, stamp: Option<Stamp> },
    /// Change what is kept; all changes or none. Answer: `Stored` or `StoreFailed`, in the order of the effects.
    Store { batch: u64, changes: &'a [Change<'a>] },
    /// Read back what is kept, with all that was stored before. Answer: `Row` for each, then `Loaded` or `LoadFailed`.
    Load { load: Load },
    /// Hash a password many times (PBKDF2 with HMAC-SHA-256), not on the loop. Answer, later than those of what was
    /// asked for after it: `Derived`.
    Derive { job: u64, password: Secret<&'a str>, salt: [u8; SALT_BYTES], iterations: u32 },
    /// Say how things stand. Looks at every link: not for each turn. Answer: `Measured`.
    Measure,
    /// This machine has ended.
    Exit,
}

/// What is opened, and what becomes of its name. Missing folders are made, except with `Existing`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// A new, empty file. It has its name at once. An older file of that name is renamed to `aside`
    /// first.
    Named,
    /// A new, empty file, called `PATH.partial` until [`Effect::Finish`]; an older file of the final
    /// name is renamed to `aside` then.
    Partial,
    /// Like `Partial`, but what is in `PATH.partial` already is kept, the first `bytes` of it, and so is
    /// what was written when the file is released unfinished, or its writer dies: the next one goes on
    /// with it. To begin anew, release it and open a `Partial`.
    Resume {
        /// The size of the whole file; what is longer is cut, for nobody would see that it is too long.
        bytes: u64,
        /// All of it will be written: the disk may set room aside before the answer. Where it cannot,
        /// nothing comes of it.
        reserve: bool,
    },
    /// A new, empty file that never takes another's place, called [`temp_name`] until [`Effect::Finish`]; then it gets
    /// the first of [`numbered_name`]'s names that is free. Room is set aside for all of it before the answer, which is
    /// `StorageFull` where there is not enough. It fails with `AlreadyExists` if the first name is taken, and with
    /// `TooManyLinks` if every name is that it could get in the end. `aside` means nothing.
    /// Until the answer it can only be released: it may wait for files that were deleted to be gone.
    Fresh {
        /// The size of the whole file.
        bytes: u64,
        /// Tells it from others that will have the same name.
        tag: u32,
    },
    /// A file that is there, for reading only. `aside` means nothing. It fails with `NotFound` if
    /// nothing is there, `IsADirectory` if it is a folder, `Unsupported` if it is a pipe, a device or a
    /// socket, and `InvalidInput` if a symbolic link is on the way below the machine's folder.
    Existing,
}

/// Which effect on a file failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileOp {
    /// [`Effect::Open`].
    Open,
    /// [`Effect::Append`].
    Append,
    /// [`Effect::WriteAt`].
    WriteAt,
    /// [`Effect::Finish`].
    Finish,
    /// [`Effect::SetAside`].
    SetAside,
    /// [`Effect::Hash`].
    Hash,
    /// [`Effect::Read`].
    Read,
}

/// Why a machine closes a link. Logged and counted by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CloseReason {
    /// Everything that the link was for is done.
    Done,
    /// The other side said goodbye.
    Farewell,
    /// What the other side asked for was refused; it has been told why.
    Refused,
    /// The other side broke the protocol; it has been told how.
    Misbehaved,
    /// The other side said nothing for too long.
    Silent,
    /// The same member came back over another link.
    Replaced,
    /// Both sides dialed; the other link is kept.
    Duplicate,
    /// Nobody waits for this link any more.
    Unwanted,
    /// What was asked for could not be done here; the log says why.
    Failed,
    /// The program ends.
    Shutdown,
}

/// Why a link went down without our doing. Logged and counted by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DownReason {
    /// The other side closed, wholly or its sending half, has got everything that was sent, and this machine did not
    /// hold the link. If it closed wholly it has also read it: what is left unread makes a reset of a close (Linux, `tcp_close`).
    Eof,
    /// The same, before it had got everything that was sent.
    Unread,
    /// The connection was reset.
    Reset,
    /// The other host stopped answering.
    TimedOut,
    /// The other side read so slowly that its queue reached its bound.
    QueueFull,
    /// The other side left half of that waiting for too long.
    TooSlow,
    /// A file that was being sent could not be read, or was shorter than announced.
    FileFailed,
    /// Any other error of the socket.
    Failed,
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl fmt::Display for DownReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DownReason::Eof => "the other side closed",
            DownReason::Unread => "the other side closed before it had everything",
            DownReason::Reset => "connection reset",
            DownReason::TimedOut => "the other side stopped answering",
            DownReason::QueueFull => "the other side reads too slowly",
            DownReason::TooSlow => "the other side has read too slowly for too long",
            DownReason::FileFailed => "a file could not be read",
            DownReason::Failed => "socket error",
        })
    }
}
