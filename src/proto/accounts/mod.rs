//! Accounts: which names users may have ([`user_name`]), what is kept in place of a password ([`Verifier`]),
//! how somebody shows that it is known (the [`scram`] exchange), who may log in ([`Accounts`]), and how many
//! are brought in at once ([`parse_credentials`]). Pure: what is to be stored, and every random byte, comes
//! from outside. Knows no sessions, and nothing of who is online.
//!
//! A login on a server:
//!
//! 1. [`ClientFirst::parse`](scram::ClientFirst::parse) says who it is, [`Accounts::begin`] what the
//!    password is to be checked against, and [`challenge`](scram::ClientFirst::challenge) what is answered.
//! 2. [`finish`](scram::ServerExchange::finish) says whether the proof is right. A proof that is malformed is
//!    no attempt and ends the exchange.
//! 3. [`Accounts::conclude`] decides, and only if it lets the user in the server's own proof is sent.
//!
//! For `login <name> <password>` the steps are [`Accounts::begin`], off the loop [`Password::salted`] with
//! what the attempt's verifier says, [`Verifier::matches`], [`Accounts::conclude`]. A text that cannot be a
//! password is concluded as wrong.
//!
//! # What a stranger can find out
//!
//! Nothing about who has an account. A name that there is not has a salt, always the same, and keys that no
//! password fits; it costs as much, its failures are counted and it is blocked as any other. Of the names
//! that have failed only [`FAILED_NAMES_MAX`](crate::proto::limits::FAILED_NAMES_MAX) are remembered, or
//! strangers could fill the memory; so whoever tries more can have others forgotten. Therefore failures are
//! counted twice: in what is *seen*, the one book of all names, from which all answers come; and in what is
//! *decided*, for each account, which is never forgotten. An account that is blocked while its name has been
//! forgotten answers as if every password were wrong, which is also what a name does that there is not.
//!
//! Blocks are not kept: a server that starts anew has none. Anybody can block any name for a while by
//! failing; that is the price of a block that does not ask from where.

mod book;
mod credentials;
mod names;
mod password;
pub mod scram;
mod strikes;
#[cfg(test)]
mod tests;
mod verifier;

pub use book::{Accounts, Attempt, Put, PutError, Refusal};
pub use credentials::{Credential, CredentialsError, Fault, What, parse_credentials};
pub use names::{GUEST_PREFIX, UserNameError, check_user_name, user_name};
pub use password::{Password, PasswordError, SaltedPassword, derive_key};
pub use verifier::{Salt, Verifier, VerifierError};
