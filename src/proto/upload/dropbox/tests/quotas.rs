//! Room: sizes, the quota, and counting the folder again before anybody is refused.

use super::*;
use crate::proto::limits::{COUNTED_BYTES_MIN, SURVEY_PAUSE};

#[test]
fn sizes_are_bounded() {
    for (bytes, why) in
        [(1 << 63, Refusal::TooLarge), (u64::MAX, Refusal::TooLarge), (100_001, Refusal::TooLarge)]
    {
        let mut desk = Desk::new();
        let link = desk.client(bytes, "a");
        assert_eq!((desk.ended(link), desk.refused(why)), (REFUSED, 1));
        assert_eq!((desk.hand.open.len(), desk.hand.surveys_asked), (0, 1));
        desk.assert_at_rest();
    }
    let mut desk = Desk::of(DropBoxConfig { file_bytes_max: u64::MAX, ..config() });
    let link = desk.client(u64::MAX, "a");
    assert_eq!((desk.ended(link), desk.refused(Refusal::OverQuota)), (REFUSED, 1));
    assert_eq!(desk.hand.surveys_asked, 1, "no count could help");
    let link = desk.client(200_000, "a");
    assert!(desk.may_go_ahead(link));
}

#[test]
fn what_is_on_its_way_counts_in_full() {
    let mut desk = Desk::new();
    let [a, b] = [desk.client(100_000, "a"), desk.client(90_000, "b")];
    assert!(desk.may_go_ahead(a) && desk.may_go_ahead(b));
    assert_eq!(desk.dropbox.status().reserved_bytes, 190_000);
    desk.elapse(SURVEY_PAUSE);
    let c = desk.client(10_001, "c");
    assert_eq!((desk.ended(c), desk.refused(Refusal::OverQuota)), (REFUSED, 1));
    let d = desk.client(10_000, "d");
    assert!(desk.may_go_ahead(d));
    desk.bring(a, "x");
    desk.down(a, DownReason::Eof);
    let e = desk.client(100_000, "e");
    assert!(desk.may_go_ahead(e), "what was given up is free again");
}

#[test]
fn what_is_stored_stays_counted_until_somebody_removes_it() {
    let mut desk = Desk::new();
    desk.hand.folder.insert("old".to_owned(), vec![0; 150_000]);
    let mut desk = Desk { dropbox: DropBox::new(config()), links: desk.links, ..desk };
    desk.input(Input::Start);
    assert_eq!((&desk.hand.presented[..], desk.hand.presented_as_counted), (&["old".to_owned()][..], 1));
    desk.elapse(SURVEY_PAUSE);
    let link = desk.client(40_000, "a");
    desk.bring(link, [1; 40_000]);
    assert_eq!(desk.ended(link), DONE);
    let link = desk.client(10_001, "b");
    assert_eq!(desk.refused(Refusal::OverQuota), 1);
    assert_eq!(desk.ended(link), REFUSED);
    desk.hand.folder.remove("old");
    desk.elapse(SURVEY_PAUSE);
    let link = desk.client(10_001, "b");
    assert!(desk.may_go_ahead(link), "the operator has made room");
    assert_eq!(desk.refused(Refusal::OverQuota), 1);
}

#[test]
fn one_count_answers_all_who_wait_and_comes_once_a_second() {
    let mut desk = Desk::of(DropBoxConfig { clients_per_address_max: 4, ..config() });
    desk.hand.folder.insert("old".to_owned(), vec![0; 150_000]);
    desk.elapse(SURVEY_PAUSE);
    let [a, b] = [desk.client(100_000, "a"), desk.client(90_001, "b")];
    assert!(desk.may_go_ahead(a) && desk.may_go_ahead(b), "nobody knows of the other file yet");
    desk.holds[SURVEYS] = true;
    let [c, d] = [desk.client(99_000, "c"), desk.client(99_900, "d")];
    assert_eq!((desk.hand.surveys_asked, desk.ended(c), desk.ended(d)), (2, None, None));
    desk.let_go(SURVEYS);
    assert_eq!((desk.hand.surveys_asked, desk.ended(c), desk.ended(d)), (2, REFUSED, REFUSED));
    let [e, f] = [desk.client(99_000, "e"), desk.client(99_900, "f")];
    assert_eq!((desk.hand.surveys_asked, desk.ended(e), desk.ended(f)), (2, None, None));
    desk.elapse(SURVEY_PAUSE);
    assert_eq!((desk.hand.surveys_asked, desk.ended(e), desk.ended(f)), (3, REFUSED, REFUSED));
}

#[test]
fn who_waits_for_a_count_may_leave_and_may_not_speak() {
    let mut desk = Desk::new();
    desk.hand.folder.insert("old".to_owned(), vec![0; 50_000]);
    let keeper = desk.client(100_000, "keeper");
    desk.bring(keeper, [0; 100_000]);
    desk.elapse(SURVEY_PAUSE);
    desk.holds[SURVEYS] = true;
    desk.hand.folder.insert("more".to_owned(), vec![0; 50_000]);
    let taken = desk.client(100_000, "b");
    assert!(desk.may_go_ahead(taken));
    let [leaves, speaks] = [desk.client(1, "c"), desk.client(1, "d")];
    desk.down(leaves, DownReason::Reset);
    desk.bring(speaks, "x");
    assert_eq!((desk.refused(Refusal::Left), desk.refused(Refusal::SpokeTooSoon)), (1, 1));
    desk.let_go(SURVEYS);
    assert_eq!(desk.hand.open.len(), 1);
}

#[test]
fn a_folder_that_cannot_be_counted_later_is_taken_as_it_was() {
    let mut desk = Desk::new();
    let a = desk.client(100_000, "a");
    desk.bring(a, [0; 100_000]);
    desk.elapse(SURVEY_PAUSE);
    desk.holds[SURVEYS] = true;
    let [b, c] = [desk.client(90_000, "b"), desk.client(10_001, "c")];
    assert!(desk.may_go_ahead(b) && !desk.may_go_ahead(c));
    desk.input(Input::SurveyFailed { error: ErrorKind::PermissionDenied });
    assert_eq!((desk.ended(c), desk.refused(Refusal::OverQuota)), (REFUSED, 1));
    let d = desk.client(1, "d");
    assert!(desk.may_go_ahead(d));
}

#[test]
fn who_came_first_gets_the_room_that_is_left() {
    let mut desk = Desk::of(DropBoxConfig { clients_per_address_max: 4, ..config() });
    let a = desk.client(100_000, "a");
    desk.bring(a, [0; 100_000]);
    desk.elapse(SURVEY_PAUSE);
    let b = desk.client(100_000, "b");
    desk.holds[SURVEYS] = true;
    let [late, early] = [desk.connect(), desk.connect()];
    desk.announce(early, 60_000, "early");
    desk.announce(late, 60_000, "late");
    desk.down(b, DownReason::Reset);
    desk.let_go(SURVEYS);
    assert!(desk.may_go_ahead(early));
    assert_eq!(desk.ended(late), REFUSED);
}

#[test]
fn empty_files_fill_the_folder_too() {
    let mut desk = Desk::of(DropBoxConfig { quota_bytes: 3 * COUNTED_BYTES_MIN, ..config() });
    desk.elapse(SURVEY_PAUSE);
    for content in ["", "1", ""] {
        let link = desk.client(content.len() as u64, "a");
        desk.bring(link, content);
        assert_eq!(desk.ended(link), DONE);
    }
    let link = desk.client(0, "a");
    assert_eq!((desk.ended(link), desk.refused(Refusal::OverQuota)), (REFUSED, 1));
    desk.assert_at_rest();
}
