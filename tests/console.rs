//! `tickmesh console`, as people and scripts use it: the real program, at terminals and in pipes.

mod common;

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use common::screen::Screen;
use common::{PATIENCE, ServerProcess, run, server, text, tickmesh, wait_for};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

const USERS: [&str; 4] = ["alice", "bob", "carol", "dave"];

/// A server with accounts; the password of `alice` is `alice's word`.
struct Evening {
    dir: TempDir,
    server: ServerProcess,
}

impl Evening {
    fn new(args: &str) -> Evening {
        let dir = tempfile::tempdir().unwrap();
        let accounts: String = USERS.iter().map(|user| format!("{user} {user}s-word\n")).collect();
        fs::write(dir.path().join("credentials.txt"), accounts).unwrap();
        let made = run(dir.path(), "user import credentials.txt --state accounts");
        assert!(made.status.success(), "{}", text(&made.stderr));
        let server = server(dir.path(), &format!("--state accounts {args}"));
        Evening { dir, server }
    }

    /// The folder of a user's files.
    fn files(&self, user: &str) -> PathBuf {
        let folder = self.dir.path().join(format!("files_{user}"));
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn args(&self, user: &str) -> String {
        let files = self.files(user);
        format!("console --server {} --user {user} --files {}", self.server.addr, files.display())
    }

    /// A console that waits for its password.
    fn begin(&self, user: &str) -> Screen {
        let mut screen = Screen::start(self.dir.path(), &self.args(user));
        screen.sees(&format!("Password for {user}: "));
        screen
    }

    /// A user at a console.
    fn console(&self, user: &str) -> Screen {
        let mut screen = self.begin(user);
        screen.press(&format!("{user}s-word\r"));
        screen.sees(&format!("{user}> "));
        screen
    }

    /// Somebody at `nc`.
    fn plain(&self) -> Plain {
        let stream = TcpStream::connect(self.server.addr).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut plain = Plain { lines: BufReader::new(stream) };
        assert!(plain.line().starts_with("TICKMESH 1 server "));
        plain
    }

    /// Runs commands in a pipe.
    fn script(&self, args: &str, commands: &str) -> Output {
        piped(self.dir.path(), args, commands)
    }
}

fn piped(folder: &Path, args: &str, commands: &str) -> Output {
    let mut command = tickmesh(folder, args);
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A program that has ended does not read.
    let _ = child.stdin.take().unwrap().write_all(commands.as_bytes());
    child.wait_with_output().unwrap()
}

/// A connection that is typed into.
struct Plain {
    lines: BufReader<TcpStream>,
}

impl Plain {
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line
    }

