//! What each file of a group consists of, and who holds which of its chunks. Pure bookkeeping: it
//! knows members by their names, and no links; the role tells it who comes and goes.
//!
//! A file is kept as long as somebody takes part in it, online or lost: holds some of it, fetches it, or
//! is about to say what it holds. Its name binds only while somebody else holds a chunk of it.

mod entry;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use crate::proto::ids::{FileName, Name};
use crate::proto::limits::{CATALOG_BYTES_MAX, FILES_PER_GROUP_MAX, FILES_PER_MEMBER_MAX};
use crate::proto::server::catalog::entry::{Entry, Part, file_bytes, part_bytes};
use crate::proto::server::directory::{Refusal, refuse};
use crate::proto::swarm::{ChunkSet, Manifest};
use crate::proto::wire::{ErrorCode, Portion};

/// A member or guest, wherever it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Who {
    pub(super) group: Name,
    pub(super) id: Name,
}

/// All files of one server.
#[derive(Debug, Default)]
pub(super) struct Catalog {
    files: BTreeMap<u64, Entry>,
    /// The number of each file, by group and name.
    numbers: BTreeMap<Name, BTreeMap<Box<str>, u64>>,
    accounts: BTreeMap<Who, Account>,
    /// Those of the accounts whose members are lost.
    absent: BTreeSet<Who>,
    numbers_made: u64,
    /// An estimate of the memory of it all.
    bytes: usize,
}

/// What is known of a member that is online, or lost and still takes part in files.
#[derive(Debug)]
struct Account {
    files: BTreeSet<u64>,
    /// Others can dial it.
    dialable: bool,
}

/// Who is to be told of whom after somebody has begun to take part.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Meeting {
    /// Those of whom the one is to be told.
    pub(super) others: Vec<Name>,
    /// They are to be told of it, too.
    pub(super) is_news: bool,
}

/// A file that somebody has registered.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Registered {
    /// Members that hold chunks of it, online or lost.
    pub(super) holders: u64,
    /// The sender takes part in it since its link came up, and the others do not know.
    pub(super) is_news: bool,
}

impl Catalog {
    // --- Who comes and goes -------------------------------------------------------------------

    /// Somebody has a link. `same`: it is the one that had the name before, and holds what it held.
    pub(super) fn arrive(&mut self, who: &Who, same: bool, dialable: bool) {
        if !same {
            self.leave(who);
        }
        self.absent.remove(who);
        let account = self.accounts.entry(*who).or_insert(Account { files: BTreeSet::new(), dialable });
        account.dialable = dialable;
        for number in &account.files {
            let part = self.files.get_mut(number).and_then(|entry| entry.parts.get_mut(&who.id));
            let part = part.expect("an account's files have its parts");
            (part.online, part.dialable, part.introduced) = (true, dialable, false);
        }
    }

    /// Its link is gone and it may come back; returns whether there is anything to come back to.
    pub(super) fn lose(&mut self, who: &Who) -> bool {
        let Some(account) = self.accounts.get(who) else { return false };
        let mut holds = false;
        for number in &account.files {
            let part = self.files.get_mut(number).and_then(|entry| entry.parts.get_mut(&who.id));
            let part = part.expect("an account's files have its parts");
            part.online = false;
            holds |= part.holds_some();
        }
        if account.files.is_empty() {
            self.accounts.remove(who);
        } else {
            self.absent.insert(*who);
        }
        holds
    }

    /// It will not come back.
    pub(super) fn leave(&mut self, who: &Who) {
        self.absent.remove(who);
        let Some(account) = self.accounts.remove(who) else { return };
        for number in account.files {
            self.remove_part(number, &who.id);
        }
    }

    /// Those that are lost and still take part in files.
    pub(super) fn absent(&self) -> impl Iterator<Item = &Who> {
        self.absent.iter()
    }

    // --- What they say ------------------------------------------------------------------------

    /// Whether a file of so many chunks may be registered, before its hashes are taken.
    pub(super) fn check_register(&self, who: &Who, file: &str, chunks: u64) -> Result<(), Refusal> {
        if FileName::is_partial(file) {
            let text = format!("{file} is the name of an unfinished file");
            return refuse(ErrorCode::BadArgument, text);
        }
        match self.number(&who.group, file) {
            Some(number) => self.check_part(who, number),
            None => {
                let files = self.numbers.get(&who.group).map_or(0, BTreeMap::len);
                if files >= FILES_PER_GROUP_MAX {
                    let text = format!("a group shares at most {FILES_PER_GROUP_MAX} files");
                    return refuse(ErrorCode::LimitReached, text);
                }
                self.check_room(who, file_bytes(chunks) + part_bytes(chunks))
            }
        }
    }

