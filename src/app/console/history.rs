//! Lines that were typed before, and the file that keeps them, for its owner only. Several consoles may write
//! it at once. What looks like a password is never kept.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

use crate::proto::limits::{HISTORY_BYTES_MAX, HISTORY_LINES_MAX};

/// The history of a console.
#[derive(Debug, Default)]
pub(super) struct History {
    lines: Vec<String>,
    /// `None`: kept only as long as this is there.
    path: Option<PathBuf>,
}

impl History {
    /// Reads the file, if there is one; it is shortened when it has become too long.
    ///
    /// # Errors
    /// If it cannot be read or shortened.
    pub(super) fn open(path: PathBuf) -> io::Result<History> {
        let (file, bytes) = lock(&path)?;
        let text = String::from_utf8_lossy(&bytes);
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let is_long = lines.len() > 2 * HISTORY_LINES_MAX || bytes.len() as u64 > HISTORY_BYTES_MAX / 2;
        lines.drain(..lines.len().saturating_sub(HISTORY_LINES_MAX));
        if is_long {
            let short: String = lines.iter().map(|line| format!("{line}\n")).collect();
            let beside = path.with_extension(format!("{}", std::process::id()));
            let mut new =
                OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
            new.write_all(short.as_bytes())?;
            fs::rename(&beside, &path)?;
        }
        drop(file);
        Ok(History { lines, path: Some(path) })
    }

    /// The oldest first.
    pub(super) fn lines(&self) -> &[String] {
        &self.lines
    }

    /// Keeps a line, unless it is the last one again, begins with a blank, or may hold a password.
    ///
    /// # Errors
    /// If the file cannot be written; the line is kept here all the same.
    pub(super) fn keep(&mut self, line: &str) -> io::Result<()> {
        let is_kept = !line.trim().is_empty()
            && !line.starts_with(char::is_whitespace)
            && !line.contains('\n')
            && !is_secret(line)
            && self.lines.last().is_none_or(|last| last != line);
        if !is_kept {
            return Ok(());
        }
        if self.lines.len() == HISTORY_LINES_MAX {
            self.lines.remove(0);
        }
        self.lines.push(line.to_owned());
        match &self.path {
            // In one piece, at its end: no other console's line is torn.
            Some(path) => open_locked(path)?.write_all(format!("{line}\n").as_bytes()),
            None => Ok(()),
        }
    }
}

/// What people type who take a console for `nc`.
fn is_secret(line: &str) -> bool {
    let verb = line.split_whitespace().next().unwrap_or("");
    ["login", "auth", "password"].iter().any(|secret| verb.eq_ignore_ascii_case(secret))
}

/// The file, which nobody else changes as long as it is held, and what is in it.
fn lock(path: &Path) -> io::Result<(Flock<File>, Vec<u8>)> {
    let file = open_locked(path)?;
    let mut bytes = Vec::new();
    (&*file).take(HISTORY_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok((file, bytes))
}

fn open_locked(path: &Path) -> io::Result<Flock<File>> {
    loop {
        let file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
        let file = Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, error)| error)?;
        // Another console may have replaced it in between.
        let is_it =
            fs::metadata(path).is_ok_and(|now| file.metadata().is_ok_and(|ours| ours.ino() == now.ino()));
        if is_it {
            return Ok(file);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn open(path: &Path) -> History {
        History::open(path.to_owned()).unwrap()
    }

    #[test]
    fn lines_are_kept_for_their_owner() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history");
        let mut history = open(&path);
        for line in
            ["whoelse", "whoelse", " quiet", "", "login bob secret", "LOGIN bob x", "one\ntwo", "block bob"]
        {
            history.keep(line).unwrap();
        }
        assert_eq!(history.lines(), ["whoelse", "block bob"]);
        assert_eq!(open(&path).lines(), ["whoelse", "block bob"]);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let mut nowhere = History::default();
        nowhere.keep("whoelse").unwrap();
        assert_eq!(nowhere.lines(), ["whoelse"]);
    }

    #[test]
    fn several_consoles_keep_all_and_the_file_is_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history");
        let (mut first, mut second) = (open(&path), open(&path));
        for number in 0..1500 {
            first.keep(&format!("a {number}")).unwrap();
            second.keep(&format!("b {number}")).unwrap();
        }
        assert_eq!(first.lines().len(), HISTORY_LINES_MAX);
        let third = open(&path);
        assert_eq!(third.lines().len(), HISTORY_LINES_MAX);
        assert_eq!(third.lines()[998..], ["a 1499", "b 1499"]);
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), HISTORY_LINES_MAX);
        first.keep("after it was replaced").unwrap();
        assert_eq!(open(&path).lines().last().unwrap(), "after it was replaced");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_no_text_is_read_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history");
        fs::write(&path, b"one\n\xff\xfe\ntwo").unwrap();
        assert_eq!(open(&path).lines().len(), 3);
        assert!(History::open(folder.path().to_owned()).is_err(), "a folder");
    }
}
