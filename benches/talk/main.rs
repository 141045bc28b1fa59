//! What talking costs the server: messages and broadcasts for each second of a processor, against PUBLISH of Redis in
//! the same run; memory and time for people who only listen; logins, and what a peer notices of them. The real
//! program, as processes of their own, over loopback.
//!
//! Nobody says more than may be said: each sends twenty messages at once, or four broadcasts, then all rest until
//! they may again. So it is the pace that everybody has, from very many. Redis gets the same texts, from and to the same numbers of
//! connections, as many at once from each.
//!
//! `cargo bench --bench talk`, and behind `--` some of `one many idle storm logins ticks` for only these. TALK_PAIRS sets the
//! number of pairs (default 1000), TALK_IDLE that of people who listen (default 10000), TALK_ROUNDS the number of rounds
//! (default 5). Without redis-server on PATH there is no yardstick.

#![allow(clippy::disallowed_methods)] // a benchmark measures time

#[path = "../common/mod.rs"]
mod common;
mod crowd;
mod process;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::common::setting;
use crate::crowd::{Crowd, user};
use crate::process::{PASSWORD, PROGRAM, Process, salted};

/// What may be said at once, and how long it takes until all of it may be said again.
const MESSAGES_AT_ONCE: usize = 20;
const BROADCASTS_AT_ONCE: usize = 4;
const REST: Duration = Duration::from_millis(4100);
const TEXT: &str = "the quick brown fox jumps over the lazy dog, and nobody minds it";
const LISTENERS: usize = 100;

fn main() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit of descriptors");
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("as many as one may have");
    let rounds = setting("TALK_ROUNDS", 5);
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let is_wanted = |case: &str| wanted.is_empty() || wanted.iter().any(|one| one == case);
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    if is_wanted("one") {
        let pairs = setting("TALK_PAIRS", 1000);
        compare(folder, &Shape { senders: pairs, at_once: MESSAGES_AT_ONCE, hears: 1, rounds });
    }
    if is_wanted("many") {
        compare(
            folder,
            &Shape { senders: LISTENERS + 1, at_once: BROADCASTS_AT_ONCE, hears: LISTENERS, rounds },
        );
    }
    if is_wanted("idle") {
        idle(folder, setting("TALK_IDLE", 10_000));
    }
    if is_wanted("storm") {
        storm(folder, setting("TALK_IDLE", 10_000), rounds);
    }
    if is_wanted("logins") {
        logins(folder);
    }
    if is_wanted("ticks") {
        ticks(folder, rounds);
    }
}

/// Who says how much to how many.
struct Shape {
    senders: usize,
    at_once: usize,
    /// So many hear what one says: one other, or all others.
    hears: usize,
    rounds: usize,
}

/// Deliveries for each second of a processor, of us and of Redis, round by round in turn.
fn compare(folder: &Path, shape: &Shape) {
    let mut ours = Talk::of_ours(folder, shape);
    let mut redis = Talk::of_redis(folder, shape);
    let (mut rates, mut yardstick) = (Vec::new(), Vec::new());
    for _ in 0..shape.rounds {
        rates.push(ours.round(shape));
        yardstick.extend(redis.as_mut().map(|redis| redis.round(shape)));
        ours.crowd.read_for(REST);
    }
    let Shape { senders, at_once, hears, rounds } = shape;
    println!(
        "{senders} who say {at_once} at once, 1 to {hears} (medians of {rounds}), deliveries for a second of a core:"
    );
    let ours = median(&mut rates);
    println!("    tickmesh {ours:.0}");
    if !yardstick.is_empty() {
        let other = median(&mut yardstick);
        println!("    redis-server PUBLISH {other:.0}, ratio {:.2}", ours / other);
    }
}

/// People at a server, ready to talk.
struct Talk {
    server: Process,
    crowd: Crowd,
    /// What each sender says.
    words: Vec<Vec<u8>>,
}

