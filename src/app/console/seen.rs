//! Up to which message a user has seen everything, on this host: a small file for each account of each server. It is
//! written right after a message was shown, in one write; only who is killed between these two sees one twice.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::net::SocketAddr;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

use crate::proto::ids::Name;
use crate::proto::limits::SALT_BYTES;
use crate::proto::peer::Seen;

/// The file, if there is a place for it.
#[derive(Debug, Default)]
pub(super) struct SeenFile {
    file: Option<File>,
    last: Option<Seen>,
}

impl SeenFile {
    /// Opens the file of an account, or makes it.
    ///
    /// # Errors
    /// If it cannot be written or read.
    pub(super) fn open(folder: &Path, user: Name, server: SocketAddr) -> io::Result<SeenFile> {
        let path = folder.join(format!("seen_{user}@{server}"));
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        let mut text = String::new();
        // Whatever else is in there is not ours, and counts for nothing.
        let _ = (&file).take(128).read_to_string(&mut text);
        Ok(SeenFile { file: Some(file), last: parse(&text) })
    }

    pub(super) fn last(&self) -> Option<Seen> {
        self.last
    }

    /// A message has been shown.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn note(&mut self, seen: Seen) -> io::Result<()> {
        self.last = Some(seen);
        match &self.file {
            Some(file) => file.write_all_at(text(seen).as_bytes(), 0),
            None => Ok(()),
        }
    }
}

/// Always of the same length, so that one write replaces it.
fn text(Seen { salt, number }: Seen) -> String {
    let salt: String = salt.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{salt} {number:020}\n")
}

fn parse(text: &str) -> Option<Seen> {
    let (digits, number) = text.strip_suffix('\n')?.split_once(' ')?;
    let mut salt = [0; SALT_BYTES];
    if digits.len() != 2 * SALT_BYTES || !digits.is_ascii() {
        return None;
    }
    for (place, byte) in salt.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digits[2 * place..2 * place + 2], 16).ok()?;
    }
    Some(Seen { salt, number: number.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_number_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let (alice, server) = ("alice".parse().unwrap(), "[::1]:5555".parse().unwrap());
        let open = || SeenFile::open(folder.path(), alice, server).unwrap();
        assert_eq!(open().last(), None);
        let mut file = open();
        for number in [1, u64::MAX, 7] {
            let seen = Seen { salt: [0xab; SALT_BYTES], number };
            file.note(seen).unwrap();
            assert_eq!((file.last(), open().last()), (Some(seen), Some(seen)));
        }
        assert_eq!(SeenFile::default().last(), None);
        std::fs::write(folder.path().join("seen_alice@[::1]:5555"), "é".repeat(16) + " 1\n").unwrap();
        assert_eq!(open().last(), None);
    }
}
