//! The peers of one process: each keeps time with the server, writes it down, and then gets every
//! other member's record straight from that member. One machine, one wheel, K members.

mod check;
mod common;
mod contact;
mod door;
mod fetch;
mod guest;
mod inputs;
mod library;
mod member;
mod news;
mod offer;
mod other;
mod pack;
mod pair;
mod presented;
mod report;
mod run;
mod serve;
mod share;
mod sources;
mod status;
mod talk;
mod visit;
mod want;

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU64;
use std::time::Duration;

use crate::proto::clock::Spread;
use crate::proto::ids::{LinkId, Name};
use crate::proto::machine::{CloseReason, Effect, Origin, Os};
use crate::proto::peer::common::{Common, DialFor, Timer, Whose};
use crate::proto::peer::contact::Said;
use crate::proto::peer::guest::Guest;
use crate::proto::peer::member::Member;
use crate::proto::swarm::Serving;
use crate::proto::time::{Mono, Now, Wall};
use crate::proto::wire::{ErrorCode, GROUP_DEFAULT, Message, ParseError, Piece, TOO_LONG_TEXT};

pub use guest::{Find, Get, GuestConfig, Holder, Offer, Orders};
pub use news::News;
pub use offer::Trouble;
pub use report::{Outcome, PeerReport, Progress, Report};
pub use status::{FileState, FileStatus};
pub use talk::{Login, Seen, Talk};

/// What a user sets.
#[derive(Clone, Debug)]
pub struct PeersConfig {
    /// The server to keep time with.
    pub server: SocketAddr,
    /// The group to share with.
    pub group: Name,
    /// One entry a member: the ID it asks for, or `None` for the lowest free one.
    pub ids: Vec<Option<Name>>,
    /// Time between two ticks; `None` takes what the server offers.
    pub interval: Option<Duration>,
    /// Length of the run; `None` takes what the server offers.
    pub duration: Option<Duration>,
    /// How long after the last run of the group everything may take; `None`: no sharing.
    pub share_deadline: Option<Duration>,
}

/// The machine of all peers of a process.
#[derive(Debug)]
pub struct Peers {
    common: Common,
    members: Vec<Member>,
    exited: bool,
}

impl Peers {
    /// Peers that have not started.
    pub fn new(config: PeersConfig) -> Peers {
        let members =
            (0..config.ids.len()).map(|index| Member::new(index as u32, config.ids[index])).collect();
        Peers { common: Common::new(config), members, exited: false }
    }

    /// A guest that has not started: one member without a run, that offers, gets or finds files.
    pub fn guest(config: GuestConfig) -> Peers {
        let talk = config.orders.talk.as_ref();
        let user = talk.and_then(|talk| talk.login.as_ref()).map(|login| login.user);
        let peers = Peers::new(PeersConfig {
            server: config.server,
            // Users share files in this one.
            group: talk.map_or(config.group, |_| GROUP_DEFAULT.parse().expect("a name")),
            ids: vec![user.or(config.id)],
            interval: None,
            duration: None,
            share_deadline: None,
        });
        let mut peers = peers.with_upload_limit(config.upload_limit);
        peers.members[0].guest = Some(Guest::new(config.orders));
        peers
    }

    /// At most so many bytes of chunks a second are sent to others, by all members together.
    pub fn with_upload_limit(mut self, bytes_per_s: Option<u64>) -> Peers {
        self.common.serving = Serving::new(bytes_per_s.and_then(NonZeroU64::new));
        self
    }

    /// Where everything stands, for a progress line.
    pub fn progress(&self, now: Mono) -> Progress {
        Progress::of(&self.members, now)
    }

    /// How late the ticks of all members were.
    pub fn lateness(&self) -> Spread {
        report::lateness(&self.members)
    }

    /// What came of it, member by member.
    pub fn report(&self) -> Report {
        Report { peers: self.members.iter().map(Member::report).collect() }
    }

    /// Others are told to reach it there, where it also listens on all networks; without this it
    /// listens where it reaches the server, and nowhere else.
    pub fn with_listener_at(mut self, ip: IpAddr) -> Peers {
        self.common.listen_ip = Some(ip);
        self
    }

    fn on_link_up(
        &mut self,
        link: LinkId,
        origin: Origin,
        ends: (SocketAddr, SocketAddr),
        now: Now,
        os: &mut dyn Os,
    ) {
        let Origin::Dialed(dial) = origin else {
            return self.let_in(link, ends.1, now, os);
        };
        let (common, members) = (&mut self.common, &mut self.members);
        match common.dials.remove(&dial) {
            Some(DialFor::Server(member)) => {
                members[member as usize].on_server_up(link, ends, common, now, os)
            }
            Some(DialFor::Pair(member, other)) => {
                members[member as usize].on_pair_up(other, dial, link, common, now, os);
            }
            None => os.perform(Effect::Close { link, reason: CloseReason::Unwanted }),
        }
    }

