//! Whom a file can be got from: what others offer, who holds which chunks, which part of a file is
//! ours to take first. Asks for nothing; `fetch` does.

use crate::proto::limits::{CHUNKS_MAX, HAVES_IDLE_MAX, SWARM_CHUNKS_MIN};
use crate::proto::machine::Os;
use crate::proto::peer::common::{Common, FileFor};
use crate::proto::peer::library::{ItemId, State};
use crate::proto::peer::member::Member;
use crate::proto::peer::other::{FILES, Incoming, Other, OtherState, Way};
use crate::proto::peer::pair::{Fault, fault};
use crate::proto::record::names;
use crate::proto::swarm::{ChunkSet, Manifest, Picker, Slice, SourceId};
use crate::proto::time::Now;
use crate::proto::wire::{ErrorCode, Message};

impl Member {
    /// The other side says what a file of its record consists of, and holds all of it.
    pub(super) fn on_offer(
        &mut self,
        place: u32,
        file: &str,
        (bytes, chunk_bytes, octets): (u64, u64, u64),
        common: &mut Common,
        now: Now,
        os: &mut dyn Os,
    ) -> Result<u64, Fault> {
        let other = self.others.at_mut(place);
        let Some(item) = own_record(other.records, self.library.find(file)) else {
            return fault(ErrorCode::UnknownFile, format!("{file} is no record of {}", other.id));
        };
        if let Err(error) = Manifest::check_offer(bytes, chunk_bytes, octets) {
            return fault(ErrorCode::BadArgument, error.to_string());
        }
        other.incoming = Incoming::Offer { item, bytes, chunk_bytes, octets: Vec::new() };
        if octets == 0 {
            self.on_offer_end(place, common, now, os)?;
        }
        Ok(octets)
    }

    /// All hashes of an offer are here: the file is known, and fetched if it is not stored.
    pub(super) fn on_offer_end(
        &mut self,
        place: u32,
        common: &mut Common,
        now: Now,
        os: &mut dyn Os,
    ) -> Result<(), Fault> {
        let incoming = std::mem::replace(&mut self.others.at_mut(place).incoming, Incoming::None);
        let Incoming::Offer { item, bytes, chunk_bytes, octets } = incoming else { return Ok(()) };
        let known = self.library.at_mut(item);
        let manifest = Manifest::from_offer(known.name.clone(), bytes, chunk_bytes, &octets)
            .or_else(|error| fault(ErrorCode::BadArgument, error.to_string()))?;
        match &known.manifest {
            Some(former) if *former != manifest => {
                return fault(
                    ErrorCode::BadArgument,
                    format!("{} was something else when first offered", known.name),
                );
            }
            _ => known.manifest = Some(manifest),
        }
        match known.state {
            State::Whole { .. } => self.say_got(place, item, common, os),
            State::Storing { .. } => {}
            State::Wanted => self.begin_fetch(item, common, now, os),
            State::Fetching { .. } => self.add_source(place, item, None, common, now, os),
            State::Checking { .. } => {}
        }
        Ok(())
    }

    /// Opens the file, and looks for those who hold something of it.
    pub(super) fn begin_fetch(&mut self, item: ItemId, common: &mut Common, now: Now, os: &mut dyn Os) {
        let own = self.name().expect("a member with a link has a name");
        let wanted = self.library.at(item);
        let idle = wanted.manifest.is_some() && matches!(wanted.state, State::Wanted);
        if !idle || now.mono < wanted.next_try {
            return;
        }
        if self.guest.is_some() {
            return self.look_for_file(item, common, now, os);
        }
        let path = names::received(&own, wanted.name.as_str());
        let whose = FileFor::Item { member: self.index, item };
        let file = common.open_partial(&path, &names::aside(&path, now.wall), whose, os);
        let picker = self.new_picker(item);
        self.library.at_mut(item).state = State::Fetching { file, picker };
        if let Some(owner) = self.library.at(item).owner
            && matches!(self.others.at(owner).way, Way::Open { .. })
        {
            self.add_source(owner, item, None, common, now, os);
        }
        self.seek(item, common, os);
        self.store_if_whole(item, os);
    }

    pub(super) fn new_picker(&self, item: ItemId) -> Box<Picker> {
        let own = self.name().expect("a member that fetches has a name");
        let chunks = self.library.at(item).manifest.as_ref().map_or(0, Manifest::chunks);
        // Receivers of one file begin at different places of it, so that its owner sends each part
        // about once, and they get the rest from each other.
        Box::new(Picker::new(chunks, self.slice(item), seed(&own, item)))
    }

