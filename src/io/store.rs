//! What is kept beyond the life of a process: an SQLite database in a folder of its own. Makes changes
//! and reads rows, at once; when, and what they mean, is decided elsewhere.
//!
//! The journal is a write-ahead log that is not synced at each commit: what was committed survives the
//! end of the process however it ends, and a power loss may take the last of it. A commit costs the loop
//! some ten microseconds. Nothing is moved from the log into the database here, for that waits
//! for the disk: [`checkpoint`] is for the helper's thread. Other programs may change the same
//! database; for as long as one of them writes, changes here fail with [`StoreError::is_busy`].

mod changes;
mod rows;
mod schema;
#[cfg(test)]
mod tests;

use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use crate::io::store::schema::SCHEMA_VERSION;
use crate::proto::machine::{Change, Load, Row};

/// A database of accounts, blocks, mail, logins, and what users hold of files.
#[derive(Debug)]
pub struct Store {
    db: Connection,
    path: PathBuf,
}

/// Why a database cannot be used, or a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A newer program has made it.
    #[error(
        "{0} has version {1} and this program knows up to {SCHEMA_VERSION}: use the newer program that wrote it"
    )]
    Newer(PathBuf, i64),
    /// It is a database of something else, or none at all.
    #[error("{0} is no database of this program; choose another folder, or move that file away")]
    Foreign(PathBuf),
    /// The folder or the file cannot be used.
    #[error("{0}: {1}")]
    Folder(PathBuf, io::Error),
    /// Anything else that the database says.
    #[error("{0}: {1}")]
    Sql(PathBuf, rusqlite::Error),
}

/// How long other programs are waited for, where that is done at all: one that brings in many accounts writes for a second.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// The database in its folder.
const FILE: &str = "tickmesh.db";
/// Statements that are kept ready: all there are.
const STATEMENTS_MAX: usize = 48;
impl Store {
    /// Whether a folder has a database.
    pub fn is_in(folder: &Path) -> bool {
        folder.join(FILE).exists()
    }

    /// Opens the database of a folder, and makes both if they are not there. The folder is for its owner only.
    ///
    /// # Errors
    /// All of [`StoreError`].
    pub fn open(folder: &Path) -> Result<Store, StoreError> {
        let of_folder = |error| StoreError::Folder(folder.to_owned(), error);
        if !folder.is_dir() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(of_folder)?;
        }
        let path = folder.join(FILE);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let of_sql = |error| sql_error(&path, error);
        let mut db = Connection::open_with_flags(&path, flags).map_err(of_sql)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).map_err(of_folder)?;
        // Two programs that begin at the same time wait for each other here, and only here.
        db.busy_timeout(BUSY_TIMEOUT).map_err(of_sql)?;
        schema::migrate(&mut db, &path)?;
        db.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 0;
             PRAGMA foreign_keys = OFF; PRAGMA busy_timeout = 0;",
        )
        .map_err(of_sql)?;
        db.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
        Ok(Store { db, path })
    }

    /// From now on a change waits for other programs that write, for some seconds. A loop must not.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub fn wait_for_others(&self) -> Result<(), StoreError> {
        self.db.busy_timeout(BUSY_TIMEOUT).map_err(|error| sql_error(&self.path, error))
    }

    /// Makes all changes, or none.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub fn apply<'a>(&mut self, changes: impl IntoIterator<Item = &'a Change<'a>>) -> Result<(), StoreError> {
        let Store { db, path } = self;
        let made = (|| {
            let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            changes.into_iter().try_for_each(|change| changes::make(&transaction, change))?;
            transaction.commit()
        })();
        made.map_err(|error| sql_error(path, error))
    }

    /// Reads rows, and returns the version of a book.
    ///
    /// # Errors
    /// [`StoreError::Sql`]; rows may have been told by then.
    pub fn load(&self, load: Load, mut tell: impl FnMut(Row<'_>)) -> Result<u64, StoreError> {
        self.read(load, &mut tell).map_err(|error| sql_error(&self.path, error))
    }

    /// Where the database is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn read(&self, load: Load, tell: &mut impl FnMut(Row<'_>)) -> rusqlite::Result<u64> {
        // Before anything else is read: what changes meanwhile is a newer version then.
        let version = match load {
            Load::Book | Load::Accounts { .. } => self.version()?,
            Load::Ties { .. } | Load::Logins { .. } | Load::Mail { .. } => 0,
        };
        match load {
            Load::Book => rows::book(&self.db, tell)?,
            Load::Accounts { known, .. } if known == version => {}
            Load::Accounts { after, rows_max, .. } => rows::accounts(&self.db, after, rows_max, tell)?,
            Load::Ties { name } => rows::ties(&self.db, name, tell)?,
            Load::Logins { name } => rows::logins(&self.db, name, tell)?,
            Load::Mail { to, after, rows_max } => rows::mail(&self.db, to, after, rows_max, tell)?,
        }
        Ok(version)
    }

    /// It changes with each commit of another connection, and is never 0. Those of this one do not count.
    fn version(&self) -> rusqlite::Result<u64> {
        let mut version = self.db.prepare_cached("PRAGMA data_version")?;
        version.query_row([], |row| row.get::<_, i64>(0)).map(i64::cast_unsigned)
    }
}

/// Moves what was committed from the log into the database, as far as nobody is in the way. Takes as
/// long as the disk does.
///
/// # Errors
/// [`StoreError::Sql`]. Nothing is lost, and it may be tried again.
pub(super) fn checkpoint(path: &Path) -> Result<(), StoreError> {
    let moved = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )
    .and_then(|db| db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())));
    moved.map_err(|error| sql_error(path, error))
}

impl StoreError {
    /// Another program writes just now.
    pub fn is_busy(&self) -> bool {
        self.kind() == ErrorKind::ResourceBusy
    }

    /// The same for machines.
    pub fn kind(&self) -> ErrorKind {
        match self {
            StoreError::Folder(_, error) => error.kind(),
            StoreError::Newer(..) | StoreError::Foreign(_) => ErrorKind::InvalidData,
            StoreError::Sql(_, error) => match error.sqlite_error_code() {
                Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => ErrorKind::ResourceBusy,
                Some(ErrorCode::DiskFull) => ErrorKind::StorageFull,
                Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => ErrorKind::PermissionDenied,
                Some(ErrorCode::DatabaseCorrupt) | None => ErrorKind::InvalidData,
                Some(_) => ErrorKind::Other,
            },
        }
    }
}

fn sql_error(path: &Path, error: rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => StoreError::Foreign(path.to_owned()),
        _ => StoreError::Sql(path.to_owned(), error),
    }
}
