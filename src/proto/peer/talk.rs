//! A guest that talks: logs in, hands the user's commands to the server one after the other, and tells what
//! the answers are and what others say.

use crate::proto::accounts::Password;
use crate::proto::ids::Name;
use crate::proto::limits::SALT_BYTES;
use crate::proto::peer::{News, Peers};

/// How a member talks.
#[derive(Clone, Debug)]
pub struct Talk {
    /// As which user; without one it is a guest, under the name of its configuration.
    pub login: Option<Login>,
    /// Up to which message its user has seen everything; `None`: nothing yet.
    pub seen: Option<Seen>,
    /// Random bytes of which the nonces of its logins are made; other ones in each process.
    pub secret: [u8; 32],
}

/// A user and what proves it.
#[derive(Clone, Debug)]
pub struct Login {
    /// The name of the account.
    pub user: Name,
    /// Its password, which never goes over the link.
    pub password: Password,
}

/// Messages of one account up to that number have been shown on this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The account's salt: an account of the same name in another database has another one, and other numbers.
    pub salt: [u8; SALT_BYTES],
    /// The number of the last message.
    pub number: u64,
}

impl Peers {
    /// Takes what there is to show, oldest first; bounded. What was taken counts as shown.
    pub fn take_news(&mut self) -> Vec<News> {
        Vec::new()
    }
}
