//! How many runs begin, and who finds a place in a group that is full.

use super::*;
use crate::proto::limits::{RUN_PAUSE, RUNS_BURST};

/// Joins alone and leaves at once; returns the answer to `JOIN`.
fn come_and_go(desk: &mut Desk, index: u32) -> String {
    let link = desk.connect(index);
    let answer = desk.say(link, "JOIN lab a 0 * *\n");
    desk.say(link, "DONE 0 0\nLEAVE 1\n");
    answer
}

#[test]
fn nobody_fills_the_disk_with_tables_of_runs_that_are_over_at_once() {
    let mut desk = Desk::new();
    for index in 0..RUNS_BURST {
        let answer = come_and_go(&mut desk, index);
        assert!(answer.starts_with("OK JOIN a "), "{index}: {answer}");
    }
    let refused = come_and_go(&mut desk, RUNS_BURST);
    assert!(refused.starts_with("ERR limit-reached too many runs began"), "{refused}");
    assert!(refused.contains("try again in 4 s") || refused.contains("try again in 3 s"), "{refused}");
    assert_eq!(desk.hand.files.len(), RUNS_BURST as usize);
    desk.elapse(RUN_PAUSE + Duration::from_secs(1));
    let link = desk.connect(100);
    assert!(desk.say(link, "JOIN lab a 0 * *\n").starts_with("OK JOIN a "));
    let other = desk.connect(101);
    assert!(desk.say(other, "JOIN lab b 0 * *\n").starts_with("OK JOIN b "), "the run is on");
    assert_eq!(desk.hand.files.len(), RUNS_BURST as usize + 1);
}
