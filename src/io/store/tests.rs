//! What a database keeps, and what it says when it cannot.

use std::borrow::Cow;
use std::fs;
use std::net::IpAddr;

use tempfile::TempDir;

use super::*;
use crate::proto::ids::Name;
use crate::proto::limits::LOGINS_KEPT_MAX;
use crate::proto::machine::{KeptFile, Login, Mail};
use crate::proto::time::Wall;

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn account(who: &str) -> Change<'_> {
    Change::PutAccount { name: name(who), verifier: Cow::Borrowed("verifier") }
}

fn mail<'a>(to: &str, number: u64, text: &'a str) -> Change<'a> {
    Change::PutMail(Mail {
        to: name(to),
        number,
        from: name("bob"),
        at: Wall(number * 10),
        text: Cow::Borrowed(text),
    })
}

fn book(store: &Store) -> Vec<Row<'static>> {
    rows(store, Load::Book)
}

fn rows(store: &Store, load: Load) -> Vec<Row<'static>> {
    let mut rows = Vec::new();
    store.load(load, |row| rows.push(row.into_owned())).unwrap();
    rows
}

fn waiting(store: &Store, to: &str, after: u64, rows_max: u32) -> Vec<(u64, String)> {
    let read = rows(store, Load::Mail { to: name(to), after, rows_max });
    let texts = read.into_iter().map(|row| match row {
        Row::Mail(mail) => (mail.number, mail.text.into_owned()),
        other => panic!("{other:?}"),
    });
    texts.collect()
}

#[test]
fn what_ties_an_account_to_others_is_told_of_it_alone() {
    let folder = TempDir::new().unwrap();
    let mut store = Store::open(folder.path()).unwrap();
    let block = |user, other| (name(user), name(other));
    let holding = |file: &'static str, user| {
        let (group, name) = (name("lab"), file.into());
        (KeptFile { group, name, bytes: 9, chunk_bytes: 4, root: [1; 32] }, self::name(user))
    };
    let blocks =
        [block("alice", "bob"), block("bob", "carol"), block("carol", "alice"), block("carol", "bob")];
    let holdings = [holding("f", "alice"), holding("f", "bob"), holding("g", "bob")];
    store.apply(&[account("alice"), account("bob"), account("carol")]).unwrap();
    store.apply(&blocks.map(|(user, other)| Change::PutBlock { user, other })).unwrap();
    store.apply(&holdings.clone().map(|(file, user)| Change::PutHolding { file, user })).unwrap();
    let blocks = blocks.map(|(user, other)| Row::Block { user, other });
    let holdings = holdings.map(|(file, user)| Row::Holding { file, user });
    let ties = |store: &Store, who| rows(store, Load::Ties { name: name(who) });
    let of_alice = [&blocks[0], &blocks[2], &holdings[0]].map(Clone::clone);
    assert_eq!(ties(&store, "alice"), of_alice);
    store.apply(&[Change::RemoveAccount { name: name("bob") }, account("bob")]).unwrap();
    assert_eq!(ties(&store, "bob"), []);
    assert_eq!(ties(&store, "alice"), of_alice[1..]);
}

#[test]
fn what_is_stored_is_there_after_it_was_closed_and_while_it_is_open_elsewhere() {
    let folder = TempDir::new().unwrap();
    let mut store = Store::open(&folder.path().join("new")).unwrap();
    let from: IpAddr = "fe80::1".parse().unwrap();
    store
        .apply(&[account("alice"), account("bob"), mail("alice", 1, "one"), mail("alice", 2, "zwei €")])
        .unwrap();
    store
        .apply(&[
            Change::PutBlock { user: name("alice"), other: name("eve") },
            Change::PutBlock { user: name("alice"), other: name("eve") },
            Change::PutLogin { name: name("bob"), login: Login { at: Wall(7), from, is_refused: false } },
            Change::PutLogin { name: name("bob"), login: Login { at: Wall(8), from, is_refused: true } },
            Change::RemoveMail { to: name("alice"), first: 1, last: 1 },
        ])
        .unwrap();
    let expected = |name: &str, mail_last, mail_count, mail_bytes, login| Row::Account {
        name: super::tests::name(name),
        verifier: Cow::Borrowed("verifier"),
        mail_last,
        mail_count,
        mail_bytes,
        login,
    };
    let expected = [
        expected("alice", 2, 1, 8, None),
        expected("bob", 0, 0, 0, Some((Wall(7), from))),
        Row::Block { user: name("alice"), other: name("eve") },
    ];
    let again = Store::open(&folder.path().join("new")).unwrap();
    assert_eq!((book(&store), book(&again)), (expected.to_vec(), expected.to_vec()));
    drop((store, again));
    let store = Store::open(&folder.path().join("new")).unwrap();
    assert_eq!(book(&store), expected);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(store.path().parent().unwrap()), mode(store.path())), (0o700, 0o600));
}

