//! `tickmesh console` where something is wrong: with what is typed, the terminal, the files, or the server.

mod common;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Output, Stdio};

use common::party::Evening;
use common::screen::Screen;
use common::{piped, run, text, tickmesh, wait_for};
use nix::sys::signal::Signal;

/// A password in a file, and the arguments of a user who has it there.
fn args(evening: &Evening, user: &str) -> String {
    let file = evening.dir.path().join(format!("{user}.password"));
    fs::write(&file, format!("{user}s-word\n")).unwrap();
    format!("{} --password-file {}", evening.args(user), file.display())
}

fn assert_fails(output: &Output, code: i32, expected: &str) {
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.contains(expected) && output.stdout.is_empty(), "{said}");
}

#[test]
fn what_is_no_line_is_refused_and_nothing_else() {
    let evening = Evening::new("");
    let mut alice = evening.console("alice");
    alice.press(&format!("message bob {}\r", "x".repeat(5000)));
    alice.hears("a line has at most 4096 bytes");
    alice.press_bytes(b"\xff\xfewhoelse\xc3\xa4\x7f\r");
    alice.hears_of("whoelse: nobody else");
    // More than anybody pastes: none of it is taken.
    alice.press(&format!("\x1b[200~{}\x1b[201~whoelse\r", "whoelse\n".repeat(3000)));
    alice.hears("whoelse: nobody else");
    alice.heard_nothing_of("whoelse: nobody else");
    let long = "x".repeat(1_000_000);
    let output = piped(
        evening.dir.path(),
        &args(&evening, "bob"),
        [
            b"whoelse\n\xff\xfe\nmessage alice \x1b[2J\n",
            long.as_bytes(),
            b"\nwhoelse\nmessage alice \xc3\xa4",
        ]
        .concat(),
    );
    let said = text(&output.stdout);
    let starts = ["OK login bob 0", "* USER alice", "OK whoelse 1", "ERR bad-text ", "ERR bad-text "];
    let more = ["ERR line-too-long ", "* USER alice", "OK whoelse 1", "OK message delivered"];
    assert_eq!(said.lines().count(), 9, "{said}");
    for (line, start) in said.lines().zip(starts.iter().chain(&more)) {
        assert!(line.starts_with(start), "{line} and not {start}");
    }
    assert_eq!(output.status.code(), Some(1));
    alice.hears("bob: ä");
}

#[test]
fn a_terminal_that_is_gone_is_the_end() {
    let evening = Evening::new("");
    let mut alice = evening.console("alice");
    alice.press("half a li");
    alice.sees("half a li");
    alice.signal(Signal::SIGHUP);
    assert_eq!(alice.ends(), 0, "the terminal is as it was");
    let mut alice = evening.begin("alice");
    alice.signal(Signal::SIGTERM);
    alice.hears_of("tickmesh: stopped");
    assert_eq!(alice.ends(), 1, "it is also when the password was to be typed");
    let mut alice = evening.console("alice");
    let mut bob = evening.console("bob");
    assert_eq!(alice.hang_up(), Some(0));
    bob.hears("alice is gone");
}

/// A terminal that is not looked at takes some and then nothing: no message that it did not take is lost.
#[test]
fn what_a_stopped_terminal_did_not_take_comes_again() {
    let evening = Evening::new("");
    let mut alice = evening.console("alice");
    let mut senders = ["bob", "carol", "dave", "erin"].map(|name| {
        let mut sender = evening.plain();
        sender.says(&format!("login {name} {name}s-word"), "OK login ");
        (name, sender)
    });
    let long = "x".repeat(3900);
    for number in 0..15 {
        for (name, sender) in &mut senders {
            sender.tries(&[(&format!("message alice {name}{number} {long}"), "OK message ")]);
        }
    }
    // It does not wait for who does not look.
    alice.signal(Signal::SIGTERM);
    alice.ends_unseen();
    while alice.read() {}
    let seen = alice.raw().to_owned();
    let mut again = evening.console("alice");
    for (name, _) in &senders {
        for number in 0..15 {
            let line = format!("{name}{number} {long}");
            let start = format!("{name}: {name}{number} ");
            if !seen.contains(&line) {
                again.hears_of(&start);
            }
        }
    }
    assert!(!seen.contains(&format!("erin14 {long}")), "the terminal has taken everything");
}

/// A pipe that is read late has every answer: also those that were not written yet when all was done.
#[test]
fn what_a_slow_reader_did_not_take_is_not_lost() {
    let evening = Evening::new("");
    let mut bob = evening.console("bob");
    let mut command = tickmesh(evening.dir.path(), &args(&evening, "alice"));
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all("nonsense\n".repeat(3000).as_bytes()).unwrap();
    bob.hears("alice is here");
    bob.hears("alice is gone");
    let mut said = String::new();
    child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(said.matches("ERR unknown-verb no such command\n").count(), 3000);
    assert_eq!(child.wait().unwrap().code(), Some(1));
}

