//! Failures in a row, by name: so many, and the name is blocked for a while. Of the names that have failed at
//! all only so many are remembered; the one that has failed longest ago is forgotten first.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::proto::ids::Name;
use crate::proto::limits::FAILURES_MAX;
use crate::proto::time::Mono;

/// The failures of many names.
#[derive(Debug)]
pub(super) struct Strikes {
    names: BTreeMap<Name, Strike>,
    /// Who has failed when, the longest ago first.
    order: BTreeMap<u64, Name>,
    last: u64,
    names_max: usize,
}

#[derive(Clone, Copy, Debug)]
struct Strike {
    state: State,
    /// Its place in the order.
    place: u64,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Counting { failures: u32 },
    Blocked { until: Mono },
}

impl Strikes {
    pub(super) fn new(names_max: usize) -> Strikes {
        Strikes { names: BTreeMap::new(), order: BTreeMap::new(), last: 0, names_max }
    }

    /// How long a name is blocked, if it is.
    pub(super) fn blocked_until(&self, name: Name, now: Mono) -> Option<Mono> {
        match self.names.get(&name)?.state {
            State::Blocked { until } if until > now => Some(until),
            _ => None,
        }
    }

    /// Counts a failure of a name that is not blocked. A block that is over has left nothing behind.
    pub(super) fn fail(&mut self, name: Name, block: Duration, now: Mono) {
        let failures = match self.forgive(name) {
            Some(State::Counting { failures }) => failures + 1,
            Some(State::Blocked { .. }) | None => 1,
        };
        let state = match failures {
            FAILURES_MAX.. => State::Blocked { until: now + block },
            _ => State::Counting { failures },
        };
        if self.names.len() >= self.names_max
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.names.remove(&oldest);
        }
        self.last += 1;
        self.names.insert(name, Strike { state, place: self.last });
        self.order.insert(self.last, name);
    }

    /// Forgets what a name has failed.
    fn forgive(&mut self, name: Name) -> Option<State> {
        let strike = self.names.remove(&name)?;
        self.order.remove(&strike.place);
        Some(strike.state)
    }

    /// Forgets what a name has failed, and lifts its block.
    pub(super) fn clear(&mut self, name: Name) {
        self.forgive(name);
    }

    /// Names of which anything is remembered.
    pub(super) fn names(&self) -> impl Iterator<Item = Name> {
        self.names.keys().copied()
    }

    pub(super) fn check_invariants(&self) {
        assert!(self.names.len() <= self.names_max);
        assert_eq!(self.names.len(), self.order.len());
        for (name, strike) in &self.names {
            assert_eq!(self.order.get(&strike.place), Some(name));
            assert!(
                !matches!(strike.state, State::Counting { failures } if !(1..FAILURES_MAX).contains(&failures))
            );
        }
    }
}