#[test]
fn mail_comes_in_its_order_page_by_page_and_numbers_are_never_given_again() {
    let folder = TempDir::new().unwrap();
    let mut store = Store::open(folder.path()).unwrap();
    store.apply(&[account("alice"), account("al"), mail("al", 1, "not hers")]).unwrap();
    store.apply(&(1..=9).map(|number| mail("alice", number, "text")).collect::<Vec<_>>()).unwrap();
    let numbers = |read: Vec<(u64, String)>| read.into_iter().map(|(number, _)| number).collect::<Vec<_>>();
    assert_eq!(numbers(waiting(&store, "alice", 0, 4)), [1, 2, 3, 4]);
    assert_eq!(numbers(waiting(&store, "alice", 4, 9)), [5, 6, 7, 8, 9]);
    store.apply(&[Change::RemoveMail { to: name("alice"), first: 1, last: 9 }]).unwrap();
    store
        .apply(&[Change::ReserveMail { to: name("al"), upto: 1000 }, mail("al", 2, "in the middle")])
        .unwrap();
    assert!(matches!(book(&store)[0], Row::Account { mail_last: 1000, mail_count: 2, .. }));
    assert!(waiting(&store, "alice", 0, 9).is_empty());
    assert!(matches!(book(&store)[1], Row::Account { mail_last: 9, mail_count: 0, mail_bytes: 0, .. }));
}

#[test]
fn an_account_goes_with_all_that_is_about_it() {
    let folder = TempDir::new().unwrap();
    let mut store = Store::open(folder.path()).unwrap();
    let block = |user, other| Change::PutBlock { user: name(user), other: name(other) };
    store
        .apply(&[
            account("alice"),
            account("bob"),
            mail("alice", 1, "x"),
            block("alice", "bob"),
            block("bob", "alice"),
        ])
        .unwrap();
    store.apply(&[Change::RemoveAccount { name: name("alice") }]).unwrap();
    assert!(matches!(&book(&store)[..], [Row::Account { name, .. }] if name.as_str() == "bob"));
    assert!(waiting(&store, "alice", 0, 9).is_empty());
}

#[test]
fn accounts_are_read_again_in_parts_and_only_when_another_program_changed_them() {
    let folder = TempDir::new().unwrap();
    let mut store = Store::open(folder.path()).unwrap();
    let version = store.load(Load::Book, |_| ()).unwrap();
    let part = |known, after| Load::Accounts { known, after, rows_max: 2 };
    let unchanged =
        |store: &Store| store.load(part(version, None), |row| panic!("{row:?}")).unwrap() == version;
    assert!(version != 0 && unchanged(&store));
    store.apply(&[account("alice"), account("Zoe"), mail("alice", 1, "x"), mail("alice", 2, "x")]).unwrap();
    assert!(unchanged(&store), "its own changes are known");
    let mut other = Store::open(folder.path()).unwrap();
    other.apply(&[account("bob"), account("carol"), account("10"), account("9")]).unwrap();
    assert_ne!(store.load(part(version, None), |_| ()).unwrap(), version);
    let names = |after: Option<&str>| -> Vec<(String, u64)> {
        let read = rows(&store, part(0, after.map(name))).into_iter();
        read.map(|row| match row {
            Row::Account { name, mail_count, .. } => (name.to_string(), mail_count),
            other => panic!("{other:?}"),
        })
        .collect()
    };
    assert_eq!(names(None), [("Zoe".to_owned(), 0), ("alice".to_owned(), 1)]);
    assert_eq!(names(Some("alice")), [("bob".to_owned(), 0), ("carol".to_owned(), 0)]);
    assert_eq!(names(Some("carol")), []);
}

fn file(name: &str, root: u8) -> KeptFile<'_> {
    let group = super::tests::name("lab");
    KeptFile { group, name: Cow::Borrowed(name), bytes: 1 << 40, chunk_bytes: 7, root: [root; 32] }
}

