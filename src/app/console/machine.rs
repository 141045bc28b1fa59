//! The console as a machine around the client: hands it one command after the other, and shows what it has to
//! tell, to a person or to a script. Knows no command but `help`.

use crate::app::bar;
use crate::app::console::complete::COMMANDS;
use crate::app::console::out::Out;
use crate::app::console::screen::{Screen, Wish};
use crate::app::console::seen::SeenFile;
use crate::app::console::show::{for_programs, trouble};
use crate::app::console::waiting::{Line, Waiting};
use crate::proto::limits::SHOW_AGAIN_PAUSE;
use crate::proto::machine::{Input, Machine, Os};
use crate::proto::peer::{News, Peers};
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
    waiting: Waiting,
    /// A command is with the client, and not answered.
    is_asked: bool,
    /// The server has let us in.
    is_known: bool,
    typing: Typing,
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

/// What comes from standard input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Typing {
    Open,
    /// A person has asked once to leave.
    Leaving,
    /// The last line has come.
    Ended,
    /// And the client knows.
    Told,
}

impl Console {
    pub(super) fn new(peers: Peers, face: Face, out: Out, seen: SeenFile) -> Console {
        Console {
            peers,
            face,
            out,
            seen,
            waiting: Waiting::default(),
            is_asked: false,
            is_known: false,
            typing: Typing::Open,
            look_at: None,
            show_at: None,
            has_failed: false,
            refused: None,
        }
    }

