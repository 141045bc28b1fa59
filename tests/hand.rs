//! Peers whose server and whose others are played by hand, line by line: what nobody honest says must not
//! bring them down, and what an honest one may say must not be held against it.

mod common;

use std::io::ErrorKind;
use std::time::Duration;

use common::hand::{HASH, Hand, KEY};
use tickmesh::proto::ids::LinkId;
use tickmesh::proto::limits::{
    CHUNK_BYTES_MAX, GONE_GETS_BURST, LIES_MAX, LINE_BYTES_MAX, REGISTER_AGAIN_PAUSE, REGISTER_TRIES_MAX,
    REGISTERS_AHEAD_MAX,
};
use tickmesh::proto::machine::{CloseReason, DownReason, FileOp, Input, Origin, Stamp};
use tickmesh::proto::peer::{Get, GuestConfig, Offer, Orders, Peers, PeersConfig, Trouble};

/// A guest that shares empty files of these names, whose server knows it.
fn sharing(names: &[&str]) -> (Hand, LinkId) {
    let offers = names.iter().map(|name| {
        let (path, name) = (name.to_string(), name.parse().unwrap());
        Offer { path, name, chunks: None }
    });
    let orders = Orders { offers: offers.collect(), ..Orders::default() };
    let (server, group) = ("10.0.0.2:5555".parse().unwrap(), "lab".parse().unwrap());
    let config = GuestConfig { server, group, id: None, orders, upload_limit: None };
    let mut hand = Hand::with(Peers::guest(config), true);
    let server = hand.up();
    hand.say(server, &format!("TICKMESH 1 server x\nOK HELLO guest-7 {KEY}\n"));
    hand.elapse(Duration::from_secs(1));
    (hand, server)
}

#[test]
fn hashes_before_the_welcome_mean_nothing() {
    let mut hand = Hand::new();
    let server = hand.up();
    hand.say(server, &format!("TICKMESH 1 server x\nOK DOWNLOAD f.bin 9 3 195\n{HASH}{HASH}{HASH}"));
    hand.say(server, &format!("SOURCE f.bin eve 10.0.0.3:4000 {KEY}\n"));
    hand.say(server, &format!("OK HELLO guest-7 {KEY}\n"));
    assert!(hand.heard().ends_with("DOWNLOAD f.bin\n"));
}

#[test]
fn a_runner_is_no_guest_and_a_guest_no_runner() {
    let mut guest = Hand::new();
    let server = guest.up();
    guest.say(server, &format!("TICKMESH 1 server x\nOK JOIN 7 {KEY} 10000000 1000000000 1\n"));
    assert!(guest.wants.opens.is_empty() && guest.file.is_none(), "it has nothing to write down");

    let mut runner = Hand::of(Peers::new(PeersConfig {
        server: "10.0.0.2:5555".parse().unwrap(),
        group: "lab".parse().unwrap(),
        ids: vec![None],
        interval: None,
        duration: None,
        share_deadline: Some(Duration::from_secs(20)),
    }));
    let server = runner.up();
    runner.say(server, &format!("TICKMESH 1 server x\nOK JOIN 7 {KEY} 10000000 1000000000 1\n"));
    runner.elapse(Duration::from_millis(100));
    runner.input(Input::LinkDown { link: server, reason: DownReason::Reset });
    runner.elapse(Duration::from_secs(2));
    let server = runner.up();
    runner.say(server, &format!("TICKMESH 1 server x\nOK HELLO 7 {KEY}\n"));
}

#[test]
fn who_says_twice_what_it_holds_is_asked_once() {
    let (mut hand, _, eve) = Hand::linked();
    hand.say(eve, "HOLDS f.bin 1\n\x07");
    assert_eq!(hand.heard(), "", "no chunk is asked for twice over one link");
    hand.say(eve, "CHUNK f.bin 0 3\nabc");
    assert_eq!(hand.peer.files()[0].chunks_stored, 1);
}

