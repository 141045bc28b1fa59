//! The line that shows how files come and go, while they do. Draws nothing itself.

use std::collections::VecDeque;
use std::time::Duration;

use crate::app::summary::{bytes, count};
use crate::proto::peer::{FileState, FileStatus};
use crate::proto::text::Shown;
use crate::proto::time::{Mono, SECOND_NS};
use crate::proto::upload::{UploadState, UploadStatus};

/// How often the line is drawn anew.
pub(super) const PERIOD: Duration = Duration::from_millis(250);
/// Characters of the bar.
const BAR_CHARS: u64 = 24;
/// Characters of a name: the rest has to fit a narrow terminal.
const NAME_CHARS: usize = 20;

/// What both ends do: a file that comes, and what goes to others of it.
#[derive(Debug, Default)]
pub(super) struct Pace {
    coming: Rate,
    going: Rate,
}

impl Pace {
    /// How a file comes.
    pub(super) fn get_line(&mut self, file: &FileStatus, sent: u64, now: Mono) -> String {
        let name = short(&file.name);
        let going = self.going.of(sent, now);
        let Some(total) = file.bytes else { return format!("{name}: looking for somebody who has it") };
        let doing = match file.state {
            FileState::Checking => {
                let (read, chunks) = (file.chunks_stored, count(file.chunks, "chunk"));
                return format!("{name}: reading what is here already, {read} of {chunks}");
            }
            FileState::Waiting => "the disk refuses it; trying again".to_owned(),
            FileState::Storing => "bringing it to disk".to_owned(),
            FileState::Fetching if file.sources == 0 => "nobody is there who has the rest".to_owned(),
            FileState::Fetching => {
                let rate = self.coming.of(file.bytes_stored, now);
                let left = time_left(total - file.bytes_stored, rate);
                format!("{}/s{left}, from {}", bytes(rate), count(file.sources as u64, "source"))
            }
            FileState::Whole => "here".to_owned(),
        };
        let sent =
            if sent > 0 { format!(", {} sent ({}/s)", bytes(sent), bytes(going)) } else { String::new() };
        format!("{name} {}, {doing}{sent}", gauge(file.bytes_stored, total))
    }

    /// How files go.
    pub(super) fn share_line(&mut self, files: &[FileStatus], sent: u64, links: usize, now: Mono) -> String {
        let going = self.going.of(sent, now);
        if let Some(file) = files.iter().find(|file| file.state == FileState::Checking) {
            let (name, read) = (short(&file.name), file.chunks_stored);
            return format!("{name}: reading, {read} of {}", count(file.chunks, "chunk"));
        }
        let shared = count(files.len() as u64, "file");
        let links = count(links as u64, "link");
        format!("sharing {shared}, {links}, {} sent ({}/s)", bytes(sent), bytes(going))
    }

    /// How files go to a drop box.
    pub(super) fn upload_line(&mut self, files: &[UploadStatus], load: &Load, now: Mono) -> String {
        let rate = self.going.of(load.sent, now);
        let name = match files {
            [file] => short(&Shown(&file.name).to_string()),
            _ => format!("{} of {}", load.ended, count(files.len() as u64, "file")),
        };
        let is_any = |state: &UploadState| files.iter().any(|file| file.state == *state);
        let doing = if is_any(&UploadState::Sending) {
            format!("{}/s{}", bytes(rate), time_left(load.total - load.sent, rate))
        } else if is_any(&UploadState::Closing) {
            "waiting for the server to store it".to_owned()
        } else {
            "waiting for the server".to_owned()
        };
        format!("{name} {}, {doing}", gauge(load.sent, load.total))
    }
}

/// A bar, and how much of what it is in figures.
fn gauge(done: u64, total: u64) -> String {
    let part = |of: u64| match total {
        0 => of,
        _ => (u128::from(done) * u128::from(of) / u128::from(total)) as u64,
    };
    let filled = "#".repeat(part(BAR_CHARS) as usize);
    format!("[{filled:.<24}] {}% of {}", part(100), bytes(total))
}

/// How long the rest takes, if that can be said.
fn time_left(rest: u64, rate: u64) -> String {
    rest.checked_div(rate).map_or_else(String::new, |left| format!(", {} left", clock(left)))
}

/// How far files to a drop box are, together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Load {
    /// Files that are there, or never will be.
    pub(super) ended: usize,
    /// Those of them that are there.
    pub(super) done: usize,
    /// Bytes that have gone.
    pub(super) sent: u64,
    /// The same, and those that still will.
    pub(super) total: u64,
}

impl Load {
    /// `sizes` are those that the files had before anybody opened them.
    pub(super) fn of(files: &[UploadStatus], sizes: &[u64]) -> Load {
        let mut load = Load::default();
        for (file, size) in files.iter().zip(sizes) {
            let is_done = file.state == UploadState::Done;
            let has_failed = matches!(file.state, UploadState::Failed(_));
            load.done += usize::from(is_done);
            load.ended += usize::from(is_done || has_failed);
            load.sent += file.bytes_sent;
            load.total += if has_failed { file.bytes_sent } else { file.bytes.unwrap_or(*size) };
        }
        load
    }
}

/// The end of a long name, which tells more files apart than its beginning.
fn short(name: &str) -> String {
    match name.chars().count().checked_sub(NAME_CHARS) {
        Some(over @ 1..) => format!("…{}", name.chars().skip(over + 1).collect::<String>()),
        _ => name.to_owned(),
    }
}

fn clock(seconds: u64) -> String {
    match seconds {
        0..3600 => format!("{}:{:02}", seconds / 60, seconds % 60),
        _ => format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60),
    }
}

