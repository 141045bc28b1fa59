//! `share`, `get` and `find` of the real program when something is wrong: with the files, with the disk, with
//! who holds them.

mod common;

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use common::place::{Place, SLOW, assert_fails, json, last_json, some_chunks};
use common::{finish, line, names, start_command, text, tickmesh, wait_for};
use nix::sys::signal::Signal;
use serde_json::Value;

#[test]
fn who_has_got_nothing_leaves_nothing() {
    let place = Place::new();
    let share = place.share("");
    // The server knows what the file consists of, and nobody brings any of it.
    share.signal(Signal::SIGSTOP);
    let get = place.start("get film.bin --to got");
    wait_for("the partial", || place.path().join("got/film.bin.partial").exists().then_some(()));
    get.signal(Signal::SIGINT);
    assert_fails(&finish(get), 1, "tickmesh: interrupted");
    assert!(!place.path().join("got").exists());
}

/// Nobody should write to an unfinished file, but the file that has its name in the end is the right one.
#[test]
fn a_partial_that_is_cut_while_it_comes_is_mended() {
    let place = Place::new();
    let share = place.share("--upload-limit 400kB/s");
    let mut get = place.start("get film.bin --to got --json");
    some_chunks(&mut get);
    let partial = place.path().join("got/film.bin.partial");
    fs::OpenOptions::new().write(true).open(partial).unwrap().set_len(1000).unwrap();
    let output = finish(get);
    assert!(output.status.success(), "{}", text(&output.stderr));
    place.assert_got("got/film.bin");
    assert_eq!(names(&place.path().join("got")), ["film.bin"]);
    drop(share);
}

#[test]
fn another_file_of_the_name_is_kept_under_another() {
    let place = Place::new();
    let share = place.share("");
    fs::create_dir(place.path().join("got")).unwrap();
    fs::write(place.path().join("got/film.bin"), "another film").unwrap();
    assert!(place.run("get film.bin --to got").status.success());
    place.assert_got("got/film.bin");
    let names = names(&place.path().join("got"));
    assert_eq!(names.len(), 2);
    let old = names.iter().find(|name| *name != "film.bin").unwrap();
    assert_eq!(fs::read_to_string(place.path().join("got").join(old)).unwrap(), "another film");
    drop(share);
}

#[test]
fn more_files_than_descriptors_are_refused_before_anything_is_done() {
    let place = Place::new();
    let mut command = Command::new("sh");
    command.current_dir(place.path()).args(["-c", "ulimit -n 100 && exec \"$@\"", "sh"]);
    command.arg(env!("CARGO_BIN_EXE_tickmesh"));
    command.args(place.args("share film.bin").split_whitespace());
    assert_fails(
        &finish(start_command(command).unwrap()),
        1,
        "1 file needs 129 descriptors, and 100 are allowed",
    );
}

#[test]
fn a_holder_that_is_killed_and_comes_back_goes_on_serving() {
    let place = Place::new();
    let first = place.share(&format!("{SLOW} --id alice"));
    let mut get = place.start("get film.bin --to got --json");
    some_chunks(&mut get);
    first.signal(Signal::SIGKILL);
    finish(first);
    let second = place.share("--id alice");
    let output = finish(get);
    assert!(output.status.success(), "{}", text(&output.stderr));
    place.assert_got("got/film.bin");
    drop(second);
}

#[test]
fn what_cannot_be_got_is_said_with_the_reason() {
    let place = Place::new();
    assert_fails(&place.run("get film.bin --wait 0s --to new"), 1, "nobody has offered film.bin for 0s");
    assert!(!place.path().join("new").exists(), "nothing came into it");
    let output = place.run("get film.bin --wait 0s --json");
    let failed = last_json(&output);
    assert_eq!((&failed["event"], &failed["file"]), (&"failed".into(), &"film.bin".into()));
    assert_eq!(failed["problems"][0], "nobody has offered film.bin for 0s");
    let share = place.share("");
    assert_fails(&place.run("get film.bin --to film.bin"), 1, "choose another folder with --to");
    let dir = place.path().join("got");
    fs::create_dir_all(dir.join("film.bin")).unwrap();
    assert_fails(
        &place.run("get film.bin --to got"),
        1,
        "film.bin cannot be stored here: a folder has its name",
    );
    fs::remove_dir(dir.join("film.bin")).unwrap();
    for link in ["film.bin", "film.bin.partial"] {
        std::os::unix::fs::symlink(place.path().join("elsewhere"), dir.join(link)).unwrap();
        let why = "film.bin cannot be stored here: a symbolic link has its name";
        assert_fails(&place.run("get film.bin --to got"), 1, why);
        fs::remove_file(dir.join(link)).unwrap();
    }
    assert!(!place.path().join("elsewhere").exists());
    drop(share);
}

