//! Two users at client machines who talk over a link of their own, and all ends of that: stop, logout, crash, a
//! server that is gone, a block. And files by command, over the same links.

mod common;

use std::time::Duration;

use common::console::{Console, PASSWORD, SALT, add_accounts};
use common::town::{Town, server_machine};
use tickmesh::proto::accounts::Password;
use tickmesh::proto::accounts::scram::ClientExchange;
use tickmesh::sim::{NodeConfig, swarm};

const SECOND: Duration = Duration::from_secs(1);

fn pair(seed: u64) -> (Town, Console, Console) {
    let mut town = Town::new(seed);
    add_accounts(&mut town.world, town.server_node, &["alice", "bob", "carol"]);
    town.world.run_for(2 * SECOND);
    let (mut alice, mut bob) = (Console::new(&mut town, "alice"), Console::new(&mut town, "bob"));
    alice.expect(&mut town, "LOGIN");
    bob.expect(&mut town, "LOGIN");
    (town, alice, bob)
}

/// The two have a private link.
fn linked(seed: u64) -> (Town, Console, Console) {
    let (mut town, mut alice, mut bob) = pair(seed);
    alice.says(&mut town, "startprivate bob", "OK startprivate bob");
    bob.expect(&mut town, "PRIVATE alice open");
    (town, alice, bob)
}

fn talk(town: &mut Town, from: &mut Console, to: &mut Console, text: &str) {
    from.says(town, &format!("private {} {text}", to.name), &format!("OK private {}", to.name));
    to.expect(town, &format!("PRIVATE {} says {text}", from.name));
}

fn restart_server(town: &mut Town, life: u8) {
    let (addr, node) = (town.addr, town.server_node);
    town.world.start(node, server_machine(addr, life));
}

#[test]
fn two_users_talk_in_both_directions() {
    let (mut town, mut alice, mut bob) = linked(1);
    talk(&mut town, &mut alice, &mut bob, "hi");
    talk(&mut town, &mut bob, &mut alice, "  100% of it ");
    // Asked again, nothing changes.
    bob.says(&mut town, "startprivate alice", "OK startprivate alice");
    talk(&mut town, &mut alice, &mut bob, "still here");
    alice.says(&mut town, "private carol hi", "ERR no-private");
    alice.says(&mut town, "startprivate alice", "ERR yourself");
    alice.says(&mut town, "startprivate carol", "ERR offline");
    alice.says(&mut town, "startprivate nobody", "ERR unknown-user");
}

#[test]
fn an_answer_says_that_it_was_shown() {
    let (mut town, mut alice, mut bob) = linked(2);
    bob.turn(&mut town.world, false);
    alice.types(&mut town, "private bob hi");
    town.world.run_for(5 * SECOND);
    alice.look(&town.world);
    assert!(!alice.lines.iter().any(|line| line.starts_with("OK private")), "{:?}", alice.lines);
    bob.turn(&mut town.world, true);
    alice.expect(&mut town, "OK private bob");
    bob.expect(&mut town, "PRIVATE alice says hi");
    // Somebody who never looks is given up.
    bob.turn(&mut town.world, false);
    alice.says(&mut town, "private bob hi", "ERR offline the connection broke; it is not known");
    alice.expect(&mut town, "PRIVATE bob closed");
}

#[test]
fn whoever_stops_it_the_other_is_told_and_it_can_begin_again() {
    let (mut town, mut alice, mut bob) = linked(3);
    alice.says(&mut town, "stopprivate bob", "OK stopprivate bob");
    bob.expect(&mut town, "PRIVATE alice closed: the other one has ended it");
    alice.says(&mut town, "private bob hi", "ERR no-private");
    bob.says(&mut town, "private alice hi", "ERR no-private");
    bob.says(&mut town, "stopprivate alice", "ERR no-private");
    for round in 0..20 {
        let (one, other) = if round % 2 == 0 { (&mut alice, &mut bob) } else { (&mut bob, &mut alice) };
        // All at once, so that the next begins while the end of the last is on its way.
        let name = other.name;
        for line in ["startprivate", "stopprivate", "startprivate"] {
            one.types(&mut town, &format!("{line} {name}"));
        }
        for line in ["OK startprivate", "OK stopprivate", "OK startprivate"] {
            one.expect(&mut town, line);
        }
        talk(&mut town, one, other, "here");
        talk(&mut town, other, one, "here too");
        other.says(&mut town, &format!("stopprivate {}", one.name), "OK stopprivate");
        one.expect(&mut town, &format!("PRIVATE {name} closed"));
        town.world.run_for(2 * SECOND);
    }
}

