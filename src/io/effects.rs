//! Carries out what machines ask for, at once or by putting it on a list. Never calls a machine:
//! what an effect leads to goes onto the list of answers.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use log::{debug, warn};
use mio::Interest;
use mio::net::TcpStream;

use crate::io::answer::Answer;
use crate::io::dialer;
use crate::io::disk::Finishing;
use crate::io::errands::{Derivation, Done, Errands, Job, Part, Whose};
use crate::io::helper::Helper;
use crate::io::link::{Hold, Link, Sending, State};
use crate::io::listener::Listener;
use crate::io::reactor::Reactor;
use crate::io::sockets::kind;
use crate::io::survey::stamp;
use crate::io::token::Source;
use crate::proto::ids::{DialId, FileId, LinkId};
use crate::proto::limits::{CHUNK_READ_BYTES_MAX, DIAL_TIMEOUT, WRITE_BUDGET_BYTES};
use crate::proto::machine::{DownReason, Effect, FileOp, OpenMode, Os, Secret, Stamp};

/// The reactor as one machine sees it.
pub(super) struct Hands<'a> {
    pub(super) reactor: &'a mut Reactor,
    pub(super) machine: usize,
}

impl Os for Hands<'_> {
    fn perform(&mut self, effect: Effect<'_>) {
        if self.reactor.seats[self.machine].ended {
            return;
        }
        match effect {
            Effect::Listen { addr } => self.listen(addr),
            Effect::Dial { dial, addr } => self.dial(dial, addr),
            Effect::Send { link, bytes } => self.send(link, bytes),
            Effect::SendFile { link, file, offset, len } => self.send_file(link, file, offset, len),
            Effect::Close { link, reason } => self.reactor.close(self.machine, link, reason),
            Effect::Hold { link } => self.hold(link),
            Effect::Shut { link } => self.shut(link),
            Effect::PauseReading { link } => self.pause_reading(link, true),
            Effect::ResumeReading { link } => self.pause_reading(link, false),
            Effect::Reset { link, reason } => self.reactor.reset(self.machine, link, reason),
            Effect::Open { file, path, mode, aside } => {
                if !self.reactor.letting_go.postpone((self.machine, file), path, mode) {
                    self.open(file, path, mode, aside);
                }
            }
            Effect::SetAside { file, path, aside } => {
                let moved = self.reactor.seats[self.machine].disk.set_aside(path, aside);
                self.answer(match moved {
                    Ok(moved) => Answer::FileReady { file, bytes: 0, moved },
                    Err(error) => Answer::FileFailed { file, op: FileOp::SetAside, offset: 0, error },
                });
            }
            Effect::Append { file, bytes } => self.append(file, bytes),
            Effect::WriteAt { file, offset, bytes } => {
                let written = self.reactor.seats[self.machine].disk.write_at(file, offset, bytes);
                if let Some(Err(error)) = written {
                    self.answer(Answer::FileFailed { file, op: FileOp::WriteAt, offset, error });
                }
                self.start_writeback(file);
            }
            Effect::Finish { file } => self.finish(file),
            Effect::Hash { file, offset, len } => self.read(file, FileOp::Hash, offset, len),
            Effect::Read { file, offset, len } => self.read(file, FileOp::Read, offset, len),
            Effect::Release { file } => {
                if self.reactor.seats[self.machine].disk.release(file) {
                    self.reactor.hand_over(Job::Forget((self.machine, file)));
                }
                self.reactor.letting_go.forget((self.machine, file));
                self.reactor.let_go(self.machine);
            }
            Effect::Survey { files_max } => self.reactor.begin_survey(self.machine, files_max),
            Effect::Present { path, stamp } => self.present(path, stamp),
            Effect::Store { batch, changes } => {
                self.reactor.seats[self.machine].keeping.store(batch, changes)
            }
            Effect::Load { load } => self.reactor.seats[self.machine].keeping.load(load),
            Effect::Derive { job, password, salt, iterations } => {
                let password = Secret(password.0.into());
                let derivation = Derivation { job, password, salt, iterations };
                self.reactor.hand_over(Job::Derive(self.machine, derivation));
            }
            Effect::Measure => self.answer(Answer::Measured),
            Effect::Exit => self.reactor.retire(self.machine),
        }
    }
}

