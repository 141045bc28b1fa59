//! A password from a person or a script: typed without being seen, twice; or the first line of a file or
//! a pipe. Never an argument, which everybody on the machine can read.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, IsTerminal as _, Read, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use signal_hook::SigId;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::low_level::{pipe, unregister};

use crate::app::tty::HeldTerminal;
use crate::proto::accounts::Password;
use crate::proto::ids::Name;
use crate::proto::limits::LINE_BYTES_MAX;

/// A new password for `name`, from the file if there is one, else from standard input.
///
/// # Errors
/// If there is none, it cannot be read, is no password, or the two that were typed differ.
pub(super) fn read_new(name: Name, file: Option<&Path>) -> Result<Password> {
    if let Some(path) = file {
        return read_file(path);
    }
    if !io::stdin().is_terminal() {
        let read = first_line(io::stdin().lock());
        return read.and_then(|line| prepare(&line)).context("the password on standard input");
    }
    let typed = ask(&format!("Password for {name}: "), "stopped; nothing is changed")?;
    let password = prepare(&typed)?;
    ensure!(ask("The same again: ", "stopped; nothing is changed")? == typed, "the two passwords differ");
    Ok(password)
}

/// The password that `name` has already: from the file if there is one, else typed once.
///
/// # Errors
/// If there is none, it cannot be read, or is no password.
pub(super) fn read(name: Name, file: Option<&Path>) -> Result<Password> {
    match file {
        Some(path) => read_file(path),
        None => prepare(&ask(&format!("Password for {name}: "), "stopped")?),
    }
}

fn read_file(path: &Path) -> Result<Password> {
    let read = File::open(path).map_err(Into::into).and_then(first_line);
    read.and_then(|line| prepare(&line)).with_context(|| format!("{}", path.display()))
}

fn prepare(line: &[u8]) -> Result<Password> {
    let text = std::str::from_utf8(line).context("a password is UTF-8 text")?;
    Ok(Password::prepare(text)?)
}

/// Without its end. What is longer than any password is cut off, and still too long.
fn first_line(source: impl Read) -> Result<Vec<u8>> {
    let mut line = Vec::new();
    BufReader::new(source.take(LINE_BYTES_MAX as u64)).read_until(b'\n', &mut line)?;
    if line.last() == Some(&b'\n') {
        line.pop();
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(line)
}

/// Asks at the terminal for a line that is not shown; who does not answer gets `stopped`.
fn ask(question: &str, stopped: &'static str) -> Result<Vec<u8>> {
    let held = HeldTerminal::begin().context("cannot hide what is typed")?;
    let end = EndSignals::catch()?;
    write!(io::stderr(), "{question}")?;
    let mut line = Vec::new();
    let mut byte = [0];
    // One by one: what is typed behind the password is not ours.
    let ended = loop {
        if end.comes_before_a_key()? || nix::unistd::read(io::stdin(), &mut byte)? == 0 {
            break Typed::Stop;
        }
        match edit(&mut line, byte[0]) {
            Typed::More => {}
            ended => break ended,
        }
    };
    drop(held);
    writeln!(io::stderr())?;
    match ended {
        Typed::Done => Ok(line),
        _ => bail!(stopped),
    }
}

/// What would end the program while the terminal is held, caught until this is dropped.
struct EndSignals {
    told: UnixStream,
    ids: Vec<SigId>,
}

impl EndSignals {
    fn catch() -> io::Result<EndSignals> {
        let (told, teller) = UnixStream::pair()?;
        let mut end = EndSignals { told, ids: Vec::new() };
        for signal in [SIGTERM, SIGINT, SIGHUP] {
            end.ids.push(pipe::register(signal, teller.try_clone()?)?);
        }
        Ok(end)
    }

    /// Waits for a key, or for one of them.
    fn comes_before_a_key(&self) -> io::Result<bool> {
        let stdin = io::stdin();
        let is_there = |fd: &PollFd<'_>| fd.any().unwrap_or(false);
        loop {
            let fds = [self.told.as_fd(), stdin.as_fd()];
            let mut fds = fds.map(|fd| PollFd::new(fd, PollFlags::POLLIN));
            match poll(&mut fds, PollTimeout::NONE) {
                Ok(_) if is_there(&fds[0]) => return Ok(true),
                Ok(_) if is_there(&fds[1]) => return Ok(false),
                Ok(_) | Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Drop for EndSignals {
    fn drop(&mut self) {
        for id in self.ids.drain(..) {
            unregister(id);
        }
    }
}

/// What a typed byte has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Typed {
    More,
    Done,
    Stop,
}

const CTRL_C: u8 = 0x03;
const CTRL_D: u8 = 0x04;
const BACKSPACE: u8 = 0x08;
const CTRL_U: u8 = 0x15;
const DELETE: u8 = 0x7f;

/// The keys of a terminal's own line editing, which is off.
fn edit(line: &mut Vec<u8>, byte: u8) -> Typed {
    match byte {
        b'\r' | b'\n' => return Typed::Done,
        CTRL_C => return Typed::Stop,
        CTRL_D if line.is_empty() => return Typed::Stop,
        CTRL_D => {}
        BACKSPACE | DELETE => while line.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {},
        CTRL_U => line.clear(),
        _ if line.len() < LINE_BYTES_MAX => line.push(byte),
        _ => {}
    }
    Typed::More
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_line_counts() {
        for text in ["secret", "secret\n", "secret\r\n", "secret\nmore\n"] {
            assert_eq!(first_line(text.as_bytes()).unwrap(), b"secret", "{text:?}");
        }
        assert_eq!(first_line(&b""[..]).unwrap(), b"");
        assert_eq!(first_line(&b"\nsecret"[..]).unwrap(), b"");
        assert_eq!(first_line(&b" a b \n"[..]).unwrap(), b" a b ");
        assert!(prepare(&first_line(io::repeat(b'x')).unwrap()).is_err());
        assert_eq!(prepare(b"\xff").unwrap_err().to_string(), "a password is UTF-8 text");
    }

    #[test]
    fn keys_edit_the_line() {
        let type_all = |keys: &[u8]| {
            let mut line = Vec::new();
            let ended = keys.iter().map(|key| edit(&mut line, *key)).find(|typed| *typed != Typed::More);
            (String::from_utf8(line).unwrap(), ended)
        };
        let done = Some(Typed::Done);
        assert_eq!(type_all(b"secret\r"), ("secret".to_owned(), done));
        assert_eq!(type_all(b"x\x15secre\x04tt\x7f\n"), ("secret".to_owned(), done));
        assert_eq!(type_all("\u{8}aé\u{8}b\n".as_bytes()), ("ab".to_owned(), done));
        assert_eq!(type_all(b"secret\x03"), ("secret".to_owned(), Some(Typed::Stop)));
        assert_eq!(type_all(b"x\x7f\x04").1, Some(Typed::Stop));
        assert_eq!(type_all(&[b'x'; 2 * LINE_BYTES_MAX]).0.len(), LINE_BYTES_MAX);
    }
}
