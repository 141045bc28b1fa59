//! The book of accounts: who is let in, who is blocked, and what strangers cannot tell apart.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::proto::ids::Name;
use crate::proto::limits::{ACCOUNTS_MAX, FAILED_NAMES_MAX, FAILURES_MAX, SCRAM_ITERATIONS};
use crate::proto::time::Mono;

const BLOCK: Duration = Duration::from_secs(60);
const START: Mono = Mono(1_000_000_000);

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// Not from a password: hashing takes long.
fn verifier(seed: u8) -> Verifier {
    Verifier {
        iterations: SCRAM_ITERATIONS,
        salt: [seed; 16],
        stored_key: [seed; 32],
        server_key: [seed; 32],
    }
}

fn book(names: &[&str]) -> Accounts {
    let mut accounts = Accounts::new([1; 32], BLOCK);
    for text in names {
        assert_eq!(accounts.put(name(text), verifier(1)), Ok(Put::New));
    }
    accounts.check_invariants();
    accounts
}

/// An attempt from beginning to end.
fn attempt(accounts: &mut Accounts, text: &str, is_right: bool, now: Mono) -> Result<(), Refusal> {
    let attempt = accounts.begin(name(text), now)?;
    let outcome = accounts.conclude(&attempt, is_right, now);
    accounts.check_invariants();
    outcome
}

fn fail_until_blocked(accounts: &mut Accounts, text: &str) {
    let outcomes: Vec<_> = (0..FAILURES_MAX).map(|_| attempt(accounts, text, false, START)).collect();
    assert_eq!(outcomes.last(), Some(&BLOCKED));
}

const BLOCKED: Result<(), Refusal> = Err(Refusal::Blocked { left: BLOCK });

#[test]
fn three_failures_in_a_row_block_for_a_while() {
    let mut accounts = book(&["alice", "bob"]);
    for text in ["alice", "nobody"] {
        assert_eq!(attempt(&mut accounts, text, false, START), Err(Refusal::Wrong));
        assert_eq!(attempt(&mut accounts, text, false, START), Err(Refusal::Wrong));
        assert_eq!(attempt(&mut accounts, text, false, START), BLOCKED);
        let later = START + Duration::from_millis(59_500);
        let left = Duration::from_millis(500);
        assert_eq!(attempt(&mut accounts, text, true, later), Err(Refusal::Blocked { left }));
    }
    assert_eq!(attempt(&mut accounts, "bob", true, START), Ok(()), "others are not concerned");
    assert_eq!(attempt(&mut accounts, "alice", true, START + BLOCK), Ok(()));
    assert_eq!(attempt(&mut accounts, "nobody", true, START + BLOCK), Err(Refusal::Wrong));
}

#[test]
fn a_block_that_is_over_leaves_nothing_behind() {
    let mut accounts = book(&["alice"]);
    fail_until_blocked(&mut accounts, "alice");
    assert_eq!(attempt(&mut accounts, "alice", false, START + BLOCK), Err(Refusal::Wrong));
    assert_eq!(attempt(&mut accounts, "alice", false, START + BLOCK), Err(Refusal::Wrong));
    assert_eq!(attempt(&mut accounts, "alice", false, START + BLOCK), BLOCKED);
}

#[test]
fn success_resets_the_count() {
    let mut accounts = book(&["alice"]);
    for _ in 0..4 {
        assert_eq!(attempt(&mut accounts, "alice", false, START), Err(Refusal::Wrong));
        assert_eq!(attempt(&mut accounts, "alice", false, START), Err(Refusal::Wrong));
        assert_eq!(attempt(&mut accounts, "alice", true, START), Ok(()));
    }
}

#[test]
fn attempts_that_began_before_the_block_do_not_get_past_it() {
    let mut accounts = book(&["alice"]);
    let begun: Vec<Attempt> = (0..5).map(|_| accounts.begin(name("alice"), START).unwrap()).collect();
    let outcomes = begun.iter().map(|attempt| accounts.conclude(attempt, false, START));
    assert_eq!(outcomes.collect::<Vec<_>>()[2..], [BLOCKED; 3]);
    assert_eq!(accounts.conclude(&begun[4], true, START), BLOCKED, "the right password comes too late");
}

