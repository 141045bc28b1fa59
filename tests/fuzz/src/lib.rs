//! A driver that a fuzzer steers: bytes say what happens next to a machine. Whether the machine
//! keeps its side of the contract is checked after each step. Knows no role.

pub mod talkers;
pub mod uploads;

use std::collections::{BTreeSet, VecDeque};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use tickmesh::proto::accounts::{SaltedPassword, Verifier};
use tickmesh::proto::ids::{DialId, FileId, LinkId};
use tickmesh::proto::machine::{
    Change, DownReason, DriverFigures, Effect, FileOp, Input, Load, Machine, Mail, OpenMode, Origin, Os, Row, Secret,
};
use tickmesh::proto::time::{Mono, Now, Wall};

/// Links that are up at once.
const LINKS: usize = 4;
/// After this time at the end, with nothing else happening, every machine has exited.
const END_TIMEOUT: Duration = Duration::from_secs(120);

/// Something that the disk has to answer.
struct Asked {
    file: FileId,
    op: FileOp,
    offset: u64,
    /// What is found, if a file is opened.
    found: Option<u64>,
}

/// What every file consists of that is there from the beginning: those below `own/`.
const CONTENT: &[u8] = b"abc";

/// Something that the store or the thread that hashes has to answer.
enum Order {
    Store { batch: u64, changes: Vec<Change<'static>> },
    Load(Load),
    Derive { job: u64 },
    Measure,
}

/// Who has an account from the beginning; any password is right.
const USERS: [&str; 2] = ["u", "v"];
/// What every password becomes.
pub const KEY: [u8; 32] = [7; 32];

#[derive(Default)]
struct Hand {
    closed: Vec<LinkId>,
    dials: Vec<DialId>,
    listens: Vec<SocketAddr>,
    asked: VecDeque<Asked>,
    orders: VecDeque<Order>,
    mail: Vec<Mail<'static>>,
    released: BTreeSet<FileId>,
    /// The last key that was dealt out.
    key: String,
    exited: bool,
}

impl Os for Hand {
    fn perform(&mut self, effect: Effect<'_>) {
        assert!(!self.exited, "{effect:?} after the end");
        match effect {
            Effect::Send { bytes, .. } => {
                let text = std::str::from_utf8(bytes).unwrap_or_default();
                for verb in ["OK JOIN ", "OK HELLO "] {
                    let line = text.rsplit(verb).next().filter(|_| text.contains(verb));
                    let key = line.and_then(|line| line.split([' ', '\n']).nth(1));
                    if let Some(key) = key.filter(|key| key.len() == 32) {
                        self.key = key.to_owned();
                    }
                }
            }
            Effect::Close { link, .. } => self.closed.push(link),
            Effect::Dial { dial, .. } => self.dials.push(dial),
            Effect::Listen { addr } => self.listens.push(addr),
            Effect::Open { file, path, mode, .. } => {
                let found = match mode {
                    OpenMode::Existing => path.starts_with("own/").then_some(CONTENT.len() as u64),
                    OpenMode::Named | OpenMode::Partial | OpenMode::Resume { .. } | OpenMode::Fresh { .. } => Some(0),
                };
                self.asked.push_back(Asked { file, op: FileOp::Open, offset: 0, found });
            }
            Effect::Hash { file, offset, .. } => self.ask(file, FileOp::Hash, offset),
            Effect::Read { file, offset, .. } => self.ask(file, FileOp::Read, offset),
            Effect::SetAside { file, .. } => self.ask(file, FileOp::SetAside, 0),
            Effect::Append { file, .. } => self.ask(file, FileOp::Append, 0),
            Effect::Finish { file } => self.ask(file, FileOp::Finish, 0),
            Effect::WriteAt { file, offset, .. } => self.ask(file, FileOp::WriteAt, offset),
            Effect::Release { file } => drop(self.released.insert(file)),
            Effect::Store { batch, changes } => {
                let changes = changes.iter().cloned().map(Change::into_owned).collect();
                self.orders.push_back(Order::Store { batch, changes });
            }
            Effect::Load { load } => self.orders.push_back(Order::Load(load)),
            Effect::Derive { job, .. } => self.orders.push_back(Order::Derive { job }),
            Effect::SendFile { .. } | Effect::Hold { .. } | Effect::Shut { .. } | Effect::PauseReading { .. } | Effect::ResumeReading { .. } | Effect::Present { .. } | Effect::Survey { .. } => {}
            Effect::Reset { link, .. } => self.closed.push(link),
            Effect::Measure => self.orders.push_back(Order::Measure),
            Effect::Exit => self.exited = true,
        }
    }
}

impl Hand {
    fn ask(&mut self, file: FileId, op: FileOp, offset: u64) {
        self.asked.push_back(Asked { file, op, offset, found: Some(0) });
    }
}

impl Hand {
    fn keep(&mut self, change: Change<'static>) {
        match change {
            Change::PutMail(mail) => self.mail.push(mail),
            Change::RemoveMail { to, first, last } => {
                self.mail.retain(|mail| mail.to != to || !(first..=last).contains(&mail.number));
            }
            _ => {}
        }
    }