/// What was asked for before the disk refused the file may still come, and is not asked for again before.
#[test]
fn what_a_source_owes_from_before_is_not_asked_for_twice() {
    let (mut hand, _, eve) = Hand::linked();
    let (file, error) = (hand.file.unwrap(), ErrorKind::StorageFull);
    hand.input(Input::FileFailed { file, op: FileOp::WriteAt, offset: 0, error });
    assert_eq!(hand.heard().matches("CANCEL f.bin ").count(), 3);
    hand.elapse(Duration::from_secs(6));
    assert_eq!(hand.heard().matches("WANT f.bin ").count(), 1);
    hand.say(eve, "HOLDS f.bin 1\n\x07");
    assert_eq!(hand.heard(), "", "three chunks are on their way");
    hand.say(eve, "DENY f.bin 0\nDENY f.bin 1\n");
    assert_eq!(hand.heard(), "");
    hand.say(eve, "CHUNK f.bin 2 3\nabc");
    assert_eq!(hand.heard().matches("WANT f.bin ").count(), 1);
    hand.say(eve, "HOLDS f.bin 1\n\x07");
    assert_eq!(hand.heard().matches("GET f.bin ").count(), 3);
}

#[test]
fn who_says_for_ever_what_it_holds_is_sent_away() {
    let (mut hand, _, eve) = Hand::linked();
    for _ in 0..1000 {
        hand.say(eve, "HAVE f.bin 0 2\nHAVE f.bin 1 1\n");
    }
    assert!(hand.wants.closed.is_empty(), "who says it twice or a thousand times costs little");
    (0..200_000).for_each(|_| hand.say(eve, "HAVE f.bin 0 2\n"));
    assert_eq!(hand.wants.closed, [(eve, CloseReason::Misbehaved)]);
}

/// An error does not say what it answers.
#[test]
fn an_error_about_a_report_is_none_about_the_download() {
    let (mut hand, server) = Hand::welcomed();
    hand.elapse(Duration::from_secs(2));
    assert!(hand.heard().contains("DOWNLOAD f.bin\n"));
    hand.say(server, "ERR unknown-member eve is no source of f.bin for you\n");
    hand.say(server, "ERR too-fast take the earlier answers first\n");
    hand.elapse(Duration::from_secs(2));
    assert!(hand.heard().contains("DOWNLOAD f.bin\n"), "it asks again");
}

/// Nobody waits for ever for a source that says nothing; one that lets us wait says an empty line.
#[test]
fn a_source_that_brings_nothing_is_left() {
    let (mut hand, _, eve) = Hand::linked();
    for _ in 0..10 {
        hand.elapse(Duration::from_secs(9));
        hand.say(eve, "\n");
    }
    assert!(hand.wants.closed.is_empty());
    hand.elapse(Duration::from_secs(12));
    assert_eq!(hand.wants.closed, [(eve, CloseReason::Silent)]);
}

/// Nor about what is registered after the server came back.
#[test]
fn an_error_about_a_report_is_none_about_a_register() {
    let (mut hand, server, _) = Hand::linked();
    hand.input(Input::LinkDown { link: server, reason: DownReason::Reset });
    hand.elapse(Duration::from_secs(2));
    let server = hand.up();
    hand.say(server, &format!("TICKMESH 1 server x\nOK HELLO guest-7 {KEY}\n"));
    assert!(hand.heard().contains("REGISTER f.bin 9 3 195 none\n"));
    hand.say(server, "ERR unknown-member eve is no source of f.bin for you\n");
    hand.say(server, "OK REGISTER f.bin 1\n");
    assert_eq!(hand.peer.report().peers[0].outcome, "unfinished");
    assert!(hand.peer.files()[0].is_offered);
}