/// How fast something grows, from what it was a few seconds ago.
#[derive(Debug, Default)]
pub(super) struct Rate {
    seen: VecDeque<(Mono, u64)>,
}

impl Rate {
    /// Looks back this far.
    const WINDOW: Duration = Duration::from_secs(3);

    /// In bytes a second.
    pub(super) fn of(&mut self, done: u64, now: Mono) -> u64 {
        self.seen.push_back((now, done));
        while self.seen.len() > 2 && now - self.seen[1].0 >= Rate::WINDOW {
            self.seen.pop_front();
        }
        let (then, before) = self.seen[0];
        let elapsed_ns = now.since_ns(then).max(1);
        (u128::from(done.saturating_sub(before)) * u128::from(SECOND_NS) / u128::from(elapsed_ns)) as u64
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::proto::swarm::Accounts;
    use crate::proto::upload::UploadTrouble;

    pub(in crate::app) fn file(state: FileState, stored: u64) -> FileStatus {
        FileStatus {
            name: "film.bin".to_owned(),
            state,
            bytes: Some(100_000_000),
            root: None,
            chunks: 100,
            chunks_stored: stored,
            bytes_stored: stored * 1_000_000,
            bytes_fetched: 0,
            bytes_wasted: 0,
            wire_bytes_fetched: 0,
            bytes_sent: 0,
            accounts: Accounts::default(),
            refusals: 0,
            sources: 1,
            is_offered: false,
            trouble: None,
        }
    }

    fn at(second: u64) -> Mono {
        Mono(second * SECOND_NS)
    }

    #[test]
    fn a_rate_is_that_of_the_last_seconds() {
        let mut rate = Rate::default();
        assert_eq!(rate.of(0, at(0)), 0);
        for second in 1..10 {
            assert_eq!(rate.of(second * 100, at(second)), 100);
        }
        for second in 10..14 {
            rate.of(900 + (second - 9) * 500, at(second));
        }
        assert_eq!(rate.of(900 + 5 * 500, at(14)), 500);
    }

    #[test]
    fn a_line_tells_both_ends() {
        let mut pace = Pace::default();
        let mut line = |state, stored, sent, second| pace.get_line(&file(state, stored), sent, at(second));
        let start = line(FileState::Fetching, 0, 0, 1);
        assert_eq!(start, "film.bin [........................] 0% of 100.0 MB, 0 B/s, from 1 source");
        let middle = line(FileState::Fetching, 50, 7_000_000, 2);
        assert_eq!(
            middle,
            "film.bin [############............] 50% of 100.0 MB, 50.0 MB/s, 0:01 left, from 1 source, 7.0 MB sent (7.0 MB/s)"
        );
        let checking = line(FileState::Checking, 30, 0, 3);
        assert_eq!(checking, "film.bin: reading what is here already, 30 of 100 chunks");
        assert!(line(FileState::Storing, 100, 0, 4).ends_with("100% of 100.0 MB, bringing it to disk"));
    }

    #[test]
    fn who_shares_sees_what_is_read_and_then_what_is_sent() {
        let mut pace = Pace::default();
        let reading = pace.share_line(&[file(FileState::Checking, 1)], 0, 0, at(1));
        assert_eq!(reading, "film.bin: reading, 1 of 100 chunks");
        let sharing = pace.share_line(&[file(FileState::Whole, 100)], 5_000, 1, at(2));
        assert_eq!(sharing, "sharing 1 file, 1 link, 5.0 kB sent (5.0 kB/s)");
    }

    #[test]
    fn who_uploads_sees_all_files_together() {
        let file = |name: &str, bytes: Option<u64>, bytes_sent, state| UploadStatus {
            name: name.to_owned(),
            bytes,
            bytes_sent,
            state,
            took: Duration::ZERO,
        };
        let trouble = UploadState::Failed(UploadTrouble::ServerRefused);
        let mut pace = Pace::default();
        let one = [file("f\u{1b}lm", None, 0, UploadState::Asking)];
        let asking = pace.upload_line(&one, &Load::of(&one, &[5000]), at(1));
        assert_eq!(asking, "f\\u{1b}lm [........................] 0% of 5.0 kB, waiting for the server");
        let several = [
            file("a", Some(1000), 1000, UploadState::Done),
            file("b", Some(9000), 0, trouble),
            file("c", Some(9000), 4000, UploadState::Sending),
            file("d", None, 0, UploadState::Waiting),
        ];
        let load = Load::of(&several, &[1000, 9000, 8000, 10_000]);
        assert_eq!(load, Load { ended: 2, done: 1, sent: 5000, total: 20_000 });
        let line = pace.upload_line(&several, &load, at(2));
        assert_eq!(line, "2 of 4 files [######..................] 25% of 20.0 kB, 5.0 kB/s, 0:03 left");
        let last = [file("d", Some(5), 5, UploadState::Closing)];
        let closing = pace.upload_line(&last, &Load::of(&last, &[5]), at(3));
        assert!(closing.ends_with("100% of 5 B, waiting for the server to store it"), "{closing}");
    }

    #[test]
    fn long_names_and_times_stay_short() {
        assert_eq!(short("film.bin"), "film.bin");
        let long = short(&"x".repeat(128));
        assert_eq!(long.chars().count(), NAME_CHARS);
        assert_eq!(short(&"é".repeat(21)), format!("…{}", "é".repeat(19)));
        assert_eq!([59, 61, 3600 + 61].map(clock), ["0:59", "1:01", "1:01:01"]);
    }
}
