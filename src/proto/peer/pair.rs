//! The direct link between two members: how it comes to be, who is told what comes over it, and
//! what happens when it breaks. What is done with files is in `files`.

use crate::proto::ids::{DialId, Key, LinkId, Name};
use crate::proto::limits::LINKS_KEPT_MAX;
use crate::proto::machine::{CloseReason, Effect, Os};
use crate::proto::peer::common::{Common, Session, Whose};
use crate::proto::peer::library::ItemId;
use crate::proto::peer::member::{Member, Stage};
use crate::proto::peer::other::Way;
use crate::proto::time::Now;
use crate::proto::wire::{ErrorCode, Message, ParseError, Role, VERSION};

/// What the other side did wrong.
pub(super) type Fault = (ErrorCode, String);

pub(super) fn fault<T>(code: ErrorCode, text: impl Into<String>) -> Result<T, Fault> {
    Err((code, text.into()))
}

impl Member {
    // --- How a link comes to be ---------------------------------------------------------------

    pub(super) fn on_pair_up(
        &mut self,
        place: u32,
        dial: DialId,
        link: LinkId,
        common: &mut Common,
        now: Now,
        os: &mut dyn Os,
    ) {
        let other = self.others.at_mut(place);
        if other.way != Way::Dialing(dial) {
            os.perform(Effect::Close { link, reason: CloseReason::Unwanted });
            return;
        }
        common.sessions.insert(link, Session::new(Whose::Pair(self.index, place)));
        other.way = Way::Asking(link);
        other.heard = now.mono;
        let (to, ticket, group) = (other.id, other.ticket, common.config.group);
        let from = self.name().expect("only a member that joined dials others");
        common.send(link, &Message::Link { group, from, to, ticket, zstd: true }, os);
    }

    pub(super) fn on_pair_dial_failed(
        &mut self,
        place: u32,
        dial: DialId,
        why: &str,
        common: &mut Common,
        now: Now,
        os: &mut dyn Os,
    ) {
        let other = self.others.at_mut(place);
        if other.way == Way::Dialing(dial) {
            other.way = Way::None;
            other.back_off(&format!("cannot connect to {}: {why}", other.addr), now.mono);
            self.drive(common, now, os);
        }
    }

    /// Another member asks for the link of our pair, over a link that it dialed.
    pub(super) fn on_link_request(
        &mut self,
        link: LinkId,
        (from, ticket, zstd): (Name, Key, bool),
        common: &mut Common,
        now: Now,
        os: &mut dyn Os,
    ) -> Result<(), (ErrorCode, &'static str)> {
        let own = self.name().expect("asked for by its name");
        let Some(place) = self.others.find(&from) else {
            return Err((ErrorCode::UnknownMember, "the server has not told me of you"));
        };
        if self.others.at(place).ticket != ticket {
            log::warn!("direct link refused id={own} claims={from} why=\"wrong ticket\"");
            return Err((ErrorCode::WrongTicket, "that is not the ticket of our pair"));
        }
        if self.stage != Stage::Sharing {
            return Err((ErrorCode::NotYet, "my run is not over"));
        }
        if self.has_blocked(&from) {
            // It has the ticket from before.
            return Err((ErrorCode::BlockedYou, "I have blocked you"));
        }
        match self.others.at(place).way {
            // Both dialed: the link that the smaller name dialed is kept.
            Way::Dialing(_) | Way::Asking(_) | Way::Open { dialed: true, .. } if own < from => {
                return Err((ErrorCode::Duplicate, "I have dialed you, and my name is the smaller one"));
            }
            Way::None => {}
            // Theirs is better than ours; and a new one of theirs is better than an old one.
            way => {
                if let Way::Dialing(dial) = way {
                    common.dials.remove(&dial);
                }
                if let Some(old) = way.link() {
                    common.close(old, CloseReason::Duplicate, os);
                }
                self.lose_link(place, common, now, os);
            }
        }
        if let Some(session) = common.sessions.get_mut(link) {
            session.whose = Whose::Pair(self.index, place);
        }
        self.others.at_mut(place).way = Way::Open { link, dialed: false, zstd };
        common.send(link, &Message::OkLink { zstd: true }, os);
        self.on_link_open(place, link, common, now, os);
        Ok(())
    }

    /// The link is open: each side says what there is, and what it wants.
    fn on_link_open(&mut self, place: u32, link: LinkId, common: &mut Common, now: Now, os: &mut dyn Os) {
        self.others.at_mut(place).heard = now.mono;
        self.go_private(place, common, os);
        self.offer(place, link, common, os);
        for item in 0..self.library.len() as ItemId {
            self.want(place, item, common, os);
        }
    }

    // --- What comes over it -------------------------------------------------------------------

