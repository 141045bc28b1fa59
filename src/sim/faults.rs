//! Faults that a test injects by hand, or chaos at random. Each is taken down in the trace.

use std::time::Duration;

use crate::proto::time::ns;
use crate::sim::kernel::Kernel;
use crate::sim::net::{PipeEnd, ReadRate};
use crate::sim::node::NodeId;
use crate::sim::trace::What;
use crate::sim::world::World;

impl World {
    /// Kills every program on a node, as `kill -9` does: machines vanish without a word, the
    /// kernel closes their links, and the disk keeps what was written. [`World::start`] starts
    /// again.
    pub fn crash(&mut self, node: NodeId) {
        self.fault(node, What::Crash, 0, 0);
        for machine in self.kernel.nodes[node.at()].machines.clone() {
            self.kernel.kill(machine);
        }
        self.settle();
    }

    /// Takes the power from a node: it falls silent, so that others find out by their own
    /// timeouts, or by a reset once it is back; what no `Finish` covered may be lost in part or whole,
    /// and the last changes of the store with it. [`World::start`] brings the node back.
    pub fn power_loss(&mut self, node: NodeId) {
        self.fault(node, What::PowerLoss, 0, 0);
        self.kernel.nodes[node.at()].up = false;
        self.kernel.refresh_cuts();
        self.kernel.silence(node);
        for machine in self.kernel.nodes[node.at()].machines.clone() {
            self.kernel.kill(machine);
        }
        let Kernel { nodes, rng, store_rng, .. } = &mut self.kernel;
        nodes[node.at()].disk.lose_power(rng);
        nodes[node.at()].store.lose_power(store_rng);
        self.settle();
    }

    /// From now on nothing gets from one node to the other, in either direction. Bytes on their
    /// way are held; links go down, and dials fail, when they time out.
    pub fn partition(&mut self, a: NodeId, b: NodeId) {
        self.fault(a, What::Partition, u64::from(b.0), 0);
        self.kernel.partitions.insert((a.min(b), a.max(b)));
        self.kernel.refresh_cuts();
    }

    /// Ends a partition; what was held arrives.
    pub fn heal(&mut self, a: NodeId, b: NodeId) {
        self.kernel.note(a, What::Heal, u64::from(b.0), 0);
        self.kernel.partitions.remove(&(a.min(b), a.max(b)));
        self.kernel.refresh_cuts();
    }

    /// Resets every link between two nodes; what was on its way is lost.
    pub fn reset_links(&mut self, a: NodeId, b: NodeId) {
        self.fault(a, What::Reset, u64::from(b.0), 0);
        for (conn, side) in self.kernel.ends_between(a, b) {
            for side in [side, 1 - side] {
                self.kernel.drop_queue(conn, side);
                let now_ns = self.kernel.now_ns;
                let pipe = &mut self.kernel.conns[conn].pipes[side];
                pipe.clear_wire();
                pipe.arrival_last_ns = now_ns;
                self.kernel.place_end(conn, side, PipeEnd::Reset);
            }
        }
    }

    /// Ends the sending half of every link from one node to another, behind what was sent. The
    /// sender is not told; what it sends after that is lost.
    pub fn half_close(&mut self, from: NodeId, to: NodeId) {
        self.fault(from, What::HalfClose, u64::from(to.0), 0);
        for (conn, side) in self.kernel.ends_between(from, to) {
            self.kernel.conns[conn].pipes[side].finishing = true;
            self.kernel.flush(conn, side);
        }
        self.settle();
    }

    /// Steps the wall clock of a node, and leaves its monotonic clock alone.
    pub fn step_wall(&mut self, node: NodeId, step_ns: i64) {
        self.fault(node, What::StepWall, step_ns as u64, 0);
        self.kernel.nodes[node.at()].clock.step_wall(step_ns);
    }

    /// From now on both clocks of a node run at another rate.
    pub fn set_drift(&mut self, node: NodeId, drift_ppb: i64) {
        self.fault(node, What::Drift, drift_ppb as u64, 0);
        let now_ns = self.kernel.now_ns;
        self.kernel.nodes[node.at()].clock.set_drift(now_ns, drift_ppb);
        self.kernel.nodes[node.at()].wake = None;
        self.wake_again(node);
    }

    /// From now on a node takes bytes off each of its links at that rate.
    pub fn slow_reader(&mut self, node: NodeId, rate: ReadRate) {
        self.fault(node, What::SlowReader, rate_amount(rate), 0);
        self.kernel.nodes[node.at()].read_rate = rate;
        self.kernel.set_read_rate(node, None, rate);
    }

    /// From now on a node takes bytes off its links with one other node at that rate.
    pub fn slow_link(&mut self, reader: NodeId, writer: NodeId, rate: ReadRate) {
        self.fault(reader, What::SlowReader, rate_amount(rate), u64::from(writer.0) + 1);
        self.kernel.set_read_rate(reader, Some(writer), rate);
    }

    /// The loop of a node sleeps so long: no deadline and no input is served.
    pub fn stall(&mut self, node: NodeId, time: Duration) {
        self.fault(node, What::Stall, ns(time), 0);
        self.kernel.stall(node, ns(time));
    }

    pub(super) fn fault(&mut self, node: NodeId, what: What, subject: u64, amount: u64) {
        self.kernel.stats.faults += 1;
        self.kernel.note(node, what, subject, amount);
    }
}

impl Kernel {
    pub(super) fn stall(&mut self, node: NodeId, time_ns: u64) {
        let until_ns = &mut self.nodes[node.at()].stalled_until_ns;
        *until_ns = (*until_ns).max(self.now_ns + time_ns);
    }

    fn set_read_rate(&mut self, reader: NodeId, writer: Option<NodeId>, rate: ReadRate) {
        for conn in 0..self.conns.len() {
            for side in 0..2 {
                let [here, there] = [side, 1 - side].map(|side| self.conns[conn].ends[side].node);
                if here == Some(reader) && (writer.is_none() || there == writer) {
                    let pipe = &mut self.conns[conn].pipes[1 - side];
                    pipe.read_rate = rate;
                    pipe.read_next_ns = 0;
                    self.arm_delivery(conn, side);
                }
            }
        }
    }
}

fn rate_amount(rate: ReadRate) -> u64 {
    match rate {
        ReadRate::Full => u64::MAX,
        ReadRate::BytesPerSecond(rate) => rate,
        ReadRate::Nothing => 0,
    }
}
