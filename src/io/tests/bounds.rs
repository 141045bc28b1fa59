//! Bounds that are reached: queues, the table of links, descriptors of files that are short.

use super::*;

use crate::proto::limits::{
    ACCEPT_BUDGET, FLUSHES_UNTIMED, LINGER_BYTES_MAX, LINGER_BYTES_SENT_AWAY, LINGERING_MAX,
    LINK_QUEUE_BYTES_MAX, LINK_QUEUE_BYTES_SOFT, LINK_RANGES_MAX,
};

/// Sends what `state` says at the start, to a reader that does not read.
fn flood(sends: &mut (usize, Vec<DownReason>), what: What<'_>, desk: &mut Desk<'_>) {
    match what {
        What::Told(Input::LinkUp { .. }) => desk.wake_in(Duration::from_millis(1)),
        What::Timeout => {}
        What::Told(Input::LinkDown { reason, .. }) => {
            sends.1.push(reason);
            return desk.exit();
        }
        What::Told(_) => return,
    }
    let link = LinkId { index: 0, generation: 0 };
    desk.send(link, &vec![0; sends.0]);
    desk.wake_in(Duration::from_millis(1));
}

#[test]
fn a_slow_reader_is_given_up_at_the_bound() {
    for block in [300_000, LINK_QUEUE_BYTES_MAX, LINK_QUEUE_BYTES_MAX + 1] {
        let ((_, downs), (), stats) = run((block, Vec::new()), flood, |addr| {
            let mut stream = connect(addr);
            // Waits until it is dropped, and reads nothing before.
            while stream.peek(&mut [0]).is_ok_and(|count| count > 0) && stream.take_error().unwrap().is_none()
            {
                if stream.write_all(b"x").is_err() {
                    break;
                }
                pause(10);
            }
            let _ = stream.read(&mut [0]);
        });
        assert_eq!(downs, [DownReason::QueueFull]);
        assert_eq!(stats.downs[&DownReason::QueueFull], 1);
    }
}

/// What became of a flood of small pieces, and who is told when much of it waits in memory.
#[derive(Default)]
struct Pouring {
    told: Vec<&'static str>,
    much_waits: Option<std::sync::mpsc::Sender<()>>,
    pieces: usize,
}

const PIECE: usize = 64 << 10;

/// Sends more than the kernel takes, piece by piece, until more than half of a full queue waits.
fn pour(state: &mut Pouring, what: What<'_>, desk: &mut Desk<'_>) {
    match what {
        What::Told(Input::LinkUp { .. }) | What::Timeout => {}
        What::Told(Input::Blocked { .. }) => return state.told.push("blocked"),
        What::Told(Input::Drained { .. }) if state.much_waits.is_none() => {
            state.told.push("drained");
            return desk.exit();
        }
        What::Told(Input::LinkDown { reason: DownReason::TooSlow, .. }) => {
            state.told.push("too slow");
            return desk.exit();
        }
        What::Told(_) => return,
    }
    desk.send(LinkId { index: 0, generation: 0 }, &[0; PIECE]);
    state.pieces += usize::from(!state.told.is_empty());
    if state.pieces > LINK_QUEUE_BYTES_SOFT / PIECE + 1 {
        if let Some(much_waits) = state.much_waits.take() {
            much_waits.send(()).unwrap();
        }
    } else {
        desk.wake_in(Duration::from_millis(1));
    }
}

