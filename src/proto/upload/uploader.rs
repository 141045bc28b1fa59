//! The sending end: brings files to a drop box, ours or another, and finds out whether they arrived. Reads no file.

use std::net::SocketAddr;
use std::time::Duration;

use crate::proto::machine::{Input, Machine, Os};
use crate::proto::time::{Mono, Now};

/// What a user sets.
#[derive(Clone, Debug)]
pub struct UploadConfig {
    /// The drop box.
    pub to: SocketAddr,
    /// What to bring there, in this order.
    pub files: Vec<UploadFile>,
    /// How many at once.
    pub jobs: usize,
    /// How long the other end may neither take nor say anything.
    pub timeout: Duration,
}

/// A file to bring.
#[derive(Clone, Debug)]
pub struct UploadFile {
    /// Where it lies, below the machine's folder.
    pub path: String,
    /// What it is called there.
    pub name: String,
}

/// How far a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UploadState {
    /// Its turn has not come.
    Waiting,
    /// It is being opened, or the other end has not said to go ahead.
    Asking,
    /// Its bytes are on their way.
    Sending,
    /// All of it has gone; the other end has not said its end.
    Closing,
    /// The other end has taken all of it.
    Done,
    /// It has not, or nobody knows; why.
    Failed(String),
}

/// How a file stands.
#[derive(Clone, Debug)]
pub struct UploadStatus {
    /// What it is called there.
    pub name: String,
    /// Its size in bytes, once it is known.
    pub bytes: Option<u64>,
    /// Bytes that the kernel has taken.
    pub bytes_sent: u64,
    /// How far it is.
    pub state: UploadState,
}

/// The sender's machine. It ends when every file is done or has failed.
#[derive(Debug)]
pub struct Uploader {
    config: UploadConfig,
}

impl Uploader {
    /// A sender that has not started.
    pub fn new(config: UploadConfig) -> Uploader {
        Uploader { config }
    }

    /// How each file stands, in the order of the config.
    pub fn files(&self) -> &[UploadStatus] {
        todo!("{:?}", self.config)
    }
}

impl Machine for Uploader {
    fn handle_input(&mut self, _input: Input<'_>, _now: Now, _os: &mut dyn Os) {
        todo!()
    }

    fn handle_timeout(&mut self, _now: Now, _os: &mut dyn Os) {}

    fn poll_timeout(&self) -> Option<Mono> {
        None
    }
}
