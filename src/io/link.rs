//! One TCP connection: its state, what waits to be sent, and the two system calls that move bytes.
//! Never calls a machine.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::fd::{AsRawFd, RawFd};

use log::warn;
use mio::net::TcpStream;
use nix::errno::Errno;
use nix::sys::sendfile::sendfile64;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, send, setsockopt, sockopt};

use crate::io::budget::ReadBudget;
use crate::io::queue::{Piece, Queue};
use crate::io::sockets::{down_reason, unacked_bytes};
use crate::io::stats::Stats;
use crate::proto::ids::DialId;
use crate::proto::limits::{
    BULK_BYTES, LINK_QUEUE_BYTES_SOFT, READ_BUDGET_BYTES_MIN, VISIT_TIME, WRITE_BUDGET_BYTES,
};
use crate::proto::machine::DownReason;
use crate::proto::time::{Mono, SECOND_NS, Wall, ns};

/// A connection.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) stream: TcpStream,
    /// The machine that it belongs to.
    pub(super) machine: usize,
    pub(super) state: State,
    pub(super) sending: Sending,
    pub(super) hold: Hold,
    pub(super) queue: Queue,
    /// So much waits that the link is closed then, unless its reader gets on; 0 if not so much waits.
    pub(super) slow_until: Mono,
    pub(super) news: News,
    /// So much may still come in, and be thrown away, when the machine has closed it.
    pub(super) linger_bytes: u32,
    pub(super) budget: ReadBudget,
}

/// How far a link is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Ours, and not up yet.
    Connecting { dial: DialId },
    /// The machine has it.
    Open,
    /// A write failed. What had come in by then is still read; then it is down.
    Failing { reason: DownReason },
    /// Gone for the machine, which will be told so.
    Down { reason: DownReason },
    /// Gone for the machine. What is queued is sent, what comes in is dropped. `end_seen`: the other side's end has come, or is
    /// not waited for.
    Flushing { end_seen: bool },
    /// All is sent, and the other side knows that no more comes. Lasts until it says the same.
    Ending,
}

impl State {
    /// The machine has closed it, and the other side's end is waited for.
    pub(super) fn lingers(self) -> bool {
        matches!(self, State::Flushing { end_seen: false } | State::Ending)
    }
}

/// How far the machine's half of an open link is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sending {
    /// It may send.
    Open,
    /// It sends no more. What is queued goes out, and then its end.
    Ending,
    /// The other side has been told.
    Ended,
}

/// What the other side's end means for an open link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hold {
    /// It ends the link.
    Not,
    /// The machine holds the link. If the socket is closed as it is, the other side sees an error.
    Held,
    /// So it does, and has been told that the other side sends no more.
    Ended,
}

/// What is known of the socket, and which lists of the reactor the link is on.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct News {
    /// A read may find something.
    pub(super) readable: bool,
    /// The other side sends no more: read until the end is found.
    pub(super) read_closed: bool,
    /// The last write found the socket full; an event will tell when it is not.
    pub(super) full: bool,
    /// The machine was told that something waits.
    pub(super) blocked_told: bool,
    /// It is not read: its machine does not want that now, or has closed it, and it was heard out.
    pub(super) paused: bool,
    /// It is on the list of links that have output.
    pub(super) dirty: bool,
    /// It is on a list of things to visit.
    pub(super) listed: bool,
    /// What it brings is much, takes long, or is of no use: it is visited behind the others.
    pub(super) bulky: bool,
}

/// What became of a flush.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flushed {
    /// Nothing waits.
    All,
    /// The socket is full.
    Full,
    /// The budget is spent.
    Spent,
    /// The socket, or a file, failed.
    Failed(DownReason),
}

/// What a read found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// So many bytes, and when the last of them came in, if the kernel says.
    Bytes(usize, Option<Wall>),
    Nothing,
    End,
    Failed(DownReason),
}

/// Room for one time stamp, where the kernel may write one.
#[repr(align(8))]
struct Control([u8; 64]);

