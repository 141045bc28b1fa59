//! Bytes both ways, back-pressure, time stamps, deadlines, and two machines on one reactor.

use super::*;

/// Sends back what comes, and ends when the link does.
fn echo(_: &mut (), what: What<'_>, desk: &mut Desk<'_>) {
    match what {
        What::Told(Input::Received { link, bytes, .. }) => desk.send(link, bytes),
        What::Told(Input::LinkDown { .. }) => desk.exit(),
        _ => {}
    }
}

#[test]
fn lines_come_back() {
    let ((), (), stats) = run((), echo, |addr| {
        let mut stream = connect(addr);
        for round in 0..100 {
            stream.write_all(format!("line {round}\n").as_bytes()).unwrap();
            assert_eq!(read_line(&mut stream), format!("line {round}"));
        }
    });
    assert_eq!((stats.accepts, stats.bytes_in, stats.bytes_out), (1, 790, 790));
    assert_eq!(stats.downs[&DownReason::Eof], 1);
    // One read and one write an exchange; one more read finds the end.
    assert!(stats.reads <= 101 + 1 && stats.writes <= 100, "{stats:?}");
    assert_eq!(stats.turns, stats.turn.total());
}

#[test]
fn a_megabyte_both_ways_at_once() {
    let ((), (), stats) = run((), echo, |addr| {
        let mut stream = connect(addr);
        let sent = pattern(1_000_000);
        let mut writer = stream.try_clone().unwrap();
        let copy = sent.clone();
        let thread = spawn(move || writer.write_all(&copy).unwrap());
        let mut got = vec![0; sent.len()];
        stream.read_exact(&mut got).unwrap();
        thread.join().unwrap();
        assert!(got == sent, "something was lost on the way");
    });
    assert_eq!((stats.bytes_in, stats.bytes_out), (1_000_000, 1_000_000));
}

#[test]
fn several_sends_are_one_write() {
    fn act(_: &mut (), what: What<'_>, desk: &mut Desk<'_>) {
        match what {
            What::Told(Input::LinkUp { link, .. }) => {
                for byte in b'a'..=b'z' {
                    desk.send(link, &[byte]);
                }
            }
            What::Told(Input::LinkDown { .. }) => desk.exit(),
            _ => {}
        }
    }
    let ((), (), stats) = run((), act, |addr| {
        let mut got = [0; 26];
        connect(addr).read_exact(&mut got).unwrap();
        assert_eq!(&got, b"abcdefghijklmnopqrstuvwxyz");
    });
    assert_eq!(stats.writes, 1);
}

#[derive(Default)]
struct Pressure {
    link: Option<LinkId>,
    told: Vec<&'static str>,
    sent: usize,
}

#[test]
fn a_full_socket_is_told_once_and_so_is_its_end() {
    const BLOCK: usize = 64 << 10;
    fn act(state: &mut Pressure, what: What<'_>, desk: &mut Desk<'_>) {
        match what {
            What::Told(Input::LinkUp { link, .. }) => state.link = Some(link),
            What::Told(Input::Blocked { .. }) => {
                state.told.push("blocked");
                // Not told again, although more comes to what waits.
                desk.send(state.link.unwrap(), &[0; 10]);
                state.sent += 10;
                desk.send(state.link.unwrap(), b"\n");
                state.sent += 1;
                return;
            }
            What::Told(Input::Drained { link }) => {
                state.told.push("drained");
                desk.close(link);
                return desk.exit();
            }
            What::Told(Input::LinkDown { .. }) => return,
            What::Timeout => {}
            What::Told(_) => return,
        }
        if state.told.is_empty() {
            desk.send(state.link.unwrap(), &[0; BLOCK]);
            state.sent += BLOCK;
            desk.wake_in(Duration::from_millis(1));
        }
    }
    let (state, got, _) = run(Pressure::default(), act, |addr| {
        let mut stream = connect(addr);
        let mut first = [0];
        stream.read_exact(&mut first).unwrap();
        pause(300);
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        rest.len() + 1
    });
    assert_eq!((state.told, state.sent), (vec!["blocked", "drained"], got));
}

