//! The real program, as users start it: few runs, on ports that the system chooses, in folders of
//! their own. What needs many cases is in the simulator's tests.

mod common;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use common::{
    finish, mute, names, ready_line, run, server, start, start_command, table, text, tickmesh, wait_for,
};
use nix::sys::signal::Signal;

#[test]
fn the_demo_does_the_main_job_and_reads_it_back() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), "demo --peers 3 --duration 600ms");
    let shown = text(&output.stdout);
    assert!(output.status.success(), "{shown}{}", text(&output.stderr));
    assert!(shown.contains("Read back: 4 tables, all well formed"), "{shown}");
    assert!(shown.contains("12 copies, all equal"), "{shown}");
    let out = folder.path().join("out");
    assert_eq!(names(&out.join("client_1_received")).len(), 4);
    assert_eq!(table(&out.join("client_0_TimeData.txt")).complete.unwrap().cause, None);
    let again = run(folder.path(), "demo --peers 1 --duration 100ms");
    assert!(again.status.success());
    let old: Vec<String> =
        names(&out).into_iter().filter(|name| name.starts_with("serverTimeData.")).collect();
    assert_eq!(old.len(), 2, "the older table is kept: {old:?}");
}

#[test]
fn three_processes_and_a_server_agree_on_every_row() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path(), "--out out");
    let args = format!("peer --server {} --duration 1s --json", server.addr);
    let peers: Vec<_> = (0..3).map(|_| start(folder.path(), &args)).collect();
    let mut rows = 0;
    for peer in peers {
        let output = finish(peer);
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert_eq!(text(&output.stderr), "", "silent when it is no terminal");
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let peer = &json["peers"][0];
        let number = |field: &str| peer[field].as_u64().unwrap_or_else(|| panic!("{field} in {json}"));
        assert_eq!(number("ticks_due"), 100);
        assert_eq!(number("ticks_sent") + number("ticks_missed"), 100);
        assert_eq!((number("files_received"), number("files_expected")), (4, 4));
        assert!(
            peer["offset_ns"].as_i64().unwrap().unsigned_abs() <= number("offset_bound_ns"),
            "one clock: {json}"
        );
        let facts =
            table(&folder.path().join(format!("out/client_{}_TimeData.txt", peer["id"].as_str().unwrap())));
        assert_eq!(facts.rows, number("ticks_sent") + number("ticks_answered"));
        assert_eq!(facts.complete.unwrap().cause, None);
        rows += facts.rows;
    }
    server.running.signal(Signal::SIGTERM);
    assert!(finish(server.running).status.success());
    let facts = table(&folder.path().join("out/serverTimeData.txt"));
    assert_eq!(facts.rows, rows);
    assert_eq!(facts.complete.unwrap().cause, None);
}

#[test]
fn a_terminated_server_and_peer_write_their_last_lines() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path(), "");
    let peer = start(folder.path(), &format!("peer --server {} --id a --duration 5m", server.addr));
    let client = folder.path().join("out/client_a_TimeData.txt");
    wait_for("some rows", || (std::fs::metadata(&client).ok()?.len() > 2000).then_some(()));
    server.running.signal(Signal::SIGTERM);
    let output = finish(server.running);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let facts = table(&folder.path().join("out/serverTimeData.txt"));
    assert_eq!(facts.complete.unwrap().cause.as_deref(), Some("interrupted"));
    peer.signal(Signal::SIGINT);
    let output = finish(peer);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("interrupted"), "{}", text(&output.stdout));
    assert_eq!(table(&client).complete.unwrap().cause.as_deref(), Some("interrupted"));
}

#[test]
fn a_killed_peer_loses_little_and_is_named_by_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path(), "");
    let victim = start(folder.path(), &format!("peer --server {} --id victim", server.addr));
    let client = folder.path().join("out/client_victim_TimeData.txt");
    wait_for("some rows", || (std::fs::metadata(&client).ok()?.len() > 2000).then_some(()));
    let args = format!("peer --server {} --id witness --duration 500ms --share-deadline 1s", server.addr);
    let witness = start(folder.path(), &args);
    wait_for("the witness", || folder.path().join("out/client_witness_TimeData.txt").exists().then_some(()));
    victim.signal(Signal::SIGKILL);
    let output = finish(witness);
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{shown}");
    assert!(shown.contains("peer witness lacks client_victim_TimeData.txt of peer victim"), "{shown}");
    assert!(shown.contains("peer victim lacks client_witness_samples.csv of peer witness"), "{shown}");
    let facts = table(&client);
    assert!(facts.rows > 20 && facts.complete.is_none());
    drop(victim);
}

