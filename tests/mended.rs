//! Stories of faults that were there once: each fails without its mend.

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use common::town::{Town, table};
use tickmesh::proto::ids::{DialId, FileId, LinkId};
use tickmesh::proto::machine::{Effect, Input, Machine, Origin, Os};
use tickmesh::proto::peer::{Peers, PeersConfig};
use tickmesh::proto::server::Server;
use tickmesh::proto::time::{Mono, Now, Wall};
use tickmesh::sim::NetConfig;

const SECOND: Duration = Duration::from_secs(1);

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Members that take the link of the pair and then never ask for our files keep all places for dialing.
struct Leeches {
    server: SocketAddr,
    ip: SocketAddr,
    port: u16,
    count: u32,
}
impl Machine for Leeches {
    fn handle_input(&mut self, input: Input<'_>, _: Now, os: &mut dyn Os) {
        match input {
            Input::Start => os.perform(Effect::Listen { addr: SocketAddr::new(self.ip.ip(), 0) }),
            Input::Listening { addr } => {
                self.port = addr.port();
                for n in 0..self.count {
                    os.perform(Effect::Dial { dial: DialId(n), addr: self.server });
                }
            }
            Input::LinkUp { link, origin: Origin::Dialed(n), .. } => {
                let text = format!("JOIN lab z{} {} * 10000000\nDONE 0 0\n", n.0, self.port);
                os.perform(Effect::Send { link, bytes: text.as_bytes() });
            }
            Input::LinkUp { link, .. } => os.perform(Effect::Send { link, bytes: b"TICKMESH 1 peer x\n" }),
            Input::Received { link, bytes, .. } => self.reply(link, &String::from_utf8_lossy(bytes), os),
            _ => {}
        }
    }
    fn handle_timeout(&mut self, _: Now, _: &mut dyn Os) {}
    fn poll_timeout(&self) -> Option<Mono> {
        None
    }
}
impl Leeches {
    fn reply(&self, link: LinkId, text: &str, os: &mut dyn Os) {
        for line in text.lines().filter(|line| line.starts_with("LINK ")) {
            let me = line.split(' ').nth(3).unwrap();
            let text = format!(
                "OK LINK\nOFFER client_{me}_TimeData.txt 0 1 0\nOFFER client_{me}_samples.csv 0 1 0\n"
            );
            os.perform(Effect::Send { link, bytes: text.as_bytes() });
        }
    }
}

/// A member saves up its allowance, then sends it at once: the table of all others is cut for good.
#[test]
fn one_member_cannot_spoil_the_servers_table() {
    let mut town = Town::new(101);
    town.world.set_net(NetConfig { window_bytes: 256 << 10, ..NetConfig::default() });
    let node = town.node();
    let link = town.world.connect(node, town.addr);
    town.world.write(link, b"JOIN lab m 0 1000000 60000000000\n");
    for _ in 0..4 {
        town.world.run_for(ms(3000));
        town.world.write(link, b"\n");
    }
    let alice_node = town.node();
    let alice = town.start(alice_node, "alice", 2);
    town.world.run_for(ms(500));
    town.world.write(link, "TICK 1 1\n".repeat(10_000).as_bytes());
    town.finish(&[alice]);
    town.world.close(link);
    town.world.shutdown(town.server_node);
    town.world.run_for(SECOND);
    let status = town.world.machine::<Server>(town.server).unwrap().status().clone();
    let facts = town.table(town.server_node, "serverTimeData.txt");
    let alices: u64 =
        facts.pairs.iter().filter(|(k, _)| format!("{k:?}").contains("10.0.0.3")).map(|(_, v)| *v).sum();
    assert_eq!((status.tables_failed, alices), (0, 400), "{:?} {:?}", facts.complete, facts.pairs);
}

/// 9 bytes from one member make a line for each other member; 20,000 of these in one read cut
/// everybody else off.
#[test]
fn done_again_and_again_does_not_cut_the_others_off() {
    let mut town = Town::new(102);
    town.world.set_net(NetConfig { window_bytes: 256 << 10, ..NetConfig::default() });
    let machines = ["alice", "bob", "carol"].map(|name| {
        let n = town.node();
        town.start(n, name, 3)
    });
    town.world.run_for(SECOND);
    let node = town.node();
    let link = town.world.connect(node, town.addr);
    town.world.write(link, b"JOIN lab m 9 * *\n");
    town.world.run_for(ms(200));
    town.world.write(link, "DONE 0 0\n".repeat(20_000).as_bytes());
    town.world.run_for(ms(200));
    town.world.write(link, b"BYE x\n");
    town.finish(&machines);
    for machine in machines {
        let report = town.report(machine);
        assert_eq!((report.reconnects, report.ticks_missed), (0, 0), "{:?}", town.world.stats().downs);
    }
}

