//! Messages from user to user: on trial, kept, fetched, skipped, failed; and their bounds.

use crate::proto::chat::tests::{at, book, link, log_in, name, now, say};
use crate::proto::chat::{Chat, Keep, MailLoad, Reader, Refusal, Sent, Step, WaitingMail};
use crate::proto::ids::Name;
use crate::proto::limits::*;
use crate::proto::time::Wall;

fn dave() -> Name {
    name("dave")
}

fn now_at(index: u32, number: u64) -> Result<Sent, Refusal> {
    Ok(Sent::Now { link: link(index), number: Some(number) })
}

fn kept(number: u64) -> Result<Sent, Refusal> {
    Ok(Sent::Kept { number })
}

/// Dave comes, on link 3; what is to be read back for him.
fn dave_comes(chat: &mut Chat, reader: Reader) -> Option<MailLoad> {
    let login = chat.login(dave(), link(3), reader, at(2)).unwrap();
    let (load, reserve) = (login.load, login.reserve);
    if let Some(upto) = reserve {
        chat.on_reserved(&dave(), upto);
    }
    load
}

/// Rows `from` to `upto` of Dave's, all from alice with one byte. How many are shown.
fn rows(chat: &mut Chat, from: u64, upto: u64) -> usize {
    (from..=upto).filter(|number| chat.mail_row(&dave(), &name("alice"), *number, 1).is_some()).count()
}

#[test]
fn who_is_there_gets_a_message_at_once_and_it_becomes_mail_if_the_link_breaks() {
    let mut chat = book();
    assert_eq!(say(&mut chat, "alice", "bob", "one"), now_at(1, 1));
    assert_eq!(say(&mut chat, "carol", "bob", "two"), now_at(1, 2));
    assert_eq!(say(&mut chat, "alice", "bob", "three"), now_at(1, 3));
    assert_eq!(chat.ack(&name("bob"), 1), Ok(Step::default()), "the store never had it");
    assert_eq!(chat.ack(&name("bob"), 1), Ok(Step::default()), "twice is nothing");
    assert_eq!(chat.ack(&name("bob"), 4), Err(Refusal::NeverSent));
    assert_eq!(chat.mail(), (2, 8));
    let keep = chat.logout(&name("bob"), at(1)).unwrap().keep;
    let second = Keep { to: name("bob"), number: 2, from: name("carol"), at: Wall(7), text: "two".into() };
    assert_eq!((keep.len(), &keep[0], keep[1].number), (2, &second, 3));
    assert_eq!((chat.counts().returned, chat.mail()), (2, (2, 8)));
    let login = chat.login(name("bob"), link(5), Reader::Acks, at(2)).unwrap();
    assert_eq!((login.waiting, login.load.unwrap().after), (2, 1));
    chat.check_invariants();
}

#[test]
fn what_is_said_while_mail_is_on_its_way_queues_behind_it() {
    let mut chat = book();
    let load = |after| Some(MailLoad { to: dave(), after, rows_max: MAIL_ROWS_MAX });
    for number in 1..=70 {
        assert_eq!(say(&mut chat, "alice", "dave", "x"), kept(number));
    }
    assert_eq!(dave_comes(&mut chat, Reader::Acks), load(0));
    assert_eq!(say(&mut chat, "alice", "dave", "x"), kept(71));
    assert_eq!(rows(&mut chat, 1, 64), 64);
    assert_eq!(chat.mail_loaded(&dave()), Step::default(), "the rest waits until these have come");
    assert_eq!(say(&mut chat, "alice", "dave", "x"), kept(72));
    assert_eq!(chat.ack(&dave(), 63), Ok(Step { forget: Some(63), load: None }));
    assert_eq!(chat.ack(&dave(), 64), Ok(Step { forget: Some(64), load: load(64) }));
    assert_eq!(say(&mut chat, "alice", "dave", "x"), kept(73));
    assert_eq!(rows(&mut chat, 65, 72), 8);
    assert_eq!(chat.mail_loaded(&dave()), Step::default());
    assert_eq!(chat.ack(&dave(), 72), Ok(Step { forget: Some(72), load: load(72) }), "one came meanwhile");
    assert_eq!(rows(&mut chat, 73, 73), 1);
    chat.mail_loaded(&dave());
    assert_eq!(say(&mut chat, "alice", "dave", "x"), now_at(3, 74), "all before it have gone to the link");
    assert_eq!(chat.ack(&dave(), 74), Ok(Step { forget: Some(73), load: None }));
    assert_eq!(chat.mail(), (0, 0));
    chat.check_invariants();
}

