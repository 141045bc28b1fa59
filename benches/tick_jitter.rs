//! How late ticks are: one peer alone, 100 peers in one process, and one peer beside a bulk
//! transfer to itself, beside a file that it gets from another process, or beside files that are brought
//! to disk, on the same loop. One iteration is one tick of each peer; the criterion figure is the
//! mean lateness, and percentiles are printed beside it. Run with `cargo bench --bench tick_jitter`.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use criterion::{Criterion, SamplingMode, criterion_group, criterion_main};
use tickmesh::io::{Host, Reactor};
use tickmesh::proto::clock::Spread;
use tickmesh::proto::ids::{DialId, FileId, LinkId};
use tickmesh::proto::machine::{CloseReason, Effect, Input, Machine, OpenMode, Origin, Os};
use tickmesh::proto::peer::{Get, GuestConfig, Orders, Peers, PeersConfig};
use tickmesh::proto::server::{Server, ServerConfig, TalkConfig};
use tickmesh::proto::time::{Mono, Now};

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

const GOT_MIB: usize = 2048;

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
    Get(&'a Outside),
    Finishing,
}

/// One run of `ticks` ticks for each peer; returns the lateness of all of them.
fn run(peers: usize, ticks: u64, beside: Beside<'_>) -> Spread {
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
        duration: Some(INTERVAL * u32::try_from(ticks).unwrap()),
        share_deadline: None,
    });
    let mut mover = Bulk::new(listen());
    let root = folder.path().to_owned();
    let mut hosts = vec![
        Host { machine: &mut members, root: root.clone() },
        Host { machine: &mut server, root: root.clone() },
    ];
    let mut finisher = Finisher::default();
    let mut getter = None;
    match beside {
        Beside::Nothing => {}
        Beside::Bulk => hosts.push(Host { machine: &mut mover, root }),
        Beside::Get(outside) => {
            hosts.push(Host { machine: getter.insert(outside.getter()), root });
        }
        Beside::Finishing => hosts.push(Host { machine: &mut finisher, root }),
    }
    reactor.run(&mut hosts).unwrap();
    if let Some(file) = getter.and_then(|getter| getter.files().pop()) {
        assert!(file.bytes_stored < (GOT_MIB as u64) << 20, "a run was longer than the transfer: {file:?}");
    }
    let report = members.report();
    assert!(report.is_complete(), "{report:?}");
    members.lateness()
}

fn tick_jitter(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("tick_lateness");
    group.sampling_mode(SamplingMode::Flat).sample_size(20);
    let outside = Outside::start();
    group.warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_secs(12));
    for (name, peers, beside) in [
        ("one_peer", 1, Beside::Nothing),
        ("hundred_peers", 100, Beside::Nothing),
        ("one_peer_beside_bulk", 1, Beside::Bulk),
        ("one_peer_beside_get", 1, Beside::Get(&outside)),
        ("one_peer_beside_finishing", 1, Beside::Finishing),
    ] {
        let mut all = Spread::new();
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|ticks| {
                let spread = run(peers, ticks, beside);
                all.merge(&spread);
                Duration::from_nanos(spread.mean_ns().unwrap_or(0) * ticks)
            });
        });
        if let Some(spread) = all.percentiles() {
            let micros = |ns: u64| ns as f64 / 1000.0;
            println!(
                "{name}: {} ticks, late by p50 {:.0} µs, p99 {:.0} µs, p99.9 {:.0} µs, max {:.0} µs\n",
                all.count(),
                micros(spread.p50),
                micros(spread.p99),
                micros(spread.p999),
                micros(spread.max)
            );
        }
    }
    group.finish();
}

criterion_group!(benches, tick_jitter);
criterion_main!(benches);
