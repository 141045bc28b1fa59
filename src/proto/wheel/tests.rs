//! The wheel against a sorted map, and what the map cannot show: late entries, crowded slots and
//! memory that is used again.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const MILLI_NS: u64 = 1_000_000;
const YEAR_NS: u64 = 365 * 24 * 3600 * 1000 * MILLI_NS;

/// What is due, in order.
fn drain<K: Copy + Ord>(wheel: &mut Wheel<K>, now: Mono) -> Vec<(Mono, K)> {
    let popped = std::iter::from_fn(|| wheel.pop_due(now)).collect();
    wheel.check_invariants();
    popped
}

#[test]
fn an_empty_wheel_has_nothing() {
    let mut wheel: Wheel<u32> = Wheel::default();
    assert!(wheel.is_empty());
    assert_eq!(wheel.next_deadline(), None);
    assert_eq!(wheel.pop_due(Mono(u64::MAX)), None);
    assert_eq!(wheel.cancel(&1), None);
    assert_eq!(wheel.deadline(&1), None);
    wheel.check_invariants();
}

#[test]
fn a_timer_is_due_at_its_nanosecond() {
    for deadline in [0, 1, 65_535, 65_536, 4_194_303, 4_194_304, 10 * MILLI_NS, YEAR_NS, u64::MAX] {
        let mut wheel = Wheel::new();
        wheel.insert("a", Mono(deadline));
        if let Some(before) = deadline.checked_sub(1) {
            assert_eq!(wheel.pop_due(Mono(before)), None, "{deadline}");
        }
        assert_eq!(wheel.next_deadline(), Some(Mono(deadline)));
        assert_eq!(wheel.pop_due(Mono(deadline)), Some((Mono(deadline), "a")));
        assert!(wheel.is_empty(), "{deadline}");
        wheel.check_invariants();
    }
}

#[test]
fn deadlines_come_in_order_and_equal_ones_by_key() {
    let mut wheel = Wheel::new();
    for (key, deadline) in [(5, 20), (1, YEAR_NS), (4, 20), (9, 7), (2, 10 * MILLI_NS), (3, 20)] {
        assert_eq!(wheel.insert(key, Mono(deadline)), None);
        wheel.check_invariants();
    }
    let expected = [(7, 9), (20, 3), (20, 4), (20, 5), (10 * MILLI_NS, 2), (YEAR_NS, 1)];
    assert_eq!(drain(&mut wheel, Mono(u64::MAX)), expected.map(|(deadline, key)| (Mono(deadline), key)));
}

#[test]
fn arming_again_replaces() {
    let mut wheel = Wheel::new();
    assert_eq!(wheel.insert('a', Mono(50)), None);
    assert_eq!(wheel.insert('a', Mono(YEAR_NS)), Some(Mono(50)));
    assert_eq!(wheel.deadline(&'a'), Some(Mono(YEAR_NS)));
    assert_eq!((wheel.len(), wheel.next_deadline()), (1, Some(Mono(YEAR_NS))));
    assert_eq!(wheel.insert('a', Mono(3)), Some(Mono(YEAR_NS)));
    assert_eq!(drain(&mut wheel, Mono(YEAR_NS)), [(Mono(3), 'a')]);
}

#[test]
fn a_popped_key_is_not_armed() {
    let mut wheel = Wheel::new();
    for key in 0..3 {
        wheel.insert(key, Mono(key));
    }
    assert_eq!(wheel.pop_due(Mono(0)), Some((Mono(0), 0)));
    assert_eq!((wheel.len(), wheel.deadline(&0)), (2, None));
    assert_eq!(wheel.cancel(&0), None);
    wheel.check_invariants();
    assert_eq!(wheel.pop_due(Mono(1)), Some((Mono(1), 1)));
    assert_eq!(wheel.insert(1, Mono(9)), None);
    assert_eq!(wheel.deadline(&1), Some(Mono(9)));
    assert_eq!(drain(&mut wheel, Mono(9)), [(Mono(2), 2), (Mono(9), 1)]);
    assert_eq!((wheel.len(), wheel.next_deadline()), (0, None));
}

