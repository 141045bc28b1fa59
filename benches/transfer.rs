//! How fast files go from one to another, against `cp` and a sync of the same bytes in the same run.
//! The real program, as processes of their own, over loopback, every file brought to disk.
//!
//! `cargo bench --bench transfer`; TRANSFER_MIB sets the size of the file (default 1024), TRANSFER_ROUNDS
//! the number of rounds (default 5), TRANSFER_DIR the folder (default: the system's for temporary files).

#![allow(clippy::disallowed_methods)] // a benchmark measures time

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tickmesh");
const DOWNLOADERS: usize = 10;
const PEERS: usize = 20;
/// Ticks of a run of five minutes, in a tenth of the time.
const RUN: [&str; 4] = ["--interval", "1ms", "--duration", "30s"];
const RUN_TIME: Duration = Duration::from_secs(30);

fn main() {
    let setting = |name: &str, usual: u64| {
        std::env::var(name).map_or(usual, |value| value.parse().unwrap_or_else(|_| panic!("{name}={value}")))
    };
    let (mib, rounds) = (setting("TRANSFER_MIB", 1024), setting("TRANSFER_ROUNDS", 5) as usize);
    let folder = std::env::var_os("TRANSFER_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = folder.join(format!("tickmesh-transfer-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder for the files");
    let folder = Removed(folder);
    let file = folder.0.join("file.bin");
    write_noise(&file, mib << 20);
    one_to_one(&folder.0, &file, mib, rounds);
    one_to_many(&folder.0, &file, mib, rounds);
    all_to_all(&folder.0);
}

fn one_to_one(folder: &Path, file: &Path, mib: u64, rounds: usize) {
    let server = Server::start(folder);
    let _holder = server.share(file, folder);
    let (mut got, mut copied) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        copied.push(time(|| copy(file, &folder.join("copy.bin"))));
        let to = folder.join("got");
        got.push(time(|| finish(server.get(&to))));
        assert_same(file, &to.join("file.bin"));
        fs::remove_dir_all(&to).expect("the copy can be removed");
        fs::remove_file(folder.join("copy.bin")).expect("the copy can be removed");
    }
    report(&format!("one holder, one downloader, {mib} MiB"), got, copied);
}

fn one_to_many(folder: &Path, file: &Path, mib: u64, rounds: usize) {
    let (mut got, mut copied, mut factors) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let places: Vec<PathBuf> =
            (0..DOWNLOADERS).map(|place| folder.join(format!("many{place}"))).collect();
        places.iter().for_each(|place| fs::create_dir(place).expect("a folder for a copy"));
        copied.push(time(|| places.iter().for_each(|place| copy(file, &place.join("copy.bin")))));
        places.iter().for_each(|place| fs::remove_file(place.join("copy.bin")).expect("removed"));
        let server = Server::start(folder);
        let holder = server.share(file, folder);
        got.push(time(|| {
            let gets: Vec<Child> = places.iter().map(|place| server.get(place)).collect();
            gets.into_iter().for_each(finish);
        }));
        factors.push(holder.stop() as f64 / (mib << 20) as f64);
        for place in places {
            assert_same(file, &place.join("file.bin"));
            fs::remove_dir_all(place).expect("the copy can be removed");
        }
    }
    factors.sort_by(f64::total_cmp);
    report(&format!("one origin, {DOWNLOADERS} downloaders, {mib} MiB"), got, copied);
    println!("    the origin sent {:.2} times the file (median)", factors[factors.len() / 2]);
}

/// Run files of five minutes: 30,000 ticks a peer, at ten times the usual rate.
fn all_to_all(folder: &Path) {
    let server = Server::start(folder);
    let out = folder.join("peers");
    let started = Instant::now();
    let peers: Vec<Child> = (0..PEERS)
        .map(|_| {
            let mut command = Command::new(PROGRAM);
            command.args(["peer", "--server", &server.addr, "--json", "--out"]).arg(&out).args(RUN);
            command.stdout(Stdio::null()).spawn().expect("a peer starts")
        })
        .collect();
    peers.into_iter().for_each(finish);
    let shared = started.elapsed().saturating_sub(RUN_TIME);
    // The same bytes again, as cp would bring them where they are now.
    let mut bytes = 0;
    let copies = folder.join("copies");
    fs::create_dir(&copies).expect("a folder for the copies");
    let copied = time(|| {
        for received in fs::read_dir(&out).expect("the folder of the peers").flatten() {
            if !received.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            for file in fs::read_dir(received.path()).expect("a folder of copies").flatten() {
                let name = format!("{}-{}", received.file_name().display(), file.file_name().display());
                bytes += file.metadata().map_or(0, |facts| facts.len());
                copy(&file.path(), &copies.join(name));
            }
        }
    });
    report(
        &format!("{PEERS} peers, run files all to all, {} MB", bytes / 1_000_000),
        vec![shared],
        vec![copied],
    );
}

fn report(what: &str, mut ours: Vec<Duration>, mut cp: Vec<Duration>) {
    ours.sort();
    cp.sort();
    let (ours, cp) = (ours[ours.len() / 2].as_secs_f64(), cp[cp.len() / 2].as_secs_f64());
    println!("{what}: {ours:.2} s, cp and sync {cp:.2} s, ratio {:.2} (medians)", ours / cp);
}

struct Server {
    process: Child,
    addr: String,
}

impl Server {
    fn start(folder: &Path) -> Server {
        let mut command = Command::new(PROGRAM);
        command.args(["server", "--listen", "127.0.0.1:0", "--log-level", "error", "--out"]);
        let mut process =
            command.arg(folder.join("server")).stdout(Stdio::piped()).spawn().expect("a server starts");
        let mut line = String::new();
        let stdout = process.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("the server says where it listens");
        let addr = line.trim().rsplit(' ').next().expect("an address").to_owned();
        Server { process, addr }
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
        Holder { process, events }
    }

    fn get(&self, to: &Path) -> Child {
        let mut command = Command::new(PROGRAM);
        command.args(["get", "file.bin", "--server", &self.addr, "--to"]).arg(to);
        command.stdout(Stdio::null()).spawn().expect("a downloader starts")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

struct Holder {
    process: Child,
    events: BufReader<std::process::ChildStdout>,
}

impl Holder {
    /// Stops it, and returns the bytes that it says it has sent.
    fn stop(mut self) -> u64 {
        nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(self.process.id() as i32),
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

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A folder that goes away with the benchmark.
struct Removed(PathBuf);

impl Drop for Removed {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn finish(mut process: Child) {
    let status = process.wait().expect("a process of ours");
    assert!(status.success(), "{status}");
}

fn time(act: impl FnOnce()) -> Duration {
    let started = Instant::now();
    act();
    started.elapsed()
}

fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg(from).arg(to).status().expect("cp runs");
    assert!(status.success());
    File::open(to).and_then(|file| file.sync_all()).expect("the copy reaches the disk");
}

/// Bytes that cannot be compressed, the same each time.
fn write_noise(path: &Path, bytes: u64) {
    let mut file = File::create(path).expect("a file for the noise");
    let mut noise = blake3::Hasher::new().finalize_xof();
    let mut piece = vec![0; 1 << 20];
    for _ in 0..bytes >> 20 {
        noise.fill(&mut piece);
        file.write_all(&piece).expect("room for the noise");
    }
    file.sync_all().expect("the noise reaches the disk");
}

fn assert_same(one: &Path, other: &Path) {
    let status = Command::new("cmp").arg(one).arg(other).status().expect("cmp runs");
    assert!(status.success(), "{} differs from {}", other.display(), one.display());
}
