//! A guest that talks: carries out what its user types, one command after the other, and tells what the answers
//! are and what others say. A user has files and private links too; who is a guest only to talk has neither.
//!
//! Each command is answered once, in order, as [`News::Answer`]. Those for the server go to it as lines, one at a
//! time; the others (`private`, `register`, ...) are carried out here. What waits does so as bytes, bounded.

mod command;
mod files;
mod hear;
mod login;
mod private;
mod showing;
mod typed;

use crate::proto::accounts::Password;
use crate::proto::ids::{LinkId, Name};
use crate::proto::limits::{MAIL_QUIET, SALT_BYTES, SHOWN_PAUSE};
use crate::proto::machine::Os;
use crate::proto::peer::common::{Common, Timer};
use crate::proto::peer::guest::Asked;
use crate::proto::peer::library::ItemId;
use crate::proto::peer::member::{Member, Stage};
use crate::proto::peer::report::Outcome;
use crate::proto::peer::talk::command::Command;
use crate::proto::peer::talk::login::Account;
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
    /// Messages that waited at the login and have not come yet, and since when none has come.
    waiting: u64,
    quiet_since: Mono,
}

/// A command that is not answered yet.
#[derive(Clone, Debug)]
struct Doing {
    verb: &'static str,
    what: What,
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

impl Talker {
    pub(super) fn new(talk: Talk) -> Talker {
        let showing = Showing::new(talk.seen);
        let account = talk.login.map(|login| Account::new(login, talk.secret));
        let (typed, quiet_since) = (Typed::default(), Mono(0));
        Talker { account, typed, doing: None, showing, waiting: 0, quiet_since }
    }

    pub(super) fn is_user(&self) -> bool {
        self.account.is_some()
    }

    pub(super) fn show(&mut self, news: News) {
        self.showing.push(news, None);
    }

    /// The command that is under way is done, or will never be.
    fn answer(&mut self, result: Result<String, (ErrorCode, String)>) {
        if let Some(doing) = self.doing.take() {
            self.show(News::Answer { verb: doing.verb, result });
        }
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
}

impl Member {
    pub(super) fn talker(&mut self) -> Option<&mut Talker> {
        self.guest.as_mut()?.talker.as_deref_mut()
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

    /// After everything that happened: says what was shown, and goes on with what was typed.
    pub(super) fn tend_talk(&mut self, common: &mut Common, now: Now, os: &mut dyn Os) {
        if !self.talks() || self.is_ended() {
            return;
        }
        self.confirm(common, os);
        while self.talker().is_some_and(|talker| talker.doing.is_none()) && !self.is_ended() {
            if self.contacts_made == 0 {
                break; // The first login comes before everything.
            }
            let Some(line) = self.talker().and_then(|talker| talker.typed.next()) else {
                self.leave_if_over(common, now, os);
                break;
            };
            self.carry_out(&line, common, now, os);
        }
        self.break_if_full(common, now, os);
        let timer = Timer::Shown(self.index);
        let is_due = self.talker().is_some_and(|talker| talker.showing.is_owing());
        if is_due && !self.is_ended() && common.wheel.deadline(&timer).is_none() {
            common.wheel.insert(timer, now.mono + SHOWN_PAUSE);
        }
    }

    /// A line that was typed; an error if it was too much.
    fn carry_out(
        &mut self,
        line: &Result<String, (ErrorCode, String)>,
        common: &mut Common,
        now: Now,
        os: &mut dyn Os,
    ) {
        let (verb, command) = match line {
            Ok(line) if line.trim_end().is_empty() => return,
            Ok(line) => command::parse(line),
            Err(refusal) => ("", Err(refusal.clone())),
        };
        let link = self.contact.joined();
        let Some(guest) = &mut self.guest else { return };
        let Some(talker) = &mut guest.talker else { return };
        talker.doing = Some(Doing { verb, what: What::Asked });
        let is_user = talker.is_user();
        match (command, link) {
            (Err((code, text)), _) => talker.refuse(code, &text),
            (Ok(Command::Ask(message)), Some(link)) => {
                if let Message::Chat(Chat::StartPrivate { user }) = message
                    && let Ok(user) = user.parse()
                    && is_user
                {
                    talker.doing = Some(Doing { verb, what: What::Start(user) });
                }
                guest.asked.push_back(Asked::Command);
                common.send(link, &message, os);
            }
            (Ok(Command::Logout), None) => {
                talker.answer(Ok(String::new()));
                self.leave("logged out", common, os);
            }
            (Ok(Command::Logout), Some(link)) => {
                guest.asked.push_back(Asked::Command);
                self.end_privates(common, os);
                common.send(link, &Message::Chat(Chat::Logout), os);
            }
            (Ok(Command::Ask(_)), None) => {
                talker.refuse(ErrorCode::ServerLost, "the server is gone; trying to reach it again");
            }
            (Ok(_), _) if !is_user => {
                let text = "guests have no files and no private links; log in as a user";
                talker.refuse(ErrorCode::GuestsCannot, text);
            }
            (Ok(Command::Private { to, text }), _) => self.say_private((to, text), common, now, os),
            (Ok(Command::StopPrivate { user }), _) => self.stop_private(user, common, now, os),
            (Ok(Command::Register { file, chunks }), _) => self.type_register(file, chunks, common, os),
            (Ok(Command::Download { file, chunk }), _) => self.type_download(&file, chunk, common, now, os),
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
            common.wheel.insert(Timer::Shown(self.index), quiet_until);
            return;
        }
        match link {
            // What was shown, or is to be, is acknowledged first.
            Some(_) if talker.showing.is_owing() => {}
            Some(link) => {
                // The answer to this one is nobody's command.
                talker.doing = Some(Doing { verb: "", what: What::Asked });
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
