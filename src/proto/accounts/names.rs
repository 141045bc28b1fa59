//! Which names a user may have, and which two look alike. Keeps no names.

use std::str::FromStr;

use crate::proto::ids::{Name, NameError};
use crate::proto::limits::NAME_BYTES_MAX;

/// What the names of guests begin with, in any case; no user has such a name.
pub const GUEST_PREFIX: &str = "guest-";

/// Why a text is no name of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UserNameError {
    /// No name at all.
    #[error(transparent)]
    Name(#[from] NameError),
    /// Only digits.
    #[error("numbers are the names of peers in a run, not of users")]
    Number,
    /// What a guest is called.
    #[error("names that begin with '{GUEST_PREFIX}' are those of guests")]
    Guest,
}

/// A name that a user may have.
///
/// # Errors
/// All of [`UserNameError`].
pub fn user_name(text: &str) -> Result<Name, UserNameError> {
    let name = Name::from_str(text)?;
    check_user_name(name).map(|()| name)
}

/// Whether a user may have that name.
///
/// # Errors
/// All of [`UserNameError`] but the first.
pub fn check_user_name(name: Name) -> Result<(), UserNameError> {
    let bytes = name.as_bytes();
    let prefix = bytes.get(..GUEST_PREFIX.len());
    if bytes.iter().all(u8::is_ascii_digit) {
        return Err(UserNameError::Number);
    }
    if prefix.is_some_and(|prefix| prefix.eq_ignore_ascii_case(GUEST_PREFIX.as_bytes())) {
        return Err(UserNameError::Guest);
    }
    Ok(())
}

/// What names that people take for each other have in common: names that differ only in case, or in
/// `l`, `1` and `I`, or in `O` and `0`, have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Skeleton([u8; NAME_BYTES_MAX]);

/// The skeleton of a name.
pub fn skeleton(name: Name) -> Skeleton {
    let mut bytes = [0; NAME_BYTES_MAX];
    for (to, byte) in bytes.iter_mut().zip(name.as_bytes()) {
        *to = match byte.to_ascii_lowercase() {
            b'1' | b'i' => b'l',
            b'0' => b'o',
            other => other,
        };
    }
    Skeleton(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[test]
    fn users_are_called_neither_numbers_nor_as_guests_are() {
        for good in ["alice", "server", "guest", "guest_1", "guests-1", "7of9", "_", "Bob.2"] {
            assert_eq!(user_name(good), Ok(name(good)));
        }
        for number in ["0", "7", "007", "4294967296", "99999999999999999999999999999999"] {
            assert_eq!(user_name(number), Err(UserNameError::Number), "{number}");
        }
        for guest in ["guest-1", "Guest-1", "GUEST-x", "guest-007"] {
            assert_eq!(user_name(guest), Err(UserNameError::Guest), "{guest}");
        }
        for bad in ["", "a b", "a%b", "a\u{7}", "аlice", &"x".repeat(1000)] {
            assert!(matches!(user_name(bad), Err(UserNameError::Name(_))), "{bad:?}");
        }
    }

    #[test]
    fn look_alikes_have_the_same_skeleton() {
        let alike = [("alice", "Alice"), ("bill", "b1ll"), ("Ian", "lan"), ("Ian", "1an"), ("bob", "B0b")];
        for (one, other) in alike {
            assert_eq!(skeleton(name(one)), skeleton(name(other)), "{one} {other}");
        }
        for (one, other) in [("alice", "alicf"), ("a-b", "a_b"), ("a", "aa"), ("bob", "bo"), ("a.b", "a-b")] {
            assert_ne!(skeleton(name(one)), skeleton(name(other)), "{one} {other}");
        }
    }
}
