//! Stories in the simulator about guests and the server's catalog. Alice, Bob and Carol are typed by
//! hand; Mallory too, and is not honest. Peers with a run are there to show that they do not care.

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use common::town::{Town, server_machine};
use tickmesh::proto::machine::DownReason;
use tickmesh::proto::peer::{Find, GuestConfig, Orders, Peers};
use tickmesh::proto::server::Server;
use tickmesh::sim::{ReadRate, StrangerId, World};

const SECOND: Duration = Duration::from_secs(1);

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Says something and returns what comes within a moment.
fn say(town: &mut Town, link: StrangerId, text: &str) -> String {
    town.world.write(link, text.as_bytes());
    town.world.run_for(ms(50));
    String::from_utf8(town.world.read(link)).unwrap()
}

/// Connects from a new host and says `HELLO`; returns the link and the key.
fn guest(town: &mut Town, hello: &str) -> (StrangerId, String) {
    let node = town.node();
    let link = town.world.connect(node, town.addr);
    let heard = say(town, link, &format!("{hello}\n"));
    assert!(heard.contains("\nOK HELLO "), "{heard}");
    (link, heard.trim_end().rsplit_once(' ').unwrap().1.to_owned())
}

fn hashes(count: usize) -> String {
    format!("{}\n", blake3::hash(b"chunk").to_hex()).repeat(count)
}

/// The tickets in the `SOURCE` lines about somebody.
fn tickets(heard: &str, about: &str) -> Vec<String> {
    let lines = heard.lines().map(|line| line.trim_start_matches("* ").split(' ').collect::<Vec<_>>());
    let lines = lines.filter(|words| words[0] == "SOURCE" && words[2] == about);
    lines.map(|words| words[4].to_owned()).collect()
}

/// Who came over the server's own loopback is told of as what it is: for those who are there too, and for others.
#[test]
fn a_holder_on_the_servers_host_is_told_of_where_it_can_be_reached() {
    let mut town = Town::with(72, |addr| server_machine(SocketAddr::from(([0, 0, 0, 0], addr.port())), 0));
    town.world.run_for(SECOND);
    let local = SocketAddr::from(([127, 0, 0, 1], town.addr.port()));
    let holder = town.world.connect(town.server_node, local);
    say(&mut town, holder, "HELLO holder 40000\n");
    say(&mut town, holder, &format!("REGISTER f 9 3 195 all\n{}", hashes(3)));
    let source =
        |answer: &str| answer.split_once("SOURCE f holder ").unwrap().1.split(' ').next().unwrap().to_owned();
    let (afar, _) = guest(&mut town, "HELLO afar");
    assert_eq!(source(&say(&mut town, afar, "DOWNLOAD f\n")), "10.0.0.1:40000");
    let ways = [("near", local), ("nearly", town.addr)];
    for (name, addr) in ways {
        let near = town.world.connect(town.server_node, addr);
        say(&mut town, near, &format!("HELLO {name}\n"));
        assert_eq!(source(&say(&mut town, near, "DOWNLOAD f\n")), "127.0.0.1:40000", "{name}");
    }
}

#[test]
fn who_asks_a_server_that_goes_is_told_and_does_not_wait_for_ever() {
    let mut town = Town::new(69);
    let node = town.node();
    let find = Find { name: "f".parse().unwrap(), chunks: Vec::new() };
    let carol = Peers::guest(GuestConfig {
        server: town.addr,
        group: "lab".parse().unwrap(),
        id: None,
        orders: Orders { find: Some(find), ..Orders::default() },
        upload_limit: None,
    });
    let carol = town.world.start(node, Box::new(carol));
    let greeted = |world: &World| world.machine::<Server>(town.server).unwrap().status().guests_greeted == 1;
    assert!(town.world.run_until(greeted, SECOND));
    town.world.crash(town.server_node);
    town.finish(&[carol]);
    let report = town.report(carol);
    assert!(report.problems[0].contains("is gone and did not come back"), "{report:#?}");
    assert!(town.world.machine::<Peers>(carol).unwrap().found().is_none());
}

