//! Files at the server: who holds what, who is told of whom, and everything that is wrong.

use std::time::Duration;

use proptest::prelude::*;

use crate::proto::ids::LinkId;
use crate::proto::limits::{
    ABSENT_LOOK_PERIOD, CHUNKS_MAX, FILES_PER_MEMBER_MAX, REGISTER_TIMEOUT, REGISTERS_BYTES_MAX,
    SEARCH_CHUNKS_MAX,
};
use crate::proto::machine::{CloseReason, DownReason, Input};
use crate::proto::server::tests::Desk;

/// So many hashes that are none of anything.
fn hashes(count: usize, kind: u8) -> String {
    format!("{kind:064x}\n").repeat(count)
}

/// A guest that can be dialed.
pub(super) fn guest(desk: &mut Desk, index: u32, name: &str) -> LinkId {
    let link = desk.connect(index);
    desk.heard(link);
    assert!(desk.say(link, &format!("HELLO {name} 40000\n")).starts_with("OK HELLO "));
    link
}

/// Registers a file of three chunks.
pub(super) fn share(desk: &mut Desk, link: LinkId, file: &str, portion: &str) -> String {
    desk.say(link, &format!("REGISTER {file} 9 4 195 {portion}\n{}", hashes(3, 1)))
}

/// The names in the `SOURCE` lines of what was heard.
fn sources(heard: &str) -> Vec<&str> {
    let lines = heard.lines().map(|line| line.trim_start_matches("* "));
    lines.filter_map(|line| line.strip_prefix("SOURCE ")?.split(' ').nth(1)).collect()
}

#[test]
fn both_of_a_pair_are_told_the_same_ticket_and_two_whole_ones_nothing() {
    let mut desk = Desk::new();
    let (alice, bob, carol) =
        (guest(&mut desk, 0, "alice"), guest(&mut desk, 1, "bob"), guest(&mut desk, 2, "carol"));
    assert_eq!(share(&mut desk, alice, "f", "all"), "OK REGISTER f 1\n");
    assert_eq!(share(&mut desk, bob, "f", "all"), "OK REGISTER f 2\n");
    assert_eq!(desk.heard(alice), "", "they have nothing to give each other");
    let answer = desk.say(carol, "DOWNLOAD f\n");
    assert_eq!(sources(&answer), ["alice", "bob"]);
    assert!(answer.ends_with(&format!("OK DOWNLOAD f 9 4 195\n{}", hashes(3, 1))));
    let ticket = |line: &str| line.rsplit_once(' ').unwrap().1.to_owned();
    let told = desk.heard(alice);
    assert_eq!(told, format!("SOURCE f carol 10.0.0.4:40000 {}\n", ticket(answer.lines().next().unwrap())));
    assert_eq!(sources(&desk.heard(bob)), ["carol"]);

    // Asked again, the list comes again, and nobody else is bothered.
    assert_eq!(sources(&desk.say(carol, "DOWNLOAD f\n")), ["alice", "bob"]);
    assert_eq!(desk.heard(alice), "");
    let dave = guest(&mut desk, 3, "dave");
    assert_eq!(sources(&desk.say(dave, "DOWNLOAD f\n")), ["alice", "bob", "carol"]);
    assert_eq!(sources(&desk.heard(carol)), ["dave"]);

    // A new holder and those who fetch are told of each other; and it, of nobody who is whole.
    let erin = guest(&mut desk, 4, "erin");
    let answer = share(&mut desk, erin, "f", "all");
    assert_eq!((answer.lines().next(), sources(&answer)), (Some("OK REGISTER f 3"), vec!["carol", "dave"]));
    assert_eq!(sources(&desk.heard(dave)), ["erin"]);
    assert_eq!(desk.server.status().downloads, 2);
}

#[test]
fn two_whom_nobody_can_dial_are_not_named_to_each_other() {
    let mut desk = Desk::new();
    let (hidden, other, open) = (desk.connect(0), desk.connect(1), guest(&mut desk, 2, "open"));
    desk.say(hidden, "HELLO hidden\n");
    desk.say(other, "HELLO other 0\n");
    share(&mut desk, hidden, "f", "all");
    assert_eq!(sources(&desk.say(other, "DOWNLOAD f\n")), Vec::<&str>::new());
    let list = desk.say(open, "DOWNLOAD f\n");
    assert_eq!(sources(&list), ["hidden", "other"]);
    assert!(list.contains("SOURCE f hidden 10.0.0.2:0 "), "it will dial: {list}");
    assert_eq!(sources(&desk.heard(hidden)), ["open"]);
}

