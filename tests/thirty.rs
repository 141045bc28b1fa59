//! Thirty users at client machines for a while, with everything that they can do, while the server and their programs
//! are killed and links are cut. A model of the rules checks each thing that is shown. Every seed is replayed by its number.

mod common;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use common::console::{Console, add_accounts};
use common::town::{Town, server_machine};
use tickmesh::proto::ids::Name;
use tickmesh::proto::peer::News;
use tickmesh::proto::wire::ErrorCode;
use tickmesh::sim::Rng;

const SEEDS: u64 = 256;
const STEPS: u32 = 200;
const USERS: usize = 30;
/// They talk with a few others most of the time, so that much happens between two.
const FRIENDS: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Message,
    Broadcast,
    Private,
}

/// Something that was said.
struct Said {
    from: usize,
    /// To whom; of no meaning for a broadcast.
    to: usize,
    kind: Kind,
    shown_to: BTreeSet<usize>,
    /// Its sender may count on it, also if the server dies now if it is kept.
    promised: bool,
    kept: bool,
    /// These had blocked the sender for certain when it was said.
    blocked_by: BTreeSet<usize>,
}

/// A command that is not answered yet.
#[derive(Clone, Debug)]
enum Typed {
    Say(usize),
    Block(usize),
    Unblock(usize),
    Logout,
    Stop(usize),
    Other(&'static str),
}

/// What is certain of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Block {
    Off,
    On,
    Unsure,
}

struct Thirty {
    town: Town,
    rng: Rng,
    users: Vec<Console>,
    typed: Vec<VecDeque<Typed>>,
    said: Vec<Said>,
    blocks: BTreeMap<(usize, usize), Block>,
    /// The last text that was shown of one to another, by kind.
    last: BTreeMap<(usize, usize, u8), usize>,
    /// With whom each has a private link, as it was told.
    open: Vec<BTreeSet<usize>>,
    server_lives: u8,
    cuts: Vec<(usize, u32)>,
    step: u32,
    answers: u64,
}

fn user_name(user: usize) -> String {
    format!("user{user}")
}

fn number_of(name: &Name) -> usize {
    name.as_str().strip_prefix("user").unwrap().parse().unwrap()
}

impl Thirty {
    fn new(seed: u64) -> Thirty {
        let (mut town, rng) = (Town::new(seed), Rng::new(seed ^ 0x30));
        let names: Vec<String> = (0..USERS).map(user_name).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        add_accounts(&mut town.world, town.server_node, &names);
        town.world.run_for(Duration::from_secs(2));
        let users: Vec<Console> = names.iter().map(|name| Console::new(&mut town, name)).collect();
        for (user, console) in users.iter().enumerate().take(FRIENDS) {
            let content = format!("the file of user{user}");
            town.world.disk_mut(console.node).write(&format!("f{user}"), content.as_bytes());
        }
        let mut thirty = Thirty {
            town,
            rng,
            users,
            typed: vec![VecDeque::new(); USERS],
            said: Vec::new(),
            blocks: BTreeMap::new(),
            last: BTreeMap::new(),
            open: vec![BTreeSet::new(); USERS],
            server_lives: 0,
            cuts: Vec::new(),
            step: 0,
            answers: 0,
        };
        thirty.pass(1000);
        thirty
    }

    fn pass(&mut self, millis: u64) {
        self.town.world.run_for(Duration::from_millis(millis));
        self.look();
    }

    /// Everybody reads what is new: what was shown first, for an answer may say so.
    fn look(&mut self) {
        let news: Vec<Vec<News>> = self.users.iter_mut().map(|user| user.news(&self.town.world)).collect();
        let is_answer = |news: &News| matches!(news, News::Answer { .. });
        for answers in [false, true] {
            for (user, news) in news.iter().enumerate() {
                news.iter().filter(|news| is_answer(news) == answers).for_each(|news| self.check(user, news));
            }
        }
    }

    // --- The model ----------------------------------------------------------------------------