#[test]
fn what_is_armed_late_comes_first_and_in_the_same_round() {
    let mut wheel = Wheel::new();
    let now = Mono(YEAR_NS);
    wheel.insert(1, now);
    wheel.insert(2, now);
    assert_eq!(wheel.pop_due(now), Some((now, 1)));
    wheel.insert(3, Mono(17));
    wheel.insert(1, now);
    wheel.insert(4, Mono(now.0 + 1));
    assert_eq!(wheel.next_deadline(), Some(Mono(17)));
    assert_eq!(drain(&mut wheel, now), [(Mono(17), 3), (now, 1), (now, 2)]);
    assert_eq!(wheel.next_deadline(), Some(Mono(now.0 + 1)));
}

#[test]
fn an_entry_passes_every_level() {
    let mut wheel = Wheel::new();
    let mut armed = Vec::new();
    for bit in 0..64 {
        for offset in [0, 1, MILLI_NS] {
            armed.push((Mono((1 << bit) + offset), armed.len()));
        }
    }
    for &(deadline, key) in armed.iter().rev() {
        wheel.insert(key, deadline);
    }
    armed.sort();
    for &(deadline, key) in &armed {
        assert_eq!(wheel.next_deadline(), Some(deadline));
        assert_eq!(wheel.pop_due(deadline), Some((deadline, key)));
        wheel.check_invariants();
    }
}

#[test]
fn ticks_use_the_same_memory_again() {
    let mut wheel = Wheel::new();
    let keys = 100;
    for key in 0..keys {
        wheel.insert(key, Mono(key * 100_000));
    }
    for _ in 0..10 * keys {
        let now = wheel.next_deadline().unwrap();
        let (deadline, key) = wheel.pop_due(now).unwrap();
        wheel.insert(key, Mono(deadline.0 + 10 * MILLI_NS));
        assert_eq!(wheel.entries.used() as u64, keys);
        // The position keeps up, or everything would end in one heap.
        assert_eq!(wheel.base >> DIGIT_BITS, now.0 >> (SLOT_BITS_NS + DIGIT_BITS));
    }
    // Keys that go and keys that come share what there is, but for the one that was just popped.
    for key in keys..10 * keys {
        wheel.pop_due(Mono(u64::MAX)).unwrap();
        wheel.insert(key, Mono(YEAR_NS + key));
        assert_eq!(wheel.len() as u64, keys);
        wheel.check_invariants();
    }
    assert_eq!(wheel.entries.next_unused(), keys as u32 + 1);
}

