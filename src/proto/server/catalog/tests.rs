//! The catalog against its rules: lists that are too long, bounds, and any order of events.

use std::collections::BTreeSet;

use proptest::prelude::*;

use crate::proto::ids::Name;
use crate::proto::limits::{CATALOG_BYTES_MAX, CHUNKS_MAX, REPORTS_MAX, SOURCES_MAX};
use crate::proto::server::catalog::{Catalog, Who};
use crate::proto::swarm::Manifest;
use crate::proto::wire::{ErrorCode, Portion};

const NOBODY: BTreeSet<Name> = BTreeSet::new();

fn who(id: &str) -> Who {
    Who { group: "lab".parse().unwrap(), id: id.parse().unwrap() }
}

fn manifest(file: &str, chunks: u64, kind: u8) -> Manifest {
    let hashes = vec![blake3::hash(&[kind]); chunks as usize];
    Manifest::new(file.parse().unwrap(), chunks, 1, hashes)
}

fn names(catalog: &mut Catalog, id: &str) -> Vec<String> {
    catalog.introduce(&who(id), "f", &NOBODY).others.iter().map(ToString::to_string).collect()
}

/// Somebody who holds all of the file `f`, or fetches it.
fn join(catalog: &mut Catalog, id: &str, holds: bool) {
    catalog.arrive(&who(id), false, true);
    if holds {
        catalog.register(&who(id), manifest("f", 3, 0), Portion::All, &NOBODY).unwrap();
    } else {
        catalog.download(&who(id), "f").unwrap();
    }
}

#[test]
fn a_long_list_comes_in_parts_with_whole_ones_in_each() {
    let mut catalog = Catalog::default();
    join(&mut catalog, "whole", true);
    let count = 2 * SOURCES_MAX + 10;
    for number in 0..count {
        join(&mut catalog, &format!("m{number:04}"), false);
    }
    let mut seen = BTreeSet::new();
    for _ in 0..4 {
        let meeting = catalog.introduce(&who("m0100"), "f", &NOBODY);
        assert!(meeting.is_news, "those who are named have not heard of it");
        assert_eq!(meeting.others.len(), SOURCES_MAX);
        assert!(meeting.others.contains(&who("whole").id) && !meeting.others.contains(&who("m0100").id));
        let unique: BTreeSet<_> = meeting.others.iter().collect();
        assert_eq!(unique.len(), SOURCES_MAX);
        seen.extend(meeting.others);
    }
    assert_eq!(seen.len(), count, "in the end everybody");
    catalog.check_invariants();
}

#[test]
fn the_lost_keep_what_they_hold_and_others_do_not_inherit_it() {
    let mut catalog = Catalog::default();
    join(&mut catalog, "a", true);
    join(&mut catalog, "b", false);
    assert!(catalog.lose(&who("a")), "it has something to come back to");
    assert!(!catalog.lose(&who("b")), "it has not");
    assert_eq!(catalog.absent().count(), 2);
    assert_eq!(catalog.holders(&who("a").group, "f", None).count(), 0);
    catalog.arrive(&who("a"), true, true);
    catalog.check_invariants();
    assert_eq!(catalog.holders(&who("a").group, "f", None).count(), 1);
    assert_eq!(names(&mut catalog, "a"), Vec::<String>::new(), "b is not here");
    catalog.arrive(&who("b"), true, true);
    assert_eq!(names(&mut catalog, "b"), ["a"]);
    catalog.lose(&who("a"));
    catalog.arrive(&who("a"), false, true);
    assert_eq!(catalog.holders(&who("a").group, "f", None).count(), 0, "another one of that name");
    catalog.leave(&who("b"));
    assert_eq!(catalog.manifest(&who("a").group, "f").unwrap_err().0, ErrorCode::UnknownFile);
    catalog.check_invariants();
}

#[test]
fn the_memory_of_it_all_has_a_bound() {
    let mut catalog = Catalog::default();
    let mut number = 0;
    let refused = loop {
        let id = format!("m{number}");
        catalog.arrive(&who(&id), false, true);
        let file = manifest(&format!("f{number}"), CHUNKS_MAX, 0);
        match catalog.register(&who(&id), file, Portion::All, &NOBODY) {
            Ok(_) => number += 1,
            Err(refusal) => break refusal,
        }
    };
    assert_eq!(refused.0, ErrorCode::LimitReached);
    assert!(number as usize > CATALOG_BYTES_MAX / (40 * CHUNKS_MAX as usize), "{number}");
    catalog.check_invariants();
    catalog.leave(&who("m0"));
    let again = manifest("again", CHUNKS_MAX, 0);
    catalog.register(&who(&format!("m{number}")), again, Portion::All, &NOBODY).unwrap();
}

#[test]
fn reports_have_a_bound() {
    let mut catalog = Catalog::default();
    join(&mut catalog, "a", true);
    for number in 0..=REPORTS_MAX {
        join(&mut catalog, &format!("m{number}"), true);
    }
    for number in 0..REPORTS_MAX {
        let of = who(&format!("m{number}")).id;
        assert_eq!(catalog.report(&who("a"), "f", &of, 0), Ok(true));
        assert_eq!(catalog.report(&who("a"), "f", &of, 1), Ok(false));
    }
    let of = who(&format!("m{REPORTS_MAX}")).id;
    assert_eq!(catalog.report(&who("a"), "f", &of, 0).unwrap_err().0, ErrorCode::LimitReached);
    catalog.check_invariants();
    catalog.leave(&who("a"));
    catalog.check_invariants();
}

proptest! {
    #[test]
    fn any_order_of_events_leaves_it_whole(events in prop::collection::vec((0u8..10, 0u8..4, 0u8..3, any::<bool>()), 0..60)) {
        let mut catalog = Catalog::default();
        let mut here = [false; 4];
        for (event, member, file, flag) in events {
            let who = who(&format!("m{member}"));
            let is_here = &mut here[usize::from(member)];
            let (name, chunks) = (format!("f{file}"), u64::from(file) * 40);
            match event {
                0 | 1 => {
                    catalog.arrive(&who, flag, flag);
                    *is_here = true;
                }
                2 if *is_here => {
                    catalog.lose(&who);
                    *is_here = false;
                }
                3 => {
                    catalog.leave(&who);
                    *is_here = false;
                }
                4 | 5 if *is_here => {
                    let portion = if flag { Portion::All } else { Portion::None };
                    let _ = catalog.register(&who, manifest(&name, chunks, event), portion, &NOBODY);
                }
                6 if *is_here => {
                    let _ = catalog.download(&who, &name).map(Manifest::chunks);
                }
                7 if *is_here => {
                    let _ = catalog.have(&who, &name, 0, 30 + u64::from(flag) * 9);
                }
                8 if *is_here => {
                    let of = who_of((member + 1) % 4);
                    let _ = catalog.report(&who, &name, &of, 0);
                    let meeting = catalog.introduce(&who, &name, &NOBODY);
                    prop_assert!(meeting.others.iter().all(|other| *other != who.id && *other != of));
                }
                9 => {
                    catalog.withdraw(&who, &name);
                    prop_assert!(!catalog.holds(&who, &name));
                }
                _ => {}
            }
            catalog.check_invariants();
        }
    }
}

fn who_of(member: u8) -> crate::proto::ids::Name {
    who(&format!("m{member}")).id
}
