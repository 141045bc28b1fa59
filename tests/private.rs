//! Private links as the server sees them: who is told where whom, and who is not; what ends them.

mod common;

use std::time::Duration;

use common::hall::{Hall, name, verifier};
use tickmesh::proto::machine::Change;

const SECOND: Duration = Duration::from_secs(1);

/// The address and the ticket in a line.
fn told<'a>(line: &'a str, start: &str) -> (&'a str, &'a str) {
    let rest = line.strip_prefix(start).unwrap_or_else(|| panic!("{line:?} and not {start:?}"));
    rest.trim_end().split_once(' ').unwrap_or_else(|| panic!("{line:?}"))
}

#[test]
fn both_are_told_where_the_other_is_and_have_the_same_ticket_as_for_files() {
    let mut hall = Hall::new(1);
    let (alice, _) = hall.auth("alice");
    let (bob, _) = hall.auth("bob");
    let (carol, _) = hall.login("carol");
    for link in [alice, bob] {
        hall.hear(link);
    }
    let answer = hall.say(alice, "startprivate bob\n");
    let news = hall.hear(bob);
    let (bobs, ticket) = told(&answer, "OK startprivate bob ");
    let (alices, same) = told(&news, "PRIVATE alice ");
    assert_eq!((bobs, alices), ("10.0.0.3:4000", "10.0.0.2:4000"));
    assert_eq!((ticket, ticket.len()), (same, 32));
    assert_eq!(hall.hear(carol), "", "nobody else is told");
    let again = hall.say(bob, "startprivate alice\n");
    assert_eq!(told(&again, "OK startprivate alice "), (alices, ticket), "either may begin anew");
    assert_eq!(told(&hall.hear(alice), "PRIVATE bob "), (bobs, ticket));
    let hash = blake3::hash(b"chunk").to_hex();
    assert_eq!(hall.say(alice, &format!("REGISTER f 5 5 65 all\n{hash}\n")), "OK REGISTER f 1\n");
    let source = hall.say(bob, "DOWNLOAD f\n");
    let line = source.lines().next().unwrap();
    assert_eq!(told(line, "* SOURCE f alice "), (alices, ticket), "one link does for both");
}

#[test]
fn a_user_who_types_can_dial_and_two_of_them_have_no_way() {
    let mut hall = Hall::new(2);
    let (alice, _) = hall.login("alice");
    let (bob, _) = hall.auth("bob");
    let (carol, _) = hall.login("carol");
    hall.hear(alice);
    let answer = hall.say(alice, "startprivate bob\n");
    let (addr, _) = told(&answer, "OK startprivate bob ");
    assert_eq!(addr, "10.0.0.2:4000");
    let news = hall.hear(bob);
    let (addr, _) = told(news.lines().last().unwrap(), "PRIVATE alice ");
    assert_eq!(addr, "127.0.0.1:0", "she will dial");
    assert!(hall.say(alice, "startprivate carol\n").starts_with("ERR not-reachable neither of you can be "));
    assert_eq!(hall.hear(carol), "", "she is not told");
    assert!(hall.say(carol, "stopprivate alice\n").starts_with("ERR no-private "), "nothing was begun");
}

#[test]
fn it_is_refused_with_a_reason_and_shows_nobody_an_address() {
    let mut hall = Hall::new(3);
    let stranger = hall.connect();
    for line in ["startprivate bob\n", "stopprivate bob\n"] {
        assert!(hall.say(stranger, line).starts_with("ERR not-logged-in "), "{line}");
    }
    hall.say(stranger, "HELLO visitor\n");
    let (alice, _) = hall.auth("alice");
    for (line, error) in [
        ("startprivate bob", "offline that user is offline"),
        ("startprivate alice", "yourself that is you"),
        ("startprivate nobody", "unknown-user there is no user of that name"),
        ("startprivate no%body", "unknown-user there is no user of that name"),
        ("startprivate visitor", "guests-cannot guests have no private links"),
        ("stopprivate nobody", "unknown-user there is no user of that name"),
        ("stopprivate bob", "no-private you have no private link with that user"),
    ] {
        assert_eq!(hall.say(alice, &format!("{line}\n")), format!("ERR {error}\n"), "{line}");
    }
    let (bob, _) = hall.auth("bob");
    assert!(
        hall.say(stranger, "startprivate bob\n")
            .ends_with("ERR guests-cannot guests have no private links\n")
    );
    assert_eq!(hall.say(bob, "block alice\n"), "OK block alice\n");
    assert_eq!(
        hall.say(alice, "startprivate bob\n").lines().last(),
        Some("ERR blocked-you that user has blocked you")
    );
    assert_eq!(hall.say(bob, "startprivate alice\n"), "ERR you-blocked you have blocked that user\n");
    let heard = hall.hear(alice) + &hall.hear(bob) + &hall.hear(stranger);
    assert!(!heard.contains("PRIVATE") && !heard.contains("4000"), "{heard}");
}

