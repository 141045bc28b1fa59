//! Files through the border: the answers and their order, and big files to slow readers.

use super::*;

use std::fs;
use std::io::ErrorKind;

use crate::proto::limits::RESERVE_BYTES_MIN;
use crate::proto::machine::FileOp;

#[test]
fn answers_come_in_order() {
    fn act(told: &mut Vec<String>, what: What<'_>, desk: &mut Desk<'_>) {
        let What::Told(input) = what else { return };
        match input {
            Input::Start => {
                let (a, b) = (FileId(1), FileId(2));
                desk.open(a, "a.txt", OpenMode::Named);
                desk.open(b, "sub/b.txt", OpenMode::Partial);
                desk.open(FileId(9), "../c.txt", OpenMode::Named);
                for bytes in [b"one\n".as_slice(), b"two\n"] {
                    desk.os.perform(Effect::Append { file: a, bytes });
                    desk.os.perform(Effect::WriteAt { file: b, offset: 2, bytes });
                    desk.os.perform(Effect::Append { file: FileId(9), bytes });
                }
                desk.os.perform(Effect::Finish { file: b });
                desk.os.perform(Effect::WriteAt { file: b, offset: 0, bytes: b"late" });
                desk.os.perform(Effect::Finish { file: a });
                desk.os.perform(Effect::Release { file: a });
                desk.os.perform(Effect::Append { file: a, bytes: b"gone" });
                desk.wake_in(Duration::ZERO);
            }
            Input::Listening { .. } => {}
            Input::FileReady { file, moved, .. } => told.push(format!("ready {} {moved:?}", file.0)),
            Input::Appended { file } => told.push(format!("appended {}", file.0)),
            Input::Finished { file, moved } => {
                told.push(format!("finished {} {moved:?}", file.0));
                if file == FileId(1) {
                    desk.exit();
                }
            }
            Input::FileFailed { file, op, error, .. } => {
                told.push(format!("failed {} {op:?} {error:?}", file.0))
            }
            other => panic!("{other:?}"),
        }
    }
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("a.txt"), "older").unwrap();
    let mut toy = Toy::new(None, Vec::new(), act);
    let mut hosts = [Host { machine: &mut toy, root: root.path().to_owned() }];
    Reactor::new().unwrap().run(&mut hosts).unwrap();
    assert_eq!(
        toy.state,
        [
            "ready 1 Some(\"old\")",
            "ready 2 None",
            "failed 9 Open InvalidInput",
            "appended 1",
            "appended 1",
            // Bringing a file to disk takes its time.
            "failed 2 WriteAt PermissionDenied",
            "finished 2 None",
            "finished 1 None",
        ]
    );
    assert_eq!(fs::read(root.path().join("a.txt")).unwrap(), b"one\ntwo\n");
    assert_eq!(fs::read(root.path().join("old")).unwrap(), b"older");
    assert_eq!(fs::read(root.path().join("sub/b.txt")).unwrap(), b"\0\0two\n");
}

#[test]
fn a_file_with_room_set_aside_is_ready_later_unless_it_was_released() {
    fn act(told: &mut Vec<String>, what: What<'_>, desk: &mut Desk<'_>) {
        let mode = OpenMode::Resume { bytes: RESERVE_BYTES_MIN, reserve: true };
        match what {
            What::Told(Input::Start) => {
                desk.open(FileId(1), "released", mode);
                desk.os.perform(Effect::Release { file: FileId(1) });
                desk.open(FileId(2), "a", mode);
                desk.open(FileId(3), "b", OpenMode::Partial);
            }
            What::Told(Input::FileReady { file, bytes, .. }) => {
                told.push(format!("ready {} {bytes}", file.0));
                if file == FileId(2) {
                    desk.exit();
                }
            }
            other => panic!("{other:?}"),
        }
    }
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("a.partial"), "left").unwrap();
    let mut toy = Toy::new(None, Vec::new(), act);
    let mut hosts = [Host { machine: &mut toy, root: root.path().to_owned() }];
    Reactor::new().unwrap().run(&mut hosts).unwrap();
    assert_eq!(toy.state, ["ready 3 0", "ready 2 4"]);
    assert_eq!(fs::read(root.path().join("a.partial")).unwrap(), b"left");
}

