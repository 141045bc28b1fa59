//! How members and links go: by their own word, by silence, or because the link broke; and who is
//! told.

use std::net::SocketAddr;

use crate::proto::ids::{LinkId, Name};
use crate::proto::machine::{CloseReason, Effect, Os};
use crate::proto::server::session::{Session, silence_timeout};
use crate::proto::server::{Limit, Server, Timer};
use crate::proto::time::Now;
use crate::proto::wire::{Departure, ErrorCode, Message, Role};

impl Server {
    /// Tells every member of the group that shares that one of them will not come back.
    fn tell_gone(&mut self, group: &Name, id: &Name, why: Departure, os: &mut dyn Os) {
        let Some(listed) = self.directory.group(group) else { return };
        let links: Vec<LinkId> =
            listed.listeners().filter(|(to, _)| *to != id).map(|(_, link)| link).collect();
        for link in links {
            self.send(link, &Message::Gone { id: *id, why }, os);
        }
    }

    /// The member leaves for good and the others are told.
    pub(super) fn depart(&mut self, link: LinkId, how: Departure, now: Now, os: &mut dyn Os) {
        self.stop_privates(link, os);
        self.dismiss(link);
        let session = self.sessions.get_mut(link).expect("a line has a session");
        if let Some(seat) = session.seat.take() {
            self.run_was_cut |= seat.running;
            let shared = self.directory.member(&seat.group, &seat.id).is_some_and(|member| member.shares());
            self.directory.remove(&seat.group, &seat.id);
            if shared {
                self.tell_gone(&seat.group, &seat.id, how, os);
            }
            log::info!("member left group={} id={} how={}", seat.group, seat.id, how.as_str());
        }
        self.close(link, CloseReason::Farewell, now, os);
        self.end_run_if_over(now, os);
    }

    pub(super) fn close(&mut self, link: LinkId, reason: CloseReason, now: Now, os: &mut dyn Os) {
        os.perform(Effect::Close { link, reason });
        self.drop_session(link, now, os);
    }

    /// Forgets a link; a member on it counts as lost, and the others are told.
    pub(super) fn drop_session(&mut self, link: LinkId, now: Now, os: &mut dyn Os) {
        self.wheel.cancel(&Timer::Greet(link));
        self.wheel.cancel(&Timer::Silence(link));
        self.end_talk(link, now, os);
        let Some(seat) = self.remove_session(link).and_then(|session| session.seat) else { return };
        self.directory.lose(&seat.group, &seat.id, seat.accounts, now);
        self.wait_for_lost();
        // A server that stops takes nobody's run for lost.
        if self.is_serving() {
            self.announce(&seat.group, &seat.id, now, os);
        }
        self.end_run_if_over(now, os);
    }

    pub(super) fn remove_session(&mut self, link: LinkId) -> Option<Session> {
        let session = self.sessions.remove(link)?;
        self.door.leave(session.remote.ip());
        Some(session)
    }

    /// Nobody is let in there: a limit of links is reached.
    pub(super) fn turn_away(
        &mut self,
        link: LinkId,
        remote: SocketAddr,
        limit: Limit,
        now: Now,
        os: &mut dyn Os,
    ) {
        self.status.hit(limit);
        if let Some(unlogged) = self.door.may_tell(now.mono) {
            log::warn!("link turned away from={remote} limit={} unlogged={unlogged}", limit.as_str());
        }
        let text = match limit {
            Limit::LinksPerAddress => "this server takes no more links from your address now",
            _ => "this server takes no more links now",
        };
        self.send(link, &Message::greeting(Role::Server), os);
        self.send(link, &Message::Err { code: ErrorCode::LimitReached, text }, os);
        os.perform(Effect::Close { link, reason: CloseReason::Refused });
    }

    /// Arms the timer that forgets lost members.
    fn wait_for_lost(&mut self) {
        if let Some(next) = self.directory.next_forget() {
            self.wheel.insert(Timer::Forget, next);
        }
    }

    pub(super) fn on_forget(&mut self, now: Now) {
        self.directory.forget_lost(now.mono);
        self.wait_for_lost();
    }

    pub(super) fn on_greet_timeout(&mut self, link: LinkId, now: Now, os: &mut dyn Os) {
        self.status.hit(Limit::Greet);
        self.send(link, &Message::Bye { why: "you have not joined in time" }, os);
        self.close(link, CloseReason::Silent, now, os);
    }

    /// Armed once a period and not at each tick: a tick only notes when it came.
    pub(super) fn on_silence_check(&mut self, link: LinkId, now: Now, os: &mut dyn Os) {
        let Some(session) = self.sessions.get(link) else { return };
        let Some(seat) = &session.seat else { return };
        let silent_at = session.last_heard + silence_timeout(&seat.accounts);
        if silent_at > now.mono {
            self.wheel.insert(Timer::Silence(link), silent_at);
            return;
        }
        log::warn!("member silent group={} id={} from={}", seat.group, seat.id, session.remote);
        self.status.hit(Limit::Silence);
        self.send(link, &Message::Bye { why: "you have been silent for too long" }, os);
        self.close(link, CloseReason::Silent, now, os);
    }
}
