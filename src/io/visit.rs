//! Serves one thing that has news, a socket or the disk: accepts, completes a dial, reads, moves file
//! ranges on, passes answers on, each within its budget. Never decides whose turn it is.

use std::net::SocketAddr;

use log::{Level, debug, log, warn};
use mio::event::Event;
use mio::net::TcpStream;

use crate::io::answer::Answer;
use crate::io::dialer;
use crate::io::errands::Done;
use crate::io::link::{Found, Hold, Link, State};
use crate::io::listener::Accepted;
use crate::io::reactor::{Host, Reactor};
use crate::io::sockets::{down_reason, kind, plain};
use crate::io::token::Source;
use crate::proto::ids::{DialId, LinkId};
use crate::proto::limits::{
    ACCEPT_BUDGET, ACCEPT_PAUSE, DISK_ANSWERS_BUDGET, REFUSAL_PAUSE, STAMP_AGE_NS_MAX,
};
use crate::proto::machine::{DownReason, Input, Origin};
use crate::proto::time::{Now, Wall};

impl Link {
    /// Keeps what an event says, and returns whether output that had to wait can go on.
    pub(super) fn note(&mut self, event: &Event) -> bool {
        let news = &mut self.news;
        let failed = event.is_error() || event.is_write_closed();
        news.readable |= event.is_readable() || event.is_read_closed() || failed;
        news.read_closed |= event.is_read_closed() || failed;
        let goes_on = news.full && (event.is_writable() || failed) && !news.dirty;
        news.full &= !(event.is_writable() || failed);
        news.dirty |= goes_on;
        goes_on
    }
}

