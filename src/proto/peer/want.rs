//! Files that a guest wants: what the server is asked about each, when one is here, and when it is given up. What is
//! asked of others is in `fetch`.

use crate::proto::ids::FileName;
use crate::proto::limits::ASK_AGAIN_PAUSE;
use crate::proto::machine::Os;
use crate::proto::peer::common::Common;
use crate::proto::peer::guest::{Asked, Get, Guest};
use crate::proto::peer::library::{Item, ItemId, State};
use crate::proto::peer::member::Member;
use crate::proto::time::{Mono, Now, Period};
use crate::proto::wire::{ErrorCode, Message};

/// A file that is to be got, or one chunk of it.
#[derive(Debug)]
pub(super) struct Want {
    pub(super) get: Get,
    /// Its place in the library, once somebody has spoken of it.
    pub(super) item: Option<ItemId>,
    /// Why the server refused the last `DOWNLOAD`.
    refusal: Option<String>,
    /// When something of it came last, or may still come.
    progress_at: Mono,
    /// When the server is asked for it again.
    next_ask: Mono,
    /// When it was here.
    pub(super) got_at: Option<Mono>,
}

impl Want {
    pub(super) fn new(get: Get, now: Mono) -> Want {
        Want { get, item: None, refusal: None, progress_at: now, next_ask: now, got_at: None }
    }

    /// It is here, or the one chunk of it that is wanted.
    fn is_here(&self, wanted: &Item) -> bool {
        wanted.is_whole()
            || self
                .get
                .chunk
                .is_some_and(|chunk| wanted.picker().is_some_and(|picker| picker.stored().contains(chunk)))
    }
}

impl Guest {
    /// Everything that was wanted is here, and there was something.
    pub(super) fn has_got(&self) -> bool {
        !self.wants.is_empty() && self.wants.iter().all(|want| want.got_at.is_some())
    }

    /// The server has been found again.
    pub(super) fn ask_anew(&mut self, now: Mono) {
        for want in &mut self.wants {
            (want.progress_at, want.next_ask) = (now, now);
        }
    }

    /// Something is wanted that has not come for a while.
    pub(super) fn is_starved(&self, now: Mono) -> bool {
        let mut open = self.wants.iter().filter(|want| want.got_at.is_none());
        open.any(|want| now - want.progress_at >= ASK_AGAIN_PAUSE)
    }

    /// The server does not say who has it, for a reason that may pass.
    pub(super) fn note_refusal(&mut self, file: &FileName, text: &str) {
        for want in self.wants.iter_mut().filter(|want| want.get.name == *file) {
            want.refusal = Some(text.to_owned());
        }
    }
}

impl Member {
    /// The only chunks of a file that are wanted; `None`: all.
    pub(super) fn only_chunks(&self, item: ItemId) -> Option<Vec<u64>> {
        let guest = self.guest.as_ref()?;
        let wants = guest.wants.iter().filter(|want| want.item == Some(item));
        let chunks: Option<Vec<u64>> = wants.map(|want| want.get.chunk).collect();
        chunks.filter(|chunks| !chunks.is_empty())
    }

    /// The place of a file that is to be got, if that is the name of one.
    pub(super) fn wanted_item(&mut self, file: &str) -> Option<ItemId> {
        let guest = self.guest.as_mut()?;
        let mut wants = guest.wants.iter_mut().filter(|want| want.get.name.as_str() == file).peekable();
        let item = self.library.expect(wants.peek()?.get.name.clone(), None);
        wants.for_each(|want| want.item = Some(item));
        Some(item)
    }

    /// Files that have come since it was looked last: their wants.
    pub(super) fn note_got(&mut self, now: Now) {
        let Some(guest) = &mut self.guest else { return };
        let mut got = Vec::new();
        for want in guest.wants.iter_mut().filter(|want| want.got_at.is_none()) {
            if let Some(item) = want.item
                && want.is_here(self.library.at(item))
            {
                want.got_at = Some(now.mono);
                got.push(item);
            }
        }
        got.into_iter().for_each(|item| self.show_file(item));
    }

