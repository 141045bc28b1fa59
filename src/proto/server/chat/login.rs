//! Who proves to be a user: with a password that was typed, or with the exchange that programs have. Who is let in
//! is decided by [`Accounts`](crate::proto::accounts::Accounts); here are the links, and what a user gets.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::proto::accounts::scram::{ClientFirst, Nonce, ServerExchange};
use crate::proto::accounts::{self, Attempt, Password, SaltedPassword};
use crate::proto::chat::{self, Reader};
use crate::proto::ids::{LinkId, Name};
use crate::proto::limits::{DERIVES_MAX, LOGINS_REFUSED_MAX, LOGINS_UNSTORED_MAX, SCRAM_NONCE_BYTES};
use crate::proto::machine::{Change, Effect, Login, Os, Secret};
use crate::proto::server::chat::crier::Coming;
use crate::proto::server::chat::{Awaited, Until, told};
use crate::proto::server::directory::{Refusal, refuse};
use crate::proto::server::guests::Hello;
use crate::proto::server::session::Session;
use crate::proto::server::{Server, Timer};
use crate::proto::time::{Mono, Now};
use crate::proto::wire::{Chat as Line, ErrorCode, GROUP_DEFAULT, Message};

/// Logins that are under way.
#[derive(Debug, Default)]
pub(in crate::proto::server) struct Logins {
    /// Passwords that are being hashed.
    deriving: BTreeMap<u64, (LinkId, Attempt)>,
    jobs: u64,
    nonces: u64,
    /// By address, until when guests who have gone have talked ahead.
    pub(super) debts: BTreeMap<IpAddr, Mono>,
    /// Those that are over and not stored yet, right or wrong.
    unstored: Vec<(Name, Login)>,
    /// Those with a wrong password among them.
    unstored_refused: usize,
}

/// A login that waits for the client's proof.
#[derive(Debug)]
pub(super) struct Proof {
    attempt: Attempt,
    exchange: ServerExchange,
    port: u16,
}

/// Somebody whose attempt is over, and what it may have if it was right.
struct Caller {
    link: LinkId,
    reader: Reader,
    /// Where it can be dialed; 0 if it cannot.
    port: u16,
    /// The server's own proof.
    text: Option<String>,
}

impl Server {
    /// A person has typed name and password.
    pub(super) fn on_login(
        &mut self,
        link: LinkId,
        name: Name,
        password: &str,
        now: Now,
        os: &mut dyn Os,
    ) -> Result<(), Refusal> {
        self.check_login(link)?;
        if !self.sessions.get(link).is_some_and(Session::is_near) {
            let text = "a password is typed on the server's own host only; elsewhere a program proves it";
            return refuse(ErrorCode::NotAllowed, text);
        }
        if self.logins.deriving.len() >= DERIVES_MAX {
            return refuse(ErrorCode::LimitReached, "too many are logging in; try again");
        }
        let attempt = self.begin_login(name, now)?;
        let Ok(password) = Password::prepare(password) else {
            let caller = Caller { link, reader: Reader::Plain, port: 0, text: None };
            return self.end_login(&caller, &attempt, false, now, os);
        };
        self.logins.jobs += 1;
        let job = self.logins.jobs;
        let (salt, iterations) = (*attempt.verifier().salt(), attempt.verifier().iterations());
        self.logins.deriving.insert(job, (link, attempt));
        self.hold(link, Until::Derived);
        os.perform(Effect::Derive { job, password: Secret(password.text()), salt, iterations });
        Ok(())
    }

    pub(in crate::proto::server) fn on_derived(
        &mut self,
        job: u64,
        key: Secret<[u8; 32]>,
        now: Now,
        os: &mut dyn Os,
    ) {
        let Some((link, attempt)) = self.logins.deriving.remove(&job) else { return };
        let is_right = attempt.verifier().matches(&SaltedPassword::from_key(key.0));
        let caller = Caller { link, reader: Reader::Plain, port: 0, text: None };
        if let Err((code, text)) = self.end_login(&caller, &attempt, is_right, now, os) {
            self.complain(link, code, &text, now, os);
        }
        self.go_on(link, now, os);
    }

    /// A program begins to prove who it is.
    pub(super) fn on_auth(
        &mut self,
        link: LinkId,
        port: u16,
        text: &str,
        now: Now,
        os: &mut dyn Os,
    ) -> Result<(), Refusal> {
        self.check_login(link)?;
        let first = ClientFirst::parse(text).map_err(|error| malformed(&error))?;
        let attempt = self.begin_login(first.name(), now)?;
        let nonce = self.nonce();
        let (text, exchange) = first.challenge(attempt.verifier(), &nonce);
        if let Some(talker) = self.talker_mut(link) {
            talker.proof = Some(Box::new(Proof { attempt, exchange, port }));
        }
        self.send(link, &Message::Chat(Line::OkAuth { text: &text }), os);
        Ok(())
    }

