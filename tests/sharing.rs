//! Stories about the exchange of records after the runs: who fetches what from whom, and when.

mod common;

use std::time::Duration;

use common::town::Town;
use tickmesh::sim::World;

const SECOND: Duration = Duration::from_secs(1);

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
