//! Those who abuse a server: thousands who connect and say nothing, some who send noise as fast as it is taken, some who ask for
//! much and read nothing. Whoever is closed comes again at once. One thread, from many addresses of this host, until standard
//! input ends; then it prints what it has done.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use socket2::{Domain, Socket, Type};

/// How many of each kind.
#[derive(Clone, Copy, Debug)]
pub struct Crowd {
    pub silent: usize,
    pub noisy: usize,
    pub deaf: usize,
    /// That they come from.
    pub addresses: u32,
}

/// Connections begun in one turn, so that the others are served meanwhile.
const BEGUN_AT_ONCE: usize = 64;
/// Written to one connection in one turn.
const PIECE_BYTES: usize = 64 << 10;
/// What the kernel holds of what one of them has written: of somebody who abuses from elsewhere it is another host's memory.
const SEND_BUFFER_BYTES: usize = 2 * PIECE_BYTES;
/// Who reads nothing has no large buffer either.
const DEAF_BUFFER_BYTES: usize = 4096;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Silent,
    Noisy,
    Deaf,
}

struct One {
    kind: Kind,
    stream: Option<TcpStream>,
    /// What it says, and how much of it has been said.
    words: Vec<u8>,
    said: usize,
    lives: u64,
}

#[derive(Debug, Default)]
pub struct Counts {
    begun: u64,
    closed: u64,
    sent_bytes: u64,
}

struct Load {
    server: SocketAddr,
    poll: Poll,
    all: Vec<One>,
    /// Who has no connection.
    gone: Vec<usize>,
    /// Who may have room to write.
    ready: Vec<usize>,
    addresses: u32,
    /// The last one that was used.
    address: u32,
    noise: blake3::OutputReader,
    counts: Counts,
}

/// Abuses the server until standard input ends.
pub fn run(server: SocketAddr, crowd: Crowd) -> Counts {
    static OVER: AtomicBool = AtomicBool::new(false);
    std::thread::spawn(|| {
        let _ = std::io::stdin().read(&mut [0]);
        OVER.store(true, Ordering::Relaxed);
    });
    let kinds = [(Kind::Noisy, crowd.noisy), (Kind::Deaf, crowd.deaf), (Kind::Silent, crowd.silent)];
    let one = |kind| One { kind, stream: None, words: Vec::new(), said: 0, lives: 0 };
    let all: Vec<One> =
        kinds.into_iter().flat_map(|(kind, count)| (0..count).map(move |_| one(kind))).collect();
    let mut load = Load {
        server,
        poll: Poll::new().expect("a poll"),
        gone: (0..all.len()).rev().collect(),
        ready: Vec::new(),
        all,
        addresses: crowd.addresses,
        address: 0,
        noise: blake3::Hasher::new().finalize_xof(),
        counts: Counts::default(),
    };
    let mut events = Events::with_capacity(1024);
    while !OVER.load(Ordering::Relaxed) {
        load.turn(&mut events);
    }
    load.counts
}

impl Load {
    fn turn(&mut self, events: &mut Events) {
        for _ in 0..BEGUN_AT_ONCE.min(self.gone.len()) {
            let place = self.gone.pop().expect("one that is gone");
            self.begin(place);
        }
        let wait = if self.gone.is_empty() && self.ready.is_empty() { 100 } else { 0 };
        match self.poll.poll(events, Some(Duration::from_millis(wait))) {
            Err(error) if error.kind() != ErrorKind::Interrupted => panic!("{error}"),
            _ => {}
        }
        for event in &*events {
            let place = event.token().0;
            if event.is_read_closed() || event.is_error() {
                self.close(place);
            } else if event.is_writable() && self.all[place].kind != Kind::Silent {
                self.ready.push(place);
            }
        }
        for place in std::mem::take(&mut self.ready) {
            self.talk(place);
        }
    }

    fn begin(&mut self, place: usize) {
        self.address = (self.address + 1) % self.addresses;
        let from = SocketAddr::from((Ipv4Addr::from_bits(0x7f00_0101 + self.address), 0));
        let one = &mut self.all[place];
        one.lives += 1;
        (one.words, one.said) = (words(one.kind, place, one.lives, &mut self.noise), 0);
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.set_nonblocking(true).expect("a socket that does not wait");
        socket.set_send_buffer_size(SEND_BUFFER_BYTES).expect("a buffer");
        if one.kind == Kind::Deaf {
            socket.set_recv_buffer_size(DEAF_BUFFER_BYTES).expect("a small buffer");
        }
        socket.bind(&from.into()).expect("an address of this host");
        match socket.connect(&self.server.into()) {
            Err(error) if error.raw_os_error() != Some(nix::errno::Errno::EINPROGRESS as i32) => {
                self.gone.insert(0, place);
                return;
            }
            _ => {}
        }
        let mut stream = TcpStream::from_std(socket.into());
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut stream, Token(place), interest).expect("room in the poll");
        one.stream = Some(stream);
        self.counts.begun += 1;
    }

    fn close(&mut self, place: usize) {
        if self.all[place].stream.take().is_some() {
            self.counts.closed += 1;
            self.gone.insert(0, place);
        }
    }

    /// Writes one piece; who is noisy reads as well, or nothing would be seen of an end.
    fn talk(&mut self, place: usize) {
        let one = &mut self.all[place];
        let Some(stream) = &mut one.stream else { return };
        if one.said == one.words.len() {
            // The first words were for once; the rest is said again and again.
            one.said = one
                .words
                .iter()
                .position(|byte| *byte == b'\n')
                .filter(|_| one.kind == Kind::Deaf)
                .unwrap_or(0);
        }
        let piece = &one.words[one.said..(one.said + PIECE_BYTES).min(one.words.len())];
        match stream.write(piece) {
            Ok(bytes) => {
                one.said += bytes;
                self.counts.sent_bytes += bytes as u64;
                if one.kind == Kind::Noisy {
                    let _ = stream.read(&mut [0; 4096]);
                }
                self.ready.push(place);
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => {}
            Err(_) => self.close(place),
        }
    }
}

/// What one of them says, over and over.
fn words(kind: Kind, place: usize, life: u64, noise: &mut blake3::OutputReader) -> Vec<u8> {
    match kind {
        Kind::Silent => Vec::new(),
        Kind::Deaf => {
            let mut words = format!("HELLO deaf{place}_{life}\n").into_bytes();
            words.extend_from_slice(&b"whoelse\nwhoelsesince 100000\nsearchFile film.bin\n".repeat(200));
            words
        }
        Kind::Noisy => match place % 4 {
            // Octets of any kind, a line without an end, verbs out of place, and commands of somebody who is not logged in.
            0 => {
                let mut words = vec![0; PIECE_BYTES];
                noise.fill(&mut words);
                words
            }
            1 => vec![b'x'; PIECE_BYTES],
            2 => b"TICK 0 1795230780000000000\nHAVE film.bin 1 2 3\nGOT film.bin\nDONE 1 1\n".repeat(500),
            _ => b"message bob hi\nwhoelse\ndownload x\n\n\n\nLEAVE 7\n".repeat(500),
        },
    }
}
