//! The accounts of a server on disk, for the command that changes them. A server that runs takes changes
//! over by itself. Decides nothing about names.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

use anyhow::{Context, Result};

use crate::io::Store;
use crate::proto::accounts::Verifier;
use crate::proto::ids::Name;
use crate::proto::machine::{Change, Load, Login, Row};
use crate::proto::time::Wall;

/// When, and from where; none if there was none.
pub(super) type LastLogin = Option<(Wall, IpAddr)>;

/// The accounts in one folder.
#[derive(Debug)]
pub(super) struct AccountsOnDisk {
    store: Store,
}

impl AccountsOnDisk {
    /// Makes the folder if it is not there, for its owner only.
    pub(super) fn open(folder: &Path) -> Result<AccountsOnDisk> {
        let store = Store::open(folder).context("cannot use the accounts; --state names another folder")?;
        store.wait_for_others()?;
        Ok(AccountsOnDisk { store })
    }

    /// Every account.
    pub(super) fn list(&self) -> Result<BTreeMap<Name, Verifier>> {
        let mut accounts = BTreeMap::new();
        let mut wrong = None;
        self.store.load(Load::Book, |row| {
            if let Row::Account { name, verifier, .. } = row {
                match verifier.parse() {
                    Ok(verifier) => drop(accounts.insert(name, verifier)),
                    Err(error) => wrong = Some((name, error)),
                }
            }
        })?;
        match wrong {
            Some((name, error)) => Err(error).with_context(|| format!("the account {name}")),
            None => Ok(accounts),
        }
    }

    /// When each account was last used, and from where, if it ever was.
    pub(super) fn last_logins(&self) -> Result<Vec<(Name, LastLogin)>> {
        let mut logins = Vec::new();
        let all = Load::Accounts { known: 0, after: None, rows_max: u32::MAX };
        self.store.load(all, |row| {
            if let Row::Account { name, login, .. } = row {
                logins.push((name, login));
            }
        })?;
        Ok(logins)
    }

    /// The logins of one account that are remembered, the last one first.
    pub(super) fn logins(&self, name: Name) -> Result<Vec<Login>> {
        let mut logins = Vec::new();
        self.store.load(Load::Logins { name }, |row| {
            if let Row::Login(login) = row {
                logins.push(login);
            }
        })?;
        Ok(logins)
    }

    /// Makes accounts, or gives them another password: all or none.
    pub(super) fn put(&mut self, accounts: &[(Name, Verifier)]) -> Result<()> {
        let put = |(name, verifier): &(Name, Verifier)| Change::PutAccount {
            name: *name,
            verifier: Cow::Owned(verifier.to_string()),
        };
        Ok(self.store.apply(&accounts.iter().map(put).collect::<Vec<_>>())?)
    }

    /// False if there is no such account.
    pub(super) fn remove(&mut self, name: Name) -> Result<bool> {
        let is_there = self.list()?.contains_key(&name);
        if is_there {
            self.store.apply(&[Change::RemoveAccount { name }])?;
        }
        Ok(is_there)
    }
}
