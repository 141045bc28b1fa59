//! Guests: members of a group that have no run, and only share and get files. They have a book of
//! their own, so that nothing of a run can depend on them; their names are checked against both.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::proto::accounts::GUEST_PREFIX;
use crate::proto::ids::{Key, LinkId, Name};
use crate::proto::limits::{GROUPS_MAX, GUEST_LOST_MAX, MEMBERS_MAX};
use crate::proto::record::utc_text;
use crate::proto::server::catalog::Who;
use crate::proto::server::directory::{Directory, Refusal, refuse};
use crate::proto::time::{Mono, Now, Wall};
use crate::proto::wire::ErrorCode;

/// The guests of all groups.
#[derive(Debug, Default)]
pub(super) struct Guests {
    groups: BTreeMap<Name, BTreeMap<Name, Guest>>,
}

#[derive(Debug)]
struct Guest {
    place: Place,
    remote: SocketAddr,
    /// Since when, for people.
    since: Wall,
    key: Key,
    /// Where it can be dialed; 0 if it cannot.
    port: u16,
    /// It has proven that the name is its own.
    is_user: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Here(LinkId),
    Lost { until: Mono },
}

/// What a link asks for with `HELLO`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hello {
    pub(super) link: LinkId,
    pub(super) remote: SocketAddr,
    pub(super) group: Name,
    pub(super) id: Option<Name>,
    pub(super) port: u16,
    pub(super) key: Option<Key>,
    /// It has proven that the name is its own.
    pub(super) is_user: bool,
}

/// A request that was granted.
#[derive(Debug)]
pub(super) struct Welcome {
    pub(super) who: Who,
    pub(super) key: Key,
    /// The guest that had the name before has come back.
    pub(super) is_back: bool,
    /// Its former link, if the server had not noticed that it is gone.
    pub(super) former: Option<LinkId>,
}

/// How to reach a member, and what its tickets are made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Contact {
    pub(super) link: LinkId,
    pub(super) addr: SocketAddr,
    pub(super) key: Key,
}

impl Guest {
    fn is_there(&self, now: Mono) -> bool {
        match self.place {
            Place::Here(_) => true,
            Place::Lost { until } => until > now,
        }
    }
}

impl Guests {
    /// Gives a guest its place.
    pub(super) fn greet(
        &mut self,
        hello: &Hello,
        directory: &mut Directory,
        now: Now,
    ) -> Result<Welcome, Refusal> {
        let group = hello.group;
        let id = match hello.id {
            Some(id) if id.number().is_some() => {
                return refuse(ErrorCode::BadArgument, "numbers are for members with a run; choose a name");
            }
            Some(id) => id,
            None => self.lowest_free(&group, directory, now.mono),
        };
        let who = Who { group, id };
        if let Some(member) = directory.member(&group, &id) {
            let since = utc_text(member.since);
            let text = match member.link {
                Some(_) => format!("{id} is taken by {} since {since}", member.remote),
                None => format!("{id} belongs to a member that was lost"),
            };
            return refuse(ErrorCode::IdTaken, text);
        }
        let former = self.groups.get(&group).and_then(|guests| guests.get(&id));
        let is_back = former.is_some_and(|former| {
            (hello.is_user && former.is_user) || (Some(former.key) == hello.key && !former.is_user)
        });
        // Whoever was killed on that host is started again there, and has lost its key with its life.
        let began_anew = former.is_some_and(|former| {
            let is_lost = matches!(former.place, Place::Lost { .. });
            is_lost && !former.is_user && former.remote.ip() == hello.remote.ip()
        });
        // A user's name is that user's, whoever had it before there was the account.
        if !is_back && !began_anew && !hello.is_user {
            self.check_free(&who, now.mono)?;
        }
        let former = former.map(|former| former.place);
        self.check_room(&who, directory)?;
        // A key that nobody has is one of an earlier life of this server.
        let key = hello.key.unwrap_or_else(|| directory.make_key(&group, &id));
        let place = Place::Here(hello.link);
        let (remote, since, port, is_user) = (hello.remote, now.wall, hello.port, hello.is_user);
        let guest = Guest { place, remote, since, key, port, is_user };
        self.groups.entry(group).or_default().insert(id, guest);
        let former = match former {
            Some(Place::Here(link)) => Some(link),
            _ => None,
        };
        Ok(Welcome { who, key, is_back, former })
    }

