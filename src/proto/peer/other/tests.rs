//! Who is remembered in a group where many come and go.

use super::*;
use crate::proto::peer::library::State;
use crate::proto::time::Wall;

fn learn(others: &mut Others, library: &mut Library, number: usize, now: Mono) {
    let (id, addr) = (Name::from_number(number as u32), "10.0.0.2:2".parse().unwrap());
    let Some(place) = others.place(id, addr, Key(1), OtherState::Done, library) else { return };
    let other = others.at_mut(place);
    other.records = Some(files_of(&id).map(|name| library.expect(name, Some(place))));
    other.ends_at = now;
}

fn leave(others: &mut Others, library: &mut Library, number: usize, files: usize) {
    let id = Name::from_number(number as u32);
    let other = others.at_mut(others.find(&id).unwrap());
    for item in other.records.into_iter().flatten().take(files) {
        library.at_mut(item).state = State::Whole { file: None };
    }
    others.forget(&id, Departure::Complete, Now { mono: Mono(9), wall: Wall(0) });
}

#[test]
fn those_who_left_with_everything_done_make_room_and_still_count() {
    let (mut others, mut library) = (Others::default(), Library::default());
    (0..MEMBERS_MAX).for_each(|number| learn(&mut others, &mut library, number, Mono(5)));
    learn(&mut others, &mut library, MEMBERS_MAX, Mono(5));
    assert_eq!((others.len(), others.find(&Name::from_number(MEMBERS_MAX as u32))), (MEMBERS_MAX, None));

    leave(&mut others, &mut library, 3, FILES);
    leave(&mut others, &mut library, 4, FILES - 1);
    for (number, place) in [(MEMBERS_MAX, Some(3)), (MEMBERS_MAX + 1, None)] {
        learn(&mut others, &mut library, number, Mono(2));
        assert_eq!(others.find(&Name::from_number(number as u32)), place);
    }
    assert_eq!(others.find(&Name::from_number(3)), None, "its place is another's");
    assert!(others.find(&Name::from_number(4)).is_some(), "it left, but we lack a file of it");
    assert_eq!(others.files_expected(), (MEMBERS_MAX + 1) * FILES);
    assert_eq!(others.files_received(&library), FILES + FILES - 1);
    assert_eq!(others.last_end(), Mono(5));

    // A long life among short ones: each comes, is served, and goes.
    for number in MEMBERS_MAX..3 * MEMBERS_MAX {
        learn(&mut others, &mut library, number, Mono(7));
        leave(&mut others, &mut library, number, FILES);
    }
    assert_eq!((others.len(), others.last_end()), (MEMBERS_MAX, Mono(7)));
    assert_eq!(others.files_expected(), (3 * MEMBERS_MAX) * FILES);
    assert_eq!(library.len(), MEMBERS_MAX * FILES, "the places of their files are used again");
}