/// A peer that shares nothing moves the epoch, and nobody is told.
#[test]
fn a_peer_that_does_not_share_keeps_nobody_from_leaving() {
    let mut town = Town::new(103);
    let (_, alice) = town.peer("alice");
    town.world.run_for(ms(500));
    let node = town.node();
    let silent = Box::new(Peers::new(PeersConfig {
        server: town.addr,
        group: "lab".parse().unwrap(),
        ids: vec![None],
        interval: None,
        duration: Some(SECOND),
        share_deadline: None,
    }));
    let silent = town.world.start(node, silent);
    town.finish(&[alice, silent]);
    town.assert_complete(alice);
    let status = town.world.machine::<Server>(town.server).unwrap().status();
    assert_eq!(status.errors, 0, "LEAVE was refused until the link was closed for too many errors");
}

/// A link to the server that comes back just when the run ends: DONE is never said.
#[test]
fn done_is_said_also_when_the_link_comes_back_at_the_end() {
    let mut town = Town::new(105);
    town.world.set_net(NetConfig { latency: ms(100)..=ms(100), ..NetConfig::default() });
    let node = town.node();
    let alice = town.start(node, "alice", 2);
    let bob_node = town.node();
    let bob = town.start(bob_node, "bob", 3);
    town.world.run_for(ms(1900));
    town.world.reset_links(town.server_node, node);
    town.finish(&[alice, bob]);
    let ended = town.world.now();
    let (a, b) = (town.assert_complete(alice), town.assert_complete(bob));
    let status = town.world.machine::<Server>(town.server).unwrap().status().clone();
    assert!(
        ended < ms(6000) && status.errors == 0 && a.rows_at_server.is_some(),
        "ended at {ended:?}, {status:?}, {:?} reconnects {} {}",
        a.rows_at_server,
        a.reconnects,
        b.reconnects
    );
}

/// A server that is stopped in an orderly way tells each member that the others are lost.
#[test]
fn a_server_that_stops_does_not_call_its_members_lost() {
    for kill in [true, false] {
        let mut town = Town::new(106);
        let alice_node = town.node();
        let alice = town.start(alice_node, "alice", 30);
        town.world.run_for(ms(100));
        let (_, bob) = town.peer("bob");
        town.world.run_for(ms(500));
        if kill {
            town.world.crash(town.server_node)
        } else {
            town.world.shutdown(town.server_node)
        }
        town.finish(&[alice, bob]);
        assert_eq!(town.report(bob).outcome, "complete", "kill={kill} {:?}", town.report(bob).problems);
    }
}

/// The only peer's run is cut short; the server's table says so.
#[test]
fn the_servers_table_says_that_a_run_was_cut_short() {
    let mut town = Town::new(107);
    let node = town.node();
    let alice = town.start(node, "alice", 30);
    town.world.run_for(SECOND);
    town.world.shutdown(node);
    town.finish(&[alice]);
    town.world.run_for(SECOND);
    let end = town.table(town.server_node, "serverTimeData.txt").complete.unwrap();
    assert_eq!(end.cause.as_deref(), Some("interrupted"), "{}", end.elapsed);
}

#[test]
fn members_that_never_fetch_do_not_block_the_exchange_of_the_others() {
    let mut town = Town::new(112);
    let node = town.node();
    let addr = town.world.addr(node, 0);
    town.world.start(node, Box::new(Leeches { server: town.addr, ip: addr, port: 0, count: 8 }));
    town.world.run_for(ms(100));
    let machines = ["alice", "bob"].map(|name| town.peer(name).1);
    town.finish(&machines);
    for machine in machines {
        let report = town.report(machine);
        let between: Vec<_> =
            report.problems.iter().filter(|p| p.contains("alice") && p.contains("bob")).collect();
        assert!(between.is_empty(), "{between:#?}");
    }
}

