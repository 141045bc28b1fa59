//! How connections end: closed, gone down, timed out, reset, or cut off with the whole node.

use crate::proto::ids::LinkId;
use crate::proto::limits::{
    KEEPALIVE_IDLE, KEEPALIVE_INTERVAL, KEEPALIVE_PROBES, LINGER_TIMEOUT, UNACKED_TIMEOUT,
};
use crate::proto::machine::{CloseReason, DownReason};
use crate::proto::time::ns;
use crate::sim::kernel::{Answer, Kernel, NetEvent};
use crate::sim::net::{EndState, Naming, Owner, Part, PipeEnd};
use crate::sim::node::{IdState, MachineId, NodeId};
use crate::sim::stranger::StrangerState;

/// What was lost while the way was cut is sent again after at most this long.
const RETRANSMIT_NS: u64 = 200_000_000;

impl Kernel {
    /// A machine closes a link: it is gone for the machine at once.
    pub(super) fn close(&mut self, machine: MachineId, link: LinkId, reason: CloseReason) {
        let node = self.node_of(machine);
        if let Some((conn, side)) = self.find(machine, link) {
            self.nodes[node.at()].ids.remove(link);
            *self.stats.closes.entry(reason).or_default() += 1;
            self.linger(conn, side);
        } else if self.nodes[node.at()].ids.get(link) == IdState::Dying(machine) {
            self.nodes[node.at()].ids.remove(link); // the machine need not be told any more
        } else {
            self.stats.stale_effects += 1;
        }
    }

    /// A machine resets a link: what is queued is lost, and the other side hears of an error.
    pub(super) fn reset(&mut self, machine: MachineId, link: LinkId, reason: CloseReason) {
        let node = self.node_of(machine);
        if let Some((conn, side)) = self.find(machine, link) {
            self.nodes[node.at()].ids.remove(link);
            *self.stats.closes.entry(reason).or_default() += 1;
            self.close_kernel(conn, side, true);
        } else if self.nodes[node.at()].ids.get(link) == IdState::Dying(machine) {
            self.nodes[node.at()].ids.remove(link); // the machine need not be told any more
        } else {
            self.stats.stale_effects += 1;
        }
    }

    /// Sends what is queued, then the end, and waits for the other side's end; bounded.
    pub(super) fn linger(&mut self, conn: usize, side: usize) {
        self.conns[conn].ends[side].state = EndState::Lingering;
        let pipe = &mut self.conns[conn].pipes[side];
        pipe.finishing = true;
        pipe.blocked = false;
        self.flush(conn, side);
        if self.conns[conn].ends[side].state == EndState::Lingering {
            // What it did not want to read before is thrown away now.
            self.arm_delivery(conn, side);
            self.push(self.now_ns + ns(LINGER_TIMEOUT), NetEvent::LingerTimeout, conn, side);
        }
    }

    /// A lingering end is gone once both halves have ended.
    pub(super) fn end_linger(&mut self, conn: usize, side: usize) {
        let end = &self.conns[conn].ends[side];
        if end.state == EndState::Lingering && end.saw_end && self.conns[conn].pipes[side].ended {
            self.set_gone(conn, side);
        }
    }

    pub(super) fn on_linger_timeout(&mut self, conn: usize, side: usize) {
        if self.conns[conn].ends[side].state == EndState::Lingering {
            let abort = !self.conns[conn].pipes[side].ended;
            self.close_kernel(conn, side, abort);
        }
    }

    /// The link goes down without the machine's doing.
    pub(super) fn down(&mut self, conn: usize, side: usize, reason: DownReason) {
        let (machine, link) = self.conns[conn].ends[side].open_link().expect("only an open link goes down");
        let node = self.node_of(machine);
        self.nodes[node.at()].ids.set_dying(link, machine);
        self.answer(machine, Answer::LinkDown { link, reason });
        *self.stats.downs.entry(reason).or_default() += 1;
        match reason {
            DownReason::Eof | DownReason::Unread => self.linger(conn, side),
            DownReason::Reset | DownReason::TimedOut => self.close_kernel(conn, side, true),
            DownReason::QueueFull | DownReason::TooSlow | DownReason::FileFailed | DownReason::Failed => {
                self.close_kernel(conn, side, false);
            }
        }
    }

    /// The other side has ended its half, or everything.
    pub(super) fn on_end(&mut self, conn: usize, side: usize, how: PipeEnd) {
        let end = &mut self.conns[conn].ends[side];
        end.saw_end = true;
        let reason = match how {
            PipeEnd::Fin => DownReason::Eof,
            PipeEnd::Reset => DownReason::Reset,
        };
        if let (true, PipeEnd::Fin, Some((machine, link))) = (end.held, how, end.open_link()) {
            return self.answer(machine, Answer::Ended { link });
        }
        match (end.state, end.owner, how) {
            (EndState::Open, Owner::Machine(..), PipeEnd::Fin)
                if !self.conns[conn].pipes[side].is_all_there() =>
            {
                self.down(conn, side, DownReason::Unread);
            }
            (EndState::Open, Owner::Machine(..), _) => self.down(conn, side, reason),
            (EndState::Open, Owner::Stranger(stranger), _) => {
                self.strangers[stranger.at()].state = StrangerState::Ended(reason);
                if how == PipeEnd::Reset {
                    self.set_gone(conn, side);
                }
            }
            (_, _, PipeEnd::Fin) => self.end_linger(conn, side),
            (_, _, PipeEnd::Reset) => self.set_gone(conn, side),
        }
    }

