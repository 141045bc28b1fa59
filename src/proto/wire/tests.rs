//! Golden lines, refusals, and the round trip of every message.

mod chat;

use proptest::prelude::*;

use crate::proto::ids::{Key, Name};
use crate::proto::time::Wall;
use crate::proto::wire::{
    Availability, Chat, Departure, ErrorCode, MemberState, Message, Numbers, ParseError, Portion, Role,
};

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// Each message beside its line: the protocol, byte for byte.
fn golden() -> Vec<(Message<'static>, &'static str)> {
    [golden_run(), golden_catalog(), golden_direct(), chat::golden()].concat()
}

fn golden_run() -> Vec<(Message<'static>, &'static str)> {
    let key = Key(0xab);
    let hex = "000000000000000000000000000000ab";
    let line = |text: String| -> &'static str { text.leak() };
    let addr = "10.0.0.7:40000".parse().unwrap();
    let addr6 = "[fd00::1]:40000".parse().unwrap();
    vec![
        (
            Message::Greeting { version: 1, role: Role::Server, software: "tickmesh/0.1.0" },
            "TICKMESH 1 server tickmesh/0.1.0",
        ),
        (
            Message::Join {
                group: name("lab"),
                id: None,
                port: 0,
                interval_ns: None,
                duration_ns: None,
                key: None,
            },
            "JOIN lab * 0 * *",
        ),
        (
            Message::Join {
                group: name("lab"),
                id: Some(name("7")),
                port: 40000,
                interval_ns: Some(10_000_000),
                duration_ns: Some(0),
                key: Some(key),
            },
            line(format!("JOIN lab 7 40000 10000000 0 {hex}")),
        ),
        (
            Message::OkJoin { id: name("a.b"), key, interval_ns: 1, duration_ns: 2, epoch: 3 },
            line(format!("OK JOIN a.b {hex} 1 2 3")),
        ),
        (
            Message::Tick { seq: 29_999, t1: Wall(1_795_230_780_123_456_789) },
            "TICK 29999 1795230780123456789",
        ),
        (
            Message::Tock { seq: 0, t1: Wall(1), t2: Wall(2), t3: Wall(u64::MAX) },
            "TOCK 0 1 2 18446744073709551615",
        ),
        (
            Message::Peer {
                epoch: 4,
                id: name("1"),
                addr,
                ticket: key,
                state: MemberState::Running,
                left_ns: 5,
            },
            line(format!("PEER 4 1 10.0.0.7:40000 {hex} running 5")),
        ),
        (
            Message::Peer {
                epoch: 4,
                id: name("1"),
                addr: addr6,
                ticket: key,
                state: MemberState::Lost,
                left_ns: 0,
            },
            line(format!("PEER 4 1 [fd00::1]:40000 {hex} lost 0")),
        ),
        (Message::Gone { id: name("1"), why: Departure::Early }, "GONE 1 early"),
        (Message::Done { sent: 30_000, answered: 29_999 }, "DONE 30000 29999"),
        (Message::OkDone { received: 30_000, sent: 30_000 }, "OK DONE 30000 30000"),
        (Message::Leave { epoch: 3 }, "LEAVE 3"),
        (Message::OkLeave, "OK LEAVE"),
        (Message::Bye { why: "the server stops" }, "BYE the server stops"),
        (
            Message::Link { group: name("lab"), from: name("0"), to: name("1"), ticket: key, zstd: false },
            line(format!("LINK lab 0 1 {hex}")),
        ),
        (
            Message::Link { group: name("lab"), from: name("0"), to: name("1"), ticket: key, zstd: true },
            line(format!("LINK lab 0 1 {hex} zstd")),
        ),
        (Message::OkLink { zstd: false }, "OK LINK"),
        (Message::OkLink { zstd: true }, "OK LINK zstd"),
        (Message::Err { code: ErrorCode::IdTaken, text: "0 is taken" }, "ERR id-taken 0 is taken"),
    ]
}