#[test]
fn members_with_a_run_share_files_too() {
    let mut desk = Desk::new();
    let (runner, alice) = (desk.connect(0), guest(&mut desk, 1, "alice"));
    desk.say(runner, "JOIN lab * 40007 * *\n");
    share(&mut desk, alice, "f", "all");
    assert_eq!(sources(&desk.say(runner, "DOWNLOAD f\n")), ["alice"]);
    assert!(desk.heard(alice).starts_with("SOURCE f 0 10.0.0.2:40007 "));
    desk.say(runner, "HAVE f 0 1\n");
    desk.input(Input::LinkDown { link: runner, reason: DownReason::Reset });
    assert!(!desk.say(alice, "searchFile f\n").contains("HOLDER 0 "));
    // The directory forgets it when its run could no longer be on, and the catalog soon after.
    desk.elapse(Duration::from_secs(40) + 2 * ABSENT_LOOK_PERIOD);
    assert_eq!(desk.say(alice, "REPORT f 0 0\n"), "ERR unknown-member 0 is no source of f for you\n");
}

#[test]
fn partial_holders_are_found_by_what_they_hold() {
    let mut desk = Desk::new();
    let (alice, bob) = (guest(&mut desk, 0, "alice"), guest(&mut desk, 1, "bob"));
    assert_eq!(share(&mut desk, alice, "f", "none"), "OK REGISTER f 0\n");
    assert_eq!(desk.say(bob, "searchFile f\n"), "OK searchFile Not available\n");
    assert_eq!(desk.say(alice, "HAVE f 1 2\n"), "");
    assert_eq!(desk.say(bob, "searchFile f\n"), "* HOLDER alice 2 3\nOK searchFile Available\n");
    assert_eq!(desk.say(bob, "searchChunk f 1\n"), "OK searchChunk Not available\n");
    assert_eq!(
        desk.say(bob, "searchChunk f 1 3\n"),
        "* HOLDER alice 2 3\nOK searchChunk Available\n",
        "any of them"
    );
    let answer = share(&mut desk, bob, "f", "all");
    assert_eq!((answer.lines().next(), sources(&answer)), (Some("OK REGISTER f 2"), vec!["alice"]));
    assert_eq!(sources(&desk.heard(alice)), ["bob"]);
}

