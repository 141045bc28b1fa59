//! Sizes and rates as they are typed. Knows no flag.

use std::fmt;
use std::str::FromStr;

use crate::app::summary::bytes;

/// Bytes, written `500MB`, `1GiB`, `100B`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::app) struct Size(pub(in crate::app) u64);

/// Bytes per second, written `2MB/s`, `500kB/s`, `1MiB/s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::app) struct Rate(pub(in crate::app) u64);

/// A whole number of bytes above 0, with its unit.
fn amount(text: &str) -> Option<u64> {
    let digits = text.len() - text.trim_start_matches(|byte: char| byte.is_ascii_digit()).len();
    let unit: u64 = match &text[digits..] {
        "B" => 1,
        "kB" => 1000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        _ => return None,
    };
    let number: u64 = text[..digits].parse().ok()?;
    number.checked_mul(unit).filter(|amount| *amount > 0)
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Size, String> {
        let wrong = || format!("{text} is not a size; write it like 500MB, 1GiB or 100B");
        amount(text).map(Size).ok_or_else(wrong)
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Rate, String> {
        let wrong = || format!("{text} is not a rate; write it like 2MB/s, 500kB/s or 1MiB/s");
        text.strip_suffix("/s").and_then(amount).map(Rate).ok_or_else(wrong)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", bytes(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_units() {
        for (text, bytes) in [
            ("2MB", 2_000_000),
            ("1MiB", 1 << 20),
            ("7B", 7),
            ("500kB", 500_000),
            ("1GiB", 1 << 30),
            ("3TB", 3_000_000_000_000),
        ] {
            assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
            assert_eq!(format!("{text}/s").parse(), Ok(Rate(bytes)), "{text}/s");
        }
        for text in ["", "2", "MB", "0MB", "-1MB", "1.5MB", "99999999999999GB", "2mb", "2 MB", "2MB/"] {
            assert!(text.parse::<Size>().is_err(), "{text}");
            assert!(format!("{text}/s").parse::<Rate>().is_err(), "{text}/s");
        }
        assert!("2MB".parse::<Rate>().is_err() && "2MB/s".parse::<Size>().is_err());
    }
}
