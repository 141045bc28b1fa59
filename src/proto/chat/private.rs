//! Which two users have a private link. Makes no tickets, knows no addresses, and carries nothing.

use crate::proto::chat::blocks::seconds;
use crate::proto::chat::{Chat, Id, Refusal};
use crate::proto::ids::{LinkId, Name};
use crate::proto::limits::PRIVATES_PER_USER_MAX;

/// Two users who are given what they need to talk directly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Private {
    /// The link of the one who asked.
    pub from: LinkId,
    /// The link of the other one, who is told.
    pub to: LinkId,
    /// They had one. It may have broken, which only the two know, so both begin again.
    pub is_again: bool,
}

impl Chat {
    /// One wants to talk directly to another.
    ///
    /// # Errors
    /// If either is offline or a guest, both are one, one has blocked the other, or there are too many.
    pub fn start_private(&mut self, from: &Name, to: &Name) -> Result<Private, Refusal> {
        let result = self.try_start(from, to);
        let (from_id, to_id, private) = self.counted(result)?;
        self.privates.insert((from_id, to_id));
        self.privates.insert((to_id, from_id));
        Ok(private)
    }

    /// One of the two ends it. The link of the other one, who is told.
    ///
    /// # Errors
    /// If there is none.
    pub fn stop_private(&mut self, from: &Name, to: &Name) -> Result<LinkId, Refusal> {
        let pair = self.here(from).and_then(|from| Ok((from, self.find(to)?)));
        let pair = pair.and_then(|pair| match self.privates.contains(&pair) {
            true => Ok(pair),
            false => Err(Refusal::NoPrivate),
        });
        let (from, to) = self.counted(pair)?;
        self.privates.remove(&(from, to));
        self.privates.remove(&(to, from));
        Ok(self.link(to))
    }

    /// Ends all of somebody who wants it so, or is logged out: the links of the others, who are told. Whoever only goes
    /// ends them here without a word, for a link to the server that breaks is no end of a talk that does not go over it.
    pub fn stop_privates(&mut self, name: &Name) -> Vec<LinkId> {
        let id = self.online.get(name).map(|seat| seat.id);
        id.map_or_else(Vec::new, |id| self.end_privates(id))
    }

    /// Ends those of one: the links of the others.
    pub(super) fn end_privates(&mut self, id: Id) -> Vec<LinkId> {
        let others: Vec<Id> = seconds(&self.privates, id).collect();
        for other in &others {
            self.privates.remove(&(id, *other));
            self.privates.remove(&(*other, id));
        }
        others.into_iter().map(|other| self.link(other)).collect()
    }

    fn try_start(&self, from: &Name, to: &Name) -> Result<(Id, Id, Private), Refusal> {
        let from_id = self.here(from)?;
        if from == to {
            return Err(Refusal::Yourself);
        }
        let to_id = self.find(to)?;
        if self.blocks.has(to_id, from_id) {
            return Err(Refusal::BlockedYou);
        }
        if self.blocks.has(from_id, to_id) {
            return Err(Refusal::YouBlocked);
        }
        if self.person(from_id).mailbox.is_none() || self.person(to_id).mailbox.is_none() {
            return Err(Refusal::GuestsCannot);
        }
        if self.person(to_id).session().is_none() {
            return Err(Refusal::Offline);
        }
        let is_again = self.privates.contains(&(from_id, to_id));
        let is_full = |id| seconds(&self.privates, id).count() >= PRIVATES_PER_USER_MAX;
        if !is_again && (is_full(from_id) || is_full(to_id)) {
            return Err(Refusal::TooManyPrivates);
        }
        Ok((from_id, to_id, Private { from: self.link(from_id), to: self.link(to_id), is_again }))
    }

    fn link(&self, id: Id) -> LinkId {
        self.person(id).session().expect("private links are of users who are online").link()
    }
}
