//! `tickmesh demo`: a server and peers in one process, on one loop, and afterwards a look at the
//! files to see that what they say is true.

use std::fmt::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use log::LevelFilter;

use crate::app::cli::DemoOptions;
use crate::app::logging::{self, LogOptions};
use crate::app::{claim, drive, prepare_folder, progress, random_secret, server, summary, terminal};
use crate::io::{Host, Reactor};
use crate::proto::peer::{Peers, PeersConfig, Report};
use crate::proto::record::{TableFacts, names, read_table};
use crate::proto::server::{Server, ServerConfig, TalkConfig};
use crate::proto::time::Period;

/// How long the others may take for the files: the demo is local, so this is generous. Each peer
/// gets two files of each other one, and a thousand pairs a second is slow.
fn share_deadline(peers: usize) -> Duration {
    Duration::from_secs(60) + Duration::from_millis((peers * peers) as u64)
}

/// Runs the demo to its end; true if everything went well and the files agree.
pub(super) fn run(options: &DemoOptions) -> Result<bool> {
    logging::start(&LogOptions::of(LevelFilter::Warn, None))?;
    prepare_folder(&options.out, "--out")?;
    let _claim = claim::take(&options.out, "--out")?;
    // The system chooses a free port; the server takes the listener over.
    let listener = TcpListener::bind("127.0.0.1:0").context("cannot listen on 127.0.0.1")?;
    let addr = listener.local_addr()?;
    let (interval, duration) = (options.interval, options.duration);
    terminal::print(&format!(
        "A server and {} peers exchange their time every {} for {}, write it down, and share the files.\n",
        options.peers,
        Period(interval),
        Period(duration)
    ))?;
    let mut server = Server::new(ServerConfig {
        listen: vec![addr],
        interval,
        duration,
        secret: random_secret()?,
        talk: TalkConfig::default(),
    });
    let mut peers = progress::watch(Peers::new(PeersConfig {
        server: addr,
        group: "demo".parse().expect("a name"),
        ids: vec![None; options.peers],
        interval: None,
        duration: None,
        share_deadline: Some(share_deadline(options.peers)),
    }));
    let mut reactor = Reactor::new().context("cannot start the event loop")?;
    reactor.inherit(listener);
    let root = options.out.clone();
    drive(
        reactor,
        &mut [Host { machine: &mut peers, root: root.clone() }, Host { machine: &mut server, root }],
    )?;
    let report = peers.machine().report();
    terminal::print(&format!("\n{}", summary::table(&report)))?;
    let ended_well = server::conclude(&server)? && report.is_complete();
    if ended_well {
        terminal::print(&format!("\n{}", inspect(&options.out, &report)?))?;
    }
    Ok(ended_well)
}

/// Reads every file back: tables are well formed, both sides agree, copies are equal.
fn inspect(out: &Path, report: &Report) -> Result<String> {
    let ids: Vec<&String> = report.peers.iter().filter_map(|peer| peer.id.as_ref()).collect();
    let server_table = read(&out.join(names::SERVER_TABLE))?;
    let mut rows = 0;
    let mut copies = 0;
    for id in &ids {
        let id = id.parse().context("an ID is a name")?;
        let files = [names::client_table(&id), names::client_samples(&id)];
        rows += read(&out.join(&files[0]))?.rows;
        for other in ids.iter().filter(|other| ***other != *id.as_str()) {
            for file in &files {
                let copy = out.join(names::received(&other.parse().context("an ID is a name")?, file));
                ensure!(equal(&out.join(file), &copy)?, "{} differs from {file}", copy.display());
                copies += 1;
            }
        }
    }
    ensure!(rows == server_table.rows, "the peers wrote {rows} rows, the server {}", server_table.rows);
    let mut text = String::new();
    let _ = writeln!(
        text,
        "Read back: {} tables, all well formed; the server's {rows} rows are the peers' together; {copies} copies, all equal.",
        ids.len() + 1
    );
    let _ = writeln!(
        text,
        "Look at {}, {} and {}.",
        show(out, names::SERVER_TABLE),
        show(out, "client_0_TimeData.txt"),
        show(out, "client_0_received/")
    );
    Ok(text)
}

fn show(out: &Path, name: &str) -> String {
    out.join(name).display().to_string()
}

fn read(path: &Path) -> Result<TableFacts> {
    let content = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let facts = read_table(&content).with_context(|| format!("{} is not well formed", path.display()))?;
    ensure!(facts.complete.is_some(), "{} has no last line", path.display());
    Ok(facts)
}

fn equal(one: &Path, other: &Path) -> Result<bool> {
    let read = |path: &Path| std::fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    Ok(read(one)? == read(other)?)
}
