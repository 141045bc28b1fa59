//! What a drop box asks for: files that take nobody's place, with room for all of them; counts of a folder; links that
//! are reset or sent over no more; and words to the other machines.

use std::io::ErrorKind;
use std::time::Duration;

use crate::proto::ids::FileId;
use crate::proto::limits::{COUNTED_BYTES_MIN, FRESH_TRIES_MAX, UPLOAD_LEFT_AGE, WRITE_BUDGET_BYTES};
use crate::proto::machine::{CloseReason, DownReason, Effect, FileOp, OpenMode, numbered_name, temp_name};
use crate::sim::tests::files::{FILE, contents, finish, last, open, paths};
use crate::sim::tests::toys::{Pair, Puppet, Seen, perform, up};
use crate::sim::{NetConfig, ReadRate, StrangerState};

const fn fresh(bytes: u64, tag: u32) -> OpenMode {
    OpenMode::Fresh { bytes, tag }
}

/// Opens a file, and waits until the disk has answered.
fn open_fresh(pair: &mut Pair, file: FileId, path: &str, bytes: u64, tag: u32) {
    let seen = pair.puppet(0).seen.len();
    open(pair, file, path, fresh(bytes, tag));
    while pair.puppet(0).seen.len() == seen {
        assert!(pair.world.step(), "there is an answer");
    }
}

