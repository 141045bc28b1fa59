//! `tickmesh user`: the accounts of a server, made and changed by its operator.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};

use crate::app::accounts::{AccountsOnDisk, LastLogin};
use crate::app::cli::{UserAction, UserOptions};
use crate::app::summary::count;
use crate::app::{password, random_secret, terminal};
use crate::io::Store;
use crate::proto::accounts::{
    Accounts, Credential, CredentialsError, Password, PutError, Salt, Verifier, parse_credentials,
};
use crate::proto::ids::Name;
use crate::proto::limits::{ACCOUNTS_MAX, CREDENTIALS_BYTES_MAX, FAULTS_SHOWN_MAX, SCRAM_ITERATIONS};
use crate::proto::machine::Login;
use crate::proto::record::utc_text;

/// Does what is asked for; true, for what fails is an error.
pub(super) fn run(options: &UserOptions) -> Result<bool> {
    let makes_accounts = matches!(options.action, UserAction::Add { .. } | UserAction::Import { .. });
    // A folder that was misspelt is not made.
    ensure!(
        makes_accounts || Store::is_in(&options.state),
        "there are no accounts in {}; 'user add' makes the first one, --state names another folder",
        options.state.display()
    );
    let open = || AccountsOnDisk::open(&options.state);
    let said = match &options.action {
        UserAction::Add { name, password_file } => add(&mut open()?, *name, password_file.as_deref()),
        UserAction::Passwd { name, password_file } => {
            change_password(&mut open()?, *name, password_file.as_deref())
        }
        UserAction::Remove { name } => remove(&mut open()?, *name),
        UserAction::List { name: None } => list(&open()?),
        UserAction::List { name: Some(name) } => history(&open()?, *name),
        UserAction::Import { file } => import(&options.state, file),
    };
    terminal::print(&said?)?;
    Ok(true)
}

fn add(disk: &mut AccountsOnDisk, name: Name, file: Option<&Path>) -> Result<String> {
    // Before anybody types a password in vain.
    let book = book(disk)?;
    ensure!(!book.contains(name), "there is a user {name} already; 'user passwd' gives a new password");
    if let Some(other) = book.looks_like(name) {
        bail!("{name}: {}", PutError::LooksLike(other));
    }
    ensure!(book.names().len() < ACCOUNTS_MAX, PutError::Full);
    disk.put(&[(name, verifier(&password::read_new(name, file)?)?)])?;
    Ok(format!("{name} added\n"))
}

fn change_password(disk: &mut AccountsOnDisk, name: Name, file: Option<&Path>) -> Result<String> {
    ensure!(disk.list()?.contains_key(&name), no_such_user(name));
    disk.put(&[(name, verifier(&password::read_new(name, file)?)?)])?;
    Ok(format!("{name} has a new password\n"))
}

fn remove(disk: &mut AccountsOnDisk, name: Name) -> Result<String> {
    ensure!(disk.remove(name)?, no_such_user(name));
    Ok(format!("{name} removed\n"))
}

/// A line for each account, with its last login.
fn list(disk: &AccountsOnDisk) -> Result<String> {
    let line = |(name, login): (Name, LastLogin)| match login {
        Some((at, from)) => format!("{name}  {}  {from}\n", utc_text(at)),
        None => format!("{name}\n"),
    };
    Ok(disk.last_logins()?.into_iter().map(line).collect())
}

/// A line for each login of one account that is remembered.
fn history(disk: &AccountsOnDisk, name: Name) -> Result<String> {
    ensure!(disk.list()?.contains_key(&name), no_such_user(name));
    let line = |login: Login| {
        let word = if login.is_refused { "  wrong password" } else { "" };
        format!("{}  {}{word}\n", utc_text(login.at), login.from)
    };
    Ok(disk.logins(name)?.into_iter().map(line).collect())
}

fn import(state: &Path, file: &Path) -> Result<String> {
    let of_file = || format!("{}: nothing is imported", file.display());
    let text = read(file).with_context(of_file)?;
    if !Store::is_in(state) {
        // No folder is made for a file that is wrong.
        credentials_of(&text, &empty_book()).with_context(of_file)?;
    }
    let mut disk = AccountsOnDisk::open(state)?;
    let book = book(&disk)?;
    let credentials = credentials_of(&text, &book).with_context(of_file)?;
    let (there, new): (Vec<Credential>, Vec<Credential>) =
        credentials.into_iter().partition(|credential| book.contains(credential.name));
    ensure!(book.names().len() + new.len() <= ACCOUNTS_MAX, anyhow!(PutError::Full).context(of_file()));
    let mut accounts = Vec::with_capacity(new.len());
    for (done, Credential { name, password, .. }) in new.iter().enumerate() {
        if done % 100 == 0 && terminal::shows_progress() {
            terminal::show_progress(&format!("{done} of {} passwords hashed", new.len()));
        }
        accounts.push((*name, verifier(password)?));
    }
    disk.put(&accounts)?;
    let kept = match there.len() {
        0 => String::new(),
        kept => format!(", {kept} there already and as before"),
    };
    Ok(format!("{} added{kept}\n", count(accounts.len() as u64, "account")))
}

fn read(file: &Path) -> Result<Vec<u8>> {
    use std::io::Read as _;
    let mut text = Vec::new();
    std::fs::File::open(file)?.take(CREDENTIALS_BYTES_MAX as u64 + 1).read_to_end(&mut text)?;
    Ok(text)
}

fn credentials_of(text: &[u8], book: &Accounts) -> Result<Vec<Credential>> {
    parse_credentials(text, book).map_err(|error| match error {
        CredentialsError::Faults { first, count } => {
            faults(&first.iter().map(ToString::to_string).collect::<Vec<_>>(), count)
        }
        other => other.into(),
    })
}

/// The first lines of what is wrong, and how many there are.
fn faults(lines: &[String], faults: usize) -> anyhow::Error {
    let shown = lines.len().min(FAULTS_SHOWN_MAX);
    let mut text = lines[..shown].join("\n");
    if faults > shown {
        text += &format!("\nand {} more", faults - shown);
    }
    anyhow!(text)
}

fn no_such_user(name: Name) -> String {
    format!("there is no user {name}; 'user list' shows who there is")
}

fn empty_book() -> Accounts {
    Accounts::new([0; 32], Duration::ZERO)
}

/// The accounts as a server takes them.
fn book(disk: &AccountsOnDisk) -> Result<Accounts> {
    let mut book = empty_book();
    for (name, verifier) in disk.list()? {
        book.put(name, verifier).with_context(|| format!("the account {name}"))?;
    }
    Ok(book)
}

/// Takes about a millisecond, and a salt that nobody else has.
fn verifier(password: &Password) -> Result<Verifier> {
    let mut salt = Salt::default();
    salt.copy_from_slice(&random_secret()?[..size_of::<Salt>()]);
    Ok(Verifier::new(&password.salted(&salt, SCRAM_ITERATIONS), salt, SCRAM_ITERATIONS))
}