    fn on_link_down(&mut self, link: LinkId, why: &str, now: Now, os: &mut dyn Os) {
        let (common, members) = (&mut self.common, &mut self.members);
        match common.forget(link).map(|session| session.whose) {
            Some(Whose::Server(member)) => {
                members[member as usize].on_server_down(why, common, now, os);
            }
            Some(Whose::Pair(member, other)) => {
                members[member as usize].on_pair_down(other, link, why, common, now, os);
            }
            Some(Whose::Stranger) | None => {
                common.wheel.cancel(&Timer::Stranger(link));
            }
        }
    }

    fn on_received(&mut self, link: LinkId, bytes: &[u8], at: Wall, now: Now, os: &mut dyn Os) {
        let Some(session) = self.common.sessions.get_mut(link) else { return };
        let mut reader = std::mem::take(&mut session.reader);
        let mut input = bytes;
        let mut answers = 0;
        while let Some(piece) = reader.next(&mut input) {
            let Some(session) = self.common.sessions.get(link) else { return };
            let octets = self.on_piece(link, session.whose, &piece, (at, now), &mut answers, os);
            if octets > 0 {
                reader.expect_octets(octets);
            }
        }
        let Some(session) = self.common.sessions.get_mut(link) else { return };
        session.reader = reader;
        if let (Whose::Server(member), 2..) = (session.whose, answers) {
            self.members[member as usize].count_coalesced(answers - 1);
        }
    }

    /// Hands a line or octets to whom they concern; returns how many octets the line announces.
    fn on_piece(
        &mut self,
        link: LinkId,
        whose: Whose,
        piece: &Piece<'_>,
        (at, now): (Wall, Now),
        answers: &mut u64,
        os: &mut dyn Os,
    ) -> u64 {
        let (common, members) = (&mut self.common, &mut self.members);
        match (whose, piece) {
            (Whose::Server(member), Piece::Line(line)) => {
                match members[member as usize].on_server_line(line, at, common, now, os) {
                    Said::Tock => *answers += 1,
                    Said::Octets(octets) => return octets,
                    Said::Other => {}
                }
            }
            (Whose::Server(member), Piece::Octets { bytes, last }) => {
                members[member as usize].on_server_octets(bytes, *last, common, now, os);
            }
            (Whose::Pair(member, other), Piece::Line(line)) => {
                return members[member as usize].on_pair_line(other, link, line, common, now, os);
            }
            (Whose::Pair(member, other), Piece::Octets { bytes, last }) => {
                members[member as usize].on_pair_octets(other, link, bytes, *last, common, now, os);
            }
            (Whose::Stranger, Piece::Line(line)) => self.on_stranger_line(link, line, now, os),
            (Whose::Pair(member, other), Piece::TooLong) => {
                let fault = (ErrorCode::LineTooLong, TOO_LONG_TEXT.to_owned());
                members[member as usize].condemn(other, link, fault, common, now, os);
            }
            (_, Piece::TooLong) | (Whose::Stranger, Piece::Octets { .. }) => {
                let (code, text) = (ErrorCode::LineTooLong, TOO_LONG_TEXT);
                common.send(link, &Message::Err { code, text }, os);
                self.close(link, CloseReason::Misbehaved, "it sent a line of more than 4096 bytes", now, os);
            }
        }
        0
    }

    fn close(&mut self, link: LinkId, reason: CloseReason, why: &str, now: Now, os: &mut dyn Os) {
        os.perform(Effect::Close { link, reason });
        self.on_link_down(link, why, now, os);
    }

    /// Somebody connected to us and has to say which pair the link is for.
    fn on_stranger_line(&mut self, link: LinkId, line: &[u8], now: Now, os: &mut dyn Os) {
        let refusal = match Message::parse(line) {
            Ok(Message::Link { group, from, to, ticket, zstd }) => {
                let (common, members) = (&mut self.common, &mut self.members);
                let known = group == common.config.group;
                match members.iter_mut().find(|member| known && member.is_called(&to)) {
                    Some(member) => member.on_link_request(link, (from, ticket, zstd), common, now, os),
                    None => Err((ErrorCode::UnknownMember, "no such member here")),
                }
            }
            Ok(_) => Err((ErrorCode::OutOfPlace, "LINK comes first")),
            Err(ParseError::Empty) => return,
            Err(error) => Err((error.code(), "LINK comes first")),
        };
        match refusal {
            Ok(()) => drop(self.common.wheel.cancel(&Timer::Stranger(link))),
            Err((code, text)) => {
                log::debug!("direct link refused code={} text=\"{text}\"", code.as_str());
                self.common.send(link, &Message::Err { code, text }, os);
                self.close(link, CloseReason::Refused, text, now, os);
            }
        }
    }
}
