//! Deleted files that the helper is still to close, and fresh ones that are not opened before it has: each holds a
//! descriptor and room on the disk, and whoever begins files and leaves may be faster than the helper. Closes none itself.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::io::effects::Hands;
use crate::io::errands::{Job, Whose};
use crate::io::open_file::Handle;
use crate::io::reactor::Reactor;
use crate::proto::limits::{LET_GO_LOOK_PERIOD, LET_GO_WAITING_MAX, POSTPONED_OPENS_A_TURN};
use crate::proto::machine::OpenMode;
use crate::proto::time::Mono;

/// What waits for the helper, and what for that.
#[derive(Debug, Default)]
pub(super) struct LettingGo {
    /// Deleted files that the helper has not closed yet.
    files: usize,
    /// Deleted files that links still send from, or the helper is at: the last handle must not go with one of those. Bounded by
    /// what links may have queued. Fresh files do not wait for these: a reader may take as long as it likes.
    in_use: Vec<Arc<Handle>>,
    /// When those are looked at again.
    look_at: Mono,
    /// Bounded by the machines: each asks for a file once, and waits for the answer.
    opens: VecDeque<Open>,
}

/// A fresh file that will be opened.
#[derive(Debug)]
struct Open {
    whose: Whose,
    path: Box<str>,
    mode: OpenMode,
}

impl LettingGo {
    /// Whether this file has to wait. Then it is opened later, unless it is forgotten.
    pub(super) fn postpone(&mut self, whose: Whose, path: &str, mode: OpenMode) -> bool {
        let waits = self.files >= LET_GO_WAITING_MAX || !self.opens.is_empty();
        let waits = waits && matches!(mode, OpenMode::Fresh { .. });
        if waits {
            self.opens.push_back(Open { whose, path: path.into(), mode });
        }
        waits
    }

    /// The machine does not want that file any more.
    pub(super) fn forget(&mut self, whose: Whose) {
        self.opens.retain(|open| open.whose != whose);
    }

    /// That machine has ended.
    pub(super) fn forget_all(&mut self, machine: usize) {
        self.opens.retain(|open| open.whose.0 != machine);
    }

    /// The helper has closed some.
    pub(super) fn on_gone(&mut self, files: usize) {
        self.files -= files;
    }

    /// When it is looked whether others have let go of a deleted file.
    pub(super) fn next_look(&self) -> Option<Mono> {
        (!self.in_use.is_empty()).then_some(self.look_at)
    }

    /// Whether there is a file that can be opened now.
    pub(super) fn is_due(&self) -> bool {
        self.files < LET_GO_WAITING_MAX && !self.opens.is_empty()
    }
}

impl Reactor {
    /// Deleted files take the file system long when the last handle goes, so that is the helper's.
    pub(super) fn let_go(&mut self, machine: usize) {
        let nameless = self.seats[machine].disk.take_nameless();
        let (unused, in_use): (Vec<_>, Vec<_>) = nameless.into_iter().partition(is_unused);
        self.letting_go.in_use.extend(in_use);
        self.close_later(unused);
    }

    /// The same for those that nobody else has any more. Nobody says so: they are looked at now and again.
    pub(super) fn let_go_unused(&mut self) {
        let Some(at) = self.letting_go.next_look() else { return };
        let now = self.clock.mono();
        if at <= now {
            self.letting_go.look_at = now + LET_GO_LOOK_PERIOD;
            let unused = self.letting_go.in_use.extract_if(.., |handle| is_unused(handle)).collect();
            self.close_later(unused);
        }
    }

    fn close_later(&mut self, handles: Vec<Arc<Handle>>) {
        self.letting_go.files += handles.len();
        handles.into_iter().for_each(|handle| self.hand_over(Job::LetGo(handle)));
    }

    /// Opens what waited and need not any more, a few each turn.
    pub(super) fn open_postponed(&mut self) {
        for _ in 0..POSTPONED_OPENS_A_TURN {
            if !self.letting_go.is_due() {
                return;
            }
            let Some(Open { whose: (machine, file), path, mode }) = self.letting_go.opens.pop_front() else {
                return;
            };
            Hands { reactor: self, machine }.open(file, &path, mode, "");
        }
    }
}

/// Whether only we have it.
fn is_unused(handle: &Arc<Handle>) -> bool {
    Arc::strong_count(handle) == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A link that sends from a deleted file may be done long after the machine: the handle must not go with it, on the loop.
    #[test]
    fn the_last_handle_of_a_deleted_file_goes_to_the_helper() {
        let mut reactor = Reactor::new().unwrap();
        let handle = Arc::new(Handle::from(tempfile::tempfile().unwrap()));
        let of_a_link = Arc::clone(&handle);
        let other = Arc::new(Handle::from(tempfile::tempfile().unwrap()));
        reactor.letting_go.in_use.extend([handle, other]);
        reactor.let_go_unused();
        assert_eq!((reactor.letting_go.files, reactor.letting_go.in_use.len()), (1, 1));
        drop(of_a_link);
        // Not in each turn: there may be thousands.
        reactor.letting_go.look_at = Mono(u64::MAX);
        reactor.let_go_unused();
        assert_eq!((reactor.letting_go.files, reactor.letting_go.in_use.len()), (1, 1));
        reactor.letting_go.look_at = Mono(0);
        reactor.let_go_unused();
        assert_eq!((reactor.letting_go.files, reactor.letting_go.next_look()), (2, None));
    }
}