impl Reactor {
    pub(super) fn visit_listener(&mut self, hosts: &mut [Host<'_>], place: u32) {
        let mut refused = 0;
        for _ in 0..ACCEPT_BUDGET {
            let Some(listener) = &mut self.listeners[place as usize] else { return };
            listener.listed = false;
            if self.accept_pause.is_some() {
                return;
            }
            match listener.accept() {
                Accepted::Link(stream, remote) => {
                    let machine = listener.machine;
                    self.accept_starved = false;
                    refused += usize::from(!self.admit(hosts, machine, stream, remote));
                }
                Accepted::Broken => {}
                Accepted::Nothing => return,
                Accepted::Exhausted(error) => {
                    let again = std::mem::replace(&mut self.accept_starved, true);
                    let level = if again { Level::Debug } else { Level::Warn };
                    log!(level, "accept pause_ms={} error=\"{error}\"", ACCEPT_PAUSE.as_millis());
                    self.stats.accept_pauses += 1;
                    self.accept_pause = Some(self.clock.mono() + ACCEPT_PAUSE);
                    return;
                }
            }
        }
        if refused == ACCEPT_BUDGET {
            self.slow_down_newcomers();
        }
        self.list_listener(place);
    }

    /// Too many come only to be sent away: the next wait a little in the kernel's queue.
    pub(super) fn slow_down_newcomers(&mut self) {
        if self.accept_pause.is_none() {
            self.stats.refusal_pauses += 1;
            self.accept_pause = Some(self.clock.mono() + REFUSAL_PAUSE);
        }
    }

    /// Visits every listener again, after a pause.
    pub(super) fn list_listeners(&mut self) {
        for place in 0..self.listeners.len() {
            self.list_listener(place as u32);
        }
    }

    fn list_listener(&mut self, place: u32) {
        if let Some(listener) = &mut self.listeners[place as usize]
            && !std::mem::replace(&mut listener.listed, true)
        {
            self.leftover.push_back(Source::Listener(place));
        }
    }

    /// Whether the machine keeps the link.
    fn admit(
        &mut self,
        hosts: &mut [Host<'_>],
        machine: usize,
        stream: TcpStream,
        remote: SocketAddr,
    ) -> bool {
        if self.links.len() >= self.links_max {
            self.stats.refused += 1;
            debug!("link refused remote={remote} links={}", self.links.len());
            return false;
        }
        let Ok(local) = stream.local_addr().map(plain) else { return true };
        match self.register(stream, machine, State::Open) {
            Ok(link) => {
                self.stats.accepts += 1;
                debug!("link up={}.{} remote={remote} origin=Accepted", link.index, link.generation);
                self.tell(hosts, machine, Input::LinkUp { link, origin: Origin::Accepted, local, remote });
                self.links.get(link).is_some_and(|link| link.state == State::Open)
            }
            Err(error) => {
                warn!("link refused remote={remote} error=\"{error}\"");
                false
            }
        }
    }

    /// Passes on what the disk has done.
    pub(super) fn visit_helper(&mut self, hosts: &mut [Host<'_>]) {
        for _ in 0..DISK_ANSWERS_BUDGET {
            let Some(helper) = &mut self.helper else { return };
            helper.listed = false;
            let Some(done) = helper.take() else { return };
            let is_read = matches!(done, Done::Read(..));
            self.on_done(done);
            self.deliver(hosts);
            if is_read {
                // The machine packs it, which takes as long as many other answers.
                break;
            }
        }
        if let Some(helper) = &mut self.helper
            && !std::mem::replace(&mut helper.listed, true)
        {
            self.leftover.push_back(Source::Helper);
        }
    }

    pub(super) fn visit_link(&mut self, hosts: &mut [Host<'_>], id: LinkId) {
        let Some(link) = self.links.get_mut(id) else { return };
        link.news.listed = false;
        if let State::Connecting { dial } = link.state
            && !self.dial_came_about(hosts, id, dial)
        {
            return;
        }
        if self.links.get(id).is_some_and(Link::wants_range) {
            self.flush(id);
        }
        self.read(hosts, id);
        self.deliver(hosts);
        if let Some(link) = self.links.get_mut(id)
            && link.wants_visit()
            && !std::mem::replace(&mut link.news.listed, true)
        {
            self.leftover.push_back(Source::Link(id));
        }
    }

    /// Whether the link is up now.
    fn dial_came_about(&mut self, hosts: &mut [Host<'_>], id: LinkId, dial: DialId) -> bool {
        let Some(link) = self.links.get_mut(id) else { return false };
        let machine = link.machine;
        match dialer::outcome(&link.stream) {
            Ok(None) => false,
            Ok(Some((local, remote))) => {
                link.state = State::Open;
                self.stats.dials += 1;
                debug!("link up={}.{} remote={remote} origin=Dialed", id.index, id.generation);
                let origin = Origin::Dialed(dial);
                self.tell(hosts, machine, Input::LinkUp { link: id, origin, local, remote });
                true
            }
            Err(error) => {
                debug!("dial error=\"{error}\"");
                self.remove(id);
                self.stats.dials_failed += 1;
                self.answers.push_back((machine, Answer::DialFailed { dial, error: kind(&error) }));
                self.deliver(hosts);
                false
            }
        }
    }

    fn read(&mut self, hosts: &mut [Host<'_>], id: LinkId) {
        let mut buffer = std::mem::take(&mut self.buffer);
        while self.read_once(hosts, id, &mut buffer) {}
        self.buffer = buffer;
    }

    /// Reads once, and returns whether to go on at once: only when the end is near.
    fn read_once(&mut self, hosts: &mut [Host<'_>], id: LinkId, buffer: &mut [u8]) -> bool {
        let Some(link) = self.links.get_mut(id) else { return false };
        let heard = match link.state {
            State::Open if link.news.paused => return false,
            State::Flushing { .. } | State::Ending if link.news.paused => {
                if link.news.read_closed {
                    self.remove(id);
                }
                return false;
            }
            State::Open | State::Failing { .. } => true,
            State::Flushing { end_seen: false } | State::Ending => false,
            State::Connecting { .. } | State::Down { .. } | State::Flushing { end_seen: true } => {
                return false;
            }
        };
        if !link.news.readable {
            return false;
        }
        let machine = link.machine;
        let budget = if heard { link.budget.bytes() } else { link.linger_bytes as usize + 1 };
        match link.read(&mut buffer[..budget], heard, &mut self.stats) {
            Found::Bytes(count, stamp) => {
                let go_on = link.news.readable && count < budget;
                if heard {
                    let now = self.clock.now();
                    let at = received_at(stamp, now);
                    let bytes = &buffer[..count];
                    self.tell_at(hosts, machine, Input::Received { link: id, bytes, at }, now);
                    let took_ns = self.clock.mono().since_ns(now.mono);
                    if let Some(link) = self.links.get_mut(id) {
                        link.note_cost(count, took_ns);
                    }
                    return go_on;
                }
                // Who talks on and on does not read our last line. It may wait until its time is over: if the link were closed now,
                // it would come again at once.
                let left = link.linger_bytes.checked_sub(count as u32);
                link.news.paused = left.is_none();
                link.linger_bytes = left.unwrap_or(0);
                if left.is_none() && self.seats[machine].ended {
                    self.remove(id);
                }
                go_on && left.is_some()
            }
            Found::Nothing => {
                // An error may have been reported by an event, and taken by a write.
                if let State::Failing { reason } = link.state {
                    self.drop_link(id, reason);
                }
                false
            }
            Found::End => {
                self.end_seen(hosts, id);
                false
            }
            Found::Failed(reason) => {
                self.drop_link(id, reason);
                false
            }
        }
    }

    /// The other side sends no more. What it was sent is still brought to it.
    fn end_seen(&mut self, hosts: &mut [Host<'_>], id: LinkId) {
        let Some(link) = self.links.get_mut(id) else { return };
        let machine = link.machine;
        match link.state {
            State::Open if link.hold != Hold::Not => {
                // Later events show the end again, and hide an error behind it.
                link.news.readable = false;
                if let Ok(Some(error)) = link.stream.take_error() {
                    return self.drop_link(id, down_reason(&error));
                }
                if std::mem::replace(&mut link.hold, Hold::Ended) == Hold::Held {
                    self.tell(hosts, machine, Input::Ended { link: id });
                }
            }
            State::Open => {
                let reason = if link.is_all_there() { DownReason::Eof } else { DownReason::Unread };
                self.finish_sending(id, true);
                self.count_down(id, reason);
                self.tell(hosts, machine, Input::LinkDown { link: id, reason });
            }
            State::Failing { reason } => self.drop_link(id, reason),
            State::Flushing { .. } => self.linger_no_more(id),
            State::Ending => self.remove(id),
            State::Connecting { .. } | State::Down { .. } => {}
        }
    }
}

/// When bytes came in: the kernel's word for it, if it makes sense.
fn received_at(stamp: Option<Wall>, now: Now) -> Wall {
    let sane = |at: &Wall| *at <= now.wall && now.wall.0 - at.0 < STAMP_AGE_NS_MAX;
    stamp.filter(sane).unwrap_or(now.wall)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::time::{Mono, SECOND_NS};

    #[test]
    fn only_sane_stamps_count() {
        let now = Now { mono: Mono(1), wall: Wall(10 * SECOND_NS) };
        for (stamp, expected) in [
            (None, now.wall),
            (Some(now.wall), now.wall),
            (Some(Wall(now.wall.0 - 5)), Wall(now.wall.0 - 5)),
            (Some(Wall(now.wall.0 + 1)), now.wall),
            (Some(Wall(now.wall.0 - SECOND_NS)), now.wall),
            (Some(Wall(0)), now.wall),
        ] {
            assert_eq!(received_at(stamp, now), expected, "{stamp:?}");
        }
    }
}