fn golden_catalog() -> Vec<(Message<'static>, &'static str)> {
    let (file, bytes, chunk_bytes, octets) = ("f.txt", 9, 8, 130);
    let (key, hex) = (Key(0xab), "000000000000000000000000000000ab");
    let line = |text: String| -> &'static str { text.leak() };
    let hello = |id: Option<&str>, port, group: Option<&str>, key| Message::Hello {
        id: id.map(name),
        port,
        group: group.map(name),
        key,
    };
    let numbers = Numbers::parse("1 2 30").unwrap();
    vec![
        (hello(None, None, None, None), "HELLO *"),
        (hello(Some("al"), Some(0), None, None), "HELLO al 0"),
        (hello(Some("al"), Some(40000), Some("x"), None), "HELLO al 40000 x"),
        (hello(Some("al"), Some(40000), Some("x"), Some(key)), line(format!("HELLO al 40000 x {hex}"))),
        (Message::OkHello { id: name("guest-1"), key }, line(format!("OK HELLO guest-1 {hex}"))),
        (
            Message::Register { file, bytes, chunk_bytes, octets, held: Portion::All },
            "REGISTER f.txt 9 8 130 all",
        ),
        (
            Message::Register { file, bytes, chunk_bytes, octets, held: Portion::None },
            "REGISTER f.txt 9 8 130 none",
        ),
        (Message::OkRegister { file, holders: 2 }, "OK REGISTER f.txt 2"),
        (Message::Withdraw { file }, "WITHDRAW f.txt"),
        (Message::OkWithdraw { file }, "OK WITHDRAW f.txt"),
        (Message::Download { file }, "DOWNLOAD f.txt"),
        (Message::OkDownload { file, bytes, chunk_bytes, octets }, "OK DOWNLOAD f.txt 9 8 130"),
        (Message::Have { file, first: 0, last: 7 }, "HAVE f.txt 0 7"),
        (Message::Report { file, id: name("al"), chunk: 3 }, "REPORT f.txt al 3"),
        (Message::SearchFile { file }, "searchFile f.txt"),
        (Message::OkSearchFile { found: Availability::Available }, "OK searchFile Available"),
        (Message::OkSearchFile { found: Availability::NotAvailable }, "OK searchFile Not available"),
        (Message::SearchChunk { file, chunks: numbers }, "searchChunk f.txt 1 2 30"),
        (Message::OkSearchChunk { found: Availability::Available }, "OK searchChunk Available"),
        (Message::OkSearchChunk { found: Availability::NotAvailable }, "OK searchChunk Not available"),
        (Message::Holder { id: name("al"), held: 1, chunks: 2 }, "HOLDER al 1 2"),
        (
            Message::Source { file, id: name("al"), addr: "10.0.0.7:40000".parse().unwrap(), ticket: key },
            line(format!("SOURCE f.txt al 10.0.0.7:40000 {hex}")),
        ),
    ]
}

#[test]
fn what_people_type_is_taken_as_they_type_it() {
    let send = |to, text| Ok(Message::Chat(Chat::Send { to, text }));
    for (line, expected) in [
        ("%bob%hi", send("bob", "hi")),
        ("%bob%100 % of it%", send("bob", "100 % of it%")),
        ("%%", send("", "")),
        ("%bob%", send("bob", "")),
        ("message", send("", "")),
        ("message ", send("", "")),
        ("message bob", send("bob", "")),
        ("message bob ", send("bob", "")),
        ("message  bob hi", send("", "bob hi")),
        ("broadcast  ", Ok(Message::Chat(Chat::Broadcast { text: "" }))),
        ("whoelse ", Ok(Message::Chat(Chat::WhoElse { after: None }))),
        ("%bob", Err(ParseError::UnknownVerb)),
        ("whoelsesince soon", Err(ParseError::BadArgument("a whole number of seconds is expected"))),
        ("block", Err(ParseError::BadArgument("the name of a user is missing"))),
        ("login bob", Err(ParseError::BadArgument("password"))),
    ] {
        assert_eq!(Message::parse(line.as_bytes()), expected, "{line}");
    }
    let shown = format!("{:?}", Message::parse(b"login bob hunter2"));
    assert!(!shown.contains("hunter2"), "{shown}");
}

