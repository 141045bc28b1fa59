//! Giving files: what is held is told to those who want it, and chunks are sent, fairly between
//! links and within the limit for all of them.

use crate::proto::gcra::Gcra;
use crate::proto::ids::LinkId;
use crate::proto::limits::{CHUNKS_DOUBTED_MAX, GONE_GETS_BURST, GONE_GETS_PAUSE, WORD_PERIOD};
use crate::proto::machine::{Effect, Os};
use crate::proto::peer::common::{Common, Timer, Whose};
use crate::proto::peer::library::{Item, ItemId, State};
use crate::proto::peer::member::Member;
use crate::proto::peer::other::Way;
use crate::proto::peer::pack::Plan;
use crate::proto::peer::pair::{Fault, fault};
use crate::proto::swarm::{ChunkSet, Request, SourceId};
use crate::proto::time::{Mono, Now};
use crate::proto::wire::{ErrorCode, Message};

/// What one link may ask for of files that are gone.
const GONE_GETS: Gcra = Gcra::new(GONE_GETS_BURST, GONE_GETS_PAUSE);

impl Member {
    /// The link is open: says what our own record consists of.
    pub(super) fn offer(&mut self, place: u32, link: LinkId, common: &mut Common, os: &mut dyn Os) {
        if self.others.at(place).records.is_none() {
            return;
        }
        for item in self.own.iter().flatten() {
            let Some(manifest) = &self.library.at(*item).manifest else { continue };
            let (file, bytes) = (manifest.file().as_str(), manifest.bytes());
            let (chunk_bytes, octets) = (manifest.chunk_bytes(), manifest.octets());
            common.scratch.clear();
            Message::Offer { file, bytes, chunk_bytes, octets }.encode(&mut common.scratch);
            manifest.encode_hashes(&mut common.scratch);
            os.perform(Effect::Send { link, bytes: &common.scratch });
        }
    }

    /// The other side wants to know what we hold of a file, now and later.
    pub(super) fn on_want(
        &mut self,
        place: u32,
        link: LinkId,
        file: &str,
        root: blake3::Hash,
        common: &mut Common,
        os: &mut dyn Os,
    ) -> Result<u64, Fault> {
        let found = self.library.find(file).filter(|item| self.may_begin(place, *item));
        let item = found.map(|item| self.library.at_mut(item));
        let known =
            item.filter(|item| item.manifest.as_ref().is_some_and(|manifest| manifest.root() == root));
        let held = known.as_ref().and_then(|item| held(item));
        common.scratch.clear();
        let octets = held.as_ref().map_or(0, |held| ChunkSet::octets_of(held.chunks()));
        Message::Holds { file, octets }.encode(&mut common.scratch);
        held.iter().for_each(|held| held.encode(&mut common.scratch));
        os.perform(Effect::Send { link, bytes: &common.scratch });
        if let Some(item) = known.filter(|item| !item.is_whole() && !item.watchers.contains(&place)) {
            item.watchers.push(place);
        }
        Ok(0)
    }

    /// Whether one of the others may have something of a file: whom our user has blocked, only what it began with
    /// over this link before.
    fn may_begin(&mut self, place: u32, item: ItemId) -> bool {
        if !self.talks() {
            return true;
        }
        let is_blocked = self.has_blocked(&self.others.at(place).id);
        let begun = &mut self.others.at_mut(place).begun;
        if !is_blocked && !begun.contains(&item) {
            begun.push(item);
        }
        begun.contains(&item)
    }

    /// A chunk has come to be held here: those who wait for it hear of it.
    pub(super) fn tell_have(&mut self, item: ItemId, chunk: u64, common: &mut Common, os: &mut dyn Os) {
        let told = self.library.at(item);
        for place in &told.watchers {
            let has_it = told.picker().is_some_and(|picker| picker.holds(SourceId(*place), chunk));
            if let (Way::Open { link, .. }, false) = (self.others.at(*place).way, has_it) {
                let file = told.name.as_str();
                common.send(link, &Message::Have { file, first: chunk, last: chunk }, os);
            }
        }
    }

