//! The files that machines have open: what each effect on one does to the disk, and the answer.

use std::io::ErrorKind;

use crate::proto::ids::FileId;
use crate::proto::limits::{FRESH_TRIES_MAX, RESERVE_BYTES_MIN};
use crate::proto::machine::{FileOp, Holes, OpenMode, numbered_name, temp_name};
use crate::sim::disk::{Disk, Inode, PARTIAL_SUFFIX};
use crate::sim::kernel::{Answer, Kernel};
use crate::sim::node::MachineId;

/// A file that a machine has open.
#[derive(Debug)]
pub(super) struct Handle {
    pub(super) inode: Inode,
    /// The name that it has, or will have.
    name: String,
    aside: String,
    mode: OpenMode,
    pub(super) stage: Stage,
    /// While there are any, it must not look finished.
    pub(super) holes: Holes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// It can be written to.
    Open,
    /// The disk is at it. `released`: for the machine it is gone already.
    Finishing { released: bool },
    /// It is on disk, and only read from now on.
    Finished,
}

impl Kernel {
    pub(super) fn open(&mut self, machine: MachineId, file: FileId, path: &str, mode: OpenMode, aside: &str) {
        let answer = match open_on(self.disk_of(machine), path, mode, aside) {
            Ok((handle, moved)) => {
                let bytes = self.disk_of(machine).len_of(handle.inode);
                let older = self.processes[machine.at()].files.insert(file, handle);
                assert!(older.is_none(), "{file:?} of {machine:?} is used again");
                Answer::FileReady { file, bytes, moved }
            }
            Err(error) => Answer::FileFailed { file, op: FileOp::Open, offset: 0, error },
        };
        self.touch(machine, file);
        let is_late = match mode {
            OpenMode::Resume { reserve, .. } => reserve,
            // Setting little aside may be quick.
            OpenMode::Fresh { bytes, .. } => bytes >= RESERVE_BYTES_MIN || self.rng.chance(0.5),
            OpenMode::Named | OpenMode::Partial | OpenMode::Existing => false,
        };
        if is_late { self.answer_late(machine, file, answer) } else { self.answer(machine, answer) }
    }

    pub(super) fn set_aside(&mut self, machine: MachineId, file: FileId, path: &str, aside: &str) {
        let disk = self.disk_of(machine);
        let moved = match disk.failure(FileOp::SetAside) {
            Some(error) => Err(error),
            None if !is_inside(path) || !is_inside(aside) => Err(ErrorKind::InvalidInput),
            None => disk.set_aside(path, aside),
        };
        let answer = match moved {
            Ok(moved) => Answer::FileReady { file, bytes: 0, moved },
            Err(error) => Answer::FileFailed { file, op: FileOp::SetAside, offset: 0, error },
        };
        self.answer(machine, answer);
    }

    pub(super) fn append(&mut self, machine: MachineId, file: FileId, bytes: &[u8]) {
        let Some((disk, handle)) = self.opened(machine, file) else { return };
        let answer = match handle.check(disk, FileOp::Append).and_then(|()| disk.append(handle.inode, bytes))
        {
            Ok(()) => Answer::Appended { file },
            Err(error) => Answer::FileFailed { file, op: FileOp::Append, offset: 0, error },
        };
        self.answer(machine, answer);
    }

    pub(super) fn write_at(&mut self, machine: MachineId, file: FileId, offset: u64, bytes: &[u8]) {
        self.touch(machine, file);
        let Some((disk, handle)) = self.opened(machine, file) else { return };
        let written = handle.check(disk, FileOp::WriteAt);
        match written.and_then(|()| disk.write_at(handle.inode, offset, bytes)) {
            Ok(()) => handle.holes.fill(offset, bytes.len() as u64),
            Err(error) => {
                if handle.stage == Stage::Open {
                    handle.holes.add(offset, bytes.len() as u64, error);
                }
                self.answer(machine, Answer::FileFailed { file, op: FileOp::WriteAt, offset, error });
            }
        }
    }

