//! The rules of messages against a model of them: 30 users and guests, links that break, a store that is slow
//! and fails, servers that crash and start anew from what was stored. `common/post_office.rs` is what a server, a store and clients
//! do around the book; here is who does what, and what must be true in the end.

#[path = "common/post_office.rs"]
mod post_office;

use post_office::{Fate, PostOffice};
use tickmesh::proto::ids::Name;
use tickmesh::sim::Rng;

const SEEDS: u64 = 256;
const STEPS: u32 = 1500;

/// Users whose clients acknowledge, users whose clients do not, and guests.
fn names() -> Vec<Name> {
    let names = (0..30).map(|number| match number % 5 {
        0..=2 => format!("acks{number}"),
        3 => format!("plain{number}"),
        _ => format!("visitor{number}"),
    });
    names.map(|name| name.parse().unwrap()).collect()
}

/// One thing happens.
fn step(office: &mut PostOffice, names: &[Name], rng: &mut Rng) {
    let one = names[rng.index(names.len())];
    // A few talk to each other more than the others, or nothing would ever be in a queue.
    let other = names[if rng.chance(0.5) { rng.index(6) } else { rng.index(names.len()) }];
    match rng.below(1000) {
        0..=219 => office.message(&one, &other),
        220..=234 => (0..70 + rng.below(300)).for_each(|_| office.message(&one, &other)),
        235..=259 => office.broadcast(&one),
        260..=459 => office.login(&one),
        460..=499 => office.logout(&one, rng),
        500..=529 => office.break_link(&one, rng),
        530..=559 => office.block(&one, &other),
        560..=589 => office.unblock(&one, &other),
        590..=609 => office.start_private(&one, &other),
        610..=799 => office.read(&one, 1 + rng.index(100)),
        800..=849 => office.acknowledge(&one),
        850..=979 => office.store(1 + rng.index(20), rng),
        980..=987 => office.list(&one, rng.below(30)),
        988..=992 => office.pass(rng.below(20)),
        993 => office.remove(&one),
        994..=995 => office.retry(&one),
        996 => office.restart(rng),
        997 => office.crash(rng),
        998 => office.store_works = rng.chance(0.5),
        _ => office.store(usize::MAX, rng),
    }
}

/// Everybody comes once more and reads all there is.
fn finish(office: &mut PostOffice, names: &[Name], rng: &mut Rng) {
    office.store_works = true;
    office.store(usize::MAX, rng);
    for name in names {
        office.login(name);
        office.retry(name);
    }
    while office.is_busy() {
        for name in names {
            office.store(usize::MAX, rng);
            office.read(name, usize::MAX);
            office.acknowledge(name);
            office.check();
        }
    }
    assert_eq!(office.chat.mail(), (0, 0), "all mail has been read");
}

#[test]
fn messages_come_in_order_once_and_only_to_whom_they_should() {
    let names = names();
    let (mut shown, mut kept, mut skipped, mut returned) = (0, 0, 0, 0);
    for seed in 0..SEEDS {
        println!("seed {seed}");
        let mut rng = Rng::new(seed);
        let mut office = PostOffice::new(&names);
        for _ in 0..STEPS {
            step(&mut office, &names, &mut rng);
            office.check();
        }
        finish(&mut office, &names, &mut rng);
        for (id, message) in office.messages.iter().enumerate() {
            let is_owed = matches!(message.fate, Fate::Trial | Fate::Kept) && !message.is_to_guest;
            assert!(!is_owed || message.is_shown, "message {id} is lost: {message:?}");
            assert!(
                message.fate != Fate::Refused || !message.is_shown,
                "message {id} never was: {message:?}"
            );
            shown += u32::from(message.is_shown);
            kept += u32::from(message.fate == Fate::Kept);
            skipped += u32::from(message.fate == Fate::Skipped);
        }
        returned += office.chat.counts().returned;
    }
    // The seeds reach what they should.
    println!("{shown} shown, {kept} kept, {skipped} skipped, {returned} returned");
    assert!(shown > 300_000 && kept > 100_000 && skipped > 1_000 && returned > 1_000);
}
