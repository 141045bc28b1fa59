//! What the reactor says of itself when a machine asks how things stand. Counts nothing: that is done where things happen.

use crate::io::descriptors::descriptors_max;
use crate::io::helper::Helper;
use crate::io::link::State;
use crate::io::reactor::{Host, Reactor};
use crate::proto::machine::{DriverFigures, Input};
use crate::proto::time::Mono;

impl Reactor {
    /// Tells a machine how the reactor and the other machines stand.
    pub(super) fn tell_measured(&mut self, hosts: &mut [Host<'_>], machine: usize) {
        let driver = self.figures();
        let mut others = Vec::new();
        for (_, host) in hosts.iter().enumerate().filter(|(place, _)| *place != machine) {
            host.machine.tell_figures(&mut |name, value| others.push((name.to_owned(), value)));
        }
        self.tell(hosts, machine, Input::Measured { driver: &driver, others: &others });
    }

    fn figures(&self) -> DriverFigures {
        let stats = &self.stats;
        let [mut dialing, mut closing, mut queued_links, mut queued_bytes] = [0; 4];
        for link in self.links.iter() {
            match link.state {
                State::Connecting { .. } => dialing += 1,
                State::Flushing { .. } | State::Ending => closing += 1,
                State::Open | State::Failing { .. } | State::Down { .. } => {}
            }
            let waiting = link.queue.waiting_bytes() as u64;
            queued_links += u64::from(waiting > 0);
            queued_bytes += waiting;
        }
        DriverFigures {
            uptime_ns: self.clock.mono().since_ns(Mono(0)),
            links: self.links.len() as u64,
            links_dialing: dialing,
            links_closing: closing,
            accepted: stats.accepts,
            refused: stats.refused,
            hurried: stats.hurried,
            accept_pauses: stats.accept_pauses,
            refusal_pauses: stats.refusal_pauses,
            dialed: stats.dials,
            dials_failed: stats.dials_failed,
            bytes_in: stats.bytes_in,
            bytes_out: stats.bytes_out,
            queued_bytes,
            queued_links,
            turns: stats.turns,
            wakeups: stats.wakeups,
            turn: stats.turn.quantiles(),
            late: stats.late.quantiles(),
            disk_jobs: self.helper.as_ref().map_or(0, Helper::under_way) as u64,
            store_orders: self.seats.iter().map(|seat| seat.keeping.waiting() as u64).sum(),
            descriptors_max: descriptors_max(),
            closes: stats.closes.clone(),
            downs: stats.downs.clone(),
        }
    }
}
