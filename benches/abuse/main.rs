//! What a hundred peers notice while their server is abused: 5,000 connections that say nothing, 200 that send noise as
//! fast as it is taken, 200 that ask for much and read nothing, and a disk that is full for three seconds. The real program with its
//! default limits, as processes of their own, over loopback, the abuse from 500 addresses of this host.
//!
//! Those who abuse share the processors with those who are measured, so they get what nobody else wants (`chrt --idle 0`): what is
//! measured is the server, and not who gets a processor. The server's files are on a file system of their own if this may mount one (root);
//! otherwise the disk stays as it is, which is said.
//!
//! `cargo bench --bench abuse`, and behind `--` some of `quiet abuse` for only these. ABUSE_SILENT, ABUSE_NOISY, ABUSE_DEAF set how many
//! there are, ABUSE_ADDRESSES where they come from, ABUSE_S how long it lasts (default 12), ABUSE_DISK=0 leaves the disk alone.

#![allow(clippy::disallowed_methods)] // a benchmark measures time

#[path = "../common/mod.rs"]
mod common;
mod load;

use std::fs::{self, File};
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use tickmesh::proto::record::{read_samples, read_table};

use crate::common::{Running, setting};
use crate::load::Crowd;

const PROGRAM: &str = env!("CARGO_BIN_EXE_tickmesh");
const PEERS: usize = 100;
const INTERVAL_NS: u64 = 10_000_000;
const BEFORE: Duration = Duration::from_secs(6);
/// After the abuse: this long it may take until all is well, and so long it is looked at.
const SETTLE: Duration = Duration::from_secs(5);
const AFTER: Duration = Duration::from_secs(5);
const DISK_FULL: Duration = Duration::from_secs(3);
const DISK_MIB: u64 = 128;

fn main() {
    let crowd = Crowd {
        silent: setting("ABUSE_SILENT", 5000),
        noisy: setting("ABUSE_NOISY", 200),
        deaf: setting("ABUSE_DEAF", 200),
        addresses: setting("ABUSE_ADDRESSES", 500),
    };
    if let Ok(addr) = std::env::var("ABUSE_SERVER") {
        println!("{:?}", load::run(addr.parse().expect("an address"), crowd));
        return;
    }
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    for (case, abused) in [("quiet", None), ("abuse", Some(crowd))] {
        if wanted.is_empty() || wanted.iter().any(|one| one == case) {
            run(case, abused);
        }
    }
}

/// One run of the peers, abused in its middle or not.
fn run(case: &str, abused: Option<Crowd>) {
    let folder = tempfile::tempdir().expect("a folder");
    let (disk, others) = (Disk::new(folder.path(), "disk"), Disk::new(folder.path(), "peers"));
    let mut server = Server::start(&disk.path);
    let dropped = dropped_packets();
    let during = Duration::from_secs(setting("ABUSE_S", 12));
    let seconds = (BEFORE + during + SETTLE + AFTER).as_secs();
    let peers = start_peers(&others.path, server.addr, seconds + 1);
    let mut memory = vec![("before", server.process.memory_kib("VmRSS:"))];
    thread::sleep(BEFORE);
    let began = unix_ns();
    let load = abused.map(|_| start_load(server.addr));
    thread::sleep(during / 3);
    let with_disk = abused.is_some() && setting("ABUSE_DISK", 1) == 1;
    disk.fill(with_disk);
    thread::sleep(DISK_FULL);
    disk.free();
    let status = server.status();
    thread::sleep((during * 2 / 3).saturating_sub(DISK_FULL));
    memory.push(("abused", server.process.memory_kib("VmRSS:")));
    let done = load.map(end_load);
    let ended = unix_ns();
    thread::sleep(SETTLE);
    memory.push(("5 s after it", server.process.memory_kib("VmRSS:")));
    memory.push(("at most", server.process.memory_kib("VmHWM:")));
    let after = server.status();
    let output = peers.wait_with_output().expect("the peers end");
    let report: Value = serde_json::from_slice(&output.stdout).expect("the peers report in JSON");
    server.stop();

    println!(
        "{case}: {PEERS} peers at 10 ms, for {} s: {}",
        during.as_secs(),
        done.as_deref().unwrap_or("nothing")
    );
    let phases = [
        ("before", began - BEFORE.as_nanos() as u64 + 2_000_000_000, began),
        ("abused", began, ended),
        ("settling, 5 s", ended, ended + SETTLE.as_nanos() as u64),
        ("after", ended + SETTLE.as_nanos() as u64, ended + (SETTLE + AFTER).as_nanos() as u64),
    ];
    println!(
        "    {:<21} {:>7} {:>9} {:>7}  {:>32}  {:>32}  {:>32}  {:>32}",
        "µs: p50 p99 p99.9 max", "due", "no answer", "> 10 ms", "late by", "there", "at the server", "back"
    );
    for (name, from, to) in phases {
        Phase::read(&others.path, &report, from, to).print(name);
    }
    let kib = memory.iter().map(|(when, kib)| format!("{when} {kib} KiB")).collect::<Vec<_>>();
    println!("    the server's memory: {}", kib.join(", "));
    println!("    tickmesh status when abused: {}; 5 s after it: {}", said(&status), said(&after));
    println!(
        "    packets that the kernel dropped on their way through this host: {}",
        dropped_packets() - dropped
    );
    check_record(&disk.path, &report);
}

