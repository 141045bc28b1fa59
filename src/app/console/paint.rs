//! What to write to a terminal so that the line being typed stays the last one, and all else appears above it.
//! Writes nothing itself.

use crate::app::console::cells::{cells, cut, look, units};

/// Narrower than this, a terminal shows a shorter prompt.
const PROMPT_COLUMNS_MIN: usize = 24;

/// What is to be seen at the bottom.
#[derive(Clone, Copy, Debug)]
pub(super) struct View<'a> {
    /// How files come, in a line of its own.
    pub(super) status: Option<&'a str>,
    pub(super) prompt: &'a str,
    pub(super) text: &'a str,
    /// The cursor, in bytes of the text.
    pub(super) at: usize,
    pub(super) columns: usize,
}

/// What stands at the bottom of a terminal.
#[derive(Debug, Default)]
pub(super) struct Painter {
    /// What was written for it; nothing if nothing stands there.
    frame: String,
    /// Cells of the line above, and of what is left of the cursor.
    status_cells: Option<usize>,
    cursor_cells: usize,
}

impl Painter {
    /// Shows lines, each with its end, above the rest, and the rest as it is now.
    pub(super) fn paint(&mut self, above: &str, view: &View<'_>) -> String {
        let columns = view.columns.max(8);
        let prompt = if columns < PROMPT_COLUMNS_MIN { "> " } else { view.prompt };
        let (visible, left) = window(view, columns - 1 - cells(prompt).min(columns - 4));
        let status = view.status.map(|status| cut(status, columns - 1));
        let cursor_cells = cells(prompt) + left;
        let status_line = status.as_ref().map_or_else(String::new, |status| format!("{status}\n"));
        let frame = format!("{status_line}{prompt}{visible}\r\x1b[{cursor_cells}C");
        if above.is_empty() && frame == self.frame {
            return String::new();
        }
        let wiped = self.wipe(columns);
        let written = format!("{wiped}{above}{frame}");
        (self.frame, self.cursor_cells) = (frame, cursor_cells);
        self.status_cells = status.map(|status| cells(&status));
        written
    }

    /// Takes away what stands at the bottom.
    pub(super) fn wipe(&mut self, columns: usize) -> String {
        if self.frame.is_empty() {
            return String::new();
        }
        self.frame.clear();
        // A terminal that has become narrower has broken lines in two.
        let status_rows = self.status_cells.take().map_or(0, |cells| cells.div_ceil(columns).max(1));
        match status_rows + self.cursor_cells / columns {
            0 => "\r\x1b[J".to_owned(),
            rows => format!("\r\x1b[{rows}A\x1b[J"),
        }
    }

    /// Somebody else has taken it away.
    pub(super) fn forget(&mut self) {
        *self = Painter::default();
    }
}

