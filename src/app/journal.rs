//! What systemd's journal is told of a line: how much it weighs (sd-daemon(3)). Writes nothing.

use std::io;

use log::Level;
use nix::sys::stat::fstat;

/// What a line of standard error begins with. The journal takes it off; without it every line weighs as much as the
/// others, for the priority that people ask for and for how many lines are let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Weights {
    is_journal: bool,
}

impl Weights {
    pub(super) const NONE: Weights = Weights { is_journal: false };

    /// Those of standard error, which has them if it is the very stream that the journal has given (`JOURNAL_STREAM`).
    pub(super) fn of_stderr() -> Weights {
        let stream = fstat(io::stderr()).map(|known| format!("{}:{}", known.st_dev, known.st_ino));
        Weights { is_journal: stream.is_ok_and(|stream| std::env::var("JOURNAL_STREAM") == Ok(stream)) }
    }

    pub(super) fn of(self, level: Level) -> &'static str {
        match level {
            _ if !self.is_journal => "",
            Level::Error => "<3>",
            Level::Warn => "<4>",
            Level::Info => "<6>",
            Level::Debug | Level::Trace => "<7>",
        }
    }
}
