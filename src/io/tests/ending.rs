//! Links that end: by the other side, by us, by an error, and what still gets through.

use super::*;

use std::io::ErrorKind;
use std::os::fd::AsRawFd;

use nix::sys::socket::{MsgFlags, send, setsockopt, sockopt};

/// Remembers why links went down, and ends with the first.
fn note_down(state: &mut Vec<DownReason>, what: What<'_>, desk: &mut Desk<'_>) {
    if let What::Told(Input::LinkDown { link, reason }) = what {
        state.push(reason);
        desk.send(link, b"to nobody");
        desk.close(link);
        desk.exit();
    }
}

#[test]
fn what_was_sent_before_the_end_arrives_after_it() {
    fn act(state: &mut Vec<DownReason>, what: What<'_>, desk: &mut Desk<'_>) {
        if let What::Told(Input::Received { link, bytes, .. }) = what {
            assert_eq!(bytes, b"question");
            desk.send(link, &[b'x'; 500_000]);
            desk.send(link, b"answer\n");
        } else {
            note_down(state, what, desk);
        }
    }
    let (downs, got, _) = run(Vec::new(), act, |addr| {
        let mut stream = connect(addr);
        stream.write_all(b"question").unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut got = Vec::new();
        stream.read_to_end(&mut got).unwrap();
        got
    });
    // It may have all of it by the time that its end is seen.
    assert!(matches!(downs[..], [DownReason::Eof | DownReason::Unread]), "{downs:?}");
    assert!(got.len() == 500_007 && got.ends_with(b"xanswer\n"));
}

/// Sends something as soon as a link is up; what comes in says nothing.
fn send_at_once(state: &mut Vec<DownReason>, what: What<'_>, desk: &mut Desk<'_>) {
    match what {
        What::Told(Input::LinkUp { link, .. }) => desk.send(link, &[b'x'; 100]),
        What::Told(Input::LinkDown { reason, .. }) => {
            state.push(reason);
            desk.exit();
        }
        _ => {}
    }
}

#[test]
fn who_closes_after_the_last_byte_has_read_it() {
    let (downs, (), stats) = run(Vec::new(), send_at_once, |addr| {
        let mut stream = connect(addr);
        stream.read_exact(&mut [0; 100]).unwrap();
    });
    assert_eq!(downs, [DownReason::Eof]);
    assert_eq!(stats.downs[&DownReason::Eof], 1);
}

#[test]
fn who_closes_before_what_is_sent_has_come_has_not() {
    fn act(state: &mut Vec<DownReason>, what: What<'_>, desk: &mut Desk<'_>) {
        match what {
            // The end is read in the same visit: nothing has left by then.
            What::Told(Input::Received { link, .. }) => desk.send(link, b"too late"),
            other => send_at_once(state, other, desk),
        }
    }
    let (downs, (), _) = run(Vec::new(), act, |addr| {
        let mut stream = connect(addr);
        stream.read_exact(&mut [0; 100]).unwrap();
        // It leaves together with the end.
        send(stream.as_raw_fd(), b"go", MsgFlags::from_bits_retain(libc::MSG_MORE)).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        stream.read_to_end(&mut Vec::new()).unwrap();
    });
    assert_eq!(downs, [DownReason::Unread]);
}

#[test]
fn the_last_line_is_read_although_something_else_was_unread() {
    /// Closes at the first byte, while much more is on its way.
    fn act(_: &mut (), what: What<'_>, desk: &mut Desk<'_>) {
        if let What::Told(Input::Received { link, .. }) = what {
            desk.send(link, b"ERR go away\n");
            desk.close(link);
            desk.exit();
        }
    }
    let ((), got, stats) = run((), act, |addr| {
        let mut stream = connect(addr);
        // More than both sockets hold: the driver must take it, or the line would be lost in a reset.
        let _ = stream.write_all(&vec![0; 20 << 20]);
        let mut got = String::new();
        stream.read_to_string(&mut got).unwrap();
        got
    });
    assert_eq!(got, "ERR go away\n");
    assert_eq!(stats.closes[&CloseReason::Done], 1);
    assert!(stats.downs.is_empty());
}

#[test]
fn a_closed_link_is_gone_for_its_machine() {
    #[derive(Default)]
    struct State {
        closed: bool,
    }
    fn act(state: &mut State, what: What<'_>, desk: &mut Desk<'_>) {
        match what {
            What::Told(Input::LinkUp { link, .. }) => {
                // Blocked, Drained or LinkDown could follow, if the link were not closed.
                desk.send(link, &vec![0; 1 << 20]);
                desk.close(link);
                desk.close(link);
                desk.send(link, b"too late");
                state.closed = true;
                desk.wake_in(Duration::from_millis(300));
            }
            What::Timeout => desk.exit(),
            What::Told(input) => assert!(!state.closed, "{input:?}"),
        }
    }
    let (_, got, _) = run(State::default(), act, |addr| {
        let mut stream = connect(addr);
        stream.write_all(b"not heard").unwrap();
        let mut got = Vec::new();
        stream.read_to_end(&mut got).unwrap();
        got.len()
    });
    assert_eq!(got, 1 << 20);
}