#[test]
fn both_may_start_at_once() {
    swarm(0..64, |world| {
        let seed = world.seed();
        let (mut town, mut alice, mut bob) = pair(seed);
        let wait = Duration::from_micros(seed * 50);
        alice.types(&mut town, "startprivate bob");
        town.world.run_for(wait);
        bob.types(&mut town, "startprivate alice");
        alice.expect(&mut town, "OK startprivate bob");
        bob.expect(&mut town, "OK startprivate alice");
        talk(&mut town, &mut alice, &mut bob, "one");
        talk(&mut town, &mut bob, &mut alice, "two");
    });
}

#[test]
fn who_logs_out_or_dies_ends_it() {
    let (mut town, mut alice, mut bob) = linked(4);
    bob.says(&mut town, "logout", "OK logout");
    alice.expect(&mut town, "PRIVATE bob closed");
    alice.says(&mut town, "private bob hi", "ERR no-private");

    let (mut town, mut alice, bob) = linked(5);
    town.world.crash(bob.node);
    alice.expect(&mut town, "PRIVATE bob closed");
    // It is another life, and another link.
    let mut bob = bob;
    bob.start(&mut town);
    bob.expect(&mut town, "LOGIN bob");
    bob.says(&mut town, "private alice hi", "ERR no-private");
    bob.says(&mut town, "startprivate alice", "OK startprivate alice");
    talk(&mut town, &mut alice, &mut bob, "again");

    // A host that is silent is found out, although nothing is said.
    town.world.power_loss(bob.node);
    let before = town.world.now();
    alice.expect(&mut town, "PRIVATE bob closed");
    assert!(town.world.now() - before < 30 * SECOND);
}

#[test]
fn what_is_private_does_not_need_the_server() {
    let (mut town, mut alice, mut bob) = linked(6);
    town.world.crash(town.server_node);
    alice.expect(&mut town, "LOST");
    bob.expect(&mut town, "LOST");
    talk(&mut town, &mut alice, &mut bob, "is it down?");
    talk(&mut town, &mut bob, &mut alice, "it is");
    town.world.run_for(60 * SECOND);
    talk(&mut town, &mut alice, &mut bob, "still");
    restart_server(&mut town, 1);
    alice.expect(&mut town, "LOGIN");
    bob.expect(&mut town, "LOGIN");
    talk(&mut town, &mut alice, &mut bob, "and now it is back");
    alice.says(&mut town, "stopprivate bob", "OK stopprivate bob");
    bob.expect(&mut town, "PRIVATE alice closed");
    // The server has forgotten the ticket; it deals out another one.
    bob.says(&mut town, "startprivate alice", "OK startprivate alice");
    talk(&mut town, &mut alice, &mut bob, "anew");
}

#[test]
fn a_block_lets_an_open_link_be_and_no_new_one_begin() {
    let (mut town, mut alice, mut bob) = linked(7);
    bob.says(&mut town, "block alice", "OK block alice");
    talk(&mut town, &mut alice, &mut bob, "you have blocked me");
    alice.says(&mut town, "message bob hi", "ERR blocked-you");
    alice.says(&mut town, "stopprivate bob", "OK stopprivate bob");
    bob.expect(&mut town, "PRIVATE alice closed");
    alice.says(&mut town, "startprivate bob", "ERR blocked-you");
    bob.says(&mut town, "startprivate alice", "ERR you-blocked");
}

/// Says that it is that user, to the server, and asks for a private link with bob. What the server says to that.
fn ticket_of(town: &mut Town, user: &str) -> String {
    let node = town.node();
    let link = town.world.connect(node, town.addr);
    let mut say = |line: &str| {
        town.world.write(link, line.as_bytes());
        town.world.run_for(SECOND);
        String::from_utf8(town.world.read(link)).unwrap().lines().last().unwrap().to_owned()
    };
    let (text, exchange) = ClientExchange::begin(user.parse().unwrap(), &[7; 18]);
    let challenge = say(&format!("AUTH SCRAM-SHA-256 0 {text}\n"));
    let challenge = exchange.challenged(challenge.strip_prefix("OK AUTH ").unwrap()).unwrap();
    let (text, _) = challenge.respond(&Password::prepare(PASSWORD).unwrap().salted(&SALT, 4096));
    say(&format!("AUTH {text}\n"));
    say("startprivate bob\n")
}

