//! Who comes to talk and who goes, and who is told so. Checks no password.

use crate::proto::chat::Gone;
use crate::proto::ids::{LinkId, Name};
use crate::proto::limits::GUESTS_GONE_MAX;
use crate::proto::machine::{CloseReason, Os, counted_address};
use crate::proto::server::chat::LetIn;
use crate::proto::server::chat::crier::Coming;
use crate::proto::server::directory::{Refusal, refuse};
use crate::proto::server::session::Session;
use crate::proto::server::{Limit, Server, Timer};
use crate::proto::time::{Mono, Now, Period};
use crate::proto::wire::{Chat as Line, Departure, ErrorCode, Message, SILENT_WHY};

impl Server {
    /// Whether a guest may come under that name, from there, and talk.
    pub(in crate::proto::server) fn check_guest(
        &self,
        link: LinkId,
        name: Option<Name>,
        talks: bool,
    ) -> Result<(), Refusal> {
        let is_near = self.sessions.get(link).is_some_and(Session::is_near);
        let is_in = match self.config.talk.guests {
            LetIn::All => true,
            LetIn::Loopback => is_near,
            LetIn::None => false,
        };
        if talks && !is_in {
            return refuse(ErrorCode::NotAllowed, "this server lets no guests in from there; log in");
        }
        match name.and_then(|name| self.accounts.looks_like(name)) {
            Some(other) => {
                refuse(ErrorCode::IdTaken, format!("{other} is a user of this server; take another name"))
            }
            None => Ok(()),
        }
    }

    /// A guest has come to talk.
    pub(in crate::proto::server) fn enter_guest(
        &mut self,
        link: LinkId,
        name: Name,
        now: Now,
        os: &mut dyn Os,
    ) {
        let remote = self.sessions.get(link).map(|session| session.remote.ip());
        let paid_until =
            remote.and_then(|ip| self.logins.debts.get(&counted_address(ip))).copied().unwrap_or(Mono(0));
        match self.chat.login_guest(name, link, paid_until, now.mono) {
            Ok(told) => {
                let coming = Coming { name, link: Some(link), untold: told.untold().collect() };
                self.seat_talker(link, name, now);
                self.tell_coming(coming, now, os);
            }
            // The names were compared before, so this is a bound; it still may have files.
            Err(refusal) => log::warn!("guest does not talk id={name} why=\"{refusal}\""),
        }
    }

    pub(super) fn seat_talker(&mut self, link: LinkId, name: Name, now: Now) {
        let came = self.comings.count;
        if let Some(talker) = self.talker_mut(link) {
            (talker.name, talker.came) = (Some(name), came);
        }
        self.wheel.insert(Timer::Idle(link), now.mono + self.config.talk.idle_timeout);
    }

    /// Somebody who talks has issued a command.
    pub(in crate::proto::server) fn note_command(&mut self, link: LinkId, now: Now) {
        if let Some(name) = self.sessions.get(link).and_then(|session| session.talker.name) {
            self.chat.on_command(&name, now.mono);
        }
    }

    pub(super) fn on_logout(&mut self, link: LinkId, now: Now, os: &mut dyn Os) -> Result<(), Refusal> {
        self.talker_of(link)?;
        self.send(link, &Message::Chat(Line::OkLogout), os);
        self.depart(link, Departure::Complete, now, os);
        Ok(())
    }

    /// The link goes, or does not talk any more; the others are told.
    pub(in crate::proto::server) fn leave_chat(&mut self, link: LinkId, now: Now, os: &mut dyn Os) {
        self.wheel.cancel(&Timer::Idle(link));
        self.wheel.cancel(&Timer::Turn(link));
        self.wheel.cancel(&Timer::Mail(link));
        let Some(talker) = self.talker_mut(link) else { return };
        talker.hold = None;
        let Some(name) = talker.name.take() else { return };
        let gone = self.chat.logout(&name, now.mono).map(left);
        let left = gone.expect("who talks is online");
        self.see_off(name, left, now, os);
    }

    /// A guest who has gone may come back under another name: how fast it has talked is remembered by its address.
    fn note_debt(&mut self, left: &Left, now: Now) {
        let session = self.sessions.get(left.link);
        let Some((session, paid_until)) = session.zip(left.guest_paid_until) else { return };
        if paid_until <= now.mono {
            return;
        }
        let debts = &mut self.logins.debts;
        if debts.len() >= GUESTS_GONE_MAX {
            // They last some seconds.
            debts.retain(|_, until| *until > now.mono);
        }
        if debts.len() < GUESTS_GONE_MAX {
            let debt = debts.entry(counted_address(session.remote.ip())).or_insert(paid_until);
            *debt = paid_until.max(*debt);
        }
    }

    pub(super) fn see_off(&mut self, name: Name, left: Left, now: Now, os: &mut dyn Os) {
        self.note_debt(&left, now);
        self.keep(name, left.keep, os);
        self.tell_coming(Coming { name, link: None, untold: left.untold }, now, os);
    }

    /// Somebody may have said nothing for too long.
    pub(in crate::proto::server) fn on_idle_check(&mut self, link: LinkId, now: Now, os: &mut dyn Os) {
        let Some(name) = self.sessions.get(link).and_then(|session| session.talker.name) else { return };
        match self.chat.idle_at(&name) {
            Some(at) if at > now.mono => drop(self.wheel.insert(Timer::Idle(link), at)),
            _ => {
                let why = format!("{SILENT_WHY} {}", Period(self.config.talk.idle_timeout));
                log::info!("talker silent name={name}");
                self.status.hit(Limit::Idle);
                self.send_away_talker(link, &why, CloseReason::Silent, now, os);
            }
        }
    }

    /// Ends somebody's session with a word.
    pub(super) fn send_away_talker(
        &mut self,
        link: LinkId,
        why: &str,
        reason: CloseReason,
        now: Now,
        os: &mut dyn Os,
    ) {
        self.stop_privates(link, os);
        self.send(link, &Message::Bye { why }, os);
        self.dismiss(link);
        self.close(link, reason, now, os);
    }
}

/// What is to be done when somebody has gone.
pub(super) struct Left {
    pub(super) link: LinkId,
    untold: Vec<LinkId>,
    keep: Vec<crate::proto::chat::Keep>,
    guest_paid_until: Option<Mono>,
}

/// The same, without borrowing the book.
pub(super) fn left(gone: Gone<'_>) -> Left {
    let Gone { link, told, keep, guest_paid_until } = gone;
    Left { link, untold: told.untold().collect(), keep, guest_paid_until }
}
