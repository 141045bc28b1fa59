//! The line that is being typed: text, cursor, what was deleted last, the way through the history. Paints
//! nothing and sends nothing.

use crate::app::console::cells::{after, before};
use crate::app::console::keys::Key;
use crate::proto::limits::EDITED_BYTES_MAX;

/// What is being typed.
#[derive(Debug, Default)]
pub(super) struct Editor {
    text: String,
    /// The cursor, in bytes.
    at: usize,
    /// What was deleted last.
    deleted: String,
    /// The line of the history that is shown, and what was being typed before.
    past: Option<(usize, String)>,
}

/// What a key led to, beyond the text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Act {
    Nothing,
    /// It cannot be done.
    Bell,
    /// Enter: what was typed; several lines, if they were pasted.
    Entered(String),
    /// Tab: complete what stands before the cursor.
    Complete,
    /// Ctrl-C, and whether there was something to clear.
    Cleared(bool),
    /// Ctrl-D on an empty line.
    Leave,
    Repaint,
    Suspend,
}

impl Editor {
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The cursor, in bytes of the text.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Does what a key means. `history` has the oldest line first.
    pub(super) fn press(&mut self, key: Key, history: &[String]) -> Act {
        match key {
            Key::Char(character) => return self.insert(character.encode_utf8(&mut [0; 4])),
            Key::Paste(text) => return self.insert(&pasted(&text)),
            Key::PasteTooLong => return Act::Bell,
            Key::Enter => {
                self.past = None;
                self.at = 0;
                return Act::Entered(std::mem::take(&mut self.text));
            }
            Key::Tab => return Act::Complete,
            Key::CtrlC => {
                let cleared = !self.text.is_empty();
                *self = Editor { deleted: std::mem::take(&mut self.deleted), ..Editor::default() };
                return Act::Cleared(cleared);
            }
            Key::CtrlD if self.text.is_empty() => return Act::Leave,
            Key::CtrlL => return Act::Repaint,
            Key::CtrlZ => return Act::Suspend,
            Key::Left => self.at = before(&self.text, self.at),
            Key::Right => self.at = after(&self.text, self.at),
            Key::WordLeft => self.at = self.word_left(),
            Key::WordRight => self.at = self.word_right(),
            Key::Home => self.at = 0,
            Key::End => self.at = self.text.len(),
            Key::Up => return self.go_back(history),
            Key::Down => return self.go_forward(history),
            // One character is not worth keeping.
            Key::Backspace => {
                let from = before(&self.text, self.at);
                self.text.drain(from..self.at);
                self.at = from;
            }
            Key::Delete | Key::CtrlD => drop(self.text.drain(self.at..after(&self.text, self.at))),
            Key::DeleteWordLeft => self.delete(self.word_left(), self.at),
            Key::DeleteWordRight => self.delete(self.at, self.word_right()),
            Key::DeleteToStart => self.delete(0, self.at),
            Key::DeleteToEnd => self.delete(self.at, self.text.len()),
            Key::Yank => {
                let deleted = self.deleted.clone();
                return self.insert(&deleted);
            }
        }
        Act::Nothing
    }

    /// Puts a text where the cursor is, all of it or nothing.
    pub(super) fn insert(&mut self, text: &str) -> Act {
        if self.text.len() + text.len() > EDITED_BYTES_MAX {
            return Act::Bell;
        }
        self.text.insert_str(self.at, text);
        self.at += text.len();
        Act::Nothing
    }

    /// Replaces what stands between `from` and the cursor.
    pub(super) fn replace(&mut self, from: usize, text: &str) -> Act {
        if self.text.len() - (self.at - from) + text.len() > EDITED_BYTES_MAX {
            return Act::Bell;
        }
        self.text.replace_range(from..self.at, text);
        self.at = from + text.len();
        Act::Nothing
    }

    fn delete(&mut self, from: usize, to: usize) {
        if from < to {
            self.deleted = self.text.drain(from..to).collect();
            self.at = from;
        }
    }

    fn word_left(&self) -> usize {
        let words = self.text[..self.at].trim_end_matches(|c: char| !c.is_alphanumeric());
        words.trim_end_matches(char::is_alphanumeric).len()
    }

    fn word_right(&self) -> usize {
        let rest = self.text[self.at..].trim_start_matches(|c: char| !c.is_alphanumeric());
        self.text.len() - rest.trim_start_matches(char::is_alphanumeric).len()
    }

    fn go_back(&mut self, history: &[String]) -> Act {
        let place = self.past.as_ref().map_or(history.len(), |(place, _)| (*place).min(history.len()));
        let Some(place) = place.checked_sub(1) else { return Act::Bell };
        let typed = match self.past.take() {
            Some((_, typed)) => typed,
            None => std::mem::take(&mut self.text),
        };
        self.past = Some((place, typed));
        self.show(history[place].clone());
        Act::Nothing
    }

