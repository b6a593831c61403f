//! Numbers and times as people read them.

use std::time::Duration;

/// Bytes and other large numbers are shortened from here on.
const SHORTEN_FROM: u64 = 10_000;

/// With a comma between groups of three digits.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.char_indices() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Three significant digits and a decimal unit, such as `12.3 M`; exact below 10,000.
pub fn shortened(number: u64) -> String {
    if number < SHORTEN_FROM {
        return grouped(number);
    }
    let mut value = number as f64 / 1000.0;
    let mut units = "KMGTPE".chars();
    let mut unit = units.next();
    // 999.5 would be printed as 1000.
    while value >= 999.5 {
        value /= 1000.0;
        unit = units.next();
    }
    let decimals = match value {
        v if v < 9.995 => 2,
        v if v < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.decimals$} {}", unit.unwrap_or_default())
}

/// The two largest units, such as `1h 12m`.
pub fn age(time: Duration) -> String {
    let seconds = time.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, _, _) => format!("{hours}h {}m", minutes % 60),
        _ => format!("{days}d {}h", hours % 24),
    }
}

/// Milliseconds, or seconds from one second on.
pub fn lapse(time: Duration) -> String {
    match time.as_millis() {
        millis @ 0..1000 => format!("{millis}ms"),
        _ => format!("{:.1}s", time.as_secs_f64()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped_by_three() {
        let shown = [0, 999, 1000, 12_345, 1_234_567].map(grouped);
        assert_eq!(shown, ["0", "999", "1,000", "12,345", "1,234,567"]);
        assert_eq!(grouped(u64::MAX), "18,446,744,073,709,551,615");
    }

    #[test]
    fn large_numbers_keep_three_digits() {
        let shown = [9_999, 10_000, 123_456, 999_499, 999_500, 5_368_709_120].map(shortened);
        assert_eq!(
            shown,
            ["9,999", "10.0 K", "123 K", "999 K", "1.00 M", "5.37 G"]
        );
        assert_eq!(shortened(u64::MAX), "18.4 E");
    }

    #[test]
    fn ages_have_two_units() {
        let shown = [0, 59, 60, 3_599, 4_320, 86_399, 100_000].map(|s| age(Duration::from_secs(s)));
        assert_eq!(
            shown,
            [
                "0s", "59s", "1m 0s", "59m 59s", "1h 12m", "23h 59m", "1d 3h"
            ]
        );
    }

    #[test]
    fn lapses_are_in_milliseconds_below_a_second() {
        let shown = [0, 999, 1_000, 2_340].map(|ms| lapse(Duration::from_millis(ms)));
        assert_eq!(shown, ["0ms", "999ms", "1.0s", "2.3s"]);
    }
}
