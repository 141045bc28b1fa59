//! What happened: a running digest of everything, the last few events as text, and counters.
//! Never prints, and never changes what happens.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::proto::ids::LinkId;
use crate::proto::machine::{CloseReason, DownReason, Effect, Input, Load, Row};
use crate::proto::time::SECOND_NS;

/// Counts of one world since its start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Events taken from the queue.
    pub events: u64,
    /// Inputs handed to machines.
    pub inputs: u64,
    /// Calls of `handle_timeout`.
    pub timeouts: u64,
    /// Effects that machines asked for.
    pub effects: u64,
    /// Effects on links that were gone.
    pub stale_effects: u64,
    /// Bytes that were read from links, by machines and strangers.
    pub bytes: u64,
    /// Ends of links that came up at a machine; a link between two machines counts twice.
    pub links: u64,
    /// Dials that failed.
    pub dials_failed: u64,
    /// Most bytes that ever waited in memory for one link.
    pub queue_bytes_max: usize,
    /// Faults that were injected, by hand or by chaos.
    pub faults: u64,
    /// Links that machines closed.
    pub closes: BTreeMap<CloseReason, u64>,
    /// Links that went down without the machine's doing.
    pub downs: BTreeMap<DownReason, u64>,
}

/// What an entry of the trace is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Timeout,
    Start,
    Listening,
    ListenFailed,
    LinkUp,
    DialFailed,
    Received,
    Blocked,
    Drained,
    Ended,
    LinkDown,
    FileReady,
    Appended,
    Finished,
    Hashed,
    Read,
    FileFailed,
    Stored,
    StoreFailed,
    Row,
    Derived,
    Loaded,
    LoadFailed,
    Typed,
    TypedEnd,
    Surveyed,
    SurveyFailed,
    Presented,
    Measured,
    Reload,
    Report,
    Shutdown,
    DoListen,
    DoDial,
    DoSend,
    DoSendFile,
    DoClose,
    DoHold,
    DoShut,
    DoPauseReading,
    DoResumeReading,
    DoReset,
    DoSurvey,
    DoPresent,
    DoOpen,
    DoSetAside,
    DoAppend,
    DoWriteAt,
    DoFinish,
    DoHash,
    DoRead,
    DoRelease,
    DoMeasure,
    DoStore,
    DoDerive,
    DoLoad,
    DoExit,
    StrangerReads,
    StrangerWrites,
    Crash,
    PowerLoss,
    Restart,
    Partition,
    Heal,
    Reset,
    HalfClose,
    StepWall,
    Drift,
    SlowReader,
    Stall,
    DiskFull,
    DiskFreed,
}

/// No machine, or no second node: what the trace writes where there is none.
pub(super) const NOBODY: u32 = u32::MAX;

/// Entries that are kept as text.
const TAIL_ENTRIES: usize = 512;
/// Bytes of each payload that are kept as text.
const TEXT_BYTES: usize = 64;

#[derive(Debug)]
pub(super) struct Trace {
    digest: u64,
    tail: Vec<Entry>,
    next: usize,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    at_ns: u64,
    node: u32,
    machine: u32,
    what: What,
    subject: u64,
    amount: u64,
    text: [u8; TEXT_BYTES],
    text_len: u8,
}

impl Trace {
    pub(super) fn new() -> Trace {
        Trace { digest: 0, tail: Vec::with_capacity(TAIL_ENTRIES), next: 0 }
    }

    pub(super) fn digest(&self) -> u64 {
        self.digest
    }

    /// Takes down one event. `subject` is what it is about and `amount` how much, as `what` has it.
    pub(super) fn record(&mut self, place: Place, what: What, subject: u64, amount: u64, bytes: &[u8]) {
        let Place { at_ns, node, machine } = place;
        for word in [at_ns, u64::from(node) << 32 | u64::from(machine), what as u64, subject, amount] {
            self.mix(word);
        }
        self.mix_bytes(bytes);
        let mut text = [0; TEXT_BYTES];
        let text_len = bytes.len().min(TEXT_BYTES);
        text[..text_len].copy_from_slice(&bytes[..text_len]);
        let entry = Entry { at_ns, node, machine, what, subject, amount, text, text_len: text_len as u8 };
        if self.tail.len() < TAIL_ENTRIES {
            self.tail.push(entry);
        } else {
            self.tail[self.next] = entry;
        }
        self.next = (self.next + 1) % TAIL_ENTRIES;
    }

