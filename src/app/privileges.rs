//! Becoming another user for good. Says whether it worked, and never goes on half done.

use std::ffi::CString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use nix::unistd::{
    Gid, Uid, User, geteuid, getgrouplist, getgroups, getresgid, getresuid, initgroups, setgid, setuid,
};

/// A user that this process may become.
#[derive(Debug)]
pub(super) struct Target {
    user: User,
}

impl Target {
    /// Looks a user up. Changes nothing.
    ///
    /// # Errors
    /// If there is no such user, if it is root, or if this process may not become anybody.
    pub(super) fn find(name: &str) -> Result<Target> {
        ensure!(geteuid().is_root(), "--user {name} is for root only: nobody else may become another user");
        let user = User::from_name(name).with_context(|| format!("cannot look up --user {name}"))?;
        let Some(user) = user else { bail!("--user {name}: there is no such user on this host") };
        ensure!(!user.uid.is_root(), "--user {name} gives up nothing; name another user");
        Ok(Target { user })
    }

    pub(super) fn name(&self) -> &str {
        &self.user.name
    }

    /// Where what is that user's own is kept.
    pub(super) fn home(&self) -> PathBuf {
        Path::new(&self.user.dir).to_owned()
    }

    /// Becomes that user, with the groups that it has and no others, and cannot go back.
    ///
    /// # Errors
    /// If the system refuses any part of it, or does something else.
    pub(super) fn become_it(&self) -> Result<()> {
        let (uid, gid) = (self.user.uid, self.user.gid);
        let explain = || format!("cannot become the user {}", self.user.name);
        let name = CString::new(self.user.name.as_bytes()).with_context(explain)?;
        // In this order: whoever is not root any more may change no group.
        initgroups(&name, gid).with_context(explain)?;
        setgid(gid).with_context(explain)?;
        setuid(uid).with_context(explain)?;
        let (users, groups) = (getresuid().with_context(explain)?, getresgid().with_context(explain)?);
        let expected = getgrouplist(&name, gid).with_context(explain)?;
        let more = getgroups().with_context(explain)?.into_iter().any(|group| !expected.contains(&group));
        let became = [users.real, users.effective, users.saved] == [uid; 3]
            && [groups.real, groups.effective, groups.saved] == [gid; 3];
        // The last two are tried for good measure.
        let is_root_yet =
            setuid(Uid::from_raw(0)).is_ok() || (!gid_is_root(gid) && setgid(Gid::from_raw(0)).is_ok());
        ensure!(became && !more && !is_root_yet, "{}: some of what root may is left", explain());
        Ok(())
    }
}

fn gid_is_root(gid: Gid) -> bool {
    gid.as_raw() == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_root_may_and_root_is_nobody_else() {
        let refused = |name| format!("{:#}", Target::find(name).unwrap_err());
        if geteuid().is_root() {
            assert_eq!(refused("no-such-user"), "--user no-such-user: there is no such user on this host");
            assert_eq!(refused("root"), "--user root gives up nothing; name another user");
        } else {
            assert!(refused("root").contains("is for root only"));
        }
    }
}