#[test]
fn a_server_that_is_killed_and_comes_back_finds_its_peers_again() {
    let folder = tempfile::tempdir().unwrap();
    let first = server(folder.path(), "");
    let addr = first.addr;
    let args = format!("peer --server {addr} --count 2 --duration 3s --json");
    let peers = start(folder.path(), &args);
    let client = folder.path().join("out/client_0_TimeData.txt");
    wait_for("some rows", || (std::fs::metadata(&client).ok()?.len() > 2000).then_some(()));
    first.running.signal(Signal::SIGKILL);
    finish(first.running);
    let mut second = start(folder.path(), &format!("server --listen {addr}"));
    assert_eq!(ready_line(&mut second), addr);
    let output = finish(peers);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(output.status.success(), "{json} {}", text(&output.stderr));
    for peer in json["peers"].as_array().unwrap() {
        assert_eq!(peer["ticks_due"], 300);
        assert!(peer["ticks_offline"].as_u64().unwrap() > 0, "the gap is counted: {json}");
        assert_eq!(peer["reconnects"], 1);
    }
    assert!(table(&client).complete.is_some());
}

#[test]
fn strangers_do_not_disturb_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path(), "");
    let peer = start(folder.path(), &format!("peer --server {} --duration 1s", server.addr));
    let connect = || TcpStream::connect(server.addr).unwrap();
    let mut strangers: Vec<TcpStream> = (0..20).map(|_| connect()).collect();
    for (index, stranger) in strangers.iter_mut().enumerate() {
        // Some are cut off while they still write: that is what is wanted.
        let _ = match index % 4 {
            0 => stranger.write_all(&vec![0xff; 100_000]),
            1 => stranger.write_all(&vec![b'x'; 1_000_000]),
            2 => stranger.shutdown(std::net::Shutdown::Write),
            _ => stranger.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
        };
    }
    let mut answer = String::new();
    let http = &mut strangers[3];
    http.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    while !answer.contains("ERR") {
        let mut buffer = [0; 4096];
        let count = http.read(&mut buffer).unwrap();
        assert!(count > 0, "closed after {answer}");
        answer += &text(&buffer[..count]);
    }
    assert!(answer.starts_with("TICKMESH 1 server tickmesh/"), "{answer}");
    let output = finish(peer);
    assert!(output.status.success(), "{}", text(&output.stdout));
}

#[test]
fn wrong_usage_ends_with_2_and_what_cannot_be_done_with_1() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), "peer --interval soon");
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("write it like 10ms"), "{}", text(&output.stderr));

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let output = run(folder.path(), &format!("server --listen {}", taken.local_addr().unwrap()));
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("choose another address with --listen") && said.lines().count() == 1, "{said}");

    // A file where the folder should be: that stops root as well.
    std::fs::write(folder.path().join("occupied"), "").unwrap();
    let output = run(folder.path(), "demo --out occupied/out");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("cannot write to occupied/out"), "{}", text(&output.stderr));

    let output = run(folder.path(), "server --listen 127.0.0.1:0 --log-file occupied/log");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("cannot log into occupied/log"), "{}", text(&output.stderr));
}

#[test]
fn a_peer_without_a_server_gives_up_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let (_bound, addr) = mute();
    let output = run(folder.path(), &format!("peer --server {addr}"));
    assert_eq!(output.status.code(), Some(1));
    let why = format!("cannot reach the server at {addr}: connection refused; is one running there?");
    assert_eq!((text(&output.stdout), text(&output.stderr)), (String::new(), format!("tickmesh: {why}\n")));
}

