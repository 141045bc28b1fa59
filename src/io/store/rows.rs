//! Rows as they are read back. Changes nothing.

use std::borrow::Cow;

use rusqlite::types::Type;
use rusqlite::{Connection, params};

use crate::proto::ids::Name;
use crate::proto::machine::{KeptFile, Login, Mail, Row};
use crate::proto::time::Wall;

/// Accounts with what waits for them, then blocks, then what users hold of files.
pub(super) fn book(db: &Connection, tell: &mut impl FnMut(Row<'_>)) -> rusqlite::Result<()> {
    let mut accounts = db.prepare_cached(
        "SELECT name, verifier, mail_last, login_ns, login_from, mail_count, mail_bytes FROM account
         LEFT JOIN (SELECT recipient, count(*) AS mail_count, sum(octet_length(text)) AS mail_bytes
                    FROM mail GROUP BY recipient) ON recipient = name ORDER BY name",
    )?;
    let mut rows = accounts.query([])?;
    while let Some(row) = rows.next()? {
        tell(account(row)?);
    }
    let mut blocks = db.prepare_cached("SELECT user, other FROM block ORDER BY user, other")?;
    let mut rows = blocks.query([])?;
    while let Some(row) = rows.next()? {
        tell(block(row)?);
    }
    let mut holdings = db.prepare_cached(
        "SELECT grp, name, bytes, chunk_bytes, root, user FROM holding JOIN file USING (grp, name)
         ORDER BY grp, name, user",
    )?;
    let mut rows = holdings.query([])?;
    while let Some(row) = rows.next()? {
        tell(holding(row)?);
    }
    Ok(())
}

/// Blocks by one account and of it, then what it holds of files.
pub(super) fn ties(db: &Connection, name: Name, tell: &mut impl FnMut(Row<'_>)) -> rusqlite::Result<()> {
    let mut blocks = db
        .prepare_cached("SELECT user, other FROM block WHERE user = ?1 OR other = ?1 ORDER BY user, other")?;
    let mut rows = blocks.query(params![name.as_str()])?;
    while let Some(row) = rows.next()? {
        tell(block(row)?);
    }
    let mut holdings = db.prepare_cached(
        "SELECT grp, name, bytes, chunk_bytes, root, user FROM holding JOIN file USING (grp, name)
         WHERE user = ?1 ORDER BY grp, name",
    )?;
    let mut rows = holdings.query(params![name.as_str()])?;
    while let Some(row) = rows.next()? {
        tell(holding(row)?);
    }
    Ok(())
}

/// Some accounts. Of mail it is only looked whether there is any, which costs the same for a full mailbox.
pub(super) fn accounts(
    db: &Connection,
    after: Option<Name>,
    rows_max: u32,
    tell: &mut impl FnMut(Row<'_>),
) -> rusqlite::Result<()> {
    let mut accounts = db.prepare_cached(
        "SELECT name, verifier, mail_last, login_ns, login_from,
                EXISTS (SELECT 1 FROM mail WHERE recipient = name), 0
         FROM account WHERE name > ?1 AND name GLOB '*[^0-9]*' ORDER BY name LIMIT ?2",
    )?;
    let after = after.as_ref().map_or("", Name::as_str);
    let mut rows = accounts.query(params![after, rows_max])?;
    while let Some(row) = rows.next()? {
        tell(account(row)?);
    }
    Ok(())
}

/// Logins of one account, the last one first.
pub(super) fn logins(db: &Connection, name: Name, tell: &mut impl FnMut(Row<'_>)) -> rusqlite::Result<()> {
    let mut logins = db.prepare_cached(
        "SELECT at_ns, origin, is_refused FROM login WHERE name = ?1 ORDER BY at_ns DESC, number DESC",
    )?;
    let mut rows = logins.query(params![name.as_str()])?;
    while let Some(row) = rows.next()? {
        let (at, is_refused) = (wall(row.get(0)?), row.get(2)?);
        if let Ok(from) = row.get_ref(1)?.as_str()?.parse() {
            tell(Row::Login(Login { at, from, is_refused }));
        }
    }
    Ok(())
}

/// Mail of one user, in the order of its numbers.
pub(super) fn mail(
    db: &Connection,
    to: Name,
    after: u64,
    rows_max: u32,
    tell: &mut impl FnMut(Row<'_>),
) -> rusqlite::Result<()> {
    let mut waiting = db.prepare_cached(
        "SELECT number, sender, at_ns, text FROM mail WHERE recipient = ?1 AND number > ?2
         ORDER BY number LIMIT ?3",
    )?;
    let mut rows = waiting.query(params![to.as_str(), after.cast_signed(), rows_max])?;
    while let Some(row) = rows.next()? {
        let number = row.get::<_, i64>(0)?.cast_unsigned();
        let (from, at) = (name_in(row, 1)?, wall(row.get(2)?));
        tell(Row::Mail(Mail { to, number, from, at, text: Cow::Borrowed(row.get_ref(3)?.as_str()?) }));
    }
    Ok(())
}

fn account<'a>(row: &'a rusqlite::Row<'_>) -> rusqlite::Result<Row<'a>> {
    let login: Option<(Wall, _)> =
        match (row.get::<_, Option<i64>>(3)?, row.get_ref(4)?.as_str_or_null().ok().flatten()) {
            (Some(at), Some(from)) => from.parse().ok().map(|from| (wall(at), from)),
            _ => None,
        };
    Ok(Row::Account {
        name: name_in(row, 0)?,
        verifier: Cow::Borrowed(row.get_ref(1)?.as_str()?),
        mail_last: row.get::<_, i64>(2)?.cast_unsigned(),
        mail_count: row.get::<_, Option<i64>>(5)?.unwrap_or(0).cast_unsigned(),
        mail_bytes: row.get::<_, Option<i64>>(6)?.unwrap_or(0).cast_unsigned(),
        login,
    })
}

fn block(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row<'static>> {
    Ok(Row::Block { user: name_in(row, 0)?, other: name_in(row, 1)? })
}

fn holding<'a>(row: &'a rusqlite::Row<'_>) -> rusqlite::Result<Row<'a>> {
    let file = KeptFile {
        group: name_in(row, 0)?,
        name: Cow::Borrowed(row.get_ref(1)?.as_str()?),
        bytes: row.get::<_, i64>(2)?.cast_unsigned(),
        chunk_bytes: row.get::<_, i64>(3)?.cast_unsigned(),
        root: row.get(4)?,
    };
    Ok(Row::Holding { file, user: name_in(row, 5)? })
}

fn name_in(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<Name> {
    let bytes = row.get_ref(column)?.as_bytes()?;
    Name::from_bytes(bytes)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error)))
}

fn wall(ns: i64) -> Wall {
    Wall(ns.cast_unsigned())
}
