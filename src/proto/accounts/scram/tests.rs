//! Both halves of a login: against the RFC, against each other, against those of another
//! implementation, and against what is none.

use std::sync::Arc;

use rsasl::callback::{Context, Request, SessionCallback, SessionData};
use rsasl::config::SASLConfig;
use rsasl::mechanisms::scram::properties::ScramStoredPassword;
use rsasl::mechname::Mechname;
use rsasl::prelude::{SASLClient, SASLServer, Session, SessionError, Validation};
use rsasl::property::AuthId;
use rsasl::validate::{Validate, ValidationError};

use super::*;
use crate::proto::accounts::{Password, SaltedPassword, Verifier};
use crate::proto::limits::SCRAM_ITERATIONS;

const CLIENT_FIRST: &str = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
const SERVER_NONCE: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
const SERVER_FIRST: &str =
    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
const CLIENT_FINAL: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
    p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
const SERVER_FINAL: &str = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";
const SALT: [u8; 16] = [91, 109, 153, 104, 157, 18, 53, 142, 236, 160, 75, 20, 18, 54, 250, 129];

fn salted(password: &str) -> SaltedPassword {
    Password::prepare(password).unwrap().salted(&SALT, SCRAM_ITERATIONS)
}

/// That of the RFC's example.
fn verifier() -> Verifier {
    Verifier::new(&salted("pencil"), SALT, SCRAM_ITERATIONS)
}

fn server() -> ServerExchange {
    ClientFirst::parse(CLIENT_FIRST).unwrap().challenge_with(&verifier(), SERVER_NONCE).1
}

fn client() -> ClientExchange {
    ClientExchange::begin_with("user".parse().unwrap(), "rOprNGfwEbeRWgbNEkqO".to_owned()).1
}

#[test]
fn the_server_says_what_the_rfc_says() {
    let first = ClientFirst::parse(CLIENT_FIRST).unwrap();
    assert_eq!(first.name(), "user".parse().unwrap());
    let (server_first, exchange) = first.challenge_with(&verifier(), SERVER_NONCE);
    assert_eq!(server_first, SERVER_FIRST);
    assert_eq!(exchange.finish(&verifier(), CLIENT_FINAL), Ok(Some(SERVER_FINAL.to_owned())));
}

#[test]
fn the_client_says_what_the_rfc_says() {
    let (client_first, exchange) =
        ClientExchange::begin_with("user".parse().unwrap(), "rOprNGfwEbeRWgbNEkqO".to_owned());
    assert_eq!(client_first, CLIENT_FIRST);
    let challenge = exchange.challenged(SERVER_FIRST).unwrap();
    let salted = challenge.salted(&Password::prepare("pencil").unwrap());
    let (client_final, server_proof) = challenge.respond(&salted);
    assert_eq!(client_final, CLIENT_FINAL);
    assert_eq!(server_proof.check(SERVER_FINAL), Ok(()));
}

/// A login of ours with ours; whether it is right for the server, and for the client.
fn login(password: &str, nonces: (&Nonce, &Nonce)) -> (bool, Option<Result<(), ScramError>>) {
    let (client_first, exchange) = ClientExchange::begin("user".parse().unwrap(), nonces.0);
    let (server_first, server) = ClientFirst::parse(&client_first).unwrap().challenge(&verifier(), nonces.1);
    let (client_final, proof) = exchange.challenged(&server_first).unwrap().respond(&salted(password));
    let server_final = server.finish(&verifier(), &client_final).unwrap();
    (server_final.is_some(), server_final.map(|text| proof.check(&text)))
}

#[test]
fn only_the_right_password_is_right() {
    for nonces in [(&[0; 18], &[0; 18]), (&[0xff; 18], &[7; 18])] {
        assert_eq!(login("pencil", nonces), (true, Some(Ok(()))));
        assert_eq!(login("Pencil", nonces), (false, None));
    }
}

#[test]
fn a_login_cannot_be_played_again() {
    let (_, later) =
        ClientFirst::parse(CLIENT_FIRST).unwrap().challenge(&verifier(), &[9; SCRAM_NONCE_BYTES]);
    assert_eq!(later.finish(&verifier(), CLIENT_FINAL), Err(ScramError::Foreign("nonce")));
}

