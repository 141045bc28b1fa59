//! A server and strangers that say anything to two peers of one process, or to a guest that offers a
//! file and gets another one: these never panic, never
//! contradict themselves, keep their contract about time, and end when they are asked to.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use tickmesh::proto::peer::{Get, GuestConfig, Offer, Orders, Peers, PeersConfig};
use tickmesh_fuzz::Driver;

/// One key and ticket for all. Files are of three bytes, `abc`, or of three such chunks, with their hashes.
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
    "OK HELLO b 00000000000000000000000000000000\n",
    "OK HELLO ",
    "OK REGISTER own.bin 1\n",
    "OK DOWNLOAD got.bin 9 3 195\n",
    "OK DOWNLOAD got.bin ",
    HASHES,
    "SOURCE got.bin a 10.0.0.2:40000 00000000000000000000000000000000\n",
    "SOURCE got.bin c 10.0.0.2:40000 00000000000000000000000000000000\n",
    "SOURCE own.bin c 10.0.0.2:40000 00000000000000000000000000000000\n",
    "HOLDS got.bin 1\n\x07",
    "HOLDS got.bin 1\n\x02",
    "HOLDS got.bin 0\n",
    "HAVE got.bin 0 2\n",
    "HAVE got.bin ",
    "CHUNK got.bin 0 3\nabc",
    "CHUNK got.bin 1 3\nabc",
    "CHUNK got.bin 2 3\nabc",
    "CHUNK got.bin 1 3\nxyz",
    "CHUNK got.bin ",
    "DENY got.bin 0\n",
    "DENY got.bin 1\n",
    "WANT got.bin 9c668de187ad1a0a353cb8928ca0aedc6b03045b89ba08b16a36509be08ecec2\n",
    "WANT own.bin 73e28713e35e40a73636fa0d899eaf7b83d9142c2d6f9b0611b2ae9c6a834aac\n",
    "GET got.bin 0\n",
    "GET got.bin 1\n",
    "GET own.bin 0\n",
    "CANCEL own.bin 0\n",
    "CANCEL got.bin 1\n",
    "ERR unknown-file x\n",
    "ERR out-of-place x\n",
    "ERR limit-reached x\n",
    "ERR file-differs x\n",
];

/// Of `got.bin`.
const HASHES: &str = concat!(
    "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85\n",
    "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85\n",
    "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85\n",
);

fuzz_target!(|data: &[u8]| {
    let Some((which, data)) = data.split_first() else { return };
    let machine = if which % 2 == 0 { runners() } else { guest(u64::from(*which) * 1000) };
    Driver::play(machine, WORDS, data);
});

fn runners() -> Peers {
    Peers::new(PeersConfig {
        server: "10.0.0.2:5555".parse().unwrap(),
        group: "lab".parse().unwrap(),
        ids: vec![None, Some("b".parse().unwrap())],
        interval: None,
        duration: Some(Duration::from_secs(1)),
        share_deadline: Some(Duration::from_secs(20)),
    })
}

fn guest(stay_ms: u64) -> Peers {
    let (wait, stay) = (Duration::from_secs(60), Duration::from_millis(stay_ms));
    let offer = Offer { path: "own/own.bin".to_owned(), name: "own.bin".parse().unwrap(), chunks: None };
    let get = Get { name: "got.bin".parse().unwrap(), chunk: None, wait, stay };
    Peers::guest(GuestConfig {
        server: "10.0.0.2:5555".parse().unwrap(),
        group: "lab".parse().unwrap(),
        id: Some("b".parse().unwrap()),
        orders: Orders { offers: vec![offer], get: Some(get), ..Orders::default() },
        upload_limit: (stay_ms % 3000 == 0).then_some(100),
    })
}
