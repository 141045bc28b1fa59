//! Messages from user to user on their way: to a link, to a mailbox, and from there to a link. Keeps each
//! link's numbers in order; neither stores nor reads anything.
//!
//! Whoever performs this must do so in order: what is to be kept is stored before what is to be loaded after
//! it is read, and answers come back in the same order, [`Chat::not_kept`] among them.

use crate::proto::chat::session::{Flight, Mailbox, Phase, What};
use crate::proto::chat::{Chat, Id, Reader, Refusal};
use crate::proto::ids::{LinkId, Name};
use crate::proto::limits::{
    FLIGHTS_BYTES_MAX, MAIL_BYTES_MAX, MAIL_BYTES_PER_USER_MAX, MAIL_MAX, MAIL_PER_USER_MAX, MAIL_ROWS_MAX,
};
use crate::proto::time::Wall;

/// Where a message has gone, and what else is to be done, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Posted {
    /// Where.
    pub sent: Sent,
    /// The recipient's mail is to be read back.
    pub load: Option<MailLoad>,
    /// The store has to know that the recipient's numbers up to this one are taken: see [`Chat::on_reserved`].
    pub reserve: Option<u64>,
}

/// Where a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// To a link; what guests say or are told has no number.
    Now {
        /// Whose.
        link: LinkId,
        /// Its number, to be acknowledged.
        number: Option<u64>,
    },
    /// To the store. The sender is answered when it has it, or cannot have it ([`Chat::not_kept`]).
    Kept {
        /// Its number.
        number: u64,
    },
}

/// Mail that is to be read back: in the order of its numbers, each to [`Chat::mail_row`], then [`Chat::mail_loaded`] or
/// [`Chat::mail_load_failed`]. Also if the user has gone meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MailLoad {
    /// Whose.
    pub to: Name,
    /// Only greater numbers.
    pub after: u64,
    /// At most so many.
    pub rows_max: u32,
}

/// What follows from something that has come to where it should.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Mail up to this number is over: the store may forget it.
    pub forget: Option<u64>,
    /// The next is to be read back.
    pub load: Option<MailLoad>,
}

impl Chat {
    /// A message from user to user that nothing speaks against, but want of room.
    pub(super) fn post(
        &mut self,
        id: Id,
        to: &Name,
        from: &Name,
        text: &str,
        at: Wall,
    ) -> Result<Posted, Refusal> {
        if self.mail_count >= MAIL_MAX || self.mail_bytes + text.len() as u64 > MAIL_BYTES_MAX {
            return Err(Refusal::PostFull);
        }
        let flights_bytes = self.flights_bytes + text.len();
        let person = &mut self.people[id.0 as usize];
        let mailbox = person.mailbox.as_ref().expect("mail is for users");
        let bytes = text.len() as u32;
        if mailbox.count >= MAIL_PER_USER_MAX || mailbox.bytes + bytes > MAIL_BYTES_PER_USER_MAX {
            return Err(Refusal::MailboxFull);
        }
        let number = mailbox.last + 1;
        let goes_now = flights_bytes <= FLIGHTS_BYTES_MAX
            && mailbox.is_reserved(number)
            && person.session().is_some_and(|session| session.is_open(text.len()));
        if !goes_now && !self.shares.has_room(id, from, bytes) {
            return Err(Refusal::ShareFull);
        }
        let is_here = person.session().is_some();
        let mailbox = person.mailbox.as_mut().expect("mail is for users");
        mailbox.last += 1;
        mailbox.count += 1;
        mailbox.bytes += bytes;
        self.mail_count += 1;
        self.mail_bytes += u64::from(bytes);
        // Who is away is asked for when he comes.
        let reserve = if is_here { mailbox.reserve() } else { None };
        if let Some(session) = person.session_mut() {
            if goes_now {
                session.send(Flight {
                    number,
                    bytes,
                    what: What::Trial { from: *from, at, text: text.into() },
                });
                let link = session.link();
                self.flights_bytes = flights_bytes;
                self.counts.sent += 1;
                return Ok(Posted { sent: Sent::Now { link, number: Some(number) }, load: None, reserve });
            }
            if session.phase == Phase::Live {
                session.phase = Phase::Behind;
            }
        }
        self.counts.kept += 1;
        self.shares.add(id, from, bytes);
        Ok(Posted { sent: Sent::Kept { number }, load: self.next_load(id, to), reserve })
    }