    fn check(&mut self, user: usize, news: &News) {
        match news {
            News::Message { from, text, .. } => self.on_shown(user, Kind::Message, from, text),
            News::Broadcast { from, text } => self.on_shown(user, Kind::Broadcast, from, text),
            News::Private { from, text } => self.on_shown(user, Kind::Private, from, text),
            News::PrivateOpen { with } => {
                let is_news = self.open[user].insert(number_of(with));
                assert!(is_news, "user{user} was told twice of {with}");
            }
            News::PrivateClosed { with, .. } => {
                assert!(self.open[user].remove(&number_of(with)), "user{user} had none with {with}");
            }
            News::Online { name } | News::Offline { name } => assert_ne!(number_of(name), user),
            News::Answer { verb, result } => self.on_answer(user, verb, result),
            News::LoginRefused { code, text } => {
                // The server has not noticed yet that the life before is over.
                assert_eq!(*code, ErrorCode::AlreadyOnline, "{text}");
            }
            News::File { status } if status.trouble.is_none() => {
                let owner: usize = status.name[1..].parse().unwrap();
                let content = self.town.world.disk(self.users[user].node).read(&status.name);
                assert_eq!(content, Some(format!("the file of user{owner}").as_bytes()));
            }
            _ => {}
        }
    }

    fn on_shown(&mut self, user: usize, kind: Kind, from: &Name, text: &str) {
        let number: usize = text.parse().unwrap();
        let (from, said) = (number_of(from), &mut self.said[number]);
        assert_eq!((from, kind), (said.from, said.kind), "{number} is of somebody else");
        assert!(kind == Kind::Broadcast || said.to == user, "{number} was shown to user{user}");
        assert_ne!(from, user, "{number} came back to its sender");
        assert!(said.shown_to.insert(user), "{number} was shown twice to user{user}");
        assert!(!said.blocked_by.contains(&user), "{number} of a blocked user was shown to user{user}");
        let last = self.last.insert((from, user, kind as u8), number);
        assert!(last.is_none_or(|last| last < number), "{number} after {last:?} at user{user}");
    }

    fn on_answer(&mut self, user: usize, verb: &str, result: &Result<String, (ErrorCode, String)>) {
        self.answers += 1;
        let typed =
            self.typed[user].pop_front().unwrap_or_else(|| panic!("{verb} {result:?} answers nothing"));
        match typed {
            Typed::Say(number) => {
                let said = &mut self.said[number];
                let expected = ["message", "broadcast", "private"][said.kind as usize];
                assert_eq!(verb, expected);
                match (said.kind, result) {
                    (Kind::Message, Ok(how)) => {
                        assert!(said.blocked_by.is_empty(), "{number} went to somebody who blocks");
                        (said.promised, said.kept) = (true, how == "kept");
                    }
                    (Kind::Private, Ok(_)) => {
                        assert!(said.shown_to.contains(&said.to), "{number} was not shown");
                    }
                    _ => {}
                }
            }
            Typed::Block(other) | Typed::Unblock(other) => {
                let is_block = matches!(typed, Typed::Block(_));
                assert_eq!(verb, if is_block { "block" } else { "unblock" });
                let state = match (result, is_block) {
                    (Ok(_) | Err((ErrorCode::AlreadyBlocked, _)), true) => Block::On,
                    (Ok(_) | Err((ErrorCode::NotBlocked, _)), false) => Block::Off,
                    _ => Block::Unsure,
                };
                self.blocks.insert((user, other), state);
            }
            Typed::Logout => assert_eq!(verb, "logout"),
            Typed::Stop(other) => {
                assert_eq!(verb, "stopprivate");
                if result.is_ok() {
                    self.open[user].remove(&other);
                }
            }
            Typed::Other(expected) => assert_eq!(verb, expected, "{result:?}"),
        }
    }

    // --- What users do ------------------------------------------------------------------------

    fn types(&mut self, user: usize, typed: Typed, line: &str) {
        if self.town.world.is_running(self.users[user].machine) {
            self.typed[user].push_back(typed);
            self.users[user].types(&mut self.town, line);
        }
    }

