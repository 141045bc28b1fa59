//! Blocks and files: of two of whom one has blocked the other, neither hears of the other's files; and nobody
//! takes a stranger for a user who has the same name.

mod common;

use std::time::Duration;

use common::hall::{Hall, name, verifier};
use tickmesh::proto::machine::Change;
use tickmesh::sim::StrangerId;

const SECOND: Duration = Duration::from_secs(1);

/// Offers a file of one chunk.
fn register(hall: &mut Hall, link: StrangerId, content: &str) -> String {
    let (hash, bytes) = (blake3::hash(content.as_bytes()).to_hex(), content.len());
    hall.say(link, &format!("REGISTER f {bytes} {bytes} 65 all\n{hash}\n"))
}

#[test]
fn neither_finds_the_others_files_until_the_block_is_taken_back() {
    let mut hall = Hall::new(1);
    let (alice, _) = hall.auth("alice");
    let (bob, _) = hall.auth("bob");
    let (carol, _) = hall.auth("carol");
    assert_eq!(hall.say(bob, "block alice\n").lines().last(), Some("OK block alice"));
    assert!(register(&mut hall, bob, "chunk").ends_with("OK REGISTER f 1\n"));
    hall.hear(alice);
    for line in ["searchFile f", "searchChunk f 1"] {
        let verb = line.split(' ').next().unwrap();
        assert_eq!(hall.say(alice, &format!("{line}\n")), format!("OK {verb} Not available\n"));
        let found = hall.say(carol, &format!("{line}\n"));
        assert!(found.ends_with(&format!("* HOLDER bob 1 1\nOK {verb} Available\n")), "{found}");
    }
    let heard = hall.say(alice, "DOWNLOAD f\n");
    assert!(heard.starts_with("OK DOWNLOAD f 5 5 65\n"), "{heard}");
    assert_eq!(hall.hear(bob), "", "he is not told of her");
    assert!(hall.say(alice, "REPORT f bob 0\n").starts_with("ERR unknown-member "));
    let other = register(&mut hall, alice, "other");
    assert_eq!(other, "ERR file-differs another file is called f already; somebody holds it\n");
    assert!(register(&mut hall, carol, "other").contains("bob holds it"));
    assert_eq!(hall.say(bob, "unblock alice\n"), "OK unblock alice\n");
    assert_eq!(hall.hear(alice), "");
    let heard = hall.say(alice, "DOWNLOAD f\n");
    assert!(heard.starts_with("* SOURCE f bob 10.0.0.3:4000 "), "{heard}");
    assert!(hall.hear(bob).contains("SOURCE f alice 10.0.0.2:4000 "), "both know the ticket");
}

#[test]
fn it_holds_for_whom_one_has_blocked_as_well_and_for_who_comes_later() {
    let mut hall = Hall::new(2);
    let (alice, _) = hall.auth("alice");
    let (bob, _) = hall.auth("bob");
    assert!(register(&mut hall, alice, "chunk").ends_with("OK REGISTER f 1\n"));
    assert_eq!(hall.say(bob, "block alice\n"), "OK block alice\n");
    assert_eq!(hall.say(bob, "searchFile f\n"), "OK searchFile Not available\n");
    assert!(hall.say(bob, "DOWNLOAD f\n").starts_with("OK DOWNLOAD f "));
    let (carol, _) = hall.auth("carol");
    assert!(register(&mut hall, carol, "chunk").contains("OK REGISTER f 2\n"));
    let heard = hall.hear(bob);
    assert!(heard.contains("SOURCE f carol ") && !heard.contains("alice"), "{heard}");
    assert!(!hall.hear(alice).contains("SOURCE f bob"));
    hall.world.reset(alice);
    hall.world.run_for(SECOND);
    let (alice, _) = hall.auth("alice");
    assert!(register(&mut hall, alice, "chunk").contains("OK REGISTER f 2\n"), "she is back with it");
    assert!(!(hall.hear(bob) + &hall.hear(alice)).contains("SOURCE"), "and still hears nothing of him");
}

#[test]
fn a_stranger_of_the_same_name_is_not_the_user() {
    let mut hall = Hall::new(3);
    let (bob, _) = hall.auth("bob");
    assert_eq!(hall.say(bob, "block carol\n"), "OK block carol\n");
    assert!(register(&mut hall, bob, "chunk").ends_with("OK REGISTER f 1\n"));
    // Somebody who measures may be called so, and has proven nothing.
    let measuring = hall.connect_from_afar();
    assert!(hall.say(measuring, "JOIN lab carol 4000 * 0\n").contains("OK JOIN carol "));
    assert!(hall.say(measuring, "searchFile f\n").starts_with("* HOLDER bob 1 1\n"));
    // Nobody is told where a user is by asking for the name.
    let nosy = hall.connect_from_afar();
    let heard = hall.say(nosy, "JOIN lab bob 4000 * 0\n");
    assert_eq!(heard, "ERR id-taken bob is a user of this server\n");
    hall.world.reset(bob);
    hall.world.run_for(SECOND);
    assert_eq!(hall.say(nosy, "JOIN lab bob 4000 * 0\n"), "ERR id-taken bob is a user of this server\n");
}

#[test]
fn a_user_does_not_inherit_what_a_guest_of_that_name_held() {
    let mut hall = Hall::new(4);
    let guest = hall.connect_from_afar();
    assert!(hall.say(guest, "HELLO dave 4000\n").starts_with("OK HELLO dave "));
    assert_eq!(register(&mut hall, guest, "chunk"), "OK REGISTER f 1\n");
    let change = Change::PutAccount { name: name("dave"), verifier: verifier("dave's pass word").into() };
    hall.world.store_mut(hall.node).change(&change);
    hall.world.run_for(3 * SECOND);
    let (dave, _) = hall.auth("dave");
    assert!(hall.world.is_closed(guest), "the name is the user's");
    assert_eq!(hall.say(dave, "searchFile f\n"), "OK searchFile Not available\n");
}