#[test]
fn stamps_are_the_kernels() {
    fn act(state: &mut Vec<u64>, what: What<'_>, desk: &mut Desk<'_>) {
        match what {
            What::Told(Input::Received { at, .. }) => {
                assert!(at <= desk.now.wall);
                state.push(desk.now.wall.0 - at.0);
                // Bytes that come while the machine is busy are older than now, by the kernel's stamp only.
                if state.last() > Some(&1_000_000) { desk.exit() } else { pause(50) }
            }
            What::Told(Input::LinkDown { .. }) => desk.exit(),
            _ => {}
        }
    }
    // The kernel takes a moment to begin with its stamps, so there is more than one chance.
    let (ages_ns, (), stats) = run(Vec::new(), act, |addr| {
        let mut stream = connect(addr);
        for _ in 0..500 {
            if stream.write_all(b"early").is_err() {
                break;
            }
            pause(20);
        }
    });
    if stats.stamped == 0 {
        // It switches stamping on and off for all sockets together, and takes its time.
        return eprintln!("skipped: the kernel stamped nothing");
    }
    assert!(ages_ns.last() > Some(&1_000_000), "{ages_ns:?}");
}

/// Dials itself: one machine, both ends of a link, and one more dial that is refused.
#[test]
fn a_dial_comes_about_or_fails() {
    #[derive(Default)]
    struct State {
        addr: Option<SocketAddr>,
        refused: Option<SocketAddr>,
        told: Vec<String>,
    }
    fn act(state: &mut State, what: What<'_>, desk: &mut Desk<'_>) {
        match what {
            What::Told(Input::Listening { addr }) => {
                assert_eq!(Some(addr), state.addr);
                desk.os.perform(Effect::Dial { dial: DialId(7), addr });
            }
            What::Told(Input::LinkUp { link, origin: Origin::Dialed(dial), local, remote }) => {
                assert_eq!((dial, Some(remote)), (DialId(7), state.addr));
                assert_ne!(local, remote);
                desk.send(link, b"hello");
            }
            What::Told(Input::LinkUp { origin: Origin::Accepted, local, .. }) => {
                assert_eq!(Some(local), state.addr);
            }
            What::Told(Input::Received { bytes, .. }) => {
                state.told.push(String::from_utf8(bytes.to_vec()).unwrap());
                let addr = state.refused.unwrap();
                desk.os.perform(Effect::Dial { dial: DialId(8), addr });
            }
            What::Told(Input::DialFailed { dial, error }) => {
                state.told.push(format!("{dial:?} {error:?}"));
                desk.exit();
            }
            _ => {}
        }
    }
    let (listener, addr) = port();
    let (gone, refused) = port();
    drop(gone);
    let mut reactor = Reactor::new().unwrap();
    reactor.inherit(listener);
    let state = State { addr: Some(addr), refused: Some(refused), ..State::default() };
    let mut toy = Toy::new(Some(addr), state, act);
    reactor.run(&mut [Host { machine: &mut toy, root: "unused".into() }]).unwrap();
    assert_eq!(toy.state.told, ["hello", "DialId(8) ConnectionRefused"]);
    assert_eq!((reactor.stats().dials, reactor.stats().dials_failed), (1, 1));
}

#[test]
fn deadlines_are_kept_and_never_early() {
    const PERIOD: Duration = Duration::from_millis(10);
    #[derive(Default)]
    struct State {
        due: Mono,
        count: u32,
    }
    fn act(state: &mut State, what: What<'_>, desk: &mut Desk<'_>) {
        match what {
            What::Told(Input::Start) => state.due = desk.now.mono + PERIOD,
            What::Timeout => {
                assert!(desk.now.mono >= state.due, "early");
                state.count += 1;
                state.due = state.due + PERIOD;
            }
            What::Told(_) => {}
        }
        match state.count {
            50 => desk.exit(),
            _ => *desk.wake = Some(state.due.max(Mono(desk.now.mono.0 + 1))),
        }
    }
    let mut reactor = Reactor::new().unwrap();
    let mut toy = Toy::new(None, State::default(), act);
    reactor.run(&mut [Host { machine: &mut toy, root: "unused".into() }]).unwrap();
    assert_eq!(toy.state.count, 50);
    assert!(reactor.stats().turns < 500, "{:?}", reactor.stats());
}

