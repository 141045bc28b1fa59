//! From a record to a file that cannot take it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::*;

const RULES: LogRules = LogRules { bytes_max: None, daily: false, keep: 0, compress: false };

fn desk(path: &Path) -> Desk {
    Desk { place: Place::File(LogFile::open(path, RULES).unwrap()), line: Line::new(), lost: 0, pace: None }
}

fn take(desk: &mut Desk, number: u32) {
    desk.take(Level::Info, format_args!("record number={number}"), Wall(0));
}

#[test]
fn what_a_full_disk_has_cost_is_told_when_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let (path, real) = (folder.path().join("a.log"), folder.path().join("real.log"));
    symlink("/dev/full", &path).unwrap();
    let mut desk = desk(&path);
    (0..3).for_each(|number| take(&mut desk, number));
    fs::remove_file(&path).unwrap();
    symlink(&real, &path).unwrap();
    let Place::File(file) = &mut desk.place else { unreachable!() };
    file.reopen().unwrap();
    (3..5).for_each(|number| take(&mut desk, number));
    let text = fs::read_to_string(&real).unwrap();
    let lines: Vec<&str> = text.lines().map(|line| line.split_once(' ').unwrap().1).collect();
    assert_eq!(lines, ["[WARN] log lines_lost=3", "[INFO] record number=3", "[INFO] record number=4"]);
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