    fn rows(&self, load: Load) -> Vec<Row<'static>> {
        match load {
            Load::Book => USERS.iter().map(|name| account(name)).collect(),
            Load::Mail { to, after, rows_max } => {
                let mut waiting: Vec<&Mail<'_>> =
                    self.mail.iter().filter(|mail| mail.to == to && mail.number > after).collect();
                waiting.sort_by_key(|mail| mail.number);
                waiting.into_iter().take(rows_max as usize).cloned().map(Row::Mail).collect()
            }
            Load::Accounts { .. } | Load::Ties { .. } | Load::Logins { .. } => Vec::new(),
        }
    }
}

fn account(name: &str) -> Row<'static> {
    let name = name.parse().expect("a name");
    let verifier = Verifier::new(&SaltedPassword::from_key(KEY), [1; 16], 4096).to_string().into();
    Row::Account { name, verifier, mail_last: 0, mail_count: 0, mail_bytes: 0, login: None }
}

struct Link {
    id: LinkId,
    blocked: bool,
}

/// A machine and the little that happens around it.
pub struct Driver<M> {
    machine: M,
    hand: Hand,
    now: Now,
    links: [Option<Link>; LINKS],
    links_made: u32,
    /// What the bytes from 0x81 on stand for; 0x80 is the last key.
    words: &'static [&'static str],
    disk_is_full: bool,
    network_is_down: bool,
}

