//! A console whose terminal goes away, started so that it stays.

mod common;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Command, Stdio};

use common::{server, tickmesh};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

#[test]
fn a_console_that_nohup_has_started_stays() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let server = server(folder, "");
    let console = tickmesh(folder, &format!("console --server {}", server.addr));
    let mut command = Command::new("nohup");
    command.arg(console.get_program()).args(console.get_args()).current_dir(folder);
    command.envs(console.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut said = String::new();
    stdout.read_line(&mut said).unwrap();
    kill(Pid::from_raw(child.id() as i32), Signal::SIGHUP).unwrap();
    // It may be gone, and then the status says so.
    let _ = child.stdin.take().unwrap().write_all(b"whoelse\n");
    stdout.read_to_string(&mut said).unwrap();
    assert_eq!(said, "OK login guest-1 0\nOK whoelse 0\n");
    assert!(child.wait().unwrap().success());
}
