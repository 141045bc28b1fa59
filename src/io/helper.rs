//! The one other thread: does what only waits for the disk, and shares no state with the loop.
//! Work goes there over a channel; answers come back over another, and wake the loop. What the
//! answers mean is decided elsewhere.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread;

use mio::Waker;

use crate::io::errands::{Done, Errands, Job};
use crate::io::scheduling::take_usual_share;

/// The loop's end of the two channels.
#[derive(Debug)]
pub(super) struct Helper {
    /// Bounded by their senders: a file is finished once, and a machine has few hashes and reads.
    jobs: Sender<Job>,
    done: Receiver<Done>,
    /// Jobs without an answer yet.
    under_way: usize,
    /// It is on a list of the reactor.
    pub(super) listed: bool,
}

impl Helper {
    /// Starts the thread. It ends when the helper is dropped.
    ///
    /// # Errors
    /// Out of threads.
    pub(super) fn start(waker: &Arc<Waker>) -> io::Result<Helper> {
        let waker = Arc::clone(waker);
        let (jobs, jobs_in) = channel();
        let (done_out, done) = channel();
        let work = move || work(&jobs_in, done_out, waker);
        thread::Builder::new().name("disk".to_owned()).spawn(work)?;
        Ok(Helper { jobs, done, under_way: 0, listed: false })
    }

    pub(super) fn give(&mut self, job: Job) {
        self.under_way += usize::from(job.is_answered());
        self.jobs.send(job).expect("the helper waits for work");
    }

    /// For what is not answered, from somebody who is not on the loop's path. The thread stays as long as this.
    pub(super) fn jobs(&self) -> Sender<Job> {
        self.jobs.clone()
    }

    /// The next answer, if one is there.
    pub(super) fn take(&mut self) -> Option<Done> {
        match self.done.try_recv() {
            Ok(done) => {
                self.under_way -= done.jobs();
                Some(done)
            }
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => panic!("the helper ended before the loop"),
        }
    }

    /// Jobs without an answer yet.
    pub(super) fn under_way(&self) -> usize {
        self.under_way
    }
}

/// Wakes the loop also when the thread ends by a panic, so that nobody waits for ever.
struct Bell(Arc<Waker>);

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

/// Takes what has come, does a part of it, answers, until nobody is there to do it for.
fn work(jobs: &Receiver<Job>, done: Sender<Done>, waker: Arc<Waker>) {
    take_usual_share();
    // Dropped the other way round: the loop must find the channel closed when it wakes.
    let (bell, done) = (Bell(waker), done);
    let mut errands = Errands::default();
    loop {
        if errands.is_empty() {
            let Ok(job) = jobs.recv() else { return };
            errands.add(job);
        }
        loop {
            match jobs.try_recv() {
                Ok(job) => errands.add(job),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return,
            }
        }
        let answers = errands.turn();
        if answers.is_empty() {
            continue;
        }
        if answers.into_iter().any(|answer| done.send(answer).is_err()) {
            return;
        }
        bell.ring();
    }
}
