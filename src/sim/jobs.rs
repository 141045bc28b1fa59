//! What a node's disk does behind the loop's back: it begins a while after it was asked, and is
//! answered a while after it is done, both as the seed has it. Never knows what is in a file.

use std::collections::BTreeSet;
use std::io::ErrorKind;

use crate::proto::ids::FileId;
use crate::proto::limits::{CHUNK_READ_BYTES_MAX, DISK_JOBS_MAX};
use crate::proto::machine::{FileOp, Secret};
use crate::sim::disk::{Disk, Inode};
use crate::sim::files::{Handle, Stage, finish_on};
use crate::sim::kernel::{Answer, Event, Kernel};
use crate::sim::node::MachineId;

/// Something that a disk does for a machine.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) machine: MachineId,
    file: FileId,
    /// Neither a hash nor a read.
    is_finish: bool,
    step: Step,
}

#[derive(Debug)]
enum Step {
    Finish,
    /// A hash or a read.
    Read {
        op: FileOp,
        offset: u64,
        len: u64,
    },
    /// It is done, and the machine does not know.
    Answer(Answer),
}

impl Step {
    /// The file has its name and is on disk; the machine does not know.
    fn is_finished(&self) -> bool {
        matches!(self, Step::Answer(Answer::Finished { .. }))
    }
}

/// How long each step of a job takes at most, and how often one takes how much longer.
const STEP_NS: u64 = 5_000_000;
const SLOW_STEP_CHANCE: f64 = 1.0 / 32.0;
const SLOW_STEP_NS: u64 = 500_000_000;

impl Kernel {
    /// A password is hashed; the machine hears of it a while later.
    pub(super) fn derive(&mut self, machine: MachineId, job: u64, key: [u8; 32]) {
        self.processes[machine.at()].derived.push_back((job, Secret(key)));
        let at_ns = self.now_ns + self.rng.below(STEP_NS);
        self.queue.push(at_ns, Event::Derived(machine));
    }

    pub(super) fn on_derived(&mut self, machine: MachineId) {
        if let Some((job, key)) = self.processes[machine.at()].derived.pop_front() {
            self.answer(machine, Answer::Derived { job, key });
        }
    }

    /// A while later, a machine is told what is in its folder.
    pub(super) fn survey(&mut self, machine: MachineId, files_max: usize) {
        self.processes[machine.at()].surveys.push_back(files_max);
        let at_ns = self.now_ns + self.rng.below(STEP_NS) + self.disk_of(machine).slow_ns();
        self.queue.push(at_ns, Event::Survey(machine));
    }

    /// What is finished and was not told comes later, so it does not count.
    pub(super) fn on_survey(&mut self, machine: MachineId) {
        let files_max = self.processes[machine.at()].surveys.pop_front();
        let Some(files_max) = files_max.filter(|_| self.is_running(machine)) else { return };
        let finished = |job: &&Job| job.machine == machine && job.is_finish && job.step.is_finished();
        let files: Vec<FileId> = self.jobs.values().filter(finished).map(|job| job.file).collect();
        let inodes = files.iter().map(|file| self.processes[machine.at()].files[file].inode);
        let untold: BTreeSet<Inode> = inodes.collect();
        let now = self.clocks(self.node_of(machine)).wall;
        let answer = match self.disk_of(machine).survey(files_max, now, &untold) {
            Ok(surveyed) => Answer::Surveyed(surveyed),
            Err(error) => Answer::SurveyFailed { error },
        };
        self.answer(machine, answer);
    }

    pub(super) fn finish(&mut self, machine: MachineId, file: FileId) {
        let Some((_, handle)) = self.opened(machine, file) else { return };
        match (handle.stage, handle.holes.error()) {
            (Stage::Finishing { .. }, _) => {}
            (Stage::Finished, _) => self.answer(machine, Answer::Finished { file, moved: None }),
            (Stage::Open, Some(error)) => self.job_failed(machine, file, FileOp::Finish, 0, error),
            (Stage::Open, None) => {
                handle.stage = Stage::Finishing { released: false };
                self.begin_job(Job { machine, file, is_finish: true, step: Step::Finish });
            }
        }
    }

