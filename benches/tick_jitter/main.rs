//! How late ticks are: one peer alone, 100 peers in one process, and one peer beside a bulk
//! transfer to itself, beside records that go from memory to memory, beside a file that it gets from another
//! process, beside files that are brought to disk, or beside a log that is rotated, on the same loop. The cases take turns, so that whatever else the machine does meets all of them; each
//! figure is the median of the rounds.
//!
//! `cargo bench --bench tick_jitter`, and behind `--` a part of the names of cases for only these;
//! JITTER_ROUNDS sets the number of rounds (default 5).

mod logging;
mod records;

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tickmesh::io::{Host, Reactor};
use tickmesh::proto::clock::Spread;
use tickmesh::proto::ids::{DialId, FileId, LinkId};
use tickmesh::proto::machine::{CloseReason, Effect, Input, Machine, OpenMode, Origin, Os};
use tickmesh::proto::peer::{Get, GuestConfig, Orders, Peers, PeersConfig};
use tickmesh::proto::server::{Server, ServerConfig, TalkConfig};
use tickmesh::proto::time::{Mono, Now};

use crate::logging::Logging;
use crate::records::Records;

const INTERVAL: Duration = Duration::from_millis(10);

/// Fetches a file from itself over a real connection, as fast as it goes: read by the kernel,
/// hashed and written again, which is what a fetching and serving peer costs its loop.
struct Bulk {
    addr: SocketAddr,
    sender: Option<LinkId>,
    hasher: blake3::Hasher,
    sent: u64,
    received: u64,
}

const SOURCE: FileId = FileId(0);
const COPY: FileId = FileId(1);
const FILE_BYTES: u64 = 64 << 20;
const CHUNK_BYTES: u64 = 256 << 10;

impl Bulk {
    fn new(addr: SocketAddr) -> Bulk {
        Bulk { addr, sender: None, hasher: blake3::Hasher::new(), sent: 0, received: 0 }
    }

    /// Keeps eight chunks under way, as a fetcher does.
    fn ask(&mut self, os: &mut dyn Os) {
        let Some(link) = self.sender else { return };
        while self.sent - self.received <= 7 * CHUNK_BYTES {
            let offset = self.sent % FILE_BYTES;
            os.perform(Effect::SendFile { link, file: SOURCE, offset, len: CHUNK_BYTES });
            self.sent += CHUNK_BYTES;
        }
    }

    fn take(&mut self, bytes: &[u8], os: &mut dyn Os) {
        self.hasher.update(bytes);
        let offset = self.received % FILE_BYTES;
        os.perform(Effect::WriteAt { file: COPY, offset, bytes });
        self.received += bytes.len() as u64;
    }
}

impl Machine for Bulk {
    fn handle_input(&mut self, input: Input<'_>, _now: Now, os: &mut dyn Os) {
        match input {
            Input::Start => {
                for (file, path) in [(SOURCE, "source"), (COPY, "copy")] {
                    os.perform(Effect::Open { file, path, mode: OpenMode::Partial, aside: "old" });
                }
                let block = vec![7; 1 << 20];
                for offset in (0..FILE_BYTES).step_by(block.len()) {
                    os.perform(Effect::WriteAt { file: SOURCE, offset, bytes: &block });
                }
                os.perform(Effect::Listen { addr: self.addr });
            }
            Input::Listening { addr } => os.perform(Effect::Dial { dial: DialId(0), addr }),
            Input::LinkUp { link, origin: Origin::Dialed(_), .. } => self.sender = Some(link),
            Input::Received { bytes, .. } => self.take(bytes, os),
            Input::Shutdown => {
                if let Some(link) = self.sender.take() {
                    os.perform(Effect::Close { link, reason: CloseReason::Shutdown });
                }
                [SOURCE, COPY].into_iter().for_each(|file| os.perform(Effect::Release { file }));
                os.perform(Effect::Exit);
            }
            _ => {}
        }
        self.ask(os);
    }

    fn handle_timeout(&mut self, _now: Now, _os: &mut dyn Os) {}

    fn poll_timeout(&self) -> Option<Mono> {
        None
    }
}

/// Brings a new file to disk about every 14 ms, as a peer does that is sent many small ones; not in
/// step with any tick.
#[derive(Default)]
struct Finisher {
    next: Option<Mono>,
    files: u32,
}

