//! A file that is being fetched from several sources at once: which of its chunks are needed, asked
//! for, stored, whom to ask for which one next, and why anything was asked for twice. Knows no links
//! and moves no bytes; [`Incoming`](crate::proto::swarm::Incoming) checks those.
//!
//! The caller asks for as much as it wants to have in flight ([`Picker::ask`]) whenever something has
//! changed, and says what became of it: [`Picker::begin`], then [`Picker::on_octets`] as they come,
//! then one of [`Picker::on_stored`], [`Picker::on_wrong`] and [`Picker::on_thrown_away`].

mod accounts;
mod asking;
mod coming;
mod order;
mod rarity;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::proto::limits::{ASKERS_MAX, CHUNK_PATIENCE};
use crate::proto::swarm::picker::order::Random;
use crate::proto::swarm::picker::rarity::Rarity;
use crate::proto::swarm::{ChunkSet, ChunkSetError};
use crate::proto::time::Mono;

pub use accounts::Accounts;
use accounts::Again;
pub use order::Slice;

/// Another member as a source of one file: a small number that the caller chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SourceId(pub u32);

/// What to do with the bytes of a chunk that is announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// Write them, as long as [`Picker::is_written`] says so.
    Write,
    /// Read and forget them: the chunk is here, or a better source is bringing it.
    ThrowAway,
}

/// How far a file has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Chunks that are verified and stored.
    pub stored: u64,
    /// Chunks of the file.
    pub chunks: u64,
    /// Sources at hand.
    pub sources: usize,
}

/// One file being fetched. Each chunk is either needed, or asked for, or stored.
#[derive(Debug)]
pub struct Picker {
    slice: Slice,
    random: Random,
    /// Where it begins as long as it knows of no other receiver: not where those begin that know of none.
    start: u64,
    stored: ChunkSet,
    rarity: Rarity,
    /// What befell the last request for each chunk; `None` if it has never been asked for.
    again: Vec<Option<Again>>,
    /// Chunks that somebody was asked for.
    requests: BTreeMap<u64, Vec<Request>>,
    sources: BTreeMap<SourceId, Source>,
    /// How long a chunk takes from being asked for to being stored, smoothed.
    typical_ns: Option<u64>,
    /// When a receiver last said that it holds something needed that no other held.
    news_at: Mono,
    accounts: Accounts,
}

/// A chunk that a source was asked for.
#[derive(Clone, Copy, Debug)]
struct Request {
    source: SourceId,
    asked_at: Mono,
    /// What the source had to bring then, this one included.
    in_line: u64,
    /// The source went silent: others may be asked instead, and it may still come.
    lapsed: bool,
    /// What comes of it is written; at most one of a chunk is.
    written: bool,
}

#[derive(Debug)]
struct Source {
    /// What it holds.
    held: ChunkSet,
    /// It held everything when it came: it is a source, and no receiver.
    origin: bool,
    /// What it lied about; it is not asked for that again.
    barred: Vec<u64>,
    /// What it was asked for and has not answered.
    asked: Vec<u64>,
    /// What it was asked for, and is not needed from it any more. It may come all the same.
    cancelled: ChunkSet,
    /// When it last brought something, or was first asked since.
    heard: Mono,
    /// How long it takes for a chunk, smoothed.
    pace_ns: Option<u64>,
    /// It let its requests lapse, and is asked for nothing until something comes.
    silent: bool,
}

impl Picker {
    /// Nothing is there yet. Receivers with different slices, or at least seeds, get in each other's
    /// way the least.
    pub fn new(chunks: u64, slice: Slice, seed: u64) -> Picker {
        let mut random = Random(seed);
        Picker {
            slice,
            start: random.next() % chunks.max(1),
            random,
            stored: ChunkSet::new(chunks),
            rarity: Rarity::new(chunks),
            again: vec![None; chunks as usize],
            requests: BTreeMap::new(),
            sources: BTreeMap::new(),
            typical_ns: None,
            news_at: Mono(0),
            accounts: Accounts::default(),
        }
    }

    /// Receivers came or went: this one has another slice now.
    pub fn set_slice(&mut self, slice: Slice) {
        self.slice = slice;
    }

    /// A chunk is there already, from an earlier attempt.
    pub fn mark_stored(&mut self, chunk: u64) {
        assert!(!self.requests.contains_key(&chunk), "said before anything is asked for");
        self.stored.insert(chunk);
        self.rarity.set_needed(chunk, false);
    }

    // --- Sources --------------------------------------------------------------------------------

    /// A source is at hand, and holds these chunks. One of that number from before is forgotten.
    ///
    /// # Panics
    /// If it is the set of another file.
    pub fn add_source(&mut self, source: SourceId, held: &ChunkSet, now: Mono) {
        assert_eq!(held.chunks(), self.stored.chunks(), "a set of this file");
        self.remove_source(source);
        let is_news =
            !held.is_full() && held.iter().fold(false, |is_news, chunk| self.rarity.gain(chunk) | is_news);
        if is_news || self.sources.is_empty() {
            self.news_at = now;
        }
        let newcomer = Source {
            held: held.clone(),
            origin: held.is_full(),
            barred: Vec::new(),
            asked: Vec::new(),
            cancelled: ChunkSet::new(held.chunks()),
            heard: now,
            pace_ns: None,
            silent: false,
        };
        self.sources.insert(source, newcomer);
    }

