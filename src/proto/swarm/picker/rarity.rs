//! How many receivers hold each chunk, and which of the needed ones is the rarest that somebody holds.
//! Counts what it is told; does not know the sources.
//!
//! Origins are not counted: they hold everything, so they make nothing rarer than another. A chunk that
//! no receiver holds is *fresh*: only an origin can bring it into the swarm.

use crate::proto::limits::RARITY_MAX;
use crate::proto::swarm::ChunkSet;

/// Needed chunks by the number of receivers that hold them. Works on places in the own order, so
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

    /// One more receiver holds it.
    pub(super) fn gain(&mut self, place: u64) {
        let is_needed = self.rank(place).remove(place);
        self.holders[place as usize] += 1;
        if is_needed {
            self.rank(place).insert(place);
        }
    }

    /// One receiver less holds it.
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

    /// The first needed place of `held` that is fresh, and whether it is one of `own`, which come first.
    pub(super) fn fresh(&self, held: &ChunkSet, own: &ChunkSet) -> Option<(u64, bool)> {
        first_of(&self.needed[0], held, own)
    }

    /// The rarest needed place of `held`, of several one of `own` if there is one, and of these the
    /// first. Fresh ones are left out.
    pub(super) fn rarest(&self, held: &ChunkSet, own: &ChunkSet) -> Option<u64> {
        let mut ranks = self.needed[1..].iter().filter(|rank| !rank.is_empty());
        ranks.find_map(|rank| first_of(rank, held, own)).map(|(place, _)| place)
    }

    /// Whether that place is held by no receiver.
    pub(super) fn is_fresh(&self, place: u64) -> bool {
        self.holders[place as usize] == 0
    }

    /// Whether something is needed that a receiver holds, or one of these origins.
    pub(super) fn is_waiting<'a>(&self, mut origins: impl Iterator<Item = &'a ChunkSet>) -> bool {
        let is_fresh = |held: &ChunkSet| self.needed[0].first_common(held).is_some();
        self.needed[1..].iter().any(|rank| !rank.is_empty()) || origins.any(is_fresh)
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

fn first_of(rank: &ChunkSet, held: &ChunkSet, own: &ChunkSet) -> Option<(u64, bool)> {
    let of_own = rank.first_common_of(held, own).map(|place| (place, true));
    of_own.or_else(|| rank.first_common(held).map(|place| (place, false)))
}
