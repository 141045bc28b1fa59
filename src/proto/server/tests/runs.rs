//! How many runs begin, and who finds a place in a group that is full.

use std::io::ErrorKind;

use super::*;
use crate::proto::limits::{RUN_PAUSE, RUNS_BURST};
use crate::proto::machine::FileOp;

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
    for index in 0..RUNS_BURST as u32 {
        let answer = come_and_go(&mut desk, index);
        assert!(answer.starts_with("OK JOIN a "), "{index}: {answer}");
    }
    let refused = come_and_go(&mut desk, RUNS_BURST as u32);
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

/// A disk that is answered by a test.
#[derive(Default)]
struct Disk {
    appends: Vec<FileId>,
    is_finished: bool,
}

impl Os for Disk {
    fn perform(&mut self, effect: Effect<'_>) {
        match effect {
            Effect::Append { file, .. } => self.appends.push(file),
            Effect::Finish { .. } => self.is_finished = true,
            _ => {}
        }
    }
}

/// Otherwise everybody else at the loop would wait for all of it.
#[test]
fn a_table_that_a_full_disk_has_held_up_goes_out_in_parts_with_turns_in_between() {
    let mut desk = Desk::new();
    let link = desk.connect(0);
    assert!(desk.say(link, "JOIN lab a 0 1000000 10000000000\n").starts_with("OK JOIN a "));
    let (Desk { mut server, mut now, .. }, mut disk) = (desk, Disk::default());
    let say = |server: &mut Server, text: &str, now: Now, disk: &mut Disk| {
        server.handle_input(Input::Received { link, bytes: text.as_bytes(), at: now.wall }, now, disk);
        server.handle_timeout(now, disk);
    };
    for tick in 0..10_000 {
        now.mono.0 += 1_000_000;
        say(&mut server, &format!("TICK {tick} {tick}\n"), now, &mut disk);
        for file in std::mem::take(&mut disk.appends) {
            let (op, error) = (FileOp::Append, ErrorKind::StorageFull);
            server.handle_input(Input::FileFailed { file, op, offset: 0, error }, now, &mut disk);
        }
    }
    say(&mut server, "DONE 10000 10000\nLEAVE 1\n", now, &mut disk);
    let (began, mut parts, mut at_once) = (now.mono, 0, 0);
    while !disk.is_finished {
        for file in std::mem::take(&mut disk.appends) {
            parts += 1;
            server.handle_input(Input::Appended { file }, now, &mut disk);
            at_once += disk.appends.len();
        }
        now.mono = now.mono.max(server.poll_timeout().unwrap_or(now.mono));
        server.handle_timeout(now, &mut disk);
    }
    assert!(parts > 4 && at_once <= 1, "{parts} {at_once}");
    assert!(now.mono - began < Duration::from_secs(1));
}
