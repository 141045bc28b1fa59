//! How many bytes the folder has and may have: what is stored, what is promised to files on their way, and when to
//! count anew. Never counts itself.

use crate::proto::limits::SURVEY_PAUSE;
use crate::proto::machine::counted_bytes;
use crate::proto::time::Mono;

/// Room in the folder.
#[derive(Debug)]
pub(super) struct Quota {
    bytes_max: u64,
    /// Of files that are whole, as they were counted and what was stored since.
    stored_bytes: u64,
    /// Of files that have been begun, in full.
    reserved_bytes: u64,
    count: Count,
    /// When the next count may begin.
    next_count: Mono,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Count {
    /// Nobody waits for one.
    Idle,
    /// Somebody does; it begins when its time has come.
    Due,
    /// It was asked for.
    UnderWay,
}

/// What is to be done for somebody who waits for a count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Ask for it.
    Ask,
    /// Come back then.
    At(Mono),
    /// Nothing: it is on its way.
    Wait,
}

impl Quota {
    pub(super) fn new(bytes_max: u64) -> Quota {
        Quota { bytes_max, stored_bytes: 0, reserved_bytes: 0, count: Count::Idle, next_count: Mono(0) }
    }

    /// What is promised to files on their way, each as [`counted_bytes`] has it.
    pub(super) fn reserved_bytes(&self) -> u64 {
        self.reserved_bytes
    }

    /// So much could never be stored.
    pub(super) fn is_beyond(&self, bytes: u64) -> bool {
        counted_bytes(bytes) > self.bytes_max
    }

    /// Promises room for a file of so many bytes, if there is as much as far as is known.
    pub(super) fn reserve(&mut self, bytes: u64) -> bool {
        let bytes = counted_bytes(bytes);
        let taken = self.stored_bytes.saturating_add(self.reserved_bytes);
        let fits = self.bytes_max.checked_sub(taken).is_some_and(|free| bytes <= free);
        if fits {
            self.reserved_bytes += bytes;
        }
        fits
    }

    /// A file that had room is given up.
    pub(super) fn give_back(&mut self, bytes: u64) {
        self.reserved_bytes -= counted_bytes(bytes);
    }

    /// A file that had room is in the folder.
    pub(super) fn store(&mut self, bytes: u64) {
        self.reserved_bytes -= counted_bytes(bytes);
        self.stored_bytes = self.stored_bytes.saturating_add(counted_bytes(bytes));
    }

    /// The folder has so much, with each file that was said to be stored, and no other.
    pub(super) fn counted(&mut self, bytes: Option<u64>) {
        self.count = Count::Idle;
        self.stored_bytes = bytes.unwrap_or(self.stored_bytes);
    }

    /// Somebody waits for a count.
    pub(super) fn want_count(&mut self, now: Mono) -> Next {
        match self.count {
            Count::Idle if now >= self.next_count => self.ask(now),
            Count::Idle => {
                self.count = Count::Due;
                Next::At(self.next_count)
            }
            Count::Due | Count::UnderWay => Next::Wait,
        }
    }

    /// The time has come.
    pub(super) fn ask(&mut self, now: Mono) -> Next {
        self.count = Count::UnderWay;
        self.next_count = now + SURVEY_PAUSE;
        Next::Ask
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::limits::COUNTED_BYTES_MIN;

    #[test]
    fn room_is_promised_once() {
        let mut quota = Quota::new(100_000);
        assert!(quota.is_beyond(100_001) && !quota.is_beyond(100_000));
        quota.counted(Some(40_000));
        assert!(!quota.reserve(60_001) && !quota.reserve(u64::MAX) && quota.reserve(50_000));
        assert!(!quota.reserve(10_001));
        quota.store(20_000);
        assert!(!quota.reserve(10_001) && quota.reserve(10_000));
        quota.give_back(30_000);
        assert!(quota.reserve(30_000) && !quota.reserve(1) && !quota.reserve(0));
        quota.counted(Some(1_000_000));
        assert!(!quota.reserve(0), "others have put more there than there may be");
        quota.counted(None);
        assert!(!quota.reserve(0));
        quota.counted(Some(u64::MAX));
        assert!(!quota.reserve(1));
    }

    #[test]
    fn a_file_takes_room_however_short_it_is() {
        let mut quota = Quota::new(3 * COUNTED_BYTES_MIN - 1);
        assert!(quota.reserve(0) && quota.reserve(1) && !quota.reserve(0));
        quota.store(0);
        assert!(!quota.reserve(0));
        quota.give_back(1);
        assert!(quota.reserve(COUNTED_BYTES_MIN) && !quota.reserve(0));
        assert!(Quota::new(COUNTED_BYTES_MIN - 1).is_beyond(0));
    }

    #[test]
    fn one_count_for_all_who_wait_and_not_too_often() {
        let mut quota = Quota::new(100);
        assert_eq!(quota.want_count(Mono(5)), Next::Ask);
        assert_eq!(quota.want_count(Mono(6)), Next::Wait);
        quota.counted(Some(7));
        let then = Mono(5) + SURVEY_PAUSE;
        assert_eq!(quota.want_count(Mono(7)), Next::At(then));
        assert_eq!(quota.want_count(Mono(8)), Next::Wait);
        assert_eq!(quota.ask(then), Next::Ask);
        assert_eq!(quota.want_count(then), Next::Wait);
    }
}
