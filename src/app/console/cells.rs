//! A text as it stands on a terminal: its units, what each looks like, and how many cells it takes. Knows no
//! screen.

use std::borrow::Cow;
use std::fmt::Write as _;

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::proto::text::Shown;

/// Shown in place of a line end in a text of several lines.
const LINE_END: &str = "↵";
const JOINER: char = '\u{200d}';

/// What the cursor passes in one step, with its place: a character, and all that is joined to it.
pub(super) fn units(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut from = 0;
    std::iter::from_fn(move || {
        let start = from;
        let mut before = text[start..].chars().next()?;
        from += before.len_utf8();
        for next in text[from..].chars() {
            let joins = next != '\n' && before != '\n' && (next.width() == Some(0) || before == JOINER);
            if !joins {
                break;
            }
            from += next.len_utf8();
            before = next;
        }
        Some((start, &text[start..from]))
    })
}

/// Where the unit before that place begins.
pub(super) fn before(text: &str, at: usize) -> usize {
    units(text).map(|(start, _)| start).take_while(|start| *start < at).last().unwrap_or(0)
}

/// Where the unit at that place ends.
pub(super) fn after(text: &str, at: usize) -> usize {
    units(&text[at..]).next().map_or(at, |(_, unit)| at + unit.len())
}

/// What a unit looks like, and how many cells it takes.
pub(super) fn look(unit: &str) -> (Cow<'_, str>, usize) {
    if unit == "\n" {
        return (LINE_END.into(), 1);
    }
    if unit.len() == 1 && unit.as_bytes()[0].is_ascii_graphic() || unit == " " {
        return (unit.into(), 1);
    }
    let mut shown = String::new();
    let _ = write!(shown, "{}", Shown(unit));
    let cells = shown.width();
    (shown.into(), cells)
}

/// How many cells a text takes.
pub(super) fn cells(text: &str) -> usize {
    units(text).map(|(_, unit)| look(unit).1).sum()
}

/// As much of a text as fits.
pub(super) fn cut(text: &str, cells_max: usize) -> String {
    let mut kept = String::new();
    let mut cells = 0;
    for (_, unit) in units(text) {
        let (look, width) = look(unit);
        if cells + width > cells_max {
            break;
        }
        cells += width;
        kept.push_str(&look);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_what_people_take_for_one() {
        for (text, expected) in [
            ("", &[][..]),
            ("aé", &["a", "é"]),
            ("e\u{301}x", &["e\u{301}", "x"]),
            ("👨\u{200d}👩\u{200d}👧!", &["👨\u{200d}👩\u{200d}👧", "!"]),
            ("日本", &["日", "本"]),
            ("a\n\u{301}b", &["a", "\n", "\u{301}", "b"]),
        ] {
            assert_eq!(units(text).map(|(_, unit)| unit).collect::<Vec<_>>(), expected);
            let mut at = 0;
            let mut places = vec![0];
            while at < text.len() {
                at = after(text, at);
                places.push(at);
            }
            for pair in places.windows(2) {
                assert_eq!(before(text, pair[1]), pair[0], "{text:?}");
            }
            assert_eq!((before(text, 0), after(text, text.len())), (0, text.len()));
        }
    }

    #[test]
    fn cells_are_those_of_what_is_shown() {
        for (text, expected) in
            [("abc", 3), ("日本", 4), ("e\u{301}", 1), ("a\nb", 3), ("👍", 2), ("\u{202e}", 8), ("\x1b", 6)]
        {
            assert_eq!(cells(text), expected, "{text:?}");
        }
        assert_eq!(cut("日本語", 5), "日本");
        assert_eq!(cut("a\x1b[31m", 7), "a\\u{1b}");
    }
}
