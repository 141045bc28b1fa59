//! Text from others, made safe for a terminal or a log. Shows what it replaces, and cannot be made to
//! show what was not there; decides nothing about what may be sent.
//!
//! # What is replaced
//!
//! - controls: C0 (ESC, line ends and tabs among them), DEL and C1;
//! - line and paragraph separators;
//! - everything that changes the direction of writing: overrides, embeddings, isolates, marks;
//! - everything that is not seen: Unicode's `Default_Ignorable_Code_Point` (zero-width spaces, the soft
//!   hyphen, fillers, tags, ...) and the marks of interlinear annotation;
//! - code points that will never be characters (`U+FFFE`, `U+FDD0`, ...).
//!
//! Each becomes `\u{1b}`: its number in hexadecimal. A backslash that is followed by `u{` in the text
//! becomes `\u{5c}`, every other backslash stays; so whoever sees `\u{` knows that something was replaced, nobody can
//! type what looks like it, and [`Shown`] can be undone. Apply it once, where the
//! text is shown.
//!
//! The joiners `U+200C` and `U+200D` and the variation selectors are not seen either, but words of some languages and
//! many pictures are made with them: up to two are kept behind a character that is seen
//! and is not ASCII. Letters of languages that are written from right to left stay; they cannot reach
//! beyond their line.

use std::fmt::{self, Write as _};

/// Joiners and variation selectors that stay in a row: `U+FE0F U+200D` in pictures.
const JOINERS_MAX: u32 = 2;

/// What is never shown, as ranges, in order: from Unicode 16, `DerivedCoreProperties.txt` and
/// `UnicodeData.txt`. Surrogates cannot occur in a `str`; noncharacters at the end of each plane are
/// found by their number.
const REPLACED: [(u32, u32); 21] = [
    (0x00, 0x1f),
    (0x7f, 0x9f),
    (0xad, 0xad),
    (0x34f, 0x34f),
    (0x61c, 0x61c),
    (0x115f, 0x1160),
    (0x17b4, 0x17b5),
    (0x180b, 0x180f),
    (0x200b, 0x200f),
    (0x2028, 0x202e),
    (0x2060, 0x206f),
    (0x3164, 0x3164),
    (0xfdd0, 0xfdef),
    (0xfe00, 0xfe0f),
    (0xfeff, 0xfeff),
    (0xffa0, 0xffa0),
    (0xfff0, 0xfffb),
    (0x13430, 0x1343f),
    (0x1bca0, 0x1bca3),
    (0x1d173, 0x1d17a),
    (0xe0000, 0xe0fff),
];

/// A text from somebody else, as it may be shown; without allocation.
pub struct Shown<'a>(pub &'a str);

/// The same with `_` for each character that is replaced: for names of files. It cannot be undone.
pub struct Masked<'a>(pub &'a str);

/// A text from somebody else as it may be logged between quotes, all of it, so that it can be undone as [`Shown`] can: what is between the
/// quotes ends where they do, whatever somebody calls a file.
pub fn quotable(text: &str) -> String {
    Shown(text).to_string().replace('"', "\\u{22}")
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_kept(self.0, f, |f, character| write!(f, "\\u{{{:x}}}", u32::from(character)))
    }
}

impl fmt::Display for Masked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_kept(self.0, f, |f, _| f.write_char('_'))
    }
}

