//! Getting chunks: what is asked of whom, verified, stored, and what becomes of a whole file. A wrong
//! byte is never counted as stored.

use std::io::ErrorKind;

use crate::proto::ids::LinkId;
use crate::proto::limits::{
    CHUNK_BYTES_MAX, CHUNKS_IN_FLIGHT_MAX, PAIR_PAUSE_MAX, PAIR_PAUSE_MIN, SWARM_CHUNKS_MIN,
};
use crate::proto::machine::{Effect, FileOp, Os, Why};
use crate::proto::peer::common::Common;
use crate::proto::peer::library::{ItemId, State};
use crate::proto::peer::member::Member;
use crate::proto::peer::other::{Incoming, Way};
use crate::proto::peer::pair::{Fault, fault};

use crate::proto::swarm::{Arrival, Fit, Incoming as ChunkIn, Lie, Packed, SourceId};
use crate::proto::time::Now;
use crate::proto::wire::{ErrorCode, Message};

impl Member {
    /// Keeps the link busy: asks for chunks up to the bound, of each file in turn.
    pub(super) fn ask(&mut self, place: u32, common: &mut Common, now: Now, os: &mut dyn Os) {
        let other = self.others.at_mut(place);
        let Way::Open { link, .. } = other.way else { return };
        let mut dry = 0;
        while other.gets.len() < CHUNKS_IN_FLIGHT_MAX && dry < other.sourced.len() {
            other.sourced.rotate_left(1);
            let item = other.sourced[0];
            let fetched = self.library.at_mut(item);
            let chunk = fetched
                .picker_mut()
                .and_then(|picker| picker.ask(SourceId(place), CHUNKS_IN_FLIGHT_MAX, now.mono));
            let Some(chunk) = chunk else {
                dry += 1;
                continue;
            };
            dry = 0;
            other.gets.push((item, chunk));
            common.send(link, &Message::Get { file: fetched.name.as_str(), chunk }, os);
        }
    }

    /// Chunks of a file have become free: whoever can give them is asked.
    pub(super) fn ask_sources(&mut self, item: ItemId, common: &mut Common, now: Now, os: &mut dyn Os) {
        for place in 0..self.others.len() as u32 {
            if self.others.at(place).sourced.contains(&item) {
                self.ask(place, common, now, os);
            }
        }
    }

    pub(super) fn on_chunk(
        &mut self,
        place: u32,
        file: &str,
        chunk: u64,
        (octets, zstd): (u64, bool),
        common: &mut Common,
    ) -> Result<u64, Fault> {
        let item = self.answered(place, file, chunk)?;
        let (other, fetched) = (self.others.at_mut(place), self.library.at_mut(item));
        let arrival = fetched.picker_mut().map(|picker| picker.begin(SourceId(place), chunk));
        let (Some(Ok(Arrival::Write)), Some(manifest)) = (arrival, &fetched.manifest) else {
            // It has come from elsewhere since, or the file was given up, and may be known as another.
            if !(1..=CHUNK_BYTES_MAX).contains(&octets) {
                return fault(ErrorCode::BadArgument, format!("no chunk has {octets} octets"));
            }
            other.incoming = Incoming::Unwanted { item, chunk };
            return Ok(octets);
        };
        let begun = if zstd {
            Packed::begin(manifest, chunk, octets, common.unpacker.buffer())
                .map(|chunk| Incoming::Packed { item, chunk })
        } else {
            ChunkIn::begin(manifest, chunk, octets).map(|chunk| Incoming::Chunk { item, chunk })
        };
        match begun {
            Ok(incoming) => other.incoming = incoming,
            Err(lie) => return fault(ErrorCode::BadArgument, lie.to_string()),
        }
        Ok(octets)
    }