    /// Our part of a file among those who fetch it, as far as we know them: all of them come to the
    /// same order. Who holds all of it fetches nothing.
    fn slice(&self, item: ItemId) -> Slice {
        let own = self.name();
        let file = self.library.at(item);
        let receives = |place: u32, other: &Other| match file.owner {
            Some(owner) => place != owner && other.records.is_some(),
            None => {
                let is_origin = file.picker().is_some_and(|picker| picker.is_origin(SourceId(place)));
                other.takes_part.contains(&item) && !is_origin
            }
        };
        let mut slice = Slice { place: 0, of: 1 };
        for (place, other) in self.others.iter().enumerate() {
            if receives(place as u32, other) {
                slice.of += 1;
                slice.place += u32::from(own.is_some_and(|own| other.id < own));
            }
        }
        slice
    }

    /// Receivers of a file came or went.
    pub(super) fn set_slice(&mut self, item: ItemId) {
        let slice = self.slice(item);
        if let Some(picker) = self.library.at_mut(item).picker_mut() {
            picker.set_slice(slice);
        }
    }

    /// Asks all others that have a link whether they hold something of a file.
    pub(super) fn seek(&mut self, item: ItemId, common: &mut Common, os: &mut dyn Os) {
        for place in 0..self.others.len() as u32 {
            self.want(place, item, common, os);
        }
    }

    /// The same, once more: something of it is wanted that was not before.
    pub(super) fn seek_anew(&mut self, item: ItemId, common: &mut Common, os: &mut dyn Os) {
        let wanted = self.library.at(item);
        let (State::Fetching { .. }, Some(manifest)) = (&wanted.state, &wanted.manifest) else { return };
        let message = Message::Want { file: wanted.name.as_str(), root: manifest.root() };
        for other in self.others.iter().filter(|other| other.takes_part.contains(&item)) {
            if let Way::Open { link, .. } = other.way {
                common.send(link, &message, os);
            }
        }
    }

    /// Asks one of the others what it holds of a file, if it may hold something and that would help.
    pub(super) fn want(&mut self, place: u32, item: ItemId, common: &mut Common, os: &mut dyn Os) {
        let (other, wanted) = (self.others.at(place), self.library.at(item));
        let (Way::Open { link, .. }, State::Fetching { .. }, Some(manifest)) =
            (other.way, &wanted.state, &wanted.manifest)
        else {
            return;
        };
        let owner_serves = wanted.owner.is_some_and(|owner| self.others.at(owner).sourced.contains(&item));
        let small = manifest.chunks() < SWARM_CHUNKS_MIN && owner_serves;
        let stranger = other.state == OtherState::Guest && !other.takes_part.contains(&item);
        if small || stranger || wanted.owner == Some(place) || other.sourced.contains(&item) {
            return;
        }
        let root = manifest.root();
        common.send(link, &Message::Want { file: wanted.name.as_str(), root }, os);
    }

    /// The answer to `WANT` begins.
    pub(super) fn on_holds(
        &mut self,
        place: u32,
        file: &str,
        octets: u64,
        common: &mut Common,
        now: Now,
        os: &mut dyn Os,
    ) -> Result<u64, Fault> {
        let item = self.library.find(file);
        let Some(item) = item else {
            return fault(ErrorCode::OutOfPlace, format!("nobody asked for {file}"));
        };
        let Some(manifest) = &self.library.at(item).manifest else {
            // Its owner has come back as another since it was asked for; what comes is passed over.
            let possible = octets <= ChunkSet::octets_of(CHUNKS_MAX);
            return if possible { Ok(octets) } else { fault(ErrorCode::BadArgument, "too many chunks") };
        };
        if octets != 0 && octets != manifest.chunks().div_ceil(8) {
            return fault(ErrorCode::BadArgument, format!("{file} has {} chunks", manifest.chunks()));
        }
        if octets > 0 {
            self.others.at_mut(place).incoming = Incoming::Holds { item, octets: Vec::new() };
        } else if manifest.chunks() == 0 {
            self.add_source(place, item, None, common, now, os);
        }
        Ok(octets)
    }

    pub(super) fn on_holds_end(
        &mut self,
        place: u32,
        common: &mut Common,
        now: Now,
        os: &mut dyn Os,
    ) -> Result<(), Fault> {
        let incoming = std::mem::replace(&mut self.others.at_mut(place).incoming, Incoming::None);
        let Incoming::Holds { item, octets } = incoming else { return Ok(()) };
        let chunks = self.library.at(item).manifest.as_ref().map_or(0, Manifest::chunks);
        let held = ChunkSet::from_octets(chunks, &octets)
            .or_else(|error| fault(ErrorCode::BadArgument, error.to_string()))?;
        self.add_source(place, item, Some(held), common, now, os);
        Ok(())
    }

