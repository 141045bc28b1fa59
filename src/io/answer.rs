//! What effects led to, kept until the machine can be told. Holds no logic.

use std::io::ErrorKind;
use std::net::SocketAddr;

use crate::proto::ids::{DialId, FileId, LinkId};
use crate::proto::machine::FileOp;

/// An input that waits. Those about a link are looked up again when their turn comes: the machine
/// may have closed the link meanwhile.
#[derive(Debug)]
pub(super) enum Answer {
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
    Shutdown,
}
