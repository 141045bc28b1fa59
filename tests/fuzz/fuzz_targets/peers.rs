//! A server and strangers that say anything to two peers of one process: these never panic, never
//! contradict themselves, keep their contract about time, and end when they are asked to.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use tickmesh::proto::peer::{Peers, PeersConfig};
use tickmesh_fuzz::Driver;

/// One key and ticket for all, and a file of three bytes, `abc`, with its hash.
const WORDS: &[&str] = &[
    "TICKMESH 1 server x\n",
    "TICKMESH 1 peer x\n",
    "OK JOIN 0 00000000000000000000000000000000 100000000 1000000000 1\n",
    "OK JOIN b 00000000000000000000000000000000 100000000 1000000000 1\n",
    "OK JOIN ",
    " 00000000000000000000000000000000 ",
    "TOCK ",
    "PEER 2 a 10.0.0.2:40000 00000000000000000000000000000000 done 0\n",
    "PEER 2 c 10.0.0.2:40000 00000000000000000000000000000000 running 500000000\n",
    "PEER 3 b 10.0.0.2:40000 00000000000000000000000000000000 done 0\n",
    "PEER 3 0 10.0.0.2:40000 00000000000000000000000000000000 lost 0\n",
    "PEER ",
    "GONE a complete\n",
    "GONE ",
    "OK DONE 1 1\n",
    "OK LEAVE\n",
    "ERR id-taken x\n",
    "ERR directory-moved x\n",
    "ERR duplicate x\n",
    "BYE x\n",
    "LINK lab a 0 00000000000000000000000000000000\n",
    "LINK lab a b 00000000000000000000000000000000\n",
    "LINK lab c b 00000000000000000000000000000000\n",
    "OK LINK\n",
    "OFFER client_a_TimeData.txt 3 1024 65\n",
    "OFFER client_a_samples.csv 3 1024 65\n",
    "OFFER client_",
    "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85\n",
    "CHUNK client_a_TimeData.txt 0 3\nabc",
    "CHUNK client_a_samples.csv 0 3\nabc",
    "CHUNK client_",
    "GET client_0_TimeData.txt 0\n",
    "GET client_b_samples.csv 0\n",
    "GOT client_0_TimeData.txt\n",
    "GOT client_0_samples.csv\n",
    "GOT client_b_TimeData.txt\n",
    "GOT client_b_samples.csv\n",
    "_TimeData.txt ",
    "_samples.csv ",
];

fuzz_target!(|data: &[u8]| {
    let config = PeersConfig {
        server: "10.0.0.2:5555".parse().unwrap(),
        group: "lab".parse().unwrap(),
        ids: vec![None, Some("b".parse().unwrap())],
        interval: None,
        duration: Some(Duration::from_secs(1)),
        share_deadline: Some(Duration::from_secs(20)),
    };
    Driver::play(Peers::new(config), WORDS, data);
});
