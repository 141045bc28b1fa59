//! The terminal of standard input, held for a while: it shows nothing of what is typed and leaves every key to us.
//! It is as it was when this is dropped, however that comes about.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use nix::sys::termios::{self, InputFlags, LocalFlags, SetArg, SpecialCharacterIndices, Termios};

/// No key can end us while this is there, so that the terminal is always given back.
#[derive(Debug)]
pub(super) struct HeldTerminal {
    fd: OwnedFd,
    before: Termios,
    held: Termios,
}

impl HeldTerminal {
    /// # Errors
    /// If standard input is no terminal.
    pub(super) fn begin() -> io::Result<HeldTerminal> {
        HeldTerminal::of(io::stdin().as_fd().try_clone_to_owned()?)
    }

    fn of(fd: OwnedFd) -> io::Result<HeldTerminal> {
        let before = termios::tcgetattr(&fd)?;
        let mut held = before.clone();
        let flags = LocalFlags::ECHO | LocalFlags::ICANON | LocalFlags::ISIG | LocalFlags::IEXTEN;
        held.local_flags.remove(flags);
        // Output is as always: a line feed begins a line.
        held.input_flags.remove(InputFlags::IXON | InputFlags::ICRNL | InputFlags::INLCR | InputFlags::IGNCR);
        held.control_chars[SpecialCharacterIndices::VMIN as usize] = 1;
        held.control_chars[SpecialCharacterIndices::VTIME as usize] = 0;
        termios::tcsetattr(&fd, SetArg::TCSADRAIN, &held)?;
        Ok(HeldTerminal { fd, before, held })
    }

    /// Gives it back for a while.
    pub(super) fn give_back(&self) {
        let _ = termios::tcsetattr(&self.fd, SetArg::TCSADRAIN, &self.before);
    }

    /// Takes it again: after that while, or when another program had it.
    pub(super) fn take_again(&self) {
        let _ = termios::tcsetattr(&self.fd, SetArg::TCSADRAIN, &self.held);
    }
}

/// How wide the terminal of standard output is, in cells.
pub(super) fn columns() -> usize {
    // A terminal that nobody has told its size says 0.
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok().filter(|size| size.ws_col > 0);
    size.map_or(80, |size| usize::from(size.ws_col))
}

impl Drop for HeldTerminal {
    fn drop(&mut self) {
        self.give_back();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::pty::openpty;

    #[test]
    fn a_terminal_is_given_back_also_when_something_breaks() {
        let pty = openpty(None, None).unwrap();
        let local = || termios::tcgetattr(&pty.slave).unwrap().local_flags;
        let before = local();
        let fd = pty.slave.try_clone().unwrap();
        let broken = std::panic::catch_unwind(|| {
            let _held = HeldTerminal::of(fd).unwrap();
            assert_ne!(local(), before, "it is held");
            panic!("something breaks");
        });
        assert!(broken.is_err());
        assert_eq!(local(), before);
    }
}
