//! What machines keep: answers come in the order of the orders, a kill takes what was not made.

use std::borrow::Cow;
use std::io::ErrorKind;

use crate::proto::ids::Name;
use crate::proto::machine::{Change, Effect, Load, Mail, Row};
use crate::proto::time::Wall;
use crate::sim::tests::toys::{Pair, Seen};

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn account(who: &str) -> Change<'static> {
    Change::PutAccount { name: name(who), verifier: Cow::Borrowed("verifier") }
}

fn mail(number: u64) -> Change<'static> {
    let (to, from) = (name("alice"), name("bob"));
    Change::PutMail(Mail { to, number, from, at: Wall(number), text: Cow::Borrowed("text") })
}

fn mail_numbers(pair: &Pair) -> Vec<u64> {
    pair.world.store(pair.nodes[0]).mail_of(name("alice")).map(|mail| mail.number).collect()
}

const ALL_MAIL: fn() -> Load = || Load::Mail { to: name("alice"), after: 0, rows_max: 9 };

#[test]
fn orders_are_answered_in_their_order_and_later() {
    for seed in 0..20 {
        let mut pair = Pair::new(seed);
        let before = pair.puppet(0).seen.len();
        pair.perform(0, Effect::Store { batch: 1, changes: &[account("alice"), mail(1)] });
        pair.perform(0, Effect::Load { load: ALL_MAIL() });
        pair.perform(0, Effect::Store { batch: 2, changes: &[mail(2), mail(3)] });
        pair.perform(0, Effect::Load { load: Load::Book });
        assert_eq!(pair.puppet(0).seen.len(), before, "not at once");
        pair.run_ms(100);
        let seen = &pair.puppet(0).seen[before..];
        assert_eq!(seen[0], Seen::Stored(1, Ok(())));
        assert!(
            matches!(&seen[1], Seen::Row(Row::Mail(mail)) if mail.number == 1),
            "and nothing of the next batch"
        );
        assert_eq!(seen[2..4], [Seen::Loaded(ALL_MAIL(), Ok(0)), Seen::Stored(2, Ok(()))]);
        assert!(matches!(
            seen[4],
            Seen::Row(Row::Account { mail_last: 3, mail_count: 3, mail_bytes: 12, .. })
        ));
        let Seen::Loaded(Load::Book, Ok(version)) = seen[5] else { panic!("{seen:?}") };
        // What has not changed is not told again.
        let accounts = Load::Accounts { known: version, after: None, rows_max: 9 };
        pair.perform(0, Effect::Load { load: accounts });
        pair.run_ms(100);
        let same = Seen::Loaded(accounts, Ok(version));
        assert_eq!(pair.puppet(0).seen[before + 6..], [same]);
        pair.world.store_mut(pair.nodes[0]).change(&account("bob"));
        pair.perform(0, Effect::Load { load: accounts });
        pair.run_ms(100);
        assert_eq!(pair.puppet(0).seen.len(), before + 10, "two accounts and a newer version");
    }
}

#[test]
fn a_batch_is_made_wholly_or_not_at_all_and_a_kill_takes_what_was_not_made() {
    let mut kept = [0; 3];
    for seed in 0..40 {
        let mut pair = Pair::new(seed);
        pair.perform(0, Effect::Store { batch: 1, changes: &[account("alice"), mail(1), mail(2)] });
        pair.perform(0, Effect::Store { batch: 2, changes: &[mail(3)] });
        pair.world.run_for(std::time::Duration::from_micros(1500));
        let told = pair.puppet(0).seen.iter().filter(|seen| matches!(seen, Seen::Stored(..))).count();
        pair.world.crash(pair.nodes[0]);
        pair.run_ms(100);
        let numbers = mail_numbers(&pair);
        assert_eq!(numbers, [1, 2, 3][..[0, 2, 3][told]], "what was acknowledged is there");
        kept[told] += 1;
    }
    assert!(kept.iter().all(|count| *count > 0), "{kept:?}");
}

#[test]
fn what_was_to_be_stored_is_when_its_machine_ends() {
    let mut pair = Pair::new(3);
    pair.perform(0, Effect::Store { batch: 1, changes: &[account("alice"), mail(1)] });
    pair.perform(0, Effect::Store { batch: 2, changes: &[mail(2)] });
    pair.perform(0, Effect::Exit);
    assert_eq!(mail_numbers(&pair), [1, 2]);
}

#[test]
fn a_store_that_fails_says_so_and_is_there_again_later() {
    let mut pair = Pair::new(4);
    pair.world.store_mut(pair.nodes[0]).fail(Some(ErrorKind::StorageFull));
    pair.perform(0, Effect::Store { batch: 1, changes: &[mail(1)] });
    pair.perform(0, Effect::Load { load: ALL_MAIL() });
    pair.run_ms(100);
    assert!(pair.has_seen(0, &Seen::Stored(1, Err(ErrorKind::StorageFull))));
    assert!(pair.has_seen(0, &Seen::Loaded(ALL_MAIL(), Err(ErrorKind::StorageFull))));
    pair.world.store_mut(pair.nodes[0]).fail(None);
    pair.perform(0, Effect::Store { batch: 2, changes: &[mail(2)] });
    pair.run_ms(100);
    assert!(pair.has_seen(0, &Seen::Stored(2, Ok(()))));
    assert_eq!(mail_numbers(&pair), [2]);
}
