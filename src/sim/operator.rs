//! What an operator asks of all machines of a node: what signals do elsewhere. Waits for no answer.

use crate::sim::kernel::Answer;
use crate::sim::node::NodeId;
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
}
