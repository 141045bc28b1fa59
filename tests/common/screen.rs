//! A console at a terminal of its own, as a person sees it: what stands in whole lines, and what is typed.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::{Child, Command};

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, poll};
use nix::pty::{grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{self, Termios};
use nix::unistd::Pid;

use super::{PATIENCE, heeding_hangups, now, tickmesh, wait_for};

/// A console that does not outlive its test.
pub struct Screen {
    child: Child,
    terminal: File,
    before: Termios,
    /// What came and is no whole line yet.
    rest: String,
    bytes: Vec<u8>,
    /// Whole lines that no test has taken yet.
    lines: VecDeque<String>,
    /// All that came, as it came.
    raw: String,
}

impl Screen {
    pub fn start(folder: &Path, args: &str) -> Screen {
        let mut command = tickmesh(folder, args);
        command.env("NO_COLOR", "1");
        Screen::of(heeding_hangups(&command))
    }

    /// The same with any command.
    pub fn of(mut command: Command) -> Screen {
        let size = rustix::termios::Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        // Nobody else may have this end: it would never be closed.
        let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let master = posix_openpt(flags).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let (flags, name) = (OFlag::O_NOCTTY.bits(), ptsname_r(&master).unwrap());
        let slave = File::options().read(true).write(true).custom_flags(flags).open(name).unwrap();
        let terminal = File::from(OwnedFd::from(master));
        rustix::termios::tcsetwinsize(&terminal, size).unwrap();
        let before = termios::tcgetattr(&terminal).unwrap();
        command.env("TERM", "xterm");
        command.stdout(slave.try_clone().unwrap()).stderr(slave.try_clone().unwrap());
        let child = command.stdin(slave).spawn().unwrap();
        let (bytes, lines, rest, raw) = (Vec::new(), VecDeque::new(), String::new(), String::new());
        Screen { child, terminal, before, rest, bytes, lines, raw }
    }

    /// Presses keys.
    pub fn press(&mut self, keys: &str) {
        self.press_bytes(keys.as_bytes());
    }

    pub fn press_bytes(&mut self, keys: &[u8]) {
        self.terminal.write_all(keys).unwrap();
    }

    /// Types a command, and waits for its answer.
    pub fn says(&mut self, command: &str, answer: &str) {
        self.press(&format!("{command}\r"));
        self.hears(answer);
    }

    /// Types commands, each with how its answer begins.
    pub fn tries(&mut self, commands: &[(&str, &str)]) {
        for (command, answer) in commands {
            self.press(&format!("{command}\r"));
            self.hears_of(answer);
        }
    }

    /// Waits for a line.
    pub fn hears(&mut self, line: &str) {
        self.waits(line, |lines| lines.iter().position(|shown| shown == line));
    }

    /// Waits for a line that begins so.
    pub fn hears_of(&mut self, start: &str) -> String {
        self.waits(start, |lines| lines.iter().position(|shown| shown.starts_with(start)))
    }

    /// Waits until the last line, the one that is typed into, ends so.
    pub fn sees(&mut self, end: &str) {
        let deadline = now() + PATIENCE;
        while !self.last_line().ends_with(end) {
            assert!(now() < deadline && self.read(), "waited in vain for {end:?}:\n{}", self.shown());
        }
    }

    /// Nothing like it was shown so far.
    pub fn heard_nothing_of(&self, part: &str) {
        assert!(!self.lines.iter().any(|line| line.contains(part)), "{part:?}:\n{}", self.shown());
    }

    /// All that was read so far, as it came.
    pub fn raw(&self) -> &str {
        &self.raw
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).unwrap();
    }

    /// Somebody closes the window. How it ended; none: by a signal.
    pub fn hang_up(&mut self) -> Option<i32> {
        let nothing = File::open("/dev/null").unwrap();
        drop(std::mem::replace(&mut self.terminal, nothing));
        wait_for("the end", || self.child.try_wait().unwrap()).code()
    }

    /// How it ended; nobody reads what it shows.
    pub fn ends_unseen(&mut self) -> Option<i32> {
        let code = wait_for("the end", || self.child.try_wait().unwrap()).code();
        self.assert_terminal_is_back();
        code
    }

    /// How it ended; the terminal is as it was.
    pub fn ends(&mut self) -> i32 {
        while self.read() {}
        let code = self.child.wait().unwrap().code().unwrap();
        self.assert_terminal_is_back();
        code
    }

    fn assert_terminal_is_back(&self) {
        let after = termios::tcgetattr(&self.terminal).unwrap();
        assert_eq!(after.local_flags, self.before.local_flags, "the terminal is as it was");
        assert_eq!(after.input_flags, self.before.input_flags, "the terminal is as it was");
    }

    /// As when somebody drags its corner. It is nobody's controlling terminal, so the kernel does not tell.
    pub fn resize(&mut self, columns: u16) {
        let size = rustix::termios::Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(&self.terminal, size).unwrap();
        self.signal(Signal::SIGWINCH);
    }

    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    fn waits(&mut self, what: &str, find: impl Fn(&VecDeque<String>) -> Option<usize>) -> String {
        let deadline = now() + PATIENCE;
        loop {
            if let Some(place) = find(&self.lines) {
                return self.lines.remove(place).unwrap();
            }
            assert!(now() < deadline && self.read(), "waited in vain for {what:?}:\n{}", self.shown());
        }
    }

    /// Takes what there is; false if the program has ended.
    pub fn read(&mut self) -> bool {
        let mut fds = [PollFd::new(self.terminal.as_fd(), PollFlags::POLLIN)];
        if poll(&mut fds, 100u16).unwrap() == 0 {
            return true;
        }
        let mut buffer = [0; 4096];
        // The end of a terminal is an error on Linux.
        let Ok(count @ 1..) = self.terminal.read(&mut buffer) else { return false };
        self.bytes.extend_from_slice(&buffer[..count]);
        // A character may come in two pieces.
        let whole = match std::str::from_utf8(&self.bytes) {
            Ok(text) => text.len(),
            Err(error) => error.valid_up_to(),
        };
        let text: Vec<u8> = self.bytes.drain(..whole).collect();
        let text = std::str::from_utf8(&text).unwrap();
        self.raw.push_str(text);
        self.rest.push_str(text);
        while let Some((line, rest)) = self.rest.split_once("\r\n") {
            self.lines.push_back(seen(line));
            self.rest = rest.to_owned();
        }
        true
    }

    fn last_line(&self) -> String {
        seen(&self.rest)
    }

    fn shown(&self) -> String {
        let lines: String = self.lines.iter().map(|line| format!("  {line}\n")).collect();
        format!("{lines}  {}", self.last_line())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What is left of a line when it was wiped and written anew.
fn seen(line: &str) -> String {
    let mut text = String::new();
    let mut rest = line;
    while let Some(at) = rest.find(['\x1b', '\r', '\x07']) {
        text.push_str(&rest[..at]);
        let control = rest.as_bytes()[at];
        rest = &rest[at + 1..];
        if control == b'\x1b' {
            let end = rest.find(|c: char| c.is_ascii_alphabetic()).map_or(rest.len(), |end| end + 1);
            if rest[..end].ends_with(['J', 'K']) {
                text.clear();
            }
            rest = &rest[end..];
        }
    }
    text + rest
}
