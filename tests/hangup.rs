//! Programs whose terminal goes away: who ends then, and who was started so that it stays.

mod common;

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::process::Stdio;

use common::{
    Running, finish, heeding_hangups, line, ready_line, server, start_command, started_by, table, text,
    tickmesh, wait_for,
};
use nix::fcntl::OFlag;
use nix::pty::{grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::signal::Signal;

#[test]
fn a_console_that_nohup_has_started_stays() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let server = server(folder, "");
    let console = tickmesh(folder, &format!("console --server {}", server.addr));
    let mut command = started_by(&["nohup"], &console);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut running = Running::of(child);
    assert_eq!(line(&mut running), "OK login guest-1 0\n");
    running.signal(Signal::SIGHUP);
    // It may be gone, and then the status says so.
    let _ = stdin.write_all(b"whoelse\n");
    drop(stdin);
    let output = finish(running);
    assert_eq!(text(&output.stdout), "OK whoelse 0\n", "{}", text(&output.stderr));
    assert!(output.status.success());
}

#[test]
fn a_server_ends_with_the_terminal_that_it_logs_to() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    // No child keeps the other end open.
    let master = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let path = ptsname_r(&master).unwrap();
    let terminal =
        File::options().read(true).write(true).custom_flags(OFlag::O_NOCTTY.bits()).open(path).unwrap();
    let mut command = tickmesh(folder, "server --listen 127.0.0.1:0");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::from(terminal));
    let mut server = Running::of(command.spawn().unwrap());
    drop(command);
    let addr = ready_line(&mut server);
    // As long as it is there, this is a question of an operator.
    server.signal(Signal::SIGHUP);
    let status = common::run(folder, &format!("status --server {addr}"));
    assert!(status.status.success(), "{}", text(&status.stderr));
    drop(master);
    server.signal(Signal::SIGHUP);
    assert!(finish(server).status.success());
}

#[test]
fn a_peer_ends_its_table_when_its_terminal_goes() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let server = server(folder, "");
    let peer = tickmesh(folder, &format!("peer --server {} --out peers --duration 168h", server.addr));
    let peer = start_command(heeding_hangups(&peer)).unwrap();
    let rows = folder.join("peers/client_0_TimeData.txt");
    wait_for("some rows", || std::fs::read_to_string(&rows).ok().filter(|text| text.lines().count() > 10));
    peer.signal(Signal::SIGHUP);
    finish(peer);
    let cause = table(&rows).complete.unwrap().cause;
    assert_eq!(cause.as_deref(), Some("interrupted"));
}