    /// A file that is being finished stays until that is done.
    pub(super) fn release(&mut self, machine: MachineId, file: FileId) {
        self.drop_reads(machine, file);
        let Some((_, handle)) = self.handle(machine, file) else { return };
        if let Stage::Finishing { released } = &mut handle.stage {
            *released = true;
            return;
        }
        let process = &mut self.processes[machine.at()];
        if let Some(handle) = process.files.remove(&file) {
            let disk = &mut self.nodes[process.node.at()].disk;
            let path = handle.unfinished_path();
            let deleted = match handle.mode {
                OpenMode::Partial | OpenMode::Fresh { .. } => true,
                OpenMode::Resume { .. } => disk.len_of(handle.inode) == 0,
                OpenMode::Named | OpenMode::Existing => false,
            };
            if deleted && handle.stage == Stage::Open && disk.names_inode(&path, handle.inode) {
                disk.remove(&path);
            }
            disk.release(handle.inode);
        }
    }

    /// An orderly end: what was to be finished is, and other partials are deleted.
    pub(super) fn release_all(&mut self, machine: MachineId) {
        self.end_jobs(machine);
        self.end_orders(machine);
        let files: Vec<FileId> = self.processes[machine.at()].files.keys().copied().collect();
        for file in files {
            self.release(machine, file);
        }
    }

    /// A sudden end: partials stay.
    pub(super) fn drop_all(&mut self, machine: MachineId) {
        self.drop_jobs(machine);
        self.drop_orders(machine);
        for handle in std::mem::take(&mut self.processes[machine.at()].files).into_values() {
            self.disk_of(machine).release(handle.inode);
        }
    }

    pub(super) fn inode(&self, machine: MachineId, file: FileId) -> Option<Inode> {
        let handle = self.processes[machine.at()].files.get(&file)?;
        (!handle.is_released()).then_some(handle.inode)
    }

    /// A file that the machine has open.
    pub(super) fn opened(&mut self, machine: MachineId, file: FileId) -> Option<(&mut Disk, &mut Handle)> {
        self.handle(machine, file).filter(|(_, handle)| !handle.is_released())
    }

    /// Also one that it has released already.
    pub(super) fn handle(&mut self, machine: MachineId, file: FileId) -> Option<(&mut Disk, &mut Handle)> {
        let process = &mut self.processes[machine.at()];
        let disk = &mut self.nodes[process.node.at()].disk;
        Some((disk, process.files.get_mut(&file)?))
    }

    /// The file system notes when a file that is new was written to.
    fn touch(&mut self, machine: MachineId, file: FileId) {
        let at = self.clocks(self.node_of(machine)).wall;
        if let Some((disk, handle)) = self.opened(machine, file)
            && let (OpenMode::Fresh { .. }, Stage::Open) = (handle.mode, handle.stage)
        {
            disk.touch(handle.inode, at);
        }
    }

    pub(super) fn disk_of(&mut self, machine: MachineId) -> &mut Disk {
        let node = self.node_of(machine);
        &mut self.nodes[node.at()].disk
    }
}

impl Handle {
    /// Whether such a write can be tried at all.
    fn check(&self, disk: &Disk, op: FileOp) -> Result<(), ErrorKind> {
        match (disk.failure(op), self.stage) {
            (Some(error), _) => Err(error),
            (None, Stage::Finishing { .. } | Stage::Finished) => Err(ErrorKind::PermissionDenied),
            (None, Stage::Open) => Ok(()),
        }
    }

    fn is_released(&self) -> bool {
        self.stage == Stage::Finishing { released: true }
    }

    /// What it is called until it is finished, if that is another name.
    fn unfinished_path(&self) -> String {
        match self.mode {
            OpenMode::Fresh { tag, .. } => temp_name(&self.name, tag),
            _ => format!("{}{PARTIAL_SUFFIX}", self.name),
        }
    }
}

type Opened = (Handle, Option<Box<str>>);

