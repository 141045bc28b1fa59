//! Peers whose server and whose others are played by hand, line by line: what nobody honest says must not
//! bring them down, and what an honest one may say must not be held against it.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use tickmesh::proto::ids::{DialId, FileId, LinkId};
use tickmesh::proto::machine::{
    CloseReason, DownReason, Effect, FileOp, Input, Machine, OpenMode, Origin, Os,
};
use tickmesh::proto::peer::{Get, GuestConfig, Orders, Peers, PeersConfig};
use tickmesh::proto::swarm::{Fit, Packer};
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
    /// Offset and length of what was written.
    written: Vec<(u64, usize)>,
}

impl Os for Wants {
    fn perform(&mut self, effect: Effect<'_>) {
        match effect {
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
struct Hand {
    peer: Peers,
    wants: Wants,
    now: Now,
    links: u32,
    /// Opened last.
    file: Option<FileId>,
}

impl Hand {
    fn new() -> Hand {
        let (name, wait, stay) = ("f.bin".parse().unwrap(), Duration::from_secs(30), Duration::ZERO);
        let orders = Orders { get: Some(Get { name, chunk: None, wait, stay }), ..Orders::default() };
        let (server, group) = ("10.0.0.2:5555".parse().unwrap(), "lab".parse().unwrap());
        Hand::of(Peers::guest(GuestConfig { server, group, id: None, orders, upload_limit: None }))
    }

    fn of(peer: Peers) -> Hand {
        let now = Now { mono: Mono(0), wall: Wall(1_795_230_780_000_000_000) };
        let mut hand = Hand { peer, wants: Wants::default(), now, links: 0, file: None };
        hand.input(Input::Start);
        hand
    }

    fn input(&mut self, input: Input<'_>) {
        self.peer.handle_input(input, self.now, &mut self.wants);
        self.settle();
    }

    fn settle(&mut self) {
        self.peer.check_invariants();
        while let Some(addr) = self.wants.listens.pop() {
            self.input(Input::Listening { addr: SocketAddr::new(addr.ip(), 40000) });
        }
        while let Some((file, mode)) = self.wants.opens.pop() {
            self.file = Some(file);
            match mode {
                OpenMode::Existing => {
                    let (op, error) = (FileOp::Open, ErrorKind::NotFound);
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
            self.settle();
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

#[test]
fn a_runner_is_no_guest_and_a_guest_no_runner() {
    let mut guest = Hand::new();
    let server = guest.up();
    guest.say(server, &format!("TICKMESH 1 server x\nOK JOIN 7 {KEY} 10000000 1000000000 1\n"));
    assert!(guest.wants.opens.is_empty() && guest.file.is_none(), "it has nothing to write down");

    let mut runner = Hand::of(Peers::new(PeersConfig {
        server: "10.0.0.2:5555".parse().unwrap(),
        group: "lab".parse().unwrap(),
        ids: vec![None],
        interval: None,
        duration: None,
        share_deadline: Some(Duration::from_secs(20)),
    }));
    let server = runner.up();
    runner.say(server, &format!("TICKMESH 1 server x\nOK JOIN 7 {KEY} 10000000 1000000000 1\n"));
    runner.elapse(Duration::from_millis(100));
    runner.input(Input::LinkDown { link: server, reason: DownReason::Reset });
    runner.elapse(Duration::from_secs(2));
    let server = runner.up();
    runner.say(server, &format!("TICKMESH 1 server x\nOK HELLO 7 {KEY}\n"));
}

#[test]
fn who_says_twice_what_it_holds_is_asked_once() {
    let (mut hand, _, eve) = Hand::linked();
    hand.say(eve, "HOLDS f.bin 1\n\x07");
    assert_eq!(hand.heard(), "", "no chunk is asked for twice over one link");
    hand.say(eve, "CHUNK f.bin 0 3\nabc");
    assert_eq!(hand.peer.files()[0].chunks_stored, 1);
}

/// What was asked for before the disk refused the file may still come, and is not asked for again before.
#[test]
fn what_a_source_owes_from_before_is_not_asked_for_twice() {
    let (mut hand, _, eve) = Hand::linked();
    let (file, error) = (hand.file.unwrap(), ErrorKind::StorageFull);
    hand.input(Input::FileFailed { file, op: FileOp::WriteAt, offset: 0, error });
    assert_eq!(hand.heard().matches("CANCEL f.bin ").count(), 3);
    hand.elapse(Duration::from_secs(6));
    assert_eq!(hand.heard().matches("WANT f.bin ").count(), 1);
    hand.say(eve, "HOLDS f.bin 1\n\x07");
    assert_eq!(hand.heard(), "", "three chunks are on their way");
    hand.say(eve, "DENY f.bin 0\nDENY f.bin 1\n");
    assert_eq!(hand.heard(), "");
    hand.say(eve, "CHUNK f.bin 2 3\nabc");
    assert_eq!(hand.heard().matches("WANT f.bin ").count(), 1);
    hand.say(eve, "HOLDS f.bin 1\n\x07");
    assert_eq!(hand.heard().matches("GET f.bin ").count(), 3);
}

#[test]
fn who_says_for_ever_what_it_holds_is_sent_away() {
    let (mut hand, _, eve) = Hand::linked();
    for _ in 0..1000 {
        hand.say(eve, "HAVE f.bin 0 2\nHAVE f.bin 1 1\n");
    }
    assert!(hand.wants.closed.is_empty(), "who says it twice or a thousand times costs little");
    (0..200_000).for_each(|_| hand.say(eve, "HAVE f.bin 0 2\n"));
    assert_eq!(hand.wants.closed, [(eve, CloseReason::Misbehaved)]);
}

/// An error does not say what it answers.
#[test]
fn an_error_about_a_report_is_none_about_the_download() {
    let (mut hand, server) = Hand::welcomed();
    hand.elapse(Duration::from_secs(2));
    assert!(hand.heard().contains("DOWNLOAD f.bin\n"));
    hand.say(server, "ERR unknown-member eve is no source of f.bin for you\n");
    hand.say(server, "ERR too-fast take the earlier answers first\n");
    hand.elapse(Duration::from_secs(2));
    assert!(hand.heard().contains("DOWNLOAD f.bin\n"), "it asks again");
}

/// Nobody waits for ever for a source that says nothing; one that lets us wait says an empty line.
#[test]
fn a_source_that_brings_nothing_is_left() {
    let (mut hand, _, eve) = Hand::linked();
    for _ in 0..10 {
        hand.elapse(Duration::from_secs(9));
        hand.say(eve, "\n");
    }
    assert!(hand.wants.closed.is_empty());
    hand.elapse(Duration::from_secs(12));
    assert_eq!(hand.wants.closed, [(eve, CloseReason::Silent)]);
}

/// Nor about what is registered after the server came back.
#[test]
fn an_error_about_a_report_is_none_about_a_register() {
    let (mut hand, server, _) = Hand::linked();
    hand.input(Input::LinkDown { link: server, reason: DownReason::Reset });
    hand.elapse(Duration::from_secs(2));
    let server = hand.up();
    hand.say(server, &format!("TICKMESH 1 server x\nOK HELLO guest-7 {KEY}\n"));
    assert!(hand.heard().contains("REGISTER f.bin 9 3 195 none\n"));
    hand.say(server, "ERR unknown-member eve is no source of f.bin for you\n");
    hand.say(server, "OK REGISTER f.bin 1\n");
    assert_eq!(hand.peer.report().peers[0].outcome, "unfinished");
    assert!(hand.peer.files()[0].is_offered);
}

/// The server has started anew and given the name to somebody else: one that it chose itself is no matter.
#[test]
fn a_guest_whose_name_was_given_away_takes_another() {
    let (mut hand, server, eve) = Hand::linked();
    hand.input(Input::LinkDown { link: server, reason: DownReason::Reset });
    hand.elapse(Duration::from_secs(2));
    let server = hand.up();
    hand.say(server, "TICKMESH 1 server x\n");
    assert_eq!(hand.heard(), format!("HELLO guest-7 40000 lab {KEY}\n"));
    hand.say(server, "ERR id-taken guest-7 is taken by 10.0.0.9:4000\n");
    assert_eq!(hand.heard(), "HELLO * 40000 lab\n");
    hand.say(eve, "CHUNK f.bin 0 3\nabc");
    hand.say(server, &format!("OK HELLO guest-8 {KEY}\n"));
    assert!(hand.heard().contains("REGISTER f.bin 9 3 195 none\n"));
    assert_eq!(hand.peer.report().peers[0].id.as_deref(), Some("guest-8"));
    assert_eq!(hand.peer.files()[0].chunks_stored, 1, "the transfer went on");
}

/// A guest that wants two chunks of a thousand bytes each, and eve, who holds them and packs.
fn wanting() -> (Hand, LinkId, [Vec<u8>; 2]) {
    let mut hand = Hand::new();
    let server = hand.up();
    let chunks = [vec![b'a'; 1000], vec![b'b'; 1000]];
    let hashes = chunks.clone().map(|chunk| format!("{}\n", blake3::hash(&chunk).to_hex())).concat();
    hand.say(
        server,
        &format!("TICKMESH 1 server x\nOK HELLO guest-7 {KEY}\nOK DOWNLOAD f.bin 2000 1000 130\n{hashes}"),
    );
    hand.say(server, &format!("SOURCE f.bin eve 10.0.0.3:4000 {KEY}\n"));
    let eve = hand.up();
    assert!(hand.heard().ends_with(&format!("LINK lab guest-7 eve {KEY} zstd\n")));
    hand.say(eve, "TICKMESH 1 peer x\nOK LINK zstd\nHOLDS f.bin 1\n\x03");
    (hand, eve, chunks)
}

fn frame(bytes: &[u8]) -> Vec<u8> {
    Packer::new().pack(bytes, &mut Fit::default()).unwrap().to_vec()
}

fn packed(chunk: usize, octets: &[u8]) -> Vec<u8> {
    [format!("CHUNK f.bin {chunk} {} zstd\n", octets.len()).as_bytes(), octets].concat()
}

#[test]
fn a_packed_chunk_is_taken_like_any_other() {
    let (mut hand, eve, chunks) = wanting();
    let octets = frame(&chunks[1]);
    for byte in packed(1, &octets) {
        assert!(hand.wants.written.is_empty(), "nothing is written before it is all there");
        hand.input(Input::Received { link: eve, bytes: &[byte], at: hand.now.wall });
    }
    assert_eq!(hand.wants.written, [(1000, 1000)]);
    hand.say(eve, &format!("CHUNK f.bin 0 1000\n{}", "a".repeat(1000)));
    let file = &hand.peer.files()[0];
    assert_eq!((file.bytes_fetched, file.bytes_wasted, file.chunks_stored), (2000, 0, 2));
    assert_eq!(file.wire_bytes_fetched, 1000 + octets.len() as u64);
    assert!(hand.wants.closed.is_empty());
}

#[test]
fn a_bad_frame_is_the_same_lie_as_a_wrong_byte() {
    let fair = wanting().2;
    let (right, wrong) = (frame(&fair[0]), frame(&fair[1]));
    let double = frame(&fair.concat());
    for octets in
        [wrong, right[1..].to_vec(), [&right[..], b"x"].concat(), double, b"no frame".to_vec(), vec![0; 1001]]
    {
        let (mut hand, eve, _) = wanting();
        hand.input(Input::Received { link: eve, bytes: &packed(0, &octets), at: hand.now.wall });
        assert_eq!(hand.wants.closed, [(eve, CloseReason::Misbehaved)], "{octets:?}");
        assert!(hand.wants.written.is_empty(), "{octets:?}");
        let file = &hand.peer.files()[0];
        assert_eq!((file.chunks_stored, file.bytes_fetched), (0, 0));
        assert_eq!(file.bytes_wasted, if octets.len() > 1000 { 0 } else { 1000 });
        assert!(hand.heard().contains("ERR bad-argument chunk 0 "));
    }
}

#[test]
fn a_packed_chunk_of_nothing_is_a_lie() {
    let (mut hand, eve, _) = wanting();
    hand.say(eve, "CHUNK f.bin 0 0 zstd\n");
    assert_eq!(hand.wants.closed, [(eve, CloseReason::Misbehaved)]);
}
