//! Links that say anything to a whole server, over hours: it never panics, never contradicts
//! itself, keeps its contract about time, and ends when it is asked to.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use tickmesh::proto::server::{Server, ServerConfig, TalkConfig};
use tickmesh_fuzz::Driver;

const WORDS: &[&str] = &[
    "JOIN lab * 4000 * *\n",
    "JOIN lab * 4000 * 9000000000\n",
    "JOIN lab ",
    " 4000 * 9000000000 ",
    "JOIN g",
    " 0 * 0\n",
    "TICK 0 1\n",
    "DONE 1 1\n",
    "LEAVE ",
    "BYE x\n",
    "ERR bad-text x\n",
    "LINK lab 0 1 ",
    "HELLO a 4000 lab\n",
    "HELLO b 4000 lab\n",
    "HELLO * 0 lab\n",
    "HELLO a 4000 lab ",
    "REGISTER f.bin 9 3 195 all\n",
    "REGISTER f.bin 9 3 195 none\n",
    "WITHDRAW f.bin\n",
    "REGISTER g.bin 3 3 65 all\n",
    "REGISTER e.bin 0 1 0 all\n",
    "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85\n",
    "DOWNLOAD f.bin\n",
    "DOWNLOAD g.bin\n",
    "HAVE f.bin 0 2\n",
    "HAVE f.bin 1 1\n",
    "REPORT f.bin a 0\n",
    "REPORT f.bin b 2\n",
    "searchFile f.bin\n",
    "searchChunk f.bin 1 2 3\n",
    "HELLO a\n",
    "HELLO b\n",
    "HELLO *\n",
    "message a ",
    "message b hello\n",
    "%a%hello\n",
    "broadcast hello\n",
    "whoelse\n",
    "whoelsesince 9\n",
    "block a\n",
    "unblock a\n",
    "login u b\n",
    "login v b\n",
    "message v hello\n",
    "block v\n",
    "startprivate v\n",
    "stopprivate v\n",
    "AUTH SCRAM-SHA-256 7 n,,n=a,r=x\n",
    "AUTH c=biws,r=x,p=x\n",
    "ACK 1\n",
    "logout\n",
    "status\n",
];

fuzz_target!(|data: &[u8]| {
    let config = ServerConfig {
        listen: Vec::new(),
        interval: Duration::from_millis(10),
        duration: Duration::from_secs(1),
        secret: [1; 32], talk: TalkConfig::default(),
    };
    Driver::play(Server::new(config), WORDS, data);
});
