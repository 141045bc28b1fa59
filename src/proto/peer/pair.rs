//! The direct link between two members: how it comes to be, what is offered, asked for, served
//! and stored over it, and what happens when it breaks.

use std::io::ErrorKind;

use crate::proto::ids::{DialId, FileName, Key, LinkId, Name};
use crate::proto::limits::{CHUNKS_IN_FLIGHT_MAX, PAIR_PAUSE_MAX, PAIR_PAUSE_MIN};
use crate::proto::machine::{CloseReason, Effect, Os};
use crate::proto::peer::common::{Common, FileFor, Session, Whose};
use crate::proto::peer::member::{Member, Stage};
use crate::proto::peer::other::{FILES, Incoming, Theirs, Way};
use crate::proto::record::names;
use crate::proto::time::Now;
use crate::proto::transfer::{Fetch, Manifest};
use crate::proto::wire::{ErrorCode, Message, Role, VERSION};

/// What the other side did wrong.
type Fault = (ErrorCode, String);

fn fault<T>(code: ErrorCode, text: impl Into<String>) -> Result<T, Fault> {
    Err((code, text.into()))
}

impl Member {
    // --- How a link comes to be ---------------------------------------------------------------

    pub(super) fn on_pair_up(&mut self, place: u32, dial: DialId, link: LinkId, common: &mut Common, now: Now, os: &mut dyn Os) {
        let other = self.others.at_mut(place);
        if other.way != Way::Dialing(dial) {
            os.perform(Effect::Close { link, reason: CloseReason::Unwanted });
            return;
        }
        common.sessions.insert(link, Session::new(Whose::Pair(self.index, place)));
        other.way = Way::Asking(link);
        other.heard = now.mono;
        let (to, ticket, group) = (other.id, other.ticket, common.config.group);
        let from = self.name().expect("only a member that joined dials others");
        common.send(link, &Message::Link { group, from, to, ticket }, os);
    }

    pub(super) fn on_pair_dial_failed(
        &mut self,
        place: u32,
        dial: DialId,
        why: &str,
        common: &mut Common,
        now: Now,
        os: &mut dyn Os,
    ) {
        let other = self.others.at_mut(place);
        if other.way == Way::Dialing(dial) {
            other.way = Way::None;
            other.back_off(&format!("cannot connect to {}: {why}", other.addr), now.mono);
            self.drive(common, now, os);
        }
    }

    /// Another member asks for the link of our pair, over a link that it dialed.
    pub(super) fn on_link_request(
        &mut self,
        link: LinkId,
        from: Name,
        ticket: Key,
        common: &mut Common,
        now: Now,
        os: &mut dyn Os,
    ) -> Result<(), (ErrorCode, &'static str)> {
        let own = self.name().expect("asked for by its name");
        let Some(place) = self.others.find(&from) else {
            return Err((ErrorCode::UnknownMember, "the server has not told me of you"));
        };
        if self.others.at(place).ticket != ticket {
            log::warn!("direct link refused id={own} claims={from} why=\"wrong ticket\"");
            return Err((ErrorCode::WrongTicket, "that is not the ticket of our pair"));
        }
        if self.stage != Stage::Sharing {
            return Err((ErrorCode::NotYet, "my run is not over"));
        }
        match self.others.at(place).way {
            // Both dialed: the link that the smaller name dialed is kept.
            Way::Dialing(_) | Way::Asking(_) | Way::Open { dialed: true, .. } if own < from => {
                return Err((ErrorCode::Duplicate, "I have dialed you, and my name is the smaller one"));
            }
            Way::None => {}
            // Theirs is better than ours; and a new one of theirs is better than an old one.
            way => {
                if let Way::Dialing(dial) = way {
                    common.dials.remove(&dial);
                }
                if let Some(old) = way.link() {
                    common.close(old, CloseReason::Duplicate, os);
                }
                self.lose_link(place);
            }
        }
        if let Some(session) = common.sessions.get_mut(link) {
            session.whose = Whose::Pair(self.index, place);
        }
        self.others.at_mut(place).way = Way::Open { link, dialed: false };
        common.send(link, &Message::OkLink, os);
        self.offer(place, link, common, now, os);
        Ok(())
    }

