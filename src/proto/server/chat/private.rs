//! Private links: two users are told where the other one is, and what proves who dials. What they say to each other
//! never comes here.

use crate::proto::chat::{Private, Refusal as Why};
use crate::proto::ids::{LinkId, Name};
use crate::proto::machine::Os;
use crate::proto::server::Server;
use crate::proto::server::catalog::Who;
use crate::proto::server::chat::told;
use crate::proto::server::directory::{Refusal, refuse, ticket};
use crate::proto::server::guests::Contact;
use crate::proto::time::Now;
use crate::proto::wire::{Chat as Line, ErrorCode, GROUP_DEFAULT, Message};

impl Server {
    /// One user wants to talk directly to another.
    pub(super) fn on_start_private(
        &mut self,
        link: LinkId,
        other: &str,
        now: Now,
        os: &mut dyn Os,
    ) -> Result<(), Refusal> {
        let user = self.talker_of(link)?;
        let other: Name = other.parse().map_err(|_| told(Why::Unknown))?;
        if let Some(until) = self.chat.pace_private(&user, now.mono) {
            let seconds = until.since_ns(now.mono).div_ceil(1_000_000_000);
            let text = format!("you are sending too fast; try again in {seconds} s");
            return refuse(ErrorCode::TooFast, text);
        }
        let Private { from, to, is_again } = self.chat.start_private(&user, &other).map_err(|refusal| {
            log::info!("private link refused from={user} to={other} why=\"{refusal}\"");
            told(refusal)
        })?;
        let Some((own, theirs)) = self.meeting((from, user), (to, other)) else {
            if !is_again {
                self.chat.stop_private(&user, &other).map_err(told)?;
            }
            let text = "neither of you can be dialed by the other; one has to run: tickmesh console";
            return refuse(ErrorCode::NotReachable, text);
        };
        log::info!("private link from={user} to={other}");
        let ticket = ticket((&user, own.key), (&other, theirs.key));
        let answer = Line::OkStartPrivate { user: other, addr: theirs.addr, ticket };
        self.send(from, &Message::Chat(answer), os);
        self.send(to, &Message::Chat(Line::Private { user, addr: own.addr, ticket }), os);
        Ok(())
    }

    /// One of the two ends it.
    pub(super) fn on_stop_private(
        &mut self,
        link: LinkId,
        other: &str,
        os: &mut dyn Os,
    ) -> Result<(), Refusal> {
        let user = self.talker_of(link)?;
        let other: Name = other.parse().map_err(|_| told(Why::Unknown))?;
        let to = self.chat.stop_private(&user, &other).map_err(told)?;
        self.send(link, &Message::Chat(Line::OkStopPrivate { user: other }), os);
        self.send(to, &Message::Chat(Line::PrivateStopped { user }), os);
        Ok(())
    }

    /// Somebody goes for good, by its own word or the server's: the others are told. Private links go on without a server
    /// that stops.
    pub(in crate::proto::server) fn stop_privates(&mut self, link: LinkId, os: &mut dyn Os) {
        let Ok(user) = self.talker_of(link) else { return };
        let others = self.chat.stop_privates(&user);
        if self.is_serving() {
            self.tell_all(others, Line::PrivateStopped { user }, os);
        }
    }

    /// How the two reach each other, if one of them can be dialed.
    fn meeting(&self, one: (LinkId, Name), other: (LinkId, Name)) -> Option<(Contact, Contact)> {
        let (one, other) = (self.place_of(one)?, self.place_of(other)?);
        (one.addr.port() != 0 || other.addr.port() != 0).then_some((one, other))
    }

    /// Where a user is dialed. One whose name somebody has who measures has no place for that.
    fn place_of(&self, (link, id): (LinkId, Name)) -> Option<Contact> {
        let group = GROUP_DEFAULT.parse().expect("a name");
        self.guests.contact(&Who { group, id }).filter(|contact| contact.link == link)
    }
}