impl Hands<'_> {
    fn answer(&mut self, answer: Answer) {
        self.reactor.answers.push_back((self.machine, answer));
    }

    pub(super) fn open(&mut self, file: FileId, path: &str, mode: OpenMode, aside: &str) {
        let disk = &mut self.reactor.seats[self.machine].disk;
        let opened = disk.open(file, path, mode, aside);
        if let Some(wish) = disk.to_reserve(file, mode) {
            // Ready afterwards: a write would have to wait for it.
            return self.reactor.hand_over(Job::Reserve((self.machine, file), wish));
        }
        self.answer(match opened {
            Ok((bytes, moved)) => Answer::FileReady { file, bytes, moved },
            Err(error) => Answer::FileFailed { file, op: FileOp::Open, offset: 0, error },
        });
    }

    fn listen(&mut self, addr: SocketAddr) {
        let answer = match self.reactor.listen(self.machine, addr) {
            Ok(addr) => Answer::Listening { addr },
            Err(error) => {
                debug!("listen addr={addr} error=\"{error}\"");
                Answer::ListenFailed { addr, error: kind(&error) }
            }
        };
        self.answer(answer);
    }

    fn dial(&mut self, dial: DialId, addr: SocketAddr) {
        if let Err(error) = self.reactor.dial(self.machine, dial, addr) {
            debug!("dial addr={addr} error=\"{error}\"");
            self.reactor.stats.dials_failed += 1;
            self.answer(Answer::DialFailed { dial, error: kind(&error) });
        }
    }

    fn send(&mut self, id: LinkId, bytes: &[u8]) {
        let Reactor { links, spares, .. } = &mut *self.reactor;
        let Some(link) = links.get_mut(id).filter(|link| link.takes_from(self.machine)) else { return };
        match link.queue.push(bytes, spares) {
            Ok(()) => {
                // Otherwise it is looked at when what fits has gone.
                if link.news.full && link.becomes_slow() {
                    self.reactor.watch_slow(id);
                }
                self.reactor.mark_dirty(id);
            }
            Err(_) => self.reactor.drop_link(id, DownReason::QueueFull),
        }
    }

    fn send_file(&mut self, id: LinkId, file: FileId, offset: u64, len: u64) {
        let handle = self.reactor.seats[self.machine].disk.handle(file);
        let link = self.reactor.links.get_mut(id).filter(|link| link.takes_from(self.machine));
        let Some(link) = link else { return };
        match handle.map(|handle| link.queue.push_range(handle, offset, len)) {
            Some(Ok(())) => {
                if len > WRITE_BUDGET_BYTES as u64 {
                    // One flush does not suffice. Who sends it piece by piece waits for the end of each.
                    self.reactor.tell_blocked(id);
                }
                self.reactor.mark_dirty(id);
            }
            Some(Err(_)) => self.reactor.drop_link(id, DownReason::QueueFull),
            // What was announced cannot be sent, and nothing after it would be understood.
            None => self.reactor.drop_link(id, DownReason::FileFailed),
        }
    }

    fn hold(&mut self, id: LinkId) {
        let link = self.reactor.links.get_mut(id).filter(|link| link.is_open_for(self.machine));
        if let Some(link) = link.filter(|link| link.hold == Hold::Not) {
            link.set_abrupt(true);
            link.hold = Hold::Held;
        }
    }

    fn shut(&mut self, id: LinkId) {
        let link = self.reactor.links.get_mut(id).filter(|link| link.takes_from(self.machine));
        if let Some(link) = link {
            link.sending = Sending::Ending;
            // Also with an empty queue: the flush goes on to what comes then.
            self.reactor.mark_dirty(id);
        }
    }

    fn pause_reading(&mut self, id: LinkId, paused: bool) {
        let link = self.reactor.links.get_mut(id).filter(|link| link.is_open_for(self.machine));
        if let Some(link) = link {
            link.news.paused = paused;
            if link.wants_visit() && !std::mem::replace(&mut link.news.listed, true) {
                self.reactor.leftover.push_back(Source::Link(id));
            }
        }
    }

    fn present(&mut self, path: &str, known: Option<Stamp>) {
        let Reactor { seats, answers, .. } = &mut *self.reactor;
        let file = seats[self.machine].disk.root().join(path);
        let look = || file.symlink_metadata().map_or_else(|_| Stamp::default(), |facts| stamp(&facts));
        // Before anybody opens it: if it is replaced meanwhile, the next look finds another one.
        let stamp = known.unwrap_or_else(look);
        for (machine, seat) in seats.iter().enumerate() {
            if machine != self.machine && !seat.ended {
                answers.push_back((machine, Answer::Presented { path: path.into(), stamp }));
            }
        }
    }

    fn append(&mut self, file: FileId, bytes: &[u8]) {
        match self.reactor.seats[self.machine].disk.append(file, bytes) {
            Some(Ok(())) => self.answer(Answer::Appended { file }),
            Some(Err(error)) => {
                self.answer(Answer::FileFailed { file, op: FileOp::Append, offset: 0, error })
            }
            None => {}
        }
        self.start_writeback(file);
    }

    /// The disk begins with what was written, so that the last sync finds little to do.
    fn start_writeback(&mut self, file: FileId) {
        if let Some(handle) = self.reactor.seats[self.machine].disk.unstarted(file) {
            self.reactor.hand_over(Job::Start(handle));
        }
    }

    fn finish(&mut self, file: FileId) {
        match self.reactor.seats[self.machine].disk.finish(file) {
            Some(Finishing::Begins(job)) => self.reactor.hand_over(Job::Finish((self.machine, file), job)),
            Some(Finishing::Finished) => self.answer(Answer::Finished { file, moved: None }),
            Some(Finishing::Failed(error)) => {
                self.answer(Answer::FileFailed { file, op: FileOp::Finish, offset: 0, error });
            }
            None => {}
        }
    }

    /// A hash or a read.
    fn read(&mut self, file: FileId, op: FileOp, offset: u64, len: u64) {
        let disk = &mut self.reactor.seats[self.machine].disk;
        let handle = match disk.handle(file) {
            Some(_) if op == FileOp::Read && len > CHUNK_READ_BYTES_MAX => Some(Err(ErrorKind::InvalidInput)),
            _ => disk.begin_read(file),
        };
        let whose = (self.machine, file);
        match handle {
            Some(Ok(handle)) if op == FileOp::Hash => {
                self.reactor.hand_over(Job::Hash(whose, Part { handle, offset, len }));
            }
            Some(Ok(handle)) => self.reactor.hand_over(Job::Read(whose, Part { handle, offset, len })),
            Some(Err(error)) => self.answer(Answer::FileFailed { file, op, offset, error }),
            None => {}
        }
    }
}

