//! Numbers as they stand in lines: one, and a list of them that is read without being copied.

/// Decimal digits only, without a sign or needless zeros, at most `u64::MAX`.
pub(super) fn number(word: &str) -> Option<u64> {
    let strict = word == "0" || !word.starts_with(['0', '+']);
    if strict { word.parse().ok() } else { None }
}

/// At least one number, with one space between two: checked, and still text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbers<'a>(&'a str);

impl<'a> Numbers<'a> {
    /// The numbers of a text, if it is nothing else.
    pub fn parse(text: &'a str) -> Option<Numbers<'a>> {
        text.split(' ').all(|word| number(word).is_some()).then_some(Numbers(text))
    }

    /// As they stand in the line.
    pub fn as_str(&self) -> &'a str {
        self.0
    }

    /// One after the other.
    pub fn iter(&self) -> impl Iterator<Item = u64> + 'a {
        self.0.split(' ').filter_map(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_numbers_are_numbers() {
        assert_eq!(Numbers::parse("1 0 18446744073709551615").unwrap().iter().last(), Some(u64::MAX));
        for wrong in ["", " ", "1 ", " 1", "1  2", "01", "+1", "-1", "x", "18446744073709551616"] {
            assert_eq!(Numbers::parse(wrong), None, "{wrong:?}");
        }
    }
}
