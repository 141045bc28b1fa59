//! What the server says to one member with a run: joining, ticks, and the wish to leave.

use std::net::SocketAddr;
use std::time::Duration;

use crate::proto::exchange::Answerer;
use crate::proto::ids::{Key, LinkId, Name};
use crate::proto::limits::{
    DURATION_MAX, GREET_TIMEOUT, INTERVAL_MAX, INTERVAL_MIN, RETURN_GRACE, RUN_OVERRUN, TICK_SILENCE_TIMEOUT,
};
use crate::proto::machine::{CloseReason, Effect, Os};
use crate::proto::record::IpText;
use crate::proto::server::catalog::Who;
use crate::proto::server::chat::Talker;
use crate::proto::server::directory::{Refusal, Request, refuse};
use crate::proto::server::talk::Talk;
use crate::proto::server::{Server, Timer};
use crate::proto::time::{Mono, Now, Period, Wall, ns};
use crate::proto::wire::{Departure, ErrorCode, LineReader, Message};

/// What the server keeps of a link.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) remote: SocketAddr,
    /// Who it is, once it has joined.
    pub(super) seat: Option<Box<Seat>>,
    local: SocketAddr,
    pub(super) reader: LineReader,
    pub(super) errors: u32,
    pub(super) blocked: bool,
    /// It is not read until it is not blocked any more.
    pub(super) paused: bool,
    pub(super) last_heard: Mono,
    pub(super) talk: Talk,
    pub(super) talker: Talker,
}

/// A member's place: what every tick needs, without a look into the directory.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) group: Name,
    pub(super) id: Name,
    pub(super) accounts: Answerer,
    member_ip: IpText,
    server_ip: IpText,
    pub(super) running: bool,
    /// Ticks after this are refused: the member agreed to end its run before.
    until: Mono,
}

impl Session {
    pub(super) fn new(local: SocketAddr, remote: SocketAddr) -> Session {
        let (reader, talk, talker) = (LineReader::default(), Talk::default(), Talker::default());
        let last_heard = Mono(0);
        Session {
            remote,
            seat: None,
            local,
            reader,
            errors: 0,
            blocked: false,
            paused: false,
            last_heard,
            talk,
            talker,
        }
    }

    /// Whether the other side is on the server's own host: it came over loopback, or from the address that it dialed.
    pub(super) fn is_near(&self) -> bool {
        self.remote.ip().is_loopback() || self.remote.ip() == self.local.ip()
    }

    /// Where the one at this link finds somebody who is at `addr` for the server: what is the
    /// server's own host for itself is the host that it has reached, for one that is elsewhere.
    pub(super) fn reaches(&self, addr: SocketAddr) -> SocketAddr {
        let ip = if addr.ip().is_loopback() && !self.is_near() { self.local.ip() } else { addr.ip() };
        SocketAddr::new(ip, addr.port())
    }
}

impl Server {
    pub(super) fn on_tick(
        &mut self,
        link: LinkId,
        seq: u64,
        t1: Wall,
        at: Wall,
        now: Now,
        os: &mut dyn Os,
    ) -> Result<(), Refusal> {
        let session = self.sessions.get_mut(link).expect("a line has a session");
        let blocked = session.blocked;
        let Some(seat) = session.seat.as_mut().filter(|seat| seat.running) else {
            return refuse(ErrorCode::OutOfPlace, "JOIN comes before TICK, and DONE after it");
        };
        if !seat.accounts.admit(now.mono) {
            self.expel(link, ErrorCode::TooFast, "ticks come faster than agreed", now, os);
            return Ok(());
        }
        if now.mono > seat.until {
            self.expel(link, ErrorCode::OutOfPlace, "the run lasts longer than agreed", now, os);
            return Ok(());
        }
        if seat.accounts.received == 1 {
            self.wheel.insert(Timer::Silence(link), now.mono + TICK_SILENCE_TIMEOUT);
        }
        self.status.ticks += 1;
        if let Some(run) = &mut self.run {
            run.row(&seat.member_ip, &seat.server_ip, t1);
            run.relieve(os);
        }
        if blocked {
            // A stamp that cannot leave now is not sent at all: late, it would be a lie.
            seat.accounts.blocked += 1;
            self.status.blocked += 1;
            return Ok(());
        }
        seat.accounts.sent += 1;
        self.status.tocks += 1;
        if let Some(run) = &mut self.run {
            run.row(&seat.server_ip, &seat.member_ip, now.wall);
        }
        self.send(link, &Message::Tock { seq, t1, t2: at, t3: now.wall }, os);
        Ok(())
    }

