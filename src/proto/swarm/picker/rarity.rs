//! How many receivers hold each chunk, and which of the needed ones is the rarest that somebody holds.
//! Counts what it is told; does not know the sources.
//!
//! Origins are not counted: they hold everything, so they make nothing rarer than another. A chunk that
//! no receiver holds is *fresh*: only an origin can bring it into the swarm.

use crate::proto::limits::RARITY_MAX;
use crate::proto::swarm::ChunkSet;

/// Needed chunks by the number of receivers that hold them.
#[derive(Debug)]
pub(super) struct Rarity {
    holders: Vec<u32>,
    /// The needed ones with 0, 1, 2, ... holders; the last has those with more, too.
    needed: Vec<ChunkSet>,
}

impl Rarity {
    /// Everything is needed, and nobody has anything.
    pub(super) fn new(chunks: u64) -> Rarity {
        let mut needed = vec![ChunkSet::new(chunks); RARITY_MAX + 1];
        needed[0] = ChunkSet::full(chunks);
        Rarity { holders: vec![0; chunks as usize], needed }
    }

    fn rank(&mut self, chunk: u64) -> &mut ChunkSet {
        let holders = self.holders[chunk as usize] as usize;
        &mut self.needed[holders.min(RARITY_MAX)]
    }

    /// One more receiver holds it. Returns whether it was fresh, and is needed.
    pub(super) fn gain(&mut self, chunk: u64) -> bool {
        let was_fresh = self.is_fresh(chunk);
        let is_needed = self.rank(chunk).remove(chunk);
        self.holders[chunk as usize] += 1;
        if is_needed {
            self.rank(chunk).insert(chunk);
        }
        is_needed && was_fresh
    }

    /// One receiver less holds it.
    pub(super) fn lose(&mut self, chunk: u64) {
        let is_needed = self.rank(chunk).remove(chunk);
        self.holders[chunk as usize] -= 1;
        if is_needed {
            self.rank(chunk).insert(chunk);
        }
    }

    pub(super) fn set_needed(&mut self, chunk: u64, is_needed: bool) {
        if is_needed {
            self.rank(chunk).insert(chunk);
        } else {
            self.rank(chunk).remove(chunk);
        }
    }

    /// Needed chunks that no receiver holds.
    pub(super) fn fresh(&self) -> &ChunkSet {
        &self.needed[0]
    }

    /// The rarest needed chunk of `held` that is not fresh, of several the first from `from` on, and then
    /// from the beginning of the file.
    pub(super) fn rarest(&self, held: &ChunkSet, from: u64) -> Option<u64> {
        let mut ranks = self.needed[1..].iter().filter(|rank| !rank.is_empty());
        ranks.find_map(|rank| {
            rank.first_common(held, from..u64::MAX).or_else(|| rank.first_common(held, 0..from))
        })
    }

    /// Whether that chunk is held by no receiver.
    pub(super) fn is_fresh(&self, chunk: u64) -> bool {
        self.holders[chunk as usize] == 0
    }

    /// Whether something is needed that a receiver holds, or one of these origins.
    pub(super) fn is_waiting<'a>(&self, mut origins: impl Iterator<Item = &'a ChunkSet>) -> bool {
        let is_fresh = |held: &ChunkSet| self.needed[0].first_common(held, 0..u64::MAX).is_some();
        self.needed[1..].iter().any(|rank| !rank.is_empty()) || origins.any(is_fresh)
    }

    pub(super) fn is_needed(&self, chunk: u64) -> bool {
        self.needed[(self.holders[chunk as usize] as usize).min(RARITY_MAX)].contains(chunk)
    }

    /// Panics if a chunk is in a rank that is not its own, or does not have so many holders.
    pub(super) fn check_invariants(&self, holders: impl Fn(u64) -> u32) {
        for (chunk, count) in (0..).zip(&self.holders) {
            assert_eq!(*count, holders(chunk), "holders are counted");
            let ranks = self.needed.iter().enumerate().filter(|(_, rank)| rank.contains(chunk));
            assert!(ranks.into_iter().all(|(rank, _)| rank == (*count as usize).min(RARITY_MAX)));
        }
    }
}
