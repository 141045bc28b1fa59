//! What operators ask of a running server, in the simulator: to read again what they have changed.

mod common;

use std::io::ErrorKind;
use std::time::Duration;

use common::hall::{Hall, name, pass};
use tickmesh::proto::machine::Change;

/// Less than the server takes to look by itself.
const SOON: Duration = Duration::from_millis(100);

fn reloads(hall: &Hall) -> (u64, u64) {
    let status = hall.server().status();
    (status.reloads, status.reloads_failed)
}

#[test]
fn who_is_told_to_reload_knows_of_changes_at_once() {
    let mut hall = Hall::new(1);
    let (carol, _) = hall.login("carol");
    hall.world.store_mut(hall.node).change(&Change::RemoveAccount { name: name("carol") });
    hall.world.reload(hall.node);
    hall.world.run_for(SOON);
    assert_eq!(hall.hear(carol), "BYE your account was removed\n");
    assert_eq!(reloads(&hall), (1, 0));
}

#[test]
fn a_look_that_is_under_way_is_not_the_one_that_was_asked_for() {
    let mut hall = Hall::new(2);
    // A login makes the server look; the operator's word comes in the middle.
    let alice = hall.connect();
    hall.world.write(alice, format!("login alice {}\n", pass("alice")).as_bytes());
    let asks = |hall: &Hall| hall.world.trace_tail().lines().filter(|line| line.contains("DoLoad")).count();
    let before = asks(&hall);
    assert!(hall.world.run_until(
        |world| world.trace_tail().lines().filter(|line| line.contains("DoLoad")).count() > before,
        SOON
    ));
    hall.world.reload(hall.node);
    hall.world.reload(hall.node);
    hall.world.run_for(SOON);
    assert_eq!(reloads(&hall), (1, 0), "two words are one look");
    assert_eq!(asks(&hall), before + 2);
    assert!(hall.hear(alice).starts_with("OK login alice "));
}

#[test]
fn a_reload_that_fails_is_told_and_the_next_one_works() {
    let mut hall = Hall::new(3);
    hall.world.store_mut(hall.node).fail(Some(ErrorKind::InvalidData));
    hall.world.reload(hall.node);
    hall.world.run_for(SOON);
    assert_eq!(reloads(&hall), (0, 1));
    hall.world.store_mut(hall.node).fail(None);
    hall.world.reload(hall.node);
    hall.world.run_for(SOON);
    assert_eq!(reloads(&hall), (1, 1));
}
