//! `tickmesh get` and `tickmesh find`.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::json;

use crate::app::cli::{FindOptions, GetOptions};
use crate::app::summary::bytes;
use crate::app::watched::Watched;
use crate::app::{drive, logging, prepare_folder, terminal};
use crate::io::{Host, Reactor};
use crate::proto::peer::{FileState, FileStatus, Find, Get, GuestConfig, Orders, Peers};
use crate::proto::time::{Mono, SECOND_NS};

/// How often the bar is drawn anew.
const BAR_PERIOD: Duration = Duration::from_millis(250);
/// How often programs hear of the progress.
const EVENT_PERIOD: Duration = Duration::from_secs(1);
/// Characters of the bar.
const BAR_CHARS: u64 = 24;

/// Downloads a file; true if it is there, whole and verified.
#[allow(clippy::disallowed_methods)] // how long it took, for people
pub(super) fn run(options: &GetOptions) -> Result<bool> {
    let guest = &options.guest;
    logging::start(&guest.log)?;
    prepare_folder(&options.to, "--to")?;
    let get =
        Get { name: options.file.clone(), chunk: options.chunk, wait: options.wait, stay: options.stay };
    let peers = Peers::guest(GuestConfig {
        server: guest.server,
        group: guest.group,
        id: guest.id,
        orders: Orders { get: Some(get), ..Orders::default() },
        upload_limit: guest.upload_limit.map(|rate| rate.0),
    });
    let mut pace = Pace::default();
    let mut peers = if guest.json {
        Watched::every(EVENT_PERIOD, peers, move |peers: &Peers, now| {
            let Some(file) = peers.files().pop() else { return };
            let rate = pace.rate(file.bytes_stored, now.mono);
            // Whoever reads the events may have gone: the file is wanted all the same.
            let _ = terminal::print(&format!("{}\n", event("progress", &file, peers, rate)));
        })
    } else if terminal::shows_progress() {
        Watched::every(BAR_PERIOD, peers, move |peers: &Peers, now| {
            let file = peers.files().pop();
            let rate = file.as_ref().map_or(0, |file| pace.rate(file.bytes_stored, now.mono));
            terminal::show_progress(&bar(file.as_ref(), rate, peers.served_bytes()));
        })
    } else {
        Watched::never(peers)
    };
    let reactor = Reactor::new().context("cannot start the event loop")?;
    let started = Instant::now();
    drive(reactor, &mut [Host { machine: &mut peers, root: options.to.clone() }])?;
    conclude(options, peers.machine(), started.elapsed())
}

fn conclude(options: &GetOptions, peers: &Peers, elapsed: Duration) -> Result<bool> {
    let report = peers.report();
    let done = report.is_complete();
    let file = peers.files().pop();
    let fetched = file.as_ref().map_or(0, |file| file.bytes_fetched);
    let rate = (fetched as f64 / elapsed.as_secs_f64()) as u64;
    if options.guest.json {
        if let Some(file) = &file {
            terminal::print(&format!(
                "{}\n",
                event(if done { "done" } else { "failed" }, file, peers, rate)
            ))?;
        }
    } else if let (true, Some(file)) = (done, &file) {
        let path = options.to.join(file.name.as_str());
        let what = match options.chunk {
            Some(chunk) if file.state != FileState::Whole => {
                format!("chunk {} of {}.partial", chunk + 1, path.display())
            }
            _ => path.display().to_string(),
        };
        terminal::print(&format!(
            "{what}: {} in {:.1} s ({}/s), {} fetched twice, {} sent to others\n",
            bytes(fetched),
            elapsed.as_secs_f64(),
            bytes(rate),
            bytes(file.bytes_wasted),
            bytes(peers.served_bytes())
        ))?;
    }
    for problem in report.peers.iter().flat_map(|peer| &peer.problems) {
        eprintln!("tickmesh: {problem}");
    }
    Ok(done)
}

fn event(what: &str, file: &FileStatus, peers: &Peers, rate: u64) -> serde_json::Value {
    json!({
        "event": what,
        "file": file.name,
        "state": file.state,
        "bytes": file.bytes,
        "bytes_stored": file.bytes_stored,
        "bytes_fetched": file.bytes_fetched,
        "bytes_wasted": file.bytes_wasted,
        "bytes_sent": peers.served_bytes(),
        "bytes_per_s": rate,
        "chunks": file.chunks,
        "chunks_stored": file.chunks_stored,
        "sources": file.sources,
        "root": file.root,
    })
}

