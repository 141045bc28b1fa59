//! A console at a terminal of its own, as a person sees it: what stands in whole lines, and what is typed.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::process::Child;

use nix::poll::{PollFd, PollFlags, poll};
use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{self, Termios};
use nix::unistd::Pid;

use super::{PATIENCE, now, tickmesh};

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
}

impl Screen {
    pub fn start(folder: &Path, args: &str) -> Screen {
        let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(Some(&size), None).unwrap();
        let terminal = File::from(pty.master);
        let before = termios::tcgetattr(&terminal).unwrap();
        let mut command = tickmesh(folder, args);
        command.env("NO_COLOR", "1").env("TERM", "xterm");
        command.stdout(pty.slave.try_clone().unwrap()).stderr(pty.slave.try_clone().unwrap());
        let child = command.stdin(pty.slave).spawn().unwrap();
        let (bytes, lines) = (Vec::new(), VecDeque::new());
        Screen { child, terminal, before, rest: String::new(), bytes, lines }
    }

    /// Presses keys.
    pub fn press(&mut self, keys: &str) {
        self.terminal.write_all(keys.as_bytes()).unwrap();
    }

    /// Types a command, and waits for its answer.
    pub fn says(&mut self, command: &str, answer: &str) {
        self.press(&format!("{command}\r"));
        self.hears(answer);
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

    /// How it ended; the terminal is as it was.
    pub fn ends(&mut self) -> i32 {
        while self.read() {}
        let code = self.child.wait().unwrap().code().unwrap();
        let after = termios::tcgetattr(&self.terminal).unwrap();
        assert_eq!(after.local_flags, self.before.local_flags, "the terminal is as it was");
        assert_eq!(after.input_flags, self.before.input_flags, "the terminal is as it was");
        code
    }

    /// As when somebody drags its corner. It is nobody's controlling terminal, so the kernel does not tell.
    pub fn resize(&mut self, columns: u16) {
        let size = rustix::termios::Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(&self.terminal, size).unwrap();
        kill(Pid::from_raw(self.pid()), Signal::SIGWINCH).unwrap();
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
    fn read(&mut self) -> bool {
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
        self.rest.push_str(std::str::from_utf8(&text).unwrap());
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
