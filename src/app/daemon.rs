//! A server as a process of its own: who waits for it until it is ready, and with which exit code that one ends.
//! Knows nothing of what a server does.

use std::panic;

use anyhow::{Context, Result, anyhow};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::app::{logging, terminal};
use crate::io::{Detached, Starting, detach};

/// Which process this is.
pub(super) enum Side {
    /// The one that was started, and what it has to tell.
    First(Result<bool>),
    /// The one that stays.
    Last(Starting),
}

/// Leaves the terminal. Before anything is open, and before there is a thread.
///
/// # Errors
/// If there is no process for it.
pub(super) fn leave_terminal() -> Result<Side> {
    match detach().context("cannot leave the terminal")? {
        Detached::First(started) => Ok(Side::First(match started.wait() {
            Ok(Ok((pid, lines))) => tell(pid, &lines).map(|()| true),
            Ok(Err(why)) => Err(anyhow!("{why}")),
            Err(_) => Err(anyhow!("the server ended while it started; its log may say why")),
        })),
        Detached::Last(starting) => {
            // Standard error leads nowhere.
            panic::set_hook(Box::new(|panic| {
                logging::tell_fault(&panic.to_string().replace('\n', " "));
            }));
            Ok(Side::Last(starting))
        }
    }
}

/// Says what the server has to say. If nobody can be told where it is, there shall be none.
fn tell(pid: u32, lines: &str) -> Result<()> {
    terminal::print(lines).inspect_err(|_| {
        let _ = kill(Pid::from_raw(pid.cast_signed()), Signal::SIGTERM);
    })
}
