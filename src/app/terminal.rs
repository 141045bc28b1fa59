//! What people see: standard output and standard error, which may be terminals, files, or pipes
//! that nobody reads. Never blocks the loop on standard error.

use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write};
use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::{Context, Result};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// A progress line stands on the terminal and has to be wiped before anything else is written.
static PROGRESS_SHOWN: AtomicBool = AtomicBool::new(false);
/// Records that standard error could not take.
static DROPPED: AtomicU64 = AtomicU64::new(0);

/// Prints to standard output.
///
/// # Errors
/// If it is full or closed. A reader that has gone away (`| head`) has what it wants: no error.
pub(super) fn print(text: &str) -> Result<()> {
    clear_progress();
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to standard output")
        }
        _ => Ok(()),
    }
}

/// Tells a person what is wrong. Where standard error is closed, nobody wants to know.
pub(super) fn complain(text: &dyn Display) {
    let _ = writeln!(io::stderr(), "tickmesh: {text}");
}

/// Standard error is a terminal, so that a progress line makes sense.
pub(super) fn shows_progress() -> bool {
    io::stderr().is_terminal()
}

/// Replaces the progress line. A narrow terminal cuts it off (no automatic margins meanwhile), so
/// that it stays one line.
pub(super) fn show_progress(line: &str) {
    if write_if_ready(format!("\r\x1b[K\x1b[?7l{line}\x1b[?7h").as_bytes()) {
        PROGRESS_SHOWN.store(true, Ordering::Relaxed);
    }
}

/// A line that others may wipe like a progress line stands on the terminal.
pub(super) fn note_line() {
    if shows_progress() {
        PROGRESS_SHOWN.store(true, Ordering::Relaxed);
    }
}

/// Nobody has wiped it, as far as anybody can; it is nobody's any more.
pub(super) fn take_line() -> bool {
    PROGRESS_SHOWN.swap(false, Ordering::Relaxed) || !shows_progress()
}

/// Wipes the progress line, if there is one.
pub(super) fn clear_progress() {
    if PROGRESS_SHOWN.swap(false, Ordering::Relaxed) {
        write_if_ready(b"\r\x1b[K");
    }
}

/// Standard error as a place for log records. A pipe that nobody reads, or a terminal that was
/// stopped, costs records and not time; they are counted, and the count is told.
pub(super) struct LogToStderr;

impl Write for LogToStderr {
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        clear_progress();
        if !write_if_ready(record) {
            DROPPED.fetch_add(1, Ordering::Relaxed);
            return Ok(record.len());
        }
        let dropped = DROPPED.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            write_if_ready(
                format!("{dropped} records before this one were dropped: standard error was full\n")
                    .as_bytes(),
            );
        }
        Ok(record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes if that can be done at once. A pipe that is ready takes at least 4096 bytes (PIPE_BUF)
/// without blocking, and no record of ours is longer.
fn write_if_ready(bytes: &[u8]) -> bool {
    let stderr = io::stderr();
    let mut fds = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
    let ready = matches!(poll(&mut fds, PollTimeout::ZERO), Ok(1))
        && fds[0].revents().is_some_and(|events| events.contains(PollFlags::POLLOUT));
    ready && stderr.lock().write_all(&bytes[..bytes.len().min(4096)]).is_ok()
}