/// What a phase was for the peers.
#[derive(Default)]
struct Phase {
    due: u64,
    unanswered: u64,
    overdue: u64,
    late_ns: Vec<u64>,
    /// Until the tick is in the server's kernel.
    there_ns: Vec<u64>,
    /// From then until its answer is written.
    at_server_ns: Vec<u64>,
    /// From then until that is here.
    back_ns: Vec<u64>,
}

impl Phase {
    /// Of all ticks that were due between two times.
    fn read(folder: &Path, report: &Value, from: u64, to: u64) -> Phase {
        let mut phase = Phase::default();
        for peer in report["peers"].as_array().expect("peers") {
            let id = peer["id"].as_str().expect("an ID");
            let path = folder.join(format!("client_{id}_samples.csv"));
            let content = fs::read(path).expect("samples");
            let (samples, _) = read_samples(&content).expect("samples");
            let Some(first) = samples.first() else { continue };
            let start = first.t1.0 - first.lateness_ns - first.seq * INTERVAL_NS;
            let due = peer["ticks_due"].as_u64().expect("a number");
            phase.due +=
                (0..due).filter(|seq| (from..to).contains(&(start + seq * INTERVAL_NS))).count() as u64;
            for one in samples.iter().filter(|one| (from..to).contains(&(start + one.seq * INTERVAL_NS))) {
                let trip = one.t4.0.saturating_sub(one.t1.0);
                phase.overdue += u64::from(one.lateness_ns.max(trip) > INTERVAL_NS);
                phase.late_ns.push(one.lateness_ns);
                phase.there_ns.push(one.t2.0.saturating_sub(one.t1.0));
                phase.at_server_ns.push(one.t3.0.saturating_sub(one.t2.0));
                phase.back_ns.push(one.t4.0.saturating_sub(one.t3.0));
            }
        }
        phase.unanswered = phase.due - phase.late_ns.len() as u64;
        phase
    }

    fn print(mut self, name: &str) {
        let [late, there, at_server, back] =
            [&mut self.late_ns, &mut self.there_ns, &mut self.at_server_ns, &mut self.back_ns].map(|list| {
                list.sort_unstable();
                let at = |part: f64| list.get((list.len() as f64 * part) as usize).map_or(0, |ns| ns / 1000);
                let max = list.last().map_or(0, |ns| ns / 1000);
                format!("{:>7} {:>7} {:>7} {max:>8}", at(0.5), at(0.99), at(0.999))
            });
        println!(
            "    {name:<21} {:>7} {:>9} {:>7}  {late}  {there}  {at_server}  {back}",
            self.due, self.unanswered, self.overdue
        );
    }
}

fn said(status: &Value) -> String {
    let figure = |group: &str, name: &str| status[group][name].as_u64().expect("a figure");
    format!(
        "{} links ({} people, {} unknown), {} bytes wait",
        figure("driver", "links"),
        figure("server", "links_talking"),
        figure("server", "links_unknown"),
        figure("driver", "queued_bytes"),
    )
}

