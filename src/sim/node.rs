//! One node: its address, clock, disk, listeners, and the table that its links are named by.
//! Never moves a byte.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::proto::ids::LinkId;
use crate::proto::time::Mono;
use crate::sim::clock::Clock;
use crate::sim::disk::Disk;
use crate::sim::net::ReadRate;
use crate::sim::store::Store;

/// A node of a world: a host on which one driver runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeId(pub(super) u32);

/// A machine that was started in a world; never used again, not even after a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MachineId(pub(super) u32);

impl NodeId {
    pub(super) fn at(self) -> usize {
        self.0 as usize
    }
}

impl MachineId {
    pub(super) fn at(self) -> usize {
        self.0 as usize
    }
}

/// How a node differs from the others.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// Its address. No other node has it.
    pub ip: IpAddr,
    /// How far its wall clock is ahead, in nanoseconds.
    pub wall_offset_ns: i64,
    /// How much faster both its clocks run, in parts of 10^9.
    pub drift_ppb: i64,
    /// How late it wakes up for a deadline.
    pub lateness: Lateness,
}

/// How late a node wakes up for a deadline. Never early.
#[derive(Clone, Copy, Debug)]
pub struct Lateness {
    /// The most that is usual.
    pub usual: Duration,
    /// The probability that the whole node oversleeps: neither deadlines nor inputs are served.
    pub oversleep_chance: f64,
    /// The longest that it then sleeps.
    pub oversleep: Duration,
}

impl NodeConfig {
    /// A node with a good clock that wakes up within 50 µs.
    pub fn new(ip: impl Into<IpAddr>) -> NodeConfig {
        NodeConfig { ip: ip.into(), wall_offset_ns: 0, drift_ppb: 0, lateness: Lateness::default() }
    }
}

impl Default for Lateness {
    fn default() -> Lateness {
        Lateness {
            usual: Duration::from_micros(50),
            oversleep_chance: 0.0,
            oversleep: Duration::from_millis(20),
        }
    }
}

#[derive(Debug)]
pub(super) struct Node {
    pub(super) ip: IpAddr,
    pub(super) clock: Clock,
    pub(super) lateness: Lateness,
    pub(super) disk: Disk,
    pub(super) store: Store,
    /// Whether the host has power.
    pub(super) up: bool,
    /// Until then the loop sleeps, and nothing is served.
    pub(super) stalled_until_ns: u64,
    /// Machines that run, in the order of their start.
    pub(super) machines: Vec<MachineId>,
    pub(super) listeners: BTreeMap<SocketAddr, MachineId>,
    pub(super) ids: Ids,
    pub(super) read_rate: ReadRate,
    /// The deadline that the pending wake-up is for, and that wake-up's serial number.
    pub(super) wake: Option<(Mono, u64)>,
    port_next: u16,
}

/// The first port that is given to who asks for any.
const PORT_FIRST: u16 = 32_768;

impl Node {
    pub(super) fn new(config: &NodeConfig, clock: Clock, port_offset: u16) -> Node {
        Node {
            ip: config.ip,
            clock,
            lateness: config.lateness,
            disk: Disk::default(),
            store: Store::default(),
            up: true,
            stalled_until_ns: 0,
            machines: Vec::new(),
            listeners: BTreeMap::new(),
            ids: Ids::default(),
            read_rate: ReadRate::Full,
            wake: None,
            port_next: PORT_FIRST + port_offset % (u16::MAX - PORT_FIRST),
        }
    }

    /// Whether a program on this node may bind to that address.
    pub(super) fn has_ip(&self, ip: IpAddr) -> bool {
        ip == self.ip || ip.is_loopback() || ip.is_unspecified()
    }

    /// Whether somebody listens on that port at that address, or one of the two is any address.
    pub(super) fn is_taken(&self, addr: SocketAddr) -> bool {
        self.listeners.keys().any(|taken| {
            let same = taken.ip() == addr.ip() || taken.ip().is_unspecified() || addr.ip().is_unspecified();
            same && taken.port() == addr.port()
        })
    }