#[test]
fn a_reader_that_stays_slow_is_given_up_and_one_that_gets_on_is_not() {
    fn pour_to(slow_timeout: Duration, reads: bool) -> Vec<&'static str> {
        let root = tempfile::tempdir().unwrap();
        let (listener, addr) = port();
        let mut reactor = Reactor::new().unwrap();
        reactor.inherit(listener);
        reactor.set_slow_timeout(slow_timeout);
        let (much_waits, waits) = std::sync::mpsc::channel();
        let state = Pouring { much_waits: Some(much_waits), ..Pouring::default() };
        let mut toy = Toy::new(Some(addr), state, pour);
        let (done_in, done) = std::sync::mpsc::channel();
        let client = spawn(move || {
            let mut stream = connect(addr);
            if reads {
                waits.recv().unwrap();
                while stream.read(&mut [0; PIECE]).is_ok_and(|count| count > 0) {}
            }
            // Open until the other side has done with it.
            done.recv().unwrap();
        });
        reactor.run(&mut [Host { machine: &mut toy, root: root.path().to_owned() }]).unwrap();
        done_in.send(()).unwrap();
        client.join().unwrap();
        toy.state.told
    }
    assert_eq!(pour_to(Duration::from_millis(1), false).last(), Some(&"too slow"));
    assert_eq!(pour_to(Duration::from_secs(60), true).last(), Some(&"drained"));
}

#[test]
fn too_many_ranges_are_one_too_many() {
    fn act(state: &mut Vec<DownReason>, what: What<'_>, desk: &mut Desk<'_>) {
        let file = FileId(3);
        match what {
            What::Told(Input::LinkUp { .. }) => desk.open(file, "file", OpenMode::Named),
            What::Told(Input::FileReady { .. }) => {
                desk.os.perform(Effect::Append { file, bytes: b"content" });
                for _ in 0..=LINK_RANGES_MAX {
                    let link = LinkId { index: 0, generation: 0 };
                    desk.os.perform(Effect::SendFile { link, file, offset: 0, len: 7 });
                }
            }
            What::Told(Input::LinkDown { reason, .. }) => {
                state.push(reason);
                desk.exit();
            }
            _ => {}
        }
    }
    let (downs, _, _) = run(Vec::new(), act, |addr| connect(addr).read_to_end(&mut Vec::new()));
    assert_eq!(downs, [DownReason::QueueFull]);
}

#[test]
fn links_above_the_bound_are_refused_at_the_door() {
    fn act(state: &mut Vec<String>, what: What<'_>, desk: &mut Desk<'_>) {
        match what {
            What::Told(Input::LinkUp { .. }) => {
                state.push("up".to_owned());
                if state.len() == 2 {
                    let addr = SocketAddr::from(([127, 0, 0, 1], 1));
                    desk.os.perform(Effect::Dial { dial: DialId(1), addr });
                }
            }
            What::Told(Input::DialFailed { error, .. }) => state.push(error.to_string()),
            What::Told(Input::LinkDown { .. }) => {
                state.push("down".to_owned());
                if state.iter().filter(|told| *told == "down").count() == 2 {
                    desk.exit();
                }
            }
            _ => {}
        }
    }
    let (listener, addr) = port();
    let mut reactor = Reactor::new().unwrap();
    reactor.links_max = 2;
    reactor.inherit(listener);
    let mut toy = Toy::new(Some(addr), Vec::new(), act);
    let thread = spawn(move || {
        let kept = [connect(addr), connect(addr)];
        pause(50);
        // Let in, and shown the door: the end is all that it sees.
        assert_eq!(connect(addr).read(&mut [0]).unwrap_or(0), 0);
        drop(kept);
    });
    reactor.run(&mut [Host { machine: &mut toy, root: "unused".into() }]).unwrap();
    thread.join().unwrap();
    assert_eq!(toy.state, ["up", "up", "resource busy", "down", "down"]);
    assert_eq!((reactor.stats().refused, reactor.stats().accepts), (1, 2));
}

