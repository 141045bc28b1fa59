//! How a guest that talks tells the server who it is: a user proves it (SCRAM), a guest only says so.

use crate::proto::accounts::scram::{Challenge, ClientExchange, Nonce, ServerProof};
use crate::proto::accounts::{Password, Salt, SaltedPassword};
use crate::proto::ids::{LinkId, Name};
use crate::proto::limits::{REDIAL_PAUSE_MIN, SCRAM_NONCE_BYTES};
use crate::proto::machine::{CloseReason, Effect, Os, Secret};
use crate::proto::peer::News;
use crate::proto::peer::common::{Common, Listener, Timer};
use crate::proto::peer::member::{Contact, Member, Stage};
use crate::proto::peer::talk::Login;
use crate::proto::peer::talk::pace::Pace;
use crate::proto::time::Now;
use crate::proto::wire::{Chat, ErrorCode, Message};

/// A user who proves its name.
#[derive(Debug)]
pub(super) struct Account {
    user: Name,
    /// Until the first login; then what was made of it is enough.
    password: Option<Password>,
    salted: Option<(Salt, u32, SaltedPassword)>,
    step: Step,
    secret: [u8; 32],
    nonces: u64,
    jobs: u64,
}

/// How far a login has come.
#[derive(Debug)]
enum Step {
    Begin,
    Asked(ClientExchange),
    /// The password is being hashed, as that job.
    Deriving(Challenge, u64),
    Proving(ServerProof),
}

impl Account {
    pub(super) fn new(login: Login, secret: [u8; 32]) -> Account {
        let Login { user, password } = login;
        let password = Some(password);
        Account { user, password, salted: None, step: Step::Begin, secret, nonces: 0, jobs: 0 }
    }

    /// Random for everybody who does not know the secret, and never the same.
    fn nonce(&mut self) -> Nonce {
        self.nonces += 1;
        let mut hasher = blake3::Hasher::new_keyed(&self.secret);
        hasher.update(b"tickmesh 1 nonce of a client ").update(&self.nonces.to_le_bytes());
        let mut nonce = [0; SCRAM_NONCE_BYTES];
        hasher.finalize_xof().fill(&mut nonce);
        nonce
    }

    /// What the challenge wants, once the password is hashed for it.
    fn proof(&mut self, challenge: &Challenge) -> Option<String> {
        let (salt, iterations, salted) = self.salted.as_ref()?;
        if (salt, *iterations) != (challenge.salt(), challenge.iterations()) {
            return None;
        }
        let (text, proof) = challenge.respond(salted);
        self.step = Step::Proving(proof);
        Some(text)
    }
}

impl Member {
    fn account(&mut self) -> Option<&mut Account> {
        self.talker()?.account.as_mut()
    }

    /// In place of the `HELLO` of those who only have files.
    pub(in crate::proto::peer) fn say_who(&mut self, link: LinkId, common: &mut Common, os: &mut dyn Os) {
        let id = self.id;
        if let Some(talker) = self.talker() {
            talker.pace = Pace::default();
        }
        let Some(account) = self.account() else {
            let hello = Message::Hello { id, port: None, group: None, key: None };
            return common.send(link, &hello, os);
        };
        let port = match common.listener {
            Listener::Ready(port) => port,
            Listener::None | Listener::Asked => 0,
        };
        let nonce = account.nonce();
        let (text, exchange) = ClientExchange::begin(account.user, &nonce);
        account.step = Step::Asked(exchange);
        common.send(link, &Message::Chat(Chat::Auth { port, text: &text }), os);
    }

    /// The server wants something proved.
    pub(super) fn on_challenge(&mut self, text: &str, common: &mut Common, now: Now, os: &mut dyn Os) {
        let Contact::Joining(link) = self.contact else { return };
        let Some(account) = self.account() else { return };
        let step = std::mem::replace(&mut account.step, Step::Begin);
        let challenge = match step {
            Step::Asked(exchange) => exchange.challenged(text),
            _ => return,
        };
        let challenge = match challenge {
            Ok(challenge) => challenge,
            Err(error) => {
                let why = format!("the server's login makes no sense: {error}");
                return self.fail_login(ErrorCode::BadArgument, &why, common, now, os);
            }
        };
        if let Some(text) = account.proof(&challenge) {
            return common.send(link, &Message::Chat(Chat::AuthMore { text: &text }), os);
        }
        let Some(password) = &account.password else {
            let why = "the password has been changed; log in anew";
            return self.fail_login(ErrorCode::WrongPassword, why, common, now, os);
        };
        account.jobs += 1;
        let job = account.jobs;
        let (salt, iterations) = (*challenge.salt(), challenge.iterations());
        os.perform(Effect::Derive { job, password: Secret(password.text()), salt, iterations });
        account.step = Step::Deriving(challenge, job);
    }

