//! A record file on its way to the disk: opened, appended to a few times a second, closed, synced.
//! Keeps rows while the disk refuses them, up to a bound. Does not know what a row is.

use std::io::ErrorKind;

use crate::proto::ids::FileId;
use crate::proto::limits::{CLOSE_TRIES_MAX, FLUSH_BYTES};
use crate::proto::machine::{Effect, FileOp, OpenMode, Os};
use crate::proto::record::Sheet;

/// A file of rows, as a role keeps it.
#[derive(Debug)]
pub struct Recorder {
    file: FileId,
    chunk_bytes: u64,
    sheet: Sheet,
    stage: Stage,
    lost_rows: u64,
    failure: Option<Failure>,
    close_tries: u32,
    /// The last append failed.
    refused: bool,
    /// Not told yet.
    news: Option<News>,
}

/// What an operator should hear of a file, once each time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// The disk takes rows again, after it had refused some.
    WrittenAgain,
    /// The disk has refused rows for so long that from now on they are lost.
    RowsLost,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Rows wait for the file; after the last one the file is closed as soon as it is open.
    Opening { closing: bool },
    /// Rows come in and go out.
    Open,
    /// The last row is in; what is left goes out.
    Closing,
    /// Everything is written; the disk syncs.
    Syncing,
    /// On disk, under its name.
    Complete,
    /// Given up.
    Failed,
}

/// What went wrong with a file, last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The effect that failed.
    pub op: FileOp,
    /// How.
    pub error: ErrorKind,
}

impl Recorder {
    /// Asks for a new file; rows can be written at once. They are hashed as they arrive on the disk, so
    /// the size of the chunks is fixed here: it has to suit the longest that the file may become.
    pub fn open(file: FileId, path: &str, aside: &str, chunk_bytes: u64, os: &mut dyn Os) -> Recorder {
        os.perform(Effect::Open { file, path, mode: OpenMode::Named, aside });
        let stage = Stage::Opening { closing: false };
        Recorder {
            file,
            chunk_bytes,
            sheet: Sheet::new(chunk_bytes),
            stage,
            lost_rows: 0,
            failure: None,
            close_tries: 0,
            refused: false,
            news: None,
        }
    }

    /// The same, and so many bytes are kept while the disk refuses them.
    #[must_use]
    pub fn with_bound(self, unwritten_bytes_max: usize) -> Recorder {
        Recorder { sheet: self.sheet.with_bound(unwritten_bytes_max), ..self }
    }

    /// The driver's name for the file.
    pub fn file(&self) -> FileId {
        self.file
    }

    /// Where the next row goes. `None` if it is lost: the file was given up, or the disk has been
    /// refusing rows for so long that the bound is reached; after that no row is taken, so that
    /// rows are missing only at the end, and the count is in [`Recorder::lost_rows`].
    pub fn row(&mut self) -> Option<&mut Vec<u8>> {
        let open = matches!(self.stage, Stage::Opening { closing: false } | Stage::Open);
        if !open || self.lost_rows > 0 || self.sheet.is_full() {
            self.lost_rows += 1;
            if self.lost_rows == 1 {
                self.news = Some(News::RowsLost);
            }
            return None;
        }
        Some(self.sheet.buffer())
    }

    /// So much is waiting that it should not wait for the next flush. A disk that has just refused it is left alone until
    /// then: each try would copy all of it again, for each row that comes.
    pub fn is_heavy(&self) -> bool {
        !self.refused && self.sheet.unwritten_bytes() >= FLUSH_BYTES
    }

    /// Hands what is waiting to the disk, or the first part of much.
    pub fn flush(&mut self, os: &mut dyn Os) {
        if !matches!(self.stage, Stage::Open | Stage::Closing) {
            return;
        }
        if let Some(bytes) = self.sheet.take_flush() {
            os.perform(Effect::Append { file: self.file, bytes });
        } else if self.stage == Stage::Closing && self.sheet.is_settled() {
            self.stage = Stage::Syncing;
            os.perform(Effect::Finish { file: self.file });
        }
    }

