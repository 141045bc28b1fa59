//! Users, who prove who they are: passwords, blocks of names, mail that waits, also when the server crashes, what a
//! store that fails leads to, and who is not let in.

mod common;

use std::io::ErrorKind;
use std::time::Duration;

use common::hall::{Hall, name, pass, verifier};
use tickmesh::proto::machine::Change;
use tickmesh::proto::server::LetIn;

const SECOND: Duration = Duration::from_secs(1);

/// Whether what was heard is what is documented; `~` stands for a word or the rest of one.
fn matches(heard: &str, documented: &str) -> bool {
    match documented.split_once('~') {
        Some((start, "")) => heard.starts_with(start),
        _ => heard == documented,
    }
}

#[test]
fn the_documented_session_of_two_people_is_what_happens() {
    let mut hall = Hall::new(11);
    let verifier = verifier("open sesame").into();
    hall.world.store_mut(hall.node).change(&Change::PutAccount { name: name("alice"), verifier });
    hall.world.run_for(3 * SECOND);
    let greetings: Vec<String> =
        include_str!("../src/proto/wire/talk.txt").lines().take(2).map(str::to_owned).collect();
    let links = [hall.connect(), hall.connect()];
    let mut heard = [String::new(), String::new()];
    assert!(greetings.iter().all(|line| line.contains(": TICKMESH 1 server tickmesh/")));
    for line in include_str!("../src/proto/wire/talk.txt").lines().skip(2) {
        let (who, text) = line.split_once(": ").unwrap();
        let place = usize::from(who.ends_with('B'));
        if who.starts_with('S') {
            let (first, rest) =
                heard[place].split_once('\n').unwrap_or_else(|| panic!("silence instead of {text}"));
            assert!(matches(first, text), "{first}\nexpected {text}");
            heard[place] = rest.to_owned();
        } else {
            assert_eq!(heard.concat(), "", "said but not documented, before {text}");
            heard[place] = hall.say(links[place], &format!("{text}\n"));
            heard[1 - place] = hall.hear(links[1 - place]);
        }
    }
    assert_eq!(heard.concat(), "");
}

#[test]
fn users_log_in_and_what_they_say_behind_it_waits_for_that() {
    let mut hall = Hall::new(1);
    let link = hall.connect();
    let said = hall.say(link, "login alice alice's pass word\nwhoelse\nmessage bob hello\n");
    assert_eq!(said, "OK login alice 0\nOK whoelse 0\nOK message kept\n");
    let (bob, heard) = hall.login("bob");
    assert_eq!(heard, "OK login bob 1\nMESSAGE alice hello\n");
    assert_eq!(hall.hear(link), "ONLINE bob\n");
    assert_eq!(hall.say(bob, "%alice%hello yourself\n"), "OK message delivered\n");
    assert_eq!(hall.hear(link), "MESSAGE bob hello yourself\n");
    assert!(hall.say(bob, "login bob bob's pass word\n").starts_with("ERR out-of-place "));
    assert!(hall.say(bob, "HELLO robert\n").starts_with("ERR out-of-place "));
    let other = hall.connect();
    assert!(hall.say(other, "login bob bob's pass word\n").starts_with("ERR already-online "));
    assert_eq!(hall.say(other, "whoelse\n"), "ERR not-logged-in you are not logged in\n");
    assert_eq!(hall.say(bob, "logout\n"), "OK logout\n");
    assert_eq!(hall.hear(link), "OFFLINE bob\n");
    assert!(hall.say(other, "login bob bob's pass word\n").starts_with("OK login bob 0\n"));
}

#[test]
fn what_another_program_did_to_an_account_holds_for_the_login_right_after_it() {
    let mut hall = Hall::new(12);
    let links = [hall.connect(), hall.connect(), hall.connect(), hall.connect()];
    let put = |hall: &mut Hall, password: &str| {
        let verifier = verifier(password).into();
        hall.world.store_mut(hall.node).change(&Change::PutAccount { name: name("erin"), verifier });
    };
    put(&mut hall, "first");
    assert_eq!(hall.say(links[0], "login erin first\nlogout\n"), "OK login erin 0\nOK logout\n");
    put(&mut hall, "second");
    assert!(hall.say(links[1], "login erin first\n").starts_with("ERR wrong-password "));
    assert_eq!(hall.say(links[2], "login erin second\nlogout\n"), "OK login erin 0\nOK logout\n");
    hall.world.store_mut(hall.node).change(&Change::RemoveAccount { name: name("erin") });
    assert!(hall.say(links[3], "login erin second\n").starts_with("ERR wrong-password "));
}

