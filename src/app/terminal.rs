//! What people see: standard output and standard error, which may be terminals, files, or pipes
//! that nobody reads. Never blocks the loop on standard error.

use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write};
use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use log::Level;

use crate::app::journal::Weights;
use crate::app::stderr::Outlet;

/// A progress line stands on the terminal and has to be wiped before anything else is written.
static PROGRESS_SHOWN: AtomicBool = AtomicBool::new(false);
/// The helper logs as well.
static STDERR: Mutex<Outlet> = Mutex::new(Outlet::new());

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
    refuse(&format!("tickmesh: {text}"));
}

/// The same in lines that say themselves who it is that complains.
pub(super) fn refuse(text: &str) {
    // The rest of a line, if there is one.
    write_if_ready(b"");
    let weight = Weights::of_stderr().of(Level::Error);
    let lines: String = text.lines().map(|line| format!("{weight}{line}\n")).collect();
    let _ = io::stderr().write_all(lines.as_bytes());
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

/// Writes a line to standard error, and wipes the progress line before. Where nobody reads, in a pipe or at a
/// terminal that was stopped, that costs the line and not time: false.
pub(super) fn write_stderr(line: &[u8]) -> bool {
    clear_progress();
    write_if_ready(line)
}

fn write_if_ready(bytes: &[u8]) -> bool {
    STDERR.lock().unwrap_or_else(PoisonError::into_inner).write(io::stderr().as_fd(), bytes)
}
