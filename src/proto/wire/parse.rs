//! A line as a message: copies nothing, and checks the form of everything and the meaning of nothing.

use std::net::SocketAddr;

use crate::proto::ids::{FileName, Key, Name};
use crate::proto::time::Wall;
use crate::proto::wire::message::Message;
use crate::proto::wire::words::{Departure, ErrorCode, MemberState, Role};

/// Why a line is no message. The text is for whoever sent the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Nothing on the line; it needs no answer.
    #[error("the line is empty")]
    Empty,
    /// See [`ErrorCode::BadText`].
    #[error("a line is UTF-8 without control characters")]
    BadText,
    /// See [`ErrorCode::UnknownVerb`].
    #[error("no such verb")]
    UnknownVerb,
    /// See [`ErrorCode::BadArgument`]; names the argument.
    #[error("{0}")]
    BadArgument(&'static str),
}

impl ParseError {
    /// The code of the `ERR` line that answers it.
    pub fn code(self) -> ErrorCode {
        match self {
            ParseError::Empty | ParseError::UnknownVerb => ErrorCode::UnknownVerb,
            ParseError::BadText => ErrorCode::BadText,
            ParseError::BadArgument(_) => ErrorCode::BadArgument,
        }
    }
}

impl<'a> Message<'a> {
    /// Parses a line without its end.
    ///
    /// # Errors
    /// If it is empty, no text, begins with no known verb, or an argument is missing, wrong or too many.
    pub fn parse(line: &'a [u8]) -> Result<Message<'a>, ParseError> {
        let text = text(line)?;
        let text = text.strip_prefix("* ").unwrap_or(text);
        let mut args = Args(text);
        let message = match args.verb()? {
            "TICK" => Message::Tick { seq: args.number("seq")?, t1: args.wall("t1")? },
            "TOCK" => {
                let (seq, t1) = (args.number("seq")?, args.wall("t1")?);
                Message::Tock { seq, t1, t2: args.wall("t2")?, t3: args.wall("t3")? }
            }
            "TICKMESH" => Message::Greeting {
                version: args.small("version")?,
                role: args.one_of("role", Role::parse)?,
                software: args.rest("software")?,
            },
            "JOIN" => args.join()?,
            "OK" => args.ok()?,
            "PEER" => args.peer()?,
            "GONE" => {
                Message::Gone { id: args.name("id")?, why: args.one_of("departure", Departure::parse)? }
            }
            "DONE" => Message::Done { sent: args.number("sent")?, answered: args.number("answered")? },
            "LEAVE" => Message::Leave { epoch: args.number("epoch")? },
            "BYE" => Message::Bye { why: args.rest("reason")? },
            "LINK" => {
                let (group, from) = (args.name("group")?, args.name("from")?);
                Message::Link { group, from, to: args.name("to")?, ticket: args.key("ticket")? }
            }
            "OFFER" => {
                let (file, bytes) = (args.file("file")?, args.number("bytes")?);
                let chunk_bytes = args.number("chunk_bytes")?;
                Message::Offer { file, bytes, chunk_bytes, octets: args.number("octets")? }
            }
            "GET" => Message::Get { file: args.file("file")?, chunk: args.number("chunk")? },
            "CHUNK" => {
                let (file, chunk) = (args.file("file")?, args.number("chunk")?);
                Message::Chunk { file, chunk, octets: args.number("octets")? }
            }
            "GOT" => Message::Got { file: args.file("file")? },
            "ERR" => Message::Err { code: args.one_of("code", ErrorCode::parse)?, text: args.rest("text")? },
            _ => return Err(ParseError::UnknownVerb),
        };
        match args.0 {
            "" => Ok(message),
            _ => Err(ParseError::BadArgument("too many arguments")),
        }
    }
}

/// The line as text, if it is UTF-8 without controls. Most lines are ASCII: one pass for these.
fn text(line: &[u8]) -> Result<&str, ParseError> {
    let text = std::str::from_utf8(line).map_err(|_| ParseError::BadText)?;
    if line.iter().all(|byte| (0x20..0x7f).contains(byte)) || !text.chars().any(char::is_control) {
        return Ok(text);
    }
    Err(ParseError::BadText)
}

/// What is left of a line, taken from the front word by word.
struct Args<'a>(&'a str);