impl Reactor {
    /// Gives the helper something to do. Without one, the loop has to wait for the disk itself.
    pub(super) fn hand_over(&mut self, job: Job) {
        if self.helper.is_none() {
            let started = Helper::start(&self.waker);
            self.helper = started.inspect_err(|error| warn!("helper not started error=\"{error}\"")).ok();
        }
        let Some(helper) = &mut self.helper else {
            let mut errands = Errands::default();
            errands.add(job);
            while !errands.is_empty() {
                errands.turn().into_iter().for_each(|done| self.on_done(done));
            }
            return;
        };
        helper.give(job);
    }

    /// The helper has done something: what the machine is told of it.
    pub(super) fn on_done(&mut self, done: Done) {
        match done {
            Done::LetGo(files) => self.letting_go.on_gone(files),
            Done::Derived(machine, job, key) => {
                self.answers.push_back((machine, Answer::Derived { job, key }));
            }
            Done::Surveyed(machine, result) => {
                let answer = match self.end_survey(machine, result) {
                    Ok(surveyed) => Answer::Surveyed(surveyed),
                    Err(error) => Answer::SurveyFailed { error },
                };
                self.answers.push_back((machine, answer));
            }
            Done::Finish(whose, _)
            | Done::Read(whose, ..)
            | Done::Hash(whose, ..)
            | Done::Forgotten(whose)
            | Done::Reserved(whose, _) => self.on_file_done(whose, done),
        }
    }

