//! What a connection is made of: two ends and two pipes, and how the network treats them.
//! Holds the state; `dial`, `flow` and `ending` change it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::proto::ids::{DialId, LinkId};
use crate::proto::limits::{LINK_QUEUE_BYTES_SOFT, READ_BUDGET_BYTES};
use crate::proto::time::{SECOND_NS, ns};
use crate::sim::disk::Inode;
use crate::sim::node::{MachineId, NodeId};
use crate::sim::stranger::StrangerId;

/// How the network of a world behaves.
#[derive(Clone, Debug)]
pub struct NetConfig {
    /// One-way delay between two nodes; each direction of each link draws its own.
    pub latency: RangeInclusive<Duration>,
    /// One-way delay within a node.
    pub loopback_latency: RangeInclusive<Duration>,
    /// Up to so much is added to each delivery. Bytes never overtake each other.
    pub jitter: Duration,
    /// Bytes a second in each direction of each link.
    pub bytes_per_second: u64,
    /// What the kernels at both ends hold of one direction of a link: on its way or not read yet.
    pub window_bytes: usize,
    /// Probability that a delivery is cut at any byte, down to a first piece of one byte.
    pub chop: f64,
    /// Longest piece that is ever delivered.
    pub piece_bytes_max: usize,
    /// Probability that a delivery waits up to `coalesce_delay` for more bytes to join it.
    pub coalesce: f64,
    /// See `coalesce`.
    pub coalesce_delay: Duration,
}

impl Default for NetConfig {
    /// A good local network, 1 Gbit/s.
    fn default() -> NetConfig {
        NetConfig {
            latency: Duration::from_micros(100)..=Duration::from_micros(300),
            loopback_latency: Duration::from_micros(10)..=Duration::from_micros(30),
            jitter: Duration::from_micros(50),
            bytes_per_second: 125_000_000,
            window_bytes: 64 << 10,
            chop: 0.0,
            piece_bytes_max: READ_BUDGET_BYTES,
            coalesce: 0.0,
            coalesce_delay: Duration::from_millis(2),
        }
    }
}

impl NetConfig {
    /// A network for swarms: far, uneven, and it cuts and joins what it delivers.
    pub fn rough() -> NetConfig {
        NetConfig {
            latency: Duration::from_micros(200)..=Duration::from_millis(40),
            jitter: Duration::from_millis(5),
            bytes_per_second: 10_000_000,
            chop: 0.2,
            coalesce: 0.2,
            ..NetConfig::default()
        }
    }

    pub(super) fn transmit_ns(&self, bytes: usize) -> u64 {
        (bytes as f64 * (SECOND_NS as f64 / self.bytes_per_second.max(1) as f64)) as u64
    }

    pub(super) fn jitter_ns(&self) -> u64 {
        ns(self.jitter)
    }
}

/// How fast somebody reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReadRate {
    /// As fast as bytes come.
    #[default]
    Full,
    /// At most so many bytes a second.
    BytesPerSecond(u64),
    /// Not at all.
    Nothing,
}

pub(super) const DIALER: usize = 0;
pub(super) const ACCEPTOR: usize = 1;

/// One side of a connection, as an event names it; stale when the connection is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EndRef {
    pub(super) conn: u32,
    pub(super) generation: u32,
    pub(super) side: u8,
}

#[derive(Debug)]
pub(super) struct Conn {
    pub(super) generation: u32,
    pub(super) ends: [End; 2],
    /// `pipes[side]` carries what `ends[side]` sends.
    pub(super) pipes: [Pipe; 2],
    /// Since when nothing gets through.
    pub(super) cut_at_ns: Option<u64>,
}

#[derive(Debug)]
pub(super) struct End {
    pub(super) owner: Owner,
    pub(super) state: EndState,
    /// `None`: an address that no node has.
    pub(super) node: Option<NodeId>,
    pub(super) addr: SocketAddr,
    /// The other side has ended its half.
    pub(super) saw_end: bool,
    /// Its machine holds it: that does not end it, and a kill resets it.
    pub(super) held: bool,
    /// Its machine does not want to read it.
    pub(super) paused: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// Nobody yet: the connection has not reached a listener.
    Unknown,
    Machine(MachineId, Naming),
    Stranger(StrangerId),
}

/// What a machine calls its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Naming {
    Dial(DialId),
    Backlog,
    Link(LinkId),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EndState {
    /// The handshake is under way.
    Pending,
    /// Both directions, or the sending one, are open.
    Open,
    /// Its owner has closed it; the driver sends what is queued and throws away what comes.
    Lingering,
    /// The kernel has closed it.
    Gone,
}

/// One direction of a connection.
#[derive(Debug, Default)]
pub(super) struct Pipe {
    /// Bytes that wait in the driver's memory, and their order among ranges of files.
    pub(super) queue: Fifo,
    pub(super) parts: VecDeque<Part>,
    pub(super) ranges: usize,
    /// After the queue, the sending half ends.
    pub(super) finishing: bool,
    /// The machine was told that the socket is full.
    pub(super) blocked: bool,
    /// It is on the list of what is flushed at the end of the turn.
    pub(super) dirty: bool,
    pub(super) writable_armed: bool,
    pub(super) stuck_armed: bool,
    /// So much waits that the link is closed then, unless its reader gets on.
    pub(super) slow_until_ns: Option<u64>,
    /// When the receiver last took something.
    pub(super) progress_ns: u64,
    /// Since when bytes are on a way that is cut.
    pub(super) unacked_since_ns: Option<u64>,

