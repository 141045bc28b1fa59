//! How fast a drop box takes a file, against `socat` and a sync of what it wrote, with the same sender for both and in
//! turn; how much memory many uploads at once cost the server; and how late a peer's ticks are on a server that takes
//! uploads at full speed. The real program, over loopback, every file brought to disk.
//!
//! `cargo bench --bench upload`. UPLOAD_MIB sets the size of the file (default 1024, 0 leaves the case out), UPLOAD_ROUNDS the
//! number of rounds (default 5), UPLOAD_CLIENTS those who upload at once (default 200), UPLOAD_RUN the length of the peer's
//! run in seconds (default 10), UPLOAD_DIR the folder (default: the system's for temporary files). What is not on PATH is left out.

#![allow(clippy::disallowed_methods)] // a benchmark measures time, and sends from threads

mod common;

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::sendfile::sendfile64;

use crate::common::{
    Removed, Running, assert_same, finish, is_there, median, setting, settle, time, write_noise,
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tickmesh");
/// Who uploads at full speed beside a peer.
const SENDERS: usize = 2;
/// What each of them uploads, again and again.
const SENT_MIB: u64 = 256;
/// What each of many who upload at once brings.
const EACH_BYTES: u64 = 4 << 20;

fn main() {
    let folder = std::env::var_os("UPLOAD_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = Removed::new(folder.join(format!("tickmesh-upload-{}", std::process::id())));
    let rounds = setting("UPLOAD_ROUNDS", 5);
    let mib = setting("UPLOAD_MIB", 1024);
    if mib > 0 {
        let file = folder.0.join("file.bin");
        write_noise(&file, mib << 20);
        one_file(&folder.0, &file, mib, rounds);
        fs::remove_file(file).expect("the file can be removed");
    }
    let clients = setting("UPLOAD_CLIENTS", 200);
    if clients > 0 {
        many_at_once(&folder.0, clients);
    }
    let seconds = setting("UPLOAD_RUN", 10);
    if seconds > 0 {
        let file = folder.0.join("file.bin");
        write_noise(&file, SENT_MIB << 20);
        ticks_beside(&folder.0, &file, seconds, rounds);
    }
}

// --- One file ---------------------------------------------------------------------------------

fn one_file(folder: &Path, file: &Path, mib: u64, rounds: usize) {
    let with_socat = is_there("socat");
    let (mut ours, mut others) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        for turn in 0..2 {
            if (round + turn) % 2 == 0 {
                let server = Server::start(folder);
                settle();
                ours.push(time(|| upload(server.uploads, "file.bin", file)));
                assert_same(file, &server.folder.0.join("uploads/file.bin"));
            } else if with_socat {
                let to = Removed::new(folder.join("socat"));
                let to_file = to.0.join("file.bin");
                let (mut socat, addr) = socat(&to_file);
                settle();
                others.push(time(|| {
                    let mut link = connect(addr);
                    send_all(file, &mut link);
                    drop(link);
                    finish(&mut socat.0);
                    File::open(&to_file).and_then(|file| file.sync_all()).expect("it reaches the disk");
                }));
                assert_same(file, &to_file);
            }
        }
    }
    let ours = median(&mut ours);
    println!("one upload, {mib} MiB (medians of {rounds}):");
    println!("    tickmesh server {ours:.2} s, a pause of 0.1 s before its go ahead included");
    if with_socat {
        let other = median(&mut others);
        println!("    socat and sync {other:.2} s, ratio {:.2}", ours / other);
    }
}

/// Brings a file to a drop box and waits until it is on disk.
fn upload(addr: SocketAddr, name: &str, file: &Path) {
    let bytes = file.metadata().expect("a file of ours").len();
    let mut link = begin(addr, name, bytes);
    send_all(file, &mut link);
    wait_for_end(link);
}

fn begin(addr: SocketAddr, name: &str, bytes: u64) -> TcpStream {
    let mut link = connect(addr);
    link.write_all(&[&bytes.to_be_bytes()[..], name.as_bytes()].concat()).expect("a header is taken");
    let mut answer = [0; 8];
    link.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"go ahead");
    link
}

fn wait_for_end(mut link: TcpStream) {
    let mut rest = Vec::new();
    link.read_to_end(&mut rest).expect("an orderly end: it is stored");
    assert!(rest.is_empty());
}

fn send_all(file: &Path, link: &mut TcpStream) {
    let file = File::open(file).expect("a file of ours");
    while sendfile64(&*link, &file, None, 1 << 20).expect("it takes the file") > 0 {}
}

fn socat(to: &Path) -> (Running, SocketAddr) {
    // It cannot choose a port itself.
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let addr = free.expect("a free port");
    let mut command = Command::new("socat");
    command.args(["-u", "-b", "262144", &format!("TCP-LISTEN:{},bind=127.0.0.1,reuseaddr", addr.port())]);
    command.arg(format!("OPEN:{},creat,trunc", to.display()));
    (Running(command.spawn().expect("socat starts")), addr)
}

/// The other end may not listen yet.
fn connect(addr: SocketAddr) -> TcpStream {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match TcpStream::connect(addr) {
            Ok(link) => return link,
            Err(error) => assert!(Instant::now() < deadline, "{addr}: {error}"),
        }
        thread::sleep(Duration::from_millis(1));
    }
}

// --- Many at once -----------------------------------------------------------------------------