#[test]
fn a_big_file_goes_to_a_slow_reader_without_memory() {
    const LEN: usize = 50 << 20;
    #[derive(Default)]
    struct State {
        most_kb: usize,
        told: Vec<&'static str>,
        ticks: u32,
    }
    fn act(state: &mut State, what: What<'_>, desk: &mut Desk<'_>) {
        let file = FileId(1);
        match what {
            What::Told(Input::LinkUp { link, .. }) => {
                desk.open(file, "big", OpenMode::Named);
                desk.os.perform(Effect::Append { file, bytes: &pattern(LEN) });
                state.most_kb = resident_kb();
                desk.send(link, b"head\n");
                let half = LEN as u64 / 2;
                desk.os.perform(Effect::SendFile { link, file, offset: 0, len: half });
                desk.os.perform(Effect::SendFile { link, file, offset: half, len: LEN as u64 - half });
                // It stays readable for what is on its way.
                desk.os.perform(Effect::Release { file });
                desk.send(link, b"tail\n");
                desk.wake_in(Duration::from_millis(10));
            }
            What::Timeout => {
                state.ticks += 1;
                state.most_kb = state.most_kb.max(resident_kb());
                desk.wake_in(Duration::from_millis(10));
            }
            What::Told(Input::Blocked { .. }) => state.told.push("blocked"),
            What::Told(Input::Drained { .. }) => state.told.push("drained"),
            What::Told(Input::LinkDown { .. }) => desk.exit(),
            What::Told(_) => {}
        }
    }
    let before_kb = resident_kb();
    let (state, got, stats) = run(State::default(), act, |addr| {
        let mut stream = connect(addr);
        let mut got = Vec::with_capacity(LEN + 10);
        let mut part = vec![0; 1 << 20];
        while !got.ends_with(b"tail\n") {
            let count = stream.read(&mut part).unwrap();
            got.extend_from_slice(&part[..count]);
            if got.len() % 7 == 0 {
                pause(10);
            }
        }
        got
    });
    assert!(got[..5] == *b"head\n" && got[5..LEN + 5] == pattern(LEN) && got.ends_with(b"tail\n"));
    assert_eq!(stats.bytes_out, LEN as u64 + 10);
    assert!(state.told.chunks(2).all(|pair| pair == ["blocked", "drained"]), "{:?}", state.told);
    // The pattern itself, the reader's copies of it, and a little.
    let used_kb = state.most_kb.saturating_sub(before_kb);
    assert!(used_kb < 4 * LEN / 1024, "{used_kb} KiB");
}

#[test]
fn a_partial_of_a_machine_that_ends_is_deleted() {
    fn act(_: &mut (), what: What<'_>, desk: &mut Desk<'_>) {
        if let What::Told(Input::Start) = what {
            desk.open(FileId(1), "partial", OpenMode::Partial);
            desk.open(FileId(2), "named", OpenMode::Named);
            desk.exit();
        }
    }
    let root = tempfile::tempdir().unwrap();
    let mut toy = Toy::new(None, (), act);
    let mut hosts = [Host { machine: &mut toy, root: root.path().join("new") }];
    Reactor::new().unwrap().run(&mut hosts).unwrap();
    let names: Vec<_> =
        fs::read_dir(root.path().join("new")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["named"]);
}

