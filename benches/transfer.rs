//! How fast files go from one to another, against what else brings the same bytes to disk in the same
//! run: nginx with curl, nginx with aria2c, cp. The real program, as processes of their own, over loopback, every
//! file brought to disk. All take turns, each with a fresh target and a disk that has nothing else to do.
//!
//! `cargo bench --bench transfer`. TRANSFER_MIB sets the size of the file for one downloader (default 1024),
//! TRANSFER_MANY_MIB that for ten (default 256), 0 leaves the case out; TRANSFER_PEERS the peers that share their records
//! (default 20), TRANSFER_ROUNDS the number of rounds (default 5), TRANSFER_DIR the folder (default: the system's for
//! temporary files). What is not on PATH is left out.

#![allow(clippy::disallowed_methods)] // a benchmark measures time

mod common;

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::{
    Removed, Running, assert_same, finish, is_there, median, setting, settle, time, write_noise,
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tickmesh");
const DOWNLOADERS: usize = 10;
/// Ticks of a run of five minutes, in a tenth of the time.
const RUN: [&str; 4] = ["--interval", "1ms", "--duration", "30s"];
const RUN_TIME: Duration = Duration::from_secs(30);
const UPLOAD_LIMIT: [&str; 2] = ["--upload-limit", "2MB/s"];
const UPLOAD_LIMIT_BYTES_PER_S: u64 = 2_000_000;

fn main() {
    let rounds = setting("TRANSFER_ROUNDS", 5);
    let folder = std::env::var_os("TRANSFER_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = Removed::new(folder.join(format!("tickmesh-transfer-{}", std::process::id())));
    type Case = fn(&Path, &Path, u64, usize);
    let cases: [(&str, u64, Case); 2] =
        [("TRANSFER_MIB", 1024, one_to_one), ("TRANSFER_MANY_MIB", 256, one_to_many)];
    for (name, usual, case) in cases {
        let mib = setting(name, usual);
        if mib > 0 {
            let file = folder.0.join("file.bin");
            write_noise(&file, mib << 20);
            case(&folder.0, &file, mib, rounds);
            fs::remove_file(file).expect("the file can be removed");
        }
    }
    let peers = setting("TRANSFER_PEERS", 20);
    if peers > 1 {
        all_to_all(&folder.0, peers, rounds);
    }
}

/// A way to bring the file to a place, on disk.
type Way<'a> = (&'static str, Box<dyn Fn(&Path) + 'a>);

fn one_to_one(folder: &Path, file: &Path, mib: u64, rounds: usize) {
    let server = Server::start(folder);
    let _holder = server.share(file, folder);
    let nginx = is_there("nginx").then(|| Nginx::start(folder));
    let mut ways: Vec<Way<'_>> = vec![
        ("tickmesh", Box::new(|to| finish(&mut server.get(to.parent().expect("a folder"))))),
        ("cp", Box::new(|to| copy(file, to))),
    ];
    if let Some(nginx) = &nginx {
        for (program, begin) in
            [("curl", Nginx::curl as fn(&Nginx, &Path) -> Command), ("aria2c", Nginx::aria2c)]
        {
            if is_there(program) {
                ways.push((program, Box::new(move |to| run_and_sync(begin(nginx, to), to))));
            }
        }
    }
    let mut times = vec![Vec::new(); ways.len()];
    for round in 0..rounds {
        for turn in 0..ways.len() {
            let way = (round + turn) % ways.len();
            let got = Removed::new(folder.join("got"));
            let to = got.0.join("file.bin");
            settle();
            times[way].push(time(|| ways[way].1(&to)));
            assert_same(file, &to);
        }
    }
    println!("one holder, one downloader, {mib} MiB (medians of {rounds}):");
    let ours = median(&mut times[0]);
    println!("    tickmesh {ours:.2} s");
    for ((name, _), times) in ways.iter().zip(&mut times).skip(1) {
        let other = median(times);
        println!("    {name} and sync {other:.2} s, ratio {:.2}", ours / other);
    }
}

fn one_to_many(folder: &Path, file: &Path, mib: u64, rounds: usize) {
    let (mut got, mut copied, mut factors) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let copies = Removed::new(folder.join("copies"));
        settle();
        copied.push(time(|| (0..DOWNLOADERS).for_each(|to| copy(file, &copies.0.join(to.to_string())))));
        drop(copies);
        let server = Server::start(folder);
        let holder = server.share(file, folder);
        let places: Vec<Removed> =
            (0..DOWNLOADERS).map(|place| Removed::new(folder.join(format!("many{place}")))).collect();
        settle();
        got.push(time(|| {
            let mut gets: Vec<Child> = places.iter().map(|place| server.get(&place.0)).collect();
            gets.iter_mut().for_each(finish);
        }));
        factors.push(holder.stop() as f64 / (mib << 20) as f64);
        places.iter().for_each(|place| assert_same(file, &place.0.join("file.bin")));
    }
    factors.sort_by(f64::total_cmp);
    let (ours, cp) = (median(&mut got), median(&mut copied));
    println!("one origin, {DOWNLOADERS} downloaders, {mib} MiB (medians of {rounds}):");
    println!("    tickmesh {ours:.2} s, cp and sync {cp:.2} s, ratio {:.2}", ours / cp);
    println!("    the origin sent {:.2} times the file", factors[factors.len() / 2]);
}

