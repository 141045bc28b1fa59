//! Commands as people type them (the table of the messenger), read before anything is done. What the server is
//! asked has a form that the server understands, or does not go there.

use crate::proto::ids::FileName;
use crate::proto::wire::{Chat, ErrorCode, Message, ParseError};

/// A command, and who carries it out.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command<'a> {
    /// The server.
    Ask(Message<'a>),
    Private {
        to: &'a str,
        text: &'a str,
    },
    StopPrivate {
        user: &'a str,
    },
    /// Chunks: into how many it is cut.
    Register {
        file: FileName,
        chunks: Option<u64>,
    },
    /// The chunk counts from 0.
    Download {
        file: FileName,
        chunk: Option<u64>,
    },
    Logout,
}

type Refusal = (ErrorCode, String);

const VERBS: [&str; 14] = [
    "message",
    "broadcast",
    "whoelse",
    "whoelsesince",
    "block",
    "unblock",
    "logout",
    "startprivate",
    "private",
    "stopprivate",
    "register",
    "searchFile",
    "searchChunk",
    "download",
];

/// The verb, empty if there is no such command, and what is to be done.
pub(super) fn parse(line: &str) -> (&'static str, Result<Command<'_>, Refusal>) {
    if line.chars().any(char::is_control) {
        return ("", Err((ErrorCode::BadText, ParseError::BadText.to_string())));
    }
    // A console keeps no line in its history that begins with a blank.
    let line = line.trim_start_matches(' ');
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    let verb = match line.starts_with('%') {
        true => "message",
        false => VERBS.into_iter().find(|verb| *verb == word).unwrap_or(""),
    };
    let command = match verb {
        "" => no_such_command(),
        "private" => private(rest),
        "stopprivate" => user(rest).map(|user| Command::StopPrivate { user }),
        "startprivate" => user(rest).map(|user| Command::Ask(Message::Chat(Chat::StartPrivate { user }))),
        "register" => {
            file(rest, "chunks count from 1").map(|(file, chunks)| Command::Register { file, chunks })
        }
        "download" => file(rest, "chunks count from 1")
            .map(|(file, chunk)| Command::Download { file, chunk: chunk.map(|chunk| chunk - 1) }),
        "logout" if rest.trim().is_empty() => Ok(Command::Logout),
        verb => ask(verb, line),
    };
    (verb, command)
}

fn ask<'a>(verb: &str, line: &'a str) -> Result<Command<'a>, Refusal> {
    match Message::parse(line.as_bytes()) {
        Ok(message) if message.verb() == verb => Ok(Command::Ask(message)),
        Ok(_) => Err((ErrorCode::BadArgument, "that is no command".to_owned())),
        Err(ParseError::UnknownVerb) => no_such_command(),
        Err(error) => Err((error.code(), error.to_string())),
    }
}

fn no_such_command<T>() -> Result<T, Refusal> {
    Err((ErrorCode::UnknownVerb, "no such command".to_owned()))
}

fn private(rest: &str) -> Result<Command<'_>, Refusal> {
    let (to, text) = rest.split_once(' ').unwrap_or((rest, ""));
    match (to, text.trim()) {
        ("", _) => bad("the name of a user is missing"),
        (_, "") => Err((ErrorCode::EmptyText, "the text is empty".to_owned())),
        _ => Ok(Command::Private { to, text }),
    }
}

fn user(rest: &str) -> Result<&str, Refusal> {
    match rest.trim_end() {
        "" => bad("the name of a user is missing"),
        user if user.contains(' ') => bad("too many arguments"),
        user => Ok(user),
    }
}

/// The name of a file, and a number above 0 if there is one.
fn file(rest: &str, about_number: &str) -> Result<(FileName, Option<u64>), Refusal> {
    let mut words = rest.split_whitespace();
    let Some(name) = words.next() else { return bad("the name of a file is missing") };
    let name = name.parse().map_err(|error| (ErrorCode::BadArgument, format!("{error}")))?;
    let number = match words.next().map(str::parse) {
        None => None,
        Some(Ok(0) | Err(_)) => return bad(about_number),
        Some(Ok(number)) => Some(number),
    };
    if words.next().is_some() {
        return bad("too many arguments");
    }
    Ok((name, number))
}

fn bad<T>(text: &str) -> Result<T, Refusal> {
    Err((ErrorCode::BadArgument, text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_command_is_known() {
        for line in [
            "message bob hi",
            "broadcast hello all",
            "whoelse",
            "whoelsesince 10",
            "block bob",
            "unblock bob",
            "logout",
            "startprivate bob",
            "private bob hi there",
            "stopprivate bob",
            "register a.txt 3",
            "register a.txt",
            "searchFile a.txt",
            "searchChunk a.txt 1 2",
            "download a.txt",
            "download a.txt 2",
        ] {
            let (verb, command) = parse(line);
            assert_eq!(verb, line.split(' ').next().unwrap());
            command.unwrap_or_else(|refusal| panic!("{line}: {refusal:?}"));
        }
        assert_eq!(parse("%bob%hi").0, "message");
        for line in [" whoelse", "  message bob  hi ", " %bob% hi", " register a.txt"] {
            assert_eq!(parse(line), parse(line.trim_start()));
        }
        assert_eq!(parse("private bob  hi ").1, Ok(Command::Private { to: "bob", text: " hi " }));
    }

    #[test]
    fn what_is_no_command_does_not_go_to_the_server() {
        for (line, code) in [
            ("hello", ErrorCode::UnknownVerb),
            ("TICK 1 2", ErrorCode::UnknownVerb),
            ("JOIN lab * 0 * *", ErrorCode::UnknownVerb),
            ("OK whoelse 1", ErrorCode::UnknownVerb),
            ("login bob secret", ErrorCode::UnknownVerb),
            ("%bob", ErrorCode::UnknownVerb),
            ("message bob a\u{7}", ErrorCode::BadText),
            ("whoelsesince soon", ErrorCode::BadArgument),
            ("block", ErrorCode::BadArgument),
            ("startprivate", ErrorCode::BadArgument),
            ("stopprivate bob now", ErrorCode::BadArgument),
            ("private bob", ErrorCode::EmptyText),
            ("private", ErrorCode::BadArgument),
            ("logout now", ErrorCode::BadArgument),
            ("register ../etc/passwd", ErrorCode::BadArgument),
            ("register a 0", ErrorCode::BadArgument),
            ("register a many", ErrorCode::BadArgument),
            ("download", ErrorCode::BadArgument),
            ("download a 1 2", ErrorCode::BadArgument),
            ("searchChunk a x", ErrorCode::BadArgument),
        ] {
            assert_eq!(parse(line).1.map_err(|(code, _)| code), Err(code), "{line}");
        }
    }
}
