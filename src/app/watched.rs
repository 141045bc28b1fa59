//! A machine with a spectator: shows how things stand, without the machine knowing.

use std::time::Duration;

use crate::proto::machine::{Input, Machine, Os, Tell};
use crate::proto::time::{Mono, Now, Wall};

/// Shows how a machine stands.
type Look<M> = Box<dyn FnMut(&M, Now)>;

/// A machine, and what looks at it.
pub(super) struct Watched<M> {
    machine: M,
    look: Look<M>,
    when: When,
    /// When it was told something last.
    now: Now,
}

/// When the spectator looks.
enum When {
    Never,
    EachInput,
    Every { period: Duration, next: Mono },
}

impl<M: Machine> Watched<M> {
    pub(super) fn never(machine: M) -> Watched<M> {
        Watched::new(machine, When::Never, |_, _| {})
    }

    pub(super) fn every(period: Duration, machine: M, look: impl FnMut(&M, Now) + 'static) -> Watched<M> {
        Watched::new(machine, When::Every { period, next: Mono(0) }, look)
    }

    pub(super) fn each_input(machine: M, look: impl FnMut(&M, Now) + 'static) -> Watched<M> {
        Watched::new(machine, When::EachInput, look)
    }

    fn new(machine: M, when: When, look: impl FnMut(&M, Now) + 'static) -> Watched<M> {
        let now = Now { mono: Mono(0), wall: Wall(0) };
        Watched { machine, look: Box::new(look), when, now }
    }

    /// Looks once more, at how it ended.
    pub(super) fn look_back(&mut self) {
        (self.look)(&self.machine, self.now);
    }

    pub(super) fn machine(&self) -> &M {
        &self.machine
    }
}

impl<M: Machine> Machine for Watched<M> {
    fn handle_input(&mut self, input: Input<'_>, now: Now, os: &mut dyn Os) {
        self.now = now;
        self.machine.handle_input(input, now, os);
        if let When::EachInput = self.when {
            (self.look)(&self.machine, now);
        }
    }

    fn handle_timeout(&mut self, now: Now, os: &mut dyn Os) {
        self.now = now;
        self.machine.handle_timeout(now, os);
        if let When::Every { period, next } = &mut self.when
            && *next <= now.mono
        {
            *next = now.mono + *period;
            (self.look)(&self.machine, now);
        }
    }

    fn poll_timeout(&self) -> Option<Mono> {
        let machine = self.machine.poll_timeout();
        match self.when {
            When::Every { next, .. } => Some(machine.map_or(next, |machine| machine.min(next))),
            When::Never | When::EachInput => machine,
        }
    }

    fn tell_figures(&self, tell: Tell<'_>) {
        self.machine.tell_figures(tell);
    }

    fn check_invariants(&self) {
        self.machine.check_invariants();
    }
}