#[test]
fn a_machine_that_ends_loses_nothing_that_it_finished() {
    const FILES: u32 = 50;
    fn act(_: &mut (), what: What<'_>, desk: &mut Desk<'_>) {
        if let What::Told(Input::Start) = what {
            for file in (0..FILES).map(FileId) {
                let mode = if file.0 % 2 == 0 { OpenMode::Partial } else { OpenMode::Named };
                desk.open(file, &format!("{}/file", file.0), mode);
                desk.os.perform(Effect::Append { file, bytes: b"whole" });
                desk.os.perform(Effect::Finish { file });
            }
            desk.open(FileId(FILES), "unfinished", OpenMode::Partial);
            desk.exit();
        }
    }
    let root = tempfile::tempdir().unwrap();
    let mut toy = Toy::new(None, (), act);
    let mut hosts = [Host { machine: &mut toy, root: root.path().to_owned() }];
    Reactor::new().unwrap().run(&mut hosts).unwrap();
    for file in 0..FILES {
        assert_eq!(fs::read(root.path().join(format!("{file}/file"))).unwrap(), b"whole");
    }
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), FILES as usize);
}

#[test]
fn what_cannot_be_finished_is_told() {
    fn act(told: &mut Vec<(FileId, FileOp, ErrorKind)>, what: What<'_>, desk: &mut Desk<'_>) {
        match what {
            What::Told(Input::Start) => {
                desk.open(FileId(2), "taken", OpenMode::Partial);
                desk.open(FileId(3), "fine", OpenMode::Partial);
            }
            What::Told(Input::FileReady { file: FileId(3), .. }) => {
                // Behind our back, as it were.
                desk.open(FileId(4), "taken/by/a/folder", OpenMode::Partial);
            }
            What::Told(Input::FileReady { file: FileId(4), .. }) => {
                for file in [FileId(2), FileId(3)] {
                    desk.os.perform(Effect::Finish { file });
                }
            }
            What::Told(Input::FileFailed { file, op, error, .. }) => told.push((file, op, error)),
            What::Told(Input::Finished { file, .. }) => {
                assert_eq!(file, FileId(3));
                desk.exit();
            }
            _ => {}
        }
    }
    let root = tempfile::tempdir().unwrap();
    let mut toy = Toy::new(None, Vec::new(), act);
    let mut hosts = [Host { machine: &mut toy, root: root.path().to_owned() }];
    Reactor::new().unwrap().run(&mut hosts).unwrap();
    assert_eq!(toy.state, [(FileId(2), FileOp::Finish, ErrorKind::AlreadyExists)]);
}

#[test]
fn a_file_that_is_there_is_hashed_and_read() {
    const LEN: usize = 20 << 20;
    fn act(told: &mut Vec<String>, what: What<'_>, desk: &mut Desk<'_>) {
        let file = FileId(1);
        match what {
            What::Told(Input::Start) => desk.open(file, "there", OpenMode::Existing),
            What::Told(Input::FileReady { file: FileId(1), bytes, .. }) => {
                told.push(format!("ready {bytes}"));
                desk.os.perform(Effect::Hash { file, offset: 0, len: LEN as u64 });
                desk.os.perform(Effect::Hash { file, offset: 5, len: LEN as u64 });
                desk.os.perform(Effect::Read { file, offset: 7, len: 1 << 20 });
                desk.os.perform(Effect::Read { file, offset: 8, len: (1 << 20) + 1 });
                desk.os.perform(Effect::Read { file, offset: LEN as u64, len: 1 });
                desk.open(FileId(2), "new", OpenMode::Named);
                desk.os.perform(Effect::Finish { file: FileId(2) });
            }
            What::Told(Input::Hashed { offset, hash, .. }) => told.push(format!("hash {offset} {hash}")),
            What::Told(Input::Read { offset, bytes, .. }) => {
                assert!(bytes == &pattern(LEN)[7..7 + (1 << 20)]);
                told.push(format!("read {offset}"));
            }
            What::Told(Input::FileFailed { op, offset, error, .. }) => {
                told.push(format!("{op:?} {offset} {error:?}"));
            }
            What::Told(Input::Finished { .. }) => told.push("finished".to_owned()),
            _ => {}
        }
        if told.len() == 7 {
            desk.exit();
        }
    }
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("there"), pattern(LEN)).unwrap();
    let mut toy = Toy::new(None, Vec::new(), act);
    let mut hosts = [Host { machine: &mut toy, root: root.path().to_owned() }];
    Reactor::new().unwrap().run(&mut hosts).unwrap();
    let mut told = toy.state;
    assert_eq!(told.remove(0), format!("ready {LEN}"));
    told.sort();
    let hash = format!("hash 0 {}", blake3::hash(&pattern(LEN)));
    let expected: [&str; 6] = [
        "Hash 5 UnexpectedEof",
        &format!("Read {LEN} UnexpectedEof"),
        "Read 8 InvalidInput",
        "finished",
        &hash,
        "read 7",
    ];
    assert_eq!(told[..6], expected);
}

