//! One line of the protocol as a value, both ways: parsing and encoding. Parsing copies nothing
//! and checks the form only; encoding appends to a buffer and cannot fail.

use std::net::SocketAddr;

use crate::proto::ids::{FileName, Key, Name};
use crate::proto::time::Wall;

/// The version that this program speaks.
pub const VERSION: u32 = 1;

/// A line of the protocol. The module's documentation says who sends which, and when.
#[allow(missing_docs)] // each variant's sentence names its fields
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// The first line of whoever accepted: version, role, and the program's name and version.
    Greeting { version: u32, role: Role, software: &'a str },
    /// Become a member of a group. `id` `None`: the lowest free one. `port` 0: does not share.
    /// `duration_ns` 0: the run is over already. `key`: what proved the same membership before.
    Join {
        group: Name,
        id: Option<Name>,
        port: u16,
        interval_ns: Option<u64>,
        duration_ns: Option<u64>,
        key: Option<Key>,
    },
    /// The answer to `Join`.
    OkJoin { id: Name, key: Key, interval_ns: u64, duration_ns: u64, epoch: u64 },
    /// A member's stamp, and which slot of its grid it belongs to.
    Tick { seq: u64, t1: Wall },
    /// The answer: the stamp, when it was received, and when the answer was sent.
    Tock { seq: u64, t1: Wall, t2: Wall, t3: Wall },
    /// A member of the group, new or changed, and how long its run still lasts.
    Peer { epoch: u64, id: Name, addr: SocketAddr, ticket: Key, state: MemberState, left_ns: u64 },
    /// A member left the group.
    Gone { id: Name, why: Departure },
    /// The member's run is over and its files can be fetched; so many rows it wrote.
    Done { sent: u64, answered: u64 },
    /// The answer to `Done`: so many rows the server wrote of that member.
    OkDone { received: u64, sent: u64 },
    /// Everything is done, as far as the directory of that epoch goes; let me go.
    Leave { epoch: u64 },
    /// The answer to `Leave`.
    OkLeave,
    /// Goodbye, before anything is complete; the link closes.
    Bye { why: &'a str },
    /// First line of the dialing member on a link between two members.
    Link { group: Name, from: Name, to: Name, ticket: Key },
    /// The answer to `Link`.
    OkLink,
    /// A file to fetch; `octets` octets follow: the hash of each chunk as hexadecimal digits and LF.
    Offer { file: &'a str, bytes: u64, chunk_bytes: u64, octets: u64 },
    /// Asks for a chunk.
    Get { file: &'a str, chunk: u64 },
    /// A chunk; `octets` octets follow: its bytes.
    Chunk { file: &'a str, chunk: u64, octets: u64 },
    /// The file is complete, verified and on disk here.
    Got { file: &'a str },
    /// What was asked for is refused.
    Err { code: ErrorCode, text: &'a str },
}

/// A closed set of words of the protocol.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name { $($(#[$doc])* $variant,)* }

        impl $name {
            /// All of them.
            pub const ALL: &[$name] = &[$($name::$variant,)*];

            /// As it stands in a line.
            pub fn as_str(self) -> &'static str {
                match self { $($name::$variant => $text,)* }
            }

            fn parse(word: &str) -> Option<$name> {
                $name::ALL.iter().copied().find(|known| known.as_str() == word)
            }
        }
    };
}

words! {
    /// Who accepted the link.
    Role {
        /// The directory and the other end of the ticks.
        Server = "server",
        /// A member of a group.
        Peer = "peer",
    }
}

words! {
    /// Where a member's run stands.
    MemberState {
        /// Its run is on.
        Running = "running",
        /// Its run is over; its files can be fetched.
        Done = "done",
        /// Its link broke during its run, and it may come back.
        Lost = "lost",
    }
}

words! {
    /// How a member left.
    Departure {
        /// It had every file, and everybody had its files.
        Complete = "complete",
        /// It gave up before that.
        Early = "early",
    }
}

words! {
    /// What kind of error a line reports; the text behind it is for people.
    ErrorCode {
        /// No such verb.
        UnknownVerb = "unknown-verb",
        /// The verb is right, what follows is not.
        BadArgument = "bad-argument",
        /// The line is no UTF-8, or has control characters.
        BadText = "bad-text",
        /// The line is too long.
        LineTooLong = "line-too-long",
        /// The verb is right, but not here or not now.
        OutOfPlace = "out-of-place",
        /// Another member of the group has that ID.
        IdTaken = "id-taken",
        /// A limit of the server is reached.
        LimitReached = "limit-reached",
        /// Ticks come faster than agreed.
        TooFast = "too-fast",
        /// The directory has changed since.
        DirectoryMoved = "directory-moved",
        /// Nobody of that name is here.
        UnknownMember = "unknown-member",
        /// The ticket is not that of the pair.
        WrongTicket = "wrong-ticket",
        /// Not before the run is over.
        NotYet = "not-yet",
        /// Another link for the pair is kept.
        Duplicate = "duplicate",
        /// No such file or chunk.
        UnknownFile = "unknown-file",
        /// Too many errors on one link.
        TooManyErrors = "too-many-errors",
    }
}

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

/// Appends the lower half of a line: numbers and words, each with a space before it.
struct Line<'a>(&'a mut Vec<u8>);

impl Line<'_> {
    fn word(&mut self, word: &str) -> &mut Self {
        self.0.push(b' ');
        self.0.extend_from_slice(word.as_bytes());
        self
    }

    fn number(&mut self, number: u64) -> &mut Self {
        self.word(itoa::Buffer::new().format(number))
    }

    fn optional(&mut self, number: Option<u64>) -> &mut Self {
        match number {
            Some(number) => self.number(number),
            None => self.word("*"),
        }
    }

    fn shown(&mut self, value: impl std::fmt::Display) -> &mut Self {
        use std::io::Write as _;
        let _ = write!(self.0, " {value}");
        self
    }
}

impl<'a> Message<'a> {
    /// Appends the line and its end.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.verb().as_bytes());
        let mut line = Line(out);
        match *self {
            Message::Greeting { version, role, software } => {
                line.number(u64::from(version)).word(role.as_str()).word(software)
            }
            Message::Join { group, id, port, interval_ns, duration_ns, key } => {
                line.word(group.as_str()).word(id.as_ref().map_or("*", Name::as_str)).number(u64::from(port));
                line.optional(interval_ns).optional(duration_ns);
                match key {
                    Some(key) => line.shown(key),
                    None => &mut line,
                }
            }
            Message::OkJoin { id, key, interval_ns, duration_ns, epoch } => {
                line.word(id.as_str()).shown(key).number(interval_ns).number(duration_ns).number(epoch)
            }
            Message::Tick { seq, t1 } => line.number(seq).number(t1.0),
            Message::Tock { seq, t1, t2, t3 } => line.number(seq).number(t1.0).number(t2.0).number(t3.0),
            Message::Peer { epoch, id, addr, ticket, state, left_ns } => {
                line.number(epoch).word(id.as_str()).shown(addr).shown(ticket);
                line.word(state.as_str()).number(left_ns)
            }
            Message::Gone { id, why } => line.word(id.as_str()).word(why.as_str()),
            Message::Done { sent, answered } => line.number(sent).number(answered),
            Message::OkDone { received, sent } => line.number(received).number(sent),
            Message::Leave { epoch } => line.number(epoch),
            Message::Bye { why } => line.word(why),
            Message::Link { group, from, to, ticket } => {
                line.word(group.as_str()).word(from.as_str()).word(to.as_str()).shown(ticket)
            }
            Message::OkLeave | Message::OkLink => &mut line,
            Message::Offer { file, bytes, chunk_bytes, octets } => {
                line.word(file).number(bytes).number(chunk_bytes).number(octets)
            }
            Message::Get { file, chunk } => line.word(file).number(chunk),
            Message::Chunk { file, chunk, octets } => line.word(file).number(chunk).number(octets),
            Message::Got { file } => line.word(file),
            Message::Err { code, text } => line.word(code.as_str()).word(text),
        };
        out.push(b'\n');
    }

    /// The words that the line begins with.
    pub fn verb(&self) -> &'static str {
        match self {
            Message::Greeting { .. } => "TICKMESH",
            Message::Join { .. } => "JOIN",
            Message::OkJoin { .. } => "OK JOIN",
            Message::Tick { .. } => "TICK",
            Message::Tock { .. } => "TOCK",
            Message::Peer { .. } => "PEER",
            Message::Gone { .. } => "GONE",
            Message::Done { .. } => "DONE",
            Message::OkDone { .. } => "OK DONE",
            Message::Leave { .. } => "LEAVE",
            Message::OkLeave => "OK LEAVE",
            Message::Bye { .. } => "BYE",
            Message::Link { .. } => "LINK",
            Message::OkLink => "OK LINK",
            Message::Offer { .. } => "OFFER",
            Message::Get { .. } => "GET",
            Message::Chunk { .. } => "CHUNK",
            Message::Got { .. } => "GOT",
            Message::Err { .. } => "ERR",
        }
    }

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
            addr: self.arg("addr", |word| word.parse().ok())?,
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

/// Decimal digits only, without a sign or needless zeros, at most `u64::MAX`.
fn number(word: &str) -> Option<u64> {
    let strict = word == "0" || !word.starts_with(['0', '+']);
    if strict { word.parse().ok() } else { None }
}
