//! Headers: in any pieces, cut, too long, silent, and with names of every kind.

use super::*;
use crate::proto::limits::{
    HEADER_LATE, HEADER_NAME_BYTES_MAX, HEADER_QUIET_PIECES, HEADER_TIMEOUT, STORED_NAME_BYTES_MAX,
};

#[test]
fn the_documented_exchange_is_what_happens() {
    let mut desk = Desk::new();
    let link = desk.connect();
    desk.bring(link, b"\0\0\0\0\0\0\0\x05a.txt");
    desk.elapse(HEADER_QUIET - Duration::from_nanos(1));
    assert!(!desk.may_go_ahead(link));
    desk.elapse(Duration::from_nanos(1));
    assert!(desk.may_go_ahead(link));
    assert_eq!(desk.hand.open[&FileId(0)].temp, "a.txt.0badcafe.temp");
    desk.bring(link, b"hello");
    assert_eq!((desk.ended(link), desk.stored("a.txt")), (DONE, Some(b"hello".as_slice())));
    assert_eq!(desk.hand.presented, ["a.txt"]);
    assert_eq!((desk.dropbox.status().files, desk.dropbox.status().bytes), (1, 5));
    desk.assert_at_rest();
}

#[test]
fn a_header_may_be_split_at_every_byte() {
    let whole = header(3, "a/long name.txt");
    for cut in 1..whole.len() {
        let mut desk = Desk::new();
        let link = desk.connect();
        desk.elapse(HEADER_TIMEOUT / 2);
        desk.bring(link, &whole[..cut]);
        desk.elapse(HEADER_QUIET - Duration::from_nanos(1));
        desk.bring(link, &whole[cut..]);
        desk.elapse(HEADER_QUIET_PIECES);
        assert!(desk.may_go_ahead(link), "cut at {cut}");
        desk.bring(link, b"abc");
        assert_eq!(desk.stored("long name.txt"), Some(b"abc".as_slice()));
    }
    let mut desk = Desk::new();
    let link = desk.connect();
    for byte in whole {
        desk.bring(link, [byte]);
        desk.elapse(HEADER_QUIET - Duration::from_nanos(1));
    }
    desk.elapse(HEADER_QUIET_PIECES - HEADER_QUIET);
    assert!(!desk.may_go_ahead(link), "a lost piece may come again");
    desk.elapse(Duration::from_nanos(1));
    assert!(desk.may_go_ahead(link));
}

#[test]
fn within_the_size_a_pause_may_be_long() {
    let mut desk = Desk::new();
    let link = desk.connect();
    desk.bring(link, &header(3, "a")[..8]);
    desk.elapse(HEADER_TIMEOUT / 2);
    desk.bring(link, "a");
    desk.elapse(HEADER_QUIET);
    assert!(desk.may_go_ahead(link));
}

#[test]
fn a_header_that_ends_before_its_name_is_cut() {
    for len in 0..=8 {
        let mut desk = Desk::new();
        let link = desk.connect();
        if len > 0 {
            desk.bring(link, &header(3, "")[..len]);
        }
        desk.elapse(HEADER_QUIET * 2);
        desk.down(link, DownReason::Eof);
        assert_eq!((desk.refused(Refusal::HeaderCut), desk.hand.open.len()), (1, 0));
        desk.assert_at_rest();
    }
}

#[test]
fn an_end_is_the_end_of_a_header_and_of_a_file_without_bytes() {
    for bytes in [0, 3] {
        for (opens_wait, waits) in [(false, Duration::ZERO), (true, HEADER_QUIET)] {
            let mut desk = Desk::new();
            desk.holds[OPENS] = opens_wait;
            let link = desk.connect();
            desk.bring(link, header(bytes, "abc"));
            desk.elapse(waits);
            desk.down(link, DownReason::Eof);
            desk.let_go(OPENS);
            let is_empty = bytes == 0;
            assert_eq!(desk.ended(link), if is_empty { DONE } else { REFUSED });
            assert_eq!((desk.may_go_ahead(link), desk.stored("abc").is_some()), (is_empty, is_empty));
            assert_eq!(desk.refused(Refusal::Cut), u64::from(!is_empty));
            desk.assert_at_rest();
        }
    }
}

#[test]
fn who_brings_no_whole_header_for_minutes_is_sent_away() {
    for len in [0, 1, 8] {
        let mut desk = Desk::new();
        let link = desk.connect();
        desk.bring(link, &header(3, "")[..len]);
        desk.elapse(HEADER_TIMEOUT - Duration::from_nanos(1));
        assert_eq!(desk.ended(link), None);
        desk.elapse(Duration::from_nanos(1));
        assert_eq!((desk.ended(link), desk.refused(Refusal::HeaderTimeout)), (REFUSED, 1));
        desk.assert_at_rest();
    }
    let mut desk = Desk::new();
    let link = desk.connect();
    desk.bring(link, header(3, "x"));
    desk.bring(link, "x");
    while desk.ended(link).is_none() {
        desk.elapse(HEADER_QUIET_PIECES * 4 / 5);
        desk.bring(link, "x");
    }
    assert_eq!(desk.refused(Refusal::HeaderTimeout), 1, "a byte now and then does not help");
}

