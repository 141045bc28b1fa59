//! Chaos: faults at random times in random places, from the seed, and their end. Everything is
//! whole again some time after the last one, so that a test can ask what must then be true.

use std::time::Duration;

use crate::proto::machine::Machine;
use crate::proto::time::ns;
use crate::sim::disk::Disk;
use crate::sim::kernel::Event;
use crate::sim::net::ReadRate;
use crate::sim::node::NodeId;
use crate::sim::rng::Rng;
use crate::sim::trace::What;
use crate::sim::world::World;

/// What chaos does, where, and how often.
#[derive(Clone, Debug)]
pub struct Chaos {
    /// Where it strikes.
    pub nodes: Vec<NodeId>,
    /// With what, each equally often.
    pub faults: Vec<Fault>,
    /// Mean time between two faults.
    pub period: Duration,
    /// No fault begins later than this after the start of chaos.
    pub time: Duration,
    /// How long a fault that has an end lasts at most.
    pub outage_max: Duration,
}

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Links between two nodes are reset.
    Reset,
    /// The sending halves of the links from one node to another end.
    HalfClose,
    /// Two nodes do not reach each other for a while.
    Partition,
    /// A node's machines are killed, and started again after a while by [`World::on_restart`].
    Crash,
    /// A node loses its power, and is started again likewise.
    PowerLoss,
    /// A node's disk is full for a while.
    DiskFull,
    /// A node's wall clock steps by up to 10 s, either way.
    WallStep,
    /// A node reads slowly, or not at all, for a while.
    SlowReader,
    /// A node's loop sleeps for up to a second.
    Stall,
}

impl Fault {
    /// Every kind.
    pub const ALL: [Fault; 9] = [
        Fault::Reset,
        Fault::HalfClose,
        Fault::Partition,
        Fault::Crash,
        Fault::PowerLoss,
        Fault::DiskFull,
        Fault::WallStep,
        Fault::SlowReader,
        Fault::Stall,
    ];
}

/// Makes the machines that a node starts again with. It sees the disk as the fault left it.
pub type Restart = dyn FnMut(NodeId, &Disk) -> Vec<Box<dyn Machine>>;

pub(super) struct ChaosState {
    chaos: Chaos,
    rng: Rng,
    until_ns: u64,
    /// Strikes of an earlier chaos are stale.
    epoch: u32,
    ends: Vec<End>,
}

/// How a fault ends.
#[derive(Clone, Copy, Debug)]
enum End {
    Heal(NodeId, NodeId),
    Restart(NodeId),
    FreeDisk(NodeId),
    FullSpeed(NodeId),
}

/// Less than this is left on a disk that fills up.
const DISK_ROOM_BYTES: u64 = 10_000;
const WALL_STEP_NS: u64 = 10_000_000_000;
const STALL_MAX: Duration = Duration::from_secs(1);
/// A slow reader of chaos takes less than this; 0 means nothing at all.
const SLOW_BYTES_PER_SECOND: u64 = 20_000;

impl World {
    /// Starts chaos, in place of an earlier one, whose last faults still end in their time.
    pub fn unleash(&mut self, chaos: Chaos) {
        let (epoch, ends) = match self.chaos.take() {
            Some(older) => (older.epoch + 1, older.ends),
            None => (0, Vec::new()),
        };
        let until_ns = self.kernel.now_ns + ns(chaos.time);
        let rng = self.rng.fork();
        self.chaos = Some(ChaosState { chaos, rng, until_ns, epoch, ends });
        self.schedule_strike();
    }

    /// How nodes that chaos killed are started again. Without this they are not killed at all.
    pub fn on_restart(&mut self, restart: impl FnMut(NodeId, &Disk) -> Vec<Box<dyn Machine>> + 'static) {
        self.restart = Some(Box::new(restart));
    }

    /// One strike, and the next one.
    pub(super) fn chaos_strikes(&mut self, epoch: u32) {
        let Some(state) = self.chaos.as_mut().filter(|state| state.epoch == epoch) else { return };
        let (fault, [node, other], outage) = state.draw();
        if let Some(end) = self.strike(fault, node, other) {
            self.schedule_end(end, outage);
        }
        self.schedule_strike();
    }

