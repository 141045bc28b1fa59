//! The world: nodes, the machines on them, and the loop that lets time pass. The only place of
//! `sim` that calls machines, so that none is called while it handles something.

use std::any::Any;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::proto::machine::{Input, Machine, Os};
use crate::proto::time::{Mono, Now, SECOND_NS, Wall, ns};
use crate::sim::chaos::{ChaosState, Restart};
use crate::sim::clock::Clock;
use crate::sim::disk::Disk;
use crate::sim::kernel::{Answer, Event, Kernel, NetEvent, Process};
use crate::sim::net::NetConfig;
use crate::sim::node::{IdState, MachineId, Node, NodeConfig, NodeId};
use crate::sim::os::Hands;
use crate::sim::rng::Rng;
use crate::sim::store::Store;
use crate::sim::trace::{Stats, What};

/// A number of nodes that run machines in virtual time. Whatever happens follows from the seed
/// and from what the test does.
pub struct World {
    pub(super) kernel: Kernel,
    pub(super) machines: Vec<Slot>,
    pub(super) chaos: Option<ChaosState>,
    pub(super) restart: Option<Box<Restart>>,
    pub(super) rng: Rng,
    seed: u64,
    checks: bool,
}

pub(super) struct Slot {
    pub(super) machine: Box<dyn Machine>,
    deadline: Option<Mono>,
}

/// What the wall clock of a node without offset shows at the start: 2026-01-01 00:00:00 UTC.
const WALL_START_NS: u64 = 1_767_225_600 * SECOND_NS;
/// The monotonic clocks start anywhere below this, so that no two nodes agree by accident.
const MONO_START_NS: u64 = 1000 * SECOND_NS;
/// A machine that gets so many answers at one instant asks for ever.
const ANSWERS_MAX: u64 = 10_000_000;

impl World {
    /// An empty world. Its time starts at 0.
    pub fn new(seed: u64) -> World {
        let mut rng = Rng::new(seed);
        let kernel = Kernel::new(rng.fork(), Rng::new(!seed));
        World { kernel, machines: Vec::new(), chaos: None, restart: None, rng, seed, checks: true }
    }

    /// The seed that the world was made from.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Whether machines check their own invariants after each call; on at first.
    pub fn set_checks(&mut self, checks: bool) {
        self.checks = checks;
    }

    /// How the network behaves from now on. Links that are up keep their latency.
    pub fn set_net(&mut self, net: NetConfig) {
        self.kernel.net = net;
    }

    /// The one-way delay from a node to another, for links that are up too.
    pub fn set_latency(&mut self, from: NodeId, to: NodeId, latency: RangeInclusive<Duration>) {
        self.kernel.paths.insert((from, to), latency);
        for (conn, side) in self.kernel.ends_between(from, to) {
            self.kernel.conns[conn].pipes[side].latency_ns = self.kernel.draw_latency(from, to);
        }
    }

    /// A new node with an empty disk.
    pub fn add_node(&mut self, config: &NodeConfig) -> NodeId {
        let id = NodeId(self.kernel.nodes.len() as u32);
        let wall_ns = WALL_START_NS.saturating_add_signed(config.wall_offset_ns);
        let clock = Clock::new(self.rng.below(MONO_START_NS), wall_ns, config.drift_ppb);
        let node = Node::new(config, clock, self.rng.next_u64() as u16);
        self.kernel.nodes.push(node);
        let older = self.kernel.by_ip.insert(config.ip, id);
        assert!(older.is_none(), "two nodes at {}", config.ip);
        id
    }

    /// Starts a machine on a node, beside those that run there. A node without power comes up.
    pub fn start(&mut self, node: NodeId, machine: Box<dyn Machine>) -> MachineId {
        if !self.kernel.nodes[node.at()].up {
            self.kernel.nodes[node.at()].up = true;
            self.kernel.refresh_cuts();
        }
        let id = MachineId(self.machines.len() as u32);
        self.machines.push(Slot { machine, deadline: None });
        self.kernel.processes.push(Process::new(node));
        self.kernel.nodes[node.at()].machines.push(id);
        self.kernel.answer(id, Answer::Start);
        self.settle();
        id
    }

    /// A machine as it is, or as it was when it ended; `None` if it is no `M`.
    pub fn machine<M: Machine>(&self, id: MachineId) -> Option<&M> {
        let machine: &dyn Any = &*self.machines[id.at()].machine;
        machine.downcast_ref()
    }

    /// Lets a test act as a machine: `act` may change it and ask for effects, as in the handling
    /// of an input. `None` if the machine has ended or is no `M`.
    pub fn act<M: Machine, R>(
        &mut self,
        id: MachineId,
        act: impl FnOnce(&mut M, Now, &mut dyn Os) -> R,
    ) -> Option<R> {
        if !self.kernel.is_running(id) {
            return None;
        }
        let result = self.call(id, |machine, now, os| {
            let machine: &mut dyn Any = machine;
            Some(act(machine.downcast_mut()?, now, os))
        });
        self.settle();
        result
    }