    /// The store could not keep a message: it never was. Whoever sent it has to be told.
    pub fn not_kept(&mut self, to: &Name, from: &Name, bytes: usize) {
        let Some(id) = self.names.get(to).copied() else { return };
        self.shares.take(id, from, bytes as u32);
        let person = &mut self.people[id.0 as usize];
        let in_flight =
            person.session().map_or((0, 0), |session| (session.flight_len(), session.flight_bytes()));
        let Some(mailbox) = &mut person.mailbox else { return };
        // A load that was answered without it has put this right already.
        if mailbox.count as usize > in_flight.0 {
            let bytes = bytes.min(mailbox.bytes as usize - in_flight.1) as u32;
            self.take_out(id, 1, bytes);
        }
    }

    /// Mail from a store. The link that it is to be sent to, if it is to be shown.
    pub fn mail_row(&mut self, to: &Name, from: &Name, number: u64, bytes: usize) -> Option<LinkId> {
        let id = self.loading(to)?;
        let is_blocked = self.names.get(from).is_some_and(|from| self.blocks.has(id, *from));
        let session = self.people[id.0 as usize].session_mut()?;
        let Phase::Loading { upto, rows } = &mut session.phase else { return None };
        // What was stored after the load was asked for comes with the next one.
        if number <= session.sent || number > *upto {
            return None;
        }
        *rows += 1;
        let link = session.link();
        let (what, shown) = if is_blocked { (What::Skipped, None) } else { (What::Stored, Some(link)) };
        session.send(Flight { number, bytes: bytes as u32, what });
        self.flights_bytes += bytes;
        self.shares.take(id, from, bytes as u32);
        self.believe_store(id, false);
        match shown {
            Some(_) => self.counts.fetched += 1,
            None => self.counts.skipped += 1,
        }
        shown
    }

    /// That was all that the store had of what it was asked for.
    pub fn mail_loaded(&mut self, to: &Name) -> Step {
        let id = self.loading(to);
        self.loads.pop_front();
        let Some(id) = id else { return Step::default() };
        let person = &mut self.people[id.0 as usize];
        let last = person.mailbox.map_or(0, |mailbox| mailbox.last);
        let Some(session) = person.session_mut() else { return Step::default() };
        let Phase::Loading { upto, rows } = session.phase else { return Step::default() };
        let is_all = rows < MAIL_ROWS_MAX;
        if is_all {
            session.sent = upto;
        }
        let is_live = is_all && upto == last;
        session.phase = if is_live { Phase::Live } else { Phase::Behind };
        if is_live {
            self.shares.clear(id);
        }
        self.believe_store(id, is_live);
        self.land(id, to, 0)
    }

    /// The store could not be read. Try again after a while, with [`Chat::retry_load`].
    pub fn mail_load_failed(&mut self, to: &Name) {
        let id = self.loading(to);
        self.loads.pop_front();
        if let Some(session) = id.and_then(|id| self.people[id.0 as usize].session_mut()) {
            session.phase = Phase::Behind;
        }
    }

    /// Asks for somebody's mail again, if it is time for it.
    pub fn retry_load(&mut self, to: &Name) -> Option<MailLoad> {
        let id = self.online.get(to)?.id;
        self.next_load(id, to)
    }

    /// A client has all messages up to a number. It may have got them on an earlier session.
    ///
    /// # Errors
    /// If that number was never given, or the client is not one that acknowledges.
    pub fn ack(&mut self, name: &Name, number: u64) -> Result<Step, Refusal> {
        let result = self.here(name).and_then(|id| {
            let person = self.person(id);
            let given = person.mailbox.map_or(0, |mailbox| mailbox.last);
            match person.session() {
                Some(session) if session.reader == Reader::Acks && number <= given => Ok(id),
                _ => Err(Refusal::NeverSent),
            }
        });
        let id = self.counted(result)?;
        Ok(self.land(id, name, number))
    }

