//! `share`, `get` and `find` as users start them: the real program, on ports that the system chooses,
//! in folders of their own. What needs many cases is in `tests/files.rs`.

mod common;

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use common::{
    Running, ServerProcess, finish, line, names, run, server, start, start_command, text, tickmesh, wait_for,
};
use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;

const BYTES: usize = 2_000_000;
const CHUNKS: u64 = 20;
/// The whole film takes so long then that nothing is over before a test has looked.
const SLOW: &str = "--upload-limit 100kB/s";

/// A folder with a server, and a file to share.
struct Place {
    dir: TempDir,
    server: ServerProcess,
}

impl Place {
    fn new() -> Place {
        let dir = tempfile::tempdir().unwrap();
        let server = server(dir.path(), "");
        fs::write(dir.path().join("film.bin"), film()).unwrap();
        Place { dir, server }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn args(&self, args: &str) -> String {
        format!("{args} --server {}", self.server.addr)
    }

    fn start(&self, args: &str) -> Running {
        start(self.path(), &self.args(args))
    }

    fn run(&self, args: &str) -> Output {
        run(self.path(), &self.args(args))
    }

    /// Shares the film, and waits until that is known.
    fn share(&self, more: &str) -> Running {
        let mut running = self.start(&format!("share film.bin --chunks {CHUNKS} {more}"));
        assert_eq!(line(&mut running), "sharing film.bin (2.0 MB in 20 chunks)\n");
        running
    }

    fn assert_got(&self, path: &str) {
        assert!(fs::read(self.path().join(path)).unwrap() == film(), "{path} is another file");
    }
}

fn film() -> Vec<u8> {
    let mut bytes = vec![0; BYTES];
    blake3::Hasher::new().update(b"film").finalize_xof().fill(&mut bytes);
    bytes
}

fn json(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
}

fn last_json(output: &Output) -> Value {
    json(text(&output.stdout).lines().last().expect("there is an event"))
}

/// Waits until a `get --json` has some chunks; returns how many at least.
fn some_chunks(get: &mut Running) -> u64 {
    loop {
        let event = json(&line(get));
        assert_eq!(event["event"], "progress");
        let stored = event["chunks_stored"].as_u64().unwrap();
        if event["state"] == "fetching" && stored > 0 {
            return stored;
        }
    }
}

fn assert_fails(output: &Output, code: i32, expected: &str) {
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.starts_with("tickmesh: ") && said.contains(expected), "{said}");
    assert_eq!(said.lines().count(), 1, "said once: {said}");
}

#[test]
fn a_file_is_shared_found_got_and_got_again() {
    let place = Place::new();
    let share = place.share("--id alice");
    let found = place.run("find film.bin");
    assert_eq!(text(&found.stdout), "Available\nalice has 20 of 20 chunks\n");
    assert_eq!(found.status.code(), Some(0));
    assert_eq!(place.run("find film.bin 1 20").status.code(), Some(0));
    assert_fails(&place.run("find film.bin 21"), 1, "film.bin has 20 chunks");

    let got = place.run("get film.bin --to new/folder");
    assert!(got.status.success(), "{}", text(&got.stderr));
    let said = text(&got.stdout);
    assert!(said.starts_with("new/folder/film.bin: 2.0 MB in ") && said.lines().count() == 1, "{said}");
    assert_eq!(text(&got.stderr), "", "no bar where nobody sees it");
    place.assert_got("new/folder/film.bin");
    let again = place.run("get film.bin --to new/folder");
    assert_eq!(text(&again.stdout), "new/folder/film.bin: was here already, verified\n");
    assert!(again.status.success());
    assert_eq!(names(&place.path().join("new/folder")), ["film.bin"]);

    share.signal(Signal::SIGINT);
    let ended = finish(share);
    assert!(ended.status.success());
    assert_eq!(text(&ended.stdout), "2.0 MB sent\n");
    let gone = place.run("find film.bin");
    assert_eq!((gone.status.code(), text(&gone.stdout)), (Some(1), "Not available\n".to_owned()));
}

