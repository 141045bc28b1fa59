//! The lines of the messenger: logging in, messages, presence, blocks, private links. Their form only;
//! the rules are elsewhere.

use std::net::SocketAddr;

use crate::proto::ids::{Key, Name};
use crate::proto::time::Wall;
use crate::proto::wire::message::Line;
use crate::proto::wire::parse::{Args, ParseError, addr};
use crate::proto::wire::words::{Delivery, Reach};

/// The one way to log in that a program has (RFC 7677).
const MECHANISM: &str = "SCRAM-SHA-256";

/// Behind the count of a list that is not all.
const MORE: &str = "more";

/// A line of the messenger.
#[allow(missing_docs)] // each variant's sentence names its fields
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chat<'a> {
    /// Log in, typed by a person.
    Login { name: Name, password: Secret<'a> },
    /// Log in, from a program, that can be dialed at that port, if it is not 0: the first message of the client.
    Auth { port: u16, text: &'a str },
    /// The next message of the client.
    AuthMore { text: &'a str },
    /// The answer to `Auth`: the first message of the server.
    OkAuth { text: &'a str },
    /// The answer to `Login` and `AuthMore`: so many messages waited; and the last message of the server, for a program.
    OkLogin { name: Name, waiting: u64, text: Option<&'a str> },
    /// A message to one user.
    Send { to: &'a str, text: &'a str },
    /// The answer to `Send`.
    OkSend { how: Delivery },
    /// A message to all.
    Broadcast { text: &'a str },
    /// The answer to `Broadcast`.
    OkBroadcast { reach: Reach },
    /// Who else is online? Only those behind a name, if there is one.
    WhoElse { after: Option<Name> },
    /// One of them; item of a list.
    User { name: Name },
    /// The answer to `WhoElse`, behind a list of `User`: so many are listed, and there are more.
    OkWhoElse { count: u64, more: bool },
    /// Who else was online at any time in the last so many seconds? Only those behind one, if there is one.
    WhoElseSince { seconds: u64, after: Option<Name> },
    /// The answer to `WhoElseSince`, behind a list of `User`.
    OkWhoElseSince { count: u64, more: bool },
    /// I want nothing of that user.
    Block { user: &'a str },
    /// The answer to `Block`.
    OkBlock { user: Name },
    /// I take it back.
    Unblock { user: &'a str },
    /// The answer to `Unblock`.
    OkUnblock { user: Name },
    /// Goodbye; the link closes.
    Logout,
    /// The answer to `Logout`.
    OkLogout,
    /// I want to talk to that user directly.
    StartPrivate { user: &'a str },
    /// The answer to `StartPrivate`: where, and what proves who dials.
    OkStartPrivate { user: Name, addr: SocketAddr, ticket: Key },
    /// That user wants to talk directly: the same as `OkStartPrivate`, to the other one of the two.
    Private { user: Name, addr: SocketAddr, ticket: Key },
    /// I end the private link with that user.
    StopPrivate { user: &'a str },
    /// The answer to `StopPrivate`.
    OkStopPrivate { user: Name },
    /// Over a direct link: the server has said so, I am ready to talk privately.
    PrivateReady,
    /// Over a direct link: a private message.
    PrivateText { text: &'a str },
    /// The answer to `PrivateText`, once it is shown.
    OkPrivateText,
    /// Over a direct link: I do not talk privately any more.
    PrivateOver,
    /// That user has ended the private link, or has gone.
    PrivateStopped { user: Name },
    /// A message of that number has been shown.
    Ack { number: u64 },
    /// How does the server stand?
    AskStatus,
    /// One figure of it: `group.key`; item of a list.
    Status { name: &'a str, value: u64 },
    /// The answer to `AskStatus`, behind a list of `Status`: so many.
    OkStatus { count: u64 },
    /// A message from somebody, to a person.
    Message { from: Name, text: &'a str },
    /// The same to a program, which says `Ack`: its number, and when it was sent.
    Mail { number: u64, at: Wall, from: Name, text: &'a str },
    /// A message from somebody to all.
    BroadcastFrom { from: Name, text: &'a str },
    /// Somebody is here now.
    Online { name: Name },
    /// Somebody is gone.
    Offline { name: Name },
}

/// A password in a line. It is never shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Secret<'a>(pub &'a str);

impl std::fmt::Debug for Secret<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

impl<'a> Chat<'a> {
    /// The words that the line begins with.
    pub fn verb(&self) -> &'static str {
        match self {
            Chat::Login { .. } => "login",
            Chat::Auth { .. } | Chat::AuthMore { .. } => "AUTH",
            Chat::OkAuth { .. } => "OK AUTH",
            Chat::OkLogin { .. } => "OK login",
            Chat::Send { .. } => "message",
            Chat::OkSend { .. } => "OK message",
            Chat::Broadcast { .. } => "broadcast",
            Chat::OkBroadcast { .. } => "OK broadcast",
            Chat::WhoElse { .. } => "whoelse",
            Chat::User { .. } => "USER",
            Chat::OkWhoElse { .. } => "OK whoelse",
            Chat::WhoElseSince { .. } => "whoelsesince",
            Chat::OkWhoElseSince { .. } => "OK whoelsesince",
            Chat::Block { .. } => "block",
            Chat::OkBlock { .. } => "OK block",
            Chat::Unblock { .. } => "unblock",
            Chat::OkUnblock { .. } => "OK unblock",
            Chat::Logout => "logout",
            Chat::OkLogout => "OK logout",
            Chat::StartPrivate { .. } | Chat::PrivateReady => "startprivate",
            Chat::OkStartPrivate { .. } => "OK startprivate",
            Chat::Private { .. } => "PRIVATE",
            Chat::StopPrivate { .. } | Chat::PrivateOver => "stopprivate",
            Chat::PrivateText { .. } => "private",
            Chat::OkPrivateText => "OK private",
            Chat::OkStopPrivate { .. } => "OK stopprivate",
            Chat::PrivateStopped { .. } => "STOPPRIVATE",
            Chat::Ack { .. } => "ACK",
            Chat::AskStatus => "status",
            Chat::Status { .. } => "STATUS",
            Chat::OkStatus { .. } => "OK status",
            Chat::Message { .. } => "MESSAGE",
            Chat::Mail { .. } => "MAIL",
            Chat::BroadcastFrom { .. } => "BROADCAST",
            Chat::Online { .. } => "ONLINE",
            Chat::Offline { .. } => "OFFLINE",
        }
    }

    /// Appends what stands behind the verb.
    pub(super) fn encode_args(&self, line: &mut Line<'_>) {
        match *self {
            Chat::Login { name, password } => line.word(name.as_str()).word(password.0),
            Chat::Auth { port, text } => line.word(MECHANISM).number(u64::from(port)).word(text),
            Chat::AuthMore { text }
            | Chat::OkAuth { text }
            | Chat::Broadcast { text }
            | Chat::PrivateText { text } => line.word(text),
            Chat::OkLogin { name, waiting, text } => optional(line.word(name.as_str()).number(waiting), text),
            Chat::Send { to, text } => line.word(to).word(text),
            Chat::OkSend { how } => line.word(how.as_str()),
            Chat::OkBroadcast { reach } => line.word(reach.as_str()),
            Chat::Logout
            | Chat::OkLogout
            | Chat::PrivateReady
            | Chat::OkPrivateText
            | Chat::PrivateOver
            | Chat::AskStatus => line,
            Chat::Status { name, value } => line.word(name).number(value),
            Chat::WhoElse { after } => optional(line, after.as_ref().map(Name::as_str)),
            Chat::OkWhoElse { count, more } | Chat::OkWhoElseSince { count, more } => {
                optional(line.number(count), more.then_some(MORE))
            }
            Chat::WhoElseSince { seconds, after } => {
                optional(line.number(seconds), after.as_ref().map(Name::as_str))
            }
            Chat::Block { user }
            | Chat::Unblock { user }
            | Chat::StartPrivate { user }
            | Chat::StopPrivate { user } => line.word(user),
            Chat::User { name: user }
            | Chat::OkBlock { user }
            | Chat::OkUnblock { user }
            | Chat::OkStopPrivate { user }
            | Chat::PrivateStopped { user }
            | Chat::Online { name: user }
            | Chat::Offline { name: user } => line.word(user.as_str()),
            Chat::OkStartPrivate { user, addr, ticket } | Chat::Private { user, addr, ticket } => {
                line.word(user.as_str()).shown(addr).shown(ticket)
            }
            Chat::Ack { number } | Chat::OkStatus { count: number } => line.number(number),
            Chat::Message { from, text } | Chat::BroadcastFrom { from, text } => {
                line.word(from.as_str()).word(text)
            }
            Chat::Mail { number, at, from, text } => {
                line.number(number).number(at.0).word(from.as_str()).word(text)
            }
        };
    }

    /// What a person may type without a verb: `%name%text`.
    pub(super) fn parse_percent(line: &'a str) -> Option<Chat<'a>> {
        let (to, text) = line.strip_prefix('%')?.split_once('%')?;
        Some(Chat::Send { to, text })
    }

    /// The rest of a line with that verb.
    pub(super) fn parse(verb: &str, args: &mut Args<'a>) -> Result<Chat<'a>, ParseError> {
        Ok(match verb {
            "login" => Chat::Login { name: args.name("name")?, password: Secret(args.rest("password")?) },
            "AUTH" => match args.arg("text", Some)? {
                MECHANISM => Chat::Auth { port: args.small("port")?, text: args.arg("text", Some)? },
                text => Chat::AuthMore { text },
            },
            "message" => {
                let (to, text) = args.split();
                Chat::Send { to, text }
            }
            "broadcast" => Chat::Broadcast { text: args.all() },
            "whoelse" => Chat::WhoElse { after: after(args)? },
            "whoelsesince" => {
                let seconds = args.number("a whole number of seconds is expected")?;
                Chat::WhoElseSince { seconds, after: after(args)? }
            }
            "block" => Chat::Block { user: args.arg("the name of a user is missing", Some)? },
            "unblock" => Chat::Unblock { user: args.arg("the name of a user is missing", Some)? },
            "logout" => Chat::Logout,
            // Without a name they are for a direct link.
            "startprivate" if args.is_empty() => Chat::PrivateReady,
            "stopprivate" if args.is_empty() => Chat::PrivateOver,
            "startprivate" => Chat::StartPrivate { user: args.arg("the name of a user is missing", Some)? },
            "stopprivate" => Chat::StopPrivate { user: args.arg("the name of a user is missing", Some)? },
            "private" => Chat::PrivateText { text: args.all() },
            "ACK" => Chat::Ack { number: args.number("number")? },
            "status" => Chat::AskStatus,
            "STATUS" => Chat::Status { name: args.arg("name", Some)?, value: args.number("value")? },
            "USER" => Chat::User { name: args.name("name")? },
            "MESSAGE" => Chat::Message { from: args.name("from")?, text: args.rest("text")? },
            "BROADCAST" => Chat::BroadcastFrom { from: args.name("from")?, text: args.rest("text")? },
            "MAIL" => Chat::Mail {
                number: args.number("number")?,
                at: args.wall("at")?,
                from: args.name("from")?,
                text: args.rest("text")?,
            },
            "ONLINE" => Chat::Online { name: args.name("name")? },
            "OFFLINE" => Chat::Offline { name: args.name("name")? },
            "PRIVATE" => {
                let (user, addr) = (args.name("user")?, args.arg("addr", addr)?);
                Chat::Private { user, addr, ticket: args.key("ticket")? }
            }
            "STOPPRIVATE" => Chat::PrivateStopped { user: args.name("user")? },
            _ => return Err(ParseError::UnknownVerb),
        })
    }

    /// The rest of an `OK` line of that kind.
    pub(super) fn parse_ok(kind: &str, args: &mut Args<'a>) -> Result<Chat<'a>, ParseError> {
        Ok(match kind {
            "AUTH" => Chat::OkAuth { text: args.arg("text", Some)? },
            "login" => {
                let (name, waiting) = (args.name("name")?, args.number("waiting")?);
                Chat::OkLogin { name, waiting, text: args.last("text")? }
            }
            "message" => Chat::OkSend { how: args.one_of("delivery", Delivery::parse)? },
            "broadcast" => Chat::OkBroadcast { reach: args.one_of("reach", Reach::parse)? },
            "whoelse" => Chat::OkWhoElse { count: args.number("count")?, more: more(args)? },
            "whoelsesince" => Chat::OkWhoElseSince { count: args.number("count")?, more: more(args)? },
            "block" => Chat::OkBlock { user: args.name("user")? },
            "unblock" => Chat::OkUnblock { user: args.name("user")? },
            "logout" => Chat::OkLogout,
            "private" => Chat::OkPrivateText,
            "status" => Chat::OkStatus { count: args.number("count")? },
            "startprivate" => {
                let (user, addr) = (args.name("user")?, args.arg("addr", addr)?);
                Chat::OkStartPrivate { user, addr, ticket: args.key("ticket")? }
            }
            "stopprivate" => Chat::OkStopPrivate { user: args.name("user")? },
            _ => return Err(ParseError::BadArgument("what is OK")),
        })
    }
}

/// A last word that may be missing.
fn optional<'l, 'b>(line: &'l mut Line<'b>, word: Option<&str>) -> &'l mut Line<'b> {
    match word {
        Some(word) => line.word(word),
        None => line,
    }
}

/// Where a list goes on.
fn after(args: &mut Args<'_>) -> Result<Option<Name>, ParseError> {
    let word = args.last("name")?;
    word.map(|word| word.parse().map_err(|_| ParseError::BadArgument("name"))).transpose()
}

fn more(args: &mut Args<'_>) -> Result<bool, ParseError> {
    match args.last(MORE)? {
        Some(MORE) => Ok(true),
        Some(_) => Err(ParseError::BadArgument(MORE)),
        None => Ok(false),
    }
}
