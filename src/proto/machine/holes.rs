//! Where bytes of a file are missing because writes failed: kept by drivers, alike, so that a file
//! can be finished once these places were written after all. Writes nothing itself.

use std::collections::BTreeMap;
use std::io::ErrorKind;

use crate::proto::limits::HOLES_MAX;

/// Ranges of one file whose last write failed. They neither touch nor overlap.
#[derive(Debug, Default)]
pub struct Holes {
    /// Start and end.
    ranges: BTreeMap<u64, u64>,
    last: Option<ErrorKind>,
}

impl Holes {
    /// A write of `len` bytes at `offset` failed. With more than [`HOLES_MAX`] holes they become a
    /// single one, from the first to the last byte.
    pub fn add(&mut self, offset: u64, len: u64, error: ErrorKind) {
        if len == 0 {
            return;
        }
        let (mut start, mut end) = (offset, offset.saturating_add(len));
        while let Some((&from, &to)) = self.ranges.range(..=end).next_back().filter(|(_, to)| **to >= start) {
            self.ranges.remove(&from);
            (start, end) = (start.min(from), end.max(to));
        }
        self.ranges.insert(start, end);
        self.last = Some(error);
        if self.ranges.len() > HOLES_MAX {
            let first = self.ranges.first_key_value().map_or(0, |(start, _)| *start);
            let last = self.ranges.last_key_value().map_or(0, |(_, end)| *end);
            self.ranges = BTreeMap::from([(first, last)]);
        }
    }

    /// A write of `len` bytes at `offset` succeeded.
    pub fn fill(&mut self, offset: u64, len: u64) {
        let (start, end) = (offset, offset.saturating_add(len));
        if start == end {
            return;
        }
        while let Some((&from, &to)) = self.ranges.range(..end).next_back().filter(|(_, to)| **to > start) {
            self.ranges.remove(&from);
            if from < start {
                self.ranges.insert(from, start);
            }
            if to > end {
                self.ranges.insert(end, to);
            }
        }
    }

    /// Why bytes are missing; `None` if none are.
    pub fn error(&self) -> Option<ErrorKind> {
        self.last.filter(|_| !self.ranges.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const FULL: ErrorKind = ErrorKind::StorageFull;

    #[test]
    fn a_hole_is_there_until_all_of_it_is_filled() {
        let mut holes = Holes::default();
        assert_eq!(holes.error(), None);
        holes.add(10, 10, FULL);
        holes.fill(0, 10);
        holes.fill(20, 5);
        holes.fill(12, 0);
        holes.fill(10, 9);
        assert_eq!(holes.error(), Some(FULL));
        holes.fill(19, 1);
        assert_eq!(holes.error(), None);
        holes.add(u64::MAX, 5, FULL);
        assert_eq!(holes.error(), Some(FULL), "nobody can fill it");
    }

    #[test]
    fn too_many_become_one() {
        let mut holes = Holes::default();
        for number in 0..=HOLES_MAX as u64 {
            holes.add(2 * number, 1, FULL);
        }
        assert_eq!(holes.ranges, BTreeMap::from([(0, 2 * HOLES_MAX as u64 + 1)]));
    }

    proptest! {
        #[test]
        fn they_are_what_a_set_of_places_says(
            writes in proptest::collection::vec((any::<bool>(), 0..40u64, 0..12u64), 0..40),
        ) {
            let (mut holes, mut model) = (Holes::default(), BTreeSet::new());
            for (failed, offset, len) in writes {
                if failed {
                    holes.add(offset, len, FULL);
                    model.extend(offset..offset + len);
                } else {
                    holes.fill(offset, len);
                    model.retain(|place| !(offset..offset + len).contains(place));
                }
                let places: BTreeSet<u64> = holes.ranges.iter().flat_map(|(from, to)| *from..*to).collect();
                prop_assert_eq!(&places, &model);
                prop_assert_eq!(holes.error().is_some(), !model.is_empty());
            }
        }
    }
}
