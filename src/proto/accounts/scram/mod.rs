//! A login without showing the password: the exchange SCRAM-SHA-256 (RFC 5802 and 7677), of the server
//! ([`ClientFirst`], [`ServerExchange`]) and of the client ([`ClientExchange`]). Takes and gives
//! texts, each one word of a line; decides nothing about accounts, and draws nothing: nonces are given.
//!
//! ```text
//! C  n,,n=alice,r=cNonce                       client first
//! S  r=cNoncesNonce,s=salt,i=iterations        server first
//! C  c=biws,r=cNoncesNonce,p=proof             client final
//! S  v=signature                               server final
//! ```
//!
//! Each side proves to the other that it knows the password, or what the server keeps in place of it. What
//! is costly, hashing the password, is done by the client, and apart from the exchange.
//!
//! Why this is not the work of rsasl: that draws its nonces itself, so that no run could be
//! repeated from a seed; it tells unknown names by another error and by another number of iterations; and
//! it ends a login with a wrong password as finished. It is the other half in our tests.
//!
//! **Channel binding** (`-PLUS`, RFC 9266) is not there yet. It will begin with `p=tls-exporter` where
//! `header` refuses it now, and add its bytes to what `binding` encodes; and a client that says `y`
//! where the server offers it must be refused then.

mod client;
mod server;
#[cfg(test)]
mod tests;

use std::str::Split;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::proto::ids::Name;
use crate::proto::limits::{SCRAM_NONCE_BYTES, SCRAM_NONCE_TEXT_MAX};

pub use client::{Challenge, ClientExchange, ServerProof};
pub use server::{ClientFirst, ServerExchange};

/// Random bytes that are used in one exchange only.
pub type Nonce = [u8; SCRAM_NONCE_BYTES];

/// What the other side said is no part of this exchange.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScramError {
    /// That part is missing, or not as it must be.
    #[error("the {0} of the login is missing or wrong")]
    Malformed(&'static str),
    /// The other side insists on that.
    #[error("{0} is not supported in a login")]
    Unsupported(&'static str),
    /// The nonce or the header is not that of this exchange.
    #[error("the {0} is that of another login")]
    Foreign(&'static str),
    /// The server does not know what it should know of the password: it is another one that has taken its
    /// place.
    #[error("the server has not proved that it knows this account")]
    NotProven,
}

/// Cuts off the beginning that says how the exchange is bound to its connection, and for whom it is.
fn header(text: &str) -> Result<(&str, &str), ScramError> {
    let malformed = ScramError::Malformed("header");
    let (flag, rest) = text.split_once(',').ok_or(malformed.clone())?;
    match flag {
        "n" | "y" => {}
        _ if flag.starts_with("p=") => return Err(ScramError::Unsupported("channel binding")),
        _ => return Err(malformed),
    }
    let (on_behalf, bare) = rest.split_once(',').ok_or(malformed.clone())?;
    match on_behalf {
        "" => Ok((&text[..text.len() - bare.len()], bare)),
        _ if on_behalf.starts_with("a=") => Err(ScramError::Unsupported("acting for another user")),
        _ => Err(malformed),
    }
}

/// What the client repeats of its header in its last word.
fn binding(header: &str) -> String {
    STANDARD.encode(header)
}

/// The parts of a text; none may begin with `m=`, which means: stop if you do not know this.
fn parts(text: &str) -> Result<Split<'_, char>, ScramError> {
    match text.starts_with("m=") {
        true => Err(ScramError::Unsupported("an extension")),
        false => Ok(text.split(',')),
    }
}

/// The value of the next part, which must begin with `key`.
fn value<'a>(parts: &mut Split<'a, char>, key: &str, what: &'static str) -> Result<&'a str, ScramError> {
    parts.next().and_then(|part| part.strip_prefix(key)).ok_or(ScramError::Malformed(what))
}

/// The nonce that comes next.
fn nonce<'a>(parts: &mut Split<'a, char>) -> Result<&'a str, ScramError> {
    let text = value(parts, "r=", "nonce")?;
    let good =
        (1..=SCRAM_NONCE_TEXT_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    if good { Ok(text) } else { Err(ScramError::Malformed("nonce")) }
}

/// The name that comes next. Names have no `=` and `,`, so none is escaped.
fn name(parts: &mut Split<'_, char>) -> Result<Name, ScramError> {
    value(parts, "n=", "name")?.parse().map_err(|_| ScramError::Malformed("name"))
}

fn xor(one: [u8; 32], other: &[u8; 32]) -> [u8; 32] {
    let mut both = one;
    both.iter_mut().zip(other).for_each(|(byte, other)| *byte ^= other);
    both
}