fn bar(file: Option<&FileStatus>, rate: u64, sent: u64) -> String {
    let Some(file) = file else { return "looking for the server".to_owned() };
    let Some(total) = file.bytes else { return format!("{}: looking for somebody who has it", file.name) };
    let part = |of: u64| {
        if total == 0 {
            of
        } else {
            (u128::from(file.bytes_stored) * u128::from(of) / u128::from(total)) as u64
        }
    };
    let filled = "#".repeat(part(BAR_CHARS) as usize);
    let state = match file.state {
        FileState::Checking => "reading what is here already".to_owned(),
        FileState::Waiting => "the disk has no room; waiting".to_owned(),
        FileState::Storing => "bringing it to disk".to_owned(),
        FileState::Fetching if file.sources == 0 => "nobody there who has the rest".to_owned(),
        FileState::Fetching => {
            let left_s = (total - file.bytes_stored).checked_div(rate);
            let left =
                left_s.map_or_else(String::new, |left| format!(", {}:{:02} left", left / 60, left % 60));
            format!("{}/s{left}, {} sources, {} sent", bytes(rate), file.sources, bytes(sent))
        }
        FileState::Whole => "done".to_owned(),
    };
    format!("{} [{filled:.<24}] {}% of {}, {state}", file.name, part(100), bytes(total))
}

/// How fast it goes, from what was there a few seconds ago.
#[derive(Debug, Default)]
struct Pace {
    seen: std::collections::VecDeque<(Mono, u64)>,
}

impl Pace {
    /// Looks back this far.
    const WINDOW: Duration = Duration::from_secs(3);

    fn rate(&mut self, done: u64, now: Mono) -> u64 {
        self.seen.push_back((now, done));
        while self.seen.len() > 2 && now - self.seen[1].0 >= Pace::WINDOW {
            self.seen.pop_front();
        }
        let (then, before) = self.seen[0];
        let elapsed_ns = now.since_ns(then).max(1);
        (u128::from(done.saturating_sub(before)) * u128::from(SECOND_NS) / u128::from(elapsed_ns)) as u64
    }
}

/// Says who has a file; true if somebody has.
pub(super) fn find(options: &FindOptions) -> Result<bool> {
    let guest = &options.guest;
    logging::start(&guest.log)?;
    let find = Find { name: options.file.clone(), chunks: options.chunks.clone() };
    let mut peers = Peers::guest(GuestConfig {
        server: guest.server,
        group: guest.group,
        id: None,
        orders: Orders { find: Some(find), ..Orders::default() },
        upload_limit: None,
    });
    let reactor = Reactor::new().context("cannot start the event loop")?;
    drive(reactor, &mut [Host { machine: &mut peers, root: ".".into() }])?;
    let report = peers.report();
    let Some((available, holders)) = peers.found() else {
        report.peers[0].problems.iter().for_each(|problem| eprintln!("tickmesh: {problem}"));
        return Ok(false);
    };
    if guest.json {
        let answer = json!({ "file": options.file.as_str(), "available": available, "holders": holders });
        terminal::print(&format!("{answer}\n"))?;
        return Ok(available);
    }
    let mut text = String::from(if available { "Available\n" } else { "Not available\n" });
    for holder in holders {
        text.push_str(&format!("{} has {} of {} chunks\n", holder.id, holder.chunks_held, holder.chunks));
    }
    terminal::print(&text)?;
    Ok(available)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_is_that_of_the_last_seconds() {
        let mut pace = Pace::default();
        let at = |second: u64| Mono(second * SECOND_NS);
        assert_eq!(pace.rate(0, at(0)), 0);
        for second in 1..10 {
            assert_eq!(pace.rate(second * 100, at(second)), 100);
        }
        for second in 10..14 {
            pace.rate(900 + (second - 9) * 500, at(second));
        }
        assert_eq!(pace.rate(900 + 5 * 500, at(14)), 500);
    }
}