    /// Somebody holds a file, or says soon what it holds of it.
    pub(super) fn register(
        &mut self,
        who: &Who,
        manifest: Manifest,
        portion: Portion,
        apart: &BTreeSet<Name>,
    ) -> Result<Registered, Refusal> {
        let (root, chunks) = (manifest.root(), manifest.chunks());
        let name = manifest.file().as_str();
        self.check_register(who, name, chunks)?;
        if let Some(number) =
            self.number(&who.group, name).filter(|number| self.files[number].manifest.root() != root)
        {
            self.files[&number].check_replace(&who.id, apart)?;
            self.remove_file(number);
            self.check_register(who, name, chunks)?;
        }
        let number = match self.number(&who.group, name) {
            Some(number) => number,
            None => self.add_file(who.group, manifest),
        };
        let part = self.part(who, number);
        part.held = match portion {
            Portion::All => ChunkSet::full(chunks),
            // It says what it holds now; of what it held before, its disk may have lost some.
            Portion::None => ChunkSet::new(chunks),
        };
        let is_news = !part.introduced;
        Ok(Registered { holders: self.files[&number].holders().count() as u64, is_news })
    }

    /// Somebody takes no part in a file any more.
    pub(super) fn withdraw(&mut self, who: &Who, file: &str) {
        let Some(number) = self.number(&who.group, file) else { return };
        if self.accounts.get_mut(who).is_some_and(|account| account.files.remove(&number)) {
            self.remove_part(number, &who.id);
        }
    }

    /// Whether somebody holds a chunk of a file, or an empty one.
    pub(super) fn holds(&self, who: &Who, file: &str) -> bool {
        let part = self.number(&who.group, file).and_then(|number| self.files[&number].parts.get(&who.id));
        part.is_some_and(Part::holds_some)
    }

    /// Somebody wants a file, and takes part in it from now on.
    pub(super) fn download(&mut self, who: &Who, file: &str) -> Result<&Manifest, Refusal> {
        let number = self.known(&who.group, file)?;
        self.check_part(who, number)?;
        self.part(who, number);
        Ok(&self.files[&number].manifest)
    }

    /// Somebody holds these chunks too; returns whether it holds all of them now, and did not before.
    pub(super) fn have(&mut self, who: &Who, file: &str, first: u64, last: u64) -> Result<bool, Refusal> {
        let number = self.known(&who.group, file)?;
        self.files.get_mut(&number).expect("known").have(&who.id, first, last)
    }

    /// A chunk that `of` sent failed its hash; returns whether that is the first time.
    pub(super) fn report(&mut self, who: &Who, file: &str, of: &Name, chunk: u64) -> Result<bool, Refusal> {
        let number = self.known(&who.group, file)?;
        let entry = self.files.get_mut(&number).expect("known");
        let before = entry.reports_bytes(&who.id);
        let is_new = entry.report(&who.id, of, chunk)?;
        self.bytes += entry.reports_bytes(&who.id) - before;
        Ok(is_new)
    }

    /// Whom to tell of whom, now that somebody takes part in a file; those in `apart` hear nothing of each other.
    pub(super) fn introduce(&mut self, who: &Who, file: &str, apart: &BTreeSet<Name>) -> Meeting {
        let entry = self.number(&who.group, file).and_then(|number| self.files.get_mut(&number));
        let (others, is_news) = entry.map(|entry| entry.introduce(&who.id, apart)).unwrap_or_default();
        Meeting { others, is_news }
    }

    /// There are some of whom somebody was not told, and now may be: the next time counts as the first one.
    pub(super) fn introduce_anew(&mut self, who: &Who) {
        let Some(account) = self.accounts.get(who) else { return };
        for number in &account.files {
            let part = self.files.get_mut(number).and_then(|entry| entry.parts.get_mut(&who.id));
            part.expect("an account's files have its parts").introduced = false;
        }
    }

    // --- What they ask ------------------------------------------------------------------------

    /// What a file consists of.
    pub(super) fn manifest(&self, group: &Name, file: &str) -> Result<&Manifest, Refusal> {
        Ok(&self.files[&self.known(group, file)?].manifest)
    }

