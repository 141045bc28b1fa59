//! The book of accounts, and who may log in. Keeps no sessions, and stores nothing: what it knows is
//! told to it.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Duration;

use crate::proto::accounts::names::{Skeleton, UserNameError, check_user_name, skeleton};
use crate::proto::accounts::strikes::Strikes;
use crate::proto::accounts::verifier::Verifier;
use crate::proto::ids::Name;
use crate::proto::limits::{ACCOUNTS_MAX, FAILED_NAMES_MAX, SALT_BYTES, SCRAM_ITERATIONS};
use crate::proto::time::{Mono, Period};

/// Every account, and who has failed to log in.
#[derive(Debug)]
pub struct Accounts {
    secret: [u8; 32],
    block: Duration,
    /// By skeleton, so that of names that look alike there is only one.
    book: BTreeMap<Skeleton, Account>,
    /// What is decided: the failures of each account.
    strikes: Strikes,
    /// What is seen: the failures of any names, those of accounts and others alike.
    seen: Strikes,
}

#[derive(Debug)]
struct Account {
    name: Name,
    verifier: Verifier,
}

/// What a [`put`](Accounts::put) has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// The account is new.
    New,
    /// The account has another password.
    Changed,
    /// All is as it was.
    Same,
}

/// Why an account is not taken into the book.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PutError {
    /// No user has such a name.
    #[error(transparent)]
    Name(#[from] UserNameError),
    /// People would take the one for the other.
    #[error("the name is too much like '{0}', which there is already")]
    LooksLike(Name),
    /// There are as many as there may be.
    #[error("there are {ACCOUNTS_MAX} accounts already, and there cannot be more")]
    Full,
}

/// An attempt to log in, with what the password is to be checked against.
#[derive(Clone, Debug)]
pub struct Attempt {
    name: Name,
    verifier: Verifier,
}

/// Why somebody is not let in. The same for names that there are and names that there are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Which of the two is not said.
    #[error("the name or the password is wrong")]
    Wrong,
    /// Too many failures in a row, from wherever they came.
    #[error("too many wrong passwords in a row: try again in {}", in_seconds(*left))]
    Blocked {
        /// How much longer.
        left: Duration,
    },
}

impl Accounts {
    /// An empty book. The secret decides what is shown of names that there are not; it must be the same as
    /// long as the accounts are, else a new start shows which names these are. `block` is how long a name is
    /// blocked after too many failures.
    pub fn new(secret: [u8; 32], block: Duration) -> Accounts {
        let (strikes, seen) = (Strikes::new(ACCOUNTS_MAX), Strikes::new(FAILED_NAMES_MAX));
        Accounts { secret, block, book: BTreeMap::new(), strikes, seen }
    }

    /// Takes an account into the book, or gives it another password. A new password lifts a block: whoever
    /// tried has guessed at the old one.
    ///
    /// # Errors
    /// All of [`PutError`]; the book is as it was.
    pub fn put(&mut self, name: Name, verifier: Verifier) -> Result<Put, PutError> {
        check_user_name(name)?;
        let put = match self.alike(name) {
            Some(other) if other.name != name => return Err(PutError::LooksLike(other.name)),
            Some(same) if same.verifier == verifier => return Ok(Put::Same),
            Some(_) => Put::Changed,
            None if self.book.len() >= ACCOUNTS_MAX => return Err(PutError::Full),
            None => Put::New,
        };
        self.book.insert(skeleton(name), Account { name, verifier });
        self.forgive(name);
        Ok(put)
    }

    /// Takes an account out of the book; false if there is none of that name.
    pub fn remove(&mut self, name: Name) -> bool {
        let is_there = self.contains(name);
        if is_there {
            self.book.remove(&skeleton(name));
            self.strikes.clear(name);
        }
        is_there
    }

    /// Whether there is an account of exactly that name.
    pub fn contains(&self, name: Name) -> bool {
        self.verifier(name).is_some()
    }

