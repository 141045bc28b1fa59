//! The other members as one member knows them: where they are, what it has of theirs, and what
//! they have of its own. Holds the facts; `share` and `pair` act on them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::proto::ids::{DialId, FileId, FileName, Key, LinkId, Name};
use crate::proto::limits::{LIES_MAX, MEMBERS_MAX, PAIR_PAUSE_MAX, PAIR_PAUSE_MIN};
use crate::proto::machine::{CloseReason, Os};
use crate::proto::peer::common::{Common, Whose};
use crate::proto::peer::member::Member;
use crate::proto::record::names;
use crate::proto::swarm::Fetch;
use crate::proto::time::{Mono, Now};
use crate::proto::wire::{Departure, MemberState};

/// Files that each member shares: its table and its samples.
pub(super) const FILES: usize = 2;

/// Everybody that this member has heard of, each at a fixed place.
#[derive(Debug, Default)]
pub(super) struct Others {
    list: Vec<Other>,
    places: BTreeMap<Name, usize>,
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
    /// What this member has of its files.
    pub(super) theirs: [Theirs; FILES],
    /// It has said that it has our files.
    pub(super) given: [bool; FILES],
    pub(super) lies: u32,
    /// When a link may be tried next, and the pause after that.
    pub(super) next_try: Mono,
    pub(super) pause: Duration,
    /// When the last line or octet came.
    pub(super) heard: Mono,
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
}

/// The direct link of the pair; there is at most one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    None,
    Dialing(DialId),
    /// We dialed, and `LINK` is on its way.
    Asking(LinkId),
    Open {
        link: LinkId,
        dialed: bool,
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
        which: usize,
        bytes: u64,
        chunk_bytes: u64,
        octets: Vec<u8>,
    },
    /// A chunk of a file.
    Chunk {
        which: usize,
    },
}

/// How far a file of the other has come.
#[derive(Debug)]
pub(super) enum Theirs {
    Wanted,
    Fetching {
        file: FileId,
        fetch: Box<Fetch>,
    },
    /// Every chunk is verified; the disk syncs.
    Storing {
        file: FileId,
    },
    Stored,
}

impl Other {
    fn new(id: Name, addr: SocketAddr, ticket: Key) -> Other {
        Other {
            id,
            addr,
            ticket,
            state: OtherState::Running,
            ends_at: Mono(0),
            way: Way::None,
            incoming: Incoming::None,
            theirs: [const { Theirs::Wanted }; FILES],
            given: [false; FILES],
            lies: 0,
            next_try: Mono(0),
            pause: PAIR_PAUSE_MIN,
            heard: Mono(0),
            trouble: None,
        }
    }

    /// The names of its files.
    pub(super) fn files(&self) -> [FileName; FILES] {
        files_of(&self.id)
    }

    pub(super) fn stored(&self) -> usize {
        self.theirs.iter().filter(|theirs| matches!(theirs, Theirs::Stored)).count()
    }

    /// It has our files: it said so, or it left, which it may only when it has everything.
    pub(super) fn is_served(&self) -> bool {
        self.state == OtherState::Complete || self.given.iter().all(|given| *given)
    }

    /// Nothing is left to do with it.
    pub(super) fn is_complete(&self) -> bool {
        self.stored() == FILES && self.is_served()
    }

    /// Something is left to do, and it will never be done.
    pub(super) fn is_hopeless(&self) -> bool {
        let gone = matches!(self.state, OtherState::Complete | OtherState::Early);
        !self.is_complete() && ((gone && self.way == Way::None) || self.lies >= LIES_MAX)
    }

    /// A link can be tried: its run is over, as the server says or as it announced.
    pub(super) fn is_reachable(&self, now: Mono) -> bool {
        match self.state {
            OtherState::Done | OtherState::Lost => true,
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

    /// Chunks that were asked for over the link and have not come.
    pub(super) fn asked(&self) -> usize {
        let asked =
            |theirs: &Theirs| if let Theirs::Fetching { fetch, .. } = theirs { fetch.asked() } else { 0 };
        self.theirs.iter().map(asked).sum()
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

    /// What the directory says about a member. Another ticket means another membership under an old
    /// name: what is there of the former one counts no more.
    #[allow(clippy::too_many_arguments)] // one line of the protocol
    pub(super) fn learn(
        &mut self,
        id: Name,
        addr: SocketAddr,
        ticket: Key,
        state: MemberState,
        left_ns: u64,
        common: &mut Common,
        now: Now,
        os: &mut dyn Os,
    ) {
        let place = match self.places.get(&id) {
            Some(place) => *place,
            None if self.list.len() >= MEMBERS_MAX => return,
            None => {
                self.places.insert(id, self.list.len());
                self.list.push(Other::new(id, addr, ticket));
                self.list.len() - 1
            }
        };
        let other = &mut self.list[place];
        if other.ticket != ticket {
            drop_pair(other, common, os);
            *other = Other::new(id, addr, ticket);
        }
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
            for theirs in &other.theirs {
                if let Theirs::Fetching { file, fetch } = theirs {
                    fetch.check_invariants();
                    assert!(common.files.contains_key(file));
                    assert!(
                        other.way.link().is_some() || fetch.asked() == 0,
                        "nothing is asked for without a link"
                    );
                }
            }
        }
    }
}

/// Lets go of link and unfinished files of a pair.
pub(super) fn drop_pair(other: &mut Other, common: &mut Common, os: &mut dyn Os) {
    if let Way::Dialing(dial) = other.way {
        common.dials.remove(&dial);
    }
    if let Some(link) = other.way.link() {
        common.close(link, CloseReason::Done, os);
    }
    other.way = Way::None;
    other.incoming = Incoming::None;
    for theirs in &mut other.theirs {
        if let Theirs::Fetching { file, .. } | Theirs::Storing { file } = theirs {
            common.release(*file, os);
            *theirs = Theirs::Wanted;
        }
    }
}
