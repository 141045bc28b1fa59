//! Those who talk to each other over the server: which link is whose, and what their lines lead to. What is
//! allowed, and where a message goes, is decided in [`proto::chat`](crate::proto::chat); here it is carried out.
//!
//! One line of a link is handled at a time. If its answer has to wait, for the store or until its sender may
//! say more, what comes behind it on the same link waits too, as it came: so answers never change
//! their order, and nobody else notices. Lists go out in one piece with their `OK`.

mod apart;
mod book;
mod comings;
mod crier;
mod doubts;
mod holdings;
mod landing;
mod lists;
mod login;
mod mail;
mod private;
mod say;

use std::time::Duration;

use crate::proto::chat::{self, Reader};
use crate::proto::ids::{LinkId, Name};
use crate::proto::limits::{BACKLOG_BYTES_MAX, REGISTER_BACKLOG_BYTES_MAX};
use crate::proto::machine::Os;
use crate::proto::server::directory::{Refusal, refuse};
use crate::proto::server::{Server, Timer};
use crate::proto::time::Now;
use crate::proto::wire::{Chat as Line, ErrorCode, Message};

pub(super) use book::Book;
pub(super) use crier::Comings;
pub(super) use doubts::Doubt;
pub(super) use holdings::{FileWord, Registering};
pub(super) use landing::Landings;
pub(super) use login::Logins;
use login::Proof;
pub(super) use mail::Awaited;
pub(super) use say::Said;

/// How people may talk to each other.
#[derive(Clone, Debug)]
pub struct TalkConfig {
    /// Who may talk without an account.
    pub guests: LetIn,
    /// How long somebody may issue no command.
    pub idle_timeout: Duration,
    /// How long a name is blocked after three wrong passwords in a row.
    pub block_duration: Duration,
    /// What is shown of names that there are not; the same as long as the accounts are.
    pub accounts_secret: [u8; 32],
}

/// Who is let in without proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LetIn {
    /// Everybody.
    All,
    /// Who is on the server's own host.
    Loopback,
    /// Nobody.
    None,
}

/// Everybody may talk: for tests, and where there are no accounts.
impl Default for TalkConfig {
    fn default() -> TalkConfig {
        let (idle_timeout, block_duration) = (Duration::from_secs(600), Duration::from_secs(60));
        TalkConfig { guests: LetIn::All, idle_timeout, block_duration, accounts_secret: [0; 32] }
    }
}

/// What the server keeps of a link for messages.
#[derive(Debug)]
pub(in crate::proto::server) struct Talker {
    /// Who it is, if it talks.
    pub(super) name: Option<Name>,
    reader: Reader,
    /// The number of the last message that was given to the link.
    given: u64,
    /// Its own coming among all comings and goings: it is told of those behind it.
    came: u64,
    hold: Option<Box<Hold>>,
    /// A login that waits for the client's proof.
    proof: Option<Box<Proof>>,
    /// It has waited for a look at the accounts: the login that comes next goes by it.
    has_looked: bool,
}

/// Lines that wait.
#[derive(Debug)]
struct Hold {
    until: Until,
    /// What has come in since, as it came.
    backlog: Vec<u8>,
}

/// What lines wait for.
#[derive(Debug)]
pub(in crate::proto::server) enum Until {
    /// The store has answered.
    Stored,
    /// The store has what a user holds of a file; more of that kind may have been sent meanwhile.
    Registered,
    /// A password is hashed.
    Derived,
    /// The accounts were looked at; what waits begins with the login itself.
    Looked,
    /// The driver has said how it stands.
    Measured,
    /// It is time for what was said in front of them.
    Turn(Said),
}

impl Default for Talker {
    fn default() -> Talker {
        Talker {
            name: None,
            reader: Reader::Plain,
            given: 0,
            came: 0,
            hold: None,
            proof: None,
            has_looked: false,
        }
    }
}

impl Talker {
    pub(super) fn is_held(&self) -> bool {
        self.hold.is_some()
    }
}

