//! Files.

use std::fs;

use nix::sys::signal::Signal;

use crate::Party;
use crate::common::{line, run, start, text, wait_for};

/// `register`.
pub fn offer(party: &mut Party) {
    let Party { evening, alice, bob, carol, .. } = party;
    carol.says("searchFile film.bin", "searchFile: Not available");
    carol.tries(&[
        ("searchChunk film.bin 1", "searchChunk: nobody shares film.bin in lab"),
        ("download film.bin", "download: nobody shares film.bin in lab"),
    ]);
    let (film, other) = (vec![7; 300_000], vec![8; 300_000]);
    for (user, name, bytes) in
        [("alice", "film.bin", &film), ("alice", "only.bin", &other), ("bob", "film.bin", &other)]
    {
        fs::write(evening.files(user).join(name), bytes).unwrap();
    }
    fs::create_dir(evening.files("alice").join("folder")).unwrap();
    alice.press("register fi\t3\r");
    alice.hears("register: film.bin 1");
    alice.tries(&[
        ("register film.bin 3", "register: film.bin 1"),
        ("register only.bin", "register: only.bin 1"),
        ("register nothing.bin", "register: cannot be offered: the file or its folder is gone"),
        ("register folder", "register: cannot be offered: "),
        ("register film.bin 9000", "register: cannot be offered: a file has at most 8192 chunks"),
        (
            "register only.bin 8000",
            "register: cannot be offered: 300000 bytes cannot be cut into 8000 chunks",
        ),
        ("register film.bin 0", "register: chunks count from 1"),
        ("register film.bin many", "register: chunks count from 1"),
        ("register ../film.bin", "register: a name has only letters"),
        ("register x.partial", "register: "),
        ("register film.bin 3 3", "register: too many arguments"),
        ("register", "register: the name of a file is missing"),
        ("register film.bin 3", "register: film.bin 1"),
        ("register only.bin 2", "register: only.bin 1"),
    ]);
    bob.tries(&[(
        "register film.bin 3",
        "register: another file is called film.bin already; alice holds it; the same content in other chunks counts as \
            another file (searchFile says how many that one has)",
    )]);
    fs::write(evening.files("bob").join("film.bin"), &film).unwrap();
    bob.tries(&[("register film.bin 3", "register: film.bin 2")]);
}

/// `searchFile`, `searchChunk`, `download`, and a block for files.
pub fn find_and_get(party: &mut Party) {
    let Party { evening, alice, bob, carol, dave } = party;
    let film = vec![7; 300_000];
    carol.tries(&[
        ("searchFile film.bin", "searchFile: Available"),
        ("searchChunk film.bin 1 3", "searchChunk: Available"),
        ("searchChunk film.bin 9", "searchChunk: film.bin has 3 chunks, and they count from 1"),
        ("searchChunk film.bin 0", "searchChunk: film.bin has 3 chunks, and they count from 1"),
        ("searchChunk film.bin x", "searchChunk: "),
        ("searchChunk film.bin", "searchChunk: "),
        ("searchFile ../film.bin", "searchFile: "),
        ("searchFile", "searchFile: "),
        ("download film.bin 9", "download: film.bin has 3 chunks, no chunk 9"),
        ("download film.bin 2", "download: film.bin"),
        ("download film.bin 9", "download: film.bin has no chunk 9"),
        ("download film.bin 0", "download: chunks count from 1"),
        ("download ../film.bin", "download: a name has only letters"),
        ("download nothing.bin", "download: nobody shares nothing.bin in lab"),
        ("download film.bin 1 2", "download: too many arguments"),
        ("download", "download: the name of a file is missing"),
    ]);
    carol.hears("film.bin: 1 of 3 chunks are here");
    ["  alice has 3 of 3", "  bob has 3 of 3"].iter().for_each(|item| carol.hears(item));
    assert!(evening.files("carol").join("film.bin.partial").exists());
    carol.says("download film.bin", "download: film.bin");
    carol.hears("film.bin (300.0 kB) is here");
    assert!(fs::read(evening.files("carol").join("film.bin")).unwrap() == film);
    dave.tries(&[("searchChunk film.bin 9", "ERR "), ("searchFile nothing.bin", "")]);

    // A block is one for files too: here and there.
    for holder in [&mut *alice, &mut *bob] {
        holder.says("block carol", "block: carol");
    }
    carol.says("searchFile only.bin", "searchFile: Not available");
    carol.says("searchFile film.bin", "searchFile: Available");
    carol.hears("  carol has 3 of 3");
    for holder in [alice, bob] {
        holder.says("unblock carol", "unblock: carol");
    }
}

/// A download whose only holder is killed midway ends when another one comes.
pub fn lose_a_holder(party: &mut Party) {
    let Party { evening, alice, carol, .. } = party;
    let (folder, server) = (evening.dir.path(), evening.server.addr);
    let mut long = vec![0; 2_000_000];
    blake3::Hasher::new().update(b"long").finalize_xof().fill(&mut long);
    for place in [folder.join("long.bin"), evening.files("alice").join("long.bin")] {
        fs::write(place, &long).unwrap();
    }
    let share = format!("share long.bin --chunks 20 --upload-limit 100kB/s --id slow --server {server}");
    let mut share = start(folder, &share);
    line(&mut share);
    carol.says("download long.bin", "download: long.bin");
    carol.tries(&[
        ("download long.bin", "download: that file is being downloaded already"),
        ("register long.bin", "register: that file is being downloaded or looked at"),
    ]);
    wait_for("some chunks", || {
        let found = run(folder, &format!("find long.bin --server {server}"));
        text(&found.stdout).contains("carol has ").then_some(())
    });
    share.signal(Signal::SIGKILL);
    drop(share);
    carol.says("searchChunk long.bin 20", "searchChunk: Not available");
    carol.heard_nothing_of("long.bin (2.0 MB)");
    alice.tries(&[("register long.bin 20", "register: long.bin ")]);
    carol.hears("long.bin (2.0 MB) is here");
    assert!(fs::read(evening.files("carol").join("long.bin")).unwrap() == long);
}