/// The part of the text that fits, with the cursor in it, and how many cells are left of the cursor.
fn window(view: &View<'_>, room: usize) -> (String, usize) {
    let looks: Vec<_> = units(view.text).map(|(at, unit)| (at, look(unit))).collect();
    let cursor = looks.iter().take_while(|(at, _)| *at < view.at).count();
    let width = |looks: &[(usize, (_, usize))]| -> usize { looks.iter().map(|(_, (_, cells))| cells).sum() };
    let mut from = 0;
    if width(&looks) > room {
        // A third of the room stays behind the cursor, to see what comes there.
        let behind = width(&looks[cursor..]).min(room / 3);
        while from < cursor && width(&looks[from..cursor]) + behind > room {
            from += 1;
        }
    }
    let mut visible = String::new();
    let mut used = 0;
    for (_, (text, cells)) in &looks[from..] {
        if used + cells > room {
            break;
        }
        used += cells;
        visible.push_str(text);
    }
    (visible, width(&looks[from..cursor]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As much of a terminal as the painter needs: a grid that scrolls, a cursor that wraps late.
    struct Grid {
        columns: usize,
        rows: Vec<Vec<String>>,
        row: usize,
        column: usize,
    }

    impl Grid {
        fn new(columns: usize) -> Grid {
            Grid { columns, rows: vec![Vec::new()], row: 0, column: 0 }
        }

        fn write(&mut self, text: &str) {
            let mut rest = text;
            while let Some((_, unit)) = units(rest).next() {
                rest = &rest[unit.len()..];
                match unit {
                    "\r" => self.column = 0,
                    "\n" => (self.row, self.column) = (self.row + 1, 0),
                    "\x1b" => {
                        let end = rest.find(char::is_alphabetic).unwrap();
                        self.control(&rest[1..end], &rest[end..=end]);
                        rest = &rest[end + 1..];
                    }
                    unit => self.put(unit),
                }
                self.rows.resize(self.rows.len().max(self.row + 1), Vec::new());
            }
        }

        fn control(&mut self, number: &str, what: &str) {
            let number = number.parse().unwrap_or(1);
            match what {
                "A" => self.row = self.row.checked_sub(number).expect("it stays on the screen"),
                "C" => self.column = (self.column + number).min(self.columns - 1),
                "J" => {
                    self.rows.truncate(self.row + 1);
                    self.rows[self.row].truncate(self.column);
                }
                other => panic!("unknown: {other}"),
            }
        }

        fn put(&mut self, unit: &str) {
            let (text, cells) = look(unit);
            if self.column + cells > self.columns {
                (self.row, self.column) = (self.row + 1, 0);
                self.rows.resize(self.rows.len().max(self.row + 1), Vec::new());
            }
            let row = &mut self.rows[self.row];
            row.resize(row.len().max(self.column + cells), " ".to_owned());
            row[self.column] = text.into_owned();
            row[self.column + 1..self.column + cells].fill(String::new());
            self.column += cells;
        }

        fn text(&self) -> Vec<String> {
            self.rows.iter().map(|row| row.concat()).collect()
        }
    }

    fn view(text: &str, at: usize, columns: usize) -> View<'_> {
        View { status: None, prompt: "alice> ", text, at, columns }
    }

    #[test]
    fn what_comes_in_stands_above_what_is_typed() {
        let (mut grid, mut painter) = (Grid::new(40), Painter::default());
        grid.write(&painter.paint("", &view("", 0, 40)));
        grid.write(&painter.paint("", &view("hel", 3, 40)));
        grid.write(&painter.paint("bob: one\nbob: two\n", &view("hel", 3, 40)));
        assert_eq!(grid.text(), ["bob: one", "bob: two", "alice> hel"]);
        assert_eq!((grid.row, grid.column), (2, 10));
        assert_eq!(painter.paint("", &view("hel", 3, 40)), "", "nothing has changed");
        let status = View { status: Some("film.bin 50 %"), ..view("hel", 1, 40) };
        grid.write(&painter.paint("", &status));
        assert_eq!(grid.text()[2..], ["film.bin 50 %", "alice> hel"]);
        assert_eq!(grid.column, 8);
        grid.write(&painter.paint("bob: three\n", &status));
        assert_eq!(grid.text()[2..], ["bob: three", "film.bin 50 %", "alice> hel"]);
        grid.write(&painter.paint("a line that is longer than the screen is wide: xxx\n", &view("", 0, 40)));
        assert_eq!(grid.text().last().unwrap(), "alice> ");
        grid.write(&painter.wipe(40));
        assert_eq!(grid.text().last().unwrap(), "");
        assert_eq!(painter.wipe(40), "");
    }

    #[test]
    fn a_long_line_shows_the_part_with_the_cursor() {
        let text = "0123456789".repeat(10);
        let (mut grid, mut painter) = (Grid::new(30), Painter::default());
        let mut under = |at: usize| {
            grid.write(&painter.paint("", &view(&text, at, 30)));
            assert_eq!(grid.text().len(), 1, "it stays one line");
            let line = grid.text()[0].clone();
            (line[grid.column..].chars().next(), line.len())
        };
        for at in (0..100).chain((0..100).rev()) {
            let digit = char::from_digit(at as u32 % 10, 10);
            assert_eq!(under(at).0, digit, "{at}");
            assert!(under(at).1 < 30);
        }
        assert_eq!(under(100).0, None);
    }

    #[test]
    fn wide_characters_and_controls_take_their_cells() {
        let text = "日本語\n\u{202e}e\u{301}".repeat(9);
        for columns in [8, 20, 33, 80] {
            let (mut grid, mut painter) = (Grid::new(columns), Painter::default());
            for (at, _) in units(&text) {
                grid.write(&painter.paint("", &view(&text, at, columns)));
                assert_eq!(grid.rows.len(), 1, "{columns}");
                assert!(!grid.text()[0].contains('\u{202e}'));
            }
        }
    }

    #[test]
    fn a_terminal_that_became_narrower_is_cleared_whole() {
        let mut painter = Painter::default();
        painter.paint("", &View { status: Some("x".repeat(70).as_str()), ..view("0123456789", 10, 80) });
        // 70 cells are 4 rows of 20, and the cursor stands in the first row of its line.
        assert!(painter.paint("", &view("0123456789", 10, 20)).starts_with("\r\x1b[4A\x1b[J"));
        painter.forget();
        assert!(painter.paint("", &view("", 0, 20)).starts_with("> "));
    }
}