    /// The other side cannot give a chunk that it said it holds.
    pub(super) fn on_deny(
        &mut self,
        place: u32,
        file: &str,
        chunk: u64,
        common: &mut Common,
        now: Now,
        os: &mut dyn Os,
    ) -> Result<u64, Fault> {
        let item = self.answered(place, file, chunk)?;
        if let Some(picker) = self.library.at_mut(item).picker_mut() {
            picker.on_denied(SourceId(place), chunk);
            self.ask_sources(item, common, now, os);
        }
        self.want_again(place, item, common, now, os);
        self.ask(place, common, now, os);
        Ok(0)
    }

    /// Takes a chunk off the list of those that the other side owes us.
    fn answered(&mut self, place: u32, file: &str, chunk: u64) -> Result<ItemId, Fault> {
        let item = self.library.find(file);
        let other = self.others.at_mut(place);
        match other.gets.iter().position(|(asked, number)| Some(*asked) == item && *number == chunk) {
            Some(get) => Ok(other.gets.swap_remove(get).0),
            None if item.is_some_and(|item| self.library.at(item).manifest.is_some()) => {
                fault(ErrorCode::BadArgument, Lie::NotAsked(chunk).to_string())
            }
            None => fault(ErrorCode::OutOfPlace, format!("{file} is not being fetched")),
        }
    }

    #[allow(clippy::too_many_arguments)] // what a link brings, and where to
    pub(super) fn on_pair_octets(
        &mut self,
        place: u32,
        link: LinkId,
        bytes: &[u8],
        last: bool,
        common: &mut Common,
        now: Now,
        os: &mut dyn Os,
    ) {
        let other = self.others.at_mut(place);
        other.heard = now.mono;
        // A source that is busy with one file is not silent about the others.
        for item in &other.sourced {
            if let Some(picker) = self.library.at_mut(*item).picker_mut() {
                picker.on_octets(SourceId(place), now.mono);
            }
        }
        let handled = match &mut other.incoming {
            Incoming::Offer { octets, .. } => {
                octets.extend_from_slice(bytes);
                if last { self.on_offer_end(place, common, now, os) } else { Ok(()) }
            }
            Incoming::Holds { octets, .. } => {
                octets.extend_from_slice(bytes);
                if last { self.on_holds_end(place, common, now, os) } else { Ok(()) }
            }
            Incoming::Chunk { item, chunk } => {
                let offset = chunk.take(bytes);
                // The file may have been given up, or the chunk have come from elsewhere, meanwhile.
                if let State::Fetching { file, picker } = &self.library.at(*item).state
                    && picker.is_written(SourceId(place), chunk.chunk())
                {
                    os.perform(Effect::WriteAt { file: *file, offset, bytes });
                }
                self.library.at_mut(*item).wire_bytes += bytes.len() as u64;
                if last { self.on_chunk_end(place, common, now, os) } else { Ok(()) }
            }
            Incoming::Packed { item, chunk } => {
                chunk.take(bytes);
                self.library.at_mut(*item).wire_bytes += bytes.len() as u64;
                if last { self.on_chunk_end(place, common, now, os) } else { Ok(()) }
            }
            Incoming::Unwanted { item, .. } => {
                self.library.at_mut(*item).wire_bytes += bytes.len() as u64;
                if last {
                    self.on_unwanted_end(place, common, now, os);
                }
                Ok(())
            }
            Incoming::None => Ok(()),
        };
        if let Err(fault) = handled {
            self.condemn(place, link, fault, common, now, os);
        }
    }

