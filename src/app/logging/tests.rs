//! From a record to a file that cannot take it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::*;
use crate::proto::limits::{LOG_LEFT_OUT_PERIOD, LOG_LINE_PAUSE, LOG_LINES_BURST};
use crate::proto::time::Mono;

const RULES: LogRules = LogRules { bytes_max: None, daily: false, keep: 0, compress: false };

fn desk(path: &Path) -> Desk {
    Desk { place: Place::File(LogFile::open(path, RULES).unwrap()), line: Line::new(), lost: 0, pace: None }
}

fn take(desk: &mut Desk, number: u32) {
    take_at(desk, number, Mono(0));
}

fn take_at(desk: &mut Desk, number: u32, mono: Mono) {
    desk.take(Level::Info, "others", format_args!("record number={number}"), Now { mono, wall: Wall(0) });
}

/// Has the log go on in what `to` is.
fn move_to(desk: &mut Desk, path: &Path, to: &Path) {
    let _ = fs::remove_file(path);
    symlink(to, path).unwrap();
    let Place::File(file) = &mut desk.place else { unreachable!() };
    file.reopen().unwrap();
}

/// The records in a file, without their times.
fn records(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| line.split_once(' ').unwrap().1.to_owned()).collect()
}

#[test]
fn what_a_full_disk_has_cost_is_told_when_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let (path, real) = (folder.path().join("a.log"), folder.path().join("real.log"));
    symlink("/dev/full", &path).unwrap();
    let mut desk = desk(&path);
    (0..3).for_each(|number| take(&mut desk, number));
    move_to(&mut desk, &path, &real);
    (3..5).for_each(|number| take(&mut desk, number));
    assert_eq!(
        records(&real),
        ["[WARN] log lines_lost=3", "[INFO] record number=3", "[INFO] record number=4"]
    );
}

#[test]
fn trouble_with_a_rotation_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.log");
    let mut desk = desk(&path);
    let rules = LogRules { bytes_max: Some(10), keep: 1, ..RULES };
    // A log is one writer's.
    desk.place = Place::Stderr(Weights::NONE);
    desk.place = Place::File(LogFile::open(&path, rules).unwrap());
    for name in ["a.log.0/x", "a.log.1/x"] {
        fs::create_dir_all(folder.path().join(name)).unwrap();
    }
    (0..3).for_each(|number| take(&mut desk, number));
    let text = fs::read_to_string(&path).unwrap();
    let words: Vec<&str> = text.lines().map(|line| line.split(' ').nth(2).unwrap()).collect();
    assert_eq!(words, ["record", "record", "log", "record"]);
}

#[test]
fn what_a_flood_has_cost_is_told_now_and_again_and_before_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.log");
    let mut desk = desk(&path);
    desk.pace = Some(Pace::new());
    let burst = LOG_LINES_BURST as u32;
    (0..burst + 5).for_each(|number| take(&mut desk, number));
    // A flood: of two at a time one is logged, a third of a period long.
    let mut now = Mono(0);
    let lines = (LOG_LEFT_OUT_PERIOD.as_nanos() / LOG_LINE_PAUSE.as_nanos() / 3) as u32;
    for _ in 0..lines {
        now = now + LOG_LINE_PAUSE;
        (0..2).for_each(|number| take_at(&mut desk, number, now));
    }
    let told = |records: &[String]| -> Vec<String> {
        let is_told = |record: &&String| record.contains("left_out");
        records.iter().filter(is_told).cloned().collect()
    };
    assert_eq!(told(&records(&path)), ["[WARN] log lines_left_out=5"]);
    assert_eq!(records(&path).len(), (burst + lines + 1) as usize);
    desk.tell_left_out(Now { mono: now, wall: Wall(0) });
    assert_eq!(told(&records(&path))[1..], [format!("[WARN] log lines_left_out={lines}")]);
}

#[test]
fn a_full_disk_does_not_forget_what_a_flood_has_cost() {
    let folder = tempfile::tempdir().unwrap();
    let [path, first, second] = ["a.log", "first.log", "second.log"].map(|name| folder.path().join(name));
    symlink(&first, &path).unwrap();
    let mut desk = desk(&path);
    desk.pace = Some(Pace::new());
    (0..LOG_LINES_BURST as u32 + 5).for_each(|number| take(&mut desk, number));
    move_to(&mut desk, &path, Path::new("/dev/full"));
    take_at(&mut desk, 1, Mono(0) + LOG_LINE_PAUSE);
    move_to(&mut desk, &path, &second);
    take_at(&mut desk, 2, Mono(0) + 2 * LOG_LINE_PAUSE);
    let expected = ["[WARN] log lines_lost=1", "[INFO] record number=2", "[WARN] log lines_left_out=5"];
    assert_eq!(records(&second), expected);
}

#[test]
fn a_flood_leaves_out_nothing_that_an_operator_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.log");
    let mut desk = desk(&path);
    desk.pace = Some(Pace::new());
    let now = Now { mono: Mono(0), wall: Wall(0) };
    for number in 0..LOG_LINES_BURST as u32 + 100 {
        take(&mut desk, number);
        if number % 1000 == 0 {
            desk.take(Level::Info, OPERATOR, format_args!("signal name=SIGUSR1"), now);
        }
    }
    desk.take(Level::Info, OPERATOR, format_args!("server ended"), now);
    let records = records(&path);
    assert_eq!(records.iter().filter(|record| record.contains("signal")).count(), 21);
    assert_eq!(records.last().unwrap(), "[INFO] server ended");
}

#[test]
fn who_is_to_blame_for_a_log_without_a_lock_is_told() {
    let said = |error: std::io::Error| words_for(&LogTrouble::NotLocked(error));
    let busy = said(ErrorKind::ResourceBusy.into());
    assert_eq!(busy, "not_locked why=\"another program logs into the same file\"");
    let short = said(std::io::Error::from_raw_os_error(libc::EMFILE));
    assert!(short.starts_with("not_locked error=\"Too many open files"), "{short}");
}
