//! A guest that talks: carries out what its user types, one command after the other, and tells what the answers
//! are and what others say. A user has files and private links too; who is a guest only to talk has neither.
//!
//! Each command is answered once, in order, as [`News::Answer`]. Those for the server go to it as lines, one at a
//! time; the others (`private`, `register`, ...) are carried out here. What waits does so as bytes, bounded.

mod command;
mod doing;
mod files;
mod hear;
mod login;
mod pace;
mod private;
mod showing;
mod typed;

use std::collections::BTreeSet;
use std::time::Duration;

use crate::proto::accounts::Password;
use crate::proto::ids::{LinkId, Name};
use crate::proto::limits::{BLOCKS_PER_USER_MAX, MAIL_QUIET, SALT_BYTES};
use crate::proto::machine::Os;
use crate::proto::peer::common::Common;
use crate::proto::peer::guest::Asked;
use crate::proto::peer::library::ItemId;
use crate::proto::peer::member::{Member, Stage};
use crate::proto::peer::report::Outcome;
use crate::proto::peer::talk::login::Account;
use crate::proto::peer::talk::pace::Pace;
use crate::proto::peer::talk::showing::Showing;
use crate::proto::peer::talk::typed::Typed;
use crate::proto::peer::{News, Peers};
use crate::proto::time::{Mono, Now};
use crate::proto::wire::{Chat, ErrorCode, Message};

pub(super) use private::Private;

/// How a member talks.
#[derive(Clone, Debug)]
pub struct Talk {
    /// As which user; without one it is a guest, under the name of its configuration.
    pub login: Option<Login>,
    /// Up to which message its user has seen everything; `None`: nothing yet.
    pub seen: Option<Seen>,
    /// Random bytes of which the nonces of its logins are made; other ones in each process.
    pub secret: [u8; 32],
    /// How long a command waits for a server that is gone, before it is refused. A script cannot wait by itself; a
    /// person sees that it is gone, and is told at once.
    pub patience: Duration,
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

/// What a guest that talks keeps.
#[derive(Debug)]
pub(super) struct Talker {
    /// Who it proves to be; `None`: a guest.
    account: Option<Account>,
    typed: Typed,
    /// The command that is under way.
    doing: Option<Doing>,
    showing: Showing,
    pace: Pace,
    /// See [`Talk::patience`].
    patience: Duration,
    /// Why the server is about to close the link.
    goodbye: Option<String>,
    /// A line that waits for the server to be back, and until when all of them do.
    held: Option<String>,
    held_until: Option<Mono>,
    /// Whom its user has blocked in this session, or was told to have blocked before.
    blocked: BTreeSet<Name>,
    /// Messages that waited at the login and have not come yet, and since when none has come.
    waiting: u64,
    quiet_since: Mono,
}

/// A command that is not answered yet.
#[derive(Clone, Debug)]
struct Doing {
    verb: &'static str,
    what: What,
    /// Whom it blocks (true), or does not any more.
    block: Option<(Name, bool)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    /// The server is to answer.
    Asked,
    /// A private link is to open.
    Start(Name),
    /// The other one is to show what was said over that link.
    Say(Name, LinkId),
    /// A file is looked at, then registered.
    Register(ItemId),
    /// The server is to say what a file consists of.
    Download(ItemId),
}

impl Doing {
    /// The server is asked that.
    fn asked(verb: &'static str, message: &Message<'_>, is_user: bool) -> Doing {
        let (mut what, mut block) = (What::Asked, None);
        match message {
            Message::Chat(Chat::StartPrivate { user }) if is_user => {
                what = user.parse().map_or(What::Asked, What::Start);
            }
            Message::Chat(Chat::Block { user }) => block = user.parse().ok().map(|user| (user, true)),
            Message::Chat(Chat::Unblock { user }) => block = user.parse().ok().map(|user| (user, false)),
            _ => {}
        }
        Doing { verb, what, block }
    }
}

impl Talker {
    pub(super) fn new(talk: Talk) -> Talker {
        let showing = Showing::new(talk.seen);
        let account = talk.login.map(|login| Account::new(login, talk.secret));
        Talker {
            account,
            typed: Typed::default(),
            doing: None,
            showing,
            pace: Pace::default(),
            patience: talk.patience,
            goodbye: None,
            held: None,
            held_until: None,
            blocked: BTreeSet::new(),
            waiting: 0,
            quiet_since: Mono(0),
        }
    }

    /// Whom its user has blocked, as far as this session knows.
    pub(super) fn blocked(&self) -> &BTreeSet<Name> {
        &self.blocked
    }

    pub(super) fn is_user(&self) -> bool {
        self.account.is_some()
    }

    pub(super) fn show(&mut self, news: News) {
        self.showing.push(news, None);
    }

    /// The command that is under way is done, or will never be.
    fn answer(&mut self, result: Result<String, (ErrorCode, String)>) {
        if let Some(Doing { verb, block, .. }) = self.doing.take() {
            if let Some((user, blocks)) = block {
                self.note_block(user, blocks, result.as_ref().map(|_| ()).map_err(|(code, _)| *code));
            }
            self.show(News::Answer { verb, result });
        }
    }

