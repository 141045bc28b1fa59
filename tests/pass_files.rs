//! `share`, `get` and `find` as users start them: the real program, on ports that the system chooses,
//! in folders of their own. What goes wrong is in `tests/pass_files_wrong.rs`, what needs many cases in `tests/files.rs`.

mod common;

use std::fs;
use std::time::{Duration, Instant};

use common::place::{BYTES, CHUNKS, Place, SLOW, assert_fails, film, json, last_json, some_chunks};
use common::{finish, line, names, text, wait_for};
use nix::sys::signal::Signal;
use serde_json::Value;

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
    assert_eq!(text(&ended.stdout), "film.bin sent 1.00 times\n2.0 MB sent\n");
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
    let found = place.run("find empty.bin").stdout;
    assert_eq!(String::from_utf8(found).unwrap(), "Available\nguest-1 has it; it is empty\n");

    share.signal(Signal::SIGTERM);
    let ended = finish(share);
    assert!(ended.status.success());
    let ended = last_json(&ended);
    assert_eq!((&ended["event"], &ended["bytes_sent"]), (&"ended".into(), &BYTES.into()));
    assert_eq!(ended["problems"], Value::Array(Vec::new()));
    let sent = serde_json::json!([{ "file": "film.bin", "bytes_sent": BYTES, "times_sent": 1.0 }]);
    assert_eq!(ended["files"], sent, "nothing of the empty one");
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
    let mut third = place.start("get film.bin --to third --stay 1h --json");
    while !line(&mut third).contains("\"done\"") {}
    third.signal(Signal::SIGTERM);
    let ended = serde_json::json!({ "event": "ended", "bytes_sent": 0, "wire_bytes_sent": 0 });
    assert_eq!(last_json(&finish(third)), ended, "nobody wanted anything of it");
    first.signal(Signal::SIGTERM);
    let output = finish(first);
    assert!(output.status.success(), "it has what it is for");
    assert_eq!(text(&output.stdout), "4.0 MB sent to others\n");
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
