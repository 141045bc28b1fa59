//! What a disk keeps, renames and loses.

use super::*;
use crate::sim::Rng;

#[test]
fn room_is_taken_and_given_back() {
    let mut disk = Disk::default();
    disk.set_room(Some(10));
    let inode = disk.create("a");
    assert_eq!(disk.append(inode, b"12345678"), Ok(()));
    assert_eq!(disk.append(inode, b"123"), Err(ErrorKind::StorageFull));
    assert_eq!(disk.write_at(inode, 6, b"abcd"), Ok(()));
    assert_eq!(disk.write_at(inode, 10, b"x"), Err(ErrorKind::StorageFull));
    assert_eq!(disk.read("a"), Some(&b"123456abcd"[..]));
    disk.remove("a");
    let inode = disk.create("b");
    assert_eq!(disk.append(inode, b"0123456789"), Ok(()));
}

#[test]
fn damage_changes_no_length() {
    let mut disk = Disk::default();
    disk.write("a", b"12345");
    disk.damage("a", 3, b"xyz");
    disk.damage("a", 9, b"x");
    disk.damage("b", 0, b"x");
    assert_eq!((disk.read("a"), disk.len("b")), (Some(&b"123xy"[..]), None));
}

#[test]
fn names_aside_count_up() {
    let mut disk = Disk::default();
    disk.write("a.old", b"1");
    disk.write("a.1.old", b"2");
    disk.write("a", b"3");
    assert_eq!(disk.move_aside("a", "a.old").unwrap().as_deref(), Some("a.2.old"));
    assert_eq!(disk.move_aside("a", "a.old"), Ok(None));
    assert_eq!(disk.paths().collect::<Vec<_>>(), ["a.1.old", "a.2.old", "a.old"]);
}

#[test]
fn a_folder_is_set_aside_with_all_that_is_in_it() {
    let mut disk = Disk::default();
    assert_eq!(disk.set_aside("a", "old"), Ok(None));
    for (round, expected) in ["old", "old.1", "old.2"].into_iter().enumerate() {
        disk.write("a/x", b"1");
        disk.write("a/y/z", b"2");
        disk.write("ab", b"3");
        if round == 1 {
            disk.remove("a/x");
            disk.remove("a/y/z");
            disk.write("a", b"4");
        }
        assert_eq!(disk.set_aside("a", "old").unwrap().as_deref(), Some(expected));
    }
    let names = ["ab", "old.1", "old.2/x", "old.2/y/z", "old/x", "old/y/z"];
    assert_eq!(disk.paths().collect::<Vec<_>>(), names);
    assert_eq!(disk.read("old.1"), Some(&b"4"[..]));
}

#[test]
fn digests_are_the_same_with_and_without_contents() {
    let mut disk = Disk::default();
    let kept = disk.create("kept");
    disk.append(kept, b"foobar").unwrap();
    disk.keep_contents(false);
    let digest = disk.create("digest");
    disk.append(digest, b"foo").unwrap();
    disk.append(digest, b"bar").unwrap();
    assert_eq!(disk.digest("kept"), Some(blake3::hash(b"foobar")));
    assert_eq!(disk.digest("digest"), disk.digest("kept"));
    assert_eq!(disk.len("digest"), Some(6));
    assert_eq!(disk.read("digest"), None);
}

#[test]
fn a_power_loss_spares_what_was_synced() {
    let mut lengths = Vec::new();
    for seed in 0..50 {
        let mut disk = Disk::default();
        let inode = disk.create("a");
        disk.append(inode, b"safe").unwrap();
        disk.sync(inode);
        disk.append(inode, b"unsafe").unwrap();
        let partial = disk.create("b.partial");
        disk.append(partial, b"x").unwrap();
        disk.lose_power(&mut Rng::new(seed));
        assert!(b"safeunsafe".starts_with(disk.read("a").unwrap()));
        lengths.push((disk.len("a").unwrap(), disk.len("b.partial")));
    }
    assert_eq!(lengths.iter().map(|(len, _)| *len).min(), Some(4));
    assert_eq!(lengths.iter().map(|(len, _)| *len).max(), Some(10));
    for partial in [None, Some(0), Some(1)] {
        assert!(lengths.iter().any(|(_, len)| *len == partial), "{partial:?}");
    }
}