impl<M: Machine> Driver<M> {
    /// Runs a machine as `data` says, until it ends or is asked to.
    pub fn play(machine: M, words: &'static [&'static str], mut data: &[u8]) {
        let now = Now { mono: Mono(0), wall: Wall(1_795_230_780_000_000_000) };
        let hand = Hand::default();
        let links = [const { None }; LINKS];
        let mut driver = Driver {
            machine,
            hand,
            now,
            links,
            links_made: 0,
            words,
            disk_is_full: false,
            network_is_down: false,
        };
        driver.input(Input::Start);
        while let [what, more, len, rest @ ..] = data {
            let (payload, rest) = rest.split_at(usize::from(*len).min(rest.len()));
            data = rest;
            driver.step(*what, *more, payload);
            if driver.hand.exited {
                return;
            }
        }
        (driver.disk_is_full, driver.network_is_down) = (false, false);
        driver.input(Input::Shutdown);
        driver.elapse(END_TIMEOUT);
        assert!(driver.hand.exited, "it never ends");
    }

    /// One step: `what` happens to the link at one of the places, after some time.
    fn step(&mut self, what: u8, more: u8, payload: &[u8]) {
        let place = usize::from(what) % LINKS;
        self.elapse(Duration::from_millis(u64::from(more)));
        if self.hand.exited {
            return;
        }
        match what / LINKS as u8 {
            0 => self.down(place),
            1 => self.block(place),
            2 => self.disk_is_full ^= true,
            3 => self.network_is_down ^= true,
            4 => self.elapse(Duration::from_secs(u64::from(more % 64))),
            5 => self.now.wall.0 = self.now.wall.0.wrapping_add(u64::from(more) << 24) - (64 << 24),
            6 if more == 6 => self.input(Input::Shutdown),
            6 if more == 7 => self.input(Input::Reload),
            6 if more == 8 => self.input(Input::Report),
            7 => self.typed(more, payload),
            _ => self.receive(place, payload),
        }
    }

    fn down(&mut self, place: usize) {
        if let Some(link) = self.links[place].take() {
            self.input(Input::LinkDown { link: link.id, reason: DownReason::Reset });
        }
    }

    fn block(&mut self, place: usize) {
        let Some(link) = &mut self.links[place] else { return };
        link.blocked = !link.blocked;
        let (link, blocked) = (link.id, link.blocked);
        self.input(if blocked { Input::Blocked { link } } else { Input::Drained { link } });
    }

    /// A user types, or types no more.
    fn typed(&mut self, more: u8, payload: &[u8]) {
        let bytes = self.spell(payload);
        self.input(if more == 7 { Input::TypedEnd } else { Input::Typed { bytes: &bytes } });
    }

    fn spell(&self, payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for byte in payload {
            match byte.checked_sub(0x80).map(usize::from) {
                Some(0) => bytes.extend_from_slice(self.hand.key.as_bytes()),
                Some(word) if word <= self.words.len() => {
                    bytes.extend_from_slice(self.words[word - 1].as_bytes())
                }
                _ => bytes.push(*byte),
            }
        }
        bytes
    }

    fn receive(&mut self, place: usize, payload: &[u8]) {
        let bytes = self.spell(payload);
        let link = match &self.links[place] {
            Some(link) => Some(link.id),
            None => self.up(place, Origin::Accepted),
        };
        if let Some(link) = link {
            self.input(Input::Received { link, bytes: &bytes, at: self.now.wall });
        }
    }

    /// A new link; `None` if the machine closed it at once.
    fn up(&mut self, place: usize, origin: Origin) -> Option<LinkId> {
        self.links_made += 1;
        let link = LinkId { index: place as u32, generation: self.links_made };
        self.links[place] = Some(Link { id: link, blocked: false });
        // A password is typed on the same host only.
        let remote = if place < 2 { "127.0.0.1:40000" } else { "10.0.0.2:40000" };
        let (local, remote) = ("10.0.0.1:5555".parse().unwrap(), remote.parse().unwrap());
        self.input(Input::LinkUp { link, origin, local, remote });
        self.links[place].as_ref().map(|link| link.id)
    }

    fn input(&mut self, input: Input<'_>) {
        self.machine.handle_input(input, self.now, &mut self.hand);
        self.settle();
    }

    /// Answers what the machine asked for.
    fn settle(&mut self) {
        self.machine.check_invariants();
        for closed in std::mem::take(&mut self.hand.closed) {
            self.links.iter_mut().for_each(|link| drop(link.take_if(|link| link.id == closed)));
        }
        if self.hand.exited {
            return;
        }
        if let Some(addr) = self.hand.listens.pop() {
            return self.input(Input::Listening { addr: SocketAddr::new(addr.ip(), 40000) });
        }
        if let Some(dial) = self.hand.dials.pop() {
            match self.links.iter().position(|link| link.is_none()).filter(|_| !self.network_is_down) {
                Some(place) => drop(self.up(place, Origin::Dialed(dial))),
                None => self.input(Input::DialFailed { dial, error: ErrorKind::ConnectionRefused }),
            }
            return self.settle();
        }
        if let Some(order) = self.hand.orders.pop_front() {
            return self.carry_out(order);
        }
        if let Some(Asked { file, op, offset, found }) = self.hand.asked.pop_front() {
            match op {
                _ if self.hand.released.contains(&file) => self.settle(),
                op if self.disk_is_full => {
                    self.input(Input::FileFailed { file, op, offset, error: ErrorKind::StorageFull })
                }
                FileOp::Open | FileOp::SetAside => match found {
                    Some(bytes) => self.input(Input::FileReady { file, bytes, moved: None }),
                    None => self.input(Input::FileFailed { file, op, offset, error: ErrorKind::NotFound }),
                },
                FileOp::Hash => {
                    let hash = blake3::hash(CONTENT);
                    self.input(Input::Hashed { file, offset, hash });
                }
                FileOp::Read => self.input(Input::Read { file, offset, bytes: CONTENT }),
                FileOp::Append => self.input(Input::Appended { file }),
                FileOp::WriteAt => self.settle(),
                FileOp::Finish => self.input(Input::Finished { file, moved: None }),
            }
        }
    }

    fn carry_out(&mut self, order: Order) {
        let error = ErrorKind::StorageFull;
        match order {
            Order::Derive { job } => self.input(Input::Derived { job, key: Secret(KEY) }),
            Order::Store { batch, .. } if self.disk_is_full => {
                self.input(Input::StoreFailed { batch, error })
            }
            Order::Load(load) if self.disk_is_full => self.input(Input::LoadFailed { load, error }),
            Order::Store { batch, changes } => {
                changes.into_iter().for_each(|change| self.hand.keep(change));
                self.input(Input::Stored { batch });
            }
            Order::Measure => self.input(Input::Measured { driver: &DriverFigures::default(), others: &[] }),
            Order::Load(load) => {
                for row in self.hand.rows(load) {
                    self.machine.handle_input(Input::Row { row }, self.now, &mut self.hand);
                }
                // Nobody else changes what is kept.
                let version = u64::from(matches!(load, Load::Book | Load::Accounts { .. }));
                self.input(Input::Loaded { load, version });
            }
        }
    }

    fn elapse(&mut self, time: Duration) {
        let end = self.now.mono + time;
        while let Some(due) = self.machine.poll_timeout().filter(|due| *due <= end && !self.hand.exited) {
            self.go_to(due);
            self.machine.handle_timeout(self.now, &mut self.hand);
            let next = self.machine.poll_timeout();
            assert!(next.is_none_or(|next| next > self.now.mono), "{next:?} is not after {:?}", self.now);
            self.settle();
        }
        self.go_to(end);
    }

    fn go_to(&mut self, mono: Mono) {
        let passed = mono.since_ns(self.now.mono);
        self.now.wall.0 += passed;
        self.now.mono.0 += passed;
    }
}