    fn say(&mut self, user: usize, to: usize, kind: Kind) {
        if !self.town.world.is_running(self.users[user].machine) {
            return;
        }
        let number = self.said.len();
        let is_sure = |by: usize| self.blocks.get(&(by, user)) == Some(&Block::On);
        let blocked_by = match kind {
            Kind::Message => (to..=to).filter(|by| is_sure(*by)).collect(),
            Kind::Broadcast => (0..USERS).filter(|by| is_sure(*by)).collect(),
            // One that is open stays.
            Kind::Private => BTreeSet::new(),
        };
        let shown_to = BTreeSet::new();
        self.said.push(Said { from: user, to, kind, shown_to, promised: false, kept: false, blocked_by });
        let line = match kind {
            Kind::Message if number.is_multiple_of(2) => format!("message user{to} {number}"),
            Kind::Message => format!("%user{to}%{number}"),
            Kind::Broadcast => format!("broadcast {number}"),
            Kind::Private => format!("private user{to} {number}"),
        };
        self.types(user, Typed::Say(number), &line);
    }

    fn somebody(&mut self) -> usize {
        let many = if self.rng.chance(0.7) { FRIENDS } else { USERS };
        self.rng.index(many)
    }

    fn command(&mut self) {
        let (user, other) = (self.somebody(), self.somebody());
        if self.typed[user].len() > 8 {
            return;
        }
        let file = self.rng.index(FRIENDS);
        match self.rng.below(100) {
            0..=34 => {
                for _ in 0..=self.rng.below(3) {
                    self.say(user, other, Kind::Message);
                }
            }
            35..=39 => self.say(user, other, Kind::Broadcast),
            40..=49 => self.types(user, Typed::Other("startprivate"), &format!("startprivate user{other}")),
            50..=64 => {
                let open: Vec<usize> = self.open[user].iter().copied().collect();
                let to = if open.is_empty() { other } else { open[self.rng.index(open.len())] };
                self.say(user, to, Kind::Private);
            }
            65..=68 => self.types(user, Typed::Stop(other), &format!("stopprivate user{other}")),
            69..=72 => {
                self.blocks.insert((user, other), Block::Unsure);
                // What has not come yet may be passed over from now on.
                for said in self.said.iter_mut().filter(|said| (said.from, said.to) == (other, user)) {
                    said.promised &= said.shown_to.contains(&user);
                    said.blocked_by.clear();
                }
                self.types(user, Typed::Block(other), &format!("block user{other}"));
            }
            73..=77 => {
                self.blocks.insert((user, other), Block::Unsure);
                for said in self.said.iter_mut().filter(|said| said.from == other) {
                    said.blocked_by.remove(&user);
                }
                self.types(user, Typed::Unblock(other), &format!("unblock user{other}"));
            }
            78..=80 => self.types(user, Typed::Other("whoelse"), "whoelse"),
            81..=82 => self.types(user, Typed::Other("whoelsesince"), "whoelsesince 60"),
            83..=86 => {
                let owner = self.rng.index(FRIENDS);
                self.types(owner, Typed::Other("register"), &format!("register f{owner} 3"));
            }
            87..=88 => self.types(user, Typed::Other("searchFile"), &format!("searchFile f{file}")),
            89..=90 => self.types(user, Typed::Other("searchChunk"), &format!("searchChunk f{file} 1 3")),
            91..=96 => self.types(user, Typed::Other("download"), &format!("download f{file}")),
            97 => self.types(user, Typed::Other(""), "nonsense"),
            _ => self.types(user, Typed::Logout, "logout"),
        }
    }

    // --- What goes wrong ----------------------------------------------------------------------

    fn crash(&mut self, user: usize) {
        self.look();
        self.town.world.crash(self.users[user].node);
        self.typed[user].clear();
        self.open[user].clear();
    }