#[test]
fn bad_lines_about_files_are_refused_and_change_nothing() {
    let mut desk = Desk::new();
    let alice = guest(&mut desk, 0, "alice");
    share(&mut desk, alice, "f", "all");
    desk.say(alice, "REGISTER empty 0 1 0 all\n");
    let long = "x".repeat(300);
    for (index, (line, expected)) in [
        ("REGISTER a/b 9 4 195 all".to_owned(), "ERR bad-argument file"),
        ("REGISTER .. 9 4 195 all".to_owned(), "ERR bad-argument file"),
        ("REGISTER ../../x 9 4 195 all".to_owned(), "ERR bad-argument file"),
        ("REGISTER a\0b 9 4 195 all".to_owned(), "ERR bad-text"),
        ("REGISTER a\rb 9 4 195 all".to_owned(), "ERR bad-text"),
        (format!("REGISTER {long} 9 4 195 all"), "ERR bad-argument file"),
        ("REGISTER grüße 9 4 195 all".to_owned(), "ERR bad-argument file"),
        (
            "REGISTER x.partial 0 4 0 all".to_owned(),
            "ERR bad-argument x.partial is the name of an unfinished",
        ),
        ("REGISTER z 0 0 0 all".to_owned(), "ERR bad-argument chunks of 0 bytes are not allowed"),
        ("REGISTER z 3 1 0 all".to_owned(), "ERR bad-argument 0 octets cannot be the hashes of 3 chunks"),
        ("REGISTER z 0 4 0 some".to_owned(), "ERR bad-argument all or none"),
        ("DOWNLOAD nothing".to_owned(), "ERR unknown-file nobody shares nothing in lab"),
        ("HAVE nothing 0 0".to_owned(), "ERR unknown-file"),
        ("REPORT f alice 0".to_owned(), "ERR out-of-place say DOWNLOAD f first"),
        ("HAVE f 0 0".to_owned(), "ERR out-of-place say DOWNLOAD f or REGISTER it first"),
        ("REPORT f alice 3".to_owned(), "ERR unknown-chunk"),
        ("searchFile a/b".to_owned(), "ERR bad-argument file"),
        ("searchChunk nothing 1".to_owned(), "ERR unknown-file"),
        ("searchChunk f 0".to_owned(), "ERR unknown-chunk f has 3 chunks, and they count from 1"),
        ("searchChunk f 1 4".to_owned(), "ERR unknown-chunk"),
        ("searchChunk f 18446744073709551615".to_owned(), "ERR unknown-chunk"),
        ("searchChunk f 99999999999999999999".to_owned(), "ERR bad-argument chunk"),
        ("searchChunk f -1".to_owned(), "ERR bad-argument chunk"),
        ("searchChunk empty 1".to_owned(), "ERR unknown-chunk empty is empty"),
        (format!("searchChunk f{}", " 1".repeat(SEARCH_CHUNKS_MAX + 1)), "ERR limit-reached"),
        (
            "SOURCE f a 1.2.3.4:5 000000000000000000000000000000ab".to_owned(),
            "ERR out-of-place SOURCE is not",
        ),
        ("WANT f 00".to_owned(), "ERR bad-argument root"),
        ("OK HELLO a 000000000000000000000000000000ab".to_owned(), "ERR out-of-place OK HELLO is not"),
    ]
    .into_iter()
    .enumerate()
    {
        let mallory = guest(&mut desk, 10 + index as u32, "mallory");
        let answer = desk.say(mallory, &format!("{line}\n"));
        assert!(answer.starts_with(expected) && answer.lines().count() == 1, "{line:?}: {answer}");
        assert_eq!(
            desk.say(mallory, "searchFile f\n"),
            "* HOLDER alice 3 3\nOK searchFile Available\n",
            "{line:?}"
        );
        desk.say(mallory, "BYE x\n");
    }
    let mallory = guest(&mut desk, 60, "mallory");
    desk.say(mallory, "REGISTER g 9 9 65 none\n");
    desk.say(mallory, &hashes(1, 1));
    for range in ["0 1", "1 0", "0 18446744073709551615"] {
        let answer = desk.say(mallory, &format!("HAVE g {range}\n"));
        assert!(
            answer.starts_with("ERR unknown-chunk ") && answer.contains(" are no chunks of g"),
            "{answer}"
        );
    }
    let answer = desk.say(mallory, "REGISTER empty 0 1 0 none\nHAVE empty 0 0\n");
    assert!(answer.contains("ERR unknown-chunk 0 to 0 are no chunks of empty, which has 0"), "{answer}");
    desk.hand.sent.remove(&60);
    let at = desk.now.wall;
    desk.input(Input::Received { link: mallory, bytes: b"REGISTER \xff\xfe 9 4 195 all\n", at });
    assert!(desk.heard(mallory).starts_with("ERR bad-text "));
    assert_eq!(desk.say(mallory, "REGISTER con 0 4 0 all\n"), "OK REGISTER con 1\n", "a name like any other");
    assert_eq!(desk.heard(alice), "");
}

#[test]
fn hashes_that_are_none_refuse_the_file_and_the_link_goes_on() {
    let mut desk = Desk::new();
    let alice = guest(&mut desk, 0, "alice");
    let answer = desk.say(alice, &format!("REGISTER f 9 4 195 all\n{}searchFile f\n", "x".repeat(195)));
    let mut lines = answer.lines();
    assert_eq!(lines.next(), Some("ERR bad-argument hash 0 is not 64 hexadecimal digits and a line end"));
    assert_eq!(lines.next(), Some("OK searchFile Not available"));
    // Refused before the hashes: these are passed over, and not taken for lines.
    for refused in ["REGISTER x.partial 9 4 195 all", "REGISTER x 9 1 195 all"] {
        let answer = desk.say(alice, &format!("{refused}\n{}searchFile f\n", hashes(3, 1)));
        let lines: Vec<&str> = answer.lines().collect();
        assert!(lines.len() == 2 && lines[0].starts_with("ERR bad-argument "), "{answer}");
        assert_eq!(lines[1], "OK searchFile Not available");
    }
    assert_eq!(desk.server.status().files_refused, 3);
    // Announced beyond all reason: the link cannot be understood any more.
    let answer = desk.say(alice, &format!("REGISTER f 9 4 {} all\n", u64::MAX));
    assert!(answer.starts_with("ERR limit-reached "), "{answer}");
    assert_eq!(desk.hand.closed[&0], CloseReason::Misbehaved);
}