#[test]
fn programs_read_one_object_a_line() {
    let place = Place::new();
    fs::write(place.path().join("empty.bin"), "").unwrap();
    let mut share = place.start("share film.bin empty.bin --json");
    let mut offered = [json(&line(&mut share)), json(&line(&mut share))];
    offered.sort_by_key(|event| event["bytes"].as_u64());
    for (event, (file, bytes, chunks)) in offered.iter().zip([("empty.bin", 0, 0), ("film.bin", BYTES, 8)]) {
        assert_eq!((&event["event"], &event["file"]), (&"offered".into(), &file.into()));
        assert_eq!((&event["bytes"], &event["chunks"]), (&bytes.into(), &chunks.into()));
        assert_eq!(event["root"].as_str().unwrap().len(), 64);
    }
    let found = last_json(&place.run("find film.bin --json"));
    assert_eq!((&found["file"], &found["available"]), (&"film.bin".into(), &true.into()));
    let holder = &found["holders"][0];
    assert_eq!((&holder["id"], &holder["chunks_held"]), (&"guest-1".into(), &8.into()));
    assert_eq!(holder["chunks"], 8);

    let done = last_json(&place.run("get film.bin --to got --json"));
    assert_eq!((&done["event"], &done["state"]), (&"done".into(), &"whole".into()));
    assert_eq!(done["root"], offered[1]["root"]);
    for (field, expected) in [
        ("bytes", BYTES as u64),
        ("bytes_stored", BYTES as u64),
        ("bytes_fetched", BYTES as u64),
        ("bytes_wasted", 0),
        ("bytes_sent", 0),
        ("chunks", 8),
        ("chunks_stored", 8),
    ] {
        assert_eq!(done[field], expected, "{field}");
    }
    assert!(done["bytes_per_s"].as_u64().unwrap() > 0 && done["sources"].is_u64());
    place.assert_got("got/film.bin");
    let done = last_json(&place.run("get empty.bin --to got --json"));
    assert_eq!((&done["event"], &done["chunks"]), (&"done".into(), &0.into()));
    assert_eq!(fs::read(place.path().join("got/empty.bin")).unwrap(), b"");

    share.signal(Signal::SIGTERM);
    let ended = finish(share);
    assert!(ended.status.success());
    let ended = last_json(&ended);
    assert_eq!((&ended["event"], &ended["bytes_sent"]), (&"ended".into(), &BYTES.into()));
    assert_eq!(ended["problems"], Value::Array(Vec::new()));
}

/// A table goes packed: the two ends print what went over the wire.
#[test]
fn a_table_takes_little_of_the_wire() {
    let place = Place::new();
    let rows = |row: u64| {
        let ns = row.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        format!("| {row} | 10.0.0.7 | 10.0.0.1 | 2026-11-21 | 02:53:{:02}.{:09} |\n", row / 200 % 60, ns)
    };
    let table: String = (1..30_000).map(rows).collect();
    fs::write(place.path().join("table.txt"), &table).unwrap();
    let mut share = place.start("share table.txt --json");
    line(&mut share);
    let done = last_json(&place.run("get table.txt --to got --json"));
    let field = |event: &Value, name: &str| event[name].as_u64().unwrap_or_else(|| panic!("{name}: {event}"));
    let bytes = table.len() as u64;
    assert_eq!(field(&done, "bytes_fetched"), bytes);
    assert!(field(&done, "wire_bytes_fetched") * 5 < bytes, "{done}");
    assert!(fs::read(place.path().join("got/table.txt")).unwrap() == table.as_bytes());
    let said = text(&place.run("get table.txt --to again").stdout);
    assert!(said.contains(" on the wire\n"), "{said}");
    share.signal(Signal::SIGTERM);
    let ended = last_json(&finish(share));
    assert_eq!(field(&ended, "bytes_sent"), 2 * bytes);
    assert_eq!(field(&ended, "wire_bytes_sent"), 2 * field(&done, "wire_bytes_fetched"));
}

#[test]
fn a_download_that_is_killed_goes_on_where_it_was() {
    let place = Place::new();
    let slow = place.share(SLOW);
    let mut first = place.start("get film.bin --to got --json");
    let stored = some_chunks(&mut first);
    first.signal(Signal::SIGKILL);
    finish(first);
    drop(slow);
    let quick = place.share("");
    let output = place.run("get film.bin --to got --json");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let done = last_json(&output);
    assert_eq!(done["bytes_stored"], BYTES);
    let fetched = done["bytes_fetched"].as_u64().unwrap();
    let left = BYTES as u64 - stored * (BYTES as u64 / CHUNKS);
    assert!(fetched > 0 && fetched <= left, "{fetched} bytes were fetched, {left} were missing");
    place.assert_got("got/film.bin");
    assert_eq!(names(&place.path().join("got")), ["film.bin"]);
    drop(quick);
}

