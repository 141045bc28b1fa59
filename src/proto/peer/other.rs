//! The other members as one member knows them: where they are, the link to each, and what goes over
//! it. Holds the facts; `share` and `pair` act on them.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use crate::proto::ids::{DialId, FileName, Key, LinkId, Name};
use crate::proto::limits::{CHUNKS_IN_FLIGHT_MAX, LIES_MAX, MEMBERS_MAX, PAIR_PAUSE_MAX, PAIR_PAUSE_MIN};
use crate::proto::peer::common::{Common, Whose};
use crate::proto::peer::library::{ItemId, Library};
use crate::proto::peer::member::Member;
use crate::proto::peer::talk::Private;
use crate::proto::record::names;
use crate::proto::swarm::{Incoming as ChunkIn, Packed};
use crate::proto::time::{Mono, Now};
use crate::proto::wire::Departure;

/// Files that each member shares: its table and its samples.
pub(super) const FILES: usize = 2;

/// Everybody that this member has heard of, each at a fixed place. When all places are taken, that of
/// a member with which nothing is left to do goes to the next; it still counts.
#[derive(Debug, Default)]
pub(super) struct Others {
    list: Vec<Other>,
    places: BTreeMap<Name, usize>,
    /// Members that were complete and had to make room.
    retired: usize,
    /// When the last of their runs ended.
    retired_end: Mono,
}

/// One other member.
#[derive(Debug)]
pub(super) struct Other {
    pub(super) id: Name,
    pub(super) addr: SocketAddr,
    pub(super) ticket: Key,
    pub(super) state: OtherState,
    /// When its run ends or ended, by our clock.
    pub(super) ends_at: Mono,
    pub(super) way: Way,
    /// What is coming in over the link.
    pub(super) incoming: Incoming,
    /// Its own record in our library; a guest has none.
    pub(super) records: Option<[ItemId; FILES]>,
    /// It has said that it has our record.
    pub(super) given: [bool; FILES],
    /// Chunks that it was asked for and has not answered.
    pub(super) gets: Vec<(ItemId, u64)>,
    /// Chunks that were sent to it last, over this link.
    pub(super) sent: VecDeque<(ItemId, u64)>,
    /// Files that it is a source of, over this link.
    pub(super) sourced: Vec<ItemId>,
    /// Files that it holds or fetches, as the server says.
    pub(super) takes_part: Vec<ItemId>,
    /// Files of which a user has asked for something, over this link.
    pub(super) begun: Vec<ItemId>,
    /// Chunks that it said again and again to hold, over this link.
    pub(super) haves_idle: u64,
    /// Until when what it asked for that is gone would have lasted.
    pub(super) gone_gets_until: Mono,
    pub(super) lies: u32,
    /// When a link may be tried next, and the pause after that.
    pub(super) next_try: Mono,
    pub(super) pause: Duration,
    /// When the last line or octet came.
    pub(super) heard: Mono,
    /// Whether the two talk.
    pub(super) private: Private,
    /// Why the last attempt failed, for people.
    pub(super) trouble: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OtherState {
    Running,
    Done,
    /// Its link to the server broke; it may come back.
    Lost,
    /// It left, and had everything.
    Complete,
    /// It left before it had shared.
    Early,
    /// It has no run, and nobody waits for it.
    Guest,
}

/// The direct link of the pair; there is at most one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    None,
    Dialing(DialId),
    /// We dialed, and `LINK` is on its way.
    Asking(LinkId),
    /// `zstd`: the other side takes packed chunks.
    Open {
        link: LinkId,
        dialed: bool,
        zstd: bool,
    },
}

impl Way {
    pub(super) fn link(self) -> Option<LinkId> {
        match self {
            Way::Asking(link) | Way::Open { link, .. } => Some(link),
            Way::None | Way::Dialing(_) => None,
        }
    }
}

/// Octets that a line has announced.
#[derive(Debug)]
pub(super) enum Incoming {
    None,
    /// The hashes of an offer.
    Offer {
        item: ItemId,
        bytes: u64,
        chunk_bytes: u64,
        octets: Vec<u8>,
    },
    /// The chunks that the other holds of a file.
    Holds {
        item: ItemId,
        octets: Vec<u8>,
    },
    /// A chunk of a file.
    Chunk {
        item: ItemId,
        chunk: ChunkIn,
    },
    /// The same, packed.
    Packed {
        item: ItemId,
        chunk: Packed,
    },
    /// A chunk that nobody needs any more.
    Unwanted {
        item: ItemId,
        chunk: u64,
    },
}

impl Other {
    fn new(id: Name, addr: SocketAddr, ticket: Key, state: OtherState) -> Other {
        Other {
            id,
            addr,
            ticket,
            state,
            ends_at: Mono(0),
            way: Way::None,
            incoming: Incoming::None,
            records: None,
            given: [false; FILES],
            gets: Vec::new(),
            sent: VecDeque::new(),
            sourced: Vec::new(),
            takes_part: Vec::new(),
            begun: Vec::new(),
            haves_idle: 0,
            gone_gets_until: Mono(0),
            lies: 0,
            next_try: Mono(0),
            pause: PAIR_PAUSE_MIN,
            heard: Mono(0),
            private: Private::default(),
            trouble: None,
        }
    }

    /// Another membership under the same name and at the same place.
    pub(super) fn renew(&mut self, ticket: Key, state: OtherState) {
        *self = Other::new(self.id, self.addr, ticket, state);
    }

    /// It has not lied too often to be asked for anything more.
    pub(super) fn is_trusted(&self) -> bool {
        self.lies < LIES_MAX
    }

