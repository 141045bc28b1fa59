//! Which files users hold, online or not, as the store has it: it binds the name of a file to its content. Knows no
//! chunks and no links; what is offered to whom is the catalog's.

use std::collections::{BTreeMap, BTreeSet};

use crate::proto::ids::Name;
use crate::proto::limits::{KEPT_FILES_MAX, KEPT_FILES_PER_USER_MAX};
use crate::proto::machine::KeptFile;
use crate::proto::server::directory::{Refusal, refuse};
use crate::proto::swarm::Manifest;
use crate::proto::wire::ErrorCode;

/// The files of all users.
#[derive(Debug, Default)]
pub(super) struct Registry {
    /// By group and name.
    files: BTreeMap<Name, BTreeMap<Box<str>, Bound>>,
    /// What each user holds something of, by group and name; never nothing.
    held: BTreeMap<Name, BTreeSet<(Name, Box<str>)>>,
    holdings: usize,
}

/// A name that is bound.
#[derive(Debug)]
struct Bound {
    bytes: u64,
    chunk_bytes: u64,
    root: [u8; 32],
    /// Never none.
    users: BTreeSet<Name>,
}

/// A file as it is kept.
pub(super) fn kept(group: Name, manifest: &Manifest) -> KeptFile<'_> {
    KeptFile {
        group,
        name: manifest.file().as_str().into(),
        bytes: manifest.bytes(),
        chunk_bytes: manifest.chunk_bytes(),
        root: *manifest.root().as_bytes(),
    }
}

impl Registry {
    /// Whether somebody, who is `user` if that was proven, may offer a file: nobody else holds another one of its name,
    /// and there is room. `name` says how a holder is called to whoever asks, if at all.
    pub(super) fn check(
        &self,
        file: &KeptFile<'_>,
        user: Option<&Name>,
        name: impl Fn(&Name) -> Option<String>,
    ) -> Result<(), Refusal> {
        let bound = self.bound(&file.group, &file.name);
        if let Some(bound) = bound.filter(|bound| bound.root != file.root) {
            let mut others = bound.users.iter().filter(|other| Some(*other) != user).peekable();
            if others.peek().is_some() {
                let holder = others.find_map(name).unwrap_or_else(|| "somebody holds it".to_owned());
                let text = format!("another file is called {} already; {holder}", file.name);
                return refuse(ErrorCode::FileDiffers, text);
            }
        }
        match user {
            Some(user) if !bound.is_some_and(|bound| bound.users.contains(user)) => self.check_room(user),
            _ => Ok(()),
        }
    }

    /// Whether there is room for one more.
    pub(super) fn check_room(&self, user: &Name) -> Result<(), Refusal> {
        if self.held.get(user).is_some_and(|held| held.len() >= KEPT_FILES_PER_USER_MAX) {
            let text = format!("a user holds at most {KEPT_FILES_PER_USER_MAX} files, also while away");
            return refuse(ErrorCode::LimitReached, text);
        }
        if self.holdings >= KEPT_FILES_MAX {
            return refuse(ErrorCode::LimitReached, "this server keeps the files of no more users");
        }
        Ok(())
    }

    /// A user holds something of a file. False if that is known.
    pub(super) fn put(&mut self, file: &KeptFile<'_>, user: Name) -> bool {
        let files = self.files.entry(file.group).or_default();
        let KeptFile { bytes, chunk_bytes, root, .. } = *file;
        let bound = files.entry(file.name.as_ref().into());
        let bound = bound.or_insert_with(|| Bound { bytes, chunk_bytes, root, users: BTreeSet::new() });
        let is_other = bound.root != root;
        (bound.bytes, bound.chunk_bytes, bound.root) = (bytes, chunk_bytes, root);
        let is_new = bound.users.insert(user);
        if is_new {
            self.held.entry(user).or_default().insert((file.group, file.name.as_ref().into()));
            self.holdings += 1;
        }
        is_new || is_other
    }

    /// A user holds nothing of a file any more; false if that is known.
    pub(super) fn remove(&mut self, group: &Name, file: &str, user: &Name) -> bool {
        let Some(files) = self.files.get_mut(group) else { return false };
        let Some(bound) = files.get_mut(file) else { return false };
        if !bound.users.remove(user) {
            return false;
        }
        if bound.users.is_empty() {
            files.remove(file);
        }
        if files.is_empty() {
            self.files.remove(group);
        }
        self.holdings -= 1;
        if let Some(held) = self.held.get_mut(user) {
            held.remove(&(*group, file.into()));
            if held.is_empty() {
                self.held.remove(user);
            }
        }
        true
    }

    /// An account is no more.
    pub(super) fn forget(&mut self, user: &Name) {
        for (group, file) in self.held_by(user) {
            self.remove(&group, &file, user);
        }
    }