    /// Bytes in the kernels' hands, and when each segment of them arrives.
    pub(super) flight: Fifo,
    pub(super) segments: VecDeque<Segment>,
    /// What comes behind all segments, and when.
    pub(super) end: Option<(PipeEnd, u64)>,
    /// An end was sent.
    pub(super) ended: bool,
    /// Bytes of it came to somebody who had closed, or never left.
    pub(super) is_lossy: bool,
    pub(super) latency_ns: u64,
    /// The wire is free again then.
    pub(super) wire_free_ns: u64,
    /// Nothing may arrive before what was sent before.
    pub(super) arrival_last_ns: u64,
    pub(super) deliver_armed: bool,

    pub(super) read_rate: ReadRate,
    pub(super) read_next_ns: u64,
}

/// A part of what waits to be sent.
#[derive(Debug)]
pub(super) enum Part {
    Bytes(usize),
    Range { inode: Inode, offset: u64, left_bytes: u64 },
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    pub(super) len: usize,
    pub(super) at_ns: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PipeEnd {
    Fin,
    Reset,
}

impl Conn {
    pub(super) fn is_free(&self) -> bool {
        self.ends.iter().all(|end| end.state == EndState::Gone)
    }
}

impl End {
    pub(super) fn new(owner: Owner, node: Option<NodeId>, addr: SocketAddr) -> End {
        End { owner, state: EndState::Pending, node, addr, saw_end: false, held: false, paused: false }
    }

    pub(super) fn is_alive(&self) -> bool {
        matches!(self.state, EndState::Open | EndState::Lingering)
    }

    /// Whether its machine has it and does not read it.
    pub(super) fn is_paused(&self) -> bool {
        self.paused && self.state == EndState::Open
    }

    /// The machine and its name for this link, while it is open.
    pub(super) fn open_link(&self) -> Option<(MachineId, LinkId)> {
        match (self.state, self.owner) {
            (EndState::Open, Owner::Machine(machine, Naming::Link(link))) => Some((machine, link)),
            _ => None,
        }
    }
}

impl Pipe {
    /// Its reader has got on: half of what made it slow would do, so that nobody comes and goes at that line.
    pub(super) fn note_progress(&mut self) {
        if self.queue.len() <= LINK_QUEUE_BYTES_SOFT / 2 {
            self.slow_until_ns = None;
        }
    }

    pub(super) fn push_bytes(&mut self, bytes: &[u8]) {
        self.queue.push(bytes);
        match self.parts.back_mut() {
            Some(Part::Bytes(len)) => *len += bytes.len(),
            _ => self.parts.push_back(Part::Bytes(bytes.len())),
        }
    }

    /// Whether the receiver has read everything that was sent.
    pub(super) fn is_all_there(&self) -> bool {
        self.parts.is_empty() && self.flight.len() == 0 && !self.is_lossy
    }

    /// An empty pipe in the memory of this one.
    pub(super) fn recycle(&mut self) {
        self.queue.clear();
        self.parts.clear();
        self.clear_wire();
        let Pipe { queue, parts, flight, segments, .. } = std::mem::take(self);
        *self = Pipe { queue, parts, flight, segments, ..Pipe::default() };
    }

    /// Forgets what is in the kernels' hands.
    pub(super) fn clear_wire(&mut self) {
        self.flight.clear();
        self.segments.clear();
    }
}

/// Bytes in order, in one piece of memory that is used again.
#[derive(Debug, Default)]
pub(super) struct Fifo {
    bytes: Vec<u8>,
    head: usize,
}

/// Above this much dead space the rest is moved to the front, or the memory given back.
const FIFO_SLACK_BYTES: usize = 128 << 10;

impl Fifo {
    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.head
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The oldest `len` bytes.
    pub(super) fn front(&self, len: usize) -> &[u8] {
        &self.bytes[self.head..self.head + len]
    }

    pub(super) fn consume(&mut self, len: usize) {
        self.head += len;
        if self.head == self.bytes.len() {
            self.clear();
        } else if self.head > FIFO_SLACK_BYTES.max(self.bytes.len() / 2) {
            self.bytes.drain(..self.head);
            self.head = 0;
        }
    }

    pub(super) fn clear(&mut self) {
        self.head = 0;
        self.bytes.clear();
        self.bytes.shrink_to(FIFO_SLACK_BYTES);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fifo_gives_back_what_it_took() {
        let mut fifo = Fifo::default();
        let mut expected = Vec::new();
        for round in 0..100u8 {
            let bytes = [round; 5000];
            fifo.push(&bytes);
            expected.extend_from_slice(&bytes);
            if round % 2 == 1 {
                assert_eq!(fifo.front(6000), &expected[..6000]);
                fifo.consume(6000);
                expected.drain(..6000);
            }
        }
        assert_eq!(fifo.len(), expected.len());
        fifo.consume(expected.len());
        assert_eq!(fifo.len(), 0);
    }
}
