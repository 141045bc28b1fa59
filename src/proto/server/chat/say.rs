//! What somebody says, to one or to all, and whom it is sent to. Nothing is said faster than agreed.

use crate::proto::chat::{Pace, Reader, Sent};
use crate::proto::ids::{LinkId, Name};
use crate::proto::machine::{Change, Mail, Os};
use crate::proto::server::Server;
use crate::proto::server::chat::{Awaited, Until, told};
use crate::proto::server::directory::{Refusal, refuse};
use crate::proto::time::{Now, Wall};
use crate::proto::wire::{Chat as Line, Delivery, ErrorCode, Message, Reach};

/// What somebody says.
#[derive(Debug)]
pub(in crate::proto::server) struct Said {
    /// `None`: to all.
    to: Option<Name>,
    text: Box<str>,
}

/// A message on its way to one link.
pub(super) struct Letter<'a> {
    pub(super) from: Name,
    pub(super) number: Option<u64>,
    pub(super) at: Wall,
    pub(super) text: &'a str,
}

impl Server {
    /// Somebody says something: now, or when it is time for it.
    pub(super) fn on_said(
        &mut self,
        link: LinkId,
        to: Option<Name>,
        text: &str,
        now: Now,
        os: &mut dyn Os,
    ) -> Result<(), Refusal> {
        let name = self.talker_of(link)?;
        let pace = match to {
            Some(_) => self.chat.pace_message(&name, now.mono),
            None => self.chat.pace_broadcast(&name, now.mono),
        };
        let said = Said { to, text: text.into() };
        match pace {
            Pace::Now => return self.say(link, &said, now, os),
            Pace::At(at) => self.hold_until_turn(link, at, said),
            Pace::Refused { until } => {
                let seconds = until.since_ns(now.mono).div_ceil(1_000_000_000);
                let text = format!("you are sending too fast; try again in {seconds} s");
                return refuse(ErrorCode::TooFast, text);
            }
        }
        Ok(())
    }

    pub(super) fn say(
        &mut self,
        link: LinkId,
        said: &Said,
        now: Now,
        os: &mut dyn Os,
    ) -> Result<(), Refusal> {
        let from = self.talker_of(link)?;
        match said.to {
            Some(to) => self.message(link, (from, to), &said.text, now, os),
            None => self.broadcast(link, from, &said.text, os),
        }
    }

    fn message(
        &mut self,
        link: LinkId,
        (from, to): (Name, Name),
        text: &str,
        now: Now,
        os: &mut dyn Os,
    ) -> Result<(), Refusal> {
        let posted = self.chat.message(&from, &to, text, now).map_err(|refusal| {
            log::info!("message refused from={from} to={to} why=\"{refusal}\"");
            told(refusal)
        })?;
        match posted.sent {
            Sent::Now { link: reader, number } => {
                self.give(reader, &Letter { from, number, at: now.wall, text }, now, os);
                let line = Line::OkSend { how: Delivery::Delivered };
                self.send(link, &Message::Chat(line), os);
            }
            Sent::Kept { number } => {
                let mail = Mail { to, number, from, at: now.wall, text: text.into() };
                let awaited = Awaited::Message { link, to, from, bytes: text.len() };
                self.store(&[Change::PutMail(mail)], awaited, os);
                self.hold(link, Until::Stored);
            }
        }
        self.load_mail(posted.load, os);
        self.reserve(to, posted.reserve, os);
        Ok(())
    }

    fn broadcast(&mut self, link: LinkId, from: Name, text: &str, os: &mut dyn Os) -> Result<(), Refusal> {
        let broadcast = self.chat.broadcast(&from, text).map_err(told)?;
        let reach = if broadcast.is_blocked_by_some { Reach::Some } else { Reach::All };
        let links: Vec<LinkId> = broadcast.told.map(|(_, link)| link).collect();
        self.tell_all(links, Line::BroadcastFrom { from, text }, os);
        self.send(link, &Message::Chat(Line::OkBroadcast { reach }), os);
        Ok(())
    }

    /// Sends a message to whom it is for. A program is told its number, and acknowledges it.
    pub(super) fn give(&mut self, link: LinkId, letter: &Letter<'_>, now: Now, os: &mut dyn Os) {
        let Letter { from, number, at, text } = *letter;
        let Some(talker) = self.talker_mut(link) else { return };
        let line = match number {
            Some(number) if talker.reader == Reader::Acks => Line::Mail { number, at, from, text },
            _ => Line::Message { from, text },
        };
        let lands = number.filter(|_| talker.reader == Reader::Plain);
        if let Some(number) = lands {
            talker.given = number;
            self.await_landing(link, number, now);
        }
        log::trace!("message from={from} bytes={}", text.len());
        self.send(link, &Message::Chat(line), os);
    }

    // --- Blocks -------------------------------------------------------------------------------

    /// One blocks another, or takes it back. What is kept is answered when it is.
    pub(super) fn on_block(
        &mut self,
        link: LinkId,
        other: &str,
        blocks: bool,
        os: &mut dyn Os,
    ) -> Result<(), Refusal> {
        use crate::proto::chat::{BlockLasts, Refusal as Why};
        let user = self.talker_of(link)?;
        let other: Name = other.parse().map_err(|_| told(Why::Unknown))?;
        let lasts = match blocks {
            true => self.chat.block(&user, &other),
            false => self.chat.unblock(&user, &other),
        };
        let lasts = lasts.map_err(told)?;
        match lasts {
            BlockLasts::UntilGuestLeaves => {
                self.send(link, &block_done(blocks, other), os);
                if !blocks {
                    self.are_together(user, other);
                }
            }
            BlockLasts::Always => {
                let change = match blocks {
                    true => Change::PutBlock { user, other },
                    false => Change::RemoveBlock { user, other },
                };
                self.store(&[change], Awaited::Block { link, user, other, blocks }, os);
                self.hold(link, Until::Stored);
            }
        }
        Ok(())
    }
}

pub(super) fn block_done(blocks: bool, user: Name) -> Message<'static> {
    Message::Chat(if blocks { Line::OkBlock { user } } else { Line::OkUnblock { user } })
}