    /// A source holds the chunks from `first` to `last`, too. Returns how many of these are news: a
    /// source that says again and again what is none costs time.
    ///
    /// # Errors
    /// If that is no range of chunks of the file. The source is at fault.
    pub fn on_have(
        &mut self,
        source: SourceId,
        (first, last): (u64, u64),
        now: Mono,
    ) -> Result<u64, ChunkSetError> {
        let chunks = self.stored.chunks();
        if first > last || last >= chunks {
            return Err(ChunkSetError::Range(first, last, chunks));
        }
        let Some(holder) = self.sources.get_mut(&source) else { return Ok(0) };
        let before = holder.held.count();
        for chunk in first..=last {
            if !holder.barred.contains(&chunk)
                && holder.held.insert(chunk)
                && !holder.origin
                && self.rarity.gain(chunk)
            {
                self.news_at = now;
            }
        }
        Ok(holder.held.count() - before)
    }

    /// A source is gone; what it was asked for is needed again.
    pub fn remove_source(&mut self, source: SourceId) {
        let Some(gone) = self.sources.remove(&source) else { return };
        if !gone.origin {
            gone.held.iter().for_each(|chunk| self.rarity.lose(chunk));
        }
        for chunk in gone.asked {
            self.drop_request(source, chunk, Some(Again::Broken));
        }
    }

    /// Whether a source held everything when it came.
    pub fn is_origin(&self, source: SourceId) -> bool {
        self.sources.get(&source).is_some_and(|source| source.origin)
    }

    /// Whether a source is known to hold a chunk.
    pub fn holds(&self, source: SourceId, chunk: u64) -> bool {
        self.sources.get(&source).is_some_and(|source| source.held.contains(chunk))
    }

    /// Somebody was asked for something, and may bring it.
    pub fn is_busy(&self) -> bool {
        !self.requests.is_empty()
    }

    /// Chunks that a source was asked for and has not brought.
    pub fn in_flight(&self, source: SourceId) -> usize {
        self.sources.get(&source).map_or(0, |source| source.asked.len())
    }

    /// Sources that were asked for something and have brought nothing for [`CHUNK_PATIENCE`]: others
    /// may now be asked instead, and these are asked for nothing more until something comes.
    pub fn lapse(&mut self, now: Mono) -> Vec<SourceId> {
        let mut silent = Vec::new();
        for (id, source) in &mut self.sources {
            if source.patience_ends().is_some_and(|end| end <= now) {
                source.silent = true;
                silent.push(*id);
            }
        }
        for id in &silent {
            for chunk in self.sources[id].asked.clone() {
                let requests = self.requests.get_mut(&chunk).into_iter().flatten();
                requests.filter(|request| request.source == *id).for_each(|request| request.lapsed = true);
                self.again[chunk as usize] = Some(Again::Silent);
                self.settle(chunk);
            }
        }
        silent
    }

    /// When [`Picker::lapse`] may have something to do.
    pub fn lapse_at(&self) -> Option<Mono> {
        self.sources.values().filter_map(Source::patience_ends).min()
    }

    // --- How far it is ----------------------------------------------------------------------------

    /// The chunks that are stored: what this receiver holds for others.
    pub fn stored(&self) -> &ChunkSet {
        &self.stored
    }

    /// Every chunk is stored.
    pub fn is_whole(&self) -> bool {
        self.stored.is_full()
    }

    /// How far the file has come.
    pub fn progress(&self) -> Progress {
        let (stored, chunks) = (self.stored.count(), self.stored.chunks());
        Progress { stored, chunks, sources: self.sources.len() }
    }

    /// What was asked for, and why more than once.
    pub fn accounts(&self) -> Accounts {
        self.accounts
    }

    /// Panics if a chunk is in no state or in two, a count is wrong, or a request belongs to nobody.
    pub fn check_invariants(&self) {
        let mut requested = 0;
        for chunk in 0..self.stored.chunks() {
            let stored = self.stored.contains(chunk);
            let requests = self.requests.get(&chunk).map_or(&[][..], Vec::as_slice);
            let active = requests.iter().filter(|request| !request.lapsed).count();
            let states = [self.rarity.is_needed(chunk), active > 0, stored];
            assert_eq!(states.iter().filter(|state| **state).count(), 1, "chunk {chunk}: {states:?}");
            assert!(active <= ASKERS_MAX && (!stored || requests.is_empty()));
            assert!(requests.iter().filter(|request| request.written).count() <= 1);
            requested += requests.len();
            for request in requests {
                let source = &self.sources[&request.source];
                assert_eq!(source.asked.iter().filter(|asked| **asked == chunk).count(), 1);
                assert!(active > 0 || source.silent, "needed, and about to be asked for twice");
            }
        }
        assert!(self.requests.values().all(|requests| !requests.is_empty()));
        assert_eq!(requested, self.sources.values().map(|source| source.asked.len()).sum::<usize>());
        let first = self.again.iter().filter(|again| again.is_some()).count() as u64;
        assert_eq!(self.accounts.asked, first + self.accounts.repeated());
        let receivers = || self.sources.values().filter(|source| !source.origin);
        let holds = |chunk| receivers().filter(|source| source.held.contains(chunk)).count() as u32;
        self.rarity.check_invariants(holds);
    }
}

impl Source {
    /// When it will have been silent for too long.
    fn patience_ends(&self) -> Option<Mono> {
        (!self.silent && !self.asked.is_empty()).then(|| self.heard + CHUNK_PATIENCE)
    }
}
