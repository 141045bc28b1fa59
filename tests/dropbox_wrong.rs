//! What a drop box refuses, what becomes of uploads that end badly, and of a server that cannot take any: the real
//! program, with clients played byte by byte. What works is in `tests/dropbox.rs`.

mod common;

use std::fs;
use std::io::Write as _;
use std::net::{Shutdown, TcpListener};
use std::path::PathBuf;

use common::drop::{DropPlace, Ending, addresses, ending, header};
use common::{finish, run, start, start_command, text, tickmesh, wait_for};
use nix::sys::signal::Signal;

/// Says a header and no more; what it is answered, and whether the end is one.
fn refused(drop: &DropPlace, size: u64, name: &[u8]) -> Ending {
    let (link, answer) = drop.header(size, name);
    assert_eq!(answer, b"", "{:?} was accepted", String::from_utf8_lossy(name));
    ending(link)
}

#[test]
fn headers_that_are_wrong_are_refused_and_the_log_says_why() {
    let drop = DropPlace::new("--upload-file-max 1GB --upload-quota 2GB");
    fs::create_dir(drop.folder().join("folder")).unwrap();
    let long = vec![b'x'; 5000];
    let cases: [(&str, u64, &[u8], &str); 9] = [
        ("a size that no file has", 1 << 63, b"huge", "TooLarge"),
        ("more than a file may have", 1_000_000_001, b"large", "TooLarge"),
        ("5000 bytes", 1, &long, "HeaderTooLong"),
        ("nothing but a folder", 1, b"folder/", "NameEmpty"),
        ("the folder above", 1, b"..", "NameDots"),
        ("the same behind others", 1, b"a/b/..", "NameDots"),
        ("this folder", 1, b".", "NameDots"),
        ("a zero byte", 1, b"a\0b", "NameZero"),
        ("no UTF-8", 1, b"\xff\xfe", "NameNotUtf8"),
    ];
    for (what, size, name, reason) in cases {
        assert_eq!(refused(&drop, size, name), Ending::Orderly, "{what}");
        drop.wait_for_log(&format!("refused why={reason}"));
    }
    // Eight bytes or fewer, and then the end.
    for bytes in [0, 5, 8] {
        let mut link = drop.connect();
        link.write_all(&header(1, b"")[..bytes]).unwrap();
        link.shutdown(Shutdown::Write).unwrap();
        assert_eq!(ending(link), Ending::Orderly);
    }
    drop.wait_for_log("refused why=HeaderCut");
    assert_eq!(drop.files(), (vec!["folder".to_owned()], Vec::new()));
    // A folder has that name: the file gets the next one.
    drop.upload("folder", b"12345");
    assert_eq!(fs::read(drop.folder().join("folder.1")).unwrap(), b"12345");
    // What leads out of the folder does not.
    for (name, kept) in
        [("/etc/passwd", "passwd"), ("../../x", "x"), ("..\\y", "y"), ("C:\\z", "z"), ("C:w", "w")]
    {
        drop.upload(name, name.as_bytes());
        assert_eq!(fs::read(drop.folder().join(kept)).unwrap(), name.as_bytes());
    }
    drop.server.signal(Signal::SIGTERM);
    let output = finish(drop.server);
    assert!(output.status.success());
    let log = fs::read_to_string(drop.dir.path().join("server.log")).unwrap();
    assert!(log.contains("dropbox ended files=6 "), "{log}");
    assert_eq!(common::names(&drop.dir.path().join("out")), ["uploads"]);
}

#[test]
fn the_quota_counts_what_is_there_and_what_is_coming() {
    let drop = DropPlace::new("--upload-quota 10kB");
    drop.upload("first", &[7; 4000]);
    let (link, answer) = drop.header(5000, b"coming");
    assert_eq!(answer, b"go ahead");
    assert_eq!(refused(&drop, 2000, b"too much"), Ending::Orderly);
    drop.wait_for_log("refused why=OverQuota");
    std::mem::drop(link);
    wait_for("the room of what did not come", || drop.files().1.is_empty().then_some(()));
    // An operator empties the folder.
    fs::remove_file(drop.folder().join("first")).unwrap();
    drop.upload("after", &[7; 9000]);
}

#[test]
fn what_ends_badly_leaves_nothing() {
    let drop = DropPlace::new("--upload-timeout 1s");
    // It says too much: the file is what was announced.
    let (mut link, _) = drop.header(5, b"long");
    link.write_all(b"12345and more").unwrap();
    wait_for("the file", || (fs::read(drop.folder().join("long")).ok()? == b"12345").then_some(()));
    // It closes early.
    let (mut link, _) = drop.header(1000, b"short");
    link.write_all(b"12345").unwrap();
    link.shutdown(Shutdown::Write).unwrap();
    assert_eq!(ending(link), Ending::Reset);
    // It ends its half: that is no receipt, and the end that follows is one.
    let (mut link, _) = drop.header(100_000_000, b"half");
    link.write_all(&vec![7; 100_000_000]).unwrap();
    link.shutdown(Shutdown::Write).unwrap();
    assert_eq!(ending(link), Ending::Orderly);
    assert_eq!(fs::metadata(drop.folder().join("half")).unwrap().len(), 100_000_000);
    fs::remove_file(drop.folder().join("half")).unwrap();
    // It stalls.
    let (mut link, _) = drop.header(1000, b"stalled");
    link.write_all(b"12345").unwrap();
    assert_eq!(ending(link), Ending::Reset);
    // It goes ahead by itself.
    let mut link = drop.connect();
    link.write_all(&[header(3, b"early"), vec![0; 10_000]].concat()).unwrap();
    assert_ne!(ending(link), Ending::Never);
    assert_eq!(drop.files(), (vec!["long".to_owned()], Vec::new()));
}