#[test]
fn names_are_bounded() {
    let mut desk = Desk::new();
    let link = desk.connect();
    desk.bring(link, header(3, "x".repeat(5000)));
    assert_eq!((desk.ended(link), desk.refused(Refusal::HeaderTooLong)), (REFUSED, 1));
    let link = desk.connect();
    desk.bring(link, header(3, "x".repeat(HEADER_NAME_BYTES_MAX)));
    desk.bring(link, "x");
    assert_eq!((desk.ended(link), desk.refused(Refusal::HeaderTooLong)), (REFUSED, 2));
    desk.assert_at_rest();
    let link = desk.client(0, "x".repeat(HEADER_NAME_BYTES_MAX));
    assert_eq!(desk.ended(link), DONE);
    assert_eq!(desk.stored(&"x".repeat(STORED_NAME_BYTES_MAX - 1)), Some(b"".as_slice()));
}

#[test]
fn bad_names_are_refused_by_their_kind() {
    for (name, why) in [
        (b"/".as_slice(), Refusal::NameEmpty),
        (b"a/b/", Refusal::NameEmpty),
        (b"C:\\", Refusal::NameEmpty),
        (b"..", Refusal::NameDots),
        (b"a/.", Refusal::NameDots),
        (b".", Refusal::NameDots),
        (b"a\0b", Refusal::NameZero),
        (b"\xff\xfe", Refusal::NameNotUtf8),
    ] {
        let mut desk = Desk::new();
        let link = desk.client(3, name);
        assert_eq!((desk.ended(link), desk.refused(why)), (REFUSED, 1), "{name:?}");
        assert!(!desk.may_go_ahead(link) && desk.hand.open.is_empty());
        desk.assert_at_rest();
    }
}

#[test]
fn names_lead_nowhere() {
    for (name, stored) in [("/a/b", "b"), ("..\\x", "x"), ("C:\\x", "x"), ("C:x", "x"), ("../../x\n", "x_")] {
        let mut desk = Desk::new();
        let link = desk.client(1, name);
        desk.bring(link, "1");
        assert_eq!(desk.stored(stored), Some(b"1".as_slice()), "{name:?}");
    }
}

#[test]
fn who_speaks_before_go_ahead_is_refused() {
    let mut desk = Desk::new();
    desk.holds[OPENS] = true;
    let link = desk.client(3, "a");
    assert_eq!(desk.dropbox.status().reserved_bytes, counted_bytes(3));
    desk.bring(link, "bc");
    assert_eq!((desk.ended(link), desk.refused(Refusal::SpokeTooSoon)), (REFUSED, 1));
    desk.let_go(OPENS);
    assert!(!desk.may_go_ahead(link) && desk.hand.folder.is_empty());
    desk.assert_at_rest();
}

#[test]
fn who_leaves_before_go_ahead_leaves_nothing() {
    let mut desk = Desk::new();
    desk.holds[OPENS] = true;
    let link = desk.client(3, "a");
    desk.down(link, DownReason::Reset);
    desk.let_go(OPENS);
    assert_eq!((desk.refused(Refusal::Left), desk.hand.folder.len()), (1, 0));
    desk.assert_at_rest();
}

#[test]
fn an_answer_of_the_disk_that_comes_too_late_finds_nobody() {
    let mut desk = Desk::new();
    desk.holds[OPENS] = true;
    let link = desk.client(3, "a");
    desk.down(link, DownReason::Reset);
    let file = FileId(0);
    desk.input(Input::FileReady { file, bytes: 0, moved: None });
    desk.input(Input::FileFailed { file, op: FileOp::Open, offset: 0, error: ErrorKind::StorageFull });
    desk.input(Input::Finished { file, moved: Some("a") });
    desk.input(Input::Received { link, bytes: b"x", at: Wall(0) });
    assert_eq!(desk.dropbox.status().files, 0);
    desk.assert_at_rest();
}

#[test]
fn a_loop_that_was_held_up_reads_before_it_takes_a_header_for_over() {
    let mut desk = Desk::new();
    let link = desk.connect();
    desk.bring(link, header(3, "lon"));
    desk.go_to(desk.now.mono + HEADER_QUIET * 3);
    desk.fire();
    desk.bring(link, "g name");
    desk.elapse(HEADER_QUIET_PIECES);
    assert_eq!(desk.hand.open[&FileId(0)].path, "long name");

    let link = desk.connect();
    desk.bring(link, header(3, "b"));
    desk.go_to(desk.now.mono + HEADER_QUIET * 3);
    desk.fire();
    desk.elapse(HEADER_LATE);
    assert!(desk.may_go_ahead(link));
}
