//! How a run ends: who is asked to, what is waited for, and until when. Never looks at a machine's state.

use std::time::Duration;

use log::{error, warn};

use crate::io::answer::Answer;
use crate::io::helper::Helper;
use crate::io::link::State;
use crate::io::reactor::Reactor;

/// Why [`Reactor::run`] came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunEnd {
    /// Every machine has ended, and what they sent is on its way.
    Exited,
    /// A second signal asked for an end at once.
    Forced,
    /// The time of [`Reactor::end_within`] was over.
    Overdue,
}

impl Reactor {
    /// When machines are asked to end, they and the disk have so long. Without this they have as long as they take.
    pub fn end_within(&mut self, grace: Duration) {
        self.grace = Some(grace);
    }

    /// Asks every machine that still runs to end, each only once. Nothing is accepted for it any more.
    pub(super) fn shut_down_all(&mut self) {
        if let Some(grace) = self.grace.filter(|_| self.end_by.is_none()) {
            self.end_by = Some(self.clock.mono() + grace);
        }
        for machine in 0..self.seats.len() {
            let seat = &mut self.seats[machine];
            if !seat.ended && !seat.shutdown_told {
                seat.shutdown_told = true;
                self.stop_listening(machine);
                self.answers.push_back((machine, Answer::Shutdown));
            }
        }
    }

    /// Whoever dials from now on is refused by the kernel.
    pub(super) fn stop_listening(&mut self, machine: usize) {
        for listener in &mut self.listeners {
            if listener.as_ref().is_some_and(|listener| listener.machine == machine) {
                *listener = None;
            }
        }
    }

    pub(super) fn end(&self) -> Option<RunEnd> {
        let machines = self.seats.iter().filter(|seat| !seat.ended).count();
        let disk_jobs = self.helper.as_ref().map_or(0, Helper::under_way);
        let store_orders: usize = self.seats.iter().map(|seat| seat.keeping.waiting()).sum();
        let decided = machines + disk_jobs + store_orders == 0;
        if decided && self.links.len() == 0 {
            return Some(RunEnd::Exited);
        }
        let overdue = self.end_by.is_some_and(|at| at <= self.clock.mono());
        if !overdue && !self.signals.ends.at_once {
            return None;
        }
        let links = self.links_unsent();
        let undone =
            || format!("machines={machines} links={links} disk_jobs={disk_jobs} store_orders={store_orders}");
        Some(if self.signals.ends.at_once {
            warn!("run end=Forced undone: {}", undone());
            RunEnd::Forced
        } else if decided && links == 0 {
            // The others have all of it, and only do not close in turn.
            RunEnd::Exited
        } else {
            error!("run end=Overdue undone: {}", undone());
            RunEnd::Overdue
        })
    }

    /// Links that still have something to send, or of which a machine might.
    fn links_unsent(&self) -> usize {
        let is_sent = |id| self.links.get(id).is_some_and(|link| link.state == State::Ending);
        self.links.len() - self.lingers.iter().filter(|(_, id)| is_sent(*id)).count()
    }
}
