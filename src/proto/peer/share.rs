//! A member after its run: whom to fetch from next, when everything is done, and when it is time
//! to give up.

use std::net::SocketAddr;
use std::time::Duration;

use crate::proto::ids::{Key, Name};
use crate::proto::limits::{
    LOOK_PERIOD, MEMBERS_MAX, PAIR_PAUSE_MIN, PAIR_WAIT, PAIRS_DIALED_MAX, PASS_ON_PATIENCE,
    PROCESS_PAIRS_DIALED_MAX, REPLY_TIMEOUT, SERVER_BACK_TIMEOUT, TRANSFER_SILENCE_TIMEOUT,
};
use crate::proto::machine::{CloseReason, Os};
use crate::proto::peer::common::{Common, DialFor, Timer};
use crate::proto::peer::library::{ItemId, State};
use crate::proto::peer::member::{Contact, Member, Stage};
use crate::proto::peer::other::{FILES, Other, OtherState, Way, files_of};
use crate::proto::peer::report::{Missing, Outcome};
use crate::proto::time::{Mono, Now};
use crate::proto::wire::{MemberState, Message};

impl Member {
    pub(super) fn begin_sharing(&mut self, common: &mut Common, now: Now, os: &mut dyn Os) {
        self.stage = Stage::Sharing;
        self.say_done(common, now, os);
        self.drive(common, now, os);
    }

    /// Tells the server that the run is over.
    pub(super) fn say_done(&mut self, common: &mut Common, now: Now, os: &mut dyn Os) {
        if let (Some(link), Some(run)) = (self.contact.joined(), &self.run) {
            let accounts = run.ticker.accounts();
            common.send(link, &Message::Done { sent: accounts.sent, answered: accounts.answered }, os);
            common.wheel.insert(Timer::Reply(self.index), now.mono + REPLY_TIMEOUT);
        }
    }

    /// Nothing may have happened for a while.
    pub(super) fn look_around(&mut self, common: &mut Common, now: Now, os: &mut dyn Os) {
        self.pass_on_overdue(common, now, os);
        for item in 0..self.library.len() as ItemId {
            self.begin_fetch(item, common, now, os);
        }
        self.drive(common, now, os);
    }

    /// What the directory says about a member. Another ticket means another membership under an old
    /// name: what is there of the former one counts no more.
    pub(super) fn learn(
        &mut self,
        id: Name,
        (addr, ticket): (SocketAddr, Key),
        (state, left_ns): (MemberState, u64),
        common: &mut Common,
        now: Now,
        os: &mut dyn Os,
    ) {
        let library = &mut self.library;
        let Some(place) = self.others.place(id, addr, ticket, OtherState::Running, library) else {
            log::warn!("too many members id={id} is not shared with, limit={MEMBERS_MAX}");
            return;
        };
        if self.others.at(place).ticket != ticket {
            self.drop_pair(place, common, now, os);
            self.others.at_mut(place).renew(ticket, OtherState::Running);
        }
        let owned = files_of(&id).map(|name| self.library.expect(name, Some(place)));
        let other = self.others.at_mut(place);
        other.records = Some(owned);
        let ends_at = now.mono + Duration::from_nanos(left_ns);
        let news = match state {
            MemberState::Running => OtherState::Running,
            MemberState::Done => OtherState::Done,
            MemberState::Lost => OtherState::Lost,
        };
        // The end of a run that is over is when we heard of it first.
        let was_over = matches!(other.state, OtherState::Done | OtherState::Lost);
        if news == OtherState::Running || !was_over {
            other.ends_at = if news == OtherState::Lost { now.mono } else { ends_at };
        }
        other.state = news;
        other.addr = addr;
        other.next_try = other.next_try.min(now.mono + PAIR_PAUSE_MIN);
    }

