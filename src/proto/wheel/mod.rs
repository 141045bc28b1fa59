//! Which timer is due next: a hierarchical hashed timer wheel that keeps exact deadlines. It
//! never reads a clock and never does what is due: it hands back the keys that it was given.
//!
//! After G. Varghese and T. Lauck, "Hashed and Hierarchical Timing Wheels" (SOSP 1987), with the
//! slots of scheme 7 and, in each slot, the ordered queue of scheme 5. That queue is a pairing
//! heap (Fredman, Sedgewick, Sleator and Tarjan, 1986), linked through one shared table.
//!
//! A slot of level 0 is 65.536 us wide, one of level 1 is 64 times wider (4.2 ms), then 268 ms,
//! 17 s, 18 min, 20 h, 52 days and 9 years: 8 levels of 64 slots hold every `u64`. An entry lies
//! on the level of the highest digit in which its deadline differs from the wheel's position, so
//! all of a level is earlier than all of the next, and the first occupied slot of the lowest
//! occupied level has the earliest entry at the top of its heap.

mod heap;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use self::heap::{Entries, Entry, NONE};
use crate::proto::time::Mono;

/// Timers by key, each armed once, popped in the order of `(deadline, key)`.
///
/// Seen from outside it is a sorted set of `(Mono, K)` with an index by key; the order in which
/// keys were armed does not show. For n keys, of which k share a slot:
///
/// - [`next_deadline`](Wheel::next_deadline): the number of levels, whatever n is.
/// - [`insert`](Wheel::insert): one search for the key, O(log n), then O(1); with a key that is
///   armed, the cost of a cancel is added.
/// - [`cancel`](Wheel::cancel): the search, then O(log k) amortised. Most entries of a slot are
///   leaves, which cost O(1). The top of a crowded slot that was never popped from costs O(k), once.
/// - [`pop_due`](Wheel::pop_due): O(log k) amortised. The pop that opens a slot of a higher level
///   moves all k entries of that slot down; each entry moves at most 7 times in its life.
///
/// A timeout that every message puts off (an idle link) is best armed lazily: note the time of
/// the message, let the timer fire, and arm it again for what is left. That costs one pop for
/// each timeout in place of one search for each message.
///
/// Memory is kept for the largest number of keys armed so far. A key that is popped and armed
/// again before the next pop touches no allocator; other new keys may allocate a node of the
/// index. How many keys there can be is bounded by the caller.
#[derive(Debug)]
pub struct Wheel<K> {
    entries: Entries<K>,
    /// Where the entry of a key is. Has the armed keys and the one in `popped`.
    index: BTreeMap<K, u32>,
    /// The entry that was popped last, as long as its key is not armed again. It stays in the
    /// index, because most timers are armed again at once.
    popped: u32,
    /// The wheel's position: a time, counted in slots of level 0, that is not after any entry
    /// except the late ones. Moves only forward, and only to what is due.
    base: u64,
    /// Which slots have entries, one bit a slot, one word a level.
    occupied: [u64; LEVELS],
    /// Top of the heap of each slot, level after level.
    tops: Box<[u32; LEVELS * SLOTS]>,
}

impl<K: Copy + Ord> Wheel<K> {
    /// A wheel with no timer.
    pub fn new() -> Wheel<K> {
        Wheel {
            entries: Entries::new(),
            index: BTreeMap::new(),
            popped: NONE,
            base: 0,
            occupied: [0; LEVELS],
            tops: Box::new([NONE; LEVELS * SLOTS]),
        }
    }

    /// Arms `key`, in place of its old deadline if it was armed, and returns that one.
    ///
    /// Any deadline is right. One that has passed is popped at the next [`Wheel::pop_due`], before
    /// all that is later.
    ///
    /// # Panics
    /// With more than `u32::MAX - 1` keys.
    pub fn insert(&mut self, key: K, deadline: Mono) -> Option<Mono> {
        let fresh = self.entries.next_unused();
        let at = *self.index.entry(key).or_insert(fresh);
        let old = if at == fresh {
            self.entries.take_unused(key, deadline);
            None
        } else if at == self.popped {
            self.popped = NONE;
            None
        } else {
            self.unlink(at);
            Some(self.entries[at].deadline)
        };
        self.entries[at].deadline = deadline;
        self.place(at);
        old
    }

    /// Disarms `key` and returns the deadline that it had.
    pub fn cancel(&mut self, key: &K) -> Option<Mono> {
        let at = self.index.remove(key)?;
        let deadline = if at == self.popped {
            self.popped = NONE;
            None
        } else {
            self.unlink(at);
            Some(self.entries[at].deadline)
        };
        self.entries.give_back(at);
        deadline
    }

    /// The deadline of `key`, if it is armed.
    pub fn deadline(&self, key: &K) -> Option<Mono> {
        let at = *self.index.get(key)?;
        (at != self.popped).then(|| self.entries[at].deadline)
    }

    /// The earliest deadline, exact to the nanosecond.
    pub fn next_deadline(&self) -> Option<Mono> {
        let slot = self.first_slot()?;
        Some(self.entries[self.tops[slot]].deadline)
    }