    /// The kernel has taken all messages up to a number. Does nothing for a client that acknowledges.
    pub fn on_delivered(&mut self, name: &Name, number: u64) -> Step {
        let Ok(id) = self.here(name) else { return Step::default() };
        match self.person(id).session() {
            Some(session) if session.reader == Reader::Plain => self.land(id, name, number),
            _ => Step::default(),
        }
    }

    /// The store knows that somebody's numbers up to this one are taken: so many may go straight to a link, of this
    /// session and those after it.
    pub fn on_reserved(&mut self, name: &Name, upto: u64) {
        if let Some(mailbox) = self.mailbox_mut(name) {
            mailbox.on_reserved(upto);
        }
    }

    /// It does not, and the next message asks again. Until then all messages go through the mailbox.
    pub fn on_reserve_failed(&mut self, name: &Name) {
        if let Some(mailbox) = self.mailbox_mut(name) {
            mailbox.on_reserve_failed();
        }
    }

    /// Somebody's account may be another one than before, under the same name: the store may not know of any number.
    pub fn forget_reserved(&mut self, name: &Name) {
        if let Some(mailbox) = self.mailbox_mut(name) {
            mailbox.forget_reserved();
        }
    }
}

impl Chat {
    fn mailbox_mut(&mut self, name: &Name) -> Option<&mut Mailbox> {
        let id = self.names.get(name)?;
        self.people[id.0 as usize].mailbox.as_mut()
    }

    /// Whose mail is being read back now, if that session is still there.
    fn loading(&self, to: &Name) -> Option<Id> {
        let (name, link) = self.loads.front()?;
        debug_assert_eq!(name, to, "mail is read back in the order in which it was asked for");
        let seat = self.online.get(to)?;
        (name == to && seat.link == *link).then_some(seat.id)
    }

    /// Asks for the next mail of somebody who waits for it and has got all before it.
    pub(super) fn next_load(&mut self, id: Id, name: &Name) -> Option<MailLoad> {
        let person = &mut self.people[id.0 as usize];
        let upto = person.mailbox?.last;
        let session = person.session_mut()?;
        if session.phase != Phase::Behind || session.flight_len() > 0 {
            return None;
        }
        session.phase = Phase::Loading { upto, rows: 0 };
        let (link, after) = (session.link(), session.sent);
        self.loads.push_back((*name, link));
        Some(MailLoad { to: *name, after, rows_max: MAIL_ROWS_MAX })
    }

    fn land(&mut self, id: Id, name: &Name, upto: u64) -> Step {
        let person = &mut self.people[id.0 as usize];
        let Some(session) = person.session_mut() else { return Step::default() };
        let landed = session.land(upto);
        if let (Some(mailbox), Some(last)) = (&mut person.mailbox, landed.last) {
            mailbox.settled = last;
        }
        self.flights_bytes -= landed.bytes as usize;
        self.take_out(id, landed.count, landed.bytes);
        Step { forget: landed.stored, load: self.next_load(id, name) }
    }

    fn take_out(&mut self, id: Id, count: u32, bytes: u32) {
        let Some(mailbox) = &mut self.people[id.0 as usize].mailbox else { return };
        mailbox.count -= count;
        mailbox.bytes -= bytes;
        self.mail_count -= u64::from(count);
        self.mail_bytes -= u64::from(bytes);
    }

    /// A store may have more or less than it said at the start, if somebody has mended it by hand: what came
    /// counts. `is_all`: nothing else waits.
    fn believe_store(&mut self, id: Id, is_all: bool) {
        let person = &mut self.people[id.0 as usize];
        let Some(session) = person.session() else { return };
        let (count, bytes) = (session.flight_len() as u32, session.flight_bytes() as u32);
        let Some(mailbox) = &mut person.mailbox else { return };
        let told = (mailbox.count, mailbox.bytes);
        let (count, bytes) = if is_all { (count, bytes) } else { (count.max(told.0), bytes.max(told.1)) };
        (mailbox.count, mailbox.bytes) = (count, bytes);
        self.mail_count = self.mail_count + u64::from(count) - u64::from(told.0);
        self.mail_bytes = self.mail_bytes + u64::from(bytes) - u64::from(told.1);
    }
}
