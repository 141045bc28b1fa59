//! A table of timers, and pairing heaps whose links are places in that table. It never knows
//! which heaps there are or what a slot is: the wheel keeps the tops.

use std::ops::{Index, IndexMut};

use crate::proto::time::Mono;

/// No entry.
pub(super) const NONE: u32 = u32::MAX;

/// A timer and its links in the heap of its slot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<K> {
    pub(super) deadline: Mono,
    pub(super) key: K,
    /// First of the entries directly below.
    pub(super) child: u32,
    /// Next entry below the same parent.
    pub(super) next: u32,
    /// The entry before it below the same parent, or the parent itself.
    pub(super) prev: u32,
}

/// The table of all entries. Knows how heaps are linked in it, not which heaps there are.
#[derive(Debug)]
pub(super) struct Entries<K> {
    table: Vec<Entry<K>>,
    /// First of the unused entries, linked by `next`.
    unused: u32,
}

impl<K: Copy + Ord> Entries<K> {
    pub(super) fn new() -> Entries<K> {
        Entries { table: Vec::new(), unused: NONE }
    }

    /// The entry that [`Entries::take_unused`] takes.
    pub(super) fn next_unused(&self) -> u32 {
        if self.unused != NONE {
            return self.unused;
        }
        u32::try_from(self.table.len()).ok().filter(|&at| at != NONE).expect("fewer than 2^32 - 1 keys")
    }

    /// Uses an entry, which is in no heap yet.
    pub(super) fn take_unused(&mut self, key: K, deadline: Mono) {
        let entry = Entry { deadline, key, child: NONE, next: NONE, prev: NONE };
        if self.unused == NONE {
            self.table.push(entry);
        } else {
            let at = self.unused;
            self.unused = self[at].next;
            self[at] = entry;
        }
    }

    /// Ends the use of an entry that is in no heap.
    pub(super) fn give_back(&mut self, at: u32) {
        self[at].next = self.unused;
        self.unused = at;
    }

    /// How many entries are in use; counts the unused ones.
    pub(super) fn used(&self) -> usize {
        let mut used = self.table.len();
        let mut at = self.unused;
        while at != NONE {
            used -= 1;
            at = self[at].next;
        }
        used
    }

    /// Whether `a` is due before `b`: by deadline, then by key.
    pub(super) fn is_before(&self, a: u32, b: u32) -> bool {
        (self[a].deadline, self[a].key) < (self[b].deadline, self[b].key)
    }

    /// Makes an entry a heap of its own.
    pub(super) fn isolate(&mut self, at: u32) {
        let entry = &mut self[at];
        (entry.child, entry.next, entry.prev) = (NONE, NONE, NONE);
    }

    /// Joins two heaps, either of which may be empty, and returns the top.
    pub(super) fn meld(&mut self, a: u32, b: u32) -> u32 {
        if a == NONE {
            return b;
        }
        if b == NONE {
            return a;
        }
        let (top, below) = if self.is_before(a, b) { (a, b) } else { (b, a) };
        let sibling = std::mem::replace(&mut self[top].child, below);
        (self[below].next, self[below].prev) = (sibling, top);
        if sibling != NONE {
            self[sibling].prev = below;
        }
        top
    }

    /// Joins siblings into one heap: in pairs from the first to the last, then the pairs from the
    /// last to the first. The order of the two passes is what keeps the heap shallow.
    fn meld_siblings(&mut self, first: u32) -> u32 {
        let (mut rest, mut pairs) = (first, NONE);
        while rest != NONE {
            let a = rest;
            let b = self[a].next;
            rest = if b == NONE { NONE } else { self[b].next };
            let top = self.meld(a, b);
            self[top].next = std::mem::replace(&mut pairs, top);
        }
        let mut top = NONE;
        while pairs != NONE {
            let next = std::mem::replace(&mut self[pairs].next, NONE);
            top = self.meld(top, pairs);
            pairs = next;
        }
        if top != NONE {
            self[top].prev = NONE;
        }
        top
    }

    /// Takes an entry out of the heap below `top`, and returns the new top.
    pub(super) fn remove(&mut self, top: u32, at: u32) -> u32 {
        let Entry { child, next, prev, .. } = self[at];
        let orphans = self.meld_siblings(child);
        if at == top {
            return orphans;
        }
        if self[prev].child == at {
            self[prev].child = next;
        } else {
            self[prev].next = next;
        }
        if next != NONE {
            self[next].prev = prev;
        }
        self.meld(top, orphans)
    }

    /// Puts the children of an entry before its siblings, and returns the first of all these.
    /// With it a heap is walked without a stack: each entry is seen as a child once.
    pub(super) fn flatten(&mut self, at: u32) -> u32 {
        let Entry { child, next, .. } = self[at];
        if child == NONE {
            return next;
        }
        let mut last = child;
        while self[last].next != NONE {
            last = self[last].next;
        }
        self[last].next = next;
        child
    }
}

impl<K> Index<u32> for Entries<K> {
    type Output = Entry<K>;
    fn index(&self, at: u32) -> &Entry<K> {
        &self.table[at as usize]
    }
}

impl<K> IndexMut<u32> for Entries<K> {
    fn index_mut(&mut self, at: u32) -> &mut Entry<K> {
        &mut self.table[at as usize]
    }
}
