//! Private links.

use nix::sys::signal::Signal;

use crate::Party;

/// `startprivate`, `private`, `stopprivate`.
pub fn begin(party: &mut Party) {
    let Party { evening, alice, bob, carol, dave } = party;
    alice.says("startprivate bob", "startprivate: bob");
    bob.hears("alice and you have a private link");
    alice.says("private bob between us", "private: bob has it");
    bob.hears("alice privately: between us");
    bob.says("private alice \\u{1b} yes", "private: alice has it");
    alice.hears("bob privately: \\u{5c}u{1b} yes");
    carol.says("block alice", "block: alice");
    let none = "private: you have no private link with that user";
    alice.tries(&[
        ("startprivate bob", "startprivate: bob"),
        ("startprivate alice", "startprivate: that is you"),
        ("startprivate nobody", "startprivate: there is no user of that name"),
        ("startprivate erin", "startprivate: that user is offline"),
        ("startprivate carol", "startprivate: that user has blocked you"),
        ("startprivate", "startprivate: the name of a user is missing"),
        ("startprivate bob carol", "startprivate: too many arguments"),
        ("private carol hi", none),
        ("private nobody hi", none),
        ("private bob ", "private: the text is empty"),
        ("private", "private: the name of a user is missing"),
        ("stopprivate carol", "stopprivate: you have no private link with that user"),
        ("stopprivate", "stopprivate: the name of a user is missing"),
        ("stopprivate bob now", "stopprivate: too many arguments"),
    ]);
    carol.tries(&[("startprivate alice", "startprivate: you have blocked that user")]);
    // What is typed at `nc` is for the server.
    let mut erin = evening.plain();
    erin.says("login erin erins-word", "OK login erin 0\n");
    dave.hears("ONLINE erin\n");
    dave.tries(&[
        ("startprivate erin", "ERR not-reachable "),
        ("stopprivate erin", "ERR no-private "),
        ("private erin hi", "ERR bad-argument "),
    ]);
    erin.says("logout", "OK logout\n");
}

/// A block, an end, and ends that nobody wanted.
pub fn break_off(party: &mut Party) {
    let Party { evening, alice, bob, carol, .. } = party;
    let none = "private: you have no private link with that user";
    bob.says("block alice", "block: alice");
    alice.says("private bob an open link stays", "private: bob has it");
    bob.hears("alice privately: an open link stays");
    bob.says("stopprivate alice", "stopprivate: alice");
    alice.hears_of("the private link with bob is closed");
    alice.tries(&[
        ("private bob hi", none),
        ("stopprivate bob", "stopprivate: you have no"),
        ("startprivate bob", "startprivate: that user has blocked you"),
    ]);
    bob.says("unblock alice", "unblock: alice");
    carol.says("unblock alice", "unblock: alice");

    carol.says("startprivate bob", "startprivate: bob");
    alice.says("startprivate carol", "startprivate: carol");
    carol.press("logout\r");
    carol.hears("logout: done");
    assert_eq!(carol.ends(), 0);
    bob.hears_of("the private link with carol is closed");
    bob.says("private carol hi", none);
    alice.hears_of("the private link with carol is closed");
    alice.tries(&[("startprivate carol", "startprivate: that user is offline")]);

    *carol = evening.console("carol");
    carol.says("startprivate bob", "startprivate: bob");
    carol.signal(Signal::SIGKILL);
    bob.hears_of("the private link with carol is closed");
    bob.says("private carol hi", none);
    *carol = evening.console("carol");
    bob.says("startprivate carol", "startprivate: carol");
    bob.says("private carol back again", "private: carol has it");
    carol.hears("bob privately: back again");
}
