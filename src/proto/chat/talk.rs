//! What somebody says: to one, or to all who are there. Decides where it goes; how mail goes on is in `post`.

use crate::proto::chat::{Audience, Chat, Pace, Posted, Rate, Refusal, Sent};
use crate::proto::ids::Name;
use crate::proto::limits::{BROADCAST_COST, MESSAGE_BYTES_MAX};
use crate::proto::time::{Mono, Now};

/// A text for all who are there.
#[derive(Debug)]
pub struct Broadcast<'a> {
    /// Who gets it.
    pub told: Audience<'a>,
    /// Somebody who is there does not get it, because of a block. How many is not told to anybody.
    pub is_blocked_by_some: bool,
}

impl Chat {
    /// Asks when somebody may send one more message; to be asked before [`Chat::message`], however that ends.
    /// Lines behind one that is held back wait as well, so that their order stays.
    pub fn pace_message(&mut self, name: &Name, now: Mono) -> Pace {
        self.pace(name, 1, now)
    }

    /// The same before [`Chat::broadcast`], which counts as several messages.
    pub fn pace_broadcast(&mut self, name: &Name, now: Mono) -> Pace {
        self.pace(name, BROADCAST_COST, now)
    }

    /// The same before [`Chat::start_private`], which counts as a message and is never held back: it is said now
    /// or not at all. The time from which on it would be taken, if it is not now.
    pub fn pace_private(&mut self, name: &Name, now: Mono) -> Option<Mono> {
        let rate = Rate { slowed_max: 0, ..self.config.rate };
        let seat = self.online.get(name)?;
        match rate.take(&mut self.people[seat.id.0 as usize].paid_until, 1, now) {
            Pace::Now => None,
            Pace::At(until) | Pace::Refused { until } => {
                self.counts.on_refusal(Refusal::TooFast);
                Some(until)
            }
        }
    }

    fn pace(&mut self, name: &Name, cost: u32, now: Mono) -> Pace {
        let rate = self.config.rate;
        let Some(seat) = self.online.get(name) else { return Pace::Now };
        let pace = rate.take(&mut self.people[seat.id.0 as usize].paid_until, cost, now);
        match pace {
            Pace::Now => {}
            Pace::At(_) => self.counts.slowed += 1,
            Pace::Refused { .. } => self.counts.on_refusal(Refusal::TooFast),
        }
        pace
    }

    /// One says something to another: `message user text`, or `%user%text`, which is the same.
    ///
    /// # Errors
    /// If the text cannot be sent, the other one is unknown or does not want it, or nobody could keep it.
    pub fn message(&mut self, from: &Name, to: &Name, text: &str, now: Now) -> Result<Posted, Refusal> {
        let result = self.try_message(from, to, text, now);
        self.counted(result)
    }

    fn try_message(&mut self, from: &Name, to: &Name, text: &str, now: Now) -> Result<Posted, Refusal> {
        let from_id = self.here(from)?;
        if from == to {
            return Err(Refusal::Yourself);
        }
        check_text(text)?;
        let to_id = self.find(to)?;
        if self.blocks.has(to_id, from_id) {
            return Err(Refusal::BlockedYou);
        }
        if self.person(from_id).mailbox.is_some() && self.person(to_id).mailbox.is_some() {
            return self.post(to_id, to, from, text, now.wall);
        }
        let seat = self.online.get(to).ok_or(Refusal::Offline)?;
        self.counts.sent += 1;
        Ok(Posted { sent: Sent::Now { link: seat.link, number: None }, load: None, reserve: None })
    }

    /// One says something to all who are there and have not blocked that one.
    ///
    /// # Errors
    /// If the text cannot be sent.
    pub fn broadcast(&mut self, from: &Name, text: &str) -> Result<Broadcast<'_>, Refusal> {
        let id = check_text(text).and_then(|()| self.here(from));
        let id = self.counted(id)?;
        self.counts.broadcasts += 1;
        let blockers = self.blocks.blockers_of(id);
        let is_blocked_by_some = blockers.iter().any(|id| self.person(*id).session().is_some());
        Ok(Broadcast { told: self.audience(id, blockers, None), is_blocked_by_some })
    }
}

fn check_text(text: &str) -> Result<(), Refusal> {
    match text.len() {
        _ if text.trim().is_empty() => Err(Refusal::EmptyText),
        bytes if bytes > MESSAGE_BYTES_MAX => Err(Refusal::TextTooLong),
        _ => Ok(()),
    }
}
