//! Why a file did not come about, and how much of that is logged; decides nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use crate::proto::limits::{TROUBLE_LINES_MAX, TROUBLE_LINES_PERIOD, TROUBLE_SOURCES_MAX};
use crate::proto::time::Mono;
use crate::proto::upload::names::BadName;

/// Why a client was sent away before `go ahead`. Logged and counted by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// Its end came before its header's.
    HeaderCut,
    /// A header longer than any can be.
    HeaderTooLong,
    /// No whole header in [`HEADER_TIMEOUT`](crate::proto::limits::HEADER_TIMEOUT).
    HeaderTimeout,
    /// It went on after the pause that ends a header, and did not wait for `go ahead`.
    SpokeTooSoon,
    /// It left after its header, and did not wait for the answer.
    Left,
    /// It sends nothing after its header, and so cannot bring its file.
    Cut,
    /// Nothing is left of the name without its folders.
    NameEmpty,
    /// The name is `.` or `..`.
    NameDots,
    /// A zero byte in the name.
    NameZero,
    /// The name is not UTF-8.
    NameNotUtf8,
    /// Every name that it could get is taken: there are ten thousand files of that name.
    NameFull,
    /// Larger than any file may be.
    TooLarge,
    /// No room for it within the quota.
    OverQuota,
    /// Every place is taken by somebody who has begun a file.
    TooManyClients,
    /// Every place of its address is taken.
    TooManyOfAddress,
    /// It had waited longest without a whole header when all places were taken and somebody else came.
    MadeRoom,
    /// No room for it on the disk.
    DiskFull,
    /// The disk refused to make the file.
    DiskFailed,
    /// The program ends.
    Stopping,
}

impl Refusal {
    /// Each of them, in the order of their numbers.
    pub const ALL: [Refusal; 19] = [
        Refusal::HeaderCut,
        Refusal::HeaderTooLong,
        Refusal::HeaderTimeout,
        Refusal::SpokeTooSoon,
        Refusal::Left,
        Refusal::Cut,
        Refusal::NameEmpty,
        Refusal::NameDots,
        Refusal::NameZero,
        Refusal::NameNotUtf8,
        Refusal::NameFull,
        Refusal::TooLarge,
        Refusal::OverQuota,
        Refusal::TooManyClients,
        Refusal::TooManyOfAddress,
        Refusal::MadeRoom,
        Refusal::DiskFull,
        Refusal::DiskFailed,
        Refusal::Stopping,
    ];

    /// A limit that the operator has set or could lift by making room, or the disk; not what a client does wrong.
    pub(super) fn concerns_operator(self) -> bool {
        use Refusal::*;
        matches!(
            self,
            TooLarge | NameFull | OverQuota | TooManyClients | TooManyOfAddress | DiskFull | DiskFailed
        )
    }
}

/// Why a file was given up after `go ahead`. Logged and counted by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failure {
    /// The client ended before its file did.
    Cut,
    /// The connection broke.
    LinkLost,
    /// The client brought too little for too long.
    Stalled,
    /// The disk did not take its bytes.
    WriteFailed,
    /// All bytes came, but the file could not be brought to disk under its name.
    FinishFailed,
    /// The program ends.
    Stopping,
}

impl Failure {
    /// Each of them, in the order of their numbers.
    pub const ALL: [Failure; 6] = [
        Failure::Cut,
        Failure::LinkLost,
        Failure::Stalled,
        Failure::WriteFailed,
        Failure::FinishFailed,
        Failure::Stopping,
    ];

    pub(super) fn concerns_operator(self) -> bool {
        matches!(self, Failure::WriteFailed | Failure::FinishFailed)
    }
}

impl From<BadName> for Refusal {
    fn from(bad: BadName) -> Refusal {
        match bad {
            BadName::Empty => Refusal::NameEmpty,
            BadName::Dots => Refusal::NameDots,
            BadName::Zero => Refusal::NameZero,
            BadName::NotUtf8 => Refusal::NameNotUtf8,
        }
    }
}

/// What there was trouble with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Trouble {
    Refused(Refusal),
    Failed(Failure),
    /// A client sent more than its file.
    Excess,
}

/// Whether a line is to be logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Say {
    Yes,
    /// And the next ones are not.
    Last,
    No,
}

impl Trouble {
    /// There is no room, or the disk does not work: what no flood of anything else may hide.
    fn is_of_the_folder(self) -> bool {
        use Refusal::*;
        match self {
            Trouble::Refused(why) => matches!(why, OverQuota | DiskFull | DiskFailed),
            Trouble::Failed(why) => why.concerns_operator(),
            Trouble::Excess => false,
        }
    }
}

/// Lines that were not logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct HeldBack {
    pub(super) refused: u64,
    pub(super) failed: u64,
    pub(super) excess: u64,
}

impl fmt::Display for HeldBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "uploads unlogged refused={} failed={} excess={}", self.refused, self.failed, self.excess)
    }
}

