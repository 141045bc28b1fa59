//! Effects on files and their answers, sending files, crashes and power losses.

use std::io::ErrorKind;
use std::time::Duration;

use crate::proto::ids::FileId;
use crate::proto::limits::LINK_RANGES_MAX;
use crate::proto::machine::{DownReason, Effect, FileOp, OpenMode};
use crate::sim::ReadRate;
use crate::sim::tests::toys::{Pair, Puppet, Seen};

pub(super) const FILE: FileId = FileId(7);

pub(super) fn open(pair: &mut Pair, file: FileId, path: &str, mode: OpenMode) {
    pair.perform(0, Effect::Open { file, path, mode, aside: &format!("{path}.old") });
}

pub(super) fn append(pair: &mut Pair, bytes: &[u8]) {
    pair.perform(0, Effect::Append { file: FILE, bytes });
}

/// Finishes a file, and waits until the disk has answered.
pub(super) fn finish(pair: &mut Pair, file: FileId) {
    let seen = pair.puppet(0).seen.len();
    pair.perform(0, Effect::Finish { file });
    while pair.puppet(0).seen.len() == seen {
        assert!(pair.world.step(), "there is an answer");
    }
}

pub(super) fn last(pair: &Pair) -> &Seen {
    pair.puppet(0).seen.last().unwrap()
}

pub(super) fn paths(pair: &Pair) -> Vec<&str> {
    pair.world.disk(pair.nodes[0]).paths().collect()
}

pub(super) fn contents<'a>(pair: &'a Pair, path: &str) -> Option<&'a [u8]> {
    pair.world.disk(pair.nodes[0]).read(path)
}

#[test]
fn appends_are_answered_at_once_and_a_finish_later() {
    let mut pair = Pair::new(1);
    let before = pair.puppet(0).seen.len();
    pair.world.act(pair.puppets[0], |_: &mut Puppet, _, os| {
        os.perform(Effect::Open { file: FILE, path: "a/b.txt", mode: OpenMode::Named, aside: "x" });
        os.perform(Effect::Append { file: FILE, bytes: b"one " });
        os.perform(Effect::Append { file: FILE, bytes: b"two" });
        os.perform(Effect::WriteAt { file: FILE, offset: 4, bytes: b"TWO THREE" });
        os.perform(Effect::Finish { file: FILE });
        os.perform(Effect::Append { file: FILE, bytes: b"late" });
    });
    pair.run_ms(2000);
    let late = Seen::Failed(FILE, FileOp::Append, ErrorKind::PermissionDenied);
    let appended = Seen::Appended(FILE);
    assert_eq!(
        pair.puppet(0).seen[before..],
        [Seen::Ready(FILE, None), appended.clone(), appended, late, Seen::Finished(FILE, None)]
    );
    assert_eq!(contents(&pair, "a/b.txt"), Some(&b"one TWO THREE"[..]));
}

#[test]
fn an_older_file_is_moved_aside_when_the_new_one_takes_its_name() {
    let mut pair = Pair::new(2);
    let disk = pair.world.disk_mut(pair.nodes[0]);
    disk.write("a", b"first");
    disk.write("a.old", b"zeroth");
    open(&mut pair, FILE, "a", OpenMode::Named);
    assert_eq!(*last(&pair), Seen::Ready(FILE, Some("a.1.old".into())));
    assert_eq!(contents(&pair, "a.1.old"), Some(&b"first"[..]));

    pair.world.disk_mut(pair.nodes[0]).write("b", b"old");
    open(&mut pair, FileId(8), "b", OpenMode::Partial);
    assert_eq!(*last(&pair), Seen::Ready(FileId(8), None));
    assert_eq!(paths(&pair), ["a", "a.1.old", "a.old", "b", "b.partial"]);
    pair.perform(0, Effect::WriteAt { file: FileId(8), offset: 2, bytes: b"new" });
    finish(&mut pair, FileId(8));
    assert_eq!(*last(&pair), Seen::Finished(FileId(8), Some("b.old".into())));
    assert_eq!(paths(&pair), ["a", "a.1.old", "a.old", "b", "b.old"]);
    assert_eq!(contents(&pair, "b"), Some(&b"\0\0new"[..]));
}