impl<'a> Args<'a> {
    fn verb(&mut self) -> Result<&'a str, ParseError> {
        self.word().ok_or(ParseError::Empty)
    }

    /// Words have exactly one space between them; an empty word is none.
    fn word(&mut self) -> Option<&'a str> {
        let (word, rest) = match memchr::memchr(b' ', self.0.as_bytes()) {
            Some(space) if space + 1 < self.0.len() => (&self.0[..space], &self.0[space + 1..]),
            Some(_) => return None,
            None => (self.0, ""),
        };
        self.0 = rest;
        (!word.is_empty()).then_some(word)
    }

    fn arg<T>(
        &mut self,
        what: &'static str,
        read: impl FnOnce(&'a str) -> Option<T>,
    ) -> Result<T, ParseError> {
        self.word().and_then(read).ok_or(ParseError::BadArgument(what))
    }

    fn number(&mut self, what: &'static str) -> Result<u64, ParseError> {
        self.arg(what, number)
    }

    fn wall(&mut self, what: &'static str) -> Result<Wall, ParseError> {
        self.arg(what, number).map(Wall)
    }

    fn small<T: TryFrom<u64>>(&mut self, what: &'static str) -> Result<T, ParseError> {
        self.arg(what, |word| T::try_from(number(word)?).ok())
    }

    fn optional(&mut self, what: &'static str) -> Result<Option<u64>, ParseError> {
        self.arg(what, |word| if word == "*" { Some(None) } else { number(word).map(Some) })
    }

    fn name(&mut self, what: &'static str) -> Result<Name, ParseError> {
        self.arg(what, |word| word.parse().ok())
    }

    fn key(&mut self, what: &'static str) -> Result<Key, ParseError> {
        self.arg(what, |word| word.parse().ok())
    }

    fn file(&mut self, what: &'static str) -> Result<&'a str, ParseError> {
        self.arg(what, |word| FileName::check(word.as_bytes()).is_ok().then_some(word))
    }

    fn one_of<T>(&mut self, what: &'static str, parse: fn(&str) -> Option<T>) -> Result<T, ParseError> {
        self.arg(what, parse)
    }

    /// Everything that is left, spaces included.
    fn rest(&mut self, what: &'static str) -> Result<&'a str, ParseError> {
        match std::mem::take(&mut self.0) {
            "" => Err(ParseError::BadArgument(what)),
            rest => Ok(rest),
        }
    }

    fn join(&mut self) -> Result<Message<'a>, ParseError> {
        Ok(Message::Join {
            group: self.name("group")?,
            id: self.arg("id", |word| if word == "*" { Some(None) } else { word.parse().ok().map(Some) })?,
            port: self.small("port")?,
            interval_ns: self.optional("interval_ns")?,
            duration_ns: self.optional("duration_ns")?,
            key: if self.0.is_empty() { None } else { Some(self.key("key")?) },
        })
    }

    fn peer(&mut self) -> Result<Message<'a>, ParseError> {
        Ok(Message::Peer {
            epoch: self.number("epoch")?,
            id: self.name("id")?,
            addr: self.arg("addr", addr)?,
            ticket: self.key("ticket")?,
            state: self.one_of("state", MemberState::parse)?,
            left_ns: self.number("left_ns")?,
        })
    }

    fn ok(&mut self) -> Result<Message<'a>, ParseError> {
        Ok(match self.arg("what is OK", Some)? {
            "JOIN" => Message::OkJoin {
                id: self.name("id")?,
                key: self.key("key")?,
                interval_ns: self.number("interval_ns")?,
                duration_ns: self.number("duration_ns")?,
                epoch: self.number("epoch")?,
            },
            "DONE" => Message::OkDone { received: self.number("received")?, sent: self.number("sent")? },
            "LEAVE" => Message::OkLeave,
            "LINK" => Message::OkLink,
            _ => return Err(ParseError::BadArgument("what is OK")),
        })
    }
}

/// An address as [`Message::encode`] writes it: IPv6 has many spellings.
fn addr(word: &str) -> Option<SocketAddr> {
    word.parse().ok().filter(|addr: &SocketAddr| addr.to_string() == word)
}

/// Decimal digits only, without a sign or needless zeros, at most `u64::MAX`.
fn number(word: &str) -> Option<u64> {
    let strict = word == "0" || !word.starts_with(['0', '+']);
    if strict { word.parse().ok() } else { None }
}
