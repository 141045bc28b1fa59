//! Users at client machines in the simulator: each types, sees what is new, and keeps what it has seen beyond the
//! life of its program, as a file would.

use std::time::Duration;

use tickmesh::proto::accounts::{Password, Verifier};
use tickmesh::proto::ids::Name;
use tickmesh::proto::limits::SERVER_WAIT;
use tickmesh::proto::machine::{Change, Input, Machine, Os};
use tickmesh::proto::peer::{GuestConfig, Login, News, Orders, Peers, Seen, Talk};
use tickmesh::proto::time::{Mono, Now};
use tickmesh::sim::{MachineId, NodeId, World};

use super::town::Town;

pub const SALT: [u8; 16] = [5; 16];
pub const PASSWORD: &str = "sesame";

/// Accounts, made by the operator before the server starts or while it runs.
pub fn add_accounts(world: &mut World, server: NodeId, names: &[&str]) {
    let salted = Password::prepare(PASSWORD).unwrap().salted(&SALT, 4096);
    let verifier = Verifier::new(&salted, SALT, 4096).to_string();
    for name in names {
        let change = Change::PutAccount { name: name.parse().unwrap(), verifier: verifier.clone().into() };
        world.store_mut(server).change(&change);
    }
}

/// A client and what it has shown, as a program would that shows everything at once.
struct Screen {
    peers: Peers,
    news: Vec<News>,
    is_on: bool,
}

impl Screen {
    fn show(&mut self) {
        if self.is_on {
            self.news.extend(std::iter::from_fn(|| self.peers.take_news()));
        }
    }
}

impl Machine for Screen {
    fn handle_input(&mut self, input: Input<'_>, now: Now, os: &mut dyn Os) {
        self.peers.handle_input(input, now, os);
        self.show();
    }

    fn handle_timeout(&mut self, now: Now, os: &mut dyn Os) {
        self.peers.handle_timeout(now, os);
        self.show();
    }

    fn poll_timeout(&self) -> Option<Mono> {
        self.peers.poll_timeout()
    }

    fn check_invariants(&self) {
        self.peers.check_invariants();
    }
}

/// Somebody at a console, on a host of its own.
pub struct Console {
    pub name: Name,
    pub node: NodeId,
    pub machine: MachineId,
    /// What was shown, one line each, and not looked at by a test yet.
    pub lines: Vec<String>,
    pub seen: Option<Seen>,
    looked_at: usize,
    lives: u8,
    kind: Kind,
}

/// Who types.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Person,
    Guest,
    /// Commands of a user wait for the server.
    Script,
}

impl Console {
    pub fn new(town: &mut Town, name: &str) -> Console {
        Console::open(town, name, Kind::Person)
    }

    pub fn guest(town: &mut Town, name: &str) -> Console {
        Console::open(town, name, Kind::Guest)
    }

    pub fn script(town: &mut Town, name: &str) -> Console {
        Console::open(town, name, Kind::Script)
    }

    fn open(town: &mut Town, name: &str, kind: Kind) -> Console {
        let node = town.node();
        let name: Name = name.parse().unwrap();
        let (lives, seen, looked_at) = (0, None, 0);
        let machine = town.world.start(node, client(town, name, kind, seen, lives));
        Console { name, node, machine, lines: Vec::new(), seen, looked_at, lives, kind }
    }

    /// Starts the program again.
    pub fn start(&mut self, town: &mut Town) {
        self.look(&town.world);
        self.lives += 1;
        let client = client(town, self.name, self.kind, self.seen, self.lives);
        self.machine = town.world.start(self.node, client);
        self.looked_at = 0;
    }

    pub fn types(&mut self, town: &mut Town, line: &str) {
        town.world.type_at(self.machine, format!("{line}\n").as_bytes());
    }

    /// Takes what is new.
    pub fn look(&mut self, world: &World) {
        for news in self.news(world) {
            self.lines.push(shown(&news));
        }
    }