    /// Every command is answered.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && !self.is_asked
    }

    pub(super) fn peers(&self) -> &Peers {
        &self.peers
    }

    /// Shows what is left. Gives the terminal back.
    pub(super) fn end(mut self, waits: bool) -> std::io::Result<()> {
        if let Face::Person(screen) = &mut self.face {
            screen.end(&mut self.out);
        }
        self.out.flush();
        if waits { self.out.finish() } else { Ok(()) }
    }

    fn is_due(&self, now: Now) -> bool {
        self.peers.poll_timeout().is_some_and(|at| at <= now.mono)
    }

    fn take_bytes(&mut self, bytes: &[u8], now: Now, os: &mut dyn Os) {
        let Face::Person(screen) = &mut self.face else { return self.waiting.take_bytes(bytes) };
        for wish in screen.take_bytes(bytes, now, &mut self.out) {
            match wish {
                Wish::Commands(text) => self.waiting.take_text(&text),
                Wish::Leave => self.leave(now, os),
            }
        }
    }

    /// A person wants to leave: at once if nothing is lost by it, else when asked a second time.
    fn leave(&mut self, now: Now, os: &mut dyn Os) {
        let Face::Person(screen) = &mut self.face else { return };
        if self.typing == Typing::Open && screen.look(&self.peers, now) {
            screen.notice("files are still coming; Ctrl-D again leaves, and the rest can be got later");
        } else if self.typing == Typing::Open && self.is_known {
            self.waiting.take_text("logout");
        } else {
            self.peers.handle_input(Input::Shutdown, now, os);
        }
        self.typing = Typing::Leaving;
    }

    fn end_typing(&mut self, now: Now, os: &mut dyn Os) {
        match &self.face {
            // The terminal is gone.
            Face::Person(_) => self.peers.handle_input(Input::Shutdown, now, os),
            Face::Script => {
                self.waiting.end();
                self.typing = Typing::Ended;
            }
        }
    }

    /// Shows what is new and hands on what can be handed on, until neither leads to anything.
    fn settle(&mut self, now: Now, os: &mut dyn Os) {
        loop {
            let told = self.tell_news(now);
            if !told && !self.hand_on(now, os) {
                break;
            }
        }
        if let Face::Person(screen) = &mut self.face {
            screen.paint(&mut self.out);
        }
        self.out.flush();
        self.show_at = (!self.out.is_empty()).then(|| now.mono + SHOW_AGAIN_PAUSE);
    }

    /// What the client has to tell is taken only when all before it is out: what is taken counts as shown.
    fn tell_news(&mut self, now: Now) -> bool {
        if !self.out.is_empty() {
            return false;
        }
        let all = self.peers.take_news();
        let mut last_seen = None;
        for news in &all {
            if let News::Message { seen: Some(seen), .. } = news {
                last_seen = Some(*seen);
            }
            self.tell(news, now);
        }
        if let Face::Person(screen) = &mut self.face
            && !all.is_empty()
        {
            screen.paint(&mut self.out);
        }
        self.out.flush();
        if let Some(Err(error)) = last_seen.map(|seen| self.seen.note(seen)) {
            log::warn!("cannot keep which messages were shown error=\"{error}\"");
        }
        !all.is_empty()
    }

    fn tell(&mut self, news: &News, now: Now) {
        match news {
            News::LoggedIn { name, .. } => {
                self.is_known = true;
                if let Face::Person(screen) = &mut self.face {
                    screen.set_name(name.as_str());
                }
            }
            News::LoginRefused { code, text } => self.refused = Some((*code, text.clone())),
            News::ServerLost { .. } => self.has_failed = true,
            News::Answer { result, .. } => {
                self.is_asked = false;
                self.has_failed |= result.is_err();
            }
            News::File { status } => self.has_failed |= trouble(status).is_some(),
            _ => {}
        }
        match (&mut self.face, news) {
            // Said when all is over, with what else there is to say then.
            (_, News::Ended { .. } | News::LoginRefused { .. }) => {}
            (Face::Person(screen), news) => screen.tell(news, now),
            (Face::Script, News::ServerLost { why }) => {
                eprintln!("tickmesh: the server is gone: {}", Shown(why))
            }
            (Face::Script, news) => self.out.show(&for_programs(news)),
        }
    }

    /// Hands on the next command, if the one before is answered.
    fn hand_on(&mut self, now: Now, os: &mut dyn Os) -> bool {
        if self.is_asked || !self.is_known || !self.out.is_empty() {
            return false;
        }
        match self.waiting.next() {
            Some(line) => self.hand_on_line(line, now, os),
            None if self.typing == Typing::Ended => {
                self.typing = Typing::Told;
                self.peers.handle_input(Input::TypedEnd, now, os);
            }
            None => return false,
        }
        true
    }

    fn hand_on_line(&mut self, line: Line, now: Now, os: &mut dyn Os) {
        let line = match line {
            Ok(line) => line,
            Err((code, text)) => {
                let result = Err((code, text.to_owned()));
                return self.tell(&News::Answer { verb: "", result }, now);
            }
        };
        if line.trim() == "help" {
            return self.help();
        }
        self.is_asked = true;
        self.look_at = Some(now.mono + bar::PERIOD);
        self.peers.handle_input(Input::Typed { bytes: format!("{line}\n").as_bytes() }, now, os);
    }

    fn help(&mut self) {
        match &mut self.face {
            Face::Person(screen) => screen.help(),
            Face::Script => {
                for command in COMMANDS {
                    self.out.show(&format!("* {} {}\n", command.name, command.usage));
                }
                self.out.show(&format!("OK help {}\n", COMMANDS.len()));
            }
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
        self.settle(now, os);
    }

    fn handle_timeout(&mut self, now: Now, os: &mut dyn Os) {
        if let Face::Person(screen) = &mut self.face {
            screen.handle_timeout(now);
            if self.look_at.is_some_and(|at| at <= now.mono) {
                self.look_at = screen.look(&self.peers, now).then(|| now.mono + bar::PERIOD);
            }
        } else {
            self.look_at = None;
        }
        // What is handed on to the client may make a timer of it due at once.
        loop {
            if self.is_due(now) {
                self.peers.handle_timeout(now, os);
            }
            self.settle(now, os);
            if !self.is_due(now) {
                break;
            }
        }
    }

    fn poll_timeout(&self) -> Option<Mono> {
        let keys = match &self.face {
            Face::Person(screen) => screen.poll_timeout(),
            Face::Script => None,
        };
        [self.peers.poll_timeout(), keys, self.look_at, self.show_at].into_iter().flatten().min()
    }

    fn wants_typed(&self) -> bool {
        self.waiting.has_room() && self.out.is_empty()
    }

    fn check_invariants(&self) {
        self.peers.check_invariants();
    }
}
