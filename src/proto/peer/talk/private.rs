//! Private links: two users who talk directly. The server has told both where the other one is and the ticket of
//! the pair; what they say goes over the pair's one link, that chunks take too, and never over the server.
//!
//! Each side says `startprivate` over the link once it has the server's word. Who has said it and heard it
//! may talk: so nobody talks to somebody whom the server has not told yet, and nobody without the server's word.

use std::net::SocketAddr;

use crate::proto::ids::{Key, LinkId, Name};
use crate::proto::limits::{
    PAIR_PAUSE_MIN, PAIR_WAIT, PRIVATE_REPLY_TIMEOUT, PRIVATE_UNSHOWN_MAX, PRIVATE_WAIT,
    PRIVATES_PER_USER_MAX,
};
use crate::proto::machine::{CloseReason, Os};
use crate::proto::peer::News;
use crate::proto::peer::common::Common;
use crate::proto::peer::guest::Asked;
use crate::proto::peer::member::Member;
use crate::proto::peer::other::{Other, OtherState, Way};
use crate::proto::peer::pair::{Fault, fault};
use crate::proto::peer::talk::What;
use crate::proto::time::{Mono, Now};
use crate::proto::wire::{Chat, ErrorCode, Message};

/// What two users are to each other beside files.
#[derive(Debug, Default)]
pub(in crate::proto::peer) struct Private {
    state: State,
    /// On the present link: we have said `startprivate`, and the other one has.
    has_said: bool,
    has_heard: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Closed,
    /// The server has given its word; the link is not there, or the other one is not ready.
    Wanted { since: Mono },
    /// `asked_at`: when something was said that is not answered yet.
    Open { asked_at: Option<Mono> },
}

impl Private {
    /// A new link.
    pub(in crate::proto::peer) fn on_link_lost(&mut self) {
        (self.has_said, self.has_heard) = (false, false);
    }

    pub(in crate::proto::peer) fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    fn is_open(&self) -> bool {
        matches!(self.state, State::Open { .. })
    }

    fn is_wanted(&self) -> bool {
        matches!(self.state, State::Wanted { .. })
    }

    /// A link is to be dialed: the smaller name does, the greater when that has not come for a while.
    pub(in crate::proto::peer) fn is_dialed(&self, is_smaller: bool, now: Mono) -> bool {
        match self.state {
            State::Wanted { since } => is_smaller || now - since > PAIR_WAIT,
            State::Closed | State::Open { .. } => false,
        }
    }

    fn close(&mut self) {
        *self = Private::default();
    }

    pub(in crate::proto::peer) fn check_invariants(&self, is_linked: bool) {
        assert!(is_linked || !self.is_open(), "who talks privately has a link");
        assert!(is_linked || !(self.has_said || self.has_heard), "nothing is said without a link");
        assert!(!self.is_open() || self.has_said && self.has_heard, "both are ready");
    }
}

impl Member {
    // --- The server's word --------------------------------------------------------------------

    /// The answer to `startprivate`.
    pub(super) fn on_private_granted(
        &mut self,
        (user, addr, ticket): (Name, SocketAddr, Key),
        common: &mut Common,
        now: Now,
        os: &mut dyn Os,
    ) {
        let is_user = self.talker().is_some_and(|talker| talker.is_user()) && !self.is_called(&user);
        if is_user && self.want_private((user, addr, ticket), common, now, os) {
            return;
        }
        if let Some(talker) = self.talker() {
            talker.refuse(ErrorCode::LimitReached, "too many private links");
        }
    }

    /// Somebody else has asked for it.
    pub(super) fn on_private_asked(
        &mut self,
        (user, addr, ticket): (Name, SocketAddr, Key),
        common: &mut Common,
        now: Now,
        os: &mut dyn Os,
    ) {
        if !self.is_called(&user)
            && !self.has_blocked(&user)
            && self.talker().is_some_and(|talker| talker.is_user())
        {
            self.want_private((user, addr, ticket), common, now, os);
        }
    }

    fn want_private(
        &mut self,
        (user, addr, ticket): (Name, SocketAddr, Key),
        common: &mut Common,
        now: Now,
        os: &mut dyn Os,
    ) -> bool {
        let is_open = |other: &&Other| !other.private.is_closed() && other.id != user;
        if self.others.iter().filter(is_open).count() >= PRIVATES_PER_USER_MAX {
            return false;
        }
        let place = self.others.place(user, addr, ticket, OtherState::Guest, &mut self.library);
        let Some(place) = place else { return false };
        if self.others.at(place).ticket != ticket {
            // One of us has logged in anew: the link of before may be that of another life.
            self.drop_pair(place, common, now, os);
            let takes_part = std::mem::take(&mut self.others.at_mut(place).takes_part);
            self.others.at_mut(place).renew(ticket, OtherState::Guest);
            self.others.at_mut(place).takes_part = takes_part;
        }
        let other = self.others.at_mut(place);
        (other.addr, other.pause) = (addr, PAIR_PAUSE_MIN);
        other.next_try = other.next_try.min(now.mono);
        if other.private.is_closed() {
            other.private.state = State::Wanted { since: now.mono };
        }
        self.go_private(place, common, os);
        self.drive(common, now, os);
        true
    }