    pub(super) fn on_join(
        &mut self,
        link: LinkId,
        (group, id, key): (Name, Option<Name>, Option<Key>),
        port: u16,
        (interval_ns, duration_ns): (Option<u64>, Option<u64>),
        now: Now,
        os: &mut dyn Os,
    ) -> Result<(), Refusal> {
        let session = self.sessions.get(link).expect("a line has a session");
        if let Some(seat) = &session.seat {
            let text = format!("you are member {} of {} already", seat.id, seat.group);
            return refuse(ErrorCode::OutOfPlace, text);
        }
        if let Some(guest) = &session.talk.guest {
            let text = format!("you are guest {} of {} already", guest.id, guest.group);
            return refuse(ErrorCode::OutOfPlace, text);
        }
        if let Some(id) = id {
            self.guests.check_free(&Who { group, id }, now.mono)?;
        }
        let interval = interval_ns.map_or(self.config.interval, Duration::from_nanos);
        let duration = duration_ns.map_or(self.config.duration, Duration::from_nanos);
        check_run(interval, duration)?;
        self.check_new_run(duration, now.mono)?;
        let (local, remote) = (session.local, session.remote);
        let request = Request { link, remote, group, id, port, duration, key };
        let joined = self.directory.join(&request, now.mono, now.wall)?;
        let id = joined.id;
        if let Some(newcomer) = joined.displaced {
            self.send_away(newcomer, (&group, &id), os);
        }
        let mut accounts = Answerer::new(now.mono, interval);
        let is_back = joined.resumed.is_some();
        if let Some((former_link, paused)) = joined.resumed {
            let former = former_link.and_then(|former| self.displace(former, os));
            if let Some(former) = paused.or(former) {
                accounts = former;
                accounts.resume(now.mono, interval);
            }
            log::info!("member back group={group} id={id} from={remote}");
        } else {
            self.status.members_joined += 1;
            let period = Period(interval);
            log::info!(
                "member joined group={group} id={id} from={remote} interval={period} duration={}",
                Period(duration)
            );
        }
        self.catalog.arrive(&Who { group, id }, is_back, port != 0);
        let running = !duration.is_zero();
        if running {
            self.open_run(now, os);
            self.wheel.insert(Timer::Silence(link), now.mono + silence_timeout(&accounts));
        }
        self.wheel.cancel(&Timer::Greet(link));
        let (member_ip, server_ip) = (IpText::new(remote.ip()), IpText::new(local.ip()));
        let until = now.mono + duration + RUN_OVERRUN;
        let session = self.sessions.get_mut(link).expect("a line has a session");
        session.seat = Some(Box::new(Seat { group, id, accounts, member_ip, server_ip, running, until }));
        self.welcome(link, (&group, &id), joined.key, (interval, duration), joined.epoch, now, os);
        self.announce(&group, &id, now, os);
        if !running {
            // It may be the one that the run waited for, or have displaced it.
            self.end_run_if_over(now, os);
        }
        Ok(())
    }

    /// The list of the others, then the answer.
    #[allow(clippy::too_many_arguments)] // one line of the protocol
    fn welcome(
        &mut self,
        link: LinkId,
        (group, id): (&Name, &Name),
        key: Key,
        (interval, duration): (Duration, Duration),
        epoch: u64,
        now: Now,
        os: &mut dyn Os,
    ) {
        self.scratch.clear();
        if let Some(listed) = self.directory.group(group) {
            for (about, _) in listed.listeners() {
                if let Some(line) = listed.line(about, id, now.mono) {
                    self.scratch.extend_from_slice(b"* ");
                    line.encode(&mut self.scratch);
                }
            }
        }
        let (interval_ns, duration_ns) = (ns(interval), ns(duration));
        Message::OkJoin { id: *id, key, interval_ns, duration_ns, epoch }.encode(&mut self.scratch);
        os.perform(Effect::Send { link, bytes: &self.scratch });
    }

