//! What a run writes down, and how it is read back: the table of stamps, the samples of the
//! exchanges, and the sheet that carries rows to the disk. Never opens a file and never decides
//! which stamp belongs in which one.
//!
//! | module | owns |
//! |---|---|
//! | [`ip_text`] | an IP address as rows show it |
//! | [`table`] | the form of a table of stamps, and writing it |
//! | [`names`] | what the files of a run are called |
//! | [`read`] | reading such a table, strictly |
//! | [`samples`] | the four times of each exchange, as CSV, both ways |
//! | [`sheet`] | rows on their way to the disk, and the chunk hashes of what arrived there |

pub mod ip_text;
pub mod names;
pub mod read;
pub mod samples;
pub mod sheet;
pub mod table;

pub use ip_text::IpText;
pub use read::{TableError, TableFacts, read_table};
pub use samples::{Sample, read_samples, write_sample};
pub use sheet::Sheet;
pub use table::{TableWriter, utc_text};

/// A whole number the only way that we write it: decimal digits, no sign, no leading zero.
fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || (text[0] == b'0' && text.len() > 1) {
        return None;
    }
    text.iter().try_fold(0_u64, |number, byte| {
        let digit = u64::from(byte.checked_sub(b'0').filter(|digit| *digit < 10)?);
        number.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use super::decimal;

    #[test]
    fn one_spelling_of_a_number() {
        assert_eq!(decimal(b"0"), Some(0));
        assert_eq!(decimal(b"1207"), Some(1207));
        assert_eq!(decimal(b"18446744073709551615"), Some(u64::MAX));
        for wrong in
            ["", "00", "01", "+1", "-1", "1 ", " 1", "1.0", "0x1", "18446744073709551616", "1\u{661}"]
        {
            assert_eq!(decimal(wrong.as_bytes()), None, "{wrong:?}");
        }
    }
}