    /// The other one has ended it, or has gone.
    pub(super) fn on_private_stopped(&mut self, user: Name, common: &mut Common, now: Now, os: &mut dyn Os) {
        let Some(place) = self.others.find(&user) else { return };
        if self.others.at(place).private.is_closed() {
            return;
        }
        self.say_over(place, common, os);
        self.close_private(place, "the other one has ended it, or has gone");
        self.drop_idle_link(place, common, now, os);
    }

    pub(super) fn is_private_wanted(&self, user: &Name) -> bool {
        let place = self.others.find(user);
        place.is_some_and(|place| self.others.at(place).private.is_wanted())
    }

    // --- The link -----------------------------------------------------------------------------

    /// The link is there, or the server's word is: whichever comes last.
    pub(in crate::proto::peer) fn go_private(&mut self, place: u32, common: &mut Common, os: &mut dyn Os) {
        let other = self.others.at_mut(place);
        let Way::Open { link, .. } = other.way else { return };
        if other.private.is_wanted() && !other.private.has_said {
            other.private.has_said = true;
            common.send(link, &Message::Chat(Chat::PrivateReady), os);
        }
        let opens = other.private.is_wanted() && other.private.has_heard;
        if opens {
            other.private.state = State::Open { asked_at: None };
        }
        let (with, is_open) = (other.id, other.private.is_open());
        let Some(talker) = self.talker().filter(|_| is_open) else { return };
        if opens {
            talker.show(News::PrivateOpen { with });
        }
        if talker.is_doing(&What::Start(with)) {
            talker.answer(Ok(with.to_string()));
        }
    }

    /// A line of the pair's link that is about private talk.
    pub(in crate::proto::peer) fn on_private_line(
        &mut self,
        (place, link): (u32, LinkId),
        line: &Chat<'_>,
        common: &mut Common,
        now: Now,
        os: &mut dyn Os,
    ) -> Result<u64, Fault> {
        let other = self.others.at_mut(place);
        let (from, is_open) = (other.id, other.private.is_open());
        if !matches!(other.way, Way::Open { .. }) || !self.talks() {
            return fault(ErrorCode::OutOfPlace, format!("{} is not said between members", line.verb()));
        }
        let other = self.others.at_mut(place);
        match *line {
            Chat::PrivateReady => {
                let is_news = !std::mem::replace(&mut other.private.has_heard, true);
                if is_news {
                    self.go_private(place, common, os);
                }
            }
            Chat::PrivateText { .. } if !is_open => {
                let (code, text) = (ErrorCode::NoPrivate, "you have no private link with me");
                common.send(link, &Message::Err { code, text }, os);
            }
            Chat::PrivateText { text } => {
                let Some(talker) = self.talker() else { return Ok(0) };
                if talker.showing.unshown(link) >= PRIVATE_UNSHOWN_MAX {
                    return fault(ErrorCode::TooFast, "wait until the earlier ones are shown");
                }
                talker.showing.push(News::Private { from, text: text.to_owned() }, Some(link));
            }
            Chat::OkPrivateText => {
                if let State::Open { asked_at } = &mut other.private.state {
                    *asked_at = None;
                }
                let what = What::Say(from, link);
                if let Some(talker) = self.talker().filter(|talker| talker.is_doing(&what)) {
                    talker.answer(Ok(from.to_string()));
                }
            }
            // What ends a talk that we know to be over, or that has not begun.
            Chat::PrivateOver if !other.private.has_heard => {}
            Chat::PrivateOver => {
                self.close_private(place, "the other one has ended it");
                self.drop_idle_link(place, common, now, os);
            }
            ref other => {
                let text = format!("{} is not said between members", other.verb());
                return fault(ErrorCode::OutOfPlace, text);
            }
        }
        Ok(0)
    }

    /// The other one knows of no private talk. Returns whether that was it.
    pub(in crate::proto::peer) fn on_private_denied(&mut self, place: u32, code: ErrorCode) -> bool {
        let is_it = code == ErrorCode::NoPrivate && self.talks();
        if is_it {
            self.close_private(place, "the other one has ended it");
        }
        is_it
    }

    /// The other one has blocked us, and wants no link: nothing more is asked of it until the server says so again.
    pub(in crate::proto::peer) fn on_pair_blocked(&mut self, place: u32, code: ErrorCode) {
        if code == ErrorCode::BlockedYou && self.talks() {
            self.others.at_mut(place).takes_part.clear();
            self.close_private(place, "that user has blocked you");
        }
    }

    // --- What a user does ---------------------------------------------------------------------

