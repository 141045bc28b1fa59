//! What benchmarks of whole programs share: settings, processes and folders that go away with them, files to send, and
//! medians. Measures nothing by itself.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

/// A number from the environment.
pub fn setting(name: &str, usual: u64) -> u64 {
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
