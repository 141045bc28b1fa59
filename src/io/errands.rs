//! What the helper has to do, and whose turn it is: in one turn everything that waits to be
//! begun with or to be finished, a slice of one hash, and one password; between two such turns all that waits to be read,
//! for a read is quick and somebody's link is idle until it is done. Knows no thread and no loop.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Arc, Weak};

use log::debug;

use crate::io::disk::Handle;
use crate::io::finish::{Finish, Outcome, finish_all, start_writeback};
use crate::io::room::reserve;
use crate::io::store::checkpoint;
use crate::proto::accounts::{Salt, derive_key};
use crate::proto::ids::FileId;
use crate::proto::limits::{FINISH_BATCH_MAX, HASH_SLICE_BYTES};
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
    /// So many bytes will be written to it: the disk should set room aside.
    Reserve(Whose, Weak<Handle>, u64),
    /// The machine has released the file: nobody wants to know any more what is in it.
    Forget(Whose),
    /// A password of a machine is to be hashed.
    Derive(usize, Derivation),
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

/// Something that is done; there is one for each job, except for those to begin, to move a log, and to forget.
#[derive(Debug)]
pub(super) enum Done {
    Finish(Whose, Outcome),
    /// With the offset, here and below.
    Read(Whose, u64, io::Result<Vec<u8>>),
    Hash(Whose, u64, io::Result<blake3::Hash>),
    Forgotten(Whose),
    /// Or not, if that cannot be.
    Reserved(Whose),
    /// With the number of the job.
    Derived(usize, u64, Secret<[u8; 32]>),
}

/// All that waits.
#[derive(Default)]
pub(super) struct Errands {
    starts: Vec<Weak<Handle>>,
    checkpoints: Vec<PathBuf>,
    reserves: Vec<(Whose, Weak<Handle>, u64)>,
    finishes: VecDeque<(Whose, Finish)>,
    reads: Vec<(Whose, Part)>,
    /// The last turn was one of reads.
    has_read: bool,
    hashes: VecDeque<Hashing>,
    derivations: VecDeque<(usize, Derivation)>,
    forgotten: Vec<Whose>,
    /// What is hashed goes through here.
    buffer: Vec<u8>,
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
        !matches!(self, Job::Start(_) | Job::Checkpoint(_) | Job::Forget(_))
    }
}

impl Errands {
    pub(super) fn is_empty(&self) -> bool {
        let Errands {
            starts, checkpoints, reserves, finishes, reads, hashes, derivations, forgotten, ..
        } = self;
        starts.is_empty()
            && checkpoints.is_empty()
            && reserves.is_empty()
            && finishes.is_empty()
            && reads.is_empty()
            && hashes.is_empty()
            && derivations.is_empty()
            && forgotten.is_empty()
    }

