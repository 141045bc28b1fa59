//! What effects led to, kept until the machine can be told. Holds no logic.

use std::io::ErrorKind;
use std::net::SocketAddr;

use crate::io::survey::Surveyed;
use crate::proto::ids::{DialId, FileId, LinkId};
use crate::proto::machine::{FileOp, Input, Load, Row, Secret, Stamp};

/// An input that waits. Those about a link are looked up again when their turn comes: the machine
/// may have closed the link meanwhile.
#[derive(Debug)]
pub(super) enum Answer {
    Start,
    Listening {
        addr: SocketAddr,
    },
    ListenFailed {
        addr: SocketAddr,
        error: ErrorKind,
    },
    DialFailed {
        dial: DialId,
        error: ErrorKind,
    },
    Blocked {
        link: LinkId,
    },
    Drained {
        link: LinkId,
    },
    /// The link's state has the reason.
    Down {
        link: LinkId,
    },
    FileReady {
        file: FileId,
        bytes: u64,
        moved: Option<String>,
    },
    Appended {
        file: FileId,
    },
    Finished {
        file: FileId,
        moved: Option<String>,
    },
    Hashed {
        file: FileId,
        offset: u64,
        hash: blake3::Hash,
    },
    Read {
        file: FileId,
        offset: u64,
        bytes: Vec<u8>,
    },
    FileFailed {
        file: FileId,
        op: FileOp,
        offset: u64,
        error: ErrorKind,
    },
    Stored {
        batch: u64,
    },
    StoreFailed {
        batch: u64,
        error: ErrorKind,
    },
    Row {
        row: Row<'static>,
    },
    Loaded {
        load: Load,
        version: u64,
    },
    LoadFailed {
        load: Load,
        error: ErrorKind,
    },
    Derived {
        job: u64,
        key: Secret<[u8; 32]>,
    },
    Surveyed(Surveyed),
    SurveyFailed {
        error: ErrorKind,
    },
    Presented {
        path: Box<str>,
        stamp: Stamp,
    },
    /// The figures are taken when it is delivered.
    Measured,
    Reload,
    Report,
    Shutdown,
}

impl Answer {
    /// The input that it stands for, if that takes no look at a link, nor at other machines.
    pub(super) fn input(&self) -> Option<Input<'_>> {
        Some(match self {
            Answer::Start => Input::Start,
            Answer::Listening { addr } => Input::Listening { addr: *addr },
            Answer::ListenFailed { addr, error } => Input::ListenFailed { addr: *addr, error: *error },
            Answer::DialFailed { dial, error } => Input::DialFailed { dial: *dial, error: *error },
            Answer::Blocked { link } => Input::Blocked { link: *link },
            Answer::Drained { link } => Input::Drained { link: *link },
            Answer::Down { .. } | Answer::Measured => return None,
            Answer::FileReady { file, bytes, moved } => {
                Input::FileReady { file: *file, bytes: *bytes, moved: moved.as_deref() }
            }
            Answer::Appended { file } => Input::Appended { file: *file },
            Answer::Finished { file, moved } => Input::Finished { file: *file, moved: moved.as_deref() },
            Answer::Hashed { file, offset, hash } => {
                Input::Hashed { file: *file, offset: *offset, hash: *hash }
            }
            Answer::Read { file, offset, bytes } => Input::Read { file: *file, offset: *offset, bytes },
            Answer::FileFailed { file, op, offset, error } => {
                Input::FileFailed { file: *file, op: *op, offset: *offset, error: *error }
            }
            Answer::Stored { batch } => Input::Stored { batch: *batch },
            Answer::StoreFailed { batch, error } => Input::StoreFailed { batch: *batch, error: *error },
            Answer::Row { row } => Input::Row { row: row.clone() },
            Answer::Loaded { load, version } => Input::Loaded { load: *load, version: *version },
            Answer::LoadFailed { load, error } => Input::LoadFailed { load: *load, error: *error },
            Answer::Derived { job, key } => Input::Derived { job: *job, key: *key },
            Answer::Surveyed(Surveyed { bytes, files, removed, .. }) => {
                Input::Surveyed { bytes: *bytes, files, removed: *removed }
            }
            Answer::SurveyFailed { error } => Input::SurveyFailed { error: *error },
            Answer::Presented { path, stamp } => Input::Presented { path, stamp: *stamp },
            Answer::Reload => Input::Reload,
            Answer::Report => Input::Report,
            Answer::Shutdown => Input::Shutdown,
        })
    }
}
