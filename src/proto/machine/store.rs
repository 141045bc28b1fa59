//! What machines keep beyond the life of a process: rows of a few kinds, changed in batches and read
//! back. Says what is kept, and neither how nor why.
//!
//! Everything is about names, never about links: whoever writes a row need not be here when it is read.

use std::borrow::Cow;
use std::net::IpAddr;

use crate::proto::ids::Name;
use crate::proto::time::Wall;

/// One change of what is kept. The changes of one batch are made all or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    /// An account is new, or its password is.
    PutAccount {
        /// Whose.
        name: Name,
        /// What a password is checked against; no password.
        verifier: Cow<'a, str>,
    },
    /// An account is gone: with its mail, and everybody's blocks of it and its own.
    RemoveAccount {
        /// Whose.
        name: Name,
    },
    /// Somebody has logged in; only the last time is kept.
    PutLogin {
        /// Who.
        name: Name,
        /// When.
        at: Wall,
        /// From where.
        from: IpAddr,
    },
    /// A user wants nothing of another.
    PutBlock {
        /// Who blocks.
        user: Name,
        /// Who is blocked.
        other: Name,
    },
    /// A user takes a block back.
    RemoveBlock {
        /// Who has blocked.
        user: Name,
        /// Who was blocked.
        other: Name,
    },
    /// A message waits for somebody.
    PutMail(Mail<'a>),
    /// Numbers up to that one count as given, whether there is mail with them or not.
    ReserveMail {
        /// For whom.
        to: Name,
        /// The last of them.
        upto: u64,
    },
    /// Messages have come to where they should.
    RemoveMail {
        /// For whom they were.
        to: Name,
        /// The first of them.
        first: u64,
        /// The last of them.
        last: u64,
    },
}

/// A message that waits for somebody who has an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail<'a> {
    /// For whom.
    pub to: Name,
    /// Its number among all that were ever kept for that user, from 1; below 2^63.
    pub number: u64,
    /// From whom.
    pub from: Name,
    /// When it was sent.
    pub at: Wall,
    /// What it says.
    pub text: Cow<'a, str>,
}

/// Something to be read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// Every account with what waits for it, then every block; nothing, if all that is as it was when it was
    /// read as version `known`. 0 is no version.
    Book {
        /// What the last [`Loaded`](crate::proto::machine::Input::Loaded) had.
        known: u64,
    },
    /// Mail for one user, in the order of its numbers.
    Mail {
        /// For whom.
        to: Name,
        /// Only that with greater numbers.
        after: u64,
        /// At most so many.
        rows_max: u32,
    },
}

/// One row, read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Row<'a> {
    /// An account, and what waits for it.
    Account {
        /// Whose.
        name: Name,
        /// What a password is checked against.
        verifier: Cow<'a, str>,
        /// The last number that was ever given to mail for it; 0 if there was none.
        mail_last: u64,
        /// Messages that wait.
        mail_count: u64,
        /// Bytes of text that wait.
        mail_bytes: u64,
        /// The last login: when, and from where.
        login: Option<(Wall, IpAddr)>,
    },
    /// A user wants nothing of another.
    Block {
        /// Who blocks.
        user: Name,
        /// Who is blocked.
        other: Name,
    },
    /// A message that waits.
    Mail(Mail<'a>),
}

impl Change<'_> {
    /// The same, without borrowing anything.
    pub fn into_owned(self) -> Change<'static> {
        match self {
            Change::PutAccount { name, verifier } => {
                Change::PutAccount { name, verifier: Cow::Owned(verifier.into_owned()) }
            }
            Change::RemoveAccount { name } => Change::RemoveAccount { name },
            Change::PutLogin { name, at, from } => Change::PutLogin { name, at, from },
            Change::PutBlock { user, other } => Change::PutBlock { user, other },
            Change::RemoveBlock { user, other } => Change::RemoveBlock { user, other },
            Change::PutMail(mail) => Change::PutMail(mail.into_owned()),
            Change::ReserveMail { to, upto } => Change::ReserveMail { to, upto },
            Change::RemoveMail { to, first, last } => Change::RemoveMail { to, first, last },
        }
    }
}

impl Mail<'_> {
    /// The same, without borrowing anything.
    pub fn into_owned(self) -> Mail<'static> {
        let Mail { to, number, from, at, text } = self;
        Mail { to, number, from, at, text: Cow::Owned(text.into_owned()) }
    }
}

impl Row<'_> {
    /// The same, without borrowing anything.
    pub fn into_owned(self) -> Row<'static> {
        match self {
            Row::Account { name, verifier, mail_last, mail_count, mail_bytes, login } => {
                let verifier = Cow::Owned(verifier.into_owned());
                Row::Account { name, verifier, mail_last, mail_count, mail_bytes, login }
            }
            Row::Block { user, other } => Row::Block { user, other },
            Row::Mail(mail) => Row::Mail(mail.into_owned()),
        }
    }
}
