//! Places: how many clients there may be at once, and who makes room for whom.

use super::*;

fn from(host: u8) -> String {
    format!("10.0.0.{host}:40000")
}

#[test]
fn who_has_waited_longest_makes_room() {
    let mut desk = Desk::new();
    let begun = desk.client(3, "begun");
    let silent = desk.connect_from(&from(3));
    desk.elapse(Duration::from_secs(1));
    let typing = desk.connect_from(&from(4));
    desk.bring(typing, b"\0\0");
    desk.elapse(Duration::from_secs(1));
    let newer = desk.connect_from(&from(5));
    let newest = desk.connect_from(&from(6));
    assert_eq!((desk.ended(silent), desk.ended(typing)), (REFUSED, None));
    let one_more = desk.connect_from(&from(7));
    assert_eq!((desk.ended(typing), desk.refused(Refusal::MadeRoom)), (REFUSED, 2));
    for link in [newer, newest, one_more] {
        assert_eq!(desk.ended(link), None);
        desk.announce(link, 1, "x");
    }
    let refused = desk.connect_from(&from(8));
    assert_eq!((desk.ended(refused), desk.refused(Refusal::TooManyClients)), (REFUSED, 1));
    assert_eq!(desk.dropbox.status().clients, 4);
    for (link, content) in [(begun, "abc"), (newer, "1"), (newest, "2"), (one_more, "3")] {
        desk.bring(link, content);
        assert_eq!(desk.ended(link), DONE);
    }
    desk.assert_at_rest();
}

#[test]
fn one_address_does_not_take_all_places() {
    let mut desk = Desk::new();
    let [first, ..] = [(); 3].map(|()| desk.connect());
    let one_more = desk.connect_from("[::ffff:10.0.0.2]:50000");
    assert_eq!((desk.ended(one_more), desk.refused(Refusal::TooManyOfAddress)), (REFUSED, 1));
    let other = desk.connect_from(&from(3));
    assert_eq!((desk.ended(first), desk.ended(other)), (None, None));
    desk.down(first, DownReason::Eof);
    let again = desk.connect();
    assert_eq!(desk.ended(again), None);
}

#[test]
fn a_file_that_the_disk_is_at_keeps_the_place_of_its_client() {
    let mut desk = Desk::of(DropBoxConfig { clients_max: 1, ..config() });
    desk.holds[FINISHES] = true;
    let link = desk.client(0, "a");
    desk.down(link, DownReason::Reset);
    let refused = desk.connect_from(&from(3));
    assert_eq!(desk.ended(refused), REFUSED);
    desk.let_go(FINISHES);
    desk.assert_at_rest();
    let next = desk.connect_from(&from(3));
    assert_eq!(desk.ended(next), None);
}

#[test]
fn a_flood_of_bad_clients_is_counted_and_not_logged_in_full() {
    let mut desk = Desk::new();
    for _ in 0..1000 {
        let link = desk.client(1, "..");
        assert_eq!(desk.ended(link), REFUSED);
    }
    let unlogged = desk.dropbox.status().unlogged;
    assert_eq!(desk.refused(Refusal::NameDots), 1000);
    // 250 s of it.
    assert!((950..1000).contains(&unlogged), "{unlogged}");
    assert_eq!(desk.dropbox.status().refused_total(), 1000);
}
