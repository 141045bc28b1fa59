//! An evening of six users at a server whose store fails and that crashes, with links that break: each
//! command is answered once and in order, and what was promised comes, in order and once. Every seed is replayed by its number.

mod common;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use common::town::INTERVAL;
use tickmesh::proto::accounts::scram::ClientExchange;
use tickmesh::proto::accounts::{Password, SaltedPassword, Verifier};
use tickmesh::proto::ids::Name;
use tickmesh::proto::machine::Change;
use tickmesh::proto::server::{Server, ServerConfig, TalkConfig};
use tickmesh::sim::{NodeConfig, NodeId, Rng, StrangerId, World};

const SEEDS: u64 = 24;
const STEPS: u32 = 600;
const USERS: usize = 6;
const SALT: [u8; 16] = [5; 16];

/// A client that acknowledges, and remembers the last number that it showed.
#[derive(Default)]
struct User {
    link: Option<StrangerId>,
    /// What it has said and was not answered yet: a text, and for whom; none for another command.
    said: VecDeque<Option<(u64, usize)>>,
    partial: String,
    last_number: u64,
    shown: Vec<(String, u64)>,
}

struct Evening {
    world: World,
    rng: Rng,
    node: NodeId,
    addr: SocketAddr,
    lives: u8,
    salted: SaltedPassword,
    users: Vec<User>,
    texts: u64,
    /// What somebody may count on, with who gets it; true if it is on disk.
    promised: BTreeMap<u64, (usize, bool)>,
    /// The store does.
    fails: bool,
}

fn name(user: usize) -> Name {
    format!("user{user}").parse().unwrap()
}

impl Evening {
    fn new(seed: u64) -> Evening {
        let (mut world, rng) = (World::new(seed), Rng::new(seed ^ 0x5eed));
        let node = world.add_node(&NodeConfig::new([10, 0, 0, 1]));
        let salted = Password::prepare("sesame").unwrap().salted(&SALT, 4096);
        let verifier = Verifier::new(&salted, SALT, 4096).to_string();
        for user in 0..USERS {
            let change = Change::PutAccount { name: name(user), verifier: verifier.clone().into() };
            world.store_mut(node).change(&change);
        }
        let addr = world.addr(node, 5555);
        let users = (0..USERS).map(|_| User::default()).collect();
        let (promised, fails, lives, texts) = (BTreeMap::new(), false, 0, 0);
        let mut evening = Evening { world, rng, node, addr, lives, salted, users, texts, promised, fails };
        evening.start();
        evening
    }

    fn start(&mut self) {
        self.lives += 1;
        let config = ServerConfig {
            listen: vec![self.addr],
            interval: INTERVAL,
            duration: Duration::from_secs(1),
            secret: [self.lives; 32],
            talk: TalkConfig::default(),
        };
        self.world.start(self.node, Box::new(Server::new(config)));
        self.pass(2000);
    }

    /// Time passes, and everybody reads.
    fn pass(&mut self, millis: u64) {
        self.world.run_for(Duration::from_millis(millis));
        (0..USERS).for_each(|user| self.read(user));
    }

    fn read(&mut self, at: usize) {
        let user = &mut self.users[at];
        let Some(link) = user.link else { return };
        user.partial += std::str::from_utf8(&self.world.read(link)).unwrap();
        while let Some((line, rest)) = user.partial.split_once('\n') {
            let words: Vec<&str> = line.split(' ').collect();
            match words[0] {
                "MAIL" => {
                    let (number, text): (u64, u64) = (words[1].parse().unwrap(), words[4].parse().unwrap());
                    if number > user.last_number {
                        user.last_number = number;
                        user.shown.push((words[3].to_owned(), text));
                    }
                    if self.rng.chance(0.7) {
                        self.world.write(link, format!("ACK {number}\n").as_bytes());
                    }
                }
                "OK" | "ERR" => {
                    let said = user.said.pop_front().unwrap_or_else(|| panic!("{line} answers nothing"));
                    if let (Some((text, to)), "OK") = (said, words[0]) {
                        assert_eq!(words[1], "message", "{line}");
                        self.promised.insert(text, (to, words[2] == "kept"));
                    }
                    assert!(said.is_some() || words[1] != "message", "{line}");
                }
                _ => {}
            }
            user.partial = rest.to_owned();
        }
        if self.world.is_closed(link) {
            self.part(at);
        }
    }