    pub(super) fn on_proof(
        &mut self,
        link: LinkId,
        text: &str,
        now: Now,
        os: &mut dyn Os,
    ) -> Result<(), Refusal> {
        let proof = self.talker_mut(link).and_then(|talker| talker.proof.take());
        let Some(proof) = proof else {
            return refuse(ErrorCode::OutOfPlace, "AUTH SCRAM-SHA-256 comes first");
        };
        self.check_login(link)?;
        let Proof { attempt, exchange, port } = *proof;
        let text = exchange.finish(attempt.verifier(), text).map_err(|error| malformed(&error))?;
        let is_right = text.is_some();
        let caller = Caller { link, reader: Reader::Acks, port, text };
        self.end_login(&caller, &attempt, is_right, now, os)
    }

    fn check_login(&self, link: LinkId) -> Result<(), Refusal> {
        self.check_unknown(link)?;
        match self.book.is_known {
            true => Ok(()),
            false => refuse(ErrorCode::NotYet, "the accounts are not read yet; try again"),
        }
    }

    fn begin_login(&mut self, name: Name, now: Now) -> Result<Attempt, Refusal> {
        self.accounts.begin(name, now.mono).map_err(|refusal| self.login_failed(name, refusal))
    }

    fn login_failed(&mut self, name: Name, refusal: accounts::Refusal) -> Refusal {
        self.status.logins_failed += 1;
        log::info!("login refused name={name} why=\"{refusal}\"");
        let code = match refusal {
            accounts::Refusal::Wrong => ErrorCode::WrongPassword,
            accounts::Refusal::Blocked { .. } => ErrorCode::AccountBlocked,
        };
        (code, refusal.to_string())
    }

    /// The attempt counts, also if who made it has gone.
    fn end_login(
        &mut self,
        caller: &Caller,
        attempt: &Attempt,
        is_right: bool,
        now: Now,
        os: &mut dyn Os,
    ) -> Result<(), Refusal> {
        let (name, link) = (attempt.name(), caller.link);
        let concluded = self.accounts.conclude(attempt, is_right, now.mono);
        if let Err(refusal) = concluded {
            self.note_wrong_password(name, link, now);
            return Err(self.login_failed(name, refusal));
        }
        let Some(session) = self.sessions.get(link) else { return Ok(()) };
        let remote = session.remote;
        let came = self.chat.login(name, link, caller.reader, now.mono).map_err(told)?;
        let chat::Login { told, waiting, load, reserve } = came;
        let coming = Coming { name, link: Some(link), untold: told.untold().collect() };
        log::info!("login name={name} from={remote} waiting={waiting}");
        self.seat_talker(link, name, now);
        if let Some(talker) = self.talker_mut(link) {
            talker.reader = caller.reader;
        }
        self.wheel.cancel(&Timer::Greet(link));
        let group = GROUP_DEFAULT.parse().expect("a name");
        let hello =
            Hello { link, remote, group, id: Some(name), port: caller.port, key: None, is_user: true };
        if let Err((_, why)) = self.take_place(&hello, now, os) {
            // Somebody who measures has the name. A user can talk all the same.
            log::warn!("user has no place for files name={name} why=\"{why}\"");
        }
        let text = caller.text.as_deref();
        let answer = Line::OkLogin { name, waiting: u64::from(waiting), text };
        self.send(link, &Message::Chat(answer), os);
        self.tell_coming(coming, now, os);
        let login = Login { at: now.wall, from: remote.ip(), is_refused: false };
        self.logins.unstored.push((name, login));
        if self.logins.unstored.len() >= LOGINS_UNSTORED_MAX {
            self.store_logins(os);
        }
        self.reserve(name, reserve, os);
        self.load_mail(load, os);
        Ok(())
    }

    /// Its user may want to know. It is stored later, so that an answer takes as long for a name that there is not.
    fn note_wrong_password(&mut self, name: Name, link: LinkId, now: Now) {
        let session = self.sessions.get(link).filter(|_| self.accounts.contains(name));
        let has_room = self.logins.unstored_refused < LOGINS_REFUSED_MAX;
        if let Some(from) = session.filter(|_| has_room).map(|session| session.remote.ip()) {
            self.logins.unstored_refused += 1;
            self.logins.unstored.push((name, Login { at: now.wall, from, is_refused: true }));
        }
    }

    /// Stores who has logged in, and who had a wrong password. Together, because each commit costs as much as a login.
    pub(in crate::proto::server) fn store_logins(&mut self, os: &mut dyn Os) {
        self.logins.unstored_refused = 0;
        let unstored = std::mem::take(&mut self.logins.unstored);
        let changes: Vec<Change<'_>> =
            unstored.into_iter().map(|(name, login)| Change::PutLogin { name, login }).collect();
        if !changes.is_empty() {
            self.store(&changes, Awaited::Nothing, os);
        }
    }

    /// Random for everybody who does not know the server's secret, and never the same.
    fn nonce(&mut self) -> Nonce {
        self.logins.nonces += 1;
        let mut hasher = blake3::Hasher::new_keyed(&self.config.secret);
        hasher.update(b"tickmesh 1 nonce of a login ").update(&self.logins.nonces.to_le_bytes());
        let mut nonce = [0; SCRAM_NONCE_BYTES];
        hasher.finalize_xof().fill(&mut nonce);
        nonce
    }
}

fn malformed(error: &accounts::scram::ScramError) -> Refusal {
    (ErrorCode::BadArgument, error.to_string())
}
