//! `tickmesh get`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::app::bar::{self, Pace, Rate};
use crate::app::cli::GetOptions;
use crate::app::summary::{bytes, count, on_the_wire};
use crate::app::watched::Watched;
use crate::app::{drive, logging, prepare_folder, terminal};
use crate::io::{Host, Reactor};
use crate::proto::peer::{FileState, FileStatus, Get, GuestConfig, Orders, Peers};
use crate::proto::time::Mono;

/// How often programs hear of the progress.
const EVENT_PERIOD: Duration = Duration::from_secs(1);

/// Downloads a file; true if it is there, whole and verified.
pub(super) fn run(options: &GetOptions) -> Result<bool> {
    let guest = &options.guest;
    logging::start(&guest.log)?;
    let is_new = !options.to.exists();
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
    let mut teller = Teller::new(options);
    let period = if guest.json { EVENT_PERIOD } else { bar::PERIOD };
    let mut peers = Watched::every(period, peers, move |peers: &Peers, now| teller.look(peers, now.mono));
    let reactor = Reactor::new().context("cannot start the event loop")?;
    drive(reactor, &mut [Host { machine: &mut peers, root: options.to.clone() }])?;
    peers.look_back();
    terminal::clear_progress();
    let is_done = conclude(options, peers.machine())?;
    if is_new && !is_done {
        // Only if nothing came into it.
        let _ = std::fs::remove_dir(&options.to);
    }
    Ok(is_done)
}

/// What came of it, beside what was told meanwhile.
fn conclude(options: &GetOptions, peers: &Peers) -> Result<bool> {
    let sent = sent_by(peers);
    if peers.got_after().is_some() {
        if options.stay.is_zero() {
            return Ok(true);
        }
        let ended = json!({ "event": "ended", "bytes_sent": sent.0, "wire_bytes_sent": sent.1 });
        terminal::print(&match options.guest.json {
            true => format!("{ended}\n"),
            false => format!("{} sent to others\n", on_the_wire(sent)),
        })?;
        return Ok(true);
    }
    let mut problems = peers.report().peers.remove(0).problems;
    if problems.is_empty() {
        problems.push("interrupted".to_owned());
    }
    let file = peers.files().pop();
    if options.guest.json {
        let mut event = match &file {
            Some(file) => event("failed", file, sent, 0),
            None => json!({ "event": "failed", "file": options.file.as_str() }),
        };
        event["problems"] = json!(problems);
        terminal::print(&format!("{event}\n"))?;
    }
    let rest = match &file {
        Some(file) if file.chunks_stored > 0 => format!(
            "; {} of {} are in {}, and are not fetched again",
            file.chunks_stored,
            count(file.chunks, "chunk"),
            options.to.join(format!("{}.partial", file.name)).display()
        ),
        _ => String::new(),
    };
    eprintln!("tickmesh: {}{rest}", problems.join("; "));
    Ok(false)
}

/// Tells people or programs how it goes, and once that it is done.
struct Teller {
    json: bool,
    path: PathBuf,
    only: Option<u64>,
    /// It goes on serving, and says at the end how much that was.
    stays: bool,
    pace: Pace,
    rate: Rate,
    told: bool,
}

impl Teller {
    fn new(options: &GetOptions) -> Teller {
        let path = options.to.join(options.file.as_str());
        let (json, only) = (options.guest.json, options.chunk);
        let stays = !options.stay.is_zero();
        Teller { json, path, only, stays, pace: Pace::default(), rate: Rate::default(), told: false }
    }

    fn look(&mut self, peers: &Peers, now: Mono) {
        let file = peers.files().pop();
        let sent = sent_by(peers);
        match (file, peers.got_after()) {
            (Some(file), Some(after)) if !self.told => {
                self.told = true;
                let per_s = (file.bytes_fetched as f64 / after.as_secs_f64()) as u64;
                let line = match self.json {
                    true => event("done", &file, sent, per_s).to_string(),
                    false => self.done(&file, sent, after),
                };
                // Whoever reads this may have gone: the file is here all the same, below too.
                let _ = terminal::print(&format!("{line}\n"));
            }
            (Some(file), None) if self.json => {
                let per_s = self.rate.of(file.bytes_stored, now);
                let _ = terminal::print(&format!("{}\n", event("progress", &file, sent, per_s)));
            }
            (Some(file), _) if !self.json && terminal::shows_progress() => {
                terminal::show_progress(&self.pace.get_line(&file, sent.0, now));
            }
            (None, None) if !self.json && terminal::shows_progress() => {
                terminal::show_progress(match peers.is_known() {
                    true => "looking for somebody who has it",
                    false => "looking for the server",
                });
            }
            _ => {}
        }
    }

    fn done(&self, file: &FileStatus, sent: (u64, u64), after: Duration) -> String {
        let path = self.path.display();
        let what = match self.only {
            Some(chunk) if file.state != FileState::Whole => format!("chunk {} of {path}.partial", chunk + 1),
            _ => path.to_string(),
        };
        if file.bytes_fetched == 0 && file.bytes != Some(0) {
            return format!("{what}: was here already, verified");
        }
        let seconds = after.as_secs_f64();
        let rate = (file.bytes_fetched as f64 / seconds) as u64;
        let mut line = format!("{what}: {} in {seconds:.1} s ({}/s)", bytes(file.bytes_fetched), bytes(rate));
        if file.wire_bytes_fetched < file.bytes_fetched {
            line += &format!(", {} on the wire", bytes(file.wire_bytes_fetched));
        }
        let was_here = file.bytes_stored.saturating_sub(file.bytes_fetched);
        for (bytes, what) in [(was_here, "were here already"), (file.bytes_wasted, "came in vain")] {
            if bytes > 0 {
                line += &format!(", {} {what}", crate::app::summary::bytes(bytes));
            }
        }
        if sent.0 > 0 && !self.stays {
            line += &format!(", {} sent to others", on_the_wire(sent));
        }
        line
    }
}

/// Bytes of chunks that were sent to others, and in how many octets.
fn sent_by(peers: &Peers) -> (u64, u64) {
    (peers.served_bytes(), peers.served_wire_bytes())
}

fn event(what: &str, file: &FileStatus, sent: (u64, u64), per_s: u64) -> Value {
    json!({
        "event": what,
        "file": file.name,
        "state": file.state,
        "bytes": file.bytes,
        "bytes_stored": file.bytes_stored,
        "bytes_fetched": file.bytes_fetched,
        "bytes_wasted": file.bytes_wasted,
        "wire_bytes_fetched": file.wire_bytes_fetched,
        "bytes_sent": sent.0,
        "wire_bytes_sent": sent.1,
        "bytes_per_s": per_s,
        "chunks": file.chunks,
        "chunks_stored": file.chunks_stored,
        "sources": file.sources,
        "root": file.root.map(|root| root.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::bar::tests::file;

    #[test]
    fn what_was_sent_is_told_once() {
        let (pace, rate) = (Pace::default(), Rate::default());
        let mut teller = Teller {
            json: false,
            path: "film.bin".into(),
            only: None,
            stays: false,
            pace,
            rate,
            told: false,
        };
        let file = FileStatus { bytes_fetched: 100_000_000, ..file(FileState::Whole, 100) };
        let done = |teller: &Teller| teller.done(&file, (5, 5), Duration::from_secs(1));
        assert!(done(&teller).ends_with(", 5 B sent to others"));
        teller.stays = true;
        assert!(!done(&teller).contains("sent"), "the end of the stay says it");
    }
}
