//! Who is in which group, and where: IDs, keys, tickets, states. Tells nobody anything; the role
//! sends what the directory's answers ask for.

mod lost;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use crate::proto::exchange::Answerer;
use crate::proto::ids::{Key, LinkId, Name};
use crate::proto::limits::{GROUPS_MAX, MEMBERS_MAX, RETURN_GRACE};
use crate::proto::record::utc_text;
use crate::proto::server::guests::Contact;
use crate::proto::time::{Mono, Wall};
use crate::proto::wire::{ErrorCode, MemberState, Message};

/// All groups of one server.
#[derive(Debug)]
pub(super) struct Directory {
    secret: [u8; 32],
    keys_made: u64,
    /// Until when members of an earlier life of the server may come back and find their numbers.
    grace_until: Mono,
    groups: BTreeMap<Name, Group>,
    /// When each lost member is forgotten.
    lost: BTreeSet<(Mono, Name, Name)>,
    /// A lost member was forgotten whose run never came to its end.
    cut_short: bool,
}

/// The peers that share.
#[derive(Debug, Default)]
pub(super) struct Group {
    epoch: u64,
    members: BTreeMap<Name, Member>,
}

/// One member, connected or lost.
#[derive(Debug)]
pub(super) struct Member {
    /// The link to it; `None` if it is lost.
    pub(super) link: Option<LinkId>,
    /// Where it comes from.
    pub(super) remote: SocketAddr,
    /// Since when, for people.
    pub(super) since: Wall,
    /// Its run is over.
    pub(super) done: bool,
    /// When its run ends or ended, as announced.
    pub(super) until: Mono,
    /// While it is lost.
    pub(super) absence: Option<Absence>,
    key: Key,
    /// Its number was assigned while one of an earlier life might still come back for it.
    on_trial: bool,
    /// Where it serves its files; 0 if it does not.
    port: u16,
}

/// What is kept of a lost member until it comes back.
#[derive(Debug)]
pub(super) struct Absence {
    /// The accounts of its ticks.
    accounts: Answerer,
    since: Wall,
    forget_at: Mono,
}

/// What a link asks for with `JOIN`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    pub(super) link: LinkId,
    pub(super) remote: SocketAddr,
    pub(super) group: Name,
    pub(super) id: Option<Name>,
    pub(super) port: u16,
    pub(super) duration: Duration,
    pub(super) key: Option<Key>,
}

/// A request that was granted.
#[derive(Debug)]
pub(super) struct Joined {
    pub(super) id: Name,
    pub(super) key: Key,
    pub(super) epoch: u64,
    /// The same membership goes on: with the accounts of its former link, and that link, if the
    /// server had not noticed that it is gone.
    pub(super) resumed: Option<(Option<LinkId>, Option<Answerer>)>,
    /// The newcomer that had the number on trial.
    pub(super) displaced: Option<LinkId>,
}

/// A request that was refused: an error code and a text for the one who asked.
pub(super) type Refusal = (ErrorCode, String);

/// An answer that is an error.
pub(super) fn refuse<T>(code: ErrorCode, text: impl Into<String>) -> Result<T, Refusal> {
    Err((code, text.into()))
}

/// What a request is worth against the one that has the ID, or had it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Claim {
    /// Nobody has it, or comes back for it.
    Free,
    /// The same membership goes on.
    Same,
    /// Who has it got it on trial, and this one had it before.
    Older,
    /// Nothing: another one has it.
    Taken,
    /// Nothing: the one that had it was lost in its run, and may come back with its key.
    Held,
}

impl Member {
    /// Until when it can come back into its run, if it is lost.
    pub(super) fn back_until(&self) -> Mono {
        if self.done { Mono(0) } else { self.until + RETURN_GRACE }
    }

    fn claim(&self, request: &Request, now: Mono, in_grace: bool) -> Claim {
        match request.key {
            Some(key) if key == self.key => Claim::Same,
            Some(_) if in_grace && self.on_trial && request.id.is_some() => Claim::Older,
            _ if self.link.is_some() => Claim::Taken,
            // Whoever was killed there may be started again there, and has lost its key with its life.
            _ if self.back_until() > now && self.remote.ip() != request.remote.ip() => Claim::Held,
            _ => Claim::Free,
        }
    }