/// Writes a text, and something in place of each character that is replaced.
fn write_kept(
    text: &str,
    f: &mut fmt::Formatter<'_>,
    replace: impl Fn(&mut fmt::Formatter<'_>, char) -> fmt::Result,
) -> fmt::Result {
    // From here on nothing has been written.
    let mut from = 0;
    let mut joiners_left = 0;
    for (at, character) in text.char_indices() {
        let is_joiner = is_joiner(character);
        let is_kept = match character {
            ' '..'\\' | ']'..='~' => true,
            '\\' => !text[at + 1..].starts_with("u{"),
            _ if is_joiner => joiners_left > 0,
            _ => !is_replaced(character),
        };
        joiners_left = match (is_kept, is_joiner) {
            (true, true) => joiners_left - 1,
            (true, false) if !character.is_ascii() => JOINERS_MAX,
            _ => 0,
        };
        if !is_kept {
            f.write_str(&text[from..at])?;
            replace(f, character)?;
            from = at + character.len_utf8();
        }
    }
    f.write_str(&text[from..])
}

fn is_joiner(character: char) -> bool {
    matches!(character, '\u{200c}' | '\u{200d}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}')
}

fn is_replaced(character: char) -> bool {
    let code = u32::from(character);
    let next = REPLACED.partition_point(|(first, _)| *first <= code);
    let in_range = next > 0 && code <= REPLACED[next - 1].1;
    in_range || code & 0xfffe == 0xfffe
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(text: &str) -> String {
        Shown(text).to_string()
    }

    #[test]
    fn nobody_ends_a_quoted_text_early() {
        assert_eq!(quotable("q\" as=\"evil\" bytes=1"), "q\\u{22} as=\\u{22}evil\\u{22} bytes=1");
    }

    /// What was shown, as it was before.
    fn undone(shown: &str) -> String {
        let mut parts = shown.split("\\u{");
        let mut text = parts.next().unwrap().to_owned();
        for part in parts {
            let (digits, rest) = part.split_once('}').expect("every mark has an end");
            let code = u32::from_str_radix(digits, 16).expect("a mark has digits");
            text.push(char::from_u32(code).unwrap());
            text.push_str(rest);
        }
        text
    }

    #[test]
    fn ordinary_text_of_any_language_stays() {
        for text in [
            "",
            "Hello, 100 % of C:\\users\\me {really}",
            "Grüße, ναι, да, 你好, 日本語、한국어",
            "שלום עליכם",
            "مرحبا ١٢٣",
            "می\u{200c}خواهم",
            "👨\u{200d}👩\u{200d}👧 ❤\u{fe0f}\u{200d}🔥 👍🏽 🇩🇪",
            "葛\u{e0100}城",
            "e\u{301} क्\u{200d}ष",
            "a\u{a0}b\u{3000}c",
            "\u{fffd}",
        ] {
            assert_eq!(shown(text), text);
        }
    }

    #[test]
    fn what_can_harm_is_shown_by_its_number() {
        for (text, expected) in [
            ("\x1b[31mred", "\\u{1b}[31mred"),
            ("a\r\nOK b\tc\0", "a\\u{d}\\u{a}OK b\\u{9}c\\u{0}"),
            ("\x7f\u{80}\u{85}\u{9b}2J\u{9f}", "\\u{7f}\\u{80}\\u{85}\\u{9b}2J\\u{9f}"),
            ("\u{202e}txt.exe\u{202c}", "\\u{202e}txt.exe\\u{202c}"),
            ("\u{2066}x\u{2069}\u{200e}\u{200f}\u{61c}", "\\u{2066}x\\u{2069}\\u{200e}\\u{200f}\\u{61c}"),
            ("a\u{200b}b\u{2060}c\u{feff}d\u{ad}e", "a\\u{200b}b\\u{2060}c\\u{feff}d\\u{ad}e"),
            ("a\u{2028}b\u{2029}", "a\\u{2028}b\\u{2029}"),
            ("\u{e0041}\u{e007f}", "\\u{e0041}\\u{e007f}"),
            ("\u{fdd0}\u{ffff}\u{10fffe}", "\\u{fdd0}\\u{ffff}\\u{10fffe}"),
            ("\u{3164}\u{ffa0}\u{115f}\u{34f}", "\\u{3164}\\u{ffa0}\\u{115f}\\u{34f}"),
            ("\u{fff9}a\u{fffb}", "\\u{fff9}a\\u{fffb}"),
        ] {
            assert_eq!(shown(text), expected);
            assert_eq!(undone(expected), text);
        }
    }

    #[test]
    fn joiners_stay_only_where_they_join() {
        assert_eq!(shown("a\u{200d}b"), "a\\u{200d}b");
        assert_eq!(shown("\u{200d}"), "\\u{200d}");
        assert_eq!(shown("é\u{200d}\u{200d}\u{200d}x"), "é\u{200d}\u{200d}\\u{200d}x");
        assert_eq!(shown("é\u{202e}\u{200d}"), "é\\u{202e}\\u{200d}");
        assert_eq!(shown("1\u{fe0f}"), "1\\u{fe0f}");
    }

    #[test]
    fn nobody_can_type_what_looks_replaced() {
        assert_eq!(shown("\\u{1b}[31m"), "\\u{5c}u{1b}[31m");
        assert_eq!(shown("\\\\u{"), "\\\\u{5c}u{");
        assert_eq!(shown("\\\x1b"), "\\\\u{1b}");
        assert_eq!(shown("\\u"), "\\u");
        assert_eq!(shown("\\u\x1b{"), "\\u\\u{1b}{");
    }

    /// One of each general category that a `str` can hold, and whether it is seen behind an ASCII letter.
    #[test]
    fn each_class_of_characters_is_decided() {
        let kept = [
            ("Lu", 'A'),
            ("Ll", 'ß'),
            ("Lt", 'ǅ'),
            ("Lm", 'ʰ'),
            ("Lo", 'ש'),
            ("Mn", '\u{301}'),
            ("Mc", '\u{93e}'),
            ("Me", '\u{20dd}'),
            ("Nd", '٣'),
            ("Nl", 'Ⅷ'),
            ("No", '½'),
            ("Pc", '‿'),
            ("Pd", '—'),
            ("Ps", '⟦'),
            ("Pe", '⟧'),
            ("Pi", '«'),
            ("Pf", '»'),
            ("Po", '%'),
            ("Sm", '∑'),
            ("Sc", '€'),
            ("Sk", '^'),
            ("So", '☃'),
            ("Zs", '\u{a0}'),
            ("Co", '\u{e000}'),
            ("Cf, seen", '\u{600}'),
            ("Cn", '\u{378}'),
        ];
        for (class, character) in kept {
            assert_eq!(shown(&format!("a{character}")), format!("a{character}"), "{class}");
        }
        let replaced = [
            ("Cc", '\u{7}'),
            ("Cf", '\u{202e}'),
            ("Zl", '\u{2028}'),
            ("Zp", '\u{2029}'),
            ("Cn, never", '\u{1fffe}'),
            ("Mn, not seen", '\u{34f}'),
            ("Lo, not seen", '\u{3164}'),
            ("Mn, selector", '\u{fe0f}'),
        ];
        for (class, character) in replaced {
            assert_eq!(
                shown(&format!("a{character}")),
                format!("a\\u{{{:x}}}", u32::from(character)),
                "{class}"
            );
        }
    }

    #[test]
    fn every_character_is_shown_in_a_way_that_can_be_undone() {
        for character in '\0'..=char::MAX {
            let shown = shown(&character.to_string());
            assert!(!shown.contains(char::is_control));
            assert_eq!(undone(&shown), character.to_string());
        }
        assert!(REPLACED.iter().all(|(first, last)| first <= last));
        assert!(REPLACED.windows(2).all(|pair| pair[0].1 < pair[1].0), "the ranges are in order");
    }

    #[test]
    fn a_name_of_a_file_is_masked_where_it_would_be_shown_otherwise() {
        for text in ["a\x1b\u{202e}b\0", "é\u{200d}\u{200d}\u{200d}x", "", "plain", "\u{2028}"] {
            let masked = Masked(text).to_string();
            assert_eq!(masked.chars().count(), text.chars().count());
            assert_eq!(masked == text, shown(text) == text);
        }
    }

    proptest! {
        #[test]
        fn any_text_can_be_undone(text in r"(\PC|\pC|[\\u{}1b]|\x{200d}|\x{202e}){0,40}") {
            let shown = shown(&text);
            prop_assert!(!shown.contains(char::is_control));
            prop_assert_eq!(undone(&shown), text);
        }
    }
}