    /// One of the others holds chunks of a file; `None`: all of them.
    fn add_source(
        &mut self,
        place: u32,
        item: ItemId,
        held: Option<ChunkSet>,
        common: &mut Common,
        now: Now,
        os: &mut dyn Os,
    ) {
        let only = self.only_chunks(item);
        let Some(picker) = self.library.at_mut(item).picker_mut() else { return };
        let mut held = held.unwrap_or_else(|| ChunkSet::full(picker.stored().chunks()));
        if let Some(mut chunks) = only {
            // Whoever wants some chunks takes no notice of the others.
            chunks.retain(|chunk| held.contains(*chunk));
            held = ChunkSet::new(held.chunks());
            for chunk in chunks {
                held.insert(chunk);
            }
        }
        let other = self.others.at_mut(place);
        if other.sourced.contains(&item) {
            // It was asked twice, and has answered twice: what it was asked for since stays so.
            for (first, last) in held.ranges() {
                picker.on_have(SourceId(place), (first, last), now.mono).expect("ranges of the same file");
            }
        } else if other.gets.iter().any(|(asked, _)| *asked == item) {
            // What it was asked for in an earlier attempt comes first: see `want_again`.
            return;
        } else {
            picker.add_source(SourceId(place), &held, now.mono);
            other.sourced.push(item);
        }
        self.set_slice(item);
        self.ask(place, common, now, os);
    }

    /// One of the others has answered what it was asked for. If that was in an earlier attempt at the file,
    /// it is a source of the present one only from now on: no chunk is asked for twice over one link.
    pub(super) fn want_again(
        &mut self,
        place: u32,
        item: ItemId,
        common: &mut Common,
        now: Now,
        os: &mut dyn Os,
    ) {
        let other = self.others.at(place);
        if other.sourced.contains(&item) || other.gets.iter().any(|(asked, _)| *asked == item) {
            return;
        }
        if self.library.at(item).owner == Some(place) {
            self.add_source(place, item, None, common, now, os);
        } else {
            self.want(place, item, common, os);
        }
    }

    /// The other side holds more than before.
    pub(super) fn on_have(
        &mut self,
        place: u32,
        file: &str,
        (first, last): (u64, u64),
        common: &mut Common,
        now: Now,
        os: &mut dyn Os,
    ) -> Result<u64, Fault> {
        let Some(item) = self.library.find(file) else {
            return fault(ErrorCode::UnknownFile, format!("nobody asked for {file}"));
        };
        let (other, only) = (self.others.at(place), self.only_chunks(item));
        if let (Some(picker), true) = (self.library.at_mut(item).picker_mut(), other.sourced.contains(&item))
        {
            let wanted = only.map(|mut chunks| {
                chunks.retain(|chunk| (first..=last).contains(chunk));
                chunks.into_iter().map(|chunk| (chunk, chunk)).collect()
            });
            for range in wanted.unwrap_or_else(|| vec![(first, last)]) {
                match picker.on_have(SourceId(place), range, now.mono) {
                    Err(error) => return fault(ErrorCode::BadArgument, error.to_string()),
                    Ok(0) => {
                        // Looking through them costs time, whatever comes of it.
                        let idle = &mut self.others.at_mut(place).haves_idle;
                        *idle += range.1 - range.0 + 1;
                        if *idle > HAVES_IDLE_MAX {
                            return fault(ErrorCode::TooFast, "you have said so before");
                        }
                    }
                    Ok(_) => {}
                }
            }
            self.ask(place, common, now, os);
        }
        Ok(0)
    }

    /// Nothing of a file is asked for any more.
    pub(super) fn forget_sources(&mut self, item: ItemId) {
        for other in self.others.iter_mut() {
            other.sourced.retain(|sourced| *sourced != item);
        }
    }

    /// The link is gone: what was asked for over it is needed again, and asked of others.
    pub(super) fn lose_source(&mut self, place: u32, common: &mut Common, now: Now, os: &mut dyn Os) {
        let other = self.others.at_mut(place);
        let sourced = std::mem::take(&mut other.sourced);
        other.let_go();
        for item in self.library.iter_mut() {
            item.watchers.retain(|watcher| *watcher != place);
        }
        for item in sourced {
            if let Some(picker) = self.library.at_mut(item).picker_mut() {
                picker.remove_source(SourceId(place));
            }
            self.ask_sources(item, common, now, os);
            if self.library.at(item).owner == Some(place) {
                self.seek(item, common, os);
            }
        }
    }

    /// Sources that have been silent for too long: their chunks are asked of others. And at the end of a
    /// file what others take long for.
    pub(super) fn pass_on_overdue(&mut self, common: &mut Common, now: Now, os: &mut dyn Os) {
        for item in self.library.iter_mut() {
            if let Some(picker) = item.picker_mut() {
                picker.lapse(now.mono);
            }
        }
        for place in 0..self.others.len() as u32 {
            self.ask(place, common, now, os);
        }
    }
}

/// The file, if it is of that member's own record.
fn own_record(records: Option<[ItemId; FILES]>, item: Option<ItemId>) -> Option<ItemId> {
    item.filter(|item| records.is_some_and(|records| records.contains(item)))
}

/// Different for each receiver and file, the same in each replay.
fn seed(own: &crate::proto::ids::Name, item: ItemId) -> u64 {
    let hash = blake3::hash(own.as_bytes());
    u64::from_le_bytes(*hash.as_bytes().first_chunk().expect("a hash has 32 bytes")) ^ u64::from(item)
}
