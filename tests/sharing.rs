//! Stories about the exchange of records after the runs: who fetches what from whom, and when.

mod common;

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use common::town::Town;
use tickmesh::proto::machine::FileOp;
use tickmesh::proto::peer::{Peers, PeersConfig};
use tickmesh::sim::{NetConfig, World};

const SECOND: Duration = Duration::from_secs(1);

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A run is not disturbed by its own transfers, nor by those of others.
#[test]
fn nobody_fetches_while_its_own_run_is_on() {
    let mut town = Town::new(133);
    let nodes = [1, 3, 5].map(|seconds| {
        let node = town.node();
        (seconds, node, town.start(node, &format!("m{seconds}"), seconds))
    });
    let copies = |town: &Town| {
        nodes.map(|(_, node, _)| {
            town.world.disk(node).paths().filter(|path| path.contains("_received/")).count()
        })
    };
    // Both ends of three links to the server, and of one for each pair whose runs are both over.
    for (at_ms, links, expected) in [(900, 6, [0, 0, 0]), (2900, 6, [0, 0, 0]), (4900, 8, [2, 2, 0])] {
        town.world.run_for(ms(at_ms).checked_sub(town.world.now()).unwrap());
        assert_eq!(copies(&town), expected, "after {at_ms} ms");
        assert_eq!(
            (town.world.stats().links, town.world.stats().dials_failed),
            (links, 0),
            "after {at_ms} ms"
        );
    }
    town.finish(&nodes.map(|(_, _, machine)| machine));
    for (_, _, machine) in nodes {
        let report = town.assert_complete(machine);
        assert_eq!(report.ticks_missed, 0);
    }
    assert_eq!((copies(&town), town.world.stats().links), ([4, 4, 4], 12));
}

/// A host with a second address, as on a network that nobody chose, is not reached there.
#[test]
fn a_peer_listens_only_at_the_address_that_the_server_sees() {
    let mut town = Town::new(134);
    let (node, alice) = town.peer("alice");
    let home = town.world.addr(node, 0).ip();
    town.world.run_for(ms(500));
    let listeners: Vec<SocketAddr> = town.world.listeners(node).collect();
    assert_eq!(listeners.iter().map(SocketAddr::ip).collect::<Vec<_>>(), [home], "one, and not 0.0.0.0");
    // On the server's own host that is the address which was dialed.
    let server_node = town.server_node;
    let local = town.start(server_node, "local", 1);
    town.world.run_for(ms(100));
    let at = |addr: &SocketAddr| addr.ip() == town.addr.ip() && addr.port() != town.addr.port();
    assert_eq!(town.world.listeners(server_node).filter(at).count(), 1);
    town.finish(&[alice, local]);
    town.assert_complete(alice);
    town.assert_complete(local);
    assert_eq!(town.world.listeners(node).count(), 0);
}

/// The disk is full for longer than rows can wait in memory, and then has room again: the last line
/// says that rows are missing. The server, which has them all, says no such thing.
#[test]
fn the_last_line_says_that_rows_were_lost() {
    let mut town = Town::new(135);
    let node = town.node();
    let machine = peers_machine_every(town.addr, "alice", ms(1), SECOND * 20);
    let alice = town.world.start(node, machine);
    town.world.run_for(SECOND);
    town.world.disk_mut(node).set_room(Some(0));
    town.world.run_for(SECOND * 15);
    town.world.disk_mut(node).set_room(None);
    town.finish(&[alice]);
    let report = town.report(alice);
    assert!(report.rows_lost > 1000, "{report:?}");
    assert_eq!((report.outcome, report.ticks_answered), ("failed", 20_000));
    let lacks = "client_alice_TimeData.txt lacks ";
    assert!(report.problems[0].starts_with(lacks), "{report:?}");
    assert!(report.problems[0].ends_with("the disk is full; make room, or choose another folder"));
    let facts = town.table(node, "client_alice_TimeData.txt");
    assert_eq!(facts.complete.unwrap().cause.as_deref(), Some("rows lost, the disk refused them"));
    assert!((10_000..40_000).contains(&facts.rows), "no gap: what is there is read back");
    town.world.run_for(SECOND);
    let facts = town.table(town.server_node, "serverTimeData.txt");
    assert_eq!((facts.rows, facts.complete.unwrap().cause), (40_000, None));
}

fn peers_machine_every(server: SocketAddr, name: &str, interval: Duration, duration: Duration) -> Box<Peers> {
    Box::new(Peers::new(PeersConfig {
        server,
        group: "lab".parse().unwrap(),
        ids: vec![Some(name.parse().unwrap())],
        interval: Some(interval),
        duration: Some(duration),
        share_deadline: Some(SECOND * 10),
    }))
}