    /// A file is open again: those who were denied chunks of it meanwhile hear what there is.
    pub(super) fn tell_held(&mut self, item: ItemId, common: &mut Common, os: &mut dyn Os) {
        let told = self.library.at(item);
        let Some(held) = held(told) else { return };
        for place in &told.watchers {
            let Way::Open { link, .. } = self.others.at(*place).way else { continue };
            for (first, last) in held.ranges() {
                common.send(link, &Message::Have { file: told.name.as_str(), first, last }, os);
            }
        }
    }

    /// The other side wants a chunk.
    pub(super) fn on_get(
        &mut self,
        (place, link): (u32, LinkId),
        file: &str,
        chunk: u64,
        common: &mut Common,
        now: Now,
        os: &mut dyn Os,
    ) -> Result<u64, Fault> {
        let (item, stays) = (self.library.find(file), self.stays());
        let range = item.and_then(|item| self.library.at(item).manifest.as_ref()?.range(chunk));
        if item.is_some_and(|item| self.library.at(item).manifest.is_none()) {
            // Its owner has come back as another: what we had of it counts no more, but we had it.
            common.send(link, &Message::Deny { file, chunk }, os);
            return Ok(0);
        }
        let (Some(item), Some((_, len))) = (item, range) else {
            let until = &mut self.others.at_mut(place).gone_gets_until;
            if stays && GONE_GETS.take(until, 1, now.mono) {
                // It had that file, or another one of that name.
                common.send(link, &Message::Deny { file, chunk }, os);
                return Ok(0);
            }
            return fault(ErrorCode::UnknownFile, format!("I have no chunk {chunk} of {file}"));
        };
        if self.library.at(item).source_of(chunk).is_none() || !self.may_begin(place, item) {
            common.send(link, &Message::Deny { file, chunk }, os);
            return Ok(0);
        }
        if let Err(refusal) = common.serving.push(link, Request { file: item, chunk, len }) {
            return fault(ErrorCode::LimitReached, refusal.to_string());
        }
        common.wheel.insert(Timer::Serve, now.mono);
        Ok(0)
    }

    pub(super) fn on_cancel(
        &mut self,
        link: LinkId,
        file: &str,
        chunk: u64,
        common: &mut Common,
        os: &mut dyn Os,
    ) -> Result<u64, Fault> {
        if let Some(item) = self.library.find(file)
            && common.serving.cancel(link, item, chunk)
        {
            common.send(link, &Message::Deny { file, chunk }, os);
        }
        Ok(0)
    }

    /// A chunk goes out as it is.
    pub(super) fn send_chunk(
        &mut self,
        (link, place): (LinkId, u32),
        item: ItemId,
        chunk: u64,
        common: &mut Common,
        os: &mut dyn Os,
    ) -> u64 {
        let served = self.library.at(item);
        let file = served.name.as_str();
        let range = served.manifest.as_ref().and_then(|manifest| manifest.range(chunk));
        let (Some(source), Some((offset, len))) = (served.source_of(chunk), range) else {
            common.send(link, &Message::Deny { file, chunk }, os);
            return 0;
        };
        common.send(link, &Message::Chunk { file, chunk, octets: len, zstd: false }, os);
        os.perform(Effect::SendFile { link, file: source, offset, len });
        self.remember_sent(place, item, chunk);
        len
    }

    pub(super) fn remember_sent(&mut self, place: u32, item: ItemId, chunk: u64) {
        let sent = &mut self.others.at_mut(place).sent;
        sent.truncate(CHUNKS_DOUBTED_MAX - 1);
        sent.push_front((item, chunk));
    }

    /// So many bytes of a file went out, in so many octets.
    pub(super) fn count_served(&mut self, item: ItemId, (bytes, octets): (u64, u64), now: Now) {
        self.served_bytes += bytes;
        self.served_wire_bytes += octets;
        let served = self.library.at_mut(item);
        served.served_bytes += bytes;
        if served.owner.is_some() {
            self.passed_on_at = now.mono;
        }
    }

