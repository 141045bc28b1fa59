//! How output leaves and how links end: by a machine's wish, by the other side's, by an error, or
//! because their time is over. Never reads.

use std::io::ErrorKind;
use std::net::Shutdown;
use std::time::Duration;

use log::debug;

use crate::io::answer::Answer;
use crate::io::errands::Job;
use crate::io::link::{Flushed, Hold, Link, Sending, State};
use crate::io::reactor::Reactor;
use crate::io::token::Source;
use crate::proto::ids::LinkId;
use crate::proto::limits::{
    FLUSHES_UNTIMED, LINGER_BYTES_MAX, LINGER_BYTES_SENT_AWAY, LINGER_TIMEOUT, LINGERING_MAX,
};
use crate::proto::machine::{CloseReason, DownReason};

impl Reactor {
    /// How long a reader may leave more waiting than
    /// [`LINK_QUEUE_BYTES_SOFT`](crate::proto::limits::LINK_QUEUE_BYTES_SOFT).
    pub fn set_slow_timeout(&mut self, timeout: Duration) {
        self.slow_timeout = timeout;
    }

    /// Writes what links have to send, with one call for each, until the slice is used up: a word to ten
    /// thousand takes a multiple of it. The others are put off, behind those that have output by then, and
    /// one of them goes in any case. File ranges follow when everybody's bytes are gone.
    pub(super) fn flush_all(&mut self) {
        let mut dirty = std::mem::take(&mut self.dirty);
        let end = self.clock.mono() + self.flush_slice;
        for (place, id) in dirty.iter().enumerate() {
            self.flush_dirty(*id);
            if place % FLUSHES_UNTIMED == FLUSHES_UNTIMED - 1 && self.clock.mono() >= end {
                dirty[place + 1..].iter().for_each(|id| self.put_off(*id));
                break;
            }
        }
        dirty.clear();
        self.dirty = dirty;
        while let Some(id) = self.unflushed.pop_front() {
            self.flush_dirty(id);
            if self.clock.mono() >= end {
                break;
            }
        }
    }

    fn flush_dirty(&mut self, id: LinkId) {
        let Some(link) = self.links.get_mut(id) else { return };
        link.news.dirty = false;
        if !link.queue.has_ranges() {
            self.flush(id);
        } else if !std::mem::replace(&mut link.news.listed, true) {
            self.leftover.push_back(Source::Link(id));
        }
    }

    /// The machine is told, as if the socket were full: it must not take for sent what is still here.
    fn put_off(&mut self, id: LinkId) {
        if self.links.get(id).is_some() {
            self.unflushed.push_back(id);
            self.tell_blocked(id);
        }
    }

    /// Something waits on the link. The machine is told once, until all of it is out.
    pub(super) fn tell_blocked(&mut self, id: LinkId) {
        if let Some(link) = self.links.get_mut(id)
            && !std::mem::replace(&mut link.news.blocked_told, true)
        {
            self.answers.push_back((link.machine, Answer::Blocked { link: id }));
        }
    }

    pub(super) fn flush(&mut self, id: LinkId) {
        let Some(link) = self.links.get_mut(id) else { return };
        let machine = link.machine;
        let flushed = link.flush(&mut self.stats);
        link.note_progress();
        if link.becomes_slow() {
            self.watch_slow(id);
        }
        let Some(link) = self.links.get_mut(id) else { return };
        match flushed {
            Flushed::Spent => {}
            Flushed::All => {
                link.queue.rest(&mut self.spares);
                if std::mem::take(&mut link.news.blocked_told) {
                    self.answers.push_back((machine, Answer::Drained { link: id }));
                }
                self.all_sent(id);
            }
            Flushed::Full => {
                link.news.full = true;
                self.tell_blocked(id);
            }
            Flushed::Failed(DownReason::FileFailed) => self.drop_link(id, DownReason::FileFailed),
            Flushed::Failed(reason) => self.write_failed(id, reason),
        }
    }

