//! Signals as events of the reactor. Decides nothing about them.

use std::fs;
use std::io;

use log::info;
use mio::{Interest, Registry};
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGTERM, SIGWINCH};
use signal_hook::low_level::signal_name;
use signal_hook_mio::v1_0 as hook;

use crate::io::token::Source;

/// Catches the signals that ask a program to end.
pub(super) struct Signals {
    hook: hook::Signals,
}

/// What came since this was asked last. The same signal twice may count once.
pub(super) struct Taken {
    /// How many that ask to end.
    pub(super) ends: u32,
    /// The terminal has another size, or the program is in front again.
    pub(super) repaint: bool,
}

impl Signals {
    /// # Errors
    /// Out of descriptors.
    pub(super) fn new(registry: &Registry) -> io::Result<Signals> {
        let mut hook = hook::Signals::new([SIGTERM, SIGINT])?;
        registry.register(&mut hook, Source::Signals.token(), Interest::READABLE)?;
        Ok(Signals { hook })
    }

    /// Also those that matter to who reads from a terminal: it is gone (an end, too, unless `nohup` has said otherwise), or
    /// needs painting.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub(super) fn add_those_of_terminals(&self) -> io::Result<()> {
        let mut signals = [SIGHUP, SIGWINCH, SIGCONT].into_iter().filter(|signal| !is_ignored(*signal));
        signals.try_for_each(|signal| self.hook.add_signal(signal))
    }

    pub(super) fn take(&mut self) -> Taken {
        let mut taken = Taken { ends: 0, repaint: false };
        for signal in self.hook.pending() {
            match signal {
                SIGWINCH | SIGCONT => taken.repaint = true,
                _ => {
                    info!("signal name={}", signal_name(signal).unwrap_or("?"));
                    taken.ends += 1;
                }
            }
        }
        taken
    }
}

/// Whether who started this program wants it to take no notice of a signal (proc_pid_status(5)).
fn is_ignored(signal: i32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored =
        status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    ignored.is_some_and(|set| set & (1 << (signal - 1)) != 0)
}