    /// Whether nobody among the guests has the name.
    pub(super) fn check_free(&self, who: &Who, now: Mono) -> Result<(), Refusal> {
        let guest = self.groups.get(&who.group).and_then(|guests| guests.get(&who.id));
        let Some(guest) = guest.filter(|guest| guest.is_there(now)) else { return Ok(()) };
        let text = match guest.place {
            // Where a user is, is told to nobody.
            _ if guest.is_user => format!("{} is a user of this server", who.id),
            Place::Here(_) => {
                format!("{} is taken by {} since {}", who.id, guest.remote, utc_text(guest.since))
            }
            Place::Lost { until } => {
                let seconds = until.since_ns(now).div_ceil(1_000_000_000);
                format!("{} belongs to a guest that was lost; it is free again in {seconds} s", who.id)
            }
        };
        refuse(ErrorCode::IdTaken, text)
    }

    fn check_room(&self, who: &Who, directory: &Directory) -> Result<(), Refusal> {
        let Some(guests) = self.groups.get(&who.group) else {
            if self.groups.len() >= GROUPS_MAX {
                let text = format!("this server keeps at most {GROUPS_MAX} groups of guests");
                return refuse(ErrorCode::LimitReached, text);
            }
            return Ok(());
        };
        let members = directory.group(&who.group).map_or(0, |group| group.len());
        if guests.len() + members >= MEMBERS_MAX && !guests.contains_key(&who.id) {
            let text = format!("a group has at most {MEMBERS_MAX} members and guests");
            return refuse(ErrorCode::LimitReached, text);
        }
        Ok(())
    }

    fn lowest_free(&self, group: &Name, directory: &Directory, now: Mono) -> Name {
        let guests = self.groups.get(group);
        let mut taken = vec![false; guests.map_or(0, BTreeMap::len) + 1];
        for (id, _) in guests.into_iter().flatten().filter(|(_, guest)| guest.is_there(now)) {
            let number = id.as_str().strip_prefix(GUEST_PREFIX).filter(|number| !number.starts_with('0'));
            let place = number.and_then(|number| taken.get_mut(number.parse::<usize>().ok()?));
            place.into_iter().for_each(|place| *place = true);
        }
        let free = (1..).filter(|number| taken.get(*number) != Some(&true));
        let mut names = free.map(|number| format!("{GUEST_PREFIX}{number}").parse().expect("short"));
        names.find(|id| directory.member(group, id).is_none()).expect("a group has a bound")
    }

    /// The guest's link is gone, and it may come back with its key.
    pub(super) fn lose(&mut self, who: &Who, now: Mono) {
        let guest = self.groups.get_mut(&who.group).and_then(|guests| guests.get_mut(&who.id));
        if let Some(guest) = guest {
            guest.place = Place::Lost { until: now + GUEST_LOST_MAX };
        }
    }

    /// The guest is gone for good.
    pub(super) fn remove(&mut self, who: &Who) {
        if let Some(guests) = self.groups.get_mut(&who.group) {
            guests.remove(&who.id);
            if guests.is_empty() {
                self.groups.remove(&who.group);
            }
        }
    }

    /// Whether the guest is here, or may still come back.
    pub(super) fn knows(&self, who: &Who, now: Mono) -> bool {
        let guest = self.groups.get(&who.group).and_then(|guests| guests.get(&who.id));
        guest.is_some_and(|guest| guest.is_there(now))
    }

    /// How to reach a guest that is here.
    pub(super) fn contact(&self, who: &Who) -> Option<Contact> {
        let guest = self.groups.get(&who.group)?.get(&who.id)?;
        match guest.place {
            Place::Here(link) => {
                Some(Contact { link, addr: SocketAddr::new(guest.remote.ip(), guest.port), key: guest.key })
            }
            Place::Lost { .. } => None,
        }
    }

    /// The user that a guest is, if it is here and has proven it.
    pub(super) fn user(&self, who: &Who) -> Option<Name> {
        let guest = self.groups.get(&who.group)?.get(&who.id)?;
        (guest.is_user && matches!(guest.place, Place::Here(_))).then_some(who.id)
    }

    /// Guests that are here.
    pub(super) fn here(&self) -> usize {
        let guests = self.groups.values().flat_map(BTreeMap::values);
        guests.filter(|guest| matches!(guest.place, Place::Here(_))).count()
    }

    pub(super) fn check_invariants(&self) {
        assert!(self.groups.len() <= GROUPS_MAX);
        for guests in self.groups.values() {
            assert!(!guests.is_empty() && guests.len() <= MEMBERS_MAX);
            assert!(guests.keys().all(|id| id.number().is_none()), "numbers are for runs");
        }
    }
}
