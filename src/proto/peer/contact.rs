//! A member and its server: dialing, joining, coming back after a break, and the lines that the
//! server says.

use std::net::SocketAddr;
use std::time::Duration;

use crate::proto::ids::{Key, LinkId, Name};
use crate::proto::limits::{
    DURATION_MAX, ERRORS_MAX, FIRST_CONTACT_TIMEOUT, INTERVAL_MAX, INTERVAL_MIN, REDIAL_PAUSE_MAX,
    REDIAL_PAUSE_MIN, REPLY_TIMEOUT,
};
use crate::proto::machine::{CloseReason, Effect, Os};
use crate::proto::peer::common::{Common, DialFor, Listener, Session, Timer, Whose};
use crate::proto::peer::member::{Contact, Member, Stage};
use crate::proto::time::{Now, Period, Wall, ns};
use crate::proto::wire::{ErrorCode, Message, Role, VERSION};

/// What a line of the server was.
pub(super) enum Said {
    /// The answer to a tick.
    Tock,
    /// So many octets follow.
    Octets(u64),
    Other,
}

impl Member {
    pub(super) fn dial_server(&mut self, common: &mut Common, now: Now, os: &mut dyn Os) {
        if self.contact != Contact::Waiting || self.is_ended() {
            return;
        }
        let dial = common.dial(common.config.server, DialFor::Server(self.index), os);
        self.contact = Contact::Dialing(dial);
        common.wheel.insert(Timer::Reply(self.index), now.mono + REPLY_TIMEOUT * 2);
    }

    pub(super) fn on_server_up(
        &mut self,
        link: LinkId,
        (local, remote): (SocketAddr, SocketAddr),
        common: &mut Common,
        now: Now,
        os: &mut dyn Os,
    ) {
        if !matches!(self.contact, Contact::Dialing(_)) {
            os.perform(Effect::Close { link, reason: CloseReason::Unwanted });
            return;
        }
        common.sessions.insert(link, Session::new(Whose::Server(self.index)));
        self.contact = Contact::Up(link);
        self.blocked = false;
        self.ends = Some((local.ip(), remote.ip()));
        common.wheel.insert(Timer::Reply(self.index), now.mono + REPLY_TIMEOUT);
        match common.listener {
            // Others reach us where the server does: a peer is not offered to networks that it did not choose.
            Listener::None if common.config.share_deadline.is_some() || self.serves() => {
                common.listener = Listener::Asked;
                let ip = common.listen_ip.unwrap_or(local.ip());
                os.perform(Effect::Listen { addr: SocketAddr::new(ip, 0) });
            }
            Listener::Asked => {}
            Listener::None | Listener::Ready(_) => self.join(link, common, now, os),
        }
    }

    pub(super) fn on_listener_ready(&mut self, common: &mut Common, now: Now, os: &mut dyn Os) {
        if let Contact::Up(link) = self.contact {
            self.join(link, common, now, os);
        }
    }

    fn join(&mut self, link: LinkId, common: &mut Common, now: Now, os: &mut dyn Os) {
        self.contact = Contact::Joining(link);
        let port = match common.listener {
            Listener::Ready(port) => port,
            Listener::None | Listener::Asked => 0,
        };
        if self.guest.is_some() {
            return match self.talks() {
                true => self.say_who(link, common, os),
                false => self.say_hello(link, (self.id, self.key), port, common, os),
            };
        }
        let (interval, duration) = match (&self.run, self.stage) {
            (None, _) => (common.config.interval, common.config.duration),
            (Some(run), Stage::Opening) => (Some(run.interval), Some(run.ticker.end() - run.started)),
            // What is left of the run; at least something while its end is not reported.
            (Some(run), Stage::Running | Stage::Settling | Stage::Closing { .. }) => {
                (Some(run.interval), Some((run.ticker.end() - now.mono).max(run.interval)))
            }
            (Some(run), _) => (Some(run.interval), Some(Duration::ZERO)),
        };
        self.joins_done = duration == Some(Duration::ZERO);
        let group = common.config.group;
        let (interval_ns, duration_ns) = (interval.map(ns), duration.map(ns));
        let (id, key) = (self.id, self.key);
        common.send(link, &Message::Join { group, id, port, interval_ns, duration_ns, key }, os);
    }

    /// The link to the server is gone, or did not come up.
    pub(super) fn on_server_down(&mut self, why: &str, common: &mut Common, now: Now, os: &mut dyn Os) {
        if self.is_ended() {
            return;
        }
        let was_joined = matches!(self.contact, Contact::Joined(_));
        self.contact = Contact::Waiting;
        self.on_talk_broken(was_joined, why);
        self.blocked = false;
        common.wheel.cancel(&Timer::Reply(self.index));
        if self.stage == Stage::Leaving {
            self.end("done", common, os);
            return;
        }
        let since = common.started.max(self.contacting_since);
        if self.contacts_made == 0 && now.mono - since >= FIRST_CONTACT_TIMEOUT && !self.stays() {
            let why =
                format!("cannot reach the server at {}: {why}; is one running there?", common.config.server);
            self.fail(&why, common, now, os);
            return;
        }
        if was_joined {
            log::warn!("server lost id={} why=\"{why}\" then=\"it is tried again\"", self.label());
            self.redial_pause = REDIAL_PAUSE_MIN;
        } else {
            log::debug!("no server id={} why=\"{why}\" pause={:?}", self.label(), self.redial_pause);
        }
        common.wheel.insert(Timer::Redial(self.index), now.mono + self.redial_pause);
        self.redial_pause = (self.redial_pause * 2).min(REDIAL_PAUSE_MAX);
        if self.stage == Stage::Sharing {
            self.drive(common, now, os);
        }
    }

