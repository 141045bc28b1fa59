//! Signals as events of the reactor: which of them ask to end, and which ask for that at once. Ends nothing.

use std::fs;
use std::io;

use log::info;
use mio::{Interest, Registry};
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGWINCH};
use signal_hook::low_level::signal_name;
use signal_hook_mio::v1_0 as hook;

use crate::io::answer::Answer;
use crate::io::reactor::{Host, Reactor};
use crate::io::token::Source;
use crate::proto::limits::SIGNALS_AT_ONCE;
use crate::proto::machine::{Input, OPERATOR};
use crate::proto::time::{Mono, ns};

/// Catches the signals that ask a program to end, and others that it is told to catch.
pub(super) struct Signals {
    hook: hook::Signals,
    /// What SIGHUP means here: read again what has changed, not the end.
    hangup_reloads: bool,
    pub(super) ends: Ends,
}

/// How often the program was asked to end.
#[derive(Default)]
pub(super) struct Ends {
    first: Option<Mono>,
    /// A second signal asks for an end at once.
    pub(super) at_once: bool,
}

/// What came since this was asked last. The same signal twice may count once.
pub(super) struct Taken {
    pub(super) end: bool,
    /// What lies outside has changed.
    pub(super) reload: bool,
    /// The log is to say how things stand.
    pub(super) report: bool,
    /// The terminal has another size, or the program is in front again.
    pub(super) repaint: bool,
}

impl Signals {
    /// # Errors
    /// Out of descriptors.
    pub(super) fn new(registry: &Registry) -> io::Result<Signals> {
        let mut hook = hook::Signals::new([SIGTERM, SIGINT])?;
        // The terminal is gone: an end, too, unless `nohup` has said otherwise.
        if !is_ignored(SIGHUP) {
            hook.add_signal(SIGHUP)?;
        }
        registry.register(&mut hook, Source::Signals.token(), Interest::READABLE)?;
        Ok(Signals { hook, hangup_reloads: false, ends: Ends::default() })
    }

    /// Also those that matter to who paints a terminal.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub(super) fn add_those_of_terminals(&self) -> io::Result<()> {
        let mut signals = [SIGWINCH, SIGCONT].into_iter().filter(|signal| !is_ignored(*signal));
        signals.try_for_each(|signal| self.hook.add_signal(signal))
    }

    /// Also those by which an operator speaks to who serves, whatever `nohup` has said.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub(super) fn add_those_of_servers(&mut self) -> io::Result<()> {
        self.hangup_reloads = true;
        [SIGHUP, SIGUSR1].into_iter().try_for_each(|signal| self.hook.add_signal(signal))
    }

    pub(super) fn take(&mut self, now: Mono) -> Taken {
        let mut taken = Taken { end: false, reload: false, report: false, repaint: false };
        for signal in self.hook.pending() {
            if matches!(signal, SIGWINCH | SIGCONT) {
                taken.repaint = true;
                continue;
            }
            info!(target: OPERATOR, "signal name={}", signal_name(signal).unwrap_or("?"));
            match signal {
                SIGHUP if self.hangup_reloads => taken.reload = true,
                SIGUSR1 => taken.report = true,
                _ => {
                    taken.end = true;
                    self.ends.count(signal, now);
                }
            }
        }
        taken
    }
}

impl Ends {
    fn count(&mut self, signal: i32, now: Mono) {
        let first = *self.first.get_or_insert(now);
        // A terminal that goes away may say so twice: the kernel does, and then the shell.
        self.at_once |= signal != SIGHUP && now.since_ns(first) > ns(SIGNALS_AT_ONCE);
    }
}

impl Reactor {
    /// Tells the machines of [`Input::Reload`] and [`Input::Report`] from here on, when SIGHUP and SIGUSR1 come. Until
    /// then SIGHUP asks the program to end, and SIGUSR1 kills it.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn serve_signals(&mut self) -> io::Result<()> {
        self.signals.add_those_of_servers()
    }

    /// Passes on what signals ask for.
    pub(super) fn visit_signals(&mut self, hosts: &mut [Host<'_>]) {
        let taken = self.signals.take(self.clock.mono());
        if taken.reload {
            self.answer_all(|| Answer::Reload);
        }
        if taken.report {
            self.answer_all(|| Answer::Report);
        }
        if taken.end {
            self.shut_down_all();
        }
        if let (true, Some(typing)) = (taken.repaint, &self.typing) {
            let machine = typing.machine;
            self.tell(hosts, machine, Input::Typed { bytes: &[] });
        }
    }

    /// The same for every machine that still runs.
    fn answer_all(&mut self, answer: impl Fn() -> Answer) {
        let running = self.seats.iter().enumerate().filter(|(_, seat)| !seat.ended);
        self.answers.extend(running.map(|(machine, _)| (machine, answer())));
    }
}

/// Whether who started this program wants it to take no notice of a signal (proc_pid_status(5)).
fn is_ignored(signal: i32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored =
        status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    ignored.is_some_and(|set| set & (1 << (signal - 1)) != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_that_come_together_are_one() {
        let at = |millis: u64| Mono(millis * 1_000_000);
        let mut ends = Ends::default();
        for (signal, millis) in [(SIGTERM, 5), (SIGTERM, 5), (SIGINT, 90), (SIGHUP, 5000)] {
            ends.count(signal, at(millis));
            assert!(!ends.at_once, "{signal} {millis}");
        }
        ends.count(SIGTERM, at(5001));
        assert!(ends.at_once);
    }
}