    /// Disarms and returns the earliest timer, if its deadline is not after `now`; among equal
    /// deadlines, the least key.
    ///
    /// Call it until it returns `None`. Between two calls any key may be armed or cancelled; what
    /// is armed with a deadline that is not after `now` comes in the same round, so a period of
    /// zero would never end it.
    pub fn pop_due(&mut self, now: Mono) -> Option<(Mono, K)> {
        let slot = self.first_slot()?;
        let at = self.tops[slot];
        let Entry { deadline, key, .. } = self.entries[at];
        if deadline > now {
            return None;
        }
        if slot < SLOTS {
            self.unlink(at);
        } else {
            self.open(slot);
        }
        let before = std::mem::replace(&mut self.popped, at);
        if before != NONE {
            self.index.remove(&self.entries[before].key);
            self.entries.give_back(before);
        }
        Some((deadline, key))
    }

    /// How many keys are armed.
    pub fn len(&self) -> usize {
        self.index.len() - usize::from(self.popped != NONE)
    }

    /// Whether no key is armed.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Checks the whole structure, for tests and simulations; visits every entry.
    ///
    /// # Panics
    /// If the wheel is damaged, which is a bug in it.
    pub fn check_invariants(&self) {
        let mut armed = 0;
        let mut path = Vec::new();
        for (slot, &top) in self.tops.iter().enumerate() {
            let bit = self.occupied[slot / SLOTS] >> (slot % SLOTS) & 1;
            assert_eq!(bit == 1, top != NONE, "slot {slot}: the bit does not match the heap");
            if top == NONE {
                continue;
            }
            let Entry { next, prev, .. } = self.entries[top];
            assert_eq!((next, prev), (NONE, NONE), "slot {slot}: the top of a heap has no siblings");
            path.push(top);
            while let Some(at) = path.pop() {
                let entry = &self.entries[at];
                armed += 1;
                assert_ne!(at, self.popped, "a popped entry is in a heap");
                assert_eq!(self.index.get(&entry.key), Some(&at), "the index misses an armed entry");
                assert_eq!(self.slot_of(entry.deadline), slot, "an entry is in the wrong slot");
                let (mut prev, mut child) = (at, entry.child);
                while child != NONE {
                    assert!(self.entries.is_before(at, child), "a child is before its parent");
                    assert_eq!(self.entries[child].prev, prev, "a link back is wrong");
                    path.push(child);
                    (prev, child) = (child, self.entries[child].next);
                }
            }
        }
        assert_eq!(armed, self.len(), "armed entries are lost");
        if self.popped != NONE {
            let key = self.entries[self.popped].key;
            assert_eq!(self.index.get(&key), Some(&self.popped), "the index misses the popped entry");
        }
        assert_eq!(self.entries.used(), self.index.len(), "entries are lost");
    }

    /// The slot for a deadline, at the current position. Since opening a slot moves all of its
    /// entries, this is also where an armed entry with that deadline is.
    fn slot_of(&self, deadline: Mono) -> usize {
        // What is late shares the slot of the position, where the heap puts it before the rest.
        let tick = (deadline.0 >> SLOT_BITS_NS).max(self.base);
        let differs = (tick ^ self.base) | (SLOTS as u64 - 1);
        let level = differs.ilog2() / DIGIT_BITS;
        let digit = (tick >> (level * DIGIT_BITS)) % SLOTS as u64;
        level as usize * SLOTS + digit as usize
    }

    /// The slot that has the earliest entry.
    fn first_slot(&self) -> Option<usize> {
        let level = self.occupied.iter().position(|&bits| bits != 0)?;
        Some(level * SLOTS + self.occupied[level].trailing_zeros() as usize)
    }

    fn set_top(&mut self, slot: usize, top: u32) {
        self.tops[slot] = top;
        let bit = 1 << (slot % SLOTS);
        if top == NONE {
            self.occupied[slot / SLOTS] &= !bit;
        } else {
            self.occupied[slot / SLOTS] |= bit;
        }
    }

    /// Puts an entry into its slot. Its old links mean nothing any more.
    fn place(&mut self, at: u32) {
        let slot = self.slot_of(self.entries[at].deadline);
        self.entries.isolate(at);
        let top = self.entries.meld(self.tops[slot], at);
        self.set_top(slot, top);
    }

    /// Takes an armed entry out of its slot.
    fn unlink(&mut self, at: u32) {
        let slot = self.slot_of(self.entries[at].deadline);
        let top = self.entries.remove(self.tops[slot], at);
        self.set_top(slot, top);
    }

    /// Moves the position to the top entry of `slot`, the first one, on a higher level. Takes that
    /// entry out and spreads the others over the lower levels, which are empty.
    fn open(&mut self, slot: usize) {
        let top = self.tops[slot];
        self.set_top(slot, NONE);
        // To the top entry and not only to the start of the slot, so that one step is enough.
        self.base = self.entries[top].deadline.0 >> SLOT_BITS_NS;
        let mut rest = self.entries[top].child;
        while rest != NONE {
            let at = rest;
            rest = self.entries.flatten(at);
            self.place(at);
        }
    }
}

impl<K: Copy + Ord> Default for Wheel<K> {
    fn default() -> Wheel<K> {
        Wheel::new()
    }
}

/// Width of a slot of level 0: 2^16 ns. A power of two, so that no division is needed.
const SLOT_BITS_NS: u32 = 16;
/// Slots of a level: as many as a word has bits, so that the first occupied one is one instruction.
const SLOTS: usize = 1 << DIGIT_BITS;
const DIGIT_BITS: u32 = 6;
const LEVELS: usize = 8;

const _: () = assert!(SLOTS == u64::BITS as usize);
const _: () = assert!(SLOT_BITS_NS + LEVELS as u32 * DIGIT_BITS == u64::BITS);
