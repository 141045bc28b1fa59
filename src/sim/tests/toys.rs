//! Toy machines: a puppet that a test moves, an echo server, and a client that ticks.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use crate::proto::ids::{DialId, FileId, LinkId};
use crate::proto::machine::{CloseReason, DownReason, Effect, FileOp, Input, Load, Machine, Origin, Os, Row};
use crate::proto::time::{Mono, Now, Wall};
use crate::sim::{MachineId, NodeConfig, NodeId, World};

/// An input, kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    Start,
    Listening(SocketAddr),
    ListenFailed(ErrorKind),
    Up(LinkId, Origin),
    DialFailed(DialId, ErrorKind),
    Blocked(LinkId),
    Drained(LinkId),
    Ended(LinkId),
    Down(LinkId, DownReason),
    Ready(FileId, Option<String>),
    Appended(FileId),
    Finished(FileId, Option<String>),
    Hashed(FileId, u64, blake3::Hash),
    Read(FileId, u64, Vec<u8>),
    Failed(FileId, FileOp, ErrorKind),
    Stored(u64, Result<(), ErrorKind>),
    Row(Row<'static>),
    Loaded(Load, Result<u64, ErrorKind>),
    Surveyed(u64, Vec<String>, u64),
    SurveyFailed(ErrorKind),
    Presented(String),
    Reload,
    Report,
    Shutdown,
}

/// Does nothing by itself, and keeps what it is told.
#[derive(Debug, Default)]
pub(super) struct Puppet {
    /// All inputs except received bytes.
    pub(super) seen: Vec<Seen>,
    /// What came over each link, and in which pieces.
    pub(super) bytes: BTreeMap<LinkId, Vec<u8>>,
    pub(super) pieces: Vec<(usize, Wall, Now)>,
    pub(super) deadline: Option<Mono>,
    pub(super) fired: Vec<(Mono, Now)>,
    /// How long the last file was that was opened, and where the last failure was.
    pub(super) ready_bytes: u64,
    pub(super) failed_at: u64,
}

impl Machine for Puppet {
    fn handle_input(&mut self, input: Input<'_>, now: Now, _os: &mut dyn Os) {
        let text = |moved: Option<&str>| moved.map(str::to_owned);
        let seen = match input {
            Input::Start => Seen::Start,
            Input::Listening { addr } => Seen::Listening(addr),
            Input::ListenFailed { error, .. } => Seen::ListenFailed(error),
            Input::LinkUp { link, origin, .. } => Seen::Up(link, origin),
            Input::DialFailed { dial, error } => Seen::DialFailed(dial, error),
            Input::Received { link, bytes, at } => {
                self.bytes.entry(link).or_default().extend_from_slice(bytes);
                self.pieces.push((bytes.len(), at, now));
                return;
            }
            Input::Blocked { link } => Seen::Blocked(link),
            Input::Drained { link } => Seen::Drained(link),
            Input::Ended { link } => Seen::Ended(link),
            Input::LinkDown { link, reason } => Seen::Down(link, reason),
            Input::FileReady { file, bytes, moved } => {
                self.ready_bytes = bytes;
                Seen::Ready(file, text(moved))
            }
            Input::Appended { file } => Seen::Appended(file),
            Input::Finished { file, moved } => Seen::Finished(file, text(moved)),
            Input::Hashed { file, offset, hash } => Seen::Hashed(file, offset, hash),
            Input::Read { file, offset, bytes } => Seen::Read(file, offset, bytes.to_vec()),
            Input::FileFailed { file, op, offset, error } => {
                self.failed_at = offset;
                Seen::Failed(file, op, error)
            }
            Input::Stored { batch } => Seen::Stored(batch, Ok(())),
            Input::StoreFailed { batch, error } => Seen::Stored(batch, Err(error)),
            Input::Row { row } => Seen::Row(row.into_owned()),
            Input::Loaded { load, version } => Seen::Loaded(load, Ok(version)),
            Input::LoadFailed { load, error } => Seen::Loaded(load, Err(error)),
            Input::Derived { .. } | Input::Typed { .. } | Input::TypedEnd | Input::Measured { .. } => return,
            Input::Surveyed { bytes, files, removed } => {
                Seen::Surveyed(bytes, files.iter().map(|file| file.name.clone()).collect(), removed)
            }
            Input::SurveyFailed { error } => Seen::SurveyFailed(error),
            Input::Presented { path, .. } => Seen::Presented(path.to_owned()),
            Input::Reload => Seen::Reload,
            Input::Report => Seen::Report,
            Input::Shutdown => Seen::Shutdown,
        };
        self.seen.push(seen);
    }