impl Talk {
    fn of_ours(folder: &Path, shape: &Shape) -> Talk {
        let people = if shape.hears == 1 { 2 * shape.senders } else { shape.senders };
        let server = Process::server(folder, people);
        let mut crowd = Crowd::new(salted());
        crowd.gather(server.addr, people, 16);
        let line = |sender: usize| match shape.hears {
            1 => format!("message {} {TEXT}\n", user(shape.senders + sender)),
            _ => format!("broadcast {TEXT}\n"),
        };
        let words =
            (0..shape.senders).map(|sender| line(sender).repeat(shape.at_once).into_bytes()).collect();
        crowd.read_for(Duration::from_secs(1));
        Talk { server, crowd, words }
    }

    fn of_redis(folder: &Path, shape: &Shape) -> Option<Talk> {
        let server = Process::redis(folder)?;
        let mut crowd = Crowd::new(salted());
        let listeners = if shape.hears == 1 { shape.senders } else { shape.hears };
        for number in 0..shape.senders + listeners {
            crowd.connect(server.addr, user(number), None);
        }
        let channel = |number: usize| if shape.hears == 1 { user(number) } else { user(0) };
        for number in 0..listeners {
            crowd.say(shape.senders + number, &command(&["SUBSCRIBE", &channel(number)]));
        }
        crowd.until("a subscription", |people| people[shape.senders..].iter().all(|one| one.messages == 1));
        let words = (0..shape.senders)
            .map(|number| command(&["PUBLISH", &channel(number), TEXT]).repeat(shape.at_once))
            .collect();
        Some(Talk { server, crowd, words })
    }

    /// Everybody says what may be said at once; deliveries for each second that the server was busy.
    fn round(&mut self, shape: &Shape) -> f64 {
        let count = |crowd: &Crowd| -> (u64, u64) {
            crowd
                .people
                .iter()
                .fold((0, 0), |(answers, got), one| (answers + one.answers, got + one.messages))
        };
        let said = (shape.senders * shape.at_once) as u64;
        let (answers, got) = count(&self.crowd);
        let before = self.server.cpu();
        for (sender, words) in self.words.iter().enumerate() {
            self.crowd.say(sender, words);
        }
        let deliveries = said * shape.hears as u64;
        while count(&self.crowd) != (answers + said, got + deliveries) {
            self.crowd.turn(Duration::from_secs(10));
        }
        // What is done behind it belongs to it.
        self.crowd.read_for(Duration::from_millis(100));
        deliveries as f64 / (self.server.cpu() - before).as_secs_f64()
    }
}

/// A command as Redis reads it.
fn command(words: &[&str]) -> Vec<u8> {
    let words = words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len()));
    format!("*{}\r\n{}", words.len(), words.collect::<String>()).into_bytes()
}

/// People who only listen: what each of them takes, and how long a word to all takes.
fn idle(folder: &Path, people: usize) {
    let server = Process::server(folder, people);
    // The accounts are read by then.
    std::thread::sleep(Duration::from_secs(1));
    let before = server.rss();
    let mut crowd = Crowd::new(salted());
    let (began, cpu) = (Instant::now(), server.cpu());
    crowd.gather(server.addr, people, 32);
    let (took, cost) = (began.elapsed(), server.cpu() - cpu);
    crowd.read_for(Duration::from_secs(3));
    println!("{people} people who listen:");
    println!(
        "    logged in within {:.1} s, for {:.1} s of the server",
        took.as_secs_f64(),
        cost.as_secs_f64()
    );
    println!("    {:.2} KiB each", (server.rss() - before) as f64 / 1024.0 / people as f64);
    let cpu = server.cpu();
    crowd.read_for(Duration::from_secs(10));
    println!("    {:.2} % of a core while nothing happens", (server.cpu() - cpu).as_secs_f64() * 10.0);
    let (mut times, mut costs) = (Vec::new(), Vec::new());
    for round in 1..=5 {
        let (began, cpu) = (Instant::now(), server.cpu());
        crowd.say(round as usize, format!("broadcast {TEXT}\n").as_bytes());
        crowd.until("a word to all", |people| {
            people.iter().filter(|one| one.messages == round).count() + round as usize >= people.len()
        });
        times.push(began.elapsed().as_secs_f64() * 1000.0);
        costs.push((server.cpu() - cpu).as_secs_f64() * 1000.0);
        crowd.read_for(Duration::from_millis(200));
        let missing = crowd.people.iter().map(|one| round - one.messages).sum::<u64>();
        assert_eq!(missing, round, "everybody but who said it has it");
    }
    println!(
        "    a broadcast is with all after {:.0} ms, for {:.0} ms of the server",
        median(&mut times),
        median(&mut costs)
    );
    let (began, cpu) = (Instant::now(), server.cpu());
    crowd.say(0, b"whoelse\n");
    crowd.until("a list", |people| people[0].answers == 1);
    let (took, cost) = (began.elapsed().as_secs_f64() * 1000.0, (server.cpu() - cpu).as_secs_f64() * 1000.0);
    println!(
        "    whoelse names {} after {took:.1} ms, for {cost:.1} ms of the server",
        crowd.people[0].listed
    );
    println!("    {:.2} KiB each, after all this", (server.rss() - before) as f64 / 1024.0 / people as f64);
}