#[test]
fn releasing_deletes_a_partial_that_is_not_finished() {
    let mut pair = Pair::new(3);
    open(&mut pair, FILE, "a", OpenMode::Partial);
    open(&mut pair, FileId(8), "b", OpenMode::Named);
    assert_eq!(paths(&pair), ["a.partial", "b"]);
    for file in [FILE, FileId(8)] {
        pair.perform(0, Effect::Release { file });
    }
    assert_eq!(paths(&pair), ["b"]);
    let seen = pair.puppet(0).seen.len();
    append(&mut pair, b"nobody");
    assert_eq!(pair.puppet(0).seen.len(), seen, "a file that is gone does nothing");
    open(&mut pair, FileId(9), "c", OpenMode::Partial);
    pair.perform(0, Effect::Exit);
    assert_eq!(paths(&pair), ["b"]);
}

#[test]
fn each_effect_can_fail_and_leaves_the_file_as_it_was() {
    let mut pair = Pair::new(4);
    open(&mut pair, FILE, "a", OpenMode::Partial);
    append(&mut pair, b"safe");
    let node = pair.nodes[0];
    for op in [FileOp::Open, FileOp::Append, FileOp::WriteAt, FileOp::Finish] {
        pair.world.disk_mut(node).fail(op, Some(ErrorKind::PermissionDenied));
    }
    open(&mut pair, FileId(8), "b", OpenMode::Named);
    assert_eq!(*last(&pair), Seen::Failed(FileId(8), FileOp::Open, ErrorKind::PermissionDenied));
    append(&mut pair, b"no");
    assert_eq!(*last(&pair), Seen::Failed(FILE, FileOp::Append, ErrorKind::PermissionDenied));
    pair.perform(0, Effect::WriteAt { file: FILE, offset: 0, bytes: b"no" });
    assert_eq!(*last(&pair), Seen::Failed(FILE, FileOp::WriteAt, ErrorKind::PermissionDenied));
    finish(&mut pair, FILE);
    assert_eq!(*last(&pair), Seen::Failed(FILE, FileOp::Finish, ErrorKind::PermissionDenied));
    assert_eq!(paths(&pair), ["a.partial"]);
    assert_eq!(contents(&pair, "a.partial"), Some(&b"safe"[..]));
    for op in [FileOp::Open, FileOp::Append, FileOp::WriteAt, FileOp::Finish] {
        pair.world.disk_mut(node).fail(op, None);
    }
    append(&mut pair, b"ty");
    assert_eq!(contents(&pair, "a.partial"), Some(&b"safety"[..]));
    finish(&mut pair, FILE);
    let unfinished = Seen::Failed(FILE, FileOp::Finish, ErrorKind::PermissionDenied);
    assert_eq!(*last(&pair), unfinished, "a write at a place has failed before");
    pair.perform(0, Effect::WriteAt { file: FILE, offset: 0, bytes: b"SA" });
    finish(&mut pair, FILE);
    assert_eq!(*last(&pair), Seen::Finished(FILE, None));
    assert_eq!(contents(&pair, "a"), Some(&b"SAfety"[..]));
}

#[test]
fn a_finished_file_is_only_read() {
    let mut pair = Pair::new(13);
    open(&mut pair, FILE, "a", OpenMode::Partial);
    append(&mut pair, b"whole");
    finish(&mut pair, FILE);
    append(&mut pair, b"late");
    assert_eq!(*last(&pair), Seen::Failed(FILE, FileOp::Append, ErrorKind::PermissionDenied));
    send_file(&mut pair, 0, 5);
    pair.run_ms(10);
    assert_eq!(pair.bytes(1), b"whole");
    finish(&mut pair, FILE);
    assert_eq!(*last(&pair), Seen::Finished(FILE, None));
}

