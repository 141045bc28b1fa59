//! News as text: for people, with names in colour, and for programs, as lines of the protocol. What others wrote is
//! made safe here. Writes nothing.

use std::fmt::Display;

use chrono::DateTime;

use crate::app::summary::{bytes, count};
use crate::proto::peer::{FileState, FileStatus, News};
use crate::proto::text::Shown;
use crate::proto::time::{Now, SECOND_NS};
use crate::proto::wire::ErrorCode;

/// A message that is older shows when it was sent.
const OLD_NS: u64 = 60 * SECOND_NS;

/// The lines for a program: those of the protocol, and of the same form where it has none.
pub(super) fn for_programs(news: &News) -> String {
    match news {
        News::LoggedIn { name, waiting } => format!("OK login {name} {waiting}\n"),
        News::LoginRefused { .. } | News::ServerLost { .. } | News::Ended { .. } => String::new(),
        News::Item { line } => format!("* {}\n", Shown(line)),
        News::Answer { verb, result: Ok(rest) } if rest.is_empty() => format!("OK {verb}\n"),
        News::Answer { verb, result: Ok(rest) } => format!("OK {verb} {}\n", Shown(rest)),
        News::Answer { result: Err((code, text)), .. } => format!("ERR {} {}\n", code.as_str(), Shown(text)),
        News::Message { from, text, .. } => format!("MESSAGE {from} {}\n", Shown(text)),
        News::Broadcast { from, text } => format!("BROADCAST {from} {}\n", Shown(text)),
        News::Online { name } => format!("ONLINE {name}\n"),
        News::Offline { name } => format!("OFFLINE {name}\n"),
        News::PrivateOpen { with } => format!("STARTPRIVATE {with}\n"),
        News::PrivateClosed { with, why } => format!("STOPPRIVATE {with} {}\n", Shown(why)),
        News::Private { from, text } => format!("PRIVATE {from} {}\n", Shown(text)),
        News::File { status } => match &status.trouble {
            Some(trouble) => format!("FILE {} failed {}\n", status.name, Shown(&trouble.to_string())),
            None => format!("FILE {} {}\n", status.name, portion(status)),
        },
    }
}

/// How much of a file is here: all, or some chunks that were asked for.
fn portion(status: &FileStatus) -> String {
    match status.state {
        FileState::Whole => "whole".to_owned(),
        _ => format!("{} of {}", status.chunks_stored, count(status.chunks, "chunk")),
    }
}

/// How people see things.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    pub(super) colours: bool,
}

const BOLD_CYAN: &str = "1;36";
const RED: &str = "31";
const DIM: &str = "2";

impl Style {
    /// The lines for a person.
    pub(super) fn lines(self, news: &News, now: Now) -> String {
        let who = |name: &dyn Display| self.colour(BOLD_CYAN, name);
        match news {
            News::LoggedIn { name, waiting: 0 } => self.notice(&format!("you are {name}")),
            News::LoggedIn { name, waiting } => {
                let waiting = count(*waiting, "message");
                self.notice(&format!("you are {name}; {waiting} came while you were away"))
            }
            News::LoginRefused { text, .. } => self.trouble(&Shown(text)),
            News::ServerLost { why } => self.trouble(&format!("the server is gone: {}", Shown(why))),
            News::Item { line } => format!("  {}\n", item(line)),
            News::Answer { verb, result: Ok(rest) } => {
                self.notice(&format!("{verb}: {}", answer(verb, rest)))
            }
            News::Answer { result: Err((ErrorCode::UnknownVerb, text)), .. } => {
                self.trouble(&format!("{}; help lists them", Shown(text)))
            }
            News::Answer { verb: "", result: Err((_, text)) } => self.trouble(&Shown(text)),
            News::Answer { verb, result: Err((_, text)) } => {
                self.trouble(&format!("{verb}: {}", Shown(text)))
            }
            News::Message { at, from, text, .. } => {
                let age_ns = now.wall.0.saturating_sub(at.0);
                let sent = DateTime::from_timestamp_nanos(at.0 as i64).format(" (%Y-%m-%d %H:%M UTC)");
                let sent = if age_ns > OLD_NS { self.colour(DIM, &sent) } else { String::new() };
                format!("{}{sent}: {}\n", who(from), Shown(text))
            }
            News::Broadcast { from, text } => format!("{} to all: {}\n", who(from), Shown(text)),
            News::Online { name } => self.notice(&format!("{name} is here")),
            News::Offline { name } => self.notice(&format!("{name} is gone")),
            News::PrivateOpen { with } => self.notice(&format!("{with} and you have a private link")),
            News::PrivateClosed { with, why } => {
                self.notice(&format!("the private link with {with} is closed: {}", Shown(why)))
            }
            News::Private { from, text } => format!("{} privately: {}\n", who(from), Shown(text)),
            News::File { status } => match (&status.trouble, status.bytes) {
                (Some(trouble), _) => {
                    self.trouble(&format!("{} {}", status.name, Shown(&trouble.to_string())))
                }
                (None, Some(size)) if status.state == FileState::Whole => {
                    self.notice(&format!("{} ({}) is here", status.name, bytes(size)))
                }
                _ => self.notice(&format!("{}: {} are here", status.name, portion(status))),
            },
            News::Ended { why } => self.notice(&format!("the end: {}", Shown(why))),
        }
    }