    /// What was not answered may have come or not.
    fn part(&mut self, at: usize) {
        let user = &mut self.users[at];
        user.link = None;
        user.said.clear();
        user.partial.clear();
    }

    fn login(&mut self, at: usize) {
        if self.users[at].link.is_some() {
            return;
        }
        let link = self.world.connect(self.node, self.addr);
        let (first, exchange) = ClientExchange::begin(name(at), &[at as u8; 18]);
        self.world.write(link, format!("AUTH SCRAM-SHA-256 0 {first}\n").as_bytes());
        self.pass(30);
        let heard = String::from_utf8(self.world.read(link)).unwrap();
        let Some(challenge) = heard.lines().find_map(|line| line.strip_prefix("OK AUTH ")) else {
            return self.world.reset(link);
        };
        let (proof, _) = exchange.challenged(challenge).unwrap().respond(&self.salted);
        self.world.write(link, format!("AUTH {proof}\n").as_bytes());
        let user = &mut self.users[at];
        user.link = Some(link);
        user.said.push_back(None);
    }

    fn say(&mut self, at: usize) {
        let Some(link) = self.users[at].link else { return };
        let to = self.rng.index(USERS);
        for _ in 0..=self.rng.below(4) {
            self.texts += 1;
            self.users[at].said.push_back(Some((self.texts, to)));
            self.world.write(link, format!("message {} {}\n", name(to), self.texts).as_bytes());
        }
        if self.rng.chance(0.3) {
            self.users[at].said.push_back(None);
            let command = ["whoelse", "whoelsesince 60", "broadcast hello"];
            let command = command[self.rng.index(3)];
            self.world.write(link, format!("{command}\n").as_bytes());
        }
    }

    fn step(&mut self) {
        let at = self.rng.index(USERS);
        match self.rng.below(100) {
            0..=34 => self.login(at),
            35..=79 => self.say(at),
            80..=89 => {
                if let Some(link) = self.users[at].link {
                    self.world.reset(link);
                    self.part(at);
                    if self.fails {
                        // What was on trial cannot become mail.
                        self.promised.retain(|_, (to, is_kept)| *to != at || *is_kept);
                    }
                }
            }
            90..=93 => {
                self.pass(50);
                self.world.store_mut(self.node).fail(Some(ErrorKind::StorageFull));
                self.fails = true;
            }
            94..=97 => {
                self.world.store_mut(self.node).fail(None);
                self.fails = false;
            }
            98 => {
                // Before it dies, everybody reads what has come; what was on trial goes with it.
                self.pass(0);
                self.world.crash(self.node);
                (0..USERS).for_each(|user| self.part(user));
                self.promised.retain(|_, (_, is_kept)| *is_kept);
                self.pass(1000);
                self.start();
            }
            _ => self.pass(3000),
        }
        let millis = self.rng.below(150);
        self.pass(millis);
    }

    fn finish(&mut self) {
        self.world.store_mut(self.node).fail(None);
        self.pass(30_000);
        for user in 0..USERS {
            self.login(user);
            self.pass(5000);
        }
        // What waits comes when all before it is acknowledged.
        for _ in 0..10 {
            for User { link, last_number, .. } in &self.users {
                self.world.write(link.unwrap(), format!("ACK {last_number}\n").as_bytes());
            }
            self.pass(1000);
        }
        for (at, user) in self.users.iter().enumerate() {
            assert!(user.link.is_some() && user.said.is_empty(), "{at} waits for {:?}", user.said);
            let texts: BTreeSet<u64> = user.shown.iter().map(|(_, text)| *text).collect();
            assert_eq!(texts.len(), user.shown.len(), "shown twice");
            let mut last = BTreeMap::new();
            for (from, text) in &user.shown {
                let before = last.insert(from, *text).unwrap_or(0);
                assert!(before < *text, "{from} said {before} before {text}");
            }
            let missing = self.promised.iter().filter(|(text, (to, _))| *to == at && !texts.contains(text));
            assert_eq!(missing.collect::<Vec<_>>(), [], "promised to user{at}");
        }
    }
}

#[test]
fn what_was_promised_comes_in_order_and_once() {
    let mut promised = 0;
    for seed in 0..SEEDS {
        let outcome = std::panic::catch_unwind(|| {
            let mut evening = Evening::new(seed);
            (0..STEPS).for_each(|_| evening.step());
            evening.finish();
            evening.promised.len()
        });
        promised += outcome.unwrap_or_else(|_| panic!("seed {seed}"));
    }
    assert!(promised > 1000, "only {promised} messages");
}
