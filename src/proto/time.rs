//! Two clocks that cannot be mixed: [`Mono`] for every period and deadline, [`Wall`] for what is
//! written down. Never reads either; the driver samples them into a [`Now`].

use std::fmt;
use std::ops::{Add, Sub};
use std::str::FromStr;
use std::time::Duration;

/// Nanoseconds in a second.
pub const SECOND_NS: u64 = 1_000_000_000;

/// Monotonic time: nanoseconds since the driver started. Never steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mono(pub u64);

/// Wall-clock time: nanoseconds since 1970-01-01 UTC. May step; compare it with care.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wall(pub u64);

/// Both clocks, sampled together by the driver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// For deadlines.
    pub mono: Mono,
    /// For records.
    pub wall: Wall,
}

impl Mono {
    /// Nanoseconds from `earlier` to `self`; 0 if `earlier` is later.
    pub fn since_ns(self, earlier: Mono) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Mono {
    type Output = Mono;
    fn add(self, duration: Duration) -> Mono {
        Mono(self.0.saturating_add(ns(duration)))
    }
}

impl Sub<Mono> for Mono {
    type Output = Duration;
    fn sub(self, earlier: Mono) -> Duration {
        Duration::from_nanos(self.since_ns(earlier))
    }
}

/// A duration in nanoseconds; 584 years at most.
pub const fn ns(duration: Duration) -> u64 {
    let ns = duration.as_nanos();
    if ns > u64::MAX as u128 { u64::MAX } else { ns as u64 }
}

/// A duration as it is typed and shown: `10ms`, `30s`, `5m`, `1h30m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period(pub Duration);

/// What is wrong with a typed duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a duration; write it like 10ms, 30s, 5m or 1h30m")]
pub struct PeriodError(String);

const UNITS: [(&str, u64); 6] = [
    ("h", 3600 * SECOND_NS),
    ("m", 60 * SECOND_NS),
    ("s", SECOND_NS),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

impl FromStr for Period {
    type Err = PeriodError;

    /// # Errors
    /// If the text is not a sequence of whole numbers, each with one of the units `h m s ms us ns`.
    fn from_str(text: &str) -> Result<Period, PeriodError> {
        let wrong = || PeriodError(text.chars().take(40).collect());
        let mut rest = text;
        let mut total_ns: u64 = 0;
        loop {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let number: u64 = rest[..digits].parse().map_err(|_| wrong())?;
            rest = &rest[digits..];
            let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
            let (_, unit_ns) = UNITS.iter().find(|unit| unit.0 == &rest[..letters]).ok_or_else(wrong)?;
            rest = &rest[letters..];
            let part_ns = number.checked_mul(*unit_ns).ok_or_else(wrong)?;
            total_ns = total_ns.checked_add(part_ns).ok_or_else(wrong)?;
            if rest.is_empty() {
                return Ok(Period(Duration::from_nanos(total_ns)));
            }
        }
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left_ns = ns(self.0);
        if left_ns == 0 {
            return f.write_str("0s");
        }
        for (unit, unit_ns) in UNITS {
            if left_ns >= unit_ns {
                write!(f, "{}{unit}", left_ns / unit_ns)?;
                left_ns %= unit_ns;
            }
        }
        Ok(())
    }
}

/// A duration in words, to the second, or to the millisecond below one second:
/// `5 minutes`, `3 minutes 12 seconds`, `250 milliseconds`.
pub struct Words(pub Duration);

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = ns(self.0).saturating_add(500_000) / 1_000_000;
        if millis < 1000 {
            return write_unit(f, millis, "millisecond");
        }
        let seconds = (millis + 500) / 1000;
        let parts = [(seconds / 3600, "hour"), (seconds / 60 % 60, "minute"), (seconds % 60, "second")];
        let mut gap = "";
        for (count, unit) in parts.into_iter().filter(|part| part.0 > 0) {
            f.write_str(gap)?;
            write_unit(f, count, unit)?;
            gap = " ";
        }
        Ok(())
    }
}

fn write_unit(f: &mut fmt::Formatter<'_>, count: u64, unit: &str) -> fmt::Result {
    let plural = if count == 1 { "" } else { "s" };
    write!(f, "{count} {unit}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_are_read_and_shown() {
        for (text, expected_ns) in [
            ("10ms", 10_000_000),
            ("30s", 30 * SECOND_NS),
            ("5m", 300 * SECOND_NS),
            ("1h30m", 5400 * SECOND_NS),
            ("0s", 0),
            ("7ns", 7),
        ] {
            let period: Period = text.parse().unwrap();
            assert_eq!(ns(period.0), expected_ns, "{text}");
            assert_eq!(period.to_string(), text);
        }
    }

    #[test]
    fn what_is_no_period_is_refused() {
        for text in
            ["", "5", "ms", "5 m", "-5s", "5.5s", "5x", "5m5", "99999999999999999999s", "9999999999h", "5é"]
        {
            assert!(text.parse::<Period>().is_err(), "{text}");
        }
    }

    #[test]
    fn words_round_to_the_second() {
        for (millis, expected) in [
            (300_000, "5 minutes"),
            (300_049, "5 minutes"),
            (192_000, "3 minutes 12 seconds"),
            (1_000, "1 second"),
            (250, "250 milliseconds"),
            (999, "999 milliseconds"),
            (0, "0 milliseconds"),
            (3_661_000, "1 hour 1 minute 1 second"),
        ] {
            assert_eq!(Words(Duration::from_millis(millis)).to_string(), expected);
        }
    }

    #[test]
    fn the_longest_duration_has_words() {
        assert_eq!(Words(Duration::MAX).to_string(), "5124095 hours 34 minutes 34 seconds");
    }

    #[test]
    fn monotonic_time_saturates() {
        assert_eq!(Mono(5) - Mono(9), Duration::ZERO);
        assert_eq!(Mono(u64::MAX) + Duration::from_secs(1), Mono(u64::MAX));
    }
}