/// The server starts anew, and who asks for any number is there before those who come back: it gets
/// number 0, and gives it back.
#[test]
fn members_that_come_back_to_a_new_server_find_their_numbers() {
    for (seed, seconds) in [(130, 15_u32), (131, 1)] {
        let mut town = Town::new(seed);
        let any =
            |town: &Town, seconds| common::town::peers_machine(town.addr, &[], SECOND * seconds, SECOND * 20);
        let homes = [town.node(), town.node(), town.node()];
        let [zero, one] = [0, 1].map(|home| {
            let machine = town.world.start(homes[home], any(&town, 15));
            town.world.run_for(ms(100));
            machine
        });
        town.world.run_for(SECOND);
        town.world.crash(town.server_node);
        town.world.partition(homes[0], town.server_node);
        town.world.partition(homes[1], town.server_node);
        town.world.start(town.server_node, common::town::server_machine(town.addr, 1));
        let newcomer = town.world.start(homes[2], any(&town, seconds));
        town.world.run_for(ms(500));
        assert_eq!(town.report(newcomer).id.as_deref(), Some("0"));
        town.world.heal(homes[1], town.server_node);
        town.world.run_for(ms(1000));
        town.world.heal(homes[0], town.server_node);
        town.finish(&[zero, one, newcomer]);
        for (machine, id) in [(zero, "0"), (one, "1"), (newcomer, "2")] {
            let report = town.assert_complete(machine);
            assert_eq!((report.id.as_deref(), report.files_expected), (Some(id), 4), "{report:#?}");
            assert_eq!(report.ticks_due, if id == "2" { u64::from(seconds) * 100 } else { 1500 });
        }
        let owners = [("0", homes[0]), ("1", homes[1]), ("2", homes[2])];
        for home in homes {
            let copies = common::town::assert_copies_are_true(&town.world, home, &owners);
            assert!(copies >= 4, "{copies}");
        }
    }
}

/// The only peer's link breaks just before the end of its run as the server sees it, and comes back
/// past that end, with something left by its own grid: the server's table of the run goes on.
#[test]
fn a_link_that_breaks_at_the_end_of_a_run_does_not_split_the_servers_table() {
    for before_end in [5, 20, 80] {
        let mut town = Town::new(140);
        let node = town.node();
        let alice = Box::new(Peers::new(PeersConfig {
            server: town.addr,
            group: "lab".parse().unwrap(),
            ids: vec![None],
            interval: Some(SECOND),
            duration: Some(SECOND * 2),
            share_deadline: Some(SECOND * 10),
        }));
        let alice = town.world.start(node, alice);
        town.world.run_for(ms(2000 - before_end));
        town.world.reset_links(town.server_node, node);
        town.finish(&[alice]);
        assert_eq!(town.assert_complete(alice).reconnects, 1);
        town.world.run_for(SECOND * 10);
        let tables = town.world.disk(town.server_node).paths().count();
        assert_eq!(tables, 1, "{before_end} ms before the end");
        assert!(town.table(town.server_node, "serverTimeData.txt").complete.is_some());
    }
}

/// Somebody asks for the name of a peer whose link is broken for a while: its run is not lost.
#[test]
fn the_name_of_a_peer_that_will_be_back_is_not_given_away() {
    let mut town = Town::new(141);
    let node = town.node();
    let alice = town.start(node, "alice", 20);
    town.world.run_for(SECOND);
    town.world.reset_links(town.server_node, node);
    town.world.run_for(ms(20));
    town.world.partition(node, town.server_node);
    let home = town.node();
    let other = town.start(home, "alice", 1);
    town.world.run_for(ms(200));
    town.world.heal(node, town.server_node);
    town.finish(&[alice, other]);
    town.assert_complete(alice);
    let report = town.report(other);
    assert!(report.problems[0].contains("alice belongs to a member that was lost at"), "{report:#?}");
}

/// Alice's link breaks before her first tick, and she comes back at once: Bob waits for her.
#[test]
fn a_link_that_breaks_before_the_first_tick_is_not_the_end() {
    let mut town = Town::new(123);
    let (_, bob) = town.peer("bob");
    town.world.run_for(ms(900));
    let node = town.node();
    let alice = town.world.start(
        node,
        Box::new(Peers::new(PeersConfig {
            server: town.addr,
            group: "lab".parse().unwrap(),
            ids: vec![Some("alice".parse().unwrap())],
            interval: Some(SECOND),
            duration: Some(SECOND * 5),
            share_deadline: Some(SECOND * 10),
        })),
    );
    town.world.run_for(ms(600));
    town.world.reset_links(town.server_node, node);
    town.finish(&[alice, bob]);
    town.assert_complete(alice);
    town.assert_complete(bob);
}

