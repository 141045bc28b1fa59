//! The accounts of a server on disk: a file of lines `name verifier`, replaced as a whole, so that
//! whoever reads it finds all of a change or nothing. Decides nothing about names.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use nix::fcntl::{Flock, FlockArg};

use crate::proto::accounts::Verifier;
use crate::proto::ids::Name;

/// The accounts in one folder.
#[derive(Debug)]
pub(super) struct AccountsOnDisk {
    folder: PathBuf,
}

impl AccountsOnDisk {
    /// Makes the folder if it is not there, for its owner only.
    pub(super) fn open(folder: &Path) -> Result<AccountsOnDisk> {
        if !folder.is_dir() {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
            made.with_context(|| {
                format!("cannot make {}; choose another folder with --state", folder.display())
            })?;
        }
        Ok(AccountsOnDisk { folder: folder.to_owned() })
    }

    /// Every account.
    pub(super) fn list(&self) -> Result<BTreeMap<Name, Verifier>> {
        let path = self.path();
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            read => read.with_context(|| format!("cannot read {}", path.display()))?,
        };
        let account = |line: &str| -> Result<(Name, Verifier)> {
            let (name, verifier) = line.split_once(' ').ok_or(anyhow!("a verifier is missing"))?;
            Ok((name.parse()?, verifier.parse()?))
        };
        let accounts = text.lines().enumerate().map(|(index, line)| {
            account(line).with_context(|| format!("{} line {} is no account", path.display(), index + 1))
        });
        accounts.collect()
    }

    /// Makes accounts, or gives them another password: all or none.
    pub(super) fn put(&self, accounts: &[(Name, Verifier)]) -> Result<()> {
        self.change(|all| all.extend(accounts.iter().copied()))
    }

    /// False if there is no such account.
    pub(super) fn remove(&self, name: Name) -> Result<bool> {
        let mut is_removed = false;
        self.change(|all| is_removed = all.remove(&name).is_some())?;
        Ok(is_removed)
    }

    fn path(&self) -> PathBuf {
        self.folder.join("accounts.txt")
    }

    /// Reads, changes and writes, with everybody else who wants to change something waiting.
    fn change(&self, change: impl FnOnce(&mut BTreeMap<Name, Verifier>)) -> Result<()> {
        let lock = self.folder.join("accounts.lock");
        let cannot =
            || format!("cannot write to {}; choose another folder with --state", self.folder.display());
        let file = private(&lock).with_context(cannot)?;
        let _lock =
            Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, error)| error).with_context(cannot)?;
        let mut accounts = self.list()?;
        change(&mut accounts);
        let text: String = accounts.iter().map(|(name, verifier)| format!("{name} {verifier}\n")).collect();
        let path = self.path();
        let new = path.with_extension("new");
        let written = private(&new).and_then(|mut file| {
            file.set_len(0)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&new, &path)?;
            File::open(&self.folder)?.sync_all()
        });
        written.with_context(cannot)
    }
}

/// A file for its owner only.
fn private(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)
}
