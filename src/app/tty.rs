//! The terminal of standard input, held for a while: it shows nothing of what is typed and leaves every key to us.
//! It is as it was when this is dropped, however that comes about.

use std::io;

use nix::sys::termios::{self, InputFlags, LocalFlags, SetArg, SpecialCharacterIndices, Termios};

/// No key can end us while this is there, so that the terminal is always given back.
#[derive(Debug)]
pub(super) struct HeldTerminal {
    before: Termios,
    held: Termios,
}

impl HeldTerminal {
    /// # Errors
    /// If standard input is no terminal.
    pub(super) fn begin() -> nix::Result<HeldTerminal> {
        let before = termios::tcgetattr(io::stdin())?;
        let mut held = before.clone();
        let flags = LocalFlags::ECHO | LocalFlags::ICANON | LocalFlags::ISIG | LocalFlags::IEXTEN;
        held.local_flags.remove(flags);
        // Output is as always: a line feed begins a line.
        held.input_flags.remove(InputFlags::IXON | InputFlags::ICRNL | InputFlags::INLCR | InputFlags::IGNCR);
        held.control_chars[SpecialCharacterIndices::VMIN as usize] = 1;
        held.control_chars[SpecialCharacterIndices::VTIME as usize] = 0;
        termios::tcsetattr(io::stdin(), SetArg::TCSADRAIN, &held)?;
        Ok(HeldTerminal { before, held })
    }

    /// Gives it back for a while.
    pub(super) fn give_back(&self) {
        let _ = termios::tcsetattr(io::stdin(), SetArg::TCSADRAIN, &self.before);
    }

    /// Takes it again: after that while, or when another program had it.
    pub(super) fn take_again(&self) {
        let _ = termios::tcsetattr(io::stdin(), SetArg::TCSADRAIN, &self.held);
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
