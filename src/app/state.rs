//! Where a server keeps what outlives it: the folder, and in it the secret that is the server's own. Knows nothing
//! of accounts.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use nix::fcntl::{Flock, FlockArg};

use crate::app::random_secret;

/// The folder that is meant when none is named: `$XDG_STATE_HOME/tickmesh`, else
/// `~/.local/state/tickmesh`. `None` if the environment says neither; relative paths in it do not count (XDG
/// Base Directory Specification).
pub(super) fn default_folder(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let folder = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = folder("XDG_STATE_HOME").or_else(|| Some(folder("HOME")?.join(".local/state")))?;
    Some(state.join("tickmesh"))
}

/// A folder that one server has for itself, as long as this is there.
#[derive(Debug)]
pub(super) struct StateLock {
    _file: Flock<File>,
    pub(super) folder: PathBuf,
    /// Made at the first start, and the same ever after.
    pub(super) secret: [u8; 32],
}

/// Takes a folder for one server. It has to be there.
pub(super) fn lock(folder: &Path) -> Result<StateLock> {
    let path = folder.join("secret");
    let explain = || format!("cannot use {}; choose another folder with --state", path.display());
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
    let mut file = match Flock::lock(file.with_context(explain)?, FlockArg::LockExclusiveNonblock) {
        Ok(file) => file,
        Err((_, nix::errno::Errno::EWOULDBLOCK)) => {
            bail!("another server uses {}; choose another folder with --state", folder.display())
        }
        Err((_, error)) => return Err(error).with_context(explain),
    };
    let mut secret = [0; 32];
    match file.read_exact(&mut secret) {
        Ok(()) => {}
        // It is new, or its writer died; nothing depends on it but what strangers are shown.
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
            secret = random_secret()?;
            file.set_len(0)
                .and_then(|()| file.rewind())
                .and_then(|()| file.write_all(&secret))
                .with_context(explain)?;
        }
        Err(error) => return Err(error).with_context(explain),
    }
    Ok(StateLock { _file: file, folder: folder.to_owned(), secret })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_stays_and_a_second_server_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let first = lock(folder.path()).unwrap();
        let text = format!("{:#}", lock(folder.path()).unwrap_err());
        assert!(text.starts_with("another server uses "), "{text}");
        let secret = first.secret;
        drop(first);
        assert_eq!(lock(folder.path()).unwrap().secret, secret);
        std::fs::write(folder.path().join("secret"), b"short").unwrap();
        let secret = lock(folder.path()).unwrap().secret;
        assert_eq!(lock(folder.path()).unwrap().secret, secret);
    }

    #[test]
    fn the_environment_says_where() {
        for (xdg, home, expected) in [
            (Some("/x"), Some("/home/a"), Some("/x/tickmesh")),
            (None, Some("/home/a"), Some("/home/a/.local/state/tickmesh")),
            (Some(""), Some("/home/a"), Some("/home/a/.local/state/tickmesh")),
            (Some("x"), Some("/home/a"), Some("/home/a/.local/state/tickmesh")),
            (None, Some(""), None),
            (None, None, None),
        ] {
            let variable = |name: &str| if name == "HOME" { home } else { xdg }.map(OsString::from);
            assert_eq!(default_folder(variable), expected.map(PathBuf::from), "{xdg:?} {home:?}");
        }
    }
}
