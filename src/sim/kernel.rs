//! The state of a world below its machines: nodes, connections, what is going to happen, and the
//! answers that machines are about to get. Never calls a machine; `world` does.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::proto::ids::{DialId, FileId, LinkId};
use crate::proto::machine::{DownReason, FileOp, Input, Load, Origin, Row, Secret, Stamp};
use crate::proto::time::{Mono, Now, Wall, ns};
use crate::sim::disk::Surveyed;
use crate::sim::files::Handle;
use crate::sim::jobs::Job;
use crate::sim::net::{Conn, EndRef, NetConfig, Owner};
use crate::sim::node::{IdState, MachineId, Node, NodeId};
use crate::sim::queue::Queue;
use crate::sim::rng::Rng;
use crate::sim::store::Order;
use crate::sim::stranger::Stranger;
use crate::sim::trace::{NOBODY, Place, Stats, Trace, What};

#[derive(Debug)]
pub(super) struct Kernel {
    pub(super) now_ns: u64,
    pub(super) queue: Queue<Event>,
    pub(super) nodes: Vec<Node>,
    pub(super) by_ip: BTreeMap<IpAddr, NodeId>,
    pub(super) processes: Vec<Process>,
    pub(super) conns: Vec<Conn>,
    pub(super) conns_free: Vec<u32>,
    pub(super) strangers: Vec<Stranger>,
    pub(super) net: NetConfig,
    /// One-way delays that differ from the network's, by sender and receiver.
    pub(super) paths: BTreeMap<(NodeId, NodeId), RangeInclusive<Duration>>,
    /// Pairs of nodes that do not reach each other, the lesser one first.
    pub(super) partitions: BTreeSet<(NodeId, NodeId)>,
    pub(super) answers: VecDeque<(MachineId, Answer)>,
    /// What disks are at, by serial number.
    pub(super) jobs: BTreeMap<u64, Job>,
    pub(super) jobs_begun: u64,
    /// Ends that have sent something in this turn.
    pub(super) dirty: Vec<EndRef>,
    /// The bytes of the one [`Answer::Received`] that is under way.
    pub(super) inbox: Vec<u8>,
    pub(super) rng: Rng,
    /// Draws how long stores take: machines look into them all the time, and nothing else is to change with it.
    pub(super) store_rng: Rng,
    pub(super) trace: Trace,
    pub(super) stats: Stats,
}

/// A machine as the kernel knows it.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) node: NodeId,
    pub(super) running: bool,
    /// It has asked to exit in the call that is under way.
    pub(super) exiting: bool,
    pub(super) told_shutdown: bool,
    pub(super) files: BTreeMap<FileId, Handle>,
    /// What it wants of its store, in order; the first is under way.
    pub(super) orders: VecDeque<Order>,
    /// Hashed passwords that it is not told of yet.
    pub(super) derived: VecDeque<(u64, Secret<[u8; 32]>)>,
    /// How many names it wants to know of its folder, each time that it has asked.
    pub(super) surveys: VecDeque<usize>,
}

/// Something that is going to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Wake(NodeId),
    Net(NetEvent, EndRef),
    /// The next step of something that a disk does, by its serial number.
    Disk(u64),
    /// The store carries out the next order of a machine.
    Store(MachineId),
    /// The next password of a machine has been hashed.
    Derived(MachineId),
    /// A machine is told what is in its folder.
    Survey(MachineId),
    /// Chaos strikes, by its epoch.
    ChaosStrikes(u32),
    /// A fault of chaos ends, by its place in the list.
    ChaosEnds(u32),
}

/// Something that is going to happen to one end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NetEvent {
    /// A request to connect arrives.
    Syn,
    /// Its answer arrives at the dialer.
    SynAck,
    /// The dialer's answer to that; the acceptor's link is up.
    Ack,
    Refused,
    DialTimeout,
    /// Bytes or the end of the other half arrive, or are read.
    Deliver,
    /// The kernel has room for more.
    Writable,
    /// A closed link has lingered long enough.
    LingerTimeout,
    /// A link whose way is cut may have timed out.
    CutTimeout,
    /// A link whose reader takes nothing may have timed out.
    StuckTimeout,
    /// A link whose reader takes too little may have had its time.
    SlowTimeout,
}

