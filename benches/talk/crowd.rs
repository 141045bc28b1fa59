//! Many connections on one loop, each of somebody who talks: logs in, reads what comes, acknowledges it. Counts
//! what it reads, and measures nothing.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use tickmesh::proto::accounts::SaltedPassword;
use tickmesh::proto::accounts::scram::ClientExchange;

/// Nothing here takes so long, unless it will never come.
const PATIENCE: Duration = Duration::from_secs(60);

/// So many come, and then all have heard of them.
const WAVE: usize = 250;

/// So many connect ahead of those who log in, where nobody waits for the others.
const AHEAD: usize = 128;

/// People, by number.
pub struct Crowd {
    poll: Poll,
    events: Events,
    buffer: Vec<u8>,
    pub people: Vec<Person>,
    /// Who logs in has no need to hash the password again: it is the same for all of them.
    salted: SaltedPassword,
}

/// What one connection has read.
pub struct Person {
    stream: TcpStream,
    name: String,
    partial: Vec<u8>,
    waiting: VecDeque<u8>,
    exchange: Option<ClientExchange>,
    /// The number of a message that is to be acknowledged.
    to_acknowledge: Option<u64>,
    pub is_greeted: bool,
    pub is_in: bool,
    pub is_closed: bool,
    pub answers: u64,
    pub messages: u64,
    pub comings: u64,
    pub listed: u64,
    pub has_said_goodbye: bool,
}

impl Crowd {
    pub fn new(salted: SaltedPassword) -> Crowd {
        Crowd {
            poll: Poll::new().expect("a poll"),
            events: Events::with_capacity(1024),
            buffer: vec![0; 1 << 20],
            people: Vec::new(),
            salted,
        }
    }

    /// Connects one more, in the place of one that is closed if `place` says so.
    pub fn connect(&mut self, addr: SocketAddr, name: String, place: Option<usize>) -> usize {
        let mut stream = TcpStream::connect(addr).expect("a connection");
        let at = place.unwrap_or(self.people.len());
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut stream, Token(at), interest).expect("room in the poll");
        let person = Person {
            stream,
            name,
            partial: Vec::new(),
            waiting: VecDeque::new(),
            exchange: None,
            to_acknowledge: None,
            is_greeted: false,
            is_in: false,
            is_closed: false,
            answers: 0,
            messages: 0,
            comings: 0,
            listed: 0,
            has_said_goodbye: false,
        };
        match place {
            Some(place) => self.people[place] = person,
            None => self.people.push(person),
        }
        at
    }

    /// Begins to prove who somebody is.
    pub fn log_in(&mut self, who: usize) {
        let person = &mut self.people[who];
        let mut nonce = [7; 18];
        nonce[..8].copy_from_slice(&who.to_le_bytes());
        let (text, exchange) = ClientExchange::begin(person.name.parse().expect("a name"), &nonce);
        person.exchange = Some(exchange);
        person.say(format!("AUTH SCRAM-SHA-256 0 {text}\n").as_bytes());
    }

    pub fn say(&mut self, who: usize, bytes: &[u8]) {
        self.people[who].say(bytes);
    }

    /// Connects so many and logs them in, a few at a time, and never more than the others can hear of: what waits for
    /// slow readers would be memory, too. In the end everybody has heard of everybody who came later.
    pub fn gather(&mut self, addr: SocketAddr, count: usize, at_once: usize) {
        let first = self.people.len();
        for number in first..first + count {
            self.connect(addr, user(number), None);
            let begun = number + 1 - at_once.min(number + 1);
            self.until("a greeting", |people| people[number].is_greeted);
            self.log_in(number);
            self.until("a login", |people| {
                people[first.min(begun)..begun.max(first)].iter().all(|one| one.is_in)
            });
            if number % WAVE == WAVE - 1 {
                self.until_heard();
            }
        }
        self.until_heard();
    }

    /// Connects so many and logs them in as fast as the server takes them, whatever waits for slow readers.
    pub fn storm(&mut self, addr: SocketAddr, count: usize) {
        let mut begun = 0;
        while begun < count {
            while self.people.len() < count.min(begun + AHEAD) {
                self.connect(addr, user(self.people.len()), None);
            }
            self.turn(Duration::from_secs(1));
            while begun < self.people.len() && self.people[begun].is_greeted {
                self.log_in(begun);
                begun += 1;
            }
        }
        self.until_heard();
    }

    fn until_heard(&mut self) {
        self.until("the last login", |people| people.iter().all(|one| one.is_in));
        let pairs = (self.people.len() * (self.people.len() - 1) / 2) as u64;
        self.until("word of all", |people| people.iter().map(|one| one.comings).sum::<u64>() >= pairs);
        assert_eq!(self.people.iter().map(|one| one.comings).sum::<u64>(), pairs, "once each");
    }

    /// Reads whatever comes, until it is enough.
    pub fn until(&mut self, what: &str, mut is_enough: impl FnMut(&[Person]) -> bool) {
        let began = std::time::Instant::now();
        while !is_enough(&self.people) {
            self.turn(Duration::from_secs(1));
            assert!(began.elapsed() < PATIENCE, "{what} has not come");
        }
    }

    /// Reads for so long.
    pub fn read_for(&mut self, time: Duration) {
        let end = std::time::Instant::now() + time;
        while let left = end.saturating_duration_since(std::time::Instant::now())
            && !left.is_zero()
        {
            self.turn(left);
        }
    }

    /// Waits for something to come, at most for so long, and reads it.
    pub fn turn(&mut self, wait: Duration) {
        match self.poll.poll(&mut self.events, Some(wait)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => panic!("{error}"),
            _ => {}
        }
        for event in &self.events {
            let person = &mut self.people[event.token().0];
            if event.is_writable() {
                person.write();
            }
            person.read(&mut self.buffer, &self.salted);
        }
    }
}

