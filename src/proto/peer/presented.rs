//! Files that another machine of the driver has for us, which are offered to everybody: under which names, and
//! until when. Whoever does this ends only when it is asked to. Reads no file.

mod names;

use std::collections::{BTreeMap, BTreeSet};

use crate::proto::limits::{
    GONE_LINES_MAX, PRESENTED_FORGOTTEN_SLICE, PRESENTED_KNOWN_PER_OFFERED, PRESENTED_LOOK_PERIOD,
    PRESENTED_SLICE, PRESENTED_SLICE_PAUSE, WITHDRAWN_SLICE,
};
use crate::proto::machine::{CloseReason, Effect, FolderFile, Os, Stamp};
use crate::proto::peer::Peers;
use crate::proto::peer::common::{Common, Timer};
use crate::proto::peer::guest::{Asked, Guest, Offer};
use crate::proto::peer::library::{ItemId, State};
use crate::proto::peer::member::{Contact, Member};
use crate::proto::peer::offer::Trouble;
use crate::proto::peer::presented::names::Names;
use crate::proto::text::quotable;
use crate::proto::time::{Mono, Now};

/// What is known of them.
#[derive(Debug, Default)]
pub(super) struct Presented {
    /// By their paths, in order.
    items: BTreeMap<Box<str>, Presentable>,
    /// How many of these are gone.
    gone: usize,
    /// What they are offered as.
    names: Names,
    /// Files whose turn has not come: a whole folder at once would hold everybody else on the loop.
    coming: BTreeMap<Box<str>, Stamp>,
    /// There was no room for a file, and it has been said.
    is_full_told: bool,
    /// Of those that were gone at the last look, the log has one line for all.
    is_gone_told: bool,
    /// Files that were there at the last look, are not offered, and that nobody has presented: offered if they are the same
    /// at the next look, for somebody may be writing them.
    found: BTreeMap<Box<str>, Stamp>,
    /// When the folder is looked at next.
    next_look: Mono,
    /// The last trouble that was told, so that it is told once.
    pub(super) told: Option<String>,
}

/// A file that was offered once.
#[derive(Debug)]
struct Presentable {
    item: ItemId,
    /// What it was before it was opened.
    stamp: Stamp,
    /// It was removed or replaced, or somebody writes to it.
    gone: Option<Gone>,
}

/// How far the end of a file has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gone {
    /// It is still offered, and why it is not to be.
    ToTakeBack(&'static str),
    /// It is not offered any more.
    TakenBack,
}

impl Presented {
    /// Whether one more would be too many. `is_new`: nothing is kept of it. What is kept of files that are gone is bounded too.
    fn is_full(&self, is_new: bool, max: usize) -> bool {
        let (known, offered) = (self.items.len(), self.items.len() - self.gone);
        offered >= max || is_new && known >= PRESENTED_KNOWN_PER_OFFERED * max
    }

    /// A file is there, and to be offered.
    fn put(&mut self, path: Box<str>, item: ItemId, stamp: Stamp) {
        let former = self.items.insert(path, Presentable { item, stamp, gone: None });
        self.gone -= usize::from(former.is_some_and(|former| former.gone.is_some()));
    }

    /// Some files are still to be taken back.
    pub(super) fn has_to_take_back(&self) -> bool {
        self.items.values().any(|known| matches!(known.gone, Some(Gone::ToTakeBack(_))))
    }

    /// The first of them, and why; from now on they count as taken back.
    fn take_back_some(&mut self) -> Vec<(ItemId, &'static str)> {
        let taken_back = self.items.values_mut().filter_map(|known| {
            let Some(Gone::ToTakeBack(why)) = known.gone else { return None };
            known.gone = Some(Gone::TakenBack);
            Some((known.item, why))
        });
        taken_back.take(WITHDRAWN_SLICE).collect()
    }

    /// Finds what is not what it was any more, and why; how many. `is_all`: nothing else is there; otherwise nothing is known of
    /// what comes behind the last.
    fn note_gone(&mut self, files: &[FolderFile], is_all: bool) -> usize {
        let last = files.last().filter(|_| !is_all);
        let mut there = files.iter().peekable();
        let mut gone = 0;
        for (path, known) in &mut self.items {
            while there.next_if(|file| *file.name < **path).is_some() {}
            let why = match there.next_if(|file| *file.name == **path) {
                Some(file) if file.stamp == known.stamp => continue,
                Some(_) => "it is another one now",
                None if last.is_some_and(|last| **path > *last.name) => continue,
                None => "it is not in its folder any more",
            };
            if known.gone.is_none() {
                known.gone = Some(Gone::ToTakeBack(why));
                gone += 1;
            }
        }
        self.gone += gone;
        gone
    }

