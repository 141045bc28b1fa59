//! One node's disk: names, contents, room, and the errors that a test asks for. It knows what a
//! power loss may take. Never knows which machine has a file open; `files` does.

mod power;
mod room;
mod survey;

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::time::Duration;

use crate::proto::limits::ASIDE_TRIES_MAX;
use crate::proto::machine::{FileOp, aside_name};
use crate::proto::time::{Wall, ns};

pub(super) use survey::Surveyed;

/// Ends the name of a file that is not complete.
pub(super) const PARTIAL_SUFFIX: &str = ".partial";

/// The disk of a node, as a test sees it.
#[derive(Debug, Default)]
pub struct Disk {
    names: BTreeMap<String, Inode>,
    inodes: Vec<Contents>,
    spare: Vec<Inode>,
    room_bytes: Option<u64>,
    failures: [Option<ErrorKind>; 7],
    reads_fail: bool,
    surveys_fail: Option<ErrorKind>,
    digests_only: bool,
    slow_ns: u64,
    /// Of all files together.
    changes: u64,
}

/// A file's place in the table; it outlives the name while somebody holds it.
pub(super) type Inode = usize;

#[derive(Debug, Default)]
struct Contents {
    data: Data,
    len: u64,
    /// The first so many bytes are safe from a power loss.
    synced_bytes: u64,
    /// Names, open files and queued ranges.
    holders: u32,
    /// Room that is set aside beyond its length.
    aside_bytes: u64,
    /// When a file of [`OpenMode::Fresh`](crate::proto::machine::OpenMode::Fresh) was last written to; of others, and of
    /// what a test has put there, that is long ago.
    written_at: Wall,
    /// When it was last changed, as the number of that change: a test has no clock here.
    change: u64,
    /// A test has cut it since it was opened.
    disturbed: bool,
}

#[derive(Debug)]
enum Data {
    Kept(Vec<u8>),
    /// Of what was appended; `None` once it was cut.
    Digest(Option<Box<blake3::Hasher>>),
}

impl Default for Data {
    fn default() -> Data {
        Data::Kept(Vec::new())
    }
}

impl Disk {
    /// The contents of a file; `None` if there is none, or its contents were not kept.
    pub fn read(&self, path: &str) -> Option<&[u8]> {
        match &self.inodes[*self.names.get(path)?].data {
            Data::Kept(bytes) => Some(bytes),
            Data::Digest(_) => None,
        }
    }

    /// The length of a file in bytes.
    pub fn len(&self, path: &str) -> Option<u64> {
        self.names.get(path).map(|inode| self.inodes[*inode].len)
    }

    /// Whether there is no file at all.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// BLAKE3 of a file, whether its contents are kept or not; `None` if there is no file, or it
    /// is not kept and was cut or written in the middle.
    pub fn digest(&self, path: &str) -> Option<blake3::Hash> {
        match &self.inodes[*self.names.get(path)?].data {
            Data::Kept(bytes) => Some(blake3::hash(bytes)),
            Data::Digest(digest) => digest.as_ref().map(|hasher| hasher.finalize()),
        }
    }

