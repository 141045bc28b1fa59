//! The rules of messages: who is online, who wants nothing of whom, what waits for whom, and how fast one may
//! talk. Decides, and performs nothing: each call returns all that has to be done. Knows neither
//! passwords, nor lines, nor files, nor how anything is kept.
//!
//! # Users and guests
//!
//! A *user* has an account, here a name and a mailbox. A *guest* is a name without one, as long as its session lasts; no
//! name is both. A guest may do what needs no proof of who one is and nothing that lasts:
//!
//! - message users and guests who are online, and broadcast; both may answer it. Its words are of the moment: at once or not
//!   at all, never kept, without a number;
//! - see who is online, and be seen;
//! - block and unblock: until either of the two, if it is a guest, has gone. Who comes back as a guest is somebody new;
//! - no private links: these show addresses, and nobody has proven who a guest is.
//!
//! # A message from user to user
//!
//! Typed as `message user text` or `%user%text`, which is the same. A user who is offline gets it later, and
//! its sender is told that it is kept; a name that nobody has, or only a guest who has gone, is an error. The message
//! gets the next number of its recipient's mailbox, and is then in one of these states:
//!
//! ```text
//!                  recipient is there, and nothing waits for him
//!   message() ──────────────────────────────────────────────► on trial ── ack, on_delivered ──► over
//!       │                                                        │
//!       │ he is away, something waits for him,                   │ logout
//!       │ or much is on its way to him                           ▼
//!       └──────────────────────────────────────────────────►   kept ◄──────────── logout ───┐
//!                                                            │   │                          │
//!                                     not_kept: never was  ◄─┘   │ mail_row                 │
//!                                                                ├──► on its way ───────────┤
//!                                                                │                          │ ack, on_delivered
//!                                                                └──► skipped: its sender   ▼
//!                                                                     has been blocked    over, and removed
//! ```
//!
//! - **Order.** Numbers are given in the order of the messages, and each link sees them in that order: a message
//!   goes straight to a link only if all before it have gone there. Broadcasts, and what guests say, have no number; while somebody
//!   is still getting his mail they may come before it.
//! - **Once.** A message that was on its way when the link went comes again under its number. So who remembers the
//!   last number shows each message once. Numbers are not given twice, also not after a crash:
//!   only those go straight to a link of which the store knows that they are taken ([`Posted::reserve`]).
//! - **What a sender may count on.** Kept means kept, once it is stored. What went straight to a link becomes mail
//!   if that link breaks; only a crash of the server in that moment can lose it.
//! - **Bounds.** A mailbox holds so many messages and bytes, and so many of one sender; who says more is told.
//! - **Acknowledging.** A number acknowledges all up to it ([`Chat::ack`]). A client that cannot is taken to
//!   have what its kernel took ([`Chat::on_delivered`]); it is [`Reader::Plain`].
//!
//! # A block means one thing everywhere
//!
//! If bob blocks alice, her messages to him are refused, her broadcasts pass him by, her mail that still waits for him is not shown
//! any more, and she cannot start a private link. She does not see him come, go, or be there, not in
//! `whoelse` nor `whoelsesince`. Nothing is said to her when he blocks, and an open private link stays. He
//! still sees her; he cannot start a private link with her either, as that would show her where he is. Files ask
//! [`Chat::has_blocked`].

mod audience;
mod blocks;
mod left;
mod members;
mod pace;
mod post;
mod presence;
mod private;
mod refusal;
mod session;
mod shares;
mod talk;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use slab::Slab;

use crate::proto::chat::audience::Seat;
use crate::proto::chat::blocks::Blocks;
use crate::proto::chat::left::Left;
use crate::proto::chat::session::{Mailbox, Session};
use crate::proto::chat::shares::Shares;
use crate::proto::ids::{LinkId, Name};
use crate::proto::time::Mono;

pub use audience::Audience;
pub use members::{BlockLasts, WaitingMail};
pub use pace::{Pace, Rate};
pub use post::{MailLoad, Posted, Sent, Step};
pub use presence::{Gone, Keep, Login, Reader, Seen};
pub use private::Private;
pub use refusal::{Counts, Refusal};
pub use talk::Broadcast;

/// How a book is kept.
#[derive(Clone, Copy, Debug)]
pub struct ChatConfig {
    /// How fast one user may talk.
    pub rate: Rate,
    /// How long a user may issue no command.
    pub idle_timeout: Duration,
}

/// The book of all users and guests.
#[derive(Debug)]
pub struct Chat {
    config: ChatConfig,
    people: Slab<Person>,
    /// Everybody who has an account or is online.
    names: BTreeMap<Name, Id>,
    online: BTreeMap<Name, Seat>,
    left: Left,
    blocks: Blocks,
    shares: Shares,
    /// Pairs with a private link, in both orders.
    privates: BTreeSet<(Id, Id)>,
    /// Mail that is being read back, in the order in which it was asked for. The link tells whether whoever it is for
    /// is still there.
    loads: VecDeque<(Name, LinkId)>,
    accounts: usize,
    /// Messages and bytes of all mailboxes.
    mail_count: u64,
    mail_bytes: u64,
    /// Bytes of text on their way to anybody.
    flights_bytes: usize,
    counts: Counts,
}

