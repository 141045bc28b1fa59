//! Accounts and blocks as the store has them: read at the start, and again when another program has changed
//! them. The store's word counts; who has no account any more has to go.

use std::collections::BTreeSet;
use std::io::ErrorKind;

use crate::proto::accounts::{Put, Verifier};
use crate::proto::chat::WaitingMail;
use crate::proto::ids::{LinkId, Name};
use crate::proto::limits::BOOK_PERIOD;
use crate::proto::machine::{CloseReason, Effect, Load, Os, Row, Why};
use crate::proto::server::chat::comings::{Left, left};
use crate::proto::server::{Server, Timer};
use crate::proto::time::Now;

/// How far the book is read.
#[derive(Debug, Default)]
pub(in crate::proto::server) struct Book {
    /// The version that was read last; 0 if none was.
    known: u64,
    /// Accounts of the version that is being read.
    seen: BTreeSet<Name>,
    /// The last look failed, and it was said so.
    is_failing: bool,
    /// It was read, or there is none.
    pub(super) is_known: bool,
}

impl Server {
    pub(in crate::proto::server) fn load_book(&mut self, os: &mut dyn Os) {
        self.book.seen.clear();
        os.perform(Effect::Load { load: Load::Book { known: self.book.known } });
    }

    pub(in crate::proto::server) fn on_row(&mut self, row: &Row<'_>, now: Now, os: &mut dyn Os) {
        match row {
            Row::Account { name, verifier, mail_last, mail_count, mail_bytes, .. } => {
                let narrow = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
                let (count, bytes) = (narrow(*mail_count), narrow(*mail_bytes));
                self.on_account(*name, verifier, WaitingMail { last: *mail_last, count, bytes }, now, os);
            }
            Row::Block { user, other } => {
                if !self.chat.has_blocked(user, other)
                    && let Err(refusal) = self.chat.block(user, other)
                {
                    log::warn!("block not known user={user} other={other} why=\"{refusal}\"");
                }
            }
            Row::Mail(mail) => self.on_mail(mail, now, os),
        }
    }

    fn on_account(&mut self, name: Name, verifier: &str, mail: WaitingMail, now: Now, os: &mut dyn Os) {
        self.book.seen.insert(name);
        let verifier: Verifier = match verifier.parse() {
            Ok(verifier) => verifier,
            Err(error) => return log::warn!("account not usable name={name} why=\"{error}\""),
        };
        match self.accounts.put(name, verifier) {
            Ok(Put::New) => match self.chat.add_user(name, mail, now.mono).map(|guest| guest.map(left)) {
                Ok(Some(guest)) => self.on_lost_place(name, guest, "that name is a user's now", now, os),
                Ok(None) => {}
                Err(refusal) => log::warn!("account not known name={name} why=\"{refusal}\""),
            },
            Ok(Put::Changed) => log::info!("account has a new password name={name}"),
            Ok(Put::Same) => {}
            Err(error) => log::warn!("account not usable name={name} why=\"{error}\""),
        }
    }

    pub(in crate::proto::server) fn on_loaded(
        &mut self,
        load: Load,
        version: u64,
        now: Now,
        os: &mut dyn Os,
    ) {
        match load {
            Load::Mail { to, .. } => self.on_mail_loaded(to, Ok(()), now, os),
            Load::Book { known } => {
                self.book.is_failing = false;
                self.book.is_known = true;
                if version != known {
                    self.drop_accounts(now, os);
                    log::info!("accounts read count={}", self.chat.accounts());
                }
                self.book.known = version;
                self.wheel.insert(Timer::Book, now.mono + BOOK_PERIOD);
            }
        }
    }

    pub(in crate::proto::server) fn on_load_failed(
        &mut self,
        load: Load,
        error: ErrorKind,
        now: Now,
        os: &mut dyn Os,
    ) {
        match load {
            Load::Mail { to, .. } => self.on_mail_loaded(to, Err(error), now, os),
            // There is no store, and none will come.
            Load::Book { .. } if error == ErrorKind::NotFound => {
                log::debug!("this server has no accounts");
                self.book.is_known = true;
            }
            Load::Book { .. } => {
                if !std::mem::replace(&mut self.book.is_failing, true) {
                    log::error!("accounts not read why=\"{}\"", Why(error));
                }
                self.status.store_failures += 1;
                self.wheel.insert(Timer::Book, now.mono + BOOK_PERIOD);
            }
        }
    }

    /// Accounts that were not there any more when all were read.
    fn drop_accounts(&mut self, now: Now, os: &mut dyn Os) {
        let seen = std::mem::take(&mut self.book.seen);
        let gone: Vec<Name> = self.accounts.names().filter(|name| !seen.contains(name)).collect();
        for name in gone {
            self.accounts.remove(name);
            log::info!("account removed name={name}");
            if let Ok(Some(user)) = self.chat.remove_user(&name, now.mono).map(|user| user.map(left)) {
                self.on_lost_place(name, user, "your account was removed", now, os);
            }
        }
    }

    /// Somebody is not online any more by the word of the store.
    fn on_lost_place(&mut self, name: Name, who: Left, why: &str, now: Now, os: &mut dyn Os) {
        let link: LinkId = who.link;
        if let Some(talker) = self.talker_mut(link) {
            talker.name = None;
        }
        self.see_off(name, who, now, os);
        self.send_away_talker(link, why, CloseReason::Refused, now, os);
    }
}
