//! One line of the protocol as a value, and as bytes: encoding appends to a buffer and cannot fail.

use std::net::SocketAddr;

use blake3::Hash;

use crate::proto::ids::{Key, Name};
use crate::proto::limits::LINE_BYTES_MAX;
use crate::proto::time::Wall;
use crate::proto::wire::chat::Chat;
use crate::proto::wire::numbers::Numbers;
use crate::proto::wire::words::{Availability, Departure, ErrorCode, MemberState, Portion, Role};

/// The version that this program speaks.
pub const VERSION: u32 = 1;
/// The group of a `HELLO` that names none.
pub const GROUP_DEFAULT: &str = "lab";

/// How the goodbye to somebody begins who issued no command for too long: a program does not come back by itself.
pub const SILENT_WHY: &str = "you said nothing for";

/// What who sent a line that is too long is told.
pub const TOO_LONG_TEXT: &str = "a line has at most 4096 bytes";
const _: () = assert!(LINE_BYTES_MAX == 4096, "as the text says");

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
    /// The answer to `Done`: so many ticks of that member the server received, and answers it sent.
    OkDone { received: u64, sent: u64 },
    /// Everything is done, as far as the directory of that epoch goes; let me go.
    Leave { epoch: u64 },
    /// The answer to `Leave`.
    OkLeave,
    /// Goodbye, before anything is complete; the link closes.
    Bye { why: &'a str },
    /// Become a guest of a group, who only shares and gets files. `id` `None`: the lowest free `guest-N`.
    /// `port` `None` or 0: cannot be dialed. `group` `None`: [`GROUP_DEFAULT`]. `key` as in `Join`.
    Hello { id: Option<Name>, port: Option<u16>, group: Option<Name>, key: Option<Key> },
    /// The answer to `Hello`.
    OkHello { id: Name, key: Key },
    /// A file to share; `octets` octets follow: the hashes, as in `Offer`.
    Register { file: &'a str, bytes: u64, chunk_bytes: u64, octets: u64, held: Portion },
    /// The answer to `Register`: so many members hold chunks of it now.
    OkRegister { file: &'a str, holders: u64 },
    /// The sender takes no part in a file any more.
    Withdraw { file: &'a str },
    /// The answer to `Withdraw`, also if there was nothing to end.
    OkWithdraw { file: &'a str },
    /// I want this file: what is it, and who has it?
    Download { file: &'a str },
    /// The answer to `Download`, behind a list of `Source`; `octets` octets follow: the hashes, as in `Offer`.
    OkDownload { file: &'a str, bytes: u64, chunk_bytes: u64, octets: u64 },
    /// The sender holds these chunks too, from the first to the last.
    Have { file: &'a str, first: u64, last: u64 },
    /// A chunk that this member sent failed its hash.
    Report { file: &'a str, id: Name, chunk: u64 },
    /// Who holds chunks of the file? Typed by people.
    SearchFile { file: &'a str },
    /// Who holds any of these chunks, which count from 1 here? Typed by people.
    SearchChunk { file: &'a str, chunks: Numbers<'a> },
    /// A member that holds so many of a file's chunks; item of the answer to a search.
    Holder { id: Name, held: u64, chunks: u64 },
    /// The answer to `SearchFile`, behind a list of `Holder`.
    OkSearchFile { found: Availability },
    /// The answer to `SearchChunk`, behind a list of `Holder`.
    OkSearchChunk { found: Availability },
    /// A member that holds or fetches the file; port 0: it cannot be dialed, but it will dial.
    Source { file: &'a str, id: Name, addr: SocketAddr, ticket: Key },
    /// First line of the dialing member on a link between two members. `zstd`: it takes packed chunks.
    Link { group: Name, from: Name, to: Name, ticket: Key, zstd: bool },
    /// The answer to `Link`, with the same of the other side.
    OkLink { zstd: bool },
    /// A file to fetch; `octets` octets follow: the hash of each chunk as hexadecimal digits and LF.
    Offer { file: &'a str, bytes: u64, chunk_bytes: u64, octets: u64 },
    /// Asks for a chunk.
    Get { file: &'a str, chunk: u64 },
    /// A chunk; `octets` octets follow: its bytes, or with `zstd` one zstd frame of them.
    Chunk { file: &'a str, chunk: u64, octets: u64, zstd: bool },
    /// That chunk cannot be served now: it is not held, or no longer.
    Deny { file: &'a str, chunk: u64 },
    /// That chunk is no longer needed.
    Cancel { file: &'a str, chunk: u64 },
    /// Takes part in the swarm of the file with that root: which chunks do you hold?
    Want { file: &'a str, root: Hash },
    /// The answer to `Want`; `octets` octets follow: a bit for each chunk, bit 0 of byte 0 first. None:
    /// the sender knows no such file with that root.
    Holds { file: &'a str, octets: u64 },
    /// The file is complete, verified and on disk here.
    Got { file: &'a str },
    /// A line of the messenger.
    Chat(Chat<'a>),
    /// What was asked for is refused.
    Err { code: ErrorCode, text: &'a str },
}

/// Appends the lower half of a line: numbers and words, each with a space before it.
pub(super) struct Line<'a>(&'a mut Vec<u8>);

impl Line<'_> {
    pub(super) fn word(&mut self, word: &str) -> &mut Self {
        self.0.push(b' ');
        self.0.extend_from_slice(word.as_bytes());
        self
    }

    pub(super) fn number(&mut self, number: u64) -> &mut Self {
        self.word(itoa::Buffer::new().format(number))
    }

    fn zstd(&mut self, zstd: bool) -> &mut Self {
        if zstd { self.word("zstd") } else { self }
    }

    /// What a manifest says before its hashes.
    fn sizes(&mut self, bytes: u64, chunk_bytes: u64, octets: u64) -> &mut Self {
        self.number(bytes).number(chunk_bytes).number(octets)
    }

    fn optional(&mut self, number: Option<u64>) -> &mut Self {
        match number {
            Some(number) => self.number(number),
            None => self.word("*"),
        }
    }

    fn hello(&mut self, port: Option<u16>, group: Option<Name>, key: Option<Key>) -> &mut Self {
        if port.is_some() || group.is_some() || key.is_some() {
            self.number(u64::from(port.unwrap_or(0)));
        }
        if group.is_some() || key.is_some() {
            self.word(group.as_ref().map_or(GROUP_DEFAULT, Name::as_str));
        }
        match key {
            Some(key) => self.shown(key),
            None => self,
        }
    }

    pub(super) fn shown(&mut self, value: impl std::fmt::Display) -> &mut Self {
        use std::io::Write as _;
        let _ = write!(self.0, " {value}");
        self
    }
}

impl Message<'static> {
    /// The first line to whoever connects.
    pub fn greeting(role: Role) -> Message<'static> {
        let software = concat!("tickmesh/", env!("CARGO_PKG_VERSION"));
        Message::Greeting { version: VERSION, role, software }
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
            Message::Link { group, from, to, ticket, zstd } => {
                line.word(group.as_str()).word(from.as_str()).word(to.as_str()).shown(ticket).zstd(zstd)
            }
            Message::OkLeave => &mut line,
            Message::OkLink { zstd } => line.zstd(zstd),
            Message::Hello { id, port, group, key } => {
                line.word(id.as_ref().map_or("*", Name::as_str)).hello(port, group, key)
            }
            Message::OkHello { id, key } => line.word(id.as_str()).shown(key),
            Message::Register { file, bytes, chunk_bytes, octets, held } => {
                line.word(file).sizes(bytes, chunk_bytes, octets).word(held.as_str())
            }
            Message::OkRegister { file, holders } => line.word(file).number(holders),
            Message::Offer { file, bytes, chunk_bytes, octets }
            | Message::OkDownload { file, bytes, chunk_bytes, octets } => {
                line.word(file).sizes(bytes, chunk_bytes, octets)
            }
            Message::Have { file, first, last } => line.word(file).number(first).number(last),
            Message::Report { file, id, chunk } => line.word(file).word(id.as_str()).number(chunk),
            Message::SearchChunk { file, chunks } => line.word(file).word(chunks.as_str()),
            Message::Holder { id, held, chunks } => line.word(id.as_str()).number(held).number(chunks),
            Message::OkSearchFile { found } | Message::OkSearchChunk { found } => line.word(found.as_str()),
            Message::Source { file, id, addr, ticket } => {
                line.word(file).word(id.as_str()).shown(addr).shown(ticket)
            }
            Message::Get { file, chunk }
            | Message::Deny { file, chunk }
            | Message::Cancel { file, chunk } => line.word(file).number(chunk),
            Message::Chunk { file, chunk, octets, zstd } => {
                line.word(file).number(chunk).number(octets).zstd(zstd)
            }
            Message::Want { file, root } => line.word(file).word(root.to_hex().as_str()),
            Message::Holds { file, octets } => line.word(file).number(octets),
            Message::Got { file }
            | Message::Download { file }
            | Message::Withdraw { file }
            | Message::OkWithdraw { file }
            | Message::SearchFile { file } => line.word(file),
            Message::Chat(ref chat) => {
                chat.encode_args(&mut line);
                &mut line
            }
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
            Message::Hello { .. } => "HELLO",
            Message::OkHello { .. } => "OK HELLO",
            Message::Register { .. } => "REGISTER",
            Message::OkRegister { .. } => "OK REGISTER",
            Message::Withdraw { .. } => "WITHDRAW",
            Message::OkWithdraw { .. } => "OK WITHDRAW",
            Message::Download { .. } => "DOWNLOAD",
            Message::OkDownload { .. } => "OK DOWNLOAD",
            Message::Have { .. } => "HAVE",
            Message::Report { .. } => "REPORT",
            Message::SearchFile { .. } => "searchFile",
            Message::SearchChunk { .. } => "searchChunk",
            Message::Holder { .. } => "HOLDER",
            Message::OkSearchFile { .. } => "OK searchFile",
            Message::OkSearchChunk { .. } => "OK searchChunk",
            Message::Source { .. } => "SOURCE",
            Message::Link { .. } => "LINK",
            Message::OkLink { .. } => "OK LINK",
            Message::Offer { .. } => "OFFER",
            Message::Get { .. } => "GET",
            Message::Chunk { .. } => "CHUNK",
            Message::Deny { .. } => "DENY",
            Message::Cancel { .. } => "CANCEL",
            Message::Want { .. } => "WANT",
            Message::Holds { .. } => "HOLDS",
            Message::Got { .. } => "GOT",
            Message::Chat(chat) => chat.verb(),
            Message::Err { .. } => "ERR",
        }
    }
}
