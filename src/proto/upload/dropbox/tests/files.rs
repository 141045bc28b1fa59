//! Files: bytes as they come, too few, too many, and a disk that does not take them.

use super::*;
use crate::proto::limits::{FULL_NAME_PAUSE, UPLOAD_RATE_BYTES};

#[test]
fn bytes_come_in_any_pieces() {
    let content: Vec<u8> = (0..=255).collect();
    for piece in [1, 2, 7, 255, 256] {
        let mut desk = Desk::new();
        let link = desk.client(256, "a");
        for bytes in content.chunks(piece) {
            assert_eq!(desk.ended(link), None);
            desk.bring(link, bytes);
        }
        assert_eq!((desk.ended(link), desk.stored("a")), (DONE, Some(content.as_slice())));
        desk.assert_at_rest();
    }
}

#[test]
fn a_file_without_bytes_is_stored_at_once() {
    let mut desk = Desk::new();
    let link = desk.client(0, "empty");
    assert!(desk.may_go_ahead(link));
    assert_eq!((desk.ended(link), desk.stored("empty")), (DONE, Some(b"".as_slice())));
    desk.assert_at_rest();
}

#[test]
fn what_is_too_much_is_thrown_away_and_gets_no_receipt() {
    for (pieces, later) in [(&["abcdef"][..], ""), (&["abc"], "def"), (&["ab", "cdef"], "ghi")] {
        let mut desk = Desk::new();
        desk.holds[FINISHES] = true;
        let link = desk.client(3, "a");
        pieces.iter().for_each(|piece| desk.bring(link, piece));
        desk.bring(link, later);
        desk.let_go(FINISHES);
        let end = Some(End::Reset(CloseReason::Refused));
        assert_eq!((desk.ended(link), desk.stored("a")), (end, Some(b"abc".as_slice())));
        assert_eq!(desk.dropbox.status().excess, 1);
        desk.assert_at_rest();
    }
}

#[test]
fn a_client_that_ends_after_its_last_byte_hears_our_end_when_the_file_is_on_disk() {
    let mut desk = Desk::new();
    desk.holds[FINISHES] = true;
    let [link, empty] = [desk.client(3, "a"), desk.client(0, "b")];
    desk.bring(link, "abc");
    desk.down(link, DownReason::Eof);
    desk.down(empty, DownReason::Eof);
    assert_eq!((desk.ended(link), desk.ended(empty)), (None, None));
    desk.let_go(FINISHES);
    assert_eq!((desk.ended(link), desk.ended(empty)), (DONE, DONE));
    desk.assert_at_rest();
}

#[test]
fn a_client_may_be_gone_after_its_last_byte() {
    let mut desk = Desk::new();
    desk.holds[FINISHES] = true;
    let link = desk.client(3, "a");
    desk.bring(link, "abcd");
    desk.down(link, DownReason::Reset);
    assert_eq!(desk.dropbox.status().clients, 1, "its file still takes a place");
    // The driver uses the place of the link again.
    let again = LinkId { generation: 1, ..link };
    let (local, remote) = ("10.0.0.1:12000".parse().unwrap(), "10.0.0.2:1".parse().unwrap());
    desk.input(Input::LinkUp { link: again, origin: Origin::Accepted, local, remote });
    desk.let_go(FINISHES);
    assert_eq!((desk.ended(link), desk.ended(again)), (None, None));
    assert_eq!((desk.stored("a"), desk.dropbox.status().excess), (Some(b"abc".as_slice()), 1));
    desk.down(again, DownReason::Eof);
    desk.assert_at_rest();
}

#[test]
fn a_client_that_ends_too_early_leaves_nothing() {
    for (reason, failure, end) in [
        (DownReason::Eof, Failure::Cut, FAILED),
        (DownReason::Reset, Failure::LinkLost, None),
        (DownReason::TimedOut, Failure::LinkLost, None),
    ] {
        for sent in ["", "a", "ab"] {
            let mut desk = Desk::new();
            let link = desk.client(3, "a");
            desk.bring(link, sent);
            desk.down(link, reason);
            assert_eq!((desk.ended(link), desk.failed(failure), desk.hand.folder.len()), (end, 1, 0));
            desk.assert_at_rest();
        }
    }
}

#[test]
fn a_client_that_brings_too_little_for_too_long_is_reset() {
    const RATE: usize = UPLOAD_RATE_BYTES as usize;
    let nearly = STALL - Duration::from_nanos(1);
    let large = || Desk::of(DropBoxConfig { file_bytes_max: u64::MAX, quota_bytes: u64::MAX, ..config() });
    for (slices, last) in [(0, 0), (0, 9), (0, RATE - 1), (1, 0), (5, 1), (5, RATE - 1)] {
        let mut desk = large();
        let link = desk.client(9 * UPLOAD_RATE_BYTES, "a");
        for _ in 0..slices {
            desk.elapse(nearly);
            desk.bring(link, vec![1; RATE]);
        }
        desk.elapse(nearly / 2);
        if last > 0 {
            desk.bring(link, vec![1; last]);
        }
        desk.elapse(nearly - nearly / 2);
        assert_eq!(desk.ended(link), None);
        desk.elapse(Duration::from_nanos(1));
        assert_eq!(desk.ended(link), Some(End::Reset(CloseReason::Silent)), "{slices} {last}");
        assert_eq!((desk.failed(Failure::Stalled), desk.hand.folder.len()), (1, 0));
        desk.assert_at_rest();
    }
    // What is less than that, or what is left of a file, has the same time.
    for bytes in [1, RATE, RATE + 1, 2 * RATE - 1] {
        let mut desk = large();
        let link = desk.client(bytes as u64, "a");
        for slice in vec![1; bytes].chunks(RATE) {
            desk.elapse(nearly);
            desk.bring(link, slice);
        }
        assert_eq!(desk.ended(link), DONE, "{bytes}");
        desk.assert_at_rest();
    }
}

