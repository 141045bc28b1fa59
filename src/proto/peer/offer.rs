//! What a guest has to offer: tells the server which files, and how much of each, and takes back what
//! cannot be offered. Looks at no file and serves none.

use crate::proto::limits::REGISTERS_AHEAD_BYTES;
use crate::proto::machine::{Effect, Os};
use crate::proto::peer::common::Common;
use crate::proto::peer::guest::Asked;
use crate::proto::peer::library::{ItemId, State};
use crate::proto::peer::member::Member;
use crate::proto::swarm::Manifest;
use crate::proto::time::Now;
use crate::proto::wire::{Message, Portion};

impl Member {
    /// Tells the server what we hold of a file, as soon as it has taken enough of the others.
    pub(super) fn register(&mut self, item: ItemId, common: &mut Common, os: &mut dyn Os) {
        let Some(guest) = self.guest.as_mut().filter(|guest| !guest.to_register.contains(&item)) else {
            return;
        };
        guest.to_register.push_back(item);
        self.register_more(common, os);
    }

    /// The hashes of all files together may be more than the queue of a link takes.
    pub(super) fn register_more(&mut self, common: &mut Common, os: &mut dyn Os) {
        while let (Some(_), Some(guest)) = (self.contact.joined(), &mut self.guest)
            && let Some(item) = guest.to_register.front().copied()
        {
            let library = &self.library;
            let octets = |item: ItemId| library.at(item).manifest.as_ref().map_or(0, Manifest::octets);
            let ahead = guest.asked.iter().map(|asked| match asked {
                Asked::Register(item) => octets(*item),
                Asked::Download | Asked::Search => 0,
            });
            let ahead: u64 = ahead.sum();
            if ahead > 0 && ahead + octets(item) > REGISTERS_AHEAD_BYTES {
                return;
            }
            guest.to_register.pop_front();
            self.say_register(item, common, os);
        }
    }

    fn say_register(&mut self, item: ItemId, common: &mut Common, os: &mut dyn Os) {
        let (Some(link), Some(guest)) = (self.contact.joined(), &mut self.guest) else { return };
        let held = self.library.at(item);
        let Some(manifest) = &held.manifest else { return };
        let portion = match &held.state {
            State::Whole { file: Some(_) } | State::Storing { .. } => Portion::All,
            State::Fetching { .. } => Portion::None,
            State::Whole { file: None } | State::Wanted | State::Checking { .. } => return,
        };
        let (file, bytes) = (held.name.as_str(), manifest.bytes());
        let (chunk_bytes, octets) = (manifest.chunk_bytes(), manifest.octets());
        common.scratch.clear();
        Message::Register { file, bytes, chunk_bytes, octets, held: portion }.encode(&mut common.scratch);
        manifest.encode_hashes(&mut common.scratch);
        if let Some(picker) = held.picker() {
            for (first, last) in picker.stored().ranges() {
                Message::Have { file, first, last }.encode(&mut common.scratch);
            }
        }
        os.perform(Effect::Send { link, bytes: &common.scratch });
        guest.asked.push_back(Asked::Register(item));
    }

    pub(super) fn on_registered(&mut self, file: &str, holders: u64, common: &mut Common, os: &mut dyn Os) {
        let Some(guest) = &mut self.guest else { return };
        if let Some(Asked::Register(item)) = guest.asked.front().copied() {
            guest.asked.pop_front();
            let registered = self.library.at_mut(item);
            if registered.file().is_some() {
                registered.is_registered = true;
                log::info!("file offered file={file} holders={holders}");
            }
            self.register_more(common, os);
        }
    }

    /// A file is not what was offered any more: nobody gets anything of it from here.
    pub(super) fn withdraw(
        &mut self,
        item: ItemId,
        why: &str,
        common: &mut Common,
        now: Now,
        os: &mut dyn Os,
    ) {
        let withdrawn = self.library.at_mut(item);
        let State::Whole { file: Some(file) } = withdrawn.state else { return };
        common.release(file, os);
        withdrawn.turn(State::Whole { file: None });
        withdrawn.is_registered = false;
        withdrawn.trouble = Some(why.to_owned());
        let name = withdrawn.name.clone();
        log::error!("file not offered any more file={name} why=\"{why}\"");
        self.unregister(item, common, os);
        let Some(guest) = &self.guest else { return };
        let offered = guest.offered.contains(&item);
        let all_gone = guest.offered.iter().all(|item| self.library.at(*item).trouble.is_some());
        if offered && all_gone && guest.orders.get.is_none() {
            self.fail(&format!("{name} is not offered any more: {why}"), common, now, os);
        }
    }

    /// Tells the server that we hold nothing of a file any more.
    pub(super) fn unregister(&mut self, item: ItemId, common: &mut Common, os: &mut dyn Os) {
        let (Some(link), Some(guest)) = (self.contact.joined(), &mut self.guest) else { return };
        let Some(manifest) = &self.library.at(item).manifest else { return };
        let (file, bytes, held) = (manifest.file().as_str(), manifest.bytes(), Portion::None);
        let (chunk_bytes, octets) = (manifest.chunk_bytes(), manifest.octets());
        common.scratch.clear();
        Message::Register { file, bytes, chunk_bytes, octets, held }.encode(&mut common.scratch);
        manifest.encode_hashes(&mut common.scratch);
        os.perform(Effect::Send { link, bytes: &common.scratch });
        guest.asked.push_back(Asked::Register(item));
    }
}
