//! What lies on the disk already: files that are offered, and what an earlier life has left of one
//! that is to be got. Hashed there, chunk by chunk; believed only then.

use std::io::ErrorKind;

use blake3::Hash;

use crate::proto::ids::FileId;
use crate::proto::limits::{HASHES_IN_FLIGHT_MAX, OFFERS_CHECKED_MAX, PAIR_PAUSE_MAX};
use crate::proto::machine::{Effect, FileOp, OpenMode, Os, Why};
use crate::proto::peer::common::{Common, FileFor};
use crate::proto::peer::guest::{Cut, Offered};
use crate::proto::peer::library::{ItemId, State};
use crate::proto::peer::member::Member;
use crate::proto::peer::offer::Trouble;
use crate::proto::record::names;
use crate::proto::swarm::Manifest;
use crate::proto::time::Now;
use crate::proto::wire::ErrorCode;

/// A file that is being looked at.
#[derive(Debug)]
pub(super) struct Check {
    purpose: Purpose,
    bytes: u64,
    chunk_bytes: u64,
    /// Chunks that are there.
    chunks: u64,
    asked: u64,
    hashed: u64,
    /// In the order of the chunks; the disk may take them in another.
    hashes: Vec<Option<Hash>>,
}

/// Why a file is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// It is offered to others.
    Offer,
    /// A file has the name of the one that is to be got, and may be the same.
    Present,
    /// An earlier life has left a part of it.
    Rest,
}

impl Check {
    fn new(purpose: Purpose) -> Check {
        Check { purpose, bytes: 0, chunk_bytes: 1, chunks: 0, asked: 0, hashed: 0, hashes: Vec::new() }
    }

    /// Chunks that are hashed, and chunks that there are.
    pub(super) fn progress(&self) -> (u64, u64) {
        (self.hashed, self.chunks)
    }
}

impl Member {
    /// Begins with the files that are to be offered.
    pub(super) fn begin_offers(&mut self, common: &mut Common, os: &mut dyn Os) {
        let Some(guest) = &mut self.guest else { return };
        for offer in guest.orders.offers.clone() {
            let item = self.library.expect(offer.name.clone(), None);
            guest.offer(item, offer);
        }
        self.open_more_offers(common, os);
    }

    /// A few at a time, so that the disk takes the hashes of all.
    pub(super) fn open_more_offers(&mut self, common: &mut Common, os: &mut dyn Os) {
        let Some(guest) = &mut self.guest else { return };
        while guest.looked_at < OFFERS_CHECKED_MAX
            && let Some(place) = guest.to_look_at.pop_front()
        {
            let Offered { item, path, .. } = &guest.offered[place];
            let item = *item;
            guest.looked_at += 1;
            let file = common.new_file(FileFor::Item { member: self.index, item });
            os.perform(Effect::Open { file, path, mode: OpenMode::Existing, aside: "" });
            self.library.at_mut(item).state = State::Checking { file, check: Check::new(Purpose::Offer) };
        }
    }

    /// A file that was looked at cannot be offered; the next ones are looked at.
    fn refuse_offer(&mut self, item: ItemId, why: String, common: &mut Common, now: Now, os: &mut dyn Os) {
        if let Some(guest) = &mut self.guest {
            guest.looked_at -= 1;
        }
        self.drop_offer(item, Trouble::Refused(why), false, common, now, os);
        self.open_more_offers(common, os);
    }

    /// Somebody has told what the wanted file consists of: looks for it under its own name first.
    pub(super) fn look_for_file(&mut self, item: ItemId, common: &mut Common, now: Now, os: &mut dyn Os) {
        let wanted = self.library.at(item);
        if now.mono >= wanted.next_try && wanted.manifest.is_some() && matches!(wanted.state, State::Wanted) {
            self.open_for_check(item, Purpose::Present, common, now, os);
        }
    }

    fn open_for_check(
        &mut self,
        item: ItemId,
        purpose: Purpose,
        common: &mut Common,
        now: Now,
        os: &mut dyn Os,
    ) {
        let file = common.new_file(FileFor::Item { member: self.index, item });
        let reserve = self.only_chunks(item).is_none();
        let wanted = self.library.at_mut(item);
        let mode = match (purpose, &wanted.manifest) {
            (Purpose::Rest, Some(manifest)) => OpenMode::Resume { bytes: manifest.bytes(), reserve },
            _ => OpenMode::Existing,
        };
        let path = wanted.name.as_str();
        os.perform(Effect::Open { file, path, mode, aside: &names::aside(path, now.wall) });
        wanted.state = State::Checking { file, check: Check::new(purpose) };
    }

