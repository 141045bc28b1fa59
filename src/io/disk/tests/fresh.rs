//! Files that take nobody's place: their names, their room, and what is left of them.

use std::fs::FileTimes;
use std::time::SystemTime;

use super::*;
use crate::io::place::Looks;
use crate::io::survey::{Survey, Surveyed};
use crate::proto::limits::{COUNTED_BYTES_MIN, FRESH_TRIES_MAX};
use crate::proto::machine::{numbered_name, temp_name};
use crate::proto::time::{Wall, ns};

fn fresh(bytes: u64, tag: u32) -> OpenMode {
    OpenMode::Fresh { bytes, tag }
}

fn survey(root: &Path, files_max: usize) -> Surveyed {
    // Long after anything that is written now.
    survey_at(root, files_max, Wall(u64::MAX / 2))
}

fn survey_at(root: &Path, files_max: usize, now: Wall) -> Surveyed {
    counted(&Survey { root: root.into(), files_max, now, ours: Vec::new() })
}

/// What a machine is told that has opened nothing since.
fn counted(survey: &Survey) -> Surveyed {
    let mut found = survey.carry_out().unwrap();
    found.count_left(|_| false);
    found
}

fn begin_survey(disk: &mut Disk) -> Survey {
    let mut ours = Vec::new();
    disk.begin_survey(&mut ours);
    Survey { root: Arc::clone(disk.root()), files_max: 9, now: Wall(0), ours }
}

fn end_survey(disk: &mut Disk, found: io::Result<Surveyed>) -> Surveyed {
    let mut found = found.unwrap();
    found.count_left(|path| disk.has_opened_since(path));
    disk.end_survey();
    found
}

#[test]
fn the_first_free_name_is_taken_and_none_beyond_the_bound() {
    let (dir, mut disk) = folder();
    let root = dir.path().join("root");
    fs::create_dir(&root).unwrap();
    fs::write(root.join("a"), "older").unwrap();
    for number in 1..=FRESH_TRIES_MAX {
        fs::hard_link(root.join("a"), root.join(numbered_name("a", number))).unwrap();
    }
    open(&mut disk, A, "a", fresh(3, 1), "").unwrap();
    // It is known before a byte of it has come.
    let looks = |disk: &Disk| {
        disk.to_reserve(A, fresh(3, 1))
            .map(|wish| wish.carry_out(&mut Looks::default()).map_err(|error| error.kind()))
    };
    assert_eq!(looks(&disk), Some(Err(ErrorKind::TooManyLinks)));
    let (wish, mut at_once) = (disk.to_reserve(A, fresh(3, 1)).unwrap(), Looks::default());
    assert!(wish.carry_out(&mut at_once).is_err());
    fs::rename(root.join("a.7"), dir.path().join("a.7")).unwrap();
    assert_eq!(looks(&disk), Some(Ok(false)), "there is one");
    assert!(wish.carry_out(&mut at_once).is_err(), "those who ask at once share a look");
    fs::rename(dir.path().join("a.7"), root.join("a.7")).unwrap();
    disk.write_at(A, 0, b"new").unwrap().unwrap();
    assert_eq!(finish(&mut disk, A), Some(Err(ErrorKind::AlreadyExists)));
    assert_eq!(fs::read(root.join(temp_name("a", 1))).unwrap(), b"new");
    for number in [7, FRESH_TRIES_MAX] {
        fs::remove_file(root.join(numbered_name("a", number))).unwrap();
    }
    assert_eq!(looks(&disk), None, "the last one is free");
    assert_eq!(finish(&mut disk, A), Some(Ok(Some("a.7".to_owned()))));
    // Two at once do not get the same.
    fs::remove_file(root.join("a.100")).unwrap();
    open(&mut disk, B, "a", fresh(3, 2), "").unwrap();
    open(&mut disk, FileId(3), "a", fresh(3, 3), "").unwrap();
    let jobs = [B, FileId(3)].map(|file| begin(&mut disk, file));
    let named = finish_all(&jobs).into_iter().map(|outcome| outcome.result.unwrap().unwrap());
    assert_eq!(named.collect::<Vec<_>>(), ["a.100".to_owned(), numbered_name("a", FRESH_TRIES_MAX)]);
    assert_eq!(fs::read(root.join("a")).unwrap(), b"older");
}

