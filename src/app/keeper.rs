//! The one place where the daemon's wiring hears what its loop is told: signals, and the time. Decides nothing of what
//! servers and peers do.

use std::rc::Rc;

use crate::app::logging;
use crate::app::systemd::{Manager, Watchdog};
use crate::proto::machine::{Effect, Input, Machine, Os};
use crate::proto::time::{Mono, Now};

/// A machine beside those that do the work. It has no links and no files.
pub(super) struct Keeper {
    manager: Option<Rc<Manager>>,
    watchdog: Option<Watchdog>,
}

impl Keeper {
    /// `manager`: who has started the server and wants to know how it is.
    pub(super) fn new(manager: Option<Rc<Manager>>) -> Keeper {
        let watchdog = manager.as_ref().and_then(|_| Watchdog::from_environment());
        Keeper { manager, watchdog }
    }

    fn reload(&self) {
        self.manager.iter().for_each(|manager| manager.reloading());
        logging::reopen();
        self.manager.iter().for_each(|manager| manager.reloaded());
    }
}

impl Machine for Keeper {
    fn handle_input(&mut self, input: Input<'_>, _now: Now, os: &mut dyn Os) {
        match input {
            Input::Reload => self.reload(),
            Input::Shutdown => {
                self.manager.iter().for_each(|manager| manager.stopping());
                os.perform(Effect::Exit);
            }
            _ => {}
        }
    }

    fn handle_timeout(&mut self, now: Now, _os: &mut dyn Os) {
        if let (Some(watchdog), Some(manager)) = (&mut self.watchdog, &self.manager) {
            watchdog.on_timeout(now.mono, manager);
        }
    }

    fn poll_timeout(&self) -> Option<Mono> {
        self.watchdog.as_ref().map(Watchdog::next_at)
    }
}