#[test]
fn three_wrong_passwords_from_anywhere_block_a_name_whether_there_is_such_a_user_or_not() {
    let mut hall = Hall::new(2);
    for user in ["alice", "nobody"] {
        for attempt in 1..=4 {
            let link = hall.connect();
            let heard = hall.say(link, &format!("login {user} wrong{attempt}\n"));
            match attempt {
                1 | 2 => assert_eq!(heard, "ERR wrong-password the name or the password is wrong\n"),
                _ => assert!(heard.starts_with("ERR account-blocked too many wrong passwords"), "{heard}"),
            }
            assert!(hall.say(link, "whoelse\n").starts_with("ERR not-logged-in "));
        }
    }
    let link = hall.connect();
    assert!(hall.say(link, "login alice alice's pass word\n").starts_with("ERR account-blocked "));
    hall.world.run_for(60 * SECOND);
    hall.login("alice");
    assert_eq!(hall.server().status().logins_failed, 9);
}

#[test]
fn passwords_are_typed_on_the_servers_host_and_guests_come_from_where_they_may() {
    let mut hall = Hall::new(3);
    let far = hall.connect_from_afar();
    assert!(hall.say(far, "login alice alice's pass word\n").starts_with("ERR not-allowed "));
    assert!(hall.say(far, "HELLO visitor\n").starts_with("ERR not-allowed "));
    assert!(hall.say(far, "HELLO box 4000\n").starts_with("OK HELLO box "), "a program that shares files");
    let near = hall.connect();
    for taken in ["alice", "Alice", "a1ice", "ALICE"] {
        let heard = hall.say(near, &format!("HELLO {taken}\n"));
        assert_eq!(heard, "ERR id-taken alice is a user of this server; take another name\n", "{taken}");
    }
    assert!(hall.say(near, "HELLO visitor\n").starts_with("OK HELLO visitor "));
    assert!(hall.say(near, "message alice hello\n").starts_with("ERR offline "), "guests leave no mail");
    let alice = hall.connect_by_address();
    assert!(hall.say(alice, "login alice alice's pass word\n").starts_with("OK login alice "));
    let by_address = hall.connect_by_address();
    assert!(hall.say(by_address, "HELLO other\n").starts_with("OK HELLO other "));
    assert_eq!(hall.hear(alice), "ONLINE other\n");
    assert!(hall.say(near, "message alice hello\n").ends_with("OK message delivered\n"));
    assert_eq!(hall.hear(alice), "MESSAGE visitor hello\n");
    let mut closed = Hall::with_guests(4, LetIn::None);
    let link = closed.connect();
    assert!(closed.say(link, "HELLO visitor\n").starts_with("ERR not-allowed "));
    closed.login("bob");
}

#[test]
fn mail_waits_in_its_order_over_crashes_and_is_over_when_it_was_taken() {
    let mut hall = Hall::new(5);
    let (alice, _) = hall.login("alice");
    for number in 0..10 {
        assert_eq!(hall.say(alice, &format!("message bob {number}\n")), "OK message kept\n");
    }
    hall.crash();
    let (_, heard) = hall.login("bob");
    let lines: String = (0..10).map(|number| format!("MESSAGE alice {number}\n")).collect();
    assert_eq!(heard, format!("OK login bob 10\n{lines}"));
    hall.world.run_for(SECOND);
    assert_eq!(hall.world.store(hall.node).mail_of(name("bob")).count(), 0);
    hall.crash();
    let (_, heard) = hall.login("bob");
    assert_eq!(heard, "OK login bob 0\n");
}

#[test]
fn a_program_acknowledges_and_sees_again_what_it_did_not() {
    let mut hall = Hall::new(6);
    let (alice, _) = hall.login("alice");
    let (bob, _) = hall.auth("bob");
    for number in 0..3 {
        assert_eq!(
            hall.say(alice, &format!("message bob {number}\n")).lines().last(),
            Some("OK message delivered")
        );
    }
    let mail: Vec<String> = hall.hear(bob).lines().map(str::to_owned).collect();
    assert_eq!(mail.len(), 3);
    let number = |line: &str| line.split(' ').nth(1).unwrap().parse::<u64>().unwrap();
    assert!(mail[0].starts_with("MAIL ") && mail[0].ends_with(" alice 0"), "{mail:?}");
    assert_eq!(hall.say(bob, &format!("ACK {}\n", number(&mail[0]))), "");
    assert!(hall.say(bob, "ACK 9000000000000000000\n").starts_with("ERR never-sent "));
    hall.world.reset(bob);
    hall.world.run_for(SECOND);
    assert_eq!(hall.world.store(hall.node).mail_of(name("bob")).count(), 2, "it is mail now");
    hall.crash();
    let (bob, heard) = hall.auth("bob");
    assert!(heard.starts_with("OK login bob 2 "), "{heard}");
    assert_eq!(heard.lines().skip(1).collect::<Vec<_>>(), mail[1..], "the same, under the same numbers");
    hall.say(bob, &format!("ACK {}\n", number(&mail[2])));
    assert_eq!(hall.world.store(hall.node).mail_of(name("bob")).count(), 0);
}