    /// The same as it is.
    pub fn news(&mut self, world: &World) -> Vec<News> {
        let shown = &world.machine::<Screen>(self.machine).unwrap().news;
        let news = shown[self.looked_at..].to_vec();
        self.looked_at = shown.len();
        for news in &news {
            if let News::Message { seen: Some(seen), .. } = news {
                self.seen = Some(*seen);
            }
        }
        news
    }

    /// It has ended as it should.
    pub fn is_complete(&self, world: &World) -> bool {
        world.machine::<Screen>(self.machine).unwrap().peers.report().is_complete()
    }

    /// From now on nothing is taken from it, or everything again.
    pub fn turn(&self, world: &mut World, is_on: bool) {
        world.act(self.machine, |screen: &mut Screen, _, _| screen.is_on = is_on);
    }

    /// Waits until a line that begins so is shown, and takes all up to it.
    pub fn expect(&mut self, town: &mut Town, line: &str) -> String {
        for _ in 0..6000 {
            self.look(&town.world);
            if let Some(place) = self.lines.iter().position(|shown| shown.starts_with(line)) {
                let found = self.lines[place].clone();
                self.lines.drain(..=place);
                return found;
            }
            town.world.run_for(Duration::from_millis(10));
        }
        panic!("{} waits for {line:?}: {:#?}\n{}", self.name, self.lines, town.world.trace_tail());
    }

    /// Types, and waits for the answer.
    pub fn says(&mut self, town: &mut Town, line: &str, answer: &str) -> String {
        self.types(town, line);
        self.expect(town, answer)
    }
}

fn client(town: &Town, name: Name, kind: Kind, seen: Option<Seen>, life: u8) -> Box<Screen> {
    let password = Password::prepare(PASSWORD).unwrap();
    let mut secret = [life; 32];
    secret[..name.as_bytes().len()].copy_from_slice(name.as_bytes());
    let login = (kind != Kind::Guest).then_some(Login { user: name, password });
    let patience = if kind == Kind::Script { SERVER_WAIT } else { Duration::ZERO };
    let talk = Talk { login, seen, secret, patience };
    let peers = Peers::guest(GuestConfig {
        server: town.addr,
        group: "lab".parse().unwrap(),
        id: Some(name),
        orders: Orders { talk: Some(talk), ..Orders::default() },
        upload_limit: None,
    });
    Box::new(Screen { peers, news: Vec::new(), is_on: true })
}

/// As a line, much as a program would print it.
pub fn shown(news: &News) -> String {
    match news {
        News::LoggedIn { name, waiting } => format!("LOGIN {name} {waiting}"),
        News::LoginRefused { code, text } => format!("REFUSED {} {text}", code.as_str()),
        News::ServerLost { why } => format!("LOST {why}"),
        News::Item { line } => format!("* {line}"),
        News::Answer { verb, result: Ok(text) } => format!("OK {verb} {text}").trim_end().to_owned(),
        News::Answer { result: Err((code, text)), .. } => format!("ERR {} {text}", code.as_str()),
        News::Message { from, text, .. } => format!("MESSAGE {from} {text}"),
        News::Broadcast { from, text } => format!("BROADCAST {from} {text}"),
        News::Online { name } => format!("ONLINE {name}"),
        News::Offline { name } => format!("OFFLINE {name}"),
        News::PrivateOpen { with } => format!("PRIVATE {with} open"),
        News::PrivateClosed { with, why } => format!("PRIVATE {with} closed: {why}"),
        News::Private { from, text } => format!("PRIVATE {from} says {text}"),
        News::File { status } => match &status.trouble {
            Some(trouble) => format!("FILE {} {trouble}", status.name),
            None => format!("FILE {} {:?} {}", status.name, status.state, status.chunks_stored),
        },
        News::Ended { why } => format!("ENDED {why}"),
    }
}
