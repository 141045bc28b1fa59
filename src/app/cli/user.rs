//! The command line of `user`, checked. Opens no file and asks for no password.

use std::path::PathBuf;

use argh::{ArgsInfo, FromArgs};

use crate::app::state;
use crate::proto::accounts::user_name;
use crate::proto::ids::Name;

#[derive(Debug)]
pub(in crate::app) struct UserOptions {
    pub(in crate::app) state: PathBuf,
    pub(in crate::app) action: UserAction,
}

/// What is to be done with accounts.
#[derive(Debug)]
pub(in crate::app) enum UserAction {
    Add {
        name: Name,
        password_file: Option<PathBuf>,
    },
    Passwd {
        name: Name,
        password_file: Option<PathBuf>,
    },
    Remove {
        name: Name,
    },
    /// All accounts, or the logins of one.
    List {
        name: Option<Name>,
    },
    Import {
        file: PathBuf,
    },
}

/// Makes, changes, lists and removes the accounts of a server. A password comes from a prompt, from
/// --password-file, or from a pipe on standard input; never from an argument.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "user")]
pub(super) struct TypedUser {
    #[argh(subcommand)]
    action: TypedAction,
}

#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand)]
enum TypedAction {
    Add(TypedAdd),
    Passwd(TypedPasswd),
    Remove(TypedRemove),
    List(TypedList),
    Import(TypedImport),
}

/// Makes an account. Names have letters, digits, '-', '_' and '.', at most 32, and are no numbers; one that
/// people could take for another, as B0b for bob, is refused.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "add")]
struct TypedAdd {
    /// name of the user
    #[argh(positional)]
    name: String,
    /// take the password from the first line of this file
    #[argh(option)]
    password_file: Option<PathBuf>,
    /// folder of the server's accounts (default $XDG_STATE_HOME/tickmesh or ~/.local/state/tickmesh)
    #[argh(option)]
    state: Option<PathBuf>,
}

/// Gives an account another password.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "passwd")]
struct TypedPasswd {
    /// name of the user
    #[argh(positional)]
    name: String,
    /// take the password from the first line of this file
    #[argh(option)]
    password_file: Option<PathBuf>,
    /// folder of the server's accounts (default $XDG_STATE_HOME/tickmesh or ~/.local/state/tickmesh)
    #[argh(option)]
    state: Option<PathBuf>,
}

/// Removes an account.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "remove")]
struct TypedRemove {
    /// name of the user
    #[argh(positional)]
    name: String,
    /// folder of the server's accounts (default $XDG_STATE_HOME/tickmesh or ~/.local/state/tickmesh)
    #[argh(option)]
    state: Option<PathBuf>,
}

/// Prints the names of all accounts, one a line, each with the time (UTC) and the address of its last login; or the last
/// 20 logins of one account, and as many with a wrong password, the last one first.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "list")]
struct TypedList {
    /// show the logins of this user
    #[argh(positional)]
    name: Option<String>,
    /// folder of the server's accounts (default $XDG_STATE_HOME/tickmesh or ~/.local/state/tickmesh)
    #[argh(option)]
    state: Option<PathBuf>,
}

/// Makes an account of every line `name password` of a file: all of them, or none if a line is wrong. Accounts
/// that are there already keep their password. Empty lines are skipped, and lines that begin with '#'.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "import")]
struct TypedImport {
    /// the file, such as credentials.txt
    #[argh(positional)]
    file: PathBuf,
    /// folder of the server's accounts (default $XDG_STATE_HOME/tickmesh or ~/.local/state/tickmesh)
    #[argh(option)]
    state: Option<PathBuf>,
}

pub(super) fn check_user(typed: TypedUser) -> Result<UserOptions, String> {
    let (state, action) = match typed.action {
        TypedAction::Add(TypedAdd { name, password_file, state }) => {
            (state, UserAction::Add { name: new_name(&name)?, password_file })
        }
        TypedAction::Passwd(TypedPasswd { name, password_file, state }) => {
            (state, UserAction::Passwd { name: old_name(&name)?, password_file })
        }
        TypedAction::Remove(TypedRemove { name, state }) => {
            (state, UserAction::Remove { name: old_name(&name)? })
        }
        TypedAction::List(TypedList { name, state }) => {
            (state, UserAction::List { name: name.as_deref().map(old_name).transpose()? })
        }
        TypedAction::Import(TypedImport { file, state }) => (state, UserAction::Import { file }),
    };
    let state = state.or_else(|| state::default_folder(|name| std::env::var_os(name)));
    let state =
        state.ok_or("neither XDG_STATE_HOME nor HOME says where the accounts are; give --state DIR")?;
    Ok(UserOptions { state, action })
}

fn new_name(text: &str) -> Result<Name, String> {
    user_name(text).map_err(|error| format!("{text:?} is no name of a user: {error}"))
}

/// Whatever has come to be there can be removed.
fn old_name(text: &str) -> Result<Name, String> {
    text.parse().map_err(|error| format!("{text:?} is no name of a user: {error}"))
}
