//! How the files of a guest stand, for progress bars and programs. Formats nothing.

use std::time::Duration;

use blake3::Hash;
use serde::Serialize;

use crate::proto::peer::Peers;
use crate::proto::peer::guest::Holder;
use crate::proto::peer::library::{Item, ItemId, State};
use crate::proto::peer::member::Member;
use crate::proto::peer::offer::Trouble;
use crate::proto::swarm::{Accounts, Manifest};

/// How far a file has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FileState {
    /// Nobody has said what it consists of, or the disk has no room.
    Waiting,
    /// What lies on the disk is being hashed.
    Checking,
    /// Chunks come in.
    Fetching,
    /// Every chunk is verified; the disk syncs.
    Storing,
    /// All of it is here.
    Whole,
}

/// One file of a guest.
#[derive(Clone, Debug)]
pub struct FileStatus {
    /// What it is called.
    pub name: String,
    /// How far it has come.
    pub state: FileState,
    /// Its size, once that is known.
    pub bytes: Option<u64>,
    /// The hash of its size and of the hashes of its chunks, once known.
    pub root: Option<Hash>,
    /// Chunks that it has, or that are there to be hashed.
    pub chunks: u64,
    /// Of these, verified and here, or hashed.
    pub chunks_stored: u64,
    /// Bytes that are verified and here.
    pub bytes_stored: u64,
    /// Bytes that came from others and are right.
    pub bytes_fetched: u64,
    /// Bytes that came in vain: wrong, or a second time.
    pub bytes_wasted: u64,
    /// Octets in which all of these came: fewer, where chunks came packed.
    pub wire_bytes_fetched: u64,
    /// Bytes of its chunks that were sent to others. One that was begun counts, also if its link broke.
    pub bytes_sent: u64,
    /// What was asked for, and why more than once.
    pub accounts: Accounts,
    /// How often the disk refused it, and it was begun anew.
    pub refusals: u64,
    /// Members that it is being fetched from.
    pub sources: usize,
    /// The server has it in its catalog as ours.
    pub is_offered: bool,
    /// Why it is not offered, or not any more.
    pub trouble: Option<Trouble>,
}

impl Peers {
    /// The files of a guest: what it offers, then what it gets.
    pub fn files(&self) -> Vec<FileStatus> {
        self.members.first().map_or_else(Vec::new, Member::files)
    }

    /// How long it took a guest until what it gets was here; `None` before that.
    pub fn got_after(&self) -> Option<Duration> {
        let guest = self.members.first()?.guest.as_ref()?;
        let got_at = guest.wants.iter().map(|want| want.got_at).max()??;
        Some(got_at - self.common.started)
    }

    /// The server knows all of them.
    pub fn is_known(&self) -> bool {
        self.members.iter().all(|member| member.contact.joined().is_some())
    }

    /// A guest's answer to `find`: whether the file is available, and who holds some of it.
    pub fn found(&self) -> Option<(bool, &[Holder])> {
        let guest = self.members.first()?.guest.as_ref()?;
        Some((guest.available?, &guest.found))
    }

    /// Bytes of chunks that were sent to others, by all members together.
    pub fn served_bytes(&self) -> u64 {
        self.members.iter().map(|member| member.served_bytes).sum()
    }

    /// Octets in which they were sent: fewer, where chunks went packed.
    pub fn served_wire_bytes(&self) -> u64 {
        self.members.iter().map(|member| member.served_wire_bytes).sum()
    }

    /// Direct links that are open, of all members together.
    pub fn direct_links(&self) -> usize {
        self.members.iter().map(Member::direct_links).sum()
    }
}

impl Member {
    /// The files of a guest, in the order of its orders.
    pub(super) fn files(&self) -> Vec<FileStatus> {
        let Some(guest) = &self.guest else { return Vec::new() };
        if let Some(files) = &guest.left {
            return files.clone();
        }
        let mut items: Vec<ItemId> = guest.offered.iter().map(|offered| offered.item).collect();
        for item in guest.wants.iter().filter_map(|want| want.item) {
            if !items.contains(&item) {
                items.push(item);
            }
        }
        items.into_iter().map(|item| status(self.library.at(item))).collect()
    }
}

pub(super) fn status(item: &Item) -> FileStatus {
    let manifest = item.manifest.as_ref();
    let bytes = manifest.map(Manifest::bytes);
    let chunks = manifest.map_or(0, Manifest::chunks);
    let picker = item.picker();
    let (state, chunks, chunks_stored) = match &item.state {
        State::Wanted => (FileState::Waiting, chunks, 0),
        State::Checking { check, .. } => {
            let (hashed, there) = check.progress();
            (FileState::Checking, there, hashed)
        }
        State::Fetching { picker, .. } => (FileState::Fetching, chunks, picker.stored().count()),
        State::Storing { .. } => (FileState::Storing, chunks, chunks),
        State::Whole { .. } => (FileState::Whole, chunks, chunks),
    };
    let bytes_stored = match &item.state {
        State::Whole { .. } | State::Storing { .. } => bytes.unwrap_or(0),
        State::Fetching { .. } => {
            bytes.unwrap_or(0).min(chunks_stored * manifest.map_or(0, Manifest::chunk_bytes))
        }
        State::Wanted | State::Checking { .. } => 0,
    };
    FileStatus {
        name: item.name.to_string(),
        state,
        bytes,
        root: manifest.map(Manifest::root),
        chunks,
        chunks_stored,
        bytes_stored,
        bytes_fetched: item.fetched_bytes,
        bytes_wasted: item.wasted_bytes,
        wire_bytes_fetched: item.wire_bytes,
        bytes_sent: item.served_bytes,
        accounts: item.accounts(),
        refusals: item.refusals,
        sources: picker.map_or(0, |picker| picker.progress().sources),
        is_offered: item.is_registered,
        trouble: item.trouble.clone(),
    }
}
