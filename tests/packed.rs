//! Chunks that go packed over the wire: stories in the simulator, and a holder whose others and whose disk are
//! played by hand, step by step.

mod common;

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::ErrorKind;
use std::time::Duration;

use common::town::{Town, assert_copies_are_true};
use tickmesh::proto::ids::{FileId, LinkId};
use tickmesh::proto::machine::{CloseReason, DownReason, Effect, FileOp, Input, Machine, Origin, Os};
use tickmesh::proto::peer::{Get, GuestConfig, Offer, Orders, Peers};
use tickmesh::proto::swarm::Unpacker;
use tickmesh::proto::time::{Mono, Now, Wall};
use tickmesh::sim::{MachineId, NetConfig, NodeId};

const SECOND: Duration = Duration::from_secs(1);
const FILE: &str = "table.txt";
const CHUNK: usize = 256 << 10;
const CHUNKS: usize = 20;

/// A table as a run writes it: each row is the one before it with other digits, the last ones noise.
fn rows() -> Vec<u8> {
    let (mut text, mut noise) = (String::new(), 1u64);
    for row in 1.. {
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (second, ms, ns) = (row / 200, row / 2 * 10 % 1000, (noise >> 33) % 1_000_000);
        let _ = write!(text, "| {row} | 10.0.0.7 | 10.0.0.1 | 2026-11-21 | ");
        let _ = writeln!(
            text,
            "{:02}:{:02}:{:02}.{ms:03}{ns:06} |",
            second / 3600,
            second / 60 % 60,
            second % 60
        );
        if text.len() > CHUNKS * CHUNK - 1000 {
            break;
        }
    }
    text.into_bytes()
}

fn noise() -> Vec<u8> {
    let mut bytes = vec![0; CHUNKS * CHUNK];
    blake3::Hasher::new().update(b"noise").finalize_xof().fill(&mut bytes);
    bytes
}

fn guest(town: &mut Town, node: NodeId, name: &str, orders: Orders, upload_limit: Option<u64>) -> MachineId {
    let (group, id) = ("lab".parse().unwrap(), Some(name.parse().unwrap()));
    let config = GuestConfig { server: town.addr, group, id, orders, upload_limit };
    town.world.start(node, Box::new(Peers::guest(config)))
}

fn offer() -> Orders {
    let offer = Offer { path: format!("own/{FILE}"), name: FILE.parse().unwrap(), chunks: None };
    Orders { offers: vec![offer], ..Orders::default() }
}

fn get() -> Orders {
    let get = Get { name: FILE.parse().unwrap(), chunk: None, wait: 30 * SECOND, stay: Duration::ZERO };
    Orders { get: Some(get), ..Orders::default() }
}

fn holder(town: &mut Town, name: &str, file: &[u8], upload_limit: Option<u64>) -> (NodeId, MachineId) {
    let node = town.node();
    town.world.disk_mut(node).write(&format!("own/{FILE}"), file);
    (node, guest(town, node, name, offer(), upload_limit))
}

fn downloader(town: &mut Town, name: &str) -> (NodeId, MachineId) {
    let node = town.node();
    (node, guest(town, node, name, get(), None))
}

fn assert_got(town: &mut Town, (node, machine): (NodeId, MachineId), file: &[u8]) {
    town.finish(&[machine]);
    assert_eq!(town.report(machine).outcome, "complete");
    assert!(town.world.disk(node).read(FILE) == Some(file), "the file is another");
}

fn until_stored(town: &mut Town, machine: MachineId, chunks: u64) {
    let there = |world: &tickmesh::sim::World| {
        let files = world.machine::<Peers>(machine).unwrap().files();
        files.iter().any(|file| file.chunks_stored >= chunks)
    };
    assert!(town.world.run_until(there, 60 * SECOND), "{}", town.world.trace_tail());
}

// --- Stories -----------------------------------------------------------------------------------

#[test]
fn a_table_takes_less_than_a_tenth_of_the_wire() {
    let mut town = Town::new(1);
    let file = rows();
    let (_, alice) = holder(&mut town, "alice", &file, None);
    town.world.run_for(SECOND);
    let bob = downloader(&mut town, "bob");
    assert_got(&mut town, bob, &file);
    let (got, gave) = (town.report(bob.1), town.report(alice));
    assert_eq!((got.bytes_fetched, gave.bytes_sent), (file.len() as u64, file.len() as u64));
    assert_eq!(got.wire_bytes_fetched, gave.wire_bytes_sent);
    assert!(got.wire_bytes_fetched * 10 < got.bytes_fetched, "{got:?}");
}

