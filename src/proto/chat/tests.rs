//! Each rule and each refusal by itself. What they amount to together is in `tests/chat.rs`.

mod mail;

use std::time::Duration;

use crate::proto::chat::{
    BlockLasts, Chat, ChatConfig, Pace, Rate, Reader, Refusal, Seen, Sent, WaitingMail,
};
use crate::proto::ids::{LinkId, Name};
use crate::proto::limits::*;
use crate::proto::time::{Mono, Now, SECOND_NS, Wall};

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn link(index: u32) -> LinkId {
    LinkId { index, generation: 0 }
}

fn at(seconds: u64) -> Mono {
    Mono(seconds * SECOND_NS)
}

fn now() -> Now {
    Now { mono: at(1), wall: Wall(7) }
}

/// Users `alice`, `bob`, `carol` and `dave`; all but dave are online, on links 0, 1, 2, and acknowledge.
fn book() -> Chat {
    let config = ChatConfig { rate: Rate::default(), idle_timeout: Duration::from_secs(60) };
    let mut chat = Chat::new(config);
    for user in ["alice", "bob", "carol", "dave"] {
        assert!(chat.add_user(name(user), WaitingMail::default(), at(0)).unwrap().is_none());
    }
    for (index, user) in ["alice", "bob", "carol"].into_iter().enumerate() {
        log_in(&mut chat, user, index as u32);
    }
    chat
}

/// As if the store had answered at once.
fn log_in(chat: &mut Chat, user: &str, index: u32) {
    let reserve = chat.login(name(user), link(index), Reader::Acks, at(0)).unwrap().reserve;
    if let Some(upto) = reserve {
        chat.on_reserved(&name(user), upto);
    }
}

fn say(chat: &mut Chat, from: &str, to: &str, text: &str) -> Result<Sent, Refusal> {
    let result = chat.message(&name(from), &name(to), text, now());
    chat.check_invariants();
    result.map(|posted| posted.sent)
}

fn who_else(chat: &Chat, asker: &str) -> Vec<String> {
    chat.whoelse(&name(asker), None).unwrap().map(|(name, _)| name.to_string()).collect()
}

fn since(chat: &Chat, asker: &str, seconds: u64, now: Mono) -> Vec<String> {
    let seen = chat.whoelsesince(&name(asker), seconds, now, None).unwrap();
    seen.map(|seen| seen.name.to_string()).collect()
}

#[test]
fn a_message_is_refused_with_its_reason() {
    let mut chat = book();
    chat.login_guest(name("eve"), link(9), at(0), at(0)).unwrap();
    chat.logout(&name("eve"), at(0)).unwrap();
    chat.block(&name("bob"), &name("alice")).unwrap();
    let long = "x".repeat(MESSAGE_BYTES_MAX + 1);
    for (from, to, text, expected) in [
        ("dave", "alice", "hi", Refusal::NotLoggedIn),
        ("alice", "alice", "hi", Refusal::Yourself),
        ("alice", "bob", "", Refusal::EmptyText),
        ("alice", "bob", "  ", Refusal::EmptyText),
        ("alice", "carol", &long, Refusal::TextTooLong),
        ("alice", "nobody", "hi", Refusal::Unknown),
        ("alice", "Bob", "hi", Refusal::Unknown),
        ("alice", "eve", "hi", Refusal::Offline),
        ("alice", "bob", "hi", Refusal::BlockedYou),
    ] {
        assert_eq!(say(&mut chat, from, to, text), Err(expected), "{from} to {to}: {text}");
    }
    assert_eq!(chat.counts().refused(Refusal::EmptyText), 2);
    assert_eq!(chat.counts().refused(Refusal::MailboxFull), 0);
    assert_eq!((chat.counts().sent, chat.counts().kept), (0, 0));
    assert!(say(&mut chat, "bob", "alice", "100 % fine").is_ok(), "a block has one direction");
    assert!(say(&mut chat, "alice", "carol", &long[1..]).is_ok());
}

