//! A member's run: files are opened, ticks go out on the grid, answers come in, every stamp is
//! written down, and the files are closed.

use std::io::ErrorKind;
use std::time::Duration;

use crate::proto::cadence::Cadence;
use crate::proto::exchange::{News, Recorder, Road, Ticker};
use crate::proto::ids::FileName;
use crate::proto::limits::{
    ANSWER_GRACE, APPEND_PAUSE, FLUSH_PERIOD, ROW_BYTES_MAX, RUN_LEAD, SAMPLE_BYTES_MAX,
};
use crate::proto::machine::{Effect, FileOp, Os, Why};
use crate::proto::peer::common::{Common, FileFor, Timer};
use crate::proto::peer::library::State;
use crate::proto::peer::member::{Afterwards, Member, Run, Stage};
use crate::proto::peer::report::Outcome;
use crate::proto::record::{IpText, TableWriter, names, samples};
use crate::proto::swarm::{Fit, Manifest};
use crate::proto::time::{Mono, Now, Wall, ns};
use crate::proto::wire::Message;

impl Member {
    pub(super) fn open_records(
        &mut self,
        interval: Duration,
        duration: Duration,
        common: &mut Common,
        now: Now,
        os: &mut dyn Os,
    ) {
        let id = self.id.expect("a member that joined has an ID");
        let (own_ip, server_ip) = self.ends.expect("a member that joined has a link");
        let ticks = (ns(duration) / ns(interval).max(1)).max(1);
        let (table_bytes_max, samples_bytes_max) = record_bytes_max(ticks);
        let mut open = |path: &str, whose, bytes_max| {
            let (file, chunk_bytes) = (common.new_file(whose), Manifest::chunk_bytes_for(bytes_max));
            Recorder::open(file, path, &names::aside(path, now.wall), chunk_bytes, os)
        };
        let mut table = open(&names::client_table(&id), FileFor::Table(self.index), table_bytes_max);
        let mut samples = open(&names::client_samples(&id), FileFor::Samples(self.index), samples_bytes_max);
        let rows = TableWriter::new();
        table.row().into_iter().for_each(|out| rows.header(out));
        samples.row().into_iter().for_each(samples::write_header);
        let phase = interval / common.config.ids.len().max(1) as u32 * self.index;
        let start = Cadence::first_after(common.started, phase, interval, now.mono + RUN_LEAD);
        self.stage = Stage::Opening;
        self.run = Some(Run {
            started: start,
            interval,
            ticker: Ticker::new(Cadence::new(start, interval, ticks)),
            table,
            rows,
            samples,
            own_ip: IpText::new(own_ip),
            server_ip: IpText::new(server_ip),
            files_ready: 0,
        });
    }

    /// Both records are open, and nobody else writes to them: so nobody else keeps copies under this
    /// name either. What an earlier run received must not be taken for this run's.
    fn on_records_open(&mut self, common: &mut Common, now: Now, os: &mut dyn Os) {
        if common.config.share_deadline.is_none() {
            return self.begin_run(common, now);
        }
        let path = names::received_folder(&self.id.expect("a member with records has an ID"));
        let aside = names::folder_aside(&path, now.wall);
        let file = common.new_file(FileFor::Older(self.index));
        os.perform(Effect::SetAside { file, path: &path, aside: &aside });
    }

    fn begin_run(&mut self, common: &mut Common, now: Now) {
        let run = self.run.as_mut().expect("files belong to a run");
        self.stage = Stage::Running;
        common.wheel.insert(Timer::Tick(self.index), run.started);
        common.wheel.insert(Timer::Flush(self.index), now.mono + FLUSH_PERIOD);
    }

    pub(super) fn on_tick(&mut self, common: &mut Common, now: Now, os: &mut dyn Os) {
        let (Some(run), Stage::Running) = (&mut self.run, self.stage) else { return };
        let road = match self.contact.joined() {
            Some(_) if self.blocked => Road::Blocked,
            Some(_) => Road::Open,
            None => Road::Offline,
        };
        if let (Some(seq), Some(link)) = (run.ticker.take(now, road), self.contact.joined()) {
            if let Some(out) = run.table.row() {
                run.rows.row(out, &run.own_ip, &run.server_ip, now.wall);
            }
            common.send(link, &Message::Tick { seq, t1: now.wall }, os);
        }
        match run.ticker.due_at() {
            Some(due) => drop(common.wheel.insert(Timer::Tick(self.index), due)),
            None => {
                self.stage = Stage::Settling;
                common.wheel.insert(Timer::Settle(self.index), run.ticker.end());
            }
        }
    }

    pub(super) fn on_tock(
        &mut self,
        seq: u64,
        (t1, t2, t3, at): (Wall, Wall, Wall, Wall),
        common: &mut Common,
        now: Now,
        os: &mut dyn Os,
    ) {
        let (Some(run), Stage::Running | Stage::Settling) = (&mut self.run, self.stage) else { return };
        let Some(sample) = run.ticker.answer(seq, t1, t2, t3, at, now) else { return };
        if let Some(out) = run.table.row() {
            run.rows.row(out, &run.server_ip, &run.own_ip, t3);
        }
        if let Some(out) = run.samples.row() {
            samples::write_sample(out, &sample);
        }
        if self.stage == Stage::Settling {
            self.on_settle(common, now, os);
        }
    }

