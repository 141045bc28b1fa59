//! Where log records go: standard error, or a file that makes room by itself. One record is one line
//! and one write. Never stalls the loop and never ends it; what could not be written is counted, and told.

mod line;
mod pace;
#[cfg(test)]
mod tests;

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use anyhow::{Result, anyhow};
use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::app::journal::Weights;
use crate::app::logging::line::Line;
use crate::app::logging::pace::Pace;
use crate::app::terminal;
use crate::io::{LogFile, LogRules, LogTrouble, Reactor, host_now};
use crate::proto::machine::OPERATOR;
use crate::proto::time::{Now, Wall};

/// What is logged, and where.
#[derive(Debug)]
pub(super) struct LogOptions {
    pub(super) level: LevelFilter,
    /// `None`: standard error.
    pub(super) file: Option<PathBuf>,
    pub(super) rules: LogRules,
}

impl LogOptions {
    /// For a program that is not asked how its log makes room.
    pub(super) fn of(level: LevelFilter, file: Option<PathBuf>) -> LogOptions {
        let rules = LogRules { bytes_max: Some(10_000_000), daily: false, keep: 5, compress: false };
        LogOptions { level, file, rules }
    }
}

/// The helper logs as well.
struct Logger(Mutex<Desk>);

/// Where records become lines.
struct Desk {
    place: Place,
    line: Line,
    /// Records that could not be written since the last one that could.
    lost: u64,
    /// For records of level INFO that others can cause; who asks for more than those wants all.
    pace: Option<Pace>,
}

enum Place {
    Stderr(Weights),
    File(LogFile),
}

static LOGGER: Logger =
    Logger(Mutex::new(Desk { place: Place::Stderr(Weights::NONE), line: Line::new(), lost: 0, pace: None }));

/// Starts logging.
///
/// # Errors
/// If the file cannot be opened.
pub(super) fn start(options: &LogOptions) -> Result<()> {
    let place = if let Some(path) = &options.file {
        let opened = LogFile::open(path, options.rules);
        let file = opened.map_err(|error| match error.kind() {
            ErrorKind::ResourceBusy => {
                anyhow!("another program logs into {}; choose another file with --log-file", path.display())
            }
            _ => anyhow!("cannot log into {}: {error}; choose another file with --log-file", path.display()),
        })?;
        Place::File(file)
    } else {
        Place::Stderr(Weights::of_stderr())
    };
    LOGGER.desk().place = place;
    LOGGER.desk().pace = (options.level <= LevelFilter::Info).then(Pace::new);
    log::set_logger(&LOGGER).map_err(|error| anyhow!("{error}"))?;
    log::set_max_level(options.level);
    Ok(())
}

/// Opens the log file by its name again, and says in the log how that went. Where there is none, nothing happens.
pub(super) fn reopen() {
    let outcome = match &mut LOGGER.desk().place {
        Place::Stderr(_) => return,
        Place::File(file) => file.reopen().map(|()| file.path().to_owned()),
    };
    match outcome {
        Ok(path) => log::info!(target: OPERATOR, "log reopened file=\"{}\"", path.display()),
        Err(error) => log::error!("log not_reopened error=\"{error}\" next=\"the old one goes on\""),
    }
}

/// The program is about to end: what was left out is told, and the next program may have the log file.
pub(super) fn let_go() {
    let mut desk = LOGGER.desk();
    desk.tell_left_out(host_now());
    if let Place::File(file) = &mut desk.place {
        file.let_go();
    }
}

/// Has the helper of that loop see to old log files, so that the loop does not.
pub(super) fn use_helper(reactor: &mut Reactor) {
    let shelf = match &LOGGER.desk().place {
        Place::Stderr(_) => None,
        Place::File(file) => file.shelf(),
    };
    // The desk is free meanwhile, for this may log.
    let Some(hand) = shelf.and_then(|shelf| reactor.put_away(shelf)) else { return };
    if let Place::File(file) = &mut LOGGER.desk().place {
        file.set_hand(hand);
    }
}

/// Tells of a fault of this program. It may have happened while a record was made, so this one does not wait for its turn.
pub(super) fn tell_fault(text: &str) {
    let desk = match LOGGER.0.try_lock() {
        Ok(desk) => Some(desk),
        Err(TryLockError::Poisoned(error)) => Some(error.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    };
    if let Some(mut desk) = desk {
        desk.take(Level::Error, OPERATOR, format_args!("program fault=\"{text}\""), host_now());
    }
}

impl Logger {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        // A record that panicked is not the end of the log.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            self.desk().take(record.level(), record.target(), *record.args(), host_now());
        }
    }

    fn flush(&self) {}
}

impl Desk {
    fn take(&mut self, level: Level, target: &str, text: std::fmt::Arguments<'_>, now: Now) {
        let at = now.wall;
        let is_paced = level == Level::Info && target != OPERATOR;
        if is_paced && self.pace.as_mut().is_some_and(|pace| !pace.admit(now.mono)) {
            return;
        }
        if self.lost > 0 {
            let lost = self.lost;
            if !self.put(Level::Warn, format_args!("log lines_lost={lost}"), at) {
                self.lost += 1;
                return;
            }
            self.lost = 0;
        }
        if !self.put(level, text, at) {
            self.lost += 1;
        } else if self.pace.as_ref().is_some_and(|pace| pace.is_due(now.mono)) {
            // Behind it: what is logged when the file was opened anew is the first line there.
            self.tell_left_out(now);
        }
        if let Place::File(file) = &mut self.place
            && let Some(trouble) = file.take_trouble()
        {
            self.put(Level::Warn, format_args!("log {}", words_for(&trouble)), at);
        }
    }

    /// What cannot be written is told the next time.
    fn tell_left_out(&mut self, now: Now) {
        let left_out = self.pace.as_ref().map_or(0, Pace::left_out);
        if left_out > 0
            && self.put(Level::Warn, format_args!("log lines_left_out={left_out}"), now.wall)
            && let Some(pace) = &mut self.pace
        {
            pace.on_told(now.mono);
        }
    }

    fn put(&mut self, level: Level, text: std::fmt::Arguments<'_>, at: Wall) -> bool {
        match &mut self.place {
            Place::Stderr(weights) => {
                terminal::write_stderr(self.line.compose(weights.of(level), level, text, at))
            }
            Place::File(file) => file.write(self.line.compose("", level, text, at), at),
        }
    }
}

fn words_for(trouble: &LogTrouble) -> String {
    match trouble {
        LogTrouble::NotRotated(error) => format!("not_rotated error=\"{error}\" next=\"it grows\""),
        LogTrouble::NotLocked(error) if error.kind() == ErrorKind::ResourceBusy => {
            "not_locked why=\"another program logs into the same file\"".to_owned()
        }
        LogTrouble::NotLocked(error) => format!("not_locked error=\"{error}\""),
    }
}