#[test]
fn a_reset_is_one() {
    let (downs, (), stats) = run(Vec::new(), note_down, |addr| {
        let stream = connect(addr);
        pause(50);
        let at_once = nix::libc::linger { l_onoff: 1, l_linger: 0 };
        setsockopt(&stream, sockopt::Linger, &at_once).unwrap();
    });
    assert_eq!(downs, [DownReason::Reset]);
    assert_eq!(stats.downs[&DownReason::Reset], 1);
}

#[test]
fn the_other_sides_last_line_is_heard_although_our_write_failed() {
    #[derive(Default)]
    struct State {
        link: Option<LinkId>,
        heard: Vec<u8>,
        down: Option<DownReason>,
    }
    fn act(state: &mut State, what: What<'_>, desk: &mut Desk<'_>) {
        match what {
            What::Told(Input::LinkUp { link, .. }) => {
                state.link = Some(link);
                // Behind our back, the other side says goodbye and resets.
                pause(200);
                desk.send(link, b"into the void");
            }
            What::Told(Input::Received { bytes, .. }) => state.heard.extend_from_slice(bytes),
            What::Told(Input::LinkDown { reason, .. }) => {
                state.down = Some(reason);
                desk.exit();
            }
            _ => {}
        }
    }
    let (state, (), _) = run(State::default(), act, |addr| {
        let mut stream = connect(addr);
        stream.write_all(b"BYE\n").unwrap();
        let at_once = nix::libc::linger { l_onoff: 1, l_linger: 0 };
        setsockopt(&stream, sockopt::Linger, &at_once).unwrap();
    });
    assert_eq!((state.heard, state.down), (b"BYE\n".to_vec(), Some(DownReason::Reset)));
}

#[test]
fn a_silent_other_side_delays_the_end_by_the_linger_timeout_only() {
    fn act(_: &mut (), what: What<'_>, desk: &mut Desk<'_>) {
        if let What::Told(Input::LinkUp { link, .. }) = what {
            desk.send(link, b"bye\n");
            desk.exit();
        }
    }
    // It does not close in turn until the driver has ended, which must not wait for it for ever.
    let ((), _stream, stats) = run((), act, |addr| {
        let mut stream = connect(addr);
        assert_eq!(read_line(&mut stream), "bye");
        stream
    });
    assert_eq!(stats.closes[&CloseReason::Shutdown], 1);
}

#[test]
fn a_reset_in_the_middle_of_a_file_is_one() {
    fn act(state: &mut Vec<DownReason>, what: What<'_>, desk: &mut Desk<'_>) {
        let file = FileId(1);
        match what {
            What::Told(Input::LinkUp { link, .. }) => {
                desk.open(file, "file", OpenMode::Partial);
                desk.os.perform(Effect::WriteAt { file, offset: 63 << 20, bytes: &[0; 1 << 20] });
                desk.os.perform(Effect::SendFile { link, file, offset: 0, len: 64 << 20 });
            }
            what => note_down(state, what, desk),
        }
    }
    let (downs, (), _) = run(Vec::new(), act, |addr| {
        let mut stream = connect(addr);
        stream.read_exact(&mut [0; 100_000]).unwrap();
        let at_once = nix::libc::linger { l_onoff: 1, l_linger: 0 };
        setsockopt(&stream, sockopt::Linger, &at_once).unwrap();
    });
    assert_eq!(downs, [DownReason::Reset]);
}

#[test]
fn a_machine_that_does_not_end_is_left_when_its_time_is_over() {
    struct State {
        addr: SocketAddr,
        /// What dialing it came to when it was asked to end.
        dialed: Option<ErrorKind>,
    }
    fn first(_: &mut State, what: What<'_>, desk: &mut Desk<'_>) {
        match what {
            What::Told(Input::Start) => desk.wake_in(Duration::from_millis(20)),
            What::Timeout => desk.exit(),
            What::Told(_) => {}
        }
    }
    fn second(state: &mut State, what: What<'_>, _: &mut Desk<'_>) {
        match what {
            What::Told(Input::Listening { addr }) => drop(TcpStream::connect(addr).unwrap()),
            What::Told(Input::Shutdown) => {
                state.dialed = TcpStream::connect(state.addr).err().map(|error| error.kind());
            }
            _ => {}
        }
    }
    let (listener, addr) = port();
    let mut reactor = Reactor::new().unwrap();
    reactor.inherit(listener);
    reactor.end_within(Duration::from_millis(50));
    let state = || State { addr, dialed: None };
    let mut toys = [Toy::new(None, state(), first), Toy::new(Some(addr), state(), second)];
    let mut hosts: Vec<Host<'_>> =
        toys.iter_mut().map(|toy| Host { machine: toy, root: "unused".into() }).collect();
    assert_eq!(reactor.run(&mut hosts).unwrap(), RunEnd::Overdue);
    assert_eq!(toys[1].state.dialed, Some(ErrorKind::ConnectionRefused), "nobody listens any more");
}
