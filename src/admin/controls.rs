//! What changes servers on the page, for those who may: HAProxy's form (`src/stats-html.c`),
//! which needs no script.

use maud::{Markup, html};

use super::Report;
use super::view::{Format, View};
use crate::topology::Backend;

/// The actions that are offered, with what becomes of the servers. The form takes more.
const ACTIONS: [(&str, &str); 5] = [
    ("ready", "Ready: take new sessions again"),
    ("drain", "Drain: no new sessions, let open ones end"),
    ("maint", "Maintenance: no new sessions, no checks"),
    ("weight", "Weight: give the weight beside"),
    ("shutdown", "Shut down: end all open sessions"),
];

/// The form around the table of a backend.
pub fn form(backend: &Backend, table: &Markup, report: &Report) -> Markup {
    let name = &*backend.config.name;
    let page = View {
        format: Format::Html,
        ..report.view
    };
    html! {
        form method="post" action=(page.path(&report.settings.uri)) {
            (table)
            fieldset.controls {
                legend { "Change servers of " (name) }
                input type="hidden" name="b" value=(name);
                label {
                    "With those selected: "
                    select name="action" required {
                        option value="" { "choose" }
                        @for (action, what) in ACTIONS { option value=(action) { (what) } }
                    }
                }
                label {
                    "Weight: "
                    input name="weight" size="5" placeholder="100%" pattern="[0-9]{1,3}%?"
                        title="0 to 256, or a share of the configured weight such as 50%";
                }
                // With a script the browser asks instead.
                label.sure data-own="1" { input type="checkbox" required; " I am sure" }
                button { "Apply" }
            }
        }
    }
}

/// What a server is selected by. It is no part of what is sent to all live pages.
pub fn choice(server: &str) -> Markup {
    html! {
        input type="checkbox" name="s" value=(server) aria-label={ "Select " (server) } data-own="1";
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::Running;
    use crate::admin::auth::Visitor;
    use crate::admin::page;
    use crate::config::StatsConfig;
    use crate::topology::sample::{settings, single_farm};

    fn page(admin: bool, may_change: bool) -> String {
        let settings = StatsConfig {
            admin,
            ..settings()
        };
        let visitor = Visitor {
            name: Some("ops".into()),
            may_change,
        };
        let running = Running::of(single_farm(false));
        let report = Report::of(&running, settings.into(), View::default(), visitor);
        page::pieces(report).collect()
    }

    #[test]
    fn only_those_who_may_change_servers_are_shown_how() {
        for (admin, may_change) in [(false, false), (false, true), (true, false)] {
            let page = page(admin, may_change);
            assert!(
                !page.contains("<form") && !page.contains("<input"),
                "{page}"
            );
        }
        let page = page(true, true);
        assert_eq!(
            page.matches("<form method=\"post\" action=\"/\">").count(),
            1
        );
        assert_eq!(page.matches("name=\"s\"").count(), 4);
        assert!(page.contains("name=\"s\" value=\"s3\""), "{page}");
        assert!(
            page.contains("type=\"hidden\" name=\"b\" value=\"bk\""),
            "{page}"
        );
    }
}
