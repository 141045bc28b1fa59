//! Thirty users at client machines for a while, with everything that they can do, while the server and their programs
//! are killed, hosts lose their power, links are cut, and the server's store fails. A model of the rules checks each
//! thing that is shown. Every seed is replayed by its number.
//!
//! What the model knows of blocks and of what is kept it has from the server's own order (`common::tap`), so nothing is
//! let pass because a block is under way. It was seen to find each of these, put into the code by hand: a message that is
//! not sent, is sent to somebody else, or to somebody who has blocked its sender (when it is said, or when mail is read back); mail
//! of others that is passed over because of a block; one that is shown twice; one that is acknowledged before it
//! was shown; one that does not become mail when its link breaks; a broadcast that comes back.

mod common;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use common::console::{Console, add_accounts};
use common::tap::{Tapped, Told, told};
use common::town::{Town, new_server};
use tickmesh::proto::ids::Name;
use tickmesh::proto::machine::Change;
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
    /// Its sender was told that it is on its way or kept, and may count on it.
    promised: bool,
    /// The server has sent it to whom it is for.
    given: bool,
    /// The store has it: it may not be lost with the server.
    kept: bool,
    /// It was read back while its sender was blocked, or the store refused it when it was to become mail.
    excused: bool,
}

/// A command that is not answered yet.
#[derive(Clone, Debug)]
enum Typed {
    Say(usize),
    Block,
    Unblock,
    Logout,
    Stop(usize),
    Other(&'static str),
}

/// What the store was asked to do.
#[derive(Default)]
struct Batch {
    /// Mail, by its text.
    mail: Vec<usize>,
    /// A block as it was before.
    block: Option<((usize, usize), bool)>,
}

struct Thirty {
    town: Town,
    rng: Rng,
    users: Vec<Console>,
    typed: Vec<VecDeque<Typed>>,
    said: Vec<Said>,
    /// Who has blocked whom, as the server has it at this moment of what it has told.
    blocks: BTreeSet<(usize, usize)>,
    /// What the store has not answered.
    batches: BTreeMap<u64, Batch>,
    followed: usize,
    /// The last text that was shown of one to another, by kind.
    last: BTreeMap<(usize, usize, u8), usize>,
    /// With whom each has a private link, as it was told.
    open: Vec<BTreeSet<usize>>,
    server_lives: u8,
    cuts: Vec<(usize, u32)>,
    store_mended_at: u32,
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
        let mut town = Town::with(seed, |addr| Box::new(Tapped::new(new_server(addr, 0))));
        let rng = Rng::new(seed ^ 0x30);
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
            blocks: BTreeSet::new(),
            batches: BTreeMap::new(),
            followed: 0,
            last: BTreeMap::new(),
            open: vec![BTreeSet::new(); USERS],
            server_lives: 0,
            cuts: Vec::new(),
            store_mended_at: 0,
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

    /// Everybody reads what is new: what was shown first, for an answer may say so. The server has sent it before.
    fn look(&mut self) {
        self.follow();
        let news: Vec<Vec<News>> = self.users.iter_mut().map(|user| user.news(&self.town.world)).collect();
        let is_answer = |news: &News| matches!(news, News::Answer { .. });
        for answers in [false, true] {
            for (user, news) in news.iter().enumerate() {
                news.iter().filter(|news| is_answer(news) == answers).for_each(|news| self.check(user, news));
            }
        }
    }

    // --- The server's order -------------------------------------------------------------------

    fn follow(&mut self) {
        let told = told(&self.town.world, self.town.server, self.followed);
        self.followed += told.len();
        for told in told {
            match told {
                Told::Sent { to, line } => self.on_sent(number_of(&to), &line),
                Told::Stores { batch, changes } => self.on_stores(batch, &changes),
                Told::Stored { batch, is_kept } => self.on_stored(batch, is_kept),
                Told::Mail { to, from, text } => {
                    let is_blocked = self.blocks.contains(&(number_of(&to), number_of(&from)));
                    self.said[text.parse::<usize>().unwrap()].excused |= is_blocked;
                }
                Told::Block { user, other } => {
                    self.blocks.insert((number_of(&user), number_of(&other)));
                }
            }
        }
    }

    fn on_sent(&mut self, to: usize, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        let (kind, from, text) = match words[..] {
            ["MAIL", _, _, from, text] => (Kind::Message, from, text),
            ["BROADCAST", from, text] => (Kind::Broadcast, from, text),
            _ => return,
        };
        let (from, number) = (number_of(&from.parse().unwrap()), text.parse::<usize>().unwrap());
        assert!(!self.blocks.contains(&(to, from)), "{number} goes to user{to}, who blocks user{from}");
        let said = &mut self.said[number];
        assert!((said.from, said.kind) == (from, kind) && (kind == Kind::Broadcast || said.to == to));
        said.given = true;
    }

