//! Which flags `server` has, what they are called elsewhere, and which name is nearest to a wrong one.

use argh::{ArgsInfo as _, FlagInfo, FlagInfoKind, Optionality};

use crate::app::cli::config::{Origin, Setting};
use crate::app::cli::server::TypedServer;

/// What is said of one start, and not of a server: only on the command line. A server that `systemd` or a container has
/// started must not go to the background because a file says so.
const ONLY_TYPED: [&str; 5] = ["--help", "--config", "--check-config", "--print-config", "--daemon"];
/// What can be named by a variable, all the same.
pub(super) const CONFIG: &str = "--config";

/// The flags of `server`.
pub(super) struct Flags {
    all: &'static [FlagInfo<'static>],
}

impl Flags {
    pub(super) fn of_server() -> Flags {
        Flags { all: TypedServer::get_args_info().flags }
    }

    /// Those that a file may have, in the order of `--help`.
    pub(super) fn iter(&self) -> impl Iterator<Item = &'static FlagInfo<'static>> {
        self.all.iter().filter(|flag| !ONLY_TYPED.contains(&flag.long))
    }

    /// The flag that a key of a file stands for.
    pub(super) fn of_key(&self, name: &str) -> Option<&'static FlagInfo<'static>> {
        self.iter().find(|flag| key(flag.long) == name)
    }

    /// Why a key is none, and which one may have been meant.
    pub(super) fn unknown(&self, name: &str) -> String {
        if ONLY_TYPED.iter().any(|flag| key(flag) == name) {
            return format!("--{} is only for the command line", name.replace('_', "-"));
        }
        match self.nearest(name) {
            Some(near) => format!("there is no such key; is {near} meant?"),
            None => "there is no such key; `tickmesh server --print-config` shows all".to_owned(),
        }
    }

    /// The key that is most like a wrong one, if any is.
    pub(super) fn nearest(&self, name: &str) -> Option<String> {
        let name = name.to_lowercase().replace('-', "_");
        let keys = self.iter().map(|flag| key(flag.long)).map(|key| (distance(&name, &key), key));
        keys.min().filter(|(distance, key)| *distance <= key.len().div_ceil(3)).map(|(_, key)| key)
    }

    /// What was typed, which was understood already.
    pub(super) fn typed(&self, words: &[&str]) -> Vec<Setting> {
        let mut words = words.iter();
        let mut settings = Vec::new();
        while let Some(word) = words.next() {
            let Some(flag) = self.all.iter().find(|flag| flag.long == *word) else { continue };
            let is_switch = is_switch(flag);
            let value = if is_switch { Some(&"true") } else { words.next() };
            let value = value.copied().unwrap_or_default().to_owned();
            settings.push(Setting { flag: flag.long, value, is_switch, origin: Origin::Typed });
        }
        settings
    }
}

pub(super) fn is_switch(flag: &FlagInfo<'_>) -> bool {
    matches!(flag.kind, FlagInfoKind::Switch)
}

pub(super) fn is_list(flag: &FlagInfo<'_>) -> bool {
    matches!(flag.optionality, Optionality::Repeating)
}

/// What a flag is called in a file.
pub(super) fn key(flag: &str) -> String {
    flag.trim_start_matches('-').replace('-', "_")
}

/// What a flag is called in the environment.
pub(super) fn variable(flag: &str) -> String {
    format!("TICKMESH_{}", key(flag).to_uppercase())
}

/// The flags that a text names, in order.
pub(super) fn named_in(text: &str) -> impl Iterator<Item = &str> {
    let is_part = |letter: char| letter == '-' || letter.is_ascii_lowercase();
    text.match_indices("--").filter_map(move |(start, _)| {
        let flag = &text[start..];
        let end = flag.find(|letter| !is_part(letter)).unwrap_or(flag.len());
        let is_flag = flag[2..].starts_with(|letter: char| letter.is_ascii_lowercase());
        (is_flag && !text[..start].ends_with(is_part)).then(|| &flag[..end])
    })
}

/// The default in a flag's help, if it is a value and not an explanation: `(default 10ms)`.
pub(super) fn default_of(flag: &FlagInfo<'_>) -> Option<String> {
    let (_, rest) = flag.description.split_once("(default ")?;
    let (value, _) = rest.split_once(')')?;
    (!value.contains([' ', '$'])).then(|| value.to_owned())
}

/// How many letters have to be put in, taken out or changed (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.bytes().enumerate() {
            let changed = diagonal + usize::from(x != y);
            diagonal = std::mem::replace(&mut row[j + 1], 0);
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found() {
        let flags = Flags::of_server();
        for (wrong, right) in [
            ("intervall", Some("interval")),
            ("log-file", Some("log_file")),
            ("Listen", Some("listen")),
            ("upload_file_size", Some("upload_file_max")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(flags.nearest(wrong).as_deref(), right, "{wrong}");
        }
        assert_eq!([distance("", "abc"), distance("abc", "abc"), distance("kitten", "sitting")], [3, 0, 3]);
    }

    #[test]
    fn flags_are_found_in_messages() {
        let found = |text| named_in(text).collect::<Vec<_>>();
        assert_eq!(
            found("--upload-dir is of no use without --upload-listen"),
            ["--upload-dir", "--upload-listen"]
        );
        assert_eq!(found("Error parsing option '--interval' with value '5': no"), ["--interval"]);
        assert!(found("a -- b, a--b, ---").is_empty());
    }
}
