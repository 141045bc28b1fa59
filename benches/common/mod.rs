//! What benchmarks of whole programs share: settings, processes and folders that go away with them, files to send, and
//! medians. Measures nothing by itself.
#![allow(dead_code)] // each of them uses its part

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::thread;
use std::time::{Duration, Instant};

/// A number from the environment.
pub fn setting<T: FromStr>(name: &str, usual: T) -> T {
    std::env::var(name).map_or(usual, |value| value.parse().unwrap_or_else(|_| panic!("{name}={value}")))
}

/// A process that ends with whoever started it.
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    /// A server of ours, and the addresses that it says that it listens at.
    pub fn server<const N: usize>(command: &mut Command) -> (Running, [SocketAddr; N]) {
        let mut process = command.stdout(Stdio::piped()).spawn().expect("a server starts");
        let mut lines = BufReader::new(process.stdout.take().expect("a pipe"));
        let addrs = [(); N].map(|()| {
            let mut line = String::new();
            lines.read_line(&mut line).expect("the server says where it listens");
            line.trim().rsplit(' ').next().and_then(|addr| addr.parse().ok()).expect("an address")
        });
        (Running(process), addrs)
    }

    /// KiB of memory in use (`VmRSS:`), or the most that ever were (`VmHWM:`).
    pub fn memory_kib(&self, what: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix(what)).expect("a line of Linux");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }
}

/// A folder that goes away with all that is in it.
pub struct Removed(pub PathBuf);

impl Removed {
    pub fn new(folder: PathBuf) -> Removed {
        fs::create_dir_all(&folder).expect("a folder for files");
        Removed(folder)
    }
}

impl Drop for Removed {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A program that does not know the flag is there all the same.
pub fn is_there(program: &str) -> bool {
    let there = Command::new(program).arg("--version").output().is_ok();
    if !there {
        println!("without {program}: it is not on PATH");
    }
    there
}

/// What was written or removed before is not paid for by what comes next.
pub fn settle() {
    nix::unistd::sync();
    thread::sleep(Duration::from_millis(100));
}

pub fn finish(process: &mut Child) {
    let status = process.wait().expect("a process of ours");
    assert!(status.success(), "{status}");
}

pub fn time(act: impl FnOnce()) -> Duration {
    let started = Instant::now();
    act();
    started.elapsed()
}

pub fn median(times: &mut [Duration]) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64()
}

/// Bytes that cannot be compressed, the same each time.
pub fn write_noise(path: &Path, bytes: u64) {
    let mut file = File::create(path).expect("a file for the noise");
    let mut noise = blake3::Hasher::new().finalize_xof();
    let mut piece = vec![0; 1 << 20];
    for _ in 0..bytes >> 20 {
        noise.fill(&mut piece);
        file.write_all(&piece).expect("room for the noise");
    }
    file.sync_all().expect("the noise reaches the disk");
}

pub fn assert_same(one: &Path, other: &Path) {
    let status = Command::new("cmp").arg(one).arg(other).status().expect("cmp runs");
    assert!(status.success(), "{} differs from {}", other.display(), one.display());
}
