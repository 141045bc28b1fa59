//! The one other thread: does what only waits for the disk, and shares no state with the loop.
//! Work goes there over a channel; answers come back over another, and wake the loop. Never decides
//! what an answer means.

use std::io;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread;

use mio::{Registry, Waker};

use crate::io::finish::{Finish, Outcome, finish_all};
use crate::io::token::Source;
use crate::proto::ids::FileId;
use crate::proto::limits::FINISH_BATCH_MAX;

/// The loop's end of the two channels.
#[derive(Debug)]
pub(super) struct Helper {
    /// There are never more than open files: one is finished once.
    jobs: Sender<(Whose, Finish)>,
    done: Receiver<(Whose, Outcome)>,
    /// Jobs without an answer yet.
    under_way: usize,
    /// It is on a list of the reactor.
    pub(super) listed: bool,
}

/// Whose file it is: the place of a machine, and its name for the file.
pub(super) type Whose = (usize, FileId);

impl Helper {
    /// Starts the thread. It ends when the helper is dropped and its work is done.
    ///
    /// # Errors
    /// Out of descriptors or threads.
    pub(super) fn start(registry: &Registry) -> io::Result<Helper> {
        let waker = Waker::new(registry, Source::Helper.token())?;
        let (jobs, jobs_in) = channel();
        let (done_out, done) = channel();
        let work = move || work(&jobs_in, done_out, waker);
        thread::Builder::new().name("disk".to_owned()).spawn(work)?;
        Ok(Helper { jobs, done, under_way: 0, listed: false })
    }

    pub(super) fn give(&mut self, whose: Whose, job: Finish) {
        self.under_way += 1;
        self.jobs.send((whose, job)).expect("the helper waits for work");
    }

    /// The next answer, if one is there.
    pub(super) fn take(&mut self) -> Option<(Whose, Outcome)> {
        match self.done.try_recv() {
            Ok(done) => {
                self.under_way -= 1;
                Some(done)
            }
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => panic!("the helper ended before the loop"),
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.under_way == 0
    }
}

/// Wakes the loop also when the thread ends by a panic, so that nobody waits for ever.
struct Bell(Waker);

impl Bell {
    fn ring(&self) {
        // It fails only without the loop.
        let _ = self.0.wake();
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        self.ring();
    }
}

/// Finishes everything that waits, in one go, until there is nobody to do it for.
fn work(jobs: &Receiver<(Whose, Finish)>, done: Sender<(Whose, Outcome)>, waker: Waker) {
    // Dropped in this order: the loop must find the channel closed when it wakes.
    let (bell, done) = (Bell(waker), done);
    while let Ok(first) = jobs.recv() {
        let (whose, files): (Vec<Whose>, Vec<Finish>) =
            std::iter::once(first).chain(jobs.try_iter()).take(FINISH_BATCH_MAX).unzip();
        let outcomes = finish_all(&files);
        // With the files their locks go: whoever hears of it may open the same name.
        drop(files);
        for outcome in whose.into_iter().zip(outcomes) {
            if done.send(outcome).is_err() {
                return;
            }
        }
        bell.ring();
    }
}