#[test]
fn a_second_login_and_a_login_without_account_are_refused() {
    let mut chat = book();
    assert!(chat.is_online(&name("bob")) && !chat.is_online(&name("dave")));
    let second = chat.login(name("bob"), link(7), Reader::Plain, at(0));
    assert_eq!(second.err(), Some(Refusal::AlreadyOnline));
    assert_eq!(chat.link_of(&name("bob")), Some(link(1)), "the first is left alone");
    let nobody = chat.login(name("nobody"), link(7), Reader::Plain, at(0));
    assert_eq!(nobody.err(), Some(Refusal::Unknown));
    assert_eq!(chat.logout(&name("dave"), at(0)).err(), Some(Refusal::NotLoggedIn));
    chat.check_invariants();
}

#[test]
fn all_but_those_whom_one_blocked_see_one_come_and_go() {
    let mut chat = book();
    assert_eq!(chat.block(&name("dave"), &name("bob")), Ok(BlockLasts::Always));
    chat.block(&name("carol"), &name("dave")).unwrap();
    let told: Vec<_> = chat.login(name("dave"), link(3), Reader::Acks, at(1)).unwrap().told.collect();
    assert_eq!(told, [(name("alice"), link(0)), (name("carol"), link(2))]);
    assert_eq!(who_else(&chat, "bob"), ["alice", "carol"]);
    assert_eq!(who_else(&chat, "alice"), ["bob", "carol", "dave"]);
    assert_eq!(who_else(&chat, "dave"), ["alice", "bob"], "who blocked him is not shown to him");
    let page: Vec<_> =
        chat.whoelse(&name("alice"), Some(name("bob"))).unwrap().map(|(name, _)| name).collect();
    assert_eq!(page, [name("carol"), name("dave")]);
    let gone = chat.logout(&name("dave"), at(2)).unwrap();
    assert_eq!(
        (gone.link, gone.told.map(|(name, _)| name).collect::<Vec<_>>()),
        (link(3), vec![name("alice"), name("carol")])
    );
    assert!(chat.whoelse(&name("dave"), None).is_err());
    chat.check_invariants();
}

#[test]
fn who_was_there_is_known_since_the_start_and_from_the_very_second() {
    let mut chat = book();
    chat.login_guest(name("eve"), link(9), at(0), at(3)).unwrap();
    chat.logout(&name("bob"), at(10)).unwrap();
    chat.logout(&name("eve"), at(20)).unwrap();
    assert_eq!(since(&chat, "alice", 0, at(25)), ["carol"]);
    assert_eq!(since(&chat, "alice", 5, at(25)), ["carol", "eve"]);
    assert_eq!(since(&chat, "alice", 14, at(25)), ["carol", "eve"]);
    assert_eq!(since(&chat, "alice", 15, at(25)), ["carol", "eve", "bob"], "the last one first");
    assert_eq!(since(&chat, "alice", u64::MAX, at(25)), ["carol", "eve", "bob"], "dave was never there");
    let after = Some(Seen { name: name("eve"), left: Some(at(20)) });
    let rest: Vec<_> = chat.whoelsesince(&name("alice"), 99, at(25), after).unwrap().collect();
    assert_eq!(rest, [Seen { name: name("bob"), left: Some(at(10)) }]);
    chat.block(&name("bob"), &name("alice")).unwrap();
    assert_eq!(since(&chat, "alice", 99, at(25)), ["carol", "eve"]);
    log_in(&mut chat, "bob", 4);
    assert_eq!(since(&chat, "carol", 99, at(25)), ["alice", "bob", "eve"], "nobody twice");
    assert!(chat.whoelsesince(&name("dave"), 1, at(25), None).is_err());
    chat.check_invariants();
}