fn golden_direct() -> Vec<(Message<'static>, &'static str)> {
    let file = "f.txt";
    let root = blake3::hash(b"");
    vec![
        (Message::Offer { file, bytes: 9, chunk_bytes: 8, octets: 130 }, "OFFER f.txt 9 8 130"),
        (
            Message::Want { file, root },
            "WANT f.txt af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
        ),
        (Message::Holds { file, octets: 0 }, "HOLDS f.txt 0"),
        (Message::Get { file, chunk: 1 }, "GET f.txt 1"),
        (Message::Chunk { file, chunk: 1, octets: 1, zstd: false }, "CHUNK f.txt 1 1"),
        (Message::Chunk { file, chunk: 1, octets: 1, zstd: true }, "CHUNK f.txt 1 1 zstd"),
        (Message::Deny { file, chunk: 1 }, "DENY f.txt 1"),
        (Message::Cancel { file, chunk: 1 }, "CANCEL f.txt 1"),
        (Message::Got { file }, "GOT f.txt"),
    ]
}

#[test]
fn the_bytes_of_every_message_are_fixed() {
    for (message, expected) in golden() {
        let mut line = Vec::new();
        message.encode(&mut line);
        assert_eq!(String::from_utf8(line).unwrap(), format!("{expected}\n"));
        assert_eq!(Message::parse(expected.as_bytes()), Ok(message), "{expected}");
        assert!(expected.starts_with(message.verb()));
    }
}

#[test]
fn an_item_of_a_list_is_the_same_message() {
    let plain = Message::parse(b"GONE 1 early").unwrap();
    assert_eq!(Message::parse(b"* GONE 1 early"), Ok(plain));
}

#[test]
fn a_line_with_a_word_less_or_more_is_refused() {
    for (message, line) in golden() {
        let free_chat = matches!(
            message,
            Message::Chat(
                Chat::Login { .. }
                    | Chat::OkLogin { .. }
                    | Chat::Send { .. }
                    | Chat::Broadcast { .. }
                    | Chat::Message { .. }
                    | Chat::Mail { .. }
                    | Chat::BroadcastFrom { .. }
                    | Chat::PrivateText { .. }
                    // With a name they are said to the server, without one to the other user.
                    | Chat::StartPrivate { .. }
                    | Chat::StopPrivate { .. }
                    | Chat::PrivateReady
                    | Chat::PrivateOver
            )
        );
        let free_text = free_chat
            || matches!(message, Message::Greeting { .. } | Message::Bye { .. } | Message::Err { .. });
        // Their last words may be left out, or be more.
        let optional = matches!(
            message,
            Message::Join { .. }
                | Message::Hello { .. }
                | Message::Chunk { .. }
                | Message::Link { .. }
                | Message::SearchChunk { .. }
                | Message::OkSearchFile { .. }
                | Message::OkSearchChunk { .. }
                | Message::OkLink { zstd: true }
                | Message::Chat(Chat::WhoElse { .. } | Chat::WhoElseSince { .. } | Chat::OkWhoElse { .. })
        );
        if !free_text {
            let longer = format!("{line} x.");
            assert!(Message::parse(longer.as_bytes()).is_err(), "{longer}");
        }
        if let Some((shorter, _)) = line.rsplit_once(' ').filter(|_| !free_text && !optional) {
            assert!(Message::parse(shorter.as_bytes()).is_err(), "{shorter}");
        }
    }
}