    /// A machine closes a link.
    pub(super) fn close(&mut self, machine: usize, id: LinkId, reason: CloseReason) {
        let Some(link) = self.links.get(id).filter(|link| link.machine == machine) else { return };
        match link.state {
            State::Open => {
                if link.hold != Hold::Not {
                    link.set_abrupt(false);
                }
                let end_seen = link.hold == Hold::Ended;
                let is_over = is_over(reason, link.hold);
                let is_crowded = self.seats[machine].lingering >= LINGERING_MAX;
                let is_hurried = !end_seen && is_over && is_crowded;
                if is_hurried {
                    self.stats.hurried += 1;
                    self.slow_down_newcomers();
                }
                if let Some(link) = self.links.get_mut(id) {
                    link.news.paused = false;
                    link.linger_bytes = if is_over { LINGER_BYTES_SENT_AWAY } else { LINGER_BYTES_MAX };
                }
                self.finish_sending(id, end_seen || is_hurried);
            }
            // The machine need not be told any more.
            State::Failing { .. } | State::Down { .. } => self.remove(id),
            State::Connecting { .. } | State::Flushing { .. } | State::Ending => return,
        }
        debug!("link closed={}.{} reason={reason}", id.index, id.generation);
        *self.stats.closes.entry(reason).or_default() += 1;
    }

    /// A machine resets a link: what is queued, here and in the kernel, is lost, and the other side is told of an error.
    pub(super) fn reset(&mut self, machine: usize, id: LinkId, reason: CloseReason) {
        let Some(link) = self.links.get(id).filter(|link| link.machine == machine) else { return };
        match link.state {
            State::Open | State::Failing { .. } | State::Down { .. } => {}
            State::Connecting { .. } | State::Flushing { .. } | State::Ending => return,
        }
        link.set_abrupt(true);
        self.remove(id);
        debug!("link reset={}.{} reason={reason}", id.index, id.generation);
        *self.stats.closes.entry(reason).or_default() += 1;
    }

    /// A machine has ended: everything that it had is given up, what it sent is still brought
    /// home, and the others are asked to end too.
    pub(super) fn retire(&mut self, machine: usize) {
        let seat = &mut self.seats[machine];
        seat.ended = true;
        let unread = seat.disk.release_all();
        unread.into_iter().for_each(|file| self.hand_over(Job::Forget((machine, file))));
        self.letting_go.forget_all(machine);
        self.let_go(machine);
        self.stop_listening(machine);
        for id in self.links.of_machine(machine) {
            if matches!(self.links.get(id), Some(Link { state: State::Connecting { .. }, .. })) {
                self.remove(id);
            }
            match self.links.get(id) {
                Some(link) if link.state.lingers() && link.news.paused => self.remove(id),
                Some(link) if link.hold != Hold::Not => self.reset(machine, id, CloseReason::Shutdown),
                _ => self.close(machine, id, CloseReason::Shutdown),
            }
        }
        self.shut_down_all();
    }

    /// The link is gone for the machine; what it sent is not.
    pub(super) fn finish_sending(&mut self, id: LinkId, end_seen: bool) {
        let Some(link) = self.links.get_mut(id) else { return };
        link.state = State::Flushing { end_seen };
        self.seats[link.machine].lingering += usize::from(link.state.lingers());
        self.lingers.push_back((self.clock.mono() + LINGER_TIMEOUT, id));
        // Also with an empty queue: the flush goes on to what comes then.
        self.mark_dirty(id);
    }

    /// The link is lost, with everything that waits on it. The machine will be told.
    pub(super) fn drop_link(&mut self, id: LinkId, reason: DownReason) {
        let Some(link) = self.links.get_mut(id) else { return };
        match link.state {
            State::Open | State::Failing { .. } => {
                link.state = State::Down { reason };
                link.queue.clear();
                self.answers.push_back((link.machine, Answer::Down { link: id }));
            }
            State::Down { .. } => {}
            State::Connecting { .. } | State::Flushing { .. } | State::Ending => self.remove(id),
        }
    }

    /// Much waits for the link's reader, who has some time to get on with it.
    pub(super) fn watch_slow(&mut self, id: LinkId) {
        let until = self.clock.mono() + self.slow_timeout;
        if let Some(link) = self.links.get_mut(id) {
            link.slow_until = until;
            self.slow.push_back((until, id));
        }
    }

