//! What a node's disk does behind the loop's back: it begins a while after it was asked, and is
//! answered a while after it is done, both as the seed has it. Never knows what is in a file.

use crate::proto::ids::FileId;
use crate::proto::machine::FileOp;
use crate::sim::files::{Handle, Stage, finish_on};
use crate::sim::kernel::{Answer, Event, Kernel};
use crate::sim::node::MachineId;

/// Something that a disk does for a machine.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) machine: MachineId,
    file: FileId,
    step: Step,
}

#[derive(Debug)]
enum Step {
    Finish,
    /// It is done, and the machine does not know.
    Answer(Answer),
}

/// How long each step of a job takes at most, and how often one takes how much longer.
const STEP_NS: u64 = 5_000_000;
const SLOW_STEP_CHANCE: f64 = 1.0 / 32.0;
const SLOW_STEP_NS: u64 = 500_000_000;

impl Kernel {
    pub(super) fn finish(&mut self, machine: MachineId, file: FileId) {
        let Some((_, handle)) = self.opened(machine, file) else { return };
        let partial = match (handle.broken, handle.stage) {
            (_, Stage::Finishing { .. }) => return,
            (_, Stage::Finished) => return self.answer(machine, Answer::Finished { file, moved: None }),
            (Some(error), _) => {
                return self.answer(machine, Answer::FileFailed { file, op: FileOp::Finish, error });
            }
            (None, stage) => stage == Stage::Partial,
        };
        handle.stage = Stage::Finishing { partial, released: false };
        self.begin_job(Job { machine, file, step: Step::Finish });
    }

    /// The node on which a job is done, if it was not given up.
    pub(super) fn job_machine(&self, number: u64) -> Option<MachineId> {
        self.jobs.get(&number).map(|job| job.machine)
    }

    /// The next step of a job.
    pub(super) fn on_job(&mut self, number: u64) {
        let Some(Job { machine, file, step }) = self.jobs.remove(&number) else { return };
        if let Some(job) = self.step_job(machine, file, step) {
            self.begin_job(job);
        }
    }

    /// A machine exits: its process stays until the disk has what it was given.
    pub(super) fn end_jobs(&mut self, machine: MachineId) {
        while let Some(number) = self.first_job_of(machine) {
            let Job { file, step, .. } = self.jobs.remove(&number).expect("it was found");
            if let Some(Job { step, .. }) = self.step_job(machine, file, step) {
                self.step_job(machine, file, step);
            }
        }
    }

    /// A machine is killed: what its disk has not begun with never happens.
    pub(super) fn drop_jobs(&mut self, machine: MachineId) {
        self.jobs.retain(|_, job| job.machine != machine);
    }

    fn first_job_of(&self, machine: MachineId) -> Option<u64> {
        self.jobs.iter().find(|(_, job)| job.machine == machine).map(|(number, _)| *number)
    }

    fn begin_job(&mut self, job: Job) {
        let longest_ns = if self.rng.chance(SLOW_STEP_CHANCE) { SLOW_STEP_NS } else { STEP_NS };
        let at_ns = self.now_ns + self.rng.below(longest_ns) + self.disk_of(job.machine).slow_ns();
        self.jobs_begun += 1;
        self.jobs.insert(self.jobs_begun, job);
        self.queue.push(at_ns, Event::Disk(self.jobs_begun));
    }

    /// Does one step, and returns the next one.
    fn step_job(&mut self, machine: MachineId, file: FileId, step: Step) -> Option<Job> {
        let (disk, handle) = self.handle(machine, file).expect("a file stays until its jobs are done");
        match step {
            Step::Finish => {
                let answer = match finish_on(disk, handle) {
                    Ok(moved) => Answer::Finished { file, moved },
                    Err(error) => Answer::FileFailed { file, op: FileOp::Finish, error },
                };
                Some(Job { machine, file, step: Step::Answer(answer) })
            }
            Step::Answer(answer) => {
                if handle.conclude(matches!(answer, Answer::Finished { .. })) {
                    self.release(machine, file);
                }
                self.answer(machine, answer);
                None
            }
        }
    }
}

impl Handle {
    /// The end of a finish. True if the machine has released the file meanwhile.
    fn conclude(&mut self, is_finished: bool) -> bool {
        let Stage::Finishing { partial, released } = self.stage else {
            unreachable!("it was being finished")
        };
        self.stage = match partial {
            _ if is_finished => Stage::Finished,
            false => Stage::Named,
            true => Stage::Partial,
        };
        released
    }
}
