//! People who talk to each other over a server, each at a link that is typed by hand: what they are told, what
//! is refused, and what becomes of messages when links break.

mod common;

use std::time::Duration;

use common::town::{Town, server_machine};
use tickmesh::proto::server::Server;
use tickmesh::sim::{ReadRate, StrangerId};

const SECOND: Duration = Duration::from_secs(1);

/// Types something, and returns what is there a moment later.
fn say(town: &mut Town, link: StrangerId, text: &str) -> String {
    town.world.write(link, text.as_bytes());
    town.world.run_for(Duration::from_millis(60));
    hear(town, link)
}

fn hear(town: &mut Town, link: StrangerId) -> String {
    String::from_utf8(town.world.read(link)).unwrap()
}

/// Connects from a host of its own, and hears the greeting.
fn connect(town: &mut Town) -> StrangerId {
    let node = town.node();
    let link = town.world.connect(node, town.addr);
    assert!(say(town, link, "").starts_with("TICKMESH 1 server "));
    link
}

/// Somebody without an account.
fn guest(town: &mut Town, name: &str) -> StrangerId {
    let link = connect(town);
    let heard = say(town, link, &format!("HELLO {name}\n"));
    assert!(heard.starts_with("OK HELLO "), "{heard}");
    link
}

#[test]
fn two_strangers_talk_and_a_third_hears_what_is_for_all() {
    let mut town = Town::new(1);
    let alice = guest(&mut town, "alice");
    let bob = guest(&mut town, "bob");
    let carol = guest(&mut town, "*");
    assert_eq!(hear(&mut town, alice), "ONLINE bob\nONLINE guest-1\n");
    assert_eq!(hear(&mut town, bob), "ONLINE guest-1\n");
    assert_eq!(say(&mut town, alice, "message bob good evening\n"), "OK message delivered\n");
    assert_eq!(hear(&mut town, bob), "MESSAGE alice good evening\n");
    assert_eq!(say(&mut town, bob, "%alice%it is 100% dark % already\n"), "OK message delivered\n");
    assert_eq!(hear(&mut town, alice), "MESSAGE bob it is 100% dark % already\n");
    assert_eq!(say(&mut town, bob, "broadcast who is there?\n"), "OK broadcast all\n");
    assert_eq!(hear(&mut town, alice), "BROADCAST bob who is there?\n");
    assert_eq!(hear(&mut town, carol), "BROADCAST bob who is there?\n");
    assert_eq!(say(&mut town, bob, "whoelse\n"), "* USER alice\n* USER guest-1\nOK whoelse 2\n");
    assert_eq!(say(&mut town, carol, "logout\n"), "OK logout\n");
    assert!(town.world.is_closed(carol));
    assert_eq!(hear(&mut town, bob), "OFFLINE guest-1\n");
    assert_eq!(say(&mut town, bob, "whoelse\n"), "* USER alice\nOK whoelse 1\n");
    let since = say(&mut town, bob, "whoelsesince 1000000\n");
    assert_eq!(since, "* USER alice\n* USER guest-1\nOK whoelsesince 2\n");
    town.world.run_for(3 * SECOND);
    assert_eq!(say(&mut town, bob, "whoelsesince 2\n"), "* USER alice\nOK whoelsesince 1\n");
    town.world.reset(alice);
    town.world.run_for(SECOND);
    assert_eq!(hear(&mut town, bob), "OFFLINE alice\n");
    let counts = town.world.machine::<Server>(town.server).unwrap().messages();
    assert_eq!((counts.logins, counts.sent, counts.broadcasts), (3, 2, 1));
}

