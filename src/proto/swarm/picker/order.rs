//! The order in which a receiver takes chunks that are equally rare: those of its own slice of the file
//! first, and both these and the rest shuffled. So receivers that begin together begin at different
//! places, and an origin sends each chunk about once; and one that helps in another's slice seldom meets
//! it. Knows nothing of who holds what.

use crate::proto::swarm::ChunkSet;

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
    pub(super) fn new(chunks: u64, seed: u64) -> Order {
        let all = u32::try_from(chunks).expect("a manifest has been checked before");
        let mut order: Vec<u32> = (0..all).collect();
        Random(seed).shuffle(&mut order);
        let mut places = vec![0; order.len()];
        order.iter().zip(0..).for_each(|(chunk, place)| places[*chunk as usize] = place);
        Order { chunks: order, places }
    }

    /// The places of the chunks of a slice.
    pub(super) fn slice(&self, slice: Slice) -> ChunkSet {
        let chunks = self.chunks.len() as u64;
        let (first, end) = slice.bounds(chunks);
        let mut places = ChunkSet::new(chunks);
        for chunk in first..end {
            places.insert(self.place(chunk));
        }
        places
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
    fn an_order_has_every_chunk_once_and_a_slice_is_never_empty() {
        for (chunks, place, of) in
            [(0, 0, 1), (1, 0, 1), (1, 4, 5), (100, 2, 10), (7, 5, 20), (64, 9, 3), (9, 0, 0)]
        {
            let order = Order::new(chunks, 7);
            let mut seen = ChunkSet::new(chunks);
            for place in 0..chunks {
                assert!(seen.insert(order.chunk(place)));
                assert_eq!(order.place(order.chunk(place)), place);
            }
            let slice = Slice { place, of };
            let (first, end) = slice.bounds(chunks);
            assert_eq!(end > first, chunks > 0, "a slice is empty only if the file is");
            assert!(order.slice(slice).iter().all(|place| (first..end).contains(&order.chunk(place))));
            assert_eq!(order.slice(slice).count(), end - first);
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
        let order = |seed| Order::new(100, seed).chunks;
        assert_eq!(order(1), order(1));
        assert_ne!(order(1), order(2));
    }
}