/// The server has started anew and given the name to somebody else: one that it chose itself is no matter.
#[test]
fn a_guest_whose_name_was_given_away_takes_another() {
    let (mut hand, server, eve) = Hand::linked();
    hand.input(Input::LinkDown { link: server, reason: DownReason::Reset });
    hand.elapse(Duration::from_secs(2));
    let server = hand.up();
    hand.say(server, "TICKMESH 1 server x\n");
    assert_eq!(hand.heard(), format!("HELLO guest-7 40000 lab {KEY}\n"));
    hand.say(server, "ERR id-taken guest-7 is taken by 10.0.0.9:4000\n");
    assert_eq!(hand.heard(), "HELLO * 40000 lab\n");
    hand.say(eve, "CHUNK f.bin 0 3\nabc");
    hand.say(server, &format!("OK HELLO guest-8 {KEY}\n"));
    assert!(hand.heard().contains("REGISTER f.bin 9 3 195 none\n"));
    assert_eq!(hand.peer.report().peers[0].id.as_deref(), Some("guest-8"));
    assert_eq!(hand.peer.files()[0].chunks_stored, 1, "the transfer went on");
}

/// A server that has just started has many to hear of: who is refused for a limit asks again, and not for ever.
#[test]
fn a_file_that_the_server_has_no_room_for_is_registered_again() {
    let (mut hand, server) = sharing(&["a.bin", "b.bin"]);
    assert!(hand.heard().ends_with("REGISTER a.bin 0 262144 0 all\nREGISTER b.bin 0 262144 0 all\n"));
    hand.say(server, "ERR limit-reached no room\nOK REGISTER b.bin 1\n");
    for _ in 0..REGISTER_TRIES_MAX {
        assert_eq!((hand.heard().as_str(), &hand.peer.files()[0].trouble), ("", &None));
        hand.elapse(REGISTER_AGAIN_PAUSE + Duration::from_secs(1));
        assert_eq!(hand.heard(), "REGISTER a.bin 0 262144 0 all\n");
        hand.say(server, "ERR limit-reached no room\n");
    }
    let files = hand.peer.files();
    assert_eq!(files[0].trouble, Some(Trouble::Refused("no room".to_owned())));
    assert!(files[1].is_offered && files[1].trouble.is_none());
    hand.elapse(Duration::from_secs(60));
    assert_eq!((hand.heard().as_str(), hand.peer.report().peers[0].outcome), ("", "unfinished"));
}

/// Who holds what lies in a folder forgets what is gone from it, while others may still ask for it: that is no fault of
/// theirs, unless it has no end.
#[test]
fn what_a_holder_has_forgotten_it_denies() {
    let orders = Orders { presented_max: 10, ..Orders::default() };
    let (server, group) = ("10.0.0.2:5555".parse().unwrap(), "lab".parse().unwrap());
    let config = GuestConfig { server, group, id: None, orders, upload_limit: None };
    let mut hand = Hand::with(Peers::guest(config), true);
    let server = hand.up();
    hand.say(server, &format!("TICKMESH 1 server x\nOK HELLO guest-7 {KEY}\n"));
    hand.input(Input::Presented { path: "f.bin", stamp: Stamp::default() });
    hand.elapse(Duration::from_secs(1));
    hand.say(server, &format!("OK REGISTER f.bin 1\nSOURCE f.bin eve 10.0.0.3:0 {KEY}\n"));
    let eve = LinkId { index: 9, generation: 0 };
    let (local, remote) = ("10.0.0.1:40000".parse().unwrap(), "10.0.0.3:41000".parse().unwrap());
    hand.input(Input::LinkUp { link: eve, origin: Origin::Accepted, local, remote });
    hand.say(eve, &format!("LINK lab eve guest-7 {KEY}\n"));
    hand.heard();
    let look = |hand: &mut Hand| {
        hand.input(Input::Surveyed { bytes: 0, files: &[], removed: 0 });
        hand.elapse(Duration::from_secs(1));
        hand.say(eve, "GET f.bin 0\n");
        (hand.heard(), hand.peer.files().len())
    };
    assert_eq!(look(&mut hand), ("WITHDRAW f.bin\nDENY f.bin 0\n".to_owned(), 1));
    assert_eq!(look(&mut hand), ("DENY f.bin 0\n".to_owned(), 1), "the server may not have heard it");
    hand.say(server, "OK WITHDRAW f.bin\n");
    assert_eq!(look(&mut hand), ("DENY f.bin 0\n".to_owned(), 0));
    assert_eq!(hand.wants.closed, []);
    (0..GONE_GETS_BURST).for_each(|_| hand.say(eve, "GET f.bin 0\n"));
    assert_eq!(hand.wants.closed, [(eve, CloseReason::Misbehaved)]);
}

