//! What came of the peers, as a table for people. Computes no figure; reports have them.

use std::fmt::Write as _;

use crate::proto::clock::Percentiles;
use crate::proto::peer::{PeerReport, Report};

/// Above this number of peers, the table shows only those that need a look, and sums.
const ROWS_MAX: usize = 20;

/// Lines about problems, of all peers together.
const PROBLEMS_MAX: usize = 60;

const HEAD: [&str; 9] = [
    "peer",
    "due",
    "sent",
    "missed",
    "late",
    "answered",
    "late by p50/p99/max",
    "round trip p50/p99/max",
    "files",
];

/// The table, and a line for each problem.
pub(super) fn table(report: &Report) -> String {
    let shown = |peer: &&PeerReport| {
        report.peers.len() <= ROWS_MAX || peer.outcome != "complete" || peer.ticks_missed > 0
    };
    let mut rows: Vec<[String; 9]> = vec![HEAD.map(str::to_owned)];
    rows.extend(report.peers.iter().filter(shown).take(ROWS_MAX).map(row));
    if report.peers.len() > 1 {
        rows.push(sums(&report.peers));
    }
    let mut text = String::new();
    for row in &rows {
        for (column, cell) in row.iter().enumerate() {
            let width = rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
            let _ = write!(text, "{}{cell:>width$}", if column == 0 { "" } else { "  " });
        }
        text.push('\n');
    }
    text.push_str(&transfers(&report.peers));
    for peer in &report.peers {
        offset(peer, report.peers.len(), &mut text);
    }
    let mut troubles = String::new();
    for peer in &report.peers {
        problems(peer, &mut troubles);
    }
    text.push_str(&first_lines(&troubles, PROBLEMS_MAX));
    text
}

/// The first lines of a text, and how many follow.
fn first_lines(text: &str, max: usize) -> String {
    let count = text.lines().count();
    let mut first: String = text.split_inclusive('\n').take(max).collect();
    if count > max {
        let _ = writeln!(first, "... and {} more lines like these", count - max);
    }
    first
}

fn row(peer: &PeerReport) -> [String; 9] {
    [
        name(peer),
        peer.ticks_due.to_string(),
        peer.ticks_sent.to_string(),
        peer.ticks_missed.to_string(),
        peer.ticks_late.to_string(),
        peer.ticks_answered.to_string(),
        spread(peer.lateness_ns.as_ref()),
        spread(peer.rtt_ns.as_ref()),
        format!("{}/{}", peer.files_received, peer.files_expected),
    ]
}

fn sums(peers: &[PeerReport]) -> [String; 9] {
    let sum = |pick: fn(&PeerReport) -> u64| peers.iter().map(pick).sum::<u64>().to_string();
    let files = |pick: fn(&PeerReport) -> usize| peers.iter().map(pick).sum::<usize>();
    [
        "all".to_owned(),
        sum(|peer| peer.ticks_due),
        sum(|peer| peer.ticks_sent),
        sum(|peer| peer.ticks_missed),
        sum(|peer| peer.ticks_late),
        sum(|peer| peer.ticks_answered),
        String::new(),
        String::new(),
        format!("{}/{}", files(|peer| peer.files_received), files(|peer| peer.files_expected)),
    ]
}

/// What all of them together got from others and gave them, if anything.
fn transfers(peers: &[PeerReport]) -> String {
    let sum = |pick: fn(&PeerReport) -> u64| peers.iter().map(pick).sum::<u64>();
    let fetched = (sum(|peer| peer.bytes_fetched), sum(|peer| peer.wire_bytes_fetched));
    let sent = (sum(|peer| peer.bytes_sent), sum(|peer| peer.wire_bytes_sent));
    if (fetched.0, sent.0) == (0, 0) {
        return String::new();
    }
    format!("files of others: {} came, {} sent\n", on_the_wire(fetched), on_the_wire(sent))
}

/// The clock offset is of the machine more than of the peer: one line each for a few peers only.
fn offset(peer: &PeerReport, peers: usize, text: &mut String) {
    if let (Some(offset_ns), Some(bound_ns), true) = (peer.offset_ns, peer.offset_bound_ns, peers <= ROWS_MAX)
    {
        let sign = if offset_ns < 0 { "-" } else { "+" };
        let (offset, bound) = (micros(offset_ns.unsigned_abs()), micros(bound_ns));
        let _ = writeln!(
            text,
            "peer {}: the server's clock is {sign}{offset} from this one, within {bound}",
            name(peer)
        );
    }
}

