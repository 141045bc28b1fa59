//! Who comes and goes, who is there, and who was there. Checks no password and closes no link.

use crate::proto::chat::audience::{Audience, Seat};
use crate::proto::chat::session::{Phase, Session};
use crate::proto::chat::{Chat, Id, MailLoad, Person, Presence, Refusal};
use crate::proto::ids::{LinkId, Name};
use crate::proto::limits::ONLINE_MAX;
use crate::proto::time::{Mono, SECOND_NS, Wall};

/// How somebody's client reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// It acknowledges numbers.
    Acks,
    /// It does not; it has what its kernel took.
    Plain,
}

/// Somebody has come.
#[derive(Debug)]
pub struct Login<'a> {
    /// Who is told so.
    pub told: Audience<'a>,
    /// Messages that wait for him.
    pub waiting: u32,
    /// The first of them are to be read back.
    pub load: Option<MailLoad>,
    /// See [`Posted::reserve`](crate::proto::chat::Posted::reserve).
    pub reserve: Option<u64>,
}

/// Somebody has gone.
#[derive(Debug)]
pub struct Gone<'a> {
    /// The link of the session that is over.
    pub link: LinkId,
    /// Who is told so.
    pub told: Audience<'a>,
    /// Messages on trial that are mail now: to be stored, in this order.
    pub keep: Vec<Keep>,
    /// When all that a guest has said will have had its time; `None` for a user, who is remembered.
    pub guest_paid_until: Option<Mono>,
}

/// A message that has to be stored after all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keep {
    /// For whom.
    pub to: Name,
    /// Under which number.
    pub number: u64,
    /// From whom.
    pub from: Name,
    /// When it was sent.
    pub at: Wall,
    /// What it says.
    pub text: Box<str>,
}

/// Somebody who is or was online.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Who.
    pub name: Name,
    /// When that one left; `None` if it is there.
    pub left: Option<Mono>,
}

/// A session that is over, before those who are told are looked for.
pub(super) struct Leaving {
    link: LinkId,
    id: Id,
    unseen_by: Vec<Id>,
    pub(super) keep: Vec<Keep>,
    guest_paid_until: Option<Mono>,
}