#[test]
fn each_mistake_is_told_to_whom_it_made_and_ends_nothing() {
    let mut town = Town::new(2);
    let alice = guest(&mut town, "alice");
    let bob = guest(&mut town, "bob");
    let gone = guest(&mut town, "gone");
    town.world.close(gone);
    hear(&mut town, alice);
    let long = format!("message bob {}", "x".repeat(4000));
    for (line, code) in [
        ("message nobody hello", "unknown-user"),
        ("%nobody%hello", "unknown-user"),
        ("%%hello", "unknown-user"),
        ("message bob!! hello", "unknown-user"),
        ("message gone hello", "offline"),
        ("message alice hello", "yourself"),
        ("%alice%hello", "yourself"),
        ("message bob", "empty-text"),
        ("message bob   ", "empty-text"),
        ("%bob%", "empty-text"),
        ("broadcast", "empty-text"),
        ("broadcast  ", "empty-text"),
        (&long, "text-too-long"),
        ("whoelsesince soon", "bad-argument"),
        ("whoelsesince -1", "bad-argument"),
        ("whoelsesince", "bad-argument"),
        ("block alice", "yourself"),
        ("block nobody", "unknown-user"),
        ("unblock bob", "not-blocked"),
        ("block", "bad-argument"),
        ("startprivate bob", "guests-cannot"),
        ("startprivate alice", "yourself"),
        ("startprivate nobody", "unknown-user"),
        ("stopprivate bob", "no-private"),
        ("stopprivate", "bad-argument"),
        ("private bob hello", "bad-argument"),
        ("MESSAGE bob hello", "out-of-place"),
        ("%bob", "unknown-verb"),
    ] {
        // Those that only a program gets wrong are counted.
        let alice =
            if code.starts_with("bad") || code.starts_with("un") { guest(&mut town, "*") } else { alice };
        town.world.run_for(SECOND);
        hear(&mut town, alice);
        let heard = say(&mut town, alice, &format!("{line}\n"));
        assert!(heard.starts_with(&format!("ERR {code} ")) && heard.lines().count() == 1, "{line}: {heard}");
        assert!(!town.world.is_closed(alice), "{line}");
    }
    assert!(!hear(&mut town, bob).contains("MESSAGE"), "nothing came of all that");
}

#[test]
fn nobody_talks_before_he_says_who_he_is_nor_twice() {
    let mut town = Town::new(3);
    for line in [
        "message bob hello",
        "%bob%hello",
        "broadcast hello",
        "whoelse",
        "whoelsesince 5",
        "block bob",
        "unblock bob",
        "logout",
        "ACK 1",
    ] {
        let link = connect(&mut town);
        let heard = say(&mut town, link, &format!("{line}\n"));
        assert_eq!(heard, "ERR not-logged-in you are not logged in\n", "{line}");
    }
    let bob = guest(&mut town, "bob");
    assert!(say(&mut town, bob, "HELLO carol\n").starts_with("ERR out-of-place "));
    let other = connect(&mut town);
    assert!(say(&mut town, other, "HELLO bob\n").starts_with("ERR id-taken "));
    assert!(say(&mut town, other, "whoelse\n").starts_with("ERR not-logged-in "));
}

#[test]
fn programs_that_share_files_are_not_among_those_who_talk() {
    let mut town = Town::new(4);
    let program = connect(&mut town);
    assert!(say(&mut town, program, "HELLO box 4000\n").starts_with("OK HELLO box "));
    let other = connect(&mut town);
    assert!(say(&mut town, other, "HELLO * 0 lab\n").starts_with("OK HELLO guest-1 "));
    let alice = guest(&mut town, "alice");
    assert_eq!(say(&mut town, alice, "broadcast hello\n"), "OK broadcast all\n");
    assert_eq!(say(&mut town, alice, "whoelse\n"), "OK whoelse 0\n");
    assert!(say(&mut town, alice, "message box hello\n").starts_with("ERR unknown-user "));
    assert_eq!(say(&mut town, alice, "logout\n"), "OK logout\n");
    assert_eq!(hear(&mut town, program) + &hear(&mut town, other), "", "they hear of nobody");
    assert!(say(&mut town, program, "message alice hello\n").starts_with("ERR not-logged-in "));
}

