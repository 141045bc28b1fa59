//! One file of the catalog: what it consists of, and each member's part in it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use crate::proto::ids::Name;
use crate::proto::limits::{REPORTS_MAX, SOURCES_MAX};
use crate::proto::server::directory::{Refusal, refuse};
use crate::proto::swarm::{ChunkSet, Manifest};
use crate::proto::wire::ErrorCode;

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) group: Name,
    pub(super) manifest: Manifest,
    pub(super) parts: BTreeMap<Name, Part>,
}

/// One member's part in a file.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) held: ChunkSet,
    pub(super) online: bool,
    /// Others can dial it.
    pub(super) dialable: bool,
    /// It has been told of the others over its present link, and they of it.
    pub(super) introduced: bool,
    more: Option<Box<More>>,
}

/// What few parts have.
#[derive(Debug, Default)]
struct More {
    /// The last member of a list that was too long; the next list begins behind it.
    cursor: Option<Name>,
    /// Members whose chunks failed their hashes.
    reported: BTreeSet<Name>,
}

/// The memory of a file without its parts: an estimate, in bytes.
pub(super) fn file_bytes(chunks: u64) -> usize {
    512 + 32 * chunks as usize
}

/// The memory of a part: an estimate, in bytes.
pub(super) fn part_bytes(chunks: u64) -> usize {
    160 + chunks.div_ceil(8) as usize
}

/// The memory of one report: an estimate, in bytes.
const REPORT_BYTES: usize = 64;

impl Part {
    /// Has a chunk, or every one of none.
    pub(super) fn holds_some(&self) -> bool {
        self.held.count() > 0 || self.held.is_full()
    }

    fn has_reported(&self, other: &Name) -> bool {
        self.more.as_ref().is_some_and(|more| more.reported.contains(other))
    }

    /// Whether the two are of use to each other.
    fn suits(&self, other: &Part) -> bool {
        let both_full = self.held.is_full() && other.held.is_full();
        other.online && !both_full && (self.dialable || other.dialable)
    }
}

impl Entry {
    pub(super) fn new(group: Name, manifest: Manifest) -> Entry {
        Entry { group, manifest, parts: BTreeMap::new() }
    }

    pub(super) fn bytes(&self) -> usize {
        let chunks = self.manifest.chunks();
        let parts = self.parts.keys().map(|id| part_bytes(chunks) + self.reports_bytes(id));
        file_bytes(chunks) + parts.sum::<usize>()
    }

    pub(super) fn reports_bytes(&self, id: &Name) -> usize {
        let more = self.parts.get(id).and_then(|part| part.more.as_ref());
        more.map_or(0, |more| more.reported.len()) * REPORT_BYTES
    }

    pub(super) fn holders(&self) -> impl Iterator<Item = (&Name, &Part)> {
        self.parts.iter().filter(|(_, part)| part.holds_some())
    }

    pub(super) fn add_part(&mut self, id: Name, dialable: bool) {
        let held = ChunkSet::new(self.manifest.chunks());
        self.parts.insert(id, Part { held, online: true, dialable, introduced: false, more: None });
    }

    /// A name binds while somebody else holds a chunk of its file. Those in `apart` are not named.
    pub(super) fn check_replace(&self, id: &Name, apart: &BTreeSet<Name>) -> Result<(), Refusal> {
        let others = || self.holders().filter(|(other, _)| *other != id);
        if others().next().is_none() {
            return Ok(());
        }
        let named = || others().filter(|(other, _)| !apart.contains(other));
        let holder = match named().find(|(_, part)| part.online).or_else(|| named().next()) {
            Some((other, part)) if part.online => format!("{other} holds it"),
            Some((other, _)) => format!("{other} holds it, who is offline"),
            None => "somebody holds it".to_owned(),
        };
        let text = format!("another file is called {} already; {holder}", self.manifest.file());
        refuse(ErrorCode::FileDiffers, text)
    }

    pub(super) fn have(&mut self, id: &Name, first: u64, last: u64) -> Result<bool, Refusal> {
        let (file, chunks) = (self.manifest.file(), self.manifest.chunks());
        let Some(part) = self.parts.get_mut(id) else {
            return refuse(ErrorCode::OutOfPlace, format!("say DOWNLOAD {file} or REGISTER it first"));
        };
        let was_full = part.held.is_full();
        if part.held.insert_range(first, last).is_err() {
            let text = format!("{first} to {last} are no chunks of {file}, which has {chunks}");
            return refuse(ErrorCode::UnknownChunk, text);
        }
        Ok(part.held.is_full() && !was_full)
    }

    pub(super) fn report(&mut self, id: &Name, of: &Name, chunk: u64) -> Result<bool, Refusal> {
        let (file, chunks) = (self.manifest.file(), self.manifest.chunks());
        let is_source = of != id && self.parts.contains_key(of);
        if chunk >= chunks {
            return refuse(ErrorCode::UnknownChunk, format!("{file} has {chunks} chunks"));
        }
        let Some(part) = self.parts.get_mut(id) else {
            return refuse(ErrorCode::OutOfPlace, format!("say DOWNLOAD {file} first"));
        };
        if !is_source {
            return refuse(ErrorCode::UnknownMember, format!("{of} is no source of {file} for you"));
        }
        let more = part.more.get_or_insert_default();
        if more.reported.len() >= REPORTS_MAX && !more.reported.contains(of) {
            let text = format!("{REPORTS_MAX} members are reported already; look for the fault at home");
            return refuse(ErrorCode::LimitReached, text);
        }
        Ok(more.reported.insert(*of))
    }

    /// Those of use to a member, at most [`SOURCES_MAX`], whole ones first if there are more, and
    /// asked again the next ones; and whether they are to be told of it, too. Nobody in `apart` is among them.
    pub(super) fn introduce(&mut self, id: &Name, apart: &BTreeSet<Name>) -> (Vec<Name>, bool) {
        let Some(own) = self.parts.get(id) else { return (Vec::new(), false) };
        let cursor = own.more.as_ref().and_then(|more| more.cursor).unwrap_or(*id);
        let suits = |(other, part): &(&Name, &Part)| {
            *other != id && own.suits(part) && !own.has_reported(other) && !apart.contains(*other)
        };
        let behind = self.parts.range((Bound::Excluded(cursor), Bound::Unbounded));
        let before = self.parts.range(..=cursor);
        let round: Vec<(&Name, &Part)> = behind.chain(before).filter(suits).collect();
        let is_long = round.len() > SOURCES_MAX;
        let is_news = is_long || !own.introduced;
        let mut others: Vec<Name> = Vec::new();
        if is_long {
            let whole = round.iter().filter(|(_, part)| part.held.is_full()).map(|(other, _)| **other);
            others.extend(whole.take(SOURCES_MAX / 2));
        }
        let first: BTreeSet<Name> = others.iter().copied().collect();
        others.extend(round.iter().map(|(other, _)| **other).filter(|other| !first.contains(other)));
        others.truncate(SOURCES_MAX);
        let cursor = others.last().copied();
        others.sort_unstable();
        let own = self.parts.get_mut(id).expect("it takes part");
        own.introduced = true;
        if is_long {
            own.more.get_or_insert_default().cursor = cursor;
        }
        (others, is_news)
    }

    pub(super) fn check_invariants(&self) {
        self.parts.values().for_each(|part| part.held.check_invariants());
        assert!(self.parts.values().all(|part| part.held.chunks() == self.manifest.chunks()));
    }
}
