//! What the helper has to do, and whose turn it is: in one turn everything that waits to be
//! begun with or to be finished, a slice of one hash, of one old log, and one password; between two such turns all that waits to be read,
//! for a read is quick and somebody's link is idle until it is done. Deleted files go first, some a turn.
//! Knows no thread and no loop.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Arc, Weak};

use log::debug;

use crate::io::finish::{Finish, Outcome, finish_all, start_writeback};
use crate::io::log_file::Shelf;
use crate::io::open_file::Handle;
use crate::io::place::Looks;
use crate::io::room::{Wish, taken_bytes};
use crate::io::store::checkpoint;
use crate::io::survey::{Survey, Surveyed};
use crate::proto::accounts::{Salt, derive_key};
use crate::proto::ids::FileId;
use crate::proto::limits::{FINISH_BATCH_MAX, HASH_SLICE_BYTES, LET_GO_BYTES_MAX, LET_GO_FILES_MAX};
use crate::proto::machine::Secret;

/// Whose file it is: the place of a machine, and its name for the file.
pub(super) type Whose = (usize, FileId);

/// Something to do.
#[derive(Debug)]
pub(super) enum Job {
    Finish(Whose, Finish),
    Read(Whose, Part),
    Hash(Whose, Part),
    /// Much of it was written: the disk should begin with that. Released meanwhile, it is let go.
    Start(Weak<Handle>),
    /// Much was stored in that database: its log should be moved into it.
    Checkpoint(PathBuf),
    /// It will be written to: the disk should set room aside, or must.
    Reserve(Whose, Wish),
    /// A machine wants to know what is in its folder.
    Survey(usize, Survey),
    /// The file is deleted: when this handle goes, and no link has another, the file system takes back what it had.
    LetGo(Arc<Handle>),
    /// The machine has released the file: nobody wants to know any more what is in it.
    Forget(Whose),
    /// A password of a machine is to be hashed.
    Derive(usize, Derivation),
    /// A log file was followed by another: its number has to be found, and perhaps it is to be compressed.
    PutAway(Shelf),
}

/// A password to be hashed.
#[derive(Debug)]
pub(super) struct Derivation {
    pub(super) job: u64,
    pub(super) password: Secret<Box<str>>,
    pub(super) salt: Salt,
    pub(super) iterations: u32,
}

/// A range of a file.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) handle: Arc<Handle>,
    pub(super) offset: u64,
    pub(super) len: u64,
}

/// Something that is done; there is one for each job, except for those to begin, to move a log, to put a log away, and to forget.
#[derive(Debug)]
pub(super) enum Done {
    Finish(Whose, Outcome),
    /// With the offset, here and below.
    Read(Whose, u64, io::Result<Vec<u8>>),
    Hash(Whose, u64, io::Result<blake3::Hash>),
    Forgotten(Whose),
    /// Whether room is set aside; an error only if it has to be.
    Reserved(Whose, io::Result<bool>),
    Surveyed(usize, io::Result<Surveyed>),
    /// With the number of the job.
    Derived(usize, u64, Secret<[u8; 32]>),
    /// How many deleted files have gone.
    LetGo(usize),
}

/// All that waits.
#[derive(Default)]
pub(super) struct Errands {
    starts: Vec<Weak<Handle>>,
    checkpoints: Vec<PathBuf>,
    reserves: Vec<(Whose, Wish)>,
    orderly: VecDeque<Orderly>,
    reads: Vec<(Whose, Part)>,
    /// The last turn was one of reads.
    has_read: bool,
    hashes: VecDeque<Hashing>,
    derivations: VecDeque<(usize, Derivation)>,
    forgotten: Vec<Whose>,
    nameless: VecDeque<Arc<Handle>>,
    /// One for each log.
    shelves: Vec<Shelf>,
    /// What is hashed goes through here.
    buffer: Vec<u8>,
}