    fn handle_timeout(&mut self, now: Now, _os: &mut dyn Os) {
        let deadline = self.deadline.take_if(|deadline| *deadline <= now.mono);
        self.fired.push((deadline.expect("called for nothing"), now));
    }

    fn poll_timeout(&self) -> Option<Mono> {
        self.deadline
    }
}

/// Sends back what it gets, and closes nothing.
#[derive(Debug)]
pub(super) struct Echo {
    pub(super) addr: SocketAddr,
}

impl Machine for Echo {
    fn handle_input(&mut self, input: Input<'_>, _now: Now, os: &mut dyn Os) {
        match input {
            Input::Start => os.perform(Effect::Listen { addr: self.addr }),
            Input::Received { link, bytes, .. } => os.perform(Effect::Send { link, bytes }),
            Input::Shutdown => os.perform(Effect::Exit),
            _ => {}
        }
    }

    fn handle_timeout(&mut self, _now: Now, _os: &mut dyn Os) {
        unreachable!("nothing is due");
    }

    fn poll_timeout(&self) -> Option<Mono> {
        None
    }
}

/// Dials, sends a line on a grid, counts the lines that come back, writes a row for each, and
/// dials again when the link goes down.
#[derive(Debug)]
pub(super) struct Ticker {
    server: SocketAddr,
    interval: Duration,
    link: Option<LinkId>,
    dials: u32,
    next: Option<Mono>,
    redial: Option<Mono>,
    pub(super) sent: u64,
    pub(super) answered: u64,
    pub(super) rows: u64,
}

const ROWS: FileId = FileId(1);

impl Ticker {
    pub(super) fn new(server: SocketAddr, interval: Duration) -> Ticker {
        let (link, next, redial) = (None, None, None);
        Ticker { server, interval, link, dials: 0, next, redial, sent: 0, answered: 0, rows: 0 }
    }

    fn dial(&mut self, os: &mut dyn Os) {
        self.dials += 1;
        self.redial = None;
        os.perform(Effect::Dial { dial: DialId(self.dials), addr: self.server });
    }
}

impl Machine for Ticker {
    fn handle_input(&mut self, input: Input<'_>, now: Now, os: &mut dyn Os) {
        match input {
            Input::Start => {
                let mode = crate::proto::machine::OpenMode::Named;
                os.perform(Effect::Open { file: ROWS, path: "rows.txt", mode, aside: "rows.txt.old" });
                self.dial(os);
            }
            Input::LinkUp { link, .. } => {
                self.link = Some(link);
                self.next = Some(now.mono + self.interval);
            }
            Input::Received { bytes, .. } => {
                let lines = bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
                self.answered += lines;
                os.perform(Effect::Append { file: ROWS, bytes: &b"row\n".repeat(lines as usize) });
            }
            Input::Appended { .. } => self.rows += 1,
            Input::LinkDown { .. } | Input::DialFailed { .. } => {
                (self.link, self.next) = (None, None);
                self.redial = Some(now.mono + Duration::from_millis(100));
            }
            Input::Shutdown => {
                if let Some(link) = self.link {
                    os.perform(Effect::Close { link, reason: CloseReason::Shutdown });
                }
                os.perform(Effect::Exit);
            }
            _ => {}
        }
    }