#[test]
fn blocks_are_made_once_and_taken_back_once() {
    let mut chat = book();
    let (alice, bob) = (name("alice"), name("bob"));
    assert_eq!(chat.block(&alice, &alice), Err(Refusal::Yourself));
    assert_eq!(chat.unblock(&alice, &alice), Err(Refusal::Yourself));
    assert_eq!(chat.block(&alice, &name("nobody")), Err(Refusal::Unknown));
    assert_eq!(chat.unblock(&alice, &name("nobody")), Err(Refusal::Unknown));
    assert_eq!(chat.block(&name("nobody"), &alice), Err(Refusal::NotLoggedIn));
    assert_eq!(chat.unblock(&alice, &bob), Err(Refusal::NotBlocked));
    assert_eq!(chat.block(&alice, &bob), Ok(BlockLasts::Always));
    assert_eq!(chat.block(&alice, &bob), Err(Refusal::AlreadyBlocked));
    assert!(chat.has_blocked(&alice, &bob) && !chat.has_blocked(&bob, &alice));
    assert!(!chat.has_blocked(&alice, &name("nobody")));
    assert_eq!(chat.unblock(&alice, &bob), Ok(BlockLasts::Always));
    assert!(!chat.has_blocked(&alice, &bob) && say(&mut chat, "bob", "alice", "hi").is_ok());
    for number in 0..=BLOCKS_PER_USER_MAX {
        let other = name(&format!("other{number}"));
        chat.add_user(other, WaitingMail::default(), at(0)).unwrap();
        let expected =
            if number < BLOCKS_PER_USER_MAX { Ok(BlockLasts::Always) } else { Err(Refusal::TooManyBlocks) };
        assert_eq!(chat.block(&alice, &other), expected);
    }
    chat.check_invariants();
}

#[test]
fn a_broadcast_passes_by_those_who_blocked_its_sender() {
    let mut chat = book();
    chat.block(&name("dave"), &name("alice")).unwrap();
    let broadcast = chat.broadcast(&name("alice"), "hi").unwrap();
    assert!(!broadcast.is_blocked_by_some, "only those count who are there");
    assert_eq!(broadcast.told.map(|(_, link)| link).collect::<Vec<_>>(), [link(1), link(2)]);
    chat.block(&name("bob"), &name("alice")).unwrap();
    let broadcast = chat.broadcast(&name("alice"), "hi").unwrap();
    assert!(broadcast.is_blocked_by_some);
    assert_eq!(broadcast.told.map(|(_, link)| link).collect::<Vec<_>>(), [link(2)]);
    assert_eq!(chat.broadcast(&name("alice"), " ").err(), Some(Refusal::EmptyText));
    assert_eq!(chat.broadcast(&name("dave"), "hi").err(), Some(Refusal::NotLoggedIn));
    let long = "x".repeat(MESSAGE_BYTES_MAX + 1);
    assert_eq!(chat.broadcast(&name("alice"), &long).err(), Some(Refusal::TextTooLong));
    assert_eq!(chat.counts().broadcasts, 2);
}

#[test]
fn a_guest_may_do_what_needs_no_proof_and_does_not_last() {
    let mut chat = book();
    let eve = name("eve");
    assert_eq!(chat.login_guest(name("dave"), link(8), at(0), at(0)).err(), Some(Refusal::IsAccount));
    assert_eq!(chat.login_guest(eve, link(9), at(0), at(0)).unwrap().count(), 3);
    assert_eq!(chat.login_guest(eve, link(8), at(0), at(0)).err(), Some(Refusal::AlreadyOnline));
    assert_eq!(say(&mut chat, "eve", "bob", "hi"), Ok(Sent::Now { link: link(1), number: None }));
    assert_eq!(say(&mut chat, "bob", "eve", "hi"), Ok(Sent::Now { link: link(9), number: None }));
    assert_eq!(say(&mut chat, "eve", "dave", "hi"), Err(Refusal::Offline), "nothing is kept for a guest");
    assert_eq!(who_else(&chat, "eve"), ["alice", "bob", "carol"]);
    assert_eq!(chat.start_private(&eve, &name("bob")), Err(Refusal::GuestsCannot));
    assert_eq!(chat.start_private(&name("bob"), &eve), Err(Refusal::GuestsCannot));
    assert_eq!(chat.block(&eve, &name("bob")), Ok(BlockLasts::UntilGuestLeaves));
    assert_eq!(chat.block(&name("carol"), &eve), Ok(BlockLasts::UntilGuestLeaves));
    assert_eq!(say(&mut chat, "bob", "eve", "hi"), Err(Refusal::BlockedYou));
    assert_eq!(say(&mut chat, "eve", "carol", "hi"), Err(Refusal::BlockedYou));
    let gone = chat.logout(&eve, at(1)).unwrap();
    assert_eq!(gone.told.map(|(name, _)| name).collect::<Vec<_>>(), [name("alice"), name("carol")]);
    chat.login_guest(eve, link(9), at(0), at(0)).unwrap();
    assert!(say(&mut chat, "eve", "carol", "hi").is_ok(), "somebody new, or so it seems");
    chat.check_invariants();
}