#[test]
fn what_is_not_ours_any_more_is_neither_finished_nor_deleted() {
    let (dir, mut disk) = folder();
    let temp = dir.path().join("root").join(temp_name("a", 1));
    open(&mut disk, A, "a", fresh(3, 1), "").unwrap();
    fs::remove_file(&temp).unwrap();
    fs::write(&temp, "of somebody else").unwrap();
    assert_eq!(finish(&mut disk, A), Some(Err(ErrorKind::NotFound)));
    disk.release(A);
    assert_eq!(fs::read(&temp).unwrap(), b"of somebody else");
}

#[test]
fn the_last_handle_of_a_deleted_file_is_handed_out() {
    let (dir, mut disk) = folder();
    open(&mut disk, A, "a", fresh(RESERVE_BYTES_MIN, 1), "").unwrap();
    open(&mut disk, B, "b", OpenMode::Partial, "b.old").unwrap();
    open(&mut disk, FileId(3), "c", OpenMode::Named, "c.old").unwrap();
    disk.release_all();
    assert_eq!(names(&dir.path().join("root")), ["c"]);
    let nameless = disk.take_nameless();
    assert_eq!(nameless.iter().map(Arc::strong_count).collect::<Vec<_>>(), [1, 1]);
    assert!(disk.take_nameless().is_empty());
    // Also if somebody else has deleted it, or put another in its place.
    let (removed, kept) = (FileId(4), FileId(5));
    fs::write(dir.path().join("root/d"), "kept").unwrap();
    open(&mut disk, removed, "c", OpenMode::Existing, "").unwrap();
    open(&mut disk, kept, "d", OpenMode::Existing, "").unwrap();
    fs::rename(dir.path().join("root/d"), dir.path().join("root/c")).unwrap();
    disk.release_all();
    assert_eq!(disk.take_nameless().len(), 1);
}

#[test]
fn what_is_promised_is_what_will_be_written() {
    let (_dir, mut disk) = folder();
    open(&mut disk, A, "a", fresh(100, 1), "").unwrap();
    open(&mut disk, B, "b", fresh(50, 2), "").unwrap();
    assert_eq!(disk.promised_bytes(), 150);
    disk.write_at(A, 0, &[0; 70]).unwrap().unwrap();
    assert_eq!(disk.promised_bytes(), 80);
    disk.write_at(A, 70, &[0; 70]).unwrap().unwrap();
    assert_eq!(disk.promised_bytes(), 50);
    disk.release(B);
    assert_eq!(disk.promised_bytes(), 0);
    // A big one is promised its room at once, and until it has some of its own, or is written.
    let [c, d] = [3, 4].map(FileId);
    let big = fresh(RESERVE_BYTES_MIN, 3);
    open(&mut disk, c, "c", big, "").unwrap();
    assert_eq!(disk.promised_bytes(), RESERVE_BYTES_MIN);
    assert_eq!(disk.on_reserved(c, Ok(false)), Some(Ok(0)));
    assert_eq!(disk.promised_bytes(), RESERVE_BYTES_MIN);
    open(&mut disk, d, "d", big, "").unwrap();
    assert_eq!(disk.promised_bytes(), 2 * RESERVE_BYTES_MIN);
    if disk.to_reserve(d, big).unwrap().carry_out(&mut Looks::default()).unwrap() {
        assert_eq!(disk.promised_bytes(), RESERVE_BYTES_MIN, "not counted twice");
    }
    assert_eq!(disk.on_reserved(d, Ok(true)), Some(Ok(0)));
    assert_eq!(disk.promised_bytes(), RESERVE_BYTES_MIN);
    disk.release(c);
    assert_eq!(disk.promised_bytes(), 0);
}