#[test]
fn a_block_holds_everywhere_until_one_of_them_has_gone() {
    let mut town = Town::new(5);
    let alice = guest(&mut town, "alice");
    let bob = guest(&mut town, "bob");
    let carol = guest(&mut town, "carol");
    hear(&mut town, alice);
    assert_eq!(say(&mut town, bob, "block alice\n"), "OK block alice\n".replace("OK", "ONLINE carol\nOK"));
    assert_eq!(hear(&mut town, alice), "", "she is not told");
    assert!(say(&mut town, bob, "block alice\n").starts_with("ERR already-blocked "));
    assert!(say(&mut town, alice, "message bob hello\n").starts_with("ERR blocked-you "));
    assert_eq!(say(&mut town, alice, "broadcast hello\n"), "OK broadcast some\n");
    assert_eq!(hear(&mut town, carol), "BROADCAST alice hello\n");
    assert_eq!(hear(&mut town, bob), "");
    assert_eq!(say(&mut town, alice, "whoelse\n"), "* USER carol\nOK whoelse 1\n");
    assert_eq!(say(&mut town, alice, "whoelsesince 1000\n"), "* USER carol\nOK whoelsesince 1\n");
    assert_eq!(say(&mut town, bob, "message alice hello\n"), "OK message delivered\n");
    assert_eq!(hear(&mut town, alice), "MESSAGE bob hello\n");
    assert_eq!(say(&mut town, bob, "unblock alice\n"), "OK unblock alice\n");
    assert_eq!(say(&mut town, alice, "message bob hello\n"), "OK message delivered\n");
    assert_eq!(say(&mut town, bob, "block alice\n"), "MESSAGE alice hello\nOK block alice\n");
    town.world.close(bob);
    town.world.run_for(SECOND);
    assert_eq!(hear(&mut town, alice), "", "she does not see him go");
    assert_eq!(hear(&mut town, carol), "OFFLINE bob\n");
    guest(&mut town, "bob");
    assert_eq!(hear(&mut town, alice), "ONLINE bob\n", "this may be somebody else");
}

#[test]
fn who_says_nothing_for_long_is_sent_away_and_hearing_does_not_count() {
    let mut town = Town::new(6);
    let alice = guest(&mut town, "alice");
    let bob = guest(&mut town, "bob");
    for minute in 0..10 {
        town.world.run_for(Duration::from_secs(59));
        assert!(!town.world.is_closed(bob), "{minute}");
        assert_eq!(say(&mut town, alice, "message bob hello\n").lines().last(), Some("OK message delivered"));
        // That is said by a program.
        assert_eq!(say(&mut town, bob, "WITHDRAW f\n").lines().last(), Some("OK WITHDRAW f"));
    }
    town.world.run_for(Duration::from_secs(20));
    assert!(town.world.is_closed(bob));
    assert_eq!(hear(&mut town, bob).lines().last(), Some("BYE you said nothing for 10m"));
    assert_eq!(hear(&mut town, alice), "OFFLINE bob\n");
}

#[test]
fn a_flood_is_slowed_in_its_order_and_then_the_link_is_closed() {
    let mut town = Town::new(7);
    let alice = guest(&mut town, "alice");
    let bob = guest(&mut town, "bob");
    hear(&mut town, alice);
    let lines: String = (0..50).map(|number| format!("message bob {number}\n")).collect();
    town.world.write(alice, (lines + "whoelse\n").as_bytes());
    town.world.run_for(SECOND);
    let said = hear(&mut town, alice).lines().count();
    assert!((20..30).contains(&said), "{said} of 50 in the first second");
    assert_eq!(say(&mut town, bob, "message alice stop\n").lines().last(), Some("OK message delivered"));
    town.world.run_for(10 * SECOND);
    let answers = hear(&mut town, alice);
    assert!(answers.ends_with("OK message delivered\n* USER bob\nOK whoelse 1\n"), "{answers}");
    let numbers: Vec<String> = (0..50).map(|number| format!("MESSAGE alice {number}")).collect();
    assert!(hear(&mut town, bob).lines().eq(numbers[said..].iter().map(String::as_str)) || said > 0);
    let flood = format!("message bob {}\n", "x".repeat(3000)).repeat(60);
    town.world.write(alice, flood.as_bytes());
    town.world.run_for(10 * SECOND);
    assert!(town.world.is_closed(alice));
    assert!(hear(&mut town, alice).ends_with("ERR too-fast too much was said while earlier lines waited\n"));
    assert!(!town.world.is_closed(bob));
}

#[test]
fn a_reader_who_takes_nothing_delays_nobody_and_is_closed_at_a_bound() {
    let mut town = Town::new(8);
    let slow = guest(&mut town, "slow");
    town.world.set_reading(slow, ReadRate::Nothing);
    let talkers: Vec<StrangerId> =
        (0..8).map(|number| guest(&mut town, &format!("talker{number}"))).collect();
    let text = format!("message slow {}\nmessage talker0 hello\n", "x".repeat(3900));
    let mut is_gone = false;
    for _ in 0..100 {
        for talker in &talkers {
            let heard = say(&mut town, *talker, &text);
            is_gone |= heard.contains("ERR offline ");
            assert!(is_gone || heard.contains("OK message delivered\n"), "{heard}");
        }
        town.world.run_for(SECOND);
    }
    assert!(is_gone, "at a bound the link is closed");
}