/// How often each address was in the log for each trouble lately, so that bad clients cannot fill it.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// Trouble of the folder, and all other.
    said: [BTreeMap<(IpAddr, Trouble), Said>; 2],
    held_back: HeldBack,
}

#[derive(Debug)]
struct Said {
    since: Mono,
    lines: u32,
}

impl Lines {
    pub(super) fn say(&mut self, ip: IpAddr, trouble: Trouble, now: Mono) -> Say {
        let say = self.may_say(ip, trouble, now);
        if say == Say::No {
            *match trouble {
                Trouble::Refused(_) => &mut self.held_back.refused,
                Trouble::Failed(_) => &mut self.held_back.failed,
                Trouble::Excess => &mut self.held_back.excess,
            } += 1;
        }
        say
    }

    /// What was not said since this was asked the last time, if there was anything.
    pub(super) fn take_held_back(&mut self) -> Option<HeldBack> {
        Some(std::mem::take(&mut self.held_back)).filter(|held| *held != HeldBack::default())
    }

    fn may_say(&mut self, ip: IpAddr, trouble: Trouble, now: Mono) -> Say {
        let key = (ip, trouble);
        let table = &mut self.said[usize::from(!trouble.is_of_the_folder())];
        if table.len() >= TROUBLE_SOURCES_MAX && !table.contains_key(&key) {
            table.retain(|_, said| now < said.since + TROUBLE_LINES_PERIOD);
            if table.len() >= TROUBLE_SOURCES_MAX {
                return Say::No;
            }
        }
        let said = table.entry(key).or_insert(Said { since: now, lines: 0 });
        if now >= said.since + TROUBLE_LINES_PERIOD {
            *said = Said { since: now, lines: 0 };
        }
        if said.lines == TROUBLE_LINES_MAX {
            return Say::No;
        }
        said.lines += 1;
        if said.lines == TROUBLE_LINES_MAX { Say::Last } else { Say::Yes }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const CUT: Trouble = Trouble::Refused(Refusal::HeaderCut);

    #[test]
    fn numbers_are_places_in_the_list() {
        assert!(Refusal::ALL.iter().enumerate().all(|(place, refusal)| *refusal as usize == place));
        assert!(Failure::ALL.iter().enumerate().all(|(place, failure)| *failure as usize == place));
    }

    #[test]
    fn an_operator_hears_of_limits_and_the_disk_and_not_of_bad_clients() {
        use Refusal::*;
        for why in [TooLarge, NameFull, OverQuota, TooManyClients, TooManyOfAddress, DiskFull, DiskFailed] {
            assert!(why.concerns_operator(), "{why:?}");
        }
        for why in [HeaderCut, HeaderTooLong, HeaderTimeout, SpokeTooSoon, NameDots, NameZero, Cut, MadeRoom]
        {
            assert!(!why.concerns_operator(), "{why:?}");
        }
    }

    #[test]
    fn a_flood_of_one_address_is_some_lines_a_minute() {
        let mut lines = Lines::default();
        let (flood, other) = (IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let mut said = |ip, trouble, now| lines.say(ip, trouble, now);
        for line in 1..=TROUBLE_LINES_MAX {
            let expected = if line == TROUBLE_LINES_MAX { Say::Last } else { Say::Yes };
            assert_eq!(said(flood, CUT, Mono(line.into())), expected);
        }
        let later = Mono(1) + TROUBLE_LINES_PERIOD;
        assert_eq!(said(flood, CUT, Mono(later.0 - 1)), Say::No);
        assert_eq!(said(flood, Trouble::Failed(Failure::Cut), Mono(9)), Say::Yes);
        assert_eq!(said(other, CUT, Mono(9)), Say::Yes);
        assert_eq!(said(flood, CUT, later), Say::Yes);
    }

    #[test]
    fn a_flood_of_many_addresses_is_bounded_too() {
        let mut lines = Lines::default();
        let ip = |number: usize| IpAddr::V4(Ipv4Addr::from_bits(number as u32));
        let flood = |lines: &mut Lines, now| {
            let said = (0..10_000).map(|number| lines.say(ip(number), CUT, now));
            said.filter(|said| *said != Say::No).count()
        };
        assert_eq!(flood(&mut lines, Mono(0)), TROUBLE_SOURCES_MAX);
        assert_eq!(lines.said[1].len(), TROUBLE_SOURCES_MAX);
        let held_back = HeldBack { refused: 10_000 - TROUBLE_SOURCES_MAX as u64, ..HeldBack::default() };
        assert_eq!((lines.take_held_back(), lines.take_held_back()), (Some(held_back), None));
        for trouble in [Trouble::Refused(Refusal::OverQuota), Trouble::Refused(Refusal::DiskFull)] {
            assert_eq!(lines.say(ip(20_000), trouble, Mono(0)), Say::Yes, "it has lines of its own");
        }
        assert_eq!(flood(&mut lines, Mono(0) + TROUBLE_LINES_PERIOD), TROUBLE_SOURCES_MAX);
    }
}
