//! The files of one member: what it has, what it gets, and how far each has come. Holds the facts;
//! `fetch` and `serve` act on them.

use std::collections::BTreeMap;

use crate::proto::ids::{FileId, FileName};
use crate::proto::machine::Os;
use crate::proto::peer::check::Check;
use crate::proto::peer::common::{Common, FileFor};
use crate::proto::peer::offer::Trouble;
use crate::proto::swarm::{Accounts, ChunkSet, Fit, Manifest, Picker};
use crate::proto::time::Mono;

/// The place of a file in its member's library.
pub(super) type ItemId = u32;

/// Every file that this member has or wants, each at a fixed place.
#[derive(Debug, Default)]
pub(super) struct Library {
    items: Vec<Item>,
    places: BTreeMap<FileName, ItemId>,
    /// Places of files that nobody asks for any more.
    free: Vec<ItemId>,
}

/// One file.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) name: FileName,
    /// What it consists of, once somebody who must know has said so.
    pub(super) manifest: Option<Manifest>,
    pub(super) state: State,
    /// The member whose record it is, if it is one of another member.
    pub(super) owner: Option<u32>,
    /// Others that want to hear of chunks that come to be held here.
    pub(super) watchers: Vec<u32>,
    /// When a file that the disk refused is tried again.
    pub(super) next_try: Mono,
    /// Chunks that have come to be held here, and that the server has not been told of.
    pub(super) unreported: Vec<u64>,
    /// The server has taken it into its catalog as ours.
    pub(super) is_registered: bool,
    /// What the server knows of our part in it, as far as we have told it.
    pub(super) told: Told,
    /// How often in a row the server had no room for it.
    pub(super) registers_refused: u32,
    /// Bytes of chunks that came from others and were right.
    pub(super) fetched_bytes: u64,
    /// Bytes of chunks that came and were wrong, or not needed any more.
    pub(super) wasted_bytes: u64,
    /// Bytes of chunks that were sent to others.
    pub(super) served_bytes: u64,
    /// Octets in which all of these came.
    pub(super) wire_bytes: u64,
    /// Whether packing it for others pays.
    pub(super) fit: Fit,
    /// What was asked for, and why more than once, in earlier attempts.
    former: Accounts,
    /// Chunks whose hashes were right when it was looked at last; the disk need not do that again.
    pub(super) verified: Option<ChunkSet>,
    /// How often the disk refused it, and it was begun anew.
    pub(super) refusals: u64,
    /// Why it is not offered, or not any more.
    pub(super) trouble: Option<Trouble>,
}

/// What the server knows of our part in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// Nothing, or that it is over.
    Nothing,
    /// That we take part; it has not answered.
    Said,
    /// The same, and it has answered.
    Taken,
}

/// How far a file has come.
#[derive(Debug)]
pub(super) enum State {
    /// Nothing of it is open.
    Wanted,
    /// What is on the disk already is being hashed.
    Checking { file: FileId, check: Check },
    /// Chunks come in.
    Fetching { file: FileId, picker: Box<Picker> },
    /// Every chunk is verified; the disk syncs.
    Storing { file: FileId },
    /// All of it is here; served while it is open.
    Whole { file: Option<FileId> },
}

impl Item {
    fn new(name: FileName, owner: Option<u32>) -> Item {
        Item {
            name,
            manifest: None,
            state: State::Wanted,
            owner,
            watchers: Vec::new(),
            next_try: Mono(0),
            unreported: Vec::new(),
            is_registered: false,
            told: Told::Nothing,
            registers_refused: 0,
            fetched_bytes: 0,
            wasted_bytes: 0,
            served_bytes: 0,
            wire_bytes: 0,
            fit: Fit::default(),
            former: Accounts::default(),
            verified: None,
            refusals: 0,
            trouble: None,
        }
    }

    pub(super) fn is_whole(&self) -> bool {
        matches!(self.state, State::Whole { .. })
    }

    pub(super) fn picker(&self) -> Option<&Picker> {
        match &self.state {
            State::Fetching { picker, .. } => Some(picker),
            _ => None,
        }
    }

    pub(super) fn picker_mut(&mut self) -> Option<&mut Picker> {
        match &mut self.state {
            State::Fetching { picker, .. } => Some(picker),
            _ => None,
        }
    }

    /// Comes to another state; what was asked for until now stays counted.
    pub(super) fn turn(&mut self, state: State) {
        self.former = self.accounts();
        self.state = state;
    }

    /// What was asked for, and why more than once.
    pub(super) fn accounts(&self) -> Accounts {
        let mut accounts = self.former;
        accounts += self.picker().map_or_else(Accounts::default, Picker::accounts);
        accounts
    }

    /// What a chunk of it hashes to.
    pub(super) fn hash(&self, chunk: u64) -> Option<&blake3::Hash> {
        self.manifest.as_ref()?.hash(chunk)
    }

    /// The open file to serve a chunk from, if that chunk is held.
    pub(super) fn source_of(&self, chunk: u64) -> Option<FileId> {
        match &self.state {
            State::Whole { file } => *file,
            State::Storing { file } => Some(*file),
            State::Fetching { file, picker } => picker.stored().contains(chunk).then_some(*file),
            State::Wanted | State::Checking { .. } => None,
        }
    }

    /// Lets go of the open file; what is whole stays so.
    pub(super) fn close(&mut self, common: &mut Common, os: &mut dyn Os) {
        let Some(file) = self.file() else { return };
        // The files of our own run are closed with it.
        if let Some(FileFor::Item { .. }) = common.files.get(&file) {
            common.release(file, os);
        }
        self.turn(if self.is_whole() { State::Whole { file: None } } else { State::Wanted });
    }

    pub(super) fn file(&self) -> Option<FileId> {
        match self.state {
            State::Wanted => None,
            State::Checking { file, .. } | State::Fetching { file, .. } | State::Storing { file } => {
                Some(file)
            }
            State::Whole { file } => file,
        }
    }
}

impl Library {
    /// A file that is not here yet; returns its place, the same for the same name.
    pub(super) fn expect(&mut self, name: FileName, owner: Option<u32>) -> ItemId {
        if let Some(place) = self.places.get(name.as_str()) {
            return *place;
        }
        let item = Item::new(name.clone(), owner);
        let place = match self.free.pop() {
            Some(place) => {
                self.items[place as usize] = item;
                place
            }
            None => {
                self.items.push(item);
                self.items.len() as ItemId - 1
            }
        };
        self.places.insert(name, place);
        place
    }

    /// A file that is whole and closed, and that nobody will ask for: its place is for another.
    pub(super) fn retire(&mut self, place: ItemId) {
        let retired = self.at(place);
        if retired.file().is_none() {
            let name = retired.name.clone();
            self.places.remove(&name);
            self.free.push(place);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Item> {
        self.items.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Item> {
        self.items.iter_mut()
    }

    pub(super) fn at(&self, place: ItemId) -> &Item {
        &self.items[place as usize]
    }

    pub(super) fn at_mut(&mut self, place: ItemId) -> &mut Item {
        &mut self.items[place as usize]
    }

    pub(super) fn find(&self, name: &str) -> Option<ItemId> {
        self.places.get(name).copied()
    }

    pub(super) fn check_invariants(&self, common: &Common) {
        for item in &self.items {
            if let Some(picker) = item.picker() {
                picker.check_invariants();
            }
            if let Some(file) = item.file() {
                assert!(common.files.contains_key(&file), "an open file belongs to somebody");
            }
        }
    }
}
