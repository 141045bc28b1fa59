//! The drop box of `tickmesh server` as its clients see it: the real program, a client in Python that was written from
//! the protocol's description alone, and a `kill -9`. What is refused is in `tests/dropbox_wrong.rs`.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use common::drop::{DropPlace, Ending, age, ending, has_python, sha256};
use common::{finish, line, names, run, text, wait_for};
use nix::sys::signal::Signal;

/// What a program in Python says: the hash of each file that it has sent, and which were taken to their end.
struct Said {
    hashes: BTreeMap<String, String>,
    done: Vec<String>,
    failed: Vec<String>,
}

impl Said {
    fn of(lines: &str) -> Said {
        let mut said = Said { hashes: BTreeMap::new(), done: Vec::new(), failed: Vec::new() };
        for line in lines.lines() {
            let (word, rest) = line.split_once(' ').unwrap();
            match word {
                "hash" => {
                    let (name, hash) = rest.rsplit_once(' ').unwrap();
                    said.hashes.insert(name.to_owned(), hash.to_owned());
                }
                "done" => said.done.push(rest.to_owned()),
                "failed" => said.failed.push(rest.to_owned()),
                _ => panic!("{line}"),
            }
        }
        said
    }
}

/// The files are there, each as it was sent.
fn assert_all_there(drop: &DropPlace, said: &Said) {
    for (name, hash) in &said.hashes {
        let path = drop.folder().join(name);
        // Its client has closed, and waits for nothing.
        wait_for(name, || path.exists().then_some(()));
        assert!(sha256(&path) == *hash, "{name} is another file");
    }
}

fn stop(drop: DropPlace) -> (tempfile::TempDir, String) {
    drop.server.signal(Signal::SIGTERM);
    let output = finish(drop.server);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let log = fs::read_to_string(drop.dir.path().join("server.log")).unwrap();
    (drop.dir, log)
}

#[test]
fn files_of_all_sizes_arrive_as_they_were_sent() {
    if !has_python() {
        return;
    }
    let drop = DropPlace::new("");
    let output = finish(drop.python(&["files", "0", "1", "1500", "5000000", "1073741824"]));
    assert!(output.status.success(), "{}", text(&output.stderr));
    let said = Said::of(&text(&output.stdout));
    assert_eq!((said.hashes.len(), said.done.len()), (5, 5), "{}", text(&output.stdout));
    assert_all_there(&drop, &said);
    assert_eq!(drop.files().0.len(), 5);
    assert_eq!(drop.files().1, [""; 0], "nothing unfinished is left");
    let (dir, log) = stop(drop);
    assert!(log.contains("dropbox ended files=5 "), "{log}");
    assert_eq!(names(dir.path()), ["client.py", "out", "server.log", "state"]);
    assert_eq!(names(&dir.path().join("out")), ["uploads"], "nothing beside the folder");
}

#[test]
fn silent_and_dying_clients_hold_up_nobody() {
    if !has_python() {
        return;
    }
    let drop = DropPlace::new("");
    let output = finish(drop.python(&["crowd"]));
    assert!(output.status.success(), "{}", text(&output.stderr));
    let said = Said::of(&text(&output.stdout));
    assert_eq!((said.hashes.len(), said.done.len()), (25, 25), "{}", text(&output.stdout));
    assert_all_there(&drop, &said);
    wait_for("the end of what died", || drop.files().1.is_empty().then_some(()));
    let whole: Vec<String> = said.hashes.into_keys().collect();
    assert_eq!(drop.files().0, whole, "and nothing of those that died");
    stop(drop);
}

