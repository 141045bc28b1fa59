//! A log that is written much faster than any server does, and so is rotated several times a second. Measures nothing.

use std::path::Path;
use std::time::Duration;

use tickmesh::io::{LogFile, LogRules, Reactor};
use tickmesh::proto::machine::{Effect, Input, Machine, Os};
use tickmesh::proto::time::{Mono, Now};

/// Writes 20,000 records of 120 bytes a second, into files of 512 kB: about five rotations a second. Not in step with any tick.
pub struct Logging {
    log: LogFile,
    next: Option<Mono>,
    records: u64,
}

const PERIOD: Duration = Duration::from_micros(1_370);
const RECORDS: u64 = 27;
const FILE_BYTES: u64 = 512_000;

impl Logging {
    pub fn new(folder: &Path, compress: bool, reactor: &mut Reactor) -> Logging {
        let rules = LogRules { bytes_max: Some(FILE_BYTES), daily: true, keep: 5, compress };
        let mut log = LogFile::open(&folder.join("bench.log"), rules).expect("a log");
        let hand = reactor.put_away(log.shelf().expect("a plain file")).expect("a helper");
        log.set_hand(hand);
        Logging { log, next: None, records: 0 }
    }
}

impl Machine for Logging {
    fn handle_input(&mut self, input: Input<'_>, now: Now, os: &mut dyn Os) {
        match input {
            Input::Start => self.next = Some(now.mono),
            // As on SIGHUP.
            Input::Reload => self.log.reopen().expect("it can be opened again"),
            Input::Shutdown => {
                self.next = None;
                os.perform(Effect::Exit);
            }
            _ => {}
        }
    }

    fn handle_timeout(&mut self, now: Now, _os: &mut dyn Os) {
        self.next = Some(now.mono + PERIOD);
        for _ in 0..RECORDS {
            self.records += 1;
            let line = format!(
                "2026-11-21T02:53:00.123456789Z [INFO] upload stored from=10.0.0.7:40514 name=\"film.bin\" bytes={:016}\n",
                self.records
            );
            assert!(self.log.write(line.as_bytes(), now.wall), "there is room");
        }
        assert!(self.log.take_trouble().is_none());
    }

    fn poll_timeout(&self) -> Option<Mono> {
        self.next
    }
}
