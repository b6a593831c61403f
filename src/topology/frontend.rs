//! A frontend: its rules and what it counted.

use crate::config::FrontendConfig;
use crate::counters::Counters;
use crate::id::FrontendId;

/// A listening side with its rules.
#[derive(Debug)]
pub struct Frontend {
    /// Where it stands in the configuration.
    pub id: FrontendId,
    /// What the configuration says.
    pub config: FrontendConfig,
    /// What it counted.
    pub counters: Counters,
}