impl Server {
    /// A line of the messenger.
    pub(super) fn on_chat(
        &mut self,
        link: LinkId,
        line: &Line<'_>,
        now: Now,
        os: &mut dyn Os,
    ) -> Result<(), Refusal> {
        if matches!(line, Line::Login { .. } | Line::Auth { .. }) && self.wait_for_look(link, line, now, os) {
            return Ok(());
        }
        match *line {
            Line::Login { name, password } => self.on_login(link, name, password.0, now, os),
            Line::Auth { port, text } => self.on_auth(link, port, text, now, os),
            Line::AuthMore { text } => self.on_proof(link, text, now, os),
            Line::Send { to, text } => {
                let to = to.parse().map_err(|_| told(chat::Refusal::Unknown));
                self.talker_of(link).and(to).and_then(|to| self.on_said(link, Some(to), text, now, os))
            }
            Line::Broadcast { text } => self.on_said(link, None, text, now, os),
            Line::WhoElse { after } => self.on_whoelse(link, after, os),
            Line::WhoElseSince { seconds, after } => self.on_whoelsesince(link, seconds, after, now, os),
            Line::Block { user } => self.on_block(link, user, true, os),
            Line::Unblock { user } => self.on_block(link, user, false, os),
            Line::Logout => self.on_logout(link, now, os),
            Line::Ack { number } => self.on_ack(link, number, os),
            Line::AskStatus => self.on_status(link, os),
            Line::StartPrivate { user } => self.on_start_private(link, user, now, os),
            Line::StopPrivate { user } => self.on_stop_private(link, user, os),
            Line::PrivateReady | Line::PrivateOver => {
                refuse(ErrorCode::BadArgument, "the name of a user is missing")
            }
            Line::PrivateText { .. } => {
                let text =
                    "what is said over a private link does not go over the server; run: tickmesh console";
                refuse(ErrorCode::BadArgument, text)
            }
            ref other => refuse(ErrorCode::OutOfPlace, format!("{} is not said to a server", other.verb())),
        }
    }

    /// Who talks over a link.
    fn talker_of(&self, link: LinkId) -> Result<Name, Refusal> {
        let name = self.sessions.get(link).and_then(|session| session.talker.name);
        name.ok_or_else(|| told(chat::Refusal::NotLoggedIn))
    }

    fn talker_mut(&mut self, link: LinkId) -> Option<&mut Talker> {
        self.sessions.get_mut(link).map(|session| &mut session.talker)
    }

    /// Sends the same line to many.
    fn tell_all(&mut self, links: impl IntoIterator<Item = LinkId>, line: Line<'_>, os: &mut dyn Os) {
        self.scratch.clear();
        Message::Chat(line).encode(&mut self.scratch);
        for link in links {
            os.perform(crate::proto::machine::Effect::Send { link, bytes: &self.scratch });
        }
    }

    // --- Lines that wait ----------------------------------------------------------------------

    pub(in crate::proto::server) fn hold(&mut self, link: LinkId, until: Until) {
        if let Some(talker) = self.talker_mut(link) {
            debug_assert!(talker.hold.is_none(), "one line is handled at a time");
            talker.hold = Some(Box::new(Hold { until, backlog: Vec::new() }));
        }
    }

    /// Puts a login off until the accounts were looked at, once.
    fn wait_for_look(&mut self, link: LinkId, line: &Line<'_>, now: Now, os: &mut dyn Os) -> bool {
        let has_looked = self.talker_mut(link).is_some_and(|talker| std::mem::take(&mut talker.has_looked));
        if has_looked || !self.must_look(now) {
            return false;
        }
        self.hold(link, Until::Looked);
        if let Some(hold) = self.talker_mut(link).and_then(|talker| talker.hold.as_mut()) {
            Message::Chat(*line).encode(&mut hold.backlog);
        }
        self.look_for(link, now, os);
        true
    }

