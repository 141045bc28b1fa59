//! Standard output, as fast as its reader takes it and no faster: a terminal that is stopped, or a pipe that
//! nobody reads, must not stop the loop.

use std::io::{self, ErrorKind, Write as _};
use std::os::fd::AsFd as _;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::write;

/// Bytes of one write: what says it is ready takes them without waiting. A terminal takes less at once than a pipe.
const PIECE_BYTES: usize = 512;

/// What is to be shown.
#[derive(Debug, Default)]
pub(super) struct Out {
    waiting: Vec<u8>,
    /// Nobody will ever read more.
    is_closed: bool,
}

impl Out {
    /// Shows a text, behind all that was to be shown before.
    pub(super) fn show(&mut self, text: &str) {
        if !self.is_closed {
            self.waiting.extend_from_slice(text.as_bytes());
        }
    }

    /// The kernel has everything.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Writes what can be written at once.
    pub(super) fn flush(&mut self) {
        let mut written = 0;
        while written < self.waiting.len() && is_ready() {
            let piece = &self.waiting[written..self.waiting.len().min(written + PIECE_BYTES)];
            match write(io::stdout().as_fd(), piece) {
                Ok(count) => written += count,
                Err(Errno::EINTR | Errno::EAGAIN) => break,
                Err(_) => {
                    self.is_closed = true;
                    self.waiting.clear();
                    return;
                }
            }
        }
        self.waiting.drain(..written);
    }

    /// Writes the rest, however long that takes.
    ///
    /// # Errors
    /// If it is full or closed. A reader that has gone away has what it wants: no error.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        let rest = std::mem::take(&mut self.waiting);
        let mut stdout = io::stdout().lock();
        match stdout.write_all(&rest).and_then(|()| stdout.flush()) {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error),
            _ => Ok(()),
        }
    }
}

fn is_ready() -> bool {
    let stdout = io::stdout();
    let mut fds = [PollFd::new(stdout.as_fd(), PollFlags::POLLOUT)];
    matches!(poll(&mut fds, PollTimeout::ZERO), Ok(1))
}