#[test]
fn who_is_blocked_opens_no_link_with_a_ticket_from_before() {
    let mut town = Town::new(13);
    add_accounts(&mut town.world, town.server_node, &["alice", "bob"]);
    town.world.run_for(2 * SECOND);
    let mut bob = Console::new(&mut town, "bob");
    bob.expect(&mut town, "LOGIN");
    let answer = ticket_of(&mut town, "alice");
    let ticket = answer.rsplit(' ').next().unwrap().to_owned();
    assert_eq!(ticket.len(), 32, "{answer}");
    let addr = town.world.listeners(bob.node).next().unwrap();
    let node = town.node();
    let link = |town: &mut Town| {
        let link = town.world.connect(node, addr);
        town.world.write(link, format!("LINK lab alice bob {ticket}\n").as_bytes());
        town.world.run_for(SECOND);
        (link, String::from_utf8(town.world.read(link)).unwrap())
    };
    town.world.disk_mut(bob.node).write("a.txt", b"abc");
    bob.says(&mut town, "register a.txt 1", "OK register");
    let (open, heard) = link(&mut town);
    assert!(heard.contains("OK LINK"), "{heard}");
    for (line, answer) in [("block alice", "OK block"), ("block alice", "ERR already-blocked")] {
        bob.says(&mut town, line, answer);
        let (closed, heard) = link(&mut town);
        assert!(heard.contains("ERR blocked-you I have blocked you") && !heard.contains("OK"), "{heard}");
        assert!(town.world.is_closed(closed));
    }
    // Over the one that is up nothing begins that had not begun.
    town.world.write(open, b"GET a.txt 0\n");
    town.world.run_for(SECOND);
    let heard = String::from_utf8(town.world.read(open)).unwrap();
    assert!(heard.ends_with("DENY a.txt 0\n"), "{heard}");
    bob.says(&mut town, "unblock alice", "OK unblock");
    town.world.write(open, b"GET a.txt 0\n");
    town.world.run_for(SECOND);
    let heard = String::from_utf8(town.world.read(open)).unwrap();
    assert!(heard.ends_with("CHUNK a.txt 0 3\nabc"), "{heard}");
    let (_, heard) = link(&mut town);
    assert!(heard.contains("OK LINK"), "{heard}");
}

#[test]
fn who_is_blocked_gets_no_more_of_a_file_when_the_link_breaks() {
    let (mut town, mut alice, mut bob) = pair(14);
    let content: Vec<u8> = (0..8_000_000u32).flat_map(|word| word.to_le_bytes()).collect();
    town.world.disk_mut(bob.node).write("big.bin", &content);
    bob.says(&mut town, "register big.bin 100", "OK register big.bin 1");
    alice.says(&mut town, "download big.bin", "OK download big.bin");
    town.world.run_for(Duration::from_millis(50));
    bob.types(&mut town, "block alice");
    town.world.run_for(Duration::from_millis(50));
    bob.expect(&mut town, "OK block");
    town.world.reset_links(alice.node, bob.node);
    town.world.run_for(20 * SECOND);
    alice.look(&town.world);
    assert!(alice.lines.is_empty(), "it has not come: {:?}", alice.lines);
    bob.says(&mut town, "unblock alice", "OK unblock alice");
    alice.expect(&mut town, "FILE big.bin Whole 100");
    assert_eq!(town.world.disk(alice.node).read("big.bin"), Some(&content[..]));
}

#[test]
fn a_talk_outlives_the_links_to_the_server() {
    let (mut town, mut alice, mut bob) = linked(15);
    for _ in 0..3 {
        town.world.reset_links(alice.node, town.server_node);
        alice.expect(&mut town, "LOST");
        talk(&mut town, &mut alice, &mut bob, "are you there?");
        alice.expect(&mut town, "LOGIN");
        talk(&mut town, &mut bob, &mut alice, "I am");
    }
    town.world.partition(alice.node, town.server_node);
    town.world.run_for(120 * SECOND);
    alice.expect(&mut town, "LOST");
    bob.expect(&mut town, "OFFLINE alice");
    talk(&mut town, &mut bob, &mut alice, "the server does not see you");
    town.world.heal(alice.node, town.server_node);
    alice.expect(&mut town, "LOGIN");
    let closed = |console: &Console| console.lines.iter().any(|line| line.contains("closed"));
    assert!(!closed(&alice) && !closed(&bob), "{:?} {:?}", alice.lines, bob.lines);
    // The server has forgotten it; the two have not.
    bob.says(&mut town, "stopprivate alice", "OK stopprivate alice");
    alice.expect(&mut town, "PRIVATE bob closed");
    bob.says(&mut town, "startprivate alice", "OK startprivate alice");
    talk(&mut town, &mut alice, &mut bob, "again");
}

