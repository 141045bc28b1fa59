//! Who is at the other end of a link, member or guest; how guests come, and how those go who hold
//! files. What they say about files is in `files`.

use crate::proto::ids::{FileName, Key, LinkId, Name};
use crate::proto::limits::{ABSENT_FORGOTTEN_MAX, ABSENT_LOOK_PERIOD, ABSENT_LOOK_SOON};
use crate::proto::machine::{CloseReason, Effect, Os};
use crate::proto::server::catalog::Who;
use crate::proto::server::directory::{Refusal, refuse};
use crate::proto::server::guests::{Contact, Hello};
use crate::proto::server::{Server, Timer};
use crate::proto::time::{Mono, Now};
use crate::proto::wire::{ErrorCode, GROUP_DEFAULT, Message, Portion};

/// What the server keeps of a link for guests and files.
#[derive(Debug, Default)]
pub(super) struct Talk {
    /// Who it is, if it is a guest.
    pub(super) guest: Option<Who>,
    /// What is done with the octets that come in.
    pub(super) taking: Taking,
    /// Octets that the last line has announced.
    pub(super) announced: u64,
    /// Bytes of answers that may still wait on the link.
    pub(super) owed_bytes: usize,
    /// Until when the commands so far would have lasted at the steady rate.
    pub(super) commands_until: Mono,
}

#[derive(Debug, Default)]
pub(super) enum Taking {
    #[default]
    Nothing,
    /// The hashes of a `REGISTER` that was refused.
    Refused,
    /// The hashes of a file.
    Register { file: FileName, sizes: (u64, u64), portion: Portion, announced: usize, octets: Vec<u8> },
}

impl Talk {
    /// Everything that was sent is on its way.
    pub(super) fn forgive(&mut self) {
        self.owed_bytes = 0;
    }
}

impl Server {
    /// Whoever is at the other end, member or guest.
    pub(super) fn who(&self, link: LinkId) -> Option<Who> {
        let session = self.sessions.get(link)?;
        let seat = session.seat.as_ref().map(|seat| Who { group: seat.group, id: seat.id });
        seat.or(session.talk.guest)
    }

    pub(super) fn known(&self, link: LinkId) -> Result<Who, Refusal> {
        self.who(link).ok_or_else(|| (ErrorCode::OutOfPlace, "HELLO name comes first".to_owned()))
    }

    pub(super) fn contact(&self, who: &Who) -> Option<Contact> {
        let member = self.directory.member(&who.group, &who.id);
        member.map_or_else(|| self.guests.contact(who), |member| member.contact())
    }

    /// Octets that the last line of a link has announced.
    pub(super) fn take_announced(&mut self, link: LinkId) -> u64 {
        self.sessions.get_mut(link).map_or(0, |session| std::mem::take(&mut session.talk.announced))
    }

    /// The octets that are being taken are all there, or will not come.
    pub(super) fn drop_octets(&mut self, link: LinkId) -> Taking {
        let session = self.sessions.get_mut(link);
        let taking = session.map(|session| std::mem::take(&mut session.talk.taking)).unwrap_or_default();
        if let Taking::Register { announced, .. } = &taking {
            self.octets_announced -= announced;
            self.wheel.cancel(&Timer::Octets(link));
        }
        taking
    }

    pub(super) fn on_hello(
        &mut self,
        link: LinkId,
        (id, group, key): (Option<Name>, Option<Name>, Option<Key>),
        port: Option<u16>,
        now: Now,
        os: &mut dyn Os,
    ) -> Result<(), Refusal> {
        self.check_unknown(link)?;
        let talks = port.is_none();
        self.check_guest(link, id, talks)?;
        let remote = self.sessions.get(link).expect("a line has a session").remote;
        let group = group.unwrap_or_else(|| GROUP_DEFAULT.parse().expect("a name"));
        let hello = Hello { link, remote, group, id, port: port.unwrap_or(0), key, is_user: false };
        let (id, key, is_back) = self.take_place(&hello, now, os)?;
        if is_back {
            log::info!("guest back group={group} id={id} from={remote}");
        } else {
            self.status.guests_greeted += 1;
            log::info!("guest greeted group={group} id={id} from={remote}");
        }
        self.send(link, &Message::OkHello { id, key }, os);
        if talks {
            self.enter_guest(link, id, now, os);
        }
        Ok(())
    }

