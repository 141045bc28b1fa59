//! How bytes move: from a machine's queue into the kernel's window, over the wire, in pieces to
//! the other end, and how the room that this makes comes back to the sender.

use crate::proto::limits::{
    LINK_QUEUE_BYTES_SOFT, READ_BUDGET_BYTES, SLOW_READER_TIMEOUT, UNACKED_TIMEOUT, WRITE_BUDGET_BYTES,
};
use crate::proto::machine::DownReason;
use crate::proto::time::ns;
use crate::sim::kernel::{Answer, Kernel, NetEvent};
use crate::sim::net::{EndState, Owner, Part, Pipe, PipeEnd, ReadRate, Segment};
use crate::sim::trace::What;

/// What the rest of a delivery that was cut waits at most.
const CHOP_PAUSE_NS: u64 = 20_000;
/// A slow reader takes so many pieces a second.
const SLOW_READS_PER_SECOND: u64 = 50;

impl Kernel {
    /// Gives the kernel what it has room for, and tells the machine how it stands.
    pub(super) fn flush(&mut self, conn: usize, side: usize) {
        if !self.conns[conn].ends[side].is_alive() {
            return;
        }
        if self.conns[conn].ends[1 - side].state == EndState::Gone && self.conns[conn].cut_at_ns.is_none() {
            self.refuse_queue(conn, side);
        }
        if matches!(self.conns[conn].pipes[side].end, Some((PipeEnd::Reset, _))) {
            // What was sent before it is lost, so nothing may come behind it.
            self.drop_queue(conn, side);
        }
        match self.fill_window(conn, side) {
            Ok(0) => {}
            Ok(moved) => self.launch(conn, side, moved),
            Err(reason) => return self.flush_failed(conn, side, reason),
        }
        self.conns[conn].pipes[side].note_progress();
        self.watch_slow(conn, side);
        if self.conns[conn].pipes[side].parts.is_empty() {
            self.flushed(conn, side);
        } else {
            self.full(conn, side);
        }
    }

    /// Moves bytes from the queue into the window; returns how many.
    fn fill_window(&mut self, conn: usize, side: usize) -> Result<usize, DownReason> {
        let node = self.conns[conn].ends[side].node;
        let Pipe { queue, parts, ranges, flight, .. } = &mut self.conns[conn].pipes[side];
        let before = flight.len();
        while let Some(part) = parts.front_mut() {
            let room = self.net.window_bytes.saturating_sub(flight.len());
            if room == 0 {
                break;
            }
            match part {
                Part::Bytes(left) => {
                    let len = room.min(*left);
                    flight.push(queue.front(len));
                    queue.consume(len);
                    *left -= len;
                    if *left == 0 {
                        parts.pop_front();
                    }
                }
                Part::Range { inode, offset, left_bytes } => {
                    let len =
                        room.min(WRITE_BUDGET_BYTES).min(usize::try_from(*left_bytes).unwrap_or(usize::MAX));
                    let disk = &mut self.nodes[node.expect("a machine is on a node").at()].disk;
                    match disk.read_range(*inode, *offset, len) {
                        Some(bytes) if bytes.len() == len => flight.push(bytes),
                        _ => return Err(DownReason::FileFailed),
                    }
                    *offset += len as u64;
                    *left_bytes -= len as u64;
                    if *left_bytes == 0 {
                        disk.release(*inode);
                        *ranges -= 1;
                        parts.pop_front();
                    }
                }
            }
        }
        Ok(flight.len() - before)
    }

    /// Puts what was added to the window on the wire, as one segment.
    fn launch(&mut self, conn: usize, side: usize, len: usize) {
        let transmit_ns = self.net.transmit_ns(len);
        let jitter_ns = self.rng.below(self.net.jitter_ns() + 1);
        let Kernel { conns, now_ns, .. } = self;
        let now_ns = *now_ns;
        let pipe = &mut conns[conn].pipes[side];
        pipe.wire_free_ns = pipe.wire_free_ns.max(now_ns) + transmit_ns;
        let at_ns = (pipe.wire_free_ns + pipe.latency_ns + jitter_ns).max(pipe.arrival_last_ns);
        pipe.arrival_last_ns = at_ns;
        pipe.segments.push_back(Segment { len, at_ns });
        let newly_unacked =
            conns[conn].cut_at_ns.is_some() && conns[conn].pipes[side].unacked_since_ns.is_none();
        if newly_unacked {
            conns[conn].pipes[side].unacked_since_ns = Some(now_ns);
            self.push(now_ns + ns(UNACKED_TIMEOUT), NetEvent::CutTimeout, conn, side);
        }
        self.arm_delivery(conn, 1 - side);
    }

