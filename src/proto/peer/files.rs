//! Files over the link of a pair: offered, asked for, served, verified and stored.

use std::io::ErrorKind;

use crate::proto::ids::{FileName, LinkId};
use crate::proto::limits::{CHUNKS_IN_FLIGHT_MAX, PAIR_PAUSE_MAX, PAIR_PAUSE_MIN};
use crate::proto::machine::{CloseReason, Effect, Os};
use crate::proto::peer::common::{Common, FileFor};
use crate::proto::peer::member::Member;
use crate::proto::peer::other::{Incoming, Theirs, Way};
use crate::proto::peer::pair::{Fault, fault};
use crate::proto::record::names;
use crate::proto::swarm::{Fetch, Manifest};
use crate::proto::time::Now;
use crate::proto::wire::{ErrorCode, Message};

impl Member {
    /// The other side has a file for us.
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
        let Some(which) = other.files().iter().position(|own| own.as_str() == file) else {
            return fault(ErrorCode::UnknownFile, format!("{file} is no record of {}", other.id));
        };
        if let Err(error) = Manifest::check_offer(bytes, chunk_bytes, octets) {
            return fault(ErrorCode::BadArgument, error.to_string());
        }
        other.incoming = Incoming::Offer { which, bytes, chunk_bytes, octets: Vec::new() };
        if octets == 0 {
            self.on_manifest(place, common, now, os)?;
        }
        Ok(octets)
    }

    pub(super) fn on_chunk(&mut self, place: u32, file: &str, chunk: u64, octets: u64) -> Result<u64, Fault> {
        let other = self.others.at_mut(place);
        let which = other.files().iter().position(|own| own.as_str() == file);
        let Some((which, Theirs::Fetching { fetch, .. })) =
            which.map(|which| (which, &mut other.theirs[which]))
        else {
            return fault(ErrorCode::OutOfPlace, format!("{file} is not being fetched"));
        };
        match fetch.begin(chunk, octets) {
            Ok(()) => other.incoming = Incoming::Chunk { which },
            Err(lie) => return fault(ErrorCode::BadArgument, lie.to_string()),
        }
        Ok(octets)
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
        let handled = match &mut other.incoming {
            Incoming::Offer { octets, .. } => {
                octets.extend_from_slice(bytes);
                if last { self.on_manifest(place, common, now, os) } else { Ok(()) }
            }
            Incoming::Chunk { which } => match &mut other.theirs[*which] {
                Theirs::Fetching { file, fetch } => {
                    let offset = fetch.take(bytes);
                    os.perform(Effect::WriteAt { file: *file, offset, bytes });
                    if last { self.on_chunk_end(place, link, common, os) } else { Ok(()) }
                }
                // The fetch was given up in the middle of a chunk, with its link.
                _ => Ok(()),
            },
            Incoming::None => Ok(()),
        };
        if let Err(fault) = handled {
            self.condemn(place, link, fault, common, now, os);
        }
    }

    /// All hashes of an offer are here: the file is known, and fetched if it is not stored.
    fn on_manifest(
        &mut self,
        place: u32,
        common: &mut Common,
        now: Now,
        os: &mut dyn Os,
    ) -> Result<(), Fault> {
        let own = self.name().expect("a member with a link has a name");
        let other = self.others.at_mut(place);
        let Incoming::Offer { which, bytes, chunk_bytes, octets } =
            std::mem::replace(&mut other.incoming, Incoming::None)
        else {
            return Ok(());
        };
        let name = other.files()[which].clone();
        let manifest = Manifest::from_offer(name.clone(), bytes, chunk_bytes, &octets)
            .or_else(|error| fault(ErrorCode::BadArgument, error.to_string()))?;
        match &other.theirs[which] {
            Theirs::Stored => {
                self.say_got(place, &name, common, os);
                return Ok(());
            }
            Theirs::Storing { .. } => return Ok(()),
            Theirs::Fetching { fetch, .. } if *fetch.manifest() == manifest => {}
            Theirs::Fetching { file, .. } => {
                common.release(*file, os);
                other.theirs[which] = Theirs::Wanted;
            }
            Theirs::Wanted => {}
        }
        if let Theirs::Wanted = other.theirs[which] {
            let path = names::received(&own, name.as_str());
            let whose = FileFor::Copy { member: self.index, other: place, which };
            let file = common.open_partial(&path, &names::aside(&path, now.wall), whose, os);
            other.theirs[which] = Theirs::Fetching { file, fetch: Box::new(Fetch::new(manifest)) };
        }
        self.store_if_whole(place, which, os);
        self.ask(place, common, os);
        Ok(())
    }

    fn on_chunk_end(
        &mut self,
        place: u32,
        link: LinkId,
        common: &mut Common,
        os: &mut dyn Os,
    ) -> Result<(), Fault> {
        let other = self.others.at_mut(place);
        let Incoming::Chunk { which } = std::mem::replace(&mut other.incoming, Incoming::None) else {
            return Ok(());
        };
        let Theirs::Fetching { fetch, .. } = &mut other.theirs[which] else { return Ok(()) };
        if let Err(lie) = fetch.end() {
            log::warn!("wrong bytes received from={} link={link:?} why=\"{lie}\"", other.id);
            return fault(ErrorCode::BadArgument, lie.to_string());
        }
        self.store_if_whole(place, which, os);
        self.ask(place, common, os);
        Ok(())
    }

    /// Every chunk is verified: the disk makes the copy last.
    fn store_if_whole(&mut self, place: u32, which: usize, os: &mut dyn Os) {
        let other = self.others.at_mut(place);
        if let Theirs::Fetching { file, fetch } = &other.theirs[which]
            && fetch.is_whole()
        {
            os.perform(Effect::Finish { file: *file });
            other.theirs[which] = Theirs::Storing { file: *file };
        }
    }

    /// Keeps the link busy: asks for chunks up to the bound.
    fn ask(&mut self, place: u32, common: &mut Common, os: &mut dyn Os) {
        let other = self.others.at_mut(place);
        let Way::Open { link, .. } = other.way else { return };
        let files = other.files();
        let mut asked = other.asked();
        for (name, theirs) in files.iter().zip(&mut other.theirs) {
            let Theirs::Fetching { fetch, .. } = theirs else { continue };
            while asked < CHUNKS_IN_FLIGHT_MAX
                && let Some(chunk) = fetch.ask()
            {
                common.send(link, &Message::Get { file: name.as_str(), chunk }, os);
                asked += 1;
            }
        }
    }

    /// The other side wants a chunk of ours.
    pub(super) fn on_get(
        &mut self,
        link: LinkId,
        file: &str,
        chunk: u64,
        common: &mut Common,
        os: &mut dyn Os,
    ) -> Result<u64, Fault> {
        let manifest = self.own.iter().find(|manifest| manifest.file().as_str() == file);
        let Some((offset, len)) = manifest.and_then(|manifest| manifest.range(chunk)) else {
            return fault(ErrorCode::UnknownFile, format!("I have no chunk {chunk} of {file}"));
        };
        let run = self.run.as_ref().expect("a manifest is made of a run");
        let is_table = manifest.is_some_and(|manifest| manifest.file().as_str().ends_with("TimeData.txt"));
        let source = if is_table { run.table.file() } else { run.samples.file() };
        common.send(link, &Message::Chunk { file, chunk, octets: len, zstd: false }, os);
        os.perform(Effect::SendFile { link, file: source, offset, len });
        Ok(0)
    }

    /// The other side has one of our files.
    pub(super) fn on_got(
        &mut self,
        place: u32,
        file: &str,
        common: &mut Common,
        now: Now,
        os: &mut dyn Os,
    ) -> Result<u64, Fault> {
        let Some(which) = self.own.iter().position(|manifest| manifest.file().as_str() == file) else {
            return fault(ErrorCode::UnknownFile, format!("{file} is not mine"));
        };
        self.others.at_mut(place).given[which] = true;
        self.after_progress(place, common, now, os);
        Ok(0)
    }

    fn say_got(&mut self, place: u32, name: &FileName, common: &mut Common, os: &mut dyn Os) {
        if let Way::Open { link, .. } = self.others.at(place).way {
            common.send(link, &Message::Got { file: name.as_str() }, os);
        }
    }

    /// A copy is on disk under its name.
    pub(super) fn on_copy_stored(
        &mut self,
        place: u32,
        which: usize,
        common: &mut Common,
        now: Now,
        os: &mut dyn Os,
    ) {
        let other = self.others.at_mut(place);
        let Theirs::Storing { file } = other.theirs[which] else { return };
        common.release(file, os);
        other.theirs[which] = Theirs::Stored;
        other.pause = PAIR_PAUSE_MIN;
        let name = other.files()[which].clone();
        log::debug!("file received id={} file={name}", self.label());
        self.say_got(place, &name, common, os);
        self.after_progress(place, common, now, os);
    }

    /// The disk refused a copy: it is given up and fetched again after a pause.
    pub(super) fn on_copy_failed(
        &mut self,
        place: u32,
        which: usize,
        error: ErrorKind,
        common: &mut Common,
        now: Now,
        os: &mut dyn Os,
    ) {
        let other = self.others.at_mut(place);
        let (Theirs::Fetching { file, .. } | Theirs::Storing { file }) = &other.theirs[which] else { return };
        let (file, name) = (*file, other.files()[which].clone());
        common.release(file, os);
        other.theirs[which] = Theirs::Wanted;
        let trouble = format!("{name} could not be stored: {error}");
        if self.others.at(place).trouble.as_ref() != Some(&trouble) {
            log::error!("copy not stored id={} file={name} error=\"{error}\"; trying again", self.label());
        }
        let other = self.others.at_mut(place);
        other.pause = PAIR_PAUSE_MAX;
        if let Some(link) = other.way.link() {
            common.close(link, CloseReason::Unwanted, os);
            self.after_link(place, link, &trouble, now);
        }
        self.drive(common, now, os);
    }
}
