//! The columns of the page's tables, in HAProxy's groups, order and words.

use std::sync::LazyLock;

use maud::{Markup, html};

/// A heading over several columns, with each column's heading and what it means.
pub type Group = (&'static str, &'static [(&'static str, &'static str)]);

const RATE: Group = (
    "Session rate",
    &[
        ("Cur", "New sessions in the last second"),
        ("Max", "Most new sessions in one second"),
        ("Limit", "Most new sessions allowed in one second"),
    ],
);
const BYTES: Group = (
    "Bytes",
    &[("In", "Bytes from clients"), ("Out", "Bytes to clients")],
);

/// A frontend's columns.
pub const FRONTEND_GROUPS: [Group; 6] = [
    RATE,
    (
        "Sessions",
        &[
            ("Cur", "Sessions open now"),
            ("Max", "Most sessions open at once"),
            ("Limit", "Most sessions allowed at once"),
            ("Total", "All sessions"),
        ],
    ),
    BYTES,
    ("Denied", &[("Req", "Sessions closed by a rule")]),
    (
        "Errors",
        &[("Req", "Sessions that failed before a backend was chosen")],
    ),
    ("Frontend", &[("Status", "Whether sessions are accepted")]),
];

/// A server's and a backend's columns.
pub const BACKEND_GROUPS: [Group; 8] = [
    (
        "Queue",
        &[
            ("Cur", "Sessions waiting for a server"),
            ("Max", "Most sessions waiting at once"),
            ("Limit", "Most sessions allowed to wait"),
        ],
    ),
    RATE,
    (
        "Sessions",
        &[
            ("Cur", "Sessions open now"),
            ("Max", "Most sessions open at once"),
            ("Limit", "Most sessions allowed at once"),
            ("Total", "All sessions"),
            ("LbTot", "Sessions given by balancing"),
            ("Last", "Time since the last session began"),
        ],
    ),
    BYTES,
    (
        "Denied",
        &[
            ("Req", "Sessions closed by a rule"),
            ("Resp", "Answers held back by a rule"),
        ],
    ),
    (
        "Errors",
        &[
            ("Req", "Sessions that failed before a backend was chosen"),
            (
                "Conn",
                "Sessions given up because no server could be connected to",
            ),
            ("Resp", "Sessions that the server broke"),
        ],
    ),
    (
        "Warnings",
        &[
            ("Retr", "Connection attempts after a session's first one"),
            (
                "Redis",
                "Sessions moved to another server after a failed attempt",
            ),
        ],
    ),
    (
        "Server",
        &[
            ("Status", "State, and for how long"),
            ("LastChk", "Result of the last check, and how long it took"),
            ("Wght", "Weight"),
            ("Act", "Primaries that are usable"),
            ("Bck", "Backups that are usable"),
            ("Chk", "Failed checks while up"),
            ("Dwn", "Changes from up to down"),
            ("Dwntme", "Time spent down"),
            ("Thrtle", "Share of the full weight while starting slowly"),
        ],
    ),
];

/// The head of a frontend's table.
pub static FRONTEND_HEAD: LazyLock<Markup> = LazyLock::new(|| head(&FRONTEND_GROUPS));
/// The head of a backend's table.
pub static BACKEND_HEAD: LazyLock<Markup> = LazyLock::new(|| head(&BACKEND_GROUPS));

fn head(groups: &[Group]) -> Markup {
    html! {
        thead {
            tr {
                th scope="col" rowspan="2" { "Name" }
                @for (group, columns) in groups {
                    th scope="colgroup" colspan=(columns.len()) { (group) }
                }
            }
            tr {
                @for (column, meaning) in groups.iter().flat_map(|(_, columns)| *columns) {
                    th scope="col" { abbr title=(meaning) { (column) } }
                }
            }
        }
    }
}
