//! Limits: how many sessions there may be, and what happens to the next one.

mod clients;
mod descriptors;
mod frontends;
mod proxy_headers;
mod servers;
