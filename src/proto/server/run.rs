//! The server's own record of a run: one table for the ticks of all members, from the first that
//! joins to the last that is done. Decides when the table is written, not who is a member.

use std::time::Duration;

use crate::proto::exchange::{News, Recorder};
use crate::proto::gcra::Gcra;
use crate::proto::ids::FileId;
use crate::proto::limits::{
    APPEND_PAUSE, CHUNK_BYTES_MAX, FLUSH_PERIOD, RUN_PAUSE, RUNS_BURST, SERVER_UNWRITTEN_BYTES_MAX,
};
use crate::proto::machine::{Effect, FileOp, OPERATOR, Os, Why};
use crate::proto::record::{IpText, TableWriter, names};
use crate::proto::server::directory::{Refusal, refuse};
use crate::proto::server::{Server, Timer};
use crate::proto::time::{Mono, Now, Wall};
use crate::proto::wire::ErrorCode;

/// Runs that begin, whoever's they are.
const RUNS: Gcra = Gcra::new(RUNS_BURST, RUN_PAUSE);

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
        let recorder = Recorder::open(file, path, &names::aside(path, now.wall), CHUNK_BYTES_MAX, os);
        let mut recorder = recorder.with_bound(SERVER_UNWRITTEN_BYTES_MAX);
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
            let so = if op == FileOp::Append {
                "rows are kept until their bound"
            } else {
                "the table is given up"
            };
            log::error!("server table not written file={file} op={op} why=\"{why}\" then=\"{so}\"");
        }
    }

    /// See [`Recorder::is_behind`].
    fn is_behind(&self) -> bool {
        self.recorder.is_behind()
    }

    /// See [`Recorder::is_ending`].
    fn is_ending(&self) -> bool {
        self.recorder.is_ending()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.recorder.is_closed()
    }

    pub(super) fn is_complete(&self) -> bool {
        self.recorder.is_complete()
    }
}

impl Server {
    /// Whether a member with a run of that length may join: it may have to begin a new table.
    pub(super) fn check_new_run(&self, duration: Duration, now: Mono) -> Result<(), Refusal> {
        let begins = !duration.is_zero() && self.run.as_ref().is_none_or(Run::is_closing);
        let due = RUNS.due(self.runs_until, 1, now);
        if !begins || due <= now {
            return Ok(());
        }
        let seconds = (due - now).as_secs() + 1;
        let text = format!("too many runs began in the last minute; try again in {seconds} s");
        refuse(ErrorCode::LimitReached, text)
    }

    /// A run begins with the first member, if none is on.
    pub(super) fn open_run(&mut self, now: Now, os: &mut dyn Os) {
        if self.run.as_ref().is_some_and(|run| !run.is_closing()) {
            return;
        }
        let file = FileId(self.files_opened);
        self.files_opened += 1;
        // A table that is still being closed has all its rows and waits for the disk, or is one whose
        // disk refuses its last rows.
        if let Some(run) = self.run.take_if(|run| run.is_ending()) {
            self.ending.push(run);
        }
        if let Some(run) = self.run.take() {
            log::error!(
                "server table given up file={} why=\"a new run begins, and the disk has not taken the last rows\"",
                names::SERVER_TABLE
            );
            self.status.tables_failed += 1;
            os.perform(Effect::Release { file: run.file() });
        }
        RUNS.charge(&mut self.runs_until, 1, now.mono);
        self.run_was_cut = false;
        self.run = Some(Run::open(file, now, os));
        self.wheel.insert(Timer::Flush, now.mono + FLUSH_PERIOD);
        log::info!("run started");
    }

    /// Ends the run if nobody's is on: neither a member's that is here, nor that of one that is
    /// lost and may come back.
    pub(super) fn end_run_if_over(&mut self, now: Now, os: &mut dyn Os) {
        self.directory.forget_dead(now.mono);
        let Some(run) = self.run.as_mut().filter(|run| !run.is_closing()) else { return };
        let mut latest = None;
        for member in self.directory.members().filter(|member| !member.done) {
            if member.link.is_some() {
                return;
            }
            latest = latest.max(Some(member.back_until()).filter(|until| *until > now.mono));
        }
        match latest {
            Some(until) => drop(self.wheel.insert(Timer::RunEnd, until)),
            None => run.close(now, self.directory.end_runs() | self.run_was_cut, os),
        }
    }

    pub(super) fn on_flush(&mut self, now: Now, os: &mut dyn Os) {
        for run in self.run.iter_mut().chain(&mut self.ending) {
            run.flush(os);
            self.wheel.insert(Timer::Flush, now.mono + FLUSH_PERIOD);
        }
    }

    pub(super) fn on_appended(&mut self, file: FileId, now: Now, os: &mut dyn Os) {
        self.on_file(file, |run| run.on_appended(os));
        if self.run.iter().chain(&self.ending).any(Run::is_behind) {
            self.wheel.insert(Timer::Flush, now.mono + APPEND_PAUSE);
        }
    }

    pub(super) fn on_file(&mut self, file: FileId, act: impl FnOnce(&mut Run)) {
        if let Some(run) = self.run.iter_mut().chain(&mut self.ending).find(|run| run.file() == file) {
            act(run);
        }
        let closed = self.ending.extract_if(.., |run| run.is_closed());
        for run in closed.chain(self.run.take_if(|run| run.is_closed())) {
            // Seldom enough by itself: see `RUN_PAUSE`.
            log::info!(target: OPERATOR, "run ended complete={}", run.is_complete());
            self.status.tables_failed += u64::from(!run.is_complete());
        }
    }
}