    /// Does what can be done now: dials, closes silent links, leaves, or gives up.
    pub(super) fn drive(&mut self, common: &mut Common, now: Now, os: &mut dyn Os) {
        if self.guest.is_some() {
            return self.drive_guest(common, now, os);
        }
        if self.stage != Stage::Sharing {
            return;
        }
        let Some(share_deadline) = common.config.share_deadline else {
            return self.leave_when_known(Vec::new(), common, now, os);
        };
        self.close_silent(common, now, os);
        let library = &self.library;
        let over = |other: &Other| other.is_hopeless(library) && !self.comes_from_others(other, now);
        if self.others.iter().all(|other| other.is_complete(library) || over(other)) {
            if let Some(until) = self.lingers_until().filter(|until| *until > now.mono) {
                common.wheel.insert(Timer::Share(self.index), until);
                return;
            }
            return self.leave_when_known(self.missing(), common, now, os);
        }
        let deadline = self.last_end(now.mono) + share_deadline;
        if now.mono >= deadline {
            self.outcome = Outcome::Missing(self.missing());
            log::error!("sharing given up at its deadline id={}", self.label());
            self.end("the deadline for sharing is over", common, os);
            return;
        }
        self.dial_pairs(common, now, os);
        let next_try =
            self.others.iter().map(|other| other.next_try).filter(|next_try| *next_try > now.mono).min();
        let next_look = next_try.unwrap_or(deadline).min(now.mono + LOOK_PERIOD);
        common.wheel.insert(Timer::Share(self.index), next_look.min(deadline));
    }

    /// The end of the last run of the group, ours included.
    fn last_end(&self, now: Mono) -> Mono {
        let own = self.run_end().unwrap_or(now);
        own.max(self.others.last_end())
    }

    fn dial_pairs(&mut self, common: &mut Common, now: Now, os: &mut dyn Os) {
        let Some(own) = self.name() else { return };
        // A link over which nothing more will come takes nobody's place.
        let library = &self.library;
        let active = |other: &&Other| {
            other.stored(library) < FILES
                && matches!(other.way, Way::Dialing(_) | Way::Asking(_) | Way::Open { dialed: true, .. })
        };
        let mut active = self.others.iter().filter(active).count();
        let fair_share = PROCESS_PAIRS_DIALED_MAX / common.config.ids.len().max(1);
        let active_max = fair_share.clamp(1, PAIRS_DIALED_MAX);
        let index = self.index;
        let ready_since = self.run_end().unwrap_or(now.mono);
        // A file that nobody with a link holds may be held by anybody.
        let stuck =
            library.iter().any(|item| item.picker().is_some_and(|picker| picker.progress().sources == 0));
        for (place, other) in self.others.iter_mut().enumerate() {
            if active >= active_max {
                break;
            }
            let idle = other.way == Way::None && other.next_try <= now.mono;
            let wanted = stuck || !other.is_complete(library);
            if !idle || !wanted || !other.is_reachable(now.mono) || other.is_hopeless(library) {
                continue;
            }
            // The smaller name dials; the greater only when that has not come for a while.
            let waited = now.mono - other.ends_at.max(ready_since) > PAIR_WAIT;
            if own < other.id || waited {
                let dial = common.dial(other.addr, DialFor::Pair(index, place as u32), os);
                other.way = Way::Dialing(dial);
                active += 1;
            }
        }
    }

    /// A link that owes us something and brings nothing is worse than none.
    pub(super) fn close_silent(&mut self, common: &mut Common, now: Now, os: &mut dyn Os) {
        for place in 0..self.others.len() as u32 {
            let other = self.others.at(place);
            let owes = !other.gets.is_empty()
                || matches!(other.way, Way::Asking(_))
                || (self.waits_for_offers(other) && matches!(other.way, Way::Open { .. }));
            let silent = now.mono - other.heard > TRANSFER_SILENCE_TIMEOUT;
            if let (true, true, Some(link)) = (owes, silent, other.way.link()) {
                common.close(link, CloseReason::Silent, os);
                self.after_link(place, link, "it went silent", common, now, os);
            }
        }
    }

    /// Its owner is gone, and others may bring what is missing of its record: they do, or they have had no
    /// time yet to say what they hold.
    fn comes_from_others(&self, owner: &Other, now: Now) -> bool {
        let fresh = now.mono - owner.heard <= TRANSFER_SILENCE_TIMEOUT;
        let linked = self.others.iter().any(|other| matches!(other.way, Way::Open { .. }));
        let pickers = owner.records.iter().flatten().filter_map(|item| self.library.at(*item).picker());
        owner.is_trusted() && pickers.into_iter().any(|picker| picker.is_busy() || (fresh && linked))
    }

