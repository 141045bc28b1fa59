//! Users at client machines: logging in, each command and its answers, messages that are shown once, and how a
//! session ends.

mod common;

use std::time::Duration;

use common::console::{Console, add_accounts};
use common::town::{Town, server_machine};

const SECOND: Duration = Duration::from_secs(1);

fn town(seed: u64) -> Town {
    let mut town = Town::new(seed);
    add_accounts(&mut town.world, town.server_node, &["alice", "bob", "carol"]);
    town.world.run_for(2 * SECOND);
    town
}

fn three(town: &mut Town) -> [Console; 3] {
    ["alice", "bob", "carol"].map(|name| {
        let mut console = Console::new(town, name);
        console.expect(town, &format!("LOGIN {name} 0"));
        console
    })
}

#[test]
fn each_command_is_answered_and_what_others_say_is_shown() {
    let mut town = town(1);
    let [mut alice, mut bob, mut carol] = three(&mut town);
    alice.expect(&mut town, "ONLINE bob");
    alice.expect(&mut town, "ONLINE carol");
    assert_eq!(alice.says(&mut town, "message bob hello there", "OK message"), "OK message delivered");
    bob.expect(&mut town, "MESSAGE alice hello there");
    alice.says(&mut town, "%bob%100%", "OK message delivered");
    bob.expect(&mut town, "MESSAGE alice 100%");
    alice.says(&mut town, "broadcast to all", "OK broadcast all");
    carol.expect(&mut town, "BROADCAST alice to all");
    alice.types(&mut town, "whoelse");
    alice.expect(&mut town, "* USER bob");
    alice.expect(&mut town, "* USER carol");
    alice.expect(&mut town, "OK whoelse 2");
    alice.says(&mut town, "whoelsesince 60", "OK whoelsesince 2");
    bob.says(&mut town, "block alice", "OK block alice");
    alice.says(&mut town, "message bob psst", "ERR blocked-you");
    alice.says(&mut town, "broadcast more", "OK broadcast some");
    bob.says(&mut town, "unblock alice", "OK unblock alice");
    bob.says(&mut town, "unblock alice", "ERR not-blocked");
    for (line, answer) in [
        ("message nobody hi", "ERR unknown-user"),
        ("message alice hi", "ERR yourself"),
        ("message bob", "ERR empty-text"),
        ("whoelsesince soon", "ERR bad-argument"),
        ("hello", "ERR unknown-verb"),
        ("private bob hi", "ERR no-private"),
        ("stopprivate bob", "ERR no-private"),
        ("searchFile a.txt", "OK searchFile Not available"),
        ("searchChunk a.txt 1", "ERR unknown-file"),
        ("download a.txt", "ERR unknown-file"),
        ("register a.txt", "ERR local-disk"),
    ] {
        alice.says(&mut town, line, answer);
    }
    carol.says(&mut town, "logout", "OK logout");
    carol.expect(&mut town, "ENDED logged out");
    assert!(carol.is_complete(&town.world));
    alice.expect(&mut town, "OFFLINE carol");
}

#[test]
fn many_commands_at_once_are_answered_in_order() {
    let mut town = town(2);
    let mut alice = Console::new(&mut town, "alice");
    // Before the login is through, and in pieces.
    town.world.type_at(alice.machine, b"whoelse\nwhoel");
    town.world.type_at(alice.machine, b"sesince 5\nnonsense\n\nmessage bob 1\nmess");
    town.world.type_at(alice.machine, b"age bob 2\nlogout");
    town.world.end_typing(alice.machine);
    alice.expect(&mut town, "LOGIN alice 0");
    for line in
        ["OK whoelse 0", "OK whoelsesince 0", "ERR unknown-verb", "OK message kept", "OK message kept"]
    {
        alice.expect(&mut town, line);
    }
    alice.expect(&mut town, "OK logout");
    alice.expect(&mut town, "ENDED");
    let mut bob = Console::new(&mut town, "bob");
    bob.expect(&mut town, "LOGIN bob 2");
    bob.expect(&mut town, "MESSAGE alice 1");
    bob.expect(&mut town, "MESSAGE alice 2");
}

#[test]
fn the_end_of_what_is_typed_is_the_end_after_the_last_answer() {
    let mut town = town(3);
    let mut alice = Console::new(&mut town, "alice");
    alice.says(&mut town, "message bob 1", "OK message kept");
    let mut bob = Console::new(&mut town, "bob");
    bob.types(&mut town, "whoelse");
    town.world.end_typing(bob.machine);
    for line in ["LOGIN bob 1", "MESSAGE alice 1", "ENDED"] {
        bob.expect(&mut town, line);
    }
    alice.expect(&mut town, "OFFLINE bob");
    assert!(!town.world.is_running(bob.machine));
}

