//! `tickmesh console`, as people and scripts use it: the real program, at terminals and in pipes. Every command with
//! each of its errors is in `tests/evening_at_consoles.rs`, hard cases are in `tests/console_trouble.rs`.

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Output;

use common::party::Evening;
use common::{piped, run, text, wait_for};
use nix::sys::signal::Signal;

#[test]
fn who_is_killed_sees_nothing_twice() {
    let evening = Evening::new("");
    let mut alice = evening.console("alice");
    alice.says("message carol once", "message: kept until the other one is here");
    let mut carol = evening.console("carol");
    carol.hears("alice: once");
    let folder = evening.dir.path().join("state/tickmesh");
    let seen = folder.join(format!("seen_carol@{}", evening.server.addr));
    wait_for("the number", || fs::metadata(&seen).ok().filter(|seen| seen.len() > 0));
    carol.signal(Signal::SIGKILL);
    alice.hears("carol is gone");
    let mut carol = evening.console("carol");
    alice.press("message carol twice\r");
    carol.hears("alice: twice");
    carol.heard_nothing_of("once");
    for file in fs::read_dir(folder).unwrap() {
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o077, 0, "{file:?}");
    }
}

#[test]
fn logins_are_refused_at_a_terminal() {
    let evening = Evening::new("--block-duration 1h --timeout 1s");
    let mut alice = evening.begin("alice");
    for answer in [
        "the name or the password is wrong",
        "the name or the password is wrong",
        "the server refused: too many ",
    ] {
        alice.sees("Password for alice: ");
        alice.press("wrong\r");
        alice.hears_of(&format!("tickmesh: {answer}"));
    }
    assert_eq!(alice.ends(), 1);
    let mut alice = evening.begin("alice");
    alice.press("alices-word\r");
    alice.hears_of("tickmesh: ");
    assert_eq!(alice.ends(), 1);
    let mut bob = evening.console("bob");
    let mut again = evening.begin("bob");
    again.press("bobs-word\r");
    again.hears_of("tickmesh: the server refused: that user is logged in already");
    assert_eq!(again.ends(), 1);
    bob.hears_of("tickmesh: ");
    bob.ends();
}

#[test]
fn scripts_get_lines_and_a_status() {
    let evening = Evening::new("");
    let said = |output: &Output| (output.status.code(), text(&output.stdout), text(&output.stderr));
    fs::write(evening.dir.path().join("password"), "bobs-word\n").unwrap();
    let bob = format!("{} --password-file password", evening.args("bob"));
    let output = evening.script(&bob, "message alice one\r\n\n%alice%two\nwhoelse");
    let (code, out, err) = said(&output);
    assert_eq!(out, "OK login bob 0\nOK message kept\nOK message kept\nOK whoelse 0\n", "{err}");
    assert_eq!(code, Some(0), "{err}");
    let output =
        evening.script(&bob, &format!("whoelse\nmessage nobody hi\n{}\nwhoelse\n", "x".repeat(10_000)));
    let (code, out, _) = said(&output);
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines.len(), 5, "{out}");
    assert!(lines[2].starts_with("ERR unknown-user ") && lines[3].starts_with("ERR line-too-long "), "{out}");
    assert_eq!(code, Some(1));

    fs::write(evening.dir.path().join("password"), "alices-word\n").unwrap();
    let alice = format!("{} --password-file password", evening.args("alice"));
    let output = run(evening.dir.path(), &alice);
    let expected = "OK login alice 2\nMESSAGE bob one\nMESSAGE bob two\n";
    assert_eq!(said(&output), (Some(0), expected.to_owned(), String::new()), "stdin is /dev/null");
    assert_eq!(text(&run(evening.dir.path(), &alice).stdout), "OK login alice 0\n", "shown once");

    let (code, out, err) = said(&evening.script(&alice, "logout\n\nwhoelse\nlogin bob secret\n"));
    assert_eq!((code, out.as_str()), (Some(1), "OK login alice 0\nOK logout\n"));
    assert_eq!(err, "tickmesh: line 3 and what is behind it were not done: the session has ended\n");
    let (code, _, err) = said(&evening.script(&alice, "logout\n\n"));
    assert_eq!((code, err.as_str()), (Some(0), ""));

    let guest = format!("console --server {}", evening.server.addr);
    let (code, out, err) = said(&evening.script(&guest, "whoelse\n"));
    assert!(out.starts_with("OK login guest-"), "{out} {err}");
    assert_eq!(code, Some(0), "{out} {err}");
    let (code, _, err) = said(&evening.script(&format!("{bob} --user bob"), ""));
    assert_eq!(code, Some(2), "{err}");
    let (code, _, err) = said(&evening.script(&evening.args("bob"), ""));
    assert!(code == Some(2) && err.contains("--password-file"), "{err}");
    let (code, out, err) = said(&evening.script(&bob, "whoelse\n"));
    assert!(
        code == Some(1) && out.is_empty() && err.contains("wrong"),
        "the password is another's: {out} {err}"
    );
    let addr = evening.server.addr;
    drop(evening.server);
    let output = piped(evening.dir.path(), &format!("console --server {addr}"), "whoelse\n");
    assert_eq!(output.status.code(), Some(1));
    assert!(!output.stderr.is_empty());
}

#[test]
fn a_line_is_edited_and_kept() {
    let evening = Evening::new("");
    let mut alice = evening.console("alice");
    let mut bob = evening.console("bob");
    alice.hears("bob is here");
    alice.press("mess\tb\tthree\x1b[D\x1b[D\x1b[D\x1b[D\x1b[Done two \r");
    bob.hears("alice: one two three");
    alice.press("half a li");
    alice.sees("alice> half a li");
    bob.says("message alice does it stay?", "message: delivered");
    alice.hears("bob: does it stay?");
    alice.sees("alice> half a li");
    alice.press("\x03");
    alice.sees("alice> ");
    alice.press("\x03");
    alice.hears("Ctrl-D or logout leaves");
    alice.press("\x1b[200~%bob%first\n%bob%second\n\x1b[201~");
    alice.sees("%bob%first↵%bob%second");
    bob.heard_nothing_of("first");
    alice.press("\r");
    bob.hears("alice: first");
    bob.hears("alice: second");
    alice.says("login alice alices-word", "no such command; help lists them");
    alice.press("\x04");
    assert_eq!(alice.ends(), 0);
    let history = fs::read_to_string(evening.dir.path().join("state/tickmesh/history")).unwrap();
    assert!(history.contains("message bob one two three\n") && !history.contains("word"), "{history}");
    let mut alice = evening.console("alice");
    alice.press("\x1b[A\x1b[A");
    alice.sees("alice> message bob one two three");
    alice.resize(26);
    alice.sees("two three");
    alice.resize(80);
    alice.sees("alice> message bob one two three");
    alice.signal(Signal::SIGTERM);
    alice.ends();
}