    /// The account that has that name, or one that people would take for it.
    pub fn looks_like(&self, name: Name) -> Option<Name> {
        self.alike(name).map(|account| account.name)
    }

    /// Every account, in no order that means anything.
    pub fn names(&self) -> impl ExactSizeIterator<Item = Name> {
        self.book.values().map(|account| account.name)
    }

    /// What the password of whoever says that name is to be checked against. A name that there is not has
    /// something as well, always the same, that no password fits.
    ///
    /// # Errors
    /// [`Refusal::Blocked`]: nothing is checked meanwhile, and nothing counts.
    pub fn begin(&self, name: Name, now: Mono) -> Result<Attempt, Refusal> {
        self.check_seen(name, now)?;
        // Made in any case, so that it takes as long.
        let fake = black_box(self.fake(name));
        Ok(Attempt { name, verifier: self.verifier(name).unwrap_or(fake) })
    }

    /// Ends an attempt, and counts it if it has failed. Whatever was right: nobody is let in who is blocked
    /// by now, or whose account is gone or has another password by now.
    ///
    /// # Errors
    /// All of [`Refusal`].
    pub fn conclude(&mut self, attempt: &Attempt, is_right: bool, now: Mono) -> Result<(), Refusal> {
        let Attempt { name, verifier } = *attempt;
        self.check_seen(name, now)?;
        let known = self.verifier(name);
        let is_blocked = self.strikes.blocked_until(name, now).is_some();
        if is_right && !is_blocked && known == Some(verifier) {
            self.forgive(name);
            return Ok(());
        }
        if known.is_some() && !is_blocked {
            self.strikes.fail(name, self.block, now);
        }
        self.seen.fail(name, self.block, now);
        self.check_seen(name, now)?;
        Err(Refusal::Wrong)
    }

    /// Panics if the book contradicts itself.
    pub fn check_invariants(&self) {
        assert!(self.book.len() <= ACCOUNTS_MAX);
        for (key, account) in &self.book {
            assert_eq!(*key, skeleton(account.name));
            assert_eq!(check_user_name(account.name), Ok(()));
        }
        for name in self.strikes.names() {
            assert!(self.contains(name), "{name} has failures and no account");
        }
        self.strikes.check_invariants();
        self.seen.check_invariants();
    }

    fn check_seen(&self, name: Name, now: Mono) -> Result<(), Refusal> {
        match self.seen.blocked_until(name, now) {
            Some(until) => Err(Refusal::Blocked { left: until - now }),
            None => Ok(()),
        }
    }

    fn forgive(&mut self, name: Name) {
        self.strikes.clear(name);
        self.seen.clear(name);
    }

    fn alike(&self, name: Name) -> Option<&Account> {
        self.book.get(&skeleton(name))
    }

    fn verifier(&self, name: Name) -> Option<Verifier> {
        self.alike(name).filter(|account| account.name == name).map(|account| account.verifier)
    }

    /// A verifier that looks like any other, and whose keys nobody has ever had.
    fn fake(&self, name: Name) -> Verifier {
        let mut hasher = blake3::Hasher::new_keyed(&self.secret);
        hasher.update(b"tickmesh 1 nobody's verifier ").update(name.as_bytes());
        let mut bytes = hasher.finalize_xof();
        let (mut salt, mut stored_key, mut server_key) = ([0; SALT_BYTES], [0; 32], [0; 32]);
        bytes.fill(&mut salt);
        bytes.fill(&mut stored_key);
        bytes.fill(&mut server_key);
        Verifier { iterations: SCRAM_ITERATIONS, salt, stored_key, server_key }
    }
}

impl Attempt {
    /// Whose.
    pub fn name(&self) -> Name {
        self.name
    }

    /// What the password is to be checked against.
    pub fn verifier(&self) -> &Verifier {
        &self.verifier
    }
}

/// Whole seconds, rounded up: who waits so long has waited long enough.
fn in_seconds(left: Duration) -> Period {
    Period(Duration::from_secs(left.as_secs() + u64::from(left.subsec_nanos() > 0)))
}
