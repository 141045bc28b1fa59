//! A console whose terminal goes away, started so that it stays.

mod common;

use std::io::Write as _;
use std::process::{Command, Stdio};

use common::{Running, finish, line, server, text, tickmesh};
use nix::sys::signal::Signal;

#[test]
fn a_console_that_nohup_has_started_stays() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let server = server(folder, "");
    let console = tickmesh(folder, &format!("console --server {}", server.addr));
    let mut command = Command::new("nohup");
    command.arg(console.get_program()).args(console.get_args()).current_dir(folder);
    command.envs(console.get_envs().filter_map(|(name, value)| Some((name, value?))));
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