#[test]
fn a_client_that_does_not_acknowledge_has_what_its_kernel_took() {
    let mut chat = book();
    say(&mut chat, "alice", "dave", "x").unwrap();
    assert!(dave_comes(&mut chat, Reader::Plain).is_some());
    assert_eq!(rows(&mut chat, 1, 1), 1);
    chat.mail_loaded(&dave());
    assert_eq!(chat.ack(&dave(), 1), Err(Refusal::NeverSent));
    assert_eq!(chat.on_delivered(&dave(), 1), Step { forget: Some(1), load: None });
    assert_eq!(say(&mut chat, "alice", "dave", "x"), now_at(3, 2));
    assert_eq!(chat.on_delivered(&dave(), 2), Step::default());
    assert_eq!(chat.logout(&dave(), at(1)).unwrap().keep, []);
    assert_eq!(say(&mut chat, "alice", "bob", "x"), now_at(1, 1));
    assert_eq!(chat.on_delivered(&name("bob"), 1), Step::default());
    assert_eq!(chat.mail(), (1, 1), "bob acknowledges; his kernel says nothing");
}

#[test]
fn mail_from_somebody_blocked_since_is_not_shown() {
    let mut chat = book();
    for from in ["alice", "bob", "alice"] {
        say(&mut chat, from, "dave", "x").unwrap();
    }
    dave_comes(&mut chat, Reader::Acks).unwrap();
    chat.block(&dave(), &name("alice")).unwrap();
    assert_eq!(chat.mail_row(&dave(), &name("alice"), 1, 1), None);
    assert_eq!(chat.mail_row(&dave(), &name("bob"), 2, 1), Some(link(3)));
    assert_eq!(chat.mail_row(&dave(), &name("alice"), 3, 1), None);
    assert_eq!(chat.mail_loaded(&dave()), Step { forget: Some(1), load: None });
    assert_eq!(chat.ack(&dave(), 2), Ok(Step { forget: Some(3), load: None }));
    assert_eq!((chat.counts().skipped, chat.counts().fetched, chat.mail()), (2, 1, (0, 0)));
    chat.check_invariants();
}

#[test]
fn a_message_that_the_store_cannot_keep_never_was() {
    let mut chat = book();
    assert_eq!(say(&mut chat, "alice", "dave", "xyz"), kept(1));
    assert_eq!(say(&mut chat, "alice", "dave", "xy"), kept(2));
    chat.not_kept(&dave(), &name("alice"), 3);
    chat.not_kept(&name("nobody"), &name("alice"), 3);
    assert_eq!(chat.mail(), (1, 2));
    dave_comes(&mut chat, Reader::Acks).unwrap();
    chat.mail_load_failed(&dave());
    assert_eq!(say(&mut chat, "alice", "dave", "x"), kept(3));
    chat.mail_load_failed(&dave());
    let load = chat.retry_load(&dave()).unwrap();
    assert_eq!((load.after, chat.retry_load(&dave())), (0, None), "once at a time");
    assert_eq!(chat.mail_row(&dave(), &name("alice"), 2, 2), Some(link(3)));
    assert_eq!(chat.mail_row(&dave(), &name("alice"), 3, 1), Some(link(3)));
    chat.mail_loaded(&dave());
    assert_eq!(say(&mut chat, "alice", "dave", "x"), now_at(3, 4));
    chat.check_invariants();
}

