//! What each change does to the tables. Begins and ends no transaction.

use rusqlite::{Transaction, params};

use crate::proto::limits::LOGINS_KEPT_MAX;
use crate::proto::machine::{Change, KeptFile, Login, Mail};

/// Makes one change.
pub(super) fn make(transaction: &Transaction<'_>, change: &Change<'_>) -> rusqlite::Result<()> {
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
            run("DELETE FROM mail WHERE recipient = ?1", params![name.as_str()])?;
            run("DELETE FROM login WHERE name = ?1", params![name.as_str()])?;
            run(
                "DELETE FROM file WHERE (grp, name) IN (SELECT grp, name FROM holding WHERE user = ?1)
                 AND NOT EXISTS (SELECT 1 FROM holding WHERE holding.grp = file.grp
                                 AND holding.name = file.name AND user <> ?1)",
                params![name.as_str()],
            )?;
            run("DELETE FROM holding WHERE user = ?1", params![name.as_str()])
        }
        Change::PutLogin { name, login: Login { at, from, is_refused } } => {
            let (at_ns, from) = (at.0.cast_signed(), from.to_string());
            if !is_refused {
                run(
                    "UPDATE account SET login_ns = ?2, login_from = ?3 WHERE name = ?1",
                    params![name.as_str(), at_ns, from],
                )?;
            }
            run(
                "INSERT OR REPLACE INTO login SELECT name, ?2, ?3, ?4 FROM account WHERE name = ?1",
                params![name.as_str(), is_refused, at_ns, from],
            )?;
            run(
                "DELETE FROM login WHERE name = ?1 AND is_refused = ?2 AND at_ns <
                 (SELECT at_ns FROM login WHERE name = ?1 AND is_refused = ?2
                  ORDER BY at_ns DESC LIMIT 1 OFFSET ?3)",
                params![name.as_str(), is_refused, LOGINS_KEPT_MAX - 1],
            )
        }
        Change::PutHolding { file: KeptFile { group, name, bytes, chunk_bytes, root }, user } => {
            let (bytes, chunk_bytes) = (bytes.cast_signed(), chunk_bytes.cast_signed());
            // Another program may have removed the account meanwhile.
            run(
                "INSERT OR IGNORE INTO holding SELECT ?1, ?2, name FROM account WHERE name = ?3",
                params![group.as_str(), name, user.as_str()],
            )?;
            run(
                "INSERT OR REPLACE INTO file SELECT grp, name, ?3, ?4, ?5 FROM holding
                 WHERE grp = ?1 AND name = ?2 LIMIT 1",
                params![group.as_str(), name, bytes, chunk_bytes, root],
            )
        }
        Change::RemoveHolding { group, file, user } => {
            run(
                "DELETE FROM holding WHERE grp = ?1 AND name = ?2 AND user = ?3",
                params![group.as_str(), file, user.as_str()],
            )?;
            run(
                "DELETE FROM file WHERE grp = ?1 AND name = ?2
                 AND NOT EXISTS (SELECT 1 FROM holding WHERE grp = ?1 AND name = ?2)",
                params![group.as_str(), file],
            )
        }
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