    pub(super) fn input(&mut self, place: Place, input: &Input<'_>) {
        let (what, subject, amount, bytes): (_, _, _, &[u8]) = match input {
            Input::Start => (What::Start, 0, 0, &[]),
            Input::Listening { addr } => (What::Listening, 0, u64::from(addr.port()), &[]),
            Input::ListenFailed { addr, .. } => (What::ListenFailed, 0, u64::from(addr.port()), &[]),
            Input::LinkUp { link, remote, .. } => (What::LinkUp, word(*link), u64::from(remote.port()), &[]),
            Input::DialFailed { dial, .. } => (What::DialFailed, u64::from(dial.0), 0, &[]),
            Input::Received { link, bytes, at } => {
                self.mix(at.0);
                (What::Received, word(*link), bytes.len() as u64, *bytes)
            }
            Input::Blocked { link } => (What::Blocked, word(*link), 0, &[]),
            Input::Drained { link } => (What::Drained, word(*link), 0, &[]),
            Input::Ended { link } => (What::Ended, word(*link), 0, &[]),
            Input::LinkDown { link, reason } => (What::LinkDown, word(*link), *reason as u64, &[]),
            Input::FileReady { file, bytes, moved } => {
                (What::FileReady, u64::from(file.0), *bytes, text(*moved))
            }
            Input::Appended { file } => (What::Appended, u64::from(file.0), 0, &[]),
            Input::Finished { file, moved } => (What::Finished, u64::from(file.0), 0, text(*moved)),
            Input::Hashed { file, offset, hash } => {
                (What::Hashed, u64::from(file.0), *offset, hash.as_bytes().as_slice())
            }
            Input::Read { file, offset, bytes } => (What::Read, u64::from(file.0), *offset, *bytes),
            Input::FileFailed { file, op, offset, .. } => {
                self.mix(*offset);
                (What::FileFailed, u64::from(file.0), *op as u64, &[])
            }
            Input::Stored { batch } => (What::Stored, *batch, 0, &[]),
            Input::StoreFailed { batch, error } => (What::StoreFailed, *batch, *error as u64, &[]),
            Input::Row { row } => (What::Row, 0, 0, subject_of(row)),
            Input::Derived { job, .. } => (What::Derived, *job, 0, &[]),
            Input::Loaded { version, .. } => (What::Loaded, *version, 0, &[]),
            Input::LoadFailed { error, .. } => (What::LoadFailed, 0, *error as u64, &[]),
            Input::Typed { bytes } => (What::Typed, 0, bytes.len() as u64, *bytes),
            Input::TypedEnd => (What::TypedEnd, 0, 0, &[]),
            Input::Surveyed { bytes, removed, .. } => (What::Surveyed, *removed, *bytes, &[]),
            Input::SurveyFailed { error } => (What::SurveyFailed, 0, *error as u64, &[]),
            Input::Presented { path, .. } => (What::Presented, 0, 0, path.as_bytes()),
            Input::Measured { driver, .. } => (What::Measured, 0, driver.links, &[]),
            Input::Reload => (What::Reload, 0, 0, &[]),
            Input::Report => (What::Report, 0, 0, &[]),
            Input::Shutdown => (What::Shutdown, 0, 0, &[]),
        };
        self.record(place, what, subject, amount, bytes);
    }

    pub(super) fn effect(&mut self, place: Place, effect: &Effect<'_>) {
        let (what, subject, amount, bytes): (_, _, _, &[u8]) = match effect {
            Effect::Listen { addr } => (What::DoListen, 0, u64::from(addr.port()), &[]),
            Effect::Dial { dial, addr } => (What::DoDial, u64::from(dial.0), u64::from(addr.port()), &[]),
            Effect::Send { link, bytes } => (What::DoSend, word(*link), bytes.len() as u64, bytes),
            Effect::SendFile { link, offset, len, .. } => {
                self.mix(*offset);
                (What::DoSendFile, word(*link), *len, &[])
            }
            Effect::Close { link, reason } => (What::DoClose, word(*link), *reason as u64, &[]),
            Effect::Hold { link } => (What::DoHold, word(*link), 0, &[]),
            Effect::Shut { link } => (What::DoShut, word(*link), 0, &[]),
            Effect::PauseReading { link } => (What::DoPauseReading, word(*link), 0, &[]),
            Effect::ResumeReading { link } => (What::DoResumeReading, word(*link), 0, &[]),
            Effect::Reset { link, reason } => (What::DoReset, word(*link), *reason as u64, &[]),
            Effect::Survey { files_max } => (What::DoSurvey, 0, *files_max as u64, &[]),
            Effect::Present { path, .. } => (What::DoPresent, 0, 0, path.as_bytes()),
            Effect::Open { file, path, .. } => (What::DoOpen, u64::from(file.0), 0, path.as_bytes()),
            Effect::SetAside { file, path, .. } => (What::DoSetAside, u64::from(file.0), 0, path.as_bytes()),
            Effect::Append { file, bytes } => (What::DoAppend, u64::from(file.0), bytes.len() as u64, bytes),
            Effect::WriteAt { file, offset, bytes } => (What::DoWriteAt, u64::from(file.0), *offset, bytes),
            Effect::Finish { file } => (What::DoFinish, u64::from(file.0), 0, &[]),
            Effect::Hash { file, offset, len } => {
                self.mix(*len);
                (What::DoHash, u64::from(file.0), *offset, &[])
            }
            Effect::Read { file, offset, len } => {
                self.mix(*len);
                (What::DoRead, u64::from(file.0), *offset, &[])
            }
            Effect::Release { file } => (What::DoRelease, u64::from(file.0), 0, &[]),
            Effect::Store { batch, changes } => (What::DoStore, *batch, changes.len() as u64, &[]),
            Effect::Load { load: Load::Book } => (What::DoLoad, 0, 0, &[]),
            Effect::Load { load: Load::Accounts { known, .. } } => (What::DoLoad, 2, *known, &[]),
            Effect::Load { load: Load::Ties { name } } => (What::DoLoad, 4, 0, name.as_bytes()),
            Effect::Load { load: Load::Logins { name } } => (What::DoLoad, 3, 0, name.as_bytes()),
            Effect::Load { load: Load::Mail { to, after, .. } } => (What::DoLoad, 1, *after, to.as_bytes()),
            Effect::Derive { job, iterations, .. } => (What::DoDerive, *job, u64::from(*iterations), &[]),
            Effect::Measure => (What::DoMeasure, 0, 0, &[]),
            Effect::Exit => (What::DoExit, 0, 0, &[]),
        };
        self.record(place, what, subject, amount, bytes);
    }

