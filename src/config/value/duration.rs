//! Durations: a whole number and a unit.

use std::time::Duration;

use super::Fault;

/// The longest duration. Nothing that is configured makes sense beyond it, and every timer can
/// take it.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Units and their milliseconds, longest first.
const UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

const FORM: &str =
    "write a whole number and a unit, such as \"200ms\", \"30s\", \"5m\", \"2h\" or \"1d\"";

/// A duration that may be zero.
pub fn duration(text: &str) -> Result<Duration, Fault> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    if number.is_empty() {
        return Err(no_number(text));
    }
    let Some(unit) = milliseconds(unit) else {
        return Err(wrong_unit(number, unit));
    };
    let long = || Fault::new("this duration is longer than a year").help("write \"365d\" or less");
    let count: u64 = number.parse().map_err(|_| long())?;
    let duration = Duration::from_millis(count.checked_mul(unit).ok_or_else(long)?);
    if duration > LONGEST {
        return Err(long());
    }
    Ok(duration)
}

fn milliseconds(unit: &str) -> Option<u64> {
    let known = UNITS.iter().find(|(name, _)| *name == unit);
    known.map(|&(_, milliseconds)| milliseconds)
}

fn no_number(text: &str) -> Fault {
    if text.starts_with('-') {
        return Fault::new("a duration may not be negative").help(FORM);
    }
    Fault::new("this is not a duration").help(FORM)
}

fn wrong_unit(number: &str, unit: &str) -> Fault {
    if unit.is_empty() {
        return Fault::new("a duration needs a unit").help(with_unit(number));
    }
    if unit.starts_with(['.', ',']) {
        return Fault::new("a duration is a whole number of its unit")
            .help("use a smaller unit: \"1500ms\" is one and a half seconds");
    }
    let range = number.len()..number.len() + unit.len();
    let fault = Fault::new(format!("{unit:?} is not a unit of time")).at(range);
    let meant = match unit.trim().to_ascii_lowercase().as_str() {
        "ms" | "msec" | "millis" | "milliseconds" => "ms",
        "s" | "sec" | "secs" | "second" | "seconds" => "s",
        "m" | "min" | "mins" | "minute" | "minutes" => "m",
        "h" | "hr" | "hour" | "hours" => "h",
        "d" | "day" | "days" => "d",
        _ => return fault.help(FORM),
    };
    fault.help(format!("write \"{number}{meant}\""))
}

/// What to write instead of a number that lacks its unit.
pub fn with_unit(number: &str) -> String {
    format!("write \"{number}ms\" for milliseconds, as in HAProxy, or \"{number}s\" for seconds")
}

/// The duration as it would be configured: in the longest unit that says it exactly.
pub fn shown(duration: Duration) -> String {
    let milliseconds = duration.as_millis() as u64;
    let unit = UNITS
        .iter()
        .find(|(_, unit)| milliseconds.is_multiple_of(*unit));
    match unit {
        Some((name, unit)) if milliseconds > 0 => format!("{}{name}", milliseconds / unit),
        _ => format!("{milliseconds}ms"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_unit() {
        let seconds = |text| duration(text).unwrap().as_secs();
        assert_eq!(duration("200ms").unwrap(), Duration::from_millis(200));
        assert_eq!(seconds("1s"), 1);
        assert_eq!(seconds("1m"), 60);
        assert_eq!(seconds("2h"), 7200);
        assert_eq!(seconds("1d"), 86_400);
        assert_eq!(seconds("365d"), 365 * 86_400);
        assert_eq!(duration("0s").unwrap(), Duration::ZERO);
    }

    #[test]
    fn what_is_not_a_duration_says_what_to_write() {
        let help = |text| duration(text).unwrap_err().help.unwrap();
        assert!(help("200").starts_with("write \"200ms\""));
        assert_eq!(help("5min"), "write \"5m\"");
        assert_eq!(help("5 s"), "write \"5s\"");
        assert_eq!(help("1S"), "write \"1s\"");
        assert!(help("1.5s").contains("smaller unit"));
        for text in ["", "s", "-1s", "1x", "1m30s", "one second", "1é"] {
            assert_eq!(help(text), FORM, "{text}");
        }
        for text in ["366d", "99999999999999999999s", "18446744073709551615d"] {
            assert_eq!(help(text), "write \"365d\" or less", "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(milliseconds in 0..=LONGEST.as_millis() as u64) {
            let value = Duration::from_millis(milliseconds);
            prop_assert_eq!(duration(&shown(value)).unwrap(), value);
        }

        #[test]
        fn never_panics(text in ".{0,12}") {
            let _ = duration(&text);
        }
    }
}