/// Bob joins while the disk is still at the table of Alice's run: that is no fault of the table.
#[test]
fn a_new_run_may_begin_while_the_last_table_is_brought_to_disk() {
    let mut town = Town::new(124);
    town.world.disk_mut(town.server_node).slow_down(SECOND * 3);
    let (_, alice) = town.peer("alice");
    town.finish(&[alice]);
    let (_, bob) = town.peer("bob");
    town.finish(&[bob]);
    town.world.shutdown(town.server_node);
    town.world.run_for(SECOND * 10);
    assert!(!town.world.is_running(town.server));
    let status = town.world.machine::<Server>(town.server).unwrap().status();
    assert_eq!((status.tables_failed, status.members_joined), (0, 2));
    let disk = town.world.disk(town.server_node);
    let paths: Vec<&str> = disk.paths().collect();
    assert_eq!(paths.len(), 2, "{paths:?}");
    for path in paths {
        assert!(table(disk, path).complete.is_some(), "{path} has no end");
    }
}

/// A tick was lost with its link in the middle of the run: nobody waits for its answer at the end.
#[test]
fn an_answer_that_can_never_come_does_not_make_a_run_longer() {
    let mut town = Town::new(150);
    let node = town.node();
    let alice = town.start(node, "alice", 3);
    town.world.run_for(SECOND);
    town.world.partition(node, town.server_node);
    town.world.run_for(ms(30));
    town.world.reset_links(town.server_node, node);
    town.world.heal(node, town.server_node);
    town.finish(&[alice]);
    let report = town.assert_complete(alice);
    assert!(report.ticks_answered < report.ticks_sent, "{report:#?}");
    let end = town.table(node, "client_alice_TimeData.txt").complete.unwrap();
    assert_eq!(end.elapsed, "3 seconds");
}

/// A disk that does everything at once, and a network on which everybody only waits.
#[derive(Default)]
struct Desk {
    dialed: Vec<SocketAddr>,
    /// Files that are ready, appended to, and finished.
    files: [Vec<FileId>; 3],
}
impl Os for Desk {
    fn perform(&mut self, effect: Effect<'_>) {
        match effect {
            Effect::Dial { addr, .. } => self.dialed.push(addr),
            Effect::Open { file, .. } | Effect::SetAside { file, .. } => self.files[0].push(file),
            Effect::Append { file, .. } => self.files[1].push(file),
            Effect::Finish { file } => self.files[2].push(file),
            _ => {}
        }
    }
}
impl Desk {
    fn tell(&mut self, peers: &mut Peers, input: Input<'_>, now: Now) {
        peers.handle_input(input, now, self);
        while let Some(which) = (0..3).find(|which| !self.files[*which].is_empty()) {
            let file = self.files[which].remove(0);
            let ready = Input::FileReady { file, bytes: 0, moved: None };
            let done = [ready, Input::Appended { file }, Input::Finished { file, moved: None }];
            peers.handle_input(done.into_iter().nth(which).unwrap(), now, self);
        }
    }
}

/// Four hundred peers in one process used up its descriptors with links and files of their pairs, and then
/// nothing could be stored any more.
#[test]
fn peers_of_one_process_share_the_places_for_dialing() {
    for (peers, expected) in [(1, 8), (512, 2), (4096, 1)] {
        let [server, own, other] =
            ["10.0.0.1:5555", "10.0.0.2:40000", "10.0.0.3:9"].map(|a| a.parse().unwrap());
        let mut peers = Peers::new(PeersConfig {
            server,
            group: "lab".parse().unwrap(),
            ids: vec![None; peers],
            interval: None,
            duration: None,
            share_deadline: Some(SECOND * 10),
        });
        let mut desk = Desk::default();
        let at = |ms: u64| Now { mono: Mono(ms * 1_000_000), wall: Wall(ms * 1_000_000) };
        let (link, origin) = (LinkId { index: 0, generation: 0 }, Origin::Dialed(DialId(0)));
        desk.tell(&mut peers, Input::Start, at(0));
        desk.tell(&mut peers, Input::LinkUp { link, origin, local: own, remote: server }, at(0));
        desk.tell(&mut peers, Input::Listening { addr: own }, at(0));
        let key = "0123456789abcdef".repeat(2);
        let list: String = (0..20).map(|n| format!("* PEER 1 z{n} {other} {key} done 0\n")).collect();
        let text = format!("TICKMESH 1 server x\n{list}OK JOIN 0 {key} 10000000 10000000 1\n");
        desk.tell(&mut peers, Input::Received { link, bytes: text.as_bytes(), at: at(1).wall }, at(1));
        for ms in 2..2000 {
            if peers.poll_timeout().is_some_and(|due| due <= at(ms).mono) {
                peers.handle_timeout(at(ms), &mut desk);
            }
            desk.tell(&mut peers, Input::Drained { link }, at(ms));
        }
        let dialed = desk.dialed.iter().filter(|addr| **addr == other).count();
        assert_eq!(dialed, expected);
    }
}
