//! One evening with the real program: alice, bob and carol at consoles, each at a terminal of its own, and dave at a
//! plain connection, as if at `nc`. Every command, that it works, and each of its errors:
//!
//! | command | errors |
//! |---|---|
//! | `login` | wrong-password (a wrong name too), account-blocked, already-online, out-of-place, bad-argument |
//! | all others | not-logged-in, unknown-verb, bad-text, line-too-long |
//! | `message`, `%name%text` | unknown-user, offline, yourself, empty-text, text-too-long, blocked-you |
//! | `broadcast` | empty-text, text-too-long |
//! | `whoelse`, `whoelsesince` | bad-argument, unknown-user |
//! | `block`, `unblock` | unknown-user, yourself, already-blocked, not-blocked, bad-argument |
//! | `startprivate` | unknown-user, offline, yourself, blocked-you, you-blocked, guests-cannot, not-reachable, bad-argument |
//! | `private` | no-private (never begun, stopped, its other end gone or killed), empty-text, guests-cannot, bad-argument |
//! | `stopprivate` | no-private, guests-cannot, bad-argument |
//! | `register` | local-disk (no file, a folder, no such number of chunks), file-differs, out-of-place, guests-cannot, bad-argument |
//! | `searchFile`, `searchChunk` | unknown-file, unknown-chunk, bad-argument |
//! | `download` | unknown-file, unknown-chunk, out-of-place, guests-cannot, bad-argument |
//! | `logout` | bad-argument |
//! | all for the server | server-lost |
//!
//! In the simulator: mailbox-full (`bad_words`), too-fast (`talk`, `private`), limit-reached (beside the code),
//! too many errors (`bad_words`), a text or a download that breaks off (`direct`), local-disk of the server (`logins`, `kept_files`).

#[path = "../common/mod.rs"]
mod common;
mod files;
mod private;

use common::party::{Evening, Plain};
use common::screen::Screen;
use common::text;

struct Party {
    evening: Evening,
    alice: Screen,
    bob: Screen,
    carol: Screen,
    dave: Plain,
}

#[test]
fn every_command_and_each_of_its_errors() {
    let mut party = arrive();
    let long = "x".repeat(4000);
    // Who has just said much waits before a message, but would be refused a private link.
    private::begin(&mut party);
    private::break_off(&mut party);
    talk(&mut party, &long);
    lists(&mut party);
    blocks(&mut party);
    files::offer(&mut party);
    files::find_and_get(&mut party);
    files::lose_a_holder(&mut party);
    guests(&party.evening);
    leave(party);
}

/// Logins, and that nothing works before.
fn arrive() -> Party {
    let evening = Evening::new("");
    let mut alice = evening.console("alice");
    alice.tries(&[("whoelse", "whoelse: nobody else"), ("message carol for later", "message: kept until")]);
    let bob = evening.console("bob");
    let mut again = evening.begin("bob");
    again.press("bobs-word\r");
    again.hears("tickmesh: the server refused: that user is logged in already");
    assert_eq!(again.ends(), 1);

    let mut nobody = evening.plain();
    let not_in = "ERR not-logged-in ";
    nobody.tries(&[("message bob hi", not_in), ("%bob%hi", not_in), ("broadcast hi", not_in)]);
    nobody.tries(&[("whoelse", not_in), ("whoelsesince 5", not_in), ("logout", not_in)]);
    let mut nobody = evening.plain();
    nobody.tries(&[("block bob", not_in), ("unblock bob", not_in)]);
    nobody.tries(&[("startprivate bob", not_in), ("stopprivate bob", not_in)]);
    nobody.tries(&[("searchFile a", "ERR out-of-place "), ("searchChunk a 1", "ERR out-of-place ")]);
    nobody.tries(&[("private hi", "ERR bad-argument "), (&"x".repeat(5000), "ERR line-too-long ")]);

    let mut nobody = evening.plain();
    nobody.tries(&[
        ("login dave wrong", "ERR wrong-password the name or the password is wrong"),
        ("login nobody wrong", "ERR wrong-password the name or the password is wrong"),
        ("login dave", "ERR bad-argument "),
        ("login bob bobs-word", "ERR already-online "),
        ("login bob wrong", "ERR wrong-password "),
        ("HELLO bob", "ERR id-taken "),
        ("login eve wrong", "ERR wrong-password "),
    ]);
    // From wherever, and at a console too.
    evening
        .plain()
        .tries(&[("login eve wrong", "ERR wrong-password "), ("login eve bad", "ERR account-blocked ")]);
    nobody.tries(&[("login eve eves-word", "ERR account-blocked ")]);
    let mut eve = evening.begin("eve");
    eve.press("eves-word\r");
    eve.hears_of("tickmesh: the server refused: too many wrong passwords in a row");
    assert_eq!(eve.ends(), 1);
    // After more errors than that a link is closed.
    let mut dave = evening.plain();
    dave.tries(&[
        ("login dave daves-word", "OK login dave 0\n"),
        ("login dave daves-word", "ERR out-of-place "),
    ]);

    let mut carol = evening.console("carol");
    carol.hears("you are carol; 1 message came while you were away");
    carol.hears("alice: for later");
    ["bob", "dave", "carol"].iter().for_each(|name| alice.hears(&format!("{name} is here")));
    dave.hears("ONLINE carol\n");
    Party { evening, alice, bob, carol, dave }
}

