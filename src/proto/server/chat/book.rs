//! Accounts and blocks as the store has them: read at the start, and accounts again, a few at a time, when another
//! program has changed any. The store's word counts; who has no account any more has to go.

use std::io::ErrorKind;
use std::time::Duration;

use crate::proto::accounts::{Put, Verifier};
use crate::proto::chat::WaitingMail;
use crate::proto::ids::{FileName, LinkId, Name};
use crate::proto::limits::{BOOK_AGE_MAX, BOOK_PERIOD, BOOK_ROWS_MAX, BOOK_ROWS_PAUSE};
use crate::proto::machine::{CloseReason, Effect, KeptFile, Load, OPERATOR, Os, Row, Why};
use crate::proto::server::chat::comings::{Left, left};
use crate::proto::server::{Server, Timer};
use crate::proto::time::{Mono, Now};

/// How far the book is read.
#[derive(Debug, Default)]
pub(in crate::proto::server) struct Book {
    /// The version that was read last; 0 if none was.
    known: u64,
    /// The newer one that is being read.
    newer: u64,
    /// Accounts up to this one were read of it.
    after: Option<Name>,
    /// Those of the part that is being read.
    seen: Vec<Name>,
    /// The last look failed, and it was said so.
    is_failing: bool,
    /// It was read, or there is none.
    pub(super) is_known: bool,
    has_store: bool,
    /// The store has not answered the last question about accounts.
    is_asked: bool,
    /// Numbers of messages begin behind this one.
    numbers_from: u64,
    /// The look that is under way, or the next one if none is.
    look: Look,
    /// The one behind that which is under way: what is asked for now is not answered by a look that began before.
    later: Look,
    /// When the last look began that was carried through.
    looked_at: Option<Mono>,
}

/// A look at the accounts, and who waits for it.
#[derive(Debug, Default)]
struct Look {
    since: Option<Mono>,
    logins: Vec<LinkId>,
    /// The operator wants to know of it.
    is_awaited: bool,
}

impl Book {
    /// The next look that begins, for whoever wants one.
    fn next_look(&mut self) -> &mut Look {
        if self.look.since.is_some() { &mut self.later } else { &mut self.look }
    }
}

impl Server {
    /// Reads everything. A power loss may have taken back which numbers were given: those of this life begin at the time
    /// of day, in microseconds, for nobody gives a million a second.
    pub(in crate::proto::server) fn open_book(&mut self, now: Now, os: &mut dyn Os) {
        self.book.numbers_from = now.wall.0 / 1000;
        self.load_book(os);
    }

    fn load_book(&mut self, os: &mut dyn Os) {
        self.book.seen.clear();
        os.perform(Effect::Load { load: Load::Book });
    }

    /// Whether a login has to wait for a look at the accounts: one that was made, or got a password, a moment ago is
    /// to be known. It is the same for every name, so that nobody learns from it which there are.
    pub(super) fn must_look(&self, now: Now) -> bool {
        let is_fresh = self.book.looked_at.is_some_and(|at| now.mono - at <= BOOK_AGE_MAX);
        self.book.has_store && !is_fresh
    }

    /// A link waits for such a look.
    pub(super) fn look_for(&mut self, link: LinkId, now: Now, os: &mut dyn Os) {
        self.book.next_look().logins.push(link);
        if self.book.look.since.is_none() {
            self.load_accounts(now, os);
        }
    }

    /// A look is over, well or not: those who waited for it go on.
    fn end_look(&mut self, result: Result<(), ErrorKind>, now: Now, os: &mut dyn Os) {
        if result.is_ok() {
            self.book.looked_at = self.book.look.since;
        }
        self.tell_operator(result);
        let later = std::mem::take(&mut self.book.later);
        let is_wanted = later.is_awaited || !later.logins.is_empty();
        let look = std::mem::replace(&mut self.book.look, later);
        if is_wanted {
            self.load_accounts(now, os);
        }
        look.logins.into_iter().for_each(|link| self.go_on(link, now, os));
    }

