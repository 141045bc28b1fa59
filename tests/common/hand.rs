//! A peer whose server and whose others are played by a test, line by line.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use tickmesh::proto::ids::{DialId, FileId, LinkId};
use tickmesh::proto::machine::{CloseReason, Effect, FileOp, Input, Machine, OpenMode, Origin, Os};
use tickmesh::proto::peer::{Get, GuestConfig, Orders, Peers};
use tickmesh::proto::time::{Mono, Now, Wall};

pub const KEY: &str = "00000000000000000000000000000000";
/// BLAKE3 of `abc`.
pub const HASH: &str = "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85\n";

/// What the peer wanted of its operating system.
#[derive(Default)]
pub struct Wants {
    pub dials: Vec<DialId>,
    pub listens: Vec<SocketAddr>,
    pub opens: Vec<(FileId, OpenMode)>,
    pub hashes: Vec<(FileId, u64)>,
    pub closed: Vec<(LinkId, CloseReason)>,
    pub sent: String,
    /// Offset and length of what was written.
    pub written: Vec<(u64, usize)>,
}

impl Os for Wants {
    fn perform(&mut self, effect: Effect<'_>) {
        match effect {
            Effect::Hash { file, offset, .. } => self.hashes.push((file, offset)),
            Effect::Dial { dial, .. } => self.dials.push(dial),
            Effect::Listen { addr } => self.listens.push(addr),
            Effect::Open { file, mode, .. } => self.opens.push((file, mode)),
            Effect::Close { link, reason } => self.closed.push((link, reason)),
            Effect::WriteAt { offset, bytes, .. } => self.written.push((offset, bytes.len())),
            Effect::Send { bytes, .. } => self.sent.push_str(&String::from_utf8_lossy(bytes)),
            _ => {}
        }
    }
}

/// A guest that wants `f.bin`.
pub struct Hand {
    pub peer: Peers,
    pub wants: Wants,
    pub now: Now,
    pub links: u32,
    /// Opened last.
    pub file: Option<FileId>,
    /// Files that are looked for are there, and empty.
    pub has_files: bool,
    /// What is there of the file that comes.
    pub partial_bytes: u64,
}

impl Hand {
    pub fn new() -> Hand {
        let (name, wait, stay) = ("f.bin".parse().unwrap(), Duration::from_secs(30), Duration::ZERO);
        let orders = Orders { get: Some(Get { name, chunk: None, wait, stay }), ..Orders::default() };
        let (server, group) = ("10.0.0.2:5555".parse().unwrap(), "lab".parse().unwrap());
        Hand::of(Peers::guest(GuestConfig { server, group, id: None, orders, upload_limit: None }))
    }

    pub fn of(peer: Peers) -> Hand {
        Hand::with(peer, false)
    }

    pub fn with(peer: Peers, has_files: bool) -> Hand {
        let now = Now { mono: Mono(0), wall: Wall(1_795_230_780_000_000_000) };
        let mut hand =
            Hand { peer, wants: Wants::default(), now, links: 0, file: None, has_files, partial_bytes: 0 };
        hand.input(Input::Start);
        hand
    }

    pub fn input(&mut self, input: Input<'_>) {
        self.peer.handle_input(input, self.now, &mut self.wants);
        self.settle();
    }

    pub fn settle(&mut self) {
        self.peer.check_invariants();
        while let Some(addr) = self.wants.listens.pop() {
            self.input(Input::Listening { addr: SocketAddr::new(addr.ip(), 40000) });
        }
        while let Some((file, mode)) = self.wants.opens.pop() {
            self.file = Some(file);
            match mode {
                OpenMode::Existing if !self.has_files => {
                    let (op, error) = (FileOp::Open, ErrorKind::NotFound);
                    self.input(Input::FileFailed { file, op, offset: 0, error });
                }
                OpenMode::Existing => self.input(Input::FileReady { file, bytes: 0, moved: None }),
                _ => self.input(Input::FileReady { file, bytes: self.partial_bytes, moved: None }),
            }
        }
    }

    pub fn elapse(&mut self, time: Duration) {
        let end = self.now.mono + time;
        while let Some(due) = self.peer.poll_timeout().filter(|due| *due <= end) {
            self.now.mono = self.now.mono.max(due);
            self.peer.handle_timeout(self.now, &mut self.wants);
            self.settle();
        }
        self.now.mono = end;
    }

    /// The link that was dialed last is up.
    pub fn up(&mut self) -> LinkId {
        let dial = self.wants.dials.pop().expect("it dials");
        self.links += 1;
        let link = LinkId { index: self.links, generation: 0 };
        let (local, remote) = ("10.0.0.1:41000".parse().unwrap(), "10.0.0.2:5555".parse().unwrap());
        self.input(Input::LinkUp { link, origin: Origin::Dialed(dial), local, remote });
        link
    }

    pub fn say(&mut self, link: LinkId, text: &str) {
        self.input(Input::Received { link, bytes: text.as_bytes(), at: self.now.wall });
    }

    /// Takes what was sent since the last time.
    pub fn heard(&mut self) -> String {
        std::mem::take(&mut self.wants.sent)
    }

    /// The server knows the guest, and tells it what the file consists of: three chunks of `abc`.
    pub fn welcomed() -> (Hand, LinkId) {
        let mut hand = Hand::new();
        let server = hand.up();
        hand.say(server, &format!("TICKMESH 1 server x\nOK HELLO guest-7 {KEY}\n"));
        hand.say(server, &format!("OK DOWNLOAD f.bin 9 3 195\n{HASH}{HASH}{HASH}"));
        assert!(hand.heard().ends_with("DOWNLOAD f.bin\n"));
        (hand, server)
    }

    /// So it does, and somebody who holds all of it has a link.
    pub fn linked() -> (Hand, LinkId, LinkId) {
        let (mut hand, server) = Hand::welcomed();
        hand.say(server, &format!("SOURCE f.bin eve 10.0.0.3:4000 {KEY}\n"));
        let eve = hand.up();
        hand.say(eve, "TICKMESH 1 peer x\nOK LINK\n");
        assert!(hand.heard().contains("WANT f.bin "));
        hand.say(eve, "HOLDS f.bin 1\n\x07");
        assert_eq!(hand.heard().matches("GET f.bin ").count(), 3);
        (hand, server, eve)
    }
}
