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

/// The sample in the protocol's documentation, which leaves lines out; `~` is anything.
#[test]
fn status_is_told_as_documented() {
    let mut hall = Hall::new(4);
    let link = hall.connect();
    let heard = hall.say(link, "status\n");
    let mut heard = heard.lines();
    let sample = include_str!("../src/proto/wire/status.txt").lines().skip(2);
    for expected in sample.filter_map(|line| line.strip_prefix("S: ")) {
        let (start, is_open) = expected.strip_suffix('~').map_or((expected, false), |start| (start, true));
        let fits = |line: &&str| *line == start || is_open && line.starts_with(start);
        assert!(heard.any(|line| fits(&line)), "{expected}");
    }
    assert_eq!(heard.next(), None, "the answer is the last line");
}

fn figures(heard: &str) -> Vec<(&str, u64)> {
    let lines = heard.lines().filter_map(|line| line.strip_prefix("* STATUS "));
    lines
        .map(|line| line.split_once(' ').unwrap())
        .map(|(name, value)| (name, value.parse().unwrap()))
        .collect()
}

#[test]
fn status_keeps_its_place_among_the_answers() {
    let mut hall = Hall::new(5);
    let (alice, _) = hall.login("alice");
    let heard = hall.say(alice, "whoelse\nstatus\nstatus\nwhoelse\n");
    let ends: Vec<&str> = heard.lines().filter(|line| !line.starts_with("* ")).collect();
    let count = figures(&heard).len() / 2;
    let status = format!("OK status {count}");
    assert_eq!(ends, ["OK whoelse 0", &status, &status, "OK whoelse 0"]);
    let figures = figures(&heard);
    let value = |name: &str| figures.iter().find(|(known, _)| *known == name).unwrap().1;
    assert_eq!(
        (value("server.links_talking"), value("messenger.logins"), value("messenger.accounts")),
        (1, 1, 3)
    );
    let mut names: Vec<&str> = figures[..count].iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count, "each name once");
}

#[test]
fn status_is_for_the_servers_own_host() {
    let mut hall = Hall::new(6);
    let link = hall.connect_from_afar();
    assert!(hall.say(link, "status\n").starts_with("ERR not-allowed "));
    for near in [hall.connect(), hall.connect_by_address()] {
        let heard = hall.say(near, "status\n");
        assert!(figures(&heard).contains(&("refused.not-allowed", 1)));
    }
}

#[test]
fn who_asks_for_status_all_the_time_is_stopped() {
    let mut hall = Hall::new(7);
    let link = hall.connect();
    hall.world.write(link, "status\n".repeat(100).as_bytes());
    hall.world.run_for(SOON);
    let heard = hall.hear(link);
    let answers = heard.lines().filter(|line| line.starts_with("OK status ")).count();
    assert!((10..40).contains(&answers), "{answers}");
    assert!(heard.lines().last().unwrap().starts_with("ERR too-fast "), "{heard}");
}

#[test]
fn a_report_disturbs_nobody() {
    let mut hall = Hall::new(8);
    let (alice, _) = hall.login("alice");
    hall.world.report(hall.node);
    hall.world.report(hall.node);
    assert_eq!(hall.say(alice, "whoelse\n"), "OK whoelse 0\n");
}
