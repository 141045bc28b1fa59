//! What an operator asks of all machines of a node: what signals do elsewhere; and what is told of a node's driver.
//! Waits for no answer.

use crate::proto::machine::{DriverFigures, Input};
use crate::sim::kernel::Answer;
use crate::sim::node::{MachineId, NodeId};
use crate::sim::world::World;

impl World {
    /// Asks the machines of a node to end soon, each only once.
    pub fn shutdown(&mut self, node: NodeId) {
        for machine in self.machines_on(node).to_vec() {
            self.kernel.tell_shutdown(machine);
        }
        self.settle();
    }

    /// Tells the machines of a node to read again what lies outside.
    pub fn reload(&mut self, node: NodeId) {
        self.tell_all(node, || Answer::Reload);
    }

    /// Asks the machines of a node how things stand.
    pub fn report(&mut self, node: NodeId) {
        self.tell_all(node, || Answer::Report);
    }

    fn tell_all(&mut self, node: NodeId, answer: impl Fn() -> Answer) {
        for machine in self.machines_on(node).to_vec() {
            self.kernel.answer(machine, answer());
        }
        self.settle();
    }

    /// A machine is told how the other machines of its node stand. There is little to say of a driver without turns.
    pub(super) fn hand_over_figures(&mut self, id: MachineId) {
        let node = self.kernel.node_of(id);
        let mut others = Vec::new();
        for machine in self.machines_on(node).iter().filter(|machine| **machine != id) {
            let machine = &self.machines[machine.at()].machine;
            machine.tell_figures(&mut |name, value| others.push((name.to_owned(), value)));
        }
        let links = self.kernel.nodes[node.at()].ids.len() as u64;
        let driver = DriverFigures { uptime_ns: self.kernel.now_ns, links, ..DriverFigures::default() };
        self.input(id, Input::Measured { driver: &driver, others: &others });
    }
}
