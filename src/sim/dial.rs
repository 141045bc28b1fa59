//! How connections come to be: listeners, dials, and the handshake between them.

use std::io::ErrorKind;
use std::net::SocketAddr;

use crate::proto::ids::DialId;
use crate::proto::limits::{DIAL_TIMEOUT, LINKS_MAX};
use crate::proto::machine::Origin;
use crate::proto::time::ns;
use crate::sim::kernel::{Answer, Kernel, NetEvent};
use crate::sim::net::{ACCEPTOR, Conn, DIALER, End, EndState, Naming, Owner, Pipe};
use crate::sim::node::{MachineId, NodeId};
use crate::sim::stranger::StrangerState;

/// First pause after which a request to connect that was lost is sent again (RFC 6298).
const SYN_RETRY_NS: u64 = 1_000_000_000;
/// The same for the rest of the handshake.
const ACK_RETRY_NS: u64 = 200_000_000;

impl Kernel {
    pub(super) fn listen(&mut self, machine: MachineId, addr: SocketAddr) {
        let node = &mut self.nodes[self.processes[machine.at()].node.at()];
        let error = if !node.has_ip(addr.ip()) {
            Some(ErrorKind::AddrNotAvailable)
        } else if addr.port() != 0 && node.is_taken(addr) {
            Some(ErrorKind::AddrInUse)
        } else {
            None
        };
        let answer = match error {
            Some(error) => Answer::ListenFailed { addr, error },
            None => {
                let port = if addr.port() == 0 { node.free_port() } else { addr.port() };
                let addr = SocketAddr::new(addr.ip(), port);
                node.listeners.insert(addr, machine);
                Answer::Listening { addr }
            }
        };
        self.answer(machine, answer);
    }

    pub(super) fn dial(&mut self, machine: MachineId, dial: DialId, addr: SocketAddr) {
        let node = self.node_of(machine);
        if self.nodes[node.at()].ids.len() >= LINKS_MAX {
            self.stats.dials_failed += 1;
            self.answer(machine, Answer::DialFailed { dial, error: ErrorKind::ResourceBusy });
        } else {
            self.connect(node, Owner::Machine(machine, Naming::Dial(dial)), addr);
        }
    }

    /// Starts a connection from `node` to `addr`, and returns its place.
    pub(super) fn connect(&mut self, node: NodeId, owner: Owner, addr: SocketAddr) -> usize {
        let (to, local_ip) = match addr.ip() {
            ip if ip.is_loopback() => (Some(node), ip),
            ip => (self.by_ip.get(&ip).copied(), self.nodes[node.at()].ip),
        };
        let local = SocketAddr::new(local_ip, self.nodes[node.at()].free_port());
        let dialer = End::new(owner, Some(node), local);
        let acceptor = End::new(Owner::Unknown, to, addr);
        let index = self.conn_slot(dialer, acceptor);
        let dialer_rate = self.nodes[node.at()].read_rate;
        self.conns[index].pipes[ACCEPTOR].read_rate = dialer_rate;
        if let Some(to) = to {
            let latencies_ns = [self.draw_latency(node, to), self.draw_latency(to, node)];
            let acceptor_rate = self.nodes[to.at()].read_rate;
            let conn = &mut self.conns[index];
            for (pipe, latency_ns) in conn.pipes.iter_mut().zip(latencies_ns) {
                pipe.latency_ns = latency_ns;
            }
            conn.pipes[DIALER].read_rate = acceptor_rate;
            self.conns[index].cut_at_ns = self.is_cut(node, to).then_some(self.now_ns);
            self.push(self.now_ns + latencies_ns[DIALER], NetEvent::Syn, index, ACCEPTOR);
        }
        self.push(self.now_ns + ns(DIAL_TIMEOUT), NetEvent::DialTimeout, index, DIALER);
        index
    }

    /// Whether nothing gets from one node to the other.
    pub(super) fn is_cut(&self, a: NodeId, b: NodeId) -> bool {
        let down = !self.nodes[a.at()].up || !self.nodes[b.at()].up;
        down || self.partitions.contains(&(a.min(b), a.max(b)))
    }

    pub(super) fn draw_latency(&mut self, from: NodeId, to: NodeId) -> u64 {
        let range = match self.paths.get(&(from, to)) {
            Some(range) => range,
            None if from == to => &self.net.loopback_latency,
            None => &self.net.latency,
        };
        ns(self.rng.between(*range.start(), *range.end()))
    }