    /// The link is open: says what there is.
    fn offer(&mut self, place: u32, link: LinkId, common: &mut Common, now: Now, os: &mut dyn Os) {
        let other = self.others.at_mut(place);
        other.heard = now.mono;
        other.pause = PAIR_PAUSE_MIN;
        for manifest in &self.own {
            let (file, bytes) = (manifest.file().as_str(), manifest.bytes());
            let (chunk_bytes, octets) = (manifest.chunk_bytes(), manifest.octets());
            common.scratch.clear();
            Message::Offer { file, bytes, chunk_bytes, octets }.encode(&mut common.scratch);
            manifest.encode_hashes(&mut common.scratch);
            os.perform(Effect::Send { link, bytes: &common.scratch });
        }
    }

    // --- What comes over it -------------------------------------------------------------------

    /// Handles a line; returns how many octets it announces.
    pub(super) fn on_pair_line(
        &mut self,
        place: u32,
        link: LinkId,
        line: &[u8],
        common: &mut Common,
        now: Now,
        os: &mut dyn Os,
    ) -> u64 {
        self.others.at_mut(place).heard = now.mono;
        let handled = match Message::parse(line) {
            Ok(Message::Greeting { version, role, .. }) if (version, role) == (VERSION, Role::Peer) => Ok(0),
            Ok(Message::OkLink) => self.on_link_granted(place, link, common, now, os),
            Ok(Message::Offer { file, bytes, chunk_bytes, octets }) => {
                self.on_offer(place, file, (bytes, chunk_bytes, octets), common, now, os)
            }
            Ok(Message::Get { file, chunk }) => self.on_get(link, file, chunk, common, os),
            Ok(Message::Chunk { file, chunk, octets }) => self.on_chunk(place, file, chunk, octets),
            Ok(Message::Got { file }) => self.on_got(place, file, common, now, os),
            Ok(Message::Err { code, text }) => {
                self.on_pair_error(place, link, code, text, common, now, os);
                Ok(0)
            }
            Ok(other) => fault(ErrorCode::OutOfPlace, format!("{} is not said between members", other.verb())),
            Err(error) => fault(error.code(), error.to_string()),
        };
        handled.unwrap_or_else(|fault| {
            self.condemn(place, link, fault, common, now, os);
            0
        })
    }

    fn on_link_granted(&mut self, place: u32, link: LinkId, common: &mut Common, now: Now, os: &mut dyn Os) -> Result<u64, Fault> {
        let other = self.others.at_mut(place);
        if other.way != Way::Asking(link) {
            return fault(ErrorCode::OutOfPlace, "nobody asked for a link");
        }
        other.way = Way::Open { link, dialed: true };
        self.offer(place, link, common, now, os);
        Ok(0)
    }

    /// The other side has a file for us.
    fn on_offer(
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
        other.incoming = Incoming::Offer { which, bytes, chunk_bytes, octets: Vec::with_capacity(octets as usize) };
        if octets == 0 {
            self.on_manifest(place, common, now, os)?;
        }
        Ok(octets)
    }

