//! Very many who come and go at once: everybody is told all of it, in order, and nothing more.

use std::time::Duration;

use crate::proto::ids::LinkId;
use crate::proto::machine::Input;
use crate::proto::server::tests::Desk;

const MANY: u32 = 200;

fn name(number: u32) -> String {
    format!("g{number:03}")
}

/// So many guests, all at the same moment.
fn crowd(desk: &mut Desk) -> Vec<LinkId> {
    (0..MANY)
        .map(|number| {
            let link = desk.connect(number);
            let answer = desk.say(link, &format!("HELLO {}\n", name(number)));
            assert!(answer.starts_with("OK HELLO "), "{answer}");
            link
        })
        .collect()
}

fn lines(verb: &str, numbers: impl Iterator<Item = u32>) -> String {
    numbers.map(|number| format!("{verb} {}\n", name(number))).collect()
}

#[test]
fn a_crowd_that_comes_at_once_is_told_of_together_and_nobody_is_left_out() {
    let mut desk = Desk::new();
    let links = crowd(&mut desk);
    let first = desk.heard(links[0]);
    assert!(first.starts_with("ONLINE g001\nONLINE g002\n"), "the first are told as they come: {first}");
    assert!(first.lines().count() < MANY as usize - 1, "not everybody is told of everybody in one moment");
    desk.elapse(Duration::from_secs(1));
    let rest = desk.heard(links[0]);
    assert_eq!(first + &rest, lines("ONLINE", 1..MANY));
    let last = links.len() - 1;
    assert_eq!(desk.heard(links[last]), "", "who was there before is in `whoelse`");
    // What was heard at once was taken by `say`; all the others come in order, too.
    for (number, link) in links.iter().enumerate().skip(1) {
        let heard = desk.heard(*link);
        let all = lines("ONLINE", number as u32 + 1..MANY);
        assert!(all.ends_with(&heard), "{number}: {heard}");
    }
}

#[test]
fn who_is_blocked_is_not_told_even_in_a_crowd() {
    let mut desk = Desk::new();
    let links = crowd(&mut desk);
    desk.elapse(Duration::from_secs(1));
    assert_eq!(desk.say(links[40], "block g150\n"), "OK block g150\n");
    links.iter().for_each(|link| drop(desk.heard(*link)));
    for link in &links[..100] {
        desk.say(*link, "logout\n");
    }
    desk.elapse(Duration::from_secs(1));
    assert_eq!(desk.heard(links[151]), lines("OFFLINE", 0..100));
    assert_eq!(desk.heard(links[150]), lines("OFFLINE", (0..100).filter(|number| *number != 40)));
}

#[test]
fn a_server_that_stops_tells_nobody_of_those_who_were_waiting() {
    let mut desk = Desk::new();
    let links = crowd(&mut desk);
    links.iter().for_each(|link| drop(desk.heard(*link)));
    desk.input(Input::Shutdown);
    desk.elapse(Duration::from_secs(1));
    assert!(desk.hand.exited);
    assert!(links.iter().all(|link| desk.hand.sent[&link.index] == "BYE the server stops\n"));
}