    pub(super) fn chaos_ends(&mut self, index: u32) {
        let end = self.chaos.as_ref().map(|state| state.ends[index as usize]);
        match end.expect("chaos was unleashed") {
            End::Heal(a, b) => self.heal(a, b),
            End::Restart(node) => self.restart_node(node),
            End::FreeDisk(node) => {
                self.kernel.note(node, What::DiskFreed, 0, 0);
                self.disk_mut(node).set_room(None);
            }
            End::FullSpeed(node) => self.slow_reader(node, ReadRate::Full),
        }
    }

    /// Injects one fault; returns how it ends, if it has an end and has begun.
    fn strike(&mut self, fault: Fault, node: NodeId, other: NodeId) -> Option<End> {
        let alive = !self.machines_on(node).is_empty();
        match fault {
            Fault::Reset => self.reset_links(node, other),
            Fault::HalfClose => self.half_close(node, other),
            Fault::Partition if node != other => {
                self.partition(node, other);
                return Some(End::Heal(node, other));
            }
            Fault::Crash if alive && self.restart.is_some() => {
                self.crash(node);
                return Some(End::Restart(node));
            }
            Fault::PowerLoss if alive && self.restart.is_some() => {
                self.power_loss(node);
                return Some(End::Restart(node));
            }
            Fault::Partition | Fault::Crash | Fault::PowerLoss => {}
            Fault::DiskFull => {
                let room_bytes = self.chaos_rng().below(DISK_ROOM_BYTES);
                self.fault(node, What::DiskFull, room_bytes, 0);
                self.disk_mut(node).set_room(Some(room_bytes));
                return Some(End::FreeDisk(node));
            }
            Fault::WallStep => {
                let step_ns = self.chaos_rng().below(2 * WALL_STEP_NS) as i64 - WALL_STEP_NS as i64;
                self.step_wall(node, step_ns);
            }
            Fault::SlowReader => {
                let rate = match self.chaos_rng().below(SLOW_BYTES_PER_SECOND) {
                    rate if rate < SLOW_BYTES_PER_SECOND / 4 => ReadRate::Nothing,
                    rate => ReadRate::BytesPerSecond(rate),
                };
                self.slow_reader(node, rate);
                return Some(End::FullSpeed(node));
            }
            Fault::Stall => {
                let time = self.chaos_rng().between(Duration::ZERO, STALL_MAX);
                self.stall(node, time);
            }
        }
        None
    }

    fn restart_node(&mut self, node: NodeId) {
        let Some(mut restart) = self.restart.take() else { return };
        if self.machines_on(node).is_empty() {
            self.kernel.note(node, What::Restart, 0, 0);
            for machine in restart(node, self.disk(node)) {
                self.start(node, machine);
            }
        }
        self.restart = Some(restart);
    }

    fn schedule_strike(&mut self) {
        let now_ns = self.kernel.now_ns;
        let Some(state) = &mut self.chaos else { return };
        let at_ns = now_ns + state.rng.below(2 * ns(state.chaos.period)).max(1);
        if at_ns < state.until_ns && !state.chaos.nodes.is_empty() && !state.chaos.faults.is_empty() {
            self.kernel.queue.push(at_ns, Event::ChaosStrikes(state.epoch));
        }
    }

    fn schedule_end(&mut self, end: End, outage: Duration) {
        let Some(state) = &mut self.chaos else { return };
        state.ends.push(end);
        let event = Event::ChaosEnds(state.ends.len() as u32 - 1);
        self.kernel.queue.push(self.kernel.now_ns + ns(outage), event);
    }

    fn chaos_rng(&mut self) -> &mut Rng {
        &mut self.chaos.as_mut().expect("chaos was unleashed").rng
    }
}

impl ChaosState {
    fn draw(&mut self) -> (Fault, [NodeId; 2], Duration) {
        let ChaosState { chaos, rng, .. } = self;
        let fault = chaos.faults[rng.index(chaos.faults.len())];
        let nodes = [(); 2].map(|()| chaos.nodes[rng.index(chaos.nodes.len())]);
        (fault, nodes, rng.between(Duration::ZERO, chaos.outage_max))
    }
}
