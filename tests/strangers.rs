//! Stories in the simulator about those who are not honest, not quick, or not even peers. Alice and
//! Bob are; Mallory is not.

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use common::town::{Town, assert_copies_are_true, peers_machine};
use tickmesh::proto::machine::{CloseReason, Effect, Input, Machine, Os};
use tickmesh::proto::time::{Mono, Now};
use tickmesh::sim::{NodeId, StrangerId};

const SECOND: Duration = Duration::from_secs(1);

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Mallory joins the group as member 0, has nothing to do, and learns Bob's address and ticket.
fn mallory(town: &mut Town) -> (NodeId, StrangerId, String, SocketAddr) {
    let node = town.node();
    let link = town.world.connect(node, town.addr);
    town.world.write(link, b"JOIN lab 0 9 10000000 10000000\nDONE 0 0\n");
    town.world.run_for(ms(1500));
    let heard = String::from_utf8(town.world.read(link)).unwrap();
    let line = heard
        .lines()
        .rfind(|line| line.contains("PEER ") && line.contains(" bob "))
        .unwrap_or_else(|| panic!("{heard}"));
    let words: Vec<&str> = line.trim_start_matches("* ").split(' ').collect();
    (node, link, words[4].to_owned(), words[3].parse().unwrap())
}

/// What Bob says to whoever connects and says this.
fn say_to_bob(town: &mut Town, node: NodeId, addr: SocketAddr, text: &str) -> (StrangerId, String) {
    let link = town.world.connect(node, addr);
    town.world.write(link, text.as_bytes());
    town.world.run_for(ms(50));
    let heard = town.world.read(link);
    (link, String::from_utf8_lossy(&heard).into_owned())
}

#[test]
fn nobody_can_claim_anothers_name_on_a_direct_link() {
    let mut town = Town::new(26);
    let (_, alice) = town.peer("alice");
    let (bob_node, bob) = town.peer("bob");
    let (node, _, ticket, addr) = mallory(&mut town);
    for (claim, expected) in [
        (format!("LINK lab alice bob {ticket}\n"), "ERR wrong-ticket "),
        (format!("LINK lab 0 bob {}\n", "0".repeat(32)), "ERR wrong-ticket "),
        (format!("LINK lab nobody bob {ticket}\n"), "ERR unknown-member "),
        (format!("LINK lab 0 carol {ticket}\n"), "ERR unknown-member "),
        (format!("LINK other 0 bob {ticket}\n"), "ERR unknown-member "),
        ("GET client_bob_TimeData.txt 0\n".to_owned(), "ERR out-of-place "),
        ("GET ../../etc/passwd 0\n".to_owned(), "ERR bad-argument "),
        ("\u{0}\u{1}\u{2}\n".to_owned(), "ERR bad-text "),
        ("x".repeat(10_000), "ERR line-too-long "),
    ] {
        let (link, heard) = say_to_bob(&mut town, node, addr, &claim);
        assert!(heard.contains(expected), "{claim:?}: {heard:?}");
        town.world.run_for(SECOND);
        assert!(town.world.is_closed(link), "{claim:?}");
    }
    town.finish(&[alice, bob]);
    assert_eq!(town.report(bob).files_received, 2, "alice's files, and nothing of Mallory's");
    assert_eq!(town.world.disk(bob_node).paths().filter(|path| path.contains("client_0")).count(), 0);
}

#[test]
fn offers_and_chunks_that_lie_are_never_stored() {
    let hash = blake3::hash(b"right").to_hex();
    let file = "client_0_TimeData.txt";
    for (seed, lie, expected) in [
        (
            30,
            format!("OFFER {file} 5 5 130\n"),
            "ERR bad-argument 130 octets cannot be the hashes of 1 chunks",
        ),
        (
            31,
            format!("OFFER {file} 18446744073709551615 1 65\n"),
            "ERR bad-argument a file has at most 1099511627776 bytes, not 18446744073709551615",
        ),
        (
            44,
            format!("OFFER {file} 1099511627776 1 65\n"),
            "ERR bad-argument a file has at most 8192 chunks, not 1099511627776",
        ),
        (32, format!("OFFER {file} 5 0 0\n"), "ERR bad-argument chunks of 0 bytes"),
        (33, format!("OFFER {file} 5 99999999999 65\n"), "ERR bad-argument chunks of 99999999999 bytes"),
        (34, format!("OFFER {file} 5 5 65\n{}", "x".repeat(65)), "ERR bad-argument hash 0 is not"),
        (
            35,
            "OFFER client_alice_TimeData.txt 5 5 65\n".to_owned(),
            "ERR unknown-file client_alice_TimeData.txt is no record of 0",
        ),
        (36, format!("OFFER ../{file} 5 5 65\n"), "ERR bad-argument file"),
        (
            37,
            format!("OFFER {file} 5 5 65\n{hash}\nCHUNK {file} 0 5\nwrong"),
            "ERR bad-argument chunk 0 failed its hash",
        ),
        (
            38,
            format!("OFFER {file} 5 5 65\n{hash}\nCHUNK {file} 0 6\nright!"),
            "ERR bad-argument chunk 0 has 6 bytes, not 5",
        ),
        (
            39,
            format!("OFFER {file} 5 5 65\n{hash}\nCHUNK {file} 1 5\nright"),
            "ERR bad-argument chunk 1 was not asked for",
        ),
        (
            40,
            format!("CHUNK {file} 0 5\nright"),
            "ERR out-of-place client_0_TimeData.txt is not being fetched",
        ),
        (41, "GET client_bob_TimeData.txt 7\n".to_owned(), "ERR unknown-file I have no chunk 7"),
        (
            42,
            "GOT client_carol_TimeData.txt\n".to_owned(),
            "ERR unknown-file client_carol_TimeData.txt is not mine",
        ),
        (
            54,
            format!("OFFER {file} 5 5 65\n{hash}\nOFFER {file} 6 6 65\n{hash}\n"),
            "ERR bad-argument client_0_TimeData.txt was something else when first offered",
        ),
        (43, "TOCK 1 2 3 4\n".to_owned(), "ERR out-of-place TOCK is not said between members"),
    ] {
        let mut town = Town::new(seed);
        let (alice_node, alice) = town.peer("alice");
        let (bob_node, bob) = town.peer("bob");
        let (node, _, ticket, addr) = mallory(&mut town);
        for round in 0..3 {
            let (link, heard) = say_to_bob(&mut town, node, addr, &format!("LINK lab 0 bob {ticket}\n{lie}"));
            assert!(
                heard.contains("OK LINK zstd\n") && heard.contains(expected),
                "round {round}, {lie:?}: {heard:?}"
            );
            town.world.run_for(SECOND);
            assert!(town.world.is_closed(link), "{lie:?}");
        }
        town.finish(&[alice, bob]);
        let report = town.report(bob);
        assert_eq!(report.outcome, "missing files", "{lie:?}");
        assert_eq!(report.files_received, 2);
        assert_eq!(report.ticks_missed, 0);
        assert_copies_are_true(&town.world, bob_node, &[("alice", alice_node), ("bob", bob_node)]);
        assert!(town.world.stats().closes[&CloseReason::Misbehaved] >= 3);
    }
}