    pub(super) fn shares(&self) -> bool {
        self.port != 0
    }

    /// How to reach it, if it is here.
    pub(super) fn contact(&self) -> Option<Contact> {
        let addr = SocketAddr::new(self.remote.ip(), self.port);
        Some(Contact { link: self.link?, addr, key: self.key })
    }

    /// What somebody else hears who asks for its ID.
    fn taken_text(&self, id: &Name, now: Mono) -> String {
        match &self.absence {
            None => format!("{id} is taken by {} since {}", self.remote, utc_text(self.since)),
            Some(absence) => {
                let (lost_at, left) = (utc_text(absence.since), self.back_until() - now);
                let left_s = left.as_secs() + 1;
                format!(
                    "{id} belongs to a member that was lost at {lost_at}; it is free again in {left_s} s, for its own host at once"
                )
            }
        }
    }

    fn state(&self) -> MemberState {
        match (self.link, self.done) {
            (None, _) => MemberState::Lost,
            (Some(_), true) => MemberState::Done,
            (Some(_), false) => MemberState::Running,
        }
    }
}

impl Directory {
    pub(super) fn new(secret: [u8; 32]) -> Directory {
        Directory {
            secret,
            keys_made: 0,
            grace_until: Mono(0),
            groups: BTreeMap::new(),
            lost: BTreeSet::new(),
            cut_short: false,
        }
    }

    /// The server's life begins.
    pub(super) fn start(&mut self, now: Mono) {
        self.grace_until = now + RETURN_GRACE;
    }

    pub(super) fn group(&self, group: &Name) -> Option<&Group> {
        self.groups.get(group)
    }

    pub(super) fn member(&self, group: &Name, id: &Name) -> Option<&Member> {
        self.groups.get(group)?.members.get(id)
    }

    pub(super) fn member_mut(&mut self, group: &Name, id: &Name) -> Option<&mut Member> {
        self.groups.get_mut(group)?.members.get_mut(id)
    }

    /// Members of all groups.
    pub(super) fn members(&self) -> impl Iterator<Item = &Member> {
        self.groups.values().flat_map(|group| group.members.values())
    }

    /// Gives a member its place.
    ///
    /// A server that starts anew does not know whose numbers are out there, and a fresh one must give
    /// out 0, 1, 2 at once. So numbers that it assigns within [`RETURN_GRACE`] of its start are on
    /// trial: who comes in that time with a key and asks for one of them by name has the older right,
    /// and the newcomer, seconds old, begins again. The key cannot be checked, for the secret that
    /// made it is gone; so a liar can make newcomers of the server's first seconds begin again,
    /// and nobody else: neither who asked for its name, nor who came back, nor anybody later.
    pub(super) fn join(&mut self, request: &Request, now: Mono, wall: Wall) -> Result<Joined, Refusal> {
        self.make_room(&request.group, request.key);
        if !self.groups.contains_key(&request.group) && self.groups.len() >= GROUPS_MAX {
            return Err((ErrorCode::LimitReached, format!("this server keeps at most {GROUPS_MAX} groups")));
        }
        let members = self.groups.get(&request.group).map(|group| &group.members);
        let id = match request.id {
            Some(id) => id,
            None => lowest_free(members),
        };
        let in_grace = now < self.grace_until;
        let former = members.and_then(|members| members.get(&id));
        let claim = former.map_or(Claim::Free, |former| former.claim(request, now, in_grace));
        let mut on_trial = in_grace && request.id.is_none();
        match (former, claim) {
            (Some(former), Claim::Taken | Claim::Held) => {
                return Err((ErrorCode::IdTaken, former.taken_text(&id, now)));
            }
            (Some(former), Claim::Same) => on_trial = former.on_trial,
            (Some(_), _) => {}
            (None, _) if members.map_or(0, BTreeMap::len) >= MEMBERS_MAX => {
                return Err((ErrorCode::LimitReached, format!("a group has at most {MEMBERS_MAX} members")));
            }
            (None, _) => {}
        }
        // A key that nobody has is that of a membership with an earlier life of this server.
        let key = request.key.unwrap_or_else(|| self.make_key(&request.group, &id));
        let group = self.groups.entry(request.group).or_default();
        // Nobody hears of a member that does not share, so nobody can be ahead of it.
        group.epoch += u64::from(request.port != 0);
        let member = Member {
            link: Some(request.link),
            remote: request.remote,
            since: wall,
            done: request.duration.is_zero(),
            until: now + request.duration,
            absence: None,
            key,
            on_trial,
            port: request.port,
        };
        let former = group.members.insert(id, member);
        let displaced = former.as_ref().filter(|_| claim == Claim::Older).and_then(|former| former.link);
        if let Some(absence) = former.as_ref().and_then(|former| former.absence.as_ref()) {
            self.lost.remove(&(absence.forget_at, request.group, id));
        }
        let resumed = former
            .filter(|_| claim == Claim::Same)
            .map(|former| (former.link, former.absence.map(|absence| absence.accounts)));
        Ok(Joined { id, key, epoch: group.epoch, resumed, displaced })
    }

