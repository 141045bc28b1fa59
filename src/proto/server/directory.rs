//! Who is in which group, and where: IDs, keys, tickets, states. Tells nobody anything; the role
//! sends what the directory's answers ask for.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::proto::exchange::Answerer;
use crate::proto::ids::{Key, LinkId, Name};
use crate::proto::limits::{GROUPS_MAX, MEMBERS_MAX};
use crate::proto::record::utc_text;
use crate::proto::server::guests::Contact;
use crate::proto::time::{Mono, Wall};
use crate::proto::wire::{ErrorCode, MemberState, Message};

/// All groups of one server.
#[derive(Debug)]
pub(super) struct Directory {
    secret: [u8; 32],
    keys_made: u64,
    groups: BTreeMap<Name, Group>,
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
    /// The accounts of its ticks, while it is lost.
    pub(super) paused: Option<Answerer>,
    key: Key,
    /// Where it serves its files; 0 if it does not.
    port: u16,
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
}

/// A request that was refused: an error code and a text for the one who asked.
pub(super) type Refusal = (ErrorCode, String);

/// An answer that is an error.
pub(super) fn refuse<T>(code: ErrorCode, text: impl Into<String>) -> Result<T, Refusal> {
    Err((code, text.into()))
}

impl Member {
    pub(super) fn shares(&self) -> bool {
        self.port != 0
    }

    /// How to reach it, if it is here.
    pub(super) fn contact(&self) -> Option<Contact> {
        let addr = SocketAddr::new(self.remote.ip(), self.port);
        Some(Contact { link: self.link?, addr, key: self.key })
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
        Directory { secret, keys_made: 0, groups: BTreeMap::new() }
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

    pub(super) fn join(&mut self, request: &Request, now: Mono, wall: Wall) -> Result<Joined, Refusal> {
        if self.groups.len() >= GROUPS_MAX {
            // Groups that only wait for lost members make room.
            self.groups.retain(|_, group| group.members.values().any(|member| member.link.is_some()));
        }
        if !self.groups.contains_key(&request.group) && self.groups.len() >= GROUPS_MAX {
            return Err((ErrorCode::LimitReached, format!("this server keeps at most {GROUPS_MAX} groups")));
        }
        if let Some(group) =
            self.groups.get_mut(&request.group).filter(|group| group.members.len() >= MEMBERS_MAX)
        {
            // Lost members make room.
            group.members.retain(|_, member| member.link.is_some());
        }
        let members = self.groups.get(&request.group).map(|group| &group.members);
        let id = match request.id {
            Some(id) => id,
            None => lowest_free(members),
        };
        let former = members.and_then(|members| members.get(&id));
        let resumes = former.is_some_and(|former| Some(former.key) == request.key);
        if let Some(former) = former.filter(|former| former.link.is_some() && !resumes) {
            let text = format!("{id} is taken by {} since {}", former.remote, utc_text(former.since));
            return Err((ErrorCode::IdTaken, text));
        }
        if former.is_none() && members.map_or(0, BTreeMap::len) >= MEMBERS_MAX {
            return Err((ErrorCode::LimitReached, format!("a group has at most {MEMBERS_MAX} members")));
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
            paused: None,
            key,
            port: request.port,
        };
        let former = group.members.insert(id, member);
        let resumed = former.filter(|_| resumes).map(|former| (former.link, former.paused));
        Ok(Joined { id, key, epoch: group.epoch, resumed })
    }

    /// The member's link is gone; it may come back with its key.
    pub(super) fn lose(&mut self, group: &Name, id: &Name, accounts: Answerer) {
        if let Some(member) = self.member_mut(group, id) {
            member.link = None;
            member.paused = Some(accounts);
        }
    }

    /// The member is gone for good.
    pub(super) fn remove(&mut self, group: &Name, id: &Name) {
        if let Some(group) = self.groups.get_mut(group) {
            group.members.remove(id);
        }
    }

    /// Forgets the groups of which nobody is there, and nobody's run can still be on.
    pub(super) fn forget_dead(&mut self, now: Mono) {
        let alive = |member: &Member| member.link.is_some() || (!member.done && member.until > now);
        self.groups.retain(|_, group| group.members.values().any(alive));
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
                assert!(member.link.is_none() || member.paused.is_none());
            }
        }
    }
}

impl Group {
    /// Members, the lost ones included.
    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    fn request(index: u32, id: Option<&str>) -> Request {
        Request {
            link: LinkId { index, generation: 0 },
            remote: format!("10.0.0.{index}:50000").parse().unwrap(),
            group: "lab".parse().unwrap(),
            id: id.map(|id| id.parse().unwrap()),
            port: 40000,
            duration: Duration::from_secs(1),
            key: None,
        }
    }

