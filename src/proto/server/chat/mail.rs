//! What is asked of the store, and what follows from its answers: mail that is kept, and mail that is read
//! back. Answers come in the order of what was asked.

use std::io::ErrorKind;

use crate::proto::chat::{Chat, Keep, MailLoad};
use crate::proto::ids::{LinkId, Name};
use crate::proto::limits::MAIL_RETRY_PAUSE;
use crate::proto::machine::{Change, Effect, Load, Mail, Os, Why};
use crate::proto::server::chat::holdings::Registering;
use crate::proto::server::chat::say::{Letter, block_done};
use crate::proto::server::{Server, Timer};
use crate::proto::time::Now;
use crate::proto::wire::{Chat as Line, Delivery, ErrorCode, Message};

/// What becomes of a batch of changes.
#[derive(Debug)]
pub(in crate::proto::server) enum Awaited {
    /// Nobody waits for it.
    Nothing,
    /// A message is kept, and its sender waits.
    Message { link: LinkId, to: Name, from: Name, bytes: usize },
    /// A block is kept or taken back, and who did it waits.
    Block { link: LinkId, user: Name, other: Name, blocks: bool },
    /// Somebody's numbers up to this one are taken.
    Reserve { to: Name, upto: u64 },
    /// A user holds something of a file, or nothing any more, and waits.
    Register(Box<Registering>),
    /// A user holds something of a file.
    Holding { group: Name, file: String, user: Name },
    /// Messages that were on trial: for whom, from whom, and how long each is.
    Kept { to: Name, sent: Vec<(Name, usize)> },
}

impl Server {
    /// Has changes made; what follows is in `awaited`.
    pub(super) fn store(&mut self, changes: &[Change<'_>], awaited: Awaited, os: &mut dyn Os) {
        self.batches += 1;
        self.awaited.push_back((self.batches, awaited));
        os.perform(Effect::Store { batch: self.batches, changes });
    }

    pub(super) fn load_mail(&mut self, load: Option<MailLoad>, os: &mut dyn Os) {
        if let Some(MailLoad { to, after, rows_max }) = load {
            os.perform(Effect::Load { load: Load::Mail { to, after, rows_max } });
        }
    }

    pub(super) fn reserve(&mut self, to: Name, upto: Option<u64>, os: &mut dyn Os) {
        if let Some(upto) = upto {
            self.store(&[Change::ReserveMail { to, upto }], Awaited::Reserve { to, upto }, os);
        }
    }

    /// Messages on trial whose link is gone are mail now.
    pub(super) fn keep(&mut self, to: Name, keep: Vec<Keep>, os: &mut dyn Os) {
        if keep.is_empty() {
            return;
        }
        let sent = keep.iter().map(|kept| (kept.from, kept.text.len())).collect();
        let mail = keep.into_iter().map(|Keep { to, number, from, at, text }| {
            Change::PutMail(Mail { to, number, from, at, text: text.into_string().into() })
        });
        self.store(&mail.collect::<Vec<_>>(), Awaited::Kept { to, sent }, os);
    }

    pub(in crate::proto::server) fn on_stored(
        &mut self,
        batch: u64,
        result: Result<(), ErrorKind>,
        now: Now,
        os: &mut dyn Os,
    ) {
        if self.awaited.front().is_none_or(|(first, _)| *first != batch) {
            return;
        }
        let Some((_, awaited)) = self.awaited.pop_front() else { return };
        if let Err(error) = result {
            self.status.store_failures += 1;
            log::warn!("not stored what={} why=\"{}\"", awaited.word(), Why(error));
        }
        match awaited {
            Awaited::Nothing => {}
            Awaited::Message { link, to, from, bytes } => {
                if result.is_err() {
                    self.chat.not_kept(&to, &from, bytes);
                }
                self.conclude(link, result, Message::Chat(Line::OkSend { how: Delivery::Kept }), now, os);
            }
            Awaited::Block { link, user, other, blocks } => {
                if result.is_err() {
                    // It has never been; only somebody who is gone meanwhile makes this fail.
                    let undone = if blocks { Chat::unblock } else { Chat::block };
                    let _ = undone(&mut self.chat, &user, &other);
                }
                if blocks == result.is_err() {
                    self.are_together(user, other);
                }
                self.conclude(link, result, block_done(blocks, other), now, os);
            }
            Awaited::Register(registering) => self.on_register_stored(&registering, result, now, os),
            Awaited::Holding { group, file, user } => {
                if result.is_err() {
                    self.registry.remove(&group, &file, &user);
                }
            }
            Awaited::Reserve { to, upto } => match result {
                Ok(()) => self.chat.on_reserved(&to, upto),
                Err(_) => self.chat.on_reserve_failed(&to),
            },
            Awaited::Kept { to, sent } => {
                if result.is_err() {
                    log::error!("messages lost to={to} count={} why=\"the disk refused them\"", sent.len());
                    sent.into_iter().for_each(|(from, bytes)| self.chat.not_kept(&to, &from, bytes));
                }
            }
        }
    }

    /// Answers who has waited, and goes on with that link.
    fn conclude(
        &mut self,
        link: LinkId,
        result: Result<(), ErrorKind>,
        answer: Message<'_>,
        now: Now,
        os: &mut dyn Os,
    ) {
        match result {
            Ok(()) => self.send(link, &answer, os),
            Err(error) => {
                self.complain(link, ErrorCode::LocalDisk, &not_kept(error), now, os);
            }
        }
        self.go_on(link, now, os);
    }

    // --- Mail that is read back ---------------------------------------------------------------

    pub(super) fn on_mail(&mut self, mail: &Mail<'_>, now: Now, os: &mut dyn Os) {
        let Mail { to, number, from, at, text } = mail;
        if let Some(link) = self.chat.mail_row(to, from, *number, text.len()) {
            self.give(link, &Letter { from: *from, number: Some(*number), at: *at, text }, now, os);
        }
    }

    pub(super) fn on_mail_loaded(
        &mut self,
        to: Name,
        result: Result<(), ErrorKind>,
        now: Now,
        os: &mut dyn Os,
    ) {
        match result {
            Ok(()) => {
                let step = self.chat.mail_loaded(&to);
                self.take_step(to, step, os);
            }
            Err(error) => {
                log::warn!("mail not read to={to} why=\"{}\"", Why(error));
                self.status.store_failures += 1;
                self.chat.mail_load_failed(&to);
                if let Some(link) = self.chat.link_of(&to) {
                    self.wheel.insert(Timer::Mail(link), now.mono + MAIL_RETRY_PAUSE);
                }
            }
        }
    }

    pub(in crate::proto::server) fn on_mail_retry(&mut self, link: LinkId, os: &mut dyn Os) {
        let Some(name) = self.sessions.get(link).and_then(|session| session.talker.name) else { return };
        let load = self.chat.retry_load(&name);
        self.load_mail(load, os);
    }
}

/// What who waited for the store is told when it failed.
pub(super) fn not_kept(error: ErrorKind) -> String {
    format!("the server could not keep it: {}", Why(error))
}

impl Awaited {
    fn word(&self) -> &'static str {
        match self {
            Awaited::Nothing => "login-or-end-of-mail",
            Awaited::Message { .. } => "message",
            Awaited::Block { .. } => "block",
            Awaited::Register(_) | Awaited::Holding { .. } => "file",
            Awaited::Reserve { .. } => "numbers",
            Awaited::Kept { .. } => "messages",
        }
    }
}