    /// Takes a link that is down out of the table, and returns why it went down.
    pub(super) fn bury(&mut self, id: LinkId) -> Option<DownReason> {
        let State::Down { reason } = self.links.get(id)?.state else { return None };
        self.remove(id);
        self.count_down(id, reason);
        Some(reason)
    }

    pub(super) fn count_down(&mut self, id: LinkId, reason: DownReason) {
        debug!("link down={}.{} reason={reason:?}", id.index, id.generation);
        *self.stats.downs.entry(reason).or_default() += 1;
    }

    /// Closes the socket, at once.
    pub(super) fn remove(&mut self, id: LinkId) {
        if let Some(link) = self.links.remove(id) {
            self.seats[link.machine].lingering -= usize::from(link.state.lingers());
        }
    }

    /// The other side of a closing link sends no more: the socket is closed when all is sent.
    pub(super) fn linger_no_more(&mut self, id: LinkId) {
        let Some(link) = self.links.get_mut(id) else { return };
        self.seats[link.machine].lingering -= usize::from(link.state.lingers());
        link.state = State::Flushing { end_seen: true };
    }

    /// Ends what has taken too long, and the pause of accepting when it is over.
    pub(super) fn expire(&mut self) {
        let now = self.clock.mono();
        while let Some((deadline, id)) = self.dials.front().copied() {
            let waiting = self.links.get(id).and_then(|link| match link.state {
                State::Connecting { dial } => Some((link.machine, dial)),
                _ => None,
            });
            if waiting.is_some() && deadline > now {
                break;
            }
            self.dials.pop_front();
            if let Some((machine, dial)) = waiting {
                self.remove(id);
                self.stats.dials_failed += 1;
                let error = ErrorKind::TimedOut;
                self.answers.push_back((machine, Answer::DialFailed { dial, error }));
            }
        }
        while let Some((deadline, id)) = self.lingers.front().copied() {
            if self.links.get(id).is_some() && deadline > now {
                break;
            }
            self.lingers.pop_front();
            self.remove(id);
        }
        while let Some((deadline, id)) = self.slow.front().copied() {
            let is_slow = self.links.get(id).is_some_and(|link| link.slow_until == deadline);
            if is_slow && deadline > now {
                break;
            }
            self.slow.pop_front();
            if is_slow {
                self.drop_link(id, DownReason::TooSlow);
            }
        }
        if self.accept_pause.is_some_and(|end| end <= now) {
            self.accept_pause = None;
            self.list_listeners();
        }
    }

    /// The queue is empty. A link that is closing says so to the other side, which may still be
    /// sending: closing the socket now could take our last line away from it.
    fn all_sent(&mut self, id: LinkId) {
        let Some(link) = self.links.get_mut(id) else { return };
        match link.state {
            State::Flushing { end_seen: true } => self.remove(id),
            State::Flushing { end_seen: false } => {
                link.state = State::Ending;
                if link.stream.shutdown(Shutdown::Write).is_err() {
                    self.remove(id);
                }
            }
            // An error shows itself when the link is read.
            State::Open if link.sending == Sending::Ending => {
                link.sending = Sending::Ended;
                let _ = link.stream.shutdown(Shutdown::Write);
            }
            _ => {}
        }
    }

    /// What came in before is still worth reading: the other side's last line may say why.
    fn write_failed(&mut self, id: LinkId, reason: DownReason) {
        let Some(link) = self.links.get_mut(id) else { return };
        if link.state != State::Open {
            return self.drop_link(id, reason);
        }
        link.state = State::Failing { reason };
        link.queue.clear();
        link.news.readable = true;
        link.news.read_closed = true;
        if !std::mem::replace(&mut link.news.listed, true) {
            self.leftover.push_back(Source::Link(id));
        }
    }
}

/// Whether a link that is closed for that has nothing more to say that matters. Whoever may say something that is no fault of its
/// own is waited for in any case.
fn is_over(reason: CloseReason, hold: Hold) -> bool {
    use CloseReason::*;
    match reason {
        Refused | Misbehaved | Silent | Farewell | Replaced => true,
        // Who holds a link has heard all that it wanted.
        Done => hold != Hold::Not,
        Duplicate | Unwanted | Failed | Shutdown => false,
    }
}
