//! A log file that makes room by itself. It owns the file that is written to; the old ones are the `shelf`'s, and what
//! takes long with them is the helper's. Never formats a record, and never logs, because whoever writes to it holds the log.
//!
//! A rotation costs the loop two calls: the file becomes `NAME.0`, and a new one is opened. `NAME.0` gets its
//! number later, when the older ones have moved on. As long as it has none the file grows: a long log is better than
//! none, and none is lost. A process that dies between any two calls leaves whole files, and the next one goes on from there.

mod shelf;
#[cfg(test)]
mod tests;

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{self, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::time::UNIX_EPOCH;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use crate::io::errands::Job;
use crate::io::helper::Helper;
use crate::io::place::{is_named, rename_new};
use crate::io::reactor::Reactor;
use crate::proto::limits::LOG_RETRY;
use crate::proto::time::{SECOND_NS, Wall};

pub use shelf::Shelf;

/// When a log file is followed by a new one, and what becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogRules {
    /// Most bytes of a file; `None`: any number.
    pub bytes_max: Option<u64>,
    /// No file has records of two days (UTC).
    pub daily: bool,
    /// Old files that are kept.
    pub keep: usize,
    /// Old files are compressed by the helper, where there is one.
    pub compress: bool,
}

/// A log file, and its way to the old ones.
#[derive(Debug)]
pub struct LogFile {
    /// As it was named, from the root on, so that it can be opened anew from any folder.
    path: PathBuf,
    rules: LogRules,
    open: Open,
    /// `NAME.0` waits for its number.
    waits: Arc<AtomicBool>,
    helper: Option<Sender<Job>>,
    /// When a rotation was tried in vain.
    tried: Option<Wall>,
    trouble: Option<LogTrouble>,
}

/// What may be wrong with a log file that is written to all the same.
#[derive(Debug)]
pub enum LogTrouble {
    /// It grows beyond its bound.
    NotRotated(io::Error),
    /// Others may log into the file that follows. `ResourceBusy`: another program does.
    NotLocked(io::Error),
}

/// The helper of a reactor, as a log file knows it.
#[derive(Debug)]
pub struct Hand(Sender<Job>);

/// The file that is written to.
#[derive(Debug)]
struct Open {
    file: File,
    /// Of the same file: nobody else logs into it.
    lock: Option<Flock<File>>,
    /// Where it truly is. `None` if it is no plain file: a pipe or a device is never renamed.
    place: Option<PathBuf>,
    bytes: u64,
    /// Of its last record, in days since 1970.
    day: u64,
    /// It ends within a line.
    is_torn: bool,
}

impl LogFile {
    /// Opens a log, and makes it if it is not there; its folder has to be. What an earlier process wrote stays in front.
    ///
    /// # Errors
    /// Those of the file system; `ResourceBusy` if another program logs into it: the files that follow it would be those of both.
    pub fn open(path: &Path, rules: LogRules) -> io::Result<LogFile> {
        let path = path::absolute(path)?;
        let mut open = Open::new(&path)?;
        open.lock()?;
        let waits = Arc::new(AtomicBool::new(false));
        let log = LogFile { path, rules, open, waits, helper: None, tried: None, trouble: None };
        if let Some(mut shelf) = log.shelf() {
            shelf.abandon();
            // The last process may have died before that had its number. What cannot be done now is tried at the next rotation.
            let _ = shelf.put_in();
        }
        Ok(log)
    }

    /// Writes one record, a line with its end, in one call, into this file or the one that follows it. If it cannot be
    /// written nothing of it stays, or, where even that cannot be had, its part stays a line of its own. Returns whether it was written.
    pub fn write(&mut self, line: &[u8], at: Wall) -> bool {
        let today = day_of(at);
        if self.is_due(line.len() as u64, today) {
            self.rotate(at);
        }
        if self.open.bytes == 0 || today < self.open.day {
            self.open.day = today;
        }
        self.open.put(line)
    }

    /// What an operator should know, once.
    pub fn take_trouble(&mut self) -> Option<LogTrouble> {
        self.trouble.take()
    }

