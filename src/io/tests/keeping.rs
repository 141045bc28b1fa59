//! What a machine wants kept: one commit a turn, answers in order, and another program in the way.

use std::borrow::Cow;
use std::io::ErrorKind;
use std::path::PathBuf;

use crate::io::reactor::{Host, Reactor};
use crate::io::store::Store;
use crate::io::tests::{Toy, What};
use crate::proto::ids::Name;
use crate::proto::machine::{Change, Effect, Input, Load, Mail, Row};
use crate::proto::time::Wall;

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn account() -> Change<'static> {
    Change::PutAccount { name: name("alice"), verifier: Cow::Borrowed("verifier") }
}

fn mail(number: u64) -> Change<'static> {
    let (to, from) = (name("alice"), name("bob"));
    Change::PutMail(Mail { to, number, from, at: Wall(1), text: Cow::Borrowed("text") })
}

fn all_mail() -> Load {
    Load::Mail { to: name("alice"), after: 0, rows_max: 9 }
}

/// What it is told about what it keeps, as words.
fn word(input: &Input<'_>) -> Option<String> {
    Some(match input {
        Input::Stored { batch } => format!("stored {batch}"),
        Input::StoreFailed { batch, error } => format!("failed {batch} {error:?}"),
        Input::Row { row: Row::Mail(mail) } => format!("mail {}", mail.number),
        Input::Row { row } => format!("{row:?}"),
        Input::Loaded { .. } => "loaded".to_owned(),
        Input::LoadFailed { error, .. } => format!("not loaded {error:?}"),
        _ => return None,
    })
}

fn run<S: 'static>(reactor: &mut Reactor, toy: &mut Toy<S>) {
    reactor.run(&mut [Host { machine: toy, root: PathBuf::from("unused") }]).unwrap();
}

#[test]
fn answers_come_in_the_order_of_the_orders() {
    let folder = tempfile::tempdir().unwrap();
    let mut toy = Toy::new(None, Vec::new(), |told: &mut Vec<String>, what, desk| {
        match &what {
            What::Told(Input::Start) => {
                desk.os.perform(Effect::Store { batch: 1, changes: &[account(), mail(1)] });
                desk.os.perform(Effect::Store { batch: 2, changes: &[mail(2)] });
                desk.os.perform(Effect::Load { load: all_mail() });
                desk.os.perform(Effect::Store { batch: 3, changes: &[mail(3)] });
            }
            What::Told(Input::Stored { batch: 3 }) => {
                // Carried out though nobody waits for the answer.
                desk.os.perform(Effect::Store { batch: 4, changes: &[mail(4)] });
                desk.os.perform(Effect::Exit);
            }
            _ => {}
        }
        if let What::Told(input) = &what {
            told.extend(word(input));
        }
    });
    let mut reactor = Reactor::new().unwrap();
    reactor.keep_in(0, Store::open(folder.path()).unwrap());
    run(&mut reactor, &mut toy);
    assert_eq!(toy.state, ["stored 1", "stored 2", "mail 1", "mail 2", "loaded", "stored 3"]);
    let mut kept = 0;
    Store::open(folder.path()).unwrap().load(all_mail(), |_| kept += 1).unwrap();
    assert_eq!(kept, 4);
}

#[test]
fn a_machine_without_a_store_is_told_so() {
    let mut toy = Toy::new(None, Vec::new(), |told: &mut Vec<String>, what, desk| match &what {
        What::Told(Input::Start) => {
            desk.os.perform(Effect::Store { batch: 1, changes: &[account()] });
            desk.os.perform(Effect::Load { load: all_mail() });
        }
        What::Told(input) => {
            told.extend(word(input));
            if told.len() == 2 {
                desk.os.perform(Effect::Exit);
            }
        }
        What::Timeout => {}
    });
    run(&mut Reactor::new().unwrap(), &mut toy);
    assert_eq!(toy.state, ["failed 1 NotFound", "not loaded NotFound"]);
}

/// A program in the way, and what the machine was told meanwhile.
struct InTheWay {
    writer: Option<rusqlite::Connection>,
    told: Vec<String>,
    goes_after_ms: Option<u64>,
}

impl InTheWay {
    fn new(store: &Store, goes_after_ms: Option<u64>) -> InTheWay {
        let writer = rusqlite::Connection::open(store.path()).unwrap();
        writer.execute_batch("BEGIN IMMEDIATE").unwrap();
        InTheWay { writer: Some(writer), told: Vec::new(), goes_after_ms }
    }
}

fn wait_for_it(state: &mut InTheWay, what: What<'_>, desk: &mut crate::io::tests::Desk<'_>) {
    match &what {
        What::Told(Input::Start) => {
            desk.os.perform(Effect::Store { batch: 1, changes: &[account()] });
            let wait = state.goes_after_ms.map(std::time::Duration::from_millis);
            *desk.wake = wait.map(|wait| desk.now.mono + wait);
        }
        What::Timeout => drop(state.writer.take()),
        What::Told(input) => {
            if let Some(word) = word(input) {
                state.told.push(word);
                desk.os.perform(Effect::Exit);
            }
        }
    }
}

#[test]
fn while_another_program_writes_a_change_waits_but_not_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    for (goes_after_ms, expected) in
        [(Some(50), "stored 1".to_owned()), (None, format!("failed 1 {:?}", ErrorKind::ResourceBusy))]
    {
        let store = Store::open(folder.path()).unwrap();
        let mut toy = Toy::new(None, InTheWay::new(&store, goes_after_ms), wait_for_it);
        let mut reactor = Reactor::new().unwrap();
        reactor.keep_in(0, store);
        run(&mut reactor, &mut toy);
        assert_eq!(toy.state.told, [expected]);
    }
}
