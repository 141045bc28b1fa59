//! How a stream of nanoseconds spreads: percentiles and the largest value, in bounded memory.
//! Never keeps single values and never prints them.

use hdrhistogram::Histogram;
use serde::Serialize;

/// Values below it are not told apart: a clock reading alone takes about as long.
const VALUE_NS_MIN: u64 = 64;
/// Larger values count as this one, but for the largest, which is kept as it is.
const VALUE_NS_MAX: u64 = 60_000_000_000;
/// Percentiles are at most 1 % above the true value; 12 KiB for each [`Spread`].
const DIGITS: u8 = 2;

/// The distribution of values in nanoseconds. All its memory is taken at the start: recording
/// neither allocates nor fails.
///
/// One bin counts up to `u32::MAX` values and then stays there; a week at one value a millisecond
/// is a seventh of that.
#[derive(Clone, Debug)]
pub struct Spread {
    bins: Histogram<u32>,
    max_ns: u64,
}

/// Percentiles in nanoseconds, 1 % or 64 ns above the true value at most; `max` is exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Percentiles {
    /// The median.
    pub p50: u64,
    /// 90 of 100 values are not above.
    pub p90: u64,
    /// 99 of 100 values are not above.
    pub p99: u64,
    /// 999 of 1000 values are not above.
    pub p999: u64,
    /// The largest value.
    pub max: u64,
}

impl Default for Spread {
    fn default() -> Spread {
        Spread::new()
    }
}

impl Spread {
    /// Without any values.
    pub fn new() -> Spread {
        let bins = Histogram::new_with_bounds(VALUE_NS_MIN, VALUE_NS_MAX, DIGITS);
        Spread { bins: bins.expect("the bounds are in order"), max_ns: 0 }
    }

    /// Adds one value.
    pub fn record(&mut self, value_ns: u64) {
        self.max_ns = self.max_ns.max(value_ns);
        self.bins.saturating_record(value_ns.min(VALUE_NS_MAX));
    }

    /// Adds all values of `other`.
    pub fn merge(&mut self, other: &Spread) {
        self.max_ns = self.max_ns.max(other.max_ns);
        self.bins.add(&other.bins).expect("all spreads have the same bounds");
    }

    /// Values so far.
    pub fn count(&self) -> u64 {
        self.bins.len()
    }

    /// The mean, for tools that know no other figure; percentiles say more. `None` without values.
    pub fn mean_ns(&self) -> Option<u64> {
        (!self.bins.is_empty()).then(|| self.bins.mean() as u64)
    }

    /// The percentiles by the nearest rank; `None` without values.
    pub fn percentiles(&self) -> Option<Percentiles> {
        if self.bins.is_empty() {
            return None;
        }
        let at = |quantile| match self.bins.value_at_quantile(quantile) {
            // Only full bins lead there: the values they did not count are missing at the end.
            0 => self.max_ns,
            value_ns => value_ns.min(self.max_ns),
        };
        Some(Percentiles { p50: at(0.5), p90: at(0.9), p99: at(0.99), p999: at(0.999), max: self.max_ns })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn spread(values: impl IntoIterator<Item = u64>) -> Spread {
        let mut spread = Spread::new();
        values.into_iter().for_each(|value| spread.record(value));
        spread
    }

    #[test]
    fn percentiles_of_a_thousand() {
        let of = spread((1..=1000).map(|value| value * 1000)).percentiles().unwrap();
        let near = |found: u64, truth: u64| found >= truth && found <= truth + truth / 100;
        assert!(near(of.p50, 500_000) && near(of.p90, 900_000), "{of:?}");
        assert!(near(of.p99, 990_000) && near(of.p999, 999_000), "{of:?}");
        assert_eq!(of.max, 1_000_000);
    }

    #[test]
    fn few_values_and_none() {
        assert_eq!(Spread::new().percentiles(), None);
        assert_eq!(Spread::new().count(), 0);
        let one = spread([12_345]).percentiles().unwrap();
        assert_eq!((one.p50, one.max), (12_345, 12_345), "no percentile is above the largest value");
        let zero = spread([0]).percentiles().unwrap();
        assert_eq!((zero.p999, zero.max), (0, 0));
    }

    #[test]
    fn values_beyond_the_bounds_are_counted() {
        let of = spread([u64::MAX, 0, VALUE_NS_MAX, 61_000_000_000]);
        let found = of.percentiles().unwrap();
        assert_eq!((of.count(), found.max), (4, u64::MAX));
        assert!(found.p999 >= VALUE_NS_MAX && found.p999 < VALUE_NS_MAX + VALUE_NS_MAX / 100);
    }

    #[test]
    fn memory_is_bounded() {
        assert!(Spread::new().bins.distinct_values() * size_of::<u32>() <= 12 << 10);
    }

    #[test]
    fn names_are_those_of_the_report() {
        let shown = serde_json::to_string(&spread([7]).percentiles()).unwrap();
        assert_eq!(shown, r#"{"p50":7,"p90":7,"p99":7,"p999":7,"max":7}"#);
    }

    fn value() -> impl Strategy<Value = u64> {
        prop_oneof![0..2_000_u64, 0..20_000_000_u64, 0..VALUE_NS_MAX]
    }

    proptest! {
        #[test]
        fn percentiles_are_near_the_truth(mut values in prop::collection::vec(value(), 1..400)) {
            let of = spread(values.iter().copied());
            let found = of.percentiles().unwrap();
            values.sort_unstable();
            for (quantile, found) in [(0.5, found.p50), (0.9, found.p90), (0.99, found.p99), (0.999, found.p999)] {
                let rank = (quantile * values.len() as f64).ceil() as usize;
                let truth = values[rank.max(1) - 1];
                prop_assert!(found >= truth && found <= truth + (truth / 100).max(VALUE_NS_MIN));
            }
            prop_assert_eq!(found.max, *values.last().unwrap());
            prop_assert_eq!(of.count(), values.len() as u64);
        }

        #[test]
        fn merged_is_as_if_recorded_together(one in prop::collection::vec(value(), 0..50), two in prop::collection::vec(any::<u64>(), 0..50)) {
            let mut merged = spread(one.iter().copied());
            merged.merge(&spread(two.iter().copied()));
            let together = spread(one.into_iter().chain(two));
            prop_assert_eq!(merged.percentiles(), together.percentiles());
            prop_assert_eq!(merged.count(), together.count());
        }
    }
}