    /// The disk could not give what was announced to one of the others, or what it got was wrong: looks at
    /// what was sent last. A file may change, or shrink, or vanish while it is shared.
    pub(super) fn doubt(&mut self, place: u32, os: &mut dyn Os) {
        let sent = std::mem::take(&mut self.others.at_mut(place).sent);
        for (item, chunk) in sent.into_iter().filter(|_| self.guest.is_some()) {
            let served = self.library.at(item);
            let range = served.manifest.as_ref().and_then(|manifest| manifest.range(chunk));
            if let (Some(file), Some((offset, len))) = (served.source_of(chunk), range) {
                os.perform(Effect::Hash { file, offset, len });
            }
        }
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
        let item = self.library.find(file);
        let Some(which) = self.own.iter().position(|own| own.is_some() && *own == item) else {
            return fault(ErrorCode::UnknownFile, format!("{file} is not mine"));
        };
        self.others.at_mut(place).given[which] = true;
        self.after_progress(place, common, now, os);
        Ok(0)
    }

    /// Tells the owner that its file is whole and on disk here.
    pub(super) fn say_got(&mut self, place: u32, item: ItemId, common: &mut Common, os: &mut dyn Os) {
        if let Way::Open { link, .. } = self.others.at(place).way {
            common.send(link, &Message::Got { file: self.library.at(item).name.as_str() }, os);
        }
    }
}

/// What we hold of a file and can serve.
fn held(item: &Item) -> Option<ChunkSet> {
    match &item.state {
        State::Fetching { picker, .. } => Some(picker.stored().clone()),
        State::Storing { .. } | State::Whole { file: Some(_) } => {
            Some(ChunkSet::full(item.manifest.as_ref()?.chunks()))
        }
        // Nothing yet: whoever asks now is told of what comes.
        State::Wanted | State::Checking { .. } => Some(ChunkSet::new(item.manifest.as_ref()?.chunks())),
        State::Whole { file: None } => None,
    }
}

/// Sends every chunk whose turn it is, of all members of the process.
pub(super) fn serve(members: &mut [Member], common: &mut Common, now: Now, os: &mut dyn Os) {
    let (mut disk_is_busy, mut turn_is_spent) = (false, false);
    while let Some((link, request)) = common.serving.peek(now.mono) {
        let Request { file: item, chunk, .. } = request;
        let whose = common.sessions.get(link).map(|session| session.whose);
        let Some(Whose::Pair(member, place)) = whose else {
            common.serving.drop_link(link);
            continue;
        };
        let member = &mut members[member as usize];
        let plan = member.plan(place, link, request, common);
        match plan {
            Plan::Plain | Plan::Look => {
                common.serving.pop(now.mono);
                let sent = member.send_chunk((link, place), item, chunk, common, os);
                member.count_served(item, (sent, sent), now);
                if let Plan::Look = plan {
                    member.look_at(item, chunk, common, os);
                }
                member.library.at_mut(item).fit.pass();
            }
            Plan::Read { file, offset, len } => {
                common.serving.pop(now.mono);
                common.read_to_send(link, request, (file, offset, len), os);
            }
            Plan::Kept => {
                common.serving.pop(now.mono);
                member.send_kept((link, place), request, common, now, os);
            }
            Plan::Spent => {
                turn_is_spent = true;
                break;
            }
            Plan::Wait => common.serving.hold(link),
            Plan::Full => {
                disk_is_busy = true;
                break;
            }
        }
    }
    if common.serving.links().next().is_none() {
        return;
    }
    // Those that wait hear that they are not forgotten: an empty line.
    if now.mono >= common.word_at {
        common.word_at = now.mono + WORD_PERIOD;
        common.serving.links().for_each(|link| os.perform(Effect::Send { link, bytes: b"\n" }));
    }
    // Whoever is held is let go by the disk's answer, or when its link has taken what it has.
    let next_at = if turn_is_spent {
        Some(Mono(now.mono.0 + 1))
    } else {
        common.serving.next_at().filter(|_| !disk_is_busy)
    };
    let next_at = next_at.unwrap_or(common.word_at);
    common.wheel.insert(Timer::Serve, next_at.min(common.word_at));
}