    /// A hash or a read.
    pub(super) fn read(&mut self, machine: MachineId, file: FileId, op: FileOp, offset: u64, len: u64) {
        if self.opened(machine, file).is_none() {
            return;
        }
        let reads = self.jobs.values().filter(|job| job.machine == machine && !job.is_finish).count();
        if op == FileOp::Read && len > CHUNK_READ_BYTES_MAX {
            self.job_failed(machine, file, op, offset, ErrorKind::InvalidInput);
        } else if reads >= DISK_JOBS_MAX {
            self.job_failed(machine, file, op, offset, ErrorKind::ResourceBusy);
        } else {
            let step = Step::Read { op, offset, len };
            self.begin_job(Job { machine, file, is_finish: false, step });
        }
    }

    /// A file is open, or is not, once room was set aside for it: that is quick, but takes its time.
    pub(super) fn answer_late(&mut self, machine: MachineId, file: FileId, answer: Answer) {
        if self.opened(machine, file).is_none() {
            return self.answer(machine, answer);
        }
        let job = Job { machine, file, is_finish: false, step: Step::Answer(answer) };
        self.add_job(job, STEP_NS);
    }

    fn job_failed(&mut self, machine: MachineId, file: FileId, op: FileOp, offset: u64, error: ErrorKind) {
        self.answer(machine, Answer::FileFailed { file, op, offset, error });
    }

    /// Nobody wants to know any more what is in a file.
    pub(super) fn drop_reads(&mut self, machine: MachineId, file: FileId) {
        self.jobs.retain(|_, job| job.machine != machine || job.file != file || job.is_finish);
    }

    /// The node on which a job is done, if it was not given up.
    pub(super) fn job_machine(&self, number: u64) -> Option<MachineId> {
        self.jobs.get(&number).map(|job| job.machine)
    }

    /// The next step of a job.
    pub(super) fn on_job(&mut self, number: u64) {
        if let Some(job) = self.jobs.remove(&number)
            && let Some(job) = self.step_job(job)
        {
            self.begin_job(job);
        }
    }

    /// A machine exits: its process stays until the disk has what it was given.
    pub(super) fn end_jobs(&mut self, machine: MachineId) {
        while let Some(number) = self.first_job_of(machine) {
            let mut job = self.jobs.remove(&number);
            while let Some(next) = job.take_if(|job| job.is_finish) {
                job = self.step_job(next);
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
        self.add_job(job, longest_ns);
    }

    fn add_job(&mut self, job: Job, longest_ns: u64) {
        let at_ns = self.now_ns + self.rng.below(longest_ns) + self.disk_of(job.machine).slow_ns();
        self.jobs_begun += 1;
        self.jobs.insert(self.jobs_begun, job);
        self.queue.push(at_ns, Event::Disk(self.jobs_begun));
    }

    /// Does one step, and returns the next one.
    fn step_job(&mut self, job: Job) -> Option<Job> {
        let Job { machine, file, is_finish, step } = job;
        let (disk, handle) = self.handle(machine, file).expect("a file stays until its jobs are done");
        let answer = match step {
            Step::Finish => match finish_on(disk, handle) {
                Ok(moved) => Answer::Finished { file, moved },
                Err(error) => Answer::FileFailed { file, op: FileOp::Finish, offset: 0, error },
            },
            Step::Read { op, offset, len } => match read_on(disk, handle, op, offset, len) {
                Ok(bytes) if op == FileOp::Hash => Answer::Hashed { file, offset, hash: blake3::hash(bytes) },
                Ok(bytes) => Answer::Read { file, offset, bytes: bytes.to_vec() },
                Err(error) => Answer::FileFailed { file, op, offset, error },
            },
            Step::Answer(answer) => {
                if is_finish && handle.conclude(matches!(answer, Answer::Finished { .. })) {
                    self.release(machine, file);
                }
                self.answer(machine, answer);
                return None;
            }
        };
        Some(Job { machine, file, is_finish, step: Step::Answer(answer) })
    }
}

fn read_on<'a>(
    disk: &'a Disk,
    handle: &Handle,
    op: FileOp,
    offset: u64,
    len: u64,
) -> Result<&'a [u8], ErrorKind> {
    if let Some(error) = disk.failure(op) {
        return Err(error);
    }
    let len = usize::try_from(len).map_err(|_| ErrorKind::UnexpectedEof)?;
    let bytes = disk.read_range(handle.inode, offset, len).ok_or(ErrorKind::Other)?;
    if bytes.len() == len { Ok(bytes) } else { Err(ErrorKind::UnexpectedEof) }
}

impl Handle {
    /// The end of a finish. True if the machine has released the file meanwhile.
    fn conclude(&mut self, is_finished: bool) -> bool {
        let released = self.stage == Stage::Finishing { released: true };
        self.stage = if is_finished { Stage::Finished } else { Stage::Open };
        released
    }
}
