//! The server: the other end of the ticks, and the directory that introduces members to each
//! other. Carries none of their bytes.

mod catalog;
mod chat;
mod directory;
mod door;
mod figures;
mod files;
mod guests;
mod leaving;
mod lines;
mod registry;
mod run;
mod session;
mod status;
mod talk;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use crate::proto::accounts::Accounts;
use crate::proto::chat::{Chat, ChatConfig, Counts, Rate};
use crate::proto::ids::{LinkId, Name};
use crate::proto::machine::{CloseReason, DownReason, Effect, Input, LinkMap, Machine, Os};
use crate::proto::server::catalog::Catalog;
use crate::proto::server::chat::{Awaited, Book, Comings, Doubt, Landings, Logins};
use crate::proto::server::directory::Directory;
use crate::proto::server::door::Door;
use crate::proto::server::figures::Inquiries;
use crate::proto::server::guests::Guests;
use crate::proto::server::registry::Registry;
use crate::proto::server::run::Run;
use crate::proto::server::session::Session;
use crate::proto::time::{Mono, Now};
use crate::proto::wheel::Wheel;
use crate::proto::wire::{Message, Role};

pub use chat::{LetIn, TalkConfig};
pub use door::DoorConfig;
pub use figures::{RATED, per_second};
pub use status::{Limit, ServerStatus};

/// What an operator sets.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Where it listens.
    pub listen: Vec<SocketAddr>,
    /// Offered to members that do not ask for another interval.
    pub interval: Duration,
    /// Offered to members that do not ask for another duration.
    pub duration: Duration,
    /// Makes members' keys; random, and nobody else's.
    pub secret: [u8; 32],
    /// How people may talk to each other.
    pub talk: TalkConfig,
}

/// The server's machine.
#[derive(Debug)]
pub struct Server {
    config: ServerConfig,
    sessions: LinkMap<Session>,
    door: Door,
    directory: Directory,
    guests: Guests,
    catalog: Catalog,
    registry: Registry,
    accounts: Accounts,
    chat: Chat,
    book: Book,
    /// Accounts that may be others than they were, until the store has said what it has of them.
    doubts: BTreeMap<Name, Doubt>,
    landings: Landings,
    comings: Comings,
    /// Batches of changes that the store was asked for, and what follows from those that it has not answered.
    batches: u64,
    awaited: VecDeque<(u64, Awaited)>,
    logins: Logins,
    inquiries: Inquiries,
    /// Octets of hashes that links have announced and not sent yet.
    octets_announced: usize,
    wheel: Wheel<Timer>,
    run: Option<Run>,
    /// Earlier runs whose tables the disk is still at.
    ending: Vec<Run>,
    /// Somebody's part of the run ended before its time.
    run_was_cut: bool,
    /// Until when the runs that have begun would have lasted at the steady rate.
    runs_until: Mono,
    files_opened: u32,
    /// A line that is being encoded.
    scratch: Vec<u8>,
    stage: Stage,
    status: ServerStatus,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Serving,
    Stopping,
    Ended,
}

/// Everything the server waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// A link that has not said who it is.
    Greet(LinkId),
    /// A member whose run is on, and that may have fallen silent.
    Silence(LinkId),
    /// A link that has announced the hashes of a file.
    Octets(LinkId),
    /// Members that were lost with their files, and may be forgotten by now.
    Absent,
    /// Somebody who talks, and may have said nothing for too long.
    Idle(LinkId),
    /// Somebody may say what was held back.
    Turn(LinkId),
    /// Mail for a link that could not be read.
    Mail(LinkId),
    /// Messages that may have come to where they should.
    Landing,
    /// More is to be told of who came and went.
    Comings,
    /// Another program may have changed the accounts.
    Book,
    /// Rows that wait for the disk.
    Flush,
    /// The last lost member cannot come back into its run any more.
    RunEnd,
    /// A lost member is forgotten.
    Forget,
}

