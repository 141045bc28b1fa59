//! What was typed is carried out here, one line after the other: each when the last is answered, and when the server may
//! be told something more. What a command does is elsewhere.

use crate::proto::limits::SHOWN_PAUSE;
use crate::proto::machine::Os;
use crate::proto::peer::common::{Common, Timer};
use crate::proto::peer::guest::Asked;
use crate::proto::peer::member::Member;
use crate::proto::peer::talk::command::{self, Command};
use crate::proto::peer::talk::{Doing, Talker, What};
use crate::proto::time::{Mono, Now};
use crate::proto::wire::{Chat, ErrorCode, Message};

impl Member {
    /// After everything that happened: says what was shown, and goes on with what was typed.
    pub(in crate::proto::peer) fn tend_talk(&mut self, common: &mut Common, now: Now, os: &mut dyn Os) {
        if !self.talks() || self.is_ended() {
            return;
        }
        self.confirm(common, now, os);
        while self.talker().is_some_and(|talker| talker.doing.is_none()) && !self.is_ended() {
            if self.contacts_made == 0 {
                break; // The first login comes before everything.
            }
            if let Some(at) = self.free_at(common, now) {
                self.look_again(at, common);
                break;
            }
            let Some(line) = self.talker().and_then(Talker::next_line) else {
                self.leave_if_over(common, now, os);
                break;
            };
            if self.waits_for_server(&line, common, now) {
                break;
            }
            self.carry_out(&line, common, now, os);
        }
        self.break_if_full(common, now, os);
        let is_due = self.talker().is_some_and(|talker| talker.showing.is_owing());
        if is_due && !self.is_ended() {
            self.look_again(now.mono + SHOWN_PAUSE, common);
        }
    }

    /// See [`Timer::Shown`].
    pub(super) fn look_again(&self, at: Mono, common: &mut Common) {
        let timer = Timer::Shown(self.index);
        if common.wheel.deadline(&timer).is_none_or(|deadline| deadline > at) {
            common.wheel.insert(timer, at);
        }
    }

    /// When the server may be told something more, if not now.
    pub(super) fn free_at(&mut self, common: &Common, now: Now) -> Option<Mono> {
        let session = common.sessions.get(self.contact.joined()?)?;
        let pace = &mut self.talker()?.pace;
        pace.note(session.said, now.mono);
        pace.free_at(now.mono)
    }

    /// Keeps a line that is for the server until that is back, but not for ever.
    fn waits_for_server(
        &mut self,
        line: &Result<String, (ErrorCode, String)>,
        common: &mut Common,
        now: Now,
    ) -> bool {
        let Some(line) = line.as_ref().ok().filter(|_| self.contact.joined().is_none()) else { return false };
        let is_for_server = match command::parse(line).1 {
            Ok(Command::Ask(_) | Command::Register { .. }) => true,
            // What it consists of is known.
            Ok(Command::Download { file, .. }) => {
                let item = self.library.find(file.as_str());
                item.is_none_or(|item| self.library.at(item).manifest.is_none())
            }
            _ => false,
        };
        let Some(talker) = self.talker().filter(|talker| is_for_server && !talker.patience.is_zero()) else {
            return false;
        };
        let until = *talker.held_until.get_or_insert(now.mono + talker.patience);
        if now.mono >= until {
            return false;
        }
        talker.held = Some(line.clone());
        self.look_again(until, common);
        true
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
        talker.doing = Some(Doing { verb, what: What::Asked, block: None });
        let is_user = talker.is_user();
        match (command, link) {
            (Err((code, text)), _) => talker.refuse(code, &text),
            (Ok(Command::Ask(message)), Some(link)) => {
                talker.doing = Some(Doing::asked(verb, &message, is_user));
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
}