#[test]
fn a_killed_server_leaves_whole_files_and_what_is_known_as_unfinished() {
    if !has_python() {
        return;
    }
    let mut drop = DropPlace::new("");
    let mut python = drop.python(&["slow"]);
    let (mut lines, mut done) = (String::new(), 0);
    while done < 3 {
        let line = line(&mut python);
        assert!(!line.is_empty(), "it ended too soon: {lines}");
        done += usize::from(line.starts_with("done "));
        lines += &line;
    }
    drop.server.signal(Signal::SIGKILL);
    let output = finish(python);
    lines += &text(&output.stdout);
    let said = Said::of(&lines);
    assert_eq!(said.done.len() + said.failed.len(), 20, "{lines}");
    assert!(!said.failed.is_empty(), "all were through before it was killed");
    let (whole, unfinished) = drop.files();
    for name in &whole {
        assert_eq!(sha256(&drop.folder().join(name)), said.hashes[name], "{name} is not what was sent");
    }
    assert!(said.done.iter().all(|name| whole.contains(name)), "{:?} and not {whole:?}", said.done);
    assert!(unfinished.len() >= 2, "{unfinished:?}");
    // A day and more has passed for one of them.
    let (old, young) = unfinished.split_first().unwrap();
    age(&drop.folder().join(old), Duration::from_secs(2 * 24 * 3600));
    age(&drop.folder().join(&whole[0]), Duration::from_secs(2 * 24 * 3600));
    drop.start_again("");
    assert_eq!(drop.files(), (whole.clone(), young.to_vec()));
    drop.upload(&whole[0], b"another one");
    assert_eq!(fs::read(drop.folder().join(format!("{}.1", whole[0]))).unwrap(), b"another one");
    assert_eq!(sha256(&drop.folder().join(&whole[0])), said.hashes[&whole[0]], "as it was");
    stop(drop);
}

#[test]
fn a_server_that_stops_drops_what_is_not_whole_and_ends_at_once() {
    let drop = DropPlace::new("");
    drop.upload("whole", b"12345");
    let (link, answer) = drop.header(1_000_000, b"never whole");
    assert_eq!(answer, b"go ahead");
    let silent = drop.connect();
    drop.server.signal(Signal::SIGTERM);
    let folder = drop.folder();
    let output = finish(drop.server);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(names(&folder), ["whole"]);
    assert_eq!(ending(link), Ending::Reset, "it must not take this for success");
    assert_ne!(ending(silent), Ending::Never);
}

#[test]
fn our_own_client_brings_files_and_says_which_were_refused() {
    let drop = DropPlace::new("--upload-file-max 2MB");
    let film = common::place::film();
    for (name, bytes) in [("film.bin", film.len()), ("ä b.bin", 1), ("empty", 0)] {
        fs::write(drop.dir.path().join(name), &film[..bytes]).unwrap();
    }
    let args = ["upload", "film.bin", "ä b.bin", "empty", "--jobs", "3", "--to", &drop.addr.to_string()];
    let mut command = common::tickmesh(drop.dir.path(), "");
    command.args(args);
    let output = finish(common::start_command(command).unwrap());
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout).lines().count(), 3, "{}", text(&output.stdout));
    for (name, bytes) in [("film.bin", film.len()), ("ä b.bin", 1), ("empty", 0)] {
        // It ends only when they are on disk.
        assert!(fs::read(drop.folder().join(name)).unwrap() == film[..bytes], "{name}");
    }
    fs::write(drop.dir.path().join("large"), vec![7; 2_000_001]).unwrap();
    let output = run(drop.dir.path(), &format!("upload large film.bin --to {}", drop.addr));
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("large was not uploaded"), "{}", text(&output.stderr));
    drop.wait_for_log("refused why=TooLarge");
    assert_eq!(drop.files().0, ["empty", "film.bin", "film.bin.1", "ä b.bin"]);
}

#[test]
fn what_was_uploaded_can_be_got_from_the_mesh() {
    let mut drop = DropPlace::new("--upload-register");
    let film = common::place::film();
    drop.upload("film.bin", &film);
    drop.upload("my holiday film.bin", &film[..1000]);
    drop.upload("empty", b"");
    for life in 0..2 {
        for (name, content) in
            [("film.bin", &film[..]), ("my_holiday_film.bin", &film[..1000]), ("empty", b"")]
        {
            let find = format!("find {name} --server {}", drop.mesh);
            wait_for(name, || run(drop.dir.path(), &find).status.success().then_some(()));
            let got = run(drop.dir.path(), &format!("get {name} --to got{life} --server {}", drop.mesh));
            assert!(got.status.success(), "{}", text(&got.stderr));
            assert!(
                fs::read(drop.dir.path().join(format!("got{life}/{name}"))).unwrap() == content,
                "{name}"
            );
        }
        drop.server.signal(if life == 0 { Signal::SIGTERM } else { Signal::SIGKILL });
        wait_for("the end of the server", || std::net::TcpStream::connect(drop.mesh).err());
        drop.start_again("--upload-register");
    }
    let log = drop.log();
    assert!(log.contains("file=\"my holiday film.bin\" as=my_holiday_film.bin"), "{log}");
    stop(drop);
}