    /// Those that can be offered: they are as they were at the last look.
    fn note_found(&mut self, files: &[FolderFile]) -> Vec<(Box<str>, Stamp)> {
        let is_offered = |name: &str| self.items.get(name).is_some_and(|known| known.gone.is_none());
        let others = files.iter().filter(|file| !is_offered(&file.name));
        let found = others.map(|file| (file.name.as_str().into(), file.stamp)).collect();
        let before = std::mem::replace(&mut self.found, found);
        let stays = self.found.iter().filter(|(path, stamp)| before.get(*path) == Some(stamp));
        stays.map(|(path, stamp)| (path.clone(), *stamp)).collect()
    }

    pub(super) fn check_invariants(&self) {
        assert_eq!(self.gone, self.items.values().filter(|known| known.gone.is_some()).count());
    }
}

impl Guest {
    /// It ends only when it is asked to.
    pub(super) fn stays(&self) -> bool {
        self.orders.presented_max > 0
    }
}

impl Peers {
    pub(super) fn on_presented(&mut self, path: &str, stamp: Stamp, now: Now) {
        self.members.iter_mut().for_each(|member| member.on_presented(path, stamp, &mut self.common, now));
    }

    /// What is in our folder.
    pub(super) fn on_surveyed(&mut self, files: &[FolderFile], now: Now) {
        self.members.iter_mut().for_each(|member| member.on_surveyed(files, &mut self.common, now));
    }
}

impl Member {
    /// It ends only when it is asked to.
    pub(super) fn stays(&self) -> bool {
        self.guest.as_ref().is_some_and(Guest::stays)
    }

    /// A file of our folder is whole.
    fn on_presented(&mut self, path: &str, stamp: Stamp, common: &mut Common, now: Now) {
        let Some(guest) = self.guest.as_mut().filter(|guest| guest.stays()) else { return };
        guest.presented.coming.insert(path.into(), stamp);
        let timer = Timer::Present(self.index);
        if common.wheel.deadline(&timer).is_none() {
            common.wheel.insert(timer, now.mono);
        }
    }

    /// Some of those whose turn has not come.
    pub(super) fn take_presented(&mut self, common: &mut Common, now: Now, os: &mut dyn Os) {
        for _ in 0..PRESENTED_SLICE {
            let first = self.guest.as_mut().and_then(|guest| guest.presented.coming.pop_first());
            let Some((path, stamp)) = first else { return };
            self.take(path, stamp, common, os);
        }
        common.wheel.insert(Timer::Present(self.index), now.mono + PRESENTED_SLICE_PAUSE);
    }

    /// One that was offered before may be another one now, and is looked at anew.
    fn take(&mut self, path: Box<str>, stamp: Stamp, common: &mut Common, os: &mut dyn Os) {
        let Some(guest) = &mut self.guest else { return };
        let presented = &mut guest.presented;
        let known = presented.items.get(&path);
        let is_offered = known.is_some_and(|known| known.gone.is_none());
        let known = known.map(|known| known.item);
        if !is_offered && presented.is_full(known.is_none(), guest.orders.presented_max) {
            if !std::mem::replace(&mut presented.is_full_told, true) {
                let limit = guest.orders.presented_max;
                log::warn!("no more files are offered until some are removed limit={limit}");
            }
            return;
        }
        let item = known.unwrap_or_else(|| {
            let name = presented.names.free(&path, |name| self.library.find(name).is_some());
            if name.as_str() != &*path {
                log::info!("file offered under another name file=\"{}\" as={name}", quotable(&path));
            }
            self.library.expect(name, None)
        });
        presented.put(path.clone(), item, stamp);
        if known.is_some() && guest.waits(item) {
            return;
        }
        let name = self.library.at(item).name.clone();
        self.offer_anew(item, Offer { path: path.into(), name, chunks: None }, common, os);
    }

    /// Looks from time to time whether what is offered is still there, for an open file keeps its room on the disk, and what an
    /// operator has put there.
    pub(super) fn look_at_folder(&mut self, now: Now, os: &mut dyn Os) {
        let Some(guest) = self.guest.as_mut().filter(|guest| guest.stays()) else { return };
        let files_max = guest.orders.presented_max;
        let presented = &mut guest.presented;
        if now.mono >= presented.next_look {
            presented.next_look = now.mono + PRESENTED_LOOK_PERIOD;
            os.perform(Effect::Survey { files_max });
        }
    }