fn problems(peer: &PeerReport, text: &mut String) {
    if peer.ticks_missed > 0 {
        let _ = writeln!(
            text,
            "peer {}: {} ticks missed: {} overslept, {} socket full, {} without a server",
            name(peer),
            peer.ticks_missed,
            peer.ticks_overslept,
            peer.ticks_blocked,
            peer.ticks_offline
        );
    }
    if let Some((received, sent)) = peer.rows_at_server
        && (received, sent) != (peer.ticks_sent, peer.ticks_answered)
        && peer.reconnects == 0
    {
        let _ = writeln!(
            text,
            "peer {}: the server received {received} ticks and sent {sent} answers, this side sent {} and received {}",
            name(peer),
            peer.ticks_sent,
            peer.ticks_answered
        );
    }
    if peer.clock_steps > 0 {
        let _ = writeln!(
            text,
            "peer {}: this machine's clock was stepped {} times",
            name(peer),
            peer.clock_steps
        );
    }
    if peer.reconnects > 0 {
        let _ = writeln!(
            text,
            "peer {}: the link to the server was made again {} times",
            name(peer),
            peer.reconnects
        );
    }
    if peer.outcome == "interrupted" {
        let _ = writeln!(text, "peer {}: interrupted", name(peer));
    }
    for problem in &peer.problems {
        // Who lacks what is said in the problem: it may be somebody else.
        let whose =
            if peer.outcome == "missing files" { String::new() } else { format!("peer {}: ", name(peer)) };
        let _ = writeln!(text, "{whose}{problem}");
    }
}

fn name(peer: &PeerReport) -> String {
    peer.id.clone().unwrap_or_else(|| "?".to_owned())
}

fn spread(percentiles: Option<&Percentiles>) -> String {
    percentiles.map_or_else(
        || "-".to_owned(),
        |spread| format!("{} / {} / {}", micros(spread.p50), micros(spread.p99), micros(spread.max)),
    )
}

/// Nanoseconds as people read them: `54 µs`, `1.2 ms`, `3.5 s`.
pub(super) fn micros(ns: u64) -> String {
    match ns {
        0..10_000 => format!("{:.1} µs", ns as f64 / 1e3),
        10_000..1_000_000 => format!("{} µs", ns / 1000),
        1_000_000..1_000_000_000 => format!("{:.1} ms", ns as f64 / 1e6),
        _ => format!("{:.1} s", ns as f64 / 1e9),
    }
}

/// Bytes as people read them: `512 B`, `12.3 kB`, `1.0 GB`.
pub(super) fn bytes(bytes: u64) -> String {
    match bytes {
        0..1000 => format!("{bytes} B"),
        1000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

/// Bytes that were sent or came, and in how many octets if these are fewer: `6.7 MB (0.9 MB on the wire)`.
pub(super) fn on_the_wire((plain, octets): (u64, u64)) -> String {
    match octets < plain {
        true => format!("{} ({} on the wire)", bytes(plain), bytes(octets)),
        false => bytes(plain),
    }
}

/// A number of things: `1 chunk`, `2 chunks`.
pub(super) fn count(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_lacks_what_is_said_once() {
        let mut text = String::new();
        let mut peer = PeerReport {
            id: Some("1".to_owned()),
            outcome: "missing files",
            problems: vec!["peer 2 lacks a of peer 1 (it left)".to_owned()],
            ..PeerReport::default()
        };
        problems(&peer, &mut text);
        (peer.outcome, peer.problems) = ("failed", vec!["no server".to_owned()]);
        problems(&peer, &mut text);
        assert_eq!(text, "peer 2 lacks a of peer 1 (it left)\npeer 1: no server\n");
    }

    #[test]
    fn problems_do_not_flood_the_terminal() {
        assert_eq!(first_lines("a\nb\nc\n", 3), "a\nb\nc\n");
        assert_eq!(first_lines("a\nb\nc\n", 1), "a\n... and 2 more lines like these\n");
    }

    #[test]
    fn numbers_have_their_plural() {
        assert_eq!([0, 1, 2].map(|number| count(number, "chunk")), ["0 chunks", "1 chunk", "2 chunks"]);
    }

    #[test]
    fn the_wire_is_named_where_it_carried_less() {
        assert_eq!(on_the_wire((6_700_000, 900_000)), "6.7 MB (900.0 kB on the wire)");
        assert_eq!([on_the_wire((500, 500)), on_the_wire((0, 0))], ["500 B", "0 B"]);
        let peer = PeerReport { bytes_fetched: 1000, wire_bytes_fetched: 90, ..PeerReport::default() };
        assert_eq!(transfers(&[peer]), "files of others: 1.0 kB (90 B on the wire) came, 0 B sent\n");
        assert_eq!(transfers(&[PeerReport::default()]), "");
    }

    #[test]
    fn times_are_short() {
        let shown = [512, 54_321, 1_234_567, 3_500_000_000].map(micros);
        assert_eq!(shown, ["0.5 µs", "54 µs", "1.2 ms", "3.5 s"]);
    }
}