    /// The operator has changed something, and wants to know that it is known.
    pub(in crate::proto::server) fn on_reload(&mut self, now: Now, os: &mut dyn Os) {
        if !self.is_serving() {
            return;
        }
        let has_failed = !self.book.is_known && self.wheel.cancel(&Timer::Book).is_some();
        self.book.next_look().is_awaited = true;
        if self.book.is_known && !self.book.has_store {
            self.tell_operator(Ok(()));
        } else if self.book.is_known && self.book.look.since.is_none() {
            self.load_accounts(now, os);
        } else if has_failed {
            self.load_book(os);
        }
    }

    fn tell_operator(&mut self, result: Result<(), ErrorKind>) {
        if !std::mem::take(&mut self.book.look.is_awaited) {
            return;
        }
        match result {
            Ok(()) => {
                self.status.reloads += 1;
                log::info!(target: OPERATOR, "reloaded accounts={}", self.chat.accounts());
            }
            Err(error) => {
                self.status.reloads_failed += 1;
                log::error!("not reloaded why=\"the accounts cannot be read: {}\"", Why(error));
            }
        }
    }

    /// It is time to look at the book again, or to read more of it.
    pub(in crate::proto::server) fn on_book_timer(&mut self, now: Now, os: &mut dyn Os) {
        if !self.book.is_known {
            return self.load_book(os);
        }
        self.store_logins(os);
        if self.book.is_asked {
            self.look_again(BOOK_PERIOD, now);
        } else {
            self.load_accounts(now, os);
        }
    }

    /// Looks whether accounts have changed, or reads the next of them.
    fn load_accounts(&mut self, now: Now, os: &mut dyn Os) {
        self.book.is_asked = true;
        self.book.look.since.get_or_insert(now.mono);
        self.book.seen.clear();
        let after = self.book.after;
        let known = if after.is_none() { self.book.known } else { 0 };
        os.perform(Effect::Load { load: Load::Accounts { known, after, rows_max: BOOK_ROWS_MAX } });
    }

    pub(in crate::proto::server) fn on_row(&mut self, row: &Row<'_>, now: Now, os: &mut dyn Os) {
        self.dispel(row);
        match row {
            Row::Account { name, verifier, mail_last, mail_count, mail_bytes, .. } => {
                let narrow = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
                let (count, bytes) = (narrow(*mail_count), narrow(*mail_bytes));
                let last = self.book.numbers_from.max(*mail_last);
                self.on_account(*name, verifier, WaitingMail { last, count, bytes }, now, os);
            }
            Row::Block { user, other } => {
                if !self.chat.has_blocked(user, other)
                    && let Err(refusal) = self.chat.block(user, other)
                {
                    log::warn!("block not known user={user} other={other} why=\"{refusal}\"");
                }
            }
            Row::Holding { file, user } if self.registry.holds(&file.group, &file.name, user) => {}
            Row::Holding { file, user } => self.on_holding(file, *user),
            Row::Login(_) => {}
            Row::Mail(mail) => self.on_mail(mail, now, os),
        }
    }

    fn on_account(&mut self, name: Name, verifier: &str, mail: WaitingMail, now: Now, os: &mut dyn Os) {
        if self.book.is_known {
            self.book.seen.push(name);
        }
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
            Ok(Put::Changed) => {
                log::info!("account has a new password name={name}");
                self.chat.forget_reserved(&name);
                self.doubt(name, os);
                // It may be another account by now, or the old password in wrong hands.
                if let Some(link) = self.chat.link_of(&name) {
                    self.send_away_talker(link, "your password was changed", CloseReason::Refused, now, os);
                }
            }
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
        self.book.is_asked &= !matches!(load, Load::Accounts { .. });
        match load {
            Load::Mail { to, .. } => self.on_mail_loaded(to, Ok(()), now, os),
            Load::Book => {
                (self.book.is_known, self.book.known, self.book.has_store) = (true, version, true);
                log::info!("accounts read count={}", self.chat.accounts());
                self.look_again(BOOK_PERIOD, now);
                self.tell_operator(Ok(()));
            }
            Load::Accounts { known, .. } if version == known => {
                self.look_again(BOOK_PERIOD, now);
                self.end_look(Ok(()), now, os);
            }
            Load::Accounts { after, rows_max, .. } => {
                self.on_accounts_part(after, rows_max, version, now, os)
            }
            Load::Ties { name } => self.end_doubt(name, Ok(())),
            Load::Logins { .. } => {}
        }
    }

