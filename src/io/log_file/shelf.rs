//! The old files of a log: `NAME.1` is the newest, and one that is compressed is called `NAME.1.gz`. Gives them their
//! numbers, compresses them slice by slice, and deletes those that are too many. All names but that of `NAME` itself
//! change here, on one thread, so none can be in another's way. Never touches the file that is written to.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use flate2::Compression;
use flate2::write::GzEncoder;
use log::warn;

use crate::proto::limits::LOG_PACK_SLICE_BYTES;

/// Old files of one log, and what has to be done with them.
#[derive(Debug)]
pub struct Shelf {
    /// `NAME`.
    base: PathBuf,
    keep: usize,
    compress: bool,
    /// `NAME.0` waits for its number.
    waits: Arc<AtomicBool>,
    packing: Option<Packing>,
    /// Something could not be compressed: that waits for the next rotation.
    has_given_up: bool,
}

/// An old file that is being compressed, into [`Shelf::partial`].
#[derive(Debug)]
struct Packing {
    /// That of the file, by now.
    number: usize,
    from: File,
    into: GzEncoder<File>,
}

/// What is called `NAME.3`.
pub(super) fn numbered(base: &Path, number: usize) -> PathBuf {
    with_suffix(base, &format!(".{number}"))
}

fn with_suffix(base: &Path, suffix: &str) -> PathBuf {
    let mut name = base.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

impl Shelf {
    pub(super) fn new(base: PathBuf, keep: usize, compress: bool, waits: Arc<AtomicBool>) -> Shelf {
        Shelf { base, keep, compress, waits, packing: None, has_given_up: false }
    }

    pub(in crate::io) fn is_same(&self, other: &Shelf) -> bool {
        self.base == other.base
    }

    /// Does the next piece of work; false if there is none.
    pub(in crate::io) fn go_on(&mut self) -> bool {
        if self.waits.load(Ordering::Acquire) {
            if let Err(error) = self.put_in() {
                warn!("log not_rotated file={} error=\"{error}\"", numbered(&self.base, 0).display());
            }
            self.has_given_up = false;
            self.waits.store(false, Ordering::Release);
        }
        if !self.compress || self.has_given_up {
            return false;
        }
        self.pack().unwrap_or_else(|error| {
            warn!("log not_compressed file={} error=\"{error}\"", self.base.display());
            self.give_up();
            false
        })
    }

    /// Gives `NAME.0` its number, if there is one. Whatever dies in between leaves at most a number that is not taken, which the
    /// next one fills.
    pub(super) fn put_in(&mut self) -> io::Result<()> {
        let waiting = numbered(&self.base, 0);
        if !is_there(&waiting) {
            return Ok(());
        }
        // If fewer are to be kept than were.
        (self.keep + 1..).map(|number| self.remove(number)).find(|removed| !matches!(removed, Ok(true)));
        if self.keep == 0 {
            return fs::remove_file(waiting);
        }
        let is_free = |number: &usize| !self.names(*number).iter().any(|name| is_there(name));
        let free = (1..=self.keep).find(is_free).unwrap_or(self.keep);
        self.remove(free)?;
        if self.packing.as_ref().is_some_and(|packing| packing.number == free) {
            self.abandon();
        }
        for number in (1..free).rev() {
            for (from, to) in self.names(number).iter().zip(&self.names(number + 1)) {
                unless_missing(fs::rename(from, to))?;
            }
            if let Some(packing) = &mut self.packing
                && packing.number == number
            {
                packing.number += 1;
            }
        }
        fs::rename(waiting, numbered(&self.base, 1))
    }

    /// Compresses a slice; false if nothing is left to be compressed.
    fn pack(&mut self) -> io::Result<bool> {
        let Some(packing) = &mut self.packing else { return self.begin() };
        let mut slice = Vec::with_capacity(LOG_PACK_SLICE_BYTES);
        (&packing.from).take(LOG_PACK_SLICE_BYTES as u64).read_to_end(&mut slice)?;
        packing.into.write_all(&slice)?;
        if slice.len() == LOG_PACK_SLICE_BYTES {
            return Ok(true);
        }
        let Some(Packing { number, from, into }) = self.packing.take() else { return Ok(true) };
        let packed = into.finish()?;
        let known = from.metadata()?;
        packed.set_permissions(known.permissions())?;
        packed.set_modified(known.modified()?)?;
        // The plain one goes only when this one is on disk.
        packed.sync_all()?;
        let [plain, gz] = self.names(number);
        fs::rename(self.partial(), gz)?;
        unless_missing(fs::remove_file(plain))?;
        Ok(true)
    }

    /// Opens the next one that is to be compressed.
    fn begin(&mut self) -> io::Result<bool> {
        let is_plain = |name: &Path| fs::symlink_metadata(name).is_ok_and(|known| known.is_file());
        let Some(number) = (1..=self.keep).find(|number| is_plain(&numbered(&self.base, *number))) else {
            return Ok(false);
        };
        let [plain, gz] = self.names(number);
        if is_plain(&gz) {
            // It was compressed by one that died before it could delete this.
            unless_missing(fs::remove_file(plain))?;
            return Ok(true);
        }
        let from = File::open(plain)?;
        // Its rights are those of the log in the end; until then nobody else may read it.
        let packed = File::options().write(true).create_new(true).mode(0o600).open(self.partial())?;
        let into = GzEncoder::new(packed, Compression::fast());
        self.packing = Some(Packing { number, from, into });
        Ok(true)
    }

    fn give_up(&mut self) {
        self.has_given_up = true;
        self.abandon();
    }

    /// Also what one that died has left.
    pub(super) fn abandon(&mut self) {
        self.packing = None;
        let _ = fs::remove_file(self.partial());
    }

    /// The number of what is being compressed.
    #[cfg(test)]
    pub(super) fn packs(&self) -> Option<usize> {
        self.packing.as_ref().map(|packing| packing.number)
    }

    fn partial(&self) -> PathBuf {
        with_suffix(&self.base, ".gz.partial")
    }

    /// Both that a number can have.
    fn names(&self, number: usize) -> [PathBuf; 2] {
        let plain = numbered(&self.base, number);
        let gz = with_suffix(&plain, ".gz");
        [plain, gz]
    }

    /// Returns whether there was something.
    fn remove(&self, number: usize) -> io::Result<bool> {
        let mut was_there = false;
        for name in self.names(number) {
            was_there |= is_there(&name);
            unless_missing(fs::remove_file(name))?;
        }
        Ok(was_there)
    }
}

fn is_there(name: &Path) -> bool {
    fs::symlink_metadata(name).is_ok()
}

fn unless_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        result => result,
    }
}
