//! What Tab makes of the word before the cursor: commands, names of users, names of files. Knows the candidates
//! it is given, and asks nobody.

use std::collections::BTreeSet;

/// What stands for an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    User,
    /// A file that is shared.
    Shared,
    /// A file in our folder.
    Ours,
    Other,
}

/// A command of the console.
pub(super) struct Command {
    pub(super) name: &'static str,
    /// What it is called with, as `help` shows it.
    pub(super) usage: &'static str,
    pub(super) about: &'static str,
    /// Its first argument.
    first: Kind,
}

const fn command(name: &'static str, usage: &'static str, about: &'static str, first: Kind) -> Command {
    Command { name, usage, about, first }
}

/// All of them.
pub(super) const COMMANDS: &[Command] = &[
    command("message", "NAME TEXT", "to one, kept for who is away; also %NAME%TEXT", Kind::User),
    command("broadcast", "TEXT", "to all who are there", Kind::Other),
    command("whoelse", "", "who else is there", Kind::Other),
    command("whoelsesince", "SECONDS", "who else was there within that time", Kind::Other),
    command("block", "NAME", "nothing from that user reaches you any more", Kind::User),
    command("unblock", "NAME", "takes that back", Kind::User),
    command("startprivate", "NAME", "opens a direct link", Kind::User),
    command("private", "NAME TEXT", "over that link, never through the server", Kind::User),
    command("stopprivate", "NAME", "closes it", Kind::User),
    command("register", "FILE [CHUNKS]", "offers a file of your folder", Kind::Ours),
    command("searchFile", "FILE", "who holds some of it", Kind::Shared),
    command("searchChunk", "FILE N...", "who holds these chunks", Kind::Shared),
    command("download", "FILE [N]", "gets it, or one chunk, from all who hold some", Kind::Shared),
    command("logout", "", "ends the session", Kind::Other),
    command("help", "", "shows this", Kind::Other),
];

/// What can be put in place of the word before the cursor.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Completion {
    Nothing,
    /// Put this in place of what stands from there to the cursor.
    Replace {
        from: usize,
        text: String,
    },
    /// It could be any of these.
    Several(Vec<String>),
}

/// Names that are known.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) users: BTreeSet<String>,
    pub(super) shared: BTreeSet<String>,
}

/// Completes the end of `text`; `ours` lists the files of our folder, and is only asked if that matters.
pub(super) fn complete(text: &str, names: &Names, ours: impl FnOnce() -> Vec<String>) -> Completion {
    // Only the last of several pasted lines.
    let line_at = text.rfind('\n').map_or(0, |end| end + 1);
    let line = &text[line_at..];
    if let Some(begun) = line.strip_prefix('%') {
        return match begun.contains('%') {
            true => Completion::Nothing,
            false => choose(line_at + 1, begun, "%", names.users.iter().map(String::as_str)),
        };
    }
    let Some((verb, rest)) = line.split_once(' ') else {
        return choose(line_at, line, " ", COMMANDS.iter().map(|command| command.name));
    };
    let first = COMMANDS.iter().find(|command| command.name == verb).map_or(Kind::Other, |found| found.first);
    let begun = rest.trim_start();
    if begun.contains(' ') {
        return Completion::Nothing;
    }
    let from = text.len() - begun.len();
    match first {
        Kind::User => choose(from, begun, " ", names.users.iter().map(String::as_str)),
        Kind::Shared => choose(from, begun, " ", names.shared.iter().map(String::as_str)),
        Kind::Ours => choose(from, begun, " ", ours().iter().map(String::as_str)),
        Kind::Other => Completion::Nothing,
    }
}

/// The one candidate, with what follows a whole one; or as much as all have in common.
fn choose<'a>(from: usize, begun: &str, end: &str, all: impl Iterator<Item = &'a str>) -> Completion {
    let mut fitting: Vec<&str> = all.filter(|candidate| candidate.starts_with(begun)).collect();
    fitting.sort_unstable();
    match fitting[..] {
        [] => Completion::Nothing,
        [only] => Completion::Replace { from, text: format!("{only}{end}") },
        // In order: what the first and the last have in common, all have.
        [first, .., last] => match common(first, last) {
            longer if longer.len() > begun.len() => Completion::Replace { from, text: longer.to_owned() },
            _ => Completion::Several(fitting.iter().map(|name| (*name).to_owned()).collect()),
        },
    }
}

fn common<'a>(one: &'a str, other: &str) -> &'a str {
    let same = one.char_indices().zip(other.chars()).find(|((_, a), b)| a != b);
    &one[..same.map_or(one.len().min(other.len()), |((at, _), _)| at)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete_here(text: &str) -> Completion {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let known = Names { users: names(&["alice", "bob", "bonnie"]), shared: names(&["film.bin"]) };
        complete(text, &known, || vec!["a.txt".to_owned(), "a.bin".to_owned()])
    }

    #[test]
    fn each_place_has_its_candidates() {
        for (text, from, expected) in [
            ("me", 0, "message "),
            ("wh", 0, "whoelse"),
            ("search", 0, "search"),
            ("message al", 8, "alice "),
            ("message  al", 9, "alice "),
            ("block b", 6, "bo"),
            ("%al", 1, "alice%"),
            ("download ", 9, "film.bin "),
            ("register ", 9, "a."),
            ("whoelse\nmessage al", 16, "alice "),
        ] {
            let text_expected = expected.to_owned();
            match complete_here(text) {
                Completion::Replace { from: at, text: found } => {
                    assert_eq!((at, found), (from, text_expected), "{text}");
                }
                // Nothing more in common.
                Completion::Several(all) => {
                    assert!(all.iter().all(|one| one.starts_with(expected)), "{text}")
                }
                Completion::Nothing => panic!("{text}"),
            }
        }
        let several =
            |names: &[&str]| Completion::Several(names.iter().map(|name| (*name).to_owned()).collect());
        assert_eq!(complete_here("message bo"), several(&["bob", "bonnie"]));
        assert_eq!(complete_here("register a."), several(&["a.bin", "a.txt"]));
        for text in ["x", "message alice al", "%alice%al", "broadcast al", "unknown al", "message x"] {
            assert_eq!(complete_here(text), Completion::Nothing, "{text}");
        }
    }

    #[test]
    fn a_common_beginning_ends_between_characters() {
        assert_eq!(common("aé", "aè"), "a");
        assert_eq!((common("ab", "abc"), common("abc", "ab")), ("ab", "ab"));
    }
}
