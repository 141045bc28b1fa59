//! What is left when a server was killed again and again: files, messages, tables, and what the peers say of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use nix::sys::signal::Signal;
use tickmesh::proto::machine::is_temp_name;
use tickmesh::proto::record::{names as files, read_samples, utc_text};
use tickmesh::proto::time::{SECOND_NS, Wall};

use super::common::drop::sha256;
use super::common::{Running, finish, names, table};
use super::{Load, PEERS, content, hash};

/// After this time a row is in the kernel's hands, so that a kill cannot take it back.
const WRITTEN_AFTER_NS: u64 = 250_000_000;

/// A life of the server, from before its start to before its kill. What it has answered between that and its end is nobody's.
#[derive(Clone, Copy)]
pub struct Life {
    pub began: Wall,
    pub ended: Wall,
}

/// All that were stored are there, and what has a name of its own is whole, acknowledged or not.
pub fn check_files(load: &Load<'_>) {
    let folder = load.folder.join("out/uploads");
    // Whoever is told of a file's end finds it there, so the list of those is made first.
    let stored = load.stored.lock().unwrap().clone();
    let there: Vec<String> = names(&folder).into_iter().filter(|name| !is_temp_name(name)).collect();
    for (name, hash) in &stored {
        assert!(there.contains(name), "{name} was stored, and is gone");
        assert_eq!(sha256(&folder.join(name)), *hash, "{name} was stored as something else");
    }
    for name in there.iter().filter(|name| !stored.contains_key(*name)) {
        let size = name.rsplit('-').next().unwrap().parse().unwrap();
        assert_eq!(sha256(&folder.join(name)), hash(&content(name, size)), "{name} is not whole");
    }
}

/// Everything acknowledged came, in order. One may come twice, for a plain connection does not say what it has.
pub fn check_messages(load: &Load<'_>) {
    let (acknowledged, heard) = (load.acknowledged.lock().unwrap(), load.heard.lock().unwrap());
    let came: BTreeSet<u64> = heard.iter().copied().collect();
    let lost: Vec<&u64> = acknowledged.difference(&came).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?} of {}", acknowledged.len());
    let mut first = BTreeSet::new();
    let in_order: Vec<u64> = heard.iter().copied().filter(|number| first.insert(*number)).collect();
    assert!(in_order.is_sorted(), "out of order: {in_order:?}");
    eprintln!("{} messages came, {} of them twice", came.len(), heard.len() - came.len());
}

/// They came back each time, and know what they have missed.
pub fn check_peers(peers: Running, kills: u64) {
    peers.signal(Signal::SIGINT);
    let output = finish(peers);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let all = report["peers"].as_array().unwrap();
    assert_eq!(all.len() as u64, PEERS);
    for peer in all {
        let count = |field: &str| peer[field].as_u64().unwrap_or_else(|| panic!("{field} in {peer}"));
        assert!(count("reconnects") >= kills, "{peer}");
        assert!(count("ticks_offline") > 0, "the gap is counted: {peer}");
        assert_eq!(count("ticks_sent") + count("ticks_missed"), count("ticks_due"), "{peer}");
        assert_eq!(count("rows_lost"), 0, "{peer}");
    }
}

/// Each life's table is well formed as far as it goes; only the last one has its last line.
pub fn check_tables(folder: &Path, kills: u64) -> u64 {
    let out = folder.join("out");
    let tables: Vec<String> =
        names(&out).into_iter().filter(|name| name.starts_with("serverTimeData")).collect();
    assert_eq!(tables.len() as u64, kills + 1, "{tables:?}");
    let facts = |name: &String| (name.clone(), table(&out.join(name)));
    let facts: BTreeMap<String, _> = tables.iter().map(facts).collect();
    for (name, facts) in &facts {
        assert_eq!(facts.complete.is_some(), name == "serverTimeData.txt", "{name}");
    }
    facts.values().map(|facts| facts.rows).sum()
}

/// The tables of killed lives have the rows that they must have. Returns how many.
pub fn check_rows(folder: &Path, lives: &[Life]) -> usize {
    let out = folder.join("out");
    let tables = names(&out).into_iter().filter(|name| name.starts_with("serverTimeData"));
    let text: String = tables.map(|name| fs::read_to_string(out.join(name)).unwrap()).collect();
    let row = |line: &str| line.split(" | ").map(str::to_owned).collect::<Vec<_>>();
    let rows = text.lines().map(row).filter(|cells| cells.len() == 5);
    let there: BTreeSet<String> = rows.map(|cells| cells[3..].join(" ")).collect();
    let due = rows_due(folder, lives);
    let lost: Vec<Wall> = due.iter().copied().filter(|stamp| !there.contains(&cells(*stamp))).collect();
    assert!(lost.is_empty(), "{} of {} rows are lost, the first is of {}", lost.len(), due.len(), lost[0].0);
    due.len()
}

/// Stamps whose rows the server must have written before it was killed, so say the peers. An answer leaves only after the timers of
/// its turn were served, that of the table too: so who has an answer of a quarter of a second later knows that this row was
/// written, however long each of the two took to come.
pub fn rows_due(folder: &Path, lives: &[Life]) -> BTreeSet<Wall> {
    let of_peer = |id: u64| {
        let name = files::client_samples(&id.to_string().parse().unwrap());
        read_samples(&fs::read(folder.join("peers").join(name)).unwrap_or_default()).unwrap().0
    };
    let samples: Vec<_> = (0..PEERS).flat_map(of_peer).collect();
    let mut due = BTreeSet::new();
    for life in lives {
        let answered = || samples.iter().filter(|sample| (life.began..life.ended).contains(&sample.t3));
        let last = answered().map(|sample| sample.t3.0).max().unwrap_or(0);
        let written = answered().filter(|sample| sample.t3.0 + WRITTEN_AFTER_NS <= last);
        due.extend(written.flat_map(|sample| [sample.t1, sample.t3]));
    }
    due
}

/// A stamp as the last cells of its row say it.
fn cells(stamp: Wall) -> String {
    format!("{}.{:09} |", utc_text(stamp).trim_end_matches(" UTC"), stamp.0 % SECOND_NS)
}
