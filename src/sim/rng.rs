//! The one source of chance in a simulated world: a small generator that replays from its seed.
//! Never reads a clock or asks the operating system for randomness.

use std::time::Duration;

use crate::proto::time::ns;

/// SplitMix64: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014;
/// the constants are those of Vigna's version, <https://prng.di.unimi.it/splitmix64.c>.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// The same seed gives the same numbers.
    pub fn new(seed: u64) -> Rng {
        Rng(seed)
    }

    /// 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// A number below `bound`; 0 if `bound` is 0. The bias is below one in 2^32 for what a
    /// simulation asks for (Lemire's multiplication without its rejection step).
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// A place in a list of `len` elements, which must not be empty.
    pub fn index(&mut self, len: usize) -> usize {
        assert!(len > 0, "nothing to choose from");
        self.below(len as u64) as usize
    }

    /// A duration from `from` to `to`, both included.
    pub fn between(&mut self, from: Duration, to: Duration) -> Duration {
        let (from_ns, to_ns) = (ns(from), ns(to));
        Duration::from_nanos(from_ns + self.below(to_ns.saturating_sub(from_ns).saturating_add(1)))
    }

    /// True with that probability. 0 and 1 are exact, and draw nothing.
    pub fn chance(&mut self, probability: f64) -> bool {
        if probability <= 0.0 {
            return false;
        }
        probability >= 1.0 || ((self.next_u64() >> 11) as f64) < probability * (1u64 << 53) as f64
    }

    /// A generator of its own, so that one part's draws do not shift another's.
    pub fn fork(&mut self) -> Rng {
        Rng(self.next_u64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_reference() {
        let mut rng = Rng::new(1_234_567);
        let numbers = [rng.next_u64(), rng.next_u64(), rng.next_u64()];
        assert_eq!(
            numbers,
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]
        );
    }

    #[test]
    fn draws_stay_in_their_range() {
        let mut rng = Rng::new(7);
        let (low, high) = (Duration::from_nanos(5), Duration::from_nanos(8));
        let mut seen = [0; 4];
        for _ in 0..1000 {
            let drawn = rng.between(low, high);
            assert!(drawn >= low && drawn <= high);
            seen[(drawn - low).as_nanos() as usize] += 1;
            assert!(rng.index(3) < 3);
        }
        assert!(seen.iter().all(|count| *count > 150), "{seen:?}");
        assert_eq!(rng.below(0), 0);
        assert_eq!(rng.between(high, low), high);
    }

    #[test]
    fn chance_is_about_right() {
        let mut rng = Rng::new(9);
        let hits = (0..10_000).filter(|_| rng.chance(0.25)).count();
        assert!((2_300..2_700).contains(&hits), "{hits}");
        assert!(!rng.chance(0.0) && rng.chance(1.0));
    }
}