    pub(super) fn on_syn(&mut self, conn: usize) {
        if self.retry_if_cut(conn, NetEvent::Syn, ACCEPTOR, SYN_RETRY_NS) {
            return;
        }
        let end = &self.conns[conn].ends[ACCEPTOR];
        let node = end.node.expect("a request arrives at a node");
        let listener = self.nodes[node.at()].listener(end.addr);
        let at_ns = self.now_ns + self.conns[conn].pipes[ACCEPTOR].latency_ns;
        match listener {
            None => self.push(at_ns, NetEvent::Refused, conn, DIALER),
            Some(machine) => {
                self.conns[conn].ends[ACCEPTOR].owner = Owner::Machine(machine, Naming::Backlog);
                self.push(at_ns, NetEvent::SynAck, conn, DIALER);
            }
        }
    }

    pub(super) fn on_syn_ack(&mut self, conn: usize) {
        if self.retry_if_cut(conn, NetEvent::SynAck, DIALER, ACK_RETRY_NS) {
            return;
        }
        match self.conns[conn].ends[DIALER].owner {
            Owner::Machine(machine, Naming::Dial(dial)) => {
                self.link_up(conn, DIALER, machine, Origin::Dialed(dial));
            }
            Owner::Stranger(stranger) => {
                self.conns[conn].ends[DIALER].state = EndState::Open;
                self.strangers[stranger.at()].state = StrangerState::Open;
            }
            owner => unreachable!("{owner:?} does not dial"),
        }
        let pipe = &mut self.conns[conn].pipes[DIALER];
        let at_ns = self.now_ns + pipe.latency_ns;
        pipe.arrival_last_ns = at_ns;
        self.push(at_ns, NetEvent::Ack, conn, ACCEPTOR);
        self.flush(conn, DIALER);
    }

    pub(super) fn on_ack(&mut self, conn: usize) {
        if self.conns[conn].ends[ACCEPTOR].state != EndState::Pending
            || self.retry_if_cut(conn, NetEvent::Ack, ACCEPTOR, ACK_RETRY_NS)
        {
            return;
        }
        let Owner::Machine(machine, _) = self.conns[conn].ends[ACCEPTOR].owner else {
            unreachable!("a listener is a machine's");
        };
        if !self.is_running(machine) {
            self.close_kernel(conn, ACCEPTOR, true);
        } else if self.nodes[self.node_of(machine).at()].ids.len() >= LINKS_MAX {
            self.close_kernel(conn, ACCEPTOR, false);
        } else {
            self.link_up(conn, ACCEPTOR, machine, Origin::Accepted);
            self.arm_delivery(conn, ACCEPTOR);
        }
    }

    pub(super) fn on_dial_timeout(&mut self, conn: usize) {
        if self.conns[conn].ends[DIALER].state == EndState::Pending {
            self.dial_failed(conn, ErrorKind::TimedOut);
        }
    }

    pub(super) fn dial_failed(&mut self, conn: usize, error: ErrorKind) {
        match self.conns[conn].ends[DIALER].owner {
            Owner::Machine(machine, Naming::Dial(dial)) => {
                self.stats.dials_failed += 1;
                self.answer(machine, Answer::DialFailed { dial, error });
            }
            Owner::Stranger(stranger) => {
                self.strangers[stranger.at()].state = StrangerState::Refused(error);
            }
            owner => unreachable!("{owner:?} does not dial"),
        }
        self.abandon(conn);
    }

    /// Forgets a connection whose dialer is not connected yet.
    pub(super) fn abandon(&mut self, conn: usize) {
        self.set_gone(conn, DIALER);
        self.set_gone(conn, ACCEPTOR);
    }

    fn link_up(&mut self, conn: usize, side: usize, machine: MachineId, origin: Origin) {
        let node = self.node_of(machine);
        let link = self.nodes[node.at()].ids.add(conn as u32, side as u8);
        self.stats.links += 1;
        let ends = &mut self.conns[conn].ends;
        ends[side].owner = Owner::Machine(machine, Naming::Link(link));
        ends[side].state = EndState::Open;
        let (local, remote) = (ends[side].addr, ends[1 - side].addr);
        self.answer(machine, Answer::LinkUp { link, origin, local, remote });
    }

    /// What is lost on its way is sent again.
    fn retry_if_cut(&mut self, conn: usize, event: NetEvent, side: usize, pause_ns: u64) -> bool {
        let cut = self.conns[conn].cut_at_ns.is_some();
        if cut {
            self.push(self.now_ns + pause_ns, event, conn, side);
        }
        cut
    }

    fn conn_slot(&mut self, dialer: End, acceptor: End) -> usize {
        if let Some(index) = self.conns_free.pop() {
            self.conns[index as usize].ends = [dialer, acceptor];
            return index as usize;
        }
        let pipes = [Pipe::default(), Pipe::default()];
        self.conns.push(Conn { generation: 0, ends: [dialer, acceptor], pipes, cut_at_ns: None });
        self.conns.len() - 1
    }
}
