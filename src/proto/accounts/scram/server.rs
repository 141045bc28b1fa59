//! The server's half of an exchange. Knows a verifier and no account; whether a right proof is
//! let in is decided elsewhere.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::proto::accounts::scram::{Nonce, ScramError, binding, header, name, nonce, parts, value, xor};
use crate::proto::accounts::verifier::{Verifier, decode, hmac};
use crate::proto::ids::Name;

/// What a client begins with.
#[derive(Clone, Copy, Debug)]
pub struct ClientFirst<'a> {
    header: &'a str,
    bare: &'a str,
    name: Name,
    nonce: &'a str,
}

/// An exchange that waits for the client's proof.
#[derive(Clone, Debug)]
pub struct ServerExchange {
    binding: String,
    nonce: String,
    /// What both have said so far, as it is signed.
    said: String,
}

impl<'a> ClientFirst<'a> {
    /// # Errors
    /// If it is malformed, or asks for something that is not supported.
    pub fn parse(text: &'a str) -> Result<ClientFirst<'a>, ScramError> {
        let (header, bare) = header(text)?;
        let mut parts = parts(bare)?;
        Ok(ClientFirst { header, bare, name: name(&mut parts)?, nonce: nonce(&mut parts)? })
    }

    /// Who wants to log in.
    pub fn name(&self) -> Name {
        self.name
    }

    /// The server's answer, and what waits for the proof.
    pub fn challenge(&self, verifier: &Verifier, nonce: &Nonce) -> (String, ServerExchange) {
        self.challenge_with(verifier, &STANDARD.encode(nonce))
    }

    /// The nonce as text, of any length.
    pub(super) fn challenge_with(&self, verifier: &Verifier, nonce: &str) -> (String, ServerExchange) {
        let nonce = format!("{}{nonce}", self.nonce);
        let (salt, iterations) = (STANDARD.encode(verifier.salt()), verifier.iterations());
        let server_first = format!("r={nonce},s={salt},i={iterations}");
        let said = format!("{},{server_first}", self.bare);
        (server_first, ServerExchange { binding: binding(self.header), nonce, said })
    }
}

impl ServerExchange {
    /// The server's own proof, to be sent once the user is let in; `None` if the client's is wrong. The
    /// verifier is that of the challenge.
    ///
    /// # Errors
    /// If it is malformed or of another exchange: then no password was tried.
    pub fn finish(&self, verifier: &Verifier, client_final: &str) -> Result<Option<String>, ScramError> {
        let (without_proof, proof) = client_final.rsplit_once(",p=").ok_or(ScramError::Malformed("proof"))?;
        let proof: [u8; 32] = decode(proof).ok_or(ScramError::Malformed("proof"))?;
        let mut parts = parts(without_proof)?;
        if value(&mut parts, "c=", "header")? != self.binding {
            return Err(ScramError::Foreign("header"));
        }
        if nonce(&mut parts)? != self.nonce {
            return Err(ScramError::Foreign("nonce"));
        }
        let signed = format!("{},{without_proof}", self.said);
        let client_key = xor(proof, &hmac(&verifier.stored_key, signed.as_bytes()));
        if !verifier.fits_client_key(&client_key) {
            return Ok(None);
        }
        Ok(Some(format!("v={}", STANDARD.encode(hmac(&verifier.server_key, signed.as_bytes())))))
    }
}