#[test]
fn an_answer_to_an_earlier_session_is_none_to_this_one() {
    let mut chat = book();
    say(&mut chat, "alice", "dave", "x").unwrap();
    dave_comes(&mut chat, Reader::Acks).unwrap();
    chat.logout(&dave(), at(2)).unwrap();
    say(&mut chat, "alice", "dave", "x").unwrap();
    let again = chat.login(dave(), link(4), Reader::Acks, at(2)).unwrap().load.unwrap();
    assert_eq!(again.after, 0);
    assert_eq!((rows(&mut chat, 1, 1), chat.mail_loaded(&dave())), (0, Step::default()));
    assert_eq!(rows(&mut chat, 1, 2), 2);
    chat.mail_loaded(&dave());
    assert_eq!(chat.mail_row(&dave(), &name("alice"), 3, 1), None, "nobody asked");
    assert_eq!(chat.mail_loaded(&dave()), Step::default());
    chat.check_invariants();
}

#[test]
fn what_is_over_is_not_shown_again_even_if_the_store_still_has_it() {
    let mut chat = book();
    say(&mut chat, "alice", "dave", "x").unwrap();
    dave_comes(&mut chat, Reader::Plain).unwrap();
    rows(&mut chat, 1, 1);
    chat.mail_loaded(&dave());
    assert_eq!(chat.on_delivered(&dave(), 1).forget, Some(1));
    chat.logout(&dave(), at(2)).unwrap();
    say(&mut chat, "alice", "dave", "x").unwrap();
    assert_eq!(dave_comes(&mut chat, Reader::Plain).unwrap().after, 1);
}

#[test]
fn no_number_goes_to_a_link_before_the_store_knows_that_it_is_taken() {
    let mut chat = book();
    let login = chat.login(dave(), link(3), Reader::Acks, at(0)).unwrap();
    assert_eq!((login.waiting, login.load, login.reserve), (0, None, Some(NUMBERS_AHEAD)));
    let posted = chat.message(&name("alice"), &dave(), "x", now()).unwrap();
    assert_eq!((posted.sent, posted.load.is_some(), posted.reserve), (Sent::Kept { number: 1 }, true, None));
    chat.on_reserve_failed(&dave());
    rows(&mut chat, 1, 1);
    chat.mail_loaded(&dave());
    let posted = chat.message(&name("alice"), &dave(), "x", now()).unwrap();
    assert_eq!((posted.sent, posted.load), (Sent::Kept { number: 2 }, None), "one is on its way");
    assert_eq!(posted.reserve, Some(2 + NUMBERS_AHEAD));
    chat.on_reserved(&dave(), 2 + NUMBERS_AHEAD);
    assert!(chat.ack(&dave(), 1).unwrap().load.is_some());
    rows(&mut chat, 2, 2);
    chat.mail_loaded(&dave());
    for number in 3..NUMBERS_AHEAD * 3 {
        let posted = chat.message(&name("alice"), &dave(), "x", now()).unwrap();
        assert_eq!(posted.sent, Sent::Now { link: link(3), number: Some(number) });
        if let Some(upto) = posted.reserve {
            assert!(upto >= number + NUMBERS_AHEAD / 2);
            chat.on_reserved(&dave(), upto);
        }
        chat.ack(&dave(), number).unwrap();
    }
}

#[test]
fn what_is_reserved_is_so_for_the_next_session_too() {
    let mut chat = book();
    let first = chat.login(dave(), link(3), Reader::Acks, at(0)).unwrap().reserve;
    assert_eq!(first, Some(NUMBERS_AHEAD));
    chat.logout(&dave(), at(1)).unwrap();
    chat.on_reserved(&dave(), NUMBERS_AHEAD);
    assert_eq!(chat.login(dave(), link(3), Reader::Acks, at(2)).unwrap().reserve, None);
    assert_eq!(say(&mut chat, "alice", "dave", "x"), now_at(3, 1));
    chat.ack(&dave(), 1).unwrap();
    chat.logout(&dave(), at(3)).unwrap();
    chat.forget_reserved(&dave());
    let again = chat.login(dave(), link(3), Reader::Acks, at(4)).unwrap().reserve;
    assert_eq!(again, Some(1 + NUMBERS_AHEAD), "the account is another one");
    assert_eq!(say(&mut chat, "alice", "dave", "x"), kept(2));
}