    /// Keeps what has come in, if something in front of it waits. A link on which too much waits is closed.
    pub(super) fn put_off(&mut self, link: LinkId, bytes: &[u8], now: Now, os: &mut dyn Os) -> bool {
        let Some(hold) = self.talker_mut(link).and_then(|talker| talker.hold.as_mut()) else { return false };
        hold.backlog.extend_from_slice(bytes);
        let bytes_max = match hold.until {
            Until::Registered => REGISTER_BACKLOG_BYTES_MAX,
            Until::Stored | Until::Derived | Until::Looked | Until::Measured | Until::Turn(_) => {
                BACKLOG_BYTES_MAX
            }
        };
        if hold.backlog.len() > bytes_max {
            self.status.links_too_fast += 1;
            self.expel(link, ErrorCode::TooFast, "too much was said while earlier lines waited", now, os);
        }
        true
    }

    /// What was waited for is there: goes on with what has come in since.
    pub(in crate::proto::server) fn go_on(&mut self, link: LinkId, now: Now, os: &mut dyn Os) {
        let Some(hold) = self.talker_mut(link).and_then(|talker| talker.hold.take()) else { return };
        let Hold { until, backlog } = *hold;
        if let (Until::Looked, Some(talker)) = (&until, self.talker_mut(link)) {
            talker.has_looked = true;
        }
        if let Until::Turn(said) = until
            && let Err((code, text)) = self.say(link, said.to, &said.text, now, os)
        {
            self.complain(link, code, &text, now, os);
        }
        self.feed(link, &backlog, now.wall, now, os);
    }

    /// It is time for what somebody said too soon.
    pub(super) fn on_turn(&mut self, link: LinkId, now: Now, os: &mut dyn Os) {
        self.go_on(link, now, os);
    }

    fn hold_until_turn(&mut self, link: LinkId, at: crate::proto::time::Mono, said: Said) {
        self.hold(link, Until::Turn(said));
        self.wheel.insert(Timer::Turn(link), at);
    }

    pub(super) fn check_chat(&self) {
        self.chat.check_invariants();
        let mut talkers = 0;
        for (link, session) in self.sessions.iter() {
            if let Some(name) = session.talker.name {
                talkers += 1;
                assert_eq!(self.chat.link_of(&name), Some(link), "who talks is online");
            }
        }
        assert_eq!(talkers, self.chat.online());
    }
}

/// A refusal as it is answered.
pub(super) fn told(refusal: chat::Refusal) -> Refusal {
    use chat::Refusal as Why;
    let code = match refusal {
        Why::NotLoggedIn => ErrorCode::NotLoggedIn,
        Why::Unknown => ErrorCode::UnknownUser,
        Why::Offline => ErrorCode::Offline,
        Why::Yourself => ErrorCode::Yourself,
        Why::EmptyText => ErrorCode::EmptyText,
        Why::TextTooLong => ErrorCode::TextTooLong,
        Why::BlockedYou => ErrorCode::BlockedYou,
        Why::YouBlocked => ErrorCode::YouBlocked,
        Why::MailboxFull | Why::ShareFull => ErrorCode::MailboxFull,
        Why::TooFast => ErrorCode::TooFast,
        Why::AlreadyOnline => ErrorCode::AlreadyOnline,
        Why::IsAccount => ErrorCode::IdTaken,
        Why::AlreadyBlocked => ErrorCode::AlreadyBlocked,
        Why::NotBlocked => ErrorCode::NotBlocked,
        Why::GuestsCannot => ErrorCode::GuestsCannot,
        Why::NoPrivate => ErrorCode::NoPrivate,
        Why::NeverSent => ErrorCode::NeverSent,
        Why::PostFull
        | Why::TooManyOnline
        | Why::TooManyAccounts
        | Why::TooManyBlocks
        | Why::BlocksFull
        | Why::TooManyPrivates => ErrorCode::LimitReached,
    };
    (code, refusal.to_string())
}

/// Whether an error is an answer that people get who keep to the rules.
pub(super) fn is_answer(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::UnknownUser
            | ErrorCode::Offline
            | ErrorCode::Yourself
            | ErrorCode::EmptyText
            | ErrorCode::TextTooLong
            | ErrorCode::BlockedYou
            | ErrorCode::YouBlocked
            | ErrorCode::MailboxFull
            | ErrorCode::AlreadyBlocked
            | ErrorCode::NotBlocked
            | ErrorCode::GuestsCannot
            | ErrorCode::NotReachable
            | ErrorCode::NoPrivate
            | ErrorCode::LocalDisk
    )
}
