//! One member: its ID, its way to the server, where its run stands, and how it ends. The parts of
//! its life are in `contact` (the server), `run` (ticks and records), `share` and `pair` (the others).

use std::net::IpAddr;
use std::time::Duration;

use crate::proto::exchange::{Recorder, Ticker};
use crate::proto::ids::{DialId, Key, LinkId, Name};
use crate::proto::limits::{REDIAL_PAUSE_MIN, RETURN_GRACE};
use crate::proto::machine::{CloseReason, Os};
use crate::proto::peer::common::{Common, Timer};
use crate::proto::peer::guest::Guest;
use crate::proto::peer::library::{ItemId, Library};
use crate::proto::peer::other::{FILES, Others};
use crate::proto::peer::report::Outcome;
use crate::proto::record::{IpText, TableWriter};
use crate::proto::time::{Mono, Now};
use crate::proto::wire::Message;

/// One member of a group, in this process.
#[derive(Debug)]
pub(super) struct Member {
    /// Its place in the process.
    pub(super) index: u32,
    /// What it asked for, then what it is called.
    pub(super) id: Option<Name>,
    pub(super) key: Option<Key>,
    pub(super) epoch: u64,
    pub(super) contact: Contact,
    /// The socket to the server is full.
    pub(super) blocked: bool,
    /// Our address and the server's, on the last link to it.
    pub(super) ends: Option<(IpAddr, IpAddr)>,
    pub(super) contacts_made: u64,
    /// When it began to look for the server; before the start if with all others.
    pub(super) contacting_since: Mono,
    /// Everything is done, but the server is gone: until when it may come back.
    pub(super) alone_until: Option<Mono>,
    /// Lines of the server, on this link, that were no messages.
    pub(super) nonsense: u32,
    pub(super) redial_pause: Duration,
    pub(super) stage: Stage,
    pub(super) run: Option<Run>,
    pub(super) others: Others,
    pub(super) library: Library,
    /// What it is to do, if it has no run.
    pub(super) guest: Option<Guest>,
    /// Hashes that the server is sending: of which file, its size and that of its chunks.
    pub(super) hashes: Option<(ItemId, u64, u64, Vec<u8>)>,
    /// Our own table and samples in the library, once they are complete.
    pub(super) own: [Option<ItemId>; FILES],
    /// Bytes of chunks that were sent to others, and in how many octets.
    pub(super) served_bytes: u64,
    pub(super) served_wire_bytes: u64,
    /// When something of a third one's record was sent last.
    pub(super) passed_on_at: Mono,
    /// Ticks and answers that the server counted.
    pub(super) rows_there: Option<(u64, u64)>,
    /// The last `JOIN` said that the run is over.
    pub(super) joins_done: bool,
    /// `DONE` has been answered.
    pub(super) done_known: bool,
    pub(super) outcome: Outcome,
}

/// The way to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Contact {
    /// The next attempt has its time.
    Waiting,
    Dialing(DialId),
    /// Connected; our own listener is not ready yet.
    Up(LinkId),
    /// `JOIN` is on its way.
    Joining(LinkId),
    Joined(LinkId),
    /// None is wanted any more.
    Over,
}

impl Contact {
    /// The link to the server, if the server knows us on it.
    pub(super) fn joined(self) -> Option<LinkId> {
        match self {
            Contact::Joined(link) => Some(link),
            _ => None,
        }
    }
}

/// Where a member stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// It has not joined yet.
    Contacting,
    /// It has its ID and opens its files.
    Opening,
    /// It ticks.
    Running,
    /// Its last tick is sent; answers may still come.
    Settling,
    /// Its last rows go to the disk.
    Closing { then: Afterwards },
    /// Its run is over; it fetches and serves.
    Sharing,
    /// It has asked to leave.
    Leaving,
    /// Nothing more happens.
    Ended,
}

/// What comes once the records of a run are closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Afterwards {
    Share,
    /// The run was cut short.
    End,
    /// So was it, and another one follows under another number.
    BeginAgain,
}

/// The measured period of a member and what it writes down.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) started: Mono,
    pub(super) interval: Duration,
    pub(super) ticker: Ticker,
    pub(super) table: Recorder,
    pub(super) rows: TableWriter,
    pub(super) samples: Recorder,
    pub(super) own_ip: IpText,
    pub(super) server_ip: IpText,
    pub(super) files_ready: u8,
}

impl Member {
    pub(super) fn new(index: u32, id: Option<Name>) -> Member {
        Member {
            index,
            id,
            key: None,
            epoch: 0,
            contact: Contact::Waiting,
            blocked: false,
            ends: None,
            contacts_made: 0,
            contacting_since: Mono(0),
            alone_until: None,
            nonsense: 0,
            redial_pause: REDIAL_PAUSE_MIN,
            stage: Stage::Contacting,
            run: None,
            others: Others::default(),
            library: Library::default(),
            guest: None,
            hashes: None,
            own: [None; FILES],
            served_bytes: 0,
            served_wire_bytes: 0,
            passed_on_at: Mono(0),
            rows_there: None,
            joins_done: false,
            done_known: false,
            outcome: Outcome::Unfinished,
        }
    }

    /// The ID, once the server has agreed to it.
    pub(super) fn name(&self) -> Option<Name> {
        self.id.filter(|_| self.contacts_made > 0)
    }

    pub(super) fn is_called(&self, name: &Name) -> bool {
        self.name().as_ref() == Some(name)
    }

    /// For messages: the ID, or the place in the process before there is one.
    pub(super) fn label(&self) -> String {
        self.id.map_or_else(|| format!("#{}", self.index), |id| id.to_string())
    }

    pub(super) fn is_ended(&self) -> bool {
        self.stage == Stage::Ended
    }