    /// A file is open, and has so many bytes.
    pub(super) fn on_item_ready(
        &mut self,
        item: ItemId,
        bytes: u64,
        common: &mut Common,
        now: Now,
        os: &mut dyn Os,
    ) {
        let offered =
            self.guest.as_ref().and_then(|guest| guest.offered.iter().find(|offered| offered.item == item));
        let cut = offered.map_or(Cut::Usual, |offered| offered.cut);
        let looked_at = self.library.at_mut(item);
        let State::Checking { check, file } = &mut looked_at.state else { return };
        let file = *file;
        check.bytes = bytes;
        match (check.purpose, &looked_at.manifest) {
            (Purpose::Offer, _) => {
                match cut.chunk_bytes(bytes) {
                    Ok(chunk_bytes) => check.chunk_bytes = chunk_bytes,
                    Err(error) => {
                        common.release(file, os);
                        looked_at.state = State::Wanted;
                        return self.refuse_offer(item, error.to_string(), common, now, os);
                    }
                }
                check.chunks = bytes.div_ceil(check.chunk_bytes);
            }
            (Purpose::Present, Some(manifest)) if manifest.bytes() != bytes => {
                common.release(file, os);
                return self.open_for_check(item, Purpose::Rest, common, now, os);
            }
            (_, Some(manifest)) => {
                check.chunk_bytes = manifest.chunk_bytes();
                check.bytes = manifest.bytes();
                // The last chunk may be shorter than the others.
                check.chunks = match bytes >= manifest.bytes() {
                    true => manifest.chunks(),
                    false => bytes / manifest.chunk_bytes(),
                };
            }
            (_, None) => {}
        }
        self.hash_more(item, common, now, os);
    }

    /// Has the disk hash the next chunks, a few at a time.
    fn hash_more(&mut self, item: ItemId, common: &mut Common, now: Now, os: &mut dyn Os) {
        let looked_at = self.library.at_mut(item);
        let State::Checking { check, file } = &mut looked_at.state else { return };
        while check.asked < check.chunks && check.asked < check.hashed + HASHES_IN_FLIGHT_MAX {
            let verified = looked_at.verified.as_ref().filter(|_| check.purpose == Purpose::Rest);
            if verified.is_some_and(|verified| verified.contains(check.asked)) {
                check
                    .hashes
                    .push(looked_at.manifest.as_ref().and_then(|known| known.hash(check.asked)).copied());
                (check.asked, check.hashed) = (check.asked + 1, check.hashed + 1);
                continue;
            }
            let offset = check.asked * check.chunk_bytes;
            let len = check.chunk_bytes.min(check.bytes - offset);
            os.perform(Effect::Hash { file: *file, offset, len });
            check.asked += 1;
            check.hashes.push(None);
        }
        if check.hashed == check.chunks {
            self.on_checked(item, common, now, os);
        }
    }

    pub(super) fn on_item_hashed(
        &mut self,
        item: ItemId,
        (offset, hash): (u64, Hash),
        common: &mut Common,
        now: Now,
        os: &mut dyn Os,
    ) {
        let hashed = self.library.at_mut(item);
        if let (State::Whole { .. }, Some(manifest)) = (&hashed.state, &hashed.manifest) {
            let same = manifest.hash(offset / manifest.chunk_bytes()) == Some(&hash);
            if !same {
                self.withdraw(item, ("it has changed since it was offered", false), common, now, os);
            }
            return;
        }
        if let (State::Fetching { .. }, Some(manifest)) = (&hashed.state, &hashed.manifest) {
            if manifest.hash(offset / manifest.chunk_bytes()) != Some(&hash) {
                // Somebody else writes to it. What is left of it is found by looking at all of it.
                self.on_item_failed(item, FileOp::Hash, ErrorKind::InvalidData, common, now, os);
            }
            return;
        }
        if let State::Checking { check, .. } = &mut hashed.state {
            let chunk = (offset / check.chunk_bytes) as usize;
            check.hashed += u64::from(check.hashes[chunk].replace(hash).is_none());
            self.hash_more(item, common, now, os);
        }
    }

