//! Who is remembered in a group where many come and go.

use super::*;
use crate::proto::machine::Effect;
use crate::proto::peer::PeersConfig;
use crate::proto::time::Wall;

struct Nothing;

impl Os for Nothing {
    fn perform(&mut self, effect: Effect<'_>) {
        panic!("{effect:?}");
    }
}

fn learn(others: &mut Others, number: usize, now: Mono) {
    let mut common = Common::new(PeersConfig {
        server: "10.0.0.1:1".parse().unwrap(),
        group: Name::from_number(0),
        ids: Vec::new(),
        interval: None,
        duration: None,
        share_deadline: None,
    });
    let (id, addr) = (Name::from_number(number as u32), "10.0.0.2:2".parse().unwrap());
    let now = Now { mono: now, wall: Wall(0) };
    others.learn(id, addr, Key(1), MemberState::Done, 0, &mut common, now, &mut Nothing);
}

fn leave(others: &mut Others, number: usize, files: usize) {
    let id = Name::from_number(number as u32);
    let other = others.at_mut(others.find(&id).unwrap());
    other.theirs.iter_mut().take(files).for_each(|theirs| *theirs = Theirs::Stored);
    others.forget(&id, Departure::Complete, Now { mono: Mono(9), wall: Wall(0) });
}

#[test]
fn those_who_left_with_everything_done_make_room_and_still_count() {
    let mut others = Others::default();
    (0..MEMBERS_MAX).for_each(|number| learn(&mut others, number, Mono(5)));
    learn(&mut others, MEMBERS_MAX, Mono(5));
    assert_eq!((others.len(), others.find(&Name::from_number(MEMBERS_MAX as u32))), (MEMBERS_MAX, None));

    leave(&mut others, 3, FILES);
    leave(&mut others, 4, FILES - 1);
    for (number, place) in [(MEMBERS_MAX, Some(3)), (MEMBERS_MAX + 1, None)] {
        learn(&mut others, number, Mono(2));
        assert_eq!(others.find(&Name::from_number(number as u32)), place);
    }
    assert_eq!(others.find(&Name::from_number(3)), None, "its place is another's");
    assert!(others.find(&Name::from_number(4)).is_some(), "it left, but we lack a file of it");
    assert_eq!(others.files_expected(), (MEMBERS_MAX + 1) * FILES);
    assert_eq!(others.files_received(), FILES + FILES - 1);
    assert_eq!(others.last_end(), Mono(5));

    // A long life among short ones: each comes, is served, and goes.
    for number in MEMBERS_MAX..3 * MEMBERS_MAX {
        learn(&mut others, number, Mono(7));
        leave(&mut others, number, FILES);
    }
    assert_eq!((others.len(), others.last_end()), (MEMBERS_MAX, Mono(7)));
    assert_eq!(others.files_expected(), (3 * MEMBERS_MAX) * FILES);
}
