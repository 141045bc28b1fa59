//! Many seeds of clients that are honest, rude, slow or gone, at a drop box that crashes, loses its power and runs out of
//! room. Whatever happens: what has a final name is whole and one client's, a receipt is kept, the quota holds, and
//! nobody is left waiting. A failing seed is printed and replays.

mod common;

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use common::drop::header;
use common::yard::config;
use tickmesh::proto::limits::HEADER_TIMEOUT;
use tickmesh::proto::machine::{DownReason, is_temp_name};
use tickmesh::proto::upload::{DropBox, DropBoxConfig};
use tickmesh::sim::{
    Chaos, Fault, NetConfig, NodeConfig, NodeId, ReadRate, Rng, StrangerId, StrangerState, World,
};

/// Uploads that each client tries, one after the other.
const TRIES: u32 = 5;
const CLIENTS: u32 = 8;
const QUOTA_BYTES: u64 = 2_500_000;
const FILE_BYTES_MAX: u64 = 500_000;
/// How often clients look at what has come.
const STEP: Duration = Duration::from_millis(10);
/// After this with nothing to hope for even a silent client has been sent away.
const OVER: Duration = Duration::from_secs(HEADER_TIMEOUT.as_secs() + 100);

/// How a client behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Honest,
    /// Ends its half after the last byte.
    Ends,
    /// Is gone after the last byte.
    Leaves,
    /// Says more than it has announced.
    Babbles,
    /// Ends, closes or resets in the middle.
    EndsEarly,
    ClosesEarly,
    ResetsEarly,
    /// Brings nothing more, and waits.
    Stalls,
    /// Does not wait for `go ahead`.
    Hurries,
    /// Says nothing at all, or half a header.
    Silent,
}

const WAYS: [Way; 15] = [
    Way::Honest,
    Way::Honest,
    Way::Honest,
    Way::Honest,
    Way::Ends,
    Way::Ends,
    Way::Ends,
    Way::Leaves,
    Way::Babbles,
    Way::EndsEarly,
    Way::ClosesEarly,
    Way::ResetsEarly,
    Way::Stalls,
    Way::Hurries,
    Way::Silent,
];

/// One upload as its client sees it.
struct Attempt {
    way: Way,
    name: String,
    content: Vec<u8>,
    link: StrangerId,
    told: bool,
    sent: usize,
    /// Until here it sends.
    stop: usize,
    /// It has done what it does.
    over: bool,
    /// The other side's end came after the last byte.
    receipt: bool,
}

struct Client {
    node: NodeId,
    rng: Rng,
    attempts: Vec<Attempt>,
    next_at: Duration,
}

struct Town {
    world: World,
    node: NodeId,
    clients: Vec<Client>,
}

fn dropbox(addr: SocketAddr, life: u32) -> Box<DropBox> {
    let config = DropBoxConfig {
        file_bytes_max: FILE_BYTES_MAX,
        quota_bytes: QUOTA_BYTES,
        clients_max: CLIENTS as usize - 1,
        clients_per_address_max: CLIENTS as usize - 2,
        stall_timeout: Duration::from_secs(8),
        first_tag: life * 1000,
        ..config(addr)
    };
    Box::new(DropBox::new(config))
}

impl Town {
    fn new(seed: u64, faults: &[Fault]) -> Town {
        let mut world = World::new(seed);
        world.set_net(NetConfig::rough());
        let node = world.add_node(&NodeConfig::new([10, 0, 0, 1]));
        let homes: Vec<NodeId> =
            (0..4).map(|home| world.add_node(&NodeConfig::new([10, 0, 1, home]))).collect();
        let (mut life, addr) = (0, world.addr(node, 12000));
        world.start(node, dropbox(addr, life));
        world.on_restart(move |_, _| {
            life += 1;
            vec![dropbox(addr, life)]
        });
        let mut rng = Rng::new(seed ^ 0xd09b_0c5e);
        let clients = (0..CLIENTS as usize).map(|number| Client {
            node: homes[number % homes.len()],
            rng: rng.fork(),
            attempts: Vec::new(),
            next_at: Duration::ZERO,
        });
        let clients = clients.collect();
        world.unleash(Chaos {
            nodes: homes.into_iter().chain([node; 4]).collect(),
            faults: faults.to_vec(),
            period: Duration::from_millis(900),
            time: Duration::from_secs(25),
            outage_max: Duration::from_secs(2),
        });
        Town { world, node, clients }
    }