fn open_on(disk: &mut Disk, path: &str, mode: OpenMode, aside: &str) -> Result<Opened, ErrorKind> {
    if let Some(error) = disk.failure(FileOp::Open) {
        return Err(error);
    }
    let has_aside = !matches!(mode, OpenMode::Existing | OpenMode::Fresh { .. });
    if !is_inside(path) || (has_aside && !is_inside(aside)) {
        return Err(ErrorKind::InvalidInput);
    }
    let mut stage = Stage::Open;
    let mut moved = None;
    let partial_path = format!("{path}{PARTIAL_SUFFIX}");
    let inode = match mode {
        OpenMode::Existing => {
            stage = Stage::Finished;
            let folder = disk.check_place(path) == Err(ErrorKind::AlreadyExists);
            disk.find(path).ok_or(if folder { ErrorKind::IsADirectory } else { ErrorKind::NotFound })?
        }
        OpenMode::Fresh { bytes, tag } => {
            let temp_path = temp_name(path, tag);
            disk.check_place(&temp_path)?;
            if disk.exists(&temp_path) {
                return Err(ErrorKind::AlreadyExists);
            }
            // The others are looked at only then: it takes long.
            if disk.exists(&numbered_name(path, FRESH_TRIES_MAX)) && free_name(disk, path).is_none() {
                return Err(ErrorKind::TooManyLinks);
            }
            let inode = disk.create(&temp_path);
            disk.set_room_aside(inode, bytes).inspect_err(|_| disk.remove(&temp_path))?;
            inode
        }
        OpenMode::Named => {
            disk.check_place(path)?;
            moved = disk.move_aside(path, aside)?;
            disk.create(path)
        }
        OpenMode::Partial | OpenMode::Resume { .. } => {
            disk.check_place(path)?;
            if disk.is_open(&partial_path) {
                return Err(ErrorKind::ResourceBusy);
            }
            match (mode, disk.find(&partial_path)) {
                (OpenMode::Resume { bytes, .. }, Some(left)) => {
                    disk.cut(left, bytes);
                    disk.set_disturbed(left, false);
                    left
                }
                _ => disk.create(&partial_path),
            }
        }
    };
    disk.hold(inode);
    let (name, aside) = (path.to_owned(), aside.to_owned());
    Ok((Handle { inode, name, aside, mode, stage, holes: Holes::default() }, moved))
}

/// The first numbered name that a file can get.
fn free_name(disk: &Disk, name: &str) -> Option<String> {
    let mut names = (0..=FRESH_TRIES_MAX).map(|number| numbered_name(name, number));
    names.find(|name| !disk.exists(name) && disk.check_place(name).is_ok())
}

/// Brings a file to disk, and one that has another name until then under its name.
pub(super) fn finish_on(disk: &mut Disk, handle: &mut Handle) -> Result<Option<Box<str>>, ErrorKind> {
    if let Some(error) = disk.failure(FileOp::Finish) {
        return Err(error);
    }
    let mut moved = None;
    if handle.mode != OpenMode::Named {
        let unfinished_path = handle.unfinished_path();
        if !disk.names_inode(&unfinished_path, handle.inode) {
            return Err(ErrorKind::NotFound);
        }
        if let OpenMode::Fresh { .. } = handle.mode {
            let name = free_name(disk, &handle.name).ok_or(ErrorKind::AlreadyExists)?;
            disk.rename(&unfinished_path, &name);
            disk.sync(handle.inode);
            return Ok(Some(name.into_boxed_str()));
        }
        if matches!(handle.mode, OpenMode::Resume { .. }) && disk.is_disturbed(handle.inode) {
            return Err(ErrorKind::InvalidData);
        }
        moved = disk.move_aside(&handle.name, &handle.aside)?;
        disk.rename(&unfinished_path, &handle.name);
    }
    disk.sync(handle.inode);
    Ok(moved)
}

/// Whether a path stays in the folder that it is relative to.
fn is_inside(path: &str) -> bool {
    path.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
}
