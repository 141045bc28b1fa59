//! How fast a client talks to its server: a burst, then steadily, and always slower than the server minds. Holds nothing
//! back itself: what is not of a user is counted, and users wait for it.
//!
//! The server's rule is the same ([`Gcra`]), over all lines of a link, with larger numbers.

use crate::proto::gcra::Gcra;
use crate::proto::limits::{LISTED_PER_COMMAND, SAID_BURST, SAID_PAUSE};
use crate::proto::time::{Mono, ns};

const LINES: Gcra = Gcra::new(SAID_BURST, SAID_PAUSE);

/// What was said over one link.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// When all of it has had its time.
    paid_until: Mono,
    /// Lines that are in it.
    noted: u64,
}

impl Pace {
    /// So many lines were said over the link so far.
    pub(super) fn note(&mut self, lines: u64, now: Mono) {
        let more = lines.saturating_sub(self.noted);
        if more > 0 {
            self.noted = lines;
            LINES.charge(&mut self.paid_until, more, now);
        }
    }

    /// A name in a list, which costs the server a little of what a line does.
    pub(super) fn note_listed(&mut self) {
        self.paid_until.0 += ns(SAID_PAUSE) / LISTED_PER_COMMAND;
    }

    /// When one more line may be said, if not now.
    pub(super) fn free_at(&self, now: Mono) -> Option<Mono> {
        Some(LINES.due(self.paid_until, 1, now)).filter(|at| *at > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::limits::{COMMAND_PAUSE, COMMANDS_BURST};

    #[test]
    fn a_burst_then_steadily_and_never_faster_than_the_server_minds() {
        let (mut pace, mut now, mut said) = (Pace::default(), Mono(5), 0);
        // The server's own rule, with a clock that is a percent slow, and lines that come late and then together.
        let (taken, mut until) = (Gcra::new(COMMANDS_BURST, COMMAND_PAUSE), Mono(0));
        for _ in 0..100_000 {
            let before = said;
            while pace.free_at(now).is_none() {
                said += 1;
                pace.note(said, now);
            }
            let there = Mono((now.0 / 99_000_000 * 99_000_000) * 99 / 100);
            assert!(taken.take(&mut until, said - before, there), "{said} lines");
            now = pace.free_at(now).unwrap();
        }
        assert!(said >= SAID_BURST + 99_000, "{said}");
    }

    #[test]
    fn a_long_list_counts_as_some_lines() {
        let mut pace = Pace::default();
        pace.note(1, Mono(0));
        (0..LISTED_PER_COMMAND * SAID_BURST).for_each(|_| pace.note_listed());
        let free_at = pace.free_at(Mono(0)).unwrap();
        assert!((1..=2 * ns(SAID_PAUSE)).contains(&free_at.0), "{free_at:?}");
    }
}
