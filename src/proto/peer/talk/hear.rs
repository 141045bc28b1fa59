//! What the server says to a member that talks: answers to what was typed, and what others say.

use crate::proto::machine::{CloseReason, Os};
use crate::proto::peer::News;
use crate::proto::peer::common::Common;
use crate::proto::peer::guest::Asked;
use crate::proto::peer::member::{Contact, Member};
use crate::proto::peer::talk::What;
use crate::proto::time::Now;
use crate::proto::wire::{Chat, ErrorCode, Message, SILENT_WHY};

impl Member {
    /// A line of the messenger.
    pub(in crate::proto::peer) fn on_chat_line(
        &mut self,
        line: &Chat<'_>,
        common: &mut Common,
        now: Now,
        os: &mut dyn Os,
    ) {
        match (self.contact, *line) {
            (Contact::Joining(_), Chat::OkAuth { text }) => self.on_challenge(text, common, now, os),
            (Contact::Joining(_), Chat::OkLogin { name, waiting, text }) => {
                self.on_logged_in((name, waiting), text.unwrap_or(""), common, now, os);
            }
            (Contact::Joined(_), Chat::OkStartPrivate { user, addr, ticket }) => {
                self.take_asked();
                self.on_private_granted((user, addr, ticket), common, now, os);
            }
            (Contact::Joined(_), Chat::Private { user, addr, ticket }) => {
                self.on_private_asked((user, addr, ticket), common, now, os);
            }
            (Contact::Joined(_), Chat::PrivateStopped { user }) => {
                self.on_private_stopped(user, common, now, os);
            }
            (Contact::Joined(_), Chat::OkStopPrivate { .. }) => self.take_farewell(),
            (Contact::Joined(_), Chat::OkLogout) => self.on_logged_out(common, os),
            (Contact::Joined(_), ref said) => self.on_said(said, now),
            _ => log::warn!("server said something out of place verb=\"{}\"", line.verb()),
        }
    }

    fn on_said(&mut self, line: &Chat<'_>, now: Now) {
        let Some(talker) = self.talker() else { return };
        let text_of = str::to_owned;
        let news = match *line {
            Chat::User { name } => {
                talker.pace.note_listed();
                News::Item { line: format!("USER {name}") }
            }
            Chat::Online { name } => News::Online { name },
            Chat::Offline { name } => News::Offline { name },
            Chat::BroadcastFrom { from, text } => News::Broadcast { from, text: text_of(text) },
            Chat::Message { from, text } => {
                News::Message { number: 0, at: now.wall, from, text: text_of(text), seen: None }
            }
            Chat::Mail { number, at, from, text } => {
                talker.waiting = talker.waiting.saturating_sub(1);
                talker.quiet_since = now.mono;
                let seen = talker.showing.on_number(number);
                if seen.is_none() {
                    return;
                }
                News::Message { number, at, from, text: text_of(text), seen }
            }
            ref other => return log::warn!("server said something out of place verb=\"{}\"", other.verb()),
        };
        talker.show(news);
    }

    /// The oldest question that the server has not answered, if it was what a user typed.
    fn take_asked(&mut self) -> bool {
        let Some(guest) = &mut self.guest else { return false };
        let is_command = guest.asked.front() == Some(&Asked::Command);
        if is_command {
            guest.asked.pop_front();
        }
        is_command
    }

    fn take_farewell(&mut self) {
        if let Some(guest) = self.guest.as_mut().filter(|guest| guest.asked.front() == Some(&Asked::Farewell))
        {
            guest.asked.pop_front();
        }
    }

    /// An `OK` to what a user typed, as it came. Returns whether it was one.
    pub(in crate::proto::peer) fn on_ok(&mut self, line: &[u8]) -> bool {
        let Some(talker) = self.talker() else { return false };
        let Some(doing) = talker.doing.as_ref().filter(|doing| doing.what == What::Asked) else {
            return false;
        };
        let text = std::str::from_utf8(line).ok().and_then(|line| line.strip_prefix("OK "));
        let rest = text.and_then(|text| text.strip_prefix(doing.verb));
        let rest = rest.filter(|rest| rest.is_empty() || rest.starts_with(' ')).map(str::trim_start);
        let Some(rest) = rest.filter(|_| doing.verb != "logout" && !doing.verb.is_empty()) else {
            return false;
        };
        let answer = rest.to_owned();
        if !self.take_asked() {
            return false;
        }
        if let Some(talker) = self.talker() {
            talker.answer(Ok(answer));
        }
        true
    }

