//! Strangers: TCP clients driven by hand, to speak a protocol line by line, or to be hostile.
//! They run no machine, and what they know of a protocol is the test's.

use std::io::ErrorKind;
use std::net::SocketAddr;

use crate::proto::machine::DownReason;
use crate::sim::kernel::Kernel;
use crate::sim::net::{ACCEPTOR, DIALER, EndRef, EndState, Owner, ReadRate};
use crate::sim::node::NodeId;
use crate::sim::trace::{NOBODY, Place, What};
use crate::sim::world::World;

/// A client driven by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StrangerId(u32);

impl StrangerId {
    pub(super) fn at(self) -> usize {
        self.0 as usize
    }
}

/// How a stranger's connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StrangerState {
    /// Not there yet. What is written waits.
    Connecting,
    /// Never got there.
    Refused(ErrorKind),
    /// Up.
    Open,
    /// The other side has ended it. After `Eof` the stranger can still write.
    Ended(DownReason),
    /// The stranger has closed it.
    Closed,
}

#[derive(Debug)]
pub(super) struct Stranger {
    end: EndRef,
    pub(super) node: NodeId,
    pub(super) state: StrangerState,
    pub(super) inbox: Vec<u8>,
}

impl World {
    /// Connects by hand from a node to an address.
    pub fn connect(&mut self, from: NodeId, addr: SocketAddr) -> StrangerId {
        let id = StrangerId(self.kernel.strangers.len() as u32);
        let conn = self.kernel.connect(from, Owner::Stranger(id), addr);
        let end = self.kernel.end_ref(conn, DIALER);
        let (state, inbox) = (StrangerState::Connecting, Vec::new());
        self.kernel.strangers.push(Stranger { end, node: from, state, inbox });
        id
    }

    /// Writes bytes; they wait, without bound, while the other side does not take them.
    pub fn write(&mut self, stranger: StrangerId, bytes: &[u8]) {
        let Some(conn) = self.stranger_conn(stranger) else { return };
        self.kernel.note_stranger(stranger, What::StrangerWrites, bytes);
        let pipe = &mut self.kernel.conns[conn].pipes[DIALER];
        if !bytes.is_empty() && !pipe.finishing {
            pipe.push_bytes(bytes);
            self.kernel.flush(conn, DIALER);
        }
    }

    /// Takes what has arrived.
    pub fn read(&mut self, stranger: StrangerId) -> Vec<u8> {
        std::mem::take(&mut self.kernel.strangers[stranger.at()].inbox)
    }

    /// What has arrived and was not taken yet.
    pub fn peek(&self, stranger: StrangerId) -> &[u8] {
        &self.kernel.strangers[stranger.at()].inbox
    }

    /// From now on the stranger takes bytes off the link at that rate.
    pub fn set_reading(&mut self, stranger: StrangerId, rate: ReadRate) {
        if let Some(conn) = self.stranger_conn(stranger) {
            self.kernel.conns[conn].pipes[ACCEPTOR].read_rate = rate;
            self.kernel.arm_delivery(conn, DIALER);
        }
    }

    /// Ends the stranger's sending half, behind what was written; it goes on reading.
    pub fn finish_writing(&mut self, stranger: StrangerId) {
        if let Some(conn) = self.stranger_conn(stranger) {
            self.kernel.conns[conn].pipes[DIALER].finishing = true;
            self.kernel.flush(conn, DIALER);
        }
    }

    /// Closes the connection; what was written still goes out.
    pub fn close(&mut self, stranger: StrangerId) {
        if let Some(conn) = self.stranger_conn(stranger) {
            match self.kernel.conns[conn].ends[DIALER].state {
                EndState::Pending => self.kernel.abandon(conn),
                _ => self.kernel.linger(conn, DIALER),
            }
        }
        self.kernel.strangers[stranger.at()].state = StrangerState::Closed;
    }

    /// Resets the connection; what waits is lost.
    pub fn reset(&mut self, stranger: StrangerId) {
        if let Some(conn) = self.stranger_conn(stranger) {
            match self.kernel.conns[conn].ends[DIALER].state {
                EndState::Pending => self.kernel.abandon(conn),
                _ => self.kernel.close_kernel(conn, DIALER, true),
            }
        }
        self.kernel.strangers[stranger.at()].state = StrangerState::Closed;
    }

    /// How the connection stands.
    pub fn stranger_state(&self, stranger: StrangerId) -> StrangerState {
        self.kernel.strangers[stranger.at()].state
    }

    /// Whether the connection was refused, ended by the other side, or closed.
    pub fn is_closed(&self, stranger: StrangerId) -> bool {
        !matches!(self.stranger_state(stranger), StrangerState::Connecting | StrangerState::Open)
    }

    /// The connection, while the stranger's end of it is there.
    fn stranger_conn(&self, stranger: StrangerId) -> Option<usize> {
        let Stranger { end, state, .. } = &self.kernel.strangers[stranger.at()];
        let conn = self.kernel.conn_of(*end)?;
        let there = self.kernel.conns[conn].ends[DIALER].state != EndState::Gone;
        (there && *state != StrangerState::Closed).then_some(conn)
    }
}

impl Kernel {
    pub(super) fn note_stranger(&mut self, stranger: StrangerId, what: What, bytes: &[u8]) {
        let node = self.strangers[stranger.at()].node.0;
        let place = Place { at_ns: self.now_ns, node, machine: NOBODY };
        self.trace.record(place, what, u64::from(stranger.0), bytes.len() as u64, bytes);
    }
}