/// `message`, `%name%text`, `broadcast`, and what is no command.
fn talk(party: &mut Party, long: &str) {
    let Party { evening, alice, bob, carol, dave } = party;
    alice.says("message bob see you at nine", "message: delivered");
    bob.hears("alice: see you at nine");
    bob.says("%dave%100 % yes", "message: delivered");
    dave.hears("MESSAGE bob 100 % yes\n");
    dave.says("%alice%\u{202e}evil", "OK message delivered\n");
    alice.hears("dave: \\u{202e}evil");
    dave.tries(&[
        ("message nobody hi", "ERR unknown-user "),
        ("message a,b hi", "ERR unknown-user "),
        ("message", "ERR unknown-user "),
        ("%nobody%hi", "ERR unknown-user "),
        ("message dave hi", "ERR yourself "),
        ("%dave%hi", "ERR yourself "),
        ("message alice  ", "ERR empty-text "),
        ("%alice%", "ERR empty-text "),
        (&format!("message alice {long}"), "ERR text-too-long "),
        (&format!("%alice%{long}"), "ERR text-too-long "),
        ("message alice \u{9b}2J", "ERR bad-text "),
        ("%alice", "ERR unknown-verb "),
        ("broadcast", "ERR empty-text "),
        (&format!("broadcast {long}"), "ERR text-too-long "),
        ("broadcast hi", "OK broadcast all\n"),
    ]);
    alice.hears("dave to all: hi");
    // A guest gets what is said at once, and nothing is kept for or from one.
    let mut guest = evening.plain();
    guest.says("HELLO visitor", "OK ");
    guest.tries(&[("message erin hi", "ERR offline "), ("message bob hi", "OK message delivered\n")]);
    bob.hears("visitor: hi");
    guest.tries(&[("startprivate bob", "ERR guests-cannot ")]);
    bob.tries(&[("startprivate visitor", "startprivate: guests have no private links")]);
    guest.says("logout", "OK logout\n");
    alice.hears("visitor is gone");
    alice.tries(&[
        ("message visitor hi", "message: that user is offline"),
        ("message nobody hi", "message: there is no user of that name"),
        ("%nobody%hi", "message: there is no user of that name"),
        ("message alice hi", "message: that is you"),
        ("message bob", "message: the text is empty"),
        ("%bob% ", "message: the text is empty"),
        (&format!("message bob {long}"), "message: a message has at most 3968 bytes"),
        ("broadcast", "broadcast: the text is empty"),
        (&format!("broadcast {long}"), "broadcast: a message has at most 3968 bytes"),
        ("broadcast to all of you", "broadcast: to all who are here"),
        ("%bob", "no such command; help lists them"),
        ("Message bob hi", "no such command; help lists them"),
        ("login alice alices-word", "no such command; help lists them"),
        ("help", "  searchChunk"),
    ]);
    bob.hears("alice to all: to all of you");
    carol.hears("alice to all: to all of you");
}

