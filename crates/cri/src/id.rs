//! Ids of pods and containers: 32 random bytes in hexadecimal, as users of the interface know them.

use crate::error::{Attempt as _, Error, Kind, Result};

/// A new id.
pub(crate) fn new() -> Result<String> {
    let mut bytes = [0_u8; 32];
    let read = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .attempt(|| "ask the kernel for an id".to_owned())?;
    if read != bytes.len() {
        return Err(Error::new(Kind::Internal, "the kernel gave too few random bytes for an id"));
    }
    let mut id = String::with_capacity(64);
    for byte in bytes {
        for digit in [byte >> 4, byte & 15] {
            id.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
        }
    }
    Ok(id)
}

#[cfg(test)]
mod tests {
    #[test]
    fn ids_are_long_and_differ() {
        let (one, other) = (super::new().unwrap(), super::new().unwrap());
        assert_eq!(one.len(), 64);
        assert!(one.bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert_ne!(one, other);
    }
}
