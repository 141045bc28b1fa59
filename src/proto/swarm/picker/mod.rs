//! A file that is being fetched from several sources at once: which of its chunks are needed, asked
//! for, stored, whom to ask for which one next, and why anything was asked for twice. Knows no links
//! and moves no bytes; [`Incoming`](crate::proto::swarm::Incoming) checks those.
//!
//! The caller asks for as much as it wants to have in flight ([`Picker::ask`]) whenever something has
//! changed, and says what became of it: [`Picker::begin`], then [`Picker::on_octets`] as they come,
//! then one of [`Picker::on_stored`], [`Picker::on_wrong`] and [`Picker::on_thrown_away`].

mod accounts;
mod coming;
mod order;
mod rarity;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::proto::limits::{ASKERS_MAX, CHUNK_PATIENCE, END_GAME_AGE_MIN, HELP_AGE_MAX};
use crate::proto::swarm::picker::order::Random;
use crate::proto::swarm::picker::rarity::Rarity;
use crate::proto::swarm::{ChunkSet, ChunkSetError};
use crate::proto::time::{Mono, SECOND_NS, ns};

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

    // --- Asking ---------------------------------------------------------------------------------

    /// The next chunk to ask a source for, which now counts as asked for. `None` if nothing should be
    /// asked of it now: it holds nothing of use, so many requests are in flight, it has gone silent, or
    /// it is an origin that others need more.
    pub fn ask(&mut self, source: SourceId, in_flight_max: usize, now: Mono) -> Option<u64> {
        let asked = self.sources.get(&source)?;
        if asked.silent || asked.asked.len() >= in_flight_max {
            return None;
        }
        let draw = self.random.next();
        let chunk = if asked.origin {
            self.pick_of_origin(asked, in_flight_max, draw, now)
        } else {
            self.rarity.rarest(&asked.held, draw % self.stored.chunks().max(1))
        };
        let chunk = match chunk {
            Some(chunk) => {
                self.rarity.set_needed(chunk, false);
                match self.again[chunk as usize] {
                    Some(again) => self.accounts.count(again),
                    // Whatever ends this request says otherwise.
                    None => self.again[chunk as usize] = Some(Again::Broken),
                }
                chunk
            }
            None => {
                let chunk = self.end_game(source, now)?;
                self.accounts.count(Again::EndGame);
                chunk
            }
        };
        self.accounts.asked += 1;
        let asked = self.sources.get_mut(&source)?;
        let in_line = asked.asked.len() as u64 + 1;
        let request = Request { source, asked_at: now, in_line, lapsed: false, written: false };
        self.requests.entry(chunk).or_default().push(request);
        if asked.asked.is_empty() {
            asked.heard = now;
        }
        asked.asked.push(chunk);
        Some(chunk)
    }

    /// What to ask an origin for, in this order: the own slice, from the front; if receivers do not bring
    /// enough, what is left in the slices of others, and then what receivers hold as well.
    fn pick_of_origin(&self, origin: &Source, in_flight_max: usize, draw: u64, now: Mono) -> Option<u64> {
        let (fresh, chunks) = (self.rarity.fresh(), self.stored.chunks());
        let own = self.slice.range(chunks);
        let first = if own.end - own.start == chunks { self.start } else { own.start };
        let own = fresh
            .first_common(&origin.held, first..own.end)
            .or_else(|| fresh.first_common(&origin.held, own.start..first));
        if own.is_some() || self.receivers_do(origin) {
            return own;
        }
        let is_fresh = |chunk: &&u64| self.rarity.is_fresh(**chunk);
        let share = self.slice.share(in_flight_max);
        if origin.asked.iter().filter(is_fresh).count() < share
            && let Some(chunk) = self.help(origin, in_flight_max as u64, draw, now)
        {
            return Some(chunk);
        }
        self.rarity.rarest(&origin.held, draw % chunks.max(1))
    }

    /// Something of another's slice that its receiver will not come to soon: what comes next of it was asked
    /// for already. When receivers bring nothing new any more, that too.
    fn help(&self, origin: &Source, in_flight_max: u64, draw: u64, now: Mono) -> Option<u64> {
        let (fresh, chunks) = (self.rarity.fresh(), self.stored.chunks());
        let left = |slice: &Slice| fresh.count_common(&origin.held, slice.range(chunks));
        let mut helped = self.slice.others(draw).map(|slice| (slice, left(&slice)));
        let spare = helped.find(|(_, left)| *left > in_flight_max);
        if let Some((slice, left)) = spare {
            let skipped = in_flight_max + draw % (left - in_flight_max);
            return fresh.nth_common(&origin.held, slice.range(chunks), skipped);
        }
        let left = fresh.count_common(&origin.held, 0..chunks);
        (left > 0 && now.since_ns(self.news_at) >= self.age_min_ns().min(ns(HELP_AGE_MAX)))
            .then(|| fresh.nth_common(&origin.held, 0..chunks, draw % left))?
    }

    /// How old a request is, at least, before it is doubtful whether it will be answered soon.
    fn age_min_ns(&self) -> u64 {
        let typical_ns = self.typical_ns.unwrap_or(ns(CHUNK_PATIENCE));
        typical_ns.saturating_mul(2).max(ns(END_GAME_AGE_MIN))
    }

    /// Whether receivers hold something that is needed, and together bring half as much as this origin does,
    /// which answers the sooner the more it is spared: it may have to feed many.
    fn receivers_do(&self, origin: &Source) -> bool {
        let wanted = origin.rate().unwrap_or(1);
        let receivers = self.sources.values().filter(|source| !source.origin && !source.silent);
        let useful = receivers.filter(|source| self.rarity.rarest(&source.held, 0).is_some());
        useful.map(|source| source.rate().unwrap_or(wanted)).sum::<u64>().saturating_mul(2) >= wanted
    }

    /// Every needed chunk is asked for: the one that another source was asked for the longest ago, if
    /// it takes much longer than usual. A second request is often in vain.
    fn end_game(&self, source: SourceId, now: Mono) -> Option<u64> {
        let origins = self.sources.values().filter(|source| source.origin);
        if self.rarity.is_waiting(origins.map(|origin| &origin.held)) {
            return None;
        }
        let held = &self.sources.get(&source)?.held;
        let late = self.requests.iter().filter(|(chunk, requests)| {
            let active = requests.iter().filter(|request| !request.lapsed).count();
            active < ASKERS_MAX
                && held.contains(**chunk)
                && requests.iter().all(|request| request.source != source)
        });
        let asked_at = |requests: &[Request]| requests.iter().map(|request| request.asked_at).max();
        let aged = late.filter_map(|(chunk, requests)| Some((asked_at(requests)?, *chunk)));
        let (asked_at, chunk) = aged.min()?;
        (now.since_ns(asked_at) >= self.age_min_ns()).then_some(chunk)
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
    /// Chunks in a thousand seconds, if it has brought any.
    fn rate(&self) -> Option<u64> {
        self.pace_ns.map(|pace_ns| (1000 * SECOND_NS / pace_ns.max(1)).max(1))
    }

    /// When it will have been silent for too long.
    fn patience_ends(&self) -> Option<Mono> {
        (!self.silent && !self.asked.is_empty()).then(|| self.heard + CHUNK_PATIENCE)
    }
}