#[test]
fn blocks_of_users_last_and_hold_for_mail_too() {
    let mut hall = Hall::new(7);
    let (alice, _) = hall.login("alice");
    assert_eq!(hall.say(alice, "message bob one\n"), "OK message kept\n");
    let (bob, _) = hall.login("bob");
    assert_eq!(hall.say(bob, "block alice\n"), "OK block alice\n");
    assert!(hall.say(alice, "message bob two\n").ends_with("ERR blocked-you that user has blocked you\n"));
    hall.crash();
    assert!(hall.world.store(hall.node).blocks(name("bob"), name("alice")));
    let (alice, _) = hall.login("alice");
    assert!(hall.say(alice, "message bob three\n").starts_with("ERR blocked-you "));
    let (bob, _) = hall.login("bob");
    assert_eq!(hall.hear(alice), "", "she does not see him come");
    assert_eq!(hall.say(bob, "unblock alice\n"), "OK unblock alice\n");
    assert_eq!(hall.say(alice, "message bob four\n"), "OK message delivered\n");
}

#[test]
fn a_disk_that_refuses_is_told_to_who_counts_on_it_and_nothing_is_half_done() {
    let mut hall = Hall::new(8);
    let (alice, _) = hall.login("alice");
    hall.world.store_mut(hall.node).fail(Some(ErrorKind::StorageFull));
    let heard = hall.say(alice, "message bob lost\nblock bob\nwhoelse\n");
    let kinds: Vec<&str> = heard.lines().map(|line| &line[..line.len().min(15)]).collect();
    assert_eq!(kinds, ["ERR local-disk ", "ERR local-disk ", "OK whoelse 0"], "{heard}");
    hall.world.store_mut(hall.node).fail(None);
    assert_eq!(hall.say(alice, "message bob kept\n"), "OK message kept\n");
    assert_eq!(hall.say(alice, "block bob\n"), "OK block bob\n", "it was not so");
    let (_, heard) = hall.login("bob");
    assert_eq!(heard, "OK login bob 1\nMESSAGE alice kept\n");
    assert!(hall.server().status().store_failures >= 2);
}

#[test]
fn what_an_operator_changes_holds_at_once() {
    let mut hall = Hall::new(9);
    let visitor = hall.connect();
    assert!(hall.say(visitor, "HELLO dave\n").starts_with("OK HELLO dave "));
    let (alice, _) = hall.login("alice");
    hall.hear(visitor);
    let change = Change::PutAccount { name: name("dave"), verifier: verifier(&pass("dave")).into() };
    hall.world.store_mut(hall.node).change(&change);
    hall.world.run_for(3 * SECOND);
    assert_eq!(hall.hear(visitor), "BYE that name is a user's now\n");
    assert_eq!(hall.hear(alice), "OFFLINE dave\n");
    let (dave, _) = hall.login("dave");
    hall.say(dave, "message bob hello\n");
    hall.world.store_mut(hall.node).change(&Change::RemoveAccount { name: name("dave") });
    hall.world.run_for(3 * SECOND);
    assert_eq!(hall.hear(dave), "BYE your account was removed\n");
    let link = hall.connect();
    assert!(hall.say(link, "login dave dave's pass word\n").starts_with("ERR wrong-password "));
    assert!(
        hall.say(alice, "message dave hello\n").ends_with("ERR unknown-user there is no user of that name\n")
    );
    let change = Change::PutAccount { name: name("alice"), verifier: verifier("another").into() };
    hall.world.store_mut(hall.node).change(&change);
    hall.world.run_for(3 * SECOND);
    assert_eq!(hall.hear(alice), "BYE your password was changed\n");
}

