//! The one place where the daemon's wiring hears what its loop is told: signals, and the time. Decides nothing of what
//! servers and peers do.

use crate::app::logging;
use crate::proto::machine::{Effect, Input, Machine, Os};
use crate::proto::time::{Mono, Now};

/// A machine beside those that do the work. It has no links and no files.
pub(super) struct Keeper;

impl Machine for Keeper {
    fn handle_input(&mut self, input: Input<'_>, _now: Now, os: &mut dyn Os) {
        match input {
            Input::Reload => logging::reopen(),
            Input::Shutdown => os.perform(Effect::Exit),
            _ => {}
        }
    }

    fn handle_timeout(&mut self, _now: Now, _os: &mut dyn Os) {}

    fn poll_timeout(&self) -> Option<Mono> {
        None
    }
}
