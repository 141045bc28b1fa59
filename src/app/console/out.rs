//! Standard output, as fast as its reader takes it and no faster: a terminal that is stopped, or a pipe that
//! nobody reads, must not stop the loop.

use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal as _, Write as _};
use std::os::fd::AsFd as _;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::write;

use crate::app::reopen::open_again;

/// Bytes of one write: a pipe that says it is ready takes them without waiting.
const PIECE_BYTES: usize = 512;

/// What is to be shown.
#[derive(Debug)]
pub(super) struct Out {
    waiting: Vec<u8>,
    /// Why nothing more can be shown.
    broken: Option<Errno>,
    /// The terminal that it goes to, opened once more: one that says it is ready may take a single byte, and then
    /// waits. Standard output itself is also the shell's, which expects it to wait.
    terminal: Option<File>,
}

impl Out {
    /// For standard output as it is.
    pub(super) fn new() -> Out {
        let stdout = io::stdout();
        let terminal = if stdout.is_terminal() { open_again(stdout.as_fd()) } else { None };
        Out { waiting: Vec::new(), broken: None, terminal }
    }

    /// Shows a text, behind all that was to be shown before.
    pub(super) fn show(&mut self, text: &str) {
        if self.broken.is_none() {
            self.waiting.extend_from_slice(text.as_bytes());
        }
    }

    /// The kernel has everything that was to be shown.
    pub(super) fn is_out(&self) -> bool {
        self.waiting.is_empty() && self.broken.is_none()
    }

    /// Nothing will ever be shown any more.
    pub(super) fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    /// Writes what can be written at once.
    pub(super) fn flush(&mut self) {
        let stdout = io::stdout();
        let mut written = 0;
        while written < self.waiting.len() && is_ready() {
            let piece = &self.waiting[written..self.waiting.len().min(written + PIECE_BYTES)];
            match write(self.terminal.as_ref().map_or(stdout.as_fd(), |terminal| terminal.as_fd()), piece) {
                Ok(count) => written += count,
                Err(Errno::EINTR | Errno::EAGAIN) => break,
                Err(error) => {
                    self.broken = Some(error);
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
        if let Some(error) = self.broken {
            // A terminal whose window was closed says that it cannot be written to.
            let is_gone = error == Errno::EPIPE || error == Errno::EIO && self.terminal.is_some();
            return if is_gone { Ok(()) } else { Err(error.into()) };
        }
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