    /// The last slot is over: the run ends when every answer is in, or has had its time.
    pub(super) fn on_settle(&mut self, common: &mut Common, now: Now, os: &mut dyn Os) {
        let (Some(run), Stage::Settling) = (&mut self.run, self.stage) else { return };
        if now.mono < run.ticker.end() {
            return;
        }
        // A tick that was lost long ago, with its link, keeps nobody waiting.
        let last_call = run.ticker.last_unanswered().map(|sent_at| sent_at + ANSWER_GRACE);
        match last_call.filter(|at| *at > now.mono && self.contact.joined().is_some()) {
            Some(at) => drop(common.wheel.insert(Timer::Settle(self.index), at)),
            None => self.close_records(Afterwards::Share, common, now, os),
        }
    }

    pub(super) fn close_records(&mut self, then: Afterwards, common: &mut Common, now: Now, os: &mut dyn Os) {
        let Some(run) = &mut self.run else { return };
        common.wheel.cancel(&Timer::Tick(self.index));
        common.wheel.cancel(&Timer::Settle(self.index));
        self.stage = Stage::Closing { then };
        let interrupted = then != Afterwards::Share;
        if interrupted {
            run.ticker.cut(now.mono);
        }
        let elapsed = now.mono - run.started;
        let cause = run.table.cause(interrupted);
        let rows = &run.rows;
        run.table.close(os, |out| rows.footer(out, elapsed, cause));
        run.samples.close(os, |_| {});
        common.wheel.insert(Timer::Flush(self.index), now.mono + FLUSH_PERIOD);
        self.after_closing(common, now, os);
    }

    /// Goes on once both files are closed.
    fn after_closing(&mut self, common: &mut Common, now: Now, os: &mut dyn Os) {
        let (Some(run), Stage::Closing { then }) = (&mut self.run, self.stage) else { return };
        if !run.table.is_closed() || !run.samples.is_closed() {
            return;
        }
        common.wheel.cancel(&Timer::Flush(self.index));
        let id = self.id.expect("a member with a run has an ID");
        let records =
            [(&mut run.table, names::client_table(&id)), (&mut run.samples, names::client_samples(&id))];
        for (which, (recorder, name)) in records.into_iter().enumerate() {
            if recorder.is_complete() {
                let (bytes, hashes) = recorder.take_hashes();
                let name: FileName = name.parse().expect("made of a name");
                let item = self.library.expect(name.clone(), None);
                let own = self.library.at_mut(item);
                own.manifest = Some(Manifest::new(name, bytes, recorder.chunk_bytes(), hashes));
                own.state = State::Whole { file: Some(recorder.file()) };
                own.fit = Fit::good();
                self.own[which] = Some(item);
            } else if self.outcome.is_unfinished() {
                self.outcome = Outcome::Failed(record_failure(recorder, &name));
            }
        }
        match then {
            _ if !self.outcome.is_unfinished() && then == Afterwards::Share => {
                // Nothing was cut short but our record: the server's is whole.
                self.say_done(common, now, os);
                self.end("its records are not whole", common, os);
            }
            _ if !self.outcome.is_unfinished() => self.end("interrupted", common, os),
            Afterwards::Share => self.begin_sharing(common, now, os),
            Afterwards::End => self.end("interrupted", common, os),
            Afterwards::BeginAgain => self.forget_run(common, now, os),
        }
    }

    pub(super) fn on_flush(&mut self, common: &mut Common, now: Now, os: &mut dyn Os) {
        let label = self.id;
        let Some(run) = &mut self.run else { return };
        for (file, recorder) in [("table", &mut run.table), ("samples", &mut run.samples)] {
            recorder.flush(os);
            match (recorder.take_news(), label) {
                (Some(News::RowsLost), Some(id)) => {
                    log::error!("rows are lost from now on id={id} file={file}")
                }
                (Some(News::WrittenAgain), Some(id)) => {
                    log::info!("record is written again id={id} file={file}")
                }
                _ => {}
            }
        }
        common.wheel.insert(Timer::Flush(self.index), now.mono + FLUSH_PERIOD);
    }

    fn recorder(&mut self, whose: FileFor) -> Option<&mut Recorder> {
        let run = self.run.as_mut()?;
        match whose {
            FileFor::Table(_) => Some(&mut run.table),
            FileFor::Samples(_) => Some(&mut run.samples),
            FileFor::Older(_) | FileFor::Item { .. } => None,
        }
    }