    pub(super) fn add(&mut self, job: Job) {
        match job {
            Job::Finish(whose, finish) => self.finishes.push_back((whose, finish)),
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
            Job::Reserve(whose, handle, bytes) => self.reserves.push((whose, handle, bytes)),
            Job::Forget(whose) => self.forget(whose),
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
        self.reserve(&mut done);
        self.has_read = !self.reads.is_empty() && !self.has_read;
        if self.has_read {
            let read = |(whose, part): (Whose, Part)| Done::Read(whose, part.offset, part.read());
            done.extend(self.reads.drain(..).map(read));
            return done;
        }
        self.finish(&mut done);
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
        done
    }

    fn reserve(&mut self, done: &mut Vec<Done>) {
        for (whose, handle, bytes) in self.reserves.drain(..) {
            if let Some(Err(error)) = handle.upgrade().map(|file| reserve(&file, bytes)) {
                debug!("room not set aside bytes={bytes} error=\"{error}\"");
            }
            done.push(Done::Reserved(whose));
        }
    }

    /// Everything that waits, in one go. With the files their locks go, before anybody hears of it:
    /// whoever does may open the same name.
    fn finish(&mut self, done: &mut Vec<Done>) {
        if self.finishes.is_empty() {
            return;
        }
        let count = self.finishes.len().min(FINISH_BATCH_MAX);
        let (whose, files): (Vec<Whose>, Vec<Finish>) = self.finishes.drain(..count).unzip();
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
mod tests {
    use super::*;
    use crate::proto::limits::SWEEP_FILES_MIN;

    const A: Whose = (0, FileId(1));
    const B: Whose = (0, FileId(2));

    fn part(bytes: &[u8], offset: u64, len: u64) -> Part {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(bytes, 0).unwrap();
        Part { handle: Arc::new(Handle::from(file)), offset, len }
    }

    fn finish(dir: &tempfile::TempDir, name: u32) -> Finish {
        let path = dir.path().join(name.to_string());
        let file = std::fs::File::create(&path).unwrap();
        let (handle, root) = (Arc::new(Handle::from(file)), Arc::from(dir.path()));
        Finish { handle, root, path, is_partial: false, aside: "old".to_owned(), folder_is_new: true }
    }

    /// What is done, turn by turn, in short.
    fn run(errands: &mut Errands) -> Vec<String> {
        let mut turns = Vec::new();
        while !errands.is_empty() {
            let words = errands.turn().into_iter().map(|done| match done {
                Done::Finish((_, file), outcome) => format!("finish{}{}", file.0, mark(&outcome.result)),
                Done::Read((_, file), offset, result) => format!("read{}@{offset}{}", file.0, mark(&result)),
                Done::Hash((_, file), offset, result) => format!("hash{}@{offset}{}", file.0, mark(&result)),
                Done::Forgotten((_, file)) => format!("forgot{}", file.0),
                Done::Derived(machine, job, _) => format!("derived{machine}@{job}"),
                Done::Reserved((_, file)) => format!("reserved{}", file.0),
            });
            turns.push(words.collect::<Vec<_>>().join(" "));
        }
        turns
    }

    fn mark<T>(result: &io::Result<T>) -> String {
        result.as_ref().err().map_or(String::new(), |error| format!("!{:?}", error.kind()))
    }

    #[test]
    fn a_finish_and_a_read_wait_for_a_slice_of_a_hash_only() {
        let dir = tempfile::tempdir().unwrap();
        let long = vec![7; 2 * HASH_SLICE_BYTES as usize + 1];
        let mut errands = Errands::default();
        errands.add(Job::Hash(A, part(&long, 0, long.len() as u64)));
        errands.add(Job::Hash(B, part(&long, 5, 10)));
        assert!(errands.turn().is_empty());
        errands.add(Job::Read(B, part(b"bytes", 1, 3)));
        errands.add(Job::Read(B, part(b"bytes", 2, 3)));
        for file in 0..SWEEP_FILES_MIN as u32 {
            errands.add(Job::Finish((0, FileId(file)), finish(&dir, file)));
        }
        let finishes: String = (0..SWEEP_FILES_MIN).map(|file| format!("finish{file} ")).collect();
        let turns = ["read2@1 read2@2", finishes.trim(), "hash1@0", "hash2@5"];
        assert_eq!(run(&mut errands), turns);
    }

    #[test]
    fn hashes_and_reads_are_those_of_their_range() {
        let bytes: Vec<u8> = (0..HASH_SLICE_BYTES as usize + 999).map(|place| (place % 251) as u8).collect();
        let mut errands = Errands::default();
        let len = bytes.len() as u64 - 7;
        errands.add(Job::Hash(A, part(&bytes, 7, len)));
        errands.add(Job::Read(B, part(&bytes, 100, 500)));
        let mut done = errands.turn();
        done.extend(errands.turn());
        done.extend(errands.turn());
        let [Done::Read(_, 100, Ok(read)), Done::Hash(_, 7, Ok(hash))] = &done[..] else {
            panic!("{done:?}")
        };
        assert_eq!((&read[..], *hash), (&bytes[100..600], blake3::hash(&bytes[7..])));
    }

    #[test]
    fn a_range_beyond_the_end_is_an_error() {
        let mut errands = Errands::default();
        for (offset, len) in [(0, 6), (3, 3), (5, 1), (u64::MAX, 1), (1 << 63, 0), (1, u64::MAX >> 1)] {
            errands.add(Job::Hash(A, part(b"bytes", offset, len)));
            if len < 10 {
                errands.add(Job::Read(A, part(b"bytes", offset, len)));
            }
        }
        errands.add(Job::Hash(A, part(b"", 0, 0)));
        let words = run(&mut errands).join(" ");
        assert_eq!(words.matches("!UnexpectedEof").count(), 11, "{words}");
        assert!(words.ends_with(" hash1@0"), "{words}");
    }

    #[test]
    fn a_file_is_begun_with_once_a_turn_and_not_kept_open_for_it() {
        let handle = Arc::new(Handle::from(tempfile::tempfile().unwrap()));
        let mut errands = Errands::default();
        for _ in 0..3 {
            errands.add(Job::Start(Arc::downgrade(&handle)));
        }
        assert_eq!((errands.starts.len(), Arc::strong_count(&handle)), (1, 1));
        assert!(!errands.is_empty() && errands.turn().is_empty());
        assert!(errands.is_empty());
    }

    #[test]
    fn what_is_forgotten_is_not_done() {
        let mut errands = Errands::default();
        for whose in [A, B, A] {
            errands.add(Job::Hash(whose, part(b"bytes", 0, 5)));
            errands.add(Job::Read(whose, part(b"bytes", 0, 5)));
        }
        errands.add(Job::Forget(A));
        assert_eq!(run(&mut errands), ["forgot1 forgot1 forgot1 forgot1 read2@0", "hash2@0"]);
    }

    #[test]
    fn reads_that_never_end_keep_nothing_waiting() {
        let dir = tempfile::tempdir().unwrap();
        let mut errands = Errands::default();
        errands.add(Job::Finish(A, finish(&dir, 1)));
        let mut turns = Vec::new();
        for _ in 0..3 {
            errands.add(Job::Read(B, part(b"bytes", 1, 3)));
            turns.extend(errands.turn().into_iter().map(|done| matches!(done, Done::Finish(..))));
        }
        assert_eq!(turns, [false, true, false, false], "a read, the finish, and the reads since");
    }
}