/// The same people, who all come at once: what the server keeps of the memory that this took.
fn storm(folder: &Path, people: usize, rounds: usize) {
    let mut figures = [const { Vec::new() }; 4];
    for _ in 0..rounds {
        let server = Process::server(folder, people);
        std::thread::sleep(Duration::from_secs(1));
        let before = server.rss();
        let mut crowd = Crowd::new(salted());
        let (began, cpu) = (Instant::now(), server.cpu());
        crowd.storm(server.addr, people);
        let (took, cost) = (began.elapsed().as_secs_f64(), (server.cpu() - cpu).as_secs_f64());
        crowd.read_for(Duration::from_secs(3));
        let each = |rss: u64| (rss - before) as f64 / 1024.0 / people as f64;
        let round = [took, cost, each(server.rss()), each(server.rss_max())];
        figures.iter_mut().zip(round).for_each(|(list, one)| list.push(one));
    }
    let most = figures[2].iter().copied().fold(0.0, f64::max);
    let [took, cost, kept, peak] = figures.each_mut().map(|list| median(list));
    println!("{people} people who come at once (medians of {rounds}):");
    println!("    logged in within {took:.1} s, for {cost:.1} s of the server");
    println!("    {kept:.2} KiB each afterwards, {most:.2} at most, and {peak:.2} meanwhile");
}

const LOGINS: usize = 4000;

/// How somebody comes, and goes again.
#[derive(Clone, Copy)]
enum Coming {
    Connects,
    Proves,
    Types,
}

/// What a login costs the loop, with and without the connection.
fn logins(folder: &Path) {
    let server = Process::server(folder, 1000);
    std::thread::sleep(Duration::from_millis(500));
    let cost = |coming: Coming, count: usize| {
        let mut costs = Vec::new();
        for _ in 0..3 {
            let mut visitors = Visitors::new(&server, coming);
            let before = server.loop_cpu();
            while visitors.begun < count || visitors.is_busy() {
                visitors.go_on(count);
                visitors.crowd.turn(Duration::from_millis(100));
            }
            costs.push((server.loop_cpu() - before).as_secs_f64() * 1e6 / count as f64);
        }
        median(&mut costs)
    };
    let [connects, proves, types] =
        [cost(Coming::Connects, LOGINS), cost(Coming::Proves, LOGINS), cost(Coming::Types, LOGINS / 8)];
    println!("what the loop spends on one who comes and goes:");
    println!("    who only connects {connects:.1} µs");
    println!("    who proves the password {proves:.1} µs, {:.1} µs more", proves - connects);
    println!("    who types the password {types:.1} µs, {:.1} µs more", types - connects);
}

/// Some connections at a time, each of which comes, logs in, and goes.
struct Visitors {
    crowd: Crowd,
    addr: std::net::SocketAddr,
    coming: Coming,
    begun: usize,
    begun_login: Vec<bool>,
}

const AT_ONCE: usize = 8;

impl Visitors {
    fn new(server: &Process, coming: Coming) -> Visitors {
        let crowd = Crowd::new(salted());
        Visitors { crowd, addr: server.addr, coming, begun: 0, begun_login: Vec::new() }
    }

    fn is_busy(&self) -> bool {
        self.crowd.people.iter().any(|one| !one.is_closed)
    }

