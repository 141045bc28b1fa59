//! Who gets which name, what a key is worth, what is forgotten.

use super::*;
use crate::proto::time::Now;

const START: Now = Now { mono: Mono(0), wall: Wall(0) };

#[test]
fn who_comes_back_after_a_restart_has_the_older_right_to_its_number() {
    let at = |directory: &mut Directory, request: &Request, now: Mono| {
        let joined = directory.join(request, now, Wall(0));
        directory.check_invariants();
        joined
    };
    let back = |id| Request { key: Some(Key(9)), ..request(9, Some(id)) };
    let mut directory = Directory::new([0; 32]);
    directory.start(Mono(0));
    for number in ["0", "1"] {
        assert_eq!(at(&mut directory, &request(1, None), Mono(0)).unwrap().id.as_str(), number);
    }
    at(&mut directory, &request(2, Some("2")), Mono(0)).unwrap();
    let last = Mono(0) + (RETURN_GRACE - Duration::from_nanos(1));
    assert_eq!(at(&mut directory, &back("0"), last).unwrap().displaced, Some(request(1, None).link));
    let again = Request { key: Some(Key(8)), ..back("0") };
    assert!(at(&mut directory, &again, last).is_err(), "who came back is not displaced");
    assert!(at(&mut directory, &back("2"), last).is_err(), "nor who asked for its name");
    let keyless = Request { key: None, ..back("1") };
    assert!(at(&mut directory, &keyless, last).is_err(), "nor by one without a key");
    assert!(at(&mut directory, &back("1"), Mono(0) + RETURN_GRACE).is_err(), "nor later");
}

fn request(index: u32, id: Option<&str>) -> Request {
    Request {
        link: LinkId { index, generation: 0 },
        remote: format!("10.0.0.{index}:50000").parse().unwrap(),
        group: "lab".parse().unwrap(),
        id: id.map(|id| id.parse().unwrap()),
        port: 40000,
        duration: Duration::from_secs(1),
        key: None,
    }
}

fn join(directory: &mut Directory, request: &Request) -> Result<Joined, Refusal> {
    let joined = directory.join(request, Mono(0), Wall(0));
    directory.check_invariants();
    joined
}

#[test]
fn the_lowest_free_number_is_assigned() {
    let mut directory = Directory::new([0; 32]);
    let group = "lab".parse().unwrap();
    for expected in ["0", "1", "2"] {
        assert_eq!(join(&mut directory, &request(1, None)).unwrap().id.as_str(), expected);
    }
    directory.remove(&group, &"1".parse().unwrap());
    assert_eq!(join(&mut directory, &request(4, Some("7"))).unwrap().id.as_str(), "7");
    assert_eq!(join(&mut directory, &request(5, None)).unwrap().id.as_str(), "1");
    directory.lose(&group, &"0".parse().unwrap(), Answerer::new(Mono(0), Duration::from_millis(10)), START);
    assert_eq!(join(&mut directory, &request(6, None)).unwrap().id.as_str(), "3", "0 may come back");
}

#[test]
fn a_taken_id_is_refused_with_who_has_it() {
    let mut directory = Directory::new([0; 32]);
    join(&mut directory, &request(1, Some("a"))).unwrap();
    let (code, text) = join(&mut directory, &request(2, Some("a"))).unwrap_err();
    assert_eq!(code, ErrorCode::IdTaken);
    assert!(text.contains("10.0.0.1:50000"), "{text}");
    let wrong_key = Request { key: Some(Key(1)), ..request(2, Some("a")) };
    assert_eq!(join(&mut directory, &wrong_key).unwrap_err().0, ErrorCode::IdTaken);
}

#[test]
fn the_key_resumes_and_tickets_outlive_the_server() {
    let mut directory = Directory::new([0; 32]);
    let a = join(&mut directory, &request(1, Some("a"))).unwrap();
    let b = join(&mut directory, &request(2, Some("b"))).unwrap();
    let ticket_of = |directory: &Directory| {
        let group = directory.group(&"lab".parse().unwrap()).unwrap();
        let line = group.line(&a.id, &b.id, Mono(0)).unwrap();
        let mirrored = group.line(&b.id, &a.id, Mono(0)).unwrap();
        match (line, mirrored) {
            (Message::Peer { ticket, .. }, Message::Peer { ticket: same, .. }) => {
                assert_eq!(ticket, same);
                ticket
            }
            _ => unreachable!(),
        }
    };
    let before = ticket_of(&directory);
    let again = Request { key: Some(a.key), ..request(3, Some("a")) };
    let resumed = join(&mut directory, &again).unwrap();
    assert_eq!(resumed.key, a.key);
    assert_eq!(resumed.resumed.unwrap().0, Some(request(1, None).link));
    let mut directory = Directory::new([1; 32]);
    let joined = join(&mut directory, &again).unwrap();
    assert!(joined.resumed.is_none(), "the new server knows nothing of the old membership");
    join(&mut directory, &Request { key: Some(b.key), ..request(2, Some("b")) }).unwrap();
    assert_eq!(ticket_of(&directory), before);
}

