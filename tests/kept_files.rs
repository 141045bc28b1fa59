//! What users hold of files outlives the server: names stay bound, also while nobody who holds the file is there.

mod common;

use std::io::ErrorKind;
use std::time::Duration;

use common::hall::{Hall, name, pass};
use tickmesh::proto::limits::LOGINS_UNSTORED_MAX;
use tickmesh::proto::machine::Change;
use tickmesh::sim::StrangerId;

const SECOND: Duration = Duration::from_secs(1);

/// Offers a file of two chunks.
fn register(hall: &mut Hall, link: StrangerId, file: &str, content: &str, portion: &str) -> String {
    let hash = blake3::hash(content.as_bytes()).to_hex();
    let bytes = content.len();
    let said = format!("REGISTER {file} {} {bytes} 130 {portion}\n{hash}\n{hash}\n", 2 * bytes);
    let heard = hall.say(link, &said);
    heard.lines().rfind(|line| line.starts_with("OK ") || line.starts_with("ERR ")).unwrap().to_owned()
}

fn holders(hall: &Hall, file: &str) -> Vec<String> {
    hall.world.store(hall.node).holders(name("lab"), file).map(ToString::to_string).collect()
}

#[test]
fn a_name_stays_bound_over_a_crash_and_nobody_who_is_away_is_offered() {
    let mut hall = Hall::new(1);
    let (alice, _) = hall.auth("alice");
    assert_eq!(register(&mut hall, alice, "f", "one", "all"), "OK REGISTER f 1");
    assert_eq!(holders(&hall, "f"), ["alice"], "kept before it was answered");
    hall.crash();
    let (bob, _) = hall.auth("bob");
    let taken = "ERR file-differs another file is called f already; alice holds it, who is offline";
    assert_eq!(register(&mut hall, bob, "f", "two", "all"), taken);
    let guest = hall.connect_from_afar();
    hall.say(guest, "HELLO box 4000\n");
    assert_eq!(register(&mut hall, guest, "f", "two", "all"), taken);
    let measuring = hall.connect_from_afar();
    hall.say(measuring, "JOIN lab m 4000 * 0\n");
    assert_eq!(register(&mut hall, measuring, "f", "two", "all"), taken);
    assert_eq!(hall.say(bob, "searchFile f\n"), "OK searchFile Not available\n");
    assert_eq!(hall.say(bob, "searchChunk f 1 2\n"), "OK searchChunk Not available\n");
    assert_eq!(
        hall.say(bob, "searchChunk f 3\n"),
        "ERR unknown-chunk f has 2 chunks, and they count from 1\n"
    );
    assert_eq!(hall.say(bob, "DOWNLOAD f\n"), "ERR unknown-file nobody who holds f is online\n");
    assert_eq!(hall.say(bob, "DOWNLOAD g\n"), "ERR unknown-file nobody shares g in lab\n");
    let (alice, _) = hall.auth("alice");
    assert_eq!(register(&mut hall, alice, "f", "one", "all"), "OK REGISTER f 1");
    assert!(hall.say(bob, "DOWNLOAD f\n").contains("OK DOWNLOAD f 6 3 130\n"));
    hall.say(bob, "HAVE f 0 0\n");
    assert_eq!(holders(&hall, "f"), ["alice", "bob"], "who has got a chunk holds it");
    assert_eq!(register(&mut hall, guest, "f", "one", "all"), "OK REGISTER f 3");
    assert_eq!(holders(&hall, "f"), ["alice", "bob"], "guests are not kept");
    assert!(register(&mut hall, alice, "f", "two", "all").starts_with("ERR file-differs "));
    hall.say(alice, "logout\n");
    assert!(register(&mut hall, guest, "f", "two", "all").starts_with("ERR file-differs "));
}

#[test]
fn a_name_is_given_up_by_its_last_user_or_with_that_account() {
    let mut hall = Hall::new(2);
    let (alice, _) = hall.auth("alice");
    let (bob, _) = hall.auth("bob");
    assert_eq!(register(&mut hall, alice, "f", "one", "all"), "OK REGISTER f 1");
    assert_eq!(register(&mut hall, alice, "f", "two", "all"), "OK REGISTER f 1", "she alone may change it");
    assert!(register(&mut hall, bob, "f", "one", "all").starts_with("ERR file-differs "));
    assert_eq!(register(&mut hall, bob, "f", "two", "all"), "OK REGISTER f 2");
    assert_eq!(register(&mut hall, alice, "f", "two", "none"), "OK REGISTER f 1");
    assert_eq!(holders(&hall, "f"), ["bob"]);
    hall.crash();
    let (alice, _) = hall.auth("alice");
    let answer = register(&mut hall, alice, "f", "one", "all");
    assert_eq!(answer, "ERR file-differs another file is called f already; bob holds it, who is offline");
    let (bob, _) = hall.auth("bob");
    assert_eq!(hall.say(bob, "WITHDRAW f\n"), "OK WITHDRAW f\n");
    assert_eq!(holders(&hall, "f"), [""; 0]);
    assert_eq!(register(&mut hall, alice, "f", "one", "all"), "OK REGISTER f 1");
    assert_eq!(register(&mut hall, bob, "g", "one", "all"), "OK REGISTER g 1");
    hall.world.store_mut(hall.node).change(&Change::RemoveAccount { name: name("bob") });
    hall.world.run_for(3 * SECOND);
    assert_eq!(register(&mut hall, alice, "g", "two", "all"), "OK REGISTER g 1");
    hall.world.store_mut(hall.node).change(&Change::RemoveAccount { name: name("alice") });
    hall.world.run_for(3 * SECOND);
    let (carol, _) = hall.auth("carol");
    assert_eq!(register(&mut hall, carol, "f", "three", "all"), "OK REGISTER f 1");
    assert_eq!((holders(&hall, "f"), holders(&hall, "g")), (vec!["carol".to_owned()], Vec::new()));
}