    fn on_chunk_end(
        &mut self,
        place: u32,
        common: &mut Common,
        now: Now,
        os: &mut dyn Os,
    ) -> Result<(), Fault> {
        let other = self.others.at_mut(place);
        let incoming = std::mem::replace(&mut other.incoming, Incoming::None);
        let (item, chunk) = match &incoming {
            Incoming::Chunk { item, chunk } => (*item, chunk.chunk()),
            Incoming::Packed { item, chunk } => (*item, chunk.chunk()),
            _ => return Ok(()),
        };
        let (id, source) = (other.id, SourceId(place));
        let fetched = self.library.at_mut(item);
        let range = fetched.manifest.as_ref().and_then(|manifest| manifest.range(chunk));
        let octets = range.map_or(0, |(_, len)| len);
        let is_record = fetched.owner.is_some();
        let written = fetched.picker().is_some_and(|picker| picker.is_written(source, chunk));
        let file = fetched.file();
        let (Some(picker), true) = (fetched.picker_mut(), written) else {
            other.incoming = Incoming::Unwanted { item, chunk };
            self.on_unwanted_end(place, common, now, os);
            return Ok(());
        };
        let is_packed = matches!(incoming, Incoming::Packed { .. });
        let right = match incoming {
            Incoming::Packed { chunk, .. } => {
                // Others in the group will ask for it.
                let kept = is_record.then(|| common.packing.kept());
                chunk.end(&mut common.unpacker, kept).map(|(offset, bytes)| {
                    if let Some(file) = file {
                        os.perform(Effect::WriteAt { file, offset, bytes });
                    }
                })
            }
            Incoming::Chunk { chunk, .. } => chunk.end(),
            _ => Ok(()),
        };
        if let Err(lie) = right {
            picker.on_wrong(source, chunk);
            fetched.wasted_bytes += octets;
            log::warn!("wrong bytes received from={id} file={} why=\"{lie}\"", fetched.name);
            self.report_wrong(item, chunk, id, common, os);
            self.ask_sources(item, common, now, os);
            return fault(ErrorCode::BadArgument, lie.to_string());
        }
        let losers = picker.on_stored(source, chunk, now.mono);
        fetched.fetched_bytes += octets;
        if is_packed && !fetched.fit.pays() {
            fetched.fit = Fit::good();
        }
        if self.guest.is_some() {
            fetched.unreported.push(chunk);
        }
        self.cancel(&losers, item, chunk, common, os);
        self.tell_have(item, chunk, common, os);
        self.store_if_whole(item, os);
        self.ask(place, common, now, os);
        if self.only_chunks(item).is_some_and(|chunks| chunks.contains(&chunk)) {
            self.drive(common, now, os);
        }
        Ok(())
    }

    /// A chunk that nobody needs any more is all there.
    fn on_unwanted_end(&mut self, place: u32, common: &mut Common, now: Now, os: &mut dyn Os) {
        let other = self.others.at_mut(place);
        let incoming = std::mem::replace(&mut other.incoming, Incoming::None);
        let Incoming::Unwanted { item, chunk } = incoming else { return };
        let fetched = self.library.at_mut(item);
        let range = fetched.manifest.as_ref().and_then(|manifest| manifest.range(chunk));
        fetched.wasted_bytes += range.map_or(0, |(_, len)| len);
        if let Some(picker) = fetched.picker_mut() {
            picker.on_thrown_away(SourceId(place), chunk);
        }
        self.want_again(place, item, common, now, os);
        self.ask(place, common, now, os);
    }

    /// The chunk is here; others that were asked for it as well need not send it.
    fn cancel(
        &mut self,
        sources: &[SourceId],
        item: ItemId,
        chunk: u64,
        common: &mut Common,
        os: &mut dyn Os,
    ) {
        for source in sources {
            if let Some(link) = self.others.at(source.0).way.link() {
                let file = self.library.at(item).name.as_str();
                common.send(link, &Message::Cancel { file, chunk }, os);
            }
        }
    }

    /// Nothing of a file is needed for now.
    fn cancel_all(&mut self, item: ItemId, common: &mut Common, os: &mut dyn Os) {
        let file = self.library.at(item).name.as_str();
        for other in self.others.iter() {
            for (_, chunk) in other.gets.iter().filter(|(asked, _)| *asked == item) {
                if let Some(link) = other.way.link() {
                    common.send(link, &Message::Cancel { file, chunk: *chunk }, os);
                }
            }
        }
    }

    /// Every chunk is verified: the disk makes the copy last.
    pub(super) fn store_if_whole(&mut self, item: ItemId, os: &mut dyn Os) {
        let fetched = self.library.at_mut(item);
        if let State::Fetching { file, picker } = &fetched.state
            && picker.is_whole()
        {
            let file = *file;
            os.perform(Effect::Finish { file });
            fetched.turn(State::Storing { file });
            self.others.iter_mut().for_each(|other| other.sourced.retain(|sourced| *sourced != item));
        }
    }