#[test]
fn a_login_that_is_refused_is_the_end() {
    let mut town = town(4);
    let mut stranger = Console::new(&mut town, "dora");
    stranger.expect(&mut town, "REFUSED wrong-password");
    town.world.run_for(SECOND);
    assert!(!town.world.is_running(stranger.machine));
    let [_alice, ..] = three(&mut town);
    let mut second = Console::new(&mut town, "alice");
    second.expect(&mut town, "REFUSED already-online");
    let mut guest = Console::guest(&mut town, "alice");
    guest.expect(&mut town, "REFUSED id-taken");
}

#[test]
fn a_guest_talks_and_has_nothing_else() {
    let mut town = town(5);
    let [mut alice, ..] = three(&mut town);
    let mut guest = Console::guest(&mut town, "visitor");
    guest.expect(&mut town, "LOGIN visitor 0");
    guest.says(&mut town, "message alice hi", "OK message delivered");
    alice.expect(&mut town, "MESSAGE visitor hi");
    alice.says(&mut town, "message visitor welcome", "OK message delivered");
    guest.expect(&mut town, "MESSAGE alice welcome");
    for command in ["register a", "download a", "private alice hi", "stopprivate alice", "startprivate alice"]
    {
        guest.says(&mut town, command, "ERR guests-cannot");
    }
    alice.says(&mut town, "startprivate visitor", "ERR guests-cannot");
}

#[test]
fn messages_are_shown_once_by_a_program_that_remembers() {
    let mut town = town(6);
    let [mut alice, mut bob, _carol] = three(&mut town);
    alice.says(&mut town, "message bob 1", "OK message delivered");
    bob.expect(&mut town, "MESSAGE alice 1");
    // It has shown the message, and dies before it can say so.
    town.world.crash(bob.node);
    town.world.run_for(SECOND);
    alice.says(&mut town, "message bob 2", "OK message kept");
    bob.start(&mut town);
    bob.expect(&mut town, "LOGIN bob 2");
    bob.expect(&mut town, "MESSAGE alice 2");
    assert!(!bob.lines.iter().any(|line| line.starts_with("MESSAGE")), "{:?}", bob.lines);
    // Who remembers nothing sees only what was not acknowledged.
    town.world.run_for(SECOND);
    town.world.crash(bob.node);
    town.world.run_for(SECOND);
    bob.seen = None;
    bob.start(&mut town);
    bob.expect(&mut town, "LOGIN bob 0");
}

#[test]
fn a_client_comes_back_to_a_server_that_was_away() {
    let mut town = town(7);
    let [mut alice, mut bob, _carol] = three(&mut town);
    alice.types(&mut town, "message bob is it there?");
    town.world.crash(town.server_node);
    alice.expect(&mut town, "LOST");
    alice.expect(&mut town, "ERR server-lost the connection broke");
    alice.says(&mut town, "whoelse", "ERR server-lost the server is gone");
    town.world.run_for(3 * SECOND);
    let (addr, node) = (town.addr, town.server_node);
    town.world.start(node, server_machine(addr, 1));
    alice.expect(&mut town, "LOGIN alice 0");
    bob.expect(&mut town, "LOGIN bob 0");
    alice.says(&mut town, "message bob again", "OK message");
    bob.expect(&mut town, "MESSAGE alice again");
}

#[test]
fn a_script_of_any_speed_is_never_too_fast() {
    let mut town = town(9);
    let mut alice = Console::script(&mut town, "alice");
    alice.expect(&mut town, "LOGIN");
    let (node, server) = (alice.node, town.server_node);
    for (from, to) in [(node, server), (server, node)] {
        town.world.set_latency(from, to, Duration::ZERO..=Duration::ZERO);
    }
    let before = town.world.now();
    town.world.type_at(alice.machine, "whoelse\n".repeat(6000).as_bytes());
    town.world.run_for(2 * SECOND);
    alice.look(&town.world);
    assert!(alice.lines.len() > 2048, "a burst first: {}", alice.lines.len());
    town.world.run_for(2 * SECOND);
    alice.look(&town.world);
    assert_eq!(alice.lines, vec!["OK whoelse 0"; 6000]);
    assert!(town.world.now() - before < 5 * SECOND);
}