#[test]
fn what_cannot_be_shared_is_said_with_the_reason() {
    let place = Place::new();
    fs::create_dir(place.path().join("twin")).unwrap();
    fs::write(place.path().join("twin/film.bin"), "another").unwrap();
    for (files, expected) in [
        ("nothing", "cannot share \"nothing\": No such file or directory"),
        ("twin", "cannot share \"twin\": it is a folder"),
        ("/dev/zero", "cannot share \"/dev/zero\": it is no plain file"),
        ("film.bin --chunks 8192", "2000000 bytes cannot be cut into 8192 chunks"),
    ] {
        assert_fails(&place.run(&format!("share {files}")), 1, expected);
    }
    let share = place.share("--id alice");
    let output = place.run("share twin/film.bin");
    assert_fails(&output, 1, "another file is called film.bin already; alice holds it");
    let output = place.run("share film.bin --chunks 5");
    assert_fails(&output, 1, "the same content in other chunks counts as another file");
    let mut command = tickmesh(place.path(), "share");
    command.arg(std::ffi::OsStr::from_bytes(b"a\xff"));
    assert_fails(&finish(start_command(command).unwrap()), 1, "its name is no UTF-8 text");
    drop(share);
}

#[test]
fn files_that_are_refused_are_told_and_the_others_are_shared() {
    let place = Place::new();
    let dir = place.path().join("other");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("film.bin"), "another film").unwrap();
    fs::write(dir.join("song.bin"), "a song").unwrap();
    let alice = place.share("--id alice");
    fs::write(place.path().join("song.bin"), "a song of the same name").unwrap();
    let files = "other/song.bin other/../other/song.bin song.bin";
    let mut share = place.start(&format!("share --json nothing other other/film.bin {files}"));
    let events: Vec<Value> = (0..5).map(|_| json(&line(&mut share))).collect();
    let seen = |event: &str, file: &str| {
        events.iter().find(|seen| (&seen["event"], &seen["file"]) == (&event.into(), &file.into()))
    };
    assert!(seen("refused", "nothing").is_some() && seen("refused", "other").is_some(), "{events:?}");
    assert!(seen("offered", "song.bin").is_some(), "{events:?}");
    let why = seen("refused", "song.bin").expect("its name is another file's")["why"].to_string();
    assert!(why.contains("is shared under that name"), "{why}");
    let why = "another file is called film.bin already; alice holds it; the same content in other chunks counts as another file";
    assert_eq!(seen("refused", "film.bin").unwrap()["why"], why);
    // What was shared changes: that is told too, and nothing is left.
    fs::write(dir.join("song.bin"), "").unwrap();
    assert_eq!(place.run("get song.bin --to got --wait 2s").status.code(), Some(1));
    let output = finish(share);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert_eq!(said.matches("tickmesh: ").count(), 5, "each is told once: {said}");
    assert!(said.contains("tickmesh: song.bin is not offered any more: it is shorter than it was"), "{said}");
    assert_eq!(last_json(&output)["problems"].as_array().unwrap().len(), 5);
    assert!(text(&output.stdout).contains(r#""event":"withdrawn""#));
    assert!(!place.path().join("got/song.bin").exists());
    drop(alice);
}

#[test]
fn a_file_that_may_not_be_read_is_not_shared() {
    let place = Place::new();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(place.path().join("film.bin"), fs::Permissions::from_mode(0o000)).unwrap();
    let mut command = tickmesh(place.path(), &place.args("share film.bin"));
    // Nothing stops root.
    if fs::read(place.path().join("film.bin")).is_ok() {
        command.uid(65534).gid(65534);
    }
    match start_command(command) {
        Ok(running) => assert_fails(&finish(running), 1, "cannot share \"film.bin\": Permission denied"),
        Err(error) => println!("skipped: another user cannot start this program here: {error}"),
    }
}

#[test]
fn a_full_disk_is_waited_for() {
    let place = Place::new();
    let share = place.share("");
    let dir = place.path().join("small");
    fs::create_dir(&dir).unwrap();
    // A file system of its own, that ends with the process; only root may make it.
    let script =
        "mount -t tmpfs -o size=2500k none small && head -c 1500000 /dev/zero > small/filler || exit 9
        (until [ -e room ]; do sleep 0.05; done; rm small/filler) &
        \"$@\" && cmp film.bin small/film.bin";
    let mut command = Command::new("unshare");
    command.current_dir(place.path()).args(["--mount", "sh", "-c", script, "sh"]);
    command.arg(env!("CARGO_BIN_EXE_tickmesh"));
    command.args(place.args("get film.bin --to small --json").split_whitespace());
    let mut get = start_command(command).unwrap();
    let mut said = String::new();
    let waits = std::iter::from_fn(|| {
        said = line(&mut get);
        (!said.is_empty()).then(|| json(&said))
    })
    .any(|event| event["event"] == "progress" && event["state"] == "waiting");
    if !waits {
        let output = finish(get);
        assert!(matches!(output.status.code(), Some(1 | 9)), "{}", text(&output.stderr));
        println!("skipped: a small tmpfs cannot be mounted here");
        return;
    }
    fs::write(place.path().join("room"), "").unwrap();
    let output = finish(get);
    assert!(output.status.success(), "{}", text(&output.stderr));
    drop(share);
}