/// Would take minutes if each pop looked at all that share its slot.
#[test]
fn a_crowded_slot_is_not_searched() {
    for step_ns in [0, 1, 65_536] {
        let mut wheel = Wheel::new();
        let keys = 200_000;
        for key in 0..keys {
            wheel.insert(key, Mono(YEAR_NS + key % 997 * step_ns));
        }
        for key in (0..keys).step_by(2) {
            assert!(wheel.cancel(&key).is_some());
        }
        let popped = drain(&mut wheel, Mono(u64::MAX));
        assert_eq!(popped.len() as u64, keys / 2);
        assert!(popped.is_sorted());
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Insert(u8, Mono),
    /// Deadline before or after the current time.
    InsertNear(u8, bool, u64),
    Cancel(u8),
    /// Pops one if it is due at a time that need not follow from the others.
    PopOne(Mono),
    /// Pops one that is due and arms it again, so much after its deadline.
    Rearm(u64),
    /// Lets so much time pass, then pops all that is due.
    Advance(u64),
    /// Goes to the next deadline, stopping one nanosecond before.
    AdvanceToNext,
}

/// Every magnitude, from 0 to `u64::MAX`, is about as likely.
fn any_magnitude() -> impl Strategy<Value = u64> {
    let near_slot_edge =
        (0_u32..64, -2_i64..=2).prop_map(|(bit, offset)| (1_u64 << bit).saturating_add_signed(offset));
    prop_oneof![
        8 => (any::<u64>(), 0_u32..64).prop_map(|(number, shift)| number >> shift),
        2 => near_slot_edge,
        1 => Just(0),
        1 => Just(u64::MAX),
    ]
}

fn any_step() -> impl Strategy<Value = Step> {
    let key = || 0_u8..40;
    prop_oneof![
        2 => (key(), any_magnitude()).prop_map(|(key, deadline)| Step::Insert(key, Mono(deadline))),
        6 => (key(), any::<bool>(), any_magnitude()).prop_map(|(key, late, by)| Step::InsertNear(key, late, by)),
        2 => key().prop_map(Step::Cancel),
        1 => any_magnitude().prop_map(|now| Step::PopOne(Mono(now))),
        3 => any_magnitude().prop_map(Step::Rearm),
        1 => any_magnitude().prop_map(Step::Advance),
        2 => Just(Step::AdvanceToNext),
    ]
}

/// The wheel, and the plainest thing that does the same.
#[derive(Default)]
struct Pair {
    wheel: Wheel<u8>,
    model: BTreeMap<(Mono, u8), ()>,
    now: Mono,
}

impl Pair {
    fn take(&mut self, step: Step) {
        match step {
            Step::Insert(key, deadline) => self.insert(key, deadline),
            Step::InsertNear(key, true, by) => self.insert(key, Mono(self.now.0.saturating_sub(by))),
            Step::InsertNear(key, false, by) => self.insert(key, Mono(self.now.0.saturating_add(by))),
            Step::Cancel(key) => {
                let expected = self.forget(key);
                assert_eq!(self.wheel.cancel(&key), expected);
            }
            Step::PopOne(now) => {
                self.pop(now);
            }
            Step::Rearm(period) => {
                if let Some((deadline, key)) = self.pop(self.now) {
                    self.insert(key, Mono(deadline.0.saturating_add(period)));
                }
            }
            Step::Advance(by) => {
                self.now = Mono(self.now.0.saturating_add(by));
                while self.pop(self.now).is_some() {}
            }
            Step::AdvanceToNext => {
                let Some(next) = self.wheel.next_deadline() else { return };
                if let Some(before) = next.0.checked_sub(1) {
                    assert_eq!(self.wheel.pop_due(Mono(before)), None);
                }
                self.now = self.now.max(next);
            }
        }
    }

    fn forget(&mut self, key: u8) -> Option<Mono> {
        let found = *self.model.keys().find(|entry| entry.1 == key)?;
        self.model.remove(&found);
        Some(found.0)
    }

    fn insert(&mut self, key: u8, deadline: Mono) {
        let expected = self.forget(key);
        self.model.insert((deadline, key), ());
        assert_eq!(self.wheel.insert(key, deadline), expected);
    }

    fn pop(&mut self, now: Mono) -> Option<(Mono, u8)> {
        let first = self.model.first_entry().filter(|entry| entry.key().0 <= now);
        let expected = first.map(|entry| entry.remove_entry().0);
        assert_eq!(self.wheel.pop_due(now), expected);
        self.check();
        expected
    }

    fn check(&self) {
        self.wheel.check_invariants();
        assert_eq!(self.wheel.len(), self.model.len());
        assert_eq!(self.wheel.is_empty(), self.model.is_empty());
        assert_eq!(self.wheel.next_deadline(), self.model.keys().next().map(|entry| entry.0));
        for key in 0..40 {
            let expected = self.model.keys().find(|entry| entry.1 == key).map(|entry| entry.0);
            assert_eq!(self.wheel.deadline(&key), expected);
        }
    }
}

proptest! {
    // A failing case is printed in full; nothing is written into the source tree.
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_wheel_is_a_sorted_map(steps in prop::collection::vec(any_step(), 1..120)) {
        let mut pair = Pair::default();
        for step in steps {
            pair.take(step);
            pair.check();
        }
    }
}
