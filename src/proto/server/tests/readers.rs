//! Those who read slowly: what they are still told, and whether they are read.

use std::collections::BTreeSet;

use super::*;

#[test]
fn a_slow_reader_is_not_answered_late() {
    let mut desk = Desk::new();
    let a = desk.connect(0);
    desk.say(a, "JOIN lab a 0 * *\n");
    desk.input(Input::Blocked { link: a });
    assert_eq!(desk.say(a, "TICK 0 5\n"), "");
    desk.input(Input::Drained { link: a });
    assert!(desk.say(a, "TICK 1 6\n").starts_with("TOCK 1 6 "));
    assert_eq!(desk.server.status().blocked, 1);
}

#[test]
fn who_does_not_read_is_not_read_unless_it_ticks() {
    let mut desk = Desk::new();
    let member = desk.connect(0);
    desk.say(member, "JOIN lab a 0 * *\n");
    let guest = desk.connect(1);
    desk.say(guest, "HELLO guest\n");
    for link in [member, guest] {
        desk.input(Input::Blocked { link });
        assert!(desk.hand.paused.is_empty());
        desk.say(link, "whoelse\nwhoelse\n");
    }
    assert_eq!(desk.hand.paused, BTreeSet::from([guest.index]));
    for link in [member, guest] {
        desk.input(Input::Drained { link });
    }
    assert!(desk.hand.paused.is_empty());
}
