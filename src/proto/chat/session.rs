//! One user's mailbox in numbers, and what is on its way to one link. Holds the texts of messages on trial, and
//! nothing of those that are kept: these are where they were stored.

use std::collections::VecDeque;

use crate::proto::chat::{Keep, Reader};
use crate::proto::ids::{LinkId, Name};
use crate::proto::limits::{FLIGHT_BYTES_MAX, FLIGHT_MAX, NUMBERS_AHEAD};
use crate::proto::time::{Mono, Wall};

/// What waits for one user, and what was on its way when it was last looked at.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mailbox {
    /// The number that was given last.
    pub(super) last: u64,
    /// All up to this one are over.
    pub(super) settled: u64,
    /// Messages that are not over, those on their way included.
    pub(super) count: u32,
    /// Their bytes.
    pub(super) bytes: u32,
    /// Numbers up to this one are taken as far as the store knows; 0 until it was asked.
    reserved: u64,
    /// The store was asked for so many.
    asked: u64,
}

/// A user or guest who is online.
#[derive(Debug)]
pub(super) struct Session {
    link: LinkId,
    pub(super) reader: Reader,
    pub(super) heard_at: Mono,
    pub(super) phase: Phase,
    /// All up to this one have been given to the link, or will never be.
    pub(super) sent: u64,
    /// What was given to the link and is not over, in the order of its numbers.
    flight: VecDeque<Flight>,
    flight_bytes: usize,
}

/// Where the next message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// To the link.
    Live,
    /// To the mailbox; what waits there is fetched when nothing is on its way any more.
    Behind,
    /// To the mailbox; some of what was in it up to a number is being read back.
    Loading { upto: u64, rows: u32 },
}

#[derive(Debug)]
pub(super) struct Flight {
    pub(super) number: u64,
    pub(super) bytes: u32,
    pub(super) what: What,
}

#[derive(Debug)]
pub(super) enum What {
    /// It is stored as well.
    Stored,
    /// It is stored, and was not shown.
    Skipped,
    /// It is nowhere else.
    Trial { from: Name, at: Wall, text: Box<str> },
}

/// What of a flight is over.
#[derive(Debug, Default)]
pub(super) struct Landed {
    pub(super) count: u32,
    pub(super) bytes: u32,
    /// The last of them.
    pub(super) last: Option<u64>,
    /// The last of those that are stored.
    pub(super) stored: Option<u64>,
}

impl Mailbox {
    pub(super) fn new(last: u64, count: u32, bytes: u32) -> Mailbox {
        Mailbox { last, count, bytes, ..Mailbox::default() }
    }

    /// Whether the store knows that a number is taken.
    pub(super) fn is_reserved(&self, number: u64) -> bool {
        number <= self.reserved
    }

    /// The number up to which the store should know, if it has to be told.
    pub(super) fn reserve(&mut self) -> Option<u64> {
        let is_due = self.asked == self.reserved && self.reserved < self.last + NUMBERS_AHEAD / 2;
        is_due.then(|| {
            self.asked = self.last + NUMBERS_AHEAD;
            self.asked
        })
    }

    /// The store knows.
    pub(super) fn on_reserved(&mut self, upto: u64) {
        self.reserved = self.reserved.max(upto);
        self.asked = self.asked.max(upto);
    }

    /// It could not; the next message asks again.
    pub(super) fn on_reserve_failed(&mut self) {
        self.asked = self.reserved;
    }

    /// It may know nothing any more.
    pub(super) fn forget_reserved(&mut self) {
        (self.reserved, self.asked) = (0, 0);
    }

    pub(super) fn check_invariants(&self) {
        assert!(self.settled <= self.last && u64::from(self.count) <= self.last - self.settled, "{self:?}");
        assert!(self.reserved <= self.asked, "{self:?}");
    }
}

impl Session {
    /// `sent`: all up to this one are over.
    pub(super) fn new(link: LinkId, reader: Reader, now: Mono, phase: Phase, sent: u64) -> Session {
        let flight = VecDeque::new();
        Session { link, reader, heard_at: now, phase, sent, flight, flight_bytes: 0 }
    }

    pub(super) fn link(&self) -> LinkId {
        self.link
    }

    /// Whether a message may go straight to the link.
    pub(super) fn is_open(&self, bytes: usize) -> bool {
        self.phase == Phase::Live
            && self.flight.len() < FLIGHT_MAX
            && self.flight_bytes + bytes <= FLIGHT_BYTES_MAX
    }

    /// A message is given to the link.
    pub(super) fn send(&mut self, flight: Flight) {
        debug_assert!(flight.number > self.sent, "numbers go to a link in order");
        self.sent = flight.number;
        self.flight_bytes += flight.bytes as usize;
        self.flight.push_back(flight);
    }

    /// All up to a number have come to where they should, and nobody waits for what was skipped.
    pub(super) fn land(&mut self, upto: u64) -> Landed {
        let mut landed = Landed::default();
        while let Some(first) = self.flight.front() {
            let is_skipped = matches!(first.what, What::Skipped);
            if first.number > upto && !is_skipped {
                break;
            }
            landed.count += 1;
            landed.bytes += first.bytes;
            landed.last = Some(first.number);
            if !matches!(first.what, What::Trial { .. }) {
                landed.stored = Some(first.number);
            }
            self.flight.pop_front();
        }
        self.flight_bytes -= landed.bytes as usize;
        landed
    }

    pub(super) fn flight_len(&self) -> usize {
        self.flight.len()
    }

    pub(super) fn flight_bytes(&self) -> usize {
        self.flight_bytes
    }

    /// What is on trial and has to be kept now.
    pub(super) fn into_trials(self, to: Name) -> Vec<Keep> {
        let trials = self.flight.into_iter().filter_map(|flight| match flight.what {
            What::Trial { from, at, text } => Some(Keep { to, number: flight.number, from, at, text }),
            What::Stored | What::Skipped => None,
        });
        trials.collect()
    }

    pub(super) fn check_invariants(&self, mailbox: Option<&Mailbox>) {
        assert_eq!(self.flight.iter().map(|flight| flight.bytes as usize).sum::<usize>(), self.flight_bytes);
        assert!(self.flight.iter().is_sorted_by(|one, next| one.number < next.number));
        assert!(self.flight.len() <= FLIGHT_MAX);
        assert!(self.flight.back().is_none_or(|last| last.number <= self.sent));
        let Some(mailbox) = mailbox else {
            assert!(self.flight.is_empty() && self.phase == Phase::Live);
            return;
        };
        assert!(mailbox.settled <= self.sent && self.sent <= mailbox.last);
        assert!(self.flight.front().is_none_or(|first| first.number > mailbox.settled));
        assert!(self.flight.len() as u32 <= mailbox.count, "what is on its way is not over");
        match self.phase {
            Phase::Live => assert_eq!((self.sent, self.flight.len() as u32), (mailbox.last, mailbox.count)),
            Phase::Behind => {}
            Phase::Loading { upto, .. } => assert!(self.sent <= upto && upto <= mailbox.last),
        }
    }
}