    fn on_checked(&mut self, item: ItemId, common: &mut Common, now: Now, os: &mut dyn Os) {
        let checked = self.library.at_mut(item);
        let State::Checking { file, check } = std::mem::replace(&mut checked.state, State::Wanted) else {
            return;
        };
        let hashes: Vec<Hash> = check.hashes.into_iter().flatten().collect();
        match (check.purpose, &checked.manifest) {
            (Purpose::Offer, _) => {
                let name = checked.name.clone();
                checked.manifest = Some(Manifest::new(name, check.bytes, check.chunk_bytes, hashes));
                checked.state = State::Whole { file: Some(file) };
                // Its chunks are in memory still.
                self.look_at(item, 0, common, os);
                self.register(item, common, os);
                if let Some(guest) = &mut self.guest {
                    guest.looked_at -= 1;
                }
                self.open_more_offers(common, os);
            }
            (Purpose::Present, Some(manifest)) if hashes == manifest.hashes() => {
                log::info!("file is here already file={}", checked.name);
                checked.state = State::Whole { file: Some(file) };
                self.register(item, common, os);
                self.tell_held(item, common, os);
                self.drive(common, now, os);
            }
            (Purpose::Present, _) => {
                common.release(file, os);
                self.open_for_check(item, Purpose::Rest, common, now, os);
            }
            (Purpose::Rest, Some(_)) => self.resume_fetch(item, file, &hashes, common, now, os),
            (Purpose::Rest, None) => common.release(file, os),
        }
    }

    /// Goes on where an earlier life ended.
    fn resume_fetch(
        &mut self,
        item: ItemId,
        file: FileId,
        hashes: &[Hash],
        common: &mut Common,
        now: Now,
        os: &mut dyn Os,
    ) {
        let mut picker = self.new_picker(item);
        let resumed = self.library.at_mut(item);
        let manifest = resumed.manifest.as_ref().expect("what was looked for has a manifest");
        for (chunk, hash) in (0..).zip(hashes) {
            if manifest.hash(chunk) == Some(hash) {
                picker.mark_stored(chunk);
                resumed.unreported.push(chunk);
            }
        }
        if !hashes.is_empty() {
            let (stored, chunks) = (picker.stored().count(), picker.stored().chunks());
            log::info!("going on with a file file={} chunks={stored} of={chunks}", resumed.name);
        }
        resumed.verified = Some(picker.stored().clone());
        resumed.state = State::Fetching { file, picker };
        // Of what the server and the others heard before, the disk may have lost some, and what they
        // denied us since is here after all.
        if resumed.refusals > 0 || self.contacts_made > 1 {
            resumed.unreported.clear();
            self.register(item, common, os);
        }
        self.tell_held(item, common, os);
        self.seek(item, common, os);
        self.store_if_whole(item, os);
        self.drive(common, now, os);
    }

    /// An effect on a file that is being looked at failed.
    pub(super) fn on_check_failed(
        &mut self,
        item: ItemId,
        op: FileOp,
        error: ErrorKind,
        common: &mut Common,
        now: Now,
        os: &mut dyn Os,
    ) {
        let looked_at = self.library.at_mut(item);
        let State::Checking { file, check } = &looked_at.state else { return };
        let (file, purpose, name) = (*file, check.purpose, looked_at.name.clone());
        common.release(file, os);
        looked_at.state = State::Wanted;
        match (purpose, op, error) {
            (Purpose::Present, FileOp::Open, ErrorKind::NotFound) => {
                self.open_for_check(item, Purpose::Rest, common, now, os);
            }
            (Purpose::Offer, op, _) => {
                let is_obstacle = op == FileOp::Open;
                let why = if is_obstacle { obstacle(error) } else { Why(error).to_string() };
                self.forget_former_offer(item);
                self.refuse_offer(item, why, common, now, os);
            }
            (Purpose::Rest, FileOp::Open, ErrorKind::ResourceBusy) => {
                let why = format!("{name} is being fetched into this folder by another program");
                self.fail_file(item, ErrorCode::LocalDisk, &why, common, now, os);
            }
            (Purpose::Present | Purpose::Rest, FileOp::Open, _) => {
                let why = format!("{name} cannot be stored here: {}", obstacle(error));
                self.fail_file(item, ErrorCode::LocalDisk, &why, common, now, os);
            }
            _ => {
                log::error!("file not read file={name} error=\"{}\" then=\"it is tried again\"", Why(error));
                self.library.at_mut(item).next_try = now.mono + PAIR_PAUSE_MAX;
            }
        }
    }
}

/// What stands in the way of a file that is to be stored under its name, or offered.
fn obstacle(error: ErrorKind) -> String {
    match error {
        ErrorKind::InvalidInput => "a symbolic link has its name".to_owned(),
        ErrorKind::IsADirectory => "a folder has its name".to_owned(),
        ErrorKind::AlreadyExists | ErrorKind::Unsupported => "what has its name is no plain file".to_owned(),
        error => Why(error).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_the_way_is_named() {
        for (error, words) in [
            (ErrorKind::InvalidInput, "symbolic link"),
            (ErrorKind::IsADirectory, "folder"),
            (ErrorKind::Unsupported, "no plain file"),
            (ErrorKind::NotFound, "is gone"),
        ] {
            assert!(obstacle(error).contains(words), "{error:?}");
        }
    }
}