/// So many messages for a mailbox, all of which are kept, from as many senders as that takes.
fn fill(chat: &mut Chat, to: &str, count: usize, text: &str) {
    let share = (MAIL_PER_SENDER_MAX as usize).min(MAIL_BYTES_PER_SENDER_MAX as usize / text.len());
    for number in 0..count {
        let from = format!("sender{}", number / share);
        if number % share == 0 {
            chat.add_user(name(&from), WaitingMail::default(), at(0)).unwrap();
            log_in(chat, &from, 1000 + (number / share) as u32);
        }
        let sent = chat.message(&name(&from), &name(to), text, now()).unwrap().sent;
        assert!(matches!(sent, Sent::Kept { .. }), "{number}");
    }
}

#[test]
fn one_sender_does_not_fill_a_mailbox() {
    let mut chat = book();
    for number in 1..=u64::from(MAIL_PER_SENDER_MAX) {
        assert_eq!(chat.message(&name("alice"), &dave(), "x", now()).unwrap().sent, kept(number).unwrap());
    }
    let full = u64::from(MAIL_PER_SENDER_MAX);
    assert_eq!(say(&mut chat, "alice", "dave", "x"), Err(Refusal::ShareFull));
    assert_eq!(say(&mut chat, "bob", "dave", "x"), kept(full + 1), "there is room for others");
    let text = "x".repeat(MESSAGE_BYTES_MAX);
    let fit = MAIL_BYTES_PER_SENDER_MAX as usize / MESSAGE_BYTES_MAX;
    assert!((0..fit).all(|_| say(&mut chat, "carol", "dave", &text).is_ok()));
    assert_eq!(say(&mut chat, "carol", "dave", &text), Err(Refusal::ShareFull));
    chat.not_kept(&dave(), &name("carol"), text.len());
    assert!(say(&mut chat, "carol", "dave", &text).is_ok(), "what is not kept does not count");
    dave_comes(&mut chat, Reader::Acks).unwrap();
    assert_eq!(rows(&mut chat, 1, 64), 64);
    chat.mail_loaded(&dave());
    assert_eq!(say(&mut chat, "alice", "dave", "x").map(|sent| matches!(sent, Sent::Kept { .. })), Ok(true));
    chat.remove_user(&dave(), at(0)).unwrap();
    chat.check_invariants();
}

#[test]
fn who_does_not_read_fills_his_mailbox_and_nothing_else() {
    let mut chat = book();
    for number in 1..=FLIGHT_MAX as u64 {
        assert_eq!(
            chat.message(&name("alice"), &name("bob"), "x", now()).unwrap().sent,
            now_at(1, number).unwrap()
        );
    }
    fill(&mut chat, "bob", MAIL_PER_USER_MAX as usize - FLIGHT_MAX, "x");
    assert_eq!(say(&mut chat, "alice", "bob", "x"), Err(Refusal::MailboxFull));
    assert_eq!(say(&mut chat, "alice", "carol", "x"), now_at(2, 1));
    let step = chat.ack(&name("bob"), FLIGHT_MAX as u64).unwrap();
    assert_eq!((step.forget, step.load.unwrap().after), (None, FLIGHT_MAX as u64));
    assert_eq!(say(&mut chat, "alice", "bob", "x"), kept(u64::from(MAIL_PER_USER_MAX) + 1));
}

