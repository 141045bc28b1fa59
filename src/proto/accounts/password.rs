//! A password as a person types it, made ready: checked, and in one form however it was typed. Never
//! shown, not even for debugging.

use std::fmt;

use hmac::Hmac;
use sha2::Sha256;

use crate::proto::accounts::verifier::Salt;
use crate::proto::limits::PASSWORD_BYTES_MAX;

/// A password, prepared (SASLprep, RFC 4013).
#[derive(Clone, PartialEq, Eq)]
pub struct Password(Box<str>);

/// A password with its salt, hashed many times: as good as the password for who has the same salt.
#[derive(Clone)]
pub struct SaltedPassword(pub(super) [u8; 32]);

/// Why a text is no password. Says nothing of the text itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Nothing, or nothing that can be seen.
    #[error("a password cannot be empty")]
    Empty,
    /// Longer than its bound.
    #[error("a password has at most {PASSWORD_BYTES_MAX} bytes")]
    TooLong,
    /// A control character.
    #[error("a password has no control characters")]
    Control,
    /// What SASLprep does not let pass.
    #[error(
        "a password has no character that is private, invisible or newer than Unicode 3.2, such as an emoji, \
         and does not mix directions of writing"
    )]
    Prohibited,
}

impl Password {
    /// # Errors
    /// All of [`PasswordError`].
    pub fn prepare(text: &str) -> Result<Password, PasswordError> {
        if text.len() > PASSWORD_BYTES_MAX {
            return Err(PasswordError::TooLong);
        }
        if text.chars().any(char::is_control) {
            return Err(PasswordError::Control);
        }
        let prepared = stringprep::saslprep(text).map_err(|_| PasswordError::Prohibited)?;
        if prepared.is_empty() {
            return Err(PasswordError::Empty);
        }
        Ok(Password(prepared.into()))
    }

    /// PBKDF2 with HMAC-SHA-256 (RFC 8018). Takes about a millisecond for each 4096 iterations, so it is
    /// never done on a loop.
    pub fn salted(&self, salt: &Salt, iterations: u32) -> SaltedPassword {
        SaltedPassword(derive_key(&self.0, salt, iterations))
    }

    /// The text, for whoever hashes it elsewhere with [`derive_key`].
    pub fn text(&self) -> &str {
        &self.0
    }
}

impl SaltedPassword {
    /// What [`derive_key`] made of a password.
    pub fn from_key(key: [u8; 32]) -> SaltedPassword {
        SaltedPassword(key)
    }
}

/// The work of [`Password::salted`].
pub fn derive_key(password: &str, salt: &Salt, iterations: u32) -> [u8; 32] {
    let mut key = [0; 32];
    pbkdf2::pbkdf2::<Hmac<Sha256>>(password.as_bytes(), salt, iterations, &mut key)
        .expect("a key of any length is one for HMAC");
    key
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

impl fmt::Debug for SaltedPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SaltedPassword(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_password_has_one_form() {
        let prepare = |text| Password::prepare(text).unwrap();
        // The examples of RFC 4013, and a letter with its accent as one character and as two.
        for (typed, prepared) in
            [("I\u{AD}X", "IX"), ("user", "user"), ("USER", "USER"), ("\u{AA}", "a"), ("\u{2168}", "IX")]
        {
            assert_eq!(*prepare(typed).0, *prepared, "{typed:?}");
        }
        assert_eq!(prepare("caf\u{e9}"), prepare("cafe\u{301}"));
        assert_eq!(*prepare("two words").0, *"two words");
        assert_eq!(*prepare("two\u{a0}words").0, *"two words");
    }

    #[test]
    fn what_is_no_password_is_refused() {
        let longest = "x".repeat(PASSWORD_BYTES_MAX);
        assert!(Password::prepare(&longest).is_ok());
        for (text, error) in [
            ("", PasswordError::Empty),
            ("\u{AD}", PasswordError::Empty),
            (&*(longest + "x"), PasswordError::TooLong),
            ("a\u{7}", PasswordError::Control),
            ("a\n", PasswordError::Control),
            ("a\0", PasswordError::Control),
            ("a\u{85}", PasswordError::Control),
            ("a\u{202e}b", PasswordError::Prohibited),
            ("\u{e000}", PasswordError::Prohibited),
            ("\u{1f600}", PasswordError::Prohibited),
            ("\u{627}1", PasswordError::Prohibited),
        ] {
            assert_eq!(Password::prepare(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn nothing_shows_a_password() {
        let password = Password::prepare("secret").unwrap();
        let salted = password.salted(&[0; 16], 1);
        assert_eq!(format!("{password:?} {salted:?}"), "Password(..) SaltedPassword(..)");
    }
}
