//! Files in which somebody takes no part any more: what they still cost, and what may be said how often.

use std::time::Duration;

use crate::proto::limits::FILES_PER_MEMBER_MAX;
use crate::proto::server::tests::Desk;
use crate::proto::server::tests::files::{guest, share};

/// A file that was withdrawn counts no more, and its name is free. An empty file counts as any other, until it is withdrawn.
#[test]
fn a_member_may_have_any_number_of_files_one_after_another() {
    let mut desk = Desk::new();
    let (alice, bob) = (guest(&mut desk, 0, "alice"), guest(&mut desk, 1, "bob"));
    for round in 0..=FILES_PER_MEMBER_MAX / 512 {
        let names = (0..512).map(|number| format!("f{}", round * 512 + number));
        let lines = |name: String| format!("REGISTER {name} 0 1 0 all\nWITHDRAW {name}\n");
        let answers = desk.say(alice, &names.map(lines).collect::<String>());
        assert_eq!(answers.matches("OK REGISTER ").count(), 512);
        assert_eq!(answers.matches("OK WITHDRAW ").count(), 512);
        desk.elapse(Duration::from_secs(1));
    }
    assert_eq!(share(&mut desk, bob, "f0", "all"), "OK REGISTER f0 1\n");
    share(&mut desk, alice, "f0", "all");
    assert_eq!(desk.say(alice, "WITHDRAW f0\nWITHDRAW never\n"), "OK WITHDRAW f0\nOK WITHDRAW never\n");
    assert!(desk.say(bob, "searchFile f0\n").starts_with("* HOLDER bob 3 3\nOK "));
    let anew = share(&mut desk, alice, "f0", "none");
    assert!(anew.starts_with("OK REGISTER f0 1\nSOURCE f0 bob "), "{anew}");
}

#[test]
fn to_come_and_to_go_for_ever_is_too_fast() {
    let mut desk = Desk::new();
    let mallory = guest(&mut desk, 0, "mallory");
    let answers = desk.say(mallory, &"REGISTER f 0 1 0 all\nWITHDRAW f\n".repeat(1500));
    assert!(answers.ends_with("ERR too-fast lines come faster than 2000 a second\n"));
    assert!(answers.matches("OK WITHDRAW").count() >= 1000);
}