    /// Whether a machine has neither exited nor been killed.
    pub fn is_running(&self, id: MachineId) -> bool {
        self.kernel.is_running(id)
    }

    /// The machines that run on a node, in the order of their start.
    pub fn machines_on(&self, node: NodeId) -> &[MachineId] {
        &self.kernel.nodes[node.at()].machines
    }

    /// Time since the world's start.
    pub fn now(&self) -> Duration {
        Duration::from_nanos(self.kernel.now_ns)
    }

    /// What the clocks of a node show.
    pub fn clocks(&self, node: NodeId) -> Now {
        self.kernel.clocks(node)
    }

    /// A port at a node's address.
    pub fn addr(&self, node: NodeId, port: u16) -> SocketAddr {
        SocketAddr::new(self.kernel.nodes[node.at()].ip, port)
    }

    /// Where machines of a node listen, in order.
    pub fn listeners(&self, node: NodeId) -> impl Iterator<Item = SocketAddr> {
        self.kernel.nodes[node.at()].listeners.keys().copied()
    }

    /// The disk of a node.
    pub fn disk(&self, node: NodeId) -> &Disk {
        &self.kernel.nodes[node.at()].disk
    }

    /// The disk of a node, to prepare files or to break it.
    pub fn disk_mut(&mut self, node: NodeId) -> &mut Disk {
        &mut self.kernel.nodes[node.at()].disk
    }

    /// What machines of a node keep beyond their lives.
    pub fn store(&self, node: NodeId) -> &Store {
        &self.kernel.nodes[node.at()].store
    }

    /// The same, to change or to break it.
    pub fn store_mut(&mut self, node: NodeId) -> &mut Store {
        &mut self.kernel.nodes[node.at()].store
    }

    /// Counts since the start.
    pub fn stats(&self) -> &Stats {
        &self.kernel.stats
    }

    /// A digest of everything that happened so far. The same seed and the same test give the same.
    pub fn trace_hash(&self) -> u64 {
        self.kernel.trace.digest()
    }

    /// The last few hundred things that happened, one a line, oldest first.
    pub fn trace_tail(&self) -> String {
        self.kernel.trace.tail()
    }

    /// Lets time pass.
    pub fn run_for(&mut self, time: Duration) {
        let limit_ns = self.kernel.now_ns.saturating_add(ns(time));
        while self.step_before(limit_ns) {}
        self.kernel.now_ns = limit_ns;
    }

    /// Lets time pass until `done`, which is asked after each event, or until `limit` has passed.
    /// Returns whether it is done.
    pub fn run_until(&mut self, mut done: impl FnMut(&World) -> bool, limit: Duration) -> bool {
        let limit_ns = self.kernel.now_ns.saturating_add(ns(limit));
        if done(self) {
            return true;
        }
        while self.step_before(limit_ns) {
            if done(self) {
                return true;
            }
        }
        self.kernel.now_ns = limit_ns;
        false
    }

    /// Lets the next thing happen. False if nothing will happen any more.
    pub fn step(&mut self) -> bool {
        self.step_before(u64::MAX)
    }

    fn step_before(&mut self, limit_ns: u64) -> bool {
        let Some((at_ns, serial, event)) = self.kernel.queue.pop(limit_ns) else { return false };
        debug_assert!(at_ns >= self.kernel.now_ns, "time goes back");
        self.kernel.now_ns = at_ns;
        self.kernel.stats.events += 1;
        match event {
            Event::ChaosStrikes(epoch) => self.chaos_strikes(epoch),
            Event::ChaosEnds(fault) => self.chaos_ends(fault),
            Event::Wake(_)
            | Event::Net(..)
            | Event::Disk(_)
            | Event::Store(_)
            | Event::Derived(_)
            | Event::Survey(_) => {
                if let Some(node) = self.kernel.scene(event, serial) {
                    self.turn(node, event);
                }
            }
        }
        true
    }

    /// One turn of a node's loop: deadlines that are due, then what the event brings.
    fn turn(&mut self, id: NodeId, event: Event) {
        let wakes = matches!(event, Event::Wake(_));
        let node = &mut self.kernel.nodes[id.at()];
        let lateness = node.lateness;
        if wakes && self.kernel.rng.chance(lateness.oversleep_chance) {
            let nap_ns = self.kernel.rng.below(ns(lateness.oversleep));
            self.kernel.stall(id, nap_ns);
        }
        let node = &mut self.kernel.nodes[id.at()];
        let by_kernel = matches!(event, Event::Net(NetEvent::Syn | NetEvent::CutTimeout, _));
        if node.stalled_until_ns > self.kernel.now_ns && !by_kernel {
            let serial = self.kernel.queue.push(node.stalled_until_ns, event);
            if let (true, Some((_, pending))) = (wakes, &mut node.wake) {
                *pending = serial;
            }
            return;
        }
        if wakes {
            node.wake = None;
        }
        if !by_kernel && self.fire_due(id) {
            self.settle();
        }
        match event {
            Event::Net(event, end) => self.kernel.net_event(event, end),
            Event::Disk(job) => self.kernel.on_job(job),
            Event::Store(machine) => self.kernel.on_store(machine),
            Event::Derived(machine) => self.kernel.on_derived(machine),
            Event::Survey(machine) => self.kernel.on_survey(machine),
            _ => self.wake_again(id),
        }
        self.settle();
    }

