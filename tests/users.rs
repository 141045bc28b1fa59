//! `tickmesh user`, as an operator and a script use it; at a terminal too.

mod common;

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Output, Stdio};

use common::{piped, run, text, tickmesh};
use nix::pty::openpty;
use nix::sys::termios::{self, LocalFlags};
use tickmesh::io::Store;
use tickmesh::proto::machine::{Change, Load, Login, Row};
use tickmesh::proto::time::Wall;

fn said(output: &Output) -> (Option<i32>, String, String) {
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn list(folder: &Path) -> String {
    let output = run(folder, "user list --state state");
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

/// All that is on disk.
fn stored(folder: &Path) -> String {
    let files = fs::read_dir(folder.join("state")).unwrap();
    files.map(|file| text(&fs::read(file.unwrap().path()).unwrap())).collect()
}

/// What is kept in place of a password.
fn verifier(folder: &Path, of: &str) -> String {
    let mut found = String::new();
    let store = Store::open(&folder.join("state")).unwrap();
    let told = |row: Row<'_>| match row {
        Row::Account { name, verifier, .. } if name.as_str() == of => found = verifier.into_owned(),
        _ => {}
    };
    store.load(Load::Book, told).unwrap();
    found
}

#[test]
fn the_operator_sees_who_has_logged_in_and_who_has_tried() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for user in ["alice", "bob"] {
        assert!(piped(folder, &format!("user add {user} --state state"), b"secret").status.success());
    }
    let mut store = Store::open(&folder.join("state")).unwrap();
    let (alice, from) = ("alice".parse().unwrap(), "10.0.0.7".parse().unwrap());
    let second = 1_000_000_000;
    for (at, is_refused) in [(1, false), (2, true), (3, false)] {
        let login = Login { at: Wall(at * 60 * second), from, is_refused };
        store.apply(&[Change::PutLogin { name: alice, login }]).unwrap();
    }
    let said = |args: &str| String::from_utf8(run(folder, args).stdout).unwrap();
    assert_eq!(said("user list --state state"), "alice  1970-01-01 00:03:00 UTC  10.0.0.7\nbob\n");
    let expected = "1970-01-01 00:03:00 UTC  10.0.0.7\n1970-01-01 00:02:00 UTC  10.0.0.7  wrong password\n\
                    1970-01-01 00:01:00 UTC  10.0.0.7\n";
    assert_eq!(said("user list alice --state state"), expected);
    assert_eq!(said("user list bob --state state"), "");
    assert_eq!(run(folder, "user list eve --state state").status.code(), Some(1));
}

#[test]
fn accounts_are_made_changed_listed_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for args in ["user list", "user passwd bob", "user remove bob"] {
        let (code, out, err) = said(&piped(folder, &format!("{args} --state state"), b"secret"));
        assert_eq!((code, out.as_str()), (Some(1), ""), "{err}");
        assert!(err.contains("there are no accounts in state; 'user add' makes the first one"), "{err}");
        assert!(!folder.join("state").exists(), "nothing is made by looking");
    }
    let done =
        |output: Output, line: &str| assert_eq!(said(&output), (Some(0), format!("{line}\n"), String::new()));
    done(piped(folder, "user add bob --state state", b"secret\n"), "bob added");
    fs::write(folder.join("password"), "another secret\r\nmore\n").unwrap();
    done(run(folder, "user add alice --state state --password-file password"), "alice added");
    assert_eq!(list(folder), "alice\nbob\n");
    let before = stored(folder);
    done(piped(folder, "user passwd bob --state state", b"newer"), "bob has a new password");
    assert_ne!(stored(folder), before);
    assert!(!stored(folder).contains("secret") && !stored(folder).contains("newer"));
    done(run(folder, "user remove alice --state state"), "alice removed");
    assert_eq!(list(folder), "bob\n");
    let mode = fs::metadata(folder.join("state")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700, "the folder is for its owner only");
    for file in fs::read_dir(folder.join("state")).unwrap() {
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o077, 0, "{file:?}");
    }
}