#[test]
fn an_account_that_has_changed_meanwhile_lets_nobody_in() {
    let mut accounts = book(&["alice", "bob"]);
    let begun = ["alice", "bob", "eve"].map(|text| accounts.begin(name(text), START).unwrap());
    assert_eq!(accounts.put(name("alice"), verifier(2)), Ok(Put::Changed));
    assert!(accounts.remove(name("bob")));
    assert_eq!(accounts.put(name("eve"), verifier(3)), Ok(Put::New));
    for attempt in &begun {
        assert_eq!(accounts.conclude(attempt, true, START), Err(Refusal::Wrong), "{attempt:?}");
    }
    accounts.check_invariants();
    assert_eq!(attempt(&mut accounts, "alice", true, START), Ok(()));
}

#[test]
fn a_new_password_lifts_a_block() {
    let mut accounts = book(&["alice"]);
    fail_until_blocked(&mut accounts, "alice");
    assert_eq!(accounts.put(name("alice"), verifier(1)), Ok(Put::Same));
    assert_eq!(attempt(&mut accounts, "alice", true, START), BLOCKED, "the same is nothing new");
    assert_eq!(accounts.put(name("alice"), verifier(2)), Ok(Put::Changed));
    assert_eq!(attempt(&mut accounts, "alice", true, START), Ok(()));
}

#[test]
fn a_name_that_there_is_not_has_what_any_has() {
    let accounts = book(&["alice"]);
    let of = |accounts: &Accounts, text: &str| *accounts.begin(name(text), START).unwrap().verifier();
    let nobody = of(&accounts, "nobody");
    assert_eq!(nobody, of(&accounts, "nobody"), "always the same");
    assert_eq!(nobody, of(&book(&[]), "nobody"), "also after a new start");
    assert_ne!(nobody.salt, of(&accounts, "Nobody").salt);
    assert_ne!(nobody.salt, of(&Accounts::new([2; 32], BLOCK), "nobody").salt, "nobody can compute it");
    assert_ne!(nobody.salt[..], nobody.stored_key[..16]);
    assert_eq!(nobody.iterations, of(&accounts, "alice").iterations);
    assert_eq!(of(&accounts, "alice"), verifier(1));
    assert_ne!(of(&accounts, "Alice"), verifier(1), "case matters");
}

/// Whoever makes so many other names fail that one is forgotten sees no difference, and gets no more guesses.
#[test]
fn a_flood_of_names_tells_nothing_and_forgives_nothing() {
    let mut accounts = book(&["alice"]);
    let flood = |accounts: &mut Accounts| {
        for number in 0..FAILED_NAMES_MAX {
            let attempt = accounts.begin(name(&format!("f{number}_")), START).unwrap();
            let _ = accounts.conclude(&attempt, false, START);
        }
        accounts.check_invariants();
    };
    let mut seen = Vec::new();
    for text in ["alice", "nobody"] {
        let mut answers: Vec<_> = (0..3).map(|_| attempt(&mut accounts, text, false, START)).collect();
        flood(&mut accounts);
        answers.extend((0..3).map(|_| attempt(&mut accounts, text, true, START)));
        flood(&mut accounts);
        seen.push(answers);
    }
    let wrong = Err(Refusal::Wrong);
    assert_eq!(seen[0], [wrong, wrong, BLOCKED, wrong, wrong, BLOCKED]);
    assert_eq!(seen[0], seen[1]);
    assert_eq!(attempt(&mut accounts, "alice", true, START + BLOCK), Ok(()));
}

#[test]
fn names_that_look_alike_are_refused() {
    let mut accounts = book(&["alice", "bob"]);
    for (text, like) in [("Alice", "alice"), ("a1ice", "alice"), ("aIice", "alice"), ("b0b", "bob")] {
        let refused = accounts.put(name(text), verifier(2));
        assert_eq!(refused, Err(PutError::LooksLike(name(like))), "{text}");
        assert_eq!(accounts.looks_like(name(text)), Some(name(like)));
        assert!(!accounts.contains(name(text)) && !accounts.remove(name(text)));
    }
    assert_eq!(
        accounts.put(name("Bob"), verifier(2)).unwrap_err().to_string(),
        "the name is too much like 'bob', which there is already"
    );
    assert_eq!(accounts.put(name("7"), verifier(2)), Err(PutError::Name(UserNameError::Number)));
    assert_eq!(accounts.put(name("guest-1"), verifier(2)), Err(PutError::Name(UserNameError::Guest)));
    assert_eq!(accounts.names().collect::<Vec<_>>(), [name("alice"), name("bob")]);
    assert!(accounts.remove(name("bob")));
    assert_eq!(accounts.put(name("Bob"), verifier(2)), Ok(Put::New));
    accounts.check_invariants();
}