#[test]
fn nobody_is_told_of_a_file_that_was_released() {
    fn act(_: &mut (), what: What<'_>, desk: &mut Desk<'_>) {
        match what {
            What::Told(Input::Start) => desk.open(FileId(1), "there", OpenMode::Existing),
            What::Told(Input::FileReady { file, bytes, .. }) => {
                for _ in 0..50 {
                    desk.os.perform(Effect::Hash { file, offset: 0, len: bytes });
                    desk.os.perform(Effect::Read { file, offset: 0, len: 10 });
                }
                if file == FileId(1) {
                    desk.os.perform(Effect::Release { file });
                    // There is room for those of the next one, as soon as these are given up.
                    desk.wake_in(Duration::from_millis(300));
                } else {
                    desk.exit();
                }
            }
            What::Timeout => desk.open(FileId(2), "there", OpenMode::Existing),
            What::Told(Input::FileFailed { error, .. }) => assert_eq!(error, ErrorKind::ResourceBusy),
            What::Told(Input::Hashed { .. } | Input::Read { .. }) => panic!("it was released"),
            What::Told(_) => {}
        }
    }
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("there"), pattern(1 << 20)).unwrap();
    let mut toy = Toy::new(None, (), act);
    let mut hosts = [Host { machine: &mut toy, root: root.path().to_owned() }];
    Reactor::new().unwrap().run(&mut hosts).unwrap();
}

#[test]
fn a_file_that_shrinks_while_it_is_sent_takes_the_link_down() {
    const LEN: u64 = 50 << 20;
    fn act(down: &mut Option<DownReason>, what: What<'_>, desk: &mut Desk<'_>) {
        let file = FileId(1);
        match what {
            What::Told(Input::LinkUp { link, .. }) => {
                desk.open(file, "there", OpenMode::Existing);
                desk.os.perform(Effect::SendFile { link, file, offset: 0, len: LEN });
            }
            What::Told(Input::LinkDown { reason, .. }) => {
                *down = Some(reason);
                desk.exit();
            }
            _ => {}
        }
    }
    for vanishes in [false, true] {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("there");
        fs::File::create(&path).unwrap().set_len(LEN).unwrap();
        let (down, got, _) = run_at(root.path(), None, act, move |addr| {
            let mut stream = connect(addr);
            let mut part = vec![0; 1 << 20];
            stream.read_exact(&mut part).unwrap();
            if vanishes {
                fs::remove_file(&path).unwrap();
            } else {
                fs::File::options().write(true).open(&path).unwrap().set_len(LEN / 2).unwrap();
            }
            let mut got = part.len();
            while got < LEN as usize {
                match stream.read(&mut part) {
                    Ok(0) | Err(_) => break,
                    Ok(count) => got += count,
                }
            }
            got as u64
        });
        if vanishes {
            // Its name only: what is open stays.
            assert_eq!((down, got), (Some(DownReason::Eof), LEN));
        } else {
            assert_eq!(down, Some(DownReason::FileFailed));
            assert!(got < LEN, "{got}");
        }
    }
}

fn resident_kb() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