    /// Something that nobody said.
    pub(super) fn notice(self, text: &dyn Display) -> String {
        self.colour(DIM, text) + "\n"
    }

    /// Something that did not work.
    pub(super) fn trouble(self, text: &dyn Display) -> String {
        self.colour(RED, text) + "\n"
    }

    pub(super) fn colour(self, code: &str, text: &dyn Display) -> String {
        if self.colours { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_string() }
    }
}

/// A line of a list, in words.
fn item(line: &str) -> String {
    match line.split(' ').collect::<Vec<_>>()[..] {
        ["USER", name] => Shown(name).to_string(),
        ["HOLDER", name, held, chunks] => format!("{} has {} of {}", Shown(name), Shown(held), Shown(chunks)),
        _ => Shown(line).to_string(),
    }
}

/// What stands behind `OK` and the verb, in words.
fn answer(verb: &str, rest: &str) -> String {
    let online = |rest: &str| if rest == "0" { "nobody else".to_owned() } else { rest.to_owned() };
    match (verb, rest) {
        ("whoelse" | "whoelsesince", rest) => online(rest),
        ("private", name) => format!("{} has it", Shown(name)),
        ("message", "kept") => "kept until the other one is here".to_owned(),
        ("broadcast", "some") => "to all but those who have blocked you".to_owned(),
        ("broadcast", "all") => "to all who are here".to_owned(),
        (_, "") => "done".to_owned(),
        (_, rest) => Shown(rest).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::bar::tests::file;
    use crate::proto::ids::Name;
    use crate::proto::time::{Mono, Wall};

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    fn both(news: &News) -> (String, String) {
        let now = Now { mono: Mono(0), wall: Wall(1_795_230_780_000_000_000) };
        (for_programs(news), Style { colours: false }.lines(news, now))
    }

    #[test]
    fn news_are_lines_for_programs_and_for_people() {
        let bob = name("bob");
        let message = |at: u64| News::Message {
            number: 7,
            at: Wall(at),
            from: bob,
            text: "see \x1b[31m\u{202e}you".to_owned(),
            seen: None,
        };
        let answer = |verb, result| News::Answer { verb, result };
        for (news, program, person) in [
            (
                message(1_795_230_779_000_000_000),
                "MESSAGE bob see \\u{1b}[31m\\u{202e}you\n",
                "bob: see \\u{1b}[31m\\u{202e}you\n",
            ),
            (
                message(1_795_230_000_000_000_000),
                "MESSAGE bob see \\u{1b}[31m\\u{202e}you\n",
                "bob (2026-11-21 03:00 UTC): see \\u{1b}[31m\\u{202e}you\n",
            ),
            (
                answer("message", Ok("kept".to_owned())),
                "OK message kept\n",
                "message: kept until the other one is here\n",
            ),
            (answer("logout", Ok(String::new())), "OK logout\n", "logout: done\n"),
            (
                answer("message", Err((ErrorCode::Offline, "that user is offline".to_owned()))),
                "ERR offline that user is offline\n",
                "message: that user is offline\n",
            ),
            (News::Item { line: "USER bob".to_owned() }, "* USER bob\n", "  bob\n"),
            (News::Item { line: "HOLDER bob 2 3".to_owned() }, "* HOLDER bob 2 3\n", "  bob has 2 of 3\n"),
            (News::Online { name: bob }, "ONLINE bob\n", "bob is here\n"),
            (
                News::LoggedIn { name: bob, waiting: 1 },
                "OK login bob 1\n",
                "you are bob; 1 message came while you were away\n",
            ),
            (
                News::File { status: file(FileState::Whole, 100) },
                "FILE film.bin whole\n",
                "film.bin (100.0 MB) is here\n",
            ),
            (
                News::File { status: file(FileState::Fetching, 3) },
                "FILE film.bin 3 of 100 chunks\n",
                "film.bin: 3 of 100 chunks are here\n",
            ),
        ] {
            assert_eq!(both(&news), (program.to_owned(), person.to_owned()));
        }
        let coloured = Style { colours: true }
            .lines(&News::Broadcast { from: bob, text: "hi".to_owned() }, Now::default());
        assert_eq!(coloured, "\x1b[1;36mbob\x1b[0m to all: hi\n");
    }
}