#[test]
fn mailboxes_have_bounds_in_bytes_each_and_together() {
    let mut chat = book();
    let text = "x".repeat(MESSAGE_BYTES_MAX);
    let fit = MAIL_BYTES_PER_USER_MAX as usize / MESSAGE_BYTES_MAX;
    fill(&mut chat, "dave", fit, &text);
    assert_eq!(say(&mut chat, "alice", "dave", &text), Err(Refusal::MailboxFull));
    let (_, bytes) = chat.mail();
    let full = WaitingMail { last: 9, count: 1, bytes: MAIL_BYTES_PER_USER_MAX };
    for number in 0..=(MAIL_BYTES_MAX - bytes) / u64::from(full.bytes) {
        chat.add_user(name(&format!("full{number}")), full, at(0)).unwrap();
    }
    assert_eq!(say(&mut chat, "alice", "bob", "x"), Err(Refusal::PostFull));
    chat.remove_user(&dave(), at(0)).unwrap();
    chat.remove_user(&name("full0"), at(0)).unwrap();
    assert_eq!(say(&mut chat, "alice", "bob", "x"), now_at(1, 1));
}

#[test]
fn a_store_that_has_less_or_more_than_it_said_is_believed() {
    for (said, rows_upto) in [(5, 2), (1, 3), (5, 0)] {
        let mut chat = book();
        chat.remove_user(&dave(), at(0)).unwrap();
        chat.add_user(dave(), WaitingMail { last: 40, count: said, bytes: 99 }, at(0)).unwrap();
        dave_comes(&mut chat, Reader::Acks).unwrap();
        assert_eq!(rows(&mut chat, 1, rows_upto), rows_upto as usize);
        chat.check_invariants();
        chat.mail_loaded(&dave());
        chat.check_invariants();
        assert_eq!(chat.mail(), (rows_upto, rows_upto));
        chat.ack(&dave(), rows_upto).unwrap();
        assert_eq!((chat.mail(), say(&mut chat, "alice", "dave", "x")), ((0, 0), now_at(3, 41)));
    }
}

#[test]
fn a_store_that_makes_no_sense_does_no_harm() {
    let mut chat = book();
    chat.remove_user(&dave(), at(0)).unwrap();
    let mad = WaitingMail { last: u64::MAX, count: u32::MAX, bytes: u32::MAX };
    chat.add_user(dave(), mad, at(0)).unwrap();
    assert_eq!(say(&mut chat, "alice", "dave", "x"), Err(Refusal::PostFull));
    dave_comes(&mut chat, Reader::Acks).unwrap();
    assert_eq!(rows(&mut chat, u64::MAX, u64::MAX), 0);
    chat.mail_loaded(&dave());
    assert_eq!(say(&mut chat, "alice", "dave", "x"), now_at(3, NUMBER_MAX + 1));
    chat.add_user(name("erin"), WaitingMail { last: 0, count: 9, bytes: 9 }, at(0)).unwrap();
    assert_eq!(chat.mail(), (1, 1));
    chat.check_invariants();
}

#[test]
fn a_town_of_slow_readers_does_not_take_all_memory() {
    let mut chat = book();
    let text = "x".repeat(MESSAGE_BYTES_MAX);
    let fit = FLIGHT_BYTES_MAX / MESSAGE_BYTES_MAX;
    let mut flights = 0;
    for reader in 0.. {
        let reader = format!("reader{reader}");
        chat.add_user(name(&reader), WaitingMail::default(), at(0)).unwrap();
        log_in(&mut chat, &reader, 1000 + flights as u32);
        let sent = (0..fit).filter(|_| {
            let sent = chat.message(&name("alice"), &name(&reader), &text, now()).unwrap().sent;
            matches!(sent, Sent::Now { .. })
        });
        let sent = sent.count();
        flights += sent;
        if sent < fit {
            break;
        }
    }
    assert_eq!(flights, FLIGHTS_BYTES_MAX / MESSAGE_BYTES_MAX);
    chat.check_invariants();
}
