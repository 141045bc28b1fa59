//! One peer's run: which tick is due, what became of each, and what the answers say about path
//! and clocks. Every slot of the grid ends up in exactly one account.

use serde::Serialize;

use crate::proto::cadence::Cadence;
use crate::proto::clock::{Exchange, Offset, OffsetEstimate, Spread, StepWatch};
use crate::proto::limits::TICKS_OUTSTANDING_MAX;
use crate::proto::record::Sample;
use crate::proto::time::{Mono, Now, Wall};

/// The run of one peer.
#[derive(Debug)]
pub struct Ticker {
    cadence: Cadence,
    accounts: Accounts,
    lateness: Spread,
    rtt: Spread,
    offset: OffsetEstimate,
    steps: StepWatch,
    /// The ticks sent last, each at `seq % TICKS_OUTSTANDING_MAX`.
    outstanding: Vec<Outstanding>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Outstanding {
    seq: u64,
    t1: Wall,
    sent_at: Mono,
    lateness_ns: u64,
    waiting: bool,
}

/// What became of the ticks. `due = sent + missed`, `missed = overslept + blocked + offline`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Accounts {
    /// Slots that are over.
    pub due: u64,
    /// Ticks that were sent, in their slot.
    pub sent: u64,
    /// Slots that went by without a tick.
    pub missed: u64,
    /// Missed, because the loop came to it too late.
    pub overslept: u64,
    /// Missed, because the socket was full.
    pub blocked: u64,
    /// Missed, because there was no link to the server.
    pub offline: u64,
    /// Sent more than half an interval late.
    pub late: u64,
    /// Sent, and answered.
    pub answered: u64,
    /// Answers that came in one read with an earlier one.
    pub coalesced: u64,
    /// Answers to nothing that was asked, or that came twice or much too late.
    pub stray: u64,
    /// Steps of this machine's wall clock.
    pub clock_steps: u64,
}

/// The way to the server at the time of a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Road {
    /// A tick can be sent.
    Open,
    /// The socket is full.
    Blocked,
    /// There is no link.
    Offline,
}

impl Ticker {
    /// A run on the given grid.
    pub fn new(cadence: Cadence) -> Ticker {
        Ticker {
            cadence,
            accounts: Accounts::default(),
            lateness: Spread::new(),
            rtt: Spread::new(),
            offset: OffsetEstimate::new(),
            steps: StepWatch::new(),
            outstanding: vec![Outstanding::default(); TICKS_OUTSTANDING_MAX],
        }
    }

    /// When the next tick is due; `None` after the last one.
    pub fn due_at(&self) -> Option<Mono> {
        self.cadence.due_at()
    }

    /// When the last slot ends.
    pub fn end(&self) -> Mono {
        self.cadence.end()
    }

    /// Accounts for the slots that are due; returns the number of the tick to send now, if any.
    /// Its t1 is `now.wall`.
    pub fn take(&mut self, now: Now, road: Road) -> Option<u64> {
        if self.steps.observe(now).is_some() {
            self.accounts.clock_steps += 1;
            self.offset.reset();
        }
        let Some(slot) = self.cadence.take(now.mono) else {
            self.skip_rest(now.mono);
            return None;
        };
        self.accounts.due += slot.skipped + 1;
        self.accounts.overslept += slot.skipped;
        self.accounts.missed += slot.skipped;
        let missed_as = match road {
            Road::Open => {
                self.send(slot.seq, slot.lateness_ns, now);
                return Some(slot.seq);
            }
            Road::Blocked => &mut self.accounts.blocked,
            Road::Offline => &mut self.accounts.offline,
        };
        *missed_as += 1;
        self.accounts.missed += 1;
        None
    }

    fn send(&mut self, seq: u64, lateness_ns: u64, now: Now) {
        self.accounts.sent += 1;
        self.accounts.late += u64::from(self.cadence.is_late(lateness_ns));
        self.lateness.record(lateness_ns);
        let place = (seq % TICKS_OUTSTANDING_MAX as u64) as usize;
        self.outstanding[place] =
            Outstanding { seq, t1: now.wall, sent_at: now.mono, lateness_ns, waiting: true };
    }

    /// The run is cut short: only slots that are due by now count.
    pub fn cut(&mut self, now: Mono) {
        self.skip_rest(now);
        self.cadence.cut();
    }

    fn skip_rest(&mut self, now: Mono) {
        let skipped = self.cadence.finish(now);
        self.accounts.due += skipped;
        self.accounts.missed += skipped;
        self.accounts.overslept += skipped;
    }

    /// An answer came in at `at`. `None` if it answers nothing that waits.
    pub fn answer(&mut self, seq: u64, t1: Wall, t2: Wall, t3: Wall, at: Wall, now: Now) -> Option<Sample> {
        let place = (seq % TICKS_OUTSTANDING_MAX as u64) as usize;
        let tick = &mut self.outstanding[place];
        if !tick.waiting || tick.seq != seq || tick.t1 != t1 {
            self.accounts.stray += 1;
            return None;
        }
        tick.waiting = false;
        self.accounts.answered += 1;
        // The round trip is taken from the clock that never steps; `at` is only as old as the
        // kernel's queue, so its distance from now is the same on both.
        let queued_ns = now.wall.0.saturating_sub(at.0);
        let elapsed_ns = now.mono.since_ns(tick.sent_at).saturating_sub(queued_ns);
        let held_ns = t3.0.saturating_sub(t2.0);
        self.rtt.record(elapsed_ns.saturating_sub(held_ns));
        self.offset.update(&Exchange { t1, t2, t3, t4: at });
        Some(Sample { seq, lateness_ns: tick.lateness_ns, t1, t2, t3, t4: at })
    }

    /// So many answers came in one read with an earlier one.
    pub fn count_coalesced(&mut self, answers: u64) {
        self.accounts.coalesced += answers;
    }

    /// When the last tick was sent that has no answer, of those that can still get one.
    pub fn last_unanswered(&self) -> Option<Mono> {
        self.outstanding.iter().filter(|tick| tick.waiting).map(|tick| tick.sent_at).max()
    }

    /// What became of the ticks so far.
    pub fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// How late ticks were sent, against the grid.
    pub fn lateness(&self) -> &Spread {
        &self.lateness
    }

    /// Round trips without the time that the server held them.
    pub fn rtt(&self) -> &Spread {
        &self.rtt
    }

    /// The server's clock minus ours, with its bound.
    pub fn offset(&self) -> Option<Offset> {
        self.offset.estimate()
    }

    /// Panics if the accounts do not add up.
    pub fn check_invariants(&self) {
        let all = &self.accounts;
        assert_eq!(all.due, all.sent + all.missed);
        assert_eq!(all.missed, all.overslept + all.blocked + all.offline);
        assert!(all.answered <= all.sent && all.late <= all.sent);
        assert_eq!(all.sent, self.lateness.count());
        assert_eq!(all.answered, self.rtt.count());
    }
}
