//! Members that lost their links: how long their places are kept, and when they are forgotten.
//! Never decides who gets a name.

use crate::proto::exchange::Answerer;
use crate::proto::ids::{Key, Name};
use crate::proto::limits::{GROUPS_MAX, LOST_KEEP, MEMBERS_MAX};
use crate::proto::server::directory::{Absence, Directory, Member};
use crate::proto::time::{Mono, Now};

impl Directory {
    /// The member's link is gone; it may come back with its key.
    pub(in crate::proto::server) fn lose(&mut self, group: &Name, id: &Name, accounts: Answerer, now: Now) {
        if let Some(member) = self.member_mut(group, id) {
            let forget_at = member.until.max(now.mono) + LOST_KEEP;
            member.link = None;
            member.absence = Some(Absence { accounts, since: now.wall, forget_at });
            self.lost.insert((forget_at, *group, *id));
        }
    }

    /// When the next lost member is forgotten.
    pub(in crate::proto::server) fn next_forget(&self) -> Option<Mono> {
        self.lost.first().map(|(at, ..)| *at)
    }

    /// Forgets the lost members whose time is over.
    pub(in crate::proto::server) fn forget_lost(&mut self, now: Mono) {
        while let Some((_, group, id)) = self.lost.first().copied().filter(|(at, ..)| *at <= now) {
            self.lost.pop_first();
            let Some(listed) = self.groups.get_mut(&group) else { continue };
            let member = listed.members.remove(&id);
            self.cut_short |= member.is_some_and(|member| !member.done);
            if listed.members.is_empty() {
                self.groups.remove(&group);
            }
            log::info!("lost member forgotten group={group} id={id}");
        }
    }

    /// Forgets the groups that have no such member.
    fn keep_groups_with(&mut self, wanted: impl Fn(&Member) -> bool) {
        let cut_short = &mut self.cut_short;
        self.groups.retain(|_, group| {
            let stays = group.members.values().any(&wanted);
            *cut_short |= !stays && group.members.values().any(|member| !member.done);
            stays
        });
        self.forget_removed();
    }

    /// After members were removed in bulk.
    fn forget_removed(&mut self) {
        let groups = &self.groups;
        self.lost
            .retain(|(_, group, id)| groups.get(group).is_some_and(|group| group.members.contains_key(id)));
    }

    /// The run is over, also for those who were lost in it; true if there were such.
    pub(in crate::proto::server) fn end_runs(&mut self) -> bool {
        let mut cut_short = std::mem::take(&mut self.cut_short);
        for member in self.groups.values_mut().flat_map(|group| group.members.values_mut()) {
            cut_short |= !member.done;
            member.done = true;
        }
        cut_short
    }

    /// Forgets the groups of which nobody is there, and nobody's run can still be on.
    pub(in crate::proto::server) fn forget_dead(&mut self, now: Mono) {
        self.keep_groups_with(|member| member.link.is_some() || member.back_until() > now);
    }

    /// At a bound, lost members and groups that only wait for such make room.
    pub(super) fn make_room(&mut self, group: &Name, key: Option<Key>) {
        // Who comes back with its key is as good as here.
        let is_here = |member: &Member| member.link.is_some() || Some(member.key) == key;
        if self.groups.len() >= GROUPS_MAX {
            self.keep_groups_with(is_here);
        }
        if let Some(group) = self.groups.get_mut(group).filter(|group| group.members.len() >= MEMBERS_MAX) {
            self.cut_short |= group.members.values().any(|member| !is_here(member) && !member.done);
            group.members.retain(|_, member| is_here(member));
            self.forget_removed();
        }
    }
}
