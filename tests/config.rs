//! The real program, configured by a file and the environment; and what it prints for other programs.

mod common;

use std::path::Path;
use std::process::{Command, Stdio};

use common::{finish, ready_line, run, start_command, text, tickmesh};
use nix::sys::signal::Signal;

fn said(folder: &Path, args: &str, code: i32) -> String {
    let output = run(folder, args);
    assert_eq!(output.status.code(), Some(code), "{args}: {}", text(&output.stderr));
    text(if code == 0 { &output.stdout } else { &output.stderr })
}

#[test]
fn a_server_starts_from_a_file_and_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let file = "listen = ['127.0.0.1:0', '127.0.0.1:0']\nlog_file = \"a.log\"\nout = 'tables'\nupload_listen = '127.0.0.1:0'\n";
    std::fs::write(folder.join("t.toml"), file).unwrap();
    let mut command = tickmesh(folder, "server --config t.toml");
    command.env("TICKMESH_LOG_FILE", "b.log").env("TICKMESH_LOG_FIEL", "c.log");
    let mut running = start_command(command).unwrap();
    ready_line(&mut running);
    ready_line(&mut running);
    running.signal(Signal::SIGTERM);
    let output = finish(running);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(folder.join("tables/uploads").is_dir() && !folder.join("a.log").exists());
    let log = std::fs::read_to_string(folder.join("b.log")).unwrap();
    let note = "TICKMESH_LOG_FIEL in the environment is no flag; is TICKMESH_LOG_FILE meant?";
    assert!(log.contains("[WARN]") && log.contains(note), "{log}");
}

#[test]
fn a_check_names_every_mistake_and_starts_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("t.toml"), "out = 'tables'\nlisten = 'x'\nlogfile = 'a.log'\n").unwrap();
    for args in ["server --config t.toml --check-config", "server --config t.toml"] {
        let lines = said(folder, args, 2);
        let lines: Vec<&str> = lines.lines().collect();
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].starts_with("t.toml:2: listen: x is no address"), "{lines:?}");
        assert_eq!(lines[1], "t.toml:3: logfile: there is no such key; is log_file meant?");
    }
    std::fs::write(folder.join("t.toml"), "out = 'tables'\n").unwrap();
    assert_eq!(said(folder, "server --config t.toml --check-config", 0), "t.toml: all right\n");
    assert!(!folder.join("tables").exists());
}

#[test]
fn what_is_printed_is_a_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let printed = said(folder, "server --interval 20ms --print-config", 0);
    assert!(printed.contains("interval = \"20ms\"  # typed\n"), "{printed}");
    std::fs::write(folder.join("t.toml"), &printed).unwrap();
    let again = said(folder, "server --config t.toml --print-config", 0);
    let values = |text: &str| {
        let live = text.lines().filter(|line| !line.starts_with('#'));
        live.map(|line| line.split("  #").next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(values(&again), values(&printed));
}

#[test]
fn a_check_tells_what_stands_in_the_way_on_this_host() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::create_dir(folder.join("logs")).unwrap();
    std::fs::write(folder.join("occupied"), "").unwrap();
    let file = "user = 'no-such-user'\nlog_file = 'logs'\nout = 'occupied'\nupload_listen = '127.0.0.1:5555'\nupload_dir = 'new'\npid_file = 'nowhere/pid'\n";
    std::fs::write(folder.join("t.toml"), file).unwrap();
    let told = said(folder, "server --config t.toml --check-config", 2);
    let lines: Vec<&str> = told.lines().collect();
    let expected = [
        "t.toml:1: user: no-such-user: there is no such user on this host",
        "t.toml:2: log_file: logs: it is a folder",
        "t.toml:3: out: occupied: it is no folder",
        "t.toml:4: upload_listen: 127.0.0.1:5555: that is an address of --listen",
        "t.toml:6: pid_file: nowhere/pid: its folder is not there",
    ];
    assert_eq!(lines, expected);
    assert!(!folder.join("new").exists());
    let both = said(folder, "server --config t.toml --check-config --print-config", 2);
    assert!(both.contains("give one of them"), "{both}");
}

#[test]
fn units_are_what_systemd_takes() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut files = Vec::new();
    for (part, file) in [
        ("service --config /etc/tickmesh.toml", "tickmesh.service"),
        ("socket", "tickmesh.socket"),
        ("upload-socket", "tickmesh-upload.socket"),
    ] {
        std::fs::write(folder.join(file), said(folder, &format!("unit {part}"), 0)).unwrap();
        files.push(folder.join(file));
    }
    let service = std::fs::read_to_string(&files[0]).unwrap();
    let start =
        format!("ExecStart=\"{}\" server --config /etc/tickmesh.toml\n", env!("CARGO_BIN_EXE_tickmesh"));
    assert!(service.contains(&start), "{service}");
    assert_eq!(said(folder, "unit", 0), service.replace(" --config /etc/tickmesh.toml", ""));
    // One that has ended is started again as long as it takes, and never without its sockets.
    for line in
        ["StartLimitIntervalSec=0\n", "Wants=network-online.target tickmesh.socket tickmesh-upload.socket\n"]
    {
        assert!(service.contains(line), "{service}");
    }
    let sockets = files[1..].iter().map(|file| std::fs::read_to_string(file).unwrap());
    // A socket that fails would leave the service to ports of its own.
    sockets.for_each(|socket| assert!(socket.contains("FreeBind=yes\n"), "{socket}"));
    let hidden = said(folder, "unit --config /home/t.toml", 0);
    assert!(hidden.contains("cannot see its configuration there") && !service.contains("its configuration"));
    assert!(said(folder, "unit timer", 2).contains("is no unit"));
    assert!(said(folder, "unit --config here.toml", 2).contains("a path from the root on is expected"));
    let verify = Command::new("systemd-analyze").arg("verify").args(&files).stdin(Stdio::null()).output();
    // Where there is no systemd, nobody needs the units.
    if let Ok(output) = verify {
        let complaint = text(&output.stderr);
        assert!(output.status.success() && !complaint.contains("tickmesh"), "{complaint}");
    }
}

#[test]
fn shells_understand_their_completions() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let script = said(folder.path(), &format!("completions {shell}"), 0);
        let file = folder.path().join(shell);
        std::fs::write(&file, script).unwrap();
        // Those that are here.
        if let Ok(output) = Command::new(shell).arg("-n").arg(&file).output() {
            assert!(output.status.success(), "{shell}: {}", text(&output.stderr));
        }
    }
    assert!(said(folder.path(), "completions tcsh", 2).contains("there are bash, zsh and fish"));
}