    // --- How it ends --------------------------------------------------------------------------

    /// A file is on disk under its name.
    pub(super) fn on_item_stored(&mut self, item: ItemId, common: &mut Common, now: Now, os: &mut dyn Os) {
        let stored = self.library.at_mut(item);
        let State::Storing { file } = stored.state else { return };
        let large = stored.manifest.as_ref().is_some_and(|manifest| manifest.chunks() >= SWARM_CHUNKS_MIN);
        let keep = large || self.guest.is_some();
        let kept = (keep && common.keep_open()).then_some(file);
        stored.state = State::Whole { file: kept };
        if kept.is_none() {
            common.release(file, os);
        }
        log::debug!("file received id={} file={}", self.label(), self.library.at(item).name);
        if self.guest.is_some() {
            return self.drive_guest(common, now, os);
        }
        if let Some(owner) = self.library.at(item).owner {
            self.others.at_mut(owner).pause = PAIR_PAUSE_MIN;
            self.say_got(owner, item, common, os);
            self.after_progress(owner, common, now, os);
        }
    }

    /// The disk refused a file: it is given up and fetched again after a pause.
    pub(super) fn on_item_failed(
        &mut self,
        item: ItemId,
        op: FileOp,
        error: ErrorKind,
        common: &mut Common,
        now: Now,
        os: &mut dyn Os,
    ) {
        if let State::Checking { .. } = self.library.at(item).state {
            return self.on_check_failed(item, op, error, common, now, os);
        }
        if let (State::Whole { .. }, FileOp::Hash) = (&self.library.at(item).state, op) {
            return match error {
                // The disk has too much to do; another complaint will come.
                ErrorKind::ResourceBusy => {}
                ErrorKind::UnexpectedEof => {
                    self.withdraw(item, ("it is shorter than it was", false), common, now, os)
                }
                error => self.withdraw(item, (&Why(error).to_string(), false), common, now, os),
            };
        }
        let failed = self.library.at_mut(item);
        if op == FileOp::Hash && (error == ErrorKind::ResourceBusy || failed.picker().is_none()) {
            return;
        }
        // What could not be written leaves the rest as it was; after anything else nothing is sure.
        if op != FileOp::WriteAt {
            failed.verified = None;
        }
        let (State::Fetching { file, .. } | State::Storing { file }) = failed.state else { return };
        common.release(file, os);
        failed.turn(State::Wanted);
        failed.refusals += 1;
        // What was verified may not have reached the disk.
        failed.unreported.clear();
        failed.next_try = now.mono + PAIR_PAUSE_MAX;
        let (name, owner) = (failed.name.clone(), failed.owner);
        self.cancel_all(item, common, os);
        self.forget_sources(item);
        let (why, op) = (Why(error), op);
        let trouble = format!("{name} could not be stored: {why}");
        let label = self.label();
        if self.guest.is_some() {
            log::error!(
                "file not stored file={name} op={op} why=\"{why}\" then=\"what is here stays, and it is tried again\""
            );
        }
        if let Some(other) = owner.map(|owner| self.others.at_mut(owner)) {
            if other.trouble.as_ref() != Some(&trouble) {
                log::error!(
                    "copy not stored id={label} file={name} op={op} why=\"{why}\" then=\"it is tried again\""
                );
            }
            other.trouble = Some(trouble);
        }
        self.drive(common, now, os);
    }

    /// What is here of a file counts no more.
    pub(super) fn forget_file(&mut self, item: ItemId, common: &mut Common, os: &mut dyn Os) {
        self.forget_sources(item);
        let forgotten = self.library.at_mut(item);
        forgotten.close(common, os);
        forgotten.turn(State::Wanted);
        (forgotten.manifest, forgotten.verified) = (None, None);
        forgotten.watchers.clear();
    }
}