#[test]
fn a_file_is_there_as_long_as_a_user_holds_it() {
    let folder = TempDir::new().unwrap();
    let mut store = Store::open(folder.path()).unwrap();
    let put = |file_name, root, user| Change::PutHolding { file: file(file_name, root), user: name(user) };
    let remove = |file: &'static str, user| Change::RemoveHolding {
        group: name("lab"),
        file: Cow::Borrowed(file),
        user: name(user),
    };
    let holdings = |store: &Store| -> Vec<(KeptFile<'static>, String)> {
        let read = book(store).into_iter().filter_map(|row| match row {
            Row::Holding { file, user } => Some((file, user.to_string())),
            _ => None,
        });
        read.collect()
    };
    store.apply(&[account("alice"), account("bob"), put("f", 1, "alice"), put("f", 1, "bob")]).unwrap();
    store.apply(&[put("g", 2, "alice"), put("g", 2, "alice")]).unwrap();
    let of = |name, root, user: &str| (file(name, root).into_owned(), user.to_owned());
    let expected = [of("f", 1, "alice"), of("f", 1, "bob"), of("g", 2, "alice")];
    assert_eq!(holdings(&Store::open(folder.path()).unwrap()), expected);
    store.apply(&[remove("f", "bob"), put("g", 3, "alice"), remove("nothing", "alice")]).unwrap();
    assert_eq!(
        holdings(&store),
        [of("f", 1, "alice"), of("g", 3, "alice")],
        "the content is another one now"
    );
    store.apply(&[put("f", 1, "bob"), Change::RemoveAccount { name: name("alice") }]).unwrap();
    assert_eq!(holdings(&store), [of("f", 1, "bob")]);
    store.apply(&[remove("f", "bob")]).unwrap();
    let files: i64 = store.db.query_row("SELECT count(*) FROM file", [], |row| row.get(0)).unwrap();
    assert_eq!(files, 0, "nobody has them any more");
    store.apply(&[put("f", 1, "nobody")]).unwrap();
    assert_eq!(holdings(&store), [], "the account is gone");
}

#[test]
fn the_last_logins_are_kept_and_as_many_that_were_refused() {
    let folder = TempDir::new().unwrap();
    let mut store = Store::open(folder.path()).unwrap();
    let from = "::1".parse().unwrap();
    let login = |at, is_refused| Login { at: Wall(at), from, is_refused };
    let put = |at, is_refused| Change::PutLogin { name: name("alice"), login: login(at, is_refused) };
    store.apply(&[put(1, false)]).unwrap();
    assert_eq!(rows(&store, Load::Logins { name: name("alice") }), [], "there is no such account");
    store.apply(&[account("alice"), account("bob")]).unwrap();
    for at in 1..=100 {
        store.apply(&[put(at * 10, true)]).unwrap();
    }
    store.apply(&[put(5, false), put(2000, false)]).unwrap();
    let mut expected = vec![Row::Login(login(2000, false))];
    let refused = (1..=100).rev().take(LOGINS_KEPT_MAX as usize);
    expected.extend(refused.map(|at| Row::Login(login(at * 10, true))));
    expected.push(Row::Login(login(5, false)));
    assert_eq!(rows(&store, Load::Logins { name: name("alice") }), expected);
    assert_eq!(rows(&store, Load::Logins { name: name("bob") }), []);
    store.apply(&[Change::RemoveAccount { name: name("alice") }, account("alice")]).unwrap();
    assert_eq!(rows(&store, Load::Logins { name: name("alice") }), []);
}

#[test]
fn a_database_of_the_first_version_becomes_one_of_this_and_keeps_all() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join(FILE);
    let db = Connection::open(&path).unwrap();
    db.execute_batch(schema::SCHEMA_1).unwrap();
    db.execute_batch(
        "PRAGMA application_id = 0x746d7368; PRAGMA user_version = 1;
         INSERT INTO account VALUES ('alice', 'verifier', 7, 99, '10.0.0.7'), ('bob', 'verifier', 0, NULL, NULL);
         INSERT INTO block VALUES ('alice', 'bob');
         INSERT INTO mail VALUES ('alice', 7, 'bob', 5, 'hello');",
    )
    .unwrap();
    drop(db);
    for _ in 0..2 {
        let mut store = Store::open(folder.path()).unwrap();
        let read = book(&store);
        assert!(
            matches!(read[0], Row::Account { mail_last: 7, mail_count: 1, login: Some(_), .. }),
            "{read:?}"
        );
        assert_eq!(read[2], Row::Block { user: name("alice"), other: name("bob") });
        assert_eq!(waiting(&store, "alice", 0, 9), [(7, "hello".to_owned())]);
        let login = Login { at: Wall(99), from: "10.0.0.7".parse().unwrap(), is_refused: false };
        assert_eq!(rows(&store, Load::Logins { name: name("alice") }), [Row::Login(login)]);
        store.apply(&[Change::PutHolding { file: file("f", 1), user: name("bob") }]).unwrap();
    }
    let version: i64 =
        Connection::open(&path).unwrap().query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    assert_eq!(version, 2);
}