/// What was taken back and is not answered yet counts as well: a file that waits for its turn goes on with that answer.
#[test]
fn a_file_that_waits_for_answers_to_others_that_were_taken_back_is_registered() {
    let orders = Orders { presented_max: 2 * REGISTERS_AHEAD_MAX, ..Orders::default() };
    let (server, group) = ("10.0.0.2:5555".parse().unwrap(), "lab".parse().unwrap());
    let config = GuestConfig { server, group, id: None, orders, upload_limit: None };
    let mut hand = Hand::with(Peers::guest(config), true);
    let server = hand.up();
    hand.say(server, &format!("TICKMESH 1 server x\nOK HELLO guest-7 {KEY}\n"));
    let present = |hand: &mut Hand, path: &str| {
        hand.input(Input::Presented { path, stamp: Stamp::default() });
        hand.elapse(Duration::from_secs(1));
    };
    for number in 0..REGISTERS_AHEAD_MAX {
        present(&mut hand, &format!("f{number}.bin"));
        hand.say(server, &format!("OK REGISTER f{number}.bin 1\n"));
    }
    hand.heard();
    hand.input(Input::Surveyed { bytes: 0, files: &[], removed: 0 });
    hand.elapse(Duration::from_secs(1));
    assert_eq!(hand.heard().matches("WITHDRAW f").count(), REGISTERS_AHEAD_MAX);
    present(&mut hand, "new.bin");
    assert_eq!(hand.heard(), "", "as much as may be asked for is not answered yet");
    hand.say(server, "OK WITHDRAW f0.bin\n");
    assert_eq!(hand.heard(), "REGISTER new.bin 0 262144 0 all\n");
}

/// The server remembers what it was told; while it is away a file is withdrawn.
#[test]
fn what_was_withdrawn_while_the_server_was_away_is_taken_back() {
    let (mut hand, server) = sharing(&["a.bin", "b.bin"]);
    assert!(hand.heard().ends_with("REGISTER a.bin 0 262144 0 all\nREGISTER b.bin 0 262144 0 all\n"));
    hand.say(server, "OK REGISTER a.bin 1\nOK REGISTER b.bin 1\n");
    hand.input(Input::LinkDown { link: server, reason: DownReason::Reset });
    let (file, error) = (hand.file.unwrap(), ErrorKind::UnexpectedEof);
    hand.input(Input::FileFailed { file, op: FileOp::Hash, offset: 0, error });
    let withdrawn = hand.peer.files().iter().filter(|file| file.trouble.is_some()).count();
    assert_eq!(withdrawn, 1);
    hand.elapse(Duration::from_secs(2));
    let server = hand.up();
    hand.say(server, &format!("TICKMESH 1 server x\nOK HELLO guest-7 {KEY}\n"));
    let heard = hand.heard();
    let told = |line: &str| heard.matches(line).count();
    assert_eq!((told(" 0 262144 0 all\n"), told("WITHDRAW ")), (1, 1), "{heard}");
    hand.say(server, "OK REGISTER b.bin 1\nERR local-disk the server could not keep it\n");
    assert_eq!(hand.peer.report().peers[0].outcome, "unfinished", "the other one is still shared");
}