impl Person {
    pub fn name(&self) -> &str {
        &self.name
    }

    fn say(&mut self, bytes: &[u8]) {
        self.waiting.extend(bytes);
        self.write();
    }

    fn write(&mut self) {
        while !self.waiting.is_empty() && !self.is_closed {
            match self.stream.write(self.waiting.make_contiguous()) {
                Ok(count) => drop(self.waiting.drain(..count)),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => {
                    return;
                }
                Err(error) => panic!("{} cannot write: {error}", self.name),
            }
        }
    }

    fn read(&mut self, buffer: &mut [u8], salted: &SaltedPassword) {
        while !self.is_closed {
            let count = match self.stream.read(buffer) {
                Ok(0) => {
                    self.is_closed = true;
                    return;
                }
                Ok(count) => count,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => {
                    return;
                }
                Err(error) => panic!("{} cannot read: {error}", self.name),
            };
            let mut rest = &buffer[..count];
            while let Some(end) = memchr::memchr(b'\n', rest) {
                let (line, behind) = rest.split_at(end + 1);
                rest = behind;
                if self.partial.is_empty() {
                    self.on_line(line, salted);
                } else {
                    let mut whole = std::mem::take(&mut self.partial);
                    whole.extend_from_slice(line);
                    self.on_line(&whole, salted);
                }
            }
            self.partial.extend_from_slice(rest);
            if let Some(number) = self.to_acknowledge.take() {
                self.say(format!("ACK {number}\n").as_bytes());
            }
        }
    }

    /// One line of ours or of Redis: their first bytes are different.
    fn on_line(&mut self, line: &[u8], salted: &SaltedPassword) {
        match line {
            [b'O', b'N', ..] | [b'O', b'F', ..] => self.comings += 1,
            [b'M', b'A', ..] => {
                self.messages += 1;
                let number =
                    line.split(|byte| *byte == b' ').nth(1).and_then(|word| std::str::from_utf8(word).ok());
                self.to_acknowledge = number.and_then(|number| number.parse().ok());
            }
            [b'M', ..] | [b'B', ..] => self.messages += 1,
            [b'*', b' ', ..] => self.listed += 1,
            // Redis: what was published, and how many got what one has published.
            [b'*', ..] => self.messages += 1,
            [b':', ..] => self.answers += 1,
            [b'T', ..] => self.is_greeted = true,
            [b'O', b'K', b' ', ..] => self.on_answer(line, salted),
            [b'E', ..] | [b'-', ..] => panic!("{}: {}", self.name, String::from_utf8_lossy(line)),
            _ => {}
        }
    }

    fn on_answer(&mut self, line: &[u8], salted: &SaltedPassword) {
        let text = std::str::from_utf8(line).expect("a line is UTF-8").trim_end();
        if let Some(challenge) = text.strip_prefix("OK AUTH ") {
            let exchange = self.exchange.take().expect("it has begun to log in");
            let challenge = exchange.challenged(challenge).expect("a challenge");
            let (proof, _) = challenge.respond(salted);
            self.say(format!("AUTH {proof}\n").as_bytes());
        } else if text.starts_with("OK login") {
            self.is_in = true;
        } else {
            self.answers += 1;
        }
    }
}

/// The name of a user, by number.
pub fn user(number: usize) -> String {
    format!("user_{number:05}")
}