/// Nobody of them closes in turn. Those beyond the bound are gone at once, and the others in the end.
#[test]
fn who_is_done_with_is_waited_for_up_to_a_bound() {
    const BEYOND: usize = 3;
    fn act(state: &mut (Vec<LinkId>, CloseReason), what: What<'_>, desk: &mut Desk<'_>) {
        let (up, reason) = state;
        match what {
            What::Told(Input::LinkUp { link, .. }) => {
                up.push(link);
                if *reason == CloseReason::Done {
                    desk.os.perform(Effect::Hold { link });
                }
            }
            What::Told(Input::Received { .. }) => desk.exit(),
            _ => {}
        }
        if up.len() == LINGERING_MAX + BEYOND {
            up.drain(..).for_each(|link| {
                desk.send(link, b"no");
                desk.os.perform(Effect::Close { link, reason: *reason });
            });
        }
    }
    for (reason, hurried) in [
        (CloseReason::Refused, BEYOND as u64),
        (CloseReason::Farewell, BEYOND as u64),
        (CloseReason::Done, BEYOND as u64),
        (CloseReason::Unwanted, 0),
    ] {
        let (_, (), stats) = run((Vec::new(), reason), act, |addr| {
            let mut sent_away: Vec<TcpStream> = (0..LINGERING_MAX + BEYOND).map(|_| connect(addr)).collect();
            for link in &mut sent_away {
                let mut all = String::new();
                link.read_to_string(&mut all).unwrap();
                assert_eq!(all, "no");
            }
            // Others come in all the time.
            connect(addr).write_all(b"x").unwrap();
        });
        assert_eq!((stats.hurried, stats.closes[&reason]), (hurried, (LINGERING_MAX + BEYOND) as u64));
        assert_eq!((stats.refused, stats.accept_pauses), (0, 0));
    }
}

#[test]
fn an_address_that_is_taken_is_said_to_be() {
    fn act(state: &mut Vec<String>, what: What<'_>, desk: &mut Desk<'_>) {
        match what {
            What::Told(Input::Listening { addr }) => {
                state.push("listening".to_owned());
                assert_ne!(addr.port(), 0);
                desk.os.perform(Effect::Listen { addr });
            }
            What::Told(Input::ListenFailed { error, .. }) => {
                state.push(error.to_string());
                desk.exit();
            }
            _ => {}
        }
    }
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut toy = Toy::new(Some(any), Vec::new(), act);
    Reactor::new().unwrap().run(&mut [Host { machine: &mut toy, root: "unused".into() }]).unwrap();
    assert_eq!(toy.state, ["listening", "address in use"]);
}

#[test]
fn a_file_that_is_short_or_not_there_takes_the_link_down() {
    /// The file has `state.0` bytes of the seven that are sent, or is not open at all.
    fn act(state: &mut (Option<usize>, Vec<DownReason>), what: What<'_>, desk: &mut Desk<'_>) {
        let (file, link) = (FileId(3), LinkId { index: 0, generation: 0 });
        match what {
            What::Told(Input::LinkUp { .. }) if state.0.is_none() => {
                desk.os.perform(Effect::SendFile { link, file, offset: 0, len: 7 });
            }
            What::Told(Input::LinkUp { .. }) => desk.open(file, "file", OpenMode::Partial),
            What::Told(Input::FileReady { .. }) => {
                let bytes = &b"content"[..state.0.unwrap()];
                desk.os.perform(Effect::Append { file, bytes });
                desk.os.perform(Effect::SendFile { link, file, offset: 0, len: 7 });
            }
            What::Told(Input::LinkDown { reason, .. }) => {
                state.1.push(reason);
                desk.exit();
            }
            _ => {}
        }
    }
    for len in [None, Some(0), Some(6)] {
        let ((_, downs), _, _) =
            run((len, Vec::new()), act, |addr| connect(addr).read_to_end(&mut Vec::new()));
        assert_eq!(downs, [DownReason::FileFailed], "{len:?}");
    }
}