#[test]
fn every_end_that_somebody_wants_is_told_to_the_other_one() {
    let mut hall = Hall::new(4);
    let (bob, _) = hall.auth("bob");
    let begin = |hall: &mut Hall, how: &str| {
        let (alice, _) = hall.auth("alice");
        assert!(hall.say(alice, "startprivate bob\n").starts_with("OK startprivate bob "), "{how}");
        assert!(hall.hear(bob).contains("PRIVATE alice "), "{how}");
        alice
    };
    let alice = begin(&mut hall, "stop");
    assert_eq!(hall.say(alice, "stopprivate bob\n"), "OK stopprivate bob\n");
    assert_eq!(hall.hear(bob), "STOPPRIVATE alice\n");
    assert!(hall.say(alice, "stopprivate bob\n").starts_with("ERR no-private "));
    assert!(hall.say(alice, "startprivate bob\n").starts_with("OK startprivate bob "));
    assert!(hall.say(bob, "stopprivate alice\n").ends_with("OK stopprivate alice\n"));
    assert_eq!(hall.hear(alice), "STOPPRIVATE bob\n", "either may");
    assert!(hall.say(alice, "startprivate bob\n").starts_with("OK startprivate bob "));
    hall.hear(bob);
    assert_eq!(hall.say(alice, "logout\n"), "OK logout\n");
    assert_eq!(hall.hear(bob), "STOPPRIVATE alice\nOFFLINE alice\n");
    let alice = begin(&mut hall, "a link that breaks");
    hall.world.reset(alice);
    hall.world.run_for(SECOND);
    assert_eq!(hall.hear(bob), "OFFLINE alice\n", "what they have goes on without the server");
    assert!(hall.say(bob, "stopprivate alice\n").starts_with("ERR no-private "));
    begin(&mut hall, "silence");
    let mut heard = String::new();
    for _ in 0..11 {
        heard += &hall.say(bob, "whoelse\n");
        hall.world.run_for(60 * SECOND);
    }
    assert!(heard.contains("STOPPRIVATE alice\nOFFLINE alice\n"), "{heard}");
    begin(&mut hall, "an operator");
    hall.world.store_mut(hall.node).change(&Change::RemoveAccount { name: name("alice") });
    hall.world.run_for(3 * SECOND);
    assert_eq!(hall.hear(bob), "STOPPRIVATE alice\nOFFLINE alice\n");
}

#[test]
fn a_block_leaves_an_open_one_and_nothing_new_starts() {
    let mut hall = Hall::new(5);
    let (alice, _) = hall.auth("alice");
    let (bob, _) = hall.auth("bob");
    assert!(hall.say(alice, "startprivate bob\n").contains("OK startprivate bob "));
    hall.hear(bob);
    assert_eq!(hall.say(bob, "block alice\n"), "OK block alice\n");
    assert_eq!(hall.hear(alice), "", "it stays, and she is not told");
    assert!(hall.say(alice, "startprivate bob\n").starts_with("ERR blocked-you "), "also not anew");
    assert_eq!(hall.say(alice, "stopprivate bob\n"), "OK stopprivate bob\n");
    assert_eq!(hall.hear(bob), "STOPPRIVATE alice\n");
    assert!(hall.say(alice, "startprivate bob\n").starts_with("ERR blocked-you "));
}

#[test]
fn a_server_that_starts_anew_knows_of_none_and_one_that_stops_ends_none() {
    let mut hall = Hall::new(6);
    let (alice, _) = hall.auth("alice");
    let (bob, _) = hall.auth("bob");
    assert!(hall.say(alice, "startprivate bob\n").contains("OK startprivate bob "));
    hall.hear(bob);
    hall.crash();
    let (alice, _) = hall.auth("alice");
    let (bob, _) = hall.auth("bob");
    assert!(hall.say(alice, "stopprivate bob\n").contains("ERR no-private "));
    assert!(hall.say(alice, "startprivate bob\n").starts_with("OK startprivate bob "));
    hall.hear(bob);
    hall.world.shutdown(hall.node);
    hall.world.run_for(SECOND);
    assert_eq!(hall.hear(bob), "BYE the server stops\n");
}

#[test]
fn whose_name_somebody_has_who_measures_has_no_place_to_be_dialed_at() {
    let mut hall = Hall::new(7);
    let measuring = hall.connect_from_afar();
    let heard = hall.say(measuring, "JOIN lab dave 4000 * 0\n");
    assert!(heard.contains("OK JOIN dave "), "{heard}");
    let change = Change::PutAccount { name: name("dave"), verifier: verifier("dave's pass word").into() };
    hall.world.store_mut(hall.node).change(&change);
    hall.world.run_for(3 * SECOND);
    let (dave, _) = hall.auth("dave");
    let (bob, _) = hall.auth("bob");
    assert!(hall.say(bob, "startprivate dave\n").starts_with("ERR not-reachable "));
    assert!(hall.say(dave, "startprivate bob\n").contains("ERR not-reachable "));
    assert!(!hall.hear(measuring).contains("PRIVATE"));
}

#[test]
fn who_asks_too_often_is_refused() {
    let mut hall = Hall::new(8);
    let (alice, _) = hall.auth("alice");
    let (bob, _) = hall.auth("bob");
    hall.hear(alice);
    let heard = hall.say(alice, &"startprivate bob\n".repeat(25));
    assert_eq!(heard.matches("OK startprivate bob ").count(), 20, "{heard}");
    assert_eq!(heard.matches("ERR too-fast you are sending too fast; try again in 1 s\n").count(), 5);
    assert_eq!(hall.hear(bob).matches("PRIVATE alice ").count(), 20);
    hall.world.run_for(2 * SECOND);
    assert!(hall.say(alice, "startprivate bob\n").starts_with("OK startprivate bob "));
}