#[test]
fn what_is_promised_to_one_is_refused_to_others() {
    let (dir, mut disk) = folder();
    let facts = nix::sys::statfs::statfs(dir.path()).unwrap();
    let free_bytes = facts.blocks_available() * facts.block_size() as u64;
    // Whatever else is written there meanwhile, one has room and two have not.
    let most = fresh((free_bytes / 3 * 2).max(RESERVE_BYTES_MIN), 1);
    open(&mut disk, A, "a", most, "").unwrap();
    assert_eq!(
        open(&mut disk, B, "b", most, ""),
        Err(ErrorKind::StorageFull),
        "a's room is not set aside yet"
    );
    assert_eq!(disk.on_reserved(A, Ok(false)), Some(Ok(0)));
    assert_eq!(open(&mut disk, B, "b", most, ""), Err(ErrorKind::StorageFull), "nor can it be");
    disk.files.get_mut(&A).unwrap().promise = Promise::ToReserve { bytes: u64::MAX };
    assert_eq!(open(&mut disk, B, "b", fresh(1, 1), ""), Err(ErrorKind::StorageFull));
    assert_eq!(names(&dir.path().join("root")), [temp_name("a", 1)]);
    disk.release(A);
    open(&mut disk, B, "b", most, "").unwrap();
}

#[test]
fn room_is_set_aside_or_the_file_is_gone() {
    let (dir, mut disk) = folder();
    let root = dir.path().join("root");
    let mode = fresh(RESERVE_BYTES_MIN, 1);
    open(&mut disk, A, "a", mode, "").unwrap();
    let set_aside = disk.to_reserve(A, mode).unwrap().carry_out(&mut Looks::default()).unwrap();
    let facts = fs::metadata(root.join(temp_name("a", 1))).unwrap();
    assert_eq!(facts.len(), 0);
    assert!(!set_aside || std::os::unix::fs::MetadataExt::blocks(&facts) * 512 >= RESERVE_BYTES_MIN);
    assert_eq!(disk.on_reserved(A, Ok(set_aside)), Some(Ok(0)));
    assert_eq!(open(&mut disk, B, "b", fresh(1 << 60, 2), ""), Err(ErrorKind::StorageFull));
    // Somebody else was faster.
    open(&mut disk, B, "b", fresh(RESERVE_BYTES_MIN, 2), "").unwrap();
    let refused = Err(ErrorKind::StorageFull.into());
    assert_eq!(disk.on_reserved(B, refused), Some(Err(ErrorKind::StorageFull)));
    assert_eq!(disk.append(B, b"x"), None);
    assert_eq!(names(&root), [temp_name("a", 1)]);
    disk.release(A);
    assert_eq!(disk.on_reserved(A, Ok(true)), None);
}

#[test]
fn a_survey_counts_plain_files_and_removes_what_was_left() {
    let (dir, _) = folder();
    let root = dir.path().join("root");
    assert_eq!(survey(&root, 9), Surveyed::default(), "a folder that is not there is empty");
    fs::create_dir_all(root.join("folder")).unwrap();
    for (name, bytes) in [("b", 3), ("a", 4), ("c", 5), ("folder/d", 6), ("left.0badcafe.temp", 7)] {
        fs::write(root.join(name), vec![0; bytes]).unwrap();
    }
    fs::write(root.join(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"\xff")), "12")
        .unwrap();
    std::os::unix::fs::symlink("a", root.join("link")).unwrap();
    std::os::unix::fs::symlink("a", root.join("link.0badcafe.temp")).unwrap();
    fs::create_dir(root.join("folder.0badcafe.temp")).unwrap();
    let theirs = open_fresh(&root.join("theirs"), 1).unwrap();
    let found = survey(&root, 2);
    const FIVE: u64 = 5 * COUNTED_BYTES_MIN;
    assert_eq!((found.bytes, found.removed), (FIVE, 1));
    let files = found.files.iter().map(|file| (file.name.as_str(), file.stamp.bytes));
    assert_eq!(files.collect::<Vec<_>>(), [("a", 4), ("b", 3)]);
    assert!(!root.join("left.0badcafe.temp").exists() && root.join("link.0badcafe.temp").is_symlink());
    if let Handle::Locked(_) = theirs {
        assert!(root.join(temp_name("theirs", 1)).exists(), "another program has it open");
    }
    assert_eq!(survey(&root, 0), Surveyed { bytes: FIVE, ..Surveyed::default() });
}

