//! The page's script: it puts the parts that have changed into the page. Without it the page
//! shows the same, and loads itself again if `refresh` says so.

use std::sync::LazyLock;

use super::embedded::Embedded;

/// The script of the page.
pub static SCRIPT: LazyLock<Embedded> =
    LazyLock::new(|| Embedded::new(include_str!("page.js").into()));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_needs_nothing_from_outside() {
        for outside in ["http", "import(", "eval(", "</", "<!--"] {
            assert!(!SCRIPT.text.contains(outside), "{outside}");
        }
    }
}
