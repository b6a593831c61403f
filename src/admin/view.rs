//! What a request's path asks for.
//!
//! The words after the page's path are `HAProxy`'s (`src/http_ana.c`, `http_handle_stats`).

/// The page, or what is asked for in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct View {
    /// `;csv`: the statistics fields as CSV.
    pub csv: bool,
    /// `;norefresh`: the page does not reload itself.
    pub still: bool,
    /// `;up`: servers that are down and not coming up are left out.
    pub only_up: bool,
}

impl View {
    /// What `target`, a path with its query, asks for; `None` if the page at `uri` is not meant.
    ///
    /// Words that are not known are ignored, as `HAProxy` does.
    pub fn of(target: &str, uri: &str) -> Option<Self> {
        let words = target.strip_prefix(uri)?;
        if !(words.is_empty() || words.starts_with(SEPARATORS)) {
            return None;
        }
        let asked = |word| words.split(SEPARATORS).any(|w| w == word);
        Some(Self {
            csv: asked("csv"),
            still: asked("norefresh"),
            only_up: asked("up"),
        })
    }

    /// The path of this view of the page at `uri`.
    pub fn path(self, uri: &str) -> String {
        let word = |asked, word| if asked { word } else { "" };
        let (csv, up) = (word(self.csv, ";csv"), word(self.only_up, ";up"));
        let still = word(self.still, ";norefresh");
        format!("{uri}{csv}{up}{still}")
    }
}

const SEPARATORS: [char; 3] = [';', '?', '&'];

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: View = View {
        csv: false,
        still: false,
        only_up: false,
    };

    #[test]
    fn words_after_the_path() {
        let csv = View { csv: true, ..PAGE };
        let up_and_still = View {
            still: true,
            only_up: true,
            ..PAGE
        };
        assert_eq!(View::of("/", "/"), Some(PAGE));
        assert_eq!(View::of("/;csv", "/"), Some(csv));
        assert!(View::of("/stats;csv;norefresh", "/stats").unwrap().csv);
        assert_eq!(
            View::of("/stats;up;norefresh", "/stats"),
            Some(up_and_still)
        );
        assert_eq!(View::of("/;no-maint;nonsense", "/"), Some(PAGE));
        assert_eq!(View::of("/?t=1", "/"), Some(PAGE));
        assert_eq!(View::of("/?;csv", "/"), Some(csv));
    }

    #[test]
    fn the_path_of_haproxys_default_has_a_query() {
        let uri = "/haproxy?stats";
        assert!(View::of("/haproxy?stats;csv", uri).unwrap().csv);
        assert_eq!(View::of("/haproxy", uri), None);
    }

    #[test]
    fn other_paths_are_not_the_page() {
        for target in ["/favicon.ico", "/csv", "//", ""] {
            assert_eq!(View::of(target, "/"), None, "{target:?}");
        }
        for target in ["/", "/stats2", "/stats/", "/stat", "/Stats"] {
            assert_eq!(View::of(target, "/stats"), None, "{target:?}");
        }
    }

    #[test]
    fn a_views_path_asks_for_it() {
        for bits in 0..8 {
            let view = View {
                csv: bits & 1 > 0,
                still: bits & 2 > 0,
                only_up: bits & 4 > 0,
            };
            assert_eq!(View::of(&view.path("/stats"), "/stats"), Some(view));
        }
    }
}