/// Makes one copy.
type CopyOne = fn(&Path, &Path);

/// Run files of five minutes: 30,000 ticks a peer, at ten times the usual rate.
fn all_to_all(folder: &Path, peers: usize, rounds: usize) {
    // The same bytes again, as copies: how each is made, and whether all are synced at the end.
    let ways: [(&str, CopyOne, bool); 3] = [
        ("cp and sync of each", copy, false),
        ("copies and one sync", copy_to_memory, true),
        ("copies without a sync", copy_to_memory, false),
    ];
    let (mut shared, mut copied) = (Vec::new(), ways.map(|_| Vec::new()));
    let (mut files, mut bytes, mut octets) = (Vec::new(), 0, 0);
    for round in 0..rounds {
        let out = Removed::new(folder.join("peers"));
        let (time_shared, sent) = share_records(folder, &out.0, peers, &[]);
        shared.push(time_shared);
        files = received(&out.0);
        bytes = files.iter().map(|file| file.metadata().map_or(0, |facts| facts.len())).sum::<u64>();
        octets = sent;
        for turn in 0..ways.len() {
            let way = (round + turn) % ways.len();
            let (_, copy, sync) = ways[way];
            // Removed before the next, so that none has less memory than another.
            let to = Removed::new(folder.join("copies"));
            settle();
            copied[way].push(time(|| copy_all(&files, &to.0, copy, sync)));
        }
    }
    let (ours, count, mb) = (median(&mut shared), files.len(), bytes / 1_000_000);
    println!("{peers} peers, run files all to all, {count} copies, {mb} MB (medians of {rounds}):");
    println!("    tickmesh {ours:.2} s, {} MB on the wire", octets / 1_000_000);
    for ((name, ..), times) in ways.iter().zip(&mut copied) {
        let other = median(times);
        println!("    {name} {other:.2} s, ratio {:.2}", ours / other);
    }

    let out = Removed::new(folder.join("limited"));
    let (shared, octets) = share_records(folder, &out.0, peers, &UPLOAD_LIMIT);
    let shared = shared.as_secs_f64();
    // The limit is one on octets, which are fewer than bytes of files.
    let bound = octets as f64 / (peers as u64 * UPLOAD_LIMIT_BYTES_PER_S) as f64;
    let (limit, ratio) = (UPLOAD_LIMIT.join(" "), shared / bound);
    println!("    with {limit} {shared:.2} s, bound {bound:.2} s, ratio {ratio:.2}");
}

/// How long the peers take from the end of their run to their own, and the octets that all of them sent.
fn share_records(folder: &Path, out: &Path, peers: usize, more: &[&str]) -> (Duration, u64) {
    let server = Server::start(folder);
    settle();
    let started = Instant::now();
    let peers: Vec<Child> = (0..peers)
        .map(|_| {
            let mut command = Command::new(PROGRAM);
            command.args(["peer", "--server", &server.addr, "--json", "--out"]).arg(out).args(RUN).args(more);
            command.stdout(Stdio::piped()).spawn().expect("a peer starts")
        })
        .collect();
    let octets = peers.into_iter().map(octets_sent).sum();
    (started.elapsed().saturating_sub(RUN_TIME), octets)
}

/// What a peer says of itself at its end.
fn octets_sent(peer: Child) -> u64 {
    let output = peer.wait_with_output().expect("it can be waited for");
    assert!(output.status.success(), "a peer failed: {}", output.status);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("a peer reports in JSON");
    report["peers"][0]["wire_bytes_sent"].as_u64().expect("it says what it sent")
}

/// What peers got from others.
fn received(out: &Path) -> Vec<PathBuf> {
    let list = |folder: &Path| fs::read_dir(folder).expect("a folder of a peer").flatten();
    let folders = list(out).filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    folders.flat_map(|folder| list(&folder.path()).map(|file| file.path())).collect()
}