    /// No more rows. `last` writes what ends the file, whatever has been lost before.
    pub fn close(&mut self, os: &mut dyn Os, last: impl FnOnce(&mut Vec<u8>)) {
        match self.stage {
            Stage::Open => {
                last(self.sheet.buffer());
                self.stage = Stage::Closing;
                self.flush(os);
            }
            Stage::Opening { closing: false } => {
                last(self.sheet.buffer());
                self.stage = Stage::Opening { closing: true };
            }
            _ => {}
        }
    }

    /// The file is open. An older one may have been moved out of its way; the role reports that.
    pub fn on_ready(&mut self, os: &mut dyn Os) {
        if let Stage::Opening { closing } = self.stage {
            self.stage = if closing { Stage::Closing } else { Stage::Open };
            self.flush(os);
        }
    }

    /// What was handed to the disk is written. The last rows follow at once, unless [they are many](Recorder::is_behind).
    pub fn on_appended(&mut self, os: &mut dyn Os) {
        self.sheet.confirm();
        if std::mem::take(&mut self.refused) && self.lost_rows == 0 {
            self.news = Some(News::WrittenAgain);
        }
        if self.stage == Stage::Closing && !self.is_behind() {
            self.flush(os);
        }
    }

    /// The last rows are so many that they go out in parts: the role flushes the next one soon, but in another turn.
    pub fn is_behind(&self) -> bool {
        self.stage == Stage::Closing && self.sheet.is_in_parts()
    }

    /// The file is on disk.
    pub fn on_finished(&mut self) {
        if self.stage == Stage::Syncing {
            self.stage = Stage::Complete;
        }
    }

    /// The disk refused. An append is tried again at the next flush; true if this is news.
    pub fn on_failed(&mut self, op: FileOp, error: ErrorKind, os: &mut dyn Os) -> bool {
        let failure = Failure { op, error };
        let again = op == FileOp::Append && !std::mem::replace(&mut self.refused, true);
        let news = self.failure.replace(failure) != Some(failure) || again;
        match op {
            FileOp::Append => {
                self.sheet.refuse();
                self.close_tries += u32::from(self.stage == Stage::Closing);
                if self.close_tries > CLOSE_TRIES_MAX {
                    self.give_up(os);
                }
            }
            FileOp::Open
            | FileOp::WriteAt
            | FileOp::Finish
            | FileOp::SetAside
            | FileOp::Hash
            | FileOp::Read => self.give_up(os),
        }
        news
    }

    fn give_up(&mut self, os: &mut dyn Os) {
        self.stage = Stage::Failed;
        os.perform(Effect::Release { file: self.file });
    }

    /// The disk takes the last rows, or has them and brings the file home.
    pub fn is_ending(&self) -> bool {
        self.stage == Stage::Syncing || self.stage == Stage::Closing && !self.refused
    }

    /// What has not been told yet; a role asks now and then.
    pub fn take_news(&mut self) -> Option<News> {
        self.news.take()
    }

    /// Nothing more will happen to the file.
    pub fn is_closed(&self) -> bool {
        matches!(self.stage, Stage::Complete | Stage::Failed)
    }

    /// The file is on disk with every row.
    pub fn is_complete(&self) -> bool {
        self.stage == Stage::Complete && self.lost_rows == 0
    }

    /// Rows that found no place.
    pub fn lost_rows(&self) -> u64 {
        self.lost_rows
    }

    /// Why the record is not whole, as its last line says it.
    pub fn cause(&self, interrupted: bool) -> Option<&'static str> {
        match (self.lost_rows, interrupted) {
            (0, false) => None,
            (0, true) => Some("interrupted"),
            _ => Some("rows lost, the disk refused them"),
        }
    }

    /// What went wrong last, if anything did.
    pub fn failure(&self) -> Option<Failure> {
        self.failure
    }

    /// Size of each chunk but the last, in bytes.
    pub fn chunk_bytes(&self) -> u64 {
        self.chunk_bytes
    }

    /// The written file: its length in bytes and the hash of each chunk.
    pub fn take_hashes(&mut self) -> (u64, Vec<blake3::Hash>) {
        std::mem::replace(&mut self.sheet, Sheet::new(self.chunk_bytes)).finish()
    }
}