    /// Who accepts connections to that address.
    pub(super) fn listener(&self, addr: SocketAddr) -> Option<MachineId> {
        let any: IpAddr = match addr {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
        };
        let found =
            self.listeners.get(&addr).or_else(|| self.listeners.get(&SocketAddr::new(any, addr.port())));
        found.copied()
    }

    /// A port that nobody listens on.
    pub(super) fn free_port(&mut self) -> u16 {
        loop {
            let port = self.port_next;
            self.port_next = port.checked_add(1).unwrap_or(PORT_FIRST);
            if !self.listeners.keys().any(|taken| taken.port() == port) {
                return port;
            }
        }
    }
}

/// The table that a node's links are named by.
#[derive(Debug, Default)]
pub(super) struct Ids {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Slot {
    generation: u32,
    state: IdState,
}

/// What a link id stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IdState {
    /// Nothing: it is gone.
    Gone,
    /// One side of a connection.
    Live { conn: u32, side: u8 },
    /// It is down, and the machine is about to be told.
    Dying(MachineId),
}

impl Ids {
    pub(super) fn add(&mut self, conn: u32, side: u8) -> LinkId {
        let state = IdState::Live { conn, side };
        if let Some(index) = self.free.pop() {
            let slot = &mut self.slots[index as usize];
            slot.state = state;
            return LinkId { index, generation: slot.generation };
        }
        self.slots.push(Slot { generation: 0, state });
        LinkId { index: self.slots.len() as u32 - 1, generation: 0 }
    }

    pub(super) fn get(&self, link: LinkId) -> IdState {
        match self.slots.get(link.index as usize) {
            Some(slot) if slot.generation == link.generation => slot.state,
            _ => IdState::Gone,
        }
    }

    pub(super) fn set_dying(&mut self, link: LinkId, machine: MachineId) {
        debug_assert!(matches!(self.get(link), IdState::Live { .. }));
        self.slots[link.index as usize].state = IdState::Dying(machine);
    }

    pub(super) fn remove(&mut self, link: LinkId) {
        debug_assert_ne!(self.get(link), IdState::Gone);
        let slot = &mut self.slots[link.index as usize];
        *slot = Slot { generation: slot.generation + 1, state: IdState::Gone };
        self.free.push(link.index);
    }

    /// Links that are not gone.
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_is_gone_finds_nothing() {
        let mut ids = Ids::default();
        let first = ids.add(5, 0);
        assert_eq!(ids.get(first), IdState::Live { conn: 5, side: 0 });
        ids.set_dying(first, MachineId(1));
        assert_eq!(ids.get(first), IdState::Dying(MachineId(1)));
        ids.remove(first);
        let second = ids.add(6, 1);
        assert_eq!((second.index, second.generation), (first.index, first.generation + 1));
        assert_eq!(ids.get(first), IdState::Gone);
        assert_eq!(ids.get(second), IdState::Live { conn: 6, side: 1 });
        assert_eq!(ids.len(), 1);
    }

    #[test]
    fn listeners_are_found_by_address_or_by_any() {
        let config = NodeConfig::new([10, 0, 0, 1]);
        let mut node = Node::new(&config, Clock::new(0, 0, 0), 7);
        let [any, exact, loopback]: [SocketAddr; 3] =
            ["0.0.0.0:1", "10.0.0.1:2", "127.0.0.1:2"].map(|text| text.parse().unwrap());
        node.listeners.insert(any, MachineId(1));
        node.listeners.insert(exact, MachineId(2));
        assert!(!node.is_taken(loopback));
        assert!(node.is_taken(exact) && node.is_taken("10.0.0.1:1".parse().unwrap()));
        assert_eq!(node.listener("10.0.0.1:1".parse().unwrap()), Some(MachineId(1)));
        assert_eq!(node.listener(exact), Some(MachineId(2)));
        assert_eq!(node.listener(loopback), None);
    }
}