/// Between two looks at the accounts a name may become another's. Whose password was changed keeps everything.
#[test]
fn what_an_account_had_is_not_the_next_ones_of_that_name() {
    let mut hall = Hall::new(13);
    for (user, others) in
        [("alice", ["bob", "carol"]), ("bob", ["alice", "carol"]), ("carol", ["alice", "bob"])]
    {
        let (link, _) = hall.login(user);
        others
            .iter()
            .for_each(|other| assert!(hall.say(link, &format!("block {other}\n")).contains("OK block")));
        hall.say(link, "logout\n");
    }
    let hash = blake3::hash(b"chunk").to_hex();
    let register = |hall: &mut Hall, link, file: &str, bytes: u64| {
        let heard = hall.say(link, &format!("REGISTER {file} {bytes} 5 65 all\n{hash}\n"));
        heard.lines().last().unwrap_or_default().to_owned()
    };
    for (user, file) in [("bob", "f"), ("carol", "g")] {
        let (link, _) = hall.auth(user);
        assert_eq!(register(&mut hall, link, file, 5), format!("OK REGISTER {file} 1"));
        hall.say(link, "logout\n");
    }
    let store = hall.world.store_mut(hall.node);
    store.change(&Change::RemoveAccount { name: name("bob") });
    for user in ["bob", "carol"] {
        store.change(&Change::PutAccount { name: name(user), verifier: verifier("another").into() });
    }
    let [bob, carol] = ["bob", "carol"].map(|user| {
        let link = hall.connect();
        assert!(hall.say(link, &format!("login {user} another\n")).starts_with(&format!("OK login {user} ")));
        link
    });
    let (alice, _) = hall.auth("alice");
    assert_eq!(hall.say(bob, "message alice hello\n"), "ONLINE carol\nONLINE alice\nOK message delivered\n");
    assert!(hall.hear(alice).ends_with(" bob hello\n"));
    assert!(hall.say(bob, "unblock alice\n").starts_with("ERR not-blocked "));
    assert!(hall.say(carol, "message alice hello\n").contains("ERR blocked-you "));
    assert!(hall.say(carol, "message bob hello\n").ends_with("OK message delivered\n"));
    for other in ["alice", "bob"] {
        let expected = if other == "alice" { "OK unblock " } else { "ERR not-blocked " };
        assert!(hall.say(carol, &format!("unblock {other}\n")).contains(expected), "{other}");
    }
    assert_eq!(register(&mut hall, alice, "f", 4), "OK REGISTER f 1", "nobody holds another one");
    assert!(register(&mut hall, alice, "g", 4).starts_with("ERR file-differs "));
}

#[test]
fn a_user_shares_files_under_that_name() {
    let mut hall = Hall::new(10);
    let (alice, _) = hall.auth("alice");
    let hash = blake3::hash(b"chunk").to_hex();
    assert_eq!(hall.say(alice, &format!("REGISTER f 5 5 65 all\n{hash}\n")), "OK REGISTER f 1\n");
    let (bob, _) = hall.login("bob");
    assert_eq!(hall.say(bob, "searchFile f\n"), "* HOLDER alice 1 1\nOK searchFile Available\n");
    hall.world.reset(alice);
    hall.world.run_for(SECOND);
    let (alice, _) = hall.auth("alice");
    assert_eq!(hall.say(alice, &format!("REGISTER f 5 5 65 all\n{hash}\n")), "OK REGISTER f 1\n");
}

/// A look that failed says nothing: who logs in just after it is not refused for an account that is there.
#[test]
fn a_look_that_failed_does_not_count() {
    let mut hall = Hall::new(11);
    let (carol, dave) = (hall.connect(), hall.connect());
    hall.world.store_mut(hall.node).fail(Some(ErrorKind::Other));
    hall.world.write(carol, b"login carol nonsense\n");
    let before = hall.server().status().store_failures;
    // In small steps: it must not look again before the store works.
    let has_failed = (0..20_000).any(|_| {
        hall.world.run_for(Duration::from_micros(50));
        hall.server().status().store_failures > before
    });
    assert!(has_failed);
    hall.world.store_mut(hall.node).fail(None);
    let change = Change::PutAccount { name: name("dave"), verifier: verifier(&pass("dave")).into() };
    hall.world.store_mut(hall.node).change(&change);
    assert_eq!(hall.say(dave, &format!("login dave {}\n", pass("dave"))), "OK login dave 0\n");
}

/// Whichever part of a long look fails: the next one does not go on behind it, for what was read before may have
/// changed.
#[test]
fn a_look_that_failed_begins_anew() {
    let verifier = verifier(&pass("aaron"));
    for at in 0..24 {
        let mut hall = Hall::new(12);
        let (carol, aaron) = (hall.connect(), hall.connect());
        for number in 0..400 {
            let name = name(&format!("many{number:03}"));
            let change = Change::PutAccount { name, verifier: verifier.as_str().into() };
            hall.world.store_mut(hall.node).change(&change);
        }
        hall.world.write(carol, b"login carol nonsense\n");
        hall.world.run_for(Duration::from_micros(500) * at);
        hall.world.store_mut(hall.node).fail(Some(ErrorKind::Other));
        hall.world.run_for(Duration::from_millis(10));
        hall.world.store_mut(hall.node).fail(None);
        let change = Change::PutAccount { name: name("aaron"), verifier: verifier.as_str().into() };
        hall.world.store_mut(hall.node).change(&change);
        let heard = hall.say(aaron, &format!("login aaron {}\n", pass("aaron")));
        assert!(heard.ends_with("OK login aaron 0\n"), "after {at} steps: {heard}");
    }
}
