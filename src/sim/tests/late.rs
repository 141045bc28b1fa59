//! What a disk does behind the loop's back, files that are resumed, and files that are there.

use std::io::ErrorKind;

use crate::proto::ids::FileId;
use crate::proto::limits::DISK_JOBS_MAX;
use crate::proto::machine::{DownReason, Effect, FileOp, OpenMode};
use crate::sim::tests::files::{FILE, append, contents, finish, last, open, paths, send_file};
use crate::sim::tests::toys::{Pair, Puppet, Seen};

#[test]
fn finishing_takes_time_and_a_release_waits_for_it() {
    let mut released = 0;
    for seed in 0..30 {
        let mut pair = Pair::new(seed);
        pair.world.disk_mut(pair.nodes[0]).write("b", b"older");
        for (file, path) in [(FILE, "a"), (FileId(8), "b"), (FileId(9), "c")] {
            open(&mut pair, file, path, OpenMode::Partial);
            pair.perform(0, Effect::Append { file, bytes: b"whole" });
            pair.perform(0, Effect::Finish { file });
        }
        assert_eq!(paths(&pair), ["a.partial", "b", "b.partial", "c.partial"]);
        pair.perform(0, Effect::Release { file: FILE });
        send_file(&mut pair, 0, 1);
        assert_eq!(pair.down(0), Some(DownReason::FileFailed), "for the machine it is gone");
        pair.perform(0, Effect::Finish { file: FileId(8) });
        pair.run_ms(2000);
        let finished = |seen: &&Seen| matches!(seen, Seen::Finished(..));
        assert_eq!(pair.puppet(0).seen.iter().filter(finished).count(), 3, "each once");
        assert!(pair.has_seen(0, &Seen::Finished(FileId(8), Some("b.old".into()))));
        assert_eq!(paths(&pair), ["a", "b", "b.old", "c"]);
        released +=
            usize::from(matches!(pair.puppet(0).seen.iter().find(finished), Some(Seen::Finished(FILE, _))));
    }
    assert!((1..30).contains(&released), "answers come in any order");
}

#[test]
fn what_was_to_be_finished_is_when_its_machine_ends() {
    let mut pair = Pair::new(16);
    for (file, path, mode) in [(FILE, "a", OpenMode::Partial), (FileId(8), "b", OpenMode::Named)] {
        open(&mut pair, file, path, mode);
        pair.perform(0, Effect::Append { file, bytes: b"whole" });
        pair.perform(0, Effect::Finish { file });
    }
    open(&mut pair, FileId(9), "c", OpenMode::Partial);
    pair.perform(0, Effect::Exit);
    assert_eq!(paths(&pair), ["a", "b"]);
    pair.world.power_loss(pair.nodes[0]);
    assert_eq!(contents(&pair, "a"), Some(&b"whole"[..]));
    assert_eq!(contents(&pair, "b"), Some(&b"whole"[..]));
}

#[test]
fn a_power_loss_may_come_before_during_or_after_a_finish() {
    let mut seen = [0; 3];
    for seed in 0..60 {
        let mut pair = Pair::new(seed);
        open(&mut pair, FILE, "a", OpenMode::Partial);
        append(&mut pair, b"finished");
        pair.perform(0, Effect::Finish { file: FILE });
        pair.run_ms(seed % 8);
        let answered = pair.has_seen(0, &Seen::Finished(FILE, None));
        pair.world.power_loss(pair.nodes[0]);
        pair.run_ms(2000);
        match contents(&pair, "a") {
            Some(bytes) => assert_eq!(bytes, b"finished", "a name only when the bytes are safe"),
            None => assert!(!answered, "answered only when the name is safe"),
        }
        seen[usize::from(contents(&pair, "a").is_some()) + usize::from(answered)] += 1;
    }
    assert!(seen.iter().all(|count| *count > 0), "{seen:?}");
}

