//! The server's own record of a run: one table for the ticks of all members, from the first that
//! joins to the last that is done. Decides when the table is written, not who is a member.

use crate::proto::exchange::{News, Recorder};
use crate::proto::ids::FileId;
use crate::proto::limits::CHUNK_BYTES_MAX;
use crate::proto::machine::{FileOp, Os, Why};
use crate::proto::record::{IpText, TableWriter, names};
use crate::proto::time::{Now, Wall};

/// A run as the server writes it down.
#[derive(Debug)]
pub(super) struct Run {
    recorder: Recorder,
    table: TableWriter,
    started: Now,
    closing: bool,
}

impl Run {
    pub(super) fn open(file: FileId, now: Now, os: &mut dyn Os) -> Run {
        let path = names::SERVER_TABLE;
        // Nobody fetches this table: the fewest hashes will do.
        let mut recorder = Recorder::open(file, path, &names::aside(path, now.wall), CHUNK_BYTES_MAX, os);
        let table = TableWriter::new();
        if let Some(out) = recorder.row() {
            table.header(out);
        }
        Run { recorder, table, started: now, closing: false }
    }

    pub(super) fn file(&self) -> FileId {
        self.recorder.file()
    }

    pub(super) fn row(&mut self, sender: &IpText, receiver: &IpText, stamp: Wall) {
        if let Some(out) = self.recorder.row() {
            self.table.row(out, sender, receiver, stamp);
        }
    }

    /// Hands rows to the disk before their time, if they are many.
    pub(super) fn relieve(&mut self, os: &mut dyn Os) {
        if self.recorder.is_heavy() {
            self.recorder.flush(os);
        }
    }

    pub(super) fn flush(&mut self, os: &mut dyn Os) {
        self.recorder.flush(os);
        match self.recorder.take_news() {
            Some(News::RowsLost) => {
                log::error!("server table loses rows from now on file={}", names::SERVER_TABLE)
            }
            Some(News::WrittenAgain) => {
                log::info!("server table is written again file={}", names::SERVER_TABLE)
            }
            None => {}
        }
    }

    /// Writes the last line; nothing more is written down.
    pub(super) fn close(&mut self, now: Now, interrupted: bool, os: &mut dyn Os) {
        if self.closing {
            return;
        }
        self.closing = true;
        let elapsed = now.mono - self.started.mono;
        let cause = self.recorder.cause(interrupted);
        let table = &self.table;
        self.recorder.close(os, |out| table.footer(out, elapsed, cause));
        log::info!(
            "server table closing rows={} elapsed_s={:.3} lost_rows={}",
            self.table.rows(),
            elapsed.as_secs_f64(),
            self.recorder.lost_rows()
        );
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing
    }

    pub(super) fn on_ready(&mut self, moved: Option<&str>, os: &mut dyn Os) {
        if let Some(moved) = moved {
            log::info!("older table kept file={} as={moved}", names::SERVER_TABLE);
        }
        self.recorder.on_ready(os);
    }

    pub(super) fn on_appended(&mut self, os: &mut dyn Os) {
        self.recorder.on_appended(os);
    }

    pub(super) fn on_finished(&mut self) {
        self.recorder.on_finished();
    }

    pub(super) fn on_failed(&mut self, op: FileOp, error: std::io::ErrorKind, os: &mut dyn Os) {
        if self.recorder.on_failed(op, error, os) {
            let (file, why) = (names::SERVER_TABLE, Why(error));
            let so = if op == FileOp::Append { "rows are kept until their bound" } else { "it is given up" };
            log::error!("server table not written file={file} op={op} why=\"{why}\"; {so}");
        }
    }

    /// Every row is written; the disk brings the table home.
    pub(super) fn is_syncing(&self) -> bool {
        self.recorder.is_syncing()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.recorder.is_closed()
    }

    pub(super) fn is_complete(&self) -> bool {
        self.recorder.is_complete()
    }
}