    pub(super) fn on_file_ready(
        &mut self,
        whose: FileFor,
        moved: Option<&str>,
        bytes: u64,
        common: &mut Common,
        now: Now,
        os: &mut dyn Os,
    ) {
        if let FileFor::Item { item, .. } = whose {
            return self.on_item_ready(item, bytes, common, now, os);
        }
        let (label, opening) = (self.label(), self.stage == Stage::Opening);
        if let Some(moved) = moved {
            log::info!("older file kept id={label} as={moved}");
        }
        if let (FileFor::Older(_), true) = (whose, opening) {
            return self.begin_run(common, now);
        }
        let Some(recorder) = self.recorder(whose) else { return };
        recorder.on_ready(os);
        let run = self.run.as_mut().expect("files belong to a run");
        run.files_ready += 1;
        if opening && run.files_ready == 2 {
            self.on_records_open(common, now, os);
        }
    }

    pub(super) fn on_file_appended(
        &mut self,
        whose: FileFor,
        common: &mut Common,
        now: Now,
        os: &mut dyn Os,
    ) {
        if let Some(recorder) = self.recorder(whose) {
            recorder.on_appended(os);
            if recorder.is_behind() {
                common.wheel.insert(Timer::Flush(self.index), now.mono + APPEND_PAUSE);
            }
        }
        self.after_closing(common, now, os);
    }

    pub(super) fn on_file_finished(
        &mut self,
        whose: FileFor,
        moved: Option<&str>,
        common: &mut Common,
        now: Now,
        os: &mut dyn Os,
    ) {
        if let Some(recorder) = self.recorder(whose) {
            recorder.on_finished();
        } else if let FileFor::Item { item, .. } = whose {
            if let Some(moved) = moved {
                log::info!("older copy kept id={} as={moved}", self.label());
            }
            self.on_item_stored(item, common, now, os);
        }
        self.after_closing(common, now, os);
    }

    pub(super) fn on_file_failed(
        &mut self,
        whose: FileFor,
        op: FileOp,
        error: ErrorKind,
        common: &mut Common,
        now: Now,
        os: &mut dyn Os,
    ) {
        if let FileFor::Item { item, .. } = whose {
            self.on_item_failed(item, op, error, common, now, os);
        } else if let Some(recorder) = self.recorder(whose)
            && recorder.on_failed(op, error, os)
            && op != FileOp::Open
        {
            let name = self.record_name(whose);
            log::error!("record not written id={} file={name} op={op} why=\"{}\"", self.label(), Why(error));
        }
        let why = match (op, self.stage, error) {
            (FileOp::Open, Stage::Opening, ErrorKind::ResourceBusy) => {
                "somebody else writes records of this ID in this folder; choose another with --out".to_owned()
            }
            (FileOp::Open, Stage::Opening, _) => {
                format!("cannot create {}: {}", self.record_name(whose), Why(error))
            }
            (FileOp::SetAside, Stage::Opening, _) => {
                format!("cannot move the files that an earlier run received aside: {}", Why(error))
            }
            _ => return self.after_closing(common, now, os),
        };
        self.fail(&why, common, now, os);
        self.after_closing(common, now, os);
    }

    fn record_name(&self, whose: FileFor) -> String {
        let id = self.id.expect("a member with a record has an ID");
        match whose {
            FileFor::Samples(_) => names::client_samples(&id),
            _ => names::client_table(&id),
        }
    }

    /// When the run of this member ends or ended.
    pub(super) fn run_end(&self) -> Option<Mono> {
        self.run.as_ref().map(|run| run.ticker.end())
    }
}

/// How long table and samples of a run may become, in bytes: two rows and one sample a tick, and a
/// few lines around them.
fn record_bytes_max(ticks: u64) -> (u64, u64) {
    let bytes = |rows: u64, row_bytes: usize| rows.saturating_add(8).saturating_mul(row_bytes as u64);
    (bytes(ticks.saturating_mul(2), ROW_BYTES_MAX), bytes(ticks, SAMPLE_BYTES_MAX))
}

fn record_failure(recorder: &Recorder, name: &str) -> String {
    let why = recorder.failure().map_or_else(String::new, |failure| format!(": {}", Why(failure.error)));
    match recorder.lost_rows() {
        0 => format!("{name} could not be written{why}"),
        rows => format!("{name} lacks {rows} rows{why}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::limits::{CHUNK_BYTES, CHUNKS_DEFAULT_MAX, DURATION_MAX, INTERVAL_MIN};
    use crate::proto::swarm::HASH_LINE_BYTES;

    #[test]
    fn the_records_of_the_longest_run_can_be_offered() {
        let longest = (DURATION_MAX.as_millis() / INTERVAL_MIN.as_millis()) as u64;
        for ticks in [1, 30_000, longest] {
            let (table, samples) = record_bytes_max(ticks);
            for bytes in [table, samples] {
                let chunk_bytes = Manifest::chunk_bytes_for(bytes);
                let chunks = bytes.div_ceil(chunk_bytes);
                assert!(chunks <= CHUNKS_DEFAULT_MAX);
                assert_eq!(Manifest::check_offer(bytes, chunk_bytes, chunks * HASH_LINE_BYTES), Ok(()));
                assert!(ticks == longest || chunk_bytes == CHUNK_BYTES, "as small as before");
            }
        }
    }
}
