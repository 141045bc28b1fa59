//! What comes in over a link, line by line: everything a stranger can send arrives here, and who sends what
//! cannot be understood is told so. What the lines mean is decided elsewhere.

use crate::proto::ids::LinkId;
use crate::proto::limits::ERRORS_MAX;
use crate::proto::machine::{CloseReason, Effect, Os};
use crate::proto::server::directory::refuse;
use crate::proto::server::{Server, chat};
use crate::proto::time::{Now, Wall};
use crate::proto::wire::{Departure, ErrorCode, Message, ParseError, Piece, TOO_LONG_TEXT};

impl Server {
    pub(super) fn set_blocked(&mut self, link: LinkId, blocked: bool, os: &mut dyn Os) {
        let Some(session) = self.sessions.get_mut(link) else { return };
        session.blocked = blocked;
        if !blocked {
            session.talk.forgive();
            if std::mem::take(&mut session.paused) {
                os.perform(Effect::ResumeReading { link });
            }
        }
    }

    /// Whoever does not read the answers and asks on is not read until it does. A member is, for its ticks are of no use later.
    pub(super) fn on_received(&mut self, link: LinkId, bytes: &[u8], at: Wall, now: Now, os: &mut dyn Os) {
        let Some(session) = self.sessions.get_mut(link) else { return };
        session.last_heard = now.mono;
        if !session.blocked {
            session.talk.forgive();
        } else if session.seat.is_none() && !std::mem::replace(&mut session.paused, true) {
            os.perform(Effect::PauseReading { link });
        }
        self.feed(link, bytes, at, now, os);
    }

    /// What has come in on a link, unless what came before still waits: then this does, too.
    pub(super) fn feed(&mut self, link: LinkId, bytes: &[u8], at: Wall, now: Now, os: &mut dyn Os) {
        if self.put_off(link, bytes, now, os) {
            return;
        }
        let Some(session) = self.sessions.get_mut(link) else { return };
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
            match self.sessions.get(link) {
                None => return,
                Some(session) if session.talker.is_held() => break,
                Some(_) => {}
            }
        }
        self.status.coalesced += u64::saturating_sub(ticks, 1);
        if let Some(session) = self.sessions.get_mut(link) {
            session.reader = reader;
            if let Some(seat) = &mut session.seat {
                seat.accounts.coalesced += u64::saturating_sub(ticks, 1);
            }
        }
        self.put_off(link, input, now, os);
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
            // A browser can be made to send anything behind its first lines: nothing of it is carried out.
            Err(error @ ParseError::Http) => {
                self.expel(link, error.code(), &error.to_string(), now, os);
                Ok(())
            }
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
        let known = session.seat.is_some() || session.talk.guest.is_some() || session.talker.name.is_some();
        session.errors += u32::from(!is_honest(code, known));
        let errors = session.errors;
        self.status.count_error(code);
        log::debug!("refused from={} code={} text=\"{text}\"", session.remote, code.as_str());
        if errors > ERRORS_MAX {
            self.expel(link, ErrorCode::TooManyErrors, "too many errors", now, os);
        } else {
            self.send(link, &Message::Err { code, text }, os);
        }
    }

    pub(super) fn expel(&mut self, link: LinkId, code: ErrorCode, text: &str, now: Now, os: &mut dyn Os) {
        if let Some(session) = self.sessions.get(link) {
            let (remote, code) = (session.remote, code.as_str());
            let unlogged = self.door.may_tell(now.mono);
            let level = if unlogged.is_some() { log::Level::Warn } else { log::Level::Debug };
            let unlogged = unlogged.unwrap_or_default();
            log::log!(level, "link closed from={remote} code={code} text=\"{text}\" unlogged={unlogged}");
        }
        self.status.count_error(code);
        self.send(link, &Message::Err { code, text }, os);
        self.close(link, CloseReason::Misbehaved, now, os);
    }
}

/// Whether somebody who keeps to the rules may be told so again and again: to ask for what is not there yet is no
/// fault, nor to offer many files of which others have the names, or for which there is no room.
fn is_honest(code: ErrorCode, known: bool) -> bool {
    match code {
        ErrorCode::UnknownFile | ErrorCode::UnknownChunk => true,
        ErrorCode::FileDiffers | ErrorCode::LimitReached => known,
        code => known && chat::is_answer(code),
    }
}
