//! `log_format`: what the lines of sessions tell, and in which order.

use std::ops::Range;

use super::value::Fault;

/// How a session's line is written (configuration.txt, "Custom log format").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionFormat {
    /// In order.
    pub segments: Vec<Segment>,
    /// Whether one of them is an address or port of the proxy's own, which has to be asked for.
    pub tells_ends: bool,
}

/// A part of a session's line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// As it is.
    Text(String),
    /// What the session knows of this.
    Value(Variable, Style),
}

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Style {
    /// Texts stand in double quotes (`+Q`).
    pub quoted: bool,
    /// Addresses, ports, `%Ts` and `%pid` are hexadecimal (`+X`).
    pub hexadecimal: bool,
}

macro_rules! variables {
    ($($word:literal $name:ident $doc:literal)*) => {
        /// What a session's line can tell, by HAProxy's names.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Variable {
            $(#[doc = $doc] $name,)*
        }

        /// Every variable by the word after its `%`.
        const VARIABLES: &[(&str, Variable)] = &[$(($word, Variable::$name),)*];
    };
}

variables! {
    "ci" ClientAddress "Where the client is."
    "cp" ClientPort "From which port it came."
    "fi" FrontendAddress "The address that it connected to."
    "fp" FrontendPort "The port that it connected to."
    "bi" BackendAddress "The address that the connection to the server comes from."
    "bp" BackendPort "The port that the connection to the server comes from."
    "si" ServerAddress "The server's address."
    "sp" ServerPort "The server's port."
    "f" Frontend "The frontend."
    "ft" FrontendTransport "The frontend; HAProxy appends `~` to it for TLS."
    "b" Backend "The backend; the frontend if there is none."
    "s" Server "The server, or `<NOSRV>`."
    "t" Date "When it was accepted: `06/Feb/2009:12:12:51.443`."
    "T" DateUtc "The same as `06/Feb/2009:12:12:51 +0000`."
    "Tl" DateLocal "The same in local time, which is UTC here."
    "Ts" Timestamp "The same in seconds of Unix time."
    "ms" Milliseconds "The milliseconds of that time, three digits."
    "Tw" WaitTime "Milliseconds in the queue; -1 if it got no server."
    "Tc" ConnectTime "Milliseconds until a server was connected; -1 if none was."
    "Td" DataTime "Milliseconds from then to the end; -1 if none was connected."
    "Tt" TotalTime "Milliseconds from accepting it to its end."
    "Tu" UserTime "What the client saw of that, which is all."
    "B" BytesRead "Bytes from the server to the client."
    "U" BytesUploaded "Bytes from the client to the server."
    "ts" Termination "How it ended, such as `--`."
    "ac" ProcessSessions "Sessions open in the process when it ended."
    "fc" FrontendSessions "Those on its frontend."
    "bc" BackendSessions "Those on its backend."
    "sc" ServerSessions "Those on its server."
    "rc" Retries "Attempts after the first; after a `+` if another server was tried."
    "sq" ServerQueue "Sessions before it in the server's queue."
    "bq" BackendQueue "Sessions before it in the backend's queue."
    "pid" Process "The process's number."
    "H" Hostname "This machine's name."
    "o" Nothing "Nothing: its flags hold for all that follows."
}

/// HAProxy's variables that say nothing of a TCP session.
const ABOUT_OTHERS: [(&str, &str); 23] = [
    ("CC", "HTTP"),
    ("CS", "HTTP"),
    ("HM", "HTTP"),
    ("HP", "HTTP"),
    ("HPO", "HTTP"),
    ("HQ", "HTTP"),
    ("HU", "HTTP"),
    ("HV", "HTTP"),
    ("ID", "HTTP"),
    ("ST", "HTTP"),
    ("Ta", "HTTP"),
    ("Ti", "HTTP"),
    ("Tq", "HTTP"),
    ("TR", "HTTP"),
    ("Tr", "HTTP"),
    ("hr", "HTTP"),
    ("hrl", "HTTP"),
    ("hs", "HTTP"),
    ("hsl", "HTTP"),
    ("r", "HTTP"),
    ("tsc", "HTTP"),
    ("sslc", "TLS"),
    ("sslv", "TLS"),
];

/// `option tcplog` (configuration.txt, "TCP log format").
const TCPLOG: &str = "%ci:%cp [%t] %ft %b/%s %Tw/%Tc/%Tt %B %ts %ac/%fc/%bc/%sc/%rc %sq/%bq";

impl SessionFormat {
    /// That of `option tcplog`.
    pub fn tcplog() -> Self {
        // It parses, which a test shows.
        parse_format(TCPLOG).unwrap_or(Self {
            segments: Vec::new(),
            tells_ends: false,
        })
    }

    fn new(segments: Vec<Segment>) -> Self {
        let ends = [
            Variable::FrontendAddress,
            Variable::FrontendPort,
            Variable::BackendAddress,
            Variable::BackendPort,
        ];
        let is_end =
            |segment: &Segment| matches!(segment, Segment::Value(v, _) if ends.contains(v));
        Self {
            tells_ends: segments.iter().any(is_end),
            segments,
        }
    }
}

