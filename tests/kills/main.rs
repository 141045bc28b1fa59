//! A server under load that is killed at random moments, and started again on the same ports and the same folders: peers tick,
//! users talk, files are uploaded and fetched meanwhile. What was acknowledged is there afterwards, once it was; what has its own name is
//! whole; peers come back by themselves and count the gap. A table has all but its last quarter of a second.
//!
//! `KILLS=50 cargo test --test kills -- --nocapture` for more than the usual five, `KILLS_SEED` for the moments of an earlier run.

#[path = "../common/mod.rs"]
mod common;
mod left;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::drop::{addresses, header, sha256};
use common::{PATIENCE, Running, finish, run, start, text, wait_for};
use left::{Life, check_files, check_messages, check_peers, check_rows, check_tables, rows_due};
use nix::sys::signal::Signal;
use sha2::{Digest as _, Sha256};
use tickmesh::proto::time::Wall;
use tickmesh::sim::Rng;

const PEERS: u64 = 3;
const UPLOAD_BYTES_MAX: u64 = 3_000_000;

#[test]
fn a_server_that_is_killed_again_and_again_loses_nothing_that_it_has_acknowledged() {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let kills = number("KILLS").unwrap_or(5);
    let seed = number("KILLS_SEED").unwrap_or_else(any_seed);
    eprintln!("KILLS={kills} KILLS_SEED={seed}");
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    fs::write(folder.join("credentials.txt"), "alice sesame\nbob taler\n").unwrap();
    assert!(run(folder, "user import credentials.txt --state people").status.success());
    fs::write(folder.join("film.bin"), content("film", 2_000_000)).unwrap();

    let (mut server, mesh, uploads) = start_server(folder, None);
    let args = format!("peer --server {mesh} --count {PEERS} --duration 1h --no-share --json --out peers");
    let peers = start(folder, &args);
    let share = start(folder, &format!("share film.bin --id origin --server {mesh}"));
    let load = Load::new(folder, mesh, uploads);
    let (mut slowest, mut lives) = (Duration::ZERO, Vec::new());
    let server = thread::scope(|scope| {
        let over = Over(&load.is_over);
        scope.spawn(|| load.alice());
        scope.spawn(|| load.bob());
        scope.spawn(|| load.upload());
        scope.spawn(|| load.fetch());
        let mut rng = Rng::new(seed);
        wait_for_members(mesh);
        let mut life = Life { began: Wall(0), ended: Wall(u64::MAX) };
        // At least one life is so long that some of its rows must be there.
        wait_for("rows that are due", || (!rows_due(folder, &[life]).is_empty()).then_some(()));
        for _ in 0..kills {
            pause(rng.between(Duration::from_millis(20), Duration::from_millis(700)));
            lives.push(Life { ended: wall(), ..life });
            server.signal(Signal::SIGKILL);
            drop(finish(server));
            life.began = wall();
            check_files(&load);
            let began = now();
            server = start_server(folder, Some((mesh, uploads))).0;
            slowest = slowest.max(began.elapsed());
            wait_for_members(mesh);
        }
        drop(over);
        server
    });
    load.collect_mail();
    check_files(&load);
    check_messages(&load);
    check_peers(peers, kills);
    let got = run(folder, &format!("get film.bin --to last --server {mesh}"));
    assert!(got.status.success(), "{}", text(&got.stderr));
    share.signal(Signal::SIGINT);
    drop(finish(share));
    server.signal(Signal::SIGTERM);
    assert!(finish(server).status.success());
    let (rows, due) = (check_tables(folder, kills), check_rows(folder, &lives));
    assert!(due > 0 || kills == 0);
    eprintln!(
        "{} messages acknowledged, {} uploads stored, {} files fetched, {rows} rows, {due} of them before kills; the slowest start took {slowest:?}",
        load.acknowledged.lock().unwrap().len(),
        load.stored.lock().unwrap().len(),
        load.fetched.load(Ordering::Relaxed),
    );
}

fn start_server(
    folder: &Path,
    before: Option<(SocketAddr, SocketAddr)>,
) -> (Running, SocketAddr, SocketAddr) {
    let (mesh, uploads) = before
        .map_or(("127.0.0.1:0".to_owned(), "127.0.0.1:0".to_owned()), |(mesh, uploads)| {
            (mesh.to_string(), uploads.to_string())
        });
    let args = format!(
        "server --listen {mesh} --upload-listen {uploads} --state people --out out --pid-file server.pid --log-file server.log"
    );
    let mut server = start(folder, &args);
    let (mesh, uploads) = addresses(&mut server);
    (server, mesh, uploads)
}

/// All peers are back.
fn wait_for_members(mesh: SocketAddr) {
    wait_for("the peers", || {
        let mut line = Line::open(mesh).ok()?;
        line.say("status").ok()?;
        loop {
            match line.hear().ok()?.trim_end() {
                said if said.starts_with("OK status") => return None,
                said if said == format!("* STATUS server.links_members {PEERS}") => return Some(()),
                _ => {}
            }
        }
    });
}

// --- The load ---------------------------------------------------------------------------------

/// What goes on all the time, and what has been acknowledged of it.
struct Load<'a> {
    folder: &'a Path,
    mesh: SocketAddr,
    uploads: SocketAddr,
    is_over: AtomicBool,
    /// Numbers of messages that alice was told are delivered or kept.
    acknowledged: Mutex<BTreeSet<u64>>,
    /// Numbers of messages in the order in which bob had them.
    heard: Mutex<Vec<u64>>,
    /// Files whose end was orderly, with their hashes.
    stored: Mutex<BTreeMap<String, String>>,
    fetched: AtomicU64,
}

