//! The closed sets of words that stand in lines: roles, states, error codes. Each word has one
//! spelling.

/// A closed set of words of the protocol.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name { $($(#[$doc])* $variant,)* }

        impl $name {
            /// All of them.
            pub const ALL: &[$name] = &[$($name::$variant,)*];

            /// As it stands in a line.
            pub fn as_str(self) -> &'static str {
                match self { $($name::$variant => $text,)* }
            }

            pub(super) fn parse(word: &str) -> Option<$name> {
                $name::ALL.iter().copied().find(|known| known.as_str() == word)
            }
        }
    };
}

words! {
    /// Who accepted the link.
    Role {
        /// The directory and the other end of the ticks.
        Server = "server",
        /// A member of a group.
        Peer = "peer",
    }
}

words! {
    /// Where a member's run stands.
    MemberState {
        /// Its run is on.
        Running = "running",
        /// Its run is over; its files can be fetched.
        Done = "done",
        /// Its link broke during its run, and it may come back.
        Lost = "lost",
    }
}

words! {
    /// How a member left.
    Departure {
        /// It had every file, and everybody had its files.
        Complete = "complete",
        /// It gave up before that.
        Early = "early",
    }
}

words! {
    /// How much of a file its sender holds when it registers it.
    Portion {
        /// Every chunk.
        All = "all",
        /// It says so with `HAVE`, chunk by chunk.
        None = "none",
    }
}

words! {
    /// What a search has found.
    Availability {
        /// Somebody who is online holds a chunk that was asked for.
        Available = "Available",
        /// Nobody does.
        NotAvailable = "Not available",
    }
}

words! {
    /// What became of a message to one user.
    Delivery {
        /// It was sent on to where that user is.
        Delivered = "delivered",
        /// It waits for that user, on disk.
        Kept = "kept",
    }
}

words! {
    /// Whom a message to all has reached.
    Reach {
        /// Everybody who is online.
        All = "all",
        /// Not those who have blocked the sender.
        Some = "some",
    }
}

words! {
    /// What kind of error a line reports; the text behind it is for people.
    ErrorCode {
        /// No such verb.
        UnknownVerb = "unknown-verb",
        /// The verb is right, what follows is not.
        BadArgument = "bad-argument",
        /// The line is no UTF-8, or has control characters.
        BadText = "bad-text",
        /// The line is too long.
        LineTooLong = "line-too-long",
        /// The verb is right, but not here or not now.
        OutOfPlace = "out-of-place",
        /// Another member of the group has that ID.
        IdTaken = "id-taken",
        /// A limit of the server is reached.
        LimitReached = "limit-reached",
        /// Ticks come faster than agreed.
        TooFast = "too-fast",
        /// The directory has changed since.
        DirectoryMoved = "directory-moved",
        /// Nobody of that name is here.
        UnknownMember = "unknown-member",
        /// The ticket is not that of the pair.
        WrongTicket = "wrong-ticket",
        /// Not before the run is over.
        NotYet = "not-yet",
        /// Another link for the pair is kept.
        Duplicate = "duplicate",
        /// No such file.
        UnknownFile = "unknown-file",
        /// The file has no such chunk.
        UnknownChunk = "unknown-chunk",
        /// Another file of that name is shared already.
        FileDiffers = "file-differs",
        /// The line is for those who are logged in.
        NotLoggedIn = "not-logged-in",
        /// No user of that name, and no guest who is here.
        UnknownUser = "unknown-user",
        /// That one is not here now.
        Offline = "offline",
        /// What one does to others, done to oneself.
        Yourself = "yourself",
        /// A message without text.
        EmptyText = "empty-text",
        /// A message that is too long.
        TextTooLong = "text-too-long",
        /// The other one has blocked the sender.
        BlockedYou = "blocked-you",
        /// The sender has blocked the other one.
        YouBlocked = "you-blocked",
        /// Too much waits for the recipient.
        MailboxFull = "mailbox-full",
        /// A login under a name that is here.
        AlreadyOnline = "already-online",
        /// A block of somebody who is blocked.
        AlreadyBlocked = "already-blocked",
        /// An unblock of somebody who is not blocked.
        NotBlocked = "not-blocked",
        /// Guests have no private links.
        GuestsCannot = "guests-cannot",
        /// Neither of the two can be dialed by the other.
        NotReachable = "not-reachable",
        /// There is no such private link.
        NoPrivate = "no-private",
        /// The server has gone; said by a client to its own user.
        ServerLost = "server-lost",
        /// No such message was sent to the sender.
        NeverSent = "never-sent",
        /// The name or the password is wrong.
        WrongPassword = "wrong-password",
        /// Too many wrong passwords in a row.
        AccountBlocked = "account-blocked",
        /// Not from there, or not without an account.
        NotAllowed = "not-allowed",
        /// The server's disk could not keep it.
        LocalDisk = "local-disk",
        /// The line is of another protocol, HTTP; the link closes.
        WrongProtocol = "wrong-protocol",
        /// Too many errors on one link.
        TooManyErrors = "too-many-errors",
    }
}