#[test]
fn a_download_that_is_stopped_says_what_is_here() {
    let place = Place::new();
    let share = place.share(SLOW);
    let mut get = place.start("get film.bin --to got --json");
    some_chunks(&mut get);
    // Nobody else may write there meanwhile.
    for args in ["get film.bin --to got", "get film.bin 2 --to got"] {
        let second = place.run(args);
        let said = text(&second.stderr);
        assert!(said.contains("is being fetched into this folder by another program"), "{said}");
        assert_eq!(second.status.code(), Some(1));
    }
    get.signal(Signal::SIGINT);
    let output = finish(get);
    assert_fails(&output, 1, "tickmesh: interrupted; ");
    let said = text(&output.stderr);
    assert!(said.contains(" of 20 chunks are in got/film.bin.partial, and are not fetched again"), "{said}");
    let failed = last_json(&output);
    assert_eq!((&failed["event"], &failed["problems"][0]), (&"failed".into(), &"interrupted".into()));
    assert!(failed["chunks_stored"].as_u64().unwrap() > 0, "{failed}");
    assert_eq!(names(&place.path().join("got")), ["film.bin.partial"]);
    drop(share);
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
fn who_stays_says_at_once_that_it_is_done_and_goes_on_serving() {
    let place = Place::new();
    let share = place.share("");
    let mut first = place.start("get film.bin --to first --stay 1h --id bob");
    assert!(line(&mut first).starts_with("first/film.bin: 2.0 MB in "));
    drop(share);
    wait_for("the end of the origin", || {
        (text(&place.run("find film.bin").stdout) == "Available\nbob has 20 of 20 chunks\n").then_some(())
    });
    assert!(place.run("get film.bin --to second").status.success());
    place.assert_got("second/film.bin");
    first.signal(Signal::SIGTERM);
    let output = finish(first);
    assert!(output.status.success(), "it has what it is for");
    assert_eq!(text(&output.stdout), "2.0 MB sent to others\n");
}

#[test]
#[allow(clippy::disallowed_methods)] // what may be sent in a second
fn the_upload_limit_is_kept() {
    let place = Place::new();
    let share = place.share("--upload-limit 1MB/s");
    let began = Instant::now();
    assert!(place.run("get film.bin --to got").status.success());
    // Two seconds' worth, but for what may be made up for and the last chunk.
    assert!(began.elapsed() >= Duration::from_millis(1700), "{:?}", began.elapsed());
    drop(share);
}

#[test]
fn one_chunk_is_got_alone() {
    let place = Place::new();
    let share = place.share("");
    let got = place.run("get film.bin 3 --to got");
    assert!(text(&got.stdout).starts_with("chunk 3 of got/film.bin.partial: 100.0 kB in "));
    assert!(got.status.success());
    let partial = fs::read(place.path().join("got/film.bin.partial")).unwrap();
    assert!(partial[200_000..300_000] == film()[200_000..300_000]);
    assert_fails(&place.run("get film.bin 21 --to got"), 1, "film.bin has 20 chunks, no chunk 21");
    drop(share);
}

#[test]
fn what_cannot_be_got_is_said_with_the_reason() {
    let place = Place::new();
    assert_fails(&place.run("get film.bin --wait 0s"), 1, "nobody has offered film.bin for 0s");
    let output = place.run("get film.bin --wait 0s --json");
    let failed = last_json(&output);
    assert_eq!((&failed["event"], &failed["file"]), (&"failed".into(), &"film.bin".into()));
    assert_eq!(failed["problems"][0], "nobody has offered film.bin for 0s");
    let share = place.share("");
    assert_fails(&place.run("get film.bin --to film.bin"), 1, "choose another folder with --to");
    let dir = place.path().join("got");
    fs::create_dir_all(dir.join("film.bin")).unwrap();
    let output = place.run("get film.bin --to got");
    let said = text(&output.stderr);
    assert!(said.contains("film.bin cannot be stored here: a folder has its name"), "{said}");
    fs::remove_dir(dir.join("film.bin")).unwrap();
    for link in ["film.bin", "film.bin.partial"] {
        std::os::unix::fs::symlink(place.path().join("elsewhere"), dir.join(link)).unwrap();
        let output = place.run("get film.bin --to got");
        let said = text(&output.stderr);
        assert!(said.contains("film.bin cannot be stored here: a symbolic link has its name"), "{said}");
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
        ("film.bin twin/film.bin", "two of the files are called film.bin"),
        ("film.bin --chunks 8192", "2000000 bytes cannot be cut into 8192 chunks"),
    ] {
        assert_fails(&place.run(&format!("share {files}")), 1, expected);
    }
    let share = place.share("--id alice");
    let output = place.run("share twin/film.bin");
    assert_fails(&output, 1, "another file is called film.bin already; alice holds it");
    let mut command = tickmesh(place.path(), "share");
    command.arg(std::ffi::OsStr::from_bytes(b"a\xff"));
    assert_fails(&finish(start_command(command).unwrap()), 2, "no UTF-8 text");
    drop(share);
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
