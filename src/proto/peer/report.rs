//! What came of the peers of a process: figures for programs, and the state of things for a
//! progress line. Formats nothing.

use serde::Serialize;

use crate::proto::clock::{Percentiles, Spread};
use crate::proto::exchange::Accounts;
use crate::proto::ids::Name;
use crate::proto::peer::member::{Member, Stage};
use crate::proto::time::Mono;

/// How a member ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It has not ended.
    Unfinished,
    /// It has every file of its group, and every other member has its files.
    Complete,
    /// The same, but for these.
    Missing(Vec<Missing>),
    /// It was asked to stop.
    Interrupted,
    /// It could not do what it is for.
    Failed(String),
}

impl Outcome {
    pub(super) fn is_unfinished(&self) -> bool {
        *self == Outcome::Unfinished
    }

    fn word(&self) -> &'static str {
        match self {
            Outcome::Unfinished => "unfinished",
            Outcome::Complete => "complete",
            Outcome::Missing(_) => "missing files",
            Outcome::Interrupted => "interrupted",
            Outcome::Failed(_) => "failed",
        }
    }
}

/// A file that somebody lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Name of the file.
    pub file: String,
    /// Whose record it is.
    pub of: Name,
    /// Who lacks it.
    pub at: String,
    /// What is known about the reason.
    pub why: String,
}

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "peer {} lacks {} of peer {} ({})", self.at, self.file, self.of, self.why)
    }
}

/// The peers of a process; serializes as the object that `--json` prints.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// In the order of their places in the process.
    pub peers: Vec<PeerReport>,
}

impl Report {
    /// Everybody has everything.
    pub fn is_complete(&self) -> bool {
        self.peers.iter().all(|peer| peer.outcome == "complete")
    }
}

/// One member's figures. Times are in ns; percentiles are absent when nothing was measured.
#[derive(Clone, Debug, Default, Serialize)]
pub struct PeerReport {
    /// Its ID; absent if it never joined.
    pub id: Option<String>,
    /// `complete`, `missing files`, `interrupted`, `failed` or `unfinished`.
    pub outcome: &'static str,
    /// Why it failed, or who lacks what.
    pub problems: Vec<String>,
    /// Slots of the grid that are over.
    pub ticks_due: u64,
    /// Ticks sent in their slot.
    pub ticks_sent: u64,
    /// Slots without a tick: `ticks_overslept + ticks_blocked + ticks_offline`.
    pub ticks_missed: u64,
    /// Missed because the loop came to it too late.
    pub ticks_overslept: u64,
    /// Missed because the socket was full.
    pub ticks_blocked: u64,
    /// Missed because there was no link to the server.
    pub ticks_offline: u64,
    /// Sent more than half an interval late.
    pub ticks_late: u64,
    /// Sent and answered.
    pub ticks_answered: u64,
    /// Answers that came in one read with an earlier one.
    pub ticks_coalesced: u64,
    /// Answers to nothing that was asked.
    pub answers_stray: u64,
    /// Ticks that the server says it received, and answers that it says it sent: counted on its link, and not
    /// a promise that its disk took every row.
    pub rows_at_server: Option<(u64, u64)>,
    /// How late ticks were sent against the grid.
    pub lateness_ns: Option<Percentiles>,
    /// Round trips without the time that the server held them.
    pub rtt_ns: Option<Percentiles>,
    /// The server's clock minus this machine's.
    pub offset_ns: Option<i64>,
    /// The true offset is within this of `offset_ns`.
    pub offset_bound_ns: Option<u64>,
    /// When that was true, in ns since 1970 UTC; clocks drift apart from then on.
    pub offset_at_unix_ns: Option<u64>,
    /// How fast the offset grows; not measured yet.
    pub drift_ppm: Option<f64>,
    /// Steps of this machine's wall clock.
    pub clock_steps: u64,
    /// Times that the link to the server had to be made again.
    pub reconnects: u64,
    /// Rows and samples that found no place on the disk.
    pub rows_lost: u64,
    /// Files of others that are complete and verified here.
    pub files_received: usize,
    /// Files of others that should be.
    pub files_expected: usize,
    /// Bytes of others' files that came and were right.
    pub bytes_fetched: u64,
    /// Octets in which they came, and those that came in vain: fewer, where chunks came packed.
    pub wire_bytes_fetched: u64,
    /// Bytes of files that were sent to others. A chunk that was begun counts, also if its link broke.
    pub bytes_sent: u64,
    /// Octets in which they were sent.
    pub wire_bytes_sent: u64,
}

