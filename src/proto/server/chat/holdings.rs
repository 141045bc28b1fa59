//! What users hold of files is kept: as long as somebody's word is in the store, the name of a file stays bound. What
//! is said about files is in `files`; here is what follows from it for users, who have proven their names.

use std::io::ErrorKind;

use crate::proto::ids::{LinkId, Name};
use crate::proto::machine::{Change, KeptFile, Os};
use crate::proto::server::Server;
use crate::proto::server::catalog::{Registered, Who};
use crate::proto::server::chat::{Awaited, Until};
use crate::proto::server::directory::Refusal;
use crate::proto::server::registry::kept;
use crate::proto::time::Now;
use crate::proto::wire::{ErrorCode, Message};

/// A `REGISTER` or `WITHDRAW` that is answered when the store has it.
#[derive(Debug)]
pub(in crate::proto::server) struct Registering {
    pub(in crate::proto::server) link: LinkId,
    pub(in crate::proto::server) who: Who,
    pub(in crate::proto::server) file: KeptFile<'static>,
    pub(in crate::proto::server) word: FileWord,
}

/// What was said of a file.
#[derive(Debug)]
pub(in crate::proto::server) enum FileWord {
    /// Its sender takes part in it.
    Registered(Registered),
    /// Its sender takes no part in it.
    Withdrawn,
}

impl Server {
    /// Whether somebody may offer a file of that name. Of two of whom one has blocked the other, neither is named.
    pub(in crate::proto::server) fn check_bound(
        &self,
        who: &Who,
        file: &KeptFile<'_>,
    ) -> Result<(), Refusal> {
        let (user, asker) = (self.guests.user(who), self.talks_as(who));
        let is_apart = |holder: &Name| {
            asker.is_some_and(|asker| {
                self.chat.has_blocked(&asker, holder) || self.chat.has_blocked(holder, &asker)
            })
        };
        self.registry.check(file, user.as_ref(), |holder| {
            let away = if self.chat.is_online(holder) { "" } else { ", who is offline" };
            (!is_apart(holder)).then(|| format!("{holder} holds it{away}"))
        })
    }

    /// Somebody takes no part in a file any more, or never did: whoever comes back need not know which.
    pub(in crate::proto::server) fn on_withdraw(
        &mut self,
        link: LinkId,
        file: &str,
        os: &mut dyn Os,
    ) -> Result<(), Refusal> {
        let who = self.known(link)?;
        // The next `REGISTER` of that file costs nothing.
        self.note_work(link, 1);
        self.catalog.withdraw(&who, file);
        log::debug!("file withdrawn group={} file={file} id={}", who.group, who.id);
        let user = self.guests.user(&who);
        match user.and_then(|user| self.registry.kept(&who.group, file, &user)) {
            Some(file) => {
                self.conclude_register(Registering { link, who, file, word: FileWord::Withdrawn }, os);
            }
            None => self.send(link, &Message::OkWithdraw { file }, os),
        }
        Ok(())
    }

    /// Answers what the catalog has taken: now, or when what a user holds is kept.
    pub(in crate::proto::server) fn conclude_register(&mut self, registering: Registering, os: &mut dyn Os) {
        let Registering { link, who, ref file, .. } = registering;
        let user = self.guests.user(&who);
        let change = user.and_then(|user| match self.catalog.holds(&who, &file.name) {
            true => {
                let is_new = self.registry.put(file, user);
                is_new.then(|| Change::PutHolding { file: file.clone(), user })
            }
            false => {
                let (group, name) = (who.group, file.name.clone());
                let was_held = self.registry.remove(&group, &name, &user);
                was_held.then_some(Change::RemoveHolding { group, file: name, user })
            }
        });
        match change {
            Some(change) => {
                self.store(&[change], Awaited::Register(Box::new(registering)), os);
                self.hold(link, Until::Registered);
            }
            None => self.answer_register(&registering, os),
        }
    }

    /// The store has taken what a user holds, or has not: then it was never said.
    pub(super) fn on_register_stored(
        &mut self,
        registering: &Registering,
        result: Result<(), ErrorKind>,
        now: Now,
        os: &mut dyn Os,
    ) {
        let Registering { link, who, ref file, ref word } = *registering;
        let is_here = self.who(link) == Some(who);
        match result {
            Ok(()) if is_here => self.answer_register(registering, os),
            Ok(()) => {}
            Err(error) => {
                if self.registry.holds(&who.group, &file.name, &who.id) {
                    self.registry.remove(&who.group, &file.name, &who.id);
                    self.catalog.withdraw(&who, &file.name);
                } else if self.accounts.contains(who.id) {
                    self.registry.put(file, who.id);
                }
                self.status.files_refused += u64::from(matches!(word, FileWord::Registered(_)));
                let text = super::mail::not_kept(error);
                self.complain(link, ErrorCode::LocalDisk, &text, now, os);
            }
        }
        self.go_on(link, now, os);
    }

    /// A user has got the first chunk of a file, or may have: that is kept, and nobody waits for it.
    pub(in crate::proto::server) fn note_have(&mut self, who: &Who, file: &str, os: &mut dyn Os) {
        let Some(user) = self.guests.user(who) else { return };
        if self.registry.holds(&who.group, file, &user) || !self.catalog.holds(who, file) {
            return;
        }
        let Ok(manifest) = self.catalog.manifest(&who.group, file) else { return };
        let file = kept(who.group, manifest);
        if let Err((_, why)) = self.registry.check(&file, Some(&user), |_| None) {
            return log::debug!("holding not kept user={user} file={} why=\"{why}\"", file.name);
        }
        self.registry.put(&file, user);
        let file = file.into_owned();
        let awaited = Awaited::Holding { group: who.group, file: file.name.clone().into_owned(), user };
        self.store(&[Change::PutHolding { file, user }], awaited, os);
    }
}