#[test]
fn a_server_that_starts_anew_knows_no_guest() {
    let mut town = Town::new(9);
    let alice = guest(&mut town, "alice");
    town.world.crash(town.server_node);
    town.world.run_for(SECOND);
    assert!(town.world.is_closed(alice));
    town.server = town.world.start(town.server_node, server_machine(town.addr, 1));
    town.world.run_for(SECOND);
    let bob = guest(&mut town, "alice");
    assert_eq!(say(&mut town, bob, "whoelsesince 1000\n"), "OK whoelsesince 0\n");
    town.world.shutdown(town.server_node);
    town.world.run_for(SECOND);
    assert_eq!(hear(&mut town, bob), "BYE the server stops\n");
}

#[test]
fn commands_may_come_in_any_pieces() {
    let mut town = Town::new(10);
    let alice = guest(&mut town, "alice");
    let bob = guest(&mut town, "bob");
    hear(&mut town, alice);
    for byte in "message bob one\r\n%bob%two\nwhoelse\n".bytes() {
        town.world.write(alice, &[byte]);
        town.world.run_for(Duration::from_millis(10));
    }
    let answers = "OK message delivered\nOK message delivered\n* USER bob\nOK whoelse 1\n";
    assert_eq!(hear(&mut town, alice), answers);
    assert_eq!(hear(&mut town, bob), "MESSAGE alice one\nMESSAGE alice two\n");
    assert_eq!(say(&mut town, alice, "message bob one\r\n%bob%two\nwhoelse\n"), answers);
    let long = "x".repeat(1_000_000);
    town.world.write(alice, long.as_bytes());
    town.world.run_for(SECOND);
    assert!(town.world.is_closed(alice));
    assert!(hear(&mut town, alice).starts_with("ERR line-too-long "));
    assert!(hear(&mut town, bob).ends_with("OFFLINE alice\n"));
}

#[test]
fn a_list_goes_on_behind_a_name() {
    let mut town = Town::new(11);
    let [_, _, carol, dave] = ["alice", "bob", "carol", "dave"].map(|name| guest(&mut town, name));
    hear(&mut town, dave);
    assert_eq!(say(&mut town, dave, "whoelse alice\n"), "* USER bob\n* USER carol\nOK whoelse 2\n");
    assert_eq!(say(&mut town, dave, "whoelse zoe\n"), "OK whoelse 0\n", "nobody need have the name");
    town.world.close(carol);
    town.world.run_for(SECOND);
    hear(&mut town, dave);
    assert_eq!(
        say(&mut town, dave, "whoelsesince 60 alice\n"),
        "* USER bob\n* USER carol\nOK whoelsesince 2\n"
    );
    assert_eq!(say(&mut town, dave, "whoelsesince 60 bob\n"), "* USER carol\nOK whoelsesince 1\n");
    assert_eq!(
        say(&mut town, dave, "whoelsesince 60 carol\n"),
        "OK whoelsesince 0\n",
        "the one who has gone"
    );
    assert!(say(&mut town, dave, "whoelsesince 60 zoe\n").starts_with("ERR unknown-user "));
    assert!(say(&mut town, dave, "whoelse bob carol\n").starts_with("ERR bad-argument "));
}

#[test]
fn a_guest_who_comes_again_under_another_name_talks_no_faster() {
    let mut town = Town::new(12);
    let bob = guest(&mut town, "bob");
    let node = town.node();
    let mut said = 0;
    for number in 0..10 {
        let link = town.world.connect(node, town.addr);
        say(&mut town, link, &format!("HELLO g{number}\n"));
        let lines = "message bob hello\n".repeat(20);
        said += say(&mut town, link, &lines).matches("OK message delivered\n").count();
        town.world.close(link);
        town.world.run_for(Duration::from_millis(20));
    }
    assert!((20..32).contains(&said), "{said} of 200 in about two seconds");
    assert_eq!(hear(&mut town, bob).matches("MESSAGE ").count(), said);
    town.world.run_for(10 * SECOND);
    let link = town.world.connect(node, town.addr);
    say(&mut town, link, "HELLO late\n");
    let heard = say(&mut town, link, &"message bob hello\n".repeat(20));
    assert_eq!(heard.matches("OK message delivered\n").count(), 20, "that is forgotten soon");
}
