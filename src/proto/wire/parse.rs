//! A line as a message: copies nothing, and checks the form of everything and the meaning of nothing.

use std::net::SocketAddr;

use blake3::Hash;

use crate::proto::ids::{FileName, Key, Name};
use crate::proto::time::Wall;
use crate::proto::wire::chat::Chat;
use crate::proto::wire::message::Message;
use crate::proto::wire::numbers::{Numbers, number};
use crate::proto::wire::words::{Availability, Departure, ErrorCode, MemberState, Portion, Role};

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
    /// See [`ErrorCode::WrongProtocol`].
    #[error("this is no web server")]
    Http,
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
            ParseError::Http => ErrorCode::WrongProtocol,
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
        Message::parse_known(line).map_err(|error| if is_http(line) { ParseError::Http } else { error })
    }

    fn parse_known(line: &'a [u8]) -> Result<Message<'a>, ParseError> {
        let text = text(line)?;
        if let Some(chat) = Chat::parse_percent(text) {
            return Ok(Message::Chat(chat));
        }
        let text = text.strip_prefix("* ").unwrap_or(text);
        // A verb with nothing behind it but spaces, as people type it.
        let text = Some(text.trim_end()).filter(|verb| !verb.contains(' ')).unwrap_or(text);
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
                let (group, from, to) = (args.name("group")?, args.name("from")?, args.name("to")?);
                Message::Link { group, from, to, ticket: args.key("ticket")?, zstd: args.zstd()? }
            }
            "ERR" => Message::Err { code: args.one_of("code", ErrorCode::parse)?, text: args.rest("text")? },
            "HELLO" => args.hello()?,
            verb => args.catalog(verb)?,
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

/// Whether it begins a request of HTTP (RFC 9110, RFC 9113), which has a method in common with us.
fn is_http(line: &[u8]) -> bool {
    let mut words = line.split(|byte| *byte == b' ');
    match words.next() {
        Some(b"GET") => words.next_back().is_some_and(|last| last.starts_with(b"HTTP/")),
        Some(method) => HTTP_METHODS.contains(&method),
        None => false,
    }
}

/// The others; the last one is how version 2 begins.
const HTTP_METHODS: [&[u8]; 9] =
    [b"HEAD", b"POST", b"PUT", b"DELETE", b"CONNECT", b"OPTIONS", b"TRACE", b"PATCH", b"PRI"];

/// What is left of a line, taken from the front word by word.
pub(super) struct Args<'a>(&'a str);

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

    pub(super) fn arg<T>(
        &mut self,
        what: &'static str,
        read: impl FnOnce(&'a str) -> Option<T>,
    ) -> Result<T, ParseError> {
        self.word().and_then(read).ok_or(ParseError::BadArgument(what))
    }

    pub(super) fn number(&mut self, what: &'static str) -> Result<u64, ParseError> {
        self.arg(what, number)
    }

    pub(super) fn wall(&mut self, what: &'static str) -> Result<Wall, ParseError> {
        self.arg(what, number).map(Wall)
    }

    pub(super) fn small<T: TryFrom<u64>>(&mut self, what: &'static str) -> Result<T, ParseError> {
        self.arg(what, |word| T::try_from(number(word)?).ok())
    }

    fn optional(&mut self, what: &'static str) -> Result<Option<u64>, ParseError> {
        self.arg(what, |word| if word == "*" { Some(None) } else { number(word).map(Some) })
    }

    pub(super) fn name(&mut self, what: &'static str) -> Result<Name, ParseError> {
        self.arg(what, |word| word.parse().ok())
    }

    pub(super) fn key(&mut self, what: &'static str) -> Result<Key, ParseError> {
        self.arg(what, |word| word.parse().ok())
    }

    fn file(&mut self, what: &'static str) -> Result<&'a str, ParseError> {
        self.arg(what, |word| FileName::check(word.as_bytes()).is_ok().then_some(word))
    }

    pub(super) fn one_of<T>(
        &mut self,
        what: &'static str,
        parse: fn(&str) -> Option<T>,
    ) -> Result<T, ParseError> {
        self.arg(what, parse)
    }

    /// The last word of a line, which may be missing.
    fn zstd(&mut self) -> Result<bool, ParseError> {
        let zstd = !self.0.is_empty();
        if zstd { self.arg("zstd", |word| (word == "zstd").then_some(true)) } else { Ok(false) }
    }

    /// Everything that is left, spaces included.
    pub(super) fn rest(&mut self, what: &'static str) -> Result<&'a str, ParseError> {
        match std::mem::take(&mut self.0) {
            "" => Err(ParseError::BadArgument(what)),
            rest => Ok(rest),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Everything that is left, or nothing.
    pub(super) fn all(&mut self) -> &'a str {
        std::mem::take(&mut self.0)
    }

    /// A word, and everything behind it; each may be empty. What people type is not refused for its form.
    pub(super) fn split(&mut self) -> (&'a str, &'a str) {
        let all = self.all();
        all.split_once(' ').unwrap_or((all, ""))
    }

    /// A last word, if there is one.
    pub(super) fn last(&mut self, what: &'static str) -> Result<Option<&'a str>, ParseError> {
        if self.0.is_empty() { Ok(None) } else { self.arg(what, Some).map(Some) }
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

    fn hello(&mut self) -> Result<Message<'a>, ParseError> {
        Ok(Message::Hello {
            id: self
                .arg("name", |word| if word == "*" { Some(None) } else { word.parse().ok().map(Some) })?,
            port: if self.0.is_empty() { None } else { Some(self.small("port")?) },
            group: if self.0.is_empty() { None } else { Some(self.name("group")?) },
            key: if self.0.is_empty() { None } else { Some(self.key("key")?) },
        })
    }

    /// The lines about files between a member and the server.
    fn catalog(&mut self, verb: &str) -> Result<Message<'a>, ParseError> {
        Ok(match verb {
            "REGISTER" => {
                let (file, (bytes, chunk_bytes, octets)) = (self.file("file")?, self.sizes()?);
                let held = self.one_of("all or none", Portion::parse)?;
                Message::Register { file, bytes, chunk_bytes, octets, held }
            }
            "WITHDRAW" => Message::Withdraw { file: self.file("file")? },
            "DOWNLOAD" => Message::Download { file: self.file("file")? },
            "HAVE" => Message::Have {
                file: self.file("file")?,
                first: self.number("first")?,
                last: self.number("last")?,
            },
            "REPORT" => Message::Report {
                file: self.file("file")?,
                id: self.name("id")?,
                chunk: self.number("chunk")?,
            },
            "searchFile" => Message::SearchFile { file: self.file("file")? },
            "searchChunk" => {
                let (file, chunks) = (self.file("file")?, self.rest("chunk")?);
                let chunks = Numbers::parse(chunks).ok_or(ParseError::BadArgument("chunk"))?;
                Message::SearchChunk { file, chunks }
            }
            "HOLDER" => Message::Holder {
                id: self.name("id")?,
                held: self.number("held")?,
                chunks: self.number("chunks")?,
            },
            "SOURCE" => Message::Source {
                file: self.file("file")?,
                id: self.name("id")?,
                addr: self.arg("addr", addr)?,
                ticket: self.key("ticket")?,
            },
            // What a person may type instead of a line that only a program can complete.
            "register" => return Err(ParseError::BadArgument("to share a file, run: tickmesh share FILE")),
            "download" => return Err(ParseError::BadArgument("to get a file, run: tickmesh get FILE")),
            verb => self.direct(verb)?,
        })
    }

    /// The lines about files between two members.
    fn direct(&mut self, verb: &str) -> Result<Message<'a>, ParseError> {
        Ok(match verb {
            "OFFER" => {
                let (file, (bytes, chunk_bytes, octets)) = (self.file("file")?, self.sizes()?);
                Message::Offer { file, bytes, chunk_bytes, octets }
            }
            "WANT" => Message::Want { file: self.file("file")?, root: self.arg("root", root)? },
            "HOLDS" => Message::Holds { file: self.file("file")?, octets: self.number("octets")? },
            "GET" => Message::Get { file: self.file("file")?, chunk: self.number("chunk")? },
            "CHUNK" => {
                let (file, chunk) = (self.file("file")?, self.number("chunk")?);
                Message::Chunk { file, chunk, octets: self.number("octets")?, zstd: self.zstd()? }
            }
            "DENY" => Message::Deny { file: self.file("file")?, chunk: self.number("chunk")? },
            "CANCEL" => Message::Cancel { file: self.file("file")?, chunk: self.number("chunk")? },
            "GOT" => Message::Got { file: self.file("file")? },
            verb => Message::Chat(Chat::parse(verb, self)?),
        })
    }

    /// Two words are one answer here.
    fn availability(&mut self) -> Result<Availability, ParseError> {
        Availability::parse(self.rest("found")?).ok_or(ParseError::BadArgument("found"))
    }

    /// `bytes`, `chunk_bytes` and `octets` of a manifest.
    fn sizes(&mut self) -> Result<(u64, u64, u64), ParseError> {
        Ok((self.number("bytes")?, self.number("chunk_bytes")?, self.number("octets")?))
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
            "LINK" => Message::OkLink { zstd: self.zstd()? },
            "HELLO" => Message::OkHello { id: self.name("name")?, key: self.key("key")? },
            "REGISTER" => Message::OkRegister { file: self.file("file")?, holders: self.number("holders")? },
            "WITHDRAW" => Message::OkWithdraw { file: self.file("file")? },
            "DOWNLOAD" => {
                let (file, (bytes, chunk_bytes, octets)) = (self.file("file")?, self.sizes()?);
                Message::OkDownload { file, bytes, chunk_bytes, octets }
            }
            "searchFile" => Message::OkSearchFile { found: self.availability()? },
            "searchChunk" => Message::OkSearchChunk { found: self.availability()? },
            kind => Message::Chat(Chat::parse_ok(kind, self)?),
        })
    }
}

/// An address as [`Message::encode`] writes it: IPv6 has many spellings.
pub(super) fn addr(word: &str) -> Option<SocketAddr> {
    word.parse().ok().filter(|addr: &SocketAddr| addr.to_string() == word)
}

/// A root as [`Message::encode`] writes it: 64 hexadecimal digits, in lower case.
fn root(word: &str) -> Option<Hash> {
    let strict = word.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if strict { Hash::from_hex(word).ok() } else { None }
}
