//! The line that shows how a run goes, while it goes, on a terminal.

use std::time::Duration;

use crate::app::summary::micros;
use crate::app::terminal;
use crate::app::watched::Watched;
use crate::proto::peer::{Peers, Progress};
use crate::proto::time::{Now, SECOND_NS};

/// How often the line is drawn anew.
const PERIOD: Duration = Duration::from_millis(250);

/// Peers with a progress line, if anybody can see it.
pub(super) fn watch(peers: Peers) -> Watched<Peers> {
    if terminal::shows_progress() {
        return Watched::every(PERIOD, peers, |peers: &Peers, now: Now| {
            terminal::show_progress(&line(&peers.progress(now.mono)));
        });
    }
    Watched::never(peers)
}

fn line(progress: &Progress) -> String {
    let mut parts = Vec::new();
    if progress.running > 0 {
        let left_s = progress.left_ns.div_ceil(SECOND_NS);
        parts.push(format!("{}:{:02} left", left_s / 60, left_s % 60));
    } else if progress.ended < progress.members && progress.sent == 0 {
        parts.push("looking for the server".to_owned());
    }
    parts
        .push(format!("{} ticks, {} answered, {} missed", progress.sent, progress.answered, progress.missed));
    if let Some(lateness) = &progress.lateness_ns {
        parts.push(format!("late p50 {} p99 {}", micros(lateness.p50), micros(lateness.p99)));
    }
    if progress.sharing > 0 || progress.files_received > 0 {
        parts.push(format!("{}/{} files", progress.files_received, progress.files_expected));
    }
    parts.join(" | ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_matters_now() {
        let mut progress = Progress {
            members: 1,
            running: 1,
            sharing: 0,
            ended: 0,
            left_ns: 61 * SECOND_NS,
            sent: 5,
            missed: 0,
            answered: 4,
            lateness_ns: None,
            files_received: 0,
            files_expected: 0,
        };
        assert_eq!(line(&progress), "1:01 left | 5 ticks, 4 answered, 0 missed");
        progress = Progress { running: 0, sharing: 1, files_received: 1, files_expected: 4, ..progress };
        assert_eq!(line(&progress), "5 ticks, 4 answered, 0 missed | 1/4 files");
    }
}
