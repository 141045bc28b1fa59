//! What people and programs get wrong at a server with accounts: names, lines cut anywhere, logins at the wrong time, and
//! more mail than a mailbox takes. Each is answered, ends nothing, and nobody else notices.

mod common;

use std::io::ErrorKind;
use std::time::Duration;

use common::hall::{Hall, name, pass};
use tickmesh::proto::limits::{MAIL_PER_SENDER_MAX, MAIL_PER_USER_MAX};
use tickmesh::proto::machine::{Change, Mail};
use tickmesh::proto::time::Wall;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_name_that_is_none_is_refused_wherever_it_is_said() {
    let mut hall = Hall::new(1);
    let long = "x".repeat(1024);
    let names: [&str; 9] =
        ["a%b", "%", "-alice", "alice.", "al\u{456}ce", "\u{2066}alice", "al/ice", "..", &long];
    for bad in names {
        let link = hall.connect();
        for line in [format!("HELLO {bad}\n"), format!("login {bad} secret\n")] {
            let heard = hall.say(link, &line);
            assert!(heard.starts_with("ERR bad-argument "), "{line}: {heard}");
        }
        let (alice, _) = hall.login("alice");
        for verb in ["block", "unblock", "startprivate", "stopprivate"] {
            let heard = hall.say(alice, &format!("{verb} {bad}\n"));
            assert!(heard.starts_with("ERR unknown-user "), "{verb} {bad}: {heard}");
        }
        let heard = hall.say(alice, &format!("message {bad} hello\n%b!%hello\n"));
        assert_eq!(heard.matches("ERR unknown-user ").count(), 2, "{heard}");
        assert_eq!(hall.say(alice, "logout\n"), "OK logout\n", "{bad}");
    }
    let (alice, _) = hall.login("alice");
    for line in ["block bob carol\n", "startprivate bob carol\n", "HELLO a b c d e\n"] {
        assert!(hall.say(alice, line).starts_with("ERR bad-argument "), "{line}");
    }
    for control in ['\u{7}', '\u{1b}', '\u{0}', '\u{85}'] {
        let link = hall.connect();
        for line in [format!("HELLO a{control}b\n"), format!("login alice a{control}b\n")] {
            assert!(hall.say(link, &line).starts_with("ERR bad-text "), "{line:?}");
        }
    }
    let link = hall.connect();
    hall.world.write(link, b"HELLO al\xffce\n");
    assert!(hall.say(link, "").starts_with("ERR bad-text "));
}

#[test]
fn names_that_look_alike_are_one_name_to_guests_and_two_to_logins() {
    let mut hall = Hall::new(2);
    let link = hall.connect();
    for alike in ["Alice", "ALICE", "a1ice", "aIice", "alice"] {
        assert!(hall.say(link, &format!("HELLO {alike}\n")).starts_with("ERR id-taken "), "{alike}");
    }
    for alike in ["Alice", "a1ice"] {
        let link = hall.connect();
        let heard = hall.say(link, &format!("login {alike} {}\n", pass("alice")));
        assert!(heard.starts_with("ERR wrong-password "), "case matters: {heard}");
    }
    let (bob, _) = hall.login("bob");
    assert!(hall.say(bob, "message Alice hello\n").starts_with("ERR unknown-user "));
}

#[test]
fn no_command_is_for_somebody_who_has_not_logged_in() {
    let mut hall = Hall::new(3);
    for line in [
        "message bob hello",
        "%bob%hello",
        "broadcast hello",
        "whoelse",
        "whoelsesince 5",
        "block bob",
        "unblock bob",
        "startprivate bob",
        "stopprivate bob",
        "logout",
        "ACK 1",
    ] {
        let link = hall.connect();
        let heard = hall.say(link, &format!("{line}\n"));
        assert_eq!(heard, "ERR not-logged-in you are not logged in\n", "{line}");
    }
    for line in ["searchFile f", "DOWNLOAD f", "HAVE f 0 0", "REGISTER f 0 1 0 all", "searchChunk f 1"] {
        let link = hall.connect();
        assert!(hall.say(link, &format!("{line}\n")).starts_with("ERR out-of-place "), "{line}");
    }
    let link = hall.connect();
    assert!(hall.say(link, "AUTH cj1h\n").starts_with("ERR out-of-place "));
    assert!(hall.say(link, "AUTH SCRAM-SHA-256 0 nonsense\n").starts_with("ERR bad-argument "));
}

#[test]
fn two_commands_in_one_packet_and_one_in_twenty_are_the_same() {
    let mut hall = Hall::new(4);
    let (bob, _) = hall.login("bob");
    let link = hall.connect();
    for byte in format!("login alice {}\nblock bob\nunblock bob\n%bob%hi\n", pass("alice")).bytes() {
        hall.world.write(link, &[byte]);
        hall.world.run_for(Duration::from_millis(10));
    }
    hall.world.run_for(SECOND);
    let answers = "OK login alice 0\nOK block bob\nOK unblock bob\nOK message delivered\n";
    assert_eq!(hall.hear(link), answers);
    hall.say(link, "logout\n");
    let link = hall.connect();
    let said = format!("login alice {}\nblock bob\nunblock bob\n%bob%hi\n", pass("alice"));
    assert_eq!(hall.say(link, &said), answers);
    assert_eq!(hall.hear(bob).matches("MESSAGE alice hi\n").count(), 2);
}