/// Serves the folder over HTTP, as one process.
struct Nginx {
    _process: Running,
    addr: String,
}

impl Nginx {
    fn start(folder: &Path) -> Nginx {
        // It cannot choose a port itself.
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let addr = free.expect("a free port").to_string();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path nginx-{kind};"))
            .concat();
        let config = format!(
            "daemon off; master_process off; pid nginx.pid; error_log nginx.log; events {{}}
             http {{ access_log off; sendfile on; tcp_nopush on; {temporary}
             server {{ listen {addr}; root .; }} }}"
        );
        fs::write(folder.join("nginx.conf"), config).expect("room for a few lines");
        let mut command = Command::new("nginx");
        command.arg("-p").arg(folder).args(["-c", "nginx.conf"]).stderr(Stdio::null());
        let process = command.spawn().expect("nginx starts");
        while TcpStream::connect(&addr).is_err() {
            thread::sleep(Duration::from_millis(10));
        }
        Nginx { _process: Running(process), addr }
    }

    fn curl(&self, to: &Path) -> Command {
        let mut command = Command::new("curl");
        command.args(["--silent", "--fail", "--output"]).arg(to).arg(self.url());
        command
    }

    fn aria2c(&self, to: &Path) -> Command {
        let mut command = Command::new("aria2c");
        command.args(["--quiet", "-x4", "-s4", "--out=file.bin", "--dir"]);
        command.arg(to.parent().expect("a folder")).arg(self.url());
        command
    }

    fn url(&self) -> String {
        format!("http://{}/file.bin", self.addr)
    }
}

struct Server {
    _process: Running,
    addr: String,
}

impl Server {
    fn start(folder: &Path) -> Server {
        let mut command = Command::new(PROGRAM);
        command.args(["server", "--listen", "127.0.0.1:0", "--log-level", "error", "--out"]);
        let (process, [addr]) = Running::server(command.arg(folder.join("server")));
        Server { _process: process, addr: addr.to_string() }
    }

    /// Offers the file; returns when the catalog has it.
    fn share(&self, file: &Path, folder: &Path) -> Holder {
        let mut command = Command::new(PROGRAM);
        command.args(["share", "--server", &self.addr, "--json"]).arg(file).current_dir(folder);
        let mut process = command.stdout(Stdio::piped()).spawn().expect("a holder starts");
        let mut events = BufReader::new(process.stdout.take().expect("a pipe"));
        let mut line = String::new();
        events.read_line(&mut line).expect("the holder says that it shares");
        assert!(line.contains("offered"), "{line}");
        Holder { process: Running(process), events }
    }

    fn get(&self, to: &Path) -> Child {
        let mut command = Command::new(PROGRAM);
        command.args(["get", "file.bin", "--server", &self.addr, "--to"]).arg(to);
        command.stdout(Stdio::null()).spawn().expect("a downloader starts")
    }
}

struct Holder {
    process: Running,
    events: BufReader<std::process::ChildStdout>,
}

impl Holder {
    /// Stops it, and returns the bytes that it says it has sent.
    fn stop(mut self) -> u64 {
        nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(self.process.0.id() as i32),
            nix::sys::signal::Signal::SIGTERM,
        )
        .expect("the holder is there");
        let mut rest = String::new();
        self.events.read_to_string(&mut rest).expect("its last words");
        let last = rest.lines().last().expect("a last event");
        let event: serde_json::Value = serde_json::from_str(last).expect("an event is JSON");
        event["bytes_sent"].as_u64().expect("bytes sent")
    }
}

fn copy(from: &Path, to: &Path) {
    let mut command = Command::new("cp");
    command.arg(from).arg(to);
    run_and_sync(command, to);
}

fn copy_to_memory(from: &Path, to: &Path) {
    fs::copy(from, to).expect("room for a copy");
}

/// With `sync`, all of them are brought to disk together.
fn copy_all(files: &[PathBuf], to: &Path, copy: CopyOne, sync: bool) {
    files.iter().enumerate().for_each(|(number, file)| copy(file, &to.join(number.to_string())));
    if sync {
        let folder = File::open(to).expect("a folder of ours");
        nix::unistd::syncfs(folder).expect("the copies reach the disk");
    }
}

fn run_and_sync(mut command: Command, to: &Path) {
    let status = command.status().expect("it runs");
    assert!(status.success(), "{command:?}: {status}");
    File::open(to).and_then(|file| file.sync_all()).expect("the copy reaches the disk");
}