#[test]
fn guests_share_while_a_run_is_on_and_the_run_does_not_notice() {
    let mut town = Town::new(70);
    let peers = ["0", "1"].map(|name| town.peer(name).1);
    let (alice, _) = guest(&mut town, "HELLO alice 40000");
    let (bob, _) = guest(&mut town, "HELLO *");
    assert_eq!(say(&mut town, alice, &format!("REGISTER f 9 3 195 all\n{}", hashes(3))), "OK REGISTER f 1\n");
    let answer = say(&mut town, bob, "DOWNLOAD f\n");
    assert!(answer.ends_with(&format!("OK DOWNLOAD f 9 3 195\n{}", hashes(3))), "{answer}");
    let told = say(&mut town, alice, "searchFile f\n");
    assert_eq!(tickets(&told, "guest-1"), tickets(&answer, "alice"), "both know the ticket of the pair");
    assert_eq!(tickets(&told, "guest-1").len(), 1);
    say(&mut town, bob, "HAVE f 0 2\n");
    town.world.reset(alice);
    town.world.run_for(ms(50));
    assert_eq!(say(&mut town, bob, "searchFile f\n"), "* HOLDER guest-1 3 3\nOK searchFile Available\n");
    town.finish(&peers);
    for peer in peers {
        let report = town.assert_complete(peer);
        assert_eq!((report.ticks_answered, report.files_expected), (100, 2), "{report:#?}");
    }
    assert!(!town.world.is_closed(bob), "guests stay as long as they like");
    let status = town.world.machine::<Server>(town.server).unwrap().status();
    assert_eq!((status.members_joined, status.guests_greeted), (2, 2));
}

#[test]
fn a_server_that_starts_anew_learns_everything_again_and_tickets_stay() {
    let mut town = Town::new(71);
    let (alice, alice_key) = guest(&mut town, "HELLO alice 40000");
    let (bob, bob_key) = guest(&mut town, "HELLO bob 40000");
    let register = |portion: &str| format!("REGISTER f 9 3 195 {portion}\n{}", hashes(3));
    say(&mut town, alice, &register("all"));
    let before = tickets(&say(&mut town, bob, "DOWNLOAD f\nHAVE f 1 1\n"), "alice");
    town.world.crash(town.server_node);
    town.world.run_for(SECOND);
    assert!(town.world.is_closed(alice) && town.world.is_closed(bob));
    town.world.start(town.server_node, server_machine(town.addr, 1));
    town.world.run_for(SECOND);
    // Bob comes first: he knows what the file is and holds a part of it.
    let (bob, key) = guest(&mut town, &format!("HELLO bob 40000 lab {bob_key}"));
    assert_eq!(key, bob_key);
    assert_eq!(say(&mut town, bob, &register("none")), "OK REGISTER f 0\n");
    assert_eq!(
        say(&mut town, bob, "HAVE f 1 1\nsearchChunk f 2\n"),
        "* HOLDER bob 1 3\nOK searchChunk Available\n"
    );
    let (alice, key) = guest(&mut town, &format!("HELLO alice 40000 lab {alice_key}"));
    assert_eq!(key, alice_key);
    let answer = say(&mut town, alice, &register("all"));
    assert!(answer.starts_with("OK REGISTER f 2\nSOURCE f bob "), "{answer}");
    assert_eq!(tickets(&answer, "bob"), before);
    let told = String::from_utf8(town.world.read(bob)).unwrap();
    assert_eq!(tickets(&told, "alice"), before);
}

#[test]
fn one_who_asks_and_never_reads_costs_the_others_nothing() {
    let mut town = Town::new(72);
    let peers = ["0", "1"].map(|name| town.peer(name).1);
    let (alice, _) = guest(&mut town, "HELLO alice 40000");
    let count = 8192;
    let register = format!("REGISTER f {count} 1 {} all\n{}", count * 65, hashes(count));
    assert_eq!(say(&mut town, alice, &register), "OK REGISTER f 1\n");
    // One asks in a flood, one again and again.
    let (flood, _) = guest(&mut town, "HELLO flood");
    let (drip, _) = guest(&mut town, "HELLO drip");
    for link in [flood, drip] {
        town.world.set_reading(link, ReadRate::Nothing);
    }
    town.world.write(flood, "DOWNLOAD f\n".repeat(10_000).as_bytes());
    for _ in 0..20 {
        town.world.write(drip, b"DOWNLOAD f\n");
        town.world.run_for(ms(20));
    }
    town.world.run_for(SECOND);
    let answer = say(&mut town, alice, "searchFile f\n");
    assert!(answer.ends_with("* HOLDER alice 8192 8192\nOK searchFile Available\n"), "{answer}");
    assert!(tickets(&answer, "flood").len() == 1 && tickets(&answer, "drip").len() == 1);
    for link in [flood, drip] {
        town.world.set_reading(link, ReadRate::Full);
    }
    town.world.run_for(SECOND * 5);
    assert!(town.world.is_closed(flood) && town.world.is_closed(drip));
    town.finish(&peers);
    for peer in peers {
        assert_eq!(town.assert_complete(peer).ticks_answered, 100);
    }
}

