//! `credentials.txt`: many accounts in one text, a line `name password` each. Reads all of it or says
//! what is wrong with it, line by line; never repeats a password.
//!
//! Blanks and tabs before, between and after the two do not count. A password with a blank in it is refused,
//! for a file with more columns looks the same. Empty lines are skipped, and lines that begin with `#`: no
//! name does. UTF-8, with or without a byte order mark; lines end with LF or CR LF.

use std::collections::BTreeMap;

use crate::proto::accounts::book::{Accounts, PutError};
use crate::proto::accounts::names::{Skeleton, UserNameError, skeleton, user_name};
use crate::proto::accounts::password::{Password, PasswordError};
use crate::proto::ids::Name;
use crate::proto::limits::{ACCOUNTS_MAX, CREDENTIALS_BYTES_MAX, FAULTS_SHOWN_MAX};

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// The line's number, from 1.
    pub line: usize,
    /// Whose.
    pub name: Name,
    /// The password.
    pub password: Password,
}

/// A line that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct Fault {
    /// Its number, from 1.
    pub line: usize,
    /// What is wrong.
    pub what: What,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum What {
    /// Bytes that are no text.
    #[error("it is no UTF-8 text")]
    NoText,
    /// The name of no user.
    #[error(transparent)]
    Name(#[from] UserNameError),
    /// Nothing after the name.
    #[error("there is no password after the name")]
    NoPassword,
    /// More than two words.
    #[error("there is more than a name and a password; give a password with blanks with 'user passwd'")]
    Blanks,
    /// Not to be used as a password.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// A line before it has the same name.
    #[error("line {0} has that name already")]
    Twice(usize),
    /// A line before it has a name that people would take for this one.
    #[error("the name is too much like '{0}' in line {1}")]
    LooksLike(Name, usize),
    /// People would take it for an account that there is.
    #[error("{}", PutError::LooksLike(*.0))]
    LooksLikeAccount(Name),
}

/// Why a text is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsError {
    /// Longer than its bound.
    #[error("the file has more than {CREDENTIALS_BYTES_MAX} bytes")]
    TooLong,
    /// More lines than there can be accounts.
    #[error("the file has more than {ACCOUNTS_MAX} accounts")]
    TooMany,
    /// Some lines are wrong.
    #[error("{count} lines are wrong")]
    Faults {
        /// The first of them.
        first: Vec<Fault>,
        /// How many there are.
        count: usize,
    },
}

/// Reads every line; `book` has the accounts that there are.
///
/// # Errors
/// All of [`CredentialsError`]: no account is made of a text that is not wholly right.
pub fn parse_credentials(bytes: &[u8], book: &Accounts) -> Result<Vec<Credential>, CredentialsError> {
    if bytes.len() > CREDENTIALS_BYTES_MAX {
        return Err(CredentialsError::TooLong);
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut lines: BTreeMap<Name, usize> = BTreeMap::new();
    let mut alike: BTreeMap<Skeleton, (Name, usize)> = BTreeMap::new();
    let (mut good, mut first, mut count) = (Vec::new(), Vec::new(), 0);
    for (index, bytes) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let line = index + 1;
        let read = parse_line(bytes).and_then(|parsed| {
            let Some((name, password)) = parsed else { return Ok(None) };
            let (same, first) = (*lines.entry(name).or_insert(line), alike.entry(skeleton(name)));
            let (other, before) = *first.or_insert((name, line));
            match book.looks_like(name) {
                _ if same != line => Err(What::Twice(same)),
                _ if before != line => Err(What::LooksLike(other, before)),
                Some(account) if account != name => Err(What::LooksLikeAccount(account)),
                _ => Ok(Some(Credential { line, name, password })),
            }
        });
        match read {
            Ok(None) => {}
            Ok(Some(_)) if good.len() >= ACCOUNTS_MAX => return Err(CredentialsError::TooMany),
            Ok(Some(credential)) => good.push(credential),
            Err(what) => {
                count += 1;
                if first.len() < FAULTS_SHOWN_MAX {
                    first.push(Fault { line, what });
                }
            }
        }
    }
    if count > 0 { Err(CredentialsError::Faults { first, count }) } else { Ok(good) }
}

