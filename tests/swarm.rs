//! Many seeds of mixed faults: whatever happens, everybody ends, the accounts close, and nobody
//! keeps a wrong byte. A failing seed is printed and replays.

mod common;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use common::town::{INTERVAL, Town, assert_copies_are_true, peers_machine, server_machine};
use tickmesh::proto::peer::{PeerReport, Peers, PeersConfig};
use tickmesh::proto::record::{read_samples, read_table};
use tickmesh::sim::{Chaos, Fault, MachineId, NetConfig, NodeId, World};

const NAMES: [&str; 4] = ["alice", "bob", "carol", "dave"];
const RUN: Duration = Duration::from_secs(2);
const DEADLINE: Duration = Duration::from_secs(20);
/// Everything is over by then: chaos, its outages, all runs and deadlines, keepalive included.
const LIMIT: Duration = Duration::from_secs(300);

/// A server and four peers on five hosts and a bad network.
fn town(seed: u64, faults: &[Fault]) -> (Town, Vec<(&'static str, NodeId)>) {
    let mut town = Town::new(seed);
    town.world.set_net(NetConfig::rough());
    let addr = town.addr;
    let homes: Vec<(&str, NodeId)> = NAMES.iter().map(|name| (*name, town.node())).collect();
    let server_node = town.server_node;
    let at_home = homes.clone();
    let mut life = 0;
    town.world.on_restart(move |node, _| {
        life += 1;
        vec![if node == server_node { server_machine(addr, life) } else { peer_of(&at_home, node, addr) }]
    });
    for (name, node) in &homes {
        let peer = peers_machine(addr, &[name], RUN, DEADLINE);
        town.world.start(*node, peer);
    }
    let nodes = homes.iter().map(|(_, node)| *node).chain([town.server_node]).collect();
    unleash(&mut town, nodes, faults);
    (town, homes)
}

fn unleash(town: &mut Town, nodes: Vec<NodeId>, faults: &[Fault]) {
    town.world.unleash(Chaos {
        nodes,
        faults: faults.to_vec(),
        period: Duration::from_millis(400),
        time: Duration::from_secs(4),
        outage_max: Duration::from_secs(2),
    });
}

fn peer_of(homes: &[(&'static str, NodeId)], node: NodeId, addr: SocketAddr) -> Box<Peers> {
    let home = homes.iter().find(|(_, home)| *home == node).expect("a peer lives there");
    peers_machine(addr, &[home.0], RUN, DEADLINE)
}

/// Runs until chaos is over and every peer has ended; returns all that ever ran, the killed too.
fn run_to_the_end(town: &mut Town, homes: &[(&str, NodeId)]) -> BTreeSet<MachineId> {
    let mut seen = BTreeSet::new();
    loop {
        let running: Vec<MachineId> =
            homes.iter().flat_map(|(_, node)| town.world.machines_on(*node).iter().copied()).collect();
        if running.is_empty() && town.world.now() > Duration::from_secs(10) {
            return seen;
        }
        assert!(town.world.now() < LIMIT, "somebody never ends");
        seen.extend(running);
        town.world.run_for(Duration::from_millis(50));
    }
}

fn check_accounts(report: &PeerReport) {
    assert_eq!(report.ticks_due, report.ticks_sent + report.ticks_missed, "{report:?}");
    assert_eq!(report.ticks_missed, report.ticks_overslept + report.ticks_blocked + report.ticks_offline);
    assert!(report.ticks_answered <= report.ticks_sent);
    assert!(report.ticks_due <= 200);
    if report.outcome == "complete" {
        assert_eq!(report.files_received, report.files_expected);
        assert!(report.problems.is_empty());
        assert_eq!(report.ticks_due, 200, "a complete run has all its slots");
    }
}

/// Every record can be read up to where its writer got; an end is only where all rows are.
fn check_records(world: &World, node: NodeId) {
    let disk = world.disk(node);
    for path in disk.paths().filter(|path| !path.contains('/')) {
        let content = disk.read(path).unwrap();
        if path.contains("TimeData") {
            read_table(content).unwrap_or_else(|error| panic!("{path}: {error}"));
        } else {
            read_samples(content).unwrap_or_else(|error| panic!("{path}: {error}"));
        }
    }
}

#[test]
fn seeds_of_mixed_faults_leave_everything_in_order() {
    let complete: u32 = (0..256).map(|seed| play(seed, &Fault::ALL)).sum();
    assert!(complete > 256, "of 1024 peers, {complete} had everything in spite of it all");
}

/// Plays one seed; returns how many peers had everything.
fn play(seed: u64, faults: &[Fault]) -> u32 {
    let (mut town, homes) = town(seed, faults);
    let played = catch_unwind(AssertUnwindSafe(|| {
        let machines = run_to_the_end(&mut town, &homes);
        for (_, node) in &homes {
            check_records(&town.world, *node);
            assert_copies_are_true(&town.world, *node, &homes);
            // Only who was killed leaves something unfinished.
            let killed = faults.contains(&Fault::Crash) || faults.contains(&Fault::PowerLoss);
            assert!(killed || town.world.disk(*node).paths().all(|path| !path.ends_with(".partial")));
        }
        check_records(&town.world, town.server_node);
        let mut complete = 0;
        for machine in machines {
            let report = town.world.machine::<Peers>(machine).unwrap().report().peers.remove(0);
            check_accounts(&report);
            complete += u32::from(report.outcome == "complete");
        }
        complete
    }));
    played.unwrap_or_else(|cause| {
        eprintln!("seed {seed} failed; the end of its trace:\n{}", town.world.trace_tail());
        resume_unwind(cause)
    })
}

/// Several peers in a process, numbers that the server gives, and two groups: for each host its group
/// and what its peers ask to be called.
const HOUSEHOLDS: [(&str, &[Option<&str>]); 5] = [
    ("lab", &[None, None, None]),
    ("lab", &[None]),
    ("lab", &[Some("7"), Some("alice")]),
    ("other", &[None, None]),
    ("other", &[Some("alice")]),
];

fn household(server: SocketAddr, (group, ids): (&str, &[Option<&str>])) -> Box<Peers> {
    Box::new(Peers::new(PeersConfig {
        server,
        group: group.parse().unwrap(),
        ids: ids.iter().map(|id| id.map(|id| id.parse().unwrap())).collect(),
        interval: Some(INTERVAL),
        duration: Some(RUN),
        share_deadline: Some(DEADLINE),
    }))
}

/// Plays one seed of households; returns how many of their nine peers had everything, and how many
/// copies were looked at.
fn play_households(seed: u64, faults: &[Fault]) -> (usize, usize) {
    let mut town = Town::new(seed);
    town.world.set_net(NetConfig::rough());
    let (addr, server_node) = (town.addr, town.server_node);
    let homes: Vec<(&str, NodeId)> = HOUSEHOLDS.iter().map(|(group, _)| (*group, town.node())).collect();
    let at_home = homes.clone();
    let mut life = 0;
    town.world.on_restart(move |node, _| {
        life += 1;
        let home = at_home.iter().position(|(_, home)| *home == node);
        vec![home.map_or_else(|| server_machine(addr, life), |home| household(addr, HOUSEHOLDS[home]) as _)]
    });
    for (home, (_, node)) in homes.iter().enumerate() {
        town.world.start(*node, household(addr, HOUSEHOLDS[home]));
    }
    unleash(&mut town, homes.iter().map(|(_, node)| *node).chain([server_node]).collect(), faults);
    let played = catch_unwind(AssertUnwindSafe(|| {
        let machines = run_to_the_end(&mut town, &homes);
        let mut copies = 0;
        for (group, node) in &homes {
            check_records(&town.world, *node);
            let group: Vec<NodeId> =
                homes.iter().filter(|home| home.0 == *group).map(|home| home.1).collect();
            copies += check_copies(&town.world, *node, &group);
        }
        let reports = machines.iter().flat_map(|id| town.world.machine::<Peers>(*id).unwrap().report().peers);
        (reports.inspect(check_accounts).filter(|report| report.outcome == "complete").count(), copies)
    }));
    played.unwrap_or_else(|cause| {
        eprintln!("seed {seed} failed; the end of its trace:\n{}", town.world.trace_tail());
        resume_unwind(cause)
    })
}

/// Each copy is equal to a record of that name in the same group. Whose it is, nobody can know: numbers
/// are given again.
fn check_copies(world: &World, node: NodeId, group: &[NodeId]) -> usize {
    let mut copies = 0;
    for path in world.disk(node).paths().filter(|path| !path.ends_with(".partial")) {
        let Some((_, file)) = path.split_once("_received") else { continue };
        let (_, file) = file.split_once('/').unwrap();
        let copy = world.disk(node).read(path);
        let owner = file.split_inclusive('_').take(2).collect::<String>();
        let is_original = |node: &NodeId| {
            let disk = world.disk(*node);
            let mut records = disk.paths().filter(|path| path.starts_with(&owner) && !path.contains('/'));
            records.any(|record| disk.read(record) == copy)
        };
        assert!(group.iter().any(is_original), "{path} is no copy");
        copies += 1;
    }
    copies
}

#[test]
fn households_and_groups_are_left_in_order() {
    let complete: usize = (2000..2128).map(|seed| play_households(seed, &Fault::ALL).0).sum();
    assert!(complete > 128, "of 1152 peers, {complete} had everything in spite of it all");
}

#[test]
fn households_that_lose_no_machine_get_everything() {
    let faults = [Fault::Reset, Fault::HalfClose, Fault::WallStep, Fault::Stall, Fault::SlowReader];
    for seed in 3000..3032 {
        // Two files of each of five others for six peers, and of each of two for three.
        assert_eq!(play_households(seed, &faults), (9, 6 * 5 * 2 + 3 * 2 * 2), "seed {seed}");
    }
}

#[test]
fn without_loss_of_machines_everybody_gets_everything() {
    let faults = [Fault::Reset, Fault::HalfClose, Fault::WallStep, Fault::Stall, Fault::SlowReader];
    let complete: u32 = (1000..1064).map(|seed| play(seed, &faults)).sum();
    assert_eq!(complete, 64 * 4);
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let leave = |seed| {
        let (mut town, homes) = town(seed, &Fault::ALL);
        run_to_the_end(&mut town, &homes);
        let disks: Vec<(String, Vec<u8>)> = homes
            .iter()
            .map(|(_, node)| *node)
            .chain([town.server_node])
            .flat_map(|node| {
                let disk = town.world.disk(node);
                disk.paths()
                    .map(|path| (path.to_owned(), disk.read(path).unwrap().to_vec()))
                    .collect::<Vec<_>>()
            })
            .collect();
        (town.world.trace_hash(), disks)
    };
    for seed in [5, 77] {
        assert_eq!(leave(seed), leave(seed));
    }
    assert_ne!(leave(5).0, leave(6).0);
}
