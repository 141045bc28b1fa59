//! Golden lines, refusals, and the round trip of every message.

use proptest::prelude::*;

use crate::proto::ids::{Key, Name};
use crate::proto::time::Wall;
use crate::proto::wire::{Departure, ErrorCode, MemberState, Message, ParseError, Role};

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// Each message beside its line: the protocol, byte for byte.
fn golden() -> Vec<(Message<'static>, &'static str)> {
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
            Message::Link { group: name("lab"), from: name("0"), to: name("1"), ticket: key },
            line(format!("LINK lab 0 1 {hex}")),
        ),
        (Message::OkLink, "OK LINK"),
        (Message::Offer { file: "f.txt", bytes: 9, chunk_bytes: 8, octets: 130 }, "OFFER f.txt 9 8 130"),
        (Message::Get { file: "f.txt", chunk: 1 }, "GET f.txt 1"),
        (Message::Chunk { file: "f.txt", chunk: 1, octets: 1 }, "CHUNK f.txt 1 1"),
        (Message::Got { file: "f.txt" }, "GOT f.txt"),
        (Message::Err { code: ErrorCode::IdTaken, text: "0 is taken" }, "ERR id-taken 0 is taken"),
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
        let free_text =
            matches!(message, Message::Greeting { .. } | Message::Bye { .. } | Message::Err { .. });
        let optional_key = matches!(message, Message::Join { .. });
        if !free_text {
            let longer = format!("{line} x");
            assert!(Message::parse(longer.as_bytes()).is_err(), "{longer}");
        }
        if let Some((shorter, _)) = line.rsplit_once(' ').filter(|_| !free_text && !optional_key) {
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
        ("GET / HTTP/1.1", ParseError::BadArgument("file")),
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
        ("OK", ParseError::BadArgument("what is OK")),
        ("PEER 4 1 [fd00::0]:4 000000000000000000000000000000ab lost 0", ParseError::BadArgument("addr")),
    ] {
        assert_eq!(Message::parse(line.as_bytes()), Err(expected), "{line:?}");
    }
    assert_eq!(Message::parse(b"BYE \xff"), Err(ParseError::BadText));
    assert!(Message::parse("BYE grüße".as_bytes()).is_ok());
}

proptest! {
    #[test]
    fn no_bytes_panic(line in prop::collection::vec(any::<u8>(), 0..120)) {
        let _ = Message::parse(&line);
    }

    /// What parses encodes to the same line again: there is one spelling of each message.
    #[test]
    fn near_misses_never_parse_to_something_else(which in 0usize..21, at in 0usize..60, byte in any::<u8>()) {
        let mut line = golden()[which].1.as_bytes().to_vec();
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
