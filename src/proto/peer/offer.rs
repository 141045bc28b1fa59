//! What a guest has to offer: tells the server which files, and how much of each, and takes back what
//! cannot be offered. Looks at no file and serves none.

use std::collections::BTreeSet;
use std::fmt;

use crate::proto::limits::{
    REGISTER_AGAIN_PAUSE, REGISTER_TRIES_MAX, REGISTERS_AHEAD_BYTES, REGISTERS_AHEAD_MAX, WITHDRAWN_PAUSE,
    WITHDRAWN_SLICE,
};
use crate::proto::machine::Os;
use crate::proto::peer::common::{Common, Timer};
use crate::proto::peer::guest::{Asked, Offer};
use crate::proto::peer::library::{ItemId, State, Told};
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
    /// One more file to look at and offer, or the same once more, for it may be another one now. What the server has of it stays
    /// until that is known, so that nobody gets its name meanwhile.
    pub(super) fn offer_anew(&mut self, item: ItemId, offer: Offer, common: &mut Common, os: &mut dyn Os) {
        let Some(guest) = &mut self.guest else { return };
        let offered = self.library.at_mut(item);
        if let State::Checking { .. } = offered.state {
            guest.looked_at -= 1;
        }
        offered.close(common, os);
        (offered.trouble, offered.registers_refused) = (None, 0);
        (offered.verified, offered.is_registered) = (None, false);
        guest.offer(item, offer);
        self.open_more_offers(common, os);
    }

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
                _ => 0,
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
        let Some(portion) = portion(&held.state) else { return };
        let (file, bytes) = (held.name.as_str(), manifest.bytes());
        let (chunk_bytes, octets) = (manifest.chunk_bytes(), manifest.octets());
        common.scratch.clear();
        Message::Register { file, bytes, chunk_bytes, octets, held: portion }.encode(&mut common.scratch);
        manifest.encode_hashes(&mut common.scratch);
        common.send_scratch(link, os);
        guest.asked.push_back(Asked::Register(item));
        let held = self.library.at_mut(item);
        if held.told == Told::Nothing {
            held.told = Told::Said;
        }
        if let Some(picker) = held.picker() {
            held.unreported = picker.stored().ranges().flat_map(|(first, last)| first..=last).collect();
        }
    }

    pub(super) fn on_registered(&mut self, file: &str, holders: u64, common: &mut Common, os: &mut dyn Os) {
        let Some(guest) = &mut self.guest else { return };
        if let Some(Asked::Register(item)) = guest.asked.front().cloned() {
            guest.asked.pop_front();
            let registered = self.library.at_mut(item);
            registered.told = Told::Taken;
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

    /// The server is to hear that we take no part in a file any more, if it was told that we do: a name that its user had in
    /// another session stays hers. Not at once: who stops offering a whole folder would say so faster than is agreed.
    pub(super) fn say_withdrawn(&mut self, item: ItemId, common: &mut Common, now: Now) {
        if let Some(guest) = self.guest.as_mut().filter(|_| self.library.at(item).told != Told::Nothing) {
            guest.to_withdraw.insert(item);
            self.wake_withdrawals(common, now);
        }
    }

    pub(super) fn wake_withdrawals(&self, common: &mut Common, now: Now) {
        let timer = Timer::Withdraw(self.index);
        if common.wheel.deadline(&timer).is_none() {
            common.wheel.insert(timer, now.mono);
        }
    }

    /// Some of the files that are to be taken back, some of those whose end the server is to hear of, and some of which nothing
    /// need be known any more.
    pub(super) fn withdraw_more(&mut self, common: &mut Common, now: Now, os: &mut dyn Os) {
        self.take_back_more(common, now, os);
        for _ in 0..WITHDRAWN_SLICE {
            let (Some(_), Some(guest)) = (self.contact.joined(), &mut self.guest) else { break };
            let Some(item) = guest.to_withdraw.first().copied() else { break };
            self.say_withdraw(item, common, os);
        }
        let is_joined = self.contact.joined().is_some();
        let is_more = self.guest.as_ref().is_some_and(|guest| {
            guest.presented.has_to_take_back() || is_joined && !guest.to_withdraw.is_empty()
        });
        if self.forget_gone(common) || is_more {
            common.wheel.insert(Timer::Withdraw(self.index), now.mono + WITHDRAWN_PAUSE);
        }
    }

    /// Says it now, if it is still to be said.
    pub(super) fn say_withdraw(&mut self, item: ItemId, common: &mut Common, os: &mut dyn Os) {
        let (Some(link), Some(guest)) = (self.contact.joined(), &mut self.guest) else { return };
        let ended = self.library.at_mut(item);
        // If it is offered once more, there is nothing to say.
        if guest.to_withdraw.remove(&item) && portion(&ended.state).is_none() {
            common.send(link, &Message::Withdraw { file: ended.name.as_str() }, os);
            ended.told = Told::Nothing;
            guest.asked.push_back(Asked::Withdraw(item));
        }
    }

    pub(super) fn on_withdrawn(&mut self, common: &mut Common, os: &mut dyn Os) {
        if let Some(guest) = &mut self.guest
            && let Some(Asked::Withdraw(_)) = guest.asked.front()
        {
            guest.asked.pop_front();
            self.register_more(common, os);
        }
    }

    /// A file is not what was offered any more: nobody gets anything of it from here. `is_told`: that is in the log already.
    pub(super) fn withdraw(
        &mut self,
        item: ItemId,
        (why, is_told): (&str, bool),
        common: &mut Common,
        now: Now,
        os: &mut dyn Os,
    ) {
        let withdrawn = self.library.at_mut(item);
        let State::Whole { file: Some(file) } = withdrawn.state else { return };
        common.release(file, os);
        withdrawn.turn(State::Whole { file: None });
        withdrawn.unreported.clear();
        self.drop_offer(item, Trouble::Withdrawn(why.to_owned()), is_told, common, now, os);
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
        let mut why = text.to_owned();
        if code == ErrorCode::FileDiffers {
            why += "; the same content in other chunks counts as another file";
        }
        let was_typed = self.refuse_registered(item, code, &why);
        let Some(guest) = &mut self.guest else { return };
        let refused = self.library.at_mut(item);
        if refused.told == Told::Said {
            refused.told = Told::Nothing;
        }
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
            return self.drop_offer(item, Trouble::Refused(why), was_typed, common, now, os);
        }
        let why = format!("{} cannot be offered: {text}", refused.name);
        self.fail_file(item, code, &why, common, now, os);
    }

    /// Registers again what the server had no room for.
    pub(super) fn register_put_off(&mut self, common: &mut Common, now: Now, os: &mut dyn Os) {
        if let Some(guest) = self.guest.as_mut().filter(|guest| now.mono >= guest.put_off_until) {
            let waiting: BTreeSet<ItemId> = guest.to_register.iter().copied().collect();
            guest.put_off.retain(|item| !waiting.contains(item));
            guest.to_register.extend(guest.put_off.drain(..));
            self.register_more(common, os);
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
        if !self.is_offered_as_before(item) {
            self.say_withdrawn(item, common, now);
        }
        let Some(guest) = &self.guest else { return };
        let dropped = self.library.at_mut(item);
        let why = format!("{} {trouble}", dropped.name);
        (dropped.is_registered, dropped.trouble) = (false, Some(trouble));
        let offered = guest.offers(item);
        // Who shares is told by who runs it, at once.
        let level = match offered {
            true if guest.stays() && is_told => log::Level::Debug,
            true if guest.stays() => log::Level::Warn,
            true => log::Level::Info,
            false => log::Level::Error,
        };
        log::log!(level, "file not offered why=\"{why}\"");
        if guest.talker.is_some() {
            if !is_told {
                self.show_file(item);
            }
            return self.offer_as_before(item, common, os);
        }
        let is_gone = |item: ItemId| self.library.at(item).trouble.is_some();
        let may_end = offered && guest.orders.get.is_none() && !guest.stays();
        if may_end && guest.offered.iter().all(|offered| is_gone(offered.item)) {
            self.fail(&why, common, now, os);
        }
    }
}

/// How much of a file we hold, if we take part in it.
fn portion(state: &State) -> Option<Portion> {
    match state {
        State::Whole { file: Some(_) } | State::Storing { .. } => Some(Portion::All),
        State::Fetching { .. } => Some(Portion::None),
        State::Whole { file: None } | State::Wanted | State::Checking { .. } => None,
    }
}