    fn on_chunk(&mut self, place: u32, file: &str, chunk: u64, octets: u64) -> Result<u64, Fault> {
        let other = self.others.at_mut(place);
        let which = other.files().iter().position(|own| own.as_str() == file);
        let Some((which, Theirs::Fetching { fetch, .. })) = which.map(|which| (which, &mut other.theirs[which])) else {
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
    fn on_manifest(&mut self, place: u32, common: &mut Common, now: Now, os: &mut dyn Os) -> Result<(), Fault> {
        let own = self.name().expect("a member with a link has a name");
        let other = self.others.at_mut(place);
        let Incoming::Offer { which, bytes, chunk_bytes, octets } = std::mem::replace(&mut other.incoming, Incoming::None)
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

    fn on_chunk_end(&mut self, place: u32, link: LinkId, common: &mut Common, os: &mut dyn Os) -> Result<(), Fault> {
        let other = self.others.at_mut(place);
        let Incoming::Chunk { which } = std::mem::replace(&mut other.incoming, Incoming::None) else { return Ok(()) };
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
    fn on_get(&mut self, link: LinkId, file: &str, chunk: u64, common: &mut Common, os: &mut dyn Os) -> Result<u64, Fault> {
        let manifest = self.own.iter().find(|manifest| manifest.file().as_str() == file);
        let Some((offset, len)) = manifest.and_then(|manifest| manifest.range(chunk)) else {
            return fault(ErrorCode::UnknownFile, format!("I have no chunk {chunk} of {file}"));
        };
        let run = self.run.as_ref().expect("a manifest is made of a run");
        let is_table = manifest.is_some_and(|manifest| manifest.file().as_str().ends_with("TimeData.txt"));
        let source = if is_table { run.table.file() } else { run.samples.file() };
        common.send(link, &Message::Chunk { file, chunk, octets: len }, os);
        os.perform(Effect::SendFile { link, file: source, offset, len });
        Ok(0)
    }

    /// The other side has one of our files.
    fn on_got(&mut self, place: u32, file: &str, common: &mut Common, now: Now, os: &mut dyn Os) -> Result<u64, Fault> {
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
    pub(super) fn on_copy_stored(&mut self, place: u32, which: usize, common: &mut Common, now: Now, os: &mut dyn Os) {
        let other = self.others.at_mut(place);
        let Theirs::Storing { file } = other.theirs[which] else { return };
        common.release(file, os);
        other.theirs[which] = Theirs::Stored;
        let name = other.files()[which].clone();
        log::debug!("file received id={} file={name}", self.label());
        self.say_got(place, &name, common, os);
        self.after_progress(place, common, now, os);
    }

    /// The disk refused a copy: it is given up and fetched again after a pause.
    pub(super) fn on_copy_failed(&mut self, place: u32, which: usize, error: ErrorKind, common: &mut Common, now: Now, os: &mut dyn Os) {
        let other = self.others.at_mut(place);
        let (Theirs::Fetching { file, .. } | Theirs::Storing { file }) = &other.theirs[which] else { return };
        let (file, name) = (*file, other.files()[which].clone());
        common.release(file, os);
        other.theirs[which] = Theirs::Wanted;
        log::error!("copy not stored id={} file={name} error=\"{error}\"; trying again", self.label());
        let other = self.others.at_mut(place);
        other.pause = PAIR_PAUSE_MAX;
        if let Some(link) = other.way.link() {
            common.close(link, CloseReason::Unwanted, os);
            self.after_link(place, link, &format!("{name} could not be stored: {error}"), common, now);
        }
        self.drive(common, now, os);
    }

    /// The pair may be complete; then its link has done its work.
    fn after_progress(&mut self, place: u32, common: &mut Common, now: Now, os: &mut dyn Os) {
        let other = self.others.at_mut(place);
        if let (true, Some(link)) = (other.is_complete(), other.way.link()) {
            other.way = Way::None;
            common.close(link, CloseReason::Done, os);
        }
        self.drive(common, now, os);
    }

    // --- How it ends --------------------------------------------------------------------------

    #[allow(clippy::too_many_arguments)] // one line of the protocol
    fn on_pair_error(&mut self, place: u32, link: LinkId, code: ErrorCode, text: &str, common: &mut Common, now: Now, os: &mut dyn Os) {
        let other = self.others.at(place);
        log::debug!("member refused id={} other={} code={} text=\"{text}\"", self.label(), other.id, code.as_str());
        common.close(link, CloseReason::Refused, os);
        self.after_link(place, link, text, common, now);
        self.drive(common, now, os);
    }

    /// The other side broke the protocol: it is told how, and after a few times given up.
    fn condemn(&mut self, place: u32, link: LinkId, (code, text): Fault, common: &mut Common, now: Now, os: &mut dyn Os) {
        let other = self.others.at_mut(place);
        other.lies += 1;
        log::warn!("member misbehaved other={} times={} why=\"{text}\"", other.id, other.lies);
        common.send(link, &Message::Err { code, text: &text }, os);
        common.close(link, CloseReason::Misbehaved, os);
        self.after_link(place, link, &text, common, now);
        self.drive(common, now, os);
    }

    /// The link went down by itself.
    pub(super) fn on_pair_down(&mut self, place: u32, link: LinkId, why: &str, common: &mut Common, now: Now, os: &mut dyn Os) {
        self.after_link(place, link, why, common, now);
        self.drive(common, now, os);
    }

    /// The pair has no link any more, for a reason that a new one may not have.
    pub(super) fn after_link(&mut self, place: u32, link: LinkId, why: &str, _common: &mut Common, now: Now) {
        if self.others.at(place).way.link() != Some(link) {
            return;
        }
        self.lose_link(place);
        let other = self.others.at_mut(place);
        if !other.is_complete() {
            other.back_off(why, now.mono);
        }
    }

    fn lose_link(&mut self, place: u32) {
        let other = self.others.at_mut(place);
        other.way = Way::None;
        other.incoming = Incoming::None;
        for which in 0..FILES {
            if let Theirs::Fetching { fetch, .. } = &mut other.theirs[which] {
                fetch.forget_asked();
            }
        }
    }
}