    /// Who has the record of an owner that left early stays a little while others may want it or get it.
    fn lingers_until(&self) -> Option<Mono> {
        let has_it = |other: &Other| {
            let mut records = other.records.iter().flatten().map(|item| self.library.at(*item));
            records.any(|item| matches!(item.state, State::Whole { file: Some(_) }))
        };
        let mut owners = self.others.iter().filter(|other| other.state == OtherState::Early && has_it(other));
        owners.next().map(|owner| owner.heard.max(self.passed_on_at) + PASS_ON_PATIENCE)
    }

    fn waits_for_offers(&self, other: &Other) -> bool {
        other.records.iter().flatten().any(|item| self.library.at(*item).manifest.is_none())
    }

    /// Everything is done as far as it can be. Leaves once the server knows that the run is over.
    fn leave_when_known(&mut self, missing: Vec<Missing>, common: &mut Common, now: Now, os: &mut dyn Os) {
        if !missing.is_empty() {
            // Not LEAVE: that says that nothing is missing.
            self.outcome = Outcome::Missing(missing);
            return self.end("files are missing", common, os);
        }
        self.outcome = Outcome::Complete;
        match self.contact {
            Contact::Joined(link) if self.done_known => {
                self.stage = Stage::Leaving;
                common.send(link, &Message::Leave { epoch: self.epoch }, os);
                common.wheel.insert(Timer::Reply(self.index), now.mono + REPLY_TIMEOUT);
            }
            // The answer to DONE is on its way, or the time for it runs out.
            Contact::Joined(_) => {}
            // The server may be back in a moment, and know of others. If it is not, nobody can join
            // any more, so nobody is left behind.
            _ => {
                let give_up = *self.alone_until.get_or_insert(now.mono + SERVER_BACK_TIMEOUT);
                if now.mono >= give_up {
                    log::warn!(
                        "the server did not come back id={} then=\"who joined since stays unknown\"",
                        self.label()
                    );
                    return self.end("done", common, os);
                }
                common.wheel.insert(Timer::Share(self.index), give_up);
            }
        }
    }

    /// Who lacks what.
    pub(super) fn missing(&self) -> Vec<Missing> {
        let mut missing = Vec::new();
        let own = self.name().map(|id| files_of(&id));
        for other in self.others.iter().filter(|other| !other.is_complete(&self.library)) {
            let state = match other.state {
                OtherState::Running => "its run was on when the server last spoke of it",
                OtherState::Done => "its run is over",
                OtherState::Lost => "it was lost",
                OtherState::Complete => "it left",
                OtherState::Early => "it left before everything was shared",
                OtherState::Guest => "it is a guest",
            };
            let why = other
                .trouble
                .as_ref()
                .map_or_else(|| state.to_owned(), |trouble| format!("{state}; {trouble}"));
            let items = other.records.iter().flatten().map(|item| self.library.at(*item));
            for item in items.filter(|item| !item.is_whole()) {
                missing.push(Missing {
                    file: item.name.to_string(),
                    of: other.id,
                    at: self.label(),
                    why: why.clone(),
                });
            }
            if other.is_served() {
                continue;
            }
            for (file, _) in own.iter().flatten().zip(&other.given).filter(|(_, given)| !**given) {
                missing.push(Missing {
                    file: file.to_string(),
                    of: self.id.unwrap_or(other.id),
                    at: other.id.to_string(),
                    why: why.clone(),
                });
            }
        }
        missing
    }

    /// Lets go of every link to others and of every unfinished file.
    pub(super) fn drop_pairs(&mut self, common: &mut Common, os: &mut dyn Os) {
        for other in self.others.iter_mut() {
            if let Way::Dialing(dial) = other.way {
                common.dials.remove(&dial);
            }
            if let Some(link) = other.way.link() {
                common.serving.drop_link(link);
                common.close(link, CloseReason::Done, os);
            }
            other.let_go();
        }
        for item in self.library.iter_mut() {
            item.close(common, os);
        }
    }

    /// Lets go of the link and the unfinished files of a pair.
    pub(super) fn drop_pair(&mut self, place: u32, common: &mut Common, now: Now, os: &mut dyn Os) {
        let way = self.others.at(place).way;
        if let Way::Dialing(dial) = way {
            common.dials.remove(&dial);
        }
        if let Some(link) = way.link() {
            common.close(link, CloseReason::Done, os);
        }
        self.lose_link(place, common, now, os);
        for item in self.others.at(place).records.into_iter().flatten() {
            self.forget_file(item, common, os);
        }
    }
}
