//! What becomes of files and their names, on a real file system.

mod fresh;
mod reading;

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use super::*;
use crate::io::finish::finish_all;
use crate::proto::limits::{DISK_JOBS_MAX, SWEEP_FILES_MIN};

const A: FileId = FileId(1);
const B: FileId = FileId(2);

fn folder() -> (tempfile::TempDir, Disk) {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::new(&dir.path().join("root"));
    (dir, disk)
}

/// The name that an older file was given.
fn open(
    disk: &mut Disk,
    file: FileId,
    name: &str,
    mode: OpenMode,
    aside: &str,
) -> Result<Option<String>, ErrorKind> {
    disk.open(file, name, mode, aside).map(|(_, moved)| moved)
}

/// What the helper does, here and now.
fn finish(disk: &mut Disk, file: FileId) -> Option<Result<Option<String>, ErrorKind>> {
    Some(match disk.finish(file)? {
        Finishing::Begins(job) => {
            let outcome = finish_all(&[job]).remove(0);
            disk.on_finished(file, outcome)
        }
        Finishing::Finished => Ok(None),
        Finishing::Failed(error) => Err(error),
    })
}

fn begin(disk: &mut Disk, file: FileId) -> Finish {
    let Some(Finishing::Begins(job)) = disk.finish(file) else { panic!("it can be finished") };
    job
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_named_file_has_its_name_at_once_and_keeps_the_old_one() {
    let (dir, mut disk) = folder();
    let path = dir.path().join("root/sub/table.txt");
    assert_eq!(open(&mut disk, A, "sub/table.txt", OpenMode::Named, "sub/table.old").unwrap(), None);
    assert_eq!(disk.append(A, b"one\n"), Some(Ok(())));
    assert_eq!(disk.append(A, b"two\n"), Some(Ok(())));
    assert_eq!(fs::read(&path).unwrap(), b"one\ntwo\n");
    assert_eq!(finish(&mut disk, A), Some(Ok(None)));
    assert_eq!(disk.append(A, b"late"), Some(Err(ErrorKind::PermissionDenied)));
    disk.release(A);
    let moved = open(&mut disk, B, "sub/table.txt", OpenMode::Named, "sub/table.old").unwrap();
    assert_eq!(moved.as_deref(), Some("sub/table.old"));
    assert_eq!(fs::read(&path).unwrap(), b"");
    assert_eq!(fs::read(dir.path().join("root/sub/table.old")).unwrap(), b"one\ntwo\n");
    disk.release_all();
    assert!(path.exists());
}

#[test]
fn a_partial_gets_its_name_when_it_is_finished() {
    let (dir, mut disk) = folder();
    let root = dir.path().join("root");
    fs::create_dir(&root).unwrap();
    fs::write(root.join("big.partial"), "left by a crash").unwrap();
    fs::write(root.join("big"), "older").unwrap();
    fs::write(root.join("big.old"), "oldest").unwrap();
    assert_eq!(open(&mut disk, A, "big", OpenMode::Partial, "big.old").unwrap(), None);
    assert_eq!(fs::read(root.join("big.partial")).unwrap(), b"");
    assert_eq!(disk.write_at(A, 3, b"def"), Some(Ok(())));
    assert_eq!(disk.write_at(A, 0, b"abc"), Some(Ok(())));
    assert_eq!(fs::read(root.join("big")).unwrap(), b"older");
    let handle = disk.handle(A).unwrap();
    assert_eq!(finish(&mut disk, A), Some(Ok(Some("big.1.old".to_owned()))));
    disk.release(A);
    assert_eq!(names(&root), ["big", "big.1.old", "big.old"]);
    assert_eq!(fs::read(root.join("big")).unwrap(), b"abcdef");
    assert_eq!(fs::read(root.join("big.1.old")).unwrap(), b"older");
    // Whoever still sends from it can.
    let mut read = [0; 6];
    handle.read_exact_at(&mut read, 0).unwrap();
    assert_eq!(&read, b"abcdef");
}

#[test]
fn an_unfinished_partial_is_deleted() {
    let (dir, mut disk) = folder();
    open(&mut disk, A, "a", OpenMode::Partial, "a.old").unwrap();
    open(&mut disk, B, "b", OpenMode::Partial, "b.old").unwrap();
    disk.write_at(A, 0, b"x").unwrap().unwrap();
    disk.release(A);
    assert_eq!(names(&dir.path().join("root")), ["b.partial"]);
    disk.release_all();
    assert!(names(&dir.path().join("root")).is_empty());
}

#[test]
fn a_file_with_a_hole_is_not_finished() {
    let (dir, mut disk) = folder();
    open(&mut disk, A, "f", OpenMode::Partial, "f.old").unwrap();
    // No file system has such a place.
    let refused = disk.write_at(A, u64::MAX, b"x").unwrap().unwrap_err();
    assert_eq!(disk.write_at(A, 0, b"x"), Some(Ok(())));
    assert_eq!(finish(&mut disk, A), Some(Err(refused)));
    disk.release(A);
    assert!(names(&dir.path().join("root")).is_empty());
}

#[test]
fn a_file_that_is_being_written_is_not_moved_away() {
    let (dir, mut disk) = folder();
    let mut other = Disk::new(&dir.path().join("root"));
    open(&mut disk, A, "f", OpenMode::Named, "f.old").unwrap();
    assert_eq!(open(&mut other, A, "f", OpenMode::Named, "f.old"), Err(ErrorKind::ResourceBusy));
    disk.release(A);
    assert_eq!(open(&mut other, A, "f", OpenMode::Named, "f.old"), Ok(Some("f.old".to_owned())));
}

#[test]
fn two_do_not_write_the_same_partial() {
    let (dir, mut disk) = folder();
    let mut other = Disk::new(&dir.path().join("root"));
    open(&mut disk, A, "a", OpenMode::Partial, "a.old").unwrap();
    disk.write_at(A, 0, b"mine").unwrap().unwrap();
    assert_eq!(open(&mut other, A, "a", OpenMode::Partial, "a.old"), Err(ErrorKind::ResourceBusy));
    finish(&mut disk, A).unwrap().unwrap();
    assert_eq!(open(&mut other, B, "a", OpenMode::Partial, "a.old"), Ok(None));
    other.release_all();
    assert_eq!(fs::read(dir.path().join("root/a")).unwrap(), b"mine");
}

/// What somebody else has cut may have a gap in the middle by the end; and a name may lead to another file by then.
#[test]
fn a_partial_that_somebody_else_has_cut_or_replaced_is_not_finished() {
    for (seen, expected) in [("cut", ErrorKind::InvalidData), ("replaced", ErrorKind::NotFound)] {
        let (dir, mut disk) = folder();
        let path = dir.path().join("root/a.partial");
        open(&mut disk, A, "a", OpenMode::Resume { bytes: 9, reserve: false }, "a.old").unwrap();
        disk.write_at(A, 0, b"123456").unwrap().unwrap();
        if seen == "cut" {
            File::options().write(true).open(&path).unwrap().set_len(1).unwrap();
        } else {
            fs::remove_file(&path).unwrap();
            fs::write(&path, "123456789").unwrap();
        }
        disk.write_at(A, 6, b"789").unwrap().unwrap();
        assert_eq!(finish(&mut disk, A), Some(Err(expected)), "{seen}");
        assert!(!dir.path().join("root/a").exists());
        disk.release(A);
        open(&mut disk, B, "a", OpenMode::Resume { bytes: 9, reserve: false }, "a.old").unwrap();
        disk.write_at(B, 0, b"123456789").unwrap().unwrap();
        assert_eq!(finish(&mut disk, B), Some(Ok(None)), "it is ours again");
    }
}

#[test]
fn nothing_outside_and_no_symbolic_link() {
    let (dir, mut disk) = folder();
    let root = dir.path().join("root");
    fs::create_dir(&root).unwrap();
    let secret = dir.path().join("secret");
    fs::write(&secret, "secret").unwrap();
    std::os::unix::fs::symlink(&secret, root.join("link")).unwrap();
    std::os::unix::fs::symlink(&secret, root.join("part.partial")).unwrap();
    assert_eq!(open(&mut disk, A, "link", OpenMode::Named, "old"), Err(ErrorKind::AlreadyExists));
    assert_eq!(open(&mut disk, A, "part", OpenMode::Partial, "old"), Err(ErrorKind::InvalidInput));
    for bad in ["../secret", "/etc/hostname", ""] {
        for mode in [
            OpenMode::Named,
            OpenMode::Partial,
            OpenMode::Resume { bytes: 9, reserve: false },
            OpenMode::Existing,
        ] {
            assert_eq!(open(&mut disk, A, bad, mode, "old"), Err(ErrorKind::InvalidInput));
            let aside = open(&mut disk, A, "x", mode, bad).unwrap_err();
            let expected =
                if mode == OpenMode::Existing { ErrorKind::NotFound } else { ErrorKind::InvalidInput };
            assert_eq!(aside, expected, "there is nothing to move aside");
        }
    }
    assert_eq!(fs::read(&secret).unwrap(), b"secret");
    assert_eq!(names(&root), ["link", "part.partial"]);
}

#[test]
fn a_pipe_or_folder_is_no_file() {
    let (dir, mut disk) = folder();
    let root = dir.path().join("root");
    fs::create_dir_all(root.join("folder")).unwrap();
    nix::unistd::mkfifo(&root.join("pipe.partial"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert_eq!(open(&mut disk, A, "pipe", OpenMode::Partial, "old"), Err(ErrorKind::AlreadyExists));
    assert_eq!(open(&mut disk, A, "folder", OpenMode::Named, "old"), Err(ErrorKind::AlreadyExists));
    assert!(open(&mut disk, A, "folder/file", OpenMode::Named, "old").is_ok());
    assert!(open(&mut disk, B, "folder/file/below", OpenMode::Named, "old").is_err());
}

#[test]
fn a_file_that_is_not_open_is_nothing() {
    let (_dir, mut disk) = folder();
    assert_eq!(disk.append(A, b"x"), None);
    assert_eq!(disk.write_at(A, 0, b"x"), None);
    assert!(disk.finish(A).is_none());
    assert!(disk.handle(A).is_none());
    disk.release(A);
}

#[test]
fn a_finish_that_fails_puts_the_old_file_back() {
    let (dir, mut disk) = folder();
    let root = dir.path().join("root");
    open(&mut disk, A, "a", OpenMode::Partial, "a.old").unwrap();
    fs::write(root.join("a"), "older").unwrap();
    fs::remove_file(root.join("a.partial")).unwrap();
    assert_eq!(finish(&mut disk, A), Some(Err(ErrorKind::NotFound)));
    assert_eq!(fs::read(root.join("a")).unwrap(), b"older");
    assert_eq!(names(&root), ["a"]);
}

#[test]
fn big_files_are_written_back_as_they_grow() {
    let (dir, mut disk) = folder();
    open(&mut disk, A, "a", OpenMode::Partial, "a.old").unwrap();
    let chunk = vec![7; 300 << 10];
    for number in 0..10 {
        disk.write_at(A, number * chunk.len() as u64, &chunk).unwrap().unwrap();
    }
    assert!(disk.files[&A].unstarted_bytes < WRITEBACK_BYTES);
    finish(&mut disk, A).unwrap().unwrap();
    assert_eq!(fs::metadata(dir.path().join("root/a")).unwrap().len(), 10 * chunk.len() as u64);
}

#[test]
fn a_file_is_only_read_while_it_is_finished_and_after() {
    let (dir, mut disk) = folder();
    open(&mut disk, A, "a", OpenMode::Partial, "a.old").unwrap();
    disk.write_at(A, 0, b"whole").unwrap().unwrap();
    let job = begin(&mut disk, A);
    assert!(disk.finish(A).is_none(), "it is under way");
    assert_eq!(disk.write_at(A, 0, b"late"), Some(Err(ErrorKind::PermissionDenied)));
    assert_eq!(disk.append(A, b"late"), Some(Err(ErrorKind::PermissionDenied)));
    assert!(disk.handle(A).is_some());
    let outcome = finish_all(&[job]).remove(0);
    assert_eq!(disk.on_finished(A, outcome), Ok(None));
    assert!(matches!(disk.finish(A), Some(Finishing::Finished)));
    assert_eq!(disk.write_at(A, 0, b"late"), Some(Err(ErrorKind::PermissionDenied)));
    assert_eq!(fs::read(dir.path().join("root/a")).unwrap(), b"whole");
}

#[test]
fn a_release_waits_for_the_finish() {
    let (dir, mut disk) = folder();
    let root = dir.path().join("root");
    open(&mut disk, A, "a", OpenMode::Partial, "a.old").unwrap();
    open(&mut disk, B, "b", OpenMode::Partial, "b.old").unwrap();
    let jobs = [A, B].map(|file| begin(&mut disk, file));
    fs::remove_file(root.join("b.partial")).unwrap();
    fs::write(root.join("b.partial"), "of somebody else").unwrap();
    fs::create_dir(root.join("b")).unwrap();
    disk.release_all();
    assert_eq!(disk.append(A, b"gone"), None);
    assert!(disk.handle(A).is_none() && disk.finish(A).is_none());
    for (file, outcome) in [A, B].into_iter().zip(finish_all(&jobs)) {
        assert_eq!(disk.on_finished(file, outcome).is_ok(), file == A);
    }
    // The one is whole; the other could not have its name, and what has its first name now is not ours.
    assert_eq!(names(&root), ["a", "b", "b.partial"]);
    assert!(disk.files.is_empty());
}

#[test]
fn many_files_are_finished_in_one_go() {
    let (dir, mut disk) = folder();
    let count = 3 * SWEEP_FILES_MIN as u32;
    let files = || (0..count).map(FileId);
    for file in files() {
        let path = format!("of {}/a{}", file.0 % 11, file.0);
        open(&mut disk, file, &path, OpenMode::Partial, "old/one").unwrap();
        disk.write_at(file, 0, format!("{}", file.0).as_bytes()).unwrap().unwrap();
        if file.0 % 5 == 0 {
            fs::write(dir.path().join("root").join(&path), "older").unwrap();
        }
    }
    fs::remove_dir_all(dir.path().join("root/of 3")).unwrap();
    let jobs: Vec<Finish> = files().map(|file| begin(&mut disk, file)).collect();
    for (file, outcome) in files().zip(finish_all(&jobs)) {
        let result = disk.on_finished(file, outcome);
        if file.0 % 11 == 3 {
            assert_eq!(result, Err(ErrorKind::NotFound));
        } else {
            assert_eq!(result.unwrap().is_some(), file.0 % 5 == 0);
            let path = dir.path().join(format!("root/of {}/a{}", file.0 % 11, file.0));
            assert_eq!(fs::read_to_string(path).unwrap(), file.0.to_string());
        }
    }
    let moved = files().filter(|file| file.0 % 5 == 0 && file.0 % 11 != 3).count();
    assert_eq!(names(&dir.path().join("root/old")).len(), moved);
    assert_eq!(disk.new_folders.len(), 1, "that of the folder that has gone");
}

#[test]
fn a_table_can_be_begun_while_the_last_one_is_brought_to_disk() {
    let (dir, mut disk) = folder();
    let mut other = Disk::new(&dir.path().join("root"));
    open(&mut disk, A, "table", OpenMode::Named, "table.old").unwrap();
    disk.append(A, b"first").unwrap().unwrap();
    let job = begin(&mut disk, A);
    assert_eq!(open(&mut other, A, "table", OpenMode::Named, "table.old"), Err(ErrorKind::ResourceBusy));
    assert_eq!(open(&mut disk, B, "table", OpenMode::Named, "table.old"), Ok(Some("table.old".to_owned())));
    let outcome = finish_all(&[job]).remove(0);
    assert_eq!(disk.on_finished(A, outcome), Ok(None));
    assert_eq!(fs::read(dir.path().join("root/table.old")).unwrap(), b"first");
}