    fn step(&mut self) {
        self.world.run_for(STEP);
        for (number, client) in self.clients.iter_mut().enumerate() {
            client.act(number, self.node, &mut self.world);
        }
        let disk = self.world.disk(self.node);
        let whole = disk.paths().filter(|path| !is_temp_name(path));
        let bytes: u64 = whole.map(|path| disk.len(path).unwrap()).sum();
        assert!(bytes <= QUOTA_BYTES, "{bytes} bytes");
    }

    /// Plays until every client has done what it does and the drop box has forgotten all of them.
    fn play(&mut self) {
        let end = HEADER_TIMEOUT * (TRIES + 1);
        while self.clients.iter().any(|client| !client.is_done()) {
            assert!(self.world.now() < end, "somebody waits for ever");
            self.step();
        }
        self.world.run_for(OVER);
    }

    fn check(&self, killed: bool) -> usize {
        let attempts: Vec<&Attempt> = self.clients.iter().flat_map(|client| &client.attempts).collect();
        let disk = self.world.disk(self.node);
        let mut stored = vec![0; attempts.len()];
        for path in disk.paths() {
            if is_temp_name(path) {
                assert!(killed, "{path} was left by a living one");
                continue;
            }
            let content = disk.read(path).unwrap();
            let is_its = |attempt: &&Attempt| {
                let number = path.strip_prefix(attempt.name.as_str()).map(|rest| rest.strip_prefix('.'));
                let named = path == attempt.name
                    || matches!(number, Some(Some(number)) if number.parse::<u32>().is_ok());
                named && attempt.content == content
            };
            let whose = attempts.iter().position(is_its);
            stored[whose.unwrap_or_else(|| panic!("{path} is nobody's: {} bytes", content.len()))] += 1;
        }
        for (attempt, times) in attempts.iter().zip(&stored) {
            assert!(*times <= 1, "{} is stored {times} times", attempt.name);
            assert!(*times == 1 || !attempt.receipt, "{} {:?} is lost", attempt.name, attempt.way);
            let was_all_sent = attempt.sent >= attempt.content.len();
            assert!(*times == 0 || was_all_sent, "{} cannot be whole", attempt.name);
        }
        let [last] = self.world.machines_on(self.node) else { panic!("one drop box runs") };
        let status = self.world.machine::<DropBox>(*last).unwrap().status();
        assert_eq!((status.clients, status.reserved_bytes), (0, 0));
        attempts.iter().filter(|attempt| attempt.receipt).count()
    }
}

impl Client {
    fn is_done(&self) -> bool {
        self.attempts.len() == TRIES as usize && self.attempts.last().is_some_and(|attempt| attempt.over)
    }

    fn act(&mut self, number: usize, dropbox: NodeId, world: &mut World) {
        if world.now() < self.next_at {
            return;
        }
        let pause = self.rng.between(Duration::ZERO, Duration::from_millis(200));
        self.next_at = world.now() + pause;
        let begun = self.attempts.len();
        match self.attempts.last_mut() {
            Some(attempt) if !attempt.over => {
                attempt.act(&mut self.rng, world);
                if attempt.over {
                    self.next_at += pause * 10;
                }
            }
            _ if begun < TRIES as usize => {
                let tag = format!("{number}.{begun} ");
                let attempt =
                    Attempt::begin(&tag, self.node, world.addr(dropbox, 12000), &mut self.rng, world);
                self.attempts.push(attempt);
            }
            _ => {}
        }
    }
}

impl Attempt {
    fn begin(tag: &str, from: NodeId, addr: SocketAddr, rng: &mut Rng, world: &mut World) -> Attempt {
        let way = WAYS[rng.index(WAYS.len())];
        // One that is too large now and then, and one that is nearly empty.
        let bytes = match rng.below(8) {
            0 => tag.len(),
            1 => FILE_BYTES_MAX as usize + 1,
            2 => FILE_BYTES_MAX as usize,
            _ => tag.len() + rng.index(200_000),
        };
        let content: Vec<u8> = tag.bytes().cycle().take(bytes).collect();
        // Many want the same names.
        let name = ["same.txt", "other", "third.tar.gz"][rng.index(3)].to_owned();
        let stop = match way {
            Way::EndsEarly | Way::ClosesEarly | Way::ResetsEarly | Way::Stalls => rng.index(bytes),
            Way::Babbles => bytes + 1 + rng.index(1000),
            _ => bytes,
        };
        let link = world.connect(from, addr);
        if way == Way::Silent {
            world.write(link, &header(bytes as u64, "")[..rng.index(9)]);
        } else {
            world.write(link, &header(bytes as u64, format!("a/folder/{name}")));
        }
        if rng.chance(0.1) {
            world.set_reading(link, ReadRate::BytesPerSecond(1 + rng.below(20)));
        }
        Attempt { way, name, content, link, told: false, sent: 0, stop, over: false, receipt: false }
    }

