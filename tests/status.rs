//! `tickmesh status`, as a process: of a server that runs, of one that is stuck, and of what is none.

mod common;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};

use common::{finish, mute, run, server, start, text};
use nix::sys::signal::Signal;

fn status(folder: &std::path::Path, addr: SocketAddr, args: &str) -> (Option<i32>, String, String) {
    let output = run(folder, &format!("status --server {addr} {args}"));
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_server_says_how_it_stands() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path(), "--interval 10ms --upload-listen 127.0.0.1:0");
    let addr = server.addr;
    // Its run is over when it is told so.
    let peer = start(folder.path(), &format!("peer --server {addr} --duration 1h --no-share --out out"));
    let json = common::wait_for("ticks", || {
        let (code, out, err) = status(folder.path(), addr, "--json");
        assert_eq!(code, Some(0), "{err}");
        let json: serde_json::Value = serde_json::from_str(&out).unwrap();
        (json["rates"]["ticks_per_s"].as_u64().unwrap() > 0).then_some(json)
    });
    assert_eq!(json["at"], addr.to_string());
    assert_eq!(json["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!((&json["server"]["runs"], &json["server"]["links_members"]), (&1.into(), &1.into()));
    assert_eq!(json["server"]["links_unknown"], 1, "the one who asks");
    for (group, key) in [
        ("driver", "turn_ns_p50"),
        ("driver", "turn_ns_max"),
        ("driver", "late_ns_p99"),
        ("driver", "uptime_ns"),
    ] {
        assert!(json[group][key].as_u64().unwrap() > 0, "{group}.{key}");
    }
    for (group, key) in
        [("dropbox", "files"), ("messenger", "sent"), ("store", "waiting"), ("refused", "line-too-long")]
    {
        assert!(json[group][key].is_u64(), "{group}.{key}");
    }
    let (code, out, _) = status(folder.path(), addr, "");
    assert_eq!(code, Some(0));
    assert!(
        out.starts_with(&format!("tickmesh {} at {addr} is up for ", env!("CARGO_PKG_VERSION"))),
        "{out}"
    );
    peer.signal(Signal::SIGTERM);
    assert_eq!(finish(peer).status.code(), Some(1), "it ends by itself, and its run was cut short");
}

#[test]
fn a_server_that_is_stuck_is_told_from_one_that_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let stuck = server(folder.path(), "");
    stuck.running.signal(Signal::SIGSTOP);
    let (code, out, err) = status(folder.path(), stuck.addr, "--json");
    assert_eq!((code, out.as_str()), (Some(1), ""), "{err}");
    assert!(err.contains("nobody answers for 5s; is it stuck?"), "{err}");
    stuck.running.signal(Signal::SIGCONT);
    assert_eq!(status(folder.path(), stuck.addr, "").0, Some(0), "it goes on");
    drop(stuck);
    let (_bound, mute) = mute();
    let (code, _, err) = status(folder.path(), mute, "");
    assert_eq!(code, Some(1));
    assert!(err.contains(&format!("no status of {mute}: nobody answers there")), "{err}");
}

#[test]
#[allow(clippy::disallowed_methods)] // the other side of the wire is another program
fn what_is_no_server_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let other = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"220 mail.example.org ESMTP\r\n").unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        rest
    });
    let (code, _, err) = status(folder.path(), addr, "");
    assert_eq!(code, Some(1));
    assert!(err.contains("no tickmesh server"), "{err}");
    assert_eq!(other.join().unwrap(), b"status\n");
}

/// The operator's signals reach the server and its drop box, and their words the log.
#[test]
fn a_report_goes_to_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path(), "--log-file log --upload-listen 127.0.0.1:0");
    let log = || std::fs::read_to_string(folder.path().join("log")).unwrap();
    server.running.signal(Signal::SIGUSR1);
    common::wait_for("the report", || log().contains("status group=rates").then_some(()));
    let text = log();
    for group in ["driver uptime_ns=", "server", "messenger", "dropbox", "limit", "store", "rates over_ns="] {
        assert!(text.contains(&format!("status group={group}")), "{group}: {text}");
    }
    assert!(text.lines().all(|line| line.len() < 1000), "{text}");
    server.running.signal(Signal::SIGHUP);
    common::wait_for("the accounts", || log().contains("reloaded accounts=0").then_some(()));
    server.running.signal(Signal::SIGTERM);
    assert!(finish(server.running).status.success());
}