#[test]
fn a_line_without_an_end_closes_its_link_and_nobody_else_notices() {
    let mut hall = Hall::new(5);
    let (bob, _) = hall.login("bob");
    let (alice, _) = hall.login("alice");
    hall.world.write(alice, &vec![b'x'; 1_000_000]);
    hall.world.run_for(SECOND);
    assert!(hall.world.is_closed(alice));
    assert!(hall.hear(alice).starts_with("ERR line-too-long "));
    assert_eq!(hall.hear(bob), "ONLINE alice\nOFFLINE alice\n");
    let stranger = hall.connect();
    let said = format!("login alice {}\n", "x".repeat(1_000_000));
    hall.world.write(stranger, said.as_bytes());
    hall.world.run_for(SECOND);
    assert!(hall.world.is_closed(stranger));
    hall.login("alice");
}

#[test]
fn the_right_password_during_a_block_is_refused_like_a_wrong_one() {
    let mut hall = Hall::new(6);
    let link = hall.connect();
    for _ in 0..3 {
        hall.say(link, "login alice wrong\n");
    }
    for password in [pass("alice"), "wrong".to_owned()] {
        let link = hall.connect();
        let heard = hall.say(link, &format!("login alice {password}\n"));
        assert!(heard.starts_with("ERR account-blocked too many wrong passwords in a row: try again in "));
    }
    hall.world.run_for(61 * SECOND);
    let (alice, _) = hall.login("alice");
    for (line, code) in
        [("block alice", "yourself"), ("unblock alice", "yourself"), ("unblock bob", "not-blocked")]
    {
        assert!(hall.say(alice, &format!("{line}\n")).starts_with(&format!("ERR {code} ")), "{line}");
    }
}

#[test]
fn a_hundred_thousand_mails_to_one_who_is_away_fill_a_mailbox_and_no_more() {
    let mut hall = Hall::new(7);
    // What others have left already; a sender may leave a quarter, and then there is room for one more.
    for number in 1..=u64::from(MAIL_PER_USER_MAX - MAIL_PER_SENDER_MAX - 1) {
        let mail = Mail { to: name("bob"), number, from: name("carol"), at: Wall(number), text: "x".into() };
        hall.world.store_mut(hall.node).change(&Change::PutMail(mail));
    }
    hall.crash();
    let (alice, _) = hall.login("alice");
    let (mut kept, mut refused) = (0, 0);
    // No faster than anybody may; more is held back, and then closes the link.
    for _ in 0..100_000 / 20 {
        hall.world.write(alice, "message bob x\n".repeat(20).as_bytes());
        hall.world.run_for(4 * SECOND);
        let heard = hall.hear(alice);
        kept += heard.matches("OK message kept\n").count();
        refused +=
            heard.matches("ERR mailbox-full as much from you waits for that user already as may\n").count();
    }
    assert_eq!(kept + refused, 100_000);
    assert_eq!(kept, MAIL_PER_SENDER_MAX as usize);
    let waiting = |hall: &Hall| hall.world.store(hall.node).mail_of(name("bob")).count();
    assert_eq!(waiting(&hall), MAIL_PER_USER_MAX as usize - 1);
    let (carol, _) = hall.login("carol");
    assert!(hall.say(carol, "message bob x\n").ends_with("OK message kept\n"), "there is room for others");
    let full = "ERR mailbox-full the mailbox of that user is full\n";
    assert_eq!(hall.say(carol, "message bob x\n"), full);
    assert_eq!(hall.say(carol, "message alice x\n").lines().last(), Some("OK message delivered"));
    let (bob, heard) = hall.login("bob");
    assert!(heard.starts_with(&format!("OK login bob {MAIL_PER_USER_MAX}\n")), "{heard}");
    hall.world.run_for(60 * SECOND);
    hall.hear(bob);
    assert_eq!(waiting(&hall), 0, "all came");
    assert_eq!(hall.say(alice, "message bob x\n").lines().last(), Some("OK message delivered"));
}

#[test]
fn a_database_that_cannot_be_read_lets_nobody_in_and_is_tried_again() {
    let mut hall = Hall::new(8);
    hall.world.store_mut(hall.node).fail(Some(ErrorKind::InvalidData));
    hall.crash();
    let link = hall.connect();
    let login = format!("login alice {}\n", pass("alice"));
    assert_eq!(hall.say(link, &login), "ERR not-yet the accounts are not read yet; try again\n");
    assert!(hall.say(link, "HELLO visitor\n").starts_with("OK HELLO visitor "), "guests need no account");
    hall.world.store_mut(hall.node).fail(None);
    hall.world.run_for(3 * SECOND);
    let (alice, _) = hall.login("alice");
    // Later on it is the same: what is known stays known.
    hall.world.store_mut(hall.node).fail(Some(ErrorKind::InvalidData));
    hall.world.run_for(10 * SECOND);
    assert!(hall.say(alice, "message bob x\n").starts_with("ERR local-disk "));
    let (bob, _) = hall.login("bob");
    assert_eq!(hall.say(bob, "message alice x\n").lines().last(), Some("OK message delivered"));
}
