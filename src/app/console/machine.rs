//! The console as a machine around the client: what is typed goes to the client, and what that has to tell is
//! shown, to a person or to a script. Knows no commands.

use crate::app::bar;
use crate::app::console::out::Out;
use crate::app::console::screen::{Screen, Wish};
use crate::app::console::seen::SeenFile;
use crate::app::console::show::for_programs;
use crate::app::terminal;
use crate::proto::limits::{SHOW_AGAIN_PAUSE, TYPED_BUDGET_BYTES};
use crate::proto::machine::{Input, Machine, Os};
use crate::proto::peer::{News, Peers, Seen};
use crate::proto::text::Shown;
use crate::proto::time::{Mono, Now};
use crate::proto::wire::ErrorCode;

/// A client, and who uses it.
#[derive(Debug)]
pub(super) struct Console {
    peers: Peers,
    face: Face,
    out: Out,
    seen: SeenFile,
    /// The message that is being shown.
    showing: Option<Seen>,
    /// The server has let us in.
    is_known: bool,
    /// A person has asked to leave.
    is_leaving: bool,
    /// It leaves, because nothing can be shown.
    is_mute: bool,
    /// When it is looked how files come.
    look_at: Option<Mono>,
    /// When output that had to wait is tried again.
    show_at: Option<Mono>,
    /// Something was refused, has failed, or broke.
    pub(super) has_failed: bool,
    /// Why the login was refused.
    pub(super) refused: Option<(ErrorCode, String)>,
}

/// Who uses it.
#[derive(Debug)]
pub(super) enum Face {
    Person(Box<Screen>),
    Script,
}

impl Console {
    pub(super) fn new(peers: Peers, face: Face, out: Out, seen: SeenFile) -> Console {
        Console {
            peers,
            face,
            out,
            seen,
            showing: None,
            is_known: false,
            is_leaving: false,
            is_mute: false,
            look_at: None,
            show_at: None,
            has_failed: false,
            refused: None,
        }
    }

    pub(super) fn peers(&self) -> &Peers {
        &self.peers
    }

    /// The client has ended, before everything was shown that it had to tell.
    pub(super) fn tell_rest(&mut self) {
        while let Some(news) = self.peers.take_news() {
            // Nobody acknowledges it any more: it comes again.
            if !matches!(news, News::Message { seen: Some(_), .. }) {
                self.tell(&news, Now::default());
            }
        }
    }

    /// Shows what is left. Gives the terminal back.
    ///
    /// # Errors
    /// If standard output is full or closed.
    pub(super) fn end(mut self, waits: bool) -> std::io::Result<()> {
        if let Face::Person(screen) = &mut self.face {
            screen.end(&mut self.out);
        }
        self.out.flush();
        if waits || self.out.is_broken() { self.out.finish() } else { Ok(()) }
    }

    fn take_bytes(&mut self, bytes: &[u8], now: Now, os: &mut dyn Os) {
        let Face::Person(screen) = &mut self.face else {
            return self.peers.handle_input(Input::Typed { bytes }, now, os);
        };
        for wish in screen.take_bytes(bytes, now, &mut self.out) {
            match wish {
                Wish::Commands(text) => {
                    self.is_leaving = false;
                    self.look_at = Some(now.mono + bar::PERIOD);
                    self.peers.handle_input(Input::Typed { bytes: text.as_bytes() }, now, os);
                }
                Wish::Leave => self.leave(now, os),
            }
        }
    }

    /// A person wants to leave: as `logout` does if nothing is lost by it, and at once when asked again.
    fn leave(&mut self, now: Now, os: &mut dyn Os) {
        let Face::Person(screen) = &mut self.face else { return };
        let is_first = !std::mem::replace(&mut self.is_leaving, true);
        if is_first && screen.is_downloading() {
            screen.notice("files are still coming: Ctrl-D again leaves, and the rest can be got later");
        } else if is_first && self.is_known {
            self.peers.handle_input(Input::Typed { bytes: b"logout\n" }, now, os);
        } else {
            self.peers.handle_input(Input::Shutdown, now, os);
        }
    }

