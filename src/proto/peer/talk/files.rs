//! Files that a user offers and gets by command. What becomes of them is told as news; here they begin.

use crate::proto::ids::FileName;
use crate::proto::limits::{CONSOLE_FILES_MAX, DOWNLOAD_WAIT};
use crate::proto::machine::Os;
use crate::proto::peer::News;
use crate::proto::peer::common::Common;
use crate::proto::peer::guest::{Cut, Get, Offer, Offered};
use crate::proto::peer::library::{ItemId, State};
use crate::proto::peer::member::Member;
use crate::proto::peer::offer::Trouble;
use crate::proto::peer::status;
use crate::proto::peer::talk::What;
use crate::proto::peer::want::Want;
use crate::proto::swarm::Manifest;
use crate::proto::time::Now;
use crate::proto::wire::ErrorCode;

impl Member {
    fn refuse_typed(&mut self, code: ErrorCode, text: &str) {
        if let Some(talker) = self.talker() {
            talker.refuse(code, text);
        }
    }

    fn is_doing(&mut self, what: &What) -> bool {
        self.talker().is_some_and(|talker| talker.is_doing(what))
    }

    fn has_room_for_files(&self) -> bool {
        let files = self.guest.as_ref().map_or(0, |guest| guest.wants.len() + guest.offered.len());
        files < CONSOLE_FILES_MAX
    }

    // --- Offers -------------------------------------------------------------------------------

    pub(super) fn type_register(
        &mut self,
        name: FileName,
        chunks: Option<u64>,
        common: &mut Common,
        os: &mut dyn Os,
    ) {
        if self.contact.joined().is_none() {
            return self.refuse_typed(ErrorCode::ServerLost, "the server is gone; trying to reach it again");
        }
        let item = self.library.expect(name.clone(), None);
        let is_whole = self.library.at(item).is_whole();
        let is_idle = is_whole || matches!(self.library.at(item).state, State::Wanted);
        let is_wanted = |want: &Want| want.item == Some(item) && want.got_at.is_none();
        if !is_idle || self.guest.as_ref().is_some_and(|guest| guest.wants.iter().any(is_wanted)) {
            return self.refuse_typed(ErrorCode::OutOfPlace, "that file is being downloaded or looked at");
        }
        if !self.has_room_for_files() {
            let text = format!("one session has at most {CONSOLE_FILES_MAX} files");
            return self.refuse_typed(ErrorCode::LimitReached, &text);
        }
        let offered = self.library.at(item);
        let is_served = matches!(offered.state, State::Whole { file: Some(_) });
        let former = offered.manifest.as_ref().filter(|_| is_served).map(Manifest::chunk_bytes);
        if let Some(doing) = self.talker().and_then(|talker| talker.doing.as_mut()) {
            doing.what = What::Register(item);
        }
        self.offer_anew(item, Offer { path: name.to_string(), name, chunks }, common, os);
        if let Some(offered) = self.typed_offer(item) {
            offered.former = former;
        }
    }

    /// What is offered, if by somebody who talks.
    fn typed_offer(&mut self, item: ItemId) -> Option<&mut Offered> {
        let guest = self.guest.as_mut().filter(|guest| guest.talker.is_some())?;
        guest.offered.iter_mut().find(|offered| offered.item == item)
    }

    /// A `register` that fails changes nothing: the server has the file as it was offered before, and so it is offered again.
    pub(in crate::proto::peer) fn offer_as_before(
        &mut self,
        item: ItemId,
        common: &mut Common,
        os: &mut dyn Os,
    ) {
        let Some(offered) = self.typed_offer(item) else { return };
        let Some(chunk_bytes) = offered.former.take() else { return };
        offered.cut = Cut::AsBefore(chunk_bytes);
        if let Some(guest) = &mut self.guest {
            guest.to_look_at.extend(guest.offered.iter().position(|offered| offered.item == item));
        }
        let again = self.library.at_mut(item);
        (again.trouble, again.registers_refused) = (None, 0);
        self.open_more_offers(common, os);
    }

    /// Whether it is going to be, if this `register` fails.
    pub(in crate::proto::peer) fn is_offered_as_before(&mut self, item: ItemId) -> bool {
        self.typed_offer(item).is_some_and(|offered| offered.former.is_some())
    }

    /// A file that cannot be read is not offered as it was before, either.
    pub(in crate::proto::peer) fn forget_former_offer(&mut self, item: ItemId) {
        if let Some(offered) = self.typed_offer(item) {
            offered.former = None;
        }
    }

    /// The server has a file in its catalog as ours.
    pub(in crate::proto::peer) fn on_typed_registered(&mut self, item: ItemId, holders: u64) {
        self.forget_former_offer(item);
        if self.is_doing(&What::Register(item)) {
            let answer = format!("{} {holders}", self.library.at(item).name);
            if let Some(talker) = self.talker() {
                talker.answer(Ok(answer));
            }
        }
    }

