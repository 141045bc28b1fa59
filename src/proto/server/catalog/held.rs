//! Which chunks of a file somebody holds: a set of chunk numbers that only grows.

/// A set of chunk numbers below a bound. Nothing and everything take no memory beside it.
#[derive(Debug)]
pub(super) struct Held {
    chunks: u64,
    count: u64,
    /// A bit for each chunk; empty while there is none, and once there is every one.
    words: Vec<u64>,
}

impl Held {
    /// Nothing of so many chunks.
    pub(super) fn none(chunks: u64) -> Held {
        Held { chunks, count: 0, words: Vec::new() }
    }

    /// Adds the chunks from `first` to `last`, which are below the bound.
    pub(super) fn insert(&mut self, first: u64, last: u64) {
        assert!(first <= last && last < self.chunks, "checked by the caller");
        if self.is_full() {
            return;
        }
        if self.words.is_empty() {
            self.words = vec![0; self.chunks.div_ceil(64) as usize];
        }
        for word in first / 64..=last / 64 {
            let from = first.max(word * 64) % 64;
            let to = last.min(word * 64 + 63) % 64;
            let mask = (u64::MAX >> (63 - to)) & (u64::MAX << from);
            let old = &mut self.words[word as usize];
            self.count += u64::from((mask & !*old).count_ones());
            *old |= mask;
        }
        if self.is_full() {
            self.words = Vec::new();
        }
    }

    /// Adds every chunk.
    pub(super) fn fill(&mut self) {
        (self.count, self.words) = (self.chunks, Vec::new());
    }

    pub(super) fn contains(&self, chunk: u64) -> bool {
        let word = || self.words.get((chunk / 64) as usize).is_some_and(|word| word >> (chunk % 64) & 1 == 1);
        chunk < self.chunks && (self.is_full() || word())
    }

    pub(super) fn chunks(&self) -> u64 {
        self.chunks
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Every chunk; also of a file that has none.
    pub(super) fn is_full(&self) -> bool {
        self.count == self.chunks
    }

    pub(super) fn check_invariants(&self) {
        let partly = 0 < self.count && self.count < self.chunks;
        assert_eq!(partly, !self.words.is_empty());
        let ones: u64 = self.words.iter().map(|word| u64::from(word.count_ones())).sum();
        assert!(!partly || ones == self.count);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_empty_file_is_held_by_whoever_asks() {
        assert!(Held::none(0).is_full());
        assert!(!Held::none(0).contains(0));
    }

    proptest! {
        #[test]
        fn it_is_a_set_of_numbers(chunks in 1u64..300, ranges in prop::collection::vec((0u64..300, 0u64..300), 0..12)) {
            let (mut held, mut model) = (Held::none(chunks), BTreeSet::new());
            for (one, other) in ranges {
                let (first, last) = ((one % chunks).min(other % chunks), (one % chunks).max(other % chunks));
                held.insert(first, last);
                model.extend(first..=last);
                held.check_invariants();
                prop_assert_eq!(held.count(), model.len() as u64);
                prop_assert_eq!(held.is_full(), model.len() as u64 == chunks);
            }
            for chunk in 0..chunks + 70 {
                prop_assert_eq!(held.contains(chunk), model.contains(&chunk));
            }
            held.fill();
            held.check_invariants();
            prop_assert!(held.is_full() && held.contains(chunks - 1) && !held.contains(chunks));
        }
    }
}