const FINISHED_BYTES: usize = 100_000;
const FINISH_PERIOD: Duration = Duration::from_micros(13_700);

impl Machine for Finisher {
    fn handle_input(&mut self, input: Input<'_>, now: Now, os: &mut dyn Os) {
        match input {
            Input::Start => self.next = Some(now.mono),
            Input::FileReady { file, .. } => {
                os.perform(Effect::WriteAt { file, offset: 0, bytes: &[7; FINISHED_BYTES] });
                os.perform(Effect::Finish { file });
            }
            Input::Finished { file, .. } => os.perform(Effect::Release { file }),
            Input::Shutdown => {
                self.next = None;
                os.perform(Effect::Exit);
            }
            _ => {}
        }
    }

    fn handle_timeout(&mut self, now: Now, os: &mut dyn Os) {
        let (file, path) = (FileId(self.files), format!("copies/{}", self.files));
        self.files += 1;
        self.next = Some(now.mono + FINISH_PERIOD);
        os.perform(Effect::Open { file, path: &path, mode: OpenMode::Partial, aside: "old" });
    }

    fn poll_timeout(&self) -> Option<Mono> {
        self.next
    }
}

/// Processes of their own, one of which holds a file that takes longer to get than any run.
struct Outside {
    addr: SocketAddr,
    processes: Vec<Child>,
    _folder: tempfile::TempDir,
}

const GOT_MIB: usize = 4096;