    /// The socket is closed. What the kernel has taken still goes out, and then the end; or a
    /// reset, if something was left unread (Linux, `tcp_close`).
    pub(super) fn close_kernel(&mut self, conn: usize, side: usize, abort: bool) {
        self.drop_queue(conn, side);
        let incoming = &mut self.conns[conn].pipes[1 - side];
        let unread = incoming.flight.len() > 0;
        incoming.clear_wire();
        incoming.end = None;
        let reset = abort || unread;
        if self.conns[conn].ends[1 - side].state != EndState::Gone
            && (reset || !self.conns[conn].pipes[side].ended)
        {
            self.place_end(conn, side, if reset { PipeEnd::Reset } else { PipeEnd::Fin });
        }
        self.set_gone(conn, side);
    }

    /// Nobody reads at the other end any more: what would be sent is answered by a reset, unless
    /// word of the end is on its way already.
    pub(super) fn refuse_queue(&mut self, conn: usize, side: usize) {
        let refused = !self.conns[conn].pipes[side].parts.is_empty();
        self.conns[conn].pipes[side].is_lossy |= refused;
        self.drop_queue(conn, side);
        if refused && self.conns[conn].pipes[1 - side].end.is_none() {
            self.place_end(conn, 1 - side, PipeEnd::Reset);
        }
    }

    /// Forgets what waits in memory.
    pub(super) fn drop_queue(&mut self, conn: usize, side: usize) {
        let Kernel { conns, nodes, .. } = self;
        let end_node = conns[conn].ends[side].node;
        let pipe = &mut conns[conn].pipes[side];
        pipe.queue.clear();
        pipe.ranges = 0;
        for part in pipe.parts.drain(..) {
            if let (Part::Range { inode, .. }, Some(node)) = (part, end_node) {
                nodes[node.at()].disk.release(inode);
            }
        }
    }

    /// The kernel forgets one end, and the connection with the second.
    pub(super) fn set_gone(&mut self, conn: usize, side: usize) {
        if self.conns[conn].ends[side].state == EndState::Gone {
            return;
        }
        self.conns[conn].ends[side].state = EndState::Gone;
        if self.conns[conn].is_free() {
            for side in 0..2 {
                self.drop_queue(conn, side);
                self.conns[conn].pipes[side].recycle();
            }
            self.conns[conn].cut_at_ns = None;
            self.conns[conn].generation += 1;
            self.conns_free.push(conn as u32);
        }
    }

    /// Brings every connection up to date with who reaches whom.
    pub(super) fn refresh_cuts(&mut self) {
        for conn in 0..self.conns.len() {
            let [Some(a), Some(b)] = [0, 1].map(|side| self.conns[conn].ends[side].node) else { continue };
            if self.conns[conn].is_free() {
                continue;
            }
            match (self.conns[conn].cut_at_ns.is_some(), self.is_cut(a, b)) {
                (false, true) => self.begin_cut(conn),
                (true, false) => self.end_cut(conn),
                (false, false) | (true, true) => {}
            }
        }
    }

    fn begin_cut(&mut self, conn: usize) {
        self.conns[conn].cut_at_ns = Some(self.now_ns);
        for side in 0..2 {
            let pipe = &mut self.conns[conn].pipes[side];
            let unacked = pipe.flight.len() > 0;
            pipe.unacked_since_ns = unacked.then_some(self.now_ns);
            let bound_ns = if unacked { ns(UNACKED_TIMEOUT) } else { keepalive_ns() };
            self.push(self.now_ns + bound_ns, NetEvent::CutTimeout, conn, side);
        }
    }

    fn end_cut(&mut self, conn: usize) {
        self.conns[conn].cut_at_ns = None;
        for side in 0..2 {
            let delay_ns = self.conns[conn].pipes[side].latency_ns + self.rng.below(RETRANSMIT_NS);
            let earliest_ns = self.now_ns + delay_ns;
            let pipe = &mut self.conns[conn].pipes[side];
            pipe.unacked_since_ns = None;
            pipe.arrival_last_ns = pipe.arrival_last_ns.max(earliest_ns);
            for segment in &mut pipe.segments {
                segment.at_ns = segment.at_ns.max(earliest_ns);
            }
            if let Some((_, at_ns)) = &mut pipe.end {
                *at_ns = (*at_ns).max(earliest_ns);
            }
            self.arm_delivery(conn, 1 - side);
        }
    }