    /// Opens the file by its name again: somebody else may have moved it. If that fails, the old one goes on.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn reopen(&mut self) -> io::Result<()> {
        // It may be the same file, and its lock goes with the last who has it open.
        self.open = Open::new(&self.path)?;
        self.tried = None;
        self.lock_next();
        Ok(())
    }

    /// From here on others may log into it: whoever is to follow need not wait until this process is gone.
    pub fn let_go(&mut self) {
        self.open.lock = None;
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its old files, for [`Reactor::put_away`]; `None` if it has none, because it is a pipe or a device.
    pub fn shelf(&self) -> Option<Shelf> {
        let place = self.open.place.clone()?;
        Some(Shelf::new(place, self.rules.keep, self.rules.compress, Arc::clone(&self.waits)))
    }

    /// From here on the old files are put away by the helper.
    pub fn set_hand(&mut self, hand: Hand) {
        self.helper = Some(hand.0);
    }

    fn is_due(&self, bytes: u64, today: u64) -> bool {
        let open = &self.open;
        let is_full = self.rules.bytes_max.is_some_and(|max| open.bytes + bytes > max);
        open.bytes > 0 && open.place.is_some() && (is_full || self.rules.daily && today > open.day)
    }

    fn rotate(&mut self, at: Wall) {
        let retry_ns = LOG_RETRY.as_nanos() as u64;
        if self.tried.is_some_and(|tried| at.0.abs_diff(tried.0) < retry_ns) {
            return;
        }
        if self.waits.load(Ordering::Acquire) {
            // The helper is at it.
            return;
        }
        self.tried = Some(at);
        match self.follow() {
            Ok(true) => self.tried = None,
            // What is in the way is the helper's, and if it fails, later the helper's again.
            Ok(false) => {}
            // It may go on in a file that is not ours alone, and that is not said a second time.
            Err(error) => {
                self.trouble.get_or_insert(LogTrouble::NotRotated(error));
            }
        }
    }

    /// Goes on in a new file; false if it cannot do that yet.
    fn follow(&mut self) -> io::Result<bool> {
        let Some(place) = self.open.place.clone() else { return Ok(false) };
        let waiting = shelf::numbered(&place, 0);
        // Somebody else may have moved it, and only waits for us to let go of it.
        let is_ours = is_named(&self.open.file, &place).unwrap_or(false);
        if is_ours {
            match rename_new(&place, &waiting) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                    self.put_away()?;
                    if self.helper.is_some() {
                        return Ok(false);
                    }
                    rename_new(&place, &waiting)?;
                }
                result => result?,
            }
        }
        match Open::new(&self.path) {
            Ok(open) => self.open = open,
            Err(error) => {
                if is_ours {
                    // Where that fails as well, the next process finds it.
                    let _ = rename_new(&waiting, &place);
                }
                return Err(error);
            }
        }
        self.lock_next();
        self.put_away()?;
        Ok(true)
    }

    /// A log goes on in any case.
    fn lock_next(&mut self) {
        if let Err(error) = self.open.lock() {
            self.trouble = Some(LogTrouble::NotLocked(error));
        }
    }

    /// Has `NAME.0` get its number: later, by the helper, or at once, where there is none.
    fn put_away(&mut self) -> io::Result<()> {
        let Some(mut shelf) = self.shelf() else { return Ok(()) };
        if let Some(helper) = &self.helper {
            self.waits.store(true, Ordering::Release);
            match helper.send(Job::PutAway(shelf)) {
                Ok(()) => return Ok(()),
                Err(back) => match back.0 {
                    Job::PutAway(returned) => shelf = returned,
                    _ => unreachable!("it comes back as it was sent"),
                },
            }
            self.waits.store(false, Ordering::Release);
            self.helper = None;
        }
        shelf.put_in()
    }
}

impl Open {
    fn new(path: &Path) -> io::Result<Open> {
        // A pipe that nobody reads would be waited for.
        let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
        let file = OpenOptions::new().append(true).create(true).custom_flags(flags).open(path)?;
        let known = file.metadata()?;
        let modified = known.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        let day = modified.map_or(0, |since| since.as_secs() / DAY_S);
        let is_plain = known.is_file();
        let is_torn = is_plain && known.len() > 0 && last_byte(path).is_ok_and(|byte| byte != b'\n');
        let place = is_plain.then(|| path.canonicalize()).transpose()?;
        Ok(Open { file, lock: None, place, bytes: known.len(), day, is_torn })
    }

    /// Nobody else logs into this file as long as it is open here. A file system that knows no locks is no obstacle.
    fn lock(&mut self) -> io::Result<()> {
        if self.place.is_none() {
            return Ok(());
        }
        self.lock = match Flock::lock(self.file.try_clone()?, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Some(lock),
            Err((_, Errno::EWOULDBLOCK)) => return Err(ErrorKind::ResourceBusy.into()),
            Err(_) => None,
        };
        Ok(())
    }

    fn put(&mut self, line: &[u8]) -> bool {
        let ended;
        let bytes = if self.is_torn {
            ended = [b"\n", line].concat();
            &ended
        } else {
            line
        };
        match self.write(bytes) {
            Ok(written) if written == bytes.len() => {
                self.bytes += written as u64;
                self.is_torn = false;
                true
            }
            Ok(0) | Err(_) => false,
            Ok(written) => {
                self.take_back(written as u64);
                false
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.file.write(bytes) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    /// The disk took only a part of a record.
    fn take_back(&mut self, written: u64) {
        let is_last = self.file.metadata().is_ok_and(|known| known.len() == self.bytes + written);
        let is_gone = self.place.is_some() && is_last && self.file.set_len(self.bytes).is_ok();
        if !is_gone {
            self.bytes += written;
            self.is_torn = true;
        }
    }
}

impl Reactor {
    /// Has this reactor's helper put old log files away, beginning with what is there. The log is to get what this returns.
    pub fn put_away(&mut self, shelf: Shelf) -> Option<Hand> {
        self.hand_over(Job::PutAway(shelf));
        self.helper.as_ref().map(|helper: &Helper| Hand(helper.jobs()))
    }
}

const DAY_S: u64 = 86_400;

fn day_of(at: Wall) -> u64 {
    at.0 / SECOND_NS / DAY_S
}

fn last_byte(path: &Path) -> io::Result<u8> {
    let (mut file, mut byte) = (File::open(path)?, [0]);
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut byte)?;
    Ok(byte[0])
}
