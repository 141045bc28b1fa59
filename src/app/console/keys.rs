//! Bytes of a terminal as keys. Reads nothing and knows no time: its owner says when nothing more has come
//! for a while.

use termina::event::{KeyCode, KeyEvent, KeyEventKind, Modifiers};
use termina::{Event, Parser};

use crate::proto::limits::EDITED_BYTES_MAX;

/// What was pressed, by what it means for a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Char(char),
    Paste(String),
    /// A paste that was longer than any line.
    PasteTooLong,
    Enter,
    Tab,
    Left,
    Right,
    WordLeft,
    WordRight,
    Home,
    End,
    Up,
    Down,
    Backspace,
    Delete,
    DeleteWordLeft,
    DeleteWordRight,
    DeleteToStart,
    DeleteToEnd,
    /// Brings back what was deleted last.
    Yank,
    CtrlC,
    CtrlD,
    CtrlL,
    CtrlZ,
}

const PASTE_BEGINS: &[u8] = b"\x1b[200~";
const PASTE_ENDS: &[u8] = b"\x1b[201~";

/// Puts keys together.
#[derive(Debug, Default)]
pub(super) struct Keys {
    parser: Parser,
    inside: Inside,
    /// The last bytes.
    tail: [u8; 6],
}

/// What has begun and is not whole.
#[derive(Debug, Default, PartialEq, Eq)]
enum Inside {
    #[default]
    Nothing,
    Sequence,
    Paste {
        bytes: usize,
    },
    /// A paste that is too long is passed over to its end: none of it may be taken for keys.
    LongPaste,
}

impl Keys {
    /// Takes the next byte.
    pub(super) fn feed(&mut self, byte: u8) -> Option<Key> {
        self.tail.rotate_left(1);
        self.tail[5] = byte;
        if self.inside == Inside::LongPaste {
            if self.tail == PASTE_ENDS {
                self.inside = Inside::Nothing;
            }
            return None;
        }
        self.parser.parse(&[byte], true);
        if let Some(event) = self.parser.pop() {
            self.inside = Inside::Nothing;
            return key(event);
        }
        self.inside = match self.inside {
            Inside::Paste { bytes } if bytes >= EDITED_BYTES_MAX + PASTE_ENDS.len() => {
                self.parser = Parser::default();
                self.inside = Inside::LongPaste;
                return Some(Key::PasteTooLong);
            }
            Inside::Paste { bytes } => Inside::Paste { bytes: bytes + 1 },
            _ if self.tail == PASTE_BEGINS => Inside::Paste { bytes: 0 },
            _ => Inside::Sequence,
        };
        None
    }

    /// Something has begun, and the rest of it should come at once. A paste may take its time.
    pub(super) fn is_inside(&self) -> bool {
        self.inside == Inside::Sequence
    }

    /// The rest did not come: a lone Escape, or what no terminal sends. Neither means anything here.
    pub(super) fn give_up(&mut self) {
        if self.is_inside() {
            self.parser = Parser::default();
            self.inside = Inside::Nothing;
        }
    }
}

fn key(event: Event) -> Option<Key> {
    match event {
        Event::Paste(text) => Some(Key::Paste(text)),
        Event::Key(KeyEvent {
            code, modifiers, kind: KeyEventKind::Press | KeyEventKind::Repeat, ..
        }) => {
            let modifiers = modifiers - Modifiers::SHIFT;
            if modifiers.is_empty() {
                plain(code)
            } else if modifiers == Modifiers::CONTROL {
                control(code)
            } else if modifiers == Modifiers::ALT {
                alt(code)
            } else {
                None
            }
        }
        _ => None,
    }
}

fn plain(code: KeyCode) -> Option<Key> {
    Some(match code {
        // C1 controls are characters to the parser.
        KeyCode::Char(character) if !character.is_control() => Key::Char(character),
        KeyCode::Enter => Key::Enter,
        KeyCode::Tab => Key::Tab,
        KeyCode::Backspace => Key::Backspace,
        KeyCode::Delete => Key::Delete,
        KeyCode::Left => Key::Left,
        KeyCode::Right => Key::Right,
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::Home => Key::Home,
        KeyCode::End => Key::End,
        _ => return None,
    })
}

fn control(code: KeyCode) -> Option<Key> {
    Some(match code {
        KeyCode::Char('a') => Key::Home,
        KeyCode::Char('b') => Key::Left,
        KeyCode::Char('c') => Key::CtrlC,
        KeyCode::Char('d') => Key::CtrlD,
        KeyCode::Char('e') => Key::End,
        KeyCode::Char('f') => Key::Right,
        KeyCode::Char('h') => Key::Backspace,
        // A line end that comes from a program.
        KeyCode::Char('j') => Key::Enter,
        KeyCode::Char('k') => Key::DeleteToEnd,
        KeyCode::Char('l') => Key::CtrlL,
        KeyCode::Char('n') => Key::Down,
        KeyCode::Char('p') => Key::Up,
        KeyCode::Char('u') => Key::DeleteToStart,
        KeyCode::Char('w') => Key::DeleteWordLeft,
        KeyCode::Char('y') => Key::Yank,
        KeyCode::Char('z') => Key::CtrlZ,
        KeyCode::Left => Key::WordLeft,
        KeyCode::Right => Key::WordRight,
        _ => return None,
    })
}