    pub(super) fn on_cut_timeout(&mut self, conn: usize, side: usize) {
        let Some(cut_at_ns) = self.conns[conn].cut_at_ns else { return };
        let silent_ns = cut_at_ns + keepalive_ns();
        let unacked_ns =
            self.conns[conn].pipes[side].unacked_since_ns.map(|since| since + ns(UNACKED_TIMEOUT));
        if self.now_ns < unacked_ns.map_or(silent_ns, |unacked_ns| unacked_ns.min(silent_ns)) {
            return; // another one is pending
        }
        self.conns[conn].pipes[side].clear_wire(); // it is not sent again
        let end = &self.conns[conn].ends[side];
        match (end.state, end.owner) {
            (EndState::Open, Owner::Machine(..)) => self.down(conn, side, DownReason::TimedOut),
            (EndState::Open, Owner::Stranger(stranger)) => {
                self.strangers[stranger.at()].state = StrangerState::Ended(DownReason::TimedOut);
                self.close_kernel(conn, side, true);
            }
            (EndState::Lingering, _) => self.close_kernel(conn, side, true),
            (EndState::Pending, Owner::Machine(_, Naming::Backlog)) => self.set_gone(conn, side),
            _ => {}
        }
    }

    /// A machine has exited: its links are closed in an orderly way, its files released.
    pub(super) fn retire(&mut self, machine: MachineId) {
        let node = self.node_of(machine);
        for (conn, side) in self.ends_where(|owner, _| is_of(owner, machine)) {
            let end = &self.conns[conn].ends[side];
            if let Some((_, link)) = end.open_link() {
                match end.held {
                    true => self.reset(machine, link, CloseReason::Shutdown),
                    false => self.close(machine, link, CloseReason::Shutdown),
                }
            } else if matches!(end.owner, Owner::Machine(_, Naming::Dial(_))) {
                self.abandon(conn);
            }
        }
        self.release_all(machine);
        self.forget_process(machine);
        for other in self.nodes[node.at()].machines.clone() {
            self.tell_shutdown(other);
        }
    }

    /// A machine was killed: the kernel closes what it had open, and deletes nothing.
    pub(super) fn kill(&mut self, machine: MachineId) {
        for (conn, side) in self.ends_where(|owner, _| is_of(owner, machine)) {
            self.cut_down(conn, side, false);
        }
        self.drop_all(machine);
        self.forget_process(machine);
    }

    /// Every end on the node vanishes without a word. The node must be down already.
    pub(super) fn silence(&mut self, node: NodeId) {
        for (conn, side) in self.ends_where(|_, at| at == Some(node)) {
            let pipe = &mut self.conns[conn].pipes[side];
            pipe.clear_wire();
            pipe.end = None;
            if let Owner::Stranger(stranger) = self.conns[conn].ends[side].owner {
                self.strangers[stranger.at()].state = StrangerState::Ended(DownReason::Failed);
            }
            self.cut_down(conn, side, true);
        }
    }

    /// Ends of connections between two nodes that are open, by place and side at `a`.
    pub(super) fn ends_between(&self, a: NodeId, b: NodeId) -> Vec<(usize, usize)> {
        let mut ends = self.ends_where(|_, node| node == Some(a));
        ends.retain(|(conn, side)| {
            let [here, there] = [&self.conns[*conn].ends[*side], &self.conns[*conn].ends[1 - side]];
            here.is_alive() && there.node == Some(b)
        });
        ends
    }

    fn cut_down(&mut self, conn: usize, side: usize, abort: bool) {
        let end = &self.conns[conn].ends[side];
        match (end.state, end.owner) {
            (EndState::Open, Owner::Machine(machine, Naming::Link(link))) => {
                let node = self.node_of(machine);
                let abort = abort || end.held;
                self.nodes[node.at()].ids.remove(link);
                self.close_kernel(conn, side, abort);
            }
            (EndState::Open | EndState::Lingering, _) => self.close_kernel(conn, side, abort),
            (EndState::Pending, Owner::Machine(_, Naming::Dial(_)) | Owner::Stranger(_)) => {
                self.abandon(conn);
            }
            (EndState::Pending | EndState::Gone, _) => {} // the handshake will find out
        }
    }

    fn forget_process(&mut self, machine: MachineId) {
        let process = &mut self.processes[machine.at()];
        process.running = false;
        let node = &mut self.nodes[process.node.at()];
        node.machines.retain(|other| *other != machine);
        node.listeners.retain(|_, owner| *owner != machine);
    }

    fn ends_where(&self, wanted: impl Fn(Owner, Option<NodeId>) -> bool) -> Vec<(usize, usize)> {
        let all = (0..self.conns.len()).flat_map(|conn| [(conn, 0), (conn, 1)]);
        all.filter(|(conn, side)| {
            let end = &self.conns[*conn].ends[*side];
            end.state != EndState::Gone && wanted(end.owner, end.node)
        })
        .collect()
    }
}

fn is_of(owner: Owner, machine: MachineId) -> bool {
    matches!(owner, Owner::Machine(of, _) if of == machine)
}

fn keepalive_ns() -> u64 {
    ns(KEEPALIVE_IDLE + KEEPALIVE_PROBES * KEEPALIVE_INTERVAL)
}