#[test]
fn a_file_that_does_not_shrink_goes_as_it_is() {
    let mut town = Town::new(2);
    let file = noise();
    let (_, alice) = holder(&mut town, "alice", &file, None);
    town.world.run_for(SECOND);
    let bob = downloader(&mut town, "bob");
    assert_got(&mut town, bob, &file);
    assert_eq!(town.report(bob.1).wire_bytes_fetched, file.len() as u64);
    assert_eq!(town.report(alice).wire_bytes_sent, file.len() as u64);
}

/// What counts against the limit is what goes over the wire.
#[test]
fn an_upload_limit_counts_what_is_sent() {
    let mut town = Town::new(3);
    let file = rows();
    let (_, alice) = holder(&mut town, "alice", &file, Some(100_000));
    town.world.run_for(SECOND);
    let begun = town.world.now();
    let bob = downloader(&mut town, "bob");
    assert_got(&mut town, bob, &file);
    let took = (town.world.now() - begun).as_secs_f64();
    let expected = town.report(alice).wire_bytes_sent as f64 / 100_000.0;
    assert!((expected - 1.0..expected + 2.0).contains(&took), "{took} s for what takes {expected} s");
}

/// Links break and holders die while chunks are read, packed, and on their way.
#[test]
fn a_transfer_that_is_cut_goes_on() {
    for seed in 0..20 {
        let mut town = Town::new(100 + seed);
        town.world.set_net(NetConfig { bytes_per_second: 300_000, ..NetConfig::default() });
        let file = rows();
        let (origin, _) = holder(&mut town, "alice", &file, None);
        town.world.run_for(SECOND);
        let bob = downloader(&mut town, "bob");
        until_stored(&mut town, bob.1, 2 + seed % 3);
        town.world.run_for(Duration::from_millis(7 * seed));
        town.world.crash(origin);
        town.world.run_for(SECOND);
        guest(&mut town, origin, "alice", offer(), None);
        assert_got(&mut town, bob, &file);
    }
}

/// Everybody serves everybody, over links that are slower than the disk: no request is forgotten.
#[test]
fn everybody_gets_every_record_over_slow_links() {
    for seed in 0..6 {
        let mut town = Town::new(200 + seed);
        town.world.set_net(NetConfig { bytes_per_second: 150_000, ..NetConfig::default() });
        let names = ["ann", "bo", "cy", "di", "ed"];
        let peers = names.map(|name| {
            let node = town.node();
            (name, node, town.start(node, name, 12))
        });
        town.finish(&peers.map(|(_, _, machine)| machine));
        let owners = peers.map(|(name, node, _)| (name, node));
        for (_, node, machine) in peers {
            let report = town.assert_complete(machine);
            assert_eq!(assert_copies_are_true(&town.world, node, &owners), 8);
            assert!(report.wire_bytes_fetched * 4 < report.bytes_fetched, "{report:?}");
        }
    }
}

/// More of them than chunks are read at once.
#[test]
fn many_get_it_from_one() {
    let mut town = Town::new(5);
    let file = rows();
    holder(&mut town, "alice", &file, None);
    town.world.run_for(SECOND);
    let others: Vec<_> = (0..12).map(|number| downloader(&mut town, &format!("d{number}"))).collect();
    for other in others {
        assert_got(&mut town, other, &file);
    }
}

// --- By hand -----------------------------------------------------------------------------------

const KEY: &str = "00000000000000000000000000000000";

/// What a holder wants of its operating system.
#[derive(Default)]
struct Wants {
    asked: VecDeque<Effect<'static>>,
    closed: Vec<(LinkId, CloseReason)>,
    sent: Vec<(LinkId, Vec<u8>)>,
    /// Chunks that go out as they are, and those that are to be read.
    plain: Vec<(LinkId, u64)>,
    reads: Vec<(FileId, u64)>,
}

impl Os for Wants {
    fn perform(&mut self, effect: Effect<'_>) {
        match effect {
            Effect::Dial { dial, addr } => self.asked.push_back(Effect::Dial { dial, addr }),
            Effect::Listen { addr } => self.asked.push_back(Effect::Listen { addr }),
            Effect::Open { file, mode, .. } => {
                self.asked.push_back(Effect::Open { file, path: "", mode, aside: "" });
            }
            Effect::Hash { file, offset, len } => self.asked.push_back(Effect::Hash { file, offset, len }),
            Effect::Close { link, reason } => self.closed.push((link, reason)),
            // Whoever waits hears an empty line now and then.
            Effect::Send { bytes: b"\n", .. } => {}
            Effect::Send { link, bytes } => self.sent.push((link, bytes.to_vec())),
            Effect::SendFile { link, offset, .. } => self.plain.push((link, offset / CHUNK as u64)),
            Effect::Read { file, offset, .. } => self.reads.push((file, offset)),
            _ => {}
        }
    }
}