/// A place in the book; used again when somebody is gone for good, and nothing here remembers it then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Id(u32);

/// One entry of the book.
#[derive(Debug)]
struct Person {
    name: Name,
    /// None for a guest.
    mailbox: Option<Mailbox>,
    presence: Presence,
    /// When all that was said has had its time.
    paid_until: Mono,
}

#[derive(Debug)]
enum Presence {
    /// Not since the server's start.
    Never,
    Here(Box<Session>),
    Left(Mono),
}

impl Chat {
    /// A book without anybody.
    pub fn new(config: ChatConfig) -> Chat {
        Chat {
            config,
            people: Slab::new(),
            names: BTreeMap::new(),
            online: BTreeMap::new(),
            left: Left::default(),
            blocks: Blocks::default(),
            shares: Shares::default(),
            privates: BTreeSet::new(),
            loads: VecDeque::new(),
            accounts: 0,
            mail_count: 0,
            mail_bytes: 0,
            flights_bytes: 0,
            counts: Counts::default(),
        }
    }

    /// What was done so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Accounts that are known.
    pub fn accounts(&self) -> usize {
        self.accounts
    }

    /// Users and guests who are online.
    pub fn online(&self) -> usize {
        self.online.len()
    }

    /// Messages that wait for anybody or are on their way, and their bytes.
    pub fn mail(&self) -> (u64, u64) {
        (self.mail_count, self.mail_bytes)
    }

    fn person(&self, id: Id) -> &Person {
        &self.people[id.0 as usize]
    }

    fn person_mut(&mut self, id: Id) -> &mut Person {
        &mut self.people[id.0 as usize]
    }

    fn session_mut(&mut self, name: &Name) -> Option<(Id, &mut Session)> {
        let id = self.online.get(name)?.id;
        Some((id, self.people[id.0 as usize].session_mut()?))
    }

    /// Somebody's place, as others may know it.
    fn find(&self, name: &Name) -> Result<Id, Refusal> {
        let unknown = || if self.left.has_guest(name) { Refusal::Offline } else { Refusal::Unknown };
        self.names.get(name).copied().ok_or_else(unknown)
    }

    /// The place of somebody who asks for something.
    fn here(&self, name: &Name) -> Result<Id, Refusal> {
        self.online.get(name).map(|seat| seat.id).ok_or(Refusal::NotLoggedIn)
    }

    fn counted<T>(&mut self, result: Result<T, Refusal>) -> Result<T, Refusal> {
        if let Err(refusal) = &result {
            self.counts.on_refusal(*refusal);
        }
        result
    }

    /// Panics if the parts of the book contradict each other. Looks at everybody.
    pub fn check_invariants(&self) {
        assert_eq!(self.people.len(), self.names.len());
        let (mut accounts, mut online, mut left, mut count, mut bytes, mut flights_bytes) =
            (0, 0, 0, 0, 0, 0);
        for (name, id) in &self.names {
            let person = self.person(*id);
            assert_eq!(person.name, *name);
            if let Some(mailbox) = &person.mailbox {
                accounts += 1;
                count += u64::from(mailbox.count);
                bytes += u64::from(mailbox.bytes);
                mailbox.check_invariants();
                assert!(!self.left.has_guest(name), "{name} is a user");
            }
            match &person.presence {
                Presence::Here(session) => {
                    online += 1;
                    flights_bytes += session.flight_bytes();
                    session.check_invariants(person.mailbox.as_ref());
                    let seat = self.online[name];
                    assert!(seat.id == *id && seat.link == session.link());
                    assert!(!self.left.has_guest(name));
                }
                Presence::Left(at) => {
                    left += 1;
                    assert!(self.left.since(*at, None).any(|entry| entry == (*at, *name)));
                }
                Presence::Never => {}
            }
            assert!(person.mailbox.is_some() || person.session().is_some(), "{name} is nobody");
        }
        assert_eq!((accounts, online), (self.accounts, self.online.len()));
        assert_eq!(left + self.left.guests().count(), self.left.len());
        assert_eq!((count, bytes, flights_bytes), (self.mail_count, self.mail_bytes, self.flights_bytes));
        self.left.check_invariants();
        self.blocks.check_invariants(|id| self.people.contains(id.0 as usize));
        self.shares.check_invariants(|id| self.people.contains(id.0 as usize));
        for (one, other) in &self.privates {
            assert!(self.privates.contains(&(*other, *one)));
            assert!(self.person(*one).is_user_here() && one != other);
        }
    }
}

impl Person {
    fn session(&self) -> Option<&Session> {
        match &self.presence {
            Presence::Here(session) => Some(session),
            Presence::Never | Presence::Left(_) => None,
        }
    }

    fn session_mut(&mut self) -> Option<&mut Session> {
        match &mut self.presence {
            Presence::Here(session) => Some(session),
            Presence::Never | Presence::Left(_) => None,
        }
    }

    fn is_user_here(&self) -> bool {
        self.mailbox.is_some() && self.session().is_some()
    }
}