/// What is done and answered in the order in which it came: a file is counted if its end was told before the count.
enum Orderly {
    Finish(Whose, Finish),
    Survey(usize, Survey),
}

/// A hash that has come so far.
struct Hashing {
    whose: Whose,
    part: Part,
    hashed_bytes: u64,
    hasher: Box<blake3::Hasher>,
}

const BUFFER_BYTES: usize = 256 << 10;

impl Job {
    pub(super) fn is_answered(&self) -> bool {
        !matches!(self, Job::Start(_) | Job::Checkpoint(_) | Job::Forget(_) | Job::PutAway(_))
    }
}

impl Done {
    /// How many jobs it answers.
    pub(super) fn jobs(&self) -> usize {
        if let Done::LetGo(files) = self { *files } else { 1 }
    }
}

impl Errands {
    pub(super) fn is_empty(&self) -> bool {
        let Errands {
            starts,
            checkpoints,
            reserves,
            orderly,
            reads,
            hashes,
            derivations,
            forgotten,
            nameless,
            shelves,
            ..
        } = self;
        starts.is_empty()
            && checkpoints.is_empty()
            && reserves.is_empty()
            && orderly.is_empty()
            && reads.is_empty()
            && hashes.is_empty()
            && derivations.is_empty()
            && forgotten.is_empty()
            && nameless.is_empty()
            && shelves.is_empty()
    }

    pub(super) fn add(&mut self, job: Job) {
        match job {
            Job::Finish(whose, finish) => self.orderly.push_back(Orderly::Finish(whose, finish)),
            Job::Survey(machine, survey) => self.orderly.push_back(Orderly::Survey(machine, survey)),
            Job::Read(whose, part) => self.reads.push((whose, part)),
            Job::Hash(whose, part) => {
                self.hashes.push_back(Hashing { whose, part, hashed_bytes: 0, hasher: Box::default() });
            }
            Job::Start(handle) if self.starts.iter().any(|other| other.ptr_eq(&handle)) => {}
            Job::Start(handle) => self.starts.push(handle),
            Job::Checkpoint(path) => {
                self.checkpoints.retain(|other| *other != path);
                self.checkpoints.push(path);
            }
            Job::Reserve(whose, wish) => self.reserves.push((whose, wish)),
            Job::LetGo(handle) => self.nameless.push_back(handle),
            Job::Forget(whose) => self.forget(whose),
            // The one that is at it looks again.
            Job::PutAway(shelf) if self.shelves.iter().any(|other| other.is_same(&shelf)) => {}
            Job::PutAway(shelf) => self.shelves.push(shelf),
            Job::Derive(machine, derivation) => self.derivations.push_back((machine, derivation)),
        }
    }

    /// Does one turn's work, and returns what came of it.
    pub(super) fn turn(&mut self) -> Vec<Done> {
        self.starts.drain(..).filter_map(|handle| handle.upgrade()).for_each(|file| start_writeback(&file));
        for path in self.checkpoints.drain(..) {
            // The next one moves it as well.
            checkpoint(&path).unwrap_or_else(|error| debug!("checkpoint error=\"{error}\""));
        }
        let mut done: Vec<Done> = self.forgotten.drain(..).map(Done::Forgotten).collect();
        self.has_read = !self.reads.is_empty() && !self.has_read;
        if !self.has_read && !self.nameless.is_empty() {
            // Others may get their room, as of this turn.
            done.push(Done::LetGo(self.let_go()));
        }
        let mut looks = Looks::default();
        let reserve = |(whose, wish): (Whose, Wish)| Done::Reserved(whose, wish.carry_out(&mut looks));
        done.extend(self.reserves.drain(..).map(reserve));
        if self.has_read {
            let read = |(whose, part): (Whose, Part)| Done::Read(whose, part.offset, part.read());
            done.extend(self.reads.drain(..).map(read));
            return done;
        }
        self.finish(&mut done);
        if let Some(Orderly::Survey(..)) = self.orderly.front()
            && let Some(Orderly::Survey(machine, survey)) = self.orderly.pop_front()
        {
            done.push(Done::Surveyed(machine, survey.carry_out()));
        }
        if let Some(mut hashing) = self.hashes.pop_front() {
            self.buffer.resize(BUFFER_BYTES, 0);
            match hashing.go_on(&mut self.buffer) {
                Ok(None) => self.hashes.push_front(hashing),
                Ok(Some(hash)) => done.push(Done::Hash(hashing.whose, hashing.part.offset, Ok(hash))),
                Err(error) => done.push(Done::Hash(hashing.whose, hashing.part.offset, Err(error))),
            }
        }
        if let Some((machine, Derivation { job, password, salt, iterations })) = self.derivations.pop_front()
        {
            let key = derive_key(&password.0, &salt, iterations);
            done.push(Done::Derived(machine, job, Secret(key)));
        }
        self.shelves.retain_mut(Shelf::go_on);
        done
    }