    /// Members that are online and hold any of these chunks, or any at all without a list; and how many.
    pub(super) fn holders<'a>(
        &'a self,
        group: &Name,
        file: &str,
        chunks: Option<&'a [u64]>,
    ) -> impl Iterator<Item = (&'a Name, u64)> {
        let parts = self.number(group, file).map(|number| self.files[&number].holders());
        let wanted = move |part: &Part| {
            chunks.is_none_or(|chunks| chunks.iter().any(|chunk| part.held.contains(*chunk)))
        };
        let found = parts.into_iter().flatten().filter(move |(_, part)| part.online && wanted(part));
        found.map(|(id, part)| (id, part.held.count()))
    }

    /// Everybody who takes part in a file.
    pub(super) fn who_takes_part(&self, group: &Name, file: &str) -> impl Iterator<Item = &Name> {
        let entry = self.number(group, file).map(|number| &self.files[&number]);
        entry.into_iter().flat_map(|entry| entry.parts.keys())
    }

    /// How many members take part in a file, so that the work of an answer can be bounded.
    pub(super) fn parts(&self, group: &Name, file: &str) -> usize {
        self.number(group, file).map_or(0, |number| self.files[&number].parts.len())
    }

    // --- Details ------------------------------------------------------------------------------

    fn number(&self, group: &Name, file: &str) -> Option<u64> {
        self.numbers.get(group)?.get(file).copied()
    }

    fn known(&self, group: &Name, file: &str) -> Result<u64, Refusal> {
        let number = self.number(group, file);
        number.ok_or_else(|| (ErrorCode::UnknownFile, format!("nobody shares {file} in {group}")))
    }

    fn check_part(&self, who: &Who, number: u64) -> Result<(), Refusal> {
        let entry = &self.files[&number];
        if entry.parts.contains_key(&who.id) {
            return Ok(());
        }
        self.check_room(who, part_bytes(entry.manifest.chunks()))
    }

    fn check_room(&self, who: &Who, bytes: usize) -> Result<(), Refusal> {
        let files = self.accounts.get(who).map_or(0, |account| account.files.len());
        if files >= FILES_PER_MEMBER_MAX {
            let text = format!("a member takes part in at most {FILES_PER_MEMBER_MAX} files");
            return refuse(ErrorCode::LimitReached, text);
        }
        if self.bytes + bytes > CATALOG_BYTES_MAX {
            return refuse(ErrorCode::LimitReached, "the server's catalog is full");
        }
        Ok(())
    }

    fn add_file(&mut self, group: Name, manifest: Manifest) -> u64 {
        let number = self.numbers_made;
        self.numbers_made += 1;
        self.numbers.entry(group).or_default().insert(manifest.file().as_str().into(), number);
        self.bytes += file_bytes(manifest.chunks());
        self.files.insert(number, Entry::new(group, manifest));
        number
    }

    /// A member's part in a file; a new one if it had none.
    fn part(&mut self, who: &Who, number: u64) -> &mut Part {
        let entry = self.files.get_mut(&number).expect("a known file");
        let account = self.accounts.get_mut(who).expect("whoever speaks has arrived");
        if account.files.insert(number) {
            self.bytes += part_bytes(entry.manifest.chunks());
            entry.add_part(who.id, account.dialable);
        }
        entry.parts.get_mut(&who.id).expect("an account's files have its parts")
    }

    fn remove_part(&mut self, number: u64, id: &Name) {
        let Some(entry) = self.files.get_mut(&number) else { return };
        self.bytes -= part_bytes(entry.manifest.chunks()) + entry.reports_bytes(id);
        entry.parts.remove(id);
        if entry.parts.is_empty() {
            self.remove_file(number);
        }
    }

    fn remove_file(&mut self, number: u64) {
        let Some(entry) = self.files.remove(&number) else { return };
        self.bytes -= entry.bytes();
        for id in entry.parts.keys() {
            if let Some(account) = self.accounts.get_mut(&Who { group: entry.group, id: *id }) {
                account.files.remove(&number);
            }
        }
        if let Some(numbers) = self.numbers.get_mut(&entry.group) {
            numbers.remove(entry.manifest.file().as_str());
            if numbers.is_empty() {
                self.numbers.remove(&entry.group);
            }
        }
    }

    pub(super) fn check_invariants(&self) {
        assert_eq!(self.bytes, self.files.values().map(Entry::bytes).sum::<usize>());
        assert_eq!(self.files.len(), self.numbers.values().map(BTreeMap::len).sum::<usize>());
        let mut parts = 0;
        for (number, entry) in &self.files {
            assert_eq!(self.number(&entry.group, entry.manifest.file().as_str()), Some(*number));
            assert!(!entry.parts.is_empty());
            entry.check_invariants();
            parts += entry.parts.len();
            for (id, part) in &entry.parts {
                let who = Who { group: entry.group, id: *id };
                assert!(self.accounts[&who].files.contains(number));
                assert_eq!(part.online, !self.absent.contains(&who));
            }
        }
        assert_eq!(parts, self.accounts.values().map(|account| account.files.len()).sum::<usize>());
        assert!(self.absent.iter().all(|who| self.accounts.contains_key(who)));
    }
}