    fn join(directory: &mut Directory, request: &Request) -> Result<Joined, Refusal> {
        let joined = directory.join(request, Mono(0), Wall(0));
        directory.check_invariants();
        joined
    }

    #[test]
    fn the_lowest_free_number_is_assigned() {
        let mut directory = Directory::new([0; 32]);
        let group = "lab".parse().unwrap();
        for expected in ["0", "1", "2"] {
            assert_eq!(join(&mut directory, &request(1, None)).unwrap().id.as_str(), expected);
        }
        directory.remove(&group, &"1".parse().unwrap());
        assert_eq!(join(&mut directory, &request(4, Some("7"))).unwrap().id.as_str(), "7");
        assert_eq!(join(&mut directory, &request(5, None)).unwrap().id.as_str(), "1");
        directory.lose(&group, &"0".parse().unwrap(), Answerer::new(Mono(0), Duration::from_millis(10)));
        assert_eq!(join(&mut directory, &request(6, None)).unwrap().id.as_str(), "3", "0 may come back");
    }

    #[test]
    fn a_taken_id_is_refused_with_who_has_it() {
        let mut directory = Directory::new([0; 32]);
        join(&mut directory, &request(1, Some("a"))).unwrap();
        let (code, text) = join(&mut directory, &request(2, Some("a"))).unwrap_err();
        assert_eq!(code, ErrorCode::IdTaken);
        assert!(text.contains("10.0.0.1:50000"), "{text}");
        let wrong_key = Request { key: Some(Key(1)), ..request(2, Some("a")) };
        assert_eq!(join(&mut directory, &wrong_key).unwrap_err().0, ErrorCode::IdTaken);
    }

    #[test]
    fn the_key_resumes_and_tickets_outlive_the_server() {
        let mut directory = Directory::new([0; 32]);
        let a = join(&mut directory, &request(1, Some("a"))).unwrap();
        let b = join(&mut directory, &request(2, Some("b"))).unwrap();
        let ticket_of = |directory: &Directory| {
            let group = directory.group(&"lab".parse().unwrap()).unwrap();
            let line = group.line(&a.id, &b.id, Mono(0)).unwrap();
            let mirrored = group.line(&b.id, &a.id, Mono(0)).unwrap();
            match (line, mirrored) {
                (Message::Peer { ticket, .. }, Message::Peer { ticket: same, .. }) => {
                    assert_eq!(ticket, same);
                    ticket
                }
                _ => unreachable!(),
            }
        };
        let before = ticket_of(&directory);
        let again = Request { key: Some(a.key), ..request(3, Some("a")) };
        let resumed = join(&mut directory, &again).unwrap();
        assert_eq!(resumed.key, a.key);
        assert_eq!(resumed.resumed.unwrap().0, Some(request(1, None).link));
        let mut directory = Directory::new([1; 32]);
        let joined = join(&mut directory, &again).unwrap();
        assert!(joined.resumed.is_none(), "the new server knows nothing of the old membership");
        join(&mut directory, &Request { key: Some(b.key), ..request(2, Some("b")) }).unwrap();
        assert_eq!(ticket_of(&directory), before);
    }

    #[test]
    fn a_group_without_links_is_forgotten_when_no_run_can_be_on() {
        let mut directory = Directory::new([0; 32]);
        let joined = join(&mut directory, &request(1, None)).unwrap();
        let group = "lab".parse().unwrap();
        directory.lose(&group, &joined.id, Answerer::new(Mono(0), Duration::from_millis(10)));
        directory.forget_dead(Mono(999_999_999));
        assert!(directory.group(&group).is_some(), "it may come back");
        directory.forget_dead(Mono(1_000_000_000));
        assert!(directory.group(&group).is_none());
    }

    #[test]
    fn groups_have_a_bound_and_dead_ones_make_room() {
        let mut directory = Directory::new([0; 32]);
        let named =
            |number: usize| Request { group: format!("g{number}").parse().unwrap(), ..request(1, None) };
        for number in 0..GROUPS_MAX {
            join(&mut directory, &named(number)).unwrap();
        }
        assert_eq!(join(&mut directory, &named(GROUPS_MAX)).unwrap_err().0, ErrorCode::LimitReached);
        let (group, id) = (named(3).group, Name::from_number(0));
        directory.lose(&group, &id, Answerer::new(Mono(0), Duration::from_millis(10)));
        join(&mut directory, &named(GROUPS_MAX)).unwrap();
        assert!(directory.group(&group).is_none());
    }
}
