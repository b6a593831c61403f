//! How a server is chosen among those in use: one file per algorithm.

mod round_robin;

pub use round_robin::RoundRobin;