    fn act(&mut self, rng: &mut Rng, world: &mut World) {
        let state = world.stranger_state(self.link);
        if let StrangerState::Refused(_) | StrangerState::Ended(_) = state {
            let ended = state == StrangerState::Ended(DownReason::Eof);
            self.receipt = ended && self.told && self.sent >= self.content.len();
            assert!(!ended || !self.told || self.receipt, "an end in the middle");
            world.close(self.link);
            self.over = true;
            return;
        }
        let heard = world.peek(self.link);
        assert!(
            b"go ahead".starts_with(heard) && (heard.is_empty() || !self.told),
            "{heard:?} is never said"
        );
        if heard.len() == 8 {
            world.read(self.link);
            self.told = true;
        }
        let may_send = self.told || self.way == Way::Hurries && rng.chance(0.1);
        if may_send && self.sent < self.stop {
            let piece = (1 + rng.index(100_000)).min(self.stop - self.sent);
            let bytes: Vec<u8> =
                self.content.iter().chain(&[b'!'; 2000]).skip(self.sent).take(piece).copied().collect();
            world.write(self.link, &bytes);
            self.sent += piece;
            if self.sent == self.stop {
                self.end(world);
            }
        }
    }

    /// All is sent that it sends.
    fn end(&mut self, world: &mut World) {
        match self.way {
            Way::Ends | Way::EndsEarly => world.finish_writing(self.link),
            Way::Leaves | Way::ClosesEarly => {
                world.close(self.link);
                self.over = true;
            }
            Way::ResetsEarly => {
                world.reset(self.link);
                self.over = true;
            }
            Way::Honest | Way::Babbles | Way::Stalls | Way::Hurries | Way::Silent => {}
        }
    }
}

/// What can happen to real connections: an end that nobody has said is not among it.
const FAULTS: [Fault; 8] = [
    Fault::Reset,
    Fault::Partition,
    Fault::Crash,
    Fault::PowerLoss,
    Fault::DiskFull,
    Fault::WallStep,
    Fault::SlowReader,
    Fault::Stall,
];

/// Plays one seed; returns how many receipts there were.
fn play(seed: u64, faults: &[Fault]) -> usize {
    let mut town = Town::new(seed, faults);
    let played = catch_unwind(AssertUnwindSafe(|| {
        town.play();
        town.check(faults.contains(&Fault::Crash) || faults.contains(&Fault::PowerLoss))
    }));
    played.unwrap_or_else(|cause| {
        eprintln!("seed {seed} failed; the end of its trace:\n{}", town.world.trace_tail());
        resume_unwind(cause)
    })
}

#[test]
fn seeds_of_mixed_faults_leave_whole_files_and_true_receipts() {
    let receipts: usize = (0..256).map(|seed| play(seed, &FAULTS)).sum();
    assert!(receipts > 1000, "of 10240 uploads, {receipts} were stored in spite of it all");
}

#[test]
fn a_drop_box_that_lives_leaves_nothing_unfinished() {
    let faults = [Fault::Reset, Fault::DiskFull, Fault::WallStep, Fault::SlowReader, Fault::Stall];
    let receipts: usize = (1000..1064).map(|seed| play(seed, &faults)).sum();
    assert!(receipts > 250, "of 2560 uploads, {receipts} were stored");
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let leave = |seed| {
        let mut town = Town::new(seed, &FAULTS);
        town.play();
        let disk = town.world.disk(town.node);
        let files: Vec<(String, Vec<u8>)> =
            disk.paths().map(|path| (path.to_owned(), disk.read(path).unwrap().to_vec())).collect();
        (town.world.trace_hash(), files)
    };
    for seed in [3, 42] {
        assert_eq!(leave(seed), leave(seed));
    }
    assert_ne!(leave(3).0, leave(4).0);
}