#[test]
fn a_resumed_partial_keeps_what_is_there() {
    let mut pair = Pair::new(17);
    open(&mut pair, FILE, "a", OpenMode::Resume { bytes: 9, reserve: false });
    pair.perform(0, Effect::WriteAt { file: FILE, offset: 2, bytes: b"cd" });
    open(&mut pair, FileId(8), "a", OpenMode::Resume { bytes: 9, reserve: false });
    assert_eq!(*last(&pair), Seen::Failed(FileId(8), FileOp::Open, ErrorKind::ResourceBusy));
    pair.perform(0, Effect::Release { file: FILE });
    assert_eq!(paths(&pair), ["a.partial"]);
    open(&mut pair, FileId(9), "a", OpenMode::Resume { bytes: 9, reserve: false });
    assert_eq!(pair.puppet(0).ready_bytes, 4);

    pair.world.disk_mut(pair.nodes[0]).set_room(Some(1));
    pair.perform(0, Effect::WriteAt { file: FileId(9), offset: 3, bytes: b"def" });
    assert_eq!(*last(&pair), Seen::Failed(FileId(9), FileOp::WriteAt, ErrorKind::StorageFull));
    assert_eq!(pair.puppet(0).failed_at, 3);
    pair.world.disk_mut(pair.nodes[0]).set_room(None);
    finish(&mut pair, FileId(9));
    assert_eq!(*last(&pair), Seen::Failed(FileId(9), FileOp::Finish, ErrorKind::StorageFull));
    for (offset, bytes) in [(0, &b"ab"[..]), (3, b"def")] {
        pair.perform(0, Effect::WriteAt { file: FileId(9), offset, bytes });
    }
    pair.perform(0, Effect::Exit);
    assert_eq!(paths(&pair), ["a.partial"]);
    pair.puppets[0] = pair.world.start(pair.nodes[0], Box::new(Puppet::default()));
    open(&mut pair, FILE, "a", OpenMode::Resume { bytes: 9, reserve: false });
    finish(&mut pair, FILE);
    assert_eq!(contents(&pair, "a"), Some(&b"abcdef"[..]));
    pair.world.disk_mut(pair.nodes[0]).write("b.partial", b"too long");
    open(&mut pair, FileId(8), "b", OpenMode::Resume { bytes: 3, reserve: false });
    assert_eq!(pair.puppet(0).ready_bytes, 3);
    finish(&mut pair, FileId(8));
    assert_eq!(contents(&pair, "b"), Some(&b"too"[..]));
    open(&mut pair, FileId(10), "c", OpenMode::Resume { bytes: 3, reserve: false });
    assert_eq!(paths(&pair), ["a", "b", "c.partial"]);
    pair.perform(0, Effect::Release { file: FileId(10) });
    assert_eq!(paths(&pair), ["a", "b"], "nothing is no part of a file");
}

#[test]
fn a_file_that_is_there_is_only_read() {
    let mut pair = Pair::new(18);
    pair.world.disk_mut(pair.nodes[0]).write("sub/a", b"12345");
    open(&mut pair, FILE, "sub/a", OpenMode::Existing);
    assert_eq!((last(&pair), pair.puppet(0).ready_bytes), (&Seen::Ready(FILE, None), 5));
    append(&mut pair, b"6");
    assert_eq!(*last(&pair), Seen::Failed(FILE, FileOp::Append, ErrorKind::PermissionDenied));
    send_file(&mut pair, 1, 3);
    pair.run_ms(10);
    assert_eq!(pair.bytes(1), b"234");
    for (number, path, error) in [
        (8, "sub", ErrorKind::IsADirectory),
        (9, "nothing", ErrorKind::NotFound),
        (10, "../a", ErrorKind::InvalidInput),
    ] {
        open(&mut pair, FileId(number), path, OpenMode::Existing);
        assert_eq!(*last(&pair), Seen::Failed(FileId(number), FileOp::Open, error), "{path}");
    }
    pair.perform(0, Effect::Release { file: FILE });
    assert_eq!(paths(&pair), ["sub/a"]);
}

#[test]
fn ranges_are_hashed_and_read_later() {
    let mut pair = Pair::new(19);
    pair.world.disk_mut(pair.nodes[0]).write("a", b"0123456789");
    open(&mut pair, FILE, "a", OpenMode::Existing);
    let before = pair.puppet(0).seen.len();
    pair.perform(0, Effect::Hash { file: FILE, offset: 2, len: 5 });
    pair.perform(0, Effect::Read { file: FILE, offset: 3, len: 7 });
    pair.perform(0, Effect::Hash { file: FILE, offset: 3, len: 8 });
    pair.perform(0, Effect::Read { file: FILE, offset: u64::MAX, len: 1 });
    assert_eq!(pair.puppet(0).seen.len(), before);
    pair.run_ms(2000);
    for seen in [
        Seen::Hashed(FILE, 2, blake3::hash(b"23456")),
        Seen::Read(FILE, 3, b"3456789".to_vec()),
        Seen::Failed(FILE, FileOp::Hash, ErrorKind::UnexpectedEof),
        Seen::Failed(FILE, FileOp::Read, ErrorKind::UnexpectedEof),
    ] {
        assert!(pair.has_seen(0, &seen), "{seen:?}");
    }
    pair.perform(0, Effect::Read { file: FILE, offset: 0, len: (1 << 20) + 1 });
    assert_eq!(*last(&pair), Seen::Failed(FILE, FileOp::Read, ErrorKind::InvalidInput));
    for _ in 0..=DISK_JOBS_MAX {
        pair.perform(0, Effect::Hash { file: FILE, offset: 0, len: 1 });
    }
    assert_eq!(*last(&pair), Seen::Failed(FILE, FileOp::Hash, ErrorKind::ResourceBusy));
    let before = pair.puppet(0).seen.len();
    pair.perform(0, Effect::Release { file: FILE });
    pair.run_ms(2000);
    assert_eq!(pair.puppet(0).seen.len(), before, "it was released");
}