#[test]
fn hashes_that_do_not_come_hold_nothing_up() {
    let mut desk = Desk::new();
    let chunks = CHUNKS_MAX;
    let register = |name: &str| format!("REGISTER {name} {chunks} 1 {} all\nx", chunks * 65);
    let room = REGISTERS_BYTES_MAX as u64 / (chunks * 65);
    for index in 0..room as u32 {
        let slow = guest(&mut desk, index, &format!("slow{index}"));
        assert_eq!(desk.say(slow, &register("f")), "");
    }
    let alice = guest(&mut desk, 99, "alice");
    let rest = hashes(chunks as usize, 1);
    let answer = desk.say(alice, &format!("{}{}", register("g").trim_end_matches('x'), rest));
    assert!(answer.starts_with("ERR limit-reached too many files are being registered at once"), "{answer}");
    desk.elapse(REGISTER_TIMEOUT);
    assert_eq!(desk.hand.closed[&0], CloseReason::Misbehaved);
    let answer = desk.say(alice, &format!("{}{}", register("g").trim_end_matches('x'), rest));
    assert_eq!(answer, "OK REGISTER g 1\n");
}

#[test]
fn a_member_has_a_bound_of_files_and_is_refused_beyond() {
    let mut desk = Desk::new();
    let mallory = guest(&mut desk, 0, "mallory");
    let lines: String = (0..10_000).map(|number| format!("REGISTER f{number} 0 1 0 all\n")).collect();
    let mut answers = String::new();
    for part in lines.as_bytes().chunks(30_000) {
        answers += &desk.say(mallory, std::str::from_utf8(part).unwrap());
        if desk.hand.closed.contains_key(&0) {
            break;
        }
    }
    assert_eq!(answers.matches("OK REGISTER ").count(), FILES_PER_MEMBER_MAX);
    let refused = answers.matches("ERR limit-reached a member takes part in at most").count();
    assert_eq!(refused, 10_000 - FILES_PER_MEMBER_MAX, "each is answered, and that alone is no fault");
    let answers = desk.say(mallory, &lines[..30_000]);
    assert!(answers.ends_with("ERR too-fast lines come faster than 2000 a second\n"));
    let alice = guest(&mut desk, 1, "alice");
    assert_eq!(share(&mut desk, alice, "mine", "all"), "OK REGISTER mine 1\n");
    // Mallory's files wait for it, but a departure frees them.
    assert_eq!(desk.say(alice, "searchFile f7\n"), "OK searchFile Not available\n");
}

#[test]
fn a_name_has_one_content_while_somebody_else_holds_it() {
    let mut desk = Desk::new();
    let (alice, bob) = (guest(&mut desk, 0, "alice"), guest(&mut desk, 1, "bob"));
    share(&mut desk, alice, "f", "all");
    assert_eq!(share(&mut desk, alice, "f", "all"), "OK REGISTER f 1\n", "twice is once");
    let other = format!("REGISTER f 9 4 195 all\n{}", hashes(3, 2));
    assert_eq!(desk.say(bob, &other), "ERR file-differs another file is called f already; alice holds it\n");
    let sizes = format!("REGISTER f 10 4 195 all\n{}", hashes(3, 1));
    assert!(desk.say(bob, &sizes).starts_with("ERR file-differs "), "the same hashes of other sizes");
    desk.input(Input::LinkDown { link: alice, reason: DownReason::Reset });
    assert!(desk.say(bob, &other).ends_with("alice holds it, who is offline\n"));
    let carol = guest(&mut desk, 2, "carol");
    desk.say(carol, "DOWNLOAD f\n");
    desk.elapse(Duration::from_secs(70));
    assert_eq!(desk.say(bob, &other), "OK REGISTER f 1\n", "carol has nothing of it");
    let answer = desk.say(carol, "HAVE f 0 0\n");
    assert!(answer.starts_with("ERR out-of-place say DOWNLOAD f"), "it fetched another file: {answer}");
    assert_eq!(
        desk.say(bob, &format!("REGISTER f 9 4 195 all\n{}", hashes(3, 3))),
        "OK REGISTER f 1\n",
        "its own"
    );
}

#[test]
fn a_reported_holder_is_not_offered_to_the_reporter_again() {
    let mut desk = Desk::new();
    let (alice, bob) = (guest(&mut desk, 0, "alice"), guest(&mut desk, 1, "bob"));
    share(&mut desk, alice, "f", "all");
    assert_eq!(sources(&desk.say(bob, "DOWNLOAD f\n")), ["alice"]);
    assert!(
        desk.say(bob, "REPORT f bob 0\n").starts_with("ERR unknown-member bob is no source of f for you")
    );
    assert!(desk.say(bob, "REPORT f nobody 0\n").starts_with("ERR unknown-member "));
    assert_eq!(desk.say(bob, "REPORT f alice 0\nREPORT f alice 1\n"), "");
    assert_eq!(sources(&desk.say(bob, "DOWNLOAD f\n")), Vec::<&str>::new());
    let carol = guest(&mut desk, 2, "carol");
    assert_eq!(sources(&desk.say(carol, "DOWNLOAD f\n")), ["alice", "bob"], "one voice is not enough");
    assert_eq!(desk.server.status().chunks_reported, 2);
}

