//! Stories about the exchange of records after the runs: who fetches what from whom, and when.

mod common;

use std::io::ErrorKind;
use std::time::Duration;

use common::town::Town;
use tickmesh::proto::machine::FileOp;
use tickmesh::sim::World;

const SECOND: Duration = Duration::from_secs(1);

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
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