    fn go_forward(&mut self, history: &[String]) -> Act {
        let Some((place, typed)) = self.past.take() else { return Act::Bell };
        match history.get(place + 1) {
            Some(line) => {
                self.past = Some((place + 1, typed));
                self.show(line.clone());
            }
            None => self.show(typed),
        }
        Act::Nothing
    }

    fn show(&mut self, text: String) {
        self.at = text.len();
        self.text = text;
    }
}

/// Line ends of one kind, and none at the end: Enter sends it. Other controls stand for blanks.
fn pasted(text: &str) -> String {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let text = text.trim_end_matches('\n');
    text.chars().map(|c| if c != '\n' && c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::console::keys::Keys;

    /// Types bytes; returns the text with `|` for the cursor, and what the last key led to.
    fn typed(editor: &mut Editor, bytes: &str, history: &[String]) -> (String, Act) {
        let mut last = Act::Nothing;
        for key in Keys::default().feed_all(bytes.as_bytes()) {
            last = editor.press(key, history);
        }
        let mut text = editor.text.clone();
        text.insert(editor.at, '|');
        (text, last)
    }

    fn fresh(bytes: &str) -> String {
        typed(&mut Editor::default(), bytes, &[]).0
    }

    #[test]
    fn the_cursor_goes_by_characters_and_words() {
        for (bytes, expected) in [
            ("abc\x1b[D\x1b[DX", "aX|bc"),
            ("日e\u{301}\x02\x02x", "x|日e\u{301}"),
            ("message bob hi\x1bb\x1bb", "message |bob hi"),
            ("message bob hi\x01\x1bf\x1bf", "message bob| hi"),
            ("abc\x01X\x05Y", "XabcY|"),
            ("a\x1b[C\x1b[C", "a|"),
            ("\x02\x1bb", "|"),
        ] {
            assert_eq!(fresh(bytes), expected, "{bytes:?}");
        }
    }

    #[test]
    fn what_is_deleted_can_be_brought_back() {
        for (bytes, expected) in [
            ("ae\u{301}\x7f", "a|"),
            ("\x7f", "|"),
            ("abc\x01\x1b[3~", "|bc"),
            ("abc\x01\x04", "|bc"),
            ("message bob hi\x17\x17", "message |"),
            ("message bob hi\x17\x19\x19", "message bob hihi|"),
            ("one two\x1bb\x0b\x01\x19", "two|one "),
            ("one two\x1bb\x15", "|two"),
            ("one two\x01\x1bd", "| two"),
            ("%bob%\x17", "%|"),
        ] {
            assert_eq!(fresh(bytes), expected, "{bytes:?}");
        }
    }

    #[test]
    fn the_history_keeps_what_was_being_typed() {
        let history = ["one".to_owned(), "two".to_owned()];
        let mut editor = Editor::default();
        assert_eq!(typed(&mut editor, "new\x1b[A", &history), ("two|".to_owned(), Act::Nothing));
        assert_eq!(typed(&mut editor, "\x1b[A", &history).0, "one|");
        assert_eq!(typed(&mut editor, "\x1b[A", &history), ("one|".to_owned(), Act::Bell));
        assert_eq!(typed(&mut editor, "x\x1b[B", &history).0, "two|");
        assert_eq!(typed(&mut editor, "\x1b[B", &history), ("new|".to_owned(), Act::Nothing));
        assert_eq!(typed(&mut editor, "\x1b[B", &history), ("new|".to_owned(), Act::Bell));
        // A history that has become shorter meanwhile.
        typed(&mut editor, "\x1b[A", &history);
        assert_eq!(typed(&mut editor, "\x1b[A", &[]).1, Act::Bell);
    }

    #[test]
    fn keys_that_are_no_text() {
        let mut editor = Editor::default();
        assert_eq!(typed(&mut editor, "\x04", &[]).1, Act::Leave);
        assert_eq!(typed(&mut editor, "\x03", &[]).1, Act::Cleared(false));
        assert_eq!(typed(&mut editor, "abc\x03", &[]), ("|".to_owned(), Act::Cleared(true)));
        assert_eq!(typed(&mut editor, "abc\x1b[D\r", &[]), ("|".to_owned(), Act::Entered("abc".to_owned())));
        assert_eq!(typed(&mut editor, "\t", &[]).1, Act::Complete);
    }

    #[test]
    fn a_paste_waits_for_enter_and_has_its_bound() {
        let mut editor = Editor::default();
        let paste = "\x1b[200~one\r\ntwo\tx\nthree\n\x1b[201~";
        assert_eq!(typed(&mut editor, paste, &[]), ("one\ntwo x\nthree|".to_owned(), Act::Nothing));
        assert_eq!(typed(&mut editor, "\r", &[]).1, Act::Entered("one\ntwo x\nthree".to_owned()));
        assert_eq!(editor.insert(&"x".repeat(EDITED_BYTES_MAX)), Act::Nothing);
        assert_eq!(typed(&mut editor, "y", &[]).1, Act::Bell);
        assert_eq!(editor.text.len(), EDITED_BYTES_MAX);
        assert_eq!((editor.replace(0, "short"), editor.text()), (Act::Nothing, "short"));
    }
}