    /// The member has come back over another link before this one was seen to be gone.
    fn displace(&mut self, former: LinkId, os: &mut dyn Os) -> Option<Answerer> {
        self.drop_octets(former);
        let session = self.remove_session(former)?;
        self.wheel.cancel(&Timer::Silence(former));
        os.perform(Effect::Close { link: former, reason: CloseReason::Replaced });
        session.seat.map(|seat| seat.accounts)
    }

    /// A member of an earlier life of the server has come back for the number.
    fn send_away(&mut self, newcomer: LinkId, (group, id): (&Name, &Name), os: &mut dyn Os) {
        let text =
            format!("{id} belongs to a member that came back; join again in {} s", RETURN_GRACE.as_secs());
        self.send(newcomer, &Message::Err { code: ErrorCode::IdTaken, text: &text }, os);
        self.run_was_cut = true;
        self.displace(newcomer, os);
        log::info!("number taken back group={group} id={id}");
    }

    pub(super) fn on_done(
        &mut self,
        link: LinkId,
        sent: u64,
        answered: u64,
        now: Now,
        os: &mut dyn Os,
    ) -> Result<(), Refusal> {
        let session = self.sessions.get_mut(link).expect("a line has a session");
        let Some(seat) = session.seat.as_mut() else {
            return refuse(ErrorCode::OutOfPlace, "JOIN comes first");
        };
        if !seat.running {
            return refuse(ErrorCode::OutOfPlace, "your run is over already");
        }
        let (group, id, accounts) = (seat.group, seat.id, seat.accounts);
        seat.running = false;
        if let Some(member) = self.directory.member_mut(&group, &id).filter(|member| !member.done) {
            member.done = true;
            member.until = now.mono;
        }
        self.wheel.cancel(&Timer::Silence(link));
        log::info!(
            "member done group={group} id={id} ticks={} tocks={} sent={sent} answered={answered} blocked={} coalesced={}",
            accounts.received,
            accounts.sent,
            accounts.blocked,
            accounts.coalesced
        );
        self.send(link, &Message::OkDone { received: accounts.received, sent: accounts.sent }, os);
        self.announce(&group, &id, now, os);
        self.end_run_if_over(now, os);
        Ok(())
    }

    pub(super) fn on_leave(
        &mut self,
        link: LinkId,
        epoch: u64,
        now: Now,
        os: &mut dyn Os,
    ) -> Result<(), Refusal> {
        let session = self.sessions.get(link).expect("a line has a session");
        let Some(seat) = &session.seat else {
            return refuse(ErrorCode::OutOfPlace, "JOIN comes first");
        };
        if seat.running {
            return refuse(ErrorCode::OutOfPlace, "your run is still on; say DONE first");
        }
        let member = self.directory.member(&seat.group, &seat.id);
        let moved = self.directory.group(&seat.group).is_some_and(|group| group.epoch() != epoch);
        if moved && member.is_some_and(|member| member.shares()) {
            return refuse(ErrorCode::DirectoryMoved, "somebody joined since");
        }
        self.send(link, &Message::OkLeave, os);
        self.depart(link, Departure::Complete, now, os);
        Ok(())
    }
}

/// How long a member with these accounts may say nothing.
pub(super) fn silence_timeout(accounts: &Answerer) -> Duration {
    if accounts.received == 0 { GREET_TIMEOUT } else { TICK_SILENCE_TIMEOUT }
}

fn check_run(interval: Duration, duration: Duration) -> Result<(), Refusal> {
    if interval < INTERVAL_MIN || interval > INTERVAL_MAX {
        let (min, max) = (Period(INTERVAL_MIN), Period(INTERVAL_MAX));
        return refuse(ErrorCode::LimitReached, format!("an interval is from {min} to {max}"));
    }
    if duration > DURATION_MAX {
        return refuse(ErrorCode::LimitReached, format!("a run lasts at most {}", Period(DURATION_MAX)));
    }
    Ok(())
}