#[test]
fn nobody_comes_in_with_a_wrong_ticket_or_without_the_servers_word() {
    let (mut town, mut alice, mut bob) = linked(8);
    let addr = town.world.listeners(bob.node).next().unwrap();
    let node = town.world.add_node(&NodeConfig::new([10, 0, 0, 200]));
    let ticket = "0123456789abcdef0123456789abcdef";
    for (name, answer) in [("alice", "ERR wrong-ticket"), ("carol", "ERR unknown-member")] {
        let stranger = town.world.connect(node, addr);
        let line = format!("LINK lab {name} bob {ticket}\nstartprivate\nprivate I am {name}\n");
        town.world.write(stranger, line.as_bytes());
        town.world.run_for(SECOND);
        let heard = String::from_utf8(town.world.read(stranger)).unwrap();
        assert!(heard.contains(answer) && !heard.contains("OK"), "{heard}");
        assert!(town.world.is_closed(stranger));
    }
    for line in ["startprivate\n", "private hi\n"] {
        let stranger = town.world.connect(node, addr);
        town.world.write(stranger, line.as_bytes());
        town.world.run_for(SECOND);
        let heard = String::from_utf8(town.world.read(stranger)).unwrap();
        assert!(heard.contains("ERR out-of-place LINK comes first"), "{heard}");
    }
    bob.look(&town.world);
    assert!(!bob.lines.iter().any(|line| line.contains("I am")), "{:?}", bob.lines);
    talk(&mut town, &mut alice, &mut bob, "it is me");
}

#[test]
fn two_who_cannot_reach_each_other_are_told_so() {
    let (mut town, mut alice, bob) = pair(9);
    town.world.partition(alice.node, bob.node);
    alice.says(&mut town, "startprivate bob", "ERR not-reachable");
    alice.says(&mut town, "whoelse", "OK whoelse 1");
    town.world.heal(alice.node, bob.node);
    let mut bob = bob;
    alice.says(&mut town, "startprivate bob", "OK startprivate bob");
    talk(&mut town, &mut alice, &mut bob, "there you are");
}

#[test]
fn a_link_is_used_for_a_file_and_for_talk() {
    let (mut town, mut alice, mut bob) = linked(10);
    let content: Vec<u8> = (0..3_000_000u32).flat_map(|word| word.to_le_bytes()).collect();
    town.world.disk_mut(alice.node).write("big.bin", &content);
    alice.says(&mut town, "register big.bin 100", "OK register big.bin 1");
    bob.says(&mut town, "searchFile big.bin", "* HOLDER alice 100 100");
    bob.expect(&mut town, "OK searchFile Available");
    bob.says(&mut town, "download big.bin", "OK download big.bin");
    for text in 0..20 {
        talk(&mut town, &mut alice, &mut bob, &text.to_string());
        talk(&mut town, &mut bob, &mut alice, &text.to_string());
    }
    // The end of the talk is not the end of the file.
    bob.says(&mut town, "stopprivate alice", "OK stopprivate alice");
    bob.expect(&mut town, "FILE big.bin Whole 100");
    assert_eq!(town.world.disk(bob.node).read("big.bin"), Some(&content[..]));
    let links = town.world.stats().links;
    bob.says(&mut town, "startprivate alice", "OK startprivate alice");
    assert_eq!(town.world.stats().links, links, "one link for the pair");
}

