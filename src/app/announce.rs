//! Who hears where a server listens: standard output, one line a listener; and when the last is open, whoever waits
//! for the start. Opens nothing.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;

use nix::sys::signal::{Signal, raise};

use crate::app::terminal;
use crate::io::Starting;

/// Shared by those who watch the machines that listen; nobody keeps it while somebody else does anything.
pub(super) struct Announcer {
    /// Listeners that are not open yet.
    awaited: Cell<usize>,
    /// What the first process will print.
    lines: Cell<String>,
    /// `None` in the foreground, and when it knows.
    starting: Cell<Option<Starting>>,
}

impl Announcer {
    /// `starting`: the way to the first process of a daemon.
    pub(super) fn new(listeners: usize, starting: Option<Starting>) -> Rc<Announcer> {
        let (awaited, starting) = (Cell::new(listeners), Cell::new(starting));
        Rc::new(Announcer { awaited, lines: Cell::default(), starting })
    }

    /// One of the listeners is open.
    pub(super) fn announce(&self, what: &str, addr: SocketAddr) {
        self.awaited.set(self.awaited.get().saturating_sub(1));
        let line = format!("listening {what} {addr}\n");
        let Some(starting) = self.starting.take() else {
            if let Err(error) = terminal::print(&line) {
                log::warn!("nobody is told where the server listens error=\"{error:#}\"");
            }
            return;
        };
        let lines = self.lines.take() + &line;
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