    /// An item of the answer to a search.
    pub(in crate::proto::peer) fn show_item(&mut self, item: &Message<'_>) {
        let mut line = Vec::new();
        item.encode(&mut line);
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        if let Some(talker) = self.talker() {
            talker.show(News::Item { line });
        }
    }

    /// The server refuses what a user typed.
    pub(in crate::proto::peer) fn on_command_refused(&mut self, code: ErrorCode, text: &str) {
        if let Some(talker) = self.talker() {
            talker.refuse(code, text);
        }
    }

    /// An error that is the answer to no command, but to what this program says by itself.
    pub(in crate::proto::peer) fn is_stray(&self, code: ErrorCode) -> bool {
        let talker = self.guest.as_ref().and_then(|guest| guest.talker.as_ref());
        let verb = talker.and_then(|talker| talker.doing.as_ref()).map_or("", |doing| doing.verb);
        match code {
            ErrorCode::NeverSent | ErrorCode::OutOfPlace | ErrorCode::UnknownMember => true,
            ErrorCode::UnknownChunk => verb != "searchChunk",
            ErrorCode::UnknownFile => verb != "searchChunk" && verb != "searchFile",
            _ => false,
        }
    }

    fn on_logged_out(&mut self, common: &mut Common, os: &mut dyn Os) {
        if let Some(talker) = self.talker()
            && talker.doing.as_ref().is_some_and(|doing| !doing.verb.is_empty())
        {
            talker.answer(Ok(String::new()));
        }
        self.leave("logged out", common, os);
    }

    /// The server says goodbye, and why.
    pub(in crate::proto::peer) fn on_talk_bye(
        &mut self,
        why: &str,
        common: &mut Common,
        now: Now,
        os: &mut dyn Os,
    ) {
        if self.talks() && why.starts_with(SILENT_WHY) {
            self.fail(&format!("the server has logged you out: {why}"), common, now, os);
        } else if let Some(talker) = self.talker() {
            talker.goodbye = Some(why.to_owned());
        }
    }

    /// The link to the server is gone: nobody knows what became of what was asked.
    pub(in crate::proto::peer) fn on_talk_broken(&mut self, was_in: bool, why: &str) {
        let Some(talker) = self.talker() else { return };
        let is_asked = match talker.doing.as_ref().map(|doing| &doing.what) {
            Some(What::Asked | What::Register(_) | What::Download(_)) => true,
            Some(What::Start(user)) => {
                let user = *user;
                !self.is_private_wanted(&user)
            }
            Some(What::Say(..)) | None => false,
        };
        let Some(talker) = self.talker() else { return };
        let why = talker.goodbye.take().unwrap_or_else(|| why.to_owned());
        if was_in {
            talker.show(News::ServerLost { why });
        }
        if talker.doing.as_ref().is_some_and(|doing| doing.verb.is_empty()) {
            // It was to be our last word.
            talker.doing = None;
        } else if is_asked {
            let text = "the connection broke; it is not known whether it was done";
            talker.refuse(ErrorCode::ServerLost, text);
        }
    }

    /// Tells the server, and others, what was shown.
    pub(super) fn confirm(&mut self, common: &mut Common, now: Now, os: &mut dyn Os) {
        // One number acknowledges all before it, so it may come later.
        let server = self.contact.joined().filter(|_| self.free_at(common, now).is_none());
        let Some(talker) = self.talker() else { return };
        if let Some(link) = server
            && let Some(number) = talker.showing.ack()
        {
            common.send(link, &Message::Chat(Chat::Ack { number }), os);
        }
        while let Some(link) = self.talker().and_then(|talker| talker.showing.confirm()) {
            if common.sessions.get(link).is_some() {
                common.send(link, &Message::Chat(Chat::OkPrivateText), os);
            }
        }
    }

    /// Nobody takes what there is to show: the server keeps it until somebody does.
    pub(super) fn break_if_full(&mut self, common: &mut Common, now: Now, os: &mut dyn Os) {
        if self.talker().is_some_and(|talker| talker.showing.overflow())
            && let Some(link) = self.contact.joined()
        {
            common.close(link, CloseReason::Unwanted, os);
            self.on_server_down("nobody looks at what it says", common, now, os);
        }
    }
}
