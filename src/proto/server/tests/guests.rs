//! Guests at the server: names, keys, and that runs know nothing of them.

use std::time::Duration;

use crate::proto::ids::LinkId;
use crate::proto::limits::{ABSENT_LOOK_PERIOD, ERRORS_MAX, GREET_TIMEOUT, GUEST_LOST_MAX};
use crate::proto::machine::{CloseReason, DownReason, Input};
use crate::proto::server::tests::{Desk, matches};

const HASH: &str = "bc2478df41662178217d5b456944ec4e13ea28ec159518d111e72fe466c53b68\n";

fn lose(desk: &mut Desk, link: LinkId) {
    desk.input(Input::LinkDown { link, reason: DownReason::Reset });
}

/// Says `HELLO` and returns the key.
fn greet(desk: &mut Desk, link: LinkId, hello: &str) -> String {
    let answer = desk.say(link, &format!("{hello}\n"));
    let last = answer.lines().last().unwrap_or_default();
    assert!(matches(last, "OK HELLO ~ ~"), "{answer}");
    last.rsplit_once(' ').unwrap().1.to_owned()
}

#[test]
fn the_documented_session_of_two_guests_is_what_happens() {
    let mut desk = Desk::new();
    let links = [desk.connect(0), desk.connect(1)];
    let mut heard = [desk.heard(links[0]), desk.heard(links[1])];
    for line in include_str!("../../wire/guests.txt").lines() {
        let (who, text) = line.split_once(": ").unwrap();
        let place = usize::from(who.ends_with('B'));
        if who.starts_with('S') {
            let (first, rest) =
                heard[place].split_once('\n').unwrap_or_else(|| panic!("silence instead of {text}"));
            assert!(matches(first, text), "{first}\nexpected {text}");
            heard[place] = rest.to_owned();
        } else {
            assert_eq!(heard.concat(), "", "said but not documented, before {text}");
            heard[place] = desk.say(links[place], &format!("{text}\n"));
            heard[1 - place] = desk.heard(links[1 - place]);
        }
    }
    assert_eq!(heard.concat(), "");
    assert_eq!(desk.hand.closed[&1], CloseReason::Farewell);
    assert!(!desk.hand.closed.contains_key(&0));
}

#[test]
fn nothing_about_files_is_done_before_hello() {
    for line in [
        "searchFile f",
        "searchChunk f 1",
        "DOWNLOAD f",
        "HAVE f 0 0",
        "REPORT f a 0",
        "REGISTER f 0 1 0 all",
        "REGISTER f 5 5 65 all",
    ] {
        let mut desk = Desk::new();
        let link = desk.connect(0);
        desk.heard(link);
        let octets = if line.contains("65") { HASH } else { "" };
        let answer = desk.say(link, &format!("{line}\n{octets}HELLO a\n"));
        let mut lines = answer.lines();
        assert_eq!(lines.next(), Some("ERR out-of-place HELLO name comes first"), "{line}");
        assert!(lines.next().unwrap().starts_with("OK HELLO a "), "the hashes are passed over: {answer}");
        assert_eq!(desk.say(link, "searchFile f\n"), "OK searchFile Not available\n");
    }
}

#[test]
fn a_name_belongs_to_one_member_or_guest() {
    let mut desk = Desk::new();
    let links: Vec<LinkId> = (0..6).map(|index| desk.connect(index)).collect();
    desk.say(links[0], "JOIN lab runner 1000 * *\n");
    greet(&mut desk, links[1], "HELLO alice 7");
    for taken in ["HELLO runner", "HELLO alice", "HELLO alice 0 lab 000000000000000000000000000000ab"] {
        let answer = desk.say(links[2], &format!("{taken}\n"));
        assert!(answer.starts_with("ERR id-taken ") && answer.contains(" is taken by 10.0.0."), "{answer}");
    }
    assert!(desk.say(links[2], "JOIN lab alice 0 * *\n").starts_with("ERR id-taken alice is taken by "));
    assert!(desk.say(links[2], "HELLO 7\n").starts_with("ERR bad-argument numbers are for members"));
    assert!(desk.say(links[2], "HELLO alice 0 other\n").starts_with("OK HELLO alice "), "another group");
    assert!(desk.say(links[1], "HELLO bob\n").starts_with("ERR out-of-place you are alice of lab"));
    assert!(desk.say(links[1], "JOIN lab * 0 * *\n").starts_with("ERR out-of-place you are guest alice"));
    assert!(desk.say(links[0], "HELLO bob\n").starts_with("ERR out-of-place you are runner of lab"));
    for (link, name) in [(links[3], "guest-1"), (links[4], "guest-2")] {
        assert!(desk.say(link, "HELLO *\n").starts_with(&format!("OK HELLO {name} ")));
    }
    lose(&mut desk, links[3]);
    assert!(desk.say(links[5], "HELLO *\n").starts_with("OK HELLO guest-1 "), "the lowest free one");
    lose(&mut desk, links[0]);
    let late = desk.connect(7);
    let answer = desk.say(late, "HELLO runner\n");
    assert!(answer.ends_with("ERR id-taken runner belongs to a member that was lost\n"), "{answer}");
}