fn survey(pair: &mut Pair, files_max: usize) -> (u64, Vec<String>, u64) {
    let seen = pair.puppet(0).seen.len();
    pair.perform(0, Effect::Survey { files_max });
    assert_eq!(pair.puppet(0).seen.len(), seen, "it takes its time");
    pair.run_ms(10);
    match last(pair) {
        Seen::Surveyed(bytes, names, removed) => (*bytes, names.clone(), *removed),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_fresh_file_takes_the_first_name_that_is_free() {
    let mut pair = Pair::new(1);
    for path in ["a", "a.2/below"] {
        pair.world.disk_mut(pair.nodes[0]).write(path, b"older");
    }
    for (number, expected) in [(20, "a.1"), (21, "a.3"), (22, "a.4")] {
        let file = FileId(number);
        open_fresh(&mut pair, file, "a", 3, number);
        assert_eq!(*last(&pair), Seen::Ready(file, None));
        assert!(paths(&pair).contains(&temp_name("a", number).as_str()));
        pair.perform(0, Effect::WriteAt { file, offset: 0, bytes: b"new" });
        finish(&mut pair, file);
        assert_eq!(*last(&pair), Seen::Finished(file, Some(expected.into())));
        assert_eq!(contents(&pair, expected), Some(&b"new"[..]));
    }
    pair.world.disk_mut(pair.nodes[0]).remove("a.1");
    open_fresh(&mut pair, FILE, "a", 0, 0);
    finish(&mut pair, FILE);
    assert_eq!(paths(&pair), ["a", "a.1", "a.2/below", "a.3", "a.4"]);
    assert_eq!(contents(&pair, "a"), Some(&b"older"[..]));
}

#[test]
fn a_fresh_file_is_refused_when_its_first_name_is_taken_and_fails_without_one() {
    let mut pair = Pair::new(2);
    open_fresh(&mut pair, FileId(8), "a", 3, 7);
    open_fresh(&mut pair, FileId(9), "a", 3, 7);
    assert_eq!(*last(&pair), Seen::Failed(FileId(9), FileOp::Open, ErrorKind::AlreadyExists));
    pair.world.disk_mut(pair.nodes[0]).remove(&temp_name("a", 7));
    finish(&mut pair, FileId(8));
    assert_eq!(*last(&pair), Seen::Failed(FileId(8), FileOp::Finish, ErrorKind::NotFound));
    // What takes the last name later is seen at the end only.
    open_fresh(&mut pair, FILE, "b", 0, 1);
    for number in 0..=FRESH_TRIES_MAX {
        pair.world.disk_mut(pair.nodes[0]).write(&numbered_name("b", number), b"");
    }
    open_fresh(&mut pair, FileId(10), "b", 0, 2);
    assert_eq!(*last(&pair), Seen::Failed(FileId(10), FileOp::Open, ErrorKind::TooManyLinks));
    pair.world.disk_mut(pair.nodes[0]).remove("b.7");
    open_fresh(&mut pair, FileId(11), "b", 0, 3);
    assert_eq!(*last(&pair), Seen::Ready(FileId(11), None));
    pair.world.disk_mut(pair.nodes[0]).write("b.7", b"");
    finish(&mut pair, FILE);
    assert_eq!(*last(&pair), Seen::Failed(FILE, FileOp::Finish, ErrorKind::AlreadyExists));
}

#[test]
fn an_unfinished_fresh_file_is_deleted_by_a_release_and_an_exit_but_not_by_a_crash() {
    let mut pair = Pair::new(3);
    for (number, path) in [(8, "a"), (9, "b")] {
        open_fresh(&mut pair, FileId(number), path, 5, number);
        pair.perform(0, Effect::WriteAt { file: FileId(number), offset: 0, bytes: b"begun" });
    }
    pair.perform(0, Effect::Release { file: FileId(8) });
    assert_eq!(paths(&pair), [temp_name("b", 9)]);
    pair.world.crash(pair.nodes[0]);
    assert_eq!(paths(&pair), [temp_name("b", 9)]);
    pair.puppets[0] = pair.world.start(pair.nodes[0], Box::new(Puppet::default()));
    open_fresh(&mut pair, FILE, "c", 5, 1);
    pair.perform(0, Effect::Exit);
    assert_eq!(paths(&pair), [temp_name("b", 9)]);
}

#[test]
fn the_room_of_a_fresh_file_is_its_own() {
    for seed in 0..20 {
        let mut pair = Pair::new(seed);
        pair.world.disk_mut(pair.nodes[0]).set_room(Some(100));
        open_fresh(&mut pair, FileId(8), "a", 60, 1);
        open_fresh(&mut pair, FileId(9), "b", 41, 2);
        assert_eq!(*last(&pair), Seen::Failed(FileId(9), FileOp::Open, ErrorKind::StorageFull));
        assert_eq!(paths(&pair), [temp_name("a", 1)]);
        open_fresh(&mut pair, FileId(10), "c", 40, 3);
        pair.perform(0, Effect::WriteAt { file: FileId(8), offset: 0, bytes: &[1; 60] });
        finish(&mut pair, FileId(8));
        assert_eq!(*last(&pair), Seen::Finished(FileId(8), Some("a".into())));
        pair.perform(0, Effect::Release { file: FileId(10) });
        open_fresh(&mut pair, FileId(11), "d", 40, 4);
        assert_eq!(*last(&pair), Seen::Ready(FileId(11), None));
    }
}

#[test]
fn a_file_that_loses_its_power_is_whole_or_has_no_final_name() {
    for seed in 0..60 {
        let mut pair = Pair::new(seed);
        open_fresh(&mut pair, FILE, "a", 5, 1);
        pair.perform(0, Effect::WriteAt { file: FILE, offset: 0, bytes: b"whole" });
        pair.perform(0, Effect::Finish { file: FILE });
        pair.run_ms(seed % 8);
        pair.world.power_loss(pair.nodes[0]);
        assert!(contents(&pair, "a").is_none_or(|bytes| bytes == b"whole"));
    }
}

#[test]
fn a_folder_is_counted_and_cleared_of_what_was_left() {
    let mut pair = Pair::new(4);
    assert_eq!(survey(&mut pair, 9), (0, Vec::new(), 0));
    let disk = pair.world.disk_mut(pair.nodes[0]);
    for (path, bytes) in [("b", 3), ("a", 4), ("c/d", 5), ("e.0badcafe.temp", 6)] {
        disk.write(path, &vec![0; bytes]);
    }
    open_fresh(&mut pair, FILE, "young", 5000, 1);
    pair.perform(0, Effect::WriteAt { file: FILE, offset: 0, bytes: &[0; 50] });
    assert_eq!(survey(&mut pair, 1), (2 * COUNTED_BYTES_MIN, vec!["a".to_owned()], 1));
    assert_eq!(paths(&pair), ["a", "b", "c/d", temp_name("young", 1).as_str()]);
    pair.world.crash(pair.nodes[0]);
    pair.puppets[0] = pair.world.start(pair.nodes[0], Box::new(Puppet::default()));
    pair.world.run_for(UPLOAD_LEFT_AGE - Duration::from_secs(1));
    assert_eq!(
        survey(&mut pair, 0),
        (2 * COUNTED_BYTES_MIN + 5000, Vec::new(), 0),
        "what it has of the disk"
    );
    pair.run_ms(2000);
    assert_eq!(survey(&mut pair, 0), (2 * COUNTED_BYTES_MIN, Vec::new(), 1));
    assert_eq!(paths(&pair), ["a", "b", "c/d"]);
    pair.world.disk_mut(pair.nodes[0]).fail_surveys(Some(ErrorKind::PermissionDenied));
    pair.perform(0, Effect::Survey { files_max: 0 });
    pair.run_ms(10);
    assert_eq!(*last(&pair), Seen::SurveyFailed(ErrorKind::PermissionDenied));
}

/// Whoever adds what is finished to what was counted counts each file once.
#[test]
fn a_file_counts_in_a_survey_if_and_only_if_its_end_was_told_before() {
    let mut seen = [0; 4];
    for seed in 0..100 {
        let mut pair = Pair::new(seed);
        let files = (20..23).map(FileId);
        for file in files.clone() {
            open_fresh(&mut pair, file, "a", 1, file.0);
            pair.perform(0, Effect::WriteAt { file, offset: 0, bytes: b"x" });
            pair.perform(0, Effect::Finish { file });
        }
        pair.perform(0, Effect::Survey { files_max: 9 });
        pair.run_ms(3000);
        let told = &pair.puppet(0).seen;
        let at = told.iter().position(|seen| matches!(seen, Seen::Surveyed(..))).unwrap();
        let before = told[..at].iter().filter(|seen| matches!(seen, Seen::Finished(..))).count();
        let Seen::Surveyed(bytes, names, 0) = &told[at] else { panic!() };
        assert_eq!((*bytes, names.len()), (before as u64 * COUNTED_BYTES_MIN, before));
        seen[before] += 1;
    }
    assert!(seen.iter().all(|count| *count > 0), "{seen:?}");
}

#[test]
fn a_reset_takes_what_waits_and_is_seen_as_one() {
    let mut pair = Pair::new(5);
    let link = pair.links[0];
    pair.send(0, &vec![1; 300_000]);
    pair.perform(0, Effect::Reset { link, reason: CloseReason::Failed });
    pair.send(0, b"stale");
    pair.run_ms(100);
    assert_eq!((pair.down(0), pair.down(1)), (None, Some(DownReason::Reset)));
    assert!(pair.bytes(1).len() < 300_000);
    assert_eq!(pair.world.stats().closes[&CloseReason::Failed], 1);
    assert_eq!(pair.world.stats().stale_effects, 1);
}

#[test]
fn who_has_shut_a_link_hears_on() {
    let mut pair = Pair::new(6);
    let link = pair.links[0];
    pair.world.disk_mut(pair.nodes[0]).write("a", &[2; 200_000]);
    open(&mut pair, FILE, "a", OpenMode::Existing);
    let addr = pair.world.addr(pair.nodes[0], 9);
    pair.perform(0, Effect::Listen { addr });
    let stranger = pair.world.connect(pair.nodes[1], addr);
    pair.run_ms(10);
    let other = up(&pair.world, pair.puppets[0]);
    pair.world.set_reading(stranger, ReadRate::Nothing);
    pair.world.act(pair.puppets[0], |_: &mut Puppet, _, os| {
        os.perform(Effect::Send { link: other, bytes: b"<" });
        os.perform(Effect::SendFile { link: other, file: FILE, offset: 0, len: 200_000 });
        os.perform(Effect::Shut { link: other });
        os.perform(Effect::Shut { link: other });
        os.perform(Effect::Send { link: other, bytes: b"too late" });
        os.perform(Effect::SendFile { link: other, file: FileId(99), offset: 0, len: 1 });
    });
    pair.run_ms(100);
    assert!(!pair.world.is_closed(stranger), "all of it comes first");
    pair.world.set_reading(stranger, ReadRate::Full);
    pair.run_ms(100);
    assert!(pair.world.is_closed(stranger), "and then the end");
    assert_eq!(pair.world.read(stranger).len(), 200_001);
    pair.world.write(stranger, b"still here");
    pair.run_ms(100);
    assert_eq!(pair.puppet(0).bytes[&other], b"still here");
    pair.world.close(stranger);
    pair.run_ms(100);
    assert!(pair.has_seen(0, &Seen::Down(other, DownReason::Eof)));
    // One that has nothing to send is shut as well; a machine at the other end takes it for the end of the link.
    pair.perform(0, Effect::Shut { link });
    pair.run_ms(100);
    assert_eq!([0, 1].map(|side| pair.down(side)), [Some(DownReason::Eof); 2]);
}

#[test]
fn one_that_was_shut_is_closed_or_reset_like_any_other() {
    for (reset, reason) in [(false, DownReason::Eof), (true, DownReason::Reset)] {
        let mut pair = Pair::new(7);
        let link = pair.links[0];
        pair.world.slow_reader(pair.nodes[1], ReadRate::Nothing);
        pair.send(0, &vec![1; 300_000]);
        pair.perform(0, Effect::Shut { link });
        if reset {
            pair.perform(0, Effect::Reset { link, reason: CloseReason::Failed });
        } else {
            pair.close(0);
        }
        pair.world.slow_reader(pair.nodes[1], ReadRate::Full);
        pair.run_ms(100);
        assert_eq!((pair.down(0), pair.down(1)), (None, Some(reason)));
        assert_eq!(pair.bytes(1).len() == 300_000, !reset);
    }
}

#[test]
fn the_other_machines_of_a_node_hear_of_a_file() {
    let mut pair = Pair::new(8);
    let others = [(); 2].map(|()| pair.world.start(pair.nodes[0], Box::new(Puppet::default())));
    perform(&mut pair.world, others[1], Effect::Exit);
    pair.perform(0, Effect::Present { path: "a file", stamp: None });
    let told = |puppet| {
        let puppet: &Puppet = pair.world.machine(puppet).unwrap();
        puppet.seen.iter().filter(|seen| **seen == Seen::Presented("a file".to_owned())).count()
    };
    let all = [pair.puppets[0], pair.puppets[1], others[0], others[1]];
    assert_eq!(all.map(told), [0, 0, 1, 0]);
}

#[test]
fn a_long_range_is_told_to_wait_however_fast_the_link_is() {
    let mut pair = Pair::new(9);
    pair.world.set_net(NetConfig { window_bytes: 4 * WRITE_BUDGET_BYTES, ..NetConfig::default() });
    let link = pair.links[0];
    pair.world.disk_mut(pair.nodes[0]).write("a", &[1; WRITE_BUDGET_BYTES + 1]);
    open(&mut pair, FILE, "a", OpenMode::Existing);
    for (len, told) in [(WRITE_BUDGET_BYTES, 0), (WRITE_BUDGET_BYTES + 1, 1)] {
        pair.perform(0, Effect::SendFile { link, file: FILE, offset: 0, len: len as u64 });
        pair.run_ms(100);
        let count = |wanted: &Seen| pair.puppet(0).seen.iter().filter(|seen| *seen == wanted).count();
        assert_eq!((count(&Seen::Blocked(link)), count(&Seen::Drained(link))), (told, told));
    }
}

/// What the other side of a held link sees, after it has said that it sends no more, or before.
#[test]
fn a_held_link_ends_when_its_machine_says_so_and_breaks_when_that_cannot() {
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum How {
        Closed,
        Reset,
        Exited,
        Killed,
        Broken,
    }
    for how in [How::Closed, How::Reset, How::Exited, How::Killed, How::Broken] {
        for ends in [false, true] {
            let mut pair = Pair::new(10);
            let addr = pair.world.addr(pair.nodes[0], 9);
            pair.perform(0, Effect::Listen { addr });
            let stranger = pair.world.connect(pair.nodes[1], addr);
            pair.run_ms(10);
            let link = up(&pair.world, pair.puppets[0]);
            pair.perform(0, Effect::Hold { link });
            pair.world.write(stranger, b"all of it");
            if ends {
                pair.world.finish_writing(stranger);
            }
            pair.run_ms(5000);
            assert!(!pair.world.is_closed(stranger), "{how:?}");
            assert_eq!(pair.has_seen(0, &Seen::Ended(link)), ends);
            let reason = match how {
                How::Closed => {
                    pair.perform(0, Effect::Send { link, bytes: b"done" });
                    pair.perform(0, Effect::Close { link, reason: CloseReason::Done });
                    StrangerState::Ended(DownReason::Eof)
                }
                How::Reset => {
                    pair.perform(0, Effect::Reset { link, reason: CloseReason::Failed });
                    StrangerState::Ended(DownReason::Reset)
                }
                How::Exited => {
                    pair.perform(0, Effect::Exit);
                    StrangerState::Ended(DownReason::Reset)
                }
                How::Killed => {
                    pair.world.crash(pair.nodes[0]);
                    StrangerState::Ended(DownReason::Reset)
                }
                How::Broken => {
                    pair.world.reset(stranger);
                    StrangerState::Closed
                }
            };
            pair.run_ms(100);
            assert_eq!(pair.world.stranger_state(stranger), reason, "{how:?}");
            assert_eq!(pair.world.read(stranger) == b"done", how == How::Closed);
            let down = Seen::Down(link, DownReason::Reset);
            assert_eq!(pair.has_seen(0, &down), how == How::Broken, "{how:?}");
        }
    }
}
