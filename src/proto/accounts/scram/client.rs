//! The client's half of an exchange. Believes no server that does not prove that it knows the account.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use subtle::ConstantTimeEq as _;

use crate::proto::accounts::password::{Password, SaltedPassword};
use crate::proto::accounts::scram::{Nonce, ScramError, binding, nonce, parts, value, xor};
use crate::proto::accounts::verifier::{
    Salt, Verifier, client_key, decode, hmac, parse_iterations, server_key,
};
use crate::proto::ids::Name;

/// Says that the client does not know channel binding, and is there for itself.
const HEADER: &str = "n,,";

/// An exchange that waits for the server's challenge.
#[derive(Clone, Debug)]
pub struct ClientExchange {
    nonce: String,
    bare: String,
}

/// What the server wants proved.
#[derive(Clone, Debug)]
pub struct Challenge {
    salt: Salt,
    iterations: u32,
    without_proof: String,
    signed: String,
}

/// What only a server can say that knows the account.
#[derive(Clone, Debug)]
pub struct ServerProof([u8; 32]);

impl ClientExchange {
    /// What the client begins with, and what waits for the answer.
    pub fn begin(name: Name, nonce: &Nonce) -> (String, ClientExchange) {
        ClientExchange::begin_with(name, STANDARD.encode(nonce))
    }

    /// The nonce as text, of any length.
    pub(super) fn begin_with(name: Name, nonce: String) -> (String, ClientExchange) {
        let bare = format!("n={name},r={nonce}");
        (format!("{HEADER}{bare}"), ClientExchange { nonce, bare })
    }

    /// Reads the server's challenge.
    ///
    /// # Errors
    /// If it is malformed or of another exchange, or if the password would be too easily guessed from the
    /// answer, or take too long to hash.
    pub fn challenged(&self, server_first: &str) -> Result<Challenge, ScramError> {
        let mut parts = parts(server_first)?;
        let nonce = nonce(&mut parts)?;
        if !nonce.starts_with(&self.nonce) || nonce == self.nonce {
            return Err(ScramError::Foreign("nonce"));
        }
        let salt = decode(value(&mut parts, "s=", "salt")?).ok_or(ScramError::Malformed("salt"))?;
        let iterations = parse_iterations(value(&mut parts, "i=", "number of iterations")?)
            .ok_or(ScramError::Malformed("number of iterations"))?;
        let without_proof = format!("c={},r={nonce}", binding(HEADER));
        let signed = format!("{},{server_first},{without_proof}", self.bare);
        Ok(Challenge { salt, iterations, without_proof, signed })
    }
}

impl Challenge {
    /// What the password is hashed with.
    pub fn salt(&self) -> &Salt {
        &self.salt
    }

    /// How often it is hashed.
    pub fn iterations(&self) -> u32 {
        self.iterations
    }

    /// The password as the answer needs it. Takes its time: see [`Password::salted`].
    pub fn salted(&self, password: &Password) -> SaltedPassword {
        password.salted(&self.salt, self.iterations)
    }

    /// The client's proof, and what the server has to say to it.
    pub fn respond(&self, salted: &SaltedPassword) -> (String, ServerProof) {
        let stored_key = Verifier::new(salted, self.salt, self.iterations).stored_key;
        let proof = xor(client_key(salted), &hmac(&stored_key, self.signed.as_bytes()));
        let client_final = format!("{},p={}", self.without_proof, STANDARD.encode(proof));
        (client_final, ServerProof(hmac(&server_key(salted), self.signed.as_bytes())))
    }
}

impl ServerProof {
    /// # Errors
    /// If the server does not know the account, or says anything else.
    pub fn check(&self, server_final: &str) -> Result<(), ScramError> {
        let signature: Option<[u8; 32]> =
            value(&mut parts(server_final)?, "v=", "signature").ok().and_then(decode);
        match signature {
            Some(signature) if signature.ct_eq(&self.0).into() => Ok(()),
            _ => Err(ScramError::NotProven),
        }
    }
}