/// What nobody needs any more is passed over, but not whatever somebody calls a chunk.
#[test]
fn who_announces_more_or_less_than_any_chunk_has_is_sent_away() {
    for octets in [0, CHUNK_BYTES_MAX + 1, u64::MAX] {
        let (mut hand, _, eve) = Hand::linked();
        let (file, error) = (hand.file.unwrap(), ErrorKind::StorageFull);
        hand.input(Input::FileFailed { file, op: FileOp::WriteAt, offset: 0, error });
        hand.say(eve, "CHUNK f.bin 0 3\nabc");
        assert_eq!(hand.wants.closed, [], "it had been asked for");
        hand.say(eve, &format!("CHUNK f.bin 1 {octets}\n"));
        assert_eq!(hand.wants.closed, [(eve, CloseReason::Misbehaved)], "{octets}");
    }
}

#[test]
fn a_chunk_that_is_none_is_refused_in_the_words_for_one_and_for_none() {
    let (server, group) = ("10.0.0.2:5555".parse().unwrap(), "lab".parse().unwrap());
    for (described, problem) in [
        (format!("3 3 65\n{HASH}"), "f.bin has 1 chunk, no chunk 2"),
        ("0 262144 0\n".to_owned(), "f.bin is empty, and has no chunk 2"),
    ] {
        let (name, wait, stay) = ("f.bin".parse().unwrap(), Duration::from_secs(30), Duration::ZERO);
        let orders = Orders { get: Some(Get { name, chunk: Some(1), wait, stay }), ..Orders::default() };
        let mut hand =
            Hand::of(Peers::guest(GuestConfig { server, group, id: None, orders, upload_limit: None }));
        let server = hand.up();
        hand.say(server, &format!("TICKMESH 1 server x\nOK HELLO guest-7 {KEY}\n"));
        hand.say(server, &format!("OK DOWNLOAD f.bin {described}"));
        assert_eq!(hand.peer.report().peers[0].problems, [problem]);
    }
}

/// Whoever cannot keep to lines is no better than whoever sends wrong bytes.
#[test]
fn a_member_that_sends_overlong_lines_is_given_up() {
    let (mut hand, _, mut eve) = Hand::linked();
    for _ in 1..LIES_MAX {
        hand.say(eve, &"x".repeat(2 * LINE_BYTES_MAX));
        assert_eq!(hand.wants.closed.pop(), Some((eve, CloseReason::Misbehaved)));
        hand.elapse(Duration::from_secs(2));
        eve = hand.up();
        hand.say(eve, "TICKMESH 1 peer x\nOK LINK\n");
    }
    hand.say(eve, &"x".repeat(2 * LINE_BYTES_MAX));
    hand.elapse(Duration::from_secs(20));
    assert!(hand.wants.dials.is_empty(), "nobody calls a liar");
}

/// What lies on the disk is hashed once, however often the disk has no room for the rest.
#[test]
fn a_partial_is_not_hashed_again_while_the_disk_is_full() {
    let mut hand = Hand::new();
    hand.partial_bytes = 6;
    let server = hand.up();
    hand.say(server, &format!("TICKMESH 1 server x\nOK HELLO guest-7 {KEY}\n"));
    hand.say(server, &format!("OK DOWNLOAD f.bin 9 3 195\n{HASH}{HASH}{HASH}"));
    for hashed in [vec![0, 3], vec![], vec![]] {
        let asked = std::mem::take(&mut hand.wants.hashes);
        assert_eq!(asked.iter().map(|(_, offset)| *offset).collect::<Vec<_>>(), hashed);
        for (file, offset) in asked {
            hand.input(Input::Hashed { file, offset, hash: blake3::hash(b"abc") });
        }
        assert_eq!(hand.peer.files()[0].chunks_stored, 2);
        let (file, error) = (hand.file.unwrap(), ErrorKind::StorageFull);
        hand.input(Input::FileFailed { file, op: FileOp::WriteAt, offset: 6, error });
        hand.elapse(Duration::from_secs(6));
    }
    // After any other failure nothing is sure.
    let (file, error) = (hand.file.unwrap(), ErrorKind::InvalidData);
    hand.input(Input::FileFailed { file, op: FileOp::Finish, offset: 0, error });
    hand.elapse(Duration::from_secs(6));
    assert_eq!(hand.wants.hashes.len(), 2);
}
