//! Checks against peers that do as they are told: right, wrong, or nothing at all.

mod agent;
mod external;
mod faults;
mod peers;
mod protocols;
mod steps;
mod where_and_when;