#[test]
fn what_is_no_message_is_named() {
    for (line, expected) in [
        ("", ParseError::Empty),
        ("TOCKS 1", ParseError::UnknownVerb),
        ("tick 1 2", ParseError::UnknownVerb),
        ("GET / HTTP/1.1", ParseError::Http),
        ("POST /login HTTP/1.1", ParseError::Http),
        ("PRI * HTTP/2.0", ParseError::Http),
        ("GET film.bin", ParseError::BadArgument("chunk")),
        ("TICK", ParseError::BadArgument("seq")),
        ("TICK 01 2", ParseError::BadArgument("seq")),
        ("TICK +1 2", ParseError::BadArgument("seq")),
        ("TICK -1 2", ParseError::BadArgument("seq")),
        ("TICK 18446744073709551616 2", ParseError::BadArgument("seq")),
        ("TICK 1  2", ParseError::BadArgument("t1")),
        ("TICK 1 2 ", ParseError::BadArgument("t1")),
        ("TICK 1 2 3", ParseError::BadArgument("too many arguments")),
        (" TICK 1 2", ParseError::Empty),
        ("JOIN ../../x * 0 * *", ParseError::BadArgument("group")),
        ("JOIN lab .. 0 * *", ParseError::BadArgument("id")),
        ("JOIN lab * 65536 * *", ParseError::BadArgument("port")),
        ("GET ../secret 0", ParseError::BadArgument("file")),
        ("GET .partial 0", ParseError::BadArgument("file")),
        ("LINK lab 0 1 00ab", ParseError::BadArgument("ticket")),
        ("TICK 1\t2", ParseError::BadText),
        ("BYE \u{1b}[2J", ParseError::BadText),
        ("BYE \u{85}", ParseError::BadText),
        ("HELLO", ParseError::BadArgument("name")),
        ("HELLO ..", ParseError::BadArgument("name")),
        ("HELLO a 65536", ParseError::BadArgument("port")),
        ("HELLO a 1 lab 0 0", ParseError::BadArgument("key")),
        ("REGISTER a/b 1 1 65 all", ParseError::BadArgument("file")),
        ("REGISTER a 1 1 65", ParseError::BadArgument("all or none")),
        ("REGISTER a 1 1 65 some", ParseError::BadArgument("all or none")),
        ("HAVE a 1", ParseError::BadArgument("last")),
        ("searchFile", ParseError::BadArgument("file")),
        ("searchChunk a", ParseError::BadArgument("chunk")),
        ("searchChunk a 1 x", ParseError::BadArgument("chunk")),
        ("searchfile a", ParseError::UnknownVerb),
        ("register a 5", ParseError::BadArgument("to share a file, run: tickmesh share FILE")),
        ("download a", ParseError::BadArgument("to get a file, run: tickmesh get FILE")),
        ("OK searchFile Maybe", ParseError::BadArgument("found")),
        ("WANT a 00", ParseError::BadArgument("root")),
        ("CHUNK a 1 1 gzip", ParseError::BadArgument("zstd")),
        ("CHUNK a 1 1 zstd zstd", ParseError::BadArgument("too many arguments")),
        ("OK LINK gzip", ParseError::BadArgument("zstd")),
        ("OK", ParseError::BadArgument("what is OK")),
        ("MESSAGE bob", ParseError::BadArgument("text")),
        ("BROADCAST bob-hi", ParseError::BadArgument("text")),
        ("MAIL 9 5 bob", ParseError::BadArgument("text")),
        ("PEER 4 1 [fd00::0]:4 000000000000000000000000000000ab lost 0", ParseError::BadArgument("addr")),
    ] {
        assert_eq!(Message::parse(line.as_bytes()), Err(expected), "{line:?}");
    }
    assert_eq!(Message::parse(b"BYE \xff"), Err(ParseError::BadText));
    assert!(Message::parse("BYE grüße".as_bytes()).is_ok());
}

/// The lines of the documented sessions are lines; the server's tests play those that a server speaks.
#[test]
fn the_documented_sessions_are_made_of_messages() {
    let sessions = [
        include_str!("session.txt"),
        include_str!("guests.txt"),
        include_str!("status.txt"),
        include_str!("talk.txt"),
        include_str!("direct.txt"),
    ];
    for line in sessions.iter().flat_map(|session| session.lines()) {
        let (_, text) = line.split_once(": ").unwrap();
        let octets = text.starts_with('<') || blake3::Hash::from_hex(text).is_ok();
        let wrong_on_purpose =
            ["tick 1", "TICK 1", "download notes.txt", "searchChunk notes.txt"].contains(&text);
        let told = text.replace(
            '~',
            if text.starts_with("TOCK") || text.to_lowercase().contains("status") {
                "1"
            } else {
                "000000000000000000000000000000ab"
            },
        );
        assert_eq!(Message::parse(told.as_bytes()).is_err(), octets || wrong_on_purpose, "{text}");
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(line in prop::collection::vec(any::<u8>(), 0..120)) {
        let _ = Message::parse(&line);
    }

    /// What parses encodes to the same line again: there is one spelling of each message.
    #[test]
    fn near_misses_never_parse_to_something_else(which in any::<prop::sample::Index>(), at in 0usize..100, byte in any::<u8>()) {
        let mut line = which.get(&golden()).1.as_bytes().to_vec();
        let at = at.min(line.len() - 1);
        line[at] = byte;
        if let Ok(message) = Message::parse(&line) {
            let mut again = Vec::new();
            message.encode(&mut again);
            again.pop();
            prop_assert_eq!(again, line);
        }
    }
}
