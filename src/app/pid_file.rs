//! A file that names the process, and that nobody else has as long as it runs. The lock is what counts: a file
//! without one is what a killed server has left.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag};

use crate::io::is_named;

/// Longest content of a pid file, in bytes; whatever is longer is something else.
const BYTES_MAX: u64 = 32;
/// How often a file that its owner removes at that very moment is tried again.
const TRIES_MAX: u32 = 10;

/// A pid file of this process. Removed when it is dropped.
#[derive(Debug)]
pub(super) struct PidFile {
    file: Flock<File>,
    path: PathBuf,
    /// Of a server that did not remove it.
    pub(super) stale: Option<u32>,
}

/// Takes the file for this process.
///
/// # Errors
/// If another process has it, naming that; or if it is no pid file.
pub(super) fn take(path: &Path) -> Result<PidFile> {
    let explain =
        || format!("cannot use the pid file {}; choose another one with --pid-file", path.display());
    for _ in 0..TRIES_MAX {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o644);
        // Neither waiting for the other end of a pipe, nor led to another file by whoever owns the folder.
        let file = options.custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits()).open(path);
        let mut file = file.with_context(explain)?;
        ensure!(file.metadata().with_context(explain)?.is_file(), "{}: it is no plain file", explain());
        let holder = read_pid(&mut file).with_context(explain)?;
        let mut file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(file) => file,
            Err((_, Errno::EWOULDBLOCK)) => match holder {
                Some(pid) => {
                    bail!("another server runs already, with pid {pid} (so says {})", path.display())
                }
                None => bail!("another server is about to start ({} is locked)", path.display()),
            },
            Err((_, error)) => return Err(error).with_context(explain),
        };
        if !is_named(&file, path).unwrap_or(false) {
            continue;
        }
        // Between the first look and the lock its owner may have changed it.
        let stale = read_pid(&mut file).with_context(explain)?;
        let pid = std::process::id();
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(format!("{pid}\n").as_bytes()))
            .with_context(explain)?;
        return Ok(PidFile { file, path: path.to_owned(), stale });
    }
    bail!("{}: others make and remove it all the time", explain())
}

/// What a pid file says; `None` if it is empty.
///
/// # Errors
/// `InvalidData` if it says anything else: it may be somebody's only copy.
fn read_pid(file: &mut File) -> io::Result<Option<u32>> {
    let mut text = String::new();
    file.rewind()?;
    file.take(BYTES_MAX + 1).read_to_string(&mut text)?;
    match text.trim() {
        "" => Ok(None),
        pid => pid
            .parse()
            .map(Some)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it has no pid in it")),
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if is_named(&self.file, &self.path).unwrap_or(false) && fs::remove_file(&self.path).is_err() {
            // The folder may be root's, and this process somebody else's by now: an empty one is as good.
            let _ = self.file.set_len(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_one_process_and_goes_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.pid");
        let first = take(&path).unwrap();
        assert_eq!(first.stale, None);
        let pid = std::process::id();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{pid}\n"));
        let refused = format!("{:#}", take(&path).unwrap_err());
        assert_eq!(
            refused,
            format!("another server runs already, with pid {pid} (so says {})", path.display())
        );
        drop(first);
        assert!(!path.exists());
    }

    #[test]
    fn one_without_a_lock_is_stale() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.pid");
        for (left, expected) in [("12345\n", Some(12345)), ("", None), ("7", Some(7))] {
            fs::write(&path, left).unwrap();
            assert_eq!(take(&path).unwrap().stale, expected);
        }
    }

    #[test]
    fn nothing_else_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("letter");
        let other = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &other).unwrap();
        for text in ["Dear Bob,\n", "1 2\n", &"1".repeat(100), "-1"] {
            fs::write(&path, text).unwrap();
            let refused = format!("{:#}", take(&path).unwrap_err());
            assert!(refused.ends_with("it has no pid in it"), "{refused}");
            assert!(take(&other).is_err());
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert!(take(folder.path()).is_err());
        assert!(take(Path::new("/dev/null")).is_err());
    }

    #[test]
    fn a_file_that_is_another_by_now_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.pid");
        let first = take(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let second = take(&path).unwrap();
        drop(first);
        assert!(path.exists());
        drop(second);
        assert!(!path.exists());
    }
}