    /// The member is gone for good.
    pub(super) fn remove(&mut self, group: &Name, id: &Name) {
        if let Some(group) = self.groups.get_mut(group) {
            group.members.remove(id);
        }
    }

    pub(super) fn make_key(&mut self, group: &Name, id: &Name) -> Key {
        self.keys_made += 1;
        let mut hasher = blake3::Hasher::new_keyed(&self.secret);
        hasher.update(group.as_bytes()).update(b" ").update(id.as_bytes());
        hasher.update(&self.keys_made.to_le_bytes());
        first_half(&hasher.finalize())
    }

    pub(super) fn check_invariants(&self) {
        for group in self.groups.values() {
            assert!(group.members.len() <= MEMBERS_MAX);
            for member in group.members.values() {
                assert_eq!(member.link.is_none(), member.absence.is_some());
            }
        }
        let lost = self.members().filter(|member| member.link.is_none()).count();
        assert_eq!(lost, self.lost.len(), "each lost member is forgotten at its time");
    }
}

impl Group {
    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The line that tells `to` about `about`; `None` if one of them does not share, or both are one.
    pub(super) fn line(&self, about: &Name, to: &Name, now: Mono) -> Option<Message<'static>> {
        let (member, reader) = (self.members.get(about)?, self.members.get(to)?);
        if about == to || !member.shares() || !reader.shares() {
            return None;
        }
        Some(Message::Peer {
            epoch: self.epoch,
            id: *about,
            addr: SocketAddr::new(member.remote.ip(), member.port),
            ticket: ticket((about, member.key), (to, reader.key)),
            state: member.state(),
            left_ns: if member.done { 0 } else { member.until.since_ns(now) },
        })
    }

    /// Members that have a link and share, in order.
    pub(super) fn listeners(&self) -> impl Iterator<Item = (&Name, LinkId)> {
        let sharing = self.members.iter().filter(|(_, member)| member.shares());
        sharing.filter_map(|(id, member)| Some((id, member.link?)))
    }
}

/// Both members' keys, which only they and the server know, make the ticket of the pair. It
/// stays the same when the server starts again and the members come back with their keys.
pub(super) fn ticket(one: (&Name, Key), other: (&Name, Key)) -> Key {
    let (smaller, greater) = if one.0 < other.0 { (one, other) } else { (other, one) };
    let mut hasher = blake3::Hasher::new_derive_key("tickmesh 1 ticket of a pair");
    for (_, key) in [smaller, greater] {
        hasher.update(&key.0.to_le_bytes());
    }
    first_half(&hasher.finalize())
}

fn first_half(hash: &blake3::Hash) -> Key {
    let half = hash.as_bytes().first_chunk().expect("a hash has 32 bytes");
    Key(u128::from_le_bytes(*half))
}

/// Lost members keep their numbers: nobody else should be taken for them. Numbers come first in
/// the order of names, so the first gap ends the walk.
fn lowest_free(members: Option<&BTreeMap<Name, Member>>) -> Name {
    let mut free = 0;
    for id in members.into_iter().flat_map(BTreeMap::keys) {
        if id.number() != Some(free) {
            break;
        }
        free += 1;
    }
    Name::from_number(free)
}