#[test]
fn a_malformed_beginning_is_refused() {
    use ScramError::{Malformed, Unsupported};
    let long = format!("n,,n=user,r={}", "x".repeat(SCRAM_NONCE_TEXT_MAX + 1));
    for (text, error) in [
        ("", Malformed("header")),
        ("n", Malformed("header")),
        ("n,n=user,r=x", Malformed("header")),
        ("x,,n=user,r=x", Malformed("header")),
        ("N,,n=user,r=x", Malformed("header")),
        ("p=tls-exporter,,n=user,r=x", Unsupported("channel binding")),
        ("n,a=root,n=user,r=x", Unsupported("acting for another user")),
        ("n,b,n=user,r=x", Malformed("header")),
        ("n,,m=x,n=user,r=x", Unsupported("an extension")),
        ("n,,r=x,n=user", Malformed("name")),
        ("n,,n=,r=x", Malformed("name")),
        ("n,,n=a=2Cb,r=x", Malformed("name")),
        ("n,,n=a b,r=x", Malformed("name")),
        ("n,,n=user", Malformed("nonce")),
        ("n,,n=user,r=", Malformed("nonce")),
        ("n,,n=user,r=a b", Malformed("nonce")),
        ("n,,n=user,r=é", Malformed("nonce")),
        (&long, Malformed("nonce")),
    ] {
        assert_eq!(ClientFirst::parse(text).unwrap_err(), error, "{text}");
    }
    for text in ["y,,n=user,r=x", "n,,n=user,r=x,z=later,"] {
        assert!(ClientFirst::parse(text).is_ok(), "{text}");
    }
}

#[test]
fn a_malformed_proof_is_refused() {
    use ScramError::{Foreign, Malformed, Unsupported};
    let change = |from: &str, to: &str| CLIENT_FINAL.replacen(from, to, 1);
    for (text, error) in [
        (String::new(), Malformed("proof")),
        (change(",p=", ",q="), Malformed("proof")),
        (change("p=dHzb", "p="), Malformed("proof")),
        (change("p=dHzb", "p=dHzbdHzb"), Malformed("proof")),
        (change("dVQ=", "dVQ"), Malformed("proof")),
        (change("dVQ=", "dVR="), Malformed("proof")),
        (CLIENT_FINAL.to_owned() + ",z=x", Malformed("proof")),
        (change("c=", "m=x,c="), Unsupported("an extension")),
        (change("c=", "d="), Malformed("header")),
        (change("biws", "eSws"), Foreign("header")),
        (change("biws", ""), Foreign("header")),
        (change("r=", "s="), Malformed("nonce")),
        (change("r=rOpr", "r=xOpr"), Foreign("nonce")),
        (change("$k0", "$k"), Foreign("nonce")),
        (change("$k0", "$k00"), Foreign("nonce")),
    ] {
        assert_eq!(server().finish(&verifier(), &text), Err(error), "{text}");
    }
    // Well formed, and of another password; or with a part that the proof does not know of.
    for text in [change("dHzb", "eHzb"), change(",p=", ",z=x,p=")] {
        assert_eq!(server().finish(&verifier(), &text), Ok(None), "{text}");
    }
}

#[test]
fn a_bad_challenge_is_refused() {
    use ScramError::{Foreign, Malformed, Unsupported};
    let change = |from: &str, to: &str| SERVER_FIRST.replacen(from, to, 1);
    for (text, error) in [
        (String::new(), Malformed("nonce")),
        (change("r=", "m=x,r="), Unsupported("an extension")),
        (change("r=r", "r=x"), Foreign("nonce")),
        (change(SERVER_NONCE, ""), Foreign("nonce")),
        (change("s=W22Z", "s="), Malformed("salt")),
        (change(",s=", ",t="), Malformed("salt")),
        (change(",i=4096", ""), Malformed("number of iterations")),
        (change("4096", "1"), Malformed("number of iterations")),
        (change("4096", "4294967295"), Malformed("number of iterations")),
        (change("4096", "4096 "), Malformed("number of iterations")),
    ] {
        assert_eq!(client().challenged(&text).unwrap_err(), error, "{text}");
    }
    assert!(client().challenged(&(SERVER_FIRST.to_owned() + ",z=later")).is_ok());
}