impl Outside {
    fn start() -> Outside {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file.bin");
        let mut file = std::fs::File::create(&path).unwrap();
        (0..GOT_MIB).for_each(|mib| file.write_all(&vec![mib as u8; 1 << 20]).unwrap());
        let begin = |arguments: &[&str]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_tickmesh"));
            command.args(arguments).current_dir(folder.path()).stdout(Stdio::piped());
            let mut process = command.spawn().unwrap();
            let mut line = String::new();
            BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
            (process, line)
        };
        let (server, line) = begin(&["server", "--listen", "127.0.0.1:0", "--log-level", "error"]);
        let addr = line.trim().rsplit(' ').next().unwrap();
        let (holder, _) = begin(&["share", "file.bin", "--server", addr, "--json", "--log-level", "error"]);
        Outside { addr: addr.parse().unwrap(), processes: vec![holder, server], _folder: folder }
    }

    fn getter(&self) -> Peers {
        let name = "file.bin".parse().unwrap();
        let get = Get { name, chunk: None, wait: Duration::from_secs(60), stay: Duration::ZERO };
        Peers::guest(GuestConfig {
            server: self.addr,
            group: "lab".parse().unwrap(),
            id: None,
            orders: Orders { get: Some(get), ..Orders::default() },
            upload_limit: None,
        })
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        for process in &mut self.processes {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// What else is on the loop.
#[derive(Clone, Copy)]
enum Beside<'a> {
    Nothing,
    Bulk,
    Records,
    Get(&'a Outside),
    Finishing,
    /// Whether old files are compressed.
    Logging(bool),
}

/// A run of a second: no file is got before it is over.
const TICKS: u32 = 100;
/// Runs of one case in a row; the 99th percentile needs more ticks than one run has.
const RUNS: u32 = 5;

/// One run for each peer; returns the lateness of all their ticks, how many were missed, and how many bytes were got meanwhile.
fn run(peers: usize, beside: Beside<'_>) -> (Spread, u64, u64) {
    let folder = tempfile::tempdir().unwrap();
    let mut reactor = Reactor::new().unwrap();
    let mut listen = || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        reactor.inherit(listener);
        addr
    };
    let addr = listen();
    let mut server = Server::new(ServerConfig {
        listen: vec![addr],
        interval: INTERVAL,
        duration: INTERVAL,
        secret: [0; 32],
        talk: TalkConfig::default(),
    });
    let mut members = Peers::new(PeersConfig {
        server: addr,
        group: "bench".parse().unwrap(),
        ids: vec![None; peers],
        interval: Some(INTERVAL),
        duration: Some(INTERVAL * TICKS),
        share_deadline: None,
    });
    let mut mover = Bulk::new(listen());
    let mut records = matches!(beside, Beside::Records).then(|| Records::new(listen()));
    let root = folder.path().to_owned();
    let mut logging = match beside {
        Beside::Logging(compress) => Some(Logging::new(&root, compress, &mut reactor)),
        _ => None,
    };
    let mut hosts = vec![
        Host { machine: &mut members, root: root.clone() },
        Host { machine: &mut server, root: root.clone() },
    ];
    let mut finisher = Finisher::default();
    let mut getter = None;
    match beside {
        Beside::Nothing => {}
        Beside::Bulk => hosts.push(Host { machine: &mut mover, root }),
        Beside::Records => {
            hosts.extend(records.iter_mut().map(|machine| Host { machine, root: root.clone() }))
        }
        Beside::Get(outside) => {
            hosts.push(Host { machine: getter.insert(outside.getter()), root });
        }
        Beside::Finishing => hosts.push(Host { machine: &mut finisher, root }),
        Beside::Logging(_) => {
            hosts.extend(logging.iter_mut().map(|machine| Host { machine, root: root.clone() }))
        }
    }
    reactor.run(&mut hosts).unwrap();
    let got = getter.and_then(|getter| getter.files().pop()).map_or(0, |file| file.bytes_fetched);
    assert!(got < (GOT_MIB as u64) << 20, "the run was longer than the transfer");
    let report = members.report();
    assert!(report.is_complete(), "{report:?}");
    let missed = report.peers.iter().map(|peer| peer.ticks_missed).sum();
    (members.lateness(), missed, got + records.map_or(0, |records| records.bytes()))
}

fn main() {
    let rounds =
        std::env::var("JITTER_ROUNDS").map_or(5, |rounds| rounds.parse().expect("a number of rounds"));
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let outside = Outside::start();
    let mut cases = vec![
        ("one_peer", 1, Beside::Nothing),
        ("hundred_peers", 100, Beside::Nothing),
        ("one_peer_beside_bulk", 1, Beside::Bulk),
        ("one_peer_beside_records", 1, Beside::Records),
        ("one_peer_beside_get", 1, Beside::Get(&outside)),
        ("one_peer_beside_finishing", 1, Beside::Finishing),
        ("one_peer_beside_logging", 1, Beside::Logging(false)),
        ("one_peer_beside_packed_logs", 1, Beside::Logging(true)),
    ];
    cases.retain(|(name, ..)| wanted.is_empty() || wanted.iter().any(|part| name.contains(part.as_str())));
    let mut missed = vec![0; cases.len()];
    // Of each case: p50, p99, p99.9 and the longest in µs, and MB/s got.
    let mut figures = vec![[const { Vec::new() }; 5]; cases.len()];
    for _ in 0..rounds {
        for (((_, peers, beside), figures), missed) in cases.iter().zip(&mut figures).zip(&mut missed) {
            let (mut all, mut got) = (Spread::new(), 0);
            for _ in 0..RUNS {
                let (lateness, missed_now, bytes) = run(*peers, *beside);
                *missed += missed_now;
                all.merge(&lateness);
                got += bytes;
            }
            let late = all.percentiles().expect("every run has ticks");
            let mb_per_s = got as f64 / 1e6 / (INTERVAL * TICKS * RUNS).as_secs_f64();
            let micros = [late.p50, late.p99, late.p999, late.max].map(|ns| ns as f64 / 1000.0);
            figures
                .iter_mut()
                .zip(micros.into_iter().chain([mb_per_s]))
                .for_each(|(list, one)| list.push(one));
        }
    }
    println!("late by, in µs, medians of {rounds} rounds of {} ticks a peer:", TICKS * RUNS);
    for (((name, ..), mut figures), missed) in cases.into_iter().zip(figures).zip(missed) {
        figures.iter_mut().for_each(|list| list.sort_by(f64::total_cmp));
        let [p50, p99, p999, max, got] = figures.map(|list| list[list.len() / 2]);
        print!("{name:28} p50 {p50:5.0}  p99 {p99:5.0}  p99.9 {p999:5.0}  max {max:5.0}  missed {missed}");
        println!("{}", if got > 0.0 { format!("  while {got:.0} MB/s came in") } else { String::new() });
    }
}
