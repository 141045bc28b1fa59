//! What becomes of files and their names, on a real file system.

use std::fs;

use super::*;

const A: FileId = FileId(1);
const B: FileId = FileId(2);

fn folder() -> (tempfile::TempDir, Disk) {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::new(&dir.path().join("root"));
    (dir, disk)
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
    assert_eq!(disk.open(A, "sub/table.txt", OpenMode::Named, "sub/table.old").unwrap(), None);
    assert_eq!(disk.append(A, b"one\n"), Some(Ok(())));
    assert_eq!(disk.append(A, b"two\n"), Some(Ok(())));
    assert_eq!(fs::read(&path).unwrap(), b"one\ntwo\n");
    assert_eq!(disk.finish(A), Some(Ok(None)));
    assert_eq!(disk.append(A, b"late"), Some(Err(ErrorKind::PermissionDenied)));
    disk.release(A);
    let moved = disk.open(B, "sub/table.txt", OpenMode::Named, "sub/table.old").unwrap();
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
    assert_eq!(disk.open(A, "big", OpenMode::Partial, "big.old").unwrap(), None);
    assert_eq!(fs::read(root.join("big.partial")).unwrap(), b"");
    assert_eq!(disk.write_at(A, 3, b"def"), Some(Ok(())));
    assert_eq!(disk.write_at(A, 0, b"abc"), Some(Ok(())));
    assert_eq!(fs::read(root.join("big")).unwrap(), b"older");
    let handle = disk.handle(A).unwrap();
    assert_eq!(disk.finish(A), Some(Ok(Some("big.1.old".to_owned()))));
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
    disk.open(A, "a", OpenMode::Partial, "a.old").unwrap();
    disk.open(B, "b", OpenMode::Partial, "b.old").unwrap();
    disk.write_at(A, 0, b"x").unwrap().unwrap();
    disk.release(A);
    assert_eq!(names(&dir.path().join("root")), ["b.partial"]);
    disk.release_all();
    assert!(names(&dir.path().join("root")).is_empty());
}

#[test]
fn a_file_with_a_hole_is_never_finished() {
    let (dir, mut disk) = folder();
    disk.open(A, "f", OpenMode::Partial, "f.old").unwrap();
    // No file system has such a place.
    let refused = disk.write_at(A, u64::MAX, b"x").unwrap().unwrap_err();
    assert_eq!(disk.write_at(A, 0, b"x"), Some(Ok(())));
    assert_eq!(disk.finish(A), Some(Err(refused)));
    disk.release(A);
    assert!(names(&dir.path().join("root")).is_empty());
}

#[test]
fn a_file_that_is_being_written_is_not_moved_away() {
    let (dir, mut disk) = folder();
    let mut other = Disk::new(&dir.path().join("root"));
    disk.open(A, "f", OpenMode::Named, "f.old").unwrap();
    assert_eq!(other.open(A, "f", OpenMode::Named, "f.old"), Err(ErrorKind::ResourceBusy));
    disk.release(A);
    assert_eq!(other.open(A, "f", OpenMode::Named, "f.old"), Ok(Some("f.old".to_owned())));
}

#[test]
fn two_do_not_write_the_same_partial() {
    let (dir, mut disk) = folder();
    let mut other = Disk::new(&dir.path().join("root"));
    disk.open(A, "a", OpenMode::Partial, "a.old").unwrap();
    disk.write_at(A, 0, b"mine").unwrap().unwrap();
    assert_eq!(other.open(A, "a", OpenMode::Partial, "a.old"), Err(ErrorKind::ResourceBusy));
    disk.finish(A).unwrap().unwrap();
    assert_eq!(other.open(B, "a", OpenMode::Partial, "a.old"), Ok(None));
    other.release_all();
    assert_eq!(fs::read(dir.path().join("root/a")).unwrap(), b"mine");
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
    assert_eq!(disk.open(A, "link", OpenMode::Named, "old"), Err(ErrorKind::AlreadyExists));
    assert!(disk.open(A, "part", OpenMode::Partial, "old").is_err());
    for bad in ["../secret", "/etc/hostname", ""] {
        for mode in [OpenMode::Named, OpenMode::Partial] {
            assert_eq!(disk.open(A, bad, mode, "old"), Err(ErrorKind::InvalidInput));
            assert_eq!(disk.open(A, "x", mode, bad), Err(ErrorKind::InvalidInput));
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
    assert_eq!(disk.open(A, "pipe", OpenMode::Partial, "old"), Err(ErrorKind::AlreadyExists));
    assert_eq!(disk.open(A, "folder", OpenMode::Named, "old"), Err(ErrorKind::AlreadyExists));
    assert!(disk.open(A, "folder/file", OpenMode::Named, "old").is_ok());
    assert!(disk.open(B, "folder/file/below", OpenMode::Named, "old").is_err());
}

#[test]
fn a_file_that_is_not_open_is_nothing() {
    let (_dir, mut disk) = folder();
    assert_eq!(disk.append(A, b"x"), None);
    assert_eq!(disk.write_at(A, 0, b"x"), None);
    assert_eq!(disk.finish(A), None);
    assert!(disk.handle(A).is_none());
    disk.release(A);
}

#[test]
fn a_finish_that_fails_puts_the_old_file_back() {
    let (dir, mut disk) = folder();
    let root = dir.path().join("root");
    disk.open(A, "a", OpenMode::Partial, "a.old").unwrap();
    fs::write(root.join("a"), "older").unwrap();
    fs::remove_file(root.join("a.partial")).unwrap();
    assert_eq!(disk.finish(A), Some(Err(ErrorKind::NotFound)));
    assert_eq!(fs::read(root.join("a")).unwrap(), b"older");
    assert_eq!(names(&root), ["a"]);
}

#[test]
fn big_files_are_written_back_as_they_grow() {
    let (dir, mut disk) = folder();
    disk.open(A, "a", OpenMode::Partial, "a.old").unwrap();
    let chunk = vec![7; 300 << 10];
    for number in 0..10 {
        disk.write_at(A, number * chunk.len() as u64, &chunk).unwrap().unwrap();
    }
    assert!(disk.files[&A].unstarted_bytes < WRITEBACK_BYTES);
    disk.finish(A).unwrap().unwrap();
    assert_eq!(fs::metadata(dir.path().join("root/a")).unwrap().len(), 10 * chunk.len() as u64);
}
