//! Files with holes, as GNU tar stores them: the pieces between the holes, and a map of where they belong.

use super::header::{self, BLOCK, Block};
use super::pax::natural;

/// A part of a file that is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    pub offset: u64,
    pub length: u64,
}

/// The map of GNU's own format: in the header, and as many blocks after it as it takes.
#[derive(Debug)]
pub(super) struct Old {
    /// With the holes.
    pub size: u64,
    pub numbers: Vec<u64>,
    pub goes_on: bool,
}

impl Old {
    pub(super) fn parse(block: &Block) -> Result<Self, &'static str> {
        let size = field(block, 483).ok_or("the size of a file with holes is no number")?;
        let mut old = Self { size, numbers: Vec::new(), goes_on: false };
        old.add(block, 386, 4, 482)?;
        Ok(old)
    }

    pub(super) fn go_on(&mut self, block: &Block) -> Result<(), &'static str> {
        self.add(block, 0, 21, 504)
    }

    fn add(&mut self, block: &Block, from: usize, count: usize, more: usize) -> Result<(), &'static str> {
        for at in (from..from + count * 24).step_by(24) {
            // An unused place ends the list.
            if block.get(at).is_none_or(|byte| *byte == 0) {
                break;
            }
            for at in [at, at + 12] {
                self.numbers.push(field(block, at).ok_or("a map of holes has a number that is none")?);
            }
        }
        self.goes_on = block.get(more).is_some_and(|byte| *byte != 0);
        Ok(())
    }
}

fn field(block: &Block, at: usize) -> Option<u64> {
    header::number(block.get(at..at + 12)?).and_then(|number| u64::try_from(number).ok())
}

/// A map in front of the data: how many pieces, then an offset and a length for each, each a decimal number on a line.
#[derive(Debug, Default)]
pub(super) struct InFront {
    count: Option<u64>,
    numbers: Vec<u64>,
    digits: Vec<u8>,
}

impl InFront {
    /// Takes the next block; gives the numbers when they are whole.
    pub(super) fn add(&mut self, block: &Block) -> Result<Option<Vec<u64>>, &'static str> {
        let bad = "a map of holes has a number that is none";
        for byte in block {
            if *byte != b'\n' {
                self.digits.push(*byte);
                continue;
            }
            let number = natural(&self.digits).ok_or(bad)?;
            self.digits.clear();
            match self.count {
                None => self.count = Some(number.checked_mul(2).ok_or(bad)?),
                Some(_) => self.numbers.push(number),
            }
            if self.count == Some(self.numbers.len() as u64) {
                return Ok(Some(std::mem::take(&mut self.numbers)));
            }
        }
        // No number is as long as a block.
        if self.digits.len() >= BLOCK { Err(bad) } else { Ok(None) }
    }
}

/// Offsets and lengths in turns become pieces: in order, apart from each other, within the file, and all that is stored.
pub(super) fn pieces(numbers: &[u64], size: u64, stored: u64) -> Result<Vec<Piece>, &'static str> {
    let (pairs, rest) = numbers.as_chunks::<2>();
    if !rest.is_empty() {
        return Err("a map of holes has an offset without a length");
    }
    let (mut pieces, mut end, mut total) = (Vec::new(), 0, 0_u64);
    for &[offset, length] in pairs {
        let next = offset.checked_add(length).filter(|next| offset >= end && *next <= size);
        end = next.ok_or("a map of holes is out of order or beyond its file")?;
        // They do not overlap, so they are together no more than the size.
        total += length;
        if length > 0 {
            pieces.push(Piece { offset, length });
        }
    }
    if total != stored {
        return Err("a map of holes does not fit what is stored");
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_has_to_fit_its_file() {
        let piece = |offset, length| Piece { offset, length };
        assert_eq!(pieces(&[0, 5, 10, 2, 20, 0], 20, 7), Ok(vec![piece(0, 5), piece(10, 2)]));
        for (numbers, size, stored) in [
            (&[0_u64, 5, 4, 2][..], 20, 7),
            (&[10, 11], 20, 11),
            (&[u64::MAX, 2], u64::MAX, 2),
            (&[0, 5, 6], 20, 5),
            (&[0, 5], 20, 6),
        ] {
            assert!(pieces(numbers, size, stored).is_err(), "{numbers:?}");
        }
    }

    #[test]
    fn a_map_in_front_goes_on_until_it_is_whole() {
        let block = |text: &[u8]| {
            let mut block = [0; BLOCK];
            block[..text.len()].copy_from_slice(text);
            block
        };
        assert_eq!(InFront::default().add(&block(b"2\n0\n5\n10\n2\n")), Ok(Some(vec![0, 5, 10, 2])));
        assert_eq!(InFront::default().add(&block(b"0\n")), Ok(Some(vec![])));
        assert!(InFront::default().add(&block(b"x\n")).is_err());
        assert!(InFront::default().add(&[b'1'; BLOCK]).is_err());
        let mut text = b"100\n".to_vec();
        text.extend(b"1234567\n".repeat(200));
        text.resize(4 * BLOCK, 0);
        let (blocks, _) = text.as_chunks::<BLOCK>();
        let mut map = InFront::default();
        for block in &blocks[..3] {
            assert_eq!(map.add(block), Ok(None));
        }
        assert_eq!(map.add(&blocks[3]), Ok(Some(vec![1_234_567; 200])));
    }
}