fn many_at_once(folder: &Path, clients: usize) {
    let server = Server::start(folder);
    let before = server.process.memory_kib("VmHWM:");
    let links: Vec<TcpStream> =
        (0..clients).map(|number| begin(server.uploads, &format!("many{number}"), EACH_BYTES)).collect();
    let piece = vec![7; EACH_BYTES as usize];
    let started = Instant::now();
    thread::scope(|scope| {
        for mut link in links {
            let piece = &piece;
            scope.spawn(move || {
                link.write_all(piece).expect("it takes the file");
                wait_for_end(link);
            });
        }
    });
    let (seconds, after) = (started.elapsed().as_secs_f64(), server.process.memory_kib("VmHWM:"));
    println!("{clients} uploads at once, {} MiB each:", EACH_BYTES >> 20);
    println!("    the server's memory {before} KiB before, {after} KiB at most; {seconds:.2} s");
}

// --- Ticks ------------------------------------------------------------------------------------

/// What is beside a peer, and whether it was started by `chrt -f 10`, ahead of whoever computes.
const CASES: [(&str, bool, bool); 3] = [
    ("uploads at full speed", true, false),
    ("the same, with the peer started by chrt -f 10", true, true),
    ("nothing", false, false),
];

fn ticks_beside(folder: &Path, file: &Path, seconds: u64, rounds: usize) {
    // Missed, p50 and p99 in µs, MB/s.
    let mut figures = CASES.map(|_| [const { Vec::new() }; 4]);
    for round in 0..rounds {
        for turn in 0..CASES.len() {
            let case = (round + turn) % CASES.len();
            let (_, with_uploads, ahead) = CASES[case];
            if ahead && !may_run_ahead() {
                continue;
            }
            let server = Server::start(folder);
            settle();
            let all = one_run(&server, file, seconds, with_uploads, ahead);
            figures[case].iter_mut().zip(all).for_each(|(list, one)| list.push(one));
        }
    }
    println!("a peer at 10 ms for {seconds} s on a server that takes uploads (medians of {rounds}):");
    for (mut figures, (beside, ..)) in figures.into_iter().zip(CASES).filter(|(of, _)| !of[0].is_empty()) {
        figures.iter_mut().for_each(|list| list.sort_by(f64::total_cmp));
        let [missed, p50, p99, mb_per_s] = figures.map(|list| list[list.len() / 2]);
        let slots = seconds * 100;
        print!("    beside {beside}: missed {missed} of {slots}, late by p50 {p50:.0} µs, p99 {p99:.0} µs");
        println!("{}", if mb_per_s > 0.0 { format!(", {mb_per_s:.0} MB/s came in") } else { String::new() });
    }
}

fn one_run(server: &Server, file: &Path, seconds: u64, with_uploads: bool, ahead: bool) -> [f64; 4] {
    let (over, bytes) = (AtomicBool::new(false), AtomicU64::new(0));
    let report = thread::scope(|scope| {
        for sender in (0..SENDERS).filter(|_| with_uploads) {
            let (over, bytes) = (&over, &bytes);
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    let name = format!("sender{sender}");
                    upload(server.uploads, &name, file);
                    bytes.fetch_add(SENT_MIB << 20, Ordering::Relaxed);
                    remove(&server.folder.0.join("uploads").join(name));
                }
            });
        }
        let report = server.run_peer(seconds, ahead);
        over.store(true, Ordering::Relaxed);
        report
    });
    let field = |of: &serde_json::Value, name: &str| of[name].as_f64().expect("a figure of a peer");
    let late = &report["lateness_ns"];
    let mb_per_s = bytes.load(Ordering::Relaxed) as f64 / 1e6 / seconds as f64;
    [field(&report, "ticks_missed"), field(late, "p50") / 1e3, field(late, "p99") / 1e3, mb_per_s]
}

/// Piece by piece: the removal of a whole one is a call of 10 ms, which a kernel without preemption lets nobody interrupt.
fn remove(path: &Path) {
    let file = File::options().write(true).open(path).expect("it was stored");
    for mib in (0..SENT_MIB).rev().step_by(4) {
        file.set_len(mib << 20).expect("it can be made shorter");
    }
    fs::remove_file(path).expect("it can be removed");
}

fn may_run_ahead() -> bool {
    Command::new("chrt").args(["-f", "10", "true"]).output().is_ok_and(|output| output.status.success())
}

// --- Processes --------------------------------------------------------------------------------

struct Server {
    process: Running,
    mesh: SocketAddr,
    uploads: SocketAddr,
    folder: Removed,
}

impl Server {
    fn start(folder: &Path) -> Server {
        let folder = Removed::new(folder.join("server"));
        let mut command = Command::new(PROGRAM);
        command.args(["server", "--listen", "127.0.0.1:0", "--upload-listen", "127.0.0.1:0"]);
        command.args(["--log-level", "error", "--state"]).arg(&folder.0).arg("--out").arg(&folder.0);
        let (process, [mesh, uploads]) = Running::server(&mut command);
        Server { process, mesh, uploads, folder }
    }

    fn run_peer(&self, seconds: u64, ahead: bool) -> serde_json::Value {
        let mut command = Command::new(if ahead { "chrt" } else { PROGRAM });
        command.args(if ahead { &["-f", "10", PROGRAM][..] } else { &[] });
        command.args(["peer", "--no-share", "--json", "--server", &self.mesh.to_string(), "--out"]);
        command.arg(self.folder.0.join("peer")).args(["--duration", &format!("{seconds}s")]);
        let output = command.stderr(Stdio::inherit()).output().expect("a peer starts");
        assert!(output.status.success(), "the peer failed: {}", output.status);
        let mut report: serde_json::Value =
            serde_json::from_slice(&output.stdout).expect("a peer reports in JSON");
        report["peers"][0].take()
    }
}
