//! The log of a server that runs: moved and opened again, on a full disk, and at a terminal that nobody reads.

mod common;

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};

use common::{PATIENCE, finish, names, ready_line, server, start_command, text, tickmesh, wait_for};
use nix::pty::openpty;
use nix::sys::signal::Signal;

fn log(folder: &Path, name: &str) -> String {
    text(&fs::read(folder.join(name)).unwrap_or_default())
}

/// Each is a line by itself, with its time in front.
fn assert_whole(text: &str) {
    assert!(text.ends_with('\n'), "{text}");
    for line in text.lines() {
        let (date, _) = line.split_at_checked(31).unwrap_or_else(|| panic!("{line:?}"));
        assert!(date.starts_with("20") && date.ends_with("Z "), "{line:?}");
        assert_eq!(line.matches("Z [").count(), 1, "{line:?}");
    }
}

#[test]
fn a_log_that_was_moved_is_opened_again_on_a_signal() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::create_dir(folder.join("logs")).unwrap();
    let server = server(folder, "--log-file logs/a.log");
    let path = folder.join("logs/a.log");
    for moved in 0..20 {
        fs::rename(&path, folder.join(format!("logs/{moved}"))).unwrap();
        server.running.signal(Signal::SIGHUP);
        wait_for("a new log", || log(folder, "logs/a.log").contains("log reopened").then_some(()));
        // The last that is told of a signal.
        wait_for("the accounts", || log(folder, "logs/a.log").contains("reloaded").then_some(()));
    }
    // Something else has the name: the old one goes on, and says so.
    fs::rename(&path, folder.join("logs/last")).unwrap();
    fs::create_dir(&path).unwrap();
    server.running.signal(Signal::SIGHUP);
    wait_for("its trouble", || log(folder, "logs/last").contains("log not_reopened error=").then_some(()));
    fs::remove_dir(&path).unwrap();
    server.running.signal(Signal::SIGHUP);
    wait_for("a new log", || log(folder, "logs/a.log").contains("log reopened").then_some(()));
    server.running.signal(Signal::SIGTERM);
    assert!(finish(server.running).status.success());
    assert!(log(folder, "logs/a.log").contains("server ended"));
    let all: Vec<String> =
        names(&folder.join("logs")).iter().map(|name| log(folder, &format!("logs/{name}"))).collect();
    all.iter().for_each(|text| assert_whole(text));
    let all = all.concat();
    assert_eq!(all.matches("signal name=SIGHUP").count(), 22, "{all}");
    assert_eq!(all.matches("log reopened").count(), 21, "{all}");
}

#[test]
fn a_full_disk_costs_lines_and_they_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let program = tickmesh(folder, "server --listen 127.0.0.1:0 --log-file a.log --log-level debug");
    // A limit in place of a disk: a write that reaches it ends there, in the middle of a line.
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; ulimit -S -f 4; exec \"$0\" \"$@\""]).arg(program.get_program());
    command.args(program.get_args()).current_dir(folder);
    command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut running = start_command(command).unwrap();
    let addr = ready_line(&mut running);
    let visit = || {
        let stream = TcpStream::connect(addr).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut greeting = String::new();
        BufReader::new(stream).read_line(&mut greeting).unwrap();
        assert!(greeting.contains("tickmesh"), "the loop goes on: {greeting}");
    };
    (0..100).for_each(|_| visit());
    let before = log(folder, "a.log");
    assert_whole(&before);
    // The count may find room where a longer line did not; it is told again when there is more.
    assert!(before.len() <= 4096 && before.lines().count() < 100, "lines are lost: {before}");
    let made_room =
        Command::new("prlimit").args(["--pid", &running.pid().to_string(), "--fsize=unlimited:"]).status();
    assert!(made_room.unwrap().success());
    visit();
    let later = || log(folder, "a.log").split_off(before.len());
    wait_for("the count", || later().contains("[WARN] log lines_lost=").then_some(()));
    running.signal(Signal::SIGTERM);
    finish(running);
    let after = log(folder, "a.log");
    assert_whole(&after);
    assert!(after.starts_with(&before) && after.contains("server ended"));
}

#[test]
fn a_terminal_that_nobody_reads_does_not_stop_the_loop() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let pty = openpty(None, None).unwrap();
    let mut command = tickmesh(folder, "server --listen 127.0.0.1:0 --log-level debug");
    let mut child = command.stdout(Stdio::piped()).stderr(pty.slave).spawn().unwrap();
    let mut ready = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).unwrap();
    let addr = ready.trim().strip_prefix("listening mesh ").unwrap();
    for _ in 0..1000 {
        let mut stream = TcpStream::connect(addr).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(b"nonsense\n").unwrap();
        let mut greeting = String::new();
        BufReader::new(stream).read_line(&mut greeting).unwrap();
        assert!(greeting.contains("tickmesh"), "the loop goes on: {greeting}");
    }
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(child.id() as i32), Signal::SIGTERM).unwrap();
    assert!(child.wait().unwrap().success());
    drop(pty.master);
}