impl Link {
    pub(super) fn new(stream: TcpStream, machine: usize, state: State) -> Link {
        // Who is new may be anybody.
        let news = News { bulky: true, ..News::default() };
        let (sending, queue) = (Sending::Open, Queue::default());
        let slow_until = Mono(0);
        Link {
            stream,
            machine,
            state,
            sending,
            hold: Hold::Not,
            queue,
            slow_until,
            news,
            linger_bytes: 0,
            budget: ReadBudget::new(),
        }
    }

    /// Whether the machine may act on it.
    pub(super) fn is_open_for(&self, machine: usize) -> bool {
        self.machine == machine && self.state == State::Open
    }

    /// Whether the machine may send over it.
    pub(super) fn takes_from(&self, machine: usize) -> bool {
        self.is_open_for(machine) && self.sending == Sending::Open
    }

    /// Whether closing the socket resets the connection, in place of an orderly end.
    pub(super) fn set_abrupt(&self, abrupt: bool) {
        let linger = libc::linger { l_onoff: libc::c_int::from(abrupt), l_linger: 0 };
        if let Err(error) = setsockopt(&self.stream, sockopt::Linger, &linger) {
            warn!("link op=linger error=\"{error}\"");
        }
    }

    /// What the link waits for, besides events: it must be visited again if this says so.
    pub(super) fn wants_visit(&self) -> bool {
        let reads = match self.state {
            State::Connecting { .. } | State::Down { .. } => false,
            State::Flushing { end_seen } => !end_seen && !self.news.paused,
            State::Open | State::Ending => !self.news.paused,
            State::Failing { .. } => true,
        };
        reads && self.news.readable || self.wants_range()
    }

    /// Whether a file range can move on. Bytes go out with the flush at the end of a turn.
    pub(super) fn wants_range(&self) -> bool {
        self.queue.has_ranges() && !self.news.full
    }

    /// Whether a slow reader has to be watched from now on.
    pub(super) fn becomes_slow(&self) -> bool {
        self.slow_until == Mono(0) && self.queue.waiting_bytes() > LINK_QUEUE_BYTES_SOFT
    }

    /// Its reader has got on: half of what made it slow would do, so that nobody comes and goes at that line.
    pub(super) fn note_progress(&mut self) {
        if self.slow_until != Mono(0) && self.queue.waiting_bytes() <= LINK_QUEUE_BYTES_SOFT / 2 {
            self.slow_until = Mono(0);
        }
    }

    /// Whether the other host has everything that was sent.
    pub(super) fn is_all_there(&self) -> bool {
        // Our end counts as a byte, and may have met the other one on the way.
        let end = u64::from(self.sending == Sending::Ended);
        self.queue.front().is_none() && unacked_bytes(&self.stream).is_ok_and(|bytes| bytes <= end)
    }

    /// Writes what is queued, until the socket is full or the budget for ranges is spent.
    pub(super) fn flush(&mut self, stats: &mut Stats) -> Flushed {
        let mut budget = WRITE_BUDGET_BYTES as u64;
        loop {
            let step = match self.queue.front() {
                None => return Flushed::All,
                Some(Piece::Range { .. }) if budget == 0 => return Flushed::Spent,
                Some(Piece::Bytes(bytes, more)) => {
                    let sent = send_bytes(self.stream.as_raw_fd(), bytes, more);
                    let wanted = bytes.len();
                    self.sent_bytes(sent, wanted)
                }
                Some(Piece::Range { file, offset, len }) => {
                    let sent = send_range(&self.stream, file, offset, len.min(budget));
                    self.sent_range(sent)
                }
            };
            stats.writes += 1;
            match step {
                Step::On { range_bytes, bytes } => {
                    stats.bytes_out += range_bytes + bytes;
                    budget -= range_bytes;
                }
                Step::Stop { bytes, why } => {
                    stats.bytes_out += bytes;
                    return why;
                }
            }
        }
    }

    fn sent_bytes(&mut self, sent: Result<usize, Errno>, wanted: usize) -> Step {
        match sent {
            Ok(count) => {
                self.queue.sent_bytes(count);
                let bytes = count as u64;
                // A short write says that the socket is full, which saves the next call.
                let short = Step::Stop { bytes, why: Flushed::Full };
                if count < wanted { short } else { Step::On { range_bytes: 0, bytes } }
            }
            Err(errno) => failed(errno),
        }
    }

