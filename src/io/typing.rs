//! What a user types, or a script says: standard input as a source of events. Never waits for it, and never
//! changes how it behaves: a terminal is also the shell's.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};

use mio::unix::SourceFd;
use mio::{Interest, Registry};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::read;

use crate::io::reactor::{Host, Reactor};
use crate::io::token::Source;
use crate::proto::limits::TYPED_BUDGET_BYTES;
use crate::proto::machine::Input;

/// A descriptor that is read for one machine.
pub(super) struct Typing {
    fd: OwnedFd,
    /// Whose it is.
    pub(super) machine: usize,
    /// There may be something to read.
    pub(super) is_readable: bool,
    /// It waits for its visit: a second one could bring more than its machine wants.
    is_listed: bool,
    has_ended: bool,
}

/// What reading once has come to.
enum Found {
    Bytes(usize),
    Nothing,
    End,
}

impl Typing {
    pub(super) fn new(fd: OwnedFd, machine: usize, registry: &Registry) -> io::Result<Typing> {
        let token = Source::Typing.token();
        match registry.register(&mut SourceFd(&fd.as_raw_fd()), token, Interest::READABLE) {
            Ok(()) => {}
            // A file or /dev/null, which epoll refuses, can always be read.
            Err(error) if error.raw_os_error() == Some(Errno::EPERM as i32) => {}
            Err(error) => return Err(error),
        }
        Ok(Typing { fd, machine, is_readable: true, is_listed: false, has_ended: false })
    }

    /// Reads only what is there: the descriptor may be one that waits.
    fn read(&self, buffer: &mut [u8]) -> Found {
        let mut fds = [PollFd::new(self.fd.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, PollTimeout::ZERO) {
            Ok(0) | Err(Errno::EINTR) => return Found::Nothing,
            _ => {}
        }
        match read(&self.fd, buffer) {
            Ok(0) => Found::End,
            Ok(count) => Found::Bytes(count),
            Err(Errno::EINTR | Errno::EAGAIN) => Found::Nothing,
            // A terminal that is gone.
            Err(_) => Found::End,
        }
    }
}

impl Reactor {
    /// Hands what comes from standard input to a machine; `place` is its place among those that will run.
    /// Catches SIGHUP from here on, which asks to end, and what says that a terminal needs painting.
    ///
    /// # Errors
    /// Out of descriptors.
    pub fn read_typed(&mut self, place: usize) -> io::Result<()> {
        self.signals.add_those_of_terminals()?;
        self.read_typed_from(place, io::stdin().as_fd().try_clone_to_owned()?)
    }

    pub(super) fn read_typed_from(&mut self, place: usize, fd: OwnedFd) -> io::Result<()> {
        self.typing = Some(Typing::new(fd, place, self.poll.registry())?);
        Ok(())
    }

    /// Reads on, if there may be something and its machine wants it. Asked once a turn.
    pub(super) fn list_typing(&mut self, hosts: &[Host<'_>]) {
        if let Some(typing) = &mut self.typing
            && let Typing { machine, is_readable: true, is_listed: false, has_ended: false, .. } = *typing
            && !self.seats[machine].ended
            && hosts[machine].machine.wants_typed()
        {
            typing.is_listed = true;
            self.leftover.push_back(Source::Typing);
        }
    }

    pub(super) fn visit_typing(&mut self, hosts: &mut [Host<'_>]) {
        let Some(typing) = &mut self.typing else { return };
        let machine = typing.machine;
        typing.is_listed = false;
        let mut buffer = std::mem::take(&mut self.buffer);
        let room = buffer.len().min(TYPED_BUDGET_BYTES);
        let found = typing.read(&mut buffer[..room]);
        match found {
            Found::Bytes(_) => {}
            Found::Nothing => typing.is_readable = false,
            Found::End => typing.has_ended = true,
        }
        match found {
            Found::Bytes(count) => self.tell(hosts, machine, Input::Typed { bytes: &buffer[..count] }),
            Found::Nothing => {}
            Found::End => self.tell(hosts, machine, Input::TypedEnd),
        }
        self.buffer = buffer;
    }
}
