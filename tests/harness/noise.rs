//! A long stream of bytes in which nothing can be lost, doubled or moved unseen.

use std::io::{self, Read, Write};

/// Bytes made, sent and compared at once.
const BLOCK: usize = 1 << 16;

/// Pseudo-random bytes that a seed determines (xorshift64).
#[derive(Debug)]
pub(crate) struct Noise(u64);

impl Noise {
    /// `seed` may not be 0.
    pub(crate) fn new(seed: u64) -> Self {
        assert_ne!(seed, 0, "xorshift never leaves 0");
        Self(seed)
    }

    fn fill(&mut self, block: &mut [u8]) {
        for word in block.chunks_exact_mut(8) {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            word.copy_from_slice(&self.0.to_le_bytes());
        }
    }

    /// Writes the next `length` bytes, whole blocks of 64 KiB.
    pub(crate) fn send(&mut self, mut to: impl Write, length: u64) -> io::Result<()> {
        let mut block = vec![0; BLOCK];
        for _ in 0..blocks(length) {
            self.fill(&mut block);
            to.write_all(&block)?;
        }
        Ok(())
    }

    /// Reads the next `length` bytes, whole blocks of 64 KiB, and panics at the first that
    /// differ.
    pub(crate) fn receive(&mut self, mut from: impl Read, length: u64) -> io::Result<()> {
        let mut wanted = vec![0; BLOCK];
        let mut seen = vec![0; BLOCK];
        for block in 0..blocks(length) {
            self.fill(&mut wanted);
            from.read_exact(&mut seen)?;
            // Not `assert_eq`, which would print both blocks.
            assert!(seen == wanted, "block {block} differs");
        }
        Ok(())
    }
}

fn blocks(length: u64) -> u64 {
    let block = BLOCK as u64;
    assert_eq!(length % block, 0, "whole blocks only");
    length / block
}