    pub(super) fn set_blocked(&mut self, blocked: bool) {
        self.blocked = blocked;
    }

    pub(super) fn count_coalesced(&mut self, answers: u64) {
        if let Some(run) = &mut self.run {
            run.ticker.count_coalesced(answers);
        }
    }

    /// Ends without having done what it is for.
    pub(super) fn fail(&mut self, why: &str, common: &mut Common, now: Now, os: &mut dyn Os) {
        if self.stays() && !self.is_ended() {
            return self.stay(why, common, now, os);
        }
        if !matches!(self.stage, Stage::Closing { .. } | Stage::Ended) {
            // A guest's user is told by who runs it, at once; and so is that of who never got to a run.
            let level = if self.guest.is_some() || self.stage == Stage::Contacting {
                log::Level::Info
            } else {
                log::Level::Error
            };
            log::log!(level, "peer failed id={} why=\"{why}\"", self.label());
            self.outcome = Outcome::Failed(why.to_owned());
            self.wind_up(common, now, os);
        }
    }

    /// The program is asked to stop.
    pub(super) fn interrupt(&mut self, common: &mut Common, now: Now, os: &mut dyn Os) {
        match self.stage {
            Stage::Ended | Stage::Closing { then: Afterwards::End } => {}
            // Nothing more even begins; the files are closed in any case.
            Stage::Closing { .. } => {
                self.outcome = Outcome::Interrupted;
                self.stage = Stage::Closing { then: Afterwards::End };
            }
            _ => {
                let got = self.guest.as_ref().is_some_and(Guest::has_got);
                self.outcome = if got { Outcome::Complete } else { Outcome::Interrupted };
                self.wind_up(common, now, os);
            }
        }
    }

    /// Closes what is open, then ends. A record gets its last line first.
    pub(super) fn wind_up(&mut self, common: &mut Common, now: Now, os: &mut dyn Os) {
        match self.stage {
            Stage::Opening | Stage::Running | Stage::Settling => {
                self.close_records(Afterwards::End, common, now, os)
            }
            _ => self.end("interrupted", common, os),
        }
    }

    /// Says goodbye and lets go of everything.
    pub(super) fn end(&mut self, farewell: &str, common: &mut Common, os: &mut dyn Os) {
        if let Contact::Up(link) | Contact::Joining(link) | Contact::Joined(link) = self.contact {
            if self.stage != Stage::Leaving {
                common.send(link, &Message::Bye { why: farewell }, os);
            }
            common.close(link, CloseReason::Done, os);
        }
        self.contact = Contact::Over;
        self.stage = Stage::Ended;
        self.end_talk(farewell, common, os);
        let files = self.files();
        self.let_go(common, os);
        if let Some(guest) = &mut self.guest {
            guest.left = Some(files);
        }
    }

    /// Lets go of pairs, files and timers.
    fn let_go(&mut self, common: &mut Common, os: &mut dyn Os) {
        self.drop_pairs(common, os);
        for file in self.run.iter().flat_map(|run| [run.table.file(), run.samples.file()]) {
            common.release(file, os);
        }
        let timers = [
            Timer::Tick,
            Timer::Flush,
            Timer::Settle,
            Timer::Redial,
            Timer::Reply,
            Timer::Share,
            Timer::Present,
            Timer::Withdraw,
            Timer::Shown,
        ];
        for timer in timers {
            common.wheel.cancel(&timer(self.index));
        }
    }

    /// The number of this member belongs to another one, which came back: this run, a few seconds
    /// old, is closed, and another one follows under another number. By the time of
    /// the next attempt nobody comes back any more, so it happens once.
    pub(super) fn begin_again(&mut self, link: LinkId, common: &mut Common, now: Now, os: &mut dyn Os) {
        log::warn!("number taken back id={} then=\"the run begins again under another one\"", self.label());
        common.close(link, CloseReason::Done, os);
        common.wheel.cancel(&Timer::Reply(self.index));
        self.contact = Contact::Waiting;
        let then = Afterwards::BeginAgain;
        match self.stage {
            Stage::Opening | Stage::Running | Stage::Settling => self.close_records(then, common, now, os),
            Stage::Closing { then: Afterwards::Share } => self.stage = Stage::Closing { then },
            Stage::Closing { .. } | Stage::Ended => {}
            Stage::Contacting | Stage::Sharing => self.forget_run(common, now, os),
            // It has everything, and everybody has its files.
            Stage::Leaving => self.end("done", common, os),
        }
    }

    pub(super) fn forget_run(&mut self, common: &mut Common, now: Now, os: &mut dyn Os) {
        self.let_go(common, os);
        *self = Member::new(self.index, None);
        self.contacting_since = now.mono + RETURN_GRACE;
        common.wheel.insert(Timer::Redial(self.index), self.contacting_since);
    }

    /// Its number was assigned, and its run has just begun.
    pub(super) fn may_begin_again(&self, common: &Common, now: Now) -> bool {
        let assigned = common.config.ids[self.index as usize].is_none();
        assigned && self.run.as_ref().is_some_and(|run| now.mono - run.started < RETURN_GRACE * 2)
    }

    pub(super) fn check_invariants(&self, common: &Common) {
        if let Some(run) = &self.run {
            run.ticker.check_invariants();
        }
        if let Some(guest) = &self.guest {
            guest.presented.check_invariants();
        }
        self.others.check_invariants(self, common);
        self.library.check_invariants(common);
        if let Contact::Up(link) | Contact::Joining(link) | Contact::Joined(link) = self.contact {
            assert!(common.sessions.get(link).is_some(), "a contact has a session");
        }
        let ticking = common.wheel.deadline(&Timer::Tick(self.index)).is_some();
        assert_eq!(ticking, self.stage == Stage::Running, "a running member waits for its next tick");
    }
}