#[test]
fn while_another_program_writes_it_is_busy_and_nothing_is_half_done() {
    let folder = TempDir::new().unwrap();
    let mut store = Store::open(folder.path()).unwrap();
    let mut other = Store::open(folder.path()).unwrap();
    let writing = other.db.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
    let error = store.apply(&[account("alice")]).unwrap_err();
    assert!(error.is_busy() && book(&store).is_empty());
    drop(writing);
    store.apply(&[account("alice")]).unwrap();
    assert_eq!(book(&store).len(), 1);
}

#[test]
fn a_full_disk_refuses_the_whole_batch() {
    let folder = TempDir::new().unwrap();
    let mut store = Store::open(folder.path()).unwrap();
    store.apply(&[account("alice"), mail("alice", 1, "kept")]).unwrap();
    store.db.execute_batch("PRAGMA max_page_count = 10").unwrap();
    let long = "x".repeat(100_000);
    let error = store.apply(&[mail("alice", 2, "small"), mail("alice", 3, &long)]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
    assert_eq!(waiting(&store, "alice", 0, 9), [(1, "kept".to_owned())]);
    store.apply(&[mail("alice", 2, "again")]).unwrap();
    assert_eq!(waiting(&store, "alice", 1, 9), [(2, "again".to_owned())]);
}

#[test]
fn what_is_no_database_of_ours_is_left_alone() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join(FILE);
    fs::write(&path, "not a database, but long enough to look like the header of one, if one is in a hurry")
        .unwrap();
    assert!(matches!(Store::open(folder.path()).unwrap_err(), StoreError::Foreign(_)));
    assert!(fs::read(&path).unwrap().starts_with(b"not a"));
    fs::remove_file(&path).unwrap();
    let db = Connection::open(&path).unwrap();
    db.execute_batch("CREATE TABLE theirs (a)").unwrap();
    drop(db);
    assert!(matches!(Store::open(folder.path()).unwrap_err(), StoreError::Foreign(_)));
    fs::remove_file(&path).unwrap();
    drop(Store::open(folder.path()).unwrap());
    Connection::open(&path).unwrap().execute_batch("PRAGMA user_version = 99").unwrap();
    let error = Store::open(folder.path()).unwrap_err();
    assert!(
        matches!(error, StoreError::Newer(_, 99)) && error.to_string().contains("newer program"),
        "{error}"
    );
}

#[test]
fn a_damaged_database_is_an_error_and_no_panic() {
    let folder = TempDir::new().unwrap();
    let mut store = Store::open(folder.path()).unwrap();
    store.apply(&(0..500).map(|number| mail("alice", number, "some text")).collect::<Vec<_>>()).unwrap();
    checkpoint(store.path()).unwrap();
    let path = store.path().to_owned();
    drop(store);
    let bytes = fs::read(&path).unwrap();
    assert!(bytes.len() > 20_000);
    for kept in [0, 50, 100, 5000, bytes.len() / 2] {
        fs::write(&path, &bytes[..kept]).unwrap();
        let Ok(mut store) = Store::open(folder.path()) else { continue };
        let read = store.load(Load::Mail { to: name("alice"), after: 0, rows_max: 999 }, |_| ());
        let made = store.apply(&[account("bob")]);
        assert!(kept == 0 || read.is_err() || made.is_err(), "cut at {kept}");
    }
    assert!(matches!(Store::open(Path::new("/dev/null/x")).unwrap_err(), StoreError::Folder(..)));
}

#[test]
fn a_log_is_moved_into_the_database_while_it_is_in_use() {
    let folder = TempDir::new().unwrap();
    let mut store = Store::open(folder.path()).unwrap();
    let size = |store: &Store| fs::metadata(store.path()).unwrap().len();
    store.apply(&(0..500).map(|number| mail("alice", number, "some text")).collect::<Vec<_>>()).unwrap();
    let before = size(&store);
    checkpoint(store.path()).unwrap();
    assert!(size(&store) > before);
    store.apply(&[mail("alice", 1000, "more")]).unwrap();
    assert_eq!(waiting(&store, "alice", 499, 9).len(), 1);
}
