//! What the server says to one link: joining, ticks, and the wish to leave. Everything a stranger
//! can send arrives here.

use std::net::SocketAddr;
use std::time::Duration;

use crate::proto::exchange::Answerer;
use crate::proto::ids::{Key, LinkId, Name};
use crate::proto::limits::{
    DURATION_MAX, ERRORS_MAX, GREET_TIMEOUT, INTERVAL_MAX, INTERVAL_MIN, RETURN_GRACE, RUN_OVERRUN,
    TICK_SILENCE_TIMEOUT,
};
use crate::proto::machine::{CloseReason, Effect, Os};
use crate::proto::record::IpText;
use crate::proto::server::catalog::Who;
use crate::proto::server::directory::{Refusal, Request, refuse};
use crate::proto::server::talk::Talk;
use crate::proto::server::{Server, Timer};
use crate::proto::time::{Mono, Now, Period, Wall, ns};
use crate::proto::wire::{Departure, ErrorCode, LineReader, Message, ParseError, Piece, TOO_LONG_TEXT};

/// What the server keeps of a link.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) remote: SocketAddr,
    /// Who it is, once it has joined.
    pub(super) seat: Option<Seat>,
    local: SocketAddr,
    reader: LineReader,
    errors: u32,
    blocked: bool,
    pub(super) last_heard: Mono,
    pub(super) talk: Talk,
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
        let (reader, talk) = (LineReader::default(), Talk::default());
        Session { remote, seat: None, local, reader, errors: 0, blocked: false, last_heard: Mono(0), talk }
    }
}

impl Server {
    pub(super) fn set_blocked(&mut self, link: LinkId, blocked: bool) {
        if let Some(session) = self.sessions.get_mut(link) {
            session.blocked = blocked;
            if !blocked {
                session.talk.forgive();
            }
        }
    }

    pub(super) fn on_received(&mut self, link: LinkId, bytes: &[u8], at: Wall, now: Now, os: &mut dyn Os) {
        let Some(session) = self.sessions.get_mut(link) else { return };
        session.last_heard = now.mono;
        if !session.blocked {
            session.talk.forgive();
        }
        let mut reader = std::mem::take(&mut session.reader);
        let mut input = bytes;
        let mut ticks = 0;
        while let Some(piece) = reader.next(&mut input) {
            match piece {
                Piece::Line(line) => {
                    self.on_line(link, line, (at, now), &mut ticks, os);
                    reader.expect_octets(self.take_announced(link));
                }
                Piece::TooLong => self.expel(link, ErrorCode::LineTooLong, TOO_LONG_TEXT, now, os),
                Piece::Octets { bytes, last } => self.on_octets(link, bytes, last, now, os),
            }
            if self.sessions.get(link).is_none() {
                return;
            }
        }
        self.status.coalesced += u64::saturating_sub(ticks, 1);
        if let Some(session) = self.sessions.get_mut(link) {
            session.reader = reader;
            if let Some(seat) = &mut session.seat {
                seat.accounts.coalesced += u64::saturating_sub(ticks, 1);
            }
        }
    }

    fn on_line(&mut self, link: LinkId, line: &[u8], when: (Wall, Now), ticks: &mut u64, os: &mut dyn Os) {
        let (at, now) = when;
        let answer = match Message::parse(line) {
            Ok(Message::Tick { seq, t1 }) => {
                *ticks += 1;
                self.on_tick(link, seq, t1, at, now, os)
            }
            Ok(Message::Join { group, id, port, interval_ns, duration_ns, key }) => {
                self.on_join(link, (group, id, key), port, (interval_ns, duration_ns), now, os)
            }
            Ok(Message::Done { sent, answered }) => self.on_done(link, sent, answered, now, os),
            Ok(Message::Leave { epoch }) => self.on_leave(link, epoch, now, os),
            Ok(Message::Bye { why }) => {
                log::debug!("farewell why=\"{why}\"");
                self.depart(link, Departure::Early, now, os);
                Ok(())
            }
            Ok(Message::Err { code, text }) => {
                log::debug!("member reports an error code={} text=\"{text}\"", code.as_str());
                self.count_report(link, now, os);
                Ok(())
            }
            Ok(other) => self.on_other_line(link, &other, now, os),
            Err(ParseError::Empty) => Ok(()),
            Err(error) => refuse(error.code(), error.to_string()),
        };
        if let Err((code, text)) = answer {
            self.complain(link, code, &text, now, os);
        }
    }

    /// An error that the other side reports is not answered, or two programs would never stop.
    fn count_report(&mut self, link: LinkId, now: Now, os: &mut dyn Os) {
        let Some(session) = self.sessions.get_mut(link) else { return };
        session.errors += 1;
        if session.errors > ERRORS_MAX {
            self.expel(link, ErrorCode::TooManyErrors, "too many errors", now, os);
        }
    }

    /// Answers with an error; a link with too many of them is closed.
    pub(super) fn complain(&mut self, link: LinkId, code: ErrorCode, text: &str, now: Now, os: &mut dyn Os) {
        let Some(session) = self.sessions.get_mut(link) else { return };
        let known = session.seat.is_some() || session.talk.guest.is_some();
        session.errors += u32::from(!is_honest(code, known));
        let errors = session.errors;
        self.status.errors += 1;
        log::debug!("refused from={} code={} text=\"{text}\"", session.remote, code.as_str());
        if errors > ERRORS_MAX {
            self.expel(link, ErrorCode::TooManyErrors, "too many errors", now, os);
        } else {
            self.send(link, &Message::Err { code, text }, os);
        }
    }

    pub(super) fn expel(&mut self, link: LinkId, code: ErrorCode, text: &str, now: Now, os: &mut dyn Os) {
        if let Some(session) = self.sessions.get(link) {
            log::warn!("link closed from={} code={} text=\"{text}\"", session.remote, code.as_str());
        }
        self.status.errors += 1;
        self.send(link, &Message::Err { code, text }, os);
        self.close(link, CloseReason::Misbehaved, now, os);
    }

    fn on_tick(
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

    fn on_join(
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
        session.seat = Some(Seat { group, id, accounts, member_ip, server_ip, running, until });
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
        let session = self.sessions.remove(former)?;
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

    fn on_done(
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

    fn on_leave(&mut self, link: LinkId, epoch: u64, now: Now, os: &mut dyn Os) -> Result<(), Refusal> {
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

/// Whether somebody who keeps to the rules may be told so again and again: to ask for what is not there yet is no
/// fault, nor to offer many files of which others have the names, or for which there is no room.
fn is_honest(code: ErrorCode, known: bool) -> bool {
    match code {
        ErrorCode::UnknownFile | ErrorCode::UnknownChunk => true,
        ErrorCode::FileDiffers | ErrorCode::LimitReached => known,
        _ => false,
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