/// Ends the load, also if the test fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Load<'_> {
    fn new(folder: &Path, mesh: SocketAddr, uploads: SocketAddr) -> Load<'_> {
        Load {
            folder,
            mesh,
            uploads,
            is_over: AtomicBool::new(false),
            acknowledged: Mutex::default(),
            heard: Mutex::default(),
            stored: Mutex::default(),
            fetched: AtomicU64::new(0),
        }
    }

    /// Does it again and again, whatever comes of it.
    fn repeat(&self, mut act: impl FnMut() -> io::Result<()>) {
        while !self.is_over.load(Ordering::Relaxed) {
            let _ = act();
            pause(Duration::from_millis(20));
        }
    }

    /// Says one number after the other to bob, each once.
    fn alice(&self) {
        let mut number = 0;
        self.repeat(|| {
            let mut line = Line::open(self.mesh)?;
            line.ask("login alice sesame", "OK login")?;
            while !self.is_over.load(Ordering::Relaxed) {
                number += 1;
                line.ask(&format!("message bob {number}"), "OK message")?;
                self.acknowledged.lock().unwrap().insert(number);
            }
            Ok(())
        });
    }

    /// Comes and goes, and hears what there is.
    fn bob(&self) {
        self.repeat(|| {
            let mut line = Line::open(self.mesh)?;
            let waiting = waiting(&line.ask("login bob taler", "OK login bob ")?);
            // Some more than the mail: a plain connection has it only when some time has passed.
            for _ in 0..waiting + 5 {
                // Alice goes when all is over, and that is a line, too.
                if !self.is_over.load(Ordering::Relaxed) {
                    self.note(&line.hear()?);
                }
            }
            line.say("logout")?;
            // All that was sent before the end has come, too.
            while let Ok(said) = line.hear() {
                self.note(&said);
            }
            pause(Duration::from_millis(300));
            Ok(())
        });
    }

    fn note(&self, said: &str) {
        if let Some(number) = said.strip_prefix("MESSAGE alice ") {
            self.heard.lock().unwrap().push(number.trim_end().parse().unwrap());
        }
    }

    /// What is left for bob when all is over.
    fn collect_mail(&self) {
        let mut line = Line::open(self.mesh).unwrap();
        for _ in 0..waiting(&line.ask("login bob taler", "OK login bob ").unwrap()) {
            self.note(&line.hear_any("MESSAGE ").unwrap());
        }
    }

    /// Uploads files, each under a name of its own that says how long it is.
    fn upload(&self) {
        let (mut number, mut rng) = (0, Rng::new(1));
        self.repeat(|| {
            number += 1;
            let size = rng.below(UPLOAD_BYTES_MAX);
            let name = format!("upload-{number}-{size}");
            let bytes = content(&name, size);
            let mut link = TcpStream::connect(self.uploads)?;
            link.set_read_timeout(Some(PATIENCE))?;
            link.write_all(&header(size, name.as_bytes()))?;
            let mut answer = [0; 8];
            link.read_exact(&mut answer)?;
            link.write_all(&bytes)?;
            if link.read(&mut answer)? == 0 {
                self.stored.lock().unwrap().insert(name, hash(&bytes));
            }
            Ok(())
        });
    }

    /// Fetches the file that is shared all the time.
    fn fetch(&self) {
        let film = hash(&content("film", 2_000_000));
        let mut number = 0;
        self.repeat(|| {
            number += 1;
            let to = format!("got{number}");
            let got = run(self.folder, &format!("get film.bin --to {to} --server {}", self.mesh));
            let path = self.folder.join(&to).join("film.bin");
            // Whether it came or not: what has this name is whole.
            assert!(!path.exists() || sha256(&path) == film, "{}", text(&got.stderr));
            assert!(path.exists() || !got.status.success());
            self.fetched.fetch_add(u64::from(got.status.success()), Ordering::Relaxed);
            Ok(())
        });
    }
}

/// A connection at which lines are typed.
struct Line(BufReader<TcpStream>);

impl Line {
    fn open(mesh: SocketAddr) -> io::Result<Line> {
        let stream = TcpStream::connect(mesh)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut line = Line(BufReader::new(stream));
        line.hear_any("TICKMESH ")?;
        Ok(line)
    }

    fn say(&mut self, line: &str) -> io::Result<()> {
        self.0.get_mut().write_all(format!("{line}\n").as_bytes())
    }

    fn hear(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        if line.ends_with('\n') { Ok(line) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    /// Waits for a line that begins so. No line may say that something is wrong.
    fn hear_any(&mut self, start: &str) -> io::Result<String> {
        loop {
            let line = self.hear()?;
            if line.starts_with(start) {
                return Ok(line);
            }
            if line.starts_with("ERR ") {
                return Err(io::Error::other(line));
            }
        }
    }

    fn ask(&mut self, line: &str, answer: &str) -> io::Result<String> {
        self.say(line)?;
        self.hear_any(answer)
    }
}

/// How many messages wait, from the answer to a login.
fn waiting(answer: &str) -> u64 {
    answer.trim_end().rsplit(' ').next().unwrap().parse().unwrap()
}

/// The bytes of the file with that name and size.
fn content(name: &str, size: u64) -> Vec<u8> {
    let mut bytes = vec![0; size as usize];
    blake3::Hasher::new().update(name.as_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[allow(clippy::disallowed_methods)] // a test waits for other processes
fn pause(time: Duration) {
    thread::sleep(time);
}

#[allow(clippy::disallowed_methods)] // a test measures another process
fn now() -> Instant {
    Instant::now()
}

/// The clock that the stamps are of.
#[allow(clippy::disallowed_methods)] // a test looks when it kills
fn wall() -> Wall {
    Wall(std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64)
}

#[allow(clippy::disallowed_methods)] // each run has other moments
fn any_seed() -> u64 {
    std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64
}