    /// The link is gone, and what was expected over it will not come.
    pub(super) fn let_go(&mut self) {
        (self.way, self.incoming) = (Way::None, Incoming::None);
        self.gets.clear();
        self.sourced.clear();
        self.begun.clear();
        self.haves_idle = 0;
        self.sent.clear();
        self.private.on_link_lost();
    }

    /// Files of its record that are here.
    pub(super) fn stored(&self, library: &Library) -> usize {
        self.records.iter().flatten().filter(|item| library.at(**item).is_whole()).count()
    }

    /// It has our record: it said so, or it left, which it may only when it has everything.
    pub(super) fn is_served(&self) -> bool {
        self.state == OtherState::Complete || self.given.iter().all(|given| *given)
    }

    /// We have its record and it has ours.
    pub(super) fn is_complete(&self, library: &Library) -> bool {
        self.records.is_none() || (self.stored(library) == FILES && self.is_served())
    }

    /// Something is left to do, and it will never be done.
    pub(super) fn is_hopeless(&self, library: &Library) -> bool {
        let gone = matches!(self.state, OtherState::Complete | OtherState::Early);
        !self.is_complete(library) && ((gone && self.way == Way::None) || !self.is_trusted())
    }

    /// A link can be tried: its run is over, as the server says or as it announced.
    pub(super) fn is_reachable(&self, now: Mono) -> bool {
        match self.state {
            OtherState::Done | OtherState::Lost | OtherState::Guest => true,
            OtherState::Running => now > self.ends_at + PAIR_PAUSE_MAX,
            OtherState::Complete | OtherState::Early => false,
        }
    }

    /// The next attempt waits, longer each time.
    pub(super) fn back_off(&mut self, trouble: &str, now: Mono) {
        self.trouble = Some(trouble.to_owned());
        self.next_try = now + self.pause;
        self.pause = (self.pause * 2).min(PAIR_PAUSE_MAX);
    }
}

/// The names of a member's files.
pub(super) fn files_of(id: &Name) -> [FileName; FILES] {
    [names::client_table(id), names::client_samples(id)].map(|name| name.parse().expect("made of a name"))
}

impl Others {
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Other> {
        self.list.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Other> {
        self.list.iter_mut()
    }

    pub(super) fn at(&self, place: u32) -> &Other {
        &self.list[place as usize]
    }

    pub(super) fn at_mut(&mut self, place: u32) -> &mut Other {
        &mut self.list[place as usize]
    }

    pub(super) fn find(&self, id: &Name) -> Option<u32> {
        self.places.get(id).map(|place| *place as u32)
    }

    /// The place of a member, a new one if it is not known yet. One that left with everything done
    /// makes room when there are too many, and its record with it; `None` if nobody has.
    pub(super) fn place(
        &mut self,
        id: Name,
        addr: SocketAddr,
        ticket: Key,
        state: OtherState,
        library: &mut Library,
    ) -> Option<u32> {
        if let Some(place) = self.find(&id) {
            return Some(place);
        }
        let newcomer = Other::new(id, addr, ticket, state);
        let place = if self.list.len() < MEMBERS_MAX {
            self.list.push(newcomer);
            self.list.len() - 1
        } else {
            let is_over = |other: &Other| {
                let gone = matches!(other.state, OtherState::Complete | OtherState::Guest);
                gone && other.is_complete(library) && other.way == Way::None && other.private.is_closed()
            };
            let place = self.list.iter().position(is_over)?;
            let old = std::mem::replace(&mut self.list[place], newcomer);
            self.places.remove(&old.id);
            self.retired += usize::from(old.records.is_some());
            self.retired_end = self.retired_end.max(old.ends_at);
            old.records.into_iter().flatten().for_each(|item| library.retire(item));
            place
        };
        self.places.insert(id, place);
        Some(place as u32)
    }

    /// When the last run of the others ends or ended.
    pub(super) fn last_end(&self) -> Mono {
        self.list.iter().map(|other| other.ends_at).fold(self.retired_end, Mono::max)
    }

    /// Files of others that are complete here.
    pub(super) fn files_received(&self, library: &Library) -> usize {
        self.list.iter().map(|other| other.stored(library)).sum::<usize>() + self.retired * FILES
    }

    /// Files of others that should be.
    pub(super) fn files_expected(&self) -> usize {
        (self.list.iter().filter(|other| other.records.is_some()).count() + self.retired) * FILES
    }

    /// A member left.
    pub(super) fn forget(&mut self, id: &Name, why: Departure, now: Now) {
        let Some(place) = self.places.get(id) else { return };
        let other = &mut self.list[*place];
        other.state = match why {
            Departure::Complete => OtherState::Complete,
            Departure::Early => OtherState::Early,
        };
        other.ends_at = other.ends_at.min(now.mono);
    }

    pub(super) fn check_invariants(&self, member: &Member, common: &Common) {
        for (place, other) in self.list.iter().enumerate() {
            if let Some(link) = other.way.link() {
                let whose = common.sessions.get(link).map(|session| session.whose);
                assert_eq!(whose, Some(Whose::Pair(member.index, place as u32)), "one link a pair");
            }
            let linked = other.way.link().is_some();
            assert!(linked || other.gets.is_empty(), "nothing is asked for without a link");
            assert!(linked || other.sourced.is_empty(), "a source has a link");
            assert!(other.gets.len() <= CHUNKS_IN_FLIGHT_MAX);
            other.private.check_invariants(matches!(other.way, Way::Open { .. }));
        }
    }
}

#[cfg(test)]
mod tests;