    /// Whether nobody is at the other end of the link yet.
    pub(super) fn check_unknown(&self, link: LinkId) -> Result<(), Refusal> {
        let talker = self.sessions.get(link).and_then(|session| session.talker.name);
        match (self.who(link), talker) {
            (Some(Who { group, id }), _) => {
                refuse(ErrorCode::OutOfPlace, format!("you are {id} of {group} already"))
            }
            (None, Some(name)) => refuse(ErrorCode::OutOfPlace, format!("you are {name} already")),
            (None, None) => Ok(()),
        }
    }

    /// Gives somebody a place among those who share files: the name, its key, and whether it is back.
    pub(super) fn take_place(
        &mut self,
        hello: &Hello,
        now: Now,
        os: &mut dyn Os,
    ) -> Result<(Name, Key, bool), Refusal> {
        let welcome = self.guests.greet(hello, &mut self.directory, now)?;
        if let Some(former) = welcome.former {
            self.drop_octets(former);
            self.leave_chat(former, now, os);
            self.remove_session(former);
            os.perform(Effect::Close { link: former, reason: CloseReason::Replaced });
        }
        self.catalog.arrive(&welcome.who, welcome.is_back, hello.port != 0);
        self.wheel.cancel(&Timer::Greet(hello.link));
        let session = self.sessions.get_mut(hello.link).expect("a line has a session");
        session.talk.guest = Some(welcome.who);
        Ok((welcome.who.id, welcome.key, welcome.is_back))
    }

    /// The link says goodbye: what is known of its guest or member, and of its files, is forgotten.
    pub(super) fn dismiss(&mut self, link: LinkId) {
        let Some(who) = self.who(link) else { return };
        self.catalog.leave(&who);
        let session = self.sessions.get_mut(link).expect("it has somebody");
        if session.talk.guest.take().is_some() {
            self.guests.remove(&who);
            log::info!("guest left group={} id={}", who.group, who.id);
        }
    }

    /// The link is gone; whoever holds files may come back to them.
    pub(super) fn end_talk(&mut self, link: LinkId, now: Now, os: &mut dyn Os) {
        self.drop_octets(link);
        self.leave_chat(link, now, os);
        let Some(who) = self.who(link) else { return };
        let holds = self.catalog.lose(&who);
        let is_guest = self.sessions.get(link).is_some_and(|session| session.talk.guest.is_some());
        if is_guest && holds {
            self.guests.lose(&who, now.mono);
        } else if is_guest {
            self.guests.remove(&who);
            self.catalog.leave(&who);
        }
        if self.wheel.deadline(&Timer::Absent).is_none() && self.catalog.absent().next().is_some() {
            self.wheel.insert(Timer::Absent, now.mono + ABSENT_LOOK_PERIOD);
        }
    }

    /// Forgets the files of those that were lost and will not come back, a few at a time.
    pub(super) fn on_absent_look(&mut self, now: Now) {
        let known = |who: &Who| {
            self.directory.member(&who.group, &who.id).is_some() || self.guests.knows(who, now.mono)
        };
        let gone = self.catalog.absent().filter(|who| !known(who)).copied();
        let gone: Vec<Who> = gone.take(ABSENT_FORGOTTEN_MAX).collect();
        for who in &gone {
            self.guests.remove(who);
            self.catalog.leave(who);
            log::info!("files forgotten group={} id={} why=\"lost for too long\"", who.group, who.id);
        }
        if self.catalog.absent().next().is_some() {
            let more = gone.len() == ABSENT_FORGOTTEN_MAX;
            let pause = if more { ABSENT_LOOK_SOON } else { ABSENT_LOOK_PERIOD };
            self.wheel.insert(Timer::Absent, now.mono + pause);
        }
    }

    pub(super) fn check_talk(&self) {
        self.guests.check_invariants();
        self.catalog.check_invariants();
        self.registry.check_invariants();
        let (mut here, mut announced) = (0, 0);
        for (link, session) in self.sessions.iter() {
            if let Some(who) = session.talk.guest {
                assert!(session.seat.is_none(), "a member or a guest");
                assert_eq!(self.guests.contact(&who).expect("a guest is known").link, link);
                here += 1;
            }
            if let Taking::Register { announced: octets, .. } = &session.talk.taking {
                announced += octets;
            }
        }
        assert_eq!(here, self.guests.here());
        assert_eq!(announced, self.octets_announced);
    }
}