    fn flush_failed(&mut self, conn: usize, side: usize, reason: DownReason) {
        if self.conns[conn].ends[side].state == EndState::Open {
            self.down(conn, side, reason);
        } else {
            self.close_kernel(conn, side, true);
        }
    }

    /// Nothing waits in memory any more.
    fn flushed(&mut self, conn: usize, side: usize) {
        let pipe = &mut self.conns[conn].pipes[side];
        let drained = std::mem::take(&mut pipe.blocked);
        if pipe.finishing && !pipe.ended {
            self.place_end(conn, side, PipeEnd::Fin);
        }
        if let (true, Some((machine, link))) = (drained, self.conns[conn].ends[side].open_link()) {
            self.answer(machine, Answer::Drained { link });
        }
        self.end_linger(conn, side);
    }

    /// The window is full and something still waits.
    fn full(&mut self, conn: usize, side: usize) {
        let now_ns = self.now_ns;
        let pipe = &mut self.conns[conn].pipes[side];
        self.stats.queue_bytes_max = self.stats.queue_bytes_max.max(pipe.queue.len());
        if !pipe.stuck_armed {
            pipe.stuck_armed = true;
            pipe.progress_ns = now_ns;
            self.push(now_ns + ns(UNACKED_TIMEOUT), NetEvent::StuckTimeout, conn, side);
        }
        if let Some((machine, link)) = self.conns[conn].ends[side].open_link() {
            let pipe = &mut self.conns[conn].pipes[side];
            if !std::mem::replace(&mut pipe.blocked, true) {
                self.answer(machine, Answer::Blocked { link });
            }
        }
    }

    /// What comes behind everything that was sent: the end, or a reset, which replaces an end.
    pub(super) fn place_end(&mut self, conn: usize, side: usize, end: PipeEnd) {
        let pipe = &mut self.conns[conn].pipes[side];
        let at_ns = (self.now_ns + pipe.latency_ns).max(pipe.arrival_last_ns);
        pipe.end = Some((end, at_ns));
        pipe.ended = true;
        self.arm_delivery(conn, 1 - side);
    }

    /// Makes sure that what is on its way to `to` is delivered.
    pub(super) fn arm_delivery(&mut self, conn: usize, to: usize) {
        let state = self.conns[conn].ends[to].state;
        let paused = self.conns[conn].ends[to].is_paused();
        let cut = self.conns[conn].cut_at_ns.is_some();
        let pipe = &self.conns[conn].pipes[1 - to];
        let next = match pipe.end {
            // It overtakes what nobody reads.
            Some((PipeEnd::Reset, at_ns)) if paused => Some(at_ns),
            _ if paused => None,
            end => pipe.segments.front().map(|segment| segment.at_ns).or(end.map(|(_, at_ns)| at_ns)),
        };
        let Some(at_ns) = next else { return };
        if pipe.deliver_armed || cut || state == EndState::Pending || pipe.read_rate == ReadRate::Nothing {
            return;
        }
        let mut at_ns = at_ns.max(pipe.read_next_ns).max(self.now_ns);
        if self.rng.chance(self.net.coalesce) {
            at_ns += self.rng.below(ns(self.net.coalesce_delay));
        }
        self.conns[conn].pipes[1 - to].deliver_armed = true;
        self.push(at_ns, NetEvent::Deliver, conn, to);
    }

    pub(super) fn on_deliver(&mut self, conn: usize, to: usize) {
        let state = self.conns[conn].ends[to].state;
        let paused = self.conns[conn].ends[to].is_paused();
        let cut = self.conns[conn].cut_at_ns.is_some();
        let pipe = &mut self.conns[conn].pipes[1 - to];
        pipe.deliver_armed = false;
        if cut || state == EndState::Pending || pipe.read_rate == ReadRate::Nothing {
            return; // armed again when this changes
        }
        if state == EndState::Gone {
            pipe.end = None;
            return pipe.clear_wire();
        }
        if paused {
            match pipe.end {
                Some((PipeEnd::Reset, _)) => pipe.clear_wire(),
                _ => return,
            }
        }
        let due = pipe
            .segments
            .iter()
            .take_while(|segment| segment.at_ns <= self.now_ns)
            .map(|segment| segment.len);
        let due_bytes = due.sum();
        if due_bytes > 0 {
            let len = self.piece_len(conn, to, due_bytes);
            self.take_piece(conn, to, len);
            if len < due_bytes {
                let pause_ns = self.rng.below(CHOP_PAUSE_NS);
                let pipe = &mut self.conns[conn].pipes[1 - to];
                pipe.read_next_ns = pipe.read_next_ns.max(self.now_ns + pause_ns);
            }
        } else if let Some((end, at_ns)) = pipe.end
            && pipe.segments.is_empty()
            && at_ns <= self.now_ns
        {
            pipe.end = None;
            return self.on_end(conn, to, end);
        }
        self.arm_delivery(conn, to);
    }