    fn on_surveyed(&mut self, files: &[FolderFile], common: &mut Common, now: Now) {
        if self.forget_gone(common) {
            self.wake_withdrawals(common, now);
        }
        let Some(guest) = self.guest.as_mut().filter(|guest| guest.stays()) else { return };
        let max = guest.orders.presented_max;
        let presented = &mut guest.presented;
        let gone = presented.note_gone(files, files.len() < max);
        presented.is_gone_told = gone > GONE_LINES_MAX;
        if presented.is_gone_told {
            log::warn!(
                "files not offered files={gone} why=\"they are gone from their folder, or others now\""
            );
        }
        presented.is_full_told &= presented.is_full(true, max);
        let found = presented.note_found(files);
        if gone > 0 {
            self.wake_withdrawals(common, now);
        }
        for (path, stamp) in found {
            self.on_presented(&path, stamp, common, now);
        }
    }

    /// Some of those that are gone: closing thousands at once would hold everybody else on the loop.
    pub(super) fn take_back_more(&mut self, common: &mut Common, now: Now, os: &mut dyn Os) {
        let Some(Guest { presented, .. }) = &mut self.guest else { return };
        let is_told = presented.is_gone_told;
        for (item, why) in presented.take_back_some() {
            self.take_back(item, (why, is_told), common, now, os);
        }
    }

    /// Offers a file no more, however far it has come.
    fn take_back(
        &mut self,
        item: ItemId,
        (why, is_told): (&str, bool),
        common: &mut Common,
        now: Now,
        os: &mut dyn Os,
    ) {
        let Some(Guest { to_look_at, offered, looked_at, .. }) = &mut self.guest else { return };
        let waited = to_look_at.len();
        to_look_at.retain(|place| offered[*place].item != item);
        let mut was_offered = to_look_at.len() < waited;
        let taken_back = self.library.at_mut(item);
        if let State::Checking { .. } = taken_back.state {
            *looked_at -= 1;
            taken_back.close(common, os);
            was_offered = true;
        }
        if was_offered {
            self.drop_offer(item, Trouble::Withdrawn(why.to_owned()), is_told, common, now, os);
            return self.open_more_offers(common, os);
        }
        self.withdraw(item, (why, is_told), common, now, os);
    }

    /// Gives up what is known of files that were gone at the last look, once the server knows that too: there may be any number
    /// of them in a life. Some at once; returns whether there may be more.
    pub(super) fn forget_gone(&mut self, common: &Common) -> bool {
        let Some(guest) = self.guest.as_mut().filter(|guest| guest.presented.gone > 0) else { return false };
        // The places of what waits to be looked at are those of what is offered.
        if self.contact.joined().is_none() || !guest.to_register.is_empty() || !guest.to_look_at.is_empty() {
            return false;
        }
        let Guest { presented, to_withdraw, asked, put_off, offered, .. } = guest;
        let waiting = asked.iter().filter_map(|asked| match asked {
            Asked::Register(item) | Asked::Withdraw(item) => Some(*item),
            _ => None,
        });
        let waiting: BTreeSet<ItemId> = waiting.chain(put_off.iter().copied()).collect();
        // What is asked for is answered first: its place would be another file's.
        let wanted = common.serving.files();
        let Presented { items, gone, names, coming, found, .. } = presented;
        let mut over = BTreeSet::new();
        items.retain(|path, Presentable { item, gone, .. }| {
            let is_over = over.len() < PRESENTED_FORGOTTEN_SLICE
                && *gone == Some(Gone::TakenBack)
                && self.library.at(*item).file().is_none()
                && !(to_withdraw.contains(item) || waiting.contains(item) || wanted.contains(item))
                && !(coming.contains_key(path) || found.contains_key(path));
            if is_over {
                names.give_back(path, &self.library.at(*item).name);
                over.insert(*item);
            }
            !is_over
        });
        let forgotten = over.len();
        *gone -= forgotten;
        if forgotten == 0 {
            return false;
        }
        offered.retain(|offered| !over.contains(&offered.item));
        for other in self.others.iter_mut() {
            other.takes_part.retain(|item| !over.contains(item));
            other.sent.retain(|(item, _)| !over.contains(item));
        }
        for item in over {
            let forgotten = self.library.at_mut(item);
            (forgotten.state, forgotten.manifest, forgotten.trouble) = (State::Wanted, None, None);
            self.library.retire(item);
        }
        forgotten == PRESENTED_FORGOTTEN_SLICE
    }

    /// Trouble that would be the end of another is told once, and all is tried again for as long as it takes.
    pub(super) fn stay(&mut self, why: &str, common: &mut Common, now: Now, os: &mut dyn Os) {
        let Some(guest) = &mut self.guest else { return };
        if guest.presented.told.as_deref() != Some(why) {
            guest.presented.told = Some(why.to_owned());
            log::warn!("files are not offered id={} why=\"{why}\" then=\"it is tried again\"", self.label());
        }
        if let Contact::Up(link) | Contact::Joining(link) | Contact::Joined(link) = self.contact {
            common.close(link, CloseReason::Unwanted, os);
            self.on_server_down(why, common, now, os);
        }
    }
}