#[test]
fn a_server_that_does_not_know_the_account_is_not_believed() {
    let (_, proof) = client().challenged(SERVER_FIRST).unwrap().respond(&salted("pencil"));
    for text in ["", "v=", "v=AAAA", "e=invalid-proof", &SERVER_FINAL.replace("6rri", "7rri")] {
        assert_eq!(proof.check(text), Err(ScramError::NotProven), "{text}");
    }
    assert_eq!(proof.check(&(SERVER_FINAL.to_owned() + ",z=later")), Ok(()));
}

/// What the other implementation asks for: the verifier of `user`; and it tells whether it let somebody in.
struct Callback(Verifier);
struct LetIn;
impl Validation for LetIn {
    type Value = bool;
}
impl SessionCallback for Callback {
    fn callback(
        &self,
        _: &SessionData,
        context: &Context,
        request: &mut Request,
    ) -> Result<(), SessionError> {
        if context.get_ref::<AuthId>() == Some("user") {
            let Verifier { iterations, salt, stored_key, server_key } = &self.0;
            let stored = ScramStoredPassword::new(*iterations, salt, stored_key, server_key);
            request.satisfy::<ScramStoredPassword>(&stored)?;
        }
        Ok(())
    }

    fn validate(
        &self,
        _: &SessionData,
        _: &Context,
        validate: &mut Validate<'_>,
    ) -> Result<(), ValidationError> {
        validate.with::<LetIn, _>(|| Ok(true))?;
        Ok(())
    }
}

/// One step of the other implementation.
fn step<V: Validation>(session: &mut Session<V>, input: Option<&str>) -> Result<String, SessionError> {
    let mut output = Vec::new();
    session.step(input.map(str::as_bytes), &mut output)?;
    Ok(String::from_utf8(output).unwrap())
}

#[test]
fn our_client_logs_in_with_another_server() {
    for (password, is_right) in [("pencil", true), ("Pencil", false)] {
        let config = SASLConfig::builder().with_defaults().with_callback(Callback(verifier())).unwrap();
        let mechanism = Mechname::parse(b"SCRAM-SHA-256").unwrap();
        let mut theirs = SASLServer::<LetIn>::new(config).start_suggested(mechanism).unwrap();
        let (client_first, ours) = ClientExchange::begin("user".parse().unwrap(), &[5; SCRAM_NONCE_BYTES]);
        let server_first = step(&mut theirs, Some(&client_first)).unwrap();
        let (client_final, proof) = ours.challenged(&server_first).unwrap().respond(&salted(password));
        let server_final = step(&mut theirs, Some(&client_final)).unwrap();
        assert_eq!(theirs.validation(), is_right.then_some(true));
        assert_eq!(proof.check(&server_final).is_ok(), is_right, "{server_final}");
    }
}

#[test]
fn another_client_logs_in_with_our_server() {
    for (password, is_right) in [("pencil", true), ("Pencil", false)] {
        let config = SASLConfig::with_credentials(None, "user".to_owned(), password.to_owned()).unwrap();
        let mechanism = Mechname::parse(b"SCRAM-SHA-256").unwrap();
        let mut theirs = SASLClient::new(Arc::clone(&config)).start_suggested(&[mechanism]).unwrap();
        let client_first = step(&mut theirs, None).unwrap();
        let first = ClientFirst::parse(&client_first).unwrap();
        let (server_first, ours) = first.challenge(&verifier(), &[5; SCRAM_NONCE_BYTES]);
        let client_final = step(&mut theirs, Some(&server_first)).unwrap();
        let server_final = ours.finish(&verifier(), &client_final).unwrap();
        assert_eq!(server_final.is_some(), is_right);
        if let Some(server_final) = server_final {
            assert!(step(&mut theirs, Some(&server_final)).is_ok(), "it believes us");
        }
    }
}

proptest::proptest! {
    #[test]
    fn any_text_is_refused_or_understood(
        text in "[ -~]{0,80}|[nyp],[a-z=]{0,3},[nrmc]=[!-~]{0,20},[rsi]=.{0,20}",
    ) {
        let _ = ClientFirst::parse(&text);
        let _ = client().challenged(&text);
        proptest::prop_assert!(!matches!(server().finish(&verifier_of_nobody(), &text), Ok(Some(_))));
    }
}

fn verifier_of_nobody() -> Verifier {
    Verifier { iterations: SCRAM_ITERATIONS, salt: SALT, stored_key: [3; 32], server_key: [4; 32] }
}