    pub(super) fn say_private(
        &mut self,
        (to, text): (&str, &str),
        common: &mut Common,
        now: Now,
        os: &mut dyn Os,
    ) {
        let place = to.parse().ok().and_then(|to| self.others.find(&to));
        let link = place.and_then(|place| {
            let other = self.others.at(place);
            other.way.link().filter(|_| other.private.is_open())
        });
        let (Some(place), Some(link)) = (place, link) else {
            let Some(talker) = self.talker() else { return };
            return talker.refuse(ErrorCode::NoPrivate, "you have no private link with that user");
        };
        let other = self.others.at_mut(place);
        other.private.state = State::Open { asked_at: Some(now.mono) };
        let what = What::Say(other.id, link);
        common.send(link, &Message::Chat(Chat::PrivateText { text }), os);
        if let Some(doing) = self.talker().and_then(|talker| talker.doing.as_mut()) {
            doing.what = what;
        }
    }

    pub(super) fn stop_private(&mut self, user: &str, common: &mut Common, now: Now, os: &mut dyn Os) {
        let place = user.parse().ok().and_then(|user| self.others.find(&user));
        let place = place.filter(|place| !self.others.at(*place).private.is_closed());
        let Some(place) = place else {
            let Some(talker) = self.talker() else { return };
            return talker.refuse(ErrorCode::NoPrivate, "you have no private link with that user");
        };
        self.say_over(place, common, os);
        if let (Some(link), Some(guest)) = (self.contact.joined(), &mut self.guest) {
            // The server may know of none, if it has started anew.
            guest.asked.push_back(Asked::Farewell);
            common.send(link, &Message::Chat(Chat::StopPrivate { user }), os);
        }
        self.others.at_mut(place).private.close();
        if let Some(talker) = self.talker() {
            talker.answer(Ok(user.to_owned()));
        }
        self.drop_idle_link(place, common, now, os);
    }

    /// Nobody is left waiting.
    pub(super) fn end_privates(&mut self, common: &mut Common, os: &mut dyn Os) {
        for place in 0..self.others.len() as u32 {
            if !self.others.at(place).private.is_closed() {
                self.say_over(place, common, os);
                self.others.at_mut(place).private.close();
            }
        }
    }

    fn say_over(&mut self, place: u32, common: &mut Common, os: &mut dyn Os) {
        let other = self.others.at(place);
        if let (Way::Open { link, .. }, true) = (other.way, other.private.has_said) {
            common.send(link, &Message::Chat(Chat::PrivateOver), os);
        }
    }

    // --- How it ends --------------------------------------------------------------------------

    /// The link is gone: a talk that was open is over, one that is wanted gets another link.
    pub(in crate::proto::peer) fn lose_private(&mut self, place: u32) {
        if self.others.at(place).private.is_open() {
            self.close_private(place, "the connection broke");
        }
        self.others.at_mut(place).private.on_link_lost();
    }

    fn close_private(&mut self, place: u32, why: &str) {
        let other = self.others.at_mut(place);
        let (with, was_open) = (other.id, other.private.is_open());
        let link = other.way.link();
        other.private.close();
        let Some(talker) = self.talker() else { return };
        if talker.is_doing(&What::Start(with)) {
            talker.refuse(ErrorCode::NotReachable, &format!("no private link: {why}"));
        } else if link.is_some_and(|link| talker.is_doing(&What::Say(with, link))) {
            let text = format!("{why}; it is not known whether it was shown");
            talker.refuse(ErrorCode::Offline, &text);
        }
        if was_open {
            talker.show(News::PrivateClosed { with, why: why.to_owned() });
        }
    }

    /// A link over which nothing more goes is not kept.
    fn drop_idle_link(&mut self, place: u32, common: &mut Common, now: Now, os: &mut dyn Os) {
        let other = self.others.at(place);
        if let (Way::Open { link, .. }, true) = (other.way, other.takes_part.is_empty()) {
            common.close(link, CloseReason::Done, os);
            self.lose_link(place, common, now, os);
        }
    }

    /// What was waited for too long.
    pub(in crate::proto::peer) fn give_up_privates(
        &mut self,
        common: &mut Common,
        now: Now,
        os: &mut dyn Os,
    ) {
        for place in 0..self.others.len() as u32 {
            let Other { private, way, trouble, .. } = self.others.at(place);
            match private.state {
                State::Wanted { since } if now.mono - since > PRIVATE_WAIT => {
                    let why = trouble.clone().unwrap_or_else(|| "the other one did not come".to_owned());
                    self.say_over(place, common, os);
                    self.close_private(place, &why);
                }
                State::Open { asked_at: Some(at) } if now.mono - at > PRIVATE_REPLY_TIMEOUT => {
                    if let Some(link) = way.link() {
                        common.close(link, CloseReason::Silent, os);
                        self.after_link(place, link, "it went silent", common, now, os);
                    }
                }
                _ => {}
            }
        }
    }
}
