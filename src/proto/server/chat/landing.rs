//! What plain clients have got: they acknowledge nothing, so they are taken to have what their kernel took.
//! Decides nothing about messages.
//!
//! A driver writes what was sent at the end of a turn, and tells in the next one that it could not. So
//! a message has landed when the timer has fired three times since, and the link is not blocked.

use std::collections::VecDeque;

use crate::proto::chat::Step;
use crate::proto::ids::{LinkId, Name};
use crate::proto::limits::LANDING_PAUSE;
use crate::proto::machine::{Change, Os};
use crate::proto::server::chat::{Awaited, told};
use crate::proto::server::directory::Refusal;
use crate::proto::server::{Server, Timer};
use crate::proto::time::Now;

/// Numbers that were given to links, in the order in which they were.
#[derive(Debug, Default)]
pub(in crate::proto::server) struct Landings {
    waiting: VecDeque<Landing>,
}

#[derive(Debug)]
struct Landing {
    link: LinkId,
    number: u64,
    turns: u8,
}

/// How often the timer fires before a message has landed.
const TURNS: u8 = 3;

impl Server {
    pub(super) fn await_landing(&mut self, link: LinkId, number: u64, now: Now) {
        let waiting = &mut self.landings.waiting;
        match waiting.back_mut() {
            Some(last) if last.link == link && last.turns == 0 => last.number = number,
            _ => waiting.push_back(Landing { link, number, turns: 0 }),
        }
        if self.wheel.deadline(&Timer::Landing).is_none() {
            self.wheel.insert(Timer::Landing, now.mono + LANDING_PAUSE);
        }
    }

    pub(in crate::proto::server) fn on_landing_timer(&mut self, now: Now, os: &mut dyn Os) {
        let waiting = &mut self.landings.waiting;
        waiting.iter_mut().for_each(|landing| landing.turns += 1);
        while self.landings.waiting.front().is_some_and(|landing| landing.turns >= TURNS) {
            let Some(landing) = self.landings.waiting.pop_front() else { break };
            self.land(landing.link, landing.number, os);
        }
        if !self.landings.waiting.is_empty() {
            self.wheel.insert(Timer::Landing, now.mono + LANDING_PAUSE);
        }
    }

    /// The kernel has room again, and has taken all that was sent.
    pub(in crate::proto::server) fn on_drained(&mut self, link: LinkId, now: Now) {
        let given = self.sessions.get(link).map_or(0, |session| session.talker.given);
        if given > 0 {
            self.await_landing(link, given, now);
        }
    }

    fn land(&mut self, link: LinkId, number: u64, os: &mut dyn Os) {
        let Some(session) = self.sessions.get(link).filter(|session| !session.blocked) else { return };
        let Some(name) = session.talker.name else { return };
        let step = self.chat.on_delivered(&name, number);
        self.take_step(name, step, os);
    }

    /// A program has shown a message, and all before it.
    pub(super) fn on_ack(&mut self, link: LinkId, number: u64, os: &mut dyn Os) -> Result<(), Refusal> {
        let name = self.talker_of(link)?;
        let step = self.chat.ack(&name, number).map_err(told)?;
        self.take_step(name, step, os);
        Ok(())
    }

    pub(super) fn take_step(&mut self, to: Name, step: Step, os: &mut dyn Os) {
        if let Some(last) = step.forget {
            self.store(&[Change::RemoveMail { to, first: 1, last }], Awaited::Nothing, os);
        }
        self.load_mail(step.load, os);
    }
}