impl Member {
    pub(super) fn report(&self) -> PeerReport {
        let ticker = self.run.as_ref().map(|run| &run.ticker);
        let accounts = ticker.map_or_else(Accounts::default, |ticker| *ticker.accounts());
        let offset = ticker.and_then(|ticker| ticker.offset());
        let lost = self.run.as_ref().map_or(0, |run| run.table.lost_rows() + run.samples.lost_rows());
        PeerReport {
            id: self.id.map(|id| id.to_string()),
            outcome: self.outcome.word(),
            problems: match &self.outcome {
                Outcome::Failed(why) => vec![why.clone()],
                Outcome::Missing(missing) => missing.iter().map(ToString::to_string).collect(),
                _ => Vec::new(),
            },
            ticks_due: accounts.due,
            ticks_sent: accounts.sent,
            ticks_missed: accounts.missed,
            ticks_overslept: accounts.overslept,
            ticks_blocked: accounts.blocked,
            ticks_offline: accounts.offline,
            ticks_late: accounts.late,
            ticks_answered: accounts.answered,
            ticks_coalesced: accounts.coalesced,
            answers_stray: accounts.stray,
            rows_at_server: self.rows_there,
            lateness_ns: ticker.and_then(|ticker| ticker.lateness().percentiles()),
            rtt_ns: ticker.and_then(|ticker| ticker.rtt().percentiles()),
            offset_ns: offset.map(|offset| offset.offset_ns),
            offset_bound_ns: offset.map(|offset| offset.bound_ns),
            offset_at_unix_ns: offset.map(|offset| offset.at.0),
            drift_ppm: None,
            clock_steps: accounts.clock_steps,
            reconnects: self.contacts_made.saturating_sub(1),
            rows_lost: lost,
            files_received: self.files_received(),
            files_expected: self.files_expected(),
            bytes_fetched: self.library.iter().map(|item| item.fetched_bytes).sum(),
            wire_bytes_fetched: self.library.iter().map(|item| item.wire_bytes).sum(),
            bytes_sent: self.served_bytes,
            wire_bytes_sent: self.served_wire_bytes,
        }
    }

    fn files_received(&self) -> usize {
        self.others.files_received(&self.library)
    }

    fn files_expected(&self) -> usize {
        self.others.files_expected()
    }
}

/// How late the ticks of all members were.
pub(super) fn lateness(members: &[Member]) -> Spread {
    let mut all = Spread::new();
    members.iter().filter_map(|member| member.run.as_ref()).for_each(|run| all.merge(run.ticker.lateness()));
    all
}

/// Members whose lateness is put together for a progress line.
const SHOWN_MEMBERS_MAX: usize = 16;

/// The state of things, for a progress line.
#[derive(Clone, Debug)]
pub struct Progress {
    /// Members in this process.
    pub members: usize,
    /// Of these, with a run that is on.
    pub running: usize,
    /// Of these, fetching or serving.
    pub sharing: usize,
    /// Of these, at their end.
    pub ended: usize,
    /// Until the last run ends.
    pub left_ns: u64,
    /// Sums over all members.
    pub sent: u64,
    /// See [`PeerReport::ticks_missed`].
    pub missed: u64,
    /// See [`PeerReport::ticks_answered`].
    pub answered: u64,
    /// Lateness of all members together, if they are few.
    pub lateness_ns: Option<Percentiles>,
    /// See [`PeerReport::files_received`].
    pub files_received: usize,
    /// See [`PeerReport::files_expected`].
    pub files_expected: usize,
}

impl Progress {
    pub(super) fn of(members: &[Member], now: Mono) -> Progress {
        let count = |stages: &[Stage]| members.iter().filter(|member| stages.contains(&member.stage)).count();
        let tickers = || members.iter().filter_map(|member| member.run.as_ref()).map(|run| &run.ticker);
        let sum = |pick: fn(&Accounts) -> u64| tickers().map(|ticker| pick(ticker.accounts())).sum();
        Progress {
            members: members.len(),
            running: count(&[Stage::Running, Stage::Settling]),
            sharing: count(&[Stage::Sharing, Stage::Leaving]),
            ended: count(&[Stage::Ended]),
            left_ns: tickers().map(|ticker| ticker.end().since_ns(now)).max().unwrap_or(0),
            sent: sum(|accounts| accounts.sent),
            missed: sum(|accounts| accounts.missed),
            answered: sum(|accounts| accounts.answered),
            // Drawn a few times a second on the loop: many histograms would make late what they show.
            lateness_ns: if members.len() <= SHOWN_MEMBERS_MAX {
                lateness(members).percentiles()
            } else {
                None
            },
            files_received: members.iter().map(Member::files_received).sum(),
            files_expected: members.iter().map(Member::files_expected).sum(),
        }
    }
}
