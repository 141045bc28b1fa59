//! Why something was refused, and how often; decides nothing.

use crate::proto::limits::{
    ACCOUNTS_MAX, BLOCKS_MAX, BLOCKS_PER_USER_MAX, MESSAGE_BYTES_MAX, ONLINE_MAX, PRIVATES_PER_USER_MAX,
};

/// Why a call did nothing. Whoever made it is told the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Refusal {
    /// Whoever asks is not online.
    #[error("you are not logged in")]
    NotLoggedIn,
    /// No account has the name, and no guest who is online.
    #[error("there is no user of that name")]
    Unknown,
    /// A guest had the name and has gone, or a guest writes to somebody who is not online.
    #[error("that user is offline")]
    Offline,
    /// About oneself.
    #[error("that is you")]
    Yourself,
    /// A message without text, or of spaces only.
    #[error("the text is empty")]
    EmptyText,
    /// A text above [`MESSAGE_BYTES_MAX`].
    #[error("a message has at most {MESSAGE_BYTES_MAX} bytes")]
    TextTooLong,
    /// The other one has blocked whoever asks.
    #[error("that user has blocked you")]
    BlockedYou,
    /// Whoever asks has blocked the other one.
    #[error("you have blocked that user")]
    YouBlocked,
    /// Too much waits for the recipient.
    #[error("the mailbox of that user is full")]
    MailboxFull,
    /// Too much of what waits for the recipient is from the same sender.
    #[error("as much from you waits for that user already as may")]
    ShareFull,
    /// Too much waits for all users together.
    #[error("this server keeps no more mail")]
    PostFull,
    /// More messages than anybody may send.
    #[error("you are sending too fast")]
    TooFast,
    /// A login under a name that is online.
    #[error("that user is logged in already")]
    AlreadyOnline,
    /// [`ONLINE_MAX`] are online.
    #[error("this server has {ONLINE_MAX} users online already")]
    TooManyOnline,
    /// The name is an account's: there is no second one, and no guest of that name.
    #[error("there is an account of that name")]
    IsAccount,
    /// [`ACCOUNTS_MAX`] accounts are known.
    #[error("this server has {ACCOUNTS_MAX} accounts already")]
    TooManyAccounts,
    /// A block of somebody who is blocked.
    #[error("you have blocked that user already")]
    AlreadyBlocked,
    /// An unblock of somebody who is not blocked.
    #[error("you have not blocked that user")]
    NotBlocked,
    /// [`BLOCKS_PER_USER_MAX`] others are blocked.
    #[error("you can block at most {BLOCKS_PER_USER_MAX} users")]
    TooManyBlocks,
    /// [`BLOCKS_MAX`] blocks of all users together.
    #[error("this server keeps at most {BLOCKS_MAX} blocks")]
    BlocksFull,
    /// Private links have no guests at either end.
    #[error("guests have no private links")]
    GuestsCannot,
    /// A private link that is not there cannot be stopped.
    #[error("you have no private link with that user")]
    NoPrivate,
    /// One of the two has [`PRIVATES_PER_USER_MAX`] private links.
    #[error("a user has at most {PRIVATES_PER_USER_MAX} private links")]
    TooManyPrivates,
    /// An acknowledgement of a number that was never given, or from a client that does not acknowledge.
    #[error("no message with that number was sent to you")]
    NeverSent,
}

impl Refusal {
    /// Each of them, in the order of their numbers.
    pub const ALL: [Refusal; 24] = [
        Refusal::NotLoggedIn,
        Refusal::Unknown,
        Refusal::Offline,
        Refusal::Yourself,
        Refusal::EmptyText,
        Refusal::TextTooLong,
        Refusal::BlockedYou,
        Refusal::YouBlocked,
        Refusal::MailboxFull,
        Refusal::ShareFull,
        Refusal::PostFull,
        Refusal::TooFast,
        Refusal::AlreadyOnline,
        Refusal::TooManyOnline,
        Refusal::IsAccount,
        Refusal::TooManyAccounts,
        Refusal::AlreadyBlocked,
        Refusal::NotBlocked,
        Refusal::TooManyBlocks,
        Refusal::BlocksFull,
        Refusal::GuestsCannot,
        Refusal::NoPrivate,
        Refusal::TooManyPrivates,
        Refusal::NeverSent,
    ];
}

/// What a book has done since it was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Logins of users and guests.
    pub logins: u64,
    /// Messages that went to a link at once.
    pub sent: u64,
    /// Messages that went to a mailbox first.
    pub kept: u64,
    /// Messages on trial whose link went before they were known to have come: they became mail.
    pub returned: u64,
    /// Messages from a mailbox that went to a link.
    pub fetched: u64,
    /// Messages from a mailbox that were not shown: their sender has been blocked since.
    pub skipped: u64,
    /// Broadcasts.
    pub broadcasts: u64,
    /// Messages and broadcasts that were held back for a while.
    pub slowed: u64,
    refused: [u64; Refusal::ALL.len()],
}

impl Counts {
    /// How often something was refused for that reason.
    pub fn refused(&self, refusal: Refusal) -> u64 {
        self.refused[refusal as usize]
    }

    pub(super) fn on_refusal(&mut self, refusal: Refusal) {
        self.refused[refusal as usize] += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_has_a_number_and_a_text_of_its_own() {
        for (number, refusal) in Refusal::ALL.into_iter().enumerate() {
            assert_eq!(refusal as usize, number);
            let same = |other: &&Refusal| other.to_string() == refusal.to_string();
            assert_eq!(Refusal::ALL.iter().filter(same).count(), 1, "{refusal}");
        }
    }
}