#[test]
fn without_a_folder_the_environment_says_where() {
    let folder = tempfile::tempdir().unwrap();
    let add = |home: &str| {
        let mut command = tickmesh(folder.path(), "user add bob --password-file password");
        command.env("HOME", home).env_remove("XDG_STATE_HOME").output().unwrap()
    };
    fs::write(folder.path().join("password"), "secret").unwrap();
    assert!(add(folder.path().to_str().unwrap()).status.success());
    assert!(folder.path().join(".local/state/tickmesh").is_dir());
    let (code, _, err) = said(&add(""));
    assert!(code == Some(2) && err.contains("give --state DIR"), "{err}");
}

#[test]
fn what_cannot_be_done_is_said_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    assert!(piped(folder, "user add bob --state state", b"secret").status.success());
    let before = stored(folder);
    fs::write(folder.join("binary"), b"\xff\n").unwrap();
    fs::write(folder.join("empty"), b"\nsecret").unwrap();
    for (args, input, expected) in [
        ("user add bob", "secret", "there is a user bob already; 'user passwd' gives a new password"),
        ("user add B0b", "secret", "B0b: the name is too much like 'bob', which there is already"),
        ("user passwd eve", "secret", "there is no user eve"),
        ("user remove eve", "", "there is no user eve"),
        ("user remove Bob", "", "there is no user Bob"),
        ("user add eve", "", "standard input: a password cannot be empty"),
        ("user add eve", "\n", "a password cannot be empty"),
        ("user add eve", "a\u{7}b\n", "a password has no control characters"),
        ("user add eve", &"x".repeat(1 << 20), "a password has at most 256 bytes"),
        ("user add eve --password-file missing", "", "missing: No such file"),
        ("user add eve --password-file binary", "", "binary: a password is UTF-8 text"),
        ("user add eve --password-file empty", "", "empty: a password cannot be empty"),
        ("user import missing", "", "missing: nothing is imported: No such file"),
    ] {
        let output = piped(folder, &format!("{args} --state state"), input.as_bytes());
        let (code, out, err) = said(&output);
        assert!(code == Some(1) && out.is_empty() && err.contains(expected), "{args}: {code:?} {out} {err}");
        assert_eq!(stored(folder), before, "{args}");
    }
    fs::write(folder.join("a_file"), "").unwrap();
    let output = piped(folder, "user add eve --state a_file/state", b"secret");
    assert!(output.status.code() == Some(1) && text(&output.stderr).contains("--state"), "{output:?}");
}

#[test]
fn a_file_is_imported_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    assert!(piped(folder, "user add hans --state state", b"secret").status.success());
    let import = || said(&run(folder, "user import credentials.txt --state state"));
    fs::write(folder.join("credentials.txt"), "yoda wise@!man\nHans x\nvader sith**lord z\n").unwrap();
    let (code, _, err) = import();
    let lines = "credentials.txt: nothing is imported: \
                 line 2: the name is too much like 'hans', which there is already\nline 3: there is more";
    assert!(code == Some(1) && err.contains(lines), "{err}");
    let (code, ..) = said(&run(folder, "user import credentials.txt --state new"));
    assert!(code == Some(1) && !folder.join("new").exists(), "nothing is left of what failed");
    fs::write(folder.join("credentials.txt"), "yoda wise@!man\nHans x\n").unwrap();
    let (code, _, err) = import();
    assert!(code == Some(1) && err.contains("line 2: the name is too much like 'hans'"), "{err}");
    assert_eq!(list(folder), "hans\n");
    fs::write(folder.join("credentials.txt"), "yoda wise@!man\r\nhans x\r\n\r\nvader sith**lord\r\n")
        .unwrap();
    let before = verifier(folder, "hans");
    assert_eq!(
        import(),
        (Some(0), "2 accounts added, 1 there already and as before\n".to_owned(), String::new())
    );
    assert_eq!(list(folder), "hans\nvader\nyoda\n");
    assert_eq!(verifier(folder, "hans"), before, "who was there keeps the password");
    assert!(!stored(folder).contains("sith"));
}