#[test]
fn a_folder_that_is_removed_fails_what_is_coming_and_is_made_anew() {
    let drop = DropPlace::new("");
    let (mut link, answer) = drop.header(1000, b"lost");
    assert_eq!(answer, b"go ahead");
    link.write_all(&[7; 500]).unwrap();
    fs::remove_dir_all(drop.folder()).unwrap();
    link.write_all(&[7; 500]).unwrap();
    assert_eq!(ending(link), Ending::Reset, "its client must not take it for stored");
    drop.upload("again", b"12345");
    assert_eq!(drop.files(), (vec!["again".to_owned()], Vec::new()));
}

/// A disk of 1 MB, if this can be had: in a namespace of its own, as root.
#[test]
fn a_full_disk_refuses_or_fails_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("small");
    fs::create_dir(&folder).unwrap();
    let script = "mount -t tmpfs -o size=1m none small && exec \"$0\" server --listen 127.0.0.1:0 \
        --upload-listen 127.0.0.1:0 --upload-dir small --log-file server.log";
    let mut command = std::process::Command::new("unshare");
    command.args(["--mount", "--", "sh", "-c", script]).arg(tickmesh(dir.path(), "").get_program());
    command.current_dir(dir.path()).env("XDG_STATE_HOME", dir.path().join("state"));
    let Ok(mut server) = start_command(command) else {
        return eprintln!("skipped: there is no unshare");
    };
    let is_up =
        || fs::read_to_string(dir.path().join("server.log")).is_ok_and(|log| log.contains("listening"));
    if !is_up_or_gone(&mut server, is_up) {
        return eprintln!("skipped: no small disk can be mounted here");
    }
    let (mesh, addr) = addresses(&mut server);
    let inside =
        PathBuf::from(format!("/proc/{}/root{}", server.pid(), folder.canonicalize().unwrap().display()));
    let drop = DropPlace { dir, server, mesh, addr };
    assert_eq!(refused(&drop, 2_000_000, b"more than there is"), Ending::Orderly);
    drop.wait_for_log("refused why=DiskFull");
    let (mut link, answer) = drop.header(100_000, b"small");
    assert_eq!(answer, b"go ahead");
    // Somebody else takes the room.
    let _ = fs::write(inside.join("other"), vec![7; 2 << 20]);
    let _ = link.write_all(&[7; 100_000]);
    assert_eq!(ending(link), Ending::Reset);
    assert_eq!(common::names(&inside), ["other"]);
    fs::remove_file(inside.join("other")).unwrap();
    drop.upload("small", &[7; 100_000]);
    assert_eq!(common::names(&inside), ["small"]);
}

fn is_up_or_gone(server: &mut common::Running, is_up: impl Fn() -> bool) -> bool {
    wait_for(
        "a server, or its end",
        || if is_up() { Some(true) } else { server.has_ended().then_some(false) },
    )
}

#[test]
fn a_server_that_can_take_no_uploads_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    for (args, expected) in [
        (
            format!("--upload-listen {addr}"),
            "somebody else is listening there; choose another address with --upload-listen",
        ),
        (
            "--upload-listen 127.0.0.1:0 --upload-dir file".to_owned(),
            "choose another folder with --upload-dir",
        ),
        ("--upload-listen 127.0.0.1:0 --upload-dir out".to_owned(), "is the folder of the table"),
        (
            "--upload-listen 127.0.0.1:0 --upload-dir state/tickmesh".to_owned(),
            "is the folder of the accounts",
        ),
        ("--upload-listen 127.0.0.1:0 --upload-dir .".to_owned(), "holds the folder of the"),
        (
            "--upload-listen 127.0.0.1:0 --out deep/out --upload-dir deep".to_owned(),
            "holds the folder of the table",
        ),
    ] {
        let output = run(dir.path(), &format!("server --listen 127.0.0.1:0 {args}"));
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{args}: {said}");
        assert!(said.contains(expected), "{args}: {said}");
    }
    let output = run(dir.path(), "server --upload-quota 5MB");
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("--upload-quota is of no use without --upload-listen"));
    let server = start(dir.path(), "server --listen 127.0.0.1:0 --upload-listen 127.0.0.1:0 --log-file log");
    wait_for("the drop box", || {
        fs::read_to_string(dir.path().join("log")).ok()?.contains("listening").then_some(())
    });
    server.signal(Signal::SIGTERM);
    assert!(finish(server).status.success());
}
