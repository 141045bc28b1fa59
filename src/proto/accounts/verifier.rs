//! What an account keeps in place of a password (SCRAM-SHA-256, RFC 5802 and 7677), and its form as
//! text (RFC 5803). Draws no salt: whoever makes one brings it.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::proto::accounts::password::SaltedPassword;
use crate::proto::limits::{SALT_BYTES, SCRAM_ITERATIONS, SCRAM_ITERATIONS_MAX};

/// Random bytes that make equal passwords different.
pub type Salt = [u8; SALT_BYTES];

/// What a password is checked against, and from which it cannot be had but by guessing. Written
/// `SCRAM-SHA-256$iterations:salt$stored-key:server-key`, the last three in base64.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Verifier {
    pub(super) iterations: u32,
    pub(super) salt: Salt,
    pub(super) stored_key: [u8; 32],
    pub(super) server_key: [u8; 32],
}

/// Why a text is no verifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifierError {
    /// It has not that form, or is none of that mechanism.
    #[error("a verifier is written SCRAM-SHA-256$iterations:salt$key:key")]
    Form,
    /// Too few iterations are too easily guessed, too many keep a login waiting.
    #[error("a verifier has from {SCRAM_ITERATIONS} to {SCRAM_ITERATIONS_MAX} iterations")]
    Iterations,
    /// That part is not in base64, or has not the right length.
    #[error("the {0} of a verifier is no base64 of its length")]
    Part(&'static str),
}

const MECHANISM: &str = "SCRAM-SHA-256";

impl Verifier {
    /// The verifier of a password that was salted with that salt and so many iterations.
    pub fn new(salted: &SaltedPassword, salt: Salt, iterations: u32) -> Verifier {
        let stored_key = sha256(&client_key(salted));
        Verifier { iterations, salt, stored_key, server_key: server_key(salted) }
    }

    /// How often the password is hashed.
    pub fn iterations(&self) -> u32 {
        self.iterations
    }

    /// What the password is hashed with.
    pub fn salt(&self) -> &Salt {
        &self.salt
    }

    /// Whether that is the password, salted as [`Verifier::salt`] and [`Verifier::iterations`] say.
    pub fn matches(&self, salted: &SaltedPassword) -> bool {
        self.fits_client_key(&client_key(salted))
    }

    pub(super) fn fits_client_key(&self, client_key: &[u8; 32]) -> bool {
        sha256(client_key).ct_eq(&self.stored_key).into()
    }
}

impl FromStr for Verifier {
    type Err = VerifierError;

    /// # Errors
    /// All of [`VerifierError`].
    fn from_str(text: &str) -> Result<Verifier, VerifierError> {
        let mut parts = text.split('$');
        let (Some(MECHANISM), Some(costs), Some(keys), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(VerifierError::Form);
        };
        let (iterations, salt) = costs.split_once(':').ok_or(VerifierError::Form)?;
        let (stored_key, server_key) = keys.split_once(':').ok_or(VerifierError::Form)?;
        Ok(Verifier {
            iterations: parse_iterations(iterations).ok_or(VerifierError::Iterations)?,
            salt: decode(salt).ok_or(VerifierError::Part("salt"))?,
            stored_key: decode(stored_key).ok_or(VerifierError::Part("stored key"))?,
            server_key: decode(server_key).ok_or(VerifierError::Part("server key"))?,
        })
    }
}

impl fmt::Display for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [salt, stored, server] =
            [&self.salt[..], &self.stored_key, &self.server_key].map(|part| STANDARD.encode(part));
        write!(f, "{MECHANISM}${}:{salt}${stored}:{server}", self.iterations)
    }
}

/// Keys are for nobody's log.
impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Verifier({MECHANISM}, {} iterations, ..)", self.iterations)
    }
}

pub(super) fn client_key(salted: &SaltedPassword) -> [u8; 32] {
    hmac(&salted.0, b"Client Key")
}

pub(super) fn server_key(salted: &SaltedPassword) -> [u8; 32] {
    hmac(&salted.0, b"Server Key")
}

pub(super) fn hmac(key: &[u8; 32], text: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length is one for HMAC");
    mac.update(text);
    mac.finalize().into_bytes().into()
}

