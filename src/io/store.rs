//! What is kept beyond the life of a process: an SQLite database in a folder of its own. Makes changes
//! and reads rows, at once; when, and what they mean, is decided elsewhere.
//!
//! The journal is a write-ahead log that is not synced at each commit: what was committed survives the
//! end of the process however it ends, and a power loss may take the last of it. A commit costs the loop
//! some ten microseconds. Nothing is moved from the log into the database here, for that waits
//! for the disk: [`checkpoint`] is for the helper's thread. Other programs may change the same
//! database; for as long as one of them writes, changes here fail with [`StoreError::is_busy`].

use std::borrow::Cow;
use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::types::Type;
use rusqlite::{
    Connection, ErrorCode, OpenFlags, OptionalExtension, Transaction, TransactionBehavior, params,
};

use crate::proto::ids::Name;
use crate::proto::machine::{Change, Load, Mail, Row};
use crate::proto::time::Wall;

/// A database of accounts, blocks and mail.
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
/// `PRAGMA user_version`: what [`migrate`] makes of every older one.
const SCHEMA_VERSION: i64 = 1;
/// `PRAGMA application_id`: "tmsh".
const APPLICATION_ID: i64 = 0x746d_7368;

const SCHEMA_1: &str = "
    CREATE TABLE account (
        name TEXT PRIMARY KEY, verifier TEXT NOT NULL, mail_last INTEGER NOT NULL DEFAULT 0,
        login_ns INTEGER, login_from TEXT
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE block (
        user TEXT NOT NULL, other TEXT NOT NULL, PRIMARY KEY (user, other)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX block_other ON block (other);
    CREATE TABLE mail (
        recipient TEXT NOT NULL, number INTEGER NOT NULL, sender TEXT NOT NULL, at_ns INTEGER NOT NULL,
        text TEXT NOT NULL, PRIMARY KEY (recipient, number)
    ) STRICT, WITHOUT ROWID;";

impl Store {
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
        migrate(&mut db, &path)?;
        db.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 0;
             PRAGMA foreign_keys = OFF; PRAGMA busy_timeout = 0;",
        )
        .map_err(of_sql)?;
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
            changes.into_iter().try_for_each(|change| make(&transaction, change))?;
            transaction.commit()
        })();
        made.map_err(|error| sql_error(path, error))
    }

    /// Reads rows, and returns the version of a book.
    ///
    /// # Errors
    /// [`StoreError::Sql`]; rows may have been told by then.
    pub fn load(&self, load: Load, mut tell: impl FnMut(Row<'_>)) -> Result<u64, StoreError> {
        let read = match load {
            Load::Book { known } => self.load_book(known, &mut tell),
            Load::Mail { to, after, rows_max } => self.load_mail(to, after, rows_max, &mut tell).map(|()| 0),
        };
        read.map_err(|error| sql_error(&self.path, error))
    }

    /// Where the database is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// It changes with each commit of another connection, and is never 0. Those of this one do not count.
    fn version(&self) -> rusqlite::Result<u64> {
        self.db.query_row("PRAGMA data_version", [], |row| row.get::<_, i64>(0)).map(i64::cast_unsigned)
    }

    fn load_book(&self, known: u64, tell: &mut impl FnMut(Row<'_>)) -> rusqlite::Result<u64> {
        let version = self.version()?;
        if version == known {
            return Ok(version);
        }
        let mut accounts = self.db.prepare_cached(
            "SELECT name, verifier, mail_last, login_ns, login_from, mail_count, mail_bytes FROM account
             LEFT JOIN (SELECT recipient, count(*) AS mail_count, sum(octet_length(text)) AS mail_bytes
                        FROM mail GROUP BY recipient) ON recipient = name ORDER BY name",
        )?;
        let mut rows = accounts.query([])?;
        while let Some(row) = rows.next()? {
            let login: Option<(Wall, _)> =
                match (row.get::<_, Option<i64>>(3)?, row.get_ref(4)?.as_str_or_null().ok().flatten()) {
                    (Some(at), Some(from)) => from.parse().ok().map(|from| (wall(at), from)),
                    _ => None,
                };
            tell(Row::Account {
                name: name_in(row, 0)?,
                verifier: Cow::Borrowed(row.get_ref(1)?.as_str()?),
                mail_last: row.get::<_, i64>(2)?.cast_unsigned(),
                mail_count: row.get::<_, Option<i64>>(5)?.unwrap_or(0).cast_unsigned(),
                mail_bytes: row.get::<_, Option<i64>>(6)?.unwrap_or(0).cast_unsigned(),
                login,
            });
        }
        let mut blocks = self.db.prepare_cached("SELECT user, other FROM block ORDER BY user, other")?;
        let mut rows = blocks.query([])?;
        while let Some(row) = rows.next()? {
            tell(Row::Block { user: name_in(row, 0)?, other: name_in(row, 1)? });
        }
        Ok(version)
    }

    fn load_mail(
        &self,
        to: Name,
        after: u64,
        rows_max: u32,
        tell: &mut impl FnMut(Row<'_>),
    ) -> rusqlite::Result<()> {
        let mut mail = self.db.prepare_cached(
            "SELECT number, sender, at_ns, text FROM mail WHERE recipient = ?1 AND number > ?2
             ORDER BY number LIMIT ?3",
        )?;
        let mut rows = mail.query(params![to.as_str(), after.cast_signed(), rows_max])?;
        while let Some(row) = rows.next()? {
            let number = row.get::<_, i64>(0)?.cast_unsigned();
            let (from, at) = (name_in(row, 1)?, wall(row.get(2)?));
            tell(Row::Mail(Mail { to, number, from, at, text: Cow::Borrowed(row.get_ref(3)?.as_str()?) }));
        }
        Ok(())
    }
}

fn make(transaction: &Transaction<'_>, change: &Change<'_>) -> rusqlite::Result<()> {
    let run = |sql: &str, params: &[&dyn rusqlite::ToSql]| {
        transaction.prepare_cached(sql)?.execute(params).map(drop)
    };
    match change {
        Change::PutAccount { name, verifier } => run(
            "INSERT INTO account (name, verifier) VALUES (?1, ?2)
             ON CONFLICT (name) DO UPDATE SET verifier = excluded.verifier",
            params![name.as_str(), verifier],
        ),
        Change::RemoveAccount { name } => {
            run("DELETE FROM account WHERE name = ?1", params![name.as_str()])?;
            run("DELETE FROM block WHERE user = ?1 OR other = ?1", params![name.as_str()])?;
            run("DELETE FROM mail WHERE recipient = ?1", params![name.as_str()])
        }
        Change::PutLogin { name, at, from } => run(
            "UPDATE account SET login_ns = ?2, login_from = ?3 WHERE name = ?1",
            params![name.as_str(), at.0.cast_signed(), from.to_string()],
        ),
        Change::PutBlock { user, other } => {
            run("INSERT OR IGNORE INTO block VALUES (?1, ?2)", params![user.as_str(), other.as_str()])
        }
        Change::RemoveBlock { user, other } => {
            run("DELETE FROM block WHERE user = ?1 AND other = ?2", params![user.as_str(), other.as_str()])
        }
        Change::PutMail(Mail { to, number, from, at, text }) => {
            let number = number.cast_signed();
            run(
                "INSERT OR REPLACE INTO mail VALUES (?1, ?2, ?3, ?4, ?5)",
                params![to.as_str(), number, from.as_str(), at.0.cast_signed(), text],
            )?;
            run(
                "UPDATE account SET mail_last = max(mail_last, ?2) WHERE name = ?1",
                params![to.as_str(), number],
            )
        }
        Change::ReserveMail { to, upto } => run(
            "UPDATE account SET mail_last = max(mail_last, ?2) WHERE name = ?1",
            params![to.as_str(), upto.cast_signed()],
        ),
        Change::RemoveMail { to, first, last } => run(
            "DELETE FROM mail WHERE recipient = ?1 AND number BETWEEN ?2 AND ?3",
            params![to.as_str(), first.cast_signed(), last.cast_signed()],
        ),
    }
}

/// Makes an empty or older database one of this version, all or nothing.
fn migrate(db: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let of_sql = |error| sql_error(path, error);
    let pragma =
        |db: &Connection, name: &str| db.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0));
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(of_sql)?;
    let version = pragma(&transaction, "user_version").map_err(of_sql)?;
    let ours = pragma(&transaction, "application_id").map_err(of_sql)? == APPLICATION_ID;
    let table =
        transaction.query_row("SELECT 1 FROM sqlite_schema", [], |_| Ok(())).optional().map_err(of_sql)?;
    match version {
        0 if table.is_none() => {
            let ids =
                format!("PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION};");
            transaction
                .execute_batch(SCHEMA_1)
                .and_then(|()| transaction.execute_batch(&ids))
                .map_err(of_sql)?;
        }
        SCHEMA_VERSION if ours => {}
        newer if ours && newer > SCHEMA_VERSION => return Err(StoreError::Newer(path.to_owned(), newer)),
        _ => return Err(StoreError::Foreign(path.to_owned())),
    }
    transaction.commit().map_err(of_sql)
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

fn name_in(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<Name> {
    let bytes = row.get_ref(column)?.as_bytes()?;
    Name::from_bytes(bytes)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error)))
}

fn wall(ns: i64) -> Wall {
    Wall(ns.cast_unsigned())
}

#[cfg(test)]
mod tests;