/// An input that waits until the machine's current call is over.
#[derive(Debug)]
pub(super) enum Answer {
    Start,
    Listening { addr: SocketAddr },
    ListenFailed { addr: SocketAddr, error: ErrorKind },
    LinkUp { link: LinkId, origin: Origin, local: SocketAddr, remote: SocketAddr },
    DialFailed { dial: DialId, error: ErrorKind },
    Received { link: LinkId, at_ns: u64 },
    Blocked { link: LinkId },
    Drained { link: LinkId },
    Ended { link: LinkId },
    LinkDown { link: LinkId, reason: DownReason },
    FileReady { file: FileId, bytes: u64, moved: Option<Box<str>> },
    Appended { file: FileId },
    Finished { file: FileId, moved: Option<Box<str>> },
    Hashed { file: FileId, offset: u64, hash: blake3::Hash },
    Read { file: FileId, offset: u64, bytes: Vec<u8> },
    FileFailed { file: FileId, op: FileOp, offset: u64, error: ErrorKind },
    Stored { batch: u64 },
    StoreFailed { batch: u64, error: ErrorKind },
    Row { row: Row<'static> },
    Loaded { load: Load, version: u64 },
    LoadFailed { load: Load, error: ErrorKind },
    Derived { job: u64, key: Secret<[u8; 32]> },
    Typed { bytes: Box<[u8]> },
    TypedEnd,
    Surveyed(Surveyed),
    SurveyFailed { error: ErrorKind },
    Presented { path: Box<str>, stamp: Stamp },
    Measured,
    Reload,
    Report,
    Shutdown,
}

impl Process {
    pub(super) fn new(node: NodeId) -> Process {
        Process {
            node,
            running: true,
            exiting: false,
            told_shutdown: false,
            files: BTreeMap::new(),
            orders: VecDeque::new(),
            derived: VecDeque::new(),
            surveys: VecDeque::new(),
        }
    }
}

impl Answer {
    /// The input that it is; received bytes are handed over with it.
    pub(super) fn input<'a>(&'a self, inbox: &'a [u8], received_at: Wall) -> Input<'a> {
        match *self {
            Answer::Start => Input::Start,
            Answer::Listening { addr } => Input::Listening { addr },
            Answer::ListenFailed { addr, error } => Input::ListenFailed { addr, error },
            Answer::LinkUp { link, origin, local, remote } => Input::LinkUp { link, origin, local, remote },
            Answer::DialFailed { dial, error } => Input::DialFailed { dial, error },
            Answer::Received { link, .. } => Input::Received { link, bytes: inbox, at: received_at },
            Answer::Blocked { link } => Input::Blocked { link },
            Answer::Drained { link } => Input::Drained { link },
            Answer::Ended { link } => Input::Ended { link },
            Answer::LinkDown { link, reason } => Input::LinkDown { link, reason },
            Answer::FileReady { file, bytes, ref moved } => {
                Input::FileReady { file, bytes, moved: moved.as_deref() }
            }
            Answer::Appended { file } => Input::Appended { file },
            Answer::Finished { file, ref moved } => Input::Finished { file, moved: moved.as_deref() },
            Answer::Hashed { file, offset, hash } => Input::Hashed { file, offset, hash },
            Answer::Read { file, offset, ref bytes } => Input::Read { file, offset, bytes },
            Answer::FileFailed { file, op, offset, error } => Input::FileFailed { file, op, offset, error },
            Answer::Stored { batch } => Input::Stored { batch },
            Answer::StoreFailed { batch, error } => Input::StoreFailed { batch, error },
            Answer::Row { ref row } => Input::Row { row: row.clone() },
            Answer::Loaded { load, version } => Input::Loaded { load, version },
            Answer::LoadFailed { load, error } => Input::LoadFailed { load, error },
            Answer::Derived { job, key } => Input::Derived { job, key },
            Answer::Typed { ref bytes } => Input::Typed { bytes },
            Answer::TypedEnd => Input::TypedEnd,
            Answer::Surveyed(Surveyed { bytes, ref files, removed }) => {
                Input::Surveyed { bytes, files, removed }
            }
            Answer::SurveyFailed { error } => Input::SurveyFailed { error },
            Answer::Presented { ref path, stamp } => Input::Presented { path, stamp },
            Answer::Measured => unreachable!("the world has the figures"),
            Answer::Reload => Input::Reload,
            Answer::Report => Input::Report,
            Answer::Shutdown => Input::Shutdown,
        }
    }
}

impl Kernel {
    pub(super) fn new(rng: Rng, store_rng: Rng) -> Kernel {
        Kernel {
            now_ns: 0,
            queue: Queue::new(),
            nodes: Vec::new(),
            by_ip: BTreeMap::new(),
            processes: Vec::new(),
            conns: Vec::new(),
            conns_free: Vec::new(),
            strangers: Vec::new(),
            net: NetConfig::default(),
            paths: BTreeMap::new(),
            partitions: BTreeSet::new(),
            answers: VecDeque::new(),
            jobs: BTreeMap::new(),
            jobs_begun: 0,
            dirty: Vec::new(),
            inbox: Vec::new(),
            rng,
            store_rng,
            trace: Trace::new(),
            stats: Stats::default(),
        }
    }

    /// What the clocks of a node show.
    pub(super) fn clocks(&self, node: NodeId) -> Now {
        self.nodes[node.at()].clock.now(self.now_ns)
    }

    pub(super) fn answer(&mut self, machine: MachineId, answer: Answer) {
        self.answers.push_back((machine, answer));
    }

    /// Each machine is told once. Nothing is accepted for it any more.
    pub(super) fn tell_shutdown(&mut self, machine: MachineId) {
        let process = &mut self.processes[machine.at()];
        if !std::mem::replace(&mut process.told_shutdown, true) {
            self.nodes[process.node.at()].listeners.retain(|_, owner| *owner != machine);
            self.answer(machine, Answer::Shutdown);
        }
    }

