//! The receiving end: takes headers and files from many clients at once, and decides under which names they are kept,
//! who is refused and why. Never overwrites anything, and never talks to a disk.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use crate::proto::machine::{Input, Machine, Os};
use crate::proto::time::{Mono, Now};

/// What an operator sets.
#[derive(Clone, Debug)]
pub struct DropBoxConfig {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Largest file, in bytes.
    pub file_bytes_max: u64,
    /// Most bytes of all files in the folder together, those that are still coming included.
    pub quota_bytes: u64,
    /// Clients at once, those that have said nothing yet included.
    pub clients_max: usize,
    /// The same of one address.
    pub clients_per_address_max: usize,
    /// How long a client may bring nothing when it is its turn.
    pub stall_timeout: Duration,
    /// Other machines of the driver hear of each file, [`Effect::Present`](crate::proto::machine::Effect::Present).
    pub present: bool,
    /// Where the tags of unfinished files begin: another number in each life, so that they are not those of files that
    /// an earlier one left.
    pub first_tag: u32,
}

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
}

/// The receiver's machine.
#[derive(Debug)]
pub struct DropBox {
    config: DropBoxConfig,
    status: DropBoxStatus,
}

impl DropBox {
    /// A drop box that has not started. Its files are those of the machine's folder.
    pub fn new(config: DropBoxConfig) -> DropBox {
        DropBox { config, status: DropBoxStatus::default() }
    }

    /// What it has come to.
    pub fn status(&self) -> &DropBoxStatus {
        &self.status
    }
}

impl Machine for DropBox {
    fn handle_input(&mut self, _input: Input<'_>, _now: Now, _os: &mut dyn Os) {
        todo!("{:?}", self.config)
    }

    fn handle_timeout(&mut self, _now: Now, _os: &mut dyn Os) {}

    fn poll_timeout(&self) -> Option<Mono> {
        None
    }
}