    fn handle_timeout(&mut self, now: Now, os: &mut dyn Os) {
        if self.redial.is_some_and(|deadline| deadline <= now.mono) {
            self.dial(os);
        }
        while let (Some(link), Some(next)) = (self.link, self.next)
            && next <= now.mono
        {
            self.sent += 1;
            self.next = Some(next + self.interval);
            os.perform(Effect::Send { link, bytes: b"TICK\n" });
        }
    }

    fn poll_timeout(&self) -> Option<Mono> {
        self.next.or(self.redial)
    }

    fn check_invariants(&self) {
        assert_eq!(self.link.is_some(), self.next.is_some());
    }
}

/// Two nodes, a puppet on each, and a link between them that the first one dialed.
pub(super) struct Pair {
    pub(super) world: World,
    pub(super) nodes: [NodeId; 2],
    pub(super) puppets: [MachineId; 2],
    pub(super) links: [LinkId; 2],
}

pub(super) const PORT: u16 = 5555;

impl Pair {
    pub(super) fn new(seed: u64) -> Pair {
        let mut world = World::new(seed);
        let nodes = [1, 2].map(|last| world.add_node(&NodeConfig::new([10, 0, 0, last])));
        let puppets = nodes.map(|node| world.start(node, Box::new(Puppet::default())));
        let addr = world.addr(nodes[1], PORT);
        perform(&mut world, puppets[1], Effect::Listen { addr });
        perform(&mut world, puppets[0], Effect::Dial { dial: DialId(1), addr });
        world.run_for(Duration::from_millis(500));
        let links = puppets.map(|puppet| up(&world, puppet));
        Pair { world, nodes, puppets, links }
    }

    pub(super) fn perform(&mut self, side: usize, effect: Effect<'_>) {
        perform(&mut self.world, self.puppets[side], effect);
    }

    pub(super) fn send(&mut self, side: usize, bytes: &[u8]) {
        let link = self.links[side];
        self.perform(side, Effect::Send { link, bytes });
    }

    pub(super) fn close(&mut self, side: usize) {
        let link = self.links[side];
        self.perform(side, Effect::Close { link, reason: CloseReason::Done });
    }

    pub(super) fn puppet(&self, side: usize) -> &Puppet {
        self.world.machine(self.puppets[side]).unwrap()
    }

    /// What a side has received over the first link.
    pub(super) fn bytes(&self, side: usize) -> &[u8] {
        self.puppet(side).bytes.get(&self.links[side]).map_or(&[], Vec::as_slice)
    }

    /// Why the first link went down at a side, and when it happened for the last time.
    pub(super) fn down(&self, side: usize) -> Option<DownReason> {
        let mut reasons = self.puppet(side).seen.iter().filter_map(|seen| match seen {
            Seen::Down(link, reason) if *link == self.links[side] => Some(*reason),
            _ => None,
        });
        let first = reasons.next();
        assert_eq!(reasons.next(), None, "a link goes down at most once");
        first
    }

    pub(super) fn has_seen(&self, side: usize, wanted: &Seen) -> bool {
        self.puppet(side).seen.contains(wanted)
    }

    pub(super) fn run_ms(&mut self, millis: u64) {
        self.world.run_for(Duration::from_millis(millis));
    }
}

pub(super) fn perform(world: &mut World, puppet: MachineId, effect: Effect<'_>) {
    world.act(puppet, |_: &mut Puppet, _, os| os.perform(effect)).expect("the puppet is there");
}

/// The last link that came up at a puppet.
pub(super) fn up(world: &World, puppet: MachineId) -> LinkId {
    let puppet: &Puppet = world.machine(puppet).unwrap();
    let links = puppet.seen.iter().rev().find_map(|seen| match seen {
        Seen::Up(link, _) => Some(*link),
        _ => None,
    });
    links.expect("a link came up")
}