    pub(super) fn is_running(&self, machine: MachineId) -> bool {
        self.processes[machine.at()].running
    }

    pub(super) fn node_of(&self, machine: MachineId) -> NodeId {
        self.processes[machine.at()].node
    }

    /// Wakes a node for a deadline, unless it wakes before that anyway.
    pub(super) fn wake_for(&mut self, id: NodeId, deadline: Mono) {
        let node = &mut self.nodes[id.at()];
        if node.wake.is_none_or(|(earlier, _)| deadline < earlier) {
            let late_ns = self.rng.below(ns(node.lateness.usual) + 1);
            let at_ns = node.clock.when(deadline).max(self.now_ns).saturating_add(late_ns);
            node.wake = Some((deadline, self.queue.push(at_ns, Event::Wake(id))));
        }
    }

    /// The connection and the side that a machine means by a link; `None` if it is not its own,
    /// or gone.
    pub(super) fn find(&self, machine: MachineId, link: LinkId) -> Option<(usize, usize)> {
        let IdState::Live { conn, side } = self.nodes[self.node_of(machine).at()].ids.get(link) else {
            return None;
        };
        let (conn, side) = (conn as usize, usize::from(side));
        let owner = self.conns[conn].ends[side].owner;
        matches!(owner, Owner::Machine(owner, _) if owner == machine).then_some((conn, side))
    }

    /// The place of a connection that an event means, if it is still there.
    pub(super) fn conn_of(&self, end: EndRef) -> Option<usize> {
        let conn = &self.conns[end.conn as usize];
        (conn.generation == end.generation).then_some(end.conn as usize)
    }

    pub(super) fn end_ref(&self, conn: usize, side: usize) -> EndRef {
        EndRef { conn: conn as u32, generation: self.conns[conn].generation, side: side as u8 }
    }

    pub(super) fn push(&mut self, at_ns: u64, event: NetEvent, conn: usize, side: usize) {
        let end = self.end_ref(conn, side);
        self.queue.push(at_ns, Event::Net(event, end));
    }

    /// The node on which an event happens; `None` if it is stale, or happens to the whole world.
    pub(super) fn scene(&self, event: Event, serial: u64) -> Option<NodeId> {
        match event {
            Event::Wake(node) => {
                let wake = self.nodes[node.at()].wake;
                wake.is_some_and(|(_, pending)| pending == serial).then_some(node)
            }
            Event::Net(_, end) => {
                let conn = self.conn_of(end)?;
                self.conns[conn].ends[usize::from(end.side)].node
            }
            Event::Disk(job) => self.job_machine(job).map(|machine| self.node_of(machine)),
            Event::Store(machine) | Event::Derived(machine) | Event::Survey(machine) => {
                Some(self.node_of(machine))
            }
            Event::ChaosStrikes(_) | Event::ChaosEnds(_) => None,
        }
    }

    pub(super) fn net_event(&mut self, event: NetEvent, end: EndRef) {
        let Some(conn) = self.conn_of(end) else { return };
        let side = usize::from(end.side);
        match event {
            NetEvent::Syn => self.on_syn(conn),
            NetEvent::SynAck => self.on_syn_ack(conn),
            NetEvent::Ack => self.on_ack(conn),
            NetEvent::Refused => self.dial_failed(conn, ErrorKind::ConnectionRefused),
            NetEvent::DialTimeout => self.on_dial_timeout(conn),
            NetEvent::Deliver => self.on_deliver(conn, side),
            NetEvent::Writable => self.on_writable(conn, side),
            NetEvent::LingerTimeout => self.on_linger_timeout(conn, side),
            NetEvent::CutTimeout => self.on_cut_timeout(conn, side),
            NetEvent::StuckTimeout => self.on_stuck_timeout(conn, side),
            NetEvent::SlowTimeout => self.on_slow_timeout(conn, side),
        }
    }

    /// Sends what was queued in this turn. False if there was nothing.
    pub(super) fn flush_dirty(&mut self) -> bool {
        if self.dirty.is_empty() {
            return false;
        }
        let mut dirty = std::mem::take(&mut self.dirty);
        for end in dirty.drain(..) {
            if let Some(conn) = self.conn_of(end) {
                let side = usize::from(end.side);
                self.conns[conn].pipes[side].dirty = false;
                self.flush(conn, side);
            }
        }
        // Flushing makes nothing dirty: the memory can go back.
        debug_assert!(self.dirty.is_empty());
        self.dirty = dirty;
        true
    }

    pub(super) fn note(&mut self, node: NodeId, what: What, subject: u64, amount: u64) {
        let place = Place { at_ns: self.now_ns, node: node.0, machine: NOBODY };
        self.trace.record(place, what, subject, amount, &[]);
    }

    pub(super) fn place(&self, machine: MachineId) -> Place {
        Place { at_ns: self.now_ns, node: self.node_of(machine).0, machine: machine.0 }
    }
}
