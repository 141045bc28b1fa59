//! How a program leaves the terminal that it was started from: a process of its own, without anything that it
//! was given, and a word to the first process when it is ready. Decides nothing about what runs then.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::RawFd;

use nix::fcntl::OFlag;
use nix::sys::signal::SigSet;
use nix::sys::stat::{Mode, umask};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, close, dup2_stderr, dup2_stdin, dup2_stdout, fork, pipe2, setsid};

/// What nobody but the owner and the group may read, and only the owner change.
const UMASK: Mode = Mode::from_bits_truncate(0o027);
/// What the last process says begins so: it is ready, or cannot be.
const READY: char = '+';
const FAILED: char = '-';

/// Which process this is after [`detach`].
#[derive(Debug)]
pub enum Detached {
    /// The one that was started. It waits for the other.
    First(Started),
    /// The one that stays.
    Last(Starting),
}

/// The first process's end of the pipe.
#[derive(Debug)]
pub struct Started {
    pipe: File,
}

/// The last process's end of the pipe.
#[derive(Debug)]
pub struct Starting {
    pipe: File,
}

/// Splits off a process that belongs to no terminal and to no session of anybody: standard input, output and error
/// are `/dev/null`, no other descriptor is open but the way back to the first process, no signal is blocked,
/// and the umask is 027. It stays in its folder, so that relative paths mean what they meant.
///
/// A second fork follows the new session, so that the process leads none and never gets a terminal: one
/// that it opens, as a log file, would otherwise become its own.
///
/// Must be called before any thread exists and anything is open: threads do not come along, databases must not,
/// and what was open is closed.
///
/// # Errors
/// Out of processes or descriptors.
#[allow(unsafe_code)] // no crate can know whether there are threads
pub fn detach() -> io::Result<Detached> {
    close_inherited()?;
    let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC)?;
    // SAFETY: there is one thread, so no lock can be held by another.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => {
            drop(writer);
            // Gone when the last process is there. Where children are not waited for, there is nothing to wait for.
            let _ = waitpid(child, None);
            return Ok(Detached::First(Started { pipe: File::from(reader) }));
        }
        ForkResult::Child => drop(reader),
    }
    let starting = Starting { pipe: File::from(writer) };
    // SAFETY: as above.
    match setsid().and_then(|_| unsafe { fork() }) {
        // SAFETY: it ends at once; nothing is to be written or removed by this process.
        Ok(ForkResult::Parent { .. }) => unsafe { libc::_exit(0) },
        Ok(ForkResult::Child) => {}
        Err(error) => give_up(starting, &error.into()),
    }
    match settle(&null) {
        Ok(()) => Ok(Detached::Last(starting)),
        Err(error) => give_up(starting, &error),
    }
}

/// Closes what whoever started this program has left open: it may be a lock that somebody waits for, or the end of a pipe.
fn close_inherited() -> io::Result<()> {
    let names = fs::read_dir("/proc/self/fd")?.map(|entry| entry.map(|entry| entry.file_name()));
    let fds: Vec<_> = names.collect::<io::Result<_>>()?;
    for fd in fds.iter().filter_map(|fd| fd.to_str()?.parse::<RawFd>().ok()).filter(|fd| *fd > 2) {
        // That of the list itself is closed already.
        let _ = close(fd);
    }
    Ok(())
}

fn settle(null: &File) -> io::Result<()> {
    SigSet::empty().thread_set_mask()?;
    umask(UMASK);
    dup2_stdin(null)?;
    dup2_stdout(null)?;
    dup2_stderr(null)?;
    Ok(())
}

/// This process is of no use, and must not go on as if it were the first one.
#[allow(unsafe_code)]
fn give_up(starting: Starting, error: &io::Error) -> ! {
    // If nobody listens, nobody is to be told.
    let _ = starting.failed(&format!("cannot leave the terminal: {error}"));
    // SAFETY: as in `detach`.
    unsafe { libc::_exit(1) }
}

impl Started {
    /// Waits until the other process is ready and returns its number and what it has to say then; `Err` if it cannot be,
    /// with its reason.
    ///
    /// # Errors
    /// `UnexpectedEof` if it has ended without a word.
    pub fn wait(mut self) -> io::Result<Result<(u32, String), String>> {
        let mut said = String::new();
        self.pipe.read_to_string(&mut said)?;
        let ready = said.strip_prefix(READY).and_then(|said| said.split_once('\n'));
        if let Some((pid, lines)) = ready.and_then(|(pid, lines)| Some((pid.parse().ok()?, lines))) {
            return Ok(Ok((pid, lines.to_owned())));
        }
        said.strip_prefix(FAILED).map(|why| Err(why.to_owned())).ok_or(io::ErrorKind::UnexpectedEof.into())
    }
}

impl Starting {
    /// Tells the first process that it may end, and what it shall say.
    ///
    /// # Errors
    /// `BrokenPipe` if it has ended already.
    pub fn ready(self, text: &str) -> io::Result<()> {
        self.tell(&format!("{READY}{}\n{text}", std::process::id()))
    }

    /// Tells the first process why nothing will come of it.
    ///
    /// # Errors
    /// `BrokenPipe` if it has ended already.
    pub fn failed(self, why: &str) -> io::Result<()> {
        self.tell(&format!("{FAILED}{why}"))
    }

    fn tell(mut self, text: &str) -> io::Result<()> {
        self.pipe.write_all(text.as_bytes())
    }
}
