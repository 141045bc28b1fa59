//! Partials that are gone on with, files that are only read, and what is hashed of them.

use std::os::unix::fs::MetadataExt;

use super::*;
use crate::io::room::reserve;

#[test]
fn what_a_resumed_partial_holds_is_kept() {
    let (dir, mut disk) = folder();
    let root = dir.path().join("root");
    assert_eq!(disk.open(A, "a", OpenMode::Resume { bytes: 9, reserve: false }, "a.old"), Ok((0, None)));
    disk.write_at(A, 2, b"cd").unwrap().unwrap();
    let mut other = Disk::new(&root);
    for mode in [OpenMode::Resume { bytes: 9, reserve: false }, OpenMode::Partial] {
        assert_eq!(other.open(A, "a", mode, "a.old"), Err(ErrorKind::ResourceBusy));
    }
    disk.release(A);
    assert_eq!(names(&root), ["a.partial"]);
    fs::write(root.join("a"), "older").unwrap();
    assert_eq!(other.open(A, "a", OpenMode::Resume { bytes: 9, reserve: false }, "a.old"), Ok((4, None)));
    other.write_at(A, 0, b"ab").unwrap().unwrap();
    assert_eq!(other.append(A, b"ef"), Some(Ok(())));
    assert_eq!(finish(&mut other, A), Some(Ok(Some("a.old".to_owned()))));
    other.release(A);
    assert_eq!(names(&root), ["a", "a.old"]);
    assert_eq!(fs::read(root.join("a")).unwrap(), b"abcdef");
    // Nothing is no part of a file.
    fs::write(root.join("b.partial"), "").unwrap();
    for reserve in [false, true] {
        let mode = OpenMode::Resume { bytes: 9, reserve };
        assert_eq!(disk.open(B, "b", mode, "b.old"), Ok((0, None)));
        disk.release(B);
        assert_eq!(names(&root), ["a", "a.old"]);
    }
    assert_eq!(disk.take_nameless().len(), 2);
    // One that is opened to begin anew is deleted as ever.
    fs::write(root.join("b.partial"), "left").unwrap();
    assert_eq!(disk.open(B, "b", OpenMode::Partial, "b.old"), Ok((0, None)));
    disk.release(B);
    assert_eq!(names(&root), ["a", "a.old"]);
}

#[test]
fn room_that_was_set_aside_is_given_back_with_an_unfinished_file() {
    let (dir, mut disk) = folder();
    let mode = |bytes, reserve| OpenMode::Resume { bytes, reserve };
    for (file, mode, expected) in [
        (A, mode(RESERVE_BYTES_MIN, true), true),
        (B, mode(RESERVE_BYTES_MIN - 1, true), false),
        (FileId(7), mode(RESERVE_BYTES_MIN, false), false),
        (FileId(8), OpenMode::Partial, false),
    ] {
        open(&mut disk, file, &file.0.to_string(), mode, "old").unwrap();
        assert_eq!(disk.to_reserve(file, mode).is_some(), expected, "{mode:?}");
    }
    disk.write_at(A, 0, b"here").unwrap().unwrap();
    // Some file systems cannot.
    let _ = reserve(&disk.handle(A).unwrap(), RESERVE_BYTES_MIN);
    disk.release(A);
    let path = dir.path().join("root").join(format!("{}.partial", A.0));
    assert!(fs::metadata(&path).unwrap().blocks() * 512 < RESERVE_BYTES_MIN);
    assert_eq!(fs::read(path).unwrap(), b"here");
}

#[test]
fn a_file_that_is_there_is_only_read() {
    let (dir, mut disk) = folder();
    let root = dir.path().join("root");
    fs::create_dir_all(root.join("sub/deep")).unwrap();
    fs::write(root.join("sub/deep/f"), "12345").unwrap();
    assert_eq!(disk.open(A, "sub/deep/f", OpenMode::Existing, ""), Ok((5, None)));
    assert_eq!(disk.append(A, b"x"), Some(Err(ErrorKind::PermissionDenied)));
    assert_eq!(disk.write_at(A, 9, b"x"), Some(Err(ErrorKind::PermissionDenied)));
    assert_eq!(finish(&mut disk, A), Some(Ok(None)));
    // Several may, and somebody may write to it, too.
    assert_eq!(disk.open(B, "sub/deep/f", OpenMode::Existing, ""), Ok((5, None)));
    fs::write(root.join("sub/deep/f"), "123456").unwrap();
    let mut read = [0; 6];
    disk.handle(B).unwrap().read_exact_at(&mut read, 0).unwrap();
    assert_eq!(&read, b"123456");
    disk.release_all();
    assert_eq!(fs::read(root.join("sub/deep/f")).unwrap(), b"123456");
}

#[test]
fn only_plain_files_below_the_folder_are_opened() {
    let (dir, mut disk) = folder();
    let root = dir.path().join("root");
    fs::create_dir_all(root.join("folder")).unwrap();
    fs::write(root.join("folder/f"), "f").unwrap();
    nix::unistd::mkfifo(&root.join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
    for (link, to) in [("to_file", "folder/f"), ("to_folder", "folder"), ("to_nothing", "nothing")] {
        std::os::unix::fs::symlink(to, root.join(link)).unwrap();
    }
    std::os::unix::fs::symlink("/dev/null", root.join("device")).unwrap();
    for (name, expected) in [
        ("nothing", ErrorKind::NotFound),
        ("no/thing", ErrorKind::NotFound),
        ("folder", ErrorKind::IsADirectory),
        ("folder/f/below", ErrorKind::NotADirectory),
        ("pipe", ErrorKind::Unsupported),
        ("socket", ErrorKind::Unsupported),
        ("to_file", ErrorKind::InvalidInput),
        ("to_folder", ErrorKind::InvalidInput),
        ("to_folder/f", ErrorKind::InvalidInput),
        ("to_nothing", ErrorKind::InvalidInput),
        ("device", ErrorKind::InvalidInput),
        ("folder/../folder/f", ErrorKind::InvalidInput),
        ("/etc/hostname", ErrorKind::InvalidInput),
    ] {
        assert_eq!(disk.open(A, name, OpenMode::Existing, ""), Err(expected), "{name}");
    }
    // The folder itself is the user's choice.
    std::os::unix::fs::symlink(&root, dir.path().join("link")).unwrap();
    let mut linked = Disk::new(&dir.path().join("link"));
    assert_eq!(linked.open(A, "folder/f", OpenMode::Existing, ""), Ok((1, None)));
}

#[test]
fn hashes_and_reads_of_one_machine_are_bounded() {
    let (_dir, mut disk) = folder();
    open(&mut disk, A, "a", OpenMode::Partial, "a.old").unwrap();
    open(&mut disk, B, "b", OpenMode::Partial, "b.old").unwrap();
    for _ in 0..DISK_JOBS_MAX {
        assert!(matches!(disk.begin_read(A), Some(Ok(_))));
    }
    assert_eq!(disk.begin_read(B).map(|begun| begun.err()), Some(Some(ErrorKind::ResourceBusy)));
    assert!(disk.end_read(A));
    assert!(matches!(disk.begin_read(B), Some(Ok(_))));
    assert!(disk.release(A), "some are under way");
    assert!(disk.begin_read(A).is_none());
    for _ in 1..DISK_JOBS_MAX {
        assert!(!disk.end_read(A), "nobody waits any more");
    }
    assert_eq!(disk.release_all(), [B]);
    assert!(!disk.end_read(B));
    assert_eq!(disk.reads, 0);
}
