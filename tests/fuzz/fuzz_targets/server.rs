//! Links that say anything to a whole server, over hours: it never panics, never contradicts
//! itself, keeps its contract about time, and ends when it is asked to.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use tickmesh::proto::server::{Server, ServerConfig};
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
];

fuzz_target!(|data: &[u8]| {
    let config = ServerConfig {
        listen: Vec::new(),
        interval: Duration::from_millis(10),
        duration: Duration::from_secs(1),
        secret: [1; 32],
    };
    Driver::play(Server::new(config), WORDS, data);
});
