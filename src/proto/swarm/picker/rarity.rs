//! How many sources hold each chunk, and which of the needed ones is the rarest that somebody holds.
//! Counts what it is told; does not know the sources.

use crate::proto::limits::RARITY_MAX;
use crate::proto::swarm::ChunkSet;

/// Needed chunks by the number of their holders. Works on places in the receiver's own order, so
/// that the first of several equally rare ones is the one to take.
#[derive(Debug)]
pub(super) struct Rarity {
    holders: Vec<u32>,
    /// The needed places with 0, 1, 2, ... holders; the last has those with more, too.
    needed: Vec<ChunkSet>,
}

impl Rarity {
    /// Everything is needed, and nobody has anything.
    pub(super) fn new(chunks: u64) -> Rarity {
        let mut needed = vec![ChunkSet::new(chunks); RARITY_MAX + 1];
        needed[0] = ChunkSet::full(chunks);
        Rarity { holders: vec![0; chunks as usize], needed }
    }

    fn rank(&mut self, place: u64) -> &mut ChunkSet {
        let holders = self.holders[place as usize] as usize;
        &mut self.needed[holders.min(RARITY_MAX)]
    }

    /// One more source holds it.
    pub(super) fn gain(&mut self, place: u64) {
        let is_needed = self.rank(place).remove(place);
        self.holders[place as usize] += 1;
        if is_needed {
            self.rank(place).insert(place);
        }
    }

    /// One source less holds it.
    pub(super) fn lose(&mut self, place: u64) {
        let is_needed = self.rank(place).remove(place);
        self.holders[place as usize] -= 1;
        if is_needed {
            self.rank(place).insert(place);
        }
    }

    pub(super) fn set_needed(&mut self, place: u64, is_needed: bool) {
        if is_needed {
            self.rank(place).insert(place);
        } else {
            self.rank(place).remove(place);
        }
    }

    /// The rarest needed place of `held`, and of several the first.
    pub(super) fn rarest(&self, held: &ChunkSet) -> Option<u64> {
        let ranks = self.needed[1..].iter().filter(|rank| !rank.is_empty());
        ranks.into_iter().find_map(|rank| rank.first_common(held))
    }

    /// Whether something is needed that somebody holds.
    pub(super) fn is_waiting(&self) -> bool {
        self.needed[1..].iter().any(|rank| !rank.is_empty())
    }

    pub(super) fn is_needed(&self, place: u64) -> bool {
        self.needed[(self.holders[place as usize] as usize).min(RARITY_MAX)].contains(place)
    }

    /// Panics if a place is in a rank that is not its own, or does not have so many holders.
    pub(super) fn check_invariants(&self, holders: impl Fn(u64) -> u32) {
        for (place, count) in (0..).zip(&self.holders) {
            assert_eq!(*count, holders(place), "holders are counted");
            let ranks = self.needed.iter().enumerate().filter(|(_, rank)| rank.contains(place));
            assert!(ranks.into_iter().all(|(rank, _)| rank == (*count as usize).min(RARITY_MAX)));
        }
    }
}