/// Reads a format in the form that HAProxy's `log-format` has.
///
/// # Errors
/// When a variable or a flag is not known; the fault points at it.
pub fn parse_format(text: &str) -> Result<SessionFormat, Fault> {
    let mut segments: Vec<Segment> = Vec::new();
    let mut general = Style::default();
    let mut rest = text;
    while let Some(position) = rest.find('%') {
        push_text(&mut segments, &rest[..position]);
        let start = text.len() - rest.len() + position;
        rest = &rest[position + 1..];
        if let Some(after) = rest.strip_prefix('%') {
            push_text(&mut segments, "%");
            rest = after;
            continue;
        }
        let mut style = general;
        if let Some(inside) = rest.strip_prefix('{') {
            let Some((flags, after)) = inside.split_once('}') else {
                return Err(fault("a `{` is not closed", start..text.len())
                    .help("write flags as in `%{+Q}s`"));
            };
            set_flags(&mut style, flags, start + 2)?;
            rest = after;
        }
        let length = rest
            .find(|c: char| !c.is_ascii_alphanumeric())
            .unwrap_or(rest.len());
        let (word, after) = rest.split_at(length);
        let end = text.len() - after.len();
        let variable = variable(word, after, start..end.max(start + 1))?;
        if variable == Variable::Nothing {
            general = style;
        } else {
            segments.push(Segment::Value(variable, style));
        }
        rest = after;
    }
    push_text(&mut segments, rest);
    Ok(SessionFormat::new(segments))
}

fn push_text(segments: &mut Vec<Segment>, text: &str) {
    match segments.last_mut() {
        _ if text.is_empty() => {}
        Some(Segment::Text(last)) => last.push_str(text),
        _ => segments.push(Segment::Text(text.to_owned())),
    }
}

fn fault(title: impl Into<String>, range: Range<usize>) -> Fault {
    Fault {
        title: title.into(),
        help: None,
        range: Some(range),
    }
}

/// Flags such as `+Q,-X`, which stand at `start`.
fn set_flags(style: &mut Style, flags: &str, start: usize) -> Result<(), Fault> {
    let mut at = start;
    for part in flags.split(',') {
        let range = at..at + part.len().max(1);
        at += part.len() + 1;
        let flag = part.trim();
        let on = !flag.starts_with('-');
        match flag.trim_start_matches(['+', '-']) {
            "Q" => style.quoted = on,
            "X" => style.hexadecimal = on,
            // No value here holds what this would put a backslash before.
            "E" => {}
            _ => {
                return Err(fault(format!("{flag:?} is not a flag"), range).help(
                    "flags are `+Q` (quotes), `+X` (hexadecimal) and `+E` (escapes), or with `-`",
                ));
            }
        }
    }
    Ok(())
}

fn variable(word: &str, after: &str, range: Range<usize>) -> Result<Variable, Fault> {
    if let Some((_, variable)) = VARIABLES.iter().find(|(name, _)| *name == word) {
        return Ok(*variable);
    }
    if word.is_empty() {
        let title = if after.starts_with('[') {
            "expressions such as `%[src]` cannot be logged"
        } else {
            "there is no variable after this `%`"
        };
        let help = "write a variable such as `%ci`; a percent sign is `%%`";
        return Err(fault(title, range).help(help));
    }
    let about = ABOUT_OTHERS.iter().find(|(name, _)| *name == word);
    if let Some((_, protocol)) = about {
        return Err(fault(format!("`%{word}` is about {protocol}"), range)
            .help("leave it out: only TCP sessions are logged"));
    }
    let known: Vec<_> = VARIABLES
        .iter()
        .map(|(name, _)| format!("%{name}"))
        .collect();
    Err(fault(format!("there is no variable `%{word}`"), range)
        .help(format!("there are {}", known.join(" "))))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_format_is_cut_into_segments_once() {
        let format = parse_format("%ci:%cp 100%% %{+Q}s%{+Q,+X}o %b%{-Q}f").unwrap();
        let quoted = Style {
            quoted: true,
            ..Style::default()
        };
        let both = Style {
            hexadecimal: true,
            ..quoted
        };
        let hexadecimal = Style {
            quoted: false,
            ..both
        };
        assert_eq!(
            format.segments,
            [
                Segment::Value(Variable::ClientAddress, Style::default()),
                Segment::Text(":".into()),
                Segment::Value(Variable::ClientPort, Style::default()),
                Segment::Text(" 100% ".into()),
                Segment::Value(Variable::Server, quoted),
                Segment::Text(" ".into()),
                Segment::Value(Variable::Backend, both),
                Segment::Value(Variable::Frontend, hexadecimal),
            ]
        );
    }

    #[test]
    fn the_standard_format_has_all_of_its_variables() {
        let format = SessionFormat::tcplog();
        assert_eq!(format.segments.len(), 35);
        assert!(!format.tells_ends);
        assert!(parse_format("%fi").unwrap().tells_ends);
    }

    #[test]
    fn faults_point_at_what_is_wrong() {
        let wrong = |text: &str| {
            let fault = parse_format(text).unwrap_err();
            (fault.title, fault.range.map(|range| text[range].to_owned()))
        };
        let told = |title: &str, part: &str| (title.to_owned(), Some(part.to_owned()));
        assert_eq!(wrong("a %zz b"), told("there is no variable `%zz`", "%zz"));
        assert_eq!(wrong("%ci %HU"), told("`%HU` is about HTTP", "%HU"));
        assert_eq!(wrong("%{+Q,+Z}s"), told("\"+Z\" is not a flag", "+Z"));
        assert_eq!(wrong("%{+Qs"), told("a `{` is not closed", "%{+Qs"));
        assert_eq!(wrong("100% x").1.as_deref(), Some("%"));
        let sample = wrong("%[src]");
        assert_eq!(
            sample,
            told("expressions such as `%[src]` cannot be logged", "%")
        );
    }

    proptest! {
        #[test]
        fn never_panics_and_points_inside_the_text(text in "[%{}+QXZa-z,é \\[]{0,16}") {
            if let Err(Fault { range: Some(range), .. }) = parse_format(&text) {
                prop_assert!(text.get(range).is_some());
            }
        }
    }
}