/// A guest that offers the table and something else, and a server that has told it of eve and mallory.
struct Hand {
    peer: Peers,
    wants: Wants,
    now: Now,
    file: Vec<u8>,
    links: u32,
}

impl Hand {
    fn new(file: Vec<u8>) -> Hand {
        let (server, group) = ("10.0.0.2:5555".parse().unwrap(), "lab".parse().unwrap());
        let mut orders = offer();
        orders.offers.push(Offer {
            path: "own/else".to_owned(),
            name: "else".parse().unwrap(),
            chunks: None,
        });
        let config = GuestConfig { server, group, id: None, orders, upload_limit: None };
        let now = Now { mono: Mono(0), wall: Wall(1_795_230_780_000_000_000) };
        let mut hand = Hand { peer: Peers::guest(config), wants: Wants::default(), now, file, links: 0 };
        hand.input(Input::Start);
        let server = LinkId { index: 1, generation: 0 };
        hand.say(server, &format!("TICKMESH 1 server x\nOK HELLO alice {KEY}\nOK REGISTER {FILE} 1\n"));
        for other in ["eve", "mallory"] {
            hand.say(server, &format!("SOURCE {FILE} {other} 10.0.0.3:0 {KEY}\n"));
        }
        assert_eq!(hand.wants.reads.len(), 2, "each file is looked at");
        hand.read();
        hand.read();
        hand
    }

    fn input(&mut self, input: Input<'_>) {
        self.peer.handle_input(input, self.now, &mut self.wants);
        self.peer.check_invariants();
        while let Some(due) = self.peer.poll_timeout().filter(|due| *due <= self.now.mono) {
            self.now.mono = self.now.mono.max(due);
            self.peer.handle_timeout(self.now, &mut self.wants);
            self.peer.check_invariants();
        }
        while let Some(asked) = self.wants.asked.pop_front() {
            match asked {
                Effect::Dial { dial, .. } => drop(self.up(Origin::Dialed(dial))),
                Effect::Listen { addr } => self.input(Input::Listening { addr }),
                Effect::Open { file, .. } => {
                    let bytes = self.file.len() as u64;
                    self.input(Input::FileReady { file, bytes, moved: None });
                }
                Effect::Hash { file, offset, len } => {
                    let hash = blake3::hash(&self.file[offset as usize..(offset + len) as usize]);
                    self.input(Input::Hashed { file, offset, hash });
                }
                _ => {}
            }
        }
    }

    fn up(&mut self, origin: Origin) -> LinkId {
        self.links += 1;
        let link = LinkId { index: self.links, generation: 0 };
        let (local, remote) = ("10.0.0.1:41000".parse().unwrap(), "10.0.0.3:5555".parse().unwrap());
        self.input(Input::LinkUp { link, origin, local, remote });
        link
    }

    /// A link from one of the others, which says after its ticket what it takes.
    fn linked(&mut self, from: &str, takes: &str) -> LinkId {
        let link = self.up(Origin::Accepted);
        self.say(link, &format!("LINK lab {from} alice {KEY}{takes}\n"));
        assert_eq!(self.wants.sent.last().unwrap(), &(link, b"OK LINK zstd\n".to_vec()));
        self.wants.sent.clear();
        link
    }

    fn say(&mut self, link: LinkId, text: &str) {
        self.input(Input::Received { link, bytes: text.as_bytes(), at: self.now.wall });
    }

    fn get(&mut self, link: LinkId, chunks: std::ops::Range<usize>) {
        chunks.for_each(|chunk| self.say(link, &format!("GET {FILE} {chunk}\n")));
    }

    /// The disk brings what was asked for first.
    fn read(&mut self) {
        let (file, offset) = self.wants.reads.remove(0);
        let end = self.file.len().min(offset as usize + CHUNK);
        let bytes = self.file[offset as usize..end].to_vec();
        self.input(Input::Read { file, offset, bytes: &bytes });
    }

    /// The chunks that were sent packed since the last time; each is right.
    fn packed(&mut self) -> Vec<(LinkId, usize)> {
        let sent = std::mem::take(&mut self.wants.sent);
        let packed = sent.chunks_exact(2).map(|pair| {
            let line = String::from_utf8_lossy(&pair[0].1).into_owned();
            let words: Vec<&str> = line.split_whitespace().collect();
            let [_, _, chunk, octets, "zstd"] = words[..] else { panic!("{line:?}") };
            let (chunk, octets): (usize, usize) = (chunk.parse().unwrap(), octets.parse().unwrap());
            let plain = &self.file[chunk * CHUNK..self.file.len().min((chunk + 1) * CHUNK)];
            assert!(octets == pair[1].1.len() && octets * 10 < plain.len());
            assert_eq!(Unpacker::new().unpack(&pair[1].1, plain.len()), Some(plain));
            (pair[0].0, chunk)
        });
        packed.collect()
    }
}

