//! What a machine wants kept or read back, in its order, until the database has it: all that came in one
//! turn becomes one commit. While another program writes, it is tried again, for a bounded time.
//! Knows nothing of what the rows mean.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::path::Path;

use log::warn;

use crate::io::answer::Answer;
use crate::io::errands::Job;
use crate::io::reactor::Reactor;
use crate::io::store::{Store, StoreError};
use crate::proto::limits::{CHECKPOINT_CHANGES, STORE_BUSY_MAX, STORE_RETRY_PAUSE};
use crate::proto::machine::{Change, Load};
use crate::proto::time::{Mono, ns};

/// The orders of one machine.
#[derive(Debug)]
pub(super) struct Keeping {
    store: Option<Store>,
    orders: VecDeque<Order>,
    /// Another program writes: when to try again, and since when.
    busy: Option<Busy>,
    /// Changes since the log was last looked at.
    unmoved_changes: usize,
}

#[derive(Debug)]
enum Order {
    Store { batch: u64, changes: Vec<Change<'static>> },
    Load(Load),
}

#[derive(Clone, Copy, Debug)]
struct Busy {
    since: Mono,
    again_at: Mono,
}

impl Keeping {
    /// `None`: whatever is asked for fails.
    pub(super) fn new(store: Option<Store>) -> Keeping {
        Keeping { store, orders: VecDeque::new(), busy: None, unmoved_changes: 0 }
    }

    pub(super) fn store(&mut self, batch: u64, changes: &[Change<'_>]) {
        let changes = changes.iter().cloned().map(Change::into_owned).collect();
        self.orders.push_back(Order::Store { batch, changes });
    }

    pub(super) fn load(&mut self, load: Load) {
        self.orders.push_back(Order::Load(load));
    }

    /// How much waits for the database.
    pub(super) fn waiting(&self) -> usize {
        self.orders.len()
    }

    /// Nothing waits for the database.
    pub(super) fn is_idle(&self) -> bool {
        self.orders.is_empty()
    }

    /// When [`Keeping::carry_out`] has to be called, if nothing else happens before.
    pub(super) fn next_at(&self) -> Option<Mono> {
        self.busy.map(|busy| busy.again_at)
    }

    /// Does what is waiting, and tells what came of it.
    pub(super) fn carry_out(&mut self, now: Mono, tell: &mut dyn FnMut(Answer)) {
        if self.busy.is_some_and(|busy| busy.again_at > now) {
            return;
        }
        while let Some(order) = self.orders.front() {
            if let Order::Load(load) = *order {
                self.orders.pop_front();
                self.read(load, tell);
                continue;
            }
            let committed = self.commit();
            if committed == Err(ErrorKind::ResourceBusy) && self.may_wait(now) {
                return;
            }
            self.busy = None;
            while let Some(Order::Store { batch, .. }) = self.orders.front() {
                let batch = *batch;
                self.orders.pop_front();
                tell(match committed {
                    Ok(()) => Answer::Stored { batch },
                    Err(error) => Answer::StoreFailed { batch, error },
                });
            }
        }
    }

    /// The database, if so much was changed since the last time that its log should be moved into it.
    pub(super) fn unmoved(&mut self) -> Option<&Path> {
        let store = self.store.as_ref().filter(|_| self.unmoved_changes >= CHECKPOINT_CHANGES)?;
        self.unmoved_changes = 0;
        Some(store.path())
    }

    /// Makes the changes of all batches in front, in one commit.
    fn commit(&mut self) -> Result<(), ErrorKind> {
        let store = self.store.as_mut().ok_or(ErrorKind::NotFound)?;
        let batches = self.orders.iter().map_while(|order| match order {
            Order::Store { changes, .. } => Some(changes),
            Order::Load(_) => None,
        });
        let changes: Vec<&Change<'_>> = batches.flatten().collect();
        store.apply(changes.iter().copied()).map_err(|error| failed(&error))?;
        self.unmoved_changes += changes.len();
        Ok(())
    }

    fn read(&self, load: Load, tell: &mut dyn FnMut(Answer)) {
        let read = match &self.store {
            Some(store) => store
                .load(load, |row| tell(Answer::Row { row: row.into_owned() }))
                .map_err(|error| failed(&error)),
            None => Err(ErrorKind::NotFound),
        };
        tell(match read {
            Ok(version) => Answer::Loaded { load, version },
            Err(error) => Answer::LoadFailed { load, error },
        });
    }

    /// Another program writes. Whether that may still end in time; then it is tried again soon.
    fn may_wait(&mut self, now: Mono) -> bool {
        let since = self.busy.map_or(now, |busy| busy.since);
        self.busy = Some(Busy { since, again_at: now + STORE_RETRY_PAUSE });
        now.since_ns(since) < ns(STORE_BUSY_MAX)
    }
}

fn failed(error: &StoreError) -> ErrorKind {
    if !error.is_busy() {
        warn!("store error=\"{error}\"");
    }
    error.kind()
}

impl Reactor {
    /// What machines want kept is kept, once a turn.
    pub(super) fn keep(&mut self) {
        for machine in 0..self.seats.len() {
            let keeping = &mut self.seats[machine].keeping;
            if keeping.is_idle() {
                continue;
            }
            let answers = &mut self.answers;
            keeping.carry_out(self.clock.mono(), &mut |answer| answers.push_back((machine, answer)));
            if let Some(path) = keeping.unmoved() {
                let job = Job::Checkpoint(path.to_owned());
                self.hand_over(job);
            }
        }
    }
}