/// `whoelse`, `whoelsesince`.
fn lists(party: &mut Party) {
    let Party { alice, dave, .. } = party;
    alice.says("whoelse", "whoelse: 3");
    ["  bob", "  carol", "  dave"].iter().for_each(|item| alice.hears(item));
    // The visitor is gone, and was here.
    alice.says("whoelsesince 100000", "whoelsesince: 5");
    alice.hears("  visitor");
    let number = "whoelsesince: a whole number of seconds is expected";
    alice.tries(&[
        ("whoelsesince x", number),
        ("whoelsesince -5", number),
        ("whoelsesince 1.5", number),
        ("whoelsesince", number),
        ("whoelsesince 18446744073709551615", "whoelsesince: 5"),
        ("whoelse carol", "whoelse: 1"),
        ("whoelse 5 5", "whoelse: "),
        ("whoelsesince 100000 nobody", "whoelsesince: there is no user of that name"),
    ]);
    dave.hears("BROADCAST alice ");
}

/// `block`, `unblock`, and what a block is for.
fn blocks(party: &mut Party) {
    let Party { evening, alice, bob, carol, dave } = party;
    bob.says("block carol", "block: carol");
    carol.tries(&[
        ("message bob hi", "message: that user has blocked you"),
        ("%bob%hi", "message: that user has blocked you"),
        ("broadcast hi", "broadcast: to all but those who have blocked you"),
        ("whoelse", "whoelse: 2"),
    ]);
    bob.tries(&[
        ("block carol", "block: you have blocked that user already"),
        ("block bob", "block: that is you"),
        ("block nobody", "block: there is no user of that name"),
        ("block", "block: the name of a user is missing"),
        ("block carol dave", "block: too many arguments"),
        ("unblock carol", "unblock: carol"),
        ("unblock carol", "unblock: you have not blocked that user"),
        ("unblock bob", "unblock: "),
        ("unblock nobody", "unblock: there is no user of that name"),
        ("unblock", "unblock: the name of a user is missing"),
    ]);
    bob.heard_nothing_of("carol: hi");
    carol.says("message bob again", "message: delivered");
    bob.hears("carol: again");
    dave.hears("BROADCAST carol hi\n");
    // Who is blocked does not see the other one come and go.
    dave.says("block carol", "OK block carol\n");
    dave.says("logout", "OK logout\n");
    alice.hears("dave is gone");
    *dave = evening.plain();
    dave.says("login dave daves-word", "OK login dave 0\n");
    alice.hears("dave is here");
    carol.says("whoelse", "whoelse: 2");
    carol.heard_nothing_of("dave is ");
    dave.says("unblock carol", "OK unblock carol\n");
}

/// A guest at a console talks, and may look for files.
fn guests(evening: &Evening) {
    let commands =
        "register a\ndownload a\nstartprivate alice\nprivate alice hi\nstopprivate alice\nsearchFile a\n";
    let output = evening.script(&format!("console --server {}", evening.server.addr), commands);
    let said = text(&output.stdout);
    assert_eq!(said.matches("\nERR guests-cannot ").count(), 5, "{said}");
    assert!(said.ends_with("\nOK searchFile Not available\n"), "{said}");
    assert_eq!(output.status.code(), Some(1));
}

/// `logout`, and an evening that goes on without its server.
fn leave(party: Party) {
    let Party { evening, mut alice, mut bob, mut carol, mut dave } = party;
    dave.says("logout now", "ERR bad-argument ");
    dave.says("logout", "OK logout\n");
    alice.hears("dave is gone");
    alice.tries(&[("logout now", "logout: too many arguments"), ("logout", "logout: done")]);
    assert_eq!(alice.ends(), 0);
    // Who held it is away, which is remembered.
    carol.tries(&[
        ("searchFile only.bin", "searchFile: Not available"),
        ("searchChunk only.bin 1", "searchChunk: Not available"),
        ("download only.bin", "download: nobody who holds only.bin is online"),
    ]);
    drop(evening.server);
    bob.hears_of("the server is gone");
    carol.hears_of("the server is gone");
    bob.says("private carol still here", "private: carol has it");
    carol.hears("bob privately: still here");
    for verb in ["message", "block", "unblock", "startprivate", "register", "download", "searchFile"] {
        let answer = format!("{verb}: the server is gone; trying to reach it again");
        carol.tries(&[(&format!("{verb} bob"), &answer)]);
    }
    bob.press("\x04");
    bob.hears("logout: done");
    assert_eq!(bob.ends(), 0);
    carol.hears_of("the private link with bob is closed");
    carol.says("private bob hi", "private: you have no private link with that user");
    carol.says("logout", "logout: done");
    assert_eq!(carol.ends(), 0);
}
