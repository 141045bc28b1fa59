//! The reactor and one turn of it: who is served when. Never decides what is done with a socket
//! that has news; that is in `visit`.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::iter;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mio::{Events, Poll, Waker};

use crate::io::answer::Answer;
use crate::io::clock::Clock;
use crate::io::descriptors::raise_descriptor_limit;
use crate::io::disk::Disk;
use crate::io::effects::Hands;
use crate::io::ending::RunEnd;
use crate::io::helper::Helper;
use crate::io::keeping::Keeping;
use crate::io::letting_go::LettingGo;
use crate::io::link::State;
use crate::io::links::Links;
use crate::io::listener::Listener;
use crate::io::queue::Spares;
use crate::io::scheduling::ask_for_short_slices;
use crate::io::signals::Signals;
use crate::io::stats::Stats;
use crate::io::store::Store;
use crate::io::timer::Timer;
use crate::io::token::Source;
use crate::io::typing::Typing;
use crate::proto::ids::LinkId;
use crate::proto::limits::{
    ANSWER_BUDGET, EVENTS_MAX, LINKS_MAX, READ_BUDGET_BYTES, SLICE_MAX, SLICE_MIN, SLOW_READER_TIMEOUT,
    WAKE_AHEAD,
};
use crate::proto::machine::{Input, Machine};
use crate::proto::time::{Mono, Now, ns};

/// A machine and the folder that its files are in.
pub struct Host<'a> {
    /// The machine.
    pub machine: &'a mut dyn Machine,
    /// Made when the first file is opened.
    pub root: PathBuf,
}

/// Runs machines on this host's sockets, files and clocks, on the calling thread.
pub struct Reactor {
    pub(super) poll: Poll,
    events: Events,
    timer: Timer,
    pub(super) signals: Signals,
    /// How long an end may take, and until when it may, once machines were asked to.
    pub(super) grace: Option<Duration>,
    pub(super) end_by: Option<Mono>,
    pub(super) clock: Clock,
    pub(super) seats: Vec<Seat>,
    pub(super) links: Links,
    pub(super) links_max: usize,
    pub(super) listeners: Vec<Option<Listener>>,
    pub(super) inherited: Vec<TcpListener>,
    pub(super) typing: Option<Typing>,
    /// By the places of their machines.
    stores: Vec<Option<Store>>,
    pub(super) spares: Spares,
    /// Output is put off when a turn has written for so long.
    pub(super) flush_slice: Duration,
    /// Accepting pauses until then.
    pub(super) accept_pause: Option<Mono>,
    /// Nothing was accepted since the last pause: it has been said already.
    pub(super) accept_starved: bool,
    /// Dials and closing links with their deadlines. Each list has one constant timeout, and so is
    /// in order; those that ended earlier stay until they come to the front.
    pub(super) dials: VecDeque<(Mono, LinkId)>,
    pub(super) lingers: VecDeque<(Mono, LinkId)>,
    /// Links for whose readers much waits. One that got on stays until it comes to the front.
    pub(super) slow: VecDeque<(Mono, LinkId)>,
    pub(super) slow_timeout: Duration,
    /// Started when the disk has something to do that takes long.
    pub(super) helper: Option<Helper>,
    pub(super) letting_go: LettingGo,
    /// How it wakes the loop; made in time, for descriptors may be short by then.
    pub(super) waker: Arc<Waker>,
    /// What effects led to, for whom.
    pub(super) answers: VecDeque<(usize, Answer)>,
    /// Links that have output since the last flush.
    pub(super) dirty: Vec<LinkId>,
    /// Links whose output was put off, for there was too much of it in one turn.
    pub(super) unflushed: VecDeque<LinkId>,
    /// What has news since the last wait, and what used up its budget earlier.
    pub(super) fresh: VecDeque<Source>,
    pub(super) leftover: VecDeque<Source>,
    /// The earliest deadline, as of this turn.
    deadline: Option<Mono>,
    turn_began: Mono,
    /// All links read into this one.
    pub(super) buffer: Vec<u8>,
    pub(super) stats: Stats,
}

