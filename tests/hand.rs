//! Peers whose server and whose others are played by hand, line by line: what nobody honest says must not
//! bring them down, and what an honest one may say must not be held against it.

use std::net::SocketAddr;
use std::time::Duration;

use tickmesh::proto::ids::{DialId, FileId, LinkId};
use tickmesh::proto::machine::{CloseReason, Effect, Input, Machine, OpenMode, Origin, Os};
use tickmesh::proto::peer::{Get, GuestConfig, Orders, Peers};
use tickmesh::proto::time::{Mono, Now, Wall};

const KEY: &str = "00000000000000000000000000000000";
/// BLAKE3 of `abc`.
const HASH: &str = "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85\n";

/// What the peer wanted of its operating system.
#[derive(Default)]
struct Wants {
    dials: Vec<DialId>,
    listens: Vec<SocketAddr>,
    opens: Vec<(FileId, OpenMode)>,
    closed: Vec<(LinkId, CloseReason)>,
    sent: String,
}

impl Os for Wants {
    fn perform(&mut self, effect: Effect<'_>) {
        match effect {
            Effect::Dial { dial, .. } => self.dials.push(dial),
            Effect::Listen { addr } => self.listens.push(addr),
            Effect::Open { file, mode, .. } => self.opens.push((file, mode)),
            Effect::Close { link, reason } => self.closed.push((link, reason)),
            Effect::Send { bytes, .. } => self.sent.push_str(&String::from_utf8_lossy(bytes)),
            _ => {}
        }
    }
}

/// A guest that wants `f.bin`.
struct Hand {
    peer: Peers,
    wants: Wants,
    now: Now,
    links: u32,
}

impl Hand {
    fn new() -> Hand {
        let (name, wait, stay) = ("f.bin".parse().unwrap(), Duration::from_secs(30), Duration::ZERO);
        let orders = Orders { get: Some(Get { name, chunk: None, wait, stay }), ..Orders::default() };
        let (server, group) = ("10.0.0.2:5555".parse().unwrap(), "lab".parse().unwrap());
        let peer = Peers::guest(GuestConfig { server, group, id: None, orders, upload_limit: None });
        let now = Now { mono: Mono(0), wall: Wall(1_795_230_780_000_000_000) };
        let mut hand = Hand { peer, wants: Wants::default(), now, links: 0 };
        hand.input(Input::Start);
        hand
    }

    fn input(&mut self, input: Input<'_>) {
        self.peer.handle_input(input, self.now, &mut self.wants);
        self.peer.check_invariants();
        while let Some(addr) = self.wants.listens.pop() {
            self.input(Input::Listening { addr: SocketAddr::new(addr.ip(), 40000) });
        }
        while let Some((file, mode)) = self.wants.opens.pop() {
            match mode {
                OpenMode::Existing => {
                    let (op, error) = (tickmesh::proto::machine::FileOp::Open, std::io::ErrorKind::NotFound);
                    self.input(Input::FileFailed { file, op, offset: 0, error });
                }
                _ => self.input(Input::FileReady { file, bytes: 0, moved: None }),
            }
        }
    }

    fn elapse(&mut self, time: Duration) {
        let end = self.now.mono + time;
        while let Some(due) = self.peer.poll_timeout().filter(|due| *due <= end) {
            self.now.mono = self.now.mono.max(due);
            self.peer.handle_timeout(self.now, &mut self.wants);
            self.input(Input::Blocked { link: LinkId { index: 999, generation: 0 } });
        }
        self.now.mono = end;
    }

    /// The link that was dialed last is up.
    fn up(&mut self) -> LinkId {
        let dial = self.wants.dials.pop().expect("it dials");
        self.links += 1;
        let link = LinkId { index: self.links, generation: 0 };
        let (local, remote) = ("10.0.0.1:41000".parse().unwrap(), "10.0.0.2:5555".parse().unwrap());
        self.input(Input::LinkUp { link, origin: Origin::Dialed(dial), local, remote });
        link
    }

    fn say(&mut self, link: LinkId, text: &str) {
        self.input(Input::Received { link, bytes: text.as_bytes(), at: self.now.wall });
    }

    /// Takes what was sent since the last time.
    fn heard(&mut self) -> String {
        std::mem::take(&mut self.wants.sent)
    }

    /// The server knows the guest, and tells it what the file consists of: three chunks of `abc`.
    fn welcomed() -> (Hand, LinkId) {
        let mut hand = Hand::new();
        let server = hand.up();
        hand.say(server, &format!("TICKMESH 1 server x\nOK HELLO guest-7 {KEY}\n"));
        hand.say(server, &format!("OK DOWNLOAD f.bin 9 3 195\n{HASH}{HASH}{HASH}"));
        assert!(hand.heard().ends_with("DOWNLOAD f.bin\n"));
        (hand, server)
    }

    /// So it does, and somebody who holds all of it has a link.
    fn linked() -> (Hand, LinkId, LinkId) {
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

#[test]
fn hashes_before_the_welcome_mean_nothing() {
    let mut hand = Hand::new();
    let server = hand.up();
    hand.say(server, &format!("TICKMESH 1 server x\nOK DOWNLOAD f.bin 9 3 195\n{HASH}{HASH}{HASH}"));
    hand.say(server, &format!("SOURCE f.bin eve 10.0.0.3:4000 {KEY}\n"));
    hand.say(server, &format!("OK HELLO guest-7 {KEY}\n"));
    assert!(hand.heard().ends_with("DOWNLOAD f.bin\n"));
}
