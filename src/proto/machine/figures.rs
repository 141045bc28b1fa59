//! What a driver tells of itself when somebody wants to know how things stand ([`Effect::Measure`](super::Effect::Measure)).
//! Holds figures, and their names; decides nothing.

use std::collections::BTreeMap;

use crate::proto::machine::{CloseReason, DownReason};

/// Takes one figure: its name, `group.key`, and its value.
pub type Tell<'a> = &'a mut dyn FnMut(&str, u64);

/// How values in nanoseconds spread. A percentile is at most an eighth above the true value; the largest is exact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quantiles {
    /// Half of them are not above.
    pub p50: u64,
    /// 99 of 100 are not above.
    pub p99: u64,
    /// None is above.
    pub max: u64,
}

/// How a driver stands. What is not said to be as of now is counted since its start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DriverFigures {
    /// Nanoseconds since its start.
    pub uptime_ns: u64,
    /// Links now, whatever their state.
    pub links: u64,
    /// Of these, those that are being dialed.
    pub links_dialing: u64,
    /// Of these, those that are closed and have something to send, or wait for the other side's end.
    pub links_closing: u64,
    /// Connections that were accepted.
    pub accepted: u64,
    /// Connections that were refused because there were too many.
    pub refused: u64,
    /// Links that were sent away without waiting for the other side's end, because
    /// [`LINGERING_MAX`](crate::proto::limits::LINGERING_MAX) waited for that already.
    pub hurried: u64,
    /// Times that accepting paused because descriptors or memory had run out.
    pub accept_pauses: u64,
    /// Times that it paused because everybody who came was sent away at once, or too many of them lingered.
    pub refusal_pauses: u64,
    /// Dials that succeeded.
    pub dialed: u64,
    /// Dials that failed.
    pub dials_failed: u64,
    /// Bytes read from links.
    pub bytes_in: u64,
    /// Bytes written to links.
    pub bytes_out: u64,
    /// Bytes that wait in memory for readers now.
    pub queued_bytes: u64,
    /// Links that have such bytes now.
    pub queued_links: u64,
    /// Passes of the loop.
    pub turns: u64,
    /// Passes that had to wait for something to happen.
    pub wakeups: u64,
    /// How long passes took, without their waits.
    pub turn: Quantiles,
    /// How late deadlines were served.
    pub late: Quantiles,
    /// Jobs that the disk has not answered now.
    pub disk_jobs: u64,
    /// Orders that the database has not carried out now.
    pub store_orders: u64,
    /// Descriptors that the process may have open.
    pub descriptors_max: u64,
    /// Links that machines closed.
    pub closes: BTreeMap<CloseReason, u64>,
    /// Links that went down without that.
    pub downs: BTreeMap<DownReason, u64>,
}

impl DriverFigures {
    /// Tells each of them.
    pub fn tell(&self, tell: Tell<'_>) {
        let Quantiles { p50, p99, max } = self.turn;
        for (name, value) in [
            ("driver.uptime_ns", self.uptime_ns),
            ("driver.links", self.links),
            ("driver.links_dialing", self.links_dialing),
            ("driver.links_closing", self.links_closing),
            ("driver.accepted", self.accepted),
            ("driver.refused", self.refused),
            ("driver.hurried", self.hurried),
            ("driver.accept_pauses", self.accept_pauses),
            ("driver.refusal_pauses", self.refusal_pauses),
            ("driver.dialed", self.dialed),
            ("driver.dials_failed", self.dials_failed),
            ("driver.bytes_in", self.bytes_in),
            ("driver.bytes_out", self.bytes_out),
            ("driver.queued_bytes", self.queued_bytes),
            ("driver.queued_links", self.queued_links),
            ("driver.turns", self.turns),
            ("driver.wakeups", self.wakeups),
            ("driver.turn_ns_p50", p50),
            ("driver.turn_ns_p99", p99),
            ("driver.turn_ns_max", max),
            ("driver.late_ns_p50", self.late.p50),
            ("driver.late_ns_p99", self.late.p99),
            ("driver.late_ns_max", self.late.max),
            ("driver.disk_jobs", self.disk_jobs),
            ("driver.store_orders", self.store_orders),
            ("driver.descriptors_max", self.descriptors_max),
        ] {
            tell(name, value);
        }
        for (reason, count) in &self.closes {
            tell(&format!("closed.{reason}"), *count);
        }
        for (reason, count) in &self.downs {
            tell(&format!("down.{reason:?}"), *count);
        }
    }
}
