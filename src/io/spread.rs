//! How nanoseconds spread, for as long as a program runs: counting takes a few instructions and no memory. Coarser than what
//! runs are reported with ([`proto::clock`](crate::proto::clock)), and never full.

use std::fmt;

use crate::proto::machine::Quantiles;

/// Places for each doubling of a value: what is said of a value is at most an eighth above it.
const PLACES: usize = 8;
/// Values from 2^36 ns on, over a minute, count as one.
const DOUBLINGS: usize = 36;
const PLACES_ALL: usize = (DOUBLINGS - PLACES.ilog2() as usize + 1) * PLACES;

/// Counts of values in nanoseconds, by their size.
#[derive(Clone)]
pub struct Spread {
    counts: [u64; PLACES_ALL],
    max: u64,
}

impl Default for Spread {
    fn default() -> Spread {
        Spread { counts: [0; PLACES_ALL], max: 0 }
    }
}

impl Spread {
    pub(super) fn count(&mut self, value: u64) {
        self.max = self.max.max(value);
        self.counts[place(value)] += 1;
    }

    /// Values that were counted.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// How they spread; all 0 without values.
    pub fn quantiles(&self) -> Quantiles {
        let total = self.total();
        let at = |part: u64| {
            let rank = (total * part).div_ceil(100);
            let mut below = 0;
            let place = self.counts.iter().position(|count| {
                below += count;
                below >= rank && rank > 0
            });
            place.map_or(0, |place| last_of(place).min(self.max))
        };
        Quantiles { p50: at(50), p99: at(99), max: self.max }
    }
}

impl fmt::Debug for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.quantiles().fmt(f)
    }
}

/// Where a value is counted: small ones each for themselves, the others by their first four binary digits.
fn place(value: u64) -> usize {
    let shift = value.max(1).ilog2().saturating_sub(PLACES.ilog2());
    let place = shift as usize * PLACES + (value >> shift) as usize;
    place.min(PLACES_ALL - 1)
}

/// The largest value that is counted there.
fn last_of(place: usize) -> u64 {
    if place == PLACES_ALL - 1 {
        return u64::MAX;
    }
    let shift = (place / PLACES).saturating_sub(1);
    let first = (place - shift * PLACES) as u64;
    ((first + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_has_a_place_and_the_places_are_in_order() {
        let mut values: Vec<u64> =
            (0..64).flat_map(|bit| [1_u64 << bit, (1 << bit) - 1, (1 << bit) / 3 * 4]).collect();
        values.extend([0, u64::MAX]);
        values.sort_unstable();
        for pair in values.windows(2) {
            assert!(place(pair[0]) <= place(pair[1]), "{pair:?}");
        }
        for value in values {
            let last = last_of(place(value));
            assert!(last >= value, "{value} {last}");
            assert!(value >= 15 << (DOUBLINGS - 4) || last <= value + value / 8, "{value} {last}");
        }
    }

    #[test]
    fn quantiles_are_near_the_truth() {
        let mut spread = Spread::default();
        assert_eq!(spread.quantiles(), Quantiles::default());
        (1..=1000).for_each(|value| spread.count(value * 1000));
        let Quantiles { p50, p99, max } = spread.quantiles();
        assert!((500_000..=562_500).contains(&p50), "{p50}");
        assert!((990_000..=1_000_000).contains(&p99), "{p99}");
        assert_eq!((max, spread.total()), (1_000_000, 1000));
        spread.count(u64::MAX);
        assert_eq!(spread.quantiles().max, u64::MAX);
    }
}
