//! Carries out the effects of one machine while it handles something: the other side of
//! [`Os`]. Never calls the machine back.

use crate::proto::accounts::derive_key;
use crate::proto::ids::{FileId, LinkId};
use crate::proto::limits::{LINK_QUEUE_BYTES_MAX, LINK_RANGES_MAX, WRITE_BUDGET_BYTES};
use crate::proto::machine::{Change, DownReason, Effect, FileOp, Os, Stamp};
use crate::sim::kernel::{Answer, Kernel};
use crate::sim::net::Part;
use crate::sim::node::MachineId;
use crate::sim::store::Order;

/// The hands of a machine, for the length of one call.
pub(super) struct Hands<'a> {
    pub(super) kernel: &'a mut Kernel,
    pub(super) machine: MachineId,
}

impl Os for Hands<'_> {
    fn perform(&mut self, effect: Effect<'_>) {
        let Hands { kernel, machine } = self;
        let machine = *machine;
        if kernel.processes[machine.at()].exiting {
            return; // there is nothing after the exit
        }
        kernel.stats.effects += 1;
        let place = kernel.place(machine);
        kernel.trace.effect(place, &effect);
        match effect {
            Effect::Listen { addr } => kernel.listen(machine, addr),
            Effect::Dial { dial, addr } => kernel.dial(machine, dial, addr),
            Effect::Send { link, bytes } => kernel.send(machine, link, bytes),
            Effect::SendFile { link, file, offset, len } => {
                kernel.send_file(machine, link, file, offset, len);
            }
            Effect::Close { link, reason } => kernel.close(machine, link, reason),
            Effect::Hold { link } => kernel.hold(machine, link),
            Effect::Shut { link } => kernel.shut(machine, link),
            Effect::PauseReading { link } => kernel.pause_reading(machine, link, true),
            Effect::ResumeReading { link } => kernel.pause_reading(machine, link, false),
            Effect::Reset { link, reason } => kernel.reset(machine, link, reason),
            Effect::Survey { files_max } => kernel.survey(machine, files_max),
            Effect::Present { path, stamp } => kernel.present(machine, path, stamp),
            Effect::Open { file, path, mode, aside } => kernel.open(machine, file, path, mode, aside),
            Effect::SetAside { file, path, aside } => kernel.set_aside(machine, file, path, aside),
            Effect::Append { file, bytes } => kernel.append(machine, file, bytes),
            Effect::WriteAt { file, offset, bytes } => kernel.write_at(machine, file, offset, bytes),
            Effect::Finish { file } => kernel.finish(machine, file),
            Effect::Hash { file, offset, len } => kernel.read(machine, file, FileOp::Hash, offset, len),
            Effect::Read { file, offset, len } => kernel.read(machine, file, FileOp::Read, offset, len),
            Effect::Release { file } => kernel.release(machine, file),
            Effect::Store { batch, changes } => {
                let changes = changes.iter().cloned().map(Change::into_owned).collect();
                kernel.order(machine, Order::Store { batch, changes });
            }
            Effect::Load { load } => kernel.order(machine, Order::Load(load)),
            Effect::Derive { job, password, salt, iterations } => {
                kernel.derive(machine, job, derive_key(password.0, &salt, iterations));
            }
            Effect::Measure => kernel.answer(machine, Answer::Measured),
            Effect::Exit => kernel.processes[machine.at()].exiting = true,
        }
    }
}

impl Kernel {
    fn send(&mut self, machine: MachineId, link: LinkId, bytes: &[u8]) {
        let Some((conn, side)) = self.find(machine, link) else {
            self.stats.stale_effects += 1;
            return;
        };
        let pipe = &mut self.conns[conn].pipes[side];
        if bytes.is_empty() || pipe.finishing {
            return;
        }
        if pipe.queue.len() + bytes.len() > LINK_QUEUE_BYTES_MAX {
            return self.down(conn, side, DownReason::QueueFull);
        }
        pipe.push_bytes(bytes);
        self.mark_dirty(conn, side);
    }

    fn send_file(&mut self, machine: MachineId, link: LinkId, file: FileId, offset: u64, len: u64) {
        let Some((conn, side)) = self.find(machine, link) else {
            self.stats.stale_effects += 1;
            return;
        };
        if self.conns[conn].pipes[side].finishing {
            return;
        }
        let Some(inode) = self.inode(machine, file) else {
            // The other side waits for these bytes: the link is of no use without them.
            return self.down(conn, side, DownReason::FileFailed);
        };
        let pipe = &mut self.conns[conn].pipes[side];
        if len == 0 {
            return;
        }
        if pipe.ranges == LINK_RANGES_MAX {
            return self.down(conn, side, DownReason::QueueFull);
        }
        pipe.ranges += 1;
        pipe.parts.push_back(Part::Range { inode, offset, left_bytes: len });
        if len > WRITE_BUDGET_BYTES as u64 && !std::mem::replace(&mut pipe.blocked, true) {
            self.answer(machine, Answer::Blocked { link });
        }
        self.disk_of(machine).hold(inode);
        self.mark_dirty(conn, side);
    }

    fn hold(&mut self, machine: MachineId, link: LinkId) {
        match self.find(machine, link) {
            Some((conn, side)) => self.conns[conn].ends[side].held = true,
            None => self.stats.stale_effects += 1,
        }
    }

    /// The machine sends no more; the end goes out behind what is queued.
    fn shut(&mut self, machine: MachineId, link: LinkId) {
        let Some((conn, side)) = self.find(machine, link) else {
            self.stats.stale_effects += 1;
            return;
        };
        self.conns[conn].pipes[side].finishing = true;
        self.mark_dirty(conn, side);
    }

    fn pause_reading(&mut self, machine: MachineId, link: LinkId, paused: bool) {
        match self.find(machine, link) {
            Some((conn, side)) => {
                self.conns[conn].ends[side].paused = paused;
                self.arm_delivery(conn, side);
            }
            None => self.stats.stale_effects += 1,
        }
    }

    /// The other machines of the node hear of a file.
    fn present(&mut self, machine: MachineId, path: &str, stamp: Option<Stamp>) {
        let stamp = stamp.unwrap_or_else(|| self.disk_of(machine).stamp(path));
        for other in self.nodes[self.node_of(machine).at()].machines.clone() {
            if other != machine {
                self.answer(other, Answer::Presented { path: path.into(), stamp });
            }
        }
    }

    fn mark_dirty(&mut self, conn: usize, side: usize) {
        if !std::mem::replace(&mut self.conns[conn].pipes[side].dirty, true) {
            let end = self.end_ref(conn, side);
            self.dirty.push(end);
        }
    }
}
