//! Rotations, alone and with a helper beside them, and what can go wrong with files.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::{Duration, Instant};

use flate2::read::GzDecoder;
use tempfile::TempDir;

use super::*;

const NEVER: LogRules = LogRules { bytes_max: None, daily: false, keep: 5, compress: false };
const DAY: Wall = Wall(20_000 * DAY_S * SECOND_NS);

fn place() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("logs/a.log");
    fs::create_dir(path.parent().unwrap()).unwrap();
    (dir, path)
}

fn names(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path.parent().unwrap()).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn text(path: &Path) -> String {
    let mut text = String::new();
    if path.extension().is_some_and(|extension| extension == "gz") {
        GzDecoder::new(File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    } else {
        text = fs::read_to_string(path).unwrap();
    }
    text
}

fn line(number: usize) -> String {
    format!("{number:06} {}\n", "x".repeat(number % 97))
}

/// The numbers of all lines, oldest first, each of which is whole.
fn numbers(path: &Path) -> Vec<usize> {
    let mut files: Vec<(usize, PathBuf)> = names(path)
        .into_iter()
        .map(|name| {
            let number = name.split('.').nth(2).map_or(0, |number| number.parse().unwrap());
            (number, path.with_file_name(name))
        })
        .collect();
    files.sort();
    let mut numbers = Vec::new();
    for (_, path) in files.iter().rev() {
        whole_lines(path, &mut numbers);
    }
    numbers
}

fn whole_lines(path: &Path, numbers: &mut Vec<usize>) {
    for found in text(path).split_inclusive('\n') {
        let number = found[..6].parse().unwrap();
        assert_eq!(found, line(number), "{}", path.display());
        numbers.push(number);
    }
}

fn write(log: &mut LogFile, numbers: std::ops::Range<usize>) {
    for number in numbers {
        assert!(log.write(line(number).as_bytes(), DAY));
    }
}

#[test]
fn whole_records_and_so_many_old_files() {
    let (_dir, path) = place();
    let rules = LogRules { bytes_max: Some(4096), keep: 2, ..NEVER };
    write(&mut LogFile::open(&path, rules).unwrap(), 0..1000);
    assert_eq!(names(&path), ["a.log", "a.log.1", "a.log.2"]);
    let found = numbers(&path);
    assert_eq!(found, (1000 - found.len()..1000).collect::<Vec<_>>(), "none lost, none torn, in order");
    for name in names(&path) {
        let bytes = fs::metadata(path.with_file_name(name)).unwrap().len();
        assert!((1..=4096).contains(&bytes));
    }
    // Fewer are kept from now on, and none after that.
    for (keep, expected) in [(1, vec!["a.log", "a.log.1"]), (0, vec!["a.log"])] {
        write(&mut LogFile::open(&path, LogRules { keep, ..rules }).unwrap(), 0..200);
        assert_eq!(names(&path), expected);
    }
}

#[test]
fn a_day_has_its_own_file() {
    let (_dir, path) = place();
    let rules = LogRules { daily: true, ..NEVER };
    let mut log = LogFile::open(&path, rules).unwrap();
    let noon = |day: u64| Wall(DAY.0 + (2 * day + 1) * DAY_S * SECOND_NS / 2);
    let evening = |day| Wall(noon(day).0 + DAY_S * SECOND_NS / 2 - 1);
    for (at, number) in
        [(noon(0), 0), (evening(0), 1), (noon(1), 2), (noon(0), 3), (noon(1), 4), (noon(9), 5)]
    {
        assert!(log.write(line(number).as_bytes(), at));
    }
    // A clock that goes back begins no file; the day after that day does.
    let files = ["a.log.3", "a.log.2", "a.log.1", "a.log"].map(|name| text(&path.with_file_name(name)));
    let expected = [line(0) + &line(1), line(2) + &line(3), line(4), line(5)];
    assert_eq!(files, expected);
    // The file's own date says of what day it is.
    drop(log);
    let old = UNIX_EPOCH + Duration::from_nanos(noon(9).0);
    File::options().append(true).open(&path).unwrap().set_modified(old).unwrap();
    let mut log = LogFile::open(&path, rules).unwrap();
    assert!(log.write(line(6).as_bytes(), evening(9)) && log.write(line(7).as_bytes(), noon(10)));
    assert_eq!(numbers(&path), [0, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(text(&path), line(7));
}

#[test]
fn whoever_moved_the_file_is_followed_when_asked() {
    let (_dir, path) = place();
    let rules = LogRules { bytes_max: Some(4096), ..NEVER };
    let mut log = LogFile::open(&path, rules).unwrap();
    write(&mut log, 0..3);
    let moved = path.with_file_name("a.log.moved");
    fs::rename(&path, &moved).unwrap();
    write(&mut log, 3..5);
    assert!(!path.exists(), "nobody asked");
    log.reopen().unwrap();
    write(&mut log, 5..7);
    let mut found = Vec::new();
    [&moved, &path].into_iter().for_each(|path| whole_lines(path, &mut found));
    assert_eq!(found, [0, 1, 2, 3, 4, 5, 6]);
    // Reopened where it was, it goes on; moved and full, it is not renamed again.
    log.reopen().unwrap();
    write(&mut log, 7..8);
    fs::rename(&path, &moved).unwrap();
    write(&mut log, 8..98);
    assert!(path.exists());
    found.drain(3..);
    [&moved, &path].into_iter().for_each(|path| whole_lines(path, &mut found));
    assert_eq!(names(&path), ["a.log", "a.log.moved"]);
    assert_eq!(found, [0, 1, 2].into_iter().chain(5..98).collect::<Vec<_>>());
    // A folder in its place: the old one goes on.
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(log.reopen().is_err());
    write(&mut log, 98..99);
}

#[test]
fn a_log_that_cannot_be_opened_is_an_error_at_once() {
    let dir = tempfile::tempdir().unwrap();
    assert!(LogFile::open(dir.path(), NEVER).is_err(), "a folder");
    assert!(LogFile::open(&dir.path().join("mistyped/a.log"), NEVER).is_err());
    assert!(!dir.path().join("mistyped").exists());
    let fifo = dir.path().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert!(LogFile::open(&fifo, NEVER).is_err(), "nobody reads it, and nobody waits for that");
}

#[test]
fn a_log_is_one_programs_over_rotations_and_reopening() {
    let (_dir, path) = place();
    let rules = LogRules { bytes_max: Some(4096), ..NEVER };
    let is_refused = || {
        let opened = LogFile::open(&path, rules);
        matches!(opened, Err(error) if error.kind() == ErrorKind::ResourceBusy)
    };
    let mut log = LogFile::open(&path, rules).unwrap();
    assert!(is_refused());
    write(&mut log, 0..100);
    assert!(names(&path).len() > 1 && is_refused(), "the next file");
    log.reopen().unwrap();
    assert!(is_refused() && log.take_trouble().is_none(), "the same file");
    fs::rename(&path, path.with_file_name("a.log.moved")).unwrap();
    let mut other = LogFile::open(&path, NEVER).unwrap();
    log.reopen().unwrap();
    assert!(matches!(log.take_trouble(), Some(LogTrouble::NotLocked(_))), "it goes on");
    write(&mut log, 100..101);
    write(&mut other, 101..102);
    drop((log, other));
    assert!(!is_refused());
}

#[test]
fn a_torn_line_stays_a_line_of_its_own() {
    let (_dir, path) = place();
    fs::write(&path, "half a li").unwrap();
    let mut log = LogFile::open(&path, NEVER).unwrap();
    write(&mut log, 1..3);
    assert_eq!(text(&path), format!("half a li\n{}{}", line(1), line(2)));
}

#[test]
fn what_a_full_disk_took_of_a_line_is_taken_back() {
    let (_dir, path) = place();
    let mut log = LogFile::open(&path, NEVER).unwrap();
    write(&mut log, 0..2);
    // As if a write had ended early.
    assert_eq!(log.open.write(b"00000").unwrap(), 5);
    log.open.take_back(5);
    write(&mut log, 2..3);
    assert_eq!(numbers(&path), [0, 1, 2]);
    // Somebody else has written behind it.
    assert_eq!(log.open.write(b"half").unwrap(), 4);
    File::options().append(true).open(&path).unwrap().write_all(b" and theirs").unwrap();
    log.open.take_back(4);
    write(&mut log, 3..4);
    assert!(text(&path).ends_with(&format!("half and theirs\n{}", line(3))));
}

#[test]
fn a_full_disk_refuses_lines_and_nothing_else() {
    let (dir, path) = place();
    let real = dir.path().join("real/a.log");
    fs::create_dir(real.parent().unwrap()).unwrap();
    symlink("/dev/full", &path).unwrap();
    let mut log = LogFile::open(&path, LogRules { bytes_max: Some(4096), ..NEVER }).unwrap();
    assert!(!log.write(line(0).as_bytes(), DAY));
    fs::remove_file(&path).unwrap();
    symlink(&real, &path).unwrap();
    log.reopen().unwrap();
    // A link stays one: what it leads to is renamed.
    write(&mut log, 1..100);
    assert_eq!(names(&path), ["a.log"]);
    assert_eq!(numbers(&real), (1..100).collect::<Vec<_>>());
    assert_eq!(names(&real), ["a.log", "a.log.1"]);
}

#[test]
fn a_folder_that_cannot_be_changed_makes_the_file_grow() {
    let (_dir, path) = place();
    let mut log = LogFile::open(&path, LogRules { bytes_max: Some(4096), ..NEVER }).unwrap();
    let in_the_way = path.with_file_name("a.log.0");
    fs::create_dir_all(in_the_way.join("full")).unwrap();
    fs::create_dir_all(path.with_file_name("a.log.1").join("full")).unwrap();
    for number in 2..=5 {
        fs::create_dir_all(path.with_file_name(format!("a.log.{number}")).join("full")).unwrap();
    }
    write(&mut log, 0..200);
    assert!(log.take_trouble().is_some() && log.take_trouble().is_none(), "told once");
    assert!(fs::metadata(&path).unwrap().len() > 4096);
    for number in 0..=5 {
        fs::remove_dir_all(path.with_file_name(format!("a.log.{number}"))).unwrap();
    }
    let later = Wall(DAY.0 + LOG_RETRY.as_nanos() as u64);
    assert!(log.write(line(200).as_bytes(), later) && log.take_trouble().is_none());
    assert_eq!(names(&path), ["a.log", "a.log.1"]);
    assert_eq!(numbers(&path), (0..=200).collect::<Vec<_>>());
}

#[test]
fn a_file_that_another_logs_into_is_told_of_whatever_else_is_wrong() {
    let (_dir, path) = place();
    symlink("1", &path).unwrap();
    let mut log = LogFile::open(&path, LogRules { bytes_max: Some(4096), keep: 0, ..NEVER }).unwrap();
    let _other = LogFile::open(&path.with_file_name("2"), NEVER).unwrap();
    fs::create_dir(path.with_file_name("2.0")).unwrap();
    fs::remove_file(&path).unwrap();
    symlink("2", &path).unwrap();
    write(&mut log, 0..100);
    let is_busy = |error: &io::Error| error.kind() == ErrorKind::ResourceBusy;
    assert!(matches!(log.take_trouble(), Some(LogTrouble::NotLocked(error)) if is_busy(&error)));
}

#[test]
fn what_one_that_died_has_left_is_put_right() {
    let (_dir, path) = place();
    let put = |name: &str, number: usize| fs::write(path.with_file_name(name), line(number)).unwrap();
    put("a.log", 5);
    put("a.log.0", 4);
    put("a.log.1", 3);
    // There is no 2, so nothing has to move beyond it.
    put("a.log.3", 1);
    put("a.log.gz.partial", 7);
    let mut log = LogFile::open(&path, NEVER).unwrap();
    write(&mut log, 6..7);
    assert_eq!(names(&path), ["a.log", "a.log.1", "a.log.2", "a.log.3"]);
    assert_eq!(numbers(&path), [1, 3, 4, 5, 6]);
}

/// Does all that a helper would.
fn finish(shelf: &mut Shelf) {
    while shelf.go_on() {}
}

#[test]
fn old_files_are_compressed_in_slices_and_move_on_meanwhile() {
    let (_dir, path) = place();
    let log = LogFile::open(&path, LogRules { keep: 3, compress: true, ..NEVER }).unwrap();
    let long: String = (0..20_000).map(line).collect();
    let first = path.with_file_name("a.log.1");
    fs::write(&first, &long).unwrap();
    fs::set_permissions(&first, PermissionsExt::from_mode(0o600)).unwrap();
    let modified = fs::metadata(&first).unwrap().modified().unwrap();
    let mut shelf = log.shelf().unwrap();
    assert!(shelf.go_on() && shelf.go_on(), "it takes more than a slice");
    let partial = fs::metadata(path.with_file_name("a.log.gz.partial")).unwrap();
    assert_eq!(partial.permissions().mode() & 0o777, 0o600, "nobody else may read it meanwhile");
    fs::write(path.with_file_name("a.log.0"), line(1)).unwrap();
    log.waits.store(true, Ordering::Release);
    finish(&mut shelf);
    assert!(!log.waits.load(Ordering::Acquire));
    assert_eq!(names(&path), ["a.log", "a.log.1.gz", "a.log.2.gz"]);
    let second = path.with_file_name("a.log.2.gz");
    assert_eq!(text(&second), long);
    let known = fs::metadata(&second).unwrap();
    assert_eq!((known.permissions().mode() & 0o777, known.modified().unwrap()), (0o600, modified));
    assert!(known.len() * 5 < long.len() as u64);
    // The oldest goes while it is compressed, and what was compressed already has no other beside it.
    let mut shelf = log.shelf().unwrap();
    fs::write(path.with_file_name("a.log.3"), &long).unwrap();
    fs::write(path.with_file_name("a.log.2"), "compressed already\n").unwrap();
    fs::write(path.with_file_name("a.log.1"), "compressed already\n").unwrap();
    assert!((0..4).all(|_| shelf.go_on()));
    assert!(shelf.packs() == Some(3));
    fs::write(path.with_file_name("a.log.0"), line(2)).unwrap();
    log.waits.store(true, Ordering::Release);
    finish(&mut shelf);
    assert_eq!(names(&path), ["a.log", "a.log.1.gz", "a.log.2.gz", "a.log.3.gz"]);
    assert_eq!(text(&path.with_file_name("a.log.1.gz")), line(2));
    assert_eq!(text(&path.with_file_name("a.log.3.gz")), long);
}

#[test]
fn what_cannot_be_compressed_stays_and_nobody_tries_for_ever() {
    let (_dir, path) = place();
    let log = LogFile::open(&path, LogRules { compress: true, ..NEVER }).unwrap();
    fs::write(path.with_file_name("a.log.1"), line(1)).unwrap();
    fs::create_dir(path.with_file_name("a.log.gz.partial")).unwrap();
    finish(&mut log.shelf().unwrap());
    assert_eq!(numbers_of(&path.with_file_name("a.log.1")), [1]);
    fs::remove_dir(path.with_file_name("a.log.gz.partial")).unwrap();
    finish(&mut log.shelf().unwrap());
    assert_eq!(names(&path), ["a.log", "a.log.1.gz"]);
}

fn numbers_of(path: &Path) -> Vec<usize> {
    let mut numbers = Vec::new();
    whole_lines(path, &mut numbers);
    numbers
}

/// Records as fast as they can be written, a helper that puts old files away, and somebody who moves the file and asks for another
/// all the time.
#[allow(clippy::disallowed_methods)] // a bound of the test, nothing that is measured
fn write_100_000(compress: bool) {
    const RECORDS: usize = 100_000;
    let (_dir, path) = place();
    let rules = LogRules { bytes_max: Some(20_000), keep: 1000, compress, ..NEVER };
    let mut log = LogFile::open(&path, rules).unwrap();
    let mut reactor = Reactor::new().unwrap();
    let hand = reactor.put_away(log.shelf().unwrap()).unwrap();
    log.set_hand(hand);
    let aside = path.with_file_name("../aside");
    fs::create_dir(&aside).unwrap();
    let mut moved = 0;
    for number in 0..RECORDS {
        write(&mut log, number..number + 1);
        if number % 997 == 0 {
            log.reopen().unwrap();
        }
        if number % 4999 == 0 {
            fs::rename(&path, aside.join(moved.to_string())).unwrap();
            moved += 1;
            write(&mut log, number + RECORDS..number + RECORDS + 1);
            log.reopen().unwrap();
        }
    }
    let end = Instant::now() + Duration::from_secs(120);
    let is_done =
        |name: &String| name == "a.log" || if compress { name.ends_with(".gz") } else { name != "a.log.0" };
    while !names(&path).iter().all(is_done) {
        assert!(Instant::now() < end, "the helper is not done: {:?}", names(&path));
        std::thread::yield_now();
    }
    let kept = numbers(&path);
    // The one that is written in between may begin a new file: it is in either.
    assert!(kept.iter().filter(|number| **number < RECORDS).is_sorted(), "in order");
    let mut all = kept;
    (0..moved).for_each(|name| whole_lines(&aside.join(name.to_string()), &mut all));
    all.sort_unstable();
    let extra = (0..RECORDS).step_by(4999).map(|number| number + RECORDS);
    assert_eq!(all, (0..RECORDS).chain(extra).collect::<Vec<_>>());
    let rotated = names(&path).len();
    assert!(rotated > 5, "{rotated}");
}

#[test]
fn none_of_100_000_is_lost_or_torn() {
    write_100_000(false);
}

#[test]
fn none_of_100_000_is_lost_or_torn_while_old_ones_are_compressed() {
    write_100_000(true);
}
