//! What a service manager is told (sd_notify(3)): that the server is ready, reloads, ends, and that its loop still turns.
//! Where there is no manager nothing happens. Never waits for it, and never decides when to tell what.

use std::cell::Cell;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use sd_notify::NotifyState;

use crate::proto::time::Mono;

/// What an end takes beyond what was given to it: the files are closed, and the database.
const END_SPARE: Duration = Duration::from_secs(5);

/// The way to the manager. It has its own socket: the crate's call waits while the manager does not read.
pub(super) struct Manager {
    socket: UnixDatagram,
    addr: SocketAddr,
    /// It has been said that the manager cannot be told.
    is_warned: Cell<bool>,
}

impl Manager {
    /// As the environment names it (`NOTIFY_SOCKET`).
    pub(super) fn from_environment() -> Option<Manager> {
        let name = std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty())?;
        Manager::at(&name)
            .inspect_err(|error| log::warn!("manager NOTIFY_SOCKET={} error=\"{error}\"", name.display()))
            .ok()
    }

    pub(super) fn at(name: &OsStr) -> io::Result<Manager> {
        let (addr, socket) = (address(name)?, UnixDatagram::unbound()?);
        socket.set_nonblocking(true)?;
        Ok(Manager { socket, addr, is_warned: Cell::new(false) })
    }

    /// Every listener is open; `listening` says where, in lines.
    pub(super) fn ready(&self, listening: &str) {
        let status = listening.lines().collect::<Vec<_>>().join(", ");
        self.tell(&[NotifyState::Ready, NotifyState::Status(&status)]);
    }

    /// What can be read again is read again; [`Manager::reloaded`] follows.
    pub(super) fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => self.tell(&[NotifyState::Reloading, now]),
            Err(error) => log::warn!("manager hears of no reload error=\"{error}\""),
        }
    }

    pub(super) fn reloaded(&self) {
        self.tell(&[NotifyState::Ready]);
    }

    /// It takes no longer than `grace`, and a little that nobody bounds. A manager that would wait for less is asked to wait.
    pub(super) fn stopping(&self, grace: Duration) {
        // The crate has 32 bits for it, which is 71 minutes.
        let patience = format!("EXTEND_TIMEOUT_USEC={}", (grace + END_SPARE).as_micros());
        let words = [NotifyState::Stopping, NotifyState::Status("ending"), NotifyState::Custom(&patience)];
        self.tell(&words);
    }

    fn tell(&self, words: &[NotifyState<'_>]) {
        let mut text = String::new();
        for word in words {
            let _ = writeln!(text, "{word}");
        }
        match self.socket.send_to_addr(text.as_bytes(), &self.addr) {
            Ok(_) => self.is_warned.set(false),
            Err(error) => {
                if !self.is_warned.replace(true) {
                    log::warn!("manager cannot be told word={:?} error=\"{error}\"", text.trim_end());
                }
            }
        }
    }
}

/// A path, or a name that is none (`@name`).
fn address(name: &OsStr) -> io::Result<SocketAddr> {
    match name.as_bytes().split_first() {
        Some((b'@', name)) => SocketAddr::from_abstract_name(name),
        _ => SocketAddr::from_pathname(name),
    }
}

/// Tells the manager again and again that the loop turns; it ends a server that is silent for twice the period.
pub(super) struct Watchdog {
    period: Duration,
    next: Mono,
}

impl Watchdog {
    /// If the manager asks for it (`WATCHDOG_USEC`).
    pub(super) fn from_environment() -> Option<Watchdog> {
        let timeout = sd_notify::watchdog_enabled().filter(|timeout| *timeout >= Duration::from_micros(2))?;
        Some(Watchdog::new(timeout))
    }

    pub(super) fn new(timeout: Duration) -> Watchdog {
        Watchdog { period: timeout / 2, next: Mono(0) }
    }

    /// The loop begins to turn. A time before that would count as one that it has missed.
    pub(super) fn begin(&mut self, now: Mono) {
        self.next = now + self.period;
    }

    pub(super) fn next_at(&self) -> Mono {
        self.next
    }

    /// Tells it, if it is time to.
    pub(super) fn on_timeout(&mut self, now: Mono, manager: &Manager) {
        if self.next <= now {
            self.next = now + self.period;
            manager.tell(&[NotifyState::Watchdog]);
        }
    }
}
