//! In which order a receiver takes chunks: its own slice of the file from the front, the rest at random.
//! So receivers that begin together begin at different places, the disk mostly goes forward, and everybody
//! knows what a receiver will come to soon, and what others may do for it. Knows nothing of who
//! holds what.

use std::ops::Range;

/// The part of a file that one of several receivers takes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// The receiver's place among the receivers, from 0.
    pub place: u32,
    /// How many receivers there are, as far as it is known.
    pub of: u32,
}

impl Slice {
    /// How many requests for chunks that only origins hold, and that are in no slice of its own, a
    /// receiver has in flight at one origin: all receivers together about as many as one alone.
    pub(super) fn share(self, in_flight_max: usize) -> usize {
        (in_flight_max / self.of.max(1) as usize).max(1)
    }

    /// The chunks of the slice. It has at least one, if the file has any; then several receivers may share it.
    pub(super) fn range(self, chunks: u64) -> Range<u64> {
        let of = u64::from(self.of.max(1));
        let place = u64::from(self.place) % of;
        let first = place * chunks / of;
        first..((place + 1) * chunks / of).max(first + 1).min(chunks)
    }

    /// The slices of the other receivers, in turn from one of them on.
    pub(super) fn others(self, from: u64) -> impl Iterator<Item = Slice> {
        let (of, own) = (self.of.max(1), self.place);
        let from = (from % u64::from(of)) as u32;
        (from..of)
            .chain(0..from)
            .filter(move |place| *place != own % of)
            .map(move |place| Slice { place, of })
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): enough to spread receivers, not for a secret.
#[derive(Debug)]
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_is_never_empty() {
        for (chunks, place, of) in
            [(0, 0, 1), (1, 0, 1), (1, 4, 5), (100, 2, 10), (7, 5, 20), (64, 9, 3), (9, 0, 0)]
        {
            let range = Slice { place, of }.range(chunks);
            assert_eq!(range.is_empty(), chunks == 0);
            assert!(range.end <= chunks);
        }
    }

    #[test]
    fn slices_cover_a_file_without_overlap() {
        let range = |place| Slice { place, of: 7 }.range(100);
        assert_eq!((range(0).start, range(6).end), (0, 100));
        assert!((0..6).all(|place| range(place).end == range(place + 1).start));
    }

    #[test]
    fn each_of_the_others_has_a_turn() {
        let others =
            |place, of, from| Slice { place, of }.others(from).map(|slice| slice.place).collect::<Vec<_>>();
        assert_eq!(others(1, 4, 2), [2, 3, 0]);
        assert_eq!(others(1, 4, 9), [2, 3, 0]);
        assert_eq!(others(5, 4, 0), [0, 2, 3]);
        assert!(others(0, 1, 7).is_empty() && others(0, 0, 7).is_empty());
    }
}
