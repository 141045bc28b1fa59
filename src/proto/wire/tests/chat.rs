//! The golden lines of the messenger.

use crate::proto::ids::Key;
use crate::proto::time::Wall;
use crate::proto::wire::tests::name;
use crate::proto::wire::{Chat, Delivery, Message, Reach, Secret};

pub(super) fn golden() -> Vec<(Message<'static>, &'static str)> {
    let (key, hex) = (Key(0xab), "000000000000000000000000000000ab");
    let line = |text: String| -> &'static str { text.leak() };
    let addr = "10.0.0.7:40000".parse().unwrap();
    let bob = name("bob");
    let lines = [
        (Chat::Login { name: bob, password: Secret("pass %word") }, "login bob pass %word"),
        (Chat::Auth { port: 7, text: "biwsbj1ib2I=" }, "AUTH SCRAM-SHA-256 7 biwsbj1ib2I="),
        (Chat::AuthMore { text: "Yz1iaXdz" }, "AUTH Yz1iaXdz"),
        (Chat::OkAuth { text: "cj1h" }, "OK AUTH cj1h"),
        (Chat::OkLogin { name: bob, waiting: 2, text: None }, "OK login bob 2"),
        (Chat::OkLogin { name: bob, waiting: 0, text: Some("dj1h") }, "OK login bob 0 dj1h"),
        (Chat::Send { to: "bob", text: "hi  there " }, "message bob hi  there "),
        (Chat::OkSend { how: Delivery::Delivered }, "OK message delivered"),
        (Chat::OkSend { how: Delivery::Kept }, "OK message kept"),
        (Chat::Broadcast { text: "hi 100%" }, "broadcast hi 100%"),
        (Chat::OkBroadcast { reach: Reach::All }, "OK broadcast all"),
        (Chat::OkBroadcast { reach: Reach::Some }, "OK broadcast some"),
        (Chat::WhoElse { after: None }, "whoelse"),
        (Chat::WhoElse { after: Some(bob) }, "whoelse bob"),
        (Chat::User { name: bob }, "USER bob"),
        (Chat::OkWhoElse { count: 1, more: false }, "OK whoelse 1"),
        (Chat::OkWhoElse { count: 9, more: true }, "OK whoelse 9 more"),
        (Chat::WhoElseSince { seconds: 60, after: None }, "whoelsesince 60"),
        (Chat::WhoElseSince { seconds: 60, after: Some(bob) }, "whoelsesince 60 bob"),
        (Chat::OkWhoElseSince { count: 0, more: false }, "OK whoelsesince 0"),
        (Chat::Block { user: "bob" }, "block bob"),
        (Chat::OkBlock { user: bob }, "OK block bob"),
        (Chat::Unblock { user: "b%" }, "unblock b%"),
        (Chat::OkUnblock { user: bob }, "OK unblock bob"),
        (Chat::Logout, "logout"),
        (Chat::OkLogout, "OK logout"),
        (Chat::StopPrivate { user: "bob" }, "stopprivate bob"),
        (Chat::OkStopPrivate { user: bob }, "OK stopprivate bob"),
        (Chat::PrivateStopped { user: bob }, "STOPPRIVATE bob"),
        (Chat::PrivateReady, "startprivate"),
        (Chat::PrivateText { text: "hi  there" }, "private hi  there"),
        (Chat::OkPrivateText, "OK private"),
        (Chat::PrivateOver, "stopprivate"),
        (Chat::StartPrivate { user: "bob" }, "startprivate bob"),
        (
            Chat::OkStartPrivate { user: bob, addr, ticket: key },
            line(format!("OK startprivate bob 10.0.0.7:40000 {hex}")),
        ),
        (Chat::Private { user: bob, addr, ticket: key }, line(format!("PRIVATE bob 10.0.0.7:40000 {hex}"))),
        (Chat::Ack { number: 9 }, "ACK 9"),
        (Chat::AskStatus, "status"),
        (Chat::Status { name: "driver.links", value: 3 }, "STATUS driver.links 3"),
        (Chat::OkStatus { count: 1 }, "OK status 1"),
        (Chat::Message { from: bob, text: "hi" }, "MESSAGE bob hi"),
        (Chat::Mail { number: 9, at: Wall(5), from: bob, text: "hi  there" }, "MAIL 9 5 bob hi  there"),
        (Chat::BroadcastFrom { from: bob, text: "hi" }, "BROADCAST bob hi"),
        (Chat::Online { name: bob }, "ONLINE bob"),
        (Chat::Offline { name: bob }, "OFFLINE bob"),
    ];
    lines.into_iter().map(|(chat, line)| (Message::Chat(chat), line)).collect()
}