#[test]
fn who_asks_without_reading_is_refused_before_work_is_done() {
    let mut desk = Desk::new();
    let (alice, bob) = (guest(&mut desk, 0, "alice"), guest(&mut desk, 1, "bob"));
    let chunks = CHUNKS_MAX;
    let octets = chunks * 65;
    desk.say(alice, &format!("REGISTER f {chunks} 1 {octets} all\n{}", hashes(chunks as usize, 1)));
    let greedy = desk.say(bob, &"DOWNLOAD f\n".repeat(9));
    assert_eq!(greedy.matches("OK DOWNLOAD").count(), 1);
    assert_eq!(greedy.matches("ERR too-fast take the earlier answers first\n").count(), 8);
    // The link is empty again.
    assert!(desk.say(bob, "DOWNLOAD f\n").contains("OK DOWNLOAD"));
    desk.input(Input::Blocked { link: bob });
    desk.say(bob, "DOWNLOAD f\n");
    assert!(desk.say(bob, "DOWNLOAD f\n").starts_with("ERR too-fast"));
    desk.input(Input::Drained { link: bob });
    assert!(desk.say(bob, "DOWNLOAD f\n").contains("OK DOWNLOAD"));
}

#[test]
fn a_split_at_every_byte_gives_the_same_answers_with_octets_too() {
    let text = format!("HELLO a\nREGISTER f 9 4 195 none\n{}HAVE f 0 1\nsearchFile f\n", hashes(3, 1));
    let mut desk = Desk::new();
    let link = desk.connect(0);
    let whole = desk.say(link, &text);
    assert_eq!(whole.lines().count(), 4);
    for cut in 1..text.len() {
        let mut desk = Desk::new();
        let link = desk.connect(0);
        let mut answer = desk.say(link, &text[..cut]);
        answer += &desk.say(link, &text[cut..]);
        assert_eq!(answer, whole, "cut at {cut}");
    }
}

/// Lines that fit together in many orders; a REGISTER comes with its hashes, or without the last one.
fn any_line() -> impl Strategy<Value = String> {
    let fixed = prop::sample::select(vec![
        "HELLO alice 40000\n",
        "HELLO alice 40000 lab 0000000000000000000000000000000a\n",
        "HELLO * 0 lab 0000000000000000000000000000000b\n",
        "JOIN lab alice 40000 * 50000000 0000000000000000000000000000000a\n",
        "JOIN lab bob 40000 * 50000000 0000000000000000000000000000000b\n",
        "DONE 0 0\n",
        "DOWNLOAD f\n",
        "DOWNLOAD g\n",
        "HAVE f 1 2\n",
        "HAVE f 0 0\n",
        "REPORT f alice 0\n",
        "REPORT f guest-1 2\n",
        "searchFile f\n",
        "searchChunk f 1 2\n",
        "BYE x\n",
    ]);
    let register = (0u8..2, any::<bool>(), 2usize..4).prop_map(|(kind, all, sent)| {
        let portion = if all { "all" } else { "none" };
        format!("REGISTER f 9 4 195 {portion}\n{}", hashes(sent, kind))
    });
    prop_oneof![4 => fixed.prop_map(str::to_owned), 1 => register]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// The desk checks the invariants after each step.
    #[test]
    fn any_talk_of_three_leaves_the_server_whole(steps in prop::collection::vec((0u32..3, 0u8..8, any_line()), 1..60)) {
        let mut desk = Desk::new();
        let mut links: [Option<LinkId>; 3] = [None; 3];
        for (made, (place, what, line)) in steps.into_iter().enumerate() {
            let at = &mut links[place as usize];
            if at.is_some_and(|link| desk.hand.closed.contains_key(&link.index)) {
                *at = None;
            }
            let link = *at.get_or_insert_with(|| desk.connect(made as u32));
            match what {
                0 => {
                    desk.input(Input::LinkDown { link, reason: DownReason::Reset });
                    *at = None;
                }
                1 => desk.elapse(Duration::from_secs(u64::from(place) * 13 + 1)),
                _ => drop(desk.say(link, &line)),
            }
        }
        for link in links.into_iter().flatten() {
            desk.input(Input::LinkDown { link, reason: DownReason::Reset });
        }
        desk.elapse(Duration::from_secs(200));
        let last = guest(&mut desk, 99, "alice");
        prop_assert!(desk.say(last, "DOWNLOAD f\n").starts_with("ERR unknown-file "), "everybody is forgotten");
    }
}
