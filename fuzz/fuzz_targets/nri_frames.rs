//! Any bytes as what a plugin sends, in pieces of any size: messages or a refusal, the same ones however they are cut.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nri::{Assembler, Malformed, Message};

fuzz_target!(|input: (u8, &[u8])| {
    let (piece, bytes) = input;
    let whole = read(bytes, bytes.len().max(1));
    assert_eq!(read(bytes, usize::from(piece).max(1)), whole);
});

fn read(bytes: &[u8], piece: usize) -> (Vec<Message>, Option<Malformed>) {
    let mut assembler = Assembler::default();
    let mut messages = Vec::new();
    for bytes in bytes.chunks(piece) {
        assembler.buffer().extend_from_slice(bytes);
        loop {
            match assembler.message() {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(error) => return (messages, Some(error)),
            }
        }
    }
    (messages, None)
}