    /// The password is hashed.
    pub(in crate::proto::peer) fn on_derived(
        &mut self,
        job: u64,
        key: Secret<[u8; 32]>,
        common: &mut Common,
        os: &mut dyn Os,
    ) {
        let Contact::Joining(link) = self.contact else { return };
        let Some(account) = self.account() else { return };
        let challenge = match &account.step {
            Step::Deriving(challenge, asked) if *asked == job => challenge.clone(),
            _ => return,
        };
        let salted = SaltedPassword::from_key(key.0);
        account.salted = Some((*challenge.salt(), challenge.iterations(), salted));
        if let Some(text) = account.proof(&challenge) {
            common.send(link, &Message::Chat(Chat::AuthMore { text: &text }), os);
        }
    }

    /// The server lets a user in, and proves that it knows the account.
    pub(super) fn on_logged_in(
        &mut self,
        (name, waiting): (Name, u64),
        text: &str,
        common: &mut Common,
        now: Now,
        os: &mut dyn Os,
    ) {
        let Contact::Joining(_) = self.contact else { return };
        let Some(account) = self.account() else { return };
        let step = std::mem::replace(&mut account.step, Step::Begin);
        let is_right = matches!(step, Step::Proving(proof) if proof.check(text).is_ok());
        if !is_right || name != account.user {
            let why = "that server does not know the account; it is not the one that you trust";
            return self.fail_login(ErrorCode::NotAllowed, why, common, now, os);
        }
        account.password = None;
        let salt = account.salted.as_ref().map(|(salt, ..)| *salt);
        self.enter(name, waiting, salt, common, now, os);
    }

    /// The server knows us, and hears what is typed from now on.
    pub(in crate::proto::peer) fn enter(
        &mut self,
        name: Name,
        waiting: u64,
        salt: Option<Salt>,
        common: &mut Common,
        now: Now,
        os: &mut dyn Os,
    ) {
        let Contact::Joining(link) = self.contact else { return };
        self.contact = Contact::Joined(link);
        self.redial_pause = REDIAL_PAUSE_MIN;
        self.contacts_made += 1;
        self.nonsense = 0;
        common.wheel.cancel(&Timer::Reply(self.index));
        self.id = Some(name);
        self.stage = Stage::Sharing;
        log::info!("logged in name={name} waiting={waiting}");
        if let Some(talker) = self.talker() {
            talker.showing.begin(salt);
            talker.held_until = None;
            (talker.waiting, talker.quiet_since) = (waiting, now.mono);
            talker.show(News::LoggedIn { name, waiting });
        }
        self.begin_visit(common, now, os);
    }

    /// The server does not let us in. That may be a matter of the moment for who was in before.
    pub(in crate::proto::peer) fn on_login_refused(
        &mut self,
        link: LinkId,
        (code, text): (ErrorCode, &str),
        common: &mut Common,
        now: Now,
        os: &mut dyn Os,
    ) {
        let chosen = common.config.ids[self.index as usize].is_some();
        let was_in = self.contacts_made > 0;
        let passes = match code {
            ErrorCode::NotYet => true,
            ErrorCode::AlreadyOnline
            | ErrorCode::AccountBlocked
            | ErrorCode::LimitReached
            | ErrorCode::TooFast => was_in,
            ErrorCode::IdTaken => was_in && self.account().is_none(),
            _ => false,
        };
        if !passes {
            return self.fail_login(code, text, common, now, os);
        }
        if code == ErrorCode::IdTaken && !chosen {
            // One that the server chose itself does not matter.
            self.id = None;
        }
        log::info!("login refused code={} why=\"{text}\" then=\"it is tried again\"", code.as_str());
        common.close(link, CloseReason::Unwanted, os);
        self.on_server_down(text, common, now, os);
    }

    fn fail_login(&mut self, code: ErrorCode, text: &str, common: &mut Common, now: Now, os: &mut dyn Os) {
        if let Some(talker) = self.talker() {
            talker.show(News::LoginRefused { code, text: text.to_owned() });
        }
        self.fail(&format!("the server refused: {text}"), common, now, os);
    }
}