/// Who cannot show anything leaves, and what came is there at the next login.
#[test]
fn mail_that_cannot_be_shown_stays_mail() {
    let evening = Evening::new("");
    let mut bob = evening.console("bob");
    bob.says("message alice the film is ready", "message: kept until the other one is here");
    let args = args(&evening, "alice");
    let (unread, closed) = std::io::pipe().unwrap();
    drop(unread);
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    for (stdout, why) in [(Stdio::from(closed), ""), (Stdio::from(full), "cannot write to standard output")] {
        let mut command = tickmesh(evening.dir.path(), &args);
        let output = command.stdout(stdout).stderr(Stdio::piped()).output().unwrap();
        let said = text(&output.stderr);
        assert!(output.status.code() == Some(1) && said.contains(why), "{said}");
    }
    let said = evening.script(&args, "").stdout;
    assert_eq!(text(&said), "OK login alice 1\nMESSAGE bob the film is ready\n");
}

#[test]
fn colours_are_for_terminals_of_those_who_want_them() {
    let evening = Evening::new("");
    let shown = |no_color: Option<&str>| {
        let mut command = tickmesh(evening.dir.path(), &evening.args("alice"));
        command.env_remove("NO_COLOR").envs(no_color.map(|value| ("NO_COLOR", value)));
        let mut alice = Screen::of(command);
        alice.sees("Password for alice: ");
        alice.press("alices-word\r");
        alice.sees("alice> ");
        alice.press("whoelse\r\x04");
        assert_eq!(alice.ends(), 0);
        alice.raw().to_owned()
    };
    let dim = "\x1b[2mwhoelse: nobody else\x1b[0m";
    for (no_color, coloured) in [(None, true), (Some(""), true), (Some("1"), false)] {
        let raw = shown(no_color);
        assert_eq!((raw.contains(dim), raw.contains("\x1b[0m")), (coloured, coloured), "{raw:?}");
        assert!(raw.contains("whoelse: nobody else"), "{raw:?}");
    }
    let output = evening.script(&args(&evening, "alice"), "whoelse\nnonsense\n");
    assert!(!text(&output.stdout).contains('\x1b') && !text(&output.stderr).contains('\x1b'));
}

#[test]
fn wrong_arguments_and_files_are_named() {
    let evening = Evening::new("");
    let folder = evening.dir.path();
    let addr = evening.server.addr;
    for name in ["a/b", "a,b", "7", "guest-1", "%"] {
        let output = run(folder, &format!("console --server {addr} --user {name} --password-file x"));
        assert_fails(&output, 2, &format!("--user {name}: "));
    }
    assert_fails(&run(folder, "console --password-file x"), 2, "--user");
    assert_fails(&run(folder, "console --server nowhere"), 2, "--server nowhere");
    fs::write(folder.join("empty"), "\n").unwrap();
    fs::write(folder.join("binary"), b"\xff\xfe\n").unwrap();
    let bob = evening.args("bob");
    for file in ["missing", "empty", "binary", "accounts"] {
        let output = run(folder, &format!("{bob} --password-file {file}"));
        assert_fails(&output, 1, &format!("tickmesh: {file}: "));
        assert_eq!(text(&output.stderr).lines().count(), 1);
    }
}

#[test]
fn a_server_that_is_none_is_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let args = format!("console --server {addr}");
    listener.set_nonblocking(true).unwrap();
    for words in ["SSH-2.0-OpenSSH_9.6\r\n", "TICKMESH 9 server x\n"] {
        let mut links = Vec::new();
        let mut console = tickmesh(folder.path(), &args).stderr(Stdio::piped()).spawn().unwrap();
        let status = wait_for("the end", || {
            if let Ok((mut link, _)) = listener.accept() {
                link.write_all(words.as_bytes()).unwrap();
                links.push(link);
            }
            console.try_wait().unwrap()
        });
        let mut said = String::new();
        console.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!(status.code(), Some(1), "{words:?}: {said}");
        let expected =
            if words.starts_with("TICK") { "version 1" } else { "does not answer as a tickmesh server" };
        assert!(said.contains(expected), "{words:?}: {said}");
    }
    drop(listener);
    let output = piped(folder.path(), &args, "whoelse\n");
    assert_fails(&output, 1, &format!("cannot reach the server at {addr}: "));
    assert!(text(&output.stderr).contains("is one running there?"));
    let mut alice = Screen::start(folder.path(), &format!("{args} --user alice"));
    alice.sees("Password for alice: ");
    alice.press("x\r");
    alice.hears_of(&format!("tickmesh: cannot reach the server at {addr}: "));
    assert_eq!(alice.ends(), 1);
}

#[test]
fn one_chunk_alone_leaves_a_file_unfinished() {
    let evening = Evening::new("");
    fs::write(evening.files("alice").join("film.bin"), vec![7; 300_000]).unwrap();
    let mut alice = evening.console("alice");
    alice.says("register film.bin 3", "register: film.bin 1");
    let bob = args(&evening, "bob");
    let output = evening.script(&bob, "download film.bin 2\n");
    let expected = "OK login bob 0\nOK download film.bin\nFILE film.bin 1 of 3 chunks\n";
    assert_eq!((text(&output.stdout).as_str(), output.status.code()), (expected, Some(0)));
    assert_eq!(common::names(&evening.files("bob")), ["film.bin.partial"]);
    let output = evening.script(&bob, "download film.bin\n");
    let expected = "OK login bob 0\nOK download film.bin\nFILE film.bin whole\n";
    assert_eq!((text(&output.stdout).as_str(), output.status.code()), (expected, Some(0)));
    assert_eq!(common::names(&evening.files("bob")), ["film.bin"]);
}