/// Runs `user add` at a terminal: waits for each prompt, then types. Returns what the terminal showed.
fn at_a_terminal(folder: &Path, answers: &[(&str, &[u8])]) -> (Option<i32>, String, String) {
    let pty = openpty(None, None).unwrap();
    let mut screen = File::from(pty.master);
    let before = termios::tcgetattr(&screen).unwrap();
    assert!(before.local_flags.contains(LocalFlags::ECHO));
    let mut command = tickmesh(folder, "user add alice --state state");
    let stderr = pty.slave.try_clone().unwrap();
    let child = command.stdin(pty.slave).stderr(stderr).stdout(Stdio::piped()).spawn().unwrap();
    // The child alone has the terminal now, so that its end ends our reading.
    drop(command);
    let mut shown = String::new();
    for (prompt, answer) in answers {
        let mut byte = [0; 1];
        while !shown.ends_with(prompt) {
            screen.read_exact(&mut byte).unwrap();
            shown.push(char::from(byte[0]));
        }
        screen.write_all(answer).unwrap();
    }
    let output = child.wait_with_output().unwrap();
    let after = termios::tcgetattr(&screen).unwrap();
    assert_eq!(after.local_flags, before.local_flags, "the terminal is as it was");
    let mut rest = Vec::new();
    // The end of a terminal is an error on Linux.
    let _ = screen.read_to_end(&mut rest);
    (output.status.code(), text(&output.stdout), shown + &text(&rest))
}

#[test]
fn a_password_is_typed_twice_and_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (first, second) = ("Password for alice: ", "The same again: ");
    let (code, out, shown) = at_a_terminal(folder, &[(first, b"secret\r"), (second, b"Secret\r")]);
    assert!(code == Some(1) && shown.contains("the two passwords differ"), "{out} {shown}");
    let (code, out, shown) = at_a_terminal(folder, &[(first, b"secret\x03")]);
    assert!(code == Some(1) && shown.contains("stopped; nothing is changed"), "{out} {shown}");
    let (code, out, shown) = at_a_terminal(folder, &[(first, b"\r")]);
    assert!(code == Some(1) && shown.contains("a password cannot be empty"), "{out} {shown}");
    assert_eq!(list(folder), "");
    let (code, out, shown) = at_a_terminal(folder, &[(first, b"secrex\x7ft\r"), (second, b"secret\r")]);
    assert_eq!((code, &*out), (Some(0), "alice added\n"), "{shown}");
    assert!(!shown.to_lowercase().contains("sec"), "{shown}");
    assert_eq!(list(folder), "alice\n");
}

#[test]
fn a_database_that_is_none_is_named_with_its_fault_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let path = folder.join("state/tickmesh.db");
    for user in ["alice", "bob"] {
        assert!(piped(folder, &format!("user add {user} --state state"), b"secret").status.success());
    }
    let good = fs::read(&path).unwrap();
    let newer = || {
        let db = rusqlite::Connection::open(&path).unwrap();
        db.execute_batch("PRAGMA user_version = 99").unwrap();
    };
    let cut = |bytes: usize| fs::write(&path, &good[..bytes]).unwrap();
    let faults: [(&dyn Fn(), &str); 3] = [
        (&newer, "use the newer program that wrote it"),
        (
            &|| fs::write(&path, "something else, and longer than a header would be ".repeat(9)).unwrap(),
            "is no database of this program",
        ),
        (&|| cut(5000), "malformed"),
    ];
    for (damage, expected) in faults {
        for wal in ["-wal", "-shm"] {
            let _ = fs::remove_file(folder.join(format!("state/tickmesh.db{wal}")));
        }
        fs::write(&path, &good).unwrap();
        damage();
        let before = fs::read(&path).unwrap();
        let (code, _, error) = said(&run(folder, "user list --state state"));
        assert!(code == Some(1) && error.contains(expected), "{expected}: {error}");
        let (code, _, error) = said(&piped(folder, "user add eve --state state", b"secret"));
        assert!(code == Some(1) && error.contains(expected), "{expected}: {error}");
        assert!(fs::read(&path).unwrap() == before, "{expected}");
        if expected != "malformed" {
            let (code, _, error) = said(&run(folder, "server --listen 127.0.0.1:0 --state state"));
            assert!(code == Some(1) && error.contains(expected), "{expected}: {error}");
        }
    }
}
