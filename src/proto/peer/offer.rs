//! What a guest has to offer: tells the server which files, and how much of each, and takes back what
//! cannot be offered. Looks at no file and serves none.

use std::fmt;

use crate::proto::limits::{
    REGISTER_AGAIN_PAUSE, REGISTER_TRIES_MAX, REGISTERS_AHEAD_BYTES, REGISTERS_AHEAD_MAX,
};
use crate::proto::machine::Os;
use crate::proto::peer::common::Common;
use crate::proto::peer::guest::Asked;
use crate::proto::peer::library::{ItemId, State};
use crate::proto::peer::member::Member;
use crate::proto::swarm::Manifest;
use crate::proto::time::Now;
use crate::proto::wire::{ErrorCode, Message, Portion};

/// Why a file is not offered, as it follows the file's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It never was: the disk or the server refused it.
    Refused(String),
    /// It is not what it was.
    Withdrawn(String),
    /// A download that will not be whole.
    Failed(String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Refused(why) => write!(f, "cannot be offered: {why}"),
            Trouble::Withdrawn(why) => write!(f, "is not offered any more: {why}"),
            Trouble::Failed(why) => write!(f, "was not got: {why}"),
        }
    }
}

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
                Asked::Download(_) | Asked::Search | Asked::Command | Asked::Farewell => 0,
            });
            let ahead: u64 = ahead.sum();
            let full = guest.asked.len() >= REGISTERS_AHEAD_MAX;
            if full || ahead > 0 && ahead + octets(item) > REGISTERS_AHEAD_BYTES {
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
        let withdrawn = matches!(held.trouble, Some(Trouble::Withdrawn(_)));
        let portion = match &held.state {
            State::Whole { file: Some(_) } | State::Storing { .. } => Portion::All,
            State::Fetching { .. } => Portion::None,
            // The server goes by what it heard before.
            State::Whole { file: None } if withdrawn => Portion::None,
            State::Whole { file: None } | State::Wanted | State::Checking { .. } => return,
        };
        let (file, bytes) = (held.name.as_str(), manifest.bytes());
        let (chunk_bytes, octets) = (manifest.chunk_bytes(), manifest.octets());
        common.scratch.clear();
        Message::Register { file, bytes, chunk_bytes, octets, held: portion }.encode(&mut common.scratch);
        manifest.encode_hashes(&mut common.scratch);
        common.send_scratch(link, os);
        guest.asked.push_back(Asked::Register(item));
        if let Some(picker) = held.picker() {
            let stored = picker.stored().ranges().flat_map(|(first, last)| first..=last).collect();
            self.library.at_mut(item).unreported = stored;
        }
    }

    pub(super) fn on_registered(&mut self, file: &str, holders: u64, common: &mut Common, os: &mut dyn Os) {
        let Some(guest) = &mut self.guest else { return };
        if let Some(Asked::Register(item)) = guest.asked.front().cloned() {
            guest.asked.pop_front();
            let registered = self.library.at_mut(item);
            if registered.file().is_some() {
                (registered.is_registered, registered.registers_refused) = (true, 0);
                // The server on the same loop says it as well.
                let level = if guest.stays() { log::Level::Debug } else { log::Level::Info };
                log::log!(level, "file offered file={file} holders={holders}");
            }
            self.on_typed_registered(item, holders);
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
        withdrawn.unreported.clear();
        let trouble = Trouble::Withdrawn(why.to_owned());
        withdrawn.trouble = Some(trouble.clone());
        self.register(item, common, os);
        self.drop_offer(item, trouble, false, common, now, os);
    }

    /// The server does not take a file. That may be a matter of the moment if a limit is the reason.
    pub(super) fn on_register_refused(
        &mut self,
        item: ItemId,
        (code, text): (ErrorCode, &str),
        common: &mut Common,
        now: Now,
        os: &mut dyn Os,
    ) {
        let was_typed = self.refuse_registered(item, code, text);
        let Some(guest) = &mut self.guest else { return };
        let refused = self.library.at_mut(item);
        if refused.trouble.is_some() {
            return;
        }
        if code == ErrorCode::LimitReached && !was_typed && refused.registers_refused < REGISTER_TRIES_MAX {
            refused.registers_refused += 1;
            if guest.put_off.is_empty() {
                log::warn!(
                    "server has no room for a file file={} why=\"{text}\" then=\"it is tried again\"",
                    refused.name
                );
            }
            guest.put_off.push(item);
            guest.put_off_until = now.mono + REGISTER_AGAIN_PAUSE;
            return;
        }
        let offered = guest.offers(item);
        if let (State::Whole { file: Some(file) }, true) = (&refused.state, offered) {
            common.release(*file, os);
            refused.turn(State::Whole { file: None });
        }
        if offered || refused.is_whole() {
            return self.drop_offer(item, Trouble::Refused(text.to_owned()), was_typed, common, now, os);
        }
        let why = format!("{} cannot be offered: {text}", refused.name);
        self.fail_file(item, code, &why, common, now, os);
    }

    /// Registers again what the server had no room for.
    pub(super) fn register_put_off(&mut self, common: &mut Common, now: Now, os: &mut dyn Os) {
        if let Some(guest) = self.guest.as_mut().filter(|guest| now.mono >= guest.put_off_until) {
            let put_off = std::mem::take(&mut guest.put_off);
            put_off.into_iter().for_each(|item| self.register(item, common, os));
        }
    }

    /// Nobody gets anything of a file from here, nor hears of it. The others stay; without any, it ends.
    pub(super) fn drop_offer(
        &mut self,
        item: ItemId,
        trouble: Trouble,
        is_told: bool,
        common: &mut Common,
        now: Now,
        os: &mut dyn Os,
    ) {
        let is_told = is_told || self.refuse_registered(item, ErrorCode::LocalDisk, &trouble.to_string());
        let Some(guest) = &self.guest else { return };
        let dropped = self.library.at_mut(item);
        let why = format!("{} {trouble}", dropped.name);
        (dropped.is_registered, dropped.trouble) = (false, Some(trouble));
        let offered = guest.offers(item);
        // Who shares is told by who runs it, at once.
        let level = match offered {
            true if guest.stays() => log::Level::Warn,
            true => log::Level::Info,
            false => log::Level::Error,
        };
        log::log!(level, "file not offered why=\"{why}\"");
        let all_gone = guest.offered.iter().all(|offered| self.library.at(offered.item).trouble.is_some());
        if guest.talker.is_some() {
            if !is_told {
                self.show_file(item);
            }
        } else if offered && all_gone && guest.orders.get.is_none() && !guest.stays() {
            self.fail(&why, common, now, os);
        }
    }
}
