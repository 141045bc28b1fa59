//! What users type at machines. Takes any bytes, and waits for nobody.

use crate::sim::kernel::Answer;
use crate::sim::node::MachineId;
use crate::sim::world::World;

impl World {
    /// Types at a machine; what is to be carried out ends with a line feed.
    pub fn type_at(&mut self, machine: MachineId, bytes: &[u8]) {
        self.kernel.answer(machine, Answer::Typed { bytes: bytes.into() });
        self.settle();
    }

    /// Nothing more is typed at a machine.
    pub fn end_typing(&mut self, machine: MachineId) {
        self.kernel.answer(machine, Answer::TypedEnd);
        self.settle();
    }
}