#[test]
fn a_guest_gives_way_to_an_account_of_its_name() {
    let mut chat = book();
    let eve = name("eve");
    chat.login_guest(eve, link(9), at(0), at(0)).unwrap();
    let gone = chat.add_user(eve, WaitingMail::default(), at(1)).unwrap().unwrap();
    assert_eq!((gone.link, gone.told.count()), (link(9), 3));
    assert_eq!(since(&chat, "alice", 99, at(1)), ["bob", "carol"]);
    assert_eq!(chat.add_user(eve, WaitingMail::default(), at(1)).err(), Some(Refusal::IsAccount));
    assert_eq!(say(&mut chat, "alice", "eve", "hi"), Ok(Sent::Kept { number: 1 }));
    chat.check_invariants();
}

#[test]
fn with_an_account_all_goes_that_hung_on_it() {
    let mut chat = book();
    let bob = name("bob");
    chat.block(&bob, &name("alice")).unwrap();
    chat.block(&name("carol"), &bob).unwrap();
    chat.start_private(&name("dave"), &bob).unwrap_err();
    chat.start_private(&bob, &name("carol")).unwrap_err();
    chat.unblock(&bob, &name("alice")).unwrap();
    chat.start_private(&name("alice"), &bob).unwrap();
    say(&mut chat, "alice", "bob", "hi").unwrap();
    let gone = chat.remove_user(&bob, at(1)).unwrap().unwrap();
    assert_eq!((gone.link, gone.keep.len()), (link(1), 0));
    chat.check_invariants();
    assert_eq!((chat.accounts(), chat.online(), chat.mail()), (3, 2, (0, 0)));
    assert_eq!(chat.remove_user(&bob, at(1)).err(), Some(Refusal::Unknown));
    assert_eq!(say(&mut chat, "alice", "bob", "hi"), Err(Refusal::Unknown));
    assert_eq!(since(&chat, "alice", 99, at(1)), ["carol"]);
    assert!(chat.remove_user(&name("dave"), at(1)).unwrap().is_none());
}

#[test]
fn private_links_are_between_two_who_are_there_and_want_it() {
    let mut chat = book();
    let (alice, bob, carol) = (name("alice"), name("bob"), name("carol"));
    chat.block(&carol, &alice).unwrap();
    for (from, to, expected) in [
        ("dave", "alice", Refusal::NotLoggedIn),
        ("alice", "alice", Refusal::Yourself),
        ("alice", "nobody", Refusal::Unknown),
        ("alice", "dave", Refusal::Offline),
        ("alice", "carol", Refusal::BlockedYou),
        ("carol", "alice", Refusal::YouBlocked),
    ] {
        assert_eq!(chat.start_private(&name(from), &name(to)), Err(expected), "{from} to {to}");
    }
    assert_eq!(chat.stop_private(&alice, &bob), Err(Refusal::NoPrivate));
    let private = chat.start_private(&alice, &bob).unwrap();
    assert_eq!((private.from, private.to, private.is_again), (link(0), link(1), false));
    let private = chat.start_private(&bob, &alice).unwrap();
    assert_eq!((private.from, private.to, private.is_again), (link(1), link(0), true));
    assert_eq!(chat.stop_private(&bob, &alice), Ok(link(0)), "either may stop it");
    assert_eq!(chat.stop_private(&alice, &bob), Err(Refusal::NoPrivate));
    chat.start_private(&alice, &bob).unwrap();
    chat.start_private(&bob, &carol).unwrap();
    chat.block(&bob, &alice).unwrap();
    assert_eq!(chat.start_private(&alice, &bob), Err(Refusal::BlockedYou), "nothing new starts");
    chat.check_invariants();
    assert_eq!(chat.stop_privates(&bob), [link(0), link(2)], "an open one stayed until now");
    assert_eq!(chat.stop_private(&alice, &bob), Err(Refusal::NoPrivate));
    assert_eq!((chat.stop_privates(&bob), chat.stop_privates(&name("nobody"))), (vec![], vec![]));
    chat.start_private(&carol, &bob).unwrap();
    chat.logout(&bob, at(1)).unwrap();
    assert_eq!(chat.stop_private(&carol, &bob), Err(Refusal::NoPrivate), "who has gone has none");
    chat.check_invariants();
}