#[test]
fn names_and_partials_do_not_collide() {
    let mut pair = Pair::new(14);
    open(&mut pair, FILE, "a/b", OpenMode::Partial);
    open(&mut pair, FileId(8), "a/b", OpenMode::Partial);
    assert_eq!(*last(&pair), Seen::Failed(FileId(8), FileOp::Open, ErrorKind::ResourceBusy));
    finish(&mut pair, FILE);
    open(&mut pair, FileId(9), "a", OpenMode::Named);
    assert_eq!(*last(&pair), Seen::Failed(FileId(9), FileOp::Open, ErrorKind::AlreadyExists));
    open(&mut pair, FileId(10), "a/b/c", OpenMode::Named);
    assert_eq!(*last(&pair), Seen::Failed(FileId(10), FileOp::Open, ErrorKind::NotADirectory));
}

#[test]
fn a_full_disk_refuses_and_a_freed_one_takes_again() {
    let mut pair = Pair::new(5);
    open(&mut pair, FILE, "a", OpenMode::Named);
    pair.world.disk_mut(pair.nodes[0]).set_room(Some(5));
    append(&mut pair, b"12345");
    append(&mut pair, b"6");
    assert_eq!(*last(&pair), Seen::Failed(FILE, FileOp::Append, ErrorKind::StorageFull));
    pair.world.disk_mut(pair.nodes[0]).set_room(None);
    append(&mut pair, b"7");
    assert_eq!(contents(&pair, "a"), Some(&b"123457"[..]));
}

#[test]
fn paths_do_not_lead_out() {
    let mut pair = Pair::new(6);
    for (number, path) in ["/a", "../a", "a/../../b", "", "a//b"].into_iter().enumerate() {
        let file = FileId(100 + number as u32);
        open(&mut pair, file, path, OpenMode::Named);
        assert_eq!(*last(&pair), Seen::Failed(file, FileOp::Open, ErrorKind::InvalidInput), "{path}");
    }
    assert!(pair.world.disk(pair.nodes[0]).is_empty());
}

pub(super) fn send_file(pair: &mut Pair, offset: u64, len: u64) {
    let link = pair.links[0];
    pair.perform(0, Effect::SendFile { link, file: FILE, offset, len });
}

#[test]
fn ranges_go_out_in_order_with_bytes_and_survive_the_release() {
    let mut pair = Pair::new(7);
    let data: Vec<u8> = (0..300_000u32).map(|number| (number / 7) as u8).collect();
    open(&mut pair, FILE, "a", OpenMode::Partial);
    append(&mut pair, &data);
    pair.send(0, b"<");
    send_file(&mut pair, 0, 200_000);
    assert_eq!(*last(&pair), Seen::Blocked(pair.links[0]));
    pair.send(0, b"|");
    send_file(&mut pair, 200_000, 100_000);
    pair.send(0, b">");
    pair.perform(0, Effect::Release { file: FILE });
    assert!(pair.world.disk(pair.nodes[0]).is_empty());
    pair.run_ms(100);
    let expected = [b"<", &data[..200_000], b"|", &data[200_000..], b">"].concat();
    assert!(pair.bytes(1) == expected);
    assert_eq!(*last(&pair), Seen::Drained(pair.links[0]));
}

#[test]
fn a_file_that_is_shorter_or_cannot_be_read_takes_the_link_down() {
    for how in 0..3 {
        let mut pair = Pair::new(8);
        open(&mut pair, FILE, "a", OpenMode::Named);
        append(&mut pair, &[1; 100_000]);
        match how {
            0 => send_file(&mut pair, 0, 100_001),
            1 => {
                send_file(&mut pair, 0, 100_000);
                pair.world.disk_mut(pair.nodes[0]).fail_reads(true);
            }
            _ => {
                send_file(&mut pair, 0, 100_000);
                pair.world.disk_mut(pair.nodes[0]).truncate("a", 70_000);
            }
        }
        pair.run_ms(100);
        assert_eq!(pair.down(0), Some(DownReason::FileFailed));
        assert_eq!(pair.down(1), Some(DownReason::Eof));
        assert!(pair.bytes(1).len() < 100_000);
    }
}

