//! Files that another machine of the driver has for us, which are offered to everybody: under which names, and
//! until when. Whoever does this ends only when it is asked to. Reads no file.

mod names;

use std::collections::{BTreeMap, BTreeSet};

use crate::proto::limits::{PRESENTED_LOOK_PERIOD, PRESENTED_SLICE, PRESENTED_SLICE_PAUSE};
use crate::proto::machine::{CloseReason, Effect, Os};
use crate::proto::peer::Peers;
use crate::proto::peer::common::{Common, Timer};
use crate::proto::peer::guest::{Guest, Offer};
use crate::proto::peer::library::{ItemId, State};
use crate::proto::peer::member::{Contact, Member};
use crate::proto::peer::presented::names::Names;
use crate::proto::text::Shown;
use crate::proto::time::{Mono, Now};

/// What is known of them.
#[derive(Debug, Default)]
pub(super) struct Presented {
    /// By their paths, in order.
    items: BTreeMap<Box<str>, ItemId>,
    /// What they are offered as.
    names: Names,
    /// Paths whose turn has not come: a whole folder at once would hold everybody else on the loop.
    coming: BTreeSet<Box<str>>,
    /// There was no room for a file, and it was said so.
    is_full_told: bool,
    /// Paths of offered files that were not there at the last look.
    gone: BTreeSet<Box<str>>,
    /// Those that were there, and that nobody has presented: offered if they are at the next look as well, for
    /// somebody may be writing them.
    found: BTreeSet<Box<str>>,
    /// When the folder is looked at next.
    next_look: Mono,
    /// The last trouble that was told, so that it is told once.
    pub(super) told: Option<String>,
}

impl Guest {
    /// It ends only when it is asked to.
    pub(super) fn stays(&self) -> bool {
        self.orders.presented_max > 0
    }
}

impl Peers {
    pub(super) fn on_presented(&mut self, path: &str, now: Now) {
        self.members.iter_mut().for_each(|member| member.on_presented(path, &mut self.common, now));
    }

    /// What is in our folder.
    pub(super) fn on_surveyed(&mut self, names: &[String], now: Now, os: &mut dyn Os) {
        self.members.iter_mut().for_each(|member| member.on_surveyed(names, &mut self.common, now, os));
    }
}

impl Member {
    /// It ends only when it is asked to.
    pub(super) fn stays(&self) -> bool {
        self.guest.as_ref().is_some_and(Guest::stays)
    }

    /// A file of our folder is whole.
    fn on_presented(&mut self, path: &str, common: &mut Common, now: Now) {
        let Some(guest) = self.guest.as_mut().filter(|guest| guest.stays()) else { return };
        guest.presented.coming.insert(path.into());
        let timer = Timer::Present(self.index);
        if common.wheel.deadline(&timer).is_none() {
            common.wheel.insert(timer, now.mono);
        }
    }

    /// Some of those whose turn has not come.
    pub(super) fn take_presented(&mut self, common: &mut Common, now: Now, os: &mut dyn Os) {
        for _ in 0..PRESENTED_SLICE {
            let first = self.guest.as_mut().and_then(|guest| guest.presented.coming.pop_first());
            let Some(path) = first else { return };
            self.take(path, common, os);
        }
        common.wheel.insert(Timer::Present(self.index), now.mono + PRESENTED_SLICE_PAUSE);
    }

    /// One that was offered before may be another one now, and is looked at anew.
    fn take(&mut self, path: Box<str>, common: &mut Common, os: &mut dyn Os) {
        let Some(guest) = &mut self.guest else { return };
        let presented = &mut guest.presented;
        let known = presented.items.get(&path).copied();
        if known.is_none() && presented.items.len() >= guest.orders.presented_max {
            if !std::mem::replace(&mut presented.is_full_told, true) {
                let limit = guest.orders.presented_max;
                log::warn!("no more files are offered until the program starts anew limit={limit}");
            }
            return;
        }
        let item = known.unwrap_or_else(|| {
            let name = presented.names.free(&path, |name| self.library.find(name).is_some());
            if name.as_str() != &*path {
                log::info!("file offered under another name file=\"{}\" as={name}", Shown(&path));
            }
            self.library.expect(name, None)
        });
        presented.gone.remove(&path);
        presented.items.insert(path.clone(), item);
        if known.is_some() && guest.waits(item) {
            return;
        }
        let offered = self.library.at_mut(item);
        if let State::Checking { .. } = offered.state {
            guest.looked_at -= 1;
        }
        let name = offered.name.clone();
        offered.close(common, os);
        (offered.trouble, offered.registers_refused) = (None, 0);
        (offered.verified, offered.is_registered) = (None, false);
        guest.offer(item, Offer { path: path.into(), name, chunks: None });
        self.open_more_offers(common, os);
    }

    /// Looks from time to time whether what is offered is still there, for an open file keeps its room on the disk, and what an
    /// operator has put there.
    pub(super) fn look_at_folder(&mut self, now: Now, os: &mut dyn Os) {
        let Some(guest) = self.guest.as_mut().filter(|guest| guest.stays()) else { return };
        let names_max = guest.orders.presented_max;
        let presented = &mut guest.presented;
        if now.mono >= presented.next_look {
            presented.next_look = now.mono + PRESENTED_LOOK_PERIOD;
            os.perform(Effect::Survey { names_max });
        }
    }

    fn on_surveyed(&mut self, names: &[String], common: &mut Common, now: Now, os: &mut dyn Os) {
        let Some(guest) = self.guest.as_mut().filter(|guest| guest.stays()) else { return };
        // Where there were too many names, nothing is known of those behind the last.
        let is_all = names.len() < guest.orders.presented_max;
        let last = names.last().filter(|_| !is_all);
        let presented = &mut guest.presented;
        let mut there = names.iter().peekable();
        let mut gone = Vec::new();
        for (path, item) in &presented.items {
            while there.next_if(|name| ***name < **path).is_some() {}
            let is_there = there.peek().is_some_and(|name| ***name == **path);
            if !is_there && last.is_none_or(|last| **path < **last) && presented.gone.insert(path.clone()) {
                gone.push(*item);
            }
        }
        let is_full = presented.items.len() >= guest.orders.presented_max;
        let mut found = BTreeSet::new();
        for name in names {
            let is_new = !presented.items.contains_key(name.as_str()) && !is_full;
            if is_new || presented.gone.contains(name.as_str()) {
                found.insert(Box::from(name.as_str()));
            }
        }
        let before = std::mem::replace(&mut presented.found, found);
        let stays: Vec<Box<str>> = before.intersection(&presented.found).cloned().collect();
        for item in gone {
            self.withdraw(item, "it is not in its folder any more", common, now, os);
        }
        stays.iter().for_each(|path| self.on_presented(path, common, now));
    }

    /// Trouble that would be the end of another is told once, and all is tried again for as long as it takes.
    pub(super) fn stay(&mut self, why: &str, common: &mut Common, now: Now, os: &mut dyn Os) {
        let Some(guest) = &mut self.guest else { return };
        if guest.presented.told.as_deref() != Some(why) {
            guest.presented.told = Some(why.to_owned());
            log::warn!("files are not offered id={} why=\"{why}\"; trying again", self.label());
        }
        if let Contact::Up(link) | Contact::Joining(link) | Contact::Joined(link) = self.contact {
            common.close(link, CloseReason::Unwanted, os);
            self.on_server_down(why, common, now, os);
        }
    }
}