impl Server {
    /// A server that has not started.
    pub fn new(config: ServerConfig) -> Server {
        Server {
            directory: Directory::new(config.secret),
            accounts: Accounts::new(config.talk.accounts_secret, config.talk.block_duration),
            chat: Chat::new(ChatConfig { rate: Rate::default(), idle_timeout: config.talk.idle_timeout }),
            book: Book::default(),
            doubts: BTreeMap::new(),
            landings: Landings::default(),
            comings: Comings::default(),
            batches: 0,
            awaited: VecDeque::new(),
            logins: Logins::default(),
            inquiries: Inquiries::default(),
            config,
            guests: Guests::default(),
            catalog: Catalog::default(),
            registry: Registry::default(),
            octets_announced: 0,
            sessions: LinkMap::default(),
            door: Door::default(),
            wheel: Wheel::new(),
            run: None,
            ending: Vec::new(),
            run_was_cut: false,
            runs_until: Mono(0),
            files_opened: 0,
            scratch: Vec::new(),
            stage: Stage::Serving,
            status: ServerStatus::default(),
        }
    }

    /// The same, with other limits of links.
    pub fn with_door(mut self, config: DoorConfig) -> Server {
        self.door = Door::new(config);
        self
    }

    /// What it has come to.
    pub fn status(&self) -> &ServerStatus {
        &self.status
    }

    /// Its tables that do not have their last line yet, or are not yet on disk.
    pub fn tables_open(&self) -> usize {
        self.ending.len() + usize::from(self.run.is_some())
    }

    /// What was said over it.
    pub fn messages(&self) -> &Counts {
        self.chat.counts()
    }

    fn send(&mut self, link: LinkId, message: &Message<'_>, os: &mut dyn Os) {
        self.scratch.clear();
        message.encode(&mut self.scratch);
        os.perform(Effect::Send { link, bytes: &self.scratch });
    }

    fn on_link_up(&mut self, link: LinkId, local: SocketAddr, remote: SocketAddr, now: Now, os: &mut dyn Os) {
        if self.stage != Stage::Serving {
            os.perform(Effect::Close { link, reason: CloseReason::Shutdown });
            return;
        }
        let session = Session::new(local, remote);
        if let Err(limit) = self.door.enter(remote.ip(), session.is_near()) {
            return self.turn_away(link, remote, limit, now, os);
        }
        self.sessions.insert(link, session);
        self.wheel.insert(Timer::Greet(link), now.mono + self.door.config.greet_timeout);
        self.send(link, &Message::greeting(Role::Server), os);
    }

    fn on_link_down(&mut self, link: LinkId, reason: DownReason, now: Now, os: &mut dyn Os) {
        let Some(session) = self.sessions.get(link) else { return };
        match &session.seat {
            Some(seat) => log::info!(
                "member lost group={} id={} from={} why=\"{reason}\"",
                seat.group,
                seat.id,
                session.remote
            ),
            None => log::debug!("link down from={} why=\"{reason}\"", session.remote),
        }
        self.drop_session(link, now, os);
    }

    fn is_serving(&self) -> bool {
        self.stage == Stage::Serving
    }

    fn on_listen_failed(&mut self, addr: SocketAddr, error: ErrorKind, now: Now, os: &mut dyn Os) {
        self.status.listen_failed = Some((addr, error));
        self.stop(now, os);
    }

    fn stop(&mut self, now: Now, os: &mut dyn Os) {
        if self.stage != Stage::Serving {
            return;
        }
        self.stage = Stage::Stopping;
        self.store_logins(os);
        let links: Vec<LinkId> = self.sessions.iter().map(|(link, _)| link).collect();
        if let Some(run) = &mut self.run {
            run.close(now, self.directory.end_runs() | self.run_was_cut, os);
        }
        for link in links {
            self.send(link, &Message::Bye { why: "the server stops" }, os);
            self.close(link, CloseReason::Shutdown, now, os);
        }
    }

    fn exit_when_stopped(&mut self, os: &mut dyn Os) {
        if self.stage == Stage::Stopping && self.run.is_none() && self.ending.is_empty() {
            self.stage = Stage::Ended;
            os.perform(Effect::Exit);
        }
    }

    fn on_timer(&mut self, timer: Timer, now: Now, os: &mut dyn Os) {
        match timer {
            Timer::Greet(link) => self.on_greet_timeout(link, now, os),
            Timer::Silence(link) => self.on_silence_check(link, now, os),
            Timer::Octets(link) => self.on_octets_timeout(link, now, os),
            Timer::Absent => self.on_absent_look(now),
            Timer::Idle(link) => self.on_idle_check(link, now, os),
            Timer::Turn(link) => self.on_turn(link, now, os),
            Timer::Mail(link) => self.on_mail_retry(link, os),
            Timer::Landing => self.on_landing_timer(now, os),
            Timer::Comings => self.on_comings_timer(now, os),
            Timer::Book => self.on_book_timer(now, os),
            Timer::Flush => self.on_flush(now, os),
            Timer::RunEnd => self.end_run_if_over(now, os),
            Timer::Forget => self.on_forget(now),
        }
    }