/// What went out packed goes out again without a look at the disk.
#[test]
fn a_chunk_is_packed_once_for_all_who_want_it() {
    let mut town = Town::new(136);
    let node = town.node();
    let alice = town.world.start(node, peers_machine_every(town.addr, "alice", ms(1), SECOND * 17));
    let (_, bob) = town.peer("bob");
    let carol_node = town.node();
    let carol = town.start(carol_node, "carol", 20);
    let has_all = |world: &World| world.machine::<Peers>(bob).unwrap().report().peers[0].files_received == 2;
    assert!(town.world.run_until(has_all, SECOND * 20), "{}", town.world.trace_tail());
    // What has to be read now goes as it is.
    town.world.disk_mut(node).fail(FileOp::Read, Some(ErrorKind::Other));
    town.finish(&[alice, bob, carol]);
    let got = town.assert_complete(carol);
    assert!(got.bytes_fetched > 3_000_000 && got.wire_bytes_fetched * 3 < got.bytes_fetched, "{got:?}");
}

/// So does what came in packed.
#[test]
fn a_chunk_that_came_in_packed_is_passed_on_as_it_came() {
    let mut town = Town::new(137);
    town.world.set_net(NetConfig { bytes_per_second: 300_000, ..NetConfig::default() });
    let node = town.node();
    let alice = town.world.start(node, peers_machine_every(town.addr, "alice", ms(1), SECOND * 17));
    let others = ["bob", "carol", "dave"].map(|name| {
        let (node, machine) = town.peer(name);
        town.world.disk_mut(node).fail(FileOp::Read, Some(ErrorKind::Other));
        machine
    });
    town.finish(&[&others[..], &[alice]].concat());
    let sent =
        others.map(|other| town.assert_complete(other)).map(|sent| (sent.bytes_sent, sent.wire_bytes_sent));
    let (bytes, octets) = sent.iter().fold((0, 0), |sum, sent| (sum.0 + sent.0, sum.1 + sent.1));
    assert!(bytes > 2_000_000 && octets * 3 < bytes, "{sent:?}");
}

/// What is in the folder of copies under its own name, this run received.
#[test]
fn an_old_copy_is_not_taken_for_one_of_this_run() {
    let mut town = Town::new(131);
    let (alice_node, alice) = town.peer("alice");
    let (bob_node, bob) = town.peer("bob");
    town.finish(&[alice, bob]);
    town.assert_complete(bob);
    town.world.run_for(SECOND);

    let (alice, bob) = (town.start(alice_node, "alice", 1), town.start(bob_node, "bob", 1));
    town.world.run_for(ms(500));
    town.world.crash(alice_node);
    town.finish(&[bob]);
    assert_eq!(town.report(bob).files_received, 0, "{alice:?} died before she shared");
    let copies = |folder: &str| {
        let paths = town.world.disk(bob_node).paths();
        paths.filter(|path| path.starts_with(folder)).map(str::to_owned).collect::<Vec<String>>()
    };
    assert_eq!(copies("client_bob_received/"), [""; 0]);
    let kept = copies("client_bob_received.2");
    assert_eq!(kept.len(), 2, "{kept:?}");
    assert!(kept[1].ends_with("Z/client_alice_samples.csv"), "{kept:?}");
}

#[test]
fn a_folder_of_copies_that_cannot_be_moved_ends_the_peer_at_once() {
    let mut town = Town::new(132);
    let node = town.node();
    town.world.disk_mut(node).fail(FileOp::SetAside, Some(ErrorKind::PermissionDenied));
    let alice = town.start(node, "alice", 1);
    town.finish(&[alice]);
    let report = town.report(alice);
    assert_eq!(
        report.problems,
        ["cannot move the files that an earlier run received aside: permission denied"]
    );
}

/// Alice's disk changes a byte of her record after she hashed it: Bob gives up what she has, and
/// ends. She may not take that for his having everything.
#[test]
fn who_ends_with_files_missing_does_not_say_that_it_has_all() {
    let mut town = Town::new(130);
    let (alice_node, alice) = town.peer("alice");
    let (_, bob) = town.peer("bob");
    let table = "client_alice_TimeData.txt";
    let is_whole = |world: &World| {
        let content = world.disk(alice_node).read(table);
        content.is_some_and(|content| content.ends_with(b"_End of Timestamp Data (after 1 second)_\n"))
    };
    assert!(town.world.run_until(is_whole, SECOND * 5));
    town.world.disk_mut(alice_node).damage(table, 1000, b"x");
    town.finish(&[alice, bob]);
    let (alice, bob) = (town.report(alice), town.report(bob));
    assert_eq!((alice.outcome, bob.outcome), ("missing files", "missing files"), "{alice:?} {bob:?}");
    assert_eq!((alice.files_received, bob.files_received), (2, 0));
    let lacks = "peer bob lacks client_alice_TimeData.txt of peer alice";
    for problems in [alice.problems, bob.problems] {
        assert!(problems[0].starts_with(lacks), "{problems:?}");
        assert!(problems.iter().all(|problem| problem.starts_with("peer bob lacks")), "{problems:?}");
    }
    assert!(town.world.now() < SECOND * 8, "nobody waits for what will never come");
}
