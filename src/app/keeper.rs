//! The one place where the daemon's wiring hears what its loop is told: signals, and the time. Decides nothing of what
//! servers and peers do.

use std::rc::Rc;
use std::time::Duration;

use crate::app::systemd::{Manager, Watchdog};
use crate::app::{logging, terminal};
use crate::proto::machine::{Effect, Input, Machine, Os};
use crate::proto::time::{Mono, Now};

/// A machine beside those that do the work. It has no links and no files.
pub(super) struct Keeper {
    manager: Option<Rc<Manager>>,
    watchdog: Option<Watchdog>,
    /// How long an orderly end may take.
    grace: Duration,
    /// It logs to a terminal, and ends with that.
    at_terminal: bool,
}

impl Keeper {
    /// `manager`: who has started the server and wants to know how it is. `grace`: how long an orderly end may take. `logs_here`: to
    /// standard error, not into a file.
    pub(super) fn new(manager: Option<Rc<Manager>>, grace: Duration, logs_here: bool) -> Keeper {
        let watchdog = manager.as_ref().and_then(|_| Watchdog::from_environment());
        Keeper { manager, watchdog, grace, at_terminal: logs_here && terminal::shows_progress() }
    }

    fn reload(&self, os: &mut dyn Os) {
        // One that has gone is a terminal no more.
        if self.at_terminal && !terminal::shows_progress() {
            return self.end(os);
        }
        self.manager.iter().for_each(|manager| manager.reloading());
        logging::reopen();
        self.manager.iter().for_each(|manager| manager.reloaded());
    }

    /// The others are asked to end then, if they were not yet.
    fn end(&self, os: &mut dyn Os) {
        self.manager.iter().for_each(|manager| manager.stopping(self.grace));
        os.perform(Effect::Exit);
    }
}

impl Machine for Keeper {
    fn handle_input(&mut self, input: Input<'_>, now: Now, os: &mut dyn Os) {
        match input {
            Input::Start => self.watchdog.iter_mut().for_each(|watchdog| watchdog.begin(now.mono)),
            Input::Reload => self.reload(os),
            Input::Shutdown => self.end(os),
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

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use super::*;
    use crate::proto::time::Wall;

    struct Nothing;

    impl Os for Nothing {
        fn perform(&mut self, effect: Effect<'_>) {
            panic!("{effect:?}");
        }
    }

    #[test]
    fn the_manager_hears_of_the_loop_at_half_its_patience_and_never_late() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("manager");
        let heard = UnixDatagram::bind(&path).unwrap();
        heard.set_nonblocking(true).unwrap();
        let manager = Some(Rc::new(Manager::at(path.as_os_str()).unwrap()));
        let watchdog = Some(Watchdog::new(Duration::from_secs(4)));
        let mut keeper = Keeper { manager, watchdog, grace: Duration::ZERO, at_terminal: false };
        let at = |seconds: u64| Now { mono: Mono(seconds * 1_000_000_000), wall: Wall(0) };
        // It took three seconds until the loop began.
        keeper.handle_input(Input::Start, at(3), &mut Nothing);
        for due in [5, 7, 9] {
            assert_eq!(keeper.poll_timeout(), Some(at(due).mono));
            keeper.handle_timeout(at(due), &mut Nothing);
            let mut word = [0; 64];
            let length = heard.recv(&mut word).unwrap();
            assert_eq!(&word[..length], b"WATCHDOG=1\n");
        }
        assert!(heard.recv(&mut [0; 64]).is_err(), "no more than that");
    }
}