#[test]
fn a_taken_id_is_refused_with_who_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path(), "");
    let first = start(folder.path(), &format!("peer --server {} --id a", server.addr));
    wait_for("the first", || folder.path().join("out/client_a_TimeData.txt").exists().then_some(()));
    let output = run(folder.path(), &format!("peer --server {} --id a --out other", server.addr));
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("a is taken by 127.0.0.1:"), "{}", text(&output.stdout));
    drop(first);
}

/// Types a line at a socket and reads on until one begins as expected; all that was read.
fn type_line(socket: &mut TcpStream, line: &str, expected: &str) -> String {
    socket.write_all(line.as_bytes()).unwrap();
    let mut heard = String::new();
    while !heard.lines().any(|line| line.starts_with(expected)) || !heard.ends_with('\n') {
        let mut buffer = [0; 4096];
        let count = socket.read(&mut buffer).unwrap();
        assert!(count > 0, "closed after {heard}");
        heard += &text(&buffer[..count]);
    }
    heard
}

#[test]
fn people_talk_over_a_server_that_is_killed_and_their_mail_is_there() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("credentials.txt"), "alice sesame\nbob taler\n").unwrap();
    let import = run(folder.path(), "user import credentials.txt --state people");
    assert!(import.status.success(), "{}", text(&import.stderr));
    let connect = |server: &common::ServerProcess| {
        let mut socket = TcpStream::connect(server.addr).unwrap();
        socket.set_read_timeout(Some(common::PATIENCE)).unwrap();
        type_line(&mut socket, "", "TICKMESH 1 server");
        socket
    };
    let first = server(folder.path(), "--state people --out one");
    let mut alice = connect(&first);
    type_line(&mut alice, "login alice wrong\n", "ERR wrong-password ");
    assert_eq!(type_line(&mut alice, "login alice sesame\n", "OK"), "OK login alice 0\n");
    let mut visitor = connect(&first);
    type_line(&mut visitor, "HELLO visitor\n", "OK HELLO visitor ");
    type_line(&mut visitor, "%alice%good evening\n", "OK message delivered");
    type_line(&mut alice, "", "MESSAGE visitor good evening");
    type_line(&mut alice, "message bob first\n", "OK message kept");
    type_line(&mut alice, "message bob second\n", "OK message kept");
    let second = run(folder.path(), "server --listen 127.0.0.1:0 --state people --out two");
    assert!(text(&second.stderr).contains("another server uses people"), "{}", text(&second.stderr));
    first.running.signal(Signal::SIGKILL);
    drop(first);
    let again = server(folder.path(), "--state people --out three --log-file log");
    let mut bob = connect(&again);
    let heard = type_line(&mut bob, "login bob taler\n", "MESSAGE alice second");
    assert_eq!(heard, "OK login bob 2\nMESSAGE alice first\nMESSAGE alice second\n");
    type_line(&mut bob, "logout\n", "OK logout");
    again.running.signal(Signal::SIGTERM);
    assert!(finish(again.running).status.success());
    let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
    assert!(log.contains("messenger ended logins=1 ") && !log.contains("taler"), "{log}");
}

#[test]
fn a_server_that_finds_no_place_for_accounts_does_all_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    let start = |out: &str, home: Option<&str>| {
        let mut command = tickmesh(folder.path(), &format!("server --listen 127.0.0.1:0 --out {out}"));
        command.env_remove("XDG_STATE_HOME").env_remove("HOME");
        if let Some(home) = home {
            command.env("HOME", home);
        }
        start_command(command).unwrap()
    };
    let home = home.to_str();
    // Nobody says where, it cannot be made, and two want the same.
    let servers =
        [start("one", None), start("two", Some("/dev/null")), start("three", home), start("four", home)];
    let mut without = 0;
    for mut server in servers {
        let mut guest = TcpStream::connect(ready_line(&mut server)).unwrap();
        guest.set_read_timeout(Some(common::PATIENCE)).unwrap();
        type_line(&mut guest, "HELLO visitor\n", "OK HELLO visitor ");
        server.signal(Signal::SIGTERM);
        let output = finish(server);
        assert!(output.status.success());
        without += text(&output.stderr).matches("there are no accounts why=").count();
    }
    assert_eq!(without, 3);
}