    /// Closes the deleted files that have waited longest. Returns how many.
    fn let_go(&mut self) -> usize {
        let (mut files, mut bytes) = (0, 0_u64);
        while files < LET_GO_FILES_MAX
            && bytes < LET_GO_BYTES_MAX
            && let Some(handle) = self.nameless.pop_front()
        {
            bytes = bytes.saturating_add(taken_bytes(&handle).unwrap_or(0));
            files += 1;
        }
        files
    }

    /// Everything in front that waits, in one go. With the files their locks go, before anybody hears of it:
    /// whoever does may open the same name.
    fn finish(&mut self, done: &mut Vec<Done>) {
        let (mut whose, mut files) = (Vec::new(), Vec::new());
        while let Some(Orderly::Finish(..)) = self.orderly.front()
            && files.len() < FINISH_BATCH_MAX
            && let Some(Orderly::Finish(of, finish)) = self.orderly.pop_front()
        {
            whose.push(of);
            files.push(finish);
        }
        if files.is_empty() {
            return;
        }
        let outcomes = finish_all(&files);
        done.extend(whose.into_iter().zip(outcomes).map(|(whose, outcome)| Done::Finish(whose, outcome)));
    }

    fn forget(&mut self, whose: Whose) {
        let Errands { reads, hashes, forgotten, .. } = self;
        let before = reads.len() + hashes.len();
        reads.retain(|(of, _)| *of != whose);
        hashes.retain(|hashing| hashing.whose != whose);
        forgotten.extend(std::iter::repeat_n(whose, before - reads.len() - hashes.len()));
    }
}

impl Part {
    fn read(&self) -> io::Result<Vec<u8>> {
        self.check()?;
        let mut bytes = vec![0; self.len as usize];
        self.handle.read_exact_at(&mut bytes, self.offset)?;
        Ok(bytes)
    }

    /// No file is so long that the kernel could not count its bytes.
    fn check(&self) -> io::Result<()> {
        match self.offset.checked_add(self.len) {
            Some(end) if i64::try_from(end).is_ok() => Ok(()),
            _ => Err(ErrorKind::UnexpectedEof.into()),
        }
    }
}

impl Hashing {
    /// Hashes the next slice; the last one gives the hash.
    fn go_on(&mut self, buffer: &mut [u8]) -> io::Result<Option<blake3::Hash>> {
        self.part.check()?;
        let slice_end = self.part.len.min(self.hashed_bytes + HASH_SLICE_BYTES);
        while self.hashed_bytes < slice_end {
            let wanted = buffer.len().min((slice_end - self.hashed_bytes) as usize);
            let piece = &mut buffer[..wanted];
            self.part.handle.read_exact_at(piece, self.part.offset + self.hashed_bytes)?;
            self.hasher.update(piece);
            self.hashed_bytes += wanted as u64;
        }
        Ok((slice_end == self.part.len).then(|| self.hasher.finalize()))
    }
}

#[cfg(test)]
mod tests;