#[test]
fn runs_know_nothing_of_guests() {
    let mut desk = Desk::new();
    let (a, b, guest) = (desk.connect(0), desk.connect(1), desk.connect(2));
    desk.say(a, "JOIN lab * 1000 * *\n");
    greet(&mut desk, guest, "HELLO alice 40000");
    assert_eq!(desk.heard(a), "");
    let list = desk.say(b, "JOIN lab * 1001 * *\n");
    assert!(list.contains("* PEER 2 0 ") && !list.contains("alice"), "{list}");
    assert!(desk.heard(a).contains("PEER 2 1 "));
    assert_eq!(desk.heard(guest), "", "nor do guests hear of runs");
    desk.say(guest, &format!("REGISTER f 5 5 65 all\n{HASH}"));
    lose(&mut desk, guest);
    assert_eq!((desk.heard(a), desk.heard(b)), (String::new(), String::new()));
    for link in [a, b] {
        assert_eq!(desk.say(link, "DONE 0 0\n"), "OK DONE 0 0\n");
        desk.hand.sent.clear();
        assert_eq!(desk.say(link, "LEAVE 2\n"), "OK LEAVE\n");
    }
    let idle = desk.connect(3);
    greet(&mut desk, idle, "HELLO *");
    desk.elapse(2 * GREET_TIMEOUT);
    assert!(!desk.hand.closed.contains_key(&3), "a guest may be silent");
    assert!(desk.say(idle, "TICK 0 1\n").starts_with("ERR out-of-place JOIN comes before TICK"));
    assert_eq!(desk.server.status().members_joined, 2);
}

#[test]
fn a_guest_that_holds_files_comes_back_to_them_within_its_time() {
    let mut desk = Desk::new();
    let (alice, bob) = (desk.connect(0), desk.connect(1));
    let key = greet(&mut desk, alice, "HELLO alice 40000");
    desk.say(alice, &format!("REGISTER f 5 5 65 all\n{HASH}"));
    greet(&mut desk, bob, "HELLO bob");
    lose(&mut desk, alice);
    assert_eq!(desk.say(bob, "searchFile f\n"), "OK searchFile Not available\n");
    let answer = desk.say(bob, "DOWNLOAD f\n");
    assert!(answer.starts_with("OK DOWNLOAD f 5 5 65\n"), "known, but nobody is here: {answer}");

    let thief = desk.connect(2);
    let answer = desk.say(thief, "HELLO alice\n");
    assert!(answer.contains("alice belongs to a guest that was lost; it is free again in 60 s"), "{answer}");
    desk.elapse(GUEST_LOST_MAX - ABSENT_LOOK_PERIOD);
    let back = desk.connect(3);
    assert_eq!(greet(&mut desk, back, &format!("HELLO alice 40000 lab {key}")), key);
    assert_eq!(desk.say(bob, "searchFile f\n"), "* HOLDER alice 1 1\nOK searchFile Available\n");
    assert_eq!(desk.server.status().guests_greeted, 2);

    // Before its link was missed, and then for good.
    let again = desk.connect(4);
    greet(&mut desk, again, &format!("HELLO alice 40000 lab {key}"));
    assert_eq!(desk.hand.closed[&3], CloseReason::Replaced);
    assert!(desk.say(bob, "searchFile f\n").starts_with("* HOLDER alice 1 1\n"));
    lose(&mut desk, again);
    desk.elapse(GUEST_LOST_MAX + ABSENT_LOOK_PERIOD);
    let thief = desk.connect(5);
    greet(&mut desk, thief, "HELLO alice");
    assert_eq!(desk.say(bob, "searchFile f\n"), "OK searchFile Not available\n");
    lose(&mut desk, bob);
    assert!(desk.say(thief, "DOWNLOAD f\n").starts_with("ERR unknown-file nobody shares f in lab\n"));
}

#[test]
fn who_takes_a_forgotten_name_does_not_inherit_its_files() {
    let mut desk = Desk::new();
    let alice = desk.connect(0);
    greet(&mut desk, alice, "HELLO alice 40000");
    desk.say(alice, &format!("REGISTER f 5 5 65 all\n{HASH}"));
    desk.elapse(ABSENT_LOOK_PERIOD - Duration::from_millis(1));
    lose(&mut desk, alice);
    // Between the end of its time and the next look.
    desk.elapse(GUEST_LOST_MAX);
    let other = desk.connect(1);
    greet(&mut desk, other, "HELLO alice");
    assert_eq!(desk.say(other, "searchFile f\n"), "OK searchFile Not available\n");
}

#[test]
fn a_guest_that_holds_nothing_is_forgotten_with_its_link() {
    let mut desk = Desk::new();
    let alice = desk.connect(0);
    greet(&mut desk, alice, "HELLO alice 40000");
    lose(&mut desk, alice);
    let other = desk.connect(1);
    greet(&mut desk, other, "HELLO alice");
}

#[test]
fn what_people_type_is_answered_with_what_to_run() {
    let mut desk = Desk::new();
    let link = desk.connect(0);
    desk.heard(link);
    greet(&mut desk, link, "HELLO alice");
    assert_eq!(
        desk.say(link, "register notes.txt 5\n"),
        "ERR bad-argument to share a file, run: tickmesh share FILE\n"
    );
    assert_eq!(
        desk.say(link, "download notes.txt\n"),
        "ERR bad-argument to get a file, run: tickmesh get FILE\n"
    );
    let noise = "searchFile ../x\n".repeat(ERRORS_MAX as usize);
    assert!(desk.say(link, &noise).ends_with("ERR too-many-errors too many errors\n"));
}
