//! A client that talks, with a user who looks or does not, and words that lead far into it.

use std::time::Duration;

use tickmesh::proto::accounts::scram::ClientFirst;
use tickmesh::proto::accounts::{Password, SaltedPassword, Verifier};
use tickmesh::proto::ids::LinkId;
use tickmesh::proto::machine::{Effect, Input, Machine, Origin, Os, Secret};
use tickmesh::proto::peer::{GuestConfig, Login, Orders, Peers, Talk};
use tickmesh::proto::time::{Mono, Now, Wall};

use crate::KEY;

/// A client, and its user.
pub struct Screen {
    peers: Peers,
    looks: bool,
}

impl Screen {
    /// A user or a guest, called `b`, who looks at what there is, or never does.
    pub fn new(is_user: bool, looks: bool) -> Screen {
        let password = Password::prepare("x").expect("a password");
        let login = is_user.then(|| Login { user: "b".parse().expect("a name"), password });
        let patience = Duration::from_secs(if looks { 30 } else { 0 });
        let talk = Some(Talk { login, seen: None, secret: [1; 32], patience });
        let peers = Peers::guest(GuestConfig {
            server: "10.0.0.2:5555".parse().expect("an address"),
            group: "lab".parse().expect("a name"),
            id: Some("b".parse().expect("a name")),
            orders: Orders { talk, ..Orders::default() },
            upload_limit: None,
        });
        Screen { peers, looks }
    }

    fn look(&mut self) {
        if self.looks {
            while self.peers.take_news().is_some() {}
        }
    }
}

impl Machine for Screen {
    fn handle_input(&mut self, input: Input<'_>, now: Now, os: &mut dyn Os) {
        self.peers.handle_input(input, now, os);
        self.look();
    }

    fn handle_timeout(&mut self, now: Now, os: &mut dyn Os) {
        self.peers.handle_timeout(now, os);
        self.look();
    }

    fn poll_timeout(&self) -> Option<Mono> {
        self.peers.poll_timeout()
    }

    fn check_invariants(&self) {
        self.peers.check_invariants();
    }
}

/// What a user types, what a server and another client say. The first login of a user is right.
pub fn words() -> &'static [&'static str] {
    let mut words: Vec<&'static str> = WORDS.to_vec();
    words.extend(login().map(|line| &*line.leak()));
    words.leak()
}

/// What goes out to the one link.
#[derive(Default)]
struct Sent {
    text: String,
    asks: Option<(u64, tickmesh::proto::ids::DialId)>,
}

impl Os for Sent {
    fn perform(&mut self, effect: Effect<'_>) {
        match effect {
            Effect::Send { bytes, .. } => self.text += std::str::from_utf8(bytes).unwrap_or_default(),
            Effect::Dial { dial, .. } => self.asks = Some((0, dial)),
            Effect::Derive { job, .. } => self.asks = self.asks.map(|(_, dial)| (job, dial)),
            _ => {}
        }
    }
}

/// The two lines with which a server answers the first login.
fn login() -> [String; 2] {
    let mut screen = Screen::new(true, true);
    let (mut sent, now) = (Sent::default(), Now { mono: Mono(0), wall: Wall(0) });
    let link = LinkId { index: 0, generation: 0 };
    screen.handle_input(Input::Start, now, &mut sent);
    let (_, dial) = sent.asks.expect("it dials");
    let (local, remote) = ("10.0.0.1:1".parse().expect("one"), "10.0.0.2:5555".parse().expect("one"));
    let origin = Origin::Dialed(dial);
    screen.handle_input(Input::LinkUp { link, origin, local, remote }, now, &mut sent);
    screen.handle_input(Input::Listening { addr: local }, now, &mut sent);
    let first = sent.text.trim_end().rsplit(' ').next().expect("a word");
    let verifier = Verifier::new(&SaltedPassword::from_key(KEY), [9; 16], 4096);
    let (text, exchange) = ClientFirst::parse(first).expect("its own").challenge(&verifier, &[8; 18]);
    let challenge = format!("OK AUTH {text}\n");
    sent.text.clear();
    let at = now.wall;
    screen.handle_input(Input::Received { link, bytes: challenge.as_bytes(), at }, now, &mut sent);
    let (job, _) = sent.asks.expect("it hashes");
    screen.handle_input(Input::Derived { job, key: Secret(KEY) }, now, &mut sent);
    let proof = sent.text.trim_end().strip_prefix("AUTH ").expect("a proof");
    let text = exchange.finish(&verifier, proof).expect("well-formed").expect("right");
    [challenge, format!("OK login b 2 {text}\n")]
}

const WORDS: &[&str] = &[
    "TICKMESH 1 server x\n",
    "TICKMESH 1 peer x\n",
    "OK HELLO b 00000000000000000000000000000000\n",
    "MAIL 1 5 a hello\n",
    "MAIL 2 5 a hello\n",
    "MAIL 9 5 a hello\n",
    "MESSAGE a hello\n",
    "BROADCAST a hello\n",
    "ONLINE a\n",
    "OFFLINE a\n",
    "PRIVATE a 10.0.0.2:40000 00000000000000000000000000000000\n",
    "PRIVATE c 10.0.0.2:40000 00000000000000000000000000000000\n",
    "PRIVATE a 10.0.0.2:0 00000000000000000000000000000001\n",
    "STOPPRIVATE a\n",
    "STOPPRIVATE c\n",
    "OK startprivate a 10.0.0.2:40000 00000000000000000000000000000000\n",
    "OK startprivate c 10.0.0.2:40000 00000000000000000000000000000000\n",
    "OK stopprivate a\n",
    "OK message kept\n",
    "OK broadcast all\n",
    "* USER a\n",
    "OK whoelse 1\n",
    "* HOLDER a 1 2\n",
    "OK searchFile Available\n",
    "OK logout\n",
    "BYE x\n",
    "BYE you said nothing for 10 m\n",
    "ERR wrong-password x\n",
    "ERR already-online x\n",
    "ERR not-yet x\n",
    "ERR no-private x\n",
    "ERR never-sent x\n",
    "ERR unknown-file x\n",
    "ERR limit-reached x\n",
    "LINK lab a b 00000000000000000000000000000000\n",
    "LINK lab c b 00000000000000000000000000000000\n",
    "LINK lab a b 00000000000000000000000000000001\n",
    "OK LINK\n",
    "startprivate\n",
    "stopprivate\n",
    "private hello\n",
    "OK private\n",
    "message a hello\n",
    "whoelse\n",
    "searchFile f.bin\n",
    "startprivate a\n",
    "startprivate c\n",
    "private a hello\n",
    "stopprivate a\n",
    "register own\n",
    "download got.bin\n",
    "download got.bin 2\n",
    "block a\n",
    "OK block a\n",
    "unblock a\n",
    "OK unblock a\n",
    "ERR blocked-you x\n",
    "logout\n",
    "nonsense\n",
    "OK REGISTER own 1\n",
    "OK DOWNLOAD got.bin 9 3 195\n",
    HASHES,
    "SOURCE got.bin a 10.0.0.2:40000 00000000000000000000000000000000\n",
    "SOURCE got.bin a 10.0.0.2:40000 00000000000000000000000000000001\n",
    "HOLDS got.bin 1\n\x07",
    "HAVE got.bin 0 2\n",
    "CHUNK got.bin 0 3\nabc",
    "CHUNK got.bin 1 3\nabc",
    "CHUNK got.bin 2 3\nabc",
    "GET got.bin 1\n",
];

/// Of `got.bin`.
const HASHES: &str = concat!(
    "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85\n",
    "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85\n",
    "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85\n",
);