    /// It does not take it, for that reason. Returns whether a command is answered with that.
    pub(in crate::proto::peer) fn refuse_registered(
        &mut self,
        item: ItemId,
        code: ErrorCode,
        text: &str,
    ) -> bool {
        let is_typed = self.is_doing(&What::Register(item));
        if is_typed {
            let mut text = text.to_owned();
            if code == ErrorCode::FileDiffers {
                text += " (searchFile says how many that one has)";
            }
            if self.is_offered_as_before(item) {
                text += "; it is offered as before";
            }
            self.refuse_typed(code, &text);
        }
        is_typed
    }

    // --- Downloads ----------------------------------------------------------------------------

    pub(super) fn type_download(
        &mut self,
        name: &FileName,
        chunk: Option<u64>,
        common: &mut Common,
        now: Now,
        os: &mut dyn Os,
    ) {
        let item = self.library.expect(name.clone(), None);
        let file = self.library.at(item);
        let is_here = matches!(file.state, State::Whole { file: Some(_) });
        let chunks = file.manifest.as_ref().map(|manifest| manifest.chunks());
        if let (Some(chunk), Some(chunks)) = (chunk, chunks)
            && chunk >= chunks
        {
            let text = format!("{name} has no chunk {}", chunk + 1);
            return self.refuse_typed(ErrorCode::UnknownChunk, &text);
        }
        let is_known = chunks.is_some() && !matches!(file.state, State::Whole { file: None });
        if !is_known && self.contact.joined().is_none() {
            return self.refuse_typed(ErrorCode::ServerLost, "the server is gone; trying to reach it again");
        }
        let Some(guest) = &mut self.guest else { return };
        let same = guest.wants.iter().position(|want| want.get.name == *name && want.get.chunk == chunk);
        if let Some(place) = same {
            if guest.wants[place].got_at.is_none() {
                return self.refuse_typed(ErrorCode::OutOfPlace, "that file is being downloaded already");
            }
            guest.wants.remove(place);
        }
        if !self.has_room_for_files() {
            let text = format!("one session has at most {CONSOLE_FILES_MAX} files");
            return self.refuse_typed(ErrorCode::LimitReached, &text);
        }
        if !is_known {
            self.say_withdraw(item, common, os);
            self.forget_file(item, common, os);
            self.library.at_mut(item).trouble = None;
        }
        let get = Get { name: name.clone(), chunk, wait: DOWNLOAD_WAIT, stay: std::time::Duration::ZERO };
        let mut want = Want::new(get, now.mono);
        want.item = Some(item);
        let Some(guest) = &mut self.guest else { return };
        guest.wants.push(want);
        if is_known {
            if let Some(talker) = self.talker() {
                talker.answer(Ok(name.to_string()));
            }
            if !is_here {
                // Others hold more than the chunks that were wanted until now.
                self.seek_anew(item, common, os);
            }
        } else if let Some(doing) = self.talker().and_then(|talker| talker.doing.as_mut()) {
            doing.what = What::Download(item);
        }
        self.drive(common, now, os);
    }

    /// It is known what a file consists of.
    pub(in crate::proto::peer) fn on_typed_begun(&mut self, item: ItemId) {
        if self.is_doing(&What::Download(item)) {
            let name = self.library.at(item).name.to_string();
            if let Some(talker) = self.talker() {
                talker.answer(Ok(name));
            }
        }
    }

    /// The server knows no such file, or does not say what it is. Returns whether a command is answered with that.
    pub(in crate::proto::peer) fn refuse_download(
        &mut self,
        file: &FileName,
        code: ErrorCode,
        text: &str,
        common: &mut Common,
        now: Now,
        os: &mut dyn Os,
    ) -> bool {
        let Some(item) = self.library.find(file.as_str()) else { return false };
        let is_typed = self.is_doing(&What::Download(item));
        if is_typed {
            self.fail_file(item, code, text, common, now, os);
        }
        is_typed
    }

    /// Something is still to come.
    pub(super) fn is_downloading(&self) -> bool {
        self.guest.as_ref().is_some_and(|guest| guest.wants.iter().any(|want| want.got_at.is_none()))
    }

    // --- News ---------------------------------------------------------------------------------

    /// A file is here, or is not offered any more.
    pub(in crate::proto::peer) fn show_file(&mut self, item: ItemId) {
        let status = status::status(self.library.at(item));
        if let Some(talker) = self.talker() {
            talker.show(News::File { status });
        }
    }

    /// A file will not come: the command is answered, or it is news.
    pub(in crate::proto::peer) fn show_failed(&mut self, item: ItemId, code: ErrorCode, why: &str) {
        if self.is_doing(&What::Download(item)) {
            return self.refuse_typed(code, why);
        }
        let mut status = status::status(self.library.at(item));
        status.trouble = Some(Trouble::Failed(why.to_owned()));
        if let Some(talker) = self.talker() {
            talker.show(News::File { status });
        }
    }
}