    fn on_file_done(&mut self, (machine, file): Whose, done: Done) {
        let disk = &mut self.seats[machine].disk;
        let wanted = match done {
            Done::Finish(..) | Done::Reserved(..) => true,
            _ => disk.end_read(file),
        };
        let failed = |op, offset, error| Answer::FileFailed { file, op, offset, error };
        let answer = match done {
            Done::Finish(_, outcome) => match disk.on_finished(file, outcome) {
                Ok(moved) => Answer::Finished { file, moved },
                Err(error) => failed(FileOp::Finish, 0, error),
            },
            Done::Read(_, offset, Ok(bytes)) => Answer::Read { file, offset, bytes },
            Done::Read(_, offset, Err(error)) => {
                failed(FileOp::Read, offset, disk.read_failed(file, FileOp::Read, &error))
            }
            Done::Hash(_, offset, Ok(hash)) => Answer::Hashed { file, offset, hash },
            Done::Hash(_, offset, Err(error)) => {
                failed(FileOp::Hash, offset, disk.read_failed(file, FileOp::Hash, &error))
            }
            Done::Reserved(_, set_aside) => match disk.on_reserved(file, set_aside) {
                Some(Ok(bytes)) => Answer::FileReady { file, bytes, moved: None },
                Some(Err(error)) => failed(FileOp::Open, 0, error),
                None => return,
            },
            Done::Forgotten(_) | Done::Derived(..) | Done::Surveyed(..) | Done::LetGo(_) => return,
        };
        if wanted {
            self.answers.push_back((machine, answer));
        }
        self.let_go(machine);
    }

    /// The link has output, which will go out at the end of the turn.
    pub(super) fn mark_dirty(&mut self, id: LinkId) {
        if let Some(link) = self.links.get_mut(id)
            && !link.news.full
            && !std::mem::replace(&mut link.news.dirty, true)
        {
            self.dirty.push(id);
        }
    }

    fn listen(&mut self, machine: usize, addr: SocketAddr) -> io::Result<SocketAddr> {
        let same = |listener: &std::net::TcpListener| listener.local_addr().is_ok_and(|local| local == addr);
        let mut listener = match self.inherited.iter().position(same) {
            Some(place) => Listener::from_std(self.inherited.remove(place), machine)?,
            None => Listener::bind(addr, machine)?,
        };
        let source = Source::Listener(self.listeners.len() as u32);
        self.poll.registry().register(&mut listener.socket, source.token(), Interest::READABLE)?;
        let local = listener.local;
        self.listeners.push(Some(listener));
        Ok(local)
    }

    fn dial(&mut self, machine: usize, dial: DialId, addr: SocketAddr) -> io::Result<()> {
        if self.links.len() >= self.links_max {
            return Err(io::Error::new(ErrorKind::ResourceBusy, "too many links"));
        }
        let link = self.register(dialer::begin(addr)?, machine, State::Connecting { dial })?;
        self.dials.push_back((self.clock.mono() + DIAL_TIMEOUT, link));
        Ok(())
    }

    /// Puts a connection into the table, and asks for its events once and for all.
    pub(super) fn register(
        &mut self,
        mut stream: TcpStream,
        machine: usize,
        state: State,
    ) -> io::Result<LinkId> {
        let token = Source::Link(self.links.next_id()).token();
        self.poll.registry().register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(self.links.insert(Link::new(stream, machine, state)))
    }
}