/// A link whose owner does not read what it is told unprompted fills its queue, and is closed.
#[test]
fn a_holder_that_never_reads_is_let_go_when_its_queue_is_full() {
    let mut town = Town::new(73);
    let (mute, _) = guest(&mut town, "HELLO mute 40000");
    let name = "f".repeat(128);
    say(&mut town, mute, &format!("REGISTER {name} 9 3 195 all\n{}", hashes(3)));
    town.world.set_reading(mute, ReadRate::Nothing);
    let node = town.node();
    for _ in 0..6000 {
        let link = town.world.connect(node, town.addr);
        town.world.write(link, format!("HELLO *\nDOWNLOAD {name}\nBYE x\n").as_bytes());
        town.world.run_for(ms(2));
    }
    town.world.run_for(SECOND);
    assert_eq!(town.world.stats().downs.get(&DownReason::QueueFull), Some(&1));
    let (alice, _) = guest(&mut town, "HELLO alice");
    assert_eq!(
        say(&mut town, alice, &format!("searchFile {name}\n")),
        "OK searchFile Not available\n",
        "who cannot be told anything is not offered"
    );
}

#[test]
fn names_are_for_one_and_what_is_no_name_is_refused() {
    let mut town = Town::new(74);
    let (_, peer) = town.peer("alice");
    town.world.run_for(ms(100));
    let node = town.node();
    let mallory = town.world.connect(node, town.addr);
    let answer = say(&mut town, mallory, "HELLO alice\n");
    assert!(answer.contains("\nERR id-taken alice is taken by 10.0.0.2:"), "{answer}");
    for (line, expected) in [
        ("searchFile f", "ERR out-of-place HELLO name comes first\n"),
        ("HELLO ../../x", "ERR bad-argument name\n"),
        ("HELLO a/b", "ERR bad-argument name\n"),
        ("HELLO a 99999", "ERR bad-argument port\n"),
        ("HELLO 5", "ERR bad-argument numbers are for members with a run; choose a name\n"),
    ] {
        assert_eq!(say(&mut town, mallory, &format!("{line}\n")), expected, "{line}");
    }
    let first = guest(&mut town, "HELLO bob").0;
    assert!(say(&mut town, mallory, "HELLO bob\n").starts_with("ERR id-taken bob is taken by 10.0.0."));
    say(&mut town, first, "BYE x\n");
    assert!(say(&mut town, mallory, "HELLO bob\n").starts_with("OK HELLO bob "));
    town.finish(&[peer]);
    town.assert_complete(peer);
}

/// Every line costs the loop a moment, and some are never answered: nobody may say them without end.
#[test]
fn who_floods_the_server_with_lines_about_files_is_sent_away() {
    let mut town = Town::new(79);
    let (alice, _) = guest(&mut town, "HELLO alice 40000");
    let (eve, _) = guest(&mut town, "HELLO eve 40000");
    let files: String = (0..3000).map(|number| format!("REGISTER f{number} 0 1 0 all\n")).collect();
    for files in files.as_bytes().chunks(1000) {
        town.world.write(alice, files);
        town.world.run_for(ms(1));
    }
    say(&mut town, alice, &format!("REGISTER f 9 3 195 none\n{}", hashes(3)));
    // As much as somebody honest has to say who gets a file in a second.
    for _ in 0..40 {
        say(&mut town, alice, &"HAVE f 0 0\n".repeat(50));
    }
    assert!(!town.world.is_closed(alice), "what is new is welcome, and so is what has come");
    assert!(say(&mut town, eve, "DOWNLOAD f\n").contains("OK DOWNLOAD f "));
    let heard = say(&mut town, eve, &"HAVE f 0 0\n".repeat(20_000));
    assert_eq!(heard, "ERR too-fast lines come faster than 2000 a second\n");
    assert!(town.world.is_closed(eve));
    assert_eq!(town.world.machine::<Server>(town.server).unwrap().status().links_too_fast, 1);
}
