//! The order in which a receiver takes chunks that are equally rare: its own slice of the file first,
//! then the rest, each shuffled. So receivers that begin together begin at different places, and an
//! origin sends each chunk about once; and one that helps in another's slice seldom meets it.

/// The part of a file that one of several receivers takes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// The receiver's place among the receivers, from 0.
    pub place: u32,
    /// How many receivers there are, as far as it is known.
    pub of: u32,
}

impl Slice {
    /// First chunk of the slice, and the one after its last. It has at least one chunk, if the
    /// file has any; then several receivers may share it.
    fn bounds(self, chunks: u64) -> (u64, u64) {
        let of = u64::from(self.of.max(1));
        let place = u64::from(self.place) % of;
        let first = place * chunks / of;
        (first, ((place + 1) * chunks / of).max(first + 1).min(chunks))
    }
}

/// A seeded order of the chunks of a file. A *place* is where a chunk stands in it.
#[derive(Debug)]
pub(super) struct Order {
    chunks: Vec<u32>,
    places: Vec<u32>,
}

impl Order {
    pub(super) fn new(chunks: u64, slice: Slice, seed: u64) -> Order {
        let all = u32::try_from(chunks).expect("a manifest has been checked before");
        let (first, end) = slice.bounds(chunks);
        let is_own = |chunk: &u32| (first..end).contains(&u64::from(*chunk));
        let (mut order, mut rest): (Vec<u32>, Vec<u32>) = (0..all).partition(is_own);
        let mut random = Random(seed);
        random.shuffle(&mut order);
        random.shuffle(&mut rest);
        order.append(&mut rest);
        let mut places = vec![0; order.len()];
        order.iter().zip(0..).for_each(|(chunk, place)| places[*chunk as usize] = place);
        Order { chunks: order, places }
    }

    pub(super) fn chunk(&self, place: u64) -> u64 {
        u64::from(self.chunks[place as usize])
    }

    pub(super) fn place(&self, chunk: u64) -> u64 {
        u64::from(self.places[chunk as usize])
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): enough for a shuffle, not for a secret.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn shuffle(&mut self, list: &mut [u32]) {
        for last in (1..list.len()).rev() {
            list.swap(last, (self.next() % (last as u64 + 1)) as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_has_every_chunk_once_and_its_own_slice_first() {
        for (chunks, place, of) in
            [(0, 0, 1), (1, 0, 1), (1, 4, 5), (100, 2, 10), (7, 5, 20), (64, 9, 3), (9, 0, 0)]
        {
            let slice = Slice { place, of };
            let order = Order::new(chunks, slice, 7);
            let (first, end) = slice.bounds(chunks);
            assert_eq!(end > first, chunks > 0, "a slice is empty only if the file is");
            let mut seen = vec![false; chunks as usize];
            for place in 0..chunks {
                let chunk = order.chunk(place);
                assert_eq!(order.place(chunk), place);
                assert!(!std::mem::replace(&mut seen[chunk as usize], true));
                assert_eq!(place < end - first, (first..end).contains(&chunk));
            }
        }
    }

    #[test]
    fn slices_cover_a_file_without_overlap() {
        let bounds = |place| Slice { place, of: 7 }.bounds(100);
        assert_eq!((bounds(0).0, bounds(6).1), (0, 100));
        assert!((0..6).all(|place| bounds(place).1 == bounds(place + 1).0));
    }

    #[test]
    fn another_seed_is_another_order() {
        let order = |seed| Order::new(100, Slice { place: 0, of: 1 }, seed).chunks;
        assert_eq!(order(1), order(1));
        assert_ne!(order(1), order(2));
    }
}
