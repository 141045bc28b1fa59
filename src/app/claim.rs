//! The folders of a server's table and of its uploads, each of which one server at a time writes to; peers may do so beside it.
//! Leaves nothing in them.

use std::fs::File;
use std::path::Path;

use anyhow::{Result, bail};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

/// A folder that one server has, as long as this is there.
#[derive(Debug)]
pub(super) struct Claim {
    _folder: Flock<File>,
}

/// Takes a folder for one server; `flag` names another one. `None` where it cannot be locked, as on some network file
/// systems: the table has a lock of its own and no upload takes another's name, so two servers cannot spoil each other's
/// files, and the log says so.
///
/// # Errors
/// If another server has it.
pub(super) fn take(folder: &Path, flag: &str) -> Result<Option<Claim>> {
    let locked = File::open(folder).map_err(|error| error.to_string()).and_then(|file| {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(folder) => Ok(Some(Claim { _folder: folder })),
            Err((_, Errno::EWOULDBLOCK)) => Ok(None),
            Err((_, error)) => Err(error.to_string()),
        }
    });
    match locked {
        Ok(Some(claim)) => Ok(Some(claim)),
        Ok(None) => {
            bail!("another server uses {}; choose another folder with {flag}", folder.display())
        }
        Err(why) => {
            log::warn!("folder not locked folder={} why=\"{why}\"", folder.display());
            Ok(None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_one_servers_and_stays_empty() {
        let folder = tempfile::tempdir().unwrap();
        let first = take(folder.path(), "--out").unwrap();
        assert!(first.is_some());
        let refused = format!("{:#}", take(folder.path(), "--out").unwrap_err());
        let expected =
            format!("another server uses {}; choose another folder with --out", folder.path().display());
        assert_eq!(refused, expected);
        drop(first);
        assert!(take(folder.path(), "--out").unwrap().is_some());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
