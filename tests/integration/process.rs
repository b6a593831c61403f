//! The process: its options, its start, its end.