    /// Tells every member of the group that shares about one of them.
    fn announce(&mut self, group: &Name, about: &Name, now: Now, os: &mut dyn Os) {
        let Some(listed) = self.directory.group(group) else { return };
        for (to, link) in listed.listeners() {
            if let Some(line) = listed.line(about, to, now.mono) {
                self.scratch.clear();
                line.encode(&mut self.scratch);
                os.perform(Effect::Send { link, bytes: &self.scratch });
            }
        }
    }
}

impl Machine for Server {
    fn handle_input(&mut self, input: Input<'_>, now: Now, os: &mut dyn Os) {
        match input {
            Input::Start => {
                self.directory.start(now.mono);
                self.config.listen.iter().for_each(|addr| os.perform(Effect::Listen { addr: *addr }));
                self.open_book(now, os);
            }
            Input::Listening { addr } => {
                log::info!("listening addr={addr}");
                self.status.listening.push(addr);
            }
            Input::ListenFailed { addr, error } => self.on_listen_failed(addr, error, now, os),
            Input::LinkUp { link, local, remote, .. } => self.on_link_up(link, local, remote, now, os),
            Input::Received { link, bytes, at } => self.on_received(link, bytes, at, now, os),
            Input::Blocked { link } => self.set_blocked(link, true, os),
            Input::Drained { link } => {
                self.set_blocked(link, false, os);
                self.on_drained(link, now);
            }
            Input::LinkDown { link, reason } => self.on_link_down(link, reason, now, os),
            Input::FileReady { file, moved, .. } => self.on_file(file, |run| run.on_ready(moved, os)),
            Input::Appended { file } => self.on_appended(file, now, os),
            Input::Finished { file, .. } => {
                self.on_file(file, Run::on_finished);
                os.perform(Effect::Release { file });
            }
            Input::FileFailed { file, op, error, .. } => {
                self.on_file(file, |run| run.on_failed(op, error, os))
            }
            Input::Reload => self.on_reload(now, os),
            Input::Report => self.on_report_wanted(os),
            Input::Measured { driver, others } => self.on_measured(driver, others, now, os),
            Input::Shutdown => self.stop(now, os),
            Input::DialFailed { .. } | Input::Hashed { .. } | Input::Read { .. } => {}
            Input::Typed { .. } | Input::TypedEnd | Input::Presented { .. } => {}
            Input::Ended { .. } | Input::Surveyed { .. } | Input::SurveyFailed { .. } => {}
            Input::Stored { batch } => self.on_stored(batch, Ok(()), now, os),
            Input::StoreFailed { batch, error } => self.on_stored(batch, Err(error), now, os),
            Input::Row { row } => self.on_row(&row, now, os),
            Input::Loaded { load, version } => self.on_loaded(load, version, now, os),
            Input::LoadFailed { load, error } => self.on_load_failed(load, error, now, os),
            Input::Derived { job, key } => self.on_derived(job, key, now, os),
        }
        self.exit_when_stopped(os);
    }

    fn handle_timeout(&mut self, now: Now, os: &mut dyn Os) {
        while let Some((_, timer)) = self.wheel.pop_due(now.mono) {
            self.on_timer(timer, now, os);
        }
        self.exit_when_stopped(os);
    }

    fn poll_timeout(&self) -> Option<Mono> {
        self.wheel.next_deadline()
    }

    fn check_invariants(&self) {
        self.directory.check_invariants();
        for (link, session) in self.sessions.iter() {
            if let Some(seat) = &session.seat {
                let member = self.directory.member(&seat.group, &seat.id);
                assert_eq!(member.and_then(|member| member.link), Some(link), "one link a member");
            }
        }
        let seated = self.sessions.iter().filter(|(_, session)| session.seat.is_some()).count();
        let linked = self.directory.members().filter(|member| member.link.is_some()).count();
        assert_eq!(seated, linked);
        self.door.check_invariants(self.sessions.iter().map(|(_, session)| session.remote.ip()));
        self.check_talk();
        self.check_chat();
    }
}
