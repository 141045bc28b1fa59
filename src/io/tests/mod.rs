//! The driver on real sockets and files, with toy machines on one side and plain threads on the
//! other: `traffic` while all is well, `ending` of links and of their `halves`, `bounds` that are reached,
//! `files`, those of a drop box (`uploads`), what is kept (`keeping`) and what is typed (`typing`).

#![allow(clippy::needless_pass_by_value)] // inputs come as the border hands them over

mod bounds;
mod ending;
mod files;
mod halves;
mod keeping;
mod traffic;
mod typing;
mod uploads;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::io::ending::RunEnd;
use crate::io::reactor::{Host, Reactor};
use crate::io::stats::Stats;
use crate::proto::ids::{DialId, FileId, LinkId};
use crate::proto::machine::{CloseReason, DownReason, Effect, Input, Machine, OpenMode, Origin, Os};
use crate::proto::time::{Mono, Now};

/// No test takes so long, whatever the machine; one that does hangs.
const HANGING: Duration = Duration::from_secs(120);

/// A machine that is one function, and what it remembers. It listens at `addr` from the start.
struct Toy<S> {
    state: S,
    act: fn(&mut S, What<'_>, &mut Desk<'_>),
    addr: Option<SocketAddr>,
    wake: Option<Mono>,
}

/// What a toy is told.
#[derive(Debug)]
enum What<'a> {
    Timeout,
    Told(Input<'a>),
}

/// What a toy can do.
struct Desk<'a> {
    os: &'a mut dyn Os,
    now: Now,
    wake: &'a mut Option<Mono>,
}

impl<S> Toy<S> {
    fn new(addr: Option<SocketAddr>, state: S, act: fn(&mut S, What<'_>, &mut Desk<'_>)) -> Toy<S> {
        Toy { state, act, addr, wake: None }
    }
}

impl<S: 'static> Machine for Toy<S> {
    fn handle_input(&mut self, input: Input<'_>, now: Now, os: &mut dyn Os) {
        if let (Input::Start, Some(addr)) = (&input, self.addr) {
            os.perform(Effect::Listen { addr });
        }
        (self.act)(&mut self.state, What::Told(input), &mut Desk { os, now, wake: &mut self.wake });
    }

    fn handle_timeout(&mut self, now: Now, os: &mut dyn Os) {
        let wake = self.wake.take();
        assert!(wake.is_some(), "the test hangs");
        (self.act)(&mut self.state, What::Timeout, &mut Desk { os, now, wake: &mut self.wake });
    }

    fn poll_timeout(&self) -> Option<Mono> {
        Some(self.wake.unwrap_or(Mono(0) + HANGING))
    }
}

impl Desk<'_> {
    fn send(&mut self, link: LinkId, bytes: &[u8]) {
        self.os.perform(Effect::Send { link, bytes });
    }

    fn close(&mut self, link: LinkId) {
        self.os.perform(Effect::Close { link, reason: CloseReason::Done });
    }

    fn open(&mut self, file: FileId, path: &str, mode: OpenMode) {
        self.os.perform(Effect::Open { file, path, mode, aside: "old" });
    }

    fn exit(&mut self) {
        self.os.perform(Effect::Exit);
    }

    fn wake_in(&mut self, timeout: Duration) {
        *self.wake = Some(self.now.mono + timeout);
    }
}

/// A free port, and the socket that holds it.
fn port() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr)
}

/// Runs one toy that listens, against a plain thread that gets the address.
fn run<S: 'static, R: Send + 'static>(
    state: S,
    act: fn(&mut S, What<'_>, &mut Desk<'_>),
    client: impl FnOnce(SocketAddr) -> R + Send + 'static,
) -> (S, R, Stats) {
    let root = tempfile::tempdir().unwrap();
    run_at(root.path(), state, act, client)
}

fn run_at<S: 'static, R: Send + 'static>(
    root: &Path,
    state: S,
    act: fn(&mut S, What<'_>, &mut Desk<'_>),
    client: impl FnOnce(SocketAddr) -> R + Send + 'static,
) -> (S, R, Stats) {
    let (listener, addr) = port();
    let mut reactor = Reactor::new().unwrap();
    reactor.inherit(listener);
    let mut toy = Toy::new(Some(addr), state, act);
    let thread = spawn(move || client(addr));
    let mut hosts = [Host { machine: &mut toy, root: root.to_owned() }];
    assert_eq!(reactor.run(&mut hosts).unwrap(), RunEnd::Exited);
    let stats = reactor.stats().clone();
    drop(reactor);
    (toy.state, thread.join().unwrap(), stats)
}

#[allow(clippy::disallowed_methods)] // the other side of the wire is another program
fn spawn<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> JoinHandle<R> {
    std::thread::spawn(work)
}

#[allow(clippy::disallowed_methods)] // so that the driver meets what came before it looked
fn pause(millis: u64) {
    std::thread::sleep(Duration::from_millis(millis));
}

fn connect(addr: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(HANGING)).unwrap();
    stream.set_write_timeout(Some(HANGING)).unwrap();
    stream
}

fn read_line(stream: &mut TcpStream) -> String {
    let mut line = Vec::new();
    let mut byte = [0];
    while stream.read(&mut byte).unwrap() == 1 && byte != *b"\n" {
        line.push(byte[0]);
    }
    String::from_utf8(line).unwrap()
}

/// Bytes that show where they are, so that a gap or an overlap is seen.
fn pattern(len: usize) -> Vec<u8> {
    (0..len as u32).map(|place| (place.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}