/// What the server has written down, against what the peers have.
fn check_record(folder: &Path, report: &Value) {
    let table = fs::read(folder.join("serverTimeData.txt")).expect("a table");
    let facts = read_table(&table).unwrap_or_else(|error| panic!("the server's table: {error}"));
    let sum = |name: &str| -> u64 {
        let peers = report["peers"].as_array().expect("peers").iter();
        peers.map(|peer| peer[name].as_u64().unwrap_or(0)).sum()
    };
    let end = facts.complete.map(|end| {
        format!("{}{}", end.elapsed, end.cause.map_or(String::new(), |cause| format!(": {cause}")))
    });
    println!(
        "    the server's table: {} rows, well formed, ended {end:?}; the peers sent {} and were answered {}; missed {} (overslept {}, blocked {}, offline {})",
        facts.rows,
        sum("ticks_sent"),
        sum("ticks_answered"),
        sum("ticks_missed"),
        sum("ticks_overslept"),
        sum("ticks_blocked"),
        sum("ticks_offline"),
    );
    let log = fs::read_to_string(folder.join("server.log")).expect("a log");
    let mut kinds = std::collections::BTreeMap::new();
    for line in log.lines() {
        let words: Vec<&str> = line.split(' ').skip(1).take_while(|word| !word.contains('=')).collect();
        *kinds.entry(words.join(" ")).or_insert(0) += 1;
    }
    println!("    the log: {} lines: {kinds:?}", log.lines().count());
}

// --- The disk ---------------------------------------------------------------------------------

/// A file system of its own, if that is allowed.
struct Disk {
    path: PathBuf,
    is_mounted: bool,
}

impl Disk {
    fn new(folder: &Path, name: &str) -> Disk {
        let path = folder.join(name);
        fs::create_dir(&path).expect("a folder");
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &format!("size={DISK_MIB}m"), "tmpfs"]).arg(&path);
        let is_mounted = command.stderr(Stdio::null()).status().is_ok_and(|status| status.success());
        Disk { path, is_mounted }
    }

    fn filler(&self) -> PathBuf {
        self.path.join("filler")
    }

    fn fill(&self, wanted: bool) {
        if wanted && !self.is_mounted {
            println!("without a full disk: nothing can be mounted here (that takes root)");
        } else if wanted {
            let mut file = File::create(self.filler()).expect("a file to fill the disk");
            while file.write_all(&[0; 1 << 16]).is_ok() {}
            while file.write_all(&[0]).is_ok() {}
        }
    }

    fn free(&self) {
        let _ = fs::remove_file(self.filler());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.is_mounted {
            let _ = Command::new("umount").arg("-l").arg(&self.path).status();
        }
    }
}

// --- Processes --------------------------------------------------------------------------------

struct Server {
    process: Running,
    addr: SocketAddr,
}

impl Server {
    fn start(disk: &Path) -> Server {
        let mut command = Command::new(PROGRAM);
        command.args(["server", "--listen", "127.0.0.1:0", "--log-file"]).arg(disk.join("server.log"));
        command.arg("--out").arg(disk).arg("--state").arg(disk.join("state"));
        let (process, [addr]) = Running::server(&mut command);
        Server { process, addr }
    }

    fn status(&self) -> Value {
        let mut command = Command::new(PROGRAM);
        command.args(["status", "--json", "--server", &self.addr.to_string()]);
        let output = command.stderr(Stdio::inherit()).output().expect("a status");
        assert!(output.status.success(), "status: {}", output.status);
        serde_json::from_slice(&output.stdout).expect("a status in JSON")
    }

    fn stop(&mut self) {
        let pid = nix::unistd::Pid::from_raw(self.process.0.id() as i32);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).expect("it runs");
        println!("    the server ended: {}", self.process.0.wait().expect("a process of ours"));
    }
}

fn start_peers(folder: &Path, server: SocketAddr, seconds: u64) -> Child {
    let mut command = Command::new(PROGRAM);
    command.args(["peer", "--no-share", "--json", "--count", &PEERS.to_string()]);
    command.args(["--server", &server.to_string(), "--duration", &format!("{seconds}s"), "--out"]);
    command.arg(folder).stdout(Stdio::piped()).spawn().expect("peers start")
}

fn start_load(server: SocketAddr) -> Child {
    let mut command = Command::new("chrt");
    command.args(["--idle", "0"]).arg(std::env::current_exe().expect("this program"));
    command.env("ABUSE_SERVER", server.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped());
    command.spawn().expect("those who abuse start")
}

/// What it says that it has done.
fn end_load(mut load: Child) -> String {
    drop(load.stdin.take());
    let output = load.wait_with_output().expect("those who abuse end");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Packets for which the queue of a processor had no room (`net.core.netdev_max_backlog`). A tick among them is sent again, later.
fn dropped_packets() -> u64 {
    let stats = fs::read_to_string("/proc/net/softnet_stat").unwrap_or_default();
    let of_line = |line: &str| u64::from_str_radix(line.split(' ').nth(1)?, 16).ok();
    stats.lines().filter_map(of_line).sum()
}

fn unix_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970").as_nanos() as u64
}
