//! Bytes through the proxy: all of them, both ways, and how a connection's end is passed on.

mod choosing;
mod ends;
mod integrity;
mod many;
mod opening;
mod slow_reader;
mod spread;
mod timeouts;
