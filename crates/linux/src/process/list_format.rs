//! Sets of processors and of memory nodes as people write them: `0-3,5,7-9`, the *list format* of cpuset(7).

/// As many as the kernel's interfaces for either take without being asked how many there are.
const LIMIT: u32 = 1024;

/// The set as bits, lowest first, without trailing zero words. An empty text is the empty set; spaces around and
/// empty elements are allowed, as runc allows them.
pub(crate) fn parse(text: &str) -> Result<Vec<u64>, String> {
    let mut bits: Vec<u64> = Vec::new();
    for element in text.split(',').map(str::trim).filter(|element| !element.is_empty()) {
        let (first, last) = match element.split_once('-') {
            Some((first, last)) => (number(first)?, number(last)?),
            None => (number(element)?, number(element)?),
        };
        if first > last {
            return Err(format!("invalid range: {element}"));
        }
        for n in first..=last {
            let word = (n / 64) as usize;
            if bits.len() <= word {
                bits.resize(word + 1, 0);
            }
            bits[word] |= 1 << (n % 64);
        }
    }
    if bits.is_empty() && !text.is_empty() {
        return Err(format!("no members found in set {text:?}"));
    }
    Ok(bits)
}

/// The members of a set, in order.
pub(crate) fn members(bits: &[u64]) -> impl Iterator<Item = usize> + '_ {
    bits.iter().enumerate().flat_map(|(word, bits)| {
        (0..64).filter(move |bit| bits & (1 << bit) != 0).map(move |bit| word * 64 + bit)
    })
}

fn number(text: &str) -> Result<u32, String> {
    let n: u32 = text.parse().map_err(|_| format!("{text:?} is not a number"))?;
    if n < LIMIT { Ok(n) } else { Err(format!("values larger than {} are not supported", LIMIT - 1)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_ranges_and_spaces() {
        assert_eq!(parse("").unwrap(), [] as [u64; 0]);
        assert_eq!(parse("0-3,5").unwrap(), [0b10_1111]);
        assert_eq!(parse(" 1 ,, 64-65,").unwrap(), [0b10, 0b11]);
        assert_eq!(members(&parse("0,63,64,1023").unwrap()).collect::<Vec<_>>(), [0, 63, 64, 1023]);
    }

    #[test]
    fn what_is_no_set_is_refused() {
        for text in ["x", "3-1", "1024", "0-99999999999", "-1", "1-", ",", " "] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
