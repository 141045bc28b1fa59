//! SIGTERM and SIGINT as events of the reactor. Decides nothing about them.

use std::io;

use log::info;
use mio::{Interest, Registry};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook_mio::v1_0 as hook;

use crate::io::token::Source;

/// Catches the signals that ask a program to end.
pub(super) struct Signals {
    hook: hook::Signals,
}

impl Signals {
    /// # Errors
    /// Out of descriptors.
    pub(super) fn new(registry: &Registry) -> io::Result<Signals> {
        let mut hook = hook::Signals::new([SIGTERM, SIGINT])?;
        registry.register(&mut hook, Source::Signals.token(), Interest::READABLE)?;
        Ok(Signals { hook })
    }

    /// How many came since this was asked last. The same signal twice may count once.
    pub(super) fn take(&mut self) -> u32 {
        let mut count = 0;
        for signal in self.hook.pending() {
            info!("signal name={}", if signal == SIGTERM { "SIGTERM" } else { "SIGINT" });
            count += 1;
        }
        count
    }
}