    /// Handles a line; returns how many octets it announces.
    pub(super) fn on_pair_line(
        &mut self,
        place: u32,
        link: LinkId,
        line: &[u8],
        common: &mut Common,
        now: Now,
        os: &mut dyn Os,
    ) -> u64 {
        self.others.at_mut(place).heard = now.mono;
        let handled = match Message::parse(line) {
            Ok(Message::Greeting { version, role, .. }) if (version, role) == (VERSION, Role::Peer) => Ok(0),
            Ok(Message::OkLink { zstd }) => self.on_link_granted(place, link, zstd, common, now, os),
            Ok(Message::Offer { file, bytes, chunk_bytes, octets }) => {
                self.on_offer(place, file, (bytes, chunk_bytes, octets), common, now, os)
            }
            Ok(Message::Want { file, root }) => self.on_want(place, link, file, root, common, os),
            Ok(Message::Holds { file, octets }) => self.on_holds(place, file, octets, common, now, os),
            Ok(Message::Have { file, first, last }) => {
                self.on_have(place, file, (first, last), common, now, os)
            }
            Ok(Message::Get { file, chunk }) => self.on_get((place, link), file, chunk, common, now, os),
            Ok(Message::Chunk { file, chunk, octets, zstd }) => {
                self.on_chunk(place, file, chunk, (octets, zstd), common)
            }
            Ok(Message::Deny { file, chunk }) => self.on_deny(place, file, chunk, common, now, os),
            Ok(Message::Cancel { file, chunk }) => self.on_cancel(link, file, chunk, common, os),
            Ok(Message::Got { file }) => self.on_got(place, file, common, now, os),
            Ok(Message::Chat(ref line)) => self.on_private_line((place, link), line, common, now, os),
            Ok(Message::Err { code, .. }) if self.on_private_denied(place, code) => Ok(0),
            Ok(Message::Err { code, text }) => {
                self.on_pair_blocked(place, code);
                self.on_pair_error(place, link, code, text, common, now, os);
                Ok(0)
            }
            Ok(other) => {
                fault(ErrorCode::OutOfPlace, format!("{} is not said between members", other.verb()))
            }
            Err(ParseError::Empty) => Ok(0),
            Err(error) => fault(error.code(), error.to_string()),
        };
        handled.unwrap_or_else(|fault| {
            self.condemn(place, link, fault, common, now, os);
            0
        })
    }

    fn on_link_granted(
        &mut self,
        place: u32,
        link: LinkId,
        zstd: bool,
        common: &mut Common,
        now: Now,
        os: &mut dyn Os,
    ) -> Result<u64, Fault> {
        let other = self.others.at_mut(place);
        if other.way != Way::Asking(link) {
            return fault(ErrorCode::OutOfPlace, "nobody asked for a link");
        }
        let id = other.id;
        other.way = Way::Open { link, dialed: true, zstd };
        if self.has_blocked(&id) {
            // Meanwhile, and it is not open yet.
            common.close(link, CloseReason::Unwanted, os);
            self.after_link(place, link, "you have blocked that user", common, now, os);
            return Ok(0);
        }
        self.on_link_open(place, link, common, now, os);
        Ok(0)
    }

    /// The pair may be complete; then its link has done its work.
    pub(super) fn after_progress(&mut self, place: u32, common: &mut Common, now: Now, os: &mut dyn Os) {
        let other = self.others.at(place);
        // In a small group the others may still want chunks of a third one's files.
        let done = other.records.is_some() && other.is_complete(&self.library);
        let crowded = self.others.len() > LINKS_KEPT_MAX;
        if let (true, true, Some(link)) = (done, crowded, other.way.link()) {
            common.close(link, CloseReason::Done, os);
            self.lose_link(place, common, now, os);
        }
        self.drive(common, now, os);
    }

    // --- How it ends --------------------------------------------------------------------------

    #[allow(clippy::too_many_arguments)] // one line of the protocol
    fn on_pair_error(
        &mut self,
        place: u32,
        link: LinkId,
        code: ErrorCode,
        text: &str,
        common: &mut Common,
        now: Now,
        os: &mut dyn Os,
    ) {
        let other = self.others.at(place);
        log::debug!(
            "member refused id={} other={} code={} text=\"{text}\"",
            self.label(),
            other.id,
            code.as_str()
        );
        self.doubt(place, os);
        common.close(link, CloseReason::Refused, os);
        self.after_link(place, link, &format!("it answered: {text}"), common, now, os);
        self.drive(common, now, os);
    }

    /// The other side broke the protocol: it is told how, and after a few times given up.
    pub(super) fn condemn(
        &mut self,
        place: u32,
        link: LinkId,
        (code, text): Fault,
        common: &mut Common,
        now: Now,
        os: &mut dyn Os,
    ) {
        let other = self.others.at_mut(place);
        other.lies += 1;
        let (lies, id) = (other.lies, other.id);
        log::warn!("member misbehaved id={} other={id} times={lies} why=\"{text}\"", self.label());
        common.send(link, &Message::Err { code, text: &text }, os);
        common.close(link, CloseReason::Misbehaved, os);
        self.after_link(place, link, &text, common, now, os);
        self.drive(common, now, os);
    }

    /// The link went down by itself.
    pub(super) fn on_pair_down(
        &mut self,
        place: u32,
        link: LinkId,
        why: &str,
        common: &mut Common,
        now: Now,
        os: &mut dyn Os,
    ) {
        self.after_link(place, link, why, common, now, os);
        self.drive(common, now, os);
    }

    /// The pair has no link any more, for a reason that a new one may not have.
    pub(super) fn after_link(
        &mut self,
        place: u32,
        link: LinkId,
        why: &str,
        common: &mut Common,
        now: Now,
        os: &mut dyn Os,
    ) {
        if self.others.at(place).way.link() != Some(link) {
            return;
        }
        self.lose_link(place, common, now, os);
        let other = self.others.at(place);
        if !other.is_complete(&self.library) || !other.private.is_closed() {
            self.others.at_mut(place).back_off(why, now.mono);
        }
    }

    pub(super) fn lose_link(&mut self, place: u32, common: &mut Common, now: Now, os: &mut dyn Os) {
        if let Some(link) = self.others.at(place).way.link() {
            common.serving.drop_link(link);
        }
        self.lose_private(place);
        self.lose_source(place, common, now, os);
    }
}