    fn end_typing(&mut self, now: Now, os: &mut dyn Os) {
        let end = match &self.face {
            // The terminal is gone.
            Face::Person(_) => Input::Shutdown,
            Face::Script => Input::TypedEnd,
        };
        self.peers.handle_input(end, now, os);
    }

    /// Shows what there is to show. Who cannot show anything any more leaves: what comes is for the next session.
    fn show(&mut self, now: Now, os: &mut dyn Os) {
        self.out.flush();
        // What was taken counts as shown when the next is taken: so that is when all before it is out.
        while self.out.is_out() {
            let news = self.peers.take_news();
            self.note_shown(news.as_ref());
            if let Some(news) = &news {
                self.tell(news, now);
            }
            if let Face::Person(screen) = &mut self.face {
                screen.paint(&mut self.out);
            }
            self.out.flush();
            if news.is_none() {
                break;
            }
        }
        let is_broken = self.out.is_broken();
        self.has_failed |= is_broken;
        if is_broken && !std::mem::replace(&mut self.is_mute, true) {
            self.peers.handle_input(Input::Shutdown, now, os);
        }
        self.show_at = (!self.out.is_out() && !is_broken).then(|| now.mono + SHOW_AGAIN_PAUSE);
    }

    /// What is shown next; the message before it was shown.
    fn note_shown(&mut self, next: Option<&News>) {
        let next = match next {
            Some(News::Message { seen, .. }) => *seen,
            _ => None,
        };
        if let Some(shown) = std::mem::replace(&mut self.showing, next)
            && let Err(error) = self.seen.note(shown)
        {
            log::error!("cannot keep which messages were shown error=\"{error}\"");
        }
    }

    fn tell(&mut self, news: &News, now: Now) {
        match news {
            News::LoggedIn { .. } => self.is_known = true,
            News::LoginRefused { code, text } => self.refused = Some((*code, text.clone())),
            News::ServerLost { .. } => self.has_failed = true,
            News::Answer { result, .. } => self.has_failed |= result.is_err(),
            News::File { status } => self.has_failed |= status.trouble.is_some(),
            _ => {}
        }
        match (&mut self.face, news) {
            // Said when all is over, with what else there is to say then.
            (_, News::Ended { .. } | News::LoginRefused { .. }) => {}
            (Face::Person(screen), news) => screen.tell(news, now),
            (Face::Script, News::ServerLost { why }) => {
                let line = format!("tickmesh: the server is gone: {}\n", Shown(why));
                terminal::write_stderr(line.as_bytes());
            }
            (Face::Script, news) => self.out.show(&for_programs(news)),
        }
    }
}

impl Machine for Console {
    fn handle_input(&mut self, input: Input<'_>, now: Now, os: &mut dyn Os) {
        match input {
            Input::Typed { bytes } => self.take_bytes(bytes, now, os),
            Input::TypedEnd => self.end_typing(now, os),
            other => self.peers.handle_input(other, now, os),
        }
        self.show(now, os);
    }

    fn handle_timeout(&mut self, now: Now, os: &mut dyn Os) {
        let is_due = |at: Option<Mono>| at.is_some_and(|at| at <= now.mono);
        if is_due(self.peers.poll_timeout()) {
            self.peers.handle_timeout(now, os);
        }
        if let Face::Person(screen) = &mut self.face {
            screen.handle_timeout(now);
            if is_due(self.look_at) {
                self.look_at = screen.look(&self.peers, now).then(|| now.mono + bar::PERIOD);
            }
        }
        self.show(now, os);
    }

    fn poll_timeout(&self) -> Option<Mono> {
        let keys = match &self.face {
            Face::Person(screen) => screen.poll_timeout(),
            Face::Script => None,
        };
        [self.peers.poll_timeout(), keys, self.look_at, self.show_at].into_iter().flatten().min()
    }

    fn wants_typed(&self) -> bool {
        self.out.is_out() && self.peers.typed_room() >= TYPED_BUDGET_BYTES
    }

    fn check_invariants(&self) {
        self.peers.check_invariants();
    }
}
