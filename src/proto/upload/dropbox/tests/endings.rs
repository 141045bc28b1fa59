//! How it begins and ends: the first count, listening, and an orderly stop.

use super::*;

#[test]
fn it_listens_when_the_folder_is_counted() {
    let mut desk = Desk::unstarted(config());
    desk.holds[SURVEYS] = true;
    desk.input(Input::Start);
    assert!(!desk.hand.listens);
    desk.let_go(SURVEYS);
    assert!(desk.hand.listens);
    desk.input(Input::Listening { addr: "10.0.0.1:4000".parse().unwrap() });
    assert_eq!(desk.dropbox.status().listening, Some("10.0.0.1:4000".parse().unwrap()));
}

#[test]
fn nothing_is_presented_that_nobody_wants() {
    let mut desk = Desk::unstarted(DropBoxConfig { present: false, ..config() });
    desk.hand.folder.insert("old".to_owned(), vec![0; 5]);
    desk.input(Input::Start);
    let link = desk.client(1, "a");
    desk.bring(link, "1");
    assert_eq!((desk.ended(link), desk.hand.presented.len()), (DONE, 0));
}

#[test]
fn without_a_folder_or_an_address_it_ends() {
    let mut desk = Desk::unstarted(config());
    desk.holds[SURVEYS] = true;
    desk.input(Input::Start);
    desk.input(Input::SurveyFailed { error: ErrorKind::PermissionDenied });
    assert!(desk.hand.exited && !desk.hand.listens);
    assert_eq!(desk.dropbox.status().folder_failed, Some(ErrorKind::PermissionDenied));

    let mut desk = Desk::unstarted(config());
    desk.input(Input::Start);
    let addr = "10.0.0.1:12000".parse().unwrap();
    desk.input(Input::ListenFailed { addr, error: ErrorKind::AddrInUse });
    assert!(desk.hand.exited);
    assert_eq!(desk.dropbox.status().listen_failed, Some((addr, ErrorKind::AddrInUse)));
}

#[test]
fn a_stop_waits_only_for_what_is_whole() {
    let mut desk = Desk::of(DropBoxConfig { clients_max: 9, clients_per_address_max: 9, ..config() });
    desk.holds[FINISHES] = true;
    let [finishing, left] = [desk.client(1, "finishing"), desk.client(1, "left")];
    desk.bring(finishing, "1");
    desk.bring(left, "2");
    desk.down(left, DownReason::Reset);
    let receiving = desk.client(3, "receiving");
    desk.bring(receiving, "ab");
    let silent = desk.connect();
    desk.holds[OPENS] = true;
    let opening = desk.client(3, "opening");
    desk.input(Input::Shutdown);
    let stopped = Some(End::Closed(CloseReason::Shutdown));
    assert_eq!((desk.ended(silent), desk.ended(opening)), (stopped, stopped));
    assert_eq!(desk.ended(receiving), Some(End::Reset(CloseReason::Shutdown)));
    assert_eq!((desk.refused(Refusal::Stopping), desk.failed(Failure::Stopping)), (2, 1));
    let newcomer = desk.connect();
    assert_eq!(desk.ended(newcomer), stopped);
    assert_eq!((desk.ended(finishing), desk.hand.exited), (None, false));
    desk.let_go(FINISHES);
    assert_eq!(desk.ended(finishing), DONE);
    assert!(desk.hand.exited);
    assert_eq!(desk.hand.folder.keys().collect::<Vec<_>>(), ["finishing", "left"]);
    desk.assert_at_rest();
}

#[test]
fn a_stop_while_the_folder_is_counted_waits_for_nobody() {
    let mut desk = Desk::unstarted(config());
    desk.holds[SURVEYS] = true;
    desk.input(Input::Start);
    desk.input(Input::Shutdown);
    assert!(desk.hand.exited);
}