    /// The server did not answer in time.
    pub(super) fn on_reply_timeout(&mut self, common: &mut Common, now: Now, os: &mut dyn Os) {
        match self.contact {
            Contact::Up(link) | Contact::Joining(link) => {
                common.close(link, CloseReason::Silent, os);
                self.on_server_down("it does not answer as a tickmesh server", common, now, os);
            }
            Contact::Joined(_) if self.stage == Stage::Leaving => self.end("done", common, os),
            Contact::Joined(_) if self.stage == Stage::Sharing => {
                log::warn!("the server does not answer DONE id={}", self.label());
                self.done_known = true;
                self.drive(common, now, os);
            }
            _ => {}
        }
    }

    /// Handles a line of the server.
    pub(super) fn on_server_line(
        &mut self,
        line: &[u8],
        at: Wall,
        common: &mut Common,
        now: Now,
        os: &mut dyn Os,
    ) -> Said {
        match Message::parse(line) {
            Ok(_) if self.on_ok(line) => {}
            Ok(Message::Tock { seq, t1, t2, t3 }) => {
                self.on_tock(seq, (t1, t2, t3, at), common, now, os);
                return Said::Tock;
            }
            Ok(Message::Greeting { version, role, software }) => {
                if (version, role) != (VERSION, Role::Server) {
                    let role = role.as_str();
                    self.fail(
                        &format!(
                            "expected a server of version {VERSION}, found {role} {version} ({software})"
                        ),
                        common,
                        now,
                        os,
                    );
                }
            }
            Ok(Message::OkJoin { id, key, interval_ns, duration_ns, epoch }) if self.guest.is_none() => {
                let grid = (Duration::from_nanos(interval_ns), Duration::from_nanos(duration_ns));
                self.on_joined(id, key, epoch, grid, common, now, os);
            }
            Ok(Message::OkHello { id, .. }) if self.talks() => self.enter(id, 0, None, common, now, os),
            Ok(Message::OkHello { id, key }) if self.guest.is_some() => {
                self.on_welcome(id, key, common, now, os)
            }
            Ok(Message::Source { file, id, addr, ticket }) => {
                if !self.is_called(&id) {
                    self.on_source(file, (id, addr, ticket), common, now, os);
                }
            }
            Ok(Message::OkRegister { file, holders }) => self.on_registered(file, holders, common, os),
            Ok(Message::OkWithdraw { .. }) => self.on_withdrawn(common, os),
            Ok(Message::OkDownload { file, bytes, chunk_bytes, octets }) => {
                let octets = self.on_download(file, bytes, chunk_bytes, octets);
                if octets == 0 {
                    self.on_hashes_end(common, now, os);
                }
                return Said::Octets(octets);
            }
            Ok(ref item @ Message::Holder { .. }) if self.talks() => self.show_item(item),
            Ok(Message::Holder { id, held, chunks }) => self.on_holder(id, held, chunks),
            Ok(Message::OkSearchFile { found } | Message::OkSearchChunk { found }) => {
                self.on_searched(found, common, now, os);
            }
            Ok(Message::Peer { epoch, id, addr, ticket, state, left_ns }) => {
                self.epoch = epoch;
                if self.is_called(&id) {
                    return Said::Other;
                }
                self.learn(id, (addr, ticket), (state, left_ns), common, now, os);
                self.drive(common, now, os);
            }
            Ok(Message::Gone { id, why }) => {
                self.others.forget(&id, why, now);
                self.drive(common, now, os);
            }
            Ok(Message::OkDone { received, sent }) => {
                self.rows_there = Some((received, sent));
                self.done_known = true;
                common.wheel.cancel(&Timer::Reply(self.index));
                self.drive(common, now, os);
            }
            Ok(Message::OkLeave) => self.end("done", common, os),
            Ok(Message::Chat(ref line)) if self.talks() => self.on_chat_line(line, common, now, os),
            Ok(Message::Bye { why }) => {
                log::warn!("server says goodbye id={} why=\"{why}\"", self.label());
                self.on_talk_bye(why, common, now, os);
            }
            Ok(Message::Err { code, text }) => self.on_server_error(code, text, common, now, os),
            Ok(other) => log::warn!("server said something out of place verb=\"{}\"", other.verb()),
            Err(error) => self.on_nonsense(&error.to_string(), common, now, os),
        }
        Said::Other
    }