#[test]
fn what_the_disk_refuses_was_never_said() {
    let mut hall = Hall::new(3);
    let (alice, _) = hall.auth("alice");
    hall.world.store_mut(hall.node).fail(Some(ErrorKind::StorageFull));
    let answer = register(&mut hall, alice, "f", "one", "all");
    assert!(answer.starts_with("ERR local-disk the server could not keep it: "), "{answer}");
    hall.world.store_mut(hall.node).fail(None);
    let (bob, _) = hall.auth("bob");
    assert_eq!(hall.say(bob, "searchFile f\n"), "OK searchFile Not available\n");
    assert_eq!(register(&mut hall, bob, "f", "two", "all"), "OK REGISTER f 1");
    assert_eq!(holders(&hall, "f"), ["bob"]);
    hall.world.store_mut(hall.node).fail(Some(ErrorKind::StorageFull));
    assert!(register(&mut hall, bob, "f", "two", "none").starts_with("ERR local-disk "));
    let refused = hall.server().status().files_refused;
    assert!(hall.say(bob, "WITHDRAW f\n").starts_with("ERR local-disk "));
    assert_eq!(hall.server().status().files_refused, refused, "that was no `REGISTER`");
    hall.world.store_mut(hall.node).fail(None);
    assert!(register(&mut hall, alice, "f", "one", "all").contains("bob holds it"), "still");
}

#[test]
fn many_files_said_at_once_are_answered_in_their_order() {
    let mut hall = Hall::new(4);
    let (alice, _) = hall.auth("alice");
    let hash = blake3::hash(b"x").to_hex();
    let lines = |number: usize| {
        format!("REGISTER f{number} 64 1 {} all\n{}", 64 * 65, format!("{hash}\n").repeat(64))
    };
    let said: String = (0..60).map(lines).collect();
    assert!(said.len() > 200_000);
    hall.world.write(alice, said.as_bytes());
    hall.world.write(alice, b"whoelse\n");
    hall.world.run_for(SECOND);
    let heard = hall.hear(alice);
    let expected: String = (0..60).map(|number| format!("OK REGISTER f{number} 1\n")).collect();
    assert_eq!(heard, expected + "OK whoelse 0\n");
    assert_eq!(holders(&hall, "f59"), ["alice"]);
}

#[test]
fn wrong_passwords_are_noted_for_whose_account_it_is() {
    let mut hall = Hall::new(5);
    for user in ["alice", "nobody"] {
        let link = hall.connect();
        hall.say(link, &format!("login {user} guess\n"));
    }
    hall.login("alice");
    hall.world.run_for(3 * SECOND);
    let store = hall.world.store(hall.node);
    let refused: Vec<bool> = store.logins(name("alice")).map(|login| login.is_refused).collect();
    assert_eq!(refused.len(), 2);
    assert!(refused.contains(&true) && refused.contains(&false));
    assert_eq!(store.logins(name("nobody")).count(), 0);
}

#[test]
fn logins_are_noted_a_second_later_or_when_there_are_many_or_when_the_server_stops() {
    let mut hall = Hall::new(6);
    let noted = |hall: &Hall| -> usize {
        ["alice", "bob"].map(|user| hall.world.store(hall.node).logins(name(user)).count()).iter().sum()
    };
    let (alice, _) = hall.login("alice");
    hall.world.run_for(2 * SECOND);
    assert_eq!(noted(&hall), 1);
    hall.say(alice, "logout\n");
    let links: Vec<StrangerId> = (0..2 * LOGINS_UNSTORED_MAX).map(|_| hall.connect()).collect();
    for (number, link) in links.into_iter().enumerate() {
        let user = ["alice", "bob"][number % 2];
        hall.world.write(link, format!("login {user} {}\nlogout\n", pass(user)).as_bytes());
        hall.world.run_for(SECOND / 50);
        let answers = hall.hear(link);
        assert!(answers.contains("OK login") && answers.contains("OK logout"), "{answers}");
        assert!(noted(&hall) + LOGINS_UNSTORED_MAX > number + 2);
    }
    hall.login("alice");
    hall.world.shutdown(hall.node);
    hall.world.run_for(SECOND);
    assert_eq!(noted(&hall), 2 + 2 * LOGINS_UNSTORED_MAX);
}