#[test]
fn commands_of_a_script_wait_for_a_server_that_is_gone_but_not_for_ever() {
    let mut town = town(10);
    let mut alice = Console::script(&mut town, "alice");
    alice.expect(&mut town, "LOGIN");
    let (addr, node) = (town.addr, town.server_node);
    town.world.crash(node);
    alice.expect(&mut town, "LOST");
    alice.types(&mut town, "whoelse");
    alice.types(&mut town, "message bob are you there?");
    alice.types(&mut town, "nonsense");
    town.world.run_for(20 * SECOND);
    alice.look(&town.world);
    assert!(alice.lines.is_empty(), "{:?}", alice.lines);
    town.world.start(node, server_machine(addr, 1));
    for line in ["LOGIN alice 0", "OK whoelse 0", "OK message kept", "ERR unknown-verb"] {
        alice.expect(&mut town, line);
    }
    town.world.crash(node);
    alice.expect(&mut town, "LOST");
    town.world.run_for(60 * SECOND);
    alice.types(&mut town, "whoelse");
    town.world.run_for(20 * SECOND);
    alice.types(&mut town, "whoelsesince 5");
    town.world.run_for(9 * SECOND);
    alice.look(&town.world);
    assert!(alice.lines.is_empty(), "{:?}", alice.lines);
    town.world.run_for(2 * SECOND);
    alice.look(&town.world);
    let lost = "ERR server-lost the server is gone; trying to reach it again";
    assert_eq!(alice.lines, [lost, lost], "those that were there are refused together");
    alice.lines.clear();
    alice.types(&mut town, "message bob 2");
    town.world.end_typing(alice.machine);
    town.world.run_for(20 * SECOND);
    town.world.start(node, server_machine(addr, 2));
    for line in ["LOGIN alice 0", "OK message kept", "ENDED"] {
        alice.expect(&mut town, line);
    }
}

#[test]
fn who_says_nothing_for_long_is_logged_out_and_stays_out() {
    let mut town = town(8);
    let [mut alice, ..] = three(&mut town);
    town.world.run_for(Duration::from_secs(599));
    assert!(town.world.is_running(alice.machine));
    alice.lines.clear();
    alice.expect(&mut town, "ENDED the server has logged you out: you said nothing for");
    assert!(!alice.is_complete(&town.world));
}

/// It was offered, and the server has to hear that it is not any more; of what it knows from an earlier session it hears nothing.
#[test]
fn a_file_that_cannot_be_offered_again_is_given_up_and_not_before_it_was_offered() {
    let mut town = town(12);
    let [mut alice, mut bob, _] = three(&mut town);
    for name in ["a.txt", "b.txt"] {
        town.world.disk_mut(alice.node).write(name, b"of alice");
        town.world.disk_mut(bob.node).write(name, b"of bob");
        alice.says(&mut town, &format!("register {name}"), &format!("OK register {name} 1"));
    }
    town.world.disk_mut(alice.node).remove("a.txt");
    alice.says(&mut town, "register a.txt", "ERR local-disk");
    town.world.run_for(SECOND);
    bob.says(&mut town, "searchFile a.txt", "OK searchFile Not available");
    bob.says(&mut town, "register a.txt", "OK register a.txt 1");
    bob.says(&mut town, "register b.txt", "ERR file-differs");
    town.world.crash(alice.node);
    town.world.disk_mut(alice.node).remove("b.txt");
    alice.start(&mut town);
    alice.expect(&mut town, "LOGIN");
    alice.says(&mut town, "register b.txt", "ERR local-disk");
    town.world.run_for(SECOND);
    bob.says(&mut town, "register b.txt", "ERR file-differs");
}

/// The server has its user as one who holds what came of it, until it hears that this is over.
#[test]
fn a_download_that_is_given_up_is_withdrawn() {
    let mut town = town(13);
    let [mut alice, mut bob, mut carol] = three(&mut town);
    town.world.disk_mut(alice.node).write("a.txt", b"all of this is a");
    alice.says(&mut town, "register a.txt 4", "OK register a.txt 1");
    carol.says(&mut town, "download a.txt 2", "OK download a.txt");
    carol.expect(&mut town, "FILE a.txt Fetching 1");
    town.world.crash(alice.node);
    bob.says(&mut town, "download a.txt", "OK download a.txt");
    town.world.run_for(5 * SECOND);
    let holders = |town: &mut Town, carol: &mut Console| {
        carol.lines.clear();
        carol.types(town, "searchFile a.txt");
        town.world.run_for(SECOND);
        carol.look(&town.world);
        carol.lines.iter().filter(|line| line.starts_with("* HOLDER ")).cloned().collect::<Vec<_>>()
    };
    assert_eq!(holders(&mut town, &mut carol), ["* HOLDER bob 1 4", "* HOLDER carol 1 4"]);
    bob.expect(&mut town, "FILE a.txt was not got: ");
    town.world.run_for(SECOND);
    assert_eq!(holders(&mut town, &mut carol), ["* HOLDER carol 1 4"]);
}
