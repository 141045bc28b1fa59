//! Who hears where a server listens: standard output, one line a listener; and when the last is open, whoever waits
//! for the start, and the service manager. Opens nothing.

use std::cell::{Cell, OnceCell};
use std::net::SocketAddr;
use std::rc::Rc;

use nix::sys::signal::{Signal, raise};

use crate::app::systemd::Manager;
use crate::app::terminal;
use crate::io::Starting;

/// Shared by those who watch the machines that listen; nobody keeps it while somebody else does anything.
pub(super) struct Announcer {
    /// Listeners that are not open yet.
    awaited: Cell<usize>,
    /// What was said so far; the first process will print it.
    lines: Cell<String>,
    /// `None` in the foreground, and when it knows.
    starting: Cell<Option<Starting>>,
    manager: OnceCell<Rc<Manager>>,
}

impl Announcer {
    /// `starting`: the way to the first process of a daemon.
    pub(super) fn new(starting: Option<Starting>) -> Rc<Announcer> {
        let (awaited, starting) = (Cell::new(usize::MAX), Cell::new(starting));
        Rc::new(Announcer { awaited, lines: Cell::default(), starting, manager: OnceCell::new() })
    }

    /// So many listeners will be announced. `manager`: who hears of it as well.
    pub(super) fn expect(&self, listeners: usize, manager: Option<&Rc<Manager>>) {
        self.awaited.set(listeners);
        manager.into_iter().for_each(|manager| drop(self.manager.set(Rc::clone(manager))));
    }

    /// One of the listeners is open.
    pub(super) fn announce(&self, what: &str, addr: SocketAddr) {
        self.awaited.set(self.awaited.get().saturating_sub(1));
        let line = format!("listening {what} {addr}\n");
        let lines = self.lines.take() + &line;
        if let (true, Some(manager)) = (self.is_ready(), self.manager.get()) {
            manager.ready(&lines);
        }
        let Some(starting) = self.starting.take() else {
            if let Err(error) = terminal::print(&line) {
                log::warn!("nobody is told where the server listens error=\"{error:#}\"");
            }
            return self.lines.set(lines);
        };
        if !self.is_ready() {
            self.lines.set(lines);
            return self.starting.set(Some(starting));
        }
        if let Err(error) = starting.ready(&lines) {
            // Whoever started it takes it for failed, or has stopped it.
            log::error!("nobody waits for the start any more error=\"{error}\"");
            let _ = raise(Signal::SIGTERM);
        }
    }

    /// Every listener is open.
    pub(super) fn is_ready(&self) -> bool {
        self.awaited.get() == 0
    }

    /// Nothing comes of it. Whoever knows of a ready server is told nothing.
    pub(super) fn fail(&self, why: &str) {
        if let Some(starting) = self.starting.take() {
            // If nobody listens, the log has it.
            let _ = starting.failed(why);
        }
    }
}