#[test]
fn when_one_machine_ends_the_others_are_asked_to() {
    fn first(_: &mut u32, what: What<'_>, desk: &mut Desk<'_>) {
        if let What::Told(Input::Start) = what {
            desk.wake_in(Duration::from_millis(20));
        } else if let What::Timeout = what {
            desk.exit();
            desk.exit();
        }
    }
    fn second(asked: &mut u32, what: What<'_>, desk: &mut Desk<'_>) {
        match what {
            What::Told(Input::Shutdown) => {
                *asked += 1;
                desk.wake_in(Duration::from_millis(20));
            }
            What::Timeout => desk.exit(),
            What::Told(_) => {}
        }
    }
    let mut toys = [Toy::new(None, 0, first), Toy::new(None, 0, second), Toy::new(None, 0, second)];
    let mut hosts: Vec<Host<'_>> =
        toys.iter_mut().map(|toy| Host { machine: toy, root: "unused".into() }).collect();
    assert_eq!(Reactor::new().unwrap().run(&mut hosts).unwrap(), RunEnd::Exited);
    assert_eq!(toys.map(|toy| toy.state), [0, 1, 1]);
}

#[test]
fn many_come_at_once() {
    const CLIENTS: usize = 200;
    fn act(left: &mut usize, what: What<'_>, desk: &mut Desk<'_>) {
        match what {
            What::Told(Input::Received { link, bytes, .. }) => desk.send(link, bytes),
            What::Told(Input::LinkDown { .. }) => {
                *left -= 1;
                if *left == 0 {
                    desk.exit();
                }
            }
            _ => {}
        }
    }
    let (_, (), stats) = run(CLIENTS, act, |addr| {
        let mut streams: Vec<TcpStream> = (0..CLIENTS).map(|_| connect(addr)).collect();
        for (number, stream) in streams.iter_mut().enumerate() {
            stream.write_all(format!("{number}\n").as_bytes()).unwrap();
        }
        for (number, stream) in streams.iter_mut().enumerate() {
            assert_eq!(read_line(stream), number.to_string());
        }
    });
    assert_eq!(stats.accepts, CLIENTS as u64);
}

#[test]
fn timers_do_not_wait_for_a_flood_to_end() {
    #[derive(Default)]
    struct State {
        due: Mono,
        ticks: u32,
        overdue_reads: u32,
    }
    const TICKS: u32 = 20;
    fn act(state: &mut State, what: What<'_>, desk: &mut Desk<'_>) {
        match what {
            What::Told(Input::LinkUp { .. }) => {}
            What::Timeout => state.ticks += 1,
            What::Told(Input::Received { .. }) => {
                if desk.now.mono > state.due {
                    state.overdue_reads += 1;
                    assert!(state.overdue_reads < 1000, "a timer waits");
                }
                return;
            }
            What::Told(_) => return,
        }
        state.overdue_reads = 0;
        state.due = desk.now.mono + Duration::from_millis(5);
        if state.ticks < TICKS {
            *desk.wake = Some(state.due);
        } else {
            desk.exit();
        }
    }
    let (state, (), _) = run(State::default(), act, |addr| {
        let floods = [0; 4].map(|_| {
            let mut stream = connect(addr);
            spawn(move || while stream.write_all(&[0; 100_000]).is_ok() {})
        });
        for flood in floods {
            flood.join().unwrap();
        }
    });
    assert_eq!(state.ticks, TICKS);
}

#[test]
fn options_are_set_on_both_ends() {
    use nix::sys::socket::{getsockopt, sockopt};
    use std::os::fd::{AsFd, BorrowedFd};
    fn check(socket: BorrowedFd<'_>) {
        assert!(getsockopt(&socket, sockopt::TcpNoDelay).unwrap());
        assert!(getsockopt(&socket, sockopt::KeepAlive).unwrap());
        assert!(getsockopt(&socket, sockopt::ReceiveTimestampns).unwrap());
        assert_eq!(getsockopt(&socket, sockopt::TcpKeepIdle).unwrap(), 10);
        assert_eq!(getsockopt(&socket, sockopt::TcpUserTimeout).unwrap(), 20_000);
    }
    let addr = SocketAddr::from(([127, 0, 0, 1], 0));
    let listener = crate::io::listener::Listener::bind(addr, 0).unwrap();
    let dialed = crate::io::dialer::begin(listener.local).unwrap();
    let accepted = loop {
        if let crate::io::listener::Accepted::Link(stream, _) = listener.accept() {
            break stream;
        }
    };
    check(dialed.as_fd());
    check(accepted.as_fd());
}
