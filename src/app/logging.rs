//! Where log records go: standard error, or a file that rotates by size. One record is one line
//! and one write. Never stalls the loop for long and never ends it.

use std::fs::OpenOptions;
use std::io::{self, LineWriter, Write};
use std::path::PathBuf;

use anyhow::{Context, Result};
use file_rotate::compression::Compression;
use file_rotate::suffix::AppendCount;
use file_rotate::{ContentLimit, FileRotate};
use log::LevelFilter;
use simplelog::{Config, ConfigBuilder, WriteLogger};

use crate::app::terminal::LogToStderr;

/// What is logged, and where.
#[derive(Debug)]
pub(super) struct LogOptions {
    pub(super) level: LevelFilter,
    /// `None`: standard error.
    pub(super) file: Option<PathBuf>,
    /// A file of this size is followed by a new one.
    pub(super) bytes_max: u64,
    /// Old files that are kept.
    pub(super) keep: usize,
}

impl LogOptions {
    pub(super) fn stderr(level: LevelFilter) -> LogOptions {
        LogOptions { level, file: None, bytes_max: u64::MAX, keep: 0 }
    }
}

/// Starts logging.
///
/// # Errors
/// If the file cannot be opened.
pub(super) fn start(options: &LogOptions) -> Result<()> {
    match &options.file {
        None => WriteLogger::init(options.level, config(), LineWriter::with_capacity(4096, LogToStderr))?,
        Some(path) => {
            let file = RotatingFile::open(path.clone(), options.bytes_max, options.keep)
                .with_context(|| format!("cannot log into {}", path.display()))?;
            WriteLogger::init(options.level, config(), LineWriter::with_capacity(4096, file))?;
        }
    }
    Ok(())
}

/// `2026-11-21T02:53:00.123456789Z [INFO] event key=value ...`
fn config() -> Config {
    ConfigBuilder::new()
        .set_time_format_rfc3339()
        .set_thread_level(LevelFilter::Off)
        .set_target_level(LevelFilter::Off)
        .set_location_level(LevelFilter::Off)
        .build()
}

/// A log file that makes room by itself: at its bound it becomes `NAME.1`, the former `NAME.1`
/// becomes `NAME.2`, and so on. A record is never split between two files.
struct RotatingFile {
    file: FileRotate<AppendCount>,
    written_bytes: u64,
    bytes_max: u64,
}

impl RotatingFile {
    fn open(path: PathBuf, bytes_max: u64, keep: usize) -> io::Result<RotatingFile> {
        // The rotating writer reports no errors, so they have to be found before it is made.
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let written_bytes = OpenOptions::new().create(true).append(true).open(&path)?.metadata()?.len();
        let suffix = AppendCount::new(keep);
        let file = FileRotate::new(path, suffix, ContentLimit::None, Compression::None, None);
        Ok(RotatingFile { file, written_bytes, bytes_max })
    }
}

impl Write for RotatingFile {
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        if self.written_bytes > 0 && self.written_bytes + record.len() as u64 > self.bytes_max {
            // If it cannot rotate, the file grows: a long log is better than none.
            let _ = self.file.rotate();
            self.written_bytes = 0;
        }
        self.file.write_all(record)?;
        self.written_bytes += record.len() as u64;
        Ok(record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_rotates_whole_records_and_keeps_its_number() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("logs/tickmesh.log");
        let mut log = LineWriter::new(RotatingFile::open(path.clone(), 4096, 2).unwrap());
        for number in 0..1000 {
            // In pieces, as the logger writes them.
            write!(log, "record ").unwrap();
            writeln!(log, "number={number:04} padding=xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx").unwrap();
        }
        drop(log);
        let mut names: Vec<String> = std::fs::read_dir(path.parent().unwrap())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["tickmesh.log", "tickmesh.log.1", "tickmesh.log.2"]);
        let mut numbers = Vec::new();
        for name in names.iter().rev() {
            let text = std::fs::read_to_string(path.with_file_name(name)).unwrap();
            assert!(text.len() <= 4096 && text.ends_with('\n'), "{name}");
            numbers.extend(text.lines().map(|line| line[14..18].parse::<u32>().unwrap()));
        }
        let last: Vec<u32> = (1000 - numbers.len() as u32..1000).collect();
        assert_eq!(numbers, last, "none lost, none torn, in order");
    }

    #[test]
    fn a_log_goes_on_where_it_ended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        for round in 0..2 {
            let mut log = RotatingFile::open(path.clone(), 4096, 2).unwrap();
            writeln!(log, "round {round}").unwrap();
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "round 0\nround 1\n");
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_an_error_at_once() {
        let folder = tempfile::tempdir().unwrap();
        assert!(RotatingFile::open(folder.path().to_owned(), 4096, 2).is_err(), "a folder");
    }
}