    /// A guest that gets or offers files has to be reached by others.
    fn serves(&self) -> bool {
        self.guest.as_ref().is_some_and(|guest| match &guest.talker {
            Some(talker) => talker.is_user(),
            None => guest.orders.find.is_none(),
        })
    }

    /// The server takes us as a guest.
    fn on_welcome(&mut self, id: Name, key: Key, common: &mut Common, now: Now, os: &mut dyn Os) {
        let Contact::Joining(link) = self.contact else { return };
        self.contact = Contact::Joined(link);
        self.redial_pause = REDIAL_PAUSE_MIN;
        self.contacts_made += 1;
        self.alone_until = None;
        self.nonsense = 0;
        common.wheel.cancel(&Timer::Reply(self.index));
        (self.id, self.key) = (Some(id), Some(key));
        log::info!("known to the server group={} id={id}", common.config.group);
        self.stage = Stage::Sharing;
        self.begin_visit(common, now, os);
    }

    /// The server says what is no message; after a while it is taken for no server.
    fn on_nonsense(&mut self, error: &str, common: &mut Common, now: Now, os: &mut dyn Os) {
        log::debug!("server sent a line that is no message id={} error=\"{error}\"", self.label());
        self.nonsense += 1;
        let link = match self.contact {
            Contact::Up(link) | Contact::Joining(link) | Contact::Joined(link) => link,
            _ => return,
        };
        if self.nonsense > ERRORS_MAX {
            self.nonsense = 0;
            common.close(link, CloseReason::Misbehaved, os);
            self.on_server_down("it does not answer as a tickmesh server", common, now, os);
        }
    }

    #[allow(clippy::too_many_arguments)] // one line of the protocol
    fn on_joined(
        &mut self,
        id: Name,
        key: Key,
        epoch: u64,
        (interval, duration): (Duration, Duration),
        common: &mut Common,
        now: Now,
        os: &mut dyn Os,
    ) {
        let Contact::Joining(link) = self.contact else { return };
        let duration_max = if self.stage == Stage::Contacting { DURATION_MAX } else { Duration::MAX };
        if !(INTERVAL_MIN..=INTERVAL_MAX).contains(&interval) || duration > duration_max {
            let (interval, duration) = (Period(interval), Period(duration));
            self.fail(&format!("the server asks for ticks every {interval} for {duration}"), common, now, os);
            return;
        }
        self.contact = Contact::Joined(link);
        self.redial_pause = REDIAL_PAUSE_MIN;
        self.contacts_made += 1;
        self.alone_until = None;
        self.nonsense = 0;
        common.wheel.cancel(&Timer::Reply(self.index));
        (self.id, self.key, self.epoch) = (Some(id), Some(key), epoch);
        match self.stage {
            Stage::Contacting => {
                log::info!("joined group={} id={id} server={}", common.config.group, common.config.server);
                self.open_records(interval, duration, common, now, os);
            }
            Stage::Sharing => {
                log::info!("back at the server id={id}");
                if self.joins_done {
                    // The join itself said that the run is over.
                    self.done_known = true;
                } else {
                    self.say_done(common, now, os);
                }
                self.drive(common, now, os);
            }
            _ => log::info!("back at the server id={id}"),
        }
    }

    fn on_server_error(
        &mut self,
        code: ErrorCode,
        text: &str,
        common: &mut Common,
        now: Now,
        os: &mut dyn Os,
    ) {
        match (self.contact, self.stage) {
            (Contact::Joined(_), Stage::Sharing) if self.guest.is_some() => {
                self.on_guest_error(code, text, common, now, os);
            }
            (Contact::Joining(link) | Contact::Joined(link), _)
                if code == ErrorCode::IdTaken && self.may_begin_again(common, now) =>
            {
                self.begin_again(link, common, now, os);
            }
            // Somebody joined while we were leaving: the directory has told us by now.
            (Contact::Joined(_), Stage::Leaving) if code == ErrorCode::DirectoryMoved => {
                self.stage = Stage::Sharing;
                common.wheel.cancel(&Timer::Reply(self.index));
                self.drive(common, now, os);
            }
            (Contact::Joining(link), _) if self.talks() => {
                self.on_login_refused(link, (code, text), common, now, os);
            }
            (Contact::Joining(_), Stage::Contacting) => {
                self.fail(&format!("the server refused: {text} ({})", code.as_str()), common, now, os);
            }
            (Contact::Joining(link), Stage::Sharing) if self.guest.is_some() => {
                self.on_guest_refused(link, code, text, common, now, os);
            }
            // Nothing will get better: the run is over, and it cannot be shared under this name. A server that is full is
            // another thing.
            (Contact::Joining(_), Stage::Sharing) if code != ErrorCode::LimitReached => {
                self.fail(&format!("the server does not take this peer back: {text}"), common, now, os);
            }
            (Contact::Joining(link), _) => {
                log::warn!("server refuses to take a peer back id={} why=\"{text}\"", self.label());
                common.close(link, CloseReason::Unwanted, os);
                self.on_server_down(text, common, now, os);
            }
            _ => log::warn!(
                "server reports an error id={} code={} text=\"{text}\"",
                self.label(),
                code.as_str()
            ),
        }
    }
}
