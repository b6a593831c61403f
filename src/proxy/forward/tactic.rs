//! Whether a direction's bytes are copied or spliced next.
//!
//! Splicing spares the two copies but costs more system calls, so it pays for bulk only. A
//! direction begins by copying, splices once the scratch buffer was filled twice in a row, and
//! copies again when several splices in a row moved little.

use crate::config::SpliceMode;

/// Full buffers in a row that make a direction bulk.
const FULL_READS: u8 = 2;

/// A splice that moves less than this would have cost less as a copy.
const SMALL_BYTES: usize = 16 * 1024;

/// Small splices in a row that end splicing.
const SMALL_SPLICES: u8 = 4;

/// How a direction's bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tactic {
    mode: SpliceMode,
    splicing: bool,
    /// Reads in a row that speak for a change.
    streak: u8,
}

impl Tactic {
    pub(super) fn new(mode: SpliceMode) -> Self {
        Self {
            mode,
            splicing: mode == SpliceMode::Always,
            streak: 0,
        }
    }

    /// Whether the next bytes are to be spliced.
    pub(super) fn splices(self) -> bool {
        self.splicing
    }

    /// Notes a copying read and whether it filled the buffer.
    pub(super) fn copied(&mut self, full: bool) {
        match self.mode {
            SpliceMode::Off => {}
            SpliceMode::Auto => self.count(full, FULL_READS),
            // Copied for want of a pipe.
            SpliceMode::Always => self.splicing = true,
        }
    }

    /// Notes that a splice moved `bytes`.
    pub(super) fn spliced(&mut self, bytes: usize) {
        if self.mode == SpliceMode::Auto {
            self.count(bytes < SMALL_BYTES, SMALL_SPLICES);
        }
    }

    /// Copies next, since no pipe is to be had now.
    pub(super) fn no_pipe(&mut self) {
        self.splicing = false;
        self.streak = 0;
    }

    /// Copies from now on, since the kernel cannot splice this.
    pub(super) fn refused(&mut self) {
        *self = Self::new(SpliceMode::Off);
    }

    fn count(&mut self, speaks_for_change: bool, needed: u8) {
        self.streak = if speaks_for_change {
            self.streak + 1
        } else {
            0
        };
        if self.streak == needed {
            self.splicing = !self.splicing;
            self.streak = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_full_reads_in_a_row_are_bulk() {
        let mut tactic = Tactic::new(SpliceMode::Auto);
        for full in [true, false, true] {
            tactic.copied(full);
            assert!(!tactic.splices());
        }
        tactic.copied(true);
        assert!(tactic.splices());
    }

    #[test]
    fn small_splices_in_a_row_end_it() {
        let mut tactic = Tactic::new(SpliceMode::Auto);
        tactic.copied(true);
        tactic.copied(true);
        for bytes in [1, 1, 1, SMALL_BYTES, 1, 1, 1] {
            tactic.spliced(bytes);
            assert!(tactic.splices());
        }
        tactic.spliced(1);
        assert!(!tactic.splices());
    }

    #[test]
    fn off_and_always_do_not_change() {
        let mut off = Tactic::new(SpliceMode::Off);
        (0..9).for_each(|_| off.copied(true));
        assert!(!off.splices());
        let mut always = Tactic::new(SpliceMode::Always);
        (0..9).for_each(|_| always.spliced(1));
        assert!(always.splices());
    }

    #[test]
    fn want_of_a_pipe_passes_and_a_refusal_does_not() {
        let mut always = Tactic::new(SpliceMode::Always);
        always.no_pipe();
        assert!(!always.splices());
        always.copied(false);
        assert!(always.splices());
        always.refused();
        always.copied(true);
        always.copied(true);
        assert!(!always.splices());
    }
}
