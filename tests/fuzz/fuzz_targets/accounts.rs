//! Any bytes as a part of a login, as a verifier or as a file of passwords: nothing panics, and nothing
//! that is made up proves a password.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use tickmesh::proto::accounts::scram::{ClientExchange, ClientFirst};
use tickmesh::proto::accounts::{Accounts, Password, Verifier, parse_credentials, user_name};

/// That of the example in RFC 7677.
const PENCIL: &str = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$\
    WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";

fuzz_target!(|data: &[u8]| {
    let _ = parse_credentials(data, &Accounts::new([0; 32], Duration::ZERO));
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = (user_name(text), Password::prepare(text));
    if let Ok(verifier) = text.parse::<Verifier>() {
        assert_eq!(verifier.to_string(), text);
    }
    let (first, client) = ClientExchange::begin("user".parse().unwrap(), &[0; 18]);
    let _ = client.challenged(text);
    let verifier = PENCIL.parse().unwrap();
    for first in [&first, text] {
        if let Ok(first) = ClientFirst::parse(first) {
            let (_, server) = first.challenge(&verifier, &[1; 18]);
            assert!(!matches!(server.finish(&verifier, text), Ok(Some(_))));
        }
    }
});