#[test]
fn who_did_not_say_that_it_takes_packed_chunks_gets_none() {
    let mut hand = Hand::new(rows());
    let eve = hand.linked("eve", "");
    hand.get(eve, 0..3);
    assert_eq!((hand.wants.plain.len(), hand.wants.reads.len()), (3, 0));
    let said: Vec<_> = hand.wants.sent.iter().map(|(_, bytes)| String::from_utf8_lossy(bytes)).collect();
    assert_eq!(said[0], format!("CHUNK {FILE} 0 262144\n"));
}

#[test]
fn one_chunk_of_a_link_is_read_at_a_time_and_the_next_when_it_is_taken() {
    let mut hand = Hand::new(rows());
    let eve = hand.linked("eve", " zstd");
    hand.get(eve, 0..4);
    assert_eq!(hand.wants.reads.len(), 1);
    hand.read();
    assert_eq!((hand.packed(), hand.wants.reads.len()), (vec![(eve, 0)], 1), "the socket had room");
    hand.input(Input::Blocked { link: eve });
    hand.read();
    assert_eq!((hand.packed(), hand.wants.reads.len()), (vec![(eve, 1)], 0), "it was on its way");
    hand.input(Input::Drained { link: eve });
    hand.read();
    hand.read();
    assert_eq!((hand.packed(), hand.wants.reads.len()), (vec![(eve, 2), (eve, 3)], 0));
    assert!(hand.wants.plain.is_empty());
}

#[test]
fn the_disk_is_asked_for_a_few_chunks_at_once_and_nobody_is_forgotten() {
    let mut hand = Hand::new(rows());
    let (eve, mallory) = (hand.linked("eve", " zstd"), hand.linked("mallory", " zstd"));
    hand.get(eve, 0..3);
    hand.get(mallory, 0..3);
    assert_eq!(hand.wants.reads.len(), 2);
    // One of them is gone while the disk reads for it.
    hand.input(Input::LinkDown { link: eve, reason: DownReason::Reset });
    while !hand.wants.reads.is_empty() {
        hand.read();
    }
    assert_eq!(hand.packed(), [(mallory, 0), (mallory, 1), (mallory, 2)]);
}

#[test]
fn a_link_that_is_full_when_it_asks_is_served_when_it_has_drained() {
    let mut hand = Hand::new(rows());
    let eve = hand.linked("eve", " zstd");
    hand.input(Input::Blocked { link: eve });
    hand.get(eve, 0..2);
    hand.say(eve, &format!("CANCEL {FILE} 0\n"));
    assert_eq!(hand.wants.sent.pop().unwrap().1, format!("DENY {FILE} 0\n").into_bytes());
    assert!(hand.wants.reads.is_empty());
    hand.input(Input::Drained { link: eve });
    hand.read();
    assert_eq!(hand.packed(), [(eve, 1)]);
}

#[test]
fn what_the_disk_cannot_bring_goes_as_it_is() {
    let mut hand = Hand::new(rows());
    let eve = hand.linked("eve", " zstd");
    hand.get(eve, 0..2);
    let (file, offset) = hand.wants.reads.remove(0);
    let error = ErrorKind::ResourceBusy;
    hand.input(Input::FileFailed { file, op: FileOp::Read, offset, error });
    assert_eq!(hand.wants.plain, [(eve, 0)]);
    hand.wants.sent.clear();
    hand.read();
    assert_eq!(hand.packed(), [(eve, 1)]);
}

/// The file changes, and is withdrawn, while the disk reads of it: nobody waits for an answer that never comes.
#[test]
fn a_file_that_is_closed_while_it_is_read_is_denied() {
    let mut hand = Hand::new(rows());
    let (eve, mallory) = (hand.linked("eve", " zstd"), hand.linked("mallory", " zstd"));
    hand.get(mallory, 0..1);
    hand.read();
    hand.get(eve, 5..7);
    hand.file[0] ^= 1;
    hand.wants.sent.clear();
    hand.say(mallory, "ERR bad-argument chunk 0 failed its hash\n");
    let said: Vec<_> = hand
        .wants
        .sent
        .iter()
        .map(|(link, bytes)| (*link, String::from_utf8_lossy(bytes).into_owned()))
        .collect();
    for chunk in [5, 6] {
        assert!(said.contains(&(eve, format!("DENY {FILE} {chunk}\n"))), "{said:?}");
    }
}