/// On a file system without locks too: nobody is asked for one.
#[test]
fn what_is_open_counts_once_whenever_it_was_opened() {
    let (dir, mut disk) = folder();
    let root = dir.path().join("root");
    open(&mut disk, A, "before", fresh(9, 1), "").unwrap();
    disk.files.get_mut(&A).unwrap().handle = Arc::new(Handle::from(tempfile::tempfile().unwrap()));
    fs::write(root.join(temp_name("left", 3)), "by a kill").unwrap();
    let surveys = [(); 2].map(|()| begin_survey(&mut disk));
    open(&mut disk, B, "since", fresh(9, 2), "").unwrap();
    let [first, second] = surveys.map(|survey| survey.carry_out());
    let one = Surveyed { bytes: COUNTED_BYTES_MIN, ..Surveyed::default() };
    assert_eq!(end_survey(&mut disk, first), one);
    disk.release(B);
    assert_eq!(end_survey(&mut disk, second).bytes, COUNTED_BYTES_MIN, "it was gone before the answer");
    assert!(disk.opened_since.is_empty());
}

#[test]
fn only_what_is_old_was_left() {
    let (dir, _) = folder();
    let hour = std::time::Duration::from_secs(3600);
    let now = SystemTime::UNIX_EPOCH + 1000 * hour;
    for (name, age) in [("old", 25 * hour), ("young", 23 * hour)] {
        let file = File::create(dir.path().join(temp_name(name, 1))).unwrap();
        file.set_times(FileTimes::new().set_modified(now - age)).unwrap();
    }
    let ahead = File::create(dir.path().join(temp_name("ahead", 1))).unwrap();
    ahead.set_times(FileTimes::new().set_modified(now + 99 * hour)).unwrap();
    drop(ahead);
    let now = Wall(ns(1000 * hour));
    let ours = Vec::from([dir.path().join(temp_name("old", 1))]);
    let asked = |ours| counted(&Survey { root: dir.path().into(), files_max: 9, now, ours });
    let two = Surveyed { bytes: 2 * COUNTED_BYTES_MIN, ..Surveyed::default() };
    assert_eq!(asked(ours), two, "a client may be that slow");
    assert_eq!(asked(Vec::new()), Surveyed { removed: 1, ..two });
    assert_eq!(names(dir.path()), [temp_name("ahead", 1), temp_name("young", 1)]);
}

#[test]
fn what_a_kill_left_counts_with_all_that_it_has_of_the_disk() {
    let (dir, mut disk) = folder();
    let root = dir.path().join("root");
    let mode = fresh(RESERVE_BYTES_MIN, 1);
    open(&mut disk, A, "a", mode, "").unwrap();
    let set_aside = disk.to_reserve(A, mode).unwrap().carry_out(&mut Looks::default()).unwrap();
    let found = begin_survey(&mut disk).carry_out();
    assert_eq!(end_survey(&mut disk, found), Surveyed::default(), "its room is promised");
    drop(disk);
    let found = survey_at(&root, 9, Wall(0));
    assert!(!set_aside || found.bytes >= RESERVE_BYTES_MIN, "{found:?}");
    assert_eq!((found.bytes >= COUNTED_BYTES_MIN, found.files.len(), found.removed), (true, 0, 0));
    assert_eq!(names(&root), [temp_name("a", 1)]);
}

#[test]
fn a_file_that_is_replaced_or_written_to_has_another_stamp() {
    let (dir, _) = folder();
    let path = dir.path().join("a");
    let look = || survey(dir.path(), 9).files[0].stamp;
    fs::write(&path, "12345").unwrap();
    let set_time = |path: &Path, hours: u64| {
        let at = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(3600 * hours);
        let file = File::options().write(true).open(path).unwrap();
        file.set_times(FileTimes::new().set_modified(at)).unwrap();
    };
    set_time(&path, 1);
    let first = look();
    assert_eq!((look(), first.bytes), (first, 5));
    // As if it had been written to then.
    set_time(&path, 2);
    assert_ne!(look(), first);
    set_time(&path, 1);
    assert_eq!(look(), first);
    let other = dir.path().join("new");
    fs::write(&other, "54321").unwrap();
    set_time(&other, 1);
    fs::rename(&other, &path).unwrap();
    assert_ne!(look(), first);
}
