//! Room: sizes, the quota, and counting the folder again before anybody is refused.

use super::*;
use crate::proto::limits::SURVEY_PAUSE;

#[test]
fn sizes_are_bounded() {
    for (bytes, why) in
        [(1 << 63, Refusal::TooLarge), (u64::MAX, Refusal::TooLarge), (1001, Refusal::TooLarge)]
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
    let link = desk.client(2000, "a");
    assert!(desk.may_go_ahead(link));
}

#[test]
fn what_is_on_its_way_counts_in_full() {
    let mut desk = Desk::new();
    let [a, b] = [desk.client(1000, "a"), desk.client(900, "b")];
    assert!(desk.may_go_ahead(a) && desk.may_go_ahead(b));
    assert_eq!(desk.dropbox.status().reserved_bytes, 1900);
    desk.elapse(SURVEY_PAUSE);
    let c = desk.client(101, "c");
    assert_eq!((desk.ended(c), desk.refused(Refusal::OverQuota)), (REFUSED, 1));
    let d = desk.client(100, "d");
    assert!(desk.may_go_ahead(d));
    desk.bring(a, "x");
    desk.down(a, DownReason::Eof);
    let e = desk.client(1000, "e");
    assert!(desk.may_go_ahead(e), "what was given up is free again");
}

#[test]
fn what_is_stored_stays_counted_until_somebody_removes_it() {
    let mut desk = Desk::new();
    desk.hand.folder.insert("old".to_owned(), vec![0; 1500]);
    let mut desk = Desk { dropbox: DropBox::new(config()), links: desk.links, ..desk };
    desk.input(Input::Start);
    assert_eq!(desk.hand.presented, ["old"]);
    desk.elapse(SURVEY_PAUSE);
    let link = desk.client(400, "a");
    desk.bring(link, [1; 400]);
    assert_eq!(desk.ended(link), DONE);
    let link = desk.client(101, "b");
    assert_eq!(desk.refused(Refusal::OverQuota), 1);
    assert_eq!(desk.ended(link), REFUSED);
    desk.hand.folder.remove("old");
    desk.elapse(SURVEY_PAUSE);
    let link = desk.client(101, "b");
    assert!(desk.may_go_ahead(link), "the operator has made room");
    assert_eq!(desk.refused(Refusal::OverQuota), 1);
}

#[test]
fn one_count_answers_all_who_wait_and_comes_once_a_second() {
    let mut desk = Desk::of(DropBoxConfig { clients_per_address_max: 4, ..config() });
    desk.hand.folder.insert("old".to_owned(), vec![0; 1500]);
    desk.elapse(SURVEY_PAUSE);
    let [a, b] = [desk.client(1000, "a"), desk.client(901, "b")];
    assert!(desk.may_go_ahead(a) && desk.may_go_ahead(b), "nobody knows of the other file yet");
    desk.holds[SURVEYS] = true;
    let [c, d] = [desk.client(990, "c"), desk.client(999, "d")];
    assert_eq!((desk.hand.surveys_asked, desk.ended(c), desk.ended(d)), (2, None, None));
    desk.let_go(SURVEYS);
    assert_eq!((desk.hand.surveys_asked, desk.ended(c), desk.ended(d)), (2, REFUSED, REFUSED));
    let [e, f] = [desk.client(990, "e"), desk.client(999, "f")];
    assert_eq!((desk.hand.surveys_asked, desk.ended(e), desk.ended(f)), (2, None, None));
    desk.elapse(SURVEY_PAUSE);
    assert_eq!((desk.hand.surveys_asked, desk.ended(e), desk.ended(f)), (3, REFUSED, REFUSED));
}

#[test]
fn who_waits_for_a_count_may_leave_and_may_not_speak() {
    let mut desk = Desk::new();
    desk.hand.folder.insert("old".to_owned(), vec![0; 500]);
    let keeper = desk.client(1000, "keeper");
    desk.bring(keeper, [0; 1000]);
    desk.elapse(SURVEY_PAUSE);
    desk.holds[SURVEYS] = true;
    desk.hand.folder.insert("more".to_owned(), vec![0; 500]);
    let taken = desk.client(1000, "b");
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
    let a = desk.client(1000, "a");
    desk.bring(a, [0; 1000]);
    desk.elapse(SURVEY_PAUSE);
    desk.holds[SURVEYS] = true;
    let [b, c] = [desk.client(999, "b"), desk.client(2, "c")];
    assert!(desk.may_go_ahead(b) && !desk.may_go_ahead(c));
    desk.input(Input::SurveyFailed { error: ErrorKind::PermissionDenied });
    assert_eq!((desk.ended(c), desk.refused(Refusal::OverQuota)), (REFUSED, 1));
    let d = desk.client(1, "d");
    assert!(desk.may_go_ahead(d));
}

#[test]
fn who_came_first_gets_the_room_that_is_left() {
    let mut desk = Desk::of(DropBoxConfig { clients_per_address_max: 4, ..config() });
    let a = desk.client(1000, "a");
    desk.bring(a, [0; 1000]);
    desk.elapse(SURVEY_PAUSE);
    let b = desk.client(1000, "b");
    desk.holds[SURVEYS] = true;
    let [late, early] = [desk.connect(), desk.connect()];
    desk.announce(early, 600, "early");
    desk.announce(late, 600, "late");
    desk.down(b, DownReason::Reset);
    desk.let_go(SURVEYS);
    assert!(desk.may_go_ahead(early));
    assert_eq!(desk.ended(late), REFUSED);
}