    fn fire_due(&mut self, node: NodeId) -> bool {
        let now = self.kernel.clocks(node);
        let mut fired = false;
        let mut index = 0;
        while let Some(id) = self.kernel.nodes[node.at()].machines.get(index).copied() {
            index += 1;
            if self.machines[id.at()].deadline.is_some_and(|deadline| deadline <= now.mono) {
                fired = true;
                self.timeout(id);
            }
        }
        fired
    }

    /// The wake-up for whichever deadline is next.
    pub(super) fn wake_again(&mut self, node: NodeId) {
        let machines = &self.kernel.nodes[node.at()].machines;
        if let Some(deadline) = machines.iter().filter_map(|id| self.machines[id.at()].deadline).min() {
            self.kernel.wake_for(node, deadline);
        }
    }

    /// Hands out answers and sends what was sent, until there is nothing of either.
    pub(super) fn settle(&mut self) {
        let mut answers = 0;
        loop {
            while let Some((machine, answer)) = self.kernel.answers.pop_front() {
                answers += 1;
                assert!(answers < ANSWERS_MAX, "{machine:?} asks for ever at {:?}", self.now());
                self.hand_over(machine, &answer);
            }
            if !self.kernel.flush_dirty() {
                return;
            }
        }
    }

    fn hand_over(&mut self, id: MachineId, answer: &Answer) {
        let ids = &mut self.kernel.nodes[self.kernel.processes[id.at()].node.at()].ids;
        let valid = match answer {
            Answer::LinkUp { link, .. }
            | Answer::Received { link, .. }
            | Answer::Blocked { link }
            | Answer::Drained { link }
            | Answer::Ended { link } => matches!(ids.get(*link), IdState::Live { .. }),
            Answer::LinkDown { link, .. } => {
                let dying = ids.get(*link) == IdState::Dying(id);
                if dying {
                    ids.remove(*link);
                }
                dying
            }
            _ => true,
        };
        if !valid || !self.kernel.is_running(id) {
            return;
        }
        if let Answer::Measured = answer {
            self.hand_over_figures(id);
        } else if let Answer::Received { at_ns, .. } = *answer {
            let inbox = std::mem::take(&mut self.kernel.inbox);
            let at = self.kernel.nodes[self.kernel.node_of(id).at()].clock.now(at_ns).wall;
            self.input(id, answer.input(&inbox, at));
            self.kernel.inbox = inbox;
        } else {
            self.input(id, answer.input(&[], Wall(0)));
        }
    }

    pub(super) fn input(&mut self, id: MachineId, input: Input<'_>) {
        let place = self.kernel.place(id);
        self.kernel.trace.input(place, &input);
        self.kernel.stats.inputs += 1;
        self.call(id, |machine, now, os| machine.handle_input(input, now, os));
    }

    fn timeout(&mut self, id: MachineId) {
        let place = self.kernel.place(id);
        self.kernel.trace.record(place, What::Timeout, 0, 0, &[]);
        self.kernel.stats.timeouts += 1;
        self.call(id, |machine, now, os| {
            machine.handle_timeout(now, os);
            let next = machine.poll_timeout();
            assert!(
                next.is_none_or(|deadline| deadline > now.mono),
                "{id:?} left {next:?} due at {:?}",
                now.mono
            );
        });
    }

    /// Calls a machine, and takes down what it wants next.
    fn call<R>(&mut self, id: MachineId, step: impl FnOnce(&mut dyn Machine, Now, &mut Hands<'_>) -> R) -> R {
        let slot = &mut self.machines[id.at()];
        let node = self.kernel.node_of(id);
        let now = self.kernel.clocks(node);
        let mut hands = Hands { kernel: &mut self.kernel, machine: id };
        let result = step(&mut *slot.machine, now, &mut hands);
        if self.checks {
            slot.machine.check_invariants();
        }
        if self.kernel.processes[id.at()].exiting {
            slot.deadline = None;
            self.kernel.retire(id);
        } else {
            slot.deadline = slot.machine.poll_timeout();
            if let Some(deadline) = slot.deadline {
                self.kernel.wake_for(node, deadline);
            }
        }
        result
    }
}