    /// The names of all files, in order.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.names.keys().map(String::as_str)
    }

    /// Puts a file there, whole and safe, in place of an older one.
    pub fn write(&mut self, path: &str, bytes: &[u8]) {
        self.remove(path);
        let inode = self.create(path);
        let contents = &mut self.inodes[inode];
        contents.data = Data::Kept(bytes.to_vec());
        (contents.len, contents.synced_bytes) = (bytes.len() as u64, bytes.len() as u64);
        self.note_change(inode);
    }

    /// Changes bytes of a file in place, behind the back of whoever has it open. What is beyond its
    /// end, or was not kept, stays as it is.
    pub fn damage(&mut self, path: &str, offset: usize, bytes: &[u8]) {
        let Some(inode) = self.find(path) else { return };
        if let Data::Kept(kept) = &mut self.inodes[inode].data {
            kept.iter_mut().skip(offset).zip(bytes).for_each(|(old, new)| *old = *new);
        }
        self.note_change(inode);
    }

    /// Cuts a file to `len` bytes, behind the back of whoever has it open.
    pub fn truncate(&mut self, path: &str, len: u64) {
        if let Some(inode) = self.names.get(path).copied() {
            self.cut(inode, len);
            self.inodes[inode].disturbed = true;
        }
    }

    /// Removes a name; who has the file open keeps it.
    pub fn remove(&mut self, path: &str) {
        if let Some(inode) = self.names.remove(path) {
            self.release(inode);
        }
    }

    /// From now on each such effect fails so, or succeeds again.
    pub fn fail(&mut self, op: FileOp, error: Option<ErrorKind>) {
        self.failures[op as usize] = error;
    }

    /// From now on nothing can be read, neither to be sent nor to be hashed, or it can again.
    pub fn fail_reads(&mut self, fail: bool) {
        self.reads_fail = fail;
    }

    /// From now on no [`Effect::Survey`](crate::proto::machine::Effect::Survey) succeeds, or each does again.
    pub fn fail_surveys(&mut self, error: Option<ErrorKind>) {
        self.surveys_fail = error;
    }

    /// From now on what takes its time takes so much longer.
    pub fn slow_down(&mut self, time: Duration) {
        self.slow_ns = ns(time);
    }

    /// With `false`, files that are appended to from now on keep only their length and digest, so
    /// that a long simulation fits into memory. Such a file cannot be sent.
    pub fn keep_contents(&mut self, keep: bool) {
        self.digests_only = !keep;
    }

    pub(super) fn failure(&self, op: FileOp) -> Option<ErrorKind> {
        self.failures[op as usize]
    }

    pub(super) fn slow_ns(&self) -> u64 {
        self.slow_ns
    }

    pub(super) fn exists(&self, path: &str) -> bool {
        self.names.contains_key(path)
    }

    /// Whether a file can be made there at all.
    ///
    /// # Errors
    /// `NotADirectory` or `AlreadyExists`, if a file is where a folder is needed or the other way
    /// round.
    pub(super) fn check_place(&self, path: &str) -> Result<(), ErrorKind> {
        if path.match_indices('/').any(|(end, _)| self.exists(&path[..end])) {
            return Err(ErrorKind::NotADirectory);
        }
        let folder = format!("{path}/");
        let below = self.names.range(folder.clone()..).next();
        let taken = below.is_some_and(|(name, _)| name.starts_with(&folder));
        if taken { Err(ErrorKind::AlreadyExists) } else { Ok(()) }
    }

    /// Whether somebody has that file open.
    pub(super) fn is_open(&self, path: &str) -> bool {
        self.names.get(path).is_some_and(|inode| self.inodes[*inode].holders > 1)
    }

    /// A new, empty file in place of an older one, held once by its name.
    pub(super) fn create(&mut self, path: &str) -> Inode {
        self.remove(path);
        let contents = Contents { holders: 1, ..Contents::default() };
        let inode = match self.spare.pop() {
            Some(inode) => {
                self.inodes[inode] = contents;
                inode
            }
            None => {
                self.inodes.push(contents);
                self.inodes.len() - 1
            }
        };
        self.names.insert(path.to_owned(), inode);
        inode
    }

    pub(super) fn hold(&mut self, inode: Inode) {
        self.inodes[inode].holders += 1;
    }

    pub(super) fn release(&mut self, inode: Inode) {
        let contents = &mut self.inodes[inode];
        contents.holders -= 1;
        if contents.holders == 0 {
            let free_bytes = contents.len + contents.aside_bytes;
            *contents = Contents::default();
            self.spare.push(inode);
            self.give_room_back(free_bytes);
        }
    }

    /// The file of that name.
    pub(super) fn find(&self, path: &str) -> Option<Inode> {
        self.names.get(path).copied()
    }

    pub(super) fn set_disturbed(&mut self, inode: Inode, disturbed: bool) {
        self.inodes[inode].disturbed = disturbed;
    }

    pub(super) fn is_disturbed(&self, inode: Inode) -> bool {
        self.inodes[inode].disturbed
    }

    pub(super) fn len_of(&self, inode: Inode) -> u64 {
        self.inodes[inode].len
    }

    /// Whether `path` still names that file.
    pub(super) fn names_inode(&self, path: &str, inode: Inode) -> bool {
        self.names.get(path) == Some(&inode)
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) {
        if let Some(inode) = self.names.remove(from) {
            self.remove(to);
            self.names.insert(to.to_owned(), inode);
        }
    }

    /// Renames the file at `path`, if there is one, to the first name of [`aside_name`] that is not
    /// taken.
    ///
    /// # Errors
    /// `AlreadyExists` if all are taken.
    pub(super) fn move_aside(&mut self, path: &str, aside: &str) -> Result<Option<Box<str>>, ErrorKind> {
        if !self.exists(path) {
            return Ok(None);
        }
        for name in (0..=ASIDE_TRIES_MAX).map(|number| aside_name(aside, number)) {
            if !self.exists(&name) {
                self.rename(path, &name);
                return Ok(Some(name.into_boxed_str()));
            }
        }
        Err(ErrorKind::AlreadyExists)
    }

    /// The same for whatever is at `path`, a file or all files below a folder.
    ///
    /// # Errors
    /// `AlreadyExists` if all names are taken.
    pub(super) fn set_aside(&mut self, path: &str, aside: &str) -> Result<Option<Box<str>>, ErrorKind> {
        let below = |name: &str| name.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'));
        let old: Vec<String> =
            self.names.keys().filter(|name| *name == path || below(name)).cloned().collect();
        if old.is_empty() {
            return Ok(None);
        }
        let mut names = (0..=ASIDE_TRIES_MAX).map(|number| aside_name(aside, number));
        let free = |name: &String| !self.exists(name) && self.check_place(name).is_ok();
        let name = names.find(free).ok_or(ErrorKind::AlreadyExists)?;
        old.iter().for_each(|old| self.rename(old, &format!("{name}{}", &old[path.len()..])));
        Ok(Some(name.into_boxed_str()))
    }

    /// Appends all or nothing.
    pub(super) fn append(&mut self, inode: Inode, bytes: &[u8]) -> Result<(), ErrorKind> {
        self.take_room_for(inode, bytes.len() as u64)?;
        let contents = &mut self.inodes[inode];
        if self.digests_only && contents.len == 0 {
            contents.data = Data::Digest(Some(Box::default()));
        }
        match &mut contents.data {
            Data::Kept(kept) => kept.extend_from_slice(bytes),
            Data::Digest(Some(hasher)) => {
                hasher.update(bytes);
            }
            Data::Digest(None) => {}
        }
        contents.len += bytes.len() as u64;
        self.note_change(inode);
        Ok(())
    }

    /// Writes all or nothing; a gap before it reads as zeros.
    pub(super) fn write_at(&mut self, inode: Inode, offset: u64, bytes: &[u8]) -> Result<(), ErrorKind> {
        let end = offset.checked_add(bytes.len() as u64).ok_or(ErrorKind::InvalidInput)?;
        self.take_room_for(inode, end.saturating_sub(self.inodes[inode].len))?;
        let contents = &mut self.inodes[inode];
        contents.len = contents.len.max(end);
        match &mut contents.data {
            Data::Kept(kept) => {
                kept.resize(contents.len as usize, 0);
                kept[offset as usize..end as usize].copy_from_slice(bytes);
            }
            Data::Digest(digest) => *digest = None,
        }
        self.note_change(inode);
        Ok(())
    }

    /// What is in the file now survives a power loss.
    pub(super) fn sync(&mut self, inode: Inode) {
        self.inodes[inode].synced_bytes = self.inodes[inode].len;
    }

    /// Bytes of a file that is being sent; fewer than `len` if it is shorter, `None` on an error.
    pub(super) fn read_range(&self, inode: Inode, offset: u64, len: usize) -> Option<&[u8]> {
        match &self.inodes[inode].data {
            Data::Kept(bytes) if !self.reads_fail => {
                let from = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
                Some(&bytes[from..from.saturating_add(len).min(bytes.len())])
            }
            _ => None,
        }
    }

    pub(super) fn cut(&mut self, inode: Inode, len: u64) {
        let contents = &mut self.inodes[inode];
        let gone_bytes = contents.len.saturating_sub(len);
        if gone_bytes == 0 {
            return;
        }
        contents.len = len;
        contents.synced_bytes = contents.synced_bytes.min(len);
        match &mut contents.data {
            Data::Kept(bytes) => bytes.truncate(len as usize),
            Data::Digest(digest) => *digest = None,
        }
        self.note_change(inode);
        self.give_room_back(gone_bytes);
    }
}

#[cfg(test)]
mod tests;