#[test]
fn the_book_has_a_last_page() {
    let mut accounts = Accounts::new([1; 32], BLOCK);
    let numbered = |number: usize| name(&format!("u{number}_"));
    for number in 0..ACCOUNTS_MAX {
        assert_eq!(accounts.put(numbered(number), verifier(1)), Ok(Put::New));
    }
    assert_eq!(accounts.put(numbered(ACCOUNTS_MAX), verifier(1)), Err(PutError::Full));
    assert_eq!(accounts.put(numbered(5), verifier(2)), Ok(Put::Changed));
    assert_eq!(accounts.names().len(), ACCOUNTS_MAX);
    assert!(accounts.remove(numbered(5)));
    assert_eq!(accounts.put(numbered(ACCOUNTS_MAX), verifier(1)), Ok(Put::New));
}

#[test]
fn refusals_are_for_people_and_say_no_more_than_they_must() {
    let texts = [Duration::from_millis(59_001), Duration::from_secs(90), Duration::from_nanos(1)]
        .map(|left| Refusal::Blocked { left }.to_string());
    assert_eq!(texts[0], "too many wrong passwords in a row: try again in 1m");
    assert_eq!(texts[1], "too many wrong passwords in a row: try again in 1m30s");
    assert_eq!(texts[2], "too many wrong passwords in a row: try again in 1s");
    assert_eq!(Refusal::Wrong.to_string(), "the name or the password is wrong");
}

#[derive(Clone, Debug)]
enum Step {
    Begin { who: usize },
    Conclude { which: usize, is_right: bool },
    Wait { seconds: u64 },
    SetPassword { who: usize },
    Remove { who: usize },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..4usize).prop_map(|who| Step::Begin { who }),
        8 => (0..20usize, 0..4u8).prop_map(|(which, of_4)| Step::Conclude { which, is_right: of_4 == 0 }),
        1 => (0..70u64).prop_map(|seconds| Step::Wait { seconds }),
        1 => (0..3usize).prop_map(|who| Step::SetPassword { who }),
        1 => (0..3usize).prop_map(|who| Step::Remove { who }),
    ];
    prop::collection::vec(step, 0..200)
}

/// The rule as it is said, for each name by itself.
#[derive(Clone, Copy, Default)]
struct Model {
    password: Option<u8>,
    failures: u32,
    until: Mono,
}

proptest! {
    /// Four names, of which the last never has an account.
    #[test]
    fn the_count_follows_the_rule(steps in steps()) {
        const NAMES: [&str; 4] = ["alice", "bob", "carol", "nobody"];
        let mut accounts = book(&[]);
        let mut models = [Model::default(); 4];
        let mut begun: Vec<(usize, Option<u8>, Attempt)> = Vec::new();
        let (mut now, mut passwords) = (START, 0u8);
        for step in steps {
            match step {
                Step::Wait { seconds } => now = now + Duration::from_secs(seconds),
                Step::SetPassword { who } => {
                    passwords = passwords.wrapping_add(1);
                    accounts.put(name(NAMES[who]), verifier(passwords)).unwrap();
                    models[who] = Model { password: Some(passwords), ..Model::default() };
                }
                Step::Remove { who } => {
                    prop_assert_eq!(accounts.remove(name(NAMES[who])), models[who].password.take().is_some());
                }
                Step::Begin { who } => {
                    let attempt = accounts.begin(name(NAMES[who]), now);
                    prop_assert_eq!(attempt.is_err(), models[who].until > now);
                    begun.extend(attempt.ok().map(|attempt| (who, models[who].password, attempt)));
                }
                Step::Conclude { which, is_right } if !begun.is_empty() => {
                    let (who, password, attempt) = begun.swap_remove(which % begun.len());
                    let model = &mut models[who];
                    let outcome = accounts.conclude(&attempt, is_right, now);
                    let expected = if model.until > now {
                        Err(Refusal::Blocked { left: model.until - now })
                    } else if is_right && password.is_some() && password == model.password {
                        model.failures = 0;
                        Ok(())
                    } else {
                        model.failures = model.failures % FAILURES_MAX + 1;
                        let is_last = model.failures == FAILURES_MAX;
                        model.until = if is_last { now + BLOCK } else { model.until };
                        if is_last { BLOCKED } else { Err(Refusal::Wrong) }
                    };
                    prop_assert_eq!(outcome, expected);
                }
                Step::Conclude { .. } => {}
            }
            accounts.check_invariants();
        }
        let there: BTreeMap<Name, ()> = accounts.names().map(|name| (name, ())).collect();
        for (text, model) in NAMES.iter().zip(models) {
            prop_assert_eq!(there.contains_key(&name(text)), model.password.is_some());
        }
    }
}
