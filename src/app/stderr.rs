//! A descriptor that is written to and never waited for, because whoever is at its other end may not read: a pipe, a socket,
//! or a terminal that was stopped. Says what was not taken; decides nothing about it.
//!
//! It is never made non-blocking, because that would be so for everybody who shares it, the shell for one. A pipe or a terminal is opened
//! a second time, and only that is non-blocking. To ask a terminal first whether it is ready is not enough: it is
//! ready when it takes a byte, and waits for the others. That is left where it cannot be opened again, because it belongs to
//! somebody else.

use std::fs::File;
use std::io::{IsTerminal as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, send};
use nix::sys::stat::{FileStat, SFlag, fstat};

use crate::app::reopen::open_again;

/// What is known of the descriptor, and what it has not taken yet.
pub(super) struct Outlet {
    way: Way,
    /// The device and the inode that this is about: the descriptor may have become another's.
    place: Option<(u64, u64)>,
    /// The end of a line of which a part is out.
    rest: Vec<u8>,
}

/// How it is written to.
enum Way {
    /// Over the same pipe or terminal, opened by us.
    Own(File),
    Socket,
    /// A file, or a device without a reader: it takes what it can.
    Plain,
    /// When it says that it can.
    Asked,
}

/// A pipe that is ready takes as many without waiting (`PIPE_BUF`).
const ASKED_BYTES_MAX: usize = 4096;

impl Outlet {
    pub(super) const fn new() -> Outlet {
        Outlet { way: Way::Asked, place: None, rest: Vec::new() }
    }

    /// Writes a line, if that can be done at once. If a part of it can, the other part goes out before anything else does.
    pub(super) fn write(&mut self, fd: BorrowedFd<'_>, line: &[u8]) -> bool {
        let Ok(known) = fstat(fd) else { return false };
        let place = Some((known.st_dev, known.st_ino));
        if self.place != place {
            *self = Outlet { way: Way::of(fd, &known), place, rest: Vec::new() };
        }
        if !self.rest.is_empty() {
            let written = self.way.write(fd, &self.rest);
            self.rest.drain(..written);
            if !self.rest.is_empty() {
                return false;
            }
        }
        let written = self.way.write(fd, line);
        if written > 0 {
            self.rest.extend_from_slice(&line[written..]);
        }
        written > 0 || line.is_empty()
    }
}

impl Way {
    fn of(fd: BorrowedFd<'_>, known: &FileStat) -> Way {
        match SFlag::from_bits_truncate(known.st_mode) & SFlag::S_IFMT {
            SFlag::S_IFSOCK => Way::Socket,
            SFlag::S_IFIFO => open_again(fd).map_or(Way::Asked, Way::Own),
            SFlag::S_IFCHR if fd.is_terminal() => open_again(fd).map_or(Way::Asked, Way::Own),
            _ => Way::Plain,
        }
    }

    /// Returns how many bytes were taken; none if something is wrong.
    fn write(&mut self, fd: BorrowedFd<'_>, bytes: &[u8]) -> usize {
        match self {
            Way::Own(own) => own.write(bytes).unwrap_or(0),
            Way::Socket => {
                send(fd.as_raw_fd(), bytes, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL).unwrap_or(0)
            }
            Way::Plain => nix::unistd::write(fd, bytes).unwrap_or(0),
            Way::Asked => {
                let mut fds = [PollFd::new(fd.as_fd(), PollFlags::POLLOUT)];
                let is_ready = matches!(poll(&mut fds, PollTimeout::ZERO), Ok(1))
                    && fds[0].revents().is_some_and(|events| events.contains(PollFlags::POLLOUT));
                let piece = &bytes[..bytes.len().min(ASKED_BYTES_MAX)];
                if is_ready { nix::unistd::write(fd, piece).unwrap_or(0) } else { 0 }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::Read as _;
    use std::os::fd::OwnedFd;

    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    use nix::pty::openpty;
    use nix::sys::termios::{FlowArg, tcflow};

    use super::*;

    fn flags(fd: &OwnedFd) -> i32 {
        fcntl(fd, FcntlArg::F_GETFL).unwrap()
    }

    /// Writes numbered lines until one is refused, and returns how many were taken.
    fn fill(outlet: &mut Outlet, fd: &OwnedFd, from: usize) -> usize {
        let refused = (from..).find(|number| !outlet.write(fd.as_fd(), line(*number).as_bytes()));
        refused.unwrap()
    }

    fn line(number: usize) -> String {
        format!("line {number} {}\n", "x".repeat(number % 300))
    }

    /// Reads what stands there, and then what is written after it was, until `end` lines are there.
    fn lines(mut reader: File, outlet: &mut Outlet, fd: &OwnedFd, end: usize) -> Vec<String> {
        let (mut text, mut piece) = (Vec::new(), [0; 65536]);
        while text.iter().filter(|byte| **byte == b'\n').count() < end {
            let read = reader.read(&mut piece).unwrap();
            text.extend_from_slice(&piece[..read]);
            outlet.write(fd.as_fd(), b"");
        }
        String::from_utf8(text).unwrap().lines().map(|line| format!("{}\n", line.trim_end())).collect()
    }

    #[test]
    fn a_terminal_that_is_stopped_costs_lines_and_no_time() {
        let pty = openpty(None, None).unwrap();
        let before = flags(&pty.slave);
        let mut outlet = Outlet::new();
        assert!(outlet.write(pty.slave.as_fd(), line(0).as_bytes()));
        assert!(matches!(outlet.way, Way::Own(_)));
        tcflow(&pty.slave, FlowArg::TCOOFF).unwrap();
        assert!(!outlet.write(pty.slave.as_fd(), b"lost\n"));
        tcflow(&pty.slave, FlowArg::TCOON).unwrap();
        // And one that is not read.
        let taken = fill(&mut outlet, &pty.slave, 1);
        assert_eq!(flags(&pty.slave), before, "the shell's descriptor is as it was");
        let found = lines(File::from(pty.master), &mut outlet, &pty.slave, taken);
        assert_eq!(found, (0..taken).map(|number| line(number).replace(" \n", "\n")).collect::<Vec<_>>());
    }

    #[test]
    fn a_pipe_that_nobody_reads_costs_lines_and_no_time() {
        let (reader, writer) = nix::unistd::pipe().unwrap();
        let mut outlet = Outlet::new();
        let taken = fill(&mut outlet, &writer, 0);
        assert!(taken > 100 && flags(&writer) & OFlag::O_NONBLOCK.bits() == 0);
        let found = lines(File::from(reader), &mut outlet, &writer, taken);
        assert_eq!(found, (0..taken).map(|number| line(number).replace(" \n", "\n")).collect::<Vec<_>>());
        assert!(!outlet.write(writer.as_fd(), b"to nobody\n"), "the reader has gone");
    }

    #[test]
    fn so_does_a_socket_and_a_full_disk() {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let (mut outlet, ours) = (Outlet::new(), OwnedFd::from(ours));
        let taken = fill(&mut outlet, &ours, 0);
        let found = lines(File::from(OwnedFd::from(theirs)), &mut outlet, &ours, taken);
        assert_eq!(found.len(), taken);
        let full = OwnedFd::from(OpenOptions::new().write(true).open("/dev/full").unwrap());
        assert!(!outlet.write(full.as_fd(), b"too much\n"), "the descriptor is another's now");
    }
}