#[test]
fn a_group_without_links_is_forgotten_when_no_run_can_be_on() {
    let mut directory = Directory::new([0; 32]);
    let joined = join(&mut directory, &request(1, None)).unwrap();
    let group = "lab".parse().unwrap();
    directory.lose(&group, &joined.id, Answerer::new(Mono(0), Duration::from_millis(10)), START);
    directory.forget_dead(Mono(5_999_999_999));
    assert!(directory.group(&group).is_some(), "it may come back");
    directory.forget_dead(Mono(6_000_000_000));
    assert!(directory.group(&group).is_none());
}

#[test]
fn groups_have_a_bound_and_dead_ones_make_room() {
    let mut directory = Directory::new([0; 32]);
    let named = |number: usize| Request { group: format!("g{number}").parse().unwrap(), ..request(1, None) };
    for number in 0..GROUPS_MAX {
        join(&mut directory, &named(number)).unwrap();
    }
    assert_eq!(join(&mut directory, &named(GROUPS_MAX)).unwrap_err().0, ErrorCode::LimitReached);
    let (group, id) = (named(3).group, Name::from_number(0));
    directory.lose(&group, &id, Answerer::new(Mono(0), Duration::from_millis(10)), START);
    join(&mut directory, &named(GROUPS_MAX)).unwrap();
    assert!(directory.group(&group).is_none());
}

fn lose(directory: &mut Directory, id: &Name, seconds: u64) {
    let now = Now { mono: Mono(0) + Duration::from_secs(seconds), wall: Wall(0) };
    directory.lose(&request(1, None).group, id, Answerer::new(Mono(0), Duration::from_millis(10)), now);
    directory.check_invariants();
}

#[test]
fn the_name_of_a_lost_member_is_held_while_its_run_can_still_be_on() {
    let mut directory = Directory::new([0; 32]);
    let a = join(&mut directory, &request(1, Some("a"))).unwrap();
    lose(&mut directory, &a.id, 0);
    let at = |directory: &mut Directory, request: &Request, millis: u64| {
        directory.join(request, Mono(0) + Duration::from_millis(millis), Wall(0))
    };
    let stranger = request(2, Some("a"));
    let (code, text) = at(&mut directory, &stranger, 0).unwrap_err();
    assert_eq!(code, ErrorCode::IdTaken);
    assert!(text.contains("was lost at 1970-01-01") && text.contains("free again in 7 s"), "{text}");
    assert!(at(&mut directory, &Request { key: Some(Key(3)), ..stranger }, 5999).is_err());
    let back = Request { key: Some(a.key), ..request(3, Some("a")) };
    assert!(at(&mut directory, &back, 900).unwrap().resumed.is_some());
    directory.check_invariants();
    lose(&mut directory, &a.id, 1);
    at(&mut directory, &stranger, 6900).unwrap();
    directory.check_invariants();
}

#[test]
fn a_member_that_was_killed_may_begin_anew_on_its_host_at_once() {
    let mut directory = Directory::new([0; 32]);
    let a = join(&mut directory, &request(1, Some("a"))).unwrap();
    let same_host = request(1, Some("a"));
    assert!(join(&mut directory, &same_host).is_err(), "it is not lost yet");
    lose(&mut directory, &a.id, 0);
    assert!(join(&mut directory, &request(2, Some("a"))).is_err());
    let again = join(&mut directory, &same_host).unwrap();
    assert!(again.resumed.is_none() && again.key != a.key, "it is another membership");
}

#[test]
fn lost_members_of_a_group_that_lives_are_forgotten_one_by_one() {
    let mut directory = Directory::new([0; 32]);
    let ids = [1, 2, 3].map(|index| join(&mut directory, &request(index, None)).unwrap().id);
    join(&mut directory, &request(4, None)).unwrap();
    for (id, seconds) in ids.iter().zip([0, 10, 20]) {
        lose(&mut directory, id, seconds);
    }
    for (left, id) in (1..=3).rev().zip(&ids) {
        let at = directory.next_forget().unwrap();
        directory.forget_lost(Mono(at.0 - 1));
        assert!(directory.member(&request(1, None).group, id).is_some());
        directory.forget_lost(at);
        directory.check_invariants();
        assert_eq!(directory.members().count(), left);
    }
    assert_eq!(directory.next_forget(), None);
    assert!(directory.end_runs(), "they never said that their runs were over");
    assert_eq!(join(&mut directory, &request(5, None)).unwrap().id.as_str(), "0");
}

#[test]
fn a_lost_member_finds_its_place_in_a_group_that_is_full() {
    let mut directory = Directory::new([0; 32]);
    let a = join(&mut directory, &request(1, Some("a"))).unwrap();
    lose(&mut directory, &a.id, 0);
    (1..MEMBERS_MAX as u32)
        .for_each(|index| drop(directory.join(&request(index % 200 + 2, None), Mono(0), Wall(0))));
    let back = Request { key: Some(a.key), ..request(1, Some("a")) };
    assert!(join(&mut directory, &back).unwrap().resumed.is_some(), "with its accounts");
}