    /// How many of the bytes that are due are read at once.
    fn piece_len(&mut self, conn: usize, to: usize, due_bytes: usize) -> usize {
        let mut len = due_bytes.min(READ_BUDGET_BYTES).min(self.net.piece_bytes_max.max(1));
        let pipe = &mut self.conns[conn].pipes[1 - to];
        if let ReadRate::BytesPerSecond(rate) = pipe.read_rate {
            len = len.min(usize::try_from(rate / SLOW_READS_PER_SECOND).unwrap_or(usize::MAX).max(1));
            let pause_ns = (len as f64 * 1e9 / rate.max(1) as f64) as u64;
            pipe.read_next_ns = self.now_ns + pause_ns;
        }
        if len > 1 && self.rng.chance(self.net.chop) {
            len = if self.rng.chance(0.5) { 1 } else { 1 + self.rng.index(len - 1) };
        }
        len
    }

    /// Takes `len` bytes off the wire and hands them to the owner of the end `to`.
    fn take_piece(&mut self, conn: usize, to: usize, len: usize) {
        let pipe = &mut self.conns[conn].pipes[1 - to];
        let mut at_ns = 0;
        let mut left = len;
        while left > 0 {
            let segment = pipe.segments.front_mut().expect("what is due is on the wire");
            at_ns = segment.at_ns;
            let part = left.min(segment.len);
            segment.len -= part;
            left -= part;
            if segment.len == 0 {
                pipe.segments.pop_front();
            }
        }
        let end = &self.conns[conn].ends[to];
        self.inbox.clear();
        self.inbox.extend_from_slice(self.conns[conn].pipes[1 - to].flight.front(len));
        match (end.open_link(), end.owner) {
            (Some((machine, link)), _) => {
                self.stats.bytes += len as u64;
                self.answer(machine, Answer::Received { link, at_ns });
            }
            (None, Owner::Stranger(stranger)) if end.state == EndState::Open => {
                self.stats.bytes += len as u64;
                let inbox = std::mem::take(&mut self.inbox);
                self.note_stranger(stranger, What::StrangerReads, &inbox);
                self.strangers[stranger.at()].inbox.extend_from_slice(&inbox);
                self.inbox = inbox;
            }
            (None, _) => self.conns[conn].pipes[1 - to].is_lossy = true, // lingering: nobody reads it
        }
        let back_ns = self.conns[conn].pipes[to].latency_ns;
        let pipe = &mut self.conns[conn].pipes[1 - to];
        pipe.flight.consume(len);
        pipe.progress_ns = self.now_ns;
        if !pipe.parts.is_empty() && !pipe.writable_armed {
            pipe.writable_armed = true;
            self.push(self.now_ns + back_ns, NetEvent::Writable, conn, 1 - to);
        }
    }

    pub(super) fn on_writable(&mut self, conn: usize, side: usize) {
        self.conns[conn].pipes[side].writable_armed = false;
        self.flush(conn, side);
    }

    /// Much may wait for a reader, who then has some time to get on with it.
    fn watch_slow(&mut self, conn: usize, side: usize) {
        let pipe = &mut self.conns[conn].pipes[side];
        if pipe.slow_until_ns.is_none() && pipe.queue.len() > LINK_QUEUE_BYTES_SOFT {
            let until_ns = self.now_ns + ns(SLOW_READER_TIMEOUT);
            pipe.slow_until_ns = Some(until_ns);
            self.push(until_ns, NetEvent::SlowTimeout, conn, side);
        }
    }

    pub(super) fn on_slow_timeout(&mut self, conn: usize, side: usize) {
        let is_slow = self.conns[conn].pipes[side].slow_until_ns.is_some_and(|until| until <= self.now_ns);
        if is_slow && self.conns[conn].ends[side].open_link().is_some() {
            self.down(conn, side, DownReason::TooSlow);
        }
    }

    /// TCP gives up a link whose reader takes nothing (`TCP_USER_TIMEOUT`, tcp(7)).
    pub(super) fn on_stuck_timeout(&mut self, conn: usize, side: usize) {
        let pipe = &mut self.conns[conn].pipes[side];
        let deadline_ns = pipe.progress_ns + ns(UNACKED_TIMEOUT);
        pipe.stuck_armed = false;
        if pipe.parts.is_empty() || self.conns[conn].ends[side].open_link().is_none() {
            return;
        }
        if self.now_ns >= deadline_ns {
            self.down(conn, side, DownReason::TimedOut);
        } else {
            self.conns[conn].pipes[side].stuck_armed = true;
            self.push(deadline_ns, NetEvent::StuckTimeout, conn, side);
        }
    }
}