/// What the reactor knows of one machine.
pub(super) struct Seat {
    pub(super) disk: Disk,
    pub(super) keeping: Keeping,
    pub(super) ended: bool,
    pub(super) shutdown_told: bool,
    /// Links that it has closed, and whose other side's end is waited for.
    pub(super) lingering: usize,
}

impl Reactor {
    /// A reactor without machines. Raises the limit of open descriptors as far as it may, and
    /// catches SIGTERM, SIGINT and, unless it is ignored, SIGHUP from here on. Its time begins now.
    ///
    /// # Errors
    /// Out of descriptors.
    pub fn new() -> io::Result<Reactor> {
        raise_descriptor_limit();
        let poll = Poll::new()?;
        Ok(Reactor {
            events: Events::with_capacity(EVENTS_MAX),
            timer: Timer::new(poll.registry())?,
            signals: Signals::new(poll.registry())?,
            grace: None,
            end_by: None,
            clock: Clock::new(),
            seats: Vec::new(),
            links: Links::default(),
            links_max: LINKS_MAX,
            listeners: Vec::new(),
            inherited: Vec::new(),
            typing: None,
            stores: Vec::new(),
            spares: Spares::default(),
            flush_slice: SLICE_MAX,
            accept_pause: None,
            accept_starved: false,
            dials: VecDeque::new(),
            lingers: VecDeque::new(),
            slow: VecDeque::new(),
            slow_timeout: SLOW_READER_TIMEOUT,
            helper: None,
            letting_go: LettingGo::default(),
            waker: Arc::new(Waker::new(poll.registry(), Source::Helper.token())?),
            answers: VecDeque::new(),
            dirty: Vec::new(),
            unflushed: VecDeque::new(),
            fresh: VecDeque::new(),
            leftover: VecDeque::new(),
            deadline: None,
            turn_began: Mono(0),
            buffer: vec![0; READ_BUDGET_BYTES],
            stats: Stats::default(),
            poll,
        })
    }

    /// Gives the reactor a socket that is bound and listens already. A machine that asks to listen
    /// at its very address gets it.
    pub fn inherit(&mut self, listener: TcpListener) {
        self.inherited.push(listener);
    }

    /// Gives the reactor what a machine keeps beyond the life of the process; `place` is the machine's
    /// among those that will run.
    pub fn keep_in(&mut self, place: usize, store: Store) {
        self.stores.resize_with(self.stores.len().max(place + 1), || None);
        self.stores[place] = Some(store);
    }