    /// Some accounts of a newer version were read.
    fn on_accounts_part(
        &mut self,
        after: Option<Name>,
        rows_max: u32,
        version: u64,
        now: Now,
        os: &mut dyn Os,
    ) {
        if after.is_none() {
            self.book.newer = version;
        }
        let is_last = self.book.seen.len() < rows_max as usize;
        let upto = if is_last { None } else { self.book.seen.last().copied() };
        self.drop_accounts(after, upto, now, os);
        self.book.after = upto;
        if is_last {
            // What has changed meanwhile is a newer version still, and is read the next time.
            self.book.known = self.book.newer;
            log::info!("accounts read count={}", self.chat.accounts());
        }
        self.look_again(if is_last { BOOK_PERIOD } else { BOOK_ROWS_PAUSE }, now);
        if is_last {
            self.end_look(Ok(()), now, os);
        }
    }

    fn look_again(&mut self, pause: Duration, now: Now) {
        self.book.is_failing = false;
        if pause < BOOK_PERIOD || self.wheel.deadline(&Timer::Book).is_none() {
            self.wheel.insert(Timer::Book, now.mono + pause);
        }
    }

    pub(in crate::proto::server) fn on_load_failed(
        &mut self,
        load: Load,
        error: ErrorKind,
        now: Now,
        os: &mut dyn Os,
    ) {
        self.book.is_asked &= !matches!(load, Load::Accounts { .. });
        match load {
            Load::Mail { to, .. } => self.on_mail_loaded(to, Err(error), now, os),
            // There is no store, and none will come.
            Load::Book if error == ErrorKind::NotFound => {
                log::debug!("this server has no accounts");
                self.book.is_known = true;
                self.tell_operator(Ok(()));
            }
            Load::Ties { name } => self.end_doubt(name, Err(error)),
            Load::Logins { .. } => {}
            Load::Book | Load::Accounts { .. } => {
                if !std::mem::replace(&mut self.book.is_failing, true) {
                    log::error!("accounts not read why=\"{}\"", Why(error));
                }
                self.status.store_failures += 1;
                // The next look begins with the first account: of those that were read, some may be others by then.
                self.book.after = None;
                self.wheel.insert(Timer::Book, now.mono + BOOK_PERIOD);
                self.end_look(Err(error), now, os);
            }
        }
    }

    /// Accounts between two names that were not there any more when those were read.
    fn drop_accounts(&mut self, after: Option<Name>, upto: Option<Name>, now: Now, os: &mut dyn Os) {
        let seen = std::mem::take(&mut self.book.seen);
        let known = self.chat.users_between(after, upto);
        let gone: Vec<Name> = known.filter(|name| seen.binary_search(name).is_err()).collect();
        self.book.seen = seen;
        for name in gone {
            self.accounts.remove(name);
            self.registry.forget(&name);
            log::info!("account removed name={name}");
            if let Some(link) = self.chat.link_of(&name) {
                self.stop_privates(link, os);
            }
            if let Ok(Some(user)) = self.chat.remove_user(&name, now.mono).map(|user| user.map(left)) {
                self.on_lost_place(name, user, "your account was removed", now, os);
            }
        }
    }

    /// What a user held when an earlier server was on.
    fn on_holding(&mut self, file: &KeptFile<'_>, user: Name) {
        let is_sound = file.chunk_bytes > 0 && FileName::check(file.name.as_bytes()).is_ok();
        if is_sound && self.accounts.contains(user) && self.registry.check_room(&user).is_ok() {
            self.registry.put(file, user);
        } else {
            log::warn!("file not known user={user} group={} file={:?}", file.group, file.name);
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
