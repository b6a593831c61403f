//! Letting other threads have the core in the middle of long work.
//!
//! A thread that wakes up need not get the core that it waits for: Linux lets the one that is there
//! go on to the end of its time slice, some 3 ms, as long as it has had no more than its share,
//! however much lower its priority (`RUN_TO_PARITY` in kernel/sched/fair.c, Linux 6.6 and later).
//! Who works for longer than others should wait has to offer the core.

use std::cell::Cell;
use std::thread;
use std::time::{Duration, Instant};

/// The core is offered after so much work: an offer that nobody takes costs 0.3 µs.
const WORK: Duration = Duration::from_micros(15);

/// Who takes the core for so long wants all of it.
const GREEDY: Duration = Duration::from_millis(1);

/// It is kept for so long then, and twice as long each time that it happens again, up to
/// [`LONGEST`]. To such threads an offer gives a whole time slice, and this one would not get its
/// share of the core any more. Once alone it says little: a guest's core may have stood still.
const INSIST: Duration = Duration::from_millis(4);

/// The longest time without an offer: a slice of 4 ms in it is a small part of the share.
const LONGEST: Duration = Duration::from_millis(128);

thread_local! {
    static COURTESY: Courtesy = const { Courtesy::new() };
}

/// Lets another thread that waits for this core have it, unless that was done a moment ago.
#[inline]
pub fn offer_core() {
    COURTESY.with(|courtesy| courtesy.offer(Instant::now, thread::yield_now));
}

/// When one thread offers its core.
struct Courtesy {
    /// Not before.
    next: Cell<Option<Instant>>,
    /// How long it is kept if the next offer is taken by one that wants all of it.
    insist: Cell<Duration>,
}

impl Courtesy {
    const fn new() -> Self {
        Self {
            next: Cell::new(None),
            insist: Cell::new(INSIST),
        }
    }

    fn offer(&self, now: impl Fn() -> Instant, give: impl FnOnce()) {
        let before = now();
        if self.next.get().is_some_and(|next| before < next) {
            return;
        }
        give();
        let after = now();
        self.next.set(Some(after + self.pause(after - before)));
    }

    /// How long the core is kept after it was away for `taken`.
    fn pause(&self, taken: Duration) -> Duration {
        if taken < GREEDY {
            self.insist.set(INSIST);
            return WORK;
        }
        let pause = self.insist.get();
        self.insist.set((pause * 2).min(LONGEST));
        pause
    }
}

#[cfg(test)]
mod tests {
    use std::iter::{once, repeat};

    use super::*;

    /// How often the core is offered in `length` of work, of which there is an opportunity after
    /// each `step`, when whoever takes it keeps it for `taken`.
    fn offers(
        length: Duration,
        step: Duration,
        mut taken: impl Iterator<Item = Duration>,
    ) -> usize {
        let courtesy = Courtesy::new();
        let start = Instant::now();
        let (clock, mut offers, mut worked) = (Cell::new(start), 0, Duration::ZERO);
        while worked < length {
            let give = || {
                offers += 1;
                clock.set(clock.get() + taken.next().unwrap());
            };
            courtesy.offer(|| clock.get(), give);
            clock.set(clock.get() + step);
            worked += step;
        }
        offers
    }

    const fn us(microseconds: u64) -> Duration {
        Duration::from_micros(microseconds)
    }

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn the_core_is_offered_after_15_microseconds_of_work() {
        assert_eq!(offers(us(1_500), us(1), repeat(Duration::ZERO)), 100);
        assert_eq!(offers(us(1_500), us(1), repeat(us(900))), 100);
        // No more often than there is an opportunity.
        assert_eq!(offers(us(1_500), us(50), repeat(Duration::ZERO)), 30);
    }

    #[test]
    fn from_those_who_want_all_of_it_it_is_kept_longer_and_longer() {
        // At 0, 4, 12, 28, 60 and 124 ms, and then every 128 ms.
        assert_eq!(offers(ms(124), ms(1), repeat(ms(4))), 5);
        assert_eq!(offers(ms(125), ms(1), repeat(ms(4))), 6);
        assert_eq!(offers(ms(124 + 10 * 128), ms(1), repeat(ms(40))), 15);
    }

    #[test]
    fn one_long_absence_does_not_end_the_offers() {
        let taken = once(ms(50)).chain(repeat(Duration::ZERO));
        assert_eq!(offers(ms(4) + us(1_500), us(1), taken), 1 + 100);
        // Nor do several that do not follow each other.
        let taken = [ms(50), us(10)].into_iter().cycle();
        assert_eq!(offers(2 * (ms(4) + us(15)), us(1), taken), 4);
    }
}