    fn on_stores(&mut self, batch: u64, changes: &[Change<'_>]) {
        let mut asked = Batch::default();
        for change in changes {
            match change {
                Change::PutMail(mail) => {
                    let number = mail.text.parse::<usize>().unwrap();
                    let said = &self.said[number];
                    let is_blocked = self.blocks.contains(&(said.to, said.from));
                    assert!(said.given || !is_blocked, "{number} is kept for somebody who blocks");
                    asked.mail.push(number);
                }
                Change::PutBlock { user, other } => {
                    let pair = (number_of(user), number_of(other));
                    asked.block = Some((pair, !self.blocks.insert(pair)));
                }
                Change::RemoveBlock { user, other } => {
                    let pair = (number_of(user), number_of(other));
                    asked.block = Some((pair, self.blocks.remove(&pair)));
                }
                _ => {}
            }
        }
        self.batches.insert(batch, asked);
    }

    fn on_stored(&mut self, batch: u64, is_kept: bool) {
        let Batch { mail, block } = self.batches.remove(&batch).unwrap();
        for number in mail {
            let said = &mut self.said[number];
            said.kept |= is_kept;
            // One that was on its way and was to become mail is lost with the disk.
            said.excused |= !is_kept && said.given;
        }
        match block.filter(|_| !is_kept) {
            Some((pair, true)) => drop(self.blocks.insert(pair)),
            Some((pair, false)) => drop(self.blocks.remove(&pair)),
            None => {}
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
        assert!(said.given || kind == Kind::Private, "{number} did not come from the server");
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
                        assert!(said.kept || how == "delivered" && said.given, "{number} is nowhere: {how}");
                        said.promised = true;
                    }
                    (Kind::Private, Ok(_)) => {
                        assert!(said.shown_to.contains(&said.to), "{number} was not shown");
                    }
                    _ => {}
                }
            }
            Typed::Block => assert_eq!(verb, "block"),
            Typed::Unblock => assert_eq!(verb, "unblock"),
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
        let shown_to = BTreeSet::new();
        let (promised, given, kept, excused) = (false, false, false, false);
        self.said.push(Said { from: user, to, kind, shown_to, promised, given, kept, excused });
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
            69..=72 => self.types(user, Typed::Block, &format!("block user{other}")),
            73..=77 => self.types(user, Typed::Unblock, &format!("unblock user{other}")),
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
        let node = self.users[user].node;
        match self.rng.chance(0.3) {
            true => self.town.world.power_loss(node),
            false => self.town.world.crash(node),
        }
        self.typed[user].clear();
        self.open[user].clear();
    }

    fn crash_server(&mut self) {
        self.look();
        match self.rng.chance(0.3) {
            true => {
                self.town.world.power_loss(self.town.server_node);
                self.recall_kept();
            }
            false => self.town.world.crash(self.town.server_node),
        }
        // What it has said to others may still be on its way.
        self.pass(1000);
        for said in &mut self.said {
            // What was only in its memory is gone with it.
            said.promised &= said.kept || said.shown_to.contains(&said.to);
        }
        self.blocks.clear();
        self.batches.clear();
        self.followed = 0;
        self.server_lives += 1;
        let server = Tapped::new(new_server(self.town.addr, self.server_lives));
        self.town.server = self.town.world.start(self.town.server_node, Box::new(server));
    }

    /// The store has lost its last changes with the power: what is kept is what it has now.
    fn recall_kept(&mut self) {
        let store = self.town.world.store_mut(self.town.server_node);
        let mail = (0..USERS).flat_map(|user| store.mail_of(user_name(user).parse().unwrap()));
        let kept: BTreeSet<usize> = mail.map(|mail| mail.text.parse().unwrap()).collect();
        for (number, said) in self.said.iter_mut().enumerate() {
            said.kept &= kept.contains(&number);
        }
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
            15..=16 => {
                self.town.world.partition(node, server);
                self.cuts.push((user, self.step + self.rng.below(30) as u32));
            }
            17 => {
                let error = self.rng.chance(0.5).then_some(ErrorKind::StorageFull);
                self.town.world.store_mut(server).fail(Some(error.unwrap_or(ErrorKind::ResourceBusy)));
                self.store_mended_at = self.step + self.rng.below(10) as u32;
            }
            // Nothing is taken from the program, as from a terminal that was stopped.
            18 => self.users[user].turn(&mut self.town.world, false),
            _ => (0..USERS).for_each(|user| self.start(user)),
        }
    }

    fn look_again(&mut self, user: usize) {
        self.users[user].turn(&mut self.town.world, true);
    }

    fn mend(&mut self, is_end: bool) {
        if is_end || self.store_mended_at <= self.step {
            self.town.world.store_mut(self.town.server_node).fail(None);
        }
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
            self.look_again(user);
        }
        let millis = self.rng.below(200);
        self.pass(millis);
    }

    fn finish(&mut self) {
        self.mend(true);
        (0..USERS).for_each(|user| self.look_again(user));
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
            let is_there = said.shown_to.contains(&said.to) || said.excused;
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
