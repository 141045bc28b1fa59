//! Under which name a file is stored: what a client calls it, made into one plain name in the folder. Looks at no
//! folder; a name that is taken gets a number when the file is finished.

use crate::proto::limits::STORED_NAME_BYTES_MAX;
use crate::proto::machine::{is_temp_name, shortened_name};
use crate::proto::text::Masked;

/// What is wrong with a name that nothing can be made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadName {
    /// Nothing is left of it without its folders.
    Empty,
    /// `.` or `..`.
    Dots,
    /// A zero byte, which ends a name everywhere else.
    Zero,
    /// Not UTF-8.
    NotUtf8,
}

/// The name for a file that a client calls so: without folders and drives, `_` for each character that cannot be seen
/// or would change how others are read, and not longer than [`STORED_NAME_BYTES_MAX`].
///
/// # Errors
/// If nothing can be made of it.
pub(super) fn stored_name(sent: &[u8]) -> Result<String, BadName> {
    let text = std::str::from_utf8(sent).map_err(|_| BadName::NotUtf8)?;
    if text.contains('\0') {
        return Err(BadName::Zero);
    }
    let base = without_drive(text.rsplit(['/', '\\']).next().unwrap_or_default());
    match base {
        "" => return Err(BadName::Empty),
        "." | ".." => return Err(BadName::Dots),
        _ => {}
    }
    // One byte less, for the mark below.
    let mut name = shortened_name(Masked(base).to_string(), STORED_NAME_BYTES_MAX - 1);
    if is_temp_name(&name) {
        name.push('_');
    }
    Ok(name)
}

/// `C:x` is `x` in the folder where somebody is on that drive.
fn without_drive(mut base: &str) -> &str {
    while let [letter, b':', ..] = base.as_bytes()
        && letter.is_ascii_alphabetic()
    {
        base = &base[2..];
    }
    base
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::proto::machine::{numbered_name, temp_name};

    fn stored(sent: &str) -> Result<String, BadName> {
        stored_name(sent.as_bytes())
    }

    #[test]
    fn ordinary_names_stay() {
        for name in [
            "a",
            "photo.jpg",
            "Grüße 2026.txt",
            "你好",
            "a b",
            ".hidden",
            "...",
            "-rf",
            "ab:c.txt",
            "1:2",
            "x~",
            "a.temp",
        ] {
            assert_eq!(stored(name).as_deref(), Ok(name));
        }
    }

    #[test]
    fn folders_and_drives_are_left_out() {
        for (sent, expected) in [
            ("/a/b", "b"),
            ("../../etc/passwd", "passwd"),
            ("..\\x", "x"),
            ("C:\\x", "x"),
            ("C:x", "x"),
            ("c:D:x", "x"),
            ("a/b\\c", "c"),
            ("\\\\host\\share\\x.txt", "x.txt"),
        ] {
            assert_eq!(stored(sent).as_deref(), Ok(expected), "{sent}");
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for (sent, expected) in [
            ("", BadName::Empty),
            ("/", BadName::Empty),
            ("a/", BadName::Empty),
            ("a\\", BadName::Empty),
            ("C:", BadName::Empty),
            ("C:\\", BadName::Empty),
            (".", BadName::Dots),
            ("..", BadName::Dots),
            ("a/..", BadName::Dots),
            ("C:..", BadName::Dots),
            ("a\0b", BadName::Zero),
            ("\0", BadName::Zero),
            ("a\0/b", BadName::Zero),
        ] {
            assert_eq!(stored(sent), Err(expected), "{sent:?}");
        }
        for sent in [b"\xff".as_slice(), b"a\xc3", b"\xed\xa0\x80", b"\xc0\xae\xc0\xae/x"] {
            assert_eq!(stored_name(sent), Err(BadName::NotUtf8));
        }
    }

    #[test]
    fn what_is_not_seen_is_masked() {
        for (sent, expected) in [
            ("a\nb\x1b[31m", "a_b_[31m"),
            ("\u{202e}txt.exe", "_txt.exe"),
            ("a\u{200b}.txt", "a_.txt"),
            ("..\u{200b}", ".._"),
            ("\u{feff}", "_"),
            ("👨\u{200d}👩", "👨\u{200d}👩"),
        ] {
            assert_eq!(stored(sent).as_deref(), Ok(expected), "{sent:?}");
        }
    }

    #[test]
    fn long_names_keep_their_ending() {
        let max = STORED_NAME_BYTES_MAX - 1;
        let long = "x".repeat(5000);
        assert_eq!(stored(&long).unwrap(), "x".repeat(max));
        assert_eq!(stored(&format!("{long}.jpg")).unwrap(), format!("{}.jpg", "x".repeat(max - 4)));
        assert_eq!(stored(&format!("x.{long}")).unwrap(), format!("x.{}", "x".repeat(max - 2)));
        assert_eq!(stored(&format!(".{long}")).unwrap(), format!(".{}", "x".repeat(max - 1)));
        let wide = stored(&format!("{}.jpg", "é".repeat(300))).unwrap();
        assert_eq!(wide, format!("{}.jpg", "é".repeat((max - 4) / 2)));
        assert_eq!(stored(&"x".repeat(max)).unwrap(), "x".repeat(max));
    }

    #[test]
    fn nothing_is_stored_as_if_it_were_unfinished() {
        assert_eq!(stored("a.0badcafe.temp").unwrap(), "a.0badcafe.temp_");
        let long = stored(&format!("{}.0badcafe.temp", "x".repeat(STORED_NAME_BYTES_MAX - 14))).unwrap();
        assert!(!is_temp_name(&long) && long.len() <= STORED_NAME_BYTES_MAX, "{long}");
    }

    proptest! {
        #[test]
        fn any_bytes_become_one_plain_name_or_none(
            sent in prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..400),
                r"(\PC|\pC|[./\\:C\x00]|\.[0-9a-f]{8}\.temp){0,300}".prop_map(String::into_bytes),
                r"[.]{0,300}|([a-z/]|\.0badcafe\.temp|é){200,260}".prop_map(String::into_bytes),
            ],
        ) {
            let Ok(name) = stored_name(&sent) else { return Ok(()) };
            prop_assert!(!name.is_empty() && name.len() <= STORED_NAME_BYTES_MAX);
            prop_assert!(name != "." && name != "..");
            prop_assert!(!name.contains(['/', '\\', '\0']) && !name.contains(char::is_control));
            prop_assert!(!is_temp_name(&name) && !is_temp_name(&numbered_name(&name, 7)));
            prop_assert!(is_temp_name(&temp_name(&name, 7)));
            prop_assert_eq!(std::path::Path::new(&name).components().count(), 1);
            if name.len() < STORED_NAME_BYTES_MAX {
                prop_assert_eq!(stored_name(name.as_bytes()), Ok(name), "it would get another name the next time");
            }
        }
    }
}
