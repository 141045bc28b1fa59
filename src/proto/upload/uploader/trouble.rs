//! Why a file did not arrive, or nobody knows whether it did, in a user's words. Decides nothing.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use crate::proto::limits::UPLOAD_ANSWER_SHOWN_MAX;
use crate::proto::machine::{DownReason, Why};
use crate::proto::text::Shown;
use crate::proto::time::Period;

/// Why a file is not known to be at the drop box.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UploadTrouble {
    /// It cannot be opened here.
    #[error("it cannot be opened: {}", opening(*.0))]
    FileNotOpened(ErrorKind),
    /// It was cut while it was sent, or the disk cannot read it.
    #[error("it became shorter while it was sent, or cannot be read any more")]
    FileChanged,
    /// There is no connection.
    #[error("{to} cannot be reached: {}", Why(*.error))]
    ServerUnreachable {
        /// The drop box.
        to: SocketAddr,
        /// Why.
        error: ErrorKind,
    },
    /// It closed the connection in place of an answer.
    #[error("the server refused it (its name, its size, no room?) or is stopping; its log says why")]
    ServerRefused,
    /// It neither answered nor closed for so long.
    #[error("the server did not say `go ahead` within {}", Period(*.0))]
    ServerSilent(Duration),
    /// It said something else; so it began.
    #[error("the server said \"{0}\" and not `go ahead`; is it a drop box?")]
    ServerAnswered(String),
    /// It said more than it may; what came behind `go ahead`.
    #[error("the server said more than `go ahead`: \"{0}\"")]
    ServerSaidMore(String),
    /// It ended the connection in an orderly way, too early.
    #[error("the server closed the connection before it had taken all of it")]
    ServerClosed,
    /// It took no bytes for so long.
    #[error("the server took nothing for {}", Period(*.0))]
    ServerStalled(Duration),
    /// The connection broke before the server said to go ahead.
    #[error("the connection broke before the server said `go ahead`: {0}")]
    LinkBrokeEarly(DownReason),
    /// The connection broke before all of it had gone.
    #[error("the connection broke in the middle: {0}")]
    LinkBroke(DownReason),
    /// The user wanted no more of it before all of it had gone.
    #[error("interrupted")]
    Interrupted,
    /// The connection broke when all of it had gone.
    #[error("the connection broke after the last byte ({0}); nobody knows whether it was stored")]
    LinkBrokeAtEnd(DownReason),
    /// All of it has gone, and the server did not close the connection for so long.
    #[error("the server did not close within {} after the last byte; nobody knows whether it was stored", Period(*.0))]
    ServerSilentAtEnd(Duration),
    /// All of it has gone, and the server said something.
    #[error("the server said \"{0}\" after the last byte; nobody knows whether it was stored")]
    ServerSpokeAtEnd(String),
    /// The user wanted no more of it when all of it had gone.
    #[error("interrupted after the last byte; nobody knows whether it was stored")]
    InterruptedAtEnd,
}

impl UploadTrouble {
    /// Whether the file may be there all the same.
    pub fn may_be_stored(&self) -> bool {
        match self {
            UploadTrouble::LinkBrokeAtEnd(_)
            | UploadTrouble::ServerSilentAtEnd(_)
            | UploadTrouble::ServerSpokeAtEnd(_)
            | UploadTrouble::InterruptedAtEnd => true,
            UploadTrouble::FileNotOpened(_)
            | UploadTrouble::FileChanged
            | UploadTrouble::ServerUnreachable { .. }
            | UploadTrouble::ServerRefused
            | UploadTrouble::ServerSilent(_)
            | UploadTrouble::ServerAnswered(_)
            | UploadTrouble::ServerSaidMore(_)
            | UploadTrouble::ServerClosed
            | UploadTrouble::ServerStalled(_)
            | UploadTrouble::LinkBrokeEarly(_)
            | UploadTrouble::LinkBroke(_)
            | UploadTrouble::Interrupted => false,
        }
    }
}

fn opening(error: ErrorKind) -> String {
    match error {
        ErrorKind::Unsupported => "it is no plain file".to_owned(),
        ErrorKind::InvalidInput => "a symbolic link is on the way to it".to_owned(),
        other => Why(other).to_string(),
    }
}

/// The beginning of what a server said, `first` and then `bytes`, as it may be shown: a line of it at most.
pub(super) fn quote(first: &[u8], bytes: &[u8]) -> String {
    let said: Vec<u8> = first.iter().chain(bytes).copied().take(UPLOAD_ANSWER_SHOWN_MAX + 1).collect();
    let line = said.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
    let shown = &line[..line.len().min(UPLOAD_ANSWER_SHOWN_MAX)];
    let rest = if shown.len() < first.len() + bytes.len() { "…" } else { "" };
    format!("{}{rest}", Shown(&String::from_utf8_lossy(shown)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_is_shown_safely_and_not_at_length() {
        assert_eq!(quote(b"", b"HTTP/1.1 400 Bad Request\r\nServer: x\r\n"), "HTTP/1.1 400 Bad Request…");
        assert_eq!(quote(b"go", b" away"), "go away");
        assert_eq!(quote(b"", b"\x1b[2J\xff"), "\\u{1b}[2J\u{fffd}");
        assert_eq!(quote(b"", b"\n\n"), "…");
        let long = quote(b"", &[b'x'; 5000]);
        assert_eq!(long, format!("{}…", "x".repeat(UPLOAD_ANSWER_SHOWN_MAX)));
        assert!(quote(b"", &[0; 5000]).len() <= UPLOAD_ANSWER_SHOWN_MAX * 6 + 3);
    }
}
