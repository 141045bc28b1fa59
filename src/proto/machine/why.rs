//! What went wrong, in a user's words. Decides nothing.

use std::fmt;
use std::io::ErrorKind;

use crate::proto::machine::FileOp;

/// An error of the system as people are told of it: what it is, and what can be done about it where
/// that is not plain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Why(pub ErrorKind);

impl Why {
    /// Whether its kind says what it is.
    pub fn is_plain(self) -> bool {
        !self.0.to_string().contains("uncategorized")
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            ErrorKind::StorageFull => "the disk is full; make room, or choose another folder",
            ErrorKind::ReadOnlyFilesystem => "the disk is read-only; choose another folder",
            ErrorKind::QuotaExceeded => "too many open files (ulimit -n), or the disk quota is used up",
            ErrorKind::InvalidData => "somebody else has changed the file",
            ErrorKind::ResourceBusy => "somebody else is using it",
            ErrorKind::AddrNotAvailable => "this machine has no such address",
            ErrorKind::AddrInUse => "somebody else is listening there",
            ErrorKind::TimedOut => "no answer in time",
            ErrorKind::NotFound => "the file or its folder is gone",
            ErrorKind::AlreadyExists => "something else has that name",
            // The standard library's own words are about itself.
            _ if !self.is_plain() => "an error that only the log names",
            kind => return kind.fmt(f),
        })
    }
}

impl fmt::Display for FileOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FileOp::Open => "open",
            FileOp::Append | FileOp::WriteAt => "write",
            FileOp::Finish => "finish",
            FileOp::SetAside => "set-aside",
            FileOp::Hash | FileOp::Read => "read",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_reads_the_words_of_the_standard_library_about_itself() {
        let kind_of = |code| std::io::Error::from_raw_os_error(code).kind();
        for code in 1..134 {
            let text = Why(kind_of(code)).to_string();
            let about_itself = ["uncategorized", "entity"].iter().any(|word| text.contains(word));
            assert!(!about_itself && !text.is_empty(), "{code}: {text}");
        }
        assert_eq!(Why(ErrorKind::ConnectionRefused).to_string(), "connection refused");
    }
}
