//! What a drop box has come to. Only counts.

use std::io::ErrorKind;
use std::net::SocketAddr;

use crate::proto::machine::Tell;
use crate::proto::upload::dropbox::trouble::{Failure, Refusal};

/// What it has come to.
#[derive(Clone, Debug, Default)]
pub struct DropBoxStatus {
    /// Where it listens.
    pub listening: Option<SocketAddr>,
    /// Why it does not.
    pub listen_failed: Option<(SocketAddr, ErrorKind)>,
    /// The folder could not be read at the start.
    pub folder_failed: Option<ErrorKind>,
    /// Files that are whole and on disk, and their bytes.
    pub files: u64,
    /// See `files`.
    pub bytes: u64,
    /// Places that are taken now: clients, and files that the disk is still at.
    pub clients: usize,
    /// Bytes that are promised to files on their way, each counted as
    /// [`counted_bytes`](crate::proto::machine::counted_bytes) has it.
    pub reserved_bytes: u64,
    /// Files whose clients sent more than they had said; the rest was thrown away.
    pub excess: u64,
    /// Lines about bad clients that were not logged, because there were too many like them.
    pub unlogged: u64,
    pub(super) refused: [u64; Refusal::ALL.len()],
    pub(super) failed: [u64; Failure::ALL.len()],
}

impl DropBoxStatus {
    /// How many were refused for that.
    pub fn refused(&self, why: Refusal) -> u64 {
        self.refused[why as usize]
    }

    /// How many files were given up for that.
    pub fn failed(&self, why: Failure) -> u64 {
        self.failed[why as usize]
    }

    /// Tells each figure.
    pub(super) fn tell(&self, tell: Tell<'_>) {
        for (name, value) in [
            ("dropbox.files", self.files),
            ("dropbox.bytes", self.bytes),
            ("dropbox.clients", self.clients as u64),
            ("dropbox.reserved_bytes", self.reserved_bytes),
            ("dropbox.excess", self.excess),
            ("dropbox.unlogged", self.unlogged),
        ] {
            tell(name, value);
        }
        for why in Refusal::ALL {
            tell(&format!("dropbox.refused_{why:?}"), self.refused(why));
        }
        for why in Failure::ALL {
            tell(&format!("dropbox.failed_{why:?}"), self.failed(why));
        }
    }

    /// How many were refused.
    pub fn refused_total(&self) -> u64 {
        self.refused.iter().sum()
    }

    /// How many files were given up.
    pub fn failed_total(&self) -> u64 {
        self.failed.iter().sum()
    }
}