fn parse_line(bytes: &[u8]) -> Result<Option<(Name, Password)>, What> {
    let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    let text = std::str::from_utf8(bytes).map_err(|_| What::NoText)?;
    if text.starts_with('#') {
        return Ok(None);
    }
    let mut words = text.split([' ', '\t']).filter(|word| !word.is_empty());
    let Some(name) = words.next() else { return Ok(None) };
    let name = user_name(name)?;
    let password = words.next().ok_or(What::NoPassword)?;
    match words.next() {
        Some(_) => Err(What::Blanks),
        None => Ok(Some((name, Password::prepare(password)?))),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::proto::accounts::verifier::Verifier;
    use crate::proto::ids::NameError;

    fn book() -> Accounts {
        Accounts::new([0; 32], Duration::ZERO)
    }

    fn parse(bytes: &[u8]) -> Result<Vec<Credential>, CredentialsError> {
        parse_credentials(bytes, &book())
    }

    fn read(text: &[u8]) -> Vec<(usize, String)> {
        let credentials = parse(text).unwrap();
        credentials.iter().map(|credential| (credential.line, credential.name.to_string())).collect()
    }

    fn faults(text: &[u8]) -> Vec<Fault> {
        match parse(text) {
            Err(CredentialsError::Faults { first, count }) => {
                assert_eq!(first.len(), count);
                first
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn lines_are_read_however_they_end() {
        let expected = [(1, "hans".to_owned()), (2, "yoda".to_owned())];
        for text in [
            "hans falcon*solo\nyoda wise@!man",
            "hans falcon*solo\nyoda wise@!man\n",
            "hans falcon*solo\r\nyoda wise@!man\r\n",
            "\u{feff}hans falcon*solo\nyoda wise@!man\n\n  \n",
            "  hans \t falcon*solo \nyoda\twise@!man\t\n# comment",
        ] {
            assert_eq!(read(text.as_bytes()), expected, "{text:?}");
            let passwords = parse(text.as_bytes()).unwrap();
            assert_eq!(passwords[0].password, Password::prepare("falcon*solo").unwrap());
            assert_eq!(passwords[1].password, Password::prepare("wise@!man").unwrap());
        }
        assert_eq!(read(b""), []);
        assert_eq!(read(b"# nobody\n\n"), []);
        assert_eq!(read(b"\n# two lines before\nalice #x"), [(3, "alice".to_owned())]);
    }

    #[test]
    fn each_wrong_line_is_named() {
        let long = "x".repeat(1 << 20);
        for (line, what) in [
            (&b"alice"[..], What::NoPassword),
            (b"alice ", What::NoPassword),
            (b"alice two words", What::Blanks),
            (b"alice \xff", What::NoText),
            (b"7 secret", What::Name(UserNameError::Number)),
            (b"guest-7 secret", What::Name(UserNameError::Guest)),
            (b"a/b secret", What::Name(UserNameError::Name(NameError::BadByte))),
            (b"a\0 secret", What::Name(UserNameError::Name(NameError::BadByte))),
            (b" # secret", What::Name(UserNameError::Name(NameError::BadByte))),
            (b"alice a\0b", What::Password(PasswordError::Control)),
            (b"alice a\rb", What::Password(PasswordError::Control)),
            (long.as_bytes(), What::Name(UserNameError::Name(NameError::TooLong(32)))),
            (&[b"alice ", long.as_bytes()].concat(), What::Password(PasswordError::TooLong)),
            (b"bob other", What::Twice(1)),
            (b"B0b other", What::LooksLike("bob".parse().unwrap(), 1)),
        ] {
            let text = [b"bob secret\n", line, b"\neve secret"].concat();
            assert_eq!(faults(&text), [Fault { line: 2, what }]);
        }
    }

    #[test]
    fn names_are_held_against_all_lines_before_and_all_accounts() {
        let name = |text: &str| -> Name { text.parse().unwrap() };
        let mut book = book();
        let verifier = Verifier::new(&Password::prepare("x").unwrap().salted(&[0; 16], 4096), [0; 16], 4096);
        book.put(name("hans"), verifier).unwrap();
        let text = b"bob x\nBob x\nbob x\nHans x\nhans x\nBob x\ndan\n";
        let Err(CredentialsError::Faults { first, count }) = parse_credentials(text, &book) else { panic!() };
        let like_hans = What::LooksLikeAccount(name("hans"));
        let expected = [
            (2, What::LooksLike(name("bob"), 1)),
            (3, What::Twice(1)),
            (4, like_hans),
            (5, What::LooksLike(name("Hans"), 4)),
            (6, What::Twice(2)),
            (7, What::NoPassword),
        ];
        assert_eq!(first, expected.map(|(line, what)| Fault { line, what }));
        assert_eq!(count, 6);
        let there = parse_credentials(b"hans x", &book).unwrap();
        assert_eq!(there[0].name, name("hans"), "who is there already may be named");
    }

    #[test]
    fn all_faults_are_counted_and_the_first_are_shown() {
        let text = "alice\n".repeat(FAULTS_SHOWN_MAX + 5);
        let Err(CredentialsError::Faults { first, count }) = parse(text.as_bytes()) else { panic!() };
        assert_eq!((first.len(), count), (FAULTS_SHOWN_MAX, FAULTS_SHOWN_MAX + 5));
        assert_eq!(first[2].to_string(), "line 3: there is no password after the name");
    }

    #[test]
    fn it_has_bounds() {
        let text = vec![b'\n'; CREDENTIALS_BYTES_MAX + 1];
        assert_eq!(parse(&text), Err(CredentialsError::TooLong));
        assert_eq!(parse(&text[1..]), Ok(Vec::new()));
        let lines = |count: usize| (0..count).map(|number| format!("u{number}_ x\n")).collect::<String>();
        // Numbers with 1 and 0 look like no other number.
        assert_eq!(parse(lines(ACCOUNTS_MAX).as_bytes()).unwrap().len(), ACCOUNTS_MAX);
        let more = lines(ACCOUNTS_MAX + 1);
        assert_eq!(parse(more.as_bytes()), Err(CredentialsError::TooMany));
    }

    #[test]
    fn no_fault_repeats_a_password() {
        for fault in faults(b"alice secret secret\nbob \xffsecret\neve secret\neve secret\ndan sec\x07ret") {
            assert!(!format!("{fault} {fault:?}").contains("secret"), "{fault:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }
    }
}