    /// Asks the server what the files consist of and who has some of them, again and again while
    /// nobody is there who could give what is missing.
    pub(super) fn ask_for_files(&mut self, common: &mut Common, now: Now, os: &mut dyn Os) {
        let mut place = 0;
        while let Some(guest) = &mut self.guest
            && let Some(want) = guest.wants.get_mut(place)
        {
            place += 1;
            if want.got_at.is_some() {
                continue;
            }
            let wanted = want.item.map(|item| self.library.at(item));
            let fed = wanted.is_some_and(is_fed);
            if fed {
                want.progress_at = now.mono;
            }
            if now.mono - want.progress_at >= want.get.wait {
                let why = self.why_not(place - 1);
                if self.give_up_want(place - 1, ErrorCode::UnknownFile, &why, common, now, os) {
                    return;
                }
                place -= 1;
                continue;
            }
            let asked = Asked::Download(want.get.name.clone());
            let busy = guest.asked.contains(&asked);
            if let (false, false, true, Some(link)) =
                (fed, busy, want.next_ask <= now.mono, self.contact.joined())
            {
                want.next_ask = now.mono + ASK_AGAIN_PAUSE;
                common.send(link, &Message::Download { file: want.get.name.as_str() }, os);
                guest.asked.push_back(asked);
            }
        }
    }

    fn why_not(&self, place: usize) -> String {
        let Some(want) = self.guest.as_ref().and_then(|guest| guest.wants.get(place)) else {
            return String::new();
        };
        let (name, wait) = (&want.get.name, Period(want.get.wait));
        let picker = want.item.and_then(|item| self.library.at(item).picker());
        let mut why = match (picker, &want.refusal) {
            (Some(_), _) => format!("nobody who holds the rest of {name} has been there for {wait}"),
            (None, Some(text)) => format!("the server refused: {text}"),
            (None, None) => format!("nobody has offered {name} for {wait}"),
        };
        for liar in self.others.iter().filter(|other| !other.is_trusted()) {
            why += &format!("; {} was given up, it brought wrong bytes", liar.id);
        }
        why
    }

    /// A file cannot be got: for who gets only that, it is the end.
    pub(super) fn fail_file(
        &mut self,
        item: ItemId,
        code: ErrorCode,
        why: &str,
        common: &mut Common,
        now: Now,
        os: &mut dyn Os,
    ) {
        if !self.talks() {
            return self.fail(why, common, now, os);
        }
        while let Some(guest) = &self.guest
            && let Some(place) =
                guest.wants.iter().position(|want| want.item == Some(item) && want.got_at.is_none())
        {
            self.give_up_want(place, code, why, common, now, os);
        }
    }

    /// Returns whether it was the end of everything.
    fn give_up_want(
        &mut self,
        place: usize,
        code: ErrorCode,
        why: &str,
        common: &mut Common,
        now: Now,
        os: &mut dyn Os,
    ) -> bool {
        if !self.talks() {
            self.fail(why, common, now, os);
            return true;
        }
        let Some(guest) = &mut self.guest else { return true };
        let want = guest.wants.remove(place);
        let is_alone = !guest.wants.iter().any(|other| other.get.name == want.get.name);
        let item = want.item.unwrap_or_else(|| self.library.expect(want.get.name, None));
        self.show_failed(item, code, why);
        if is_alone && !self.library.at(item).is_whole() {
            self.forget_file(item, common, os);
            self.say_withdrawn(item, common, now);
        }
        false
    }
}

/// Somebody is there who gives what is missing, or it is not a matter of who is there.
fn is_fed(item: &Item) -> bool {
    match &item.state {
        State::Fetching { picker, .. } => picker.is_busy(),
        // The disk is at work, or has no room.
        State::Checking { .. } | State::Storing { .. } | State::Whole { .. } => true,
        State::Wanted => item.manifest.is_some(),
    }
}
