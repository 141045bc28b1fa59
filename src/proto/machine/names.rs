//! Names of files that are made of others, alike by drivers and machines: for an older file that is moved out of the
//! way, for a new one that is not whole, for one whose name is taken or too long. Touches no file.

use crate::proto::limits::ENDING_BYTES_MAX;

/// The name to try after `number` names for an older file were taken: `a.txt`, `a.1.txt`, `a.2.txt`.
/// An ending of a few letters stays the last, so that the file is still known for what it is.
pub fn aside_name(aside: &str, number: u32) -> String {
    let is_ending = |end: &str| (1..=4).contains(&end.len()) && end.bytes().all(|b| b.is_ascii_alphabetic());
    match aside.rsplit_once('.') {
        _ if number == 0 => aside.to_owned(),
        Some((stem, end)) if is_ending(end) => format!("{stem}.{number}.{end}"),
        _ => format!("{aside}.{number}"),
    }
}

/// What a file of [`OpenMode::Fresh`](crate::proto::machine::OpenMode::Fresh) is called until it is finished:
/// `photo.jpg.0badcafe.temp`.
pub fn temp_name(name: &str, tag: u32) -> String {
    format!("{name}.{tag:08x}.temp")
}

/// Whether a file is called so.
pub fn is_temp_name(name: &str) -> bool {
    let is_tag =
        |tag: &str| tag.len() == 8 && tag.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let stem = name.strip_suffix(".temp").and_then(|rest| rest.rsplit_once('.'));
    stem.is_some_and(|(stem, tag)| !stem.is_empty() && is_tag(tag))
}

/// The name to try when `number` names for a new file were taken: `photo.jpg`, `photo.jpg.1`, `photo.jpg.2`.
pub fn numbered_name(name: &str, number: u32) -> String {
    if number == 0 { name.to_owned() } else { format!("{name}.{number}") }
}

/// The name with at most so many bytes (more than [`ENDING_BYTES_MAX`]), cut between two characters. A short ending stays,
/// so that the file is still known for what it is.
pub fn shortened_name(mut name: String, bytes_max: usize) -> String {
    if name.len() <= bytes_max {
        return name;
    }
    let dot = name.rfind('.').filter(|dot| name.len() - dot <= ENDING_BYTES_MAX);
    let ending = name.split_off(dot.unwrap_or(name.len()));
    let mut stem = bytes_max - ending.len();
    while !name.is_char_boundary(stem) {
        stem -= 1;
    }
    name.truncate(stem);
    name + &ending
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_aside_keep_their_ending() {
        for (aside, expected) in [
            ("a/client_0_TimeData.20261121T025300Z.txt", "a/client_0_TimeData.20261121T025300Z.12.txt"),
            ("client_a.b_samples.20261121T025300Z.csv", "client_a.b_samples.20261121T025300Z.12.csv"),
            ("client_0_received.20261121T025300Z", "client_0_received.20261121T025300Z.12"),
            ("a.b/old", "a.b/old.12"),
            ("old.", "old..12"),
        ] {
            assert_eq!(
                (aside_name(aside, 0), aside_name(aside, 12)),
                (aside.to_owned(), expected.to_owned())
            );
        }
    }

    #[test]
    fn long_names_keep_a_short_ending() {
        for (name, expected) in [
            ("holidays at sea.jpg", "holidays at sea.jpg"),
            ("holidays at the sea.jpg", "holidays at the .jpg"),
            ("sea.by_night_and_by_day", "sea.by_night_and_by_"),
            ("ääääääääää.jpg", "ääääääää.jpg"),
            ("x.ääääääääää", "x.äääääääää"),
            ("äääääääääää", "ääääääääää"),
            (".holidays_at_the_sea_", ".holidays_at_the_sea"),
        ] {
            assert_eq!(shortened_name(name.to_owned(), 20), expected, "{name}");
        }
    }

    #[test]
    fn unfinished_files_are_known_by_their_names() {
        assert_eq!(temp_name("photo.jpg", 0xbad_cafe), "photo.jpg.0badcafe.temp");
        for (name, expected) in [
            (temp_name("a", 0).as_str(), true),
            (temp_name("ä b", u32::MAX).as_str(), true),
            ("a.temp", false),
            ("a.0badcaf.temp", false),
            ("a.0BADCAFE.temp", false),
            (".0badcafe.temp", false),
            ("a.0badcafe.temp.1", false),
        ] {
            assert_eq!(is_temp_name(name), expected, "{name}");
        }
        assert_eq!([0, 1, 12].map(|number| numbered_name("a.txt", number)), ["a.txt", "a.txt.1", "a.txt.12"]);
    }
}