impl Chat {
    /// A user is who he says, and is online from now on. Ask [`Chat::is_online`] before that is proven.
    ///
    /// # Errors
    /// If there is no such account, it is online, or too many are.
    pub fn login(
        &mut self,
        name: Name,
        link: LinkId,
        reader: Reader,
        now: Mono,
    ) -> Result<Login<'_>, Refusal> {
        let id = self.names.get(&name).copied().filter(|id| self.person(*id).mailbox.is_some());
        let id = id.ok_or(Refusal::Unknown).and_then(|id| self.check_login(id).and(Ok(id)));
        let id = self.counted(id)?;
        let person = &mut self.people[id.0 as usize];
        let mailbox = person.mailbox.as_mut().expect("it is a user");
        let (last, waiting, reserve) = (mailbox.last, mailbox.count, mailbox.reserve());
        let (phase, sent) = if waiting == 0 { (Phase::Live, last) } else { (Phase::Behind, mailbox.settled) };
        let session = Session::new(link, reader, now, phase, sent);
        if let Presence::Left(at) = person.presence {
            self.left.remove_user(&name, at);
        }
        person.presence = Presence::Here(Box::new(session));
        self.online.insert(name, Seat { id, link });
        self.counts.logins += 1;
        let load = self.next_load(id, &name);
        let told = self.audience(id, self.blocks.blocked_by(id), None);
        Ok(Login { told, waiting, load, reserve })
    }

    /// A guest has come. `paid_until`: what guests before it who may be the same have said has had its time then.
    ///
    /// # Errors
    /// If the name is an account's or another guest's, or too many are online.
    pub fn login_guest(
        &mut self,
        name: Name,
        link: LinkId,
        paid_until: Mono,
        now: Mono,
    ) -> Result<Audience<'_>, Refusal> {
        let refusal = match self.names.get(&name).map(|id| self.person(*id).mailbox.is_some()) {
            Some(true) => Some(Refusal::IsAccount),
            Some(false) => Some(Refusal::AlreadyOnline),
            None if self.online.len() >= ONLINE_MAX => Some(Refusal::TooManyOnline),
            None => None,
        };
        self.counted(refusal.map_or(Ok(()), Err))?;
        self.left.remove_guest(&name);
        let session = Session::new(link, Reader::Plain, now, Phase::Live, 0);
        let presence = Presence::Here(Box::new(session));
        let id = self.add_person(Person { name, mailbox: None, presence, paid_until });
        self.online.insert(name, Seat { id, link });
        self.counts.logins += 1;
        Ok(self.audience(id, Vec::new(), None))
    }

    /// Somebody goes: a word, a broken link, silence, an operator's wish; it is all the same here.
    ///
    /// # Errors
    /// If nobody of that name is online.
    pub fn logout(&mut self, name: &Name, now: Mono) -> Result<Gone<'_>, Refusal> {
        let leaving = self.leave(name, now).ok_or(Refusal::NotLoggedIn);
        let leaving = self.counted(leaving)?;
        Ok(self.gone(leaving))
    }

    /// Whether a user or guest is online.
    pub fn is_online(&self, name: &Name) -> bool {
        self.online.contains_key(name)
    }

    /// The link of somebody who is online.
    pub fn link_of(&self, name: &Name) -> Option<LinkId> {
        self.online.get(name).map(|seat| seat.link)
    }

    /// Somebody has issued a command. What comes in does not count.
    pub fn on_command(&mut self, name: &Name, now: Mono) {
        if let Some((_, session)) = self.session_mut(name) {
            session.heard_at = now;
        }
    }

    /// When somebody will have been idle for too long, if there is no command before.
    pub fn idle_at(&self, name: &Name) -> Option<Mono> {
        let session = self.person(self.online.get(name)?.id).session()?;
        Some(session.heard_at + self.config.idle_timeout)
    }

    /// Who else is online, by name; behind `after`, if a list is continued. Not those who have blocked `asker`.
    ///
    /// # Errors
    /// If `asker` is not online.
    pub fn whoelse(&self, asker: &Name, after: Option<Name>) -> Result<Audience<'_>, Refusal> {
        let id = self.here(asker)?;
        Ok(self.audience(id, self.blocks.blockers_of(id), after))
    }

    /// Who else is, or was within the last `seconds`: first who is there, by name, then who has gone, the last one
    /// first; behind `after`, if a list is continued. Longer than the server's life means since its start. Not those
    /// who have blocked `asker`, and not all of very many guests who have gone.
    ///
    /// # Errors
    /// If `asker` is not online.
    pub fn whoelsesince<'a>(
        &'a self,
        asker: &Name,
        seconds: u64,
        now: Mono,
        after: Option<Seen>,
    ) -> Result<impl Iterator<Item = Seen> + use<'a>, Refusal> {
        let id = self.here(asker)?;
        let unseen = self.blocks.blockers_of(id);
        let from = Mono(now.0.saturating_sub(seconds.saturating_mul(SECOND_NS)));
        let left = after.and_then(|after| after.left.map(|at| (at, after.name)));
        let online = left.is_none().then(|| self.audience(id, unseen.clone(), after.map(|seen| seen.name)));
        let online = online.into_iter().flatten().map(|(name, _)| Seen { name, left: None });
        let is_seen = move |name: &Name| {
            unseen.is_empty() || self.names.get(name).is_none_or(|id| unseen.binary_search(id).is_err())
        };
        let gone = self.left.since(from, left).filter(move |(_, name)| is_seen(name));
        Ok(online.chain(gone.map(|(at, name)| Seen { name, left: Some(at) })))
    }

    /// When somebody was last online, for a list that goes on there; `None` if that was never, or is forgotten.
    pub fn seen(&self, name: &Name) -> Option<Seen> {
        let left = match self.names.get(name).map(|id| &self.person(*id).presence) {
            Some(Presence::Here(_)) => None,
            Some(Presence::Left(at)) => Some(*at),
            Some(Presence::Never) => return None,
            None => Some(self.left.guest_left(name)?),
        };
        Some(Seen { name: *name, left })
    }

    fn check_login(&self, id: Id) -> Result<(), Refusal> {
        match () {
            () if self.person(id).session().is_some() => Err(Refusal::AlreadyOnline),
            () if self.online.len() >= ONLINE_MAX => Err(Refusal::TooManyOnline),
            () => Ok(()),
        }
    }

    /// Ends a session, and of a guest everything.
    pub(super) fn leave(&mut self, name: &Name, now: Mono) -> Option<Leaving> {
        let Seat { id, link } = self.online.remove(name)?;
        let unseen_by = self.blocks.blocked_by(id);
        self.end_privates(id);
        let person = self.person_mut(id);
        let presence = std::mem::replace(&mut person.presence, Presence::Left(now));
        let Presence::Here(session) = presence else { unreachable!("whoever is online is here") };
        let guest_paid_until = person.mailbox.is_none().then_some(person.paid_until);
        if person.mailbox.is_some() {
            self.left.add_user(*name, now);
        } else {
            self.left.add_guest(*name, now);
            self.blocks.forget(id);
            self.names.remove(name);
            self.people.remove(id.0 as usize);
        }
        self.flights_bytes -= session.flight_bytes();
        let keep = session.into_trials(*name);
        self.counts.returned += keep.len() as u64;
        for kept in &keep {
            self.shares.add(id, &kept.from, kept.text.len() as u32);
        }
        Some(Leaving { link, id, unseen_by, keep, guest_paid_until })
    }

    pub(super) fn gone(&self, leaving: Leaving) -> Gone<'_> {
        let Leaving { link, id, unseen_by, keep, guest_paid_until } = leaving;
        Gone { link, told: self.audience(id, unseen_by, None), keep, guest_paid_until }
    }
}