    /// What was counted so far.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Runs the machines until each has ended, what they finished is on disk, and what they sent
    /// has gone, the latter bounded by
    /// [`LINGER_TIMEOUT`](crate::proto::limits::LINGER_TIMEOUT). SIGTERM, SIGINT, and SIGHUP where it is caught and means that, ask
    /// all of them to end. A second SIGTERM or SIGINT ends the run at once, unless it comes within
    /// [`SIGNALS_AT_ONCE`](crate::proto::limits::SIGNALS_AT_ONCE) of the first signal; and so does the time of
    /// [`Reactor::end_within`].
    ///
    /// # Errors
    /// If the kernel refuses to wait or to set the timer, which should not happen.
    pub fn run(&mut self, hosts: &mut [Host<'_>]) -> io::Result<RunEnd> {
        let seat = |(host, store): (&Host<'_>, Option<Store>)| Seat {
            disk: Disk::new(&host.root),
            keeping: Keeping::new(store),
            ended: false,
            shutdown_told: false,
            lingering: 0,
        };
        let stores = std::mem::take(&mut self.stores).into_iter().chain(iter::repeat_with(|| None));
        self.seats = hosts.iter().zip(stores).map(seat).collect();
        ask_for_short_slices();
        self.turn_began = self.clock.mono();
        // Before anything that one of them has for another.
        self.answers.extend((0..hosts.len()).map(|machine| (machine, Answer::Start)));
        self.deliver(hosts);
        loop {
            self.fire_timeouts(hosts);
            self.expire();
            self.deliver(hosts);
            self.flush_all();
            self.keep();
            self.let_go_unused();
            self.open_postponed();
            if let Some(end) = self.end() {
                // Also of machines that were not waited for: nobody finishes their partials.
                self.seats.iter_mut().for_each(|seat| drop(seat.disk.release_all()));
                return Ok(end);
            }
            self.list_typing(hosts);
            self.wait(hosts)?;
            self.note_events();
            self.work(hosts);
        }
    }

    /// Tells a machine one thing, and then what its effects led to.
    pub(super) fn tell(&mut self, hosts: &mut [Host<'_>], machine: usize, input: Input<'_>) {
        let now = self.clock.now();
        self.tell_at(hosts, machine, input, now);
    }

    pub(super) fn tell_at(&mut self, hosts: &mut [Host<'_>], machine: usize, input: Input<'_>, now: Now) {
        if !self.seats[machine].ended {
            hosts[machine].machine.handle_input(input, now, &mut Hands { reactor: self, machine });
            self.deliver(hosts);
        }
    }

    fn fire_timeouts(&mut self, hosts: &mut [Host<'_>]) {
        for machine in 0..hosts.len() {
            let now = self.clock.now();
            let due = |host: &Host<'_>| host.machine.poll_timeout().filter(|at| *at <= now.mono);
            let Some(at) = due(&hosts[machine]).filter(|_| !self.seats[machine].ended) else { continue };
            self.stats.late.count(now.mono.since_ns(at));
            hosts[machine].machine.handle_timeout(now, &mut Hands { reactor: self, machine });
            debug_assert!(
                self.seats[machine].ended || due(&hosts[machine]).is_none(),
                "a timer that was due is left"
            );
            self.deliver(hosts);
        }
    }

    /// Tells machines what their effects led to, and what that leads to.
    pub(super) fn deliver(&mut self, hosts: &mut [Host<'_>]) {
        for _ in 0..ANSWER_BUDGET {
            let Some((machine, answer)) = self.answers.pop_front() else { return };
            if self.seats[machine].ended {
                continue;
            }
            if let Answer::Measured = answer {
                self.tell_measured(hosts, machine);
            } else if let Some(input) = self.input_of(&answer) {
                let now = self.clock.now();
                hosts[machine].machine.handle_input(input, now, &mut Hands { reactor: self, machine });
            }
        }
    }

    /// The input that an answer stands for, unless its link is gone for the machine.
    fn input_of<'a>(&mut self, answer: &'a Answer) -> Option<Input<'a>> {
        let open = |link: &LinkId| self.links.get(*link).is_some_and(|link| link.state == State::Open);
        match answer {
            Answer::Blocked { link } | Answer::Drained { link } if !open(link) => None,
            Answer::Down { link } => Some(Input::LinkDown { link: *link, reason: self.bury(*link)? }),
            other => other.input(),
        }
    }

    /// Waits for an event or the earliest deadline; not at all if there is something to do.
    fn wait(&mut self, hosts: &[Host<'_>]) -> io::Result<()> {
        let running = hosts.iter().zip(&self.seats).filter(|(_, seat)| !seat.ended);
        let machines = running.filter_map(|(host, _)| host.machine.poll_timeout()).min();
        let lists = [&self.dials, &self.lingers, &self.slow];
        let [dial, linger, slow] = lists.map(|list| list.front().map(|entry| entry.0));
        let keep = self.seats.iter().filter_map(|seat| seat.keeping.next_at()).min();
        let look = self.letting_go.next_look();
        let others = [keep, look, self.accept_pause, self.end_by];
        self.deadline = [machines, dial, linger, slow].into_iter().chain(others).flatten().min();
        let now = self.clock.mono();
        self.stats.count_turn(now.since_ns(self.turn_began));
        let lists_empty = self.fresh.is_empty() && self.leftover.is_empty();
        let flushed = self.dirty.is_empty() && self.unflushed.is_empty();
        let idle = lists_empty && self.answers.is_empty() && flushed && !self.letting_go.is_due();
        let timeout = if idle && self.deadline.is_none_or(|at| at > now) {
            self.timer.arm(self.deadline.map(|at| wake_for(at, now)), &self.clock)?;
            self.stats.wakeups += 1;
            None
        } else {
            Some(Duration::ZERO)
        };
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        self.turn_began = self.clock.mono();
        Ok(())
    }

    /// Puts everything that has news on the list of what is to be visited: what is quickly done in front, so that ticks do
    /// not wait for bulk, noise or newcomers.
    fn note_events(&mut self) {
        for event in &self.events {
            self.stats.events += 1;
            let source = Source::of(event.token());
            let mut bulky = false;
            let listed = match source {
                Source::Timer => continue,
                Source::Signals => &mut false,
                Source::Typing => {
                    self.typing.iter_mut().for_each(|typing| typing.is_readable = true);
                    continue;
                }
                Source::Helper => match &mut self.helper {
                    Some(helper) => &mut helper.listed,
                    None => continue,
                },
                Source::Listener(place) => match &mut self.listeners[place as usize] {
                    Some(listener) => {
                        bulky = true;
                        &mut listener.listed
                    }
                    None => continue,
                },
                Source::Link(id) => match self.links.get_mut(id) {
                    Some(link) => {
                        if link.note(event) {
                            self.dirty.push(id);
                        }
                        bulky = link.news.bulky;
                        &mut link.news.listed
                    }
                    None => continue,
                },
            };
            if !std::mem::replace(listed, true) {
                let list = if bulky { &mut self.leftover } else { &mut self.fresh };
                list.push_back(source);
            }
        }
    }

    /// Visits what has news, then what was left over, each once at most, until a deadline passes
    /// or the slice is used up. Something that was left over is visited in any case.
    fn work(&mut self, hosts: &mut [Host<'_>]) {
        let mut leftover_due = self.leftover.len();
        let mut leftover_missed = leftover_due > 0;
        let (first_end, last_end) = (self.turn_began + SLICE_MIN, self.turn_began + SLICE_MAX);
        while let Some(source) = self.fresh.pop_front().or_else(|| {
            leftover_due = leftover_due.checked_sub(1)?;
            leftover_missed = false;
            self.leftover.pop_front()
        }) {
            self.visit(hosts, source);
            let now = self.clock.mono();
            let end = if self.deadline.is_some_and(|at| at <= now) { first_end } else { last_end };
            if now >= end {
                break;
            }
        }
        if leftover_missed && let Some(source) = self.leftover.pop_front() {
            self.visit(hosts, source);
        }
    }

    fn visit(&mut self, hosts: &mut [Host<'_>], source: Source) {
        match source {
            Source::Timer => {}
            Source::Signals => self.visit_signals(hosts),
            Source::Helper => self.visit_helper(hosts),
            Source::Typing => self.visit_typing(hosts),
            Source::Listener(place) => self.visit_listener(hosts, place),
            Source::Link(link) => self.visit_link(hosts, link),
        }
    }
}

/// When to wake up for a deadline. A processor that has slept for long takes its time to get up,
/// most of all in a virtual machine. So a long sleep ends a little early, and a second, short one,
/// from which it is quickly back, ends at the deadline itself.
fn wake_for(deadline: Mono, now: Mono) -> Mono {
    let ahead_ns = ns(WAKE_AHEAD);
    if deadline.since_ns(now) > 2 * ahead_ns { Mono(deadline.0 - ahead_ns) } else { deadline }
}