/// What a `register` that fails would have replaced stays as it was, for the server and for others.
#[test]
fn a_register_that_fails_leaves_what_was_offered() {
    let (mut town, mut alice, mut bob) = pair(12);
    let mut carol = Console::new(&mut town, "carol");
    carol.expect(&mut town, "LOGIN");
    let content = b"all of this is a";
    for node in [alice.node, bob.node] {
        town.world.disk_mut(node).write("a.txt", content);
    }
    alice.says(&mut town, "register a.txt 4", "OK register a.txt 1");
    bob.says(&mut town, "register a.txt 4", "OK register a.txt 2");
    for (command, why) in [
        ("register a.txt 7", "ERR local-disk cannot be offered: 16 bytes cannot be cut into 7 chunks"),
        ("register a.txt 2", "ERR file-differs another file is called a.txt already; bob holds it; "),
    ] {
        let said = alice.says(&mut town, command, why);
        assert!(said.ends_with("; it is offered as before"), "{said}");
        assert_eq!(
            said.contains("(searchFile says how many that one has)"),
            why.contains("differs"),
            "{said}"
        );
        town.world.run_for(SECOND);
        alice.look(&town.world);
        assert!(!alice.lines.iter().any(|line| line.starts_with("FILE")), "{:?}", alice.lines);
    }
    town.world.crash(bob.node);
    carol.expect(&mut town, "OFFLINE bob");
    carol.says(&mut town, "searchFile a.txt", "* HOLDER alice 4 4");
    carol.says(&mut town, "download a.txt", "OK download a.txt");
    carol.expect(&mut town, "FILE a.txt Whole 4");
    carol.says(&mut town, "logout", "OK logout");
    // Unless it is gone: then nobody is told of it any more.
    town.world.disk_mut(alice.node).remove("a.txt");
    let said = alice.says(&mut town, "register a.txt 2", "ERR local-disk cannot be offered: ");
    assert!(!said.contains("as before"), "{said}");
    town.world.run_for(SECOND);
    alice.says(&mut town, "searchFile a.txt", "OK searchFile Not available");
}

#[test]
fn files_by_command() {
    let (mut town, mut alice, mut bob) = pair(11);
    let mut carol = Console::new(&mut town, "carol");
    carol.expect(&mut town, "LOGIN");
    for (node, name, content) in [
        (alice.node, "a.txt", &b"all of this is a"[..]),
        (alice.node, "b.txt", b"and this is b"),
        (bob.node, "a.txt", b"something else"),
    ] {
        town.world.disk_mut(node).write(name, content);
    }
    alice.says(&mut town, "register a.txt 4", "OK register a.txt 1");
    alice.says(&mut town, "register b.txt", "OK register b.txt 1");
    bob.says(&mut town, "register a.txt 4", "ERR file-differs");
    bob.says(&mut town, "download a.txt 5", "ERR unknown-chunk");
    carol.says(&mut town, "download a.txt 2", "OK download a.txt");
    carol.expect(&mut town, "FILE a.txt Fetching 1");
    carol.says(&mut town, "searchChunk a.txt 2", "* HOLDER alice 4 4");
    carol.expect(&mut town, "* HOLDER carol 1 4");
    carol.expect(&mut town, "OK searchChunk Available");
    carol.says(&mut town, "searchChunk a.txt 9", "ERR unknown-chunk");
    // Several at once, and the rest of one of which a chunk is here.
    carol.types(&mut town, "download b.txt");
    carol.types(&mut town, "download a.txt 3");
    carol.types(&mut town, "download a.txt");
    carol.types(&mut town, "download nothing.txt");
    for line in ["OK download b.txt", "OK download a.txt", "OK download a.txt", "ERR unknown-file"] {
        carol.expect(&mut town, line);
    }
    town.world.run_for(5 * SECOND);
    assert_eq!(town.world.disk(carol.node).read("a.txt"), Some(&b"all of this is a"[..]));
    assert_eq!(town.world.disk(carol.node).read("b.txt"), Some(&b"and this is b"[..]));
    carol.says(&mut town, "download a.txt", "OK download a.txt");
    carol.expect(&mut town, "FILE a.txt Whole 4");
    // It is here, so it is a source.
    town.world.crash(alice.node);
    bob.types(&mut town, "download b.txt");
    bob.expect(&mut town, "OK download b.txt");
    town.world.end_typing(bob.machine);
    bob.expect(&mut town, "FILE b.txt Whole 1");
    bob.expect(&mut town, "ENDED");
}

#[test]
fn a_download_that_nobody_can_finish_fails_alone() {
    let (mut town, mut alice, mut bob) = pair(12);
    town.world.disk_mut(alice.node).write("a.txt", &vec![7; 10_000_000]);
    alice.says(&mut town, "register a.txt 50", "OK register a.txt 1");
    bob.says(&mut town, "download a.txt", "OK download a.txt");
    town.world.crash(alice.node);
    town.world.run_for(30 * SECOND);
    bob.expect(&mut town, "FILE a.txt was not got: nobody who holds the rest of a.txt");
    bob.says(&mut town, "whoelse", "OK whoelse 0");
    alice.start(&mut town);
    alice.says(&mut town, "register a.txt 50", "OK register a.txt");
    bob.says(&mut town, "download a.txt", "OK download a.txt");
    bob.expect(&mut town, "FILE a.txt Whole 50");
}