#[test]
fn a_user_has_a_bound_of_private_links() {
    let mut chat = book();
    for number in 0..=PRIVATES_PER_USER_MAX {
        let other = name(&format!("other{number}"));
        chat.add_user(other, WaitingMail::default(), at(0)).unwrap();
        log_in(&mut chat, other.as_str(), 100 + number as u32);
        let result = chat.start_private(&other, &name("alice")).err();
        assert_eq!(result, (number == PRIVATES_PER_USER_MAX).then_some(Refusal::TooManyPrivates));
    }
    assert!(chat.start_private(&name("other0"), &name("alice")).unwrap().is_again);
}

#[test]
fn one_is_idle_who_says_nothing_whatever_comes_in() {
    let mut chat = book();
    assert_eq!((chat.idle_at(&name("bob")), chat.idle_at(&name("dave"))), (Some(at(60)), None));
    say(&mut chat, "alice", "bob", "hi").unwrap();
    assert_eq!(chat.idle_at(&name("bob")), Some(at(60)));
    chat.on_command(&name("bob"), at(5));
    chat.on_command(&name("dave"), at(5));
    assert_eq!(chat.idle_at(&name("bob")), Some(at(65)));
}

#[test]
fn who_talks_too_fast_is_slowed_then_refused_and_a_new_login_does_not_help() {
    let mut chat = book();
    let alice = name("alice");
    for _ in 0..MESSAGES_BURST / BROADCAST_COST {
        assert_eq!(chat.pace_broadcast(&alice, at(9)), Pace::Now);
    }
    for slowed in 1..=MESSAGES_SLOWED_MAX {
        assert_eq!(chat.pace_message(&alice, at(9)), Pace::At(at(9) + MESSAGE_PERIOD * slowed));
    }
    assert!(matches!(chat.pace_message(&alice, at(9)), Pace::Refused { .. }));
    assert_eq!(chat.counts().slowed, u64::from(MESSAGES_SLOWED_MAX));
    assert_eq!(chat.counts().refused(Refusal::TooFast), 1);
    chat.logout(&alice, at(9)).unwrap();
    log_in(&mut chat, "alice", 0);
    assert!(matches!(chat.pace_message(&alice, at(9)), Pace::Refused { .. }));
    assert_eq!(chat.pace_message(&name("bob"), at(9)), Pace::Now, "nobody else pays for it");
    assert_eq!(chat.pace_message(&alice, at(99)), Pace::Now);
}

#[test]
fn the_book_has_bounds() {
    let mut chat = Chat::new(ChatConfig { rate: Rate::default(), idle_timeout: Duration::from_secs(60) });
    for number in 0..ACCOUNTS_MAX {
        chat.add_user(name(&format!("u{number}")), WaitingMail::default(), at(0)).unwrap();
    }
    let one_more = chat.add_user(name("more"), WaitingMail::default(), at(0));
    assert_eq!(one_more.err(), Some(Refusal::TooManyAccounts));
    for number in 0..BLOCKS_MAX {
        let (user, other) = (number / BLOCKS_PER_USER_MAX, ACCOUNTS_MAX - 1 - number % BLOCKS_PER_USER_MAX);
        chat.block(&name(&format!("u{user}")), &name(&format!("u{other}"))).unwrap();
    }
    assert_eq!(chat.block(&name("u50000"), &name("u1")), Err(Refusal::BlocksFull));
    for number in 0..ONLINE_MAX {
        let number = number as u32;
        chat.login(name(&format!("u{number}")), link(number), Reader::Plain, at(0)).unwrap();
    }
    let one_more = chat.login(name("u99999"), link(99_999), Reader::Plain, at(0));
    assert_eq!(one_more.err(), Some(Refusal::TooManyOnline));
    let one_more = chat.login_guest(name("guest"), link(99_999), at(0), at(0));
    assert_eq!(one_more.err(), Some(Refusal::TooManyOnline));
    assert_eq!((chat.accounts(), chat.online()), (ACCOUNTS_MAX, ONLINE_MAX));
}