/// A server that says what it likes.
struct Liar {
    addr: SocketAddr,
    says: Vec<u8>,
}

impl Machine for Liar {
    fn handle_input(&mut self, input: Input<'_>, _now: Now, os: &mut dyn Os) {
        match input {
            Input::Start => os.perform(Effect::Listen { addr: self.addr }),
            Input::LinkUp { link, .. } => os.perform(Effect::Send { link, bytes: &self.says }),
            _ => {}
        }
    }

    fn handle_timeout(&mut self, _now: Now, _os: &mut dyn Os) {}

    fn poll_timeout(&self) -> Option<Mono> {
        None
    }
}

#[test]
fn a_server_that_asks_for_nonsense_or_is_none_is_left() {
    let key = "0".repeat(32);
    let hello = "TICKMESH 1 server x\n";
    for (says, expected) in [
        (format!("{hello}OK JOIN alice {key} 0 1000000000 1\n"), "the server asks for ticks every 0s for 1s"),
        (
            format!("{hello}OK JOIN alice {key} 10000000 999999999999999999 1\n"),
            "the server asks for ticks every 10ms for 277777h",
        ),
        (format!("{hello}ERR limit-reached no room\n"), "the server refused: no room (limit-reached)"),
        ("TICKMESH 2 server x\n".to_owned(), "expected a server of version 1, found server 2 (x)"),
        ("TICKMESH 1 peer x\n".to_owned(), "expected a server of version 1, found peer 1 (x)"),
        ("SSH-2.0-OpenSSH_9\r\n".to_owned(), "it does not answer as a tickmesh server"),
        (String::new(), "it does not answer as a tickmesh server"),
        ("x".repeat(100_000), "it sent a line of more than 4096 bytes"),
    ] {
        let mut town = Town::new(50);
        let node = town.node();
        let addr = town.world.addr(node, 5555);
        town.world.start(node, Box::new(Liar { addr, says: says.clone().into_bytes() }));
        let home = town.node();
        let alice = town.world.start(home, peers_machine(addr, &["alice"], SECOND, SECOND));
        town.finish(&[alice]);
        let report = town.report(alice);
        assert_eq!(report.outcome, "failed", "{says:.60}");
        assert!(report.problems[0].contains(expected), "{says:.60}: {report:?}");
        assert!(town.world.now() < SECOND * 30);
    }
}

#[test]
fn a_holder_that_goes_silent_is_not_waited_for_without_end() {
    let mut town = Town::new(44);
    let (_, bob) = town.peer("bob");
    let (node, _, ticket, addr) = mallory(&mut town);
    let hash = blake3::hash(b"right").to_hex();
    let (link, heard) = say_to_bob(
        &mut town,
        node,
        addr,
        &format!(
            "LINK lab 0 bob {ticket}\nOFFER client_0_TimeData.txt 5 5 65\n{hash}\nCHUNK client_0_TimeData.txt 0 5\nri"
        ),
    );
    assert!(heard.contains("GET client_0_TimeData.txt 0\n"), "{heard}");
    town.finish(&[bob]);
    town.world.run_for(SECOND);
    assert!(town.world.is_closed(link));
    assert_eq!(town.report(bob).outcome, "missing files");
}

#[test]
fn a_slow_stranger_and_a_mute_one_cost_the_others_nothing() {
    let mut town = Town::new(45);
    let (_, alice) = town.peer("alice");
    let node = town.node();
    let mute: Vec<StrangerId> = (0..50).map(|_| town.world.connect(node, town.addr)).collect();
    let slow = town.world.connect(node, town.addr);
    for _ in 0..70 {
        town.world.write(slow, b"J");
        town.world.run_for(SECOND);
    }
    assert!(town.world.is_closed(slow), "a byte a second is no greeting");
    assert!(mute.iter().all(|link| town.world.is_closed(*link)));
    town.finish(&[alice]);
    assert_eq!(town.assert_complete(alice).ticks_answered, 100);
}
