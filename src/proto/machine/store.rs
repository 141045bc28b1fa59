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
    /// An account is gone: with its mail, everybody's blocks of it and its own, its logins, and what it holds of files.
    RemoveAccount {
        /// Whose.
        name: Name,
    },
    /// Somebody has logged in, or had a wrong password. The last [`LOGINS_KEPT_MAX`](crate::proto::limits::LOGINS_KEPT_MAX) of each kind are kept.
    PutLogin {
        /// Whose account.
        name: Name,
        /// What was tried.
        login: Login,
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
    /// A user holds something of a file, whose name is bound to that content.
    PutHolding {
        /// What the file consists of; it replaces another of its name.
        file: KeptFile<'a>,
        /// Who.
        user: Name,
    },
    /// A user holds nothing of a file any more. A file that nobody holds is gone.
    RemoveHolding {
        /// The file's group.
        group: Name,
        /// Its name.
        file: Cow<'a, str>,
        /// Who.
        user: Name,
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

/// An attempt to log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Login {
    /// When.
    pub at: Wall,
    /// From where.
    pub from: IpAddr,
    /// The password was wrong.
    pub is_refused: bool,
}

/// What a file consists of, but for the hashes of its chunks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptFile<'a> {
    /// The group that shares it.
    pub group: Name,
    /// Its name there.
    pub name: Cow<'a, str>,
    /// Its size.
    pub bytes: u64,
    /// The size of its chunks.
    pub chunk_bytes: u64,
    /// The hash over all of that and its chunks' hashes.
    pub root: [u8; 32],
}

/// Something to be read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// Every account with what waits for it, then every block, then what users hold of files.
    Book,
    /// Accounts behind a name, in the order of the names; nothing, if all that is as it was when it was
    /// read as version `known`. 0 is no version. Of mail it is only told whether there is any. Not names of digits
    /// only, which have an order of their own and are no users'.
    Accounts {
        /// What an earlier [`Loaded`](crate::proto::machine::Input::Loaded) had.
        known: u64,
        /// Only greater names.
        after: Option<Name>,
        /// At most so many.
        rows_max: u32,
    },
    /// What ties one account to others: every block by it and of it, then what it holds of files.
    Ties {
        /// Whose.
        name: Name,
    },
    /// The logins of one account, the last one first, and those that were refused among them.
    Logins {
        /// Whose.
        name: Name,
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
        /// Messages that wait; 1 for any number of them, if only accounts were asked for.
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
    /// A user holds something of a file.
    Holding {
        /// Which.
        file: KeptFile<'a>,
        /// Who.
        user: Name,
    },
    /// An attempt to log in.
    Login(Login),
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
            Change::PutLogin { name, login } => Change::PutLogin { name, login },
            Change::PutHolding { file, user } => Change::PutHolding { file: file.into_owned(), user },
            Change::RemoveHolding { group, file, user } => {
                Change::RemoveHolding { group, file: Cow::Owned(file.into_owned()), user }
            }
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

impl KeptFile<'_> {
    /// The same, without borrowing anything.
    pub fn into_owned(self) -> KeptFile<'static> {
        let KeptFile { group, name, bytes, chunk_bytes, root } = self;
        KeptFile { group, name: Cow::Owned(name.into_owned()), bytes, chunk_bytes, root }
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
            Row::Holding { file, user } => Row::Holding { file: file.into_owned(), user },
            Row::Login(login) => Row::Login(login),
            Row::Mail(mail) => Row::Mail(mail.into_owned()),
        }
    }
}