    fn crash_server(&mut self) {
        self.look();
        self.town.world.crash(self.town.server_node);
        for said in &mut self.said {
            // What was only in its memory is gone with it.
            said.promised &= said.kept || said.shown_to.contains(&said.to);
        }
        // What is answered from now on was promised by nobody who is alive; the answer may be on its way.
        let before = self.said.len();
        self.pass(1000);
        for said in &mut self.said[..before] {
            said.promised &= said.kept || said.shown_to.contains(&said.to);
        }
        self.server_lives += 1;
        let machine = server_machine(self.town.addr, self.server_lives);
        self.town.world.start(self.town.server_node, machine);
    }

    fn start(&mut self, user: usize) {
        if self.town.world.is_running(self.users[user].machine) {
            return;
        }
        self.look();
        self.typed[user].clear();
        self.open[user].clear();
        self.users[user].start(&mut self.town);
    }

    fn go_wrong(&mut self) {
        let (user, other) = (self.somebody(), self.somebody());
        let (node, server) = (self.users[user].node, self.town.server_node);
        match self.rng.below(20) {
            0..=4 => self.crash(user),
            5 => self.crash_server(),
            6..=10 => self.town.world.reset_links(node, server),
            11..=14 if user != other => self.town.world.reset_links(node, self.users[other].node),
            15..=17 => {
                self.town.world.partition(node, server);
                self.cuts.push((user, self.step + self.rng.below(30) as u32));
            }
            _ => (0..USERS).for_each(|user| self.start(user)),
        }
    }

    fn mend(&mut self, is_end: bool) {
        for (user, until) in std::mem::take(&mut self.cuts) {
            if is_end || until <= self.step {
                self.town.world.heal(self.users[user].node, self.town.server_node);
            } else {
                self.cuts.push((user, until));
            }
        }
    }

    fn step(&mut self) {
        self.step += 1;
        self.mend(false);
        if self.rng.chance(0.1) {
            self.go_wrong()
        } else {
            self.command()
        }
        if self.rng.chance(0.2) {
            let user = self.somebody();
            self.start(user);
        }
        let millis = self.rng.below(200);
        self.pass(millis);
    }

    fn finish(&mut self) {
        self.mend(true);
        for _ in 0..3 {
            self.pass(30_000);
            (0..USERS).for_each(|user| self.start(user));
        }
        self.pass(30_000);
        for user in 0..USERS {
            assert!(self.town.world.is_running(self.users[user].machine), "user{user} is not there");
            assert!(self.typed[user].is_empty(), "user{user} waits for {:?}", self.typed[user]);
        }
        for (number, said) in self.said.iter().enumerate() {
            let is_there = said.shown_to.contains(&said.to);
            assert!(!said.promised || is_there, "{number} was promised to user{}", said.to);
        }
    }
}

/// Runs some of the seeds, and returns how much was said and answered.
fn evenings(seeds: impl Iterator<Item = u64>) {
    let (mut shown, mut private, mut answers) = (0, 0, 0);
    let mut seeds_run = 0;
    for seed in seeds {
        let told = catch_unwind(AssertUnwindSafe(|| {
            let mut thirty = Thirty::new(seed);
            (0..STEPS).for_each(|_| thirty.step());
            thirty.finish();
            let shown = thirty.said.iter().map(|said| said.shown_to.len()).sum::<usize>();
            let private = thirty.said.iter().filter(|said| said.kind == Kind::Private);
            (shown, private.filter(|said| !said.shown_to.is_empty()).count(), thirty.answers)
        }));
        let told = told.unwrap_or_else(|_| panic!("seed {seed}"));
        (shown, private, answers) = (shown + told.0, private + told.1, answers + told.2);
        seeds_run += 1;
    }
    assert!(
        shown > 20 * seeds_run && private > seeds_run && answers > 50 * seeds_run as u64,
        "{shown} {private} {answers}"
    );
}

#[test]
fn what_is_shown_is_what_the_rules_say_in_even_seeds() {
    evenings((0..SEEDS).step_by(2));
}

#[test]
fn what_is_shown_is_what_the_rules_say_in_odd_seeds() {
    evenings((1..SEEDS).step_by(2));
}