#[test]
fn a_slow_disk_is_no_fault_of_the_client() {
    let mut desk = Desk::new();
    desk.holds[OPENS] = true;
    desk.holds[FINISHES] = true;
    let link = desk.client(1, "a");
    desk.elapse(STALL * 100);
    desk.let_go(OPENS);
    desk.bring(link, "a");
    desk.elapse(STALL * 100);
    assert_eq!(desk.ended(link), None);
    desk.let_go(FINISHES);
    assert_eq!(desk.ended(link), DONE);
}

#[test]
fn a_name_that_is_full_is_not_looked_for_by_the_next_ones() {
    let mut desk = Desk::new();
    desk.open_error = Some(ErrorKind::TooManyLinks);
    for (pause, opened) in [(Duration::ZERO, 1), (FULL_NAME_PAUSE / 2, 1), (FULL_NAME_PAUSE, 2)] {
        desk.elapse(pause);
        let link = desk.client(3, "a");
        assert_eq!((desk.ended(link), desk.dropbox.files_opened), (REFUSED, opened));
    }
    assert_eq!(desk.refused(Refusal::NameFull), 3);
    desk.client(3, "b");
    assert_eq!(desk.dropbox.files_opened, 3, "that is another name");
}

#[test]
fn a_disk_without_room_refuses_before_go_ahead() {
    for (error, why) in [
        (ErrorKind::StorageFull, Refusal::DiskFull),
        (ErrorKind::TooManyLinks, Refusal::NameFull),
        (ErrorKind::PermissionDenied, Refusal::DiskFailed),
        (ErrorKind::QuotaExceeded, Refusal::DiskFailed),
        (ErrorKind::AlreadyExists, Refusal::DiskFailed),
    ] {
        let mut desk = Desk::new();
        desk.open_error = Some(error);
        let link = desk.client(3, "a");
        assert_eq!((desk.ended(link), desk.refused(why), desk.may_go_ahead(link)), (REFUSED, 1, false));
        desk.assert_at_rest();
        desk.open_error = None;
        desk.elapse(FULL_NAME_PAUSE);
        let link = desk.client(3, "a");
        assert!(desk.may_go_ahead(link));
    }
}

#[test]
fn an_unfinished_file_of_that_name_is_avoided() {
    let mut desk = Desk::new();
    desk.holds[OPENS] = true;
    let link = desk.client(1, "a");
    desk.open_error = Some(ErrorKind::AlreadyExists);
    desk.hand.asked.clear();
    desk.answer(FileId(0), FileOp::Open);
    desk.open_error = None;
    desk.let_go(OPENS);
    assert_eq!(desk.hand.open[&FileId(1)].temp, "a.0badcaff.temp");
    desk.bring(link, "1");
    assert_eq!((desk.ended(link), desk.stored("a")), (DONE, Some(b"1".as_slice())));
    desk.assert_at_rest();
}

#[test]
fn a_disk_that_takes_no_bytes_ends_in_a_reset() {
    for last in [false, true] {
        let mut desk = Desk::new();
        let link = desk.client(3, "a");
        desk.bring(link, "a");
        desk.hand.write_fails = true;
        desk.bring(link, if last { "bc" } else { "b" });
        let failure = if last { Failure::FinishFailed } else { Failure::WriteFailed };
        assert_eq!((desk.ended(link), desk.failed(failure), desk.hand.folder.len()), (FAILED, 1, 0));
        desk.assert_at_rest();
    }
}

#[test]
fn a_file_that_cannot_be_finished_ends_in_a_reset() {
    for gone in [false, true] {
        let mut desk = Desk::new();
        (desk.finish_error, desk.holds[FINISHES]) = (Some(ErrorKind::NotFound), true);
        let link = desk.client(3, "a");
        desk.bring(link, "abc");
        if gone {
            desk.down(link, DownReason::TimedOut);
        }
        desk.let_go(FINISHES);
        assert_eq!(desk.ended(link), if gone { None } else { FAILED });
        assert_eq!((desk.failed(Failure::FinishFailed), desk.dropbox.status().files), (1, 0));
        assert!(desk.hand.presented.is_empty());
        desk.assert_at_rest();
    }
}

#[test]
fn nobody_takes_anothers_name() {
    let mut desk = Desk::new();
    let [a, b] = [desk.client(1, "same"), desk.client(1, "x/same")];
    let temps: Vec<&str> = desk.hand.open.values().map(|opened| opened.temp.as_str()).collect();
    assert_eq!(temps, ["same.0badcafe.temp", "same.0badcaff.temp"]);
    desk.bring(b, "b");
    desk.bring(a, "a");
    let c = desk.client(1, "same");
    desk.bring(c, "c");
    assert_eq!(["same", "same.1", "same.2"].map(|name| desk.stored(name).unwrap()[0]), *b"bac");
    assert_eq!(desk.hand.presented, ["same", "same.1", "same.2"]);
    desk.assert_at_rest();
}
