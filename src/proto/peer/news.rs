//! What a member that talks has to show to its user, in the order in which it came. Formats nothing: texts
//! are as others wrote them, and whoever shows them makes them safe first ([`crate::proto::text`]).

use crate::proto::ids::Name;
use crate::proto::peer::status::FileStatus;
use crate::proto::peer::talk::Seen;
use crate::proto::time::Wall;
use crate::proto::wire::ErrorCode;

/// Something to show.
#[allow(missing_docs)] // each variant's sentence names its fields
#[derive(Clone, Debug)]
pub enum News {
    /// The server knows us under that name, again after each break; so many messages waited, and follow.
    LoggedIn { name: Name, waiting: u64 },
    /// It does not: the machine ends, unless it was let in before and tries again.
    LoginRefused { code: ErrorCode, text: String },
    /// The link to the server broke; the next attempt comes by itself.
    ServerLost { why: String },
    /// A line of a list, without the `* ` before it; the `Answer` follows.
    Item { line: String },
    /// The answer to the oldest command without one: what stands behind its `OK` and verb, or the error.
    Answer { verb: &'static str, result: Result<String, (ErrorCode, String)> },
    /// A message from a user. `seen` is what to keep once it is shown; a guest's messages have no number, and none.
    Message { number: u64, at: Wall, from: Name, text: String, seen: Option<Seen> },
    /// A message from somebody to all.
    Broadcast { from: Name, text: String },
    /// Somebody is here now.
    Online { name: Name },
    /// Somebody is gone.
    Offline { name: Name },
    /// What is said to that user with `private` goes there directly from now on.
    PrivateOpen { with: Name },
    /// Not any more.
    PrivateClosed { with: Name, why: String },
    /// A message over a private link.
    Private { from: Name, text: String },
    /// A download is whole or has failed, or an offer was refused or is withdrawn; `trouble` says why.
    File { status: FileStatus },
    /// The machine has ended.
    Ended { why: String },
}