    /// The last entries, oldest first, one a line.
    pub(super) fn tail(&self) -> String {
        let (newer, older) = self.tail.split_at(self.next.min(self.tail.len()));
        let mut lines = String::new();
        for entry in older.iter().chain(newer) {
            entry.write(&mut lines);
        }
        lines
    }

    /// The multiplication and rotation of FxHash (rustc-hash 1, from Firefox): no protection
    /// against malice, but one step a word.
    fn mix(&mut self, word: u64) {
        self.digest = (self.digest.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    fn mix_bytes(&mut self, bytes: &[u8]) {
        let mut words = bytes.chunks_exact(8);
        for word in &mut words {
            self.mix(u64::from_le_bytes(word.try_into().expect("eight bytes")));
        }
        let rest = words.remainder();
        let mut word = [0; 8];
        word[..rest.len()].copy_from_slice(rest);
        self.mix(u64::from_le_bytes(word));
    }
}

/// When and where something happened.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) at_ns: u64,
    pub(super) node: u32,
    pub(super) machine: u32,
}

impl Entry {
    fn write(&self, out: &mut String) {
        let Entry { at_ns, node, what, amount, .. } = self;
        let (seconds, nanos) = (at_ns / SECOND_NS, at_ns % SECOND_NS);
        let _ = write!(out, "{seconds}.{nanos:09} node={node} ");
        if self.machine != NOBODY {
            let _ = write!(out, "machine={} ", self.machine);
        }
        let (index, generation) = (self.subject as u32, self.subject >> 32);
        let _ = write!(out, "{what:?} subject={index}.{generation} amount={amount}");
        if self.text_len > 0 {
            let text = self.text[..usize::from(self.text_len)].escape_ascii();
            let _ = write!(out, " text=\"{text}\"");
        }
        out.push('\n');
    }
}

fn word(link: LinkId) -> u64 {
    u64::from(link.generation) << 32 | u64::from(link.index)
}

fn subject_of<'a>(row: &'a Row<'_>) -> &'a [u8] {
    match row {
        Row::Account { name, .. } => name.as_bytes(),
        Row::Block { user, .. } | Row::Holding { user, .. } => user.as_bytes(),
        Row::Login(login) => {
            if login.is_refused {
                b"refused"
            } else {
                b""
            }
        }
        Row::Mail(mail) => mail.text.as_bytes(),
    }
}

fn text(moved: Option<&str>) -> &[u8] {
    moved.unwrap_or_default().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place = Place { at_ns: 1_500_000_000, node: 2, machine: 3 };

    #[test]
    fn the_tail_keeps_the_last_entries_in_order() {
        let mut trace = Trace::new();
        for amount in 0..TAIL_ENTRIES as u64 + 3 {
            trace.record(PLACE, What::Received, 1 << 32 | 7, amount, b"TICK 1\n");
        }
        let tail = trace.tail();
        assert_eq!(tail.lines().count(), TAIL_ENTRIES);
        assert_eq!(
            tail.lines().next(),
            Some(r#"1.500000000 node=2 machine=3 Received subject=7.1 amount=3 text="TICK 1\n""#)
        );
        assert!(tail.lines().last().unwrap().contains("amount=514"));
    }

    #[test]
    fn each_byte_counts_in_the_digest() {
        let digest = |bytes: &[u8]| {
            let mut trace = Trace::new();
            trace.record(PLACE, What::Received, 0, 0, bytes);
            trace.digest()
        };
        assert_eq!(digest(b"123456789"), digest(b"123456789"));
        assert_ne!(digest(b"123456789"), digest(b"123456788"));
        assert_ne!(digest(b"12345678"), digest(b"02345678"));
    }
}
