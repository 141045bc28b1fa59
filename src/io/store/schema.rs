//! The tables of a database, and what makes an older one of this version. Reads and changes no rows.
//!
//! A version is never changed once a program with it is out: there is only a next one.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use crate::io::store::{StoreError, sql_error};

/// `PRAGMA user_version`: what [`migrate`] makes of every older one.
pub(super) const SCHEMA_VERSION: i64 = 2;
/// `PRAGMA application_id`: "tmsh".
const APPLICATION_ID: i64 = 0x746d_7368;

pub(super) const SCHEMA_1: &str = "
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

/// What users hold of files, and the last logins. `grp`, as `group` is a word of SQL.
const SCHEMA_2: &str = "
    CREATE TABLE file (
        grp TEXT NOT NULL, name TEXT NOT NULL, bytes INTEGER NOT NULL, chunk_bytes INTEGER NOT NULL,
        root BLOB NOT NULL, PRIMARY KEY (grp, name)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE holding (
        grp TEXT NOT NULL, name TEXT NOT NULL, user TEXT NOT NULL, PRIMARY KEY (grp, name, user)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX holding_user ON holding (user);
    CREATE TABLE login (
        name TEXT NOT NULL, is_refused INTEGER NOT NULL, at_ns INTEGER NOT NULL, origin TEXT NOT NULL,
        PRIMARY KEY (name, is_refused, at_ns)
    ) STRICT, WITHOUT ROWID;
    INSERT INTO login SELECT name, 0, login_ns, login_from FROM account
        WHERE login_ns IS NOT NULL AND login_from IS NOT NULL;";

/// Makes an empty or older database one of this version, all or nothing.
pub(super) fn migrate(db: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let of_sql = |error| sql_error(path, error);
    let pragma =
        |db: &Connection, name: &str| db.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0));
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(of_sql)?;
    let version = pragma(&transaction, "user_version").map_err(of_sql)?;
    let ours = pragma(&transaction, "application_id").map_err(of_sql)? == APPLICATION_ID;
    let table =
        transaction.query_row("SELECT 1 FROM sqlite_schema", [], |_| Ok(())).optional().map_err(of_sql)?;
    let missing: &[&str] = match version {
        0 if table.is_none() => &[SCHEMA_1, SCHEMA_2],
        1 if ours => &[SCHEMA_2],
        SCHEMA_VERSION if ours => return transaction.commit().map_err(of_sql),
        newer if ours && newer > SCHEMA_VERSION => return Err(StoreError::Newer(path.to_owned(), newer)),
        _ => return Err(StoreError::Foreign(path.to_owned())),
    };
    let ids = format!("PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION};");
    let made = missing.iter().chain([&ids.as_str()]).try_for_each(|sql| transaction.execute_batch(sql));
    made.and_then(|()| transaction.commit()).map_err(of_sql)
}