    fn types(&mut self, line: &str) {
        self.lines.get_mut().write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    /// Types a line, and hears one that begins so.
    fn says(&mut self, line: &str, answer: &str) {
        self.types(line);
        self.hears(answer);
    }

    fn hears(&mut self, start: &str) {
        let line = self.line();
        assert!(line.starts_with(start), "{line:?} and not {start:?}");
    }
}

#[test]
fn people_talk_at_consoles_and_at_a_plain_connection() {
    let evening = Evening::new("");
    let mut nobody = evening.plain();
    nobody.says("whoelse", "ERR not-logged-in ");
    let mut alice = evening.console("alice");
    let mut bob = evening.console("bob");
    let mut dave = evening.plain();
    dave.says("login dave daves-word", "OK login dave 0");
    for name in ["bob is here", "dave is here"] {
        alice.hears(name);
    }

    alice.says("message bob see you at nine", "message: delivered");
    bob.hears("alice: see you at nine");
    bob.says("%dave%100 % yes", "message: delivered");
    dave.hears("MESSAGE bob 100 % yes\n");
    dave.types("message alice \u{202e}evil\u{9b}2J");
    dave.hears("ERR bad-text ");
    dave.says("message alice \u{202e}evil", "OK message delivered\n");
    alice.hears("dave: \\u{202e}evil");
    alice.says("message carol for later", "message: kept until the other one is here");
    let mut carol = evening.console("carol");
    carol.hears("you are carol; 1 message came while you were away");
    carol.hears("alice: for later");
    dave.hears("ONLINE carol\n");
    alice.says("message nobody hi", "message: there is no user of that name");
    alice.says("message alice hi", "message: that is you");
    alice.says("message bob", "message: the text is empty");

    alice.says("whoelse", "whoelse: 3");
    for name in ["  bob", "  carol", "  dave"] {
        alice.hears(name);
    }
    alice.says("broadcast to all of you", "broadcast: to all who are here");
    bob.hears("alice to all: to all of you");
    dave.hears("BROADCAST alice to all of you\n");
    alice.says("broadcast", "broadcast: the text is empty");

    // A block: no messages, no presence.
    bob.says("block carol", "block: carol");
    carol.says("message bob hi", "message: that user has blocked you");
    carol.says("broadcast hi", "broadcast: to all but those who have blocked you");
    carol.says("whoelse", "whoelse: 2");
    carol.hears("  alice");
    carol.hears("  dave");
    bob.says("block carol", "block: you have blocked that user already");
    bob.says("block bob", "block: that is you");
    bob.says("block nobody", "block: there is no user of that name");
    bob.says("unblock carol", "unblock: carol");
    bob.says("unblock carol", "unblock: you have not blocked that user");
    bob.says("unblock nobody", "unblock: there is no user of that name");

    dave.hears("BROADCAST carol hi\n");
    dave.says("logout", "OK logout\n");
    alice.hears("dave is gone");
    alice.says("whoelsesince 100000", "whoelsesince: 3");
    alice.says("whoelsesince x", "whoelsesince: a whole number of seconds is expected");
    alice.says("nonsense", "no such command; help lists them");
    for screen in [&mut alice, &mut bob, &mut carol] {
        screen.press("\x04");
        screen.hears("logout: done");
        assert_eq!(screen.ends(), 0);
    }
}

#[test]
fn private_links_go_on_without_the_server() {
    let evening = Evening::new("");
    let mut alice = evening.console("alice");
    let mut bob = evening.console("bob");
    let mut carol = evening.console("carol");
    alice.hears("carol is here");
    alice.says("startprivate bob", "bob and you have a private link");
    bob.hears("alice and you have a private link");
    alice.says("private bob between us", "private: bob has it");
    bob.hears("alice privately: between us");
    bob.says("private alice \\u{1b} yes", "private: alice has it");
    alice.hears("bob privately: \\u{5c}u{1b} yes");
    alice.says("private carol hi", "private: you have no private link with that user");
    alice.says("private nobody hi", "private: you have no private link with that user");
    alice.says("stopprivate carol", "stopprivate: you have no private link with that user");
    alice.says("startprivate alice", "startprivate: that is you");
    alice.says("startprivate nobody", "startprivate: there is no user of that name");
    alice.says("startprivate dave", "startprivate: that user is offline");
    carol.says("block alice", "block: alice");
    alice.says("startprivate carol", "startprivate: that user has blocked you");
    bob.says("block alice", "block: alice");
    alice.says("private bob an open link stays", "private: bob has it");
    bob.hears("alice privately: an open link stays");
    bob.says("stopprivate alice", "stopprivate: alice");
    alice.hears_of("the private link with bob is closed");
    alice.says("private bob hi", "private: you have no private link with that user");
    alice.says("startprivate bob", "startprivate: that user has blocked you");
    bob.says("unblock alice", "unblock: alice");
    bob.says("startprivate alice", "alice and you have a private link");
    alice.hears("bob and you have a private link");
    drop(evening.server);
    alice.hears_of("the server is gone");
    alice.says("private bob still here", "private: bob has it");
    bob.hears("alice privately: still here");
    bob.press("\x04\x04");
    bob.ends();
    alice.hears_of("the private link with bob is closed");
    alice.says("private bob hi", "private: you have no private link with that user");
}

#[test]
fn files_are_registered_found_and_got() {
    let evening = Evening::new("");
    let (film, other) = (vec![7; 300_000], vec![8; 300_000]);
    for (user, bytes) in [("alice", &film), ("bob", &other)] {
        fs::write(evening.files(user).join("film.bin"), bytes).unwrap();
    }
    let mut alice = evening.console("alice");
    let mut bob = evening.console("bob");
    let mut carol = evening.console("carol");
    carol.says("searchFile film.bin", "searchFile: Not available");
    carol.hears_of("carol> searchFile");
    carol.says("searchChunk film.bin 1", "searchChunk: nobody shares film.bin in lab");
    alice.press("register fi\t3\r");
    alice.hears_of("register: film.bin");
    bob.says("register film.bin 3", "register: another file is called film.bin already; alice holds it");
    for wrong in ["register nothing.bin", "register ../film.bin", "register film.bin 0", "register"] {
        bob.press(&format!("{wrong}\r"));
        let answer = bob.hears_of("register: ");
        assert!(!answer.contains("film.bin 1"), "{wrong}: {answer}");
    }
    carol.says("searchFile film.bin", "searchFile: Available");
    carol.hears("  alice has 3 of 3");
    carol.says("searchChunk film.bin 3", "searchChunk: Available");
    carol.says("searchChunk film.bin 9", "searchChunk: film.bin has 3 chunks, and they count from 1");
    carol.press("download film.bin 2\r");
    carol.hears("film.bin: 1 of 3 chunks are here");
    carol.says("download film.bin 9", "download: film.bin has no chunk 9");
    bob.says("searchChunk film.bin 1", "searchChunk: Available");
    bob.hears("  alice has 3 of 3");
    carol.press("download film.bin\r");
    carol.hears("film.bin (300.0 kB) is here");
    assert!(fs::read(evening.files("carol").join("film.bin")).unwrap() == film);
    alice.press("\x04");
    assert_eq!(alice.ends(), 0);
    fs::remove_file(evening.files("bob").join("film.bin")).unwrap();
    bob.press("download film.bin\r");
    bob.hears("film.bin (300.0 kB) is here");
    assert!(fs::read(evening.files("bob").join("film.bin")).unwrap() == film);
    bob.says("download nothing.bin", "download: nobody shares nothing.bin in lab");
    bob.press("\x04");
    assert_eq!(bob.ends(), 0);

    // A block is one for files too.
    carol.says("block bob", "block: bob");
    let mut bob = evening.console("bob");
    bob.says("searchFile film.bin", "searchFile: Not available");
    carol.says("unblock bob", "unblock: bob");
    bob.says("searchFile film.bin", "searchFile: Available");
    bob.hears("  carol has 3 of 3");
}

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
    kill(Pid::from_raw(carol.pid()), Signal::SIGKILL).unwrap();
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
    kill(Pid::from_raw(alice.pid()), Signal::SIGTERM).unwrap();
    alice.ends();
}
