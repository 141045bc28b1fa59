//! A machine with a spectator: shows how things stand, without the machine knowing.

use std::time::Duration;

use crate::proto::machine::{Input, Machine, Os};
use crate::proto::time::{Mono, Now};

/// Shows how a machine stands.
type Look<M> = Box<dyn FnMut(&M, Now)>;

/// A machine, and what looks at it.
pub(super) struct Watched<M> {
    machine: M,
    look: Look<M>,
    /// Look this often; `None`: after every input.
    period: Option<Duration>,
    next_look: Option<Mono>,
}

impl<M: Machine> Watched<M> {
    pub(super) fn every(period: Duration, machine: M, look: impl FnMut(&M, Now) + 'static) -> Watched<M> {
        Watched { machine, look: Box::new(look), period: Some(period), next_look: None }
    }

    pub(super) fn each_input(machine: M, look: impl FnMut(&M, Now) + 'static) -> Watched<M> {
        Watched { machine, look: Box::new(look), period: None, next_look: None }
    }

    pub(super) fn machine(&self) -> &M {
        &self.machine
    }
}

impl<M: Machine> Machine for Watched<M> {
    fn handle_input(&mut self, input: Input<'_>, now: Now, os: &mut dyn Os) {
        let begins = matches!(input, Input::Start);
        self.machine.handle_input(input, now, os);
        match self.period {
            None => (self.look)(&self.machine, now),
            Some(period) if begins => self.next_look = Some(now.mono + period),
            Some(_) => {}
        }
    }

    fn handle_timeout(&mut self, now: Now, os: &mut dyn Os) {
        self.machine.handle_timeout(now, os);
        if let (Some(period), Some(next_look)) = (self.period, self.next_look)
            && next_look <= now.mono
        {
            (self.look)(&self.machine, now);
            self.next_look = Some(now.mono + period);
        }
    }

    fn poll_timeout(&self) -> Option<Mono> {
        match (self.machine.poll_timeout(), self.next_look) {
            (Some(machine), Some(look)) => Some(machine.min(look)),
            (machine, look) => machine.or(look),
        }
    }

    fn check_invariants(&self) {
        self.machine.check_invariants();
    }
}