    /// Whether a user holds something of a file.
    pub(super) fn holds(&self, group: &Name, file: &str, user: &Name) -> bool {
        self.bound(group, file).is_some_and(|bound| bound.users.contains(user))
    }

    /// What a user holds something of, by group and name.
    pub(super) fn held_by(&self, user: &Name) -> BTreeSet<(Name, Box<str>)> {
        self.held.get(user).cloned().unwrap_or_default()
    }

    /// A file that a user holds something of.
    pub(super) fn kept(&self, group: &Name, file: &str, user: &Name) -> Option<KeptFile<'static>> {
        let bound = self.bound(group, file).filter(|bound| bound.users.contains(user))?;
        let Bound { bytes, chunk_bytes, root, .. } = *bound;
        Some(KeptFile { group: *group, name: file.to_owned().into(), bytes, chunk_bytes, root })
    }

    /// How many chunks a file has, if its name is bound.
    pub(super) fn chunks(&self, group: &Name, file: &str) -> Option<u64> {
        self.bound(group, file).map(|bound| bound.bytes.div_ceil(bound.chunk_bytes))
    }

    fn bound(&self, group: &Name, file: &str) -> Option<&Bound> {
        self.files.get(group)?.get(file)
    }

    pub(super) fn check_invariants(&self) {
        let mut holdings = 0;
        for (group, files) in &self.files {
            assert!(!files.is_empty());
            for (file, bound) in files {
                assert!(!bound.users.is_empty() && bound.chunk_bytes > 0);
                holdings += bound.users.len();
                let holds = |user: &Name| self.held[user].contains(&(*group, file.clone()));
                assert!(bound.users.iter().all(holds));
            }
        }
        assert!(self.held.values().all(|held| !held.is_empty()));
        assert_eq!(self.held.values().map(BTreeSet::len).sum::<usize>(), holdings);
        assert_eq!(holdings, self.holdings);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    fn file(file: &str, root: u8) -> KeptFile<'static> {
        let name = file.to_owned().into();
        KeptFile { group: "lab".parse().unwrap(), name, bytes: 9, chunk_bytes: 4, root: [root; 32] }
    }

    #[test]
    fn a_name_is_bound_as_long_as_another_user_holds_it() {
        let mut registry = Registry::default();
        let (alice, bob, lab) = (name("alice"), name("bob"), name("lab"));
        let check = |registry: &Registry, root, user| {
            let named = |user: &Name| (*user != name("carol")).then(|| format!("{user} has it"));
            registry.check(&file("f", root), user, named)
        };
        assert!(registry.put(&file("f", 1), alice) && !registry.put(&file("f", 1), alice));
        assert_eq!(registry.chunks(&lab, "f"), Some(3));
        assert!(check(&registry, 1, Some(&bob)).is_ok() && check(&registry, 1, None).is_ok());
        assert!(check(&registry, 2, Some(&alice)).is_ok(), "it is hers alone");
        for user in [Some(&bob), None] {
            let (code, text) = check(&registry, 2, user).unwrap_err();
            assert_eq!(
                (code, text.as_str()),
                (ErrorCode::FileDiffers, "another file is called f already; alice has it")
            );
        }
        assert!(registry.put(&file("f", 2), alice), "another content");
        assert!(registry.put(&file("f", 2), name("carol")));
        let (_, text) = check(&registry, 3, Some(&alice)).unwrap_err();
        assert!(text.ends_with("somebody holds it"), "{text}");
        registry.check_invariants();
        assert!(registry.remove(&lab, "f", &alice) && !registry.remove(&lab, "f", &alice));
        registry.forget(&name("carol"));
        assert_eq!((registry.chunks(&lab, "f"), registry.holds(&lab, "f", &alice)), (None, false));
        registry.check_invariants();
        assert!(registry.files.is_empty());
    }

    #[test]
    fn one_user_cannot_bind_all_names() {
        let mut registry = Registry::default();
        let alice = name("alice");
        for number in 0..KEPT_FILES_PER_USER_MAX {
            assert!(registry.check(&file(&format!("f{number}"), 1), Some(&alice), |_| None).is_ok());
            registry.put(&file(&format!("f{number}"), 1), alice);
        }
        let more = file("more", 1);
        let (code, _) = registry.check(&more, Some(&alice), |_| None).unwrap_err();
        assert_eq!(code, ErrorCode::LimitReached);
        assert!(registry.check(&file("f0", 2), Some(&alice), |_| None).is_ok(), "what is hers may change");
        assert!(registry.check(&more, Some(&name("bob")), |_| None).is_ok());
        assert!(registry.check(&more, None, |_| None).is_ok(), "who has proven nothing binds nothing");
        registry.check_invariants();
    }
}