fn sha256(bytes: &[u8; 32]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// So many bytes in base64, spelled the only way.
pub(super) fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    STANDARD.decode(text).ok()?.try_into().ok()
}

/// A number of iterations that is neither too easy nor too much, spelled the only way.
pub(super) fn parse_iterations(text: &str) -> Option<u32> {
    let number: u32 = text.parse().ok().filter(|_| text.starts_with(|first: char| first.is_ascii_digit()))?;
    let strict = !text.starts_with('0');
    (strict && (SCRAM_ITERATIONS..=SCRAM_ITERATIONS_MAX).contains(&number)).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::accounts::password::Password;

    /// That of the example in RFC 7677: password `pencil`.
    const PENCIL: &str = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$\
        WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";

    fn salted(password: &str, verifier: &Verifier) -> SaltedPassword {
        Password::prepare(password).unwrap().salted(verifier.salt(), verifier.iterations())
    }

    #[test]
    fn it_is_that_of_the_rfc() {
        let known: Verifier = PENCIL.parse().unwrap();
        assert_eq!(known.to_string(), PENCIL);
        let made = Verifier::new(&salted("pencil", &known), *known.salt(), known.iterations());
        assert_eq!(made, known);
        assert!(known.matches(&salted("pencil", &known)));
        for wrong in ["Pencil", "pencil ", "pen"] {
            assert!(!known.matches(&salted(wrong, &known)), "{wrong}");
        }
    }

    #[test]
    fn the_same_password_with_another_salt_is_another() {
        let known: Verifier = PENCIL.parse().unwrap();
        let other = Verifier { salt: [7; SALT_BYTES], ..known };
        assert!(!other.matches(&salted("pencil", &other)));
    }

    #[test]
    fn every_malformed_text_is_refused() {
        use VerifierError::{Form, Iterations, Part};
        let change = |from: &str, to: &str| PENCIL.replacen(from, to, 1);
        for (text, error) in [
            (String::new(), Form),
            ("secret".to_owned(), Form),
            (change("SHA-256", "SHA-1"), Form),
            (change("SCRAM", "scram"), Form),
            (format!(" {PENCIL}"), Form),
            (format!("{PENCIL}$"), Form),
            (change("4096:", "4096"), Form),
            (change("=:w", "=w"), Form),
            (change("4096", ""), Iterations),
            (change("4096", "+4096"), Iterations),
            (change("4096", "04096"), Iterations),
            (change("4096", "4095"), Iterations),
            (change("4096", "-1"), Iterations),
            (change("4096", "99999999999"), Iterations),
            (change("4096", "1048577"), Iterations),
            (change("W22Z", "W2"), Part("salt")),
            (change("W22Z", "W22ZAAAA"), Part("salt")),
            (change("gQ==", "gQ"), Part("salt")),
            (change("gQ==", "gR=="), Part("salt")),
            (change("WG5d", "W_5d"), Part("stored key")),
            (change("WG5d", ""), Part("stored key")),
            (change("wfPL", "wfP"), Part("server key")),
            (format!("{PENCIL}\n"), Part("server key")),
            (format!("{PENCIL}:x"), Part("server key")),
        ] {
            assert_eq!(text.parse::<Verifier>(), Err(error), "{text:?}");
        }
    }

    #[test]
    fn debugging_shows_no_key() {
        let known: Verifier = PENCIL.parse().unwrap();
        assert_eq!(format!("{known:?}"), "Verifier(SCRAM-SHA-256, 4096 iterations, ..)");
    }

    proptest::proptest! {
        #[test]
        fn text_is_read_as_it_was_written(
            salt: Salt, stored_key: [u8; 32], server_key: [u8; 32],
            iterations in SCRAM_ITERATIONS..=SCRAM_ITERATIONS_MAX,
        ) {
            let verifier = Verifier { iterations, salt, stored_key, server_key };
            proptest::prop_assert_eq!(verifier.to_string().parse(), Ok(verifier));
        }

        #[test]
        fn any_text_is_read_or_refused(text: String) {
            if let Ok(verifier) = text.parse::<Verifier>() {
                proptest::prop_assert_eq!(verifier.to_string(), text);
            }
        }
    }
}