#[test]
fn a_word_to_very_many_is_put_off_in_part_and_the_machine_knows_of_whom() {
    const LINKS: usize = 40;
    #[derive(Default)]
    struct State {
        links: Vec<LinkId>,
        blocked: Vec<LinkId>,
        drained: Vec<LinkId>,
        down: usize,
    }
    fn act(state: &mut State, what: What<'_>, desk: &mut Desk<'_>) {
        match what {
            What::Told(Input::LinkUp { link, .. }) => {
                state.links.push(link);
                if state.links.len() == LINKS {
                    state.links.iter().for_each(|link| desk.send(*link, b"a word\n"));
                }
            }
            What::Told(Input::Blocked { link }) => {
                // It comes behind the word, in the same write.
                desk.send(link, b"more\n");
                state.blocked.push(link);
            }
            What::Told(Input::Drained { link }) => state.drained.push(link),
            What::Told(Input::LinkDown { .. }) => {
                state.down += 1;
                if state.down == LINKS {
                    desk.exit();
                }
            }
            _ => {}
        }
    }
    let (listener, addr) = port();
    let mut reactor = Reactor::new().unwrap();
    reactor.flush_slice = Duration::ZERO;
    reactor.inherit(listener);
    let mut toy = Toy::new(Some(addr), State::default(), act);
    let thread = spawn(move || {
        let mut streams: Vec<_> = (0..LINKS).map(|_| connect(addr)).collect();
        streams.iter_mut().for_each(|stream| assert_eq!(read_line(stream), "a word"));
        let put_off = LINKS - FLUSHES_UNTIMED;
        streams[FLUSHES_UNTIMED..].iter_mut().for_each(|stream| assert_eq!(read_line(stream), "more"));
        put_off
    });
    reactor.run(&mut [Host { machine: &mut toy, root: "unused".into() }]).unwrap();
    let put_off = thread.join().unwrap();
    assert_eq!((toy.state.blocked.len(), &toy.state.blocked), (put_off, &toy.state.drained));
}

/// Closes what has come in, and exits then or a while later.
#[test]
fn who_talks_on_after_the_end_is_heard_out_up_to_a_bound() {
    fn act(state: &mut (CloseReason, bool), what: What<'_>, desk: &mut Desk<'_>) {
        match what {
            What::Told(Input::Received { link, .. }) => {
                desk.send(link, b"bye");
                desk.os.perform(Effect::Close { link, reason: state.0 });
                desk.wake_in(Duration::from_millis(if state.1 { 0 } else { 300 }));
            }
            What::Timeout => desk.exit(),
            What::Told(_) => {}
        }
    }
    for (reason, bound) in
        [(CloseReason::Failed, LINGER_BYTES_MAX), (CloseReason::Misbehaved, LINGER_BYTES_SENT_AWAY)]
    {
        for (len, hurries) in [(bound as usize, true), (64 << 20, true), (64 << 20, false)] {
            let (_, is_orderly, stats) = run((reason, hurries), act, move |addr| {
                let mut stream = connect(addr);
                stream.write_all(b"x").unwrap();
                stream.read_exact(&mut [0; 3]).unwrap();
                stream.write_all(&vec![0; len]).is_ok() && stream.read(&mut [0]).is_ok()
            });
            let is_heard_out = len == bound as usize;
            let read = 1 + u64::from(bound) + u64::from(!is_heard_out);
            assert_eq!((is_orderly, stats.bytes_in), (is_heard_out, read), "{reason} {len}");
        }
    }
}

/// And each of them is told why.
#[test]
fn newcomers_wait_a_little_when_all_of_them_are_sent_away() {
    const NEWCOMERS: usize = 10 * ACCEPT_BUDGET;
    fn act(left: &mut usize, what: What<'_>, desk: &mut Desk<'_>) {
        let What::Told(Input::LinkUp { link, .. }) = what else { return };
        desk.send(link, b"no");
        desk.os.perform(Effect::Close { link, reason: CloseReason::Refused });
        *left -= 1;
        if *left == 0 {
            desk.exit();
        }
    }
    let (_, (), stats) = run(NEWCOMERS, act, |addr| {
        let mut newcomers: Vec<TcpStream> = (0..NEWCOMERS).map(|_| connect(addr)).collect();
        for link in &mut newcomers {
            let mut all = String::new();
            link.read_to_string(&mut all).unwrap();
            assert_eq!(all, "no");
        }
    });
    assert_eq!((stats.accepts, stats.refused), (NEWCOMERS as u64, 0));
    assert!(stats.refusal_pauses <= 10, "{}", stats.refusal_pauses);
}
