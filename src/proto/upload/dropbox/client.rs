//! What is known of a client, and of the file that it brings. Thousands of clients may be silent, so one of those costs
//! as little as can be.

use std::net::SocketAddr;

use crate::proto::ids::{FileId, LinkId};
use crate::proto::limits::UPLOAD_SHOWN_CHARS_MAX;
use crate::proto::text::quotable;
use crate::proto::time::Mono;

/// A client whose link is up.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) remote: SocketAddr,
    /// When it came.
    pub(super) since: Mono,
    pub(super) state: State,
}

/// How far it is.
#[derive(Debug)]
pub(super) enum State {
    /// This has come of its header. Nothing is set aside for it before.
    Header { head: Vec<u8> },
    /// The folder is counted, for there seems to be no room.
    Counting { upload: Box<Upload> },
    /// The disk makes the file and sets room aside.
    Opening { file: FileId },
    /// It was told to go ahead. `since`: when it had last brought enough, `since_bytes` in all; see
    /// [`UPLOAD_RATE_BYTES`](crate::proto::limits::UPLOAD_RATE_BYTES).
    Receiving { file: FileId, bytes: u64, written_bytes: u64, since: Mono, since_bytes: u64 },
    /// Every byte has come; the disk brings the file under its name.
    Finishing { file: FileId, excess_bytes: u64 },
}

/// A file on its way.
#[derive(Clone, Debug)]
pub(super) struct Upload {
    /// Where it comes from; `None` if that is gone, and only the disk is still at it.
    pub(super) link: Option<LinkId>,
    pub(super) remote: SocketAddr,
    /// What the client calls it, for the log.
    pub(super) sent: Box<str>,
    /// What it is to be stored as.
    pub(super) name: Box<str>,
    pub(super) bytes: u64,
    /// When its header was whole.
    pub(super) since: Mono,
    /// Names that were taken.
    pub(super) tries: u32,
}

impl Client {
    pub(super) fn new(remote: SocketAddr, since: Mono) -> Client {
        Client { remote, since, state: State::Header { head: Vec::new() } }
    }

    /// The file that the disk knows of.
    pub(super) fn file(&self) -> Option<FileId> {
        match self.state {
            State::Header { .. } | State::Counting { .. } => None,
            State::Opening { file } | State::Receiving { file, .. } | State::Finishing { file, .. } => {
                Some(file)
            }
        }
    }
}

impl Upload {
    /// What it was to be, for the log.
    pub(super) fn about(&self) -> String {
        format!(" name=\"{}\" bytes={}", self.sent, self.bytes)
    }
}

/// A name from somebody else as it may be logged between quotes: the beginning of it, on one line.
pub(super) fn shown(name: &[u8]) -> Box<str> {
    let beginning = &name[..name.len().min(4 * UPLOAD_SHOWN_CHARS_MAX)];
    let text = quotable(&String::from_utf8_lossy(beginning));
    let mut shown: String = text.chars().take(UPLOAD_SHOWN_CHARS_MAX).collect();
    if beginning.len() < name.len() || shown.len() < text.len() {
        shown.push_str("...");
    }
    shown.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_client_is_small() {
        assert!(size_of::<Client>() <= 88, "{}", size_of::<Client>());
        let Client { state: State::Header { head }, .. } =
            Client::new("10.0.0.1:1".parse().unwrap(), Mono(0))
        else {
            panic!("a client begins with its header");
        };
        assert_eq!(head.capacity(), 0);
    }

    #[test]
    fn names_are_logged_on_one_line_between_quotes() {
        assert_eq!(&*shown(b"a b.txt"), "a b.txt");
        assert_eq!(&*shown(b"a\"\nas=\"x"), "a\\u{22}\\u{a}as=\\u{22}x");
        assert_eq!(&*shown(b"a\xffb"), "a\u{fffd}b");
        let long = shown(&[b'x'; 5000]);
        assert_eq!(&*long, format!("{}...", "x".repeat(UPLOAD_SHOWN_CHARS_MAX)));
        assert!(shown(&[b'\n'; 5000]).len() < 200);
    }
}
