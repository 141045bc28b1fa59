//! Signals as events of the reactor. Decides nothing about them.

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

    /// Also those that matter to who reads from a terminal: it is gone (an end, too), or needs painting.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub(super) fn add_those_of_terminals(&self) -> io::Result<()> {
        [SIGHUP, SIGWINCH, SIGCONT].into_iter().try_for_each(|signal| self.hook.add_signal(signal))
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