#[test]
fn too_many_ranges_and_unknown_files_take_the_link_down() {
    let mut pair = Pair::new(9);
    pair.world.slow_reader(pair.nodes[1], ReadRate::Nothing);
    open(&mut pair, FILE, "a", OpenMode::Named);
    append(&mut pair, &[1; 100_000]);
    for _ in 0..LINK_RANGES_MAX {
        send_file(&mut pair, 0, 100_000);
    }
    assert_eq!(pair.down(0), None);
    send_file(&mut pair, 0, 1);
    assert_eq!(pair.down(0), Some(DownReason::QueueFull));

    let mut pair = Pair::new(10);
    send_file(&mut pair, 0, 1);
    assert_eq!(pair.down(0), Some(DownReason::FileFailed));
}

#[test]
fn a_crash_keeps_what_the_kernel_has_and_leaves_partials_behind() {
    let mut pair = Pair::new(11);
    open(&mut pair, FILE, "a", OpenMode::Named);
    append(&mut pair, b"rows");
    open(&mut pair, FileId(8), "b", OpenMode::Partial);
    pair.world.crash(pair.nodes[0]);
    assert_eq!(paths(&pair), ["a", "b.partial"]);
    assert_eq!(contents(&pair, "a"), Some(&b"rows"[..]));

    // The next life has its own file ids, and opens an empty partial over the old one.
    pair.puppets[0] = pair.world.start(pair.nodes[0], Box::new(Puppet::default()));
    open(&mut pair, FILE, "b", OpenMode::Partial);
    append(&mut pair, b"again");
    finish(&mut pair, FILE);
    assert_eq!(contents(&pair, "b"), Some(&b"again"[..]));
}

#[test]
fn a_power_loss_keeps_what_was_finished_and_a_prefix_of_the_rest() {
    let mut lost = 0;
    for seed in 0..40 {
        let mut pair = Pair::new(seed);
        open(&mut pair, FileId(9), "whole", OpenMode::Partial);
        pair.perform(0, Effect::Append { file: FileId(9), bytes: b"finished" });
        finish(&mut pair, FileId(9));
        open(&mut pair, FILE, "rows", OpenMode::Named);
        append(&mut pair, b"one row, two rows");
        open(&mut pair, FileId(8), "b", OpenMode::Partial);
        pair.perform(0, Effect::Append { file: FileId(8), bytes: b"partial" });
        pair.world.power_loss(pair.nodes[0]);
        assert_eq!(contents(&pair, "whole"), Some(&b"finished"[..]));
        assert!(b"one row, two rows".starts_with(contents(&pair, "rows").unwrap()));
        lost += usize::from(contents(&pair, "b.partial").is_none());
    }
    assert!((5..35).contains(&lost), "{lost}");
}

#[test]
fn long_files_need_no_memory() {
    let mut pair = Pair::new(12);
    pair.world.disk_mut(pair.nodes[0]).keep_contents(false);
    open(&mut pair, FILE, "a", OpenMode::Named);
    for _ in 0..100 {
        append(&mut pair, &[b'x'; 1000]);
    }
    let disk = pair.world.disk(pair.nodes[0]);
    assert_eq!((disk.len("a"), disk.read("a")), (Some(100_000), None));
    assert!(disk.digest("a").is_some());
    send_file(&mut pair, 0, 1);
    assert_eq!(pair.down(0), Some(DownReason::FileFailed));
    pair.world.run_for(Duration::from_secs(1));
}
