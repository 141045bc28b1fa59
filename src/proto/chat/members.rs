//! Accounts come and go, and block each other. Tells nobody.

use crate::proto::chat::session::Mailbox;
use crate::proto::chat::{Chat, Gone, Id, Person, Presence, Refusal};
use crate::proto::ids::Name;
use crate::proto::limits::{ACCOUNTS_MAX, BLOCKS_MAX, BLOCKS_PER_USER_MAX, NUMBER_MAX};
use crate::proto::time::Mono;

/// What waits for a user, as it was stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WaitingMail {
    /// The greatest number that was ever given, or reserved.
    pub last: u64,
    /// Messages that wait. What is counted when they are read back is believed instead.
    pub count: u32,
    /// Bytes of their texts.
    pub bytes: u32,
}

/// How long a block lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockLasts {
    /// Until it is taken back: it has to be kept.
    Always,
    /// Until the one of the two who is a guest has gone.
    UntilGuestLeaves,
}

impl Chat {
    /// An account is there. A guest who has its name has to go; that one's end is returned.
    ///
    /// # Errors
    /// If it is known already, or there are too many.
    pub fn add_user(
        &mut self,
        name: Name,
        mail: WaitingMail,
        now: Mono,
    ) -> Result<Option<Gone<'_>>, Refusal> {
        let known = self.names.get(&name).is_some_and(|id| self.person(*id).mailbox.is_some());
        let refusal = match () {
            () if known => Some(Refusal::IsAccount),
            () if self.accounts >= ACCOUNTS_MAX => Some(Refusal::TooManyAccounts),
            () => None,
        };
        self.counted(refusal.map_or(Ok(()), Err))?;
        let guest = self.leave(&name, now);
        self.left.remove_guest(&name);
        // What comes from a store is believed, but only as far as it makes sense.
        let last = mail.last.min(NUMBER_MAX);
        let count = mail.count.min(u32::try_from(last).unwrap_or(u32::MAX));
        let bytes = if count > 0 { mail.bytes } else { 0 };
        let mailbox = Mailbox::new(last, count, bytes);
        self.add_person(Person {
            name,
            mailbox: Some(mailbox),
            presence: Presence::Never,
            paid_until: Mono(0),
        });
        self.accounts += 1;
        self.mail_count += u64::from(count);
        self.mail_bytes += u64::from(bytes);
        Ok(guest.map(|guest| self.gone(guest)))
    }

    /// An account is no more, with its mail, its blocks and those of it. If its user is online, that end is
    /// returned; there is nothing to be kept then.
    ///
    /// # Errors
    /// If there is no such account.
    pub fn remove_user(&mut self, name: &Name, now: Mono) -> Result<Option<Gone<'_>>, Refusal> {
        let id = self.names.get(name).copied().filter(|id| self.person(*id).mailbox.is_some());
        let id = self.counted(id.ok_or(Refusal::Unknown))?;
        let mut leaving = self.leave(name, now);
        if let Some(leaving) = &mut leaving {
            leaving.keep.clear();
        }
        let person = self.people.remove(id.0 as usize);
        self.names.remove(name);
        self.blocks.forget(id);
        self.shares.clear(id);
        if let Presence::Left(at) = person.presence {
            self.left.remove_user(name, at);
        }
        let mailbox = person.mailbox.expect("it is a user");
        self.accounts -= 1;
        self.mail_count -= u64::from(mailbox.count);
        self.mail_bytes -= u64::from(mailbox.bytes);
        Ok(leaving.map(|leaving| self.gone(leaving)))
    }

    pub(super) fn add_person(&mut self, person: Person) -> Id {
        let name = person.name;
        let id = Id(u32::try_from(self.people.insert(person)).expect("there are bounds"));
        self.names.insert(name, id);
        id
    }

    /// One wants nothing of another any more. Neither has to be online, so this also brings back what was kept.
    ///
    /// # Errors
    /// If either is unknown, both are one, it is so already, or there are too many.
    pub fn block(&mut self, user: &Name, other: &Name) -> Result<BlockLasts, Refusal> {
        let result = self.pair(user, other).and_then(|(user, other)| match () {
            () if self.blocks.has(user, other) => Err(Refusal::AlreadyBlocked),
            () if self.blocks.count_by(user) >= BLOCKS_PER_USER_MAX => Err(Refusal::TooManyBlocks),
            () if self.blocks.len() >= BLOCKS_MAX => Err(Refusal::BlocksFull),
            () => Ok((user, other)),
        });
        let (user, other) = self.counted(result)?;
        self.blocks.add(user, other);
        Ok(self.block_lasts(user, other))
    }

    /// One takes a block back.
    ///
    /// # Errors
    /// If either is unknown, both are one, or it is not so.
    pub fn unblock(&mut self, user: &Name, other: &Name) -> Result<BlockLasts, Refusal> {
        let result = self.pair(user, other).and_then(|(user, other)| match self.blocks.has(user, other) {
            true => Ok((user, other)),
            false => Err(Refusal::NotBlocked),
        });
        let (user, other) = self.counted(result)?;
        self.blocks.remove(user, other);
        Ok(self.block_lasts(user, other))
    }

    /// Whether one wants nothing of another. Whoever is unknown has blocked nobody.
    pub fn has_blocked(&self, user: &Name, other: &Name) -> bool {
        let ids = self.names.get(user).zip(self.names.get(other));
        ids.is_some_and(|(user, other)| self.blocks.has(*user, *other))
    }

    /// Who blocks whom, of those pairs of users in which somebody is one of the two.
    pub fn lasting_blocks(&self, name: &Name) -> Vec<(Name, Name)> {
        let Some(id) = self.names.get(name).copied() else { return Vec::new() };
        let blocked = self.blocks.blocked_by(id).into_iter().map(|other| (id, other));
        let blockers = self.blocks.blockers_of(id).into_iter().map(|user| (user, id));
        let pairs = blocked.chain(blockers);
        let lasting = pairs.filter(|(user, other)| self.block_lasts(*user, *other) == BlockLasts::Always);
        lasting.map(|(user, other)| (self.person(user).name, self.person(other).name)).collect()
    }

    /// Users whose names are behind `after` and not behind `upto`, in the order of the names.
    pub fn users_between(&self, after: Option<Name>, upto: Option<Name>) -> impl Iterator<Item = Name> {
        use std::ops::Bound;
        let range =
            (after.map_or(Bound::Unbounded, Bound::Excluded), upto.map_or(Bound::Unbounded, Bound::Included));
        let users = self.names.range(range).filter(|(_, id)| self.person(**id).mailbox.is_some());
        users.map(|(name, _)| *name)
    }

    /// Whether somebody has blocked anybody, or is blocked by anybody.
    pub fn is_in_blocks(&self, name: &Name) -> bool {
        self.names.get(name).is_some_and(|id| self.blocks.has_any(*id))
    }

    fn pair(&self, user: &Name, other: &Name) -> Result<(Id, Id), Refusal> {
        let user_id = self.names.get(user).copied().ok_or(Refusal::NotLoggedIn)?;
        if user == other {
            return Err(Refusal::Yourself);
        }
        Ok((user_id, self.find(other)?))
    }

    fn block_lasts(&self, user: Id, other: Id) -> BlockLasts {
        match self.person(user).mailbox.is_some() && self.person(other).mailbox.is_some() {
            true => BlockLasts::Always,
            false => BlockLasts::UntilGuestLeaves,
        }
    }
}