    fn note_block(&mut self, user: Name, blocks: bool, result: Result<(), ErrorCode>) {
        match (blocks, result) {
            (true, Ok(()) | Err(ErrorCode::AlreadyBlocked)) if self.blocked.len() < BLOCKS_PER_USER_MAX => {
                self.blocked.insert(user);
            }
            (false, Ok(()) | Err(ErrorCode::NotBlocked)) => drop(self.blocked.remove(&user)),
            _ => {}
        }
    }

    fn next_line(&mut self) -> Option<Result<String, (ErrorCode, String)>> {
        let line = self.held.take().map(Ok).or_else(|| self.typed.next());
        if line.is_none() {
            // What is typed from now on waits anew.
            self.held_until = None;
        }
        line
    }

    /// The number of the first line that waits, that for the server included.
    fn undone_line(&self) -> Option<u64> {
        self.held.as_ref().map(|_| self.typed.line()).or_else(|| self.typed.waiting_line())
    }

    fn refuse(&mut self, code: ErrorCode, text: &str) {
        self.answer(Err((code, text.to_owned())));
    }

    fn is_doing(&self, what: &What) -> bool {
        self.doing.as_ref().is_some_and(|doing| doing.what == *what)
    }
}

impl Peers {
    /// Takes the oldest of what there is to show, which is bounded. It counts as shown when this is called again, so
    /// to the end: a moment later the server is told so of messages, and the other side of what came over private links.
    pub fn take_news(&mut self) -> Option<News> {
        self.members.first_mut().and_then(Member::talker)?.showing.take()
    }

    /// Bytes of [`Input::Typed`](crate::proto::machine::Input::Typed) that there is room for. Lines beyond that are
    /// refused; with nothing waiting it is enough for the longest line.
    pub fn typed_room(&self) -> usize {
        let guest = self.members.first().and_then(|member| member.guest.as_ref());
        guest.and_then(|guest| guest.talker.as_ref()).map_or(0, |talker| talker.typed.room())
    }

    /// The number, from 1, of the first line of [`Input::Typed`](crate::proto::machine::Input::Typed) that says something and was
    /// not begun with: at the end nobody does it any more.
    pub fn undone_line(&self) -> Option<u64> {
        let guest = self.members.first().and_then(|member| member.guest.as_ref());
        guest.and_then(|guest| guest.talker.as_ref()).and_then(|talker| talker.undone_line())
    }
}

impl Member {
    pub(super) fn talker(&mut self) -> Option<&mut Talker> {
        self.guest.as_mut()?.talker.as_deref_mut()
    }

    /// See [`Talker::blocked`].
    pub(super) fn has_blocked(&self, user: &Name) -> bool {
        let talker = self.guest.as_ref().and_then(|guest| guest.talker.as_ref());
        talker.is_some_and(|talker| talker.blocked.contains(user))
    }

    pub(super) fn talks(&self) -> bool {
        self.guest.as_ref().is_some_and(|guest| guest.talker.is_some())
    }

    pub(super) fn on_typed(&mut self, bytes: &[u8]) {
        if let Some(talker) = self.talker() {
            talker.typed.push(bytes);
        }
    }

    pub(super) fn on_typed_end(&mut self) {
        if let Some(talker) = self.talker() {
            talker.typed.end();
        }
    }

    /// Nothing more will be typed, and everything is answered.
    fn leave_if_over(&mut self, common: &mut Common, now: Now, os: &mut dyn Os) {
        let downloads = self.is_downloading();
        let link = self.contact.joined();
        let Some(guest) = &mut self.guest else { return };
        let Some(talker) = &mut guest.talker else { return };
        if !talker.typed.is_over() || downloads || self.stage != Stage::Sharing {
            return;
        }
        let quiet_until = talker.quiet_since + MAIL_QUIET;
        if talker.waiting > 0 && link.is_some() && now.mono < quiet_until {
            // Mail that waited is on its way.
            self.look_again(quiet_until, common);
            return;
        }
        match link {
            // What was shown, or is to be, is acknowledged first.
            Some(_) if talker.showing.is_owing() => {}
            Some(link) => {
                // The answer to this one is nobody's command.
                talker.doing = Some(Doing { verb: "", what: What::Asked, block: None });
                guest.asked.push_back(Asked::Farewell);
                self.end_privates(common, os);
                common.send(link, &Message::Chat(Chat::Logout), os);
            }
            None => self.leave("the server is gone", common, os),
        }
    }

    /// The end, as it should be.
    fn leave(&mut self, why: &str, common: &mut Common, os: &mut dyn Os) {
        self.outcome = Outcome::Complete;
        self.end_privates(common, os);
        self.end(why, common, os);
    }

    /// Nothing more happens: nobody is left waiting for an answer.
    pub(super) fn end_talk(&mut self, farewell: &str, common: &mut Common, os: &mut dyn Os) {
        if !self.talks() {
            return;
        }
        self.end_privates(common, os);
        let why = match &self.outcome {
            Outcome::Failed(why) => why.clone(),
            _ => farewell.to_owned(),
        };
        let Some(talker) = self.talker() else { return };
        if talker.doing.as_ref().is_some_and(|doing| !doing.verb.is_empty()) {
            talker
                .refuse(ErrorCode::ServerLost, "the session has ended; it is not known whether it was done");
        }
        talker.show(News::Ended { why });
    }
}