fn alt(code: KeyCode) -> Option<Key> {
    Some(match code {
        KeyCode::Char('b') | KeyCode::Left => Key::WordLeft,
        KeyCode::Char('f') | KeyCode::Right => Key::WordRight,
        KeyCode::Char('d') => Key::DeleteWordRight,
        KeyCode::Backspace => Key::DeleteWordLeft,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Keys {
        /// Takes some bytes.
        pub(in crate::app::console) fn feed_all(&mut self, bytes: &[u8]) -> impl Iterator<Item = Key> {
            let mut rest = bytes.iter();
            std::iter::from_fn(move || rest.find_map(|byte| self.feed(*byte)))
        }
    }

    fn keys(bytes: &[u8]) -> Vec<Key> {
        Keys::default().feed_all(bytes).collect()
    }

    #[test]
    fn each_key_is_known_however_it_comes() {
        for (bytes, expected) in [
            (&b"a"[..], Key::Char('a')),
            ("É".as_bytes(), Key::Char('É')),
            ("👍".as_bytes(), Key::Char('👍')),
            (b"\r", Key::Enter),
            (b"\n", Key::Enter),
            (b"\t", Key::Tab),
            (b"\x7f", Key::Backspace),
            (b"\x08", Key::Backspace),
            (b"\x1b[D", Key::Left),
            (b"\x1bOD", Key::Left),
            (b"\x1b[1;5D", Key::WordLeft),
            (b"\x1bb", Key::WordLeft),
            (b"\x1b[1;5C", Key::WordRight),
            (b"\x1b[H", Key::Home),
            (b"\x1b[1~", Key::Home),
            (b"\x01", Key::Home),
            (b"\x1b[4~", Key::End),
            (b"\x1b[3~", Key::Delete),
            (b"\x1bd", Key::DeleteWordRight),
            (b"\x1b\x7f", Key::DeleteWordLeft),
            (b"\x03", Key::CtrlC),
            (b"\x04", Key::CtrlD),
            (b"\x1a", Key::CtrlZ),
            ("\x1b[200~a\nb\tü\x1b[D\x1b[201~".as_bytes(), Key::Paste("a\nb\tü\x1b[D".to_owned())),
        ] {
            assert_eq!(keys(bytes), std::slice::from_ref(&expected), "{bytes:?}");
            let mut keys = Keys::default();
            for byte in &bytes[..bytes.len() - 1] {
                assert_eq!(keys.feed(*byte), None, "{bytes:?}");
                assert!(keys.inside != Inside::Nothing);
            }
            assert_eq!(keys.feed(bytes[bytes.len() - 1]), Some(expected));
            assert!(!keys.is_inside());
        }
    }

    #[test]
    fn a_lone_escape_and_what_never_ends_are_given_up() {
        for begun in [&b"\x1b"[..], b"\x1b]", b"\x1bP", b"\x1b[", b"\x1b[1;", b"\xc3", b"\xff"] {
            let mut keys = Keys::default();
            assert_eq!(keys.feed_all(begun).count(), 0);
            assert!(keys.is_inside(), "{begun:?}");
            keys.give_up();
            assert!(!keys.is_inside());
            assert_eq!(keys.feed(b'x'), Some(Key::Char('x')), "{begun:?}");
        }
    }

    #[test]
    fn what_a_terminal_says_of_itself_is_no_key() {
        for bytes in [&b"\x1b[I"[..], b"\x1b[?1;2c", b"\x1b[24;80R", b"\x1b[15~", b"\x1bx", b"\xc2\x9b"] {
            let mut more = bytes.to_vec();
            more.push(b'x');
            assert_eq!(keys(&more), [Key::Char('x')], "{bytes:?}");
        }
    }

    #[test]
    fn a_paste_takes_its_time_and_has_a_bound() {
        let mut keys = Keys::default();
        assert_eq!(keys.feed_all(b"\xff\x1b[200~one").count(), 0);
        assert!(!keys.is_inside());
        keys.give_up();
        let rest: Vec<Key> = keys.feed_all(b" two\x1b[201~x").collect();
        assert_eq!(rest, [Key::Paste("one two".to_owned()), Key::Char('x')]);
        let mut long = b"\x1b[200~".to_vec();
        long.extend(vec![b'\n'; 3 * EDITED_BYTES_MAX]);
        long.extend(b"\x1b[201~x");
        assert_eq!(keys.feed_all(&long).collect::<Vec<_>>(), [Key::PasteTooLong, Key::Char('x')]);
    }
}
