//! Limits: how many sessions there may be, and what happens to the next one.

mod descriptors;
mod frontends;
mod servers;
