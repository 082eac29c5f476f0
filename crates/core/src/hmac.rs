//! HMAC-SHA256 as two pads, the form in which a key goes to a database.
//!
//! The databases compute pseudonyms from built-in SHA-256: `sha256(outer ‖ sha256(inner ‖ text))`
//! (RFC 2104), with the pads in session variables. Owns making and hiding the pads: they are as
//! secret as the key. It must not show them in Debug, errors or digests.

use std::fmt;

use ::hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest as _, Sha256};
use zeroize::{Zeroize, Zeroizing};

/// SHA-256 works on blocks of this many bytes; a pad is one block.
const BLOCK: usize = 64;

/// The two pads of an HMAC-SHA256 key, wiped when dropped.
pub struct Pads {
    inner: [u8; BLOCK],
    outer: [u8; BLOCK],
}

impl Pads {
    /// The pads of a key; one longer than a block is hashed first, as RFC 2104 says.
    ///
    /// Any length is a key here, also none: whoever reads the Secret refuses short ones.
    pub fn of_key(key: &[u8]) -> Self {
        let mut block = Zeroizing::new([0; BLOCK]);
        if key.len() > BLOCK {
            let mut hashed = Sha256::digest(key);
            block[..hashed.len()].copy_from_slice(&hashed);
            hashed.zeroize();
        } else {
            block[..key.len()].copy_from_slice(key);
        }
        let mut pads = Self {
            inner: [0x36; BLOCK],
            outer: [0x5c; BLOCK],
        };
        for (position, byte) in block.iter().enumerate() {
            pads.inner[position] ^= byte;
            pads.outer[position] ^= byte;
        }
        pads
    }

    /// The inner pad as 128 hexadecimal digits.
    pub fn inner_hex(&self) -> Zeroizing<String> {
        secret_hex(&self.inner)
    }

    /// The outer pad as 128 hexadecimal digits.
    pub fn outer_hex(&self) -> Zeroizing<String> {
        secret_hex(&self.outer)
    }
}

impl Drop for Pads {
    fn drop(&mut self) {
        self.inner.zeroize();
        self.outer.zeroize();
    }
}

impl fmt::Debug for Pads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pads(_)")
    }
}

/// Writes into one allocation of the final size, so that no copy stays behind in a smaller one.
fn secret_hex(bytes: &[u8]) -> Zeroizing<String> {
    const DIGITS: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f',
    ];
    let mut text = Zeroizing::new(String::with_capacity(bytes.len() * 2));
    for byte in bytes {
        text.push(DIGITS[usize::from(byte >> 4)]);
        text.push(DIGITS[usize::from(byte & 0x0f)]);
    }
    text
}

/// HMAC-SHA256 of a text as 64 hexadecimal digits: what every database must compute.
///
/// Made with the `hmac` crate and not with [`Pads`], so that each checks the other.
pub fn hmac_hex(key: &[u8], text: &[u8]) -> String {
    hex::encode(hmac_of(key, &[text]))
}

/// HMAC-SHA256 of a text that is given in parts.
pub fn hmac_of(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length (RFC 2104)");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a database does with the pads.
    fn by_pads(key: &[u8], text: &[u8]) -> String {
        let pads = Pads::of_key(key);
        let inner = hex::decode(&*pads.inner_hex()).unwrap();
        let outer = hex::decode(&*pads.outer_hex()).unwrap();
        let first = Sha256::digest([&inner, text].concat());
        hex::encode(Sha256::digest([outer.as_slice(), &first].concat()))
    }

    /// RFC 4231 section 4: key, data, HMAC-SHA-256. (Case 5 is about a truncated output.)
    fn vectors() -> Vec<(Vec<u8>, Vec<u8>, &'static str)> {
        vec![
            (
                vec![0x0b; 20],
                b"Hi There".to_vec(),
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
            ),
            (
                b"Jefe".to_vec(),
                b"what do ya want for nothing?".to_vec(),
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                vec![0xaa; 20],
                vec![0xdd; 50],
                "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
            ),
            (
                (1..=25).collect(),
                vec![0xcd; 50],
                "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
            ),
            (
                vec![0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First".to_vec(),
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
            (
                vec![0xaa; 131],
                b"This is a test using a larger than block-size key and a larger than block-size \
                  data. The key needs to be hashed before being used by the HMAC algorithm."
                    .to_vec(),
                "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
            ),
        ]
    }

    #[test]
    fn the_pads_give_the_vectors_of_rfc_4231() {
        for (key, data, expected) in vectors() {
            assert_eq!(by_pads(&key, &data), expected);
        }
    }

    #[test]
    fn the_reference_gives_the_vectors_of_rfc_4231() {
        for (key, data, expected) in vectors() {
            assert_eq!(hmac_hex(&key, &data), expected);
        }
    }

    #[test]
    fn debug_output_shows_neither_pad() {
        let pads = Pads::of_key(b"secret");
        assert_eq!(format!("{pads:?} {pads:#?}"), "Pads(_) Pads(_)");
    }

    #[test]
    fn a_pad_is_128_hexadecimal_digits() {
        let pads = Pads::of_key(&[]);
        assert_eq!(*pads.inner_hex(), "36".repeat(64));
        assert_eq!(*pads.outer_hex(), "5c".repeat(64));
    }

    proptest! {
        #[test]
        fn pads_and_reference_agree_on_every_key_and_text(
            key in prop::collection::vec(any::<u8>(), 0..150),
            text in prop::collection::vec(any::<u8>(), 0..150),
        ) {
            prop_assert_eq!(by_pads(&key, &text), hmac_hex(&key, &text));
        }
    }
}