    /// Lets new ones come, up to a number, and the others go on.
    fn go_on(&mut self, count: usize) {
        for place in 0..AT_ONCE {
            match self.crowd.people.get(place) {
                Some(one) if !one.is_closed => self.step(place),
                one if self.begun < count => {
                    let place = one.map(|_| place);
                    let at = self.crowd.connect(self.addr, user(self.begun % 1000), place);
                    self.begun += 1;
                    self.begun_login.resize(self.crowd.people.len(), false);
                    self.begun_login[at] = false;
                }
                _ => {}
            }
        }
    }

    fn step(&mut self, place: usize) {
        let one = &self.crowd.people[place];
        if one.is_greeted && !self.begun_login[place] {
            self.begun_login[place] = true;
            match self.coming {
                Coming::Connects => self.crowd.say(place, b"BYE done\n"),
                Coming::Proves => self.crowd.log_in(place),
                Coming::Types => {
                    let line = format!("login {} {PASSWORD}\n", one.name());
                    self.crowd.say(place, line.as_bytes());
                }
            }
        } else if one.is_in && !one.has_said_goodbye {
            self.crowd.people[place].has_said_goodbye = true;
            self.crowd.say(place, b"logout\n");
        }
    }
}

const LOGINS_PER_S: u64 = 1000;
const TICKS_TIME: Duration = Duration::from_secs(10);

/// What a peer with a run notices of a thousand logins a second, against a server that has nothing else to do, in turn.
fn ticks(folder: &Path, rounds: usize) {
    let server = Process::server(folder, 1000);
    println!(
        "a peer's ticks, {} s at 10 ms in each of {rounds} rounds (medians, in µs):",
        TICKS_TIME.as_secs()
    );
    let mut cases = [0, LOGINS_PER_S].map(|logins_per_s| (logins_per_s, 0, [const { Vec::new() }; 4]));
    for _ in 0..rounds {
        for (logins_per_s, missed, figures) in &mut cases {
            let peer = peer_beside(&server, folder, *logins_per_s);
            *missed += peer["ticks_missed"].as_u64().expect("a number of ticks");
            let names =
                [("lateness_ns", "p50"), ("lateness_ns", "p99"), ("rtt_ns", "p50"), ("rtt_ns", "p99")];
            for (list, (what, which)) in figures.iter_mut().zip(names) {
                list.push(peer[what][which].as_f64().expect("a time") / 1000.0);
            }
        }
    }
    for (logins_per_s, missed, mut figures) in cases {
        let [late, late_p99, rtt, rtt_p99] = figures.each_mut().map(|list| median(list));
        println!(
            "    {logins_per_s} logins a second: {missed} missed, late by p50 {late:.0} p99 {late_p99:.0}, round trip p50 {rtt:.0} p99 {rtt_p99:.0}"
        );
    }
}

/// What a peer reports of its run.
fn peer_beside(server: &Process, folder: &Path, logins_per_s: u64) -> serde_json::Value {
    let mut command = Command::new(PROGRAM);
    command.args([
        "peer",
        "--server",
        &server.addr.to_string(),
        "--interval",
        "10ms",
        "--no-share",
        "--json",
    ]);
    command.args(["--duration", &format!("{}s", TICKS_TIME.as_secs()), "--log-level", "error", "--out"]);
    let peer = command.arg(folder.join("peer")).stdout(Stdio::piped()).spawn().expect("a peer starts");
    let mut visitors = Visitors::new(server, Coming::Proves);
    let began = Instant::now();
    while began.elapsed() < TICKS_TIME {
        let due = began.elapsed().as_millis() as u64 * logins_per_s / 1000;
        visitors.go_on(due as usize);
        visitors.crowd.turn(Duration::from_millis(1));
    }
    let due = TICKS_TIME.as_secs() * logins_per_s;
    assert!(visitors.begun as u64 >= due * 9 / 10, "only {} of {due} logged in", visitors.begun);
    drop(visitors);
    let output = peer.wait_with_output().expect("it can be waited for");
    let mut report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("a report in JSON");
    report["peers"][0].take()
}

fn median(figures: &mut [f64]) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