    fn sent_range(&mut self, sent: Result<u64, Errno>) -> Step {
        match sent {
            Ok(0) => Step::Stop { bytes: 0, why: Flushed::Failed(DownReason::FileFailed) },
            Ok(count) => {
                self.queue.sent_range(count);
                Step::On { range_bytes: count, bytes: 0 }
            }
            Err(Errno::EIO | Errno::EINVAL | Errno::EOVERFLOW | Errno::ENXIO) => {
                Step::Stop { bytes: 0, why: Flushed::Failed(DownReason::FileFailed) }
            }
            Err(errno) => failed(errno),
        }
    }

    /// The machine took so long with what was read. If that was a line or two, it says more of whoever had the processor meanwhile.
    pub(super) fn note_cost(&mut self, bytes: usize, took_ns: u64) {
        self.news.bulky |= bytes >= READ_BUDGET_BYTES_MIN && took_ns > ns(VISIT_TIME) / 4;
        self.budget.note(bytes, took_ns);
    }

    /// Reads once. What is not `wanted` is thrown away by the kernel, which saves the copy (tcp(7)).
    pub(super) fn read(&mut self, buffer: &mut [u8], wanted: bool, stats: &mut Stats) -> Found {
        let flags = if wanted { MsgFlags::empty() } else { MsgFlags::MSG_TRUNC };
        loop {
            stats.reads += 1;
            match receive(&self.stream, buffer, flags) {
                Ok((0, _)) => return Found::End,
                Ok((count, at)) => {
                    stats.bytes_in += count as u64;
                    stats.stamped += u64::from(at.is_some());
                    // All that there was, unless the end follows. A full buffer is a spent budget.
                    self.news.readable = count == buffer.len() || self.news.read_closed;
                    self.news.bulky = count >= BULK_BYTES.min(buffer.len()) || !wanted;
                    return Found::Bytes(count, at);
                }
                Err(Errno::EAGAIN) => {
                    self.news.readable = false;
                    return Found::Nothing;
                }
                Err(Errno::EINTR) => {}
                Err(errno) => return Found::Failed(down_reason(&io::Error::from(errno))),
            }
        }
    }
}

/// What one write led to.
enum Step {
    On { range_bytes: u64, bytes: u64 },
    Stop { bytes: u64, why: Flushed },
}

fn failed(errno: Errno) -> Step {
    match errno {
        Errno::EAGAIN => Step::Stop { bytes: 0, why: Flushed::Full },
        Errno::EINTR => Step::On { range_bytes: 0, bytes: 0 },
        errno => Step::Stop { bytes: 0, why: Flushed::Failed(down_reason(&errno.into())) },
    }
}

/// `more`: a range follows at once, so that the kernel need not send a small packet of its own.
fn send_bytes(socket: RawFd, bytes: &[u8], more: bool) -> Result<usize, Errno> {
    let more = if more { MsgFlags::from_bits_retain(libc::MSG_MORE) } else { MsgFlags::empty() };
    send(socket, bytes, MsgFlags::MSG_NOSIGNAL | more)
}

fn send_range(socket: &TcpStream, file: &File, offset: u64, len: u64) -> Result<u64, Errno> {
    let mut offset = i64::try_from(offset).map_err(|_| Errno::EOVERFLOW)?;
    sendfile64(socket, file, Some(&mut offset), len as usize).map(|count| count as u64)
}

fn receive(socket: &TcpStream, buffer: &mut [u8], flags: MsgFlags) -> Result<(usize, Option<Wall>), Errno> {
    let mut control = Control([0; 64]);
    let mut parts = [IoSliceMut::new(buffer)];
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut control.0), flags)?;
    let stamp = message.cmsgs()?.find_map(|part| match part {
        ControlMessageOwned::ScmTimestampns(time) => Some(time),
        _ => None,
    });
    let at = stamp.and_then(|time| {
        let seconds = u64::try_from(time.tv_sec()).ok()?;
        Some(Wall(seconds * SECOND_NS + u64::try_from(time.tv_nsec()).ok()?))
    });
    Ok((message.bytes, at))
}
